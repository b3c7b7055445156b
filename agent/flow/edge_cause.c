/* edge_cause - altered bytes: where they begin to differ, and what kind of program does that.
 *
 * What stands between the common beginning and the common end is looked at first for names that
 * only one program writes, then the forms of change are tried in turn: each is a way to make both
 * sides equal again. A guess, and told as one.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "flow/edge_private.h"
#include "flow/ingest.h"

#define MINIFY "minification: Cloudflare Auto Minify, Bunny Optimizer, PageSpeed"
#define CHARSET "charset conversion: nginx charset, Apache mod_xml2enc, an edge function"
#define IMAGES                                                                                 \
	"image optimization: Cloudflare Polish or Mirage, Akamai Image Manager, Fastly Image " \
	"Optimizer, Bunny Optimizer"
#define SCRIPTS                                                                                    \
	"what adds scripts: Cloudflare Rocket Loader, Zaraz or Web Analytics, Akamai mPulse, bot " \
	"protection, monitoring agents"
#define EMAIL "Cloudflare Email Address Obfuscation"

#define NEAR 64 /* bytes before a change that are looked at too */

/* What only one program writes, in lower case. */
static const struct {
	const char *mark, *cause, *feature;
} marks[] = {
	{"__cf_email__", "e-mail addresses hidden", EMAIL},
	{"/cdn-cgi/l/email-protection", "e-mail addresses hidden", EMAIL},
	{"email-decode.min.js", "e-mail addresses hidden", EMAIL},
	{"rocket-loader", "script injected", "Cloudflare Rocket Loader"},
	{"-text/javascript", "script injected", "Cloudflare Rocket Loader"},
	{"mirage2.min.js", "script injected", "Cloudflare Mirage"},
	{"cloudflareinsights.com", "script injected", "Cloudflare Web Analytics, automatic setup"},
	{"/cdn-cgi/zaraz", "script injected", "Cloudflare Zaraz"},
	{"/cdn-cgi/challenge-platform", "script injected",
         "Cloudflare JavaScript Detections (bot management)"},
	{"/cdn-cgi/", "script injected", "Cloudflare: what adds /cdn-cgi/ to pages"},
	{"go-mpulse.net", "script injected", "Akamai mPulse"},
	{"/akam/", "script injected", "Akamai Bot Manager"},
	{"_incapsula_resource", "script injected", "Imperva client classification"},
	{"nreum", "script injected", "New Relic browser agent"},
	{"ruxitagent", "script injected", "Dynatrace real user monitoring"},
	{"msapplication-insights", "script injected", "Azure Application Insights injection"},
	{"pagespeed", "page rewritten", "PageSpeed module"},
	{"newrelic", "script injected", "New Relic browser agent"},
};

/* Both sides, and what they share at the ends. */
struct pair {
	struct dif_bytes want, got;
	uint64_t head, tail;
};

static const char *at(struct dif_bytes b, uint64_t i)
{
	return (const char *)b.p + i;
}

static uint64_t common_head(struct dif_bytes a, struct dif_bytes b)
{
	uint64_t n = a.n < b.n ? a.n : b.n, i = 0;
	while (i < n && *at(a, i) == *at(b, i)) {
		i++;
	}
	return i;
}

static uint64_t common_tail(struct dif_bytes a, struct dif_bytes b, uint64_t head)
{
	uint64_t n = (a.n < b.n ? a.n : b.n) - head, i = 0;
	while (i < n && *at(a, a.n - 1 - i) == *at(b, b.n - 1 - i)) {
		i++;
	}
	return i;
}

static struct dif_bytes middle(struct dif_bytes b, const struct pair *p)
{
	return (struct dif_bytes){at(b, p->head), b.n - p->head - p->tail};
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* What changed, and a little before it: the change may begin with what was there anyway. */
static struct dif_bytes around(struct dif_bytes b, const struct pair *p)
{
	struct dif_bytes m = middle(b, p);
	uint64_t before = p->head < NEAR ? p->head : NEAR;
	return (struct dif_bytes){(const char *)m.p - before, m.n + before};
}

/* what is in lower case. */
static uint64_t count(struct dif_bytes in, const char *what)
{
	size_t n = strlen(what);
	uint64_t found = 0;
	for (uint64_t i = 0; i + n <= in.n; i++) {
		size_t k = 0;
		while (k < n && lower(*at(in, i + k)) == what[k]) {
			k++;
		}
		found += k == n;
	}
	return found;
}

static bool begins(struct dif_bytes b, const char *with, size_t n)
{
	return b.n >= n && memcmp(b.p, with, n) == 0;
}

static bool equal(struct dif_bytes a, struct dif_bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, (size_t)a.n) == 0);
}

