/* File systems that are full, without attributes, or two: mounted by the test, where it may. */
#include "host/file.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "unit/support/filekit.h"

/* True: path is a mounted file system of that kind. */
static bool mounted(const char *path, const char *kind, const char *options)
{
	mkdir(path, 0755);
	if (mount("none", path, kind, 0, options) == 0) {
		return true;
	}
	print_message("no %s here (%s): this test did not run\n", kind, strerror(errno));
	return false;
}

TEST(a_full_disk_fails_the_call_and_keeps_the_old_file)
{
	UNUSED_STATE;
	const char *at = test_path("full");
	if (!mounted(at, "tmpfs", "size=256k")) {
		skip();
	}
	struct world w;
	file_open_at(&w, file_in(at, "root"), file_in(at, "side"));
	assert_int_equal(file_put(&w, "k", "old", NULL, true).status, 200);
	char *big = malloc(400001);
	memset(big, 'x', 400000);
	big[400000] = '\0';
	struct answer a = file_put(&w, "k", big, NULL, false);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.cls, DIF_TRANSIENT);
	assert_string_equal(a.text, "could not put file 'k': No space left on device");
	assert_string_equal(file_get(&w, "k", 0, 0), "old");
	assert_int_equal(file_temporaries(&w), 0);
	big[100000] = '\0'; /* what the failed one held is free again */
	assert_int_equal(file_put(&w, "k", big, NULL, false).status, 200);
	free(big);
	file_close(&w);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

TEST(metadata_live_aside_where_attributes_do_not)
{
	UNUSED_STATE;
	const char *at = test_path("ram");
	if (!mounted(at, "ramfs", NULL)) {
		skip();
	}
	struct world w;
	file_open_at(&w, file_in(at, "root"), file_in(at, "side"));
	struct answer p = file_put(&w, "a/k", "one", NULL, true);
	assert_int_equal(p.status, 200);
	assert_non_null(strstr(file_stat(&w, "a/k").meta, "order=7 sha256=abc "));
	assert_string_equal(file_list(&w, "", NULL, 10).meta, "order=7 sha256=abc ");
	assert_int_equal(file_put(&w, "a/k", "two", p.tag, false).status, 200);
	assert_int_equal(file_put(&w, "a/k", "three", p.tag, false).status, 412);
	assert_non_null(strstr(file_stat(&w, "a/k").meta, "order=7"));
	test_write(file_in(at, "root/a/k"), "stranger", 8); /* is not what was told of it */
	assert_string_equal(file_stat(&w, "a/k").meta, "");
	assert_int_equal(file_put(&w, "b", "x", NULL, true).status, 200);
	test_write(file_in(at, "side/meta/left"), "x", 1);
	char side[256], root[256];
	snprintf(root, sizeof root, "%s", file_in(at, "root"));
	snprintf(side, sizeof side, "%s", file_in(at, "side"));
	file_close(&w);
	file_open_at(&w, root, side);
	assert_false(file_exists(file_in(side, "meta/left")));
	assert_non_null(strstr(file_stat(&w, "b").meta, "order=7"));
	file_close(&w);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

TEST(side_may_lie_on_another_file_system)
{
	UNUSED_STATE;
	const char *at = test_path("apart");
	if (!mounted(at, "tmpfs", "size=1m")) {
		skip();
	}
	struct world w;
	file_open_at(&w, test_path("apart-root"), file_in(at, "side"));
	assert_int_equal(file_put(&w, "k", "x", NULL, true).status, 200);
	struct answer a = file_put(&w, ".difusor/live", "m", NULL, true);
	assert_int_equal(a.status, 200);
	assert_string_equal(file_get(&w, ".difusor/live", 0, 0), "m");
	assert_int_equal(file_temporaries(&w), 0);
	file_close(&w);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_disk_fails_the_call_and_keeps_the_old_file),
		cmocka_unit_test(metadata_live_aside_where_attributes_do_not),
		cmocka_unit_test(side_may_lie_on_another_file_system),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
