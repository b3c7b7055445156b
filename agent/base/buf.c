#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define FIRST 256u /* most texts are short; from there the room doubles */

void dif_buf_init(struct dif_buf *b, size_t max)
{
	/* one byte less than everything, so that max + 1 is a number */
	*b = (struct dif_buf){.max = max < SIZE_MAX ? max : max - 1};
}

void dif_buf_fini(struct dif_buf *b)
{
	free(b->p);
	*b = (struct dif_buf){.max = b->max};
}

void dif_buf_wipe(struct dif_buf *b)
{
	if (b->p != NULL) {
		explicit_bzero(b->p, b->cap);
	}
	dif_buf_fini(b);
}

/* Makes room for n more bytes and the NUL. Not by realloc: it could leave a copy behind that
 * dif_buf_wipe never sees. */
static bool grow(struct dif_buf *b, size_t n)
{
	if (b->failed || n > b->max - b->n) {
		b->failed = true;
		return false;
	}
	size_t need = b->n + n + 1;
	if (need <= b->cap) {
		return true;
	}
	size_t cap = b->cap > 0 ? b->cap : FIRST;
	while (cap < need) {
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	}
	if (cap > b->max + 1) {
		cap = b->max + 1;
	}
	char *p = malloc(cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	if (b->p != NULL) {
		memcpy(p, b->p, b->n + 1);
		explicit_bzero(b->p, b->n);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return true;
}

bool dif_buf_add(struct dif_buf *b, const void *p, size_t n)
{
	if (!grow(b, n)) {
		return false;
	}
	if (n > 0) {
		memcpy(b->p + b->n, p, n);
	}
	b->n += n;
	b->p[b->n] = '\0';
	return true;
}

bool dif_buf_fmt(struct dif_buf *b, const char *fmt, ...)
{
	va_list ap, again;
	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	bool ok = false;
	if (n < 0) {
		b->failed = true;
	} else if (grow(b, (size_t)n)) {
		vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
		b->n += (size_t)n;
		ok = true;
	}
	va_end(ap);
	return ok;
}

const char *dif_buf_str(const struct dif_buf *b)
{
	return b->p != NULL ? b->p : "";
}
