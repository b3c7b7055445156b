#include "support.h"

#include <math.h>

#include "host/tree.h"

static struct dif_arena arena;
static struct dif_error err;

static int set_up(void **state)
{
	(void)state;
	dif_arena_init(&arena, 64 << 20, true);
	dif_error_clear(&err);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	dif_arena_fini(&arena);
	return 0;
}

static const struct dif_node *parse(enum dif_format format, const char *text)
{
	return dif_tree_parse(&arena, format, (struct dif_bytes){text, strlen(text)}, &err);
}

static const char *str(const struct dif_node *n, const char *path)
{
	return dif_tree_str(dif_tree_get(n, path));
}

static void check_refused(enum dif_format format, const char *text, const char *because)
{
	dif_error_clear(&err);
	assert_null(parse(format, text));
	assert_int_equal(err.cls, DIF_TRANSIENT);
	if (strstr(err.text, because) == NULL) {
		fail_msg("'%s' does not say '%s'", err.text, because);
	}
}

TEST(xml_of_a_store_is_read)
{
	UNUSED_STATE;
	const struct dif_node *t = parse(
		DIF_AS_XML,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<a:ListBucketResult xmlns:a=\"http://s3.example/doc/\">"
		"<IsTruncated>false</IsTruncated>"
		"<Contents id=\"1\"><Key>a&amp;b &lt;&#241;&gt;</Key><Size>7</Size></Contents>"
		"<Contents><Key><![CDATA[<x>]]></Key><Size/></Contents>"
		"</a:ListBucketResult>");
	assert_non_null(t);
	assert_string_equal(t->name, "");
	const struct dif_node *page = dif_tree_get(t, "ListBucketResult");
	assert_string_equal(str(page, "IsTruncated"), "false");
	const struct dif_node *c = dif_tree_next(page, "Contents", NULL);
	assert_string_equal(str(c, "Key"), "a&b <\xc3\xb1>");
	assert_string_equal(str(c, "Size"), "7");
	assert_string_equal(str(t, "ListBucketResult.Contents.Size"), "7");
	c = dif_tree_next(page, "Contents", c);
	assert_string_equal(str(c, "Key"), "<x>");
	assert_string_equal(str(c, "Size"), "");
	assert_null(dif_tree_next(page, "Contents", c));
}

TEST(text_is_an_elements_own_and_trimmed_of_nothing)
{
	UNUSED_STATE;
	const struct dif_node *t = parse(DIF_AS_XML, "<r> a<b>inner</b>c\n<b>2</b></r>");
	assert_string_equal(str(t, "r"), " ac\n");
	assert_string_equal(str(t, "r.b"), "inner");
}

TEST(xml_that_could_bite_is_refused)
{
	UNUSED_STATE;
	check_refused(DIF_AS_XML,
	              "<!DOCTYPE a [<!ENTITY x \"y\"><!ENTITY z \"&x;&x;&x;\">]><a>&z;</a>",
	              "DOCTYPE");
	check_refused(DIF_AS_XML, "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>", "DOCTYPE");
	check_refused(DIF_AS_XML, "<a>&x;</a>", "undefined entity");
	check_refused(DIF_AS_XML, "<a><b></a>", "line 1");
	check_refused(DIF_AS_XML, "<a>\n\n<", "line 3");
	check_refused(DIF_AS_XML, "", "no element");
	check_refused(DIF_AS_XML, "<a/><b/>", "junk");
	check_refused(DIF_AS_XML, "{\"a\":1}", "line 1");
}

static char *nested(const char *open, const char *inner, const char *close, size_t depth)
{
	size_t n = depth * (strlen(open) + strlen(close)) + strlen(inner) + 1, at = 0;
	char *text = malloc(n);
	assert_non_null(text);
	for (size_t i = 0; i < depth; i++) {
		memcpy(text + at, open, strlen(open));
		at += strlen(open);
	}
	memcpy(text + at, inner, strlen(inner));
	at += strlen(inner);
	for (size_t i = 0; i < depth; i++) {
		memcpy(text + at, close, strlen(close));
		at += strlen(close);
	}
	text[at] = '\0';
	return text;
}

TEST(depth_is_bounded)
{
	UNUSED_STATE;
	char *text = nested("<a>", "x", "</a>", 32);
	assert_non_null(parse(DIF_AS_XML, text));
	free(text);
	text = nested("<a>", "x", "</a>", 33);
	check_refused(DIF_AS_XML, text, "deep");
	free(text);
	text = nested("[", "1", "]", 32);
	assert_non_null(parse(DIF_AS_JSON, text));
	free(text);
	text = nested("[", "", "]", 33);
	check_refused(DIF_AS_JSON, text, "deep");
	free(text);
	text = nested("{\"a\":", "1", "}", 100000);
	check_refused(DIF_AS_JSON, text, "deep");
	free(text);
}

