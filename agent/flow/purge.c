/* purge - what is owed, and who waits for it.
 *
 * A row of the set is a fact of the state: scope "owed:DESTINATION:CDN", name "SCOPE TEXT", value
 * "REV PASSES FLAGS CUT". Its rev comes from the clock, so that it is another one in every run,
 * and the marks that are made of it are, too.
 *
 * A row is open from its release to its end. Whoever waits is told when no row is open; a row that
 * is owed again before that is not open until the next release: the newer purge is waited for by
 * who asked for it.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "flow/purge_private.h"

#define FACT_MAX 256

/* FLAGS; without the second it may be anything's. */
enum { FLAG_CREATED = 1, FLAG_DETAILS = 2 };

/* --- the set --- */

static const char *key_of(const struct purge_owed *o)
{
	return o->text + strlen(o->item.text) + 1;
}

static struct purge_owed *new_owed(struct purge_lane *l, const struct dif_purge_item *item)
{
	const char *scope = dif_purge_scope_name(item->scope);
	size_t text = strlen(item->text) + 1, key = strlen(scope) + 1 + text;
	struct purge_owed *o = calloc(1, sizeof *o + text + key);
	if (o == NULL) {
		return NULL;
	}
	memcpy(o->text, item->text, text);
	(void)snprintf(o->text + text, key, "%s %s", scope, item->text);
	o->lane = l;
	o->item = *item;
	o->item.text = o->text;
	o->item.passes = 0;
	dif_list_init(&o->link);
	if (!dif_map_put(&l->set, key_of(o), o)) {
		free(o);
		return NULL;
	}
	l->p->counts.owed++;
	return o;
}

static struct purge_owed *find(const struct purge_lane *l, const struct dif_purge_item *item)
{
	char *key = NULL;
	if (asprintf(&key, "%s %s", dif_purge_scope_name(item->scope), item->text) < 0) {
		abort(); /* a row of that name would be lost; the next start finds it */
	}
	struct purge_owed *o = dif_map_get(&l->set, key);
	free(key);
	return o;
}

static void forget_fact(const struct purge_owed *o)
{
	if (o->lane->p->state != NULL) {
		dif_state_put_fact(o->lane->p->state, o->lane->scope, key_of(o), NULL);
	}
}

static void close_row(struct purge_owed *o)
{
	struct dif_purger *p = o->lane->p;
	if (o->released) {
		o->released = false;
		p->open--;
		p->news -= (o->item.passes & DIF_PASS_NOW) != 0;
	}
	dif_list_remove(&o->link);
	o->batch = NULL;
}

static void drop(struct purge_owed *o)
{
	close_row(o);
	dif_map_remove(&o->lane->set, key_of(o));
	o->lane->p->counts.owed--;
	o->gone = true;
	if (o->refs == 0) {
		free(o);
	}
}

void purge_unref(struct purge_owed *o)
{
	if (--o->refs == 0 && o->gone) {
		free(o);
	}
}

static int64_t next_rev(struct dif_purger *p)
{
	int64_t now = dif_wall_ms() * 1000;
	p->rev = now > p->rev ? now : p->rev + 1;
	return p->rev;
}

void purge_record(struct purge_owed *o)
{
	char value[FACT_MAX];
	if (o->lane->p->state == NULL) {
		return;
	}
	uint32_t flags = (o->item.created ? FLAG_CREATED : 0u) | (o->item.late ? 0u : FLAG_DETAILS);
	(void)snprintf(value, sizeof value, "%" PRId64 " %u %u %s", o->rev, o->item.passes, flags,
	               o->cut);
	dif_state_put_fact(o->lane->p->state, o->lane->scope, key_of(o), value);
}

void purge_renew(struct purge_owed *o)
{
	o->rev = next_rev(o->lane->p);
	purge_record(o);
}

/* Where a released row belongs now. */
static void place(struct purge_owed *o)
{
	struct purge_lane *l = o->lane;
	if ((o->item.passes & DIF_PASS_NOW) != 0) {
		dif_list_add(&l->ready[o->item.scope], &o->link);
	} else {
		dif_list_add(&l->later, &o->link);
	}
}

void purge_settled(struct purge_owed *o, uint32_t pass)
{
	struct dif_purger *p = o->lane->p;
	p->counts.settled++;
	if (pass == DIF_PASS_NOW) {
		p->news--;
	}
	o->item.passes &= ~pass;
	o->batch = NULL;
	if (o->item.passes == 0) {
		forget_fact(o);
		drop(o);
	} else {
		purge_record(o);
		place(o);
	}
}

