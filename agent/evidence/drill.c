#include "evidence/drill.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "evidence/drill_private.h"
#include "evidence/drill_report.h"
#include "host/crypto.h"

#define LENGTH_MIN_MS 1000
#define LENGTH_MAX_MS (60 * 60 * 1000)
#define IDS_MEMORY (16u << 20)
#define CLEAN_MS 300000 /* beyond the time that [health] asks of what returns */

static void on_tick(uv_timer_t *t);

/* --- the record --- */

static void save(struct dif_drills *d)
{
	struct dif_error err = {0};
	if (!dif_drill_save(d->in.setup->config->state, &d->record, &err)) {
		dif_log(DIF_LOG_WARNING, "drill", "id=%s reason=%s", d->record.id, dif_q(err.text));
	}
}

void drill_event(struct dif_drills *d, uint32_t id, int64_t at, const char *fmt, ...)
{
	char text[DIF_DRILL_TEXT];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dif_drill_note(&d->record, id, at - d->began, "%s", text);
	dif_log(DIF_LOG_INFO, "drill", "id=%s event=%s ms=%lld text=%s", d->record.id,
	        dif_drill_event_name(id), (long long)(at - d->began), dif_q(text));
	save(d);
}

/* Of the values as they are in force, not of the files' bytes: secrets that stand elsewhere are not
 * in them. */
static void fingerprint(const struct dif_config *c, char to[65])
{
	uint8_t sum[DIF_DIGEST_MAX] = {0};
	struct dif_hasher *h = dif_hasher_new(DIF_SHA256);
	to[0] = '\0';
	if (h == NULL) {
		return;
	}
	dif_hasher_begin(h);
	for (const struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		const char *const parts[] = {e->section, e->key, e->value};
		for (size_t i = 0; i < DIF_LEN(parts); i++) {
			const char *p = parts[i] != NULL ? parts[i] : "";
			dif_hasher_add(h, p, strlen(p) + 1);
		}
	}
	dif_hasher_end(h, sum);
	dif_hasher_free(h);
	dif_hex(to, sum, 32);
}

static void begin_record(struct dif_drills *d)
{
	const struct dif_config *c = d->in.setup->config;
	struct dif_drill_record *r = &d->record;
	char date[DIF_DATE_MAX];
	*r = (struct dif_drill_record){.begun = dif_wall_ms(), .behind = -1};
	(void)snprintf(r->id, sizeof r->id, "%.20s-%.32s",
	               dif_date(date, DIF_DATE_ISO_BASIC, r->begun / 1000), d->kind->name);
	(void)snprintf(r->drill, sizeof r->drill, "%s", d->kind->name);
	(void)snprintf(r->destination, sizeof r->destination, "%.127s",
	               d->target != DRILL_NOBODY ? c->destinations[d->target].name : "");
	(void)snprintf(r->profile, sizeof r->profile, "%s",
	               c->profile == DIF_REHEARSAL ? "rehearsal" : "production");
	(void)snprintf(r->version, sizeof r->version, "%s", DIFUSOR_VERSION);
	fingerprint(c, r->fingerprint);
	r->moves = d->kind->moves;
}

/* --- the end --- */

static void rest(struct dif_drills *d)
{
	uv_timer_stop(&d->tick);
	drill_release(d);
	free(d->percent);
	d->percent = NULL;
	d->phase = DRILL_NONE;
}

static void judge(struct dif_drills *d)
{
	struct dif_drill_record *r = &d->record;
	struct dif_error err = {0};
	r->state = d->stopped ? DIF_DRILL_WAS_STOPPED : DIF_DRILL_RUNNING;
	r->clean = drill_is_clean(d);
	r->ended = dif_wall_ms();
	dif_drill_note(r, DIF_DRILL_ENDED, dif_steady_ms() - d->began, "%s", "");
	dif_drill_judge(r);
	save(d);
	if (!dif_drill_report_save(d->in.setup->config->state, r->id, &err)) {
		dif_log(DIF_LOG_WARNING, "drill", "id=%s reason=%s", r->id, dif_q(err.text));
	}
	dif_log(r->state == DIF_DRILL_PASSED ? DIF_LOG_INFO : DIF_LOG_WARNING, "drill",
	        "id=%s state=%s rto_ms=%lld rpo_cuts=%lld reason=%s", r->id,
	        dif_drill_state_name(r->state), (long long)r->rto_ms, (long long)r->rpo_cuts,
	        dif_q(r->reason));
}

static void lift(struct dif_drills *d)
{
	d->phase = DRILL_CLEANING;
	d->lifted_at = dif_steady_ms();
	drill_lift_fault(d);
	drill_event(d, DIF_DRILL_FAULT_LIFTED, d->lifted_at, "%s", "");
}

