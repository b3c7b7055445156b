/* delivery_close - what comes after the last put.
 *
 *   verify   the root's page, what was written in parts and a sample of the rest is read back and
 *            digested; a difference is written again, and then all that was written is read. Where
 *            it cannot be mended nothing that was written counts: the next delivery writes it again
 *   (purge)  delivery_purge.c
 *   remove   keys of ours that the cut does not name, once `grace` has passed
 *
 * A deletion that fails costs nobody anything: the key stays an orphan and its turn comes again.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/delivery_private.h"
#include "host/crypto.h"

#define SAMPLE_LEAST 5
#define SAMPLE_PART 100 /* one in so many */

/* --- verify --- */

struct reading {
	struct errand errand;
	struct dif_sink sink;
	struct dif_get get;
	struct dif_want *want;
	struct dif_hasher *hasher;
	uint64_t got;
};

static struct reading *reading_of(struct dif_sink *s)
{
	return (struct reading *)(void *)((char *)s - offsetof(struct reading, sink));
}

static bool begin_sink(struct dif_sink *s, uint64_t offset, struct dif_error *err)
{
	struct reading *r = reading_of(s);
	if (offset != 0) {
		dif_error_set(err, DIF_PERMANENT, "the store gave another range");
		return false;
	}
	dif_hasher_begin(r->hasher);
	r->got = 0;
	return true;
}

static bool write_sink(struct dif_sink *s, const void *p, size_t n, struct dif_error *err)
{
	struct reading *r = reading_of(s);
	(void)err;
	dif_hasher_add(r->hasher, p, n);
	r->got += n;
	return true;
}

static void free_reading(struct reading *r)
{
	dif_hasher_free(r->hasher);
	free(r);
}

static void fail_memory(struct dif_delivery *d, const char *verb, const char *key)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT, "out of memory");
	dif_delivery_fail(d, &err, verb, key);
}

static bool is_right(struct reading *r, const struct dif_object *o)
{
	uint8_t digest[DIF_DIGEST_MAX];
	const struct dif_form *f = &r->want->member->form[r->want->form];
	struct dif_held h;
	if (dif_destination_read(o, &h) && dif_delivery_compare(r->errand.d, &h) > 0) {
		return true; /* somebody newer wrote it meanwhile: not ours to judge */
	}
	dif_hasher_end(r->hasher, digest);
	return r->got == f->size && memcmp(digest, f->sha256, sizeof f->sha256) == 0;
}

static void write_again(struct dif_delivery *d, struct dif_want *w)
{
	struct dif_error err = {0};
	w->broken++;
	d->verify.must_widen = !d->verify.all;
	dif_log(DIF_LOG_WARNING, "broken", "destination=%s object=%s time=%u what=%s",
	        dif_q(d->to->config->name), dif_q(w->key), w->broken,
	        dif_q("read back otherwise than written"));
	if (w->broken >= BROKEN_MAX) {
		dif_error_set(&err, DIF_INTEGRITY, "the store gives other bytes back");
		dif_delivery_fail(d, &err, "verify", w->key);
	} else if (!dif_delivery_put_again(d, w, w->broken)) {
		fail_memory(d, "put", w->key);
	} else {
		d->verify.again[d->verify.nagain++] = w;
		dif_delivery_owe_again(d, w);
	}
}

static void on_read(struct errand *e, const struct dif_outcome *out)
{
	struct reading *r = (struct reading *)(void *)e;
	struct dif_delivery *d = e->d;
	if (!d->stopping) {
		bool gone = out->err.cls == DIF_NOT_FOUND || out->err.cls == DIF_INTEGRITY;
		if (gone || (out->err.cls == DIF_OK && !is_right(r, &out->result.object))) {
			write_again(d, r->want);
		} else if (out->err.cls != DIF_OK) {
			dif_delivery_fail(d, &out->err, "read back", r->want->key);
		}
	}
	free_reading(r);
}

