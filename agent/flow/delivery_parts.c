/* delivery_parts - one large object, in parts.
 *
 *   begin -> slice -> part -> ... -> look -> finish -> ended
 *              (several side by side)    \-> failed, stopped -> abort -> ended
 *
 * The object is read once, in order, slice by slice out of the spool's budget; one slice is read
 * while the parts before it are on their way. Nobody sees anything before the finish, which is made
 * under the condition of a put; so whatever goes wrong before it is a put that did not happen. The
 * key is looked at right before: some stores keep conditions of a put but not of a finish
 * (radosgw), and minutes have passed since the condition was made. Where flow/probe found that,
 * parts are for what cannot go whole.
 *
 * A part that arrived damaged is sent again, and one of which the store took a beginning goes on
 * behind it. An upload that the store has lost is a lost condition to the caller: he looks at the
 * key and begins again.
 *
 * What fails is aborted: stores keep parts, and charge for them, until they are told to drop them.
 * That is tried for a moment only, and not with a store that is away.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "flow/delivery_private.h"
#include "host/crypto.h"
#include "host/secret.h"

#define PART_AIM (8ull << 20) /* a lost one costs little, a request more of it would gain nothing */
/* From here on a connection that breaks near the end would cost more than the requests of parts. */
#define PARTS_ABOVE (64ull << 20)
#define PARALLEL_MAX 8 /* with PART_AIM the whole budget; one destination fills a line with it */
#define IDLE_MAX 5     /* answers in a row that took nothing of a part */
#define ABORT_MS 5000  /* tidying up must not hold up an end */
#define TOKENS_MAX (64u << 20) /* of 50,000 parts (Azure), a kilobyte each */

struct part {
	struct errand errand;
	struct dif_link link; /* in the upload's parts */
	struct dif_upload *u;
	struct dif_lease *lease;
	const uint8_t *bytes;
	struct dif_body_bytes body; /* what is still to be sent */
	struct dif_blob blob;
	struct dif_part in;
	uint32_t broken, idle;
	bool is_busy; /* sent, or digested again */
	struct dif_work work;
	uint8_t digest[DIF_DIGEST_MAX];
	bool has_digest;
};

struct dif_upload {
	struct errand errand; /* begin, finish, abort */
	struct dif_delivery *d;
	const struct dif_put *put;
	void (*ended)(void *data, const struct dif_outcome *out);
	void *data;
	struct dif_slices *slices;
	uint64_t size; /* of a part */
	uint32_t nparts, parallel;
	struct dif_arena arena; /* wiping */
	const char *id;         /* NULL: not begun */
	const char **tokens;
	struct dif_part in; /* of begin, finish, abort */
	struct dif_get head;
	struct part *coming;   /* its slice is not here yet */
	struct dif_link parts; /* in order: on their way, then waiting */
	uint32_t nheld, nbusy, nasked, narrived;
	bool is_failed, is_winding, unknown;
	struct dif_error err;
};

static void go_on(struct dif_upload *u);
static void wind_down(struct dif_upload *u);

/* --- how large --- */

static uint64_t up(uint64_t n, uint64_t step)
{
	return (n + step - 1) / step * step;
}

/* The size of a part; 0: the store does not take so much in parts. */
static uint64_t part_size(const struct dif_caps *c, uint64_t size)
{
	uint64_t step = c->part_align > 0 ? c->part_align : 1;
	if (c->part_max == 0) {
		return 0;
	}
	uint64_t n = PART_AIM > c->part_min ? PART_AIM : c->part_min;
	uint64_t least = up(size, c->part_count) / c->part_count;
	n = up(n > least ? n : least, step);
	if (n > c->part_max) {
		n = c->part_max / step * step;
	}
	bool fits = n > 0 && n >= c->part_min && n >= least;
	return fits ? n : 0;
}

static bool fits_budget(const struct dif_delivery *d, uint64_t part)
{
	return part <= dif_spool_budget(d->job.spool);
}

