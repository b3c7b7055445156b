/* purge_plan - what a CDN must forget when objects change: from keys to the items of purges. Pure.
 *
 *   changed, new and removed keys + public_url + caps + rules -> items, sorted and distinct
 *   items + caps -> how many of them one purge takes
 *
 * Exact addresses as long as they are worth it; else the tag of the site, the folders that they lie
 * in, or everything, whichever the CDN has. New names are forgotten too: an edge may have cached
 * that they were not there. Query strings are the CDN's to ignore (difusor check), so none is
 * spelled.
 */
#ifndef DIF_FLOW_PURGE_PLAN_H
#define DIF_FLOW_PURGE_PLAN_H

#include "base/arena.h"
#include "flow/class.h"

/* What happened to a key. SAME: written again with the bytes that it had. */
enum dif_change { DIF_CHANGED, DIF_CREATED, DIF_REMOVED, DIF_SAME };

struct dif_change_of {
	const char *path; /* below the site's root, as in the manifest */
	uint32_t phase;   /* enum dif_phase: assets that are the SAME are not purged */
	uint32_t change;  /* enum dif_change */
};

/* What is not listed lies below a changed index.html: where a single-page site answers every
 * unknown address with it, edges hold copies under addresses that nobody knows. */
enum dif_deep_links { DIF_DEEP_NONE, DIF_DEEP_PREFIX, DIF_DEEP_ALL };

struct dif_purge_rules {
	const struct dif_caps *caps;
	const char *public_url; /* with a slash at its end */
	uint32_t paths_max;     /* more addresses than this go as something wider; 0: caps decide */
	const char *tag;        /* that all objects of the site carry; NULL: none */
	uint32_t deep_links;    /* enum dif_deep_links */
};

/* Once now; and once more when an origin can no longer be sending what it read before. */
enum dif_purge_pass { DIF_PASS_NOW = 1, DIF_PASS_AGAIN = 2 };

struct dif_purge_item {
	uint32_t scope;   /* enum dif_purge_scope */
	uint32_t passes;  /* DIF_PASS_* bits */
	const char *text; /* URLS, PREFIXES: from the path on, encoded; TAGS: the tag; ALL: "" */
	bool created;     /* an edge may hold a 404 of it, which carries no tag */
	/* It may stand for an aggregate or an entry page, which lead to all else: only an address
	 * of details is none of these. */
	bool late;
};

struct dif_purge_plan {
	struct dif_purge_item *items; /* by scope and text */
	uint32_t n;
	struct dif_arena arena;
};

/* False: out of memory; p needs no fini then. Texts are the plan's own. */
bool dif_purge_plan_init(struct dif_purge_plan *p, const struct dif_purge_rules *rules,
                         const struct dif_change_of *keys, uint32_t n);
void dif_purge_plan_fini(struct dif_purge_plan *p);

/* The addresses of one entry, from the path on, as programs send them: strictly encoded; with what
 * browsers leave as it is; each also without its index.html. Distinct. Returns how many. */
#define DIF_SPELLINGS 4
uint32_t dif_purge_spell(struct dif_arena *a, const char *base, const char *path,
                         const char *to[DIF_SPELLINGS]);
/* "/prep/" of "https://www.example/prep/"; a view. *origin: how many bytes come before it. */
const char *dif_purge_base(const char *public_url, size_t *origin);

/* Forgetting `wide` forgets `item` too. */
bool dif_purge_covers(const struct dif_purge_item *wide, const struct dif_purge_item *item);
/* How many of n items of one scope, from the first on, one purge takes: at least 1. origin: bytes
 * before each path in its URL. */
uint32_t dif_purge_fits(const struct dif_caps *caps, size_t origin,
                        const struct dif_purge_item *const *items, uint32_t n);
const char *dif_purge_scope_name(uint32_t scope); /* "urls"; never NULL */

#endif
