#include "flow/steering.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/sm.h"
#include "flow/after.h"
#include "host/crypto.h"

#define OP_MS 30000         /* of one read or change, over its attempts */
#define SETTLE_MS 2000      /* between two questions about a ticket, unless it says when */
#define SETTLE_MAX_MS 60000 /* it says no longer than this */
#define SETTLE_LIMIT 200    /* questions about one ticket; then the change is made anew */
#define PAUSE_MS 1000       /* back-off: doubles */
#define PAUSE_MAX_MS 60000
#define CONFLICTS_MAX 3 /* in a row, before it is taken more slowly */
#define AGAIN_MS 60000  /* what stands is read again */
#define ARENA_MAX (1u << 20)
#define ID_BYTES 16

enum state { REST, READING, SETTING, SETTLING, PAUSING, STATES };
static const struct dif_sm_state states[STATES] = {
	[REST] = {"rest", DIF_TO(READING)},
	[READING] = {"reading", DIF_TO(REST) | DIF_TO(SETTING) | DIF_TO(PAUSING) | DIF_TO(READING)},
	[SETTING] = {"setting", DIF_TO(SETTLING) | DIF_TO(READING) | DIF_TO(PAUSING)},
	[SETTLING] = {"settling", DIF_TO(SETTLING) | DIF_TO(READING) | DIF_TO(PAUSING)},
	[PAUSING] = {"pausing", DIF_TO(READING)},
};

struct dif_steering {
	struct dif_barrier barrier;
	struct dif_engine *engine;
	struct dif_instance *instance;
	const struct dif_steering_config *config;
	struct dif_steering_events events;
	void *data;
	struct dif_after *after; /* NULL: no program */
	struct dif_sm sm;
	struct dif_op_run *op;
	uv_timer_t timer;

	struct dif_arena wish; /* of want */
	struct dif_steering_target *want;
	uint32_t nwant;
	int64_t wished;         /* steady ms */
	bool newer;             /* want has changed since this reading began */
	bool has_set;           /* since the last time it stood, or perhaps before the start */
	bool just_set;          /* this reading reads it back */
	uint32_t conflicts;     /* in a row */
	struct dif_arena round; /* what one round asks */
	struct dif_route route;
	struct dif_ticket ticket;
	char idem[2 * ID_BYTES + 1];
	uint32_t questions; /* about the ticket */
	struct dif_steering_status status;
	bool watching;                 /* it only reads */
	const struct dif_target *read; /* then: what was read; of the round */
	uint32_t nread;
	bool closing;
};

static void read_route(struct dif_steering *s);

static void tell(struct dif_steering *s)
{
	s->status.state = dif_sm_name(&s->sm);
	if (!s->closing) {
		s->events.changed(s->data, s);
	}
}

static void describe(char to[DIF_STEERING_TEXT], const struct dif_target *all, uint32_t n)
{
	to[0] = '\0';
	for (uint32_t i = 0; i < n; i++) {
		size_t at = strlen(to);
		snprintf(to + at, DIF_STEERING_TEXT - at, "%s%.64s %u", i > 0 ? ", " : "",
		         all[i].name != NULL && *all[i].name != '\0' ? all[i].name : all[i].value,
		         all[i].weight);
	}
	if (n == 0) {
		snprintf(to, DIF_STEERING_TEXT, "nothing");
	}
}

/* --- waiting --- */

static void on_time(uv_timer_t *t)
{
	read_route(t->data);
}

static void pause_after(struct dif_steering *s, const struct dif_error *err)
{
	int64_t ms = PAUSE_MS;
	for (uint32_t i = 0; i < s->status.failures && ms < PAUSE_MAX_MS; i++) {
		ms *= 2;
	}
	bool same = s->status.err.cls == err->cls && strcmp(s->status.err.text, err->text) == 0;
	s->status.err = *err;
	s->status.failures++;
	s->status.stands = false;
	dif_sm_move(&s->sm, PAUSING);
	s->just_set = false;
	if (!same) {
		dif_log(DIF_LOG_WARNING, "steering", "name=%s record=%s reason=%s",
		        dif_q(s->config->name), dif_q(s->config->record), dif_q(err->text));
	}
	uv_timer_start(&s->timer, on_time,
	               (uint64_t)(s->newer            ? 0
	                          : ms < PAUSE_MAX_MS ? ms
	                                              : PAUSE_MAX_MS),
	               0);
	tell(s);
}

