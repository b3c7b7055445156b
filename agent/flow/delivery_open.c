/* delivery_open - from the turn to the plan.
 *
 *   probe    what the store's conditions are worth, once a day; meanwhile the record of this cut
 *            becomes durable, so that a crash in the puts is known to the next start
 *   mark     .difusor/live, conditionally; a higher place there ends the delivery
 *   list     only where nothing is known; metadata that the list does not tell by HEAD
 *   diff     the plan, whether something foreign is in its way, and what CDNs will owe for it
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/parse.h"
#include "flow/delivery_private.h"
#include "host/tree.h"

#define FACT_MARKER "marker"
#define FACT_LISTED "listed"
#define LIST_ROWS 1000

/* --- probe, record --- */

static void on_flushed(void *data, const struct dif_error *err)
{
	struct dif_delivery *d = data;
	if (err != NULL && err->cls != DIF_OK) {
		dif_delivery_stop(d, FAILED, err);
	}
	dif_delivery_idle(d);
}

static void on_probed(void *data, const struct dif_error *err)
{
	struct dif_delivery *d = data;
	d->probe = NULL;
	if (err->cls != DIF_OK) {
		struct dif_error e = *err;
		dif_error_wrap(&e, "could not deliver to destination '%s'", d->to->config->name);
		dif_delivery_stop(d, FAILED, &e);
	}
	dif_delivery_idle(d);
}

static void no_memory(struct dif_delivery *d)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT, "could not deliver to destination '%s': out of memory",
	              d->to->config->name);
	dif_delivery_stop(d, FAILED, &err);
}

static void begin(struct dif_delivery *d)
{
	const struct dif_destination_config *c = d->to->config;
	d->has_wants = dif_wants_init(&d->wants,
	                              &(struct dif_wants_from){.manifest = d->job.manifest,
	                                                       .classes = d->job.classes,
	                                                       .nclasses = d->job.nclasses,
	                                                       .prefix = c->prefix,
	                                                       .store_as = c->store_as,
	                                                       .siblings = c->siblings != NULL});
	if (!d->has_wants) {
		no_memory(d);
		return;
	}
	dif_destination_fingerprint(d->to, d->job.classes, d->job.nclasses, d->print);
	if (d->state == NULL) {
		return;
	}
	dif_destination_doubt(d->to, d->state, d->job.classes, d->job.nclasses,
	                      d->job.manifest->order.sha256);
	dif_delivery_record(d, false);
	dif_delivery_busy(d);
	dif_state_flush(d->state, on_flushed, d);
	if (!dif_probe_recall(d->to, d->state)) {
		dif_delivery_busy(d);
		d->probe = dif_probe_start(d->to, d->state, on_probed, d);
		if (d->probe == NULL) {
			d->busy--;
			no_memory(d);
		}
	}
}

void dif_delivery_probe(struct dif_delivery *d)
{
	if (!d->has_wants) {
		begin(d);
	}
	if (d->stopping || d->busy > 0) {
		return;
	}
	if (d->state != NULL && d->to->fence == DIF_UNFENCED) {
		dif_log(DIF_LOG_WARNING, "unfenced", "destination=%s what=%s",
		        dif_q(d->to->config->name),
		        dif_q("its store does not keep conditions; only this agent may write "
		              "there"));
	}
	dif_delivery_go(d, d->state ? MARKING : LISTING);
}

/* --- the marker --- */

static const char *marker_key(struct dif_delivery *d)
{
	return dif_arena_fmt(&d->arena, "%s" DIF_MARKER, d->to->config->prefix);
}

void dif_delivery_ask_marker(struct dif_delivery *d, struct errand *e, struct dif_get *in,
                             void (*cb)(struct errand *e, const struct dif_outcome *out))
{
	*in = (struct dif_get){.key = marker_key(d)};
	dif_delivery_errand(d, e, DIF_HEAD, in, cb);
}

static void set_tag(struct dif_delivery *d, const char *tag)
{
	free(d->marker.tag);
	d->marker.tag = tag ? strdup(tag) : NULL;
}

/* The fact is "PROFILE EPOCH NUMBER SHA256 TAG" of our last marker. True: its tag is known, and it
 * was of this profile and of no newer cut than this one. Else the store is asked. */
