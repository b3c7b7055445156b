/* failover - verdicts, weights, pins and drains to a route. A pure function with a memory: time is
 * a parameter (ms of one clock), nothing is read or sent.
 *
 * The rules, the strongest first:
 *   - a private destination is never in the route;
 *   - a pin by hand is the route, whatever is said of the destination;
 *   - where nothing is known the route stays: a destination in it that was not judged yet, our own
 *     network in doubt (references silent; or, while none is known to answer, one of it down and
 *     `panic` percent of it, two at least, down or failing their last look);
 *   - the route is never empty, and at least `minimum` good destinations stay where one leaves;
 *   - readers are never led to an older cut than readers have seen: after a move every destination
 *     in the route shows that one or a later one;
 *   - at most `moves` moves within an hour, of which returns leave the last one for a rescue;
 *   - after a move nothing returns for `hold`, doubled with each move within the hour.
 *
 * A move is what leads readers elsewhere by itself: destinations leave, enter or both. The steps of
 * a return, and what a person asked for (drain, undrain, pin), are no moves. A destination leaves
 * where it is down or stale, drained or gone; a degraded one stays, but does not enter. A spare
 * (weight 0) enters only where too few others are good, and leaves when they are back.
 */
#ifndef DIF_FLOW_FAILOVER_H
#define DIF_FLOW_FAILOVER_H

#include "flow/health.h"

#define DIF_FAILOVER_MOVES 60 /* remembered; [failover] moves is at most that */
#define DIF_FAILOVER_TEXT 512
#define DIF_FAILOVER_WHOLE 100 /* percent: all of its weight */

/* What is known of our own network. */
enum dif_sight {
	DIF_SIGHT_NONE,  /* no references, or not asked yet */
	DIF_SIGHT_CLEAR, /* one of them answers */
	DIF_SIGHT_BLIND  /* none of them does */
};

struct dif_failover_input {
	const char *name;
	uint32_t verdict; /* enum dif_health_verdict */
	bool is_stale;
	bool is_doubtful; /* its last look failed: it is not entered now */
	const char *reason;
	int64_t since;          /* of the verdict */
	int64_t checked;        /* the last right look; 0: none */
	struct dif_order shown; /* sha256 "": not known */
	int64_t weight;         /* 0: a spare */
	bool is_private;
	bool drained; /* by hand */
	bool gone;    /* its configuration was taken away */
};

/* Of one destination. */
struct dif_failover_share {
	uint32_t percent; /* of its weight; 0: not in the route */
	uint32_t before;  /* the same before a pin */
	uint32_t next;    /* scratch of dif_failover_decide */
	int64_t stepped;  /* the last step of its return */
	bool was_in;      /* it has been in the route: to enter it again is a return */
	bool recalled;    /* by hand: it need not wait */
};

struct dif_failover {
	bool known;                        /* there is a route */
	struct dif_failover_share *share;  /* one per input, the caller's; zeroed at first */
	struct dif_order seen;             /* the newest that readers have been shown */
	int64_t moved[DIF_FAILOVER_MOVES]; /* the newest moves; a ring */
	uint32_t nmoved;                   /* in all */
	int64_t hold_until;
	int64_t pinned;                 /* index, -1: nobody */
	int64_t was_pinned;             /* the route is still as that pin made it */
	int64_t changed;                /* the last change of the route */
	char reason[DIF_FAILOVER_TEXT]; /* of it */
};

struct dif_failover_plan {
	bool changed; /* the weights are others than before */
	bool moved;   /* and it was a move */
	uint32_t moves_left;
	bool frozen;                 /* it may not do what it should; why says */
	char why[DIF_FAILOVER_TEXT]; /* what stands in the way, "": nothing does */
};

void dif_failover_init(struct dif_failover *f, struct dif_failover_share *share);
/* Decides for now. n inputs, the same indexes each time; n may grow. */
void dif_failover_decide(struct dif_failover *f, const struct dif_failover_config *rules,
                         const struct dif_failover_input *in, uint32_t n, enum dif_sight sight,
                         int64_t now, struct dif_failover_plan *plan);
/* The weight of one destination in the route as it is; 0: not in it. */
uint32_t dif_failover_weight(const struct dif_failover *f, const struct dif_failover_input *in,
                             uint32_t i);
/* Moves that are left within the hour. */
uint32_t dif_failover_left(const struct dif_failover *f, const struct dif_failover_config *rules,
                           int64_t now);

#endif
