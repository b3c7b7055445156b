/* traffic_view - what is known survives a restart, and what people ask for is tried on a copy. */
#include "support.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/traffic_view.h"

static struct dif_engine *engine;
static struct dif_state *state;
static struct dif_arena arena;
static struct dif_config config;
static struct dif_destination_config destinations[3];
static struct dif_steering_config steering;
static struct dif_traffic_view view;
static bool closed;

static void on_closed(void *data)
{
	(void)data;
	closed = true;
}

static void configure(void)
{
	static const char *const names[] = {"eu", "us", "lab"};
	memset(&config, 0, sizeof config);
	for (uint32_t i = 0; i < 3; i++) {
		destinations[i] = (struct dif_destination_config){
			.name = names[i], .weight = 100, .target = names[i], .is_private = i == 2};
	}
	steering = (struct dif_steering_config){.name = "main", .record = "www", .ttl = 30000};
	config.destinations = destinations;
	config.ndestinations = 3;
	config.steerings = &steering;
	config.nsteerings = 1;
	config.failover = (struct dif_failover_config){.minimum = 1,
	                                               .panic = 50,
	                                               .hold = 300000,
	                                               .hold_max = 1800000,
	                                               .moves = 4,
	                                               .fresh = 60000,
	                                               .step = 25,
	                                               .step_time = 60000};
}

static int setup(void **s)
{
	static uint32_t turn;
	struct dif_error err = {0};
	char name[32];
	bool fresh = false;
	(void)s;
	dif_log_level(DIF_LOG_OFF);
	configure();
	snprintf(name, sizeof name, "state.%u", turn++);
	engine = dif_engine_new(&err);
	assert_non_null(engine);
	state = dif_state_open(engine, test_path(name), DIF_STATE_OWN, &fresh, &err);
	assert_non_null(state);
	dif_arena_init(&arena, 8u << 20, false);
	assert_true(dif_traffic_view_init(&arena, &config, &view));
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	closed = false;
	dif_state_close(state, on_closed, NULL);
	while (!closed) {
		uv_run(&engine->loop, UV_RUN_ONCE);
	}
	dif_engine_free(engine);
	dif_arena_fini(&arena);
	return 0;
}

static void judge(uint32_t i, uint32_t verdict)
{
	int64_t now = dif_steady_ms();
	view.in[i].verdict = verdict;
	view.in[i].since = now - 5000;
	view.in[i].checked = now;
	view.in[i].shown = (struct dif_order){1, 1780000000123, "abcdef"};
}

static void decide(void)
{
	struct dif_failover_plan plan;
	dif_failover_decide(&view.failover, &config.failover, view.in, 3, DIF_SIGHT_NONE,
	                    dif_steady_ms(), &plan);
}

static void is_route(const struct dif_traffic_view *v, const char *want)
{
	struct dif_buf text;
	dif_buf_init(&text, 4096);
	dif_traffic_view_route(v, &text);
	assert_string_equal(dif_buf_str(&text), want);
	dif_buf_fini(&text);
}

static void act(enum dif_traffic_act what, uint32_t i, bool good, const char *text)
{
	struct dif_failover_plan plan = {0};
	struct dif_error err = {0};
	assert_int_equal(dif_traffic_view_act(&view, what, i, &err), good);
	if (good) {
		dif_traffic_view_decide(&view, &plan);
	}
	assert_non_null(strstr(good ? plan.why : err.text, text));
}

static bool near(int64_t a, int64_t b)
{
	return a - b < 2000 && b - a < 2000;
}

