/* state_write - the queue of writes and the commits.
 *
 *   put ... put ──▶ queue ──200, 250 ms, a flush──▶ worker: BEGIN all COMMIT ──▶ flushes
 *
 * Whoever commits takes the whole queue under db_lock, so commits keep the order of the puts, also
 * where the loop commits by itself. A batch that fails is rolled back and put back to the front; it
 * is tried again every second. Flushes that wait for it are told of the failure and may ask again.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "flow/state_private.h"

#define BATCH 200
#define BATCH_MS 250
#define AGAIN_MS 1000
#define QUEUE_MAX 20000             /* the results of more than a whole site */
#define QUEUE_BYTES_MAX (64u << 20) /* a manifest of 100,000 entries is about 30 MB */
#define VALUES_MAX 12

struct dif_state_write {
	struct dif_state_write *next;
	enum dif_state_sql sql;
	uint32_t n;
	size_t bytes;
	struct dif_state_value v[VALUES_MAX];
	char data[];
};

struct flush {
	struct dif_link link;
	uint64_t upto;
	void (*done)(void *data, const struct dif_error *err);
	void *data;
};

/* --- commits: db_lock is held --- */

static bool bind_values(sqlite3_stmt *q, const struct dif_state_write *w)
{
	int rc = SQLITE_OK;
	for (uint32_t i = 0; i < w->n && rc == SQLITE_OK; i++) {
		const struct dif_state_value *v = &w->v[i];
		int at = (int)i + 1;
		if (v->type == DIF_STATE_INT) {
			rc = sqlite3_bind_int64(q, at, v->number);
		} else if (v->p == NULL) {
			rc = sqlite3_bind_null(q, at);
		} else if (v->type == DIF_STATE_TEXT) {
			rc = sqlite3_bind_text64(q, at, v->p, v->n, SQLITE_STATIC, SQLITE_UTF8);
		} else {
			rc = sqlite3_bind_blob64(q, at, v->p, v->n, SQLITE_STATIC);
		}
	}
	return rc == SQLITE_OK;
}

static bool write_one(struct dif_state *s, const struct dif_state_write *w)
{
	sqlite3_stmt **q = &s->writes[w->sql];
	if (*q == NULL && sqlite3_prepare_v3(s->db, dif_state_sql[w->sql], -1,
	                                     SQLITE_PREPARE_PERSISTENT, q, NULL) != SQLITE_OK) {
		return false;
	}
	bool ok = bind_values(*q, w) && sqlite3_step(*q) == SQLITE_DONE;
	sqlite3_reset(*q);
	sqlite3_clear_bindings(*q);
	return ok;
}

