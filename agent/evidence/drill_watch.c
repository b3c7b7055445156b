/* drill_watch - what has happened since the last look: the agent's own view is read, nothing is
 * asked for. */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "evidence/drill_private.h"
#include "flow/lag.h"

#define RECENT_CUTS 50
#define LOOK_MS 2000       /* between two looks that are asked for after the fault */
#define WHOLE_MS 500       /* between two questions to the state */
#define WAIT_BACK_MS 60000 /* a return that takes longer is told, not waited for */
#define ROUTE_MAX 4096

static const struct dif_traffic_view *view(const struct dif_drills *d)
{
	return dif_traffic_now(d->in.traffic);
}

void drill_route_text(const struct dif_drills *d, char to[DIF_DRILL_TEXT])
{
	struct dif_buf b;
	dif_buf_init(&b, ROUTE_MAX);
	dif_traffic_view_route(view(d), &b);
	(void)snprintf(to, DIF_DRILL_TEXT, "%.200s", dif_buf_str(&b));
	dif_buf_fini(&b);
}

static bool is_route_as_before(const struct dif_drills *d)
{
	const struct dif_traffic_view *v = view(d);
	char text[DIF_DRILL_TEXT];
	if (d->percent == NULL) {
		drill_route_text(d, text);
		return strcmp(text, d->record.route) == 0;
	}
	for (uint32_t i = 0; i < d->nroute; i++) {
		if (v->share[i].percent != d->percent[i]) {
			return false;
		}
	}
	return true;
}

static bool do_steerings_stand(const struct dif_drills *d)
{
	for (uint32_t i = 0; i < view(d)->config->nsteerings; i++) {
		if (!dif_traffic_steering(d->in.traffic, i)->stands) {
			return false;
		}
	}
	return true;
}

/* --- noticed --- */

/* The failure by which the agent notices this kind; NULL: none yet. */
static const char *failure(const struct dif_drills *d)
{
	const struct dif_setup *s = d->in.setup;
	const struct dif_destination *t =
		d->target != DRILL_NOBODY ? &s->destinations[d->target] : NULL;
	const struct dif_error *err = NULL;
	switch ((enum dif_drill_notice)d->kind->notice) {
	case DIF_NOTICED_BY_STORE:
		err = dif_instance_trouble(t->store);
		break;
	case DIF_NOTICED_BY_PURGE:
		err = t->purger != NULL ? dif_purger_error(t->purger) : NULL;
		break;
	case DIF_NOTICED_BY_STEERING:
		for (uint32_t i = 0;
		     i < s->config->nsteerings && (err == NULL || err->cls == DIF_OK); i++) {
			err = &dif_traffic_steering(d->in.traffic, i)->err;
			err = err->cls == DIF_OK ? dif_instance_trouble(s->steerings[i]) : err;
		}
		break;
	case DIF_NOTICED_BY_SOURCE:
		for (uint32_t i = 0; i < s->config->nsources && (err == NULL || err->cls == DIF_OK);
		     i++) {
			err = dif_instance_trouble(s->sources[i]);
		}
		break;
	case DIF_NOTICED_BY_STATE:
		return d->flushed_bad && !d->flushed_good ? d->flush_text : NULL;
	default:
		break;
	}
	return err != NULL && err->cls != DIF_OK ? err->text : NULL;
}

static void watch_health(struct dif_drills *d)
{
	const struct dif_health *h = dif_traffic_health(d->in.traffic, d->target);
	if (!d->has_first && h->failed > 0 && h->failed_at >= d->struck_at) {
		d->has_first = true;
		drill_event(d, DIF_DRILL_FIRST_FAILURE, h->failed_at, "%.200s", h->failure);
	}
	if (!d->has_first && h->is_stale) { /* looks do not fail: they show an older cut */
		d->has_first = true;
		drill_event(d, DIF_DRILL_FIRST_FAILURE, h->since, "%.200s", h->reason);
	}
	if (!d->has_noticed && (h->verdict == DIF_HEALTH_DOWN || h->is_stale)) {
		d->has_noticed = true;
		drill_event(d, DIF_DRILL_NOTICED, h->since, "%.200s", h->reason);
	}
}

