/* after - the program of `after =`: run when a changed route stands there, and once after a start,
 * because the agent may have ended between the change and the program.
 *
 * Without a shell, in a session of its own, with nothing open and an environment of PATH, LANG and
 * what is told here. It is ended after 30 s. One at a time; what is asked for meanwhile follows
 * once. How it ended is a line of the log. Loop thread.
 */
#ifndef DIF_FLOW_AFTER_H
#define DIF_FLOW_AFTER_H

#include "host/engine.h"

struct dif_after;

/* command: as in flow/config, the caller's until closed. NULL: out of memory. */
struct dif_after *dif_after_open(struct dif_engine *e, const char *name,
                                 const char *const *command);
/* record and route are told as DIFUSOR_RECORD and DIFUSOR_ROUTE. Copied. */
void dif_after_run(struct dif_after *a, const char *record, const char *route);
/* What runs is ended; frees itself on the loop. Accepts NULL. */
void dif_after_close(struct dif_after *a);

#endif
