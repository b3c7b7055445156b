/* memory_store - a store in memory in the place of host/op, for tests of what stands on it: a test
 * that includes this file links no real op. One file may include it per executable.
 *
 * It keeps conditions, metadata and headers as a good store does, and does on demand what bad ones
 * do. What it is asked is kept in order. Requests are answered on the loop, in order.
 */
#ifndef DIF_TESTS_MEMORY_STORE_H
#define DIF_TESTS_MEMORY_STORE_H

#include "support.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "flow/blob.h"
#include "host/body.h"
#include "host/crypto.h"
#include "host/op.h"
#include "memory_cdn.h"
#include "memory_parts.h"

#define MEM_OBJECTS 256
#define MEM_META 8
#define MEM_LOG 4096

struct mem_object {
	char key[128], tag[32];
	uint8_t *p; /* NULL: n zeros */
	size_t n;
	char type[64], encoding[32], cache[128];
	char name[MEM_META][32], value[MEM_META][80];
	uint32_t nmeta;
};

struct mem_line {
	enum dif_verb_id verb;
	char key[128];
	bool if_tag, if_absent;
	uint32_t number; /* of a part */
	enum dif_class cls;
};

struct dif_op_run {
	struct dif_link link;
	struct dif_instance *store;
	enum dif_verb_id verb;
	const void *in;
	dif_op_cb *cb;
	void *data;
	bool canceled, waiting;
	struct dif_body_stream *stream;
	uint8_t *body;
	size_t nbody;
};

struct dif_instance {
	const char *name;
	struct dif_engine *engine;
	struct dif_caps caps;
	struct dif_pressure pressure;
	struct mem_object *objects[MEM_OBJECTS]; /* in no order */
	uint32_t nobjects, tags, limit;
	uint32_t full; /* how often its window was said to be full */
	struct dif_link queue;
	uv_timer_t timer;
	struct mem_line log[MEM_LOG];
	uint32_t nlog;

	bool dead;             /* answers nothing until canceled */
	const char *stuck;     /* puts of keys that begin so are not answered until canceled */
	int64_t down_since;    /* what the breaker says */
	uint32_t careless;     /* DIF_HAS bits of the digests that it does not check */
	uint32_t refused;      /* and of those that it does not take */
	bool circles;          /* behind the last page of a listing comes the first */
	bool blind;            /* ignores conditions */
	bool bare;             /* takes tags without quotes only */
	uint32_t break_after;  /* so many puts are kept as they are before */
	uint32_t break_puts;   /* the next so many puts keep other bytes */
	const char *break_key; /* of this key only; NULL: any */
	uint32_t lose_after;   /* so many puts are done and answered before */
	uint32_t lose_answers; /* the next so many puts are done, and reported as lost conditions */
	struct mem_parts parts;
	struct mem_cdn *cdn; /* NULL: a store */
	/* Called before a put is judged; may change objects as another agent would. */
	void (*before_put)(struct dif_instance *s, const struct dif_put *in);
	void *data;
};

static const struct dif_caps mem_caps = {.size = sizeof(struct dif_caps),
                                         .flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE |
                                                  DIF_CAP_LIST_META | DIF_CAP_HEADERS |
                                                  DIF_CAP_UNIQUE_TAG,
                                         .put_max = INT64_MAX,
                                         .delete_max = 3,
                                         .list_max = 4,
                                         .key_max = 1024,
                                         .meta_max = 2048,
                                         .digests = {DIF_SHA256}};

static inline struct mem_object *mem_find(const struct dif_instance *s, const char *key)
{
	for (uint32_t i = 0; i < s->nobjects; i++) {
		if (strcmp(s->objects[i]->key, key) == 0) {
			return s->objects[i];
		}
	}
	return NULL;
}

static inline void mem_drop(struct dif_instance *s, const char *key)
{
	for (uint32_t i = 0; i < s->nobjects; i++) {
		if (strcmp(s->objects[i]->key, key) == 0) {
			free(s->objects[i]->p);
			free(s->objects[i]);
			s->objects[i] = s->objects[--s->nobjects];
			return;
		}
	}
}

