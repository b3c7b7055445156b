/* contract_content - the bytes of the object in play: the content, or zeros that are made while
 * they are read; and a sink that compares instead of keeping. */
#include <stdlib.h>

#include "host/crypto.h"
#include "rehearsal/contract_private.h"

/* --- the bytes: zeros that are made while they are read, or the content --- */

struct dif_body_stream {
	uint64_t left;
};

static const void *no_view(struct dif_body *b)
{
	(void)b;
	return NULL;
}

static struct dif_body_stream *open_zeros(struct dif_body *b, uint64_t offset,
                                          void (*ready)(void *data), void *data)
{
	struct dif_body_stream *s = calloc(1, sizeof *s);
	(void)ready;
	(void)data;
	if (s != NULL) {
		s->left = b->size - offset;
	}
	return s;
}

static int64_t read_zeros(struct dif_body_stream *s, void *to, size_t max)
{
	size_t n = s->left < max ? (size_t)s->left : max;
	memset(to, 0, n);
	s->left -= n;
	return (int64_t)n;
}

static void close_zeros(struct dif_body_stream *s)
{
	free(s);
}

static const struct dif_body_ops zeros_ops = {
	.view = no_view, .open = open_zeros, .read = read_zeros, .close = close_zeros};

/* Digests of what is too large to hash here are made up: no plug-in sees the bytes. */
void dif_content_make(struct dif_content *c, const char *from, uint64_t size)
{
	*c = (struct dif_content){.blob = {.size = size}};
	dif_body_bytes_init(&c->bytes, from, size);
	c->zeros = (struct dif_body){&zeros_ops, size};
	struct dif_body *b = size == DIF_BIG ? &c->zeros : &c->bytes.body;
	c->blob.host = (uint64_t)(uintptr_t)b;
	for (uint32_t d = DIF_NO_DIGEST + 1; d < DIF_DIGESTS; d++) {
		size_t n = dif_digest_size(d);
		if (n == 0 || size == DIF_BIG || !dif_hash(d, from, size, c->digest[d])) {
			memset(c->digest[d], 0x5a, DIF_DIGEST_MAX);
		}
		if (n > 0) {
			c->blob.has |= DIF_HAS(d);
			c->blob.digest[d] = (struct dif_bytes){c->digest[d], n};
		}
	}
}

/* --- the sink: compares instead of keeping --- */

static bool begin_sink(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct dif_comparing *c = (struct dif_comparing *)(void *)sink;
	(void)err;
	c->at = offset;
	c->differs = offset != c->from;
	return true;
}

static bool write_sink(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct dif_comparing *c = (struct dif_comparing *)(void *)sink;
	static const char zeros[65536];
	(void)err;
	if (c->at + n > c->s->size) {
		c->differs = true;
	} else if (c->s->size == DIF_BIG) {
		c->differs = c->differs || n > sizeof zeros || memcmp(p, zeros, n) != 0;
	} else {
		c->differs = c->differs || memcmp(p, &DIF_CONTENT[c->at], n) != 0;
	}
	c->at += n;
	return true;
}

void dif_comparing_init(struct dif_comparing *c, const struct dif_suite *s, uint64_t from)
{
	*c = (struct dif_comparing){.sink = {begin_sink, write_sink}, .s = s, .from = from};
}