static void watch_box(struct dif_drills *d)
{
	struct drill_job *j = d->job;
	const struct dif_inbox_result *r =
		dif_inbox_take(&j->arena, d->in.setup->config->state, j->box.id);
	if (r == NULL) {
		dif_arena_reset(&j->arena);
		return;
	}
	bool refused = r->exit == DIF_EXIT_DIGEST || r->exit == DIF_EXIT_PACKAGE;
	d->has_first = d->has_noticed = true;
	dif_inbox_leave(&j->box);
	drill_event(d, refused ? DIF_DRILL_NOTICED : DIF_DRILL_FIRST_FAILURE, dif_steady_ms(),
	            "exit %d: %.180s", r->exit, r->text);
}

/* The store has told its time, and requests are dated by it again. */
static void watch_clock(struct dif_drills *d)
{
	const struct dif_instance *store = d->in.setup->destinations[d->target].store;
	int64_t off = dif_instance_clock(store) - d->clock;
	int64_t window = dif_instance_caps(store)->clock_window_s;
	if (!d->has_noticed && (off < 0 ? -off : off) <= window) {
		d->has_noticed = true;
		drill_event(d, DIF_DRILL_NOTICED, dif_steady_ms(),
		            "requests follow the store's clock again");
	}
}

static void watch_notice(struct dif_drills *d)
{
	if (d->kind->notice == DIF_NOTICED_BY_HEALTH) {
		watch_health(d);
	} else if (d->kind->notice == DIF_NOTICED_BY_REFUSAL) {
		if (!d->has_noticed) {
			watch_box(d);
		}
	} else if (d->kind->notice == DIF_NOTICED_BY_CLOCK) {
		watch_clock(d);
	} else if (!d->has_noticed) {
		const char *why = failure(d);
		if (why != NULL) {
			d->has_first = d->has_noticed = true;
			drill_event(d, DIF_DRILL_NOTICED, dif_steady_ms(), "%.200s", why);
		}
	}
}

static void watch_verdict(struct dif_drills *d)
{
	if (d->target == DRILL_NOBODY) {
		return;
	}
	const struct dif_failover_input *in = &view(d)->in[d->target];
	if (in->verdict != d->verdict) {
		d->verdict = in->verdict;
		drill_event(d, DIF_DRILL_VERDICT, in->since, "%s: %.180s",
		            dif_health_name(in->verdict), in->reason);
	}
}

/* --- moved --- */

struct counting {
	const struct dif_order *shown, *seen;
	int64_t n;
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct counting *k = data;
	k->n += (c->status == DIF_CUT_LIVE || c->status == DIF_CUT_SUPERSEDED) &&
	        dif_order_compare(&c->order, k->shown) > 0 &&
	        dif_order_compare(&c->order, k->seen) <= 0;
}

/* Cuts that the most backward of those in the route lacks of what readers have seen. */
static int64_t count_behind(const struct dif_drills *d)
{
	const struct dif_traffic_view *v = view(d);
	int64_t most = 0;
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		struct counting k = {&v->in[i].shown, &v->failover.seen, 0};
		if (v->share[i].percent > 0 && i != d->target) {
			dif_state_cuts(d->in.setup->state, RECENT_CUTS, on_cut, &k);
			most = k.n > most ? k.n : most;
		}
	}
	return most;
}

static void watch_route(struct dif_drills *d)
{
	const struct dif_traffic_view *v = view(d);
	char text[DIF_DRILL_TEXT];
	if (!d->kind->moves) {
		if (!d->record.route_changed && !d->record.others_bad && !is_route_as_before(d)) {
			d->record.route_changed = true;
			drill_route_text(d, text);
			drill_event(d, DIF_DRILL_ROUTE_DECIDED, dif_steady_ms(), "%s", text);
		}
		return;
	}
	if (!d->has_decided && v->share[d->target].percent == 0) {
		d->has_decided = true;
		d->record.behind = count_behind(d);
		drill_route_text(d, text);
		drill_event(d, DIF_DRILL_ROUTE_DECIDED, v->failover.changed, "%s", text);
	}
	if (d->has_decided && !d->has_stood && v->config->nsteerings > 0 && do_steerings_stand(d)) {
		d->has_stood = true;
		drill_event(d, DIF_DRILL_ROUTE_STANDS, dif_steady_ms(), "%.200s",
		            dif_traffic_steering(d->in.traffic, 0)->standing);
	}
	int64_t stands = dif_drill_at(&d->record, DIF_DRILL_ROUTE_STANDS);
	int64_t over = d->began + stands + d->record.ttl_ms;
	if (d->has_stood && !d->has_ttl && dif_steady_ms() >= over) {
		d->has_ttl = true;
		drill_event(d, DIF_DRILL_TTL_OVER, over, "%s", "");
	}
}

void drill_watch(struct dif_drills *d)
{
	watch_notice(d);
	watch_verdict(d);
	watch_route(d);
}

