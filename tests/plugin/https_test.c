/* https - the real https.so in host/op with a scripted server: where requests go, what a tag is,
 * and that bytes of two versions never mix. */
#include "tests/plugin/support/checks.h"

#define AT "https://authority.example/prep/latest.zip"
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"

static struct store *st;
static struct script *s;

static void begin(const char *url, const char *more)
{
	char ini[4096];
	(void)snprintf(ini, sizeof ini, "[source t]\nplugin = https\nurl = %s\n%s", url, more);
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

static void end(void)
{
	script_free(s);
	store_close(st);
}

static void expect(const struct script_want *want, const struct script_reply *reply)
{
	script_expect(s, want, reply);
}

/* --- head and its tag --- */

TEST(head_tells_the_url_as_it_is_now)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.method = "HEAD",
	                             .url = AT,
	                             .fields = {"!authorization", "!if-none-match", "!range",
	                                        "!accept-encoding"}},
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"v1\"", "content-length: 81234",
	                                         "last-modified: " DATE,
	                                         "content-type: application/zip"}});
	const struct store_out *out = store_head(st, &(struct dif_get){.key = ""});
	check_ok(out);
	assert_string_equal(out->object.key, "latest.zip");
	assert_string_equal(out->object.tag, "\"v1\"");
	assert_int_equal(out->object.size, 81234);
	assert_int_equal(out->object.modified, 784111777);
	assert_string_equal(out->object.type, "application/zip");
	end();
}

static void check_tag(const char *const fields[SCRIPT_FIELDS], const char *tag)
{
	struct script_reply reply = {.status = 200};
	memcpy(reply.fields, fields, sizeof reply.fields);
	begin(AT, "");
	expect(&(struct script_want){.method = "HEAD"}, &reply);
	const struct store_out *out = store_head(st, &(struct dif_get){.key = ""});
	check_ok(out);
	assert_string_equal(out->object.tag, tag);
	end();
}

TEST(a_tag_is_made_where_the_server_has_no_strong_one)
{
	UNUSED_STATE;
	check_tag((const char *const[SCRIPT_FIELDS]){"last-modified: " DATE, "content-length: 7"},
	          "lm:" DATE "+7");
	check_tag((const char *const[SCRIPT_FIELDS]){"etag: W/\"v1\"", "last-modified: " DATE,
	                                             "content-length: 7"},
	          "lm:" DATE "+7");
	check_tag((const char *const[SCRIPT_FIELDS]){"etag: W/\"v1\"", "content-length: 7"},
	          "W/\"v1\"");
	check_tag((const char *const[SCRIPT_FIELDS]){"content-length: 7"}, "");
	check_tag((const char *const[SCRIPT_FIELDS]){"last-modified: " DATE,
	                                             "content-length: 99999999999999999999999"},
	          "");
}

TEST(an_unchanged_url_is_an_answer)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.method = "HEAD", .fields = {"if-none-match: \"v1\""}},
	       &(struct script_reply){.status = 304});
	const struct store_out *out =
		store_head(st, &(struct dif_get){.key = "", .unless_tag = "\"v1\""});
	check_ok(out);
	assert_true(out->not_modified);
	/* a date would miss what was replaced within the second: the tag is compared instead */
	static const struct script_reply same = {
		.status = 200, .fields = {"last-modified: " DATE, "content-length: 7"}};
	for (int i = 0; i < 2; i++) {
		expect(&(struct script_want){.method = "HEAD", .fields = {"!if-modified-since"}},
		       &same);
	}
	out = store_head(st, &(struct dif_get){.key = "", .unless_tag = "lm:" DATE "+7"});
	check_ok(out);
	assert_true(out->not_modified);
	out = store_head(st, &(struct dif_get){.key = "", .unless_tag = "lm:" DATE "+8"});
	check_ok(out);
	assert_false(out->not_modified);
	end();
}

TEST(a_list_is_the_one_url)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.method = "HEAD", .url = AT},
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"v1\"", "content-length: 7"}});
	const struct store_out *out = store_list(st, &(struct dif_list){.prefix = "", .max = 1});
	check_ok(out);
	assert_int_equal(out->nrows, 1);
	assert_string_equal(out->rows[0].key, "latest.zip");
	assert_int_equal(out->rows[0].size, 7);
	assert_null(out->cursor);
	end();
}

/* --- get --- */

static const struct store_out *get(struct dif_get in)
{
	in.key = "";
	return store_get(st, &in);
}