static bool recall_marker(struct dif_delivery *d)
{
	struct dif_arena a;
	struct dif_order last = {0};
	char *part[4];
	uint32_t n = 0;
	dif_arena_init(&a, 1 << 14, false);
	const char *fact = dif_state_fact(d->state, d->scope, FACT_MARKER, INT64_MAX, &a);
	char *rest = fact != NULL ? dif_arena_copy(&a, fact, strlen(fact)) : NULL;
	while (rest != NULL && n < DIF_LEN(part)) {
		part[n++] = strsep(&rest, " ");
	}
	bool good = rest != NULL && strcmp(part[0], d->job.manifest->profile) == 0 &&
	            dif_parse_int(part[1], 0, INT64_MAX, &last.epoch) &&
	            dif_parse_int(part[2], 0, INT64_MAX, &last.number) &&
	            strlen(part[3]) < sizeof last.sha256;
	if (good) {
		memcpy(last.sha256, part[3], strlen(part[3]) + 1);
		d->marker.ours = last;
		good = dif_order_compare(&last, &d->job.manifest->order) <= 0;
	}
	if (good) {
		set_tag(d, rest);
	}
	dif_arena_fini(&a);
	return good && d->marker.tag != NULL && d->to->fence == DIF_FENCED;
}

static void marked(struct dif_delivery *d, const char *tag)
{
	const char *fact =
		dif_arena_fmt(&d->arena, "%s %s %s %s %s", d->job.manifest->profile, d->epoch,
	                      d->order, d->job.manifest->order.sha256, tag ? tag : "");
	dif_state_put_fact(d->state, d->scope, FACT_MARKER, tag && tag[0] ? fact : NULL);
	dif_delivery_go(d, LISTING);
}

static void ask_marker(struct dif_delivery *d);

static void on_marked(struct errand *e, const struct dif_outcome *out)
{
	struct dif_delivery *d = e->d;
	bool lost = out->err.cls == DIF_CONFLICT || out->err.cls == DIF_NOT_FOUND;
	if (d->stopping) {
		return;
	}
	if (out->err.cls == DIF_OK) {
		marked(d, out->result.object.tag);
	} else if (lost && d->marker.rounds++ < ROUNDS_MAX) {
		ask_marker(d);
	} else {
		dif_delivery_fail(d, &out->err, "put", DIF_MARKER);
	}
}

static void write_text(struct dif_delivery *d, struct dif_buf *b)
{
	struct dif_json j;
	const struct dif_order *o = &d->job.manifest->order;
	dif_buf_init(b, MARKER_MAX);
	dif_json_begin(&j, b);
	dif_json_open(&j, NULL, '{');
	dif_json_int(&j, "version", 1);
	dif_json_int(&j, DIF_META_EPOCH, o->epoch);
	dif_json_int(&j, DIF_META_ORDER, o->number);
	dif_json_str(&j, DIF_META_SHA256, o->sha256);
	dif_json_str(&j, DIF_META_PROFILE, d->job.manifest->profile);
	dif_json_close(&j, '}');
}

static void put_marker(struct dif_delivery *d)
{
	struct dif_buf text;
	const struct dif_caps *caps = dif_instance_caps(d->to->store);
	write_text(d, &text);
	snprintf(d->marker.text, sizeof d->marker.text, "%s", dif_buf_str(&text));
	dif_buf_fini(&text);
	dif_blob_of_bytes(&d->marker.blob, d->marker.text, strlen(d->marker.text), caps);
	const struct dif_field meta[] = {{DIF_META_EPOCH, d->epoch},
	                                 {DIF_META_ORDER, d->order},
	                                 {DIF_META_SHA256, d->job.manifest->order.sha256},
	                                 {DIF_META_PROFILE, d->job.manifest->profile}};
	memcpy(d->marker.meta, meta, sizeof meta);
	d->marker.put =
		(struct dif_put){.key = marker_key(d),
	                         .blob = &d->marker.blob.blob,
	                         .type = "application/json",
	                         .cache = "no-store",
	                         .meta = d->marker.meta,
	                         .nmeta = DIF_LEN(meta),
	                         .use = dif_blob_use(&d->marker.blob.blob, caps, d->to->guard)};
	if (d->to->fence != DIF_UNFENCED && d->marker.tag != NULL) {
		d->marker.put.if_tag = dif_destination_tag(d->to, &d->arena, d->marker.tag);
	} else if (d->to->fence != DIF_UNFENCED) {
		d->marker.put.if_absent = 1;
	}
	dif_delivery_errand(d, &d->marker.errand, DIF_PUT, &d->marker.put, on_marked);
}

