#include "world.h"

#include "flow/purge.h"

#define CUT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define CUT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct scene {
	struct world *w;
	struct dif_instance *cdn[2];
	struct dif_cdn_config rules[2];
	struct dif_destination_config to;
	struct dif_purger *p;
	struct dif_purger_wait wait;
	struct dif_purge_count counts[2];
	bool done, shown;
	struct dif_error err;
};

static const char *const names[] = {"x", "y"};

static void on_shown(void *data)
{
	((struct scene *)data)->shown = true;
}

static void on_done(void *data, const struct dif_error *err)
{
	struct scene *s = data;
	s->err = *err;
	s->done = true;
}

static void open_purger(struct scene *s)
{
	const struct dif_cdn_config *rules[] = {&s->rules[0], &s->rules[1]};
	s->p = dif_purger_open(s->w->setup.engine, s->w->setup.state, &s->to, s->cdn, rules);
	assert_non_null(s->p);
}

static void close_purger(struct scene *s)
{
	dif_purger_close(s->p, world_set_done, s->w);
	world_wait(s->w);
	s->p = NULL;
}

static struct scene *new_scene(uint32_t ncdns)
{
	struct scene *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->w = world_new(1 << 20);
	s->to = (struct dif_destination_config){.name = "eu",
	                                        .public_url = "https://www.example/p/",
	                                        .cdns = names,
	                                        .ncdns = ncdns};
	for (uint32_t i = 0; i < 2; i++) {
		s->cdn[i] = calloc(1, sizeof *s->cdn[i]);
		assert_non_null(s->cdn[i]);
		mem_open(s->cdn[i], s->w->setup.engine, names[i]);
		s->cdn[i]->caps = (struct dif_caps){.size = sizeof(struct dif_caps),
		                                    .purge_scopes = DIF_HAS(DIF_PURGE_URLS) |
		                                                    DIF_HAS(DIF_PURGE_PREFIXES) |
		                                                    DIF_HAS(DIF_PURGE_ALL)};
		s->cdn[i]->cdn = mem_cdn_new();
		s->rules[i] = (struct dif_cdn_config){
			.name = names[i], .settle = 60000, .origin_timeout = 20};
	}
	open_purger(s);
	s->wait = (struct dif_purger_wait){.shown = on_shown, .done = on_done, .data = s};
	return s;
}

static void free_scene(struct scene *s)
{
	if (s->p != NULL) {
		close_purger(s);
	}
	for (uint32_t i = 0; i < 2; i++) {
		mem_close(s->cdn[i]);
	}
	world_free(s->w);
	free(s->cdn[0]);
	free(s->cdn[1]);
	free(s);
}

/* What is durable, as a new process would find it. */
static void restart(struct scene *s)
{
	close_purger(s);
	world_restart(s->w);
	open_purger(s);
}

static void owe(struct scene *s, const char *cut, const char *path, uint32_t phase)
{
	const struct dif_change_of key = {path, phase, DIF_CHANGED};
	assert_true(dif_purger_owe(s->p, cut, &key, 1, s->counts));
}

static void owe_many(struct scene *s, const char *cut, uint32_t n)
{
	struct dif_change_of *keys = calloc(n, sizeof *keys);
	char(*paths)[32] = calloc(n, sizeof *paths);
	assert_non_null(keys);
	assert_non_null(paths);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(paths[i], sizeof paths[i], "data/%05u.json", i);
		keys[i] = (struct dif_change_of){paths[i], DIF_DATA, DIF_CHANGED};
	}
	assert_true(dif_purger_owe(s->p, cut, keys, n, s->counts));
	free(keys);
	free(paths);
}

static void wait_done(struct scene *s)
{
	s->done = s->shown = false;
	dif_purger_wait(s->p, &s->wait);
	assert_false(s->done); /* never before it returns */
	world_until(s->w, world_is_true, &s->done);
}

static uint32_t owed(struct scene *s)
{
	return dif_purge_owed(s->w->setup.state, &s->to);
}

static bool has_called(void *data)
{
	const struct scene *s = data;
	return s->cdn[0]->cdn->ncalls > 0;
}

