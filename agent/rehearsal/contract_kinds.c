/* contract_kinds - the tables of cases for CDNs, steering and leases. */
#include <stdio.h>

#include "rehearsal/contract_private.h"

#define NONE DIF_F_NONE
#define MANY 5000u /* items, where the caps name no bound of their own */
#define NODES_MAX 16u
#define STEPS(...) .steps = {__VA_ARGS__}, .readback = NONE
#define ONE(a) STEPS(DIF_F_##a, NONE, NONE, NONE)
#define TWO(a, b) STEPS(DIF_F_##a, DIF_F_##b, NONE, NONE)
#define WRITE                                                                                  \
	(DIF_BIT(CUT) | DIF_BIT(GARBAGE) | DIF_BIT(HUGE) | DIF_BIT(503) | DIF_BIT(503_LATER) | \
	 DIF_BIT(429_LATER) | DIF_BIT(403))
#define READ (DIF_BIT(CUT) | DIF_BIT(GARBAGE) | DIF_BIT(HUGE) | DIF_BIT(503) | DIF_BIT(403))

/* The trial of a purge without a scope is one of the first scope that the CDN knows, and PURGE_URLS
 * in its steps stands for the family of that. */
static const struct dif_derived cdn[] = {
	{"probe", {.verb = DIF_PROBE, ONE(PROBE)}, DIF_BIT(CUT)},
	{"purge: addresses", {.verb = DIF_PURGE, ONE(PURGE_URLS), .scope = DIF_PURGE_URLS}, 0},
	{"purge: prefixes",
         {.verb = DIF_PURGE, ONE(PURGE_PREFIXES), .scope = DIF_PURGE_PREFIXES},
         0},
	{"purge: tags", {.verb = DIF_PURGE, ONE(PURGE_TAGS), .scope = DIF_PURGE_TAGS}, 0},
	{"purge: everything", {.verb = DIF_PURGE, ONE(PURGE_ALL), .scope = DIF_PURGE_ALL}, 0},
	{"purge: throttled",
         {.verb = DIF_PURGE, TWO(PURGE_THROTTLED, PURGE_URLS), .min_requests = 2},
         0},
	{"purge: too many under way",
         {.verb = DIF_PURGE, ONE(PURGE_IN_PROGRESS), .stays = true, .cls = DIF_THROTTLED},
         0},
	{"purge: forbidden", {.verb = DIF_PURGE, TWO(PURGE_FORBIDDEN, PURGE_URLS)}, 0},
	{"purge: refused", {.verb = DIF_PURGE, ONE(PURGE_REFUSED), .cls = DIF_PERMANENT}, 0},
	{"purge: broken", {.verb = DIF_PURGE, TWO(PURGE_BROKEN, PURGE_URLS), .min_requests = 2}, 0},
	{"purge", {.verb = DIF_PURGE, ONE(PURGE_URLS)}, WRITE},
	{"state: under way", {.verb = DIF_PURGE_STATE, ONE(STATE_PENDING), .is_pending = true}, 0},
	{"state: settled", {.verb = DIF_PURGE_STATE, ONE(STATE_SETTLED)}, READ},
	{"state: failed",
         {.verb = DIF_PURGE_STATE, ONE(STATE_FAILED), .stays = true, .cls = DIF_TRANSIENT},
         0},
};

