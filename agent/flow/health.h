/* health - what looks at a destination come to: healthy, degraded or down, with a reason in words.
 *
 * A pure machine, one per destination: time is a parameter (steady ms), nothing is read or sent.
 *
 *   unknown ──rise──▶ healthy ◀──rise, rise_time, the current cut── degraded, down
 *                        │
 *                        ├─ fall in a row and fall_time, or `shaky` of the last 20 ──▶ down
 *                        ├─ wrong bytes, and again at the next look ──▶ down
 *                        └─ an older cut for longer than `stale` ──▶ degraded, is_stale
 *
 * How long it has been behind counts from the first cut that it did not come to show: newer ones
 * that follow meanwhile give it no further time, only a step forward of its own does. What is not
 * judged after 20 looks is degraded, so that nobody waits for a verdict without end.
 *
 * Beside these, a healthy destination is degraded as long as its store is away, its last delivery
 * did not end whole, or half of `shaky` of its last looks failed. A first failure only makes it
 * doubtful: it is looked at faster. What fell returns half open: each look counts, one failure
 * begins the count again, and rise_time doubles with each fall within an hour, so that what flaps
 * stays out longer. A look that failed for our own reasons counts for nothing.
 */
#ifndef DIF_FLOW_HEALTH_H
#define DIF_FLOW_HEALTH_H

#include "flow/config.h"
#include "flow/manifest.h"

#define DIF_HEALTH_WINDOW 20
#define DIF_HEALTH_FALLS 8
#define DIF_HEALTH_TEXT 256

enum dif_health_verdict {
	DIF_HEALTH_UNKNOWN,
	DIF_HEALTH_HEALTHY,
	DIF_HEALTH_DEGRADED,
	DIF_HEALTH_DOWN,
	DIF_HEALTH_VERDICTS
};
const char *dif_health_name(uint32_t verdict); /* "healthy"; never NULL */
bool dif_health_by_name(const char *name, uint32_t *verdict);

enum dif_seen {
	DIF_SEEN_RIGHT,   /* bytes of a known cut: `order` says which; sha256 "": of an older one */
	DIF_SEEN_WRONG,   /* bytes of none */
	DIF_SEEN_NOTHING, /* no answer, or not the site's */
	DIF_SEEN_SELF     /* our own fault: it says nothing */
};

struct dif_health_look {
	uint32_t seen;                 /* enum dif_seen */
	const struct dif_order *order; /* RIGHT */
	const char *text;              /* else why, one sentence */
};

/* What a destination should show, and since when somebody does (steady ms). */
struct dif_health_wanted {
	struct dif_order order; /* sha256 "": nothing is published */
	int64_t since;
};

struct dif_health {
	const struct dif_health_config *rules;
	int64_t settle;   /* ms that its CDNs take to forget: so much longer than `stale` it may be
	                   behind; set by the caller after init */
	uint32_t verdict; /* enum dif_health_verdict */
	bool is_stale;    /* degraded: it shows an older cut than it should */
	char reason[DIF_HEALTH_TEXT];
	int64_t since;          /* of the verdict, steady ms */
	int64_t checked;        /* the last look that was right; 0: none */
	struct dif_order shown; /* by the last right look; sha256 "": not known */
	struct dif_order best;  /* the newest it has shown */
	int64_t behind;         /* since when it shows less than it should; 0: it does not */

	int64_t looked;                /* the last look of any kind */
	uint32_t failed, good;         /* in a row */
	int64_t failed_at, good_at;    /* when that row began */
	uint32_t wrong;                /* in a row */
	uint32_t window;               /* one bit per look, 1: failed; the newest is the lowest */
	uint32_t nwindow;              /* bits in it */
	char failure[DIF_HEALTH_TEXT]; /* of the last failed look */
	int64_t falls[DIF_HEALTH_FALLS];
	uint32_t nfalls;               /* in all */
	bool standing;                 /* it has risen, and not fallen since */
	bool half_open;                /* it fell, and answers again */
	char trouble[DIF_HEALTH_TEXT]; /* of its deliveries; "": none */
};

/* rules stay the caller's. */
void dif_health_init(struct dif_health *h, const struct dif_health_config *rules, int64_t now);
/* True: verdict or reason have changed. */
bool dif_health_saw(struct dif_health *h, int64_t now, const struct dif_health_look *look,
                    const struct dif_health_wanted *wanted);
/* What its deliveries say: NULL: they are whole. Likewise. */
bool dif_health_delivered(struct dif_health *h, int64_t now, const char *trouble);
/* It is looked at again after so long, in ms; chance is 0 to 255. */
int64_t dif_health_pace(const struct dif_health *h, uint8_t chance);
/* What rise_time is for it now. */
int64_t dif_health_rise_time(const struct dif_health *h, int64_t now);

#endif
