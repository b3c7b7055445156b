#include "evidence/drill_record.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "host/tree.h"

#define ARENA_MAX (1u << 20)

static const char *const events[DIF_DRILL_EVENT_IDS] = {
	"began",         "fault_set",    "first_failure", "verdict",      "noticed",
	"route_decided", "route_stands", "ttl_over",      "fault_lifted", "healthy",
	"whole",         "route_back",   "route_later",   "stopped",      "ended"};
static const char *const states[DIF_DRILL_STATES] = {"running", "passed", "failed", "stopped",
                                                     "interrupted"};
static const char *const criteria[DIF_DRILL_CRITERIA] = {"detection", "rto",    "rpo",
                                                         "stays",     "others", "clean"};

const char *dif_drill_event_name(uint32_t id)
{
	return id < DIF_DRILL_EVENT_IDS ? events[id] : "";
}

const char *dif_drill_state_name(uint32_t state)
{
	return state < DIF_DRILL_STATES ? states[state] : "";
}

const char *dif_drill_criterion_name(uint32_t id)
{
	return id < DIF_DRILL_CRITERIA ? criteria[id] : "";
}

void dif_drill_note(struct dif_drill_record *r, uint32_t id, int64_t ms, const char *fmt, ...)
{
	if (r->nevents == DIF_DRILL_EVENTS) {
		return;
	}
	struct dif_drill_event *e = &r->events[r->nevents++];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(e->text, sizeof e->text, fmt, ap);
	va_end(ap);
	e->id = id;
	e->ms = ms;
}

int64_t dif_drill_at(const struct dif_drill_record *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->nevents; i++) {
		if (r->events[i].id == id) {
			return r->events[i].ms;
		}
	}
	return -1;
}

/* --- figures --- */

static int64_t since(const struct dif_drill_record *r, uint32_t from, uint32_t to)
{
	int64_t a = dif_drill_at(r, from), b = dif_drill_at(r, to);
	return a < 0 || b < 0 ? -1 : b > a ? b - a : 0;
}

