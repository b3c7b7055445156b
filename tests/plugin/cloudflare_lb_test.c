/* cloudflare_lb - the real cloudflare-lb.so in host/op with a scripted API: an origin goes back as
 * it came, whatever it holds. */
#include "tests/plugin/support/checks.h"

#define IDS                                            \
	"account = 9a7806061c88ada191ed06f989cc3dac\n" \
	"pool = 17b5962d775c646f3f9725cbc7a53df4\n"
#define INI "[steering t]\nplugin = cloudflare-lb\napi_token = abc\nrate = 10000\n" IDS
#define POOL                                                                              \
	"https://api.cloudflare.com/client/v4/accounts/9a7806061c88ada191ed06f989cc3dac/" \
	"load_balancers/pools/17b5962d775c646f3f9725cbc7a53df4"
#define REPLY(origins) "{\"success\":true,\"result\":{\"id\":\"x\",\"origins\":" origins "}}"
#define GOOD "{\"success\":true,\"result\":{}}"

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

static void expect_pool(const char *reply)
{
	script_expect(s, &(struct script_want){.method = "GET", .url = POOL, .body = ""},
	              &(struct script_reply){.status = 200, .body = reply});
}

static void expect_patch(const char *body)
{
	script_expect(s, &(struct script_want){.method = "PATCH", .url = POOL, .body = body},
	              &(struct script_reply){.status = 200, .body = GOOD});
}

static const struct store_out *get(void)
{
	return store_verb(st, DIF_ROUTE_GET,
	                  &(struct dif_route){.name = "www.prep.example", .type = "CNAME"});
}

static const struct store_out *set(uint32_t first, uint32_t second, const char *tag)
{
	const struct dif_target targets[] = {
		{.name = "aws", .value = "A.example", .weight = first},
		{.name = "gcs", .value = "b.example", .weight = second},
	};
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = "www.prep.example",
	                                      .type = "CNAME",
	                                      .targets = targets,
	                                      .n = 2,
	                                      .if_tag = tag});
}

TEST(weights_are_hundredths)
{
	UNUSED_STATE;
	static const struct {
		const char *told;
		uint32_t weight;
	} cases[] = {
		{"\"weight\":1", 100},
		{"\"weight\":1.0", 100},
		{"\"weight\":0.5", 50},
		{"\"weight\":0.05", 5},
		{"\"weight\":0.333", 33},
		{"\"weight\":0", 0},
		{"\"weight\":5e-1", 100},
		{"\"port\":0", 100},
		{"\"weight\":null", 100},
		{"\"enabled\":false", 0},
		{"\"enabled\":true,\"weight\":0.999", 99},
	};
	begin();
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		char reply[512];
		(void)snprintf(reply, sizeof reply,
		               REPLY("[{\"name\":\"aws\",\"address\":\"a.example\",%s}]"),
		               cases[k].told);
		expect_pool(reply);
		const struct store_out *out = get();
		check_ok(out);
		assert_int_equal(out->ntargets, 1);
		assert_string_equal(out->targets[0].name, "aws");
		assert_string_equal(out->targets[0].value, "a.example");
		assert_int_equal(out->targets[0].weight, cases[k].weight);
	}
	end();
}

#define ODD                                                                             \
	"[ {\"name\" : \"aws\", \"address\":\"a.example\", \"weight\": 0.20 ,\n"        \
	"\"header\" : {\"Host\":[\"x\\\"]}\\\\\",\"y\"]},\"port\":8443,\"flat\":true,"  \
	"\"no\":null} ,"                                                                \
	"{\"enabled\":false,\"disabled_at\":\"2026-01-01T00:00:00Z\",\"name\":\"gcs\"," \
	"\"address\":\"b.example\",\"weight\":0.7},"                                    \
	"{\"name\":\"old\",\"address\":\"c.example\",\"e\":[[],{}],\"x\":\"\\u007b\"}]"

