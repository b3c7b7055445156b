/* audit - the manifest, then every object, then what else is there.
 *
 *   1. marker     which cut does the store say it has, and is it the live one
 *   2. manifest   of the state; else the package of that cut is ingested again
 *   3. read       every wanted object, digested as stored: identity bytes against the entry's
 *                 SHA-256, a gzip form against the form's, which proves the same content
 *   4. list       what is ours and no cut names
 *
 * The gzip form is made of the package's own deflate bytes and digested at ingest, so equal bytes
 * need no second inflate to be equal content.
 */
#include "flow/audit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/parse.h"
#include "flow/diff.h"
#include "flow/live.h"
#include "flow/pages.h"
#include "host/crypto.h"

#define WIDTH 32 /* objects read side by side; the store's window decides how many really run */
#define FINDINGS_MAX 1000
#define LIST_ROWS 1000
#define ARENA_MAX (64u << 20)
#define TICK_MS 200
#define ASK_MS 60000 /* for a head or a page: a store that is away is told within a minute */

static const char *const names[] = {
	[DIF_MISSING] = "missing", [DIF_DIFFERS] = "differs",       [DIF_WRONG_HEADERS] = "headers",
	[DIF_SURPLUS] = "surplus", [DIF_UNREADABLE] = "unreadable", [DIF_STALE] = "stale",
};

const char *dif_finding_name(uint32_t what)
{
	return what < sizeof names / sizeof *names ? names[what] : "unknown";
}

struct reading {
	struct dif_link link;
	struct dif_audit *audit;
	struct dif_op_run *op;
	struct dif_sink sink;
	struct dif_get in;
	const struct dif_want *want; /* NULL: a listed key, whose metadata is asked */
	struct dif_hasher *hasher;
	uint64_t got;
};

struct dif_audit {
	struct dif_setup *setup;
	struct dif_destination *to;
	void (*finding)(void *data, const struct dif_finding *f);
	void (*progress)(void *data, uint64_t objects, uint64_t of);
	void (*done)(void *data, const struct dif_audit_counts *counts,
	             const struct dif_error *err);
	void *data;
	struct dif_arena arena;
	struct dif_live_run *live; /* NULL: it has told */
	struct dif_manifest *manifest;
	struct dif_wants wants;
	bool has_wants;
	struct dif_list list;
	struct dif_pages pages;
	struct dif_op_run *op; /* a page */
	struct dif_link readings;
	uint32_t running, next; /* of wants */
	const char **asks;      /* listed keys whose metadata the list did not tell */
	uint32_t nasks, room, asked;
	bool listing, listed, canceled, ended;
	uv_timer_t tick;
	struct dif_audit_counts counts;
	struct dif_error err;
};

static void go_on(struct dif_audit *a);

/* --- the end --- */

static void on_closed(uv_handle_t *h)
{
	struct dif_audit *a = h->data;
	a->done(a->data, &a->counts, &a->err);
	if (a->has_wants) {
		dif_wants_fini(&a->wants);
	}
	dif_manifest_unref(a->manifest);
	dif_pages_fini(&a->pages);
	dif_arena_fini(&a->arena);
	free(a);
}

static void end(struct dif_audit *a)
{
	assert(!a->ended && a->running == 0);
	a->ended = true;
	if (a->canceled && a->err.cls == DIF_OK) {
		dif_error_set(&a->err, DIF_CANCELED, "could not audit destination '%s': canceled",
		              a->to->config->name);
	}
	uv_close((uv_handle_t *)&a->tick, on_closed);
}

static void fail(struct dif_audit *a, const struct dif_error *err, const char *what)
{
	if (a->err.cls == DIF_OK) {
		a->err = *err;
		dif_error_wrap(&a->err, "could not %s of destination '%s'", what,
		               a->to->config->name);
	}
}

static void fail_memory(struct dif_audit *a)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT, "out of memory");
	fail(a, &err, "audit the store");
}

static bool is_over(const struct dif_audit *a)
{
	return a->canceled || a->err.cls != DIF_OK;
}

