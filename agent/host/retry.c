/* retry - when to try again, how much at once, and when to stop asking.
 *
 * Three brakes, each against another failure: the window (too much at once for a healthy peer), the
 * budget (a peer that fails often: repeats must not become the load), the breaker (a peer that is
 * gone: ask rarely, with one op). Work is never dropped by any of them, only delayed.
 *
 *   closed --5 in a row, or half of 20 within 30 s--> open --time--> half open
 *     ^                                                ^                |  |
 *     |                                                +--probe failed--+  |
 *     +----------------------------------3 probes in a row were good------+
 */
#include "host/retry.h"

#include <assert.h>

#define TRANSPORT_BASE 250
#define THROTTLE_BASE 1000
#define DELAY_MAX 20000
#define ASKED_MAX 60000 /* no peer may stop a delivery for longer by Retry-After */

#define WINDOW_FIRST 32u
#define WINDOW_LEAST 2u
#define HALVE_EVERY 1000
#define GROWS 2.0
#define PAYS 1.6 /* times the successes; where connections are what is short, it would be GROWS */
#define MEASURE_MS 100
#define TRY_EVERY 2000

#define TOKENS 500.0
#define COST_REPEAT 5.0
#define COST_TIMEOUT 10.0

#define BUCKET_MS 5000
#define ROW_MAX 5u
#define SAMPLE_MIN 20u
#define OPEN_FIRST 5000
#define OPEN_MAX 300000
#define PROBES 3u

/* base doubled for each attempt behind the first, at most DELAY_MAX */
static double doubled(int64_t base, uint32_t attempt)
{
	int64_t delay = base;
	for (uint32_t i = 1; i < attempt && delay < DELAY_MAX; i++) {
		delay *= 2;
	}
	return (double)(delay < DELAY_MAX ? delay : DELAY_MAX);
}

int64_t dif_retry_delay(const struct dif_error *err, uint32_t attempt, double chance)
{
	if (err->retry_after >= 0) {
		return err->retry_after < ASKED_MAX ? err->retry_after : ASKED_MAX;
	}
	if (err->cls == DIF_THROTTLED) {
		double half = doubled(THROTTLE_BASE, attempt) / 2;
		return (int64_t)(half + half * chance);
	}
	return (int64_t)(doubled(TRANSPORT_BASE, attempt) * chance);
}

void dif_pressure_init(struct dif_pressure *p, uint32_t window_max, double writes_per_s,
                       int64_t now)
{
	assert(window_max > 0);
	uint32_t first = window_max < WINDOW_FIRST ? window_max : WINDOW_FIRST;
	*p = (struct dif_pressure){
		.window = first,
		.window_min = window_max < WINDOW_LEAST ? window_max : WINDOW_LEAST,
		.window_max = window_max,
		.share = window_max,
		.measured = -(int32_t)first,
		.halved_at = now - HALVE_EVERY,
		.rate = writes_per_s,
		.rate_at = now,
		.allowance = 1, /* the first need not wait */
		.tokens = TOKENS,
		.breaker = DIF_CLOSED,
		.bucket_at = now,
	};
}

uint32_t dif_pressure_width(const struct dif_pressure *p)
{
	uint32_t window = (uint32_t)p->window;
	return window < p->share ? window : p->share;
}

/* Writes that may go out in a burst: a tenth of a second's worth. */
static void refill(struct dif_pressure *p, int64_t now)
{
	double burst = p->rate / 10 > 1 ? p->rate / 10 : 1;
	if (now > p->rate_at) {
		p->allowance += p->rate * (double)(now - p->rate_at) / 1000;
	}
	if (p->allowance > burst) {
		p->allowance = burst;
	}
	p->rate_at = now;
}

bool dif_pressure_may_start(struct dif_pressure *p, bool is_write, int64_t now, int64_t *wait)
{
	*wait = 0;
	if (p->breaker == DIF_OPEN) {
		if (now < p->open_until) {
			*wait = p->open_until - now;
			return false;
		}
		if (p->in_flight > 0) {
			return false; /* what began before the trouble must not pass for a probe */
		}
		p->breaker = DIF_HALF_OPEN;
		p->probes_ok = 0;
	}
	uint32_t most = p->breaker == DIF_HALF_OPEN ? 1 : dif_pressure_width(p);
	if (p->in_flight >= most) {
		return false;
	}
	if (is_write && p->rate > 0) {
		refill(p, now);
		if (p->allowance < 1) {
			*wait = (int64_t)((1 - p->allowance) * 1000 / p->rate) + 1;
			return false;
		}
	}
	return true;
}

void dif_pressure_full(struct dif_pressure *p)
{
	p->full = p->in_flight;
}

void dif_pressure_started(struct dif_pressure *p, bool is_write, int64_t now)
{
	p->in_flight++;
	if (p->in_flight * 2 >= dif_pressure_width(p)) {
		dif_pressure_full(p);
	}
	if (is_write && p->rate > 0) {
		refill(p, now);
		p->allowance -= 1;
	}
}

/* --- the breaker --- */

static void turn_buckets(struct dif_pressure *p, int64_t now)
{
	for (uint32_t i = 0; i < DIF_LEN(p->bucket_ok) && now - p->bucket_at >= BUCKET_MS; i++) {
		memmove(p->bucket_ok + 1, p->bucket_ok, sizeof p->bucket_ok - sizeof(uint32_t));
		memmove(p->bucket_bad + 1, p->bucket_bad, sizeof p->bucket_bad - sizeof(uint32_t));
		p->bucket_ok[0] = p->bucket_bad[0] = 0;
		p->bucket_at += BUCKET_MS;
	}
	if (now - p->bucket_at >= BUCKET_MS) {
		p->bucket_at = now; /* all of them were older than the window */
	}
}

