/* steering - against a record in memory in the place of host/op, which does what providers do:
 * takes its time, loses conditions, forgets, is changed by another hand. */
#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/steering.h"

#define TARGETS 16
#define PATIENCE_MS 30000

struct record {
	char name[TARGETS][64], value[TARGETS][64];
	uint32_t weight[TARGETS], n, ttl_s, version;
};

struct dif_instance {
	struct dif_caps caps;
	struct record record, late; /* late: becomes the record when its ticket has settled */
	bool nameless;              /* tells values in the place of names */
	uint32_t fail_gets, fail_sets, conflicts, forget_sets, tickets;
	uint32_t gets, sets, states;
	char idem[8][40];
};

struct dif_op_run {
	uv_timer_t timer;
	struct dif_instance *i;
	enum dif_verb_id verb;
	const void *in;
	dif_op_cb *cb;
	void *data;
	bool canceled;
};

static struct dif_engine *engine;
static struct dif_instance dns;
static struct dif_steering_config config;
static struct dif_steering *steering;
static uint32_t told, failures;    /* failures: ever told */
static uint32_t seen, seen_weight; /* seen: targets, while it is watched */
static const struct dif_steering_target both[] = {{"eu", "eu.example", 100, false},
                                                  {"us", "us.example", 50, false},
                                                  {"lab", "lab.example", 0, true}};

const struct dif_caps *dif_instance_caps(const struct dif_instance *i)
{
	return &i->caps;
}

static void refuse(struct dif_outcome *out, enum dif_class cls, const char *why)
{
	dif_error_set(&out->err, cls, "%s", why);
}

static void get(struct dif_instance *i, struct dif_outcome *out, struct dif_target *targets,
                char tag[16])
{
	i->gets++;
	if (i->fail_gets > 0) {
		i->fail_gets--;
		refuse(out, DIF_TRANSIENT, "could not read the route: 503");
		return;
	}
	for (uint32_t k = 0; k < i->record.n; k++) {
		targets[k] = (struct dif_target){.name = i->nameless ? i->record.value[k]
		                                                     : i->record.name[k],
		                                 .value = i->record.value[k],
		                                 .weight = i->record.weight[k]};
	}
	snprintf(tag, 16, "v%u", i->record.version);
	out->targets = targets;
	out->ntargets = i->record.n;
	out->result.tag = tag;
	out->result.ttl_s = i->record.ttl_s;
}

static void set(struct dif_instance *i, const struct dif_route *r, struct dif_outcome *out)
{
	char tag[16];
	snprintf(i->idem[i->sets++ % 8], sizeof i->idem[0], "%s", r->idem);
	snprintf(tag, sizeof tag, "v%u", i->record.version);
	if (i->fail_sets > 0) {
		i->fail_sets--;
		refuse(out, DIF_TRANSIENT, "could not set the route: 500");
		return;
	}
	if (i->conflicts > 0) {
		i->conflicts--;
		i->record.version++;
		refuse(out, DIF_CONFLICT, "could not set the route: 412");
		return;
	}
	assert_string_equal(r->if_tag, tag);
	assert_true(r->n <= TARGETS);
	struct record to = {.n = r->n, .ttl_s = r->ttl_s, .version = i->record.version + 1};
	for (uint32_t k = 0; k < r->n; k++) {
		snprintf(to.name[k], sizeof to.name[k], "%s", r->targets[k].name);
		snprintf(to.value[k], sizeof to.value[k], "%s", r->targets[k].value);
		to.weight[k] = r->targets[k].weight;
	}
	if (i->tickets > 0) {
		i->late = to;
		out->result.ticket = "change-1";
		out->result.wait_ms = 1;
		return;
	}
	if (i->forget_sets > 0) {
		i->forget_sets--;
	} else {
		i->record = to;
	}
	out->result.settled = 1;
}

