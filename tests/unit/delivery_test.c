#include "world.h"

#define BUDGET (8u << 20)

static const struct file first[] = {
	{"index.html", INDEX("1")}, {"a.json", "{\"a\":1}"},     {"b.json", "{\"b\":1}"},
	{"old.json", "{}"},         {"total.json", "{\"t\":1}"}, {"x.0123abcd.js", "x"},
};
static const struct file second[] = {
	{"index.html", INDEX("2")}, {"a.json", "{\"a\":1}"},     {"b.json", "{\"b\":2}"},
	{"new.json", "{\"n\":2}"},  {"total.json", "{\"t\":2}"}, {"x.0123abcd.js", "x"},
};
#define N DIF_LEN(first)

static void check_holds(const struct dif_instance *s, const struct file *files, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		check_text(s, files[i].name, files[i].text);
	}
}

static void forget_log(struct world *w)
{
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		w->store[i]->nlog = 0;
	}
}

/* An object that another agent has written. */
static struct mem_object *theirs(struct dif_instance *s, const char *key, const char *text,
                                 const char *order)
{
	struct mem_object *o = mem_set(s, key, text, strlen(text));
	mem_meta(o, "epoch", "1");
	mem_meta(o, "order", order);
	mem_meta(o, "sha256", "00000000000000000000000000000000000000000000000000000000000000ff");
	mem_meta(o, "profile", "production");
	return o;
}

TEST(pages_come_last_and_every_put_is_conditional_with_its_order)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	assert_int_equal(world_exit(w, c, 1), 0);
	struct dif_instance *s = w->store[0];
	check_holds(s, first, N);
	int index = mem_logged(s, DIF_PUT, "index.html");
	int total = mem_logged(s, DIF_PUT, "total.json");
	int marker = mem_logged(s, DIF_PUT, ".difusor/live");
	assert_true(marker >= 0 && index > total);
	for (uint32_t i = 0; i < s->nlog; i++) {
		const struct mem_line *l = &s->log[i];
		if (l->verb == DIF_PUT && mem_find(s, l->key) != NULL) {
			assert_true(l->if_absent || l->if_tag);
			assert_true((int)i <= index);
			assert_true(strcmp(l->key, "index.html") == 0 || (int)i < index);
			assert_true((int)i >= marker);
		}
	}
	const struct mem_object *o = mem_find(s, "a.json");
	assert_string_equal(o->name[1], "order");
	assert_string_equal(o->value[1], "100");
	assert_string_equal(o->name[2], "sha256");
	assert_int_equal(strlen(o->value[2]), 64);
	assert_string_equal(mem_find(s, "total.json")->cache, "max-age=5");
	const struct mem_object *m = mem_find(s, ".difusor/live");
	assert_string_equal(m->value[2], c->package->sha256);
	assert_string_equal(m->value[3], "production");
	assert_non_null(memmem(m->p, m->n, "\"order\":100", 11));
	cut_free(c);
	world_free(w);
}

TEST(only_what_changed_is_put_and_nothing_is_asked_before)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	world_restart(w);
	forget_log(w);
	struct dif_publication *p = world_publish(w, two, 1);
	const struct dif_delivery_counts *n = dif_delivery_counts(dif_publication_at(p, 0));
	assert_int_equal(dif_publication_exit(p), 0);
	assert_int_equal(n->puts, 4);
	assert_int_equal(n->skipped, 2);
	assert_int_equal(n->removed, 0);
	assert_int_equal(n->remove_later, 1);
	dif_publication_free(p);
	check_holds(w->store[0], second, N);
	check_text(w->store[0], "old.json", "{}"); /* its grace has not passed */
	assert_int_equal(mem_count(w->store[0], DIF_LIST, NULL), 0);
	assert_int_equal(mem_count(w->store[0], DIF_HEAD, NULL), 0);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "a.json"), 0);
	assert_true(mem_logged(w->store[0], DIF_PUT, "new.json") <
	            mem_logged(w->store[0], DIF_PUT, "b.json"));
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(orphans_go_after_their_grace_and_strangers_stay)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	mem_set(w->store[0], "stranger.txt", "s", 1);
	assert_int_equal(world_exit(w, one, 1), 0);
	assert_int_equal(world_exit(w, two, 1), 0);
	assert_non_null(mem_find(w->store[0], "old.json"));
	w->to[0].grace = 0;
	world_restart(w);
	struct dif_publication *p = world_publish(w, two, 1);
	const struct dif_delivery_counts *n = dif_delivery_counts(dif_publication_at(p, 0));
	assert_int_equal(n->removed, 1);
	assert_int_equal(n->puts, 0);
	dif_publication_free(p);
	assert_null(mem_find(w->store[0], "old.json"));
	check_text(w->store[0], "stranger.txt", "s");
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(a_key_named_again_is_no_orphan)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	struct cut *three = world_cut(w, 102, first, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	assert_int_equal(world_exit(w, two, 1), 0);
	assert_true(dif_destination_held(&w->destinations[0], "old.json")->orphan_since != 0);
	w->to[0].grace = 0;
	assert_int_equal(world_exit(w, three, 1), 0);
	assert_true(dif_destination_held(&w->destinations[0], "old.json")->orphan_since == 0);
	check_holds(w->store[0], first, N);
	assert_null(mem_find(w->store[0], "new.json"));
	cut_free(one);
	cut_free(two);
	cut_free(three);
	world_free(w);
}

