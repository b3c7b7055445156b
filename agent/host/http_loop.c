/* http_loop - libcurl's sockets and its one timer on the loop.
 *
 * A poll handle is tied to its socket from the socket's making to its close, because a connection
 * serves many requests: between them nothing is stopped (that would be two system calls for each
 * request), only unreferenced, and stopped if the idle peer has something to say. It is stopped
 * and closed before the descriptor is, else the number could come back under another connection.
 *
 * libcurl 7.88 closes a socket that never connected by itself, without a word to the close
 * callback, and tells only afterwards that nobody waits for it (libuv aborts on such a descriptor),
 * or not at all when the next address gets the same number. So a socket stays watched between
 * requests only if its call was connected and the descriptor is still the one that was made, by
 * its inode; and a new socket takes over what libcurl believes to be watched under its number.
 *
 * Sockets that libcurl makes for itself (the pair of its resolver threads) get a handle when they
 * are first watched and lose it when they no longer are.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/http_private.h"

#define SOCKS_FIRST 64

struct sock {
	uv_poll_t poll;
	struct dif_http_client *client;
	curl_socket_t fd;
	int wanted; /* what libcurl waits for: UV_READABLE, UV_WRITABLE, 0 */
	int armed;  /* what the loop waits for */
	ino_t ino;  /* of the socket, where dif_http_loop_open made it; else 0 */
};

static void act(struct dif_http_client *c, curl_socket_t fd, int what)
{
	/* Whatever it counts here, finished transfers are found by draining. */
	int running = 0;
	c->in_curl = true;
	CURLMcode rc = curl_multi_socket_action(c->multi, fd, what, &running);
	c->in_curl = false;
	assert(rc == CURLM_OK || rc == CURLM_ABORTED_BY_CALLBACK);
	dif_http_drain(c);
}

static void on_timer(uv_timer_t *t)
{
	act(t->data, CURL_SOCKET_TIMEOUT, 0);
}

/* Called by libcurl, from inside of everything: it only sets the timer. */
static int on_timeout(CURLM *multi, long ms, void *data)
{
	(void)multi;
	struct dif_http_client *c = data;
	if (ms < 0) {
		(void)uv_timer_stop(&c->timer);
		return 0;
	}
	int rc = uv_timer_start(&c->timer, on_timer, (uint64_t)ms, 0);
	assert(rc == 0); /* it fails only on a closing handle, and that comes after the multi */
	return 0;
}

