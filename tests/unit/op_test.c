/* op - retry, read-back, deadline, cancel, against a scripted transport. `retry-after: 0` makes a
 * repeat come at once. */
#include "support.h"

#include "base/clock.h"
#include "host/secret.h"
#include "unit/support/opkit.h"

#define URL(key) "https://b.example/" key

static const struct script_reply lost = {.sent = true};
static const struct script_reply missing = {.status = 404};
static const struct script_reply good = {.status = 200, .fields = {"etag: \"new\""}};

static void expect(struct opkit *k, const char *method, const char *url,
                   const struct script_reply *reply)
{
	script_expect(k->s, &(struct script_want){.method = method, .url = url}, reply);
}

static struct dif_op_run *start_put(struct opkit *k, struct putting *p, struct seen *s)
{
	return dif_op_start(k->i, DIF_PUT, &p->in, 0, on_seen, s);
}

TEST(a_put_gives_the_tag)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "a b.json", "\"old\"", false);
	script_expect(k->s,
	              &(struct script_want){.method = "PUT",
	                                    .url = URL("a%20b.json"),
	                                    .fields = {"if-match: \"old\"", "!if-none-match",
	                                               "x-meta-order: 7", "x-meta-sha256: aa"},
	                                    .body = "hello"},
	              &good);
	start_put(k, &p, &s);
	assert_int_equal(s.calls, 0);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_string_equal(s.tag, "\"new\"");
	assert_int_equal(s.attempts, 1);
	assert_false(s.unknown);
	opkit_free(k);
}

TEST(transient_failures_are_repeated)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	expect(k, "GET", URL("k"), &(struct script_reply){.status = 0, .text = "reset"});
	expect(k, "GET", URL("k"),
	       &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	expect(k, "GET", URL("k"),
	       &(struct script_reply){.status = 429, .fields = {"retry-after: 0"}});
	expect(k, "GET", URL("k"),
	       &(struct script_reply){.status = 400,
	                              .fields = {"x-code: SlowDown", "retry-after: 0"}});
	expect(k, "GET", URL("k"), &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(s.attempts, 5);
	assert_true(dif_instance_pressure(k->i)->window < 32);
	opkit_free(k);
}

TEST(answers_are_not_repeated_and_say_what_happened)
{
	UNUSED_STATE;
	static const struct {
		struct script_reply reply;
		enum dif_class cls;
		const char *text;
	} rows[] = {
		{{.status = 404}, DIF_NOT_FOUND, "could not get object 'k': HTTP 404"},
		{{.status = 412}, DIF_CONFLICT, "HTTP 412"},
		{{.status = 403, .fields = {"x-code: Denied", "x-what: no right to it"}},
	         DIF_AUTH,
	         "Denied: no right to it (HTTP 403)"},
		{{.status = 403, .fields = {"x-what: \033[2J\302\2330m gone"}},
	         DIF_AUTH,
	         "?[2J??0m gone (HTTP 403)"},
		{{.status = 301}, DIF_PERMANENT, "HTTP 301"},
		{{.status = 400, .fields = {"x-code: BadName"}},
	         DIF_PERMANENT,
	         "BadName (HTTP 400)"},
		{{.cls = DIF_PERMANENT, .text = "it is not one of its hosts"},
	         DIF_PERMANENT,
	         "not one of its hosts"},
		{{.cls = DIF_INTEGRITY, .text = "cut"}, DIF_INTEGRITY, "'k': cut"},
	};
	struct opkit *k = opkit_new(false);
	for (size_t n = 0; n < sizeof rows / sizeof *rows; n++) {
		struct seen s = {0};
		expect(k, "GET", URL("k"), &rows[n].reply);
		opkit_get(k, "k", &s);
		opkit_until(k, &s.calls, 1);
		assert_int_equal(s.err.cls, rows[n].cls);
		assert_int_equal(s.err.status, rows[n].reply.status);
		if (strstr(s.err.text, rows[n].text) == NULL) {
			fail_msg("'%s' does not say '%s'", s.err.text, rows[n].text);
		}
	}
	/* The transport is told whom it may speak to. */
	assert_string_equal(script_seen(k->s, 0)->policy->hosts[0], "b.example");
	opkit_free(k);
}

/* --- writes whose outcome is unknown --- */

TEST(an_unknown_write_that_is_ours_is_done)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", "\"old\"", false);
	expect(k, "PUT", URL("k"), &lost);
	expect(k, "HEAD", URL("k"),
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"mine\"", "X-Meta-Epoch: 0",
	                                         "X-Meta-Order: 7", "X-Meta-SHA256: aa"}});
	start_put(k, &p, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_string_equal(s.tag, "\"mine\"");
	assert_int_equal(s.attempts, 1);
	opkit_free(k);
}

