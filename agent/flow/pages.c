#include "flow/pages.h"

#include <stdlib.h>
#include <string.h>

#define SHORT_MAX 1000u /* Azure and GCS may give pages of few rows or none */
#define TIMES 4         /* entries, their gzip forms, what waits for its grace, what is foreign */

uint32_t dif_pages_most(int64_t entries, uint32_t rows)
{
	int64_t full = entries * TIMES / (rows > 0 ? rows : 1);
	return full < (int64_t)(UINT32_MAX - SHORT_MAX) ? (uint32_t)full + SHORT_MAX : UINT32_MAX;
}

/* Brent: the mark moves to each page whose number is a power of two. */
static bool mark(struct dif_pages *p)
{
	if ((p->n & (p->n - 1)) != 0) {
		return true;
	}
	free(p->mark);
	p->mark = strdup(p->cursor);
	return p->mark != NULL;
}

bool dif_pages_turn(struct dif_pages *p, const char *cursor, uint32_t most, struct dif_error *err)
{
	p->n++;
	free(p->cursor);
	p->cursor = cursor != NULL ? strdup(cursor) : NULL;
	if (cursor == NULL) {
		return true;
	}
	if (p->cursor == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	if (p->mark != NULL && strcmp(p->mark, cursor) == 0) {
		dif_error_set(err, DIF_PERMANENT,
		              "the store goes round in circles: page %u has the cursor of an "
		              "earlier one",
		              p->n);
		return false;
	}
	if (p->n >= most) {
		dif_error_set(err, DIF_PERMANENT,
		              "there is no end after %u pages; set prefix to a folder of its own",
		              p->n);
		return false;
	}
	if (!mark(p)) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	return true;
}

void dif_pages_fini(struct dif_pages *p)
{
	free(p->cursor);
	free(p->mark);
	*p = (struct dif_pages){0};
}
