/* cut - one package from file to readers.
 *
 *   1. check    on the pool: read, side-car, walk; or: it is what everybody has already (9)
 *   2. place    profile, number, older than the live one (archived, 16)
 *   3. ingest   every byte judged; or the manifest of the same package from the state
 *   4. archive  on the pool, durable before the first put
 *   5. publish  cut and manifest into the state, then the deliveries
 *   6. record   live where at least one store has all of it; flushed before `ended`
 *
 * It can fail in every step. Up to 4 nothing has left this machine. A refusal is recorded with its
 * reason. A repair begins at 3 with what the archive keeps.
 */
#include "flow/cut.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "flow/cut_private.h"

#define TICK_MS 200
#define CUTS_MAX 1000 /* looked at to find the live one: three nights */
#define FIRST_EPOCH 1
#define ARENA_MAX (4u << 20)

struct dif_cut_run {
	struct dif_cut_job job;
	const struct dif_cut_events *events;
	void *data;
	struct dif_setup *setup;
	struct dif_arena arena;
	uv_timer_t tick;
	struct dif_work work;
	struct cut_check check;
	struct dif_package *package, *before;
	struct dif_manifest *manifest, *known;
	struct dif_ingest *ingest;
	struct dif_publication *publication;
	struct dif_destination **to;
	uint32_t nto;
	struct dif_cut cut, live, prior; /* sha256 "" where there is none */
	int64_t epoch;                   /* highest known */
	enum dif_cut_step step;
	uint64_t done, of;
	bool repair, repeated, whole, archive_only, superseded, canceled, ending, written;
	bool outrun; /* a repair past the barrier: a newer cut was published elsewhere meanwhile */
	int exit;
	struct dif_error err;
};

static bool mark(struct dif_cut_run *r)
{
	return !r->job.dry_run && r->setup->state != NULL;
}

/* --- the end --- */

static void on_closed(uv_handle_t *h)
{
	struct dif_cut_run *r = h->data;
	r->events->ended(r->data, r->exit, &r->err, &r->cut.order, r->publication);
	dif_publication_free(r->publication);
	dif_manifest_unref(r->manifest);
	dif_manifest_unref(r->known);
	dif_package_close(r->package);
	dif_package_close(r->before);
	dif_arena_fini(&r->arena);
	free(r);
}

static void on_flushed(void *data, const struct dif_error *err)
{
	struct dif_cut_run *r = data;
	if (err != NULL && err->cls != DIF_OK && r->exit == DIF_EXIT_OK) {
		r->exit = DIF_EXIT_OTHER;
		r->err = *err;
	}
	uv_close((uv_handle_t *)&r->tick, on_closed);
}

static void end(struct dif_cut_run *r, int code)
{
	assert(!r->ending);
	r->ending = true;
	r->exit = code;
	if (r->written) {
		dif_state_flush(r->setup->state, on_flushed, r);
	} else {
		uv_close((uv_handle_t *)&r->tick, on_closed);
	}
}

static int exit_of(const struct dif_error *err)
{
	return err->exit != 0 ? err->exit : DIF_EXIT_OTHER;
}

static void put_cut(struct dif_cut_run *r, enum dif_cut_status status)
{
	r->cut.status = status;
	if (mark(r)) {
		dif_state_put_cut(r->setup->state, &r->cut);
		r->written = true;
	}
}

/* What was archived only has not been ingested before. */
static bool is_unfit(const struct dif_cut_run *r)
{
	return r->step == DIF_CUT_INGESTING && r->cut.status == DIF_CUT_ARCHIVED &&
	       r->cut.published == 0 &&
	       (r->err.exit == DIF_EXIT_DIGEST || r->err.exit == DIF_EXIT_PACKAGE);
}

