/* evil - writes ZIP archives byte by byte, with a knob for everything that an honest or a hostile
 * writer may do. Its deflate and CRC are zlib's, not the ones under test. */
#ifndef DIF_TESTS_EVIL_H
#define DIF_TESTS_EVIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct evil_bytes {
	const void *p;
	size_t n;
};
/* A string literal as bytes, NULs inside included. */
#define EVIL(s)                    \
	{                          \
		(s), sizeof(s) - 1 \
	}

enum evil_64 {
	EVIL_SHORT,     /* no ZIP64 field */
	EVIL_LONG,      /* short fields at their maximum, all values in a ZIP64 field */
	EVIL_REDUNDANT, /* short fields true, the same values in a ZIP64 field */
};

struct evil_file {
	struct evil_bytes name, data;
	bool deflate;
	uint16_t flags;      /* besides the descriptor's */
	unsigned descriptor; /* its length: 12, 16, 20 or 24; 0: none */
	bool told;           /* streamed, and the local header has CRC and sizes all the same */
	enum evil_64 local64, dir64;
	struct evil_bytes extra, dir_extra; /* behind the ZIP64 field */
	struct evil_bytes comment;
	struct evil_bytes raw;  /* instead of the packed data; sizes and CRC are still data's */
	struct evil_bytes tail; /* behind the packed data, counted as packed */
	struct evil_bytes gap;  /* behind the member, counted by nobody */
	uint32_t attributes, time;
	uint16_t made_by;
	bool unlisted;
};

enum evil_where {
	EVIL_NOWHERE,
	EVIL_LOCAL,
	EVIL_DIR,
	EVIL_DATA,
	EVIL_END,
	EVIL_END64,
	EVIL_LOCATOR
};

/* Overwrites width bytes, little-endian, or adds to what is there. */
struct evil_patch {
	enum evil_where where;
	unsigned index; /* of the file, or of its record */
	unsigned offset, width;
	uint64_t value;
	bool add;
};
#define EVIL_PATCHES 6

struct evil_archive {
	const struct evil_file *files;
	size_t nfiles;
	struct evil_bytes prefix, before_directory, before_end, comment, trailing;
	bool shifted;  /* offsets count the prefix, as those of a self-extracting archive do not */
	bool reversed; /* the directory is in the other order */
	bool end64;
	size_t cut; /* bytes missing at the end */
	struct evil_patch patch[EVIL_PATCHES];
};

/* malloc'ed; never NULL. */
uint8_t *evil_build(const struct evil_archive *a, size_t *n);

#endif
