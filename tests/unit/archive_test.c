#include "support.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utime.h>

#include "base/parse.h"
#include "flow/archive.h"
#include "host/crypto.h"

static struct dif_error err;
static struct dif_archive *archive;
static char *folder, *from;
static const char content[] = "PK this stands for a package";

static int setup(void **s)
{
	(void)s;
	char name[64];
	static int n;
	snprintf(name, sizeof name, "archive.%d", n);
	folder = strdup(test_path(name));
	snprintf(name, sizeof name, "from.%d", n++);
	from = strdup(test_path(name));
	test_write(from, content, sizeof content);
	dif_error_clear(&err);
	archive = dif_archive_open(folder, &err);
	assert_non_null(archive);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	dif_archive_close(archive);
	free(folder);
	free(from);
	return 0;
}

static struct dif_cut cut_of(const void *p, size_t n)
{
	struct dif_cut c = {.order = {.epoch = 1, .number = 1780000000123},
	                    .name = "prep 01 ; %.zip",
	                    .source = "ine",
	                    .profile = "rehearsal",
	                    .bytes = n,
	                    .entries = 42,
	                    .seen = 1780000000456};
	uint8_t digest[DIF_DIGEST_MAX];
	assert_true(dif_hash(DIF_SHA256, p, n, digest));
	dif_hex(c.order.sha256, digest, 32);
	return c;
}

static void holds(const char *path, const void *p, size_t n)
{
	char *got = malloc(n + 1);
	assert_non_null(got);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(got, 1, n + 1, f), n);
	fclose(f);
	assert_memory_equal(got, p, n);
	free(got);
}

struct scanned {
	int n;
	struct dif_cut cut;
	char name[64], source[64], profile[64];
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct scanned *s = data;
	s->n++;
	s->cut = *c;
	snprintf(s->name, sizeof s->name, "%s", c->name);
	snprintf(s->source, sizeof s->source, "%s", c->source);
	snprintf(s->profile, sizeof s->profile, "%s", c->profile);
}

static struct scanned scan(void)
{
	struct scanned s = {0};
	assert_true(dif_archive_scan(archive, on_cut, &s, &err));
	return s;
}

static bool has_temporary(const struct dif_cut *c)
{
	char path[512];
	snprintf(path, sizeof path, "%s/.tmp-%s", folder, c->order.sha256);
	return access(path, F_OK) == 0;
}

TEST(a_package_is_copied_in_under_its_digest)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL, *expected = dif_archive_path(archive, c.order.sha256);
	assert_false(dif_archive_has(archive, c.order.sha256));
	assert_true(dif_archive_add(archive, from, false, &c, &path, &err));
	assert_string_equal(path, expected);
	holds(path, content, sizeof content);
	holds(from, content, sizeof content);
	assert_true(dif_archive_has(archive, c.order.sha256));
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0440);
	free(path);
	free(expected);
}

TEST(a_package_is_moved_in)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	assert_true(dif_archive_add(archive, from, true, &c, &path, &err));
	holds(path, content, sizeof content);
	assert_int_not_equal(access(from, F_OK), 0);
	free(path);
}

TEST(the_same_package_again_changes_nothing)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	assert_true(dif_archive_add(archive, from, false, &c, &path, &err));
	struct stat before, after;
	assert_int_equal(stat(path, &before), 0);
	free(path);
	c.order.number = 1;
	assert_true(dif_archive_add(archive, from, true, &c, &path, &err));
	assert_int_equal(stat(path, &after), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	assert_int_not_equal(access(from, F_OK), 0);
	assert_int_equal(scan().cut.order.number, 1780000000123);
	free(path);
}

TEST(a_package_that_lost_its_end_is_replaced)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	assert_true(dif_archive_add(archive, from, false, &c, &path, &err));
	assert_int_equal(truncate(path, 5), 0);
	free(path);
	assert_true(dif_archive_add(archive, from, false, &c, &path, &err));
	holds(path, content, sizeof content);
	free(path);
}

