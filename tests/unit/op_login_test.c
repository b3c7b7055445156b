/* op - credentials and clocks. */
#include "support.h"

#include "base/clock.h"
#include "base/parse.h"
#include "unit/support/opkit.h"

#define LOGIN "https://login.example/"

static const struct script_reply good = {.status = 200, .fields = {"etag: \"new\""}};

static void expect_login(struct opkit *k, const char *body)
{
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 200, .body = body});
}

static void expect_get(struct opkit *k, const char *header, const struct script_reply *reply)
{
	script_expect(k->s,
	              &(struct script_want){
			      .method = "GET", .url = "https://b.example/k", .fields = {header}},
	              reply);
}

static size_t logins(const struct opkit *k)
{
	size_t n = 0;
	for (size_t i = 0; i < script_count(k->s); i++) {
		n += strcmp(script_seen(k->s, i)->url, LOGIN) == 0;
	}
	return n;
}

TEST(many_ops_wait_for_one_login)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	for (int n = 0; n < 8; n++) {
		expect_get(k, "authorization: token-0001", &good);
		opkit_get(k, "k", &s);
	}
	opkit_until(k, &s.calls, 8);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(logins(k), 1);
	/* and the next needs none */
	expect_get(k, "authorization: token-0001", &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 9);
	assert_int_equal(logins(k), 1);
	opkit_free(k);
}

TEST(a_dead_token_costs_one_login_whoever_used_it)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	for (int n = 0; n < 10; n++) {
		expect_get(k, "authorization: token-0001", &(struct script_reply){.status = 401});
		opkit_get(k, "k", &s);
	}
	expect_login(k, "{\"token\":\"token-0002\",\"lives\":3600}");
	for (int n = 0; n < 10; n++) {
		expect_get(k, "authorization: token-0002", &good);
	}
	opkit_until(k, &s.calls, 10);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(s.attempts, 2);
	assert_int_equal(logins(k), 2);
	/* ten refusals of one dead token are no sign of a dead peer */
	assert_int_equal(dif_instance_pressure(k->i)->breaker, DIF_CLOSED);
	opkit_free(k);
}

TEST(after_one_login_auth_is_the_outcome)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	expect_get(k, "authorization: token-0001",
	           &(struct script_reply){.status = 400, .fields = {"x-code: Expired"}});
	expect_login(k, "{\"token\":\"token-0002\",\"lives\":3600}");
	expect_get(k, "authorization: token-0002", &(struct script_reply){.status = 403});
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_AUTH);
	assert_int_equal(logins(k), 2);
	opkit_free(k);
}

TEST(without_a_login_auth_is_the_outcome_at_once)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	expect_get(k, "!authorization", &(struct script_reply){.status = 401});
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_AUTH);
	opkit_free(k);
}

TEST(a_credential_that_never_ends_is_not_asked_for_again)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":0}");
	for (unsigned n = 1; n <= 2; n++) {
		expect_get(k, "authorization: token-0001", &(struct script_reply){.status = 403});
		opkit_get(k, "k", &s);
		opkit_until(k, &s.calls, n);
		assert_int_equal(s.err.cls, DIF_AUTH);
		assert_int_equal(s.attempts, 1);
	}
	assert_int_equal(logins(k), 1);
	opkit_free(k);
}

TEST(a_refused_login_fails_all_that_wait_and_is_not_asked_again_at_once)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 403, .fields = {"x-code: BadSecret"}});
	for (int n = 0; n < 5; n++) {
		opkit_get(k, "k", &s);
	}
	opkit_until(k, &s.calls, 5);
	assert_int_equal(s.err.cls, DIF_AUTH);
	assert_non_null(strstr(s.err.text, "could not log in: BadSecret"));
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 6);
	assert_int_equal(s.err.cls, DIF_AUTH);
	assert_int_equal(logins(k), 1);
	opkit_free(k);
}

TEST(what_a_login_does_not_find_is_not_the_object)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 404});
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_PERMANENT);
	opkit_free(k);
}

