/* destination - a cloud as the reader sees it, at work: its store's instance, what we know it
 * holds, its marker, its probe result.
 *
 * What it holds is a cache of the store, filled from the state, else by listing. One delivery at a
 * time works on it; later ones wait their turn. Loop thread.
 */
#ifndef DIF_FLOW_DESTINATION_H
#define DIF_FLOW_DESTINATION_H

#include "base/list.h"
#include "base/map.h"
#include "flow/config.h"
#include "flow/purge.h"
#include "flow/state.h"
#include "host/op.h"

enum dif_fence { DIF_FENCE_UNKNOWN, DIF_FENCED, DIF_UNFENCED };

struct dif_destination {
	const struct dif_destination_config *config;
	struct dif_instance *store;
	struct dif_instance *cdns[DIF_CDNS_MAX];                /* config->ncdns, in its order */
	const struct dif_cdn_config *cdn_configs[DIF_CDNS_MAX]; /* likewise */
	struct dif_purger *purger; /* whoever opened it closes it; NULL: there is no CDN */
	struct dif_map
		held; /* key -> struct dif_held, memory of the destination; loaded from the state */
	bool known; /* held was loaded or listed: a key that is not in it does not exist, as far as
	               we know */
	uint32_t fence;  /* enum dif_fence */
	bool bare_tags;  /* conditions take the tag without its quotes (radosgw) */
	bool whole_only; /* conditions are kept on puts, but not on parts (radosgw) */
	uint32_t guard;  /* enum dif_digest that the store enforces; 0: not known, or none */
	bool unguarded;  /* it was asked, and enforces none: whatever is put there is read back */
	bool busy;       /* a delivery is running: only one at a time */
	bool leaving;    /* its configuration was taken away */
	bool gone;       /* and it has no readers any more: nothing more is delivered to it */

	bool loaded;             /* from the state, once */
	struct dif_link waiting; /* deliveries that wait for their turn */
	/* The newest delivery, also of an earlier run: its cut, and whether every key arrived. */
	char last[65];
	bool last_whole;
};

/* The key of the marker below the prefix, and what it says. */
#define DIF_MARKER ".difusor/live"
#define DIF_META_PROFILE "profile"
/* "gzip" on a derived NAME.gz: its bytes are the gzip form of the entry. */
#define DIF_META_FORM "form"

/* d is zeroed first; config and store stay the caller's. */
void dif_destination_init(struct dif_destination *d, const struct dif_destination_config *config,
                          struct dif_instance *store);
void dif_destination_fini(struct dif_destination *d); /* also of a zeroed one */
/* public_url is an address of the store itself, not of something before it. */
bool dif_destination_is_store(const struct dif_destination *d);
/* Loads what the state knows, the first time; state NULL: nothing is known. */
void dif_destination_load(struct dif_destination *d, struct dif_state *state);
/* Doubt after a delivery that did not end whole: every key that its cut wants otherwise than we
 * remember may have a write of it outstanding and becomes unknown; without that cut's manifest all
 * knowledge is dropped. Nothing where the same cut is brought again. */
void dif_destination_doubt(struct dif_destination *d, struct dif_state *state,
                           const struct dif_class_rule *classes, uint32_t nclasses,
                           const char *sha256);

const struct dif_held *dif_destination_held(const struct dif_destination *d, const char *key);
/* Copies h in, in the place of what was there; earlier pointers to it die. NULL: out of memory,
 * then nothing is known of that key and it is rewritten. */
const struct dif_held *dif_destination_keep(struct dif_destination *d, const struct dif_held *h);
/* A write of some key may be outstanding. */
bool dif_destination_has_doubt(const struct dif_destination *d);
void dif_destination_forget(struct dif_destination *d, const char *key); /* NULL: all */

/* "destination:NAME", the scope of its facts. Malloc'ed; NULL: out of memory. */
char *dif_destination_scope(const struct dif_destination *d);
/* What decides, besides the package, what a destination shall hold: classes, store_as, siblings,
 * prefix, profile. 16 hex digits and a NUL. */
void dif_destination_fingerprint(const struct dif_destination *d,
                                 const struct dif_class_rule *classes, uint32_t nclasses,
                                 char to[17]);

/* The tag as this store's conditions take it: the quotes go where the probe found that. Allocated
 * in a; NULL stays NULL. */
const char *dif_destination_tag(const struct dif_destination *d, struct dif_arena *a,
                                const char *tag);
/* Fills h from an object of the store; strings stay the object's. False: it carries no metadata of
 * ours. */
bool dif_destination_read(const struct dif_object *o, struct dif_held *h);
/* CRC-32C of the headers that an object was written with; never 0, which stands for unknown. */
uint32_t dif_headers_crc(const char *type, const char *encoding, const char *cache);

#endif
