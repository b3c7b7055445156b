#include "support.h"

#include "base/barrier.h"

static int gone;

static void on_gone(struct dif_barrier *b)
{
	gone++;
	free(b); /* allowed: it is the last thing that touches it */
}

TEST(gone_comes_once_with_the_last_release)
{
	UNUSED_STATE;
	struct dif_barrier *b = malloc(sizeof *b);
	assert_non_null(b);
	dif_barrier_init(b, on_gone);
	dif_hold(b);
	dif_hold(b);
	dif_release(b);
	dif_release(b);
	assert_int_equal(gone, 0);
	dif_release(b);
	assert_int_equal(gone, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gone_comes_once_with_the_last_release),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
