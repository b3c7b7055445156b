#include "flow/health.h"

#include <stdio.h>

#include "base/clock.h"

#define HOUR_MS (60 * 60 * 1000)

static const char *const names[DIF_HEALTH_VERDICTS] = {"unknown", "healthy", "degraded", "down"};

const char *dif_health_name(uint32_t verdict)
{
	return verdict < DIF_HEALTH_VERDICTS ? names[verdict] : "unknown";
}

bool dif_health_by_name(const char *name, uint32_t *verdict)
{
	for (uint32_t i = 0; i < DIF_HEALTH_VERDICTS; i++) {
		if (strcmp(names[i], name) == 0) {
			*verdict = i;
			return true;
		}
	}
	return false;
}

void dif_health_init(struct dif_health *h, const struct dif_health_config *rules, int64_t now)
{
	*h = (struct dif_health){.rules = rules, .since = now};
	snprintf(h->reason, sizeof h->reason, "not looked at yet");
}

/* --- counting --- */

static void note(struct dif_health *h, bool failed)
{
	h->window = h->window << 1 | failed;
	h->nwindow += h->nwindow < DIF_HEALTH_WINDOW;
}

static uint32_t failed_in_window(const struct dif_health *h)
{
	return (uint32_t)__builtin_popcount(h->window & ((1u << DIF_HEALTH_WINDOW) - 1));
}

/* Percent of the last 20, once there are so many. */
static int64_t shakiness(const struct dif_health *h)
{
	return h->nwindow < DIF_HEALTH_WINDOW ? 0 : failed_in_window(h) * 100 / DIF_HEALTH_WINDOW;
}

static uint32_t recent_falls(const struct dif_health *h, int64_t now)
{
	uint32_t n = h->nfalls < DIF_HEALTH_FALLS ? h->nfalls : DIF_HEALTH_FALLS, recent = 0;
	for (uint32_t i = 0; i < n; i++) {
		recent += now - h->falls[i] < HOUR_MS;
	}
	return recent;
}

int64_t dif_health_rise_time(const struct dif_health *h, int64_t now)
{
	int64_t time = h->rules->rise_time;
	for (uint32_t i = recent_falls(h, now); i > 1 && time < h->rules->rise_max; i--) {
		time *= 2;
	}
	return time < h->rules->rise_max ? time : h->rules->rise_max;
}

/* --- verdicts --- */

static bool say(struct dif_health *h, int64_t now, uint32_t verdict, const char *reason)
{
	if (h->verdict == verdict && strcmp(h->reason, reason) == 0) {
		return false;
	}
	if (h->verdict != verdict) {
		h->since = now;
	}
	h->verdict = verdict;
	snprintf(h->reason, sizeof h->reason, "%s", reason);
	return true;
}

/* What a destination that stands has against it. */
static bool say_standing(struct dif_health *h, int64_t now)
{
	char text[DIF_HEALTH_TEXT] = "";
	if (h->trouble[0] != '\0') {
		return say(h, now, DIF_HEALTH_DEGRADED, h->trouble);
	}
	if (shakiness(h) * 2 >= h->rules->shaky) {
		snprintf(text, sizeof text, "over %lld %% of the last %d looks failed: %.160s",
		         (long long)h->rules->shaky / 2, DIF_HEALTH_WINDOW, h->failure);
		return say(h, now, DIF_HEALTH_DEGRADED, text);
	}
	return say(h, now, DIF_HEALTH_HEALTHY, "shows the current cut");
}

static bool fall(struct dif_health *h, int64_t now, uint32_t verdict, const char *reason)
{
	if (h->standing) {
		h->falls[h->nfalls++ % DIF_HEALTH_FALLS] = now;
	}
	h->standing = h->half_open = false;
	h->is_stale = verdict == DIF_HEALTH_DEGRADED;
	h->good = 0;
	return say(h, now, verdict, reason);
}

/* Neither good nor bad so often in a row: others wait for a verdict. */
static bool give_up_waiting(struct dif_health *h, int64_t now, const char *why)
{
	char text[DIF_HEALTH_TEXT];
	snprintf(text, sizeof text, "not healthy after %d looks: %.180s", DIF_HEALTH_WINDOW, why);
	return say(h, now, DIF_HEALTH_DEGRADED, text);
}

static bool is_overdue(const struct dif_health *h)
{
	return h->verdict == DIF_HEALTH_UNKNOWN && h->nwindow == DIF_HEALTH_WINDOW;
}

/* A failed look has been counted. What it fell for stays its reason: only the first failure after
 * good looks says something new. */
