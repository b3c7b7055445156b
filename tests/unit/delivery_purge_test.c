#include <stdatomic.h>

#include "unit/support/peer.h"
#include "world.h"

/* Two destinations, each behind a CDN of its own. */
struct scene {
	struct world *w;
	struct dif_instance *cdn[DESTINATIONS];
	struct dif_cdn_config rules[DESTINATIONS];
};

static const char *const names[DESTINATIONS][1] = {{"x"}, {"y"}};

static void open_purgers(struct scene *s)
{
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		struct dif_destination *d = &s->w->destinations[i];
		d->cdns[0] = s->cdn[i];
		d->cdn_configs[0] = &s->rules[i];
		d->purger = dif_purger_open(s->w->setup.engine, s->w->setup.state, d->config,
		                            d->cdns, d->cdn_configs);
		assert_non_null(d->purger);
	}
}

static void close_purgers(struct scene *s)
{
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		dif_purger_close(s->w->destinations[i].purger, world_set_done, s->w);
		world_wait(s->w);
	}
}

static struct scene *new_scene(void)
{
	struct scene *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->w = world_new(1 << 20);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		s->w->to[i].cdns = names[i];
		s->w->to[i].ncdns = 1;
		s->w->to[i].public_url = i == 0 ? "http://127.0.0.1:1/" : "http://127.0.0.1:1/p/";
		s->cdn[i] = calloc(1, sizeof *s->cdn[i]);
		assert_non_null(s->cdn[i]);
		mem_open(s->cdn[i], s->w->setup.engine, names[i][0]);
		s->cdn[i]->caps = (struct dif_caps){.size = sizeof(struct dif_caps),
		                                    .purge_scopes = DIF_HAS(DIF_PURGE_URLS)};
		s->cdn[i]->cdn = mem_cdn_new();
		s->rules[i] = (struct dif_cdn_config){
			.name = names[i][0], .settle = 60000, .origin_timeout = 20};
	}
	open_purgers(s);
	return s;
}

static void free_scene(struct scene *s)
{
	close_purgers(s);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		mem_close(s->cdn[i]);
	}
	world_free(s->w);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		free(s->cdn[i]);
	}
	free(s);
}

static const struct file first[] = {{"index.html", INDEX("one")},
                                    {"app.0123abcd.js", "code"},
                                    {"data/a.json", "a1"},
                                    {"data/b.json", "b1"},
                                    {"total.json", "t1"}};
static const struct file second[] = {{"index.html", INDEX("two")},
                                     {"app.0123abcd.js", "code"},
                                     {"data/a.json", "a2"},
                                     {"data/c.json", "c2"},
                                     {"total.json", "t2"}};
#define N DIF_LEN(first)

/* The first cut is there, and nothing is owed. */
static void publish_first(struct scene *s)
{
	struct cut *c = world_cut(s->w, 1, first, N);
	assert_int_equal(world_exit(s->w, c, DESTINATIONS), DIF_EXIT_OK);
	cut_free(c);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		mem_cdn_clear(s->cdn[i]->cdn);
	}
}

static uint32_t owed(struct scene *s, uint32_t i)
{
	return dif_purge_owed(s->w->setup.state, &s->w->to[i]);
}

static const char *whole(struct scene *s, struct dif_arena *a)
{
	return dif_state_fact(s->w->setup.state, "destination:eu", DIF_FACT_WHOLE, 0, a);
}

static bool is_page(const char *key)
{
	return strcmp(key, "index.html") == 0 || strcmp(key, "total.json") == 0;
}

/* Before a page that leads to them is written, no edge has an older detail; and the page itself is
 * not forgotten before it is there. */
static void details_first(struct dif_instance *store, const struct dif_put *in)
{
	const struct scene *s = store->data;
	const struct mem_cdn *x = s->cdn[0]->cdn;
	uint32_t want = is_page(in->key);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/a.json"), want);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/c.json"), want);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/"), 0);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/total.json"), 0);
	assert_true(dif_purger_counts(s->w->destinations[0].purger).owed > 0 ||
	            strcmp(in->key, DIF_MARKER) == 0);
}

