#include "flow/traffic_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/tree.h"

#define SCOPE "traffic"
#define NAME "view"
#define TEXT_MAX (4u << 20)

static const char *const acts[DIF_TRAFFIC_ACTS] = {"drain", "undrain", "pin", "unpin"};

const char *dif_traffic_act_name(uint32_t act)
{
	return act < DIF_TRAFFIC_ACTS ? acts[act] : "";
}

/* --- memory --- */

static uint32_t room(const struct dif_config *c)
{
	return c->ndestinations + DIF_CONFIG_ROOM;
}

bool dif_traffic_view_init(struct dif_arena *a, const struct dif_config *c,
                           struct dif_traffic_view *v)
{
	*v = (struct dif_traffic_view){.config = c};
	v->in = dif_arena_alloc(a, room(c) * sizeof *v->in);
	v->share = dif_arena_alloc(a, room(c) * sizeof *v->share);
	v->reason = dif_arena_alloc(a, room(c) * sizeof *v->reason);
	v->retired = dif_arena_alloc(a, DIF_TRAFFIC_RETIRED * sizeof *v->retired);
	v->steerings = dif_arena_alloc(a, (c->nsteerings + 1) * sizeof *v->steerings);
	if (a->failed) {
		return false;
	}
	dif_failover_init(&v->failover, v->share);
	v->moves_left = (uint32_t)c->failover.moves;
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		dif_traffic_view_place(v, i);
	}
	for (uint32_t i = 0; i < c->nsteerings; i++) {
		v->steerings[i].config = &c->steerings[i];
		v->steerings[i].status.state = "rest";
		v->steerings[i].status.ttl_s = (uint32_t)(c->steerings[i].ttl / 1000);
	}
	return true;
}

void dif_traffic_view_place(struct dif_traffic_view *v, uint32_t index)
{
	const struct dif_destination_config *d = &v->config->destinations[index];
	struct dif_failover_input *in = &v->in[index];
	bool leads = d->target != NULL || d->public_url != NULL || v->config->nsteerings == 0;
	in->name = d->name;
	in->weight = d->weight;
	in->is_private = d->is_private || !leads;
	in->reason = v->reason[index];
	if (v->reason[index][0] == '\0') {
		snprintf(v->reason[index], sizeof v->reason[index], "not looked at yet");
	}
}

bool dif_traffic_view_copy(struct dif_arena *a, const struct dif_traffic_view *from,
                           struct dif_traffic_view *to)
{
	struct dif_traffic_view v = *from;
	uint32_t n = from->config->ndestinations;
	v.in = dif_arena_copy(a, from->in, n * sizeof *v.in);
	v.share = dif_arena_copy(a, from->share, n * sizeof *v.share);
	v.failover.share = v.share;
	if (a->failed) {
		return false;
	}
	*to = v;
	return true;
}

/* --- what another agent leads to --- */

static uint32_t list_ours(struct dif_arena *a, const struct dif_traffic_view *v,
                          struct dif_steering_target *to, uint32_t *index)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		const char *value = dif_steering_value(a, &v->config->destinations[i]);
		if (value != NULL && !v->in[i].is_private) {
			index[n] = i;
			to[n++] = (struct dif_steering_target){
				.name = v->in[i].name,
				.value = value,
				.weight = (uint32_t)v->config->destinations[i].weight};
		}
	}
	return n;
}

static bool take_percents(struct dif_traffic_view *v, const uint32_t *index,
                          const uint32_t *percent, uint32_t n)
{
	int64_t now = dif_steady_ms();
	bool changed = !v->failover.known;
	for (uint32_t k = 0; k < n; k++) {
		struct dif_failover_share *s = &v->share[index[k]];
		changed = changed || s->percent != percent[k];
		s->percent = percent[k];
		s->was_in = true;
	}
	if (changed) {
		v->failover.known = true;
		v->failover.changed = now;
		v->failover.hold_until = now + v->config->failover.hold;
		snprintf(v->failover.reason, sizeof v->failover.reason,
		         "as another agent has left it");
	}
	return changed;
}

