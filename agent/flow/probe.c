/* probe - one object, some questions:
 *
 *   create          -> it must work; where only the condition is refused, plainly
 *   create again    -> CONFLICT, else the condition was ignored
 *   wrong tag       -> CONFLICT, else the condition was ignored
 *   right tag       -> it must work, as it is or without its quotes
 *   false digest    -> INTEGRITY, else this digest guards nothing there, and the next is tried
 *   create in parts -> CONFLICT, else the condition was ignored there: only whole puts are fenced
 *   remove
 *
 * A conflict after an answer that was lost tells nothing: it may be our own write that is in the
 * way. Then all is asked again, with another name.
 *
 * The name is by chance, so that two agents may ask at once. What a killed probe leaves is a few
 * bytes below .difusor/, which is never served.
 */
#include "flow/probe.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/parse.h"
#include "flow/blob.h"
#include "host/crypto.h"
#include "host/secret.h"

#define REMEMBER_MS ((int64_t)24 * 3600 * 1000)
#define FACT "fence"
#define GUARD "guard"
#define NO_GUARD "none"
#define TAG_MAX 4096
#define ROUNDS_MAX 30 /* with a fifth of all answers lost, one probe in 100,000 comes to nothing */

static const char content[] = "difusor asks whether this store knows conditional writes\n";

enum question {
	CREATE,
	PLAIN,
	AGAIN,
	WRONG,
	RIGHT,
	BARE,
	FIT, /* a digest that is right */
	FALSE_FIT,
	BEGIN,
	PART,
	JOIN,
	ABORT,
	REMOVE
};

struct dif_probe_run {
	struct dif_destination *d;
	struct dif_state *state;
	void (*done)(void *data, const struct dif_error *err);
	void *data;
	enum question asking;
	struct dif_op_run *op;
	struct dif_arena arena;
	const char *key, *tag;
	struct dif_blob_bytes content, false_content, part_content;
	struct dif_put put;
	struct dif_part part;
	const char *upload, *token; /* upload NULL: none is open */
	size_t verdict;
	uint32_t candidate; /* index in caps.digests */
	uint32_t guard;     /* enum dif_digest; DIF_NO_DIGEST: none of them */
	struct dif_remove remove;
	uint32_t rounds;
	bool canceled, again;
	struct dif_error err;
};

enum {
	AS_IT_IS,
	WITHOUT_QUOTES,
	NOT_AT_ALL,
	WHOLE_PUTS
}; /* WHOLE_PUTS is added to the first two */
static const struct {
	const char *text;
	uint32_t fence;
	bool bare, whole_only;
} verdicts[] = {{"fenced", DIF_FENCED, false, false},
                {"bare", DIF_FENCED, true, false},
                {"unfenced", DIF_UNFENCED, false, false},
                {"fenced, whole puts", DIF_FENCED, false, true},
                {"bare, whole puts", DIF_FENCED, true, true}};

/* Where a store takes one digest only, there is nothing to choose. */
static bool has_choice(const struct dif_destination *d)
{
	const struct dif_caps *caps = dif_instance_caps(d->store);
	return caps->digests[0] != DIF_NO_DIGEST && caps->digests[1] != DIF_NO_DIGEST;
}

static bool recall_guard(struct dif_destination *d, const char *name)
{
	const struct dif_caps *caps = dif_instance_caps(d->store);
	if (!has_choice(d)) {
		return true;
	}
	d->guard = DIF_NO_DIGEST;
	d->unguarded = name != NULL && strcmp(name, NO_GUARD) == 0;
	for (uint32_t i = 0; name != NULL && i < DIF_LEN(caps->digests); i++) {
		if (strcmp(name, dif_digest_name(caps->digests[i])) == 0) {
			d->guard = caps->digests[i];
		}
	}
	return d->unguarded || d->guard != DIF_NO_DIGEST;
}

bool dif_probe_recall(struct dif_destination *d, struct dif_state *state)
{
	struct dif_arena a;
	bool found = false, guarded = false;
	char *scope = dif_destination_scope(d);
	dif_arena_init(&a, 1 << 12, false);
	const char *value =
		state && scope ? dif_state_fact(state, scope, FACT, REMEMBER_MS, &a) : NULL;
	for (size_t i = 0; value != NULL && i < sizeof verdicts / sizeof *verdicts; i++) {
		if (strcmp(value, verdicts[i].text) == 0) {
			d->fence = verdicts[i].fence;
			d->bare_tags = verdicts[i].bare;
			d->whole_only = verdicts[i].whole_only;
			found = true;
		}
	}
	if (found) {
		guarded = recall_guard(d, dif_state_fact(state, scope, GUARD, REMEMBER_MS, &a));
	}
	dif_arena_fini(&a);
	free(scope);
	return found && guarded;
}

