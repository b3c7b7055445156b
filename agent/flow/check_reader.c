/* check_reader - public_url as readers and the authority meet it.
 *
 *   public_url  a plain GET within 10 s: 200, no redirect, no content encoding, a base tag; where
 *               the destination is private: 403 or 404
 *   embed       no header that keeps other sites from showing it in a frame
 *   deep link   a path that is no entry answers with the entry page
 *   ?rand=      readers add it to defeat caches: two values, and the second comes from the cache
 *   cdn, ddos   what stands before the store answers, and what protects it has a name
 */
#include <stdio.h>
#include <strings.h>

#include "base/clock.h"
#include "flow/check_private.h"
#include "flow/ingest.h"
#include "host/engine.h"

#define PAGE_MAX (4u << 20) /* an entry page; real ones have 50 kB */

static void authority_of(const char *url, const char **p, size_t *n)
{
	const char *scheme = strstr(url, "://");
	*p = scheme != NULL ? scheme + 3 : url;
	*n = strcspn(*p, "/?#");
}

void check_get(struct subject *s, const char *url, const struct dif_http_policy *policy,
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

static const char *field(const struct dif_http_response *r, const char *name)
{
	for (uint32_t i = 0; i < r->nfields; i++) {
		if (strcmp(r->fields[i].name, name) == 0) {
			return r->fields[i].value;
		}
	}
	return NULL;
}

/* --- what headers say --- */

/* Who sends which header: the first that is there. value NULL: whatever it says. */
struct sign {
	const char *name, *value, *who;
};
static const struct sign cdns[] = {
	{"cf-ray", NULL, "Cloudflare"},
	{"x-amz-cf-id", NULL, "CloudFront"},
	{"x-azure-ref", NULL, "Azure Front Door"},
	{"x-fastly-request-id", NULL, "Fastly"},
	{"x-served-by", "cache-", "Fastly"},
	{"akamai-grn", NULL, "Akamai"},
	{"x-akamai-request-id", NULL, "Akamai"},
	{"server", "akamai", "Akamai"},
	{"cdn-pullzone", NULL, "Bunny"},
	{"via", "google", "Google Cloud CDN"},
	{"x-varnish", NULL, "Varnish"},
	{"cdn-cache", NULL, "a CDN"},
	{"x-cache", NULL, "a cache"},
	{"x-cache-status", NULL, "a cache"},
	{"cache-status", NULL, "a cache"},
	{"age", NULL, "a cache"},
	{"via", NULL, "a proxy"},
};
static const struct sign stores[] = {
	{"x-amz-request-id", NULL, "S3"},
	{"x-guploader-uploadid", NULL, "Google Cloud Storage"},
	{"x-goog-generation", NULL, "Google Cloud Storage"},
	{"x-ms-request-id", NULL, "Azure Storage"},
	{"x-ms-version", NULL, "Azure Storage"},
};

/* "Cloudflare (cf-ray)", NULL: none of them. */
static const char *find_sign(struct subject *s, const struct dif_http_response *r,
                             const struct sign *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *value = field(r, all[i].name);
		if (value != NULL &&
		    (all[i].value == NULL || strcasestr(value, all[i].value) != NULL)) {
			return dif_arena_fmt(&s->arena, "%s (%s)", all[i].who, all[i].name);
		}
	}
	return NULL;
}

/* What the cache says of itself, in whichever words. */
static uint32_t cached(const struct dif_http_response *r)
{
	static const char *const names[] = {"cf-cache-status", "x-cache", "cdn-cache",
	                                    "x-cache-status", "cache-status"};
	const char *age = field(r, "age");
	bool told = false;
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		const char *value = field(r, names[i]);
		told = told || value != NULL;
		if (value != NULL && strcasestr(value, "hit") != NULL) {
			return SAYS_HIT;
		}
	}
	if (age != NULL && strcmp(age, "0") != 0) {
		return SAYS_HIT;
	}
	return told ? SAYS_MISS : SAYS_NOTHING;
}

