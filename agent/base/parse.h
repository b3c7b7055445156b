/* parse - numbers, sizes, durations and booleans from text, each with its bounds. False leaves *out
 * untouched. */
#ifndef DIF_BASE_PARSE_H
#define DIF_BASE_PARSE_H

#include <difusor/plugin.h>

bool dif_parse_int(const char *s, int64_t min, int64_t max,
                   int64_t *out); /* decimal, sign allowed, nothing behind */
bool dif_parse_uint(const char *s, uint64_t max, uint64_t *out);
bool dif_parse_size(const char *s, int64_t min, int64_t max,
                    int64_t *out); /* bytes: 900, 64KiB, 512MiB, 5GB, 1.5GiB */
bool dif_parse_duration(const char *s, int64_t min, int64_t max,
                        int64_t *out);                 /* ms: 250ms, 15s, 10min, 24h, 7d */
bool dif_parse_bool(const char *s, uint32_t *out);     /* yes no true false on off 1 0 */
bool dif_parse_hex(const char *s, void *to, size_t n); /* exactly 2n digits, either case */
void dif_hex(char *to, const void *p, size_t n);       /* 2n digits, lower case, and a NUL */

#endif
