/* http - the life of a call.
 *
 *   start ──▶ queued ──▶ running ──▶ (libcurl is done) ──▶ cb ──▶ spare, with its memory
 *               │           │
 *               └───────────┴──▶ ended: refused, canceled, out of time; cb comes from on_kick
 *
 * libcurl may not be called from inside itself, and a caller not from inside its own call: what is
 * decided in such a place moves the call to `ended` and kicks. Only on_kick, the drain after
 * libcurl was driven, and start touch the multi handle.
 *
 * Time is counted here and not by libcurl: there a body that waits for memory, or a call that waits
 * for its turn, would count as a peer that does not answer.
 */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "host/http_private.h"

#define SWEEP_MS 250
#define IDLE_MS 15000
#define KEEP_TEXT (16 * 1024)  /* memory that a spare call keeps; signed headers take 2 KiB */
#define KEEP_BODY (256 * 1024) /* replies of most calls are empty or a list page */
#define PROXY_MAX 2048

/* --- ending --- */

static void on_kick(uv_timer_t *t);

void dif_http_kick(struct dif_http_client *c)
{
	if (!uv_is_active((uv_handle_t *)&c->kick)) {
		int rc = uv_timer_start(&c->kick, on_kick, 0, 0);
		assert(rc == 0); /* it fails only on a closing handle; none is kicked then */
	}
}

void dif_http_end(struct dif_http_call *call, enum dif_class cls, const char *code, const char *fmt,
                  ...)
{
	va_list ap;
	char text[sizeof call->err.text];
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dif_error_set(&call->err, cls, "%s", text);
	(void)snprintf(call->err.code, sizeof call->err.code, "%s", code);
	if (call->state == CALL_RUNNING) {
		call->client->nrunning--;
	}
	dif_list_remove(&call->link);
	dif_list_add(&call->client->ended, &call->link);
	call->state = CALL_ENDED;
	dif_http_kick(call->client);
}

static void free_call(struct dif_http_call *call)
{
	curl_easy_cleanup(call->easy);
	free(call->text);
	free(call->lines);
	dif_buf_fini(&call->reply.head);
	dif_buf_fini(&call->reply.body);
	free(call);
}

static void recycle(struct dif_http_call *call)
{
	struct dif_http_client *c = call->client;
	dif_http_request_reset(call);
	if (call->text_cap > KEEP_TEXT) {
		free(call->text);
		call->text = NULL;
		call->text_cap = 0;
	}
	if (call->reply.body.cap > KEEP_BODY) {
		dif_buf_fini(&call->reply.body);
	}
	if (c->nspare >= RUNNING_MAX || c->closing) {
		free_call(call);
		return;
	}
	call->state = CALL_SPARE;
	dif_list_push(&c->spare, &call->link); /* the warmest is taken first */
	c->nspare++;
}

/* Tells the caller, and takes the call out of reach of everything else before. */
static void deliver(struct dif_http_call *call)
{
	struct dif_http_client *c = call->client;
	if (call->state == CALL_RUNNING) {
		c->nrunning--;
	}
	dif_list_remove(&call->link);
	call->state = CALL_TELLING;
	if (call->in_multi) {
		CURLMcode rc = curl_multi_remove_handle(c->multi, call->easy);
		assert(rc == CURLM_OK);
		call->in_multi = false;
	}
	/* After cb the body may be gone. */
	dif_http_body_close(&call->reader);
	struct dif_http_response r;
	dif_http_response(call, &r);
	call->cb(call->data, &r);
	recycle(call);
}

static void finish_close(struct dif_http_client *c);

static void pump(struct dif_http_client *c);

void dif_http_drain(struct dif_http_client *c)
{
	int left = 0;
	CURLMsg *m;
	while ((m = curl_multi_info_read(c->multi, &left)) != NULL) {
		if (m->msg != CURLMSG_DONE) {
			continue;
		}
		/* m does not outlive the removal. */
		CURLcode rc = m->data.result;
		struct dif_http_call *call = NULL;
		(void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &call);
		dif_http_conclude(call, rc);
		deliver(call);
	}
	pump(c);
	finish_close(c);
}

/* --- running --- */

static void on_sweep(uv_timer_t *t);

