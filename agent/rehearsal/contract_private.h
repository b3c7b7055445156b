/* contract_private - what the files of the suite share. */
#ifndef DIF_REHEARSAL_CONTRACT_PRIVATE_H
#define DIF_REHEARSAL_CONTRACT_PRIVATE_H

#include "host/crypto.h"
#include "host/op.h"
#include "rehearsal/contract.h"
#include "rehearsal/exchange.h"

/* The families; their order is that of dif_families. */
enum dif_family {
	DIF_F_PROBE,
	DIF_F_LOGIN,
	DIF_F_LIST,
	DIF_F_LIST_LAST,
	DIF_F_HEAD,
	DIF_F_HEAD_ABSENT,
	DIF_F_GET,
	DIF_F_GET_PART,
	DIF_F_PUT_CREATED,
	DIF_F_PUT_REPLACED,
	DIF_F_PUT_LOST,
	DIF_F_PUT_THROTTLED,
	DIF_F_PUT_FORBIDDEN,
	DIF_F_PUT_BROKEN,
	DIF_F_REMOVE,
	DIF_F_REMOVE_ABSENT,
	DIF_F_REMOVE_MANY,
	DIF_F_PART_BEGIN,
	DIF_F_PART_PUT,
	DIF_F_PART_LAST,
	DIF_F_PART_ASK,
	DIF_F_PART_FINISH,
	DIF_F_PART_LOST,
	DIF_F_PART_ABORT,
	DIF_F_PURGE_URLS,
	DIF_F_PURGE_PREFIXES,
	DIF_F_PURGE_TAGS,
	DIF_F_PURGE_ALL,
	DIF_F_PURGE_THROTTLED,
	DIF_F_PURGE_IN_PROGRESS,
	DIF_F_PURGE_FORBIDDEN,
	DIF_F_PURGE_REFUSED,
	DIF_F_PURGE_BROKEN,
	DIF_F_STATE_PENDING,
	DIF_F_STATE_SETTLED,
	DIF_F_STATE_FAILED,
	DIF_F_GET_ABSENT,
	DIF_F_SET,
	DIF_F_SET_WITHDRAW,
	DIF_F_SET_ABSENT,
	DIF_F_SET_LOST,
	DIF_F_SET_THROTTLED,
	DIF_F_SET_FORBIDDEN,
	DIF_F_SET_BROKEN,
	DIF_F_ACQUIRE,
	DIF_F_ACQUIRE_HELD,
	DIF_F_ACQUIRE_AGAIN,
	DIF_F_ACQUIRE_BROKEN,
	DIF_F_RENEW,
	DIF_F_RENEW_GONE,
	DIF_F_RELEASE,
	DIF_F_RELEASE_GONE,
	DIF_F_READ,
	DIF_F_READ_NOBODY,
	DIF_FAMILIES
};
#define DIF_F_NONE DIF_FAMILIES
extern const char *const dif_families[DIF_FAMILIES];

/* What becomes of the first reply. */
enum dif_mutation {
	DIF_M_NONE,
	DIF_M_CUT,       /* the connection breaks */
	DIF_M_GARBAGE,   /* good status, no header, bytes that mean nothing */
	DIF_M_HUGE,      /* a body without an end */
	DIF_M_503,       /* without Retry-After */
	DIF_M_503_LATER, /* Retry-After: 1 */
	DIF_M_429_LATER, /* the same */
	DIF_M_403,
	DIF_M_STATUS /* any status, and no other ever after */
};

#define DIF_STEPS_MAX 4

/* One op: what to run, what it meets, what must come of it. */
struct dif_trial {
	enum dif_verb_id verb;
	enum dif_family steps[DIF_STEPS_MAX]; /* in order; DIF_F_NONE ends them */
	enum dif_mutation mutation;           /* of the first */
	int status;                           /* of DIF_M_STATUS */
	enum dif_family readback;             /* answers a read-back at any time; DIF_F_NONE */
	enum dif_class cls;                   /* what must come out; DIF_CLASSES: any but OK */
	uint32_t min_requests;
	uint32_t min_logins;
	int64_t min_ms;
	bool replaces;   /* put: if_tag; else if_absent */
	bool is_part;    /* get: from offset 6 on */
	bool is_last;    /* list: with the cursor, and no further page */
	uint32_t part;   /* part_put: 1 or 2 */
	bool many;       /* remove: two keys */
	bool is_guarded; /* put: caps.digests[digest] must be seen in the request */
	uint32_t digest;
	bool is_bare;    /* the object has no metadata, and its tag is not known before */
	bool or_failure; /* any failure will do as well */
	bool or_auth;    /* AUTH will do as well */
	bool found_new;  /* what is found on the server is what the put would have brought */
	bool any_ending; /* only the contract itself is asked for */
	bool stays;      /* the steps are met again and again, and what they say is the outcome */

	uint32_t scope;    /* purge: enum dif_purge_scope */
	uint32_t items;    /* purge: so many at most; 0: two */
	bool is_long;      /* purge: of 1,024 bytes each */
	const char *path;  /* purge: of the one item; NULL: made up */
	uint32_t node;     /* purge */
	bool is_pending;   /* state: not settled */
	bool is_absent;    /* get, set: there is no record; read: nobody has the lease */
	bool is_withdrawn; /* set: the second target gets nobody */
	bool is_held;      /* acquire: somebody else has it */
};

