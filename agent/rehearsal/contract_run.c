/* contract_run - one op of the suite: its input, what it meets on the wire, what came out.
 *
 *   a plain trial     the exchanges of its steps, in order, and nothing else
 *   a mutated trial   its first request meets the mutated reply; from then on each one is met by
 *                     what it is like: the verb begins again, or the host reads back
 *
 * A login is met at any time. What is wrong is noted once, in s->why: the first thing is the cause.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/parse.h"
#include "host/crypto.h"
#include "rehearsal/contract_private.h"

#define DEADLINE_MS 10000
#define ANY_DEADLINE_MS 20 /* of a reply that never gets better */
/* Below the first pause of what is throttled: the outcome is what the peer said. */
#define STAYS_DEADLINE_MS 400
#define KEEP_MAX (1u << 20)
#define HUGE_REPLY (64ull << 20)
#define REQUESTS_MAX 10 /* of one trial: more is a loop */
#define PART_OFFSET 6
#define LIST_ROWS 1000
#define EPOCH "3"
#define ORDER "20260101T000000Z"

/* --- the wire --- */

struct running {
	struct dif_suite *s;
	const struct dif_trial *t;
	struct dif_content content;
	struct dif_comparing sink;
	struct dif_field meta[3];
	char sha256[65];
	union {
		struct dif_list list;
		struct dif_get get;
		struct dif_put put;
		struct dif_remove remove;
		struct dif_part part;
		struct dif_kind_input kind;
	} in;
	struct dif_put whole;     /* what the parts are of */
	struct dif_content piece; /* one of them */
	const char *tokens[2];
	const char *keys[2];
	struct dif_values saved;
	uint32_t step, exchange, requests, logins;
	bool ended;
};

/* exactly: with everything that the script says, not by method and address alone. */
static const struct dif_exchange *find(struct running *r, enum dif_family f, bool exactly,
                                       const struct dif_wire_seen *seen)
{
	struct dif_suite *s = r->s;
	for (uint32_t i = 0; f != DIF_F_NONE && i < s->scripts[f].n; i++) {
		const struct dif_exchange *x = &s->scripts[f].exchanges[i];
		if (dif_exchange_is(&s->work, x, &s->values, seen) &&
		    (!exactly || dif_exchange_differs(&s->work, x, &s->values, seen) == NULL)) {
			return x;
		}
	}
	return NULL;
}

static const struct dif_exchange *like(struct running *r, enum dif_family f,
                                       const struct dif_wire_seen *seen)
{
	const struct dif_exchange *x = find(r, f, true, seen);
	return x != NULL ? x : find(r, f, false, seen);
}

/* The next exchange of a plain trial; NULL: there is none. */
static const struct dif_exchange *next_of(struct running *r)
{
	const struct dif_trial *t = r->t;
	bool is_over = r->step == DIF_STEPS_MAX || t->steps[r->step] == DIF_F_NONE;
	r->step = is_over && t->stays ? 0 : r->step;
	if (r->step == DIF_STEPS_MAX || t->steps[r->step] == DIF_F_NONE) {
		return NULL;
	}
	const struct dif_script *script = &r->s->scripts[t->steps[r->step]];
	const struct dif_exchange *x = &script->exchanges[r->exchange++];
	if (r->exchange == script->n) {
		r->exchange = 0;
		r->step++;
	}
	return x;
}

static const struct dif_exchange *meet(struct running *r, const struct dif_wire_seen *seen)
{
	struct dif_suite *s = r->s;
	const struct dif_trial *t = r->t;
	if (r->requests == 1 || t->mutation == DIF_M_NONE) {
		const struct dif_exchange *back =
			r->requests > 1 ? like(r, t->readback, seen) : NULL;
		const struct dif_exchange *x = back != NULL ? back : next_of(r);
		if (x == NULL) {
			dif_suite_wrong(s, "it asked for '%s %s' when everything had been answered",
			                seen->method, seen->url);
		} else if (!dif_exchange_is(&s->work, x, &s->values, seen)) {
			dif_suite_wrong(s, "it asked for '%s %s', not for '%s %s'", seen->method,
			                seen->url, x->method,
			                dif_exchange_fill(&s->work, x->url, &s->values));
			x = NULL;
		}
		return x;
	}
	const struct dif_exchange *x = find(r, t->readback, true, seen);
	x = x != NULL ? x : like(r, t->steps[0], seen);
	x = x != NULL ? x : like(r, t->readback, seen);
	if (x == NULL) {
		dif_suite_wrong(s, "after the bad reply it asked for '%s %s'", seen->method,
		                seen->url);
	}
	return x;
}

