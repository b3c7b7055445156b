/* audit_edge - the live cut, then the other cuts' directories, then every URL. */
#include "flow/audit_edge.h"

#include <assert.h>
#include <stdlib.h>

#include "flow/live.h"

#define OTHERS_MAX 8  /* older ones are nowhere: an edge keeps things for seconds */
#define CUTS_MAX 1000 /* of the state, looked at for them */
#define WIDTH 16      /* GETs side by side: an edge serves thousands, a small mirror this */
#define TICK_MS 200

struct dif_audit_edge {
	struct dif_setup *setup;
	const struct dif_destination_config *to;
	void (*progress)(void *data, uint64_t checked, uint64_t of);
	void (*done)(void *data, const struct dif_edge_report *r);
	void *data;
	struct dif_manifest *manifest;
	struct dif_package *package;
	struct dif_work work;
	struct other {
		struct dif_order order;
		char *file; /* malloc'ed; its package in the archive */
		struct dif_manifest *manifest;
	} other[OTHERS_MAX];
	uint32_t nothers;
	struct dif_manifest *others[OTHERS_MAX]; /* those that could be read, the likeliest first */
	struct dif_edge *edge;
	struct dif_edge_report failed; /* where it did not come to the edge */
	uv_timer_t tick;
};

const char *dif_audit_edge_objection(const struct dif_destination_config *c)
{
	return c->public_url == NULL ? "public_url is not set"
	       : c->is_private       ? "it is private: readers must not get in"
	                             : NULL;
}

/* --- the end --- */

static void on_closed(uv_handle_t *h)
{
	struct dif_audit_edge *a = h->data;
	for (uint32_t i = 0; i < a->nothers; i++) {
		free(a->other[i].file);
		dif_manifest_unref(a->other[i].manifest);
	}
	dif_manifest_unref(a->manifest);
	dif_package_close(a->package);
	free(a);
}

/* The report is valid during the call alone, so what it was made of goes after it. */
static void end(struct dif_audit_edge *a, const struct dif_edge_report *r)
{
	a->done(a->data, r);
	uv_close((uv_handle_t *)&a->tick, on_closed);
}

static void fail(struct dif_audit_edge *a, const struct dif_error *err)
{
	a->failed.err = *err;
	end(a, &a->failed);
}

static void fail_memory(struct dif_audit_edge *a)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT,
	              "could not audit the edge of destination '%s': out of memory", a->to->name);
	fail(a, &err);
}

/* --- 3. every URL --- */

static void on_checked(void *data, const struct dif_edge_report *r)
{
	struct dif_audit_edge *a = data;
	a->edge = NULL;
	end(a, r);
}

static void check(struct dif_audit_edge *a)
{
	static const struct dif_edge_events events = {NULL, on_checked};
	uint32_t n = 0;
	for (uint32_t i = 0; i < a->nothers; i++) {
		if (a->other[i].manifest != NULL) {
			a->others[n++] = a->other[i].manifest;
		}
	}
	a->edge = dif_edge_start(&(struct dif_edge_job){.engine = a->setup->engine,
	                                                .destination = a->to,
	                                                .manifest = a->manifest,
	                                                .package = a->package,
	                                                .classes = a->setup->config->classes,
	                                                .nclasses = a->setup->config->nclasses,
	                                                .others = a->others,
	                                                .nothers = n,
	                                                .pick = DIF_EDGE_ALL,
	                                                .gzip = true,
	                                                .headers = true,
	                                                .width = WIDTH,
	                                                .findings_max = DIF_AUDIT_EDGE_FINDINGS},
	                         &events, a);
	if (a->edge == NULL) {
		fail_memory(a);
	}
}

