/* walk - from the end of the file to its beginning, and then once over all of it:
 *
 *   1. the end record: one, at the very end          (walk_end.c)
 *   2. the directory: exactly as many records as promised, ending exactly at the end record
 *   3. each record: flags, method, type, extra field (walk_extra.c), name (name.c), limits
 *   4. by offset: the first local header at 0, each next where the last member ended, the
 *      last ends where the directory begins
 *   5. each local header says what the directory says
 *
 * Nothing is inflated here; flow/ingest does that and checks sizes and CRC. The file is read
 * through one window, never mapped: a mapped file that shrinks kills the process.
 */
#include "flow/walk.h"

#include <stdlib.h>
#include <string.h>

#include "flow/name.h"

#define WINDOW (256u << 10) /* more than the largest record: 46 + 3 x 65,535 bytes */
#define AHEAD_DIRECTORY WINDOW
#define AHEAD_LOCAL 2048u /* a descriptor, a header with name and extra field */
#define RECORD_SIZE 46
#define HEADER_SIZE 30
#define VERSION_MAX 63
#define SHORT_MAX 0xffffu
#define LONG_MAX 0xffffffffu
#define STORED 0
#define DEFLATE 8

/* General purpose flags. */
#define ENCRYPTED (1u << 0)
#define STREAMED (1u << 3)
#define PATCHED (1u << 5)
#define STRONGLY_ENCRYPTED (1u << 6)
#define UTF8 (1u << 11)
#define MASKED (1u << 13)
#define FORBIDDEN (ENCRYPTED | PATCHED | STRONGLY_ENCRYPTED | MASKED)
#define COMPARED (FORBIDDEN | STREAMED | UTF8)

#define TYPE_MASK 0170000u
#define TYPE_FOLDER 0040000u
#define TYPE_FILE 0100000u

#define REFUSE(err, ...) dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT, __VA_ARGS__)

struct walking {
	struct dif_walk *w;
	struct dif_error *err;
	struct dif_end end;
	uint8_t *window;
	uint64_t at; /* of the window in the file */
	size_t n;    /* bytes in it */
	size_t ahead;
};

/* n bytes of the file at offset, valid until the next view; NULL: err says why. */
static const uint8_t *view(struct walking *k, uint64_t offset, size_t n)
{
	struct dif_walk *w = k->w;
	if (n > w->bytes || offset > w->bytes - n) {
		REFUSE(k->err, "a header runs over the end of the file");
		return NULL;
	}
	if (offset < k->at || offset + n > k->at + k->n) {
		uint64_t left = w->bytes - offset;
		size_t want = n > k->ahead ? n : k->ahead;
		want = want > left ? (size_t)left : want;
		k->n = 0;
		if (!dif_package_read(w->fd, k->window, want, offset, k->err)) {
			return NULL;
		}
		k->at = offset;
		k->n = want;
	}
	return k->window + (offset - k->at);
}

static bool refuse_entry(struct walking *k, const struct dif_listed *m, const char *why)
{
	struct dif_shown shown;
	return REFUSE(k->err, "entry '%s': %s", dif_name_show(&shown, m->raw, m->nraw), why);
}

/* Flags, method, version: the same limits for both headers. */
static const char *judge_head(uint16_t version, uint16_t flags, uint16_t method)
{
	if ((flags & (ENCRYPTED | STRONGLY_ENCRYPTED | MASKED)) != 0) {
		return "it is encrypted";
	}
	if ((flags & PATCHED) != 0) {
		return "it is patch data";
	}
	if (method != STORED && method != DEFLATE) {
		return "its method is neither stored nor deflate";
	}
	if ((version & 0xff) > VERSION_MAX) {
		return "it needs a version above 6.3";
	}
	return NULL;
}

/* The type in the upper half of the attributes counts, whatever 'made by' says. */
static const char *judge_type(uint32_t attributes, const struct dif_listed *m)
{
	unsigned type = attributes >> 16 & TYPE_MASK;
	if (type == TYPE_FOLDER) {
		return m->folder ? NULL : "it is a folder without a slash";
	}
	return type == 0 || type == TYPE_FILE ? NULL : "it is a link, a pipe or a device";
}

