/* pages - turning the pages of a store's listing, with an end.
 *
 * A store that gives a cursor it gave before would be listed for ever: whatever the length of the
 * circle, it is noticed within three rounds of it. What only goes on and on ends at a bound.
 */
#ifndef DIF_FLOW_PAGES_H
#define DIF_FLOW_PAGES_H

#include "base/err.h"

struct dif_pages {
	char *cursor; /* of the next page; NULL: the first, or none */
	char *mark;   /* one that came before */
	uint32_t n;   /* pages so far */
};

/* The most pages that a listing below the prefix of a destination may take: room for four times the
 * entries of a package in pages of so many rows, and for pages that are short. */
uint32_t dif_pages_most(int64_t entries, uint32_t rows);
/* Takes what one page said of the next; NULL: it was the last. p is zeroed before the first. False:
 * err; there is no next page. */
bool dif_pages_turn(struct dif_pages *p, const char *cursor, uint32_t most, struct dif_error *err);
void dif_pages_fini(struct dif_pages *p);

#endif
