/* manifest - kept in the state as one text, so that a person can read what was published:
 *
 *   difusor-manifest 1
 *   order EPOCH NUMBER SHA256
 *   profile NAME
 *   members N
 *   PATH TAB offset TAB packed TAB size TAB crc TAB method TAB FORM TAB FORM
 *   end N
 *
 * FORM is `-` where it is not offered, else `size,sha256=HEX,md5=HEX,...`. In PATH, `%` and bytes
 * below a space are written %XX. `end` tells a whole text from one that was cut.
 */
#include "flow/manifest.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

#define VERSION 1
/* 100,000 members of about 200 bytes, with paths of 900 at worst, and room. */
#define MEMORY_MAX ((size_t)192 << 20)
/* The shortest member line: one byte of path, five numbers, two dashes, tabs. */
#define LINE_MIN 24
#define FIELDS 8

const uint8_t dif_gzip_header[DIF_GZIP_HEADER] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};

void dif_gzip_trailer(uint8_t to[DIF_GZIP_TRAILER], uint32_t crc, uint64_t size)
{
	for (unsigned i = 0; i < 4; i++) {
		to[i] = (uint8_t)(crc >> (8 * i));
		to[4 + i] = (uint8_t)(size >> (8 * i));
	}
}

int dif_order_compare(const struct dif_order *a, const struct dif_order *b)
{
	if (a->epoch != b->epoch) {
		return a->epoch < b->epoch ? -1 : 1;
	}
	if (a->number != b->number) {
		return a->number < b->number ? -1 : 1;
	}
	return strcmp(a->sha256, b->sha256);
}

struct dif_manifest *dif_manifest_new(void)
{
	struct dif_manifest *m = calloc(1, sizeof *m);
	if (m == NULL) {
		return NULL;
	}
	m->refs = 1;
	m->profile = "";
	dif_arena_init(&m->arena, MEMORY_MAX, false);
	return m;
}

struct dif_manifest *dif_manifest_ref(struct dif_manifest *m)
{
	assert(m->refs > 0 && m->refs < UINT32_MAX);
	m->refs++;
	return m;
}

void dif_manifest_unref(struct dif_manifest *m)
{
	if (m == NULL) {
		return;
	}
	assert(m->refs > 0);
	if (--m->refs == 0) {
		dif_arena_fini(&m->arena);
		free(m);
	}
}

static int by_path(const void *key, const void *member)
{
	return strcmp(key, ((const struct dif_member *)member)->path);
}

const struct dif_member *dif_manifest_find(const struct dif_manifest *m, const char *path)
{
	return m->n == 0 ? NULL : bsearch(path, m->members, m->n, sizeof *m->members, by_path);
}

/* The digests that a form keeps, and where. */
static const struct kept {
	const char *name;
	size_t offset, size;
	uint32_t has;
} kept[] = {
	{"sha256", offsetof(struct dif_form, sha256), 32, DIF_HAS(DIF_SHA256)},
	{"md5", offsetof(struct dif_form, md5), 16, DIF_HAS(DIF_MD5)},
	{"crc32", offsetof(struct dif_form, crc32), 4, DIF_HAS(DIF_CRC32)},
	{"crc32c", offsetof(struct dif_form, crc32c), 4, DIF_HAS(DIF_CRC32C)},
};
#define NKEPT (sizeof kept / sizeof kept[0])

static void write_path(const char *path, struct dif_buf *out)
{
	const char *at = path;
	while (*at != '\0') {
		size_t plain = 0;
		while ((unsigned char)at[plain] >= ' ' && at[plain] != '%') {
			plain++;
		}
		dif_buf_add(out, at, plain);
		at += plain;
		if (*at != '\0') {
			char code[4] = "%";
			dif_hex(code + 1, at, 1);
			dif_buf_add(out, code, 3);
			at++;
		}
	}
}

