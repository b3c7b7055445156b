/* state - what is known of cuts and destinations, in SQLite (WAL, synchronous=FULL). A cache: lost,
 * it is rebuilt from the stores and the archive. The record may lag, never lead. The only door to
 * SQLite.
 *
 * Reads are synchronous, on the loop, and small, or at start. Writes are copied and queued on the
 * loop and committed in batches (200 results or 250 ms) by one worker on the pool; dif_state_flush
 * tells when all that was queued before is durable. A read sees all that was queued before it: what
 * is not committed yet is committed first, on the loop, which costs an fsync, so reads do not
 * belong between the results of a delivery. The same happens when over 20,000 writes or 64 MiB are
 * queued.
 *
 * "queued" below: false where it could not be (out of memory, a read-only state, or the queue is
 * full and the disk refuses); the fact is then unknown after a restart, which costs work, not
 * truth.
 */
#ifndef DIF_FLOW_STATE_H
#define DIF_FLOW_STATE_H

#include "flow/manifest.h"
#include "host/engine.h"

struct dif_state;

enum dif_state_mode { DIF_STATE_OWN, DIF_STATE_READ };
/* OWN creates the folder if its parent exists, takes the lock on it (exit 1 and the pid of the
 * holder otherwise) and creates the database; an unreadable one, or one of another version, is set
 * aside as state.db.bad-N. *fresh: it was created. READ opens read-only, also beside an owner;
 * where there is none, err is NOT_FOUND. */
struct dif_state *dif_state_open(struct dif_engine *e, const char *folder, enum dif_state_mode mode,
                                 bool *fresh, struct dif_error *err);
void dif_state_close(struct dif_state *s, void (*closed)(void *data),
                     void *data);             /* commits what is queued first */
int64_t dif_state_holder(const char *folder); /* the pid that holds the lock; 0: nobody */

/* --- cuts --- */
enum dif_cut_status { DIF_CUT_ARCHIVED, DIF_CUT_LIVE, DIF_CUT_SUPERSEDED, DIF_CUT_REFUSED };
struct dif_cut {
	struct dif_order order;
	const char *name;   /* of the file as it came */
	const char *source; /* "publish" or the source's name */
	const char *profile;
	const char *reason; /* REFUSED: why */
	uint64_t bytes;     /* of the package */
	uint32_t entries;
	uint32_t status;         /* enum dif_cut_status */
	int64_t seen, published; /* ms since 1970; 0: not yet */
};
/* Calls row for each, newest first; what it points to is valid during the call. */
void dif_state_cuts(struct dif_state *s, uint32_t max,
                    void (*row)(void *data, const struct dif_cut *cut), void *data);
bool dif_state_cut(struct dif_state *s, const char *sha256, struct dif_cut *cut,
                   struct dif_arena *a);                              /* strings into a */
int64_t dif_state_highest_number(struct dif_state *s, int64_t epoch); /* 0: none */
bool dif_state_put_cut(struct dif_state *s,
                       const struct dif_cut *cut); /* insert or update, queued */
bool dif_state_put_manifest(struct dif_state *s,
                            const struct dif_manifest *m); /* queued; keeps the last 3 */
struct dif_manifest *dif_state_manifest(struct dif_state *s, const char *sha256,
                                        struct dif_error *err); /* NULL with err OK: none */

/* --- objects: what a destination holds, as far as we know --- */
struct dif_held {
	const char *key;
	const char *tag;       /* "" while a write is outstanding */
	int64_t epoch, number; /* of the cut that wrote it */
	uint8_t sha256[32];    /* of the entry's own bytes */
	uint32_t form;         /* enum dif_form_id */
	uint32_t headers;      /* CRC-32C of type, encoding and cache as written: a changed class
	                          rewrites */
	bool unknown; /* a write is outstanding, or came back without an answer: rewrite even if it
	                 looks equal */
	int64_t orphan_since; /* ms since 1970; 0: named by the live manifest */
};
void dif_state_held(struct dif_state *s, const char *destination,
                    void (*row)(void *data, const struct dif_held *h), void *data);
bool dif_state_put_held(struct dif_state *s, const char *destination,
                        const struct dif_held *h); /* queued */
bool dif_state_drop_held(struct dif_state *s, const char *destination,
                         const char *key); /* queued; key NULL: all */

/* --- deliveries --- */
struct dif_delivery_record {
	const char *destination;
	char sha256[65];   /* the cut */
	const char *state; /* name of the delivery's state: "putting", "done", "failed" */
	const char *reason;
	int64_t started, ended; /* ms since 1970 */
	uint64_t puts, put_bytes, removed, skipped;
	bool complete; /* every key of the cut is there and verified */
};
bool dif_state_put_delivery(
	struct dif_state *s,
	const struct dif_delivery_record *d); /* queued, one row per destination and cut */
bool dif_state_delivery(struct dif_state *s, const char *destination, const char *sha256,
                        struct dif_delivery_record *d,
                        struct dif_arena *a); /* sha256 NULL: the newest; false: none */

/* --- small facts: capability probe results, marker tags --- */
bool dif_state_put_fact(struct dif_state *s, const char *scope, const char *name,
                        const char *value); /* queued; NULL: forget */
/* NULL: not known, or older than max_age_ms; 0: of any age. */
const char *dif_state_fact(struct dif_state *s, const char *scope, const char *name,
                           int64_t max_age_ms, struct dif_arena *a);
/* Calls row for each fact of a scope, by name; what it points to is valid during the call. */
void dif_state_facts(struct dif_state *s, const char *scope,
                     void (*row)(void *data, const char *name, const char *value), void *data);

/* For a drill: the database grows no more, as on a full disk; what needs room stays queued. */
void dif_state_full(struct dif_state *s, bool full);
/* done is called on the loop, never before this returns, once everything queued so far is durable
 * (err->cls is OK), or with the failure: the writes stay queued, and the cut where it is. */
void dif_state_flush(struct dif_state *s, void (*done)(void *data, const struct dif_error *err),
                     void *data);

#endif
