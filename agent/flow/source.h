/* source - where packages come from: polls one source through its plug-in, downloads what is new
 * with resume, and hands over files.
 *
 * A poll is a conditional head or get; a change (tag or Last-Modified) starts a download into
 * state/incoming, by ranges that name the tag, resumed after a cut; the side-car digest is read
 * before and after, so that a package replaced in mid-read is noticed. For a store with many
 * objects (`prefix`), the newest object below the prefix is the package. Throughput and TLS
 * version of each download are recorded in the log and in the state's facts (scope "source:NAME").
 */
#ifndef DIF_FLOW_SOURCE_H
#define DIF_FLOW_SOURCE_H

#include "flow/setup.h"

struct dif_source;

struct dif_arrival {
	const char *file;    /* in state/incoming; the receiver may move it */
	const char *digest;  /* side-car file beside it, NULL: none asked for */
	const char *name;    /* last part of the URL or key */
	int64_t modified_ms; /* Last-Modified, 0: not told */
	const char *tls;     /* "TLSv1.3", NULL: plain or no network */
	double bytes_per_s;
};

/* arrived is called on the loop; the source does not poll again before dif_source_go. */
struct dif_source *dif_source_open(struct dif_setup *s, uint32_t index,
                                   void (*arrived)(void *data, struct dif_source *,
                                                   const struct dif_arrival *),
                                   void *data, struct dif_error *err);
void dif_source_go(struct dif_source *s); /* what arrived has been taken: polling goes on */
/* What arrived could not be taken, for a reason of ours (a full disk): after the next poll it
 * arrives once more, unless something newer does; from the same file if that still lies there.
 * Instead of dif_source_go. */
void dif_source_again(struct dif_source *s);
const struct dif_source_config *dif_source_config(const struct dif_source *s);
/* The last failure, cls OK: none. */
const struct dif_error *dif_source_error(const struct dif_source *s);
int64_t
dif_source_polled(const struct dif_source *s); /* steady ms of the last good poll, 0: none */
void dif_source_close(struct dif_source *s, void (*closed)(void *data), void *data);

#endif
