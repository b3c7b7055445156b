/* drill_fault - what a drill puts in the way, and what it needs for that: the cut before (a stale
 * address), or a damaged package. A fault on a source would be taken by that source for the
 * package's own, and a real one would never be asked for again: so the damaged package is handed in
 * at the agent's other door, the inbox, where nothing that is real can be struck.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"
#include "evidence/drill_private.h"

#define ARENA_MAX (64u << 10)
#define OBJECT_MAX (1u << 20) /* what a prober asks for is no larger */
#define RECENT_CUTS 20
#define RETRY_AFTER_S 1
#define BOX_MS 120000 /* for the damaged package to be refused */
#define CHUNK (1u << 20)
#define PADDING (4u << 20) /* more than the pages that a database of ours has free */
#define SKEW_S 7200

static struct drill_job *job_of(struct dif_work *w)
{
	return DIF_ENTRY(w, struct drill_job, work);
}

/* --- a damaged package --- */

static bool copy(int from, int to, off_t size)
{
	char *room = malloc(CHUNK);
	off_t at = 0;
	bool good = room != NULL;
	while (good && at < size) {
		ssize_t n = pread(from, room, CHUNK, at);
		good = n > 0;
		if (good && at <= size / 2 && at + n > size / 2) {
			room[size / 2 - at] ^= 1; /* the one bit */
		}
		good = good && write(to, room, (size_t)n) == n;
		at += n;
	}
	free(room);
	return good;
}

static bool write_side(const char *path, const char *sha256)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd != -1 && write(fd, sha256, 64) == 64;
	if (fd != -1) {
		close(fd);
	}
	return good;
}

