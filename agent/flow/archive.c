/* archive - the order of steps is what makes it safe: the note, durable, then the package, durable
 * under a temporary name, then the rename. So a package in the archive always has its note, and a
 * package that is half there is not in the archive. What a killed run left (.tmp-*) goes at the
 * next open, once it is too old to be another's work.
 *
 * A copy is digested on its way: what lies under a SHA-256 has that SHA-256, whatever happened to
 * the file since it was checked.
 */
#include "flow/archive.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/path.h"
#include "host/crypto.h"
#include "host/ini.h"
#include "host/option.h"

#define FOLDER_MODE 0750
#define PACKAGE_MODE 0440
#define NOTE_MODE 0640
#define SPARE (64u << 20) /* for the state's log and the next package's beginning */
#define CHUNK (256u << 10)
#define TMP ".tmp-"
#define TMP_AGE_S 3600 /* no package takes so long to copy */
#define NOTE_MAX 16384
#define SHARD_MAX 3 /* "ab" */

struct dif_archive {
	char *folder;
	int dir;
};

static bool is_sha256(const char *s)
{
	return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* --- open --- */

static void remove_old_temporaries(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy == -1 ? NULL : fdopendir(copy);
	if (d == NULL) {
		if (copy != -1) {
			close(copy);
		}
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		struct stat st;
		if (strncmp(e->d_name, TMP, strlen(TMP)) == 0 &&
		    fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtime < time(NULL) - TMP_AGE_S) {
			(void)unlinkat(dir, e->d_name, 0);
		}
	}
	closedir(d);
}

struct dif_archive *dif_archive_open(const char *folder, struct dif_error *err)
{
	struct dif_archive *a = calloc(1, sizeof *a);
	if (a == NULL || (a->folder = strdup(folder)) == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open archive '%s': out of memory",
		              folder);
		goto fail;
	}
	if (!dif_path_make_dir(folder, FOLDER_MODE, err)) {
		goto fail;
	}
	a->dir = dif_path_open_trusted_dir(folder, err);
	if (a->dir == -1) {
		dif_error_wrap(err, "could not open archive '%s': ", folder);
		goto fail;
	}
	remove_old_temporaries(a->dir);
	return a;

fail:
	if (a != NULL) {
		free(a->folder);
	}
	free(a);
	return NULL;
}

void dif_archive_close(struct dif_archive *a)
{
	if (a != NULL) {
		close(a->dir);
		free(a->folder);
		free(a);
	}
}

/* --- names --- */

char *dif_archive_path(const struct dif_archive *a, const char *sha256)
{
	char *path = NULL;
	return asprintf(&path, "%s/%.2s/%s.zip", a->folder, sha256, sha256) < 0 ? NULL : path;
}