/* An empty deflate stream is two bytes, and Java writes one for a folder. */
static const char *judge_folder(const struct dif_listed *m)
{
	if (m->size != 0 || m->crc != 0 || m->packed > (m->method == DEFLATE ? 2u : 0u)) {
		return "it is a folder with data";
	}
	return NULL;
}

static const char *judge_sizes(struct walking *k, const struct dif_listed *m)
{
	struct dif_walk *w = k->w;
	if (m->folder) {
		return judge_folder(m);
	}
	if (m->size > (uint64_t)w->limits->entry) {
		return "it is over the limit of one entry";
	}
	if (m->method == STORED && m->packed != m->size) {
		return "it is stored, and its sizes differ";
	}
	if (m->packed / 2 > m->size + 2048) { /* 2 x size + 4096, and no overflow */
		return "its packed size is out of proportion";
	}
	if (__builtin_add_overflow(w->total, m->size, &w->total) ||
	    w->total > (uint64_t)w->limits->total) {
		return "all entries together are over the limit";
	}
	return NULL;
}

/* Name and Unicode Path into the arena. */
static bool take_name(struct walking *k, struct dif_span raw, struct dif_span path,
                      struct dif_listed *m)
{
	struct dif_walk *w = k->w;
	struct dif_name name;
	if (!dif_name_take(w->arena, raw.p, raw.n, (m->flags & UTF8) != 0, w->limits, &name,
	                   k->err)) {
		return false;
	}
	m->name = name.s;
	m->folder = name.folder;
	m->nraw = (uint16_t)raw.n;
	m->raw = (const uint8_t *)name.s;
	if (name.cp437) {
		w->cp437++;
		m->raw = dif_arena_copy(w->arena, raw.p, raw.n);
	}
	if (path.p != NULL) {
		m->nunicode = (uint16_t)path.n;
		m->unicode_path = dif_arena_copy(w->arena, path.p, path.n);
	}
	if (w->arena->failed) {
		return REFUSE(k->err, "its names are over the limit of memory");
	}
	const char *why = path.p != NULL ? dif_walk_unicode_path(path, raw, m->name) : NULL;
	return why == NULL || refuse_entry(k, m, why);
}

static bool take_record(struct walking *k, const uint8_t *p, struct dif_listed *m)
{
	struct dif_span raw = {.p = p + RECORD_SIZE, .n = dif_le16(p + 28)};
	struct dif_span extra = {.p = raw.p + raw.n, .n = dif_le16(p + 30)};
	struct dif_span path = {0};
	struct dif_value v[] = {{dif_le32(p + 24), LONG_MAX, 8},
	                        {dif_le32(p + 20), LONG_MAX, 8},
	                        {dif_le32(p + 42), LONG_MAX, 8},
	                        {dif_le16(p + 34), SHORT_MAX, 4}};
	m->flags = dif_le16(p + 8);
	m->method = dif_le16(p + 10);
	m->crc = dif_le32(p + 16);
	const char *bad = dif_walk_extra(extra, false, v, 4, &path);
	if (!take_name(k, raw, bad == NULL ? path : (struct dif_span){0}, m)) {
		return false;
	}
	m->size = v[0].v;
	m->packed = v[1].v;
	m->header = v[2].v;
	const char *why = judge_head(dif_le16(p + 6), m->flags, m->method);
	why = why != NULL ? why : bad;
	if (why == NULL && v[3].v != 0) {
		why = "it lies on another disk: the archive is split";
	}
	why = why != NULL ? why : judge_type(dif_le32(p + 38), m);
	why = why != NULL ? why : judge_sizes(k, m);
	if (why == NULL && (m->header > k->end.start || m->packed > k->end.start)) {
		why = "it runs over the directory";
	}
	return why == NULL || refuse_entry(k, m, why);
}

