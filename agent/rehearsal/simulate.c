/* simulate - one rehearsal package, front to back.
 *
 *   1. plan: geography, curve, how many entries there will be
 *   2. SIMULACRO.json, which makes it a rehearsal, and what never changes
 *   3. the results, election by election; the rows of the database gather on the way
 *   4. the database
 *   5. the side-car, then the rename: a source that watches the folder finds both or nothing
 */
#include "rehearsal/simulate_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "host/crypto.h"

#define PROGRESS_EVERY 100u
#define READ_SIZE ((size_t)1 << 18)

bool dif_sim_add(struct dif_sim *s, const char *path, const void *p, size_t n, bool deflate)
{
	if (!dif_zip_add(s->zip, path, p, n, deflate, 0, s->err)) {
		return false;
	}
	s->entries++;
	s->unpacked += n;
	if (s->progress != NULL && (s->entries % PROGRESS_EVERY == 0 || s->entries == s->of)) {
		s->progress(s->data, s->entries, s->of);
	}
	return true;
}

bool dif_sim_add_text(struct dif_sim *s, const char *path, struct dif_buf *text)
{
	if (text->failed) {
		dif_error_set(s->err, DIF_TRANSIENT, "could not write '%s': out of memory", path);
		return false;
	}
	bool ok = dif_sim_add(s, path, text->p, text->n, true);
	text->n = 0;
	return ok;
}

static bool add_marker(struct dif_sim *s)
{
	static const char *const scales[] = {"tiny", "tenth", "full"};
	struct dif_buf b;
	dif_buf_init(&b, 4096);
	dif_buf_fmt(
		&b,
		"{\n  \"simulacro\": true,\n  \"nota\": \"Datos ficticios, sin validez alguna\",\n"
		"  \"corte\": %u,\n  \"semilla\": \"%llu\",\n  \"escala\": \"%s\",\n",
		s->want->cut, (unsigned long long)s->want->seed, scales[s->want->scale]);
	dif_buf_fmt(&b, "  \"ultimoCorte\": {\"fecha\": \"");
	dif_sim_date(&b, s->minute);
	dif_buf_fmt(&b, "\", \"hora\": \"");
	dif_sim_time(&b, s->minute);
	dif_buf_fmt(&b, "\"}\n}\n");
	bool ok = dif_sim_add_text(s, "SIMULACRO.json", &b);
	dif_buf_fini(&b);
	return ok;
}

static bool write_entries(struct dif_sim *s, int fd)
{
	s->zip = dif_zip_new(fd, s->err);
	if (s->zip == NULL) {
		return false;
	}
	for (uint32_t e = 0; e < DIF_SIM_ELECTIONS; e++) {
		dif_buf_init(&s->inner[e], DIF_SIM_TEXT_MAX);
	}
	/* the marker and the database belong to neither part */
	s->of = 2 + dif_sim_site_entries(s) + dif_sim_results_entries(s);
	bool ok = add_marker(s) && dif_sim_site(s) && dif_sim_results(s) && dif_sim_database(s) &&
	          dif_zip_end(s->zip, s->err);
	assert(!ok || s->entries == s->of);
	for (uint32_t e = 0; e < DIF_SIM_ELECTIONS; e++) {
		dif_buf_fini(&s->inner[e]);
	}
	dif_zip_free(s->zip);
	return ok;
}

static bool digest_file(int fd, char hex[65], struct dif_error *err)
{
	uint8_t sum[DIF_DIGEST_MAX];
	struct dif_hasher *h = dif_hasher_new(DIF_SHA256);
	char *block = malloc(READ_SIZE);
	ssize_t got = -1;
	if (h == NULL || block == NULL) {
		errno = ENOMEM;
		goto out;
	}
	dif_hasher_begin(h);
	for (off_t at = 0; (got = pread(fd, block, READ_SIZE, at)) > 0; at += got) {
		dif_hasher_add(h, block, (size_t)got);
	}
	if (got == 0) {
		dif_hasher_end(h, sum);
		dif_hex(hex, sum, 32);
	}
out:
	if (got != 0) {
		dif_error_set(err, DIF_TRANSIENT, "could not compute digest of package: %s",
		              strerror(errno));
	}
	free(block);
	dif_hasher_free(h);
	return got == 0;
}

