/* traffic_view - what is known of the readers' traffic at one moment: verdicts, route, pins,
 * drains, moves, and how far the steerings are. The agent works on one and keeps it in the state,
 * so that a restart forgets nothing and people can ask without an agent.
 *
 * In memory times are steady ms; kept they are wall ms. Synchronous, loop thread.
 */
#ifndef DIF_FLOW_TRAFFIC_VIEW_H
#define DIF_FLOW_TRAFFIC_VIEW_H

#include "base/buf.h"
#include "flow/failover.h"
#include "flow/state.h"
#include "flow/steering.h"

struct dif_traffic_steering {
	const struct dif_steering_config *config;
	struct dif_steering_status status;
	char error[DIF_STEERING_TEXT]; /* "": the last attempt was good */
};

/* What the record may still lead to, though no configuration says so any more. */
#define DIF_TRAFFIC_RETIRED 64
struct dif_traffic_retired {
	char name[72], value[256];
};

struct dif_traffic_view {
	const struct dif_config *config;
	/* By the index of config->destinations, with its room. */
	struct dif_failover_input *in;
	struct dif_failover_share *share;
	char (*reason)[DIF_HEALTH_TEXT]; /* what in[].reason points to */
	struct dif_failover failover;
	enum dif_sight sight;
	bool frozen;
	uint32_t moves_left;
	char why[DIF_FAILOVER_TEXT];
	struct dif_traffic_steering *steerings; /* by the index of config->steerings */
	struct dif_traffic_retired *retired;    /* until all steerings stand without them */
	uint32_t nretired;
	int64_t kept; /* wall ms: when it was written; 0: never */
};

/* Memory is a's. False: out of memory. */
bool dif_traffic_view_init(struct dif_arena *a, const struct dif_config *c,
                           struct dif_traffic_view *v);
/* What the configuration says of one destination: name, weight, whether it may be led to. */
void dif_traffic_view_place(struct dif_traffic_view *v, uint32_t index);
/* What the state remembers, onto an initialised view; destinations that are not configured any more
 * are left out. state NULL, or nothing there: v stays as it is. */
void dif_traffic_view_read(struct dif_traffic_view *v, struct dif_state *state);
bool dif_traffic_view_write(const struct dif_traffic_view *v, struct dif_state *state);
/* What was written is durable when this returns: people are told so. Costs an fsync. */
void dif_traffic_view_settle(struct dif_state *state);
/* A copy to try something on. */
bool dif_traffic_view_copy(struct dif_arena *a, const struct dif_traffic_view *from,
                           struct dif_traffic_view *to);

/* What a person asks for. */
enum dif_traffic_act { DIF_DRAIN, DIF_UNDRAIN, DIF_PIN, DIF_UNPIN, DIF_TRAFFIC_ACTS };
const char *dif_traffic_act_name(uint32_t act); /* "drain" */
/* Notes it; the next decision follows it. False: err: it makes no sense for this destination. */
bool dif_traffic_view_act(struct dif_traffic_view *v, enum dif_traffic_act act, uint32_t index,
                          struct dif_error *err);
/* dif_failover_decide on it, for now. */
void dif_traffic_view_decide(struct dif_traffic_view *v, struct dif_failover_plan *plan);
/* Another agent leads readers: the route becomes what was read of a record, as a steering of these
 * caps tells it. Where that is another route (changed), nothing returns for [failover] hold, and
 * who is out of it returns as one that was in it. False: the record has none of ours. */
bool dif_traffic_view_follow(struct dif_traffic_view *v, const struct dif_caps *caps,
                             const struct dif_target *read, uint32_t n, bool *changed);
/* "eu 67 %, us 33 %": who gets which part of the readers. */
void dif_traffic_view_route(const struct dif_traffic_view *v, struct dif_buf *to);
/* The index of a destination; config->ndestinations: there is none. */
uint32_t dif_traffic_view_find(const struct dif_traffic_view *v, const char *name);

#endif
