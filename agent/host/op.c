/* op - runs: from dif_op_start to the caller's callback.
 *
 *   queued ─▶ running ─▶ done                     the queue is in order; what is repeated goes to
 *    ▲│ ▲        │                                its front
 *    ││ └────────┤ after a login, or to read back
 *    │▼          │
 *    waiting ◀───┘ back-off; or its key was written a moment ago
 *
 * An op is queued until its instance may do one more thing at once (dif_pressure) and
 * has a credential. Callbacks are made from the loop only: what ends inside a caller's own call
 * waits among the finished for the next turn.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "host/op_private.h"
#include "host/secret.h"

#define DEADLINE_DEFAULT (10 * 60 * 1000)
#define SPARE_RUNS_MAX 512u
#define TOKEN_ROOM 1024u /* of a part_finish: each part's line in the request, while it is built */

static const struct dif_sm_state states[DIF_RUN_N] = {
	[DIF_RUN_QUEUED] = {"queued", DIF_TO(DIF_RUN_RUNNING) | DIF_TO(DIF_RUN_WAITING) |
                                              DIF_TO(DIF_RUN_DONE)},
	[DIF_RUN_RUNNING] = {"running", DIF_TO(DIF_RUN_QUEUED) | DIF_TO(DIF_RUN_WAITING) |
                                                DIF_TO(DIF_RUN_DONE)},
	[DIF_RUN_WAITING] = {"waiting", DIF_TO(DIF_RUN_QUEUED) | DIF_TO(DIF_RUN_DONE)},
	[DIF_RUN_DONE] = {"done", 0},
};

/* Where a verb's input names what it is about. */
enum about {
	INSTANCE, /* nowhere; or in a ticket, which may be a capability */
	TEXT,     /* its first member: key, prefix, name */
	KEYS,
	PART,
	URLS
};

static const struct verb {
	const char *name, *what; /* what: "could not WHAT 'KEY'" */
	enum dif_kind kind;      /* 0: every one */
	size_t offset;           /* of the verb in the kind's table */
	enum about about;
	bool writes;
	bool looks; /* what may have had its effect is read back before it is repeated */
} verbs[DIF_VERBS] = {
#define STORE(verb) DIF_STORE, offsetof(struct dif_store, verb)
#define CDN(verb) DIF_CDN, offsetof(struct dif_cdn, verb)
#define STEER(verb) DIF_STEER, offsetof(struct dif_steer, verb)
#define LEASE(verb) DIF_LEASE, offsetof(struct dif_leaser, verb)
	[DIF_PROBE] = {"probe", "reach", 0, offsetof(struct dif_kind_common, probe), INSTANCE,
                       false, false},
	[DIF_LIST] = {"list", "list objects below", STORE(list), TEXT, false, false},
	[DIF_HEAD] = {"head", "look at object", STORE(head), TEXT, false, false},
	[DIF_GET] = {"get", "get object", STORE(get), TEXT, false, false},
	[DIF_PUT] = {"put", "put object", STORE(put), TEXT, true, true},
	[DIF_REMOVE] = {"remove", "remove objects, the first being", STORE(remove), KEYS, true,
                        true},
	/* Nobody sees a part: it is sent again, and the plug-in finds out what is there. */
	[DIF_PART_BEGIN] = {"part_begin", "begin the parts of object", STORE(part_begin), PART,
                            true, false},
	[DIF_PART_PUT] = {"part_put", "put a part of object", STORE(part_put), PART, true, false},
	[DIF_PART_FINISH] = {"part_finish", "join the parts of object", STORE(part_finish), PART,
                             true, true},
	[DIF_PART_ABORT] = {"part_abort", "drop the parts of object", STORE(part_abort), PART, true,
                            false},
	/* A repeat of these is harmless by contract. */
	[DIF_PURGE] = {"purge", "purge", CDN(purge), URLS, true, false},
	[DIF_PURGE_STATE] = {"purge_state", "ask after purge", CDN(purge_state), INSTANCE, false,
                             false},
	[DIF_ROUTE_GET] = {"get", "read the route of", STEER(get), TEXT, false, false},
	[DIF_ROUTE_SET] = {"set", "set the route of", STEER(set), TEXT, true, false},
	[DIF_ROUTE_STATE] = {"set_state", "ask after change", STEER(set_state), INSTANCE, false,
                             false},
	[DIF_LEASE_ACQUIRE] = {"acquire", "acquire lease", LEASE(acquire), TEXT, true, false},
	[DIF_LEASE_RENEW] = {"renew", "renew lease", LEASE(renew), TEXT, true, false},
	[DIF_LEASE_RELEASE] = {"release", "release lease", LEASE(release), TEXT, true, false},
	[DIF_LEASE_READ] = {"read", "read lease", LEASE(read), TEXT, false, false},
#undef STORE
#undef CDN
#undef STEER
#undef LEASE
};

