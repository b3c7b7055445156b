/* purge - makes the CDNs of one destination forget what has changed, however long that takes.
 *
 *   owe -> (durable) -> release -> batches -> requests, tickets -> settled -> forgotten here, too
 *
 * What is owed is a set: an item that a newer cut owes again replaces the older purge of it, and
 * what something wider covers goes. It is recorded in the state before anything is asked for, and
 * dropped when the CDN has done it, so a purge that is owed survives whatever ends the program.
 * Failed purges are repeated. Every purge carries a mark that is the same for a repeat alone.
 *
 * A purger works while somebody waits for it, or from dif_purger_resume to dif_purger_rest. CDNs
 * go side by side, and so do the nodes of one. Loop thread.
 */
#ifndef DIF_FLOW_PURGE_H
#define DIF_FLOW_PURGE_H

#include "base/list.h"
#include "flow/config.h"
#include "flow/purge_plan.h"
#include "flow/state.h"
#include "host/op.h"

struct dif_purger;

/* state: where it is recorded, and what is owed is loaded from; NULL: nowhere. cdns and rules are
 * those of d->cdns, in its order; all of it stays until closed. It keeps the loop running while
 * somebody waits. NULL: out of memory. */
struct dif_purger *dif_purger_open(struct dif_engine *e, struct dif_state *state,
                                   const struct dif_destination_config *d,
                                   struct dif_instance *const *cdns,
                                   const struct dif_cdn_config *const *rules);
/* Cancels what runs; what is owed stays in the state. Nobody waits any more. closed comes on the
 * loop. */
void dif_purger_close(struct dif_purger *p, void (*closed)(void *data), void *data);

/* What one CDN is asked for a set of changes. */
struct dif_purge_count {
	const char *cdn;
	uint32_t items[DIF_PURGE_ALL + 1]; /* of the first pass, by scope */
	uint32_t again;                    /* items of the second */
	uint32_t calls;                    /* of both passes, on all nodes */
};

void dif_purge_count_add(struct dif_purge_count *to, const struct dif_purge_count *more);

/* Owes what these changes ask for, on every CDN; counts (one per CDN) is set. cut: SHA-256 as hex.
 * What is owed is queued in the state: flush before the first byte changes. False: out of memory,
 * and then all that was owed before is still owed. */
bool dif_purger_owe(struct dif_purger *p, const char *cut, const struct dif_change_of *keys,
                    uint32_t n, struct dif_purge_count *counts);
/* Only counts. */
bool dif_purger_count(const struct dif_purger *p, const struct dif_change_of *keys, uint32_t n,
                      struct dif_purge_count *counts);
/* What one CDN (index of d->cdns) would be asked for. False: out of memory. */
bool dif_purger_plan(const struct dif_purger *p, uint32_t cdn, const struct dif_change_of *keys,
                     uint32_t n, struct dif_purge_plan *plan);
/* One item on it, by hand. */
bool dif_purger_owe_item(struct dif_purger *p, uint32_t cdn, const struct dif_purge_item *item);
/* The origin has it all: what is owed now may go. */
void dif_purger_release(struct dif_purger *p);
/* The origin has the details, and not yet what leads to them: their addresses may go. A reader who
 * then meets a new page, wherever that comes from, finds details as new. True: there are some, and
 * `shown` of a wait tells when they are forgotten. */
bool dif_purger_release_details(struct dif_purger *p);

struct dif_purger_wait {
	/* Each once at most, never before dif_purger_wait returns. shown: all first passes are
	 * settled; may be NULL. done: nothing that was released is owed any more, or err says why
	 * the rest cannot be settled now (no repeat would help); it stays owed. The wait is over
	 * with done. */
	void (*shown)(void *data);
	void (*done)(void *data, const struct dif_error *err);
	void *data;
	struct dif_link link; /* the purger's */
	bool was_shown;
};
void dif_purger_wait(struct dif_purger *p, struct dif_purger_wait *w);
void dif_purger_leave(struct dif_purger *p, struct dif_purger_wait *w); /* before done */

/* Works on without anybody who waits, and releases what is owed: cheap, for every tick. */
void dif_purger_resume(struct dif_purger *p);
void dif_purger_rest(struct dif_purger *p);

struct dif_purger_counts {
	uint32_t owed;                     /* items, released or not */
	uint32_t open;                     /* of them released */
	uint64_t settled, calls, failures; /* since open */
};
struct dif_purger_counts dif_purger_counts(const struct dif_purger *p);
/* The last failure of a CDN that has done nothing since; cls OK: none. */
const struct dif_error *dif_purger_error(const struct dif_purger *p);

/* How many items the state knows as owed by a destination: for who has no purger. */
uint32_t dif_purge_owed(struct dif_state *s, const struct dif_destination_config *d);

#endif
