/* fetch - brings one object of an instance into one file, by ranges that name the tag, and tells
 * its SHA-256.
 *
 * Ranges go side by side, four at most, where that is measured to be faster. A cut costs one range,
 * not the download: what is there stays, also between two fetches of the
 * same object. Bytes of two versions never mix: every range is asked for under the tag, and the
 * tag of every reply is compared. A server that has no ranges, or tells no tag, is read whole.
 */
#ifndef DIF_FLOW_FETCH_H
#define DIF_FLOW_FETCH_H

#include "host/op.h"

struct dif_fetch;

struct dif_fetch_job {
	struct dif_engine *engine;
	struct dif_instance *from;
	const char *key;
	const char *tag;     /* of the version wanted; NULL or "": whatever comes */
	uint64_t size;       /* 0: unknown */
	uint64_t max;        /* more is refused */
	int64_t at;          /* as dif_get.at */
	const char *path;    /* the file; what it holds already is not looked at unless resume */
	int64_t deadline_ms; /* for the whole of it */
	uint64_t resume;     /* the file's first bytes are of this version; 0: begin anew */
	bool whole;          /* the server is known to have no ranges */
};

struct dif_fetched {
	struct dif_error err;
	uint64_t have;   /* bytes in the file, also after a failure: where to resume, 0: anew */
	char sha256[65]; /* of the file, "" after a failure */
	bool whole;      /* the server has no ranges */
	char tls[16];    /* "" where it was plain */
	double bytes_per_s;
};

/* What job points to must stay until cb. cb is called once, on the loop, never before this returns,
 * also after cancel (then CANCELED). NULL: out of memory, or the file cannot be written; err. */
struct dif_fetch *dif_fetch_start(const struct dif_fetch_job *job,
                                  void (*cb)(void *data, const struct dif_fetched *f), void *data,
                                  struct dif_error *err);
void dif_fetch_cancel(struct dif_fetch *f);

#endif