static void read_back(struct dif_delivery *d, struct dif_want *w)
{
	struct reading *r = calloc(1, sizeof *r);
	if (r == NULL || (r->hasher = dif_hasher_new(DIF_SHA256)) == NULL) {
		free(r);
		fail_memory(d, "read back", w->key);
		return;
	}
	r->want = w;
	r->sink = (struct dif_sink){.begin = begin_sink, .write = write_sink};
	r->get = (struct dif_get){.key = w->key, .sink = &r->sink};
	/* A body of nothing need not begin. */
	dif_hasher_begin(r->hasher);
	dif_delivery_errand(d, &r->errand, DIF_GET, &r->get, on_read);
}

static uint32_t count_parted(const struct dif_delivery *d)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < d->put.nwritten; i++) {
		n += d->put.written[i]->parted;
	}
	return n;
}

void dif_delivery_doubt_written(struct dif_delivery *d)
{
	if (!d->verify.all && !d->verify.must_widen) {
		return;
	}
	for (uint32_t i = 0; i < d->put.nwritten; i++) {
		const struct dif_held *h = dif_destination_held(d->to, d->put.written[i]->key);
		if (h != NULL && !h->unknown) {
			struct dif_held now = *h;
			now.unknown = true;
			dif_delivery_keep(d, &now);
		}
	}
}

/* Nothing at the store guarded what was written: it enforces no digest, or one that this cut was
 * not ingested for (the next one is). */
static bool is_unguarded(const struct dif_delivery *d)
{
	const struct dif_want *first = d->put.nwritten > 0 ? d->put.written[0] : NULL;
	uint32_t guard = d->to->guard;
	return d->to->unguarded || (guard != DIF_NO_DIGEST && first != NULL &&
	                            (first->member->form[first->form].has & DIF_HAS(guard)) == 0);
}

/* Spread evenly, so that the same cut has the same sample; the root's page always, and what the
 * store has joined itself. */
static bool choose(struct dif_delivery *d)
{
	uint32_t n = d->put.nwritten, part = n / SAMPLE_PART;
	uint32_t want = part > SAMPLE_LEAST ? part : SAMPLE_LEAST;
	want = want < n && !is_unguarded(d) ? want : n;
	size_t room = (size_t)want + count_parted(d) + 1;
	d->verify.list = dif_arena_alloc(&d->arena, room * sizeof(void *));
	d->verify.again = dif_arena_alloc(&d->arena, room * sizeof(void *));
	if (d->verify.list == NULL || d->verify.again == NULL) {
		return false;
	}
	uint32_t next = 0; /* of the sample */
	for (uint32_t i = 0; i < n; i++) {
		struct dif_want *w = d->put.written[i];
		bool is_sample = next < want && i == (uint64_t)next * n / want;
		next += is_sample;
		if (is_sample || w->parted || w->root) {
			d->verify.list[d->verify.n++] = w;
		}
	}
	return true;
}

static bool widen(struct dif_delivery *d)
{
	size_t room = ((size_t)d->put.nwritten + 1) * sizeof(void *);
	d->verify.must_widen = false;
	d->verify.all = true;
	d->verify.list = dif_arena_alloc(&d->arena, room);
	d->verify.again = dif_arena_alloc(&d->arena, room);
	d->verify.n = d->verify.next = d->verify.nagain = 0;
	if (d->verify.list == NULL || d->verify.again == NULL) {
		return false;
	}
	/* A copy: the two lists change places, and are written to. */
	for (uint32_t i = 0; i < d->put.nwritten; i++) {
		d->verify.list[d->verify.n++] = d->put.written[i];
	}
	return true;
}

void dif_delivery_verify(struct dif_delivery *d)
{
	if (!d->verify.chosen) {
		d->verify.chosen = true;
		if (!choose(d)) {
			fail_memory(d, "verify", "");
			return;
		}
	}
	while (!d->stopping && d->verify.next < d->verify.n && d->busy < HEADS_MAX) {
		read_back(d, d->verify.list[d->verify.next++]);
	}
	if (d->stopping || d->busy > 0 || d->put.nslots > 0 || d->verify.next < d->verify.n) {
		return;
	}
	if (d->verify.must_widen) {
		if (widen(d)) {
			dif_delivery_verify(d);
		} else {
			fail_memory(d, "verify", "");
		}
		return;
	}
	if (d->verify.nagain > 0) { /* what was written again is read again */
		struct dif_want **list = d->verify.list;
		d->verify.list = d->verify.again;
		d->verify.again = list;
		d->verify.n = d->verify.nagain;
		d->verify.next = d->verify.nagain = 0;
		dif_delivery_verify(d);
		return;
	}
	d->there = true;
	dif_delivery_go(d, PURGING);
}

