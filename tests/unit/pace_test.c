#include "support.h"

#include "flow/pace.h"

static bool fails(struct dif_pace *p, int64_t now, const char *text)
{
	struct dif_error err = {0};
	dif_error_set(&err, DIF_AUTH, "%s", text);
	return dif_pace_failed(p, now, &err);
}

TEST(the_wait_doubles_from_30_s_to_10_min)
{
	UNUSED_STATE;
	static const int64_t seconds[] = {30, 60, 120, 240, 480, 600, 600, 600};
	struct dif_pace p = {0};
	int64_t now = 1000;
	assert_true(dif_pace_may(&p, now));
	for (size_t i = 0; i < DIF_LEN(seconds); i++) {
		fails(&p, now, "no");
		assert_false(dif_pace_may(&p, now + seconds[i] * 1000 - 1));
		now += seconds[i] * 1000;
		assert_true(dif_pace_may(&p, now));
	}
	dif_pace_reset(&p);
	assert_true(dif_pace_may(&p, 0));
	fails(&p, now, "no");
	assert_true(dif_pace_may(&p, now + 30000));
}

TEST(the_same_reason_is_told_once_and_every_tenth_time)
{
	UNUSED_STATE;
	struct dif_pace p = {0};
	uint32_t told = 0;
	for (uint32_t i = 0; i < 21; i++) {
		char text[128];
		(void)snprintf(text, sizeof text,
		               "could not put object 'data/%u.json': no answer for %u s", i,
		               60 + i);
		told += fails(&p, i, text);
		assert_int_equal(told, 1 + i / 10);
	}
}

TEST(another_reason_is_told_at_once)
{
	UNUSED_STATE;
	struct dif_pace p = {0};
	assert_true(fails(&p, 0, "could not put object 'a': access denied"));
	assert_false(fails(&p, 0, "could not put object 'b': access denied"));
	assert_true(fails(&p, 0, "could not put object 'a': quota exceeded"));
	assert_true(fails(&p, 0, "could not put object 'a': access denied"));
	assert_false(fails(&p, 0, "could not put object 'a': access denied"));
	dif_pace_reset(&p);
	assert_true(fails(&p, 0, "could not put object 'a': access denied"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wait_doubles_from_30_s_to_10_min),
		cmocka_unit_test(the_same_reason_is_told_once_and_every_tenth_time),
		cmocka_unit_test(another_reason_is_told_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
