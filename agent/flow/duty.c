#include "flow/duty.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "host/tree.h"

#define TICK_MS 200
#define SCOPE "lease"
#define NAME "view"
#define TEXT_MAX 16384

struct dif_duty_keeper {
	struct dif_setup *s;
	void (*changed)(void *data);
	void *data;
	struct dif_leader *leader; /* NULL: no lease */
	uv_timer_t tick;
	struct dif_duty duty;
	char why[128];
	char holder[256]; /* as it is kept; so is the rest */
	struct dif_error trouble;
	uint64_t fence;
	int64_t since;         /* wall ms: of the role */
	int64_t ticked, awake; /* steady ms: the last look; since when there was no pause */
};

const char *dif_role_name(uint32_t role)
{
	static const char *const names[DIF_ROLES] = {
		[DIF_ROLE_ALONE] = "alone",
		[DIF_ROLE_ACTIVE] = "active",
		[DIF_ROLE_STANDBY] = "standby",
		[DIF_ROLE_WITHOUT] = "without",
	};
	return role < DIF_ROLES ? names[role] : "unknown";
}

/* --- the pure part --- */

struct dif_duty dif_duty_decide(const struct dif_duty_input *in)
{
	if (in->lease == NULL) {
		return (struct dif_duty){DIF_ROLE_ALONE, true, true};
	}
	if (in->is_active) {
		return (struct dif_duty){DIF_ROLE_ACTIVE, true, true};
	}
	bool silent = in->now - in->answered >= DIF_DUTY_SILENCE * in->lease->ttl;
	if (silent && strcmp(in->lease->without, "publish") == 0) {
		return (struct dif_duty){DIF_ROLE_WITHOUT, true, in->was_last};
	}
	return (struct dif_duty){DIF_ROLE_STANDBY, false, false};
}

/* --- what the state keeps --- */

static void keep(const struct dif_duty_keeper *k)
{
	struct dif_buf out;
	struct dif_json j;
	dif_buf_init(&out, TEXT_MAX);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '{');
	dif_json_int(&j, "role", k->duty.role);
	dif_json_str(&j, "holder", k->holder);
	dif_json_str(&j, "owner", dif_leader_owner(k->leader));
	dif_json_int(&j, "fence", (int64_t)k->fence);
	dif_json_int(&j, "since", k->since);
	dif_json_int(&j, "kept", dif_wall_ms());
	dif_json_str(&j, "trouble", k->trouble.text);
	dif_json_close(&j, '}');
	if (!out.failed) {
		dif_state_put_fact(k->s->state, SCOPE, NAME, dif_buf_str(&out));
	}
	dif_buf_fini(&out);
}

static int64_t number(const struct dif_node *n, const char *key)
{
	int64_t to = 0;
	return dif_parse_int(dif_tree_str(dif_tree_get(n, key)), 0, INT64_MAX, &to) ? to : 0;
}

bool dif_duty_recall(struct dif_state *state, struct dif_arena *a, struct dif_duty_view *v)
{
	struct dif_error ignored = {0}; /* what cannot be read was not written by us */
	const char *kept = dif_state_fact(state, SCOPE, NAME, 0, a);
	const struct dif_node *n =
		kept != NULL ? dif_json_parse(a, (struct dif_bytes){kept, strlen(kept)}, &ignored)
			     : NULL;
	if (n == NULL) {
		return false;
	}
	*v = (struct dif_duty_view){.role = (uint32_t)number(n, "role"),
	                            .holder = dif_tree_str(dif_tree_get(n, "holder")),
	                            .owner = dif_tree_str(dif_tree_get(n, "owner")),
	                            .fence = number(n, "fence"),
	                            .since = number(n, "since"),
	                            .kept = number(n, "kept"),
	                            .trouble = dif_tree_str(dif_tree_get(n, "trouble"))};
	return true;
}

/* --- at work --- */

static bool is_ours(const struct dif_duty_keeper *k)
{
	return strcmp(dif_leader_holder(k->leader), dif_leader_owner(k->leader)) == 0;
}

static void tell(const struct dif_duty_keeper *k)
{
	const char *why = k->why;
	if (k->duty.role == DIF_ROLE_WITHOUT) {
		why = k->duty.may_alone ? "the lease cannot be asked for: it publishes all the "
		                          "same, and steers, because it had it last"
		                        : "the lease cannot be asked for: it publishes all the "
		                          "same, and leaves the route as it is";
	} else if (*why == '\0') {
		why = "another may have the lease";
	}
	dif_log(k->duty.role == DIF_ROLE_WITHOUT ? DIF_LOG_WARNING : DIF_LOG_INFO, "duty",
	        "role=%s holder=%s fence=%llu reason=%s", dif_role_name(k->duty.role),
	        dif_q(k->holder), (unsigned long long)k->fence, dif_q(why));
}

