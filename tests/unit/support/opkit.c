#include "unit/support/opkit.h"

#include <stdio.h>
#include <stdlib.h>

#include "support.h"

static const struct dif_host *const host = &dif_host_services;

struct self {
	const char *token;
};

/* --- the plug-in --- */

static void ask(struct dif_op *op, const char *method, const char *path,
                const struct dif_http *more, dif_step *next)
{
	struct dif_field fields[12];
	struct dif_http h = *more;
	uint32_t n = 0;
	for (uint32_t k = 0; k < more->nfields; k++) {
		fields[n++] = more->fields[k];
	}
	fields[n++] = (struct dif_field){"x-now", host->date(op, DIF_DATE_EPOCH, host->now(op))};
	if (op->cred->part[0][0] != '\0') {
		fields[n++] = (struct dif_field){"authorization", op->cred->part[0]};
	}
	h.method = method;
	h.url = host->fmt(op, "https://b.example/%s", path);
	h.fields = fields;
	h.nfields = n;
	host->http(op, &h, next);
}

static const char *path_of(struct dif_op *op, const char *key)
{
	return host->enc(op, DIF_PATH, key, strlen(key));
}

static void on_object(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	struct dif_result res = {.object = {.key = in->key, .meta_known = 1}};
	if (r->status == 304) {
		res.not_modified = 1;
		host->done(op, &res);
		return;
	}
	if (!host->good(op, r)) {
		return;
	}
	res.object.tag = host->field(r, "etag", 0);
	res.object.size = r->sunk;
	res.total = r->sunk;
	res.object.nmeta = host->metas(op, r, "x-meta-", &res.object.meta);
	host->done(op, &res);
}

static void head(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	ask(op, "HEAD", path_of(op, in->key), &(struct dif_http){0}, on_object);
}

static void get(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	ask(op, "GET", path_of(op, in->key),
	    &(struct dif_http){.sink = in->sink, .sink_offset = in->offset, .sink_tag = in->if_tag},
	    on_object);
}

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_put *in = op->in;
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.object = {.key = in->key,
		                                               .tag = host->field(r, "etag", 0)}});
	}
}

static void put(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	struct dif_field fields[8];
	uint32_t n = 0;
	for (uint32_t k = 0; k < in->nmeta; k++) {
		fields[n++] = (struct dif_field){host->fmt(op, "x-meta-%s", in->meta[k].name),
		                                 in->meta[k].value};
	}
	if (in->if_tag != NULL) {
		fields[n++] = (struct dif_field){"if-match", in->if_tag};
	}
	if (in->if_absent) {
		fields[n++] = (struct dif_field){"if-none-match", "*"};
	}
	struct dif_piece piece = {.blob = in->blob, .length = in->blob->size};
	ask(op, "PUT", path_of(op, in->key),
	    &(struct dif_http){.fields = fields, .nfields = n, .body = &piece, .npieces = 1},
	    on_put);
}

static void on_list(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_JSON, NULL);
	const struct dif_node *row = NULL;
	if (t == NULL) {
		return;
	}
	while ((row = host->next(t, "", row)) != NULL) {
		host->object(op, &(struct dif_object){
					 .key = host->str(host->get(row, "key")),
					 .tag = "t",
					 .size = host->num(op, host->get(row, "size"), 1000)});
	}
	host->done(op, &(struct dif_result){.cursor = host->field(r, "x-next", 0)});
}

static void list(struct dif_op *op)
{
	ask(op, "POST", "?list", &(struct dif_http){0}, on_list);
}