/* --- owing --- */

/* What the new item covers need not be done any more. */
static void supersede(struct purge_lane *l, const struct dif_purge_item *wide)
{
	struct purge_owed *covered = NULL;
	size_t at = 0;
	const char *key = NULL;
	void *value = NULL;
	struct dif_link due;
	dif_list_init(&due);
	while (dif_map_next(&l->set, &at, &key, &value)) {
		covered = value;
		bool equal = covered->item.scope == wide->scope &&
		             strcmp(covered->item.text, wide->text) == 0;
		if (!equal && dif_purge_covers(wide, &covered->item) &&
		    (covered->item.passes & ~wide->passes) == 0) {
			close_row(covered);
			dif_list_add(&due, &covered->link);
		}
	}
	while (!dif_list_empty(&due)) { /* the map must not change while it is walked */
		covered = DIF_ENTRY(due.next, struct purge_owed, link);
		forget_fact(covered);
		drop(covered);
	}
}

static bool owe(struct purge_lane *l, const char *cut, const struct dif_purge_item *item)
{
	struct purge_owed *o = find(l, item);
	if (o == NULL && (o = new_owed(l, item)) == NULL) {
		return false;
	}
	close_row(o);
	o->rev = next_rev(l->p);
	o->item.passes |= item->passes;
	o->item.created = o->item.created || item->created;
	o->item.late = o->item.late || item->late;
	o->most = 0;
	(void)snprintf(o->cut, sizeof o->cut, "%s", cut);
	purge_record(o);
	l->p->unreleased = true;
	if (item->scope != DIF_PURGE_URLS) {
		supersede(l, item); /* once it stands in their place */
	}
	return true;
}

static void count_plan(const struct purge_lane *l, const struct dif_purge_plan *plan,
                       struct dif_purge_count *to)
{
	uint32_t nodes = l->caps->nodes > 0 ? l->caps->nodes : 1;
	*to = (struct dif_purge_count){.cdn = l->config->name};
	for (uint32_t pass = DIF_PASS_NOW; pass <= DIF_PASS_AGAIN; pass <<= 1) {
		const struct dif_purge_item *batch = NULL;
		const struct dif_purge_item **some = calloc(plan->n + 1, sizeof(void *));
		uint32_t n = 0;
		for (uint32_t i = 0; some != NULL && i < plan->n; i++) {
			if ((plan->items[i].passes & pass) != 0) {
				some[n++] = &plan->items[i];
			}
		}
		for (uint32_t i = 0; i < n;) {
			uint32_t same = 0;
			to->calls += nodes * purge_names(l, some[i]->scope);
			for (batch = some[i];
			     i + same < n && some[i + same]->scope == batch->scope;) {
				same++;
			}
			i += dif_purge_fits(l->caps, l->longest, &some[i], same);
		}
		for (uint32_t i = 0; i < n && pass == DIF_PASS_NOW; i++) {
			to->items[some[i]->scope]++;
		}
		to->again = n;
		free(some);
	}
}

void dif_purge_count_add(struct dif_purge_count *to, const struct dif_purge_count *more)
{
	to->cdn = more->cdn;
	for (uint32_t i = 0; i <= DIF_PURGE_ALL; i++) {
		to->items[i] += more->items[i];
	}
	to->again += more->again;
	to->calls += more->calls;
}

bool dif_purger_count(const struct dif_purger *p, const struct dif_change_of *keys, uint32_t n,
                      struct dif_purge_count *counts)
{
	struct dif_purge_plan plan;
	for (uint32_t i = 0; i < p->nlanes; i++) {
		if (!dif_purge_plan_init(&plan, &p->lanes[i].rules, keys, n)) {
			return false;
		}
		count_plan(&p->lanes[i], &plan, &counts[i]);
		dif_purge_plan_fini(&plan);
	}
	return true;
}

bool dif_purger_owe(struct dif_purger *p, const char *cut, const struct dif_change_of *keys,
                    uint32_t n, struct dif_purge_count *counts)
{
	struct dif_purge_plan plan;
	bool ok = true;
	for (uint32_t i = 0; ok && i < p->nlanes; i++) {
		struct purge_lane *l = &p->lanes[i];
		if (!dif_purge_plan_init(&plan, &l->rules, keys, n)) {
			return false;
		}
		count_plan(l, &plan, &counts[i]);
		for (uint32_t k = 0; ok && k < plan.n; k++) {
			ok = owe(l, cut, &plan.items[k]);
		}
		dif_purge_plan_fini(&plan);
	}
	return ok;
}

