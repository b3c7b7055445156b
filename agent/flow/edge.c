/* edge - many GETs, in rounds: what was not right is asked again until it is, or the time is over.
 *
 *   round: ask all that is open, `width` at a time ─▶ all right, or no time left ─▶ done
 *     ▲                                             │
 *     └────────────── pause ◀── events->round ◀─────┘
 */
#include "flow/edge.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "flow/edge_private.h"

#define WIDTH 8
#define TIMEOUT_MS 10000
#define WIDTH_MAX 64
#define FINDINGS_MAX 100
#define LOST_MAX 16  /* so many in a row that did not answer: nobody is there */
#define PAUSE_MS 250 /* before the second round, doubling */
#define PAUSE_MAX_MS 5000
#define ARENA_MAX (16u << 20) /* 10,000 findings with their sentences */
#define URL_ROOM (16u << 10)  /* a path of 1,024 bytes, each percent-encoded, behind public_url */

struct slot {
	struct dif_link link;
	struct dif_edge *e;
	uint32_t target;
	struct dif_edge_call *call;
	struct dif_arena arena; /* the URL */
};

struct dif_edge {
	struct dif_edge_job job;
	const struct dif_edge_events *events;
	void *data;
	struct edge_target *all;
	uint32_t n, at;       /* next of all to look at */
	struct dif_link busy; /* slots */
	uint32_t running;
	uv_timer_t timer; /* the pause */
	int64_t began, pause;
	bool stopped, ended;
	struct dif_arena arena; /* findings of the round */
	struct dif_edge_finding *findings;
	uint32_t *order; /* of each finding its target */
	struct dif_edge_report report;
	bool any_telling;
	uint32_t lost; /* answers in a row that did not come */
};

static void go_on(struct dif_edge *e);

const struct dif_edge_report *dif_edge_so_far(const struct dif_edge *e)
{
	return &e->report;
}

/* --- the end --- */

static void release(struct dif_edge *e)
{
	for (uint32_t i = 0; i < e->job.nothers; i++) {
		dif_manifest_unref(e->job.others[i]);
	}
	free((void *)(uintptr_t)e->job.others);
	dif_manifest_unref(e->job.manifest);
	dif_arena_fini(&e->arena);
	free(e->findings);
	free(e->order);
	free(e->all);
	free(e);
}

static void on_closed(uv_handle_t *h)
{
	struct dif_edge *e = h->data;
	e->events->done(e->data, &e->report);
	release(e);
}

static void end(struct dif_edge *e)
{
	e->ended = true;
	if (e->stopped && e->report.err.cls == DIF_OK) {
		dif_error_set(&e->report.err, DIF_CANCELED,
		              "could not check the edge of destination '%s': canceled",
		              e->job.destination->name);
	} else if (!e->stopped && e->report.wrong == 0) {
		e->report.all_visible = dif_wall_ms();
	}
	uv_close((uv_handle_t *)&e->timer, on_closed);
}

/* --- what was found --- */

/* In the order of the targets, whatever came first; the last goes where there are too many. */
static struct dif_edge_finding *new_finding(struct dif_edge *e, uint32_t target)
{
	uint32_t n = e->report.nfindings, max = e->job.findings_max;
	uint32_t i = n < max ? n : max - 1;
	if (n == max && e->order[i] < target) {
		return NULL;
	}
	while (i > 0 && e->order[i - 1] > target) {
		e->findings[i] = e->findings[i - 1];
		e->order[i] = e->order[i - 1];
		i--;
	}
	e->report.nfindings = n < max ? n + 1 : max;
	e->order[i] = target;
	return &e->findings[i];
}

static void keep(struct dif_edge *e, uint32_t target, const struct dif_edge_answer *a)
{
	const struct edge_target *t = &e->all[target];
	struct dif_edge_finding *f = new_finding(e, target);
	if (f == NULL) {
		return;
	}
	*f = (struct dif_edge_finding){
		.path = t->root ? "" : t->member->path,
		.url = dif_arena_str(&e->arena, a->url),
		.gzip = t->gzip,
		.verdict = a->verdict,
		.status = a->status,
		.offset = a->offset,
		.age_s = a->age_s,
		.text = dif_arena_str(&e->arena, a->text),
		.cause = a->cause, /* constants */
		.feature = a->feature,
		.cache = dif_arena_str(&e->arena, a->cache),
	};
	if (a->cut != NULL) {
		memcpy(f->cut, a->cut->sha256, sizeof f->cut);
	}
}