static inline struct mem_object *mem_set(struct dif_instance *s, const char *key, const void *p,
                                         size_t n)
{
	struct mem_object *o = mem_find(s, key);
	if (o == NULL) {
		assert_true(s->nobjects < MEM_OBJECTS);
		o = calloc(1, sizeof *o);
		assert_non_null(o);
		s->objects[s->nobjects++] = o;
		snprintf(o->key, sizeof o->key, "%s", key);
	}
	uint8_t *copy = malloc(n + 1);
	assert_non_null(copy);
	memcpy(copy, p, n);
	free(o->p);
	o->p = copy;
	o->n = n;
	o->nmeta = 0;
	o->type[0] = o->encoding[0] = o->cache[0] = '\0';
	snprintf(o->tag, sizeof o->tag, "\"%u\"", ++s->tags);
	return o;
}

static inline void mem_meta(struct mem_object *o, const char *name, const char *value)
{
	assert_true(o->nmeta < MEM_META);
	snprintf(o->name[o->nmeta], sizeof o->name[0], "%s", name);
	snprintf(o->value[o->nmeta++], sizeof o->value[0], "%s", value);
}

static inline void mem_as_object(const struct mem_object *o, struct dif_field meta[MEM_META],
                                 struct dif_object *to, bool full)
{
	*to = (struct dif_object){.key = o->key, .tag = o->tag, .size = o->n, .meta_known = full};
	for (uint32_t i = 0; full && i < o->nmeta; i++) {
		meta[i] = (struct dif_field){o->name[i], o->value[i]};
	}
	to->meta = meta;
	to->nmeta = full ? o->nmeta : 0;
	to->type = full && o->type[0] ? o->type : NULL;
	to->encoding = full && o->encoding[0] ? o->encoding : NULL;
	to->cache = full && o->cache[0] ? o->cache : NULL;
}

static inline bool mem_fits(const struct dif_instance *s, const struct mem_object *o,
                            const char *tag)
{
	if (o == NULL) {
		return false;
	}
	size_t n = strlen(o->tag);
	return s->bare ? strlen(tag) == n - 2 && strncmp(o->tag + 1, tag, n - 2) == 0
	               : strcmp(o->tag, tag) == 0;
}

/* The put of a put, or of a part. */
static inline const struct dif_put *mem_put_of(const struct dif_op_run *r)
{
	return r->verb == DIF_PUT ? r->in : ((const struct dif_part *)r->in)->put;
}

/* By the digest that guards the upload. */
static inline enum dif_class mem_judge_digest(const struct dif_op_run *r, const struct dif_put *in)
{
	uint8_t is[DIF_DIGEST_MAX];
	const struct dif_bytes *told = &in->blob->digest[in->use];
	if (r->store->refused & DIF_HAS(in->use)) {
		return DIF_PERMANENT;
	}
	if (r->store->careless & DIF_HAS(in->use)) {
		return DIF_OK;
	}
	assert_true((in->blob->has & DIF_HAS(in->use)) != 0);
	assert_true(dif_blob_hash(in->use, r->body, r->nbody, is));
	return memcmp(is, told->p, (size_t)told->n) == 0 ? DIF_OK : DIF_INTEGRITY;
}

