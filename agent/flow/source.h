/* source - where packages come from: polls one source through its plug-in, downloads what is new
 * with resume, and hands over files.
 *
 * A poll is a conditional head or a list; a change (tag or Last-Modified) starts a download into
 * state/incoming, by ranges that name the tag, resumed after a cut; the side-car digest is read
 * before and after, so that a package replaced in mid-read is noticed. Where many packages lie (a
 * store below `prefix`, an index page), all that are newer than the last one are handed over, the
 * oldest first; the first poll of all takes the newest alone. Throughput and TLS version of each
 * download are recorded in the log and in the state's facts (scope "source:NAME"), and what was
 * settled, so that it is not downloaded again after a restart.
 */
#ifndef DIF_FLOW_SOURCE_H
#define DIF_FLOW_SOURCE_H

#include "flow/setup.h"

struct dif_source;

struct dif_arrival {
	const char *file;    /* in state/incoming; the receiver's from now on, to move or delete */
	const char *digest;  /* side-car file beside it, NULL: none asked for */
	const char *name;    /* last part of the URL or key */
	int64_t modified_ms; /* Last-Modified, 0: not told */
	bool more;           /* a newer one lies there as well and comes next */
	const char *ticket;  /* for dif_source_settle */
	const char *tls;     /* "TLSv1.3", NULL: plain or no network */
	double bytes_per_s;
};

/* arrived is called on the loop; the source does not poll again before dif_source_go. */
struct dif_source *dif_source_open(struct dif_setup *s, uint32_t index,
                                   void (*arrived)(void *data, struct dif_source *,
                                                   const struct dif_arrival *),
                                   void *data, struct dif_error *err);
/* What arrived is in good hands: polling goes on, also while it is being published. */
void dif_source_go(struct dif_source *s);
/* What came from the source of this name with this ticket is archived, or refused for good: it will
 * not be asked for again, not even after a restart. In the order of the arrivals; the source may be
 * closed by then. */
void dif_source_settle(struct dif_setup *s, const char *name, const char *ticket);
const struct dif_source_config *dif_source_config(const struct dif_source *s);
/* The last failure, cls OK: none. */
const struct dif_error *dif_source_error(const struct dif_source *s);
int64_t
dif_source_polled(const struct dif_source *s); /* steady ms of the last good poll, 0: none */
void dif_source_close(struct dif_source *s, void (*closed)(void *data), void *data);

#endif
