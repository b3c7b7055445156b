/* delivery - one cut being brought to one destination: a state machine of its own, with its own
 * window, retry and repair.
 *
 *   queued -> probing -> marking -> listing -> diffing -> putting -> forgetting -> (barrier)
 *     -> finishing -> verifying -> purging -> checking -> removing -> clearing
 *     -> done | failed | superseded
 *
 * What CDNs must forget is owed in the state before the first put, goes when it is written (the
 * details before the barrier, aggregates and entry pages behind it), and is settled before the
 * destination counts as whole (flow/purge).
 *
 * The fence (design rule 3): every key that readers fetch is written conditionally, with order and
 * SHA-256 as its metadata in the same request. The marker is first, and stops a delivery that finds
 * a higher order there. Deletions come last and after grace.
 */
#ifndef DIF_FLOW_DELIVERY_H
#define DIF_FLOW_DELIVERY_H

#include "flow/destination.h"
#include "flow/spool.h"

struct dif_delivery;

struct dif_delivery_counts {
	uint64_t puts, put_bytes, puts_of, put_bytes_of; /* done, of planned */
	uint64_t skipped, removed, remove_later, foreign, retries;
};

/* What a delivery tells its publication; all on the loop. */
struct dif_delivery_events {
	void (*at_barrier)(
		void *data,
		struct dif_delivery *d); /* details are there: wait for dif_delivery_pass */
	void (*ended)(void *data,
	              struct dif_delivery *d); /* once; the delivery may be freed in it */
};

struct dif_delivery_job {
	struct dif_engine *engine;
	struct dif_state *state; /* may be NULL in a dry run, which only reads it */
	struct dif_spool *spool;
	const struct dif_package *package;
	struct dif_manifest *manifest;
	struct dif_destination *destination;
	const struct dif_class_rule *classes;
	uint32_t nclasses;
	bool dry_run;
	int64_t deadline_ms;    /* from now; 0: 10 min */
	int64_t unreachable_ms; /* a breaker open for so long counts as not reached; 0: 60 s */
	int64_t linger_ms;      /* objects in flight have so long once it is told to end; 0: 10 s */
};

/* The fact of a destination that holds a cut whole: "SHA256 FINGERPRINT DUE", DUE being when its
 * next orphan may go (ms since 1970), 0: there is none. */
#define DIF_FACT_WHOLE "whole"

/* Facts: when readers of each destination first got the entry pages of a cut (SHA-256), ms since
 * 1970. */
#define DIF_SHOWN_SCOPE "shown:%.64s"

/* NULL: out of memory. Where the destination is busy it waits for its turn. */
struct dif_delivery *dif_delivery_start(const struct dif_delivery_job *job,
                                        const struct dif_delivery_events *events, void *data);
void dif_delivery_pass(struct dif_delivery *d); /* the barrier is open */
/* A newer cut has come: before the barrier it ends as superseded after the objects in flight, which
 * are canceled after linger_ms, at once where its store is away. Past the barrier it finishes, but
 * for the purge: the newer cut purges what this one still owes. */
void dif_delivery_supersede(struct dif_delivery *d);
void dif_delivery_cancel(struct dif_delivery *d); /* likewise, but also past the barrier */
void dif_delivery_free(struct dif_delivery *d);   /* only after ended */
const struct dif_destination *dif_delivery_to(const struct dif_delivery *d);
const char *dif_delivery_state(const struct dif_delivery *d);
const struct dif_delivery_counts *dif_delivery_counts(const struct dif_delivery *d);
const struct dif_error *dif_delivery_error(const struct dif_delivery *d); /* cls OK: done */
/* Every object of the cut is at the store, verified, whatever came after. */
bool dif_delivery_is_there(const struct dif_delivery *d);
/* When readers got the entry pages: they were written, and CDNs had forgotten the older ones. Wall
 * ms, 0: not yet. */
int64_t dif_delivery_shown(const struct dif_delivery *d);
/* What each CDN was, or would be, asked to forget: config->ncdns of them. */
const struct dif_purge_count *dif_delivery_purges(const struct dif_delivery *d);

#endif