/* The last verdict of a target takes the place of the one before. */
static void judge(struct dif_edge *e, struct edge_target *t, uint32_t verdict, bool unasked)
{
	struct dif_edge_report *r = &e->report;
	if (t->judged) {
		r->verdict[t->verdict]--;
		r->unasked -= t->unasked;
		r->wrong -= t->verdict != DIF_EDGE_SAME;
	}
	t->judged = true;
	t->verdict = verdict;
	t->unasked = unasked;
	r->verdict[verdict]++;
	r->unasked += unasked;
	r->wrong += verdict != DIF_EDGE_SAME;
}

static void count(struct dif_edge *e, struct edge_target *t, const struct dif_edge_answer *a)
{
	struct dif_edge_report *r = &e->report;
	r->asked++;
	r->checked += !t->asked;
	r->bytes += a->bytes;
	r->tls = a->tls;
	r->cert_ends = a->cert_ends;
	t->asked = true;
	e->lost = a->verdict == DIF_EDGE_UNREACHED ? e->lost + 1 : 0;
	judge(e, t, a->verdict, a->unasked);
	if (t->verdict == DIF_EDGE_SAME && r->first_visible == 0 &&
	    (t->telling || !e->any_telling)) {
		r->first_visible = dif_wall_ms();
	}
}

/* --- one round --- */

static void free_slot(struct slot *s)
{
	dif_list_remove(&s->link);
	dif_arena_fini(&s->arena);
	free(s);
}

static void on_answered(void *data, const struct dif_edge_answer *a)
{
	struct slot *s = data;
	struct dif_edge *e = s->e;
	e->running--;
	if (a->verdict != DIF_EDGE_CANCELED) {
		count(e, &e->all[s->target], a);
		if (a->verdict != DIF_EDGE_SAME) {
			keep(e, s->target, a);
		}
	}
	free_slot(s);
	go_on(e);
}

static void fail_memory(struct dif_edge *e)
{
	e->stopped = true;
	dif_error_set(&e->report.err, DIF_TRANSIENT,
	              "could not check the edge of destination '%s': out of memory",
	              e->job.destination->name);
}

static void ask(struct dif_edge *e, uint32_t target)
{
	const struct edge_target *t = &e->all[target];
	const struct dif_destination_config *to = e->job.destination;
	struct slot *s = calloc(1, sizeof *s);
	if (s == NULL) {
		fail_memory(e);
		return;
	}
	dif_arena_init(&s->arena, URL_ROOM, false);
	s->e = e;
	s->target = target;
	dif_list_init(&s->link);
	dif_list_add(&e->busy, &s->link);
	const struct dif_edge_ask ask = {
		.url = dif_edge_url(&s->arena, to->public_url, t->root ? "" : t->member->path),
		.ca_file = to->ca_file,
		.gzip = t->gzip,
		.timeout_ms = e->job.timeout_ms,
		.member = t->member,
		.type = e->job.headers ? t->type : NULL,
		.identity = e->job.headers && t->entry,
		.order = &e->job.manifest->order,
		.package = e->job.package,
		.others = e->job.others,
		.nothers = e->job.nothers,
	};
	s->call = s->arena.failed ? NULL : dif_edge_get(e->job.engine, &ask, on_answered, s);
	if (s->call == NULL) {
		free_slot(s);
		fail_memory(e);
		return;
	}
	e->running++;
}

static bool is_open(const struct edge_target *t)
{
	return !t->judged || t->verdict != DIF_EDGE_SAME;
}

static int64_t left(const struct dif_edge *e)
{
	return e->began + e->job.patience_ms - dif_steady_ms();
}