TEST(a_file_that_changed_since_it_was_checked_is_refused)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	test_write(from, "PK this is now another one..", sizeof content);
	char *path = NULL;
	assert_false(dif_archive_add(archive, from, false, &c, &path, &err));
	assert_int_equal(err.cls, DIF_INTEGRITY);
	assert_null(path);
	assert_false(dif_archive_has(archive, c.order.sha256));
	assert_false(has_temporary(&c));
	assert_int_equal(scan().n, 0);
}

TEST(a_scan_gives_back_what_was_noted)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	assert_true(dif_archive_add(archive, from, false, &c, &path, &err));
	free(path);
	struct scanned s = scan();
	assert_int_equal(s.n, 1);
	assert_string_equal(s.cut.order.sha256, c.order.sha256);
	assert_int_equal(s.cut.order.epoch, 1);
	assert_int_equal(s.cut.order.number, 1780000000123);
	assert_int_equal(s.cut.seen, 1780000000456);
	assert_int_equal(s.cut.entries, 42);
	assert_int_equal(s.cut.bytes, sizeof content);
	assert_int_equal(s.cut.status, DIF_CUT_ARCHIVED);
	assert_string_equal(s.name, "prep 01 ; %.zip");
	assert_string_equal(s.source, "ine");
	assert_string_equal(s.profile, "rehearsal");
	c.order.number = 7;
	c.name = "\n[package]\nepoch = 9\n";
	assert_true(dif_archive_note(archive, &c, &err));
	s = scan();
	assert_int_equal(s.cut.order.number, 7);
	assert_int_equal(s.cut.order.epoch, 1);
	assert_string_equal(s.name, "\n[package]\nepoch = 9\n");
}

TEST(a_package_without_its_note_stands_where_it_came)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	assert_true(dif_archive_add(archive, from, false, &c, &path, &err));
	struct utimbuf t = {1700000000, 1700000000};
	assert_int_equal(utime(path, &t), 0);
	memcpy(path + strlen(path) - 3, "ini", 3);
	assert_int_equal(unlink(path), 0);
	free(path);
	struct scanned s = scan();
	assert_int_equal(s.n, 1);
	assert_int_equal(s.cut.order.number, 1700000000000);
	assert_int_equal(s.cut.seen, 1700000000000);
}

TEST(other_files_are_not_taken_for_packages)
{
	UNUSED_STATE;
	char path[512];
	snprintf(path, sizeof path, "%s/ab", folder);
	assert_int_equal(mkdir(path, 0750), 0);
	snprintf(path, sizeof path, "%s/ab/notes.zip", folder);
	test_write(path, "x", 1);
	snprintf(path, sizeof path, "%s/ab/%064d.zip", folder, 0);
	assert_int_equal(symlink(from, path), 0);
	snprintf(path, sizeof path, "%s/zz", folder);
	test_write(path, "x", 1);
	assert_int_equal(scan().n, 0);
	assert_false(dif_archive_has(archive, "../../etc/passwd"));
}

TEST(what_a_killed_run_left_goes_when_it_is_old)
{
	UNUSED_STATE;
	char young[512], old[512];
	snprintf(young, sizeof young, "%s/.tmp-a", folder);
	snprintf(old, sizeof old, "%s/.tmp-b", folder);
	test_write(young, "x", 1);
	test_write(old, "x", 1);
	struct utimbuf t = {1700000000, 1700000000};
	assert_int_equal(utime(old, &t), 0);
	dif_archive_close(archive);
	archive = dif_archive_open(folder, &err);
	assert_non_null(archive);
	assert_int_equal(access(young, F_OK), 0);
	assert_int_not_equal(access(old, F_OK), 0);
}

TEST(an_archive_needs_its_parent)
{
	UNUSED_STATE;
	assert_null(dif_archive_open(test_path("none/archive"), &err));
	assert_non_null(strstr(err.text, "none/archive"));
}

TEST(a_missing_file_is_an_error)
{
	UNUSED_STATE;
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	assert_int_equal(unlink(from), 0);
	assert_false(dif_archive_add(archive, from, true, &c, &path, &err));
	assert_non_null(strstr(err.text, "No such file"));
	assert_null(path);
}

/* --- a small and a read-only file system, in a mount namespace of a child's own --- */

enum { CHILD_GOOD, CHILD_BAD, CHILD_SKIP };

