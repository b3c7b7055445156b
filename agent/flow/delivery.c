/* delivery - the life of one: turn, time, stop, end.
 *
 * What ends it early is decided once, by the first who calls dif_delivery_stop; the rest is
 * bookkeeping: no new errand, the running ones come back (a lost deadline or a store that is away
 * cancels them), the leases go, the spool's pool work for it ends, the timers close, and then
 * `ended` is called and the next delivery of the destination has its turn.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/delivery_private.h"
#include "flow/freshness.h"

#define TICK_MS 500            /* how often the deadline and the breaker are looked at */
#define ARENA_MAX (256u << 20) /* keys of a listing of 200,000 objects */
#define UNREACHABLE_MS 60000   /* design section 3: counts as not reached */
#define LINGER_MS 10000        /* one that shall end waits so long for its objects in flight */
#define DEADLINE_MS (10 * 60 * 1000)

#define STOPS (DIF_TO(FAILED) | DIF_TO(SUPERSEDED))

static const struct dif_sm_state states[DELIVERY_STATES] = {
	[QUEUED] = {"queued", DIF_TO(PROBING) | STOPS},
	[PROBING] = {"probing", DIF_TO(MARKING) | DIF_TO(LISTING) | STOPS},
	[MARKING] = {"marking", DIF_TO(LISTING) | STOPS},
	[LISTING] = {"listing", DIF_TO(DIFFING) | STOPS},
	[DIFFING] = {"diffing", DIF_TO(PUTTING) | DIF_TO(REMOVING) | STOPS},
	[PUTTING] = {"putting", DIF_TO(FORGETTING) | STOPS},
	[FORGETTING] = {"forgetting", DIF_TO(WAITING) | STOPS},
	[WAITING] = {"waiting", DIF_TO(FINISHING) | STOPS},
	[FINISHING] = {"finishing", DIF_TO(VERIFYING) | STOPS},
	[VERIFYING] = {"verifying", DIF_TO(PURGING) | STOPS},
	[PURGING] = {"purging", DIF_TO(CHECKING) | STOPS},
	[CHECKING] = {"checking", DIF_TO(REMOVING) | STOPS},
	[REMOVING] = {"removing", DIF_TO(CLEARING) | DIF_TO(DONE) | STOPS},
	[CLEARING] = {"clearing", DIF_TO(DONE) | STOPS},
	[DONE] = {"done", 0},
	[FAILED] = {"failed", 0},
	[SUPERSEDED] = {"superseded", 0},
};

static void pump(struct dif_delivery *d);
static void on_kick(uv_timer_t *t);

/* --- errands --- */

static void on_errand(void *data, const struct dif_outcome *out)
{
	struct errand *e = data;
	struct dif_delivery *d = e->d;
	e->run = NULL;
	dif_list_remove(&e->link);
	d->counts.retries += out->attempts > 1 ? out->attempts - 1 : 0;
	e->cb(e, out);
	dif_delivery_idle(d);
}

static void start_errand(struct dif_delivery *d, struct errand *e, enum dif_verb_id verb,
                         const void *in, int64_t ms,
                         void (*cb)(struct errand *e, const struct dif_outcome *out))
{
	e->d = d;
	e->cb = cb;
	dif_list_init(&e->link);
	dif_list_add(&d->errands, &e->link);
	d->busy++;
	e->run = dif_op_start(d->to->store, verb, in, ms > 0 ? ms : 1, on_errand, e);
}

void dif_delivery_errand(struct dif_delivery *d, struct errand *e, enum dif_verb_id verb,
                         const void *in,
                         void (*cb)(struct errand *e, const struct dif_outcome *out))
{
	e->is_last = false;
	start_errand(d, e, verb, in, dif_delivery_left(d), cb);
}

void dif_delivery_last_errand(struct dif_delivery *d, struct errand *e, enum dif_verb_id verb,
                              const void *in, int64_t ms,
                              void (*cb)(struct errand *e, const struct dif_outcome *out))
{
	e->is_last = true;
	start_errand(d, e, verb, in, ms, cb);
}