/* --- 2. the other cuts --- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct dif_member *)a)->path, ((const struct dif_member *)b)->path);
}

/* What the directory of a package tells: names, sizes and CRC-32s. Any thread. */
static struct dif_manifest *read_directory(const struct other *o, const struct dif_limits *limits)
{
	struct dif_error ignored = {0}; /* an old package that is damaged tells nothing */
	struct dif_package *p = dif_package_open(o->file, limits, &ignored);
	struct dif_manifest *m = p != NULL ? dif_manifest_new() : NULL;
	if (m != NULL) {
		m->order = o->order;
		m->members = dif_arena_alloc(&m->arena, (p->n + 1) * sizeof *m->members);
		for (uint32_t i = 0; m->members != NULL && i < p->n; i++) {
			m->members[m->n++] = (struct dif_member){
				.path = dif_arena_str(&m->arena, p->entries[i].name),
				.size = p->entries[i].size,
				.crc = p->entries[i].crc};
		}
		qsort(m->members, m->n, sizeof *m->members, by_path);
	}
	dif_package_close(p);
	return m;
}

static struct dif_audit_edge *audit_of(struct dif_work *w)
{
	return (struct dif_audit_edge *)(void *)((char *)w - offsetof(struct dif_audit_edge, work));
}

static void on_read(struct dif_work *w)
{
	struct dif_audit_edge *a = audit_of(w);
	for (uint32_t i = 0; i < a->nothers && a->other[i].file != NULL; i++) {
		a->other[i].manifest = read_directory(&a->other[i], &a->setup->config->limits);
	}
}

static void on_others(struct dif_work *w)
{
	struct dif_audit_edge *a = audit_of(w);
	check(a);
}

/* The newest of them, in that order: what an edge has kept is most likely of the last ones. */
static void on_cut(void *data, const struct dif_cut *c)
{
	struct dif_audit_edge *a = data;
	struct dif_archive *archive = a->setup->archive;
	uint32_t at = a->nothers;
	if (c->status == DIF_CUT_REFUSED || !dif_archive_has(archive, c->order.sha256) ||
	    strcmp(c->order.sha256, a->manifest->order.sha256) == 0) {
		return;
	}
	while (at > 0 && dif_order_compare(&c->order, &a->other[at - 1].order) > 0) {
		at--;
	}
	if (at == OTHERS_MAX) {
		return;
	}
	if (a->nothers == OTHERS_MAX) {
		free(a->other[--a->nothers].file);
	}
	memmove(&a->other[at + 1], &a->other[at], (a->nothers - at) * sizeof *a->other);
	a->other[at] = (struct other){.order = c->order,
	                              .file = dif_archive_path(archive, c->order.sha256)};
	a->nothers++;
}

static void find_others(struct dif_audit_edge *a)
{
	struct dif_error ignored = {0}; /* then what is stale is told as altered */
	if (a->setup->archive != NULL && a->setup->state != NULL) {
		dif_state_cuts(a->setup->state, CUTS_MAX, on_cut, a);
	} else if (a->setup->archive != NULL) {
		(void)dif_archive_scan(a->setup->archive, on_cut, a, &ignored);
	}
	dif_engine_work(a->setup->engine, &a->work, on_read, on_others);
}

/* --- 1. the live cut --- */

static void on_live(void *data, const struct dif_live *live, const struct dif_error *err)
{
	struct dif_audit_edge *a = data;
	a->manifest = live->manifest;
	a->package = live->package;
	if (err->cls != DIF_OK) {
		fail(a, err);
	} else {
		find_others(a);
	}
}

static void on_tick(uv_timer_t *t)
{
	struct dif_audit_edge *a = t->data;
	if (a->progress != NULL && a->edge != NULL) {
		const struct dif_edge_report *r = dif_edge_so_far(a->edge);
		a->progress(a->data, r->checked, r->of);
	}
}

bool dif_audit_edge_start(struct dif_setup *s, uint32_t destination,
                          void (*progress)(void *data, uint64_t checked, uint64_t of),
                          void (*done)(void *data, const struct dif_edge_report *r), void *data)
{
	struct dif_audit_edge *a = calloc(1, sizeof *a);
	if (a == NULL) {
		return false;
	}
	a->setup = s;
	a->to = s->destinations[destination].config;
	assert(dif_audit_edge_objection(a->to) == NULL);
	a->progress = progress;
	a->done = done;
	a->data = data;
	uv_timer_init(&s->engine->loop, &a->tick);
	a->tick.data = a;
	uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
	dif_live_start(s, destination, true, on_live, a);
	return true;
}
