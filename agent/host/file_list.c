/* file_list - one page of files, in the byte order of their whole paths.
 *
 * A folder sorts as its name with a slash: `a-b` before `a/b` before `a0`. So a walk in that order
 * gives the pages without ever holding more than the names of the folders on its way, and skips
 * the folders that lie outside the prefix or wholly before the last page.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/file_private.h"

#define ENTRIES_MAX (1 << 20) /* of one folder */
#define ROWS_MAX 10000

struct lister {
	struct dif_file_run *run;
	const char *prefix, *after; /* after: NULL: from the start */
	uint32_t max;
};

bool dif_file_describe(struct dif_file_run *run, int folder, const char *leaf, const char *path,
                       struct dif_file *to, int *keep)
{
	struct dif_arena *a = &run->arena;
	struct stat st;
	char tag[TAG_MAX];
	struct dif_field *meta = NULL;
	uint32_t n = 0;
	/* Nonblocking, so that a pipe in its place does not hold us. */
	int fd = openat(folder, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd == -1 && (errno != EACCES || keep != NULL)) {
		if (errno != ENOENT && errno != ELOOP && errno != ENXIO && errno != ENODEV) {
			dif_file_fail(run, errno);
		}
		return false;
	}
	int rc = fd != -1 ? fstat(fd, &st) : fstatat(folder, leaf, &st, AT_SYMLINK_NOFOLLOW);
	if (rc != 0 || !S_ISREG(st.st_mode)) {
		if (fd != -1) {
			(void)close(fd);
		}
		return false;
	}
	dif_file_tag(tag, &st);
	dif_file_meta_read(run->root, fd, path, tag, a, &meta, &n);
	*to = (struct dif_file){.path = dif_arena_str(a, path),
	                        .tag = dif_arena_str(a, tag),
	                        .size = (uint64_t)st.st_size,
	                        .modified = st.st_mtim.tv_sec,
	                        .meta = meta,
	                        .nmeta = n};
	if (keep != NULL) {
		*keep = fd;
	} else if (fd != -1) {
		(void)close(fd);
	}
	if (a->failed) {
		dif_file_fail(run, ENOMEM);
	}
	return !a->failed;
}