static void conclude(struct dif_probe_run *r, size_t verdict)
{
	r->d->fence = verdicts[verdict].fence;
	r->d->bare_tags = verdicts[verdict].bare;
	r->d->whole_only = verdicts[verdict].whole_only;
	r->d->guard = r->guard;
	r->d->unguarded = has_choice(r->d) && r->guard == DIF_NO_DIGEST;
	const char *guard = r->d->unguarded ? NO_GUARD : dif_digest_name(r->guard);
	char *scope = dif_destination_scope(r->d);
	if (r->state != NULL && scope != NULL) {
		dif_state_put_fact(r->state, scope, FACT, verdicts[verdict].text);
		dif_state_put_fact(r->state, scope, GUARD, has_choice(r->d) ? guard : NULL);
	}
	dif_log(r->d->unguarded ? DIF_LOG_WARNING : DIF_LOG_INFO, "probe",
	        "destination=%s verdict=%s guard=%s", dif_q(r->d->config->name),
	        dif_q(verdicts[verdict].text), has_choice(r->d) ? guard : "as_configured");
	free(scope);
}

static void end(struct dif_probe_run *r)
{
	void (*done)(void *, const struct dif_error *) = r->done;
	void *data = r->data;
	struct dif_error err = r->err;
	if (r->upload != NULL) {
		dif_secret_drop(r->upload);
	}
	if (r->canceled) {
		dif_error_set(&err, DIF_CANCELED, "canceled");
	}
	dif_arena_fini(&r->arena);
	free(r);
	done(data, &err);
}

/* A tag of the same make that is not the tag. */
static const char *another(struct dif_probe_run *r)
{
	char *wrong = dif_arena_copy(&r->arena, r->tag, strlen(r->tag));
	for (size_t i = wrong ? strlen(wrong) : 0; i > 0; i--) {
		char *c = &wrong[i - 1];
		if (isdigit((unsigned char)*c)) {
			*c = *c == '9' ? '1' : (char)(*c + 1);
			return wrong;
		}
		if (isalpha((unsigned char)*c)) {
			*c = *c == 'a' ? 'b' : 'a';
			return wrong;
		}
	}
	return "\"0\"";
}

static const char *without_quotes(struct dif_probe_run *r)
{
	size_t n = strlen(r->tag);
	bool quoted = n >= 2 && r->tag[0] == '"' && r->tag[n - 1] == '"';
	return quoted ? dif_arena_fmt(&r->arena, "%.*s", (int)(n - 2), r->tag + 1) : NULL;
}

static void on_answer(void *data, const struct dif_outcome *out);

static void ask_part(struct dif_probe_run *r, enum question q)
{
	static const enum dif_verb_id verbs[] = {[BEGIN] = DIF_PART_BEGIN,
	                                         [PART] = DIF_PART_PUT,
	                                         [JOIN] = DIF_PART_FINISH,
	                                         [ABORT] = DIF_PART_ABORT};
	r->put.if_tag = NULL;
	r->put.if_absent = 1;
	r->part = (struct dif_part){.put = &r->put, .upload = r->upload};
	if (q == PART) {
		r->part.blob = &r->part_content.blob;
		r->part.number = 1;
	} else if (q == JOIN) {
		r->part.tokens = &r->token;
		r->part.ntokens = 1;
	}
	r->op = dif_op_start(r->d->store, verbs[q], &r->part, 0, on_answer, r);
}

static void ask(struct dif_probe_run *r, enum question q)
{
	r->asking = q;
	if (q >= BEGIN && q <= ABORT) {
		ask_part(r, q);
		return;
	}
	if (q == REMOVE) {
		r->remove = (struct dif_remove){.keys = &r->key, .n = 1};
		r->op = dif_op_start(r->d->store, DIF_REMOVE, &r->remove, 0, on_answer, r);
		return;
	}
	r->put = (struct dif_put){.key = r->key,
	                          .blob = &r->content.blob,
	                          .type = "text/plain",
	                          .if_absent = q == CREATE || q == AGAIN};
	r->put.use = dif_blob_use(&r->content.blob, dif_instance_caps(r->d->store), DIF_NO_DIGEST);
	if (q == FIT || q == FALSE_FIT) {
		r->put.use = dif_instance_caps(r->d->store)->digests[r->candidate];
	}
	if (q == FALSE_FIT) {
		r->put.blob = &r->false_content.blob;
	} else if (q == WRONG) {
		r->put.if_tag = another(r);
	} else if (q == RIGHT) {
		r->put.if_tag = r->tag;
	} else if (q == BARE) {
		r->put.if_tag = without_quotes(r);
	}
	r->op = dif_op_start(r->d->store, DIF_PUT, &r->put, 0, on_answer, r);
}