bool dif_traffic_view_follow(struct dif_traffic_view *v, const struct dif_caps *caps,
                             const struct dif_target *read, uint32_t n, bool *changed)
{
	struct dif_arena a;
	uint32_t all = v->config->ndestinations + 1, nours = 0;
	bool any = false;
	dif_arena_init(&a, TEXT_MAX, false);
	struct dif_steering_target *ours = dif_arena_alloc(&a, all * sizeof *ours);
	uint32_t *index = dif_arena_alloc(&a, all * sizeof *index);
	uint32_t *percent = dif_arena_alloc(&a, all * sizeof *percent);
	if (ours != NULL && index != NULL && percent != NULL) {
		nours = list_ours(&a, v, ours, index);
		any = !a.failed && dif_steering_percents(caps, ours, nours, read, n, percent);
	}
	*changed = any && take_percents(v, index, percent, nours);
	dif_arena_fini(&a);
	return any;
}

uint32_t dif_traffic_view_find(const struct dif_traffic_view *v, const char *name)
{
	uint32_t i = 0;
	while (i < v->config->ndestinations && strcmp(v->config->destinations[i].name, name) != 0) {
		i++;
	}
	return i;
}

/* --- keeping --- */

/* A kept moment; 0 stays 0. */
static int64_t to_wall(int64_t steady)
{
	return steady == 0 ? 0 : steady - dif_steady_ms() + dif_wall_ms();
}

static int64_t to_steady(int64_t wall)
{
	return wall == 0 ? 0 : wall - dif_wall_ms() + dif_steady_ms();
}

static void write_order(struct dif_json *j, const char *key, const struct dif_order *o)
{
	dif_json_open(j, key, '{');
	dif_json_int(j, "epoch", o->epoch);
	dif_json_int(j, "number", o->number);
	dif_json_str(j, "sha256", o->sha256);
	dif_json_close(j, '}');
}

static void write_destination(struct dif_arena *a, struct dif_json *j,
                              const struct dif_traffic_view *v, uint32_t i)
{
	const struct dif_failover_input *in = &v->in[i];
	const struct dif_failover_share *s = &v->share[i];
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", in->name);
	const char *value = dif_steering_value(a, &v->config->destinations[i]);
	dif_json_str(j, "value", value != NULL ? value : "");
	dif_json_str(j, "verdict", dif_health_name(in->verdict));
	dif_json_bool(j, "stale", in->is_stale);
	dif_json_str(j, "reason", in->reason);
	dif_json_int(j, "since", to_wall(in->since));
	dif_json_int(j, "checked", to_wall(in->checked));
	write_order(j, "shown", &in->shown);
	dif_json_bool(j, "drained", in->drained);
	dif_json_int(j, "percent", s->percent);
	dif_json_int(j, "before", s->before);
	dif_json_int(j, "stepped", to_wall(s->stepped));
	dif_json_bool(j, "was_in", s->was_in);
	dif_json_bool(j, "recalled", s->recalled);
	dif_json_close(j, '}');
}

static void write_steering(struct dif_json *j, const struct dif_traffic_steering *s)
{
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", s->config->name);
	dif_json_bool(j, "stands", s->status.stands);
	dif_json_int(j, "stood", s->status.stood);
	dif_json_int(j, "took_ms", s->status.took_ms);
	dif_json_int(j, "failures", s->status.failures);
	dif_json_int(j, "ttl_s", s->status.ttl_s);
	dif_json_str(j, "standing", s->status.standing);
	dif_json_str(j, "previous", s->status.previous);
	dif_json_str(j, "error", s->error);
	dif_json_close(j, '}');
}

static void write_failover(struct dif_json *j, const struct dif_traffic_view *v)
{
	const struct dif_failover *f = &v->failover;
	uint32_t n = f->nmoved < DIF_FAILOVER_MOVES ? f->nmoved : DIF_FAILOVER_MOVES;
	dif_json_bool(j, "known", f->known);
	write_order(j, "seen", &f->seen);
	dif_json_open(j, "moves", '[');
	for (uint32_t i = 0; i < n; i++) {
		dif_json_int(j, NULL, to_wall(f->moved[i]));
	}
	dif_json_close(j, ']');
	dif_json_int(j, "hold_until", to_wall(f->hold_until));
	dif_json_str(j, "pinned", f->pinned >= 0 ? v->in[f->pinned].name : "");
	dif_json_str(j, "was_pinned", f->was_pinned >= 0 ? v->in[f->was_pinned].name : "");
	dif_json_int(j, "changed", to_wall(f->changed));
	dif_json_str(j, "reason", f->reason);
}

