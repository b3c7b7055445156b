#include "support.h"

#include <ftw.h>
#include <unistd.h>

static char folder[256];
static pid_t owner;

/* What test_path gave out, kept reachable so that no leak is seen in it. */
static struct kept {
	struct kept *next;
	char path[];
} * kept;

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
	size_t n = strlen(test_folder()) + strlen(name) + 2;
	struct kept *k = malloc(sizeof *k + n);
	assert_non_null(k);
	snprintf(k->path, n, "%s/%s", test_folder(), name);
	k->next = kept;
	kept = k;
	return k->path;
}

void test_write(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}
