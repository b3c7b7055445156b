/* spool_stream - members too large for a shared buffer: each reader has a window of two halves; one
 * is sent while the pool fills the other.
 *
 * A stream that is closed while the pool works for it lives until that work is done; its user waits
 * for it (dif_spool_leave).
 */
#include <stdlib.h>

#include "flow/ingest.h"
#include "flow/spool_private.h"

struct dif_body_stream {
	struct dif_spool_user *user;
	const struct dif_package *package;
	const struct dif_member *member;
	enum dif_form_id form;
	void (*ready)(void *data);
	void *data;
	struct dif_work work;
	struct dif_inflater *inflater; /* identity; the pool's while filling */
	uint64_t at, skip;             /* gzip: next byte; identity: bytes to drop first */
	uint8_t *half[2];
	size_t have[2], sent; /* sent: of the front half */
	uint32_t front;
	bool filling, later, closing, ended, broken;
	struct dif_error err;
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

static int64_t read_gzip(struct dif_body_stream *s, uint8_t *to, size_t max)
{
	const struct dif_member *m = s->member;
	uint8_t trailer[DIF_GZIP_TRAILER];
	uint64_t data = DIF_GZIP_HEADER + m->packed;
	if (s->at < DIF_GZIP_HEADER) {
		size_t n = (size_t)(DIF_GZIP_HEADER - s->at);
		memcpy(to, dif_gzip_header + s->at, n);
		return (int64_t)n;
	}
	if (s->at < data) {
		size_t n = data - s->at < max ? (size_t)(data - s->at) : max;
		uint64_t offset = m->offset + s->at - DIF_GZIP_HEADER;
		return dif_spool_pread(s->package, offset, to, n, &s->err) ? (int64_t)n : -1;
	}
	dif_gzip_trailer(trailer, m->crc, m->size);
	size_t n = (size_t)(data + DIF_GZIP_TRAILER - s->at);
	memcpy(to, trailer + (DIF_GZIP_TRAILER - n), n);
	return (int64_t)n;
}

static int64_t read_some(struct dif_body_stream *s, uint8_t *to, size_t max)
{
	if (s->form == DIF_GZIP) {
		int64_t n = read_gzip(s, to, max);
		s->at += n > 0 ? (uint64_t)n : 0;
		return n;
	}
	if (s->inflater == NULL) {
		s->inflater = dif_inflater_open(s->package, s->member, &s->err);
	}
	return s->inflater == NULL ? -1 : dif_inflater_read(s->inflater, to, max, &s->err);
}

static void on_fill(struct dif_work *w)
{
	struct dif_body_stream *s = of(w);
	uint32_t back = 1 - s->front;
	size_t have = 0;
	while (have < STREAM_HALF) {
		int64_t n = read_some(s, s->half[back] + have, STREAM_HALF - have);
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
	dif_inflater_close(s->inflater);
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
	s->package = l->package;
	s->member = l->member;
	s->form = l->form;
	s->ready = ready;
	s->data = data;
	s->at = l->form == DIF_GZIP ? offset : 0;
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
