/* script - a transport for tests: expected request, given reply. No socket is opened; replies come
 * on the loop, never before start returns, exactly as from host/http.
 *
 *   struct script *s = script_new(engine);
 *   script_expect(s, &(struct script_want){.method = "PUT", .url = "https://b.example/a.json",
 *                                          .fields = {"if-none-match: *", "!x-debug"}},
 *                 &(struct script_reply){.status = 200, .fields = {"etag: \"1\""}});
 *   ... start an op, run the loop ...
 *   script_free(s); // fails the test where a request was unlike, unexpected or missing
 */
#ifndef DIF_TESTS_SCRIPT_H
#define DIF_TESTS_SCRIPT_H

#include "host/body.h"
#include "host/engine.h"
#include "host/http.h"

#define SCRIPT_FIELDS 24

/* What is copied is the struct alone: what it points to must stay until script_free. In url, in the
 * values of fields and in body, `*` stands for anything. */
struct script_want {
	const char *method, *url;          /* NULL: any */
	const char *fields[SCRIPT_FIELDS]; /* "name: value"; "!name": must not be there */
	const char *body;                  /* NULL: any */
};

struct script_reply {
	int status;                        /* 0: no reply; cls, text and sent tell more */
	const char *fields[SCRIPT_FIELDS]; /* "name: value" */
	const char *body;
	size_t body_n;      /* 0: strlen(body) */
	enum dif_class cls; /* of no reply; DIF_OK: DIF_TRANSIENT */
	const char *text;   /* of no reply */
	bool resent;        /* a kept connection died on it */
	bool sent;          /* of no reply: bytes of the request went out */
	bool hold;          /* the reply waits for script_release, or for a cancel */
	size_t cut_sink;    /* not 0: the connection breaks after so many bytes into the sink */
};

/* A request as it arrived; valid until script_free. */
struct script_seen {
	char *method, *url, *body;
	size_t body_n;
	struct dif_field *fields;
	uint32_t nfields, flags, timeout_ms;
	uint64_t sink_offset;
	bool canceled;
	const struct dif_http_policy *policy;
};

struct script;

/* Takes the engine's transport until script_free gives it back. */
struct script *script_new(struct dif_engine *e);
/* Asserts that nothing is in flight, that every expectation was met and no request was unlike. */
void script_free(struct script *s);
/* Expectations are met in order, unless script_any_order was called. */
void script_expect(struct script *s, const struct script_want *want,
                   const struct script_reply *reply);
void script_any_order(struct script *s);
/* Requests beyond the expectations are answered by this function: a small cloud. Without it they
 * fail the test. */
void script_answer(struct script *s,
                   void (*answer)(void *data, const struct script_seen *seen,
                                  struct script_reply *reply),
                   void *data);
/* Lets all held replies go. */
void script_release(struct script *s);
size_t script_count(const struct script *s); /* requests so far */
const struct script_seen *script_seen(const struct script *s, size_t i);
/* The i-th request's header, or NULL. */
const char *script_header(const struct script *s, size_t i, const char *name);

#endif
