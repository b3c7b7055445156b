#include "support.h"

#include "host/option.h"
#include "host/secret.h"

struct self {
	const char *bucket, *url, *root, *mode, *token, *user, *pass;
	uint32_t adopt;
	int64_t weight, size, every;
};

#define AT(member) .offset = offsetof(struct self, member)
static const struct dif_option rows[] = {
	{"bucket", NULL, "Where the site is put.", DIF_STRING, DIF_NEEDED, 3, 63, NULL, NULL,
         AT(bucket)},
	{"url", NULL, "The service.", DIF_URL, 0, 0, 0, NULL, "T_URL T_OTHER_URL", AT(url)},
	{"root", NULL, "The folder.", DIF_FILE_PATH, 0, 0, 0, NULL, NULL, AT(root)},
	{"mode", "fast", "How.", DIF_ENUM, 0, 0, 0, "fast slow", NULL, AT(mode)},
	{"token", NULL, "The key.", DIF_STRING, DIF_SECRET, 0, 0, NULL, "T_TOKEN", AT(token)},
	{"adopt", "no", "Take over.", DIF_BOOL, 0, 0, 0, NULL, NULL, AT(adopt)},
	{"weight", "50", "Share.", DIF_INT, 0, 0, 100, NULL, NULL, AT(weight)},
	{"size", "64MiB", "Room.", DIF_SIZE, 0, 1 << 20, 1 << 30, NULL, NULL, AT(size)},
	{"every", "15s",
         "How often the source is asked, which is a sentence that is much longer "
         "than one line of eighty columns can hold.",
         DIF_DURATION, 0, 1000, 3600000, NULL, NULL, AT(every)},
	{"user", NULL, "Who.", DIF_STRING, DIF_TOGETHER, 0, 0, NULL, "T_USER", AT(user)},
	{"pass", NULL, "The word.", DIF_STRING, DIF_TOGETHER, 0, 0, NULL, "T_PASS", AT(pass)},
};

static struct dif_arena arena;
static struct dif_error err;
static struct self self;

static int setup(void **s)
{
	(void)s;
	dif_arena_init(&arena, 1u << 20, true);
	dif_error_clear(&err);
	self = (struct self){0};
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	dif_arena_fini(&arena);
	dif_secret_fini();
	return 0;
}

static struct dif_ini_entry *parse(const char *text)
{
	struct dif_ini_entry *list = NULL;
	assert_true(dif_ini_parse(&arena, "t.ini", (struct dif_bytes){text, strlen(text)}, &list,
	                          &err));
	return list;
}

static bool bind(struct dif_ini_entry *list)
{
	return dif_option_bind(rows, DIF_LEN(rows), list, "store x", &self, &arena, &err);
}

static void bad(const char *text, const char *sentence)
{
	assert_false(bind(parse(text)));
	if (strstr(err.text, sentence) == NULL) {
		fail_msg("'%s' is not in '%s'", sentence, err.text);
	}
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
}

TEST(defaults_stand_where_nothing_is_said)
{
	UNUSED_STATE;
	assert_true(bind(parse("[store x]\nbucket = abc\n")));
	assert_string_equal(self.bucket, "abc");
	assert_null(self.url);
	assert_null(self.root);
	assert_null(self.token);
	assert_string_equal(self.mode, "fast");
	assert_int_equal(self.adopt, 0);
	assert_int_equal(self.weight, 50);
	assert_int_equal(self.size, 64 << 20);
	assert_int_equal(self.every, 15000);
}

TEST(every_type_is_read_and_its_entry_marked)
{
	UNUSED_STATE;
	struct dif_ini_entry *list =
		parse("[store x]\nbucket = abc\nurl = https://h.example:8443/a\nroot = /srv/x\n"
	              "mode = slow\nadopt = yes\nweight = 0\nsize = 1MiB\nevery = 10min\n"
	              "[store y]\nbucket = other\n");
	assert_true(bind(list));
	assert_string_equal(self.bucket, "abc");
	assert_string_equal(self.url, "https://h.example:8443/a");
	assert_string_equal(self.root, "/srv/x");
	assert_string_equal(self.mode, "slow");
	assert_int_equal(self.adopt, 1);
	assert_int_equal(self.weight, 0);
	assert_int_equal(self.size, 1 << 20);
	assert_int_equal(self.every, 600000);
	for (struct dif_ini_entry *e = list; e != NULL; e = e->next) {
		assert_int_equal(e->used, strcmp(e->section, "store x") == 0);
	}
}

