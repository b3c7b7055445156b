/* drill - faults on purpose, run by the agent: the catalogue, one of them run and followed, its
 * report. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "console/by_hand.h"
#include "console/report.h"
#include "evidence/drill.h"
#include "evidence/drill_kinds.h"
#include "evidence/drill_report.h"

#define POLL_MS 100
#define ARENA_MAX (64u << 20)
#define LENGTH_MIN_MS 1000
#define LENGTH_MAX_MS (60 * 60 * 1000)

enum { DESTINATION = DIF_BY_HAND_OPTIONS, FOR, RTO, LANG, HTML, MD, OUTPUT };
static const struct dif_cli_option options[] = {
	DIF_BY_HAND_ROWS,
	[DESTINATION] = {"--destination", 'd', "NAME",
                         "run: which one is struck; default: the one with the fewest readers"},
	[FOR] = {"--for", '\0', "DURATION",
                 "run: how long the fault lasts; default: long enough to be noticed and steered "
                 "around"},
	[RTO] = {"--rto", '\0', "DURATION", "run: the longest time that readers may be without"},
	[LANG] = {"--lang", '\0', "es|en", "report: the language; default en"},
	[HTML] = {"--html", '\0', NULL, "report: HTML, one file, to be printed"},
	[MD] = {"--md", '\0', NULL, "report: Markdown; the default"},
	[OUTPUT] = {"--output", 'o', "FILE", "report: into a file"},
};

struct drilling {
	const struct dif_args *args;
	struct dif_config *config;
	struct dif_arena arena;
	const char *id;
	uint32_t told; /* events */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	(void)number;
	interrupted = 1;
}

/* --- list --- */

static int list(const struct dif_args *args)
{
	struct dif_buf out;
	struct dif_json j;
	if (!args->json) {
		for (uint32_t i = 0; i < dif_drill_nkinds; i++) {
			printf("%-20s %s\n", dif_drill_kinds[i].name, dif_drill_kinds[i].what);
		}
		return DIF_EXIT_OK;
	}
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '[');
	for (uint32_t i = 0; i < dif_drill_nkinds; i++) {
		dif_json_open(&j, NULL, '{');
		dif_json_str(&j, "name", dif_drill_kinds[i].name);
		dif_json_str(&j, "what", dif_drill_kinds[i].what);
		dif_json_bool(&j, "moves_readers", dif_drill_kinds[i].moves);
		dif_json_close(&j, '}');
	}
	dif_json_close(&j, ']');
	dif_buf_fmt(&out, "\n");
	dif_report_print(&out);
	return DIF_EXIT_OK;
}

/* --- run --- */

/* NULL: err, also where the agent refused. */
static const struct dif_answer *ask(struct drilling *k, const char *act, bool dry_run,
                                    struct dif_error *err)
{
	const struct dif_args *args = k->args;
	struct dif_ask q = {.act = act,
	                    .name = args->value[DESTINATION] != NULL ? args->value[DESTINATION]
	                                                             : "",
	                    .dry_run = dry_run,
	                    .drill = args->words[1]};
	if (args->value[FOR] != NULL) {
		(void)dif_parse_duration(args->value[FOR], LENGTH_MIN_MS, LENGTH_MAX_MS,
		                         &q.length_ms);
	}
	if (args->value[RTO] != NULL) {
		(void)dif_parse_duration(args->value[RTO], 1, LENGTH_MAX_MS, &q.rto_ms);
	}
	const struct dif_answer *a = dif_by_hand_ask(&k->arena, k->config->state, &q, err);
	if (a != NULL && a->exit != DIF_EXIT_OK) {
		dif_error_exit(err, a->exit, DIF_PERMANENT, "%s", a->text);
		return NULL;
	}
	return a;
}

