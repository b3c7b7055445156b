/* inject - see the header. What a fault strikes becomes a held call with a timer of its own: the
 * time after which it is answered here, or sent on to the transport that was there before.
 */
#include "host/inject.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/list.h"
#include "host/crypto.h"

#define SILENCE_MS 60000 /* where neither request nor policy has a limit */

struct dif_injector {
	struct dif_engine *e;
	struct dif_transport before;
	struct dif_messenger messenger_before;
	struct dif_injection **v;
	uint32_t n, cap;
	struct dif_link held;
	uv_timer_t gate; /* so that its end, too, comes on the loop */
	uint32_t open;   /* timers */
	bool closing;
	void (*closed)(void *data);
	void *closed_data;
	struct dif_error file_error;
};

/* A call that was struck. What the caller holds is this, under the name of the inner call's
 * type. */
struct held {
	struct dif_link link;
	struct dif_injector *f;
	struct dif_injection *fault; /* NULL: it was lifted for good */
	uint32_t effect;
	uv_timer_t timer;
	bool canceled, ended;

	struct dif_http_request req;
	char *text; /* method and URL */
	struct dif_field *fields;
	dif_http_cb *cb;
	struct dif_http_call *inner;
	struct dif_sink sink; /* CORRUPT: before the caller's */
	struct dif_sink *sink_before;
	bool flipped;

	const struct dif_exchange_call *message;
	struct dif_exchange_call message_copy;
	void (*message_cb)(void *data, const struct dif_reply *r, const struct dif_error *err);
	struct dif_message_run *inner_message;
	const struct dif_http_policy *policy;
	void *data;
};

/* --- what is struck --- */

/* Of "https://host:port/path": "host:port". */
static void authority_of(const char *url, const char **p, size_t *n)
{
	const char *scheme = strstr(url, "://");
	*p = scheme != NULL ? scheme + 3 : url;
	*n = strcspn(*p, "/?#");
}

