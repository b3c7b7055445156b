/* publish FILE.zip - one package to every destination, then exit. Where an agent holds the state,
 * the file is handed to it and its answer awaited. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "console/cli.h"
#include "console/progress.h"
#include "console/report.h"
#include "flow/inbox.h"

#define TIMEOUT_MS (10 * 60 * 1000)
#define TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)
#define POLL_MS 100

enum { DIGEST, DRY_RUN, TIMEOUT };
static const struct dif_cli_option options[] = {
	[DIGEST] = {"--digest", '\0', "FILE",
                    "side-car with its SHA-256; default FILE.zip.sha256 where there is one"},
	[DRY_RUN] = {"--dry-run", '\0', NULL, "say what would be done and write nothing"},
	[TIMEOUT] = {"--timeout", '\0', "TIME",
                     "give up what is not settled by then; default 10min"},
};

struct publishing {
	const struct dif_args *args;
	struct dif_progress progress;
	char *sidecar;
	int64_t timeout_ms;
	int64_t began_ms;
	bool dry_run;
	int code;
};

static const char *file_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

static void on_progress(void *data, enum dif_cut_step step, uint64_t done, uint64_t of,
                        const struct dif_publication *p)
{
	struct publishing *u = data;
	struct dif_buf text;
	dif_buf_init(&text, 64u << 10);
	dif_report_progress(&text, step, done, of, p);
	dif_progress_draw(&u->progress, false, dif_buf_str(&text));
	dif_buf_fini(&text);
}

static void print_text(const struct publishing *u, int code, const struct dif_error *err,
                       const struct dif_order *order, const struct dif_publication *p)
{
	struct dif_buf out;
	char took[DIF_DATE_MAX], when[DIF_DATE_MAX];
	dif_buf_init(&out, DIF_REPORT_MAX);
	if (order->sha256[0] != '\0') {
		dif_buf_fmt(&out, "cut %s\n", order->sha256);
	}
	if (order->number != 0) { /* what is refused before has no place */
		dif_buf_fmt(&out, "  place in time %s (%lld), epoch %lld; %s%s\n",
		            dif_date(when, DIF_DATE_ISO, order->number / 1000),
		            (long long)order->number, (long long)order->epoch,
		            u->sidecar != NULL ? "digest agrees with " : "no digest given",
		            u->sidecar != NULL ? u->sidecar : ": checked by CRC-32 only");
	}
	if (p != NULL) {
		dif_report_deliveries(&out, p, u->dry_run);
	}
	if (code == DIF_EXIT_NOTHING_NEW) {
		dif_buf_fmt(&out, "nothing new: every destination has this package whole\n");
	} else if (code == DIF_EXIT_OK) {
		dif_buf_fmt(&out, "done in %s\n", dif_span(took, dif_steady_ms() - u->began_ms));
	}
	dif_report_print(&out);
	if (code != DIF_EXIT_OK && code != DIF_EXIT_NOTHING_NEW) {
		dif_report_failures(p, err);
	}
}

static void print_json(const struct publishing *u, int code, const struct dif_error *err,
                       const struct dif_order *order, const struct dif_publication *p)
{
	struct dif_buf out;
	struct dif_json j;
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '{');
	dif_json_int(&j, "exit", code);
	dif_json_str(&j, "error", err->cls != DIF_OK ? err->text : NULL);
	dif_json_bool(&j, "dry_run", u->dry_run);
	dif_report_order_json(&j, order);
	dif_json_str(&j, "digest", u->sidecar);
	dif_json_int(&j, "took_ms", dif_steady_ms() - u->began_ms);
	dif_report_json(&j, p);
	dif_json_close(&j, '}');
	dif_buf_fmt(&out, "\n");
	dif_report_print(&out);
}

static void on_ended(void *data, int code, const struct dif_error *err,
                     const struct dif_order *order, const struct dif_publication *p)
{
	struct publishing *u = data;
	u->code = code;
	dif_progress_clear(&u->progress);
	if (u->args->json) {
		print_json(u, code, err, order, p);
	} else {
		print_text(u, code, err, order, p);
	}
}

static int publish_here(struct dif_setup *s, struct publishing *u)
{
	static const struct dif_cut_events events = {on_progress, on_ended};
	struct dif_cut_job job = {.setup = s,
	                          .file = u->args->words[0],
	                          .digest = u->sidecar,
	                          .name = file_name(u->args->words[0]),
	                          .source = "publish",
	                          .dry_run = u->dry_run,
	                          .timeout_ms = u->timeout_ms};
	u->code = DIF_EXIT_OTHER;
	dif_cut_start(&job, &events, u);
	dif_engine_run(s->engine);
	dif_setup_close(s);
	return u->code;
}

/* --- by the running agent --- */

struct waiting {
	struct dif_arena arena;
	const char *state, *id;
	const struct dif_inbox_result *result;
	int64_t until_ms;
	bool alone; /* whoever held the state is gone, without an answer */
};

