/* run - the agent, in the foreground: polls the sources, takes what `publish` hands over,
 * publishes the newest cut, repairs what lags behind, and drains on SIGTERM.
 *
 *   arrival (a source, the inbox) -> waits here until the running cut has ended; it is told that a
 *   newer one has come -> one cut at a time to every destination that is free -> what was not
 *   free, or failed, is found by the next look and repaired alone.
 *
 * A source polls on while a cut is being published. Of the packages of one source that wait here
 * only the newest is published; those before it are archived, in their order.
 *
 * Everything is on the loop thread. It ends because its handles are closed.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "console/cli.h"
#include "evidence/drill.h"
#include "flow/cut.h"
#include "flow/dropin.h"
#include "flow/duty.h"
#include "flow/inbox.h"
#include "flow/source.h"
#include "flow/traffic.h"
#include "flow/upkeep.h"
#include "host/crypto.h"

#define TICK_MS 500       /* how soon a package in the inbox is seen */
#define LOOK_MS 30000     /* between two looks at the destinations, +-20 % */
#define SWEEP_MS 3600000  /* between two sweeps of the inbox */
#define LOOK_SOON_MS 1000 /* after a cut that left somebody behind */
#define ARRIVAL_MAX 65536 /* bytes of names in one arrival */
#define SUPERSEDED_MAX 2  /* in a row, so that a fast source cannot starve readers */
#define WAITING_MAX 4     /* packages of one source on this disk beside the archive */

/* A package that waits for its turn, or has it. */
struct waiting {
	struct dif_link link;
	struct dif_arena arena;
	struct dif_cut_job job;
	const struct dif_source_config *source; /* NULL: from the inbox */
	uint64_t arrival;                       /* counts the arrivals, from 1 */
	char *ticket;       /* malloc'ed; its own, or that of a later one which it holds up */
	uint64_t ticket_of; /* that one's arrival */
	const struct dif_inbox_job *box; /* NULL: from a source */
	int64_t not_before;              /* steady ms: it failed here, and is tried again then */
	uint32_t left_out;               /* destinations that a repair kept busy at its start */
	bool takeover; /* no package: what the other agent left undone is brought everywhere */
};

struct app {
	struct dif_setup *setup;
	struct dif_source **sources;
	bool *held; /* per source: so much of it waits that it does not poll */
	struct dif_link waiting;
	uint64_t arrivals;
	struct waiting *box; /* from the inbox, waiting or current; NULL: none */
	int64_t inbox_at;    /* steady ms: not looked into before; an answer had no room */
	int64_t sweep_at;    /* steady ms: what was left in the inbox */
	struct waiting *current;
	struct dif_cut_run *cut;
	bool works;          /* it may publish */
	bool told;           /* the running cut knows that there is a newer one */
	uint32_t superseded; /* cuts in a row that ended for that, whole nowhere */
	uint32_t *only;
	struct dif_upkeep *upkeep;
	struct dif_duty_keeper *duty;
	struct dif_dropin *dropin;
	struct dif_traffic *traffic;
	struct dif_drills *drills;
	uv_timer_t tick;
	uv_signal_t stop[2];
	int64_t look_at;
	bool stopping;
};

static void start_next(struct app *a);

static void plan_look(struct app *a)
{
	uint8_t chance = 0;
	dif_random(&chance, sizeof chance);
	a->look_at = dif_steady_ms() + LOOK_MS * 8 / 10 + LOOK_MS * 4 / 10 * chance / UINT8_MAX;
}

/* --- one cut at a time --- */

static struct waiting *new_waiting(struct app *a)
{
	struct waiting *w = calloc(1, sizeof *w);
	if (w == NULL) {
		abort(); /* a package would be lost without a word; the next start finds it */
	}
	dif_arena_init(&w->arena, ARRIVAL_MAX, false);
	dif_list_add(&a->waiting, &w->link);
	return w;
}

static void forget(struct app *a, struct waiting *w)
{
	if (a->box == w) {
		a->box = NULL;
	}
	dif_list_remove(&w->link);
	dif_arena_fini(&w->arena);
	free(w->ticket);
	free(w);
}

/* Of one source, the current one too. */
static uint32_t count_of(const struct app *a, const struct dif_source_config *source)
{
	uint32_t n = a->current != NULL && a->current->source == source;
	for (const struct dif_link *l = a->waiting.next; l != &a->waiting; l = l->next) {
		n += DIF_ENTRY(l, struct waiting, link)->source == source;
	}
	return n;
}

