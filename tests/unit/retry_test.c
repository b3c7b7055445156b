#include "support.h"

#include "host/retry.h"

static struct dif_error of_class(enum dif_class cls)
{
	struct dif_error err;
	dif_error_set(&err, cls, "x");
	return err;
}

/* One op from its start to its end. */
static void one(struct dif_pressure *p, enum dif_class cls, int64_t now)
{
	int64_t wait;
	assert_true(dif_pressure_may_start(p, false, now, &wait));
	dif_pressure_started(p, false, now);
	dif_pressure_ended(p, cls, false, now, 0.5);
}

TEST(transport_errors_get_full_jitter)
{
	UNUSED_STATE;
	struct dif_error err = of_class(DIF_TRANSIENT);
	assert_int_equal(dif_retry_delay(&err, 1, 0), 0);
	assert_int_equal(dif_retry_delay(&err, 1, 0.5), 125);
	assert_int_equal(dif_retry_delay(&err, 2, 0.5), 250);
	assert_int_equal(dif_retry_delay(&err, 7, 0.5), 8000);
	assert_int_equal(dif_retry_delay(&err, 8, 0.5), 10000); /* the cap of 20 s */
	assert_int_equal(dif_retry_delay(&err, UINT32_MAX, 0.999), 19980);
}

TEST(throttling_keeps_half_as_floor_and_hears_the_peer)
{
	UNUSED_STATE;
	struct dif_error err = of_class(DIF_THROTTLED);
	assert_int_equal(dif_retry_delay(&err, 1, 0), 500);
	assert_int_equal(dif_retry_delay(&err, 1, 0.5), 750);
	assert_int_equal(dif_retry_delay(&err, 30, 0), 10000);
	err.retry_after = 7000;
	assert_int_equal(dif_retry_delay(&err, 1, 0), 7000);
	err.retry_after = 3600000;
	assert_int_equal(dif_retry_delay(&err, 1, 0), 60000);
}

TEST(the_window_bounds_what_is_in_flight)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t wait = -1;
	dif_pressure_init(&p, 3, 0, 1000);
	for (int i = 0; i < 3; i++) {
		assert_true(dif_pressure_may_start(&p, true, 1000, &wait));
		dif_pressure_started(&p, true, 1000);
	}
	assert_false(dif_pressure_may_start(&p, true, 1000, &wait));
	assert_int_equal(wait, 0); /* when one ends */
	dif_pressure_ended(&p, DIF_OK, false, 1000, 0);
	assert_true(dif_pressure_may_start(&p, true, 1000, &wait));
	dif_pressure_init(&p, 1, 0, 0);
	assert_true(dif_pressure_may_start(&p, true, 0, &wait));
}

/* As many ops as may be are under way for a while. Each takes latency ms, and no two end within gap
 * ms: a store far away, and one (or ourselves) that does one thing after the other. */
static uint32_t keep_busy(struct dif_pressure *p, int64_t *now, int64_t ms, int64_t latency,
                          int64_t gap)
{
	int64_t ends[256], last = *now, wait;
	uint32_t n = 0, most = 0;
	for (int64_t end = *now + ms; *now < end; (*now)++) {
		uint32_t left = 0;
		for (uint32_t i = 0; i < n; i++) {
			if (ends[i] <= *now) {
				dif_pressure_ended(p, DIF_OK, false, *now, 0);
			} else {
				ends[left++] = ends[i];
			}
		}
		n = left;
		while (dif_pressure_may_start(p, true, *now, &wait)) {
			dif_pressure_started(p, true, *now);
			last = *now + latency > last + gap ? *now + latency : last + gap;
			ends[n++] = last;
		}
		most = n > most ? n : most;
	}
	while (p->in_flight > 0) {
		dif_pressure_ended(p, DIF_CANCELED, false, *now, 0);
	}
	return most;
}

