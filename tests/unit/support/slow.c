#include "unit/support/slow.h"

#include <stdlib.h>

struct dif_body_stream {
	struct slow *slow;
	uint64_t at;
	bool later;
	void (*ready)(void *data);
	void *data;
	uv_timer_t timer;
};

static void on_ready(uv_timer_t *t)
{
	struct dif_body_stream *s = t->data;
	s->ready(s->data);
}

static const void *no_view(struct dif_body *b)
{
	(void)b;
	return NULL;
}

static struct dif_body_stream *slow_open(struct dif_body *b, uint64_t offset, void (*ready)(void *),
                                         void *data)
{
	struct dif_body_stream *s = calloc(1, sizeof *s);
	s->slow = (struct slow *)(void *)b;
	s->at = offset;
	s->ready = ready;
	s->data = data;
	uv_timer_init(s->slow->loop, &s->timer);
	s->timer.data = s;
	s->slow->opened++;
	return s;
}

unsigned char slow_byte(uint64_t i)
{
	return (unsigned char)(i * 7 + i / 251);
}

static int64_t slow_read(struct dif_body_stream *s, void *to, size_t max)
{
	s->later = !s->later;
	if (s->later) {
		s->slow->laters++;
		uv_timer_start(&s->timer, on_ready, 0, 0);
		return DIF_BODY_LATER;
	}
	if (s->slow->breaks_at != 0 && s->at >= s->slow->breaks_at) {
		return DIF_BODY_BROKEN;
	}
	size_t n = max < 50000 ? max : 50000;
	for (size_t i = 0; i < n; i++) {
		((unsigned char *)to)[i] = slow_byte(s->at + i);
	}
	s->at += n;
	return (int64_t)n;
}

static void on_slow_closed(uv_handle_t *h)
{
	free(h->data);
}

static void slow_close(struct dif_body_stream *s)
{
	s->slow->closed++;
	uv_close((uv_handle_t *)&s->timer, on_slow_closed);
}

static const struct dif_body_ops slow_ops = {no_view, slow_open, slow_read, slow_close};

struct dif_piece slow_piece(struct slow *s, uv_loop_t *loop, uint64_t size)
{
	*s = (struct slow){.body = {&slow_ops, size}, .loop = loop};
	s->blob = (struct dif_blob){.size = size, .host = (uint64_t)(uintptr_t)&s->body};
	return (struct dif_piece){.blob = &s->blob, .length = size};
}

uint64_t slow_sum(uint64_t n)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++) {
		sum += slow_byte(i);
	}
	return sum;
}
