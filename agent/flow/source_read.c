/* source_read - what a source asks of its instance: the newest package, its side-car, its bytes. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "flow/source_private.h"

#define ASK_MS 60000   /* for a head, a side-car or a page of a list, over all attempts */
#define PAGES_MAX 200u /* 200,000 objects below a prefix are no folder of packages */

void found_clear(struct found *f)
{
	free(f->key);
	free(f->tag);
	*f = (struct found){0};
}

bool found_set(struct found *to, const char *key, const char *tag, uint64_t size, int64_t modified)
{
	struct found f = {.key = strdup(key != NULL ? key : ""),
	                  .tag = strdup(tag != NULL ? tag : ""),
	                  .size = size,
	                  .modified = modified};
	found_clear(to);
	if (f.key == NULL || f.tag == NULL) {
		found_clear(&f);
		return false;
	}
	*to = f;
	return true;
}

bool found_is(const struct found *a, const struct found *b)
{
	return a->key != NULL && b->key != NULL && *a->tag != '\0' && strcmp(a->key, b->key) == 0 &&
	       strcmp(a->tag, b->tag) == 0;
}

/* The op has ended; true: go on. Otherwise the source may be gone. */
static bool ended(struct dif_source *s)
{
	bool go_on = !s->closing;
	s->op = NULL;
	s->fetch = NULL;
	dif_release(&s->open);
	return go_on;
}

static void start(struct dif_source *s, enum dif_verb_id verb, const void *in, dif_op_cb *cb)
{
	assert(s->op == NULL && s->fetch == NULL);
	dif_hold(&s->open);
	s->op = dif_op_start(s->instance, verb, in, ASK_MS, cb, s);
}

static const struct dif_error no_memory = {
	.cls = DIF_TRANSIENT, .retry_after = -1, .text = "out of memory"};

/* --- look --- */

static void on_head(void *data, const struct dif_outcome *o)
{
	struct dif_source *s = data;
	const struct dif_object *f = &o->result.object;
	if (!ended(s)) {
		return;
	}
	if (o->err.cls != DIF_OK) {
		s->then(s, &o->err);
	} else if (o->result.not_modified) {
		s->then(s, NULL);
	} else {
		bool ok = found_set(&s->now, f->key, f->tag, f->size, f->modified);
		s->then(s, ok ? NULL : &no_memory);
	}
}

static bool is_package(const struct dif_source *s, const char *key)
{
	const char *slash = strrchr(key, '/');
	const char *name = slash != NULL ? slash + 1 : key;
	size_t n = strlen(name);
	return s->by_plugin || (n > 4 && *name != '.' && strcasecmp(name + n - 4, ".zip") == 0);
}

int found_compare(const struct found *a, const struct found *b)
{
	if (a->modified != b->modified && a->modified != 0 && b->modified != 0) {
		return a->modified < b->modified ? -1 : 1;
	}
	int c = strcmp(a->key, b->key);
	return c < 0 ? -1 : c > 0;
}

/* Is it newer than what was taken? */
static bool is_candidate(const struct dif_source *s, const struct found *f)
{
	const struct found *t = &s->taken, *p = &s->passed;
	bool replaced = t->key != NULL && strcmp(t->key, f->key) == 0 && !found_is(t, f);
	if (t->key != NULL && !replaced && found_compare(f, t) <= 0) {
		return false;
	}
	return p->key == NULL || found_compare(f, p) > 0;
}

/* The name that was taken, without a tag: whether it was replaced has to be asked, where nothing
 * else is newer. */
static bool is_perhaps(const struct dif_source *s, const struct found *f)
{
	return s->taken.key != NULL && *f->tag == '\0' && strcmp(s->taken.key, f->key) == 0;
}

/* Keeps the oldest of the candidates, the newest of all where nothing was taken yet. */
static bool consider(struct dif_source *s, const struct dif_object *o)
{
	static char none[] = "";
	struct found f = {.key = (char *)(uintptr_t)o->key, /* only read */
	                  .tag = o->tag != NULL ? (char *)(uintptr_t)o->tag : none,
	                  .size = o->size,
	                  .modified = o->modified};
	bool first = s->now.key == NULL || is_perhaps(s, &s->now);
	bool oldest = s->taken.key != NULL; /* is what counts */
	if (!is_package(s, f.key) || !is_candidate(s, &f) ||
	    (is_perhaps(s, &f) && s->now.key != NULL)) {
		return true;
	}
	s->more = s->more || (oldest && !first);
	if (!first && (found_compare(&f, &s->now) < 0) != oldest) {
		return true;
	}
	return found_set(&s->now, f.key, f.tag, f.size, f.modified);
}

static void list_page(struct dif_source *s);

