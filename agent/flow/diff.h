/* diff - what a destination shall hold, and what has to be done about it. Pure.
 *
 *   manifest + classes + destination's options -> wants    (every object as it shall be)
 *   wants + held + foreign                     -> plan     (puts by phase, orphans)
 *
 * Puts come in an order that is the same for every destination: new names, changed details, then,
 * behind the barrier, aggregates, then entry pages with the root's index.html the very last. A
 * phase is complete before the next one starts.
 */
#ifndef DIF_FLOW_DIFF_H
#define DIF_FLOW_DIFF_H

#include "base/map.h"
#include "flow/manifest.h"
#include "flow/state.h"

#define DIF_SIBLING_MIN 256 /* smaller entries gain nothing from a compressed twin */

struct dif_want {
	const char *key;
	const struct dif_member *member;
	uint32_t form;    /* enum dif_form_id */
	uint32_t phase;   /* enum dif_phase */
	uint32_t headers; /* dif_headers_crc */
	bool sibling;     /* a derived NAME.gz */
	bool root;        /* index.html of the root */
	bool foreign;     /* plan: an object that is not ours is in its place */
	bool written;     /* by the delivery at work */
	bool parted;      /* by it, in parts: always read back */
	uint32_t broken;  /* times it was read back otherwise than written */
	const char *type, *encoding, *cache;
	uint64_t size; /* as stored */
};

struct dif_wants_from {
	const struct dif_manifest *manifest; /* stays until fini */
	const struct dif_class_rule *classes;
	uint32_t nclasses;
	const char *prefix;   /* "" or "a/b/" */
	const char *store_as; /* "identity", "gzip", NULL: by class */
	bool siblings;
};

struct dif_wants {
	struct dif_want *all; /* in the manifest's order, a sibling before its entry */
	uint32_t n;
	struct dif_map by_key; /* -> struct dif_want */
	struct dif_arena arena;
};

bool dif_wants_init(struct dif_wants *w, const struct dif_wants_from *from); /* false: memory */
void dif_wants_fini(struct dif_wants *w);

enum dif_put_phase {
	DIF_PUT_NEW,
	DIF_PUT_CHANGED,
	DIF_PUT_AGGREGATE, /* from here on behind the barrier */
	DIF_PUT_ENTRY,
	DIF_PUT_PHASES
};

struct dif_plan {
	struct dif_want **puts; /* by phase, in the wants' order */
	uint32_t n;
	uint32_t first[DIF_PUT_PHASES + 1]; /* of each phase in puts; the last is n */
	uint64_t bytes;                     /* of the puts */
	uint64_t skipped;
	uint64_t foreign;     /* wants whose place something holds that is not ours */
	const char **orphans; /* keys held that nothing wants */
	uint32_t norphans;
	struct dif_arena arena;
};

/* held: key -> struct dif_held. foreign: key -> anything, objects that are not ours; NULL: none
 * known. keeps_headers: unknown headers (0) are a reason to write again. Keys of orphans are held's
 * own. False: out of memory. */
bool dif_plan_init(struct dif_plan *p, struct dif_wants *w, const struct dif_map *held,
                   const struct dif_map *foreign, bool keeps_headers);
void dif_plan_fini(struct dif_plan *p);
/* May the object stay as it is? */
bool dif_want_is_met(const struct dif_want *w, const struct dif_held *h, bool keeps_headers);

#endif