bool dif_upload_is_due(const struct dif_delivery *d, uint64_t size)
{
	const struct dif_caps *c = dif_instance_caps(d->to->store);
	uint64_t part = part_size(c, size);
	return size > c->put_max ||
	       (size > PARTS_ABOVE && part > 0 && fits_budget(d, part) && !d->to->whole_only);
}

/* False: err. */
static bool may_start(const struct dif_delivery *d, uint64_t size, struct dif_error *err)
{
	const struct dif_caps *c = dif_instance_caps(d->to->store);
	uint64_t part = part_size(c, size);
	if (part > 0 && fits_budget(d, part)) {
		return true;
	}
	if (part > 0) {
		dif_error_set(err, DIF_PERMANENT,
		              "its parts of %" PRIu64 " bytes do not fit into the %" PRIu64
		              " of memory; raise memory in [agent]",
		              part, dif_spool_budget(d->job.spool));
		return false;
	}
	dif_error_set(err, DIF_PERMANENT,
	              "it has %" PRIu64 " bytes, more than the %" PRIu64
	              " that the store takes at once%s",
	              size, c->put_max,
	              c->part_max > 0 ? " or in parts" : ", and it takes no parts");
	return false;
}

/* --- the end --- */

static void release(struct dif_upload *u, struct part *p)
{
	if (p->lease != NULL) {
		dif_spool_release(p->lease);
	}
	dif_list_remove(&p->link);
	u->nheld--;
	free(p);
}

static void free_upload(struct dif_upload *u)
{
	if (u->id != NULL) {
		dif_secret_drop(u->id);
	}
	dif_slices_free(u->slices);
	dif_arena_fini(&u->arena);
	free(u);
}

static void end_with(struct dif_upload *u, const struct dif_outcome *out)
{
	assert(u->nheld == 0);
	u->ended(u->data, out);
	free_upload(u);
}

static void end_failed(struct dif_upload *u)
{
	struct dif_outcome out = {.err = u->err, .unknown = u->unknown};
	if (out.err.cls == DIF_NOT_FOUND) { /* the upload, or what the condition names */
		out.err.cls = DIF_CONFLICT;
	}
	end_with(u, &out);
}

static void on_aborted(struct errand *e, const struct dif_outcome *out)
{
	struct dif_upload *u = (struct dif_upload *)(void *)e;
	if (out->err.cls != DIF_OK && out->err.cls != DIF_NOT_FOUND) {
		dif_log(DIF_LOG_WARNING, "parts", "destination=%s object=%s left=yes why=%s",
		        dif_q(u->d->to->config->name), dif_q(u->put->key), dif_q(out->err.text));
	}
	end_failed(u);
}

static void fail(struct dif_upload *u, const struct dif_error *err)
{
	if (!u->is_failed) {
		u->is_failed = true;
		u->err = *err;
	}
	wind_down(u);
}

static void fail_with(struct dif_upload *u, enum dif_class cls, const char *why)
{
	struct dif_error err = {0};
	dif_error_set(&err, cls, "%s", why);
	fail(u, &err);
}

/* What waits goes, what is under way is called back; then the store drops what it has. */
static void wind_down(struct dif_upload *u)
{
	struct dif_link *next = NULL;
	for (struct dif_link *at = u->parts.next; at != &u->parts; at = next) {
		struct part *p = DIF_ENTRY(at, struct part, link);
		next = at->next;
		if (!p->is_busy) {
			release(u, p);
		} else if (p->errand.run != NULL && !u->is_winding) {
			dif_op_cancel(p->errand.run);
		}
	}
	u->coming = NULL;
	u->is_winding = true;
	if (u->nbusy > 0 || u->errand.run != NULL) {
		return;
	}
	if (u->id == NULL || dif_instance_down_since(u->d->to->store) != 0) {
		end_failed(u);
		return;
	}
	u->in = (struct dif_part){.put = u->put, .upload = u->id};
	dif_delivery_last_errand(u->d, &u->errand, DIF_PART_ABORT, &u->in, ABORT_MS, on_aborted);
}

