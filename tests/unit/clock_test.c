#include "support.h"

#include <time.h>

#include "base/clock.h"

#define AT 784111777

TEST(writes_every_format)
{
	UNUSED_STATE;
	char to[DIF_DATE_MAX];
	assert_string_equal(dif_date(to, DIF_DATE_HTTP, AT), "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_string_equal(dif_date(to, DIF_DATE_ISO_BASIC, AT), "19941106T084937Z");
	assert_string_equal(dif_date(to, DIF_DATE_ISO, AT), "1994-11-06T08:49:37Z");
	assert_string_equal(dif_date(to, DIF_DATE_AKAMAI, AT), "19941106T08:49:37+0000");
	assert_string_equal(dif_date(to, DIF_DATE_EPOCH, AT), "784111777");
	/* Beyond every calendar it is still a terminated text. */
	assert_string_equal(dif_date(to, DIF_DATE_HTTP, INT64_MAX), "9223372036854775807");
}

TEST(reads_what_it_writes)
{
	UNUSED_STATE;
	for (int64_t at = 0; at < 8000000000; at += 86399 * 211 + 1) {
		for (uint32_t f = DIF_DATE_HTTP; f <= DIF_DATE_EPOCH; f++) {
			char to[DIF_DATE_MAX];
			assert_int_equal(dif_undate(dif_date(to, f, at)), at);
		}
	}
}

TEST(reads_fractions_and_offsets_of_zero)
{
	UNUSED_STATE;
	assert_int_equal(dif_undate("1994-11-06T08:49:37.123456Z"), AT);
	assert_int_equal(dif_undate("1994-11-06T08:49:37+00:00"), AT);
	assert_int_equal(dif_undate("19941106T084937.5Z"), AT);
	assert_int_equal(dif_undate("784111777.25"), AT);
	assert_int_equal(dif_undate("2024-02-29T00:00:00Z"), 1709164800);
}

TEST(refuses_what_is_no_time)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"",
		"x",
		"-1",
		"1994-11-06",
		"1994-11-06T08:49:37",
		"1994-11-06T08:49:37.Z",
		"1994-11-06T08:49:37+01:00",
		"1994-13-06T08:49:37Z",
		"1994-11-31T08:49:37Z",
		"2023-02-29T00:00:00Z",
		"1994-11-06T24:49:37Z",
		"1994-11-06T08:49:37Zx",
		"1994-1106T08:49:37Z",
		"19941106T08:4937Z",
		"Sun, 06 Nov 1994 08:49:37",
		"Sun, 06 Nox 1994 08:49:37 GMT",
		"Sun, 6 Nov 1994 08:49:37 GMT",
		"784111777 ",
		"784111777.",
		"99999999999999999999999999",
	};
	assert_int_equal(dif_undate(NULL), -1);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (dif_undate(bad[i]) != -1) {
			fail_msg("'%s' was read as a time", bad[i]);
		}
	}
	/* Every cut of a good one is refused or is another form, never read beyond. */
	const char *good = "Sun, 06 Nov 1994 08:49:37 GMT";
	for (size_t n = 0; n < strlen(good); n++) {
		char *cut = strndup(good, n);
		assert_int_equal(dif_undate(cut), -1);
		free(cut);
	}
}

TEST(the_steady_clock_never_goes_back)
{
	UNUSED_STATE;
	int64_t before = dif_steady_ms();
	assert_true(before > 0);
	assert_true(dif_steady_ms() >= before);
	assert_true(dif_wall_ms() / 1000 >= 1500000000);
}

TEST(spans_and_amounts_for_people)
{
	UNUSED_STATE;
	char to[DIF_DATE_MAX];
	assert_string_equal(dif_span(to, 340), "340 ms");
	assert_string_equal(dif_span(to, 1250), "1.2 s");
	assert_string_equal(dif_span(to, 59999), "59.9 s");
	assert_string_equal(dif_span(to, 200000), "3 min 20 s");
	assert_string_equal(dif_span(to, 7500000), "2 h 5 min");
	assert_string_equal(dif_span(to, 90000000), "1 d 1 h");
	assert_string_equal(dif_span(to, -5), "0 ms");
	assert_string_equal(dif_amount(to, 0), "0 B");
	assert_string_equal(dif_count(to, 0, "object"), "0 objects");
	assert_string_equal(dif_count(to, 1, "entry"), "1 entry");
	assert_string_equal(dif_count(to, 2, "entry"), "2 entries");
	assert_string_equal(dif_count(to, UINT64_MAX, "difference"),
	                    "18446744073709551615 differences");
	assert_string_equal(dif_amount(to, 999), "999 B");
	assert_string_equal(dif_amount(to, 81400000), "81.4 MB");
	assert_string_equal(dif_amount(to, 999999), "1.0 MB");
	assert_string_equal(dif_amount(to, UINT64_MAX), "18.4 EB");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_every_format),
		cmocka_unit_test(reads_what_it_writes),
		cmocka_unit_test(reads_fractions_and_offsets_of_zero),
		cmocka_unit_test(refuses_what_is_no_time),
		cmocka_unit_test(the_steady_clock_never_goes_back),
		cmocka_unit_test(spans_and_amounts_for_people),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