bool dif_purger_plan(const struct dif_purger *p, uint32_t cdn, const struct dif_change_of *keys,
                     uint32_t n, struct dif_purge_plan *plan)
{
	return dif_purge_plan_init(plan, &p->lanes[cdn].rules, keys, n);
}

bool dif_purger_owe_item(struct dif_purger *p, uint32_t cdn, const struct dif_purge_item *item)
{
	return owe(&p->lanes[cdn], "by-hand", item);
}

static int by_item(const void *a, const void *b)
{
	const struct purge_owed *x = *(struct purge_owed *const *)a;
	const struct purge_owed *y = *(struct purge_owed *const *)b;
	return x->item.scope != y->item.scope ? (x->item.scope < y->item.scope ? -1 : 1)
	                                      : strcmp(x->item.text, y->item.text);
}

static void release_row(struct purge_owed *o, int64_t again_at)
{
	struct dif_purger *p = o->lane->p;
	o->released = true;
	o->again_at = again_at;
	p->open++;
	p->news += (o->item.passes & DIF_PASS_NOW) != 0;
	place(o);
}

/* In their order, so that batches are sorted; without memory for that, in any. */
static void release_lane(struct purge_lane *l, bool details)
{
	struct purge_owed **rows = calloc(l->set.n + 1, sizeof(void *));
	int64_t again_at = dif_steady_ms() + l->config->origin_timeout;
	const char *key = NULL;
	void *value = NULL;
	size_t n = 0;
	for (size_t at = 0; dif_map_next(&l->set, &at, &key, &value);) {
		struct purge_owed *o = value;
		bool may = !o->released && (!details || !o->item.late);
		if (may && rows != NULL) {
			rows[n++] = o;
		} else if (may) {
			release_row(o, again_at);
		}
	}
	if (n > 0) {
		qsort(rows, n, sizeof(void *), by_item);
	}
	for (size_t i = 0; i < n; i++) {
		release_row(rows[i], again_at);
	}
	free(rows);
}

void dif_purger_release(struct dif_purger *p)
{
	for (uint32_t i = 0; p->unreleased && i < p->nlanes; i++) {
		release_lane(&p->lanes[i], false);
	}
	p->unreleased = false;
	purge_kick(p, 0);
}

bool dif_purger_release_details(struct dif_purger *p)
{
	for (uint32_t i = 0; p->unreleased && i < p->nlanes; i++) {
		release_lane(&p->lanes[i], true);
	}
	purge_kick(p, 0);
	return p->news > 0;
}

/* --- waiting --- */

bool purge_may_work(const struct dif_purger *p)
{
	return !p->closing && (p->resumed || !dif_list_empty(&p->waits));
}

static void tell_shown(struct dif_purger *p)
{
	for (struct dif_link *at = p->waits.next, *next; at != &p->waits; at = next) {
		struct dif_purger_wait *w = DIF_ENTRY(at, struct dif_purger_wait, link);
		next = at->next;
		if (!w->was_shown) {
			w->was_shown = true;
			if (w->shown != NULL) {
				w->shown(w->data);
			}
		}
	}
}

/* The loop runs for who waits, and for nobody else. */
static void note_waits(struct dif_purger *p)
{
	if (dif_list_empty(&p->waits)) {
		uv_unref((uv_handle_t *)&p->timer);
	} else {
		uv_ref((uv_handle_t *)&p->timer);
	}
}

static void tell_done(struct dif_purger *p, const struct dif_error *err)
{
	struct dif_error copy = *err;
	struct dif_link due;
	dif_list_init(&due);
	while (!dif_list_empty(&p->waits)) { /* who is told may wait anew */
		struct dif_link *first = p->waits.next;
		dif_list_remove(first);
		dif_list_add(&due, first);
	}
	while (!dif_list_empty(&due)) {
		struct dif_purger_wait *w = DIF_ENTRY(due.next, struct dif_purger_wait, link);
		dif_list_remove(&w->link);
		w->done(w->data, &copy);
	}
	note_waits(p);
}

