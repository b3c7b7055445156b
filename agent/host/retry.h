/* retry - when to try again, how much at once, and when to stop asking. Pure: time and chance come
 * in as arguments.
 *
 * Parameters and their sources: docs/ARCHITECTURE.md, "Pressure". Transport errors get full jitter
 * (250 ms, x2, cap 20 s); throttling gets Retry-After (cap 60 s), else equal jitter (1 s, half as
 * floor): full jitter can collapse to nothing.
 */
#ifndef DIF_HOST_RETRY_H
#define DIF_HOST_RETRY_H

#include "base/err.h"

/* Milliseconds to wait before attempt number `attempt` (1 is the first repeat). chance is uniform
 * in [0, 1). */
int64_t dif_retry_delay(const struct dif_error *err, uint32_t attempt, double chance);

/* What one destination may do at once and how fast. */
struct dif_pressure {
	/* window: one more per success up to 32, from there twice as much where that pays;
	 * halved on throttle, at most once per 1 s */
	double window;
	uint32_t window_min, window_max, in_flight;
	uint32_t share; /* of the agent's connections: no more at once, whatever the window */
	int64_t halved_at;
	uint32_t full; /* of those under way, begun while the window was at least half full */
	/* whether it pays: successes while it is full, the first ones not counted, and since when;
	 * what the window was before, 0: nothing is tried, and the successes per ms of then; when
	 * the next may be tried */
	int32_t measured;
	int64_t measured_since, try_at;
	double before, rate_before;
	/* writes per second, 0: no limit */
	double rate, allowance;
	int64_t rate_at;
	/* retry budget: 500 tokens, a repeat costs 5, after a timeout 10, a success gives 1 back */
	double tokens;
	/* breaker: open after 5 failures in a row, or half of 20 or more within 30 s; 5 s doubling
	 * to 300 s; one probe, three successes close it */
	uint32_t breaker; /* enum dif_breaker */
	uint32_t failures_in_a_row, probes_ok;
	uint32_t bucket_ok[6], bucket_bad[6]; /* 5 s each */
	int64_t bucket_at, opened_at;
	int64_t open_for, open_until; /* as doubled so far; with its jitter */
};
enum dif_breaker { DIF_CLOSED, DIF_OPEN, DIF_HALF_OPEN };

void dif_pressure_init(struct dif_pressure *p, uint32_t window_max, double writes_per_s,
                       int64_t now);
uint32_t dif_pressure_width(const struct dif_pressure *p); /* how many at once, now */
/* May another op start now? Else *wait tells after how many ms to ask again (0: when one ends). */
bool dif_pressure_may_start(struct dif_pressure *p, bool is_write, int64_t now, int64_t *wait);
/* There is more to do, but for the memory that so many requests may have: the window counts as full
 * although less is under way. */
void dif_pressure_full(struct dif_pressure *p);
void dif_pressure_started(struct dif_pressure *p, bool is_write, int64_t now);
/* cls OK also for answers such as NOT_FOUND and CONFLICT. local: our own fault (EMFILE, no
 * network): does not count. */
void dif_pressure_ended(struct dif_pressure *p, enum dif_class cls, bool local, int64_t now,
                        double chance);
/* Takes the tokens. With nothing in flight one repeat is always allowed: it is no storm, and no
 * success could ever fill the budget again. */
bool dif_pressure_may_retry(struct dif_pressure *p, bool timeout);

#endif
