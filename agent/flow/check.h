/* check - a go/no-go list: every source, store, CDN, steering and lease tried for real, each point
 * one sentence with its remedy.
 *
 * Sources and destinations are asked side by side, one question at a time each, 10 s at most per
 * question; their points are told in the order of the configuration. What is written lies below
 * .difusor/ and is removed again. Loop thread.
 */
#ifndef DIF_FLOW_CHECK_H
#define DIF_FLOW_CHECK_H

#include "flow/setup.h"

/* NOT_CHECKED is no failure: what stands in the way is told as a point of its own. */
enum dif_verdict { DIF_GO, DIF_WARNING, DIF_NO_GO, DIF_NOT_CHECKED, DIF_VERDICTS };
const char *dif_verdict_name(uint32_t verdict); /* "no-go"; never NULL */

/* Valid during the call. */
struct dif_check_point {
	const char *what, *name; /* "source", "destination", "cdn", "steering", "lease"; which */
	const char *question;    /* "reach", "tls", "may put" */
	uint32_t verdict;        /* enum dif_verdict */
	const char *text;
};

struct dif_check_events {
	void (*point)(void *data, const struct dif_check_point *p);
	void (*done)(void *data); /* once, after the last point */
};

/* Starts it; nothing else may run on the setup's engine meanwhile. events must stay until done.
 * Neither is called before this returns. False: err, and neither is called. */
bool dif_check_start(struct dif_setup *s, const struct dif_check_events *events, void *data,
                     struct dif_error *err);

/* That of the live cut, where the state knows it; the receiver's reference. NULL: none. */
struct dif_manifest *dif_check_manifest(struct dif_setup *s);

#endif
