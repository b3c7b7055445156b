/* edge - what a reader gets: one GET of a public address compared with what it should be, and many
 * of them for a whole destination.
 *
 * A GET goes out as a reader's program makes it: no cookie, no redirect followed, Accept-Encoding
 * only where asked for. What comes is decoded (identity, gzip; bounded), digested and compared with
 * the member of the manifest. Bytes that are not the member's are looked up in the other cuts,
 * which tells a stale edge from one that alters; of altered bytes the first difference is found,
 * and what kind of program does such a thing. Loop thread.
 */
#ifndef DIF_FLOW_EDGE_H
#define DIF_FLOW_EDGE_H

#include "flow/config.h"
#include "flow/manifest.h"
#include "flow/package.h"
#include "host/engine.h"

enum dif_edge_verdict {
	DIF_EDGE_SAME,      /* the bytes of the member */
	DIF_EDGE_STALE,     /* those of an older cut */
	DIF_EDGE_NEWER,     /* those of a later one */
	DIF_EDGE_ALTERED,   /* nobody's */
	DIF_EDGE_HEADERS,   /* the right bytes with headers that are not */
	DIF_EDGE_MISSING,   /* 404 or 410 */
	DIF_EDGE_REFUSED,   /* 401, 403 or 451 */
	DIF_EDGE_REDIRECT,  /* 3xx; a reader would be led elsewhere */
	DIF_EDGE_STATUS,    /* any other status */
	DIF_EDGE_UNREACHED, /* no answer: err says why */
	DIF_EDGE_CANCELED,
	DIF_EDGE_VERDICTS
};
const char *dif_edge_verdict_name(uint32_t verdict); /* "stale"; never NULL */

/* --- one GET --- */

/* All of it must stay until the answer, except url and ca_file, which are copied. */
struct dif_edge_ask {
	const char *url;
	const char *ca_file; /* NULL: the system's */
	bool gzip;           /* with Accept-Encoding: gzip */
	uint32_t timeout_ms; /* in all; 0: 10 s, the authority's patience */
	/* What it shall be. NULL: nothing is compared, and 200 is SAME. */
	const struct dif_member *member;
	const char *type; /* Content-Type it shall have; NULL: any */
	bool identity;    /* an entry page: compressed though nobody asked for it is HEADERS */
	const struct dif_order *order; /* of the member's cut; NULL: all others are older */
	const struct dif_package
		*package; /* of the member: to find the first difference. NULL: only
	                                    * the digests are compared */
	/* Cuts that the bytes may be of, the likeliest first; members of which only size and CRC-32
	 * are known (form[DIF_IDENTITY].has is 0) do. */
	struct dif_manifest *const *others;
	uint32_t nothers;
};

/* Valid during the callback. Texts of the peer are cut at 200 bytes and may hold anything but
 * control characters. */
struct dif_edge_answer {
	const char *url;
	bool gzip; /* as asked */
	uint32_t verdict;
	int status;                  /* 0: no answer */
	const struct dif_order *cut; /* STALE, NEWER: whose bytes it has; else NULL */
	uint64_t size;               /* decoded */
	int64_t offset;              /* ALTERED: of the first difference, decoded; -1: not known */
	const char *text;            /* one sentence for people; "" where it is SAME */
	const char *cause;           /* ALTERED: "script injected"; NULL: no idea */
	const char *feature;         /* what to look for and switch off; NULL: none known */
	bool unasked;                /* the body came compressed, and was not asked for so */
	const char *encoding, *type; /* headers, NULL: not there */
	const char *location;        /* of a REDIRECT */
	const char *cache;           /* "cf-cache-status: HIT", whichever such header there is */
	const char *via, *server;
	int64_t age_s;     /* the Age header, -1: none */
	const char *tls;   /* "TLSv1.3", NULL: plain */
	int64_t cert_ends; /* seconds since 1970, 0: not known */
	uint64_t bytes;    /* of the body as it came */
	int64_t ms;        /* from the call to the end of the body */
	struct dif_error err;
};

struct dif_edge_call;
/* answered is called once, on the loop, never before this returns. NULL: out of memory, and it is
 * not called. */
struct dif_edge_call *dif_edge_get(struct dif_engine *e, const struct dif_edge_ask *ask,
                                   void (*answered)(void *data, const struct dif_edge_answer *a),
                                   void *data);