static bool has_authority(const struct dif_injection *f, const char *p, size_t n)
{
	for (uint32_t i = 0; i < f->nauthorities; i++) {
		if (strlen(f->authorities[i]) == n && strncasecmp(f->authorities[i], p, n) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_policy(const struct dif_injection *f, const struct dif_http_policy *policy)
{
	for (uint32_t i = 0; i < f->npolicies; i++) {
		if (f->policies[i] == policy) {
			return true;
		}
	}
	return false;
}

static bool by_chance(const struct dif_injection *f)
{
	uint8_t chance = 0;
	return f->percent == 0 ||
	       (dif_random(&chance, sizeof chance) && chance * 100u < f->percent * 256u);
}

static struct dif_injection *find(struct dif_injector *all, const struct dif_http_policy *policy,
                                  const char *authority, size_t n, const char *method)
{
	for (uint32_t i = 0; i < all->n; i++) {
		struct dif_injection *f = all->v[i];
		if ((has_policy(f, policy) || has_authority(f, authority, n)) &&
		    (f->method == NULL || method == NULL || strcmp(f->method, method) == 0) &&
		    by_chance(f)) {
			return f;
		}
	}
	return NULL;
}

/* --- the end of a held call --- */

static void check_closed(struct dif_injector *f)
{
	if (f->closing && f->open == 0) {
		f->e->transport = f->before;
		f->e->messenger = f->messenger_before;
		f->e->injector = NULL;
		f->closed(f->closed_data);
		free(f->v);
		free(f);
	}
}

static void on_gate_closed(uv_handle_t *t)
{
	struct dif_injector *f = t->data;
	f->open--;
	check_closed(f);
}

static void on_timer_closed(uv_handle_t *t)
{
	struct held *h = t->data;
	struct dif_injector *f = h->f;
	free(h->text);
	free(h->fields);
	free(h);
	f->open--;
	check_closed(f);
}

static void end(struct held *h)
{
	h->ended = true;
	dif_list_remove(&h->link);
	uv_close((uv_handle_t *)&h->timer, on_timer_closed);
}

static void answer(struct held *h, const struct dif_http_response *r)
{
	end(h);
	h->cb(h->data, r);
}

/* "could not reach 'HOST': WHY" */
static void set_error(const struct held *h, struct dif_error *err, enum dif_class cls,
                      const char *why)
{
	const char *p = h->message != NULL ? h->message->peer : NULL;
	size_t n = p != NULL ? strlen(p) : 0;
	if (p == NULL) {
		authority_of(h->req.url, &p, &n);
	}
	dif_error_set(err, cls, "could not reach '%.*s': %s", (int)n, p, why);
}

static const struct failure {
	enum dif_class cls;
	const char *why;
} failures[] = {
	[DIF_INJECT_REFUSED] = {DIF_TRANSIENT, "connection refused (a drill)"},
	[DIF_INJECT_SILENT] = {DIF_TRANSIENT, "there was no answer in time (a drill)"},
	[DIF_INJECT_SLOW] = {DIF_TRANSIENT, "connection reset (a drill)"},
	[DIF_INJECT_STATUS] = {DIF_TRANSIENT, "connection refused (a drill)"},
	[DIF_INJECT_EXPIRED] = {DIF_PERMANENT, "its certificate has expired (a drill)"},
	[DIF_INJECT_CORRUPT] = {DIF_TRANSIENT, "connection reset (a drill)"},
	[DIF_INJECT_BODY] = {DIF_TRANSIENT, "connection refused (a drill)"},
};

static void fail(struct held *h)
{
	struct dif_http_response r = {.retry_after_ms = -1, .body = {"", 0}};
	const struct failure *f = &failures[h->effect];
	set_error(h, &r.err, h->canceled ? DIF_CANCELED : f->cls,
	          h->canceled ? "it was canceled" : f->why);
	r.sent = h->effect == DIF_INJECT_SILENT;
	answer(h, &r);
}

static void answer_status(struct held *h)
{
	static const char body[] = "{\"error\":\"a drill\"}";
	char after[16] = "";
	struct dif_field fields[] = {{"content-type", "application/json"}, {"retry-after", after}};
	struct dif_http_response r = {.status = h->fault->status,
	                              .sent = true,
	                              .fields = fields,
	                              .nfields = 1,
	                              .body = {body, sizeof body - 1},
	                              .retry_after_ms = -1};
	if (h->fault->retry_after_s != 0) {
		(void)snprintf(after, sizeof after, "%u", h->fault->retry_after_s);
		r.nfields = 2;
		r.retry_after_ms = h->fault->retry_after_s * 1000LL;
	}
	answer(h, &r);
}

/* As host/http does: what has a sink gets its body there. */
static void sink_body(struct held *h, struct dif_http_response *r)
{
	struct dif_sink *to = h->req.sink;
	if (to->begin(to, h->req.sink_offset, &r->err) &&
	    to->write(to, r->body.p, (size_t)r->body.n, &r->err)) {
		r->sunk = r->body.n;
	} else {
		r->status = 0;
	}
	r->body = (struct dif_bytes){"", 0};
}

static void answer_body(struct held *h)
{
	struct dif_http_response r = {.status = 200, .sent = true, .retry_after_ms = -1};
	if (!h->fault->body(h->fault->data, &h->req, &r)) {
		fail(h);
		return;
	}
	if (h->req.sink != NULL && r.status == 200) {
		sink_body(h, &r);
	}
	answer(h, &r);
}

/* --- through to the peer --- */

static void on_inner(void *data, const struct dif_http_response *r)
{
	struct held *h = data;
	struct dif_http_response own = *r;
	h->inner = NULL;
	char *body = NULL;
	if (h->effect == DIF_INJECT_CORRUPT && !h->flipped && r->body.n > 0) {
		body = malloc((size_t)r->body.n + 1);
		assert(body != NULL);
		memcpy(body, r->body.p, (size_t)r->body.n);
		body[r->body.n] = '\0';
		body[r->body.n / 2] ^= 1;
		own.body.p = body;
	}
	answer(h, &own);
	free(body);
}

static bool begin_sink(struct dif_sink *s, uint64_t offset, struct dif_error *err)
{
	struct held *h = DIF_ENTRY(s, struct held, sink);
	return h->sink_before->begin(h->sink_before, offset, err);
}

static bool write_sink(struct dif_sink *s, const void *p, size_t n, struct dif_error *err)
{
	struct held *h = DIF_ENTRY(s, struct held, sink);
	char *copy = n > 0 && !h->flipped ? malloc(n) : NULL;
	if (copy == NULL) {
		return h->sink_before->write(h->sink_before, p, n, err);
	}
	memcpy(copy, p, n);
	copy[n / 2] ^= 1;
	h->flipped = true;
	bool good = h->sink_before->write(h->sink_before, copy, n, err);
	free(copy);
	return good;
}

static void send_on(struct held *h)
{
	if (h->effect == DIF_INJECT_CORRUPT && h->req.sink != NULL) {
		h->sink_before = h->req.sink;
		h->sink = (struct dif_sink){.begin = begin_sink, .write = write_sink};
		h->req.sink = &h->sink;
	}
	h->inner = h->f->before.start(h->f->before.self, &h->req, on_inner, h);
}

/* --- messages --- */

static void answer_message(struct held *h, const struct dif_reply *r, const struct dif_error *err)
{
	end(h);
	h->message_cb(h->data, r, err);
}

static void fail_message(struct held *h)
{
	struct dif_error err = {0};
	const struct failure *f = &failures[h->effect];
	set_error(h, &err, h->canceled ? DIF_CANCELED : f->cls,
	          h->canceled ? "it was canceled" : f->why);
	struct dif_reply r = {.size = sizeof r, .cls = err.cls, .body = {"", 0}};
	answer_message(h, &r, &err);
}

static void on_inner_message(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct held *h = data;
	h->inner_message = NULL;
	answer_message(h, r, err);
}

static void go_message(struct held *h)
{
	if (h->effect == DIF_INJECT_SLOW && !h->canceled && !h->f->closing) {
		h->inner_message = h->f->messenger_before.start(
			h->f->messenger_before.self, h->message, h->policy, on_inner_message, h);
	} else {
		fail_message(h);
	}
}

/* --- the beginning --- */

static void on_timer(uv_timer_t *t)
{
	struct held *h = t->data;
	if (h->message != NULL) {
		go_message(h);
		return;
	}
	if (h->canceled || h->f->closing || h->fault == NULL) {
		fail(h);
		return;
	}
	switch ((enum dif_inject_effect)h->effect) {
	case DIF_INJECT_SLOW:
	case DIF_INJECT_CORRUPT:
		send_on(h);
		break;
	case DIF_INJECT_STATUS:
		answer_status(h);
		break;
	case DIF_INJECT_BODY:
		answer_body(h);
		break;
	case DIF_INJECT_REFUSED:
	case DIF_INJECT_SILENT:
	case DIF_INJECT_EXPIRED:
		fail(h);
		break;
	}
}

static struct held *hold(struct dif_injector *f, struct dif_injection *fault, uint32_t limit_ms,
                         const struct dif_http_policy *policy, void *data)
{
	struct held *h = calloc(1, sizeof *h);
	assert(h != NULL); /* as in host/http: a caller that gets no call would wait for ever */
	uint32_t own = policy != NULL ? policy->timeout_ms : 0;
	uint32_t limit = limit_ms != 0 ? limit_ms : own != 0 ? own : SILENCE_MS;
	uint64_t wait = fault->effect == DIF_INJECT_SLOW ? fault->delay_ms : 0;
	h->f = f;
	h->fault = fault;
	h->effect = fault->effect;
	if (fault->effect == DIF_INJECT_SILENT || wait >= limit) {
		wait = limit;
		h->effect = DIF_INJECT_SILENT;
	}
	h->policy = policy;
	h->data = data;
	fault->struck++;
	dif_list_add(&f->held, &h->link);
	int rc = uv_timer_init(&f->e->loop, &h->timer);
	assert(rc == 0);
	h->timer.data = h;
	f->open++;
	rc = uv_timer_start(&h->timer, on_timer, wait, 0);
	assert(rc == 0);
	return h;
}

/* Method, URL and fields are the caller's only until start returns. */
static void copy_request(struct held *h, const struct dif_http_request *req)
{
	size_t size = strlen(req->method) + strlen(req->url) + 2;
	for (uint32_t i = 0; i < req->nfields; i++) {
		size += strlen(req->fields[i].name) + strlen(req->fields[i].value) + 2;
	}
	h->req = *req;
	h->text = malloc(size);
	h->fields = calloc(req->nfields + 1, sizeof *h->fields);
	assert(h->text != NULL && h->fields != NULL);
	char *at = h->text;
	h->req.method = at;
	at = stpcpy(at, req->method) + 1;
	h->req.url = at;
	at = stpcpy(at, req->url) + 1;
	for (uint32_t i = 0; i < req->nfields; i++) {
		h->fields[i].name = at;
		at = stpcpy(at, req->fields[i].name) + 1;
		h->fields[i].value = at;
		at = stpcpy(at, req->fields[i].value) + 1;
	}
	h->req.fields = h->fields;
}

static struct dif_http_call *start(void *self, const struct dif_http_request *req, dif_http_cb *cb,
                                   void *data)
{
	struct dif_injector *f = self;
	const char *p = NULL;
	size_t n = 0;
	authority_of(req->url, &p, &n);
	struct dif_injection *fault = f->n > 0 ? find(f, req->policy, p, n, req->method) : NULL;
	struct dif_http_response given = {.status = 200};
	if (fault == NULL ||
	    (fault->effect == DIF_INJECT_BODY && !fault->body(fault->data, req, &given))) {
		return f->before.start(f->before.self, req, cb, data);
	}
	struct held *h = hold(f, fault, req->timeout_ms, req->policy, data);
	h->cb = cb;
	copy_request(h, req);
	return (struct dif_http_call *)(void *)h;
}

static struct held *find_held(const struct dif_injector *f, const void *call)
{
	for (struct dif_link *l = f->held.next; l != &f->held; l = l->next) {
		struct held *h = DIF_ENTRY(l, struct held, link);
		if (h == call) {
			return h;
		}
	}
	return NULL;
}

static void cancel_held(struct held *h)
{
	h->canceled = true;
	if (h->inner != NULL) {
		h->f->before.cancel(h->f->before.self, h->inner);
	} else if (h->inner_message != NULL) {
		h->f->messenger_before.cancel(h->f->messenger_before.self, h->inner_message);
	} else {
		int rc = uv_timer_start(&h->timer, on_timer, 0, 0);
		assert(rc == 0);
	}
}

static void cancel(void *self, struct dif_http_call *call)
{
	struct dif_injector *f = self;
	struct held *h = find_held(f, call);
	if (h != NULL) {
		cancel_held(h);
	} else {
		f->before.cancel(f->before.self, call);
	}
}

static struct dif_message_run *start_message(
	void *self, const struct dif_exchange_call *call, const struct dif_http_policy *policy,
	void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err), void *data)
{
	struct dif_injector *f = self;
	struct dif_injection *fault =
		f->n > 0 ? find(f, policy, call->peer, strlen(call->peer), NULL) : NULL;
	if (fault == NULL || fault->effect == DIF_INJECT_BODY ||
	    fault->effect == DIF_INJECT_CORRUPT) {
		return f->messenger_before.start(f->messenger_before.self, call, policy, cb, data);
	}
	struct held *h = hold(f, fault, call->timeout_ms, policy, data);
	h->message_cb = cb;
	h->message_copy = *call;
	h->message = &h->message_copy;
	h->text = malloc(strlen(call->peer) + 1 + call->send.n);
	assert(h->text != NULL);
	h->message_copy.peer = h->text;
	h->message_copy.send.p = stpcpy(h->text, call->peer) + 1;
	memcpy(h->text + strlen(call->peer) + 1, call->send.p, call->send.n);
	return (struct dif_message_run *)(void *)h;
}

static void cancel_message(void *self, struct dif_message_run *run)
{
	struct dif_injector *f = self;
	struct held *h = find_held(f, run);
	if (h != NULL) {
		cancel_held(h);
	} else {
		f->messenger_before.cancel(f->messenger_before.self, run);
	}
}

struct dif_injector *dif_injector_open(struct dif_engine *e)
{
	struct dif_injector *f = calloc(1, sizeof *f);
	if (f == NULL) {
		return NULL;
	}
	f->e = e;
	f->before = e->transport;
	f->messenger_before = e->messenger;
	dif_list_init(&f->held);
	int rc = uv_timer_init(&e->loop, &f->gate);
	assert(rc == 0);
	f->gate.data = f;
	f->open = 1;
	e->transport = (struct dif_transport){.start = start, .cancel = cancel, .self = f};
	e->messenger =
		(struct dif_messenger){.start = start_message, .cancel = cancel_message, .self = f};
	e->injector = f;
	return f;
}

void dif_injector_close(struct dif_injector *f, void (*closed)(void *data), void *data)
{
	f->closing = true;
	f->closed = closed;
	f->closed_data = data;
	f->n = 0;
	for (struct dif_link *l = f->held.next; l != &f->held; l = l->next) {
		struct held *h = DIF_ENTRY(l, struct held, link);
		if (h->inner == NULL && h->inner_message == NULL) {
			int rc = uv_timer_start(&h->timer, on_timer, 0, 0);
			assert(rc == 0);
		}
	}
	uv_close((uv_handle_t *)&f->gate, on_gate_closed);
}

void dif_injector_set(struct dif_injector *f, struct dif_injection *fault)
{
	if (f->n == f->cap) {
		uint32_t cap = f->cap > 0 ? f->cap * 2 : 4;
		struct dif_injection **v = realloc(f->v, cap * sizeof(struct dif_injection *));
		assert(v != NULL);
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = fault;
}

void dif_injector_lift(struct dif_injector *f, struct dif_injection *fault)
{
	uint32_t left = 0;
	for (uint32_t i = 0; i < f->n; i++) {
		if (f->v[i] != fault) {
			f->v[left++] = f->v[i];
		}
	}
	f->n = left;
	for (struct dif_link *l = f->held.next; l != &f->held; l = l->next) {
		struct held *h = DIF_ENTRY(l, struct held, link);
		if (h->fault == fault) {
			h->fault = NULL; /* what is held ends as its effect says */
		}
	}
}

const struct dif_error *dif_injector_of_file(struct dif_injector *f,
                                             const struct dif_http_policy *policy)
{
	struct dif_injection *fault = f->n > 0 ? find(f, policy, "", 0, NULL) : NULL;
	if (fault == NULL || fault->effect == DIF_INJECT_SLOW || fault->effect == DIF_INJECT_BODY ||
	    fault->effect == DIF_INJECT_CORRUPT) {
		return NULL;
	}
	fault->struck++;
	dif_error_set(&f->file_error, failures[fault->effect].cls, "could not use the folder: %s",
	              fault->effect == DIF_INJECT_STATUS ? "permission denied (a drill)"
	                                                 : "input/output error (a drill)");
	return &f->file_error;
}
