/* freshness - the row of a cut at a destination, over a real state. */
#include "flow/freshness.h"

#include "support.h"

#define SHA "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define OTHER "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct dif_engine *engine;
static struct dif_state *state;

static int open_state(void **data)
{
	static unsigned turn;
	char folder[512];
	bool fresh;
	(void)data;
	snprintf(folder, sizeof folder, "%s/%u", test_folder(), turn++);
	engine = dif_engine_new(NULL);
	state = dif_state_open(engine, folder, DIF_STATE_OWN, &fresh, NULL);
	return state == NULL;
}

static void on_closed(void *data)
{
	(void)data;
}

static int close_state(void **data)
{
	(void)data;
	dif_state_close(state, on_closed, NULL);
	dif_engine_run(engine);
	dif_engine_free(engine);
	return 0;
}

static struct dif_freshness_spans spans(const char *destination)
{
	struct dif_freshness f = {0};
	struct dif_freshness_spans s;
	assert_true(dif_freshness_get(state, destination, SHA, &f));
	dif_freshness_spans(&f, &s);
	return s;
}

TEST(the_way_of_a_cut_is_split_into_source_us_and_cdn)
{
	UNUSED_STATE;
	struct dif_freshness f;
	assert_false(dif_freshness_get(state, "eu", SHA, &f));
	dif_freshness_arrived(state, SHA, 1000, 4000);
	dif_freshness_shown(state, "eu", SHA, 9000, 9500);
	dif_freshness_shown(state, "us", SHA, 9100, 39100);
	struct dif_freshness_spans s = spans("eu");
	assert_int_equal(s.source, 3000);
	assert_int_equal(s.us, 5000);
	assert_int_equal(s.cdn, 500);
	assert_int_equal(s.whole, 8500);
	assert_int_equal(spans("us").cdn, 30000);
	assert_false(dif_freshness_get(state, "eu", OTHER, &f));
}

TEST(what_was_put_and_not_seen_is_open_until_it_is_seen)
{
	UNUSED_STATE;
	dif_freshness_arrived(state, SHA, 1000, 4000);
	dif_freshness_shown(state, "eu", SHA, 9000, 0);
	assert_int_equal(spans("eu").cdn, -1);
	assert_int_equal(spans("eu").whole, -1);
	dif_freshness_shown(state, "eu", SHA, 20000, 70000); /* a repair put some of it again */
	assert_int_equal(spans("eu").us, 5000);
	assert_int_equal(spans("eu").cdn, 61000);
}

TEST(the_first_time_stays)
{
	UNUSED_STATE;
	dif_freshness_arrived(state, SHA, 1000, 4000);
	dif_freshness_arrived(state, SHA, 50000, 60000);
	dif_freshness_shown(state, "eu", SHA, 9000, 9500);
	dif_freshness_shown(state, "eu", SHA, 90000, 95000);
	assert_int_equal(spans("eu").whole, 8500);
}

TEST(a_package_that_a_person_brought_arrived_when_it_was_seen)
{
	UNUSED_STATE;
	struct dif_cut cut = {.order = {.epoch = 1, .number = 1, .sha256 = SHA},
	                      .name = "a.zip",
	                      .source = "publish",
	                      .profile = "production",
	                      .seen = 3000};
	assert_true(dif_state_put_cut(state, &cut));
	dif_freshness_shown(state, "eu", SHA, 9000, 9500);
	assert_int_equal(spans("eu").source, 0);
	assert_int_equal(spans("eu").whole, 6500);
}

TEST(a_clock_that_was_set_back_makes_no_negative_spans)
{
	UNUSED_STATE;
	const struct dif_freshness f = {.noticed = 5000, .arrived = 4000, .put = 0, .visible = 1};
	struct dif_freshness_spans s;
	dif_freshness_spans(&f, &s);
	assert_int_equal(s.source, 0);
	assert_int_equal(s.us, -1);
	assert_int_equal(s.whole, 0);
}

TEST(a_row_that_is_none_is_as_if_it_were_not_there)
{
	UNUSED_STATE;
	static const char *const rows[] = {"",
	                                   "1",
	                                   "1 2 3",
	                                   "1 2 3 4 5",
	                                   "1 2 3 x",
	                                   "1  2 3 4",
	                                   "99999999999999999999 1 1 1",
	                                   "-1 2 3 4"};
	struct dif_freshness f;
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		assert_true(dif_state_put_fact(state, "destination:eu", "fresh:" SHA, rows[i]));
		assert_false(dif_freshness_get(state, "eu", SHA, &f));
	}
}

#define IN_A_STATE(test) cmocka_unit_test_setup_teardown(test, open_state, close_state)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_A_STATE(the_way_of_a_cut_is_split_into_source_us_and_cdn),
		IN_A_STATE(what_was_put_and_not_seen_is_open_until_it_is_seen),
		IN_A_STATE(the_first_time_stays),
		IN_A_STATE(a_package_that_a_person_brought_arrived_when_it_was_seen),
		cmocka_unit_test(a_clock_that_was_set_back_makes_no_negative_spans),
		IN_A_STATE(a_row_that_is_none_is_as_if_it_were_not_there),
	};
	return cmocka_run_group_tests_name("freshness", tests, NULL, NULL);
}
