/* check_store - what a store lets us do, and how fast.
 *
 *   put ▸ get ▸ list ▸ head of what is not there ▸ ten heads ▸ conditions ▸ 4 MiB up ▸ and down ▸
 *   the same unsigned ▸ delete ▸ what is live ▸ the site
 *
 * Each question needs only what it says: where nothing could be put, get and delete are not
 * checked, the others are.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "flow/check_private.h"
#include "host/crypto.h"

#define SLOW_MS 1000        /* a head that takes longer */
#define SLOW_RATE 1000000.0 /* bytes per second: a package of 80 MB in 80 s */

static const char *needs(struct subject *s, enum right right)
{
	return dif_arena_fmt(&s->arena, "give it %s", check_right(s, right));
}

/* A failure with the right that is missing, or what the error itself advises. */
static void fail(struct subject *s, const char *question, const struct dif_error *err,
                 enum right right)
{
	bool is_right = err->cls == DIF_AUTH;
	check_fail(s, question, err, is_right ? needs(s, right) : NULL);
}

static const char *key_of(struct subject *s, const char *kind)
{
	return dif_arena_fmt(&s->arena, "%s.difusor/check-%s-%s", s->d->config->prefix, s->nonce,
	                     kind);
}

/* --- put --- */

static void ask_put(struct subject *s, const char *key, struct dif_blob_bytes *b, dif_op_cb *cb)
{
	s->put = (struct dif_put){.key = key, .blob = &b->blob, .type = "application/octet-stream"};
	s->put.use = dif_blob_use(&b->blob, dif_instance_caps(s->i), DIF_NO_DIGEST);
	check_op(s, DIF_PUT, &s->put, QUESTION_MS, cb);
}

static void on_put(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	s->has_small = out->err.cls == DIF_OK || out->unknown;
	if (out->err.cls != DIF_OK) {
		fail(s, "may put", &out->err, RIGHT_PUT);
	} else {
		check_tell(s, "may put", DIF_GO, "a small object was put below .difusor/");
	}
	check_next(s);
}

static void put_small(struct subject *s)
{
	uint8_t chance[NONCE / 2];
	if (!dif_random(chance, sizeof chance)) {
		abort(); /* there is no agent without random bytes */
	}
	dif_hex(s->nonce, chance, sizeof chance);
	s->key = key_of(s, "small");
	s->big_key = key_of(s, "big");
	dif_blob_of_bytes(&s->small, s->c->small, SMALL, dif_instance_caps(s->i));
	ask_put(s, s->key, &s->small, on_put);
}

/* --- get --- */

static void ask_get(struct subject *s, const char *key, const char *want, size_t n, dif_op_cb *cb)
{
	check_compare(&s->comparing, want, n);
	s->get = (struct dif_get){.key = key, .sink = &s->comparing.sink};
	check_op(s, DIF_GET, &s->get, QUESTION_MS, cb);
}

static bool is_same(const struct subject *s)
{
	return !s->comparing.differs && s->comparing.at == s->comparing.n;
}

static void on_got(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls != DIF_OK) {
		fail(s, "may get", &out->err, RIGHT_GET);
	} else if (!is_same(s)) {
		check_tell(s, "may get", DIF_NO_GO,
		           "what came back is not what was put; look for a proxy or a rule of the "
		           "store that changes content");
	} else {
		check_tell(s, "may get", DIF_GO, "the same bytes came back");
	}
	check_next(s);
}

static void get_small(struct subject *s)
{
	if (!s->has_small) {
		check_tell(s, "may get", DIF_NOT_CHECKED, "nothing could be put");
		check_next(s);
		return;
	}
	ask_get(s, s->key, s->c->small, SMALL, on_got);
}

/* --- list, and what is not there --- */

static void on_list(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	bool seen = false;
	s->list.prefix = NULL; /* what is asked from here on is no list */
	for (uint32_t i = 0; i < out->nrows; i++) {
		seen = seen || strcmp(out->rows[i].key, s->key) == 0;
	}
	if (out->err.cls != DIF_OK) {
		fail(s, "may list", &out->err, RIGHT_LIST);
	} else if (s->has_small && check_is_http(s) && !seen) {
		check_tell(s, "may list", DIF_WARNING,
		           "the list does not show what was just put: repairs will be late");
	} else {
		check_tell(s, "may list", DIF_GO, "yes");
	}
	check_next(s);
}

