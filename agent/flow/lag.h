/* lag - what a destination lags behind, by the state. Synchronous, loop thread. */
#ifndef DIF_FLOW_LAG_H
#define DIF_FLOW_LAG_H

#include "flow/setup.h"

/* Has the destination of that index all of the cut that should be everywhere? */
bool dif_lag_is_whole(const struct dif_setup *s, uint32_t index);
/* Has it objects that no cut names, whose grace is over? */
bool dif_lag_has_due_orphans(const struct dif_destination *d);

#endif