/* Whoever wrote it has written other keys, too: another agent, or a run of ours that was killed
 * before it was recorded. What we remember of them is not what stands there. */
static void note_strange(struct dif_delivery *d, const struct dif_held *theirs)
{
	const struct dif_order *ours = &d->marker.ours;
	char sha256[65];
	dif_hex(sha256, theirs->sha256, sizeof theirs->sha256);
	if (!d->to->known || ours->sha256[0] == '\0' ||
	    (theirs->epoch == ours->epoch && theirs->number == ours->number &&
	     strcmp(sha256, ours->sha256) == 0)) {
		return;
	}
	dif_log(DIF_LOG_INFO, "written", "destination=%s by=another cut=%.12s",
	        dif_q(d->to->config->name), sha256);
	dif_delivery_forget(d, NULL);
	d->to->known = false;
}

/* Where theirs stands against ours, by the whole order. */
static int compare_marker(const struct dif_delivery *d, const struct dif_held *h)
{
	struct dif_order theirs = {.epoch = h->epoch, .number = h->number};
	dif_hex(theirs.sha256, h->sha256, sizeof h->sha256);
	return dif_order_compare(&theirs, &d->job.manifest->order);
}

static void superseded(struct dif_delivery *d, const struct dif_held *theirs)
{
	dif_delivery_guard(d,
	                   "could not deliver to destination '%s': another agent has published a "
	                   "newer cut there (epoch %" PRId64 ", order %" PRId64 ")",
	                   d->to->config->name, theirs->epoch, theirs->number);
}

/* False: the delivery has been stopped. */
static bool may_replace(struct dif_delivery *d, const struct dif_object *o, bool *equal)
{
	struct dif_held theirs;
	const char *profile = dif_meta_get(o->meta, o->nmeta, DIF_META_PROFILE);
	if (!dif_destination_read(o, &theirs) || profile == NULL) {
		if (!d->to->config->adopt) {
			dif_delivery_guard(d,
			                   "could not deliver to destination '%s': object '%s' is "
			                   "not ours; remove it, or set adopt = yes",
			                   d->to->config->name, DIF_MARKER);
		}
		return d->to->config->adopt != 0;
	}
	if (strcmp(profile, d->job.manifest->profile) != 0) {
		dif_delivery_guard(d,
		                   "could not deliver to destination '%s': it belongs to profile "
		                   "%s, and this cut to %s",
		                   d->to->config->name, profile, d->job.manifest->profile);
		return false;
	}
	int order = compare_marker(d, &theirs);
	if (order > 0) {
		superseded(d, &theirs);
		return false;
	}
	note_strange(d, &theirs);
	*equal = order == 0;
	return true;
}

/* Somebody emptied the store, or it is another one under the old name: what we remember of it is
 * worth nothing. */
static void on_vanished(struct dif_delivery *d)
{
	dif_log(DIF_LOG_WARNING, "vanished", "destination=%s object=%s", dif_q(d->to->config->name),
	        dif_q(DIF_MARKER));
	dif_delivery_forget(d, NULL);
	d->to->known = false;
}

static void on_marker(struct errand *e, const struct dif_outcome *out)
{
	struct dif_delivery *d = e->d;
	bool equal = false;
	if (d->stopping) {
		return;
	}
	if (out->err.cls == DIF_NOT_FOUND) {
		set_tag(d, NULL);
		if (d->to->held.n > 0) {
			on_vanished(d);
		}
		put_marker(d);
	} else if (out->err.cls != DIF_OK) {
		dif_delivery_fail(d, &out->err, "read", DIF_MARKER);
	} else if (may_replace(d, &out->result.object, &equal)) {
		set_tag(d, out->result.object.tag);
		if (equal) {
			marked(d, d->marker.tag);
		} else {
			put_marker(d);
		}
	}
}

static void ask_marker(struct dif_delivery *d)
{
	dif_delivery_ask_marker(d, &d->marker.errand, &d->marker.head, on_marker);
}