TEST(an_orphan_that_somebody_else_wrote_again_stays)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	mem_set(w->store[0], "old.json", "foreign", 7);
	w->to[0].grace = 0;
	assert_int_equal(world_exit(w, two, 1), 0);
	check_text(w->store[0], "old.json", "foreign");
	assert_int_equal(world_exit(w, two, 1), 0); /* asked now, and known as not ours */
	check_text(w->store[0], "old.json", "foreign");
	assert_null(dif_destination_held(&w->destinations[0], "old.json"));
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(something_foreign_in_the_way_is_exit_16_before_the_first_put)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	mem_set(w->store[0], "total.json", "mine", 4);
	struct dif_publication *p = world_publish(w, c, 1);
	assert_int_equal(dif_publication_exit(p), 16);
	const char *text = dif_delivery_error(dif_publication_at(p, 0))->text;
	assert_non_null(strstr(text, "total.json"));
	assert_non_null(strstr(text, "adopt = yes"));
	dif_publication_free(p);
	check_text(w->store[0], "total.json", "mine");
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(mem_count(w->store[0], DIF_PUT, first[i].name), 0);
	}
	w->to[0].adopt = 1;
	world_restart(w);
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], first, N);
	cut_free(c);
	world_free(w);
}

TEST(a_newer_marker_ends_the_delivery_before_it_writes)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	theirs(w->store[0], ".difusor/live", "{}", "200");
	assert_int_equal(world_exit(w, c, 1), 16);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "index.html"), 0);
	assert_string_equal(mem_find(w->store[0], ".difusor/live")->value[1], "200");
	cut_free(c);
	world_free(w);
}

TEST(our_own_newer_cut_is_not_overtaken_by_an_older_one)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	w->store[0]->stuck = "index.html";
	w->timeout_ms = 2000;
	assert_int_equal(world_exit(w, two, 1), 8);
	w->store[0]->stuck = NULL;
	w->timeout_ms = 0;
	world_restart(w);
	assert_int_equal(world_exit(w, one, 1), 16);
	check_text(w->store[0], "b.json", second[2].text);
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(a_marker_of_another_profile_ends_the_delivery)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	struct mem_object *o = theirs(w->store[0], ".difusor/live", "{}", "50");
	snprintf(o->value[3], sizeof o->value[3], "rehearsal");
	struct dif_publication *p = world_publish(w, c, 1);
	assert_int_equal(dif_publication_exit(p), 16);
	assert_non_null(strstr(dif_delivery_error(dif_publication_at(p, 0))->text, "rehearsal"));
	dif_publication_free(p);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "index.html"), 0);
	cut_free(c);
	world_free(w);
}

/* Another agent publishes a newer cut in the middle of ours. */
static void newer_agent(struct dif_instance *s, const struct dif_put *in)
{
	if (strcmp(in->key, "total.json") == 0 && mem_find(s, "total.json") == NULL) {
		theirs(s, "total.json", "newer", "200");
		theirs(s, ".difusor/live", "{}", "200");
	}
}

