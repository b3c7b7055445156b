/* cut_check - what the pool does with a file before the loop decides anything. A package that every
 * destination holds whole costs one pass of SHA-256 and no walk. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "flow/cut_private.h"
#include "host/crypto.h"

#define PIECE (1u << 20)

static bool hash_file(int fd, char sha256[65])
{
	uint8_t digest[DIF_DIGEST_MAX];
	struct dif_hasher *h = dif_hasher_new(DIF_SHA256);
	uint8_t *piece = malloc(PIECE);
	ssize_t n = -1;
	if (h != NULL && piece != NULL) {
		dif_hasher_begin(h);
		while ((n = read(fd, piece, PIECE)) > 0 || (n < 0 && errno == EINTR)) {
			dif_hasher_add(h, piece, n > 0 ? (size_t)n : 0);
		}
	}
	if (n == 0) {
		dif_hasher_end(h, digest);
		dif_hex(sha256, digest, 32);
	}
	free(piece);
	dif_hasher_free(h);
	return n == 0;
}

/* Only a file of the same length can be the same, so that others are hashed once. */
static bool is_known(const struct cut_check *c)
{
	struct stat st;
	char sha256[65] = "";
	int fd = c->may_be_known ? open(c->file, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0) {
		return false;
	}
	bool same = fstat(fd, &st) == 0 && (uint64_t)st.st_size == c->known_bytes &&
	            hash_file(fd, sha256) && strcmp(sha256, c->known) == 0;
	close(fd);
	return same;
}

static bool has_digest(struct cut_check *c)
{
	struct dif_package p = {.fd = -1};
	memcpy(p.sha256, c->known, sizeof p.sha256);
	return c->digest == NULL || dif_package_check_digest(&p, c->digest, &c->err);
}

void dif_cut_check(struct cut_check *c)
{
	struct dif_error ignored = {0};
	c->number = -1;
	if (is_known(c)) {
		c->same = has_digest(c);
		return;
	}
	c->package = dif_package_open(c->file, c->limits, &c->err);
	if (c->package == NULL) {
		return;
	}
	if (c->archived != NULL && strcmp(c->package->sha256, c->archived) != 0) {
		dif_error_set(&c->err, DIF_INTEGRITY,
		              "could not repair from archived package '%s': its SHA-256 is %s; "
		              "publish that package again",
		              c->file, c->package->sha256);
		dif_package_close(c->package);
		c->package = NULL;
		return;
	}
	if (c->digest != NULL && !dif_package_check_digest(c->package, c->digest, &c->err)) {
		return;
	}
	if (c->order != NULL && strncmp(c->order, "json:", 5) == 0 &&
	    !dif_cut_number_of_json(c->order + 5, c->package, &c->number, &c->err)) {
		return;
	}
	if (c->before_file != NULL) { /* only saves work */
		c->before = dif_package_open(c->before_file, c->limits, &ignored);
	}
}
