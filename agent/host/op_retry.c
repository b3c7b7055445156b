/* op_retry - what follows an attempt.
 *
 *   AUTH         the clock, if it is far off; else one login; then it is the outcome
 *   TRANSIENT,
 *   THROTTLED    again after a back-off, while the deadline and the budget allow it
 *   CONFLICT     after an attempt that may have had its effect: read back whose write it was;
 *                NOT_FOUND of a part_finish too, whose upload that attempt may have used up
 *   all else     is the outcome
 *
 * A write that may have had its effect is read back before it is repeated.
 */
#include <assert.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/op_private.h"

#define BUDGET_WAIT 1000 /* an empty budget: work is kept, and asked about again */

static void on_wait_ended(uv_timer_t *timer);

static void log_repeat(const struct dif_op_run *r, const struct dif_op_host *a, int64_t wait)
{
	/* A first repeat is everyday life with thousands of ops; more of them tell a story. */
	dif_log(r->repeats > 1 ? DIF_LOG_INFO : DIF_LOG_DEBUG, "retry",
	        "destination=%s verb=%s object=%s attempt=%u class=%s code=%s status=%d "
	        "wait_ms=%lld request_id=%s text=%s",
	        dif_q(r->i->name), dif_run_verb(r), dif_q(dif_run_subject(r)), r->attempts,
	        dif_class_name(r->err.cls), dif_q(r->err.code), r->err.status, (long long)wait,
	        dif_q(a->request_id), dif_q(r->err.text));
}

static void wait_for(struct dif_op_run *r, int64_t ms)
{
	int rc = uv_timer_start(&r->timer, on_wait_ended, (uint64_t)ms, 0);
	assert(rc == 0);
}

static void on_wait_ended(uv_timer_t *timer)
{
	struct dif_op_run *r = timer->data;
	if (dif_pressure_may_retry(&r->i->pressure, r->was_timeout)) {
		dif_run_requeue(r);
		return;
	}
	int64_t left = r->deadline - dif_steady_ms();
	if (left <= BUDGET_WAIT) {
		dif_error_wrap(&r->err, "gave up, too much fails at '%s'", r->i->name);
		dif_run_finish(r);
		return;
	}
	wait_for(r, BUDGET_WAIT);
}

/* The attempt that failed has been judged; its memory goes. */
static void drop_attempt(struct dif_op_run *r)
{
	dif_attempt_give_back(r->attempt);
	r->attempt = NULL;
}

static void again_now(struct dif_op_run *r)
{
	drop_attempt(r);
	dif_run_requeue(r);
}

static void again_later(struct dif_op_run *r)
{
	struct dif_instance *i = r->i;
	int64_t now = dif_steady_ms();
	r->repeats++;
	int64_t wait = dif_retry_delay(&r->err, r->repeats, dif_instance_chance(i));
	if (wait >= r->deadline - now) {
		dif_run_finish(r); /* there will be no time for it */
		return;
	}
	log_repeat(r, r->attempt, wait);
	drop_attempt(r);
	dif_sm_move(&r->sm, DIF_RUN_WAITING);
	wait_for(r, wait);
}

/* True: the op goes on with another credential or another clock. */
static bool mend_auth(struct dif_op_run *r)
{
	struct dif_instance *i = r->i;
	if (!r->has_set_clock && dif_login_set_clock(i, r->attempt)) {
		r->has_set_clock = true;
		return true;
	}
	const struct dif_credential *used = r->attempt->credential;
	bool is_fixed = used != NULL && used->cred.expires == INT64_MAX;
	if (i->offer->verbs->login == NULL || r->has_logged_in || is_fixed) {
		return false; /* what never ends comes from the section, and would come again */
	}
	r->has_logged_in = true;
	dif_login_drop(i, r->version);
	return true;
}

/* --- the peer's health --- */

