/* store - see the header. */
#include "tests/plugin/support/store.h"

#include "base/parse.h"
#include "flow/blob.h"
#include "host/crypto.h"
#include "host/loader.h"

#define DEADLINE_MS 30000
#define BODY_MAX (64u << 20)

/* Libraries are never unloaded, so one loader serves every store of a test program. */
static struct dif_loader loader;

/* Of the section's first word. */
static enum dif_kind kind_of(const char *section)
{
	static const struct {
		const char *word;
		enum dif_kind kind;
	} kinds[] = {{"cdn ", DIF_CDN}, {"steering ", DIF_STEER}, {"lease ", DIF_LEASE}};
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		if (strncmp(section, kinds[k].word, strlen(kinds[k].word)) == 0) {
			return kinds[k].kind;
		}
	}
	return DIF_STORE;
}

static const struct dif_offer *offer_of(enum dif_kind kind, const char *plugin)
{
	const char *folder = getenv("PLUGINS_D");
	char path[4096];
	struct dif_error err;
	const struct dif_loaded *from = NULL;
	assert_non_null(folder);
	const struct dif_offer *o = dif_loader_find(&loader, kind, plugin, &from);
	if (o != NULL) {
		return o;
	}
	if (loader.all == NULL) {
		dif_loader_init(&loader);
	}
	(void)snprintf(path, sizeof path, "%s/%s.so", folder, plugin);
	if (!dif_loader_add(&loader, path, &err)) {
		fail_msg("%s", err.text);
	}
	for (const struct dif_loaded *l = loader.all; l != NULL; l = l->next) {
		if (!l->ok) {
			fail_msg("%s: %s", l->file, l->reason);
		}
	}
	o = dif_loader_find(&loader, kind, plugin, &from);
	assert_non_null(o);
	return o;
}

static struct dif_ini_entry *configuration(struct store *st, const char *ini, const char **plugin)
{
	struct dif_ini_entry *list = NULL;
	struct dif_error err;
	*plugin = NULL;
	if (!dif_ini_parse(&st->arena, "test.ini", (struct dif_bytes){ini, strlen(ini)}, &list,
	                   &err)) {
		fail_msg("%s", err.text);
	}
	for (struct dif_ini_entry *e = list; e != NULL; e = e->next) {
		e->secret_ok = true;
		if (e->key != NULL && strcmp(e->key, "plugin") == 0) {
			e->used = true;
			*plugin = e->value;
		}
	}
	assert_non_null(*plugin);
	return list;
}

static void forget_body(struct store *st)
{
	dif_buf_fini(&st->out.body);
}

struct store *store_open(const char *ini, struct dif_error *err)
{
	struct dif_error why;
	const char *plugin = NULL;
	struct store *st = calloc(1, sizeof *st);
	assert_non_null(st);
	st->deadline_ms = DEADLINE_MS;
	dif_arena_init(&st->arena, 256u << 20, false);
	st->engine = dif_engine_new(&why);
	assert_non_null(st->engine);
	struct dif_ini_entry *list = configuration(st, ini, &plugin);
	dif_error_clear(&why);
	const struct dif_offer *offer = offer_of(kind_of(list->section), plugin);
	st->instance = dif_instance_open(st->engine, offer, list, list->section, &why);
	if (st->instance != NULL) {
		return st;
	}
	if (err == NULL) {
		fail_msg("%s", why.text);
	} else {
		*err = why;
	}
	store_close(st);
	return NULL;
}

static void on_closed(void *data)
{
	*(bool *)data = true;
}

void store_close(struct store *st)
{
	if (st->instance != NULL) {
		bool closed = false;
		dif_instance_close(st->instance, on_closed, &closed);
		while (!closed) {
			assert_true(uv_run(&st->engine->loop, UV_RUN_ONCE) != 0 || closed);
		}
	}
	dif_engine_free(st->engine);
	forget_body(st);
	dif_arena_fini(&st->arena);
	free(st);
}

/* --- copies: an outcome lives only during its callback --- */

static struct dif_object copy_object(struct dif_arena *a, const struct dif_object *o)
{
	struct dif_object c = *o;
	c.key = dif_arena_str(a, o->key);
	c.tag = dif_arena_str(a, o->tag);
	c.type = dif_arena_str(a, o->type);
	c.encoding = dif_arena_str(a, o->encoding);
	c.cache = dif_arena_str(a, o->cache);
	for (uint32_t d = 0; d < DIF_DIGEST_SLOTS; d++) {
		if ((o->has & DIF_HAS(d)) != 0) {
			c.digest[d].p = dif_arena_copy(a, o->digest[d].p, o->digest[d].n);
		}
	}
	struct dif_field *meta = dif_arena_alloc(a, (o->nmeta + 1) * sizeof *meta);
	assert_non_null(meta);
	for (uint32_t i = 0; i < o->nmeta; i++) {
		meta[i].name = dif_arena_str(a, o->meta[i].name);
		meta[i].value = dif_arena_str(a, o->meta[i].value);
	}
	c.meta = meta;
	return c;
}

