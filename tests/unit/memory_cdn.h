/* memory_cdn - a CDN in the place of host/op: keeps what it is asked to forget, with the limits of
 * its caps, and refuses, forgets and delays on demand. Part of memory_store.h. */
#ifndef DIF_TESTS_MEMORY_CDN_H
#define DIF_TESTS_MEMORY_CDN_H

#include "support.h"

#include "host/op.h"

#define MEM_CDN_CALLS 16384
#define MEM_CDN_TICKETS 4096

struct mem_call {
	enum dif_verb_id verb;
	uint32_t scope, n, node;
	char idem[33];
	enum dif_class cls;
	char *items;     /* " " around each */
	char first[128]; /* the first address, whole */
};

struct mem_ticket {
	char id[16];
	uint32_t urls, wides, polls;
	bool open, fails;
};

struct mem_cdn {
	struct mem_call calls[MEM_CDN_CALLS];
	uint32_t ncalls;
	struct mem_ticket tickets[MEM_CDN_TICKETS];
	uint32_t ntickets;
	uint32_t urls, wides, most_urls, most_wides; /* in flight */

	uint32_t polls;        /* a ticket is settled with so many questions; 0: there are none */
	bool never_settles;    /* tickets stay as they are */
	uint32_t fail;         /* so many purges fail, as */
	enum dif_class as;     /* with */
	int64_t retry_after;   /* ms, 0: not told */
	uint32_t fail_tickets; /* so many tickets end as failed */
	const char *poison;    /* a purge with this item is refused for good */
	uint32_t dead_node;    /* from 1: it fails */
};

static inline struct mem_cdn *mem_cdn_new(void)
{
	struct mem_cdn *c = calloc(1, sizeof *c);
	assert_non_null(c);
	return c;
}

static inline void mem_cdn_clear(struct mem_cdn *c)
{
	for (uint32_t i = 0; i < c->ncalls; i++) {
		free(c->calls[i].items);
	}
	c->ncalls = 0;
}

static inline void mem_cdn_free(struct mem_cdn *c)
{
	if (c != NULL) {
		mem_cdn_clear(c);
		free(c);
	}
}

static inline char *mem_cdn_items(const struct dif_purge *in)
{
	size_t room = 2;
	for (uint32_t i = 0; i < in->n; i++) {
		room += strlen(in->paths[i]) + 1;
	}
	char *text = malloc(room), *at = text;
	assert_non_null(text);
	*at++ = ' ';
	for (uint32_t i = 0; i < in->n; i++) {
		size_t n = strlen(in->paths[i]);
		memcpy(at, in->paths[i], n);
		at[n] = ' ';
		at += n + 1;
	}
	*at = '\0';
	return text;
}

/* How many purges named this item and were not refused; scope 0: of any. */
static inline uint32_t mem_cdn_count(const struct mem_cdn *c, uint32_t scope, const char *item)
{
	char word[512];
	uint32_t n = 0;
	snprintf(word, sizeof word, " %s ", item);
	for (uint32_t i = 0; i < c->ncalls; i++) {
		const struct mem_call *call = &c->calls[i];
		bool all = scope == DIF_PURGE_ALL && call->scope == scope;
		n += call->verb == DIF_PURGE && call->cls == DIF_OK &&
		     (scope == 0 || call->scope == scope) &&
		     (all || strstr(call->items, word) != NULL);
	}
	return n;
}

static inline uint32_t mem_cdn_calls(const struct mem_cdn *c, enum dif_verb_id verb)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < c->ncalls; i++) {
		n += c->calls[i].verb == verb;
	}
	return n;
}

static inline void mem_cdn_check(const struct dif_caps *caps, const struct dif_purge *in)
{
	bool urls = in->scope == DIF_PURGE_URLS;
	uint32_t most = urls ? caps->purge_max : caps->purge_wide_max;
	assert_true((caps->purge_scopes & DIF_HAS(in->scope)) != 0);
	assert_true(in->scope == DIF_PURGE_ALL ? in->n == 0 : in->n > 0);
	assert_true(most == 0 || in->n <= most);
	assert_true(in->node < (caps->nodes > 0 ? caps->nodes : 1));
	assert_int_equal(strlen(in->idem), 32);
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < in->n; i++) {
		assert_true(i == 0 || strcmp(in->paths[i - 1], in->paths[i]) < 0);
		assert_string_equal(in->urls[i] + strlen(in->urls[i]) - strlen(in->paths[i]),
		                    in->paths[i]);
		bytes += strlen(in->urls[i]) + caps->purge_item_bytes;
	}
	assert_true(caps->purge_bytes == 0 || in->n == 1 || bytes <= caps->purge_bytes);
}