TEST(what_changed_is_owed_before_the_first_put_and_details_go_before_pages)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	struct cut *c = world_cut(s->w, 2, second, N);
	s->w->store[0]->before_put = details_first;
	s->w->store[0]->data = s;
	assert_int_equal(world_exit(s->w, c, DESTINATIONS), DIF_EXIT_OK);
	s->w->store[0]->before_put = NULL;
	const struct mem_cdn *x = s->cdn[0]->cdn, *y = s->cdn[1]->cdn;
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/"), 2); /* and once more later */
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/index.html"), 2);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/total.json"), 2);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/a.json"), 1);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/c.json"), 1); /* a cached 404 */
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/b.json"), 0); /* stays */
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/app.0123abcd.js"), 0);
	assert_int_equal(mem_cdn_count(y, DIF_PURGE_URLS, "/p/data/a.json"), 1);
	assert_int_equal(owed(s, 0) + owed(s, 1), 0);
	assert_true(dif_publication_skew(s->w->setup.state, c->manifest->order.sha256) >= 0);
	cut_free(c);
	free_scene(s);
}

TEST(what_is_removed_is_forgotten_too)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	s->w->to[0].grace = 0;
	struct cut *c = world_cut(s->w, 2, second, N);
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	assert_null(mem_find(s->w->store[0], "data/b.json"));
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, DIF_PURGE_URLS, "/data/b.json"), 1);
	assert_int_equal(owed(s, 0), 0);
	cut_free(c);
	free_scene(s);
}

TEST(a_purge_that_does_not_settle_in_time_stays_owed)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	publish_first(s);
	s->cdn[0]->cdn->polls = 1;
	s->cdn[0]->cdn->never_settles = true;
	s->w->timeout_ms = 1500;
	struct cut *c = world_cut(s->w, 2, second, N);
	struct dif_publication *p = world_publish(s->w, c, DESTINATIONS);
	assert_int_equal(dif_publication_exit(p), DIF_EXIT_PARTIAL);
	const struct dif_delivery *d = dif_publication_at(p, 0);
	assert_true(dif_delivery_is_there(d));
	assert_int_equal(dif_delivery_shown(d), 0);
	assert_non_null(strstr(dif_delivery_error(d)->text, "time is up in state purging"));
	assert_int_equal(dif_delivery_error(dif_publication_at(p, 1))->cls, DIF_OK);
	dif_publication_free(p);
	assert_true(owed(s, 0) > 0);
	assert_null(whole(s, &a));
	check_text(s->w->store[0], "data/a.json", "a2");
	/* it is brought again: nothing to put, only the purge */
	s->cdn[0]->cdn->never_settles = false;
	uint32_t puts = mem_count(s->w->store[0], DIF_PUT, "data/a.json");
	s->w->timeout_ms = 0;
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	assert_int_equal(mem_count(s->w->store[0], DIF_PUT, "data/a.json"), puts);
	assert_int_equal(owed(s, 0), 0);
	assert_non_null(whole(s, &a));
	dif_arena_fini(&a);
	cut_free(c);
	free_scene(s);
}

TEST(edges_that_are_slow_to_forget_details_hold_nobody_up_for_ever)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	s->cdn[0]->cdn->polls = 1;
	s->cdn[0]->cdn->never_settles = true;
	s->w->timeout_ms = 4000;
	struct cut *c = world_cut(s->w, 2, second, N);
	struct dif_publication *p = world_publish(s->w, c, DESTINATIONS);
	assert_int_equal(dif_publication_exit(p), DIF_EXIT_PARTIAL);
	check_text(s->w->store[0], "index.html", INDEX("two"));
	dif_publication_free(p);
	cut_free(c);
	free_scene(s);
}

static bool has_failed(void *data)
{
	const struct scene *s = data;
	return dif_purger_counts(s->w->destinations[0].purger).failures > 0;
}

static bool is_past_forgetting(void *data)
{
	const char *state = dif_delivery_state(data);
	assert_string_not_equal(state, "forgetting"); /* it goes through it at once */
	return strcmp(state, "purging") == 0;
}

TEST(a_cdn_that_has_not_answered_since_the_last_cut_is_not_waited_for)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	struct dif_purger *p = s->w->destinations[0].purger;
	const struct dif_purge_item item = {
		.scope = DIF_PURGE_URLS, .passes = DIF_PASS_NOW, .text = "/x"};
	publish_first(s);
	s->cdn[0]->cdn->fail = UINT32_MAX;
	s->cdn[0]->cdn->as = DIF_TRANSIENT;
	assert_true(dif_purger_owe_item(p, 0, &item));
	dif_purger_resume(p);
	world_until(s->w, has_failed, s);
	struct cut *c = world_cut(s->w, 2, second, N);
	struct dif_publication *pub = world_start(s->w, c, 1, false);
	world_until(s->w, is_past_forgetting, dif_publication_at(pub, 0));
	dif_publication_cancel(pub);
	world_wait(s->w);
	dif_publication_free(pub);
	assert_true(owed(s, 0) > 1);
	cut_free(c);
	free_scene(s);
}

