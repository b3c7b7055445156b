#include "host/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "support.h"
#include "unit/support/peer.h"
#include "unit/support/pki.h"

/* --- a world: engine, peer, policy --- */

struct world {
	struct dif_engine *engine;
	struct peer *peer;
	char host[64], url[128];
	const char *hosts[2];
	struct dif_http_policy policy;
	struct dif_http_call *calls[512];
};

struct answer {
	int calls, status;
	bool sent;
	char body[4096], fields[4096], tls[16];
	uint64_t body_size, sunk;
	int64_t retry_after;
	uint32_t nfields;
	double rate;
	struct dif_error err;
};

static void on_answer(void *data, const struct dif_http_response *r)
{
	struct answer *a = data;
	a->calls++;
	a->status = r->status;
	a->sent = r->sent;
	a->body_size = r->body.n;
	a->sunk = r->sunk;
	a->retry_after = r->retry_after_ms;
	a->nfields = r->nfields;
	a->rate = r->bytes_per_s;
	a->err = r->err;
	assert_int_equal(((const char *)r->body.p)[r->body.n], '\0');
	snprintf(a->body, sizeof a->body, "%s", (const char *)r->body.p);
	snprintf(a->tls, sizeof a->tls, "%s", r->tls != NULL ? r->tls : "");
	size_t n = 0;
	for (uint32_t i = 0; i < r->nfields && n < sizeof a->fields; i++) {
		n += (size_t)snprintf(a->fields + n, sizeof a->fields - n, "%s=%s\n",
		                      r->fields[i].name, r->fields[i].value);
	}
}

static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r);

static void open_world(struct world *w, const char *tls, int max_tls)
{
	*w = (struct world){.engine = dif_engine_new(NULL)};
	assert_non_null(w->engine);
	w->peer = peer_start(reply, w, tls, max_tls);
	snprintf(w->host, sizeof w->host, "127.0.0.1:%u", peer_port(w->peer));
	snprintf(w->url, sizeof w->url, "%s://%s", tls != NULL ? "https" : "http", w->host);
	w->hosts[0] = w->host;
	w->policy.hosts = w->hosts;
	w->policy.ca_file = tls != NULL ? test_path("good-ca.pem") : NULL;
}

static void close_world(struct world *w)
{
	dif_engine_free(w->engine);
	peer_stop(w->peer);
}

static void wait_for(struct world *w, const struct answer *a, int n)
{
	while (a->calls < n) {
		uv_run(&w->engine->loop, UV_RUN_ONCE);
	}
}

static void begin(struct world *w, const char *path, struct dif_http_request q, struct answer *a,
                  size_t slot)
{
	char url[256];
	snprintf(url, sizeof url, "%s%s", w->url, path);
	q.url = url;
	q.method = q.method != NULL ? q.method : "GET";
	q.policy = q.policy != NULL ? q.policy : &w->policy;
	int before = a->calls;
	w->calls[slot] = dif_http_start(w->engine->http, &q, on_answer, a);
	assert_non_null(w->calls[slot]);
	assert_int_equal(a->calls, before); /* never before start returns */
}

static struct answer ask(struct world *w, const char *path, struct dif_http_request q)
{
	struct answer a = {0};
	begin(w, path, q, &a, 0);
	wait_for(w, &a, 1);
	assert_int_equal(a.calls, 1);
	return a;
}

/* --- what the peer says --- */

static void reply_echo(void *conn, const struct peer_request *r)
{
	char text[9216];
	int n = snprintf(text, sizeof text, "%s %s %llu %llu %u\n%s", r->method, r->path,
	                 (unsigned long long)r->body_size, (unsigned long long)r->body_sum,
	                 r->sends, r->head);
	peer_send(conn,
	          "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"e1\"\r\nX-Two:  a b \r\n\r\n",
	          n);
	if (strcmp(r->method, "HEAD") != 0) {
		peer_send_bytes(conn, text, (size_t)n);
	}
}

static void reply_bytes(void *conn, const char *head, size_t n)
{
	char *p = malloc(n + 1);
	memset(p, 'x', n);
	peer_send(conn, "HTTP/1.1 %s\r\nContent-Length: %zu\r\n\r\n", head, n);
	peer_send_bytes(conn, p, n);
	free(p);
}

