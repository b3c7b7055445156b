/* spool - the bytes of members on their way out: one budget for the whole agent, by tickets,
 * however many destinations.
 *
 * A member up to DIF_WHOLE_MAX is inflated once on the pool into a buffer that all destinations
 * share; larger ones are streamed by each through a window of its own. A lease that is held for
 * over 2 s while others wait for memory is asked back from a destination that has more than its
 * even share: it lets go, and inflates again for itself later, so the slowest cloud never sets the
 * pace, and nobody's share is ever taken.
 */
#ifndef DIF_FLOW_SPOOL_H
#define DIF_FLOW_SPOOL_H

#include "flow/manifest.h"
#include "flow/package.h"
#include "host/body.h"
#include "host/engine.h"

struct dif_spool;
struct dif_spool_user; /* a delivery at work */
struct dif_lease;

#define DIF_LEASE_MS 2000 /* as design section 3 says */

struct dif_spool *dif_spool_new(struct dif_engine *e, uint64_t budget); /* NULL: memory, handles */
void dif_spool_free(struct dif_spool *s); /* no user may be left; its timer closes on the loop */
/* NULL: out of memory. */
struct dif_spool_user *dif_spool_join(struct dif_spool *s);
/* No lease may be out. left is called once, on the loop, never before this returns, when the pool
 * reads nothing for this user any more: from then on the packages may be closed. */
void dif_spool_leave(struct dif_spool_user *u, void (*left)(void *data), void *data);

struct dif_lease_events {
	/* On the loop, never before want returns: body NULL and err (INTEGRITY: it no longer
	 * inflates to what was verified), else the body, valid until release. */
	void (*ready)(void *data, struct dif_body *body, const struct dif_error *err);
	/* After ready, at most once: others need the memory; release soon, and want again later. */
	void (*asked_back)(void *data);
};
/* Asks for a member's bytes in a form. The package must stay until left. NULL: out of memory. */
struct dif_lease *dif_spool_want(struct dif_spool_user *u, const struct dif_package *p,
                                 const struct dif_member *m, enum dif_form_id form,
                                 const struct dif_lease_events *events, void *data);
void dif_spool_release(struct dif_lease *l); /* before ready: no ready comes any more */

/* A member in slices: read once and in order, each slice a buffer of its own. The slices of a user
 * take its even share of the budget at most, or one slice; they are not asked back, because what is
 * inflated in order cannot be inflated again for itself. */
struct dif_slices;
/* Of size bytes each, the last of the rest, with this digest of each (DIF_NO_DIGEST: none). NULL:
 * out of memory. */
struct dif_slices *dif_spool_slices(struct dif_spool_user *u, const struct dif_package *p,
                                    const struct dif_member *m, enum dif_form_id form,
                                    uint64_t size, uint32_t digest);
/* The next slice, as a lease of bytes in memory; after the one before is ready, and while there is
 * one. The last one fails (INTEGRITY) also where the whole is not what was verified. NULL: out of
 * memory. */
struct dif_lease *dif_spool_slice(struct dif_slices *s, const struct dif_lease_events *events,
                                  void *data);
struct dif_bytes dif_spool_slice_digest(const struct dif_lease *l); /* of a slice that is ready */
void dif_slices_free(struct dif_slices *s); /* after its leases; accepts NULL */

uint64_t dif_spool_budget(const struct dif_spool *s);
uint64_t dif_spool_peak(const struct dif_spool *s); /* bytes */

#endif
