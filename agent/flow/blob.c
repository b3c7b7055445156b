#include "flow/blob.h"

#include "flow/walk.h"
#include "host/crypto.h"

bool dif_blob_hash(uint32_t digest, const void *p, size_t n, uint8_t *to)
{
	if (digest != DIF_CRC32) {
		return dif_hash(digest, p, n, to);
	}
	uint32_t crc = dif_crc32(0, p, n);
	for (int k = 0; k < 4; k++) {
		to[k] = (uint8_t)(crc >> (24 - 8 * k));
	}
	return true;
}

static void tell(struct dif_blob *b, uint32_t digest, const void *p, size_t n)
{
	b->has |= DIF_HAS(digest);
	b->digest[digest] = (struct dif_bytes){p, n};
}

void dif_blob_of_bytes(struct dif_blob_bytes *b, const void *p, size_t n,
                       const struct dif_caps *caps)
{
	*b = (struct dif_blob_bytes){0};
	dif_body_bytes_init(&b->body, p, n);
	b->blob.size = n;
	b->blob.host = (uint64_t)(uintptr_t)&b->body.body;
	for (uint32_t i = 0; i < DIF_LEN(caps->digests) && caps->digests[i] != 0; i++) {
		uint32_t d = caps->digests[i];
		if (d < DIF_DIGESTS && dif_blob_hash(d, p, n, b->digest[d])) {
			tell(&b->blob, d, b->digest[d], dif_digest_size(d));
		}
	}
	if (dif_hash(DIF_SHA256, p, n, b->digest[DIF_SHA256])) {
		tell(&b->blob, DIF_SHA256, b->digest[DIF_SHA256], 32);
	}
}

void dif_blob_of_form(struct dif_blob *b, const struct dif_form *f, struct dif_body *body)
{
	*b = (struct dif_blob){.size = f->size, .host = (uint64_t)(uintptr_t)body};
	const struct {
		uint32_t digest;
		const uint8_t *p;
		size_t n;
	} all[] = {{DIF_SHA256, f->sha256, sizeof f->sha256},
	           {DIF_MD5, f->md5, sizeof f->md5},
	           {DIF_CRC32, f->crc32, sizeof f->crc32},
	           {DIF_CRC32C, f->crc32c, sizeof f->crc32c}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (f->has & DIF_HAS(all[i].digest)) {
			tell(b, all[i].digest, all[i].p, all[i].n);
		}
	}
}

uint32_t dif_blob_use(const struct dif_blob *b, const struct dif_caps *caps, uint32_t guard)
{
	if (guard != DIF_NO_DIGEST && guard < DIF_DIGESTS && (b->has & DIF_HAS(guard))) {
		return guard;
	}
	for (uint32_t i = 0; i < DIF_LEN(caps->digests) && caps->digests[i] != 0; i++) {
		if (caps->digests[i] < DIF_DIGESTS && (b->has & DIF_HAS(caps->digests[i]))) {
			return caps->digests[i];
		}
	}
	return DIF_NO_DIGEST;
}

bool dif_blob_agrees(const struct dif_blob *b, const struct dif_object *told)
{
	for (uint32_t d = 1; d < DIF_DIGESTS; d++) {
		const struct dif_bytes *ours = &b->digest[d], *theirs = &told->digest[d];
		if ((b->has & told->has & DIF_HAS(d)) && theirs->p != NULL &&
		    (ours->n != theirs->n || memcmp(ours->p, theirs->p, (size_t)ours->n) != 0)) {
			return false;
		}
	}
	return true;
}
