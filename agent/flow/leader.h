/* leader - which of two agents does the work: by a lease that a plug-in keeps.
 *
 *   standby ──acquired──▶ active ──renewed every third of its time──▶ active
 *      ▲                    │ over, or nobody could be asked for too long
 *      └────────────────────┘
 *
 * The lease saves work, and nothing more: a former leader that still believes in it writes nothing
 * that the fence of its keys does not permit (design rule 3). So the standby checks and archives
 * packages like the other, and only neither publishes nor steers. Whoever has the lease stops
 * counting on it before anybody else can have it: its time runs from when it was asked for, not
 * from the answer, and ends a tenth early. Loop thread.
 */
#ifndef DIF_FLOW_LEADER_H
#define DIF_FLOW_LEADER_H

#include "flow/config.h"
#include "host/op.h"

struct dif_leader;

/* changed is called on the loop, never before this returns, each time that dif_leader_is_active
 * changes; why is one sentence. i and config stay until closed. NULL: out of memory. */
struct dif_leader *dif_leader_open(struct dif_engine *e, struct dif_instance *i,
                                   const struct dif_lease_config *config,
                                   void (*changed)(void *data, bool active, const char *why),
                                   void *data);
/* Gives the lease back, so that the other need not wait for its end; closed comes on the loop. */
void dif_leader_close(struct dif_leader *l, void (*closed)(void *data), void *data);

bool dif_leader_is_active(const struct dif_leader *l);
/* Who has it: the other's owner, or ours; "" where that is not known. */
const char *dif_leader_holder(const struct dif_leader *l);
const char *dif_leader_owner(const struct dif_leader *l); /* ours: HOST.PID.CHANCE */
/* steady ms: when the service told last who has it; else when this was opened. */
int64_t dif_leader_answered(const struct dif_leader *l);
uint64_t dif_leader_fence(const struct dif_leader *l); /* rises with every holder; 0: none yet */
/* The last failure to ask; cls OK: none since. */
const struct dif_error *dif_leader_trouble(const struct dif_leader *l);

#endif