bool dif_traffic_view_write(const struct dif_traffic_view *v, struct dif_state *state)
{
	struct dif_arena a;
	struct dif_buf out;
	struct dif_json j;
	dif_arena_init(&a, TEXT_MAX, false);
	dif_buf_init(&out, TEXT_MAX);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '{');
	write_failover(&j, v);
	dif_json_int(&j, "sight", v->sight);
	dif_json_bool(&j, "frozen", v->frozen);
	dif_json_str(&j, "why", v->why);
	dif_json_int(&j, "kept", dif_wall_ms());
	dif_json_open(&j, "destinations", '[');
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		write_destination(&a, &j, v, i);
	}
	dif_json_close(&j, ']');
	dif_json_open(&j, "retired", '[');
	for (uint32_t i = 0; i < v->nretired; i++) {
		dif_json_open(&j, NULL, '{');
		dif_json_str(&j, "name", v->retired[i].name);
		dif_json_str(&j, "value", v->retired[i].value);
		dif_json_close(&j, '}');
	}
	dif_json_close(&j, ']');
	dif_json_open(&j, "steerings", '[');
	for (uint32_t i = 0; i < v->config->nsteerings; i++) {
		write_steering(&j, &v->steerings[i]);
	}
	dif_json_close(&j, ']');
	dif_json_close(&j, '}');
	bool ok = !out.failed && !a.failed &&
	          dif_state_put_fact(state, SCOPE, NAME, dif_buf_str(&out));
	dif_buf_fini(&out);
	dif_arena_fini(&a);
	return ok;
}

void dif_traffic_view_settle(struct dif_state *state)
{
	struct dif_arena a;
	dif_arena_init(&a, TEXT_MAX, false);
	(void)dif_state_fact(state, SCOPE, NAME, 0, &a); /* a read commits what waits */
	dif_arena_fini(&a);
}

/* --- remembering --- */

static const char *text(const struct dif_node *n, const char *key)
{
	return dif_tree_str(dif_tree_get(n, key));
}

static int64_t number(const struct dif_node *n, const char *key)
{
	int64_t to = 0;
	return dif_parse_int(text(n, key), INT64_MIN, INT64_MAX, &to) ? to : 0;
}

static bool yes(const struct dif_node *n, const char *key)
{
	return strcmp(text(n, key), "true") == 0;
}

/* The wall clock may have been put back since it was kept: what has been was now at the latest, or
 * a few moves would freeze the route until that time comes. */
static int64_t past(int64_t wall)
{
	int64_t now = dif_wall_ms();
	return wall <= 0 ? 0 : to_steady(wall < now ? wall : now);
}

static int64_t moment(const struct dif_node *n, const char *key)
{
	return past(number(n, key));
}

/* A part of 100; what is beyond was not written by us. */
static uint32_t percent(const struct dif_node *n, const char *key)
{
	int64_t to = number(n, key);
	return to >= 0 && to <= DIF_FAILOVER_WHOLE ? (uint32_t)to : 0;
}

static void read_order(struct dif_order *to, const struct dif_node *n, const char *key)
{
	const struct dif_node *o = dif_tree_get(n, key);
	to->epoch = number(o, "epoch");
	to->number = number(o, "number");
	snprintf(to->sha256, sizeof to->sha256, "%s", text(o, "sha256"));
}

static void retire(struct dif_traffic_view *v, const struct dif_node *n)
{
	const char *name = text(n, "name"), *value = text(n, "value");
	struct dif_traffic_retired *r = &v->retired[v->nretired];
	if (v->nretired < DIF_TRAFFIC_RETIRED && *value != '\0' && strlen(name) < sizeof r->name &&
	    strlen(value) < sizeof r->value) {
		snprintf(r->name, sizeof r->name, "%s", name);
		snprintf(r->value, sizeof r->value, "%s", value);
		v->nretired++;
	}
}