static void mutate(struct running *r, struct dif_wire_reply *reply)
{
	static const char garbage[] = "\x7f\x03<{[\"\xff\xfe]}>&&\x01 not what was asked for";
	static const char nothing[] = "";
	switch (r->t->mutation) {
	case DIF_M_NONE:
		break;
	case DIF_M_CUT:
		if (r->t->verb == DIF_GET) {
			reply->cut_sink = 3;
		} else {
			*reply = (struct dif_wire_reply){.sent = true};
		}
		break;
	case DIF_M_GARBAGE:
		*reply = (struct dif_wire_reply){.status = reply->status, .body = garbage};
		break;
	case DIF_M_HUGE:
		reply->zeros = HUGE_REPLY;
		break;
	case DIF_M_503:
		*reply = (struct dif_wire_reply){.status = 503, .body = nothing};
		break;
	case DIF_M_503_LATER:
	case DIF_M_429_LATER:
		*reply = (struct dif_wire_reply){.status = r->t->mutation == DIF_M_503_LATER ? 503
		                                                                             : 429,
		                                 .fields = {"retry-after: 1"},
		                                 .body = nothing};
		break;
	case DIF_M_403:
		*reply = (struct dif_wire_reply){.status = 403, .body = nothing};
		break;
	case DIF_M_STATUS:
		*reply = (struct dif_wire_reply){.status = r->t->status, .body = garbage};
		break;
	}
}

static void refuse_request(struct dif_wire_reply *reply)
{
	*reply = (struct dif_wire_reply){.cls = DIF_PERMANENT,
	                                 .text = "the script has no such request"};
}

/* True: it was a request of the login. */
static bool meet_login(struct running *r, const struct dif_wire_seen *seen,
                       struct dif_wire_reply *reply)
{
	struct dif_suite *s = r->s;
	const struct dif_exchange *x = like(r, DIF_F_LOGIN, seen);
	if (x == NULL) {
		return false;
	}
	const char *differs = dif_exchange_differs(&s->work, x, &s->values, seen);
	if (differs != NULL) {
		dif_suite_wrong(s, "in its login: %s", differs);
	}
	r->logins += x == &s->scripts[DIF_F_LOGIN].exchanges[0];
	dif_exchange_reply(&s->work, x, &s->values, reply);
	return true;
}

static bool shows(const struct dif_wire_seen *seen, const char *text)
{
	for (uint32_t i = 0; i < seen->nfields; i++) {
		if (strstr(seen->fields[i].value, text) != NULL) {
			return true;
		}
	}
	return seen->body != NULL && memmem(seen->body, seen->body_n, text, strlen(text)) != NULL;
}

static void look_for_digest(struct running *r, const struct dif_wire_seen *seen)
{
	struct dif_suite *s = r->s;
	uint32_t id = s->caps.digests[r->t->digest];
	struct dif_bytes d = r->content.blob.digest[id];
	if (!shows(seen, dif_encode(&s->work, DIF_BASE64, d.p, d.n)) &&
	    !shows(seen, dif_encode(&s->work, DIF_HEX, d.p, d.n))) {
		dif_suite_wrong(s, "the %s that shall guard the upload is not in the request",
		                dif_digest_name(id));
	}
}

