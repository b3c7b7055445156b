/* prober - one look at a destination as a reader has it, and at the references.
 *
 * A look asks for the entry page, for one object that tells the newest cut from the one before
 * (where the page does not: aggregates first, because they are published last), and for one object
 * by chance, and compares their bytes with the manifests of the last cuts. The oldest of the
 * answers is what the destination shows. Objects over 1 MiB are not asked for.
 *
 * When to look is the caller's. Loop thread.
 */
#ifndef DIF_FLOW_PROBER_H
#define DIF_FLOW_PROBER_H

#include "flow/failover.h"
#include "flow/setup.h"

struct dif_prober;

struct dif_prober_events {
	/* What look points to is valid during the call. */
	void (*looked)(void *data, uint32_t index, const struct dif_health_look *look);
	void (*sight)(void *data, enum dif_sight sight);
};

/* Learns the last cuts of the state. NULL: out of memory. */
struct dif_prober *dif_prober_open(struct dif_setup *s, const struct dif_prober_events *events,
                                   void *data);
/* A cut that a destination is being brought: its manifest is read from the state. Costs a read. */
void dif_prober_learn(struct dif_prober *p, const char *sha256);
/* The order of a cut that was learned; NULL: it is not known. Valid until the next learning. */
const struct dif_order *dif_prober_order(const struct dif_prober *p, const char *sha256);
/* What it should show from now on; sha256 "": nothing is published. */
void dif_prober_want(struct dif_prober *p, const struct dif_order *order);
/* Can it be looked at: it has an address, and the wanted cut is known? */
bool dif_prober_can(const struct dif_prober *p, uint32_t index);
/* Looks at the destination of that index; `looked` follows, never before this returns. False: it
 * does not, because there is no memory, or a look is under way. */
bool dif_prober_look(struct dif_prober *p, uint32_t index);
/* Asks the references; `sight` follows where there are any. */
void dif_prober_ask_references(struct dif_prober *p);
/* No event after this; frees itself on the loop. Accepts NULL. */
void dif_prober_close(struct dif_prober *p);

#endif
