#include "flow/lag.h"

#include "base/clock.h"

#define RECENT_CUTS 100000 /* looked through for the one that is wanted */
#define TEXT_MAX 65536     /* of one record */

/* The cut that should be everywhere: the highest one accepted, also where nobody could be reached
 * with it yet (dif_cut_repair brings the same one). */
static void find_wanted(void *data, const struct dif_cut *c)
{
	struct dif_order *best = data;
	if ((c->status == DIF_CUT_LIVE || c->status == DIF_CUT_ARCHIVED) &&
	    (best->sha256[0] == '\0' || dif_order_compare(&c->order, best) > 0)) {
		*best = c->order;
	}
}

bool dif_lag_is_whole(const struct dif_setup *s, uint32_t index)
{
	struct dif_order wanted = {0};
	struct dif_delivery_record d = {0};
	struct dif_arena arena;
	dif_arena_init(&arena, TEXT_MAX, false);
	dif_state_cuts(s->state, RECENT_CUTS, find_wanted, &wanted);
	bool whole = wanted.sha256[0] == '\0' ||
	             (dif_state_delivery(s->state, s->config->destinations[index].name, NULL, &d,
	                                 &arena) &&
	              d.complete && strcmp(d.sha256, wanted.sha256) == 0);
	dif_arena_fini(&arena);
	return whole;
}

bool dif_lag_has_due_orphans(const struct dif_destination *d)
{
	int64_t due = dif_wall_ms() - d->config->grace;
	size_t at = 0;
	const char *key = NULL;
	void *value = NULL;
	while (dif_map_next(&d->held, &at, &key, &value)) {
		const struct dif_held *h = value;
		if (h->orphan_since != 0 && h->orphan_since <= due) {
			return true;
		}
	}
	return false;
}
