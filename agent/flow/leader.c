/* leader - asks for the lease, keeps it, notices when it is gone.
 *
 * One timer: the next question, or the end of what we have, whichever is first. A question may take
 * a third of the lease at most, so that two more fit in before the end.
 */
#include "flow/leader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/crypto.h"

#define OWNER_MAX 96
#define RELEASE_MS 2000 /* the end of the agent does not wait longer; the lease ends by itself */

struct dif_leader {
	struct dif_engine *e;
	struct dif_instance *i;
	const struct dif_lease_config *config;
	void (*changed)(void *data, bool active, const char *why);
	void *data;
	char owner[OWNER_MAX], holder[256];
	char lease[256]; /* "": none */
	uint64_t fence;
	bool is_active;
	int64_t until;   /* steady ms: what we have counts until then */
	int64_t sent;    /* of the question that runs */
	int64_t next_at; /* steady ms: the next question */
	int64_t answered;
	uv_timer_t timer;
	struct dif_lease_call in;
	struct dif_op_run *run;
	struct dif_error trouble;
	bool closing;
	void (*closed)(void *data);
	void *closed_data;
};

static void on_timer(uv_timer_t *t);

static int64_t third(const struct dif_leader *l)
{
	return l->config->ttl / 3;
}

static void plan(struct dif_leader *l)
{
	int64_t now = dif_steady_ms(), at = l->next_at;
	if (l->is_active && l->until < at) {
		at = l->until;
	}
	if (l->run != NULL && l->is_active) {
		at = l->until;
	} else if (l->run != NULL) {
		return; /* its end plans */
	}
	int rc = uv_timer_start(&l->timer, on_timer, (uint64_t)(at > now ? at - now : 0), 0);
	assert(rc == 0);
}

static void set_active(struct dif_leader *l, bool active, const char *why)
{
	if (l->is_active == active) {
		return;
	}
	l->is_active = active;
	if (!active) {
		l->lease[0] = '\0';
	}
	l->changed(l->data, active, why);
}

static void on_closed(uv_handle_t *h)
{
	struct dif_leader *l = h->data;
	l->closed(l->closed_data);
	free(l);
}

static void on_released(void *data, const struct dif_outcome *out)
{
	struct dif_leader *l = data;
	(void)out;
	l->run = NULL;
	uv_close((uv_handle_t *)&l->timer, on_closed);
}

static void start(struct dif_leader *l, enum dif_verb_id verb, int64_t deadline, dif_op_cb *cb)
{
	l->in = (struct dif_lease_call){.name = l->config->name,
	                                .owner = l->owner,
	                                .lease = l->lease[0] != '\0' ? l->lease : NULL,
	                                .ttl_s = (uint32_t)((l->config->ttl + 999) / 1000)};
	l->sent = dif_steady_ms();
	l->run = dif_op_start(l->i, verb, &l->in, deadline, cb, l);
}

static void let_go(struct dif_leader *l)
{
	uv_timer_stop(&l->timer);
	if (l->lease[0] != '\0') {
		start(l, DIF_LEASE_RELEASE, RELEASE_MS, on_released);
	} else {
		uv_close((uv_handle_t *)&l->timer, on_closed);
	}
}

/* Ours from when it was asked for; a tenth early, because clocks run differently. */
static void hold(struct dif_leader *l, uint32_t ttl_s)
{
	int64_t ttl =
		ttl_s != 0 && ttl_s * 1000LL < l->config->ttl ? ttl_s * 1000LL : l->config->ttl;
	l->until = l->sent + ttl - ttl / 10;
}

static void on_renewed(struct dif_leader *l, const struct dif_outcome *out)
{
	if (out->err.cls == DIF_OK) {
		hold(l, out->result.ttl_s);
	} else if (out->err.cls == DIF_NOT_FOUND) {
		l->next_at = dif_steady_ms();
		set_active(l, false, "the lease is over");
	}
	/* else it is asked again until what we have is over */
}

