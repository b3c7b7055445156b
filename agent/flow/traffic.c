#include "flow/traffic.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/prober.h"
#include "host/crypto.h"

#define TICK_MS 100
#define ASK_MS 300            /* how soon a question is seen */
#define CALM_MS 30000         /* between two questions to the references while all is well */
#define ARENA_MAX (64u << 20) /* the view: 1,000 destinations with their sentences need 1 MiB */
#define WORDS_MAX (64u << 10)

/* One destination. */
struct one {
	struct dif_health health;
	int64_t look_at, looked; /* steady ms; looked: when the look under way began */
	bool looking;
	char last[65]; /* as its destination told at the last tick */
	bool last_whole;
	bool left; /* gone, and told so */
};

struct dif_traffic {
	struct dif_setup *s;
	struct dif_traffic_events events;
	void *data;
	struct dif_arena arena;
	struct dif_traffic_view view;
	struct one *all; /* one per destination, and room */
	struct dif_health_wanted wanted;
	struct dif_prober *prober;
	struct dif_steering **steerings;
	uv_timer_t tick;
	int64_t references_at, ask_at;
	bool news;    /* the view is not kept yet */
	bool leads;   /* else another agent does */
	bool follows; /* the route is what stands in the record, until that was read */
};

/* --- what the state keeps --- */

static void keep(struct dif_traffic *t)
{
	if (t->news && dif_traffic_view_write(&t->view, t->s->state)) {
		t->news = false;
	}
}

/* A verdict, or its reason, has changed. What becomes stale may have been degraded already: that is
 * told, too, as it leads readers away. */
static void note(struct dif_traffic *t, uint32_t i, uint32_t before)
{
	struct dif_failover_input *in = &t->view.in[i];
	const struct dif_health *h = &t->all[i].health;
	bool turned = before != h->verdict || in->is_stale != h->is_stale;
	in->verdict = h->verdict;
	in->is_stale = h->is_stale;
	in->since = h->since;
	snprintf(t->view.reason[i], sizeof t->view.reason[i], "%s", h->reason);
	t->news = true;
	if (turned) {
		bool good = h->verdict == DIF_HEALTH_HEALTHY;
		dif_log(good ? DIF_LOG_INFO : DIF_LOG_WARNING, "health",
		        "destination=%s verdict=%s reason=%s", dif_q(in->name),
		        dif_health_name(h->verdict), dif_q(h->reason));
	}
}

/* --- looking --- */

static int64_t pace(const struct dif_traffic *t, uint32_t i)
{
	uint8_t chance = 0;
	(void)dif_random(&chance, sizeof chance);
	return dif_health_pace(&t->all[i].health, chance);
}

static void saw(struct dif_traffic *t, uint32_t i, const struct dif_health_look *look)
{
	struct one *o = &t->all[i];
	struct dif_failover_input *in = &t->view.in[i];
	uint32_t before = o->health.verdict;
	int64_t now = dif_steady_ms();
	if (look->seen == DIF_SEEN_RIGHT &&
	    dif_order_compare(look->order, &t->wanted.order) > 0) { /* readers have it already */
		t->wanted = (struct dif_health_wanted){*look->order, now};
		dif_prober_want(t->prober, look->order);
	}
	bool news = dif_health_saw(&o->health, now, look, &t->wanted);
	t->news = t->news || dif_order_compare(&in->shown, &o->health.shown) != 0;
	in->shown = o->health.shown;
	in->checked = o->health.checked;
	in->is_doubtful = o->health.failed > 0;
	if (news) {
		note(t, i, before);
	}
	o->look_at = o->looked + pace(t, i);
}

static void on_looked(void *data, uint32_t index, const struct dif_health_look *look)
{
	struct dif_traffic *t = data;
	t->all[index].looking = false;
	saw(t, index, look);
}

static void on_sight(void *data, enum dif_sight sight)
{
	struct dif_traffic *t = data;
	if (sight != t->view.sight) {
		dif_log(sight == DIF_SIGHT_BLIND ? DIF_LOG_WARNING : DIF_LOG_INFO, "references",
		        "answer=%s", sight == DIF_SIGHT_BLIND ? "no" : "yes");
		t->view.sight = sight;
		t->news = true;
	}
}