static bool has_failed(void *data)
{
	return dif_purger_counts(((struct scene *)data)->p).failures > 0;
}

TEST(what_is_owed_goes_to_every_cdn_and_is_forgotten)
{
	UNUSED_STATE;
	struct scene *s = new_scene(2);
	owe(s, CUT_A, "data/a.json", DIF_DATA);
	assert_int_equal(owed(s), 2);
	assert_int_equal(s->counts[1].items[DIF_PURGE_URLS], 1);
	assert_int_equal(s->counts[1].calls, 1);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_true(s->shown);
	assert_int_equal(owed(s), 0);
	assert_int_equal(dif_purger_counts(s->p).owed, 0);
	for (uint32_t i = 0; i < 2; i++) {
		assert_int_equal(mem_cdn_count(s->cdn[i]->cdn, DIF_PURGE_URLS, "/p/data/a.json"),
		                 1);
	}
	free_scene(s);
}

TEST(addresses_go_under_every_name_of_the_site)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	static const char *const want[] = {"https://www.example/p/data/a.json",
	                                   "https://prep.example/p/data/a.json",
	                                   "https://b.example:8443/p/data/a.json"};
	close_purger(s);
	s->rules[0].names = " prep.example  b.example:8443";
	s->cdn[0]->caps.nodes = 2;
	open_purger(s);
	owe(s, CUT_A, "data/a.json", DIF_DATA);
	assert_int_equal(s->counts[0].calls, 6);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(owed(s), 0);
	const struct mem_cdn *x = s->cdn[0]->cdn;
	assert_int_equal(x->ncalls, 6);
	for (uint32_t i = 0; i < 6; i++) {
		uint32_t times = 0;
		for (uint32_t k = 0; k < x->ncalls; k++) {
			times += x->calls[k].node == i % 2 &&
			         strcmp(x->calls[k].first, want[i / 2]) == 0;
			assert_true(k == i || strcmp(x->calls[k].idem, x->calls[i].idem) != 0);
		}
		assert_int_equal(times, 1);
	}
	free_scene(s);
}

TEST(nothing_goes_before_it_is_released)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	dif_purger_resume(s->p);
	owe(s, CUT_A, "a.json", DIF_DATA);
	wait_done(s); /* nothing that was released is open */
	assert_int_equal(s->cdn[0]->cdn->ncalls, 0);
	assert_int_equal(owed(s), 1);
	dif_purger_resume(s->p);
	wait_done(s);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/a.json"), 1);
	free_scene(s);
}

TEST(details_are_known_as_such_after_a_restart_too)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	owe(s, CUT_A, "index.html", DIF_ENTRY);
	owe(s, CUT_A, "data.json", DIF_DATA);
	restart(s);
	assert_true(dif_purger_release_details(s->p));
	wait_done(s);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/data.json"), 1);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/index.html"), 0);
	assert_int_equal(owed(s), 2); /* with and without the name */
	free_scene(s);
}

TEST(entry_pages_and_aggregates_go_twice)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	owe(s, CUT_A, "index.html", DIF_ENTRY);
	owe(s, CUT_A, "total.json", DIF_AGGREGATE);
	owe(s, CUT_A, "data.json", DIF_DATA);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/index.html"), 2);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/"), 2);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/total.json"), 2);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/data.json"), 1);
	const struct mem_cdn *c = s->cdn[0]->cdn;
	assert_string_not_equal(c->calls[0].idem, c->calls[c->ncalls - 1].idem);
	assert_int_equal(owed(s), 0);
	free_scene(s);
}

/* Of a whole site, with the limits that vendors have. */
static void check_limits(uint32_t n, uint32_t most, uint32_t in_flight, uint32_t bytes)
{
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	s->cdn[0]->caps.purge_max = most;
	s->cdn[0]->caps.purge_in_flight = in_flight;
	s->cdn[0]->caps.purge_bytes = bytes;
	s->cdn[0]->caps.purge_item_bytes = 3;
	c->polls = 3;
	owe_many(s, CUT_A, n);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_true(in_flight == 0 || c->most_urls <= in_flight);
	assert_int_equal(mem_cdn_calls(c, DIF_PURGE), s->counts[0].calls);
	assert_int_equal(dif_purger_counts(s->p).settled, n);
	assert_int_equal(mem_cdn_count(c, 0, "/p/data/00000.json"), 1);
	char last[32];
	snprintf(last, sizeof last, "/p/data/%05u.json", n - 1);
	assert_int_equal(mem_cdn_count(c, 0, last), 1);
	free_scene(s);
}