static void find(struct dif_audit *a, enum dif_finding_id what, const char *key, const char *tag,
                 const char *detail)
{
	struct dif_finding f = {.destination = a->to->config->name,
	                        .key = key,
	                        .tag = tag,
	                        .what = what,
	                        .detail = detail};
	if (++a->counts.findings <= FINDINGS_MAX) {
		a->finding(a->data, &f);
	}
}

/* --- 3. read --- */

static bool begin_sink(struct dif_sink *s, uint64_t offset, struct dif_error *err)
{
	struct reading *r = DIF_ENTRY(s, struct reading, sink);
	if (offset != 0) {
		dif_error_set(err, DIF_PERMANENT, "the store gave another range");
		return false;
	}
	dif_hasher_begin(r->hasher);
	r->got = 0;
	return true;
}

static bool write_sink(struct dif_sink *s, const void *p, size_t n, struct dif_error *err)
{
	struct reading *r = DIF_ENTRY(s, struct reading, sink);
	(void)err;
	dif_hasher_add(r->hasher, p, n);
	r->got += n;
	return true;
}

static const char *or_none(const char *s)
{
	return s != NULL && s[0] != '\0' ? s : "none";
}

static bool is_other(const char *told, const char *wanted)
{
	return told != NULL && strcmp(or_none(told), or_none(wanted)) != 0;
}

/* Only what the store tells can be wrong. */
static void judge_headers(struct dif_audit *a, const struct dif_want *w, const struct dif_object *o)
{
	const struct {
		const char *name, *told, *wanted;
	} all[] = {{"Content-Type", o->type, w->type},
	           {"Content-Encoding", o->encoding, w->encoding},
	           {"Cache-Control", o->cache, w->cache}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		if (is_other(all[i].told, all[i].wanted)) {
			char detail[512];
			snprintf(detail, sizeof detail, "%s is '%s', and should be '%s'",
			         all[i].name, or_none(all[i].told), or_none(all[i].wanted));
			find(a, DIF_WRONG_HEADERS, w->key, o->tag, detail);
			return;
		}
	}
}

static void judge(struct dif_audit *a, struct reading *r, const struct dif_object *o)
{
	uint8_t digest[DIF_DIGEST_MAX];
	char detail[512];
	const struct dif_form *f = &r->want->member->form[r->want->form];
	dif_hasher_end(r->hasher, digest);
	a->counts.objects++;
	a->counts.bytes += r->got;
	if (r->got != f->size) {
		snprintf(detail, sizeof detail,
		         "it has %" PRIu64 " bytes, and should have %" PRIu64, r->got, f->size);
		find(a, DIF_DIFFERS, r->want->key, o->tag, detail);
	} else if (memcmp(digest, f->sha256, sizeof f->sha256) != 0) {
		char hex[65];
		dif_hex(hex, digest, 32);
		snprintf(detail, sizeof detail, "its SHA-256 is %s", hex);
		find(a, DIF_DIFFERS, r->want->key, o->tag, detail);
	} else {
		judge_headers(a, r->want, o);
	}
}

static void free_reading(struct reading *r)
{
	dif_list_remove(&r->link);
	dif_hasher_free(r->hasher);
	free(r);
}

static void on_read(void *data, const struct dif_outcome *out)
{
	struct reading *r = data;
	struct dif_audit *a = r->audit;
	a->running--;
	if (is_over(a) || out->err.cls == DIF_CANCELED) {
		/* nothing to say any more */
	} else if (out->err.cls == DIF_OK) {
		judge(a, r, &out->result.object);
	} else if (out->err.cls == DIF_NOT_FOUND) {
		find(a, DIF_MISSING, r->want->key, NULL, "it is not there");
	} else {
		find(a, DIF_UNREADABLE, r->want->key, NULL, out->err.text);
	}
	free_reading(r);
	go_on(a);
}

static struct reading *new_reading(struct dif_audit *a, const char *key)
{
	struct reading *r = calloc(1, sizeof *r);
	if (r == NULL) {
		return NULL;
	}
	r->audit = a;
	r->in.key = key;
	dif_list_init(&r->link);
	dif_list_add(&a->readings, &r->link);
	return r;
}

