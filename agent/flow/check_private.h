/* check_private - what the files of flow/check share. Nobody else includes this.
 *
 *   check.c         the subjects, side by side; points in order; the requests as they were sent
 *   check_reach.c   what the first answer of a source or a store tells
 *   check_store.c   what a store lets us do, and how fast
 *   check_public.c  what the public gets of the store itself, past public_url
 *   check_reader.c  public_url as readers and the authority meet it
 *   check_kinds.c   what comes of each kind of entry through it
 *   check_source.c  what lies at a source
 *   check_steering.c  the record that leads readers
 *   check_cdn.c     what may be purged
 *   check_lease.c   what decides which of two agents works
 */
#ifndef DIF_FLOW_CHECK_PRIVATE_H
#define DIF_FLOW_CHECK_PRIVATE_H

#include "flow/blob.h"
#include "flow/check.h"
#include "flow/edge.h"
#include "flow/probe.h"

#define QUESTION_MS 10000 /* longer is a no-go on the night */
#define HEADS 10          /* whose median is the latency */
#define BIG (4u << 20)    /* bytes that measure the throughput */
#define SMALL 64          /* bytes of the other object */
#define NONCE (2 * 8)     /* hex digits that make our keys ours */
#define ARENA_MAX (1u << 20)
#define KINDS_MAX 24 /* of entries: class and Content-Type */

struct subject;
typedef void check_ask(struct subject *s);

struct told {
	struct dif_link link;
	struct dif_check_point point;
};

/* Compares what comes with what was put. */
struct comparing {
	struct dif_sink sink; /* first: the sink is this */
	const char *want;
	size_t n, at;
	bool differs;
};

enum live { LIVE_UNKNOWN, LIVE_NOT, LIVE_YES };

struct subject {
	struct dif_check *c;
	const char *what, *name, *section;
	struct dif_instance *i;
	const struct dif_source_config *source;     /* NULL: a destination */
	struct dif_destination *d;                  /* NULL: another kind */
	const struct dif_steering_config *steering; /* NULL: likewise */
	const struct dif_lease_config *lease;       /* NULL: likewise */
	check_ask *const *asks;                     /* ends with NULL */
	uint32_t at;
	bool ended;
	struct dif_link points; /* not told yet */
	struct dif_arena arena;

	/* the question that is being asked */
	struct dif_get get;
	struct dif_route route;
	struct dif_lease_call lease_call;
	struct dif_put put;
	struct dif_list list;
	struct dif_remove remove;
	struct comparing comparing;
	struct dif_op_run *op;
	uv_timer_t timer; /* of the probe */
	struct dif_probe_run *probe;
	bool late;

	/* what the answers so far leave behind */
	char nonce[NONCE + 1];
	const char *key, *big_key;
	struct dif_blob_bytes small, big;
	bool has_small, has_big;
	int64_t took[HEADS], took_all; /* ms */
	uint32_t ntook;
	double put_rate;
	const char *list_url, *object_url; /* as they were sent; NULL: not HTTP, or not asked */
	enum live live;
	const char *newest; /* of a source: the package's key */
	int64_t newest_modified;
	uint64_t newest_size;
	uint32_t nfound, pages;
	const char *cursor;

	/* public_url */
	const char *hosts[2];
	struct dif_http_policy policy;
	bool page;                                      /* it answered 200 */
	const char *embed_stop, *cdn_sign, *store_sign; /* what its headers say; NULL: nothing */
	enum { SAYS_NOTHING, SAYS_MISS, SAYS_HIT } cached;
	struct check_kind {
		const struct dif_class_rule *rule;
		const struct dif_member *member;
		const char *type;
	} kinds[KINDS_MAX];
	uint32_t nkinds, kind;
	const char *wrong_type, *unasked, *differs; /* the first sentence of each; NULL: none */
	bool breaks;                                /* a wrong type that browsers refuse */
};

struct dif_check {
	struct dif_setup *setup;
	const struct dif_check_events *events;
	void *data;
	struct dif_transport real;
	struct subject *subjects;
	struct dif_manifest *manifest; /* of the live cut; NULL: none is known */
	uint32_t nsubjects, telling;   /* whose points are being told */
	uint32_t open;                 /* subjects and timers */
	char small[SMALL];
	char *big;
};

/* check.c */
/* Adds a point. */
void check_tell(struct subject *s, const char *question, enum dif_verdict verdict, const char *fmt,
                ...) DIF_PRINTF(4, 5);
/* A failure and what to do about it. */
void check_fail(struct subject *s, const char *question, const struct dif_error *err,
                const char *remedy);
void check_next(struct subject *s);                    /* the next question, or the end */
void check_skip_to(struct subject *s, check_ask *ask); /* asks this one next */
bool check_is_http(const struct subject *s);
struct dif_op_run *check_op(struct subject *s, enum dif_verb_id verb, const void *in,
                            int64_t deadline_ms, dif_op_cb *cb);
/* The certificate and the clock of a peer. */
void check_tell_tls(struct subject *s, const char *question, const char *tls, int64_t cert_ends);
/* A remedy for a peer that does not answer. */
const char *check_remedy(const struct dif_error *err);
void check_compare(struct comparing *c, const char *want, size_t n);

/* check_reach.c */
void check_reach(struct subject *s);
void check_tell_clock(struct subject *s, int64_t peer);
/* True: the peer knows us but does not let us do that; false: it does not know us. */
bool check_lacks_right(const struct dif_error *err);
/* What the right is called there: "s3:PutObject". */
enum right { RIGHT_PUT, RIGHT_LIST, RIGHT_GET, RIGHT_REMOVE, RIGHTS };
const char *check_right(const struct subject *s, enum right right);

/* the questions, in order; each ends with NULL */
extern check_ask *const check_store_asks[];
extern check_ask *const check_source_asks[];
extern check_ask *const check_steering_asks[];
extern check_ask *const check_cdn_asks[];
extern check_ask *const check_lease_asks[];

/* check_steering.c */
void check_steering_after(struct subject *s);

/* check_public.c */
void check_public_list(struct subject *s);
void check_public_get(struct subject *s);
void check_live(struct subject *s);

/* check_reader.c; each after the one before */
void check_site(struct subject *s);
void check_embed(struct subject *s);
void check_deep_link(struct subject *s);
void check_rand(struct subject *s);
void check_protection(struct subject *s);
/* A plain GET; the policy stays until cb. */
void check_get(struct subject *s, const char *url, const struct dif_http_policy *policy,
               void (*cb)(void *data, const struct dif_http_response *r));

/* check_kinds.c */
void check_kinds(struct subject *s);

#endif