bool dif_verb_looks(enum dif_verb_id verb)
{
	return verbs[verb].looks;
}

const char *dif_meta_get(const struct dif_field *meta, uint32_t n, const char *name)
{
	return dif_fields_get(meta, n, name, 0);
}

/* NULL: the plug-in has no such verb. */
static dif_verb *find_verb(const struct dif_instance *i, enum dif_verb_id verb)
{
	dif_verb *v = NULL;
	if (verbs[verb].kind == 0 || verbs[verb].kind == i->offer->kind) {
		memcpy(&v, (const char *)i->offer->verbs + verbs[verb].offset, sizeof v);
	}
	return v;
}

static const char *subject(const struct dif_op_run *r)
{
	const struct dif_remove *keys = r->in;
	const struct dif_purge *urls = r->in;
	const char *first = NULL;
	switch (verbs[r->verb].about) {
	case TEXT:
		memcpy(&first, r->in, sizeof first);
		return first;
	case KEYS:
		return keys->n > 0 ? keys->keys[0] : "";
	case PART:
		return ((const struct dif_part *)r->in)->put->key;
	case URLS:
		return urls->n > 0 ? urls->urls[0] : r->i->name;
	case INSTANCE:
		break;
	}
	return r->i->name;
}

static_assert(offsetof(struct dif_list, prefix) == 0 && offsetof(struct dif_get, key) == 0 &&
                      offsetof(struct dif_put, key) == 0 && offsetof(struct dif_route, name) == 0 &&
                      offsetof(struct dif_lease_call, name) == 0,
              "what a verb is about comes first in its input");

const char *dif_run_verb(const struct dif_op_run *r)
{
	return verbs[r->verb].name;
}

const char *dif_run_subject(const struct dif_op_run *r)
{
	const char *s = subject(r);
	return s != NULL ? s : "";
}

/* --- the end --- */

static void recycle(struct dif_op_run *r)
{
	struct dif_instance *i = r->i;
	dif_readback_fini(r);
	if (i->nspare_runs < SPARE_RUNS_MAX) {
		i->nspare_runs++;
		dif_list_push(&i->spare_runs, &r->link);
	} else {
		dif_run_free(r);
	}
	dif_release(&i->live);
}

static void on_run_closed(uv_handle_t *h)
{
	struct dif_op_run *r = h->data;
	struct dif_instance *i = r->i;
	free(r);
	dif_release(&i->handles);
}

void dif_run_free(struct dif_op_run *r)
{
	uv_close((uv_handle_t *)&r->timer, on_run_closed);
}

/* What the attempt brought, for a run that is done. */
static void fill_outcome(struct dif_op_run *r, struct dif_outcome *out)
{
	struct dif_op_host *a = r->attempt;
	if (a == NULL) {
		return;
	}
	out->tls = a->tls[0] != '\0' ? a->tls : NULL;
	out->bytes_per_s = a->bytes_per_s;
	out->cert_ends = a->cert_ends;
	out->peer_date = a->date;
	if (r->err.cls != DIF_OK) {
		return;
	}
	if (r->verb == DIF_REMOVE && !dif_readback_items(r, a)) {
		dif_error_set(&r->err, DIF_TRANSIENT, "out of memory");
		return;
	}
	out->result = a->result;
	out->rows = a->rows;
	out->nrows = a->nrows;
	out->targets = a->targets;
	out->ntargets = a->ntargets;
	out->items = a->items;
	out->nitems = r->verb == DIF_REMOVE ? a->nitems : 0;
}

void dif_run_finish(struct dif_op_run *r)
{
	struct dif_outcome out = {
		.attempts = r->attempts, .took_ms = dif_steady_ms() - r->started, .peer_date = -1};
	if (r->sm.state != DIF_RUN_DONE) {
		dif_sm_move(&r->sm, DIF_RUN_DONE);
	}
	uv_timer_stop(&r->timer);
	dif_list_remove(&r->link);
	dif_list_remove(&r->live);
	dif_login_idle(r->i);
	fill_outcome(r, &out);
	if (r->err.cls != DIF_OK) {
		out.unknown = r->has_been_unknown;
		dif_error_wrap(&r->err, "could not %s '%s'", verbs[r->verb].what,
		               dif_run_subject(r));
		dif_secret_redact(r->err.text);
	}
	out.err = r->err;
	r->cb(r->data, &out);
	if (r->attempt != NULL) {
		dif_attempt_give_back(r->attempt);
		r->attempt = NULL;
	}
	recycle(r);
}