TEST(one_destination_alone_that_is_not_purged_is_partial)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	s->cdn[0]->cdn->fail = UINT32_MAX;
	s->cdn[0]->cdn->as = DIF_AUTH;
	struct cut *c = world_cut(s->w, 1, first, N);
	struct dif_publication *p = world_publish(s->w, c, 1);
	assert_int_equal(dif_publication_exit(p), DIF_EXIT_PARTIAL); /* and not 8 */
	assert_int_equal(dif_delivery_error(dif_publication_at(p, 0))->cls, DIF_AUTH);
	dif_publication_free(p);
	cut_free(c);
	free_scene(s);
}

static bool is_owed_durably(void *data)
{
	struct scene *s = data;
	return mem_find(s->w->store[0], "data/c.json") != NULL;
}

TEST(a_kill_between_the_puts_leaves_the_purge_owed)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	s->w->store[0]->stuck = "total.json"; /* details are there, nothing behind the barrier */
	struct cut *c = world_cut(s->w, 2, second, N);
	struct dif_publication *p = world_start(s->w, c, 1, false);
	world_until(s->w, is_owed_durably, s);
	dif_publication_cancel(p);
	world_wait(s->w);
	dif_publication_free(p);
	assert_int_equal(s->cdn[0]->cdn->ncalls, 0);
	close_purgers(s);
	world_restart(s->w);
	open_purgers(s);
	assert_true(dif_purger_counts(s->w->destinations[0].purger).owed >= 5);
	s->w->store[0]->stuck = NULL;
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, DIF_PURGE_URLS, "/data/a.json"), 1);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, DIF_PURGE_URLS, "/index.html"), 2);
	assert_int_equal(owed(s, 0), 0);
	cut_free(c);
	free_scene(s);
}

static bool is_purging(void *data)
{
	return strcmp(dif_delivery_state(data), "purging") == 0;
}

TEST(a_newer_cut_takes_over_what_an_older_one_still_owes)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	struct mem_cdn *x = s->cdn[0]->cdn;
	publish_first(s);
	x->polls = 1;
	x->never_settles = true;
	static const struct file third[] = {{"index.html", INDEX("two")},
	                                    {"app.0123abcd.js", "code"},
	                                    {"data/a.json", "a3"},
	                                    {"data/c.json", "c2"},
	                                    {"total.json", "t3"}};
	struct cut *c = world_cut(s->w, 2, second, N), *next = world_cut(s->w, 3, third, N);
	struct dif_publication *p = world_start(s->w, c, 1, false);
	world_until(s->w, is_purging, dif_publication_at(p, 0));
	dif_publication_supersede(p);
	world_wait(s->w);
	assert_true(dif_delivery_is_there(dif_publication_at(p, 0)));
	assert_int_equal(dif_delivery_error(dif_publication_at(p, 0))->cls, DIF_CANCELED);
	assert_int_equal(dif_publication_exit(p), DIF_EXIT_PARTIAL);
	dif_publication_free(p);
	assert_true(owed(s, 0) > 0);
	x->never_settles = false;
	assert_int_equal(world_exit(s->w, next, 1), DIF_EXIT_OK);
	assert_int_equal(owed(s, 0), 0);
	assert_true(mem_cdn_count(x, DIF_PURGE_URLS, "/index.html") >= 1); /* of the older cut */
	cut_free(c);
	cut_free(next);
	free_scene(s);
}

TEST(what_is_mended_is_purged_again)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	s->w->store[0]->break_puts = 1;
	s->w->store[0]->break_key = "index.html";
	struct cut *c = world_cut(s->w, 2, second, N);
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	check_text(s->w->store[0], "index.html", INDEX("two"));
	const struct mem_cdn *x = s->cdn[0]->cdn;
	assert_true(mem_cdn_count(x, DIF_PURGE_URLS, "/index.html") >= 3); /* it went before */
	assert_int_equal(owed(s, 0), 0);
	cut_free(c);
	free_scene(s);
}

TEST(a_lost_state_purges_all_that_may_have_changed)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	for (uint32_t i = 0; i < DESTINATIONS; i++) { /* as a state that was lost */
		dif_destination_forget(&s->w->destinations[i], NULL);
	}
	struct cut *c = world_cut(s->w, 1, first, N);
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	const struct mem_cdn *x = s->cdn[0]->cdn;
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/a.json"), 1);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/index.html"), 2);
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/app.0123abcd.js"), 0);
	cut_free(c);
	free_scene(s);
}

