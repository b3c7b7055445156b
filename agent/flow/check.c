/* check - the subjects side by side, their points in order.
 *
 *   subject: ask ─▶ answer ─▶ points ─▶ next ask ... ─▶ ended
 *
 * A point is kept with its subject until all subjects before it have ended. While this runs, the
 * engine's transport is ours: it lets everything pass and notes the addresses that carry a
 * subject's nonce. So the same list and the same object can be asked for once more without the
 * signature, whatever the provider and its way of writing addresses.
 */
#include "flow/check_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/crypto.h"

#define DAY 86400
#define CUTS_MAX 1000      /* of the state, looked at for the live one */
#define CERT_WARN_DAYS 30  /* time to renew it without haste */
#define CERT_HASTE_DAYS 14 /* it should have been */
#define CERT_STOP_DAYS 3   /* a night, and the morning after it */

const char *dif_verdict_name(uint32_t verdict)
{
	static const char *const names[DIF_VERDICTS] = {
		[DIF_GO] = "go",
		[DIF_WARNING] = "warning",
		[DIF_NO_GO] = "no-go",
		[DIF_NOT_CHECKED] = "not checked",
	};
	return verdict < DIF_VERDICTS ? names[verdict] : "unknown";
}

/* --- the end --- */

static void fini_subject(struct subject *s)
{
	dif_arena_fini(&s->arena);
}

static void let_go(struct dif_check *c)
{
	if (--c->open > 0) {
		return;
	}
	const struct dif_check_events *events = c->events;
	void *data = c->data;
	c->setup->engine->transport = c->real;
	for (uint32_t i = 0; i < c->nsubjects; i++) {
		fini_subject(&c->subjects[i]);
	}
	dif_manifest_unref(c->manifest);
	free(c->subjects);
	free(c->big);
	free(c);
	events->done(data);
}

static void on_timer_closed(uv_handle_t *h)
{
	struct subject *s = h->data;
	let_go(s->c);
}

/* --- points --- */

static void flush(struct dif_check *c)
{
	while (c->telling < c->nsubjects) {
		struct subject *s = &c->subjects[c->telling];
		while (!dif_list_empty(&s->points)) {
			struct told *t = DIF_ENTRY(s->points.next, struct told, link);
			dif_list_remove(&t->link);
			c->events->point(c->data, &t->point);
		}
		if (!s->ended) {
			return;
		}
		c->telling++;
	}
}

void check_tell(struct subject *s, const char *question, enum dif_verdict verdict, const char *fmt,
                ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *text = dif_arena_vfmt(&s->arena, fmt, ap);
	va_end(ap);
	struct told *t = dif_arena_alloc(&s->arena, sizeof *t);
	if (t == NULL) { /* a list with a gap would read as a go */
		abort();
	}
	t->point = (struct dif_check_point){s->what, s->name, question, verdict, text};
	dif_list_add(&s->points, &t->link);
	flush(s->c);
}

void check_fail(struct subject *s, const char *question, const struct dif_error *err,
                const char *remedy)
{
	const char *advice = remedy != NULL ? remedy : check_remedy(err);
	check_tell(s, question, DIF_NO_GO, "%s%s%s", err->text, *advice != '\0' ? "; " : "",
	           advice);
}

const char *check_remedy(const struct dif_error *err)
{
	static const struct {
		const char *code, *remedy;
	} all[] = {
		{"resolve", "correct the name, or the DNS of this machine"},
		{"connect", "start the server, or let us through its firewall"},
		{"timeout", "look at the network between, and at the firewall"},
		{"tls", "set ca_file to the authority that signed its certificate, or have the "
	                "certificate renewed"},
		{DIF_HTTP_CODE_LOCAL, "look after this machine: descriptors, memory, network"},
	};
	for (size_t i = 0; i < DIF_LEN(all); i++) {
		if (strcmp(err->code, all[i].code) == 0) {
			return all[i].remedy;
		}
	}
	return "";
}

