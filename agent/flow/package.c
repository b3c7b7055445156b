/* package - from a file that somebody sent to a list of entries that may be believed.
 *
 *   1. size, SHA-256 of the whole file       4. no two names are one
 *   2. the strict walk (walk.c)              5. libzip's listing is the same as ours
 *   3. names and limits, inside the walk     6. entries in the order of their data
 *
 * libzip is opened without its consistency check: measured, that check lets bad archives through
 * and refuses good ones. It serves as a second opinion: an archive that two readers read
 * differently is refused.
 */
#include "flow/package.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zip.h>

#include "base/parse.h"
#include "base/path.h"
#include "flow/name.h"
#include "flow/walk.h"
#include "host/crypto.h"

#define READ_SIZE (256u << 10)
/* 100,000 members, and names as the directory's bound allows. */
#define ARENA_MAX ((size_t)96 << 20)
#define WARNINGS_MAX 16  /* further ones are counted */
#define SIDECAR_MAX 4096 /* one line of sha256sum: digest, name of a file */
#define SHA256_DIGITS 64

#define REFUSE(err, ...) dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT, __VA_ARGS__)

const struct dif_limits dif_limits_default = {
	.package = 512ll << 20,
	.entries = 100000,
	.entry = 512ll << 20,
	.total = 2048ll << 20,
	.name = 900,
	.component = 255,
	.segments = 64,
};

/* The warnings while they are collected. */
struct warnings {
	struct dif_arena *arena;
	const char *list[WARNINGS_MAX + 1];
	uint32_t n, more;
};

bool dif_package_read(int fd, void *to, size_t n, uint64_t offset, struct dif_error *err)
{
	char *p = to;
	while (n > 0) {
		ssize_t got = pread(fd, p, n, (off_t)offset);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			dif_error_set(err, DIF_TRANSIENT, "could not read file: %s",
			              got < 0 ? strerror(errno) : "it became shorter");
			return false;
		}
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return true;
}

static bool hash_file(struct dif_package *p, struct dif_error *err)
{
	bool good = false;
	struct dif_hasher *h = dif_hasher_new(DIF_SHA256);
	uint8_t *buf = malloc(READ_SIZE);
	if (h == NULL || buf == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		goto out;
	}
	dif_hasher_begin(h);
	for (uint64_t at = 0; at < p->bytes;) {
		uint64_t left = p->bytes - at;
		size_t n = left < READ_SIZE ? (size_t)left : READ_SIZE;
		if (!dif_package_read(p->fd, buf, n, at, err)) {
			goto out;
		}
		dif_hasher_add(h, buf, n);
		at += n;
	}
	uint8_t digest[DIF_DIGEST_MAX];
	dif_hasher_end(h, digest);
	dif_hex(p->sha256, digest, 32);
	good = true;
out:
	free(buf);
	dif_hasher_free(h);
	return good;
}

