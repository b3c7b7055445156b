/* steering - brings the route to one [steering], again and again until it stands there.
 *
 *   rest ──▶ reading ──differs──▶ setting ──ticket──▶ settling ─┐
 *    ▲         │ ▲ ▲─────────────────┴───────settled────────────┘
 *    │ the same│ │ later
 *    └─────────┤ └───────── pausing
 *              └─ failed ──────▲
 *
 * Every change is read back; a condition that was lost begins anew; failures are repeated with
 * back-off, 1 s doubling to 60 s, without end. What stands is read again every minute, so that
 * another hand is noticed. Each steering goes by itself: one that is stuck stops no other. Loop
 * thread.
 *
 * Targets that are none of ours stay as they are: what is set holds them as they were read. Weights
 * are scaled down to what the plug-in takes, no weight that is not 0 to 0; a plug-in that knows no
 * weights is given only targets with a weight.
 */
#ifndef DIF_FLOW_STEERING_H
#define DIF_FLOW_STEERING_H

#include "flow/config.h"
#include "flow/state.h"
#include "host/op.h"

#define DIF_STEERING_TARGETS 1024 /* of one record, ours and others */
#define DIF_STEERING_TEXT 512
#define DIF_STEERING_WHOLE 100 /* percent: all of its weight, as in flow/failover */

/* One of our destinations. */
struct dif_steering_target {
	const char *name, *value;
	uint32_t weight;
	bool hidden; /* ours, and must not stand there at all: private, or taken away */
};

struct dif_steering_status {
	const char *state; /* "rest", "reading", ...; never NULL */
	bool stands;       /* the route was read back, and was what is wanted */
	int64_t stood;     /* wall ms: since when, 0: not yet */
	int64_t took_ms;   /* from the wish to the read-back, of the last change */
	uint32_t failures; /* in a row */
	uint32_t ttl_s;    /* what resolvers keep, as it was read; else as configured */
	char standing[DIF_STEERING_TEXT]; /* "eu 100, us 0", as it was read; "": not read yet */
	char previous[DIF_STEERING_TEXT]; /* before the last change; "": there was none */
	struct dif_error err;             /* cls OK: the last attempt was good */
};

struct dif_steering;
struct dif_steering_events {
	void (*changed)(void *data, struct dif_steering *s); /* its status has */
};

/* config and instance stay the caller's until closed. */
struct dif_steering *dif_steering_open(struct dif_engine *e, struct dif_instance *i,
                                       const struct dif_steering_config *config,
                                       const struct dif_steering_events *events, void *data);
/* What shall stand there: all our destinations, those without readers too. Copied. Without one that
 * has a weight nothing is done. Begins at once, or when what runs has ended. */
void dif_steering_want(struct dif_steering *s, const struct dif_steering_target *targets,
                       uint32_t n);
/* Another agent sets the route: nothing is wanted any more, and what stands is only read, now and
 * every minute, until the next want. `changed` follows each reading. */
void dif_steering_watch(struct dif_steering *s);
/* What was read, while it is watched; NULL: nothing yet. Valid within `changed`. */
const struct dif_target *dif_steering_read(const struct dif_steering *s, uint32_t *n);
const struct dif_caps *dif_steering_caps(const struct dif_steering *s);
const struct dif_steering_status *dif_steering_status(const struct dif_steering *s);
const struct dif_steering_config *dif_steering_config(const struct dif_steering *s);
/* No event after this; frees itself on the loop. A change under way may still have its effect. */
void dif_steering_close(struct dif_steering *s);

/* The host of an address, or the target as configured: where readers are led for a destination.
 * Allocated in a; NULL: it has neither. */
const char *dif_steering_value(struct dif_arena *a, const struct dif_destination_config *d);

/* --- the pure part --- */

struct dif_steering_plan {
	bool differs;
	/* Where differs: exactly what is to be set. */
	struct dif_target *targets;
	uint32_t n;
};
/* Compares what was read with what is wanted. Memory from a. False: err: it cannot be done. */
bool dif_steering_compare(struct dif_arena *a, const struct dif_caps *caps,
                          const struct dif_steering_target *want, uint32_t nwant,
                          const struct dif_target *read, uint32_t nread,
                          struct dif_steering_plan *to, struct dif_error *err);

/* The percents of its own weight with which each of ours stands there; the one with the largest
 * part of its weight has all of it. weight of a target: its own, 0: a spare. False: none of ours
 * has readers there, and percent is untouched. */
bool dif_steering_percents(const struct dif_caps *caps, const struct dif_steering_target *ours,
                           uint32_t n, const struct dif_target *read, uint32_t nread,
                           uint32_t *percent);

#endif