static void on_request(void *data, const struct dif_wire_seen *seen, struct dif_wire_reply *reply)
{
	struct running *r = data;
	struct dif_suite *s = r->s;
	s->requests++;
	if (meet_login(r, seen, reply)) {
		return;
	}
	r->requests++;
	if (r->t->is_guarded && r->requests == 1) {
		look_for_digest(r, seen);
	}
	if (r->t->mutation == DIF_M_STATUS) {
		mutate(r, reply);
		return;
	}
	if (r->requests > REQUESTS_MAX && !r->t->stays) {
		dif_suite_wrong(s, "it asked over %d times", REQUESTS_MAX);
	}
	if (s->why[0] != '\0') { /* the case has failed: it ends soon */
		refuse_request(reply);
		return;
	}
	const struct dif_exchange *x = meet(r, seen);
	if (x == NULL) {
		refuse_request(reply);
		return;
	}
	const char *differs = dif_exchange_differs(&s->work, x, &s->values, seen);
	bool other = r->t->is_guarded && r->t->digest > 0; /* the script has the first of them */
	if (differs != NULL && !other) {
		dif_suite_wrong(s, "in '%s %s': %s", seen->method, seen->url, differs);
	} else if (s->body_max > 0 && seen->body_total > s->body_max) {
		dif_suite_wrong(s, "the body has %llu bytes, the provider takes %llu",
		                (unsigned long long)seen->body_total,
		                (unsigned long long)s->body_max);
	}
	dif_exchange_reply(&s->work, x, &s->values, reply);
	if (r->t->verb == DIF_GET && s->size == DIF_BIG && r->requests == 1) {
		reply->zeros = DIF_BIG;
	}
	if (r->requests == 1) {
		mutate(r, reply);
	}
}

/* --- what came out --- */

static const char *text_of(const char *s)
{
	return s != NULL ? s : "";
}

static bool same(struct dif_suite *s, const char *what, const char *got, const char *want)
{
	return strcmp(text_of(got), text_of(want)) == 0 ||
	       dif_suite_wrong(s, "the %s is '%.200s', not '%.200s'", what, text_of(got),
	                       text_of(want));
}

static void check_object(struct running *r, const struct dif_object *o, bool is_row)
{
	struct dif_suite *s = r->s;
	const char *tag = dif_values_get(&s->values, "tag");
	bool stored = (s->caps.flags & DIF_CAP_READ_ONLY) == 0 && !r->t->is_bare;
	if (!r->t->is_bare) {
		same(s, "tag", o->tag, tag);
	}
	if (o->size != s->size) {
		dif_suite_wrong(s, "the size is %llu, not %llu", (unsigned long long)o->size,
		                (unsigned long long)s->size);
	}
	for (uint32_t d = 0; d < DIF_DIGEST_SLOTS; d++) {
		if ((o->has & DIF_HAS(d)) != 0 && o->digest[d].n != dif_digest_size(d)) {
			dif_suite_wrong(s, "a digest has not the length of a digest");
		}
	}
	if (stored && is_row && (s->caps.flags & DIF_CAP_LIST_META) != 0 && o->meta_known == 0) {
		dif_suite_wrong(s,
		                "the row tells no metadata, as was promised (DIF_CAP_LIST_META)");
	}
	if (stored && !is_row && o->meta_known == 0) {
		dif_suite_wrong(s, "the object's metadata are not known (meta_known)");
	}
	if (stored && o->meta_known != 0) {
		same(s, "metadata sha256", dif_meta_get(o->meta, o->nmeta, DIF_META_SHA256),
		     r->sha256);
		same(s, "metadata order", dif_meta_get(o->meta, o->nmeta, DIF_META_ORDER), ORDER);
	}
	if (stored && !is_row && (s->caps.flags & DIF_CAP_HEADERS) != 0) {
		same(s, "type", o->type, "text/html");
	}
}

static void check_list(struct running *r, const struct dif_outcome *out)
{
	struct dif_suite *s = r->s;
	uint32_t want = r->t->is_last ? 1 : 2;
	if (out->nrows != want) {
		dif_suite_wrong(s, "%u rows came out, not %u", out->nrows, want);
		return;
	}
	same(s, "key", out->rows[0].key, r->keys[0]);
	check_object(r, &out->rows[0], true);
	if (r->t->is_last) {
		if (out->result.cursor != NULL) {
			dif_suite_wrong(s, "it goes on behind the last page, at '%.100s'",
			                out->result.cursor);
		}
		return;
	}
	same(s, "second key", out->rows[1].key, r->keys[1]);
	same(s, "cursor", out->result.cursor, dif_values_get(&s->values, "cursor"));
}

