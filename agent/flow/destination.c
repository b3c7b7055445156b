#include "flow/destination.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/parse.h"
#include "flow/diff.h"
#include "host/crypto.h"

#define PRINT_MAX (1u << 20) /* the text of all classes */
#define LISTED "listed"

/* One held key with its strings in the same block. */
struct node {
	struct dif_held held;
	char text[];
};

void dif_destination_init(struct dif_destination *d, const struct dif_destination_config *config,
                          struct dif_instance *store)
{
	*d = (struct dif_destination){.config = config, .store = store};
	dif_map_init(&d->held);
	dif_list_init(&d->waiting);
}

void dif_destination_fini(struct dif_destination *d)
{
	dif_destination_forget(d, NULL);
	dif_map_fini(&d->held);
}

const struct dif_held *dif_destination_held(const struct dif_destination *d, const char *key)
{
	return dif_map_get(&d->held, key);
}

void dif_destination_forget(struct dif_destination *d, const char *key)
{
	if (key != NULL) {
		free(dif_map_remove(&d->held, key));
		return;
	}
	const char *name = NULL;
	void *value = NULL;
	for (size_t at = 0; dif_map_next(&d->held, &at, &name, &value);) {
		free(value);
	}
	dif_map_fini(&d->held);
	dif_map_init(&d->held);
	d->known = false;
}

const struct dif_held *dif_destination_keep(struct dif_destination *d, const struct dif_held *h)
{
	size_t key = strlen(h->key) + 1, tag = strlen(h->tag) + 1;
	struct node *n = malloc(sizeof *n + key + tag);
	if (n == NULL) {
		dif_destination_forget(d, h->key);
		return NULL;
	}
	n->held = *h;
	n->held.key = memcpy(n->text, h->key, key);
	n->held.tag = memcpy(n->text + key, h->tag, tag);
	/* The map keeps the key's address: the old pair goes first. */
	void *old = dif_map_remove(&d->held, n->held.key);
	bool kept = dif_map_put(&d->held, n->held.key, n);
	free(old);
	if (!kept) {
		free(n);
		return NULL;
	}
	return &n->held;
}

char *dif_destination_scope(const struct dif_destination *d)
{
	char *scope = NULL;
	return asprintf(&scope, "destination:%s", d->config->name) < 0 ? NULL : scope;
}

static void on_row(void *data, const struct dif_held *h)
{
	dif_destination_keep(data, h);
}

bool dif_destination_is_store(const struct dif_destination *d)
{
	const char *url = d->config->public_url;
	const char *at = url != NULL ? strstr(url, "://") : NULL;
	at = at != NULL ? at + 3 : url;
	size_t n = at != NULL ? strcspn(at, "/?#") : 0;
	for (const char *const *h = dif_instance_caps(d->store)->hosts; n > 0 && *h != NULL; h++) {
		if (strlen(*h) == n && strncmp(*h, at, n) == 0) {
			return true;
		}
	}
	return false;
}

void dif_destination_load(struct dif_destination *d, struct dif_state *state)
{
	if (d->waiting.next == NULL) {
		dif_list_init(&d->waiting);
	}
	if (d->loaded || state == NULL) {
		return;
	}
	struct dif_arena a;
	struct dif_delivery_record last = {0};
	char *scope = dif_destination_scope(d);
	dif_arena_init(&a, 1 << 16, false);
	if (scope != NULL && dif_state_fact(state, scope, LISTED, INT64_MAX, &a) != NULL) {
		dif_state_held(state, d->config->name, on_row, d);
		d->known = true;
	}
	if (dif_state_delivery(state, d->config->name, NULL, &last, &a)) {
		memcpy(d->last, last.sha256, sizeof d->last);
		d->last_whole = last.complete;
	}
	d->loaded = scope != NULL;
	dif_arena_fini(&a);
	free(scope);
}

static void doubt_key(struct dif_destination *d, struct dif_state *state,
                      const struct dif_want *want)
{
	const struct dif_held *h = dif_destination_held(d, want->key);
	if (dif_want_is_met(want, h, true)) {
		return;
	}
	struct dif_held now = h ? *h : (struct dif_held){.key = want->key, .tag = ""};
	now.unknown = true;
	h = dif_destination_keep(d, &now);
	if (h != NULL) {
		dif_state_put_held(state, d->config->name, h);
	}
}

static void drop_all(struct dif_destination *d, struct dif_state *state)
{
	char *scope = dif_destination_scope(d);
	dif_destination_forget(d, NULL);
	dif_state_drop_held(state, d->config->name, NULL);
	if (scope != NULL) {
		dif_state_put_fact(state, scope, LISTED, NULL);
	}
	free(scope);
}

