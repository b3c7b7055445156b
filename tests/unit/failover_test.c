/* failover - verdicts, weights, pins and drains to a route: cases by hand, and 10,000 seeded
 * sequences of faults in which every rule is asserted at every step. */
#include "support.h"

#include "flow/failover.h"

#define N 6
#define HOUR_MS (60 * 60 * 1000)

static struct dif_failover_config rules;
static struct dif_failover_share share[N];
static struct dif_failover f;
static struct dif_failover_input in[N];
static struct dif_failover_plan plan;
static enum dif_sight sight;
static uint32_t n;
static int64_t now;

static const char *const names[N] = {"eu", "us", "asia", "spare", "south", "north"};

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
	n = 3;
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

TEST(the_first_route_waits_until_all_are_judged)
{
	UNUSED_STATE;
	in[2].verdict = DIF_HEALTH_UNKNOWN;
	decide(1000);
	is_route("0 0 0");
	assert_non_null(strstr(plan.why, "'asia' was not judged yet"));
	in[2].verdict = DIF_HEALTH_DOWN;
	in[1].weight = 50;
	decide(1000);
	is_route("100 50 0");
	assert_true(plan.changed && !plan.moved);
}

TEST(one_that_is_down_leaves_and_returns_step_by_step)
{
	UNUSED_STATE;
	decide(1000);
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("100 0 100");
	assert_true(plan.moved);
	assert_int_equal(plan.moves_left, 3);
	assert_string_equal(f.reason, "us out: 3 looks in a row failed");
	decide(100000);
	set(1, DIF_HEALTH_HEALTHY);
	decide(299000); /* the hold is over, but 900 s of health are not */
	is_route("100 0 100");
	assert_non_null(strstr(plan.why, "healthy for 15 min"));
	decide(601000);
	is_route("100 25 100");
	for (uint32_t i = 0; i < 3; i++) {
		assert_false(plan.frozen);
		decide(59000);
		assert_false(plan.changed);
		decide(1000);
		assert_true(plan.changed && !plan.moved);
	}
	is_route("100 100 100");
	decide(HOUR_MS);
	assert_false(plan.changed);
}

TEST(without_failback_it_waits_for_a_person)
{
	UNUSED_STATE;
	rules.failback = 0;
	decide(1000);
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	set(1, DIF_HEALTH_HEALTHY);
	decide(10 * HOUR_MS);
	is_route("100 0 100");
	assert_non_null(strstr(plan.why, "returns by hand: difusor undrain us"));
	share[1].recalled = true;
	decide(1000);
	is_route("100 25 100");
	assert_false(plan.moved);
	assert_false(share[1].recalled);
}

TEST(the_last_one_stays)
{
	UNUSED_STATE;
	n = 2;
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100");
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100");
	assert_non_null(strstr(plan.why, "us stays in the route"));
	in[1].drained = true;
	decide(1000);
	is_route("0 100");
	in[1].drained = false;
	/* the other one is back: it relieves it at once, hold or not, with all of its weight */
	set(0, DIF_HEALTH_HEALTHY);
	decide(1000);
	is_route("100 0");
	assert_true(plan.moved);
}

TEST(readers_are_never_led_to_an_older_cut)
{
	UNUSED_STATE;
	n = 2;
	decide(1000);
	in[0].shown = cut(2);
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("100 100"); /* us still shows cut 1 */
	in[1].shown = cut(2);
	decide(1000);
	is_route("0 100");
}

TEST(one_that_is_behind_leaves_with_the_one_that_is_down)
{
	UNUSED_STATE;
	decide(1000);
	in[0].shown = in[1].shown = cut(2);
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100 0"); /* asia would have got readers of cut 2 */
	assert_non_null(strstr(f.reason, "asia out: does not show the newest cut yet"));
}

TEST(a_stale_one_leaves)
{
	UNUSED_STATE;
	decide(1000);
	in[0].shown = in[1].shown = cut(2);
	set(2, DIF_HEALTH_DEGRADED);
	in[2].is_stale = true;
	in[2].reason = "shows cut 1";
	decide(1000);
	is_route("100 100 0");
	/* degraded alone is no reason */
	set(1, DIF_HEALTH_DEGRADED);
	decide(HOUR_MS * 2);
	is_route("100 100 0");
}

