/* inflate - one entry's bytes out of the package, with every check that is due: never more than the
 * declared size, exactly the packed bytes consumed, CRC-32 right, empty entries too.
 *
 * Whole entries go through libdeflate, twice as fast; large ones stream through zlib, so that
 * memory stays bounded.
 */
#include "flow/inflate.h"

#include <inttypes.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "flow/walk.h"

#define STREAM_IN (64u << 10)
#define DEFLATE 8

uint32_t dif_crc32(uint32_t crc, const void *p, size_t n)
{
	return libdeflate_crc32(crc, p, n);
}

static bool fail(struct dif_error *err, const struct dif_member *m, const char *why)
{
	return dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_INTEGRITY, "could not read entry '%s': %s",
	                      m->path, why);
}

static bool check_crc(struct dif_error *err, const struct dif_member *m, uint32_t crc)
{
	return crc == m->crc || dif_error_exit(err, DIF_EXIT_DIGEST, DIF_INTEGRITY,
	                                       "could not read entry '%s': its CRC-32 is %08" PRIx32
	                                       ", the package says %08" PRIx32,
	                                       m->path, crc, m->crc);
}

bool dif_inflate_fits(const struct dif_member *m)
{
	return m->size <= DIF_WHOLE_MAX && m->packed <= DIF_WHOLE_MAX;
}

struct libdeflate_decompressor *dif_inflate_tool(void)
{
	return libdeflate_alloc_decompressor();
}

void dif_inflate_tool_free(struct libdeflate_decompressor *tool)
{
	if (tool != NULL) {
		libdeflate_free_decompressor(tool);
	}
}

bool dif_inflate_whole(struct libdeflate_decompressor *tool, const struct dif_member *m,
                       const void *packed, void *to, struct dif_error *err)
{
	size_t used = (size_t)m->packed, got = (size_t)m->size;
	if (m->method == DEFLATE) {
		enum libdeflate_result r = libdeflate_deflate_decompress_ex(
			tool, packed, (size_t)m->packed, to, (size_t)m->size, &used, &got);
		if (r == LIBDEFLATE_INSUFFICIENT_SPACE) {
			return fail(err, m, "it is larger than its size says");
		}
		if (r != LIBDEFLATE_SUCCESS) {
			return fail(err, m, "its deflate data is damaged or cut off");
		}
	} else if (m->packed != m->size) {
		return fail(err, m, "it is stored, and its sizes differ");
	} else if (packed != to) {
		memcpy(to, packed, got);
	}
	if (got != m->size) {
		return fail(err, m, "it is smaller than its size says");
	}
	if (used != m->packed) {
		return fail(err, m, "bytes follow its deflate data (trailing)");
	}
	return check_crc(err, m, dif_crc32(0, to, got));
}

struct dif_inflater {
	int fd;
	struct dif_member m;
	z_stream z;
	uint64_t taken, given; /* of the packed bytes; of the plain ones */
	uint32_t crc;
	bool ended; /* the deflate stream said so */
	uint8_t in[STREAM_IN];
};

struct dif_inflater *dif_inflater_open(const struct dif_package *p, const struct dif_member *m,
                                       struct dif_error *err)
{
	struct dif_inflater *i = calloc(1, sizeof *i);
	if (i == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read entry '%s': out of memory",
		              m->path);
		return NULL;
	}
	i->fd = p->fd;
	i->m = *m;
	if (inflateInit2(&i->z, -MAX_WBITS) != Z_OK) {
		dif_error_set(err, DIF_TRANSIENT, "could not read entry '%s': out of memory",
		              m->path);
		free(i);
		return NULL;
	}
	return i;
}

void dif_inflater_close(struct dif_inflater *i)
{
	if (i != NULL) {
		inflateEnd(&i->z);
		free(i);
	}
}

static bool refill(struct dif_inflater *i, struct dif_error *err)
{
	uint64_t left = i->m.packed - i->taken;
	size_t n = left < STREAM_IN ? (size_t)left : STREAM_IN;
	if (!dif_package_read(i->fd, i->in, n, i->m.offset + i->taken, err)) {
		return false;
	}
	i->taken += n;
	i->z.next_in = i->in;
	i->z.avail_in = (unsigned)n;
	return true;
}

/* Up to max plain bytes; 0: the stream is at its end. */
static int64_t inflate_some(struct dif_inflater *i, void *to, size_t max, struct dif_error *err)
{
	i->z.next_out = to;
	i->z.avail_out = (unsigned)(max < UINT32_MAX ? max : UINT32_MAX);
	unsigned room = i->z.avail_out;
	while (!i->ended && i->z.avail_out == room) {
		if (i->z.avail_in == 0 && i->taken < i->m.packed && !refill(i, err)) {
			return -1;
		}
		int r = inflate(&i->z, Z_NO_FLUSH);
		if (r == Z_STREAM_END) {
			i->ended = true;
		} else if (r == Z_BUF_ERROR && i->z.avail_in == 0 && i->taken == i->m.packed) {
			return fail(err, &i->m, "its deflate data is cut off") - 1;
		} else if (r != Z_OK && r != Z_BUF_ERROR) {
			return fail(err, &i->m, "its deflate data is damaged") - 1;
		}
	}
	return (int64_t)(room - i->z.avail_out);
}

