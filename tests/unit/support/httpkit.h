/* httpkit - the HTTP client against a peer with a repertoire. */
#ifndef DIF_TESTS_HTTPKIT_H
#define DIF_TESTS_HTTPKIT_H

#include "host/http.h"
#include "support.h"
#include "unit/support/peer.h"

struct world {
	struct dif_engine *engine;
	struct peer *peer;
	char host[64], url[128];
	const char *hosts[2];
	struct dif_http_policy policy;
	struct dif_http_call *calls[512];
};

struct answer {
	int calls, status;
	bool sent, resent;
	char body[4096], fields[4096], tls[16];
	uint64_t body_size, sunk;
	int64_t retry_after, cert_ends;
	uint32_t nfields;
	double rate;
	struct dif_error err;
};

/* tls: the name given to test_pki, NULL: plain. */
void http_open(struct world *w, const char *tls, int max_tls);
void http_close(struct world *w);
/* Starts a request for w->url with path behind; its call is w->calls[slot]. */
void http_begin(struct world *w, const char *path, struct dif_http_request q, struct answer *a,
                size_t slot);
void http_wait(struct world *w, const struct answer *a, int n);
struct answer http_ask(struct world *w, const char *path, struct dif_http_request q);
/* The peer's /echo got this: "PUT /k", n bytes with that sum. */
void assert_echo(const struct answer *a, const char *what, uint64_t n, uint64_t sum);

#endif
