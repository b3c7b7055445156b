/* cut_private - what the files of a cut share.
 *
 *   cut.c        the steps, guards, the end
 *   cut_check.c  on the pool: read, judge, number from the content
 *   cut_order.c  numbers from names and JSON. Pure.
 */
#ifndef DIF_FLOW_CUT_PRIVATE_H
#define DIF_FLOW_CUT_PRIVATE_H

#include "flow/cut.h"
#include "flow/ingest.h"

/* What the pool does for a cut; nothing in it is touched by the loop meanwhile. */
struct cut_check {
	const char *archived; /* SHA-256 that the file must have; NULL: any */
	const char *file, *digest, *order;
	const char *before_file; /* the previous cut in the archive, NULL: none */
	const struct dif_limits *limits;
	bool may_be_known; /* every destination holds the cut below whole */
	char known[65];
	uint64_t known_bytes;

	bool same; /* it is that cut: nothing else was looked at */
	struct dif_package *package, *before;
	int64_t number; /* from JSON, -1: the order does not come from there */
	struct dif_error err;
};

void dif_cut_check(struct cut_check *c);

/* "name:REGEX": the digits of its first group (of the whole match without one) in name. */
bool dif_cut_number_of_name(const char *regex, const char *name, int64_t *number,
                            struct dif_error *err);
/* "ENTRY#POINTER" (RFC 6901) in a package; a number, a date of plugin.h's formats, or the digits of
 * a text. Any thread. */
bool dif_cut_number_of_json(const char *rule, const struct dif_package *p, int64_t *number,
                            struct dif_error *err);
/* A number as it is; a date as milliseconds; else the digits alone, 18 at most. */
bool dif_cut_number_of_text(const char *text, int64_t *number);

/* cut_want.c: adds to w what these destinations ask for. Has the manifest all of it? */
void dif_cut_want(struct dif_setup *s, struct dif_destination **to, uint32_t nto,
                  struct dif_ingest_want *w);
bool dif_cut_serves(const struct dif_manifest *m, const struct dif_ingest_want *w);

#endif
