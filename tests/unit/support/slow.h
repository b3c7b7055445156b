/* slow - a body that keeps its reader waiting: every second read says LATER. */
#ifndef DIF_TESTS_SLOW_H
#define DIF_TESTS_SLOW_H

#include <uv.h>

#include "host/body.h"

struct slow {
	struct dif_body body;
	struct dif_blob blob;
	uv_loop_t *loop;
	uint64_t breaks_at; /* 0: never */
	unsigned opened, closed, laters;
};

/* A piece that is the whole body. */
struct dif_piece slow_piece(struct slow *s, uv_loop_t *loop, uint64_t size);
unsigned char slow_byte(uint64_t i); /* what lies at offset i */
uint64_t slow_sum(uint64_t n);       /* of the first n bytes */

#endif
