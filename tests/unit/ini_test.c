#include "support.h"

#include <sys/stat.h>

#include "host/ini.h"

static struct dif_arena arena;
static struct dif_error err;

static int setup(void **s)
{
	(void)s;
	dif_arena_init(&arena, 8u << 20, true);
	dif_error_clear(&err);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	dif_arena_fini(&arena);
	return 0;
}

static struct dif_ini_entry *good_n(const char *text, size_t n)
{
	struct dif_ini_entry *list = NULL;
	dif_error_clear(&err);
	bool ok = dif_ini_parse(&arena, "t.ini", (struct dif_bytes){text, n}, &list, &err);
	assert_string_equal(err.text, "");
	assert_true(ok);
	return list;
}

static struct dif_ini_entry *good(const char *text)
{
	return good_n(text, strlen(text));
}

static void bad_n(const char *text, size_t n, const char *sentence)
{
	struct dif_ini_entry *list = NULL;
	assert_false(dif_ini_parse(&arena, "t.ini", (struct dif_bytes){text, n}, &list, &err));
	assert_non_null(strstr(err.text, sentence));
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
	assert_null(list);
}

static void bad(const char *text, const char *sentence)
{
	bad_n(text, strlen(text), sentence);
}

static void is(const struct dif_ini_entry *e, const char *section, const char *key,
               const char *value, uint32_t line)
{
	assert_non_null(e);
	assert_string_equal(e->section, section);
	if (key == NULL) {
		assert_null(e->key);
	} else {
		assert_string_equal(e->key, key);
		assert_string_equal(e->value, value);
	}
	assert_int_equal(e->line, line);
	assert_string_equal(e->file, "t.ini");
	assert_false(e->used);
}

TEST(sections_keys_values_and_lines)
{
	UNUSED_STATE;
	struct dif_ini_entry *e = good("; note\n"
	                               "# note\n"
	                               "[ store \t aws ] ; mine\n"
	                               "bucket = prep-aws ; a comment\r\n"
	                               "\n"
	                               "  region=us-east-1\n"
	                               "note = a;b#c=d\n"
	                               "[destination aws]\n"
	                               "prefix = ; none\n"
	                               "public_url = https://aws.example/x:y");
	is(e, "store aws", "bucket", "prep-aws", 4);
	is(e = e->next, "store aws", "region", "us-east-1", 6);
	is(e = e->next, "store aws", "note", "a;b#c=d", 7);
	is(e = e->next, "destination aws", "prefix", "", 9);
	is(e = e->next, "destination aws", "public_url", "https://aws.example/x:y", 10);
	assert_null(e->next);
}

TEST(an_empty_section_is_an_entry_without_a_key)
{
	UNUSED_STATE;
	struct dif_ini_entry *e = good("[a]\n[b]\nk=v\n[c]\n");
	is(e, "a", NULL, NULL, 1);
	is(e = e->next, "b", "k", "v", 3);
	is(e = e->next, "c", NULL, NULL, 4);
	assert_null(e->next);
	assert_null(good(""));
	assert_null(good("\n; only a note"));
}

TEST(a_byte_order_mark_is_skipped)
{
	UNUSED_STATE;
	is(good("\xef\xbb\xbf[a]\nk=v\n"), "a", "k", "v", 2);
}

/* As packaged, inih gives 197 of these bytes and takes the rest for another line. */
TEST(values_of_all_lengths_up_to_the_bound_arrive_whole)
{
	UNUSED_STATE;
	static const size_t sizes[] = {150, 190, 195, 196, 197,  198,
	                               199, 200, 201, 255, 4096, 16380};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		char *text = NULL;
		char *value = malloc(sizes[i] + 1);
		assert_non_null(value);
		memset(value, 'x', sizes[i]);
		value[sizes[i]] = '\0';
		assert_true(asprintf(&text, "[a]\nk =%s\nl = 1\n", value) > 0);
		struct dif_ini_entry *e = good(text);
		is(e, "a", "k", value, 2);
		is(e->next, "a", "l", "1", 3);
		assert_null(e->next->next);
		free(text);
		free(value);
	}
}

TEST(a_line_over_16_kib_is_refused)
{
	UNUSED_STATE;
	char *text = malloc(20000);
	assert_non_null(text);
	memset(text, 'x', 20000);
	memcpy(text, "[a]\nk=", 6);
	bad_n(text, 6 + 16384 - 2 + 1, "t.ini:2: the line is longer than 16 KiB");
	good_n(text, 6 + 16384 - 2);
	free(text);
}

/* inih cuts these at 49 bytes, so that the two would be one. */
TEST(long_section_and_key_names_stay_whole)
{
	UNUSED_STATE;
#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789"
	struct dif_ini_entry *e =
		good("[" LONG "a]\n" LONG "x = 1\n" LONG "y = 2\n[" LONG "b]\n" LONG "x = 3\n");
	is(e, LONG "a", LONG "x", "1", 2);
	is(e = e->next, LONG "a", LONG "y", "2", 3);
	is(e = e->next, LONG "b", LONG "x", "3", 5);
}

