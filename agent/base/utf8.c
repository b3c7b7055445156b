#include "base/utf8.h"

size_t dif_utf8_next(const char *p, size_t n, uint32_t *cp)
{
	const unsigned char *s = (const unsigned char *)p;
	if (n == 0) {
		return 0;
	}
	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || length > n) {
		return 0;
	}
	uint32_t v = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80) {
			return 0;
		}
		v = v << 6 | (s[i] & 0x3fu);
	}
	if (v < least[length] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) {
		return 0;
	}
	*cp = v;
	return length;
}

bool dif_utf8_valid(const char *p, size_t n)
{
	uint32_t cp;
	for (size_t i = 0; i < n;) {
		size_t used = dif_utf8_next(p + i, n - i, &cp);
		if (used == 0) {
			return false;
		}
		i += used;
	}
	return true;
}