void dif_delivery_mark(struct dif_delivery *d)
{
	if (d->marker.asked) {
		return; /* on_marker and on_marked go on */
	}
	d->marker.asked = true;
	if (recall_marker(d)) {
		put_marker(d);
	} else {
		ask_marker(d);
	}
}

bool dif_delivery_is_overtaken(struct dif_delivery *d, const struct dif_outcome *out)
{
	struct dif_held theirs;
	if (out->err.cls != DIF_OK || !dif_destination_read(&out->result.object, &theirs) ||
	    compare_marker(d, &theirs) <= 0) {
		return false;
	}
	superseded(d, &theirs);
	return true;
}

static void on_watched(struct errand *e, const struct dif_outcome *out)
{
	if (!e->d->stopping) {
		dif_delivery_is_overtaken(e->d, out);
	}
}

void dif_delivery_watch_marker(struct dif_delivery *d)
{
	if (!d->marker.watching) {
		d->marker.watching = true;
		dif_delivery_ask_marker(d, &d->marker.errand, &d->marker.head, on_watched);
	}
}

/* --- the listing --- */

struct heading {
	struct errand errand;
	struct dif_get head;
};

static void note_foreign(struct dif_delivery *d, const char *key, const char *tag)
{
	key = dif_arena_str(&d->arena, key);
	tag = dif_arena_str(&d->arena, tag ? tag : "");
	if (d->arena.failed || !dif_map_put(&d->foreign, key, (void *)(uintptr_t)tag)) {
		no_memory(d);
		return;
	}
	d->counts.foreign++;
}

static void note_object(struct dif_delivery *d, const struct dif_object *o)
{
	struct dif_held h;
	if (dif_destination_read(o, &h)) {
		if (dif_destination_keep(d->to, &h) == NULL) {
			no_memory(d);
		}
	} else {
		note_foreign(d, o->key, o->tag);
	}
}

static void later(struct dif_delivery *d, const char *key)
{
	if (d->list.nheads == d->list.room) {
		uint32_t room = d->list.room ? 2 * d->list.room : 256;
		const char **more = dif_arena_alloc(&d->arena, room * sizeof *more);
		if (more == NULL) {
			no_memory(d);
			return;
		}
		if (d->list.nheads > 0) {
			memcpy(more, d->list.heads, d->list.nheads * sizeof *more);
		}
		d->list.heads = more;
		d->list.room = room;
	}
	d->list.heads[d->list.nheads++] = dif_arena_str(&d->arena, key);
}

static void on_row(struct dif_delivery *d, const struct dif_object *o)
{
	const char *prefix = d->to->config->prefix;
	size_t n = strlen(prefix);
	if (strncmp(o->key, prefix, n) != 0 || strncmp(o->key + n, ".difusor/", 9) == 0) {
		return;
	}
	bool wanted = dif_map_get(&d->wants.by_key, o->key) != NULL;
	bool headers =
		o->type != NULL || !(dif_instance_caps(d->to->store)->flags & DIF_CAP_HEADERS);
	if (o->meta_known && (headers || !wanted)) {
		note_object(d, o);
	} else if (wanted) {
		later(d, o->key);
	} else if (dif_destination_keep(d->to, &(struct dif_held){.key = o->key,
	                                                          .tag = o->tag ? o->tag : "",
	                                                          .unknown = true}) == NULL) {
		/* Whose it is, is asked before it is removed. */
		no_memory(d);
	}
}

static void next_page(struct dif_delivery *d);

static void on_page(struct errand *e, const struct dif_outcome *out)
{
	struct dif_delivery *d = e->d;
	if (d->stopping) {
		return;
	}
	if (out->err.cls != DIF_OK) {
		dif_delivery_fail(d, &out->err, "list", d->to->config->prefix);
		return;
	}
	for (uint32_t i = 0; i < out->nrows && !d->stopping; i++) {
		on_row(d, &out->rows[i]);
	}
	struct dif_error err = {0};
	int64_t entries = d->job.manifest->n > dif_limits_default.entries
	                          ? d->job.manifest->n
	                          : dif_limits_default.entries;
	uint32_t most = dif_pages_most(entries, d->list.in.max);
	if (!dif_pages_turn(&d->list.pages, out->result.cursor, most, &err)) {
		dif_delivery_fail(d, &err, "list", d->to->config->prefix);
	} else if (d->list.pages.cursor == NULL) {
		d->list.complete = true;
	} else if (!d->stopping) {
		next_page(d);
	}
}