static void ask_state(struct dif_instance *i, const struct dif_ticket *t, struct dif_outcome *out)
{
	assert_string_equal(t->id, "change-1");
	i->states++;
	if (--i->tickets > 0) {
		out->result.wait_ms = 1;
		return;
	}
	i->record = i->late;
	out->result.settled = 1;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void on_answer(uv_timer_t *timer)
{
	struct dif_op_run *run = timer->data;
	struct dif_outcome out = {0};
	struct dif_target targets[TARGETS];
	char tag[16];
	if (run->canceled) {
		refuse(&out, DIF_CANCELED, "canceled");
	} else if (run->verb == DIF_ROUTE_GET) {
		const struct dif_route *r = run->in;
		assert_null(r->targets);
		assert_string_equal(r->name, "www.prep.example");
		get(run->i, &out, targets, tag);
	} else if (run->verb == DIF_ROUTE_SET) {
		set(run->i, run->in, &out);
	} else {
		ask_state(run->i, run->in, &out);
	}
	run->cb(run->data, &out);
	uv_close((uv_handle_t *)timer, on_closed);
}

struct dif_op_run *dif_op_start(struct dif_instance *i, enum dif_verb_id verb, const void *in,
                                int64_t deadline_ms, dif_op_cb *cb, void *data)
{
	struct dif_op_run *run = calloc(1, sizeof *run);
	assert_non_null(run);
	assert_true(deadline_ms > 0);
	*run = (struct dif_op_run){.i = i, .verb = verb, .in = in, .cb = cb, .data = data};
	uv_timer_init(&engine->loop, &run->timer);
	run->timer.data = run;
	uv_timer_start(&run->timer, on_answer, 0, 0);
	return run;
}

void dif_op_cancel(struct dif_op_run *run)
{
	run->canceled = true;
}

static void on_changed(void *data, struct dif_steering *s)
{
	(void)data;
	uint32_t n = 0;
	const struct dif_target *read = dif_steering_read(s, &n);
	told++;
	failures += dif_steering_status(s)->failures > 0;
	seen = read != NULL ? n : 0;
	seen_weight = seen > 0 ? read[0].weight : 0;
}

static void open_steering(void)
{
	static const struct dif_steering_events events = {on_changed};
	steering = dif_steering_open(engine, &dns, &config, &events, NULL);
	assert_non_null(steering);
}

static int setup(void **state)
{
	struct dif_error err = {0};
	(void)state;
	dif_log_level(DIF_LOG_OFF);
	engine = dif_engine_new(&err);
	assert_non_null(engine);
	dns = (struct dif_instance){
		.caps = {.size = sizeof dns.caps, .flags = DIF_CAP_WEIGHTS, .weight_max = 255}};
	config = (struct dif_steering_config){
		.name = "main", .record = "www.prep.example", .type = "CNAME", .ttl = 30000};
	told = failures = seen = 0;
	open_steering();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dif_steering_close(steering);
	dif_engine_run(engine);
	dif_engine_free(engine);
	return 0;
}

static void until(bool (*is)(void))
{
	int64_t end = dif_steady_ms() + PATIENCE_MS;
	while (!is()) {
		assert_true(dif_steady_ms() < end);
		uv_run(&engine->loop, UV_RUN_ONCE);
	}
}

static bool stands(void)
{
	return dif_steering_status(steering)->stands;
}

static bool has_failed(void)
{
	return dif_steering_status(steering)->failures > 0;
}

static bool has_asked(void)
{
	return dns.states > 0;
}

static void holds(const char *want)
{
	char text[512] = "";
	for (uint32_t i = 0; i < dns.record.n; i++) {
		size_t at = strlen(text);
		snprintf(text + at, sizeof text - at, "%s%s %s %u", i > 0 ? ", " : "",
		         dns.record.name[i], dns.record.value[i], dns.record.weight[i]);
	}
	assert_string_equal(text, want);
}

static void put(const char *name, const char *value, uint32_t weight)
{
	uint32_t i = dns.record.n++;
	snprintf(dns.record.name[i], sizeof dns.record.name[i], "%s", name);
	snprintf(dns.record.value[i], sizeof dns.record.value[i], "%s", value);
	dns.record.weight[i] = weight;
	dns.record.ttl_s = 30;
	dns.record.version++;
}

TEST(an_absent_record_is_made_and_read_back)
{
	UNUSED_STATE;
	dif_steering_want(steering, both, 3);
	until(stands);
	holds("eu eu.example 100, us us.example 50");
	assert_int_equal(dns.gets, 2);
	assert_int_equal(dns.sets, 1);
	assert_int_equal(dns.record.ttl_s, 30);
	const struct dif_steering_status *s = dif_steering_status(steering);
	assert_string_equal(s->previous, "nothing");
	assert_string_equal(s->standing, "eu 100, us 50");
	assert_int_equal(s->ttl_s, 30);
	assert_true(s->stood > 0 && told > 0);
}

TEST(what_stands_already_is_not_set_again)
{
	UNUSED_STATE;
	put("us", "US.example", 50);
	put("eu", "eu.example", 100);
	dif_steering_want(steering, both, 3);
	until(stands);
	assert_int_equal(dns.sets, 0);
}

TEST(others_stay_and_the_private_goes)
{
	UNUSED_STATE;
	put("old", "old.example", 7);
	put("lab", "lab.example", 9);
	put("eu", "eu.example", 1);
	dif_steering_want(steering, both, 3);
	until(stands);
	holds("eu eu.example 100, us us.example 50, old old.example 7");
}

TEST(weights_are_scaled_and_small_ones_stay)
{
	UNUSED_STATE;
	struct dif_steering_target want[] = {{"eu", "eu.example", 1000, false},
	                                     {"us", "us.example", 500, false},
	                                     {"as", "as.example", 1, false},
	                                     {"no", "no.example", 0, false}};
	dif_steering_want(steering, want, 4);
	until(stands);
	holds("eu eu.example 255, us us.example 128, as as.example 1, no no.example 0");
}

TEST(without_weights_only_those_with_readers_stand_there)
{
	UNUSED_STATE;
	dns.caps.flags = 0;
	dns.nameless = true;
	put("", "other.example", 0);
	put("", "no.example", 0);
	struct dif_steering_target want[] = {{"eu", "eu.example", 25, false},
	                                     {"no", "no.example", 0, false}};
	dif_steering_want(steering, want, 2);
	until(stands);
	assert_int_equal(dns.record.n, 2);
	assert_string_equal(dns.record.value[0], "eu.example");
	assert_string_equal(dns.record.value[1], "other.example");
}

TEST(a_record_for_one_gets_the_weightiest_and_is_not_taken_from_others)
{
	UNUSED_STATE;
	dns.caps.flags = 0;
	dns.caps.targets_max = 1;
	dif_steering_want(steering, both, 3);
	until(stands);
	holds("eu eu.example 100");
	dns.record.n = 0;
	put("", "old.example", 0);
	dif_steering_want(steering, both, 3);
	until(has_failed);
	holds(" old.example 0");
	assert_non_null(strstr(dif_steering_status(steering)->err.text,
	                       "'old.example', which is none of our destinations"));
}

TEST(a_ticket_is_asked_after_until_it_settles)
{
	UNUSED_STATE;
	dns.tickets = 3;
	dif_steering_want(steering, both, 3);
	until(stands);
	assert_int_equal(dns.states, 3);
	holds("eu eu.example 100, us us.example 50");
}

TEST(a_lost_condition_begins_anew_at_once)
{
	UNUSED_STATE;
	dns.conflicts = 2;
	dif_steering_want(steering, both, 3);
	until(stands);
	assert_int_equal(dns.sets, 3);
	assert_string_not_equal(dns.idem[0], dns.idem[1]); /* another change, another name */
	assert_int_equal(strlen(dns.idem[0]), 32);
}

TEST(failures_and_what_was_forgotten_are_repeated_until_it_stands)
{
	UNUSED_STATE;
	dns.fail_gets = 1;
	dns.fail_sets = 1;
	dns.forget_sets = 1;
	dif_steering_want(steering, both, 3);
	until(has_failed);
	assert_int_equal(dif_steering_status(steering)->err.cls, DIF_TRANSIENT);
	assert_string_equal(dif_steering_status(steering)->state, "pausing");
	until(stands);
	holds("eu eu.example 100, us us.example 50");
	assert_int_equal(dif_steering_status(steering)->failures, 0);
	assert_int_equal(dif_steering_status(steering)->err.cls, DIF_OK);
}

static bool is_setting(void)
{
	return strcmp(dif_steering_status(steering)->state, "settling") == 0;
}

TEST(a_newer_wish_follows_the_one_on_its_way)
{
	UNUSED_STATE;
	dns.tickets = 5;
	dif_steering_want(steering, both, 3);
	until(is_setting);
	struct dif_steering_target want[] = {{"eu", "eu.example", 0, false},
	                                     {"us", "us.example", 50, false}};
	dif_steering_want(steering, want, 2);
	want[1].value = "changed behind its back";
	until(stands);
	holds("eu eu.example 0, us us.example 50");
	assert_string_equal(dif_steering_status(steering)->previous, "eu 100, us 50");
	assert_int_equal(failures, 0); /* that the one before does not stand is none */
}

TEST(nowhere_is_never_set)
{
	UNUSED_STATE;
	struct dif_steering_target none[] = {{"eu", "eu.example", 0, false},
	                                     {"us", "us.example", 50, true}};
	dif_steering_want(steering, none, 2);
	uv_run(&engine->loop, UV_RUN_NOWAIT);
	assert_int_equal(dns.gets, 0);
	assert_string_equal(dif_steering_status(steering)->state, "rest");
}

TEST(several_go_by_themselves)
{
	UNUSED_STATE;
	struct dif_instance other = dns;
	struct dif_steering *first = steering;
	struct dif_steering_config config2 = config;
	static const struct dif_steering_events events = {on_changed};
	config2.name = "second";
	dns.fail_gets = 1000; /* this one is stuck */
	dif_steering_want(first, both, 3);
	until(has_failed);
	steering = dif_steering_open(engine, &other, &config2, &events, NULL);
	dif_steering_want(steering, both, 3);
	until(stands);
	assert_int_equal(other.record.n, 2);
	assert_false(dif_steering_status(first)->stands);
	dif_steering_close(first);
}

static const char *output;

static bool has_run(void)
{
	return access(output, F_OK) == 0;
}

TEST(the_program_after_it_runs_with_nothing_of_ours)
{
	UNUSED_STATE;
	static const char *words[] = {"/bin/sh", "-c", NULL, NULL};
	char script[1024], text[1024] = "";
	output = test_path("after.txt");
	snprintf(script, sizeof script, "env >%s.new; mv %s.new %s", output, output, output);
	words[2] = script;
	config.command = words;
	assert_int_equal(setenv("SECRET_OF_OURS", "x", 1), 0);
	dif_steering_close(steering);
	open_steering();
	dif_steering_want(steering, both, 3);
	until(has_run);
	int fd = open(output, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	assert_non_null(strstr(text, "DIFUSOR_RECORD=www.prep.example\n"));
	assert_non_null(strstr(text, "DIFUSOR_ROUTE=eu 100, us 50\n"));
	assert_null(strstr(text, "SECRET_OF_OURS"));
	/* what stands already is no change */
	unlink(output);
	dif_steering_want(steering, both, 3);
	until(stands);
	assert_int_equal(dns.sets, 1);
	assert_false(has_run());
	/* but of an agent that began anew nobody knows whether it was run */
	dif_steering_close(steering);
	open_steering();
	dif_steering_want(steering, both, 3);
	until(has_run);
	assert_int_equal(dns.sets, 1);
}

TEST(a_destination_leads_to_its_target_or_the_host_of_its_address)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	struct dif_destination_config d = {.public_url = "https://eu.example:8443/a/"};
	assert_string_equal(dif_steering_value(&a, &d), "eu.example");
	d.public_url = "https://[2001:db8::1]:8443/";
	assert_string_equal(dif_steering_value(&a, &d), "2001:db8::1");
	d.target = "lb.example";
	assert_string_equal(dif_steering_value(&a, &d), "lb.example");
	d = (struct dif_destination_config){0};
	assert_null(dif_steering_value(&a, &d));
	dif_arena_fini(&a);
}

static bool has_read(void)
{
	return seen > 0;
}

TEST(who_watches_reads_and_sets_nothing_until_it_wants_again)
{
	UNUSED_STATE;
	put("eu", "eu.example", 25);
	put("us", "us.example", 0);
	dns.tickets = 1000; /* a change that would take its time */
	dif_steering_want(steering, both, 3);
	until(has_asked);
	dif_steering_watch(steering);
	uint32_t sets = dns.sets;
	until(has_read);
	assert_int_equal(dns.sets, sets);
	assert_int_equal(seen, 2);
	assert_int_equal(seen_weight, 25);
	assert_false(stands());
	dns.tickets = 0;
	dif_steering_want(steering, both, 3);
	until(stands);
	holds("eu eu.example 100, us us.example 50");
}

TEST(what_stands_is_told_as_parts_of_our_weights)
{
	UNUSED_STATE;
	static const struct dif_steering_target ours[] = {{"eu", "eu.example", 100, false},
	                                                  {"us", "us.example", 50, false},
	                                                  {"as", "as.example", 0, false}};
	struct dif_target read[] = {{"eu", "eu.example", 100, 0},
	                            {"us", "us.example", 12, 0},
	                            {"old", "old.example", 900, 0}};
	uint32_t p[3] = {7, 7, 7};
	assert_true(dif_steering_percents(&dns.caps, ours, 3, read, 3, p));
	assert_true(p[0] == 100 && p[1] == 24 && p[2] == 0);
	read[0].weight = 0; /* the larger part is all of it */
	assert_true(dif_steering_percents(&dns.caps, ours, 3, read, 3, p));
	assert_true(p[0] == 0 && p[1] == 100 && p[2] == 0);
	read[0] = (struct dif_target){"as", "as.example", 100, 0}; /* a spare alone */
	assert_true(dif_steering_percents(&dns.caps, ours, 3, read, 1, p));
	assert_true(p[0] == 0 && p[1] == 0 && p[2] == 100);
	dns.caps.flags = 0;
	read[0] = (struct dif_target){"", "US.example", 0, 0};
	assert_true(dif_steering_percents(&dns.caps, ours, 3, read, 1, p));
	assert_true(p[0] == 0 && p[1] == 100 && p[2] == 0);
	assert_false(dif_steering_percents(&dns.caps, ours, 3, &read[2], 1, p));
	assert_int_equal(p[1], 100);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(an_absent_record_is_made_and_read_back),
		T(what_stands_already_is_not_set_again),
		T(others_stay_and_the_private_goes),
		T(weights_are_scaled_and_small_ones_stay),
		T(without_weights_only_those_with_readers_stand_there),
		T(a_record_for_one_gets_the_weightiest_and_is_not_taken_from_others),
		T(a_ticket_is_asked_after_until_it_settles),
		T(a_lost_condition_begins_anew_at_once),
		T(failures_and_what_was_forgotten_are_repeated_until_it_stands),
		T(a_newer_wish_follows_the_one_on_its_way),
		T(nowhere_is_never_set),
		T(several_go_by_themselves),
		T(the_program_after_it_runs_with_nothing_of_ours),
		T(a_destination_leads_to_its_target_or_the_host_of_its_address),
		T(who_watches_reads_and_sets_nothing_until_it_wants_again),
		T(what_stands_is_told_as_parts_of_our_weights),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
