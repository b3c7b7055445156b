/* encode - the encodings that protocols are made of, into an arena.
 *
 * Encoders measure first and write once: a table tells for each byte how much room it takes.
 * Decoders are strict: what is not exactly the encoding is malformed, never guessed.
 */
#include <stdio.h>

#include "base/parse.h"
#include "host/crypto.h"

#define INPUT_MAX ((size_t)1 << 26) /* so that no size below can wrap */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789+/";
static const char base64url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				       "0123456789-_";

static const char *base64(struct dif_arena *a, const uint8_t *p, size_t n, bool url)
{
	const char *digits = url ? base64url_digits : base64_digits;
	char *to = dif_arena_alloc(a, (n + 2) / 3 * 4 + 1);
	if (to == NULL) {
		return "";
	}
	char *at = to;
	for (; n >= 3; n -= 3, p += 3) {
		*at++ = digits[p[0] >> 2];
		*at++ = digits[(p[0] & 3) << 4 | p[1] >> 4];
		*at++ = digits[(p[1] & 15) << 2 | p[2] >> 6];
		*at++ = digits[p[2] & 63];
	}
	if (n > 0) {
		unsigned second = n == 2 ? p[1] : 0;
		*at++ = digits[p[0] >> 2];
		*at++ = digits[(p[0] & 3u) << 4 | second >> 4];
		if (n == 2) {
			*at++ = digits[(second & 15) << 2];
		}
		while (!url && (at - to) % 4 != 0) {
			*at++ = '=';
		}
	}
	*at = '\0';
	return to;
}

static bool is_unreserved(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

static size_t percent_one(char to[8], uint8_t c, bool slash)
{
	static const char digits[] = "0123456789ABCDEF";
	if (is_unreserved(c) || (slash && c == '/')) {
		to[0] = (char)c;
		return 1;
	}
	to[0] = '%';
	to[1] = digits[c >> 4];
	to[2] = digits[c & 15];
	return 3;
}

static size_t put(char to[8], const char *text)
{
	size_t n = strlen(text);
	memcpy(to, text, n);
	return n;
}

/* Control characters become references although XML 1.0 has no room for most of them: the peer
 * refuses one, it never reads another name. */
static size_t xml_one(char to[8], uint8_t c)
{
	switch (c) {
	case '&':
		return put(to, "&amp;");
	case '<':
		return put(to, "&lt;");
	case '>':
		return put(to, "&gt;");
	case '"':
		return put(to, "&quot;");
	case '\'':
		return put(to, "&#39;");
	default:
		break;
	}
	if (c >= ' ' && c != 0x7f) {
		to[0] = (char)c;
		return 1;
	}
	return (size_t)snprintf(to, 8, "&#%u;", c);
}

static size_t json_one(char to[8], uint8_t c)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	for (size_t i = 0; i + 1 < sizeof named; i += 2) {
		if (c == (uint8_t)named[i]) {
			to[0] = '\\';
			to[1] = named[i + 1];
			return 2;
		}
	}
	if (c >= ' ' && c != 0x7f) {
		to[0] = (char)c;
		return 1;
	}
	return (size_t)snprintf(to, 8, "\\u%04x", c);
}

static size_t one(char to[8], enum dif_enc enc, uint8_t c)
{
	switch (enc) {
	case DIF_XML:
		return xml_one(to, c);
	case DIF_JSON:
		return json_one(to, c);
	default:
		return percent_one(to, c, enc == DIF_PATH);
	}
}

static const char *escape(struct dif_arena *a, enum dif_enc enc, const uint8_t *p, size_t n)
{
	char piece[8];
	size_t room = 1;
	for (size_t i = 0; i < n; i++) {
		room += one(piece, enc, p[i]);
	}
	char *to = dif_arena_alloc(a, room);
	if (to == NULL) {
		return "";
	}
	char *at = to;
	for (size_t i = 0; i < n; i++) {
		size_t k = one(piece, enc, p[i]);
		memcpy(at, piece, k);
		at += k;
	}
	*at = '\0';
	return to;
}