/* A list of mere names (an index page) tells no tag: the package itself does. */
static void on_listed(struct dif_source *s)
{
	if (s->now.key == NULL || *s->now.tag != '\0' || !s->by_plugin) {
		s->then(s, NULL);
		return;
	}
	s->get = (struct dif_get){.key = s->now.key, .at = s->at};
	start(s, DIF_HEAD, &s->get, on_head);
}

static void on_list(void *data, const struct dif_outcome *o)
{
	struct dif_source *s = data;
	bool ok = true;
	if (!ended(s)) {
		return;
	}
	if (o->err.cls != DIF_OK) {
		s->then(s, &o->err);
		return;
	}
	for (uint32_t i = 0; i < o->nrows && ok; i++) {
		ok = consider(s, &o->rows[i]);
	}
	free(s->cursor);
	s->cursor = o->result.cursor != NULL ? strdup(o->result.cursor) : NULL;
	if (!ok || (o->result.cursor != NULL && s->cursor == NULL)) {
		s->then(s, &no_memory);
	} else if (s->cursor == NULL) {
		on_listed(s);
	} else if (++s->pages == PAGES_MAX) {
		struct dif_error err;
		dif_error_set(
			&err, DIF_PERMANENT,
			"there are too many objects; set prefix to the folder of the packages");
		s->then(s, &err);
	} else {
		list_page(s);
	}
}

static void list_page(struct dif_source *s)
{
	s->list = (struct dif_list){.prefix = s->config->prefix != NULL ? s->config->prefix : "",
	                            .cursor = s->cursor,
	                            .max = dif_instance_caps(s->instance)->list_max};
	start(s, DIF_LIST, &s->list, on_list);
}

void source_look(struct dif_source *s, source_then *then)
{
	s->then = then;
	found_clear(&s->now);
	s->more = false;
	s->at = dif_wall_ms() / 1000;
	if (!s->one_address) {
		free(s->cursor);
		s->cursor = NULL;
		s->pages = 0;
		list_page(s);
		return;
	}
	s->get = (struct dif_get){.key = "", .at = s->at};
	/* what was refused may get another side-car, so the answer must not be "as before" */
	if (s->refused.key == NULL && s->taken.key != NULL && *s->taken.tag != '\0') {
		s->get.unless_tag = s->taken.tag;
	}
	start(s, DIF_HEAD, &s->get, on_head);
}

/* --- check --- */

static void on_checked(void *data, const struct dif_outcome *o)
{
	struct dif_source *s = data;
	struct dif_error err;
	if (!ended(s)) {
		return;
	}
	const char *tag = o->result.object.tag;
	if (o->err.cls != DIF_OK) {
		s->then(s, &o->err);
	} else if (tag == NULL || strcmp(tag, s->now.tag) != 0) {
		dif_error_set(&err, DIF_CONFLICT, "it was replaced while it was read");
		s->then(s, &err);
	} else {
		s->then(s, NULL);
	}
}

void source_check(struct dif_source *s, source_then *then)
{
	s->then = then;
	s->get = (struct dif_get){.key = s->now.key, .at = s->at};
	start(s, DIF_HEAD, &s->get, on_checked);
}

/* --- the side-car --- */

static void on_side(void *data, const struct dif_outcome *o)
{
	struct dif_source *s = data;
	if (ended(s)) {
		s->then(s, o->err.cls == DIF_OK ? NULL : &o->err);
	}
}

void source_read_side(struct dif_source *s, source_then *then)
{
	s->then = then;
	dif_buf_fini(&s->side);
	dif_sink_buf_init(&s->side_sink, &s->side);
	s->get = (struct dif_get){.key = s->side_key, .sink = &s->side_sink.sink, .at = s->at};
	start(s, DIF_GET, &s->get, on_side);
}

/* --- the bytes --- */

static void on_fetched(void *data, const struct dif_fetched *f)
{
	struct dif_source *s = data;
	s->got = *f;
	if (ended(s)) {
		s->then(s, f->err.cls == DIF_OK ? NULL : &s->got.err);
	}
}

void source_fetch(struct dif_source *s, const char *path, uint64_t resume, source_then *then)
{
	struct dif_error err;
	struct dif_fetch_job job = {.engine = s->setup->engine,
	                            .from = s->instance,
	                            .key = s->now.key,
	                            .tag = s->now.tag,
	                            .size = s->now.size,
	                            .max = (uint64_t)s->setup->config->limits.package,
	                            .at = s->at,
	                            .path = path,
	                            .deadline_ms = s->config->timeout,
	                            .resume = resume,
	                            .whole = s->whole};
	s->then = then;
	dif_hold(&s->open);
	s->fetch = dif_fetch_start(&job, on_fetched, s, &err);
	if (s->fetch == NULL) {
		dif_release(&s->open);
		then(s, &err);
	}
}