static void remember_tag(struct dif_probe_run *r, const struct dif_outcome *out)
{
	r->tag = dif_arena_str(&r->arena, out->result.object.tag);
}

/* What was put has to go; an upload that is open first. */
static void tidy_up(struct dif_probe_run *r)
{
	ask(r, r->upload != NULL ? ABORT : REMOVE);
}

/* What the conditions are worth is known, and which digest is. */
static void ask_for_parts(struct dif_probe_run *r)
{
	if (r->verdict != NOT_AT_ALL && dif_instance_caps(r->d->store)->part_max > 0) {
		ask(r, BEGIN);
	} else {
		conclude(r, r->verdict);
		tidy_up(r);
	}
}

/* The same bytes, and one bit of the digest that shall guard them is another. */
static void ask_falsely(struct dif_probe_run *r)
{
	uint32_t id = dif_instance_caps(r->d->store)->digests[r->candidate];
	r->false_content.digest[id][0] ^= 1;
	ask(r, FALSE_FIT);
}

/* The first of the store's digests went along with every put so far. */
static void judged(struct dif_probe_run *r, size_t verdict)
{
	r->verdict = verdict;
	if (has_choice(r->d)) {
		ask_falsely(r);
	} else {
		ask_for_parts(r);
	}
}

static void next_candidate(struct dif_probe_run *r)
{
	const uint32_t *digests = dif_instance_caps(r->d->store)->digests;
	r->false_content.digest[digests[r->candidate]][0] ^= 1;
	if (digests[++r->candidate] != DIF_NO_DIGEST) { /* the list ends with one */
		ask(r, FIT);
	} else {
		ask_for_parts(r);
	}
}

static void on_digest(struct dif_probe_run *r, const struct dif_outcome *out)
{
	enum dif_class cls = out->err.cls;
	bool refused = cls == DIF_INTEGRITY || cls == DIF_PERMANENT || cls == DIF_AUTH;
	if (refused && r->asking == FALSE_FIT) {
		r->guard = dif_instance_caps(r->d->store)->digests[r->candidate];
		ask_for_parts(r);
	} else if (refused || (cls == DIF_OK && r->asking == FALSE_FIT)) {
		next_candidate(r);
	} else if (cls == DIF_OK) {
		ask_falsely(r);
	} else {
		r->err = out->err;
		tidy_up(r);
	}
}

static void unfenced(struct dif_probe_run *r)
{
	judged(r, NOT_AT_ALL);
}

static void on_created(struct dif_probe_run *r, const struct dif_outcome *out)
{
	bool may_condition = (dif_instance_caps(r->d->store)->flags & DIF_CAP_COND) != 0;
	remember_tag(r, out);
	if (!may_condition || r->tag == NULL || r->tag[0] == '\0') {
		unfenced(r);
	} else {
		ask(r, AGAIN);
	}
}

/* A condition must be lost: a store that does not know it may answer 200, or refuse it for ever. */
static void on_conditional(struct dif_probe_run *r, const struct dif_outcome *out)
{
	if (out->err.cls == DIF_CONFLICT) {
		ask(r, r->asking == AGAIN ? WRONG : RIGHT);
	} else if (out->err.cls == DIF_OK || out->err.cls == DIF_PERMANENT ||
	           out->err.cls == DIF_NOT_FOUND) {
		unfenced(r);
	} else {
		r->err = out->err;
		tidy_up(r);
	}
}

static void on_right(struct dif_probe_run *r, const struct dif_outcome *out)
{
	bool lost = out->err.cls == DIF_CONFLICT || out->err.cls == DIF_PERMANENT ||
	            out->err.cls == DIF_NOT_FOUND;
	if (out->err.cls == DIF_OK) {
		judged(r, r->asking == BARE ? WITHOUT_QUOTES : AS_IT_IS);
	} else if (lost && r->asking == RIGHT && without_quotes(r) != NULL) {
		ask(r, BARE);
	} else if (lost) {
		unfenced(r);
	} else {
		r->err = out->err;
		tidy_up(r);
	}
}

static void keep_upload(struct dif_probe_run *r, const char *upload)
{
	r->upload = dif_arena_str(&r->arena, upload != NULL ? upload : "");
	if (r->upload != NULL) {
		dif_secret_add(r->upload);
	}
}

static void forget_upload(struct dif_probe_run *r)
{
	if (r->upload != NULL) {
		dif_secret_drop(r->upload);
	}
	r->upload = NULL;
}