static bool open_file(struct dif_package *p, const char *path, const struct dif_limits *limits,
                      struct dif_error *err)
{
	struct stat st;
	p->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (p->fd == -1 || fstat(p->fd, &st) != 0) {
		dif_error_set(err, errno == ENOENT ? DIF_NOT_FOUND : DIF_PERMANENT, "%s",
		              strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		return REFUSE(err, "it is not a regular file");
	}
	if (st.st_size > limits->package) {
		return REFUSE(err, "it has %lld bytes, over the limit of %lld",
		              (long long)st.st_size, (long long)limits->package);
	}
	p->bytes = (uint64_t)st.st_size;
	return true;
}

static bool agrees(zip_t *z, uint32_t i, const struct dif_listed *m)
{
	zip_stat_t st;
	zip_stat_init(&st);
	const zip_uint64_t all = ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_CRC |
	                         ZIP_STAT_COMP_METHOD | ZIP_STAT_ENCRYPTION_METHOD;
	return zip_stat_index(z, i, 0, &st) == 0 && (st.valid & all) == all &&
	       strcmp(st.name, m->name) == 0 && st.size == m->size && st.comp_size == m->packed &&
	       st.crc == m->crc && st.comp_method == m->method &&
	       st.encryption_method == ZIP_EM_NONE;
}

/* The second opinion. */
static bool ask_libzip(const struct dif_package *p, const struct dif_walk *w, struct dif_error *err)
{
	int why = 0;
	int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
	zip_t *z = fd >= 0 ? zip_fdopen(fd, 0, &why) : NULL;
	if (z == NULL) {
		if (fd >= 0) {
			close(fd);
		}
		zip_error_t error;
		zip_error_init_with_code(&error, why);
		REFUSE(err, "libzip reads it differently: %s", zip_error_strerror(&error));
		zip_error_fini(&error);
		return false;
	}
	bool good = zip_get_num_entries(z, 0) == w->n ||
	            REFUSE(err, "libzip reads it differently: another number of entries");
	for (uint32_t i = 0; good && i < w->n; i++) {
		struct dif_shown shown;
		good = agrees(z, i, &w->members[i]) ||
		       REFUSE(err, "entry '%s': libzip reads it differently",
		              dif_name_show(&shown, w->members[i].name,
		                            strlen(w->members[i].name)));
	}
	zip_discard(z);
	return good;
}

static void warn(struct warnings *to, const char *text)
{
	if (to->n == WARNINGS_MAX - 1) {
		to->more++;
	} else {
		to->list[to->n++] = text;
	}
}

static void on_twins(void *data, const char *a, const char *b)
{
	struct warnings *to = data;
	struct dif_shown one, two;
	warn(to,
	     dif_arena_fmt(to->arena, "names '%s' and '%s' differ in case only",
	                   dif_name_show(&one, a, strlen(a)), dif_name_show(&two, b, strlen(b))));
}

static bool check_names(const struct dif_walk *w, struct warnings *to, struct dif_error *err)
{
	const char **names = calloc((size_t)w->n + 1, sizeof *names);
	if (names == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	for (uint32_t i = 0; i < w->n; i++) {
		names[i] = w->members[i].name;
	}
	if (w->cp437 > 0) {
		warn(to, dif_arena_fmt(to->arena, "%u names are not UTF-8: read as code page 437",
		                       w->cp437));
	}
	bool good = dif_names_distinct(names, w->n, on_twins, to, err);
	free(names);
	return good;
}

static int by_data(const void *a, const void *b)
{
	const struct dif_entry *l = a, *r = b;
	return (l->offset > r->offset) - (l->offset < r->offset);
}

/* Files only, in the order of their data, and the warnings. */
static bool hand_over(struct dif_package *p, const struct dif_walk *w, struct warnings *notes)
{
	if (notes->more > 0) {
		notes->list[notes->n++] =
			dif_arena_fmt(&p->arena, "%u further warnings of this kind", notes->more);
	}
	p->warnings = dif_arena_copy(&p->arena, notes->list, sizeof notes->list);
	p->entries = dif_arena_alloc(&p->arena, ((size_t)w->n + 1) * sizeof *p->entries);
	if (p->entries == NULL || p->warnings == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < w->n; i++) {
		const struct dif_listed *m = &w->members[i];
		if (!m->folder) {
			p->entries[p->n++] = (struct dif_entry){.name = m->name,
			                                        .offset = m->data,
			                                        .packed = m->packed,
			                                        .size = m->size,
			                                        .crc = m->crc,
			                                        .method = m->method};
		}
	}
	qsort(p->entries, p->n, sizeof *p->entries, by_data);
	p->total = w->total;
	p->rehearsal = dif_package_find(p, "SIMULACRO.json") != NULL;
	return true;
}

static bool judge(struct dif_package *p, const char *path, const struct dif_limits *limits,
                  struct dif_error *err)
{
	struct dif_walk w = {.limits = limits, .arena = &p->arena};
	struct warnings notes = {.arena = &p->arena};
	if (!open_file(p, path, limits, err) || !hash_file(p, err)) {
		return false;
	}
	w.fd = p->fd;
	w.bytes = p->bytes;
	if (!dif_walk(&w, err) || !check_names(&w, &notes, err) || !ask_libzip(p, &w, err)) {
		return false;
	}
	return hand_over(p, &w, &notes) || REFUSE(err, "its directory is over the limit of memory");
}

struct dif_package *dif_package_open(const char *path, const struct dif_limits *limits,
                                     struct dif_error *err)
{
	struct dif_package *p = calloc(1, sizeof *p);
	if (p == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not accept package '%s': out of memory",
		              path);
		return NULL;
	}
	p->fd = -1;
	dif_arena_init(&p->arena, ARENA_MAX, false);
	if (!judge(p, path, limits != NULL ? limits : &dif_limits_default, err)) {
		dif_error_wrap(err, "could not accept package '%s'", path);
		dif_package_close(p);
		return NULL;
	}
	return p;
}

void dif_package_close(struct dif_package *p)
{
	if (p == NULL) {
		return;
	}
	if (p->fd != -1) {
		close(p->fd);
	}
	dif_arena_fini(&p->arena);
	free(p);
}

const struct dif_entry *dif_package_find(const struct dif_package *p, const char *name)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if (strcmp(p->entries[i].name, name) == 0) {
			return &p->entries[i];
		}
	}
	return NULL;
}