/* A cut that never was anything else is remembered as refused, with the reason. */
static void refuse(struct dif_cut_run *r)
{
	bool is_new = r->prior.order.sha256[0] == '\0' && !r->repair;
	if (r->cut.order.sha256[0] != '\0' && !r->canceled && (is_new || is_unfit(r))) {
		r->cut.reason = r->err.text;
		put_cut(r, DIF_CUT_REFUSED);
	}
	end(r, exit_of(&r->err));
}

static bool is_stopped(struct dif_cut_run *r)
{
	if (r->canceled || r->superseded) {
		dif_error_set(&r->err, DIF_CANCELED, "could not publish package '%s': %s",
		              r->cut.name, r->canceled ? "canceled" : "a newer cut has come");
	}
	return r->canceled || r->superseded;
}

static void out_of_memory(struct dif_cut_run *r)
{
	dif_error_set(&r->err, DIF_TRANSIENT, "could not publish package '%s': out of memory",
	              r->cut.name);
	end(r, DIF_EXIT_OTHER);
}

/* --- 6. record --- */

static void on_cut(void *data, const struct dif_cut *c)
{
	struct dif_cut_run *r = data;
	if (c->status != DIF_CUT_LIVE) {
		return;
	}
	int order = dif_order_compare(&c->order, &r->cut.order);
	r->outrun = r->outrun || order > 0;
	if (order < 0) {
		struct dif_cut older = *c;
		older.status = DIF_CUT_SUPERSEDED;
		dif_state_put_cut(r->setup->state, &older);
	}
}

/* *there: destinations whose store has all of it. */
static void sum(const struct dif_cut_run *r, uint32_t *there, uint64_t *changes)
{
	*there = 0;
	*changes = 0;
	for (uint32_t i = 0; i < dif_publication_count(r->publication); i++) {
		const struct dif_delivery *d = dif_publication_at(r->publication, i);
		const struct dif_delivery_counts *c = dif_delivery_counts(d);
		*there += dif_delivery_error(d)->cls == DIF_OK || dif_delivery_is_there(d);
		*changes += c->puts + (r->repair ? c->removed : 0);
	}
}

static void first_failure(struct dif_cut_run *r)
{
	for (uint32_t i = 0; i < dif_publication_count(r->publication); i++) {
		const struct dif_error *e =
			dif_delivery_error(dif_publication_at(r->publication, i));
		if (e->cls != DIF_OK && (r->err.cls == DIF_OK || e->exit == r->exit)) {
			r->err = *e;
			if (e->exit == r->exit) {
				return;
			}
		}
	}
}

static void on_published(void *data, struct dif_publication *p)
{
	struct dif_cut_run *r = data;
	assert(r->publication == p);
	uint32_t there = 0;
	uint64_t changes = 0;
	sum(r, &there, &changes);
	if (there > 0 && mark(r)) {
		r->cut.published = r->cut.published ? r->cut.published : dif_wall_ms();
		dif_state_cuts(r->setup->state, CUTS_MAX, on_cut, r);
		put_cut(r, r->outrun ? DIF_CUT_SUPERSEDED : DIF_CUT_LIVE);
	}
	r->exit = dif_publication_exit(p);
	first_failure(r);
	/* What was repeated and found whole is nothing new, also where orphans went meanwhile. */
	if (r->exit == DIF_EXIT_OK && changes == 0 && !r->job.dry_run && (r->repair || r->whole)) {
		r->exit = DIF_EXIT_NOTHING_NEW;
	}
	end(r, r->exit);
}

/* --- 5. publish --- */

static void publish(struct dif_cut_run *r)
{
	if (is_stopped(r)) {
		end(r, DIF_EXIT_OTHER);
		return;
	}
	r->step = DIF_CUT_PUBLISHING;
	if (mark(r)) {
		dif_state_put_manifest(r->setup->state, r->manifest);
		r->written = true;
	}
	struct dif_publication_job job = {.engine = r->setup->engine,
	                                  .state = r->setup->state,
	                                  .spool = r->setup->spool,
	                                  .config = r->setup->config,
	                                  .package = r->package,
	                                  .manifest = r->manifest,
	                                  .destinations = r->to,
	                                  .ndestinations = r->nto,
	                                  .dry_run = r->job.dry_run,
	                                  .timeout_ms = r->job.timeout_ms};
	r->publication = dif_publication_start(&job, on_published, r);
	if (r->publication == NULL) {
		out_of_memory(r);
	}
}

