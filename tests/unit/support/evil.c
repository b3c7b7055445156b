#include "evil.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define FILES_MAX 65600

struct out {
	uint8_t *p;
	size_t n, cap;
};

struct place {
	size_t local, data, dir;
	uint32_t crc, packed, size;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (o->n + n > o->cap) {
		o->cap = 2 * (o->n + n) + 4096;
		o->p = realloc(o->p, o->cap);
		assert(o->p != NULL);
	}
	if (n > 0) {
		memcpy(o->p + o->n, p, n);
	}
	o->n += n;
}

static void bytes(struct out *o, struct evil_bytes b)
{
	put(o, b.p, b.n);
}

static void le(struct out *o, uint64_t v, unsigned width)
{
	for (unsigned i = 0; i < width; i++) {
		uint8_t byte = (uint8_t)(v >> (8 * i));
		put(o, &byte, 1);
	}
}

static void put_packed(struct out *o, const struct evil_file *f)
{
	if (f->raw.p != NULL) {
		bytes(o, f->raw);
	} else if (!f->deflate) {
		bytes(o, f->data);
	} else {
		z_stream z = {0};
		int r = deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 9, Z_DEFAULT_STRATEGY);
		assert(r == Z_OK);
		uLong most = deflateBound(&z, (uLong)f->data.n);
		uint8_t *to = malloc(most);
		assert(to != NULL);
		z.next_in = (void *)(uintptr_t)f->data.p;
		z.avail_in = (uInt)f->data.n;
		z.next_out = to;
		z.avail_out = (uInt)most;
		r = deflate(&z, Z_FINISH);
		assert(r == Z_STREAM_END);
		put(o, to, z.total_out);
		deflateEnd(&z);
		free(to);
	}
	bytes(o, f->tail);
}

static uint16_t flags_of(const struct evil_file *f)
{
	return (uint16_t)(f->flags | (f->descriptor > 0 ? 8 : 0));
}

static void put_zip64(struct out *o, const uint64_t *values, unsigned n)
{
	le(o, 1, 2);
	le(o, 8ull * n, 2);
	for (unsigned i = 0; i < n; i++) {
		le(o, values[i], 8);
	}
}

static uint32_t shorter(enum evil_64 kind, uint32_t v)
{
	return kind == EVIL_LONG ? UINT32_MAX : v;
}

static void put_local(struct out *o, const struct evil_file *f, const struct place *at)
{
	bool told = f->descriptor == 0 || f->told;
	uint64_t values[2] = {told ? at->size : 0, told ? at->packed : 0};
	put(o, "PK\3\4", 4);
	le(o, f->local64 != EVIL_SHORT ? 45 : 20, 2);
	le(o, flags_of(f), 2);
	le(o, f->deflate ? 8 : 0, 2);
	le(o, f->time, 4);
	le(o, told ? at->crc : 0, 4);
	le(o, shorter(f->local64, (uint32_t)values[1]), 4);
	le(o, shorter(f->local64, (uint32_t)values[0]), 4);
	le(o, f->name.n, 2);
	le(o, f->extra.n + (f->local64 != EVIL_SHORT ? 20 : 0), 2);
	bytes(o, f->name);
	if (f->local64 != EVIL_SHORT) {
		put_zip64(o, values, 2);
	}
	bytes(o, f->extra);
}

static void put_descriptor(struct out *o, const struct evil_file *f, const struct place *at)
{
	unsigned width = f->descriptor >= 20 ? 8 : 4;
	if (f->descriptor == 16 || f->descriptor == 24) {
		put(o, "PK\7\x08", 4);
	}
	if (f->descriptor > 0) {
		le(o, at->crc, 4);
		le(o, at->packed, width);
		le(o, at->size, width);
	}
}

static void put_member(struct out *o, const struct evil_file *f, struct place *at)
{
	struct out packed = {0};
	put_packed(&packed, f);
	at->crc = (uint32_t)crc32(0, f->data.p, (uInt)f->data.n);
	at->packed = (uint32_t)packed.n;
	at->size = (uint32_t)f->data.n;
	at->local = o->n;
	put_local(o, f, at);
	at->data = o->n;
	put(o, packed.p, packed.n);
	put_descriptor(o, f, at);
	bytes(o, f->gap);
	free(packed.p);
}

