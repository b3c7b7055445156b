#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/file_private.h"

static bool part_good(const char *p, size_t n)
{
	bool dots = p[0] == '.' && (n == 1 || (n == 2 && p[1] == '.'));
	return n > 0 && n <= 255 && !dots && strncmp(p, TMP_PREFIX, strlen(TMP_PREFIX)) != 0;
}

bool dif_file_path_good(const char *path)
{
	size_t depth = 0;
	if (path == NULL || strlen(path) >= PATH_BYTES_MAX) {
		return false;
	}
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");
		if (!part_good(p, n) || ++depth > DEPTH_MAX) {
			return false;
		}
		p += n;
		if (*p == '\0') {
			return true;
		}
	}
}

bool dif_file_path_in_side(const char *path)
{
	for (const char *p = path;; p++) {
		size_t n = strcspn(p, "/");
		if (n == strlen(SIDE_PART) && strncmp(p, SIDE_PART, n) == 0) {
			return true;
		}
		p += n;
		if (*p == '\0') {
			return false;
		}
	}
}

int dif_file_base(const struct dif_file_run *run)
{
	return dif_file_path_in_side(run->call.path) ? run->root->side : run->root->root;
}

int dif_file_tmp(const struct dif_file_run *run)
{
	return dif_file_path_in_side(run->call.path) ? run->root->side_tmp : run->root->tmp;
}

bool dif_file_touch(struct touched *t, int folder)
{
	struct stat st;
	if (fstat(folder, &st) != 0) {
		return false;
	}
	for (size_t i = 0; i < t->n; i++) {
		if (t->v[i].dev == st.st_dev && t->v[i].ino == st.st_ino) {
			return true;
		}
	}
	if (t->n == t->cap) {
		size_t cap = t->cap > 0 ? 2 * t->cap : 16;
		void *v = realloc(t->v, cap * sizeof *t->v);
		if (v == NULL) {
			return false;
		}
		t->v = v;
		t->cap = cap;
	}
	int fd = fcntl(folder, F_DUPFD_CLOEXEC, 0);
	if (fd == -1) {
		return false;
	}
	t->v[t->n].dev = st.st_dev;
	t->v[t->n].ino = st.st_ino;
	t->v[t->n].fd = fd;
	t->n++;
	return true;
}

#define FOLDER (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* One step down. -1: errno. */
static int step(int folder, const char *part, bool create, struct touched *touched)
{
	int fd = openat(folder, part, FOLDER);
	if (fd != -1 || errno != ENOENT || !create) {
		return fd;
	}
	if (mkdirat(folder, part, 0755) != 0 && errno != EEXIST) {
		return -1;
	}
	if (!dif_file_touch(touched, folder)) {
		return -1;
	}
	return openat(folder, part, FOLDER);
}

int dif_file_walk(int base, const char *path, bool create, struct touched *touched,
                  const char **leaf)
{
	int fd = openat(base, ".", FOLDER);
	const char *p = path;
	for (const char *slash; fd != -1 && (slash = strchr(p, '/')) != NULL; p = slash + 1) {
		char part[256];
		(void)snprintf(part, sizeof part, "%.*s", (int)(slash - p), p);
		int next = step(fd, part, create, touched);
		int error = errno;
		(void)close(fd);
		errno = error;
		fd = next;
	}
	*leaf = p;
	return fd;
}

void dif_file_tag(char to[TAG_MAX], const struct stat *st)
{
	unsigned long long ns = (unsigned long long)st->st_mtim.tv_sec * 1000000000u +
	                        (unsigned long long)st->st_mtim.tv_nsec;
	(void)snprintf(to, TAG_MAX, "%llx-%llx-%llx", ns, (unsigned long long)st->st_ino,
	               (unsigned long long)st->st_size);
}

/* --- failures --- */

static const char *const doings[] = {
	[DIF_FILE_STAT] = "read file",     [DIF_FILE_PUT] = "put file",
	[DIF_FILE_GET] = "read file",      [DIF_FILE_REMOVE] = "remove file",
	[DIF_FILE_LIST] = "list files of",
};

void dif_file_refuse(struct dif_file_run *run, enum dif_class cls, const char *fmt, ...)
{
	va_list ap;
	char why[512];
	if (run->err.cls != DIF_OK) {
		return; /* the first reason counts */
	}
	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	const char *what = run->call.verb == DIF_FILE_LIST ? run->root->path : run->call.path;
	dif_error_set(&run->err, cls, "could not %s '%s': %s", doings[run->call.verb],
	              what != NULL ? what : "", why);
	run->status = 0;
}

void dif_file_answer(struct dif_file_run *run, int status)
{
	if (run->err.cls != DIF_OK) {
		return;
	}
	dif_file_refuse(run, status == 404 ? DIF_NOT_FOUND : DIF_CONFLICT, "%s",
	                status == 404 ? "it is not there" : "it is not what the condition names");
	run->err.status = run->status = status;
}

void dif_file_fail(struct dif_file_run *run, int error)
{
	char text[128];
	switch (error) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
		dif_file_refuse(run, DIF_TRANSIENT, "%s", strerror_r(error, text, sizeof text));
		(void)snprintf(run->err.code, sizeof run->err.code, "local");
		return;
	case ENOTDIR:
	case ELOOP:
		dif_file_refuse(run, DIF_PERMANENT,
		                "a part of its path is no folder (links are not followed)");
		return;
	case ENOSPC:
	case EDQUOT:
	case EIO:
	case EINTR:
	case EAGAIN:
	case ESTALE:
	case ETIMEDOUT:
		dif_file_refuse(run, DIF_TRANSIENT, "%s", strerror_r(error, text, sizeof text));
		return;
	default:
		dif_file_refuse(run, DIF_PERMANENT, "%s", strerror_r(error, text, sizeof text));
		return;
	}
}
