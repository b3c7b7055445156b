/* config - difusor.ini and the plug-in folder's *.ini as one checked value. Rows of options as in
 * plug-ins: help, manual and errors come from them. Immutable after load and setup. */
#ifndef DIF_FLOW_CONFIG_H
#define DIF_FLOW_CONFIG_H

#include "flow/class.h"
#include "flow/package.h"
#include "host/ini.h"
#include "host/loader.h"

enum dif_profile { DIF_PRODUCTION, DIF_REHEARSAL };

struct dif_source_config {
	const char *name; /* "ine", of [source ine] */
	const char *section;
	const char *plugin;
	const char *digest; /* "{url}.sha256", NULL: none */
	const char
		*require;   /* sha256, crc, double-fetch; by default sha256 where there is a digest,
	                           else double-fetch */
	const char *order;  /* source, name:REGEX, json:ENTRY#POINTER */
	const char *prefix; /* a store as source: newest object under it; NULL with url */
	int64_t every, timeout; /* ms */
};

struct dif_store_config {
	const char *name, *section, *plugin;
};

#define DIF_CDNS_MAX 16 /* of one destination */

struct dif_cdn_config {
	const char *name, *section, *plugin;
	int64_t paths_max;              /* see dif_purge_rules */
	const char *tag;                /* NULL: none */
	const char *names;              /* hosts with blanks between them; NULL: none */
	const char *deep_links;         /* as written; read deep */
	uint32_t deep;                  /* enum dif_deep_links of flow/purge_plan */
	int64_t settle, origin_timeout; /* ms */
};

struct dif_steering_config {
	const char *name, *section, *plugin;
	const char *record;         /* the name that readers ask for, "www.prep.example" */
	const char *type;           /* "A", "AAAA", "CNAME" */
	int64_t ttl;                /* ms, whole seconds */
	const char *after;          /* as written; read command */
	const char *const *command; /* NULL-terminated, an absolute path first; NULL: none */
};

#define DIF_REFERENCES_MAX 4

/* [health]: how often readers' addresses are tried, and what counts (flow/health, flow/prober). */
struct dif_health_config {
	int64_t interval, fast, timeout;               /* ms */
	int64_t jitter;                                /* percent of the interval, either way */
	int64_t fall, rise;                            /* in a row */
	int64_t fall_time, rise_time, rise_max, stale; /* ms */
	int64_t shaky;                                 /* percent of the last 20 */
	const char *references;                        /* as written; read reference */
	const char *reference[DIF_REFERENCES_MAX];
	uint32_t nreferences;
};

/* [failover]: what may be done about it (flow/failover). */
struct dif_failover_config {
	int64_t minimum;                  /* destinations that stay in the route */
	int64_t panic;                    /* percent of those in the route */
	int64_t hold, hold_max, fresh;    /* ms */
	int64_t moves;                    /* within an hour */
	uint32_t failback;                /* by itself */
	int64_t failback_time, step_time; /* ms */
	int64_t step;                     /* percent of its weight */
};

struct dif_lease_config {
	const char *name, *section, *plugin;
	int64_t ttl;         /* ms, whole seconds */
	const char *without; /* "publish", "wait": while the lease cannot be asked for */
};

struct dif_destination_config {
	const char *name, *section, *store;
	const char *cdn;         /* as written; read cdns */
	const char *const *cdns; /* names, in order */
	uint32_t ncdns;
	const char *target;  /* where steering leads for it; NULL: the host of public_url */
	int64_t weight;      /* of its share of the readers; 0: none while others are healthy */
	uint32_t is_private; /* private = yes: readers must not get in, and no route leads there */
	const char *prefix;  /* "" or "a/b/": keys below it are ours */
	const char *public_url; /* with a slash at its end; NULL: none */
	/* Whose certificates public_url may show. NULL: the system's; but flow/setup puts the
	 * store's in where it is the store that serves. */
	const char *ca_file;
	const char *deep_link; /* below public_url, without a slash before it; NULL: not checked */
	const char *ddos_l34, *ddos_l7; /* what protects public_url, in words; NULL: not named */
	int64_t grace, barrier;         /* ms */
	uint32_t adopt;                 /* may take over foreign keys */
	const char *store_as;           /* "identity", "gzip" or NULL: by class */
	const char *siblings;           /* "gzip" or NULL */
};

/* Room behind stores, CDNs and destinations for what is dropped in while the agent runs
 * (flow/dropin): the arrays never move, so pointers to what is in them stay. */
#define DIF_CONFIG_ROOM 256

struct dif_config {
	struct dif_arena arena;        /* wiping: it may hold secrets */
	struct dif_ini_entry *entries; /* for dif_instance_open */
	const char *file;
	const char *state, *archive, *plugins;
	uint32_t profile; /* enum dif_profile */
	int64_t memory;   /* budget of body buffers, bytes */
	struct dif_limits limits;
	struct dif_health_config health;
	struct dif_failover_config failover;
	struct dif_source_config *sources;
	struct dif_store_config *stores;
	struct dif_cdn_config *cdns;
	struct dif_steering_config *steerings;
	struct dif_lease_config *leases;
	struct dif_destination_config *destinations;
	struct dif_class_rule *classes;
	uint32_t nsources, nstores, ncdns, nsteerings, nleases, ndestinations, nclasses;
};

/* Reads file and the plug-in folder's INIs, checks everything that can be checked without opening
 * plug-ins (that a destination's store exists, unique names, prefix form and overlap). Unknown
 * sections and keys of ours are errors here; keys of plug-ins are checked by dif_instance_open, and
 * what nobody used by dif_config_check_unused afterwards. NULL: err with file and line (exit 3). */
struct dif_config *dif_config_load(const char *file, struct dif_error *err);
/* The same with these files of the plug-in folder alone, in this order. */
struct dif_config *dif_config_load_some(const char *file, const char *const *names, uint32_t n,
                                        struct dif_error *err);
void dif_config_free(struct dif_config *c);
bool dif_config_check_unused(const struct dif_config *c, struct dif_error *err);
/* Option rows by section kind ("agent", "source", "store", "cdn", "destination", "steering",
 * "lease", "class", "health", "failover") for help, manual and example files. */
const struct dif_option *dif_config_rows(const char *kind, uint32_t *n);
/* The kinds one after the other, in the order of the manual; NULL behind the last. */
const char *dif_config_kind(uint32_t i);
/* There is one section of that kind, so it has no name: [agent]. */
bool dif_config_is_single(const char *kind);
/* Where plug-ins are when nobody says: plugins.d beside the program, else the system's. */
const char *dif_config_default_plugins(void);

#endif