TEST(an_origin_goes_back_as_it_came)
{
	UNUSED_STATE;
	begin();
	expect_pool(REPLY(ODD));
	const struct store_out *out = get();
	check_ok(out);
	assert_int_equal(out->ntargets, 3);
	expect_pool(REPLY(ODD));
	expect_patch("{\"origins\":["
	             "{\"name\":\"aws\",\"address\":\"a.example\","
	             "\"header\":{\"Host\":[\"x\\\"]}\\\\\",\"y\"]},\"port\":8443,\"flat\":true,"
	             "\"no\":null,\"enabled\":false,\"weight\":0.20},"
	             "{\"name\":\"gcs\",\"address\":\"b.example\",\"enabled\":true,\"weight\":1},"
	             "{\"name\":\"old\",\"address\":\"c.example\",\"e\":[[],{}],\"x\":\"\\u007b\","
	             "\"enabled\":false,\"weight\":1}]}");
	out = set(0, 100, out->tag);
	check_ok(out);
	assert_true(out->settled);
	end();
}

#define TWO(a, b)                                                                          \
	"[{\"name\":\"aws\",\"address\":\"a.example\",\"enabled\":true,\"weight\":" a "}," \
	"{\"name\":\"gcs\",\"address\":\"b.example\",\"enabled\":true,\"weight\":" b "}]"

TEST(what_is_right_is_not_sent)
{
	UNUSED_STATE;
	begin();
	expect_pool(REPLY(TWO("0.5", "0.07")));
	check_ok(set(50, 7, NULL));
	expect_pool(REPLY(TWO("0.5", "0.07")));
	expect_patch("*\"weight\":0.50},*\"weight\":0.08}]}");
	check_ok(set(50, 8, NULL));
	end();
}

TEST(a_pool_that_has_changed_is_a_conflict)
{
	UNUSED_STATE;
	begin();
	expect_pool(REPLY(TWO("0.5", "0.5")));
	const char *tag = get()->tag;
	expect_pool(REPLY(TWO("0.5", "0.4")));
	check_class(set(1, 1, tag), DIF_CONFLICT);
	end();
}

TEST(a_target_that_is_no_origin_is_told)
{
	UNUSED_STATE;
	static const char one[] =
		REPLY("[{\"name\":\"aws\",\"address\":\"a.example\",\"weight\":1}]");
	begin();
	expect_pool(one);
	const struct store_out *out = set(1, 1, NULL);
	check_class(out, DIF_PERMANENT);
	check_text(out, "no origin with the address 'b.example'");
	expect_pool(one); /* nobody would be sent there anyway */
	expect_patch(NULL);
	check_ok(set(1, 0, NULL));
	end();
}

TEST(a_list_that_is_not_whole_is_none)
{
	UNUSED_STATE;
	static const char *const odd[] = {
		"{\"success\":true}",
		REPLY("null"),
		REPLY("{}"),
		REPLY("[1]"),
		REPLY("[{}]"),
		REPLY("[{\"name\":\"a\"}]"),
		"{\"success\":true,\"result\":{\"\\u006frigins\":[]}}",
		"{\"success\":false,\"result\":{\"origins\":[]}}",
	};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		begin();
		expect_pool(odd[k]);
		expect_pool(REPLY(TWO("1", "1")));
		const struct store_out *out = get();
		check_ok(out);
		assert_int_equal(out->attempts, 2);
		assert_int_equal(out->ntargets, 2);
		end();
	}
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused("[steering t]\nplugin = cloudflare-lb\napi_token = abc\naccount = x y\n"
	              "pool = 17b5962d775c646f3f9725cbc7a53df4\n",
	              "account 'x y' is no id");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(weights_are_hundredths),
		cmocka_unit_test(an_origin_goes_back_as_it_came),
		cmocka_unit_test(what_is_right_is_not_sent),
		cmocka_unit_test(a_pool_that_has_changed_is_a_conflict),
		cmocka_unit_test(a_target_that_is_no_origin_is_told),
		cmocka_unit_test(a_list_that_is_not_whole_is_none),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/cloudflare_lb", tests, NULL, NULL);
}
