/* live - which cut a destination should show, with its manifest, without an agent.
 *
 *   the live cut of the state, else what the store's marker says
 *   its manifest of the state, else its package of the archive is ingested again
 *
 * Loop thread.
 */
#ifndef DIF_FLOW_LIVE_H
#define DIF_FLOW_LIVE_H

#include "flow/setup.h"

/* Both are the receiver's from done on: unref and close. */
struct dif_live {
	struct dif_order should; /* of the state; sha256 "": it knows none */
	char shows[65];          /* the cut that the marker names; "": there is none of ours */
	const char *marker;      /* its key; valid during done */
	struct dif_manifest *manifest; /* of `should`, else of `shows`, with its order */
	struct dif_package *package;   /* where asked for, or it was needed anyway */
};

struct dif_live_run;
/* done is called once, on the loop, never before this returns; with err where there is no manifest,
 * or no package that was asked for; the rest is then filled in as far as known. Never NULL. */
struct dif_live_run *dif_live_start(struct dif_setup *s, uint32_t destination, bool with_package,
                                    void (*done)(void *data, const struct dif_live *live,
                                                 const struct dif_error *err),
                                    void *data);
void dif_live_cancel(struct dif_live_run *r); /* done still comes */

#endif