/* --- 4. archive --- */

static struct dif_cut_run *run_of(struct dif_work *w)
{
	return (struct dif_cut_run *)(void *)((char *)w - offsetof(struct dif_cut_run, work));
}

static void on_archive(struct dif_work *w)
{
	struct dif_cut_run *r = run_of(w);
	char *path = NULL;
	if (dif_archive_add(r->setup->archive, r->job.file, r->job.move, &r->cut, &path, &r->err)) {
		free(path);
	}
}

static void tell_archived(struct dif_cut_run *r)
{
	const char *why = "a newer one has come";
	if (!r->archive_only) {
		why = "another agent has the lease and publishes";
	} else if (!r->job.archive_only) {
		why = dif_arena_fmt(&r->arena, "it is older than the live cut '%s' (%.12s)",
		                    r->live.name, r->live.order.sha256);
	}
	dif_error_exit(&r->err, DIF_EXIT_GUARD, DIF_CONFLICT,
	               "could not publish package '%s': %s; it was archived", r->cut.name, why);
}

static void on_archived(struct dif_work *w)
{
	struct dif_cut_run *r = run_of(w);
	if (r->err.cls != DIF_OK) {
		end(r, exit_of(&r->err));
		return;
	}
	if (r->archive_only) {
		put_cut(r, DIF_CUT_ARCHIVED);
		tell_archived(r);
		end(r, DIF_EXIT_GUARD);
		return;
	}
	if (r->cut.status != DIF_CUT_LIVE) {
		put_cut(r, DIF_CUT_ARCHIVED);
	}
	if (r->job.keep_only) {
		dif_state_put_manifest(r->setup->state, r->manifest);
		r->written = true;
		tell_archived(r);
		end(r, DIF_EXIT_GUARD);
		return;
	}
	publish(r);
}

static void archive(struct dif_cut_run *r)
{
	if (!mark(r) || r->repair) {
		publish(r);
		return;
	}
	r->step = DIF_CUT_ARCHIVING;
	dif_engine_work(r->setup->engine, &r->work, on_archive, on_archived);
}

/* --- 3. ingest --- */

static const char *profile(const struct dif_cut_run *r)
{
	return r->setup->config->profile == DIF_PRODUCTION ? "production" : "rehearsal";
}

static void ingested(struct dif_cut_run *r, struct dif_manifest *m)
{
	r->manifest = m;
	m->order = r->cut.order;
	m->profile = dif_arena_str(&m->arena, profile(r));
	r->cut.entries = m->n;
	archive(r);
}

static void on_ingested(void *data, struct dif_manifest *m, const struct dif_error *err)
{
	struct dif_cut_run *r = data;
	r->ingest = NULL;
	if (m == NULL) {
		r->err = *err;
		refuse(r);
	} else {
		ingested(r, m);
	}
}

static void on_bytes(void *data, uint64_t bytes, uint64_t of)
{
	struct dif_cut_run *r = data;
	r->done = bytes;
	r->of = of;
}

static struct dif_manifest *recall(struct dif_cut_run *r, const char *sha256)
{
	struct dif_error ignored = {0}; /* it is made again from the package */
	return r->setup->state != NULL && sha256[0] != '\0'
	               ? dif_state_manifest(r->setup->state, sha256, &ignored)
	               : NULL;
}

