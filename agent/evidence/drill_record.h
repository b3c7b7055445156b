/* drill_record - what one drill came to: its timeline, what was measured, and whether it was good
 * enough. It lies in STATE/drills/ID/drill.json, written again with each event.
 *
 * The timeline is what is known; figures and criteria follow from it (dif_drill_judge). Times of
 * events are ms since the drill began. Synchronous; any thread.
 */
#ifndef DIF_EVIDENCE_DRILL_RECORD_H
#define DIF_EVIDENCE_DRILL_RECORD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define DIF_DRILL_EVENTS 96 /* more are not written down */
#define DIF_DRILL_TEXT 256
#define DIF_DRILL_ID 64
#define DIF_DRILL_CRITERIA 6

enum dif_drill_event_id {
	DIF_DRILL_BEGAN,
	DIF_DRILL_FAULT_SET,
	DIF_DRILL_FIRST_FAILURE,
	DIF_DRILL_VERDICT, /* of the destination; the text says which */
	DIF_DRILL_NOTICED,
	DIF_DRILL_ROUTE_DECIDED,
	DIF_DRILL_ROUTE_STANDS, /* read back at every steering */
	DIF_DRILL_TTL_OVER,
	DIF_DRILL_FAULT_LIFTED,
	DIF_DRILL_HEALTHY,
	DIF_DRILL_WHOLE,
	DIF_DRILL_ROUTE_BACK,
	DIF_DRILL_ROUTE_LATER, /* the text says when at the earliest */
	DIF_DRILL_STOPPED,
	DIF_DRILL_ENDED,
	DIF_DRILL_EVENT_IDS
};
const char *dif_drill_event_name(uint32_t id); /* "fault_set"; never NULL */

struct dif_drill_event {
	uint32_t id;
	int64_t ms;
	char text[DIF_DRILL_TEXT]; /* "" where there is nothing to add */
};

enum dif_drill_state {
	DIF_DRILL_RUNNING,
	DIF_DRILL_PASSED,
	DIF_DRILL_FAILED,
	DIF_DRILL_WAS_STOPPED, /* for the readers' sake, or by hand */
	DIF_DRILL_INTERRUPTED, /* the agent ended in it, and the fault with the agent */
	DIF_DRILL_STATES
};
const char *dif_drill_state_name(uint32_t state);

enum dif_drill_criterion_id {
	DIF_DRILL_DETECTION, /* fault -> noticed, within the bound */
	DIF_DRILL_RTO,       /* fault -> route stands + TTL, within the bound */
	DIF_DRILL_RPO,       /* cuts that those who took the readers over were behind: none */
	DIF_DRILL_STAYS,     /* the route did not change */
	DIF_DRILL_OTHERS,    /* all others were healthy all along */
	DIF_DRILL_CLEAN      /* lifted, healthy, whole, in the route or known when */
};
const char *dif_drill_criterion_name(uint32_t id);

struct dif_drill_criterion {
	uint32_t id;
	bool good;
	int64_t measured, bound; /* ms, cuts; -1: none */
};

struct dif_drill_record {
	char id[DIF_DRILL_ID];
	char drill[32], destination[128]; /* destination "": it is about none alone */
	char profile[16], version[32];
	char fingerprint[65];                   /* SHA-256 of the configuration */
	char reason[DIF_DRILL_TEXT];            /* of a stop */
	char route[DIF_DRILL_TEXT];             /* before the fault */
	uint32_t state;                         /* enum dif_drill_state */
	bool moves;                             /* readers had to be led elsewhere */
	bool steered;                           /* there is a steering */
	int64_t begun, ended;                   /* ms since 1970; ended 0: not yet */
	int64_t length_ms, interval_ms, ttl_ms; /* interval: of what notices it */
	int64_t detection_bound_ms, rto_bound_ms;
	uint64_t struck; /* requests and file calls */
	/* what was seen meanwhile */
	bool route_changed; /* of those that do not move */
	bool others_bad;
	bool clean;
	int64_t behind; /* cuts; -1: nobody took over */
	struct dif_drill_event events[DIF_DRILL_EVENTS];
	uint32_t nevents;
	/* what follows from it: dif_drill_judge */
	int64_t detection_ms, rto_ms, rpo_cuts, recovery_ms; /* -1: not measured */
	struct dif_drill_criterion criteria[DIF_DRILL_CRITERIA];
	uint32_t ncriteria;
};

void dif_drill_note(struct dif_drill_record *r, uint32_t id, int64_t ms, const char *fmt, ...)
	DIF_PRINTF(4, 5);
/* When it happened first; -1: it did not. */
int64_t dif_drill_at(const struct dif_drill_record *r, uint32_t id);
/* Figures and criteria from the timeline, and the state where it still runs: PASSED or FAILED. */
void dif_drill_judge(struct dif_drill_record *r);

bool dif_drill_write(const struct dif_drill_record *r, struct dif_buf *out);
/* False: it is none of ours, or damaged. */
bool dif_drill_parse(struct dif_bytes in, struct dif_drill_record *to, struct dif_error *err);

/* STATE/drills/ID/drill.json. digest (may be NULL): its SHA-256 as hex. */
bool dif_drill_load(const char *state, const char *id, struct dif_drill_record *to, char digest[65],
                    struct dif_error *err);
/* Creates the folder, too. Durable. */
bool dif_drill_save(const char *state, const struct dif_drill_record *r, struct dif_error *err);
/* The names of all drills, the oldest first; memory from a, NULL: there are none. */
const char *const *dif_drill_ids(struct dif_arena *a, const char *state, uint32_t *n);

#endif
