/* check_steering - may the route be set: the provider answers and knows us, the record as it
 * stands, and who else is in it. Nothing is changed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "flow/check_private.h"
#include "flow/steering.h"

static void tell_peer(struct subject *s, const struct dif_outcome *out)
{
	char took[DIF_DATE_MAX];
	check_tell(s, "reach", DIF_GO, "answers in %s", dif_span(took, out->took_ms));
	if (check_is_http(s)) {
		check_tell_tls(s, "tls", out->tls, out->cert_ends);
		check_tell_clock(s, out->peer_date);
		check_tell(s, "credentials", DIF_GO, "accepted");
	}
}

static void on_reached(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls == DIF_OK || out->err.cls == DIF_NOT_FOUND) {
		tell_peer(s, out);
	} else if (out->err.cls == DIF_AUTH) {
		check_fail(
			s, "credentials", &out->err,
			dif_arena_fmt(&s->arena, "put the right credential into [%s]", s->section));
		check_skip_to(s, check_steering_after);
	} else {
		check_fail(s, "reach", &out->err, NULL);
		check_skip_to(s, check_steering_after);
	}
	check_next(s);
}

static void reach(struct subject *s)
{
	check_op(s, DIF_PROBE, NULL, QUESTION_MS, on_reached);
}

/* --- the record --- */

static struct dif_steering_target *ours(struct subject *s, uint32_t *n)
{
	const struct dif_config *c = s->c->setup->config;
	struct dif_steering_target *to =
		dif_arena_alloc(&s->arena, (c->ndestinations + 1) * sizeof *to);
	*n = 0;
	for (uint32_t i = 0; to != NULL && i < c->ndestinations; i++) {
		const struct dif_destination_config *d = &c->destinations[i];
		const char *value = dif_steering_value(&s->arena, d);
		if (value != NULL) {
			to[(*n)++] = (struct dif_steering_target){.name = d->name,
			                                          .value = value,
			                                          .weight = (uint32_t)d->weight,
			                                          .hidden = d->is_private};
		}
	}
	return to;
}

static const char *words(struct subject *s, const struct dif_target *t)
{
	bool named = t->name != NULL && *t->name != '\0' && strcmp(t->name, t->value) != 0;
	return dif_arena_fmt(&s->arena, "%.64s%s%.253s", named ? t->name : "", named ? " " : "",
	                     t->value);
}

static const char *list(struct subject *s, const struct dif_target *all, uint32_t n)
{
	const char *text = "";
	for (uint32_t i = 0; i < n && i < 16; i++) {
		text = dif_arena_fmt(&s->arena, "%s%s%s (%u)", text, i > 0 ? ", " : "",
		                     words(s, &all[i]), all[i].weight);
	}
	return n > 16 ? dif_arena_fmt(&s->arena, "%s and %u more", text, n - 16) : text;
}

static void tell_record(struct subject *s, const struct dif_outcome *out)
{
	const struct dif_steering_config *c = s->steering;
	struct dif_steering_plan plan = {0};
	struct dif_error err = {0};
	uint32_t n = 0, ttl = out->result.ttl_s;
	const struct dif_steering_target *want = ours(s, &n);
	if (out->ntargets == 0) {
		check_tell(s, "record", DIF_GO, "'%s' is not there yet; the first route makes it",
		           c->record);
		return;
	}
	if (want == NULL || !dif_steering_compare(&s->arena, dif_instance_caps(s->i), want, n,
	                                          out->targets, out->ntargets, &plan, &err)) {
		check_fail(s, "record", &err, NULL);
		return;
	}
	check_tell(s, "record", DIF_GO, "'%s' leads to %s", c->record,
	           list(s, out->targets, out->ntargets));
	uint32_t mine = 0;
	for (uint32_t i = 0; i < n; i++) {
		mine += !want[i].hidden;
	}
	if (plan.differs && plan.n > mine) {
		check_tell(
			s, "others", DIF_WARNING,
			"some of these are none of our destinations: they stay, and have readers");
	}
	if ((int64_t)ttl * 1000 > c->ttl) {
		check_tell(s, "ttl", DIF_WARNING,
		           "%u s, and shall be %lld s: until the first route is set readers follow "
		           "that late",
		           ttl, (long long)c->ttl / 1000);
	} else {
		check_tell(s, "ttl", DIF_GO, "%lld s", (long long)c->ttl / 1000);
	}
}

static void on_record(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls == DIF_OK) {
		tell_record(s, out);
	} else {
		check_fail(s, "record", &out->err,
		           out->err.cls == DIF_AUTH
		                   ? dif_arena_fmt(&s->arena,
		                                   "give the credential of [%s] the right to read "
		                                   "and change the record",
		                                   s->section)
		                   : NULL);
	}
	check_next(s);
}

static void record(struct subject *s)
{
	s->route = (struct dif_route){.name = s->steering->record, .type = s->steering->type};
	check_op(s, DIF_ROUTE_GET, &s->route, QUESTION_MS, on_record);
}

void check_steering_after(struct subject *s)
{
	const char *const *command = s->steering->command;
	if (command != NULL && access(command[0], X_OK) != 0) {
		check_tell(s, "after", DIF_NO_GO, "'%s' cannot be run: %m; correct `after` in [%s]",
		           command[0], s->section);
	} else if (command != NULL) {
		check_tell(s, "after", DIF_GO, "'%s' is there", command[0]);
	}
	check_next(s);
}

check_ask *const check_steering_asks[] = {reach, record, check_steering_after, NULL};