static void list(struct subject *s)
{
	const char *prefix =
		dif_arena_fmt(&s->arena, "%s.difusor/check-%s-", s->d->config->prefix, s->nonce);
	s->list = (struct dif_list){.prefix = prefix, .max = dif_instance_caps(s->i)->list_max};
	check_op(s, DIF_LIST, &s->list, QUESTION_MS, on_list);
}

static void on_missing(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls == DIF_NOT_FOUND) {
		check_tell(s, "missing keys", DIF_GO, "are told as missing");
	} else if (out->err.cls == DIF_AUTH) {
		check_tell(s, "missing keys", DIF_NO_GO,
		           "a key that is not there is answered with %d instead of 404: the list "
		           "permission is missing; %s",
		           out->err.status, needs(s, RIGHT_LIST));
	} else if (out->err.cls == DIF_OK) {
		check_tell(s, "missing keys", DIF_NO_GO,
		           "a key that nobody wrote is said to be there; the address is not that "
		           "of the store itself");
	} else {
		check_fail(s, "missing keys", &out->err, NULL);
	}
	check_next(s);
}

static void head_missing(struct subject *s)
{
	s->get = (struct dif_get){.key = key_of(s, "nothing")};
	check_op(s, DIF_HEAD, &s->get, QUESTION_MS, on_missing);
}

/* --- latency --- */

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

static void tell_latency(struct subject *s)
{
	char span[DIF_DATE_MAX];
	qsort(s->took, s->ntook, sizeof *s->took, by_time);
	int64_t median = (s->took[(s->ntook - 1) / 2] + s->took[s->ntook / 2]) / 2;
	check_tell(s, "latency", median > SLOW_MS ? DIF_WARNING : DIF_GO,
	           "%s, the median of %u small heads%s", dif_span(span, median), s->ntook,
	           median > SLOW_MS ? "; thousands of objects will take long" : "");
}

static void head_small(struct subject *s);

static void on_head(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls != DIF_OK && out->err.cls != DIF_NOT_FOUND && out->err.cls != DIF_AUTH) {
		check_fail(s, "latency", &out->err, NULL);
		check_next(s);
		return;
	}
	s->took[s->ntook++] = out->took_ms;
	s->took_all += out->took_ms;
	if (s->ntook < HEADS && s->took_all < QUESTION_MS) {
		head_small(s);
		return;
	}
	tell_latency(s);
	check_next(s);
}

static void head_small(struct subject *s)
{
	s->get = (struct dif_get){.key = s->key};
	check_op(s, DIF_HEAD, &s->get, QUESTION_MS - s->took_all, on_head);
}

/* --- conditional writes --- */

static void on_late(uv_timer_t *t)
{
	struct subject *s = t->data;
	s->late = true;
	dif_probe_cancel(s->probe);
}

static void on_probed(void *data, const struct dif_error *err)
{
	struct subject *s = data;
	uv_timer_stop(&s->timer);
	s->probe = NULL;
	if (s->late) {
		check_tell(s, "conditions", DIF_NO_GO, "the questions took longer than %d s",
		           QUESTION_MS / 1000);
	} else if (err->cls != DIF_OK) {
		fail(s, "conditions", err, RIGHT_PUT);
	} else if (s->d->fence == DIF_FENCED) {
		check_tell(s, "conditions", DIF_GO, "on writes are kept%s%s",
		           s->d->bare_tags ? ", tags without quotes" : "",
		           s->d->whole_only ? ", but not on parts: large objects go whole" : "");
	} else {
		check_tell(s, "conditions", DIF_WARNING,
		           "on writes are not kept: only one agent may publish here");
	}
	check_next(s);
}

static void probe_writes(struct subject *s)
{
	if (!s->has_small) {
		check_tell(s, "conditions", DIF_NOT_CHECKED, "nothing could be put");
		check_next(s);
		return;
	}
	s->probe = dif_probe_start(s->d, NULL, on_probed, s);
	if (s->probe == NULL) {
		check_tell(s, "conditions", DIF_NOT_CHECKED, "out of memory");
		check_next(s);
		return;
	}
	uv_timer_start(&s->timer, on_late, QUESTION_MS, 0);
}

/* --- throughput --- */

static double rate(int64_t ms)
{
	return (double)BIG * 1000 / (double)(ms > 0 ? ms : 1);
}