static void disarm(struct sock *s)
{
	(void)uv_poll_stop(&s->poll);
	s->armed = 0;
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void arm(struct sock *s)
{
	if (s->armed != s->wanted) {
		int rc = uv_poll_start(&s->poll, s->wanted, on_poll);
		assert(rc == 0); /* it fails only on a closing handle */
		s->armed = s->wanted;
	}
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct sock *s = poll->data;
	if (status < 0) {
		s->armed = 0; /* the loop has stopped it */
	}
	if (s->wanted == 0) {
		disarm(s); /* an idle peer closes; libcurl sees it when it looks for a connection */
		return;
	}
	int what = ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
	           ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
	if (status < 0) {
		/* Not ERR alone: libcurl would end the transfer unseen. When it reads, it learns
		 * the reason, and sends again what a kept connection's end had cut off. */
		what = CURL_CSELECT_IN | CURL_CSELECT_OUT | CURL_CSELECT_ERR;
	}
	act(s->client, s->fd, what);
	/* If it is closed by now, its memory still stays until the loop has turned. */
	if (!uv_is_closing((uv_handle_t *)poll) && s->wanted != 0) {
		arm(s);
	}
}

static void on_closed(uv_handle_t *h)
{
	struct sock *s = h->data;
	struct dif_http_client *c = s->client;
	free(s);
	dif_release(&c->open);
}

static struct sock *find(struct dif_http_client *c, curl_socket_t fd)
{
	return fd >= 0 && (size_t)fd < c->nsocks ? c->socks[fd] : NULL;
}

static bool make_room(struct dif_http_client *c, curl_socket_t fd)
{
	if ((size_t)fd < c->nsocks) {
		return true;
	}
	size_t n = c->nsocks > 0 ? c->nsocks : SOCKS_FIRST;
	while (n <= (size_t)fd) {
		n *= 2;
	}
	struct sock **socks = realloc(c->socks, n * sizeof(struct sock *));
	if (socks == NULL) {
		return false;
	}
	memset(socks + c->nsocks, 0, (n - c->nsocks) * sizeof(struct sock *));
	c->socks = socks;
	c->nsocks = n;
	return true;
}

static struct sock *watch(struct dif_http_client *c, curl_socket_t fd)
{
	struct sock *s = make_room(c, fd) ? calloc(1, sizeof *s) : NULL;
	if (s == NULL || uv_poll_init_socket(c->loop, &s->poll, fd) != 0) {
		free(s);
		return NULL;
	}
	assert(c->socks[fd] == NULL); /* the loop would have refused a second handle */
	s->poll.data = s;
	s->client = c;
	s->fd = fd;
	uv_unref((uv_handle_t *)&s->poll);
	c->socks[fd] = s;
	dif_hold(&c->open);
	return s;
}

static void unwatch(struct sock *s)
{
	disarm(s);
	s->wanted = 0;
	s->client->socks[s->fd] = NULL;
	uv_close((uv_handle_t *)&s->poll, on_closed);
}

static void want(struct sock *s, int events)
{
	s->wanted = events;
	uv_ref((uv_handle_t *)&s->poll);
	arm(s);
}

static ino_t inode_of(curl_socket_t fd)
{
	struct stat st;
	return fstat(fd, &st) == 0 ? st.st_ino : 0;
}

/* Is it a connection that goes on, and whose close we will hear of? */
static bool is_kept(const struct sock *s, CURL *easy)
{
	struct dif_http_call *call = NULL;
	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call);
	return call != NULL && call->connected && s->ino != 0 && inode_of(s->fd) == s->ino;
}

/* Called by libcurl: what it waits for on a socket has changed. */
static int on_socket(CURL *easy, curl_socket_t fd, int what, void *data, void *socket_data)
{
	(void)socket_data;
	struct dif_http_client *c = data;
	struct sock *s = find(c, fd);
	if (what == CURL_POLL_REMOVE) {
		if (s != NULL && is_kept(s, easy)) {
			s->wanted = 0;
			uv_unref((uv_handle_t *)&s->poll);
		} else if (s != NULL) {
			unwatch(s);
		}
		return 0;
	}
	if (s == NULL) {
		s = watch(c, fd);
	}
	if (s == NULL) {
		/* Memory is out. To say so (-1) would end every transfer for ever; libcurl's
		 * resolver, whose socket this is, also looks by the timer. */
		return 0;
	}
	want(s, ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) |
	                ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0));
	return 0;
}

curl_socket_t dif_http_loop_open(struct dif_http_client *c, const struct curl_sockaddr *address)
{
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK,
	                address->protocol);
	if (fd == -1) {
		return CURL_SOCKET_BAD;
	}
	struct sock *old = find(c, fd);
	int wanted = old != NULL ? old->wanted : 0;
	if (old != NULL) {
		unwatch(old);
	}
	struct sock *s = watch(c, fd);
	if (s == NULL) {
		(void)close(fd);
		errno = ENOMEM;
		return CURL_SOCKET_BAD;
	}
	s->ino = inode_of(fd);
	if (wanted != 0) {
		want(s, wanted);
	}
	return fd;
}

int dif_http_loop_close(void *client, curl_socket_t fd)
{
	struct sock *s = find(client, fd);
	if (s != NULL) {
		unwatch(s);
	}
	return close(fd);
}

bool dif_http_loop_init(struct dif_http_client *c)
{
	/* By itself it would keep four for each request under way, and so close and open them as
	 * the number of these goes down and up. */
	return curl_multi_setopt(c->multi, CURLMOPT_MAXCONNECTS, (long)RUNNING_MAX) == CURLM_OK &&
	       curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
	       curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) == CURLM_OK &&
	       curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout) == CURLM_OK &&
	       curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) == CURLM_OK;
}
