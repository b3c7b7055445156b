/* probe - proves what a store can do with conditional writes, by trying it (a store that does not
 * know If-None-Match may ignore it and answer 200).
 *
 * On an object below .difusor/: create; create again must be refused; replace with a wrong tag
 * must be refused; replace with the right tag, as it is, then without its quotes, must work, and
 * that form is remembered. Where the store takes parts, an upload that must create the key must be
 * refused too, or large objects go there by whole puts. Where the store takes several digests, the
 * first is sought that it enforces: a put with a false one must be refused. The object is removed
 * again. The verdicts are facts in the state for 24 h.
 */
#ifndef DIF_FLOW_PROBE_H
#define DIF_FLOW_PROBE_H

#include "flow/destination.h"
#include "flow/state.h"

/* True where the state remembers a verdict: then fence, bare_tags, whole_only, guard and
 * unguarded are set. */
bool dif_probe_recall(struct dif_destination *d, struct dif_state *state);

struct dif_probe_run;
/* Tries it. Sets the same of the destination, then calls done once, on the loop,
 * never before this returns. err: cls OK also for an unfenced store; else why nothing is known
 * (unreachable, may not write). state NULL: not remembered. deadline_ms: of each request. NULL: out
 * of memory, done is not called. */
struct dif_probe_run *dif_probe_start(struct dif_destination *d, struct dif_state *state,
                                      void (*done)(void *data, const struct dif_error *err),
                                      void *data);
void dif_probe_cancel(struct dif_probe_run *run); /* done still comes */

#endif