static void count(struct dif_op_run *r, const struct dif_op_host *a, bool is_mended)
{
	struct dif_instance *i = r->i;
	int64_t now = dif_steady_ms();
	bool is_ours = a->is_local || r->is_canceled || is_mended;
	enum dif_class cls = a->err.cls;
	if (cls == DIF_CANCELED && r->is_expired) {
		cls = DIF_TRANSIENT;
	} else if (!is_ours && cls != DIF_CANCELED) {
		i->trouble = a->err;
	}
	dif_pressure_ended(&i->pressure, cls, is_ours, now, dif_instance_chance(i));
	dif_instance_note_breaker(i, now);
	dif_run_kick(i); /* there is room for another */
}

/* --- judging --- */

static bool is_stopped(const struct dif_op_run *r)
{
	return r->is_canceled || r->is_expired;
}

static void end_stopped(struct dif_op_run *r)
{
	char span[DIF_DATE_MAX];
	if (r->is_canceled) {
		dif_error_set(&r->err, DIF_CANCELED, "it was canceled");
	} else {
		dif_error_set(&r->err, DIF_TRANSIENT, "there was no answer within %s",
		              dif_span(span, dif_steady_ms() - r->started));
	}
	dif_run_finish(r);
}

static void judge_readback(struct dif_op_run *r)
{
	enum dif_readback verdict = dif_readback_judge(r, r->attempt);
	if (verdict == DIF_BACK_MINE) {
		dif_error_clear(&r->err);
		dif_run_finish(r);
	} else if (is_stopped(r)) {
		end_stopped(r);
	} else if (verdict == DIF_BACK_MORE) {
		again_now(r);
	} else if (verdict == DIF_BACK_OLD && !r->is_conflict) {
		r->must_read_back = false;
		again_now(r);
	} else {
		if (!r->is_conflict) {
			dif_error_set(&r->err, DIF_CONFLICT,
			              "somebody else has written the key meanwhile");
		}
		dif_run_finish(r);
	}
}

/* What a read-back may find; all else is a failure of its own. */
static bool is_answer(const struct dif_op_host *a)
{
	return a->err.cls == DIF_OK || a->err.cls == DIF_NOT_FOUND;
}

static void judge_failure(struct dif_op_run *r)
{
	struct dif_op_host *a = r->attempt;
	enum dif_class cls = a->err.cls;
	if (cls == DIF_TRANSIENT || cls == DIF_THROTTLED) {
		r->err = a->err;
		again_later(r);
		return;
	}
	bool is_lost = cls == DIF_CONFLICT || (cls == DIF_NOT_FOUND && r->verb == DIF_PART_FINISH);
	if (is_lost && r->has_been_unknown && !r->is_reading_back) {
		/* The condition may have been lost to our own earlier write. */
		r->err = a->err;
		r->is_conflict = r->must_read_back = true;
		again_now(r);
		return;
	}
	if (!r->is_reading_back) {
		r->err = a->err; /* else what is told is why the write failed */
	}
	dif_run_finish(r);
}

void dif_run_attempt_ended(struct dif_op_host *a)
{
	struct dif_op_run *r = a->owner;
	bool failed = a->err.cls != DIF_OK;
	r->was_timeout = a->is_timeout;
	if (!r->is_reading_back && (!failed || a->may_have_happened)) {
		dif_key_note(r, dif_steady_ms());
	}
	if (failed && dif_verb_looks(r->verb) && !r->is_reading_back && a->may_have_happened) {
		r->has_been_unknown = true;
		r->must_read_back = true;
	}
	bool is_mended = !is_stopped(r) && a->err.cls == DIF_AUTH && mend_auth(r);
	count(r, a, is_mended);
	if (is_mended) {
		r->err = r->is_reading_back ? r->err : a->err;
		log_repeat(r, a, 0);
		again_now(r);
	} else if (r->is_reading_back && is_answer(a)) {
		judge_readback(r);
	} else if (!failed) {
		dif_error_clear(&r->err);
		dif_run_finish(r);
	} else if (is_stopped(r)) {
		end_stopped(r);
	} else {
		judge_failure(r);
	}
}
