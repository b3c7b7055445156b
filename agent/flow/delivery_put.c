/* delivery_put - the puts, phase by phase.
 *
 *   lease -> put -> arrived
 *              \-> condition lost -> head -> absent: create | ours already: arrived |
 *                  later than us: leave it | earlier or other: put on that tag |
 *                  not ours: collision
 *
 * A put is conditional on what we remember of the key (rule 3). A lost condition costs one HEAD,
 * and ROUNDS_MAX such rounds end the delivery. Bytes that the store received otherwise are put
 * again BROKEN_MAX times, never removed. A put whose outcome is not known leaves the key unknown,
 * so that it is written again even if it looks equal.
 *
 * Memory that the spool asks back is given back by cancelling the put; the key queues again behind
 * the others, and finds out by the lost condition where the canceled put got through.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "flow/delivery_private.h"
#include "flow/ingest.h"

struct putting {
	struct errand errand;
	struct dif_link link; /* in slots or again */
	struct dif_want *want;
	struct dif_lease *lease;
	struct dif_upload *upload; /* NULL: in one request, or none is under way */
	struct dif_blob blob;
	struct dif_put put;
	struct dif_get head;
	struct dif_field meta[4];
	char sha256[65];
	struct dif_arena arena; /* tags of the round */
	uint32_t rounds, broken;
	bool asked_back, is_slot;
};

#define AHEAD 32                  /* bodies more than requests, so that the next ones are ready */
#define BYTES_EACH (128u << 10)   /* of a request, on average: 256 connections take 32 MiB */
#define LARGE_WEIGHT (512u << 10) /* of a window or a part */

static void begin(struct putting *p);

static void no_memory(struct dif_delivery *d, const struct putting *p)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_TRANSIENT, "out of memory");
	dif_delivery_fail(d, &err, "put", p->want->key);
}

/* What it takes of the spool's memory, about; a large one is read through a window. */
static uint64_t weight(const struct putting *p)
{
	return p->want->size <= DIF_WHOLE_MAX ? p->want->size : LARGE_WEIGHT;
}

static void occupy(struct putting *p)
{
	struct dif_delivery *d = p->errand.d;
	dif_list_add(&d->put.slots, &p->link);
	p->is_slot = true;
	d->put.nslots++;
	d->put.bytes += weight(p);
}

static void vacate(struct putting *p)
{
	struct dif_delivery *d = p->errand.d;
	dif_list_remove(&p->link);
	if (p->is_slot) {
		p->is_slot = false;
		d->put.nslots--;
		d->put.bytes -= weight(p);
	}
}

static struct putting *new_putting(struct dif_delivery *d, struct dif_want *w)
{
	struct putting *p = calloc(1, sizeof *p);
	if (p == NULL) {
		return NULL;
	}
	p->errand.d = d;
	p->want = w;
	dif_arena_init(&p->arena, 1 << 16, false);
	dif_hex(p->sha256, w->member->form[DIF_IDENTITY].sha256, 32);
	dif_list_init(&p->link);
	occupy(p);
	return p;
}

static void let_go(struct putting *p)
{
	if (p->lease != NULL) {
		dif_spool_release(p->lease);
		p->lease = NULL;
	}
}

static void end(struct putting *p)
{
	let_go(p);
	vacate(p);
	dif_arena_fini(&p->arena);
	free(p);
}

static void wait_again(struct putting *p)
{
	struct dif_delivery *d = p->errand.d;
	let_go(p);
	vacate(p);
	dif_list_add(&d->put.again, &p->link);
	p->asked_back = false;
}

/* The write may have happened, or may yet. */
static void doubt(struct putting *p)
{
	struct dif_delivery *d = p->errand.d;
	const struct dif_held *h = dif_destination_held(d->to, p->want->key);
	struct dif_held now = h ? *h : (struct dif_held){.key = p->want->key, .tag = ""};
	now.unknown = true;
	dif_delivery_keep(d, &now);
}

static void arrived(struct putting *p, const char *tag)
{
	struct dif_delivery *d = p->errand.d;
	const struct dif_order *o = &d->job.manifest->order;
	struct dif_held h = {.key = p->want->key,
	                     .tag = tag,
	                     .epoch = o->epoch,
	                     .number = o->number,
	                     .form = p->want->form,
	                     .headers = p->want->headers};
	memcpy(h.sha256, p->want->member->form[DIF_IDENTITY].sha256, sizeof h.sha256);
	dif_delivery_keep(d, &h);
	if (!p->want->written) {
		p->want->written = true;
		d->put.written[d->put.nwritten++] = p->want;
		d->counts.puts++;
		d->counts.put_bytes += p->want->size;
	}
	end(p);
}

