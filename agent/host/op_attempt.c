/* op_attempt - one pass of a plug-in through a verb.
 *
 *   start ─▶ verb ─▶ settle ─▶ begin what it asked for ─▶ reply ─▶ step ─▶ settle ─▶ ...
 *                      └─▶ an outcome, a breach or a failure that stuck: ended
 *
 * settle holds the contract: one thing asked for or one outcome, nothing else. What was asked for
 * begins only then, so a step that breaks the contract has done nothing to the world.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "host/inject.h"
#include "host/op_private.h"
#include "host/secret.h"

/* Without a reply; services.c adds what a reply may need. A batch of 256 signed requests for the
 * longest names takes 8 MiB. */
#define ARENA_MAX (16u << 20)
#define READ_MAX (64u << 10)
#define STEPS_MAX 10000u /* a remove of 1000 keys as files takes 1001 */

void dif_attempt_hide(char *text)
{
	dif_secret_redact(text);
	dif_log_clean(text, strlen(text));
}

static void end(struct dif_op_host *a)
{
	dif_attempt_hide(a->err.text);
	dif_attempt_hide(a->err.code);
	a->ended(a); /* may give a back */
}

static void end_with(struct dif_op_host *a, const struct dif_error *err)
{
	a->err = *err;
	end(a);
}

/* --- what services report --- */

void dif_attempt_breach(struct dif_op_host *a, const char *what)
{
	if (a->breach == NULL) {
		a->breach = what;
	}
}

void dif_attempt_stick(struct dif_op_host *a, enum dif_class cls, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	if (a->is_stuck) {
		return;
	}
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	a->is_stuck = true;
	dif_error_set(&a->stuck, cls, "%s", text);
}

bool dif_attempt_outcome(struct dif_op_host *a)
{
	a->outcomes++;
	if (a->outcomes > 1) {
		dif_attempt_breach(a, "gave two outcomes");
		return false;
	}
	return true;
}

/* --- steps --- */

static void begin(struct dif_op_host *a);

static void end_with_breach(struct dif_op_host *a)
{
	dif_error_set(&a->err, DIF_PERMANENT, "plug-in '%s' broke its contract: it %s",
	              a->i->offer->name, a->breach);
	a->is_local = true;
	dif_log(DIF_LOG_ERROR, "breach", "plugin=%s destination=%s verb=%s reason=%s",
	        a->i->offer->name, dif_q(a->i->name), a->verb, dif_q(a->breach));
	end(a);
}

static void settle(struct dif_op_host *a)
{
	if (a->breach == NULL && a->asks == 0 && a->outcomes == 0 && !a->is_stuck &&
	    !a->arena.failed) {
		dif_attempt_breach(a, "neither asked for something nor gave an outcome");
	}
	if (a->breach == NULL && a->asks > 0 && a->outcomes > 0) {
		dif_attempt_breach(a, "gave an outcome although it had asked for something");
	}
	if (a->breach != NULL) {
		end_with_breach(a);
	} else if (a->is_stuck) {
		end_with(a, &a->stuck);
	} else if (a->arena.failed) {
		dif_error_set(&a->err, DIF_TRANSIENT,
		              "it needs more memory than there is, or than the %zu MiB that one "
		              "operation may have",
		              a->arena.max >> 20);
		a->is_local = true;
		end(a);
	} else if (a->outcomes > 0) {
		end(a);
	} else {
		begin(a);
	}
}

static void step(struct dif_op_host *a, const struct dif_reply *r)
{
	dif_step *next = a->next;
	a->asks = a->outcomes = 0;
	a->ask = DIF_ASK_NONE;
	a->next = NULL;
	if (++a->steps > STEPS_MAX) {
		a->breach = "took too many steps";
		end_with_breach(a);
		return;
	}
	next(&a->op, r);
	settle(a);
}

/* Nothing came, and the step is not asked. */
static void end_without_reply(struct dif_op_host *a, const struct dif_error *err)
{
	if (a->is_canceled) {
		dif_error_set(&a->err, DIF_CANCELED, "it was canceled");
		end(a);
	} else {
		end_with(a, err);
	}
}