/* Without an address it is what its deliveries say: the newest that arrived whole. What it shows
 * after one that did not is what it showed before, and that becomes stale. */
static void look_at_deliveries(struct dif_traffic *t, uint32_t i)
{
	struct one *o = &t->all[i];
	const struct dif_destination *d = &t->s->destinations[i];
	const struct dif_order *order = dif_prober_order(t->prober, d->last);
	const struct dif_order shown = o->health.shown;
	bool away = dif_instance_down_since(d->store) != 0;
	bool broken = !d->busy && d->last[0] != '\0' && !d->last_whole;
	order = d->last_whole ? order : broken ? &shown : NULL;
	if (away || order != NULL) {
		const struct dif_health_look look = {away ? DIF_SEEN_NOTHING : DIF_SEEN_RIGHT,
		                                     order, "its store is away"};
		saw(t, i, &look);
		return;
	}
	o->look_at = o->looked + pace(t, i);
}

/* It came while others have readers already, and has not been brought a whole cut yet. */
static bool is_new(const struct dif_traffic *t, uint32_t i)
{
	return t->view.failover.known && !t->view.share[i].was_in &&
	       !t->s->destinations[i].last_whole && t->all[i].health.verdict == DIF_HEALTH_UNKNOWN;
}

static void look_at(struct dif_traffic *t, uint32_t i)
{
	struct one *o = &t->all[i];
	int64_t now = dif_steady_ms();
	if (o->looking || now < o->look_at || t->wanted.order.sha256[0] == '\0' ||
	    t->s->config->destinations[i].is_private || o->left || is_new(t, i)) {
		return;
	}
	o->looked = now;
	if (dif_prober_can(t->prober, i)) {
		o->looking = dif_prober_look(t->prober, i);
		o->look_at = now + pace(t, i); /* unless its end says otherwise */
	} else if (t->s->config->destinations[i].public_url == NULL) {
		look_at_deliveries(t, i);
	} else {
		o->look_at = now + pace(t, i); /* the cut is not known: nothing to compare with */
	}
}

/* In doubt the references are asked as often as the destinations. */
static void ask_references(struct dif_traffic *t)
{
	int64_t now = dif_steady_ms();
	bool doubt = false;
	if (now < t->references_at) {
		return;
	}
	for (uint32_t i = 0; i < t->s->config->ndestinations; i++) {
		doubt = doubt || t->all[i].health.failed > 0;
	}
	dif_prober_ask_references(t->prober);
	t->references_at = now + (doubt ? t->s->config->health.interval : CALM_MS);
}

/* The first failure since all was well asks at once. */
static void notice_doubt(struct dif_traffic *t)
{
	int64_t soon = dif_steady_ms() + t->s->config->health.interval;
	for (uint32_t i = 0; i < t->s->config->ndestinations; i++) {
		if (t->all[i].health.failed == 1 && t->references_at > soon) {
			t->references_at = 0;
		}
	}
}

/* --- deliveries --- */

static void want(struct dif_traffic *t, const struct dif_order *order)
{
	if (order != NULL &&
	    (t->wanted.order.sha256[0] == '\0' || dif_order_compare(order, &t->wanted.order) > 0)) {
		t->wanted = (struct dif_health_wanted){*order, dif_steady_ms()};
		dif_prober_want(t->prober, order);
	}
}

static void follow_deliveries(struct dif_traffic *t, uint32_t i)
{
	struct one *o = &t->all[i];
	const struct dif_destination *d = &t->s->destinations[i];
	char trouble[DIF_HEALTH_TEXT] = "";
	if (strcmp(o->last, d->last) != 0 || o->last_whole != d->last_whole) {
		memcpy(o->last, d->last, sizeof o->last);
		o->last_whole = d->last_whole;
		dif_prober_learn(t->prober, d->last);
		if (d->last_whole && !d->config->is_private) {
			want(t, dif_prober_order(t->prober, d->last));
		}
	}
	if (dif_instance_down_since(d->store) != 0) {
		snprintf(trouble, sizeof trouble, "its store is away: %.200s",
		         dif_instance_trouble(d->store)->text);
	} else if (!d->busy && d->last[0] != '\0' && !d->last_whole) {
		snprintf(trouble, sizeof trouble, "its last delivery did not end whole");
	}
	uint32_t before = o->health.verdict;
	if (!(d->busy && trouble[0] == '\0') && strcmp(trouble, o->health.trouble) != 0 &&
	    dif_health_delivered(&o->health, dif_steady_ms(),
	                         trouble[0] != '\0' ? trouble : NULL)) {
		note(t, i, before);
	}
}

