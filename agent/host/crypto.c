/* crypto - the only door to OpenSSL.
 *
 * Algorithms are fetched once and kept: an implicit fetch costs more than the digest of a small
 * string, and one signature takes a dozen of them. HMAC is built on the digest for the same reason
 * (EVP_MAC looks its digest up by name at every call); RFC 4231's vectors hold it to the standard.
 */
#include "host/crypto.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdlib.h>

#define HMAC_BLOCK_MAX 128 /* of SHA-512, the longest here */
#define PEM_MAX 65536      /* a 16384 bit RSA key is about 12 kB */
#define RSA_BITS_MIN 2048

static const struct algorithm {
	const char *name, *fetch; /* fetch NULL: not OpenSSL's */
	size_t size, block;
} algorithms[DIF_DIGESTS] = {
	[DIF_NO_DIGEST] = {"none", NULL, 0, 0},       [DIF_CRC32] = {"crc32", NULL, 4, 0},
	[DIF_CRC32C] = {"crc32c", NULL, 4, 0},        [DIF_CRC64NVME] = {"crc64nvme", NULL, 8, 0},
	[DIF_MD5] = {"md5", "MD5", 16, 64},           [DIF_SHA1] = {"sha1", "SHA1", 20, 64},
	[DIF_SHA256] = {"sha256", "SHA256", 32, 64},  [DIF_SHA384] = {"sha384", "SHA384", 48, 128},
	[DIF_SHA512] = {"sha512", "SHA512", 64, 128},
};

static EVP_MD *fetched[DIF_DIGESTS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t scratch_key; /* one digest context per thread, for the one-call functions */

static void free_scratch(void *ctx)
{
	EVP_MD_CTX_free(ctx);
}

static void free_fetched(void)
{
	for (size_t d = 0; d < DIF_DIGESTS; d++) {
		EVP_MD_free(fetched[d]);
		fetched[d] = NULL;
	}
	EVP_MD_CTX_free(pthread_getspecific(scratch_key));
	pthread_setspecific(scratch_key, NULL);
}

static void fetch_all(void)
{
	int failed = pthread_key_create(&scratch_key, free_scratch);
	assert(failed == 0); /* nothing of a program's first 1024 keys is used by then */
	for (size_t d = 0; d < DIF_DIGESTS; d++) {
		if (algorithms[d].fetch != NULL) {
			fetched[d] = EVP_MD_fetch(NULL, algorithms[d].fetch, NULL);
		}
	}
	OPENSSL_atexit(free_fetched);
}

/* NULL: unknown, or this OpenSSL was built without it. */
static const EVP_MD *find(enum dif_digest d)
{
	pthread_once(&once, fetch_all);
	return (unsigned)d < DIF_DIGESTS ? fetched[d] : NULL;
}

static EVP_MD_CTX *scratch(void)
{
	EVP_MD_CTX *ctx = pthread_getspecific(scratch_key);
	if (ctx == NULL) {
		ctx = EVP_MD_CTX_new();
		pthread_setspecific(scratch_key, ctx);
	}
	return ctx;
}

static void store32(uint8_t *to, uint32_t v)
{
	to[0] = (uint8_t)(v >> 24);
	to[1] = (uint8_t)(v >> 16);
	to[2] = (uint8_t)(v >> 8);
	to[3] = (uint8_t)v;
}

size_t dif_digest_size(enum dif_digest d)
{
	return (unsigned)d < DIF_DIGESTS ? algorithms[d].size : 0;
}

const char *dif_digest_name(enum dif_digest d)
{
	return (unsigned)d < DIF_DIGESTS ? algorithms[d].name : "unknown";
}

bool dif_hash(enum dif_digest d, const void *p, size_t n, uint8_t *to)
{
	if (d == DIF_CRC32C) {
		store32(to, dif_crc32c(0, p, n));
		return true;
	}
	const EVP_MD *md = find(d);
	EVP_MD_CTX *ctx = md != NULL ? scratch() : NULL;
	return ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
	       EVP_DigestUpdate(ctx, p, n) == 1 && EVP_DigestFinal_ex(ctx, to, NULL) == 1;
}

/* --- streaming --- */

struct dif_hasher {
	enum dif_digest digest;
	const EVP_MD *md;
	EVP_MD_CTX *ctx;
	uint32_t crc;
};

struct dif_hasher *dif_hasher_new(enum dif_digest d)
{
	const EVP_MD *md = find(d);
	if (md == NULL && d != DIF_CRC32C) {
		return NULL;
	}
	struct dif_hasher *h = calloc(1, sizeof *h);
	if (h == NULL) {
		return NULL;
	}
	h->digest = d;
	h->md = md;
	if (md != NULL) {
		h->ctx = EVP_MD_CTX_new();
		/* begun here too, so that the context's own memory is had before the first byte */
		if (h->ctx == NULL || EVP_DigestInit_ex2(h->ctx, md, NULL) != 1) {
			dif_hasher_free(h);
			return NULL;
		}
	}
	return h;
}

void dif_hasher_free(struct dif_hasher *h)
{
	if (h != NULL) {
		EVP_MD_CTX_free(h->ctx);
		free(h);
	}
}

void dif_hasher_begin(struct dif_hasher *h)
{
	h->crc = 0;
	if (h->ctx != NULL) {
		int ok = EVP_DigestInit_ex2(h->ctx, h->md, NULL);
		assert(ok == 1); /* the same algorithm again allocates nothing */
	}
}

void dif_hasher_add(struct dif_hasher *h, const void *p, size_t n)
{
	if (h->ctx == NULL) {
		h->crc = dif_crc32c(h->crc, p, n);
		return;
	}
	int ok = EVP_DigestUpdate(h->ctx, p, n);
	assert(ok == 1); /* fails only on a context that was never begun */
}

void dif_hasher_end(struct dif_hasher *h, uint8_t *to)
{
	if (h->ctx == NULL) {
		store32(to, h->crc);
		return;
	}
	int ok = EVP_DigestFinal_ex(h->ctx, to, NULL);
	assert(ok == 1);
}

/* --- keys --- */

static bool keyed(EVP_MD_CTX *ctx, const EVP_MD *md, const uint8_t *pad, size_t block,
                  struct dif_bytes msg, uint8_t *to)
{
	return EVP_DigestInit_ex2(ctx, md, NULL) == 1 && EVP_DigestUpdate(ctx, pad, block) == 1 &&
	       EVP_DigestUpdate(ctx, msg.p, msg.n) == 1 && EVP_DigestFinal_ex(ctx, to, NULL) == 1;
}

bool dif_hmac(enum dif_digest d, struct dif_bytes key, struct dif_bytes msg, uint8_t *to)
{
	const EVP_MD *md = find(d);
	EVP_MD_CTX *ctx = md != NULL ? scratch() : NULL;
	if (ctx == NULL) {
		return false;
	}
	size_t block = algorithms[d].block, size = algorithms[d].size;
	uint8_t pad[HMAC_BLOCK_MAX] = {0}, inner[DIF_DIGEST_MAX], outer[DIF_DIGEST_MAX];
	bool ok = true;
	if (key.n > block) {
		ok = dif_hash(d, key.p, key.n, pad);
	} else if (key.n > 0) {
		memcpy(pad, key.p, key.n);
	}
	for (size_t i = 0; i < block; i++) {
		pad[i] ^= 0x36;
	}
	ok = ok && keyed(ctx, md, pad, block, msg, inner);
	for (size_t i = 0; i < block; i++) {
		pad[i] ^= 0x36 ^ 0x5c;
	}
	ok = ok && keyed(ctx, md, pad, block, (struct dif_bytes){inner, size}, outer);
	if (ok) {
		memcpy(to, outer, size);
	}
	OPENSSL_cleanse(pad, sizeof pad);
	OPENSSL_cleanse(inner, sizeof inner);
	OPENSSL_cleanse(outer, sizeof outer);
	return ok;
}

/* A key that asks for a passphrase is refused instead of asking the terminal. */
static int no_passphrase(char *to, int size, int writing, void *data)
{
	(void)to;
	(void)size;
	(void)writing;
	(void)data;
	return -1;
}

static EVP_PKEY *read_key(const char *pem, struct dif_error *err)
{
	size_t n = strnlen(pem, PEM_MAX + 1);
	BIO *bio = n <= PEM_MAX ? BIO_new_mem_buf(pem, (int)n) : NULL;
	EVP_PKEY *key =
		bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	BIO_free(bio);
	if (key == NULL) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not read the private key: it is no unencrypted PEM key "
		              "(PKCS#8 or PKCS#1)");
	} else if (EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA ||
	           EVP_PKEY_get_bits(key) < RSA_BITS_MIN) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not use the private key: RS256 needs an RSA key of %d bits or "
		              "more",
		              RSA_BITS_MIN);
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