static const struct dif_target *copy_targets(struct dif_arena *a, const struct dif_outcome *out)
{
	struct dif_target *to = dif_arena_alloc(a, (out->ntargets + 1) * sizeof *to);
	assert_non_null(to);
	for (uint32_t i = 0; i < out->ntargets; i++) {
		to[i] = out->targets[i];
		to[i].name = dif_arena_str(a, out->targets[i].name);
		to[i].value = dif_arena_str(a, out->targets[i].value);
	}
	return to;
}

static void copy_result(struct store_out *to, struct dif_arena *a, const struct dif_result *r)
{
	to->object = copy_object(a, &r->object);
	to->not_modified = r->not_modified != 0;
	to->cursor = dif_arena_str(a, r->cursor);
	to->total = r->total;
	to->upload = dif_arena_str(a, r->upload);
	to->token = dif_arena_str(a, r->token);
	to->accepted = r->accepted;
	to->ticket = dif_arena_str(a, r->ticket);
	to->settled = r->settled != 0;
	to->wait_ms = r->wait_ms;
	to->tag = dif_arena_str(a, r->tag);
	to->lease = dif_arena_str(a, r->lease);
	to->holder = dif_arena_str(a, r->holder);
	to->fence = r->fence;
	to->ttl_s = r->ttl_s;
}

static void on_end(void *data, const struct dif_outcome *out)
{
	struct store *st = data;
	struct store_out *to = &st->out;
	struct dif_arena *a = &st->arena;
	assert_false(st->ended); /* exactly once */
	st->ended = true;
	st->run = NULL;
	to->err = out->err;
	to->unknown = out->unknown;
	to->attempts = out->attempts;
	if (out->err.cls == DIF_OK) {
		copy_result(to, a, &out->result);
	}
	struct dif_object *rows = dif_arena_alloc(a, (out->nrows + 1) * sizeof *rows);
	struct dif_item *items = dif_arena_alloc(a, (out->nitems + 1) * sizeof *items);
	assert_non_null(rows);
	assert_non_null(items);
	for (uint32_t i = 0; i < out->nrows; i++) {
		rows[i] = copy_object(a, &out->rows[i]);
	}
	for (uint32_t i = 0; i < out->nitems; i++) {
		items[i] = out->items[i];
		items[i].code = dif_arena_str(a, out->items[i].code);
		items[i].what = dif_arena_str(a, out->items[i].what);
	}
	to->rows = rows;
	to->nrows = out->nrows;
	to->items = items;
	to->nitems = out->nitems;
	to->targets = copy_targets(a, out);
	to->ntargets = out->ntargets;
}

const struct store_out *store_verb(struct store *st, enum dif_verb_id verb, const void *in)
{
	forget_body(st);
	st->out = (struct store_out){0};
	dif_buf_init(&st->out.body, BODY_MAX);
	st->ended = false;
	st->run = dif_op_start(st->instance, verb, in, st->deadline_ms, on_end, st);
	assert_false(st->ended); /* never before it returns */
	while (!st->ended) {
		(void)uv_run(&st->engine->loop, UV_RUN_ONCE);
	}
	return &st->out;
}

const struct store_out *store_probe(struct store *st)
{
	return store_verb(st, DIF_PROBE, NULL);
}

const struct store_out *store_list(struct store *st, const struct dif_list *in)
{
	return store_verb(st, DIF_LIST, in);
}

const struct store_out *store_head(struct store *st, const struct dif_get *in)
{
	return store_verb(st, DIF_HEAD, in);
}

const struct store_out *store_get(struct store *st, const struct dif_get *in)
{
	struct dif_get with = *in;
	struct dif_sink_buf sink;
	dif_sink_buf_init(&sink, &st->out.body);
	if (with.sink == NULL) {
		with.sink = &sink.sink;
	}
	return store_verb(st, DIF_GET, &with);
}

const struct store_out *store_put(struct store *st, const struct dif_put *in)
{
	return store_verb(st, DIF_PUT, in);
}

const struct store_out *store_remove(struct store *st, const struct dif_remove *in)
{
	return store_verb(st, DIF_REMOVE, in);
}

const struct store_out *store_part(struct store *st, enum dif_verb_id verb,
                                   const struct dif_part *in)
{
	return store_verb(st, verb, in);
}

/* --- blobs and metadata --- */

const struct dif_blob *store_blob(struct store_blob *b, const void *p, size_t n)
{
	static const enum dif_digest wanted[] = {DIF_MD5, DIF_SHA256, DIF_CRC32C, DIF_CRC32};
	*b = (struct store_blob){.blob = {.size = n}};
	dif_body_bytes_init(&b->body, p, n);
	b->blob.host = (uint64_t)(uintptr_t)&b->body.body;
	for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
		enum dif_digest d = wanted[i];
		assert_true(dif_blob_hash(d, p, n, b->digest[d]));
		b->blob.has |= DIF_HAS(d);
		b->blob.digest[d] = (struct dif_bytes){b->digest[d], dif_digest_size(d)};
	}
	return &b->blob;
}

const char *store_meta(const struct dif_object *o, const char *name)
{
	return dif_meta_get(o->meta, o->nmeta, name);
}
