/* wire - see the header. A call reads its body first (a stream may say "later"), then is answered,
 * then waits in `ready` for the timer that delivers. */
#include "rehearsal/wire.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/list.h"
#include "base/parse.h"

#define REPLY_MAX_DEFAULT (1u << 20)
#define READ_MAX 65536
#define RETRY_AFTER_MAX_S 86400 /* as in host/http */

struct dif_http_call {
	struct dif_wire *w;
	struct dif_link link;
	struct dif_http_request req;
	dif_http_cb *cb;
	void (*message_cb)(void *data, const struct dif_reply *r, const struct dif_error *err);
	uint32_t match; /* of a message: bytes that the answer has in common with it */
	void *data;
	struct dif_wire_seen *seen;
	struct dif_wire_reply reply;
	uint32_t piece;
	struct dif_body_stream *stream;
	uint64_t left;
	bool broken, answered;
};

struct dif_wire {
	struct dif_engine *e;
	struct dif_transport before;
	struct dif_messenger messenger_before;
	uv_timer_t timer;
	bool closed;
	size_t keep;
	struct dif_link reading, ready, held;
	struct dif_wire_seen **seen;
	size_t nseen, cap;
	dif_wire_answer *answer;
	void *data;
};

static const char zeros[READ_MAX];

static void *must(void *p)
{
	if (p == NULL) {
		abort(); /* the promise of one callback could not be kept otherwise */
	}
	return p;
}

static char *copy(const void *p, size_t n)
{
	char *to = must(malloc(n + 1));
	if (n > 0) {
		memcpy(to, p, n);
	}
	to[n] = '\0';
	return to;
}

const char *dif_wire_header(const struct dif_wire_seen *seen, const char *name, size_t n)
{
	for (uint32_t i = 0; i < seen->nfields; i++) {
		const char *have = seen->fields[i].name;
		if (strlen(have) == n && strncasecmp(have, name, n) == 0) {
			return seen->fields[i].value;
		}
	}
	return NULL;
}

static void on_timer(uv_timer_t *timer);

static void deliver_soon(struct dif_wire *w)
{
	if (!dif_list_empty(&w->ready)) {
		uv_timer_start(&w->timer, on_timer, 0, 0);
	}
}

static void line_up(struct dif_http_call *c)
{
	dif_list_remove(&c->link);
	dif_list_add(c->reply.hold ? &c->w->held : &c->w->ready, &c->link);
	deliver_soon(c->w);
}

/* --- the body --- */

static void gather(struct dif_http_call *c, const void *p, size_t n)
{
	struct dif_wire_seen *seen = c->seen;
	size_t room = c->w->keep - seen->body_n;
	size_t kept = n < room ? n : room;
	seen->body_total += n;
	if (kept == 0) {
		return;
	}
	seen->body = must(realloc(seen->body, seen->body_n + kept + 1));
	memcpy(seen->body + seen->body_n, p, kept);
	seen->body_n += kept;
	seen->body[seen->body_n] = '\0';
}

static void on_more_body(void *data);

/* True when the stream has ended, for better or worse. */
static bool read_stream(struct dif_http_call *c, struct dif_body *body)
{
	char part[READ_MAX];
	while (c->left > 0) {
		size_t max = c->left < sizeof part ? (size_t)c->left : sizeof part;
		int64_t n = body->ops->read(c->stream, part, max);
		if (n == DIF_BODY_LATER) {
			return false;
		}
		if (n <= 0) {
			c->broken = true;
			break;
		}
		gather(c, part, (size_t)n);
		c->left -= (uint64_t)n;
	}
	body->ops->close(c->stream);
	c->stream = NULL;
	return true;
}

/* False: the rest comes later. */
static bool read_piece(struct dif_http_call *c, const struct dif_piece *p)
{
	if (p->blob == NULL) {
		gather(c, p->bytes.p, p->bytes.n);
		return true;
	}
	struct dif_body *body = dif_body_of(p->blob);
	const char *view = body->ops->view(body);
	if (view != NULL) {
		gather(c, view + p->offset, p->length);
		return true;
	}
	if (c->stream == NULL) {
		c->left = p->length;
		c->stream = body->ops->open(body, p->offset, on_more_body, c);
	}
	if (c->stream == NULL) {
		c->broken = true;
		return true;
	}
	return read_stream(c, body);
}