static const struct {
	const char *path, *text;
	enum peer_end end;
} canned[] = {
	{"/truncated", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789", PEER_CLOSE},
	{"/garbage", "hello, who are you?\r\n\r\n", PEER_CLOSE},
	{"/redirect", "HTTP/1.1 302 Found\r\nLocation: /echo\r\nContent-Length: 0\r\n\r\n",
         PEER_KEEP},
	{"/busy", "HTTP/1.1 503 Slow\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy",
         PEER_KEEP},
	{"/date",
         "HTTP/1.1 429 Slow\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
         "Content-Length: 0\r\n\r\n",
         PEER_KEEP},
	{"/nonsense", "HTTP/1.1 503 Slow\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n",
         PEER_KEEP},
	{"/empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", PEER_KEEP},
	{"/chunked",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
         "5\r\nhello\r\n0\r\nX-Trailer: no\r\n\r\n",
         PEER_KEEP},
	{"/part",
         "HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-104/200\r\nETag: \"t\"\r\n"
         "Content-Length: 5\r\n\r\nhello",
         PEER_KEEP},
	{"/shortpart",
         "HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-109/200\r\nETag: \"t\"\r\n"
         "Connection: close\r\n\r\nhello",
         PEER_CLOSE},
	{"/longpart",
         "HTTP/1.1 206 Partial\r\nContent-Range: bytes 100-101/200\r\nETag: \"t\"\r\n"
         "Connection: close\r\n\r\nhello",
         PEER_CLOSE},
	{"/hang", "", PEER_HANG},
	{"/reset", "", PEER_RESET},
	{"/hungup", "", PEER_CLOSE},
	{"/early", "HTTP/1.1 403 No\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno",
         PEER_HANG},
};

static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r)
{
	(void)p;
	for (size_t i = 0; i < DIF_LEN(canned); i++) {
		if (strcmp(r->path, canned[i].path) == 0) {
			peer_send_bytes(conn, canned[i].text, strlen(canned[i].text));
			return canned[i].end;
		}
	}
	if (strcmp(r->path, "/once") == 0 && r->nth > 0) {
		return PEER_CLOSE; /* only a fresh connection gets an answer */
	}
	if (strncmp(r->path, "/bytes/", 7) == 0) {
		reply_bytes(conn, "200 OK", strtoul(r->path + 7, NULL, 10));
	} else if (strncmp(r->path, "/error/", 7) == 0) {
		reply_bytes(conn, "500 Bad", strtoul(r->path + 7, NULL, 10));
	} else if (strcmp(r->path, "/headers") == 0) {
		peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n");
		for (int i = 0; i < 200; i++) {
			peer_send(conn, "X-%d: v\r\n", i);
		}
		peer_send(conn, "\r\n");
	} else {
		reply_echo(conn, r);
	}
	return PEER_KEEP;
}

/* --- a body that keeps its reader waiting --- */

struct slow {
	struct dif_body body;
	struct dif_blob blob;
	uv_loop_t *loop;
	uint64_t breaks_at; /* 0: never */
	unsigned opened, closed, laters;
};

struct dif_body_stream {
	struct slow *slow;
	uint64_t at;
	bool later;
	void (*ready)(void *data);
	void *data;
	uv_timer_t timer;
};

static void on_ready(uv_timer_t *t)
{
	struct dif_body_stream *s = t->data;
	s->ready(s->data);
}

static const void *no_view(struct dif_body *b)
{
	(void)b;
	return NULL;
}

static struct dif_body_stream *slow_open(struct dif_body *b, uint64_t offset, void (*ready)(void *),
                                         void *data)
{
	struct dif_body_stream *s = calloc(1, sizeof *s);
	s->slow = (struct slow *)(void *)b;
	s->at = offset;
	s->ready = ready;
	s->data = data;
	uv_timer_init(s->slow->loop, &s->timer);
	s->timer.data = s;
	s->slow->opened++;
	return s;
}

static unsigned char byte_at(uint64_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static int64_t slow_read(struct dif_body_stream *s, void *to, size_t max)
{
	s->later = !s->later;
	if (s->later) {
		s->slow->laters++;
		uv_timer_start(&s->timer, on_ready, 0, 0);
		return DIF_BODY_LATER;
	}
	if (s->slow->breaks_at != 0 && s->at >= s->slow->breaks_at) {
		return DIF_BODY_BROKEN;
	}
	size_t n = max < 50000 ? max : 50000;
	for (size_t i = 0; i < n; i++) {
		((unsigned char *)to)[i] = byte_at(s->at + i);
	}
	s->at += n;
	return (int64_t)n;
}

static void on_slow_closed(uv_handle_t *h)
{
	free(h->data);
}

static void slow_close(struct dif_body_stream *s)
{
	s->slow->closed++;
	uv_close((uv_handle_t *)&s->timer, on_slow_closed);
}

static const struct dif_body_ops slow_ops = {no_view, slow_open, slow_read, slow_close};

static struct dif_piece slow_piece(struct slow *s, struct world *w, uint64_t size)
{
	*s = (struct slow){.body = {&slow_ops, size}, .loop = &w->engine->loop};
	s->blob = (struct dif_blob){.size = size, .host = (uint64_t)(uintptr_t)&s->body};
	return (struct dif_piece){.blob = &s->blob, .length = size};
}

static void assert_echo(const struct answer *a, const char *what, uint64_t n, uint64_t sum)
{
	char want[128];
	assert_int_equal(a->err.cls, DIF_OK);
	assert_int_equal(a->status, 200);
	snprintf(want, sizeof want, "%s %llu %llu ", what, (unsigned long long)n,
	         (unsigned long long)sum);
	assert_memory_equal(a->body, want, strlen(want));
}

static uint64_t sum_of(uint64_t n)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++) {
		sum += byte_at(i);
	}
	return sum;
}

