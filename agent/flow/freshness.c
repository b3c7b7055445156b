#include "flow/freshness.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"

#define TEXT_MAX 600 /* of a scope or a fact */
#define ARENA_MAX 8192
#define NUMBERS 4

static int64_t span(int64_t from, int64_t to)
{
	return from > 0 && to > 0 ? (to > from ? to - from : 0) : -1; /* clocks are set back */
}

void dif_freshness_spans(const struct dif_freshness *f, struct dif_freshness_spans *to)
{
	*to = (struct dif_freshness_spans){
		.source = span(f->noticed, f->arrived),
		.us = span(f->arrived, f->put),
		.cdn = span(f->put, f->visible),
		.whole = span(f->noticed, f->visible),
	};
}

/* So many numbers with a blank between them; false: it is something else. */
static bool read_numbers(const char *text, int64_t *to, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		char one[24];
		size_t k = strspn(text, "0123456789");
		if (k == 0 || k >= sizeof one || text[k] != (i + 1 < n ? ' ' : '\0')) {
			return false;
		}
		(void)snprintf(one, sizeof one, "%.*s", (int)k, text);
		if (!dif_parse_int(one, 0, INT64_MAX, &to[i])) {
			return false;
		}
		text += k + 1;
	}
	return true;
}

static bool read_fact(struct dif_state *state, const char *scope, const char *name, int64_t *to,
                      uint32_t n)
{
	struct dif_arena a;
	dif_arena_init(&a, ARENA_MAX, false);
	int64_t numbers[NUMBERS];
	const char *text = dif_state_fact(state, scope, name, 0, &a);
	bool ok = text != NULL && read_numbers(text, numbers, n);
	if (ok) {
		memcpy(to, numbers, n * sizeof *to);
	}
	dif_arena_fini(&a);
	return ok;
}

void dif_freshness_arrived(struct dif_state *state, const char *sha256, int64_t noticed,
                           int64_t arrived)
{
	char scope[TEXT_MAX], value[64];
	int64_t before[2];
	(void)snprintf(scope, sizeof scope, "cut:%s", sha256);
	if (read_fact(state, scope, "arrived", before, DIF_LEN(before))) {
		return;
	}
	(void)snprintf(value, sizeof value, "%" PRId64 " %" PRId64, noticed, arrived);
	(void)dif_state_put_fact(state, scope, "arrived", value); /* lost, it is not known */
}

static void recall_arrival(struct dif_state *state, const char *sha256, struct dif_freshness *f)
{
	char scope[TEXT_MAX];
	int64_t times[2];
	struct dif_cut cut;
	struct dif_arena a;
	(void)snprintf(scope, sizeof scope, "cut:%s", sha256);
	if (read_fact(state, scope, "arrived", times, DIF_LEN(times))) {
		f->noticed = times[0];
		f->arrived = times[1];
		return;
	}
	dif_arena_init(&a, ARENA_MAX, false);
	if (dif_state_cut(state, sha256, &cut, &a)) {
		f->noticed = f->arrived = cut.seen;
	}
	dif_arena_fini(&a);
}

bool dif_freshness_get(struct dif_state *state, const char *destination, const char *sha256,
                       struct dif_freshness *f)
{
	char scope[TEXT_MAX], name[TEXT_MAX];
	int64_t times[NUMBERS];
	(void)snprintf(scope, sizeof scope, "destination:%s", destination);
	(void)snprintf(name, sizeof name, "fresh:%s", sha256);
	if (!read_fact(state, scope, name, times, NUMBERS)) {
		return false;
	}
	*f = (struct dif_freshness){times[0], times[1], times[2], times[3]};
	return true;
}

static void tell(const char *destination, const char *sha256, const struct dif_freshness *f)
{
	struct dif_freshness_spans s;
	dif_freshness_spans(f, &s);
	dif_log(DIF_LOG_INFO, "fresh",
	        "destination=%s sha256=%s source_ms=%" PRId64 " us_ms=%" PRId64 " cdn_ms=%" PRId64
	        " whole_ms=%" PRId64,
	        dif_q(destination), sha256, s.source, s.us, s.cdn, s.whole);
}

void dif_freshness_shown(struct dif_state *state, const char *destination, const char *sha256,
                         int64_t put, int64_t visible)
{
	struct dif_freshness f = {0};
	char scope[TEXT_MAX], name[TEXT_MAX], value[128];
	if (dif_freshness_get(state, destination, sha256, &f) && f.visible != 0) {
		return;
	}
	if (f.put == 0) {
		recall_arrival(state, sha256, &f);
		f.put = put;
	}
	f.visible = visible;
	tell(destination, sha256, &f);
	(void)snprintf(scope, sizeof scope, "destination:%s", destination);
	(void)snprintf(name, sizeof name, "fresh:%s", sha256);
	(void)snprintf(value, sizeof value, "%" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
	               f.noticed, f.arrived, f.put, f.visible);
	(void)dif_state_put_fact(state, scope, name, value); /* lost, it is not known */
}
