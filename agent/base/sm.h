/* sm - states as a table. A move that is not in the table asserts; names show in logs and status.
 */
#ifndef DIF_BASE_SM_H
#define DIF_BASE_SM_H

#include <difusor/plugin.h>

#define DIF_TO(state) (1u << (state))

struct dif_sm_state {
	const char *name;
	uint32_t to; /* DIF_TO bits; 0: an end */
};

struct dif_sm {
	const struct dif_sm_state *table;
	uint32_t n, state;
	const char *what; /* for the log: "delivery" */
};

void dif_sm_init(struct dif_sm *sm, const char *what, const struct dif_sm_state *table, uint32_t n,
                 uint32_t first);
void dif_sm_move(struct dif_sm *sm, uint32_t to);
const char *dif_sm_name(const struct dif_sm *sm);

#endif