static bool walk_directory(struct walking *k)
{
	struct dif_walk *w = k->w;
	uint64_t at = k->end.start, end = at + k->end.size;
	if (k->end.count > k->end.size / RECORD_SIZE) {
		return REFUSE(k->err, "its end record counts more entries than the directory has");
	}
	w->n = (uint32_t)k->end.count;
	w->members = dif_arena_alloc(w->arena, ((size_t)w->n + 1) * sizeof *w->members);
	if (w->members == NULL) {
		return REFUSE(k->err, "its directory is over the limit of memory");
	}
	k->ahead = AHEAD_DIRECTORY;
	for (uint32_t i = 0; i < w->n; i++) {
		if (end - at < RECORD_SIZE) {
			return REFUSE(k->err, "its directory has fewer entries than counted");
		}
		const uint8_t *p = view(k, at, RECORD_SIZE);
		if (p == NULL) {
			return false;
		}
		if (memcmp(p, "PK\1\2", 4) != 0) {
			return REFUSE(k->err, "its directory has fewer entries than counted");
		}
		size_t n = RECORD_SIZE + (size_t)dif_le16(p + 28) + dif_le16(p + 30) +
		           dif_le16(p + 32);
		if (n > end - at) {
			return REFUSE(k->err, "its directory runs over the end record");
		}
		p = view(k, at, n);
		if (p == NULL || !take_record(k, p, &w->members[i])) {
			return false;
		}
		at += n;
	}
	return at == end || REFUSE(k->err, "its directory has more than the entries counted");
}

static bool same_or_streamed(uint64_t local, uint64_t listed, const struct dif_listed *m)
{
	return local == listed || (local == 0 && (m->flags & STREAMED) != 0);
}

/* Compares the fixed part and the extra field; dates and versions may be unlike. */
static const char *compare_header(const uint8_t *p, const struct dif_listed *m)
{
	size_t nraw = dif_le16(p + 26);
	if (nraw != m->nraw || memcmp(p + HEADER_SIZE, m->raw, nraw) != 0) {
		return "its local header has another name";
	}
	uint16_t flags = dif_le16(p + 6), method = dif_le16(p + 8);
	const char *why = judge_head(dif_le16(p + 4), flags, method);
	if (why != NULL) {
		return why;
	}
	if ((flags & COMPARED) != (m->flags & COMPARED)) {
		return "its local header has other flags";
	}
	if (method != m->method) {
		return "its local header has another method";
	}
	struct dif_value v[] = {{dif_le32(p + 22), LONG_MAX, 8}, {dif_le32(p + 18), LONG_MAX, 8}};
	struct dif_span extra = {.p = p + HEADER_SIZE + nraw, .n = dif_le16(p + 28)}, path = {0};
	why = dif_walk_extra(extra, true, v, 2, &path);
	if (why != NULL) {
		return why;
	}
	if (path.n != m->nunicode || (path.p != NULL) != (m->unicode_path != NULL) ||
	    (path.p != NULL && memcmp(path.p, m->unicode_path, path.n) != 0)) {
		return "its Unicode Path field differs between local header and directory";
	}
	if (!same_or_streamed(dif_le32(p + 14), m->crc, m)) {
		return "its local header has another CRC";
	}
	if (!same_or_streamed(v[0].v, m->size, m) || !same_or_streamed(v[1].v, m->packed, m)) {
		return "its local header has another size";
	}
	return NULL;
}

/* CRC, packed size, size: with or without a signature, with sizes of 4 or 8 bytes. The length tells
 * which. */
static bool is_descriptor(const uint8_t *p, size_t n, const struct dif_listed *m)
{
	bool marked = n == 16 || n == 24;
	if (marked && memcmp(p, "PK\7\x08", 4) != 0) {
		return false;
	}
	p += marked ? 4 : 0;
	bool wide = n >= 20;
	uint64_t packed = wide ? dif_le64(p + 4) : dif_le32(p + 4);
	uint64_t size = wide ? dif_le64(p + 12) : dif_le32(p + 8);
	return dif_le32(p) == m->crc && packed == m->packed && size == m->size;
}