static void read_object(struct dif_audit *a, const struct dif_want *w)
{
	struct reading *r = new_reading(a, w->key);
	if (r == NULL || (r->hasher = dif_hasher_new(DIF_SHA256)) == NULL) {
		if (r != NULL) {
			free_reading(r);
		}
		fail_memory(a);
		return;
	}
	r->want = w;
	r->sink = (struct dif_sink){.begin = begin_sink, .write = write_sink};
	r->in.sink = &r->sink;
	dif_hasher_begin(r->hasher); /* a body of nothing need not begin */
	a->running++;
	r->op = dif_op_start(a->to->store, DIF_GET, &r->in, 0, on_read, r);
}

/* --- 4. list --- */

/* Ours, and the cut does not name it. */
static void judge_surplus(struct dif_audit *a, const char *key)
{
	const struct dif_held *h = dif_destination_held(a->to, key);
	if (h != NULL && h->orphan_since != 0) {
		/* It goes at the next publish or run after its grace (design rule 13). */
		a->counts.due_later++;
	} else {
		find(a, DIF_SURPLUS, key, NULL, "it carries our metadata, and no cut names it");
	}
}

static void on_asked(void *data, const struct dif_outcome *out)
{
	struct reading *r = data;
	struct dif_audit *a = r->audit;
	struct dif_held h;
	a->running--;
	if (is_over(a) || out->err.cls == DIF_CANCELED || out->err.cls == DIF_NOT_FOUND) {
		/* nothing to say any more */
	} else if (out->err.cls != DIF_OK) {
		find(a, DIF_UNREADABLE, r->in.key, NULL, out->err.text);
	} else if (dif_destination_read(&out->result.object, &h)) {
		judge_surplus(a, r->in.key);
	} else {
		a->counts.foreign++;
	}
	free_reading(r);
	go_on(a);
}

static void ask(struct dif_audit *a, const char *key)
{
	struct reading *r = new_reading(a, key);
	if (r == NULL) {
		fail_memory(a);
		return;
	}
	a->running++;
	r->op = dif_op_start(a->to->store, DIF_HEAD, &r->in, ASK_MS, on_asked, r);
}

static void later(struct dif_audit *a, const char *key)
{
	if (a->nasks == a->room) {
		uint32_t room = a->room ? 2 * a->room : 256;
		const char **more = dif_arena_alloc(&a->arena, room * sizeof *more);
		if (more == NULL) {
			fail_memory(a);
			return;
		}
		if (a->nasks > 0) {
			memcpy(more, a->asks, a->nasks * sizeof *more);
		}
		a->asks = more;
		a->room = room;
	}
	a->asks[a->nasks++] = dif_arena_str(&a->arena, key);
}

static void on_row(struct dif_audit *a, const struct dif_object *o)
{
	struct dif_held h;
	const char *prefix = a->to->config->prefix;
	size_t n = strlen(prefix);
	if (strncmp(o->key, prefix, n) != 0 || strncmp(o->key + n, ".difusor/", 9) == 0 ||
	    dif_map_get(&a->wants.by_key, o->key) != NULL) {
		return;
	}
	if (!o->meta_known) {
		later(a, o->key);
	} else if (dif_destination_read(o, &h)) {
		judge_surplus(a, o->key);
	} else {
		a->counts.foreign++;
	}
}

static void list(struct dif_audit *a);

static void on_page(void *data, const struct dif_outcome *out)
{
	struct dif_audit *a = data;
	a->op = NULL;
	a->running--;
	if (out->err.cls != DIF_OK && out->err.cls != DIF_CANCELED) {
		fail(a, &out->err, "list the store");
	}
	for (uint32_t i = 0; i < out->nrows && !is_over(a); i++) {
		on_row(a, &out->rows[i]);
	}
	struct dif_error err = {0};
	uint32_t most = dif_pages_most(a->setup->config->limits.entries, a->list.max);
	if (!is_over(a) && !dif_pages_turn(&a->pages, out->result.cursor, most, &err)) {
		fail(a, &err, "list the store");
	}
	if (!is_over(a) && a->pages.cursor != NULL) {
		list(a);
	} else {
		a->listed = true;
	}
	go_on(a);
}

