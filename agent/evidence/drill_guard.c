/* drill_guard - when a drill may begin: only where readers keep a good place to go to, and where
 * what is measured is the drill's own doing.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "evidence/drill_private.h"

#define MARGIN_MS 5000 /* for a busy machine, on top of what the configuration says */
#define CALL_MS 30000  /* to notice what fails at once where it is asked for, retries and all */
#define APPLY_MS 30000 /* for a route to be set and read back */
#define AFTER_MS 15000 /* a fault stays for so long after it should have been noticed */
#define MOVES_LEFT 2   /* away and back; the last one of the hour is for real trouble */

static bool refuse(struct dif_error *err, const char *drill, const char *why)
{
	return dif_error_exit(err, DIF_EXIT_GUARD, DIF_PERMANENT,
	                      "could not begin drill '%.32s': %s", drill, why);
}

/* --- destinations --- */

static bool counts(const struct dif_traffic_view *v, uint32_t i)
{
	return !v->in[i].is_private && !v->in[i].gone && !v->in[i].drained;
}

bool drill_other_is_bad(const struct dif_drills *d, char to[DIF_DRILL_TEXT])
{
	const struct dif_traffic_view *v = dif_traffic_now(d->in.traffic);
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		uint32_t verdict = v->in[i].verdict;
		if (i == d->target || !counts(v, i) || verdict == DIF_HEALTH_HEALTHY) {
			continue;
		}
		if (verdict == DIF_HEALTH_UNKNOWN && d->phase == DRILL_STRUCK) {
			continue; /* dropped in meanwhile */
		}
		snprintf(to, DIF_DRILL_TEXT, "destination '%.64s' is %s: %.120s", v->in[i].name,
		         dif_health_name(verdict), v->in[i].reason);
		return true;
	}
	return false;
}

/* The one with the fewest readers: nobody named one. */
static uint32_t choose(const struct dif_drills *d)
{
	const struct dif_traffic_view *v = dif_traffic_now(d->in.traffic);
	bool cdns = (d->kind->strikes & DIF_STRIKES_CDNS) != 0;
	uint32_t best = DRILL_NOBODY, least = UINT32_MAX;
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		uint32_t weight = dif_failover_weight(&v->failover, v->in, i);
		if (weight > 0 && weight <= least &&
		    (!cdns || v->config->destinations[i].ncdns > 0)) {
			best = i;
			least = weight;
		}
	}
	return best;
}

static void host_of(const char *url, const char **p, size_t *n)
{
	const char *scheme = strstr(url, "://");
	*p = scheme != NULL ? scheme + 3 : url;
	*n = strcspn(*p, "/?#");
}

static bool share_host(const char *a, const char *b)
{
	const char *p = NULL, *q = NULL;
	size_t n = 0, m = 0;
	if (a == NULL || b == NULL) {
		return false;
	}
	host_of(a, &p, &n);
	host_of(b, &q, &m);
	return n == m && strncasecmp(p, q, n) == 0;
}

/* What a fault strikes must be the target's alone. */
static bool is_alone(const struct dif_drills *d, struct dif_error *err)
{
	const struct dif_config *c = d->in.setup->config;
	const struct dif_destination *mine = &d->in.setup->destinations[d->target];
	char why[DIF_DRILL_TEXT];
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		const struct dif_destination *other = &d->in.setup->destinations[i];
		bool store =
			(d->kind->strikes & DIF_STRIKES_STORE) != 0 && other->store == mine->store;
		bool address = (d->kind->strikes & DIF_STRIKES_PUBLIC) != 0 &&
		               share_host(other->config->public_url, mine->config->public_url);
		if (i != d->target && (store || address)) {
			snprintf(why, sizeof why, "destination '%.64s' shares its %s with '%.64s'",
			         mine->config->name, store ? "store" : "address",
			         other->config->name);
			return refuse(err, d->kind->name, why);
		}
	}
	return true;
}

