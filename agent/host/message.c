/* message - look up the peer, ask, wait, ask again, end.
 *
 *   lookup ─▶ datagram ─▶ stream ─▶ end
 *       └───────────────────▲
 *
 * One timer drives it: it ends a wait for an answer, and the whole. What it holds is closed at the
 * end, and the caller is told when the last handle is gone.
 */
#include "host/message.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/http_private.h"

#define TIMEOUT_MS 10000u
#define REPLY_MAX 65535u
#define WAIT_FIRST 1000u /* doubles */
#define DATAGRAMS 3u     /* RFC 8945 leaves it to the client; resolvers do the same */
#define LENGTH 2u        /* before a message in a stream, RFC 1035 4.2.2 */

struct dif_message_run {
	struct dif_engine *e;
	const struct dif_http_policy *policy;
	void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err);
	void *data;
	struct target target;
	struct sockaddr_storage to;
	uint32_t form, match;
	uint64_t deadline; /* loop time */
	uint8_t *out;      /* LENGTH bytes of its length before it */
	size_t out_n;      /* without them */
	uint8_t *in;
	size_t in_n, in_max;
	uint32_t sendings;

	uv_timer_t timer;
	uv_udp_t udp;
	uv_tcp_t tcp;
	uv_getaddrinfo_t lookup;
	uv_connect_t connect;
	uv_write_t write;
	bool has_udp, has_tcp, is_looking;
	uint32_t open; /* handles and requests that still call back */
	bool ended;
	const uint8_t *reply;
	size_t reply_n;
	struct dif_error err;
};

/* --- the end --- */

static void tell(struct dif_message_run *run)
{
	struct dif_reply r = {.size = sizeof r};
	if (run->reply != NULL) {
		r.status = 200;
		r.body = (struct dif_bytes){run->reply, run->reply_n};
	} else {
		r.cls = run->err.cls;
		r.body.p = "";
	}
	run->cb(run->data, &r, &run->err);
	free(run->out);
	free(run->in);
	free(run);
}

static void let_go(struct dif_message_run *run)
{
	if (--run->open == 0) {
		tell(run);
	}
}

static void on_closed(uv_handle_t *h)
{
	let_go(h->data);
}

static void end(struct dif_message_run *run)
{
	if (run->ended) {
		return;
	}
	run->ended = true;
	if (run->is_looking) {
		uv_cancel((uv_req_t *)&run->lookup); /* it calls back either way */
	}
	if (run->has_udp) {
		uv_close((uv_handle_t *)&run->udp, on_closed);
	}
	if (run->has_tcp) {
		uv_close((uv_handle_t *)&run->tcp, on_closed);
	}
	uv_close((uv_handle_t *)&run->timer, on_closed);
}

DIF_PRINTF(3, 4)
static void fail(struct dif_message_run *run, enum dif_class cls, const char *fmt, ...)
{
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!run->ended) {
		dif_error_set(&run->err, cls, "could not reach '%s': %s", run->target.shown, text);
	}
	end(run);
}

/* True: it is the answer, and the run has ended. */
static bool take(struct dif_message_run *run, const uint8_t *p, size_t n)
{
	if (n < run->match || memcmp(p, run->out + LENGTH, run->match) != 0) {
		return false;
	}
	run->reply = p;
	run->reply_n = n;
	end(run);
	return true;
}

static void on_timer(uv_timer_t *t);

static void wait_for(struct dif_message_run *run, uint64_t ms)
{
	uint64_t now = uv_now(&run->e->loop);
	uint64_t left = run->deadline > now ? run->deadline - now : 0;
	int rc = uv_timer_start(&run->timer, on_timer, ms < left ? ms : left, 0);
	assert(rc == 0);
}

/* --- a stream --- */

static void on_alloc_stream(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct dif_message_run *run = h->data;
	(void)suggested;
	*buf = uv_buf_init((char *)run->in + run->in_n, (unsigned)(run->in_max - run->in_n));
}