static void check_readback(const char *if_tag, bool if_absent, const struct script_reply *head,
                           bool is_repeated, enum dif_class cls)
{
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", if_tag, if_absent);
	expect(k, "PUT", URL("k"),
	       &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	expect(k, "HEAD", URL("k"), head);
	if (is_repeated) {
		expect(k, "PUT", URL("k"), &good);
	}
	start_put(k, &p, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, cls);
	assert_int_equal(s.attempts, is_repeated ? 2 : 1);
	assert_int_equal(s.unknown, cls != DIF_OK);
	opkit_free(k);
}

TEST(an_unknown_write_is_repeated_only_where_the_old_is_still_there)
{
	UNUSED_STATE;
	const struct script_reply old = {.status = 200,
	                                 .fields = {"etag: \"old\"", "x-meta-epoch: 0",
	                                            "x-meta-order: 6", "x-meta-sha256: aa"}};
	const struct script_reply other = {.status = 200,
	                                   .fields = {"etag: \"other\"", "x-meta-epoch: 0",
	                                              "x-meta-order: 8", "x-meta-sha256: bb"}};
	const struct script_reply bare = {.status = 200, .fields = {"etag: \"bare\""}};
	check_readback("\"old\"", false, &old, true, DIF_OK);
	check_readback("\"old\"", false, &other, false, DIF_CONFLICT);
	check_readback("\"old\"", false, &bare, false, DIF_CONFLICT);
	check_readback("\"old\"", false, &missing, false, DIF_CONFLICT);
	check_readback(NULL, true, &missing, true, DIF_OK);
	check_readback(NULL, true, &other, false, DIF_CONFLICT);
	check_readback(NULL, false, &other, true, DIF_OK);
	check_readback(NULL, false, &missing, true, DIF_OK);
}

TEST(a_conflict_with_our_own_late_write_is_success)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", NULL, true);
	expect(k, "PUT", URL("k"), &lost);
	expect(k, "HEAD", URL("k"), &missing); /* it has not landed yet */
	expect(k, "PUT", URL("k"), &(struct script_reply){.status = 412});
	expect(k, "HEAD", URL("k"),
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"first\"", "x-meta-epoch: 0",
	                                         "x-meta-order: 7", "x-meta-sha256: aa"}});
	start_put(k, &p, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_string_equal(s.tag, "\"first\"");
	opkit_free(k);
}

TEST(a_conflict_after_a_kept_connection_died_is_read_back)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", "\"old\"", false);
	expect(k, "PUT", URL("k"), &(struct script_reply){.status = 412, .resent = true});
	expect(k, "HEAD", URL("k"),
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"mine\"", "X-Meta-Epoch: 0",
	                                         "X-Meta-Order: 7", "X-Meta-SHA256: aa"}});
	start_put(k, &p, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_string_equal(s.tag, "\"mine\"");
	opkit_free(k);
}

TEST(a_first_conflict_is_the_outcome)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", NULL, true);
	expect(k, "PUT", URL("k"), &(struct script_reply){.status = 412});
	start_put(k, &p, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_CONFLICT);
	assert_false(s.unknown);
	opkit_free(k);
}