/* Nobody is there, or the last round takes too long: the rest of it counts as not reached. */
static bool give_up(struct dif_edge *e)
{
	if (e->lost < LOST_MAX &&
	    (e->job.patience_ms == 0 || left(e) > -(int64_t)e->job.timeout_ms)) {
		return false;
	}
	while (e->at < e->n) {
		struct edge_target *t = &e->all[e->at++];
		if (is_open(t)) {
			judge(e, t, DIF_EDGE_UNREACHED, false);
		}
	}
	return true;
}

static void on_pause_over(uv_timer_t *timer)
{
	struct dif_edge *e = timer->data;
	if (!e->stopped) {
		e->report.round++;
		e->report.nfindings = 0;
		dif_arena_reset(&e->arena);
		e->at = e->lost = 0;
	}
	go_on(e);
}

/* Another round, or the end. */
static void end_round(struct dif_edge *e)
{
	struct dif_edge_report *r = &e->report;
	int64_t most = left(e);
	r->findings = e->findings;
	if (r->wrong > 0 && !e->stopped && most > 0 && e->events->round != NULL) {
		e->events->round(e->data, r);
	}
	if (r->wrong == 0 || most <= 0 || e->stopped) {
		end(e);
		return;
	}
	uv_timer_start(&e->timer, on_pause_over, (uint64_t)(e->pause < most ? e->pause : most), 0);
	e->pause = 2 * e->pause < PAUSE_MAX_MS ? 2 * e->pause : PAUSE_MAX_MS;
}

static void go_on(struct dif_edge *e)
{
	while (!e->stopped && e->running < e->job.width && e->at < e->n && !give_up(e)) {
		uint32_t target = e->at++;
		if (is_open(&e->all[target])) {
			ask(e, target);
		}
	}
	if (e->running == 0 && !e->ended && (e->stopped || e->at == e->n)) {
		end_round(e);
	}
}

/* --- begin --- */

static bool copy_others(struct dif_edge *e)
{
	uint32_t n = e->job.nothers;
	struct dif_manifest **all = calloc((size_t)n + 1, sizeof(struct dif_manifest *));
	if (all == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		all[i] = dif_manifest_ref(e->job.others[i]);
	}
	e->job.others = all;
	return true;
}

struct dif_edge *dif_edge_start(const struct dif_edge_job *job,
                                const struct dif_edge_events *events, void *data)
{
	struct dif_edge *e = calloc(1, sizeof *e);
	if (e == NULL) {
		return NULL;
	}
	e->job = *job;
	e->events = events;
	e->data = data;
	e->job.width = job->width == 0 ? WIDTH : job->width < WIDTH_MAX ? job->width : WIDTH_MAX;
	e->job.timeout_ms = job->timeout_ms != 0 ? job->timeout_ms : TIMEOUT_MS;
	e->job.findings_max = job->findings_max != 0 ? job->findings_max : FINDINGS_MAX;
	e->findings = calloc(e->job.findings_max, sizeof *e->findings);
	e->order = calloc(e->job.findings_max, sizeof *e->order);
	if (e->findings == NULL || e->order == NULL || !edge_pick(job, &e->all, &e->n) ||
	    !copy_others(e)) {
		free(e->findings);
		free(e->order);
		free(e->all);
		free(e);
		return NULL;
	}
	dif_manifest_ref(e->job.manifest);
	e->job.members = NULL; /* the caller's; chosen from by now */
	for (uint32_t i = 0; i < e->n; i++) {
		e->any_telling = e->any_telling || e->all[i].telling;
	}
	dif_list_init(&e->busy);
	dif_arena_init(&e->arena, ARENA_MAX, false);
	e->began = dif_steady_ms();
	e->pause = PAUSE_MS;
	e->report.of = e->n;
	uv_timer_init(&job->engine->loop, &e->timer);
	e->timer.data = e;
	uv_timer_start(&e->timer, on_pause_over, 0, 0); /* the promise not to call back before */
	return e;
}

void dif_edge_stop(struct dif_edge *e)
{
	if (e->ended || e->stopped) {
		return;
	}
	e->stopped = true;
	for (struct dif_link *at = e->busy.next; at != &e->busy; at = at->next) {
		dif_edge_cancel(DIF_ENTRY(at, struct slot, link)->call);
	}
	if (e->running == 0) {
		uv_timer_start(&e->timer, on_pause_over, 0, 0);
	}
}
