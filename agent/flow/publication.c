/* publication - who has arrived, who may go on, how many connections each may have.
 *
 * The barrier keeps readers of different clouds close together: behind it come the pages that name
 * what lies before it. It is a courtesy with a bound: `barrier` of a destination says how long it
 * waits, counted from the first arrival, and nobody waits for a store that is away.
 */
#include "flow/publication.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"

#define CONNECTIONS 256       /* of the agent, design rule 6 */
#define CONNECTIONS_EACH 128u /* of a destination, design section 9 */
#define TICK_MS 200
#define TIMEOUT_MS (10 * 60 * 1000)

struct lane {
	struct dif_publication *p;
	struct dif_delivery *delivery;
	bool arrived, passed, ended;
};

struct dif_publication {
	struct dif_publication_job job;
	void (*ended)(void *data, struct dif_publication *p);
	void *data;
	struct lane *lanes;
	uint32_t n, running;
	uv_timer_t tick;
	int64_t first_arrival; /* steady; 0: none yet */
	bool canceled, closing, closed;
};

static void share_connections(struct dif_publication *p)
{
	uint32_t each = CONNECTIONS / (p->running ? p->running : 1);
	each = each == 0 ? 1 : each < CONNECTIONS_EACH ? each : CONNECTIONS_EACH;
	for (uint32_t i = 0; i < p->n; i++) {
		if (!p->lanes[i].ended) {
			dif_instance_limit(p->job.destinations[i]->store, each);
		}
	}
}

static void on_closed(uv_handle_t *h)
{
	struct dif_publication *p = h->data;
	p->closed = true;
	if (!p->job.dry_run && dif_publication_is_there(p)) {
		const char *sha256 = p->job.manifest->order.sha256;
		dif_log(DIF_LOG_INFO, "shown", "cut=%.12s skew_ms=%" PRId64, sha256,
		        dif_publication_skew(p->job.state, sha256));
	}
	p->ended(p->data, p);
}

static int64_t timeout_of(const struct dif_publication *p)
{
	return p->job.timeout_ms > 0 ? p->job.timeout_ms : TIMEOUT_MS;
}

/* Somebody who may still arrive within a reasonable time. */
static bool is_expected(const struct dif_publication *p, uint32_t i)
{
	const struct lane *l = &p->lanes[i];
	return !l->ended && !l->arrived &&
	       dif_instance_down_since(p->job.destinations[i]->store) == 0;
}

/* Who has arrived must also get through: half of the time is the most that goes by waiting. */
static int64_t patience_of(const struct dif_publication *p, uint32_t i)
{
	int64_t most = timeout_of(p) / 2, barrier = p->job.destinations[i]->config->barrier;
	return barrier < most ? barrier : most;
}

static void look(struct dif_publication *p)
{
	int64_t now = dif_steady_ms();
	bool expected = false;
	for (uint32_t i = 0; i < p->n; i++) {
		expected = expected || is_expected(p, i);
	}
	for (uint32_t i = 0; i < p->n; i++) {
		struct lane *l = &p->lanes[i];
		int64_t patience = patience_of(p, i);
		if (l->arrived && !l->passed && !l->ended &&
		    (!expected || now - p->first_arrival >= patience)) {
			l->passed = true;
			dif_delivery_pass(l->delivery);
		}
	}
	if (p->running == 0 && !p->closing) {
		p->closing = true;
		uv_close((uv_handle_t *)&p->tick, on_closed);
	}
}

static void on_tick(uv_timer_t *t)
{
	look(t->data);
}

static void on_barrier(void *data, struct dif_delivery *d)
{
	struct lane *l = data;
	(void)d;
	l->arrived = true;
	if (l->p->first_arrival == 0) {
		l->p->first_arrival = dif_steady_ms();
	}
	look(l->p);
}

static void on_ended(void *data, struct dif_delivery *d)
{
	struct lane *l = data;
	(void)d;
	l->ended = true;
	l->p->running--;
	share_connections(l->p);
	look(l->p);
}

static void start_lanes(struct dif_publication *p)
{
	static const struct dif_delivery_events events = {.at_barrier = on_barrier,
	                                                  .ended = on_ended};
	const struct dif_publication_job *job = &p->job;
	for (uint32_t i = 0; i < p->n; i++) {
		struct lane *l = &p->lanes[i];
		struct dif_delivery_job one = {.engine = job->engine,
		                               .state = job->state,
		                               .spool = job->spool,
		                               .package = job->package,
		                               .manifest = job->manifest,
		                               .destination = job->destinations[i],
		                               .classes = job->config->classes,
		                               .nclasses = job->config->nclasses,
		                               .dry_run = job->dry_run,
		                               .deadline_ms = timeout_of(p),
		                               .unreachable_ms = job->unreachable_ms,
		                               .linger_ms = job->linger_ms};
		l->p = p;
		l->delivery = dif_delivery_start(&one, &events, l);
		/* Without memory for this the agent ends, is started again, and goes on. */
		assert(l->delivery != NULL);
		p->running++;
	}
}