TEST(a_minimum_stays)
{
	UNUSED_STATE;
	rules.minimum = 2;
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100 100");
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100 100");
	assert_true(plan.frozen);
}

TEST(half_of_all_down_at_once_is_our_own_fault_unless_references_answer)
{
	UNUSED_STATE;
	n = 4;
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("100 100 100 100");
	assert_true(plan.frozen);
	assert_non_null(strstr(plan.why, "2 of 4 destinations in the route look down at once"));
	sight = DIF_SIGHT_CLEAR;
	decide(1000);
	is_route("0 0 100 100");
	set(2, DIF_HEALTH_DOWN);
	sight = DIF_SIGHT_BLIND;
	decide(1000);
	is_route("0 0 100 100");
	assert_non_null(strstr(plan.why, "no reference answers"));
}

TEST(one_of_two_that_is_down_is_no_panic)
{
	UNUSED_STATE;
	n = 2;
	decide(1000);
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100");
}

TEST(holds_double_and_the_fifth_move_is_not_made)
{
	UNUSED_STATE;
	rules.failback_time = 0;
	decide(1000);
	int64_t began = now;
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	set(0, DIF_HEALTH_HEALTHY);
	decide(299000);
	is_route("0 100 100");
	assert_non_null(strstr(plan.why, "after the hold that follows a move"));
	decide(1000);
	is_route("25 100 100");
	assert_int_equal(f.hold_until, now + 600000);
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("25 0 100");
	assert_int_equal(f.hold_until, now + 1200000);
	set(1, DIF_HEALTH_HEALTHY);
	decide(1200000);
	is_route("50 0 100"); /* the last one is kept back for a rescue */
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 0 100");
	assert_int_equal(plan.moves_left, 0);
	set(2, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 0 100");
	assert_true(plan.frozen);
	assert_non_null(strstr(plan.why, "4 moves within an hour"));
	assert_true(now - began < HOUR_MS);
	decide(HOUR_MS - (now - began) + 2000);
	is_route("0 100 0"); /* the first of them is an hour ago */
}

TEST(a_spare_serves_while_it_is_needed)
{
	UNUSED_STATE;
	n = 2;
	in[1].weight = 0;
	decide(1000);
	is_route("100 0");
	set(0, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("0 100");
	set(0, DIF_HEALTH_HEALTHY);
	decide(900000);
	is_route("25 100");
	decide(60000);
	decide(60000);
	is_route("75 100");
	decide(60000);
	decide(1000);
	is_route("100 0");
	assert_string_equal(f.reason, "us out: the spare is not needed");
}

TEST(a_pin_wins_over_all_and_what_was_before_comes_back)
{
	UNUSED_STATE;
	decide(1000);
	set(1, DIF_HEALTH_DOWN);
	f.pinned = 1;
	decide(1000);
	is_route("0 100 0");
	assert_false(plan.moved);
	assert_non_null(strstr(plan.why, "us is pinned by hand"));
	decide(HOUR_MS);
	is_route("0 100 0");
	f.pinned = 2;
	decide(1000);
	is_route("0 0 100");
	set(0, DIF_HEALTH_DOWN);
	f.pinned = -1;
	decide(1000);
	is_route("0 0 100");
	f.pinned = 0;
	decide(1000);
	set(2, DIF_HEALTH_DOWN);
	f.pinned = -1;
	decide(1000);
	is_route("100 0 0"); /* nobody is good: it goes on */
}

TEST(a_pin_is_taken_off_when_those_before_it_are_judged)
{
	UNUSED_STATE;
	decide(1000);
	f.pinned = 1;
	decide(1000);
	f.pinned = -1;
	set(0, DIF_HEALTH_UNKNOWN); /* the agent was started anew */
	decide(1000);
	is_route("0 100 0");
	assert_non_null(strstr(plan.why, "eu was not judged yet"));
	set(0, DIF_HEALTH_HEALTHY);
	decide(1000);
	is_route("100 100 100");
}

TEST(a_drain_waits_for_those_behind_and_undrain_brings_back)
{
	UNUSED_STATE;
	decide(1000);
	in[0].shown = in[1].shown = cut(2);
	decide(1000);
	in[0].drained = true;
	decide(1000);
	is_route("100 100 100");
	assert_non_null(strstr(plan.why, "eu leaves when all that stay show the newest cut"));
	in[2].shown = cut(2);
	decide(1000);
	is_route("0 100 100");
	assert_false(plan.moved);
	in[0].drained = false;
	share[0].recalled = true;
	decide(1000);
	is_route("25 100 100");
	assert_int_equal(plan.moves_left, 4);
}

TEST(a_newcomer_enters_when_it_is_healthy_and_leaves_when_it_is_gone)
{
	UNUSED_STATE;
	n = 2;
	decide(1000);
	n = 3;
	in[2].shown = cut(0);
	decide(1000);
	is_route("100 100 0");
	in[2].shown = cut(1);
	in[2].verdict = DIF_HEALTH_UNKNOWN;
	decide(1000);
	is_route("100 100 0");
	in[2].verdict = DIF_HEALTH_HEALTHY;
	decide(1000);
	is_route("100 100 25");
	in[2].gone = true;
	decide(1000);
	is_route("100 100 0");
}

TEST(after_a_start_the_route_stays_until_all_in_it_are_judged)
{
	UNUSED_STATE;
	decide(1000);
	set(0, DIF_HEALTH_UNKNOWN);
	set(1, DIF_HEALTH_DOWN);
	decide(1000);
	is_route("100 100 100");
	assert_non_null(strstr(plan.why, "eu was not judged yet"));
	set(0, DIF_HEALTH_HEALTHY);
	decide(1000);
	is_route("100 0 100");
}

/* --- all rules, at every step --- */

static uint64_t seed;

static uint32_t chance(uint32_t of) /* xorshift: the same everywhere */
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % of);
}

