/* delivery_purge - what the CDNs of a destination are to forget.
 *
 *   owe      before the first put, durably: what will change. Whatever ends the delivery, the
 *            purge of what had changed by then is owed
 *   forget   once the details are written, before anything that leads to them is: their addresses
 *            go. So a reader who meets a new page, from an edge or the store, meets no older
 *            detail below it. Edges that are slow to forget, forget only something wider, or
 *            did not answer the last time, are not waited for
 *   release  once the entry pages are written: the rest goes, while what was written is verified
 *   purge    waits until it is settled, on every CDN
 *   clear    the same for what was removed
 *
 * Where the state was lost, or a CDN was not there at the last delivery, nobody knows what edges
 * hold, and all that is not named by its content is taken for changed.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "flow/delivery_private.h"

#define FACT_CDNS "cdns" /* " x y ": those that were told of every change up to now */
#define CDNS_TEXT 2048

#define FORGET_MS 15000 /* more than most CDNs take; readers wait for the cut meanwhile */

static const char *path_of(const struct dif_delivery *d, const char *key)
{
	return key + strlen(d->to->config->prefix);
}

static bool is_same(const struct dif_want *w, const struct dif_held *h)
{
	return !h->unknown && h->form == w->form && h->headers == w->headers &&
	       memcmp(h->sha256, w->member->form[DIF_IDENTITY].sha256, sizeof h->sha256) == 0;
}

static struct dif_change_of change_of(const struct dif_delivery *d, const struct dif_want *w)
{
	const struct dif_held *h = dif_destination_held(d->to, w->key);
	uint32_t change = h == NULL ? DIF_CREATED : is_same(w, h) ? DIF_SAME : DIF_CHANGED;
	if (w->foreign) {
		change = DIF_CHANGED;
	}
	return (struct dif_change_of){path_of(d, w->key), w->phase, change};
}

static void on_durable(void *data, const struct dif_error *err)
{
	struct dif_delivery *d = data;
	if (err != NULL && err->cls != DIF_OK) {
		dif_delivery_stop(d, FAILED, err);
	}
	dif_delivery_idle(d);
}

static void no_memory(struct dif_delivery *d)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT, "could not purge destination '%s': out of memory",
	              d->to->config->name);
	dif_delivery_stop(d, FAILED, &err);
}

/* What changed while a CDN was away it was not told of. */
static bool has_new_cdn(struct dif_delivery *d)
{
	const struct dif_destination_config *c = d->to->config;
	if (d->state == NULL) {
		return false;
	}
	const char *told = dif_state_fact(d->state, d->scope, FACT_CDNS, 0, &d->arena);
	for (uint32_t i = 0; i < c->ncdns; i++) {
		const char *name = dif_arena_fmt(&d->arena, " %s ", c->cdns[i]);
		if (told == NULL || name == NULL || strstr(told, name) == NULL) {
			return true;
		}
	}
	return false;
}

/* Behind what is owed, so that it is not durable before that. */
static void note_cdns(struct dif_delivery *d)
{
	const struct dif_destination_config *c = d->to->config;
	struct dif_buf text;
	if (d->state == NULL) {
		return;
	}
	dif_buf_init(&text, CDNS_TEXT);
	dif_buf_fmt(&text, " ");
	for (uint32_t i = 0; i < c->ncdns; i++) {
		dif_buf_fmt(&text, "%s ", c->cdns[i]);
	}
	bool any = d->to->purger != NULL && !text.failed;
	dif_state_put_fact(d->state, d->scope, FACT_CDNS, any ? dif_buf_str(&text) : NULL);
	dif_buf_fini(&text);
}

/* durable: the next step waits for that. */
static void owe(struct dif_delivery *d, const struct dif_change_of *keys, uint32_t n, bool durable)
{
	struct dif_purge_count counts[DIF_CDNS_MAX];
	const char *cut = d->job.manifest->order.sha256;
	bool ok = d->state != NULL ? dif_purger_owe(d->to->purger, cut, keys, n, counts)
	                           : dif_purger_count(d->to->purger, keys, n, counts);
	for (uint32_t i = 0; ok && i < d->to->config->ncdns; i++) {
		dif_purge_count_add(&d->purge.counts[i], &counts[i]);
	}
	if (!ok) {
		no_memory(d);
	} else if (d->state != NULL && n > 0) {
		d->purge.is_owing = true;
		if (durable) {
			dif_delivery_busy(d);
			dif_state_flush(d->state, on_durable, d);
		}
	}
}