static const struct dif_derived steer[] = {
	{"probe", {.verb = DIF_PROBE, ONE(PROBE)}, DIF_BIT(CUT)},
	{"get", {.verb = DIF_ROUTE_GET, ONE(GET)}, READ},
	{"get: absent", {.verb = DIF_ROUTE_GET, ONE(GET_ABSENT), .is_absent = true}, 0},
	{"set", {.verb = DIF_ROUTE_SET, ONE(SET)}, WRITE},
	{"set: withdrawn", {.verb = DIF_ROUTE_SET, ONE(SET_WITHDRAW), .is_withdrawn = true}, 0},
	{"set: absent", {.verb = DIF_ROUTE_SET, ONE(SET_ABSENT), .is_absent = true}, 0},
	{"set: condition lost", {.verb = DIF_ROUTE_SET, ONE(SET_LOST), .cls = DIF_CONFLICT}, 0},
	{"set: throttled", {.verb = DIF_ROUTE_SET, TWO(SET_THROTTLED, SET), .min_requests = 2}, 0},
	{"set: forbidden", {.verb = DIF_ROUTE_SET, TWO(SET_FORBIDDEN, SET)}, 0},
	{"set: broken", {.verb = DIF_ROUTE_SET, TWO(SET_BROKEN, SET), .min_requests = 2}, 0},
	{"state: under way", {.verb = DIF_ROUTE_STATE, ONE(STATE_PENDING), .is_pending = true}, 0},
	{"state: settled", {.verb = DIF_ROUTE_STATE, ONE(STATE_SETTLED)}, READ},
	{"state: failed",
         {.verb = DIF_ROUTE_STATE, ONE(STATE_FAILED), .stays = true, .cls = DIF_TRANSIENT},
         0},
};

static const struct dif_derived lease[] = {
	{"probe", {.verb = DIF_PROBE, ONE(PROBE)}, DIF_BIT(CUT)},
	{"acquire", {.verb = DIF_LEASE_ACQUIRE, ONE(ACQUIRE)}, WRITE},
	{"acquire: held by another",
         {.verb = DIF_LEASE_ACQUIRE, ONE(ACQUIRE_HELD), .is_held = true},
         0},
	{"acquire: ours already", {.verb = DIF_LEASE_ACQUIRE, ONE(ACQUIRE_AGAIN)}, 0},
	{"acquire: broken",
         {.verb = DIF_LEASE_ACQUIRE, TWO(ACQUIRE_BROKEN, ACQUIRE), .min_requests = 2},
         0},
	{"renew", {.verb = DIF_LEASE_RENEW, ONE(RENEW)}, READ},
	{"renew: gone", {.verb = DIF_LEASE_RENEW, ONE(RENEW_GONE), .cls = DIF_NOT_FOUND}, 0},
	{"release", {.verb = DIF_LEASE_RELEASE, ONE(RELEASE)}, DIF_BIT(CUT) | DIF_BIT(503)},
	{"release: gone", {.verb = DIF_LEASE_RELEASE, ONE(RELEASE_GONE)}, 0},
	{"read", {.verb = DIF_LEASE_READ, ONE(READ)}, READ},
	{"read: nobody", {.verb = DIF_LEASE_READ, ONE(READ_NOBODY), .is_absent = true}, 0},
};

/* By kind; stores have tables of their own. */
static const struct {
	const struct dif_derived *rows;
	size_t n;
} tables[] = {
	[DIF_STORE] = {NULL, 0},
	[DIF_CDN] = {cdn, DIF_LEN(cdn)},
	[DIF_STEER] = {steer, DIF_LEN(steer)},
	[DIF_LEASE] = {lease, DIF_LEN(lease)},
};

/* --- scopes --- */

static const enum dif_family of_scope[] = {
	[0] = NONE,
	[DIF_PURGE_URLS] = DIF_F_PURGE_URLS,
	[DIF_PURGE_PREFIXES] = DIF_F_PURGE_PREFIXES,
	[DIF_PURGE_TAGS] = DIF_F_PURGE_TAGS,
	[DIF_PURGE_ALL] = DIF_F_PURGE_ALL,
};

static bool has_scope(const struct dif_suite *s, uint32_t scope)
{
	return (s->caps.purge_scopes & DIF_HAS(scope)) != 0;
}

