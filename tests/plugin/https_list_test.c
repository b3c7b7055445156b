/* https_list - the real https.so with a scripted server: index pages and templates of times. */
#include "tests/plugin/support/checks.h"

#define PAGE "https://authority.example/prep/"

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

static const struct store_out *list(void)
{
	return store_list(st, &(struct dif_list){.prefix = "", .max = 1000});
}

static void check_names(const char *page, const char *const *names)
{
	begin(PAGE, "pattern = prep*.zip\n");
	script_expect(s, &(struct script_want){.method = "GET", .url = PAGE},
	              &(struct script_reply){.status = 200, .body = page});
	const struct store_out *out = list();
	check_ok(out);
	for (uint32_t i = 0; i < out->nrows; i++) {
		assert_non_null(names[i]);
		assert_string_equal(out->rows[i].key, names[i]);
	}
	assert_null(names[out->nrows]);
	end();
}

#define NAMES(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(an_index_page_is_read_as_html_text_and_json)
{
	UNUSED_STATE;
	check_names("<html><a href=\"prep2.zip\">prep2.zip</a> <a href='./prep1.zip'>1</a>"
	            "<a href=prep3.zip>x</a><a href=\"other.zip\">o</a>",
	            NAMES("prep1.zip", "prep2.zip", "prep3.zip"));
	check_names("prep1.zip\r\nprep2.zip 81234\nREADME\n", NAMES("prep1.zip", "prep2.zip"));
	check_names(
		"[{\"url\":\"https:\\/\\/authority.example\\/prep\\/prep1.zip\"},\"prep2.zip\"]",
		NAMES("prep1.zip", "prep2.zip"));
	check_names("<a href=\"/prep/a/prep%201.zip\">", NAMES("a/prep 1.zip"));
	check_names("<a href=\"/more/prep1.zip\">",
	            NAMES("https://authority.example/more/prep1.zip"));
	check_names("", (const char *const[]){NULL});
}

TEST(what_a_page_cannot_send_us_to)
{
	UNUSED_STATE;
	check_names("https://elsewhere.example/prep1.zip http://authority.example/prep2.zip "
	            "//elsewhere.example/prep3.zip ../prep4.zip %2e%2e/prep5.zip prep6.zip?x=1 "
	            "prep%00.zip prep%0a7.zip prep8.zip#a file:///prep9.zip prep.zip",
	            NAMES("prep.zip"));
}

TEST(of_many_names_the_greatest_count)
{
	UNUSED_STATE;
	char *page = malloc(3000 * 16), *p = page;
	assert_non_null(page);
	for (unsigned i = 0; i < 3000; i++) {
		p += snprintf(p, 16, "prep%04u.zip\n", (i * 7) % 3000);
	}
	begin(PAGE, "pattern = prep*.zip\n");
	script_expect(s, &(struct script_want){.method = "GET"},
	              &(struct script_reply){.status = 200, .body = page});
	const struct store_out *out = list();
	check_ok(out);
	assert_int_equal(out->nrows, 1000);
	assert_string_equal(out->rows[0].key, "prep2000.zip");
	assert_string_equal(out->rows[999].key, "prep2999.zip");
	end();
	free(page);
}

TEST(dates_are_asked_for_where_they_decide)
{
	UNUSED_STATE;
	begin(PAGE, "pattern = prep*.zip\nnewest = modified\n");
	script_expect(
		s, &(struct script_want){.method = "GET", .url = PAGE},
		&(struct script_reply){.status = 200, .body = "prep1.zip prep2.zip prep3.zip"});
	script_expect(s, &(struct script_want){.method = "HEAD", .url = PAGE "prep1.zip"},
	              &(struct script_reply){.status = 200,
	                                     .fields = {"etag: \"a\"", "content-length: 7",
	                                                "last-modified: Sun, 06 Nov 1994 08:49:37 "
	                                                "GMT"}});
	script_expect(s, &(struct script_want){.method = "HEAD", .url = PAGE "prep2.zip"},
	              &(struct script_reply){.status = 404});
	script_expect(s, &(struct script_want){.method = "HEAD", .url = PAGE "prep3.zip"},
	              &(struct script_reply){.status = 200,
	                                     .fields = {"etag: \"c\"", "content-length: 8"}});
	const struct store_out *out = list();
	check_ok(out);
	assert_int_equal(out->nrows, 2);
	assert_string_equal(out->rows[0].tag, "\"a\"");
	assert_int_equal(out->rows[0].modified, 784111777);
	assert_string_equal(out->rows[1].key, "prep3.zip");
	end();
}

TEST(a_page_that_may_not_be_read_is_a_failure)
{
	UNUSED_STATE;
	begin(PAGE, "pattern = *.zip\n");
	script_expect(s, &(struct script_want){.method = "GET"},
	              &(struct script_reply){.status = 403});
	assert_int_equal(list()->err.cls, DIF_AUTH);
	end();
}

/* --- templates --- */

struct times {
	unsigned asked, there; /* the nth that is asked for exists; 0: none */
	char first[128], last[128];
};

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	struct times *t = data;
	assert_string_equal(seen->method, "HEAD");
	snprintf(t->asked++ == 0 ? t->first : t->last, sizeof t->last, "%s", seen->url);
	*reply = (struct script_reply){.status = 404};
	if (t->asked == t->there) {
		*reply = (struct script_reply){.status = 200,
		                               .fields = {"etag: \"v\"", "content-length: 7"}};
	}
}

TEST(a_template_is_tried_back_in_time)
{
	UNUSED_STATE;
	struct times t = {.there = 3};
	begin("https://authority.example/%Y%m%d/prep_%H%M%S.zip", "step = 15min\nlook_back = 2h\n");
	script_answer(s, answer, &t);
	const struct store_out *out = list();
	check_ok(out);
	assert_int_equal(out->nrows, 1);
	assert_int_equal(t.asked, 3);
	assert_string_equal(out->rows[0].key, t.last);
	assert_string_equal(out->rows[0].tag, "\"v\"");
	assert_true(strcmp(t.first, t.last) > 0);
	/* on the step: minutes of a quarter, no seconds */
	assert_non_null(strstr(t.last, "00.zip"));
	assert_int_equal((t.last[strlen(t.last) - 7] - '0') % 5, 0);
	end();
}

TEST(a_template_without_an_answer_is_an_empty_list)
{
	UNUSED_STATE;
	struct times t = {0};
	begin("https://authority.example/prep_%H%M.zip", "step = 15min\nlook_back = 1h\n");
	script_answer(s, answer, &t);
	const struct store_out *out = list();
	check_ok(out);
	assert_int_equal(out->nrows, 0);
	assert_true(t.asked >= 4 && t.asked <= 5);
	end();
}

TEST(what_makes_no_sense_is_refused)
{
	UNUSED_STATE;
	check_refused("[source t]\nplugin = https\nurl = " PAGE "\npattern = a\nstep = 1min\n",
	              "no pattern");
	check_refused("[source t]\nplugin = https\nurl = " PAGE "\nstep = 1min\n", "times in url");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_index_page_is_read_as_html_text_and_json),
		cmocka_unit_test(what_a_page_cannot_send_us_to),
		cmocka_unit_test(of_many_names_the_greatest_count),
		cmocka_unit_test(dates_are_asked_for_where_they_decide),
		cmocka_unit_test(a_page_that_may_not_be_read_is_a_failure),
		cmocka_unit_test(a_template_is_tried_back_in_time),
		cmocka_unit_test(a_template_without_an_answer_is_an_empty_list),
		cmocka_unit_test(what_makes_no_sense_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/https_list", tests, NULL, NULL);
}
