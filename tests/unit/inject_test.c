/* inject - faults on purpose, before a scripted transport. */
#include "support.h"

#include "base/list.h"
#include "host/inject.h"
#include "unit/support/opkit.h"

#define URL "https://b.example/k"

struct got {
	struct dif_engine *e;
	unsigned calls;
	int status;
	struct dif_error err;
	char body[64], type[64];
	int64_t retry_after_ms;
	bool sent;
};

static void on_got(void *data, const struct dif_http_response *r)
{
	struct got *g = data;
	g->calls++;
	uv_stop(&g->e->loop); /* else the turn waits for what comes next */
	g->status = r->status;
	g->err = r->err;
	g->retry_after_ms = r->retry_after_ms;
	g->sent = r->sent;
	snprintf(g->body, sizeof g->body, "%.*s", (int)r->body.n, (const char *)r->body.p);
}

struct kit {
	struct opkit *k;
	struct dif_injector *f;
	unsigned closed;
	const struct dif_http_policy *policy;
};

static void begin(struct kit *t)
{
	*t = (struct kit){.k = opkit_new(false)};
	t->policy = dif_instance_policy(t->k->i);
	t->f = dif_injector_open(t->k->e);
	assert_non_null(t->f);
	assert_ptr_equal(t->k->e->injector, t->f);
}

static void on_closed(void *data)
{
	((struct kit *)data)->closed++;
}

static void finish(struct kit *t)
{
	dif_injector_close(t->f, on_closed, t);
	opkit_until(t->k, &t->closed, 1);
	assert_null(t->k->e->injector);
	opkit_free(t->k);
}

static struct dif_http_call *ask(struct kit *t, const char *method, struct got *g)
{
	const struct dif_http_request req = {.method = method,
	                                     .url = URL,
	                                     .policy = t->policy,
	                                     .timeout_ms = 40,
	                                     .reply_max = 64};
	*g = (struct got){.e = t->k->e};
	struct dif_http_call *c =
		t->k->e->transport.start(t->k->e->transport.self, &req, on_got, g);
	assert_int_equal(g->calls, 0);
	return c;
}

static void expect(struct kit *t, const char *body)
{
	static struct script_reply reply;
	reply = (struct script_reply){.status = 200, .body = body};
	script_expect(t->k->s, &(struct script_want){.method = "GET", .url = URL}, &reply);
}

TEST(what_strikes_nothing_is_as_always)
{
	UNUSED_STATE;
	struct kit t;
	struct got g;
	const char *const others[] = {"c.example"};
	struct dif_injection down = {
		.effect = DIF_INJECT_REFUSED, .authorities = others, .nauthorities = 1};
	begin(&t);
	dif_injector_set(t.f, &down);
	expect(&t, "hello");
	ask(&t, "GET", &g);
	opkit_until(t.k, &g.calls, 1);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "hello");
	assert_int_equal(down.struck, 0);
	finish(&t);
}

TEST(each_effect_is_what_it_says)
{
	UNUSED_STATE;
	struct kit t;
	struct got g;
	begin(&t);
	static const struct {
		uint32_t effect;
		int status;
		enum dif_class cls;
		const char *text;
		bool sent;
	} all[] = {
		{DIF_INJECT_REFUSED, 0, DIF_TRANSIENT, "could not reach 'b.example': connection",
	         false},
		{DIF_INJECT_SILENT, 0, DIF_TRANSIENT, "no answer in time", true},
		{DIF_INJECT_EXPIRED, 0, DIF_PERMANENT, "certificate has expired", false},
		{DIF_INJECT_STATUS, 429, DIF_OK, "", true},
	};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct dif_injection x = {.effect = all[i].effect,
		                          .policies = &t.policy,
		                          .npolicies = 1,
		                          .status = 429,
		                          .retry_after_s = 7};
		dif_injector_set(t.f, &x);
		ask(&t, "PUT", &g);
		opkit_until(t.k, &g.calls, 1);
		assert_int_equal(g.status, all[i].status);
		assert_int_equal(g.err.cls, all[i].cls);
		assert_non_null(strstr(g.err.text, all[i].text));
		assert_int_equal(g.sent, all[i].sent);
		assert_int_equal(g.retry_after_ms, all[i].status == 429 ? 7000 : -1);
		assert_int_equal(x.struck, 1);
		dif_injector_lift(t.f, &x);
	}
	expect(&t, "again");
	ask(&t, "GET", &g);
	opkit_until(t.k, &g.calls, 1);
	assert_string_equal(g.body, "again");
	finish(&t);
}