static void write_form(const struct dif_form *f, struct dif_buf *out)
{
	if (f->has == 0) {
		dif_buf_add(out, "\t-", 2);
		return;
	}
	dif_buf_fmt(out, "\t%" PRIu64, f->size);
	for (size_t i = 0; i < NKEPT; i++) {
		if ((f->has & kept[i].has) != 0) {
			char hex[65];
			dif_hex(hex, (const char *)f + kept[i].offset, kept[i].size);
			dif_buf_add(out, ",", 1);
			dif_buf_add(out, kept[i].name, strlen(kept[i].name));
			dif_buf_add(out, "=", 1);
			dif_buf_add(out, hex, 2 * kept[i].size);
		}
	}
}

bool dif_manifest_write(const struct dif_manifest *m, struct dif_buf *out)
{
	dif_buf_fmt(out, "difusor-manifest %d\norder %" PRId64 " %" PRId64 " %s\n", VERSION,
	            m->order.epoch, m->order.number,
	            m->order.sha256[0] != '\0' ? m->order.sha256 : "-");
	dif_buf_fmt(out, "profile %s\nmembers %" PRIu32 "\n",
	            m->profile[0] != '\0' ? m->profile : "-", m->n);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct dif_member *e = &m->members[i];
		write_path(e->path, out);
		dif_buf_fmt(out, "\t%" PRIu64 "\t%" PRIu64 "\t%" PRIu64 "\t%08" PRIx32 "\t%" PRIu32,
		            e->offset, e->packed, e->size, e->crc, e->method);
		for (uint32_t f = 0; f < DIF_FORMS; f++) {
			write_form(&e->form[f], out);
		}
		dif_buf_add(out, "\n", 1);
	}
	dif_buf_fmt(out, "end %" PRIu32 "\n", m->n);
	return !out->failed;
}

/* The text while it is read: cut in place into lines and fields. */
struct reading {
	struct dif_manifest *m;
	char *at, *end;
	uint32_t line;
};

/* The next line without its newline, NULL: there is none that is whole. */
static char *next_line(struct reading *r)
{
	char *nl = r->at < r->end ? memchr(r->at, '\n', (size_t)(r->end - r->at)) : NULL;
	if (nl == NULL) {
		return NULL;
	}
	char *line = r->at;
	*nl = '\0';
	r->at = nl + 1;
	r->line++;
	return line;
}

/* What follows `word ` in the next line, NULL: it says something else. */
static char *expect(struct reading *r, const char *word)
{
	char *line = next_line(r);
	size_t n = strlen(word);
	return line != NULL && strncmp(line, word, n) == 0 && line[n] == ' ' ? line + n + 1 : NULL;
}

