#include "host/body.h"

#include <stdlib.h>

struct dif_body_stream {
	const struct dif_body_bytes *b;
	uint64_t at;
};

static const void *view(struct dif_body *body)
{
	return ((struct dif_body_bytes *)(void *)body)->p;
}

/* NULL where memory is out: the caller treats it as a local failure. Bytes are always there, so
 * ready is never needed. */
static struct dif_body_stream *open_stream(struct dif_body *body, uint64_t offset,
                                           void (*ready)(void *), void *data)
{
	(void)ready;
	(void)data;
	struct dif_body_stream *s = malloc(sizeof *s);
	if (s != NULL) {
		*s = (struct dif_body_stream){(struct dif_body_bytes *)(void *)body, offset};
	}
	return s;
}

static int64_t read_stream(struct dif_body_stream *s, void *to, size_t max)
{
	uint64_t left = s->at < s->b->body.size ? s->b->body.size - s->at : 0;
	size_t n = left < max ? (size_t)left : max;
	if (n == 0) {
		return DIF_BODY_END;
	}
	memcpy(to, (const char *)s->b->p + s->at, n);
	s->at += n;
	return (int64_t)n;
}

static void close_stream(struct dif_body_stream *s)
{
	free(s);
}

void dif_body_bytes_init(struct dif_body_bytes *b, const void *p, uint64_t n)
{
	static const struct dif_body_ops ops = {view, open_stream, read_stream, close_stream};
	*b = (struct dif_body_bytes){.body = {&ops, n}, .p = n == 0 && p == NULL ? "" : p};
}

static bool begin(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct dif_sink_buf *s = (struct dif_sink_buf *)(void *)sink;
	(void)offset;
	(void)err;
	/* Emptied, not released: an attempt that follows finds the memory again. */
	s->buf->n = 0;
	s->buf->failed = false;
	if (s->buf->p != NULL) {
		s->buf->p[0] = '\0';
	}
	return true;
}

static bool write_buf(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct dif_sink_buf *s = (struct dif_sink_buf *)(void *)sink;
	if (!dif_buf_add(s->buf, p, n)) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not keep the reply: larger than %zu bytes, or out of memory",
		              s->buf->max);
		return false;
	}
	return true;
}

void dif_sink_buf_init(struct dif_sink_buf *s, struct dif_buf *buf)
{
	*s = (struct dif_sink_buf){.sink = {begin, write_buf}, .buf = buf};
}
