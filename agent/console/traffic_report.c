#include "console/traffic_report.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "flow/traffic_view.h"

#define ARENA_MAX (64u << 20)
#define ROUTE_MAX (64u << 10)

/* From a cloud's end to the verdict: the look before it was just good, then it is in doubt. */
static int64_t detection_ms(const struct dif_health_config *h)
{
	int64_t first = h->interval * (100 + h->jitter) / 100 + h->timeout;
	int64_t each = (h->fast > h->timeout ? h->fast : h->timeout) * (h->fall - 1);
	return first + (each > h->fall_time ? each : h->fall_time + h->fast);
}

/* The slowest steering decides. */
static void change_ms(const struct dif_traffic_view *v, int64_t *change, int64_t *ttl)
{
	*change = *ttl = 0;
	for (uint32_t i = 0; i < v->config->nsteerings; i++) {
		const struct dif_steering_status *s = &v->steerings[i].status;
		*change = s->took_ms > *change ? s->took_ms : *change;
		*ttl = (int64_t)s->ttl_s * 1000 > *ttl ? (int64_t)s->ttl_s * 1000 : *ttl;
	}
}

static bool read_view(struct dif_arena *a, const struct dif_setup *s, struct dif_traffic_view *v)
{
	dif_arena_init(a, ARENA_MAX, false);
	if (s->state == NULL || !dif_traffic_view_init(a, s->config, v)) {
		return false;
	}
	dif_traffic_view_read(v, s->state);
	return v->kept != 0;
}

/* --- text --- */

static void text_route(struct dif_buf *out, const struct dif_traffic_view *v, bool running)
{
	const struct dif_failover *f = &v->failover;
	char span[DIF_DATE_MAX];
	int64_t now = dif_steady_ms();
	dif_buf_fmt(out, "%-16s ", "route");
	dif_traffic_view_route(v, out);
	if (f->known) {
		dif_buf_fmt(out, ", %s ago: %s", dif_span(span, now - f->changed), f->reason);
	}
	dif_buf_fmt(out, "\n");
	if (f->pinned >= 0) {
		dif_buf_fmt(out, "%-16s PINNED to %s by hand\n", "", v->in[f->pinned].name);
	}
	if (v->why[0] != '\0' && running) {
		dif_buf_fmt(out, "%-16s %s%s\n", "", v->frozen ? "FROZEN: " : "", v->why);
	}
	dif_buf_fmt(out, "%-16s %" PRIu32 " of %" PRId64 " moves left within the hour", "",
	            v->moves_left, v->config->failover.moves);
	if (f->hold_until > now) {
		dif_buf_fmt(out, "; nothing returns for %s", dif_span(span, f->hold_until - now));
	}
	dif_buf_fmt(out, "\n");
	if (!running) {
		dif_buf_fmt(out, "%-16s no agent is running: as it was %s ago\n", "",
		            dif_span(span, dif_wall_ms() - v->kept));
	}
}

static void text_health(struct dif_buf *out, const struct dif_traffic_view *v, uint32_t i)
{
	const struct dif_failover_input *in = &v->in[i];
	char span[DIF_DATE_MAX], name[96];
	snprintf(name, sizeof name, "health %s", in->name);
	if (v->config->destinations[i].is_private) {
		dif_buf_fmt(out, "%-16s private: no route leads there\n", name);
		return;
	}
	dif_buf_fmt(out, "%-16s %-9s for %s: %s%s", name, dif_health_name(in->verdict),
	            dif_span(span, dif_steady_ms() - in->since), in->reason,
	            in->drained ? "; DRAINED by hand" : "");
	if (v->share[i].percent > 0 && v->share[i].percent < DIF_FAILOVER_WHOLE) {
		dif_buf_fmt(out, "; at %" PRIu32 " %% of its weight", v->share[i].percent);
	}
	dif_buf_fmt(out, "\n");
}

static void text_steering(struct dif_buf *out, const struct dif_traffic_steering *s)
{
	char span[DIF_DATE_MAX], name[96];
	snprintf(name, sizeof name, "steering %s", s->config->name);
	dif_buf_fmt(out, "%-16s %s ", name, s->config->record);
	if (s->status.stands) {
		dif_buf_fmt(out, "stands since %s, TTL %" PRIu32 " s: %s\n",
		            dif_span(span, dif_wall_ms() - s->status.stood), s->status.ttl_s,
		            s->status.standing);
	} else {
		dif_buf_fmt(out, "DOES NOT STAND yet%s%s%s%s\n", s->error[0] != '\0' ? ": " : "",
		            s->error, s->status.standing[0] != '\0' ? "; there is " : "",
		            s->status.standing);
	}
}

