/* walk - the strict walk over the raw bytes of a ZIP: every byte is claimed exactly once, and the
 * local headers say what the directory says. For flow/package only.
 */
#ifndef DIF_FLOW_WALK_H
#define DIF_FLOW_WALK_H

#include "base/arena.h"
#include "flow/package.h"

/* One record of the directory, folders included. */
struct dif_listed {
	const char *name;            /* as published; a folder keeps its slash */
	const uint8_t *raw;          /* as it stands in the file, nraw bytes */
	const uint8_t *unicode_path; /* the extra field of that name, NULL: none */
	uint64_t header, data;       /* offsets of the local header and of the data */
	uint64_t packed, size;
	uint32_t crc;
	uint16_t nraw, nunicode, method, flags;
	bool folder;
};

struct dif_walk {
	int fd;
	uint64_t bytes; /* size of the file */
	const struct dif_limits *limits;
	struct dif_arena *arena;    /* names and members */
	struct dif_listed *members; /* in the directory's order */
	uint32_t n, cp437;          /* how many; how many names came from code page 437 */
	uint64_t total;             /* bytes unpacked */
};

/* Fills in members, n, cp437 and total. Any thread. Refusals carry exit 6; a file that cannot be
 * read is transient. */
bool dif_walk(struct dif_walk *w, struct dif_error *err);

/* --- between its files --- */

/* Where the end records say that the directory lies. */
struct dif_end {
	uint64_t count, start, size;
};
/* walk_end.c: exactly one end record, at the very end, with or without ZIP64. */
bool dif_walk_end(const struct dif_walk *w, struct dif_end *out, struct dif_error *err);

struct dif_span {
	const uint8_t *p;
	size_t n;
};

/* A value of a header: its short field, which ZIP64 may replace where it is at its maximum. */
struct dif_value {
	uint64_t v;
	uint64_t max; /* of the short field: 0xffff or 0xffffffff */
	size_t width; /* of the long one */
};
/* walk_extra.c: checks the form of an extra field and all kinds that matter, fills in the values,
 * and tells the Unicode Path (p NULL: none). Returns why it is refused, NULL: it is good. */
const char *dif_walk_extra(struct dif_span extra, bool local, struct dif_value *values, size_t n,
                           struct dif_span *unicode_path);
/* Whether a Unicode Path belongs to the header's name and says the same as the published one. */
const char *dif_walk_unicode_path(struct dif_span path, struct dif_span raw, const char *name);

static inline uint16_t dif_le16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}
static inline uint32_t dif_le32(const uint8_t *p)
{
	return (uint32_t)dif_le16(p) | (uint32_t)dif_le16(p + 2) << 16;
}
static inline uint64_t dif_le64(const uint8_t *p)
{
	return (uint64_t)dif_le32(p) | (uint64_t)dif_le32(p + 4) << 32;
}

/* package.c: reads exactly n bytes; false with err where that cannot be. Any thread. */
bool dif_package_read(int fd, void *to, size_t n, uint64_t offset, struct dif_error *err);
/* inflate.c: CRC-32 as ZIP has it; start with 0. */
uint32_t dif_crc32(uint32_t crc, const void *p, size_t n);

#endif
