/* manifest - the full list of a cut: path, sizes, digests, class. Immutable after ingest; shared by
 * reference count (loop thread). */
#ifndef DIF_FLOW_MANIFEST_H
#define DIF_FLOW_MANIFEST_H

#include "base/arena.h"
#include "base/buf.h"
#include "flow/class.h"

/* One way to store a member. */
struct dif_form {
	uint64_t size;
	uint32_t has; /* DIF_HAS of the digests below; 0: this form is not offered */
	uint8_t sha256[32], md5[16], crc32[4], crc32c[4];
};

struct dif_member {
	const char *path;
	uint64_t offset, packed, size; /* in the package's file */
	uint32_t crc, method;
	struct dif_form form[DIF_FORMS];
};

/* Where a cut stands: compared in this order. */
struct dif_order {
	int64_t epoch, number;
	char sha256[65]; /* of the package */
};
int dif_order_compare(const struct dif_order *a, const struct dif_order *b); /* <0, 0, >0 */

struct dif_manifest {
	uint32_t refs;
	struct dif_order order;
	const char *profile;        /* "production" or "rehearsal" */
	struct dif_member *members; /* by path, byte order */
	uint32_t n;
	uint64_t bytes; /* sum of sizes */
	struct dif_arena arena;
};

struct dif_manifest *dif_manifest_new(void);
struct dif_manifest *dif_manifest_ref(struct dif_manifest *m);
void dif_manifest_unref(struct dif_manifest *m); /* accepts NULL */
const struct dif_member *dif_manifest_find(const struct dif_manifest *m, const char *path);

/* For the state: one self-describing text; a version that is not known is an error (the caller
 * rebuilds from the archive). */
bool dif_manifest_write(const struct dif_manifest *m, struct dif_buf *out);
struct dif_manifest *dif_manifest_read(struct dif_bytes in, struct dif_error *err);

/* The gzip form's frame: a fixed 10-byte header (no time) before the entry's own deflate bytes,
 * CRC-32 and size behind. */
#define DIF_GZIP_HEADER 10
#define DIF_GZIP_TRAILER 8
extern const uint8_t dif_gzip_header[DIF_GZIP_HEADER];
void dif_gzip_trailer(uint8_t to[DIF_GZIP_TRAILER], uint32_t crc, uint64_t size);

#endif
