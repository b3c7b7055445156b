#include "support.h"

#include "base/utf8.h"

static size_t encode(char to[4], uint32_t cp)
{
	if (cp < 0x80) {
		to[0] = (char)cp;
		return 1;
	}
	size_t n = cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4;
	static const unsigned char lead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
	for (size_t i = n - 1; i > 0; i--) {
		to[i] = (char)(0x80 | (cp & 0x3f));
		cp >>= 6;
	}
	to[0] = (char)(lead[n] | cp);
	return n;
}

TEST(every_code_point_is_read_and_surrogates_are_not)
{
	UNUSED_STATE;
	for (uint32_t cp = 0; cp <= 0x110000; cp++) {
		char text[4];
		uint32_t got = 0;
		size_t n = encode(text, cp);
		bool valid = cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
		size_t used = dif_utf8_next(text, n, &got);
		if (used != (valid ? n : 0) || (valid && got != cp)) {
			fail_msg("U+%04X was read wrongly", cp);
		}
		if (n > 1 && dif_utf8_next(text, n - 1, &got) != 0) {
			fail_msg("U+%04X was read although it is cut", cp);
		}
	}
}

TEST(overlong_and_stray_bytes_are_refused)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"\x80",
		"\xc0\x80",
		"\xc1\xbf",
		"\xe0\x80\x80",
		"\xe0\x9f\xbf",
		"\xf0\x80\x80\x80",
		"\xf0\x8f\xbf\xbf",
		"\xf8\x88\x80\x80\x80",
		"\xff",
		"a\xc3",
		"\xc3(",
		"\xe2\x82(",
		"\xf4\x90\x80\x80",
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_false(dif_utf8_valid(bad[i], strlen(bad[i])));
	}
	assert_true(dif_utf8_valid("", 0));
	assert_true(dif_utf8_valid("\0", 1));
	assert_true(dif_utf8_valid("Yucat\xc3\xa1n", 9));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_code_point_is_read_and_surrogates_are_not),
		cmocka_unit_test(overlong_and_stray_bytes_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
