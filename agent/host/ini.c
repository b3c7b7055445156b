/* ini - what is left of INI parsing when its traps are taken out.
 *
 * inih splits `key = value`, trims and cuts comments; nothing else is left to it, because as
 * packaged it does three things without a word: it cuts lines at 200 bytes and takes the rest for
 * another line, cuts section names at 49, and takes a line that begins with a blank for more of the
 * value before. So it gets its lines from `give`, below, one by one and already judged:
 *
 *   - a line is bounded, holds no NUL or other control character, and has lost its leading blanks,
 *     so it can continue nothing; the same is said to inih by its switches, of which the length of
 *     a line is the only one that `give` relies on, and it refuses a line that would not fit;
 *   - section headers are read here, and inih sees an empty line in their place;
 *   - the number of a line is counted here, because the inih of our builds does not tell it.
 *
 * inih leaves its last line in memory that it frees. Lines may hold secrets, so `give` zeroes that
 * memory each time it gets hold of it, the last time when there is no line left.
 */
#include "host/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/path.h"

#define FILE_MAX (1u << 20)        /* a full configuration is about 4 kB */
#define LINE_MAX_BYTES (16u << 10) /* a connection string or a SAS token is below 4 kB */
#define SECRET_MODE 0640

struct reading {
	struct dif_arena *arena;
	const char *file;
	const char *at, *end; /* what is left of the text */
	struct dif_ini_entry **tail;
	struct dif_map seen; /* "[section" and "section]key", in this file */
	const char *section;
	struct dif_ini_entry *header; /* the section's keyless entry while it has no other */
	uint32_t line, section_line;
	bool secret_ok, failed;
	struct dif_error *err;
};

static void refuse(struct reading *r, const char *why)
{
	if (!r->failed) {
		dif_error_exit(r->err, DIF_EXIT_CONFIG, DIF_PERMANENT, "%s:%u: %s", r->file,
		               r->line, why);
	}
	r->failed = true;
}

/* Remembers a name of this file; false where it was there before. */
static bool is_new(struct reading *r, const char *name, const char *why)
{
	if (r->arena->failed || dif_map_get(&r->seen, name) != NULL) {
		refuse(r, r->arena->failed ? "out of memory" : why);
		return false;
	}
	if (!dif_map_put(&r->seen, name, r)) {
		refuse(r, "out of memory");
		return false;
	}
	return true;
}