static void aim(const struct dif_suite *s, struct dif_trial *t)
{
	if (t->verb != DIF_PURGE || t->scope != 0) {
		return;
	}
	for (t->scope = DIF_PURGE_URLS; t->scope < DIF_PURGE_ALL && !has_scope(s, t->scope);) {
		t->scope++;
	}
	for (uint32_t i = 0; i < DIF_STEPS_MAX; i++) {
		t->steps[i] = t->steps[i] == DIF_F_PURGE_URLS ? of_scope[t->scope] : t->steps[i];
	}
}

static bool applies(const struct dif_suite *s, const struct dif_trial *t)
{
	const struct dif_cdn *c = (const struct dif_cdn *)(const void *)s->offer->verbs;
	const struct dif_steer *r = (const struct dif_steer *)(const void *)s->offer->verbs;
	switch (t->verb) {
	case DIF_PURGE:
		return has_scope(s, t->scope);
	case DIF_PURGE_STATE:
		return c->purge_state != NULL;
	case DIF_ROUTE_STATE:
		return r->set_state != NULL;
	default: {
		const char *tag = dif_values_get(&s->values, "tag");
		return t->steps[0] != DIF_F_SET_LOST || (tag != NULL && *tag != '\0');
	}
	}
}

/* --- scripted --- */

static bool is_forbidden(const struct dif_trial *t)
{
	return t->steps[0] == DIF_F_PURGE_FORBIDDEN || t->steps[0] == DIF_F_SET_FORBIDDEN;
}

static void run_row(struct dif_suite *s, const struct dif_derived *row)
{
	struct dif_derived r = *row;
	aim(s, &r.trial);
	if (!applies(s, &r.trial)) {
		return;
	}
	if (is_forbidden(&r.trial)) {
		dif_case_expect_login(s, &r.trial);
	}
	bool was_told = row->mutations != 0 && r.trial.verb == DIF_PURGE;
	if (!was_told) { /* by the row of its scope */
		dif_case_scripted(s, r.name, &r.trial);
	}
	dif_case_derived(s, &r, 1);
}

/* --- CDN: other counts, other nodes, other addresses --- */

static void run_counts(struct dif_suite *s, const char *what, uint32_t scope, uint32_t most)
{
	char name[96];
	struct dif_trial t = {.verb = DIF_PURGE,
	                      STEPS(of_scope[scope], NONE, NONE, NONE),
	                      .scope = scope,
	                      .items = 1};
	if (!has_scope(s, scope) || most == 1 || dif_case_missing(s, &t) != NONE) {
		return; /* what there is to say was said */
	}
	(void)snprintf(name, sizeof name, "purge: %s, only one", what);
	dif_case_run(s, name, &t);
	t.items = most == 0 || most > MANY ? MANY : most;
	(void)snprintf(name, sizeof name, "purge: %s, as many as it takes", what);
	dif_case_run(s, name, &t);
	t.is_long = s->caps.purge_bytes > 0 && scope != DIF_PURGE_TAGS;
	if (t.is_long) {
		(void)snprintf(name, sizeof name, "purge: %s, as many long ones as it takes", what);
		dif_case_run(s, name, &t);
	}
}

static void run_nodes(struct dif_suite *s)
{
	char name[96];
	for (uint32_t node = 1; node < s->caps.nodes && node < NODES_MAX; node++) {
		struct dif_trial t = {.verb = DIF_PURGE, ONE(PURGE_URLS), .node = node};
		aim(s, &t);
		if (dif_case_missing(s, &t) == NONE) {
			(void)snprintf(name, sizeof name, "purge: node %u", node + 1);
			dif_case_run(s, name, &t);
		}
	}
}

/* Addresses as browsers send them, but for stars: flow encodes them, because some CDN would take
 * them for wildcards. */
