/* delivery_private - what the files of a delivery share.
 *
 *   delivery.c        states, time, end
 *   delivery_open.c   probe, record, marker, listing, plan
 *   delivery_put.c    the puts, by phase, and what to do when a condition is lost
 *   delivery_parts.c  one large object, in parts
 *   delivery_close.c  verify, remove orphans
 *   delivery_purge.c  what CDNs are to forget
 *   delivery_check.c  what readers get of it
 *
 * Every request of a delivery is an errand. After each answer the step of the state is called
 * again: it starts what may start and moves on when nothing is left. A delivery that stops starts
 * nothing more and ends when its last errand has come back.
 */
#ifndef DIF_FLOW_DELIVERY_PRIVATE_H
#define DIF_FLOW_DELIVERY_PRIVATE_H

#include "base/list.h"
#include "base/sm.h"
#include "flow/blob.h"
#include "flow/delivery.h"
#include "flow/diff.h"
#include "flow/edge.h"
#include "flow/pages.h"
#include "flow/probe.h"

enum delivery_state {
	QUEUED,
	PROBING,
	MARKING,
	LISTING,
	DIFFING,
	PUTTING,
	FORGETTING, /* the CDNs, the details */
	WAITING,    /* at the barrier */
	FINISHING,
	VERIFYING,
	PURGING,
	CHECKING,
	REMOVING,
	CLEARING, /* purging what was removed */
	DONE,
	FAILED,
	SUPERSEDED,
	DELIVERY_STATES
};

#define ROUNDS_MAX 5 /* a key that changes as often as it is read */
#define BROKEN_MAX 3 /* bytes that arrive otherwise than they left */
#define HEADS_MAX 64 /* HEADs and GETs side by side; the window decides how many really run */
#define MARKER_MAX 1024

struct errand {
	struct dif_link link; /* in the delivery's errands */
	struct dif_delivery *d;
	struct dif_op_run *run;
	bool is_last; /* tidies up: the end of the delivery's time does not cancel it */
	void (*cb)(struct errand *e, const struct dif_outcome *out);
};

struct putting;

struct dif_delivery {
	struct dif_delivery_job job;
	const struct dif_delivery_events *events;
	void *data;
	struct dif_destination *to;
	struct dif_state *state; /* NULL in a dry run: nothing is recorded */
	struct dif_sm sm;
	struct dif_link waiting; /* for its turn */
	uv_timer_t kick, tick;
	uint32_t handles;
	int64_t deadline, started; /* steady; wall */
	int64_t linger_until;      /* steady; once it is told to end */
	char *scope;               /* of its facts */
	char print[17];            /* fingerprint */
	char epoch[24], order[24]; /* as metadata */
	struct dif_arena arena;    /* of the delivery's life: keys, tags of foreign objects */
	struct dif_map foreign;    /* key -> tag */
	struct dif_wants wants;
	struct dif_plan plan;
	bool has_wants, has_plan;
	struct dif_delivery_counts counts;

	struct dif_link errands;
	uint32_t busy; /* errands, flushes, probe */
	bool turn;     /* the destination is ours */
	bool stopping, superseding, pumping, settled;
	bool outrun; /* a newer cut has come, past the barrier */
	enum delivery_state end;
	struct dif_error err;

	struct dif_probe_run *probe;
	struct {
		struct errand errand;
		struct dif_get head;
		struct dif_put put;
		struct dif_blob_bytes blob;
		struct dif_field meta[4];
		char text[MARKER_MAX];
		char *tag;
		struct dif_order ours; /* the last that we wrote; sha256 "": not known */
		bool asked, there, watching;
		uint32_t rounds;
	} marker;
	struct {
		struct errand errand;
		struct dif_list in;
		struct dif_pages pages;
		const char **heads; /* keys whose metadata the list did not tell */
		uint32_t nheads, room, next;
		bool begun, complete;
	} list;
	struct {
		struct dif_spool_user *user;
		struct dif_link slots; /* at work */
		struct dif_link again; /* gave their memory back */
		struct dif_want **written;
		uint32_t nwritten, nslots, phase, next;
		uint64_t bytes; /* of the slots */
		uint64_t newer; /* keys that another agent wrote later than us */
		bool passed;
	} put;
	struct {
		struct dif_want **list, **again;
		uint32_t n, next, nagain;
		bool chosen, all; /* all: one was wrong, so every one is read */
		bool must_widen;
	} verify;
	struct {
		struct dif_purger_wait wait;
		struct dif_error err; /* of the last wait */
		struct dif_purge_count counts[DIF_CDNS_MAX];
		struct dif_purger_wait details;
		int64_t details_until; /* steady; 0: not asked for yet */
		bool is_forgetting;    /* details */
		bool is_owing;         /* something was owed and not released yet */
		bool is_waiting;
	} purge;
	struct {
		struct dif_edge *edge; /* at work */
		struct dif_manifest *others[2];
		uint32_t nothers;
		bool is_over;
		int64_t visible; /* wall ms: the first answer that was this cut's; 0: none */
		struct dif_error err;
	} check;
	struct {
		const char **due;
		const char **tags;
		uint32_t n, asked, next;
		int64_t next_due; /* wall ms; 0: no orphans */
		bool chosen, owed, packed;
	} remove;
	bool there;     /* every object is, and was verified */
	int64_t put_at; /* wall ms: the entry pages are written; 0: not yet */
	int64_t shown;  /* wall ms: readers get the entry pages; 0: not yet */
};

