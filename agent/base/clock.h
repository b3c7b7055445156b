/* clock - the two clocks, and times as text. Timers use the steady one, signatures and logs the
 * wall one. */
#ifndef DIF_BASE_CLOCK_H
#define DIF_BASE_CLOCK_H

#include <difusor/plugin.h>

int64_t dif_steady_ms(void); /* CLOCK_BOOTTIME: runs on while suspended */
int64_t dif_wall_ms(void);   /* milliseconds since 1970 */

#define DIF_DATE_MAX 40
/* Writes the time in one of the formats of plugin.h; returns to. */
const char *dif_date(char to[DIF_DATE_MAX], enum dif_date format, int64_t seconds);
/* Reads any of those formats, fractions of a second allowed; -1: it is none. */
int64_t dif_undate(const char *s);
/* "1.2 s", "340 ms", "3 min 20 s": for people. */
const char *dif_span(char to[DIF_DATE_MAX], int64_t ms);
/* "1 object", "2 objects", "2 entries": for people. what is singular. */
const char *dif_count(char to[DIF_DATE_MAX], uint64_t n, const char *what);
/* "81.4 MB" (powers of ten, as clouds bill): for people. */
const char *dif_amount(char to[DIF_DATE_MAX], uint64_t bytes);

#endif