const char *dif_encode(struct dif_arena *a, enum dif_enc enc, const void *p, size_t n)
{
	if (n > INPUT_MAX) {
		a->failed = true;
		return "";
	}
	switch (enc) {
	case DIF_HEX: {
		char *to = dif_arena_alloc(a, 2 * n + 1);
		if (to == NULL) {
			return "";
		}
		dif_hex(to, p, n);
		return to;
	}
	case DIF_BASE64:
	case DIF_BASE64URL:
		return base64(a, p, n, enc == DIF_BASE64URL);
	case DIF_PATH:
	case DIF_QUERY:
	case DIF_XML:
	case DIF_JSON:
		return escape(a, enc, p, n);
	}
	a->failed = true;
	return "";
}

/* --- back --- */

static const struct dif_bytes malformed;

static int base64_value(char c, bool url)
{
	const char *digits = url ? base64url_digits : base64_digits;
	const char *at = c != '\0' ? memchr(digits, c, 64) : NULL;
	return at != NULL ? (int)(at - digits) : -1;
}

static struct dif_bytes from_base64(struct dif_arena *a, const char *s, size_t n, bool url)
{
	if (!url) {
		if (n % 4 != 0) {
			return malformed;
		}
		for (int i = 0; i < 2 && n > 0 && s[n - 1] == '='; i++) {
			n--;
		}
	}
	if (n % 4 == 1) {
		return malformed;
	}
	uint8_t *to = dif_arena_alloc(a, n / 4 * 3 + 4);
	if (to == NULL) {
		return malformed;
	}
	uint32_t bits = 0, have = 0;
	size_t used = 0;
	for (size_t i = 0; i < n; i++) {
		int v = base64_value(s[i], url);
		if (v < 0) {
			return malformed;
		}
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have >= 8) {
			have -= 8;
			to[used++] = (uint8_t)(bits >> have);
		}
	}
	if ((bits & ((1u << have) - 1)) != 0) {
		return malformed; /* bits left over: two texts for the same bytes */
	}
	return (struct dif_bytes){to, used};
}

static struct dif_bytes from_hex(struct dif_arena *a, const char *s, size_t n)
{
	uint8_t *to = n % 2 == 0 ? dif_arena_alloc(a, n / 2 + 1) : NULL;
	if (to == NULL || !dif_parse_hex(s, to, n / 2)) {
		return malformed;
	}
	return (struct dif_bytes){to, n / 2};
}

static struct dif_bytes from_percent(struct dif_arena *a, const char *s, size_t n, bool plus)
{
	char *to = dif_arena_alloc(a, n + 1);
	size_t used = 0;
	for (size_t i = 0; to != NULL && i < n; i++) {
		if (s[i] == '%') {
			char pair[3] = {0};
			memcpy(pair, s + i + 1, n - i > 2 ? 2 : 0);
			if (!dif_parse_hex(pair, to + used, 1)) {
				return malformed;
			}
			used++;
			i += 2;
		} else {
			to[used++] = plus && s[i] == '+' ? ' ' : s[i];
		}
	}
	return to != NULL ? (struct dif_bytes){to, used} : malformed;
}

struct dif_bytes dif_decode(struct dif_arena *a, enum dif_enc enc, const char *s)
{
	size_t n = s != NULL ? strlen(s) : 0;
	if (s == NULL || n > INPUT_MAX) {
		return malformed;
	}
	switch (enc) {
	case DIF_HEX:
		return from_hex(a, s, n);
	case DIF_BASE64:
	case DIF_BASE64URL:
		return from_base64(a, s, n, enc == DIF_BASE64URL);
	case DIF_PATH:
	case DIF_QUERY:
		return from_percent(a, s, n, enc == DIF_QUERY);
	default:
		return malformed;
	}
}
