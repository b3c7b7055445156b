#include "console/progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
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

/* A line that wraps would be two to the terminal and one to us, and would never be erased. */
static size_t columns(void)
{
	struct winsize w = {0};
	bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1;
	return known ? (size_t)w.ws_col - 1 : 79;
}

void dif_progress_draw(struct dif_progress *p, bool force, const char *text)
{
	int64_t now = dif_steady_ms();
	if (!p->on || (!force && now - p->last_ms < DRAW_EVERY_MS)) {
		return;
	}
	p->last_ms = now;
	dif_progress_clear(p);
	size_t most = columns();
	while (*text != '\0') {
		size_t n = strcspn(text, "\n");
		fprintf(stderr, "%.*s\n", (int)(n < most ? n : most), text);
		p->lines++;
		text += n + (text[n] == '\n');
	}
	fflush(stderr);
}