/* Whatever ends a delivery between the listing and the purge that is owed for it. */
TEST(a_lost_state_purges_all_also_where_the_listing_led_to_nothing)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	static const struct file more[] = {
		{"index.html", INDEX("two")}, {"data/b.json", "b1"}, {"data/z.json", "z"}};
	publish_first(s);
	dif_destination_forget(&s->w->destinations[0], NULL);
	mem_set(s->w->store[0], "data/z.json", "foreign", 7);
	struct cut *c = world_cut(s->w, 2, more, DIF_LEN(more));
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_GUARD);
	assert_int_equal(owed(s, 0), 0);
	mem_drop(s->w->store[0], "data/z.json");
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, DIF_PURGE_URLS, "/data/b.json"), 1);
	cut_free(c);
	free_scene(s);
}

TEST(a_cdn_that_was_away_forgets_what_changed_meanwhile)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	static const struct file third[] = {{"index.html", INDEX("two")},
	                                    {"app.0123abcd.js", "code"},
	                                    {"data/a.json", "a2"},
	                                    {"data/c.json", "c2"},
	                                    {"total.json", "t3"}};
	publish_first(s);
	close_purgers(s);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		s->w->to[i].ncdns = 0;
		s->w->destinations[i].purger = NULL;
	}
	struct cut *c = world_cut(s->w, 2, second, N), *next = world_cut(s->w, 3, third, N);
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		s->w->to[i].ncdns = 1;
	}
	open_purgers(s);
	assert_int_equal(world_exit(s->w, next, 1), DIF_EXIT_OK);
	const struct mem_cdn *x = s->cdn[0]->cdn;
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/data/a.json"), 1); /* not this time */
	assert_int_equal(mem_cdn_count(x, DIF_PURGE_URLS, "/app.0123abcd.js"), 0);
	cut_free(c);
	cut_free(next);
	free_scene(s);
}

/* --- the check --- */

struct edge {
	struct scene *s;
	struct dif_delivery *d;
	atomic_uint lies; /* so many answers for data/a.json are of a cut that nobody knows */
	atomic_uint asked;
	bool fails, hangs; /* what the CDN does with purges of the check */
};

static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r)
{
	struct edge *e = peer_data(p);
	const char *path = r->path[1] == '\0' ? "index.html" : r->path + 1;
	const char *text = "";
	for (uint32_t i = 0; i < N; i++) {
		text = strcmp(second[i].name, path) == 0 ? second[i].text : text;
	}
	if (strcmp(path, "data/a.json") == 0) {
		e->asked++;
		if (e->lies > 0) {
			e->lies--;
			text = "a0";
		}
	}
	peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
	return PEER_KEEP;
}

static bool is_checking(void *data)
{
	struct edge *e = data;
	bool is = strcmp(dif_delivery_state(e->d), "checking") == 0;
	if (is) {
		e->s->cdn[0]->cdn->fail = e->fails ? UINT32_MAX : 0;
		e->s->cdn[0]->cdn->as = DIF_AUTH;
		e->s->cdn[0]->cdn->polls = e->hangs;
		e->s->cdn[0]->cdn->never_settles = e->hangs;
	}
	return is;
}

static bool was_asked_often(void *data)
{
	return ((struct edge *)data)->asked >= 8; /* four rounds */
}

/* The second cut, behind such an edge, until the publication is checked. */
static struct dif_publication *publish_behind(struct edge *e, struct peer **p, struct cut **c)
{
	static char url[64];
	e->s = new_scene();
	close_purgers(e->s);
	*p = peer_start(reply, e, NULL, 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer_port(*p));
	open_purgers(e->s);
	publish_first(e->s);
	close_purgers(e->s);
	e->s->w->to[0].public_url = url;
	open_purgers(e->s);
	*c = world_cut(e->s->w, 2, second, N);
	struct dif_publication *pub = world_start(e->s->w, *c, 1, false);
	e->d = dif_publication_at(pub, 0);
	world_until(e->s->w, is_checking, e);
	return pub;
}

static void end_behind(struct edge *e, struct peer *p, struct cut *c, struct dif_publication *pub)
{
	dif_publication_free(pub);
	cut_free(c);
	free_scene(e->s);
	peer_stop(p);
}

