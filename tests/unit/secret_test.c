#include "support.h"

#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/secret.h"

static struct dif_error err;

static int teardown(void **s)
{
	(void)s;
	dif_secret_fini();
	return 0;
}

static void shows(const char *before, const char *after)
{
	char text[512];
	snprintf(text, sizeof text, "%s", before);
	dif_secret_redact(text);
	assert_string_equal(text, after);
}

TEST(a_value_is_hidden_wherever_it_stands)
{
	UNUSED_STATE;
	dif_secret_add("hunter2hunter2");
	shows("hunter2hunter2", "***");
	shows("a hunter2hunter2 b hunter2hunter2.", "a *** b ***.");
	shows("hunter2hunter2hunter2hunter2", "***");
	shows("hunter2 hunter3", "hunter2 hunter3");
	shows("", "");
}

TEST(values_that_overlap_leave_nothing)
{
	UNUSED_STATE;
	dif_secret_add("abcdefghijkl");
	dif_secret_add("ijklmnopqr");
	dif_secret_add("cdefghij");
	shows("<abcdefghijklmnopqr>", "<***>");
	shows("<cdefghij>", "<***>");
}

TEST(short_values_are_ignored)
{
	UNUSED_STATE;
	dif_secret_add("1234567");
	dif_secret_add("");
	shows("1234567", "1234567");
	dif_secret_add("12345678");
	shows("12345678", "***");
}

TEST(each_line_of_several_is_a_value)
{
	UNUSED_STATE;
	dif_secret_add("-----BEGIN-----\r\nMIIEvQIBADAN\nshort\nBgkqhkiG9w0B\n");
	shows("<MIIEvQIBADAN>", "<***>");
	shows("BgkqhkiG9w0B\\n", "***\\n");
	shows("short", "short");
	dif_secret_drop("-----BEGIN-----\r\nMIIEvQIBADAN\nshort\nBgkqhkiG9w0B\n");
	shows("<MIIEvQIBADAN>", "<MIIEvQIBADAN>");
}

TEST(quoted_and_url_encoded_forms_are_hidden)
{
	UNUSED_STATE;
	dif_secret_add("pa\"ss\\word/+=");
	shows("x pa\"ss\\word/+= y", "x *** y");
	shows("x=\"pa\\\"ss\\\\word/+=\"", "x=\"***\"");
	shows("sig=pa%22ss%5Cword%2f%2B%3D&x", "sig=***&x");
	dif_secret_add("/begins-with-a-slash");
	shows("%2Fbegins-with-a-slash", "***");
}

TEST(a_value_cut_off_by_the_end_is_hidden)
{
	UNUSED_STATE;
	dif_secret_add("averylongsecretvalue");
	shows("key averylon", "key ***");
	shows("key averylo", "key averylo");
	shows("averylong secretvalue", "averylong secretvalue");
}

TEST(a_value_cut_off_inside_a_quote_is_hidden)
{
	UNUSED_STATE;
	dif_secret_add("averylongsecretvalue");
	shows("the reply has 'averylongsecret' for 'Size'", "the reply has '***' for 'Size'");
	shows("request_id=\"averylong\" x", "request_id=\"***\" x");
	shows("text=\"averylong...\" x", "text=\"***...\" x");
	shows("'averylo' and averylong day", "'averylo' and averylong day");
}

TEST(dropped_values_show_again_after_the_last_drop)
{
	UNUSED_STATE;
	dif_secret_add("abcdefgh");
	dif_secret_add("abcdefgh");
	dif_secret_drop("abcdefgh");
	shows("abcdefgh", "***");
	dif_secret_drop("abcdefgh");
	shows("abcdefgh", "abcdefgh");
	dif_secret_drop("abcdefgh");
	dif_secret_add("abcdefgh");
	shows("abcdefgh", "***");
}

/* How many mappings of this process are left out of dumps (dd) and locked (lo; AddressSanitizer
 * makes nothing of mlock). */
#ifdef __SANITIZE_ADDRESS__
#define LOCKED ""
#else
#define LOCKED " lo"
#endif
static int locked_mappings(void)
{
	char line[512];
	int n = 0;
	FILE *f = fopen("/proc/self/smaps", "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		n += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dd") != NULL &&
		     strstr(line, LOCKED) != NULL;
	}
	fclose(f);
	return n;
}

TEST(values_lie_in_locked_undumpable_memory)
{
	UNUSED_STATE;
	int before = locked_mappings();
	dif_secret_add("a secret that is registered");
	assert_int_equal(locked_mappings(), before + 1);
	dif_secret_drop("a secret that is registered");
	assert_int_equal(locked_mappings(), before);
}

