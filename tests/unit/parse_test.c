#include "support.h"

#include "base/parse.h"

#define ASSERT_INT(text, want)                                                \
	do {                                                                  \
		int64_t got = 4711;                                           \
		assert_true(dif_parse_int(text, INT64_MIN, INT64_MAX, &got)); \
		assert_int_equal(got, want);                                  \
	} while (0)

TEST(whole_numbers)
{
	UNUSED_STATE;
	ASSERT_INT("0", 0);
	ASSERT_INT("-7", -7);
	ASSERT_INT("+7", 7);
	ASSERT_INT("9223372036854775807", INT64_MAX);
	ASSERT_INT("-9223372036854775808", INT64_MIN);
	static const char *const bad[] = {
		"",
		"-",
		"+",
		" 1",
		"1 ",
		"1x",
		"0x10",
		"--1",
		"9223372036854775808",
		"-9223372036854775809",
		"99999999999999999999999999",
		"1.0",
	};
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		int64_t v = 4711;
		if (dif_parse_int(bad[i], INT64_MIN, INT64_MAX, &v) || v != 4711) {
			fail_msg("'%s' was taken", bad[i]);
		}
	}
	int64_t v = 4711;
	assert_false(dif_parse_int("11", 0, 10, &v));
	assert_false(dif_parse_int("-1", 0, 10, &v));
	assert_false(dif_parse_int(NULL, 0, 10, &v));
	assert_int_equal(v, 4711);
}

TEST(numbers_without_a_sign)
{
	UNUSED_STATE;
	uint64_t v = 0;
	assert_true(dif_parse_uint("18446744073709551615", UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
	assert_false(dif_parse_uint("18446744073709551616", UINT64_MAX, &v));
	assert_false(dif_parse_uint("+1", UINT64_MAX, &v));
	assert_false(dif_parse_uint("9", 8, &v));
	assert_true(dif_parse_uint("8", 8, &v));
	assert_false(dif_parse_uint("80", 8, &v));
	assert_int_equal(v, 8);
}

TEST(sizes)
{
	UNUSED_STATE;
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {
		{"900", 900},
		{"64KiB", 65536},
		{"512MiB", 536870912},
		{"5GB", 5000000000},
		{"1.5GiB", 1610612736},
		{"0.000001MB", 1},
		{"1kB", 1000},
		{"3B", 3},
		{"2TiB", 2199023255552},
	};
	for (size_t i = 0; i < DIF_LEN(good); i++) {
		int64_t v = -1;
		assert_true(dif_parse_size(good[i].text, 0, INT64_MAX, &v));
		assert_int_equal(v, good[i].want);
	}
	static const char *const bad[] = {"",   "KiB",  "-1",      "1 KiB",        "1kib",
	                                  "1.", ".5GB", "1.5.5GB", "1.00000001GB", "9223373TB",
	                                  "5g"};
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		int64_t v = 4711;
		if (dif_parse_size(bad[i], 0, INT64_MAX, &v) || v != 4711) {
			fail_msg("'%s' was taken", bad[i]);
		}
	}
}

TEST(durations)
{
	UNUSED_STATE;
	static const struct {
		const char *text;
		int64_t want;
	} good[] = {
		{"250ms", 250},    {"15s", 15000}, {"10min", 600000}, {"24h", 86400000},
		{"7d", 604800000}, {"1.5s", 1500}, {"0", 0},
	};
	for (size_t i = 0; i < DIF_LEN(good); i++) {
		int64_t v = -1;
		assert_true(dif_parse_duration(good[i].text, 0, INT64_MAX, &v));
		assert_int_equal(v, good[i].want);
	}
	static const char *const bad[] = {"", "15", "15m", "s", "1h30min", "-1s", "1 s"};
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		int64_t v = 4711;
		if (dif_parse_duration(bad[i], 0, INT64_MAX, &v) || v != 4711) {
			fail_msg("'%s' was taken", bad[i]);
		}
	}
	int64_t v = 4711;
	assert_false(dif_parse_duration("11s", 0, 10000, &v));
	assert_false(dif_parse_duration("0", 1, 10000, &v));
	assert_int_equal(v, 4711);
}

TEST(booleans)
{
	UNUSED_STATE;
	uint32_t v = 7;
	assert_true(dif_parse_bool("yes", &v) && v == 1);
	assert_true(dif_parse_bool("off", &v) && v == 0);
	assert_false(dif_parse_bool("Yes", &v));
	assert_false(dif_parse_bool("", &v));
	assert_false(dif_parse_bool("2", &v));
	assert_int_equal(v, 0);
}

TEST(hex_both_ways)
{
	UNUSED_STATE;
	unsigned char to[3] = {9, 9, 9};
	char text[7];
	assert_true(dif_parse_hex("00fFa1", to, 3));
	assert_memory_equal(to, "\x00\xff\xa1", 3);
	dif_hex(text, to, 3);
	assert_string_equal(text, "00ffa1");
	assert_false(dif_parse_hex("00ffa", to, 3));
	assert_false(dif_parse_hex("00ffa1b", to, 3));
	assert_false(dif_parse_hex("11223g", to, 3));
	assert_memory_equal(to, "\x00\xff\xa1", 3); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_numbers), cmocka_unit_test(numbers_without_a_sign),
		cmocka_unit_test(sizes),         cmocka_unit_test(durations),
		cmocka_unit_test(booleans),      cmocka_unit_test(hex_both_ways),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