TEST(refusals_name_file_line_key_and_what_is_allowed)
{
	UNUSED_STATE;
	bad("[store x]\n", "t.ini:1: [store x]: option 'bucket' is missing");
	bad("[other]\n", "[store x]: option 'bucket' is missing");
	bad("[store x]\nbucket =\n", "t.ini:2: could not use option 'bucket'");
	bad("[store x]\nbucket = ab\n", "'ab' is not text of 3 to 63 bytes");
	bad("[store x]\nbucket = abc\nmode = quick\n",
	    "t.ini:3: could not use option 'mode': 'quick' is not one of: fast slow");
	bad("[store x]\nbucket = abc\nmode = fas\n", "'fas' is not one of");
	bad("[store x]\nbucket = abc\nmode = fast slow\n", "'fast slow' is not one of");
	bad("[store x]\nbucket = abc\nmode =\n", "is not one of");
	bad("[store x]\nbucket = abc\nadopt = maybe\n", "is not yes or no");
	bad("[store x]\nbucket = abc\nweight = 101\n", "is not a whole number, 0 to 100");
	bad("[store x]\nbucket = abc\nsize = 2GiB\n", "is not a size such as");
	bad("[store x]\nbucket = abc\nsize = 2GiB\n", "1MiB to 1GiB");
	bad("[store x]\nbucket = abc\nevery = 15\n", "is not a duration such as");
	bad("[store x]\nbucket = abc\nevery = 2h\n", "1s to 1h");
	bad("[store x]\nbucket = abc\nroot = srv\n", "is not an absolute path");
}

TEST(urls_are_checked)
{
	UNUSED_STATE;
	static const char *const wrong[] = {"ftp://h/",         "https://",     "https:///x",
	                                    "https://h/?q=1",   "https://h/#f", "https://u:p@h/",
	                                    "https://h/a b",    "h.example",    "https://:80/",
	                                    "https://h/\\..\\", "HTTPS//h"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char text[256];
		snprintf(text, sizeof text, "[store x]\nbucket = abc\nurl = %s\n", wrong[i]);
		bad(text, "is not a URL");
	}
	assert_true(bind(parse("[store x]\nbucket = abc\nurl = http://[::1]:9000\n")));
}

TEST(the_environment_stands_behind_the_section)
{
	UNUSED_STATE;
	setenv("T_OTHER_URL", "https://other.example", 1);
	assert_true(bind(parse("[store x]\nbucket = abc\n")));
	assert_string_equal(self.url, "https://other.example");
	setenv("T_URL", "https://first.example", 1);
	assert_true(bind(parse("[store x]\nbucket = abc\n")));
	assert_string_equal(self.url, "https://first.example");
	assert_true(bind(parse("[store x]\nbucket = abc\nurl = https://own.example\n")));
	assert_string_equal(self.url, "https://own.example");
	setenv("T_URL", "nonsense", 1);
	bad("[store x]\nbucket = abc\n", "environment variable T_URL");
	unsetenv("T_URL");
	unsetenv("T_OTHER_URL");
}

static void is_hidden(const char *value)
{
	char text[128];
	snprintf(text, sizeof text, "%s", value);
	dif_secret_redact(text);
	assert_string_equal(text, "***");
}

TEST(secrets_are_resolved_registered_and_never_shown)
{
	UNUSED_STATE;
	struct dif_ini_entry *list = parse("[store x]\nbucket = abc\ntoken = tell-nobody\n");
	assert_false(bind(list));
	assert_non_null(strstr(err.text, "t.ini:3: could not use option 'token'"));
	assert_null(strstr(err.text, "tell-nobody"));
	list->next->secret_ok = true;
	assert_true(bind(list));
	assert_string_equal(self.token, "tell-nobody");
	is_hidden("tell-nobody");
	setenv("T_TOKEN", "from-the-environment", 1);
	assert_true(bind(parse("[store x]\nbucket = abc\n")));
	assert_string_equal(self.token, "from-the-environment");
	is_hidden("from-the-environment");
	assert_true(bind(parse("[store x]\nbucket = abc\ntoken = env:T_TOKEN\n")));
	assert_string_equal(self.token, "from-the-environment");
	unsetenv("T_TOKEN");
}