TEST(a_key_that_a_newer_agent_wrote_is_left_alone)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	w->store[0]->before_put = newer_agent;
	assert_int_equal(world_exit(w, c, 1), 16);
	check_text(w->store[0], "total.json", "newer");
	assert_null(mem_find(w->store[0], "index.html"));
	cut_free(c);
	world_free(w);
}

static void older_agent(struct dif_instance *s, const struct dif_put *in)
{
	uint32_t *times = s->data;
	if (strcmp(in->key, "b.json") == 0 && *times > 0) {
		(*times)--;
		theirs(s, "b.json", "late", "50");
	}
}

TEST(a_late_write_of_an_older_agent_is_written_over)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	uint32_t times = 2;
	w->store[0]->before_put = older_agent;
	w->store[0]->data = &times;
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], first, N);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "b.json"), 3);
	cut_free(c);
	world_free(w);
}

TEST(a_key_that_changes_as_often_as_it_is_written_fails)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	uint32_t times = 1000;
	w->store[0]->before_put = older_agent;
	w->store[0]->data = &times;
	assert_int_equal(world_exit(w, c, 1), 8);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "b.json"), 6);
	cut_free(c);
	world_free(w);
}

TEST(a_put_whose_answer_was_lost_counts_as_arrived)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	forget_log(w);
	w->store[0]->lose_answers = 5; /* marker and keys */
	assert_int_equal(world_exit(w, two, 1), 0);
	for (uint32_t i = 0; i < N; i++) {
		assert_true(mem_count(w->store[0], DIF_PUT, second[i].name) <= 1);
	}
	check_holds(w->store[0], second, N);
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(bytes_that_come_back_otherwise_are_written_again_three_times_at_most)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	w->store[0]->break_puts = 2;
	w->store[0]->break_key = "index.html";
	assert_int_equal(world_exit(w, c, 1), 0);
	check_holds(w->store[0], first, N);
	w->store[1]->break_puts = 99;
	w->store[1]->break_key = "index.html";
	struct dif_publication *p = world_publish(w, c, 2);
	assert_int_equal(dif_publication_exit(p), 7);
	assert_int_equal(dif_delivery_error(dif_publication_at(p, 1))->cls, DIF_INTEGRITY);
	dif_publication_free(p);
	assert_int_equal(mem_count(w->store[1], DIF_PUT, "index.html"), 3);
	assert_non_null(mem_find(w->store[1], "index.html")); /* a live key is never removed */
	cut_free(c);
	world_free(w);
}

TEST(a_store_without_conditions_is_unfenced_and_written_plainly)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	w->store[0]->blind = true;
	assert_int_equal(world_exit(w, c, 1), 0);
	assert_int_equal(w->destinations[0].fence, DIF_UNFENCED);
	int at = mem_logged(w->store[0], DIF_PUT, "index.html");
	assert_true(at >= 0);
	assert_false(w->store[0]->log[at].if_absent || w->store[0]->log[at].if_tag);
	check_holds(w->store[0], first, N);
	cut_free(c);
	world_free(w);
}

TEST(a_store_that_wants_bare_tags_gets_them)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	w->store[0]->bare = true;
	w->store[0]->caps.flags &= ~(uint32_t)DIF_CAP_COND_REMOVE;
	w->to[0].grace = 0;
	assert_int_equal(world_exit(w, one, 1), 0);
	assert_true(w->destinations[0].bare_tags);
	world_restart(w);
	forget_log(w);
	assert_int_equal(world_exit(w, two, 1), 0);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "b.json"), 1);
	check_holds(w->store[0], second, N);
	assert_null(mem_find(w->store[0], "old.json"));
	cut_free(one);
	cut_free(two);
	world_free(w);
}

static void lose_state(struct world *w)
{
	world_close_state(w);
	snprintf(w->folder + strlen(w->folder), 8, "-lost");
	assert_int_equal(mkdir(w->folder, 0700), 0);
	world_open_state(w);
	world_open_destinations(w);
}

