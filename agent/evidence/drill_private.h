/* drill_private - what the files of evidence/drill share. Nobody else includes this. */
#ifndef DIF_EVIDENCE_DRILL_PRIVATE_H
#define DIF_EVIDENCE_DRILL_PRIVATE_H

#include "evidence/drill.h"
#include "evidence/drill_kinds.h"
#include "evidence/drill_record.h"
#include "flow/inbox.h"
#include "flow/ingest.h"
#include "host/inject.h"

#define DRILL_TICK_MS 50
#define DRILL_NOBODY UINT32_MAX

enum drill_phase { DRILL_NONE, DRILL_PREPARING, DRILL_STRUCK, DRILL_CLEANING };

/* What the pool does before a fault is set, and what came of it. */
struct drill_job {
	struct dif_work work;
	struct dif_drills *drills;
	struct dif_arena arena;
	const char *state, *id;
	const char *package; /* file */
	const char *sha256;
	bool flips; /* a package to be handed in is wanted; else an opened one */
	struct dif_inbox_job box;
	struct dif_package *open;
	struct dif_error err;
	bool done;
};

struct dif_drills {
	struct dif_drills_in in;
	uv_timer_t tick;
	uint32_t phase; /* enum drill_phase */
	bool closing, closed_timer, closed_injector;
	const struct dif_drill_kind *kind;
	struct dif_drill_record record;
	uint32_t target; /* index; DRILL_NOBODY: it is about none alone */
	int64_t began, struck_at, lifted_at, healthy_at, look_at, whole_at; /* steady ms */
	bool has_first, has_noticed, has_decided, has_stood, has_ttl, has_healthy, has_whole,
		has_back, has_later;
	bool stop_wanted, stopped;
	uint32_t verdict;  /* of the target, as told last */
	uint32_t *percent; /* the route at the beginning, by destination; NULL: of a former run, and
	                      the record has it in words */
	uint32_t nroute;
	int64_t clock;                  /* of the store, before it was set wrong */
	uint32_t flushes;               /* of the state, that were asked for and not answered yet */
	bool flushed_bad, flushed_good; /* since the fault was set, and lifted */
	char flush_text[DIF_DRILL_TEXT];

	struct dif_injector *injector;
	struct dif_injection fault;
	const struct dif_http_policy **policies;
	char *authority;
	const char *authorities[1];

	struct drill_job *job;
	struct dif_manifest *old; /* what a stale address shows */
	const char *below;        /* its public_url; of the configuration */
	struct dif_buf body;
};

/* drill_guard.c: may it begin? False: err, exit 16 or 1. Chooses the target where none is named. */
bool drill_guard(struct dif_drills *d, const struct dif_ask *ask, struct dif_error *err);
/* "eu is degraded: ..." of the first other destination that is not well; false: all are. */
bool drill_other_is_bad(const struct dif_drills *d, char to[DIF_DRILL_TEXT]);
void drill_set_bounds(struct dif_drills *d, const struct dif_ask *ask);

/* drill_fault.c */
/* Is there what it is made of? False: err, exit 16. */
bool drill_has_material(struct dif_drills *d, struct dif_error *err);
/* Begins what must be had before; the pool may be at it (d->job), its end sets job->done. */
bool drill_prepare(struct dif_drills *d, struct dif_error *err);
void drill_set_fault(struct dif_drills *d);
void drill_lift_fault(struct dif_drills *d);
void drill_release(struct dif_drills *d); /* memory; the injector is closed, the pool at rest */

/* "eu 67 %, us 33 %" */
void drill_route_text(const struct dif_drills *d, char to[DIF_DRILL_TEXT]);
/* drill_watch.c: what has happened since the last look. */
void drill_watch(struct dif_drills *d);
void drill_watch_clean(struct dif_drills *d);
bool drill_is_clean(const struct dif_drills *d);

/* drill.c: notes an event at that moment (steady ms), and writes the record. */
void drill_event(struct dif_drills *d, uint32_t id, int64_t at, const char *fmt, ...)
	DIF_PRINTF(4, 5);
/* The pool has done its work, or the injector is closed: frees all where nothing is left. */
void drill_check_gone(struct dif_drills *d);

#endif