static bool look(const struct dif_archive *a, const char *sha256, struct stat *st)
{
	char name[80];
	if (!is_sha256(sha256)) {
		return false;
	}
	(void)snprintf(name, sizeof name, "%.2s/%s.zip", sha256, sha256);
	return fstatat(a->dir, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

bool dif_archive_has(const struct dif_archive *a, const char *sha256)
{
	struct stat st;
	return look(a, sha256, &st);
}

/* A file that lost its end, by a hand or a file system, is replaced when the package comes. */
static bool has_whole(const struct dif_archive *a, const struct dif_cut *cut)
{
	struct stat st;
	return look(a, cut->order.sha256, &st) && (uint64_t)st.st_size == cut->bytes;
}

static bool fail(const struct dif_cut *cut, struct dif_error *err, int number)
{
	enum dif_class cls = number == ENOSPC || number == EDQUOT ? DIF_TRANSIENT : DIF_PERMANENT;
	dif_error_set(err, cls, "could not archive package '%s': %s%s", cut->name, strerror(number),
	              cls == DIF_TRANSIENT ? "; free some space, nothing here is deleted by itself"
	                                   : "");
	return false;
}

/* The folder of the first two digits; its own name is made durable, too. */
static int open_shard(const struct dif_archive *a, const struct dif_cut *cut, struct dif_error *err)
{
	char name[SHARD_MAX];
	(void)snprintf(name, sizeof name, "%.2s", cut->order.sha256);
	bool made = mkdirat(a->dir, name, FOLDER_MODE) == 0;
	if ((!made && errno != EEXIST) || (made && fsync(a->dir) != 0)) {
		fail(cut, err, errno);
		return -1;
	}
	int dir = openat(a->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir == -1) {
		fail(cut, err, errno);
	}
	return dir;
}

/* --- notes --- */

/* Text as an INI value: what a reader would trim, cut or refuse goes as %XX. */
static void add_text(struct dif_buf *b, const char *key, const char *s)
{
	dif_buf_fmt(b, "%s = ", key);
	for (; s != NULL && *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (c <= ' ' || c == 0x7f || c == '%' || c == ';') {
			dif_buf_fmt(b, "%%%02X", c);
		} else {
			dif_buf_add(b, s, 1);
		}
	}
	dif_buf_add(b, "\n", 1);
}

static bool write_note(int dir, const struct dif_cut *cut, struct dif_error *err)
{
	char name[80];
	struct dif_buf b;
	dif_buf_init(&b, NOTE_MAX);
	dif_buf_fmt(&b,
	            "[package]\nepoch = %" PRId64 "\nnumber = %" PRId64 "\nseen = %" PRId64 "\n",
	            cut->order.epoch, cut->order.number, cut->seen);
	dif_buf_fmt(&b, "entries = %" PRIu32 "\n", cut->entries);
	add_text(&b, "name", cut->name);
	add_text(&b, "source", cut->source);
	add_text(&b, "profile", cut->profile);
	(void)snprintf(name, sizeof name, "%s.ini", cut->order.sha256);
	bool ok = !b.failed;
	if (!ok) {
		dif_error_set(err, DIF_PERMANENT, "its names are too long for a note");
	}
	ok = ok && dif_path_write_durably(dir, name, b.p, b.n, NOTE_MODE, err);
	dif_buf_fini(&b);
	if (!ok) {
		dif_error_wrap(err, "could not archive package '%s': ", cut->name);
	}
	return ok;
}

bool dif_archive_note(struct dif_archive *a, const struct dif_cut *cut, struct dif_error *err)
{
	int dir = open_shard(a, cut, err);
	if (dir == -1) {
		return false;
	}
	bool ok = write_note(dir, cut, err);
	close(dir);
	return ok;
}

/* --- adding --- */

static bool has_room(const struct dif_archive *a, const struct dif_cut *cut, uint64_t bytes,
                     struct dif_error *err)
{
	struct statvfs fs;
	if (fstatvfs(a->dir, &fs) != 0) {
		return fail(cut, err, errno);
	}
	uint64_t free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_bytes < bytes + SPARE) {
		char has[DIF_DATE_MAX], needs[DIF_DATE_MAX];
		dif_error_set(err, DIF_TRANSIENT,
		              "could not archive package '%s': %s are free at '%s' and %s are "
		              "needed; free some space, nothing here is deleted by itself",
		              cut->name, dif_amount(has, free_bytes), a->folder,
		              dif_amount(needs, bytes + SPARE));
		return false;
	}
	return true;
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return false;
		}
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* Copies in to out; false with errno, or 0 where the bytes are not those of the cut. */
static bool copy_bytes(int in, int out, const struct dif_cut *cut)
{
	uint8_t digest[DIF_DIGEST_MAX], want[32];
	char *chunk = malloc(CHUNK);
	struct dif_hasher *h = dif_hasher_new(DIF_SHA256);
	int number = chunk == NULL || h == NULL ? ENOMEM : 0;
	if (number == 0) {
		dif_hasher_begin(h);
	}
	for (ssize_t n = 1; number == 0 && n > 0;) {
		n = read(in, chunk, CHUNK);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0 || (n > 0 && !write_all(out, chunk, (size_t)n))) {
			number = errno;
		} else if (n > 0) {
			dif_hasher_add(h, chunk, (size_t)n);
		}
	}
	bool ok = number == 0;
	if (ok) {
		dif_hasher_end(h, digest);
		ok = dif_parse_hex(cut->order.sha256, want, sizeof want) &&
		     memcmp(digest, want, sizeof want) == 0;
	}
	dif_hasher_free(h);
	free(chunk);
	errno = number;
	return ok;
}

