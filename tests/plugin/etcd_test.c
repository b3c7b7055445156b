/* etcd - the real etcd.so in host/op with scripted members: which is asked when one does not
 * answer, whose lease it is when an answer was lost, and what is no answer. A real etcd is asked by
 * tests/cloud/etcd. */
#include "tests/plugin/support/checks.h"

#define INI                                            \
	"[lease t]\nplugin = etcd\npatience = 500ms\n" \
	"endpoints = http://127.0.0.1:2379  http://127.0.0.2:2379 http://127.0.0.3:2379\n"
#define MEMBER(n) "http://127.0.0." n ":2379/v3/"
#define HEADER "\"header\":{\"revision\":\"7\"}"
#define KEY "L2RpZnVzb3IvYWdlbnQ=" /* /difusor/agent */
#define ONE "b25lLTE="             /* one-1 */
#define TWO "dHdvLTE="             /* two-1 */
#define KV(owner, lease)                                                                   \
	"{\"kvs\":[{\"key\":\"" KEY "\",\"create_revision\":\"5\",\"mod_revision\":\"5\"," \
	"\"value\":\"" owner "\"" lease "}],\"count\":\"1\""
#define HELD(owner, lease) KV(owner, lease) "," HEADER "}"
#define NOBODY "{" HEADER "}"
#define LOST(owner, lease) "{" HEADER ",\"responses\":[{\"response_range\":" KV(owner, lease) "}}]}"
#define WITH_LEASE(id) ",\"lease\":\"" id "\""

static struct store *st;
static struct script *s;

static void begin(void)
{
	st = store_open(INI, NULL);
	s = script_new(st->engine);
}

static void end(void)
{
	script_free(s);
	store_close(st);
}

static void expect(const char *url, const char *body, int status, const char *reply)
{
	script_expect(
		s,
		&(struct script_want){
			.method = "POST", .url = url, .fields = {"!authorization"}, .body = body},
		&(struct script_reply){.status = status, .body = reply, .sent = true});
}

static const struct store_out *lease(enum dif_verb_id verb, const char *id)
{
	return store_verb(st, verb,
	                  &(struct dif_lease_call){
				  .name = "agent", .owner = "one-1", .lease = id, .ttl_s = 15});
}

TEST(nobody_has_it_then_we_do)
{
	UNUSED_STATE;
	begin();
	expect(MEMBER("1") "kv/range", "{\"key\":\"" KEY "\"}", 200, NOBODY);
	expect(MEMBER("1") "lease/grant", "{\"TTL\":\"15\"}", 200,
	       "{" HEADER ",\"ID\":\"9041998829686637061\",\"TTL\":\"15\"}");
	expect(MEMBER("1") "kv/txn",
	       "{\"compare\":[{\"key\":\"" KEY
	       "\",\"target\":\"CREATE\",\"create_revision\":\"0\",\"result\":\"EQUAL\"}],"
	       "\"success\":[{\"request_put\":{\"key\":\"" KEY "\",\"value\":\"" ONE
	       "\",\"lease\":\"9041998829686637061\"}}],"
	       "\"failure\":[{\"request_range\":{\"key\":\"" KEY "\"}}]}",
	       200, "{" HEADER ",\"succeeded\":true}");
	const struct store_out *out = lease(DIF_LEASE_ACQUIRE, NULL);
	check_ok(out);
	assert_string_equal(out->lease, "9041998829686637061");
	assert_int_equal(out->fence, 7);
	assert_int_equal(out->ttl_s, 15);
	end();
}

TEST(a_txn_without_an_answer_finds_its_own_owner)
{
	UNUSED_STATE;
	begin();
	expect(MEMBER("1") "kv/range", NULL, 200, NOBODY);
	expect(MEMBER("1") "lease/grant", NULL, 200, "{" HEADER ",\"ID\":\"11\",\"TTL\":\"15\"}");
	expect(MEMBER("1") "kv/txn", NULL, 0, NULL); /* it had its effect */
	expect(MEMBER("2") "kv/txn", NULL, 200, LOST(ONE, WITH_LEASE("11")));
	expect(MEMBER("2") "lease/keepalive", "{\"ID\":\"11\"}", 200,
	       "{\"result\":{" HEADER ",\"ID\":\"11\",\"TTL\":\"15\"}}\n");
	const struct store_out *out = lease(DIF_LEASE_ACQUIRE, NULL);
	check_ok(out);
	assert_string_equal(out->lease, "11");
	assert_int_equal(out->fence, 5);
	assert_int_equal(out->attempts, 1);
	end();
}

