#include "base/arena.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define ALIGN 16u    /* enough for every type, long double and vectors of SSE included */
#define BLOCK 16000u /* a typical attempt of an op fits into one */

struct dif_arena_block {
	struct dif_arena_block *next; /* the newest is first */
	size_t used, cap;
	_Alignas(ALIGN) unsigned char data[];
};

static void block_free(const struct dif_arena *a, struct dif_arena_block *b)
{
	if (a->wipe) {
		explicit_bzero(b->data, b->used);
	}
	free(b);
}

void dif_arena_init(struct dif_arena *a, size_t max, bool wipe)
{
	*a = (struct dif_arena){.max = max, .wipe = wipe};
}

void dif_arena_fini(struct dif_arena *a)
{
	while (a->blocks != NULL) {
		struct dif_arena_block *b = a->blocks;
		a->blocks = b->next;
		block_free(a, b);
	}
	a->used = 0;
}

void dif_arena_reset(struct dif_arena *a)
{
	struct dif_arena_block *keep = NULL;
	while (a->blocks != NULL) {
		struct dif_arena_block *b = a->blocks;
		a->blocks = b->next;
		/* The last is the oldest: of ordinary size unless the first request was large. */
		if (a->blocks == NULL && b->cap <= BLOCK) {
			keep = b;
		} else {
			block_free(a, b);
		}
	}
	if (keep != NULL) {
		if (a->wipe) {
			explicit_bzero(keep->data, keep->used);
		}
		keep->used = 0;
	}
	a->blocks = keep;
	a->used = 0;
	a->failed = false;
}

static struct dif_arena_block *block_new(struct dif_arena *a, size_t n)
{
	size_t cap = n > BLOCK ? n : BLOCK;
	struct dif_arena_block *b = malloc(sizeof *b + cap);
	if (b == NULL) {
		return NULL;
	}
	b->next = a->blocks;
	b->used = 0;
	b->cap = cap;
	a->blocks = b;
	return b;
}

void *dif_arena_alloc(struct dif_arena *a, size_t n)
{
	assert(a->used <= a->max);
	if (a->failed || n > a->max - a->used || n > SIZE_MAX / 2) {
		a->failed = true;
		return NULL;
	}
	size_t room = (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
	struct dif_arena_block *b = a->blocks;
	if (b == NULL || room > b->cap - b->used) {
		b = block_new(a, room);
		if (b == NULL) {
			a->failed = true;
			return NULL;
		}
	}
	void *p = b->data + b->used;
	b->used += room;
	a->used += n;
	memset(p, 0, room);
	return p;
}

void *dif_arena_copy(struct dif_arena *a, const void *p, size_t n)
{
	if (n == SIZE_MAX) {
		a->failed = true;
		return NULL;
	}
	char *to = dif_arena_alloc(a, n + 1);
	if (to != NULL && n > 0) {
		memcpy(to, p, n);
	}
	return to;
}

const char *dif_arena_str(struct dif_arena *a, const char *s)
{
	if (s == NULL) {
		return NULL;
	}
	const char *copy = dif_arena_copy(a, s, strlen(s));
	return copy != NULL ? copy : "";
}

const char *dif_arena_vfmt(struct dif_arena *a, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0) {
		a->failed = true;
		return "";
	}
	char *to = dif_arena_alloc(a, (size_t)n + 1);
	if (to == NULL) {
		return "";
	}
	vsnprintf(to, (size_t)n + 1, fmt, ap);
	return to;
}

const char *dif_arena_fmt(struct dif_arena *a, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *s = dif_arena_vfmt(a, fmt, ap);
	va_end(ap);
	return s;
}