static bool rs256(EVP_PKEY *key, struct dif_bytes msg, struct dif_buf *out)
{
	bool ok = false;
	size_t n = 0;
	uint8_t *sig = NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (ctx == NULL || EVP_DigestSignInit(ctx, NULL, find(DIF_SHA256), NULL, key) != 1 ||
	    EVP_DigestSign(ctx, NULL, &n, msg.p, msg.n) != 1) {
		goto end;
	}
	sig = malloc(n);
	ok = sig != NULL && EVP_DigestSign(ctx, sig, &n, msg.p, msg.n) == 1 &&
	     dif_buf_add(out, sig, n);
	free(sig);
end:
	EVP_MD_CTX_free(ctx);
	return ok;
}

bool dif_sign(const char *alg, const char *pem, struct dif_bytes msg, struct dif_buf *out,
              struct dif_error *err)
{
	if (strcmp(alg, "RS256") != 0) {
		dif_error_set(err, DIF_PERMANENT, "could not sign: algorithm '%s' is not offered",
		              alg);
		return false;
	}
	EVP_PKEY *key = read_key(pem, err);
	bool ok = key != NULL && rs256(key, msg, out);
	if (key != NULL && !ok) {
		dif_error_set(err, DIF_TRANSIENT, "could not sign: out of memory");
	}
	EVP_PKEY_free(key);
	ERR_clear_error(); /* this thread's queue; the sentence above says it already */
	return ok;
}

bool dif_equal(struct dif_bytes a, struct dif_bytes b)
{
	return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}

bool dif_random(void *to, size_t n)
{
	return n <= INT32_MAX && RAND_bytes(to, (int)n) == 1;
}