TEST(lost_knowledge_is_listed_again_and_nothing_is_written_twice)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	mem_set(w->store[0], "stranger.txt", "s", 1);
	assert_int_equal(world_exit(w, c, 1), 0);
	lose_state(w);
	forget_log(w);
	struct dif_publication *p = world_publish(w, c, 1);
	assert_int_equal(dif_publication_exit(p), 0);
	assert_int_equal(dif_delivery_counts(dif_publication_at(p, 0))->puts, 0);
	assert_int_equal(dif_delivery_counts(dif_publication_at(p, 0))->skipped, N);
	dif_publication_free(p);
	assert_true(mem_count(w->store[0], DIF_LIST, NULL) > 1); /* pages of four */

	w->store[0]->caps.flags &= ~(uint32_t)DIF_CAP_LIST_META; /* as S3 lists */
	lose_state(w);
	forget_log(w);
	p = world_publish(w, c, 1);
	assert_int_equal(dif_publication_exit(p), 0);
	assert_int_equal(dif_delivery_counts(dif_publication_at(p, 0))->puts, 0);
	dif_publication_free(p);
	assert_int_equal(mem_count(w->store[0], DIF_HEAD, "a.json"), 1);
	assert_int_equal(mem_count(w->store[0], DIF_HEAD, "stranger.txt"), 0);
	w->to[0].grace = 0;
	assert_int_equal(world_exit(w, c, 1), 0);
	assert_int_equal(world_exit(w, c, 1), 0);
	check_text(w->store[0], "stranger.txt", "s"); /* asked whose it is, and left */
	cut_free(c);
	world_free(w);
}

/* What a killed agent leaves: the record of a cut that is not complete. */
static void crash_record(struct world *w, const struct cut *c)
{
	struct dif_delivery_record r = {.destination = "eu",
	                                .state = "putting",
	                                .reason = "",
	                                .started = dif_wall_ms() + 1000};
	memcpy(r.sha256, c->package->sha256, 65);
	assert_true(dif_state_put_manifest(w->setup.state, c->manifest));
	assert_true(dif_state_put_delivery(w->setup.state, &r));
	world_restart(w);
}

TEST(after_a_crash_what_the_cut_wanted_otherwise_is_written_even_if_equal)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	crash_record(w, two);
	forget_log(w);
	struct cut *three = world_cut(w, 102, first, N);
	/* the killed agent's put of b.json and new.json had got through, and nobody knows */
	theirs(w->store[0], "b.json", "{\"b\":2}", "101");
	theirs(w->store[0], "new.json", "{\"n\":2}", "101");
	w->to[0].grace = 0;
	assert_int_equal(world_exit(w, three, 1), 0);
	check_holds(w->store[0], first, N);
	assert_true(mem_count(w->store[0], DIF_PUT, "b.json") > 0);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "a.json"), 0);
	assert_int_equal(mem_count(w->store[0], DIF_LIST, NULL), 0);
	assert_null(mem_find(w->store[0], "new.json")); /* an orphan that no record names */
	cut_free(one);
	cut_free(two);
	cut_free(three);
	world_free(w);
}

TEST(after_a_crash_without_the_manifest_the_store_is_listed)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	crash_record(w, two);
	/* three more manifests push it out */
	for (int64_t i = 0; i < 3; i++) {
		struct file files[N];
		char text[32];
		memcpy(files, first, sizeof first);
		snprintf(text, sizeof text, "{\"a\":%d}", (int)(7 + i));
		files[1].text = text;
		struct cut *c = world_cut(w, 200 + i, files, N);
		assert_true(dif_state_put_manifest(w->setup.state, c->manifest));
		cut_free(c);
	}
	world_restart(w);
	forget_log(w);
	struct cut *three = world_cut(w, 300, first, N);
	assert_int_equal(world_exit(w, three, 1), 0);
	assert_true(mem_count(w->store[0], DIF_LIST, NULL) > 0);
	check_holds(w->store[0], first, N);
	cut_free(one);
	cut_free(two);
	cut_free(three);
	world_free(w);
}

static bool first_waits(void *data)
{
	struct dif_publication *p = data;
	return strcmp(dif_delivery_state(dif_publication_at(p, 0)), "waiting") == 0;
}