static void ingest(struct dif_cut_run *r)
{
	struct dif_ingest_want w = {0};
	dif_cut_want(r->setup, r->to, r->nto, &w);
	r->step = DIF_CUT_INGESTING;
	struct dif_manifest *m = recall(r, r->cut.order.sha256);
	if (m != NULL && dif_cut_serves(m, &w)) {
		ingested(r, m);
		return;
	}
	dif_manifest_unref(m);
	if (r->before != NULL) {
		r->known = recall(r, r->before->sha256);
		if (r->known != NULL && dif_cut_serves(r->known, &w)) {
			w.before = r->before;
			w.known = r->known;
		}
	}
	r->ingest = dif_ingest_start(r->setup->engine, r->package, &w, on_bytes, on_ingested, r);
	if (r->ingest == NULL) {
		out_of_memory(r);
	}
}

/* --- 2. place --- */

static bool number(struct dif_cut_run *r)
{
	const char *rule = r->job.order ? r->job.order : "source";
	int64_t highest = r->setup->state ? dif_state_highest_number(r->setup->state, r->epoch) : 0;
	r->cut.order.epoch = r->epoch;
	if (r->prior.order.sha256[0] != '\0' && r->prior.status != DIF_CUT_REFUSED) {
		r->cut.order = r->prior.order; /* once seen, for ever */
		return true;
	}
	if (strncmp(rule, "name:", 5) == 0) {
		return dif_cut_number_of_name(rule + 5, r->cut.name, &r->cut.order.number, &r->err);
	}
	if (r->check.number >= 0) {
		r->cut.order.number = r->check.number;
	} else if (r->job.modified_ms > 0) {
		r->cut.order.number = r->job.modified_ms;
	} else {
		int64_t now = dif_wall_ms();
		r->cut.order.number = now > highest ? now : highest + 1;
	}
	return true;
}

static void place(struct dif_cut_run *r)
{
	if (r->package->rehearsal && r->setup->config->profile == DIF_PRODUCTION) {
		dif_error_exit(&r->err, DIF_EXIT_GUARD, DIF_CONFLICT,
		               "could not publish package '%s': it is a rehearsal "
		               "(SIMULACRO.json), and this agent's profile is production",
		               r->cut.name);
		refuse(r);
		return;
	}
	if (!number(r)) {
		refuse(r);
		return;
	}
	bool is_older = r->live.order.sha256[0] != '\0' &&
	                dif_order_compare(&r->cut.order, &r->live.order) < 0;
	if (!is_older && !r->job.archive_only) {
		ingest(r);
		return;
	}
	r->archive_only = true;
	if (mark(r)) {
		r->step = DIF_CUT_ARCHIVING;
		dif_engine_work(r->setup->engine, &r->work, on_archive, on_archived);
		return;
	}
	dif_error_exit(&r->err, DIF_EXIT_GUARD, DIF_CONFLICT,
	               "could not publish package '%s': it is older than the live cut '%s'",
	               r->cut.name, r->live.name);
	end(r, DIF_EXIT_GUARD);
}

/* --- 1. check --- */

static void recall_prior(struct dif_cut_run *r)
{
	struct dif_cut prior = {0};
	if (r->setup->state == NULL ||
	    !dif_state_cut(r->setup->state, r->package->sha256, &prior, &r->arena)) {
		return;
	}
	r->prior = prior;
	r->cut.seen = prior.seen;
	r->cut.published = prior.published;
	r->cut.status = prior.status == DIF_CUT_REFUSED ? DIF_CUT_ARCHIVED : prior.status;
}

static void on_checked(struct dif_work *w)
{
	struct dif_cut_run *r = run_of(w);
	struct cut_check *c = &r->check;
	r->package = c->package;
	r->before = c->before;
	r->err = c->err;
	if (r->package != NULL) {
		memcpy(r->cut.order.sha256, r->package->sha256, sizeof r->cut.order.sha256);
		r->cut.bytes = r->package->bytes;
		r->cut.entries = r->package->n;
		for (const char *const *text = r->package->warnings; *text != NULL; text++) {
			dif_log(DIF_LOG_WARNING, "package", "sha256=%.12s what=%s",
			        r->package->sha256, dif_q(*text));
		}
		recall_prior(r);
	}
	if (r->err.cls != DIF_OK) {
		refuse(r);
	} else if (c->same) {
		r->cut.order = r->live.order;
		dif_error_clear(&r->err);
		end(r, DIF_EXIT_NOTHING_NEW);
	} else if (r->canceled && is_stopped(r)) {
		end(r, DIF_EXIT_OTHER);
	} else if (r->repair) {
		r->cut = r->live;
		ingest(r);
	} else {
		place(r);
	}
}