void dif_delivery_busy(struct dif_delivery *d)
{
	d->busy++;
}

void dif_delivery_idle(struct dif_delivery *d)
{
	d->busy--;
	pump(d);
}

int64_t dif_delivery_left(const struct dif_delivery *d)
{
	return d->deadline - dif_steady_ms();
}

/* --- the record --- */

static void record_whole(struct dif_delivery *d, bool complete)
{
	char value[128];
	if (complete) {
		snprintf(value, sizeof value, "%s %s %" PRId64, d->job.manifest->order.sha256,
		         d->print, d->remove.next_due);
	}
	dif_state_put_fact(d->state, d->scope, DIF_FACT_WHOLE, complete ? value : NULL);
}

void dif_delivery_record(struct dif_delivery *d, bool complete)
{
	if (d->state == NULL) {
		return;
	}
	struct dif_delivery_record r = {.destination = d->to->config->name,
	                                .state = dif_sm_name(&d->sm),
	                                .reason = d->err.text,
	                                .started = d->started,
	                                .puts = d->counts.puts,
	                                .put_bytes = d->counts.put_bytes,
	                                .removed = d->counts.removed,
	                                .skipped = d->counts.skipped,
	                                .complete = complete};
	memcpy(r.sha256, d->job.manifest->order.sha256, sizeof r.sha256);
	r.ended = states[d->sm.state].to == 0 ? dif_wall_ms() : 0;
	dif_state_put_delivery(d->state, &r);
	record_whole(d, complete);
	memcpy(d->to->last, r.sha256, sizeof d->to->last);
	d->to->last_whole = complete;
}

void dif_delivery_keep(struct dif_delivery *d, const struct dif_held *h)
{
	const struct dif_held *kept = dif_destination_keep(d->to, h);
	if (kept != NULL && d->state != NULL) {
		dif_state_put_held(d->state, d->to->config->name, kept);
	}
}

void dif_delivery_forget(struct dif_delivery *d, const char *key)
{
	if (d->state != NULL) {
		dif_state_drop_held(d->state, d->to->config->name, key);
	}
	dif_destination_forget(d->to, key);
}

int dif_delivery_compare(const struct dif_delivery *d, const struct dif_held *h)
{
	const struct dif_order *o = &d->job.manifest->order;
	if (h->epoch != o->epoch) {
		return h->epoch > o->epoch ? 1 : -1;
	}
	return h->number == o->number ? 0 : h->number > o->number ? 1 : -1;
}

/* --- the end --- */

static void take_turn(struct dif_delivery *d)
{
	dif_list_remove(&d->waiting);
	d->turn = d->to->busy = true;
	uv_timer_start(&d->kick, on_kick, 0, 0);
}

static void give_turn(struct dif_destination *to)
{
	to->busy = false;
	if (!dif_list_empty(&to->waiting)) {
		take_turn(DIF_ENTRY(to->waiting.next, struct dif_delivery, waiting));
	}
}

static void finish(struct dif_delivery *d)
{
	/* Of a failure whoever asked for the delivery tells. */
	dif_log(DIF_LOG_INFO, "delivery",
	        "destination=%s state=%s cut=%.12s puts=%" PRIu64 " bytes=%" PRIu64
	        " skipped=%" PRIu64 " removed=%" PRIu64 " reason=%s",
	        dif_q(d->to->config->name), dif_sm_name(&d->sm), d->job.manifest->order.sha256,
	        d->counts.puts, d->counts.put_bytes, d->counts.skipped, d->counts.removed,
	        dif_q(d->err.text));
	if (d->events->ended != NULL) {
		d->events->ended(d->data, d);
	}
}

static void on_closed(uv_handle_t *h)
{
	struct dif_delivery *d = h->data;
	if (--d->handles == 0) {
		finish(d);
	}
}

static void close_timers(void *data)
{
	struct dif_delivery *d = data;
	d->put.user = NULL;
	uv_close((uv_handle_t *)&d->kick, on_closed);
	uv_close((uv_handle_t *)&d->tick, on_closed);
}