TEST(limits_of_a_call_and_of_what_is_in_flight_are_kept)
{
	UNUSED_STATE;
	check_limits(3500, 30, 0, 0);
	check_limits(3500, 100, 0, 0);
	check_limits(3500, 1000, 3000, 0); /* CloudFront */
	check_limits(3500, 3000, 3000, 0);
	check_limits(3500, 0, 0, 50000); /* Akamai */
	check_limits(60, 1, 15, 0);
}

TEST(wide_purges_in_flight_are_bounded)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	s->cdn[0]->caps.purge_wide_max = 4;
	s->cdn[0]->caps.purge_wide_in_flight = 15;
	c->polls = 4;
	char text[40][32];
	for (uint32_t i = 0; i < 40; i++) {
		snprintf(text[i], sizeof text[i], "/p/%02u/", i);
		assert_true(
			dif_purger_owe_item(s->p, 0,
		                            &(struct dif_purge_item){.scope = DIF_PURGE_PREFIXES,
		                                                     .passes = DIF_PASS_NOW,
		                                                     .text = text[i]}));
	}
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_true(c->most_wides <= 15 && c->most_wides > 8);
	assert_int_equal(dif_purger_counts(s->p).settled, 40);
	free_scene(s);
}

TEST(addresses_per_second_are_bounded)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	s->cdn[0]->caps.purge_max = 10;
	s->cdn[0]->caps.purge_urls_per_s = 500;
	owe_many(s, CUT_A, 50);
	int64_t began = dif_steady_ms();
	dif_purger_release(s->p);
	wait_done(s);
	assert_true(dif_steady_ms() - began >= 79); /* four pauses of 20 ms */
	free_scene(s);
}

TEST(a_refused_purge_is_repeated_with_its_mark)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	c->fail = 1;
	c->as = DIF_THROTTLED;
	c->retry_after = 1200;
	owe(s, CUT_A, "a.json", DIF_DATA);
	int64_t began = dif_steady_ms();
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_int_equal(c->ncalls, 2);
	assert_string_equal(c->calls[0].idem, c->calls[1].idem);
	assert_true(dif_steady_ms() - began >= 1200); /* as long as it was asked to wait */
	free_scene(s);
}

TEST(what_is_owed_again_is_no_repeat)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	const struct mem_cdn *c = s->cdn[0]->cdn;
	for (uint32_t i = 0; i < 2; i++) { /* a repair of the same cut */
		owe(s, CUT_A, "a.json", DIF_DATA);
		dif_purger_release(s->p);
		wait_done(s);
	}
	assert_int_equal(c->ncalls, 2);
	assert_string_not_equal(c->calls[0].idem, c->calls[1].idem);
	free_scene(s);
}

TEST(a_purge_that_the_cdn_lost_is_made_anew)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	c->polls = 2;
	c->fail_tickets = 1;
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_int_equal(mem_cdn_calls(c, DIF_PURGE), 2);
	const char *first = c->calls[0].idem, *second = NULL;
	for (uint32_t i = 1; i < c->ncalls; i++) {
		second = c->calls[i].verb == DIF_PURGE ? c->calls[i].idem : second;
	}
	assert_string_not_equal(first, second); /* else it would be told that it is done */
	free_scene(s);
}

TEST(a_ticket_that_never_settles_is_given_up_in_time)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	s->rules[0].settle = 30;
	c->polls = 1;
	c->never_settles = true;
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	dif_purger_wait(s->p, &s->wait);
	world_until(s->w, has_failed, s);
	c->never_settles = false;
	world_until(s->w, world_is_true, &s->done);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_int_equal(mem_cdn_calls(c, DIF_PURGE), 2);
	assert_int_equal(owed(s), 0);
	free_scene(s);
}