/* A header that keeps other sites from showing the page; NULL: none. frame-ancestors counts where
 * both are there (CSP level 2). */
static const char *embed_stop(struct subject *s, const struct dif_http_response *r)
{
	const char *csp = field(r, "content-security-policy");
	const char *frame = field(r, "x-frame-options");
	const char *at = csp != NULL ? strcasestr(csp, "frame-ancestors") : NULL;
	if (at != NULL) {
		const char *value = at + strlen("frame-ancestors");
		size_t n = strcspn(value, ";");
		bool open = memmem(value, n, "*", 1) != NULL || memmem(value, n, "http", 4) != NULL;
		return open ? NULL
		            : dif_arena_fmt(&s->arena, "Content-Security-Policy: %.*s",
		                            (int)(strlen("frame-ancestors") + n), at);
	}
	return frame != NULL ? dif_arena_fmt(&s->arena, "X-Frame-Options: %.40s", frame) : NULL;
}

/* --- public_url --- */

static void tell_private(struct subject *s, const struct dif_http_response *r)
{
	if (r->status == 403 || r->status == 404) {
		check_tell(s, "public_url", DIF_GO, "readers do not get in (%d)", r->status);
	} else {
		check_tell(s, "public_url", DIF_NO_GO,
		           "answers %d, and the destination is private; it has to answer 403 or "
		           "404",
		           r->status);
	}
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
		s->page = true;
		check_tell(s, question, DIF_GO, "answers 200 with <base");
	}
}

static void on_site(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	if (r->status == 0) {
		check_fail(s, "public_url", &r->err, NULL);
		check_next(s);
		return;
	}
	if (r->tls != NULL) {
		check_tell_tls(s, "public tls", r->tls, r->cert_ends);
	}
	s->embed_stop = embed_stop(s, r);
	s->cdn_sign = find_sign(s, r, cdns, DIF_LEN(cdns));
	s->store_sign = find_sign(s, r, stores, DIF_LEN(stores));
	if (s->d->config->is_private) {
		tell_private(s, r);
	} else {
		tell_site(s, r);
	}
	check_next(s);
}

void check_site(struct subject *s)
{
	const struct dif_destination_config *d = s->d->config;
	const char *p = NULL;
	size_t n = 0;
	if (d->public_url == NULL) {
		check_tell(s, "public_url", d->is_private ? DIF_GO : DIF_NOT_CHECKED,
		           d->is_private ? "there is none, and the destination is private"
		                         : "is not set; set it in [%s] to where readers find the "
		                           "site",
		           d->section);
		check_skip_to(s, NULL);
		check_next(s);
		return;
	}
	authority_of(d->public_url, &p, &n);
	s->hosts[0] = dif_arena_fmt(&s->arena, "%.*s", (int)n, p);
	s->policy = (struct dif_http_policy){.hosts = s->hosts,
	                                     .ca_file = d->ca_file,
	                                     .private_network = true}; /* the operator's words */
	check_get(s, d->public_url, &s->policy, on_site);
}

/* --- embed --- */

void check_embed(struct subject *s)
{
	if (!s->page) { /* what was told of public_url stands for all that follows */
		check_skip_to(s, s->d->config->is_private ? NULL : check_protection);
	} else if (s->embed_stop != NULL) {
		check_tell(s, "embed", DIF_WARNING,
		           "other sites cannot show it in a frame ('%s'); take the header away "
		           "where they are meant to",
		           s->embed_stop);
	} else {
		check_tell(s, "embed", DIF_GO, "no header keeps other sites from showing it");
	}
	check_next(s);
}

/* --- deep link --- */