static void check_items(struct running *r, const struct dif_outcome *out)
{
	for (uint32_t i = 0; i < out->nitems; i++) {
		if (out->items[i].cls != DIF_OK) {
			dif_suite_wrong(r->s, "key %u is not gone: %s", i + 1,
			                text_of(out->items[i].what));
		}
	}
}

static void check_get(struct running *r, const struct dif_outcome *out)
{
	struct dif_suite *s = r->s;
	if (r->sink.differs || r->sink.at != s->size) {
		dif_suite_wrong(s, "the bytes that came are not the object's (%llu of %llu)",
		                (unsigned long long)r->sink.at, (unsigned long long)s->size);
	}
	if (out->result.total != s->size) {
		dif_suite_wrong(s, "the whole is told to have %llu bytes, not %llu",
		                (unsigned long long)out->result.total, (unsigned long long)s->size);
	}
	same(s, "tag", out->result.object.tag, dif_values_get(&s->values, "tag"));
}

static void check_put(struct running *r, const struct dif_outcome *out)
{
	struct dif_suite *s = r->s;
	const char *tag = text_of(out->result.object.tag);
	if (*tag == '\0') {
		dif_suite_wrong(s, "the put told no tag");
	} else if (s->caps.root != NULL) { /* only the file knows it */
		(void)snprintf(s->tag, sizeof s->tag, "%s", tag);
		dif_values_text(&s->values, "tag", s->tag);
	} else {
		same(s, "tag", tag, dif_values_get(&s->values, "tag_new"));
	}
}

static void keep(struct dif_suite *s, char *to, size_t max, const char *value)
{
	if (strlen(text_of(value)) >= max) {
		dif_suite_wrong(s, "an upload or a token has over %zu bytes", max - 1);
	} else {
		(void)snprintf(to, max, "%s", text_of(value));
	}
}

static void check_begun(struct running *r, const struct dif_outcome *out)
{
	struct dif_suite *s = r->s;
	keep(s, s->upload, sizeof s->upload, out->result.upload);
	dif_values_text(&s->values, "upload", s->upload);
	if (s->upload[0] == '\0') {
		dif_suite_wrong(s, "part_begin told no upload");
	}
}

static void check_part(struct running *r, const struct dif_outcome *out)
{
	struct dif_suite *s = r->s;
	uint32_t i = r->t->part - 1;
	keep(s, s->token[i], sizeof s->token[i], out->result.token);
	dif_values_text(&s->values, i == 0 ? "token1" : "token2", s->token[i]);
	if (out->result.accepted != r->piece.blob.size) {
		dif_suite_wrong(s, "%llu bytes of the part were accepted, not %llu",
		                (unsigned long long)out->result.accepted,
		                (unsigned long long)r->piece.blob.size);
	}
}

static void check_good(struct running *r, const struct dif_outcome *out)
{
	switch (r->t->verb) {
	case DIF_LIST:
		check_list(r, out);
		break;
	case DIF_HEAD:
		check_object(r, &out->result.object, false);
		break;
	case DIF_GET:
		check_get(r, out);
		break;
	case DIF_PUT:
	case DIF_PART_FINISH:
		check_put(r, out);
		break;
	case DIF_PART_BEGIN:
		check_begun(r, out);
		break;
	case DIF_PART_PUT:
		check_part(r, out);
		break;
	case DIF_REMOVE:
		check_items(r, out);
		break;
	default:
		dif_kind_judge(r->s, r->t, out);
		break;
	}
}

/* A status that is none of success reads as one only where that is an answer: it was not there, it
 * is not cached, somebody else has it. */
static bool may_be_good(const struct dif_suite *s, const struct dif_trial *t)
{
	bool is_absent = t->status == 404 || t->status == 410;
	bool is_lost = t->status == 409 || t->status == 412;
	bool is_purge = t->verb == DIF_PROBE && s->offer->kind == DIF_CDN; /* of nothing, maybe */
	switch (is_purge ? DIF_PURGE : t->verb) {
	case DIF_REMOVE:
	case DIF_ROUTE_GET:
	case DIF_LEASE_RELEASE:
	case DIF_LEASE_READ:
		return is_absent || t->status < 300 || t->status == 304;
	case DIF_PURGE:
		return is_absent || t->status < 300 || t->status == 412;
	case DIF_LEASE_ACQUIRE:
		return is_lost || t->status < 300;
	default:
		return t->status < 300 || t->status == 304;
	}
}

