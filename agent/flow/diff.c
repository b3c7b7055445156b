#include "flow/diff.h"

#include "flow/destination.h"

#define WANTS_MAX (256u << 20) /* 200,000 keys of 1 KiB with their rows */
#define PLAN_MAX (16u << 20)   /* pointers to so many */

static bool has_gzip(const struct dif_member *m)
{
	return m->method == 8 && m->form[DIF_GZIP].has != 0;
}

static void finish(struct dif_want *w)
{
	w->encoding = w->form == DIF_GZIP && !w->sibling ? "gzip" : NULL;
	w->headers = dif_headers_crc(w->type, w->encoding, w->cache);
	w->size = w->member->form[w->form].size;
}

static bool add(struct dif_wants *w, const struct dif_want *want)
{
	w->all[w->n] = *want;
	finish(&w->all[w->n]);
	return dif_map_put(&w->by_key, want->key, &w->all[w->n++]);
}

static bool add_member(struct dif_wants *w, const struct dif_wants_from *from,
                       const struct dif_member *m)
{
	const struct dif_class_rule *rule = dif_class_of(from->classes, from->nclasses, m->path);
	struct dif_want want = {.member = m,
	                        .phase = rule->phase,
	                        .cache = rule->cache_control,
	                        .type = rule->content_type ? rule->content_type
	                                                   : dif_class_type(m->path),
	                        .root = strcmp(m->path, "index.html") == 0};
	bool gzip =
		from->store_as ? strcmp(from->store_as, "gzip") == 0 : rule->store_as == DIF_GZIP;
	/* A plain GET of an entry page must find its base tag (design rule 9). */
	want.form = gzip && has_gzip(m) && rule->phase != DIF_ENTRY && !want.root ? DIF_GZIP
	                                                                          : DIF_IDENTITY;
	if (want.root) {
		want.phase = DIF_ENTRY;
	}
	want.key = from->prefix[0] == '\0'
	                   ? m->path
	                   : dif_arena_fmt(&w->arena, "%s%s", from->prefix, m->path);
	if (from->siblings && has_gzip(m) && m->size > DIF_SIBLING_MIN &&
	    dif_class_is_text(want.type)) {
		struct dif_want twin = want;
		const char *path = dif_arena_fmt(&w->arena, "%s.gz", m->path);
		twin.sibling = true;
		twin.root = false;
		twin.form = DIF_GZIP;
		twin.type = "application/gzip";
		twin.key = dif_arena_fmt(&w->arena, "%s%s", from->prefix, path);
		if (dif_manifest_find(from->manifest, path) == NULL && !add(w, &twin)) {
			return false;
		}
	}
	return add(w, &want) && !w->arena.failed;
}

bool dif_wants_init(struct dif_wants *w, const struct dif_wants_from *from)
{
	*w = (struct dif_wants){0};
	dif_arena_init(&w->arena, WANTS_MAX, false);
	dif_map_init(&w->by_key);
	size_t room = (size_t)from->manifest->n * (from->siblings ? 2 : 1) + 1;
	w->all = dif_arena_alloc(&w->arena, room * sizeof *w->all);
	if (w->all == NULL) {
		goto fail;
	}
	for (uint32_t i = 0; i < from->manifest->n; i++) {
		if (!add_member(w, from, &from->manifest->members[i])) {
			goto fail;
		}
	}
	return true;

fail:
	dif_wants_fini(w);
	return false;
}

void dif_wants_fini(struct dif_wants *w)
{
	dif_map_fini(&w->by_key);
	dif_arena_fini(&w->arena);
	*w = (struct dif_wants){0};
}

bool dif_want_is_met(const struct dif_want *w, const struct dif_held *h, bool keeps_headers)
{
	if (h == NULL || h->unknown || h->tag[0] == '\0' || h->form != w->form ||
	    memcmp(h->sha256, w->member->form[DIF_IDENTITY].sha256, sizeof h->sha256) != 0) {
		return false;
	}
	return h->headers == w->headers || (h->headers == 0 && !keeps_headers);
}

static uint32_t phase_of(const struct dif_want *w, bool is_new)
{
	switch (w->phase) {
	case DIF_AGGREGATE:
		return DIF_PUT_AGGREGATE;
	case DIF_ENTRY:
		return DIF_PUT_ENTRY;
	default:
		return is_new ? DIF_PUT_NEW : DIF_PUT_CHANGED;
	}
}

/* Sorts by counting, so that the order within a phase stays; the root's page goes last. */
static void arrange(struct dif_plan *p, struct dif_want **list, const uint8_t *phase, uint32_t n)
{
	uint32_t at = 0;
	struct dif_want *root = NULL;
	for (uint32_t f = 0; f < DIF_PUT_PHASES; f++) {
		p->first[f] = at;
		for (uint32_t i = 0; i < n; i++) {
			if (phase[i] == f && list[i]->root) {
				root = list[i];
			} else if (phase[i] == f) {
				p->puts[at++] = list[i];
			}
		}
	}
	if (root != NULL) {
		p->puts[at++] = root;
	}
	p->first[DIF_PUT_PHASES] = p->n = at;
}

static bool find_orphans(struct dif_plan *p, const struct dif_wants *w, const struct dif_map *held)
{
	const char *key = NULL;
	void *value = NULL;
	p->orphans = dif_arena_alloc(&p->arena, (held->n + 1) * sizeof *p->orphans);
	if (p->orphans == NULL) {
		return false;
	}
	for (size_t at = 0; dif_map_next(held, &at, &key, &value);) {
		if (dif_map_get(&w->by_key, key) == NULL) {
			p->orphans[p->norphans++] = key;
		}
	}
	return true;
}

bool dif_plan_init(struct dif_plan *p, struct dif_wants *w, const struct dif_map *held,
                   const struct dif_map *foreign, bool keeps_headers)
{
	*p = (struct dif_plan){0};
	dif_arena_init(&p->arena, PLAN_MAX, false);
	struct dif_want **list = dif_arena_alloc(&p->arena, (w->n + 1) * sizeof(void *));
	uint8_t *phase = dif_arena_alloc(&p->arena, w->n + 1);
	p->puts = dif_arena_alloc(&p->arena, (w->n + 1) * sizeof(void *));
	if (list == NULL || phase == NULL || p->puts == NULL || !find_orphans(p, w, held)) {
		dif_plan_fini(p);
		return false;
	}
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->n; i++) {
		struct dif_want *want = &w->all[i];
		const struct dif_held *h = dif_map_get(held, want->key);
		want->foreign = h == NULL && foreign && dif_map_get(foreign, want->key) != NULL;
		if (dif_want_is_met(want, h, keeps_headers)) {
			p->skipped++;
			continue;
		}
		p->foreign += want->foreign;
		p->bytes += want->size;
		phase[n] = (uint8_t)phase_of(want, h == NULL && !want->foreign);
		list[n++] = want;
	}
	arrange(p, list, phase, n);
	return true;
}

void dif_plan_fini(struct dif_plan *p)
{
	dif_arena_fini(&p->arena);
	*p = (struct dif_plan){0};
}