static void give_up(struct putting *p, const struct dif_error *err)
{
	dif_delivery_fail(p->errand.d, err, "put", p->want->key);
	end(p);
}

/* --- a lost condition --- */

static bool is_equal(const struct putting *p, const struct dif_held *h)
{
	const struct dif_want *w = p->want;
	return memcmp(h->sha256, w->member->form[DIF_IDENTITY].sha256, sizeof h->sha256) == 0 &&
	       h->form == w->form && (h->headers == 0 || h->headers == w->headers) &&
	       p->broken == 0;
}

static void on_foreign(struct putting *p, const struct dif_object *o)
{
	struct dif_delivery *d = p->errand.d;
	const char *tag = dif_arena_str(&d->arena, o->tag ? o->tag : "");
	if (!d->to->config->adopt) {
		dif_delivery_guard(d,
		                   "could not deliver to destination '%s': object '%s' is not "
		                   "ours; remove it, or set adopt = yes",
		                   d->to->config->name, p->want->key);
		end(p);
		return;
	}
	dif_delivery_forget(d, p->want->key);
	if (!dif_map_put(&d->foreign, p->want->key, (void *)(uintptr_t)tag)) {
		no_memory(d, p);
		end(p);
		return;
	}
	begin(p);
}

/* Two cuts of one epoch and number: the marker tells which of them is the later one. */
static void on_tie(struct errand *e, const struct dif_outcome *out)
{
	struct putting *p = (struct putting *)(void *)e;
	if (e->d->stopping || dif_delivery_is_overtaken(e->d, out)) {
		end(p);
	} else if (out->err.cls != DIF_OK && out->err.cls != DIF_NOT_FOUND) {
		give_up(p, &out->err);
	} else {
		begin(p);
	}
}

static void on_ours(struct putting *p, const struct dif_object *o, struct dif_held *h)
{
	struct dif_delivery *d = p->errand.d;
	int order = dif_delivery_compare(d, h);
	bool tie = order == 0 && memcmp(h->sha256, p->want->member->form[DIF_IDENTITY].sha256,
	                                sizeof h->sha256) != 0;
	h->key = p->want->key;
	if (order > 0) {
		dif_delivery_keep(d, h);
		d->put.newer++;
		dif_delivery_watch_marker(d);
		end(p);
	} else if (order == 0 && is_equal(p, h) && o->tag != NULL) {
		arrived(p, o->tag);
	} else {
		h->unknown = true; /* until our put has arrived */
		dif_delivery_keep(d, h);
		if (tie) {
			dif_delivery_ask_marker(d, &p->errand, &p->head, on_tie);
		} else {
			begin(p);
		}
	}
}

static void on_head(struct errand *e, const struct dif_outcome *out)
{
	struct putting *p = (struct putting *)(void *)e;
	struct dif_delivery *d = e->d;
	struct dif_held theirs;
	if (d->stopping) {
		doubt(p);
		end(p);
	} else if (out->err.cls == DIF_NOT_FOUND) {
		dif_delivery_forget(d, p->want->key);
		dif_map_remove(&d->foreign, p->want->key);
		begin(p);
	} else if (out->err.cls != DIF_OK) {
		doubt(p);
		give_up(p, &out->err);
	} else if (!dif_destination_read(&out->result.object, &theirs)) {
		on_foreign(p, &out->result.object);
	} else {
		on_ours(p, &out->result.object, &theirs);
	}
}

static void look(struct putting *p)
{
	struct dif_delivery *d = p->errand.d;
	struct dif_error err = {0};
	let_go(p);
	if (p->rounds++ >= ROUNDS_MAX) {
		dif_error_set(&err, DIF_CONFLICT, "it changes%s as often as it is written",
		              p->want->parted ? ", or its upload is lost," : "");
		doubt(p);
		give_up(p, &err);
		return;
	}
	p->head = (struct dif_get){.key = p->want->key};
	dif_delivery_errand(d, &p->errand, DIF_HEAD, &p->head, on_head);
}

/* --- the put --- */