/* A durable copy under a temporary name, at most one per package. */
static bool copy_in(const struct dif_archive *a, const char *from, const char *tmp,
                    const struct dif_cut *cut, struct dif_error *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct stat st;
	if (in == -1 || fstat(in, &st) != 0) {
		fail(cut, err, errno);
		goto fail_in;
	}
	if (!has_room(a, cut, (uint64_t)st.st_size, err)) {
		goto fail_in;
	}
	(void)unlinkat(a->dir, tmp, 0);
	int out = openat(a->dir, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
	                 PACKAGE_MODE);
	if (out == -1) {
		fail(cut, err, errno);
		goto fail_in;
	}
	if (!copy_bytes(in, out, cut) || fchmod(out, PACKAGE_MODE) != 0 || fsync(out) != 0) {
		if (errno != 0) {
			fail(cut, err, errno);
		} else {
			dif_error_exit(err, DIF_EXIT_DIGEST, DIF_INTEGRITY,
			               "could not archive package '%s': '%s' has changed since it "
			               "was checked",
			               cut->name, from);
		}
		close(out);
		(void)unlinkat(a->dir, tmp, 0);
		goto fail_in;
	}
	close(out);
	close(in);
	return true;

fail_in:
	if (in != -1) {
		close(in);
	}
	return false;
}

/* Takes the file itself, if it is on the same file system. */
static bool move_in(const struct dif_archive *a, const char *from, const char *tmp)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1) {
		return false;
	}
	bool ok = fchmod(fd, PACKAGE_MODE) == 0 && fsync(fd) == 0 &&
	          renameat(AT_FDCWD, from, a->dir, tmp) == 0;
	close(fd);
	return ok;
}

static bool add_new(struct dif_archive *a, int shard, const char *from, bool move,
                    const struct dif_cut *cut, struct dif_error *err)
{
	char tmp[80], name[80];
	(void)snprintf(tmp, sizeof tmp, TMP "%s", cut->order.sha256);
	(void)snprintf(name, sizeof name, "%s.zip", cut->order.sha256);
	if (!has_room(a, cut, 0, err) || !write_note(shard, cut, err)) {
		return false;
	}
	bool moved = move && move_in(a, from, tmp);
	if (!moved && !copy_in(a, from, tmp, cut, err)) {
		return false;
	}
	if (renameat(a->dir, tmp, shard, name) != 0 || fsync(shard) != 0) {
		fail(cut, err, errno);
		return false;
	}
	if (move && !moved) {
		(void)unlink(from); /* it is in the archive; what is left is only in the way */
	}
	return true;
}

bool dif_archive_add(struct dif_archive *a, const char *from, bool move, const struct dif_cut *cut,
                     char **path, struct dif_error *err)
{
	if (!is_sha256(cut->order.sha256)) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not archive package '%s': it has no digest", cut->name);
		return false;
	}
	char *to = dif_archive_path(a, cut->order.sha256);
	if (to == NULL) {
		return fail(cut, err, ENOMEM);
	}
	int shard = open_shard(a, cut, err);
	if (shard == -1) {
		free(to);
		return false;
	}
	bool has = has_whole(a, cut);
	bool ok = has || add_new(a, shard, from, move, cut, err);
	if (has && move) {
		(void)unlink(from);
	}
	close(shard);
	if (ok) {
		*path = to;
	} else {
		free(to);
	}
	return ok;
}

/* --- scanning --- */

struct note {
	int64_t epoch, number, seen, entries;
	const char *name, *source, *profile;
};