/* --- orphans --- */

struct removing {
	struct errand errand;
	struct dif_remove in;
	struct dif_get head;
	uint32_t first;
};

/* Named again: no orphan any more. */
static void adopt_named(struct dif_delivery *d)
{
	for (uint32_t i = 0; i < d->wants.n && d->state != NULL; i++) {
		const struct dif_held *h = dif_destination_held(d->to, d->wants.all[i].key);
		if (h != NULL && h->orphan_since != 0) {
			struct dif_held now = *h;
			now.orphan_since = 0;
			dif_delivery_keep(d, &now);
		}
	}
}

static void wait_until(struct dif_delivery *d, int64_t due)
{
	d->counts.remove_later++;
	if (d->remove.next_due == 0 || due < d->remove.next_due) {
		d->remove.next_due = due;
	}
}

static void sort_orphans(struct dif_delivery *d)
{
	int64_t now = dif_wall_ms();
	for (uint32_t i = 0; i < d->plan.norphans; i++) {
		/* The map's key dies with its row: this one must not. */
		const char *key = dif_arena_str(&d->arena, d->plan.orphans[i]);
		const struct dif_held *h = dif_destination_held(d->to, d->plan.orphans[i]);
		struct dif_held orphan = *h;
		int64_t since = h->orphan_since != 0 ? h->orphan_since : now;
		int64_t due = since + d->to->config->grace;
		if (h->orphan_since == 0 && d->state != NULL) {
			orphan.orphan_since = since;
			dif_delivery_keep(d, &orphan);
		}
		if (due > now) {
			wait_until(d, due);
		} else {
			d->remove.due[d->remove.n++] = key;
		}
	}
}

static bool choose_orphans(struct dif_delivery *d)
{
	size_t room = d->plan.norphans + 1;
	d->remove.due = dif_arena_alloc(&d->arena, room * sizeof(char *));
	d->remove.tags = dif_arena_alloc(&d->arena, room * sizeof(char *));
	if (d->remove.due == NULL || d->remove.tags == NULL) {
		return false;
	}
	adopt_named(d);
	sort_orphans(d);
	if (d->state == NULL) { /* a dry run only counts */
		d->counts.removed = d->remove.n;
		d->remove.n = 0;
	}
	return !d->arena.failed;
}

static void stays(struct dif_delivery *d, uint32_t i)
{
	d->remove.due[i] = NULL;
	wait_until(d, dif_wall_ms());
}

static void on_asked(struct errand *e, const struct dif_outcome *out)
{
	struct removing *r = (struct removing *)(void *)e;
	struct dif_delivery *d = e->d;
	const char *key = d->remove.due[r->first];
	const struct dif_object *o = &out->result.object;
	struct dif_held h;
	if (out->err.cls == DIF_NOT_FOUND) {
		dif_delivery_forget(d, key);
		d->remove.due[r->first] = NULL;
	} else if (out->err.cls != DIF_OK) {
		stays(d, r->first);
	} else if (!dif_destination_read(o, &h)) {
		dif_delivery_forget(d, key);
		d->remove.due[r->first] = NULL;
		d->counts.foreign++;
	} else if (dif_delivery_compare(d, &h) > 0) {
		stays(d, r->first);
	} else {
		d->remove.tags[r->first] = dif_arena_str(&d->arena, o->tag);
	}
	free(r);
}

static bool may_condition(const struct dif_delivery *d)
{
	return (dif_instance_caps(d->to->store)->flags & DIF_CAP_COND_REMOVE) != 0;
}

/* Asks whose a key is, where the tag cannot guard its removal. */
static void ask(struct dif_delivery *d, uint32_t i)
{
	const struct dif_held *h = dif_destination_held(d->to, d->remove.due[i]);
	if (h != NULL && may_condition(d) && !h->unknown && h->tag[0] != '\0') {
		d->remove.tags[i] = dif_arena_str(&d->arena, h->tag);
		return;
	}
	struct removing *r = calloc(1, sizeof *r);
	if (r == NULL) {
		stays(d, i);
		return;
	}
	r->first = i;
	r->head = (struct dif_get){.key = d->remove.due[i]};
	dif_delivery_errand(d, &r->errand, DIF_HEAD, &r->head, on_asked);
}

