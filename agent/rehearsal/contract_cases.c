/* contract_cases - the tables of cases: scripted, derived, names, sizes. */
#include <stdio.h>

#include "rehearsal/contract_private.h"

#define NONE DIF_F_NONE
#define STEPS1(a)                           \
	{                                   \
		DIF_F_##a, NONE, NONE, NONE \
	}
#define STEPS2(a, b)                             \
	{                                        \
		DIF_F_##a, DIF_F_##b, NONE, NONE \
	}

const struct dif_odd_name dif_odd_names[] = {
	{"an exclamation mark", "p/wow!.html"},
	{"an at sign", "p/a@b.html"},
	{"blanks", "p/two  blanks and one.html"},
	{"a plus sign", "p/1+1.html"},
	{"a percent sign", "p/100%.html"},
	{"an escape that is none", "p/%41%2Fb.html"},
	{"signs of addresses", "p/q?x=1&y=2#z;v.html"},
	{"signs of markup", "p/<a>&'\"b.html"},
	{"stars and tildes", "p/*~(x).html"},
	{"accents", "p/Jos\xc3\xa9 se\xc3\xb1"
                    "al.html"},
	{"an emoji", "p/\xf0\x9f\x97\xb3\xef\xb8\x8f/votos.html"},
	{NULL, NULL},
};

struct row {
	const char *name;
	struct dif_trial trial;
	uint32_t needs; /* caps without which the case does not apply */
};

static const struct row scripted[] = {
	{"probe", {.verb = DIF_PROBE, .steps = STEPS1(PROBE), .readback = NONE}, 0},
	{"list: a page", {.verb = DIF_LIST, .steps = STEPS1(LIST), .readback = NONE}, 0},
	{"list: the last page",
         {.verb = DIF_LIST, .steps = STEPS1(LIST_LAST), .readback = NONE, .is_last = true},
         0},
	{"head: found", {.verb = DIF_HEAD, .steps = STEPS1(HEAD), .readback = NONE}, 0},
	{"head: absent",
         {.verb = DIF_HEAD, .steps = STEPS1(HEAD_ABSENT), .readback = NONE, .cls = DIF_NOT_FOUND},
         0},
	{"get", {.verb = DIF_GET, .steps = STEPS1(GET), .readback = NONE}, 0},
	{"get: from the middle",
         {.verb = DIF_GET, .steps = STEPS1(GET_PART), .readback = NONE, .is_part = true},
         0},
	{"put: created", {.verb = DIF_PUT, .steps = STEPS1(PUT_CREATED), .readback = NONE}, 0},
	{"put: replaced",
         {.verb = DIF_PUT, .steps = STEPS1(PUT_REPLACED), .readback = NONE, .replaces = true},
         DIF_CAP_COND},
	{"put: precondition lost",
         {.verb = DIF_PUT,
          .steps = STEPS1(PUT_LOST),
          .readback = NONE,
          .replaces = true,
          .cls = DIF_CONFLICT},
         DIF_CAP_COND},
	{"put: throttled",
         {.verb = DIF_PUT,
          .steps = STEPS2(PUT_THROTTLED, PUT_CREATED),
          .readback = DIF_F_HEAD_ABSENT,
          .min_requests = 2},
         0},
	{"put: forbidden",
         {.verb = DIF_PUT, .steps = STEPS2(PUT_FORBIDDEN, PUT_CREATED), .readback = NONE},
         0},
	{"put: broken before its effect",
         {.verb = DIF_PUT,
          .steps = STEPS2(PUT_BROKEN, PUT_CREATED),
          .readback = DIF_F_HEAD_ABSENT,
          .min_requests = 3},
         0},
	{"put: broken after its effect",
         {.verb = DIF_PUT,
          .steps = STEPS1(PUT_BROKEN),
          .readback = DIF_F_HEAD,
          .min_requests = 2,
          .found_new = true},
         0},
	{"remove", {.verb = DIF_REMOVE, .steps = STEPS1(REMOVE), .readback = NONE}, 0},
	{"remove: absent",
         {.verb = DIF_REMOVE, .steps = STEPS1(REMOVE_ABSENT), .readback = NONE},
         0},
	{"remove: several",
         {.verb = DIF_REMOVE, .steps = STEPS1(REMOVE_MANY), .readback = NONE, .many = true},
         0},
};

