/* cloudflare_dns - the real cloudflare-dns.so in host/op with a scripted API: what is changed, and
 * above all what is not. */
#include "tests/plugin/support/checks.h"

#define ZONE "023e105f4ecef8ad9ca31a8372d0c353"
#define RECORDS "https://api.cloudflare.com/client/v4/zones/" ZONE "/dns_records"
#define INI \
	"[steering t]\nplugin = cloudflare-dns\nzone = " ZONE "\napi_token = abc\nrate = 10000\n"
#define RECORD(id, type, content, ttl, proxied, comment)                      \
	"{\"id\":\"" id "\",\"name\":\"www.prep.example\",\"type\":\"" type   \
	"\",\"content\":\"" content "\",\"ttl\":" ttl ",\"proxied\":" proxied \
	",\"comment\":" comment ",\"tags\":[]}"
#define LIST(records, n)                                            \
	"{\"result\":[" records "],\"success\":true,\"errors\":[]," \
	"\"result_info\":{\"total_count\":" n "}}"
#define OURS RECORD("aaa", "CNAME", "a.cdn.example", "60", "false", "\"difusor aws\"")
#define TXT RECORD("ttt", "TXT", "\\\"x\\\"", "60", "false", "null")
#define GOOD "{\"success\":true,\"errors\":[],\"result\":{}}"

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

static void expect_list(const char *reply)
{
	script_expect(s,
	              &(struct script_want){.method = "GET",
	                                    .url = RECORDS "?name=www.prep.example&per_page=100",
	                                    .fields = {"authorization: Bearer abc"}},
	              &(struct script_reply){.status = 200, .body = reply});
}

static void expect_batch(const char *body, int status, const char *reply)
{
	script_expect(
		s, &(struct script_want){.method = "POST", .url = RECORDS "/batch", .body = body},
		&(struct script_reply){.status = status, .body = reply});
}

static const struct store_out *get(void)
{
	return store_verb(st, DIF_ROUTE_GET,
	                  &(struct dif_route){.name = "www.prep.example", .type = "CNAME"});
}

static const struct store_out *set(const char *name, const char *value, const char *tag)
{
	const struct dif_target target = {.name = name, .value = value, .weight = 1};
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = "www.prep.example",
	                                      .type = "CNAME",
	                                      .targets = &target,
	                                      .n = 1,
	                                      .ttl_s = 60,
	                                      .if_tag = tag});
}

TEST(a_record_tells_whose_it_is)
{
	UNUSED_STATE;
	begin("");
	expect_list(LIST(OURS "," TXT, "2"));
	const struct store_out *out = get();
	check_ok(out);
	assert_int_equal(out->ntargets, 1);
	assert_string_equal(out->targets[0].name, "aws");
	assert_string_equal(out->targets[0].value, "a.cdn.example");
	assert_int_equal(out->ttl_s, 60);
	static const char *const strangers[] = {"null", "\"\"", "\"difusora aws\"", "\"by hand\""};
	for (size_t k = 0; k < sizeof strangers / sizeof *strangers; k++) {
		char list[1024];
		(void)snprintf(
			list, sizeof list,
			LIST("{\"id\":\"a\",\"name\":\"www.prep.example\",\"type\":\"CNAME\","
		             "\"content\":\"x.example\",\"ttl\":1,\"proxied\":true,"
		             "\"comment\":%s}",
		             "1"),
			strangers[k]);
		expect_list(list);
		out = get();
		check_ok(out);
		assert_string_equal(out->targets[0].name, "x.example");
		assert_int_equal(out->ttl_s, 300);
	}
	end();
}

TEST(a_record_of_ours_becomes_another)
{
	UNUSED_STATE;
	begin("");
	expect_list(LIST(OURS, "1"));
	const char *tag = get()->tag;
	expect_list(LIST(OURS, "1"));
	expect_batch("{\"deletes\":[],\"patches\":[{\"id\":\"aaa\",\"type\":\"CNAME\",\"content\":"
	             "\"b.cdn.example\",\"ttl\":60,\"proxied\":false,\"comment\":\"difusor gcs\"}],"
	             "\"posts\":[]}",
	             200, GOOD);
	const struct store_out *out = set("gcs", "b.cdn.example", tag);
	check_ok(out);
	assert_true(out->settled);
	expect_list(LIST(OURS, "1")); /* as it is: nothing to do */
	check_ok(set("aws", "A.cdn.example", tag));
	expect_list(LIST(RECORD("aaa", "CNAME", "a.cdn.example", "120", "false", "\"difusor aws\""),
	                 "1"));
	check_class(set("aws", "a.cdn.example", tag), DIF_CONFLICT);
	end();
}