TEST(all_of_it_survives_a_restart)
{
	UNUSED_STATE;
	judge(0, DIF_HEALTH_HEALTHY);
	judge(1, DIF_HEALTH_HEALTHY);
	decide();
	judge(0, DIF_HEALTH_DOWN);
	view.in[0].reason = "3 looks \"failed\"; éñ";
	view.in[1].drained = true;
	view.in[1].is_stale = true;
	decide();
	act(DIF_PIN, 1, true, "us is pinned by hand");
	view.frozen = true;
	snprintf(view.why, sizeof view.why, "why");
	view.steerings[0].status = (struct dif_steering_status){
		.state = "rest", .stands = true, .stood = 123456, .ttl_s = 30, .took_ms = 77};
	snprintf(view.steerings[0].status.standing, DIF_STEERING_TEXT, "us 100");
	assert_true(dif_traffic_view_write(&view, state));

	struct dif_traffic_view again;
	assert_true(dif_traffic_view_init(&arena, &config, &again));
	dif_traffic_view_read(&again, state);
	is_route(&again, "us 100 %");
	const struct dif_failover *f = &again.failover;
	assert_true(f->known);
	assert_int_equal(f->pinned, 1);
	assert_int_equal(f->was_pinned, 1);
	assert_int_equal(f->nmoved, view.failover.nmoved);
	assert_int_equal(f->seen.number, 1780000000123);
	assert_string_equal(f->seen.sha256, "abcdef");
	assert_true(near(f->changed, view.failover.changed));
	assert_true(near(f->hold_until, view.failover.hold_until));
	assert_string_equal(again.in[0].reason, "3 looks \"failed\"; éñ");
	assert_int_equal(again.in[0].verdict, DIF_HEALTH_DOWN);
	assert_true(near(again.in[0].since, view.in[0].since));
	assert_true(again.in[1].drained && again.in[1].is_stale);
	assert_int_equal(again.share[0].before, view.share[0].before);
	assert_true(again.share[0].was_in);
	assert_true(again.frozen);
	assert_true(again.kept > 0);
	assert_true(again.steerings[0].status.stands);
	assert_int_equal(again.steerings[0].status.stood, 123456);
	assert_string_equal(again.steerings[0].status.standing, "us 100");
}

TEST(a_wall_clock_that_was_put_back_freezes_nothing)
{
	UNUSED_STATE;
	static const char kept[] =
		"{\"known\":true,\"moves\":[4000000000000,4000000000000,4000000000000,"
		"4000000000000],\"hold_until\":4000000000000,\"destinations\":[{\"name\":\"eu\","
		"\"percent\":100,\"stepped\":4000000000000,\"since\":9223372036854775807}]}";
	assert_true(dif_state_put_fact(state, "traffic", "view", kept));
	dif_traffic_view_read(&view, state);
	int64_t now = dif_steady_ms();
	assert_int_equal(dif_failover_left(&view.failover, &config.failover, now), 0);
	assert_int_equal(dif_failover_left(&view.failover, &config.failover, now + 3600000), 4);
	assert_true(view.failover.hold_until <= now + config.failover.hold_max);
	assert_true(view.share[0].stepped <= now && view.in[0].since <= now);
}

TEST(what_is_not_configured_any_more_is_left_out)
{
	UNUSED_STATE;
	judge(0, DIF_HEALTH_DOWN);
	judge(1, DIF_HEALTH_HEALTHY);
	decide();
	is_route(&view, "us 100 %");
	assert_true(dif_traffic_view_write(&view, state));
	destinations[1].name = "other";
	struct dif_traffic_view again;
	assert_true(dif_traffic_view_init(&arena, &config, &again));
	dif_traffic_view_read(&again, state);
	is_route(&again, "none yet");
	assert_false(again.failover.known); /* it leads nowhere: begun anew */
	/* the record may still lead there */
	assert_int_equal(again.nretired, 1);
	assert_string_equal(again.retired[0].name, "us");
	assert_string_equal(again.retired[0].value, "us");
	assert_true(dif_traffic_view_write(&again, state));
	destinations[0].target = "elsewhere";
	assert_true(dif_traffic_view_init(&arena, &config, &again));
	dif_traffic_view_read(&again, state);
	assert_int_equal(again.nretired, 2);
	assert_string_equal(again.retired[0].value, "eu");
	assert_string_equal(again.retired[1].value, "us");
}

