/* op_login - the credential of an instance.
 *
 * One login at a time, whoever waits. It is renewed while the old one still serves; ops wait only
 * where there is none that does. An op keeps the credential that its attempt started with. AUTH
 * drops the version that was used and no newer one, so a hundred ops that were in flight when a
 * token died cause one login.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/op_private.h"
#include "host/secret.h"

#define LOGIN_MAX 60000 /* metadata services and token endpoints answer within seconds */
#define AGAIN_MIN 5000  /* a login that was refused is not asked for at every op */
#define DOWN_MIN 3      /* failures in a row that are no accident any more */
#define LIFE_MIN 30     /* seconds; a shorter one would be a login for each op */
#define CRED_MAX (1u << 20)

void dif_credential_release(struct dif_credential *c)
{
	if (c == NULL || --c->refs > 0) {
		return;
	}
	for (size_t k = 0; k < DIF_CRED_PARTS; k++) {
		dif_secret_drop(c->cred.part[k]);
	}
	dif_arena_fini(&c->arena);
	free(c);
}

/* NULL: out of memory. */
static struct dif_credential *adopt(struct dif_login *l, const struct dif_cred *from, int64_t now,
                                    uint32_t renew_before)
{
	struct dif_credential *c = calloc(1, sizeof *c);
	if (c == NULL) {
		return NULL;
	}
	dif_arena_init(&c->arena, CRED_MAX, true);
	for (size_t k = 0; k < DIF_CRED_PARTS; k++) {
		const char *part = from->part[k] != NULL ? from->part[k] : "";
		c->cred.part[k] = dif_arena_str(&c->arena, part);
	}
	if (c->arena.failed) {
		dif_arena_fini(&c->arena);
		free(c);
		return NULL;
	}
	for (size_t k = 0; k < DIF_CRED_PARTS; k++) {
		dif_secret_add(c->cred.part[k]);
	}
	int64_t least = now + LIFE_MIN;
	c->cred.expires = from->expires > least ? from->expires : least;
	if (c->cred.expires == INT64_MAX) {
		c->renew_at = INT64_MAX;
	} else {
		/* Metadata services hand out what they have kept, be it near its end: not before
		 * half of what is left, or each op would ask them again. */
		int64_t half = now + (c->cred.expires - now) / 2;
		int64_t early = c->cred.expires - (int64_t)renew_before;
		c->renew_at = early > half ? early : half;
	}
	c->refs = 1;
	c->version = ++l->versions;
	return c;
}

bool dif_login_set_clock(struct dif_instance *i, const struct dif_op_host *a)
{
	int64_t ahead = a->peer_date - dif_instance_now(i);
	int64_t since = i->clock_offset - a->clock_offset;
	if ((since < 0 ? -since : since) > (int64_t)i->caps.clock_window_s) {
		return true; /* another attempt has set it since this one was dated */
	}
	if (i->caps.clock_window_s == 0 || a->peer_date < 0 ||
	    (ahead < 0 ? -ahead : ahead) <= (int64_t)i->caps.clock_window_s) {
		return false;
	}
	i->clock_offset += ahead;
	dif_log(DIF_LOG_WARNING, "clock", "destination=%s offset_s=%lld reason=%s", dif_q(i->name),
	        (long long)i->clock_offset,
	        dif_q("the peer's clock differs from this machine's; signatures follow the peer"));
	return true;
}

static void on_again(uv_timer_t *timer)
{
	struct dif_instance *i = timer->data;
	i->login.again_at = 0; /* the loop's clock may be a millisecond before ours */
	if (!dif_list_empty(&i->queue)) {
		dif_run_kick(i);
	}
}

/* A timer that only looks again whether ops still wait. */
static void look_again(struct dif_instance *i, int64_t ms)
{
	int rc = uv_timer_start(&i->login.timer, on_again, (uint64_t)ms, 0);
	assert(rc == 0);
}

static void on_failed(struct dif_instance *i, const struct dif_op_host *a)
{
	struct dif_login *l = &i->login;
	bool repeats = a->err.cls == DIF_TRANSIENT || a->err.cls == DIF_THROTTLED;
	int64_t wait = AGAIN_MIN;
	l->err = a->err;
	if (l->err.cls == DIF_NOT_FOUND || l->err.cls == DIF_CONFLICT) {
		l->err.cls = DIF_PERMANENT; /* no word about the object that an op asks for */
	}
	dif_error_wrap(&l->err, "could not log in");
	if (a->is_canceled) {
		dif_error_set(&l->err, DIF_TRANSIENT, "could not log in: no answer in time");
		repeats = true;
	}
	if (l->failures++ == 0) {
		l->failing_since = dif_steady_ms();
	}
	l->is_final = !repeats;
	if (repeats) {
		wait = dif_retry_delay(&l->err, l->failures, dif_instance_chance(i));
	}
	l->again_at = dif_steady_ms() + wait;
	dif_log(DIF_LOG_WARNING, "login", "destination=%s class=%s wait_ms=%lld text=%s",
	        dif_q(i->name), dif_class_name(l->err.cls), (long long)wait, dif_q(l->err.text));
	if (repeats) {
		look_again(i, wait);
	}
}