static inline enum dif_class mem_put(struct dif_op_run *r, struct dif_object *told)
{
	struct dif_instance *s = r->store;
	const struct dif_put *in = mem_put_of(r);
	if (s->before_put != NULL) {
		s->before_put(s, in);
	}
	struct mem_object *o = mem_find(s, in->key);
	bool blind = s->blind || (r->verb == DIF_PART_FINISH && s->parts.blind);
	if (!blind && ((in->if_absent && o != NULL) ||
	               (in->if_tag != NULL && o != NULL && !mem_fits(s, o, in->if_tag)))) {
		return DIF_CONFLICT;
	}
	if (!blind && in->if_tag != NULL && o == NULL) {
		return DIF_NOT_FOUND; /* as S3 says it */
	}
	if (r->verb == DIF_PUT && in->use != DIF_NO_DIGEST) {
		enum dif_class judged = mem_judge_digest(r, in);
		if (judged != DIF_OK) {
			return judged;
		}
	}
	bool is_hollow = r->verb == DIF_PART_FINISH && s->parts.hollow;
	if (r->verb == DIF_PART_FINISH) {
		r->body = mem_part_join(&s->parts, r->in);
		r->nbody = is_hollow ? 0 : in->blob->size;
		mem_upload_drop(&s->parts, ((const struct dif_part *)r->in)->upload);
	}
	o = mem_set(s, in->key, r->body ? r->body : (const uint8_t *)"", r->nbody);
	if (is_hollow) {
		free(o->p);
		o->p = NULL;
		o->n = in->blob->size;
	}
	for (uint32_t i = 0; i < in->nmeta; i++) {
		mem_meta(o, in->meta[i].name, in->meta[i].value);
	}
	snprintf(o->type, sizeof o->type, "%s", in->type ? in->type : "");
	snprintf(o->encoding, sizeof o->encoding, "%s", in->encoding ? in->encoding : "");
	snprintf(o->cache, sizeof o->cache, "%s", in->cache ? in->cache : "");
	if (s->break_after > 0) {
		s->break_after--;
	} else if (s->break_puts > 0 && o->n > 0 &&
	           (s->break_key == NULL || strcmp(s->break_key, in->key) == 0)) {
		s->break_puts--;
		o->p[0] ^= 1;
	}
	if (s->lose_after > 0) {
		s->lose_after--;
	} else if (s->lose_answers > 0) {
		s->lose_answers--;
		return DIF_CONFLICT;
	}
	*told = (struct dif_object){.key = o->key, .tag = o->tag};
	return DIF_OK;
}

static inline int mem_by_key(const void *a, const void *b)
{
	return strcmp((*(struct mem_object *const *)a)->key, (*(struct mem_object *const *)b)->key);
}

static inline void mem_list(struct dif_op_run *r, struct dif_outcome *out, struct dif_object *rows,
                            struct dif_field meta[][MEM_META])
{
	struct dif_instance *s = r->store;
	const struct dif_list *in = r->in;
	qsort(s->objects, s->nobjects, sizeof *s->objects, mem_by_key);
	for (uint32_t i = 0; i < s->nobjects; i++) {
		struct mem_object *o = s->objects[i];
		if (strncmp(o->key, in->prefix, strlen(in->prefix)) != 0 ||
		    (in->cursor != NULL && strcmp(o->key, in->cursor) <= 0)) {
			continue;
		}
		if (out->nrows == s->caps.list_max) {
			out->result.cursor = rows[out->nrows - 1].key;
			break;
		}
		mem_as_object(o, meta[out->nrows], &rows[out->nrows],
		              (s->caps.flags & DIF_CAP_LIST_META) != 0);
		out->nrows++;
	}
	if (out->result.cursor == NULL && s->circles) {
		out->result.cursor = "";
	}
	out->rows = rows;
}

static inline void mem_sink(const struct mem_object *o, struct dif_sink *sink)
{
	static const uint8_t zeros[1 << 20];
	struct dif_error err = {0};
	for (size_t at = 0; at < o->n;) {
		size_t n = o->n - at;
		n = o->p == NULL && n > sizeof zeros ? sizeof zeros : n;
		assert_true(sink->write(sink, o->p ? o->p + at : zeros, n, &err));
		at += n;
	}
}

static inline void mem_get(struct dif_op_run *r, struct dif_outcome *out, struct dif_field *meta)
{
	const struct dif_get *in = r->in;
	const struct mem_object *o = mem_find(r->store, in->key);
	if (o == NULL) {
		dif_error_set(&out->err, DIF_NOT_FOUND, "it is not there");
		return;
	}
	mem_as_object(o, meta, &out->result.object, true);
	out->result.total = o->n;
	if (r->verb == DIF_GET && in->sink != NULL) {
		assert_true(in->sink->begin(in->sink, 0, &out->err));
		mem_sink(o, in->sink);
	}
}