/* It is not configured any more, or leads elsewhere now. */
static bool is_retired(struct dif_arena *a, const struct dif_traffic_view *v, uint32_t i,
                       const struct dif_node *n)
{
	const char *kept = text(n, "value");
	const char *value = i < v->config->ndestinations
	                            ? dif_steering_value(a, &v->config->destinations[i])
	                            : NULL;
	return *kept != '\0' && (value == NULL || strcmp(value, kept) != 0);
}

static void read_destination(struct dif_arena *a, struct dif_traffic_view *v,
                             const struct dif_node *n)
{
	uint32_t i = dif_traffic_view_find(v, text(n, "name"));
	if (is_retired(a, v, i, n)) {
		retire(v, n);
	}
	if (i == v->config->ndestinations) {
		return;
	}
	struct dif_failover_input *in = &v->in[i];
	struct dif_failover_share *s = &v->share[i];
	(void)dif_health_by_name(text(n, "verdict"), &in->verdict);
	in->is_stale = yes(n, "stale");
	snprintf(v->reason[i], sizeof v->reason[i], "%s", text(n, "reason"));
	in->since = moment(n, "since");
	in->checked = moment(n, "checked");
	read_order(&in->shown, n, "shown");
	in->drained = yes(n, "drained");
	s->percent = percent(n, "percent");
	s->before = percent(n, "before");
	s->stepped = moment(n, "stepped");
	s->was_in = yes(n, "was_in");
	s->recalled = yes(n, "recalled");
}

static int64_t index_of(const struct dif_traffic_view *v, const char *name)
{
	uint32_t i = dif_traffic_view_find(v, name);
	return i < v->config->ndestinations ? (int64_t)i : -1;
}

static void read_failover(struct dif_traffic_view *v, const struct dif_node *n)
{
	struct dif_failover *f = &v->failover;
	const struct dif_node *moves = dif_tree_get(n, "moves");
	for (const struct dif_node *m = NULL;
	     (m = dif_tree_next(moves, "", m)) != NULL && f->nmoved < DIF_FAILOVER_MOVES;) {
		int64_t at = 0;
		if (dif_parse_int(dif_tree_str(m), 0, INT64_MAX, &at)) {
			f->moved[f->nmoved++] = past(at);
		}
	}
	f->known = yes(n, "known");
	read_order(&f->seen, n, "seen");
	int64_t hold = number(n, "hold_until"), most = dif_wall_ms() + v->config->failover.hold_max;
	f->hold_until = hold <= 0 ? 0 : to_steady(hold < most ? hold : most);
	f->pinned = index_of(v, text(n, "pinned"));
	f->was_pinned = index_of(v, text(n, "was_pinned"));
	f->changed = moment(n, "changed");
	snprintf(f->reason, sizeof f->reason, "%s", text(n, "reason"));
}

static void read_steering(struct dif_traffic_view *v, const struct dif_node *n)
{
	for (uint32_t i = 0; i < v->config->nsteerings; i++) {
		struct dif_traffic_steering *s = &v->steerings[i];
		if (strcmp(s->config->name, text(n, "name")) != 0) {
			continue;
		}
		s->status.stands = yes(n, "stands");
		s->status.stood = number(n, "stood");
		s->status.took_ms = number(n, "took_ms");
		s->status.failures = (uint32_t)number(n, "failures");
		s->status.ttl_s = (uint32_t)number(n, "ttl_s");
		snprintf(s->status.standing, sizeof s->status.standing, "%s", text(n, "standing"));
		snprintf(s->status.previous, sizeof s->status.previous, "%s", text(n, "previous"));
		snprintf(s->error, sizeof s->error, "%s", text(n, "error"));
	}
}

/* A route that leads nowhere (all that it led to is not configured any more) is none. */
static void check_route(struct dif_traffic_view *v)
{
	uint32_t in = 0;
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		if (v->in[i].is_private) {
			v->share[i].percent = v->share[i].before = 0;
		}
		in += v->share[i].percent > 0;
	}
	v->failover.known = v->failover.known && in > 0;
}