/* The answer names a code for each key: {"a": "", "b": "SlowDown"}. */
static void on_removed(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_remove *in = op->in;
	const struct dif_node *t = host->tree(op, r, DIF_AS_JSON, NULL);
	for (uint32_t k = 0; t != NULL && k < in->n; k++) {
		const struct dif_node *n = host->get(t, in->keys[k]);
		const char *code = host->str(n);
		if (n != NULL) {
			host->item(op, &(struct dif_item){.index = k,
			                                  .cls = *code ? DIF_CLASSES : DIF_OK,
			                                  .code = code,
			                                  .what = code});
		}
	}
	if (t != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void remove_keys(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	struct dif_text *t = host->text(op);
	for (uint32_t k = 0; k < in->n; k++) {
		host->add(t, "%s%s%s;", in->keys[k], in->tags != NULL ? "=" : "",
		          in->tags != NULL ? in->tags[k] : "");
	}
	ask(op, "POST", "?remove",
	    &(struct dif_http){.body = &(struct dif_piece){.bytes = host->end(t)}, .npieces = 1},
	    on_removed);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	ask(op, "GET", "", &(struct dif_http){0}, on_probe);
}

static void on_login(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_JSON, NULL);
	if (t == NULL) {
		return;
	}
	int64_t lives = (int64_t)host->num(op, host->get(t, "lives"), 1000000);
	host->done(op,
	           &(struct dif_result){
			   .cred = {.part = {host->str(host->get(t, "token"))},
	                            .expires = lives == 0 ? INT64_MAX : host->now(op) + lives}});
}

static void login(struct dif_op *op)
{
	host->http(op, &(struct dif_http){.method = "POST", .url = "https://login.example/"},
	           on_login);
}

static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	(void)op;
	*code = host->field(r, "x-code", 0);
	*what = host->field(r, "x-what", 0);
}

static bool open_instance(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	static const char *const hosts[] = {"b.example", "login.example", NULL};
	(void)self;
	(void)o;
	caps->hosts = hosts;
	caps->flags = DIF_CAP_COND;
	caps->clock_window_s = 300;
	caps->renew_before_s = 60;
	return true;
}

static const struct dif_fault faults[] = {
	{0, "SlowDown", DIF_THROTTLED}, {400, "Expired", DIF_AUTH}, {0, NULL, DIF_OK}};

const struct dif_option opkit_options[] = {{.name = "token",
                                            .help = "a secret",
                                            .type = DIF_STRING,
                                            .flags = DIF_SECRET,
                                            .offset = offsetof(struct self, token)}};
const uint32_t opkit_noptions = DIF_LEN(opkit_options);

const struct dif_store opkit_store = {
	.c = {.size = sizeof opkit_store,
              .self_size = sizeof(struct self),
              .scratch_size = 32,
              .faults = faults,
              .explain = explain,
              .open = open_instance,
              .probe = probe},
	.list = list,
	.head = head,
	.get = get,
	.put = put,
	.remove = remove_keys,
};

static struct dif_store with_login;

static struct dif_offer offer_of(const struct dif_store *store)
{
	return (struct dif_offer){.kind = DIF_STORE,
	                          .flags = DIF_OFFER_HTTP,
	                          .name = "kit",
	                          .what = "for tests",
	                          .options = opkit_options,
	                          .noptions = opkit_noptions,
	                          .verbs = &store->c};
}

/* --- the bench --- */

struct opkit *opkit_new_with(const struct dif_offer *offer)
{
	struct dif_error err = {0};
	struct opkit *k = calloc(1, sizeof *k);
	assert_non_null(k);
	k->e = dif_engine_new(&err);
	assert_non_null(k->e);
	k->s = script_new(k->e);
	k->i = dif_instance_open(k->e, offer, NULL, "store eu", &err);
	if (k->i == NULL) {
		fail_msg("%s", err.text);
	}
	return k;
}

struct opkit *opkit_new(bool login_too)
{
	static struct dif_offer offers[2];
	with_login = opkit_store;
	with_login.c.login = login;
	offers[0] = offer_of(&opkit_store);
	offers[1] = offer_of(&with_login);
	return opkit_new_with(&offers[login_too]);
}

static void on_closed(void *data)
{
	((struct opkit *)data)->is_closed = true;
}

