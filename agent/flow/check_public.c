/* check_public - what the public sees.
 *
 * The store: the very list and the very object that were asked for with our signature are asked
 * for once more without it, at the same address. A refusal is the right answer, unless public_url
 * is the store's own address. An address that carries a signature in itself proves nothing, so it
 * is not asked. A store without addresses (a folder) has no public of its own.
 *
 * The site: public_url as the authority will ask for it, a plain GET: 200, no redirect, no content
 * encoding, a base tag.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "flow/check_private.h"
#include "flow/ingest.h"
#include "host/engine.h"

#define PAGE_MAX (4u << 20) /* an entry page; real ones have 50 kB */

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

static void authority_of(const char *url, const char **p, size_t *n)
{
	const char *scheme = strstr(url, "://");
	*p = scheme != NULL ? scheme + 3 : url;
	*n = strcspn(*p, "/?#");
}

/* Readers are sent to the store itself, not to something before it. */
static bool is_the_site(const struct subject *s)
{
	const char *url = s->d->config->public_url, *p = NULL;
	size_t n = 0;
	if (url == NULL) {
		return false;
	}
	authority_of(url, &p, &n);
	for (const char *const *h = dif_instance_caps(s->i)->hosts; *h != NULL; h++) {
		if (strlen(*h) == n && strncmp(*h, p, n) == 0) {
			return true;
		}
	}
	return false;
}

static void ask(struct subject *s, const char *url, const struct dif_http_policy *policy,
                void (*cb)(void *data, const struct dif_http_response *r))
{
	const struct dif_http_request req = {.method = "GET",
	                                     .url = url,
	                                     .policy = policy,
	                                     .timeout_ms = QUESTION_MS,
	                                     .reply_max = PAGE_MAX};
	const struct dif_transport *t = &s->c->real;
	t->start(t->self, &req, cb, s);
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
			check_tell(s, "public list", DIF_WARNING,
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
		ask(s, s->list_url, dif_instance_policy(s->i), on_list);
	} else {
		check_next(s);
	}
}

static void tell_get(struct subject *s, int status)
{
	static const char question[] = "public get";
	bool open = status < 300, meant = is_the_site(s);
	if (open && meant) {
		check_tell(s, question, DIF_GO, "anyone can get objects, as public_url wants");
	} else if (open) {
		check_tell(s, question, DIF_WARNING,
		           "anyone can get objects from the store itself, past what public_url "
		           "names; close the bucket unless that is meant");
	} else if (meant) {
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
		ask(s, s->object_url, dif_instance_policy(s->i), on_get);
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

/* --- the site --- */

static const char *field(const struct dif_http_response *r, const char *name)
{
	for (uint32_t i = 0; i < r->nfields; i++) {
		if (strcmp(r->fields[i].name, name) == 0) {
			return r->fields[i].value;
		}
	}
	return NULL;
}

static void tell_site(struct subject *s, const struct dif_http_response *r)
{
	static const char question[] = "public_url";
	const char *to = field(r, "location"), *encoding = field(r, "content-encoding");
	if (s->live == LIVE_NOT) {
		check_tell(s, question, DIF_GO, "answers %d; no cut is live yet", r->status);
	} else if (r->status / 100 == 3) {
		check_tell(s, question, DIF_NO_GO,
		           "answers %d and sends readers to '%.200s'; set public_url to where the "
		           "site itself is",
		           r->status, to != NULL ? to : "");
	} else if (r->status != 200) {
		check_tell(s, question, DIF_NO_GO,
		           "answers %d instead of 200; let it serve index.html for the folder",
		           r->status);
	} else if (encoding != NULL && *encoding != '\0' && strcmp(encoding, "identity") != 0) {
		check_tell(s, question, DIF_NO_GO,
		           "is sent with content encoding '%.40s' that nobody asked for; let it "
		           "compress only for clients that accept it",
		           encoding);
	} else if (!dif_ingest_has_base(r->body.p, (size_t)r->body.n)) {
		check_tell(
			s, question, DIF_NO_GO,
			"answers 200, but the page has no <base; it is not the site's index.html");
	} else {
		check_tell(s, question, DIF_GO, "answers 200 with <base");
	}
}

static void on_site(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	if (r->status == 0) {
		check_fail(s, "public_url", &r->err, NULL);
	} else {
		if (r->tls != NULL) {
			check_tell_tls(s, "public tls", r->tls, r->cert_ends);
		}
		tell_site(s, r);
	}
	check_next(s);
}

/* Whose certificates are believed: those of its own ca_file, else the store's where it is the
 * store that serves, else the system's. */
void check_site(struct subject *s)
{
	const struct dif_destination_config *d = s->d->config;
	const char *p = NULL;
	size_t n = 0;
	if (d->public_url == NULL) {
		check_tell(s, "public_url", DIF_NOT_CHECKED,
		           "is not set; set it in [%s] to where readers find the site", d->section);
		check_next(s);
		return;
	}
	authority_of(d->public_url, &p, &n);
	s->hosts[0] = dif_arena_fmt(&s->arena, "%.*s", (int)n, p);
	s->policy = (struct dif_http_policy){.hosts = s->hosts,
	                                     .ca_file = d->ca_file,
	                                     .private_network = true}; /* the operator's words */
	if (d->ca_file == NULL && is_the_site(s)) {
		s->policy.ca_file = dif_instance_policy(s->i)->ca_file;
	}
	ask(s, d->public_url, &s->policy, on_site);
}
