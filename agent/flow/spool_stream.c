/* spool_stream - members too large for a shared buffer: each reader has a window of two halves; one
 * is sent while the pool fills the other.
 *
 * A stream that is closed while the pool works for it lives until that work is done; its user waits
 * for it (dif_spool_leave).
 */
#include <stdlib.h>

#include "flow/spool_private.h"

struct dif_body_stream {
	struct dif_spool_user *user;
	struct dif_spool_source source; /* the pool's while filling */
	void (*ready)(void *data);
	void *data;
	struct dif_work work;
	uint64_t skip; /* bytes to drop first */
	uint8_t *half[2];
	size_t have[2], sent; /* sent: of the front half */
	uint32_t front;
	bool filling, later, closing, ended, broken;
};

static void on_fill(struct dif_work *w);
static void on_filled(struct dif_work *w);

static void fill(struct dif_body_stream *s)
{
	s->filling = true;
	s->user->working++;
	dif_engine_work(s->user->spool->engine, &s->work, on_fill, on_filled);
}

static struct dif_body_stream *of(struct dif_work *w)
{
	return (struct dif_body_stream *)(void *)((char *)w -
	                                          offsetof(struct dif_body_stream, work));
}

/* --- on the pool --- */

static void on_fill(struct dif_work *w)
{
	struct dif_body_stream *s = of(w);
	uint32_t back = 1 - s->front;
	size_t have = 0;
	while (have < STREAM_HALF) {
		int64_t n =
			dif_spool_source_read(&s->source, s->half[back] + have, STREAM_HALF - have);
		if (n < 0) {
			s->broken = true;
			break;
		}
		if (n == 0) {
			s->ended = true;
			break;
		}
		if (s->skip > 0) { /* a reader that begins further on */
			uint64_t gone = s->skip < (uint64_t)n ? s->skip : (uint64_t)n;
			memmove(s->half[back] + have, s->half[back] + have + gone,
			        (size_t)n - (size_t)gone);
			s->skip -= gone;
			n -= (int64_t)gone;
		}
		have += (size_t)n;
	}
	s->have[back] = have;
}

/* --- on the loop --- */

static void release(struct dif_body_stream *s)
{
	dif_spool_source_fini(&s->source);
	free(s->half[0]);
	free(s->half[1]);
	free(s);
}

static void on_filled(struct dif_work *w)
{
	struct dif_body_stream *s = of(w);
	s->filling = false;
	dif_spool_worked(s->user);
	if (s->closing) {
		release(s);
	} else if (s->later) {
		s->later = false;
		s->ready(s->data);
	}
}

static struct dif_body_stream *open_stream(struct dif_body *body, uint64_t offset,
                                           void (*ready)(void *data), void *data)
{
	struct dif_lease *l = DIF_ENTRY(body, struct dif_lease, stream);
	struct dif_body_stream *s = calloc(1, sizeof *s);
	if (s == NULL) {
		return NULL;
	}
	s->half[0] = malloc(STREAM_HALF);
	s->half[1] = malloc(STREAM_HALF);
	if (s->half[0] == NULL || s->half[1] == NULL) {
		release(s);
		return NULL;
	}
	s->user = l->user;
	s->source = (struct dif_spool_source){
		.package = l->package, .member = l->member, .form = l->form};
	s->ready = ready;
	s->data = data;
	s->source.at = l->form == DIF_GZIP ? offset : 0;
	s->skip = l->form == DIF_GZIP ? 0 : offset;
	fill(s);
	return s;
}

static int64_t read_stream(struct dif_body_stream *s, void *to, size_t max)
{
	if (s->sent == s->have[s->front]) {
		uint32_t back = 1 - s->front;
		if (s->filling) {
			s->later = true;
			return DIF_BODY_LATER;
		}
		/* The CRC is known with the last byte: before it the rest must not go out. */
		if (s->broken) {
			return DIF_BODY_BROKEN;
		}
		if (s->have[back] == 0) {
			return DIF_BODY_END;
		}
		s->have[s->front] = 0;
		s->front = back;
		s->sent = 0;
		if (!s->ended) {
			fill(s);
		}
	}
	size_t n = s->have[s->front] - s->sent;
	n = n < max ? n : max;
	memcpy(to, s->half[s->front] + s->sent, n);
	s->sent += n;
	return (int64_t)n;
}

static void close_stream(struct dif_body_stream *s)
{
	if (s->filling) {
		s->closing = true;
	} else {
		release(s);
	}
}

static const void *no_view(struct dif_body *body)
{
	(void)body;
	return NULL;
}

const struct dif_body_ops dif_spool_stream_ops = {
	.view = no_view, .open = open_stream, .read = read_stream, .close = close_stream};