/* Of a child, which ends with it. */
static struct dif_archive *left_open;

static int in_child(int (*run)(void))
{
	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		_exit(run());
	}
	int status = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool mount_small(const char *options)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", folder, "tmpfs", 0, options) == 0;
}

static int add_to_full(void)
{
	if (!mount_small("size=32m,mode=750")) {
		return CHILD_SKIP;
	}
	struct dif_archive *a = left_open = dif_archive_open(folder, &err);
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	bool refused = a != NULL && !dif_archive_add(a, from, false, &c, &path, &err);
	return refused && err.cls == DIF_TRANSIENT && strstr(err.text, "are needed") != NULL &&
	                       strstr(err.text, "free some space") != NULL && path == NULL &&
	                       !dif_archive_has(a, c.order.sha256) && access(from, F_OK) == 0
	               ? CHILD_GOOD
	               : CHILD_BAD;
}

/* There is room enough, but the copy cannot grow to its end. */
static int run_full_in_mid_copy(void)
{
	if (!mount_small("size=100m,mode=750")) {
		return CHILD_SKIP;
	}
	struct dif_archive *a = left_open = dif_archive_open(folder, &err);
	struct dif_cut c = cut_of(content, sizeof content);
	static const char zeros[1 << 16];
	FILE *f = fopen(from, "wb");
	for (int i = 0; f != NULL && i < 30 * 16; i++) {
		fwrite(zeros, 1, sizeof zeros, f);
	}
	if (f == NULL || fclose(f) != 0) {
		return CHILD_BAD;
	}
	struct rlimit small = {.rlim_cur = 8 << 20, .rlim_max = 8 << 20};
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &small);
	char *path = NULL;
	bool refused = a != NULL && !dif_archive_add(a, from, false, &c, &path, &err);
	return refused && strstr(err.text, "File too large") != NULL && !has_temporary(&c) &&
	                       !dif_archive_has(a, c.order.sha256)
	               ? CHILD_GOOD
	               : CHILD_BAD;
}

static int add_to_read_only(void)
{
	if (!mount_small("size=100m,mode=750")) {
		return CHILD_SKIP;
	}
	struct dif_archive *a = left_open = dif_archive_open(folder, &err);
	struct dif_cut c = cut_of(content, sizeof content);
	char *path = NULL;
	if (a == NULL || mount("none", folder, "none", MS_REMOUNT | MS_RDONLY, NULL) != 0) {
		return CHILD_SKIP;
	}
	bool refused = !dif_archive_add(a, from, true, &c, &path, &err);
	return refused && strstr(err.text, "Read-only") != NULL && access(from, F_OK) == 0
	               ? CHILD_GOOD
	               : CHILD_BAD;
}

static void expect_good(int (*run)(void))
{
	int result = in_child(run);
	if (result == CHILD_SKIP) {
		print_message("no right to mount here\n");
		skip();
	}
	assert_int_equal(result, CHILD_GOOD);
}

TEST(too_little_space_is_refused_beforehand)
{
	UNUSED_STATE;
	expect_good(add_to_full);
}

TEST(a_copy_that_cannot_end_leaves_nothing)
{
	UNUSED_STATE;
	expect_good(run_full_in_mid_copy);
}

TEST(a_read_only_archive_is_an_error_and_the_file_stays)
{
	UNUSED_STATE;
	expect_good(add_to_read_only);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_package_is_copied_in_under_its_digest),
		T(a_package_is_moved_in),
		T(the_same_package_again_changes_nothing),
		T(a_package_that_lost_its_end_is_replaced),
		T(a_file_that_changed_since_it_was_checked_is_refused),
		T(a_scan_gives_back_what_was_noted),
		T(a_package_without_its_note_stands_where_it_came),
		T(other_files_are_not_taken_for_packages),
		T(what_a_killed_run_left_goes_when_it_is_old),
		T(an_archive_needs_its_parent),
		T(a_missing_file_is_an_error),
		T(too_little_space_is_refused_beforehand),
		T(a_copy_that_cannot_end_leaves_nothing),
		T(a_read_only_archive_is_an_error_and_the_file_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
