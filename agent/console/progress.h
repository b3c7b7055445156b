/* progress - a line that renews itself on a terminal, and nothing elsewhere. Standard error. */
#ifndef DIF_CONSOLE_PROGRESS_H
#define DIF_CONSOLE_PROGRESS_H

#include <difusor/plugin.h>

struct dif_progress {
	bool on; /* standard error is a terminal */
	int64_t last_ms;
	uint32_t lines; /* drawn last time */
};

void dif_progress_init(struct dif_progress *p, bool quiet);
/* text may have several lines; drawn at most ten times a second unless force. */
void dif_progress_draw(struct dif_progress *p, bool force, const char *text);
void dif_progress_clear(
	struct dif_progress *p); /* before anything else is printed, and at the end */

#endif