/* The first time counts: a cut that is brought again was there. */
static void record_shown(const struct dif_delivery *d)
{
	char scope[128], value[32];
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	snprintf(scope, sizeof scope, DIF_SHOWN_SCOPE, d->job.manifest->order.sha256);
	snprintf(value, sizeof value, "%" PRId64, d->shown);
	if (dif_state_fact(d->state, scope, d->to->config->name, 0, &a) == NULL) {
		dif_state_put_fact(d->state, scope, d->to->config->name, value);
	}
	dif_arena_fini(&a);
}

static void settle(struct dif_delivery *d)
{
	bool began = d->sm.state != QUEUED;
	d->settled = true;
	dif_delivery_leave_purge(d);
	dif_delivery_drop_puts(d);
	dif_list_remove(&d->waiting);
	dif_sm_move(&d->sm, d->end);
	if (d->end != DONE) {
		dif_delivery_doubt_written(d);
	}
	if (began) {
		dif_delivery_record(d, d->end == DONE);
	}
	if (d->shown != 0 && d->state != NULL) {
		record_shown(d);
	}
	if (d->there && d->state != NULL) {
		dif_freshness_shown(d->state, d->to->config->name, d->job.manifest->order.sha256,
		                    d->put_at, d->check.visible);
	}
	if (d->turn) {
		give_turn(d->to);
	}
	if (d->put.user != NULL) {
		dif_spool_leave(d->put.user, close_timers, d);
	} else {
		close_timers(d);
	}
}

static void cancel_errands(struct dif_delivery *d)
{
	if (d->probe != NULL) {
		dif_probe_cancel(d->probe);
	}
	for (struct dif_link *at = d->errands.next; at != &d->errands; at = at->next) {
		struct errand *e = DIF_ENTRY(at, struct errand, link);
		if (e->run != NULL && !e->is_last) {
			dif_op_cancel(e->run);
		}
	}
}

void dif_delivery_stop(struct dif_delivery *d, enum delivery_state end, const struct dif_error *err)
{
	if (!d->stopping) {
		d->stopping = true;
		d->end = end;
		if (err != NULL) {
			d->err = *err;
		}
	}
}

void dif_delivery_fail(struct dif_delivery *d, const struct dif_error *err, const char *verb,
                       const char *key)
{
	struct dif_error e = *err;
	const char *object = strstr(e.text, "object '");
	if (object != NULL && strncmp(object + strlen("object '"), key, strlen(key)) == 0) {
		/* the op's own sentence names it: once is enough */
		dif_error_wrap(&e, "could not deliver to destination '%s'", d->to->config->name);
	} else {
		dif_error_wrap(&e, "could not %s object '%s' of destination '%s'", verb, key,
		               d->to->config->name);
	}
	dif_delivery_stop(d, FAILED, &e);
}

void dif_delivery_guard(struct dif_delivery *d, const char *fmt, ...)
{
	struct dif_error err = {0};
	char text[sizeof err.text];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dif_error_exit(&err, DIF_EXIT_GUARD, DIF_CONFLICT, "%s", text);
	dif_delivery_stop(d, FAILED, &err);
}

/* --- going on --- */

static void step(struct dif_delivery *d)
{
	static void (*const steps[DELIVERY_STATES])(struct dif_delivery *) = {
		[PROBING] = dif_delivery_probe,    [MARKING] = dif_delivery_mark,
		[LISTING] = dif_delivery_list,     [DIFFING] = dif_delivery_diff,
		[PUTTING] = dif_delivery_put,      [FORGETTING] = dif_delivery_put,
		[WAITING] = dif_delivery_put,      [FINISHING] = dif_delivery_put,
		[VERIFYING] = dif_delivery_verify, [PURGING] = dif_delivery_purge,
		[CHECKING] = dif_delivery_check,   [REMOVING] = dif_delivery_remove,
		[CLEARING] = dif_delivery_purge,
	};
	uint32_t before;
	do {
		before = d->sm.state;
		if (steps[before] != NULL) {
			steps[before](d);
		}
	} while (!d->stopping && d->sm.state != before);
}

