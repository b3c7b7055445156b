/* purge_send - batches, and the requests that carry them.
 *
 *   ready rows of one scope and pass ─▶ batch ─▶ one call per node
 *   call: purge ─▶ settled | ticket ─▶ asked after ─▶ settled | lost: purged anew
 *
 * host/op repeats what fails soon; here it is repeated for as long as it takes. A batch whose rows
 * were all superseded is not repeated. One that the CDN refuses for good is halved, so that one
 * bad item does not keep the others; what is refused alone stays owed, and is tried now and then.
 *
 * Limits in flight count from the request to the settlement, as the vendors do.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "flow/purge_private.h"
#include "host/crypto.h"

#define BATCHES_MAX 32u /* of one CDN at work; its window bounds the requests */
#define BATCH_MAX 5000u /* items, where the CDN names no bound */
#define BATCH_BYTES (64u << 20)
#define PURGE_MS 60000 /* of one request with its repeats by host/op */
#define ASK_MS 10000   /* of one question after a ticket */
#define AGAIN_MS 1000  /* after a failure, doubling to */
#define AGAIN_MAX_MS 60000
#define STUCK_MS 15000 /* after a refusal, doubling to */
#define STUCK_MAX_MS 300000
#define POLL_MS 250 /* where the CDN does not say when to ask: doubling to */
#define POLL_MAX_MS 15000

static int64_t doubled(int64_t first, int64_t most, uint32_t times)
{
	int64_t ms = first;
	for (uint32_t i = 1; i < times && ms < most; i++) {
		ms *= 2;
	}
	return ms < most ? ms : most;
}

/* --- the end of a batch --- */

static void free_batch(struct purge_batch *b)
{
	struct purge_lane *l = b->lane;
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->rows[i]->batch == b) {
			b->rows[i]->batch = NULL;
		}
		purge_unref(b->rows[i]);
	}
	for (uint32_t i = 0; i < b->ncalls; i++) {
		free(b->calls[i].id);
	}
	if (b->scope == DIF_PURGE_URLS) {
		l->urls -= b->n * purge_names(l, b->scope);
	} else {
		l->wides -= b->n * purge_names(l, b->scope);
	}
	l->nbatches--;
	dif_list_remove(&b->link);
	dif_arena_fini(&b->arena);
	free(b);
}

static bool is_current(const struct purge_batch *b, uint32_t i)
{
	return b->rows[i]->batch == b && b->rows[i]->rev == b->revs[i];
}

/* Its rows wait for their turn again. */
static void dissolve(struct purge_batch *b, uint32_t most)
{
	for (uint32_t i = b->n; i > 0; i--) {
		struct purge_owed *o = b->rows[i - 1];
		if (is_current(b, i - 1)) {
			o->most = most;
			o->batch = NULL;
			dif_list_remove(&o->link);
			if (b->pass == DIF_PASS_NOW) {
				dif_list_push(&b->lane->ready[b->scope], &o->link);
			} else {
				dif_list_push(&b->lane->later, &o->link);
			}
		}
	}
	free_batch(b);
}

static void settle_call(struct purge_call *c)
{
	struct purge_batch *b = c->batch;
	c->settled = true;
	if (--b->left > 0) {
		return;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		if (is_current(b, i)) {
			purge_settled(b->rows[i], b->pass);
		}
	}
	free_batch(b);
}

/* True where none of its rows is still asked for by this purge; it is gone then. */
static bool is_superseded(struct purge_batch *b)
{
	uint32_t left = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		left += is_current(b, i);
	}
	for (uint32_t i = 0; i < b->ncalls; i++) {
		left += b->calls[i].run != NULL;
	}
	if (left == 0) {
		free_batch(b);
	}
	return left == 0;
}

/* --- answers --- */