TEST(an_indented_line_continues_nothing)
{
	UNUSED_STATE;
	struct dif_ini_entry *e = good("[a]\nk = 1\n  l = 2\n\tm = 3\n");
	is(e, "a", "k", "1", 2);
	is(e = e->next, "a", "l", "2", 3);
	is(e = e->next, "a", "m", "3", 4);
	bad("[class data]\nmatch = *.json\n  *.csv\n", "t.ini:3: this is neither");
}

TEST(refusals_name_file_and_line)
{
	UNUSED_STATE;
	bad("k = v\n", "t.ini:1: the key stands before the first [section]");
	bad("[a\nk=v\n", "t.ini:1: the section's name is not closed by ]");
	bad("\n[a] b\n", "t.ini:2: something follows the section's name");
	bad("[ ]\n", "t.ini:1: the section has no name");
	bad("[a]\nword\n", "t.ini:2: this is neither [section] nor key = value");
	bad("[a]\n= v\n", "t.ini:2: the key has no name");
	bad("[a]\nk=1\nl=2\nk=3\n", "t.ini:4: this key is in the section already");
	bad("[a]\nk=1\n[b]\n[ a ]\n", "t.ini:4: this section is in the file already");
	bad("[a]\nk ; x = 1\n", "t.ini:2:");
	bad_n("[a]\nk=1\0002\n", 9, "t.ini:2: the line holds a control character");
	bad("[a]\nk=\033[2J\n", "t.ini:2: the line holds a control character");
	bad("[a]\rk=1\n", "t.ini:1: the line holds a control character");
}

TEST(a_refusal_leaves_the_list_as_it_was)
{
	UNUSED_STATE;
	struct dif_ini_entry *list = good("[a]\nk=1\n");
	static const char more[] = "[b]\nk=1\nk=2\n";
	assert_false(dif_ini_parse(&arena, "u.ini", (struct dif_bytes){more, sizeof more - 1},
	                           &list, &err));
	assert_null(list->next);
}

TEST(files_append_in_order)
{
	UNUSED_STATE;
	struct dif_ini_entry *list = good("[a]\nk=1\n");
	static const char more[] = "[a]\nk=2\n";
	assert_true(dif_ini_parse(&arena, "u.ini", (struct dif_bytes){more, sizeof more - 1}, &list,
	                          &err));
	assert_string_equal(list->next->value, "2");
	assert_string_equal(list->next->file, "u.ini");
}

TEST(an_arena_that_is_full_is_an_error_not_a_short_list)
{
	UNUSED_STATE;
	static const char text[] = "[a]\nk=1\nl=2\nm=3\n";
	for (size_t max = 0; max < 2000; max += 16) {
		struct dif_arena a;
		dif_arena_init(&a, max, true);
		struct dif_ini_entry *list = NULL;
		if (dif_ini_parse(&a, "t.ini", (struct dif_bytes){text, sizeof text - 1}, &list,
		                  &err)) {
			assert_string_equal(list->next->next->value, "3");
			assert_true(max > 100);
			dif_arena_fini(&a);
			return;
		}
		assert_null(list);
		assert_non_null(strstr(err.text, "out of memory"));
		dif_arena_fini(&a);
	}
	fail_msg("never succeeded");
}

TEST(secrets_are_allowed_by_the_mode_of_the_file)
{
	UNUSED_STATE;
	static const struct {
		mode_t mode;
		bool ok, secret;
	} cases[] = {{0600, true, true},  {0640, true, true},   {0440, true, true},
	             {0644, true, false}, {0660, false, false}, {0666, false, false}};
	const char *path = test_path("a.ini");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		test_write(path, "[a]\nk=1\n", 8);
		assert_int_equal(chmod(path, cases[i].mode), 0);
		struct dif_ini_entry *list = NULL;
		assert_int_equal(dif_ini_read(&arena, path, &list, &err), cases[i].ok);
		if (cases[i].ok) {
			assert_int_equal(list->secret_ok, cases[i].secret);
		} else {
			assert_int_equal(err.exit, DIF_EXIT_CONFIG);
		}
		assert_int_equal(chmod(path, 0600), 0);
	}
}

TEST(a_missing_and_an_oversized_file_are_refused)
{
	UNUSED_STATE;
	struct dif_ini_entry *list = NULL;
	assert_false(dif_ini_read(&arena, test_path("none.ini"), &list, &err));
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
	assert_non_null(strstr(err.text, "none.ini"));
	size_t n = (1u << 20) + 1;
	char *text = malloc(n);
	assert_non_null(text);
	memset(text, '\n', n);
	const char *path = test_path("big.ini");
	test_write(path, text, n);
	free(text);
	assert_int_equal(chmod(path, 0600), 0);
	assert_false(dif_ini_read(&arena, path, &list, &err));
	assert_non_null(strstr(err.text, "big.ini"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(sections_keys_values_and_lines),
		T(an_empty_section_is_an_entry_without_a_key),
		T(a_byte_order_mark_is_skipped),
		T(values_of_all_lengths_up_to_the_bound_arrive_whole),
		T(a_line_over_16_kib_is_refused),
		T(long_section_and_key_names_stay_whole),
		T(an_indented_line_continues_nothing),
		T(refusals_name_file_and_line),
		T(a_refusal_leaves_the_list_as_it_was),
		T(files_append_in_order),
		T(an_arena_that_is_full_is_an_error_not_a_short_list),
		T(secrets_are_allowed_by_the_mode_of_the_file),
		T(a_missing_and_an_oversized_file_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