TEST(somebody_faster_is_told)
{
	UNUSED_STATE;
	begin();
	expect(MEMBER("1") "kv/range", NULL, 200, NOBODY);
	expect(MEMBER("1") "lease/grant", NULL, 200, "{" HEADER ",\"ID\":\"11\",\"TTL\":\"15\"}");
	expect(MEMBER("1") "kv/txn", NULL, 200, LOST(TWO, WITH_LEASE("12")));
	const struct store_out *out = lease(DIF_LEASE_ACQUIRE, NULL);
	check_ok(out);
	assert_null(out->lease);
	assert_string_equal(out->holder, "two-1");
	assert_int_equal(out->fence, 5);
	end();
}

TEST(an_owner_without_a_lease_holds_for_ever)
{
	UNUSED_STATE;
	begin();
	expect(MEMBER("1") "kv/range", NULL, 200, HELD(ONE, ""));
	const struct store_out *out = lease(DIF_LEASE_ACQUIRE, NULL);
	check_ok(out);
	assert_null(out->lease);
	assert_string_equal(out->holder, "one-1");
	end();
}

TEST(members_are_asked_in_order_until_one_answers)
{
	UNUSED_STATE;
	begin();
	expect(MEMBER("1") "kv/range", NULL, 0, NULL);
	expect(MEMBER("2") "kv/range", NULL, 503,
	       "{\"error\":\"etcdserver: no leader\",\"code\":14}");
	expect(MEMBER("3") "kv/range", NULL, 200, HELD(TWO, WITH_LEASE("12")));
	const struct store_out *out = lease(DIF_LEASE_READ, NULL);
	check_ok(out);
	assert_string_equal(out->holder, "two-1");
	assert_int_equal(out->attempts, 1);
	assert_int_equal(script_seen(s, 0)->timeout_ms, 500);
	/* none answers: the op is tried again, from the first */
	expect(MEMBER("1") "lease/keepalive", NULL, 0, NULL);
	expect(MEMBER("2") "lease/keepalive", NULL, 0, NULL);
	expect(MEMBER("3") "lease/keepalive", NULL, 0, NULL);
	expect(MEMBER("1") "lease/keepalive", NULL, 200,
	       "{\"result\":{" HEADER ",\"ID\":\"11\",\"TTL\":\"14\"}}");
	out = lease(DIF_LEASE_RENEW, "11");
	check_ok(out);
	assert_int_equal(out->ttl_s, 14);
	assert_int_equal(out->attempts, 2);
	end();
}

TEST(an_answer_that_is_not_whole_is_never_nobody_nor_over)
{
	UNUSED_STATE;
	static const char *const odd[] = {
		"{}",
		"",
		"null",
		"{\"header\":{}}",
		"{\"count\":\"0\"}",
		"{\"error\":{\"grpc_code\":14,\"message\":\"no leader\"}}",
		"{\"header\":{\"revision\":\"7\"}",
		"<html>",
	};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		begin(); /* anew: its breaker counts */
		expect(MEMBER("1") "kv/range", NULL, 200, odd[k]);
		expect(MEMBER("1") "kv/range", NULL, 200, HELD(TWO, WITH_LEASE("12")));
		const struct store_out *out = lease(DIF_LEASE_READ, NULL);
		check_ok(out);
		assert_string_equal(out->holder, "two-1");
		expect(MEMBER("1") "lease/keepalive", NULL, 200, odd[k]);
		expect(MEMBER("1") "lease/keepalive", NULL, 200,
		       "{\"result\":{" HEADER ",\"ID\":\"11\",\"TTL\":\"14\"}}");
		check_ok(lease(DIF_LEASE_RENEW, "11"));
		expect(MEMBER("1") "lease/revoke", NULL, 200, odd[k]);
		expect(MEMBER("1") "lease/revoke", NULL, 200, "{" HEADER "}");
		check_ok(lease(DIF_LEASE_RELEASE, "11"));
		end();
	}
	begin();
	expect(MEMBER("1") "lease/keepalive", NULL, 200, "{\"result\":{" HEADER ",\"ID\":\"11\"}}");
	check_class(lease(DIF_LEASE_RENEW, "11"), DIF_NOT_FOUND);
	end();
}