static void on_broken(struct putting *p, const struct dif_error *err)
{
	dif_log(DIF_LOG_WARNING, "broken", "destination=%s object=%s time=%u",
	        dif_q(p->errand.d->to->config->name), dif_q(p->want->key), p->broken + 1);
	if (++p->broken >= BROKEN_MAX) {
		doubt(p);
		give_up(p, err);
	} else {
		look(p);
	}
}

static void on_good(struct putting *p, const struct dif_object *told)
{
	struct dif_error err = {0};
	if (!dif_blob_agrees(&p->blob, told)) {
		dif_error_set(&err, DIF_INTEGRITY, "the store received other bytes");
		on_broken(p, &err);
	} else if (told->tag == NULL || told->tag[0] == '\0') {
		look(p); /* the next condition needs a tag */
	} else {
		arrived(p, told->tag);
	}
}

static void judge(struct putting *p, const struct dif_outcome *out)
{
	enum dif_class cls = out->err.cls;
	bool lost = cls == DIF_CONFLICT || (cls == DIF_NOT_FOUND && p->put.if_tag != NULL);
	if (cls == DIF_OK) {
		on_good(p, &out->result.object);
	} else if (p->errand.d->stopping) {
		doubt(p);
		end(p);
	} else if (lost) {
		look(p);
	} else if (cls == DIF_INTEGRITY) {
		on_broken(p, &out->err);
	} else if (cls == DIF_CANCELED && p->asked_back) {
		doubt(p);
		wait_again(p);
	} else {
		if (out->unknown) {
			doubt(p);
		}
		give_up(p, &out->err);
	}
}

static void on_put(struct errand *e, const struct dif_outcome *out)
{
	judge((struct putting *)(void *)e, out);
}

static void on_uploaded(void *data, const struct dif_outcome *out)
{
	struct putting *p = data;
	p->upload = NULL;
	p->want->parted = true;
	judge(p, out);
}

static void condition(struct putting *p)
{
	struct dif_delivery *d = p->errand.d;
	const struct dif_held *h = dif_destination_held(d->to, p->want->key);
	const char *tag = h ? h->tag : dif_map_get(&d->foreign, p->want->key);
	dif_arena_reset(&p->arena);
	if (d->to->fence == DIF_UNFENCED) {
		return;
	}
	if (tag != NULL && tag[0] != '\0') {
		/* A copy: held may change while the put is under way. */
		p->put.if_tag =
			dif_destination_tag(d->to, &p->arena, dif_arena_str(&p->arena, tag));
	} else {
		p->put.if_absent = 1;
	}
}

/* body NULL: of an object in parts. False: p has ended. */
static bool prepare(struct putting *p, struct dif_body *body)
{
	struct dif_delivery *d = p->errand.d;
	const struct dif_want *w = p->want;
	dif_blob_of_form(&p->blob, &w->member->form[w->form], body);
	p->meta[0] = (struct dif_field){DIF_META_EPOCH, d->epoch};
	p->meta[1] = (struct dif_field){DIF_META_ORDER, d->order};
	p->meta[2] = (struct dif_field){DIF_META_SHA256, p->sha256};
	p->meta[3] = (struct dif_field){DIF_META_FORM, "gzip"};
	p->put = (struct dif_put){
		.key = w->key,
		.blob = &p->blob,
		.type = w->type,
		.encoding = w->encoding,
		.cache = w->cache,
		.meta = p->meta,
		.nmeta = w->sibling ? 4 : 3,
		.use = dif_blob_use(&p->blob, dif_instance_caps(d->to->store), d->to->guard)};
	condition(p);
	if (p->arena.failed) {
		no_memory(d, p);
		end(p);
		return false;
	}
	return true;
}

static void on_ready(void *data, struct dif_body *body, const struct dif_error *err)
{
	struct putting *p = data;
	struct dif_delivery *d = p->errand.d;
	dif_delivery_busy(d);
	if (d->stopping) {
		end(p);
	} else if (body == NULL) {
		give_up(p, err);
	} else if (prepare(p, body)) {
		dif_delivery_errand(d, &p->errand, DIF_PUT, &p->put, on_put);
	}
	dif_delivery_idle(d);
}

static void on_asked_back(void *data)
{
	struct putting *p = data;
	if (p->errand.run != NULL && !p->asked_back) {
		p->asked_back = true;
		dif_op_cancel(p->errand.run);
	}
}

static void begin_parts(struct putting *p)
{
	struct dif_error err = {0};
	if (!prepare(p, NULL)) {
		return;
	}
	p->upload = dif_upload_start(p->errand.d, p->want, &p->put, on_uploaded, p, &err);
	if (p->upload == NULL) {
		give_up(p, &err);
	}
}