/* A failure to ask is told when it begins and when it ends. */
static bool note_trouble(struct dif_duty_keeper *k)
{
	const struct dif_error *err = dif_leader_trouble(k->leader);
	bool good = err->cls == DIF_OK || err->cls == DIF_NOT_FOUND; /* over, and told so */
	const char *text = good ? "" : err->text;
	if (strcmp(text, k->trouble.text) == 0) {
		return false;
	}
	if (good || k->trouble.text[0] == '\0') {
		dif_log(good ? DIF_LOG_INFO : DIF_LOG_WARNING, "lease",
		        "name=%s reached=%s reason=%s", dif_q(k->s->config->leases[0].name),
		        good ? "yes" : "no", dif_q(text));
	}
	snprintf(k->trouble.text, sizeof k->trouble.text, "%s", text);
	return true;
}

static bool note_holder(struct dif_duty_keeper *k)
{
	const char *holder = dif_leader_holder(k->leader);
	uint64_t fence = dif_leader_fence(k->leader);
	if (strcmp(holder, k->holder) == 0 && fence == k->fence) {
		return false;
	}
	snprintf(k->holder, sizeof k->holder, "%s", holder);
	k->fence = fence;
	return true;
}

/* Silence is what was listened for: who was stopped, or whose machine slept, has not asked. */
static int64_t silent_since(struct dif_duty_keeper *k, int64_t now)
{
	int64_t answered = dif_leader_answered(k->leader);
	if (now - k->ticked > k->s->config->leases[0].ttl) {
		k->awake = now;
	}
	k->ticked = now;
	return answered > k->awake ? answered : k->awake;
}

static void renew(struct dif_duty_keeper *k)
{
	int64_t moment = dif_steady_ms();
	const struct dif_duty_input in = {.lease = &k->s->config->leases[0],
	                                  .is_active = dif_leader_is_active(k->leader),
	                                  .was_last = is_ours(k),
	                                  .answered = silent_since(k, moment),
	                                  .now = moment};
	struct dif_duty now = dif_duty_decide(&in);
	bool turned = now.role != k->duty.role || now.may_alone != k->duty.may_alone;
	bool news = note_holder(k);
	news = note_trouble(k) || news;
	k->duty = now;
	if (turned) {
		k->since = dif_wall_ms();
		tell(k);
	}
	if (turned || news) {
		keep(k);
	}
	if (turned) {
		k->changed(k->data);
	}
}

static void on_tick(uv_timer_t *t)
{
	renew(t->data);
}

static void on_changed(void *data, bool active, const char *why)
{
	struct dif_duty_keeper *k = data;
	(void)active; /* asked for anew: who has it may stop counting on it in between */
	snprintf(k->why, sizeof k->why, "%s", why);
	renew(k);
}

struct dif_duty_keeper *dif_duty_open(struct dif_setup *s, void (*changed)(void *data), void *data)
{
	struct dif_duty_keeper *k = calloc(1, sizeof *k);
	if (k == NULL) {
		return NULL;
	}
	k->s = s;
	k->changed = changed;
	k->data = data;
	k->since = dif_wall_ms();
	k->ticked = k->awake = dif_steady_ms();
	k->duty = dif_duty_decide(&(struct dif_duty_input){0});
	if (s->config->nleases == 0) {
		return k;
	}
	k->duty = dif_duty_decide(&(struct dif_duty_input){.lease = &s->config->leases[0]});
	k->leader = dif_leader_open(s->engine, s->leases[0], &s->config->leases[0], on_changed, k);
	if (k->leader == NULL) {
		free(k);
		return NULL;
	}
	int rc = uv_timer_init(&s->engine->loop, &k->tick);
	assert(rc == 0);
	k->tick.data = k;
	uv_timer_start(&k->tick, on_tick, TICK_MS, TICK_MS);
	keep(k);
	return k;
}

struct dif_duty dif_duty_now(const struct dif_duty_keeper *k)
{
	return k->duty;
}

const char *dif_duty_other(const struct dif_duty_keeper *k)
{
	bool known = k->leader != NULL && k->duty.role == DIF_ROLE_STANDBY &&
	             dif_leader_trouble(k->leader)->cls == DIF_OK &&
	             dif_leader_holder(k->leader)[0] != '\0' && !is_ours(k);
	return known ? dif_leader_holder(k->leader) : NULL;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

static void on_released(void *data)
{
	struct dif_duty_keeper *k = data;
	uv_close((uv_handle_t *)&k->tick, on_timer_closed);
}

void dif_duty_close(struct dif_duty_keeper *k)
{
	if (k == NULL) {
		return;
	}
	if (k->leader == NULL) {
		free(k);
		return;
	}
	uv_timer_stop(&k->tick);
	k->why[0] = '\0';
	dif_leader_close(k->leader, on_released, k);
}