/* --- a sink --- */

struct keep {
	struct dif_sink sink;
	char got[1 << 17];
	size_t n;
	unsigned begun;
	uint64_t offset;
	bool refuse_begin, refuse_write;
};

static bool keep_begin(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct keep *k = (struct keep *)(void *)sink;
	k->begun++;
	k->offset = offset;
	k->n = 0;
	dif_error_set(k->refuse_begin ? err : NULL, DIF_PERMANENT, "could not keep it: no room");
	return !k->refuse_begin;
}

static bool keep_write(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct keep *k = (struct keep *)(void *)sink;
	if (k->refuse_write || n > sizeof k->got - k->n) {
		dif_error_set(err, DIF_PERMANENT, "could not keep it: disk full");
		return false;
	}
	memcpy(k->got + k->n, p, n);
	k->n += n;
	return true;
}

static struct keep *new_keep(void)
{
	struct keep *k = calloc(1, sizeof *k);
	k->sink = (struct dif_sink){keep_begin, keep_write};
	return k;
}

/* --- tests: requests and replies --- */

TEST(get_gives_status_headers_and_body)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = ask(&w, "/a%2Fb/../c?q=1", (struct dif_http_request){0});
	assert_echo(&a, "GET /a%2Fb/../c?q=1", 0, 0); /* byte for byte as it was signed */
	assert_true(a.sent);
	assert_string_equal(a.tls, "");
	assert_non_null(strstr(a.fields, "etag=\"e1\"\nx-two=a b\n"));
	assert_int_equal(a.retry_after, -1);
	assert_null(strcasestr(a.body, "accept:"));
	assert_null(strcasestr(a.body, "content-length:"));
	close_world(&w);
}

TEST(a_connection_serves_many_requests)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	static const char *const methods[] = {"GET",   "HEAD", "DELETE", "PUT",
	                                      "PURGE", "GET",  "POST"};
	for (size_t i = 0; i < 3 * DIF_LEN(methods); i++) {
		const char *m = methods[i % DIF_LEN(methods)];
		struct answer a = ask(&w, "/echo", (struct dif_http_request){.method = m});
		assert_int_equal(a.status, 200);
		if (strcmp(m, "HEAD") != 0) {
			assert_memory_equal(a.body, m, strlen(m));
		}
		bool zero = strcmp(m, "PUT") == 0 || strcmp(m, "POST") == 0;
		assert_int_equal(strcasestr(a.body, "content-length: 0") != NULL, zero);
	}
	assert_int_equal(peer_connections(w.peer), 1);
	close_world(&w);
}

TEST(header_and_small_body_leave_in_one_send)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	char bytes[4096];
	memset(bytes, 1, sizeof bytes);
	struct dif_body_bytes body;
	dif_body_bytes_init(&body, bytes, sizeof bytes);
	struct dif_blob blob = {.size = sizeof bytes, .host = (uint64_t)(uintptr_t)&body.body};
	struct dif_field fields[] = {{"Content-Type", "text/css"}, {"X-Nothing", ""}};
	struct dif_piece piece = {.blob = &blob, .offset = 96, .length = 4000};
	struct dif_http_request q = {
		.method = "PUT", .fields = fields, .nfields = 2, .body = &piece, .npieces = 1};
	struct answer a = ask(&w, "/k", q);
	assert_echo(&a, "PUT /k", 4000, 4000);
	assert_non_null(strstr(a.body, "PUT /k 4000 4000 1\n"));
	assert_non_null(strstr(a.body, "Content-Type: text/css\r\n"));
	assert_non_null(strstr(a.body, "X-Nothing:"));
	assert_non_null(strstr(a.body, "Content-Length: 4000\r\n"));
	assert_null(strcasestr(a.body, "expect"));

	struct dif_piece pieces[] = {{.bytes = {"ab", 2}},
	                             {.blob = &blob, .length = 10},
	                             {.bytes = {NULL, 0}},
	                             {.bytes = {"c", 1}}};
	q.body = pieces;
	q.npieces = 4;
	a = ask(&w, "/k", q);
	assert_non_null(strstr(a.body, "PUT /k 13 304 1\n"));
	close_world(&w);
}