/* True: it is over, and the memory of the round with it. */
static bool is_over(struct dif_steering *s, const struct dif_outcome *out)
{
	s->op = NULL;
	if (s->closing) {
		return true;
	}
	if (out->err.cls == DIF_CONFLICT && s->sm.state == SETTING && !s->watching &&
	    s->conflicts++ < CONFLICTS_MAX) {
		read_route(s); /* somebody was there in between: what stands now decides */
		return true;
	}
	if (s->watching && (s->sm.state != READING || out->err.cls == DIF_CANCELED)) {
		read_route(s); /* whatever came of the change, another agent decides now */
		return true;
	}
	if (out->err.cls != DIF_OK) {
		pause_after(s, &out->err);
		return true;
	}
	return false;
}

static void on_done(void *data, const struct dif_outcome *out);

static void ask(struct dif_steering *s, enum dif_verb_id verb, const void *in)
{
	dif_hold(&s->barrier);
	s->op = dif_op_start(s->instance, verb, in, OP_MS, on_done, s);
}

/* --- setting --- */

static void set_route(struct dif_steering *s, const struct dif_steering_plan *p, const char *tag)
{
	uint8_t id[ID_BYTES];
	struct dif_error err = {0};
	if (!dif_random(id, sizeof id)) {
		dif_error_set(&err, DIF_TRANSIENT, "could not set the route: no random bytes");
		pause_after(s, &err);
		return;
	}
	dif_hex(s->idem, id, sizeof id);
	s->route.targets = p->targets;
	s->route.n = p->n;
	s->route.if_tag = tag;
	s->route.idem = s->idem;
	s->has_set = true;
	s->questions = 0;
	snprintf(s->status.previous, sizeof s->status.previous, "%s", s->status.standing);
	char to[DIF_STEERING_TEXT];
	describe(to, p->targets, p->n);
	dif_log(DIF_LOG_INFO, "steering", "name=%s record=%s from=%s to=%s", dif_q(s->config->name),
	        dif_q(s->config->record), dif_q(s->status.previous), dif_q(to));
	dif_sm_move(&s->sm, SETTING);
	ask(s, DIF_ROUTE_SET, &s->route);
	tell(s);
}

static void on_ask_again(uv_timer_t *t)
{
	struct dif_steering *s = t->data;
	ask(s, DIF_ROUTE_STATE, &s->ticket);
}

/* A set, or a question about its ticket, was answered. */
static void settle(struct dif_steering *s, const struct dif_result *r)
{
	if (s->sm.state == SETTING && !r->settled && r->ticket != NULL) {
		s->ticket.id = dif_arena_str(&s->round, r->ticket);
	}
	struct dif_error err = {0};
	if (r->settled || s->ticket.id == NULL) {
		s->just_set = !s->newer; /* else it is another wish that it is compared with */
		read_route(s);
	} else if (++s->questions > SETTLE_LIMIT) {
		dif_error_set(&err, DIF_TRANSIENT,
		              "the change of '%s' did not settle; it is made again",
		              s->config->record);
		pause_after(s, &err);
	} else {
		uint32_t ms = r->wait_ms > 0 ? r->wait_ms : SETTLE_MS;
		dif_sm_move(&s->sm, SETTLING);
		uv_timer_start(&s->timer, on_ask_again, ms < SETTLE_MAX_MS ? ms : SETTLE_MAX_MS, 0);
		tell(s);
	}
}

/* --- reading --- */