static uint32_t count_whole(const struct dif_publication *p)
{
	uint32_t done = 0, n = p != NULL ? dif_publication_count(p) : 0;
	for (uint32_t i = 0; i < n; i++) {
		done += dif_delivery_error(dif_publication_at(p, i))->cls == DIF_OK;
	}
	return done;
}

static void answer(struct app *a, const struct waiting *w, int code, const struct dif_error *err,
                   const struct dif_order *order, const struct dif_publication *p)
{
	char text[1024];
	struct dif_error failed = {0};
	uint32_t done = count_whole(p), n = p != NULL ? dif_publication_count(p) : 0;
	bool good = code == DIF_EXIT_OK || code == DIF_EXIT_NOTHING_NEW;
	if (good && w->left_out > 0) {
		code = DIF_EXIT_PARTIAL;
		snprintf(text, sizeof text,
		         "cut %.12s: whole on %u of %u destinations; a repair kept the rest busy, "
		         "and the next one brings it there",
		         order->sha256, n > 0 ? done : w->job.nonly, w->job.nonly + w->left_out);
	} else if (code == DIF_EXIT_NOTHING_NEW) {
		snprintf(text, sizeof text,
		         "nothing new: every destination has this package whole");
	} else if (p != NULL) {
		snprintf(text, sizeof text, "cut %.12s: whole on %u of %u destinations%s%s",
		         order->sha256, done, n, err->cls != DIF_OK ? "; " : "",
		         err->cls != DIF_OK ? err->text : "");
	} else {
		snprintf(text, sizeof text, "%s", err->text);
	}
	if (!dif_inbox_answer(a->setup->config->state, w->box,
	                      &(struct dif_inbox_result){code, text}, &failed)) {
		a->inbox_at = dif_steady_ms() + LOOK_MS; /* the job lies there still */
		dif_log(DIF_LOG_ERROR, "inbox", "reason=%s", dif_q(failed.text));
	}
}

static void tell(const struct waiting *w, int code, const struct dif_error *err,
                 const struct dif_order *order)
{
	bool good = code == DIF_EXIT_OK || code == DIF_EXIT_NOTHING_NEW ||
	            ((w->job.archive_only || w->job.keep_only) && code == DIF_EXIT_GUARD) ||
	            err->cls == DIF_CANCELED;
	dif_log(good ? DIF_LOG_INFO : DIF_LOG_ERROR, "cut", "name=%s sha256=%s exit=%d reason=%s",
	        dif_q(w->job.name), order->sha256, code,
	        dif_q(good && code == DIF_EXIT_OK ? "" : err->text));
}

/* Where the file is still here, it was not taken, or the archive had it already. */
static void clean(const struct waiting *w)
{
	unlink(w->job.file);
	if (w->job.digest != NULL) {
		unlink(w->job.digest);
	}
}

/* What is remembered of a source is one place in its order: the ticket of a package waits for those
 * before it that failed here, or a restart would not ask for them again. */
static void remember(struct app *a, struct waiting *w)
{
	for (struct dif_link *l = a->waiting.next; l != &a->waiting; l = l->next) {
		struct waiting *older = DIF_ENTRY(l, struct waiting, link);
		if (older->source != w->source || older->arrival > w->ticket_of) {
			continue;
		}
		if (older->ticket_of < w->ticket_of) {
			char *ticket = older->ticket;
			older->ticket = w->ticket;
			older->ticket_of = w->ticket_of;
			w->ticket = ticket;
		}
		return;
	}
	dif_source_settle(a->setup, w->source->name, w->ticket);
}

/* A cut of a source has ended. A failure that was ours, not the package's, is tried again, as long
 * as the file was not taken into the archive before. */
static void settle(struct app *a, struct waiting *w, int code, const struct dif_error *err)
{
	if (code == DIF_EXIT_OTHER && (err->cls != DIF_CANCELED || a->stopping) &&
	    access(w->job.file, F_OK) == 0) {
		w->not_before = dif_steady_ms() + w->source->every;
		dif_list_push(&a->waiting, &w->link);
		return;
	}
	clean(w);
	remember(a, w);
	uint32_t i = (uint32_t)(w->source - a->setup->config->sources);
	forget(a, w);
	if (a->held[i] && !a->stopping) {
		a->held[i] = false;
		dif_source_go(a->sources[i]);
	}
}

