/* cloudflare - the real cloudflare.so in host/op with a scripted API: what a purge says, and that
 * 200 alone is no success. */
#include "tests/plugin/support/checks.h"

#define ZONE "023e105f4ecef8ad9ca31a8372d0c353"
#define AT "https://api.cloudflare.com/client/v4/zones/" ZONE "/purge_cache"
#define INI                                                             \
	"[cdn t]\nplugin = cloudflare\nzone = " ZONE "\nrate = 10000\n" \
	"api_token = Sn3lZJTBX6kkg7OdcBUAxOO963GEIyGQqn\n"
#define GOOD "{\"success\":true,\"errors\":[],\"messages\":[],\"result\":{\"id\":\"" ZONE "\"}}"

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

static void expect(const char *body, int status, const char *reply)
{
	script_expect(s,
	              &(struct script_want){.method = "POST",
	                                    .url = AT,
	                                    .fields = {"authorization: Bearer Sn3lZJTBX6kkg7OdcB"
	                                               "UAxOO963GEIyGQqn",
	                                               "content-type: application/json"},
	                                    .body = body},
	              &(struct script_reply){.status = status, .body = reply});
}

static const struct store_out *purge(enum dif_purge_scope scope, const char *const *urls,
                                     uint32_t n)
{
	return store_verb(st, DIF_PURGE,
	                  &(struct dif_purge){.scope = scope,
	                                      .n = n,
	                                      .urls = urls,
	                                      .paths = urls,
	                                      .idem = "00112233445566778899aabbccddeeff"});
}

static const struct store_out *purge_one(void)
{
	return purge(DIF_PURGE_URLS, (const char *const[]){"https://www.prep.example/a"}, 1);
}

TEST(each_scope_has_its_own_member)
{
	UNUSED_STATE;
	begin("");
	const char *const urls[] = {"https://www.prep.example/a.html",
	                            "https://www.prep.example/\"b\"%20c/"};
	expect("{\"files\":[\"https://www.prep.example/a.html\","
	       "\"https://www.prep.example/\\\"b\\\"%20c/\"]}",
	       200, GOOD);
	const struct store_out *out = purge(DIF_PURGE_URLS, urls, 2);
	check_ok(out);
	assert_true(out->settled);
	assert_null(out->ticket);
	const char *const prefixes[] = {"https://www.prep.example/", "http://prep.example/data/"};
	expect("{\"prefixes\":[\"www.prep.example/\",\"prep.example/data/\"]}", 200, GOOD);
	check_ok(purge(DIF_PURGE_PREFIXES, prefixes, 2));
	const char *const tags[] = {"cut-12", "page"};
	expect("{\"tags\":[\"cut-12\",\"page\"]}", 200, GOOD);
	check_ok(purge(DIF_PURGE_TAGS, tags, 2));
	expect("{\"purge_everything\":true}", 200, GOOD);
	check_ok(purge(DIF_PURGE_ALL, NULL, 0));
	end();
}

TEST(a_reply_of_200_that_says_no_is_a_failure_with_code_and_message)
{
	UNUSED_STATE;
	begin("");
	expect(NULL, 200,
	       "{\"success\":false,\"errors\":[{\"code\":7003,\"message\":\"Could not route to "
	       "/zones/x\"}],\"result\":null}");
	const struct store_out *out = purge_one();
	check_class(out, DIF_PERMANENT);
	check_text(out, "7003: Could not route to /zones/x (HTTP 200)");
	expect(NULL, 200,
	       "{\"success\":false,\"errors\":[{\"code\":6003,\"message\":\"Invalid request "
	       "headers\",\"error_chain\":[{\"code\":6111,\"message\":\"Invalid format for "
	       "Authorization header\"}]}]}");
	out = purge_one();
	check_class(out, DIF_AUTH);
	check_text(out, "Invalid request headers: Invalid format for Authorization header");
	end();
}