static bool changes_something(const char *method)
{
	return strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0;
}

static void note_failure(struct dif_op_host *a, const struct dif_http_response *r)
{
	static const char *const names[] = {"x-amz-request-id", "x-ms-request-id",
	                                    "x-guploader-uploadid", "x-request-id"};
	a->request_id[0] = '\0';
	for (size_t k = 0; k < DIF_LEN(names) && a->request_id[0] == '\0'; k++) {
		const char *id = dif_fields_get(r->fields, r->nfields, names[k], 0);
		(void)snprintf(a->request_id, sizeof a->request_id, "%.95s", id != NULL ? id : "");
	}
	a->peer_date = a->date;
}

static void on_http(void *data, const struct dif_http_response *r)
{
	struct dif_op_host *a = data;
	struct dif_reply reply = {.size = sizeof reply,
	                          .status = r->status,
	                          .fields = r->fields,
	                          .nfields = r->nfields,
	                          .body = r->body,
	                          .sunk = r->sunk};
	a->call = NULL;
	a->retry_after_ms = r->retry_after_ms;
	a->bytes_per_s = r->bytes_per_s;
	a->cert_ends = r->cert_ends;
	a->date = dif_undate(dif_fields_get(r->fields, r->nfields, "date", 0));
	(void)snprintf(a->tls, sizeof a->tls, "%s", r->tls != NULL ? r->tls : "");
	bool answered = r->status != 0;
	if (changes_something(a->http.method) &&
	    (answered ? r->status < 300 || r->status >= 500 || r->resent : r->sent)) {
		a->may_have_happened = true;
	}
	if (!answered || r->status >= 300) {
		note_failure(a, r);
	}
	a->is_timeout = !answered && r->sent;
	if (a->is_canceled || (!answered && r->err.cls == DIF_CANCELED) ||
	    (!answered && (a->http.flags & DIF_HTTP_WANT_FAILURE) == 0)) {
		a->is_local = strcmp(r->err.code, DIF_HTTP_CODE_LOCAL) == 0;
		end_without_reply(a, &r->err);
		return;
	}
	reply.cls = answered ? dif_fault_class(NULL, r->status, "", r->retry_after_ms >= 0)
	                     : r->err.cls;
	a->no_reply = answered ? NULL : &r->err;
	step(a, &reply);
}

static void on_message(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct dif_op_host *a = data;
	bool answered = r->status != 0;
	a->message = NULL;
	a->retry_after_ms = -1;
	a->may_have_happened = a->may_have_happened || answered || err->cls == DIF_TRANSIENT;
	a->is_timeout = !answered && err->cls == DIF_TRANSIENT;
	if (a->is_canceled || (!answered && (err->cls == DIF_CANCELED ||
	                                     (a->exchange.flags & DIF_HTTP_WANT_FAILURE) == 0))) {
		end_without_reply(a, err);
		return;
	}
	a->no_reply = answered ? NULL : err;
	step(a, r);
}

static void on_file(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct dif_op_host *a = data;
	a->file_run = NULL;
	a->retry_after_ms = -1;
	bool writes = a->file.verb == DIF_FILE_PUT || a->file.verb == DIF_FILE_REMOVE;
	bool answered = r != NULL && r->status != 0;
	if (writes && (!answered || r->status < 300)) {
		a->may_have_happened = true;
	}
	if (a->is_canceled || !answered) {
		assert(err != NULL); /* the promise of host/file where there is no status */
		end_without_reply(a, err);
		return;
	}
	a->no_reply = NULL;
	step(a, r);
}

void dif_host_hide(struct dif_op *op, const char *value)
{
	struct dif_op_host *a = op->host;
	if (value == NULL || *value == '\0') {
		return;
	}
	if (a->nhidden == DIF_HIDDEN_MAX) {
		dif_attempt_breach(a, "has more to hide than there is room for");
		return;
	}
	const char *copy = dif_arena_str(&a->arena, value);
	if (copy != NULL) { /* else the attempt fails for want of memory */
		dif_secret_add(copy);
		a->hidden[a->nhidden++] = copy;
	}
}

/* --- read: on the pool --- */