TEST(log_lines_are_filtered)
{
	UNUSED_STATE;
	dif_secret_add("s3cr\"et-value");
	const char *path = test_path("log");
	FILE *f = fopen(path, "w+");
	assert_non_null(f);
	fflush(stderr);
	int keep = dup(2);
	assert_int_equal(dup2(fileno(f), 2), 2);
	dif_log_level(DIF_LOG_INFO);
	dif_log(DIF_LOG_INFO, "put", "reason=%s plain=s3cr\"et-value", dif_q("a s3cr\"et-value b"));
	assert_int_equal(dup2(keep, 2), 2);
	close(keep);
	char text[1024] = "";
	rewind(f);
	assert_true(fread(text, 1, sizeof text - 1, f) > 0);
	fclose(f);
	assert_non_null(strstr(text, "reason=\"a *** b\" plain=***"));
	assert_null(strstr(text, "et-value"));
}

static void *redact_much(void *data)
{
	bool *wrong = data;
	for (int i = 0; i < 2000; i++) {
		char text[] = "the constant-secret stays hidden";
		dif_secret_redact(text);
		*wrong = *wrong || strcmp(text, "the *** stays hidden") != 0;
	}
	return NULL;
}

TEST(redacting_runs_beside_add_and_drop)
{
	UNUSED_STATE;
	dif_secret_add("constant-secret");
	pthread_t thread[2];
	bool wrong[2] = {false, false};
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&thread[i], NULL, redact_much, &wrong[i]), 0);
	}
	for (int i = 0; i < 500; i++) {
		dif_secret_add("changing-secret");
		dif_secret_drop("changing-secret");
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(thread[i], NULL);
		assert_false(wrong[i]);
	}
}

static void resolves(const char *reference, bool inline_ok, const char *value)
{
	char *s = dif_secret_resolve(reference, inline_ok, &err);
	assert_non_null(s);
	assert_string_equal(s, value);
	char shown[256];
	snprintf(shown, sizeof shown, "<%s>", value);
	shows(shown, "<***>");
	free(s);
}

static void fails(const char *reference, bool inline_ok, const char *sentence)
{
	dif_error_clear(&err);
	assert_null(dif_secret_resolve(reference, inline_ok, &err));
	assert_non_null(strstr(err.text, sentence));
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
}

TEST(references_are_resolved_and_registered)
{
	UNUSED_STATE;
	setenv("DIF_TEST_SECRET", "from-the-environment", 1);
	resolves("env:DIF_TEST_SECRET", false, "from-the-environment");
	fails("env:DIF_TEST_NO_SUCH", false, "env:DIF_TEST_NO_SUCH");
	const char *path = test_path("token");
	test_write(path, "from-a-file\n\n", 13);
	assert_int_equal(chmod(path, 0600), 0);
	char reference[512];
	snprintf(reference, sizeof reference, "file:%s", path);
	resolves(reference, false, "from-a-file\n");
	assert_int_equal(chmod(path, 0644), 0);
	fails(reference, false, "chmod 640");
	setenv("CREDENTIALS_DIRECTORY", test_folder(), 1);
	assert_int_equal(chmod(path, 0400), 0);
	resolves("credential:token", false, "from-a-file\n");
	fails("credential:../token", false, "no credential's name");
	fails("credential:a/b", false, "no credential's name");
	fails("credential:none", false, "credential:none");
	unsetenv("CREDENTIALS_DIRECTORY");
	fails("credential:token", false, "CREDENTIALS_DIRECTORY");
}

TEST(inline_secrets_only_where_the_file_is_tight)
{
	UNUSED_STATE;
	resolves("inline-secret", true, "inline-secret");
	fails("inline-secret-2", false, "0640");
	assert_null(strstr(err.text, "inline-secret-2"));
}

TEST(empty_and_binary_files_are_refused)
{
	UNUSED_STATE;
	char reference[512];
	const char *path = test_path("empty");
	snprintf(reference, sizeof reference, "file:%s", path);
	test_write(path, "\n", 1);
	assert_int_equal(chmod(path, 0600), 0);
	fails(reference, false, "it is empty");
	test_write(path, "abc\0defghijk", 12);
	fails(reference, false, "NUL");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, NULL, teardown)
		T(a_value_is_hidden_wherever_it_stands),
		T(values_that_overlap_leave_nothing),
		T(short_values_are_ignored),
		T(each_line_of_several_is_a_value),
		T(quoted_and_url_encoded_forms_are_hidden),
		T(a_value_cut_off_by_the_end_is_hidden),
		T(a_value_cut_off_inside_a_quote_is_hidden),
		T(dropped_values_show_again_after_the_last_drop),
		T(values_lie_in_locked_undumpable_memory),
		T(log_lines_are_filtered),
		T(redacting_runs_beside_add_and_drop),
		T(references_are_resolved_and_registered),
		T(inline_secrets_only_where_the_file_is_tight),
		T(empty_and_binary_files_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