TEST(nothing_kept_and_nonsense_leave_it_as_it_is)
{
	UNUSED_STATE;
	dif_traffic_view_read(&view, NULL);
	dif_traffic_view_read(&view, state);
	assert_int_equal(view.kept, 0);
	static const char beyond[] =
		"{\"known\":true,\"pinned\":\"nobody\",\"destinations\":[{\"name\":\"eu\","
		"\"percent\":4000000000,\"verdict\":\"x\"},{\"name\":\"lab\",\"percent\":50}]}";
	static const char *const bad[] = {
		"", "[]", "{\"destinations\":[3,{\"name\":7}],\"moves\":[-1,\"x\"]}", beyond};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_true(dif_state_put_fact(state, "traffic", "view", bad[i]));
		assert_true(dif_traffic_view_init(&arena, &config, &view));
		dif_traffic_view_read(&view, state);
		is_route(&view, "none yet");
		assert_int_equal(view.failover.pinned, -1);
		assert_false(view.failover.known);
	}
}

TEST(a_copy_is_tried_without_effect)
{
	UNUSED_STATE;
	struct dif_traffic_view tried;
	struct dif_failover_plan plan = {0};
	struct dif_error err = {0};
	judge(0, DIF_HEALTH_HEALTHY);
	judge(1, DIF_HEALTH_HEALTHY);
	decide();
	assert_true(dif_traffic_view_copy(&arena, &view, &tried));
	assert_true(dif_traffic_view_act(&tried, DIF_DRAIN, 0, &err));
	dif_traffic_view_decide(&tried, &plan);
	is_route(&tried, "us 100 %");
	is_route(&view, "eu 50 %, us 50 %");
	assert_false(view.in[0].drained);
}

TEST(what_makes_no_sense_is_refused)
{
	UNUSED_STATE;
	judge(0, DIF_HEALTH_HEALTHY);
	judge(1, DIF_HEALTH_HEALTHY);
	decide();
	act(DIF_PIN, 2, false, "no route leads there");
	act(DIF_UNPIN, 0, false, "it is not pinned");
	act(DIF_PIN, 0, true, "eu is pinned");
	is_route(&view, "eu 100 %");
	act(DIF_UNPIN, 1, false, "it is not pinned");
	act(DIF_UNPIN, 0, true, "");
	is_route(&view, "eu 50 %, us 50 %");
	act(DIF_DRAIN, 0, true, "");
	act(DIF_DRAIN, 1, true, "us stays in the route");
	is_route(&view, "us 100 %");
	view.in[0].gone = true;
	act(DIF_PIN, 0, false, "was taken away");
}

TEST(another_agents_route_is_taken_over_and_nothing_returns_at_once)
{
	UNUSED_STATE;
	static const struct dif_caps caps = {.size = sizeof caps, .flags = DIF_CAP_WEIGHTS};
	struct dif_target read[] = {{"eu", "eu", 0, 0}, {"us", "us", 100, 0}, {"x", "x", 1, 0}};
	bool changed = false;
	judge(0, DIF_HEALTH_HEALTHY);
	judge(1, DIF_HEALTH_HEALTHY);
	decide();
	is_route(&view, "eu 50 %, us 50 %");
	assert_true(dif_traffic_view_follow(&view, &caps, read, 3, &changed));
	assert_true(changed);
	is_route(&view, "us 100 %");
	decide();
	is_route(&view, "us 100 %"); /* eu was in it: it returns, and not before hold is over */
	assert_true(view.failover.hold_until > dif_steady_ms());
	assert_true(dif_traffic_view_follow(&view, &caps, read, 3, &changed));
	assert_false(changed);
	assert_false(dif_traffic_view_follow(&view, &caps, &read[2], 1, &changed));
	assert_false(changed);
	is_route(&view, "us 100 %");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(all_of_it_survives_a_restart),
		T(a_wall_clock_that_was_put_back_freezes_nothing),
		T(what_is_not_configured_any_more_is_left_out),
		T(nothing_kept_and_nonsense_leave_it_as_it_is),
		T(a_copy_is_tried_without_effect),
		T(what_makes_no_sense_is_refused),
		T(another_agents_route_is_taken_over_and_nothing_returns_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
