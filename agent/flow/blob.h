/* blob - bytes and forms as what plug-ins take: length and digests. */
#ifndef DIF_FLOW_BLOB_H
#define DIF_FLOW_BLOB_H

#include "flow/manifest.h"
#include "host/body.h"

/* Bytes in memory with the digests that the store may ask for. The bytes stay the caller's. */
struct dif_blob_bytes {
	struct dif_body_bytes body;
	struct dif_blob blob;
	uint8_t digest[DIF_DIGEST_SLOTS][64];
};
void dif_blob_of_bytes(struct dif_blob_bytes *b, const void *p, size_t n,
                       const struct dif_caps *caps);
/* A form of a member; its digests stay the manifest's. */
void dif_blob_of_form(struct dif_blob *b, const struct dif_form *f, struct dif_body *body);
/* The digest that shall guard an upload: the one that the store was found to enforce (guard,
 * DIF_NO_DIGEST: not known), else the cheapest that it accepts, of those that the blob has.
 * DIF_NO_DIGEST: none. */
uint32_t dif_blob_use(const struct dif_blob *b, const struct dif_caps *caps, uint32_t guard);
/* dif_hash, and CRC-32 too. Any thread. */
bool dif_blob_hash(uint32_t digest, const void *p, size_t n, uint8_t *to);
/* False where a digest that the store tells of an object is not the blob's. */
bool dif_blob_agrees(const struct dif_blob *b, const struct dif_object *told);

#endif
