#include "support.h"

#include <ftw.h>
#include <unistd.h>

static char folder[256];
static pid_t owner;

static int drop(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path);
}

static void clean(void)
{
	if (folder[0] != '\0' && getpid() == owner) {
		nftw(folder, drop, 16, FTW_DEPTH | FTW_PHYS);
	}
}

const char *test_folder(void)
{
	if (folder[0] == '\0') {
		const char *tmp = getenv("TMPDIR");
		snprintf(folder, sizeof folder, "%s/difusor-test-XXXXXX", tmp ? tmp : "/tmp");
		assert_non_null(mkdtemp(folder));
		owner = getpid();
		atexit(clean);
	}
	return folder;
}

const char *test_path(const char *name)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", test_folder(), name) > 0);
	return path;
}

void test_write(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}