TEST(bytes_of_a_cut_that_is_long_forgotten_are_purged_again)
{
	UNUSED_STATE;
	struct edge e = {.lies = 2};
	struct peer *p = NULL;
	struct cut *c = NULL;
	struct dif_publication *pub = publish_behind(&e, &p, &c);
	world_wait(e.s->w);
	assert_int_equal(dif_publication_exit(pub), DIF_EXIT_OK);
	assert_int_equal(mem_cdn_count(e.s->cdn[0]->cdn, DIF_PURGE_URLS, "/data/a.json"), 2);
	assert_int_equal(owed(e.s, 0), 0);
	end_behind(&e, p, c, pub);
}

TEST(a_purge_of_the_check_is_not_begun_anew_in_every_round)
{
	UNUSED_STATE;
	struct edge e = {.lies = UINT32_MAX, .hangs = true};
	struct peer *p = NULL;
	struct cut *c = NULL;
	struct dif_publication *pub = publish_behind(&e, &p, &c);
	world_until(e.s->w, was_asked_often, &e);
	assert_int_equal(mem_cdn_count(e.s->cdn[0]->cdn, DIF_PURGE_URLS, "/data/a.json"), 2);
	dif_publication_cancel(pub);
	world_wait(e.s->w);
	assert_true(owed(e.s, 0) > 0);
	end_behind(&e, p, c, pub);
}

TEST(a_purge_of_the_check_that_is_refused_is_told)
{
	UNUSED_STATE;
	struct edge e = {.lies = 2, .fails = true};
	struct peer *p = NULL;
	struct cut *c = NULL;
	struct dif_publication *pub = publish_behind(&e, &p, &c);
	world_wait(e.s->w);
	assert_true(owed(e.s, 0) > 0);
	assert_int_equal(dif_publication_exit(pub), DIF_EXIT_PARTIAL);
	assert_int_equal(dif_delivery_error(e.d)->cls, DIF_AUTH);
	end_behind(&e, p, c, pub);
}

/* What edges have read of it meanwhile may be anything, whatever its name says. */
TEST(an_asset_in_doubt_is_purged_as_if_it_had_changed)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	struct dif_held h = *dif_destination_held(&s->w->destinations[0], "app.0123abcd.js");
	h.unknown = true;
	assert_non_null(dif_destination_keep(&s->w->destinations[0], &h));
	struct cut *c = world_cut(s->w, 2, second, N);
	assert_int_equal(world_exit(s->w, c, 1), DIF_EXIT_OK);
	assert_int_equal(mem_cdn_count(s->cdn[0]->cdn, DIF_PURGE_URLS, "/app.0123abcd.js"), 1);
	cut_free(c);
	free_scene(s);
}

TEST(a_dry_run_counts_and_asks_for_nothing)
{
	UNUSED_STATE;
	struct scene *s = new_scene();
	publish_first(s);
	s->cdn[0]->caps.purge_max = 4;
	struct cut *c = world_cut(s->w, 2, second, N);
	struct dif_publication *p = world_start(s->w, c, DESTINATIONS, true);
	world_wait(s->w);
	const struct dif_purge_count *n = dif_delivery_purges(dif_publication_at(p, 0));
	assert_string_equal(n->cdn, "x");
	assert_int_equal(n->items[DIF_PURGE_URLS], 5); /* /, index, total, a, c */
	assert_int_equal(n->again, 3);
	assert_int_equal(n->calls, 3);
	dif_publication_free(p);
	assert_int_equal(s->cdn[0]->cdn->ncalls, 0);
	assert_int_equal(owed(s, 0), 0);
	cut_free(c);
	free_scene(s);
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		T(what_changed_is_owed_before_the_first_put_and_details_go_before_pages),
		T(what_is_removed_is_forgotten_too),
		T(a_purge_that_does_not_settle_in_time_stays_owed),
		T(edges_that_are_slow_to_forget_details_hold_nobody_up_for_ever),
		T(a_cdn_that_has_not_answered_since_the_last_cut_is_not_waited_for),
		T(one_destination_alone_that_is_not_purged_is_partial),
		T(a_kill_between_the_puts_leaves_the_purge_owed),
		T(a_newer_cut_takes_over_what_an_older_one_still_owes),
		T(what_is_mended_is_purged_again),
		T(a_lost_state_purges_all_that_may_have_changed),
		T(a_lost_state_purges_all_also_where_the_listing_led_to_nothing),
		T(a_cdn_that_was_away_forgets_what_changed_meanwhile),
		T(bytes_of_a_cut_that_is_long_forgotten_are_purged_again),
		T(a_purge_of_the_check_is_not_begun_anew_in_every_round),
		T(a_purge_of_the_check_that_is_refused_is_told),
		T(an_asset_in_doubt_is_purged_as_if_it_had_changed),
		T(a_dry_run_counts_and_asks_for_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
