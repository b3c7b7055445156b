/* script - a transport for tests: expected request, given reply. No socket is opened; replies come
 * on the loop, never before start returns, exactly as from host/http (rehearsal/wire).
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

#include "rehearsal/wire.h"

/* The short names that tests use. */
#define SCRIPT_FIELDS DIF_WIRE_FIELDS
#define script_reply dif_wire_reply
#define script_seen dif_wire_seen

/* What is copied is the struct alone: what it points to must stay until script_free. In url, in the
 * values of fields and in body, `*` stands for anything. */
struct script_want {
	const char *method, *url;          /* NULL: any */
	const char *fields[SCRIPT_FIELDS]; /* "name: value"; "!name": must not be there */
	const char *body;                  /* NULL: any */
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
