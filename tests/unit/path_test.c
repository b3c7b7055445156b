#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"

static int attempt(const char *path, bool secret, struct dif_error *err)
{
	dif_error_clear(err);
	int fd = dif_path_open_trusted(path, secret, err);
	if (fd >= 0) {
		close(fd);
	}
	return fd;
}

TEST(a_plain_file_of_ours_is_trusted)
{
	UNUSED_STATE;
	struct dif_error err;
	const char *path = test_path("plain");
	test_write(path, "hello", 5);
	assert_int_equal(chmod(path, 0644), 0);
	int fd = dif_path_open_trusted(path, false, &err);
	assert_true(fd >= 0);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	char *text = NULL;
	size_t n = 0;
	assert_true(dif_path_read_all(fd, 5, &text, &n, &err));
	assert_int_equal(n, 5);
	assert_string_equal(text, "hello");
	free(text);
	close(fd);
	assert_int_equal(attempt(test_path("none"), false, &err), -1);
	assert_int_equal(err.cls, DIF_NOT_FOUND);
}

TEST(what_others_may_write_is_refused)
{
	UNUSED_STATE;
	struct dif_error err;
	const char *path = test_path("open");
	test_write(path, "x", 1);
	assert_int_equal(chmod(path, 0664), 0);
	assert_int_equal(attempt(path, false, &err), -1);
	assert_non_null(strstr(err.text, "chmod go-w"));
	assert_int_equal(chmod(path, 0646), 0);
	assert_int_equal(attempt(path, false, &err), -1);

	const char *dir = test_path("shared");
	assert_int_equal(mkdir(dir, 0755), 0);
	const char *inside = test_path("shared/file");
	test_write(inside, "x", 1);
	assert_int_equal(chmod(inside, 0644), 0);
	assert_true(attempt(inside, false, &err) >= 0);
	assert_int_equal(chmod(dir, 0775), 0);
	assert_int_equal(attempt(inside, false, &err), -1);
	assert_int_equal(dif_path_open_trusted_dir(dir, &err), -1);
	assert_non_null(strstr(err.text, "mode 0775"));
}

TEST(secrets_must_be_closed_to_others)
{
	UNUSED_STATE;
	struct dif_error err;
	const char *path = test_path("secret");
	test_write(path, "x", 1);
	assert_int_equal(chmod(path, 0644), 0);
	assert_true(attempt(path, false, &err) >= 0);
	assert_int_equal(attempt(path, true, &err), -1);
	assert_non_null(strstr(err.text, "0644"));
	assert_non_null(strstr(err.text, "chmod 640"));
	assert_int_equal(chmod(path, 0640), 0);
	assert_true(attempt(path, true, &err) >= 0);
	assert_int_equal(chmod(path, 0400), 0);
	assert_true(attempt(path, true, &err) >= 0);
}

TEST(the_owner_must_be_root_or_us)
{
	UNUSED_STATE;
	if (geteuid() != 0) {
		return; /* nobody else can give a file away */
	}
	struct dif_error err;
	const char *path = test_path("foreign");
	test_write(path, "x", 1);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chown(path, 12345, 0), 0);
	assert_int_equal(attempt(path, false, &err), -1);
	assert_non_null(strstr(err.text, "user 12345 owns it"));
}

TEST(links_and_other_kinds_are_refused)
{
	UNUSED_STATE;
	struct dif_error err;
	const char *dir = test_path("real"), *link = test_path("link");
	assert_int_equal(mkdir(dir, 0755), 0);
	test_write(test_path("real/file"), "x", 1);
	assert_int_equal(chmod(test_path("real/file"), 0644), 0);
	assert_int_equal(symlink("real", link), 0);
	assert_int_equal(symlink("file", test_path("real/alias")), 0);
	assert_int_equal(attempt(test_path("real/alias"), false, &err), -1);
	assert_non_null(strstr(err.text, "symbolic link"));
	assert_int_equal(attempt(test_path("link/file"), false, &err), -1);
	assert_non_null(strstr(err.text, "symbolic link"));
	assert_int_equal(dif_path_open_trusted_dir(link, &err), -1);
	assert_int_equal(attempt(dir, false, &err), -1);
	assert_int_equal(mkfifo(test_path("pipe"), 0644), 0);
	assert_int_equal(attempt(test_path("pipe"), false, &err), -1); /* and does not wait */
	assert_non_null(strstr(err.text, "regular"));
	assert_int_equal(attempt("", false, &err), -1);
}

/* As a cluster keeps a token: file -> ..data/file, ..data -> ..1, and the way to it a link too. */
static void make_projected(void)
{
	const char *at = test_path("pod");
	assert_int_equal(mkdir(at, 0755), 0);
	assert_int_equal(chmod(at, 01777), 0);
	assert_int_equal(mkdir(test_path("pod/..1"), 0755), 0);
	test_write(test_path("pod/..1/token"), "eyJ", 3);
	assert_int_equal(chmod(test_path("pod/..1/token"), 0644), 0);
	assert_int_equal(symlink("..1", test_path("pod/..data")), 0);
	assert_int_equal(symlink("..data/token", test_path("pod/token")), 0);
	assert_int_equal(symlink(at, test_path("way")), 0);
}

static void check_followed(const char *path, const char *to)
{
	struct dif_error err;
	char *got = dif_path_follow(path, &err);
	assert_non_null(got);
	assert_string_equal(got, to);
	free(got);
}