void dif_traffic_view_read(struct dif_traffic_view *v, struct dif_state *state)
{
	struct dif_arena a;
	struct dif_error err = {0};
	dif_arena_init(&a, 4 * TEXT_MAX, false);
	const char *kept = state != NULL ? dif_state_fact(state, SCOPE, NAME, 0, &a) : NULL;
	const struct dif_node *n =
		kept != NULL ? dif_json_parse(&a, (struct dif_bytes){kept, strlen(kept)}, &err)
			     : NULL;
	const struct dif_node *all = n != NULL ? dif_tree_get(n, "destinations") : NULL;
	const struct dif_node *steerings = n != NULL ? dif_tree_get(n, "steerings") : NULL;
	const struct dif_node *retired = n != NULL ? dif_tree_get(n, "retired") : NULL;
	if (n != NULL) {
		read_failover(v, n);
		v->sight = (enum dif_sight)(number(n, "sight") % (DIF_SIGHT_BLIND + 1));
		v->frozen = yes(n, "frozen");
		snprintf(v->why, sizeof v->why, "%s", text(n, "why"));
		v->kept = number(n, "kept");
	}
	for (const struct dif_node *d = NULL; (d = dif_tree_next(all, "", d)) != NULL;) {
		read_destination(&a, v, d);
	}
	for (const struct dif_node *r = NULL; (r = dif_tree_next(retired, "", r)) != NULL;) {
		retire(v, r);
	}
	for (const struct dif_node *s = NULL; (s = dif_tree_next(steerings, "", s)) != NULL;) {
		read_steering(v, s);
	}
	check_route(v);
	v->moves_left = dif_failover_left(&v->failover, &v->config->failover, dif_steady_ms());
	dif_arena_fini(&a);
}

/* --- by hand --- */

static bool refuse(struct dif_error *err, enum dif_traffic_act act, const char *name,
                   const char *why)
{
	return dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT,
	                      "could not %s destination '%s': %s", acts[act], name, why);
}

bool dif_traffic_view_act(struct dif_traffic_view *v, enum dif_traffic_act act, uint32_t index,
                          struct dif_error *err)
{
	struct dif_failover_input *in = &v->in[index];
	if (in->is_private && act != DIF_UNPIN) {
		return refuse(err, act, in->name,
		              "no route leads there: it is private, or has neither target nor "
		              "public_url");
	}
	if (act == DIF_UNPIN && v->failover.pinned != index) {
		return refuse(err, act, in->name, "it is not pinned");
	}
	if (act == DIF_PIN && in->gone) {
		return refuse(err, act, in->name, "its configuration was taken away");
	}
	switch (act) {
	case DIF_DRAIN:
		in->drained = true;
		v->share[index].recalled = false;
		break;
	case DIF_UNDRAIN:
		in->drained = false;
		v->share[index].recalled = v->share[index].percent == 0;
		break;
	case DIF_PIN:
		v->failover.pinned = index;
		break;
	default:
		v->failover.pinned = -1;
		break;
	}
	return true;
}

void dif_traffic_view_decide(struct dif_traffic_view *v, struct dif_failover_plan *plan)
{
	dif_failover_decide(&v->failover, &v->config->failover, v->in, v->config->ndestinations,
	                    v->sight, dif_steady_ms(), plan);
}

void dif_traffic_view_route(const struct dif_traffic_view *v, struct dif_buf *to)
{
	uint64_t total = 0;
	bool any = false;
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		total += dif_failover_weight(&v->failover, v->in, i);
	}
	for (uint32_t i = 0; i < v->config->ndestinations; i++) {
		uint64_t weight = dif_failover_weight(&v->failover, v->in, i);
		if (weight > 0) {
			dif_buf_fmt(to, "%s%s %" PRIu64 " %%", any ? ", " : "", v->in[i].name,
			            (weight * 100 + total / 2) / total);
			any = true;
		}
	}
	if (!any) {
		dif_buf_fmt(to, "none yet");
	}
}
