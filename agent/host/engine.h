/* engine - the loop and what everything on it shares. One per process.
 *
 * The loop runs on the thread that called dif_engine_new; only functions that say so may be called
 * from another. The program ends because the loop is empty: dif_engine_free asserts that
 * uv_loop_close returns 0.
 */
#ifndef DIF_HOST_ENGINE_H
#define DIF_HOST_ENGINE_H

#include <uv.h>

#include "base/err.h"

struct dif_http_client;
struct dif_http_call;
struct dif_http_request;
struct dif_http_response;
struct dif_http_policy;
struct dif_message_run;
struct dif_injector;

/* How requests travel: host/http is the real one, tests and drills put their own before it. start
 * and cancel keep the promises of dif_http_start and dif_http_cancel; what start returns means
 * something to its own cancel only. */
struct dif_transport {
	struct dif_http_call *(*start)(void *self, const struct dif_http_request *req,
	                               void (*cb)(void *data, const struct dif_http_response *r),
	                               void *data);
	void (*cancel)(void *self, struct dif_http_call *call);
	void *self;
};

/* How single messages travel: host/message is the real one. The same promises. */
struct dif_messenger {
	struct dif_message_run *(*start)(void *self, const struct dif_exchange_call *call,
	                                 const struct dif_http_policy *policy,
	                                 void (*cb)(void *data, const struct dif_reply *r,
	                                            const struct dif_error *err),
	                                 void *data);
	void (*cancel)(void *self, struct dif_message_run *run);
	void *self;
};

struct dif_engine {
	uv_loop_t loop;
	struct dif_http_client *http;
	/* Both may be replaced while nothing runs. */
	struct dif_transport transport;
	struct dif_messenger messenger;
	struct dif_injector *injector; /* NULL: none were ever set; host/inject */
};

/* Sets the size of libuv's pool (processors, at least 2) and initializes libcurl. NULL: err says
 * why. */
struct dif_engine *dif_engine_new(struct dif_error *err);
/* Runs until no handle is active. */
void dif_engine_run(struct dif_engine *e);
/* Closes the HTTP client, runs the loop dry, closes it. Accepts NULL. */
void dif_engine_free(struct dif_engine *e);

/* Work for the pool: run on a pool thread, then done on the loop, exactly once. The request is the
 * caller's. */
struct dif_work {
	uv_work_t uv;
	void (*run)(struct dif_work *);
	void (*done)(struct dif_work *);
};
void dif_engine_work(struct dif_engine *e, struct dif_work *w, void (*run)(struct dif_work *),
                     void (*done)(struct dif_work *));

#endif