static void tell_news(struct drilling *k, const struct dif_drill_record *r)
{
	int64_t set = dif_drill_at(r, DIF_DRILL_FAULT_SET);
	for (; k->told < r->nevents && !k->args->json; k->told++) {
		const struct dif_drill_event *e = &r->events[k->told];
		printf("%+9.3f s  %-14s %s\n", (double)(e->ms - (set >= 0 ? set : 0)) / 1000,
		       dif_drill_event_name(e->id), e->text);
		fflush(stdout);
	}
}

static void tell_end(const struct drilling *k, const struct dif_drill_record *r)
{
	struct dif_buf out;
	dif_buf_init(&out, DIF_REPORT_MAX);
	if (k->args->json) {
		dif_drill_write(r, &out);
		dif_report_print(&out);
		return;
	}
	for (uint32_t i = 0; i < r->ncriteria; i++) {
		const struct dif_drill_criterion *c = &r->criteria[i];
		bool counts_cuts = c->id == DIF_DRILL_RPO;
		dif_buf_fmt(&out, "%-10s %s", dif_drill_criterion_name(c->id),
		            c->good ? "met" : "NOT MET");
		if (c->measured >= 0 && counts_cuts) {
			dif_buf_fmt(&out, ": %lld cuts", (long long)c->measured);
		} else if (c->measured >= 0) {
			dif_buf_fmt(&out, ": %.1f s", (double)c->measured / 1000);
		}
		if (c->bound >= 0 && !counts_cuts) {
			dif_buf_fmt(&out, ", at most %.1f s", (double)c->bound / 1000);
		}
		dif_buf_fmt(&out, "\n");
	}
	dif_buf_fmt(&out, "SIMULACRO %s: %s", r->id, dif_drill_state_name(r->state));
	if (r->rto_ms >= 0) {
		dif_buf_fmt(&out, ", RTO %.1f s", (double)r->rto_ms / 1000);
	}
	if (r->rpo_cuts >= 0) {
		dif_buf_fmt(&out, ", RPO %lld cuts", (long long)r->rpo_cuts);
	}
	dif_buf_fmt(&out, "%s%s\nreports in %s/drills/%s\n", r->reason[0] != '\0' ? ": " : "",
	            r->reason, k->config->state, r->id);
	dif_report_print(&out);
}

/* The drill is that there is no agent for a while. */
static bool is_awaited(const struct dif_drill_record *r)
{
	const struct dif_drill_kind *kind = dif_drill_kind(r->drill);
	return kind != NULL && kind->notice == DIF_NOTICED_BY_RESTART &&
	       dif_wall_ms() - r->begun < r->detection_bound_ms;
}

/* Until the record says that it is over. */
static bool follow(struct drilling *k, struct dif_drill_record *r, struct dif_error *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	for (;;) {
		bool agent = dif_state_holder(k->config->state) != 0;
		if (!dif_drill_load(k->config->state, k->id, r, NULL, err)) {
			return false;
		}
		tell_news(k, r);
		if (r->state != DIF_DRILL_RUNNING) {
			return true;
		}
		if (!agent && !is_awaited(r)) {
			return dif_error_exit(err, DIF_EXIT_DRILL, DIF_PERMANENT,
			                      "drill '%s' was interrupted: the agent ended in it, "
			                      "and the fault with it",
			                      k->id);
		}
		if (interrupted == 1) {
			interrupted = 2;
			(void)ask(k, DIF_DRILL_ASK_STOP, false, err);
		}
		nanosleep(&pause, NULL);
	}
}

static bool is_confirmed(const struct drilling *k, const struct dif_answer *would)
{
	char line[16] = "";
	const struct dif_drill_kind *kind = dif_drill_kind(k->args->words[1]);
	if (!k->args->json) {
		printf("%s%s%s: %s\n", kind->name, would->before[0] != '\0' ? " on " : "",
		       would->before, kind->what);
		fflush(stdout);
	}
	if (k->args->value[DIF_BY_HAND_DRY_RUN] != NULL) {
		return false;
	}
	if (k->args->value[DIF_BY_HAND_YES] != NULL) {
		return true;
	}
	fprintf(stderr, "begin? [y/N] ");
	fflush(stderr);
	bool yes = fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
	if (!yes) {
		fputs("difusor: nothing was done\n", stderr);
	}
	return yes;
}