static void on_stream(uv_stream_t *s, ssize_t n, const uv_buf_t *buf)
{
	struct dif_message_run *run = s->data;
	(void)buf;
	if (n < 0) {
		fail(run, DIF_TRANSIENT, "%s",
		     n == UV_EOF ? "it closed the connection without an answer"
		                 : uv_strerror((int)n));
		return;
	}
	run->in_n += (size_t)n;
	while (run->in_n >= LENGTH) {
		size_t length = (size_t)run->in[0] << 8 | run->in[1];
		if (length > run->in_max - LENGTH) {
			fail(run, DIF_TRANSIENT, "its answer of %zu bytes is too long", length);
			return;
		}
		if (run->in_n < LENGTH + length || take(run, run->in + LENGTH, length)) {
			return;
		}
		run->in_n -= LENGTH + length;
		memmove(run->in, run->in + LENGTH + length, run->in_n);
	}
}

static void on_written(uv_write_t *w, int status)
{
	struct dif_message_run *run = w->data;
	if (status != 0 && status != UV_ECANCELED) {
		fail(run, DIF_TRANSIENT, "%s", uv_strerror(status));
	}
	let_go(run);
}

static void on_connected(uv_connect_t *c, int status)
{
	struct dif_message_run *run = c->data;
	if (status == 0 && !run->ended) {
		uv_buf_t buf = uv_buf_init((char *)run->out, (unsigned)(LENGTH + run->out_n));
		run->write.data = run;
		status = uv_write(&run->write, (uv_stream_t *)&run->tcp, &buf, 1, on_written);
		run->open += status == 0;
	}
	if (status == 0 && !run->ended) {
		status = uv_read_start((uv_stream_t *)&run->tcp, on_alloc_stream, on_stream);
	}
	if (status != 0) {
		fail(run, DIF_TRANSIENT, "%s", uv_strerror(status));
	}
	let_go(run);
}

static void start_stream(struct dif_message_run *run)
{
	if (run->has_tcp || run->ended) {
		return;
	}
	if (run->has_udp) { /* a late datagram would be written over what the stream brings */
		uv_udp_recv_stop(&run->udp);
	}
	int rc = uv_tcp_init(&run->e->loop, &run->tcp);
	if (rc == 0) {
		run->tcp.data = run;
		run->has_tcp = true;
		run->open++;
		run->connect.data = run;
		rc = uv_tcp_connect(&run->connect, &run->tcp, (struct sockaddr *)&run->to,
		                    on_connected);
		run->open += rc == 0;
	}
	if (rc != 0) {
		fail(run, DIF_TRANSIENT, "%s", uv_strerror(rc));
		return;
	}
	wait_for(run, UINT64_MAX);
}

/* --- datagrams --- */

static void on_alloc_datagram(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
	struct dif_message_run *run = h->data;
	(void)suggested;
	*buf = uv_buf_init((char *)run->in, (unsigned)run->in_max);
}

static void on_datagram(uv_udp_t *u, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from,
                        unsigned flags)
{
	struct dif_message_run *run = u->data;
	if (n < 0) {
		start_stream(run); /* nobody listens for datagrams there */
	} else if (from != NULL && (flags & UV_UDP_PARTIAL) == 0 && !run->ended) {
		(void)take(run, (const uint8_t *)buf->base, (size_t)n);
	}
}

static void send_datagram(struct dif_message_run *run)
{
	uv_buf_t buf = uv_buf_init((char *)run->out + LENGTH, (unsigned)run->out_n);
	int rc = uv_udp_try_send(&run->udp, &buf, 1, NULL);
	if (rc < 0 && rc != UV_EAGAIN) { /* too long for one, or refused before */
		start_stream(run);
		return;
	}
	wait_for(run, (uint64_t)WAIT_FIRST << run->sendings++);
}

static void start_datagrams(struct dif_message_run *run)
{
	int rc = uv_udp_init(&run->e->loop, &run->udp);
	if (rc == 0) {
		run->udp.data = run;
		run->has_udp = true;
		run->open++;
		/* connected: the kernel drops what comes from elsewhere */
		rc = uv_udp_connect(&run->udp, (struct sockaddr *)&run->to);
	}
	rc = rc != 0 ? rc : uv_udp_recv_start(&run->udp, on_alloc_datagram, on_datagram);
	if (rc != 0) {
		fail(run, DIF_TRANSIENT, "%s", uv_strerror(rc));
		return;
	}
	send_datagram(run);
}

static void on_timer(uv_timer_t *t)
{
	struct dif_message_run *run = t->data;
	if (uv_now(&run->e->loop) >= run->deadline) {
		fail(run, DIF_TRANSIENT, "there was no answer");
	} else if (run->sendings < DATAGRAMS) {
		send_datagram(run);
	} else {
		start_stream(run);
	}
}

