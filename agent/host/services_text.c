/* services_text - memory and text of an attempt. A failure to allocate sticks to the arena, and
 * op_attempt.c looks there when the step returns. */
#include <limits.h>
#include <stdio.h>

#include "host/crypto.h"
#include "host/op_private.h"

#define TEXT_FIRST 256u
#define SHORT_MAX 512u /* a signed header of authorization has 300 to 400 */

struct dif_text {
	struct dif_arena *arena;
	char *p;
	size_t n, cap; /* a NUL fits behind n */
};

void *dif_host_alloc(struct dif_op *op, size_t n)
{
	return dif_arena_alloc(&op->host->arena, n);
}

/* vsnprintf for what nearly every format is made of, text, %s and %.*s: a request takes some dozens
 * of them, and printf is three times as slow. -1: there is something else in it. */
static int join(char *to, size_t cap, const char *fmt, va_list ap)
{
	size_t n = 0, room = cap - 1;
	for (const char *at = fmt; *at != '\0';) {
		const char *s = at;
		size_t len = strcspn(at, "%");
		if (len > 0) {
			at += len;
		} else {
			int most = strncmp(at, "%.*s", 4) == 0 ? va_arg(ap, int) : -1;
			if (most < 0 && at[1] != 's') {
				return -1;
			}
			at += most < 0 ? 2 : 4;
			s = va_arg(ap, const char *);
			if (s == NULL) {
				return -1;
			}
			len = most < 0 ? strlen(s) : strnlen(s, (size_t)most);
		}
		if (n < room) {
			memcpy(to + n, s, len < room - n ? len : room - n);
		}
		n += len;
	}
	to[n < room ? n : room] = '\0';
	return n <= INT_MAX ? (int)n : -1;
}

DIF_PRINTF(3, 0)
static int vprint(char *to, size_t cap, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = join(to, cap, fmt, again);
	va_end(again);
	return n >= 0 ? n : vsnprintf(to, cap, fmt, ap);
}

/* Most texts are short: made in place and copied, which costs half of measuring first. */
const char *dif_host_fmt(struct dif_op *op, const char *fmt, ...)
{
	struct dif_arena *arena = &op->host->arena;
	char short_text[SHORT_MAX];
	va_list ap;
	va_start(ap, fmt);
	int n = vprint(short_text, sizeof short_text, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof short_text) {
		va_start(ap, fmt);
		const char *s = dif_arena_vfmt(arena, fmt, ap);
		va_end(ap);
		return s;
	}
	const char *s = dif_arena_copy(arena, short_text, (size_t)n);
	explicit_bzero(short_text, (size_t)n); /* it may be half of a key */
	return s != NULL ? s : "";
}

/* Where there is no memory for a text, this one takes the additions and stays empty. */
struct dif_text *dif_host_text(struct dif_op *op)
{
	static struct dif_text none;
	struct dif_text *t = dif_arena_alloc(&op->host->arena, sizeof *t);
	if (t == NULL) {
		return &none;
	}
	t->arena = &op->host->arena;
	return t;
}

/* Room for n more bytes and a NUL. Doubling keeps what is left behind below what is used. */
static bool reserve(struct dif_text *t, size_t n)
{
	if (t->arena == NULL || n > SIZE_MAX / 4) {
		return false;
	}
	if (n < t->cap - t->n) {
		return true;
	}
	size_t cap = t->cap > 0 ? t->cap : TEXT_FIRST;
	while (cap - t->n <= n) {
		cap *= 2;
	}
	char *p = dif_arena_alloc(t->arena, cap);
	if (p == NULL) {
		return false;
	}
	if (t->n > 0) {
		memcpy(p, t->p, t->n);
	}
	t->p = p;
	t->cap = cap;
	return true;
}

void dif_host_add(struct dif_text *t, const char *fmt, ...)
{
	va_list ap;
	if (!reserve(t, 0)) {
		return;
	}
	va_start(ap, fmt);
	int n = vprint(t->p + t->n, t->cap - t->n, fmt, ap);
	va_end(ap);
	if (n < 0) {
		t->arena->failed = true;
		return;
	}
	if ((size_t)n >= t->cap - t->n) {
		if (!reserve(t, (size_t)n)) {
			return;
		}
		va_start(ap, fmt);
		(void)vprint(t->p + t->n, t->cap - t->n, fmt, ap);
		va_end(ap);
	}
	t->n += (size_t)n;
}

void dif_host_add_bytes(struct dif_text *t, const void *p, size_t n)
{
	if (reserve(t, n) && n > 0) {
		memcpy(t->p + t->n, p, n);
		t->n += n;
		t->p[t->n] = '\0';
	}
}

struct dif_bytes dif_host_end(struct dif_text *t)
{
	if (t->p == NULL || t->arena->failed) {
		return (struct dif_bytes){"", 0};
	}
	return (struct dif_bytes){t->p, t->n};
}

const char *dif_host_enc(struct dif_op *op, uint32_t enc, const void *p, size_t n)
{
	return dif_encode(&op->host->arena, (enum dif_enc)enc, p, n);
}

struct dif_bytes dif_host_dec(struct dif_op *op, uint32_t enc, const char *s)
{
	return dif_decode(&op->host->arena, (enum dif_enc)enc, s);
}
