/* crypto - digests, MACs, signatures, encodings, random bytes. The only door to OpenSSL (CRC-32C is
 * our own: OpenSSL has none). Thread-safe; every function may be called on the pool. */
#ifndef DIF_HOST_CRYPTO_H
#define DIF_HOST_CRYPTO_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define DIF_DIGEST_MAX 64

size_t dif_digest_size(enum dif_digest d); /* bytes, 0: unknown */
const char *dif_digest_name(enum dif_digest d);
/* One call. to has DIF_DIGEST_MAX bytes; CRCs come out big-endian. False: not supported (CRC32
 * needs flow/ingest's library) or out of memory. */
bool dif_hash(enum dif_digest d, const void *p, size_t n, uint8_t *to);

/* Streaming. One thread at a time. init gives an object that is reused by calling begin again. */
struct dif_hasher;
struct dif_hasher *dif_hasher_new(enum dif_digest d); /* NULL: unsupported or out of memory */
void dif_hasher_free(struct dif_hasher *h);
void dif_hasher_begin(struct dif_hasher *h);
void dif_hasher_add(struct dif_hasher *h, const void *p, size_t n);
void dif_hasher_end(struct dif_hasher *h, uint8_t *to);

uint32_t dif_crc32c(uint32_t crc, const void *p, size_t n); /* start with 0 */
/* The same without the processor's instruction, for machines that lack it. */
uint32_t dif_crc32c_portable(uint32_t crc, const void *p, size_t n);

bool dif_hmac(enum dif_digest d, struct dif_bytes key, struct dif_bytes msg, uint8_t *to);
/* alg: "RS256". pem: a PKCS#8 or PKCS#1 private key. Appends to out. */
bool dif_sign(const char *alg, const char *pem, struct dif_bytes msg, struct dif_buf *out,
              struct dif_error *err);
bool dif_equal(struct dif_bytes a, struct dif_bytes b); /* constant time for equal lengths */
bool dif_random(void *to, size_t n);

/* Encodings into an arena; "" (or .p NULL) on failure. */
const char *dif_encode(struct dif_arena *a, enum dif_enc enc, const void *p, size_t n);
struct dif_bytes dif_decode(struct dif_arena *a, enum dif_enc enc, const char *s);

#endif