/* --- the beginning --- */

static void set_port(struct dif_message_run *run)
{
	if (run->to.ss_family == AF_INET) {
		((struct sockaddr_in *)(void *)&run->to)->sin_port =
			htons((uint16_t)run->target.port);
	} else {
		((struct sockaddr_in6 *)(void *)&run->to)->sin6_port =
			htons((uint16_t)run->target.port);
	}
}

static void go(struct dif_message_run *run)
{
	set_port(run);
	if (run->form == DIF_EXCHANGE_STREAM) {
		start_stream(run);
	} else {
		start_datagrams(run);
	}
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct dif_message_run *run = req->data;
	bool good = false;
	run->is_looking = false;
	for (const struct addrinfo *a = found; a != NULL && !good && !run->ended; a = a->ai_next) {
		good = a->ai_addrlen <= sizeof run->to &&
		       dif_http_may_reach(&run->target, run->policy, 0, a->ai_addr, &run->err);
		if (good) {
			memcpy(&run->to, a->ai_addr, a->ai_addrlen);
		}
	}
	uv_freeaddrinfo(found);
	if (good) {
		dif_error_clear(&run->err);
		go(run);
	} else if (status != 0) {
		fail(run, DIF_TRANSIENT, "%s", uv_strerror(status));
	} else {
		end(run); /* no address that may be spoken to: err says which, and why */
	}
	let_go(run);
}

static void look_up(struct dif_message_run *run)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	run->lookup.data = run;
	int rc = uv_getaddrinfo(&run->e->loop, &run->lookup, on_looked_up, run->target.host, NULL,
	                        &hints);
	if (rc != 0) {
		fail(run, DIF_TRANSIENT, "%s", uv_strerror(rc));
		return;
	}
	run->is_looking = true;
	run->open++;
}

/* True: the peer and its address, as far as they are known, may be spoken to. */
static bool check(struct dif_message_run *run, const struct dif_exchange_call *call)
{
	char url[HOST_MAX + 32];
	(void)snprintf(url, sizeof url, "https://%s/", call->peer);
	return dif_http_target(&run->target, url, "exchange", &run->err) &&
	       dif_http_may_ask(&run->target, run->policy, 0, &run->err);
}

static bool copy(struct dif_message_run *run, const struct dif_exchange_call *call)
{
	run->out = malloc(LENGTH + call->send.n + 1);
	run->in = malloc(run->in_max);
	if (run->out == NULL || run->in == NULL) {
		dif_error_set(&run->err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	run->out_n = (size_t)call->send.n;
	run->out[0] = (uint8_t)(run->out_n >> 8);
	run->out[1] = (uint8_t)run->out_n;
	memcpy(run->out + LENGTH, call->send.p, run->out_n);
	return true;
}

struct dif_message_run *
dif_message_start(struct dif_engine *e, const struct dif_exchange_call *call,
                  const struct dif_http_policy *policy,
                  void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err),
                  void *data)
{
	struct dif_message_run *run = calloc(1, sizeof *run);
	assert(run != NULL); /* as in host/http: a caller that gets no run would wait for ever */
	uint32_t own = policy->timeout_ms != 0 ? policy->timeout_ms : TIMEOUT_MS;
	uint32_t max =
		call->reply_max != 0 && call->reply_max < REPLY_MAX ? call->reply_max : REPLY_MAX;
	run->e = e;
	run->policy = policy;
	run->cb = cb;
	run->data = data;
	run->form = call->form;
	run->match = call->match;
	run->in_max = LENGTH + max;
	run->deadline = uv_now(&e->loop) + (call->timeout_ms != 0 ? call->timeout_ms : own);
	int rc = uv_timer_init(&e->loop, &run->timer);
	assert(rc == 0);
	run->timer.data = run;
	run->open = 1;
	if (!check(run, call) || !copy(run, call)) {
		end(run);
	} else if (uv_ip4_addr(run->target.host, 0, (struct sockaddr_in *)(void *)&run->to) == 0 ||
	           uv_ip6_addr(run->target.host, 0, (struct sockaddr_in6 *)(void *)&run->to) == 0) {
		go(run);
	} else {
		look_up(run);
	}
	return run;
}

void dif_message_cancel(struct dif_message_run *run)
{
	if (!run->ended) {
		dif_error_set(&run->err, DIF_CANCELED, "it was canceled");
	}
	end(run);
}
