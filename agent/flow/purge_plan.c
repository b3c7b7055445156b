/* purge_plan - from keys to items.
 *
 *   1. spell    every key as the addresses that programs ask for; distinct
 *   2. deep     what lies below a changed index.html, where that is asked for
 *   3. widen    where the addresses that are left are not worth it: the tag and what carries none
 *               yet; else the top folders with most of them; else everything
 *   4. drop     what something wider covers
 *
 * The second pass is of entry pages and aggregates alone: by their addresses also where the first
 * was wide, so that the second does not empty the caches once more.
 */
#include "flow/purge_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "host/crypto.h"

#define PLAN_MAX (512u << 20) /* 100,000 keys with four spellings of 1 KiB each */
#define WIDE_MAX 64u          /* items of one plan that are wide; more become one */
#define INDEX "index.html"

struct choosing {
	const struct dif_purge_rules *rules;
	struct dif_purge_plan *p;
	struct dif_map by_text; /* of URLs: -> struct dif_purge_item */
	const char *base;
	uint32_t room;
	bool failed;
};

static bool is_legal(const struct choosing *c, uint32_t scope)
{
	return (c->rules->caps->purge_scopes & DIF_HAS(scope)) != 0;
}

/* How many addresses are worth being named one by one. */
static uint32_t worth(const struct choosing *c)
{
	uint32_t n = c->rules->paths_max > 0 ? c->rules->paths_max : c->rules->caps->purge_worth;
	return !is_legal(c, DIF_PURGE_URLS) ? 0 : n > 0 ? n : UINT32_MAX;
}

/* --- spellings --- */

/* The same bytes with what a browser sends as it is, and what may stand so in a path (RFC 3986),
 * decoded again. '*' stays encoded: to some CDNs it would be a wildcard. */
static const char *as_browsers_do(struct dif_arena *a, const char *strict)
{
	static const struct {
		char code[4], c;
	} plain[] = {{"%21", '!'}, {"%24", '$'}, {"%26", '&'}, {"%27", '\''},
	             {"%28", '('}, {"%29", ')'}, {"%2B", '+'}, {"%2C", ','},
	             {"%3A", ':'}, {"%3B", ';'}, {"%3D", '='}, {"%40", '@'}};
	char *text = dif_arena_copy(a, strict, strlen(strict)), *to = text;
	for (const char *from = text; from != NULL && *from != '\0'; to++) {
		size_t i = 0;
		while (i < DIF_LEN(plain) && strncmp(from, plain[i].code, 3) != 0) {
			i++;
		}
		*to = i < DIF_LEN(plain) ? plain[i].c : *from;
		from += i < DIF_LEN(plain) ? 3 : 1;
	}
	if (text != NULL) {
		*to = '\0';
	}
	return text != NULL ? text : "";
}

static bool is_index(const char *path)
{
	size_t n = strlen(path), m = strlen(INDEX);
	return n >= m && strcmp(path + n - m, INDEX) == 0 && (n == m || path[n - m - 1] == '/');
}

/* "/prep/a/" of "/prep/a/index.html". */
static const char *folder_of(struct dif_arena *a, const char *index)
{
	return dif_arena_fmt(a, "%.*s", (int)(strlen(index) - strlen(INDEX)), index);
}

uint32_t dif_purge_spell(struct dif_arena *a, const char *base, const char *path,
                         const char *to[DIF_SPELLINGS])
{
	uint32_t n = 0;
	const char *strict = dif_encode(a, DIF_PATH, path, strlen(path));
	const char *loose = as_browsers_do(a, strict);
	to[n++] = dif_arena_fmt(a, "%s%s", base, strict);
	if (strcmp(strict, loose) != 0) {
		to[n++] = dif_arena_fmt(a, "%s%s", base, loose);
	}
	for (uint32_t i = 0, whole = n; is_index(path) && i < whole; i++) {
		to[n++] = folder_of(a, to[i]);
	}
	return a->failed ? 0 : n;
}

const char *dif_purge_base(const char *public_url, size_t *origin)
{
	const char *authority = strstr(public_url, "://");
	const char *path = strchr(authority != NULL ? authority + 3 : public_url, '/');
	path = path != NULL ? path : public_url + strlen(public_url);
	*origin = (size_t)(path - public_url);
	return path;
}

/* --- the list --- */

