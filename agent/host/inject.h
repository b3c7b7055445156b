/* inject - faults on purpose, below any plug-in: what a drill puts between the agent and the world.
 *
 * While a fault is in force, requests, messages and file calls that it strikes are answered by it
 * or go through it: the plug-in, its retries, the breaker and all above meet what they would meet
 * on a bad night, and the peer is not touched. What is not struck is as always. Without faults in
 * force nothing lies between. Loop thread.
 */
#ifndef DIF_HOST_INJECT_H
#define DIF_HOST_INJECT_H

#include "host/engine.h"
#include "host/http.h"

enum dif_inject_effect {
	DIF_INJECT_REFUSED, /* nobody listens there */
	DIF_INJECT_SILENT,  /* no answer; the caller's own time limit ends it */
	DIF_INJECT_SLOW,    /* the answer comes delay_ms later, or not in time */
	DIF_INJECT_STATUS,  /* answered with `status`, and Retry-After where that is not 0 */
	DIF_INJECT_EXPIRED, /* the peer's certificate has expired */
	DIF_INJECT_CORRUPT, /* the answer comes with one bit of its body flipped */
	DIF_INJECT_BODY     /* answered by `body`, or as always where it gives none; not messages */
};

/* Strikes what fits any of its two lists. All of it stays until the fault is lifted. */
struct dif_injection {
	uint32_t effect; /* enum dif_inject_effect */
	/* Requests of these policies (dif_instance_policy): those of a plug-in's instance. */
	const struct dif_http_policy *const *policies;
	uint32_t npolicies;
	/* Requests to these authorities, "host" or "host:port" as URLs have it, by whomever. */
	const char *const *authorities;
	uint32_t nauthorities;
	const char *method; /* only requests of this method; NULL: all */
	uint32_t percent;   /* of the requests, by chance; 0: all */
	int status;
	uint32_t retry_after_s, delay_ms;
	/* BODY: fills in status 200, fields and body, valid until the next call; false: none. */
	bool (*body)(void *data, const struct dif_http_request *req, struct dif_http_response *to);
	void *data;
	uint64_t struck; /* counted here */
};

/* Takes the engine's transport and messenger until closed. One per engine. NULL: out of memory. */
struct dif_injector *dif_injector_open(struct dif_engine *e);
/* Lifts all; requests that are held are answered (REFUSED); closed comes on the loop. */
void dif_injector_close(struct dif_injector *f, void (*closed)(void *data), void *data);
/* In force from now on: requests that are under way go on as they are. The first one that strikes
 * decides. fault stays the caller's. */
void dif_injector_set(struct dif_injector *f, struct dif_injection *fault);
void dif_injector_lift(struct dif_injector *f, struct dif_injection *fault);

/* What becomes of a file call of an instance with this policy: NULL, or the failure, valid until
 * the next call. SLOW, CORRUPT and BODY do not strike files. */
const struct dif_error *dif_injector_of_file(struct dif_injector *f,
                                             const struct dif_http_policy *policy);

#endif