static void list(struct dif_audit *a)
{
	uint32_t most = dif_instance_caps(a->to->store)->list_max;
	a->list = (struct dif_list){.prefix = a->to->config->prefix,
	                            .cursor = a->pages.cursor,
	                            .max = most && most < LIST_ROWS ? most : LIST_ROWS,
	                            .want_meta = 1};
	a->running++;
	a->op = dif_op_start(a->to->store, DIF_LIST, &a->list, ASK_MS, on_page, a);
}

static void go_on(struct dif_audit *a)
{
	while (!is_over(a) && a->running < WIDTH && a->next < a->wants.n) {
		read_object(a, &a->wants.all[a->next++]);
	}
	if (!is_over(a) && a->next == a->wants.n && !a->listing) {
		a->listing = true;
		list(a);
	}
	while (!is_over(a) && a->listed && a->running < WIDTH && a->asked < a->nasks) {
		ask(a, a->asks[a->asked++]);
	}
	if (a->running == 0 && !a->ended) {
		end(a);
	}
}

/* --- 1. and 2. marker and manifest --- */

static void judge_marker(struct dif_audit *a, const struct dif_live *live)
{
	char detail[256];
	if (live->should.sha256[0] == '\0' || strcmp(live->shows, live->should.sha256) == 0) {
		return;
	}
	if (live->shows[0] == '\0') {
		find(a, DIF_STALE, live->marker, NULL, "there is no marker of ours");
		return;
	}
	snprintf(detail, sizeof detail, "it shows cut %.12s, and live is %.12s", live->shows,
	         live->should.sha256);
	find(a, DIF_STALE, live->marker, NULL, detail);
}

static void on_live(void *data, const struct dif_live *live, const struct dif_error *err)
{
	struct dif_audit *a = data;
	const struct dif_destination_config *c = a->to->config;
	const struct dif_config *config = a->setup->config;
	a->live = NULL;
	dif_package_close(live->package);
	a->manifest = live->manifest;
	if (err->cls != DIF_OK || a->canceled) {
		a->err = a->canceled ? a->err : *err;
		end(a);
		return;
	}
	judge_marker(a, live);
	a->has_wants = dif_wants_init(&a->wants,
	                              &(struct dif_wants_from){.manifest = a->manifest,
	                                                       .classes = config->classes,
	                                                       .nclasses = config->nclasses,
	                                                       .prefix = c->prefix,
	                                                       .store_as = c->store_as,
	                                                       .siblings = c->siblings != NULL});
	if (!a->has_wants) {
		fail_memory(a);
	}
	go_on(a);
}

/* --- the door --- */

static void on_tick(uv_timer_t *t)
{
	struct dif_audit *a = t->data;
	if (a->progress != NULL && a->has_wants && !a->ended) {
		a->progress(a->data, a->counts.objects, a->wants.n);
	}
}

struct dif_audit *dif_audit_start(struct dif_setup *s, uint32_t destination,
                                  void (*finding)(void *data, const struct dif_finding *f),
                                  void (*progress)(void *data, uint64_t objects, uint64_t of),
                                  void (*done)(void *data, const struct dif_audit_counts *counts,
                                               const struct dif_error *err),
                                  void *data)
{
	struct dif_audit *a = calloc(1, sizeof *a);
	assert(a != NULL && destination < s->config->ndestinations);
	a->setup = s;
	a->to = &s->destinations[destination];
	a->finding = finding;
	a->progress = progress;
	a->done = done;
	a->data = data;
	dif_list_init(&a->readings);
	dif_arena_init(&a->arena, ARENA_MAX, false);
	uv_timer_init(&s->engine->loop, &a->tick);
	a->tick.data = a;
	uv_timer_start(&a->tick, on_tick, TICK_MS, TICK_MS);
	dif_destination_load(a->to, s->state);
	a->live = dif_live_start(s, destination, false, on_live, a);
	return a;
}

void dif_audit_cancel(struct dif_audit *a)
{
	a->canceled = true;
	if (a->op != NULL) {
		dif_op_cancel(a->op);
	}
	for (struct dif_link *at = a->readings.next; at != &a->readings; at = at->next) {
		dif_op_cancel(DIF_ENTRY(at, struct reading, link)->op);
	}
	if (a->live != NULL) {
		dif_live_cancel(a->live);
	}
}