static void stand(struct dif_steering *s)
{
	bool news = !s->status.stands || s->has_set;
	s->status.failures = s->conflicts = 0;
	s->status.err = (struct dif_error){0};
	s->status.stands = true;
	if (news) {
		s->status.stood = dif_wall_ms();
		s->status.took_ms = dif_steady_ms() - s->wished;
		dif_log(DIF_LOG_INFO, "steering", "name=%s record=%s stands=%s ttl_s=%u",
		        dif_q(s->config->name), dif_q(s->config->record), dif_q(s->status.standing),
		        s->status.ttl_s);
	}
	if (s->has_set && s->after != NULL) {
		dif_after_run(s->after, s->config->record, s->status.standing);
	}
	s->has_set = s->just_set = false;
	dif_sm_move(&s->sm, REST);
	uv_timer_start(&s->timer, on_time, AGAIN_MS, 0);
	if (news) {
		tell(s);
	}
}

static void seen(struct dif_steering *s, const struct dif_target *read, uint32_t n)
{
	s->status.failures = s->conflicts = 0;
	s->status.err = (struct dif_error){0};
	s->has_set = s->just_set = false;
	s->read = read;
	s->nread = n;
	dif_sm_move(&s->sm, REST);
	uv_timer_start(&s->timer, on_time, AGAIN_MS, 0);
	tell(s);
}

static void judge(struct dif_steering *s, const struct dif_outcome *out)
{
	struct dif_steering_plan plan = {0};
	struct dif_error err = {0};
	const char *tag = dif_arena_str(&s->round, out->result.tag);
	uint32_t n = out->ntargets;
	struct dif_target *read = dif_arena_alloc(&s->round, (n + 1) * sizeof *read);
	describe(s->status.standing, out->targets, n);
	if (s->newer) { /* what is wanted now decides */
		s->just_set = false;
		read_route(s);
		return;
	}
	for (uint32_t i = 0; read != NULL && i < n; i++) {
		read[i] = (struct dif_target){
			.name = dif_arena_str(&s->round, out->targets[i].name),
			.value = dif_arena_str(&s->round, out->targets[i].value),
			.weight = out->targets[i].weight};
	}
	if (read == NULL || s->round.failed) {
		dif_error_set(&err, DIF_TRANSIENT, "could not read the route: out of memory");
		pause_after(s, &err);
		return;
	}
	if (out->result.ttl_s > 0) {
		s->status.ttl_s = out->result.ttl_s;
	}
	if (s->watching) {
		seen(s, read, n);
		return;
	}
	if (!dif_steering_compare(&s->round, dif_instance_caps(s->instance), s->want, s->nwant,
	                          read, n, &plan, &err)) {
		pause_after(s, &err);
		return;
	}
	bool other_ttl = n > 0 && out->result.ttl_s > 0 && out->result.ttl_s != s->route.ttl_s;
	if (plan.differs || other_ttl) {
		if (s->just_set) { /* it is not what was set: not at once again */
			s->just_set = false;
			dif_error_set(&err, DIF_TRANSIENT,
			              "'%s' was set and reads otherwise: %.300s", s->config->record,
			              s->status.standing);
			pause_after(s, &err);
			return;
		}
		set_route(s, &plan, tag);
		return;
	}
	stand(s);
}

static void on_done(void *data, const struct dif_outcome *out)
{
	struct dif_steering *s = data;
	if (!is_over(s, out)) {
		if (s->sm.state == READING) {
			judge(s, out);
		} else {
			settle(s, &out->result);
		}
	}
	dif_release(&s->barrier);
}

static uint32_t ttl_of(const struct dif_steering *s)
{
	const struct dif_caps *caps = dif_instance_caps(s->instance);
	uint32_t ttl = (uint32_t)(s->config->ttl / 1000);
	ttl = ttl < caps->ttl_min_s ? caps->ttl_min_s : ttl;
	return caps->ttl_max_s > 0 && ttl > caps->ttl_max_s ? caps->ttl_max_s : ttl;
}