static void put_record(struct out *o, const struct evil_file *f, struct place *at, size_t base)
{
	uint64_t values[3] = {at->size, at->packed, at->local - base};
	at->dir = o->n;
	put(o, "PK\1\2", 4);
	le(o, f->made_by, 2);
	le(o, f->dir64 != EVIL_SHORT ? 45 : 20, 2);
	le(o, flags_of(f), 2);
	le(o, f->deflate ? 8 : 0, 2);
	le(o, f->time, 4);
	le(o, at->crc, 4);
	le(o, shorter(f->dir64, at->packed), 4);
	le(o, shorter(f->dir64, at->size), 4);
	le(o, f->name.n, 2);
	le(o, f->dir_extra.n + (f->dir64 != EVIL_SHORT ? 28 : 0), 2);
	le(o, f->comment.n, 2);
	le(o, 0, 2);
	le(o, 0, 2);
	le(o, f->attributes, 4);
	le(o, shorter(f->dir64, (uint32_t)values[2]), 4);
	bytes(o, f->name);
	if (f->dir64 != EVIL_SHORT) {
		put_zip64(o, values, 3);
	}
	bytes(o, f->dir_extra);
	bytes(o, f->comment);
}

/* Where a kind of record begins. */
struct ends {
	size_t end64, locator, end;
};

static void put_end(struct out *o, const struct evil_archive *a, size_t listed, size_t start,
                    struct ends *ends)
{
	size_t base = a->shifted ? a->prefix.n : 0, size = o->n - start;
	bytes(o, a->before_end);
	bool many = listed > 0xfffe;
	ends->end64 = o->n;
	if (a->end64) {
		put(o, "PK\6\6", 4);
		le(o, 44, 8);
		le(o, 45, 2);
		le(o, 45, 2);
		le(o, 0, 8);
		le(o, listed, 8);
		le(o, listed, 8);
		le(o, size, 8);
		le(o, start - base, 8);
		ends->locator = o->n;
		put(o, "PK\6\7", 4);
		le(o, 0, 4);
		le(o, ends->end64 - base, 8);
		le(o, 1, 4);
	}
	ends->end = o->n;
	put(o, "PK\5\6", 4);
	le(o, 0, 4);
	le(o, many ? 0xffff : listed, 2);
	le(o, many ? 0xffff : listed, 2);
	le(o, size, 4);
	le(o, start - base, 4);
	le(o, a->comment.n, 2);
	bytes(o, a->comment);
	bytes(o, a->trailing);
}

static void apply(struct out *o, const struct evil_patch *p, const struct place *at,
                  const struct ends *ends)
{
	const size_t where[] = {
		[EVIL_NOWHERE] = 0,
		[EVIL_LOCAL] = at[p->index].local,
		[EVIL_DIR] = at[p->index].dir,
		[EVIL_DATA] = at[p->index].data,
		[EVIL_END] = ends->end,
		[EVIL_END64] = ends->end64,
		[EVIL_LOCATOR] = ends->locator,
	};
	uint8_t *to = o->p + where[p->where] + p->offset;
	assert((size_t)(to - o->p) + p->width <= o->n);
	uint64_t carry = p->value;
	for (unsigned i = 0; i < p->width; i++) {
		uint64_t v = (carry & 0xff) + (p->add ? to[i] : 0);
		to[i] = (uint8_t)v;
		carry = (carry >> 8) + (v >> 8);
	}
}

uint8_t *evil_build(const struct evil_archive *a, size_t *n)
{
	struct out o = {0};
	struct ends ends = {0};
	assert(a->nfiles < FILES_MAX);
	struct place *at = calloc(a->nfiles + 1, sizeof *at);
	assert(at != NULL);
	bytes(&o, a->prefix);
	size_t base = a->shifted ? a->prefix.n : 0, listed = 0;
	for (size_t i = 0; i < a->nfiles; i++) {
		put_member(&o, &a->files[i], &at[i]);
	}
	bytes(&o, a->before_directory);
	size_t start = o.n;
	for (size_t i = 0; i < a->nfiles; i++) {
		size_t k = a->reversed ? a->nfiles - 1 - i : i;
		if (!a->files[k].unlisted) {
			put_record(&o, &a->files[k], &at[k], base);
			listed++;
		}
	}
	put_end(&o, a, listed, start, &ends);
	for (size_t i = 0; i < EVIL_PATCHES; i++) {
		if (a->patch[i].where != EVIL_NOWHERE) {
			apply(&o, &a->patch[i], at, &ends);
		}
	}
	free(at);
	*n = o.n - a->cut;
	return o.p;
}
