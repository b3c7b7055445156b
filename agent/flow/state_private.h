/* state_private - what the files of state share: the connections, the queue, the statements.
 *
 *   state.c         lock, open, close          state_cuts.c   cuts, manifests, deliveries, facts
 *   state_schema.c  the database's form        state_held.c   what destinations hold
 *   state_write.c   queue and commits
 *
 * Two connections: `db` writes and is used under db_lock by the worker, or by the loop when it
 * cannot wait for the worker; `reader` belongs to the loop. Locks are taken in the order db_lock,
 * queue_lock; queue_lock is never held over I/O.
 */
#ifndef DIF_FLOW_STATE_PRIVATE_H
#define DIF_FLOW_STATE_PRIVATE_H

#include <pthread.h>
#include <sqlite3.h>

#include "base/list.h"
#include "flow/state.h"

enum dif_state_sql {
	DIF_SQL_PUT_CUT,
	DIF_SQL_PUT_MANIFEST,
	DIF_SQL_TRIM_MANIFESTS,
	DIF_SQL_PUT_DELIVERY,
	DIF_SQL_PUT_FACT,
	DIF_SQL_DROP_FACT,
	DIF_SQL_PUT_HELD,
	DIF_SQL_DROP_HELD,
	DIF_SQL_DROP_ALL_HELD,
	DIF_SQLS
};
extern const char *const dif_state_sql[DIF_SQLS];

enum dif_state_type { DIF_STATE_INT, DIF_STATE_TEXT, DIF_STATE_BLOB };
struct dif_state_value {
	enum dif_state_type type;
	int64_t number;
	const void *p; /* TEXT and BLOB; NULL is the database's NULL */
	size_t n;
};
struct dif_state_write; /* one statement with its values */

struct dif_state {
	struct dif_engine *engine;
	char *folder, *file; /* file: FOLDER/state.db */
	enum dif_state_mode mode;
	int lock; /* descriptor of FOLDER/lock, -1: not held */
	sqlite3 *db, *reader;
	sqlite3_stmt *writes[DIF_SQLS];

	pthread_mutex_t db_lock, queue_lock;
	struct dif_state_write *first, **last; /* under queue_lock, as are the next five */
	uint32_t queued;
	size_t queued_bytes;
	uint64_t put, committed; /* numbers of the newest write queued, and durable */
	bool failing;            /* the last commit failed, with */
	struct dif_error failure;

	/* Loop thread. */
	uv_timer_t timer;
	struct dif_work work;
	bool working, closing;
	struct dif_link flushes; /* callers of dif_state_flush that wait */
	void (*closed)(void *data);
	void *closed_data;
};

/* state_schema.c. Opens the database for writing and checks that it is whole and of this version,
 * or creates it. *bad: it is there, and unreadable or of another version. */
sqlite3 *dif_state_schema_open(const char *file, bool *fresh, bool *bad, struct dif_error *err);
/* The same for reading; NULL with NOT_FOUND where there is none. */
sqlite3 *dif_state_schema_read(const char *file, struct dif_error *err);
/* Renames a database and what belongs to it to FILE.bad-N. */
bool dif_state_schema_set_aside(const char *file, struct dif_error *err);

/* state_write.c */
bool dif_state_write_init(struct dif_state *s); /* false: out of memory or handles */
bool dif_state_queue(struct dif_state *s, enum dif_state_sql sql, const struct dif_state_value *v,
                     uint32_t n);
void dif_state_settle(struct dif_state *s); /* commits what is queued, here and now */
/* Ends the queue: commits once more, then calls dif_state_ended. */
void dif_state_write_end(struct dif_state *s);
void dif_state_ended(struct dif_state *s);      /* state.c */
void dif_state_queue_free(struct dif_state *s); /* what could not be written */

/* Prepares a read on the loop's connection after settling; NULL: logged. */
sqlite3_stmt *dif_state_read(struct dif_state *s, const char *sql);
bool dif_state_row(struct dif_state *s, sqlite3_stmt *q); /* false: no more, or logged */
const char *dif_state_text(sqlite3_stmt *q, int column);  /* never NULL */

static inline struct dif_state_value dif_state_int(int64_t n)
{
	return (struct dif_state_value){.type = DIF_STATE_INT, .number = n};
}

static inline struct dif_state_value dif_state_str(const char *s)
{
	return (struct dif_state_value){
		.type = DIF_STATE_TEXT, .p = s, .n = s == NULL ? 0 : strlen(s)};
}

static inline struct dif_state_value dif_state_blob(const void *p, size_t n)
{
	return (struct dif_state_value){.type = DIF_STATE_BLOB, .p = p, .n = n};
}

#endif
