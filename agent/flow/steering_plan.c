/* steering_plan - what stands in a record against what shall: a pure comparison. */
#include <stdio.h>
#include <strings.h>

#include "flow/steering.h"

const char *dif_steering_value(struct dif_arena *a, const struct dif_destination_config *d)
{
	if (d->target != NULL) {
		return d->target;
	}
	const char *host = d->public_url != NULL ? strstr(d->public_url, "://") : NULL;
	if (host == NULL) {
		return NULL;
	}
	host += 3;
	size_t n = *host == '[' ? strcspn(host, "]") : strcspn(host, ":/");
	return *host == '[' ? dif_arena_fmt(a, "%.*s", (int)n - 1, host + 1)
	                    : dif_arena_fmt(a, "%.*s", (int)n, host);
}

/* Records that have no names tell the value in its place. */
static bool has_name(const struct dif_target *t)
{
	return t->name != NULL && *t->name != '\0' && strcasecmp(t->name, t->value) != 0;
}

static bool is_this(const struct dif_steering_target *want, const struct dif_target *t)
{
	return has_name(t) ? strcmp(t->name, want->name) == 0
	                   : strcasecmp(t->value, want->value) == 0;
}

static bool is_ours(const struct dif_steering_target *want, uint32_t n, const struct dif_target *t)
{
	for (uint32_t i = 0; i < n; i++) {
		if (is_this(&want[i], t)) {
			return true;
		}
	}
	return false;
}

static uint32_t scale(uint32_t weight, uint32_t most, uint32_t weight_max)
{
	if (weight_max == 0 || most <= weight_max) {
		return weight;
	}
	uint64_t scaled = ((uint64_t)weight * weight_max + most / 2) / most;
	return weight > 0 && scaled == 0 ? 1 : (uint32_t)scaled;
}

/* Ours, as this plug-in takes them. Copied: a wish may be renewed while a change is on its way. */
static uint32_t put_ours(struct dif_arena *a, const struct dif_caps *caps,
                         const struct dif_steering_target *want, uint32_t n, struct dif_target *to)
{
	bool weights = (caps->flags & DIF_CAP_WEIGHTS) != 0;
	uint32_t most = 0, out = 0;
	for (uint32_t i = 0; i < n; i++) {
		most = want[i].hidden || want[i].weight < most ? most : want[i].weight;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!want[i].hidden && (weights || want[i].weight > 0)) {
			to[out++] = (struct dif_target){
				.name = dif_arena_str(a, want[i].name),
				.value = dif_arena_str(a, want[i].value),
				.weight = scale(want[i].weight, most, caps->weight_max)};
		}
	}
	return out;
}

static bool is_same(const struct dif_target *a, const struct dif_target *read, bool weights)
{
	return strcasecmp(a->value, read->value) == 0 &&
	       (!has_name(read) || strcmp(a->name, read->name) == 0) &&
	       (!weights || a->weight == read->weight);
}

/* Each of ours stands there once, and nothing of ours besides. */
static bool stands(const struct dif_steering_plan *p, const struct dif_steering_target *want,
                   uint32_t nwant, const struct dif_target *read, uint32_t nread, uint32_t nours,
                   bool weights)
{
	uint32_t there = 0;
	for (uint32_t k = 0; k < nread; k++) {
		there += is_ours(want, nwant, &read[k]);
	}
	for (uint32_t i = 0; i < nours; i++) {
		bool found = false;
		for (uint32_t k = 0; k < nread && !found; k++) {
			found = is_same(&p->targets[i], &read[k], weights);
		}
		if (!found) {
			return false;
		}
	}
	return there == nours;
}

/* A record that takes only so many keeps those with the most readers. */
static uint32_t cut_down(struct dif_target *ours, uint32_t n, uint32_t room)
{
	while (n > room) {
		uint32_t least = 0;
		for (uint32_t i = 1; i < n; i++) {
			least = ours[i].weight <= ours[least].weight ? i : least;
		}
		memmove(&ours[least], &ours[least + 1], (n - least - 1) * sizeof *ours);
		n--;
	}
	return n;
}

bool dif_steering_compare(struct dif_arena *a, const struct dif_caps *caps,
                          const struct dif_steering_target *want, uint32_t nwant,
                          const struct dif_target *read, uint32_t nread,
                          struct dif_steering_plan *to, struct dif_error *err)
{
	bool weights = (caps->flags & DIF_CAP_WEIGHTS) != 0;
	uint32_t most = caps->targets_max > 0 ? caps->targets_max : DIF_STEERING_TARGETS;
	uint32_t others = 0;
	const char *other = NULL;
	struct dif_steering_plan p = {0};
	p.targets = dif_arena_alloc(a, (nwant + nread + 1) * sizeof *p.targets);
	if (p.targets == NULL) {
		nread = nwant = 0;
	}
	for (uint32_t k = 0; k < nread; k++) {
		if (!is_ours(want, nwant, &read[k])) {
			other = read[k].value;
			others++;
		}
	}
	if (others >= most) {
		dif_error_set(
			err, DIF_CONFLICT,
			"the record leads to '%.200s', which is none of our destinations, and "
			"has no room for ours: take it out by hand",
			other);
		return false;
	}
	uint32_t ours =
		cut_down(p.targets, put_ours(a, caps, want, nwant, p.targets), most - others);
	p.differs = !stands(&p, want, nwant, read, nread, ours, weights);
	p.n = ours;
	for (uint32_t k = 0; k < nread; k++) {
		if (!is_ours(want, nwant, &read[k])) {
			p.targets[p.n++] = read[k];
		}
	}
	if (a->failed) {
		dif_error_set(err, DIF_TRANSIENT, "could not compare the route: out of memory");
		return false;
	}
	*to = p;
	return true;
}

/* What the record gives one of ours; 0: it is not there, or has no readers. */
static uint32_t weight_there(const struct dif_steering_target *one, const struct dif_target *read,
                             uint32_t nread, bool weights)
{
	for (uint32_t k = 0; k < nread; k++) {
		if (is_this(one, &read[k])) {
			return weights ? read[k].weight : 1;
		}
	}
	return 0;
}

bool dif_steering_percents(const struct dif_caps *caps, const struct dif_steering_target *ours,
                           uint32_t n, const struct dif_target *read, uint32_t nread,
                           uint32_t *percent)
{
	bool weights = (caps->flags & DIF_CAP_WEIGHTS) != 0;
	double most = 0;
	for (uint32_t i = 0; i < n; i++) {
		double own = ours[i].weight > 0 && weights ? ours[i].weight : 1;
		double part = weight_there(&ours[i], read, nread, weights) / own;
		/* a spare has no weight of its own to be a part of */
		most = part > most && (ours[i].weight > 0 || !weights) ? part : most;
	}
	bool any = false;
	for (uint32_t i = 0; i < n; i++) {
		any = any || weight_there(&ours[i], read, nread, weights) > 0;
	}
	for (uint32_t i = 0; any && i < n; i++) {
		uint32_t there = weight_there(&ours[i], read, nread, weights);
		bool spare = ours[i].weight == 0 || !weights;
		double part = spare || most <= 0 ? 1 : there / (double)ours[i].weight / most;
		percent[i] = there == 0 ? 0 : (uint32_t)(part * DIF_STEERING_WHOLE + 0.5);
		percent[i] = there > 0 && percent[i] == 0 ? 1 : percent[i];
	}
	return any;
}