void opkit_close(struct opkit *k)
{
	dif_instance_close(k->i, on_closed, k);
	k->i = NULL;
}

void opkit_free(struct opkit *k)
{
	if (k->i != NULL) {
		opkit_close(k);
	}
	dif_engine_run(k->e);
	assert_true(k->is_closed);
	script_free(k->s);
	dif_engine_free(k->e);
	free(k);
}

static void on_too_late(uv_timer_t *t)
{
	*(bool *)t->data = true;
}

static bool has_calls(const void *data, size_t n)
{
	return *(const unsigned *)data >= n;
}

static bool has_asked(const void *data, size_t n)
{
	return script_count(data) >= n;
}

static void until(struct opkit *k, bool (*is_done)(const void *, size_t), const void *data,
                  size_t n)
{
	bool late = false;
	uv_timer_t t;
	uv_timer_init(&k->e->loop, &t);
	t.data = &late;
	uv_timer_start(&t, on_too_late, 20000, 0);
	while (!is_done(data, n) && !late) {
		uv_run(&k->e->loop, UV_RUN_ONCE);
	}
	uv_close((uv_handle_t *)&t, NULL);
	uv_run(&k->e->loop, UV_RUN_NOWAIT);
	assert_false(late);
}

void opkit_until(struct opkit *k, const unsigned *calls, unsigned n)
{
	until(k, has_calls, calls, n);
}

void opkit_until_asked(struct opkit *k, size_t n)
{
	until(k, has_asked, k->s, n);
}

void opkit_turn(struct opkit *k)
{
	for (int turn = 0; turn < 5; turn++) {
		uv_run(&k->e->loop, UV_RUN_NOWAIT);
	}
}

void on_seen(void *data, const struct dif_outcome *out)
{
	struct seen *s = data;
	s->calls++;
	s->err = out->err;
	s->attempts = out->attempts;
	s->nrows = out->nrows;
	s->nitems = out->nitems;
	for (uint32_t n = 0; n < out->nitems && n < DIF_LEN(s->item_cls); n++) {
		assert_int_equal(out->items[n].index, n);
		s->item_cls[n] = out->items[n].cls;
		snprintf(s->item_what[n], sizeof s->item_what[n], "%s", out->items[n].what);
	}
	const struct dif_object *o = &out->result.object;
	snprintf(s->tag, sizeof s->tag, "%s", o->tag != NULL ? o->tag : "");
	snprintf(s->key, sizeof s->key, "%s",
	         out->nrows > 0   ? out->rows[out->nrows - 1].key
	         : o->key != NULL ? o->key
	                          : "");
	s->size = o->size;
	s->total = out->result.total;
	s->unknown = out->unknown;
	s->not_modified = out->result.not_modified != 0;
	if (s->then != NULL) {
		s->then(s);
	}
}

struct dif_op_run *opkit_get(struct opkit *k, const char *key, struct seen *s)
{
	static struct dif_get ins[64];
	static unsigned turn;
	struct dif_get *in = &ins[turn++ % DIF_LEN(ins)];
	*in = (struct dif_get){.key = key};
	return dif_op_start(k->i, DIF_GET, in, 0, on_seen, s);
}

void putting_init(struct putting *p, const char *key, const char *if_tag, bool if_absent)
{
	*p = (struct putting){
		.meta = {{DIF_META_EPOCH, "0"}, {DIF_META_ORDER, "7"}, {DIF_META_SHA256, "aa"}}};
	dif_body_bytes_init(&p->body, "hello", 5);
	p->blob = (struct dif_blob){.size = 5, .host = (uint64_t)(uintptr_t)&p->body.body};
	p->in = (struct dif_put){.key = key,
	                         .blob = &p->blob,
	                         .meta = p->meta,
	                         .nmeta = 3,
	                         .if_tag = if_tag,
	                         .if_absent = if_absent};
}