TEST(the_number_of_nodes_is_bounded)
{
	UNUSED_STATE;
	char *inner = nested("<b/>", "", "", 200001), *text = nested("<a>", inner, "</a>", 1);
	check_refused(DIF_AS_XML, text, "too many");
	free(inner);
	free(text);
	inner = nested("1,", "1", "", 200001);
	text = nested("[", inner, "]", 1);
	check_refused(DIF_AS_JSON, text, "too many");
	free(inner);
	free(text);
}

TEST(a_tree_larger_than_its_arena_is_refused)
{
	UNUSED_STATE;
	char *inner = nested("<b>text</b>", "", "", 1000), *text = nested("<a>", inner, "</a>", 1);
	dif_arena_fini(&arena);
	dif_arena_init(&arena, 20000, true);
	check_refused(DIF_AS_XML, text, "memory");
	assert_true(arena.failed);
	free(inner);
	free(text);
}

TEST(json_numbers_come_out_as_written)
{
	UNUSED_STATE;
	const struct dif_node *t = parse(
		DIF_AS_JSON,
		"{\"generation\":17179869184000000000123,\"neg\": -0 ,\"real\":1.50,\"exp\":1E+400,"
		"\"zero\":0,\"list\":[1, 2.0,-3e-1],\"text\":\"12-3\",\"q\":\"a\\\"1\\\\\"}");
	assert_non_null(t);
	assert_string_equal(str(t, "generation"), "17179869184000000000123");
	assert_string_equal(str(t, "neg"), "-0");
	assert_string_equal(str(t, "real"), "1.50");
	assert_string_equal(str(t, "exp"), "1E+400");
	assert_string_equal(str(t, "zero"), "0");
	assert_string_equal(str(t, "text"), "12-3");
	assert_string_equal(str(t, "q"), "a\"1\\");
	const struct dif_node *list = dif_tree_get(t, "list");
	const struct dif_node *item = dif_tree_next(list, "", NULL);
	assert_string_equal(dif_tree_str(item), "1");
	item = dif_tree_next(list, "", item);
	assert_string_equal(dif_tree_str(item), "2.0");
	item = dif_tree_next(list, "", item);
	assert_string_equal(dif_tree_str(item), "-3e-1");
	assert_null(dif_tree_next(list, "", item));
}

TEST(json_words_objects_and_order)
{
	UNUSED_STATE;
	const struct dif_node *t =
		parse(DIF_AS_JSON,
	              "{\"b\":{\"c\":{\"d\":\"\\u00f1\\n\"}},\"a\":true,\"n\":null,\"f\":false,"
	              "\"e\":{},\"l\":[]}");
	assert_string_equal(str(t, "b.c.d"), "\xc3\xb1\n");
	assert_string_equal(str(t, "a"), "true");
	assert_string_equal(str(t, "n"), "null");
	assert_string_equal(str(t, "f"), "false");
	assert_string_equal(str(t, "e"), "");
	assert_string_equal(t->child->name, "b");
	assert_string_equal(t->child->next->name, "a");
	t = parse(DIF_AS_JSON, "[{\"x\":1},{\"x\":2}]");
	assert_string_equal(str(dif_tree_next(t, "", t->child), "x"), "2");
}

TEST(json_that_is_none_is_refused)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"",
		"1",
		"\"a\"",
		"{\"a\":01}",
		"{\"a\":1.}",
		"{\"a\":.5}",
		"{\"a\":-}",
		"{\"a\":1e}",
		"{\"a\":+1}",
		"{1:2}",
		"[1 2]",
		"[1\"a\"]",
		"[1x]",
		"{\"a\":0x1}",
		"{\"a\":1,}",
		"[1,]",
		"{\"a\":1",
		"\"a",
		"[\"a\\",
		"[\"a\\\"",
		"{\"a\":1}x",
		"[NaN]",
		"[1][2]",
		"['a']",
		"[\"\\u0000\"]",
		"[\"\xff\"]",
		"[1-2]",
		"[1]2",
		"[tru1e]",
		"{\"a\":1,\"a\":2}",
		"[\"\n\"]",
		"{\"\\u0000\":1}",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		dif_error_clear(&err);
		if (parse(DIF_AS_JSON, bad[i]) != NULL) {
			fail_msg("accepted: %s", bad[i]);
		}
		assert_int_equal(err.cls, DIF_TRANSIENT);
		assert_non_null(strstr(err.text, "could not read JSON: "));
	}
	assert_null(dif_tree_parse(&arena, DIF_AS_JSON, (struct dif_bytes){"[\"a\0b\"]", 7}, &err));
	assert_null(dif_tree_parse(&arena, DIF_AS_JSON, (struct dif_bytes){"[1\0]", 4}, &err));
}