TEST(large_bodies_arrive_whole)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	size_t n = 3 << 20;
	unsigned char *bytes = malloc(n);
	for (size_t i = 0; i < n; i++) {
		bytes[i] = byte_at(i);
	}
	struct dif_piece one = {.bytes = {bytes, n}};
	struct dif_http_request q = {.method = "PUT", .body = &one, .npieces = 1};
	struct answer a = ask(&w, "/view", q);
	assert_echo(&a, "PUT /view", n, sum_of(n));
	assert_null(strstr(a.fields, "x-early")); /* of 100 Continue */

	struct slow slow;
	struct dif_piece pieces[] = {
		{.bytes = {"head", 4}}, slow_piece(&slow, &w, n), {.bytes = {bytes, 100000}}};
	q.body = pieces;
	q.npieces = 3;
	a = ask(&w, "/mixed", q);
	assert_echo(&a, "PUT /mixed", n + 100004,
	            sum_of(n) + sum_of(100000) + 'h' + 'e' + 'a' + 'd');
	assert_int_equal(slow.opened, 1);
	assert_int_equal(slow.closed, 1);
	assert_true(slow.laters > 10);
	close_world(&w);
	free(bytes);
}

TEST(a_dead_kept_connection_costs_a_rewind_not_a_failure)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = ask(&w, "/echo", (struct dif_http_request){0});
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w, 300000);
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	a = ask(&w, "/once", q);
	assert_echo(&a, "PUT /once", 300000, sum_of(300000));
	assert_int_equal(slow.opened, 2);
	assert_int_equal(slow.closed, 2);
	assert_int_equal(peer_connections(w.peer), 2);
	close_world(&w);
}

TEST(content_that_breaks_is_an_integrity_failure)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w, 500000);
	slow.breaks_at = 100000;
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	struct answer a = ask(&w, "/k", q);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_INTEGRITY);
	assert_int_equal(slow.closed, slow.opened);
	close_world(&w);
}

TEST(a_refusal_ends_a_large_upload_early)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w, 200 << 20);
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	struct answer a = ask(&w, "/early", q);
	assert_int_equal(a.status, 403);
	assert_string_equal(a.body, "no");
	assert_int_equal(slow.closed, slow.opened);
	close_world(&w);
}

TEST(failures_have_class_code_and_sentence)
{
	UNUSED_STATE;
	static const struct {
		const char *path, *code, *text;
		bool sent;
	} rows[] = {
		{"/truncated", "truncated", "the reply ended early", true},
		{"/hungup", "", "without a reply", true},
		{"/reset", "", "hung up", true},
		{"/garbage", "", "not HTTP", true},
		{"/hang", "timeout", "no byte for 300 ms", true},
	};
	struct world w;
	open_world(&w, NULL, 0);
	w.policy.idle_timeout_ms = 300;
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		struct answer a = ask(&w, rows[i].path, (struct dif_http_request){0});
		assert_int_equal(a.status, 0);
		assert_int_equal(a.err.cls, DIF_TRANSIENT);
		assert_string_equal(a.err.code, rows[i].code);
		assert_non_null(strstr(a.err.text, rows[i].text));
		assert_memory_equal(a.err.text, "could not reach '127.0.0.1:", 27);
		assert_int_equal(a.sent, rows[i].sent);
	}
	w.policy.idle_timeout_ms = 0;
	struct answer a = ask(&w, "/hang", (struct dif_http_request){.timeout_ms = 300});
	assert_string_equal(a.err.code, "timeout");
	assert_non_null(strstr(a.err.text, "not done after 300 ms"));
	close_world(&w);
}

TEST(a_refused_connection_was_not_sent)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	peer_stop(w.peer);
	struct dif_piece piece = {.bytes = {"x", 1}};
	struct answer a = ask(
		&w, "/", (struct dif_http_request){.method = "PUT", .body = &piece, .npieces = 1});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_TRANSIENT);
	assert_string_equal(a.err.code, "connect");
	assert_non_null(strstr(a.err.text, "Connection refused"));
	assert_false(a.sent);
	dif_engine_free(w.engine);
}

