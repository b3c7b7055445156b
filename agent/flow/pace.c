#include "flow/pace.h"

#include <string.h>

#define WAIT_MIN_MS 30000
#define WAIT_MAX_MS 600000
#define DOUBLINGS 5 /* 30 s * 2^5 is over 10 min */
#define TELL_EVERY 10

/* Numbers, and the first object of many that was refused, say nothing new. */
static void shorten(char *to, size_t max, const char *text)
{
	size_t n = 0;
	bool quoted = false;
	for (; *text != '\0' && n + 1 < max; text++) {
		quoted = *text == '\'' ? !quoted : quoted;
		if (!quoted && (*text < '0' || *text > '9')) {
			to[n++] = *text;
		}
	}
	to[n] = '\0';
}

bool dif_pace_failed(struct dif_pace *p, int64_t now, const struct dif_error *err)
{
	char reason[sizeof p->reason];
	uint32_t times = p->failures < DOUBLINGS ? p->failures : DOUBLINGS;
	int64_t wait = (int64_t)WAIT_MIN_MS << times;
	p->not_before = now + (wait < WAIT_MAX_MS ? wait : WAIT_MAX_MS);
	p->failures++;
	shorten(reason, sizeof reason, err->text);
	bool tell =
		p->failures == 1 || strcmp(reason, p->reason) != 0 || p->repeats + 1 == TELL_EVERY;
	p->repeats = tell ? 0 : p->repeats + 1;
	memcpy(p->reason, reason, sizeof reason);
	return tell;
}

bool dif_pace_may(const struct dif_pace *p, int64_t now)
{
	return now >= p->not_before;
}

void dif_pace_reset(struct dif_pace *p)
{
	*p = (struct dif_pace){0};
}