void dif_run_finish_later(struct dif_op_run *r)
{
	dif_sm_move(&r->sm, DIF_RUN_DONE);
	uv_timer_stop(&r->timer);
	dif_list_remove(&r->link);
	dif_list_add(&r->i->finished, &r->link);
	dif_run_kick(r->i);
}

/* --- the pump --- */

static void give_up(struct dif_op_run *r);

static void on_deadline(uv_timer_t *timer)
{
	struct dif_op_run *r = timer->data;
	if (r->sm.state == DIF_RUN_RUNNING) {
		r->is_expired = true;
		if (!r->attempt->is_canceled) {
			dif_attempt_cancel(r->attempt);
		}
		return;
	}
	give_up(r);
}

static void arm_deadline(struct dif_op_run *r, int64_t now)
{
	int64_t left = r->deadline > now ? r->deadline - now : 0;
	int rc = uv_timer_start(&r->timer, on_deadline, (uint64_t)left, 0);
	assert(rc == 0); /* fails only on a handle that is closing */
}

void dif_run_requeue(struct dif_op_run *r)
{
	dif_sm_move(&r->sm, DIF_RUN_QUEUED);
	dif_list_push(&r->i->queue, &r->link);
	arm_deadline(r, dif_steady_ms());
	dif_run_kick(r->i);
}

/* The deadline has come while nothing ran. */
static void give_up(struct dif_op_run *r)
{
	char span[DIF_DATE_MAX];
	dif_span(span, dif_steady_ms() - r->started);
	if (r->err.cls != DIF_OK) {
		dif_error_wrap(&r->err, "gave up after %s", span);
	} else if (r->i->pressure.breaker != DIF_CLOSED) {
		const char *why = r->i->trouble.cls != DIF_OK ? r->i->trouble.text : NULL;
		dif_error_set(&r->err, DIF_TRANSIENT,
		              "'%s' does not answer; nothing was sent for %s%s%s", r->i->name, span,
		              why != NULL ? "; the last failure: " : "", why != NULL ? why : "");
	} else if (r->i->login.err.cls != DIF_OK && r->i->login.current == NULL) {
		r->err = r->i->login.err;
	} else {
		dif_error_set(&r->err, DIF_TRANSIENT, "there was no turn for it within %s", span);
	}
	dif_run_finish(r);
}

static void run_attempt(struct dif_op_run *r)
{
	struct dif_instance *i = r->i;
	bool writes = verbs[r->verb].writes && !r->must_read_back;
	struct dif_attempt_start s = {
		.verb = find_verb(i, r->verb),
		.name = verbs[r->verb].name,
		.in = r->in,
		.number = r->attempts,
		.is_list = r->verb == DIF_LIST,
		.is_route = r->verb == DIF_ROUTE_GET,
		.credential = i->login.current,
		.ended = dif_run_attempt_ended,
		.owner = r,
	};
	dif_sm_move(&r->sm, DIF_RUN_RUNNING);
	dif_list_remove(&r->link);
	r->is_reading_back = r->must_read_back;
	if (r->must_read_back) {
		dif_readback_begin(r, &s);
	} else {
		r->attempts++;
		if (r->verb == DIF_REMOVE) {
			s.in = dif_readback_input(r);
			s.remove = s.in;
		}
		if (r->verb == DIF_PART_FINISH) {
			const struct dif_part *in = r->in;
			r->attempt->arena.max += (size_t)in->ntokens * TOKEN_ROOM;
		}
	}
	if (s.credential != NULL) {
		s.credential->refs++;
		r->version = s.credential->version;
	}
	dif_pressure_started(&i->pressure, writes, dif_steady_ms());
	dif_attempt_start(r->attempt, &s);
}

static void on_wake(uv_timer_t *wake)
{
	dif_run_kick(wake->data);
}

static void on_key_turn(uv_timer_t *timer)
{
	dif_run_requeue(timer->data);
}

/* True: r waits beside the queue, and those behind it go on. */
static bool wait_for_key(struct dif_op_run *r, int64_t now)
{
	int64_t wait = dif_key_wait(r, now);
	if (wait <= 0) {
		return false;
	}
	dif_sm_move(&r->sm, DIF_RUN_WAITING);
	dif_list_remove(&r->link);
	int rc = uv_timer_start(&r->timer, on_key_turn, (uint64_t)wait, 0);
	assert(rc == 0);
	return true;
}

