/* fastly - the real fastly.so in host/op with a scripted API: keys that a reply does not name, soft
 * purges, and a budget that is used up. */
#include "tests/plugin/support/checks.h"

#include "base/clock.h"

#define API "https://api.fastly.com"
#define SERVICE API "/service/SU1Z0isxPaozGVKXdv0eY"
#define INI                                                           \
	"[cdn t]\nplugin = fastly\nservice = SU1Z0isxPaozGVKXdv0eY\n" \
	"api_token = 0123456789abcdef\n"

static struct store *st;
static struct script *s;

static void begin(const char *more)
{
	char ini[1024];
	(void)snprintf(ini, sizeof ini, INI "%s", more);
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

static void end(void)
{
	script_free(s);
	store_close(st);
}

static void expect(const char *url, const char *field, int status, const char *reply)
{
	script_expect(s,
	              &(struct script_want){.method = "POST",
	                                    .url = url,
	                                    .fields = {"fastly-key: 0123456789abcdef", field},
	                                    .body = ""},
	              &(struct script_reply){.status = status, .body = reply});
}

static const struct store_out *purge(enum dif_purge_scope scope, const char *const *items,
                                     uint32_t n)
{
	return store_verb(
		st, DIF_PURGE,
		&(struct dif_purge){.scope = scope, .n = n, .urls = items, .paths = items});
}

static const char *const url[] = {"https://www.prep.example/a%20b/"};
static const char *const keys[] = {"cut-12", "page.index"};

TEST(each_scope_has_its_own_address)
{
	UNUSED_STATE;
	begin("");
	expect(API "/purge/www.prep.example/a%20b/", "!fastly-soft-purge", 200,
	       "{\"status\":\"ok\",\"id\":\"1-2\"}");
	const struct store_out *out = purge(DIF_PURGE_URLS, url, 1);
	check_ok(out);
	assert_true(out->settled);
	expect(SERVICE "/purge", "surrogate-key: cut-12 page.index", 200,
	       "{\"cut-12\":\"1-2\",\"page.index\":\"1-3\"}");
	check_ok(purge(DIF_PURGE_TAGS, keys, 2));
	expect(SERVICE "/purge_all", "!surrogate-key", 200, "{\"status\":\"ok\"}");
	check_ok(purge(DIF_PURGE_ALL, NULL, 0));
	end();
	begin("soft = yes\n");
	expect(API "/purge/www.prep.example/a%20b/", "fastly-soft-purge: 1", 200,
	       "{\"status\":\"ok\"}");
	check_ok(purge(DIF_PURGE_URLS, url, 1));
	end();
}

TEST(a_key_that_the_reply_does_not_name_is_not_purged)
{
	UNUSED_STATE;
	static const char *const odd[] = {"{\"cut-12\":\"1-2\"}",
	                                  "{\"cut-12\":\"1-2\",\"page.index\":\"\"}",
	                                  "{\"cut-12\":\"1-2\",\"page\":{\"index\":\"1-3\"}}",
	                                  "{\"status\":\"ok\"}",
	                                  "[]",
	                                  ""};
	begin("");
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		expect(SERVICE "/purge", NULL, 200, odd[k]);
		expect(SERVICE "/purge", NULL, 200, "{\"cut-12\":\"1\",\"page.index\":\"2\"}");
		const struct store_out *out = purge(DIF_PURGE_TAGS, keys, 2);
		check_ok(out);
		assert_int_equal(out->attempts, 2);
	}
	end();
}

TEST(what_would_be_two_keys_is_refused)
{
	UNUSED_STATE;
	static const char *const odd[] = {"a b", "", "a,b"};
	begin("");
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		check_class(purge(DIF_PURGE_TAGS, &odd[k], 1), DIF_PERMANENT);
	}
	end();
}

TEST(a_budget_that_is_used_up_is_waited_for)
{
	UNUSED_STATE;
	char reset[64];
	int64_t at = dif_wall_ms() / 1000 + 3;
	(void)snprintf(reset, sizeof reset, "fastly-ratelimit-reset: %lld", (long long)at);
	begin("");
	script_expect(s, &(struct script_want){.method = "POST"},
	              &(struct script_reply){.status = 429,
	                                     .fields = {"fastly-ratelimit-remaining: 0", reset}});
	expect(NULL, NULL, 200, "{\"status\":\"ok\"}");
	const struct store_out *out = purge(DIF_PURGE_URLS, url, 1);
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	assert_true(dif_wall_ms() / 1000 >= at - 1); /* it did not ask before */
	end();
}

TEST(a_reset_that_is_none_is_no_reason_to_wait)
{
	UNUSED_STATE;
	static const char *const odd[] = {"fastly-ratelimit-reset: soon",
	                                  "fastly-ratelimit-reset: 5"};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		begin("");
		script_expect(s, &(struct script_want){.method = "POST"},
		              &(struct script_reply){.status = 429, .fields = {odd[k]}});
		expect(NULL, NULL, 200, "{\"status\":\"ok\"}");
		check_ok(purge(DIF_PURGE_URLS, url, 1));
		end();
	}
}

TEST(failures_by_status)
{
	UNUSED_STATE;
	begin("");
	expect(NULL, NULL, 404,
	       "{\"msg\":\"Record not found\",\"detail\":\"Cannot load service\"}");
	const struct store_out *out = purge(DIF_PURGE_URLS, url, 1);
	check_class(out, DIF_PERMANENT);
	check_text(out, "Record not found: Cannot load service (HTTP 404)");
	expect(NULL, NULL, 403, "{\"msg\":\"You are not authorized\"}");
	check_class(purge(DIF_PURGE_URLS, url, 1), DIF_AUTH);
	end();
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused("[cdn t]\nplugin = fastly\nservice = a/b\napi_token = c\n", "copy them anew");
	check_refused(INI "endpoint = https://api.fastly.com/x\n", "must be https://HOST");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scope_has_its_own_address),
		cmocka_unit_test(a_key_that_the_reply_does_not_name_is_not_purged),
		cmocka_unit_test(what_would_be_two_keys_is_refused),
		cmocka_unit_test(a_budget_that_is_used_up_is_waited_for),
		cmocka_unit_test(a_reset_that_is_none_is_no_reason_to_wait),
		cmocka_unit_test(failures_by_status),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/fastly", tests, NULL, NULL);
}