static void run(struct dif_http_call *call)
{
	struct dif_http_client *c = call->client;
	if (!dif_http_setup(call) || curl_multi_add_handle(c->multi, call->easy) != CURLM_OK) {
		dif_http_end(call, DIF_TRANSIENT, "local", "could not reach '%s': out of memory",
		             call->target.shown);
		return;
	}
	call->in_multi = true;
	call->started = call->moved = (int64_t)uv_now(c->loop);
	dif_list_remove(&call->link);
	dif_list_add(&c->running, &call->link);
	call->state = CALL_RUNNING;
	if (c->nrunning++ == 0) {
		int rc = uv_timer_start(&c->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
		assert(rc == 0); /* it fails only on a closing handle */
	}
}

static void pump(struct dif_http_client *c)
{
	while (!dif_list_empty(&c->queued) && c->nrunning < RUNNING_MAX) {
		run(DIF_ENTRY(c->queued.next, struct dif_http_call, link));
	}
	if (c->nrunning == 0 && !c->closing) {
		(void)uv_timer_stop(&c->sweep);
	}
}

static int64_t bytes_so_far(CURL *easy)
{
	curl_off_t up = 0, down = 0;
	long request = 0, header = 0;
	(void)curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &up);
	(void)curl_easy_getinfo(easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
	(void)curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request);
	(void)curl_easy_getinfo(easy, CURLINFO_HEADER_SIZE, &header);
	return up + down + request + header;
}

static void check_time(struct dif_http_call *call, int64_t now)
{
	const struct dif_http_policy *policy = call->req.policy;
	int64_t all = call->req.timeout_ms != 0 ? call->req.timeout_ms : policy->timeout_ms;
	int64_t idle = policy->idle_timeout_ms != 0 ? policy->idle_timeout_ms : IDLE_MS;
	if (all > 0 && now - call->started >= all) {
		dif_http_end(call, DIF_TRANSIENT, "timeout",
		             "could not reach '%s': not done after %lld ms", call->target.shown,
		             (long long)all);
		return;
	}
	int64_t bytes = bytes_so_far(call->easy);
	if (bytes != call->bytes || !call->connected || call->reader.paused) {
		call->bytes = bytes;
		call->moved = now;
	} else if (now - call->moved >= idle) {
		dif_http_end(call, DIF_TRANSIENT, "timeout",
		             "could not reach '%s': no byte for %lld ms", call->target.shown,
		             (long long)idle);
	}
}

static void on_sweep(uv_timer_t *t)
{
	struct dif_http_client *c = t->data;
	int64_t now = (int64_t)uv_now(c->loop);
	struct dif_link *next;
	for (struct dif_link *l = c->running.next; l != &c->running; l = next) {
		next = l->next;
		check_time(DIF_ENTRY(l, struct dif_http_call, link), now);
	}
}

static void resume_all(struct dif_http_client *c)
{
	for (struct dif_link *l = c->running.next; l != &c->running; l = l->next) {
		struct dif_http_call *call = DIF_ENTRY(l, struct dif_http_call, link);
		if (call->resume) {
			dif_http_resume(call);
		}
	}
}

static void on_kick(uv_timer_t *t)
{
	struct dif_http_client *c = t->data;
	resume_all(c);
	while (!dif_list_empty(&c->ended)) {
		deliver(DIF_ENTRY(c->ended.next, struct dif_http_call, link));
	}
	dif_http_drain(c);
}

/* --- the caller's side --- */

/* Memory for a few hundred bytes is not optional: a caller that gets no call would wait for ever,
 * and the agent that is restarted goes on where it was. */
static struct dif_http_call *take_call(struct dif_http_client *c)
{
	if (c->nspare > 0) {
		struct dif_http_call *call = DIF_ENTRY(c->spare.next, struct dif_http_call, link);
		dif_list_remove(&call->link);
		c->nspare--;
		return call;
	}
	struct dif_http_call *call = calloc(1, sizeof *call);
	assert(call != NULL);
	dif_list_init(&call->link);
	call->client = c;
	dif_buf_init(&call->reply.head, HEAD_MAX);
	dif_buf_init(&call->reply.body, REPLY_DEFAULT);
	call->easy = dif_http_easy_new(call);
	assert(call->easy != NULL);
	return call;
}

struct dif_http_call *dif_http_start(struct dif_http_client *c, const struct dif_http_request *req,
                                     dif_http_cb *cb, void *data)
{
	struct dif_http_call *call = take_call(c);
	call->cb = cb;
	call->data = data;
	call->state = CALL_QUEUED;
	struct dif_error err = {0};
	if (!dif_http_prepare(call, req, &err)) {
		dif_http_end(call, err.cls, err.code, "%s", err.text);
	} else if (c->closing) {
		dif_http_end(call, DIF_CANCELED, "", "could not reach '%s': the agent is ending",
		             call->target.shown);
	} else {
		dif_list_add(&c->queued, &call->link);
		if (c->in_curl) {
			dif_http_kick(c);
		} else {
			pump(c);
		}
	}
	return call;
}

