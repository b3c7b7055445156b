#include "flow/upkeep.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/cut.h"
#include "flow/lag.h"
#include "flow/pace.h"
#include "flow/reconcile.h"

struct one {
	struct dif_upkeep *u;
	uint32_t index;
	struct dif_reconcile *look;
	struct dif_cut_run *repair;
	struct dif_pace pace; /* of repairs that fail */
};

struct dif_upkeep {
	struct dif_setup *s;
	struct dif_upkeep_events events;
	void *data;
	uint32_t turn;
	struct one all[]; /* one per destination, and room as in flow/config */
};

static const char *name_of(const struct one *o)
{
	return o->u->s->config->destinations[o->index].name;
}

static void on_repaired(void *data, int code, const struct dif_error *err,
                        const struct dif_order *order, const struct dif_publication *p)
{
	struct one *o = data;
	(void)order;
	(void)p;
	o->repair = NULL;
	if (code == DIF_EXIT_OK || code == DIF_EXIT_NOTHING_NEW) {
		dif_pace_reset(&o->pace);
	} else if (err->cls != DIF_CANCELED) {
		bool tell = dif_pace_failed(&o->pace, dif_steady_ms(), err);
		dif_log(tell ? DIF_LOG_WARNING : DIF_LOG_DEBUG, "repair_failed",
		        "destination=%s times=%u reason=%s", dif_q(name_of(o)), o->pace.failures,
		        dif_q(err->text));
	}
	if (code == DIF_EXIT_OK) {
		dif_log(DIF_LOG_INFO, "repaired", "destination=%s", dif_q(name_of(o)));
	}
	o->u->events.ended(o->u->data);
}

static void repair(struct one *o)
{
	static const struct dif_cut_events events = {NULL, on_repaired};
	struct dif_cut_job job = {.setup = o->u->s, .only = &o->index, .nonly = 1};
	dif_log(DIF_LOG_DEBUG, "repair", "destination=%s", dif_q(name_of(o)));
	o->repair = dif_cut_repair(&job, &events, o);
}

static void on_looked(void *data, enum dif_reconciled what, const struct dif_error *err)
{
	struct one *o = data;
	struct dif_upkeep *u = o->u;
	o->look = NULL;
	if (what == DIF_RECONCILED_UNREACHED && err->cls != DIF_CANCELED) {
		dif_log(DIF_LOG_WARNING, "not_reached", "destination=%s reason=%s",
		        dif_q(name_of(o)), dif_q(err->text));
	} else if (what != DIF_RECONCILED_UNREACHED && u->events.may_repair(u->data, o->index) &&
	           dif_pace_may(&o->pace, dif_steady_ms()) &&
	           (what == DIF_RECONCILED_DIFFERS || !dif_lag_is_whole(u->s, o->index) ||
	            dif_lag_has_due_orphans(&u->s->destinations[o->index]))) {
		repair(o);
		return;
	}
	u->events.ended(u->data);
}

struct dif_upkeep *dif_upkeep_open(struct dif_setup *s, const struct dif_upkeep_events *events,
                                   void *data)
{
	uint32_t n = s->config->ndestinations + DIF_CONFIG_ROOM;
	struct dif_upkeep *u = calloc(1, sizeof *u + n * sizeof u->all[0]);
	if (u == NULL) {
		return NULL;
	}
	u->s = s;
	u->events = *events;
	u->data = data;
	for (uint32_t i = 0; i < n; i++) {
		u->all[i] = (struct one){.u = u, .index = i};
	}
	return u;
}

void dif_upkeep_look(struct dif_upkeep *u)
{
	for (uint32_t i = 0; i < u->s->config->ndestinations; i++) {
		struct dif_destination *d = &u->s->destinations[i];
		struct one *o = &u->all[i];
		if (!d->busy && !d->gone && o->repair == NULL && o->look == NULL) {
			o->look = dif_reconcile_start(d, u->turn, on_looked, o);
		}
	}
	u->turn++;
}

bool dif_upkeep_is_looking(const struct dif_upkeep *u)
{
	bool any = false;
	for (uint32_t i = 0; i < u->s->config->ndestinations; i++) {
		any = any || u->all[i].look != NULL;
	}
	return any;
}

void dif_upkeep_supersede(struct dif_upkeep *u)
{
	for (uint32_t i = 0; i < u->s->config->ndestinations; i++) {
		if (u->all[i].repair != NULL) {
			dif_cut_supersede(u->all[i].repair);
		}
		if (u->all[i].look != NULL) {
			dif_reconcile_cancel(u->all[i].look);
		}
	}
}

void dif_upkeep_cancel(struct dif_upkeep *u, uint32_t index)
{
	if (u->all[index].repair != NULL) {
		dif_cut_cancel(u->all[index].repair);
	}
	if (u->all[index].look != NULL) {
		dif_reconcile_cancel(u->all[index].look);
	}
}

void dif_upkeep_reset(struct dif_upkeep *u, uint32_t index)
{
	dif_pace_reset(&u->all[index].pace);
}

void dif_upkeep_free(struct dif_upkeep *u)
{
	free(u);
}