/* What lies between the end of a member's data and what is claimed next. */
static bool check_gap(struct walking *k, const struct dif_listed *m, uint64_t from, uint64_t gap)
{
	if ((m->flags & STREAMED) == 0) {
		return gap == 0 ||
		       refuse_entry(k, m, "behind it are bytes that belong to nobody (gap)");
	}
	if (gap != 12 && gap != 16 && gap != 20 && gap != 24) {
		return refuse_entry(k, m,
		                    gap < 12 ? "its descriptor is missing"
		                             : "behind it are bytes that belong to nobody (gap)");
	}
	const uint8_t *p = view(k, from, (size_t)gap);
	if (p == NULL) {
		return false;
	}
	return is_descriptor(p, (size_t)gap, m) || refuse_entry(k, m, "its descriptor is false");
}

/* m's local header, then its data up to next, where the next thing begins. */
static bool walk_member(struct walking *k, struct dif_listed *m, uint64_t next)
{
	const uint8_t *p = view(k, m->header, HEADER_SIZE);
	if (p == NULL) {
		return false;
	}
	if (memcmp(p, "PK\3\4", 4) != 0) {
		return refuse_entry(k, m, "there is no local header where the directory says");
	}
	size_t n = HEADER_SIZE + (size_t)dif_le16(p + 26) + dif_le16(p + 28);
	p = view(k, m->header, n);
	if (p == NULL) {
		return false;
	}
	const char *why = compare_header(p, m);
	if (why != NULL) {
		return refuse_entry(k, m, why);
	}
	m->data = m->header + n;
	uint64_t end = m->data + m->packed; /* both are below the size of the file */
	if (end > next) {
		return refuse_entry(k, m,
		                    next == k->end.start ? "it runs over the directory (overlap)"
		                                         : "it overlaps the next entry");
	}
	if (m->folder && m->packed != 0) {
		p = view(k, m->data, (size_t)m->packed);
		if (p == NULL) {
			return false;
		}
		if (m->packed != 2 || memcmp(p, "\3\0", 2) != 0) {
			return refuse_entry(k, m, "it is a folder with data");
		}
	}
	return check_gap(k, m, end, next - end);
}

static int by_header(const void *a, const void *b)
{
	const struct dif_listed *l = *(struct dif_listed *const *)a;
	const struct dif_listed *r = *(struct dif_listed *const *)b;
	return (l->header > r->header) - (l->header < r->header);
}

static bool walk_members(struct walking *k)
{
	struct dif_walk *w = k->w;
	struct dif_listed **order = calloc((size_t)w->n + 1, sizeof(struct dif_listed *));
	if (order == NULL) {
		dif_error_set(k->err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	for (uint32_t i = 0; i < w->n; i++) {
		order[i] = &w->members[i];
	}
	qsort(order, w->n, sizeof(struct dif_listed *), by_header);
	uint64_t first = w->n > 0 ? order[0]->header : k->end.start;
	bool good =
		first == 0 ||
		REFUSE(k->err, "before its first entry are bytes that belong to nobody (prefix)");
	k->ahead = AHEAD_LOCAL;
	for (uint32_t i = 0; good && i < w->n; i++) {
		uint64_t next = i + 1 < w->n ? order[i + 1]->header : k->end.start;
		good = (i + 1 < w->n && next == order[i]->header)
		               ? refuse_entry(k, order[i],
		                              "it overlaps another entry: both share "
		                              "one local header")
		               : walk_member(k, order[i], next);
	}
	free(order);
	return good;
}

bool dif_walk(struct dif_walk *w, struct dif_error *err)
{
	struct walking k = {.w = w, .err = err};
	if (!dif_walk_end(w, &k.end, err)) {
		return false;
	}
	k.window = malloc(WINDOW);
	if (k.window == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	bool good = walk_directory(&k) && walk_members(&k);
	free(k.window);
	return good;
}