#define AT(member) .offset = offsetof(struct note, member)
static const struct dif_option note_rows[] = {
	{.name = "epoch", .type = DIF_INT, .flags = DIF_NEEDED, AT(epoch)},
	{.name = "number", .type = DIF_INT, .flags = DIF_NEEDED, AT(number)},
	{.name = "seen", .type = DIF_INT, .flags = DIF_NEEDED, AT(seen)},
	{.name = "entries", .type = DIF_INT, .def = "0", .max = UINT32_MAX, AT(entries)},
	{.name = "name", .type = DIF_STRING, .def = "", AT(name)},
	{.name = "source", .type = DIF_STRING, .def = "", AT(source)},
	{.name = "profile", .type = DIF_STRING, .def = "", AT(profile)},
};
#undef AT

static const char *plain(struct dif_arena *a, const char *s)
{
	struct dif_bytes text = dif_decode(a, DIF_PATH, s);
	return text.p == NULL || strlen(text.p) != text.n ? "" : text.p;
}

/* Without a note, which only a hand can have taken away, the place in time is when it came. */
static void read_note(const struct dif_archive *a, const char *sha256, const struct stat *st,
                      struct dif_arena *arena, struct dif_cut *cut)
{
	struct note n = {.name = "", .source = "archive", .profile = ""};
	struct dif_ini_entry *list = NULL;
	char *path = NULL;
	bool ok = asprintf(&path, "%s/%.2s/%s.ini", a->folder, sha256, sha256) >= 0 &&
	          dif_ini_read(arena, path, &list, NULL) &&
	          dif_option_bind(note_rows, DIF_LEN(note_rows), list, "package", &n, arena, NULL);
	if (path != NULL) {
		free(path);
	}
	if (!ok) {
		n = (struct note){.name = "", .source = "archive", .profile = ""};
		n.number = n.seen = (int64_t)st->st_mtim.tv_sec * 1000;
	}
	*cut = (struct dif_cut){.order = {.epoch = n.epoch, .number = n.number},
	                        .name = plain(arena, n.name),
	                        .source = plain(arena, n.source),
	                        .profile = plain(arena, n.profile),
	                        .reason = "",
	                        .bytes = (uint64_t)st->st_size,
	                        .entries = (uint32_t)n.entries,
	                        .status = DIF_CUT_ARCHIVED,
	                        .seen = n.seen};
	memcpy(cut->order.sha256, sha256, 65);
}

static void scan_one(const struct dif_archive *a, int shard, const char *file,
                     void (*row)(void *data, const struct dif_cut *cut), void *data)
{
	char sha256[65];
	struct stat st;
	size_t n = strlen(file);
	if (n != 64 + 4 || strcmp(file + 64, ".zip") != 0) {
		return;
	}
	memcpy(sha256, file, 64);
	sha256[64] = '\0';
	if (!is_sha256(sha256) || fstatat(shard, file, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode)) {
		return;
	}
	struct dif_arena arena;
	struct dif_cut cut;
	dif_arena_init(&arena, 1u << 20, false);
	read_note(a, sha256, &st, &arena, &cut);
	row(data, &cut);
	dif_arena_fini(&arena);
}

static void scan_shard(const struct dif_archive *a, const char *name,
                       void (*row)(void *data, const struct dif_cut *cut), void *data)
{
	if (strlen(name) != 2 || strspn(name, "0123456789abcdef") != 2) {
		return;
	}
	int shard = openat(a->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = shard == -1 ? NULL : fdopendir(shard);
	if (d == NULL) {
		if (shard != -1) {
			close(shard);
		}
		return;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		scan_one(a, shard, e->d_name, row, data);
	}
	closedir(d);
}

bool dif_archive_scan(struct dif_archive *a, void (*row)(void *data, const struct dif_cut *cut),
                      void *data, struct dif_error *err)
{
	int copy = openat(a->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy == -1 ? NULL : fdopendir(copy);
	if (d == NULL) {
		dif_error_set(err, DIF_PERMANENT, "could not read archive '%s': %s", a->folder,
		              strerror(errno));
		if (copy != -1) {
			close(copy);
		}
		return false;
	}
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		scan_shard(a, e->d_name, row, data);
	}
	closedir(d);
	return true;
}
