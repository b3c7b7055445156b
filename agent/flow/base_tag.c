/* base_tag - looks for a `<base` with a href as a browser would find it.
 *
 * Only tags count: what stands in comments, in scripts and styles, in titles, in attribute values
 * and in templates is text. Any encoding in which the tag reads as ASCII will do; UTF-16 will not,
 * because the authority's plain search for `<base` would not find it either.
 */
#include <string.h>
#include <strings.h>

#include "flow/ingest.h"

struct html {
	const char *at, *end;
};

/* Elements whose content is not markup, or is not part of the page. */
static const char *const opaque[] = {"script",   "style",    "title",    "textarea",
                                     "noscript", "template", "iframe",   "noframes",
                                     "noembed",  "xmp",      "plaintext"};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void skip_past(struct html *h, const char *what)
{
	size_t n = strlen(what);
	const char *found = memmem(h->at, (size_t)(h->end - h->at), what, n);
	h->at = found != NULL ? found + n : h->end;
}

/* h->at is behind `<!--`. A comment ends at `-->` or `--!>`; `<!-->` and `<!--->` are whole. */
static void skip_comment(struct html *h)
{
	const char *p = h->at;
	size_t left = (size_t)(h->end - p);
	if (left >= 1 && p[0] == '>') {
		h->at = p + 1;
		return;
	}
	if (left >= 2 && p[0] == '-' && p[1] == '>') {
		h->at = p + 2;
		return;
	}
	for (; (p = memmem(p, (size_t)(h->end - p), "--", 2)) != NULL; p++) {
		left = (size_t)(h->end - p);
		if (left >= 3 && p[2] == '>') {
			h->at = p + 3;
			return;
		}
		if (left >= 4 && p[2] == '!' && p[3] == '>') {
			h->at = p + 4;
			return;
		}
	}
	h->at = h->end;
}

/* The name at h->at: up to a space, a slash, an end or, for attributes, an equals sign. */
static size_t take_word(struct html *h, const char **word, bool attribute)
{
	*word = h->at;
	while (h->at < h->end && !is_space(*h->at) && *h->at != '/' && *h->at != '>' &&
	       !(attribute && *h->at == '=' && h->at > *word)) {
		h->at++;
	}
	return (size_t)(h->at - *word);
}

static bool is_word(const char *word, size_t n, const char *what)
{
	return n == strlen(what) && strncasecmp(word, what, n) == 0;
}

static void skip_spaces(struct html *h)
{
	while (h->at < h->end && is_space(*h->at)) {
		h->at++;
	}
}

/* Behind an attribute's name. True: there is a value. */
static bool skip_value(struct html *h)
{
	skip_spaces(h);
	if (h->at == h->end || *h->at != '=') {
		return false;
	}
	h->at++;
	skip_spaces(h);
	if (h->at < h->end && (*h->at == '"' || *h->at == '\'')) {
		const char quote[2] = {*h->at++, '\0'};
		skip_past(h, quote);
		return true;
	}
	const char *from = h->at;
	while (h->at < h->end && !is_space(*h->at) && *h->at != '>') {
		h->at++;
	}
	return h->at > from;
}

/* Behind a tag's name, to behind its `>`. True: it has a href, and the tag is whole. */
static bool skip_attributes(struct html *h)
{
	bool href = false;
	while (h->at < h->end) {
		if (is_space(*h->at) || *h->at == '/') {
			h->at++;
			continue;
		}
		if (*h->at == '>') {
			h->at++;
			return href;
		}
		const char *word;
		size_t n = take_word(h, &word, true);
		bool value = skip_value(h);
		href = href || (value && is_word(word, n, "href"));
	}
	return false;
}

/* To behind `</NAME`, which a space, a slash or `>` follows. */
static void skip_element(struct html *h, const char *name)
{
	size_t n = strlen(name);
	while (h->at < h->end) {
		skip_past(h, "</");
		if ((size_t)(h->end - h->at) > n && strncasecmp(h->at, name, n) == 0 &&
		    (is_space(h->at[n]) || h->at[n] == '/' || h->at[n] == '>')) {
			h->at += n;
			skip_past(h, ">");
			return;
		}
	}
}

/* At a letter behind `<`. True: it is the tag that is looked for. */
static bool take_tag(struct html *h)
{
	const char *word;
	size_t n = take_word(h, &word, false);
	if (skip_attributes(h) && is_word(word, n, "base")) {
		return true;
	}
	for (size_t i = 0; i < sizeof opaque / sizeof opaque[0]; i++) {
		if (is_word(word, n, opaque[i])) {
			skip_element(h, opaque[i]);
			break;
		}
	}
	return false;
}

bool dif_ingest_has_base(const char *html, size_t n)
{
	struct html h = {.at = html, .end = html + n};
	if (n == 0 || memchr(html, '\0', n) != NULL) { /* UTF-16 is full of NULs */
		return false;
	}
	while (h.at < h.end) {
		skip_past(&h, "<");
		size_t left = (size_t)(h.end - h.at);
		if (left >= 3 && memcmp(h.at, "!--", 3) == 0) {
			h.at += 3;
			skip_comment(&h);
		} else if (left >= 1 && (*h.at == '!' || *h.at == '?' || *h.at == '/')) {
			skip_past(&h, ">");
		} else if (left >= 1 && is_letter(*h.at) && take_tag(&h)) {
			return true;
		}
	}
	return false;
}
