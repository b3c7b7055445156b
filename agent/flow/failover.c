/* failover - who leaves, who comes instead, who returns; at most one of these at a time.
 *
 *   first route ─▶ pins ─▶ leave (and be relieved) ─▶ enter ─▶ steps of a return, spares go
 *
 * Each writes the percents that it wants into `next` of each share; the route changes only when
 * all of a step is allowed.
 */
#include "flow/failover.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/clock.h"

#define HOUR_MS (60 * 60 * 1000)
#define SPARE_WEIGHT 100 /* of a spare that is needed */

struct deciding {
	struct dif_failover *f;
	const struct dif_failover_config *rules;
	const struct dif_failover_input *in;
	uint32_t n;
	enum dif_sight sight;
	int64_t now;
	struct dif_failover_plan *plan;
};

void dif_failover_init(struct dif_failover *f, struct dif_failover_share *share)
{
	*f = (struct dif_failover){.share = share, .pinned = -1, .was_pinned = -1};
}

/* --- words --- */

static void add(char text[DIF_FAILOVER_TEXT], const char *fmt, ...) DIF_PRINTF(2, 3);
static void add(char text[DIF_FAILOVER_TEXT], const char *fmt, ...)
{
	size_t n = strlen(text);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text + n, DIF_FAILOVER_TEXT - n, fmt, ap);
	va_end(ap);
}

static void because(struct deciding *d, const char *fmt, ...) DIF_PRINTF(2, 3);
static void because(struct deciding *d, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(d->plan->why, sizeof d->plan->why, fmt, ap);
	va_end(ap);
}

/* --- what is known --- */

static bool is_in(const struct deciding *d, uint32_t i)
{
	return d->f->share[i].percent > 0;
}

/* By hand. */
static bool is_sent_out(const struct deciding *d, uint32_t i)
{
	return d->in[i].drained || d->in[i].gone;
}

/* By its verdict. */
static bool is_bad(const struct deciding *d, uint32_t i)
{
	return d->in[i].verdict == DIF_HEALTH_DOWN || d->in[i].is_stale;
}

static bool shows_newest(const struct deciding *d, uint32_t i)
{
	return d->in[i].shown.sha256[0] != '\0' &&
	       dif_order_compare(&d->in[i].shown, &d->f->seen) >= 0;
}

/* Good enough to stay. */
static bool is_good(const struct deciding *d, uint32_t i)
{
	return !d->in[i].is_private && !is_sent_out(d, i) && !is_bad(d, i) &&
	       d->in[i].verdict != DIF_HEALTH_UNKNOWN && shows_newest(d, i);
}

static bool can_enter(const struct deciding *d, uint32_t i)
{
	return is_good(d, i) && d->in[i].verdict == DIF_HEALTH_HEALTHY && !d->in[i].is_doubtful &&
	       d->in[i].checked != 0 && d->now - d->in[i].checked <= d->rules->fresh;
}

/* The readers of a destination in the route see what it shows. */
static void note_seen(struct deciding *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		const struct dif_failover_input *in = &d->in[i];
		bool counts = d->f->known ? is_in(d, i) : !in->is_private;
		if (counts && in->shown.sha256[0] != '\0' &&
		    (d->f->seen.sha256[0] == '\0' ||
		     dif_order_compare(&in->shown, &d->f->seen) > 0)) {
			d->f->seen = in->shown;
		}
	}
}

static uint32_t recent_moves(const struct dif_failover *f, int64_t now)
{
	uint32_t n = f->nmoved < DIF_FAILOVER_MOVES ? f->nmoved : DIF_FAILOVER_MOVES, recent = 0;
	for (uint32_t i = 0; i < n; i++) {
		recent += now - f->moved[i] < HOUR_MS;
	}
	return recent;
}

uint32_t dif_failover_left(const struct dif_failover *f, const struct dif_failover_config *rules,
                           int64_t now)
{
	uint32_t recent = recent_moves(f, now);
	return (int64_t)recent < rules->moves ? (uint32_t)rules->moves - recent : 0;
}

uint32_t dif_failover_weight(const struct dif_failover *f, const struct dif_failover_input *in,
                             uint32_t i)
{
	uint64_t whole = in[i].weight > 0 ? (uint64_t)in[i].weight : SPARE_WEIGHT;
	uint32_t percent = f->share[i].percent;
	uint32_t weight = (uint32_t)(whole * percent / DIF_FAILOVER_WHOLE);
	return percent > 0 && weight == 0 ? 1 : weight;
}

/* --- changing the route --- */

static uint32_t count_next(const struct deciding *d)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < d->n; i++) {
		n += d->f->share[i].next > 0;
	}
	return n;
}