/* What is tried with another first reply. A write is read back as absent, so it is sent again. */
#define BIT DIF_BIT
static const struct dif_derived derived[] = {
	{"probe", {.verb = DIF_PROBE, .steps = STEPS1(PROBE), .readback = NONE}, BIT(CUT)},
	{"list",
         {.verb = DIF_LIST, .steps = STEPS1(LIST_LAST), .readback = NONE, .is_last = true},
         BIT(CUT) | BIT(GARBAGE) | BIT(HUGE) | BIT(503) | BIT(503_LATER) | BIT(403)},
	{"head",
         {.verb = DIF_HEAD, .steps = STEPS1(HEAD), .readback = NONE},
         BIT(CUT) | BIT(GARBAGE) | BIT(503) | BIT(403)},
	{"get",
         {.verb = DIF_GET, .steps = STEPS1(GET), .readback = NONE},
         BIT(CUT) | BIT(503_LATER)},
	{"put",
         {.verb = DIF_PUT, .steps = STEPS1(PUT_CREATED), .readback = DIF_F_HEAD_ABSENT},
         BIT(CUT) | BIT(GARBAGE) | BIT(HUGE) | BIT(503) | BIT(503_LATER) | BIT(429_LATER) |
                 BIT(403)},
	{"remove",
         {.verb = DIF_REMOVE, .steps = STEPS1(REMOVE), .readback = DIF_F_HEAD_ABSENT},
         BIT(CUT) | BIT(503)},
};

static const char *const mutations[] = {
	[DIF_M_CUT] = "a connection that breaks",
	[DIF_M_GARBAGE] = "garbage",
	[DIF_M_HUGE] = "a reply without an end",
	[DIF_M_503] = "503",
	[DIF_M_503_LATER] = "503 with Retry-After",
	[DIF_M_429_LATER] = "429 with Retry-After",
	[DIF_M_403] = "403",
};

static bool writes(enum dif_verb_id v)
{
	return v == DIF_PUT || v == DIF_REMOVE;
}

static bool applies(const struct dif_suite *s, const struct row *row)
{
	const struct dif_trial *t = &row->trial;
	bool read_only = (s->caps.flags & DIF_CAP_READ_ONLY) != 0;
	return !(read_only && writes(t->verb)) && (s->caps.flags & row->needs) == row->needs &&
	       !(t->many && s->caps.delete_max < 2) &&
	       !(t->steps[0] == DIF_F_LIST && s->caps.list_max < 2);
}

/* The first family that has no script; DIF_F_NONE: all have. */
enum dif_family dif_case_missing(const struct dif_suite *s, const struct dif_trial *t)
{
	for (uint32_t i = 0; i < DIF_STEPS_MAX && t->steps[i] != NONE; i++) {
		if (s->scripts[t->steps[i]].n == 0) {
			return t->steps[i];
		}
	}
	return t->readback != NONE && s->scripts[t->readback].n == 0 ? t->readback : NONE;
}

/* Runs a trial as a case of its own. */
void dif_case_run(struct dif_suite *s, const char *name, const struct dif_trial *t)
{
	s->why[0] = '\0';
	bool ok = dif_trial_run(s, t);
	dif_suite_tell(s, ok ? DIF_PASSED : DIF_FAILED, name, s->why);
}

/* With a login, what is forbidden is asked once more with a new credential; where the login asks
 * nobody, it may stay what it is. Without one it is the outcome. */
void dif_case_expect_login(const struct dif_suite *s, struct dif_trial *t)
{
	if (s->offer->verbs->login == NULL) {
		t->cls = DIF_AUTH;
		t->min_requests = 1;
	} else if (s->scripts[DIF_F_LOGIN].n > 0) {
		t->min_logins = 2;
	} else {
		t->or_auth = true;
	}
}

void dif_case_scripted(struct dif_suite *s, const char *name, const struct dif_trial *t)
{
	char why[128];
	enum dif_family none = dif_case_missing(s, t);
	if (none == NONE) {
		dif_case_run(s, name, t);
		return;
	}
	(void)snprintf(why, sizeof why, "there is no %s.txt", dif_families[none]);
	dif_suite_tell(s, DIF_UNPROVED, name, why);
}

