/* source_private - what the files of flow/source share.
 *
 *   source.c         the poll and what comes of it
 *   source_read.c    what is asked of the instance
 *   source_memory.c  what is remembered beyond the process
 */
#ifndef DIF_FLOW_SOURCE_PRIVATE_H
#define DIF_FLOW_SOURCE_PRIVATE_H

#include "base/barrier.h"
#include "base/sm.h"
#include "flow/fetch.h"
#include "flow/source.h"

#define SCOPE_MAX 128  /* "source:NAME" */
#define SIDE_MAX 65536 /* a side-car is a line */

/* err is NULL where all went well. */
typedef void source_then(struct dif_source *s, const struct dif_error *err);

/* A package at the source, as the source tells it. */
struct found {
	char *key, *tag; /* malloc'ed; NULL: nothing found */
	uint64_t size;
	int64_t modified; /* seconds since 1970, 0: not told */
};

struct dif_source {
	struct dif_setup *setup;
	const struct dif_source_config *config;
	struct dif_instance *instance;
	void (*arrived)(void *data, struct dif_source *, const struct dif_arrival *);
	void (*closed)(void *data);
	void *data, *closed_data;
	struct dif_barrier open;
	bool closing;
	uv_timer_t timer;
	struct dif_sm sm;
	bool needs_digest, twice, one_address, by_plugin; /* by_plugin: it chose what is listed */
	struct dif_error error;
	int64_t polled;
	struct found noticed; /* the package that a poll saw first at noticed_ms (since 1970) */
	int64_t noticed_ms;

	/* what is being asked; one thing at a time */
	source_then *then;
	struct dif_op_run *op;
	struct dif_fetch *fetch;
	struct dif_get get;
	struct dif_list list;
	struct dif_sink_buf side_sink;
	struct dif_buf side;
	char *cursor;
	uint32_t pages;

	/* this poll's package */
	struct found now;
	int64_t at; /* the time that name templates stand for */
	char *side_key;
	char *digest;    /* text of the side-car, NULL: there is none */
	char sha256[65]; /* of the file */
	struct dif_fetched got;
	uint32_t rereads;

	/* what is known of earlier ones */
	struct found taken;
	char taken_sha256[65];
	bool more;           /* newer ones than `now` lie there as well */
	struct found passed; /* could not be read, and newer ones wait: not asked for again */
	struct found refused;
	char *refused_digest;
	char *part_tag; /* whose first bytes the part file holds */
	uint64_t have;
	bool whole;

	uint64_t arrivals;      /* makes the names of arrivals differ */
	char *file, *side_file; /* of this arrival */
	char *folder, *part, *second;
};

void found_clear(struct found *f);
/* False: out of memory, *to is empty. */
bool found_set(struct found *to, const char *key, const char *tag, uint64_t size, int64_t modified);
/* -1, 0, 1 by date, then key; by key alone where a date is not told. */
int found_compare(const struct found *a, const struct found *b);
bool found_is(const struct found *a,
              const struct found *b); /* the same version; not without tags */

/* source_read.c. Each asks and calls its `then` on the loop, unless the source is closing by
 * then. */
/* Fills s->now: the oldest package behind the one that was taken last, the newest where none was,
 * and s->more. Its key stays NULL where there is nothing, or nothing but what was taken. */
void source_look(struct dif_source *s, source_then *then);
/* Reads the side-car at s->side_key into s->side; NOT_FOUND where there is none. */
void source_read_side(struct dif_source *s, source_then *then);
/* Asks for s->now again: CONFLICT where it is another version. */
void source_check(struct dif_source *s, source_then *then);
/* Downloads s->now to path; s->got tells. */
void source_fetch(struct dif_source *s, const char *path, uint64_t resume, source_then *then);

/* source_memory.c */
void source_notice(struct dif_source *s);        /* s->now is new: since when? */
void source_tell_arrival(struct dif_source *s);  /* to flow/freshness */
char *source_ticket(const struct dif_source *s); /* of s->now; malloc'ed, NULL: out of memory */
/* Fills s->taken; leaves it where there is no such fact, or it is not ours. */
void source_recall(struct dif_source *s);

#endif
