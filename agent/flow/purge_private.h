/* purge_private - what the files of a purger share.
 *
 *   purge.c        what is owed, its record, who waits
 *   purge_send.c   batches, requests, tickets, limits
 *
 *   owed ─release─▶ ready ─▶ in a batch ─▶ settled: forgotten, or later, for its second pass
 *                     ▲           │              │
 *                     └─dissolved─┘◀─────────────┘ when its time has come
 */
#ifndef DIF_FLOW_PURGE_PRIVATE_H
#define DIF_FLOW_PURGE_PRIVATE_H

#include "base/arena.h"
#include "base/map.h"
#include "flow/purge.h"

struct purge_lane;
struct purge_batch;

/* One item of the set. A newer cut that owes it again gives it another rev: what was under way for
 * the old one then counts for nothing. */
struct purge_owed {
	struct dif_link link; /* in ready or later of its lane, or in none */
	struct purge_lane *lane;
	struct dif_purge_item item;
	char cut[65];
	int64_t rev;
	struct purge_batch *batch; /* at work for this rev */
	uint32_t refs;             /* batches that name it */
	uint32_t most;             /* so many items at most in its batch; 0: no bound of its own */
	bool released, gone;       /* gone: not in the set any more, freed with its last batch */
	int64_t again_at;          /* steady; of its second pass */
	char text[];               /* of the item, and behind it the key in the map */
};

/* A request to one node, repeated until it is settled. */
struct purge_call {
	struct purge_batch *batch;
	struct dif_op_run *run; /* NULL: none under way */
	struct dif_purge in;
	struct dif_ticket ticket;
	char *id; /* of the ticket, NULL: not asked for, or not accepted yet */
	char idem[33];
	int64_t not_before, began; /* steady; when the ticket was given */
	uint32_t failures, polls;
	bool settled, is_stuck; /* stuck: it failed as no repeat helps; repeated all the same */
};

struct purge_batch {
	struct dif_link link;
	struct purge_lane *lane;
	uint32_t scope, pass, n;
	struct purge_owed **rows;
	int64_t *revs;
	const char **urls, **paths;
	struct purge_call *calls; /* one per node, and per name where addresses have one */
	uint32_t ncalls, left;
	struct dif_arena arena;
};

struct purge_lane {
	struct dif_purger *p;
	struct dif_instance *cdn;
	const struct dif_cdn_config *config;
	const struct dif_caps *caps;
	struct dif_purge_rules rules;
	size_t origin;   /* bytes of public_url before its path */
	size_t longest;  /* the same, with the longest of the names */
	uint32_t nnames; /* of the site: that of public_url, and config->names */
	char *scope;     /* of its facts */
	struct dif_map set;
	struct dif_link ready[DIF_PURGE_ALL + 1], later, batches;
	uint32_t nbatches, urls, wides; /* in flight */
	int64_t urls_at;                /* steady: no more addresses before */
	struct dif_error err;           /* the last failure, cls OK: none since the last success */
};

struct dif_purger {
	struct dif_engine *engine;
	struct dif_state *state;
	const struct dif_destination_config *d;
	struct purge_lane *lanes;
	uint32_t nlanes;
	uv_timer_t timer;
	int64_t rev;                               /* the last one given */
	uint32_t open, news;                       /* released; of them not yet once purged */
	uint32_t runs;                             /* requests under way */
	bool resumed, unreleased, closing, failed; /* failed: out of memory at open */
	struct dif_link waits;
	struct dif_purger_counts counts;
	void (*closed)(void *data);
	void *closed_data;
};

/* purge.c */
void purge_record(struct purge_owed *o);                 /* as it is now */
void purge_settled(struct purge_owed *o, uint32_t pass); /* by the CDN, for its present rev */
void purge_renew(struct purge_owed *o);                  /* another rev: it is purged anew */
void purge_unref(struct purge_owed *o);                  /* a batch goes */
void purge_kick(struct dif_purger *p, int64_t ms);       /* pumps on the loop */
bool purge_may_work(const struct dif_purger *p);
void purge_end(struct dif_purger *p); /* nothing is under way any more */

/* purge_send.c */
/* The k-th of config->names, from 1 on, n bytes of it; "" behind the last. */
const char *purge_name(const struct purge_lane *l, uint32_t k, size_t *n);
/* How many names a purge of that scope must be made for. */
uint32_t purge_names(const struct purge_lane *l, uint32_t scope);
/* Starts what may start. Returns in how many ms there is more to do, -1: nothing
 * before something comes back. *stuck: nothing moves but what no repeat helps. */
int64_t purge_send(struct purge_lane *l, bool *stuck);
void purge_cancel(struct purge_lane *l);
void purge_drop_batches(struct purge_lane *l); /* none of their calls is under way */

#endif