TEST(slow_and_corrupt_go_through_to_the_peer)
{
	UNUSED_STATE;
	struct kit t;
	struct got g;
	struct dif_injection slow = {
		.effect = DIF_INJECT_SLOW, .policies = &t.policy, .npolicies = 1, .delay_ms = 20};
	struct dif_injection corrupt = {
		.effect = DIF_INJECT_CORRUPT, .policies = &t.policy, .npolicies = 1};
	begin(&t);
	dif_injector_set(t.f, &slow);
	expect(&t, "hello");
	ask(&t, "GET", &g);
	assert_int_equal(script_count(t.k->s), 0);
	opkit_until(t.k, &g.calls, 1);
	assert_string_equal(g.body, "hello");
	dif_injector_lift(t.f, &slow);
	dif_injector_set(t.f, &corrupt);
	expect(&t, "hello");
	ask(&t, "GET", &g);
	opkit_until(t.k, &g.calls, 1);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "hemlo");
	finish(&t);
}

TEST(a_corrupt_download_is_found_by_its_digest)
{
	UNUSED_STATE;
	struct kit t;
	struct seen s = {0};
	struct dif_buf buf;
	struct dif_sink_buf sink;
	struct dif_injection corrupt = {
		.effect = DIF_INJECT_CORRUPT, .policies = &t.policy, .npolicies = 1};
	begin(&t);
	dif_injector_set(t.f, &corrupt);
	dif_buf_init(&buf, 64);
	dif_sink_buf_init(&sink, &buf);
	expect(&t, "hello");
	const struct dif_get in = {.key = "k", .sink = &sink.sink};
	dif_op_start(t.k->i, DIF_GET, &in, 0, on_seen, &s);
	opkit_until(t.k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(buf.n, 5);
	assert_memory_not_equal(buf.p, "hello", 5);
	dif_buf_fini(&buf);
	finish(&t);
}

static bool stale(void *data, const struct dif_http_request *req, struct dif_http_response *to)
{
	to->body = (struct dif_bytes){"old", 3};
	return *(const bool *)data && strcmp(req->url, URL) == 0;
}

TEST(a_body_can_be_another)
{
	UNUSED_STATE;
	struct kit t;
	struct got g;
	bool on = true;
	const char *const site[] = {"B.example"};
	struct dif_injection x = {.effect = DIF_INJECT_BODY,
	                          .authorities = site,
	                          .nauthorities = 1,
	                          .method = "GET",
	                          .body = stale,
	                          .data = &on};
	begin(&t);
	dif_injector_set(t.f, &x);
	ask(&t, "GET", &g);
	opkit_until(t.k, &g.calls, 1);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "old");
	on = false;
	expect(&t, "new");
	ask(&t, "GET", &g);
	opkit_until(t.k, &g.calls, 1);
	assert_string_equal(g.body, "new");
	finish(&t);
}

struct sunk {
	struct dif_sink sink;
	char text[16];
};

static bool on_begin(struct dif_sink *s, uint64_t offset, struct dif_error *err)
{
	(void)s;
	(void)err;
	assert_int_equal(offset, 0);
	return true;
}