static void read_body(struct dif_http_call *c)
{
	for (; c->piece < c->req.npieces && !c->broken; c->piece++) {
		if (!read_piece(c, &c->req.body[c->piece])) {
			return;
		}
	}
	if (c->broken) {
		c->reply = (struct dif_wire_reply){
			.cls = DIF_INTEGRITY, .text = "the body is not what it was", .sent = true};
	} else {
		c->w->answer(c->w->data, c->seen, &c->reply);
	}
	line_up(c);
}

static void on_more_body(void *data)
{
	read_body(data);
}

/* --- replies --- */

static uint32_t split_fields(const char *const *from, struct dif_field *to)
{
	uint32_t n = 0;
	for (; n < DIF_WIRE_FIELDS && from[n] != NULL; n++) {
		const char *colon = strchr(from[n], ':');
		assert(colon != NULL);
		char *name = copy(from[n], (size_t)(colon - from[n]));
		for (char *c = name; *c != '\0'; c++) {
			*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
		}
		to[n].name = name;
		to[n].value = colon + 1 + strspn(colon + 1, " ");
	}
	return n;
}

static const char *reply_field(const struct dif_http_response *r, const char *name)
{
	for (uint32_t i = 0; i < r->nfields; i++) {
		if (strcmp(r->fields[i].name, name) == 0) {
			return r->fields[i].value;
		}
	}
	return NULL;
}

static bool sink_takes(const struct dif_http_request *q, const struct dif_http_response *r)
{
	if (q->sink == NULL) {
		return false;
	}
	if (r->status == 200) {
		return q->sink_offset == 0;
	}
	char begin[40];
	(void)snprintf(begin, sizeof begin, "bytes %llu-", (unsigned long long)q->sink_offset);
	const char *range = reply_field(r, "content-range");
	const char *tag = reply_field(r, "etag");
	return r->status == 206 && range != NULL && strncmp(range, begin, strlen(begin)) == 0 &&
	       (q->sink_tag == NULL || (tag != NULL && strcmp(q->sink_tag, tag) == 0));
}

static void no_reply(struct dif_http_response *r, enum dif_class cls, const char *text)
{
	r->status = 0;
	dif_error_set(&r->err, cls, "%s", text);
}

static bool write_zeros(struct dif_sink *sink, uint64_t n, struct dif_error *err)
{
	bool ok = true;
	for (uint64_t done = 0; ok && done < n;) {
		size_t part = n - done < sizeof zeros ? (size_t)(n - done) : sizeof zeros;
		ok = sink->write(sink, zeros, part, err);
		done += part;
	}
	return ok;
}

static void into_sink(struct dif_http_call *c, struct dif_http_response *r)
{
	struct dif_sink *sink = c->req.sink;
	const char *p = r->body.p;
	size_t n = r->body.n;
	bool cut = c->reply.cut_sink > 0 && c->reply.cut_sink < n;
	if (cut) {
		n = c->reply.cut_sink;
	}
	bool ok = sink->begin(sink, c->req.sink_offset, &r->err);
	if (c->reply.zeros > 0) {
		ok = ok && write_zeros(sink, n, &r->err);
	} else { /* two writes: whoever takes the first for the whole is found out */
		ok = ok && sink->write(sink, p, n / 2, &r->err) &&
		     sink->write(sink, p + n / 2, n - n / 2, &r->err);
	}
	r->body = (struct dif_bytes){"", 0};
	r->sunk = ok ? n : 0;
	if (!ok) {
		r->status = 0;
		r->sent = true;
	} else if (cut) {
		no_reply(r, DIF_TRANSIENT, "the connection broke");
		r->sent = true;
	}
}

/* The bytes of the body, where it has any. Zeros become real only where the request takes so many;
 * *made is what to free. */
static void fill_body(const struct dif_http_call *c, struct dif_http_response *r, uint64_t max,
                      char **made)
{
	const struct dif_wire_reply *give = &c->reply;
	if (strcmp(c->seen->method, "HEAD") == 0) {
		return;
	}
	if (give->zeros > 0) {
		r->body.n = give->zeros;
		if (!sink_takes(&c->req, r) && give->zeros <= max) {
			*made = must(calloc(give->zeros + 1, 1));
			r->body.p = *made;
		}
	} else if (give->body != NULL) {
		r->body.p = give->body;
		r->body.n = give->body_n != 0 ? give->body_n : strlen(give->body);
	}
}

