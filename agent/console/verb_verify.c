/* verify FILE.zip - everything that ingest would check, without a configuration. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "console/cli.h"
#include "console/progress.h"
#include "console/report.h"
#include "flow/ingest.h"

enum { DIGEST };
static const struct dif_cli_option options[] = {
	[DIGEST] = {"--digest", '\0', "FILE",
                    "side-car with its SHA-256; default FILE.zip.sha256 where there is one"},
};

struct verifying {
	struct dif_progress progress;
	struct dif_manifest *manifest;
	struct dif_error err;
};

static void on_progress(void *data, uint64_t bytes, uint64_t of)
{
	struct verifying *v = data;
	struct dif_buf text;
	dif_buf_init(&text, 4096);
	dif_report_progress(&text, DIF_CUT_INGESTING, bytes, of, NULL);
	dif_progress_draw(&v->progress, false, dif_buf_str(&text));
	dif_buf_fini(&text);
}

static void on_done(void *data, struct dif_manifest *m, const struct dif_error *err)
{
	struct verifying *v = data;
	v->manifest = m;
	if (m == NULL) {
		v->err = *err;
	}
}

static bool ingest(const struct dif_package *p, struct verifying *v)
{
	struct dif_engine *e = dif_engine_new(&v->err);
	if (e == NULL) {
		return false;
	}
	dif_ingest_start(e, p, &(struct dif_ingest_want){0}, on_progress, on_done, v);
	dif_engine_run(e);
	dif_engine_free(e);
	dif_progress_clear(&v->progress);
	return v->manifest != NULL;
}

static void print(const struct dif_args *args, const struct dif_package *p, const char *sidecar)
{
	struct dif_buf out;
	char packed[DIF_DATE_MAX], whole[DIF_DATE_MAX], entries[DIF_DATE_MAX];
	dif_buf_init(&out, DIF_REPORT_MAX);
	if (args->json) {
		struct dif_json j;
		dif_json_begin(&j, &out);
		dif_json_open(&j, NULL, '{');
		dif_json_str(&j, "file", args->words[0]);
		dif_json_str(&j, "sha256", p->sha256);
		dif_json_int(&j, "bytes", (int64_t)p->bytes);
		dif_json_int(&j, "entries", p->n);
		dif_json_int(&j, "unpacked", (int64_t)p->total);
		dif_json_str(&j, "digest", sidecar);
		dif_json_bool(&j, "rehearsal", p->rehearsal);
		dif_json_open(&j, "warnings", '[');
		for (uint32_t i = 0; p->warnings[i] != NULL; i++) {
			dif_json_str(&j, NULL, p->warnings[i]);
		}
		dif_json_close(&j, ']');
		dif_json_close(&j, '}');
		dif_buf_fmt(&out, "\n");
	} else {
		dif_buf_fmt(&out, "%s: good%s\n  %s, %s, %s unpacked\n  sha256 %s\n",
		            args->words[0], p->rehearsal ? " (a rehearsal: SIMULACRO.json)" : "",
		            dif_amount(packed, p->bytes), dif_count(entries, p->n, "entry"),
		            dif_amount(whole, p->total), p->sha256);
		dif_buf_fmt(&out,
		            sidecar != NULL ? "  digest agrees with %s\n"
		                            : "  no digest given%s: checked by CRC-32 only\n",
		            sidecar != NULL ? sidecar : "");
		for (uint32_t i = 0; p->warnings[i] != NULL; i++) {
			dif_buf_fmt(&out, "  warning: %s\n", p->warnings[i]);
		}
	}
	dif_report_print(&out);
}

static int run(const struct dif_args *args)
{
	struct verifying v = {0};
	int code = DIF_EXIT_OK;
	char *sidecar = dif_report_sidecar(args->words[0], args->value[DIGEST]);
	dif_progress_init(&v.progress, args->json);
	struct dif_package *p = dif_package_open(args->words[0], NULL, &v.err);
	if (p == NULL || (sidecar != NULL && !dif_package_check_digest(p, sidecar, &v.err)) ||
	    !ingest(p, &v)) {
		code = dif_cli_fail(&v.err);
	} else {
		print(args, p, sidecar);
	}
	dif_manifest_unref(v.manifest);
	dif_package_close(p);
	free(sidecar);
	return code;
}

const struct dif_verb_row dif_verb_verify = {
	.name = "verify",
	.words = "FILE.zip",
	.min_words = 1,
	.max_words = 1,
	.what = "checks a package as publishing would, and says why it is refused",
	.text = "Exit 0: good; 5: digest or CRC mismatch; 6: unsafe, unreadable, over a limit\n"
		"or no site; 1: the package or its digest cannot be opened.",
	.options = options,
	.noptions = DIF_LEN(options),
	.no_config = true,
	.run = run,
};