/* One alone has all of the readers, whatever its step. */
static void take(struct deciding *d)
{
	bool alone = count_next(d) == 1;
	for (uint32_t i = 0; i < d->n; i++) {
		struct dif_failover_share *s = &d->f->share[i];
		uint32_t to =
			alone && d->f->share[i].next > 0 ? DIF_FAILOVER_WHOLE : d->f->share[i].next;
		if (to == s->percent) {
			continue;
		}
		s->percent = to;
		s->stepped = d->now;
		s->was_in = s->was_in || to > 0;
		s->recalled = s->recalled && to == 0;
		d->plan->changed = true;
	}
	if (d->plan->changed) {
		d->f->changed = d->now;
		d->f->known = true;
	}
}

static void record_move(struct deciding *d)
{
	struct dif_failover *f = d->f;
	int64_t hold = d->rules->hold;
	f->moved[f->nmoved++ % DIF_FAILOVER_MOVES] = d->now;
	for (uint32_t i = recent_moves(f, d->now); i > 1 && hold < d->rules->hold_max; i--) {
		hold *= 2;
	}
	hold = hold < d->rules->hold_max ? hold : d->rules->hold_max;
	f->hold_until = d->now + hold;
	d->plan->moved = true;
}

static void leave_as_is(const struct deciding *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		d->f->share[i].next = d->f->share[i].percent;
	}
}

/* Who leaves and who enters by next, as the reason of the route. */
static void tell(struct deciding *d, const char *end)
{
	char text[DIF_FAILOVER_TEXT] = "";
	for (uint32_t i = 0; i < d->n; i++) {
		const struct dif_failover_input *in = &d->in[i];
		const char *comma = text[0] != '\0' ? "; " : "";
		if (is_in(d, i) && d->f->share[i].next == 0) {
			add(text, "%s%s out: %s", comma, in->name,
			    in->drained    ? "drained by hand"
			    : in->gone     ? "its configuration was taken away"
			    : is_bad(d, i) ? in->reason
			                   : "does not show the newest cut yet");
		} else if (!is_in(d, i) && d->f->share[i].next > 0) {
			add(text, "%s%s in at %u %%", comma, in->name, d->f->share[i].next);
		}
	}
	add(text, "%s", end);
	memcpy(d->f->reason, text, sizeof d->f->reason);
}

/* --- the first route --- */

static void begin(struct deciding *d)
{
	uint32_t good = 0;
	for (uint32_t i = 0; i < d->n; i++) {
		const struct dif_failover_input *in = &d->in[i];
		if (!in->is_private && !is_sent_out(d, i) && in->verdict == DIF_HEALTH_UNKNOWN) {
			because(d, "there is no route yet: '%s' was not judged yet", in->name);
			return;
		}
		d->f->share[i].next = can_enter(d, i) && in->weight > 0 ? DIF_FAILOVER_WHOLE : 0;
		good += d->f->share[i].next > 0;
	}
	for (uint32_t i = 0; i < d->n && good < d->rules->minimum; i++) {
		if (d->f->share[i].next == 0 && can_enter(d, i)) {
			d->f->share[i].next = DIF_FAILOVER_WHOLE;
			good++;
		}
	}
	if (good == 0) {
		because(d, "there is no route yet: no destination is healthy");
		return;
	}
	tell(d, "; the first route");
	take(d);
}

/* --- pins --- */

/* Back to what was before, as far as it is good; else the pinned one goes on. One that became
 * private meanwhile cannot: then there is no route. */
static void unpin(struct deciding *d, int64_t old)
{
	for (uint32_t i = 0; i < d->n; i++) {
		d->f->share[i].next = is_good(d, i) ? d->f->share[i].before : 0;
	}
	if (count_next(d) == 0 && d->in[old].is_private) {
		d->f->share[old].percent = 0;
		d->f->known = false;
		return;
	}
	if (count_next(d) == 0) {
		d->f->share[old].next = DIF_FAILOVER_WHOLE;
	}
	tell(d, "");
	add(d->f->reason, "%spin of %s taken off", d->f->reason[0] != '\0' ? "; " : "",
	    d->in[old].name);
	take(d);
}

/* Who was in the route before is judged. */
static bool can_unpin(struct deciding *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		if (d->f->share[i].before > 0 && !d->in[i].is_private && !is_sent_out(d, i) &&
		    d->in[i].verdict == DIF_HEALTH_UNKNOWN) {
			because(d, "%s was not judged yet: the route stays", d->in[i].name);
			return false;
		}
	}
	return true;
}