void check_tell_tls(struct subject *s, const char *question, const char *tls, int64_t cert_ends)
{
	char date[DIF_DATE_MAX], span[DIF_DATE_MAX];
	if (tls == NULL) {
		check_tell(s, question, DIF_WARNING,
		           "plain HTTP: nothing proves who answers; use https where it leaves this "
		           "machine");
		return;
	}
	if (cert_ends == 0) {
		check_tell(s, question, DIF_GO, "%s", tls);
		return;
	}
	int64_t days = (cert_ends - dif_wall_ms() / 1000) / DAY;
	enum dif_verdict v = days < CERT_STOP_DAYS   ? DIF_NO_GO
	                     : days < CERT_WARN_DAYS ? DIF_WARNING
	                                             : DIF_GO;
	check_tell(s, question, v, "%s, the certificate ends in %s (%.10s)%s", tls,
	           dif_count(span, days > 0 ? (uint64_t)days : 0, "day"),
	           dif_date(date, DIF_DATE_ISO, cert_ends),
	           days < CERT_HASTE_DAYS  ? "; have it renewed today"
	           : days < CERT_WARN_DAYS ? "; have it renewed"
	                                   : "");
}

/* --- asking --- */

void check_next(struct subject *s)
{
	check_ask *ask = s->asks[s->at];
	if (ask != NULL) {
		s->at++;
		ask(s);
		return;
	}
	s->ended = true;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	flush(s->c);
}

void check_skip_to(struct subject *s, check_ask *ask)
{
	while (s->asks[s->at] != NULL && s->asks[s->at] != ask) {
		s->at++;
	}
}

bool check_is_http(const struct subject *s)
{
	return (dif_instance_offer(s->i)->flags & DIF_OFFER_HTTP) != 0;
}

struct dif_op_run *check_op(struct subject *s, enum dif_verb_id verb, const void *in,
                            int64_t deadline_ms, dif_op_cb *cb)
{
	return dif_op_start(s->i, verb, in, deadline_ms, cb, s);
}

static bool on_begin(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct comparing *c = (struct comparing *)(void *)sink;
	(void)err;
	c->at = (size_t)offset;
	c->differs = false;
	return true;
}

static bool on_write(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct comparing *c = (struct comparing *)(void *)sink;
	(void)err;
	c->differs = c->differs || n > c->n - c->at || memcmp(c->want + c->at, p, n) != 0;
	c->at += c->differs ? 0 : n;
	return true;
}

void check_compare(struct comparing *c, const char *want, size_t n)
{
	*c = (struct comparing){.sink = {on_begin, on_write}, .want = want, .n = n};
}

/* --- the requests as they are sent --- */

static void note(struct subject *s, const struct dif_http_request *req)
{
	if (s->nonce[0] == '\0' || strcmp(req->method, "GET") != 0 ||
	    strstr(req->url, s->nonce) == NULL || req->policy != dif_instance_policy(s->i)) {
		return;
	}
	if (req->sink == NULL && s->list.prefix != NULL && s->list_url == NULL) {
		s->list_url = dif_arena_str(&s->arena, req->url);
	} else if (req->sink == &s->comparing.sink && s->object_url == NULL) {
		s->object_url = dif_arena_str(&s->arena, req->url);
	}
}

static struct dif_http_call *pass(void *self, const struct dif_http_request *req,
                                  void (*cb)(void *data, const struct dif_http_response *r),
                                  void *data)
{
	struct dif_check *c = self;
	for (uint32_t i = 0; i < c->nsubjects; i++) {
		note(&c->subjects[i], req);
	}
	return c->real.start(c->real.self, req, cb, data);
}

static void pass_cancel(void *self, struct dif_http_call *call)
{
	struct dif_check *c = self;
	c->real.cancel(c->real.self, call);
}

/* --- begin --- */

static void init_subject(struct dif_check *c, struct subject *s, const char *what)
{
	s->c = c;
	s->what = what;
	dif_list_init(&s->points);
	dif_arena_init(&s->arena, ARENA_MAX, false);
	uv_timer_init(&c->setup->engine->loop, &s->timer); /* only fills in the struct */
	s->timer.data = s;
	c->open++;
}