TEST(a_range_is_asked_for_under_the_tag)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.method = "GET",
	                             .url = AT,
	                             .fields = {"range: bytes=6-10", "if-match: \"v1\"",
	                                        "if-range: \"v1\""}},
	       &(struct script_reply){.status = 206,
	                              .fields = {"etag: \"v1\"", "content-range: bytes 6-10/11",
	                                         "content-length: 5"},
	                              .body = "world"});
	const struct store_out *out =
		get((struct dif_get){.offset = 6, .length = 5, .if_tag = "\"v1\""});
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "world");
	assert_int_equal(out->total, 11);
	expect(&(struct script_want){.fields = {"range: bytes=6-", "if-unmodified-since: " DATE,
	                                        "if-range: " DATE, "!if-match"}},
	       &(struct script_reply){
		       .status = 206,
		       .fields = {"last-modified: " DATE, "content-range: bytes 6-10/11"},
		       .body = "world"});
	out = get((struct dif_get){.offset = 6, .if_tag = "lm:" DATE "+11"});
	check_ok(out);
	assert_string_equal(out->object.tag, "lm:" DATE "+11");
	end();
}

TEST(bytes_of_two_versions_never_mix)
{
	UNUSED_STATE;
	static const struct script_reply replies[] = {
		{.status = 412, .body = "no"},
		{.status = 416, .body = "no"},
		{.status = 200,
	         .fields = {"etag: \"v2\"", "content-length: 11"},
	         .body = "hello WORLD"},
		{.status = 200,
	         .fields = {"etag: \"v1\"", "content-length: 11"},
	         .body = "hello world"},
		{.status = 206,
	         .fields = {"etag: \"v2\"", "content-range: bytes 6-10/11"},
	         .body = "WORLD"},
	};
	for (size_t i = 0; i < DIF_LEN(replies); i++) {
		begin(AT, "");
		expect(&(struct script_want){.method = "GET"}, &replies[i]);
		const struct store_out *out =
			get((struct dif_get){.offset = 6, .if_tag = "\"v1\""});
		check_class(out, DIF_CONFLICT);
		assert_int_equal(out->attempts, 1);
		end();
	}
}

TEST(a_weak_tag_is_compared_in_the_answer)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.fields = {"!if-match", "!if-range"}},
	       &(struct script_reply){.status = 206,
	                              .fields = {"etag: W/\"v2\"", "content-range: bytes 6-10/11"},
	                              .body = "WORLD"});
	check_class(get((struct dif_get){.offset = 6, .if_tag = "W/\"v1\""}), DIF_CONFLICT);
	end();
}

TEST(a_server_without_ranges_is_told_apart)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.fields = {"range: bytes=0-4"}},
	       &(struct script_reply){.status = 200, .body = "hello world"});
	const struct store_out *out = get((struct dif_get){.length = 5});
	check_class(out, DIF_CONFLICT);
	assert_string_equal(out->err.code, "NoRange");
	end();
}

TEST(an_encoding_that_nobody_asked_for_is_refused)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){0},
	       &(struct script_reply){
		       .status = 200, .fields = {"content-encoding: gzip"}, .body = "squeezed"});
	check_class(get((struct dif_get){0}), DIF_PERMANENT);
	end();
}

TEST(a_missing_package_is_an_answer)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){0}, &(struct script_reply){.status = 404, .body = "none"});
	expect(&(struct script_want){0}, &(struct script_reply){.status = 410, .body = "none"});
	check_class(get((struct dif_get){0}), DIF_NOT_FOUND);
	check_class(get((struct dif_get){0}), DIF_NOT_FOUND);
	end();
}

/* --- addresses --- */

static void check_url(const char *url, const char *key, const char *asked)
{
	begin(url, "");
	expect(&(struct script_want){.method = "GET", .url = asked},
	       &(struct script_reply){.status = 200, .body = "x"});
	const struct store_out *out = store_get(st, &(struct dif_get){.key = key, .at = 784111777});
	check_ok(out);
	end();
}

TEST(keys_are_neighbours_of_the_url)
{
	UNUSED_STATE;
	check_url(AT, "latest.zip", AT);
	check_url(AT, "latest.zip.sha256", AT ".sha256");
	check_url(AT, "a b/\xc3\xb1.zip", "https://authority.example/prep/a%20b/%C3%B1.zip");
	check_url(AT "?token=1", "", AT "?token=1");
	check_url(AT "?token=1", "latest.zip.sha256", AT ".sha256");
	check_url("https://authority.example", "x", "https://authority.example/x");
	check_url(AT, "https://authority.example/sums", "https://authority.example/sums");
}

TEST(templates_take_the_time_that_was_asked_for)
{
	UNUSED_STATE;
	check_url("https://h.example/%Y/prep_%Y%m%d_%H%M.zip", "",
	          "https://h.example/1994/prep_19941106_0849.zip");
	check_url("https://h.example/a%20b%2F100%%_%d.zip", "",
	          "https://h.example/a%20b%2F100%_06.zip");
	check_url("https://h.example/prep_%H.zip", "prep_08.zip.sha256",
	          "https://h.example/prep_08.zip.sha256");
}

