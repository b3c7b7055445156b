/* dropin - the plug-in folder of a running agent: what is dropped in enters, what is taken away
 * rests.
 *
 * The folder is watched, and looked through every 30 s where the file system tells nothing. A file
 * counts once it has been the same in two looks a second apart (size, times, inode), so neither a
 * copy under way nor one that is renamed in is read too early. Then:
 *
 *   a new NAME.so        is loaded
 *   a new NAME.ini       enters by dif_setup_add; who opened this is told of the new destinations.
 *                        One that is refused is one line of the log, and is tried again when it or
 *                        a library has changed
 *   a NAME.ini is gone   its destinations are `leaving`: who opened this drains them, and then
 *                        nothing more is delivered to them
 *   it is back, as it was   they are delivered to again
 *   it is back, or has become, another   is told; the next start takes it in
 *
 * A library is never unloaded or replaced while the agent runs. On the loop thread.
 */
#ifndef DIF_FLOW_DROPIN_H
#define DIF_FLOW_DROPIN_H

#include "flow/setup.h"

struct dif_dropin;

struct dif_dropin_events {
	void (*added)(void *data, uint32_t first, uint32_t n); /* indexes of destinations */
	void (*gone)(void *data, uint32_t index);
	void (*back)(void *data, uint32_t index);
};

/* Takes what is in the folder now, as far as the configuration has read it, for what is in use. A
 * folder that cannot be watched is looked through. NULL: out of memory. */
struct dif_dropin *dif_dropin_open(struct dif_setup *s, const struct dif_dropin_events *events,
                                   void *data);
/* No event after this; frees itself once the loop has closed its handles. */
void dif_dropin_close(struct dif_dropin *d);

#endif