static bool has_target(struct dif_drills *d, const struct dif_ask *ask, struct dif_error *err)
{
	const struct dif_traffic_view *v = dif_traffic_now(d->in.traffic);
	uint32_t n = v->config->ndestinations;
	d->target = DRILL_NOBODY;
	if ((d->kind->strikes & DIF_STRIKES_ONE) == 0 && d->kind->notice != DIF_NOTICED_BY_CLOCK) {
		return true;
	}
	d->target = ask->name[0] != '\0' ? dif_traffic_view_find(v, ask->name) : choose(d);
	if (ask->name[0] != '\0' && d->target == n) {
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_NOT_FOUND,
		                      "could not begin drill '%.32s': there is no destination "
		                      "'%.64s'",
		                      ask->drill, ask->name);
	}
	if (d->target == DRILL_NOBODY) {
		return refuse(err, ask->drill,
		              "no destination is in the route that it could strike");
	}
	const struct dif_destination_config *t = &v->config->destinations[d->target];
	if (t->public_url == NULL) { /* without one its store alone decides what it is taken for */
		return refuse(err, ask->drill, "the destination has no public_url to look at");
	}
	if ((d->kind->strikes & DIF_STRIKES_CDNS) != 0 && t->ncdns == 0) {
		return refuse(err, ask->drill, "the destination has no cdn");
	}
	return is_alone(d, err);
}

/* --- the route --- */

static bool may_move(const struct dif_drills *d, struct dif_error *err)
{
	const struct dif_traffic_view *v = dif_traffic_now(d->in.traffic);
	int64_t left = 0;
	char why[DIF_DRILL_TEXT];
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		left += i != d->target && counts(v, i) && v->in[i].verdict == DIF_HEALTH_HEALTHY;
	}
	if (v->share[d->target].percent == 0) {
		return refuse(err, d->kind->name, "the destination is not in the route");
	}
	if (left < v->config->failover.minimum || left == 0) {
		snprintf(why, sizeof why,
		         "%lld healthy destinations would be left, and %lld are needed",
		         (long long)left, (long long)v->config->failover.minimum);
		return refuse(err, d->kind->name, why);
	}
	if (v->moves_left < MOVES_LEFT) {
		return refuse(err, d->kind->name,
		              "too few moves are left within the hour ([failover] moves)");
	}
	return true;
}

static bool is_calm(const struct dif_drills *d, struct dif_error *err)
{
	const struct dif_traffic_view *v = dif_traffic_now(d->in.traffic);
	char why[DIF_DRILL_TEXT];
	if (!dif_traffic_leads(d->in.traffic)) {
		return refuse(err, d->kind->name, "another agent does the work: ask that one");
	}
	if (!v->failover.known || dif_traffic_wanted(d->in.traffic)->sha256[0] == '\0') {
		return refuse(err, d->kind->name, "there is no route yet, or nothing is published");
	}
	if (v->failover.pinned >= 0) {
		return refuse(err, d->kind->name, "the route is pinned by hand");
	}
	if (v->frozen) {
		snprintf(why, sizeof why, "the route is frozen: %.200s", v->why);
		return refuse(err, d->kind->name, why);
	}
	if (drill_other_is_bad(d, why)) {
		return refuse(err, d->kind->name, why);
	}
	if (d->target != DRILL_NOBODY && v->in[d->target].verdict != DIF_HEALTH_HEALTHY) {
		snprintf(why, sizeof why, "destination '%.64s' is %s already: %.120s",
		         v->in[d->target].name, dif_health_name(v->in[d->target].verdict),
		         v->in[d->target].reason);
		return refuse(err, d->kind->name, why);
	}
	return true;
}

/* --- what each needs besides --- */

static bool has_what_it_strikes(const struct dif_drills *d, struct dif_error *err)
{
	const struct dif_setup *s = d->in.setup;
	if ((d->kind->strikes & DIF_STRIKES_STEERINGS) != 0 && s->config->nsteerings == 0) {
		return refuse(err, d->kind->name, "there is no [steering]");
	}
	for (uint32_t i = 0; i < s->config->nsteerings; i++) {
		const struct dif_steering_status *st = dif_traffic_steering(d->in.traffic, i);
		if (!st->stands) {
			return refuse(err, d->kind->name,
			              "a steering has not brought its record to the route yet");
		}
	}
	for (uint32_t i = 0; d->kind->notice == DIF_NOTICED_BY_SOURCE && i < s->config->nsources;
	     i++) {
		if (dif_instance_trouble(s->sources[i])->cls != DIF_OK) {
			return refuse(err, d->kind->name, "a source has failed already");
		}
	}
	return true;
}