/* --- steering --- */

static void steer(struct dif_traffic *t)
{
	struct dif_arena a;
	const struct dif_config *c = t->s->config;
	uint32_t n = 0;
	if (t->follows) {
		return;
	}
	dif_arena_init(&a, ARENA_MAX, false);
	struct dif_steering_target *to =
		dif_arena_alloc(&a, (c->ndestinations + DIF_TRAFFIC_RETIRED) * sizeof *to);
	for (uint32_t i = 0; to != NULL && i < c->ndestinations; i++) {
		const struct dif_failover_input *in = &t->view.in[i];
		const char *value = dif_steering_value(&a, &c->destinations[i]);
		uint32_t weight = dif_failover_weight(&t->view.failover, t->view.in, i);
		if (value != NULL) {
			to[n++] = (struct dif_steering_target){.name = in->name,
			                                       .value = value,
			                                       .weight = weight,
			                                       .hidden = in->is_private ||
			                                                 (in->gone && weight == 0)};
		}
	}
	for (uint32_t i = 0; to != NULL && i < t->view.nretired; i++) {
		to[n++] = (struct dif_steering_target){.name = t->view.retired[i].name,
		                                       .value = t->view.retired[i].value,
		                                       .hidden = true};
	}
	for (uint32_t i = 0; to != NULL && !a.failed && i < c->nsteerings; i++) {
		dif_steering_want(t->steerings[i], to, n);
	}
	dif_arena_fini(&a);
}

static void tell_route(struct dif_traffic *t, bool moved)
{
	struct dif_buf route;
	dif_buf_init(&route, WORDS_MAX);
	dif_traffic_view_route(&t->view, &route);
	dif_log(moved ? DIF_LOG_WARNING : DIF_LOG_INFO, "route", "to=%s reason=%s",
	        dif_q(dif_buf_str(&route)), dif_q(t->view.failover.reason));
	dif_buf_fini(&route);
}

/* What another agent has set. Where that is not what we knew, it has just moved. */
static void follow(struct dif_traffic *t, struct dif_steering *s)
{
	uint32_t n = 0;
	const struct dif_target *read = dif_steering_read(s, &n);
	bool changed = false;
	if (read == NULL || !t->follows ||
	    !dif_traffic_view_follow(&t->view, dif_steering_caps(s), read, n, &changed)) {
		return;
	}
	if (changed) {
		tell_route(t, false);
	}
}

static void on_steering(void *data, struct dif_steering *s)
{
	struct dif_traffic *t = data;
	bool all = true, was_read = false;
	uint32_t n = 0;
	follow(t, s);
	was_read = dif_steering_read(s, &n) != NULL;
	for (uint32_t i = 0; i < t->s->config->nsteerings; i++) {
		struct dif_traffic_steering *v = &t->view.steerings[i];
		all = all && dif_steering_status(t->steerings[i])->stands;
		if (t->steerings[i] == s) {
			v->status = *dif_steering_status(s);
			snprintf(v->error, sizeof v->error, "%.*s", DIF_STEERING_TEXT - 1,
			         v->status.err.cls != DIF_OK ? v->status.err.text : "");
		}
	}
	t->view.nretired = all ? 0 : t->view.nretired; /* they stand nowhere any more */
	t->news = true;
	if (was_read && t->follows && t->leads) { /* from here on it is ours */
		t->follows = false;
		if (t->view.failover.known) {
			steer(t);
		}
	}
}

/* --- deciding --- */