TEST(one_bad_item_does_not_keep_the_others)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	c->poison = "/p/data/00005.json";
	owe_many(s, CUT_A, 12);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_PERMANENT);
	assert_non_null(strstr(s->err.text, "could not purge CDN 'x' of destination 'eu'"));
	assert_int_equal(owed(s), 1);
	for (uint32_t i = 0; i < 12; i++) {
		char item[32];
		snprintf(item, sizeof item, "/p/data/%05u.json", i);
		assert_int_equal(mem_cdn_count(c, 0, item), i != 5);
	}
	free_scene(s);
}

TEST(one_cdn_in_trouble_does_not_keep_the_others)
{
	UNUSED_STATE;
	struct scene *s = new_scene(2);
	s->cdn[0]->cdn->fail = UINT32_MAX;
	s->cdn[0]->cdn->as = DIF_AUTH;
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->err.cls, DIF_AUTH);
	assert_int_equal(mem_cdn_count(s->cdn[1]->cdn, 0, "/p/a.json"), 1);
	assert_int_equal(owed(s), 1);
	free_scene(s);
}

TEST(nodes_are_asked_side_by_side)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	s->cdn[0]->caps.nodes = 3;
	c->dead_node = 2;
	owe(s, CUT_A, "a.json", DIF_DATA);
	assert_int_equal(s->counts[0].calls, 3);
	dif_purger_release(s->p);
	dif_purger_wait(s->p, &s->wait);
	world_until(s->w, has_failed, s);
	assert_int_equal(mem_cdn_count(c, 0, "/p/a.json"), 2);
	assert_int_equal(owed(s), 1); /* by the one that is away */
	c->dead_node = 0;
	world_until(s->w, world_is_true, &s->done);
	assert_int_equal(s->err.cls, DIF_OK);
	assert_int_equal(mem_cdn_count(c, 0, "/p/a.json"), 3);
	assert_int_equal(owed(s), 0);
	free_scene(s);
}

/* --- killed --- */

TEST(what_was_recorded_and_not_asked_for_is_asked_for_after_a_restart)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	owe(s, CUT_A, "index.html", DIF_ENTRY);
	restart(s);
	assert_int_equal(s->cdn[0]->cdn->ncalls, 0);
	assert_int_equal(dif_purger_counts(s->p).owed, 2);
	dif_purger_resume(s->p);
	wait_done(s);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/index.html"), 2);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/"), 2);
	assert_int_equal(owed(s), 0);
	free_scene(s);
}

TEST(what_was_asked_for_and_not_settled_is_asked_for_again_with_its_mark)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	c->polls = 1;
	c->never_settles = true;
	owe(s, CUT_A, "a.json", DIF_DATA);
	owe(s, CUT_A, "b.json", DIF_DATA);
	dif_purger_release(s->p);
	dif_purger_wait(s->p, &s->wait);
	world_until(s->w, has_called, s);
	restart(s);
	uint32_t before = c->ncalls;
	c->never_settles = false;
	dif_purger_resume(s->p);
	wait_done(s);
	assert_string_equal(c->calls[0].idem, c->calls[before].idem);
	assert_int_equal(owed(s), 0);
	restart(s);
	dif_purger_resume(s->p);
	wait_done(s);
	assert_int_equal(mem_cdn_calls(c, DIF_PURGE), 2); /* forgotten for good */
	free_scene(s);
}

TEST(what_cannot_be_read_is_purged)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	close_purger(s);
	assert_true(dif_state_put_fact(s->w->setup.state, "owed:eu:x", "urls /p/a.json", "?"));
	assert_true(
		dif_state_put_fact(s->w->setup.state, "owed:eu:x", "what /p/b.json", "1 1 0 c"));
	open_purger(s);
	dif_purger_resume(s->p);
	wait_done(s);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, 0, "/p/a.json"), 1);
	free_scene(s);
}

/* --- superseded --- */

TEST(a_newer_cut_takes_the_place_of_an_older_purge)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	c->fail = 1;
	c->as = DIF_TRANSIENT;
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	dif_purger_wait(s->p, &s->wait);
	world_until(s->w, has_failed, s);
	owe(s, CUT_B, "a.json", DIF_DATA); /* nothing of the older is left to wait for */
	world_until(s->w, world_is_true, &s->done);
	assert_int_equal(c->ncalls, 1);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(c->ncalls, 2);
	assert_string_not_equal(c->calls[0].idem, c->calls[1].idem);
	assert_int_equal(owed(s), 0);
	free_scene(s);
}

