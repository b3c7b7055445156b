#include "flow/live.h"

#include <assert.h>
#include <stdlib.h>

#include "base/parse.h"
#include "flow/ingest.h"

#define CUTS_MAX 1000 /* looked at to find the live one: three nights */
#define ARENA_MAX (256u << 10)
#define ASK_MS 60000 /* for the marker: a store that is away is told within a minute */

struct dif_live_run {
	struct dif_setup *setup;
	struct dif_destination *to;
	void (*done)(void *data, const struct dif_live *live, const struct dif_error *err);
	void *data;
	bool with_package, canceled;
	struct dif_arena arena;
	struct dif_get marker;
	struct dif_op_run *op;
	struct dif_work work;
	struct dif_ingest *ingest;
	const char *cut, *file; /* SHA-256; its package in the archive */
	struct dif_live out;
	struct dif_error err;
};

static void end(struct dif_live_run *r)
{
	if (r->canceled && r->err.cls == DIF_OK) {
		dif_error_set(&r->err, DIF_CANCELED, "canceled");
	}
	r->done(r->data, &r->out, &r->err);
	dif_arena_fini(&r->arena);
	free(r);
}

static void fail(struct dif_live_run *r, const struct dif_error *err, const char *what)
{
	r->err = *err;
	dif_error_wrap(&r->err, "could not %s of destination '%s'", what, r->to->config->name);
	end(r);
}

static void fail_memory(struct dif_live_run *r)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT, "out of memory");
	fail(r, &err, "find the live cut");
}

/* --- 2. manifest --- */

static void on_ingested(void *data, struct dif_manifest *m, const struct dif_error *err)
{
	struct dif_live_run *r = data;
	r->ingest = NULL;
	if (m == NULL) {
		fail(r, err, "read the package");
		return;
	}
	m->order = r->out.should;
	memcpy(m->order.sha256, r->out.package->sha256, sizeof m->order.sha256);
	r->out.manifest = m;
	end(r);
}

static struct dif_live_run *run_of(struct dif_work *w)
{
	return (struct dif_live_run *)(void *)((char *)w - offsetof(struct dif_live_run, work));
}

static void on_open(struct dif_work *w)
{
	struct dif_live_run *r = run_of(w);
	r->out.package = dif_package_open(r->file, &r->setup->config->limits, &r->err);
}

static void on_opened(struct dif_work *w)
{
	static const struct dif_ingest_want want = {.gzip = true};
	struct dif_live_run *r = run_of(w);
	if (r->out.package == NULL) {
		struct dif_error err = r->err;
		fail(r, &err, "read the package");
		return;
	}
	if (r->out.manifest != NULL || r->canceled) {
		end(r);
		return;
	}
	r->ingest = dif_ingest_start(r->setup->engine, r->out.package, &want, NULL, on_ingested, r);
	if (r->ingest == NULL) {
		fail_memory(r);
	}
}

static void find_package(struct dif_live_run *r)
{
	struct dif_archive *archive = r->setup->archive;
	char *path = archive != NULL && dif_archive_has(archive, r->cut)
	                     ? dif_archive_path(archive, r->cut)
	                     : NULL;
	r->file = path != NULL ? dif_arena_str(&r->arena, path) : NULL;
	free(path);
	if (r->file != NULL) {
		dif_engine_work(r->setup->engine, &r->work, on_open, on_opened);
		return;
	}
	struct dif_error err = {0};
	dif_error_set(&err, DIF_NOT_FOUND, "%s",
	              r->out.manifest != NULL
	                      ? "the archive has no package of it"
	                      : "neither the state nor the archive has the cut that should be "
	                        "there");
	fail(r, &err, "find the live cut");
}

static void find_manifest(struct dif_live_run *r)
{
	struct dif_error ignored = {0}; /* the package is asked instead */
	if (r->setup->state != NULL) {
		r->out.manifest = dif_state_manifest(r->setup->state, r->cut, &ignored);
	}
	if (r->out.manifest != NULL && !r->with_package) {
		end(r);
	} else {
		find_package(r);
	}
}

/* --- 1. marker --- */

static void on_marker(void *data, const struct dif_outcome *out)
{
	struct dif_live_run *r = data;
	struct dif_error none = {0};
	struct dif_held h;
	r->op = NULL;
	if (r->canceled) {
		end(r);
		return;
	}
	if (out->err.cls == DIF_OK && dif_destination_read(&out->result.object, &h)) {
		dif_hex(r->out.shows, h.sha256, sizeof h.sha256);
	} else if (out->err.cls != DIF_OK && out->err.cls != DIF_NOT_FOUND) {
		fail(r, &out->err, "read the marker");
		return;
	}
	r->cut = r->out.should.sha256[0] != '\0' ? r->out.should.sha256 : r->out.shows;
	if (r->cut[0] == '\0') {
		dif_error_set(&none, DIF_NOT_FOUND, "no cut was published there yet");
		fail(r, &none, "find the live cut");
		return;
	}
	find_manifest(r);
}

static void on_cut(void *data, const struct dif_cut *c)
{
	struct dif_live_run *r = data;
	if (c->status == DIF_CUT_LIVE &&
	    (r->out.should.sha256[0] == '\0' || dif_order_compare(&c->order, &r->out.should) > 0)) {
		r->out.should = c->order;
	}
}

struct dif_live_run *dif_live_start(struct dif_setup *s, uint32_t destination, bool with_package,
                                    void (*done)(void *data, const struct dif_live *live,
                                                 const struct dif_error *err),
                                    void *data)
{
	struct dif_live_run *r = calloc(1, sizeof *r);
	assert(r != NULL && destination < s->config->ndestinations);
	r->setup = s;
	r->to = &s->destinations[destination];
	r->done = done;
	r->data = data;
	r->with_package = with_package;
	dif_arena_init(&r->arena, ARENA_MAX, false);
	if (s->state != NULL) {
		dif_state_cuts(s->state, CUTS_MAX, on_cut, r);
	}
	r->marker.key = dif_arena_fmt(&r->arena, "%s" DIF_MARKER, r->to->config->prefix);
	r->out.marker = r->marker.key;
	r->op = dif_op_start(r->to->store, DIF_HEAD, &r->marker, ASK_MS, on_marker, r);
	return r;
}

void dif_live_cancel(struct dif_live_run *r)
{
	r->canceled = true;
	if (r->op != NULL) {
		dif_op_cancel(r->op);
	} else if (r->ingest != NULL) {
		dif_ingest_cancel(r->ingest);
	}
}
