#include "flow/prober.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "base/list.h"
#include "base/log.h"
#include "flow/edge.h"
#include "host/crypto.h"

#define CUTS_MAX 4            /* what a destination may show is told apart among so many */
#define RECENT_CUTS 20        /* of the state, looked through for them */
#define OBJECT_MAX (1u << 20) /* readers' path costs money */
#define TELLING_MAX 64        /* enough to choose from */
#define TRIES 64              /* to find an object that fits */
#define ARENA_MAX (64u << 10)
#define GETS 3

struct look;

struct get {
	struct look *look;
	struct dif_edge_call *call;
};

/* One destination. */
struct look {
	struct dif_prober *p;
	uint32_t index, running;
	struct get gets[GETS];
	struct dif_arena arena; /* URLs */
	struct dif_manifest *cuts[CUTS_MAX];
	uint32_t ncuts; /* as they were at its start, kept by reference */
	struct dif_order shown;
	uint32_t seen; /* the worst so far */
	char text[DIF_HEALTH_TEXT];
};

struct reference {
	struct dif_prober *p;
	struct dif_edge_call *call;
};

struct dif_prober {
	struct dif_barrier barrier;
	struct dif_setup *s;
	struct dif_prober_events events;
	void *data;
	struct dif_manifest *cuts[CUTS_MAX]; /* newest first */
	uint32_t ncuts;
	struct dif_order wanted;
	bool is_told; /* telling is of the cuts as they are */
	const struct dif_member *telling[TELLING_MAX];
	uint32_t ntelling;
	struct look *looks; /* one per destination, and room */
	uint32_t nlooks;
	struct reference references[DIF_REFERENCES_MAX];
	uint32_t asked, answered;
	bool closing;
};

/* --- cuts --- */

static struct dif_manifest *find(const struct dif_prober *p, const char *sha256)
{
	for (uint32_t i = 0; i < p->ncuts; i++) {
		if (strcmp(p->cuts[i]->order.sha256, sha256) == 0) {
			return p->cuts[i];
		}
	}
	return NULL;
}

const struct dif_order *dif_prober_order(const struct dif_prober *p, const char *sha256)
{
	const struct dif_manifest *m = find(p, sha256);
	return m != NULL ? &m->order : NULL;
}

/* What is wanted stays, however many newer ones nobody could be brought. Returns where it was. */
static uint32_t drop_oldest(struct dif_prober *p)
{
	uint32_t i = p->ncuts - 1;
	if (strcmp(p->cuts[i]->order.sha256, p->wanted.sha256) == 0) {
		i--;
	}
	dif_manifest_unref(p->cuts[i]);
	p->ncuts--;
	memmove(&p->cuts[i], &p->cuts[i + 1], (p->ncuts - i) * sizeof(struct dif_manifest *));
	return i;
}

void dif_prober_learn(struct dif_prober *p, const char *sha256)
{
	struct dif_error err = {0};
	if (sha256[0] == '\0' || find(p, sha256) != NULL) {
		return;
	}
	struct dif_manifest *m = dif_state_manifest(p->s->state, sha256, &err);
	if (m == NULL) {
		return; /* the next delivery of it brings it */
	}
	uint32_t at = 0;
	while (at < p->ncuts && dif_order_compare(&p->cuts[at]->order, &m->order) > 0) {
		at++;
	}
	if (at == CUTS_MAX) { /* older than all that readers are compared with */
		dif_manifest_unref(m);
		return;
	}
	if (p->ncuts == CUTS_MAX) {
		at -= drop_oldest(p) < at;
	}
	memmove(&p->cuts[at + 1], &p->cuts[at], (p->ncuts - at) * sizeof(struct dif_manifest *));
	p->cuts[at] = m;
	p->ncuts++;
	p->is_told = false;
}

static void on_cut(void *data, const struct dif_cut *c)
{
	if (c->status == DIF_CUT_LIVE || c->status == DIF_CUT_SUPERSEDED) {
		dif_prober_learn(data, c->order.sha256);
	}
}

void dif_prober_want(struct dif_prober *p, const struct dif_order *order)
{
	p->wanted = *order;
	p->is_told = false;
}

/* --- what to ask for --- */

static uint32_t random_below(uint32_t n)
{
	uint32_t r = 0;
	(void)dif_random(&r, sizeof r); /* without it the first is as good */
	return n > 0 ? r % n : 0;
}

/* The newest cut before this one that is known; NULL: none. */
static const struct dif_manifest *before(const struct dif_prober *p, const struct dif_manifest *m)
{
	for (uint32_t i = 0; i < p->ncuts; i++) {
		if (dif_order_compare(&p->cuts[i]->order, &m->order) < 0) {
			return p->cuts[i];
		}
	}
	return NULL;
}

static bool differs(const struct dif_member *m, const struct dif_manifest *old)
{
	const struct dif_member *was = old != NULL ? dif_manifest_find(old, m->path) : NULL;
	return was != NULL && memcmp(was->form[DIF_IDENTITY].sha256, m->form[DIF_IDENTITY].sha256,
	                             sizeof m->form[DIF_IDENTITY].sha256) != 0;
}