static void check_not_followed(const char *path, enum dif_class cls, const char *text)
{
	struct dif_error err;
	assert_null(dif_path_follow(path, &err));
	assert_int_equal(err.cls, cls);
	if (strstr(err.text, text) == NULL) {
		fail_msg("'%s' is not in '%s'", text, err.text);
	}
}

TEST(trusted_links_are_followed_where_that_is_wanted)
{
	UNUSED_STATE;
	struct dif_error err;
	char to[4096];
	make_projected();
	(void)snprintf(to, sizeof to, "%s", test_path("pod/..1/token"));
	check_followed(test_path("way/token"), to);
	check_followed(to, to);
	assert_true(attempt(to, false, &err) >= 0);
	assert_int_equal(attempt(test_path("way/token"), false, &err), -1);
	/* what is not there is not there, at the end, on the way and behind a link */
	check_followed(test_path("pod/none"), test_path("pod/none"));
	check_not_followed(test_path("none/none"), DIF_NOT_FOUND, "none");
	assert_int_equal(symlink("nowhere/file", test_path("dangling")), 0);
	check_not_followed(test_path("dangling"), DIF_NOT_FOUND, "nowhere");
	assert_int_equal(symlink("loop", test_path("loop")), 0);
	check_not_followed(test_path("loop"), DIF_PERMANENT, "without end");
	check_not_followed("", DIF_PERMANENT, "empty");
	/* a folder in which others may put another link */
	assert_int_equal(chmod(test_path("pod"), 0777), 0);
	check_not_followed(test_path("way/token"), DIF_PERMANENT, "others may write");
	assert_int_equal(chmod(test_path("pod"), 01777), 0);
	if (geteuid() == 0) {
		assert_int_equal(lchown(test_path("pod/..data"), 65534, 65534), 0);
		check_not_followed(test_path("way/token"), DIF_PERMANENT, "owns it");
	}
}

TEST(relative_paths_and_odd_slashes)
{
	UNUSED_STATE;
	struct dif_error err;
	test_write(test_path("here"), "x", 1);
	assert_int_equal(chmod(test_path("here"), 0644), 0);
	assert_int_equal(chdir(test_folder()), 0);
	assert_true(attempt("here", false, &err) >= 0);
	assert_true(attempt(".//here", false, &err) >= 0);
	int fd = dif_path_open_trusted_dir("///", &err);
	assert_true(fd >= 0);
	close(fd);
	fd = dif_path_open_trusted_dir(".", &err);
	assert_true(fd >= 0);
	DIR *d = fdopendir(fd);
	assert_non_null(d);
	assert_non_null(readdir(d));
	closedir(d);
	assert_int_equal(chdir("/"), 0);
}

TEST(reading_is_bounded)
{
	UNUSED_STATE;
	struct dif_error err;
	char *block = calloc(1, 100000), *text = NULL;
	assert_non_null(block);
	memset(block, 'x', 100000);
	test_write(test_path("large"), block, 100000);
	size_t n = 0;
	int fd = open(test_path("large"), O_RDONLY | O_CLOEXEC);
	assert_false(dif_path_read_all(fd, 99999, &text, &n, &err));
	assert_null(text);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_true(dif_path_read_all(fd, 100000, &text, &n, &err));
	assert_int_equal(n, 100000);
	assert_memory_equal(text, block, 100000);
	free(text);
	close(fd);
	/* A pipe has no size to guess from. */
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], block, 9000), 9000);
	close(ends[1]);
	assert_true(dif_path_read_all(ends[0], 1 << 20, &text, &n, &err));
	assert_int_equal(n, 9000);
	free(text);
	close(ends[0]);
	free(block);
}

TEST(a_durable_write_replaces_and_leaves_nothing)
{
	UNUSED_STATE;
	struct dif_error err;
	const char *dir = test_path("durable");
	assert_true(dif_path_make_dir(dir, 0755, &err));
	assert_true(dif_path_make_dir(dir, 0755, &err));
	test_write(test_path("durable/.f.new"), "left behind by a crash", 22);
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dif_path_write_durably(fd, "f", "one", 3, 0600, &err));
	assert_true(dif_path_write_durably(fd, "f", "two!", 4, 0644, &err));
	struct stat st;
	assert_int_equal(fstatat(fd, "f", &st, 0), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(fstatat(fd, ".f.new", &st, 0), -1);
	assert_false(dif_path_write_durably(fd, "a/b", "x", 1, 0600, &err));
	assert_false(dif_path_make_dir(test_path("durable/f"), 0755, &err));
	assert_false(dif_path_make_dir(test_path("no/parent"), 0755, &err));
	close(fd);
}

TEST(joining)
{
	UNUSED_STATE;
	static const char *const rows[][3] = {
		{"a", "b", "a/b"},
		{"a/", "/b", "a/b"},
		{"/", "b", "/b"},
		{"", "b", "/b"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char *p = dif_path_join(rows[i][0], rows[i][1]);
		assert_string_equal(p, rows[i][2]);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_file_of_ours_is_trusted),
		cmocka_unit_test(what_others_may_write_is_refused),
		cmocka_unit_test(secrets_must_be_closed_to_others),
		cmocka_unit_test(the_owner_must_be_root_or_us),
		cmocka_unit_test(links_and_other_kinds_are_refused),
		cmocka_unit_test(trusted_links_are_followed_where_that_is_wanted),
		cmocka_unit_test(relative_paths_and_odd_slashes),
		cmocka_unit_test(reading_is_bounded),
		cmocka_unit_test(a_durable_write_replaces_and_leaves_nothing),
		cmocka_unit_test(joining),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