static void pump(struct dif_delivery *d)
{
	if (d->pumping || d->settled) {
		return; /* the caller above goes on */
	}
	d->pumping = true;
	if (!d->stopping) {
		step(d);
	}
	d->pumping = false;
	if (d->stopping) {
		dif_delivery_drop_puts(d);
		dif_delivery_look_at_check(d);
		if (d->busy == 0) {
			settle(d);
		}
	}
}

void dif_delivery_go(struct dif_delivery *d, enum delivery_state to)
{
	if (to == DONE) {
		dif_delivery_stop(d, DONE, NULL);
		return;
	}
	dif_sm_move(&d->sm, to);
	dif_log(DIF_LOG_DEBUG, "delivery", "destination=%s state=%s", dif_q(d->to->config->name),
	        dif_sm_name(&d->sm));
}

/* What keeps it: its store, or behind the last put its CDNs. */
static const struct dif_error *trouble_of(const struct dif_delivery *d)
{
	bool purges = d->purge.is_waiting && (d->sm.state == PURGING || d->sm.state == CLEARING);
	return purges ? dif_purger_error(d->to->purger) : dif_instance_trouble(d->to->store);
}

static void on_tick(uv_timer_t *t)
{
	struct dif_delivery *d = t->data;
	struct dif_error err = {0};
	int64_t down = dif_instance_down_since(d->to->store), now = dif_steady_ms();
	int64_t patience = d->job.unreachable_ms > 0 ? d->job.unreachable_ms : UNREACHABLE_MS;
	const struct dif_error *trouble = trouble_of(d);
	const char *colon = trouble->text[0] != '\0' ? ": " : "";
	char span[DIF_DATE_MAX];
	if (d->settled) {
		return;
	}
	dif_delivery_look_at_check(d);
	if (d->sm.state == FORGETTING) {
		dif_delivery_kick(d); /* its patience may be over */
	}
	/* Who was there before may have been no delivery. */
	if (!d->turn && !d->to->busy && d->to->waiting.next == &d->waiting) {
		take_turn(d);
	}
	if (down != 0 && now - down >= patience && d->sm.state != QUEUED) {
		dif_error_set(
			&err, DIF_TRANSIENT,
			"could not reach destination '%s': its store has not answered for %s%s%s",
			d->to->config->name, dif_span(span, now - down), colon, trouble->text);
	} else if (now >= d->deadline) {
		dif_error_set(&err, DIF_TRANSIENT,
		              "could not finish destination '%s': time is up in state %s%s%s",
		              d->to->config->name, dif_sm_name(&d->sm), colon, trouble->text);
	} else if (!d->superseding || (down == 0 && now < d->linger_until)) {
		return;
	}
	if (err.cls != DIF_OK) {
		dif_delivery_stop(d, FAILED, &err);
	}
	cancel_errands(d);
	pump(d);
}

static void on_kick(uv_timer_t *t)
{
	struct dif_delivery *d = t->data;
	if (!d->stopping && d->sm.state == QUEUED) {
		dif_sm_move(&d->sm, PROBING);
	}
	pump(d);
}

/* --- the door --- */

static bool init(struct dif_delivery *d)
{
	d->scope = dif_destination_scope(d->to);
	if (d->scope == NULL) {
		return false;
	}
	if (!d->job.dry_run) {
		d->put.user = dif_spool_join(d->job.spool);
	}
	return d->job.dry_run || d->put.user != NULL;
}

