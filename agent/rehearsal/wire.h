/* wire - a transport that opens no socket: a function answers what plug-ins ask.
 *
 * It keeps the promises of host/http: a reply comes on the loop, never before start returns; it
 * goes into a sink only under the rule of sinks; one that is longer than the request allows is
 * none; a cancel still calls back. Bodies are read as host/http reads them, of which so much is
 * kept as was asked for: an upload of 5 GB costs no memory.
 *
 * On the loop thread. Running out of memory ends the program: it serves rehearsals only.
 */
#ifndef DIF_REHEARSAL_WIRE_H
#define DIF_REHEARSAL_WIRE_H

#include "host/body.h"
#include "host/engine.h"
#include "host/http.h"

#define DIF_WIRE_FIELDS 24

/* What it points to must stay until the call has ended. */
struct dif_wire_reply {
	int status;                          /* 0: no reply; cls, text and sent tell more */
	const char *fields[DIF_WIRE_FIELDS]; /* "name: value" */
	const char *body;
	size_t body_n;      /* 0: strlen(body) */
	uint64_t zeros;     /* not 0: the body is so many zero bytes, body is not looked at */
	enum dif_class cls; /* of no reply; DIF_OK: DIF_TRANSIENT */
	const char *text;   /* of no reply */
	bool resent;        /* a kept connection died on it */
	bool sent;          /* of no reply: bytes of the request went out */
	bool hold;          /* the reply waits for dif_wire_release, or for a cancel */
	size_t cut_sink;    /* not 0: the connection breaks after so many bytes into the sink */
};

/* A request as it arrived; valid until dif_wire_free. */
struct dif_wire_seen {
	char *method, *url, *body;
	size_t body_n;       /* bytes of the body that were kept */
	uint64_t body_total; /* its whole length */
	struct dif_field *fields;
	uint32_t nfields, flags, timeout_ms;
	uint64_t sink_offset;
	bool canceled;
	const struct dif_http_policy *policy;
};

/* A message (host->exchange) arrives here, too: its method is DIF_WIRE_MESSAGE, its address the
 * peer. The first bytes, which the answer must have in common with it, come back by themselves; the
 * reply's body stands behind them. */
#define DIF_WIRE_MESSAGE "MESSAGE"

struct dif_wire;
/* Fills in the reply, which is all zero before. Once per request, after its body was read. */
typedef void dif_wire_answer(void *data, const struct dif_wire_seen *seen,
                             struct dif_wire_reply *reply);

/* Takes the engine's transport and messenger until dif_wire_free gives them back. keep: bytes of a
 * body to keep at most. */
struct dif_wire *dif_wire_new(struct dif_engine *e, size_t keep, dif_wire_answer *answer,
                              void *data);
/* False: something was still in flight. */
bool dif_wire_free(struct dif_wire *w);
void dif_wire_release(struct dif_wire *w); /* lets all held replies go */
size_t dif_wire_count(const struct dif_wire *w);
const struct dif_wire_seen *dif_wire_at(const struct dif_wire *w, size_t i);
/* The value of a request's header; n: of the name. NULL: not there. */
const char *dif_wire_header(const struct dif_wire_seen *seen, const char *name, size_t n);

#endif
