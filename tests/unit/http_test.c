#include "host/http.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit/support/httpkit.h"
#include "unit/support/slow.h"

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
	http_open(&w, NULL, 0);
	struct answer a = http_ask(&w, "/a%2Fb/../c?q=1", (struct dif_http_request){0});
	assert_echo(&a, "GET /a%2Fb/../c?q=1", 0, 0); /* byte for byte as it was signed */
	assert_true(a.sent);
	assert_string_equal(a.tls, "");
	assert_non_null(strstr(a.fields, "etag=\"e1\"\nx-two=a b\n"));
	assert_int_equal(a.retry_after, -1);
	assert_null(strcasestr(a.body, "accept:"));
	assert_null(strcasestr(a.body, "content-length:"));
	http_close(&w);
}

TEST(a_connection_serves_many_requests)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	static const char *const methods[] = {"GET",   "HEAD", "DELETE", "PUT",
	                                      "PURGE", "GET",  "POST"};
	for (size_t i = 0; i < 3 * DIF_LEN(methods); i++) {
		const char *m = methods[i % DIF_LEN(methods)];
		struct answer a = http_ask(&w, "/echo", (struct dif_http_request){.method = m});
		assert_int_equal(a.status, 200);
		if (strcmp(m, "HEAD") != 0) {
			assert_memory_equal(a.body, m, strlen(m));
		}
		bool zero = strcmp(m, "PUT") == 0 || strcmp(m, "POST") == 0;
		assert_int_equal(strcasestr(a.body, "content-length: 0") != NULL, zero);
	}
	assert_int_equal(peer_connections(w.peer), 1);
	http_close(&w);
}

TEST(header_and_small_body_leave_in_one_send)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	char bytes[4096];
	memset(bytes, 1, sizeof bytes);
	struct dif_body_bytes body;
	dif_body_bytes_init(&body, bytes, sizeof bytes);
	struct dif_blob blob = {.size = sizeof bytes, .host = (uint64_t)(uintptr_t)&body.body};
	struct dif_field fields[] = {{"Content-Type", "text/css"}, {"X-Nothing", ""}};
	struct dif_piece piece = {.blob = &blob, .offset = 96, .length = 4000};
	struct dif_http_request q = {
		.method = "PUT", .fields = fields, .nfields = 2, .body = &piece, .npieces = 1};
	struct answer a = http_ask(&w, "/k", q);
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
	a = http_ask(&w, "/k", q);
	assert_non_null(strstr(a.body, "PUT /k 13 304 1\n"));
	http_close(&w);
}

TEST(large_bodies_arrive_whole)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	size_t n = 3 << 20;
	unsigned char *bytes = malloc(n);
	for (size_t i = 0; i < n; i++) {
		bytes[i] = slow_byte(i);
	}
	struct dif_piece one = {.bytes = {bytes, n}};
	struct dif_http_request q = {.method = "PUT", .body = &one, .npieces = 1};
	struct answer a = http_ask(&w, "/view", q);
	assert_echo(&a, "PUT /view", n, slow_sum(n));
	assert_null(strstr(a.fields, "x-early")); /* of 100 Continue */

	struct slow slow;
	struct dif_piece pieces[] = {{.bytes = {"head", 4}},
	                             slow_piece(&slow, &w.engine->loop, n),
	                             {.bytes = {bytes, 100000}}};
	q.body = pieces;
	q.npieces = 3;
	a = http_ask(&w, "/mixed", q);
	assert_echo(&a, "PUT /mixed", n + 100004,
	            slow_sum(n) + slow_sum(100000) + 'h' + 'e' + 'a' + 'd');
	assert_int_equal(slow.opened, 1);
	assert_int_equal(slow.closed, 1);
	assert_true(slow.laters > 10);
	http_close(&w);
	free(bytes);
}

TEST(a_dead_kept_connection_costs_a_rewind_not_a_failure)
{
	UNUSED_STATE;
	static const char *const paths[] = {"/once", "/once/reset"};
	for (size_t i = 0; i < DIF_LEN(paths); i++) {
		struct world w;
		char what[32];
		snprintf(what, sizeof what, "PUT %s", paths[i]);
		http_open(&w, NULL, 0);
		struct answer a = http_ask(&w, "/echo", (struct dif_http_request){0});
		struct slow slow;
		struct dif_piece piece = slow_piece(&slow, &w.engine->loop, 300000);
		struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
		a = http_ask(&w, paths[i], q);
		assert_echo(&a, what, 300000, slow_sum(300000));
		assert_int_equal(slow.opened, 2);
		assert_int_equal(slow.closed, 2);
		assert_int_equal(peer_connections(w.peer), 2);
		assert_true(a.resent);
		http_close(&w);
	}
}