static void check_ending(struct running *r, const struct dif_outcome *out)
{
	struct dif_suite *s = r->s;
	const struct dif_trial *t = r->t;
	bool good = out->err.cls == DIF_OK;
	for (uint32_t i = 0; t->any_ending && i < out->nitems; i++) {
		good = good && out->items[i].cls == DIF_OK;
	}
	if (strstr(out->err.text, "broke its contract") != NULL) {
		dif_suite_wrong(s, "%s", out->err.text);
	} else if (t->any_ending) {
		if (good && !may_be_good(s, t)) {
			dif_suite_wrong(s, "it took status %d for success", t->status);
		}
	} else if (!good && (t->or_failure || (t->or_auth && out->err.cls == DIF_AUTH))) {
		return;
	} else if (out->err.cls != t->cls) {
		dif_suite_wrong(s, "it ended as %s, not as %s%s%s", dif_class_name(out->err.cls),
		                dif_class_name(t->cls), good ? "" : ": ", out->err.text);
	} else if (r->requests < t->min_requests) {
		dif_suite_wrong(s, "it took the reply for an answer");
	} else if (r->logins < t->min_logins) {
		dif_suite_wrong(s, "it logged in %u times, not %u", r->logins, t->min_logins);
	} else if (out->took_ms < t->min_ms) {
		dif_suite_wrong(s, "it waited %lld ms, not %lld", (long long)out->took_ms,
		                (long long)t->min_ms);
	} else if (good) {
		check_good(r, out);
	}
}

static void on_end(void *data, const struct dif_outcome *out)
{
	struct running *r = data;
	r->ended = true;
	check_ending(r, out);
}

/* --- one op --- */

static void make_put(struct running *r, struct dif_put *to)
{
	struct dif_suite *s = r->s;
	r->meta[0] = (struct dif_field){DIF_META_EPOCH, EPOCH};
	r->meta[1] = (struct dif_field){DIF_META_ORDER, ORDER};
	r->meta[2] = (struct dif_field){DIF_META_SHA256, r->sha256};
	*to = (struct dif_put){.key = r->keys[0],
	                       .blob = &r->content.blob,
	                       .type = "text/html",
	                       .cache = "max-age=60",
	                       .meta = r->meta,
	                       .nmeta = DIF_LEN(r->meta),
	                       .use = s->caps.digests[r->t->digest],
	                       .if_absent = !r->t->replaces};
	if (r->t->replaces) {
		to->if_tag = dif_values_get(&s->values, "tag");
	}
}

static void make_part(struct running *r)
{
	struct dif_suite *s = r->s;
	uint64_t from = r->t->part == 2 ? DIF_CONTENT_SPLIT : 0;
	uint64_t to = r->t->part == 2 ? strlen(DIF_CONTENT) : DIF_CONTENT_SPLIT;
	make_put(r, &r->whole);
	dif_content_make(&r->piece, &DIF_CONTENT[from], to - from);
	r->tokens[0] = s->token[0];
	r->tokens[1] = s->token[1];
	r->in.part = (struct dif_part){.put = &r->whole, .upload = s->upload};
	if (r->t->verb == DIF_PART_BEGIN) {
		r->in.part.upload = NULL;
	} else if (r->t->verb == DIF_PART_PUT) {
		r->in.part.blob = &r->piece.blob;
		r->in.part.offset = from;
		r->in.part.number = r->t->part;
		dif_values_text(&s->values, "part", r->t->part == 2 ? "2" : "1");
		dif_values_text(&s->values, "first", r->t->part == 2 ? "6" : "0");
		dif_values_text(&s->values, "last", r->t->part == 2 ? "10" : "5");
		dif_values_set(&s->values, "part_content",
		               (struct dif_bytes){&DIF_CONTENT[from], to - from});
		dif_values_set(&s->values, "part_md5", r->piece.blob.digest[DIF_MD5]);
		dif_values_set(&s->values, "part_sha256", r->piece.blob.digest[DIF_SHA256]);
		dif_values_set(&s->values, "part_crc32c", r->piece.blob.digest[DIF_CRC32C]);
	} else if (r->t->verb == DIF_PART_FINISH) {
		r->in.part.tokens = r->tokens;
		r->in.part.ntokens = 2;
	}
}