static void on_ended(void *data, int code, const struct dif_error *err,
                     const struct dif_order *order, const struct dif_publication *p)
{
	struct app *a = data;
	struct waiting *w = a->current;
	a->current = NULL;
	a->cut = NULL;
	if (!w->job.archive_only && !w->job.keep_only) {
		a->superseded = a->told && !dif_publication_is_there(p) ? a->superseded + 1 : 0;
	}
	for (uint32_t i = 0; p != NULL && i < a->setup->config->ndestinations; i++) {
		dif_upkeep_reset(a->upkeep, i); /* another cut, another try */
	}
	tell(w, code, err, order);
	if (w->job.keep_only && code == DIF_EXIT_GUARD) {
		dif_traffic_kept(a->traffic, order->sha256);
	}
	if (w->box != NULL) {
		answer(a, w, code, err, order, p);
	}
	if (w->source != NULL) {
		settle(a, w, code, err);
	} else {
		forget(a, w);
	}
	a->look_at = dif_steady_ms() + LOOK_SOON_MS;
	start_next(a);
}

/* What a person asked for goes first, then the order of arrival. */
static struct waiting *first_waiting(struct app *a)
{
	int64_t now = dif_steady_ms();
	if (a->box != NULL && a->box != a->current) {
		return a->box;
	}
	for (struct dif_link *l = a->waiting.next; l != &a->waiting; l = l->next) {
		struct waiting *w = DIF_ENTRY(l, struct waiting, link);
		if (w->not_before <= now) {
			return w;
		}
	}
	return NULL;
}

static void start_next(struct app *a)
{
	static const struct dif_cut_events events = {NULL, on_ended};
	struct waiting *w = first_waiting(a);
	struct dif_duty duty = dif_duty_now(a->duty);
	if (a->stopping || a->current != NULL || w == NULL || dif_upkeep_is_looking(a->upkeep)) {
		return; /* a look was canceled: its end calls here again */
	}
	uint32_t n = 0, there = 0;
	for (uint32_t i = 0; i < a->setup->config->ndestinations; i++) {
		const struct dif_destination *d = &a->setup->destinations[i];
		there += !d->gone;
		if (!d->busy && !d->gone && (duty.may_alone || d->fence != DIF_UNFENCED)) {
			a->only[n++] = i;
		}
	}
	w->job.keep_only = !a->works;
	if (n == 0 && !w->job.archive_only && !w->job.keep_only) {
		return; /* they were told; the first to end calls here again */
	}
	w->job.only = a->only;
	w->job.nonly = n;
	w->left_out = there - n;
	dif_list_remove(&w->link);
	a->current = w;
	a->told = false;
	a->cut = w->takeover ? dif_cut_repair(&w->job, &events, a)
	                     : dif_cut_start(&w->job, &events, a);
}

static void tell_newer(struct app *a)
{
	if (a->cut != NULL && a->superseded < SUPERSEDED_MAX) {
		a->told = true;
		dif_cut_supersede(a->cut);
	}
	dif_upkeep_supersede(a->upkeep);
}

/* --- arrivals --- */

static void on_arrived(void *data, struct dif_source *source, const struct dif_arrival *in)
{
	struct app *a = data;
	const struct dif_source_config *config = dif_source_config(source);
	dif_log(DIF_LOG_INFO, "arrival", "source=%s name=%s tls=%s bytes_per_s=%.0f",
	        dif_q(config->name), dif_q(in->name), in->tls != NULL ? in->tls : "none",
	        in->bytes_per_s);
	for (struct dif_link *l = a->waiting.next; l != &a->waiting; l = l->next) {
		struct waiting *older = DIF_ENTRY(l, struct waiting, link);
		older->job.archive_only = older->job.archive_only || older->source == config;
	}
	struct waiting *w = new_waiting(a);
	w->job = (struct dif_cut_job){.setup = a->setup,
	                              .file = dif_arena_str(&w->arena, in->file),
	                              .digest = dif_arena_str(&w->arena, in->digest),
	                              .name = dif_arena_str(&w->arena, in->name),
	                              .source = config->name,
	                              .order = config->order,
	                              .modified_ms = in->modified_ms,
	                              .archive_only = in->more,
	                              .move = true};
	w->arrival = w->ticket_of = ++a->arrivals;
	w->ticket = strdup(in->ticket);
	if (w->ticket == NULL) {
		abort(); /* as in new_waiting */
	}
	w->source = config;
	uint32_t i = (uint32_t)(config - a->setup->config->sources);
	a->held[i] = count_of(a, config) >= WAITING_MAX;
	if (!a->held[i]) {
		dif_source_go(source);
	}
	tell_newer(a);
	start_next(a);
}

