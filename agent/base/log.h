/* log - one event, one line, key=value, on standard error.
 *
 *   2026-06-07T20:00:01.123Z info  put  destination=eu object="app.4f1c.js" attempt=2
 *
 * Control characters, invalid UTF-8 and quotes in values are escaped. Any thread. A failed write
 * never stops the program.
 */
#ifndef DIF_BASE_LOG_H
#define DIF_BASE_LOG_H

#include <difusor/plugin.h>

enum dif_log_level { DIF_LOG_DEBUG, DIF_LOG_INFO, DIF_LOG_WARNING, DIF_LOG_ERROR, DIF_LOG_OFF };

void dif_log_level(enum dif_log_level least);
/* Called with the finished line before it is written; may change it in place (it is max bytes
 * long). Host/secret sets it. */
void dif_log_filter(void (*filter)(char *line, size_t max));
/* event: one word, [a-z_]. fmt makes further "key=value" pairs; values that may hold anything go
 * through DIF_Q. */
void dif_log(enum dif_log_level level, const char *event, const char *fmt, ...) DIF_PRINTF(3, 4);

/* Quotes a value for a log line into one of a few thread-local buffers: valid until eight more
 * calls. */
const char *dif_q(const char *value);

/* Puts ? in place of what could end a line, move the cursor of a terminal or turn text around, and
 * of invalid UTF-8. */
void dif_log_clean(char *line, size_t n);

#endif