TEST(what_follows_the_name_of_a_header_is_a_secret_of_its_own)
{
	UNUSED_STATE;
	setenv("T_TOKEN", "X-Api-Key: key-of-the-source", 1);
	assert_true(bind(parse("[store x]\nbucket = abc\n")));
	is_hidden("key-of-the-source");
	setenv("T_TOKEN", "Authorization:Bearer token-of-the-source", 1);
	assert_true(bind(parse("[store x]\nbucket = abc\ntoken = env:T_TOKEN\n")));
	is_hidden("Bearer token-of-the-source");
	is_hidden("token-of-the-source");
	unsetenv("T_TOKEN");
}

TEST(a_default_that_its_row_refuses_is_an_error)
{
	UNUSED_STATE;
	static const struct dif_option wrong = {"weight", "1000", "Share.", DIF_INT, 0,
	                                        0,        100,    NULL,     NULL,    AT(weight)};
	assert_false(dif_option_bind(&wrong, 1, NULL, "store x", &self, &arena, &err));
	assert_non_null(strstr(err.text, "default: could not use option 'weight'"));
}

TEST(help_fits_eighty_columns_and_tells_all)
{
	UNUSED_STATE;
	struct dif_buf out;
	dif_buf_init(&out, 1u << 16);
	dif_option_print(rows, DIF_LEN(rows), &out);
	assert_false(out.failed);
	for (uint32_t i = 0; i < DIF_LEN(rows); i++) {
		assert_non_null(strstr(dif_buf_str(&out), rows[i].name));
	}
	assert_non_null(strstr(dif_buf_str(&out), "one of: fast slow; default fast"));
	assert_non_null(strstr(dif_buf_str(&out), " T_OTHER_URL"));
	for (const char *at = dif_buf_str(&out); *at != '\0';) {
		size_t n = strcspn(at, "\n");
		assert_true(n <= 80);
		at += n + (at[n] == '\n');
	}
	dif_buf_fini(&out);
}

TEST(the_example_is_an_ini_with_every_key_commented_out)
{
	UNUSED_STATE;
	struct dif_buf out;
	dif_buf_init(&out, 1u << 16);
	dif_buf_fmt(&out, "[store x]\n");
	dif_option_example(rows, DIF_LEN(rows), &out);
	assert_false(out.failed);
	assert_non_null(strstr(dif_buf_str(&out), "\n;every = 15s\n"));
	assert_non_null(strstr(dif_buf_str(&out), "\n;bucket =\n"));
	struct dif_ini_entry *list = parse(dif_buf_str(&out));
	assert_null(list->key);
	assert_null(list->next);
	dif_buf_fini(&out);
}

TEST(a_set_comes_from_one_place)
{
	UNUSED_STATE;
	setenv("T_USER", "env-user", 1);
	setenv("T_PASS", "env-pass", 1);
	assert_true(bind(parse("[store x]\nbucket = abc\n")));
	assert_string_equal(self.user, "env-user");
	assert_string_equal(self.pass, "env-pass");
	self = (struct self){0};
	assert_true(bind(parse("[store x]\nbucket = abc\nuser = mine\n")));
	assert_string_equal(self.user, "mine");
	assert_null(self.pass);
	unsetenv("T_USER");
	unsetenv("T_PASS");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(defaults_stand_where_nothing_is_said),
		T(every_type_is_read_and_its_entry_marked),
		T(refusals_name_file_line_key_and_what_is_allowed),
		T(urls_are_checked),
		T(the_environment_stands_behind_the_section),
		T(a_set_comes_from_one_place),
		T(secrets_are_resolved_registered_and_never_shown),
		T(what_follows_the_name_of_a_header_is_a_secret_of_its_own),
		T(a_default_that_its_row_refuses_is_an_error),
		T(help_fits_eighty_columns_and_tells_all),
		T(the_example_is_an_ini_with_every_key_commented_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