static void set(struct edge_cause *to, const char *cause, const char *feature)
{
	to->cause = cause;
	to->feature = feature;
}

/* --- looks --- */

/* A mark that was not there before. */
static bool by_mark(const struct pair *p, struct edge_cause *to)
{
	struct dif_bytes got = around(p->got, p);
	for (size_t i = 0; i < DIF_LEN(marks); i++) {
		if (count(got, marks[i].mark) > 0 && count(p->want, marks[i].mark) == 0) {
			set(to, marks[i].cause, marks[i].feature);
			return true;
		}
	}
	return false;
}

static bool is_image(struct dif_bytes b)
{
	return begins(b, "\x89PNG", 4) || begins(b, "\xff\xd8\xff", 3) || begins(b, "GIF8", 4) ||
	       (begins(b, "RIFF", 4) && b.n >= 12 && memcmp(at(b, 8), "WEBP", 4) == 0) ||
	       (b.n >= 12 && memcmp(at(b, 4), "ftypavif", 8) == 0);
}

static bool is_page(struct dif_bytes b)
{
	static const char *const starts[] = {"<!doctype html", "<html", "<head", "<!--[if"};
	uint64_t i = begins(b, "\xef\xbb\xbf", 3) ? 3 : 0;
	while (i < b.n && strchr(" \t\r\n", *at(b, i)) != NULL) {
		i++;
	}
	for (size_t k = 0; k < DIF_LEN(starts); k++) {
		size_t n = strlen(starts[k]);
		if (b.n - i >= n && strncasecmp(at(b, i), starts[k], n) == 0) {
			return true;
		}
	}
	return false;
}

static bool by_kind(const struct pair *p, struct edge_cause *to)
{
	bool packed = begins(p->got, "\x1f\x8b", 2), should = begins(p->want, "\x1f\x8b", 2);
	if (should && !packed && p->got.n > 0) {
		set(to, "unpacked on the way",
		    "a server that takes names such as *.gz for a content encoding");
	} else if (packed && !should) {
		set(to, "still compressed",
		    "compression at the edge of what is stored compressed, or a lost "
		    "Content-Encoding header");
	} else if (is_image(p->got) && is_image(p->want)) {
		set(to, "image recompressed", IMAGES);
	} else if (is_page(p->got) && !is_page(p->want)) {
		bool entry = dif_ingest_has_base(p->got.p, (size_t)p->got.n);
		set(to, entry ? "the entry page in its place" : "another page in its place",
		    entry ? "a rule that answers what is missing with index.html"
		          : "a challenge, error or maintenance page that is sent with status 200");
	} else {
		return false;
	}
	return true;
}

static bool by_mark_of_order(const struct pair *p, struct edge_cause *to)
{
	static const char bom[] = "\xef\xbb\xbf";
	struct dif_bytes want = p->want, got = p->got;
	bool had = begins(want, bom, 3), has = begins(got, bom, 3);
	if (had == has) {
		return false;
	}
	struct dif_bytes a = {at(want, had ? 3 : 0), want.n - (had ? 3 : 0)};
	struct dif_bytes b = {at(got, has ? 3 : 0), got.n - (has ? 3 : 0)};
	if (!equal(a, b)) {
		return false;
	}
	set(to, has ? "byte order mark added" : "byte order mark removed", CHARSET);
	return true;
}

static bool by_length(const struct pair *p, struct edge_cause *to)
{
	if (p->head < p->got.n || p->got.n >= p->want.n) {
		return false;
	}
	set(to, "cut off", "limits of size or time between the edge and the store; purge it");
	return true;
}

/* --- both sides made equal --- */

/* Appends to a buffer that is large enough. */
struct writer {
	char *p;
	uint64_t n;
};

static void put(struct writer *w, char c)
{
	w->p[w->n++] = c;
}

static void without_cr(struct dif_bytes in, struct writer *w)
{
	for (uint64_t i = 0; i < in.n; i++) {
		if (*at(in, i) != '\r') {
			put(w, *at(in, i));
		}
	}
}

static void without_space(struct dif_bytes in, struct writer *w)
{
	for (uint64_t i = 0; i < in.n; i++) {
		if (memchr(" \t\r\n\f", *at(in, i), 5) == NULL) {
			put(w, *at(in, i));
		}
	}
}