static inline void mem_remove(struct dif_op_run *r, struct dif_outcome *out, struct dif_item *items)
{
	const struct dif_remove *in = r->in;
	assert_true(in->n > 0 && in->n <= r->store->caps.delete_max);
	for (uint32_t i = 0; i < in->n; i++) {
		const struct mem_object *o = mem_find(r->store, in->keys[i]);
		const char *tag = in->tags ? in->tags[i] : NULL;
		items[i] = (struct dif_item){.index = i};
		if (o != NULL && tag != NULL && !mem_fits(r->store, o, tag)) {
			items[i].cls = DIF_CONFLICT;
		} else {
			mem_drop(r->store, in->keys[i]);
		}
	}
	out->items = items;
	out->nitems = in->n;
}

static inline void mem_note(struct dif_op_run *r, enum dif_class cls)
{
	struct dif_instance *s = r->store;
	assert_true(s->nlog < MEM_LOG);
	struct mem_line *l = &s->log[s->nlog++];
	l->verb = r->verb;
	l->cls = cls;
	if (r->verb == DIF_PUT) {
		const struct dif_put *in = r->in;
		l->if_tag = in->if_tag != NULL;
		l->if_absent = in->if_absent;
		snprintf(l->key, sizeof l->key, "%s", in->key);
	} else if (r->verb >= DIF_PART_BEGIN) {
		const struct dif_part *in = r->in;
		l->if_tag = in->put->if_tag != NULL;
		l->if_absent = in->put->if_absent;
		l->number = in->number;
		snprintf(l->key, sizeof l->key, "%s", in->put->key);
	} else if (r->verb == DIF_HEAD || r->verb == DIF_GET) {
		snprintf(l->key, sizeof l->key, "%s", ((const struct dif_get *)r->in)->key);
	} else if (r->verb == DIF_REMOVE) {
		snprintf(l->key, sizeof l->key, "%s", ((const struct dif_remove *)r->in)->keys[0]);
	}
}

static inline enum dif_class mem_part(struct dif_op_run *r, struct dif_result *told)
{
	struct mem_parts *s = &r->store->parts;
	const struct dif_part *in = r->in;
	switch (r->verb) {
	case DIF_PART_BEGIN:
		told->upload = mem_part_begin(s, in);
		return DIF_OK;
	case DIF_PART_PUT:
		return mem_part_put(s, &r->store->caps, in, told);
	case DIF_PART_FINISH:
		if (s->fail_finish != DIF_OK) {
			return s->fail_finish;
		}
		return mem_upload_find(s, in->upload) != NULL ? mem_put(r, &told->object)
		                                              : DIF_NOT_FOUND;
	default:
		mem_upload_drop(s, in->upload);
		return DIF_OK;
	}
}

static inline void mem_answer(struct dif_op_run *r)
{
	struct dif_outcome out = {.attempts = 1};
	struct dif_object rows[8];
	struct dif_field meta[8][MEM_META];
	struct dif_item items[8];
	bool purges = r->verb == DIF_PURGE || r->verb == DIF_PURGE_STATE;
	if (purges && !r->canceled) {
		mem_cdn_answer(r->store->cdn, &r->store->caps, r->verb, r->in, &out);
	} else if (r->canceled) {
		dif_error_set(&out.err, DIF_CANCELED, "canceled");
		out.unknown = r->verb == DIF_PUT || r->verb == DIF_PART_FINISH;
	} else if (r->verb == DIF_PUT || r->verb >= DIF_PART_BEGIN) {
		uint32_t before = r->store->lose_answers;
		enum dif_class cls = r->verb == DIF_PUT ? mem_put(r, &out.result.object)
		                                        : mem_part(r, &out.result);
		out.unknown = r->store->lose_answers < before;
		if (cls != DIF_OK) {
			dif_error_set(&out.err, cls, "HTTP %d", cls == DIF_CONFLICT ? 412 : 404);
		}
	} else if (r->verb == DIF_LIST) {
		mem_list(r, &out, rows, meta);
	} else if (r->verb == DIF_REMOVE) {
		mem_remove(r, &out, items);
	} else if (r->verb != DIF_PROBE) {
		mem_get(r, &out, meta[0]);
	}
	if (!purges) {
		mem_note(r, out.err.cls);
	}
	r->store->pressure.in_flight--;
	r->cb(r->data, &out);
	free(r->body);
	free(r);
}

