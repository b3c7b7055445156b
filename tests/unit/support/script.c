/* script - see the header. A call reads its body first (a stream may say "later"), then meets its
 * expectation, then waits in `ready` for the timer that delivers. */
#include "unit/support/script.h"

#include <strings.h>

#include "base/list.h"
#include "support.h"

#define SEEN_MAX 4096
#define REPLY_MAX_DEFAULT (1u << 20)

struct expectation {
	struct script_want want;
	struct script_reply reply;
	bool met;
};

struct dif_http_call {
	struct script *s;
	struct dif_link link;
	struct dif_http_request req;
	dif_http_cb *cb;
	void *data;
	struct script_seen *seen;
	struct script_reply reply;
	uint32_t piece;
	struct dif_body_stream *stream;
	uint64_t left;
	bool broken, answered;
};

struct script {
	struct dif_engine *e;
	struct dif_transport before;
	uv_timer_t timer;
	bool closed;
	struct dif_link reading, ready, held;
	struct expectation *expected;
	size_t nexpected, unlike, nseen;
	bool any_order;
	struct script_seen *seen[SEEN_MAX];
	void (*answer)(void *data, const struct script_seen *seen, struct script_reply *reply);
	void *answer_data;
};

static bool is_like(const char *pattern, const char *text)
{
	for (; *pattern != '\0' && *pattern != '*'; pattern++, text++) {
		if (*pattern != *text) {
			return false;
		}
	}
	if (*pattern == '\0') {
		return *text == '\0';
	}
	for (;; text++) {
		if (is_like(pattern + 1, text)) {
			return true;
		}
		if (*text == '\0') {
			return false;
		}
	}
}

static char *copy(const void *p, size_t n)
{
	char *to = malloc(n + 1);
	assert_non_null(to);
	if (n > 0) {
		memcpy(to, p, n);
	}
	to[n] = '\0';
	return to;
}

/* --- matching --- */

static const char *header_of(const struct script_seen *seen, const char *name, size_t n)
{
	for (uint32_t i = 0; i < seen->nfields; i++) {
		const char *have = seen->fields[i].name;
		if (strlen(have) == n && strncasecmp(have, name, n) == 0) {
			return seen->fields[i].value;
		}
	}
	return NULL;
}

static bool field_fits(const struct script_seen *seen, const char *want)
{
	if (*want == '!') {
		return header_of(seen, want + 1, strlen(want + 1)) == NULL;
	}
	const char *colon = strchr(want, ':');
	assert_non_null(colon); /* an expectation is "name: value" */
	const char *value = header_of(seen, want, (size_t)(colon - want));
	return value != NULL && is_like(colon + 1 + strspn(colon + 1, " "), value);
}

static bool is_wanted(const struct script_want *w, const struct script_seen *seen)
{
	return (w->method == NULL || strcmp(w->method, seen->method) == 0) &&
	       (w->url == NULL || is_like(w->url, seen->url));
}

/* What differs, or NULL. */
static const char *difference(const struct script_want *w, const struct script_seen *seen)
{
	for (size_t i = 0; i < SCRIPT_FIELDS && w->fields[i] != NULL; i++) {
		if (!field_fits(seen, w->fields[i])) {
			return w->fields[i];
		}
	}
	return w->body != NULL && !is_like(w->body, seen->body) ? w->body : NULL;
}

static struct expectation *find(struct script *s, const struct script_seen *seen)
{
	for (size_t i = 0; i < s->nexpected; i++) {
		struct expectation *x = &s->expected[i];
		if (x->met) {
			continue;
		}
		if (is_wanted(&x->want, seen)) {
			return x;
		}
		if (!s->any_order) {
			return NULL;
		}
	}
	return NULL;
}

static void complain(struct script *s, const struct script_seen *seen, const char *what)
{
	s->unlike++;
	print_error("script: request %zu, %s %s: %s\n", s->nseen - 1, seen->method, seen->url,
	            what);
	for (uint32_t i = 0; i < seen->nfields; i++) {
		print_error("script:   %s: %s\n", seen->fields[i].name, seen->fields[i].value);
	}
}

static void deliver_soon(struct script *s);