/* delivery.c */
void dif_delivery_errand(struct dif_delivery *d, struct errand *e, enum dif_verb_id verb,
                         const void *in,
                         void (*cb)(struct errand *e, const struct dif_outcome *out));
/* One that tidies up, within ms, even where the delivery has no time left. */
void dif_delivery_last_errand(struct dif_delivery *d, struct errand *e, enum dif_verb_id verb,
                              const void *in, int64_t ms,
                              void (*cb)(struct errand *e, const struct dif_outcome *out));
void dif_delivery_busy(struct dif_delivery *d);
void dif_delivery_idle(struct dif_delivery *d); /* one thing less at work; goes on */
void dif_delivery_go(struct dif_delivery *d, enum delivery_state to);
void dif_delivery_kick(struct dif_delivery *d); /* the step again, soon */
void dif_delivery_stop(struct dif_delivery *d, enum delivery_state end,
                       const struct dif_error *err);
void dif_delivery_fail(struct dif_delivery *d, const struct dif_error *err, const char *verb,
                       const char *key);
void dif_delivery_guard(struct dif_delivery *d, const char *fmt, ...) DIF_PRINTF(2, 3);
int64_t dif_delivery_left(const struct dif_delivery *d); /* ms until the deadline */
void dif_delivery_record(struct dif_delivery *d, bool complete);

/* The steps, by state. */
void dif_delivery_probe(struct dif_delivery *d);
void dif_delivery_mark(struct dif_delivery *d);
void dif_delivery_list(struct dif_delivery *d);
void dif_delivery_diff(struct dif_delivery *d);
void dif_delivery_put(struct dif_delivery *d);
void dif_delivery_verify(struct dif_delivery *d);
void dif_delivery_purge(struct dif_delivery *d); /* PURGING and CLEARING */
void dif_delivery_check(struct dif_delivery *d);
void dif_delivery_remove(struct dif_delivery *d);
/* Where the store was found to lie, and that could not be mended: what was written counts no more,
 * the next delivery writes it again. Once nothing is in flight. */
void dif_delivery_doubt_written(struct dif_delivery *d);

/* delivery_open.c: somebody newer was seen on a key; asks the marker, once. */
void dif_delivery_watch_marker(struct dif_delivery *d);
void dif_delivery_ask_marker(struct dif_delivery *d, struct errand *e, struct dif_get *in,
                             void (*cb)(struct errand *e, const struct dif_outcome *out));
/* True: the marker that out tells of is of a later cut than ours, by the whole order; the delivery
 * has been stopped. */
bool dif_delivery_is_overtaken(struct dif_delivery *d, const struct dif_outcome *out);
/* delivery_put.c */
bool dif_delivery_put_again(struct dif_delivery *d, struct dif_want *w, uint32_t broken);
void dif_delivery_drop_puts(struct dif_delivery *d);

/* delivery_parts.c: a put in parts. What one request takes, or may lose, is bounded. */
struct dif_upload;
bool dif_upload_is_due(const struct dif_delivery *d, uint64_t size);
/* ended is called once, with the outcome of the whole as that of one put: CONFLICT also where the
 * upload was gone. put stays until then. NULL: err, and ended does not come. */
struct dif_upload *dif_upload_start(struct dif_delivery *d, const struct dif_want *w,
                                    const struct dif_put *put,
                                    void (*ended)(void *data, const struct dif_outcome *out),
                                    void *data, struct dif_error *err);
/* Ends as CANCELED, perhaps before this returns, else when what is under way has come back and the
 * store has dropped the parts. */
void dif_upload_stop(struct dif_upload *u);

/* delivery_check.c: ends the check that nobody waits for, or that no answer comes to. */
void dif_delivery_look_at_check(struct dif_delivery *d);
void dif_delivery_check_fini(struct dif_delivery *d);

/* delivery_purge.c. Each may stop the delivery, and may keep it busy until it is durable; nothing
 * happens where there is no CDN. A dry run counts. */
void dif_delivery_owe_puts(struct dif_delivery *d);
void dif_delivery_owe_removals(struct dif_delivery *d, const char *const *keys, uint32_t n);
void dif_delivery_owe_again(struct dif_delivery *d, const struct dif_want *w); /* mended */
/* What is owed goes, and is waited for. */
void dif_delivery_release_purge(struct dif_delivery *d);
/* True: the CDNs are at work on the details, and that is worth waiting for. */
bool dif_delivery_is_forgetting(struct dif_delivery *d);
void dif_delivery_leave_purge(struct dif_delivery *d); /* waits no more */

/* delivery.c */
/* Puts what a store told into held and the state. */
void dif_delivery_keep(struct dif_delivery *d, const struct dif_held *h);
void dif_delivery_forget(struct dif_delivery *d, const char *key);
/* 1: theirs is later than ours, -1: earlier, 0: by epoch and number the same place. An object does
 * not tell its package's SHA-256: where it is 0 and the bytes are others, the marker decides. */
int dif_delivery_compare(const struct dif_delivery *d, const struct dif_held *h);

#endif