static const void *make_input(struct running *r)
{
	struct dif_suite *s = r->s;
	const struct dif_trial *t = r->t;
	dif_comparing_init(&r->sink, s, t->is_part ? PART_OFFSET : 0);
	switch (t->verb) {
	case DIF_LIST:
		r->in.list = (struct dif_list){.prefix = dif_values_get(&s->values, "prefix"),
		                               .max = LIST_ROWS,
		                               .want_meta = 1};
		r->in.list.cursor = t->is_last && s->caps.list_max > 1 && s->caps.root == NULL
		                            ? dif_values_get(&s->values, "cursor")
		                            : NULL;
		return &r->in.list;
	case DIF_HEAD:
	case DIF_GET:
		r->in.get = (struct dif_get){.key = r->keys[0],
		                             .offset = r->sink.from,
		                             .sink = t->verb == DIF_GET ? &r->sink.sink : NULL};
		if (t->is_part) {
			r->in.get.if_tag = dif_values_get(&s->values, "tag");
		}
		return &r->in.get;
	case DIF_PUT:
		make_put(r, &r->in.put);
		return &r->in.put;
	case DIF_PART_BEGIN:
	case DIF_PART_PUT:
	case DIF_PART_FINISH:
	case DIF_PART_ABORT:
		make_part(r);
		return &r->in.part;
	case DIF_REMOVE:
		r->in.remove = (struct dif_remove){.keys = r->keys, .n = t->many ? 2 : 1};
		return &r->in.remove;
	default:
		return dif_kind_input(s, t, &r->in.kind);
	}
}

static void prepare(struct running *r)
{
	struct dif_suite *s = r->s;
	r->saved = s->values;
	if (s->offer->kind != DIF_STORE) {
		return; /* their input sets what scripts may name */
	}
	dif_content_make(&r->content, DIF_CONTENT, s->size);
	for (uint32_t d = DIF_NO_DIGEST + 1; d < DIF_DIGESTS; d++) {
		if ((r->content.blob.has & DIF_HAS(d)) != 0) {
			dif_values_set(&s->values, dif_digest_name(d), r->content.blob.digest[d]);
		}
	}
	dif_hex(r->sha256, r->content.digest[DIF_SHA256], 32);
	r->keys[0] = dif_values_get(&s->values, "key");
	r->keys[1] = dif_values_get(&s->values, "key2");
	dif_values_text(&s->values, "epoch", EPOCH);
	dif_values_text(&s->values, "order", ORDER);
	dif_values_text(&s->values, "type", "text/html");
	dif_values_text(&s->values, "cache", "max-age=60");
}

bool dif_trial_run_on(struct dif_suite *s, struct dif_instance *i, const struct dif_trial *t)
{
	struct running *r = calloc(1, sizeof *r);
	if (r == NULL) {
		return dif_suite_wrong(s, "out of memory");
	}
	r->s = s;
	r->t = t;
	prepare(r);
	struct dif_wire *wire = dif_wire_new(s->engine, KEEP_MAX, on_request, r);
	dif_op_start(i, t->verb, make_input(r),
	             t->any_ending ? ANY_DEADLINE_MS
	             : t->stays    ? STAYS_DEADLINE_MS
	                           : DEADLINE_MS,
	             on_end, r);
	while (!r->ended) {
		(void)uv_run(&s->engine->loop, UV_RUN_ONCE);
	}
	if (!dif_wire_free(wire)) {
		dif_suite_wrong(s, "a request was still in flight when the op had ended");
	}
	if (s->offer->kind != DIF_STORE) {
		s->values = r->saved;
	}
	dif_arena_reset(&s->work);
	free(r);
	return s->why[0] == '\0';
}

bool dif_trial_run(struct dif_suite *s, const struct dif_trial *t)
{
	struct dif_error err = {0};
	struct dif_instance *i = dif_suite_open(s, &err);
	if (i == NULL) {
		return dif_suite_wrong(s, "%s", err.text);
	}
	bool ok = dif_trial_run_on(s, i, t);
	dif_suite_close(s, i);
	return ok;
}