TEST(no_page_goes_out_before_the_other_destination_has_its_details)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	w->store[1]->dead = true;
	struct dif_publication *p = world_start(w, c, 2, false);
	world_until(w, first_waits, p);
	assert_non_null(mem_find(w->store[0], "a.json"));
	assert_null(mem_find(w->store[0], "total.json"));
	assert_null(mem_find(w->store[0], "index.html"));
	w->store[1]->dead = false;
	mem_wake(w->store[1]);
	world_wait(w);
	assert_int_equal(dif_publication_exit(p), 0);
	assert_int_equal(w->store[0]->limit, 128);
	dif_publication_free(p);
	check_holds(w->store[0], first, N);
	check_holds(w->store[1], first, N);
	cut_free(c);
	world_free(w);
}

TEST(the_barrier_waits_no_longer_than_it_says)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	w->to[0].barrier = 0;
	w->store[1]->dead = true;
	struct dif_publication *p = world_start(w, c, 2, false);
	int64_t end = dif_steady_ms() + PATIENCE_MS;
	while (mem_find(w->store[0], "index.html") == NULL) {
		assert_true(dif_steady_ms() < end);
		uv_run(&w->setup.engine->loop, UV_RUN_ONCE);
	}
	w->store[1]->down_since = dif_steady_ms() - 2000;
	world_wait(w);
	assert_int_equal(dif_publication_exit(p), 7);
	dif_publication_free(p);
	cut_free(c);
	world_free(w);
}

TEST(a_dead_destination_is_not_reached_and_holds_up_nobody)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 2), 0);
	w->store[1]->dead = true;
	w->store[1]->down_since = dif_steady_ms() - 2000;
	struct dif_publication *p = world_publish(w, two, 2);
	assert_int_equal(dif_publication_exit(p), 7);
	assert_string_equal(dif_delivery_state(dif_publication_at(p, 0)), "done");
	assert_string_equal(dif_delivery_state(dif_publication_at(p, 1)), "failed");
	dif_publication_free(p);
	check_holds(w->store[0], second, N);
	check_holds(w->store[1], first, N);
	/* it comes back, and is brought up to date alone */
	w->store[1]->dead = false;
	w->store[1]->down_since = 0;
	assert_int_equal(world_exit(w, two, 2), 0);
	check_holds(w->store[1], second, N);
	w->store[0]->dead = w->store[1]->dead = true;
	w->store[0]->down_since = w->store[1]->down_since = dif_steady_ms() - 2000;
	assert_int_equal(world_exit(w, one, 2), 8);
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(a_dry_run_counts_and_writes_nothing)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	assert_int_equal(world_exit(w, one, 1), 0);
	forget_log(w);
	struct dif_publication *p = world_start(w, two, 2, true);
	world_wait(w);
	const struct dif_delivery_counts *n = dif_delivery_counts(dif_publication_at(p, 0));
	assert_int_equal(dif_publication_exit(p), 0);
	assert_int_equal(n->puts_of, 4);
	assert_int_equal(n->remove_later, 1);
	assert_int_equal(dif_delivery_counts(dif_publication_at(p, 1))->puts_of, N);
	dif_publication_free(p);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		assert_int_equal(mem_count(w->store[i], DIF_PUT, NULL), 0);
		assert_int_equal(mem_count(w->store[i], DIF_REMOVE, NULL), 0);
	}
	assert_int_equal(w->store[1]->nobjects, 0);
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(a_newer_cut_supersedes_what_waits_at_the_barrier)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *c = world_cut(w, 100, first, N);
	w->store[1]->dead = true;
	struct dif_publication *p = world_start(w, c, 2, false);
	world_until(w, first_waits, p);
	w->store[1]->down_since = dif_steady_ms();
	dif_publication_supersede(p);
	world_wait(w);
	assert_string_equal(dif_delivery_state(dif_publication_at(p, 0)), "superseded");
	assert_string_equal(dif_delivery_state(dif_publication_at(p, 1)), "superseded");
	assert_int_equal(dif_publication_exit(p), 1);
	dif_publication_free(p);
	assert_null(mem_find(w->store[0], "index.html"));
	cut_free(c);
	world_free(w);
}

TEST(two_deliveries_to_one_destination_take_turns)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	struct cut *one = world_cut(w, 100, first, N), *two = world_cut(w, 101, second, N);
	struct dif_publication *p = world_start(w, one, 1, false);
	struct dif_publication *q = world_start(w, two, 1, false);
	assert_string_equal(dif_delivery_state(dif_publication_at(q, 0)), "queued");
	world_wait(w);
	if (strcmp(dif_delivery_state(dif_publication_at(q, 0)), "done") != 0) {
		world_wait(w);
	}
	assert_int_equal(dif_publication_exit(p), 0);
	assert_int_equal(dif_publication_exit(q), 0);
	dif_publication_free(p);
	dif_publication_free(q);
	check_holds(w->store[0], second, N);
	cut_free(one);
	cut_free(two);
	world_free(w);
}