static void criterion(struct dif_drill_record *r, uint32_t id, bool good, int64_t measured,
                      int64_t bound)
{
	r->criteria[r->ncriteria++] = (struct dif_drill_criterion){id, good, measured, bound};
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

void dif_drill_judge(struct dif_drill_record *r)
{
	int64_t moved = since(r, DIF_DRILL_FAULT_SET,
	                      r->steered ? DIF_DRILL_ROUTE_STANDS : DIF_DRILL_ROUTE_DECIDED);
	r->ncriteria = 0;
	r->detection_ms = since(r, DIF_DRILL_FAULT_SET, DIF_DRILL_NOTICED);
	r->rto_ms = !r->moves ? 0 : moved < 0 ? -1 : moved + (r->steered ? r->ttl_ms : 0);
	r->rpo_cuts = r->moves ? r->behind : 0;
	r->recovery_ms = later(since(r, DIF_DRILL_FAULT_LIFTED, DIF_DRILL_HEALTHY),
	                       since(r, DIF_DRILL_FAULT_LIFTED, DIF_DRILL_WHOLE));
	criterion(r, DIF_DRILL_DETECTION,
	          r->detection_ms >= 0 && r->detection_ms <= r->detection_bound_ms, r->detection_ms,
	          r->detection_bound_ms);
	if (r->moves) {
		criterion(r, DIF_DRILL_RTO, r->rto_ms >= 0 && r->rto_ms <= r->rto_bound_ms,
		          r->rto_ms, r->rto_bound_ms);
		criterion(r, DIF_DRILL_RPO, r->rpo_cuts == 0, r->rpo_cuts, 0);
	} else {
		criterion(r, DIF_DRILL_STAYS, !r->route_changed, -1, -1);
	}
	criterion(r, DIF_DRILL_OTHERS, !r->others_bad, -1, -1);
	criterion(r, DIF_DRILL_CLEAN, r->clean, r->recovery_ms, -1);
	if (r->state == DIF_DRILL_RUNNING) {
		r->state = DIF_DRILL_PASSED;
		for (uint32_t i = 0; i < r->ncriteria; i++) {
			if (!r->criteria[i].good) {
				r->state = DIF_DRILL_FAILED;
			}
		}
	}
}

/* --- JSON --- */

static void write_events(const struct dif_drill_record *r, struct dif_json *j)
{
	dif_json_open(j, "events", '[');
	for (uint32_t i = 0; i < r->nevents; i++) {
		dif_json_open(j, NULL, '{');
		dif_json_int(j, "ms", r->events[i].ms);
		dif_json_str(j, "event", dif_drill_event_name(r->events[i].id));
		dif_json_str(j, "text", r->events[i].text);
		dif_json_close(j, '}');
	}
	dif_json_close(j, ']');
}

static void write_criteria(const struct dif_drill_record *r, struct dif_json *j)
{
	dif_json_open(j, "criteria", '[');
	for (uint32_t i = 0; i < r->ncriteria; i++) {
		const struct dif_drill_criterion *c = &r->criteria[i];
		dif_json_open(j, NULL, '{');
		dif_json_str(j, "name", dif_drill_criterion_name(c->id));
		dif_json_bool(j, "good", c->good);
		dif_json_int(j, "measured", c->measured);
		dif_json_int(j, "bound", c->bound);
		dif_json_close(j, '}');
	}
	dif_json_close(j, ']');
}

/* Members of the record as they stand in the file. */
enum type { INT, BOOL, TEXT };
#define AT(member) offsetof(struct dif_drill_record, member)
#define TEXT_AT(member) TEXT, AT(member), sizeof(((struct dif_drill_record *)0)->member)
static const struct member {
	const char *name;
	enum type type;
	size_t at, size;
} members[] = {
	{"id", TEXT_AT(id)},
	{"drill", TEXT_AT(drill)},
	{"destination", TEXT_AT(destination)},
	{"profile", TEXT_AT(profile)},
	{"version", TEXT_AT(version)},
	{"fingerprint", TEXT_AT(fingerprint)},
	{"reason", TEXT_AT(reason)},
	{"route", TEXT_AT(route)},
	{"moves", BOOL, AT(moves), 0},
	{"steered", BOOL, AT(steered), 0},
	{"begun", INT, AT(begun), 0},
	{"ended", INT, AT(ended), 0},
	{"length_ms", INT, AT(length_ms), 0},
	{"interval_ms", INT, AT(interval_ms), 0},
	{"ttl_ms", INT, AT(ttl_ms), 0},
	{"detection_bound_ms", INT, AT(detection_bound_ms), 0},
	{"rto_bound_ms", INT, AT(rto_bound_ms), 0},
	{"route_changed", BOOL, AT(route_changed), 0},
	{"others_bad", BOOL, AT(others_bad), 0},
	{"clean", BOOL, AT(clean), 0},
	{"behind", INT, AT(behind), 0},
	{"detection_ms", INT, AT(detection_ms), 0},
	{"rto_ms", INT, AT(rto_ms), 0},
	{"rpo_cuts", INT, AT(rpo_cuts), 0},
	{"recovery_ms", INT, AT(recovery_ms), 0},
};

bool dif_drill_write(const struct dif_drill_record *r, struct dif_buf *out)
{
	struct dif_json j;
	dif_json_begin(&j, out);
	dif_json_open(&j, NULL, '{');
	dif_json_bool(&j, "simulacro", true);
	dif_json_str(&j, "state", dif_drill_state_name(r->state));
	for (uint32_t i = 0; i < DIF_LEN(members); i++) {
		const struct member *m = &members[i];
		const char *p = (const char *)r + m->at;
		if (m->type == INT) {
			dif_json_int(&j, m->name, *(const int64_t *)(const void *)p);
		} else if (m->type == BOOL) {
			dif_json_bool(&j, m->name, *(const bool *)p);
		} else {
			dif_json_str(&j, m->name, p);
		}
	}
	dif_json_int(&j, "struck", (int64_t)r->struck);
	write_criteria(r, &j);
	write_events(r, &j);
	dif_json_close(&j, '}');
	dif_buf_fmt(out, "\n");
	return !out->failed;
}

static const char *text(const struct dif_node *n, const char *key)
{
	return dif_tree_str(dif_tree_get(n, key));
}

static int64_t number(const struct dif_node *n, const char *key)
{
	int64_t to = -1;
	return dif_parse_int(text(n, key), INT64_MIN, INT64_MAX, &to) ? to : -1;
}

static bool yes(const struct dif_node *n, const char *key)
{
	return strcmp(text(n, key), "true") == 0;
}

static uint32_t index_of(const char *const *names, uint32_t n, const char *name)
{
	uint32_t i = 0;
	while (i < n && strcmp(names[i], name) != 0) {
		i++;
	}
	return i;
}

static void read_lists(const struct dif_node *root, struct dif_drill_record *to)
{
	const struct dif_node *all = dif_tree_get(root, "events"), *e = NULL;
	while (all != NULL && (e = dif_tree_next(all, "", e)) != NULL) {
		uint32_t id = index_of(events, DIF_DRILL_EVENT_IDS, text(e, "event"));
		if (id < DIF_DRILL_EVENT_IDS) {
			dif_drill_note(to, id, number(e, "ms"), "%s", text(e, "text"));
		}
	}
	all = dif_tree_get(root, "criteria");
	e = NULL;
	while (all != NULL && (e = dif_tree_next(all, "", e)) != NULL) {
		uint32_t id = index_of(criteria, DIF_DRILL_CRITERIA, text(e, "name"));
		if (id < DIF_DRILL_CRITERIA && to->ncriteria < DIF_DRILL_CRITERIA) {
			criterion(to, id, yes(e, "good"), number(e, "measured"),
			          number(e, "bound"));
		}
	}
}

bool dif_drill_parse(struct dif_bytes in, struct dif_drill_record *to, struct dif_error *err)
{
	struct dif_arena a;
	dif_arena_init(&a, ARENA_MAX, false);
	struct dif_drill_record r = {0};
	const struct dif_node *n = dif_json_parse(&a, in, err);
	uint32_t state =
		n != NULL ? index_of(states, DIF_DRILL_STATES, text(n, "state")) : DIF_DRILL_STATES;
	bool good = state < DIF_DRILL_STATES;
	if (n != NULL && !good) {
		dif_error_set(err, DIF_PERMANENT, "it is no record of a drill");
	}
	for (uint32_t i = 0; good && i < DIF_LEN(members); i++) {
		const struct member *m = &members[i];
		char *p = (char *)&r + m->at;
		if (m->type == INT) {
			*(int64_t *)(void *)p = number(n, m->name);
		} else if (m->type == BOOL) {
			*(bool *)p = yes(n, m->name);
		} else {
			(void)snprintf(p, m->size, "%s", text(n, m->name));
		}
	}
	if (good) {
		int64_t struck = number(n, "struck");
		r.state = state;
		r.struck = struck > 0 ? (uint64_t)struck : 0;
		read_lists(n, &r);
		*to = r;
	}
	dif_arena_fini(&a);
	return good;
}
