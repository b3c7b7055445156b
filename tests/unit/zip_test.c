#include "support.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>

#include "rehearsal/zip.h"

static struct dif_error err;

static void write_some(struct dif_zip *z)
{
	static char text[200000];
	for (size_t i = 0; i < sizeof text; i++) {
		text[i] = (char)('a' + i * i % 7);
	}
	assert_true(dif_zip_add(z, "index.html", "<base href=\"/\">", 15, true, 0, &err));
	assert_true(dif_zip_add(z, "large.txt", text, sizeof text, true, 0, &err));
	assert_true(dif_zip_add(z, "stored.bin", text, 1000, false, 0, &err));
	assert_true(dif_zip_add(z, "empty", NULL, 0, true, 0, &err));
	assert_true(dif_zip_add(z, "a/Michoac\xc3\xa1n.svg", "<svg/>", 6, true, 0, &err));
	assert_true(dif_zip_add(z, "a/!Ciudad.svg", "x", 1, true, 0x5ac74000, &err));
	assert_true(dif_zip_end(z, &err));
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	struct dif_zip *z = dif_zip_new(fd, &err);
	assert_non_null(z);
	write_some(z);
	dif_zip_free(z);
	close(fd);
}

static int run(const char *const *argv)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

TEST(unzip_accepts_it_and_notices_damage)
{
	UNUSED_STATE;
	const char *path = test_path("a.zip");
	write_file(path);
	const char *const argv[] = {"unzip", "-t", path, NULL};
	assert_int_equal(run(argv), 0);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "#", 1, 45), 1);
	close(fd);
	assert_int_not_equal(run(argv), 0);
}

TEST(libzip_reads_the_same_back)
{
	UNUSED_STATE;
	const char *path = test_path("b.zip");
	write_file(path);
	zip_t *z = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, NULL);
	assert_non_null(z);
	assert_int_equal(zip_get_num_entries(z, 0), 6);
	zip_stat_t st;
	assert_int_equal(zip_stat(z, "large.txt", 0, &st), 0);
	assert_int_equal(st.comp_method, 8);
	assert_int_equal(st.size, 200000);
	assert_true(st.comp_size < 20000);
	assert_int_equal(zip_stat(z, "stored.bin", 0, &st), 0);
	assert_int_equal(st.comp_method, 0);
	assert_int_equal(zip_stat(z, "a/!Ciudad.svg", 0, &st), 0);
	assert_int_equal(st.comp_method, 0); /* one byte does not shrink */
	assert_int_equal(zip_stat(z, "a/Michoac\xc3\xa1n.svg", ZIP_FL_ENC_UTF_8, &st), 0);
	char text[16] = {0};
	zip_file_t *f = zip_fopen(z, "index.html", 0);
	assert_int_equal(zip_fread(f, text, sizeof text), 15);
	assert_string_equal(text, "<base href=\"/\">");
	zip_fclose(f);
	zip_discard(z);
}

TEST(the_same_entries_give_the_same_bytes_in_a_file_and_in_memory)
{
	UNUSED_STATE;
	struct dif_buf one, two;
	dif_buf_init(&one, 1 << 20);
	dif_buf_init(&two, 1 << 20);
	for (int i = 0; i < 2; i++) {
		struct dif_zip *z = dif_zip_to_buf(i == 0 ? &one : &two, &err);
		assert_non_null(z);
		write_some(z);
		dif_zip_free(z);
	}
	assert_int_equal(one.n, two.n);
	assert_memory_equal(one.p, two.p, one.n);
	const char *path = test_path("c.zip");
	write_file(path);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	char *bytes = malloc(one.n + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, one.n + 1, f), one.n);
	assert_memory_equal(bytes, one.p, one.n);
	fclose(f);
	free(bytes);
	dif_buf_fini(&one);
	dif_buf_fini(&two);
}

TEST(what_does_not_fit_is_refused)
{
	UNUSED_STATE;
	struct dif_buf out;
	dif_buf_init(&out, 4 << 20);
	struct dif_zip *z = dif_zip_to_buf(&out, &err);
	assert_false(dif_zip_add(z, "", "x", 1, true, 0, &err));
	assert_false(dif_zip_add(z, "\xff", "x", 1, true, 0, &err));
	assert_false(dif_zip_add(z, "huge", "x", 0xffffffff, false, 0, &err));
	assert_non_null(strstr(err.text, "ZIP64"));
	int n = 0;
	while (dif_zip_add(z, "a", NULL, 0, true, 0, &err)) {
		n++;
	}
	assert_int_equal(n, 0xfffe);
	dif_zip_free(z);
	dif_buf_fini(&out);

	dif_buf_init(&out, 20);
	z = dif_zip_to_buf(&out, &err);
	assert_false(dif_zip_add(z, "a", "x", 1, true, 0, &err));
	assert_non_null(strstr(err.text, "could not add entry 'a': could not write archive"));
	dif_zip_free(z);
	dif_buf_fini(&out);

	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	z = dif_zip_new(fd, &err);
	assert_false(dif_zip_add(z, "a", "x", 1, true, 0, &err));
	assert_int_equal(err.cls, DIF_TRANSIENT);
	dif_zip_free(z);
	close(fd);
	dif_zip_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unzip_accepts_it_and_notices_damage),
		cmocka_unit_test(libzip_reads_the_same_back),
		cmocka_unit_test(the_same_entries_give_the_same_bytes_in_a_file_and_in_memory),
		cmocka_unit_test(what_does_not_fit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