static bool is_late(const struct dif_prober *p, const struct dif_member *m)
{
	const struct dif_config *c = p->s->config;
	uint32_t phase = dif_class_of(c->classes, c->nclasses, m->path)->phase;
	return phase == DIF_AGGREGATE || phase == DIF_ENTRY;
}

/* The objects that this cut has otherwise than the one before, those that are put last if there are
 * any. Found once for each cut, because all of its names are looked at. */
static void find_telling(struct dif_prober *p, const struct dif_manifest *m)
{
	const struct dif_manifest *old = before(p, m);
	const struct dif_member *any[TELLING_MAX];
	uint32_t first = random_below(m->n), nany = 0;
	p->ntelling = 0;
	p->is_told = true;
	for (uint32_t i = 0; old != NULL && i < m->n && p->ntelling < TELLING_MAX; i++) {
		const struct dif_member *one = &m->members[(first + i) % m->n];
		if (one->size > OBJECT_MAX || !differs(one, old)) {
			continue;
		}
		if (is_late(p, one)) {
			p->telling[p->ntelling++] = one;
		} else if (nany < TELLING_MAX) {
			any[nany++] = one;
		}
	}
	if (p->ntelling == 0) {
		memcpy(p->telling, any, nany * sizeof *any);
		p->ntelling = nany;
	}
}

static const struct dif_member *telling(struct dif_prober *p, const struct dif_manifest *m)
{
	if (!p->is_told) {
		find_telling(p, m);
	}
	return p->ntelling > 0 ? p->telling[random_below(p->ntelling)] : NULL;
}

/* One that the cut before has too, where there is one: a destination that shows that one is behind,
 * not broken. */
static const struct dif_member *any_object(const struct dif_prober *p, const struct dif_manifest *m)
{
	const struct dif_manifest *old = before(p, m);
	for (uint32_t i = 0; i < TRIES && m->n > 0; i++) {
		const struct dif_member *one = &m->members[random_below(m->n)];
		if (one->size <= OBJECT_MAX &&
		    (old == NULL || dif_manifest_find(old, one->path) != NULL)) {
			return one;
		}
	}
	return NULL;
}

/* --- looking --- */

static void end_look(struct look *l)
{
	struct dif_prober *p = l->p;
	const struct dif_health_look look = {l->seen, &l->shown, l->text};
	for (uint32_t i = 0; i < l->ncuts; i++) {
		dif_manifest_unref(l->cuts[i]);
	}
	l->ncuts = 0;
	if (!p->closing) {
		p->events.looked(p->data, l->index, &look);
	}
	dif_release(&p->barrier);
}

static uint32_t seen_of(const struct dif_edge_answer *a)
{
	switch (a->verdict) {
	case DIF_EDGE_SAME:
	case DIF_EDGE_STALE:
	case DIF_EDGE_NEWER:
	case DIF_EDGE_HEADERS:
		return DIF_SEEN_RIGHT;
	case DIF_EDGE_ALTERED:
		return DIF_SEEN_WRONG;
	case DIF_EDGE_CANCELED:
		return DIF_SEEN_SELF;
	default:
		return strcmp(a->err.code, DIF_HTTP_CODE_LOCAL) == 0 ? DIF_SEEN_SELF
		                                                     : DIF_SEEN_NOTHING;
	}
}

/* Our own failure says least, then wrong bytes, then none. */
static uint32_t weight_of(uint32_t seen)
{
	static const uint32_t weights[] = {[DIF_SEEN_RIGHT] = 0,
	                                   [DIF_SEEN_WRONG] = 1,
	                                   [DIF_SEEN_NOTHING] = 2,
	                                   [DIF_SEEN_SELF] = 3};
	return weights[seen];
}

static void on_answer(void *data, const struct dif_edge_answer *a)
{
	struct get *g = data;
	struct look *l = g->look;
	uint32_t seen = seen_of(a);
	const struct dif_order *shows = a->cut != NULL ? a->cut : &l->p->wanted;
	g->call = NULL;
	if (seen == DIF_SEEN_RIGHT && dif_order_compare(shows, &l->shown) < 0) {
		l->shown = *shows;
	}
	if (weight_of(seen) > weight_of(l->seen)) {
		l->seen = seen;
		snprintf(l->text, sizeof l->text, "%.*s", DIF_HEALTH_TEXT - 1, a->text);
	}
	if (--l->running == 0) {
		end_look(l);
	}
}

static void ask(struct look *l, const struct dif_manifest *m, const char *path,
                const struct dif_member *member)
{
	const struct dif_config *c = l->p->s->config;
	const struct dif_destination_config *d = &c->destinations[l->index];
	struct get *g = &l->gets[l->running];
	const struct dif_edge_ask in = {.url = dif_edge_url(&l->arena, d->public_url, path),
	                                .ca_file = d->ca_file,
	                                .timeout_ms = (uint32_t)c->health.timeout,
	                                .member = member,
	                                .order = &m->order,
	                                .others = l->cuts,
	                                .nothers = l->ncuts};
	g->look = l;
	g->call = dif_edge_get(l->p->s->engine, &in, on_answer, g);
	l->running += g->call != NULL;
}