static void run_scripted(struct dif_suite *s)
{
	for (size_t i = 0; i < DIF_LEN(scripted); i++) {
		struct dif_trial t = scripted[i].trial;
		if (!applies(s, &scripted[i])) {
			continue;
		}
		if (t.steps[0] == DIF_F_PUT_FORBIDDEN) {
			dif_case_expect_login(s, &t);
		}
		const char *tag = dif_values_get(&s->values, "tag");
		if (t.found_new) {
			dif_values_text(&s->values, "tag", dif_values_get(&s->values, "tag_new"));
		}
		dif_case_scripted(s, scripted[i].name, &t);
		dif_values_text(&s->values, "tag", tag);
	}
}

/* --- derived --- */

static bool derives(const struct dif_suite *s, const struct dif_trial *t, enum dif_mutation m)
{
	const struct dif_exchange *x = &s->scripts[t->steps[0]].exchanges[0];
	bool read_only = (s->caps.flags & DIF_CAP_READ_ONLY) != 0;
	bool tells_nothing = *x->content == '\0' && x->reply[0] == NULL;
	if (m == DIF_M_HUGE && strcmp(x->method, "HEAD") == 0) {
		return false; /* it has no body */
	}
	/* a plain server may tell nothing at all; of some replies the status is all */
	return !(m == DIF_M_GARBAGE && (read_only || tells_nothing));
}

static void expect_after(const struct dif_suite *s, struct dif_trial *t, enum dif_mutation m)
{
	t->mutation = m;
	t->cls = DIF_OK;
	t->min_requests = 2;
	t->or_failure = m == DIF_M_GARBAGE || m == DIF_M_HUGE;
	t->min_ms = m == DIF_M_503_LATER || m == DIF_M_429_LATER ? 1000 : 0;
	if (m == DIF_M_403) {
		dif_case_expect_login(s, t);
	}
}

void dif_case_derived(struct dif_suite *s, const struct dif_derived *rows, size_t n)
{
	char name[96];
	for (size_t i = 0; i < n; i++) {
		const struct dif_trial *base = &rows[i].trial;
		if (dif_case_missing(s, base) != NONE) {
			continue; /* was told above */
		}
		for (uint32_t m = DIF_M_CUT; m <= DIF_M_403; m++) {
			struct dif_trial t = *base;
			if ((rows[i].mutations & 1u << m) == 0 || !derives(s, &t, m)) {
				continue;
			}
			expect_after(s, &t, m);
			(void)snprintf(name, sizeof name, "%s: %s", rows[i].name, mutations[m]);
			dif_case_run(s, name, &t);
		}
	}
}

/* --- other values --- */

/* The four verbs that carry a key, in one case. */
static void run_values(struct dif_suite *s, const char *name, bool with_put, bool with_get)
{
	static const struct dif_trial verbs[] = {
		{.verb = DIF_PUT, .steps = STEPS1(PUT_CREATED), .readback = NONE},
		{.verb = DIF_HEAD, .steps = STEPS1(HEAD), .readback = NONE},
		{.verb = DIF_LIST, .steps = STEPS1(LIST_LAST), .readback = NONE, .is_last = true},
		{.verb = DIF_GET, .steps = STEPS1(GET), .readback = NONE},
		{.verb = DIF_REMOVE, .steps = STEPS1(REMOVE), .readback = NONE},
	};
	bool single = s->caps.list_max < 2; /* a source's list tells its one object */
	uint32_t ran = 0;
	s->why[0] = '\0';
	for (size_t i = 0; i < DIF_LEN(verbs); i++) {
		const struct dif_trial *t = &verbs[i];
		if (dif_case_missing(s, t) != NONE || (t->verb == DIF_PUT && !with_put) ||
		    (t->verb == DIF_GET && !with_get) || (t->verb == DIF_LIST && single)) {
			continue;
		}
		ran++;
		if (!dif_trial_run(s, t)) {
			break;
		}
	}
	dif_suite_tell(s,
	               s->why[0] != '\0' ? DIF_FAILED
	               : ran > 0         ? DIF_PASSED
	                                 : DIF_UNPROVED,
	               name, s->why[0] == '\0' && ran == 0 ? "there is no script for it" : s->why);
}