static const struct dif_odd_name odd_paths[] = {
	{"an exclamation mark", "/p/wow!.html"},
	{"an encoded one", "/p/wow%21.html"},
	{"an at sign", "/p/a@b.html"},
	{"blanks", "/p/two%20%20blanks%20and%20one.html"},
	{"a plus sign", "/p/1+1.html"},
	{"a percent sign", "/p/100%25.html"},
	{"an escape that is none", "/p/%2541%252Fb.html"},
	{"signs of addresses", "/p/q%3Fx=1&y=2%23z;v.html"},
	{"signs of markup", "/p/%3Ca%3E&'%22b.html"},
	{"stars and tildes", "/p/%2A~(x).html"},
	{"a star at the end", "/p/x%2A"},
	{"accents", "/p/Jos%C3%A9%20se%C3%B1al.html"},
	{"an emoji", "/p/%F0%9F%97%B3%EF%B8%8F/votos.html"},
};

static void run_address(struct dif_suite *s, const char *what, const char *path)
{
	static const uint32_t scopes[] = {DIF_PURGE_URLS, DIF_PURGE_PREFIXES};
	char name[96];
	uint32_t ran = 0;
	s->why[0] = '\0';
	for (size_t i = 0; i < DIF_LEN(scopes) && s->why[0] == '\0'; i++) {
		struct dif_trial t = {.verb = DIF_PURGE,
		                      STEPS(of_scope[scopes[i]], NONE, NONE, NONE),
		                      .scope = scopes[i],
		                      .items = 1,
		                      .path = path};
		if (has_scope(s, scopes[i]) && dif_case_missing(s, &t) == NONE) {
			ran++;
			(void)dif_trial_run(s, &t);
		}
	}
	(void)snprintf(name, sizeof name, "address: %s", what);
	if (ran > 0) {
		dif_suite_tell(s, s->why[0] == '\0' ? DIF_PASSED : DIF_FAILED, name, s->why);
	}
}

static void run_addresses(struct dif_suite *s)
{
	for (size_t i = 0; i < DIF_LEN(odd_paths); i++) {
		run_address(s, odd_paths[i].what, odd_paths[i].name);
	}
	run_address(s, "1,024 bytes",
	            dif_arena_fmt(&s->arena, "/%s", dif_long_name(&s->arena, 1023)));
}

void dif_kinds_scripted(struct dif_suite *s)
{
	for (size_t i = 0; i < tables[s->offer->kind].n; i++) {
		run_row(s, &tables[s->offer->kind].rows[i]);
	}
	if (s->offer->kind == DIF_CDN) {
		run_counts(s, "addresses", DIF_PURGE_URLS, s->caps.purge_max);
		run_counts(s, "prefixes", DIF_PURGE_PREFIXES, s->caps.purge_wide_max);
		run_counts(s, "tags", DIF_PURGE_TAGS, s->caps.purge_wide_max);
		run_nodes(s);
		run_addresses(s);
	}
}

/* --- no script at all --- */

void dif_kinds_any_reply(struct dif_suite *s)
{
	static const struct {
		enum dif_kind kind; /* 0: every one */
		const char *name;
		struct dif_trial trial;
	} rows[] = {
		{0, "probe: any status, any bytes", {.verb = DIF_PROBE}},
		{DIF_CDN,
	         "purge addresses: any status, any bytes",
	         {.verb = DIF_PURGE, .scope = DIF_PURGE_URLS}},
		{DIF_CDN,
	         "purge prefixes: any status, any bytes",
	         {.verb = DIF_PURGE, .scope = DIF_PURGE_PREFIXES}},
		{DIF_CDN,
	         "purge tags: any status, any bytes",
	         {.verb = DIF_PURGE, .scope = DIF_PURGE_TAGS}},
		{DIF_CDN,
	         "purge everything: any status, any bytes",
	         {.verb = DIF_PURGE, .scope = DIF_PURGE_ALL}},
		{DIF_CDN, "state: any status, any bytes", {.verb = DIF_PURGE_STATE}},
		{DIF_STEER, "get: any status, any bytes", {.verb = DIF_ROUTE_GET}},
		{DIF_STEER, "set: any status, any bytes", {.verb = DIF_ROUTE_SET}},
		{DIF_STEER, "state: any status, any bytes", {.verb = DIF_ROUTE_STATE}},
		{DIF_LEASE, "acquire: any status, any bytes", {.verb = DIF_LEASE_ACQUIRE}},
		{DIF_LEASE, "renew: any status, any bytes", {.verb = DIF_LEASE_RENEW}},
		{DIF_LEASE, "release: any status, any bytes", {.verb = DIF_LEASE_RELEASE}},
		{DIF_LEASE, "read: any status, any bytes", {.verb = DIF_LEASE_READ}},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		bool is_kind = rows[i].kind == 0 || rows[i].kind == s->offer->kind;
		if (is_kind && applies(s, &rows[i].trial)) {
			dif_case_any_reply(s, rows[i].name, &rows[i].trial);
		}
	}
}

