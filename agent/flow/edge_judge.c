/* edge_judge - what an answer means: the status, then the encoding, then whose bytes they are, and
 * one sentence. */
#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/log.h"
#include "base/parse.h"
#include "flow/edge_private.h"

#define TEXT_MAX 200 /* of a peer's header */

const char *dif_edge_verdict_name(uint32_t verdict)
{
	static const char *const names[DIF_EDGE_VERDICTS] = {
		[DIF_EDGE_SAME] = "same",         [DIF_EDGE_STALE] = "stale",
		[DIF_EDGE_NEWER] = "newer",       [DIF_EDGE_ALTERED] = "altered",
		[DIF_EDGE_HEADERS] = "headers",   [DIF_EDGE_MISSING] = "missing",
		[DIF_EDGE_REFUSED] = "refused",   [DIF_EDGE_REDIRECT] = "redirect",
		[DIF_EDGE_STATUS] = "status",     [DIF_EDGE_UNREACHED] = "unreached",
		[DIF_EDGE_CANCELED] = "canceled",
	};
	return verdict < DIF_EDGE_VERDICTS ? names[verdict] : "unknown";
}

/* --- headers --- */

static const char *clean(struct dif_edge_call *c, const char *text)
{
	char *to = dif_arena_alloc(&c->arena, TEXT_MAX + 1);
	if (to == NULL) {
		return "";
	}
	(void)snprintf(to, TEXT_MAX + 1, "%s", text);
	dif_log_clean(to, strlen(to));
	return to;
}

static const char *field(struct dif_edge_call *c, const struct dif_http_response *r,
                         const char *name)
{
	for (uint32_t i = 0; i < r->nfields; i++) {
		if (strcmp(r->fields[i].name, name) == 0) {
			return clean(c, r->fields[i].value);
		}
	}
	return NULL;
}

/* Each CDN tells in its own words whether its cache had it; the most telling first. */
static const char *cache_of(struct dif_edge_call *c, const struct dif_http_response *r)
{
	static const char *const names[] = {"cf-cache-status", "x-cache",      "cdn-cache",
	                                    "x-cache-status",  "cache-status", "x-azure-ref",
	                                    "x-varnish"};
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		const char *value = field(c, r, names[i]);
		if (value != NULL) {
			return dif_arena_fmt(&c->arena, "%s: %s", names[i], value);
		}
	}
	return NULL;
}

static int64_t age_of(const char *text)
{
	int64_t age = -1;
	return text != NULL && dif_parse_int(text, 0, INT32_MAX, &age) ? age : -1;
}

static void take(struct dif_edge_call *c, const struct dif_http_response *r)
{
	struct dif_edge_answer *a = &c->out;
	*a = (struct dif_edge_answer){
		.url = c->ask.url,
		.gzip = c->ask.gzip,
		.status = r->status,
		.offset = -1,
		.text = "",
		.encoding = field(c, r, "content-encoding"),
		.type = field(c, r, "content-type"),
		.location = field(c, r, "location"),
		.cache = cache_of(c, r),
		.via = field(c, r, "via"),
		.server = field(c, r, "server"),
		.age_s = age_of(field(c, r, "age")),
		.tls = r->tls,
		.cert_ends = r->cert_ends,
		.bytes = c->raw.size != 0 ? c->raw.size : r->body.n,
		.size = c->raw.size,
		.ms = a->ms,
		.err = r->err,
	};
}

/* --- whose bytes --- */

static bool is_of(const struct edge_digest *d, const struct dif_member *m)
{
	const struct dif_form *f = &m->form[DIF_IDENTITY];
	if (d->size != m->size) {
		return false;
	}
	return (f->has & DIF_HAS(DIF_SHA256)) != 0
	               ? memcmp(d->sha256, f->sha256, sizeof f->sha256) == 0
	               : d->crc == m->crc;
}

static void judge_other(struct dif_edge_call *c, const struct dif_order *cut)
{
	struct dif_edge_answer *a = &c->out;
	bool newer = c->ask.order != NULL && dif_order_compare(cut, c->ask.order) > 0;
	a->verdict = newer ? DIF_EDGE_NEWER : DIF_EDGE_STALE;
	a->cut = cut;
	a->text = dif_arena_fmt(&c->arena, "it is that of cut %.12s, %s%s%s", cut->sha256,
	                        newer ? "a later one" : "an older one",
	                        a->cache != NULL ? ", " : "", a->cache != NULL ? a->cache : "");
	a->feature = newer ? NULL : "a purge that did not reach it, or a longer life at the edge";
}

static bool is_same_type(const char *a, const char *b)
{
	for (;; a++, b++) {
		a += strspn(a, " ");
		b += strspn(b, " ");
		if (strncasecmp(a, b, 1) != 0) {
			return false;
		}
		if (*a == '\0') {
			return true;
		}
	}
}

static void judge_headers(struct dif_edge_call *c)
{
	struct dif_edge_answer *a = &c->out;
	const char *told = a->type != NULL ? a->type : "none";
	if (c->ask.identity && a->unasked) {
		a->verdict = DIF_EDGE_HEADERS;
		a->text = dif_arena_fmt(&c->arena,
		                        "it is sent with content encoding '%s', which was not "
		                        "asked for: a plain GET does not find <base",
		                        a->encoding);
		a->feature = "compression that does not look at Accept-Encoding";
		return;
	}
	if (c->ask.type == NULL || is_same_type(told, c->ask.type)) {
		return; /* SAME */
	}
	a->verdict = DIF_EDGE_HEADERS;
	a->text = dif_arena_fmt(&c->arena, "Content-Type is '%s', and should be '%s'", told,
	                        c->ask.type);
	a->feature = "rules that set headers at the edge, or a store that makes its own";
}

