/* utf8 - validity only; names and logs need it. Normalization is in flow/name. */
#ifndef DIF_BASE_UTF8_H
#define DIF_BASE_UTF8_H

#include <difusor/plugin.h>

/* Decodes one code point; returns its length 1..4, or 0 where the bytes are no valid UTF-8
 * (overlong and surrogates are not). */
size_t dif_utf8_next(const char *p, size_t n, uint32_t *cp);
bool dif_utf8_valid(const char *p, size_t n);

#endif