TEST(a_record_of_others_is_not_touched)
{
	UNUSED_STATE;
	static const char foreign[] =
		LIST(RECORD("fff", "CNAME", "a.cdn.example", "300", "true", "null"), "1");
	begin("");
	expect_list(foreign); /* it leads where it should: it stays as it is */
	check_ok(set("aws", "a.cdn.example", NULL));
	expect_list(foreign);
	const struct store_out *out = set("gcs", "b.cdn.example", NULL);
	check_class(out, DIF_PERMANENT);
	check_text(out,
	           "its CNAME record 'a.cdn.example' is not ours to remove; give it the comment "
	           "'difusor'");
	expect_list(LIST(RECORD("fff", "A", "192.0.2.1", "300", "true", "null"), "1"));
	check_class(set("gcs", "b.cdn.example", NULL), DIF_PERMANENT);
	end();
}

TEST(a_record_of_ours_of_another_type_goes)
{
	UNUSED_STATE;
	begin("");
	expect_list(LIST(RECORD("old", "A", "192.0.2.1", "60", "false", "\"difusor aws\""), "1"));
	expect_batch(
		"{\"deletes\":[{\"id\":\"old\"}],\"patches\":[],\"posts\":[{\"name\":"
		"\"www.prep.example\",\"type\":\"CNAME\",\"content\":\"a.cdn.example\",\"ttl\":60,"
		"\"proxied\":false,\"comment\":\"difusor aws\"}]}",
		200, GOOD);
	check_ok(set("aws", "a.cdn.example", NULL));
	end();
}

TEST(a_proxied_record_has_no_ttl_of_its_own)
{
	UNUSED_STATE;
	begin("proxied = yes\nowner = prep\n");
	assert_int_equal(dif_instance_caps(st->instance)->ttl_min_s, 300);
	expect_list(LIST("", "0"));
	expect_batch("*\"posts\":[{\"name\":\"www.prep.example\",\"type\":\"CNAME\",\"content\":"
	             "\"a.cdn.example\",\"ttl\":1,\"proxied\":true,\"comment\":\"prep aws\"}]}",
	             200, GOOD);
	check_ok(set("aws", "a.cdn.example", "absent"));
	end();
}

TEST(what_has_changed_since_it_was_read_is_a_conflict)
{
	UNUSED_STATE;
	static const char *const codes[] = {"81044", "81053", "81057", "81058"};
	for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) {
		char reply[256];
		begin("");
		(void)snprintf(reply, sizeof reply,
		               "{\"success\":false,\"errors\":[{\"code\":%s,\"message\":\"x\"}]}",
		               codes[k]);
		expect_list(LIST(OURS, "1"));
		expect_batch(NULL, k == 0 ? 404 : 400, reply);
		check_class(set("gcs", "b.cdn.example", NULL), DIF_CONFLICT);
		end();
	}
}

TEST(a_list_that_is_not_whole_is_none)
{
	UNUSED_STATE;
	static const char *const odd[] = {
		"{\"success\":true}",
		"{\"success\":true,\"result\":[]}",
		"{\"success\":false,\"result\":[],\"result_info\":{\"total_count\":0}}",
		"{\"success\":true,\"result\":[],\"result_info\":{\"total_count\":\"x\"}}",
	};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		begin("");
		expect_list(odd[k]);
		expect_list(LIST(OURS, "1"));
		const struct store_out *out = get();
		check_ok(out);
		assert_int_equal(out->attempts, 2);
		end();
	}
	begin("");
	expect_list(LIST(OURS, "101"));
	check_class(get(), DIF_PERMANENT);
	end();
}

TEST(what_cannot_be_set_is_not_sent)
{
	UNUSED_STATE;
	const struct dif_target two[] = {{.name = "a", .value = "a.example", .weight = 1},
	                                 {.name = "b", .value = "b.example", .weight = 1}};
	begin("");
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 1);
	check_class(store_verb(st, DIF_ROUTE_SET,
	                       &(struct dif_route){.name = "www.prep.example",
	                                           .type = "CNAME",
	                                           .targets = two,
	                                           .n = 2}),
	            DIF_PERMANENT);
	end();
	begin("type = AAAA\nleast_ttl = 30s\n");
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 32);
	assert_int_equal(dif_instance_caps(st->instance)->ttl_min_s, 30);
	end();
	check_refused(INI "owner = a b\n", "one word");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_tells_whose_it_is),
		cmocka_unit_test(a_record_of_ours_becomes_another),
		cmocka_unit_test(a_record_of_others_is_not_touched),
		cmocka_unit_test(a_record_of_ours_of_another_type_goes),
		cmocka_unit_test(a_proxied_record_has_no_ttl_of_its_own),
		cmocka_unit_test(what_has_changed_since_it_was_read_is_a_conflict),
		cmocka_unit_test(a_list_that_is_not_whole_is_none),
		cmocka_unit_test(what_cannot_be_set_is_not_sent),
	};
	return cmocka_run_group_tests_name("plugin/cloudflare_dns", tests, NULL, NULL);
}