/* True: nothing more may begin. */
static bool is_over(struct dif_upload *u)
{
	if (!u->is_failed && u->d->stopping) {
		u->is_failed = true;
		dif_error_set(&u->err, DIF_CANCELED, "it was canceled");
	}
	return u->is_failed;
}

void dif_upload_stop(struct dif_upload *u)
{
	if (!u->is_winding) {
		fail_with(u, DIF_CANCELED, "it was canceled");
	}
}

/* --- a part --- */

static void on_part(struct errand *e, const struct dif_outcome *out);

static void send_part(struct part *p)
{
	struct dif_upload *u = p->u;
	uint32_t digest = dif_instance_caps(u->d->to->store)->part_digest;
	p->blob = (struct dif_blob){.size = p->body.body.size,
	                            .host = (uint64_t)(uintptr_t)&p->body.body};
	if (digest != DIF_NO_DIGEST) {
		p->blob.has = DIF_HAS(digest);
		p->blob.digest[digest] = (struct dif_bytes){p->digest, dif_digest_size(digest)};
	}
	p->in.blob = &p->blob;
	dif_delivery_errand(u->d, &p->errand, DIF_PART_PUT, &p->in, on_part);
}

static struct part *part_of(struct dif_work *w)
{
	return (struct part *)(void *)((char *)w - offsetof(struct part, work));
}

static void digest_rest(struct dif_work *w)
{
	struct part *p = part_of(w);
	uint32_t digest = dif_instance_caps(p->u->d->to->store)->part_digest;
	p->has_digest = digest == DIF_NO_DIGEST ||
	                dif_blob_hash(digest, p->body.p, (size_t)p->body.body.size, p->digest);
}

static void on_digested(struct dif_work *w)
{
	struct part *p = part_of(w);
	struct dif_upload *u = p->u;
	struct dif_delivery *d = u->d;
	if (!is_over(u) && p->has_digest) {
		send_part(p);
	} else {
		p->is_busy = false;
		u->nbusy--;
		fail_with(u, DIF_TRANSIENT, "out of memory");
	}
	dif_delivery_idle(d);
}

/* The store has a beginning of it: on behind that. */
static void send_rest(struct part *p, uint64_t accepted)
{
	uint64_t left = p->body.body.size - accepted;
	p->in.offset += accepted;
	dif_body_bytes_init(&p->body, (const uint8_t *)p->body.p + accepted, left);
	dif_delivery_busy(p->u->d);
	dif_engine_work(p->u->d->job.engine, &p->work, digest_rest, on_digested);
}

static void part_arrived(struct part *p, const char *token)
{
	struct dif_upload *u = p->u;
	u->tokens[p->in.number - 1] = dif_arena_str(&u->arena, token != NULL ? token : "");
	p->is_busy = false;
	u->nbusy--;
	u->narrived++;
	release(u, p);
	if (u->arena.failed) {
		fail_with(u, DIF_TRANSIENT, "out of memory");
	} else {
		go_on(u);
	}
}

static void part_failed(struct part *p, const struct dif_error *err)
{
	struct dif_upload *u = p->u;
	p->is_busy = false;
	u->nbusy--;
	fail(u, err);
}

static void on_broken_part(struct part *p, const struct dif_error *err)
{
	dif_log(DIF_LOG_WARNING, "broken",
	        "destination=%s object=%s part=%" PRIu32 " time=%" PRIu32,
	        dif_q(p->u->d->to->config->name), dif_q(p->u->put->key), p->in.number,
	        p->broken + 1);
	if (++p->broken >= BROKEN_MAX) {
		part_failed(p, err);
	} else {
		send_part(p);
	}
}