/* The inputs of the kinds that are no stores. */
#define DIF_TARGETS 2
struct dif_kind_input {
	struct dif_purge purge;
	struct dif_ticket ticket;
	struct dif_route route;
	struct dif_target targets[DIF_TARGETS];
	struct dif_lease_call lease;
};

/* A row of a table of cases; mutations: DIF_BIT of those that it is tried with. */
#define DIF_BIT(m) (1u << DIF_M_##m)
struct dif_derived {
	const char *name;
	struct dif_trial trial;
	uint32_t mutations;
};

struct dif_suite {
	struct dif_engine *engine;
	const struct dif_offer *offer;
	struct dif_arena arena; /* of the suite: configuration, scripts */
	struct dif_arena work;  /* of one case */
	struct dif_ini_entry *entries;
	const char *section, *folder, *temporary;
	struct dif_script scripts[DIF_FAMILIES];
	struct dif_values values;
	struct dif_caps caps; /* as an instance told that stays open */
	uint64_t size;        /* of the object in play; the content is zeros where it is large */
	uint64_t body_max;    /* of a request's body, by the folder or the caps; 0: not known */
	dif_contract_cb *cb;
	void *data;
	struct dif_contract_counts *counts;
	char tag[256];                    /* stores of files: what the last put or head told */
	char upload[1024], token[2][256]; /* what the parts have told so far */
	char why[1024];                   /* of the case that runs, "": nothing wrong so far */
	uint64_t requests;                /* all cases: none at all proves nothing */
};

#define DIF_BIG 5000000000ull
#define DIF_CONTENT "hello world"
#define DIF_CONTENT_SPLIT 6 /* where its second part begins */

/* contract.c */
void dif_suite_tell(struct dif_suite *s, enum dif_verdict verdict, const char *name,
                    const char *why);
/* Notes what is wrong with the case that runs; the first word stays. False, for one-liners. */
bool dif_suite_wrong(struct dif_suite *s, const char *fmt, ...) DIF_PRINTF(2, 3);
/* Sets key, size and content, and what follows from them. */
void dif_suite_object(struct dif_suite *s, const char *key, uint64_t size);
/* NULL: err says why. */
struct dif_instance *dif_suite_open(struct dif_suite *s, struct dif_error *err);
void dif_suite_close(struct dif_suite *s, struct dif_instance *i);

/* contract_content.c */
struct dif_content {
	struct dif_body_bytes bytes;
	struct dif_body zeros;
	struct dif_blob blob;
	uint8_t digest[DIF_DIGESTS][DIF_DIGEST_MAX];
};
void dif_content_make(struct dif_content *c, const char *from, uint64_t size);
struct dif_comparing {
	struct dif_sink sink;
	const struct dif_suite *s;
	uint64_t from, at;
	bool differs;
};
/* Compares what comes, from an offset on, with the object in play. */
void dif_comparing_init(struct dif_comparing *c, const struct dif_suite *s, uint64_t from);

/* contract_run.c: runs one op on an instance of its own. False: s->why says what was wrong. */
bool dif_trial_run(struct dif_suite *s, const struct dif_trial *t);
bool dif_trial_run_on(struct dif_suite *s, struct dif_instance *i, const struct dif_trial *t);

/* contract_input.c: what a verb of the other kinds takes, and whether what came out is that. */
const void *dif_kind_input(struct dif_suite *s, const struct dif_trial *t,
                           struct dif_kind_input *to);
void dif_kind_judge(struct dif_suite *s, const struct dif_trial *t, const struct dif_outcome *out);

/* contract_cases.c: shared with contract_kinds.c */
enum dif_family dif_case_missing(const struct dif_suite *s, const struct dif_trial *t);
void dif_case_run(struct dif_suite *s, const char *name, const struct dif_trial *t);
/* The same; not proved where a script is missing. */
void dif_case_scripted(struct dif_suite *s, const char *name, const struct dif_trial *t);
void dif_case_expect_login(const struct dif_suite *s, struct dif_trial *t);
void dif_case_derived(struct dif_suite *s, const struct dif_derived *rows, size_t n);
void dif_case_any_reply(struct dif_suite *s, const char *name, const struct dif_trial *base);

/* contract_cases.c, contract_files.c, contract_parts.c: stores */
void dif_contract_scripted(struct dif_suite *s);
void dif_contract_parts(struct dif_suite *s);
void dif_contract_any_reply(struct dif_suite *s);
void dif_contract_files(struct dif_suite *s);
/* contract_kinds.c: CDNs, steering, leases */
void dif_kinds_caps(struct dif_suite *s);
void dif_kinds_scripted(struct dif_suite *s);
void dif_kinds_any_reply(struct dif_suite *s);
void dif_kinds_files(struct dif_suite *s);
/* The names that every store must keep: NULL-terminated pairs of what and name. */
struct dif_odd_name {
	const char *what, *name;
};
extern const struct dif_odd_name dif_odd_names[];
/* A name of n bytes below the usual prefix, in segments of at most 200. */
const char *dif_long_name(struct dif_arena *a, uint32_t n);

#endif