struct before {
	struct dif_order seen;
	uint32_t percent[N], weight[N], total;
	bool recalled[N], was_in[N], known, unknown_in, pinned, blind;
	uint32_t good_in, bad_in;
};

static int64_t moves[4096]; /* as the test counts them */
static uint32_t nmoves;

static bool newest(const struct before *b, uint32_t i)
{
	return in[i].shown.sha256[0] != '\0' && dif_order_compare(&in[i].shown, &b->seen) >= 0;
}

static bool is_bad(uint32_t i)
{
	return in[i].verdict == DIF_HEALTH_DOWN || in[i].is_stale;
}

static bool is_good(const struct before *b, uint32_t i)
{
	return !in[i].is_private && !in[i].drained && !in[i].gone && !is_bad(i) &&
	       in[i].verdict != DIF_HEALTH_UNKNOWN && newest(b, i);
}

static void random_faults(void)
{
	for (uint32_t i = 0; i < n; i++) {
		if (chance(6) == 0) {
			static const uint32_t verdicts[] = {DIF_HEALTH_HEALTHY, DIF_HEALTH_HEALTHY,
			                                    DIF_HEALTH_HEALTHY, DIF_HEALTH_HEALTHY,
			                                    DIF_HEALTH_DOWN,    DIF_HEALTH_DOWN,
			                                    DIF_HEALTH_DEGRADED};
			set(i, verdicts[chance(7)]);
			in[i].is_stale = in[i].verdict == DIF_HEALTH_DEGRADED && chance(2);
		}
		if (chance(200) == 0) {
			set(i, DIF_HEALTH_UNKNOWN);
		}
		in[i].is_doubtful = in[i].verdict == DIF_HEALTH_DOWN || chance(10) == 0;
		if (in[i].verdict == DIF_HEALTH_HEALTHY && chance(20) > 0) {
			in[i].checked = now - chance(10000);
		}
		if (chance(8) == 0 && in[i].verdict == DIF_HEALTH_HEALTHY) {
			in[i].shown = cut(now / 400000); /* a new one every 400 s */
		}
		if (chance(150) == 0) {
			in[i].drained = !in[i].drained;
			share[i].recalled = !in[i].drained;
		}
		if (chance(300) == 0) {
			in[i].gone = !in[i].gone;
		}
	}
	if (chance(60) == 0) {
		f.pinned = chance(2) ? -1 : (int64_t)chance(n);
	}
	if (chance(20) == 0) {
		sight = (enum dif_sight)chance(3);
	}
}