static void on_deep_link(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	const char *path = s->d->config->deep_link;
	if (r->status == 0) {
		check_fail(s, "deep link", &r->err, NULL);
	} else if (r->status != 200) {
		check_tell(s, "deep link", DIF_NO_GO,
		           "'%s' answers %d instead of 200; let what is missing be answered with "
		           "index.html and 200",
		           path, r->status);
	} else if (!dif_ingest_has_base(r->body.p, (size_t)r->body.n)) {
		check_tell(s, "deep link", DIF_NO_GO,
		           "'%s' answers 200, but not with the entry page: there is no <base",
		           path);
	} else {
		check_tell(s, "deep link", DIF_GO, "'%s' answers 200 with the entry page", path);
	}
	check_next(s);
}

void check_deep_link(struct subject *s)
{
	const struct dif_destination_config *d = s->d->config;
	if (d->deep_link == NULL) {
		check_tell(s, "deep link", DIF_NOT_CHECKED,
		           "deep_link is not set in [%s]; name a path that people share",
		           d->section);
		check_next(s);
		return;
	}
	check_get(s, dif_edge_url(&s->arena, d->public_url, d->deep_link), &s->policy,
	          on_deep_link);
}

/* --- ?rand= --- */

static void ask_rand(struct subject *s, const char *more,
                     void (*cb)(void *data, const struct dif_http_response *r))
{
	const char *url =
		dif_arena_fmt(&s->arena, "%s?rand=%s%s", s->d->config->public_url, s->nonce, more);
	check_get(s, url, &s->policy, cb);
}

static void on_second_rand(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	static const char question[] = "?rand=";
	if (r->status != 200) {
		check_tell(s, question, DIF_NO_GO, "it answers %d to ?rand=%s2", r->status,
		           s->nonce);
	} else if (cached(r) == SAYS_HIT) {
		check_tell(s, question, DIF_GO,
		           "does not reach the store: a new value comes from "
		           "the cache");
	} else if (cached(r) == SAYS_MISS || s->cached == SAYS_MISS) {
		check_tell(s, question, DIF_WARNING,
		           "each value reaches the store: readers poll with it; leave the query "
		           "string out of the cache's key");
	} else {
		check_tell(s, question, DIF_NOT_CHECKED,
		           "not proved: no header tells whether the cache had it");
	}
	check_next(s);
}

static void on_first_rand(void *data, const struct dif_http_response *r)
{
	struct subject *s = data;
	s->cached = cached(r);
	ask_rand(s, "2", on_second_rand);
}

void check_rand(struct subject *s)
{
	ask_rand(s, "1", on_first_rand);
}

/* --- what stands before the store --- */

static void tell_cdn(struct subject *s)
{
	static const char question[] = "cdn";
	if (dif_destination_is_store(s->d)) {
		check_tell(s, question, DIF_WARNING,
		           "public_url is the store itself; put a CDN before it and name its "
		           "address");
	} else if (s->cdn_sign != NULL) {
		check_tell(s, question, DIF_GO, "%s answers, not the store", s->cdn_sign);
	} else if (s->store_sign != NULL) {
		check_tell(s, question, DIF_WARNING,
		           "%s itself seems to answer, and no header shows a CDN before it",
		           s->store_sign);
	} else {
		check_tell(s, question, DIF_NOT_CHECKED, "no header tells what answers");
	}
}

static void tell_ddos(struct subject *s, const char *option, const char *layers, const char *named)
{
	if (named == NULL) {
		check_tell(s, "ddos", DIF_WARNING,
		           "nothing is named that protects %s at %s; name it in [%s] as %s",
		           s->d->config->public_url, layers, s->d->config->section, option);
	} else {
		check_tell(s, "ddos", DIF_GO, "%s: %s", layers, named);
	}
}

void check_protection(struct subject *s)
{
	if (s->hosts[0] != NULL) {
		tell_cdn(s);
		tell_ddos(s, "ddos_l34", "layers 3 and 4", s->d->config->ddos_l34);
		tell_ddos(s, "ddos_l7", "layer 7", s->d->config->ddos_l7);
	}
	check_next(s);
}