static void forget(struct dif_pressure *p)
{
	p->failures_in_a_row = 0;
	memset(p->bucket_ok, 0, sizeof p->bucket_ok);
	memset(p->bucket_bad, 0, sizeof p->bucket_bad);
}

static void trip(struct dif_pressure *p, int64_t now, double chance)
{
	int64_t next = p->open_for == 0 ? OPEN_FIRST : p->open_for * 2;
	p->open_for = next < OPEN_MAX ? next : OPEN_MAX;
	p->opened_at = now;
	double half = (double)p->open_for / 2;
	p->open_until = now + (int64_t)(half + half * chance);
	p->breaker = DIF_OPEN;
	forget(p);
}

static bool is_too_bad(const struct dif_pressure *p)
{
	uint32_t ok = 0, bad = 0;
	for (uint32_t i = 0; i < DIF_LEN(p->bucket_ok); i++) {
		ok += p->bucket_ok[i];
		bad += p->bucket_bad[i];
	}
	return p->failures_in_a_row >= ROW_MAX || (ok + bad >= SAMPLE_MIN && bad >= ok);
}

static void on_failure(struct dif_pressure *p, int64_t now, double chance)
{
	if (p->breaker == DIF_OPEN) {
		return; /* it began before the trouble; nothing new */
	}
	p->failures_in_a_row++;
	p->bucket_bad[0]++;
	if (p->breaker == DIF_HALF_OPEN || is_too_bad(p)) {
		trip(p, now, chance);
	}
}

/* --- the window --- */

/* After a change of it what is under way, and new connections, are not counted. */
static void measure_again(struct dif_pressure *p)
{
	p->measured = -(int32_t)p->window;
}

/* The window was full. A near store, a full line or our own processor get no faster by more
 * connections: they only wait there, and each costs a handshake and memory. */
static void try_more(struct dif_pressure *p, int64_t now)
{
	double most = p->window_max < p->share ? p->window_max : p->share;
	if (p->window < WINDOW_FIRST) {
		p->window = p->window + 1 < most ? p->window + 1 : p->window;
		measure_again(p);
		return;
	}
	if (++p->measured <= 0) {
		p->measured_since = now;
		return;
	}
	int64_t span = now - p->measured_since;
	if (p->measured < 2 * p->window || span < MEASURE_MS) {
		return;
	}
	double rate = p->measured / (double)span;
	if (p->before > 0 && rate < p->rate_before * PAYS) {
		p->window = p->before;
		p->before = 0;
		p->try_at = now + TRY_EVERY;
	} else if (p->window < most && now >= p->try_at) {
		p->before = p->window;
		p->rate_before = rate;
		p->window = p->window * GROWS < most ? p->window * GROWS : most;
	} else {
		p->before = 0;
	}
	measure_again(p);
}

static void on_success(struct dif_pressure *p, bool busy, int64_t now)
{
	if (p->tokens < TOKENS) {
		p->tokens += 1;
	}
	/* A window that nobody fills proves nothing about a larger one. */
	if (busy) {
		try_more(p, now);
	} else {
		measure_again(p);
	}
	if (p->breaker == DIF_OPEN) {
		return;
	}
	p->failures_in_a_row = 0;
	p->bucket_ok[0]++;
	if (p->breaker == DIF_HALF_OPEN && ++p->probes_ok >= PROBES) {
		p->breaker = DIF_CLOSED;
		p->open_for = 0;
		forget(p);
	}
}

static void on_throttled(struct dif_pressure *p, int64_t now)
{
	if (now - p->halved_at < HALVE_EVERY) {
		return; /* one burst is one sign, however many of its ops were refused */
	}
	p->halved_at = now;
	p->window /= 2;
	if (p->window < p->window_min) {
		p->window = p->window_min;
	}
	p->before = 0;
	measure_again(p);
}

void dif_pressure_ended(struct dif_pressure *p, enum dif_class cls, bool local, int64_t now,
                        double chance)
{
	assert(p->in_flight > 0);
	bool busy = p->full > 0;
	p->full -= busy ? 1 : 0;
	p->in_flight--;
	if (local) {
		return;
	}
	turn_buckets(p, now);
	switch (cls) {
	case DIF_OK:
	case DIF_NOT_FOUND:
	case DIF_CONFLICT:
		on_success(p, busy, now);
		break;
	case DIF_THROTTLED:
		on_throttled(p, now);
		break;
	case DIF_TRANSIENT:
	case DIF_AUTH:
		on_failure(p, now, chance);
		break;
	case DIF_PERMANENT: /* about one request or its bytes, not about the peer's health */
	case DIF_INTEGRITY:
	case DIF_CANCELED:
	case DIF_CLASSES:
		break;
	}
}

bool dif_pressure_may_retry(struct dif_pressure *p, bool timeout)
{
	double cost = timeout ? COST_TIMEOUT : COST_REPEAT;
	if (p->tokens < cost && p->in_flight > 0) {
		return false;
	}
	p->tokens = p->tokens > cost ? p->tokens - cost : 0;
	return true;
}