static int run_it(struct drilling *k)
{
	struct dif_error err = {0};
	const struct sigaction on = {.sa_handler = on_signal};
	int code = DIF_EXIT_OTHER;
	if (dif_state_holder(k->config->state) == 0) {
		dif_error_exit(&err, DIF_EXIT_OTHER, DIF_PERMANENT,
		               "could not run drill '%s': no agent is running; start it with "
		               "'difusor run'",
		               k->args->words[1]);
		return dif_cli_fail(&err);
	}
	const struct dif_answer *would = ask(k, DIF_DRILL_ASK, true, &err);
	if (would == NULL) {
		return dif_cli_fail(&err);
	}
	if (!is_confirmed(k, would)) {
		return k->args->value[DIF_BY_HAND_DRY_RUN] != NULL ? DIF_EXIT_OK : DIF_EXIT_OTHER;
	}
	const struct dif_answer *began = ask(k, DIF_DRILL_ASK, false, &err);
	if (began == NULL) {
		return dif_cli_fail(&err);
	}
	k->id = began->text;
	sigaction(SIGINT, &on, NULL);
	sigaction(SIGTERM, &on, NULL);
	struct dif_drill_record *r = calloc(1, sizeof *r);
	if (r == NULL) {
		dif_error_set(&err, DIF_TRANSIENT, "could not follow the drill: out of memory");
		return dif_cli_fail(&err);
	}
	if (follow(k, r, &err)) {
		tell_end(k, r);
		code = r->state == DIF_DRILL_PASSED ? DIF_EXIT_OK : DIF_EXIT_DRILL;
	} else {
		code = dif_cli_fail(&err);
	}
	free(r);
	return code;
}

/* --- report --- */

static bool write_file(const char *path, const struct dif_buf *out, struct dif_error *err)
{
	FILE *f = fopen(path, "we");
	bool good = f != NULL && fwrite(out->p, 1, out->n, f) == out->n;
	good = (f == NULL || fclose(f) == 0) && good;
	if (!good) {
		dif_error_set(err, DIF_PERMANENT, "could not write '%s': %s", path,
		              strerror(errno));
	}
	return good;
}

static int report_it(struct drilling *k)
{
	struct dif_error err = {0};
	struct dif_buf out;
	uint32_t n = 0;
	const struct dif_args *args = k->args;
	const char *id = args->nwords > 1 ? args->words[1] : "last";
	const char *const *ids = dif_drill_ids(&k->arena, k->config->state, &n);
	const char *lang = args->value[LANG] != NULL ? args->value[LANG] : "en";
	if (strcmp(id, "last") == 0) {
		id = n > 0 ? ids[n - 1] : "";
	}
	if (id[0] == '\0') {
		dif_error_set(&err, DIF_NOT_FOUND, "could not report: no drill was run yet");
		return dif_cli_fail(&err);
	}
	dif_buf_init(&out, DIF_REPORT_MAX);
	bool good = dif_drill_report_of(k->config->state, id, args->value[HTML] != NULL,
	                                strcmp(lang, "es") == 0 ? DIF_REPORT_ES : DIF_REPORT_EN,
	                                &out, &err);
	if (good && args->json) {
		struct dif_drill_record *r = calloc(1, sizeof *r);
		dif_buf_fini(&out);
		dif_buf_init(&out, DIF_REPORT_MAX);
		good = r != NULL && dif_drill_load(k->config->state, id, r, NULL, &err) &&
		       dif_drill_write(r, &out);
		free(r);
	}
	if (good && args->value[OUTPUT] != NULL) {
		good = write_file(args->value[OUTPUT], &out, &err);
	} else if (good) {
		dif_report_print(&out);
		return DIF_EXIT_OK;
	}
	dif_buf_fini(&out);
	return good ? DIF_EXIT_OK : dif_cli_fail(&err);
}

