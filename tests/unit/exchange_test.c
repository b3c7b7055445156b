/* exchange - scripts of the contract suite: values, patterns, what is refused. */
#include "rehearsal/exchange.h"
#include "support.h"

static struct dif_arena arena;

static int begin(void **state)
{
	(void)state;
	dif_arena_init(&arena, 1 << 20, false);
	return 0;
}

static int end(void **state)
{
	(void)state;
	dif_arena_fini(&arena);
	return 0;
}

static void check_fill(const char *text, const char *want)
{
	struct dif_values v = {0};
	dif_values_text(&v, "key", "a b/\"<\xc3\xa9");
	dif_values_set(&v, "raw", (struct dif_bytes){"\x00\xff", 2});
	dif_values_text(&v, "tag", "old");
	dif_values_text(&v, "tag", "\"1\"");
	assert_string_equal(dif_exchange_fill(&arena, text, &v), want);
}

TEST(values_are_put_in_by_encoding)
{
	UNUSED_STATE;
	check_fill("/{key:path}?{key:query}", "/a%20b/%22%3C%C3%A9?a%20b%2F%22%3C%C3%A9");
	check_fill("{raw:hex} {raw:base64}", "00ff AP8=");
	check_fill("<{tag:xml}> {tag:json}{tag}", "<&quot;1&quot;> \\\"1\\\"\"1\"");
}

TEST(what_is_no_value_stays)
{
	UNUSED_STATE;
	check_fill("{\"a\":{}} {none} {key:none} {key", "{\"a\":{}} {none} {key:none} {key");
}

TEST(each_repeats_its_template_for_every_item)
{
	UNUSED_STATE;
	static const char *const urls[] = {"https://a/\"1\"", "https://a/*"};
	static const char *const numbers[] = {"1", "2"};
	struct dif_values v = {
		.column = {"url", "n"}, .cell = {urls, numbers}, .ncolumns = 2, .nitems = 2};
	dif_values_text(&v, "url", "outside");
	static const struct {
		const char *text, *want;
	} rows[] = {
		{"[{each:,|{\"n\":{n},\"url\":\"{url:json}\"}}] {url}",
	         "[{\"n\":1,\"url\":\"https://a/\\\"1\\\"\"},"
	         "{\"n\":2,\"url\":\"https://a/*\"}] outside"},
		{"{each:|<P>{url:xml}</P>}", "<P>https://a/&quot;1&quot;</P><P>https://a/*</P>"},
		{"{each: |{n}}", "1 2"},
		{"{each:,|{each:,|{n}}}", ","},                         /* not within itself */
		{"{each:,{n}} {each:,|{n}", "{each:,{n}} {each:,|{n}"}, /* no |, no end */
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		assert_string_equal(dif_exchange_fill(&arena, rows[i].text, &v), rows[i].want);
	}
	v.nitems = 0;
	assert_string_equal(dif_exchange_fill(&arena, "[{each:,|{n}}]", &v), "[]");
}

static void check_refused(const char *text, const char *why)
{
	struct dif_script script;
	struct dif_error err = {0};
	assert_false(dif_script_parse(&arena, "x.txt", text, &script, &err));
	assert_string_equal(err.text, why);
}

TEST(a_script_that_is_none_is_refused_with_its_line)
{
	UNUSED_STATE;
	check_refused("# a\nPUT /\n", "x.txt:2: a line begins with '>', '<', '|' or '#'");
	check_refused("> PUT\n", "x.txt:1: a request begins with '> METHOD ADDRESS'");
	check_refused("< 200\n", "x.txt:1: there is no request that this would answer");
	check_refused("> GET /\n< 99\n", "x.txt:2: a reply begins with '< STATUS'");
	check_refused("> GET /\n< 600\n", "x.txt:2: a reply begins with '< STATUS'");
	check_refused("> GET /\n| body\n", "x.txt:2: a reply's body comes behind '< STATUS'");
	check_refused("> GET /\n> accept\n", "x.txt:2: a header is written 'name: value'");
	check_refused("> GET /\n", "x.txt:1: the last request has no reply");
}