/* For the readers' sake, or because somebody said so. */
static void stop(struct dif_drills *d, const char *why)
{
	d->stopped = true;
	(void)snprintf(d->record.reason, sizeof d->record.reason, "%s", why);
	drill_event(d, DIF_DRILL_STOPPED, dif_steady_ms(), "%s", why);
	if (d->phase == DRILL_STRUCK) {
		lift(d);
	}
}

/* --- the course --- */

static void strike(struct dif_drills *d)
{
	const struct dif_traffic_view *v = dif_traffic_now(d->in.traffic);
	for (uint32_t i = 0; i < d->nroute; i++) {
		d->percent[i] = v->share[i].percent;
	}
	d->phase = DRILL_STRUCK;
	d->struck_at = dif_steady_ms();
	drill_route_text(d, d->record.route);
	drill_set_fault(d);
	drill_event(d, DIF_DRILL_FAULT_SET, d->struck_at, "%s", d->kind->what);
	if (d->kind->notice == DIF_NOTICED_BY_RESTART) {
		kill(getpid(),
		     SIGKILL); /* the record is durable, and the next run goes on with it */
	}
}

static void go_prepared(struct dif_drills *d)
{
	if (d->job != NULL && !d->job->done) {
		return;
	}
	if (d->job != NULL && d->job->err.cls != DIF_OK) {
		stop(d, d->job->err.text);
		judge(d);
		rest(d);
	} else if (d->stop_wanted) {
		stop(d, "stopped by hand");
		judge(d);
		rest(d);
	} else {
		strike(d);
	}
}

static void go_struck(struct dif_drills *d)
{
	char why[DIF_DRILL_TEXT];
	bool over = dif_steady_ms() >= d->struck_at + d->record.length_ms ||
	            (d->kind->notice == DIF_NOTICED_BY_REFUSAL && d->has_noticed);
	drill_watch(d);
	if (d->stop_wanted) {
		stop(d, "stopped by hand");
	} else if (!dif_traffic_leads(d->in.traffic)) {
		stop(d, "another agent does the work now");
	} else if (drill_other_is_bad(d, why)) {
		d->record.others_bad = true;
		stop(d, why);
	} else if (over) {
		lift(d);
	}
}

static void go_cleaning(struct dif_drills *d)
{
	int64_t limit = CLEAN_MS;
	drill_watch_clean(d);
	if (d->target != DRILL_NOBODY) {
		limit += dif_health_rise_time(dif_traffic_health(d->in.traffic, d->target),
		                              dif_steady_ms());
	}
	if (drill_is_clean(d) || dif_steady_ms() >= d->lifted_at + limit) {
		if (d->injector == NULL) {
			judge(d);
			rest(d);
		}
	}
}

static void on_tick(uv_timer_t *t)
{
	struct dif_drills *d = t->data;
	switch ((enum drill_phase)d->phase) {
	case DRILL_PREPARING:
		go_prepared(d);
		break;
	case DRILL_STRUCK:
		go_struck(d);
		break;
	case DRILL_CLEANING:
		go_cleaning(d);
		break;
	default:
		break;
	}
}

static void forget_the_last(struct dif_drills *d)
{
	d->began = dif_steady_ms();
	d->struck_at = d->lifted_at = d->look_at = d->whole_at = 0;
	d->has_first = d->has_noticed = d->has_decided = d->has_stood = d->has_ttl = false;
	d->has_healthy = d->has_whole = d->has_back = d->has_later = false;
	d->stop_wanted = d->stopped = false;
	d->verdict = DIF_HEALTH_HEALTHY;
	d->fault = (struct dif_injection){0};
	d->flushed_bad = d->flushed_good = false;
}

static bool begin(struct dif_drills *d, const struct dif_ask *ask, struct dif_error *err)
{
	d->kind = dif_drill_kind(ask->drill);
	if (d->kind == NULL) {
		return dif_error_exit(err, DIF_EXIT_USAGE, DIF_NOT_FOUND,
		                      "could not begin drill '%.32s': there is none of that name",
		                      ask->drill);
	}
	if (!drill_guard(d, ask, err) || !drill_has_material(d, err)) {
		return false;
	}
	if (ask->dry_run) {
		drill_release(d);
		return true;
	}
	forget_the_last(d);
	begin_record(d);
	drill_set_bounds(d, ask);
	int64_t length = d->record.length_ms;
	d->record.length_ms = length < LENGTH_MIN_MS   ? LENGTH_MIN_MS
	                      : length > LENGTH_MAX_MS ? LENGTH_MAX_MS
	                                               : length;
	d->nroute = d->in.setup->config->ndestinations;
	d->percent = calloc(d->nroute, sizeof *d->percent);
	if (d->percent == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not begin drill: out of memory");
		return false;
	}
	if (!dif_drill_save(d->in.setup->config->state, &d->record, err) ||
	    !drill_prepare(d, err)) {
		rest(d);
		return false;
	}
	d->phase = DRILL_PREPARING;
	drill_event(d, DIF_DRILL_BEGAN, d->began, "%s", d->record.destination);
	uv_timer_start(&d->tick, on_tick, 0, DRILL_TICK_MS);
	return true;
}

