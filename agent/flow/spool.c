/* spool - tickets, shared buffers, and who waits for what.
 *
 *   want -> waiting -> granted (memory is there, or an equal buffer) -> told (ready) -> released
 *
 * Memory is a number: the sum of the buffers, the idle ones too, and of the streams' windows; it is
 * taken before the bytes are. Who has less than an even share of the budget is served before who
 * has more. A blocked waiter asks leases back that are older than DIF_LEASE_MS, from users above
 * their share only and down to it: so a dead store costs the others at most its share, and a slow
 * one always keeps enough to get on.
 *
 * A buffer that nobody holds stays for the destinations that come by a moment later: until all have
 * had it, the memory is needed, or more than a small part of the budget lies there.
 */
#include "flow/spool_private.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define TICK_MS 250 /* how often a blocked waiter looks for leases that are too old */

static void soon(struct dif_spool *s);

/* --- buffers --- */

static void wake_idle(struct buffer *b)
{
	if (b->is_idle) {
		b->is_idle = false;
		b->spool->idled -= b->size;
		dif_list_remove(&b->link);
	}
}

static void drop(struct buffer *b)
{
	struct dif_spool *s = b->spool;
	wake_idle(b);
	if (dif_map_get(&s->buffers, b->key) == b) {
		dif_map_remove(&s->buffers, b->key);
	}
	s->used -= b->size;
	free(b->p);
	free(b);
}

static void drop_oldest_idle(struct dif_spool *s)
{
	drop(DIF_ENTRY(s->idle.next, struct buffer, link));
}

/* In nobody's hands any more. What all had is of no more use; of the rest a little is kept, so that
 * destinations far apart do not fill the memory with what one of them may need some time. */
static void rest(struct buffer *b)
{
	struct dif_spool *s = b->spool;
	if (b->filling == FILLING) {
		return; /* dif_spool_filled comes */
	}
	if (b->filling == BROKEN || b->is_slice || b->taken >= s->nusers) {
		drop(b);
		return;
	}
	b->is_idle = true;
	s->idled += b->size;
	dif_list_add(&s->idle, &b->link);
	while (s->idled > s->budget / IDLE_PART) {
		drop_oldest_idle(s);
	}
}

void dif_spool_filled(struct buffer *b)
{
	struct dif_spool *s = b->spool;
	if (b->filling == BROKEN) {
		dif_map_remove(&s->buffers, b->key);
	}
	dif_body_bytes_init(&b->bytes, b->p, b->size);
	dif_slices_free(b->slices);
	b->slices = NULL;
	dif_spool_worked(b->worker);
	if (b->nleases == 0) {
		rest(b);
	}
	soon(s);
}

static void key_of(const struct dif_lease *l, char *to, size_t n)
{
	snprintf(to, n, "%s:%llu:%u", l->package->sha256, (unsigned long long)l->member->offset,
	         (unsigned)l->form);
}

/* Its bytes are taken here and not by the pool, whose threads would each keep a heap of their own
 * for them. NULL: out of memory. */
static struct buffer *new_buffer(struct dif_spool *s, const struct dif_lease *l)
{
	struct buffer *b = calloc(1, sizeof *b);
	uint8_t *p = malloc(l->ticket ? (size_t)l->ticket : 1);
	if (b == NULL || p == NULL) {
		free(b);
		free(p);
		return NULL;
	}
	dif_list_init(&b->link);
	dif_list_init(&b->queue);
	dif_list_init(&b->leases);
	b->spool = s;
	b->p = p;
	b->size = l->ticket;
	b->worker = l->user;
	b->package = l->package;
	b->member = l->member;
	b->form = l->form;
	return b;
}

static struct buffer *start_filling(struct dif_spool *s, struct dif_lease *l)
{
	struct buffer *b = new_buffer(s, l);
	if (b == NULL) {
		return NULL;
	}
	if (l->slices != NULL) {
		b->is_slice = true;
		b->slices = dif_slices_ref(l->slices);
	} else {
		key_of(l, b->key, sizeof b->key);
	}
	if (!b->is_slice && !dif_map_put(&s->buffers, b->key, b)) {
		free(b->p);
		free(b);
		return NULL;
	}
	s->used += b->size;
	b->worker->working++;
	dif_list_add(&s->unfilled, &b->queue);
	return b;
}

/* --- granting --- */

static bool is_large(const struct dif_lease *l)
{
	return l->slices == NULL && l->member->form[l->form].size > DIF_WHOLE_MAX;
}

static void note_peak(struct dif_spool *s)
{
	if (s->used > s->peak) {
		s->peak = s->used;
	}
}

static bool make_room(struct dif_spool *s, uint64_t n)
{
	while (s->used + n > s->budget && !dif_list_empty(&s->idle)) {
		drop_oldest_idle(s);
	}
	return s->used + n <= s->budget || s->used == 0;
}