TEST(what_the_api_does_not_explain_is_tried_again)
{
	UNUSED_STATE;
	static const char *const replies[] = {
		"{\"success\":false,\"errors\":[{\"code\":1134,\"message\":\"Unable to purge\"}]}",
		"{\"success\":false}",
		"{\"result\":{}}",
		"{\"success\":true",
		"[]",
		"",
	};
	begin("");
	for (size_t k = 0; k < sizeof replies / sizeof *replies; k++) {
		expect(NULL, 200, replies[k]);
		expect(NULL, 200, GOOD);
		const struct store_out *out = purge_one();
		check_ok(out);
		assert_int_equal(out->attempts, 2);
	}
	end();
}

TEST(failures_by_status_and_code)
{
	UNUSED_STATE;
	static const struct {
		int status;
		const char *body;
		enum dif_class cls;
	} cases[] = {
		{403, "{\"success\":false,\"errors\":[{\"code\":10000,\"message\":\"x\"}]}",
	         DIF_AUTH},
		{400, "{\"success\":false,\"errors\":[{\"code\":6003,\"message\":\"x\"}]}",
	         DIF_AUTH},
		{400, "{\"success\":false,\"errors\":[{\"code\":1012,\"message\":\"x\"}]}",
	         DIF_PERMANENT},
		{404, "<html>", DIF_PERMANENT},
	};
	begin("");
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		expect(NULL, cases[k].status, cases[k].body);
		check_class(purge_one(), cases[k].cls);
	}
	end();
}

TEST(too_much_waits_as_long_as_told)
{
	UNUSED_STATE;
	begin("");
	script_expect(s, &(struct script_want){.method = "POST"},
	              &(struct script_reply){.status = 429, .fields = {"retry-after: 0"}});
	expect(NULL, 200, GOOD);
	const struct store_out *out = purge_one();
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	end();
}

TEST(a_prefix_has_a_bounded_depth)
{
	UNUSED_STATE;
	char good[64] = "https://www.prep.example", bad[64] = "https://www.prep.example";
	memset(good + strlen(good), '/', 31);
	memset(bad + strlen(bad), '/', 32);
	begin("");
	expect(NULL, 200, GOOD);
	check_ok(purge(DIF_PURGE_PREFIXES, (const char *const[]){good}, 1));
	const struct store_out *out = purge(DIF_PURGE_PREFIXES, (const char *const[]){bad}, 1);
	check_class(out, DIF_PERMANENT);
	check_text(out, "31 slashes at most");
	end();
}

TEST(the_probe_forgets_nothing)
{
	UNUSED_STATE;
	begin("");
	expect("{\"tags\":[\"difusor-probe\"]}", 200, GOOD);
	check_ok(store_probe(st));
	end();
}

TEST(the_plan_tells_the_limits)
{
	UNUSED_STATE;
	begin("");
	const struct dif_caps *c = dif_instance_caps(st->instance);
	assert_int_equal(c->purge_max, 30);
	assert_int_equal(c->purge_wide_max, 30);
	assert_true(c->purge_urls_per_s == 800);
	end();
	begin("plan = enterprise\nbatch = 500\n");
	c = dif_instance_caps(st->instance);
	assert_int_equal(c->purge_max, 500);
	assert_int_equal(c->purge_wide_max, 100);
	assert_true(c->purges_per_s == 50 && c->purge_urls_per_s == 3000);
	end();
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused("[cdn t]\nplugin = cloudflare\napi_token = x\nzone = prep.example\n",
	              "is no id");
	check_refused("[cdn t]\nplugin = cloudflare\napi_token = a b\nzone = " ZONE "\n",
	              "api_token holds a blank");
	check_refused(INI "batch = 501\n", "batch");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scope_has_its_own_member),
		cmocka_unit_test(a_reply_of_200_that_says_no_is_a_failure_with_code_and_message),
		cmocka_unit_test(what_the_api_does_not_explain_is_tried_again),
		cmocka_unit_test(failures_by_status_and_code),
		cmocka_unit_test(too_much_waits_as_long_as_told),
		cmocka_unit_test(a_prefix_has_a_bounded_depth),
		cmocka_unit_test(the_probe_forgets_nothing),
		cmocka_unit_test(the_plan_tells_the_limits),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/cloudflare", tests, NULL, NULL);
}