TEST(the_window_grows_where_more_connections_bring_more)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t now = 0;
	dif_pressure_init(&p, 128, 0, 0);
	assert_int_equal((int)p.window, 32);
	for (int i = 0; i < 1000; i++) {
		one(&p, DIF_OK, now++); /* alone: proves nothing */
	}
	assert_int_equal((int)p.window, 32);
	assert_int_equal(keep_busy(&p, &now, 1500, 60, 0), 128);
	assert_int_equal((int)p.window, 128);
	/* A share of them, as many as there are. */
	dif_pressure_init(&p, 128, 0, 0);
	p.share = 40;
	assert_int_equal(keep_busy(&p, &now, 1500, 60, 0), 40);
	p.share = 100;
	assert_int_equal(keep_busy(&p, &now, 1500, 60, 0), 100);
	p.share = 20;
	assert_int_equal(dif_pressure_width(&p), 20);
	assert_int_equal(keep_busy(&p, &now, 1500, 60, 0), 20);
}

TEST(requests_that_wait_for_memory_fill_the_window)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t now = 0;
	dif_pressure_init(&p, 128, 0, 0);
	for (bool told = false; !told || now < 20000; told = now >= 10000) {
		for (int i = 0; i < 10; i++) {
			dif_pressure_started(&p, true, now);
		}
		if (told) {
			dif_pressure_full(&p);
		}
		now += told && p.window > 32 ? 5 : 10;
		for (int i = 0; i < 10; i++) {
			dif_pressure_ended(&p, DIF_OK, false, now, 0);
		}
		assert_true(told || (int)p.window == 32);
	}
	assert_int_equal((int)p.window, 64); /* 128 brought no more */
}

TEST(the_window_stays_where_more_connections_only_wait)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t now = 0;
	dif_pressure_init(&p, 128, 0, 0);
	assert_int_equal(keep_busy(&p, &now, 10000, 5, 1), 64); /* it was tried */
	assert_int_equal((int)p.window, 32);
	/* It is tried again, and the store may be another one by now. */
	assert_int_equal(keep_busy(&p, &now, 5000, 200, 0), 128);
	assert_int_equal((int)p.window, 128);
}

TEST(a_small_window_grows_by_one_for_each_success)
{
	UNUSED_STATE;
	struct dif_pressure p;
	dif_pressure_init(&p, 128, 0, 0);
	p.window = 3;
	for (int i = 0; i < 5; i++) {
		dif_pressure_started(&p, false, 0);
	}
	dif_pressure_ended(&p, DIF_OK, false, 0, 0);
	assert_int_equal((int)p.window, 4);
	dif_pressure_ended(&p, DIF_NOT_FOUND, false, 0, 0); /* an answer, too */
	assert_int_equal((int)p.window, 5);
}

TEST(the_window_halves_once_per_second)
{
	UNUSED_STATE;
	struct dif_pressure p;
	dif_pressure_init(&p, 128, 0, 0);
	for (int i = 0; i < 32; i++) {
		dif_pressure_started(&p, false, 0);
	}
	for (int i = 0; i < 10; i++) {
		dif_pressure_ended(&p, DIF_THROTTLED, false, 10000 + i, 0);
	}
	assert_int_equal((int)p.window, 16);
	for (int i = 0; i < 20; i++) {
		dif_pressure_ended(&p, DIF_THROTTLED, false, 11000 + 1000 * i, 0);
	}
	assert_int_equal((int)p.window, 2);
	assert_int_equal(p.breaker, DIF_CLOSED); /* a peer that throttles is alive */
}

TEST(writes_keep_to_their_rate)
{
	UNUSED_STATE;
	struct dif_pressure p;
	dif_pressure_init(&p, 128, 10, 0);
	int64_t now = 0, wait;
	int started = 0;
	while (now <= 10000) {
		if (dif_pressure_may_start(&p, true, now, &wait)) {
			dif_pressure_started(&p, true, now);
			dif_pressure_ended(&p, DIF_OK, false, now, 0);
			started++;
		} else {
			assert_true(wait > 0);
			assert_true(dif_pressure_may_start(&p, false, now, &wait)); /* reads go */
			dif_pressure_may_start(&p, true, now, &wait);
			now += wait;
		}
	}
	assert_in_range(started, 97, 101);
}