void dif_traffic_report_text(struct dif_buf *out, const struct dif_setup *s)
{
	struct dif_arena a;
	struct dif_traffic_view v;
	char spans[4][DIF_DATE_MAX];
	int64_t change = 0, ttl = 0, detection = detection_ms(&s->config->health);
	if (read_view(&a, s, &v)) {
		text_route(out, &v, dif_state_holder(s->config->state) != 0);
		for (uint32_t i = 0; i < s->config->ndestinations; i++) {
			text_health(out, &v, i);
		}
		for (uint32_t i = 0; i < s->config->nsteerings; i++) {
			text_steering(out, &v.steerings[i]);
		}
		change_ms(&v, &change, &ttl);
		if (s->config->nsteerings > 0) {
			dif_buf_fmt(out, "%-16s about %s: detection %s, change %s, TTL %s\n", "RTO",
			            dif_span(spans[0], detection + change + ttl),
			            dif_span(spans[1], detection), dif_span(spans[2], change),
			            dif_span(spans[3], ttl));
		}
	}
	dif_arena_fini(&a);
}

/* --- JSON --- */

static int64_t wall(int64_t steady)
{
	return steady == 0 ? 0 : steady - dif_steady_ms() + dif_wall_ms();
}

static void json_destination(struct dif_json *j, const struct dif_traffic_view *v, uint32_t i)
{
	const struct dif_failover_input *in = &v->in[i];
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", in->name);
	dif_json_str(j, "verdict", dif_health_name(in->verdict));
	dif_json_bool(j, "stale", in->is_stale);
	dif_json_str(j, "reason", in->reason);
	dif_json_int(j, "since_ms", wall(in->since));
	dif_json_str(j, "shown", in->shown.sha256);
	dif_json_bool(j, "private", in->is_private);
	dif_json_bool(j, "drained", in->drained);
	dif_json_int(j, "percent", v->share[i].percent);
	dif_json_int(j, "weight", dif_failover_weight(&v->failover, v->in, i));
	dif_json_close(j, '}');
}

static void json_steering(struct dif_json *j, const struct dif_traffic_steering *s)
{
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", s->config->name);
	dif_json_str(j, "record", s->config->record);
	dif_json_bool(j, "stands", s->status.stands);
	dif_json_int(j, "stood_ms", s->status.stood);
	dif_json_int(j, "took_ms", s->status.took_ms);
	dif_json_int(j, "ttl_s", s->status.ttl_s);
	dif_json_int(j, "failures", s->status.failures);
	dif_json_str(j, "standing", s->status.standing);
	dif_json_str(j, "previous", s->status.previous);
	dif_json_str(j, "error", s->error[0] != '\0' ? s->error : NULL);
	dif_json_close(j, '}');
}

static void json_view(struct dif_json *j, const struct dif_setup *s,
                      const struct dif_traffic_view *v)
{
	const struct dif_failover *f = &v->failover;
	int64_t change = 0, ttl = 0;
	struct dif_buf route;
	dif_buf_init(&route, ROUTE_MAX);
	dif_traffic_view_route(v, &route);
	dif_json_open(j, "traffic", '{');
	dif_json_bool(j, "agent", dif_state_holder(s->config->state) != 0);
	dif_json_int(j, "kept_ms", v->kept);
	dif_json_str(j, "route", dif_buf_str(&route));
	dif_json_str(j, "reason", f->reason);
	dif_json_int(j, "changed_ms", wall(f->changed));
	dif_json_str(j, "pinned", f->pinned >= 0 ? v->in[f->pinned].name : NULL);
	dif_json_bool(j, "frozen", v->frozen);
	dif_json_str(j, "why", v->why[0] != '\0' ? v->why : NULL);
	dif_json_int(j, "moves_left", v->moves_left);
	dif_json_int(j, "hold_until_ms", wall(f->hold_until));
	dif_json_open(j, "destinations", '[');
	for (uint32_t i = 0; i < s->config->ndestinations; i++) {
		json_destination(j, v, i);
	}
	dif_json_close(j, ']');
	dif_json_open(j, "steerings", '[');
	for (uint32_t i = 0; i < s->config->nsteerings; i++) {
		json_steering(j, &v->steerings[i]);
	}
	dif_json_close(j, ']');
	change_ms(v, &change, &ttl);
	dif_json_int(j, "detection_ms", detection_ms(&s->config->health));
	dif_json_int(j, "rto_ms", detection_ms(&s->config->health) + change + ttl);
	dif_json_close(j, '}');
	dif_buf_fini(&route);
}

void dif_traffic_report_json(struct dif_json *j, const struct dif_setup *s)
{
	struct dif_arena a;
	struct dif_traffic_view v;
	if (read_view(&a, s, &v)) {
		json_view(j, s, &v);
	} else {
		dif_json_str(j, "traffic", NULL);
	}
	dif_arena_fini(&a);
}
