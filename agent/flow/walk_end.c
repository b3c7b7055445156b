/* walk_end - the end records.
 *
 * A reader that searches for the end record can be shown another one than the reader next to it. So
 * there may be one only: its comment must end with the file, and no signature may lie in that
 * comment. Signatures inside the data of members do not count: data is not searched by anyone.
 */
#include <stdlib.h>
#include <string.h>

#include "flow/walk.h"

#define END_SIZE 22
#define COMMENT_MAX 0xffff
#define LOCATOR_SIZE 20
#define END64_SIZE 56
/* 30,000 entries need 4 MB. Names are held several times over, by libzip too: this bounds them. */
#define DIRECTORY_MAX (32u << 20)
#define SHORT_MAX 0xffffu
#define LONG_MAX 0xffffffffu

#define REFUSE(err, ...) dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT, __VA_ARGS__)

static bool has_signature(const uint8_t *p, size_t n)
{
	return memmem(p, n, "PK\5\6", 4) != NULL;
}

/* The end record in the last n bytes of the file; *at is its place among them. */
static bool find(const uint8_t *tail, size_t n, size_t *at, struct dif_error *err)
{
	bool seen = false, longer = false;
	for (size_t i = 0; n - i >= END_SIZE; i++) {
		if (memcmp(tail + i, "PK\5\6", 4) != 0) {
			continue;
		}
		size_t end = i + END_SIZE + dif_le16(tail + i + 20);
		if (end == n) {
			*at = i;
			if (has_signature(tail + i + 4, n - i - 4)) {
				return REFUSE(err, "it has two end records");
			}
			return true;
		}
		seen = true;
		longer = end > n;
	}
	if (!seen) {
		return REFUSE(err, "it has no end record: it is no ZIP archive, or it was cut off");
	}
	return REFUSE(err, longer ? "its end record was cut off"
	                          : "bytes follow its end record (trailing garbage)");
}

/* What an end record says, short or long. */
struct record {
	uint64_t disk, start_disk, count_here, count, size, start;
};

static struct record read_short(const uint8_t *p)
{
	return (struct record){.disk = dif_le16(p + 4),
	                       .start_disk = dif_le16(p + 6),
	                       .count_here = dif_le16(p + 8),
	                       .count = dif_le16(p + 10),
	                       .size = dif_le32(p + 12),
	                       .start = dif_le32(p + 16)};
}

static struct record read_long(const uint8_t *p)
{
	return (struct record){.disk = dif_le32(p + 16),
	                       .start_disk = dif_le32(p + 20),
	                       .count_here = dif_le64(p + 24),
	                       .count = dif_le64(p + 32),
	                       .size = dif_le64(p + 40),
	                       .start = dif_le64(p + 48)};
}

static bool agrees(uint64_t shorter, uint64_t max, uint64_t longer)
{
	return shorter == max || shorter == longer;
}

/* The ZIP64 record behind the locator. Nothing may lie between the two, nor inside the record. */
static bool read_end64(const struct dif_walk *w, const uint8_t *locator, uint64_t at,
                       struct record *r, uint64_t *record_at, struct dif_error *err)
{
	uint64_t offset = dif_le64(locator + 8);
	if (dif_le32(locator + 4) != 0 || dif_le32(locator + 16) > 1) {
		return REFUSE(err, "it is split over several disks (ZIP64 locator)");
	}
	if (at < END64_SIZE || offset != at - END64_SIZE) {
		return REFUSE(err, "its ZIP64 locator points elsewhere than before itself");
	}
	uint8_t p[END64_SIZE];
	if (!dif_package_read(w->fd, p, sizeof p, offset, err)) {
		return false;
	}
	if (memcmp(p, "PK\6\6", 4) != 0 || dif_le64(p + 4) != END64_SIZE - 12) {
		return REFUSE(err, "its ZIP64 end record is malformed");
	}
	struct record l = read_long(p);
	if (!agrees(r->disk, SHORT_MAX, l.disk) ||
	    !agrees(r->start_disk, SHORT_MAX, l.start_disk) ||
	    !agrees(r->count_here, SHORT_MAX, l.count_here) ||
	    !agrees(r->count, SHORT_MAX, l.count) || !agrees(r->size, LONG_MAX, l.size) ||
	    !agrees(r->start, LONG_MAX, l.start)) {
		return REFUSE(err, "its ZIP64 end record contradicts the end record");
	}
	*r = l;
	*record_at = offset;
	return true;
}

static bool judge(const struct dif_walk *w, const struct record *r, uint64_t end,
                  struct dif_error *err)
{
	if (r->disk != 0 || r->start_disk != 0 || r->count_here != r->count) {
		return REFUSE(err, "it is split over several disks");
	}
	uint64_t directory_end;
	if (__builtin_add_overflow(r->start, r->size, &directory_end) || directory_end > end) {
		return REFUSE(err, "its directory runs over its end record");
	}
	if (directory_end != end) {
		return REFUSE(err, "its directory does not end where the end record begins: there "
		                   "are bytes that belong to nobody");
	}
	if (r->count > (uint64_t)w->limits->entries) {
		return REFUSE(err, "it has over %lld entries, which is the limit",
		              (long long)w->limits->entries);
	}
	if (r->size > DIRECTORY_MAX) {
		return REFUSE(err, "its directory is over the limit of %u bytes", DIRECTORY_MAX);
	}
	return true;
}

static bool read_tail(const struct dif_walk *w, const uint8_t *tail, size_t n, struct dif_end *out,
                      struct dif_error *err)
{
	size_t at;
	if (!find(tail, n, &at, err)) {
		return false;
	}
	struct record r = read_short(tail + at);
	uint64_t end = w->bytes - n + at;
	if (at >= LOCATOR_SIZE && memcmp(tail + at - LOCATOR_SIZE, "PK\6\7", 4) == 0) {
		if (!read_end64(w, tail + at - LOCATOR_SIZE, end - LOCATOR_SIZE, &r, &end, err)) {
			return false;
		}
	}
	if (!judge(w, &r, end, err)) {
		return false;
	}
	*out = (struct dif_end){.count = r.count, .start = r.start, .size = r.size};
	return true;
}

bool dif_walk_end(const struct dif_walk *w, struct dif_end *out, struct dif_error *err)
{
	uint64_t most = END_SIZE + COMMENT_MAX + LOCATOR_SIZE;
	size_t n = (size_t)(w->bytes < most ? w->bytes : most);
	if (n == 0) {
		return REFUSE(err, "it is empty");
	}
	uint8_t *tail = malloc(n);
	if (tail == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	bool good = dif_package_read(w->fd, tail, n, w->bytes - n, err) &&
	            read_tail(w, tail, n, out, err);
	free(tail);
	return good;
}