static void on_big_got(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	char up[DIF_DATE_MAX], down[DIF_DATE_MAX];
	if (out->err.cls != DIF_OK) {
		check_fail(s, "throughput", &out->err, NULL);
	} else if (!is_same(s)) {
		check_tell(s, "throughput", DIF_NO_GO, "what came back is not what was put");
	} else {
		double get = rate(out->took_ms);
		bool slow = s->put_rate < SLOW_RATE || get < SLOW_RATE;
		check_tell(s, "throughput", slow ? DIF_WARNING : DIF_GO,
		           "4 MiB put at %s/s, got at %s/s%s",
		           dif_amount(up, (uint64_t)s->put_rate), dif_amount(down, (uint64_t)get),
		           slow ? "; a large package will take minutes" : "");
	}
	check_next(s);
}

static void get_big(struct subject *s)
{
	if (!s->has_big) {
		check_next(s);
		return;
	}
	ask_get(s, s->big_key, s->c->big, BIG, on_big_got);
}

static void on_big_put(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	s->put_rate = rate(out->took_ms);
	s->has_big = out->err.cls == DIF_OK;
	if (!s->has_big) {
		check_fail(s, "throughput", &out->err, NULL);
	}
	check_next(s);
}

static void put_big(struct subject *s)
{
	if (!s->has_small) {
		check_tell(s, "throughput", DIF_NOT_CHECKED, "nothing could be put");
		check_next(s);
		return;
	}
	dif_blob_of_bytes(&s->big, s->c->big, BIG, dif_instance_caps(s->i));
	ask_put(s, s->big_key, &s->big, on_big_put);
}

/* --- delete --- */

static void on_removed(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	struct dif_error err = out->err;
	const char *key = s->remove.keys[0];
	if (err.cls == DIF_OK && out->nitems > 0 && out->items[0].cls != DIF_OK &&
	    out->items[0].cls != DIF_NOT_FOUND) {
		const char *what = out->items[0].what;
		dif_error_set(&err, out->items[0].cls, "could not remove '%s': %s", key,
		              what != NULL && *what != '\0' ? what : "the store refuses it");
	}
	if (err.cls != DIF_OK) {
		fail(s, "may delete", &err, RIGHT_REMOVE);
		check_tell(s, "left behind", DIF_WARNING, "'%s' is still there; delete it by hand",
		           key);
	} else if (key == s->key) {
		check_tell(s, "may delete", DIF_GO, "what was put is removed");
	}
	check_next(s);
}

static void ask_remove(struct subject *s, const char *const *key)
{
	s->remove = (struct dif_remove){.keys = key, .n = 1};
	check_op(s, DIF_REMOVE, &s->remove, QUESTION_MS, on_removed);
}

static void remove_big(struct subject *s)
{
	if (s->put_rate == 0) { /* nothing was sent */
		check_next(s);
		return;
	}
	ask_remove(s, &s->big_key);
}

static void remove_small(struct subject *s)
{
	if (!s->has_small) {
		check_tell(s, "may delete", DIF_NOT_CHECKED, "nothing could be put");
		check_next(s);
		return;
	}
	ask_remove(s, &s->key);
}

/* --- how objects are stored --- */

static bool stores_gzip(const struct subject *s)
{
	const struct dif_config *c = s->c->setup->config;
	const char *own = s->d->config->store_as;
	bool found = own != NULL && strcmp(own, "gzip") == 0;
	for (uint32_t i = 0; own == NULL && i < c->nclasses; i++) {
		found = found || c->classes[i].store_as == DIF_GZIP;
	}
	return found;
}

static void tell_forms(struct subject *s)
{
	if (stores_gzip(s) && strcmp(dif_instance_offer(s->i)->name, "gcs") == 0) {
		check_tell(s, "store_as", DIF_GO,
		           "gzip is harmless here: the store unpacks it for clients that did not "
		           "ask for it");
	} else if (stores_gzip(s)) {
		check_tell(s, "store_as", DIF_WARNING,
		           "gzip is sent even to clients that did not ask for it; browsers cope, "
		           "for programs use store_as = identity");
	}
	check_next(s);
}

check_ask *const check_store_asks[] = {
	check_reach,      put_small,    get_small,       list,        head_missing,
	head_small,       probe_writes, put_big,         get_big,     check_public_list,
	check_public_get, remove_big,   remove_small,    tell_forms,  check_live,
	check_site,       check_embed,  check_deep_link, check_kinds, check_rand,
	check_protection, NULL,
};
