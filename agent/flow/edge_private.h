/* edge_private - what the files of flow/edge share. Nobody else includes this.
 *
 *   edge.c         a whole destination: rounds, findings
 *   edge_pick.c    which URLs
 *   edge_get.c     one GET, decoded and digested as it comes
 *   edge_judge.c   what the answer means
 *   edge_cause.c   altered bytes: where, and by what kind of program. Pure
 */
#ifndef DIF_FLOW_EDGE_PRIVATE_H
#define DIF_FLOW_EDGE_PRIVATE_H

#include "flow/edge.h"
#include "flow/inflate_gzip.h"
#include "host/body.h"
#include "host/crypto.h"
#include "host/http.h"

#define EDGE_KEEP (4u << 20) /* bytes of a body that are kept to look at; DIF_WHOLE_MAX */

/* --- causes --- */

struct edge_cause {
	uint64_t offset;             /* of the first difference */
	const char *cause, *feature; /* constants; NULL: none known */
};
/* want and got differ. whole: both are all there is; false: the first bytes of each, which may even
 * be equal (offset is then their length). Any thread. */
void edge_find_cause(struct dif_bytes want, struct dif_bytes got, bool whole,
                     struct edge_cause *to);

/* --- one GET --- */

/* What was received, in one of the ways to read it. */
struct edge_digest {
	struct dif_hasher *hasher;
	uint64_t size;
	uint32_t crc;
	uint8_t sha256[DIF_DIGEST_MAX];
};

struct dif_edge_call {
	struct dif_engine *engine;
	struct dif_edge_ask ask;
	void (*answered)(void *data, const struct dif_edge_answer *a);
	void *data;
	struct dif_arena arena;
	struct dif_http_policy policy;
	const char *hosts[2];
	struct dif_field field; /* Accept-Encoding */
	struct dif_http_call *http;
	bool canceled;

	struct dif_sink sink;
	uint64_t most;                 /* bytes that some cut may have here, and room */
	struct edge_digest raw, plain; /* as it came; gunzipped, where it begins like gzip */
	struct dif_gunzip *gunzip;     /* NULL: it does not */
	bool damaged;                  /* it begins like gzip and is none */
	bool too_long;
	bool unpacked;       /* what counts is `plain` */
	struct dif_buf kept; /* the first bytes as they came */
	int64_t began;

	struct dif_work work;
	struct edge_cause cause;
	struct dif_edge_answer out;
};

/* edge_judge.c */
/* Fills in the answer. True: the bytes are nobody's, and a look at them may tell more. */
bool edge_judge(struct dif_edge_call *c, const struct dif_http_response *r);
/* Adds what edge_find_cause found. */
void edge_tell_cause(struct dif_edge_call *c);

/* --- a whole destination --- */

struct edge_target {
	const struct dif_member *member;
	const char *type; /* Content-Type that its class gives */
	bool root;        /* public_url itself */
	bool entry;       /* an entry page */
	bool gzip;
	bool telling; /* not the bytes of the cut before: where it is right, the cut is there */
	bool asked;   /* once at least */
	bool judged;  /* the last answer, or that there was no time for one, is counted: */
	bool unasked;
	uint32_t verdict;
};

/* The URLs of a job, in the manifest's order, public_url first. malloc'ed; false: out of memory. */
bool edge_pick(const struct dif_edge_job *job, struct edge_target **all, uint32_t *n);

#endif