static void init_subjects(struct dif_check *c)
{
	const struct dif_config *config = c->setup->config;
	struct subject *s = c->subjects;
	for (uint32_t i = 0; i < config->nsources; i++, s++) {
		init_subject(c, s, "source");
		s->source = &config->sources[i];
		s->name = s->source->name;
		s->section = s->source->section;
		s->i = c->setup->sources[i];
		s->asks = check_source_asks;
	}
	for (uint32_t i = 0; i < config->ndestinations; i++, s++) {
		init_subject(c, s, "destination");
		s->d = &c->setup->destinations[i];
		s->name = s->d->config->name;
		s->i = s->d->store;
		s->section = dif_arena_fmt(&s->arena, "store %s", s->d->config->store);
		s->asks = check_store_asks;
	}
	for (uint32_t i = 0; i < config->ncdns; i++, s++) {
		init_subject(c, s, "cdn");
		s->name = config->cdns[i].name;
		s->section = config->cdns[i].section;
		s->i = c->setup->cdns[i];
		s->asks = check_cdn_asks;
	}
	for (uint32_t i = 0; i < config->nsteerings; i++, s++) {
		init_subject(c, s, "steering");
		s->steering = &config->steerings[i];
		s->name = s->steering->name;
		s->section = s->steering->section;
		s->i = c->setup->steerings[i];
		s->asks = check_steering_asks;
	}
	for (uint32_t i = 0; i < config->nleases; i++, s++) {
		init_subject(c, s, "lease");
		s->lease = &config->leases[i];
		s->name = s->lease->name;
		s->section = s->lease->section;
		s->i = c->setup->leases[i];
		s->asks = check_lease_asks;
	}
}

static void on_cut(void *data, const struct dif_cut *cut)
{
	struct dif_order *newest = data;
	if (cut->status == DIF_CUT_LIVE && newest->sha256[0] == '\0') {
		*newest = cut->order;
	}
}

struct dif_manifest *dif_check_manifest(struct dif_setup *s)
{
	struct dif_error ignored; /* then there is none to look at */
	struct dif_order newest = {0};
	if (s->state == NULL) {
		return NULL;
	}
	dif_state_cuts(s->state, CUTS_MAX, on_cut, &newest);
	return newest.sha256[0] != '\0' ? dif_state_manifest(s->state, newest.sha256, &ignored)
	                                : NULL;
}

/* The callback promises to come later; the first question of each is asked by its timer. */
static void on_start(uv_timer_t *t)
{
	check_next(t->data);
}

bool dif_check_start(struct dif_setup *setup, const struct dif_check_events *events, void *data,
                     struct dif_error *err)
{
	struct dif_check *c = calloc(1, sizeof *c);
	const struct dif_config *config = setup->config;
	uint32_t n = config->nsources + config->ndestinations + config->ncdns + config->nsteerings +
	             config->nleases;
	if (c != NULL) {
		c->subjects = calloc(n + 1, sizeof *c->subjects); /* one more: n may be 0 */
		c->big = malloc(BIG);
	}
	if (c == NULL || c->subjects == NULL || c->big == NULL || !dif_random(c->big, BIG)) {
		if (c != NULL) {
			free(c->subjects);
			free(c->big);
		}
		free(c);
		dif_error_set(err, DIF_TRANSIENT, "could not start the check: out of memory");
		return false;
	}
	c->setup = setup;
	c->events = events;
	c->data = data;
	c->nsubjects = n;
	c->manifest = dif_check_manifest(setup);
	memcpy(c->small, c->big, SMALL);
	c->real = setup->engine->transport;
	setup->engine->transport = (struct dif_transport){pass, pass_cancel, c};
	init_subjects(c);
	for (uint32_t i = 0; i < n; i++) {
		uv_timer_start(&c->subjects[i].timer, on_start, 0, 0);
	}
	return true;
}
