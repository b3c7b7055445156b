/* failover - what is in doubt: our own network, a last look that failed, a pin that nobody may be
 * led to any more. */
#include "support.h"

#include "flow/failover.h"

#define N 2
#define HOUR_MS (60 * 60 * 1000)

static struct dif_failover_config rules;
static struct dif_failover_share share[N];
static struct dif_failover f;
static struct dif_failover_input in[N];
static struct dif_failover_plan plan;
static enum dif_sight sight;
static uint32_t n;
static int64_t now;

static const char *const names[N] = {"eu", "us"};

static struct dif_order cut(int64_t number)
{
	struct dif_order o = {.epoch = 1, .number = number};
	snprintf(o.sha256, sizeof o.sha256, "%016lld", (long long)number);
	return o;
}

static int setup(void **state)
{
	(void)state;
	rules = (struct dif_failover_config){.minimum = 1,
	                                     .panic = 50,
	                                     .hold = 300000,
	                                     .hold_max = 1800000,
	                                     .moves = 4,
	                                     .fresh = 60000,
	                                     .failback = 1,
	                                     .failback_time = 900000,
	                                     .step = 25,
	                                     .step_time = 60000};
	memset(share, 0, sizeof share);
	memset(in, 0, sizeof in);
	dif_failover_init(&f, share);
	n = N;
	now = 1000000000;
	sight = DIF_SIGHT_NONE;
	for (uint32_t i = 0; i < N; i++) {
		in[i] = (struct dif_failover_input){.name = names[i],
		                                    .verdict = DIF_HEALTH_HEALTHY,
		                                    .reason = "as it should",
		                                    .since = now - HOUR_MS,
		                                    .shown = cut(1),
		                                    .weight = 100};
	}
	return 0;
}

static void decide(int64_t after)
{
	now += after;
	for (uint32_t i = 0; i < n; i++) {
		if (in[i].verdict == DIF_HEALTH_HEALTHY) {
			in[i].checked = now - 1000;
		}
	}
	dif_failover_decide(&f, &rules, in, n, sight, now, &plan);
}

static void set(uint32_t i, uint32_t verdict)
{
	in[i].verdict = verdict;
	in[i].is_stale = false;
	in[i].reason = verdict == DIF_HEALTH_DOWN ? "3 looks in a row failed" : "as it should";
	in[i].since = now;
}

static void is_route(const char *want)
{
	char text[256] = "";
	for (uint32_t i = 0; i < n; i++) {
		size_t at = strlen(text);
		snprintf(text + at, sizeof text - at, "%s%u", i > 0 ? " " : "",
		         dif_failover_weight(&f, in, i));
	}
	assert_string_equal(text, want);
}

TEST(those_that_fall_one_after_the_other_are_our_own_fault_too)
{
	UNUSED_STATE;
	decide(1000);
	set(0, DIF_HEALTH_DOWN); /* both fail, but the first has failed for some seconds more */
	in[1].is_doubtful = true;
	decide(1000);
	is_route("100 100");
	assert_true(plan.frozen);
	assert_non_null(strstr(plan.why, "2 of 2 destinations in the route look down at once"));
	set(1, DIF_HEALTH_DOWN);
	decide(3000);
	is_route("100 100");
	set(1, DIF_HEALTH_HEALTHY);
	in[1].is_doubtful = false;
	decide(1000);
	is_route("0 100");
}

TEST(readers_are_not_led_to_one_whose_last_look_failed)
{
	UNUSED_STATE;
	in[1].weight = 0;
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	in[1].is_doubtful = true;
	decide(1000);
	is_route("100 0");
	in[1].is_doubtful = false;
	decide(1000);
	is_route("0 100");
}

TEST(a_pin_of_one_that_became_private_leaves_no_route_where_nobody_is_good)
{
	UNUSED_STATE;
	decide(1000);
	f.pinned = 0;
	decide(1000);
	in[0].is_private = true; /* a restart with another configuration */
	share[0].percent = share[0].before = 0;
	f.known = false;
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 0");
	set(1, DIF_HEALTH_HEALTHY);
	decide(1000);
	is_route("0 100");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(those_that_fall_one_after_the_other_are_our_own_fault_too),
		T(readers_are_not_led_to_one_whose_last_look_failed),
		T(a_pin_of_one_that_became_private_leaves_no_route_where_nobody_is_good),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