static void on_timer(uv_timer_t *t)
{
	struct dif_purger *p = t->data;
	int64_t wait = -1;
	bool stuck = p->nlanes > 0, any = false;
	for (uint32_t i = 0; i < p->nlanes && purge_may_work(p); i++) {
		bool lane_stuck = false;
		bool works = p->lanes[i].nbatches > 0;
		int64_t ms = purge_send(&p->lanes[i], &lane_stuck);
		works = works || p->lanes[i].nbatches > 0;
		wait = ms >= 0 && (wait < 0 || ms < wait) ? ms : wait;
		any = any || lane_stuck;
		stuck = stuck && (lane_stuck || (!works && ms < 0));
	}
	if (wait >= 0) {
		purge_kick(p, wait);
	}
	if (p->news == 0) {
		tell_shown(p);
	}
	if (p->open == 0) {
		tell_done(p, &(struct dif_error){.cls = DIF_OK});
	} else if (stuck && any) {
		tell_done(p, dif_purger_error(p));
	}
}

void purge_kick(struct dif_purger *p, int64_t ms)
{
	if (!p->closing) {
		uv_timer_start(&p->timer, on_timer, (uint64_t)(ms > 0 ? ms : 0), 0);
	}
}

static void cancel_all(struct dif_purger *p)
{
	for (uint32_t i = 0; i < p->nlanes; i++) {
		purge_cancel(&p->lanes[i]);
	}
}

void dif_purger_wait(struct dif_purger *p, struct dif_purger_wait *w)
{
	w->was_shown = false;
	dif_list_init(&w->link);
	dif_list_add(&p->waits, &w->link);
	note_waits(p);
	purge_kick(p, 0);
}

void dif_purger_leave(struct dif_purger *p, struct dif_purger_wait *w)
{
	dif_list_remove(&w->link);
	note_waits(p);
	if (!purge_may_work(p)) {
		cancel_all(p);
	}
}

void dif_purger_resume(struct dif_purger *p)
{
	if (!p->resumed || p->unreleased) {
		p->resumed = true;
		dif_purger_release(p);
	}
}

void dif_purger_rest(struct dif_purger *p)
{
	p->resumed = false;
	if (!purge_may_work(p)) {
		cancel_all(p);
	}
}

struct dif_purger_counts dif_purger_counts(const struct dif_purger *p)
{
	struct dif_purger_counts c = p->counts;
	c.open = p->open;
	return c;
}

const struct dif_error *dif_purger_error(const struct dif_purger *p)
{
	static const struct dif_error none;
	for (uint32_t i = 0; i < p->nlanes; i++) {
		if (p->lanes[i].err.cls != DIF_OK) {
			return &p->lanes[i].err;
		}
	}
	return &none;
}

/* --- open and close --- */

static char *scope_of(const struct dif_destination_config *d, uint32_t cdn)
{
	char *scope = NULL;
	return asprintf(&scope, "owed:%s:%s", d->name, d->cdns[cdn]) < 0 ? NULL : scope;
}

static uint32_t scope_by_name(const char *name, size_t n)
{
	for (uint32_t i = DIF_PURGE_URLS; i <= DIF_PURGE_ALL; i++) {
		const char *is = dif_purge_scope_name(i);
		if (strlen(is) == n && strncmp(is, name, n) == 0) {
			return i;
		}
	}
	return 0;
}

/* "REV PASSES FLAGS CUT"; text is changed. */
static bool read_value(char *text, struct purge_owed *o)
{
	char *part[4];
	uint64_t passes = 0, flags = 0;
	for (size_t i = 0; i < DIF_LEN(part); i++) {
		part[i] = strsep(&text, " ");
		if (part[i] == NULL) {
			return false;
		}
	}
	bool good = dif_parse_int(part[0], 0, INT64_MAX, &o->rev) &&
	            dif_parse_uint(part[1], DIF_PASS_NOW | DIF_PASS_AGAIN, &passes) &&
	            dif_parse_uint(part[2], FLAG_CREATED | FLAG_DETAILS, &flags) && passes != 0;
	o->item.passes = (uint32_t)passes;
	o->item.created = (flags & FLAG_CREATED) != 0;
	o->item.late = !good || (flags & FLAG_DETAILS) == 0;
	(void)snprintf(o->cut, sizeof o->cut, "%s", part[3]);
	return good;
}

/* What cannot be read is purged all the same: whatever it was, something is owed. */
static void on_fact(void *data, const char *name, const char *value)
{
	struct purge_lane *l = data;
	struct dif_purger *p = l->p;
	char text[FACT_MAX];
	size_t n = strcspn(name, " ");
	struct dif_purge_item item = {.scope = scope_by_name(name, n),
	                              .text = name[n] != '\0' ? name + n + 1 : ""};
	struct purge_owed *o = item.scope != 0 ? new_owed(l, &item) : NULL;
	if (o == NULL) {
		p->failed = p->failed || item.scope != 0;
		return;
	}
	(void)snprintf(text, sizeof text, "%s", value);
	if (!read_value(text, o)) {
		o->item.passes = DIF_PASS_NOW;
		o->rev = next_rev(p);
	}
	p->rev = o->rev > p->rev ? o->rev : p->rev;
	p->unreleased = true;
}

