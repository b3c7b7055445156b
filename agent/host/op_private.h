/* op_private - how the files of host/op and host/services share their work.
 *
 *   instance.c     a configured plug-in: open, close, its pools
 *   op.c           runs: queue, start, cancel, deadline, outcome
 *   op_retry.c     what follows an attempt: outcome, login, clock, back-off
 *   op_readback.c  what follows a write whose outcome is unknown
 *   op_key.c       a key that was written a moment ago
 *   op_login.c     the credential: single flight, early renewal, drop
 *   op_attempt.c   one attempt of a verb: steps, contract, what a step asked for
 *   services*.c    the table that plug-ins see
 *
 * A run is what a caller started; an attempt is one pass of the plug-in through a verb. All of it
 * is on the loop thread.
 */
#ifndef DIF_HOST_OP_PRIVATE_H
#define DIF_HOST_OP_PRIVATE_H

#include "base/barrier.h"
#include "base/list.h"
#include "base/sm.h"
#include "host/file.h"
#include "host/op.h"

/* --- a credential, shared by the attempts that were started with it --- */

struct dif_credential {
	uint32_t refs;
	uint64_t version;
	int64_t renew_at; /* seconds since 1970, as the peer has it */
	struct dif_cred cred;
	struct dif_arena arena; /* wiping */
};
void dif_credential_release(struct dif_credential *c); /* accepts NULL */

/* --- an attempt --- */

#define DIF_HIDDEN_MAX 16 /* a login has four: what a file holds, and what it becomes on the way */

enum dif_ask {
	DIF_ASK_NONE,
	DIF_ASK_HTTP,
	DIF_ASK_EXCHANGE,
	DIF_ASK_FILE,
	DIF_ASK_READ,
	DIF_ASK_PAUSE
};

struct dif_op_host {
	struct dif_op op; /* what the plug-in sees */
	struct dif_instance *i;
	struct dif_link spare;
	struct dif_arena arena;
	uv_timer_t timer; /* of pause */

	const char *verb; /* "put", for sentences */
	bool is_login, is_list, is_remove, is_route;
	void (*ended)(struct dif_op_host *); /* once per start; owner then recycles */
	void *owner;
	struct dif_credential *credential;

	/* What the step that runs has done so far. Nothing it asks for is begun before it has
	 * returned and kept the contract. */
	uint32_t asks, outcomes, steps;
	const char *breach; /* what it did wrong first */
	bool is_stuck;      /* a service failed that has no other way to say so */
	struct dif_error stuck;

	enum dif_ask ask; /* asked for, then outstanding */
	dif_step *next;
	struct dif_http_request http;
	struct dif_file_call file;
	struct dif_exchange_call exchange;
	const char *path;
	uint32_t pause_ms;
	struct dif_http_call *call;
	struct dif_file_run *file_run;
	struct dif_message_run *message;
	struct dif_work work; /* of read */
	char *read_text;
	size_t read_n;
	struct dif_error read_err;
	const char *hidden[DIF_HIDDEN_MAX]; /* while the attempt lasts; in the arena */
	uint32_t nhidden;
	bool is_canceled;

	/* What came back. */
	const struct dif_error *no_reply; /* during a step: why the status is 0 */
	int64_t retry_after_ms;           /* of the last reply, -1: not told */
	int64_t clock_offset;             /* of the instance, when this attempt began */
	int64_t peer_date;                /* of the last reply that was no success, -1: not told */
	char request_id[96];
	char tls[16];
	int64_t cert_ends, date; /* of the last reply; 0 and -1: not told */
	double bytes_per_s;
	bool may_have_happened; /* a request that changes something went out, and may have */
	bool is_local;          /* the failure is ours, not the peer's */
	bool is_timeout;

	/* The outcome. */
	struct dif_error err;
	struct dif_result result;
	struct dif_object *rows;
	uint32_t nrows, rows_cap;
	struct dif_target *targets;
	uint32_t ntargets, targets_cap;
	struct dif_item *items; /* by index of the input */
	uint32_t nitems;
};

struct dif_op_host *dif_attempt_take(struct dif_instance *i); /* NULL: out of memory */
void dif_attempt_give_back(struct dif_op_host *a);

struct dif_attempt_start {
	dif_verb *verb;
	const char *name;
	const void *in;
	uint32_t number;
	bool is_login, is_list, is_route;
	const struct dif_remove *remove; /* NULL: another verb */
	struct dif_credential *credential;
	void (*ended)(struct dif_op_host *);
	void *owner;
};
/* Runs the verb. ended may be called before this returns. */
void dif_attempt_start(struct dif_op_host *a, const struct dif_attempt_start *s);
/* Once at most, and only before ended, which still comes. */
void dif_attempt_cancel(struct dif_op_host *a);

