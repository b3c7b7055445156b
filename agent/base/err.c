#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

/* Ends a sentence that did not fit before the code point it was cut in. */
static void trim(char *text, size_t size, int wanted)
{
	if (wanted < 0) {
		text[0] = '\0';
		return;
	}
	if ((size_t)wanted < size) {
		return;
	}
	size_t n = size - 1, back = 0;
	while (back < 3 && back < n && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80) {
		back++;
	}
	unsigned char lead = (unsigned char)text[n - 1 - back];
	size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	if (length != back + 1) {
		text[n - 1 - back] = '\0';
	}
}

DIF_PRINTF(4, 0)
static void put(struct dif_error *err, int exit_code, enum dif_class cls, const char *fmt,
                va_list ap)
{
	/* Into a place of its own first: the arguments may be err's own text. */
	char text[sizeof err->text];
	trim(text, sizeof text, vsnprintf(text, sizeof text, fmt, ap));
	dif_error_clear(err);
	err->cls = cls;
	err->exit = exit_code;
	memcpy(err->text, text, strlen(text) + 1);
}

void dif_error_clear(struct dif_error *err)
{
	if (err != NULL) {
		*err = (struct dif_error){.retry_after = -1};
	}
}

void dif_error_set(struct dif_error *err, enum dif_class cls, const char *fmt, ...)
{
	if (err == NULL) {
		return;
	}
	va_list ap;
	va_start(ap, fmt);
	put(err, 0, cls, fmt, ap);
	va_end(ap);
}

bool dif_error_exit(struct dif_error *err, int exit_code, enum dif_class cls, const char *fmt, ...)
{
	if (err == NULL) {
		return false;
	}
	va_list ap;
	va_start(ap, fmt);
	put(err, exit_code, cls, fmt, ap);
	va_end(ap);
	return false;
}

void dif_error_wrap(struct dif_error *err, const char *fmt, ...)
{
	if (err == NULL) {
		return;
	}
	char head[sizeof err->text], text[sizeof err->text];
	va_list ap;
	va_start(ap, fmt);
	trim(head, sizeof head, vsnprintf(head, sizeof head, fmt, ap));
	va_end(ap);
	int wanted = snprintf(text, sizeof text, "%s: %s", head, err->text);
	trim(text, sizeof text, wanted);
	memcpy(err->text, text, strlen(text) + 1);
}

const char *dif_class_name(enum dif_class cls)
{
	static const char *const names[DIF_CLASSES] = {
		[DIF_OK] = "ok",
		[DIF_TRANSIENT] = "transient",
		[DIF_THROTTLED] = "throttled",
		[DIF_AUTH] = "auth",
		[DIF_NOT_FOUND] = "not-found",
		[DIF_CONFLICT] = "conflict",
		[DIF_PERMANENT] = "permanent",
		[DIF_INTEGRITY] = "integrity",
		[DIF_CANCELED] = "canceled",
	};
	return (unsigned)cls < DIF_CLASSES ? names[cls] : "unknown";
}
