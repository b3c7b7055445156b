/* inbox - how `publish` hands a package to the agent that holds the state: files in STATE/inbox.
 *
 *   ID.zip      the package, copied in, durable; locked (flock) while its publisher waits
 *   ID.sha256   its side-car, where one was given
 *   ID.job      an INI with name and timeout; renamed into place last, so that a job is whole
 *   ID.result   the answer: exit code, place in time, sentence; renamed into place by the agent
 *
 * The one who publishes removes the answer; the agent removes job and package. Synchronous, small;
 * copying a package is the caller's to put on the pool.
 *
 * A job whose publisher is gone (its time was up, or it was killed) still is a package that
 * somebody handed over: it is archived, with the time of its handing over for its place in the
 * order, so that it is published only where nothing newer is live. Nobody is answered. What never
 * became a job, and answers that nobody took, are swept.
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
	int64_t left_ms; /* its publisher is gone: when it was handed over, ms since 1970; else 0 */
	int hold;        /* of the publisher: the lock, an open file */
};

struct dif_inbox_result {
	int exit;
	const char *text; /* "" where there is nothing to say */
};

/* Puts a job in. id and hold are made here; id points into a. */
bool dif_inbox_put(struct dif_arena *a, const char *state, struct dif_inbox_job *job,
                   struct dif_error *err);
/* The publisher waits no more. */
void dif_inbox_leave(struct dif_inbox_job *job);
/* The oldest job, or NULL: none. A job that cannot be read is answered with the reason and
 * removed. */
const struct dif_inbox_job *dif_inbox_next(struct dif_arena *a, const char *state);
/* Answers, or only removes the job where nobody waits for it. */
bool dif_inbox_answer(const char *state, const struct dif_inbox_job *job,
                      const struct dif_inbox_result *result, struct dif_error *err);
/* Takes a job back that nobody is at work on. */
void dif_inbox_withdraw(const char *state, const char *id);
/* Removes what killed publishers left: packages without a job, answers older than a day. For the
 * holder of the state. */
void dif_inbox_sweep(const char *state);
/* The answer to a job, taken out; NULL: not yet. */
const struct dif_inbox_result *dif_inbox_take(struct dif_arena *a, const char *state,
                                              const char *id);

#endif
