#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define WAY (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define LINKS_MAX 16 /* a cluster's token lies behind three */

/* --- trust --- */

/* Says why what is open cannot be trusted; on_way: a folder that only leads to it. */
static bool is_trusted(const struct stat *st, bool on_way, const char *path, struct dif_error *err)
{
	const char *kind = S_ISDIR(st->st_mode) ? "folder" : "file";
	if (st->st_uid != 0 && st->st_uid != geteuid()) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not trust %s '%s': user %u owns it; root or user %u must",
		              kind, path, (unsigned)st->st_uid, (unsigned)geteuid());
		return false;
	}
	/* In a sticky folder of root others can add names, but not take ours away. */
	bool sticky = on_way && st->st_uid == 0 && (st->st_mode & S_ISVTX) != 0;
	if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !sticky) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not trust %s '%s': group or others may write to it (mode "
		              "%04o); run chmod go-w on it",
		              kind, path, (unsigned)st->st_mode & 07777u);
		return false;
	}
	return true;
}

static void set_open_error(struct dif_error *err, const char *kind, const char *path, int number)
{
	enum dif_class cls = number == ENOENT ? DIF_NOT_FOUND : DIF_PERMANENT;
	const char *reason = strerror(number);
	if (number == ELOOP) {
		reason = "it is a symbolic link; give the path it leads to";
	}
	dif_error_set(err, cls, "could not open %s '%s': %s", kind, path, reason);
}

/* The error of a component that is no folder: O_NOFOLLOW with O_DIRECTORY says ENOTDIR for
 * links. */
static void set_way_error(struct dif_error *err, int dir, const char *name, const char *path,
                          int number)
{
	struct stat st;
	if (number == ENOTDIR && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISLNK(st.st_mode)) {
		number = ELOOP;
	}
	set_open_error(err, "folder", path, number);
}

static bool check_open(int fd, bool on_way, const char *path, struct dif_error *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0) {
		set_open_error(err, "folder", path, errno);
		return false;
	}
	return is_trusted(&st, on_way, path, err);
}

/* Opens one folder below dir and checks it; dir is closed in any case. shown: the path so far. */
static int step_down(int dir, const char *name, bool on_way, const char *shown,
                     struct dif_error *err)
{
	int flags = on_way ? WAY : (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int next = openat(dir, name, flags);
	if (next == -1) {
		set_way_error(err, dir, name, shown, errno);
	} else if (!check_open(next, on_way, shown, err)) {
		close(next);
		next = -1;
	}
	close(dir);
	return next;
}

/* The path from the root on, without a slash at its end; malloc'ed. */
static char *from_root(const char *path, struct dif_error *err)
{
	char *here = path[0] == '/' ? strdup("") : getcwd(NULL, 0);
	char *full = here != NULL ? dif_path_join(here, path) : NULL;
	free(here);
	if (full == NULL || path[0] == '\0') {
		dif_error_set(err, DIF_PERMANENT, "could not open '%s': %s", path,
		              path[0] == '\0' ? "the path is empty" : strerror(errno));
		free(full);
		return NULL;
	}
	size_t n = strlen(full);
	while (n > 1 && full[n - 1] == '/') {
		full[--n] = '\0';
	}
	return full;
}

/* Walks to the folder of the last component, checking each. Returns its descriptor and the last
 * component, which points into full and is empty for the root itself. */
static int walk(char *full, const char **last, struct dif_error *err)
{
	int dir = open("/", WAY);
	if (dir == -1) {
		set_open_error(err, "folder", "/", errno);
		return -1;
	}
	if (!check_open(dir, true, "/", err)) {
		close(dir);
		return -1;
	}
	char *name = full + 1;
	for (char *slash; (slash = strchr(name, '/')) != NULL; name = slash + 1) {
		*slash = '\0';
		if (slash > name) {
			dir = step_down(dir, name, true, full, err);
		}
		*slash = '/';
		if (dir == -1) {
			return -1;
		}
	}
	*last = name;
	return dir;
}

static bool check_file(int fd, bool secret, const char *path, struct dif_error *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0) {
		set_open_error(err, "file", path, errno);
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		dif_error_set(err, DIF_PERMANENT, "could not open file '%s': it is no regular file",
		              path);
		return false;
	}
	if (!is_trusted(&st, false, path, err)) {
		return false;
	}
	if (secret && (st.st_mode & 07777 & ~0640u) != 0) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not trust file '%s': it holds secrets and its mode is %04o; "
		              "run chmod 640 on it",
		              path, (unsigned)st.st_mode & 07777u);
		return false;
	}
	return true;
}