static struct dif_purge_item *add(struct choosing *c, uint32_t scope, const char *text,
                                  uint32_t passes)
{
	if (c->p->n == c->room || text == NULL) {
		c->failed = true;
		return NULL;
	}
	struct dif_purge_item *item = &c->p->items[c->p->n++];
	*item = (struct dif_purge_item){
		.scope = scope, .passes = passes, .text = text, .late = scope != DIF_PURGE_URLS};
	return item;
}

static void add_url(struct choosing *c, const char *text, const struct dif_change_of *key)
{
	bool leads = key->phase == DIF_ENTRY || key->phase == DIF_AGGREGATE;
	struct dif_purge_item *item = dif_map_get(&c->by_text, text);
	if (item == NULL) {
		item = add(c, DIF_PURGE_URLS, text, DIF_PASS_NOW);
		c->failed = c->failed || !dif_map_put(&c->by_text, text, item);
	}
	if (item != NULL) {
		item->passes |= leads ? DIF_PASS_AGAIN : 0;
		item->late = item->late || leads;
		item->created = item->created || key->change == DIF_CREATED;
	}
}

static bool is_due(const struct dif_change_of *key)
{
	return key->change != DIF_SAME || key->phase != DIF_ASSET;
}

static void spell(struct choosing *c, const struct dif_change_of *keys, uint32_t n)
{
	for (uint32_t i = 0; i < n && !c->failed; i++) {
		const char *text[DIF_SPELLINGS];
		uint32_t m = is_due(&keys[i])
		                     ? dif_purge_spell(&c->p->arena, c->base, keys[i].path, text)
		                     : 0;
		for (uint32_t k = 0; k < m; k++) {
			add_url(c, text[k], &keys[i]);
		}
	}
}

/* --- wider --- */

bool dif_purge_covers(const struct dif_purge_item *wide, const struct dif_purge_item *item)
{
	bool has_path = item->scope == DIF_PURGE_URLS || item->scope == DIF_PURGE_PREFIXES;
	switch (wide->scope) {
	case DIF_PURGE_ALL:
		return true;
	case DIF_PURGE_TAGS:
		return item->scope == DIF_PURGE_URLS && !item->created;
	case DIF_PURGE_PREFIXES:
		return has_path && strncmp(item->text, wide->text, strlen(wide->text)) == 0;
	default:
		return item->scope == DIF_PURGE_URLS && strcmp(item->text, wide->text) == 0;
	}
}

/* Wide items stand behind the URLs, so that few are looked at. */
static uint32_t count_bare(const struct choosing *c, uint32_t nurls, bool created)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < nurls; i++) {
		bool bare = true;
		for (uint32_t k = nurls; k < c->p->n && bare; k++) {
			bare = !dif_purge_covers(&c->p->items[k], &c->p->items[i]);
		}
		n += bare && (!created || c->p->items[i].created);
	}
	return n;
}

/* The folder just below the root that an address lies in; 0: it lies in the root itself. */
static size_t top_folder(const struct choosing *c, const char *text)
{
	size_t base = strlen(c->base);
	const char *slash = strchr(text + base, '/');
	return slash != NULL ? (size_t)(slash + 1 - text) : 0;
}

struct folder {
	const char *text; /* not ended there */
	size_t n;
	uint32_t urls;
};

static int by_urls(const void *a, const void *b)
{
	const struct folder *x = a, *y = b;
	return x->urls != y->urls ? (x->urls < y->urls ? 1 : -1) : strcmp(x->text, y->text);
}

static int by_text(const void *a, const void *b)
{
	const struct dif_purge_item *x = a, *y = b;
	return x->scope != y->scope ? (x->scope < y->scope ? -1 : 1) : strcmp(x->text, y->text);
}

/* The addresses are sorted, so those of a folder stand together. */
static uint32_t find_folders(const struct choosing *c, uint32_t nurls, struct folder *to)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < nurls; i++) {
		const char *text = c->p->items[i].text;
		size_t len = top_folder(c, text);
		if (len == 0) {
			continue;
		}
		if (n == 0 || to[n - 1].n != len || strncmp(to[n - 1].text, text, len) != 0) {
			to[n++] = (struct folder){.text = text, .n = len, .urls = 0};
		}
		to[n - 1].urls++;
	}
	qsort(to, n, sizeof *to, by_urls);
	return n;
}