TEST(a_value_that_is_no_owner_is_refused)
{
	UNUSED_STATE;
	begin();
	expect(MEMBER("1") "kv/range", NULL, 200, HELD("", WITH_LEASE("12")));
	expect(MEMBER("1") "kv/range", NULL, 200, HELD(TWO, WITH_LEASE("12")));
	const struct store_out *out = lease(DIF_LEASE_READ, NULL);
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	end();
}

TEST(what_is_no_lease_of_etcds_is_over)
{
	UNUSED_STATE;
	static const char *const ids[] = {"", "x", "1\",\"y\":\"", "99999999999999999999"};
	begin();
	for (size_t k = 0; k < sizeof ids / sizeof *ids; k++) {
		check_class(lease(DIF_LEASE_RENEW, ids[k]), DIF_NOT_FOUND);
		check_ok(lease(DIF_LEASE_RELEASE, ids[k]));
	}
	assert_int_equal(script_count(s), 0);
	expect(NULL, NULL, 404,
	       "{\"error\":\"x\",\"message\":\"requested lease not found\","
	       "\"code\":5}");
	check_ok(lease(DIF_LEASE_RELEASE, "11"));
	expect(NULL, NULL, 404, "404 page not found"); /* no gateway */
	check_class(lease(DIF_LEASE_RELEASE, "11"), DIF_PERMANENT);
	end();
}

static void expect_token(const char *token, const char *url, int status, const char *reply)
{
	script_expect(s, &(struct script_want){.url = url, .fields = {token}},
	              &(struct script_reply){.status = status, .body = reply});
}

TEST(a_token_that_is_no_longer_good_is_asked_for_anew)
{
	UNUSED_STATE;
	static const char old[] =
		"{\"error\":\"x\",\"message\":\"etcdserver: revision of auth store "
		"is old\",\"code\":3}";
	st = store_open(INI "user = u\npassword = p\"w\n", NULL);
	s = script_new(st->engine);
	expect(MEMBER("1") "auth/authenticate", "{\"name\":\"u\",\"password\":\"p\\\"w\"}", 200,
	       "{" HEADER ",\"token\":\"first.1\"}");
	expect_token("authorization: first.1", MEMBER("1") "kv/range", 400, old);
	expect(MEMBER("1") "auth/authenticate", NULL, 200, "{" HEADER ",\"token\":\"second.2\"}");
	expect_token("authorization: second.2", MEMBER("1") "kv/range", 200, NOBODY);
	const struct store_out *out = lease(DIF_LEASE_READ, NULL);
	check_ok(out);
	assert_null(out->holder);
	end();
}

TEST(a_login_without_authentication_goes_on_without)
{
	UNUSED_STATE;
	st = store_open(INI "user = u\npassword = p\n", NULL);
	s = script_new(st->engine);
	expect(MEMBER("1") "auth/authenticate", NULL, 412,
	       "{\"message\":\"etcdserver: authentication is not enabled\",\"code\":9}");
	expect(MEMBER("1") "kv/range", NULL, 200, NOBODY);
	check_ok(lease(DIF_LEASE_READ, NULL));
	end();
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused(INI "user = u\n", "go together");
	check_refused("[lease t]\nplugin = etcd\nendpoints = etcd1:2379\n", "must be https://");
	check_refused("[lease t]\nplugin = etcd\nendpoints = https://a/v3\n", "must be https://");
	check_refused(
		"[lease t]\nplugin = etcd\nendpoints = https://a https://a https://a https://a "
		"https://a https://a https://a https://a https://a https://a\n",
		"more than 9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_has_it_then_we_do),
		cmocka_unit_test(a_txn_without_an_answer_finds_its_own_owner),
		cmocka_unit_test(somebody_faster_is_told),
		cmocka_unit_test(an_owner_without_a_lease_holds_for_ever),
		cmocka_unit_test(members_are_asked_in_order_until_one_answers),
		cmocka_unit_test(an_answer_that_is_not_whole_is_never_nobody_nor_over),
		cmocka_unit_test(a_value_that_is_no_owner_is_refused),
		cmocka_unit_test(what_is_no_lease_of_etcds_is_over),
		cmocka_unit_test(a_token_that_is_no_longer_good_is_asked_for_anew),
		cmocka_unit_test(a_login_without_authentication_goes_on_without),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/etcd", tests, NULL, NULL);
}