static bool judge_failure(struct dif_health *h, int64_t now)
{
	const struct dif_health_config *r = h->rules;
	char text[DIF_HEALTH_TEXT] = "";
	if (h->verdict == DIF_HEALTH_DOWN) {
		if (!h->half_open && h->wrong != 2) {
			return false;
		}
		snprintf(text, sizeof text,
		         h->wrong == 2 ? "wrong bytes, twice: %.200s"
		                       : "failed again on its way back: %.200s",
		         h->failure);
	} else if (h->wrong >= 2) {
		snprintf(text, sizeof text, "wrong bytes, twice: %.200s", h->failure);
	} else if (h->failed >= r->fall && now - h->failed_at >= r->fall_time) {
		snprintf(text, sizeof text, "%u looks in a row failed: %.200s", h->failed,
		         h->failure);
	} else if (shakiness(h) >= r->shaky) {
		snprintf(text, sizeof text, "%u of the last %d looks failed: %.200s",
		         failed_in_window(h), DIF_HEALTH_WINDOW, h->failure);
	} else if (is_overdue(h)) {
		return give_up_waiting(h, now, h->failure);
	} else {
		return h->standing && say_standing(h, now);
	}
	return fall(h, now, DIF_HEALTH_DOWN, text);
}

static bool failed(struct dif_health *h, int64_t now, const struct dif_health_look *look)
{
	h->good = 0;
	if (h->failed++ == 0) {
		h->failed_at = now;
	}
	h->wrong = look->seen == DIF_SEEN_WRONG ? h->wrong + 1 : 0;
	note(h, true);
	snprintf(h->failure, sizeof h->failure, "%.*s", DIF_HEALTH_TEXT - 1,
	         look->text != NULL ? look->text : "");
	return judge_failure(h, now);
}

/* Half open: it has to go on being right. */
static bool rising(struct dif_health *h, int64_t now, bool current)
{
	const struct dif_health_config *r = h->rules;
	bool first = h->verdict == DIF_HEALTH_UNKNOWN;
	int64_t time = first ? 0 : dif_health_rise_time(h, now);
	char text[DIF_HEALTH_TEXT], span[DIF_DATE_MAX];
	if (h->good >= r->rise && now - h->good_at >= time && current) {
		h->standing = true;
		h->half_open = h->is_stale = false;
		h->window = 0; /* what it fell for is over */
		h->nwindow = 0;
		return say_standing(h, now);
	}
	if (is_overdue(h)) {
		return give_up_waiting(h, now, current ? h->failure : "it shows an older cut");
	}
	if (first) {
		return say(h, now, h->verdict, "being looked at for the first time");
	}
	if (!h->is_stale || current) { /* of a stale one the reason stays until it is not */
		snprintf(text, sizeof text, "answers again; healthy after %lld good looks and %s",
		         (long long)r->rise, dif_span(span, time));
		h->half_open = true;
		return say(h, now, h->verdict, text);
	}
	return false;
}

static void note_behind(struct dif_health *h, const struct dif_order *order,
                        const struct dif_health_wanted *wanted, bool current)
{
	bool better = order->sha256[0] != '\0' &&
	              (h->best.sha256[0] == '\0' || dif_order_compare(order, &h->best) > 0);
	if (current) {
		h->behind = 0;
	} else if (better || h->behind == 0) {
		h->behind = wanted->since;
	}
	if (better) {
		h->best = *order;
	}
}

static bool right(struct dif_health *h, int64_t now, const struct dif_order *order,
                  const struct dif_health_wanted *wanted)
{
	bool current = dif_order_compare(order, &wanted->order) >= 0;
	int64_t patience = h->rules->stale + h->settle;
	note_behind(h, order, wanted, current);
	bool late = !current && now - h->behind > patience;
	char text[DIF_HEALTH_TEXT], span[DIF_DATE_MAX];
	h->shown = *order;
	h->checked = now;
	h->failed = h->wrong = 0;
	note(h, false);
	if (late) {
		snprintf(text, sizeof text, "shows cut %.12s and not %.12s, after %s",
		         order->sha256[0] != '\0' ? order->sha256 : "unknown", wanted->order.sha256,
		         dif_span(span, patience));
		return fall(h, now, DIF_HEALTH_DEGRADED, text);
	}
	if (h->good++ == 0) {
		h->good_at = now;
	}
	return h->standing ? say_standing(h, now) : rising(h, now, current);
}

bool dif_health_saw(struct dif_health *h, int64_t now, const struct dif_health_look *look,
                    const struct dif_health_wanted *wanted)
{
	h->looked = now;
	switch (look->seen) {
	case DIF_SEEN_RIGHT:
		return right(h, now, look->order, wanted);
	case DIF_SEEN_WRONG:
	case DIF_SEEN_NOTHING:
		return failed(h, now, look);
	default:
		return false;
	}
}

bool dif_health_delivered(struct dif_health *h, int64_t now, const char *trouble)
{
	snprintf(h->trouble, sizeof h->trouble, "%s", trouble != NULL ? trouble : "");
	return h->standing && say_standing(h, now);
}

int64_t dif_health_pace(const struct dif_health *h, uint8_t chance)
{
	const struct dif_health_config *r = h->rules;
	bool doubtful = h->verdict == DIF_HEALTH_UNKNOWN || (h->standing && h->failed > 0);
	int64_t base = doubtful && r->fast < r->interval ? r->fast : r->interval;
	int64_t swing = base * r->jitter / 100;
	return base - swing + 2 * swing * chance / UINT8_MAX;
}