static bool on_write(struct dif_sink *s, const void *p, size_t n, struct dif_error *err)
{
	struct sunk *to = DIF_ENTRY(s, struct sunk, sink);
	(void)err;
	assert_true(strlen(to->text) + n < sizeof to->text);
	strncat(to->text, p, n);
	return true;
}

TEST(another_body_goes_where_the_body_was_wanted)
{
	UNUSED_STATE;
	struct kit t;
	struct got g = {0};
	struct sunk sunk = {{on_begin, on_write}, ""};
	bool on = true;
	const char *const site[] = {"b.example"};
	struct dif_injection x = {.effect = DIF_INJECT_BODY,
	                          .authorities = site,
	                          .nauthorities = 1,
	                          .body = stale,
	                          .data = &on};
	begin(&t);
	dif_injector_set(t.f, &x);
	const struct dif_http_request req = {
		.method = "GET", .url = URL, .policy = t.policy, .sink = &sunk.sink};
	g.e = t.k->e;
	t.k->e->transport.start(t.k->e->transport.self, &req, on_got, &g);
	opkit_until(t.k, &g.calls, 1);
	assert_int_equal(g.status, 200);
	assert_string_equal(g.body, "");
	assert_string_equal(sunk.text, "old");
	finish(&t);
}

TEST(slower_than_the_limit_is_no_answer)
{
	UNUSED_STATE;
	struct kit t;
	struct got g;
	struct dif_injection x = {.effect = DIF_INJECT_SLOW,
	                          .policies = &t.policy,
	                          .npolicies = 1,
	                          .delay_ms = 60000};
	begin(&t);
	dif_injector_set(t.f, &x);
	ask(&t, "GET", &g); /* its limit is 40 ms */
	opkit_until(t.k, &g.calls, 1);
	assert_non_null(strstr(g.err.text, "no answer in time"));
	assert_true(g.sent);
	finish(&t);
}

TEST(held_calls_are_canceled_and_let_go)
{
	UNUSED_STATE;
	struct kit t;
	struct got a, b, c;
	struct dif_injection x = {.effect = DIF_INJECT_SLOW,
	                          .policies = &t.policy,
	                          .npolicies = 1,
	                          .delay_ms = 60000};
	begin(&t);
	dif_injector_set(t.f, &x);
	struct dif_http_call *call = ask(&t, "GET", &a);
	t.k->e->transport.cancel(t.k->e->transport.self, call);
	opkit_until(t.k, &a.calls, 1);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	ask(&t, "GET", &b);
	ask(&t, "GET", &c);
	assert_int_equal(x.struck, 3);
	finish(&t); /* asserts that they were answered before the end */
	assert_int_equal(b.calls + c.calls, 2);
	assert_int_equal(b.err.cls, DIF_TRANSIENT);
}

TEST(files_are_struck_by_their_instance)
{
	UNUSED_STATE;
	struct kit t;
	struct dif_injection x = {
		.effect = DIF_INJECT_REFUSED, .policies = &t.policy, .npolicies = 1};
	const struct dif_http_policy other = {0};
	begin(&t);
	assert_null(dif_injector_of_file(t.f, t.policy));
	dif_injector_set(t.f, &x);
	assert_null(dif_injector_of_file(t.f, &other));
	assert_non_null(dif_injector_of_file(t.f, t.policy));
	assert_non_null(strstr(dif_injector_of_file(t.f, t.policy)->text, "input/output"));
	finish(&t);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_strikes_nothing_is_as_always),
		cmocka_unit_test(each_effect_is_what_it_says),
		cmocka_unit_test(slow_and_corrupt_go_through_to_the_peer),
		cmocka_unit_test(a_corrupt_download_is_found_by_its_digest),
		cmocka_unit_test(a_body_can_be_another),
		cmocka_unit_test(another_body_goes_where_the_body_was_wanted),
		cmocka_unit_test(slower_than_the_limit_is_no_answer),
		cmocka_unit_test(held_calls_are_canceled_and_let_go),
		cmocka_unit_test(files_are_struck_by_their_instance),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