static bool write_sidecar(int dir, int fd, const char *name, const char *base,
                          struct dif_error *err)
{
	char hex[65], line[400];
	if (!digest_file(fd, hex, err)) {
		return false;
	}
	int n = snprintf(line, sizeof line, "%s  %s\n", hex, base); /* as sha256sum writes it */
	return dif_path_write_durably(dir, name, line, (size_t)n, 0644, err);
}

/* Opens the folder of path and finds its last component. */
static int open_folder(const char *path, const char **base, struct dif_error *err)
{
	const char *slash = strrchr(path, '/');
	*base = slash != NULL ? slash + 1 : path;
	char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int dir = -1;
	if (folder == NULL) {
		errno = ENOMEM;
	} else if (**base == '\0') {
		errno = EISDIR;
	} else {
		dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (dir == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not write package '%s': %s", path,
		              strerror(errno));
	}
	free(folder);
	return dir;
}

/* The names in the folder while a package is made: its own, the temporary one, the side-car's. */
struct names {
	const char *base;
	char temporary[256], sidecar[256];
};

static bool name_all(struct names *to, const char *base)
{
	to->base = base;
	int a = snprintf(to->temporary, sizeof to->temporary, ".%s.part", base);
	int b = snprintf(to->sidecar, sizeof to->sidecar, "%s.sha256", base);
	return a > 0 && (size_t)a < sizeof to->temporary && b > 0 && (size_t)b < sizeof to->sidecar;
}

/* Fills the open file and gives it its name. */
static bool fill(struct dif_sim *s, int dir, int fd, const struct names *n, struct stat *st)
{
	if (!write_entries(s, fd) ||
	    (s->want->sidecar && !write_sidecar(dir, fd, n->sidecar, n->base, s->err))) {
		return false;
	}
	if (fstat(fd, st) != 0 || renameat(dir, n->temporary, dir, n->base) != 0) {
		dif_error_set(s->err, DIF_PERMANENT, "could not name package '%s': %s", n->base,
		              strerror(errno));
		if (s->want->sidecar) {
			unlinkat(dir, n->sidecar, 0); /* the digest of what is not there */
		}
		return false;
	}
	return true;
}

static bool write_package(struct dif_sim *s, const char *path, struct dif_simulated *out)
{
	const char *base;
	struct names n;
	struct stat st;
	int dir = open_folder(path, &base, s->err);
	if (dir == -1) {
		return false;
	}
	int fd = -1;
	errno = ENAMETOOLONG;
	if (name_all(&n, base)) {
		fd = openat(dir, n.temporary, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		            0644);
	}
	if (fd == -1) {
		dif_error_set(s->err, DIF_PERMANENT, "could not write package '%s': %s", path,
		              strerror(errno));
		close(dir);
		return false;
	}
	bool ok = fill(s, dir, fd, &n, &st);
	if (ok) {
		*out = (struct dif_simulated){.entries = (uint32_t)s->entries,
		                              .bytes = (uint64_t)st.st_size,
		                              .unpacked = s->unpacked};
	} else {
		unlinkat(dir, n.temporary, 0);
	}
	close(fd);
	close(dir);
	return ok;
}

/* The package is renamed into its place: a device or a folder there would be lost. */
static bool may_be_replaced(const char *path, struct dif_error *err)
{
	struct stat st;
	if (lstat(path, &st) != 0 || S_ISREG(st.st_mode)) {
		return true;
	}
	dif_error_set(err, DIF_PERMANENT,
	              "could not write package '%s': something that is no file lies there", path);
	return false;
}

bool dif_simulate(const struct dif_simulate *want, const char *path,
                  void (*progress)(void *data, uint64_t entries, uint64_t of), void *data,
                  struct dif_simulated *out, struct dif_error *err)
{
	if (want->cut > DIF_SIM_CUTS || want->scale > DIF_FULL) {
		return dif_error_exit(err, DIF_EXIT_USAGE, DIF_PERMANENT,
		                      "could not simulate cut %u: the night has %u cuts", want->cut,
		                      DIF_SIM_CUTS);
	}
	if (!may_be_replaced(path, err)) {
		return false;
	}
	struct dif_sim *s = calloc(1, sizeof *s);
	if (s == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not simulate: out of memory");
		return false;
	}
	s->want = want;
	s->size = &dif_sim_sizes[want->scale];
	s->progress = progress;
	s->data = data;
	s->err = err;
	dif_sim_plan(s);
	bool ok = write_package(s, path, out);
	free(s);
	return ok;
}
