/* http - HTTP over libcurl, driven by the loop. The only door to libcurl.
 *
 * TLS 1.2 or newer, verified, always; no redirect is followed; no proxy unless the environment
 * names one; HTTP/1.1. Plain HTTP, and addresses that are private, only where the request's policy
 * says so.
 */
#ifndef DIF_HOST_HTTP_H
#define DIF_HOST_HTTP_H

#include "host/body.h"
#include "host/engine.h"

struct dif_http_client;
struct dif_http_call;

/* Of an instance; constant for its life. */
struct dif_http_policy {
	const char *const
		*hosts; /* "host" or "host:port", NULL-terminated; every other URL is refused */
	const char *ca_file;                  /* NULL: the system's */
	const char *client_cert, *client_key; /* PEM files for mTLS, NULL: none */
	bool plain;                           /* http:// to loopback or private addresses */
	bool private_network; /* names may resolve to loopback, private or link-local addresses. An
	                       * address literal or `localhost` in hosts is permission enough for
	                       * itself */
	uint32_t connect_timeout_ms, idle_timeout_ms,
		timeout_ms; /* 0: 5 s, 15 s below 1 byte/s, none in all */
};

struct dif_http_request {
	const char *method, *url;
	const struct dif_field *fields;
	uint32_t nfields;
	uint32_t npieces;
	const struct dif_piece *body;
	const struct dif_http_policy *policy;
	uint32_t flags; /* DIF_HTTP_... */
	uint32_t timeout_ms;
	uint64_t reply_max;
	struct dif_sink *sink;
	uint64_t sink_offset;
	const char *sink_tag;
};

/* err.code of a failure that is this machine's own (no descriptor left, no network at all): it says
 * nothing about the peer. */
#define DIF_HTTP_CODE_LOCAL "local"

/* Valid during the callback only. */
struct dif_http_response {
	int status;  /* 0: no reply, err says why (TRANSIENT, PERMANENT, INTEGRITY, CANCELED) */
	bool sent;   /* bytes of the request may have reached the peer: a write's outcome is unknown
	             */
	bool resent; /* a kept connection died on the request, and it went out again on another: the
	              * peer may have received it twice */
	const struct dif_field *fields; /* names in lower case */
	uint32_t nfields;
	struct dif_bytes body; /* NUL follows */
	uint64_t sunk;
	int64_t retry_after_ms; /* -1: not told */
	const char *tls;        /* "TLSv1.3", NULL: plain */
	int64_t cert_ends;  /* seconds since 1970: when the first certificate of the peer's verified
	                         * chain ends, 0: not known */
	double bytes_per_s; /* of the reply's body, 0: not measured */
	struct dif_error err;
};

typedef void dif_http_cb(void *data, const struct dif_http_response *r);

/* Called by engine only. */
struct dif_http_client *dif_http_client_new(uv_loop_t *loop, struct dif_error *err);
void dif_http_client_close(struct dif_http_client *c); /* cancels what runs; frees itself once the
                                                          loop has closed its handles */

/* Starts a request. What req points to must stay until cb, except method, url and fields, which are
 * copied. cb is called exactly once, on the loop, never before this returns, also after cancel and
 * when the request is refused at once. Never NULL. */
struct dif_http_call *dif_http_start(struct dif_http_client *c, const struct dif_http_request *req,
                                     dif_http_cb *cb, void *data);
void dif_http_cancel(struct dif_http_call *call); /* cb still comes, with CANCELED */

#endif
