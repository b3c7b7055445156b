/* health - what looks come to, in virtual time. */
#include "support.h"

#include "flow/health.h"

static const struct dif_health_config rules = {.interval = 5000,
                                               .fast = 1000,
                                               .jitter = 20,
                                               .fall = 3,
                                               .fall_time = 12000,
                                               .rise = 6,
                                               .rise_time = 60000,
                                               .rise_max = 1800000,
                                               .stale = 60000,
                                               .shaky = 50};
static const struct dif_order cuts[] = {
	{1, 100, "aaaaaaaaaaaaaaaa"}, {1, 200, "bbbbbbbbbbbbbbbb"}, {1, 300, "cccccccccccccccc"}};
static struct dif_health h;
static struct dif_health_wanted wanted;
static int64_t now;

static int setup(void **state)
{
	(void)state;
	now = 1000000;
	wanted = (struct dif_health_wanted){cuts[1], now - 1000000};
	dif_health_init(&h, &rules, now);
	return 0;
}

static bool look(uint32_t seen, uint32_t cut, int64_t after)
{
	now += after;
	return dif_health_saw(&h, now,
	                      &(struct dif_health_look){seen, &cuts[cut],
	                                                seen == DIF_SEEN_WRONG ? "altered" : "503"},
	                      &wanted);
}

static void good(uint32_t n, int64_t every)
{
	while (n-- > 0) {
		look(DIF_SEEN_RIGHT, 1, every);
	}
}

static void bad(uint32_t n, int64_t every)
{
	while (n-- > 0) {
		look(DIF_SEEN_NOTHING, 0, every);
	}
}