/* A peer that does not let us in is as far away as one that does not answer: it counts for the
 * breaker like any other op. */
static void count(struct dif_instance *i, const struct dif_op_host *a)
{
	int64_t now = dif_steady_ms();
	bool is_late = a->is_canceled && !i->is_closing;
	enum dif_class cls = is_late ? DIF_TRANSIENT : a->err.cls;
	dif_pressure_ended(&i->pressure, cls, a->is_local || i->is_closing, now,
	                   dif_instance_chance(i));
	dif_instance_note_breaker(i, now);
}

static void on_ended(struct dif_op_host *a)
{
	struct dif_instance *i = a->owner;
	struct dif_login *l = &i->login;
	uv_timer_stop(&l->timer);
	count(i, a);
	l->attempt = NULL;
	struct dif_credential *fresh = NULL;
	if (a->err.cls == DIF_OK) {
		fresh = adopt(l, &a->result.cred, dif_instance_now(i), i->caps.renew_before_s);
		if (fresh == NULL) {
			dif_error_set(&a->err, DIF_TRANSIENT, "out of memory");
		}
	}
	if (fresh != NULL) {
		dif_credential_release(l->current);
		l->current = fresh;
		l->failures = 0;
		l->is_final = false;
		l->has_set_clock = false;
		l->again_at = 0;
		dif_log(DIF_LOG_DEBUG, "login", "destination=%s version=%llu", dif_q(i->name),
		        (unsigned long long)fresh->version);
	} else if (!i->is_closing) {
		if (a->err.cls == DIF_AUTH && !l->has_set_clock && dif_login_set_clock(i, a)) {
			l->has_set_clock = true;
		} else {
			on_failed(i, a);
		}
	}
	dif_attempt_give_back(a);
	dif_run_kick(i);
	dif_release(&i->live);
}

static void on_late(uv_timer_t *timer)
{
	struct dif_instance *i = timer->data;
	dif_attempt_cancel(i->login.attempt);
}

static void start(struct dif_instance *i)
{
	struct dif_login *l = &i->login;
	struct dif_op_host *a = dif_attempt_take(i);
	if (a == NULL) {
		dif_error_set(&l->err, DIF_TRANSIENT, "could not log in: out of memory");
		l->is_final = false;
		l->again_at = dif_steady_ms() + AGAIN_MIN;
		look_again(i, AGAIN_MIN);
		return;
	}
	l->attempt = a;
	dif_hold(&i->live);
	dif_pressure_started(&i->pressure, false, dif_steady_ms());
	int rc = uv_timer_start(&l->timer, on_late, LOGIN_MAX, 0);
	assert(rc == 0);
	dif_attempt_start(a, &(struct dif_attempt_start){.verb = i->offer->verbs->login,
	                                                 .name = "login",
	                                                 .number = l->failures,
	                                                 .is_login = true,
	                                                 .ended = on_ended,
	                                                 .owner = i});
}

static bool is_good(const struct dif_instance *i)
{
	const struct dif_credential *c = i->login.current;
	return c != NULL && (c->cred.expires == INT64_MAX || c->cred.expires > dif_instance_now(i));
}

enum dif_login_state dif_login_ready(struct dif_instance *i)
{
	struct dif_login *l = &i->login;
	if (i->offer->verbs->login == NULL) {
		return DIF_LOGIN_READY;
	}
	bool may_start = l->attempt == NULL && dif_steady_ms() >= l->again_at;
	bool is_wanted = !is_good(i) || l->current->renew_at <= dif_instance_now(i);
	if (is_wanted && may_start) {
		start(i); /* may have ended already */
	}
	if (is_good(i)) {
		return DIF_LOGIN_READY;
	}
	/* While one runs, or waits to run again, ops wait with it. */
	return l->attempt == NULL && l->is_final ? DIF_LOGIN_FAILED : DIF_LOGIN_WAIT;
}

void dif_login_idle(struct dif_instance *i)
{
	struct dif_login *l = &i->login;
	if (dif_list_empty(&i->runs) && l->attempt != NULL && !l->attempt->is_canceled &&
	    !is_good(i)) {
		dif_attempt_cancel(l->attempt);
	}
}

int64_t dif_login_down_since(const struct dif_instance *i)
{
	const struct dif_login *l = &i->login;
	return !is_good(i) && l->failures >= DOWN_MIN ? l->failing_since : 0;
}

void dif_login_drop(struct dif_instance *i, uint64_t version)
{
	struct dif_login *l = &i->login;
	if (l->current != NULL && l->current->version == version) {
		dif_credential_release(l->current);
		l->current = NULL;
	}
}

void dif_login_close(struct dif_instance *i)
{
	if (i->login.attempt != NULL) {
		uv_timer_stop(&i->login.timer);
		if (!i->login.attempt->is_canceled) {
			dif_attempt_cancel(i->login.attempt);
		}
	} else {
		uv_timer_stop(&i->login.timer);
	}
}
