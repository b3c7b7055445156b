#include "base/sm.h"

#include <assert.h>

#include "base/log.h"

void dif_sm_init(struct dif_sm *sm, const char *what, const struct dif_sm_state *table, uint32_t n,
                 uint32_t first)
{
	assert(n <= 32 && first < n);
	*sm = (struct dif_sm){.table = table, .n = n, .state = first, .what = what};
}

void dif_sm_move(struct dif_sm *sm, uint32_t to)
{
	assert(to < sm->n);
	bool in_table = (sm->table[sm->state].to & DIF_TO(to)) != 0;
	if (!in_table) {
		/* The last line before the end: an assertion alone would not name the states. */
		dif_log(DIF_LOG_ERROR, "bad_move", "what=%s from=%s to=%s", sm->what,
		        sm->table[sm->state].name, sm->table[to].name);
	}
	assert(in_table);
	sm->state = to;
}

const char *dif_sm_name(const struct dif_sm *sm)
{
	return sm->table[sm->state].name;
}