static void take_plan(struct dif_traffic *t, const struct dif_failover_plan *plan)
{
	struct dif_traffic_view *v = &t->view;
	if (plan->frozen != v->frozen) {
		dif_log(plan->frozen ? DIF_LOG_WARNING : DIF_LOG_INFO, "route",
		        "frozen=%s reason=%s", plan->frozen ? "yes" : "no", dif_q(plan->why));
	}
	if (plan->frozen != v->frozen || strcmp(plan->why, v->why) != 0 ||
	    plan->moves_left != v->moves_left) {
		v->frozen = plan->frozen;
		v->moves_left = plan->moves_left;
		memcpy(v->why, plan->why, sizeof v->why);
		t->news = true;
	}
	if (plan->changed) {
		tell_route(t, plan->moved);
		t->news = true;
		keep(t); /* before it is set, or a restart would lead readers back */
		dif_traffic_view_settle(t->s->state);
		steer(t);
	}
}

static void decide(struct dif_traffic *t)
{
	struct dif_failover_plan plan;
	if (t->follows) {
		return;
	}
	dif_traffic_view_decide(&t->view, &plan);
	take_plan(t, &plan);
}

/* --- who was taken away --- */

/* Nobody asks there any more who heard of the route in time. */
static bool have_readers_left(const struct dif_traffic *t)
{
	for (uint32_t i = 0; i < t->s->config->nsteerings; i++) {
		const struct dif_steering_status *s = dif_steering_status(t->steerings[i]);
		if (!s->stands || dif_wall_ms() - s->stood < (int64_t)s->ttl_s * 1000) {
			return false;
		}
	}
	return true;
}

static void let_go(struct dif_traffic *t, uint32_t i)
{
	struct one *o = &t->all[i];
	bool unknown = t->s->config->nsteerings == 0 || !t->view.failover.known;
	if (t->view.in[i].gone && !o->left && !t->follows &&
	    (unknown || (t->view.share[i].percent == 0 && have_readers_left(t)))) {
		o->left = true;
		t->events.left(t->data, i);
	}
}

void dif_traffic_gone(struct dif_traffic *t, uint32_t index)
{
	bool was_in = t->view.share[index].percent > 0;
	t->view.in[index].gone = true;
	t->news = true;
	decide(t);
	if (!was_in) { /* it must not stand there with weight 0 either */
		steer(t);
	}
	let_go(t, index);
}

void dif_traffic_back(struct dif_traffic *t, uint32_t index)
{
	t->view.in[index].gone = false;
	t->all[index].left = false;
	t->all[index].look_at = 0;
	t->view.share[index].recalled = t->view.share[index].percent == 0;
	t->news = true;
}

/* --- what people ask for --- */

static void answer(struct dif_traffic *t, const struct dif_ask *ask, struct dif_arena *a)
{
	struct dif_traffic_view tried;
	struct dif_failover_plan plan = {0};
	struct dif_error err = {0};
	struct dif_buf before, after;
	struct dif_answer out = {.exit = DIF_EXIT_OK};
	uint32_t i = dif_traffic_view_find(&t->view, ask->name);
	enum dif_traffic_act act = DIF_DRAIN;
	while (act < DIF_TRAFFIC_ACTS && strcmp(dif_traffic_act_name(act), ask->act) != 0) {
		act++;
	}
	dif_buf_init(&before, WORDS_MAX);
	dif_buf_init(&after, WORDS_MAX);
	dif_traffic_view_route(&t->view, &before);
	if (act == DIF_TRAFFIC_ACTS || i == t->s->config->ndestinations) {
		dif_error_exit(&err, DIF_EXIT_OTHER, DIF_NOT_FOUND,
		               "could not %.20s destination '%.64s': there is none of that name",
		               ask->act, ask->name);
	} else if (!dif_traffic_view_copy(a, &t->view, &tried)) {
		dif_error_set(&err, DIF_TRANSIENT, "could not decide: out of memory");
	} else if (!dif_traffic_view_act(ask->dry_run ? &tried : &t->view, act, i, &err)) {
		t->news = true; /* err says why it was not done */
	} else if (t->follows) {
		snprintf(plan.why, sizeof plan.why,
		         "this agent does not steer: it is noted for when it does; say it to the "
		         "other one, too");
		t->news = true;
	} else {
		dif_traffic_view_decide(ask->dry_run ? &tried : &t->view, &plan);
		if (!ask->dry_run) {
			dif_log(DIF_LOG_INFO, "by_hand", "act=%s destination=%s",
			        dif_traffic_act_name(act), dif_q(ask->name));
			take_plan(t, &plan);
			t->news = true;
			keep(t);
			dif_traffic_view_settle(t->s->state);
		}
	}
	dif_traffic_view_route(ask->dry_run && err.cls == DIF_OK ? &tried : &t->view, &after);
	out.exit = err.cls == DIF_OK ? DIF_EXIT_OK : err.exit != 0 ? err.exit : DIF_EXIT_OTHER;
	out.before = dif_buf_str(&before);
	out.after = dif_buf_str(&after);
	out.text = err.cls != DIF_OK ? err.text : plan.why;
	if (!dif_ask_answer(t->s->config->state, ask, &out, &err)) {
		dif_log(DIF_LOG_WARNING, "ask", "reason=%s", dif_q(err.text));
	}
	dif_buf_fini(&before);
	dif_buf_fini(&after);
}