/* The key is there, so an upload that must create it must be refused, at the latest at its end. */
static void on_parts(struct dif_probe_run *r, const struct dif_outcome *out)
{
	enum dif_class cls = out->err.cls;
	if (cls == DIF_OK && r->asking == BEGIN) {
		keep_upload(r, out->result.upload);
		ask(r, PART);
	} else if (cls == DIF_OK && r->asking == PART) {
		r->token = dif_arena_str(&r->arena, out->result.token);
		ask(r, JOIN);
	} else if (cls == DIF_CONFLICT) {
		conclude(r, r->verdict);
		tidy_up(r);
	} else if (cls == DIF_OK || cls == DIF_PERMANENT || cls == DIF_NOT_FOUND) {
		if (cls == DIF_OK) {
			forget_upload(r); /* it has become the object */
		}
		conclude(r, r->verdict + WHOLE_PUTS);
		tidy_up(r);
	} else {
		r->err = out->err;
		tidy_up(r);
	}
}

static void on_first(struct dif_probe_run *r, const struct dif_outcome *out)
{
	if (r->asking == CREATE && out->err.cls == DIF_PERMANENT) {
		ask(r, PLAIN);
	} else if (out->err.cls != DIF_OK) {
		r->err = out->err;
		dif_error_wrap(&r->err, "could not write to store '%s'",
		               dif_instance_name(r->d->store));
		end(r);
	} else if (r->asking == PLAIN) {
		unfenced(r);
	} else {
		on_created(r, out);
	}
}

static bool choose_name(struct dif_probe_run *r)
{
	uint8_t chance[8];
	char name[2 * sizeof chance + 1];
	if (!dif_random(chance, sizeof chance)) {
		return false;
	}
	dif_hex(name, chance, sizeof chance);
	r->key = dif_arena_fmt(&r->arena, "%s.difusor/probe-%s", r->d->config->prefix, name);
	return !r->arena.failed;
}

static void on_doubt(struct dif_probe_run *r)
{
	r->again = ++r->rounds < ROUNDS_MAX;
	if (!r->again) {
		dif_error_set(&r->err, DIF_TRANSIENT,
		              "could not ask store '%s' what its conditions are worth: too many "
		              "answers get lost",
		              dif_instance_name(r->d->store));
	}
	tidy_up(r);
}

static void begin(struct dif_probe_run *r)
{
	const struct dif_caps *caps = dif_instance_caps(r->d->store);
	const struct dif_caps of_part = {.digests = {caps->part_digest}};
	dif_blob_of_bytes(&r->content, content, sizeof content - 1, caps);
	dif_blob_of_bytes(&r->false_content, content, sizeof content - 1, caps);
	dif_blob_of_bytes(&r->part_content, content, sizeof content - 1, &of_part);
	r->candidate = 0;
	r->guard = DIF_NO_DIGEST;
	ask(r, CREATE);
}

static void on_removed(struct dif_probe_run *r)
{
	if (r->again && choose_name(r)) {
		r->again = false;
		begin(r);
	} else {
		end(r);
	}
}

static void on_answer(void *data, const struct dif_outcome *out)
{
	struct dif_probe_run *r = data;
	r->op = NULL;
	if (r->canceled) {
		end(r);
	} else if (r->asking == ABORT) {
		forget_upload(r);
		ask(r, REMOVE);
	} else if (r->asking == REMOVE) {
		on_removed(r);
	} else if (out->unknown && out->err.cls == DIF_CONFLICT) {
		on_doubt(r);
	} else if (r->asking <= PLAIN) {
		on_first(r, out);
	} else if (r->asking <= WRONG) {
		on_conditional(r, out);
	} else if (r->asking <= BARE) {
		on_right(r, out);
	} else if (r->asking <= FALSE_FIT && out->unknown && out->err.cls == DIF_OK) {
		on_doubt(r); /* what was read back may be what was there before */
	} else if (r->asking <= FALSE_FIT) {
		on_digest(r, out);
	} else {
		on_parts(r, out);
	}
}

struct dif_probe_run *dif_probe_start(struct dif_destination *d, struct dif_state *state,
                                      void (*done)(void *data, const struct dif_error *err),
                                      void *data)
{
	struct dif_probe_run *r = calloc(1, sizeof *r);
	if (r == NULL) {
		return NULL;
	}
	dif_arena_init(&r->arena, 32 * TAG_MAX, true);
	r->d = d;
	r->state = state;
	r->done = done;
	r->data = data;
	if (!choose_name(r)) {
		dif_arena_fini(&r->arena);
		free(r);
		return NULL;
	}
	begin(r);
	return r;
}

void dif_probe_cancel(struct dif_probe_run *r)
{
	r->canceled = true;
	if (r->op != NULL) {
		dif_op_cancel(r->op);
	}
}
