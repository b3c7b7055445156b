/* freshness - how long a cut took from the source's notice to a destination's readers.
 *
 *   noticed ──source──▶ arrived ──us──▶ put ──cdn──▶ visible
 *
 * noticed: the poll that saw it; arrived: downloaded and verified; put: the store has all of it,
 * entry pages too, after the barrier; visible: the first answer of public_url that was this cut's.
 * One row per destination and cut in the state. Without a CDN between, cdn is what the check itself
 * took. Loop thread.
 */
#ifndef DIF_FLOW_FRESHNESS_H
#define DIF_FLOW_FRESHNESS_H

#include "flow/state.h"

/* ms since 1970; 0: did not happen, or is not known. */
struct dif_freshness {
	int64_t noticed, arrived, put, visible;
};

/* Spans in ms; -1: an end of it is not known. */
struct dif_freshness_spans {
	int64_t source, us, cdn, whole;
};
void dif_freshness_spans(const struct dif_freshness *f, struct dif_freshness_spans *to);

/* Writes the line `fresh` of the log and queues the row. state NULL: the line only. False: it could
 * not be queued. */
bool dif_freshness_put(struct dif_state *state, const char *destination, const char *sha256,
                       const struct dif_freshness *f);
/* False: none. */
bool dif_freshness_get(struct dif_state *state, const char *destination, const char *sha256,
                       struct dif_freshness *f);

#endif