static void rise(void)
{
	good(6, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
}

TEST(at_first_some_good_looks_are_enough)
{
	UNUSED_STATE;
	good(5, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_UNKNOWN);
	assert_true(look(DIF_SEEN_RIGHT, 1, 1000));
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	assert_int_equal(h.since, now);
	assert_false(look(DIF_SEEN_RIGHT, 1, 1000)); /* nothing new */
}

TEST(down_needs_three_in_a_row_and_twelve_seconds)
{
	UNUSED_STATE;
	rise();
	bad(4, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY); /* 3 s are no 12 */
	good(1, 1000);
	bad(1, 1000);
	bad(1, 13000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY); /* two are no three */
	assert_true(look(DIF_SEEN_NOTHING, 0, 1000));
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
	assert_non_null(strstr(h.reason, "3 looks in a row failed: 503"));
	assert_false(look(DIF_SEEN_NOTHING, 0, 1000)); /* the reason stays */
}

TEST(up_again_needs_six_in_a_row_over_a_minute)
{
	UNUSED_STATE;
	rise();
	bad(13, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
	good(12, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN); /* 55 s */
	assert_non_null(strstr(h.reason, "answers again"));
	bad(1, 5000); /* half open: one failure begins the count again */
	assert_non_null(strstr(h.reason, "failed again"));
	good(12, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
	good(1, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
}

TEST(what_comes_back_must_show_the_current_cut)
{
	UNUSED_STATE;
	rise();
	bad(13, 1000);
	wanted = (struct dif_health_wanted){cuts[2], now};
	good(13, 1000); /* an older one, within its patience */
	good(13, 3000);
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
	good(1, 61000);
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_true(h.is_stale);
	for (uint32_t i = 0; i < 13; i++) {
		assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
		look(DIF_SEEN_RIGHT, 2, 5000);
	}
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	assert_false(h.is_stale);
}

TEST(two_hundred_with_an_old_cut_is_not_healthy)
{
	UNUSED_STATE;
	rise();
	wanted = (struct dif_health_wanted){cuts[2], now};
	for (uint32_t i = 0; i < 12; i++) {
		good(1, 5000);
		assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY); /* readers' caches turn over */
	}
	good(1, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_true(h.is_stale);
	assert_non_null(strstr(h.reason, "shows cut bbbbbbbbbbbb and not cccccccccccc"));
	assert_string_equal(h.shown.sha256, cuts[1].sha256);
	assert_false(look(DIF_SEEN_RIGHT, 1, 5000)); /* one line for it */
}

TEST(cuts_that_follow_quickly_do_not_hide_one_that_is_stuck)
{
	UNUSED_STATE;
	rise();
	for (int64_t i = 0; i < 6; i++) { /* one every 20 s, less than `stale` */
		wanted = (struct dif_health_wanted){{1, 300 + i, "cccccccccccccccc"}, now};
		good(4, 5000);
	}
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_true(h.is_stale);
}

TEST(one_that_is_always_one_cut_behind_and_goes_on_is_not_stale)
{
	UNUSED_STATE;
	rise();
	for (int64_t i = 0; i < 20; i++) {
		const struct dif_order last = {1, 299 + i, "bbbbbbbbbbbbbbbb"};
		wanted = (struct dif_health_wanted){{1, 300 + i, "cccccccccccccccc"}, now};
		for (uint32_t k = 0; k < 8; k++) {
			now += 5000;
			dif_health_saw(&h, now,
			               &(struct dif_health_look){DIF_SEEN_RIGHT, &last, NULL},
			               &wanted);
			assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
		}
	}
}

TEST(nobody_waits_for_a_verdict_without_end)
{
	UNUSED_STATE;
	for (uint32_t i = 0; i < 20; i++) { /* too shaky to rise, too good to fall */
		assert_int_equal(h.verdict, DIF_HEALTH_UNKNOWN);
		look(i % 4 == 3 ? DIF_SEEN_NOTHING : DIF_SEEN_RIGHT, 1, 1000);
	}
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_false(h.is_stale);
	assert_non_null(strstr(h.reason, "not healthy after 20 looks: 503"));
	good(13, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
}

TEST(an_older_cut_that_nobody_knows_is_stale_too)
{
	UNUSED_STATE;
	static const struct dif_order none;
	for (int64_t i = 0; i < 8; i++) {
		wanted = (struct dif_health_wanted){{1, 300 + i, "cccccccccccccccc"}, now};
		for (uint32_t k = 0; k < 4; k++) {
			now += 5000;
			dif_health_saw(&h, now,
			               &(struct dif_health_look){DIF_SEEN_RIGHT, &none, NULL},
			               &wanted);
		}
	}
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_true(h.is_stale);
	assert_non_null(strstr(h.reason, "shows cut unknown and not cccccccccccc"));
}

TEST(one_that_is_behind_at_the_start_is_judged_too)
{
	UNUSED_STATE;
	h.settle = 600000;
	wanted = (struct dif_health_wanted){cuts[2], now};
	good(20, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_false(h.is_stale);
	good(1, 660000);
	assert_true(h.is_stale);
}

TEST(a_cdn_is_given_the_time_that_it_takes)
{
	UNUSED_STATE;
	rise();
	h.settle = 90000;
	wanted = (struct dif_health_wanted){cuts[2], now};
	good(30, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	good(1, 5000);
	assert_true(h.is_stale);
	assert_non_null(strstr(h.reason, "after 2 min 30 s"));
}

TEST(a_newer_cut_than_wanted_is_fine)
{
	UNUSED_STATE;
	rise();
	look(DIF_SEEN_RIGHT, 2, 100000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
}

TEST(wrong_bytes_are_confirmed_by_one_more_look)
{
	UNUSED_STATE;
	rise();
	look(DIF_SEEN_WRONG, 0, 5000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	good(1, 1000);
	look(DIF_SEEN_WRONG, 0, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	look(DIF_SEEN_WRONG, 0, 1000);
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
	assert_non_null(strstr(h.reason, "wrong bytes, twice: altered"));
}

TEST(that_it_is_wrong_is_said_of_one_that_is_down_too)
{
	UNUSED_STATE;
	rise();
	bad(13, 1000);
	look(DIF_SEEN_WRONG, 0, 1000);
	assert_non_null(strstr(h.reason, "looks in a row failed"));
	assert_true(look(DIF_SEEN_WRONG, 0, 1000));
	assert_non_null(strstr(h.reason, "wrong bytes, twice"));
	assert_false(look(DIF_SEEN_WRONG, 0, 1000));
}

TEST(every_second_look_failing_is_down_too)
{
	UNUSED_STATE;
	rise();
	good(6, 5000);
	for (uint32_t i = 0; i < 7; i++) {
		look(DIF_SEEN_NOTHING, 0, 1000);
		good(1, 5000);
	}
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED); /* 7 of the last 20 */
	assert_non_null(strstr(h.reason, "over 25 % of the last 20"));
	for (uint32_t i = 0; i < 4 && h.verdict != DIF_HEALTH_DOWN; i++) {
		look(DIF_SEEN_NOTHING, 0, 1000);
		good(h.verdict != DIF_HEALTH_DOWN, 5000);
	}
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
	assert_non_null(strstr(h.reason, "10 of the last 20"));
}

TEST(what_flaps_stays_out_longer_each_time)
{
	UNUSED_STATE;
	static const int64_t spans[] = {60000, 120000, 240000, 480000};
	rise();
	for (uint32_t i = 0; i < 4; i++) {
		bad(13, 1000);
		assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
		assert_int_equal(dif_health_rise_time(&h, now), spans[i]);
		int64_t began = now + 5000;
		while (h.verdict == DIF_HEALTH_DOWN) {
			good(1, 5000);
			assert_true(now - began <= spans[i]);
		}
		assert_int_equal(now - began, spans[i]);
	}
	now += 3600000; /* an hour later it is forgotten */
	bad(13, 1000);
	assert_int_equal(dif_health_rise_time(&h, now), 60000);
	for (uint32_t i = 0; i < 20; i++) { /* and it has a bound */
		good(1000, 5000);
		bad(13, 1000);
		assert_true(dif_health_rise_time(&h, now) <= rules.rise_max);
	}
}

TEST(our_own_failures_say_nothing)
{
	UNUSED_STATE;
	rise();
	for (uint32_t i = 0; i < 100; i++) {
		assert_false(look(DIF_SEEN_SELF, 0, 1000));
	}
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	assert_true(now - h.checked >= 100000); /* but nothing was seen either */
	bad(2, 6000);
	look(DIF_SEEN_SELF, 0, 1000);
	bad(1, 6000);
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN);
}

TEST(deliveries_that_fail_degrade)
{
	UNUSED_STATE;
	rise();
	assert_true(dif_health_delivered(&h, now, "its store is away"));
	assert_int_equal(h.verdict, DIF_HEALTH_DEGRADED);
	assert_false(h.is_stale);
	good(3, 5000);
	assert_string_equal(h.reason, "its store is away");
	assert_true(dif_health_delivered(&h, now, NULL));
	assert_int_equal(h.verdict, DIF_HEALTH_HEALTHY);
	bad(13, 1000);
	assert_false(dif_health_delivered(&h, now, "its store is away"));
	assert_int_equal(h.verdict, DIF_HEALTH_DOWN); /* that counts more */
}

TEST(doubt_looks_faster_and_the_pace_has_jitter)
{
	UNUSED_STATE;
	assert_int_equal(dif_health_pace(&h, 0), 800);
	assert_int_equal(dif_health_pace(&h, 255), 1200);
	rise();
	assert_int_equal(dif_health_pace(&h, 0), 4000);
	assert_int_equal(dif_health_pace(&h, 255), 6000);
	bad(1, 5000);
	assert_true(dif_health_pace(&h, 128) < 1100);
	bad(13, 1000);
	assert_true(dif_health_pace(&h, 128) > 4900); /* it is known to be down */
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(at_first_some_good_looks_are_enough),
		T(down_needs_three_in_a_row_and_twelve_seconds),
		T(up_again_needs_six_in_a_row_over_a_minute),
		T(what_comes_back_must_show_the_current_cut),
		T(two_hundred_with_an_old_cut_is_not_healthy),
		T(cuts_that_follow_quickly_do_not_hide_one_that_is_stuck),
		T(one_that_is_always_one_cut_behind_and_goes_on_is_not_stale),
		T(nobody_waits_for_a_verdict_without_end),
		T(an_older_cut_that_nobody_knows_is_stale_too),
		T(one_that_is_behind_at_the_start_is_judged_too),
		T(a_cdn_is_given_the_time_that_it_takes),
		T(a_newer_cut_than_wanted_is_fine),
		T(wrong_bytes_are_confirmed_by_one_more_look),
		T(that_it_is_wrong_is_said_of_one_that_is_down_too),
		T(every_second_look_failing_is_down_too),
		T(what_flaps_stays_out_longer_each_time),
		T(our_own_failures_say_nothing),
		T(deliveries_that_fail_degrade),
		T(doubt_looks_faster_and_the_pace_has_jitter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