static void count_names(struct purge_lane *l)
{
	size_t n = 0;
	l->longest = l->origin;
	for (l->nnames = 1; purge_name(l, l->nnames, &n)[0] != '\0'; l->nnames++) {
		size_t origin = strlen("https://") + n;
		l->longest = origin > l->longest ? origin : l->longest;
	}
}

static bool open_lane(struct dif_purger *p, uint32_t i, struct dif_instance *cdn,
                      const struct dif_cdn_config *config)
{
	struct purge_lane *l = &p->lanes[i];
	*l = (struct purge_lane){.p = p,
	                         .cdn = cdn,
	                         .config = config,
	                         .caps = dif_instance_caps(cdn),
	                         .scope = scope_of(p->d, i)};
	l->rules = (struct dif_purge_rules){.caps = l->caps,
	                                    .public_url = p->d->public_url,
	                                    .paths_max = (uint32_t)config->paths_max,
	                                    .tag = config->tag,
	                                    .deep_links = config->deep};
	(void)dif_purge_base(p->d->public_url, &l->origin);
	count_names(l);
	dif_map_init(&l->set);
	for (uint32_t k = 0; k <= DIF_PURGE_ALL; k++) {
		dif_list_init(&l->ready[k]);
	}
	dif_list_init(&l->later);
	dif_list_init(&l->batches);
	if (l->scope != NULL && p->state != NULL) {
		dif_state_facts(p->state, l->scope, on_fact, l);
	}
	return l->scope != NULL && !p->failed;
}

static void free_purger(struct dif_purger *p)
{
	for (uint32_t i = 0; i < p->nlanes; i++) {
		struct purge_lane *l = &p->lanes[i];
		const char *key = NULL;
		void *value = NULL;
		for (size_t at = 0; dif_map_next(&l->set, &at, &key, &value);) {
			free(value);
		}
		dif_map_fini(&l->set);
		free(l->scope);
	}
	free(p->lanes);
	free(p);
}

struct dif_purger *dif_purger_open(struct dif_engine *e, struct dif_state *state,
                                   const struct dif_destination_config *d,
                                   struct dif_instance *const *cdns,
                                   const struct dif_cdn_config *const *rules)
{
	struct dif_purger *p = calloc(1, sizeof *p);
	struct purge_lane *lanes = calloc(d->ncdns + 1, sizeof *lanes);
	if (p == NULL || lanes == NULL) {
		free(p);
		free(lanes);
		return NULL;
	}
	*p = (struct dif_purger){.engine = e, .state = state, .d = d, .lanes = lanes};
	dif_list_init(&p->waits);
	bool ok = true;
	for (uint32_t i = 0; ok && i < d->ncdns; i++) {
		p->nlanes++;
		ok = open_lane(p, i, cdns[i], rules[i]);
	}
	if (!ok) {
		free_purger(p);
		return NULL;
	}
	uv_timer_init(&e->loop, &p->timer);
	uv_unref((uv_handle_t *)&p->timer);
	p->timer.data = p;
	return p;
}

static void on_closed(uv_handle_t *h)
{
	struct dif_purger *p = h->data;
	void (*closed)(void *data) = p->closed;
	void *data = p->closed_data;
	free_purger(p);
	closed(data);
}

void purge_end(struct dif_purger *p)
{
	if (!p->closing || p->runs > 0) {
		return;
	}
	for (uint32_t i = 0; i < p->nlanes; i++) {
		purge_drop_batches(&p->lanes[i]);
	}
	uv_close((uv_handle_t *)&p->timer, on_closed);
}

void dif_purger_close(struct dif_purger *p, void (*closed)(void *data), void *data)
{
	assert(!p->closing);
	p->closing = true;
	p->closed = closed;
	p->closed_data = data;
	uv_timer_stop(&p->timer);
	cancel_all(p);
	purge_end(p);
}

static void count_fact(void *data, const char *name, const char *value)
{
	(void)name;
	(void)value;
	++*(uint32_t *)data;
}

uint32_t dif_purge_owed(struct dif_state *s, const struct dif_destination_config *d)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < d->ncdns; i++) {
		char *scope = scope_of(d, i);
		if (scope != NULL) {
			dif_state_facts(s, scope, count_fact, &n);
		}
		free(scope);
	}
	return n;
}
