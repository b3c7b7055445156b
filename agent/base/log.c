/* log - one event, one line.
 *
 * A line is made in a place of its own and leaves in a single write of at most PIPE_BUF bytes, so
 * lines of several threads never mix, not even in a pipe, and no lock is needed.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/utf8.h"

#define LINE_MAX_BYTES 4096u /* PIPE_BUF on Linux */
#define VALUE_MAX 1024u      /* longer values say nothing more; the line must hold several */
#define VALUES 8u            /* as many dif_q results live side by side */

static _Atomic int least_level = DIF_LOG_INFO;
static void (*_Atomic line_filter)(char *, size_t);

void dif_log_level(enum dif_log_level least)
{
	atomic_store(&least_level, (int)least);
}

void dif_log_filter(void (*filter)(char *line, size_t max))
{
	atomic_store(&line_filter, filter);
}

/* What could move the cursor, end the line, or turn the order of the text around. */
static bool is_odd(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || (cp >= 0x2028 && cp <= 0x202e) ||
	       (cp >= 0x2066 && cp <= 0x2069) || cp == 0x200e || cp == 0x200f;
}

void dif_log_clean(char *line, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t used = dif_utf8_next(line + i, n - i, &cp);
		if (used == 0) {
			line[i++] = '?';
			continue;
		}
		if (is_odd(cp)) {
			memset(line + i, '?', used);
		}
		i += used;
	}
}

static void write_line(const char *line, size_t n)
{
	while (n > 0) {
		ssize_t done = write(STDERR_FILENO, line, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) {
			return; /* nobody is left to be told */
		}
		line += done;
		n -= (size_t)done;
	}
}

/* Appends to a line of LINE_MAX_BYTES; what does not fit is cut. */
static size_t append(char *line, size_t at, int wanted)
{
	size_t room = LINE_MAX_BYTES - 1 - at;
	if (wanted < 0) {
		line[at] = '\0';
		return at;
	}
	return at + ((size_t)wanted < room ? (size_t)wanted : room - 1);
}

void dif_log(enum dif_log_level level, const char *event, const char *fmt, ...)
{
	static const char *const names[] = {"debug", "info", "warn", "error"};
	if ((int)level < atomic_load(&least_level) || level >= DIF_LOG_OFF) {
		return;
	}
	int keep = errno;
	char line[LINE_MAX_BYTES], date[DIF_DATE_MAX];
	int64_t now = dif_wall_ms();
	dif_date(date, DIF_DATE_ISO, now / 1000);
	date[strlen(date) - 1] = '\0'; /* the Z comes behind the milliseconds */
	size_t n = append(line, 0,
	                  snprintf(line, sizeof line - 1, "%s.%03dZ %-5s %s  ", date,
	                           (int)(now % 1000), names[level], event));
	va_list ap;
	va_start(ap, fmt);
	n = append(line, n, vsnprintf(line + n, sizeof line - 1 - n, fmt, ap));
	va_end(ap);
	void (*filter)(char *, size_t) = atomic_load(&line_filter);
	if (filter != NULL) {
		filter(line, sizeof line - 1);
		n = strnlen(line, sizeof line - 1);
	}
	while (n > 0 && line[n - 1] == ' ') {
		n--;
	}
	dif_log_clean(line, n); /* whatever the caller put into it without dif_q */
	line[n++] = '\n';
	write_line(line, n);
	errno = keep;
}

/* --- values --- */

static size_t escape(char to[8], const char *p, size_t used, uint32_t cp)
{
	int n = 0;
	if (used == 0) {
		n = snprintf(to, 8, "\\x%02x", (unsigned)(unsigned char)*p);
	} else if (cp == '"' || cp == '\\') {
		n = snprintf(to, 8, "\\%c", (char)cp);
	} else if (cp == '\n' || cp == '\r' || cp == '\t') {
		n = snprintf(to, 8, "\\%c", cp == '\n' ? 'n' : cp == '\r' ? 'r' : 't');
	} else if (is_odd(cp)) {
		n = snprintf(to, 8, "\\u%04x", (unsigned)cp);
	} else {
		memcpy(to, p, used);
		n = (int)used;
	}
	return (size_t)n;
}

const char *dif_q(const char *value)
{
	static _Thread_local char values[VALUES][VALUE_MAX];
	static _Thread_local unsigned turn;
	char *to = values[turn++ % VALUES];
	const char *p = value != NULL ? value : "";
	size_t left = strlen(p), n = 0;
	to[n++] = '"';
	while (left > 0) {
		char piece[8];
		uint32_t cp = 0;
		size_t used = dif_utf8_next(p, left, &cp);
		size_t length = escape(piece, p, used, cp);
		if (n + length + sizeof "...\"" > VALUE_MAX) {
			memcpy(to + n, "...", 3);
			n += 3;
			break;
		}
		memcpy(to + n, piece, length);
		n += length;
		used = used > 0 ? used : 1;
		p += used;
		left -= used;
	}
	to[n++] = '"';
	to[n] = '\0';
	return to;
}