TEST(content_that_breaks_is_an_integrity_failure)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w.engine->loop, 500000);
	slow.breaks_at = 100000;
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	struct answer a = http_ask(&w, "/k", q);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_INTEGRITY);
	assert_int_equal(slow.closed, slow.opened);
	http_close(&w);
}

TEST(a_refusal_ends_a_large_upload_early)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w.engine->loop, 200 << 20);
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	struct answer a = http_ask(&w, "/early", q);
	assert_int_equal(a.status, 403);
	assert_string_equal(a.body, "no");
	assert_int_equal(slow.closed, slow.opened);
	http_close(&w);
}

TEST(failures_have_class_code_and_sentence)
{
	UNUSED_STATE;
	static const struct {
		const char *path, *code, *text;
		bool sent;
	} rows[] = {
		{"/truncated", "truncated", "the reply ended early", true},
		{"/headless", "truncated", "the reply ended early", true},
		{"/hungup", "", "without a reply", true},
		{"/reset", "", "reset by peer", true},
		{"/garbage", "", "not HTTP", true},
		{"/hang", "timeout", "no byte for 300 ms", true},
	};
	struct world w;
	http_open(&w, NULL, 0);
	w.policy.idle_timeout_ms = 300;
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		struct answer a = http_ask(&w, rows[i].path, (struct dif_http_request){0});
		assert_int_equal(a.status, 0);
		assert_int_equal(a.err.cls, DIF_TRANSIENT);
		assert_string_equal(a.err.code, rows[i].code);
		if (strstr(a.err.text, rows[i].text) == NULL) {
			fail_msg("%s: %s", rows[i].path, a.err.text);
		}
		assert_memory_equal(a.err.text, "could not reach '127.0.0.1:", 27);
		assert_int_equal(a.sent, rows[i].sent);
	}
	w.policy.idle_timeout_ms = 0;
	struct answer a = http_ask(&w, "/hang", (struct dif_http_request){.timeout_ms = 300});
	assert_string_equal(a.err.code, "timeout");
	assert_non_null(strstr(a.err.text, "not done after 300 ms"));
	http_close(&w);
}

TEST(a_refused_connection_was_not_sent)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	peer_stop(w.peer);
	struct dif_piece piece = {.bytes = {"x", 1}};
	struct answer a = http_ask(
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
	http_open(&w, NULL, 0);
	struct answer a = http_ask(&w, "/echo", (struct dif_http_request){.method = "GET"});
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
	a = http_ask(&w, "/", (struct dif_http_request){0});
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
	http_open(&w, NULL, 0);
	struct answer a = http_ask(&w, "/redirect", (struct dif_http_request){0});
	assert_int_equal(a.status, 302);
	assert_non_null(strstr(a.fields, "location=/echo\n"));
	a = http_ask(&w, "/busy", (struct dif_http_request){0});
	assert_int_equal(a.status, 503);
	assert_int_equal(a.retry_after, 7000);
	assert_string_equal(a.body, "busy");
	a = http_ask(&w, "/date", (struct dif_http_request){0});
	assert_int_equal(a.retry_after, 0);
	a = http_ask(&w, "/nonsense", (struct dif_http_request){0});
	assert_int_equal(a.retry_after, -1);
	a = http_ask(&w, "/chunked", (struct dif_http_request){0});
	assert_string_equal(a.body, "hello");
	assert_null(strstr(a.fields, "x-trailer"));
	http_close(&w);
}

TEST(replies_are_bounded)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct answer a = http_ask(&w, "/bytes/1000", (struct dif_http_request){.reply_max = 1000});
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body_size, 1000);
	a = http_ask(&w, "/bytes/1001", (struct dif_http_request){.reply_max = 1000});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "larger than 1000 bytes"));
	a = http_ask(&w, "/bytes/1048577", (struct dif_http_request){0});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	a = http_ask(&w, "/error/5000", (struct dif_http_request){.reply_max = 1000});
	assert_int_equal(a.status, 500); /* a failure's status is worth more than its page */
	assert_int_equal(a.body_size, 1000);
	a = http_ask(&w, "/headers", (struct dif_http_request){0});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "128 headers"));
	http_close(&w);
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
	http_open(&w, NULL, 0);
	struct keep *k = new_keep();
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		k->begun = 0;
		struct answer a = http_ask(&w, rows[i].path,
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
	struct answer a =
		http_ask(&w, "/bytes/100000", (struct dif_http_request){.sink = &k->sink});
	assert_true(a.rate > 0);
	free(k);
	http_close(&w);
}