static inline void mem_ready(void *data);

/* True once the body is here, or is no longer wanted. */
static inline bool mem_read_body(struct dif_op_run *r)
{
	if (r->verb != DIF_PUT || r->canceled) {
		return true;
	}
	struct dif_body *body = dif_body_of(((const struct dif_put *)r->in)->blob);
	if (r->body == NULL) {
		r->body = malloc(body->size + 1);
		assert_non_null(r->body);
	}
	const void *view = body->ops->view(body);
	if (view != NULL || body->size == 0) {
		memcpy(r->body, view ? view : "", body->size);
		r->nbody = body->size;
		return true;
	}
	if (r->stream == NULL) {
		r->stream = body->ops->open(body, 0, mem_ready, r);
		assert_non_null(r->stream);
	}
	for (;;) {
		int64_t n = body->ops->read(r->stream, r->body + r->nbody, 64 << 10);
		if (n == DIF_BODY_LATER) {
			r->waiting = true;
			return false;
		}
		assert_true(n >= 0);
		r->nbody += (size_t)n;
		assert_true(r->nbody <= body->size);
		if (n == 0) {
			assert_int_equal(r->nbody, body->size);
			return true;
		}
	}
}

static inline void mem_close_stream(struct dif_op_run *r)
{
	if (r->stream != NULL) {
		struct dif_body *body = dif_body_of(((const struct dif_put *)r->in)->blob);
		body->ops->close(r->stream);
		r->stream = NULL;
	}
}

/* Parts wait until enough of them are there. */
static inline bool mem_is_early(const struct dif_op_run *r)
{
	const struct mem_parts *s = &r->store->parts;
	const struct dif_part *in = r->in;
	const struct mem_upload *u = mem_upload_find(s, in->upload);
	uint32_t done = u != NULL ? u->n : 0;
	return s->now < s->reversed && done + s->now < s->all;
}

static inline bool mem_is_stuck(const struct dif_op_run *r)
{
	const char *stuck = r->store->stuck;
	if (r->verb != DIF_PUT && r->verb != DIF_PART_PUT) {
		return false;
	}
	return (stuck != NULL && strncmp(mem_put_of(r)->key, stuck, strlen(stuck)) == 0) ||
	       (r->verb == DIF_PART_PUT && mem_is_early(r));
}

static inline void mem_count_parts(struct dif_instance *s)
{
	uint32_t n = 0;
	for (struct dif_link *at = s->queue.next; at != &s->queue; at = at->next) {
		n += DIF_ENTRY(at, struct dif_op_run, link)->verb == DIF_PART_PUT;
	}
	s->parts.now = n;
	s->parts.most = n > s->parts.most ? n : s->parts.most;
}

static inline void mem_on_timer(uv_timer_t *t)
{
	struct dif_instance *s = t->data;
	struct dif_link *next = NULL;
	struct dif_link now;
	dif_list_init(&now);
	mem_count_parts(s);
	for (struct dif_link *at = s->queue.next; at != &s->queue; at = next) {
		struct dif_op_run *r = DIF_ENTRY(at, struct dif_op_run, link);
		next = at->next;
		if (!r->canceled && (s->dead || r->waiting || mem_is_stuck(r))) {
			continue;
		}
		if (mem_read_body(r)) {
			mem_close_stream(r);
			dif_list_remove(&r->link);
			if (s->parts.reversed > 0 && r->verb == DIF_PART_PUT) {
				dif_list_push(&now, &r->link);
			} else {
				dif_list_add(&now, &r->link);
			}
		}
	}
	while (!dif_list_empty(&now)) {
		struct dif_op_run *r = DIF_ENTRY(now.next, struct dif_op_run, link);
		dif_list_remove(&r->link);
		mem_answer(r);
	}
}

