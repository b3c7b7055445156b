/* simulate - a rehearsal package of the real shape. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "console/cli.h"
#include "console/progress.h"
#include "console/report.h"
#include "rehearsal/simulate.h"

#define CUT_MAX 288 /* a night of 24 hours at 12 an hour */

enum { CUT, SEED, SCALE, OUTPUT, SIDECAR };
static const struct dif_cli_option options[] = {
	[CUT] = {"--cut", '\0', "N", "which cut of the night, 0 to 288; default 100"},
	[SEED] = {"--seed", '\0', "S", "another seed is another election; default 1"},
	[SCALE] = {"--scale", '\0', "SIZE",
                   "tiny, tenth or full (14,500 files, 80 MB); default full"},
	[OUTPUT] = {"--output", 'o', "FILE", "where to write the package"},
	[SIDECAR] = {"--sidecar", '\0', NULL, "also write FILE.sha256"},
};
static const char *const scales[] = {
	[DIF_TINY] = "tiny", [DIF_TENTH] = "tenth", [DIF_FULL] = "full"};

static void on_progress(void *data, uint64_t entries, uint64_t of)
{
	struct dif_progress *p = data;
	char text[128];
	snprintf(text, sizeof text, "writing %" PRIu64 " of %" PRIu64 " entries\n", entries, of);
	dif_progress_draw(p, false, text);
}

/* False: a usage error was printed. */
static bool parse(const struct dif_args *args, struct dif_simulate *s)
{
	uint64_t cut = 100;
	const char *const *v = args->value;
	if (v[OUTPUT] == NULL) {
		dif_cli_usage(args, "option --output FILE is needed");
		return false;
	}
	if (v[CUT] != NULL && !dif_parse_uint(v[CUT], CUT_MAX, &cut)) {
		dif_cli_usage(args, "option --cut must be 0 to %d, not '%s'", CUT_MAX, v[CUT]);
		return false;
	}
	if (v[SEED] != NULL && !dif_parse_uint(v[SEED], UINT64_MAX, &s->seed)) {
		dif_cli_usage(args, "option --seed must be a number, not '%s'", v[SEED]);
		return false;
	}
	s->cut = (uint32_t)cut;
	s->sidecar = v[SIDECAR] != NULL;
	for (uint32_t i = 0; v[SCALE] != NULL && i < DIF_LEN(scales); i++) {
		if (strcmp(v[SCALE], scales[i]) == 0) {
			s->scale = i;
			return true;
		}
	}
	if (v[SCALE] != NULL) {
		dif_cli_usage(args, "option --scale must be tiny, tenth or full, not '%s'",
		              v[SCALE]);
		return false;
	}
	return true;
}

static int run(const struct dif_args *args)
{
	struct dif_simulate s = {.seed = 1, .scale = DIF_FULL};
	struct dif_simulated out = {0};
	struct dif_error err = {0};
	struct dif_progress progress;
	char packed[DIF_DATE_MAX], whole[DIF_DATE_MAX];
	if (!parse(args, &s)) {
		return DIF_EXIT_USAGE;
	}
	dif_progress_init(&progress, args->json);
	bool ok = dif_simulate(&s, args->value[OUTPUT], on_progress, &progress, &out, &err);
	dif_progress_clear(&progress);
	if (!ok) {
		return dif_cli_fail(&err);
	}
	if (args->json) {
		struct dif_buf text;
		struct dif_json j;
		dif_buf_init(&text, DIF_REPORT_MAX);
		dif_json_begin(&j, &text);
		dif_json_open(&j, NULL, '{');
		dif_json_str(&j, "file", args->value[OUTPUT]);
		dif_json_int(&j, "cut", s.cut);
		dif_json_int(&j, "entries", out.entries);
		dif_json_int(&j, "bytes", (int64_t)out.bytes);
		dif_json_int(&j, "unpacked", (int64_t)out.unpacked);
		dif_json_close(&j, '}');
		dif_buf_fmt(&text, "\n");
		dif_report_print(&text);
	} else {
		printf("%s: cut %" PRIu32 ", %" PRIu32 " entries, %s, %s unpacked\n",
		       args->value[OUTPUT], s.cut, out.entries, dif_amount(packed, out.bytes),
		       dif_amount(whole, out.unpacked));
	}
	return DIF_EXIT_OK;
}

const struct dif_verb_row dif_verb_simulate = {
	.name = "simulate",
	.words = "",
	.what = "writes a rehearsal package of the real shape",
	.text = "The same cut, seed and scale give the same bytes. Cut N+1 follows from cut N\n"
		"as counting does. It is marked as a rehearsal, so only profile = rehearsal\n"
		"publishes it.",
	.options = options,
	.noptions = DIF_LEN(options),
	.no_config = true,
	.run = run,
};