static bool judge_bytes(struct dif_edge_call *c, const struct edge_digest *d)
{
	struct dif_edge_answer *a = &c->out;
	const struct dif_member *m = c->ask.member;
	a->size = d->size;
	c->unpacked = d == &c->plain;
	if (!c->too_long && is_of(d, m)) {
		judge_headers(c);
		return false;
	}
	for (uint32_t i = 0; !c->too_long && i < c->ask.nothers; i++) {
		const struct dif_member *other = dif_manifest_find(c->ask.others[i], m->path);
		if (other != NULL && is_of(d, other)) {
			judge_other(c, &c->ask.others[i]->order);
			return false;
		}
	}
	a->verdict = DIF_EDGE_ALTERED;
	a->text = c->too_long ? dif_arena_fmt(&c->arena,
	                                      "it has more than %" PRIu64
	                                      " bytes, and should have %" PRIu64,
	                                      c->most, m->size)
	                      : dif_arena_fmt(&c->arena,
	                                      "its bytes are those of no cut known here "
	                                      "(%" PRIu64 ", and should be %" PRIu64 ")",
	                                      d->size, m->size);
	return true;
}

static bool judge_body(struct dif_edge_call *c)
{
	struct dif_edge_answer *a = &c->out;
	const char *e = a->encoding;
	bool identity = e == NULL || *e == '\0' || strcasecmp(e, "identity") == 0;
	bool gzip = !identity && (strcasecmp(e, "gzip") == 0 || strcasecmp(e, "x-gzip") == 0);
	if (c->ask.member == NULL) {
		a->unasked = !identity && !(gzip && c->ask.gzip);
		return false; /* SAME */
	}
	if (identity) {
		return judge_bytes(c, &c->raw);
	}
	a->unasked = !gzip || !c->ask.gzip;
	if (gzip && c->gunzip != NULL &&
	    (c->too_long || (!c->damaged && dif_gunzip_is_whole(c->gunzip)))) {
		return judge_bytes(c, &c->plain);
	}
	a->verdict = DIF_EDGE_ALTERED;
	a->text = gzip ? "its gzip encoding is damaged or cut off"
	               : dif_arena_fmt(&c->arena,
	                               "it is sent with content encoding '%s', which was not asked "
	                               "for",
	                               e);
	a->cause = gzip ? "damaged encoding" : "encoding nobody asked for";
	a->feature = "compression at the edge";
	return false;
}

/* --- the status --- */

static const struct {
	int from, to;
	uint32_t verdict;
} statuses[] = {
	{300, 399, DIF_EDGE_REDIRECT}, {401, 401, DIF_EDGE_REFUSED}, {403, 403, DIF_EDGE_REFUSED},
	{404, 404, DIF_EDGE_MISSING},  {410, 410, DIF_EDGE_MISSING}, {451, 451, DIF_EDGE_REFUSED},
};

static void judge_status(struct dif_edge_call *c)
{
	struct dif_edge_answer *a = &c->out;
	a->verdict = DIF_EDGE_STATUS;
	for (size_t i = 0; i < DIF_LEN(statuses); i++) {
		if (a->status >= statuses[i].from && a->status <= statuses[i].to) {
			a->verdict = statuses[i].verdict;
		}
	}
	if (a->verdict == DIF_EDGE_REDIRECT) {
		a->text = dif_arena_fmt(&c->arena, "it answers %d and leads to '%s'", a->status,
		                        a->location != NULL ? a->location : "");
		a->feature = "redirect rules at the edge: http to https, slashes, hosts, languages";
	} else {
		a->text = dif_arena_fmt(&c->arena, "it answers %d instead of 200%s%s", a->status,
		                        a->cache != NULL ? ", " : "",
		                        a->cache != NULL ? a->cache : "");
	}
	if (a->verdict == DIF_EDGE_MISSING) {
		a->feature = "a 404 that the edge keeps; purge it";
	}
}

bool edge_judge(struct dif_edge_call *c, const struct dif_http_response *r)
{
	struct dif_edge_answer *a = &c->out;
	take(c, r);
	if (c->too_long) {
		a->status = 200; /* the transfer was ended by us */
		dif_error_clear(&a->err);
		return judge_bytes(c, c->raw.size > c->most ? &c->raw : &c->plain);
	}
	if (r->status == 0) {
		a->verdict = DIF_EDGE_UNREACHED;
		a->text = a->err.text;
		return false;
	}
	if (r->status != 200) {
		judge_status(c);
		return false;
	}
	return judge_body(c);
}

void edge_tell_cause(struct dif_edge_call *c)
{
	struct dif_edge_answer *a = &c->out;
	a->offset = (int64_t)c->cause.offset;
	a->cause = c->cause.cause;
	a->feature = c->cause.feature;
	a->text = dif_arena_fmt(&c->arena,
	                        "it differs from byte %" PRId64 " on: %s (%" PRIu64
	                        " bytes, and should be %" PRIu64 ")",
	                        a->offset, a->cause != NULL ? a->cause : "bytes changed", a->size,
	                        c->ask.member->size);
}