static void look_for_questions(struct dif_traffic *t)
{
	struct dif_arena a;
	if (dif_steady_ms() < t->ask_at) {
		return;
	}
	t->ask_at = dif_steady_ms() + ASK_MS;
	dif_arena_init(&a, ARENA_MAX, false);
	const struct dif_ask *ask = dif_ask_next(&a, t->s->config->state);
	if (ask != NULL && ask->drill[0] != '\0') {
		t->events.asked(t->data, ask);
	} else if (ask != NULL) {
		answer(t, ask, &a);
	}
	dif_arena_fini(&a);
}

/* --- what others may see of it --- */

const struct dif_traffic_view *dif_traffic_now(const struct dif_traffic *t)
{
	return &t->view;
}

bool dif_traffic_leads(const struct dif_traffic *t)
{
	return t->leads;
}

const struct dif_health *dif_traffic_health(const struct dif_traffic *t, uint32_t index)
{
	return &t->all[index].health;
}

const struct dif_steering_status *dif_traffic_steering(const struct dif_traffic *t, uint32_t index)
{
	return dif_steering_status(t->steerings[index]);
}

const struct dif_order *dif_traffic_wanted(const struct dif_traffic *t)
{
	return &t->wanted.order;
}

void dif_traffic_steer(struct dif_traffic *t)
{
	steer(t);
}

/* --- all --- */

static void on_tick(uv_timer_t *timer)
{
	struct dif_traffic *t = timer->data;
	for (uint32_t i = 0; i < t->s->config->ndestinations; i++) {
		follow_deliveries(t, i);
		look_at(t, i);
	}
	notice_doubt(t);
	ask_references(t);
	decide(t);
	look_for_questions(t);
	for (uint32_t i = 0; i < t->s->config->ndestinations; i++) {
		let_go(t, i);
	}
	keep(t);
}

/* A judge for a destination that nothing is known of. */
static void begin_health(struct dif_traffic *t, uint32_t i)
{
	const struct dif_destination *d = &t->s->destinations[i];
	struct dif_health *h = &t->all[i].health;
	dif_health_init(h, &t->s->config->health, dif_steady_ms());
	for (uint32_t k = 0; k < d->config->ncdns; k++) {
		int64_t settle = dif_instance_caps(d->cdns[k])->settle_ms;
		h->settle = settle > h->settle ? settle : h->settle;
	}
}

void dif_traffic_added(struct dif_traffic *t, uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		dif_traffic_view_place(&t->view, i);
		begin_health(t, i);
	}
	t->news = true;
}

static bool open_steerings(struct dif_traffic *t)
{
	static const struct dif_steering_events events = {on_steering};
	for (uint32_t i = 0; i < t->s->config->nsteerings; i++) {
		t->steerings[i] = dif_steering_open(t->s->engine, t->s->steerings[i],
		                                    &t->s->config->steerings[i], &events, t);
		if (t->steerings[i] == NULL) {
			return false;
		}
	}
	return true;
}