int dif_path_open_trusted(const char *path, bool secret, struct dif_error *err)
{
	char *full = from_root(path, err);
	if (full == NULL) {
		return -1;
	}
	const char *name = NULL;
	int fd = -1, dir = walk(full, &name, err);
	if (dir != -1) {
		/* O_NONBLOCK: a pipe in place of the file must not stop the agent. */
		fd = openat(dir, name[0] != '\0' ? name : ".",
		            O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd == -1) {
			set_open_error(err, "file", path, errno);
		} else if (!check_file(fd, secret, path, err)) {
			close(fd);
			fd = -1;
		}
		close(dir);
	}
	free(full);
	return fd;
}

/* --- links --- */

/* Where a link stands in full, from its first to behind its last byte; to: where it leads. */
struct found_link {
	size_t from, end;
	char to[PATH_MAX];
};

/* Reads the link `name` in dir; others must not be able to have made it. */
static bool read_link(int dir, const char *name, const char *shown, struct found_link *l,
                      struct dif_error *err)
{
	struct stat st;
	ssize_t n = readlinkat(dir, name, l->to, sizeof l->to - 1);
	if (n <= 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		set_open_error(err, "link", shown, n == 0 ? EINVAL : errno);
		return false;
	}
	l->to[n] = '\0';
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not trust link '%s': user %u owns it; root or user %u must",
		              shown, (unsigned)st.st_uid, (unsigned)geteuid());
		return false;
	}
	return true;
}

static bool is_link(int dir, const char *name)
{
	struct stat st;
	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

/* The first link on the way; l->end stays 0 where there is none. Every folder before it is checked.
 */
static bool find_link(char *full, struct found_link *l, struct dif_error *err)
{
	int dir = open("/", WAY);
	l->end = 0;
	if (dir == -1) {
		set_open_error(err, "folder", "/", errno);
		return false;
	}
	bool ok = check_open(dir, true, "/", err);
	char *name = full + 1;
	while (ok && *name != '\0' && l->end == 0) {
		size_t n = strcspn(name, "/");
		char behind = name[n];
		name[n] = '\0';
		if (n > 0 && is_link(dir, name)) {
			l->from = (size_t)(name - full);
			l->end = l->from + n;
			ok = read_link(dir, name, full, l, err);
		} else if (n > 0 && behind != '\0') {
			dir = step_down(dir, name, true, full, err);
			ok = dir != -1;
		}
		name[n] = behind;
		name += n + (behind != '\0');
	}
	if (dir != -1) {
		close(dir);
	}
	return ok;
}

char *dif_path_follow(const char *path, struct dif_error *err)
{
	char *full = from_root(path, err);
	struct found_link l;
	if (full == NULL) {
		return NULL;
	}
	for (int links = 0; full != NULL && links <= LINKS_MAX; links++) {
		if (!find_link(full, &l, err)) {
			free(full);
			return NULL;
		}
		if (l.end == 0) {
			return full;
		}
		char *next = NULL;
		int n = asprintf(&next, "%.*s%s%s", l.to[0] == '/' ? 0 : (int)l.from, full, l.to,
		                 full + l.end);
		free(full);
		full = n < 0 ? NULL : next;
	}
	dif_error_set(err, DIF_PERMANENT, "could not open '%s': %s", path,
	              full == NULL ? "out of memory" : "links lead to links without end");
	free(full);
	return NULL;
}

int dif_path_open_trusted_dir(const char *path, struct dif_error *err)
{
	char *full = from_root(path, err);
	if (full == NULL) {
		return -1;
	}
	const char *name = NULL;
	int dir = walk(full, &name, err);
	if (dir != -1) {
		dir = step_down(dir, name[0] != '\0' ? name : ".", false, full, err);
	}
	free(full);
	return dir;
}

/* --- reading and writing --- */

/* The first guess of a size; the file may still grow or be no file at all. */
static size_t size_guess(int fd, size_t max)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || st.st_size <= 0) {
		return max < 4096 ? max : 4096;
	}
	return (uint64_t)st.st_size < max ? (size_t)st.st_size : max;
}