static void on_part_taken(struct part *p, const struct dif_outcome *out)
{
	uint64_t accepted = out->result.accepted;
	struct dif_error err = {0};
	if (!dif_blob_agrees(&p->blob, &out->result.object)) {
		dif_error_set(&err, DIF_INTEGRITY, "the store received other bytes");
		on_broken_part(p, &err);
	} else if (accepted > p->blob.size) {
		dif_error_set(&err, DIF_PERMANENT, "the plug-in tells more of it than there is");
		part_failed(p, &err);
	} else if (accepted == p->blob.size) {
		part_arrived(p, out->result.token);
	} else if (accepted > 0) {
		p->idle = 0;
		send_rest(p, accepted);
	} else if (++p->idle < IDLE_MAX) {
		send_part(p);
	} else {
		dif_error_set(&err, DIF_TRANSIENT, "the store takes nothing of a part");
		part_failed(p, &err);
	}
}

static void on_part(struct errand *e, const struct dif_outcome *out)
{
	struct part *p = (struct part *)(void *)e;
	if (is_over(p->u)) {
		part_failed(p, &p->u->err);
	} else if (out->err.cls == DIF_OK) {
		on_part_taken(p, out);
	} else if (out->err.cls == DIF_INTEGRITY) {
		on_broken_part(p, &out->err);
	} else {
		part_failed(p, &out->err);
	}
}

/* --- slices --- */

static void on_slice(void *data, struct dif_body *body, const struct dif_error *err)
{
	struct part *p = data;
	struct dif_upload *u = p->u;
	struct dif_delivery *d = u->d;
	dif_delivery_busy(d);
	u->coming = NULL;
	if (body == NULL) {
		fail(u, err);
	} else {
		struct dif_bytes digest = dif_spool_slice_digest(p->lease);
		memcpy(p->digest, digest.p, (size_t)digest.n);
		dif_body_bytes_init(&p->body, body->ops->view(body), body->size);
		go_on(u);
	}
	dif_delivery_idle(d);
}

static void want_slice(struct dif_upload *u)
{
	static const struct dif_lease_events events = {.ready = on_slice};
	struct part *p = calloc(1, sizeof *p);
	if (p != NULL && (p->lease = dif_spool_slice(u->slices, &events, p)) == NULL) {
		free(p);
		p = NULL;
	}
	if (p == NULL) {
		fail_with(u, DIF_TRANSIENT, "out of memory");
		return;
	}
	p->u = u;
	p->in = (struct dif_part){.put = u->put,
	                          .upload = u->id,
	                          .offset = u->nasked * u->size,
	                          .number = u->nasked + 1};
	u->coming = p;
	u->nasked++;
	u->nheld++;
	dif_list_add(&u->parts, &p->link);
}

/* --- begin and finish --- */

static void on_finished(struct errand *e, const struct dif_outcome *out)
{
	struct dif_upload *u = (struct dif_upload *)(void *)e;
	if (out->err.cls == DIF_OK) {
		end_with(u, out);
		return;
	}
	u->unknown = out->unknown;
	fail(u, &out->err);
}

static void finish(struct dif_upload *u)
{
	u->in = (struct dif_part){
		.put = u->put, .upload = u->id, .tokens = u->tokens, .ntokens = u->nparts};
	dif_delivery_errand(u->d, &u->errand, DIF_PART_FINISH, &u->in, on_finished);
}

/* Does the key still hold what the put is to replace? */
static bool is_as_asked(struct dif_upload *u, const struct dif_outcome *out)
{
	const struct dif_object *o = &out->result.object;
	if (out->err.cls == DIF_NOT_FOUND) {
		return u->put->if_tag == NULL;
	}
	const char *tag = dif_destination_tag(u->d->to, &u->arena, o->tag);
	return u->put->if_absent == 0 && tag != NULL && strcmp(tag, u->put->if_tag) == 0;
}