static void read_route(struct dif_steering *s)
{
	uv_timer_stop(&s->timer);
	s->read = NULL;
	dif_arena_reset(&s->round);
	s->ticket.id = NULL;
	s->newer = false;
	s->route = (struct dif_route){
		.name = s->config->record, .type = s->config->type, .ttl_s = ttl_of(s)};
	dif_sm_move(&s->sm, READING);
	ask(s, DIF_ROUTE_GET, &s->route);
}

/* --- begin and end --- */

static void on_gone(struct dif_barrier *b)
{
	struct dif_steering *s = DIF_ENTRY(b, struct dif_steering, barrier);
	dif_arena_fini(&s->wish);
	dif_arena_fini(&s->round);
	free(s);
}

struct dif_steering *dif_steering_open(struct dif_engine *e, struct dif_instance *i,
                                       const struct dif_steering_config *config,
                                       const struct dif_steering_events *events, void *data)
{
	struct dif_steering *s = calloc(1, sizeof *s);
	if (s == NULL) {
		return NULL;
	}
	dif_barrier_init(&s->barrier, on_gone);
	s->engine = e;
	s->instance = i;
	s->config = config;
	s->events = *events;
	s->data = data;
	dif_arena_init(&s->wish, ARENA_MAX, false);
	dif_arena_init(&s->round, ARENA_MAX, false);
	dif_sm_init(&s->sm, "steering", states, STATES, REST);
	s->status.state = dif_sm_name(&s->sm);
	s->status.ttl_s = ttl_of(s);
	uv_timer_init(&e->loop, &s->timer);
	s->timer.data = s;
	s->after =
		config->command != NULL ? dif_after_open(e, config->name, config->command) : NULL;
	s->has_set = s->after != NULL; /* the agent may have ended between the two */
	return s;
}

void dif_steering_want(struct dif_steering *s, const struct dif_steering_target *targets,
                       uint32_t n)
{
	bool any = false;
	for (uint32_t i = 0; i < n; i++) {
		any = any || (targets[i].weight > 0 && !targets[i].hidden);
	}
	if (!any || s->closing || n > DIF_STEERING_TARGETS) {
		return; /* never nowhere */
	}
	dif_arena_reset(&s->wish);
	struct dif_steering_target *want = dif_arena_alloc(&s->wish, n * sizeof *want);
	for (uint32_t i = 0; want != NULL && i < n; i++) {
		want[i] = targets[i];
		want[i].name = dif_arena_str(&s->wish, targets[i].name);
		want[i].value = dif_arena_str(&s->wish, targets[i].value);
	}
	s->want = want;
	s->nwant = want != NULL && !s->wish.failed ? n : 0;
	s->wished = dif_steady_ms();
	s->status.stands = false;
	s->watching = false;
	s->newer = true;
	if (s->nwant > 0 && (s->sm.state == REST || s->sm.state == PAUSING)) {
		s->status.failures = 0;
		read_route(s);
	}
}

void dif_steering_watch(struct dif_steering *s)
{
	s->watching = true;
	s->status.stands = false;
	s->newer = true;
	s->read = NULL;
	if (s->sm.state == REST || s->sm.state == PAUSING || s->op == NULL) {
		read_route(s);
	} else if (s->sm.state != READING) {
		dif_op_cancel(s->op);
	}
}

const struct dif_target *dif_steering_read(const struct dif_steering *s, uint32_t *n)
{
	*n = s->nread;
	return s->watching ? s->read : NULL;
}

const struct dif_caps *dif_steering_caps(const struct dif_steering *s)
{
	return dif_instance_caps(s->instance);
}

const struct dif_steering_status *dif_steering_status(const struct dif_steering *s)
{
	return &s->status;
}

const struct dif_steering_config *dif_steering_config(const struct dif_steering *s)
{
	return s->config;
}

static void on_timer_closed(uv_handle_t *h)
{
	dif_release(&((struct dif_steering *)h->data)->barrier);
}

void dif_steering_close(struct dif_steering *s)
{
	s->closing = true;
	if (s->op != NULL) {
		dif_op_cancel(s->op);
	}
	dif_after_close(s->after);
	s->after = NULL;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}
