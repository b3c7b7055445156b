/* publication - all deliveries of one cut, side by side, with the barrier between them.
 *
 * The barrier opens when every delivery that can still come has arrived, or `barrier` (30 s, or
 * half of the timeout where that is less) after the first arrival; it never waits for a destination
 * whose breaker is open, or where nobody can log in. 256 connections are shared evenly among the
 * destinations with work.
 */
#ifndef DIF_FLOW_PUBLICATION_H
#define DIF_FLOW_PUBLICATION_H

#include "flow/delivery.h"

struct dif_publication;

struct dif_publication_job {
	struct dif_engine *engine;
	struct dif_state *state;
	struct dif_spool *spool;
	const struct dif_config *config;
	const struct dif_package *package;
	struct dif_manifest *manifest;
	struct dif_destination *const *destinations;
	uint32_t ndestinations;
	bool dry_run;
	int64_t timeout_ms;     /* 10 min */
	int64_t linger_ms;      /* as in flow/delivery (10 s) */
	int64_t unreachable_ms; /* a breaker open for so long counts as not reached (60 s) */
};

/* ended is called once, on the loop; the publication may be freed in it. */
struct dif_publication *dif_publication_start(const struct dif_publication_job *job,
                                              void (*ended)(void *data, struct dif_publication *p),
                                              void *data);
void dif_publication_supersede(struct dif_publication *p); /* see dif_delivery_supersede */
void dif_publication_cancel(struct dif_publication *p);
void dif_publication_free(struct dif_publication *p);
/* 0, 7, 8, 16, 1: by what its deliveries came to. */
int dif_publication_exit(const struct dif_publication *p);
bool dif_publication_is_there(const struct dif_publication *p); /* some store has all; NULL: no */
/* ms between the first and the last destination where readers got the entry pages of a cut, also
 * of those that were late, as the state knows it; -1: fewer than two have them. */
int64_t dif_publication_skew(struct dif_state *state, const char *sha256);
/* When those of one destination got them, ms since 1970; 0: not yet. */
int64_t dif_publication_shown(struct dif_state *state, const char *sha256, const char *destination);
uint32_t dif_publication_count(const struct dif_publication *p);
struct dif_delivery *dif_publication_at(const struct dif_publication *p, uint32_t i);

#endif