static void next_page(struct dif_delivery *d)
{
	uint32_t most = dif_instance_caps(d->to->store)->list_max;
	d->list.in = (struct dif_list){.prefix = d->to->config->prefix,
	                               .cursor = d->list.pages.cursor,
	                               .max = most && most < LIST_ROWS ? most : LIST_ROWS,
	                               .want_meta = 1};
	dif_delivery_errand(d, &d->list.errand, DIF_LIST, &d->list.in, on_page);
}

static void on_head(struct errand *e, const struct dif_outcome *out)
{
	struct heading *h = (struct heading *)(void *)e;
	struct dif_delivery *d = e->d;
	if (!d->stopping && out->err.cls == DIF_OK) {
		struct dif_object o = out->result.object;
		o.key = h->head.key;
		note_object(d, &o);
	} else if (!d->stopping && out->err.cls != DIF_NOT_FOUND) {
		dif_delivery_fail(d, &out->err, "read", h->head.key);
	}
	free(h);
}

static void listed(struct dif_delivery *d)
{
	const char *key = NULL;
	void *value = NULL;
	for (size_t at = 0; d->state != NULL && dif_map_next(&d->to->held, &at, &key, &value);) {
		dif_state_put_held(d->state, d->to->config->name, value);
	}
	dif_delivery_go(d, DIFFING);
}

void dif_delivery_list(struct dif_delivery *d)
{
	if (d->to->known) {
		dif_delivery_go(d, DIFFING);
		return;
	}
	if (!d->list.begun) {
		d->list.begun = true;
		dif_destination_forget(d->to, NULL);
		next_page(d);
	}
	while (d->list.complete && d->list.next < d->list.nheads && d->busy < HEADS_MAX) {
		struct heading *h = calloc(1, sizeof *h);
		if (h == NULL) {
			no_memory(d);
			return;
		}
		h->head.key = d->list.heads[d->list.next++];
		dif_delivery_errand(d, &h->errand, DIF_HEAD, &h->head, on_head);
	}
	if (d->list.complete && d->busy == 0) {
		listed(d);
	}
}

/* --- the plan --- */

static bool is_in_the_way(struct dif_delivery *d)
{
	for (uint32_t i = 0; i < d->plan.n && !d->to->config->adopt; i++) {
		if (d->plan.puts[i]->foreign) {
			dif_delivery_guard(
				d,
				"could not deliver to destination '%s': object '%s' is "
				"not ours (%" PRIu64 " such); remove it, or set adopt = yes",
				d->to->config->name, d->plan.puts[i]->key, d->plan.foreign);
			return true;
		}
	}
	return false;
}

/* Once what an unknown store makes the CDNs forget is owed: whoever ends before that lists again,
 * and owes it. */
static void know(struct dif_delivery *d)
{
	d->to->known = true;
	if (d->state != NULL) {
		dif_state_put_fact(d->state, d->scope, FACT_LISTED, "1");
	}
}

static void plan(struct dif_delivery *d)
{
	bool headers = (dif_instance_caps(d->to->store)->flags & DIF_CAP_HEADERS) != 0;
	d->has_plan = dif_plan_init(&d->plan, &d->wants, &d->to->held, &d->foreign, headers);
	if (!d->has_plan) {
		no_memory(d);
		return;
	}
	d->counts.puts_of = d->plan.n;
	d->counts.put_bytes_of = d->plan.bytes;
	d->counts.skipped = d->plan.skipped;
	d->put.written = dif_arena_alloc(&d->arena, (d->plan.n + 1) * sizeof(void *));
	if (d->put.written == NULL) {
		no_memory(d);
	} else if (!is_in_the_way(d)) {
		dif_delivery_owe_puts(d);
		if (!d->stopping && d->list.begun) {
			know(d);
		}
	}
}

void dif_delivery_diff(struct dif_delivery *d)
{
	if (!d->has_plan) {
		plan(d);
	}
	if (!d->stopping && d->busy == 0) {
		dif_delivery_go(d, d->job.dry_run ? REMOVING : PUTTING);
	}
}
