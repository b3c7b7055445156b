/* drill_files - where the records of drills lie. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "evidence/drill_record.h"
#include "host/crypto.h"

#define TEXT_MAX (1u << 20)
#define IDS_MAX 10000
#define FOLDER_MODE 0750
#define FILE_MODE 0640
#define NAME "drill.json"

/* An ID is one name: it comes from people, too. */
static bool is_id(const char *id)
{
	return *id != '\0' && *id != '.' && strlen(id) < DIF_DRILL_ID && strchr(id, '/') == NULL;
}

static int open_folder(const char *state, const char *id, bool create, struct dif_error *err)
{
	char *all = dif_path_join(state, "drills");
	char *one = all != NULL ? dif_path_join(all, id) : NULL;
	int fd = -1;
	if (one == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open drill '%s': out of memory", id);
	} else if (!create || (dif_path_make_dir(all, FOLDER_MODE, err) &&
	                       dif_path_make_dir(one, FOLDER_MODE, err))) {
		fd = open(one, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd == -1) {
			dif_error_set(err, errno == ENOENT ? DIF_NOT_FOUND : DIF_PERMANENT,
			              "could not open drill '%s': %s", id,
			              errno == ENOENT ? "there is none of that name"
			                              : strerror(errno));
		}
	}
	free(one);
	free(all);
	return fd;
}

static bool read_all(int dir, char **to, size_t *n, struct dif_error *err)
{
	int fd = openat(dir, NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not open '" NAME "': %s", strerror(errno));
		return false;
	}
	bool good = dif_path_read_all(fd, TEXT_MAX, to, n, err);
	close(fd);
	return good;
}

bool dif_drill_load(const char *state, const char *id, struct dif_drill_record *to, char digest[65],
                    struct dif_error *err)
{
	char *text = NULL;
	size_t n = 0;
	uint8_t sha256[DIF_DIGEST_MAX];
	if (!is_id(id)) {
		dif_error_set(err, DIF_NOT_FOUND, "could not open drill '%s': it is no name", id);
		return false;
	}
	int dir = open_folder(state, id, false, err);
	bool good = dir != -1 && read_all(dir, &text, &n, err) &&
	            dif_drill_parse((struct dif_bytes){text, n}, to, err);
	if (good && digest != NULL) {
		good = dif_hash(DIF_SHA256, text, n, sha256);
		dif_hex(digest, sha256, good ? 32 : 0);
	}
	free(text);
	if (dir != -1) {
		close(dir);
	}
	return good;
}

bool dif_drill_save(const char *state, const struct dif_drill_record *r, struct dif_error *err)
{
	struct dif_buf out;
	dif_buf_init(&out, TEXT_MAX);
	int dir = open_folder(state, r->id, true, err);
	bool good = dir != -1 && dif_drill_write(r, &out) &&
	            dif_path_write_durably(dir, NAME, out.p, out.n, FILE_MODE, err);
	if (dir != -1 && out.failed) {
		dif_error_set(err, DIF_TRANSIENT, "could not write '" NAME "': out of memory");
	}
	dif_buf_fini(&out);
	if (dir != -1) {
		close(dir);
	}
	return good;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *dif_drill_ids(struct dif_arena *a, const char *state, uint32_t *n)
{
	char *path = dif_path_join(state, "drills");
	DIR *d = path != NULL ? opendir(path) : NULL;
	const char **all = dif_arena_alloc(a, IDS_MAX * sizeof(const char *));
	*n = 0;
	for (const struct dirent *e;
	     d != NULL && all != NULL && *n < IDS_MAX && (e = readdir(d)) != NULL;) {
		if (is_id(e->d_name)) {
			all[(*n)++] = dif_arena_str(a, e->d_name);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
	free(path);
	if (all == NULL || a->failed) {
		*n = 0;
		return NULL;
	}
	qsort(all, *n, sizeof *all, by_name);
	return all;
}
