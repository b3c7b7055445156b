/* audit - compares what a destination's store gives back with the manifest, byte for byte.
 *
 * Reads every object of the manifest through the store plug-in, decodes it, and compares size and
 * SHA-256; lists the store for objects of ours that no cut names. Needs no agent and no lock: the
 * manifest comes from the state, or from the store's marker and the archive.
 */
#ifndef DIF_FLOW_AUDIT_H
#define DIF_FLOW_AUDIT_H

#include "flow/setup.h"

enum dif_finding_id {
	DIF_MISSING,
	DIF_DIFFERS, /* bytes */
	DIF_WRONG_HEADERS,
	DIF_SURPLUS, /* ours, named by no cut, and past its grace */
	DIF_UNREADABLE,
	DIF_STALE /* the marker shows another cut than the live one */
};

struct dif_finding {
	const char *destination, *key;
	const char *tag;    /* what a condition on it takes now; NULL: not told, or not there */
	uint32_t what;      /* enum dif_finding_id */
	const char *detail; /* one sentence */
};

struct dif_audit_counts {
	uint64_t objects, bytes, findings, foreign, due_later;
};

struct dif_audit;
/* Audits one destination. finding is called on the loop as they come (at most 1,000 of them); done
 * once, with err set where it could not be carried out. */
struct dif_audit *dif_audit_start(struct dif_setup *s, uint32_t destination,
                                  void (*finding)(void *data, const struct dif_finding *f),
                                  void (*progress)(void *data, uint64_t objects, uint64_t of),
                                  void (*done)(void *data, const struct dif_audit_counts *counts,
                                               const struct dif_error *err),
                                  void *data);
void dif_audit_cancel(struct dif_audit *a); /* done still comes */
const char *dif_finding_name(uint32_t what);

#endif
