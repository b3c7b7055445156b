#include "console/by_hand.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "console/report.h"

#define ANSWER_MS 10000 /* an agent answers within a second, unless it commits to a slow disk */
#define POLL_MS 50
#define ARENA_MAX (64u << 20)
#define ROUTE_MAX (64u << 10)

struct asking {
	const struct dif_args *args;
	enum dif_traffic_act act;
	const char *name;
	struct dif_config *config;
	struct dif_arena arena;
	bool by_agent;
	/* where no agent runs */
	struct dif_engine *engine;
	struct dif_state *state;
};

/* --- at the agent --- */

const struct dif_answer *dif_by_hand_ask(struct dif_arena *a, const char *state,
                                         struct dif_ask *ask, struct dif_error *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	const struct dif_answer *answer = NULL;
	if (!dif_ask_put(a, state, ask, err)) {
		return NULL;
	}
	int64_t until = dif_steady_ms() + ANSWER_MS;
	while ((answer = dif_ask_take(a, state, ask->id)) == NULL && dif_steady_ms() < until &&
	       dif_state_holder(state) != 0) {
		nanosleep(&pause, NULL);
	}
	if (answer == NULL) {
		answer = dif_ask_take(a, state, ask->id); /* its last word */
	}
	if (answer == NULL) {
		dif_ask_withdraw(state, ask->id);
		dif_error_set(err, DIF_TRANSIENT,
		              "could not ask the agent: process %lld holds the state '%s' and did "
		              "not answer; try again",
		              (long long)dif_state_holder(state), state);
	}
	return answer;
}

static const struct dif_answer *ask_agent(struct asking *k, bool dry_run, struct dif_error *err)
{
	struct dif_ask ask = {
		.act = dif_traffic_act_name(k->act), .name = k->name, .dry_run = dry_run};
	return dif_by_hand_ask(&k->arena, k->config->state, &ask, err);
}

/* --- without one --- */

static void on_closed(void *data)
{
	*(bool *)data = true;
}

static void close_state(struct asking *k)
{
	bool closed = k->state == NULL;
	if (k->state != NULL) {
		dif_state_close(k->state, on_closed, &closed);
	}
	while (!closed) {
		uv_run(&k->engine->loop, UV_RUN_ONCE);
	}
	dif_engine_free(k->engine);
	k->state = NULL;
	k->engine = NULL;
}

static const char *route_of(struct asking *k, const struct dif_traffic_view *v)
{
	struct dif_buf text;
	dif_buf_init(&text, ROUTE_MAX);
	dif_traffic_view_route(v, &text);
	const char *copy = dif_arena_str(&k->arena, dif_buf_str(&text));
	dif_buf_fini(&text);
	return copy;
}

static const struct dif_answer *do_here(struct asking *k, bool dry_run, struct dif_error *err)
{
	struct dif_traffic_view v;
	struct dif_failover_plan plan = {0};
	struct dif_answer *answer = dif_arena_alloc(&k->arena, sizeof *answer);
	if (answer == NULL || !dif_traffic_view_init(&k->arena, k->config, &v)) {
		dif_error_set(err, DIF_TRANSIENT, "could not read the route: out of memory");
		return NULL;
	}
	dif_traffic_view_read(&v, k->state);
	answer->before = route_of(k, &v);
	if (!dif_traffic_view_act(&v, k->act, dif_traffic_view_find(&v, k->name), err)) {
		return NULL;
	}
	/* What is decided by verdicts waits for new ones: those that are remembered only tell what
	 * would be. */
	if (dry_run || k->act == DIF_PIN) {
		dif_traffic_view_decide(&v, &plan);
	}
	answer->after = route_of(k, &v);
	answer->text = dif_arena_str(&k->arena, plan.why);
	if (!dry_run && !dif_traffic_view_write(&v, k->state)) {
		dif_error_set(err, DIF_TRANSIENT, "could not write the state '%s'",
		              k->config->state);
		return NULL;
	}
	return answer;
}

/* --- both --- */