/* False: nothing more may start now. */
static bool start_first(struct dif_instance *i)
{
	struct dif_op_run *r = DIF_ENTRY(i->queue.next, struct dif_op_run, link);
	int64_t now = dif_steady_ms(), wait = 0;
	bool writes = verbs[r->verb].writes && !r->must_read_back;
	if (!dif_pressure_may_start(&i->pressure, writes, now, &wait)) {
		if (wait > 0) {
			int rc = uv_timer_start(&i->wake, on_wake, (uint64_t)wait, 0);
			assert(rc == 0);
		}
		return false;
	}
	if (wait_for_key(r, now)) {
		return true;
	}
	enum dif_login_state login = dif_login_ready(i);
	if (login == DIF_LOGIN_WAIT) {
		return false;
	}
	if (login == DIF_LOGIN_FAILED) {
		r->err = i->login.err;
		dif_run_finish(r);
		return true;
	}
	r->attempt = dif_attempt_take(i);
	if (r->attempt == NULL) {
		dif_error_set(&r->err, DIF_TRANSIENT, "out of memory");
		dif_run_finish(r);
		return true;
	}
	run_attempt(r);
	return true;
}

static void on_kick(uv_idle_t *kick)
{
	struct dif_instance *i = kick->data;
	uv_idle_stop(kick);
	dif_hold(&i->live); /* a callback may close the instance */
	while (!dif_list_empty(&i->finished)) {
		dif_run_finish(DIF_ENTRY(i->finished.next, struct dif_op_run, link));
	}
	while (!i->is_closing && !dif_list_empty(&i->queue)) {
		if (!start_first(i)) {
			break;
		}
	}
	dif_release(&i->live);
}

void dif_run_kick(struct dif_instance *i)
{
	int rc = uv_idle_start(&i->kick, on_kick);
	assert(rc == 0); /* it only links the handle */
}

/* --- start and cancel --- */

/* NULL: out of memory. */
static struct dif_op_run *take_run(struct dif_instance *i)
{
	struct dif_op_run *r = NULL;
	if (!dif_list_empty(&i->spare_runs)) {
		r = DIF_ENTRY(i->spare_runs.next, struct dif_op_run, link);
		dif_list_remove(&r->link);
		i->nspare_runs--;
		return r;
	}
	r = calloc(1, sizeof *r);
	if (r != NULL) {
		int rc = uv_timer_init(&i->e->loop, &r->timer);
		assert(rc == 0); /* it only fills in the struct */
		r->timer.data = r;
		r->i = i;
		dif_list_init(&r->link);
		dif_list_init(&r->live);
		dif_hold(&i->handles);
	}
	return r;
}

struct dif_op_run *dif_op_start(struct dif_instance *i, enum dif_verb_id verb, const void *in,
                                int64_t deadline_ms, dif_op_cb *cb, void *data)
{
	struct dif_op_run *r = take_run(i);
	if (r == NULL) {
		abort(); /* the promise of one callback could not be kept otherwise */
	}
	assert((unsigned)verb < DIF_VERBS);
	assert(verb != DIF_REMOVE || ((const struct dif_remove *)in)->n > 0);
	r->verb = verb;
	r->in = in;
	r->cb = cb;
	r->data = data;
	r->started = dif_steady_ms();
	r->deadline = r->started + (deadline_ms > 0 ? deadline_ms : DEADLINE_DEFAULT);
	r->attempt = NULL;
	r->version = 0;
	r->attempts = r->repeats = 0;
	r->has_logged_in = r->has_set_clock = false;
	r->is_canceled = r->is_expired = r->was_timeout = false;
	r->must_read_back = r->is_reading_back = r->has_been_unknown = r->is_conflict = false;
	r->at = 0;
	r->rest = (struct dif_remove){0};
	dif_error_clear(&r->err);
	dif_sm_init(&r->sm, "op", states, DIF_RUN_N, DIF_RUN_QUEUED);
	dif_hold(&i->live);
	dif_list_add(&i->runs, &r->live);
	if (i->is_closing || find_verb(i, verb) == NULL) {
		if (i->is_closing) {
			dif_error_set(&r->err, DIF_CANCELED, "'%s' is being closed", i->name);
		} else {
			dif_error_set(&r->err, DIF_PERMANENT, "plug-in '%s' cannot %s",
			              i->offer->name, verbs[verb].name);
		}
		dif_run_finish_later(r);
		return r;
	}
	dif_list_add(&i->queue, &r->link);
	arm_deadline(r, r->started);
	dif_run_kick(i);
	return r;
}

void dif_op_cancel(struct dif_op_run *r)
{
	if (r->sm.state == DIF_RUN_DONE || r->is_canceled) {
		return;
	}
	r->is_canceled = true;
	if (r->sm.state == DIF_RUN_RUNNING) {
		if (!r->attempt->is_canceled) {
			dif_attempt_cancel(r->attempt);
		}
		return;
	}
	dif_error_set(&r->err, DIF_CANCELED, "it was canceled");
	dif_run_finish_later(r);
}
