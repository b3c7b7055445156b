#include "support.h"

#include "flow/pages.h"

#define MOST 1000u

/* How many pages are turned when the cursors go 0, 1, ... and then round in a circle. */
static uint32_t turns(uint32_t before, uint32_t circle, struct dif_error *err)
{
	struct dif_pages p = {0};
	char cursor[16];
	uint32_t i = 0;
	do {
		uint32_t at = i < before ? i : before + (i - before) % circle;
		snprintf(cursor, sizeof cursor, "c%u", at);
		i++;
	} while (dif_pages_turn(&p, cursor, MOST, err));
	assert_int_equal(p.n, i);
	dif_pages_fini(&p);
	return i;
}

TEST(a_circle_of_any_length_is_noticed_soon)
{
	UNUSED_STATE;
	for (uint32_t before = 0; before < 20; before++) {
		for (uint32_t circle = 1; circle < 20; circle++) {
			struct dif_error err = {0};
			uint32_t n = turns(before, circle, &err);
			assert_true(n <= 3 * (before + circle) + 1);
			assert_true(n > before + circle);
			assert_non_null(strstr(err.text, "circles"));
		}
	}
}

TEST(what_only_goes_on_ends_at_the_bound)
{
	UNUSED_STATE;
	struct dif_error err = {0};
	assert_int_equal(turns(2 * MOST, 1, &err), MOST);
	assert_non_null(strstr(err.text, "1000 pages"));
}

TEST(the_last_page_is_no_failure)
{
	UNUSED_STATE;
	struct dif_pages p = {0};
	struct dif_error err = {0};
	assert_true(dif_pages_turn(&p, "a", 2, &err));
	assert_string_equal(p.cursor, "a");
	assert_true(dif_pages_turn(&p, NULL, 2, &err));
	assert_null(p.cursor);
	dif_pages_fini(&p);
}

TEST(the_bound_leaves_room_for_short_pages)
{
	UNUSED_STATE;
	assert_int_equal(dif_pages_most(100000, 1000), 1400);
	assert_int_equal(dif_pages_most(0, 0), 1000);
	assert_int_equal(dif_pages_most(INT64_MAX / 8, 1), UINT32_MAX);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_circle_of_any_length_is_noticed_soon),
		cmocka_unit_test(what_only_goes_on_ends_at_the_bound),
		cmocka_unit_test(the_last_page_is_no_failure),
		cmocka_unit_test(the_bound_leaves_room_for_short_pages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