TEST(a_write_that_cannot_be_read_back_is_told_as_unknown)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", "\"old\"", false);
	expect(k, "PUT", URL("k"),
	       &(struct script_reply){.status = 502,
	                              .fields = {"x-code: Gateway", "retry-after: 0"}});
	expect(k, "HEAD", URL("k"),
	       &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	expect(k, "HEAD", URL("k"), &(struct script_reply){.status = 400});
	start_put(k, &p, &s);
	opkit_until(k, &s.calls, 1);
	assert_true(s.unknown);
	assert_int_equal(s.attempts, 1);
	assert_int_not_equal(s.err.cls, DIF_OK);
	opkit_free(k);
}

TEST(a_remove_is_read_back_key_by_key)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	static const char *const keys[] = {"a", "b", "c"};
	struct dif_remove in = {.keys = keys, .n = 3};
	script_expect(k->s, &(struct script_want){.method = "POST", .body = "a;b;c;"},
	              &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	expect(k, "HEAD", URL("a"), &missing);
	expect(k, "HEAD", URL("b"), &good);
	expect(k, "HEAD", URL("c"), &missing);
	script_expect(k->s, &(struct script_want){.method = "POST", .body = "b;"},
	              &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	expect(k, "HEAD", URL("b"), &good);
	script_expect(k->s, &(struct script_want){.method = "POST", .body = "b;"},
	              &(struct script_reply){.status = 200, .body = "{\"b\":\"\"}"});
	dif_op_start(k->i, DIF_REMOVE, &in, 0, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(s.nitems, 3);
	for (int n = 0; n < 3; n++) {
		assert_int_equal(s.item_cls[n], DIF_OK);
	}
	opkit_free(k);
}

TEST(a_remove_whose_keys_are_all_gone_is_done)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	static const char *const keys[] = {"a", "b"};
	struct dif_remove in = {.keys = keys, .n = 2};
	expect(k, "POST", URL("?remove"), &lost);
	expect(k, "HEAD", URL("a"), &missing);
	expect(k, "HEAD", URL("b"), &missing);
	dif_op_start(k->i, DIF_REMOVE, &in, 0, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(s.nitems, 2);
	assert_int_equal(s.item_cls[0] + s.item_cls[1], DIF_OK);
	opkit_free(k);
}

TEST(what_is_said_about_a_key_hides_secrets)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	static const char *const keys[] = {"a"};
	struct dif_remove in = {.keys = keys, .n = 1};
	dif_secret_add("hunter2hunter2");
	script_expect(k->s, &(struct script_want){.method = "POST", .body = "a;"},
	              &(struct script_reply){.status = 200,
	                                     .body = "{\"a\":\"no hunter2hunter2 here\"}"});
	dif_op_start(k->i, DIF_REMOVE, &in, 0, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_string_equal(s.item_what[0], "no *** here");
	dif_secret_drop("hunter2hunter2");
	opkit_free(k);
}

TEST(a_key_without_an_answer_is_not_removed)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	static const char *const keys[] = {"a", "b", "c"};
	static const char *const tags[] = {"1", "2", "3"};
	struct dif_remove in = {.keys = keys, .tags = tags, .n = 3};
	script_expect(
		k->s, &(struct script_want){.method = "POST", .body = "a=1;b=2;c=3;"},
		&(struct script_reply){.status = 200, .body = "{\"a\":\"\",\"c\":\"SlowDown\"}"});
	dif_op_start(k->i, DIF_REMOVE, &in, 0, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(s.item_cls[0], DIF_OK);
	assert_int_equal(s.item_cls[1], DIF_TRANSIENT);
	assert_int_equal(s.item_cls[2], DIF_THROTTLED);
	opkit_free(k);
}

/* --- lists and gets --- */

TEST(rows_are_those_of_the_attempt_that_was_done)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct dif_list in = {.prefix = "p/", .max = 10};
	/* the second row of the first page is no number: the page fails as a whole */
	expect(k, "POST", URL("?list"),
	       &(struct script_reply){
		       .status = 200,
		       .fields = {"retry-after: 0"},
		       .body = "[{\"key\":\"x\",\"size\":1},{\"key\":\"y\",\"size\":1001}]"});
	expect(k, "POST", URL("?list"),
	       &(struct script_reply){.status = 200, .body = "[{\"key\":\"a\",\"size\":1},"});
	expect(k, "POST", URL("?list"),
	       &(struct script_reply){
		       .status = 200,
		       .body = "[{\"key\":\"a\",\"size\":1},{\"key\":\"b\",\"size\":2}]"});
	dif_op_start(k->i, DIF_LIST, &in, 0, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(s.nrows, 2);
	assert_string_equal(s.key, "b");
	assert_int_equal(s.attempts, 3);
	opkit_free(k);
}

TEST(a_get_that_breaks_begins_its_sink_again)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct dif_buf buf;
	struct dif_sink_buf sink;
	dif_buf_init(&buf, 1000);
	dif_sink_buf_init(&sink, &buf);
	struct dif_get in = {.key = "k", .sink = &sink.sink};
	expect(k, "GET", URL("k"),
	       &(struct script_reply){.status = 200, .body = "whole content", .cut_sink = 5});
	expect(k, "GET", URL("k"), &(struct script_reply){.status = 200, .body = "whole content"});
	dif_op_start(k->i, DIF_GET, &in, 0, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_string_equal(dif_buf_str(&buf), "whole content");
	assert_int_equal(s.total, 13);
	dif_buf_fini(&buf);
	opkit_free(k);
}

/* --- cancel, deadline, close --- */

static bool told_head;

static void tell_story(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	if (strstr(seen->url, "login") != NULL) {
		*reply = (struct script_reply){.status = 200,
		                               .body = "{\"token\":\"token-0001\",\"lives\":3600}"};
	} else if (strcmp(seen->method, "HEAD") == 0) {
		*reply = missing;
		told_head = true;
	} else {
		*reply = told_head ? good
		                   : (struct script_reply){.status = 500,
		                                           .fields = {"retry-after: 0"}};
	}
}

TEST(cancel_calls_back_once_wherever_it_comes)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen queued = {0}, running = {0}, waiting = {0};
	struct putting p;
	putting_init(&p, "run", NULL, true);

	struct dif_op_run *r = opkit_get(k, "queued", &queued);
	dif_op_cancel(r);
	dif_op_cancel(r);
	assert_int_equal(queued.calls, 0);
	opkit_until(k, &queued.calls, 1);
	assert_int_equal(queued.err.cls, DIF_CANCELED);
	assert_int_equal(script_count(k->s), 0);

	expect(k, "PUT", URL("run"), &(struct script_reply){.status = 200, .hold = true});
	r = start_put(k, &p, &running);
	opkit_until_asked(k, 1);
	dif_op_cancel(r);
	dif_op_cancel(r);
	assert_int_equal(running.calls, 0);
	opkit_until(k, &running.calls, 1);
	assert_int_equal(running.err.cls, DIF_CANCELED);
	assert_true(running.unknown);
	assert_true(script_seen(k->s, 0)->canceled);

	expect(k, "GET", URL("wait"),
	       &(struct script_reply){.status = 500, .fields = {"retry-after: 60"}});
	r = opkit_get(k, "wait", &waiting);
	opkit_until_asked(k, 2);
	opkit_turn(k);
	assert_int_equal(waiting.calls, 0);
	dif_op_cancel(r);
	opkit_until(k, &waiting.calls, 1);
	assert_int_equal(waiting.err.cls, DIF_CANCELED);
	opkit_turn(k);
	assert_int_equal(queued.calls + running.calls + waiting.calls, 3);
	opkit_free(k);
}

/* A story with a login, a lost write, a read-back and a repeat, cut short at each turn of the
 * loop. */
static bool cut_at(unsigned turn, bool closes)
{
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", NULL, true);
	told_head = false;
	script_answer(k->s, tell_story, NULL);
	struct dif_op_run *r = start_put(k, &p, &s);
	for (unsigned n = 0; n < turn && s.calls == 0; n++) {
		uv_run(&k->e->loop, UV_RUN_NOWAIT);
	}
	bool is_over = s.calls == 1;
	if (closes) {
		opkit_close(k);
	} else if (!is_over) {
		dif_op_cancel(r);
	}
	opkit_until(k, &s.calls, 1);
	opkit_turn(k);
	assert_int_equal(s.calls, 1);
	/* either it was done before the cut, or it says so */
	assert_true(s.err.cls == DIF_OK || s.err.cls == DIF_CANCELED);
	assert_int_equal(is_over, s.err.cls == DIF_OK);
	opkit_free(k);
	return is_over;
}

TEST(cancel_and_close_at_any_turn_call_back_once)
{
	UNUSED_STATE;
	for (int closes = 0; closes < 2; closes++) {
		unsigned turn = 0;
		while (!cut_at(turn, closes != 0)) {
			turn++;
		}
		assert_true(turn > 4);
	}
}

TEST(close_ends_what_runs_and_what_waits)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen a = {0}, b = {0};
	dif_instance_limit(k->i, 1);
	expect(k, "GET", URL("a"), &(struct script_reply){.status = 200, .hold = true});
	opkit_get(k, "a", &a);
	opkit_get(k, "b", &b);
	opkit_until_asked(k, 1);
	opkit_close(k);
	assert_int_equal(a.calls + b.calls, 0);
	assert_false(k->is_closed);
	dif_engine_run(k->e);
	assert_true(k->is_closed);
	assert_int_equal(a.err.cls, DIF_CANCELED);
	assert_int_equal(b.err.cls, DIF_CANCELED);
	assert_int_equal(a.calls + b.calls, 2);
	opkit_free(k);
}