static void on_item(struct dif_delivery *d, uint32_t i, uint32_t cls)
{
	const struct dif_held *h = dif_destination_held(d->to, d->remove.due[i]);
	if (cls == DIF_OK || cls == DIF_NOT_FOUND) {
		dif_delivery_forget(d, d->remove.due[i]);
		d->counts.removed++;
		return;
	}
	if (cls == DIF_CONFLICT && h != NULL) { /* it is not what we remember */
		struct dif_held now = *h;
		now.unknown = true;
		dif_delivery_keep(d, &now);
	}
	stays(d, i);
}

static void on_removed(struct errand *e, const struct dif_outcome *out)
{
	struct removing *r = (struct removing *)(void *)e;
	bool failed = out->err.cls != DIF_OK;
	if (failed) {
		dif_log(DIF_LOG_WARNING, "remove", "destination=%s objects=%u why=%s",
		        dif_q(e->d->to->config->name), r->in.n, dif_q(out->err.text));
	}
	for (uint32_t i = 0; i < r->in.n; i++) {
		bool told = !failed && i < out->nitems;
		on_item(e->d, r->first + i, told ? out->items[i].cls : DIF_TRANSIENT);
	}
	free(r);
}

static void remove_some(struct dif_delivery *d)
{
	uint32_t most = dif_instance_caps(d->to->store)->delete_max;
	uint32_t left = d->remove.n - d->remove.next;
	struct removing *r = calloc(1, sizeof *r);
	if (r == NULL) {
		for (; d->remove.next < d->remove.n; d->remove.next++) {
			stays(d, d->remove.next);
		}
		return;
	}
	r->first = d->remove.next;
	r->in = (struct dif_remove){.keys = d->remove.due + d->remove.next,
	                            .tags = may_condition(d) ? d->remove.tags + d->remove.next
	                                                     : NULL,
	                            .n = most > 0 && most < left ? most
	                                 : most == 0             ? 1
	                                                         : left};
	d->remove.next += r->in.n;
	dif_delivery_errand(d, &r->errand, DIF_REMOVE, &r->in, on_removed);
}

/* Closes the gaps that `asked` left and puts the tags in the form of this store. */
static void pack(struct dif_delivery *d)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < d->remove.n; i++) {
		if (d->remove.due[i] != NULL) {
			d->remove.due[n] = d->remove.due[i];
			d->remove.tags[n++] =
				dif_destination_tag(d->to, &d->arena, d->remove.tags[i]);
		}
	}
	d->remove.n = n;
	d->remove.packed = true;
}

void dif_delivery_remove(struct dif_delivery *d)
{
	if (!d->remove.chosen) {
		d->remove.chosen = true;
		if (!choose_orphans(d)) {
			fail_memory(d, "remove", "");
			return;
		}
	}
	while (!d->stopping && d->remove.asked < d->remove.n && d->busy < HEADS_MAX) {
		ask(d, d->remove.asked++);
	}
	if (d->stopping || d->remove.asked < d->remove.n || (!d->remove.packed && d->busy > 0)) {
		return;
	}
	if (!d->remove.packed) {
		pack(d);
		d->remove.asked = d->remove.n;
	}
	if (!d->remove.owed) {
		d->remove.owed = true;
		dif_delivery_owe_removals(d, d->remove.due, d->remove.n);
	}
	if (d->stopping || (d->remove.next == 0 && d->busy > 0)) {
		return; /* what is owed becomes durable first */
	}
	while (!d->stopping && d->remove.next < d->remove.n && d->busy < HEADS_MAX) {
		remove_some(d);
	}
	if (d->busy == 0 && d->remove.next == d->remove.n) {
		bool purges = d->purge.is_owing || d->purge.is_waiting ||
		              d->purge.err.cls != DIF_OK; /* of the check's, which nobody awaited */
		dif_delivery_go(d, purges ? CLEARING : DONE);
	}
}