/* The folders with most addresses, as many as are needed; the root where they are not enough. */
static void widen_by_folders(struct choosing *c, uint32_t nurls)
{
	uint32_t most = worth(c), left = count_bare(c, nurls, false), n = 0;
	uint32_t first = c->p->n, named = first - nurls;
	struct folder *all = dif_arena_alloc(&c->p->arena, ((size_t)nurls + 1) * sizeof *all);
	if (all == NULL) {
		c->failed = true;
		return;
	}
	uint32_t nfolders = find_folders(c, nurls, all);
	for (; n < nfolders && n < WIDE_MAX && left > most && all[n].urls > 1; n++) {
		left -= all[n].urls < left ? all[n].urls : left;
		add(c, DIF_PURGE_PREFIXES,
		    dif_arena_fmt(&c->p->arena, "%.*s", (int)all[n].n, all[n].text), DIF_PASS_NOW);
	}
	/* What deep links cover was counted twice. */
	if (count_bare(c, nurls, false) > most || n + named > most) {
		c->p->n = first;
		add(c, DIF_PURGE_PREFIXES, c->base, DIF_PASS_NOW);
	}
}

static void widen(struct choosing *c, uint32_t nurls)
{
	uint32_t most = worth(c);
	bool tagged = c->rules->tag != NULL && is_legal(c, DIF_PURGE_TAGS);
	if (count_bare(c, nurls, false) <= most) {
		return;
	}
	if (tagged && (count_bare(c, nurls, true) <= most ||
	               (c->rules->caps->purge_scopes &
	                (DIF_HAS(DIF_PURGE_PREFIXES) | DIF_HAS(DIF_PURGE_ALL))) == 0)) {
		add(c, DIF_PURGE_TAGS, c->rules->tag, DIF_PASS_NOW);
	} else if (is_legal(c, DIF_PURGE_PREFIXES)) {
		widen_by_folders(c, nurls);
	} else if (is_legal(c, DIF_PURGE_ALL)) {
		add(c, DIF_PURGE_ALL, "", DIF_PASS_NOW);
	}
}

/* --- deep links --- */

/* Both passes: a deep link is refilled from the old page as the page itself is. */
static void add_deep(struct choosing *c, const char *folder)
{
	bool tagged = c->rules->tag != NULL && is_legal(c, DIF_PURGE_TAGS);
	uint32_t both = DIF_PASS_NOW | DIF_PASS_AGAIN;
	bool is_all = c->rules->deep_links == DIF_DEEP_ALL;
	if (is_all && is_legal(c, DIF_PURGE_ALL)) {
		add(c, DIF_PURGE_ALL, "", both);
	} else if (is_legal(c, DIF_PURGE_PREFIXES)) {
		add(c, DIF_PURGE_PREFIXES, is_all ? c->base : folder, both);
	} else if (tagged) {
		add(c, DIF_PURGE_TAGS, c->rules->tag, both);
	} else if (is_legal(c, DIF_PURGE_ALL)) {
		add(c, DIF_PURGE_ALL, "", both);
	}
}

static void look_for_deep(struct choosing *c, const struct dif_change_of *keys, uint32_t n)
{
	uint32_t first = c->p->n;
	for (uint32_t i = 0; i < n && !c->failed && c->rules->deep_links != DIF_DEEP_NONE; i++) {
		const char *text[DIF_SPELLINGS];
		uint32_t m = is_index(keys[i].path) && is_due(&keys[i])
		                     ? dif_purge_spell(&c->p->arena, c->base, keys[i].path, text)
		                     : 0;
		for (uint32_t k = m / 2; k < m; k++) { /* those without index.html */
			add_deep(c, text[k]);
		}
		if (c->p->n - first > WIDE_MAX) {
			c->p->n = first;
			add_deep(c, c->base);
			return;
		}
	}
}

/* --- what is left --- */

/* How many addresses have a second pass. */
static uint32_t count_again(const struct choosing *c, uint32_t nurls)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < nurls; i++) {
		n += (c->p->items[i].passes & DIF_PASS_AGAIN) != 0;
	}
	return n;
}