/* True: somebody is pinned, or just was, and nothing else counts. */
static bool follow_pin(struct deciding *d)
{
	struct dif_failover *f = d->f;
	int64_t old = f->was_pinned;
	if (f->pinned >= 0 &&
	    (f->pinned >= d->n || d->in[f->pinned].is_private || d->in[f->pinned].gone)) {
		f->pinned = -1; /* nobody may be led there any more */
	}
	if (f->pinned < 0) {
		if (old >= 0 && can_unpin(d)) {
			f->was_pinned = -1;
			unpin(d, old);
		}
		return old >= 0;
	}
	f->was_pinned = f->pinned;
	for (uint32_t i = 0; i < d->n && old < 0; i++) {
		f->share[i].before = f->share[i].percent;
	}
	if (old != f->pinned) {
		for (uint32_t i = 0; i < d->n; i++) {
			f->share[i].next = 0;
		}
		d->f->share[f->pinned].next = DIF_FAILOVER_WHOLE;
		snprintf(f->reason, sizeof f->reason, "%s is pinned by hand",
		         d->in[f->pinned].name);
		take(d);
	}
	because(d, "%s is pinned by hand: nothing is moved", d->in[f->pinned].name);
	return true;
}

/* --- may anything be moved --- */

/* Suspect yourself first: where our own network fails, verdicts fall one after the other, and those
 * that have not fallen yet are in doubt. True: why says what. */
static bool is_blind(struct deciding *d)
{
	uint32_t total = 0, down = 0, failing = 0;
	for (uint32_t i = 0; i < d->n; i++) {
		bool is_down = d->in[i].verdict == DIF_HEALTH_DOWN;
		total += is_in(d, i);
		down += is_in(d, i) && is_down;
		failing += is_in(d, i) && (is_down || d->in[i].is_doubtful);
	}
	if (d->sight == DIF_SIGHT_BLIND) {
		because(d, "no reference answers either: it may be our own network, so nothing is "
		           "moved");
		return true;
	}
	if (d->sight == DIF_SIGHT_NONE && down > 0 && failing >= 2 &&
	    failing * 100 >= d->rules->panic * total) {
		because(d,
		        "%u of %u destinations in the route look down at once: it may be our own "
		        "network, so nothing is moved (references tell, see [health])",
		        failing, total);
		return true;
	}
	return false;
}

static bool is_exhausted(struct deciding *d)
{
	if (dif_failover_left(d->f, d->rules, d->now) > 0) {
		return false;
	}
	because(d,
	        "%lld moves within an hour: nothing more is moved by itself; drain or pin by hand",
	        (long long)d->rules->moves);
	return true;
}

/* --- leaving --- */

struct leaving {
	uint32_t bad, sent, kept;
	const char *first; /* who leaves */
	bool behind;       /* somebody who stays shows an older cut */
};

static struct leaving count_leaving(const struct deciding *d)
{
	struct leaving l = {0};
	for (uint32_t i = 0; i < d->n; i++) {
		bool sent = is_in(d, i) && is_sent_out(d, i), bad = is_in(d, i) && is_bad(d, i);
		l.sent += sent;
		l.bad += bad && !sent;
		l.kept += is_in(d, i) && is_good(d, i);
		l.behind = l.behind || (is_in(d, i) && !sent && !shows_newest(d, i));
		l.first = (sent || bad) && l.first == NULL ? d->in[i].name : l.first;
	}
	return l;
}

/* Those outside who can come, spares last and only as many as are needed. */
static uint32_t relieve(const struct deciding *d, uint32_t kept, uint32_t needed)
{
	for (uint32_t spare = 0; spare < 2 && kept < needed; spare++) {
		for (uint32_t i = 0; i < d->n && (spare == 0 || kept < needed); i++) {
			if (d->f->share[i].next == 0 && can_enter(d, i) &&
			    (d->in[i].weight == 0) == spare) {
				d->f->share[i].next = DIF_FAILOVER_WHOLE;
				kept++;
			}
		}
	}
	return kept;
}

enum left { NOBODY_LEAVES, SOMEBODY_STAYS, SOMEBODY_LEFT };

static enum left leave(struct deciding *d, bool stuck)
{
	struct leaving l = count_leaving(d);
	bool moving = l.bad > 0 && !stuck;
	if (l.bad + l.sent == 0) {
		return NOBODY_LEAVES;
	}
	if (!moving && l.sent == 0) {
		return SOMEBODY_STAYS;
	}
	if (!moving && l.behind) {
		because(d,
		        "%s leaves when all that stay show the newest cut; difusor pin overrules "
		        "that",
		        l.first);
		return SOMEBODY_STAYS;
	}
	for (uint32_t i = 0; i < d->n; i++) {
		bool stays = moving ? is_good(d, i) : !is_sent_out(d, i);
		d->f->share[i].next = stays ? d->f->share[i].percent : 0;
	}
	uint32_t needed = moving ? (uint32_t)d->rules->minimum : 1;
	if (relieve(d, l.kept, needed) < needed) {
		because(d,
		        "%s stays in the route: too few others are healthy and show the newest cut",
		        l.first);
		d->plan->frozen = true;
		return SOMEBODY_STAYS;
	}
	tell(d, "");
	take(d);
	if (moving) {
		record_move(d);
	}
	return SOMEBODY_LEFT;
}