static void back_off(struct purge_call *c, const struct dif_error *err)
{
	struct purge_lane *l = c->batch->lane;
	bool helps = err->cls == DIF_TRANSIENT || err->cls == DIF_THROTTLED;
	int64_t ms = helps ? doubled(AGAIN_MS, AGAIN_MAX_MS, ++c->failures)
	                   : doubled(STUCK_MS, STUCK_MAX_MS, ++c->failures);
	ms = err->retry_after > ms ? err->retry_after : ms;
	c->is_stuck = !helps;
	c->not_before = dif_steady_ms() + ms;
	bool first = l->err.cls == DIF_OK; /* hundreds may follow for the same reason */
	l->p->counts.failures++;
	l->err = *err;
	dif_error_wrap(&l->err, "could not purge CDN '%s' of destination '%s'", l->config->name,
	               l->p->d->name);
	dif_log(first ? DIF_LOG_WARNING : DIF_LOG_DEBUG, "purge_failed",
	        "destination=%s cdn=%s scope=%s items=%u node=%u time=%u reason=%s",
	        dif_q(l->p->d->name), dif_q(l->config->name), dif_purge_scope_name(c->batch->scope),
	        c->batch->n, c->in.node, c->failures, dif_q(err->text));
}

/* The mark is made of what nobody else owes: items with their revs, which a restart finds again. */
static void mark(struct purge_call *c)
{
	const struct purge_batch *b = c->batch;
	uint8_t digest[DIF_DIGEST_MAX] = {0};
	struct dif_buf text;
	dif_buf_init(&text, BATCH_BYTES);
	dif_buf_fmt(&text, "%s\n%s\n%u %u %u\n", b->lane->p->d->name, b->lane->config->name,
	            b->scope, b->pass, (uint32_t)(c - b->calls));
	for (uint32_t i = 0; i < b->n; i++) {
		dif_buf_fmt(&text, "%s %lld %s\n", b->rows[i]->cut, (long long)b->revs[i],
		            b->rows[i]->item.text);
	}
	if (text.failed || !dif_hash(DIF_SHA256, text.p, text.n, digest)) {
		(void)dif_random(digest, sizeof digest); /* a repeat costs one more, no harm */
	}
	dif_hex(c->idem, digest, sizeof c->idem / 2);
	dif_buf_fini(&text);
}

/* What the CDN took and did not do must not be taken for done by its mark. */
static void purge_anew(struct purge_call *c)
{
	struct purge_batch *b = c->batch;
	free(c->id);
	c->id = NULL;
	for (uint32_t i = 0; i < b->n; i++) {
		if (is_current(b, i)) {
			purge_renew(b->rows[i]);
			b->revs[i] = b->rows[i]->rev;
		}
	}
	mark(c);
}

static void settled(struct purge_call *c)
{
	struct purge_lane *l = c->batch->lane;
	l->err.cls = DIF_OK;
	dif_log(DIF_LOG_DEBUG, "purged", "destination=%s cdn=%s scope=%s items=%u node=%u",
	        dif_q(l->p->d->name), dif_q(l->config->name), dif_purge_scope_name(c->batch->scope),
	        c->batch->n, c->in.node);
	settle_call(c);
}

static void wait_for_ticket(struct purge_call *c, uint32_t wait_ms)
{
	int64_t ms = wait_ms > 0 ? wait_ms : doubled(POLL_MS, POLL_MAX_MS, ++c->polls);
	c->not_before = dif_steady_ms() + ms;
}

static void finish(struct dif_purger *p)
{
	p->runs--;
	purge_kick(p, 0);
	purge_end(p);
}

static void on_state(void *data, const struct dif_outcome *out)
{
	struct purge_call *c = data;
	struct dif_purger *p = c->batch->lane->p;
	int64_t patience = c->batch->lane->config->settle;
	struct dif_error late = {0};
	c->run = NULL;
	if (out->err.cls == DIF_OK && out->result.settled) {
		settled(c);
	} else if (out->err.cls == DIF_OK && dif_steady_ms() - c->began < patience) {
		wait_for_ticket(c, out->result.wait_ms);
	} else if (out->err.cls == DIF_OK) {
		dif_error_set(&late, DIF_TRANSIENT,
		              "it was accepted and has not been done in time; it is purged anew");
		purge_anew(c);
		back_off(c, &late);
	} else if (out->err.cls == DIF_THROTTLED) {
		back_off(c, &out->err);
	} else if (out->err.cls != DIF_CANCELED) {
		purge_anew(c);
		back_off(c, &out->err);
	}
	finish(p);
}

