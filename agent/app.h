/* app - the agent in the foreground: polls the sources, takes what `publish` hands over, publishes the
 * newest cut, repairs what lags behind, and drains on SIGTERM.
 *
 *   arrivals (sources, inbox) -> one cut at a time, newest first -> publication
 *   every 30 s +-20 %: a destination that is not complete gets the live cut again, alone
 *
 * A destination that is still busy with an older cut is told that a newer one has come and catches up
 * alone; it never holds up the others (rule 6).
 */
#ifndef DIF_APP_H
#define DIF_APP_H

#include "base/err.h"

/* Runs until SIGTERM or SIGINT (a second one ends it without draining; what was in flight is made good
 * at the next start). Returns the exit code. */
int dif_app_run(const char *config_file);

#endif