static void read_file(struct dif_work *w)
{
	struct dif_op_host *a = DIF_ENTRY(w, struct dif_op_host, work);
	char *path = dif_path_follow(a->path, &a->read_err);
	int fd = path != NULL ? dif_path_open_trusted(path, false, &a->read_err) : -1;
	free(path);
	if (fd != -1) {
		dif_path_read_all(fd, READ_MAX, &a->read_text, &a->read_n, &a->read_err);
		close(fd);
	}
}

/* A file that is one word holds a token, and the service that it is sent to may send it back. */
static void hide_token(struct dif_op_host *a)
{
	size_t n = a->read_n;
	while (n > 0 && strchr(" \t\r\n", a->read_text[n - 1]) != NULL) {
		n--;
	}
	const char *token = dif_arena_copy(&a->arena, a->read_text, n);
	if (token != NULL && strcspn(token, " \t\r\n") == n) {
		dif_host_hide(&a->op, token);
	}
}

static void on_read(struct dif_work *w)
{
	struct dif_op_host *a = DIF_ENTRY(w, struct dif_op_host, work);
	struct dif_reply reply = {.size = sizeof reply, .status = 404, .cls = DIF_NOT_FOUND};
	reply.body.p = "";
	a->retry_after_ms = -1;
	if (a->read_text != NULL) {
		/* into wiping memory; what the pool read goes at once */
		reply.status = 200;
		reply.cls = DIF_OK;
		reply.body.n = a->read_n;
		reply.body.p = dif_arena_copy(&a->arena, a->read_text, a->read_n);
		hide_token(a);
		explicit_bzero(a->read_text, a->read_n);
		free(a->read_text);
		a->read_text = NULL;
	}
	if (a->is_canceled || reply.body.p == NULL ||
	    (reply.status == 404 && a->read_err.cls != DIF_NOT_FOUND)) {
		if (reply.body.p == NULL) {
			dif_error_set(&a->read_err, DIF_TRANSIENT, "out of memory");
		}
		end_without_reply(a, &a->read_err);
		return;
	}
	step(a, &reply);
}

static void on_pause(uv_timer_t *timer)
{
	struct dif_op_host *a = timer->data;
	struct dif_reply reply = {.size = sizeof reply, .status = 200, .body = {"", 0}};
	if (a->is_canceled) {
		end_without_reply(a, NULL);
		return;
	}
	step(a, &reply);
}

/* The root is opened at its first use: a folder that is not mounted yet is this op's failure, not
 * the agent's. False: a has ended. */
static bool open_root(struct dif_op_host *a)
{
	struct dif_instance *i = a->i;
	struct dif_error err = {0};
	const struct dif_error *fault =
		i->e->injector != NULL ? dif_injector_of_file(i->e->injector, &i->policy) : NULL;
	if (fault != NULL) {
		end_with(a, fault);
		return false;
	}
	if (i->root == NULL) {
		i->root = dif_file_root_open(i->caps.root, i->caps.side, &err);
	}
	if (i->root == NULL) {
		end_with(a, &err);
		return false;
	}
	return true;
}

static void begin(struct dif_op_host *a)
{
	struct dif_engine *e = a->i->e;
	int rc = 0;
	switch (a->ask) {
	case DIF_ASK_HTTP:
		a->call = e->transport.start(e->transport.self, &a->http, on_http, a);
		break;
	case DIF_ASK_EXCHANGE:
		a->message = e->messenger.start(e->messenger.self, &a->exchange, &a->i->policy,
		                                on_message, a);
		break;
	case DIF_ASK_FILE:
		if (open_root(a)) {
			a->file_run = dif_file_start(e, a->i->root, &a->file, on_file, a);
		}
		break;
	case DIF_ASK_READ:
		dif_error_clear(&a->read_err);
		dif_engine_work(e, &a->work, read_file, on_read);
		break;
	case DIF_ASK_PAUSE:
		rc = uv_timer_start(&a->timer, on_pause, a->pause_ms, 0);
		assert(rc == 0); /* fails only on a handle that is closing */
		break;
	case DIF_ASK_NONE:
		assert(false); /* settle saw an ask */
	}
}