static inline void mem_wake(struct dif_instance *s)
{
	uv_timer_start(&s->timer, mem_on_timer, 0, 0);
}

static inline void mem_ready(void *data)
{
	struct dif_op_run *r = data;
	r->waiting = false;
	mem_wake(r->store);
}

static inline void mem_open(struct dif_instance *s, struct dif_engine *e, const char *name)
{
	*s = (struct dif_instance){.name = name, .engine = e, .caps = mem_caps};
	dif_list_init(&s->queue);
	dif_pressure_init(&s->pressure, 128, 0, 0);
	uv_timer_init(&e->loop, &s->timer);
	s->timer.data = s;
}

static inline void mem_close(struct dif_instance *s)
{
	assert_true(dif_list_empty(&s->queue));
	assert_int_equal(mem_uploads(&s->parts), 0);
	mem_cdn_free(s->cdn);
	s->cdn = NULL;
	while (s->nobjects > 0) {
		mem_drop(s, s->objects[0]->key);
	}
	uv_close((uv_handle_t *)&s->timer, NULL);
}

/* The place in the log of the n-th request of a verb for a key; -1: there is none. */
static inline int mem_logged(const struct dif_instance *s, enum dif_verb_id verb, const char *key)
{
	for (uint32_t i = 0; i < s->nlog; i++) {
		if (s->log[i].verb == verb && (key == NULL || strcmp(s->log[i].key, key) == 0)) {
			return (int)i;
		}
	}
	return -1;
}

static inline uint32_t mem_count(const struct dif_instance *s, enum dif_verb_id verb,
                                 const char *key)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->nlog; i++) {
		n += s->log[i].verb == verb && (key == NULL || strcmp(s->log[i].key, key) == 0);
	}
	return n;
}

/* --- host/op, as the rooms above see it --- */

struct dif_op_run *dif_op_start(struct dif_instance *s, enum dif_verb_id verb, const void *in,
                                int64_t deadline_ms, dif_op_cb *cb, void *data)
{
	(void)deadline_ms;
	struct dif_op_run *r = calloc(1, sizeof *r);
	assert_non_null(r);
	*r = (struct dif_op_run){.store = s, .verb = verb, .in = in, .cb = cb, .data = data};
	dif_list_init(&r->link);
	dif_list_add(&s->queue, &r->link);
	s->pressure.in_flight++;
	uv_timer_start(&s->timer, mem_on_timer, 0, 0);
	return r;
}

void dif_op_cancel(struct dif_op_run *r)
{
	r->canceled = true;
	uv_timer_start(&r->store->timer, mem_on_timer, 0, 0);
}

const char *dif_instance_name(const struct dif_instance *s)
{
	return s->name;
}

const struct dif_caps *dif_instance_caps(const struct dif_instance *s)
{
	return &s->caps;
}

const struct dif_pressure *dif_instance_pressure(const struct dif_instance *s)
{
	return &s->pressure;
}

void dif_instance_full(struct dif_instance *s)
{
	s->full++;
}

void dif_instance_limit(struct dif_instance *s, uint32_t connections)
{
	s->limit = connections;
}

int64_t dif_instance_down_since(const struct dif_instance *s)
{
	return s->down_since;
}

const struct dif_error *dif_instance_trouble(const struct dif_instance *s)
{
	static const struct dif_error none;
	(void)s;
	return &none;
}

const char *dif_meta_get(const struct dif_field *meta, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(meta[i].name, name) == 0) {
			return meta[i].value;
		}
	}
	return NULL;
}

#endif