TEST(a_purge_under_way_does_not_count_for_a_newer_cut)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	c->polls = 1;
	c->never_settles = true;
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	dif_purger_resume(s->p);
	world_until(s->w, has_called, s);
	owe(s, CUT_B, "a.json", DIF_DATA);
	c->never_settles = false;
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(mem_cdn_calls(c, DIF_PURGE), 2);
	assert_int_equal(owed(s), 0);
	free_scene(s);
}

TEST(something_wider_covers_what_was_owed_before)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	owe_many(s, CUT_A, 100);
	assert_int_equal(owed(s), 100);
	assert_true(dif_purger_owe_item(s->p, 0,
	                                &(struct dif_purge_item){.scope = DIF_PURGE_ALL,
	                                                         .passes = DIF_PASS_NOW,
	                                                         .text = ""}));
	assert_int_equal(owed(s), 1);
	dif_purger_release(s->p);
	wait_done(s);
	assert_int_equal(s->cdn[0]->cdn->ncalls, 1);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, DIF_PURGE_ALL, ""), 1);
	free_scene(s);
}

/* --- waiting --- */

TEST(who_leaves_stops_the_work_and_who_comes_takes_it_up)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct mem_cdn *c = s->cdn[0]->cdn;
	s->cdn[0]->dead = true;
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	dif_purger_wait(s->p, &s->wait);
	uv_run(&s->w->setup.engine->loop, UV_RUN_ONCE);
	dif_purger_leave(s->p, &s->wait);
	s->cdn[0]->dead = false;
	while (!dif_list_empty(&s->cdn[0]->queue)) {
		uv_run(&s->w->setup.engine->loop, UV_RUN_ONCE);
	}
	assert_int_equal(c->ncalls, 0);
	assert_int_equal(owed(s), 1);
	assert_false(s->done);
	wait_done(s);
	assert_int_equal(mem_cdn_count(c, 0, "/p/a.json"), 1);
	free_scene(s);
}

TEST(two_who_wait_are_both_told)
{
	UNUSED_STATE;
	struct scene *s = new_scene(1);
	struct scene other = {.w = s->w};
	other.wait = (struct dif_purger_wait){.done = on_done, .data = &other};
	owe(s, CUT_A, "a.json", DIF_DATA);
	dif_purger_release(s->p);
	dif_purger_wait(s->p, &other.wait);
	wait_done(s);
	assert_true(other.done);
	free_scene(s);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		T(what_is_owed_goes_to_every_cdn_and_is_forgotten),
		T(addresses_go_under_every_name_of_the_site),
		T(nothing_goes_before_it_is_released),
		T(details_are_known_as_such_after_a_restart_too),
		T(entry_pages_and_aggregates_go_twice),
		T(limits_of_a_call_and_of_what_is_in_flight_are_kept),
		T(wide_purges_in_flight_are_bounded),
		T(addresses_per_second_are_bounded),
		T(a_refused_purge_is_repeated_with_its_mark),
		T(what_is_owed_again_is_no_repeat),
		T(a_purge_that_the_cdn_lost_is_made_anew),
		T(a_ticket_that_never_settles_is_given_up_in_time),
		T(one_bad_item_does_not_keep_the_others),
		T(one_cdn_in_trouble_does_not_keep_the_others),
		T(nodes_are_asked_side_by_side),
		T(what_was_recorded_and_not_asked_for_is_asked_for_after_a_restart),
		T(what_was_asked_for_and_not_settled_is_asked_for_again_with_its_mark),
		T(what_cannot_be_read_is_purged),
		T(a_newer_cut_takes_the_place_of_an_older_purge),
		T(a_purge_under_way_does_not_count_for_a_newer_cut),
		T(something_wider_covers_what_was_owed_before),
		T(who_leaves_stops_the_work_and_who_comes_takes_it_up),
		T(two_who_wait_are_both_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
