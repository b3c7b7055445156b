/* json_write - JSON for --json, the marker and reports, straight into a buffer. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "host/tree.h"

#define DEPTH_MAX 63 /* a bit of `some` each */

void dif_json_begin(struct dif_json *j, struct dif_buf *out)
{
	*j = (struct dif_json){.out = out};
}

/* One character as it stands inside a string; what is not UTF-8 becomes U+FFFD, because a document
 * that nobody can read helps nobody. Returns how much of p it used. */
static size_t put_char(struct dif_buf *out, const char *p, size_t n)
{
	static const char named[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	uint32_t cp = 0;
	size_t used = dif_utf8_next(p, n, &cp);
	if (used == 0) {
		dif_buf_add(out, "\xef\xbf\xbd", 3);
		return 1;
	}
	for (size_t i = 0; i + 1 < sizeof named; i += 2) {
		if (cp == (unsigned char)named[i]) {
			dif_buf_fmt(out, "\\%c", named[i + 1]);
			return used;
		}
	}
	if (cp < ' ' || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 || cp == 0x2029) {
		dif_buf_fmt(out, "\\u%04x", (unsigned)cp);
		return used;
	}
	dif_buf_add(out, p, used);
	return used;
}

static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

static void put_string(struct dif_buf *out, const char *s)
{
	size_t n = strlen(s);
	dif_buf_add(out, "\"", 1);
	while (n > 0) {
		size_t run = 0;
		while (run < n && is_plain((unsigned char)s[run])) {
			run++;
		}
		dif_buf_add(out, s, run);
		s += run;
		n -= run;
		if (n > 0) {
			size_t used = put_char(out, s, n);
			s += used;
			n -= used;
		}
	}
	dif_buf_add(out, "\"", 1);
}

/* The comma and the name that go before a value. */
static void lead(struct dif_json *j, const char *key)
{
	uint64_t bit = (uint64_t)1 << j->depth;
	if ((j->some & bit) != 0) {
		dif_buf_add(j->out, ",", 1);
	}
	j->some |= bit;
	if (key != NULL) {
		put_string(j->out, key);
		dif_buf_add(j->out, ":", 1);
	}
}

void dif_json_open(struct dif_json *j, const char *key, char bracket)
{
	assert(bracket == '{' || bracket == '[');
	assert(j->depth < DEPTH_MAX);
	lead(j, key);
	dif_buf_add(j->out, &bracket, 1);
	j->depth++;
	j->some &= ~((uint64_t)1 << j->depth);
}

void dif_json_close(struct dif_json *j, char bracket)
{
	assert(bracket == '}' || bracket == ']');
	assert(j->depth > 0);
	dif_buf_add(j->out, &bracket, 1);
	j->depth--;
}

void dif_json_str(struct dif_json *j, const char *key, const char *value)
{
	lead(j, key);
	if (value == NULL) {
		dif_buf_add(j->out, "null", 4);
	} else {
		put_string(j->out, value);
	}
}

void dif_json_int(struct dif_json *j, const char *key, int64_t value)
{
	lead(j, key);
	dif_buf_fmt(j->out, "%" PRId64, value);
}

void dif_json_num(struct dif_json *j, const char *key, double value)
{
	char text[40];
	lead(j, key);
	if (!isfinite(value)) { /* JSON has no word for it */
		dif_buf_add(j->out, "null", 4);
		return;
	}
	/* the shortest that reads back as the same; the locale is never set: a point it is */
	for (int precision = 6; precision <= 17; precision++) {
		double back = 0;
		(void)snprintf(text, sizeof text, "%.*g", precision, value);
		if (sscanf(text, "%lf", &back) == 1 && !(back < value) && !(back > value)) {
			break;
		}
	}
	dif_buf_add(j->out, text, strlen(text));
}

void dif_json_bool(struct dif_json *j, const char *key, bool value)
{
	lead(j, key);
	dif_buf_fmt(j->out, "%s", value ? "true" : "false");
}