/* --- questions --- */

void dif_drills_asked(struct dif_drills *d, const struct dif_ask *ask)
{
	struct dif_error err = {0};
	struct dif_answer out = {.before = "", .after = "", .text = ""};
	if (strcmp(ask->act, DIF_DRILL_ASK_STOP) == 0) {
		d->stop_wanted = d->phase != DRILL_NONE;
	} else if (d->phase != DRILL_NONE) {
		dif_error_exit(&err, DIF_EXIT_GUARD, DIF_CONFLICT,
		               "could not begin drill '%.32s': '%s' runs", ask->drill,
		               d->record.id);
	} else if (!d->in.may(d->in.data)) {
		dif_error_exit(&err, DIF_EXIT_GUARD, DIF_CONFLICT,
		               "could not begin drill '%.32s': this agent is standby: ask the one "
		               "that has the lease (difusor status)",
		               ask->drill);
	} else if (begin(d, ask, &err) && !ask->dry_run) {
		out.text = d->record.id;
	}
	if (err.cls == DIF_OK && d->target != DRILL_NOBODY) {
		out.before = d->in.setup->config->destinations[d->target].name;
	}
	if (err.cls != DIF_OK) {
		out.exit = err.exit != 0 ? err.exit : DIF_EXIT_OTHER;
		out.text = err.text;
	}
	if (!dif_ask_answer(d->in.setup->config->state, ask, &out, &err)) {
		dif_log(DIF_LOG_WARNING, "ask", "reason=%s", dif_q(err.text));
	}
}

/* --- begin and end --- */

/* It was to be killed, and this is the next run. */
static void go_on(struct dif_drills *d, int64_t since)
{
	forget_the_last(d);
	d->began -= since;
	d->phase = DRILL_CLEANING;
	d->lifted_at = dif_steady_ms();
	d->has_noticed = true;
	drill_event(d, DIF_DRILL_NOTICED, d->lifted_at, "process %d has the state", (int)getpid());
	drill_event(d, DIF_DRILL_FAULT_LIFTED, d->lifted_at, "%s", "");
	uv_timer_start(&d->tick, on_tick, DRILL_TICK_MS, DRILL_TICK_MS);
}

/* What a former run left: its fault ended with it. */
static void take_over(struct dif_drills *d)
{
	struct dif_arena a;
	struct dif_drill_record *r = &d->record;
	struct dif_error err = {0};
	const char *state = d->in.setup->config->state;
	uint32_t n = 0;
	dif_arena_init(&a, IDS_MEMORY, false);
	const char *const *ids = dif_drill_ids(&a, state, &n);
	bool open = n > 0 && dif_drill_load(state, ids[n - 1], r, NULL, &err) &&
	            r->state == DIF_DRILL_RUNNING;
	d->kind = open ? dif_drill_kind(r->drill) : NULL;
	int64_t since = dif_wall_ms() - r->begun;
	if (open && d->kind != NULL && d->kind->notice == DIF_NOTICED_BY_RESTART &&
	    dif_drill_at(r, DIF_DRILL_FAULT_SET) >= 0 && since > 0) {
		go_on(d, since);
	} else if (open) {
		r->state = DIF_DRILL_INTERRUPTED;
		(void)snprintf(r->reason, sizeof r->reason, "the agent ended in it");
		dif_drill_judge(r);
		save(d);
		(void)dif_drill_report_save(state, r->id, &err);
		dif_log(DIF_LOG_WARNING, "drill", "id=%s state=interrupted", r->id);
	}
	dif_arena_fini(&a);
}

struct dif_drills *dif_drills_open(const struct dif_drills_in *in)
{
	struct dif_drills *d = calloc(1, sizeof *d);
	if (d == NULL) {
		return NULL;
	}
	d->in = *in;
	d->target = DRILL_NOBODY;
	uv_timer_init(&in->setup->engine->loop, &d->tick);
	d->tick.data = d;
	take_over(d);
	return d;
}

void drill_check_gone(struct dif_drills *d)
{
	if (d->closing && d->closed_timer && d->injector == NULL && d->flushes == 0 &&
	    (d->job == NULL || d->job->done)) {
		drill_release(d);
		free(d->percent);
		free(d);
	}
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dif_drills *d = h->data;
	d->closed_timer = true;
	drill_check_gone(d);
}

void dif_drills_close(struct dif_drills *d)
{
	if (d == NULL) {
		return;
	}
	if (d->phase != DRILL_NONE) {
		stop(d, "the agent was told to stop");
		judge(d);
		drill_lift_fault(d);
	}
	d->closing = true;
	uv_close((uv_handle_t *)&d->tick, on_timer_closed);
}