TEST(no_descriptor_is_a_local_fault)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = ask(&w, "/echo", (struct dif_http_request){.method = "GET"});
	assert_int_equal(a.status, 200);
	peer_stop(w.peer);
	struct rlimit old, low;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = (struct rlimit){64, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	int fds[64], n = 0;
	while (n < 64 && (fds[n] = open("/dev/null", O_RDONLY | O_CLOEXEC)) != -1) {
		n++;
	}
	assert_int_equal(errno, EMFILE);
	/* The kept connection may be there still; another port is not. */
	snprintf(w.host, sizeof w.host, "127.0.0.1:9");
	snprintf(w.url, sizeof w.url, "http://127.0.0.1:9");
	a = ask(&w, "/", (struct dif_http_request){0});
	while (n > 0) {
		close(fds[--n]);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(a.err.cls, DIF_TRANSIENT);
	assert_string_equal(a.err.code, "local");
	assert_false(a.sent);
	dif_engine_free(w.engine);
}

TEST(redirects_are_answers_and_waits_are_told)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = ask(&w, "/redirect", (struct dif_http_request){0});
	assert_int_equal(a.status, 302);
	assert_non_null(strstr(a.fields, "location=/echo\n"));
	a = ask(&w, "/busy", (struct dif_http_request){0});
	assert_int_equal(a.status, 503);
	assert_int_equal(a.retry_after, 7000);
	assert_string_equal(a.body, "busy");
	a = ask(&w, "/date", (struct dif_http_request){0});
	assert_int_equal(a.retry_after, 0);
	a = ask(&w, "/nonsense", (struct dif_http_request){0});
	assert_int_equal(a.retry_after, -1);
	a = ask(&w, "/chunked", (struct dif_http_request){0});
	assert_string_equal(a.body, "hello");
	assert_null(strstr(a.fields, "x-trailer"));
	close_world(&w);
}

TEST(replies_are_bounded)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = ask(&w, "/bytes/1000", (struct dif_http_request){.reply_max = 1000});
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_size, 1000);
	a = ask(&w, "/bytes/1001", (struct dif_http_request){.reply_max = 1000});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "larger than 1000 bytes"));
	a = ask(&w, "/bytes/1048577", (struct dif_http_request){0});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	a = ask(&w, "/error/5000", (struct dif_http_request){.reply_max = 1000});
	assert_int_equal(a.status, 500); /* a failure's status is worth more than its page */
	assert_int_equal(a.body_size, 1000);
	a = ask(&w, "/headers", (struct dif_http_request){0});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "128 headers"));
	close_world(&w);
}

/* --- tests: sinks --- */

TEST(a_sink_takes_only_what_was_asked_for)
{
	UNUSED_STATE;
	static const struct {
		const char *path;
		uint64_t offset;
		const char *tag;
		unsigned begun;
		int status;
		uint64_t sunk, body;
		enum dif_class cls;
	} rows[] = {
		{"/bytes/100000", 0, NULL, 1, 200, 100000, 0, DIF_OK},
		{"/empty", 0, NULL, 1, 200, 0, 0, DIF_OK},
		{"/error/10", 0, NULL, 0, 500, 0, 10, DIF_OK},
		{"/part", 100, "\"t\"", 1, 206, 5, 0, DIF_OK},
		{"/part", 100, NULL, 1, 206, 5, 0, DIF_OK},
		{"/part", 100, "\"u\"", 0, 206, 0, 5, DIF_OK},
		{"/part", 99, "\"t\"", 0, 206, 0, 5, DIF_OK},
		/* the whole object where a part was asked for is cut short */
		{"/bytes/50000000", 100, "\"t\"", 0, 200, 0, 1000, DIF_OK},
		{"/shortpart", 100, "\"t\"", 1, 0, 5, 0, DIF_TRANSIENT},
		{"/longpart", 100, "\"t\"", 1, 0, 0, 0, DIF_INTEGRITY},
		{"/truncated", 0, NULL, 1, 0, 10, 0, DIF_TRANSIENT},
	};
	struct world w;
	open_world(&w, NULL, 0);
	struct keep *k = new_keep();
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		k->begun = 0;
		struct answer a = ask(&w, rows[i].path,
		                      (struct dif_http_request){.sink = &k->sink,
		                                                .sink_offset = rows[i].offset,
		                                                .sink_tag = rows[i].tag,
		                                                .reply_max = 1000});
		assert_int_equal(a.status, rows[i].status);
		assert_int_equal(a.err.cls, rows[i].cls);
		assert_int_equal(k->begun, rows[i].begun);
		assert_int_equal(a.sunk, rows[i].sunk);
		assert_int_equal(a.body_size, rows[i].body);
		if (rows[i].begun > 0) {
			assert_int_equal(k->offset, rows[i].offset);
			assert_int_equal(k->n, rows[i].sunk);
		}
	}
	struct answer a = ask(&w, "/bytes/100000", (struct dif_http_request){.sink = &k->sink});
	assert_true(a.rate > 0);
	free(k);
	close_world(&w);
}

TEST(a_sink_that_refuses_fails_the_call)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct keep *k = new_keep();
	k->refuse_begin = true;
	struct answer a = ask(&w, "/bytes/10", (struct dif_http_request){.sink = &k->sink});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_string_equal(a.err.text, "could not keep it: no room");
	k->refuse_begin = false;
	k->refuse_write = true;
	a = ask(&w, "/bytes/10", (struct dif_http_request){.sink = &k->sink});
	assert_string_equal(a.err.text, "could not keep it: disk full");
	free(k);
	close_world(&w);
}

