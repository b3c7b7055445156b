#include "host/engine.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "host/http.h"
#include "host/message.h"

#define POOL_MIN 2 /* one thread may sit in a slow name look-up or an fsync */
#define POOL_MAX 8 /* more only take turns: inflating and digesting are bound by the processors */

/* libuv reads the variable once, at the first work; what the operator set is left alone. */
static bool size_pool(void)
{
	unsigned n = uv_available_parallelism();
	n = n < POOL_MIN ? POOL_MIN : n > POOL_MAX ? POOL_MAX : n;
	char text[16];
	(void)snprintf(text, sizeof text, "%u", n);
	return setenv("UV_THREADPOOL_SIZE", text, 0) == 0;
}

static struct dif_http_call *start(void *self, const struct dif_http_request *req, dif_http_cb *cb,
                                   void *data)
{
	return dif_http_start(self, req, cb, data);
}

static void cancel(void *self, struct dif_http_call *call)
{
	(void)self;
	dif_http_cancel(call);
}

static struct dif_message_run *start_message(
	void *self, const struct dif_exchange_call *call, const struct dif_http_policy *policy,
	void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err), void *data)
{
	return dif_message_start(self, call, policy, cb, data);
}

static void cancel_message(void *self, struct dif_message_run *run)
{
	(void)self;
	dif_message_cancel(run);
}

struct dif_engine *dif_engine_new(struct dif_error *err)
{
	struct dif_engine *e = calloc(1, sizeof *e);
	if (e == NULL || !size_pool()) {
		dif_error_set(err, DIF_TRANSIENT, "could not start the event loop: out of memory");
		goto fail;
	}
	/* A peer that hangs up is an error of its write, not the end of the agent. */
	(void)signal(SIGPIPE, SIG_IGN);
	int rc = uv_loop_init(&e->loop);
	if (rc != 0) {
		dif_error_set(err, DIF_TRANSIENT, "could not start the event loop: %s",
		              uv_strerror(rc));
		goto fail;
	}
	e->http = dif_http_client_new(&e->loop, err);
	if (e->http == NULL) {
		goto fail_loop;
	}
	e->transport = (struct dif_transport){.start = start, .cancel = cancel, .self = e->http};
	e->messenger =
		(struct dif_messenger){.start = start_message, .cancel = cancel_message, .self = e};
	return e;

fail_loop:
	/* What the client had opened closes in callbacks. */
	(void)uv_run(&e->loop, UV_RUN_DEFAULT);
	rc = uv_loop_close(&e->loop);
	assert(rc == 0);
fail:
	free(e);
	return NULL;
}

void dif_engine_run(struct dif_engine *e)
{
	(void)uv_run(&e->loop, UV_RUN_DEFAULT);
}

void dif_engine_free(struct dif_engine *e)
{
	if (e == NULL) {
		return;
	}
	dif_http_client_close(e->http);
	(void)uv_run(&e->loop, UV_RUN_DEFAULT);
	int rc = uv_loop_close(&e->loop);
	assert(rc == 0); /* else a handle was not closed by its owner */
	free(e);
}

static void on_run(uv_work_t *uv)
{
	struct dif_work *w = DIF_ENTRY(uv, struct dif_work, uv);
	w->run(w);
}

static void on_done(uv_work_t *uv, int status)
{
	struct dif_work *w = DIF_ENTRY(uv, struct dif_work, uv);
	assert(status == 0); /* nothing cancels work */
	w->done(w);
}

void dif_engine_work(struct dif_engine *e, struct dif_work *w, void (*run)(struct dif_work *),
                     void (*done)(struct dif_work *))
{
	w->run = run;
	w->done = done;
	int rc = uv_queue_work(&e->loop, &w->uv, on_run, on_done);
	assert(rc == 0); /* it fails only without a run */
}