TEST(a_sink_that_refuses_fails_the_call)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct keep *k = new_keep();
	k->refuse_begin = true;
	struct answer a = http_ask(&w, "/bytes/10", (struct dif_http_request){.sink = &k->sink});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_string_equal(a.err.text, "could not keep it: no room");
	k->refuse_begin = false;
	k->refuse_write = true;
	a = http_ask(&w, "/bytes/10", (struct dif_http_request){.sink = &k->sink});
	assert_string_equal(a.err.text, "could not keep it: disk full");
	free(k);
	http_close(&w);
}

TEST(a_sink_in_memory_starts_afresh)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct dif_buf buf;
	dif_buf_init(&buf, 1000);
	struct dif_sink_buf s;
	dif_sink_buf_init(&s, &buf);
	struct answer a = http_ask(&w, "/bytes/1001", (struct dif_http_request){.sink = &s.sink});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	a = http_ask(&w, "/bytes/30", (struct dif_http_request){.sink = &s.sink});
	assert_int_equal(a.status, 200);
	assert_int_equal(buf.n, 30);
	dif_buf_fini(&buf);
	http_close(&w);
}

/* --- tests: cancel and close --- */

TEST(cancel_calls_back_once)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct answer a = {0};
	struct slow slow;
	struct dif_piece piece = slow_piece(&slow, &w.engine->loop, 200 << 20);
	/* at once; in flight, with a body on its way; while it waits for an answer */
	http_begin(&w, "/echo", (struct dif_http_request){0}, &a, 0);
	dif_http_cancel(w.calls[0]);
	dif_http_cancel(w.calls[0]);
	assert_int_equal(a.calls, 0);
	http_wait(&w, &a, 1);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	assert_false(a.sent);
	http_begin(&w, "/k",
	           (struct dif_http_request){.method = "PUT", .body = &piece, .npieces = 1}, &a, 0);
	while (slow.laters < 3) {
		uv_run(&w.engine->loop, UV_RUN_ONCE);
	}
	dif_http_cancel(w.calls[0]);
	http_wait(&w, &a, 2);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	assert_true(a.sent);
	assert_int_equal(slow.opened, slow.closed);
	http_begin(&w, "/hang", (struct dif_http_request){0}, &a, 0);
	while (peer_requests(w.peer) < 2) {
		uv_run(&w.engine->loop, UV_RUN_ONCE);
	}
	dif_http_cancel(w.calls[0]);
	http_wait(&w, &a, 3);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	struct answer b = http_ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(b.status, 200);
	assert_int_equal(a.calls, 3);
	http_close(&w);
}

TEST(more_calls_than_connections_wait_their_turn)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct answer a = {0}, canceled = {0};
	for (size_t i = 0; i < 400; i++) {
		http_begin(&w, "/echo", (struct dif_http_request){0}, &a, i);
	}
	http_begin(&w, "/echo", (struct dif_http_request){0}, &canceled, 400);
	dif_http_cancel(w.calls[400]); /* queued */
	http_wait(&w, &a, 400);
	assert_int_equal(a.status, 200);
	assert_int_equal(canceled.calls, 1);
	assert_int_equal(canceled.err.cls, DIF_CANCELED);
	assert_true(peer_connections(w.peer) <= 320);
	http_close(&w);
}

TEST(close_cancels_what_runs)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct answer a = {0};
	for (size_t i = 0; i < 330; i++) {
		http_begin(&w, "/hang", (struct dif_http_request){0}, &a, i);
	}
	while (peer_requests(w.peer) < 10) {
		uv_run(&w.engine->loop, UV_RUN_ONCE);
	}
	dif_http_client_close(w.engine->http);
	dif_http_client_close(w.engine->http);
	struct answer late = {0};
	http_begin(&w, "/echo", (struct dif_http_request){0}, &late, 400);
	http_close(&w);
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
	http_open(&w, NULL, 0);
	struct chain chain = {&w, 51};
	struct dif_http_response first = {.status = 200};
	on_link(&chain, &first);
	dif_engine_run(w.engine); /* ends by itself: kept connections hold no loop */
	assert_int_equal(chain.left, 0);
	assert_int_equal(peer_connections(w.peer), 1);
	http_close(&w);
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
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
