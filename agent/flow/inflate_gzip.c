#include "flow/inflate_gzip.h"

#include <stdlib.h>
#include <zlib.h>

#define OUT (32u << 10)
#define GZIP_ONLY (MAX_WBITS + 16) /* what inflateInit2 takes for RFC 1952 and nothing else */

struct dif_gunzip {
	z_stream z;
	bool ended; /* at the end of a member */
	uint8_t out[OUT];
};

struct dif_gunzip *dif_gunzip_new(void)
{
	struct dif_gunzip *g = calloc(1, sizeof *g);
	if (g != NULL && inflateInit2(&g->z, GZIP_ONLY) != Z_OK) {
		free(g);
		return NULL;
	}
	return g;
}

void dif_gunzip_free(struct dif_gunzip *g)
{
	if (g != NULL) {
		inflateEnd(&g->z);
		free(g);
	}
}

bool dif_gunzip_add(struct dif_gunzip *g, const void *p, size_t n,
                    bool (*out)(void *data, const void *p, size_t n), void *data)
{
	const uint8_t *at = p;
	while (n > 0 || g->z.avail_in > 0) {
		if (g->z.avail_in == 0) {
			unsigned some = n < UINT32_MAX ? (unsigned)n : UINT32_MAX;
			g->z.next_in = (Bytef *)(uintptr_t)at; /* zlib does not write there */
			g->z.avail_in = some;
			at += some;
			n -= some;
		}
		if (g->ended && inflateReset(&g->z) != Z_OK) {
			return false;
		}
		g->ended = false;
		int r;
		do {
			g->z.next_out = g->out;
			g->z.avail_out = OUT;
			r = inflate(&g->z, Z_NO_FLUSH);
			bool starved = r == Z_BUF_ERROR && g->z.avail_in == 0;
			if (r != Z_OK && r != Z_STREAM_END && !starved) {
				return false;
			}
			size_t got = OUT - g->z.avail_out;
			if (got > 0 && !out(data, g->out, got)) {
				return false;
			}
		} while (r == Z_OK && (g->z.avail_out == 0 || g->z.avail_in > 0));
		g->ended = r == Z_STREAM_END;
	}
	return true;
}

bool dif_gunzip_is_whole(const struct dif_gunzip *g)
{
	return g->ended;
}