/* --- all --- */

static int check_run(const struct dif_args *args)
{
	int64_t ms = 0;
	bool asks =
		args->value[DIF_BY_HAND_YES] == NULL && args->value[DIF_BY_HAND_DRY_RUN] == NULL;
	if (args->nwords < 2 || dif_drill_kind(args->words[1]) == NULL) {
		return dif_cli_usage(args, "'drill run' needs a name of 'difusor drill list'%s%s",
		                     args->nwords > 1 ? ", not " : "",
		                     args->nwords > 1 ? args->words[1] : "");
	}
	if (args->value[FOR] != NULL &&
	    !dif_parse_duration(args->value[FOR], LENGTH_MIN_MS, LENGTH_MAX_MS, &ms)) {
		return dif_cli_usage(args, "--for must be from 1s to 60min, not '%s'",
		                     args->value[FOR]);
	}
	if (args->value[RTO] != NULL &&
	    !dif_parse_duration(args->value[RTO], 1, LENGTH_MAX_MS, &ms)) {
		return dif_cli_usage(args, "--rto must be from 1ms to 60min, not '%s'",
		                     args->value[RTO]);
	}
	if (asks && (args->json || !isatty(STDIN_FILENO))) {
		return dif_cli_usage(args, "nobody can be asked here: say --yes or --dry-run");
	}
	return DIF_EXIT_OK;
}

static int check_report(const struct dif_args *args)
{
	const char *lang = args->value[LANG];
	if (lang != NULL && strcmp(lang, "es") != 0 && strcmp(lang, "en") != 0) {
		return dif_cli_usage(args, "--lang must be es or en, not '%s'", lang);
	}
	if (args->value[HTML] != NULL && args->value[MD] != NULL) {
		return dif_cli_usage(args, "a report is either --html or --md");
	}
	return DIF_EXIT_OK;
}

static int run(const struct dif_args *args)
{
	static const struct {
		const char *name;
		int (*check)(const struct dif_args *args);
		int (*act)(struct drilling *k);
	} acts[] = {{"run", check_run, run_it}, {"report", check_report, report_it}};
	struct dif_error err = {0};
	struct drilling k = {.args = args};
	uint32_t i = 0;
	if (strcmp(args->words[0], "list") == 0 && args->nwords == 1) {
		return list(args);
	}
	while (i < DIF_LEN(acts) && strcmp(acts[i].name, args->words[0]) != 0) {
		i++;
	}
	if (i == DIF_LEN(acts)) {
		return dif_cli_usage(args, "'drill' needs list, run NAME or report [ID]");
	}
	int code = acts[i].check(args);
	if (code != DIF_EXIT_OK) {
		return code;
	}
	k.config = dif_config_load(args->config, &err);
	if (k.config == NULL) {
		return dif_cli_fail(&err);
	}
	dif_arena_init(&k.arena, ARENA_MAX, false);
	code = acts[i].act(&k);
	dif_arena_fini(&k.arena);
	dif_config_free(k.config);
	return code;
}

const struct dif_verb_row dif_verb_drill = {
	.name = "drill",
	.words = "list | run NAME | report [ID]",
	.min_words = 1,
	.max_words = 2,
	.what = "faults on purpose: rehearse one, measure RTO and RPO, report it",
	.text = "list shows the catalogue. run lets the running agent break something on purpose,\n"
		"below its plug-ins: the provider is not touched, and the fault is gone when the\n"
		"drill ends, is stopped (Ctrl-C) or the agent ends. It is refused (exit 16) where\n"
		"readers could suffer, stopped at once where another destination turns bad, and\n"
		"ends with 14 where a criterion is not met. report prints the last one, or ID.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