static void granted(struct dif_spool *s, struct dif_lease *l)
{
	dif_list_remove(&l->link);
	dif_list_add(&s->granted, &l->link);
	l->granted = true;
	l->since = dif_steady_ms();
	l->user->held += l->ticket;
	l->user->sliced += l->slices != NULL ? l->ticket : 0;
	note_peak(s);
}

static void take(struct buffer *b, struct dif_lease *l)
{
	wake_idle(b);
	dif_list_add(&b->leases, &l->sharing);
	b->nleases++;
	b->taken++;
	l->buffer = b;
}

/* False: there is no memory for it now. */
static bool grant(struct dif_spool *s, struct dif_lease *l)
{
	if (is_large(l)) {
		if (!make_room(s, l->ticket)) {
			return false;
		}
		s->used += l->ticket;
		l->stream = (struct dif_body){.ops = &dif_spool_stream_ops,
		                              .size = l->member->form[l->form].size};
		granted(s, l);
		return true;
	}
	char key[112];
	key_of(l, key, sizeof key);
	struct buffer *b = l->slices == NULL ? dif_map_get(&s->buffers, key) : NULL;
	if (b == NULL) {
		if (!make_room(s, l->ticket)) {
			return false;
		}
		b = start_filling(s, l);
	}
	if (b == NULL) {
		return false;
	}
	take(b, l);
	granted(s, l);
	return true;
}

static uint64_t share(const struct dif_spool *s)
{
	return s->budget / (s->nusers ? s->nusers : 1);
}

/* Slices stay as long as their store takes: beyond the share of their user they wait for each
 * other, and hold nobody up. */
static bool is_beyond_share(const struct dif_spool *s, const struct dif_lease *l)
{
	uint64_t sliced = l->user->sliced;
	return l->slices != NULL && sliced > 0 && sliced + l->ticket > share(s);
}

/* One round over the waiting, of those below their share or of those above. False: one of them is
 * blocked, and who comes behind it must not take the memory it waits for. */
static bool serve(struct dif_spool *s, bool poor)
{
	struct dif_link *next = NULL;
	for (struct dif_link *at = s->waiting.next; at != &s->waiting; at = next) {
		struct dif_lease *l = DIF_ENTRY(at, struct dif_lease, link);
		next = at->next;
		if ((l->user->held < share(s)) == poor && !is_beyond_share(s, l) && !grant(s, l)) {
			return false;
		}
	}
	return true;
}

static void tell(struct dif_spool *s)
{
	struct dif_link *at = s->granted.next;
	while (at != &s->granted) {
		struct dif_lease *l = DIF_ENTRY(at, struct dif_lease, link);
		struct buffer *b = l->buffer;
		if (b != NULL && b->filling == FILLING) {
			at = at->next;
			continue;
		}
		l->told = true;
		dif_list_remove(&l->link);
		dif_list_add(&s->told, &l->link);
		if (l->slices != NULL) {
			dif_slices_told(l->slices);
		}
		if (b != NULL && b->filling == BROKEN) {
			struct dif_error err = b->err;
			l->events->ready(l->data, NULL, &err);
		} else {
			l->events->ready(l->data, b ? &b->bytes.body : &l->stream, NULL);
		}
		at = s->granted.next; /* the list may be another one now */
	}
}

static void on_soon(uv_timer_t *t);
static void on_tick(uv_timer_t *t);

static void soon(struct dif_spool *s)
{
	if (!s->closing && !uv_is_active((uv_handle_t *)&s->soon)) {
		uv_timer_start(&s->soon, on_soon, 0, 0);
	}
}

static void say_goodbye(struct dif_spool *s)
{
	struct dif_link *next = NULL;
	for (struct dif_link *at = s->leaving.next; at != &s->leaving; at = next) {
		struct dif_spool_user *u = DIF_ENTRY(at, struct dif_spool_user, link);
		next = at->next;
		if (u->working == 0) {
			void (*left)(void *) = u->left;
			void *data = u->data;
			dif_list_remove(&u->link);
			free(u);
			left(data);
			soon(s); /* what left did may have changed the list */
			return;
		}
	}
}

static void on_soon(uv_timer_t *t)
{
	struct dif_spool *s = t->data;
	if (serve(s, true)) {
		serve(s, false);
	}
	dif_spool_fill(s);
	tell(s);
	if (dif_list_empty(&s->waiting)) {
		uv_timer_stop(&s->tick);
	} else if (!uv_is_active((uv_handle_t *)&s->tick)) {
		uv_timer_start(&s->tick, on_tick, TICK_MS, TICK_MS);
	}
	say_goodbye(s);
}

/* --- asking back --- */

/* Does anybody else wait? */
static bool others_wait(const struct dif_spool *s, const struct dif_spool_user *u)
{
	for (struct dif_link *at = s->waiting.next; at != &s->waiting; at = at->next) {
		if (DIF_ENTRY(at, struct dif_lease, link)->user != u) {
			return true;
		}
	}
	return false;
}