/* services*.c report to the attempt */
/* Takes secrets out of what a peer said, and what would move the cursor of a terminal. */
void dif_attempt_hide(char *text);
void dif_attempt_breach(struct dif_op_host *a, const char *what);
void dif_attempt_stick(struct dif_op_host *a, enum dif_class cls, const char *fmt, ...)
	DIF_PRINTF(3, 4);
/* Counts one outcome; false: it is a second one, and a breach. */
bool dif_attempt_outcome(struct dif_op_host *a);
/* The class of a failure: by the kind's faults, then by status. */
enum dif_class dif_fault_class(const struct dif_fault *faults, int status, const char *code,
                               bool told_to_wait);
/* A header of a reply, i-th value; name in lower case. NULL: not there. */
const char *dif_fields_get(const struct dif_field *f, uint32_t n, const char *name, uint32_t i);

/* --- services, by file --- */

void dif_host_http(struct dif_op *op, const struct dif_http *h, dif_step *next);
void dif_host_exchange(struct dif_op *op, const struct dif_exchange_call *c, dif_step *next);
void dif_host_file(struct dif_op *op, const struct dif_file_call *c, dif_step *next);
void dif_host_read(struct dif_op *op, const char *path, dif_step *next);
void dif_host_pause(struct dif_op *op, uint32_t ms, dif_step *next);

void dif_host_done(struct dif_op *op, const struct dif_result *res);
void dif_host_fail(struct dif_op *op, uint32_t cls, const char *code, const char *fmt, ...)
	DIF_PRINTF(4, 5);
bool dif_host_good(struct dif_op *op, const struct dif_reply *r);
void dif_host_refuse(struct dif_op *op, const struct dif_reply *r, const char *code,
                     const char *what);
void dif_host_object(struct dif_op *op, const struct dif_object *o);
void dif_host_item(struct dif_op *op, const struct dif_item *it);
void dif_host_target(struct dif_op *op, const struct dif_target *t);
void dif_host_hide(struct dif_op *op, const char *value);

void *dif_host_alloc(struct dif_op *op, size_t n);
const char *dif_host_fmt(struct dif_op *op, const char *fmt, ...) DIF_PRINTF(2, 3);
struct dif_text *dif_host_text(struct dif_op *op);
void dif_host_add(struct dif_text *t, const char *fmt, ...) DIF_PRINTF(2, 3);
void dif_host_add_bytes(struct dif_text *t, const void *p, size_t n);
struct dif_bytes dif_host_end(struct dif_text *t);
const char *dif_host_enc(struct dif_op *op, uint32_t enc, const void *p, size_t n);
struct dif_bytes dif_host_dec(struct dif_op *op, uint32_t enc, const char *s);

const struct dif_node *dif_host_parse(struct dif_op *op, uint32_t format, struct dif_bytes in);
const struct dif_node *dif_host_tree(struct dif_op *op, const struct dif_reply *r, uint32_t format,
                                     const char *root);
uint64_t dif_host_num(struct dif_op *op, const struct dif_node *n, uint64_t max);
const char *dif_host_field(const struct dif_reply *r, const char *name, uint32_t i);
uint32_t dif_host_metas(struct dif_op *op, const struct dif_reply *r, const char *prefix,
                        const struct dif_field **out);
uint32_t dif_host_fields_of(struct dif_op *op, const struct dif_node *n,
                            const struct dif_field **out);

/* --- a run --- */

enum dif_run_state { DIF_RUN_QUEUED, DIF_RUN_RUNNING, DIF_RUN_WAITING, DIF_RUN_DONE, DIF_RUN_N };

struct dif_op_run {
	struct dif_instance *i;
	struct dif_link link; /* in the queue, among the finished or the spare */
	struct dif_link live; /* in i->runs */
	struct dif_sm sm;
	uv_timer_t
		timer; /* the deadline; while WAITING the end of the back-off, if that is first */
	enum dif_verb_id verb;
	const void *in;
	dif_op_cb *cb;
	void *data;
	int64_t started, deadline; /* steady ms */

	struct dif_op_host *attempt; /* while it runs, and until cb has returned */
	uint64_t version;            /* of the credential that it was started with */
	uint32_t attempts, repeats;
	bool has_logged_in, has_set_clock; /* each helps once */
	bool is_canceled, is_expired;
	bool was_timeout;     /* the last attempt was sent and not answered */
	struct dif_error err; /* the last failure, then the outcome */

	/* op_readback.c */
	bool must_read_back, is_reading_back; /* before the verb is repeated; the attempt does so */
	bool has_been_unknown;                /* some attempt of this run may have had its effect */
	bool is_conflict;                     /* the read-back is to tell whose write won the key */
	struct dif_get head;
	uint32_t at;            /* remove: the key being read back, by index of the input */
	uint8_t *gone;          /* remove: what is known to be gone, by index of the input */
	struct dif_remove rest; /* remove: the keys that are left */
	const char **rest_keys, **rest_tags;
};

