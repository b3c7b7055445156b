/* file_root - a root and its side folder.
 *
 *   SIDE/.lock   held while a group is committed: compare and rename are one, for all processes
 *   SIDE/.open   held shared while the root is open; who gets it alone may remove what was left
 *   SIDE/tmp     temporary files; the root's own lie in the root where that is another file system
 *   SIDE/meta    metadata, where the file system has no extended attributes
 *   SIDE/PATH    what has a component `.difusor`
 *
 * A root that cannot be written to can still be read: a source needs no more.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "host/crypto.h"
#include "host/file_private.h"

#define FOLDER (O_RDONLY | O_DIRECTORY | O_CLOEXEC)

static bool lose_side(struct dif_file_root *r, const char *what, int error)
{
	char text[128];
	dif_error_set(&r->no_side, DIF_PERMANENT, "could not open folder '%s%s': %s", r->side_path,
	              what, strerror_r(error, text, sizeof text));
	return false;
}

static int open_folder_in(int at, const char *name)
{
	if (mkdirat(at, name, 0700) != 0 && errno != EEXIST) {
		return -1;
	}
	return openat(at, name, FOLDER | O_NOFOLLOW);
}

static int open_lock(int side, const char *name)
{
	return openat(side, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* Files of earlier runs. Nobody else has the root open. */
static void remove_left(int folder, const char *prefix)
{
	int fd = openat(folder, ".", FOLDER);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	if (d == NULL) {
		if (fd != -1) {
			(void)close(fd);
		}
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) == 0) {
			(void)unlinkat(folder, e->d_name, 0);
		}
	}
	(void)closedir(d);
}

static bool open_tmp(struct dif_file_root *r)
{
	struct stat root;
	if (fstat(r->root, &root) != 0 || fstat(r->side, &r->side_stat) != 0) {
		return lose_side(r, "", errno);
	}
	r->side_tmp = open_folder_in(r->side, "tmp");
	if (r->side_tmp == -1) {
		return lose_side(r, "/tmp", errno);
	}
	/* A rename stays within its file system. */
	r->tmp = fcntl(root.st_dev == r->side_stat.st_dev ? r->side_tmp : r->root, F_DUPFD_CLOEXEC,
	               0);
	return r->tmp != -1 || lose_side(r, "/tmp", errno);
}

/* Has this file system extended attributes? Nothing but a try tells. */
static bool try_attributes(struct dif_file_root *r, int folder, bool *aside)
{
	char name[64];
	(void)snprintf(name, sizeof name, TMP_PREFIX "%s-probe", r->token);
	int fd = openat(folder, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1) {
		return lose_side(r, "/tmp", errno);
	}
	*aside = !dif_file_has_attributes(fd);
	(void)close(fd);
	(void)unlinkat(folder, name, 0);
	return true;
}

static bool open_meta(struct dif_file_root *r)
{
	if (!try_attributes(r, r->tmp, &r->aside) ||
	    !try_attributes(r, r->side_tmp, &r->side_aside)) {
		return false;
	}
	if (r->aside || r->side_aside) {
		r->meta = open_folder_in(r->side, "meta");
		return r->meta != -1 || lose_side(r, "/meta", errno);
	}
	return true;
}

static bool open_side(struct dif_file_root *r)
{
	struct dif_error err = {0};
	if (!dif_path_make_dir(r->side_path, 0755, &err)) {
		r->no_side = err;
		return false;
	}
	r->side = open(r->side_path, FOLDER);
	if (r->side == -1) {
		return lose_side(r, "", errno);
	}
	r->lock = open_lock(r->side, ".lock");
	r->open = open_lock(r->side, ".open");
	if (r->lock == -1 || r->open == -1) {
		return lose_side(r, "/.lock", errno);
	}
	uint64_t token;
	if (!dif_random(&token, sizeof token)) {
		return lose_side(r, "", ENOMEM);
	}
	dif_hex(r->token, &token, sizeof token);
	bool alone = flock(r->open, LOCK_EX | LOCK_NB) == 0;
	if (!open_tmp(r) || !open_meta(r)) {
		return false;
	}
	if (alone) {
		remove_left(r->root, TMP_PREFIX);
		remove_left(r->side_tmp, TMP_PREFIX);
		if (r->meta != -1) {
			dif_file_meta_clean(r);
		}
	}
	return flock(r->open, LOCK_SH) == 0 || lose_side(r, "/.open", errno);
}

static void close_fd(int *fd)
{
	if (*fd != -1) {
		(void)close(*fd);
		*fd = -1;
	}
}

struct dif_file_root *dif_file_root_open(const char *root, const char *side, struct dif_error *err)
{
	struct dif_file_root *r = calloc(1, sizeof *r);
	if (r == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open folder '%s': out of memory",
		              root);
		return NULL;
	}
	r->root = r->side = r->tmp = r->side_tmp = r->meta = r->lock = r->open = -1;
	dif_list_init(&r->ready);
	dif_list_init(&r->group);
	r->path = strdup(root);
	r->side_path = side != NULL ? strdup(side) : NULL;
	if (r->path == NULL || (side != NULL && r->side_path == NULL)) {
		dif_error_set(err, DIF_TRANSIENT, "could not open folder '%s': out of memory",
		              root);
		goto fail;
	}
	if (!dif_path_make_dir(root, 0755, err)) {
		goto fail;
	}
	/* The operator's own words: a link is followed here, and nowhere below. */
	r->root = open(root, FOLDER);
	if (r->root == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not open folder '%s': %s", root,
		              strerror(errno));
		goto fail;
	}
	if (side == NULL) {
		dif_error_set(&r->no_side, DIF_PERMANENT,
		              "could not write below '%s': it is only read", root);
	} else if (!open_side(r)) {
		close_fd(&r->tmp);
		close_fd(&r->side_tmp);
	}
	return r;

fail:
	dif_file_root_close(r);
	return NULL;
}

void dif_file_root_close(struct dif_file_root *r)
{
	if (r == NULL) {
		return;
	}
	assert(r->nruns == 0 && !r->committing); /* its instance waits for its calls */
	int *fds[] = {&r->root, &r->side, &r->tmp, &r->side_tmp, &r->meta, &r->lock, &r->open};
	for (size_t i = 0; i < DIF_LEN(fds); i++) {
		close_fd(fds[i]);
	}
	free((char *)(uintptr_t)r->path);
	free((char *)(uintptr_t)r->side_path);
	free(r);
}