TEST(a_sink_in_memory_starts_afresh)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct dif_buf buf;
	dif_buf_init(&buf, 1000);
	struct dif_sink_buf s;
	dif_sink_buf_init(&s, &buf);
	struct answer a = ask(&w, "/bytes/1001", (struct dif_http_request){.sink = &s.sink});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	a = ask(&w, "/bytes/30", (struct dif_http_request){.sink = &s.sink});
	assert_int_equal(a.status, 200);
	assert_int_equal(buf.n, 30);
	dif_buf_fini(&buf);
	close_world(&w);
}

/* --- tests: cancel and close --- */

TEST(cancel_calls_back_once)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = {0};
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w, 200 << 20);
	/* at once; in flight, with a body on its way; while it waits for an answer */
	begin(&w, "/echo", (struct dif_http_request){0}, &a, 0);
	dif_http_cancel(w.calls[0]);
	dif_http_cancel(w.calls[0]);
	assert_int_equal(a.calls, 0);
	wait_for(&w, &a, 1);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	assert_false(a.sent);
	begin(&w, "/k", (struct dif_http_request){.method = "PUT", .body = &piece, .npieces = 1},
	      &a, 0);
	while (slow.laters < 3) {
		uv_run(&w.engine->loop, UV_RUN_ONCE);
	}
	dif_http_cancel(w.calls[0]);
	wait_for(&w, &a, 2);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	assert_true(a.sent);
	assert_int_equal(slow.opened, slow.closed);
	begin(&w, "/hang", (struct dif_http_request){0}, &a, 0);
	while (peer_requests(w.peer) < 2) {
		uv_run(&w.engine->loop, UV_RUN_ONCE);
	}
	dif_http_cancel(w.calls[0]);
	wait_for(&w, &a, 3);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	struct answer b = ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(b.status, 200);
	assert_int_equal(a.calls, 3);
	close_world(&w);
}

TEST(more_calls_than_connections_wait_their_turn)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = {0}, canceled = {0};
	for (size_t i = 0; i < 400; i++) {
		begin(&w, "/echo", (struct dif_http_request){0}, &a, i);
	}
	begin(&w, "/echo", (struct dif_http_request){0}, &canceled, 400);
	dif_http_cancel(w.calls[400]); /* queued */
	wait_for(&w, &a, 400);
	assert_int_equal(a.status, 200);
	assert_int_equal(canceled.calls, 1);
	assert_int_equal(canceled.err.cls, DIF_CANCELED);
	assert_true(peer_connections(w.peer) <= 320);
	close_world(&w);
}

TEST(close_cancels_what_runs)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct answer a = {0};
	for (size_t i = 0; i < 330; i++) {
		begin(&w, "/hang", (struct dif_http_request){0}, &a, i);
	}
	while (peer_requests(w.peer) < 10) {
		uv_run(&w.engine->loop, UV_RUN_ONCE);
	}
	dif_http_client_close(w.engine->http);
	dif_http_client_close(w.engine->http);
	struct answer late = {0};
	begin(&w, "/echo", (struct dif_http_request){0}, &late, 400);
	close_world(&w);
	assert_int_equal(a.calls, 330);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	assert_int_equal(late.calls, 1);
	assert_int_equal(late.err.cls, DIF_CANCELED);
}

/* A caller that starts the next request in the callback of the last. */
struct chain {
	struct world *w;
	int left;
};

static void on_link(void *data, const struct dif_http_response *r)
{
	struct chain *c = data;
	assert_int_equal(r->status, 200);
	if (--c->left > 0) {
		char url[256];
		snprintf(url, sizeof url, "%s/echo", c->w->url);
		struct dif_http_request q = {.method = "GET", .url = url, .policy = &c->w->policy};
		dif_http_start(c->w->engine->http, &q, on_link, c);
	}
}

TEST(a_callback_may_start_the_next_call)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct chain chain = {&w, 51};
	struct dif_http_response first = {.status = 200};
	on_link(&chain, &first);
	dif_engine_run(w.engine); /* ends by itself: kept connections hold no loop */
	assert_int_equal(chain.left, 0);
	assert_int_equal(peer_connections(w.peer), 1);
	close_world(&w);
}

/* --- tests: TLS --- */