static bool is_untouched(const struct purge_batch *b)
{
	return b->left == b->ncalls && b->ncalls == 1;
}

static void on_purge(void *data, const struct dif_outcome *out)
{
	struct purge_call *c = data;
	struct purge_batch *b = c->batch;
	struct dif_purger *p = b->lane->p;
	c->run = NULL;
	p->counts.calls += out->err.cls != DIF_CANCELED;
	if (out->err.cls == DIF_OK && (out->result.settled || out->result.ticket == NULL)) {
		settled(c);
	} else if (out->err.cls == DIF_OK) {
		c->id = strdup(out->result.ticket);
		c->began = dif_steady_ms();
		c->polls = 0;
		wait_for_ticket(c, c->id != NULL ? out->result.wait_ms : 1);
	} else if (out->err.cls != DIF_CANCELED) {
		back_off(c, &out->err);
		if (c->is_stuck && out->err.cls != DIF_AUTH && b->n > 1 && is_untouched(b)) {
			dissolve(b, (b->n + 1) / 2);
		}
	}
	finish(p);
}

/* --- requests --- */

static void start_call(struct purge_call *c)
{
	struct purge_lane *l = c->batch->lane;
	l->p->runs++;
	if (c->id != NULL) {
		c->ticket = (struct dif_ticket){.id = c->id};
		c->run = dif_op_start(l->cdn, DIF_PURGE_STATE, &c->ticket, ASK_MS, on_state, c);
	} else {
		c->run = dif_op_start(l->cdn, DIF_PURGE, &c->in, PURGE_MS, on_purge, c);
	}
}

static void soonest(int64_t *ms, int64_t at, int64_t now)
{
	int64_t left = at > now ? at - now : 0;
	*ms = *ms < 0 || left < *ms ? left : *ms;
}

/* Returns whether something of it may still come about by itself. */
static bool go_on(struct purge_batch *b, int64_t now, int64_t *ms)
{
	bool moves = false;
	for (uint32_t i = 0; i < b->ncalls; i++) {
		struct purge_call *c = &b->calls[i];
		if (c->settled || c->run != NULL) {
			moves = moves || c->run != NULL;
			continue;
		}
		moves = moves || !c->is_stuck;
		if (c->not_before <= now) {
			start_call(c);
		} else {
			soonest(ms, c->not_before, now);
		}
	}
	return moves;
}

/* --- batches --- */

static uint32_t room_for(const struct purge_lane *l, uint32_t scope)
{
	uint32_t most =
		scope == DIF_PURGE_URLS ? l->caps->purge_in_flight : l->caps->purge_wide_in_flight;
	uint32_t used = scope == DIF_PURGE_URLS ? l->urls : l->wides;
	uint32_t room = most == 0 ? BATCH_MAX : most > used ? most - used : 0;
	uint32_t names = purge_names(l, scope);
	return room >= names ? room / names : used == 0 ? 1 : 0;
}

/* The first rows of a list that go together into one purge. */
static uint32_t gather(struct purge_lane *l, struct dif_link *list, uint32_t scope, int64_t now,
                       struct purge_owed **to)
{
	uint32_t n = 0, most = room_for(l, scope);
	const struct dif_purge_item **items = calloc(BATCH_MAX, sizeof(void *));
	most = most < BATCH_MAX ? most : BATCH_MAX;
	for (struct dif_link *at = list->next; items != NULL && at != list && n < most;
	     at = at->next) {
		struct purge_owed *o = DIF_ENTRY(at, struct purge_owed, link);
		if (o->item.scope != scope || (list == &l->later && o->again_at > now)) {
			continue;
		}
		most = o->most > 0 && o->most < most ? o->most : most;
		if (n < most) {
			items[n] = &o->item;
			to[n++] = o;
		}
	}
	n = n > 0 ? dif_purge_fits(l->caps, l->longest, items, n) : 0;
	free(items);
	return n;
}