void dif_delivery_owe_puts(struct dif_delivery *d)
{
	if (d->to->purger == NULL) {
		note_cdns(d);
		return;
	}
	bool all = d->list.begun || has_new_cdn(d);
	uint32_t room = all ? d->wants.n : d->plan.n, n = 0;
	struct dif_change_of *keys = calloc((size_t)room + 1, sizeof *keys);
	if (keys == NULL) {
		no_memory(d);
		return;
	}
	for (uint32_t i = 0; !all && i < d->plan.n; i++) {
		keys[n++] = change_of(d, d->plan.puts[i]);
	}
	for (uint32_t i = 0; all && i < d->wants.n; i++) {
		keys[n++] = change_of(d, &d->wants.all[i]);
	}
	owe(d, keys, n, true);
	if (!d->stopping) {
		note_cdns(d);
	}
	free(keys);
}

void dif_delivery_owe_removals(struct dif_delivery *d, const char *const *all, uint32_t n)
{
	struct dif_change_of *keys = NULL;
	if (d->to->purger == NULL || n == 0) {
		return;
	}
	keys = calloc(n, sizeof *keys);
	if (keys == NULL) {
		no_memory(d);
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		keys[i] = (struct dif_change_of){path_of(d, all[i]), DIF_DATA, DIF_REMOVED};
	}
	owe(d, keys, n, true);
	free(keys);
}

void dif_delivery_owe_again(struct dif_delivery *d, const struct dif_want *w)
{
	const struct dif_change_of key = {path_of(d, w->key), w->phase, DIF_CHANGED};
	if (d->to->purger != NULL) {
		owe(d, &key, 1, false);
	}
}

/* --- waiting for it --- */

static void on_shown(void *data)
{
	struct dif_delivery *d = data;
	if (d->shown == 0) {
		d->shown = dif_wall_ms();
	}
}

static void on_done(void *data, const struct dif_error *err)
{
	struct dif_delivery *d = data;
	d->purge.is_waiting = false;
	d->purge.err = *err;
	dif_delivery_kick(d);
}

static void stop_forgetting(struct dif_delivery *d)
{
	if (d->purge.is_forgetting) {
		d->purge.is_forgetting = false;
		dif_purger_leave(d->to->purger, &d->purge.details);
	}
}

static void on_forgotten(void *data)
{
	struct dif_delivery *d = data;
	stop_forgetting(d);
	dif_delivery_kick(d);
}

/* Either nothing is left, or no repeat helps now: who waits at the end is told that. */
static void on_details_done(void *data, const struct dif_error *err)
{
	struct dif_delivery *d = data;
	(void)err;
	d->purge.is_forgetting = false;
	dif_delivery_kick(d);
}

/* It did not get through before this cut either; all destinations would wait for it, every time. */
static bool is_dead(const struct dif_purger *p)
{
	return dif_purger_error(p)->cls == DIF_TRANSIENT;
}

bool dif_delivery_is_forgetting(struct dif_delivery *d)
{
	int64_t now = dif_steady_ms();
	if (d->to->purger == NULL || d->state == NULL) {
		return false;
	}
	if (d->purge.details_until == 0) {
		int64_t most = dif_delivery_left(d) / 4; /* what follows needs time, too */
		d->purge.details_until = now + (most < FORGET_MS ? most : FORGET_MS);
		d->purge.is_forgetting =
			dif_purger_release_details(d->to->purger) && !is_dead(d->to->purger);
		if (d->purge.is_forgetting) {
			d->purge.details = (struct dif_purger_wait){
				.shown = on_forgotten, .done = on_details_done, .data = d};
			dif_purger_wait(d->to->purger, &d->purge.details);
		}
	}
	return d->purge.is_forgetting && now < d->purge.details_until;
}

void dif_delivery_release_purge(struct dif_delivery *d)
{
	if (d->to->purger == NULL) {
		on_shown(d); /* nobody keeps an older one */
		return;
	}
	d->purge.is_owing = false;
	dif_purger_release(d->to->purger);
	if (!d->purge.is_waiting) {
		d->purge.is_waiting = true;
		d->purge.wait =
			(struct dif_purger_wait){.shown = on_shown, .done = on_done, .data = d};
		dif_purger_wait(d->to->purger, &d->purge.wait);
	}
	stop_forgetting(d); /* behind the other wait, so that what is under way goes on */
}

void dif_delivery_leave_purge(struct dif_delivery *d)
{
	stop_forgetting(d);
	if (d->purge.is_waiting) {
		d->purge.is_waiting = false;
		dif_purger_leave(d->to->purger, &d->purge.wait);
	}
}

void dif_delivery_purge(struct dif_delivery *d)
{
	bool last = d->sm.state == CLEARING;
	if (d->purge.is_owing) {
		dif_delivery_release_purge(d);
	}
	if (d->purge.is_waiting && d->outrun) {
		struct dif_error err = {0};
		dif_error_set(&err, DIF_CANCELED, "a newer cut has come, and purges what is owed");
		dif_delivery_stop(d, SUPERSEDED, &err);
	}
	if (d->purge.is_waiting) {
		return;
	}
	if (d->purge.err.cls != DIF_OK) {
		dif_delivery_stop(d, FAILED, &d->purge.err);
	} else {
		dif_delivery_go(d, last ? DONE : CHECKING);
	}
}
