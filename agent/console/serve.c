#include "console/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/parse.h"
#include "flow/class.h"

#define CONNECTIONS 1024 /* descriptors; readers belong to a CDN, not here */
#define IDLE_SECONDS 30
#define PATH_TEXT_MAX 4096
#define XATTR_MAX 256

struct dif_serve {
	struct MHD_Daemon *daemon;
	int root;
	uv_poll_t poll;
	uv_timer_t timer;
	uint32_t open; /* handles */
};

/* What a request came to: a descriptor and what to say of it. */
struct found {
	int fd;
	uint64_t size;
	char type[XATTR_MAX], cache[XATTR_MAX], etag[XATTR_MAX];
	bool gzip, varies;
};

/* --- files --- */

/* Opens below the root, one component after the other, following no link; -1. */
static int open_below(int root, const char *path, int flags)
{
	int at = dup(root);
	char part[256];
	while (at != -1 && *path != '\0') {
		size_t n = strcspn(path, "/");
		bool last = path[n] == '\0';
		bool bad = n == 0 || n >= sizeof part || strncmp(path, "..", n < 2 ? 2 : n) == 0 ||
		           (n == 8 && strncmp(path, ".difusor", n) == 0) ||
		           strncmp(path, ".difusor-tmp-", 13) == 0;
		int next = -1;
		if (!bad) {
			memcpy(part, path, n);
			part[n] = '\0';
			next = openat(at, part,
			              last ? flags | O_NOFOLLOW | O_CLOEXEC
			                   : O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		}
		close(at);
		at = next;
		path += last ? n : n + 1;
		if (at != -1 && !last && *path == '\0') { /* "dir/" */
			return at;
		}
	}
	return at;
}

static void attribute(int fd, const char *name, char to[XATTR_MAX], const char *fallback)
{
	ssize_t n = fgetxattr(fd, name, to, XATTR_MAX - 1);
	if (n > 0) {
		to[n] = '\0';
		if (strpbrk(to, "\r\n") == NULL) {
			return;
		}
	}
	snprintf(to, XATTR_MAX, "%s", fallback);
}

static bool open_file(int root, const char *path, struct found *f)
{
	struct stat st;
	f->fd = open_below(root, path, O_RDONLY | O_NONBLOCK);
	if (f->fd == -1) {
		return false;
	}
	if (fstat(f->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(f->fd);
		f->fd = -1;
		return false;
	}
	f->size = (uint64_t)st.st_size;
	return true;
}

static bool accepts_gzip(struct MHD_Connection *c)
{
	const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Accept-Encoding");
	const char *gzip = v != NULL ? strstr(v, "gzip") : NULL;
	return gzip != NULL && strncmp(gzip, "gzip;q=0", 8) != 0;
}

static bool find_exactly(int root, const char *path, bool gzip, struct found *f)
{
	struct found sibling = {.fd = -1};
	char name[PATH_TEXT_MAX];
	if (!open_file(root, path, f)) {
		return false;
	}
	attribute(f->fd, "user.difusor.type", f->type, dif_class_type(path));
	attribute(f->fd, "user.difusor.cache", f->cache, "");
	attribute(f->fd, "user.difusor.sha256", f->etag, "");
	int n = snprintf(name, sizeof name, "%s.gz", path);
	if (n > 0 && (size_t)n < sizeof name && open_file(root, name, &sibling)) {
		f->varies = true;
		if (gzip) {
			close(f->fd);
			f->fd = sibling.fd;
			f->size = sibling.size;
			f->gzip = true;
		} else {
			close(sibling.fd);
		}
	}
	return true;
}

static bool has_dots(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")) != NULL; at += 2) {
		if ((at == path || at[-1] == '/') && (at[2] == '/' || at[2] == '\0')) {
			return true;
		}
	}
	return false;
}

/* The file itself, the index of a folder, or for a path without a dot in its last part the nearest
 * index.html upward. */
static bool find(int root, const char *path, bool gzip, struct found *f)
{
	char name[PATH_TEXT_MAX];
	size_t n = strlen(path);
	const char *slash = strrchr(path, '/');
	const char *last = slash != NULL ? slash + 1 : path;
	if (n > 0 && *last != '\0' && find_exactly(root, path, gzip, f)) {
		return true;
	}
	if (strchr(last, '.') != NULL || has_dots(path) || n + sizeof "/index.html" > sizeof name) {
		return false;
	}
	memcpy(name, path, n + 1);
	while (n > 0 && name[n - 1] == '/') {
		n--;
	}
	for (;;) {
		snprintf(name + n, sizeof name - n, "%sindex.html", n > 0 ? "/" : "");
		if (find_exactly(root, name, gzip, f)) {
			return true;
		}
		if (n == 0) {
			return false;
		}
		while (n > 0 && name[n - 1] != '/') {
			n--;
		}
		n -= n > 0;
	}
}

/* --- answers --- */

static enum MHD_Result answer_empty(struct MHD_Connection *c, unsigned status)
{
	static char not_found[] = "not found\n";
	bool is_404 = status == MHD_HTTP_NOT_FOUND;
	struct MHD_Response *r = MHD_create_response_from_buffer(is_404 ? sizeof not_found - 1 : 0,
	                                                         not_found, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(r, "Cache-Control", "no-store");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
		MHD_add_response_header(r, "Allow", "GET, HEAD");
	}
	enum MHD_Result result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

/* bytes=A-B, bytes=A- and bytes=-N, one range only. False: answer the whole. */
static bool parse_range(const char *range, uint64_t size, uint64_t *from, uint64_t *n)
{
	uint64_t a = 0, b = 0;
	char left[24];
	const char *dash = range != NULL ? strchr(range, '-') : NULL;
	if (dash == NULL || strncmp(range, "bytes=", 6) != 0 || strchr(range, ',') != NULL ||
	    size == 0) {
		return false;
	}
	bool has_b = dash[1] != '\0';
	if (has_b && !dif_parse_uint(dash + 1, INT64_MAX, &b)) {
		return false;
	}
	if (dash == range + 6) {
		*n = b < size ? b : size;
		*from = size - *n;
		return has_b && *n > 0;
	}
	int written = snprintf(left, sizeof left, "%.*s", (int)(dash - range - 6), range + 6);
	if (written <= 0 || (size_t)written >= sizeof left ||
	    !dif_parse_uint(left, INT64_MAX, &a) || a >= size || (has_b && b < a)) {
		return false;
	}
	*from = a;
	*n = (has_b && b < size ? b + 1 : size) - a;
	return true;
}

static void add_headers(struct MHD_Response *r, const struct found *f, const char *etag)
{
	MHD_add_response_header(r, "Content-Type", f->type);
	MHD_add_response_header(r, "Accept-Ranges", "bytes");
	MHD_add_response_header(r, "Cache-Control", f->cache[0] != '\0' ? f->cache : "no-cache");
	if (etag[0] != '\0') {
		MHD_add_response_header(r, "ETag", etag);
	}
	if (f->varies) {
		MHD_add_response_header(r, "Vary", "Accept-Encoding");
	}
	if (f->gzip) {
		MHD_add_response_header(r, "Content-Encoding", "gzip");
	}
}

static enum MHD_Result answer_file(struct MHD_Connection *c, const struct found *f)
{
	char etag[XATTR_MAX + 8] = "", span[96];
	uint64_t from = 0, n = f->size;
	unsigned status = MHD_HTTP_OK;
	if (f->etag[0] != '\0') {
		snprintf(etag, sizeof etag, "\"%s%s\"", f->etag, f->gzip ? "-gz" : "");
	}
	const char *known = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "If-None-Match");
	if (known != NULL && etag[0] != '\0' && strcmp(known, etag) == 0) {
		close(f->fd);
		return answer_empty(c, MHD_HTTP_NOT_MODIFIED);
	}
	if (parse_range(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range"), f->size, &from,
	                &n)) {
		status = MHD_HTTP_PARTIAL_CONTENT;
	}
	/* takes the descriptor */
	struct MHD_Response *r = MHD_create_response_from_fd_at_offset64(n, f->fd, from);
	if (r == NULL) {
		close(f->fd);
		return MHD_NO;
	}
	add_headers(r, f, etag);
	if (status == MHD_HTTP_PARTIAL_CONTENT) {
		snprintf(span, sizeof span, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from,
		         from + n - 1, f->size);
		MHD_add_response_header(r, "Content-Range", span);
	}
	enum MHD_Result result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *n, void **seen)
{
	static int begun;
	const struct dif_serve *s = cls;
	struct found f = {.fd = -1};
	(void)version;
	(void)data;
	if (*seen == NULL) { /* headers only; the answer comes at the second call */
		*seen = &begun;
		return MHD_YES;
	}
	if (*n > 0) { /* a body, which nothing here takes */
		*n = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
		return answer_empty(c, MHD_HTTP_METHOD_NOT_ALLOWED);
	}
	while (*url == '/') {
		url++;
	}
	if (!find(s->root, url, accepts_gzip(c), &f)) {
		return answer_empty(c, MHD_HTTP_NOT_FOUND);
	}
	return answer_file(c, &f);
}

/* --- on the loop --- */

static void on_timer(uv_timer_t *timer);

static void turn(struct dif_serve *s)
{
	MHD_UNSIGNED_LONG_LONG wait = 0;
	MHD_run(s->daemon);
	if (MHD_get_timeout(s->daemon, &wait) == MHD_YES) {
		uv_timer_start(&s->timer, on_timer, wait, 0);
	} else {
		uv_timer_stop(&s->timer);
	}
}

static void on_event(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	turn(poll->data);
}

static void on_timer(uv_timer_t *timer)
{
	turn(timer->data);
}

static bool parse_listen(const char *listen, struct sockaddr_storage *to, struct dif_error *err)
{
	char host[128], port[8];
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
	                         .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	const char *colon = strrchr(listen, ':');
	int64_t number = 0;
	if (colon == NULL || !dif_parse_int(colon + 1, 0, UINT16_MAX, &number) ||
	    (size_t)(colon - listen) >= sizeof host) {
		return dif_error_exit(
			err, DIF_EXIT_USAGE, DIF_PERMANENT,
			"could not listen on '%s': write ADDRESS:PORT, as 127.0.0.1:8080", listen);
	}
	bool is_v6 = *listen == '[' && colon > listen && colon[-1] == ']';
	snprintf(host, sizeof host, "%.*s", (int)(colon - listen - (is_v6 ? 2 : 0)),
	         listen + (is_v6 ? 1 : 0));
	snprintf(port, sizeof port, "%d", (int)number);
	int rc = getaddrinfo(host, port, &hints, &found);
	if (rc != 0) {
		return dif_error_exit(err, DIF_EXIT_USAGE, DIF_PERMANENT,
		                      "could not listen on '%s': %s", listen, gai_strerror(rc));
	}
	memcpy(to, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return true;
}

static struct MHD_Daemon *start(struct dif_serve *s, const struct sockaddr_storage *at)
{
	unsigned flags = MHD_USE_EPOLL; /* no log of its own: the caller says what failed */
	flags |= at->ss_family == AF_INET6 ? MHD_USE_IPv6 : 0;
	return MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, at,
	                        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS,
	                        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
	                        MHD_OPTION_END);
}

struct dif_serve *dif_serve_open(struct dif_engine *e, const char *folder, const char *listen,
                                 struct dif_error *err)
{
	struct sockaddr_storage at = {0};
	struct dif_serve *s = calloc(1, sizeof *s);
	if (s == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not serve '%s': out of memory", folder);
		return NULL;
	}
	s->root = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->root == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not serve '%s': %s", folder,
		              strerror(errno));
		goto fail;
	}
	if (!parse_listen(listen, &at, err)) {
		goto fail_root;
	}
	s->daemon = start(s, &at);
	if (s->daemon == NULL) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not listen on '%s': %s (is another server there?)", listen,
		              strerror(errno));
		goto fail_root;
	}
	uv_poll_init(&e->loop, &s->poll,
	             MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd);
	uv_timer_init(&e->loop, &s->timer);
	s->poll.data = s->timer.data = s;
	s->open = 2;
	uv_poll_start(&s->poll, UV_READABLE, on_event);
	turn(s);
	return s;

fail_root:
	close(s->root);
fail:
	free(s);
	return NULL;
}

uint16_t dif_serve_port(const struct dif_serve *s)
{
	return MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
}

static void on_closed(uv_handle_t *h)
{
	struct dif_serve *s = h->data;
	if (--s->open == 0) {
		MHD_stop_daemon(s->daemon);
		close(s->root);
		free(s);
	}
}

void dif_serve_close(struct dif_serve *s)
{
	uv_poll_stop(&s->poll);
	uv_close((uv_handle_t *)&s->poll, on_closed);
	uv_close((uv_handle_t *)&s->timer, on_closed);
}