void dif_attempt_cancel(struct dif_op_host *a)
{
	int rc = 0;
	a->is_canceled = true;
	switch (a->ask) {
	case DIF_ASK_HTTP:
		a->i->e->transport.cancel(a->i->e->transport.self, a->call);
		break;
	case DIF_ASK_EXCHANGE:
		a->i->e->messenger.cancel(a->i->e->messenger.self, a->message);
		break;
	case DIF_ASK_FILE:
		dif_file_cancel(a->file_run);
		break;
	case DIF_ASK_PAUSE:
		rc = uv_timer_start(&a->timer, on_pause, 0, 0);
		assert(rc == 0);
		break;
	case DIF_ASK_READ: /* small and local: it ends by itself */
	case DIF_ASK_NONE:
		break;
	}
}

/* --- start --- */

static const struct dif_cred no_credential = {.part = {"", "", "", "", "", ""},
                                              .expires = INT64_MAX};

/* Everything between the arena and the timer's neighbours that an earlier attempt has left. */
static void clear(struct dif_op_host *a)
{
	a->asks = a->outcomes = a->steps = 0;
	a->breach = NULL;
	a->is_stuck = a->is_canceled = false;
	a->ask = DIF_ASK_NONE;
	a->no_reply = NULL;
	a->retry_after_ms = a->peer_date = -1;
	a->clock_offset = a->i->clock_offset;
	a->request_id[0] = a->tls[0] = '\0';
	a->bytes_per_s = 0;
	a->cert_ends = 0;
	a->date = -1;
	a->may_have_happened = a->is_local = a->is_timeout = false;
	a->result = (struct dif_result){.size = sizeof a->result};
	a->rows = NULL;
	a->nrows = a->rows_cap = 0;
	a->ntargets = a->targets_cap = 0;
	a->items = NULL;
	a->nitems = 0;
	dif_error_clear(&a->err);
}

void dif_attempt_start(struct dif_op_host *a, const struct dif_attempt_start *s)
{
	clear(a);
	a->verb = s->name;
	a->is_login = s->is_login;
	a->is_list = s->is_list;
	a->is_route = s->is_route;
	a->is_remove = s->remove != NULL;
	a->ended = s->ended;
	a->owner = s->owner;
	a->credential = s->credential;
	if (s->remove != NULL) {
		a->nitems = s->remove->n;
		a->items = dif_arena_alloc(&a->arena, (a->nitems + 1) * sizeof *a->items);
		a->nitems = a->items != NULL ? a->nitems : 0;
	}
	a->op = (struct dif_op){
		.size = sizeof a->op,
		.attempt = s->number,
		.self = a->i->self,
		.in = s->in,
		.scratch = dif_arena_alloc(&a->arena, a->i->offer->verbs->scratch_size + 1),
		.cred = s->credential != NULL ? &s->credential->cred : &no_credential,
		.host = a,
	};
	if (a->op.scratch != NULL) {
		s->verb(&a->op);
	}
	settle(a);
}

/* --- the pool --- */

struct dif_op_host *dif_attempt_take(struct dif_instance *i)
{
	if (!dif_list_empty(&i->spare_attempts)) {
		struct dif_link *l = i->spare_attempts.next;
		dif_list_remove(l);
		return DIF_ENTRY(l, struct dif_op_host, spare);
	}
	struct dif_op_host *a = calloc(1, sizeof *a);
	if (a == NULL) {
		return NULL;
	}
	int rc = uv_timer_init(&i->e->loop, &a->timer);
	assert(rc == 0); /* it only fills in the struct */
	a->timer.data = a;
	a->i = i;
	dif_list_init(&a->spare);
	dif_arena_init(&a->arena, ARENA_MAX, true);
	dif_hold(&i->handles);
	return a;
}

void dif_attempt_give_back(struct dif_op_host *a)
{
	dif_credential_release(a->credential);
	a->credential = NULL;
	while (a->nhidden > 0) {
		dif_secret_drop(a->hidden[--a->nhidden]);
	}
	dif_arena_reset(&a->arena);
	a->arena.max = ARENA_MAX;
	dif_list_push(&a->i->spare_attempts, &a->spare);
}