TEST(tls_is_verified)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, "good", 0);
	struct dif_piece piece = {.bytes = {"x", 1}};
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	struct answer a = ask(&w, "/k", q);
	assert_echo(&a, "PUT /k", 1, 'x');
	assert_string_equal(a.tls, "TLSv1.3");
	a = ask(&w, "/k", q);
	assert_string_equal(a.tls, "TLSv1.3");
	assert_int_equal(peer_connections(w.peer), 1);

	/* neither another authority, nor the system's, nor a missing file; the kept connection of
	 * the first policy does not help them */
	const char *others[] = {test_path("other-ca.pem"), NULL, test_path("missing.pem")};
	for (size_t i = 0; i < DIF_LEN(others); i++) {
		struct dif_http_policy p = w.policy;
		p.ca_file = others[i];
		q.policy = &p;
		a = ask(&w, "/k", q);
		assert_int_equal(a.status, 0);
		assert_int_equal(a.err.cls, DIF_PERMANENT);
		assert_string_equal(a.err.code, "tls");
		assert_false(a.sent);
	}
	close_world(&w);
}

TEST(the_name_in_the_certificate_counts)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, "good", 0);
	snprintf(w.host, sizeof w.host, "localhost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "https://%s", w.host);
	struct answer a = ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.status, 200);
	snprintf(w.host, sizeof w.host, "x.localhost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "https://%s", w.host);
	w.policy.private_network = true;
	a = ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_string_equal(a.err.code, "tls");
	close_world(&w);
}

TEST(tls_below_1_2_is_refused)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, "good", TLS1_2_VERSION);
	struct answer a = ask(&w, "/echo", (struct dif_http_request){0});
	assert_string_equal(a.tls, "TLSv1.2");
	close_world(&w);
	open_world(&w, "good", TLS1_1_VERSION);
	a = ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_string_equal(a.err.code, "tls");
	close_world(&w);
}

/* --- tests: policy --- */

TEST(only_permitted_places_are_asked)
{
	UNUSED_STATE;
	static const struct {
		const char *url, *host;
		bool plain, private_network;
		uint32_t flags;
		const char *why;
	} rows[] = {
		{"https://a.example/", "b.example", false, false, 0, "not one of the hosts"},
		{"https://a.example:444/", "a.example", false, false, 0, "not one of the hosts"},
		{"https://a.example/", "a.example:444", false, false, 0, "not one of the hosts"},
		{"https://a.example.evil/", "a.example", false, false, 0, "not one of the hosts"},
		{"https://evil@a.example/", "a.example", false, false, 0, "not of the form"},
		{"https://a.example/ x", "a.example", false, false, 0, "not of the form"},
		{"https://a.example/\r\nX: y", "a.example", false, false, 0, "not of the form"},
		{"https://a.example/#f", "a.example", false, false, 0, "not of the form"},
		{"https://a.ex\xc3\xa1mple/", "a.example", false, false, 0, "not of the form"},
		{"ftp://a.example/", "a.example", false, false, 0, "not of the form"},
		{"file:///etc/passwd", "a.example", false, false, 0, "not of the form"},
		{"a.example/", "a.example", false, false, 0, "not of the form"},
		{"", "a.example", false, false, 0, "not of the form"},
		{"http://8.8.8.8/", "8.8.8.8", true, true, 0, "plain HTTP is not for public"},
		{"http://10.0.0.1/", "10.0.0.1", false, false, 0, "plain = yes"},
		{"http://[fd00::1]/", "[fd00::1]", false, true, 0, "plain = yes"},
		{"http://169.254.169.254/", "169.254.169.254", true, true, 0, "only a login"},
		{"http://[fd00:ec2::254]/", "[fd00:ec2::254]", true, true, 0, "only a login"},
		{"https://[::ffff:169.254.169.254]/", "[::ffff:a9fe:a9fe]", true, true, 0,
	         "not one"},
		{"https://0.0.0.0/", "0.0.0.0", true, true, 0, "no host can have it"},
		{"https://[::]/", "::", true, true, 0, "no host can have it"},
		{"https://224.0.0.1/", "224.0.0.1", true, true, 0, "no host can have it"},
		{"http://127.0.0.1/", "10.0.0.1", true, true, DIF_HTTP_LINK_LOCAL,
	         "not one of the"},
	};
	struct world w;
	open_world(&w, NULL, 0);
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		const char *hosts[] = {rows[i].host, NULL};
		struct dif_http_policy p = {.hosts = hosts,
		                            .plain = rows[i].plain,
		                            .private_network = rows[i].private_network};
		snprintf(w.url, sizeof w.url, "%s", rows[i].url);
		struct answer a = ask(
			&w, "", (struct dif_http_request){.policy = &p, .flags = rows[i].flags});
		assert_int_equal(a.status, 0);
		assert_int_equal(a.err.cls, DIF_PERMANENT);
		if (strstr(a.err.text, rows[i].why) == NULL) {
			fail_msg("%s: %s", rows[i].url, a.err.text);
		}
		assert_false(a.sent);
	}
	assert_int_equal(peer_connections(w.peer), 0);
	close_world(&w);
}