/* --- capabilities --- */

static void check_cdn(struct dif_suite *s)
{
	const struct dif_caps *c = &s->caps;
	uint32_t all = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) |
	               DIF_HAS(DIF_PURGE_TAGS) | DIF_HAS(DIF_PURGE_ALL);
	if (c->purge_scopes == 0 || (c->purge_scopes & ~all) != 0) {
		dif_suite_wrong(s, "caps.purge_scopes names nothing that can be purged by, or more "
		                   "than there is");
	}
	if (c->purge_bytes > 0 && c->purge_item_bytes >= c->purge_bytes) {
		dif_suite_wrong(s, "caps.purge_item_bytes leaves no room for an item");
	}
	if (c->purges_per_s < 0 || c->purge_urls_per_s < 0) {
		dif_suite_wrong(s, "a rate of purges is below 0");
	}
}

static void check_steer(struct dif_suite *s)
{
	const struct dif_caps *c = &s->caps;
	bool weighs = (c->flags & DIF_CAP_WEIGHTS) != 0;
	if (weighs != (c->weight_max > 0)) {
		dif_suite_wrong(s, "caps.weight_max and DIF_CAP_WEIGHTS do not fit each other");
	}
	if (c->ttl_max_s > 0 && c->ttl_min_s > c->ttl_max_s) {
		dif_suite_wrong(s, "caps.ttl_min_s is over caps.ttl_max_s");
	}
}

void dif_kinds_caps(struct dif_suite *s)
{
	if (s->offer->kind == DIF_CDN) {
		check_cdn(s);
	} else if (s->offer->kind == DIF_STEER) {
		check_steer(s);
	}
}

/* --- files: one case finds what the one before it left --- */

void dif_kinds_files(struct dif_suite *s)
{
	static const struct {
		const char *name;
		struct dif_trial trial;
	} rows[] = {
		{"probe", {.verb = DIF_PROBE}},
		{"get: absent", {.verb = DIF_ROUTE_GET, .is_absent = true}},
		{"set: absent", {.verb = DIF_ROUTE_SET, .is_absent = true}},
		{"get: what was set", {.verb = DIF_ROUTE_GET}},
		{"set: withdrawn", {.verb = DIF_ROUTE_SET, .is_withdrawn = true}},
		{"set: condition lost", {.verb = DIF_ROUTE_SET, .cls = DIF_CONFLICT}},
		{"get: what is left", {.verb = DIF_ROUTE_GET, .is_withdrawn = true}},
		{"set: all again", {.verb = DIF_ROUTE_SET}},
		{"get: all", {.verb = DIF_ROUTE_GET}},
	};
	if (s->offer->kind != DIF_STEER) {
		dif_suite_tell(s, DIF_UNPROVED, "files",
		               "the suite has files for stores and "
		               "steering only");
		return;
	}
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		struct dif_trial t = rows[i].trial;
		for (uint32_t k = 0; k < DIF_STEPS_MAX; k++) {
			t.steps[k] = NONE;
		}
		t.readback = NONE;
		dif_case_run(s, rows[i].name, &t);
	}
}