void dif_destination_doubt(struct dif_destination *d, struct dif_state *state,
                           const struct dif_class_rule *classes, uint32_t nclasses,
                           const char *sha256)
{
	if (state == NULL || !d->known || d->last[0] == '\0' || d->last_whole ||
	    strcmp(d->last, sha256) == 0) {
		return;
	}
	struct dif_error err = {0};
	struct dif_wants wants;
	struct dif_manifest *m = dif_state_manifest(state, d->last, &err);
	bool usable =
		m != NULL &&
		dif_wants_init(&wants,
	                       &(struct dif_wants_from){.manifest = m,
	                                                .classes = classes,
	                                                .nclasses = nclasses,
	                                                .prefix = d->config->prefix,
	                                                .store_as = d->config->store_as,
	                                                .siblings = d->config->siblings != NULL});
	if (!usable) {
		dif_log(DIF_LOG_INFO, "delivery", "destination=%s unfinished=%.12s what=%s",
		        dif_q(d->config->name), d->last, dif_q("listing again"));
		drop_all(d, state);
	} else {
		for (uint32_t i = 0; i < wants.n; i++) {
			doubt_key(d, state, &wants.all[i]);
		}
		dif_wants_fini(&wants);
	}
	dif_manifest_unref(m);
}

bool dif_destination_has_doubt(const struct dif_destination *d)
{
	const char *key = NULL;
	void *value = NULL;
	for (size_t at = 0; dif_map_next(&d->held, &at, &key, &value);) {
		if (((const struct dif_held *)value)->unknown) {
			return true;
		}
	}
	return false;
}

static void print(struct dif_buf *b, const char *s)
{
	dif_buf_add(b, s ? s : "\1", s ? strlen(s) + 1 : 2);
}

void dif_destination_fingerprint(const struct dif_destination *d,
                                 const struct dif_class_rule *classes, uint32_t nclasses,
                                 char to[17])
{
	struct dif_buf b;
	uint8_t digest[DIF_DIGEST_MAX] = {0};
	dif_buf_init(&b, PRINT_MAX);
	print(&b, d->config->prefix);
	print(&b, d->config->store_as);
	print(&b, d->config->siblings);
	for (uint32_t i = 0; i < nclasses; i++) {
		for (const char *const *glob = classes[i].match; *glob != NULL; glob++) {
			print(&b, *glob);
		}
		print(&b, classes[i].cache_control);
		print(&b, classes[i].content_type);
		dif_buf_fmt(&b, "%u %u;", classes[i].phase, classes[i].store_as);
	}
	/* Without memory nothing is known to be equal: the print is that of nothing. */
	if (!b.failed) {
		dif_hash(DIF_SHA256, b.p, b.n, digest);
	}
	dif_hex(to, digest, 8);
	dif_buf_fini(&b);
}

const char *dif_destination_tag(const struct dif_destination *d, struct dif_arena *a,
                                const char *tag)
{
	size_t n = tag ? strlen(tag) : 0;
	if (!d->bare_tags || n < 2 || tag[0] != '"' || tag[n - 1] != '"') {
		return tag;
	}
	return dif_arena_fmt(a, "%.*s", (int)(n - 2), tag + 1);
}

static bool meta_int(const struct dif_object *o, const char *name, int64_t *out)
{
	const char *s = dif_meta_get(o->meta, o->nmeta, name);
	return s != NULL && dif_parse_int(s, 0, INT64_MAX, out);
}

bool dif_destination_read(const struct dif_object *o, struct dif_held *h)
{
	struct dif_held got = {.key = o->key, .tag = o->tag ? o->tag : ""};
	const char *sha = dif_meta_get(o->meta, o->nmeta, DIF_META_SHA256);
	const char *form = dif_meta_get(o->meta, o->nmeta, DIF_META_FORM);
	if (sha == NULL || !dif_parse_hex(sha, got.sha256, sizeof got.sha256) ||
	    !meta_int(o, DIF_META_EPOCH, &got.epoch) || !meta_int(o, DIF_META_ORDER, &got.number)) {
		return false;
	}
	bool gzip = (o->encoding != NULL && strcmp(o->encoding, "gzip") == 0) ||
	            (form != NULL && strcmp(form, "gzip") == 0);
	got.form = gzip ? DIF_GZIP : DIF_IDENTITY;
	got.headers = o->type ? dif_headers_crc(o->type, o->encoding, o->cache) : 0;
	*h = got;
	return true;
}

uint32_t dif_headers_crc(const char *type, const char *encoding, const char *cache)
{
	const char *const parts[] = {type, encoding, cache};
	uint32_t crc = 0;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
		const char *s = parts[i] ? parts[i] : "";
		crc = dif_crc32c(crc, s, strlen(s) + 1);
	}
	return crc == 0 ? 1 : crc;
}