static void run_names_and_sizes(struct dif_suite *s)
{
	char name[96];
	const char *usual = dif_values_get(&s->values, "key");
	uint32_t longest = s->caps.key_max == 0 || s->caps.key_max > 1024 ? 1024 : s->caps.key_max;
	for (const struct dif_odd_name *o = dif_odd_names; o->name != NULL; o++) {
		dif_suite_object(s, o->name, strlen(DIF_CONTENT));
		(void)snprintf(name, sizeof name, "name: %s", o->what);
		run_values(s, name, true, true);
	}
	dif_suite_object(s, dif_long_name(&s->arena, longest), strlen(DIF_CONTENT));
	(void)snprintf(name, sizeof name, "name: %u bytes", longest);
	run_values(s, name, true, true);
	dif_suite_object(s, usual, 0);
	run_values(s, "size: 0 bytes", true, true);
	dif_suite_object(s, usual, DIF_BIG);
	run_values(s, "size: 5 GB", s->caps.put_max >= DIF_BIG, true);
	dif_suite_object(s, usual, strlen(DIF_CONTENT));
}

/* What the host chooses of them, as the store enforces it, must go up with the put. */
static void run_digests(struct dif_suite *s)
{
	struct dif_trial t = {.verb = DIF_PUT,
	                      .steps = STEPS1(PUT_CREATED),
	                      .readback = NONE,
	                      .is_guarded = true};
	for (; (s->caps.flags & DIF_CAP_READ_ONLY) == 0 && s->caps.digests[t.digest] != 0;
	     t.digest++) {
		const char *name = dif_digest_name(s->caps.digests[t.digest]);
		dif_case_scripted(s, dif_arena_fmt(&s->arena, "put: guarded by %s", name), &t);
	}
}

void dif_contract_scripted(struct dif_suite *s)
{
	run_scripted(s);
	run_digests(s);
	dif_case_derived(s, derived, DIF_LEN(derived));
	dif_contract_parts(s);
	run_names_and_sizes(s);
}

/* --- no script at all --- */

void dif_case_any_reply(struct dif_suite *s, const char *name, const struct dif_trial *base)
{
	static const int statuses[] = {200, 201, 202, 203, 204, 206, 207, 300, 301, 302,
	                               304, 307, 400, 401, 402, 403, 404, 405, 406, 408,
	                               409, 410, 411, 412, 413, 416, 418, 423, 429, 451,
	                               500, 501, 502, 503, 504, 505, 507, 511, 599};
	uint64_t before = s->requests;
	s->why[0] = '\0';
	for (size_t i = 0; i < DIF_LEN(statuses) && s->why[0] == '\0'; i++) {
		struct dif_trial t = *base;
		t.steps[0] = t.readback = NONE;
		t.mutation = DIF_M_STATUS;
		t.status = statuses[i];
		t.any_ending = true;
		dif_trial_run(s, &t);
	}
	bool asked = s->requests > before;
	dif_suite_tell(s,
	               s->why[0] != '\0' ? DIF_FAILED
	               : asked           ? DIF_PASSED
	                                 : DIF_UNPROVED,
	               name,
	               s->why[0] == '\0' && !asked
	                       ? "nothing was asked: the login came first, or the input was refused"
	                       : s->why);
}

void dif_contract_any_reply(struct dif_suite *s)
{
	static const struct {
		const char *name;
		enum dif_verb_id verb;
	} verbs[] = {{"probe: any status, any bytes", DIF_PROBE},
	             {"list: any status, any bytes", DIF_LIST},
	             {"head: any status, any bytes", DIF_HEAD},
	             {"get: any status, any bytes", DIF_GET},
	             {"put: any status, any bytes", DIF_PUT},
	             {"remove: any status, any bytes", DIF_REMOVE}};
	bool read_only = (s->caps.flags & DIF_CAP_READ_ONLY) != 0;
	for (size_t i = 0; i < DIF_LEN(verbs); i++) {
		if (!(read_only && writes(verbs[i].verb))) {
			dif_case_any_reply(s, verbs[i].name,
			                   &(struct dif_trial){.verb = verbs[i].verb});
		}
	}
}
