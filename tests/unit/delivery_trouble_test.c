/* delivery - stores that lose answers, lie, or hang. */
#include "world.h"

#define BUDGET (8u << 20)
#define MANY 60u /* far more than are read back as a sample */

static const struct file few[] = {{"index.html", INDEX("1")}, {"a.json", "{}"}, {"b.json", "{}"}};

#define HIGHEST "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define LOWEST "0000000000000000000000000000000000000000000000000000000000000000"

static void theirs(struct dif_instance *s, const char *key, const char *text, const char *order,
                   const char *sha256)
{
	struct mem_object *o = mem_set(s, key, text, strlen(text));
	mem_meta(o, "epoch", "1");
	mem_meta(o, "order", order);
	mem_meta(o, "sha256", sha256);
	mem_meta(o, "profile", "production");
}

static struct cut *many(struct world *w, struct file *files, char names[][16])
{
	files[0] = (struct file){"index.html", INDEX("1")};
	for (uint32_t i = 1; i < MANY; i++) {
		snprintf(names[i], sizeof names[i], "f%02u.json", i);
		files[i] = (struct file){names[i], "{}"};
	}
	return world_cut(w, 100, files, MANY);
}

static void check_holds(const struct dif_instance *s, const struct file *files, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		check_text(s, files[i].name, files[i].text);
	}
}

TEST(an_answer_that_is_lost_makes_no_store_unfenced)
{
	UNUSED_STATE;
	static const struct {
		uint32_t after, lost;
		int exit;
	} rows[] = {{0, 1, 0}, {1, 1, 0}, {1, 2, 0}, {0, 60, 8}};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		struct world *w = world_new(BUDGET);
		struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
		w->store[0]->lose_after = rows[i].after; /* create, then the right tag */
		w->store[0]->lose_answers = rows[i].lost;
		assert_int_equal(world_exit(w, c, 1), rows[i].exit);
		assert_int_not_equal(w->destinations[0].fence, DIF_UNFENCED);
		cut_free(c);
		world_free(w);
	}
}

TEST(the_barrier_leaves_time_to_finish)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
	w->to[0].barrier = 3600000;
	w->store[1]->dead = true;
	w->timeout_ms = 2000;
	assert_int_equal(world_exit(w, c, 2), 7);
	check_holds(w->store[0], few, DIF_LEN(few));
	cut_free(c);
	world_free(w);
}

TEST(one_object_that_is_wrong_has_all_of_them_read)
{
	UNUSED_STATE;
	struct file files[MANY];
	char names[MANY][16];
	struct world *w = world_new(BUDGET);
	struct cut *c = many(w, files, names);
	w->store[0]->break_after = 3; /* two of the probe, and the marker */
	w->store[0]->break_puts = 20;
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], files, MANY);
	cut_free(c);
	world_free(w);
}

TEST(after_a_store_that_kept_nothing_right_all_is_written_again)
{
	UNUSED_STATE;
	struct file files[MANY];
	char names[MANY][16];
	struct world *w = world_new(BUDGET);
	struct cut *c = many(w, files, names);
	w->store[0]->break_after = 3;
	w->store[0]->break_puts = 9999;
	assert_int_equal(world_exit(w, c, 1), 8);
	w->store[0]->break_puts = 0;
	world_restart(w);
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], files, MANY);
	cut_free(c);
	world_free(w);
}

/* Another agent publishes another cut of our number: one object of it, and its marker. */
static void twin_agent(struct dif_instance *s, const struct dif_put *in)
{
	const char *twin = s->data;
	if (strcmp(in->key, "a.json") == 0 && mem_find(s, "a.json") == NULL) {
		theirs(s, "a.json", "twin", "100", LOWEST);
		theirs(s, ".difusor/live", "{}", "100", twin);
	}
}

TEST(of_two_cuts_of_one_number_the_higher_sha256_stays)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
	w->store[0]->before_put = twin_agent;
	w->store[0]->data = (void *)(uintptr_t)HIGHEST;
	assert_int_equal(world_exit(w, c, 1), 16);
	check_text(w->store[0], "a.json", "twin");
	assert_null(mem_find(w->store[0], "index.html"));
	cut_free(c);
	world_free(w);
}

TEST(of_two_cuts_of_one_number_the_lower_sha256_is_written_over)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
	w->store[0]->before_put = twin_agent;
	w->store[0]->data = (void *)(uintptr_t)LOWEST;
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], few, DIF_LEN(few));
	cut_free(c);
	world_free(w);
}

TEST(what_another_agent_wrote_meanwhile_is_not_taken_for_ours)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
	assert_int_equal(world_exit(w, c, 1), 0);
	/* it has published a cut since, in which a key is another than in our two */
	theirs(w->store[0], "a.json", "theirs", "150", LOWEST);
	theirs(w->store[0], ".difusor/live", "{}", "150", LOWEST);
	struct cut *d = world_cut(w, 200, few, DIF_LEN(few));
	assert_int_equal(world_exit(w, d, 1), 0);
	check_holds(w->store[0], few, DIF_LEN(few));
	cut_free(c);
	cut_free(d);
	world_free(w);
}

static bool has_the_next_one(void *data)
{
	return mem_find(data, "b.json") != NULL;
}

/* The store answers other requests, so no breaker opens. */
TEST(a_newer_cut_does_not_wait_for_an_object_that_hangs)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
	w->store[0]->stuck = "a.json";
	struct dif_publication *p = world_start(w, c, 1, false);
	world_until(w, has_the_next_one, w->store[0]);
	int64_t before = dif_steady_ms();
	dif_publication_supersede(p);
	world_wait(w);
	assert_string_equal(dif_delivery_state(dif_publication_at(p, 0)), "superseded");
	assert_true(dif_steady_ms() - before < PATIENCE_MS);
	dif_publication_free(p);
	w->store[0]->stuck = NULL;
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], few, DIF_LEN(few));
	cut_free(c);
	world_free(w);
}

TEST(a_listing_without_end_ends)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, few, DIF_LEN(few));
	for (uint32_t i = 0; i < 10; i++) {
		char name[16];
		snprintf(name, sizeof name, "foreign%u", i);
		mem_set(w->store[0], name, "x", 1);
	}
	w->store[0]->circles = true;
	struct dif_publication *p = world_publish(w, c, 1);
	assert_int_equal(dif_publication_exit(p), 8);
	assert_non_null(strstr(dif_delivery_error(dif_publication_at(p, 0))->text, "circles"));
	dif_publication_free(p);
	cut_free(c);
	world_free(w);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_that_is_lost_makes_no_store_unfenced),
		cmocka_unit_test(the_barrier_leaves_time_to_finish),
		cmocka_unit_test(one_object_that_is_wrong_has_all_of_them_read),
		cmocka_unit_test(after_a_store_that_kept_nothing_right_all_is_written_again),
		cmocka_unit_test(of_two_cuts_of_one_number_the_higher_sha256_stays),
		cmocka_unit_test(of_two_cuts_of_one_number_the_lower_sha256_is_written_over),
		cmocka_unit_test(what_another_agent_wrote_meanwhile_is_not_taken_for_ours),
		cmocka_unit_test(a_newer_cut_does_not_wait_for_an_object_that_hangs),
		cmocka_unit_test(a_listing_without_end_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