static void close_it(struct seen *s)
{
	opkit_close(s->data);
}

TEST(an_instance_may_be_closed_from_a_callback)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen a = {.then = close_it, .data = k}, b = {0};
	expect(k, "GET", URL("a"), &good);
	expect(k, "GET", URL("b"), &(struct script_reply){.status = 200, .hold = true});
	opkit_get(k, "a", &a);
	opkit_get(k, "b", &b);
	opkit_until(k, &b.calls, 1);
	assert_int_equal(a.err.cls, DIF_OK);
	assert_int_equal(b.err.cls, DIF_CANCELED);
	opkit_free(k);
}

TEST(the_deadline_ends_an_op_in_flight_and_in_the_queue)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen a = {0}, b = {0};
	struct putting p;
	struct dif_get in = {.key = "b"};
	putting_init(&p, "a", NULL, true);
	dif_instance_limit(k->i, 1);
	expect(k, "PUT", URL("a"), &(struct script_reply){.status = 200, .hold = true});
	dif_op_start(k->i, DIF_PUT, &p.in, 60, on_seen, &a);
	dif_op_start(k->i, DIF_GET, &in, 30, on_seen, &b);
	opkit_until(k, &b.calls, 1);
	assert_int_equal(b.err.cls, DIF_TRANSIENT);
	assert_int_equal(b.attempts, 0);
	assert_non_null(strstr(b.err.text, "no turn"));
	opkit_until(k, &a.calls, 1);
	assert_int_equal(a.err.cls, DIF_TRANSIENT);
	assert_true(a.unknown);
	assert_non_null(strstr(a.err.text, "no answer within"));
	opkit_free(k);
}