static bool can_strike(const struct dif_drills *d, struct dif_error *err)
{
	const struct dif_setup *s = d->in.setup;
	bool delays = d->kind->notice == DIF_NOTICED_BY_REFUSAL ||
	              d->kind->notice == DIF_NOTICED_BY_STATE;
	for (uint32_t i = 0; delays && i < s->config->ndestinations; i++) {
		if (s->destinations[i].busy) {
			return refuse(err, d->kind->name,
			              "a cut is being delivered, and would be held up; try again");
		}
	}
	if (d->kind->notice == DIF_NOTICED_BY_CLOCK &&
	    dif_instance_caps(s->destinations[d->target].store)->clock_window_s == 0) {
		return refuse(err, d->kind->name,
		              "the destination's store does not look at the time of requests");
	}
	if (d->kind->notice == DIF_NOTICED_BY_STORE &&
	    dif_instance_trouble(s->destinations[d->target].store)->cls != DIF_OK) {
		return refuse(err, d->kind->name, "the destination's store has failed already");
	}
	return true;
}

bool drill_guard(struct dif_drills *d, const struct dif_ask *ask, struct dif_error *err)
{
	return has_target(d, ask, err) && is_calm(d, err) && has_what_it_strikes(d, err) &&
	       can_strike(d, err) && (!d->kind->moves || may_move(d, err));
}

/* --- bounds --- */

/* The last good look may have been just now; then `fall` in a row, each as slow as may be. */
static int64_t health_bound(const struct dif_health_config *h)
{
	int64_t first = h->interval * (100 + h->jitter) / 100 + h->timeout;
	int64_t each = h->fast * (100 + h->jitter) / 100 + h->timeout;
	int64_t more = (h->fall - 1) * each;
	return first + (more > h->fall_time + each ? more : h->fall_time + each) + MARGIN_MS;
}

static int64_t slowest_source(const struct dif_config *c)
{
	int64_t every = 0;
	for (uint32_t i = 0; i < c->nsources; i++) {
		every = c->sources[i].every > every ? c->sources[i].every : every;
	}
	return every;
}

void drill_set_bounds(struct dif_drills *d, const struct dif_ask *ask)
{
	struct dif_drill_record *r = &d->record;
	const struct dif_config *c = d->in.setup->config;
	for (uint32_t i = 0; i < c->nsteerings; i++) {
		int64_t ttl = (int64_t)dif_traffic_steering(d->in.traffic, i)->ttl_s * 1000;
		r->ttl_ms = ttl > r->ttl_ms ? ttl : r->ttl_ms;
	}
	r->steered = c->nsteerings > 0;
	if (d->kind->notice == DIF_NOTICED_BY_HEALTH) {
		r->interval_ms = c->health.interval;
		r->detection_bound_ms = health_bound(&c->health);
	} else if (d->kind->notice == DIF_NOTICED_BY_SOURCE) {
		r->interval_ms = slowest_source(c);
		r->detection_bound_ms = r->interval_ms + CALL_MS + MARGIN_MS;
	} else if (d->kind->notice == DIF_NOTICED_BY_RESTART) {
		r->detection_bound_ms = d->kind->length_ms;
	} else {
		r->detection_bound_ms = CALL_MS + MARGIN_MS;
	}
	r->rto_bound_ms = ask->rto_ms != 0
	                          ? ask->rto_ms
	                          : r->detection_bound_ms + (r->steered ? APPLY_MS : 0) + r->ttl_ms;
	int64_t least = r->detection_bound_ms + AFTER_MS + (d->kind->moves ? r->ttl_ms : 0);
	if (d->kind->notice == DIF_NOTICED_BY_REFUSAL || d->kind->notice == DIF_NOTICED_BY_STATE) {
		least = 0;
	}
	r->length_ms = ask->length_ms != 0          ? ask->length_ms
	               : least > d->kind->length_ms ? least
	                                            : d->kind->length_ms;
}
