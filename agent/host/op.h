/* op - runs a plug-in's verbs: queue, window, login, retry, read-back, deadline, cancel. The one
 * place where they live.
 *
 * An instance is a configured plug-in: its self, caps, credential and pressure. Ops on it queue, in
 * order, behind its window. TRANSIENT and THROTTLED are repeated with back-off until the op's
 * deadline; AUTH once after a login (single flight); a write whose outcome is unknown is read back
 * first. All other classes are outcomes.
 */
#ifndef DIF_HOST_OP_H
#define DIF_HOST_OP_H

#include "base/arena.h"
#include "host/engine.h"
#include "host/http.h"
#include "host/ini.h"
#include "host/loader.h"
#include "host/retry.h"

struct dif_instance;
struct dif_op_run;

/* The options of every plug-in whose offer says DIF_OFFER_HTTP. */
extern const struct dif_option dif_http_options[];
extern const uint32_t dif_http_noptions;

/* Opens an instance from its section: binds the options of the offer and of every HTTP plug-in,
 * calls the plug-in's open. Marks the entries it used. NULL: err with file and line. */
struct dif_instance *dif_instance_open(struct dif_engine *e, const struct dif_offer *offer,
                                       struct dif_ini_entry *list, const char *section,
                                       struct dif_error *err);
/* Cancels what runs, then frees itself and calls closed, on the loop. Accepts no NULL. */
void dif_instance_close(struct dif_instance *i, void (*closed)(void *data), void *data);
const char *dif_instance_name(const struct dif_instance *i); /* "aws", of [store aws] */
const struct dif_offer *dif_instance_offer(const struct dif_instance *i);
const struct dif_caps *dif_instance_caps(const struct dif_instance *i);
/* What its requests may touch; no host is named where the plug-in does not speak HTTP. */
const struct dif_http_policy *dif_instance_policy(const struct dif_instance *i);
const struct dif_pressure *dif_instance_pressure(const struct dif_instance *i);
/* At most this many connections at once; the publication shares 256 among the destinations with
 * work. */
void dif_instance_limit(struct dif_instance *i, uint32_t connections);
void dif_instance_full(struct dif_instance *i); /* see dif_pressure_full */
/* The last failure that was the peer's, cls OK: it has answered since. */
const struct dif_error *dif_instance_trouble(const struct dif_instance *i);
/* Since when the store is away, steady ms: its breaker is open, or nobody can log in. 0: it is
 * not. */
int64_t dif_instance_down_since(const struct dif_instance *i);

/* Seconds by which this instance's requests are dated ahead of our clock: what was learned of the
 * peer's. A drill sets it wrong. */
int64_t dif_instance_clock(const struct dif_instance *i);
void dif_instance_set_clock(struct dif_instance *i, int64_t seconds);

struct dif_outcome {
	struct dif_error err;          /* err.cls == DIF_OK: done */
	struct dif_result result;      /* valid during the callback, as all it points to */
	const struct dif_object *rows; /* list */
	uint32_t nrows;
	const struct dif_item *items; /* remove: one per key, in the order of the input */
	uint32_t nitems;
	const struct dif_target *targets; /* get of a route */
	uint32_t ntargets;
	uint32_t attempts;
	bool unknown; /* a write failed and may have happened */
	int64_t took_ms;
	const char *tls;   /* of the last reply */
	int64_t cert_ends; /* of the last reply, as in http.h; 0: not known */
	int64_t peer_date; /* the last reply's Date, seconds since 1970; -1: it had none */
	double bytes_per_s;
};
typedef void dif_op_cb(void *data, const struct dif_outcome *out);

enum dif_verb_id {
	DIF_PROBE,
	DIF_LIST,
	DIF_HEAD,
	DIF_GET,
	DIF_PUT,
	DIF_REMOVE,
	DIF_PART_BEGIN,
	DIF_PART_PUT,
	DIF_PART_FINISH,
	DIF_PART_ABORT,
	/* a CDN */
	DIF_PURGE,
	DIF_PURGE_STATE,
	/* steering */
	DIF_ROUTE_GET,
	DIF_ROUTE_SET,
	DIF_ROUTE_STATE,
	/* a lease */
	DIF_LEASE_ACQUIRE,
	DIF_LEASE_RENEW,
	DIF_LEASE_RELEASE,
	DIF_LEASE_READ,
	DIF_VERBS
};

/* Starts one verb. in is the verb's input struct (NULL for probe); it and what it points to must
 * stay until cb. cb is called exactly once, on the loop, never before this returns, also after
 * cancel and close (then CANCELED). deadline_ms: from now, over all attempts; 0: the default of 10
 * min. The returned run is valid until cb has been called. */
struct dif_op_run *dif_op_start(struct dif_instance *i, enum dif_verb_id verb, const void *in,
                                int64_t deadline_ms, dif_op_cb *cb, void *data);
void dif_op_cancel(struct dif_op_run *run);

/* The names of metadata that fence a key (design rule 3). */
#define DIF_META_EPOCH "epoch"
#define DIF_META_ORDER "order"
#define DIF_META_SHA256 "sha256"
const char *dif_meta_get(const struct dif_field *meta, uint32_t n,
                         const char *name); /* NULL: not there */

#endif