void dif_http_cancel(struct dif_http_call *call)
{
	assert(call->state != CALL_SPARE); /* cb has been called: the call is another's */
	if (call->state == CALL_TELLING) {
		return; /* from inside its own cb */
	}
	/* Also a failure that was not told yet becomes CANCELED: the caller asked for it. */
	dif_http_end(call, DIF_CANCELED, "", "could not reach '%s': canceled", call->target.shown);
}

/* --- the client --- */

static const char *environment(const char *name, const char *other)
{
	/* Read once, before any thread could change them. */
	const char *v = getenv(name);
	v = v != NULL && v[0] != '\0' ? v : getenv(other);
	return v != NULL && v[0] != '\0' && strlen(v) < PROXY_MAX ? v : NULL;
}

static void on_gone(struct dif_barrier *b)
{
	struct dif_http_client *c = DIF_ENTRY(b, struct dif_http_client, open);
	free(c->socks);
	free(c);
	curl_global_cleanup();
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dif_http_client *c = h->data;
	dif_release(&c->open);
}

static void open_timer(struct dif_http_client *c, uv_timer_t *t)
{
	int rc = uv_timer_init(c->loop, t);
	assert(rc == 0); /* it cannot fail */
	t->data = c;
	dif_hold(&c->open);
}

static void close_timers(struct dif_http_client *c)
{
	uv_close((uv_handle_t *)&c->timer, on_timer_closed);
	uv_close((uv_handle_t *)&c->kick, on_timer_closed);
	uv_close((uv_handle_t *)&c->sweep, on_timer_closed);
}

struct dif_http_client *dif_http_client_new(uv_loop_t *loop, struct dif_error *err)
{
	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
		dif_error_set(err, DIF_TRANSIENT, "could not start HTTP: libcurl does not start");
		return NULL;
	}
	struct dif_http_client *c = calloc(1, sizeof *c);
	CURLM *multi = curl_multi_init();
	if (c == NULL || multi == NULL) {
		goto fail;
	}
	c->loop = loop;
	c->multi = multi;
	if (!dif_http_loop_init(c)) {
		goto fail;
	}
	dif_barrier_init(&c->open, on_gone);
	dif_list_init(&c->queued);
	dif_list_init(&c->running);
	dif_list_init(&c->ended);
	dif_list_init(&c->spare);
	open_timer(c, &c->timer);
	open_timer(c, &c->kick);
	open_timer(c, &c->sweep);
	uv_unref((uv_handle_t *)&c->timer); /* while a call runs, sweep keeps the loop */
	const curl_version_info_data *v = curl_version_info(CURLVERSION_NOW);
	c->ca_file = v->cainfo;
	c->ca_path = v->cainfo == NULL ? v->capath : NULL;
	c->proxy = environment("https_proxy", "HTTPS_PROXY");
	c->proxy = c->proxy != NULL ? c->proxy : environment("all_proxy", "ALL_PROXY");
	c->no_proxy = environment("no_proxy", "NO_PROXY");
	return c;

fail:
	dif_error_set(err, DIF_TRANSIENT, "could not start HTTP: out of memory");
	curl_multi_cleanup(multi);
	free(c);
	curl_global_cleanup();
	return NULL;
}

/* Once closing and nothing is left to tell: libcurl goes, then the handles. */
static void finish_close(struct dif_http_client *c)
{
	if (!c->closing || c->multi == NULL || !dif_list_empty(&c->queued) ||
	    !dif_list_empty(&c->running) || !dif_list_empty(&c->ended)) {
		return;
	}
	while (!dif_list_empty(&c->spare)) {
		struct dif_http_call *call = DIF_ENTRY(c->spare.next, struct dif_http_call, link);
		dif_list_remove(&call->link);
		free_call(call);
	}
	/* It closes its kept connections through our callbacks. */
	CURLM *multi = c->multi;
	c->multi = NULL;
	c->in_curl = true;
	CURLMcode rc = curl_multi_cleanup(multi);
	assert(rc == CURLM_OK);
	close_timers(c);
	dif_release(&c->open);
}

void dif_http_client_close(struct dif_http_client *c)
{
	if (c->closing) {
		return;
	}
	c->closing = true;
	struct dif_link *lists[] = {&c->queued, &c->running};
	for (size_t i = 0; i < DIF_LEN(lists); i++) {
		while (!dif_list_empty(lists[i])) {
			dif_http_cancel(DIF_ENTRY(lists[i]->next, struct dif_http_call, link));
		}
	}
	dif_http_kick(c);
}
