#include "support.h"

#include "base/arena.h"

TEST(memory_is_zeroed_and_aligned)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, false);
	for (int round = 0; round < 2; round++) {
		for (size_t n = 1; n < 300; n += 7) {
			unsigned char *p = dif_arena_alloc(&a, n);
			assert_non_null(p);
			assert_int_equal((uintptr_t)p % 16, 0);
			for (size_t i = 0; i < n; i++) {
				assert_int_equal(p[i], 0);
			}
			memset(p, 0xaa, n); /* the next round must not find it */
		}
		dif_arena_reset(&a);
	}
	dif_arena_fini(&a);
}

TEST(the_bound_holds_and_failure_is_sticky)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 100, false);
	assert_non_null(dif_arena_alloc(&a, 60));
	assert_non_null(dif_arena_alloc(&a, 40));
	assert_false(a.failed);
	assert_null(dif_arena_alloc(&a, 1));
	assert_true(a.failed);
	assert_string_equal(dif_arena_str(&a, "x"), "");
	assert_string_equal(dif_arena_fmt(&a, "%d", 1), "");
	dif_arena_reset(&a);
	assert_false(a.failed);
	assert_non_null(dif_arena_alloc(&a, 100));
	assert_null(dif_arena_alloc(&a, SIZE_MAX));
	assert_null(dif_arena_copy(&a, "", SIZE_MAX));
	dif_arena_fini(&a);
}

TEST(large_requests_and_text)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 8 << 20, true);
	char *large = dif_arena_alloc(&a, 1 << 20);
	assert_non_null(large);
	memset(large, 'x', 1 << 20);
	assert_string_equal(dif_arena_fmt(&a, "%s-%d", "a", 7), "a-7");
	const char *copy = dif_arena_copy(&a, "ab\0cd", 5);
	assert_memory_equal(copy, "ab\0cd", 6);
	assert_null(dif_arena_str(&a, NULL));
	dif_arena_reset(&a);
	assert_int_equal(a.used, 0);
	dif_arena_fini(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(the_bound_holds_and_failure_is_sticky),
		cmocka_unit_test(large_requests_and_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