/* --- entering --- */

/* True: it may come in now, by itself. */
static bool is_due(struct deciding *d, uint32_t i)
{
	const struct dif_failover_share *s = &d->f->share[i];
	char span[DIF_DATE_MAX];
	if (d->in[i].weight == 0) {
		return false;
	}
	if (d->now < d->f->hold_until) {
		because(d, "%s returns after the hold that follows a move", d->in[i].name);
		return false;
	}
	if (!s->was_in) {
		return true;
	}
	if (!d->rules->failback) {
		because(d, "%s is healthy and returns by hand: difusor undrain %s", d->in[i].name,
		        d->in[i].name);
		return false;
	}
	if (d->now - d->in[i].since < d->rules->failback_time) {
		because(d, "%s returns when it has been healthy for %s", d->in[i].name,
		        dif_span(span, d->rules->failback_time));
		return false;
	}
	return true;
}

/* Readers are led away from who is there, so it may wait until all of them are well. */
static bool is_settled(const struct deciding *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		if (is_in(d, i) && !is_good(d, i)) {
			return false;
		}
	}
	return true;
}

/* What a person called back comes as soon as it is healthy; what comes by itself is a move. */
static bool enter(struct deciding *d, bool stuck)
{
	uint32_t left = dif_failover_left(d->f, d->rules, d->now), due = 0, recalled = 0;
	bool may_move = !stuck && is_settled(d) && (left >= 2 || d->rules->moves == 1);
	leave_as_is(d);
	for (uint32_t i = 0; i < d->n; i++) {
		if (is_in(d, i) || !can_enter(d, i)) {
			continue;
		}
		bool by_hand = d->f->share[i].recalled;
		if (by_hand || (may_move && is_due(d, i))) {
			d->f->share[i].next = (uint32_t)d->rules->step;
			recalled += by_hand;
			due += !by_hand;
		}
	}
	if (due + recalled == 0) {
		return false;
	}
	tell(d, "");
	take(d);
	if (due > 0) {
		record_move(d);
	}
	return true;
}

/* --- the rest of a return --- */

static void step(struct deciding *d)
{
	uint32_t whole = 0;
	leave_as_is(d);
	for (uint32_t i = 0; i < d->n; i++) {
		struct dif_failover_share *s = &d->f->share[i];
		whole += d->in[i].weight > 0 && s->percent == DIF_FAILOVER_WHOLE && is_good(d, i);
		if (is_in(d, i) && s->percent < DIF_FAILOVER_WHOLE &&
		    d->in[i].verdict == DIF_HEALTH_HEALTHY && is_good(d, i) &&
		    d->now - s->stepped >= d->rules->step_time) {
			s->next = s->percent + (uint32_t)d->rules->step;
			s->next = s->next < DIF_FAILOVER_WHOLE ? s->next : DIF_FAILOVER_WHOLE;
			snprintf(d->f->reason, sizeof d->f->reason, "%s at %u %% of its weight",
			         d->in[i].name, s->next);
		}
	}
	bool enough = whole >= d->rules->minimum && is_settled(d);
	for (uint32_t i = 0; i < d->n && enough; i++) {
		if (is_in(d, i) && d->in[i].weight == 0) {
			d->f->share[i].next = 0;
			snprintf(d->f->reason, sizeof d->f->reason,
			         "%s out: the spare is not needed", d->in[i].name);
		}
	}
	take(d);
}

/* --- all --- */

/* A destination in the route of which nothing is known: after a start, for some seconds. */
static bool is_judged(struct deciding *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		if (is_in(d, i) && d->in[i].verdict == DIF_HEALTH_UNKNOWN) {
			because(d, "%s was not judged yet: the route stays", d->in[i].name);
			return false;
		}
	}
	return true;
}

static void move(struct deciding *d)
{
	bool blind = is_blind(d), stuck = blind || is_exhausted(d);
	d->plan->frozen = stuck;
	enum left left = leave(d, stuck);
	if (left == SOMEBODY_LEFT || enter(d, stuck || left == SOMEBODY_STAYS) || blind) {
		return;
	}
	step(d);
}

void dif_failover_decide(struct dif_failover *f, const struct dif_failover_config *rules,
                         const struct dif_failover_input *in, uint32_t n, enum dif_sight sight,
                         int64_t now, struct dif_failover_plan *plan)
{
	struct deciding d = {f, rules, in, n, sight, now, plan};
	*plan = (struct dif_failover_plan){0};
	note_seen(&d);
	if (follow_pin(&d)) {
		goto out;
	}
	if (!f->known) {
		begin(&d);
	} else if (is_judged(&d)) {
		move(&d);
	}
out:
	plan->moves_left = dif_failover_left(f, rules, now);
}