static int order(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Is it a folder, a file (0), or neither (-1)? */
static int kind_of(int folder, const struct dirent *e)
{
	if (e->d_type == DT_DIR || e->d_type == DT_REG) {
		return e->d_type == DT_DIR;
	}
	struct stat st;
	if (e->d_type != DT_UNKNOWN || fstatat(folder, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		return -1;
	}
	return S_ISDIR(st.st_mode) ? 1 : S_ISREG(st.st_mode) ? 0 : -1;
}

static bool is_hidden(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, SIDE_PART) == 0 ||
	       strncmp(name, TMP_PREFIX, strlen(TMP_PREFIX)) == 0;
}

/* The paths of a folder's entries, folders with a slash behind, in order; malloc'ed, the paths in
 * the arena. NULL: the run has failed. */
static char **entries_of(struct lister *l, DIR *d, const char *at, size_t *n)
{
	struct dif_file_run *run = l->run;
	size_t cap = 64;
	char **v = malloc(cap * sizeof *v);
	bool whole = v != NULL;
	*n = 0;
	errno = 0;
	for (struct dirent *e; whole && (e = readdir(d)) != NULL; errno = 0) {
		int kind = is_hidden(e->d_name) ? -1 : kind_of(dirfd(d), e);
		if (kind < 0 || strlen(at) + strlen(e->d_name) + 1 >= PATH_BYTES_MAX) {
			continue;
		}
		if (*n == cap) {
			void *more = cap < ENTRIES_MAX ? realloc(v, 2 * cap * sizeof *v) : NULL;
			whole = more != NULL;
			v = whole ? more : v;
			cap *= 2;
		}
		if (whole) {
			v[(*n)++] = (char *)(uintptr_t)dif_arena_fmt(
				&run->arena, "%s%s%s", at, e->d_name, kind == 1 ? "/" : "");
		}
	}
	if (!whole || run->arena.failed) {
		dif_file_refuse(run, DIF_PERMANENT, "a folder has more names than memory allows");
	} else if (errno != 0) {
		dif_file_fail(run, errno);
	}
	if (run->err.cls != DIF_OK) {
		free(v);
		return NULL;
	}
	qsort(v, *n, sizeof *v, order);
	return v;
}

/* May a folder (its path ends with a slash) hold a row of this page? */
static bool may_hold(const struct lister *l, const char *path)
{
	size_t n = strlen(path), p = strlen(l->prefix);
	if (strncmp(path, l->prefix, n < p ? n : p) != 0) {
		return false;
	}
	return l->after == NULL || strcmp(path, l->after) > 0 || strncmp(path, l->after, n) == 0;
}

static bool is_row(const struct lister *l, const char *path)
{
	return strncmp(path, l->prefix, strlen(l->prefix)) == 0 &&
	       (l->after == NULL || strcmp(path, l->after) > 0);
}

/* The bare name within a path whose folder part has `skip` bytes. */
static void add_row(struct lister *l, int folder, const char *path, size_t skip)
{
	struct dif_file_run *run = l->run;
	if (run->nfiles == l->max) {
		run->more = true;
		return;
	}
	if (dif_file_describe(run, folder, path + skip, path, &run->files[run->nfiles], NULL)) {
		run->nfiles++;
	}
}

static void walk(struct lister *l, int fd, const char *at, uint32_t depth);

static void enter(struct lister *l, int folder, char *path, size_t skip, uint32_t depth)
{
	struct dif_file_root *r = l->run->root;
	struct stat st;
	char *slash = path + strlen(path) - 1;
	*slash = '\0';
	int fd = openat(folder, path + skip, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*slash = '/';
	if (fd == -1) {
		if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
			dif_file_fail(l->run, errno);
		}
		return;
	}
	bool is_side = r->side != -1 && fstat(fd, &st) == 0 && st.st_dev == r->side_stat.st_dev &&
	               st.st_ino == r->side_stat.st_ino;
	if (is_side || depth >= DEPTH_MAX) {
		(void)close(fd);
		return;
	}
	walk(l, fd, path, depth + 1);
}

/* Takes fd. */
static void walk(struct lister *l, int fd, const char *at, uint32_t depth)
{
	DIR *d = fdopendir(fd);
	if (d == NULL) {
		dif_file_fail(l->run, errno);
		(void)close(fd);
		return;
	}
	size_t n = 0, skip = strlen(at);
	char **v = entries_of(l, d, at, &n);
	for (size_t i = 0; v != NULL && i < n && !l->run->more && l->run->err.cls == DIF_OK; i++) {
		if (v[i][strlen(v[i]) - 1] != '/') {
			if (is_row(l, v[i])) {
				add_row(l, fd, v[i], skip);
			}
		} else if (may_hold(l, v[i])) {
			enter(l, fd, v[i], skip, depth);
		}
	}
	free(v);
	(void)closedir(d);
}

void dif_file_list(struct dif_file_run *run)
{
	const struct dif_file_call *c = &run->call;
	struct lister l = {.run = run,
	                   .prefix = c->prefix != NULL ? c->prefix : "",
	                   .after = c->after != NULL && c->after[0] != '\0' ? c->after : NULL,
	                   .max = c->max == 0 || c->max > ROWS_MAX ? ROWS_MAX : c->max};
	run->files = dif_arena_alloc(&run->arena, l.max * sizeof *run->files);
	int fd = openat(run->root->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (run->files == NULL || fd == -1) {
		dif_file_fail(run, run->files == NULL ? ENOMEM : errno);
		if (fd != -1) {
			(void)close(fd);
		}
		return;
	}
	walk(&l, fd, "", 0);
	if (run->err.cls == DIF_OK) {
		run->status = 200;
	}
}