static void on_check(struct dif_work *w)
{
	dif_cut_check(&run_of(w)->check);
}

/* --- whole already? --- */

/* *due: an orphan's time has come. */
static bool is_whole(struct dif_cut_run *r, struct dif_destination *d, bool *due)
{
	char print[17], expected[96];
	char *scope = dif_destination_scope(d);
	const char *fact =
		scope ? dif_state_fact(r->setup->state, scope, DIF_FACT_WHOLE, INT64_MAX, &r->arena)
		      : NULL;
	int64_t when = 0;
	free(scope);
	dif_destination_fingerprint(d, r->setup->config->classes, r->setup->config->nclasses,
	                            print);
	int n = snprintf(expected, sizeof expected, "%s %s ", r->live.order.sha256, print);
	if (fact == NULL || strncmp(fact, expected, (size_t)n) != 0 ||
	    dif_destination_has_doubt(d)) {
		return false;
	}
	*due = *due || (dif_parse_int(fact + n, 1, INT64_MAX, &when) && when <= dif_wall_ms());
	return true;
}

static void look_for_whole(struct dif_cut_run *r)
{
	bool due = false;
	if (r->setup->state == NULL || r->live.order.sha256[0] == '\0' || r->nto == 0) {
		return;
	}
	r->whole = true;
	for (uint32_t i = 0; i < r->nto && r->whole; i++) {
		r->whole = is_whole(r, r->to[i], &due);
	}
	r->check.may_be_known = r->whole && !due;
	r->check.known_bytes = r->live.bytes;
	memcpy(r->check.known, r->live.order.sha256, sizeof r->check.known);
}

/* --- the door --- */

static void keep(struct dif_cut_run *r, struct dif_cut *to, const struct dif_cut *c)
{
	*to = *c;
	to->name = dif_arena_str(&r->arena, c->name);
	to->source = dif_arena_str(&r->arena, c->source);
	to->profile = dif_arena_str(&r->arena, c->profile);
	to->reason = dif_arena_str(&r->arena, c->reason);
}

/* The live cut is the highest one that some destination has; a repair brings the highest one that
 * was accepted, also where nobody could be reached with it. */
static void on_known(void *data, const struct dif_cut *c)
{
	struct dif_cut_run *r = data;
	bool fits = c->status == DIF_CUT_LIVE || (r->repair && c->status == DIF_CUT_ARCHIVED);
	if (c->order.epoch > r->epoch) {
		r->epoch = c->order.epoch;
	}
	if (fits &&
	    (r->live.order.sha256[0] == '\0' || dif_order_compare(&c->order, &r->live.order) > 0)) {
		keep(r, &r->live, c);
	}
}

static bool choose_destinations(struct dif_cut_run *r)
{
	uint32_t all = r->setup->config->ndestinations;
	r->nto = r->job.only ? r->job.nonly : all;
	r->to = dif_arena_alloc(&r->arena, (r->nto + 1) * sizeof(void *));
	for (uint32_t i = 0; r->to != NULL && i < r->nto; i++) {
		uint32_t index = r->job.only ? r->job.only[i] : i;
		assert(index < all);
		r->to[i] = &r->setup->destinations[index];
	}
	return r->to != NULL;
}