/* Behind a comment that begins at i; i where none does. */
static uint64_t past_comment(struct dif_bytes in, uint64_t i)
{
	static const struct {
		const char *open, *close;
	} kinds[] = {{"/*", "*/"}, {"<!--", "-->"}};
	for (size_t k = 0; k < DIF_LEN(kinds); k++) {
		size_t n = strlen(kinds[k].open), m = strlen(kinds[k].close);
		if (in.n - i >= n && memcmp(at(in, i), kinds[k].open, n) == 0) {
			const char *end =
				memmem(at(in, i + n), (size_t)(in.n - i - n), kinds[k].close, m);
			return end != NULL ? (uint64_t)(end - at(in, 0)) + m : in.n;
		}
	}
	return i;
}

/* What minifiers leave out: spaces, comments, quotes, semicolons. */
static void squeezed(struct dif_bytes in, struct writer *w)
{
	for (uint64_t i = 0; i < in.n; i++) {
		uint64_t past = past_comment(in, i);
		if (past > i) {
			i = past - 1;
		} else if (memchr(" \t\r\n\f\"';", *at(in, i), 8) == NULL) {
			put(w, *at(in, i));
		}
	}
}

static void https_only(struct dif_bytes in, struct writer *w)
{
	for (uint64_t i = 0; i < in.n; i++) {
		put(w, *at(in, i));
		if (w->n >= 7 && memcmp(w->p + w->n - 7, "http://", 7) == 0) {
			memcpy(w->p + w->n - 3, "s://", 4);
			w->n++;
		}
	}
}

/* ISO 8859-1 read as such and written as UTF-8. */
static void as_utf8(struct dif_bytes in, struct writer *w)
{
	for (uint64_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)*at(in, i);
		if (c >= 0x80) {
			put(w, (char)(0xc0 | c >> 6));
			put(w, (char)(0x80 | (c & 0x3f)));
		} else {
			put(w, (char)c);
		}
	}
}

static void as_is(struct dif_bytes in, struct writer *w)
{
	memcpy(w->p, in.p, (size_t)in.n);
	w->n = in.n;
}

typedef void change(struct dif_bytes in, struct writer *w);

/* In turn: the first that makes both sides equal. None makes more than twice the bytes. */
static const struct {
	change *want, *got;
	const char *cause, *feature;
	bool shorter; /* such a change makes it so */
} changes[] = {
	{without_cr, without_cr, "line endings changed", "text conversion at the edge", false},
	{as_utf8, as_is, "charset changed", CHARSET, false},
	{as_is, as_utf8, "charset changed", CHARSET, false},
	{without_space, without_space, "whitespace changed", MINIFY, false},
	{squeezed, squeezed, "minified", MINIFY, true},
	{https_only, as_is, "addresses rewritten", "Cloudflare Automatic HTTPS Rewrites", false},
};

static bool by_change(const struct pair *p, struct edge_cause *to)
{
	struct writer a = {.p = malloc((size_t)(2 * p->want.n + 1))};
	struct writer b = {.p = malloc((size_t)(2 * p->got.n + 1))};
	bool found = false;
	for (size_t i = 0; a.p != NULL && b.p != NULL && i < DIF_LEN(changes) && !found; i++) {
		if (changes[i].shorter && p->got.n >= p->want.n) {
			continue;
		}
		a.n = b.n = 0;
		changes[i].want(p->want, &a);
		changes[i].got(p->got, &b);
		found = equal((struct dif_bytes){a.p, a.n}, (struct dif_bytes){b.p, b.n});
		if (found) {
			set(to, changes[i].cause, changes[i].feature);
		}
	}
	free(a.p);
	free(b.p);
	return found;
}

static void by_shape(const struct pair *p, struct edge_cause *to)
{
	struct dif_bytes got = middle(p->got, p), want = middle(p->want, p);
	if (count(around(p->got, p), "<script") > count(around(p->want, p), "<script")) {
		set(to, "script injected", SCRIPTS);
	} else if (want.n == 0 && count(around(p->got, p), "<!--") > 0) {
		set(to, "comment added", "what signs or times pages: server modules, page caches");
	} else if (want.n == 0) {
		set(to, "bytes inserted", "edge functions and page rules that rewrite bodies");
	} else if (got.n == 0) {
		set(to, "bytes removed", "edge functions and page rules that rewrite bodies");
	} else {
		set(to, "bytes changed", NULL);
	}
}

void edge_find_cause(struct dif_bytes want, struct dif_bytes got, bool whole, struct edge_cause *to)
{
	struct pair p = {.want = want, .got = got, .head = common_head(want, got)};
	p.tail = whole ? common_tail(want, got, p.head) : 0;
	*to = (struct edge_cause){.offset = p.head};
	if (by_mark(&p, to) || by_kind(&p, to) || !whole) {
		return;
	}
	if (!by_mark_of_order(&p, to) && !by_length(&p, to) && !by_change(&p, to)) {
		by_shape(&p, to);
	}
}