static int64_t copy_some(struct dif_inflater *i, void *to, size_t max, struct dif_error *err)
{
	uint64_t left = i->m.packed - i->taken;
	size_t n = left < max ? (size_t)left : max;
	if (!dif_package_read(i->fd, to, n, i->m.offset + i->taken, err)) {
		return -1;
	}
	i->taken += n;
	return (int64_t)n;
}

int64_t dif_inflater_read(struct dif_inflater *i, void *to, size_t max, struct dif_error *err)
{
	uint64_t left = i->m.size - i->given;
	uint8_t extra; /* one byte past the end, so that an entry that goes on is noticed */
	void *into = left > 0 ? to : &extra;
	size_t room = left > 0 ? (left < max ? (size_t)left : max) : sizeof extra;
	int64_t n = i->m.method == DEFLATE ? inflate_some(i, into, room, err)
	                                   : copy_some(i, into, room, err);
	if (n < 0) {
		return -1;
	}
	if (n > 0 && left == 0) {
		return fail(err, &i->m, "it is larger than its size says") - 1;
	}
	if (n > 0) {
		i->crc = dif_crc32(i->crc, to, (size_t)n);
		i->given += (uint64_t)n;
		return n;
	}
	if (left > 0) {
		return fail(err, &i->m, "it is smaller than its size says") - 1;
	}
	if (i->taken != i->m.packed || i->z.avail_in != 0) {
		return fail(err, &i->m, "bytes follow its deflate data (trailing)") - 1;
	}
	return check_crc(err, &i->m, i->crc) ? 0 : -1;
}

static bool inflate_streaming(const struct dif_package *p, const struct dif_member *m, void *to,
                              struct dif_error *err)
{
	struct dif_inflater *i = dif_inflater_open(p, m, err);
	if (i == NULL) {
		return false;
	}
	char *at = to;
	int64_t n;
	do {
		n = dif_inflater_read(i, at, (size_t)m->size - (size_t)(at - (char *)to), err);
		at += n > 0 ? n : 0;
	} while (n > 0);
	dif_inflater_close(i);
	return n == 0;
}

/* The packed bytes of most entries fit; what had to be larger is not kept. */
#define PACKED_KEPT (256u << 10)

struct dif_inflate_kit {
	struct libdeflate_decompressor *tool;
	void *packed;
	size_t room;
};

struct dif_inflate_kit *dif_inflate_kit_new(void)
{
	struct dif_inflate_kit *kit = calloc(1, sizeof *kit);
	if (kit == NULL || (kit->tool = dif_inflate_tool()) == NULL) {
		free(kit);
		return NULL;
	}
	return kit;
}

void dif_inflate_kit_free(struct dif_inflate_kit *kit)
{
	if (kit != NULL) {
		dif_inflate_tool_free(kit->tool);
		free(kit->packed);
		free(kit);
	}
}

static bool make_room(struct dif_inflate_kit *kit, size_t n)
{
	if (n > kit->room || kit->packed == NULL) {
		free(kit->packed);
		kit->room = n > PACKED_KEPT ? n : PACKED_KEPT;
		kit->packed = malloc(kit->room);
	}
	return kit->packed != NULL;
}

static void keep_little(struct dif_inflate_kit *kit)
{
	if (kit->room > PACKED_KEPT) {
		free(kit->packed);
		kit->packed = NULL;
	}
}

bool dif_inflate_kit_use(struct dif_inflate_kit *kit, const struct dif_package *p,
                         const struct dif_member *m, void *to, struct dif_error *err)
{
	if (!dif_inflate_fits(m)) {
		return inflate_streaming(p, m, to, err);
	}
	if (m->method != DEFLATE) {
		return m->packed == m->size
		               ? dif_package_read(p->fd, to, (size_t)m->size, m->offset, err) &&
		                         check_crc(err, m, dif_crc32(0, to, (size_t)m->size))
		               : fail(err, m, "it is stored, and its sizes differ");
	}
	if (!make_room(kit, (size_t)m->packed)) {
		dif_error_set(err, DIF_TRANSIENT, "could not read entry '%s': out of memory",
		              m->path);
		return false;
	}
	bool good = dif_package_read(p->fd, kit->packed, (size_t)m->packed, m->offset, err) &&
	            dif_inflate_whole(kit->tool, m, kit->packed, to, err);
	keep_little(kit);
	return good;
}

bool dif_ingest_inflate(const struct dif_package *p, const struct dif_member *m, void *to,
                        struct dif_error *err)
{
	struct dif_inflate_kit *kit = dif_inflate_kit_new();
	if (kit == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read entry '%s': out of memory",
		              m->path);
		return false;
	}
	bool good = dif_inflate_kit_use(kit, p, m, to, err);
	dif_inflate_kit_free(kit);
	return good;
}