static inline void mem_cdn_land(struct mem_cdn *c, struct mem_ticket *t)
{
	t->open = false;
	c->urls -= t->urls;
	c->wides -= t->wides;
}

static inline struct mem_ticket *mem_cdn_take(struct mem_cdn *c, const struct dif_purge *in)
{
	assert_true(c->ntickets < MEM_CDN_TICKETS);
	struct mem_ticket *t = &c->tickets[c->ntickets++];
	snprintf(t->id, sizeof t->id, "t%u", c->ntickets);
	t->open = true;
	t->urls = in->scope == DIF_PURGE_URLS ? in->n : 0;
	t->wides = in->scope == DIF_PURGE_URLS ? 0 : in->n > 0 ? in->n : 1;
	t->polls = c->polls;
	t->fails = c->fail_tickets > 0;
	c->fail_tickets -= t->fails;
	c->urls += t->urls;
	c->wides += t->wides;
	c->most_urls = c->urls > c->most_urls ? c->urls : c->most_urls;
	c->most_wides = c->wides > c->most_wides ? c->wides : c->most_wides;
	return t;
}

static inline void mem_cdn_purge(struct mem_cdn *c, const struct dif_caps *caps,
                                 const struct dif_purge *in, struct dif_outcome *out)
{
	char word[512];
	char *items = mem_cdn_items(in);
	mem_cdn_check(caps, in);
	snprintf(word, sizeof word, " %s ", c->poison != NULL ? c->poison : "\n");
	if (c->fail > 0) {
		c->fail--;
		dif_error_set(&out->err, c->as, "HTTP 429");
		out->err.retry_after = c->retry_after > 0 ? c->retry_after : -1;
	} else if (strstr(items, word) != NULL) {
		dif_error_set(&out->err, DIF_PERMANENT, "HTTP 400");
	} else if (c->dead_node == in->node + 1) {
		dif_error_set(&out->err, DIF_TRANSIENT, "no route to host");
	} else if (c->polls > 0) {
		out->result.ticket = mem_cdn_take(c, in)->id;
	} else {
		out->result.settled = 1;
	}
	assert_true(c->ncalls < MEM_CDN_CALLS);
	struct mem_call *call = &c->calls[c->ncalls++];
	*call = (struct mem_call){.verb = DIF_PURGE,
	                          .scope = in->scope,
	                          .n = in->n,
	                          .node = in->node,
	                          .cls = out->err.cls,
	                          .items = items};
	snprintf(call->idem, sizeof call->idem, "%s", in->idem);
	snprintf(call->first, sizeof call->first, "%s", in->n > 0 ? in->urls[0] : "");
}

static inline void mem_cdn_state(struct mem_cdn *c, const struct dif_ticket *in,
                                 struct dif_outcome *out)
{
	struct mem_ticket *t = NULL;
	for (uint32_t i = 0; i < c->ntickets && t == NULL; i++) {
		t = strcmp(c->tickets[i].id, in->id) == 0 ? &c->tickets[i] : NULL;
	}
	assert_true(t != NULL && t->open);
	assert_true(c->ncalls < MEM_CDN_CALLS);
	c->calls[c->ncalls++] = (struct mem_call){.verb = DIF_PURGE_STATE};
	if (c->never_settles || --t->polls > 0) {
		out->result.wait_ms = 1;
		return;
	}
	mem_cdn_land(c, t);
	if (t->fails) {
		dif_error_set(&out->err, DIF_TRANSIENT, "FAILED");
	} else {
		out->result.settled = 1;
	}
}

static inline void mem_cdn_answer(struct mem_cdn *c, const struct dif_caps *caps,
                                  enum dif_verb_id verb, const void *in, struct dif_outcome *out)
{
	if (verb == DIF_PURGE) {
		mem_cdn_purge(c, caps, in, out);
	} else {
		mem_cdn_state(c, in, out);
	}
}

#endif
