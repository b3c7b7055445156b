/* contract_parts - large objects in parts: two of them, the second first where the store says that
 * it takes them side by side. A verb that has no script must not ask for anything. */
#include "rehearsal/contract_private.h"

#define NONE DIF_F_NONE

static bool has(const struct dif_suite *s, enum dif_family f)
{
	return s->scripts[f].n > 0;
}

static bool step(struct dif_suite *s, struct dif_instance *i, enum dif_verb_id verb,
                 enum dif_family f, uint32_t part)
{
	struct dif_trial t = {.verb = verb,
	                      .steps = {has(s, f) ? f : NONE, NONE, NONE, NONE},
	                      .readback = NONE,
	                      .part = part};
	return dif_trial_run_on(s, i, &t);
}

static bool put(struct dif_suite *s, struct dif_instance *i, uint32_t part)
{
	bool last = part == 2 && has(s, DIF_F_PART_LAST);
	return step(s, i, DIF_PART_PUT, last ? DIF_F_PART_LAST : DIF_F_PART_PUT, part);
}

static bool begin(struct dif_suite *s, struct dif_instance *i)
{
	s->token[0][0] = s->token[1][0] = '\0';
	return step(s, i, DIF_PART_BEGIN, DIF_F_PART_BEGIN, 0);
}

static bool join(struct dif_suite *s, struct dif_instance *i)
{
	bool side_by_side = s->caps.part_parallel > 1;
	return begin(s, i) && put(s, i, side_by_side ? 2 : 1) && put(s, i, side_by_side ? 1 : 2) &&
	       step(s, i, DIF_PART_FINISH, DIF_F_PART_FINISH, 0);
}

static bool lose(struct dif_suite *s, struct dif_instance *i)
{
	struct dif_trial t = {.verb = DIF_PART_FINISH,
	                      .steps = {DIF_F_PART_LOST, NONE, NONE, NONE},
	                      .readback = NONE,
	                      .cls = DIF_CONFLICT};
	return begin(s, i) && put(s, i, 1) && put(s, i, 2) && dif_trial_run_on(s, i, &t);
}

static bool break_off(struct dif_suite *s, struct dif_instance *i)
{
	struct dif_trial t = {.verb = DIF_PART_PUT,
	                      .steps = {DIF_F_PART_PUT, NONE, NONE, NONE},
	                      .readback = has(s, DIF_F_PART_ASK) ? DIF_F_PART_ASK : NONE,
	                      .mutation = DIF_M_CUT,
	                      .min_requests = 2,
	                      .part = 1};
	return begin(s, i) && dif_trial_run_on(s, i, &t);
}

static bool drop(struct dif_suite *s, struct dif_instance *i)
{
	return begin(s, i) && put(s, i, 1) && step(s, i, DIF_PART_ABORT, DIF_F_PART_ABORT, 0);
}

static void run(struct dif_suite *s, const char *name,
                bool (*run_on)(struct dif_suite *, struct dif_instance *))
{
	struct dif_error err = {0};
	struct dif_instance *i = dif_suite_open(s, &err);
	s->why[0] = '\0';
	if (i == NULL) {
		dif_suite_wrong(s, "%s", err.text);
	} else {
		(void)run_on(s, i);
		dif_suite_close(s, i);
	}
	dif_suite_tell(s, s->why[0] == '\0' ? DIF_PASSED : DIF_FAILED, name, s->why);
}

void dif_contract_parts(struct dif_suite *s)
{
	bool side_by_side = s->caps.part_parallel > 1;
	if (s->caps.part_max == 0) {
		return;
	}
	if (!has(s, DIF_F_PART_PUT)) {
		dif_suite_tell(s, DIF_UNPROVED, "parts", "there is no part_put.txt");
		return;
	}
	run(s, side_by_side ? "parts: in any order" : "parts: one after the other", join);
	run(s, "parts: a connection that breaks", break_off);
	run(s, "parts: dropped", drop);
	if (has(s, DIF_F_PART_LOST)) {
		run(s, "parts: precondition lost", lose);
	} else if (side_by_side) { /* in order, the last part may have brought the condition */
		dif_suite_tell(s, DIF_UNPROVED, "parts: precondition lost",
		               "there is no part_lost.txt");
	}
}