static void on_acquired(struct dif_leader *l, const struct dif_outcome *out)
{
	const struct dif_result *r = &out->result;
	if (out->err.cls != DIF_OK) {
		return;
	}
	const char *holder = r->lease != NULL ? l->owner : r->holder != NULL ? r->holder : "";
	(void)snprintf(l->holder, sizeof l->holder, "%s", holder);
	if (r->lease == NULL) {
		return;
	}
	(void)snprintf(l->lease, sizeof l->lease, "%s", r->lease);
	l->fence = r->fence;
	hold(l, r->ttl_s);
	if (l->until > dif_steady_ms()) { /* else the answer took too long to count on it */
		set_active(l, true, "it has the lease");
	}
}

static void on_answer(void *data, const struct dif_outcome *out)
{
	struct dif_leader *l = data;
	bool renewing = l->in.lease != NULL;
	l->run = NULL;
	l->trouble = out->err;
	l->next_at = dif_steady_ms() + third(l);
	if (out->err.cls == DIF_OK || (renewing && out->err.cls == DIF_NOT_FOUND)) {
		l->answered = dif_steady_ms();
	}
	if (l->closing) {
		if (!renewing) {
			on_acquired(l, out); /* to give it back */
		}
		let_go(l);
		return;
	}
	if (renewing) {
		on_renewed(l, out);
	} else {
		on_acquired(l, out);
	}
	plan(l);
}

static void on_timer(uv_timer_t *t)
{
	struct dif_leader *l = t->data;
	int64_t now = dif_steady_ms();
	if (l->is_active && now >= l->until) {
		set_active(l, false, "the lease could not be renewed in time");
		l->next_at = now;
	}
	if (l->run == NULL && now >= l->next_at) {
		bool renewing = l->is_active && l->lease[0] != '\0';
		if (!renewing) {
			l->lease[0] = '\0';
		}
		start(l, renewing ? DIF_LEASE_RENEW : DIF_LEASE_ACQUIRE, third(l), on_answer);
	}
	plan(l);
}

static bool name_owner(struct dif_leader *l)
{
	char host[64] = "host";
	uint8_t chance[8];
	(void)gethostname(host, sizeof host - 1);
	if (!dif_random(chance, sizeof chance)) {
		return false;
	}
	int n = snprintf(l->owner, sizeof l->owner, "%s.%ld.", host, (long)getpid());
	for (size_t k = 0; k < sizeof chance; k++) {
		n += snprintf(l->owner + n, sizeof l->owner - (size_t)n, "%02x", chance[k]);
	}
	return true;
}

struct dif_leader *dif_leader_open(struct dif_engine *e, struct dif_instance *i,
                                   const struct dif_lease_config *config,
                                   void (*changed)(void *data, bool active, const char *why),
                                   void *data)
{
	struct dif_leader *l = calloc(1, sizeof *l);
	if (l == NULL || !name_owner(l)) {
		free(l);
		return NULL;
	}
	l->e = e;
	l->i = i;
	l->config = config;
	l->changed = changed;
	l->data = data;
	int rc = uv_timer_init(&e->loop, &l->timer);
	assert(rc == 0);
	l->timer.data = l;
	l->next_at = l->answered = dif_steady_ms();
	plan(l);
	return l;
}

void dif_leader_close(struct dif_leader *l, void (*closed)(void *data), void *data)
{
	l->closing = true;
	l->is_active = false;
	l->closed = closed;
	l->closed_data = data;
	if (l->run != NULL) {
		uv_timer_stop(&l->timer);
		dif_op_cancel(l->run);
	} else {
		let_go(l);
	}
}

bool dif_leader_is_active(const struct dif_leader *l)
{
	return l->is_active && dif_steady_ms() < l->until;
}

const char *dif_leader_holder(const struct dif_leader *l)
{
	return l->holder;
}

const char *dif_leader_owner(const struct dif_leader *l)
{
	return l->owner;
}

int64_t dif_leader_answered(const struct dif_leader *l)
{
	return l->answered;
}

uint64_t dif_leader_fence(const struct dif_leader *l)
{
	return l->fence;
}

const struct dif_error *dif_leader_trouble(const struct dif_leader *l)
{
	return &l->trouble;
}
