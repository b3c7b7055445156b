/* drill - the running agent's room of drills: one at a time, a fault in force for a while, its
 * timeline measured, its end seen to.
 *
 *   asked ─▶ guarded ─▶ prepared ─▶ fault set ─────────▶ lifted ─▶ clean ─▶ judged, reported
 *                │16                 │ another destination turns bad, by hand, SIGTERM: at once
 *
 * The fault lives in this process only (host/inject): nothing of it survives a restart. A record
 * that a former run left unfinished is closed as interrupted. Loop thread.
 */
#ifndef DIF_EVIDENCE_DRILL_H
#define DIF_EVIDENCE_DRILL_H

#include "flow/ask.h"
#include "flow/source.h"
#include "flow/traffic.h"

/* What a question asks (dif_ask.act). */
#define DIF_DRILL_ASK "drill"
#define DIF_DRILL_ASK_STOP "drill-stop"

struct dif_drills;

struct dif_drills_in {
	struct dif_setup *setup;
	struct dif_traffic *traffic;
	struct dif_source *const *sources; /* by the index of config->sources */
	void (*look)(void *data);          /* the agent should look at its destinations now */
	bool (*may)(void *data); /* it delivers and steers: else there is nothing to try */
	void *data;
};

/* What it is given stays until closed. NULL: out of memory. */
struct dif_drills *dif_drills_open(const struct dif_drills_in *in);
/* Answers. Text is the drill's ID where it began, else why not (exit 16: readers could suffer). */
void dif_drills_asked(struct dif_drills *d, const struct dif_ask *ask);
/* Lifts what is in force, closes the record; frees itself on the loop. Accepts NULL. */
void dif_drills_close(struct dif_drills *d);

#endif