static void flip(struct drill_job *j)
{
	const char *file = dif_arena_fmt(&j->arena, "%s/drills/%s/damaged.zip", j->state, j->id);
	const char *side = dif_arena_fmt(&j->arena, "%s.sha256", file);
	int from = open(j->package, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int to = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;
	bool good = from != -1 && to != -1 && fstat(from, &st) == 0 && copy(from, to, st.st_size) &&
	            write_side(side, j->sha256);
	if (good) {
		j->box = (struct dif_inbox_job){.file = file,
		                                .digest = side,
		                                .name = "SIMULACRO-damaged.zip",
		                                .timeout_ms = BOX_MS};
		(void)dif_inbox_put(&j->arena, j->state, &j->box, &j->err);
	} else {
		dif_error_set(&j->err, DIF_TRANSIENT, "could not make a damaged package: %s",
		              strerror(errno));
	}
	if (from != -1) {
		close(from);
	}
	if (to != -1) {
		close(to);
	}
	unlink(file);
	unlink(side);
}

/* --- the cut before --- */

struct newest {
	struct dif_drills *d;
	const struct dif_order *live;
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct newest *n = data;
	struct dif_error err = {0};
	struct dif_drills *d = n->d;
	if (d->old == NULL && (c->status == DIF_CUT_LIVE || c->status == DIF_CUT_SUPERSEDED) &&
	    dif_order_compare(&c->order, n->live) < 0 &&
	    dif_archive_has(d->in.setup->archive, c->order.sha256)) {
		d->old = dif_state_manifest(d->in.setup->state, c->order.sha256, &err);
	}
}

/* The path below the public address; false: it is another's. Percent-encoding is undone. */
static bool path_of(const struct dif_drills *d, const char *url, char *to, size_t max)
{
	size_t n = strlen(d->below), at = 0;
	if (strncasecmp(url, d->below, n) != 0) {
		return false;
	}
	for (const char *p = url + n; *p != '\0' && *p != '?' && *p != '#' && at + 1 < max; p++) {
		unsigned byte = 0;
		if (*p == '%' && sscanf(p + 1, "%2x", &byte) == 1 && p[1] != '\0' && p[2] != '\0') {
			to[at++] = (char)byte;
			p += 2;
		} else {
			to[at++] = *p;
		}
	}
	to[at] = '\0';
	return true;
}

static bool inflate(struct dif_drills *d, const struct dif_member *m)
{
	struct dif_error err = {0};
	char room[16384];
	int64_t n = -1;
	struct dif_inflater *i = dif_inflater_open(d->job->open, m, &err);
	dif_buf_fini(&d->body);
	dif_buf_init(&d->body, OBJECT_MAX);
	while (i != NULL && (n = dif_inflater_read(i, room, sizeof room, &err)) > 0) {
		dif_buf_add(&d->body, room, (size_t)n);
	}
	dif_inflater_close(i);
	return n == 0 && !d->body.failed;
}

/* What it has no older bytes of is answered as always. */
static bool old_body(void *data, const struct dif_http_request *req, struct dif_http_response *to)
{
	struct dif_drills *d = data;
	char path[2048];
	if (strcmp(req->method, "GET") != 0 || !path_of(d, req->url, path, sizeof path)) {
		return false;
	}
	size_t n = strlen(path);
	if (n == 0 || path[n - 1] == '/') {
		(void)snprintf(path + n, sizeof path - n, "index.html");
	}
	const struct dif_member *m = dif_manifest_find(d->old, path);
	if (m == NULL || m->size > OBJECT_MAX || !inflate(d, m)) {
		return false;
	}
	to->status = 200;
	to->body = (struct dif_bytes){dif_buf_str(&d->body), d->body.n};
	return true;
}

/* --- the pool --- */

static void run(struct dif_work *w)
{
	struct drill_job *j = job_of(w);
	if (j->flips) {
		flip(j);
	} else {
		j->open = dif_package_open(j->package, NULL, &j->err);
	}
}

static void done(struct dif_work *w)
{
	struct drill_job *j = job_of(w);
	j->done = true;
	drill_check_gone(j->drills);
}

static bool start_job(struct dif_drills *d, bool flips, const char *sha256, struct dif_error *err)
{
	struct drill_job *j = calloc(1, sizeof *j);
	char *path = dif_archive_path(d->in.setup->archive, sha256);
	if (j == NULL || path == NULL) {
		free(j);
		free(path);
		dif_error_set(err, DIF_TRANSIENT, "could not begin drill '%s': out of memory",
		              d->kind->name);
		return false;
	}
	dif_arena_init(&j->arena, ARENA_MAX, false);
	j->package = dif_arena_str(&j->arena, path);
	j->sha256 = dif_arena_str(&j->arena, sha256);
	j->state = d->in.setup->config->state;
	j->id = d->record.id;
	j->flips = flips;
	j->drills = d;
	j->box.hold = -1;
	free(path);
	d->job = j;
	dif_engine_work(d->in.setup->engine, &j->work, run, done);
	return true;
}

static bool lacks(const struct dif_drills *d, const char *what, struct dif_error *err)
{
	return dif_error_exit(err, DIF_EXIT_GUARD, DIF_PERMANENT, "could not begin drill '%s': %s",
	                      d->kind->name, what);
}

bool drill_has_material(struct dif_drills *d, struct dif_error *err)
{
	const struct dif_order *live = dif_traffic_wanted(d->in.traffic);
	if (d->kind->notice == DIF_NOTICED_BY_REFUSAL &&
	    !dif_archive_has(d->in.setup->archive, live->sha256)) {
		return lacks(d, "the live package is not in the archive", err);
	}
	if (d->kind->effect == DIF_INJECT_BODY) {
		struct newest n = {d, live};
		dif_state_cuts(d->in.setup->state, RECENT_CUTS, on_cut, &n);
		return d->old != NULL || lacks(d, "no cut before the live one is known", err);
	}
	return true;
}

bool drill_prepare(struct dif_drills *d, struct dif_error *err)
{
	if (d->kind->notice == DIF_NOTICED_BY_REFUSAL) {
		return start_job(d, true, dif_traffic_wanted(d->in.traffic)->sha256, err);
	}
	return d->old == NULL || start_job(d, false, d->old->order.sha256, err);
}

/* --- the fault --- */

static void add_policy(struct dif_drills *d, const struct dif_instance *i)
{
	d->policies[d->fault.npolicies++] = dif_instance_policy(i);
}

static void gather(struct dif_drills *d)
{
	const struct dif_setup *s = d->in.setup;
	const struct dif_destination *t =
		d->target != DRILL_NOBODY ? &s->destinations[d->target] : NULL;
	uint32_t strikes = d->kind->strikes;
	if ((strikes & DIF_STRIKES_STORE) != 0) {
		add_policy(d, t->store);
	}
	for (uint32_t i = 0; (strikes & DIF_STRIKES_CDNS) != 0 && i < t->config->ncdns; i++) {
		add_policy(d, t->cdns[i]);
	}
	for (uint32_t i = 0; (strikes & DIF_STRIKES_STEERINGS) != 0 && i < s->config->nsteerings;
	     i++) {
		add_policy(d, s->steerings[i]);
	}
	for (uint32_t i = 0; (strikes & DIF_STRIKES_SOURCES) != 0 && i < s->config->nsources; i++) {
		add_policy(d, s->sources[i]);
	}
	if ((strikes & DIF_STRIKES_PUBLIC) != 0) {
		const char *scheme = strstr(t->config->public_url, "://");
		const char *host = scheme != NULL ? scheme + 3 : t->config->public_url;
		d->below = t->config->public_url;
		d->authority = strndup(host, strcspn(host, "/?#"));
		d->authorities[0] = d->authority;
		d->fault.nauthorities = d->authority != NULL;
	}
}

/* --- the state, full --- */

static void on_flushed(void *data, const struct dif_error *err)
{
	struct dif_drills *d = data;
	d->flushes--;
	if (err->cls != DIF_OK && !d->flushed_bad) {
		d->flushed_bad = true;
		(void)snprintf(d->flush_text, sizeof d->flush_text, "%.200s", err->text);
	}
	d->flushed_good = err->cls == DIF_OK && d->lifted_at != 0;
	drill_check_gone(d);
}

/* Something so large that it needs room, or its end. */
static void fill_state(struct dif_drills *d, bool full)
{
	struct dif_state *s = d->in.setup->state;
	char *padding = full ? malloc(PADDING + 1) : NULL;
	dif_state_full(s, full);
	if (padding != NULL) {
		memset(padding, '-', PADDING);
		padding[PADDING] = '\0';
	}
	if (padding != NULL || !full) {
		(void)dif_state_put_fact(s, "drill", "padding", padding);
	}
	free(padding);
	d->flushes++;
	dif_state_flush(s, on_flushed, d);
}

/* Something that makes the agent ask what is struck: it would at its next cut. */
static void provoke(struct dif_drills *d)
{
	static const struct dif_purge_item page = {
		.scope = DIF_PURGE_URLS, .passes = DIF_PASS_NOW, .text = ""};
	if (d->kind->notice == DIF_NOTICED_BY_STORE) {
		d->in.look(d->in.data);
	} else if (d->kind->notice == DIF_NOTICED_BY_STATE) {
		fill_state(d, true);
	} else if (d->kind->notice == DIF_NOTICED_BY_CLOCK) {
		struct dif_instance *store = d->in.setup->destinations[d->target].store;
		d->clock = dif_instance_clock(store);
		dif_instance_set_clock(store, d->clock - SKEW_S);
		d->in.look(d->in.data);
	} else if (d->kind->notice == DIF_NOTICED_BY_STEERING) {
		dif_traffic_steer(d->in.traffic);
	} else if (d->kind->notice == DIF_NOTICED_BY_PURGE) {
		const struct dif_destination *t = &d->in.setup->destinations[d->target];
		struct dif_purge_item item = page;
		size_t origin = 0;
		item.text = dif_purge_base(t->config->public_url, &origin);
		for (uint32_t i = 0; t->purger != NULL && i < t->config->ncdns; i++) {
			(void)dif_purger_owe_item(t->purger, i, &item);
		}
	}
}

void drill_set_fault(struct dif_drills *d)
{
	const struct dif_setup *s = d->in.setup;
	uint32_t room = 1 + DIF_CDNS_MAX + s->config->nsteerings + s->config->nsources;
	d->policies = calloc(room, sizeof *d->policies);
	d->injector = d->policies != NULL ? dif_injector_open(s->engine) : NULL;
	if (d->injector == NULL) {
		return; /* nothing is struck, and the criterion of detection fails */
	}
	d->fault =
		(struct dif_injection){.effect = d->kind->effect,
	                               .policies = d->policies,
	                               .authorities = d->authorities,
	                               .status = d->kind->status,
	                               .retry_after_s = d->kind->status == 429 ? RETRY_AFTER_S : 0,
	                               .delay_ms = (uint32_t)s->config->health.timeout * 2,
	                               .body = old_body,
	                               .data = d};
	gather(d);
	dif_injector_set(d->injector, &d->fault);
	provoke(d);
}

static void on_closed(void *data)
{
	struct dif_drills *d = data;
	d->injector = NULL;
	drill_check_gone(d);
}

void drill_lift_fault(struct dif_drills *d)
{
	d->record.struck = d->fault.struck;
	if (d->injector != NULL && !d->closed_injector) {
		d->closed_injector = true;
		dif_injector_lift(d->injector, &d->fault);
		dif_injector_close(d->injector, on_closed, d);
		if (d->kind->notice == DIF_NOTICED_BY_STATE) {
			fill_state(d, false);
		} else if (d->kind->notice == DIF_NOTICED_BY_CLOCK) {
			dif_instance_set_clock(d->in.setup->destinations[d->target].store,
			                       d->clock);
		}
	}
}

void drill_release(struct dif_drills *d)
{
	struct drill_job *j = d->job;
	if (j != NULL) {
		dif_inbox_leave(&j->box);
		dif_package_close(j->open);
		dif_arena_fini(&j->arena);
		free(j);
	}
	d->job = NULL;
	dif_manifest_unref(d->old);
	d->old = NULL;
	dif_buf_fini(&d->body);
	free(d->policies);
	d->policies = NULL;
	free(d->authority);
	d->authority = NULL;
	d->closed_injector = false;
}