struct dif_delivery *dif_delivery_start(const struct dif_delivery_job *job,
                                        const struct dif_delivery_events *events, void *data)
{
	struct dif_delivery *d = calloc(1, sizeof *d);
	if (d == NULL) {
		return NULL;
	}
	d->job = *job;
	d->events = events;
	d->data = data;
	d->to = job->destination;
	d->state = job->dry_run ? NULL : job->state;
	d->started = dif_wall_ms();
	d->deadline = dif_steady_ms() + (job->deadline_ms > 0 ? job->deadline_ms : DEADLINE_MS);
	dif_list_init(&d->waiting);
	dif_list_init(&d->errands);
	dif_list_init(&d->put.slots);
	dif_list_init(&d->put.again);
	dif_arena_init(&d->arena, ARENA_MAX, false);
	dif_map_init(&d->foreign);
	dif_sm_init(&d->sm, "delivery", states, DELIVERY_STATES, QUEUED);
	snprintf(d->epoch, sizeof d->epoch, "%" PRId64, job->manifest->order.epoch);
	snprintf(d->order, sizeof d->order, "%" PRId64, job->manifest->order.number);
	assert(job->dry_run || job->state != NULL);
	if (!init(d)) {
		dif_delivery_free(d);
		return NULL;
	}
	d->job.manifest = dif_manifest_ref(job->manifest);
	uv_timer_init(&job->engine->loop, &d->kick);
	uv_timer_init(&job->engine->loop, &d->tick);
	d->kick.data = d->tick.data = d;
	d->handles = 2;
	uv_timer_start(&d->tick, on_tick, TICK_MS, TICK_MS);
	dif_destination_load(d->to, job->state);
	if (d->to->busy) {
		dif_list_add(&d->to->waiting, &d->waiting);
	} else {
		take_turn(d);
	}
	return d;
}

void dif_delivery_free(struct dif_delivery *d)
{
	if (d == NULL) {
		return;
	}
	assert(d->handles == 0);
	if (d->has_plan) {
		dif_plan_fini(&d->plan);
	}
	if (d->has_wants) {
		dif_wants_fini(&d->wants);
	}
	if (d->settled) {
		dif_manifest_unref(d->job.manifest);
	}
	dif_delivery_check_fini(d);
	dif_map_fini(&d->foreign);
	dif_arena_fini(&d->arena);
	free(d->marker.tag);
	dif_pages_fini(&d->list.pages);
	free(d->scope);
	free(d);
}

void dif_delivery_kick(struct dif_delivery *d)
{
	if (!d->settled) {
		uv_timer_start(&d->kick, on_kick, 0, 0);
	}
}

void dif_delivery_pass(struct dif_delivery *d)
{
	d->put.passed = true;
	if (d->sm.state == WAITING) {
		dif_delivery_kick(d);
	}
}

/* What is in flight may end first; a store that is away, or hangs, is not waited for (on_tick). */
static void stop_from_outside(struct dif_delivery *d, const char *why)
{
	struct dif_error err = {0};
	if (d->settled) {
		return;
	}
	if (!d->superseding) {
		d->linger_until =
			dif_steady_ms() + (d->job.linger_ms > 0 ? d->job.linger_ms : LINGER_MS);
	}
	d->superseding = true;
	dif_error_set(&err, DIF_CANCELED, "%s", why);
	dif_delivery_stop(d, SUPERSEDED, &err);
	uv_timer_start(&d->kick, on_kick, 0, 0);
	if (dif_instance_down_since(d->to->store) != 0) {
		cancel_errands(d);
	}
}

void dif_delivery_supersede(struct dif_delivery *d)
{
	if (d->sm.state < FINISHING) {
		stop_from_outside(d, "a newer cut has come");
		return;
	}
	d->outrun = true;
	dif_delivery_kick(d);
}

void dif_delivery_cancel(struct dif_delivery *d)
{
	stop_from_outside(d, "canceled");
}

const struct dif_destination *dif_delivery_to(const struct dif_delivery *d)
{
	return d->to;
}

const char *dif_delivery_state(const struct dif_delivery *d)
{
	return dif_sm_name(&d->sm);
}

const struct dif_delivery_counts *dif_delivery_counts(const struct dif_delivery *d)
{
	return &d->counts;
}

const struct dif_error *dif_delivery_error(const struct dif_delivery *d)
{
	return &d->err;
}

bool dif_delivery_is_there(const struct dif_delivery *d)
{
	return d->there;
}

int64_t dif_delivery_shown(const struct dif_delivery *d)
{
	return d->shown;
}

const struct dif_purge_count *dif_delivery_purges(const struct dif_delivery *d)
{
	return d->purge.counts;
}