static void print(const struct asking *k, const struct dif_answer *a, bool done)
{
	struct dif_buf out;
	struct dif_json j;
	if (!k->args->json) {
		printf("%-12s %s\n%-12s %s\n", done ? "route was" : "route is", a->before,
		       done ? "route is" : "would be", a->after);
		if (a->text[0] != '\0') {
			printf("%-12s %s\n", "", a->text);
		}
		if (!k->by_agent) {
			printf("%-12s %s\n", "",
			       done ? "recorded: no agent is running, its next run follows it"
			            : "no agent is running: verdicts are those of its last run");
		}
		fflush(stdout);
		return;
	}
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '{');
	dif_json_str(&j, "act", dif_traffic_act_name(k->act));
	dif_json_str(&j, "destination", k->name);
	dif_json_bool(&j, "done", done);
	dif_json_bool(&j, "by_agent", k->by_agent);
	dif_json_str(&j, "before", a->before);
	dif_json_str(&j, "after", a->after);
	dif_json_str(&j, "text", a->text);
	dif_json_close(&j, '}');
	dif_buf_fmt(&out, "\n");
	dif_report_print(&out);
}

static bool is_confirmed(const struct asking *k)
{
	char line[16] = "";
	if (k->args->value[DIF_BY_HAND_YES] != NULL) {
		return true;
	}
	fprintf(stderr, "%s %s? [y/N] ", dif_traffic_act_name(k->act), k->name);
	fflush(stderr);
	return fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

/* NULL: err, also where the agent refused. */
static const struct dif_answer *act(struct asking *k, bool dry_run, struct dif_error *err)
{
	const struct dif_answer *a =
		k->by_agent ? ask_agent(k, dry_run, err) : do_here(k, dry_run, err);
	if (a != NULL && a->exit != DIF_EXIT_OK) {
		dif_error_exit(err, a->exit, DIF_PERMANENT, "%s", a->text);
		return NULL;
	}
	return a;
}

static bool is_agents(const struct dif_error *err)
{
	return err->cls == DIF_CONFLICT && err->exit == DIF_EXIT_OTHER;
}

/* The agent's lock, or ours. */
static bool open_state(struct asking *k, struct dif_error *err)
{
	bool fresh = false;
	k->engine = dif_engine_new(err);
	if (k->engine == NULL) {
		return false;
	}
	k->state = dif_state_open(k->engine, k->config->state, DIF_STATE_OWN, &fresh, err);
	k->by_agent = k->state == NULL && is_agents(err);
	if (k->by_agent) {
		dif_error_clear(err);
	}
	return k->state != NULL || k->by_agent;
}

static bool has_destination(const struct asking *k, struct dif_error *err)
{
	for (uint32_t i = 0; i < k->config->ndestinations; i++) {
		if (strcmp(k->config->destinations[i].name, k->name) == 0) {
			return true;
		}
	}
	return dif_error_exit(err, DIF_EXIT_OTHER, DIF_NOT_FOUND,
	                      "could not %s destination '%s': there is no [destination %s]",
	                      dif_traffic_act_name(k->act), k->name, k->name);
}

static int ask_and_do(struct asking *k)
{
	struct dif_error err = {0};
	bool dry_run = k->args->value[DIF_BY_HAND_DRY_RUN] != NULL;
	bool silent = k->args->json && !dry_run; /* one document */
	if (!has_destination(k, &err) || !open_state(k, &err)) {
		return dif_cli_fail(&err);
	}
	const struct dif_answer *would = act(k, true, &err);
	if (would == NULL) {
		return dif_cli_fail(&err);
	}
	if (!silent) {
		print(k, would, false);
	}
	if (dry_run) {
		return DIF_EXIT_OK;
	}
	if (!is_confirmed(k)) {
		fputs("difusor: nothing was done\n", stderr);
		return DIF_EXIT_OTHER;
	}
	const struct dif_answer *done = act(k, false, &err);
	if (done == NULL) {
		return dif_cli_fail(&err);
	}
	print(k, done, true);
	return DIF_EXIT_OK;
}

int dif_by_hand(const struct dif_args *args, enum dif_traffic_act act_id)
{
	struct dif_error err = {0};
	struct asking k = {.args = args, .act = act_id, .name = args->words[0]};
	bool asks =
		args->value[DIF_BY_HAND_YES] == NULL && args->value[DIF_BY_HAND_DRY_RUN] == NULL;
	if (asks && (args->json || !isatty(STDIN_FILENO))) {
		return dif_cli_usage(args, "nobody can be asked here: say --yes or --dry-run");
	}
	k.config = dif_config_load(args->config, &err);
	if (k.config == NULL) {
		return dif_cli_fail(&err);
	}
	dif_arena_init(&k.arena, ARENA_MAX, false);
	int code = ask_and_do(&k);
	close_state(&k);
	dif_arena_fini(&k.arena);
	dif_config_free(k.config);
	return code;
}