struct dif_publication *dif_publication_start(const struct dif_publication_job *job,
                                              void (*ended)(void *data, struct dif_publication *p),
                                              void *data)
{
	struct dif_publication *p = calloc(1, sizeof *p);
	if (p == NULL) {
		return NULL;
	}
	p->job = *job;
	p->ended = ended;
	p->data = data;
	p->n = job->ndestinations;
	p->lanes = calloc(p->n ? p->n : 1, sizeof *p->lanes);
	if (p->lanes == NULL) {
		free(p);
		return NULL;
	}
	uv_timer_init(&job->engine->loop, &p->tick);
	p->tick.data = p;
	uv_timer_start(&p->tick, on_tick, 0, TICK_MS);
	start_lanes(p);
	share_connections(p);
	return p;
}

void dif_publication_supersede(struct dif_publication *p)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if (!p->lanes[i].ended) {
			dif_delivery_supersede(p->lanes[i].delivery);
		}
	}
}

void dif_publication_cancel(struct dif_publication *p)
{
	p->canceled = true;
	for (uint32_t i = 0; i < p->n; i++) {
		if (!p->lanes[i].ended) {
			dif_delivery_cancel(p->lanes[i].delivery);
		}
	}
}

void dif_publication_free(struct dif_publication *p)
{
	if (p == NULL) {
		return;
	}
	assert(p->closed);
	for (uint32_t i = 0; i < p->n; i++) {
		dif_delivery_free(p->lanes[i].delivery);
	}
	free(p->lanes);
	free(p);
}

static bool is_done(const struct lane *l)
{
	return l->ended && dif_delivery_error(l->delivery)->cls == DIF_OK;
}

int dif_publication_exit(const struct dif_publication *p)
{
	uint32_t done = 0, there = 0, refused = 0, canceled = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct lane *l = &p->lanes[i];
		const struct dif_error *err = dif_delivery_error(l->delivery);
		done += is_done(l);
		there += dif_delivery_is_there(l->delivery);
		refused += err->exit == DIF_EXIT_GUARD;
		canceled += err->cls == DIF_CANCELED;
	}
	if (done == p->n) {
		return DIF_EXIT_OK;
	}
	if (done > 0 || there > 0) {
		return DIF_EXIT_PARTIAL; /* there, and a CDN may still give the older one */
	}
	if (refused > 0) {
		return DIF_EXIT_GUARD;
	}
	return canceled > 0 ? DIF_EXIT_OTHER : DIF_EXIT_NONE_REACHED;
}

bool dif_publication_is_there(const struct dif_publication *p)
{
	bool there = false;
	for (uint32_t i = 0; p != NULL && i < p->n; i++) {
		there = there || dif_delivery_is_there(p->lanes[i].delivery);
	}
	return there;
}

struct showing {
	int64_t first, last;
	uint32_t n;
};

static void on_shown(void *data, const char *destination, const char *value)
{
	struct showing *s = data;
	int64_t at = 0;
	(void)destination;
	if (dif_parse_int(value, 1, INT64_MAX, &at)) {
		s->first = s->n == 0 || at < s->first ? at : s->first;
		s->last = at > s->last ? at : s->last;
		s->n++;
	}
}

int64_t dif_publication_skew(struct dif_state *state, const char *sha256)
{
	struct showing s = {0};
	char scope[128];
	snprintf(scope, sizeof scope, DIF_SHOWN_SCOPE, sha256);
	dif_state_facts(state, scope, on_shown, &s);
	return s.n > 1 ? s.last - s.first : -1;
}

int64_t dif_publication_shown(struct dif_state *state, const char *sha256, const char *destination)
{
	char scope[128];
	struct dif_arena a;
	int64_t at = 0;
	dif_arena_init(&a, 4096, false);
	snprintf(scope, sizeof scope, DIF_SHOWN_SCOPE, sha256);
	const char *value = dif_state_fact(state, scope, destination, 0, &a);
	(void)(value != NULL && dif_parse_int(value, 1, INT64_MAX, &at));
	dif_arena_fini(&a);
	return at;
}

uint32_t dif_publication_count(const struct dif_publication *p)
{
	return p->n;
}

struct dif_delivery *dif_publication_at(const struct dif_publication *p, uint32_t i)
{
	return p->lanes[i].delivery;
}