TEST(any_cut_of_a_document_is_refused_without_harm)
{
	UNUSED_STATE;
	static const char xml[] = "<a><b c=\"d\">&amp;text</b><![CDATA[x]]></a>";
	static const char json[] = "{\"a\":[1,2.5e3,\"x\\\"\\u00e9\",true,null],\"b\":{}}";
	for (size_t n = 0; n + 1 < sizeof xml; n++) {
		char *exact = malloc(n + 1);
		memcpy(exact, xml, n);
		assert_null(dif_xml_parse(&arena, (struct dif_bytes){exact, n}, &err));
		free(exact);
	}
	for (size_t n = 0; n + 1 < sizeof json; n++) {
		char *exact = malloc(n + 1);
		memcpy(exact, json, n);
		assert_null(dif_json_parse(&arena, (struct dif_bytes){exact, n}, &err));
		free(exact);
	}
}

TEST(ini_has_sections_as_children)
{
	UNUSED_STATE;
	const struct dif_node *t = parse(DIF_AS_INI, "[default]\naws_access_key_id = AK\n"
	                                             "aws_secret_access_key = a/b=c\n"
	                                             "[profile other]\nregion = eu\n");
	assert_non_null(t);
	assert_string_equal(str(t, "default.aws_access_key_id"), "AK");
	assert_string_equal(str(t, "default.aws_secret_access_key"), "a/b=c");
	assert_string_equal(str(dif_tree_next(t, "profile other", NULL), "region"), "eu");
	assert_string_equal(str(t, "default.region"), "");
}

TEST(readers_take_null)
{
	UNUSED_STATE;
	assert_null(dif_tree_get(NULL, "a.b"));
	assert_null(dif_tree_next(NULL, "a", NULL));
	assert_string_equal(dif_tree_str(NULL), "");
	const struct dif_node *t = parse(DIF_AS_JSON, "{\"a\":{\"b\":1},\"ab\":2}");
	assert_null(dif_tree_get(t, NULL));
	assert_null(dif_tree_get(t, ""));
	assert_null(dif_tree_get(t, "a."));
	assert_null(dif_tree_get(t, "a.b.c"));
	assert_null(dif_tree_get(t, "b"));
	assert_null(dif_tree_next(t, NULL, NULL));
	assert_string_equal(str(t, "ab"), "2");
	assert_null(dif_tree_parse(&arena, (enum dif_format)9, (struct dif_bytes){"", 0}, &err));
}

TEST(the_writer_writes_what_the_reader_reads)
{
	UNUSED_STATE;
	struct dif_buf out;
	struct dif_json j;
	dif_buf_init(&out, 1 << 16);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '{');
	dif_json_str(&j, "text", "a\"b\\c\n\x01\xc3\xb1\xff\xe2\x80\xa8/");
	dif_json_str(&j, "none", NULL);
	dif_json_open(&j, "list", '[');
	dif_json_int(&j, NULL, INT64_MIN);
	dif_json_open(&j, NULL, '{');
	dif_json_close(&j, '}');
	dif_json_num(&j, NULL, 0.1);
	dif_json_num(&j, NULL, (double)NAN);
	dif_json_num(&j, NULL, 1e300);
	dif_json_bool(&j, NULL, true);
	dif_json_close(&j, ']');
	dif_json_bool(&j, "no", false);
	dif_json_close(&j, '}');
	assert_string_equal(dif_buf_str(&out),
	                    "{\"text\":\"a\\\"b\\\\c\\n\\u0001\xc3\xb1\xef\xbf\xbd\\u2028/\","
	                    "\"none\":null,\"list\":[-9223372036854775808,{},0.1,null,1e+300,true],"
	                    "\"no\":false}");
	const struct dif_node *t = parse(DIF_AS_JSON, dif_buf_str(&out));
	assert_string_equal(str(t, "text"), "a\"b\\c\n\x01\xc3\xb1\xef\xbf\xbd\xe2\x80\xa8/");
	dif_buf_fini(&out);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ONE(xml_of_a_store_is_read),
		ONE(text_is_an_elements_own_and_trimmed_of_nothing),
		ONE(xml_that_could_bite_is_refused),
		ONE(depth_is_bounded),
		ONE(the_number_of_nodes_is_bounded),
		ONE(a_tree_larger_than_its_arena_is_refused),
		ONE(json_numbers_come_out_as_written),
		ONE(json_words_objects_and_order),
		ONE(json_that_is_none_is_refused),
		ONE(any_cut_of_a_document_is_refused_without_harm),
		ONE(ini_has_sections_as_children),
		ONE(readers_take_null),
		ONE(the_writer_writes_what_the_reader_reads),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