/* --- clean again --- */

static bool is_struck_well(struct dif_drills *d)
{
	const struct dif_setup *s = d->in.setup;
	const struct dif_destination *t =
		d->target != DRILL_NOBODY ? &s->destinations[d->target] : NULL;
	switch ((enum dif_drill_notice)d->kind->notice) {
	case DIF_NOTICED_BY_PURGE:
		return failure(d) == NULL && t->purger != NULL &&
		       dif_purger_counts(t->purger).owed == 0;
	case DIF_NOTICED_BY_SOURCE:
		for (uint32_t i = 0; i < s->config->nsources; i++) {
			if (dif_source_polled(d->in.sources[i]) < d->lifted_at) {
				return false;
			}
		}
		return failure(d) == NULL;
	case DIF_NOTICED_BY_REFUSAL:
		return d->has_noticed;
	case DIF_NOTICED_BY_STATE:
		return d->flushed_good;
	default:
		return failure(d) == NULL;
	}
}

static bool is_healthy(const struct dif_drills *d)
{
	char text[DIF_DRILL_TEXT];
	bool others = d->record.others_bad || !drill_other_is_bad(d, text);
	return others &&
	       (d->target == DRILL_NOBODY || view(d)->in[d->target].verdict == DIF_HEALTH_HEALTHY);
}

static bool is_whole(const struct dif_drills *d)
{
	const struct dif_setup *s = d->in.setup;
	for (uint32_t i = 0; i < s->config->ndestinations; i++) {
		bool mine = i == d->target || (d->target == DRILL_NOBODY && !d->record.others_bad);
		const struct dif_destination *t = &s->destinations[i];
		if (mine && !t->gone &&
		    (t->busy || dif_instance_down_since(t->store) != 0 ||
		     !dif_lag_is_whole(s, i))) {
			return false;
		}
	}
	return true;
}

/* When the destination returns at the earliest, steady ms; 0: it is by hand. */
static int64_t returns_at(const struct dif_drills *d)
{
	const struct dif_traffic_view *v = view(d);
	const struct dif_failover_config *c = &v->config->failover;
	int64_t since = d->target != DRILL_NOBODY ? v->in[d->target].since : d->lifted_at;
	int64_t by_health = since + c->failback_time;
	int64_t at = v->failover.hold_until > by_health ? v->failover.hold_until : by_health;
	int64_t steps = c->step > 0 ? (100 + c->step - 1) / c->step - 1 : 0;
	return c->failback ? at + steps * c->step_time : 0;
}

static void watch_back(struct dif_drills *d)
{
	char text[DIF_DRILL_TEXT], span[DIF_DATE_MAX];
	int64_t now = dif_steady_ms();
	if (d->has_back || d->has_later) {
		return;
	}
	if (is_route_as_before(d) && do_steerings_stand(d)) {
		d->has_back = true;
		drill_route_text(d, text);
		drill_event(d, DIF_DRILL_ROUTE_BACK, now, "%s", text);
	} else if (d->has_healthy && (d->kind->moves || d->record.route_changed)) {
		int64_t at = returns_at(d);
		if (at == 0 || at > now + WAIT_BACK_MS) {
			d->has_later = true;
			drill_event(d, DIF_DRILL_ROUTE_LATER, now, "%s",
			            at == 0 ? "failback = no: difusor undrain brings it back"
			                    : dif_span(span, at - now));
		}
	}
}

void drill_watch_clean(struct dif_drills *d)
{
	int64_t now = dif_steady_ms();
	if (now >= d->look_at && !d->has_whole) {
		d->look_at = now + LOOK_MS;
		d->in.look(d->in.data);
	}
	watch_verdict(d);
	watch_route(d);
	if (!d->has_healthy && is_healthy(d) && is_struck_well(d)) {
		d->has_healthy = true;
		drill_event(d, DIF_DRILL_HEALTHY, now, "%s", "");
	}
	if (!d->has_whole && now >= d->whole_at) {
		d->whole_at = now + WHOLE_MS;
		d->has_whole = is_whole(d);
		if (d->has_whole) {
			drill_event(d, DIF_DRILL_WHOLE, now, "%s", "");
		}
	}
	watch_back(d);
}

bool drill_is_clean(const struct dif_drills *d)
{
	/* where another one's trouble is real, the route is its, too */
	bool back = d->has_back || d->has_later || d->record.others_bad;
	return d->has_healthy && d->has_whole && back && d->injector == NULL;
}
