/* file_meta - metadata beside the bytes.
 *
 * Extended attributes `user.difusor.NAME` lie in the file itself and appear with its rename. Where
 * the file system has none, a file side/meta/HASH-TAG carries them: HASH is of the path and TAG of
 * the very version, so it can be durable before the rename that makes it true, and the one of the
 * version before stays true until then. What a crash leaves over names no file and is removed when
 * the root is opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "host/crypto.h"
#include "host/file_private.h"

#define NAME_BYTES (2 * 32 + 1 + TAG_MAX)

bool dif_file_meta_good(const struct dif_field *meta, uint32_t n)
{
	if (n > META_MAX) {
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		size_t len = strlen(meta[i].name);
		if (len == 0 || len > 64 ||
		    strspn(meta[i].name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != len) {
			return false;
		}
	}
	return true;
}

bool dif_file_has_attributes(int fd)
{
	return fsetxattr(fd, META_PREFIX "probe", "1", 1, 0) == 0 || errno != ENOTSUP;
}

/* --- files in side/meta --- */

static bool name_of(char to[NAME_BYTES], const char *path, const char *tag)
{
	uint8_t digest[DIF_DIGEST_MAX];
	if (!dif_hash(DIF_SHA256, path, strlen(path), digest)) {
		errno = ENOMEM;
		return false;
	}
	dif_hex(to, digest, 32);
	(void)snprintf(to + 64, NAME_BYTES - 64, "-%s", tag);
	return true;
}

static bool write_aside(struct dif_file_root *r, const char *path, const char *tag,
                        const struct dif_field *meta, uint32_t n)
{
	char name[NAME_BYTES];
	struct dif_buf b;
	struct dif_error err = {0};
	dif_buf_init(&b, META_BYTES_MAX);
	(void)dif_buf_add(&b, path, strlen(path) + 1);
	for (uint32_t i = 0; i < n; i++) {
		(void)dif_buf_add(&b, meta[i].name, strlen(meta[i].name) + 1);
		(void)dif_buf_add(&b, meta[i].value, strlen(meta[i].value) + 1);
	}
	errno = b.failed ? E2BIG : 0;
	bool good = !b.failed && name_of(name, path, tag) &&
	            dif_path_write_durably(r->meta, name, b.p, b.n, 0644, &err);
	if (!good && errno == 0) {
		errno = EIO; /* whatever it was: the attempt is dropped whole */
	}
	dif_buf_fini(&b);
	return good;
}

/* The content of a file in side/meta; NULL: it is not there. */
static char *read_aside(struct dif_file_root *r, const char *name, size_t *n)
{
	char *text = NULL;
	int fd = openat(r->meta, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1) {
		return NULL;
	}
	if (!dif_path_read_all(fd, META_BYTES_MAX, &text, n, NULL)) {
		text = NULL;
	}
	(void)close(fd);
	return text;
}

static void fields_aside(struct dif_file_root *r, const char *path, const char *tag,
                         struct dif_arena *a, struct dif_field *f, uint32_t *n)
{
	char name[NAME_BYTES];
	size_t size = 0;
	char *text = name_of(name, path, tag) ? read_aside(r, name, &size) : NULL;
	const char *p = text, *end = text != NULL ? text + size : NULL;
	if (text != NULL && strcmp(p, path) == 0) {
		p += strlen(p) + 1;
		while (p < end && *n < META_MAX) {
			const char *value = p + strlen(p) + 1;
			if (value >= end) {
				break;
			}
			f[(*n)++] =
				(struct dif_field){dif_arena_str(a, p), dif_arena_str(a, value)};
			p = value + strlen(value) + 1;
		}
	}
	free(text);
}

void dif_file_meta_drop(struct dif_file_root *r, const char *path, const char *tag)
{
	char name[NAME_BYTES];
	if (r->meta != -1 && name_of(name, path, tag)) {
		(void)unlinkat(r->meta, name, 0);
	}
}

/* Does a file in side/meta still speak of the version that is there? */
static bool is_true(struct dif_file_root *r, const char *name)
{
	size_t n = 0;
	char *path = read_aside(r, name, &n);
	bool good = false;
	if (path != NULL && dif_file_path_good(path)) {
		const char *leaf;
		struct stat st;
		int base = dif_file_path_in_side(path) ? r->side : r->root;
		int folder = dif_file_walk(base, path, false, NULL, &leaf);
		if (folder != -1 && fstatat(folder, leaf, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			char tag[TAG_MAX];
			dif_file_tag(tag, &st);
			good = strlen(name) > 65 && strcmp(name + 65, tag) == 0;
		}
		if (folder != -1) {
			(void)close(folder);
		}
	}
	free(path);
	return good;
}

void dif_file_meta_clean(struct dif_file_root *r)
{
	int fd = openat(r->meta, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;
	if (d == NULL) {
		if (fd != -1) {
			(void)close(fd);
		}
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
		    !is_true(r, e->d_name)) {
			(void)unlinkat(r->meta, e->d_name, 0);
		}
	}
	(void)closedir(d);
}

/* --- both ways --- */

static bool lies_aside(const struct dif_file_root *r, const char *path)
{
	return dif_file_path_in_side(path) ? r->side_aside : r->aside;
}

bool dif_file_meta_write(struct dif_file_root *r, int fd, const char *path, const char *tag,
                         const struct dif_field *meta, uint32_t n)
{
	if (lies_aside(r, path)) {
		return n == 0 || write_aside(r, path, tag, meta, n);
	}
	for (uint32_t i = 0; i < n; i++) {
		char name[128];
		(void)snprintf(name, sizeof name, META_PREFIX "%s", meta[i].name);
		if (fsetxattr(fd, name, meta[i].value, strlen(meta[i].value), 0) != 0) {
			return false;
		}
	}
	return true;
}

static void fields_of(int fd, struct dif_arena *a, struct dif_field *f, uint32_t *n)
{
	char names[4096]; /* Linux allows 64 KiB; ours fit, and foreign ones are not of interest */
	ssize_t size = flistxattr(fd, names, sizeof names);
	for (char *p = names; size > 0 && p < names + size && *n < META_MAX; p += strlen(p) + 1) {
		char value[4096];
		if (strncmp(p, META_PREFIX, strlen(META_PREFIX)) != 0) {
			continue;
		}
		ssize_t len = fgetxattr(fd, p, value, sizeof value - 1);
		if (len >= 0) {
			value[len] = '\0';
			f[(*n)++] = (struct dif_field){dif_arena_str(a, p + strlen(META_PREFIX)),
			                               dif_arena_str(a, value)};
		}
	}
}

void dif_file_meta_read(struct dif_file_root *r, int fd, const char *path, const char *tag,
                        struct dif_arena *a, struct dif_field **meta, uint32_t *n)
{
	struct dif_field f[META_MAX];
	*n = 0;
	*meta = NULL;
	if (r->meta != -1 && lies_aside(r, path)) {
		fields_aside(r, path, tag, a, f, n);
	} else if (fd != -1) {
		fields_of(fd, a, f, n);
	}
	if (*n > 0) {
		*meta = dif_arena_copy(a, f, *n * sizeof *f);
		*n = *meta != NULL ? *n : 0;
	}
}