static struct before look_before(void)
{
	struct before b = {.seen = f.seen, .known = f.known};
	uint32_t down = 0, failing = 0, total = 0;
	for (uint32_t i = 0; i < n; i++) {
		b.percent[i] = share[i].percent;
		b.weight[i] = dif_failover_weight(&f, in, i);
		b.total += b.weight[i];
		b.recalled[i] = share[i].recalled;
		b.was_in[i] = share[i].was_in;
		if (b.percent[i] > 0 && in[i].shown.sha256[0] != '\0' &&
		    (b.seen.sha256[0] == '\0' || dif_order_compare(&in[i].shown, &b.seen) > 0)) {
			b.seen = in[i].shown;
		}
		b.unknown_in =
			b.unknown_in || (b.percent[i] > 0 && in[i].verdict == DIF_HEALTH_UNKNOWN);
		total += b.percent[i] > 0;
		down += b.percent[i] > 0 && in[i].verdict == DIF_HEALTH_DOWN;
		failing +=
			b.percent[i] > 0 && (in[i].verdict == DIF_HEALTH_DOWN || in[i].is_doubtful);
	}
	for (uint32_t i = 0; i < n; i++) {
		b.good_in += b.percent[i] > 0 && is_good(&b, i);
		b.bad_in += b.percent[i] > 0 && is_bad(i) && !in[i].drained && !in[i].gone;
	}
	bool is_pin = f.pinned >= 0 && !in[f.pinned].is_private && !in[f.pinned].gone;
	b.pinned = is_pin || f.was_pinned >= 0;
	b.blind =
		sight == DIF_SIGHT_BLIND || (sight == DIF_SIGHT_NONE && down > 0 && failing >= 2 &&
	                                     failing * 100 >= rules.panic * total);
	return b;
}

static uint32_t moves_within_hour(int64_t at)
{
	uint32_t k = 0;
	for (uint32_t i = 0; i < nmoves; i++) {
		k += at - moves[i] < HOUR_MS;
	}
	return k;
}

static int64_t hold_ends(void)
{
	if (nmoves == 0) {
		return 0;
	}
	int64_t hold = rules.hold, last = moves[nmoves - 1];
	for (uint32_t k = moves_within_hour(last); k > 1; k--) {
		hold = hold * 2 < rules.hold_max ? hold * 2 : rules.hold_max;
	}
	return last + hold;
}

/* What changed by itself, told apart from what a person asked for without asking the function. */
static void check_change(const struct before *b)
{
	bool bad_left = false, sent_left = false, entered = false, by_hand = true;
	uint32_t stay_good = 0, total = 0;
	for (uint32_t i = 0; i < n; i++) {
		bool left = b->percent[i] > 0 && share[i].percent == 0;
		bool sent = in[i].drained || in[i].gone;
		bad_left = bad_left || (left && !sent && in[i].weight != 0) ||
		           (left && !sent && is_bad(i));
		sent_left = sent_left || (left && sent);
		if (b->percent[i] == 0 && share[i].percent > 0) {
			entered = true;
			by_hand = by_hand && b->recalled[i];
			assert_int_equal(in[i].verdict, DIF_HEALTH_HEALTHY);
			assert_true(now - in[i].checked <= rules.fresh && !in[i].is_doubtful);
			assert_true(newest(b, i) && !in[i].drained && !in[i].gone);
		}
		stay_good += share[i].percent > 0 && is_good(b, i);
		total += dif_failover_weight(&f, in, i);
	}
	for (uint32_t i = 0; i < n; i++) { /* who gets a larger part shows the newest */
		uint64_t was = (uint64_t)b->weight[i] * total;
		uint64_t is = (uint64_t)dif_failover_weight(&f, in, i) * b->total;
		assert_true(is <= was || newest(b, i));
	}
	bool move = bad_left || (entered && !by_hand && !sent_left);
	assert_int_equal(plan.moved, move);
	if (sent_left || bad_left) {
		assert_true(stay_good >= (bad_left ? (uint32_t)rules.minimum : 1));
	}
	if (!move) {
		return;
	}
	assert_false(b->blind);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(share[i].percent == 0 || newest(b, i));
		bool alone = !bad_left && !sent_left && b->percent[i] == 0 && share[i].percent > 0;
		if (alone && !b->recalled[i]) {
			assert_true(now >= hold_ends());
			assert_true(!b->was_in[i] ||
			            (rules.failback && now - in[i].since >= rules.failback_time));
		}
	}
	moves[nmoves++] = now;
	assert_true(moves_within_hour(now) <= rules.moves);
}

