/* inbox - how `publish` hands a package to the agent that holds the state: files in STATE/inbox.
 *
 *   ID.zip      the package, copied in, durable
 *   ID.sha256   its side-car, where one was given
 *   ID.job      an INI with name and timeout; renamed into place last, so that a job is whole
 *   ID.result   the answer: exit code, place in time, sentence; renamed into place by the agent
 *
 * The one who publishes removes the answer; the agent removes job and package. Synchronous, small;
 * copying a package is the caller's to put on the pool.
 */
#ifndef DIF_FLOW_INBOX_H
#define DIF_FLOW_INBOX_H

#include "base/arena.h"
#include "base/err.h"

struct dif_inbox_job {
	const char *id;
	const char *file, *digest; /* digest NULL: none */
	const char *name;          /* of the file as the person named it */
	int64_t timeout_ms;
};

struct dif_inbox_result {
	int exit;
	const char *text; /* "" where there is nothing to say */
};

/* Puts a job in. id is made here and points into a. */
bool dif_inbox_put(struct dif_arena *a, const char *state, struct dif_inbox_job *job,
                   struct dif_error *err);
/* The oldest job, or NULL: none. A job that cannot be read is answered with the reason and
 * removed. */
const struct dif_inbox_job *dif_inbox_next(struct dif_arena *a, const char *state);
bool dif_inbox_answer(const char *state, const struct dif_inbox_job *job,
                      const struct dif_inbox_result *result, struct dif_error *err);
/* Takes a job back that nobody is at work on. */
void dif_inbox_withdraw(const char *state, const char *id);
/* The answer to a job, taken out; NULL: not yet. */
const struct dif_inbox_result *dif_inbox_take(struct dif_arena *a, const char *state,
                                              const char *id);

#endif