static void deliver(struct dif_http_call *c)
{
	struct dif_field fields[DIF_WIRE_FIELDS];
	const struct dif_wire_reply *give = &c->reply;
	struct dif_http_response r = {.status = give->status,
	                              .sent = give->status != 0 || give->sent,
	                              .resent = give->resent,
	                              .body = {"", 0},
	                              .retry_after_ms = -1,
	                              .tls = "TLSv1.3"};
	char *made = NULL;
	uint64_t max = c->req.reply_max != 0 ? c->req.reply_max : REPLY_MAX_DEFAULT;
	r.fields = fields;
	r.nfields = split_fields(give->fields, fields);
	dif_error_clear(&r.err);
	fill_body(c, &r, max, &made);
	const char *later = reply_field(&r, "retry-after");
	uint64_t seconds = 0;
	if (later != NULL && dif_parse_uint(later, RETRY_AFTER_MAX_S, &seconds)) {
		r.retry_after_ms = (int64_t)seconds * 1000;
	}
	if (r.status == 0) {
		no_reply(&r, give->cls != DIF_OK ? give->cls : DIF_TRANSIENT,
		         give->text != NULL ? give->text : "the connection broke");
	} else if (sink_takes(&c->req, &r)) {
		into_sink(c, &r);
	} else if (r.body.n > max) {
		no_reply(&r, DIF_PERMANENT, "the reply is too long");
		r.sent = true;
	}
	c->answered = true;
	c->cb(c->data, &r);
	for (uint32_t i = 0; i < r.nfields; i++) {
		free((void *)(uintptr_t)fields[i].name);
	}
	free(made);
	free(c);
}

static void deliver_message(struct dif_http_call *c)
{
	const struct dif_wire_reply *give = &c->reply;
	struct dif_reply r = {.size = sizeof r, .status = give->status != 0 ? 200 : 0};
	struct dif_error err = {0};
	size_t n = give->body_n != 0 || give->body == NULL ? give->body_n : strlen(give->body);
	char *body = must(malloc(c->match + n + 1));
	memcpy(body, c->seen->body, c->match);
	memcpy(&body[c->match], n > 0 ? give->body : "", n);
	body[c->match + n] = '\0';
	r.body = (struct dif_bytes){body, c->match + n};
	if (r.status == 0) {
		dif_error_set(&err, give->cls != DIF_OK ? give->cls : DIF_TRANSIENT, "%s",
		              give->text != NULL ? give->text : "there was no answer");
	}
	c->answered = true;
	c->message_cb(c->data, &r, &err);
	free(body);
	free(c);
}

static void on_timer(uv_timer_t *timer)
{
	struct dif_wire *w = timer->data;
	while (!dif_list_empty(&w->ready)) {
		struct dif_http_call *c = DIF_ENTRY(w->ready.next, struct dif_http_call, link);
		dif_list_remove(&c->link);
		if (c->message_cb != NULL) {
			deliver_message(c);
		} else {
			deliver(c);
		}
	}
}

/* --- the transport --- */

static struct dif_wire_seen *note(struct dif_wire *w, const struct dif_http_request *q)
{
	struct dif_wire_seen *seen = must(calloc(1, sizeof *seen));
	if (w->nseen == w->cap) {
		w->cap = w->cap == 0 ? 16 : w->cap * 2;
		w->seen = must(realloc((void *)w->seen, w->cap * sizeof *w->seen));
	}
	w->seen[w->nseen++] = seen;
	seen->method = copy(q->method, strlen(q->method));
	seen->url = copy(q->url, strlen(q->url));
	seen->body = copy("", 0);
	seen->fields = must(calloc(q->nfields + 1, sizeof *seen->fields));
	for (uint32_t i = 0; i < q->nfields; i++) {
		seen->fields[i].name = copy(q->fields[i].name, strlen(q->fields[i].name));
		seen->fields[i].value = copy(q->fields[i].value, strlen(q->fields[i].value));
	}
	seen->nfields = q->nfields;
	seen->flags = q->flags;
	seen->timeout_ms = q->timeout_ms;
	seen->sink_offset = q->sink_offset;
	seen->policy = q->policy;
	return seen;
}