TEST(keys_do_not_leave_the_folder_or_the_host)
{
	UNUSED_STATE;
	static const char *const bad[] = {"../x",
	                                  "a/../../x",
	                                  "/x",
	                                  "./x",
	                                  "https://evil.example/x",
	                                  "http://authority.example/x",
	                                  "https://authority.example:444/x",
	                                  "https://authority.example@evil.example/x"};
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		begin(AT, "bearer = token-of-the-source\n");
		check_class(store_get(st, &(struct dif_get){.key = bad[i]}), DIF_PERMANENT);
		assert_int_equal(script_count(s), 0);
		end();
	}
}

TEST(one_redirect_to_the_same_place_is_followed)
{
	UNUSED_STATE;
	begin(AT, "");
	expect(&(struct script_want){.url = AT},
	       &(struct script_reply){.status = 302, .fields = {"location: /other/cut.zip"}});
	expect(&(struct script_want){.url = "https://authority.example/other/cut.zip"},
	       &(struct script_reply){.status = 200, .body = "x"});
	check_ok(get((struct dif_get){0}));
	end();
}

TEST(other_redirects_are_not_followed)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"location: http://authority.example/x", "location: https://evil.example/x",
		"location: //evil.example/x", "location: file:///etc/passwd", NULL};
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		begin(AT, "bearer = token-of-the-source\n");
		expect(&(struct script_want){.url = AT},
		       &(struct script_reply){.status = 302, .fields = {bad[i]}});
		check_class(get((struct dif_get){0}), DIF_PERMANENT);
		end();
	}
	begin(AT, ""); /* a loop */
	for (int i = 0; i < 2; i++) {
		expect(&(struct script_want){.url = AT},
		       &(struct script_reply){.status = 301, .fields = {"location: " AT}});
	}
	check_class(get((struct dif_get){0}), DIF_PERMANENT);
	end();
}

/* --- who we are --- */

static void check_header(const char *ini, const char *field)
{
	begin(AT, ini);
	expect(&(struct script_want){.fields = {field}},
	       &(struct script_reply){.status = 200, .body = "x"});
	check_ok(get((struct dif_get){0}));
	end();
}

TEST(credentials_go_out_as_they_are_given)
{
	UNUSED_STATE;
	check_header("user = Aladdin\npassword = open sesame\n",
	             "authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	check_header("bearer = token-of-the-source\n", "authorization: Bearer token-of-the-source");
	check_header("header = X-Api-Key: key-of-the-source\n", "x-api-key: key-of-the-source");
}

TEST(what_cannot_be_sent_is_refused_at_once)
{
	UNUSED_STATE;
	static const char at[] = "[source t]\nplugin = https\nurl = " AT "\n";
	static const struct {
		const char *more, *part;
	} cases[] = {
		{"user = a\n", "user and password"},
		{"user = a\npassword = secret-of-a\nbearer = token-of-the-source\n", "either"},
		{"user = a:b\npassword = secret-of-a\n", "either"},
		{"header = no colon here\n", "header"},
		{"header = Bad Name: value\n", "header"},
	};
	char ini[1024];
	for (size_t i = 0; i < DIF_LEN(cases); i++) {
		(void)snprintf(ini, sizeof ini, "%s%s", at, cases[i].more);
		check_refused(ini, cases[i].part);
	}
	check_refused("[source t]\nplugin = https\nurl = latest.zip\n", "url");
	check_refused("[source t]\nplugin = https\nurl = https://h.example/a b.zip\n", "url");
	check_refused("[source t]\nplugin = https\n", "url");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_tells_the_url_as_it_is_now),
		cmocka_unit_test(a_tag_is_made_where_the_server_has_no_strong_one),
		cmocka_unit_test(an_unchanged_url_is_an_answer),
		cmocka_unit_test(a_list_is_the_one_url),
		cmocka_unit_test(a_range_is_asked_for_under_the_tag),
		cmocka_unit_test(bytes_of_two_versions_never_mix),
		cmocka_unit_test(a_weak_tag_is_compared_in_the_answer),
		cmocka_unit_test(a_server_without_ranges_is_told_apart),
		cmocka_unit_test(an_encoding_that_nobody_asked_for_is_refused),
		cmocka_unit_test(a_missing_package_is_an_answer),
		cmocka_unit_test(keys_are_neighbours_of_the_url),
		cmocka_unit_test(templates_take_the_time_that_was_asked_for),
		cmocka_unit_test(keys_do_not_leave_the_folder_or_the_host),
		cmocka_unit_test(one_redirect_to_the_same_place_is_followed),
		cmocka_unit_test(other_redirects_are_not_followed),
		cmocka_unit_test(credentials_go_out_as_they_are_given),
		cmocka_unit_test(what_cannot_be_sent_is_refused_at_once),
	};
	return cmocka_run_group_tests_name("plugin/https", tests, NULL, NULL);
}