bool dif_path_read_all(int fd, size_t max, char **out, size_t *n, struct dif_error *err)
{
	size_t cap = size_guess(fd, max) + 1, used = 0; /* one more: the end shows, the NUL fits */
	char *p = malloc(cap + 1);
	while (p != NULL) {
		ssize_t got = read(fd, p + used, cap - used);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			dif_error_set(err, DIF_PERMANENT, "could not read file: %s",
			              strerror(errno));
			goto fail;
		}
		if (got == 0) {
			p[used] = '\0';
			*out = p;
			*n = used;
			return true;
		}
		used += (size_t)got;
		if (used > max) {
			dif_error_set(err, DIF_PERMANENT,
			              "could not read file: it is longer than %zu bytes", max);
			goto fail;
		}
		if (used == cap) {
			cap = cap > max / 2 ? max + 1 : cap * 2;
			char *bigger = realloc(p, cap + 1);
			if (bigger == NULL) {
				break;
			}
			p = bigger;
		}
	}
	dif_error_set(err, DIF_TRANSIENT, "could not read file: out of memory");
fail:
	free(p);
	return false;
}

bool dif_path_make_dir(const char *path, mode_t mode, struct dif_error *err)
{
	if (mkdir(path, mode) == 0) {
		return true;
	}
	int number = errno;
	struct stat st;
	if (number == EEXIST && stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode)) {
			return true;
		}
		number = ENOTDIR;
	}
	dif_error_set(err, DIF_PERMANENT, "could not create folder '%s': %s", path,
	              number == ENOENT ? "its parent is not there" : strerror(number));
	return false;
}

static bool write_all(int fd, const void *p, size_t n)
{
	const char *at = p;
	while (n > 0) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return false;
		}
		at += done;
		n -= (size_t)done;
	}
	return true;
}

bool dif_path_write_durably(int dirfd, const char *name, const void *p, size_t n, mode_t mode,
                            struct dif_error *err)
{
	char temporary[NAME_MAX + 1];
	int length = snprintf(temporary, sizeof temporary, ".%s.new", name);
	if (length < 0 || (size_t)length >= sizeof temporary || strchr(name, '/') != NULL) {
		dif_error_set(err, DIF_PERMANENT, "could not write file '%s': bad name", name);
		return false;
	}
	/* Always the same name, so what a crash left behind is gone with the next write. */
	if (unlinkat(dirfd, temporary, 0) != 0 && errno != ENOENT) {
		goto fail;
	}
	int fd = openat(dirfd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                0600);
	if (fd == -1) {
		goto fail;
	}
	if (!write_all(fd, p, n) || fchmod(fd, mode) != 0 || fsync(fd) != 0) {
		goto fail_open;
	}
	if (close(fd) != 0) {
		goto fail_temporary;
	}
	if (renameat(dirfd, temporary, dirfd, name) != 0) {
		goto fail_temporary;
	}
	if (fsync(dirfd) != 0) {
		goto fail;
	}
	return true;

fail_open : {
	int number = errno;
	close(fd);
	errno = number;
}
fail_temporary : {
	int number = errno;
	unlinkat(dirfd, temporary, 0);
	errno = number;
}
fail:
	dif_error_set(err, DIF_TRANSIENT, "could not write file '%s': %s", name, strerror(errno));
	return false;
}

char *dif_path_join(const char *a, const char *b)
{
	size_t n = strlen(a);
	while (n > 0 && a[n - 1] == '/') {
		n--;
	}
	while (b[0] == '/') {
		b++;
	}
	size_t size = n + 1 + strlen(b) + 1;
	if (n > INT_MAX) {
		return NULL;
	}
	char *p = malloc(size);
	if (p != NULL) {
		snprintf(p, size, "%.*s/%s", (int)n, a, b);
	}
	return p;
}