static void keep_what_is_needed(struct choosing *c, uint32_t nurls)
{
	struct dif_purge_item *items = c->p->items;
	bool again = count_again(c, nurls) <= worth(c); /* by their addresses */
	for (uint32_t i = 0; i < nurls; i++) {
		for (uint32_t k = nurls; k < c->p->n; k++) {
			if (!dif_purge_covers(&items[k], &items[i])) {
				continue;
			}
			if (!again) {
				items[k].passes |= items[i].passes & DIF_PASS_AGAIN;
			}
			items[i].passes &= ~items[k].passes;
		}
		if (!is_legal(c, DIF_PURGE_URLS)) {
			items[i].passes = 0; /* of a tag's: a 404 that nobody can name */
		}
	}
}

static void drop_covered(struct choosing *c, uint32_t nurls)
{
	uint32_t n = 0;
	for (uint32_t i = nurls; i < c->p->n; i++) { /* wide by wide; of two equal ones the first */
		struct dif_purge_item *item = &c->p->items[i];
		for (uint32_t k = nurls; k < c->p->n && item->passes != 0; k++) {
			const struct dif_purge_item *wide = &c->p->items[k];
			bool equal =
				wide->scope == item->scope && strcmp(wide->text, item->text) == 0;
			if (k != i && (equal ? k < i : dif_purge_covers(wide, item))) {
				item->passes &= ~wide->passes;
			}
		}
	}
	for (uint32_t i = 0; i < c->p->n; i++) {
		if (c->p->items[i].passes != 0) {
			c->p->items[n++] = c->p->items[i];
		}
	}
	c->p->n = n;
}

bool dif_purge_plan_init(struct dif_purge_plan *p, const struct dif_purge_rules *rules,
                         const struct dif_change_of *keys, uint32_t n)
{
	size_t origin = 0;
	struct choosing c = {
		.rules = rules, .p = p, .base = dif_purge_base(rules->public_url, &origin)};
	*p = (struct dif_purge_plan){0};
	dif_arena_init(&p->arena, PLAN_MAX, false);
	dif_map_init(&c.by_text);
	c.room = n * DIF_SPELLINGS + 4 * WIDE_MAX;
	p->items = dif_arena_alloc(&p->arena, (size_t)c.room * sizeof *p->items);
	c.failed = p->items == NULL;
	spell(&c, keys, n);
	uint32_t nurls = p->n;
	if (!c.failed && nurls > 0) {
		qsort(p->items, nurls, sizeof *p->items, by_text);
		look_for_deep(&c, keys, n);
		widen(&c, nurls);
		keep_what_is_needed(&c, nurls);
		drop_covered(&c, nurls);
		qsort(p->items, p->n, sizeof *p->items, by_text);
	}
	dif_map_fini(&c.by_text);
	if (c.failed || p->arena.failed) {
		dif_purge_plan_fini(p);
		return false;
	}
	return true;
}

void dif_purge_plan_fini(struct dif_purge_plan *p)
{
	dif_arena_fini(&p->arena);
	*p = (struct dif_purge_plan){0};
}

/* --- batches --- */

static uint32_t least(uint32_t a, uint32_t b)
{
	return b == 0 || a < b ? a : b; /* 0: no bound */
}

uint32_t dif_purge_fits(const struct dif_caps *caps, size_t origin,
                        const struct dif_purge_item *const *items, uint32_t n)
{
	bool urls = items[0]->scope == DIF_PURGE_URLS;
	uint64_t bytes = 0;
	uint32_t most = least(n, urls ? caps->purge_max : caps->purge_wide_max), fit = 0;
	most = least(most, urls ? caps->purge_in_flight : caps->purge_wide_in_flight);
	for (; fit < most; fit++) {
		bytes += (items[0]->scope == DIF_PURGE_TAGS ? 0 : origin) +
		         strlen(items[fit]->text) + caps->purge_item_bytes;
		if (caps->purge_bytes > 0 && bytes > caps->purge_bytes && fit > 0) {
			break;
		}
	}
	return fit;
}

const char *dif_purge_scope_name(uint32_t scope)
{
	static const char *const names[] = {[DIF_PURGE_URLS] = "urls",
	                                    [DIF_PURGE_PREFIXES] = "prefixes",
	                                    [DIF_PURGE_TAGS] = "tags",
	                                    [DIF_PURGE_ALL] = "all"};
	return scope < DIF_LEN(names) && names[scope] != NULL ? names[scope] : "none";
}