static void begin(struct putting *p)
{
	static const struct dif_lease_events events = {.ready = on_ready,
	                                               .asked_back = on_asked_back};
	struct dif_delivery *d = p->errand.d;
	if (dif_upload_is_due(d, p->want->size)) {
		begin_parts(p);
		return;
	}
	p->lease = dif_spool_want(d->put.user, d->job.package, p->want->member, p->want->form,
	                          &events, p);
	if (p->lease == NULL) {
		no_memory(d, p);
		end(p);
	}
}

/* --- phases --- */

bool dif_delivery_put_again(struct dif_delivery *d, struct dif_want *w, uint32_t broken)
{
	struct putting *p = new_putting(d, w);
	if (p == NULL) {
		return false;
	}
	p->broken = broken;
	begin(p);
	return true;
}

/* Those that have no request under way hold nothing that must be waited for. */
void dif_delivery_drop_puts(struct dif_delivery *d)
{
	struct dif_link *heads[] = {&d->put.slots, &d->put.again};
	for (size_t i = 0; i < 2; i++) {
		struct dif_link *next = NULL;
		for (struct dif_link *at = heads[i]->next; at != heads[i]; at = next) {
			struct putting *p = DIF_ENTRY(at, struct putting, link);
			next = at->next;
			if (p->upload != NULL) {
				dif_upload_stop(p->upload);
			} else if (p->errand.run == NULL) {
				end(p);
			}
		}
	}
}

/* A few more than the window, so that the next bodies are ready; and no more bytes than so many
 * requests can need, else objects ten times as large would take ten times the memory. */
static bool has_room(const struct dif_delivery *d)
{
	uint32_t width = dif_pressure_width(dif_instance_pressure(d->to->store));
	uint64_t most = (uint64_t)width * BYTES_EACH;
	if (d->stopping || d->put.nslots >= width + AHEAD) {
		return false;
	}
	if (d->put.bytes > 0 && d->put.bytes >= most) {
		dif_instance_full(d->to->store);
		return false;
	}
	return true;
}

static void fill_slots(struct dif_delivery *d)
{
	while (d->put.next < d->plan.first[d->put.phase + 1] && has_room(d)) {
		struct dif_want *w = d->plan.puts[d->put.next++];
		if (!dif_delivery_put_again(d, w, 0)) {
			struct dif_error err = {0};
			dif_error_set(&err, DIF_TRANSIENT, "out of memory");
			dif_delivery_fail(d, &err, "put", w->key);
		}
	}
	while (!dif_list_empty(&d->put.again) && has_room(d)) {
		struct putting *p = DIF_ENTRY(d->put.again.next, struct putting, link);
		dif_list_remove(&p->link);
		occupy(p);
		begin(p);
	}
}

/* True while something of the phase is left. */
static bool run_phase(struct dif_delivery *d)
{
	fill_slots(d);
	return d->stopping || d->put.nslots > 0 || d->busy > 0;
}

static void all_put(struct dif_delivery *d)
{
	if (d->put.newer > 0) {
		dif_delivery_guard(d,
		                   "could not deliver to destination '%s': another agent has "
		                   "written %" PRIu64 " newer objects there",
		                   d->to->config->name, d->put.newer);
		return;
	}
	d->put_at = dif_wall_ms();
	dif_delivery_release_purge(d);
	dif_delivery_go(d, VERIFYING);
}

void dif_delivery_put(struct dif_delivery *d)
{
	if (d->sm.state == WAITING) {
		if (d->put.passed) {
			dif_delivery_go(d, FINISHING);
		}
		return;
	}
	uint32_t last = d->sm.state == FINISHING ? DIF_PUT_PHASES : DIF_PUT_AGGREGATE;
	while (d->put.phase < last) {
		if (run_phase(d)) {
			return;
		}
		d->put.phase++;
	}
	if (d->sm.state == FINISHING) {
		all_put(d);
		return;
	}
	if (d->sm.state == PUTTING) {
		dif_delivery_go(d, FORGETTING);
	}
	if (dif_delivery_is_forgetting(d)) {
		return;
	}
	dif_delivery_go(d, WAITING);
	if (d->events->at_barrier != NULL) {
		d->events->at_barrier(d->data, d);
	} else {
		d->put.passed = true;
	}
}