static struct dif_lease *too_old(struct dif_spool *s, int64_t now)
{
	for (struct dif_link *at = s->told.next; at != &s->told; at = at->next) {
		struct dif_lease *l = DIF_ENTRY(at, struct dif_lease, link);
		if (!l->asked && l->events->asked_back != NULL && now - l->since >= DIF_LEASE_MS &&
		    l->user->held - l->user->asked > share(s) && others_wait(s, l->user)) {
			return l;
		}
	}
	return NULL;
}

static void on_tick(uv_timer_t *t)
{
	struct dif_spool *s = t->data;
	int64_t now = dif_steady_ms();
	for (struct dif_lease *l = too_old(s, now); l != NULL; l = too_old(s, now)) {
		l->asked = true;
		l->user->asked += l->ticket;
		l->events->asked_back(l->data);
	}
}

/* --- the door --- */

struct dif_lease *dif_spool_queue(const struct dif_lease *of)
{
	struct dif_spool_user *u = of->user;
	assert(u->left == NULL);
	struct dif_lease *l = malloc(sizeof *l);
	if (l == NULL) {
		return NULL;
	}
	*l = *of;
	dif_list_init(&l->sharing);
	dif_list_add(&u->spool->waiting, &l->link);
	u->leases++;
	soon(u->spool);
	return l;
}

struct dif_lease *dif_spool_want(struct dif_spool_user *u, const struct dif_package *p,
                                 const struct dif_member *m, enum dif_form_id form,
                                 const struct dif_lease_events *events, void *data)
{
	struct dif_lease l = {
		.user = u, .package = p, .member = m, .form = form, .events = events, .data = data};
	assert(m->form[form].has != 0);
	l.ticket = is_large(&l) ? STREAM_TICKET : m->form[form].size;
	return dif_spool_queue(&l);
}

struct dif_bytes dif_spool_slice_digest(const struct dif_lease *l)
{
	uint32_t d = dif_slices_digest(l->slices);
	return (struct dif_bytes){l->buffer->digest, dif_digest_size(d)};
}

void dif_spool_release(struct dif_lease *l)
{
	struct dif_spool *s = l->user->spool;
	struct buffer *b = l->buffer;
	dif_list_remove(&l->link);
	dif_list_remove(&l->sharing);
	l->user->leases--;
	if (l->granted) {
		l->user->held -= l->ticket;
		l->user->asked -= l->asked ? l->ticket : 0;
		l->user->sliced -= l->slices != NULL ? l->ticket : 0;
	}
	if (b == NULL && l->granted) {
		s->used -= l->ticket;
	} else if (b != NULL && --b->nleases == 0) {
		rest(b);
	}
	free(l);
	soon(s);
}

struct dif_spool_user *dif_spool_join(struct dif_spool *s)
{
	struct dif_spool_user *u = calloc(1, sizeof *u);
	if (u != NULL) {
		u->spool = s;
		dif_list_init(&u->link);
		s->nusers++;
	}
	return u;
}

void dif_spool_leave(struct dif_spool_user *u, void (*left)(void *data), void *data)
{
	struct dif_spool *s = u->spool;
	assert(u->leases == 0 && u->left == NULL);
	u->left = left;
	u->data = data;
	dif_list_add(&s->leaving, &u->link);
	if (--s->nusers <= 1) {
		while (!dif_list_empty(&s->idle)) {
			drop_oldest_idle(s);
		}
	}
	soon(s);
}

void dif_spool_worked(struct dif_spool_user *u)
{
	u->working--;
	soon(u->spool);
}

uint64_t dif_spool_budget(const struct dif_spool *s)
{
	return s->budget;
}

uint64_t dif_spool_peak(const struct dif_spool *s)
{
	return s->peak;
}

struct dif_spool *dif_spool_new(struct dif_engine *e, uint64_t budget)
{
	struct dif_spool *s = calloc(1, sizeof *s);
	if (s == NULL || !dif_spool_fillers_new(s)) {
		free(s);
		return NULL;
	}
	s->engine = e;
	s->budget = budget;
	dif_map_init(&s->buffers);
	dif_list_init(&s->leaving);
	dif_list_init(&s->unfilled);
	dif_list_init(&s->idle);
	dif_list_init(&s->waiting);
	dif_list_init(&s->granted);
	dif_list_init(&s->told);
	/* Initializing a timer cannot fail. */
	uv_timer_init(&e->loop, &s->soon);
	uv_timer_init(&e->loop, &s->tick);
	s->soon.data = s->tick.data = s;
	s->handles = 2;
	return s;
}

static void on_closed(uv_handle_t *h)
{
	struct dif_spool *s = h->data;
	if (--s->handles == 0) {
		free(s);
	}
}

void dif_spool_free(struct dif_spool *s)
{
	if (s == NULL) {
		return;
	}
	assert(s->nusers == 0 && dif_list_empty(&s->leaving) && s->used == 0);
	s->closing = true;
	dif_map_fini(&s->buffers);
	dif_spool_fillers_free(s);
	uv_close((uv_handle_t *)&s->soon, on_closed);
	uv_close((uv_handle_t *)&s->tick, on_closed);
}
