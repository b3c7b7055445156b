/* by_hand - the verbs that move traffic: what would happen is shown first, then it is asked for at
 * the running agent, or recorded for its next run where none runs. */
#ifndef DIF_CONSOLE_BY_HAND_H
#define DIF_CONSOLE_BY_HAND_H

#include "console/cli.h"
#include "flow/ask.h"
#include "flow/traffic_view.h"

/* Their first options, in this order. */
enum { DIF_BY_HAND_DRY_RUN, DIF_BY_HAND_YES, DIF_BY_HAND_OPTIONS };
#define DIF_BY_HAND_ROWS                                                                        \
	[DIF_BY_HAND_DRY_RUN] = {"--dry-run", '\0', NULL, "say what would happen, do nothing"}, \
	[DIF_BY_HAND_YES] = {"--yes", 'y', NULL, "do it without asking"}

/* Asks the running agent and waits for its answer, in a. NULL: err: it did not answer. */
const struct dif_answer *dif_by_hand_ask(struct dif_arena *a, const char *state,
                                         struct dif_ask *ask, struct dif_error *err);
/* args->words[0] is the destination. The verb's exit code. */
int dif_by_hand(const struct dif_args *args, enum dif_traffic_act act);

#endif
