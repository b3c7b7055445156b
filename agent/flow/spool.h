/* spool - the bytes of members on their way out: one budget for the whole agent, by tickets,
 * however many destinations.
 *
 * A member up to DIF_WHOLE_MAX is inflated once on the pool into a buffer that all destinations
 * share; larger ones are streamed by each through a window of its own. A lease that is held for
 * over 2 s while others wait for memory loses the sharing: the buffer is given up when its holder
 * lets go, and that destination inflates again for itself later, so the slowest cloud never sets
 * the pace.
 */
#ifndef DIF_FLOW_SPOOL_H
#define DIF_FLOW_SPOOL_H

#include "flow/manifest.h"
#include "flow/package.h"
#include "host/body.h"
#include "host/engine.h"

struct dif_spool;
struct dif_lease;

struct dif_spool *dif_spool_new(struct dif_engine *e, uint64_t budget);
void dif_spool_free(struct dif_spool *s); /* no lease may be out */
/* Asks for a member's bytes in a form. The package must stay until release. ready is called on the
 * loop, never before this returns: body NULL and err (INTEGRITY: it no longer inflates to what was
 * verified), else the body, valid until release. */
struct dif_lease *dif_spool_want(struct dif_spool *s, const struct dif_package *p,
                                 const struct dif_member *m, enum dif_form_id form,
                                 void (*ready)(void *data, struct dif_body *body,
                                               const struct dif_error *err),
                                 void *data);
void dif_spool_release(struct dif_lease *l);        /* before ready: no ready comes any more */
uint64_t dif_spool_peak(const struct dif_spool *s); /* bytes */

#endif