void dif_edge_cancel(struct dif_edge_call *c); /* answered still comes, CANCELED */

/* Where readers find an entry: public_url (with a slash at its end) and the path, percent-encoded
 * byte by byte. path "": public_url itself, which answers with the root's index.html. */
const char *dif_edge_url(struct dif_arena *a, const char *public_url, const char *path);

/* --- a whole destination --- */

enum dif_edge_pick {
	/* public_url itself; of `members` all entry pages and aggregates (200 at most) and of the
	 * rest 1 %, at least 5, at most 300, by chance. */
	DIF_EDGE_SAMPLE,
	DIF_EDGE_ALL /* public_url itself, and all of `members` */
};

struct dif_edge_job {
	struct dif_engine *engine;
	const struct dif_destination_config *destination; /* public_url is set */

	struct dif_manifest *manifest;     /* kept by reference */
	const struct dif_package *package; /* NULL: no offsets. Stays until done */
	const struct dif_class_rule *classes;
	uint32_t nclasses;
	/* Kept by reference; see dif_edge_ask. */
	struct dif_manifest *const *others;
	uint32_t nothers;
	uint32_t pick; /* enum dif_edge_pick */
	/* Those of the manifest to choose from, such as the changed ones; copied. NULL: all. */
	const struct dif_member *const *members;
	uint32_t nmembers;
	/* Also with Accept-Encoding: gzip, what compresses (text types). */
	bool gzip;
	bool headers;   /* judges Content-Type by the class, and Content-Encoding of entry pages */
	uint32_t width; /* GETs side by side; 0: 8 */
	uint32_t timeout_ms; /* of one GET; 0: 10 s */
	/* What is not right is asked again, 250 ms later and then doubling to 5 s, until it is or
	 * so much time is over; 0: once only, however long that takes. Where 16 in a row do not
	 * answer, or the time is over by more than a GET may take, the rest of a round counts as
	 * unreached, without findings. */
	int64_t patience_ms;
	uint32_t findings_max; /* kept; 0: 100 */
};

struct dif_edge_finding {
	const char *path; /* of the manifest; "" is public_url itself */
	const char *url;
	bool gzip;
	uint32_t verdict;
	int status;
	int64_t offset, age_s;
	char cut[65];      /* STALE, NEWER */
	const char *text;  /* one sentence */
	const char *cause; /* see dif_edge_answer; NULL: none */
	const char *feature, *cache;
};

/* Valid during the callback. */
struct dif_edge_report {
	uint64_t asked;                      /* GETs, repeated ones too */
	uint64_t checked, of;                /* URLs answered for; each form counts */
	uint64_t bytes;                      /* as they came */
	uint64_t verdict[DIF_EDGE_VERDICTS]; /* of the last answer of each URL */
	uint64_t unasked;                    /* URLs that came compressed unasked */
	uint64_t wrong;                      /* URLs whose last answer is not SAME */
	uint32_t round;                      /* from 1 */
	/* Of what is wrong, public_url first, then in the manifest's order. */
	const struct dif_edge_finding *findings;
	uint32_t nfindings;
	/* ms since 1970. The first answer with bytes of this cut that others[0], the cut before,
	 * does not have (any right answer where there is none such); the moment when all was right.
	 * 0: did not happen. */
	int64_t first_visible, all_visible;
	const char *tls; /* of the last answer; NULL: plain or none */
	int64_t cert_ends;
	struct dif_error err; /* could not be carried out, or canceled; else cls OK */
};

struct dif_edge_events {
	/* After each round that left something wrong and will be followed by another one: purge
	 * again what is stale. May be NULL. */
	void (*round)(void *data, const struct dif_edge_report *r);
	/* Once, on the loop, never before start returns. */
	void (*done)(void *data, const struct dif_edge_report *r);
};

/* In the callbacks it may be stopped. */
struct dif_edge;
/* NULL: out of memory, and nothing is called. */
struct dif_edge *dif_edge_start(const struct dif_edge_job *job,
                                const struct dif_edge_events *events, void *data);
void dif_edge_stop(struct dif_edge *e); /* done still comes, CANCELED */
/* Without findings. */
const struct dif_edge_report *dif_edge_so_far(const struct dif_edge *e);

#endif
