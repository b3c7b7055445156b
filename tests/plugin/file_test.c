/* file - the real file.so in host/op on a folder: what each format looks like, what is read back,
 * and files that are no route of ours. */
#include <sys/stat.h>

#include "tests/plugin/support/checks.h"

static struct store *st;
static char path[4096];

static void begin(const char *format)
{
	char ini[8192];
	(void)snprintf(path, sizeof path, "%s/%s/route", test_folder(), format);
	(void)snprintf(ini, sizeof ini,
	               "[steering t]\nplugin = file\npath = %s\nformat = %s\nbackend = web\n", path,
	               format);
	st = store_open(ini, NULL);
}

static void end(void)
{
	store_close(st);
}

static const struct dif_target two[] = {
	{.name = "aws", .value = "d111.cloudfront.example", .weight = 100},
	{.name = "gcs-2", .value = "2001:db8::7", .weight = 0},
};

static const struct store_out *set(const struct dif_target *targets, uint32_t n, const char *tag)
{
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = "www.prep.example",
	                                      .type = "A",
	                                      .targets = targets,
	                                      .n = n,
	                                      .ttl_s = 30,
	                                      .if_tag = tag});
}

static const struct store_out *get(void)
{
	return store_verb(st, DIF_ROUTE_GET,
	                  &(struct dif_route){.name = "www.prep.example", .type = "A"});
}

static void check_file(const char *want)
{
	char text[4096];
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	text[fread(text, 1, sizeof text - 1, f)] = '\0';
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, want);
	struct stat s;
	assert_int_equal(stat(path, &s), 0);
	assert_int_equal(s.st_mode & 0400, 0400);
}

static void check_round(const char *format, const char *want)
{
	begin(format);
	const struct store_out *out = get();
	check_ok(out);
	assert_int_equal(out->ntargets, 0);
	const char *absent = out->tag;
	check_ok(set(two, 2, absent));
	check_file(want);
	check_class(set(two, 1, absent), DIF_CONFLICT); /* it is there by now */
	out = get();
	check_ok(out);
	assert_int_equal(out->ttl_s, 30);
	assert_int_equal(out->ntargets, 2);
	for (uint32_t k = 0; k < 2; k++) {
		assert_string_equal(out->targets[k].name, two[k].name);
		assert_string_equal(out->targets[k].value, two[k].value);
		assert_int_equal(out->targets[k].weight, two[k].weight);
	}
	const char *tag = out->tag;
	check_ok(set(two, 1, tag));
	check_class(set(two, 2, tag), DIF_CONFLICT);
	out = get();
	check_ok(out);
	assert_int_equal(out->ntargets, 1);
	check_ok(set(NULL, 0, NULL));
	out = get();
	check_ok(out);
	assert_int_equal(out->ntargets, 0);
	check_ok(store_probe(st));
	end();
}

TEST(json)
{
	UNUSED_STATE;
	check_round("json",
	            "{\n  \"name\": \"www.prep.example\",\n  \"type\": \"A\",\n  \"ttl\": 30,\n"
	            "  \"targets\": [\n"
	            "    {\"name\": \"aws\", \"value\": \"d111.cloudfront.example\", \"weight\": "
	            "100},\n"
	            "    {\"name\": \"gcs-2\", \"value\": \"2001:db8::7\", \"weight\": 0}\n"
	            "  ]\n}\n");
}

TEST(ini)
{
	UNUSED_STATE;
	check_round("ini", "[route]\nname = www.prep.example\ntype = A\nttl = 30\n"
	                   "\n[target aws]\nvalue = d111.cloudfront.example\nweight = 100\n"
	                   "\n[target gcs-2]\nvalue = 2001:db8::7\nweight = 0\n");
}

TEST(haproxy)
{
	UNUSED_STATE;
	check_round("haproxy", "set weight web/aws 100; set weight web/gcs-2 0\n"
	                       "# route www.prep.example A 30\n"
	                       "# target aws d111.cloudfront.example 100\n"
	                       "# target gcs-2 2001:db8::7 0\n");
}