/* What only this archive has would be brought by a later takeover as a surprise, and what is
 * published past the other agent looks like a fault to it. Whoever asks is here and can be told. */
static void refuse(struct app *a, struct waiting *w, const char *other)
{
	struct dif_error err = {0};
	dif_error_exit(&err, DIF_EXIT_GUARD, DIF_CONFLICT,
	               "could not publish package '%s': this agent is standby, and '%s' has the "
	               "lease: hand it to that one, or stop that one first",
	               w->box->name, other);
	dif_log(DIF_LOG_WARNING, "inbox", "reason=%s", dif_q(err.text));
	answer(a, w, err.exit, &err, NULL, NULL);
	forget(a, w);
}

static void look_into_inbox(struct app *a)
{
	const char *other = dif_duty_other(a->duty);
	if (a->box != NULL || dif_steady_ms() < a->inbox_at || (!a->works && other == NULL)) {
		return; /* also: whose turn it is will be known soon */
	}
	struct waiting *w = new_waiting(a);
	w->box = dif_inbox_next(&w->arena, a->setup->config->state);
	if (w->box == NULL) {
		forget(a, w);
		return;
	}
	w->job = (struct dif_cut_job){.setup = a->setup,
	                              .file = w->box->file,
	                              .digest = w->box->digest,
	                              .name = w->box->name,
	                              .source = "publish",
	                              .modified_ms = w->box->left_ms,
	                              .timeout_ms = w->box->timeout_ms};
	if (!a->works && w->box->left_ms == 0) {
		refuse(a, w, other);
		return;
	}
	if (w->box->left_ms != 0) {
		dif_log(DIF_LOG_WARNING, "inbox", "name=%s what=%s", dif_q(w->box->name),
		        dif_q("whoever handed it over is gone: it is archived, and published where "
		              "nothing newer is live"));
	}
	a->box = w;
	tell_newer(a);
	start_next(a);
}

/* --- what is dropped into the plug-in folder --- */

/* The look finds that it has nothing, and the repair brings it the live cut. */
static void on_added(void *data, uint32_t first, uint32_t n)
{
	struct app *a = data;
	dif_traffic_added(a->traffic, first, n);
	a->look_at = dif_steady_ms();
}

static void on_gone(void *data, uint32_t index)
{
	struct app *a = data;
	dif_traffic_gone(a->traffic, index);
}

/* It has no readers any more. */
static void on_left(void *data, uint32_t index)
{
	struct app *a = data;
	a->setup->destinations[index].gone = true;
	dif_log(DIF_LOG_INFO, "dropin", "destination=%s state=rests",
	        dif_q(a->setup->config->destinations[index].name));
	dif_upkeep_cancel(a->upkeep, index);
}

static void on_back(void *data, uint32_t index)
{
	struct app *a = data;
	a->setup->destinations[index].gone = false;
	dif_traffic_back(a->traffic, index);
	dif_upkeep_reset(a->upkeep, index);
	a->look_at = dif_steady_ms();
}

/* --- drills --- */

static void on_asked(void *data, const struct dif_ask *ask)
{
	struct app *a = data;
	dif_drills_asked(a->drills, ask);
}

static void look_soon(void *data)
{
	struct app *a = data;
	a->look_at = dif_steady_ms();
}

static bool may_drill(void *data)
{
	struct app *a = data;
	return dif_duty_now(a->duty).may_alone;
}

/* --- of two agents --- */

/* All destinations at once, with the barrier between them; what nothing is missing of costs a
 * look. */
static void take_over(struct app *a)
{
	struct waiting *w = new_waiting(a);
	w->takeover = true;
	w->job = (struct dif_cut_job){.setup = a->setup, .name = "the newest of the archive"};
	dif_list_remove(&w->link);
	dif_list_push(&a->waiting, &w->link);
	for (uint32_t i = 0; i < a->setup->config->ndestinations; i++) {
		dif_upkeep_reset(a->upkeep, i);
	}
	a->look_at = dif_steady_ms();
	start_next(a);
}

