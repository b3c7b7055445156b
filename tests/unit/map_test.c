#include "support.h"

#include "base/map.h"

#define N 5000

static char names[N][24];

static void name_all(void)
{
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], "entidad/%d", i);
	}
}

TEST(finds_what_was_put_and_nothing_else)
{
	UNUSED_STATE;
	struct dif_map m;
	dif_map_init(&m);
	assert_null(dif_map_get(&m, "x"));
	assert_null(dif_map_remove(&m, "x"));
	for (int i = 0; i < N; i++) {
		assert_true(dif_map_put(&m, names[i], names[i]));
	}
	assert_int_equal(m.n, N);
	for (int i = 0; i < N; i++) {
		char copy[24]; /* by content, not by address */
		memcpy(copy, names[i], sizeof copy);
		assert_ptr_equal(dif_map_get(&m, copy), names[i]);
	}
	assert_null(dif_map_get(&m, "entidad/5000"));
	assert_null(dif_map_get(&m, ""));
	dif_map_fini(&m);
}

TEST(replacing_takes_the_new_key)
{
	UNUSED_STATE;
	struct dif_map m;
	dif_map_init(&m);
	char old[] = "k", fresh[] = "k";
	assert_true(dif_map_put(&m, old, names[0]));
	assert_true(dif_map_put(&m, fresh, names[1]));
	old[0] = 'x'; /* as if it were freed */
	assert_int_equal(m.n, 1);
	assert_ptr_equal(dif_map_get(&m, "k"), names[1]);
	dif_map_fini(&m);
}

/* Against a plain array, with many removals: shifting back must lose nothing. */
TEST(a_long_random_life_agrees_with_an_array)
{
	UNUSED_STATE;
	static bool there[N];
	struct dif_map m;
	dif_map_init(&m);
	uint64_t x = 42;
	size_t n = 0;
	for (int step = 0; step < 200000; step++) {
		x = x * 6364136223846793005u + 1442695040888963407u;
		size_t i = (size_t)(x >> 33) % 700;
		if (x >> 63) {
			assert_true(dif_map_put(&m, names[i], names[i]));
			n += !there[i];
			there[i] = true;
		} else {
			assert_ptr_equal(dif_map_remove(&m, names[i]), there[i] ? names[i] : NULL);
			n -= there[i];
			there[i] = false;
		}
		assert_int_equal(m.n, n);
	}
	for (size_t i = 0; i < N; i++) {
		assert_ptr_equal(dif_map_get(&m, names[i]), there[i] ? names[i] : NULL);
	}
	dif_map_fini(&m);
}

TEST(a_visit_sees_every_pair_once)
{
	UNUSED_STATE;
	static int seen[N];
	struct dif_map m;
	dif_map_init(&m);
	for (int i = 0; i < N; i++) {
		assert_true(dif_map_put(&m, names[i], &seen[i]));
	}
	size_t at = 0;
	const char *key;
	void *value;
	int n = 0;
	while (dif_map_next(&m, &at, &key, &value)) {
		assert_string_equal(key, names[(int *)value - seen]);
		(*(int *)value)++;
		n++;
	}
	assert_false(dif_map_next(&m, &at, NULL, NULL));
	assert_int_equal(n, N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(seen[i], 1);
	}
	dif_map_fini(&m);
}

int main(void)
{
	name_all();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_what_was_put_and_nothing_else),
		cmocka_unit_test(replacing_takes_the_new_key),
		cmocka_unit_test(a_long_random_life_agrees_with_an_array),
		cmocka_unit_test(a_visit_sees_every_pair_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