TEST(no_repeat_begins_that_could_not_end_before_the_deadline)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct dif_get in = {.key = "k"};
	expect(k, "GET", URL("k"),
	       &(struct script_reply){.status = 500, .fields = {"retry-after: 30"}});
	dif_op_start(k->i, DIF_GET, &in, 10000, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_TRANSIENT);
	assert_int_equal(s.err.status, 500);
	opkit_free(k);
}

/* --- how much at once --- */

TEST(the_limit_holds_and_can_be_raised)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	script_any_order(k->s);
	dif_instance_limit(k->i, 2);
	for (int n = 0; n < 6; n++) {
		expect(k, "GET", URL("k"), &(struct script_reply){.status = 200, .hold = true});
		opkit_get(k, "k", &s);
	}
	opkit_until_asked(k, 2);
	opkit_turn(k);
	assert_int_equal(script_count(k->s), 2);
	dif_instance_limit(k->i, 5);
	opkit_until_asked(k, 5);
	opkit_turn(k);
	assert_int_equal(script_count(k->s), 5);
	script_release(k->s);
	opkit_until_asked(k, 6);
	script_release(k->s);
	opkit_until(k, &s.calls, 6);
	assert_int_equal(s.err.cls, DIF_OK);
	opkit_free(k);
}

TEST(failures_in_a_row_open_the_breaker)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	struct dif_get in = {.key = "k"};
	assert_int_equal(dif_instance_down_since(k->i), 0);
	for (int n = 0; n < 5; n++) {
		expect(k, "GET", URL("k"),
		       &(struct script_reply){.status = 500, .fields = {"retry-after: 60"}});
		dif_op_start(k->i, DIF_GET, &in, 1000, on_seen, &s);
		opkit_until(k, &s.calls, (unsigned)n + 1);
	}
	assert_int_equal(dif_instance_pressure(k->i)->breaker, DIF_OPEN);
	assert_true(dif_instance_down_since(k->i) > 0);
	struct seen late = {0};
	dif_op_start(k->i, DIF_GET, &in, 50, on_seen, &late);
	opkit_until(k, &late.calls, 1);
	assert_int_equal(late.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(late.err.text, "does not answer"));
	assert_non_null(strstr(late.err.text, "the last failure: "));
	/* nobody waits for it any more: the program may end */
	opkit_turn(k);
	assert_false(uv_loop_alive(&k->e->loop));
	opkit_free(k);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_put_gives_the_tag),
		cmocka_unit_test(transient_failures_are_repeated),
		cmocka_unit_test(answers_are_not_repeated_and_say_what_happened),
		cmocka_unit_test(an_unknown_write_that_is_ours_is_done),
		cmocka_unit_test(an_unknown_write_is_repeated_only_where_the_old_is_still_there),
		cmocka_unit_test(a_conflict_with_our_own_late_write_is_success),
		cmocka_unit_test(a_conflict_after_a_kept_connection_died_is_read_back),
		cmocka_unit_test(a_first_conflict_is_the_outcome),
		cmocka_unit_test(a_write_that_cannot_be_read_back_is_told_as_unknown),
		cmocka_unit_test(a_remove_is_read_back_key_by_key),
		cmocka_unit_test(a_remove_whose_keys_are_all_gone_is_done),
		cmocka_unit_test(a_key_without_an_answer_is_not_removed),
		cmocka_unit_test(what_is_said_about_a_key_hides_secrets),
		cmocka_unit_test(rows_are_those_of_the_attempt_that_was_done),
		cmocka_unit_test(a_get_that_breaks_begins_its_sink_again),
		cmocka_unit_test(cancel_calls_back_once_wherever_it_comes),
		cmocka_unit_test(cancel_and_close_at_any_turn_call_back_once),
		cmocka_unit_test(close_ends_what_runs_and_what_waits),
		cmocka_unit_test(an_instance_may_be_closed_from_a_callback),
		cmocka_unit_test(the_deadline_ends_an_op_in_flight_and_in_the_queue),
		cmocka_unit_test(no_repeat_begins_that_could_not_end_before_the_deadline),
		cmocka_unit_test(the_limit_holds_and_can_be_raised),
		cmocka_unit_test(failures_in_a_row_open_the_breaker),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
