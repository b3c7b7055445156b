/* reconcile - looks whether a destination still is what we think it is (rule 3: heals what a
 * request in flight may have done, or another hand).
 *
 * HEAD of the marker, then of the root's index.html and of a rotating sample of the keys we hold.
 * A key whose tag is not the remembered one is marked unknown, so that the next delivery writes
 * it again. Costs some twenty requests a round.
 */
#ifndef DIF_FLOW_RECONCILE_H
#define DIF_FLOW_RECONCILE_H

#include "flow/destination.h"

#define DIF_RECONCILE_SAMPLE 20

enum dif_reconciled {
	DIF_RECONCILED_SAME,
	DIF_RECONCILED_DIFFERS, /* something is not ours any more: deliver again */
	DIF_RECONCILED_UNREACHED
};

struct dif_reconcile;
/* The destination must not be busy; done is called once, on the loop, never before this returns.
 * err says why where it was not reached. turn: counts rounds, so that each samples other keys. */
struct dif_reconcile *dif_reconcile_start(struct dif_destination *d, uint32_t turn,
                                          void (*done)(void *data, enum dif_reconciled what,
                                                       const struct dif_error *err),
                                          void *data);
void dif_reconcile_cancel(struct dif_reconcile *r); /* done still comes, UNREACHED */

#endif
