/* check_public - what the public gets of the store itself.
 *
 * The very list and the very object that were asked for with our signature are asked for once more
 * without it, at the same address. A refusal is the right answer, unless public_url is the store's
 * own address. An address that carries a signature in itself proves nothing, so it is not asked. A
 * store without addresses (a folder) has no public of its own.
 *
 * An open store is a warning, because some sites want it so; where the destination is private it is
 * a no-go.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "flow/check_private.h"
#include "flow/ingest.h"
#include "host/engine.h"

/* --- the store without a signature --- */

static bool carries_signature(const char *url)
{
	static const char *const signs[] = {"ignature=", "sig=", "oken=", "redential="};
	const char *query = strchr(url, '?');
	for (size_t i = 0; query != NULL && i < DIF_LEN(signs); i++) {
		if (strstr(query, signs[i]) != NULL) {
			return true;
		}
	}
	return false;
}

/* False: the point is told. */
static bool may_ask(struct subject *s, const char *question, const char *url)
{
	if (!check_is_http(s)) {
		check_tell(s, question, DIF_NOT_CHECKED,
		           "a folder has no public of its own; what serves it decides");
	} else if (url == NULL) {
		check_tell(s, question, DIF_NOT_CHECKED, "there was no such request to repeat");
	} else if (carries_signature(url)) {
		check_tell(s, question, DIF_NOT_CHECKED,
		           "the address itself carries the signature, so asking proves nothing");
	} else {
		return true;
	}
	return false;
}

/* False: it is no answer, and the point is told. */
static bool is_answer(struct subject *s, const char *question, const struct dif_http_response *r)
{
	if (r->status == 0) {
		check_tell(s, question, DIF_NOT_CHECKED, "%s", r->err.text);
	} else if (r->status >= 500 || r->status == 429 || r->status / 100 == 3) {
		check_tell(s, question, DIF_NOT_CHECKED, "it answers %d", r->status);
	} else {
		return true;
	}
	return false;
}

static void on_list(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	if (is_answer(s, "public list", r)) {
		if (r->status < 300) {
			check_tell(s, "public list",
			           s->d->config->is_private ? DIF_NO_GO : DIF_WARNING,
			           "anyone can list the bucket; take the right to list from the "
			           "public");
		} else {
			check_tell(s, "public list", DIF_GO, "refused without a signature (%d)",
			           r->status);
		}
	}
	check_next(s);
}

void check_public_list(struct subject *s)
{
	if (may_ask(s, "public list", s->list_url)) {
		check_get(s, s->list_url, dif_instance_policy(s->i), on_list);
	} else {
		check_next(s);
	}
}

static void tell_get(struct subject *s, int status)
{
	static const char question[] = "public get";
	bool open = status < 300, meant = dif_destination_is_store(s->d);
	bool is_private = s->d->config->is_private;
	if (open && is_private) {
		check_tell(s, question, DIF_NO_GO,
		           "anyone can get objects from the store, and the destination is "
		           "private; close the bucket");
	} else if (open && meant) {
		check_tell(s, question, DIF_GO, "anyone can get objects, as public_url wants");
	} else if (open) {
		check_tell(s, question, DIF_WARNING,
		           "anyone can get objects from the store itself, past what public_url "
		           "names; close the bucket unless that is meant");
	} else if (meant && !is_private) {
		check_tell(s, question, DIF_WARNING,
		           "refused without a signature (%d), and public_url is the store itself; "
		           "let the public get objects unless .difusor/ alone is closed",
		           status);
	} else {
		check_tell(s, question, DIF_GO, "refused without a signature (%d)", status);
	}
}

static void on_get(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	if (is_answer(s, "public get", r)) {
		tell_get(s, r->status);
	}
	check_next(s);
}

void check_public_get(struct subject *s)
{
	if (may_ask(s, "public get", s->object_url)) {
		check_get(s, s->object_url, dif_instance_policy(s->i), on_get);
	} else {
		check_next(s);
	}
}

/* --- what is live --- */

static void on_live(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	const struct dif_object *o = &out->result.object;
	if (out->err.cls == DIF_OK) {
		const char *sha = dif_meta_get(o->meta, o->nmeta, DIF_META_SHA256);
		const char *profile = dif_meta_get(o->meta, o->nmeta, DIF_META_PROFILE);
		s->live = LIVE_YES;
		check_tell(s, "live", DIF_GO, "cut %.12s, profile %s",
		           sha != NULL ? sha : "unknown", profile != NULL ? profile : "unknown");
	} else if (out->err.cls == DIF_NOT_FOUND) {
		s->live = LIVE_NOT;
		check_tell(s, "live", DIF_GO, "no cut yet");
	} else {
		check_fail(s, "live", &out->err, NULL);
	}
	check_next(s);
}

void check_live(struct subject *s)
{
	s->get = (struct dif_get){
		.key = dif_arena_fmt(&s->arena, "%s" DIF_MARKER, s->d->config->prefix)};
	check_op(s, DIF_HEAD, &s->get, QUESTION_MS, on_live);
}