/* What is under way may end: the fence of its keys holds, and readers wait for it. Where a store
 * keeps no conditions, nobody else may write beside it, so it ends early. */
static void step_back(struct app *a)
{
	bool bare = false;
	struct dif_link *l = a->waiting.next;
	while (l != &a->waiting) {
		struct waiting *w = DIF_ENTRY(l, struct waiting, link);
		l = l->next;
		if (w->takeover) {
			forget(a, w);
		}
	}
	for (uint32_t i = 0; i < a->setup->config->ndestinations; i++) {
		bare = bare || a->setup->destinations[i].fence == DIF_UNFENCED;
	}
	if (bare && a->cut != NULL) {
		dif_cut_supersede(a->cut);
	}
	if (bare) {
		dif_upkeep_supersede(a->upkeep);
	}
	dif_setup_rest_purges(a->setup);
}

static void on_duty(void *data)
{
	struct app *a = data;
	struct dif_duty duty = dif_duty_now(a->duty);
	bool worked = a->works;
	a->works = duty.may_publish;
	dif_traffic_lead(a->traffic, duty.may_alone);
	if (a->works && !worked) {
		take_over(a);
	} else if (worked && !a->works) {
		step_back(a);
	}
}

static void on_tick(uv_timer_t *t)
{
	struct app *a = t->data;
	if (dif_steady_ms() >= a->sweep_at) {
		a->sweep_at = dif_steady_ms() + SWEEP_MS;
		dif_inbox_sweep(a->setup->config->state);
	}
	if (a->works) {
		dif_setup_resume_purges(a->setup);
	}
	look_into_inbox(a);
	start_next(a); /* what failed here may have its time now */
	if (a->works && dif_steady_ms() >= a->look_at && a->current == NULL) {
		plan_look(a);
		dif_upkeep_look(a->upkeep);
	}
}

/* --- begin and end --- */

static void on_source_closed(void *data)
{
	(void)data;
}

static void on_stop(uv_signal_t *signal, int number)
{
	struct app *a = signal->data;
	if (a->stopping) { /* a second time: at once; the next start makes it good */
		uv_signal_stop(signal);
		raise(number);
		return;
	}
	a->stopping = true;
	dif_log(DIF_LOG_INFO, "stopping", "signal=%d", number);
	uv_close((uv_handle_t *)&a->tick, NULL);
	if (a->dropin != NULL) {
		dif_dropin_close(a->dropin);
		a->dropin = NULL;
	}
	dif_drills_close(a->drills);
	dif_traffic_close(a->traffic);
	dif_duty_close(a->duty);
	for (uint32_t i = 0; i < DIF_LEN(a->stop); i++) {
		uv_unref((uv_handle_t *)&a->stop[i]); /* stay for the second time */
	}
	for (uint32_t i = 0; i < a->setup->config->nsources; i++) {
		dif_source_close(a->sources[i], on_source_closed, a);
	}
	dif_setup_rest_purges(a->setup);
	if (a->cut != NULL) {
		dif_cut_cancel(a->cut);
	}
	for (uint32_t i = 0; i < a->setup->config->ndestinations; i++) {
		dif_upkeep_cancel(a->upkeep, i);
	}
}

static void start_handles(struct app *a)
{
	static const int numbers[DIF_LEN(a->stop)] = {SIGINT, SIGTERM};
	uv_loop_t *loop = &a->setup->engine->loop;
	for (uint32_t i = 0; i < DIF_LEN(a->stop); i++) {
		uv_signal_init(loop, &a->stop[i]);
		a->stop[i].data = a;
		uv_signal_start(&a->stop[i], on_stop, numbers[i]);
	}
	uv_timer_init(loop, &a->tick);
	a->tick.data = a;
	static const struct dif_traffic_events traffic = {on_left, on_asked};
	a->duty = dif_duty_open(a->setup, on_duty, a);
	a->works = a->duty != NULL && dif_duty_now(a->duty).may_publish;
	a->traffic = dif_traffic_open(a->setup, a->works, &traffic, a);
	const struct dif_drills_in drills = {a->setup,  a->traffic, a->sources,
	                                     look_soon, may_drill,  a};
	a->drills = a->traffic != NULL ? dif_drills_open(&drills) : NULL;
	if (a->duty == NULL || a->drills == NULL) {
		abort(); /* as of any memory at the start: the service starts it again */
	}
	uv_timer_start(&a->tick, on_tick, 0, TICK_MS);
	static const struct dif_dropin_events events = {on_added, on_gone, on_back};
	a->dropin = dif_dropin_open(a->setup, &events, a);
	if (a->dropin == NULL) {
		dif_log(DIF_LOG_WARNING, "dropin", "reason=%s", dif_q("out of memory"));
	}
}

