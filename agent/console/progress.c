#include "console/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

#define DRAW_EVERY_MS 100 /* more often only costs the terminal */

void dif_progress_init(struct dif_progress *p, bool quiet)
{
	*p = (struct dif_progress){.on = !quiet && isatty(STDERR_FILENO) == 1};
}

void dif_progress_clear(struct dif_progress *p)
{
	for (; p->lines > 0; p->lines--) {
		fputs("\033[1A\033[2K", stderr); /* up one line, erase it */
	}
	fflush(stderr);
}

void dif_progress_draw(struct dif_progress *p, bool force, const char *text)
{
	int64_t now = dif_steady_ms();
	if (!p->on || (!force && now - p->last_ms < DRAW_EVERY_MS)) {
		return;
	}
	p->last_ms = now;
	dif_progress_clear(p);
	fputs(text, stderr);
	for (const char *s = text; *s != '\0'; s++) {
		p->lines += *s == '\n';
	}
	fflush(stderr);
}