TEST(the_first_write_need_not_wait)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t wait;
	dif_pressure_init(&p, 128, 0.08, 0);
	assert_true(dif_pressure_may_start(&p, true, 0, &wait));
	dif_pressure_started(&p, true, 0);
	assert_false(dif_pressure_may_start(&p, true, 0, &wait));
	assert_in_range(wait, 12500, 12501);
}

TEST(five_failures_in_a_row_open_the_breaker)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t wait;
	dif_pressure_init(&p, 128, 0, 0);
	for (int i = 0; i < 4; i++) {
		one(&p, DIF_TRANSIENT, 10);
	}
	one(&p, DIF_NOT_FOUND, 10); /* an answer ends the row */
	for (int i = 0; i < 4; i++) {
		one(&p, DIF_TRANSIENT, 10);
	}
	assert_int_equal(p.breaker, DIF_CLOSED);
	one(&p, DIF_AUTH, 10);
	assert_int_equal(p.breaker, DIF_OPEN);
	assert_false(dif_pressure_may_start(&p, false, 10, &wait));
	assert_int_equal(wait, 3750); /* 5 s, half of it by chance 0.5 */
}

TEST(half_of_twenty_within_thirty_seconds_open_it)
{
	UNUSED_STATE;
	struct dif_pressure p;
	dif_pressure_init(&p, 128, 0, 0);
	for (int i = 0; i < 9; i++) {
		one(&p, DIF_OK, i * 1000);
		one(&p, DIF_TRANSIENT, i * 1000);
	}
	one(&p, DIF_OK, 9000);
	assert_int_equal(p.breaker, DIF_CLOSED);
	one(&p, DIF_TRANSIENT, 9000);
	assert_int_equal(p.breaker, DIF_OPEN);

	/* The same, spread thin: old ones are forgotten. */
	dif_pressure_init(&p, 128, 0, 0);
	for (int i = 0; i < 100; i++) {
		one(&p, DIF_OK, i * 4000);
		one(&p, DIF_TRANSIENT, i * 4000);
	}
	assert_int_equal(p.breaker, DIF_CLOSED);
	/* And after a long silence, too. */
	for (int i = 0; i < 4; i++) {
		one(&p, DIF_OK, 100000000);
		one(&p, DIF_TRANSIENT, 100000000);
	}
	assert_int_equal(p.breaker, DIF_CLOSED);
}

static int64_t open_it(struct dif_pressure *p)
{
	dif_pressure_init(p, 128, 0, 0);
	for (int i = 0; i < 5; i++) {
		one(p, DIF_TRANSIENT, 0);
	}
	assert_int_equal(p->breaker, DIF_OPEN);
	return p->open_until;
}

TEST(one_probe_at_a_time_and_three_close_it)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t wait, now = open_it(&p);
	assert_true(dif_pressure_may_start(&p, false, now, &wait));
	assert_int_equal(p.breaker, DIF_HALF_OPEN);
	dif_pressure_started(&p, false, now);
	assert_false(dif_pressure_may_start(&p, false, now, &wait));
	dif_pressure_ended(&p, DIF_OK, false, now, 0);
	one(&p, DIF_OK, now);
	assert_int_equal(p.breaker, DIF_HALF_OPEN);
	one(&p, DIF_OK, now);
	assert_int_equal(p.breaker, DIF_CLOSED);
	for (int i = 0; i < 5; i++) {
		one(&p, DIF_TRANSIENT, now);
	}
	assert_int_equal(p.open_for, 5000); /* begins anew */
}

TEST(failed_probes_double_the_time_up_to_five_minutes)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t now = open_it(&p), want = 5000;
	for (int i = 0; i < 12; i++) {
		assert_int_equal(p.open_for, want);
		one(&p, DIF_TRANSIENT, now);
		assert_int_equal(p.breaker, DIF_OPEN);
		want = want * 2 < 300000 ? want * 2 : 300000;
		assert_in_range(p.open_until - now, want / 2, want);
		now = p.open_until;
	}
}