TEST(a_login_that_could_not_be_made_is_repeated_while_ops_wait)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0}, late = {0};
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 0, .text = "the connection broke"});
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	expect_get(k, "authorization: token-0001", &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	opkit_free(k);

	/* an op does not wait for ever, and says what it waited for */
	k = opkit_new(true);
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 500, .fields = {"retry-after: 60"}});
	struct dif_get in = {.key = "k"};
	dif_op_start(k->i, DIF_GET, &in, 50, on_seen, &late);
	opkit_until(k, &late.calls, 1);
	assert_int_equal(late.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(late.err.text, "could not log in"));
	assert_int_equal(dif_instance_down_since(k->i), 0); /* once is no sign */
	opkit_turn(k);
	assert_false(uv_loop_alive(&k->e->loop));
	opkit_free(k);
}

TEST(a_login_that_nobody_waits_for_keeps_nothing_alive)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	struct dif_get in = {.key = "k"};
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.hold = true});
	dif_op_start(k->i, DIF_GET, &in, 50, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	opkit_turn(k);
	assert_true(script_seen(k->s, 0)->canceled);
	assert_false(uv_loop_alive(&k->e->loop));
	opkit_free(k);
}

TEST(a_store_where_nobody_can_log_in_is_down_until_somebody_can)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	for (int n = 0; n < 3; n++) {
		script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
		              &(struct script_reply){.status = 500, .fields = {"retry-after: 0"}});
	}
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 200,
	                                     .body = "{\"token\":\"token-0001\",\"lives\":3600}",
	                                     .hold = true});
	expect_get(k, "authorization: token-0001", &good);
	opkit_get(k, "k", &s);
	opkit_until_asked(k, 4);
	assert_true(dif_instance_down_since(k->i) > 0);
	assert_non_null(strstr(dif_instance_trouble(k->i)->text, "could not log in"));
	script_release(k->s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(dif_instance_down_since(k->i), 0);
	assert_int_equal(dif_instance_trouble(k->i)->cls, DIF_OK);
	opkit_free(k);
}

TEST(a_credential_is_renewed_while_the_old_one_serves)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	char date[64] = "date: ";
	script_any_order(k->s);
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	/* the peer says that 3570 s have passed: 30 s are left, and it is renewed at 60 */
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000 + 3570);
	expect_get(k, "authorization: token-0001",
	           &(struct script_reply){.status = 403, .fields = {date}});
	expect_get(k, "authorization: token-0001", &good);
	expect_login(k, "{\"token\":\"token-0002\",\"lives\":3600}");
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	opkit_until_asked(k, 4);
	opkit_turn(k);
	expect_get(k, "authorization: token-0002", &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 2);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(logins(k), 2);
	opkit_free(k);
}

TEST(a_credential_near_its_end_is_not_asked_for_at_every_op)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":40}");
	for (unsigned n = 1; n <= 5; n++) {
		expect_get(k, "authorization: token-0001", &good);
		opkit_get(k, "k", &s);
		opkit_until(k, &s.calls, n);
	}
	assert_int_equal(logins(k), 1);
	opkit_free(k);
}

TEST(a_token_is_never_shown)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	expect_get(k, "authorization: token-0001",
	           &(struct script_reply){
			   .status = 400,
			   .fields = {"x-code: token-0001", "x-what: 'token-0001' is not known"}});
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_PERMANENT);
	assert_null(strstr(s.err.text, "token-0001"));
	assert_null(strstr(s.err.code, "token-0001"));
	assert_non_null(strstr(s.err.text, "***"));
	opkit_free(k);
}

/* --- clocks --- */

static int64_t asked_at(const struct opkit *k, size_t i)
{
	int64_t at = 0;
	assert_true(dif_parse_int(script_header(k->s, i, "x-now"), 0, INT64_MAX, &at));
	return at;
}

TEST(a_clock_far_off_is_set_once_without_a_login)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	char date[64] = "date: ";
	int64_t there = dif_wall_ms() / 1000 + 7200;
	dif_date(date + 6, DIF_DATE_HTTP, there);
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":360000}");
	expect_get(k, "authorization: token-0001",
	           &(struct script_reply){.status = 403, .fields = {date}});
	expect_get(k, "authorization: token-0001", &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_int_equal(logins(k), 1);
	assert_true(asked_at(k, 1) < there - 7000);
	assert_true(asked_at(k, 2) >= there && asked_at(k, 2) < there + 60);

	/* the clock that is right now is no excuse any more: one login, then the outcome */
	expect_get(k, "authorization: token-0001",
	           &(struct script_reply){.status = 403, .fields = {date}});
	expect_login(k, "{\"token\":\"token-0002\",\"lives\":3600}");
	expect_get(k, "authorization: token-0002",
	           &(struct script_reply){.status = 403, .fields = {date}});
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 2);
	assert_int_equal(s.err.cls, DIF_AUTH);
	opkit_free(k);
}