static bool read_path(char *field, const char **out)
{
	char *to = field;
	for (char *at = field; *at != '\0'; at++) {
		if (*at == '%') {
			uint8_t byte;
			char code[3] = {at[1], at[1] != '\0' ? at[2] : '\0', '\0'};
			if (!dif_parse_hex(code, &byte, 1) || byte == 0) {
				return false;
			}
			*to++ = (char)byte;
			at += 2;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
	*out = field;
	return *field != '\0';
}

static bool read_digest(char *text, struct dif_form *f)
{
	char *hex = strchr(text, '=');
	if (hex == NULL) {
		return false;
	}
	*hex++ = '\0';
	for (size_t i = 0; i < NKEPT; i++) {
		if (strcmp(text, kept[i].name) == 0 && (f->has & kept[i].has) == 0) {
			f->has |= kept[i].has;
			return dif_parse_hex(hex, (char *)f + kept[i].offset, kept[i].size);
		}
	}
	return false;
}

static bool read_form(char *field, struct dif_form *f)
{
	if (strcmp(field, "-") == 0) {
		return true;
	}
	char *next = strchr(field, ',');
	if (next == NULL) {
		return false;
	}
	*next++ = '\0';
	if (!dif_parse_uint(field, UINT64_MAX, &f->size)) {
		return false;
	}
	while (next != NULL) {
		char *digest = next;
		next = strchr(digest, ',');
		if (next != NULL) {
			*next++ = '\0';
		}
		if (!read_digest(digest, f)) {
			return false;
		}
	}
	return true;
}

static bool read_member(char *line, struct dif_member *e)
{
	char *field[FIELDS];
	for (size_t i = 0; i < FIELDS; i++) {
		field[i] = line;
		line = line != NULL ? strchr(line, '\t') : NULL;
		if (line != NULL) {
			*line++ = '\0';
		} else if (i != FIELDS - 1) {
			return false;
		}
	}
	uint8_t crc[4];
	uint64_t method;
	if (line != NULL || !read_path(field[0], &e->path) ||
	    !dif_parse_uint(field[1], UINT64_MAX, &e->offset) ||
	    !dif_parse_uint(field[2], UINT64_MAX, &e->packed) ||
	    !dif_parse_uint(field[3], UINT64_MAX, &e->size) || !dif_parse_hex(field[4], crc, 4) ||
	    !dif_parse_uint(field[5], UINT16_MAX, &method)) {
		return false;
	}
	e->crc = (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];
	e->method = (uint32_t)method;
	return read_form(field[6], &e->form[0]) && read_form(field[7], &e->form[1]);
}
_Static_assert(DIF_FORMS == 2 && FIELDS == 6 + DIF_FORMS, "a line has one field for each form");

static bool read_order(struct reading *r)
{
	struct dif_order *o = &r->m->order;
	char *epoch = expect(r, "order");
	char *number = epoch != NULL ? strchr(epoch, ' ') : NULL;
	char *sha = number != NULL ? strchr(number + 1, ' ') : NULL;
	if (sha == NULL) {
		return false;
	}
	*number++ = '\0';
	*sha++ = '\0';
	uint8_t bytes[32];
	if (strcmp(sha, "-") != 0) {
		if (!dif_parse_hex(sha, bytes, sizeof bytes)) {
			return false;
		}
		dif_hex(o->sha256, bytes, sizeof bytes);
	}
	return dif_parse_int(epoch, INT64_MIN, INT64_MAX, &o->epoch) &&
	       dif_parse_int(number, INT64_MIN, INT64_MAX, &o->number);
}

static bool read_head(struct reading *r)
{
	if (!read_order(r)) {
		return false;
	}
	r->m->profile = expect(r, "profile");
	const char *count = expect(r, "members");
	uint64_t n, most = (uint64_t)(r->end - r->at) / LINE_MIN;
	if (r->m->profile == NULL || count == NULL || !dif_parse_uint(count, most, &n)) {
		return false;
	}
	if (strcmp(r->m->profile, "-") == 0) {
		r->m->profile = "";
	}
	r->m->n = (uint32_t)n;
	r->m->members = dif_arena_alloc(&r->m->arena, (n + 1) * sizeof *r->m->members);
	return r->m->members != NULL;
}

static bool read_all(struct reading *r)
{
	struct dif_manifest *m = r->m;
	if (!read_head(r)) {
		return false;
	}
	for (uint32_t i = 0; i < m->n; i++) {
		struct dif_member *e = &m->members[i];
		char *line = next_line(r);
		if (line == NULL || !read_member(line, e) ||
		    (i > 0 && strcmp(e[-1].path, e->path) >= 0) ||
		    __builtin_add_overflow(m->bytes, e->size, &m->bytes)) {
			return false;
		}
	}
	const char *count = expect(r, "end");
	uint64_t n;
	return count != NULL && dif_parse_uint(count, UINT32_MAX, &n) && n == m->n &&
	       r->at == r->end;
}

struct dif_manifest *dif_manifest_read(struct dif_bytes in, struct dif_error *err)
{
	struct dif_manifest *m = dif_manifest_new();
	char *text = m != NULL ? dif_arena_copy(&m->arena, in.p, in.n) : NULL;
	if (text == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read manifest: out of memory");
		goto fail;
	}
	struct reading r = {.m = m, .at = text, .end = text + in.n};
	const char *version =
		memchr(text, '\0', in.n) == NULL ? expect(&r, "difusor-manifest") : NULL;
	if (version == NULL) {
		dif_error_set(err, DIF_PERMANENT, "could not read manifest: it is none");
		goto fail;
	}
	uint64_t v;
	if (!dif_parse_uint(version, VERSION, &v) || v != VERSION) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not read manifest: its version '%.20s' is not known", version);
		goto fail;
	}
	if (!read_all(&r)) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not read manifest: line %" PRIu32 " is damaged or missing",
		              r.line);
		goto fail;
	}
	return m;

fail:
	dif_manifest_unref(m);
	return NULL;
}