bool dif_prober_can(const struct dif_prober *p, uint32_t index)
{
	const struct dif_destination_config *d = &p->s->config->destinations[index];
	return d->public_url != NULL && !d->is_private && find(p, p->wanted.sha256) != NULL;
}

bool dif_prober_look(struct dif_prober *p, uint32_t index)
{
	struct look *l = &p->looks[index];
	struct dif_manifest *m = find(p, p->wanted.sha256);
	if (l->running > 0 || m == NULL || p->closing) {
		return false;
	}
	dif_arena_reset(&l->arena);
	l->p = p;
	l->index = index;
	l->shown = m->order;
	l->seen = DIF_SEEN_RIGHT;
	l->text[0] = '\0';
	l->ncuts = p->ncuts;
	for (uint32_t i = 0; i < p->ncuts; i++) {
		l->cuts[i] = dif_manifest_ref(p->cuts[i]);
	}
	dif_hold(&p->barrier);
	const struct dif_member *page = dif_manifest_find(m, "index.html");
	const struct dif_manifest *old = before(p, m);
	const struct dif_member *other = page != NULL && differs(page, old) ? NULL : telling(p, m);
	const struct dif_member *chance = any_object(p, m);
	ask(l, m, "", page);
	if (other != NULL) {
		ask(l, m, other->path, other);
	}
	if (chance != NULL) {
		ask(l, m, chance->path, chance);
	}
	if (l->running > 0) {
		return true;
	}
	for (uint32_t i = 0; i < l->ncuts; i++) { /* the next look may have memory */
		dif_manifest_unref(l->cuts[i]);
	}
	l->ncuts = 0;
	dif_release(&p->barrier);
	return false;
}

/* --- references --- */

static void on_reference(void *data, const struct dif_edge_answer *a)
{
	struct reference *r = data;
	struct dif_prober *p = r->p;
	r->call = NULL;
	p->answered += a->status != 0; /* whatever it says: the way there is open */
	if (--p->asked == 0 && !p->closing) {
		p->events.sight(p->data, p->answered > 0 ? DIF_SIGHT_CLEAR : DIF_SIGHT_BLIND);
	}
	dif_release(&p->barrier);
}

void dif_prober_ask_references(struct dif_prober *p)
{
	const struct dif_health_config *h = &p->s->config->health;
	if (p->asked > 0 || p->closing) {
		return;
	}
	p->answered = 0;
	for (uint32_t i = 0; i < h->nreferences; i++) {
		struct reference *r = &p->references[i];
		const struct dif_edge_ask in = {.url = h->reference[i],
		                                .timeout_ms = (uint32_t)h->timeout};
		r->p = p;
		r->call = dif_edge_get(p->s->engine, &in, on_reference, r);
		if (r->call != NULL) {
			dif_hold(&p->barrier);
			p->asked++;
		}
	}
}

/* --- begin and end --- */

static void on_gone(struct dif_barrier *b)
{
	struct dif_prober *p = DIF_ENTRY(b, struct dif_prober, barrier);
	for (uint32_t i = 0; i < p->nlooks; i++) {
		dif_arena_fini(&p->looks[i].arena);
	}
	for (uint32_t i = 0; i < p->ncuts; i++) {
		dif_manifest_unref(p->cuts[i]);
	}
	free(p->looks);
	free(p);
}

struct dif_prober *dif_prober_open(struct dif_setup *s, const struct dif_prober_events *events,
                                   void *data)
{
	struct dif_prober *p = calloc(1, sizeof *p);
	uint32_t n = s->config->ndestinations + DIF_CONFIG_ROOM;
	struct look *looks = calloc(n, sizeof *looks);
	if (p == NULL || looks == NULL) {
		free(p);
		free(looks);
		return NULL;
	}
	dif_barrier_init(&p->barrier, on_gone);
	p->s = s;
	p->events = *events;
	p->data = data;
	p->looks = looks;
	p->nlooks = n;
	for (uint32_t i = 0; i < n; i++) {
		dif_arena_init(&looks[i].arena, ARENA_MAX, false);
		looks[i].p = p;
	}
	dif_state_cuts(s->state, RECENT_CUTS, on_cut, p);
	return p;
}

void dif_prober_close(struct dif_prober *p)
{
	if (p == NULL) {
		return;
	}
	p->closing = true;
	for (uint32_t i = 0; i < p->nlooks; i++) {
		for (uint32_t k = 0; k < GETS; k++) {
			if (p->looks[i].gets[k].call != NULL) {
				dif_edge_cancel(p->looks[i].gets[k].call);
			}
		}
	}
	for (uint32_t i = 0; i < DIF_REFERENCES_MAX; i++) {
		if (p->references[i].call != NULL) {
			dif_edge_cancel(p->references[i].call);
		}
	}
	dif_release(&p->barrier);
}
