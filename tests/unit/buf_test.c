#include "support.h"

#include "base/buf.h"

TEST(grows_and_stays_terminated)
{
	UNUSED_STATE;
	struct dif_buf b;
	dif_buf_init(&b, 100000);
	assert_string_equal(dif_buf_str(&b), "");
	for (int i = 0; i < 10000; i++) {
		assert_true(dif_buf_fmt(&b, "%04d", i));
		assert_int_equal(b.p[b.n], '\0');
	}
	assert_int_equal(b.n, 40000);
	assert_memory_equal(b.p + 39996, "9999", 5);
	assert_true(dif_buf_add(&b, NULL, 0));
	dif_buf_wipe(&b);
	assert_null(b.p);
	assert_true(dif_buf_add(&b, "a\0b", 3)); /* usable again, with the same bound */
	assert_int_equal(b.n, 3);
	assert_int_equal(b.max, 100000);
	dif_buf_fini(&b);
}

TEST(the_bound_is_exact_and_failure_is_sticky)
{
	UNUSED_STATE;
	struct dif_buf b;
	dif_buf_init(&b, 10);
	assert_true(dif_buf_add(&b, "0123456789", 10));
	assert_false(b.failed);
	assert_false(dif_buf_add(&b, "x", 1));
	assert_true(b.failed);
	assert_false(dif_buf_fmt(&b, "%s", ""));
	assert_string_equal(dif_buf_str(&b), "0123456789");
	dif_buf_fini(&b);
	assert_false(b.failed);
	dif_buf_init(&b, SIZE_MAX);
	assert_true(dif_buf_add(&b, "x", 1));
	assert_false(dif_buf_add(&b, "x", SIZE_MAX));
	dif_buf_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_stays_terminated),
		cmocka_unit_test(the_bound_is_exact_and_failure_is_sticky),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