const char *purge_name(const struct purge_lane *l, uint32_t k, size_t *n)
{
	const char *at = l->config->names != NULL ? l->config->names : "";
	for (at += strspn(at, " \t"); k > 1 && *at != '\0'; k--) {
		at += strcspn(at, " \t");
		at += strspn(at, " \t");
	}
	*n = strcspn(at, " \t");
	return at;
}

uint32_t purge_names(const struct purge_lane *l, uint32_t scope)
{
	return scope == DIF_PURGE_URLS || scope == DIF_PURGE_PREFIXES ? l->nnames : 1;
}

static bool fill(struct purge_batch *b)
{
	struct purge_lane *l = b->lane;
	const char *origin = l->p->d->public_url;
	size_t scheme = strcspn(origin, ":") + strlen("://");
	uint32_t names = purge_names(l, b->scope), nodes = b->ncalls / names;
	b->urls = dif_arena_alloc(&b->arena, ((size_t)b->n * names + 1) * sizeof(char *));
	b->paths = dif_arena_alloc(&b->arena, (b->n + 1) * sizeof(char *));
	b->calls = dif_arena_alloc(&b->arena, b->ncalls * sizeof *b->calls);
	for (uint32_t i = 0; b->urls != NULL && b->paths != NULL && i < b->n; i++) {
		const char *text = b->rows[i]->text; /* it stays as long as the batch */
		b->paths[i] = text;
		b->urls[i] =
			b->scope == DIF_PURGE_TAGS
				? text
				: dif_arena_fmt(&b->arena, "%.*s%s", (int)l->origin, origin, text);
		for (uint32_t k = 1; k < names; k++) {
			size_t n = 0;
			const char *name = purge_name(l, k, &n);
			b->urls[k * b->n + i] = dif_arena_fmt(&b->arena, "%.*s%.*s%s", (int)scheme,
			                                      origin, (int)n, name, text);
		}
	}
	for (uint32_t i = 0; !b->arena.failed && i < b->ncalls; i++) {
		struct purge_call *c = &b->calls[i];
		*c = (struct purge_call){.batch = b};
		c->in = (struct dif_purge){.scope = b->scope,
		                           .n = b->scope == DIF_PURGE_ALL ? 0 : b->n,
		                           .urls = b->urls + (size_t)(i / nodes) * b->n,
		                           .paths = b->paths,
		                           .idem = c->idem,
		                           .node = i % nodes};
		mark(c);
	}
	return !b->arena.failed;
}

static int by_path(const void *a, const void *b)
{
	const struct purge_owed *x = *(struct purge_owed *const *)a;
	const struct purge_owed *y = *(struct purge_owed *const *)b;
	return strcmp(x->text, y->text);
}

/* False: out of memory; the rows stay where they are, and later there may be some. */
static bool new_batch(struct purge_lane *l, uint32_t scope, uint32_t pass, struct purge_owed **rows,
                      uint32_t n)
{
	struct purge_batch *b = calloc(1, sizeof *b);
	if (b == NULL) {
		return false;
	}
	*b = (struct purge_batch){.lane = l,
	                          .scope = scope,
	                          .pass = pass,
	                          .n = n,
	                          .ncalls = l->caps->nodes > 0 ? l->caps->nodes : 1};
	b->ncalls *= purge_names(l, scope);
	b->left = b->ncalls;
	dif_arena_init(&b->arena, BATCH_BYTES, false);
	qsort(rows, n, sizeof(void *), by_path);
	b->rows = dif_arena_copy(&b->arena, rows, n * sizeof(void *));
	b->revs = dif_arena_alloc(&b->arena, n * sizeof *b->revs);
	for (uint32_t i = 0; b->revs != NULL && i < n; i++) {
		b->revs[i] = rows[i]->rev;
	}
	if (b->rows == NULL || b->revs == NULL || !fill(b)) {
		dif_arena_fini(&b->arena);
		free(b);
		return false;
	}
	for (uint32_t i = 0; i < n; i++) {
		dif_list_remove(&rows[i]->link);
		rows[i]->batch = b;
		rows[i]->refs++;
	}
	dif_list_add(&l->batches, &b->link);
	l->nbatches++;
	if (scope == DIF_PURGE_URLS) {
		l->urls += n * purge_names(l, scope);
	} else {
		l->wides += n * purge_names(l, scope);
	}
	return true;
}