static void on_poll(uv_timer_t *t)
{
	struct waiting *w = t->data;
	w->alone = dif_state_holder(w->state) == 0; /* before: the answer is its last word */
	w->result = dif_inbox_take(&w->arena, w->state, w->id);
	if (w->result != NULL || w->alone || dif_steady_ms() > w->until_ms) {
		uv_close((uv_handle_t *)t, NULL);
	}
}

static int wait_for_answer(struct waiting *w)
{
	uv_loop_t loop;
	uv_timer_t timer = {.data = w};
	if (uv_loop_init(&loop) != 0) {
		return DIF_EXIT_OTHER;
	}
	uv_timer_init(&loop, &timer);
	uv_timer_start(&timer, on_poll, POLL_MS, POLL_MS);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	return w->result != NULL ? w->result->exit : DIF_EXIT_PARTIAL;
}

/* alone: the job was not done, and whoever held the state (it may have been another publish, which
 * takes no jobs) is gone; it was taken back. */
static int publish_by_agent(const struct publishing *u, const char *state, bool *alone)
{
	struct waiting w = {.state = state,
	                    .until_ms = dif_steady_ms() + u->timeout_ms + POLL_MS * 100};
	struct dif_error err = {0};
	struct dif_inbox_job job = {.hold = -1,
	                            .file = u->args->words[0],
	                            .digest = u->sidecar,
	                            .name = file_name(u->args->words[0]),
	                            .timeout_ms = u->timeout_ms};
	dif_arena_init(&w.arena, 1u << 20, false);
	int code = DIF_EXIT_OTHER;
	if (!dif_inbox_put(&w.arena, state, &job, &err)) {
		dif_cli_fail(&err);
		goto out;
	}
	w.id = job.id;
	if (!u->args->json) {
		puts("an agent is running: the package was handed to it");
		fflush(stdout);
	}
	code = wait_for_answer(&w);
	*alone = w.alone && w.result == NULL;
	if (*alone) {
		dif_inbox_withdraw(state, w.id);
		goto out;
	}
	const char *text = w.result != NULL
	                           ? w.result->text
	                           : "could not learn the outcome: the agent did not answer "
	                             "in time; it goes on by itself (see difusor status)";
	if (u->args->json) {
		struct dif_buf out;
		struct dif_json j;
		dif_buf_init(&out, DIF_REPORT_MAX);
		dif_json_begin(&j, &out);
		dif_json_open(&j, NULL, '{');
		dif_json_int(&j, "exit", code);
		dif_json_bool(&j, "by_agent", true);
		dif_json_str(&j, "text", text);
		dif_json_close(&j, '}');
		dif_buf_fmt(&out, "\n");
		dif_report_print(&out);
	} else {
		printf("%s\n", text);
	}
out:
	dif_inbox_leave(&job);
	dif_arena_fini(&w.arena);
	return code;
}

static bool held_by_agent(const struct dif_error *err)
{
	return err->cls == DIF_CONFLICT && err->exit == DIF_EXIT_OTHER;
}

static int open_and_publish(struct publishing *u)
{
	struct dif_error err = {0}, config_err = {0};
	enum dif_setup_mode mode = u->dry_run ? DIF_SETUP_READ : DIF_SETUP_OWN;
	struct dif_setup *s = dif_setup_open(u->args->config, mode, &err);
	if (s != NULL) {
		return publish_here(s, u);
	}
	if (!held_by_agent(&err)) {
		return dif_cli_fail(&err);
	}
	struct dif_config *c = dif_config_load(u->args->config, &config_err);
	if (c == NULL) {
		return dif_cli_fail(&config_err);
	}
	bool alone = false;
	int code = publish_by_agent(u, c->state, &alone);
	dif_config_free(c);
	return alone ? open_and_publish(u) : code;
}

static int run(const struct dif_args *args)
{
	struct publishing u = {.args = args,
	                       .timeout_ms = TIMEOUT_MS,
	                       .began_ms = dif_steady_ms(),
	                       .dry_run = args->value[DRY_RUN] != NULL};
	const char *timeout = args->value[TIMEOUT];
	if (timeout != NULL && !dif_parse_duration(timeout, 1000, TIMEOUT_MAX_MS, &u.timeout_ms)) {
		return dif_cli_usage(
			args,
			"option --timeout must be a time such as 30s or 10min, 1s to 24h, not '%s'",
			timeout);
	}
	dif_progress_init(&u.progress, args->json);
	u.sidecar = dif_report_sidecar(args->words[0], args->value[DIGEST]);
	int code = open_and_publish(&u);
	free(u.sidecar);
	return code;
}

const struct dif_verb_row dif_verb_publish = {
	.name = "publish",
	.words = "FILE.zip",
	.min_words = 1,
	.max_words = 1,
	.what = "checks one package and delivers it to every destination",
	.text = "Only what changed is uploaded; deletions come last and after the grace time. A\n"
		"second run of the same package repairs what is missing, or exits 9 where\n"
		"nothing is. Where an agent runs, it does the work; whoever does not wait for\n"
		"it has handed the package over all the same: it is archived, and published\n"
		"where nothing newer is live.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
