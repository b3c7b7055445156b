/* ask - how a verb asks the running agent for something small: files in STATE/inbox.
 *
 *   ID.ask      JSON {at, act, name, dry_run, drill, length_ms, rto_ms}; renamed into place by who
 *               asks
 *   ID.answer   JSON {exit, before, after, text}; renamed into place by the agent, which then
 *               removes the question
 *
 * What is older than a minute is not done any more: nobody waits for it. Synchronous, small.
 */
#ifndef DIF_FLOW_ASK_H
#define DIF_FLOW_ASK_H

#include "base/arena.h"
#include "base/err.h"

struct dif_ask {
	const char *id;
	const char *act;  /* "drain" */
	const char *name; /* of the destination */
	bool dry_run;
	const char *drill;         /* which one; "": it is about none */
	int64_t length_ms, rto_ms; /* of the drill; 0: as it is by default */
};

struct dif_answer {
	int exit;
	const char *before, *after; /* the route */
	const char *text;           /* a sentence, or "" */
};

/* id is made here and points into a. */
bool dif_ask_put(struct dif_arena *a, const char *state, struct dif_ask *ask,
                 struct dif_error *err);
/* The answer, taken out; NULL: not yet. */
const struct dif_answer *dif_ask_take(struct dif_arena *a, const char *state, const char *id);
/* Takes a question back. */
void dif_ask_withdraw(const char *state, const char *id);

/* For the agent. The oldest question, or NULL: none. */
const struct dif_ask *dif_ask_next(struct dif_arena *a, const char *state);
bool dif_ask_answer(const char *state, const struct dif_ask *ask, const struct dif_answer *answer,
                    struct dif_error *err);

#endif