static void meet(struct dif_http_call *c)
{
	struct script *s = c->s;
	struct expectation *x = find(s, c->seen);
	if (x != NULL) {
		x->met = true;
		c->reply = x->reply;
		const char *unlike = difference(&x->want, c->seen);
		if (unlike != NULL) {
			complain(s, c->seen, unlike);
		}
	} else if (s->answer != NULL) {
		s->answer(s->answer_data, c->seen, &c->reply);
	} else {
		complain(s, c->seen, "is not expected");
		c->reply = (struct script_reply){.cls = DIF_PERMANENT, .text = "unexpected"};
	}
	dif_list_remove(&c->link);
	dif_list_add(c->reply.hold ? &s->held : &s->ready, &c->link);
	deliver_soon(s);
}

/* --- the body --- */

static void gather(struct dif_http_call *c, const void *p, size_t n)
{
	struct script_seen *seen = c->seen;
	seen->body = realloc(seen->body, seen->body_n + n + 1);
	assert_non_null(seen->body);
	if (n > 0) {
		memcpy(seen->body + seen->body_n, p, n);
	}
	seen->body_n += n;
	seen->body[seen->body_n] = '\0';
}

static void on_more_body(void *data);

/* True when the stream has ended, for better or worse. */
static bool read_stream(struct dif_http_call *c, struct dif_body *body)
{
	char part[4096];
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

static void read_body(struct dif_http_call *c)
{
	for (; c->piece < c->req.npieces && !c->broken; c->piece++) {
		const struct dif_piece *p = &c->req.body[c->piece];
		if (p->blob == NULL) {
			gather(c, p->bytes.p, p->bytes.n);
			continue;
		}
		struct dif_body *body = dif_body_of(p->blob);
		const char *view = body->ops->view(body);
		if (view != NULL) {
			gather(c, view + p->offset, p->length);
			continue;
		}
		if (c->stream == NULL) {
			c->left = p->length;
			c->stream = body->ops->open(body, p->offset, on_more_body, c);
			if (c->stream == NULL) {
				c->broken = true;
				break;
			}
		}
		if (!read_stream(c, body)) {
			return;
		}
	}
	if (c->broken) {
		c->reply = (struct script_reply){
			.cls = DIF_INTEGRITY, .text = "the body is not what it was", .sent = true};
		dif_list_remove(&c->link);
		dif_list_add(&c->s->ready, &c->link);
		deliver_soon(c->s);
		return;
	}
	meet(c);
}

static void on_more_body(void *data)
{
	read_body(data);
}

/* --- replies --- */

static uint32_t split_fields(const char *const *from, struct dif_field *to)
{
	uint32_t n = 0;
	for (; n < SCRIPT_FIELDS && from[n] != NULL; n++) {
		const char *colon = strchr(from[n], ':');
		assert_non_null(colon);
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

static void into_sink(struct dif_http_call *c, struct dif_http_response *r)
{
	struct dif_sink *sink = c->req.sink;
	const char *p = r->body.p;
	size_t n = r->body.n;
	bool cut = c->reply.cut_sink > 0 && c->reply.cut_sink < n;
	if (cut) {
		n = c->reply.cut_sink;
	}
	/* two writes: whoever takes the first for the whole is found out */
	bool ok = sink->begin(sink, c->req.sink_offset, &r->err) &&
	          sink->write(sink, p, n / 2, &r->err) &&
	          sink->write(sink, p + n / 2, n - n / 2, &r->err);
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

static void deliver(struct dif_http_call *c)
{
	struct dif_field fields[SCRIPT_FIELDS];
	const struct script_reply *give = &c->reply;
	struct dif_http_response r = {.status = give->status,
	                              .sent = give->status != 0 || give->sent,
	                              .resent = give->resent,
	                              .body = {"", 0},
	                              .retry_after_ms = -1,
	                              .tls = "TLSv1.3"};
	r.fields = fields;
	r.nfields = split_fields(give->fields, fields);
	dif_error_clear(&r.err);
	if (give->body != NULL && strcmp(c->seen->method, "HEAD") != 0) {
		r.body.p = give->body;
		r.body.n = give->body_n != 0 ? give->body_n : strlen(give->body);
	}
	const char *later = reply_field(&r, "retry-after");
	if (later != NULL) {
		r.retry_after_ms = strtol(later, NULL, 10) * 1000;
	}
	uint64_t max = c->req.reply_max != 0 ? c->req.reply_max : REPLY_MAX_DEFAULT;
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
	free(c);
}

static void on_timer(uv_timer_t *timer)
{
	struct script *s = timer->data;
	while (!dif_list_empty(&s->ready)) {
		struct dif_http_call *c = DIF_ENTRY(s->ready.next, struct dif_http_call, link);
		dif_list_remove(&c->link);
		deliver(c);
	}
}

static void deliver_soon(struct script *s)
{
	if (!dif_list_empty(&s->ready)) {
		uv_timer_start(&s->timer, on_timer, 0, 0);
	}
}

/* --- the transport --- */

static struct script_seen *note(struct script *s, const struct dif_http_request *q)
{
	struct script_seen *seen = calloc(1, sizeof *seen);
	assert_non_null(seen);
	assert_true(s->nseen < SEEN_MAX);
	s->seen[s->nseen++] = seen;
	seen->method = copy(q->method, strlen(q->method));
	seen->url = copy(q->url, strlen(q->url));
	seen->body = copy("", 0);
	seen->fields = calloc(q->nfields + 1, sizeof *seen->fields);
	assert_non_null(seen->fields);
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
	struct script *s = self;
	struct dif_http_call *c = calloc(1, sizeof *c);
	assert_non_null(c);
	c->s = s;
	c->req = *req;
	c->cb = cb;
	c->data = data;
	c->seen = note(s, req);
	dif_list_add(&s->reading, &c->link);
	read_body(c);
	return c;
}

static void cancel(void *self, struct dif_http_call *c)
{
	struct script *s = self;
	assert_false(c->answered);
	if (c->stream != NULL) {
		dif_body_of(c->req.body[c->piece].blob)->ops->close(c->stream);
		c->stream = NULL;
	}
	bool sent = c->reply.sent || c->reply.status != 0;
	c->reply = (struct script_reply){.cls = DIF_CANCELED, .text = "canceled", .sent = sent};
	c->seen->canceled = true;
	dif_list_remove(&c->link);
	dif_list_add(&s->ready, &c->link);
	deliver_soon(s);
}

struct script *script_new(struct dif_engine *e)
{
	struct script *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->e = e;
	dif_list_init(&s->reading);
	dif_list_init(&s->ready);
	dif_list_init(&s->held);
	assert_int_equal(uv_timer_init(&e->loop, &s->timer), 0);
	s->timer.data = s;
	s->before = e->transport;
	e->transport = (struct dif_transport){.start = start, .cancel = cancel, .self = s};
	return s;
}

static void on_closed(uv_handle_t *h)
{
	((struct script *)h->data)->closed = true;
}

static void free_seen(struct script_seen *seen)
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

void script_free(struct script *s)
{
	size_t unmet = 0, unlike = s->unlike;
	bool idle = dif_list_empty(&s->reading) && dif_list_empty(&s->ready) &&
	            dif_list_empty(&s->held);
	for (size_t i = 0; i < s->nexpected; i++) {
		if (!s->expected[i].met) {
			unmet++;
			print_error("script: expected, never seen: %s %s\n",
			            s->expected[i].want.method != NULL ? s->expected[i].want.method
			                                               : "any",
			            s->expected[i].want.url != NULL ? s->expected[i].want.url
			                                            : "request");
		}
	}
	s->e->transport = s->before;
	uv_close((uv_handle_t *)&s->timer, on_closed);
	while (!s->closed) {
		uv_run(&s->e->loop, UV_RUN_NOWAIT);
	}
	for (size_t i = 0; i < s->nseen; i++) {
		free_seen(s->seen[i]);
	}
	free(s->expected);
	free(s);
	assert_true(idle);
	assert_int_equal(unmet, 0);
	assert_int_equal(unlike, 0);
}

void script_expect(struct script *s, const struct script_want *want,
                   const struct script_reply *reply)
{
	s->expected = realloc(s->expected, (s->nexpected + 1) * sizeof *s->expected);
	assert_non_null(s->expected);
	s->expected[s->nexpected++] = (struct expectation){.want = *want, .reply = *reply};
}

void script_any_order(struct script *s)
{
	s->any_order = true;
}

void script_answer(struct script *s,
                   void (*answer)(void *data, const struct script_seen *seen,
                                  struct script_reply *reply),
                   void *data)
{
	s->answer = answer;
	s->answer_data = data;
}

void script_release(struct script *s)
{
	while (!dif_list_empty(&s->held)) {
		struct dif_link *l = s->held.next;
		dif_list_remove(l);
		dif_list_add(&s->ready, l);
	}
	deliver_soon(s);
}

size_t script_count(const struct script *s)
{
	return s->nseen;
}

const struct script_seen *script_seen(const struct script *s, size_t i)
{
	assert_true(i < s->nseen);
	return s->seen[i];
}

const char *script_header(const struct script *s, size_t i, const char *name)
{
	return header_of(script_seen(s, i), name, strlen(name));
}
