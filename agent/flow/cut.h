/* cut - the way of one package, as one asynchronous call: check, place in time, archive, ingest,
 * publish, record. Used by `publish` and by `run`, so that there is one way.
 *
 * Guards before anything is written to a store: a rehearsal under profile = production (16), an
 * older cut than the live one (archived, 16), the same SHA-256 whole everywhere (9; else it
 * repairs).
 */
#ifndef DIF_FLOW_CUT_H
#define DIF_FLOW_CUT_H

#include "flow/publication.h"
#include "flow/setup.h"

struct dif_cut_job {
	struct dif_setup *setup;
	const char *file;    /* the package; a view until ended */
	const char *digest;  /* side-car file, NULL: none (then CRC only) */
	const char *name;    /* file name as it came, for order = name:REGEX and for people */
	const char *source;  /* "publish", or the source's name */
	const char *order;   /* source, name:REGEX, json:ENTRY#POINTER; NULL: source */
	int64_t modified_ms; /* the source's Last-Modified, ms since 1970; 0: first seen */
	bool move;           /* the file may be renamed into the archive instead of copied */
	bool archive_only;   /* a newer one is there: it is checked and archived; exit 16 */
	bool keep_only;      /* another agent publishes it: it is ingested, too, so that nothing but
	                        the delivery is missing where this one has to; exit 16 */
	bool dry_run;
	int64_t timeout_ms; /* of the publication; 0: 10 min */
	/* Destinations to deliver to, by index of setup->destinations; NULL: all. */
	const uint32_t *only;
	uint32_t nonly;
};

enum dif_cut_step { DIF_CUT_CHECKING, DIF_CUT_INGESTING, DIF_CUT_ARCHIVING, DIF_CUT_PUBLISHING };

struct dif_cut_events {
	/* On the loop, some times a second at most. Bytes of the step; publication set while
	 * PUBLISHING. May be NULL. */
	void (*progress)(void *data, enum dif_cut_step step, uint64_t done, uint64_t of,
	                 const struct dif_publication *p);
	/* Once, on the loop, never before start returns. exit is the program's exit code; err
	 * says why where it is not 0 (cls OK with exit 9). order is the cut's place,
	 * order->sha256 "" where the package was not even read. p: the publication, NULL where it
	 * did not come to one; valid during the call. */
	void (*ended)(void *data, int exit, const struct dif_error *err,
	              const struct dif_order *order, const struct dif_publication *p);
};

struct dif_cut_run;
struct dif_cut_run *dif_cut_start(const struct dif_cut_job *job,
                                  const struct dif_cut_events *events, void *data);
/* A newer cut has come: deliveries before the barrier end after their running objects, as
 * superseded; those past it finish. ended still comes. */
void dif_cut_supersede(struct dif_cut_run *run);
void dif_cut_cancel(struct dif_cut_run *run); /* ended still comes */

/* Delivers the newest live cut of the state from the archive again, to the destinations of the job
 * (file, digest, name, source, order and modified_ms are ignored): repair, and what `run` does
 * for a destination that missed something. Exit 9 where there is no live cut or nothing to do. */
struct dif_cut_run *dif_cut_repair(const struct dif_cut_job *job,
                                   const struct dif_cut_events *events, void *data);

#endif