static struct dif_script parsed(const char *text)
{
	struct dif_script script;
	struct dif_error err = {0};
	if (!dif_script_parse(&arena, "x.txt", text, &script, &err)) {
		fail_msg("%s", err.text);
	}
	return script;
}

TEST(exchanges_follow_each_other_and_bodies_have_lines)
{
	UNUSED_STATE;
	struct dif_values v = {0};
	struct dif_wire_reply reply;
	struct dif_script s = parsed("> GET /1\n< 200\n< a: 1\n| x\n|  y\n\n> GET /2\n< 404\n");
	assert_int_equal(s.n, 2);
	dif_exchange_reply(&arena, &s.exchanges[0], &v, &reply);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.fields[0], "a: 1");
	assert_null(reply.fields[1]);
	assert_string_equal(reply.body, "x\n y");
	dif_exchange_reply(&arena, &s.exchanges[1], &v, &reply);
	assert_int_equal(reply.status, 404);
	assert_string_equal(reply.body, "");
}

static const char *differs(const char *script, const char *url, const char *body)
{
	struct dif_script s = parsed(script);
	struct dif_values v = {0};
	struct dif_field fields[] = {{"If-None-Match", "*"}, {"x", "1 and 2"}};
	struct dif_wire_seen seen = {.method = (char[]){"PUT"},
	                             .url = dif_arena_copy(&arena, url, strlen(url)),
	                             .body = dif_arena_copy(&arena, body, strlen(body)),
	                             .fields = fields,
	                             .nfields = 2};
	dif_values_text(&v, "key", "a*b");
	if (!dif_exchange_is(&arena, &s.exchanges[0], &v, &seen)) {
		return "another request";
	}
	const char *what = dif_exchange_differs(&arena, &s.exchanges[0], &v, &seen);
	return what != NULL ? what : "";
}

TEST(a_star_stands_for_anything_but_in_a_value)
{
	UNUSED_STATE;
	assert_string_equal(differs("> PUT /{key}?*z\n< 200\n", "/a*b?xyz", ""), "");
	assert_string_equal(differs("> PUT /{key}?*z\n< 200\n", "/aab?xyz", ""), "another request");
	assert_string_equal(differs("> PUT /*a*b\n< 200\n", "/xaayb", ""), "");
	assert_string_equal(differs("> PUT /*a*b\n< 200\n", "/xaaybc", ""), "another request");
	assert_string_equal(differs("> GET /\n< 200\n", "/", ""), "another request");
}

TEST(what_differs_is_told)
{
	UNUSED_STATE;
	assert_string_equal(differs("> PUT /\n> if-none-match: \\*\n> X: *and*\n< 200\n", "/", ""),
	                    "");
	assert_string_equal(differs("> PUT /\n> x: \\*\n< 200\n", "/", ""),
	                    "header 'x' is '1 and 2', not '*'");
	assert_string_equal(differs("> PUT /\n> y: 1\n< 200\n", "/", ""),
	                    "header 'y: 1' is missing");
	assert_string_equal(differs("> PUT /\n> !x\n< 200\n", "/", ""),
	                    "header 'x: 1 and 2' must not be there");
	assert_string_equal(differs("> PUT /\n>| a*c\n>| d\n< 200\n", "/", "abc\nd"), "");
	assert_string_equal(differs("> PUT /\n>| ac\n< 200\n", "/", "ab"),
	                    "the body is 'ab', not 'ac'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values_are_put_in_by_encoding, begin, end),
		cmocka_unit_test_setup_teardown(what_is_no_value_stays, begin, end),
		cmocka_unit_test_setup_teardown(each_repeats_its_template_for_every_item, begin,
	                                        end),
		cmocka_unit_test_setup_teardown(a_script_that_is_none_is_refused_with_its_line,
	                                        begin, end),
		cmocka_unit_test_setup_teardown(exchanges_follow_each_other_and_bodies_have_lines,
	                                        begin, end),
		cmocka_unit_test_setup_teardown(a_star_stands_for_anything_but_in_a_value, begin,
	                                        end),
		cmocka_unit_test_setup_teardown(what_differs_is_told, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