TEST(siblings_are_written_and_removed_with_their_entry)
{
	UNUSED_STATE;
	struct world *w = world_new(BUDGET);
	char big[2000];
	memset(big, ' ', sizeof big);
	memcpy(big, "{}", 2);
	big[sizeof big - 1] = '\0';
	const struct file with[] = {
		{"index.html", INDEX("1")}, {"big.json", big}, {"s.json", "{}"}};
	const struct file without[] = {{"index.html", INDEX("2")}, {"s.json", "{}"}};
	struct cut *one = world_cut(w, 100, with, 3), *two = world_cut(w, 101, without, 2);
	w->to[0].siblings = "gzip";
	w->to[0].grace = 0;
	assert_int_equal(world_exit(w, one, 1), 0);
	const struct mem_object *o = mem_find(w->store[0], "big.json.gz");
	assert_non_null(o);
	assert_int_equal(o->p[0], 0x1f);
	assert_int_equal(o->p[1], 0x8b);
	assert_string_equal(o->encoding, "");
	assert_string_equal(o->name[3], "form");
	assert_null(mem_find(w->store[0], "s.json.gz"));
	lose_state(w);
	forget_log(w);
	assert_int_equal(world_exit(w, one, 1), 0);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, "big.json.gz"), 0);
	assert_int_equal(world_exit(w, two, 1), 0);
	assert_null(mem_find(w->store[0], "big.json.gz"));
	assert_null(mem_find(w->store[0], "big.json"));
	cut_free(one);
	cut_free(two);
	world_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pages_come_last_and_every_put_is_conditional_with_its_order),
		cmocka_unit_test(only_what_changed_is_put_and_nothing_is_asked_before),
		cmocka_unit_test(orphans_go_after_their_grace_and_strangers_stay),
		cmocka_unit_test(a_key_named_again_is_no_orphan),
		cmocka_unit_test(an_orphan_that_somebody_else_wrote_again_stays),
		cmocka_unit_test(something_foreign_in_the_way_is_exit_16_before_the_first_put),
		cmocka_unit_test(a_newer_marker_ends_the_delivery_before_it_writes),
		cmocka_unit_test(our_own_newer_cut_is_not_overtaken_by_an_older_one),
		cmocka_unit_test(a_marker_of_another_profile_ends_the_delivery),
		cmocka_unit_test(a_key_that_a_newer_agent_wrote_is_left_alone),
		cmocka_unit_test(a_late_write_of_an_older_agent_is_written_over),
		cmocka_unit_test(a_key_that_changes_as_often_as_it_is_written_fails),
		cmocka_unit_test(a_put_whose_answer_was_lost_counts_as_arrived),
		cmocka_unit_test(
			bytes_that_come_back_otherwise_are_written_again_three_times_at_most),
		cmocka_unit_test(a_store_without_conditions_is_unfenced_and_written_plainly),
		cmocka_unit_test(a_store_that_wants_bare_tags_gets_them),
		cmocka_unit_test(lost_knowledge_is_listed_again_and_nothing_is_written_twice),
		cmocka_unit_test(
			after_a_crash_what_the_cut_wanted_otherwise_is_written_even_if_equal),
		cmocka_unit_test(after_a_crash_without_the_manifest_the_store_is_listed),
		cmocka_unit_test(no_page_goes_out_before_the_other_destination_has_its_details),
		cmocka_unit_test(the_barrier_waits_no_longer_than_it_says),
		cmocka_unit_test(a_dead_destination_is_not_reached_and_holds_up_nobody),
		cmocka_unit_test(a_dry_run_counts_and_writes_nothing),
		cmocka_unit_test(a_newer_cut_supersedes_what_waits_at_the_barrier),
		cmocka_unit_test(two_deliveries_to_one_destination_take_turns),
		cmocka_unit_test(siblings_are_written_and_removed_with_their_entry),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