static void check(const struct before *b)
{
	uint32_t total = 0, members = 0;
	for (uint32_t i = 0; i < n; i++) {
		total += dif_failover_weight(&f, in, i);
		members += share[i].percent > 0;
		assert_true(share[i].percent == 0 || !in[i].is_private);
		assert_true(share[i].percent <= DIF_FAILOVER_WHOLE);
	}
	assert_true(total > 0 || !f.known); /* never zero */
	assert_true(f.known || !b->known);
	if (f.pinned >= 0) {
		assert_int_equal(members, 1);
		assert_true(share[f.pinned].percent > 0);
	}
	for (uint32_t i = 0; i < n && b->pinned && f.pinned < 0; i++) { /* taken off just now */
		assert_true(share[i].percent == 0 || members == 1 || is_good(b, i));
	}
	if (!b->known || b->pinned) {
		assert_false(plan.moved);
		return;
	}
	if (b->unknown_in) {
		assert_false(plan.changed);
		return;
	}
	bool may_move = !b->blind && moves_within_hour(now) < rules.moves;
	if (may_move && b->bad_in > 0 && b->good_in >= rules.minimum) { /* and it does its work */
		for (uint32_t i = 0; i < n; i++) {
			assert_true(share[i].percent == 0 || !is_bad(i));
		}
		assert_true(plan.moved);
	}
	check_change(b);
}

static void one_sequence(uint64_t number)
{
	setup(NULL);
	seed = number * 2654435761u + 88172645463325252u;
	nmoves = 0;
	n = 2 + chance(N - 1);
	rules.minimum = 1 + chance(2);
	rules.failback = chance(4) > 0;
	rules.step = 10 + chance(90);
	rules.failback_time = chance(2) ? 0 : 900000;
	for (uint32_t i = 0; i < n; i++) {
		in[i].weight = chance(5) ? 1 + chance(1000) : 0;
		in[i].is_private = i > 0 && chance(8) == 0;
		in[i].checked = now;
	}
	for (uint32_t i = 0; i < 150; i++) {
		now += chance(3) == 0 ? 60000 + chance(600000) : 1000 + chance(15000);
		random_faults();
		struct before b = look_before();
		dif_failover_decide(&f, &rules, in, n, sight, now, &plan);
		check(&b);
	}
}

TEST(ten_thousand_sequences_of_faults_break_no_rule)
{
	UNUSED_STATE;
	uint64_t total = 0, routes = 0;
	for (uint64_t i = 1; i <= 10000; i++) {
		one_sequence(i);
		total += nmoves;
		routes += f.known;
	}
	assert_true(routes > 8000); /* the faults leave enough to decide about */
	assert_true(total > 10000);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(the_first_route_waits_until_all_are_judged),
		T(one_that_is_down_leaves_and_returns_step_by_step),
		T(without_failback_it_waits_for_a_person),
		T(the_last_one_stays),
		T(readers_are_never_led_to_an_older_cut),
		T(one_that_is_behind_leaves_with_the_one_that_is_down),
		T(a_stale_one_leaves),
		T(a_minimum_stays),
		T(half_of_all_down_at_once_is_our_own_fault_unless_references_answer),
		T(one_of_two_that_is_down_is_no_panic),
		T(holds_double_and_the_fifth_move_is_not_made),
		T(a_spare_serves_while_it_is_needed),
		T(a_pin_wins_over_all_and_what_was_before_comes_back),
		T(a_pin_is_taken_off_when_those_before_it_are_judged),
		T(a_drain_waits_for_those_behind_and_undrain_brings_back),
		T(a_newcomer_enters_when_it_is_healthy_and_leaves_when_it_is_gone),
		T(after_a_start_the_route_stays_until_all_in_it_are_judged),
		T(ten_thousand_sequences_of_faults_break_no_rule),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