bool dif_verb_looks(enum dif_verb_id verb);           /* reads back what may have had its effect */
const char *dif_run_verb(const struct dif_op_run *r); /* "put" */
const char *dif_run_subject(const struct dif_op_run *r); /* its key, or what comes nearest */
void dif_run_finish(struct dif_op_run *r);               /* calls cb; on the loop only */
void dif_run_finish_later(struct dif_op_run *r);         /* from wherever */
void dif_run_requeue(struct dif_op_run *r);              /* at the front */
void dif_run_kick(struct dif_instance *i);               /* pumps on the loop, soon */
void dif_run_free(struct dif_op_run *r);                 /* closes its timer, then frees */

/* op_retry.c: an attempt of r has ended. */
void dif_run_attempt_ended(struct dif_op_host *a);

/* op_readback.c */
void dif_readback_begin(struct dif_op_run *r, struct dif_attempt_start *s);
enum dif_readback { DIF_BACK_MINE, DIF_BACK_OLD, DIF_BACK_OTHER, DIF_BACK_MORE };
enum dif_readback dif_readback_judge(struct dif_op_run *r, struct dif_op_host *a);
/* remove: the verb's input without what is gone. */
const void *dif_readback_input(struct dif_op_run *r);
/* remove: the items of the whole input; false: out of memory. */
bool dif_readback_items(struct dif_op_run *r, struct dif_op_host *a);
void dif_readback_fini(struct dif_op_run *r);

/* op_key.c: how long, in ms, a write of the key has to wait (caps.key_writes_per_s); 0: no wait. */
int64_t dif_key_wait(const struct dif_op_run *r, int64_t now);
void dif_key_note(struct dif_op_run *r, int64_t now); /* the key has been written, perhaps */

/* --- login --- */

struct dif_login {
	struct dif_credential *current; /* NULL: none */
	struct dif_op_host *attempt;    /* NULL: none runs */
	uint64_t versions;
	uint32_t failures;
	int64_t failing_since; /* steady ms of the first of them */
	bool is_final;         /* the last failure was one that a repeat cannot mend */
	int64_t again_at;      /* steady ms: not before */
	bool has_set_clock;
	struct dif_error err;
	uv_timer_t timer; /* end of an attempt, or of a back-off */
};
enum dif_login_state { DIF_LOGIN_READY, DIF_LOGIN_WAIT, DIF_LOGIN_FAILED };
enum dif_login_state dif_login_ready(struct dif_instance *i);
void dif_login_drop(struct dif_instance *i, uint64_t version);
void dif_login_close(struct dif_instance *i);
/* Where the last op has ended, a login that nobody waits for any more is given up. */
void dif_login_idle(struct dif_instance *i);
/* Since when, in steady ms, nobody could log in: several times in a row. 0: it is not so. */
int64_t dif_login_down_since(const struct dif_instance *i);
/* True: the peer's clock is far off ours, which now follows it. */
bool dif_login_set_clock(struct dif_instance *i, const struct dif_op_host *a);

/* --- an instance --- */

struct dif_http_settings {
	const char *ca_file, *client_cert, *client_key;
	uint32_t plain, private_network;
	int64_t connections, rate, timeout;
};

/* When a key was last written, by a hash of it; another key in the same place replaces it, which
 * costs a refused request at worst. */
#define DIF_KEY_TIMES 1024u
struct dif_key_time {
	uint64_t hash;
	int64_t at; /* steady ms */
};

struct dif_instance {
	struct dif_engine *e;
	const struct dif_offer *offer;
	const char *name;
	void *self;
	struct dif_arena arena; /* wiping */
	struct dif_caps caps;
	struct dif_http_settings settings;
	struct dif_http_policy policy;
	struct dif_file_root *root; /* NULL: not opened yet */
	struct dif_pressure pressure;
	struct dif_key_time *key_times; /* NULL: the store names no limit of a key */
	int64_t down_since;
	struct dif_error
		trouble;      /* the last failure of the peer's, cls OK: none since it answered */
	int64_t clock_offset; /* seconds that the peer is ahead of us */
	uint64_t chance;      /* state of the jitter */
	struct dif_login login;

	struct dif_link queue, finished, runs, spare_runs, spare_attempts;
	uint32_t nspare_runs;
	uv_idle_t kick;
	uv_timer_t wake;
	bool is_closing;
	struct dif_barrier live;    /* itself, each run, the login */
	struct dif_barrier handles; /* itself, each handle */
	void (*closed)(void *data);
	void *closed_data;
};
double dif_instance_chance(struct dif_instance *i);     /* uniform in [0, 1) */
int64_t dif_instance_now(const struct dif_instance *i); /* seconds since 1970, as the peer has it */
void dif_instance_note_breaker(struct dif_instance *i, int64_t now);

#endif
