#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/log.h"
#include "base/utf8.h"

static int saved = -1;

static void capture(const char *path)
{
	saved = dup(STDERR_FILENO);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	assert_true(saved >= 0 && fd >= 0);
	assert_true(dup2(fd, STDERR_FILENO) >= 0);
	close(fd);
}

static char *captured(const char *path)
{
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t max = 4 << 20;
	char *text = calloc(1, max);
	assert_non_null(text);
	assert_true(fread(text, 1, max - 1, f) < max - 1);
	fclose(f);
	return text;
}

TEST(a_line_has_time_level_event_and_pairs)
{
	UNUSED_STATE;
	const char *path = test_path("line");
	capture(path);
	dif_log(DIF_LOG_INFO, "put", "destination=%s object=%s", "eu", dif_q("app.4f1c.js"));
	dif_log(DIF_LOG_DEBUG, "quiet", "x=1");
	char *text = captured(path);
	assert_int_equal(text[10], 'T');
	assert_int_equal(text[19], '.');
	assert_string_equal(text + 23, "Z info  put  destination=eu object=\"app.4f1c.js\"\n");
	free(text);
}

TEST(levels_are_thresholds)
{
	UNUSED_STATE;
	const char *path = test_path("levels");
	capture(path);
	dif_log_level(DIF_LOG_ERROR);
	dif_log(DIF_LOG_WARNING, "no", "x=1");
	dif_log(DIF_LOG_ERROR, "yes", "x=1");
	dif_log_level(DIF_LOG_OFF);
	dif_log(DIF_LOG_ERROR, "no", "x=1");
	dif_log_level(DIF_LOG_INFO);
	char *text = captured(path);
	assert_non_null(strstr(text, "error yes  x=1\n"));
	assert_null(strstr(text, "no  "));
	free(text);
}

TEST(values_cannot_break_a_line)
{
	UNUSED_STATE;
	assert_string_equal(dif_q("a\nb\"c\\"), "\"a\\nb\\\"c\\\\\"");
	assert_string_equal(dif_q("\x1b[2J"), "\"\\u001b[2J\"");
	assert_string_equal(dif_q("\xff\xc3"), "\"\\xff\\xc3\"");
	assert_string_equal(dif_q("\xc2\x85"), "\"\\u0085\"");      /* NEL ends lines */
	assert_string_equal(dif_q("\xe2\x80\xae"), "\"\\u202e\"");  /* turns text around */
	assert_string_equal(dif_q("a\xc3\xb1o"), "\"a\xc3\xb1o\""); /* and this is just text */
	assert_string_equal(dif_q(NULL), "\"\"");
	const char *path = test_path("break");
	capture(path);
	dif_log(DIF_LOG_INFO, "e", "raw=%s", "x\n2026 error fake\xff\xe2\x80\xa8");
	char *text = captured(path);
	assert_non_null(strstr(text, "raw=x?2026 error fake????\n"));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	free(text);
}

TEST(eight_values_live_side_by_side)
{
	UNUSED_STATE;
	const char *q[8];
	for (int i = 0; i < 8; i++) {
		char name[2] = {(char)('a' + i), '\0'};
		q[i] = dif_q(name);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(q[i][1], 'a' + i);
	}
}

TEST(everything_is_bounded)
{
	UNUSED_STATE;
	char *huge = calloc(1, 100001);
	assert_non_null(huge);
	memset(huge, '\n', 100000);
	const char *q = dif_q(huge);
	assert_true(strlen(q) < 1024);
	assert_string_equal(q + strlen(q) - 6, "\\n...\"");
	const char *path = test_path("huge");
	capture(path);
	dif_log(DIF_LOG_INFO, "e", "v=%s", huge);
	char *text = captured(path);
	assert_true(strlen(text) <= 4096);
	assert_int_equal(text[strlen(text) - 1], '\n');
	free(text);
	free(huge);
}

static void hide(char *line, size_t max)
{
	char *at = strstr(line, "hunter2");
	if (at != NULL) {
		memcpy(at, "(set)", 5);
		memmove(at + 5, at + 7, strlen(at + 7) + 1);
	}
	assert_true(strlen(line) < max);
}

TEST(the_filter_sees_the_line_first)
{
	UNUSED_STATE;
	const char *path = test_path("filter");
	capture(path);
	dif_log_filter(hide);
	dif_log(DIF_LOG_INFO, "login", "key=hunter2 ok=1");
	dif_log_filter(NULL);
	char *text = captured(path);
	assert_non_null(strstr(text, "login  key=(set) ok=1\n"));
	free(text);
}

static void *chatter(void *data)
{
	for (int i = 0; i < 500; i++) {
		dif_log(DIF_LOG_INFO, "chat", "who=%s n=%d pad=%s", (const char *)data, i,
		        dif_q("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"));
	}
	return NULL;
}

TEST(lines_of_threads_do_not_mix)
{
	UNUSED_STATE;
	const char *path = test_path("threads");
	capture(path);
	pthread_t threads[4];
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, chatter, "me"), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	char *text = captured(path);
	int lines = 0;
	for (char *line = text, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
		assert_memory_equal(line + 23, "Z info  chat  who=me n=", 23);
		assert_memory_equal(end - 3, "yz\"", 3);
		lines++;
	}
	assert_int_equal(lines, 2000);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_has_time_level_event_and_pairs),
		cmocka_unit_test(levels_are_thresholds),
		cmocka_unit_test(values_cannot_break_a_line),
		cmocka_unit_test(eight_values_live_side_by_side),
		cmocka_unit_test(everything_is_bounded),
		cmocka_unit_test(the_filter_sees_the_line_first),
		cmocka_unit_test(lines_of_threads_do_not_mix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