TEST(a_name_that_resolves_inwards_needs_permission)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	snprintf(w.host, sizeof w.host, "cloud.localhost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "http://%s", w.host);
	struct dif_http_policy inside = w.policy;
	inside.private_network = true;
	struct answer a = ask(&w, "/echo", (struct dif_http_request){.policy = &w.policy});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "is a loopback address: private_network = yes"));
	a = ask(&w, "/echo", (struct dif_http_request){.policy = &inside});
	assert_int_equal(a.status, 200);
	/* also over the connection that the other section was allowed to make */
	a = ask(&w, "/echo", (struct dif_http_request){.policy = &w.policy});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_false(a.sent);
	assert_int_equal(peer_requests(w.peer), 1);
	close_world(&w);
}

TEST(localhost_in_the_list_is_permission_enough)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	snprintf(w.host, sizeof w.host, "LocalHost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "http://localhost:%u", peer_port(w.peer));
	struct answer a = ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.status, 200);
	close_world(&w);
}

TEST(a_header_cannot_smuggle_another)
{
	UNUSED_STATE;
	static const struct dif_field bad[] = {
		{"X-A", "b\r\nX-C: d"}, {"X A", "b"}, {"X:A", "b"}, {"", "b"}, {"X-A", "b\x7f"}};
	struct world w;
	open_world(&w, NULL, 0);
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		struct answer a = ask(&w, "/echo",
		                      (struct dif_http_request){.fields = &bad[i], .nfields = 1});
		assert_int_equal(a.err.cls, DIF_PERMANENT);
	}
	struct answer a = ask(&w, "/echo", (struct dif_http_request){.method = "GET X"});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	const struct dif_field ours[] = {{"Content-Length", "7"}, {"X-A", "caf\xc3\xa9"}};
	a = ask(&w, "/echo", (struct dif_http_request){.fields = ours, .nfields = 2});
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "X-A: caf\xc3\xa9\r\n"));
	assert_null(strstr(a.body, "Content-Length"));
	close_world(&w);
}

TEST(a_piece_outside_its_content_is_refused)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w, NULL, 0);
	struct dif_body_bytes body;
	dif_body_bytes_init(&body, "0123456789", 10);
	struct dif_blob blob = {.size = 10, .host = (uint64_t)(uintptr_t)&body.body};
	struct dif_piece piece = {.blob = &blob, .offset = 5, .length = 6};
	struct answer a = ask(
		&w, "/k", (struct dif_http_request){.method = "PUT", .body = &piece, .npieces = 1});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	close_world(&w);
}

static int make_certificates(void **state)
{
	(void)state;
	test_pki("good");
	test_pki("other");
	return 0;
}

int main(void)
{
	/* An operator's proxy is not part of these tests. */
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_gives_status_headers_and_body),
		cmocka_unit_test(a_connection_serves_many_requests),
		cmocka_unit_test(header_and_small_body_leave_in_one_send),
		cmocka_unit_test(large_bodies_arrive_whole),
		cmocka_unit_test(a_dead_kept_connection_costs_a_rewind_not_a_failure),
		cmocka_unit_test(content_that_breaks_is_an_integrity_failure),
		cmocka_unit_test(a_refusal_ends_a_large_upload_early),
		cmocka_unit_test(failures_have_class_code_and_sentence),
		cmocka_unit_test(a_refused_connection_was_not_sent),
		cmocka_unit_test(no_descriptor_is_a_local_fault),
		cmocka_unit_test(redirects_are_answers_and_waits_are_told),
		cmocka_unit_test(replies_are_bounded),
		cmocka_unit_test(a_sink_takes_only_what_was_asked_for),
		cmocka_unit_test(a_sink_that_refuses_fails_the_call),
		cmocka_unit_test(a_sink_in_memory_starts_afresh),
		cmocka_unit_test(cancel_calls_back_once),
		cmocka_unit_test(more_calls_than_connections_wait_their_turn),
		cmocka_unit_test(close_cancels_what_runs),
		cmocka_unit_test(a_callback_may_start_the_next_call),
		cmocka_unit_test(tls_is_verified),
		cmocka_unit_test(the_name_in_the_certificate_counts),
		cmocka_unit_test(tls_below_1_2_is_refused),
		cmocka_unit_test(only_permitted_places_are_asked),
		cmocka_unit_test(a_name_that_resolves_inwards_needs_permission),
		cmocka_unit_test(localhost_in_the_list_is_permission_enough),
		cmocka_unit_test(a_header_cannot_smuggle_another),
		cmocka_unit_test(a_piece_outside_its_content_is_refused),
	};
	return cmocka_run_group_tests(tests, make_certificates, NULL);
}