static bool write_all(struct dif_state *s, const struct dif_state_write *list,
                      struct dif_error *err)
{
	bool ok = sqlite3_exec(s->db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK;
	for (const struct dif_state_write *w = list; ok && w != NULL; w = w->next) {
		ok = write_one(s, w);
	}
	ok = ok && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
	if (!ok) {
		dif_error_set(err, DIF_TRANSIENT, "could not write state '%s': %s", s->file,
		              sqlite3_errmsg(s->db));
		if (sqlite3_get_autocommit(s->db) == 0) {
			(void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
		}
	}
	return ok;
}

static void drop_all(struct dif_state_write *w)
{
	while (w != NULL) {
		struct dif_state_write *next = w->next;
		free(w);
		w = next;
	}
}

/* Puts a batch back before what was queued meanwhile. */
static void put_back(struct dif_state *s, struct dif_state_write *list,
                     struct dif_state_write **last, uint32_t n, size_t bytes)
{
	*last = s->first;
	if (s->first == NULL) {
		s->last = last;
	}
	s->first = list;
	s->queued += n;
	s->queued_bytes += bytes;
}

/* Any thread. What is queued becomes durable, or stays queued. */
static bool commit(struct dif_state *s)
{
	struct dif_error err = {0};
	pthread_mutex_lock(&s->db_lock);
	pthread_mutex_lock(&s->queue_lock);
	struct dif_state_write *list = s->first, **last = s->last;
	uint32_t n = s->queued;
	size_t bytes = s->queued_bytes;
	uint64_t upto = s->put;
	s->first = NULL;
	s->last = &s->first;
	s->queued = 0;
	s->queued_bytes = 0;
	pthread_mutex_unlock(&s->queue_lock);

	bool ok = list == NULL || write_all(s, list, &err);

	pthread_mutex_lock(&s->queue_lock);
	bool was_failing = s->failing;
	if (ok) {
		s->committed = upto;
	} else {
		put_back(s, list, last, n, bytes);
		s->failure = err;
	}
	s->failing = !ok;
	pthread_mutex_unlock(&s->queue_lock);
	pthread_mutex_unlock(&s->db_lock);
	if (ok) {
		drop_all(list);
	}
	if (ok && was_failing) {
		dif_log(DIF_LOG_INFO, "state", "durable=yes");
	} else if (!ok && !was_failing) { /* said once, not every second */
		dif_log(DIF_LOG_ERROR, "state", "durable=no reason=%s", dif_q(err.text));
	}
	return ok;
}

void dif_state_settle(struct dif_state *s)
{
	pthread_mutex_lock(&s->queue_lock);
	bool pending = s->put != s->committed;
	pthread_mutex_unlock(&s->queue_lock);
	if (pending) {
		(void)commit(s); /* waits for the worker where it is at it */
	}
}

void dif_state_full(struct dif_state *s, bool full)
{
	pthread_mutex_lock(&s->db_lock);
	/* never fewer than there are; the other number is SQLite's own bound */
	(void)sqlite3_exec(s->db,
	                   full ? "PRAGMA max_page_count=1" : "PRAGMA max_page_count=4294967294",
	                   NULL, NULL, NULL);
	pthread_mutex_unlock(&s->db_lock);
}

/* --- the worker --- */

static void on_timer(uv_timer_t *t);

static void run(struct dif_work *w)
{
	(void)commit(DIF_ENTRY(w, struct dif_state, work));
}

/* Tells the flushes that have their answer. They may call back into the state. */
static void answer(struct dif_state *s)
{
	pthread_mutex_lock(&s->queue_lock);
	uint64_t committed = s->committed;
	bool failing = s->failing;
	struct dif_error failure = s->failure;
	pthread_mutex_unlock(&s->queue_lock);
	struct dif_link due;
	dif_list_init(&due);
	for (struct dif_link *l = s->flushes.next, *next; l != &s->flushes; l = next) {
		next = l->next;
		if (DIF_ENTRY(l, struct flush, link)->upto <= committed || failing) {
			dif_list_remove(l);
			dif_list_add(&due, l);
		}
	}
	while (!dif_list_empty(&due)) {
		struct flush *f = DIF_ENTRY(due.next, struct flush, link);
		dif_list_remove(&f->link);
		f->done(f->data,
		        f->upto <= committed ? &(struct dif_error){.cls = DIF_OK} : &failure);
		free(f);
	}
}

static void done(struct dif_work *w);

static void kick(struct dif_state *s)
{
	if (!s->working) {
		s->working = true;
		uv_timer_stop(&s->timer);
		dif_engine_work(s->engine, &s->work, run, done);
	}
}

static void done(struct dif_work *w)
{
	struct dif_state *s = DIF_ENTRY(w, struct dif_state, work);
	answer(s); /* still working: what is asked for in it is seen below */
	s->working = false;
	pthread_mutex_lock(&s->queue_lock);
	bool failing = s->failing;
	uint32_t queued = s->queued;
	pthread_mutex_unlock(&s->queue_lock);
	if (s->closing && (queued == 0 || failing) && dif_list_empty(&s->flushes)) {
		if (queued > 0) {
			dif_log(DIF_LOG_ERROR, "state", "lost=%u", queued);
		}
		dif_state_ended(s);
	} else if (s->closing || !dif_list_empty(&s->flushes)) {
		kick(s);
	} else if (queued > 0) {
		uv_timer_start(&s->timer, on_timer,
		               failing           ? AGAIN_MS
		               : queued >= BATCH ? 0
		                                 : BATCH_MS,
		               0);
	}
}

static void on_timer(uv_timer_t *t)
{
	kick(DIF_ENTRY(t, struct dif_state, timer));
}

/* --- the queue --- */

static struct dif_state_write *copy(enum dif_state_sql sql, const struct dif_state_value *v,
                                    uint32_t n)
{
	assert(n <= VALUES_MAX);
	size_t bytes = 0;
	for (uint32_t i = 0; i < n; i++) {
		bytes += v[i].n;
	}
	struct dif_state_write *w = malloc(sizeof *w + bytes);
	if (w == NULL) {
		return NULL;
	}
	*w = (struct dif_state_write){.sql = sql, .n = n, .bytes = sizeof *w + bytes};
	char *to = w->data;
	for (uint32_t i = 0; i < n; i++) {
		w->v[i] = v[i];
		if (v[i].p != NULL) {
			w->v[i].p = to;
			memcpy(to, v[i].p, v[i].n);
			to += v[i].n;
		}
	}
	return w;
}

static bool is_full(struct dif_state *s)
{
	pthread_mutex_lock(&s->queue_lock);
	bool full = s->queued >= QUEUE_MAX || s->queued_bytes >= QUEUE_BYTES_MAX;
	pthread_mutex_unlock(&s->queue_lock);
	return full;
}

bool dif_state_queue(struct dif_state *s, enum dif_state_sql sql, const struct dif_state_value *v,
                     uint32_t n)
{
	if (s->mode != DIF_STATE_OWN || s->closing || (is_full(s) && !commit(s))) {
		return false;
	}
	struct dif_state_write *w = copy(sql, v, n);
	if (w == NULL) {
		return false;
	}
	pthread_mutex_lock(&s->queue_lock);
	*s->last = w;
	s->last = &w->next;
	s->queued_bytes += w->bytes;
	s->put++;
	uint32_t queued = ++s->queued;
	bool failing = s->failing;
	pthread_mutex_unlock(&s->queue_lock);
	if (queued >= BATCH && !failing) {
		kick(s);
	} else if (!s->working && !uv_is_active((uv_handle_t *)&s->timer)) {
		uv_timer_start(&s->timer, on_timer, failing ? AGAIN_MS : BATCH_MS, 0);
	}
	return true;
}

void dif_state_flush(struct dif_state *s, void (*flushed)(void *data, const struct dif_error *err),
                     void *data)
{
	struct flush *f = malloc(sizeof *f);
	assert(f != NULL); /* some bytes; without them nobody could be told anything */
	*f = (struct flush){.done = flushed, .data = data};
	pthread_mutex_lock(&s->queue_lock);
	f->upto = s->put;
	pthread_mutex_unlock(&s->queue_lock);
	dif_list_add(&s->flushes, &f->link);
	kick(s);
}

bool dif_state_write_init(struct dif_state *s)
{
	if (pthread_mutex_init(&s->db_lock, NULL) != 0) {
		return false;
	}
	if (pthread_mutex_init(&s->queue_lock, NULL) != 0) {
		pthread_mutex_destroy(&s->db_lock);
		return false;
	}
	s->last = &s->first;
	dif_list_init(&s->flushes);
	int rc = uv_timer_init(&s->engine->loop, &s->timer);
	assert(rc == 0); /* it only fills the handle */
	return true;
}

void dif_state_write_end(struct dif_state *s)
{
	assert(!s->closing);
	s->closing = true;
	kick(s);
}

void dif_state_queue_free(struct dif_state *s)
{
	drop_all(s->first);
	s->first = NULL;
}
