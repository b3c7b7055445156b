/* duty - what this agent may do now, of two that share a lease.
 *
 *              has it                 nobody could be asked for three times ttl
 *   standby ◀─────────▶ active    standby ──────────▶ without ──answered──▶ standby, active
 *
 * The lease only saves work; what keeps readers from an older cut is the fence of the keys. So
 * where the service that keeps it is away, publishing must not wait for it: after three times ttl,
 * when any lease is over, an agent publishes `without` it, and the other may, too. What two must
 * not do at once is left to the one that had it last: to steer, and to write to a store that keeps
 * no conditions. Loop thread.
 */
#ifndef DIF_FLOW_DUTY_H
#define DIF_FLOW_DUTY_H

#include "flow/leader.h"
#include "flow/setup.h"

#define DIF_DUTY_SILENCE 3 /* times ttl */

enum dif_role {
	DIF_ROLE_ALONE, /* no [lease] is configured */
	DIF_ROLE_ACTIVE,
	DIF_ROLE_STANDBY,
	DIF_ROLE_WITHOUT,
	DIF_ROLES
};
const char *dif_role_name(uint32_t role); /* "active" */

struct dif_duty {
	enum dif_role role;
	bool may_publish; /* deliver, look and repair, purge */
	bool may_alone;   /* steer; write to a store that keeps no conditions */
};

/* --- the pure part --- */

struct dif_duty_input {
	const struct dif_lease_config *lease; /* NULL: none is configured */
	bool is_active;                       /* it has the lease */
	bool was_last;                        /* when it was asked last, it was ours */
	int64_t answered, now; /* ms of one clock; answered: by the service, or since when it has
	                          been asked without a pause of ours */
};
struct dif_duty dif_duty_decide(const struct dif_duty_input *in);

/* --- at work --- */

struct dif_duty_keeper;

/* setup is open with DIF_SETUP_OWN. changed is called on the loop, never before this returns, when
 * the duty has changed; it begins as ALONE, or as STANDBY. NULL: out of memory. */
struct dif_duty_keeper *dif_duty_open(struct dif_setup *s, void (*changed)(void *data), void *data);
struct dif_duty dif_duty_now(const struct dif_duty_keeper *k);
/* Who does the work instead; NULL: we, or that is not known now. */
const char *dif_duty_other(const struct dif_duty_keeper *k);
/* No event after this. Gives the lease back, and frees itself on the loop. Accepts NULL. */
void dif_duty_close(struct dif_duty_keeper *k);

/* --- what the state keeps of it --- */

struct dif_duty_view {
	uint32_t role;
	const char *holder, *owner; /* "": not known; owner: this agent */
	int64_t fence;
	int64_t since, kept; /* wall ms */
	const char *trouble; /* "": the lease can be asked for */
};
/* Of the agent that ran last. Memory is a's. False: there is none. */
bool dif_duty_recall(struct dif_state *state, struct dif_arena *a, struct dif_duty_view *v);

#endif