static struct dif_http_call *start(void *self, const struct dif_http_request *req, dif_http_cb *cb,
                                   void *data)
{
	struct dif_wire *w = self;
	struct dif_http_call *c = must(calloc(1, sizeof *c));
	c->w = w;
	c->req = *req;
	c->cb = cb;
	c->data = data;
	c->seen = note(w, req);
	dif_list_add(&w->reading, &c->link);
	read_body(c);
	return c;
}

static void cancel(void *self, struct dif_http_call *c)
{
	struct dif_wire *w = self;
	assert(!c->answered);
	if (c->stream != NULL) {
		dif_body_of(c->req.body[c->piece].blob)->ops->close(c->stream);
		c->stream = NULL;
	}
	bool sent = c->reply.sent || c->reply.status != 0;
	c->reply = (struct dif_wire_reply){.cls = DIF_CANCELED, .text = "canceled", .sent = sent};
	c->seen->canceled = true;
	dif_list_remove(&c->link);
	dif_list_add(&w->ready, &c->link);
	deliver_soon(w);
}

static struct dif_message_run *start_message(
	void *self, const struct dif_exchange_call *call, const struct dif_http_policy *policy,
	void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err), void *data)
{
	struct dif_wire *w = self;
	struct dif_http_call *c = must(calloc(1, sizeof *c));
	struct dif_http_request as = {.method = DIF_WIRE_MESSAGE,
	                              .url = call->peer,
	                              .policy = policy,
	                              .flags = call->flags,
	                              .timeout_ms = call->timeout_ms};
	c->w = w;
	c->message_cb = cb;
	c->data = data;
	c->seen = note(w, &as);
	dif_list_add(&w->reading, &c->link);
	gather(c, call->send.p, call->send.n);
	c->match = call->match < c->seen->body_n ? call->match : (uint32_t)c->seen->body_n;
	w->answer(w->data, c->seen, &c->reply);
	line_up(c);
	return (struct dif_message_run *)(void *)c;
}

static void cancel_message(void *self, struct dif_message_run *run)
{
	cancel(self, (struct dif_http_call *)(void *)run);
}

struct dif_wire *dif_wire_new(struct dif_engine *e, size_t keep, dif_wire_answer *answer,
                              void *data)
{
	struct dif_wire *w = must(calloc(1, sizeof *w));
	w->e = e;
	w->keep = keep;
	w->answer = answer;
	w->data = data;
	dif_list_init(&w->reading);
	dif_list_init(&w->ready);
	dif_list_init(&w->held);
	int rc = uv_timer_init(&e->loop, &w->timer);
	assert(rc == 0); /* it only fills in the struct */
	w->timer.data = w;
	w->before = e->transport;
	e->transport = (struct dif_transport){.start = start, .cancel = cancel, .self = w};
	w->messenger_before = e->messenger;
	e->messenger =
		(struct dif_messenger){.start = start_message, .cancel = cancel_message, .self = w};
	return w;
}

static void on_closed(uv_handle_t *h)
{
	((struct dif_wire *)h->data)->closed = true;
}

static void free_seen(struct dif_wire_seen *seen)
{
	for (uint32_t i = 0; i < seen->nfields; i++) {
		free((void *)(uintptr_t)seen->fields[i].name);
		free((void *)(uintptr_t)seen->fields[i].value);
	}
	free(seen->fields);
	free(seen->method);
	free(seen->url);
	free(seen->body);
	free(seen);
}

bool dif_wire_free(struct dif_wire *w)
{
	bool idle = dif_list_empty(&w->reading) && dif_list_empty(&w->ready) &&
	            dif_list_empty(&w->held);
	w->e->transport = w->before;
	w->e->messenger = w->messenger_before;
	uv_close((uv_handle_t *)&w->timer, on_closed);
	while (!w->closed) {
		uv_run(&w->e->loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < w->nseen; i++) {
		free_seen(w->seen[i]);
	}
	free((void *)w->seen);
	free(w);
	return idle;
}

void dif_wire_release(struct dif_wire *w)
{
	while (!dif_list_empty(&w->held)) {
		struct dif_link *l = w->held.next;
		dif_list_remove(l);
		dif_list_add(&w->ready, l);
	}
	deliver_soon(w);
}

size_t dif_wire_count(const struct dif_wire *w)
{
	return w->nseen;
}

const struct dif_wire_seen *dif_wire_at(const struct dif_wire *w, size_t i)
{
	assert(i < w->nseen);
	return w->seen[i];
}