TEST(what_began_before_the_trouble_is_no_probe)
{
	UNUSED_STATE;
	struct dif_pressure p;
	int64_t wait;
	dif_pressure_init(&p, 128, 0, 0);
	for (int i = 0; i < 8; i++) {
		dif_pressure_started(&p, false, 0);
	}
	for (int i = 0; i < 5; i++) {
		dif_pressure_ended(&p, DIF_TRANSIENT, false, 0, 0);
	}
	assert_int_equal(p.breaker, DIF_OPEN);
	assert_false(dif_pressure_may_start(&p, false, 60000, &wait));
	assert_int_equal(wait, 0);
	dif_pressure_ended(&p, DIF_TRANSIENT, false, 60000, 0);
	dif_pressure_ended(&p, DIF_OK, false, 60000, 0);
	dif_pressure_ended(&p, DIF_OK, false, 60000, 0);
	assert_int_equal(p.breaker, DIF_OPEN);
	assert_int_equal(p.open_for, 5000);
	assert_true(dif_pressure_may_start(&p, false, 60000, &wait));
}

TEST(our_own_faults_do_not_count)
{
	UNUSED_STATE;
	struct dif_pressure p;
	dif_pressure_init(&p, 128, 0, 0);
	for (int i = 0; i < 100; i++) {
		dif_pressure_started(&p, false, 0);
		dif_pressure_ended(&p, DIF_TRANSIENT, true, 0, 0);
		one(&p, DIF_CANCELED, 0);
		one(&p, DIF_PERMANENT, 0);
	}
	assert_int_equal(p.breaker, DIF_CLOSED);
	assert_int_equal(p.in_flight, 0);
}

TEST(the_budget_is_spent_and_earned)
{
	UNUSED_STATE;
	struct dif_pressure p;
	dif_pressure_init(&p, 128, 0, 0);
	dif_pressure_started(&p, false, 0);
	dif_pressure_started(&p, false, 0);
	int repeats = 0;
	while (dif_pressure_may_retry(&p, false)) {
		repeats++;
	}
	assert_int_equal(repeats, 100);
	for (int i = 0; i < 4; i++) {
		one(&p, DIF_OK, 0);
	}
	assert_false(dif_pressure_may_retry(&p, false));
	dif_pressure_ended(&p, DIF_OK, false, 0, 0);
	assert_false(dif_pressure_may_retry(&p, true)); /* a timeout costs twice */
	assert_true(dif_pressure_may_retry(&p, false));
	assert_false(dif_pressure_may_retry(&p, false));
	dif_pressure_ended(&p, DIF_TRANSIENT, false, 0, 0);
	assert_true(dif_pressure_may_retry(&p, false)); /* nothing in flight: never stuck */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transport_errors_get_full_jitter),
		cmocka_unit_test(throttling_keeps_half_as_floor_and_hears_the_peer),
		cmocka_unit_test(the_window_bounds_what_is_in_flight),
		cmocka_unit_test(the_window_grows_where_more_connections_bring_more),
		cmocka_unit_test(requests_that_wait_for_memory_fill_the_window),
		cmocka_unit_test(the_window_stays_where_more_connections_only_wait),
		cmocka_unit_test(a_small_window_grows_by_one_for_each_success),
		cmocka_unit_test(the_window_halves_once_per_second),
		cmocka_unit_test(writes_keep_to_their_rate),
		cmocka_unit_test(the_first_write_need_not_wait),
		cmocka_unit_test(five_failures_in_a_row_open_the_breaker),
		cmocka_unit_test(half_of_twenty_within_thirty_seconds_open_it),
		cmocka_unit_test(one_probe_at_a_time_and_three_close_it),
		cmocka_unit_test(failed_probes_double_the_time_up_to_five_minutes),
		cmocka_unit_test(what_began_before_the_trouble_is_no_probe),
		cmocka_unit_test(our_own_faults_do_not_count),
		cmocka_unit_test(the_budget_is_spent_and_earned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