TEST(a_file_that_is_no_route_of_ours_is_left_alone)
{
	UNUSED_STATE;
	static const char *const json[] = {
		"",
		"{}",
		"[]",
		"hello",
		"{\"name\":\"www.prep.example\",\"type\":\"A\",\"ttl\":30}",
		"{\"name\":\"www.prep.example\",\"type\":\"A\",\"targets\":[]}",
		"{\"name\":\"www.other.example\",\"type\":\"A\",\"ttl\":30,\"targets\":[]}",
		"{\"name\":\"www.prep.example\",\"type\":\"AAAA\",\"ttl\":30,\"targets\":[]}",
		"{\"name\":\"www.prep.example\",\"type\":\"A\",\"ttl\":30,\"targets\":[{\"name\":"
		"\"a\",\"value\":\"b\",\"weight\":-1}]}",
		"{\"name\":\"www.prep.example\",\"type\":\"A\",\"ttl\":30,\"targets\":[{\"name\":"
		"\"a\",\"value\":\"b\",\"weight\":99999999999}]}",
	};
#define INI_HEAD "[route]\nname = www.prep.example\ntype = A\nttl = "
	static const char *const ini[] = {"", "[route]\n", "no ini", INI_HEAD "x\n",
	                                  INI_HEAD "1\n[target a]\nvalue = b\n"};
	static const char *const haproxy[] = {"",
	                                      "set weight web/aws 1\n",
	                                      "# route www.prep.example A\n",
	                                      "# route www.prep.example A 30\n# target a 1\n",
	                                      "# route  www.prep.example A 30\n",
	                                      "# route www.prep.example A 30 \n"};
	const struct {
		const char *format;
		const char *const *text;
		size_t n;
	} cases[] = {{"json", json, sizeof json / sizeof *json},
	             {"ini", ini, sizeof ini / sizeof *ini},
	             {"haproxy", haproxy, sizeof haproxy / sizeof *haproxy}};
	for (size_t c = 0; c < 3; c++) {
		for (size_t k = 0; k < cases[c].n; k++) {
			begin(cases[c].format);
			test_write(path, cases[c].text[k], strlen(cases[c].text[k]));
			const struct store_out *out = get();
			if (out->err.cls != DIF_PERMANENT) {
				fail_msg("%s: taken for a route: %s", cases[c].format,
				         cases[c].text[k]);
			}
			check_text(out, "holds another route, or none");
			end();
		}
	}
}

TEST(more_targets_than_there_may_be)
{
	UNUSED_STATE;
	static struct dif_target many[65];
	for (size_t k = 0; k < 65; k++) {
		many[k] = (struct dif_target){.name = "a", .value = "b", .weight = 1};
	}
	begin("haproxy");
	check_ok(set(many, 64, NULL));
	assert_int_equal(get()->ntargets, 64);
	check_class(set(many, 65, NULL), DIF_PERMANENT);
	end();
}

TEST(what_would_break_a_format_is_not_written)
{
	UNUSED_STATE;
	static const char *const odd[] = {"", "a b", "a\nb", "a\"b", "a;b", "a=b", "a/b"};
	begin("json");
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		const struct dif_target value = {.name = "a", .value = odd[k]};
		const struct dif_target name = {.name = odd[k], .value = "a"};
		check_class(set(&value, 1, NULL), DIF_PERMANENT);
		check_class(set(&name, 1, NULL), DIF_PERMANENT);
	}
	end();
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused("[steering t]\nplugin = file\npath = /route\n", "in a folder of its own");
	check_refused("[steering t]\nplugin = file\npath = /a/\n", "in a folder of its own");
	check_refused("[steering t]\nplugin = file\npath = /a/..\n", "in a folder of its own");
	check_refused("[steering t]\nplugin = file\npath = /a/b\nbackend = a b\n", "is no name");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json),
		cmocka_unit_test(ini),
		cmocka_unit_test(haproxy),
		cmocka_unit_test(a_file_that_is_no_route_of_ours_is_left_alone),
		cmocka_unit_test(more_targets_than_there_may_be),
		cmocka_unit_test(what_would_break_a_format_is_not_written),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/file", tests, NULL, NULL);
}