static struct dif_ini_entry *append(struct reading *r)
{
	struct dif_ini_entry *e = dif_arena_alloc(r->arena, sizeof *e);
	if (e == NULL) {
		refuse(r, "out of memory");
		return NULL;
	}
	*e = (struct dif_ini_entry){.section = r->section,
	                            .file = r->file,
	                            .line = r->line,
	                            .section_line = r->section_line,
	                            .secret_ok = r->secret_ok};
	*r->tail = e;
	r->tail = &e->next;
	return e;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* "[ store   aws ]  ; mine" -> "store aws" */
static void open_section(struct reading *r, const char *p, const char *end)
{
	const char *close = memchr(p, ']', (size_t)(end - p));
	if (close == NULL) {
		refuse(r, "the section's name is not closed by ]");
		return;
	}
	const char *rest = close + 1;
	while (rest < end && is_blank(*rest)) {
		rest++;
	}
	if (rest < end && *rest != ';' && *rest != '#') {
		refuse(r, "something follows the section's name");
		return;
	}
	char *name = dif_arena_alloc(r->arena, (size_t)(close - p));
	size_t n = 0;
	for (p++; name != NULL && p < close; p++) {
		if (!is_blank(*p)) {
			name[n++] = *p;
		} else if (n > 0 && name[n - 1] != ' ') {
			name[n++] = ' ';
		}
	}
	if (name != NULL && n > 0 && name[n - 1] == ' ') {
		name[n - 1] = '\0';
	}
	if (name == NULL || *name == '\0') {
		refuse(r, name == NULL ? "out of memory" : "the section has no name");
		return;
	}
	if (is_new(r, dif_arena_fmt(r->arena, "[%s", name),
	           "this section is in the file already: bring the two together")) {
		r->section = name;
		r->section_line = r->line;
		r->header = append(r);
	}
}

/* One line without its end and its leading blanks; false: none is left, or it is refused. */
static bool next_line(struct reading *r, const char **line, size_t *n)
{
	if (r->failed || r->at == r->end) {
		return false;
	}
	const char *p = r->at;
	const char *end = memchr(p, '\n', (size_t)(r->end - p));
	r->at = end == NULL ? r->end : end + 1;
	end = end == NULL ? r->end : end;
	r->line++;
	if (end > p && end[-1] == '\r') {
		end--;
	}
	if (r->line == 1 && end - p >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
		p += 3; /* a byte order mark, as editors on Windows put it */
	}
	if ((size_t)(end - p) > LINE_MAX_BYTES) {
		refuse(r, "the line is longer than 16 KiB");
		return false;
	}
	for (const char *c = p; c < end; c++) {
		if (((unsigned char)*c < ' ' && *c != '\t') || *c == 0x7f) {
			refuse(r, "the line holds a control character");
			return false;
		}
	}
	while (p < end && is_blank(*p)) {
		p++;
	}
	*line = p;
	*n = (size_t)(end - p);
	return true;
}

static char *give(char *to, int room, void *stream)
{
	struct reading *r = stream;
	explicit_bzero(to, (size_t)room);
	const char *p = NULL;
	size_t n = 0;
	if (!next_line(r, &p, &n)) {
		return NULL;
	}
	if (n > 0 && *p == '[') {
		open_section(r, p, p + n);
		n = 0;
	} else if (n > 0 && *p != ';' && *p != '#' && memchr(p, '=', n) == NULL &&
	           memchr(p, ':', n) == NULL) {
		refuse(r, "this is neither [section] nor key = value");
		n = 0;
	}
	if (n + 2 > (size_t)room) {
		refuse(r, "the line is longer than inih takes");
		n = 0;
	}
	memcpy(to, p, n);
	to[n] = '\n';
	return to;
}

static int take(void *user, const char *section, const char *key, const char *value)
{
	(void)section; /* cut at 49 bytes; ours is whole */
	struct reading *r = user;
	if (r->failed) {
		return 0;
	}
	if (r->section == NULL) {
		refuse(r, "the key stands before the first [section]");
		return 0;
	}
	if (*key == '\0') {
		refuse(r, "the key has no name");
		return 0;
	}
	if (!is_new(r, dif_arena_fmt(r->arena, "%s]%s", r->section, key),
	            "this key is in the section already")) {
		return 0;
	}
	/* The first key takes the header's entry, which stands for a section without keys. */
	struct dif_ini_entry *e = r->header != NULL ? r->header : append(r);
	r->header = NULL;
	if (e == NULL) {
		return 0;
	}
	e->line = r->line;
	e->key = dif_arena_str(r->arena, key);
	e->value = dif_arena_str(r->arena, value);
	return 1;
}

static bool parse(struct dif_arena *a, const char *file, struct dif_bytes text, bool secret_ok,
                  struct dif_ini_entry **list, struct dif_error *err)
{
	if (text.n > FILE_MAX) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "could not read '%s': it is larger than 1 MiB", file);
	}
	struct dif_ini_entry *first = NULL;
	struct reading r = {.arena = a,
	                    .file = dif_arena_str(a, file),
	                    .at = text.p,
	                    .end = text.n == 0 ? text.p : (const char *)text.p + text.n,
	                    .tail = &first,
	                    .secret_ok = secret_ok,
	                    .err = err};
	dif_map_init(&r.seen);
	ini_use_stack = false;
	ini_allow_realloc = false;
	ini_allow_multiline = false;
	ini_allow_bom = false;
	ini_max_line = ini_initial_alloc = (int)LINE_MAX_BYTES + 3;
	int rc = ini_parse_stream(give, &r, take, &r);
	dif_map_fini(&r.seen);
	if (!r.failed && a->failed) {
		refuse(&r, "out of memory");
	} else if (!r.failed && rc != 0) {
		refuse(&r, rc < 0 ? "out of memory" : "the line is not understood");
	}
	if (r.failed) {
		return false;
	}
	while (*list != NULL) {
		list = &(*list)->next;
	}
	*list = first;
	return true;
}

bool dif_ini_parse(struct dif_arena *a, const char *file, struct dif_bytes text,
                   struct dif_ini_entry **list, struct dif_error *err)
{
	return parse(a, file, text, false, list, err);
}

bool dif_ini_read(struct dif_arena *a, const char *path, struct dif_ini_entry **list,
                  struct dif_error *err)
{
	int fd = dif_path_open_trusted(path, false, err);
	if (fd == -1) {
		goto fail;
	}
	struct stat st;
	if (fstat(fd, &st) != 0) {
		dif_error_set(err, DIF_PERMANENT, "%s", strerror(errno));
		goto fail_fd;
	}
	char *text = NULL;
	size_t n = 0;
	if (!dif_path_read_all(fd, FILE_MAX, &text, &n, err)) {
		goto fail_fd;
	}
	bool tight = (st.st_mode & 07777 & ~(mode_t)SECRET_MODE) == 0;
	bool ok = parse(a, path, (struct dif_bytes){text, n}, tight, list, err);
	explicit_bzero(text, n);
	free(text);
	close(fd);
	return ok;

fail_fd:
	close(fd);
fail:
	dif_error_wrap(err, "could not read '%s'", path);
	if (err != NULL) {
		err->exit = DIF_EXIT_CONFIG;
	}
	return false;
}