static void on_tick(uv_timer_t *t)
{
	struct dif_cut_run *r = t->data;
	if (r->ending || r->events->progress == NULL) {
		return;
	}
	if (r->step == DIF_CUT_PUBLISHING && r->publication != NULL) {
		r->done = r->of = 0;
		for (uint32_t i = 0; i < dif_publication_count(r->publication); i++) {
			const struct dif_delivery_counts *c =
				dif_delivery_counts(dif_publication_at(r->publication, i));
			r->done += c->put_bytes;
			r->of += c->put_bytes_of;
		}
	}
	r->events->progress(r->data, r->step, r->done, r->of,
	                    r->step == DIF_CUT_PUBLISHING ? r->publication : NULL);
}

static struct dif_cut_run *new_run(const struct dif_cut_job *job,
                                   const struct dif_cut_events *events, void *data, bool repair)
{
	struct dif_cut_run *r = calloc(1, sizeof *r);
	if (r == NULL) {
		return NULL;
	}
	r->job = *job;
	r->events = events;
	r->data = data;
	r->setup = job->setup;
	r->repair = repair;
	r->epoch = FIRST_EPOCH;
	dif_arena_init(&r->arena, ARENA_MAX, false);
	uv_timer_init(&r->setup->engine->loop, &r->tick);
	r->tick.data = r;
	uv_timer_start(&r->tick, on_tick, TICK_MS, TICK_MS);
	if (r->setup->state != NULL) {
		dif_state_cuts(r->setup->state, CUTS_MAX, on_known, r);
	}
	r->check.limits = &r->setup->config->limits;
	return r;
}

struct dif_cut_run *dif_cut_start(const struct dif_cut_job *job,
                                  const struct dif_cut_events *events, void *data)
{
	struct dif_cut_run *r = new_run(job, events, data, false);
	struct stat st;
	if (r == NULL) {
		return NULL;
	}
	r->cut.name = job->name ? job->name : job->file;
	r->cut.source = job->source ? job->source : "publish";
	r->cut.profile = profile(r);
	r->cut.seen = dif_wall_ms();
	r->check.file = job->file;
	r->check.digest = job->digest;
	r->check.order = job->order;
	r->of = stat(job->file, &st) == 0 ? (uint64_t)st.st_size : 0;
	if (!choose_destinations(r)) {
		out_of_memory(r);
		return r;
	}
	look_for_whole(r);
	if (r->live.order.sha256[0] != '\0' && r->setup->archive != NULL) {
		char *path = dif_archive_path(r->setup->archive, r->live.order.sha256);
		r->check.before_file = path ? dif_arena_str(&r->arena, path) : NULL;
		free(path);
	}
	dif_engine_work(r->setup->engine, &r->work, on_check, on_checked);
	return r;
}

struct dif_cut_run *dif_cut_repair(const struct dif_cut_job *job,
                                   const struct dif_cut_events *events, void *data)
{
	struct dif_cut_run *r = new_run(job, events, data, true);
	if (r == NULL) {
		return NULL;
	}
	char *path = r->live.order.sha256[0] != '\0' && r->setup->archive != NULL
	                     ? dif_archive_path(r->setup->archive, r->live.order.sha256)
	                     : NULL;
	r->cut = r->live;
	r->check.archived = r->live.order.sha256;
	r->check.file = path ? dif_arena_str(&r->arena, path) : NULL;
	free(path);
	if (r->live.order.sha256[0] == '\0') {
		end(r, DIF_EXIT_NOTHING_NEW);
	} else if (r->check.file == NULL || !choose_destinations(r)) {
		out_of_memory(r);
	} else {
		dif_engine_work(r->setup->engine, &r->work, on_check, on_checked);
	}
	return r;
}

void dif_cut_supersede(struct dif_cut_run *r)
{
	if (r->publication != NULL) {
		dif_publication_supersede(r->publication);
	} else {
		r->superseded = true; /* it is archived first */
	}
}

void dif_cut_cancel(struct dif_cut_run *r)
{
	r->canceled = true;
	if (r->publication != NULL && !r->ending) {
		dif_publication_cancel(r->publication);
	} else if (r->ingest != NULL) {
		dif_ingest_cancel(r->ingest);
	}
}