/* The digest of the one line: 64 hex digits, then nothing, or two characters and the file's name as
 * sha256sum writes it. */
static bool read_sidecar(char *text, size_t n, uint8_t digest[32])
{
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r')) {
		text[--n] = '\0';
	}
	if (strlen(text) != n || strchr(text, '\n') != NULL) {
		return false;
	}
	/* sha256sum marks a line in which it had to escape the name. */
	text += text[0] == '\\' ? 1 : 0;
	if (strlen(text) < SHA256_DIGITS) {
		return false;
	}
	char *behind = text + SHA256_DIGITS;
	bool alone = behind[strspn(behind, " \t")] == '\0';
	bool named =
		behind[0] == ' ' && (behind[1] == ' ' || behind[1] == '*') && behind[2] != '\0';
	if (!alone && !named) {
		return false;
	}
	*behind = '\0';
	return dif_parse_hex(text, digest, 32);
}

bool dif_package_check_digest(const struct dif_package *p, const char *sidecar_path,
                              struct dif_error *err)
{
	char *text = NULL;
	size_t n = 0;
	struct dif_error why = {0};
	int fd = open(sidecar_path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd == -1) {
		dif_error_set(&why, DIF_PERMANENT, "%s", strerror(errno));
	}
	bool good = fd != -1 && dif_path_read_all(fd, SIDECAR_MAX, &text, &n, &why);
	if (fd != -1) {
		close(fd);
	}
	if (!good) { /* that says nothing of the package */
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT,
		                      "could not read digest '%s': %s", sidecar_path, why.text);
	}
	uint8_t digest[32];
	good = read_sidecar(text, n, digest);
	free(text);
	if (!good) {
		return dif_error_exit(err, DIF_EXIT_DIGEST, DIF_INTEGRITY,
		                      "could not read digest '%s': it is not one line as sha256sum "
		                      "writes it",
		                      sidecar_path);
	}
	char hex[SHA256_DIGITS + 1];
	dif_hex(hex, digest, sizeof digest);
	if (strcmp(hex, p->sha256) != 0) {
		return dif_error_exit(
			err, DIF_EXIT_DIGEST, DIF_INTEGRITY,
			"could not verify package: its SHA-256 is %s, but '%s' says %s", p->sha256,
			sidecar_path, hex);
	}
	return true;
}