static void judge_anew(struct dif_traffic *t)
{
	for (uint32_t i = 0; i < t->s->config->ndestinations; i++) {
		struct dif_failover_input *in = &t->view.in[i];
		begin_health(t, i);
		in->verdict = t->all[i].health.verdict;
		in->is_stale = in->is_doubtful = false;
		in->shown = (struct dif_order){0};
		in->checked = 0;
		t->all[i].look_at = 0;
		in->since = t->all[i].health.since;
		snprintf(t->view.reason[i], sizeof t->view.reason[i], "%s",
		         t->all[i].health.reason);
	}
}

/* Verdicts are of the run that made them; the route is not. */
static void remember(struct dif_traffic *t)
{
	dif_traffic_view_read(&t->view, t->s->state);
	t->view.sight = DIF_SIGHT_NONE;
	judge_anew(t);
	for (uint32_t i = 0; i < t->s->config->nsteerings; i++) {
		t->view.steerings[i].status = *dif_steering_status(t->steerings[i]);
	}
	if (t->view.failover.known) {
		steer(t);
	}
	for (uint32_t i = 0; t->follows && i < t->s->config->nsteerings; i++) {
		dif_steering_watch(t->steerings[i]);
	}
}

void dif_traffic_lead(struct dif_traffic *t, bool leads)
{
	if (t->leads == leads) {
		return;
	}
	t->leads = leads;
	t->follows = !leads || t->s->config->nsteerings > 0;
	if (leads) { /* what was seen of a cut that was not here yet counts for nothing */
		judge_anew(t);
	}
	t->news = true;
	for (uint32_t i = 0; i < t->s->config->nsteerings; i++) {
		dif_steering_watch(t->steerings[i]);
	}
}

void dif_traffic_kept(struct dif_traffic *t, const char *sha256)
{
	dif_prober_learn(t->prober, sha256);
	if (t->wanted.order.sha256[0] ==
	    '\0') { /* readers have none that we know: this will come */
		want(t, dif_prober_order(t->prober, sha256));
	}
}

struct dif_traffic *dif_traffic_open(struct dif_setup *s, bool leads,
                                     const struct dif_traffic_events *events, void *data)
{
	static const struct dif_prober_events looking = {on_looked, on_sight};
	struct dif_traffic *t = calloc(1, sizeof *t);
	uint32_t n = s->config->ndestinations + DIF_CONFIG_ROOM;
	if (t == NULL) {
		return NULL;
	}
	t->s = s;
	t->events = *events;
	t->data = data;
	t->leads = leads;
	t->follows = !leads;
	dif_arena_init(&t->arena, ARENA_MAX, false);
	t->all = calloc(n, sizeof *t->all);
	t->steerings = calloc(s->config->nsteerings + 1, sizeof(struct dif_steering *));
	t->prober = dif_prober_open(s, &looking, t);
	uv_timer_init(&s->engine->loop, &t->tick);
	t->tick.data = t;
	if (t->all == NULL || t->steerings == NULL || t->prober == NULL ||
	    !dif_traffic_view_init(&t->arena, s->config, &t->view) || !open_steerings(t)) {
		dif_traffic_close(t);
		return NULL;
	}
	remember(t);
	uv_timer_start(&t->tick, on_tick, TICK_MS, TICK_MS);
	return t;
}

static void on_closed(uv_handle_t *h)
{
	struct dif_traffic *t = h->data;
	dif_arena_fini(&t->arena);
	free(t->all);
	free(t->steerings);
	free(t);
}

void dif_traffic_close(struct dif_traffic *t)
{
	if (t == NULL) {
		return;
	}
	if (t->view.in != NULL) {
		keep(t);
	}
	dif_prober_close(t->prober);
	for (uint32_t i = 0; t->steerings != NULL && i < t->s->config->nsteerings; i++) {
		if (t->steerings[i] != NULL) {
			dif_steering_close(t->steerings[i]);
		}
	}
	uv_close((uv_handle_t *)&t->tick, on_closed);
}
