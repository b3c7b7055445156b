/* pace - how often a repair that fails is tried again, and how often that is told. Pure; one per
 * destination, zeroed first.
 *
 * A store that can be read and not written fails at every look. Each try opens and hashes the whole
 * package, so after a failure the next one waits: 30 s, doubling to 10 min.
 */
#ifndef DIF_FLOW_PACE_H
#define DIF_FLOW_PACE_H

#include "base/err.h"

struct dif_pace {
	uint32_t failures;  /* in a row */
	uint32_t repeats;   /* of the same reason, since it was told */
	int64_t not_before; /* steady ms; 0: at once */
	char reason[256];   /* the last one, without what differs from try to try */
};

/* True: this one is to be told, because its reason is another one, or for every tenth time. */
bool dif_pace_failed(struct dif_pace *p, int64_t now, const struct dif_error *err);
bool dif_pace_may(const struct dif_pace *p, int64_t now);
/* A success, a new cut, another configuration: the next try is at once. */
void dif_pace_reset(struct dif_pace *p);

#endif