static void on_looked(struct errand *e, const struct dif_outcome *out)
{
	struct dif_upload *u = (struct dif_upload *)(void *)e;
	if (is_over(u)) {
		wind_down(u);
	} else if (out->err.cls != DIF_OK && out->err.cls != DIF_NOT_FOUND) {
		fail(u, &out->err);
	} else if (is_as_asked(u, out)) {
		finish(u);
	} else {
		fail_with(u, DIF_CONFLICT, "somebody else has written the key meanwhile");
	}
}

static void look(struct dif_upload *u)
{
	if (u->put->if_absent == 0 && u->put->if_tag == NULL) {
		finish(u);
		return;
	}
	u->head = (struct dif_get){.key = u->put->key};
	dif_delivery_errand(u->d, &u->errand, DIF_HEAD, &u->head, on_looked);
}

/* Starts what may start. */
static void go_on(struct dif_upload *u)
{
	if (is_over(u)) {
		wind_down(u);
		return;
	}
	if (u->narrived == u->nparts) {
		look(u);
		return;
	}
	for (struct dif_link *at = u->parts.next; at != &u->parts && u->nbusy < u->parallel;
	     at = at->next) {
		struct part *p = DIF_ENTRY(at, struct part, link);
		if (!p->is_busy && p != u->coming) {
			p->is_busy = true;
			u->nbusy++;
			send_part(p);
		}
	}
	if (u->coming == NULL && u->nasked < u->nparts && u->nheld <= u->parallel) {
		want_slice(u);
	}
}

static void on_begun(struct errand *e, const struct dif_outcome *out)
{
	struct dif_upload *u = (struct dif_upload *)(void *)e;
	if (out->err.cls != DIF_OK) {
		fail(u, &out->err);
		return;
	}
	u->id = dif_arena_str(&u->arena, out->result.upload != NULL ? out->result.upload : "");
	if (u->arena.failed) {
		fail_with(u, DIF_TRANSIENT, "out of memory");
		return;
	}
	dif_secret_add(u->id);
	go_on(u);
}

static struct dif_upload *new_upload(struct dif_delivery *d, const struct dif_want *w)
{
	const struct dif_caps *c = dif_instance_caps(d->to->store);
	struct dif_upload *u = calloc(1, sizeof *u);
	if (u == NULL) {
		return NULL;
	}
	u->d = d;
	u->size = part_size(c, w->size);
	u->nparts = (uint32_t)(up(w->size, u->size) / u->size);
	u->parallel = c->part_parallel < PARALLEL_MAX ? c->part_parallel : PARALLEL_MAX;
	dif_list_init(&u->parts);
	dif_arena_init(&u->arena, TOKENS_MAX, true);
	u->tokens = dif_arena_alloc(&u->arena, u->nparts * sizeof *u->tokens);
	u->slices = dif_spool_slices(d->put.user, d->job.package, w->member, w->form, u->size,
	                             c->part_digest);
	if (u->tokens == NULL || u->slices == NULL) {
		free_upload(u);
		return NULL;
	}
	return u;
}

struct dif_upload *dif_upload_start(struct dif_delivery *d, const struct dif_want *w,
                                    const struct dif_put *put,
                                    void (*ended)(void *data, const struct dif_outcome *out),
                                    void *data, struct dif_error *err)
{
	if (!may_start(d, w->size, err)) {
		return NULL;
	}
	struct dif_upload *u = new_upload(d, w);
	if (u == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return NULL;
	}
	u->put = put;
	u->ended = ended;
	u->data = data;
	u->in = (struct dif_part){.put = put};
	dif_log(DIF_LOG_DEBUG, "parts",
	        "destination=%s object=%s bytes=%" PRIu64 " parts=%" PRIu32 " of=%" PRIu64,
	        dif_q(d->to->config->name), dif_q(put->key), w->size, u->nparts, u->size);
	dif_delivery_errand(d, &u->errand, DIF_PART_BEGIN, &u->in, on_begun);
	return u;
}
