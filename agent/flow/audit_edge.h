/* audit_edge - every object of the live cut as readers get it through public_url, compared with the
 * manifest byte for byte: as it is, and gzipped where its kind compresses.
 *
 * Like flow/audit it needs no agent and no lock. What is found is looked up in up to eight other
 * cuts of the archive, so that an edge that is behind is told from one that alters. Loop thread.
 */
#ifndef DIF_FLOW_AUDIT_EDGE_H
#define DIF_FLOW_AUDIT_EDGE_H

#include "flow/edge.h"
#include "flow/setup.h"

/* Findings at most. */
#define DIF_AUDIT_EDGE_FINDINGS 1000

/* Why a destination has no edge to audit: no public_url, or readers must not get in. NULL: it
 * has. */
const char *dif_audit_edge_objection(const struct dif_destination_config *c);
/* Audits one destination that has an edge; done comes once, with r->err set where it could not be
 * carried out. False: out of memory, and it does not come. */
bool dif_audit_edge_start(struct dif_setup *s, uint32_t destination,
                          void (*progress)(void *data, uint64_t checked, uint64_t of),
                          void (*done)(void *data, const struct dif_edge_report *r), void *data);

#endif
