#include "flow/reconcile.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/log.h"

#define HEAD_DEADLINE_MS 20000 /* a store that needs longer is not reached */
#define EXAMPLES 3
#define EXAMPLES_MAX 4096
#define KEYS (DIF_RECONCILE_SAMPLE + 1)

struct looking {
	struct dif_reconcile *owner;
	struct dif_held *held; /* NULL: the marker */
	struct dif_get in;
	struct dif_op_run *op;
};

struct dif_reconcile {
	struct dif_destination *destination;
	void (*done)(void *data, enum dif_reconciled what, const struct dif_error *err);
	void *data;
	struct looking looks[KEYS];
	uint32_t n, running;
	uint32_t differ, ndrifted;
	struct dif_buf drifted; /* the first keys that are otherwise */
	struct dif_error err;   /* the first failure */
	char *marker, *index;
};

static void end(struct dif_reconcile *r)
{
	enum dif_reconciled what = r->err.cls != DIF_OK ? DIF_RECONCILED_UNREACHED
	                           : r->differ > 0      ? DIF_RECONCILED_DIFFERS
	                                                : DIF_RECONCILED_SAME;
	if (r->ndrifted > 0) {
		dif_log(DIF_LOG_WARNING, "drift", "destination=%s objects=%u examples=%s",
		        dif_q(r->destination->config->name), r->ndrifted,
		        dif_q(dif_buf_str(&r->drifted)));
	}
	dif_buf_fini(&r->drifted);
	r->destination->busy = false;
	r->done(r->data, what, &r->err);
	free(r->marker);
	free(r->index);
	free(r);
}

static void judge(struct dif_reconcile *r, struct looking *l, const struct dif_outcome *out)
{
	const struct dif_error *err = &out->err;
	if (err->cls != DIF_OK && err->cls != DIF_NOT_FOUND) {
		if (r->err.cls == DIF_OK) {
			r->err = *err;
		}
		return;
	}
	if (l->held == NULL) {
		r->differ += err->cls == DIF_NOT_FOUND;
		return;
	}
	if (err->cls == DIF_OK && out->result.object.tag != NULL &&
	    strcmp(out->result.object.tag, l->held->tag) == 0) {
		return;
	}
	r->differ++;
	l->held->unknown = true;
	if (r->ndrifted++ < EXAMPLES) {
		dif_buf_fmt(&r->drifted, "%s%s", r->ndrifted > 1 ? ", " : "", l->held->key);
	}
}

static void on_head(void *data, const struct dif_outcome *out)
{
	struct looking *l = data;
	struct dif_reconcile *r = l->owner;
	l->op = NULL;
	judge(r, l, out);
	if (--r->running == 0) {
		end(r);
	}
}

static void look(struct dif_reconcile *r, const char *key, struct dif_held *held)
{
	struct looking *l = &r->looks[r->n++];
	*l = (struct looking){.owner = r, .held = held, .in = {.key = key}};
	r->running++;
	l->op = dif_op_start(r->destination->store, DIF_HEAD, &l->in, HEAD_DEADLINE_MS, on_head, l);
}

/* Each turn begins where the last one ended, so that in time every key is looked at. */
static void look_at_sample(struct dif_reconcile *r, uint32_t turn)
{
	const struct dif_map *map = &r->destination->held;
	size_t skip = map->n > 0 ? (size_t)turn * DIF_RECONCILE_SAMPLE % map->n : 0;
	size_t at = 0;
	const char *key = NULL;
	void *value = NULL;
	while (r->n < KEYS && dif_map_next(map, &at, &key, &value)) {
		struct dif_held *held = value;
		if (skip > 0) {
			skip--;
		} else if (!held->unknown && held->tag[0] != '\0' && strcmp(key, r->index) != 0) {
			look(r, held->key, held);
		}
	}
}

struct dif_reconcile *dif_reconcile_start(struct dif_destination *d, uint32_t turn,
                                          void (*done)(void *data, enum dif_reconciled what,
                                                       const struct dif_error *err),
                                          void *data)
{
	struct dif_reconcile *r = calloc(1, sizeof *r);
	if (r == NULL || asprintf(&r->marker, "%s" DIF_MARKER, d->config->prefix) == -1 ||
	    asprintf(&r->index, "%sindex.html", d->config->prefix) == -1) {
		abort(); /* a few bytes: the agent restarts and goes on */
	}
	dif_buf_init(&r->drifted, EXAMPLES_MAX);
	r->destination = d;
	r->done = done;
	r->data = data;
	d->busy = true;
	look(r, r->marker, NULL);
	struct dif_held *index = dif_map_get(&d->held, r->index);
	if (index != NULL) {
		look(r, index->key, index);
	}
	look_at_sample(r, turn);
	return r;
}

void dif_reconcile_cancel(struct dif_reconcile *r)
{
	for (uint32_t i = 0; i < r->n; i++) {
		if (r->looks[i].op != NULL) {
			dif_op_cancel(r->looks[i].op);
		}
	}
}
