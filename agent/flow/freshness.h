/* freshness - how long a cut took from the source's notice to a destination's readers.
 *
 *   noticed ──source──▶ arrived ──us──▶ put ──cdn──▶ visible
 *
 * noticed: the poll that saw it; arrived: downloaded and verified; put: the store has all of it,
 * entry pages too, behind the barrier; visible: the first answer of the public address that is this
 * cut's (dif_edge_report.first_visible). A package that a person brought arrived when it was first
 * seen. One row per destination and cut, as facts of the state. Loop thread.
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

/* Of the source: a package with this SHA-256 has arrived; the first time counts. Queued. */
void dif_freshness_arrived(struct dif_state *state, const char *sha256, int64_t noticed,
                           int64_t arrived);
/* Of a delivery, at its end: adds what is known of the arrival, queues the row and writes the line
 * `fresh` of the log. Where the cut was visible there before (it is delivered again), the first
 * time stays and nothing is written. visible 0: it was put, and not seen yet, or
 * nobody looked. */
void dif_freshness_shown(struct dif_state *state, const char *destination, const char *sha256,
                         int64_t put, int64_t visible);
/* False: none. */
bool dif_freshness_get(struct dif_state *state, const char *destination, const char *sha256,
                       struct dif_freshness *f);

#endif
