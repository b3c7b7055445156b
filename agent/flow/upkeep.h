/* upkeep - what a running agent does for each destination by itself: looks at it now and then
 * (flow/reconcile), and brings it the newest cut again where something is missing there. Loop
 * thread.
 */
#ifndef DIF_FLOW_UPKEEP_H
#define DIF_FLOW_UPKEEP_H

#include "flow/setup.h"

struct dif_upkeep;

struct dif_upkeep_events {
	/* May a repair begin at this destination now? */
	bool (*may_repair)(void *data, uint32_t index);
	/* A look has ended without a repair, or a repair has. */
	void (*ended)(void *data);
};

/* NULL: out of memory. */
struct dif_upkeep *dif_upkeep_open(struct dif_setup *s, const struct dif_upkeep_events *events,
                                   void *data);
/* Looks at every destination that nothing is done for. */
void dif_upkeep_look(struct dif_upkeep *u);
bool dif_upkeep_is_looking(const struct dif_upkeep *u);
/* A newer cut has come: repairs before the barrier end, looks at once; `ended` still comes. */
void dif_upkeep_supersede(struct dif_upkeep *u);
/* Ends what is done for one destination; `ended` still comes. */
void dif_upkeep_cancel(struct dif_upkeep *u, uint32_t index);
/* The next repair there is tried at once, also where the last one failed. */
void dif_upkeep_reset(struct dif_upkeep *u, uint32_t index);
/* Nothing may be under way. Accepts NULL. */
void dif_upkeep_free(struct dif_upkeep *u);

#endif
