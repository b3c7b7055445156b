#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* The locale must not decide what goes over the wire. */
static const char *const days[7] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[12] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

static int64_t read_ms(clockid_t id)
{
	struct timespec t;
	if (clock_gettime(id, &t) != 0) {
		return 0; /* cannot happen for these two clocks on Linux */
	}
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t dif_steady_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

int64_t dif_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

const char *dif_date(char to[DIF_DATE_MAX], enum dif_date format, int64_t seconds)
{
	time_t at = seconds;
	struct tm t;
	if (format == DIF_DATE_EPOCH || gmtime_r(&at, &t) == NULL) {
		snprintf(to, DIF_DATE_MAX, "%lld", (long long)seconds);
		return to;
	}
	int year = t.tm_year + 1900, month = t.tm_mon + 1;
	switch (format) {
	case DIF_DATE_HTTP:
		snprintf(to, DIF_DATE_MAX, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[t.tm_wday],
		         t.tm_mday, months[t.tm_mon], year, t.tm_hour, t.tm_min, t.tm_sec);
		break;
	case DIF_DATE_ISO_BASIC:
		snprintf(to, DIF_DATE_MAX, "%04d%02d%02dT%02d%02d%02dZ", year, month, t.tm_mday,
		         t.tm_hour, t.tm_min, t.tm_sec);
		break;
	case DIF_DATE_AKAMAI:
		snprintf(to, DIF_DATE_MAX, "%04d%02d%02dT%02d:%02d:%02d+0000", year, month,
		         t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
		break;
	case DIF_DATE_ISO:
	case DIF_DATE_EPOCH: /* answered above */
		snprintf(to, DIF_DATE_MAX, "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, t.tm_mday,
		         t.tm_hour, t.tm_min, t.tm_sec);
		break;
	}
	return to;
}

/* --- reading --- */

struct civil {
	int year, month, day, hour, minute, second;
};

/* Days since 1970 of a date in the Gregorian calendar (years from 1970 on). */
static int64_t day_number(int year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t shifted = month > 2 ? month - 3 : month + 9; /* March is 0: leap days come last */
	return y * 365 + y / 4 - y / 100 + y / 400 + (153 * shifted + 2) / 5 + day - 1 - 719468;
}

static int64_t seconds_of(const struct civil *c)
{
	static const int lengths[12] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (c->year < 1970 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1 ||
	    c->day > lengths[c->month - 1] || c->hour > 23 || c->minute > 59 || c->second > 60) {
		return -1;
	}
	bool leap = c->year % 4 == 0 && (c->year % 100 != 0 || c->year % 400 == 0);
	if (c->month == 2 && c->day == 29 && !leap) {
		return -1;
	}
	return day_number(c->year, c->month, c->day) * 86400 + c->hour * 3600 + c->minute * 60 +
	       c->second;
}

/* Exactly n digits. */
static bool digits(const char **s, int n, int *out)
{
	int v = 0;
	for (int i = 0; i < n; i++) {
		char c = (*s)[i];
		if (c < '0' || c > '9') {
			return false;
		}
		v = v * 10 + (c - '0');
	}
	*s += n;
	*out = v;
	return true;
}

static bool literal(const char **s, const char *what)
{
	size_t n = strlen(what);
	if (strncmp(*s, what, n) != 0) {
		return false;
	}
	*s += n;
	return true;
}

/* Steps over a fraction, if there is one; false: a point without digits. */
static bool fraction(const char **s)
{
	if (**s != '.') {
		return true;
	}
	const char *p = *s + 1;
	while (*p >= '0' && *p <= '9') {
		p++;
	}
	bool some = p > *s + 1;
	*s = p;
	return some;
}

static bool read_http(const char *s, struct civil *c)
{
	size_t i = 0;
	while (i < 7 && strncmp(s, days[i], 3) != 0) {
		i++;
	}
	if (i == 7) {
		return false;
	}
	s += 3;
	if (!literal(&s, ", ") || !digits(&s, 2, &c->day) || !literal(&s, " ")) {
		return false;
	}
	for (c->month = 1; c->month <= 12; c->month++) {
		if (strncmp(s, months[c->month - 1], 3) == 0) {
			break;
		}
	}
	if (c->month > 12) {
		return false;
	}
	s += 3;
	return literal(&s, " ") && digits(&s, 4, &c->year) && literal(&s, " ") &&
	       digits(&s, 2, &c->hour) && literal(&s, ":") && digits(&s, 2, &c->minute) &&
	       literal(&s, ":") && digits(&s, 2, &c->second) && literal(&s, " GMT") && *s == '\0';
}

/* The three ISO forms; the date decides about dashes, the time about colons. */
static bool read_iso(const char *s, struct civil *c)
{
	const char *dash = "", *colon = "";
	if (!digits(&s, 4, &c->year)) {
		return false;
	}
	if (*s == '-') {
		dash = "-";
	}
	if (!literal(&s, dash) || !digits(&s, 2, &c->month) || !literal(&s, dash) ||
	    !digits(&s, 2, &c->day) || !literal(&s, "T") || !digits(&s, 2, &c->hour)) {
		return false;
	}
	if (*s == ':') {
		colon = ":";
	}
	if (!literal(&s, colon) || !digits(&s, 2, &c->minute) || !literal(&s, colon) ||
	    !digits(&s, 2, &c->second) || !fraction(&s)) {
		return false;
	}
	return (literal(&s, "Z") || literal(&s, "+0000") || literal(&s, "+00:00")) && *s == '\0';
}

static int64_t read_epoch(const char *s)
{
	int64_t v = 0;
	const char *p = s;
	for (; *p >= '0' && *p <= '9'; p++) {
		if (v > INT64_MAX / 100) {
			return -1;
		}
		v = v * 10 + (*p - '0');
	}
	if (p == s || !fraction(&p) || *p != '\0') {
		return -1;
	}
	return v;
}

int64_t dif_undate(const char *s)
{
	struct civil c = {0};
	if (s == NULL) {
		return -1;
	}
	if (strlen(s) > 8 && s[8] == 'T') {
		return read_iso(s, &c) ? seconds_of(&c) : -1;
	}
	if (read_http(s, &c) || read_iso(s, &c)) {
		return seconds_of(&c);
	}
	return read_epoch(s);
}

/* --- for people --- */

const char *dif_span(char to[DIF_DATE_MAX], int64_t ms)
{
	long long v = ms < 0 ? 0 : (long long)ms, s = v / 1000;
	if (v < 1000) {
		snprintf(to, DIF_DATE_MAX, "%lld ms", v);
	} else if (s < 60) {
		snprintf(to, DIF_DATE_MAX, "%lld.%lld s", s, v % 1000 / 100);
	} else if (s < 3600) {
		snprintf(to, DIF_DATE_MAX, "%lld min %lld s", s / 60, s % 60);
	} else if (s < 86400) {
		snprintf(to, DIF_DATE_MAX, "%lld h %lld min", s / 3600, s % 3600 / 60);
	} else {
		snprintf(to, DIF_DATE_MAX, "%lld d %lld h", s / 86400, s % 86400 / 3600);
	}
	return to;
}

const char *dif_amount(char to[DIF_DATE_MAX], uint64_t bytes)
{
	static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
	if (bytes < 1000) {
		snprintf(to, DIF_DATE_MAX, "%u B", (unsigned)bytes);
		return to;
	}
	double v = (double)bytes / 1000;
	size_t i = 0;
	while (v >= 999.95 && i + 1 < DIF_LEN(units)) { /* would be printed as 1000.0 */
		v /= 1000;
		i++;
	}
	snprintf(to, DIF_DATE_MAX, "%.1f %s", v, units[i]);
	return to;
}

const char *dif_count(char to[DIF_DATE_MAX], uint64_t n, const char *what)
{
	size_t length = strlen(what);
	bool is_y = length > 0 && what[length - 1] == 'y';
	if (n == 1) {
		snprintf(to, DIF_DATE_MAX, "1 %s", what);
	} else {
		snprintf(to, DIF_DATE_MAX, "%" PRIu64 " %.*s%s", n, (int)(length - is_y), what,
		         is_y ? "ies" : "s");
	}
	return to;
}
