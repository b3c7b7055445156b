#include "base/parse.h"

struct unit {
	const char *name;
	int64_t factor;
};

static const struct unit sizes[] = {
	{"", 1},
	{"B", 1},
	{"kB", 1000},
	{"KB", 1000},
	{"MB", 1000000},
	{"GB", 1000000000},
	{"TB", 1000000000000},
	{"KiB", (int64_t)1 << 10},
	{"MiB", (int64_t)1 << 20},
	{"GiB", (int64_t)1 << 30},
	{"TiB", (int64_t)1 << 40},
};

static const struct unit durations[] = {
	{"ms", 1}, {"s", 1000}, {"min", 60000}, {"h", 3600000}, {"d", 86400000},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Digits at s, all that are there, at least one. Returns what follows, or NULL. */
static const char *read_digits(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;
	const char *p = s;
	for (; is_digit(*p); p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		if (v > (max - digit) / 10 || digit > max) {
			return NULL;
		}
		v = v * 10 + digit;
	}
	if (p == s) {
		return NULL;
	}
	*out = v;
	return p;
}

bool dif_parse_uint(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t v;
	const char *end = s != NULL ? read_digits(s, max, &v) : NULL;
	if (end == NULL || *end != '\0') {
		return false;
	}
	*out = v;
	return true;
}

bool dif_parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
	if (s == NULL) {
		return false;
	}
	bool negative = *s == '-';
	if (*s == '-' || *s == '+') {
		s++;
	}
	uint64_t magnitude;
	if (!dif_parse_uint(s, (uint64_t)INT64_MAX + (negative ? 1 : 0), &magnitude)) {
		return false;
	}
	int64_t v = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	if (v < min || v > max) {
		return false;
	}
	*out = v;
	return true;
}

/* NUMBER[.FRACTION] UNIT without a space between. Fractions of the smallest unit are dropped. */
static bool read_amount(const char *s, const struct unit *units, size_t n, int64_t *out)
{
	uint64_t whole, part = 0, scale = 1;
	s = s != NULL ? read_digits(s, INT64_MAX, &whole) : NULL;
	if (s == NULL) {
		return false;
	}
	if (*s == '.') {
		s++;
		if (!is_digit(*s)) {
			return false;
		}
		for (; is_digit(*s); s++) {
			if (scale == 1000000) {
				return false; /* nobody means the seventh place */
			}
			part = part * 10 + (uint64_t)(*s - '0');
			scale *= 10;
		}
	}
	for (size_t i = 0; i < n; i++) {
		if (strcmp(s, units[i].name) == 0) {
			uint64_t factor = (uint64_t)units[i].factor;
			uint64_t small = part * factor / scale; /* < 2^20 * 2^40 */
			if (whole > ((uint64_t)INT64_MAX - small) / factor) {
				return false;
			}
			*out = (int64_t)(whole * factor + small);
			return true;
		}
	}
	return false;
}

static bool within(int64_t v, int64_t min, int64_t max, int64_t *out)
{
	if (v < min || v > max) {
		return false;
	}
	*out = v;
	return true;
}

bool dif_parse_size(const char *s, int64_t min, int64_t max, int64_t *out)
{
	int64_t v;
	return read_amount(s, sizes, DIF_LEN(sizes), &v) && within(v, min, max, out);
}

bool dif_parse_duration(const char *s, int64_t min, int64_t max, int64_t *out)
{
	int64_t v = 0; /* a bare 0 needs no unit */
	if (s == NULL ||
	    (strcmp(s, "0") != 0 && !read_amount(s, durations, DIF_LEN(durations), &v))) {
		return false;
	}
	return within(v, min, max, out);
}

bool dif_parse_bool(const char *s, uint32_t *out)
{
	static const struct {
		const char *word;
		uint32_t value;
	} words[] = {
		{"yes", 1}, {"no", 0},  {"true", 1}, {"false", 0},
		{"on", 1},  {"off", 0}, {"1", 1},    {"0", 0},
	};
	for (size_t i = 0; s != NULL && i < DIF_LEN(words); i++) {
		if (strcmp(s, words[i].word) == 0) {
			*out = words[i].value;
			return true;
		}
	}
	return false;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool dif_parse_hex(const char *s, void *to, size_t n)
{
	if (s == NULL || strlen(s) / 2 != n || strlen(s) % 2 != 0) {
		return false;
	}
	for (size_t i = 0; i < 2 * n; i++) {
		if (nibble(s[i]) < 0) {
			return false;
		}
	}
	unsigned char *bytes = to;
	for (size_t i = 0; i < n; i++) {
		bytes[i] = (unsigned char)(nibble(s[2 * i]) << 4 | nibble(s[2 * i + 1]));
	}
	return true;
}

void dif_hex(char *to, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = p;
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = digits[bytes[i] >> 4];
		to[2 * i + 1] = digits[bytes[i] & 15];
	}
	to[2 * n] = '\0';
}
