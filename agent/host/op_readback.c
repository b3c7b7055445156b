/* op_readback - a write may have had its effect: look before it is sent again.
 *
 * A put, in one or in parts, is ours if the object carries the same epoch, order and sha256: then
 * it is done, with the tag that is there. Still the old tag (or still nothing, for a new key): it
 * is sent again. Anything else has been written by somebody else: CONFLICT.
 *
 * A remove is read back key by key; what is gone is not asked for again, so that a key which comes
 * back meanwhile is not removed with it.
 */
#include <assert.h>
#include <stdlib.h>

#include "host/op_private.h"

static const char *const fence[] = {DIF_META_EPOCH, DIF_META_ORDER, DIF_META_SHA256};

/* NULL: a remove. */
static const struct dif_put *put_of(const struct dif_op_run *r)
{
	if (r->verb == DIF_PART_FINISH) {
		return ((const struct dif_part *)r->in)->put;
	}
	return r->verb == DIF_PUT ? r->in : NULL;
}

void dif_readback_begin(struct dif_op_run *r, struct dif_attempt_start *s)
{
	const struct dif_store *store = (const struct dif_store *)(const void *)r->i->offer->verbs;
	const struct dif_put *put = put_of(r);
	const struct dif_remove *remove = r->in;
	r->head = (struct dif_get){.key = put != NULL ? put->key : remove->keys[r->at]};
	s->verb = store->head;
	s->name = "head";
	s->in = &r->head;
	s->is_list = false;
	s->remove = NULL;
}

/* Does the object carry what the put would have given it? Without a fence nothing can be told. */
static bool is_mine(const struct dif_put *in, const struct dif_object *o)
{
	bool has_some = false;
	for (size_t k = 0; k < DIF_LEN(fence); k++) {
		const char *put = dif_meta_get(in->meta, in->nmeta, fence[k]);
		const char *there = dif_meta_get(o->meta, o->nmeta, fence[k]);
		if (put == NULL) {
			continue;
		}
		if (there == NULL || strcmp(put, there) != 0) {
			return false;
		}
		has_some = true;
	}
	return has_some;
}

static enum dif_readback judge_put(const struct dif_put *in, const struct dif_op_host *a)
{
	const struct dif_object *o = &a->result.object;
	bool is_there = a->err.cls == DIF_OK;
	if (is_there && is_mine(in, o)) {
		return DIF_BACK_MINE;
	}
	if (in->if_tag != NULL) {
		bool is_old = is_there && o->tag != NULL && strcmp(o->tag, in->if_tag) == 0;
		return is_old ? DIF_BACK_OLD : DIF_BACK_OTHER;
	}
	if (in->if_absent != 0 && is_there) {
		return DIF_BACK_OTHER;
	}
	return DIF_BACK_OLD;
}

/* The keys that are not gone, as an input of their own. False: out of memory. */
static bool narrow(struct dif_op_run *r)
{
	const struct dif_remove *in = r->in;
	if (r->rest_keys == NULL) {
		r->rest_keys = calloc(in->n, sizeof *r->rest_keys);
		r->rest_tags = calloc(in->n, sizeof *r->rest_tags);
	}
	if (r->rest_keys == NULL || r->rest_tags == NULL) {
		return false;
	}
	r->rest = (struct dif_remove){.keys = r->rest_keys,
	                              .tags = in->tags != NULL ? r->rest_tags : NULL};
	for (uint32_t k = 0; k < in->n; k++) {
		if (!r->gone[k]) {
			r->rest_keys[r->rest.n] = in->keys[k];
			r->rest_tags[r->rest.n] = in->tags != NULL ? in->tags[k] : NULL;
			r->rest.n++;
		}
	}
	return true;
}

static enum dif_readback judge_remove(struct dif_op_run *r, struct dif_op_host *a)
{
	const struct dif_remove *in = r->in;
	if (r->gone == NULL) {
		r->gone = calloc(in->n, 1);
		if (r->gone == NULL) {
			return DIF_BACK_OLD; /* repeated as a whole, which the caller asked for */
		}
	}
	r->gone[r->at] = a->err.cls == DIF_NOT_FOUND;
	do {
		r->at++;
	} while (r->at < in->n && r->gone[r->at]);
	if (r->at < in->n) {
		return DIF_BACK_MORE;
	}
	r->at = 0;
	if (!narrow(r)) {
		r->rest = (struct dif_remove){0};
		free(r->gone);
		r->gone = NULL;
		return DIF_BACK_OLD;
	}
	while (r->at < in->n && r->gone[r->at]) {
		r->at++; /* where the next read-back would begin */
	}
	if (r->rest.n == 0) {
		dif_error_clear(&a->err);
		return DIF_BACK_MINE;
	}
	return DIF_BACK_OLD;
}

enum dif_readback dif_readback_judge(struct dif_op_run *r, struct dif_op_host *a)
{
	const struct dif_put *put = put_of(r);
	return put != NULL ? judge_put(put, a) : judge_remove(r, a);
}

const void *dif_readback_input(struct dif_op_run *r)
{
	return r->rest.n > 0 ? &r->rest : r->in;
}

static void settle_item(struct dif_item *to, uint32_t index)
{
	to->index = index;
	if (to->code == NULL) { /* a cut answer must not read as success */
		to->cls = DIF_TRANSIENT;
		to->code = "";
		to->what = "there was no answer for this key";
	}
}

bool dif_readback_items(struct dif_op_run *r, struct dif_op_host *a)
{
	const struct dif_remove *in = r->in;
	struct dif_item *all = a->items;
	if (r->gone != NULL) {
		all = dif_arena_alloc(&a->arena, (in->n + 1) * sizeof *all);
	}
	if (all == NULL) {
		return false;
	}
	uint32_t next = 0;
	for (uint32_t k = 0; k < in->n; k++) {
		if (r->gone != NULL && r->gone[k]) {
			all[k] = (struct dif_item){.cls = DIF_OK, .code = "", .what = ""};
		} else {
			assert(next < a->nitems);
			all[k] = a->items[next++];
		}
		settle_item(&all[k], k);
	}
	a->items = all;
	a->nitems = in->n;
	return true;
}

void dif_readback_fini(struct dif_op_run *r)
{
	free(r->gone);
	free(r->rest_keys);
	free(r->rest_tags);
	r->gone = NULL;
	r->rest_keys = r->rest_tags = NULL;
}