TEST(what_was_dated_before_the_clock_was_set_is_sent_again)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen a = {0}, b = {0};
	char date[64] = "date: ";
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000);
	dif_instance_set_clock(k->i, -7200);
	for (int i = 0; i < 2; i++) {
		expect_get(k, "x-now: *", &(struct script_reply){.status = 403, .fields = {date}});
	}
	expect_get(k, "x-now: *", &good);
	expect_get(k, "x-now: *", &good);
	opkit_get(k, "k", &a);
	opkit_get(k, "k", &b);
	opkit_until(k, &a.calls, 1);
	opkit_until(k, &b.calls, 1);
	assert_int_equal(a.err.cls, DIF_OK);
	assert_int_equal(b.err.cls, DIF_OK);
	opkit_free(k);
}

TEST(a_clock_set_wrong_on_purpose_is_learned_again)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	char date[64] = "date: ";
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000);
	assert_int_equal(dif_instance_clock(k->i), 0);
	dif_instance_set_clock(k->i, -7200);
	expect_get(k, "x-now: *", &(struct script_reply){.status = 403, .fields = {date}});
	expect_get(k, "x-now: *", &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	assert_in_range(dif_instance_clock(k->i) + 60, 0, 120);
	opkit_free(k);
}

TEST(a_clock_a_little_off_is_left_alone)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(false);
	struct seen s = {0};
	char date[64] = "date: ";
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000 + 200);
	expect_get(k, "x-now: *", &(struct script_reply){.status = 403, .fields = {date}});
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_AUTH);
	opkit_free(k);
}

TEST(a_login_with_a_clock_far_off_is_made_again)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	char date[64] = "date: ";
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000 - 100000);
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 401, .fields = {date}});
	expect_login(k, "{\"token\":\"token-0001\",\"lives\":3600}");
	expect_get(k, "authorization: token-0001", &good);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	opkit_free(k);
}

TEST(close_ends_a_login_in_flight)
{
	UNUSED_STATE;
	struct opkit *k = opkit_new(true);
	struct seen s = {0};
	script_expect(k->s, &(struct script_want){.method = "POST", .url = LOGIN},
	              &(struct script_reply){.status = 200, .hold = true});
	opkit_get(k, "k", &s);
	opkit_until_asked(k, 1);
	opkit_free(k);
	assert_int_equal(s.calls, 1);
	assert_int_equal(s.err.cls, DIF_CANCELED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_ops_wait_for_one_login),
		cmocka_unit_test(a_dead_token_costs_one_login_whoever_used_it),
		cmocka_unit_test(after_one_login_auth_is_the_outcome),
		cmocka_unit_test(without_a_login_auth_is_the_outcome_at_once),
		cmocka_unit_test(a_credential_that_never_ends_is_not_asked_for_again),
		cmocka_unit_test(
			a_refused_login_fails_all_that_wait_and_is_not_asked_again_at_once),
		cmocka_unit_test(what_a_login_does_not_find_is_not_the_object),
		cmocka_unit_test(a_login_that_could_not_be_made_is_repeated_while_ops_wait),
		cmocka_unit_test(a_login_that_nobody_waits_for_keeps_nothing_alive),
		cmocka_unit_test(a_store_where_nobody_can_log_in_is_down_until_somebody_can),
		cmocka_unit_test(a_credential_is_renewed_while_the_old_one_serves),
		cmocka_unit_test(a_credential_near_its_end_is_not_asked_for_at_every_op),
		cmocka_unit_test(a_token_is_never_shown),
		cmocka_unit_test(a_clock_far_off_is_set_once_without_a_login),
		cmocka_unit_test(what_was_dated_before_the_clock_was_set_is_sent_again),
		cmocka_unit_test(a_clock_set_wrong_on_purpose_is_learned_again),
		cmocka_unit_test(a_clock_a_little_off_is_left_alone),
		cmocka_unit_test(a_login_with_a_clock_far_off_is_made_again),
		cmocka_unit_test(close_ends_a_login_in_flight),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