/* False: no batch of that list may start now. */
static bool start_batch(struct purge_lane *l, struct dif_link *list, uint32_t scope, uint32_t pass,
                        int64_t now, int64_t *ms)
{
	bool urls = scope == DIF_PURGE_URLS;
	struct purge_owed **rows = NULL;
	if (dif_list_empty(list) || l->nbatches >= BATCHES_MAX || room_for(l, scope) == 0) {
		return false;
	}
	if (urls && l->urls_at > now) {
		soonest(ms, l->urls_at, now);
		return false;
	}
	rows = calloc(BATCH_MAX, sizeof(void *));
	uint32_t n = rows != NULL ? gather(l, list, scope, now, rows) : 0;
	bool ok = n > 0 && new_batch(l, scope, pass, rows, n);
	free(rows);
	if (!ok && n > 0) {
		soonest(ms, now + AGAIN_MS, now);
	}
	if (ok && urls && l->caps->purge_urls_per_s > 0) {
		l->urls_at =
			now +
			(int64_t)(n * purge_names(l, scope) * 1000.0 / l->caps->purge_urls_per_s) +
			1;
	}
	return ok;
}

static void start_batches(struct purge_lane *l, int64_t now, int64_t *ms)
{
	/* What is wide first: it may be all that readers wait for. */
	for (uint32_t scope = DIF_PURGE_ALL; scope >= DIF_PURGE_URLS; scope--) {
		while (start_batch(l, &l->ready[scope], scope, DIF_PASS_NOW, now, ms)) {
		}
		while (start_batch(l, &l->later, scope, DIF_PASS_AGAIN, now, ms)) {
		}
	}
	for (struct dif_link *at = l->later.next; at != &l->later; at = at->next) {
		const struct purge_owed *o = DIF_ENTRY(at, struct purge_owed, link);
		if (o->again_at > now) {
			soonest(ms, o->again_at, now);
		}
	}
}

int64_t purge_send(struct purge_lane *l, bool *stuck)
{
	int64_t now = dif_steady_ms(), ms = -1;
	uint32_t moving = 0;
	struct dif_link *next = NULL;
	for (struct dif_link *at = l->batches.next; at != &l->batches; at = next) {
		next = at->next;
		(void)is_superseded(DIF_ENTRY(at, struct purge_batch, link));
	}
	start_batches(l, now, &ms);
	bool waits = ms >= 0; /* for its time: not for a batch */
	for (struct dif_link *at = l->batches.next; at != &l->batches; at = at->next) {
		moving += go_on(DIF_ENTRY(at, struct purge_batch, link), now, &ms);
	}
	*stuck = l->nbatches > 0 && moving == 0 && !waits;
	return ms;
}

void purge_cancel(struct purge_lane *l)
{
	for (struct dif_link *at = l->batches.next; at != &l->batches; at = at->next) {
		struct purge_batch *b = DIF_ENTRY(at, struct purge_batch, link);
		for (uint32_t i = 0; i < b->ncalls; i++) {
			if (b->calls[i].run != NULL) {
				dif_op_cancel(b->calls[i].run);
			}
		}
	}
}

void purge_drop_batches(struct purge_lane *l)
{
	while (!dif_list_empty(&l->batches)) {
		free_batch(DIF_ENTRY(l->batches.next, struct purge_batch, link));
	}
}