static bool start_sources(struct app *a, struct dif_error *err)
{
	for (uint32_t i = 0; i < a->setup->config->nsources; i++) {
		a->sources[i] = dif_source_open(a->setup, i, on_arrived, a, err);
		if (a->sources[i] == NULL) {
			while (i-- > 0) {
				dif_source_close(a->sources[i], on_source_closed, a);
			}
			return false;
		}
	}
	return true;
}

static bool may_repair(void *data, uint32_t index)
{
	struct app *a = data;
	const struct dif_destination *d = &a->setup->destinations[index];
	return a->works && !a->stopping && a->current == NULL && !d->gone &&
	       (dif_duty_now(a->duty).may_alone || d->fence != DIF_UNFENCED);
}

static void on_kept_up(void *data)
{
	start_next(data);
}

static bool allocate(struct app *a)
{
	uint32_t nd = a->setup->config->ndestinations + DIF_CONFIG_ROOM;
	uint32_t ns = a->setup->config->nsources;
	dif_list_init(&a->waiting);
	a->sources = calloc(ns + 1, sizeof(struct dif_source *));
	a->held = calloc(ns + 1, sizeof *a->held);
	a->only = calloc(nd, sizeof *a->only);
	static const struct dif_upkeep_events events = {may_repair, on_kept_up};
	a->upkeep = dif_upkeep_open(a->setup, &events, a);
	return a->sources != NULL && a->held != NULL && a->only != NULL && a->upkeep != NULL;
}

static void release(struct app *a)
{
	while (a->waiting.next != NULL && !dif_list_empty(&a->waiting)) {
		forget(a, DIF_ENTRY(a->waiting.next, struct waiting, link));
	}
	free(a->sources);
	free(a->held);
	free(a->only);
	dif_upkeep_free(a->upkeep);
}

static int run(const struct dif_args *args)
{
	struct app a = {0};
	struct dif_error err = {0};
	int code = DIF_EXIT_OK;
	a.setup = dif_setup_open(args->config, DIF_SETUP_OWN, &err);
	if (a.setup == NULL) {
		return dif_cli_fail(&err);
	}
	for (uint32_t i = 0; i < a.setup->config->ndestinations; i++) {
		dif_destination_load(&a.setup->destinations[i], a.setup->state);
	}
	if (a.setup->config->nsources == 0) {
		dif_error_exit(&err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		               "could not run with '%s': it has no [source NAME] section",
		               args->config);
		code = dif_cli_fail(&err);
	} else if (!allocate(&a)) {
		dif_error_set(&err, DIF_TRANSIENT, "could not start the agent: out of memory");
		code = dif_cli_fail(&err);
	} else if (!start_sources(&a, &err)) {
		code = dif_cli_fail(&err);
	} else {
		start_handles(&a);
		dif_log(DIF_LOG_INFO, "started", "state=%s profile=%s destinations=%u sources=%u",
		        dif_q(a.setup->config->state),
		        a.setup->config->profile == DIF_REHEARSAL ? "rehearsal" : "production",
		        a.setup->config->ndestinations, a.setup->config->nsources);
		dif_engine_run(a.setup->engine);
		for (uint32_t i = 0; i < DIF_LEN(a.stop); i++) {
			uv_close((uv_handle_t *)&a.stop[i], NULL);
		}
		dif_engine_run(a.setup->engine);
	}
	dif_setup_close(a.setup);
	release(&a);
	return code;
}

const struct dif_verb_row dif_verb_run = {
	.name = "run",
	.words = "",
	.what = "the agent, in the foreground: polls the sources and publishes what is new",
	.text = "Ends on SIGTERM or SIGINT after what is in flight; a second signal ends it at\n"
		"once, and the next start makes good what was in flight. While it runs,\n"
		"'difusor publish' hands its file to it.",
	.log = "info",
	.run = run,
};
