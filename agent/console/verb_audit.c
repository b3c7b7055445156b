/* audit - every destination's store against the manifest, byte for byte, one after the other; with
 * --edge then what readers get of it through public_url. With --repair what was found wrong in a
 * store is doubted and the live cut is delivered again. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "console/cli.h"
#include "console/progress.h"
#include "console/report.h"
#include "flow/audit.h"
#include "flow/audit_edge.h"

enum { DESTINATION, EDGE, REPAIR };
static const struct dif_cli_option options[] = {
	[DESTINATION] = {"--destination", 'd', "NAME", "only this one"},
	[EDGE] = {"--edge", '\0', NULL, "also what readers get through each public_url"},
	[REPAIR] = {"--repair", '\0', NULL, "deliver again what is missing or differs"},
};

struct auditing {
	const struct dif_args *args;
	struct dif_setup *setup;
	struct dif_progress progress;
	struct dif_buf out;
	struct dif_json j;
	uint32_t at;     /* index of the destination */
	uint32_t bad;    /* destinations that differ */
	uint32_t failed; /* that could not be audited */
	uint32_t done;
	uint32_t doubted;       /* keys to deliver again */
	bool is_bad, is_failed; /* the destination at hand */
	bool edge_bad;          /* some edge */
	int repaired;           /* exit code of the repair */
};

static void start_next(struct auditing *a);

static const char *name_of(const struct auditing *a)
{
	return a->setup->destinations[a->at].config->name;
}

/* An unknown key is written again even if it looks equal; on the tag that it has now, because its
 * metadata may still claim to be right. */
static void doubt(struct auditing *a, const struct dif_finding *f)
{
	struct dif_destination *d = &a->setup->destinations[a->at];
	const struct dif_held *held = dif_destination_held(d, f->key);
	if (held == NULL) {
		return; /* not ours, or already to be written */
	}
	struct dif_held h = *held;
	h.unknown = true;
	h.tag = f->tag != NULL ? f->tag : h.tag;
	held = dif_destination_keep(d, &h);
	if (held != NULL) {
		dif_state_put_held(a->setup->state, d->config->name, held);
		a->doubted++;
	}
}

static void on_finding(void *data, const struct dif_finding *f)
{
	struct auditing *a = data;
	if (a->args->value[REPAIR] != NULL) {
		doubt(a, f);
	}
	if (a->args->json) {
		dif_json_open(&a->j, NULL, '{');
		dif_json_str(&a->j, "key", f->key);
		dif_json_str(&a->j, "finding", dif_finding_name(f->what));
		dif_json_str(&a->j, "detail", f->detail);
		dif_json_close(&a->j, '}');
	} else {
		dif_buf_fmt(&a->out, "%-16s %s '%s': %s\n", f->destination,
		            dif_finding_name(f->what), f->key, f->detail);
	}
}

static void on_progress(void *data, uint64_t objects, uint64_t of)
{
	struct auditing *a = data;
	char text[256];
	snprintf(text, sizeof text, "auditing %s: %" PRIu64 " of %" PRIu64 " objects\n", name_of(a),
	         objects, of);
	dif_progress_draw(&a->progress, false, text);
}

static void tell(struct auditing *a, const struct dif_audit_counts *c, const struct dif_error *err)
{
	char bytes[DIF_DATE_MAX], objects[DIF_DATE_MAX], differences[DIF_DATE_MAX];
	if (a->args->json) {
		dif_json_close(&a->j, ']');
		dif_json_int(&a->j, "objects", (int64_t)c->objects);
		dif_json_int(&a->j, "bytes", (int64_t)c->bytes);
		dif_json_int(&a->j, "foreign", (int64_t)c->foreign);
		dif_json_int(&a->j, "delete_later", (int64_t)c->due_later);
		dif_json_int(&a->j, "differences", (int64_t)c->findings);
		dif_json_str(&a->j, "error", err->cls != DIF_OK ? err->text : NULL);
	} else if (err->cls != DIF_OK) {
		dif_buf_fmt(&a->out, "%-16s not audited: %s\n", name_of(a), err->text);
	} else {
		dif_buf_fmt(&a->out, "%-16s %s, %s read back, %s\n", name_of(a),
		            dif_count(objects, c->objects, "object"), dif_amount(bytes, c->bytes),
		            dif_count(differences, c->findings, "difference"));
	}
}

/* --- the edge --- */

static void finish(struct auditing *a)
{
	if (a->args->json) {
		dif_json_close(&a->j, '}');
	}
	a->failed += a->is_failed;
	a->bad += a->is_bad && !a->is_failed;
	a->done++;
	a->at++;
	start_next(a);
}

static void tell_edge_finding(struct auditing *a, const struct dif_edge_finding *f)
{
	if (!a->args->json) {
		dif_buf_fmt(&a->out, "%-16s edge %s '%s'%s: %s%s%s\n", name_of(a),
		            dif_edge_verdict_name(f->verdict), f->url, f->gzip ? " (gzip)" : "",
		            f->text, f->feature != NULL ? "; look for " : "",
		            f->feature != NULL ? f->feature : "");
		return;
	}
	dif_json_open(&a->j, NULL, '{');
	dif_json_str(&a->j, "path", f->path);
	dif_json_str(&a->j, "url", f->url);
	dif_json_str(&a->j, "accept_encoding", f->gzip ? "gzip" : "identity");
	dif_json_str(&a->j, "finding", dif_edge_verdict_name(f->verdict));
	dif_json_int(&a->j, "status", f->status);
	if (f->offset >= 0) {
		dif_json_int(&a->j, "offset", f->offset);
	}
	dif_json_str(&a->j, "cut", f->cut[0] != '\0' ? f->cut : NULL);
	dif_json_str(&a->j, "detail", f->text);
	dif_json_str(&a->j, "cause", f->cause);
	dif_json_str(&a->j, "look_for", f->feature);
	dif_json_str(&a->j, "cache", f->cache);
	dif_json_close(&a->j, '}');
}

static void tell_edge(struct auditing *a, const struct dif_edge_report *r)
{
	char bytes[DIF_DATE_MAX];
	if (!a->args->json) {
		if (r->err.cls != DIF_OK) {
			dif_buf_fmt(&a->out, "%-16s edge not audited: %s\n", name_of(a),
			            r->err.text);
			return;
		}
		dif_buf_fmt(&a->out,
		            "%-16s edge: %" PRIu64 " of %" PRIu64 " URLs answered, %s, %" PRIu64
		            " differ, %" PRIu64 " not reached, %" PRIu64
		            " compressed without being asked for\n",
		            name_of(a), r->of - r->verdict[DIF_EDGE_UNREACHED], r->of,
		            dif_amount(bytes, r->bytes), r->wrong - r->verdict[DIF_EDGE_UNREACHED],
		            r->verdict[DIF_EDGE_UNREACHED], r->unasked);
		return;
	}
	dif_json_close(&a->j, ']');
	dif_json_int(&a->j, "urls", (int64_t)r->of);
	dif_json_int(&a->j, "bytes", (int64_t)r->bytes);
	for (uint32_t i = 0; i < DIF_EDGE_CANCELED; i++) {
		dif_json_int(&a->j, dif_edge_verdict_name(i), (int64_t)r->verdict[i]);
	}
	dif_json_int(&a->j, "unasked_encoding", (int64_t)r->unasked);
	dif_json_str(&a->j, "error", r->err.cls != DIF_OK ? r->err.text : NULL);
	dif_json_close(&a->j, '}');
}

static void on_edge(void *data, const struct dif_edge_report *r)
{
	struct auditing *a = data;
	uint64_t lost = r->verdict[DIF_EDGE_UNREACHED];
	dif_progress_clear(&a->progress);
	for (uint32_t i = 0; i < r->nfindings; i++) {
		tell_edge_finding(a, &r->findings[i]);
	}
	tell_edge(a, r);
	a->edge_bad = a->edge_bad || r->wrong > lost;
	a->is_bad = a->is_bad || r->wrong > lost;
	a->is_failed = a->is_failed || r->err.cls != DIF_OK || (lost > 0 && !a->is_bad);
	finish(a);
}

static void on_edge_progress(void *data, uint64_t checked, uint64_t of)
{
	struct auditing *a = data;
	char text[256];
	snprintf(text, sizeof text, "auditing the edge of %s: %" PRIu64 " of %" PRIu64 " URLs\n",
	         name_of(a), checked, of);
	dif_progress_draw(&a->progress, false, text);
}

static void start_edge(struct auditing *a)
{
	const char *why = dif_audit_edge_objection(&a->setup->config->destinations[a->at]);
	if (a->args->json) {
		dif_json_open(&a->j, "edge", '{');
		dif_json_str(&a->j, "not_audited", why);
		dif_json_open(&a->j, "findings", '[');
	}
	if (why == NULL && dif_audit_edge_start(a->setup, a->at, on_edge_progress, on_edge, a)) {
		return;
	}
	struct dif_edge_report none = {0};
	if (why != NULL && !a->args->json) {
		dif_buf_fmt(&a->out, "%-16s edge not audited: %s\n", name_of(a), why);
		finish(a);
		return;
	}
	if (why == NULL) {
		dif_error_set(&none.err, DIF_TRANSIENT, "out of memory");
	}
	on_edge(a, &none);
}

static void on_done(void *data, const struct dif_audit_counts *counts, const struct dif_error *err)
{
	struct auditing *a = data;
	dif_progress_clear(&a->progress);
	tell(a, counts, err);
	a->is_failed = err->cls != DIF_OK;
	a->is_bad = err->cls == DIF_OK && counts->findings > 0;
	if (a->args->value[EDGE] != NULL) {
		start_edge(a);
	} else {
		finish(a);
	}
}

static void start_next(struct auditing *a)
{
	const char *only = a->args->value[DESTINATION];
	while (a->at < a->setup->config->ndestinations && only != NULL &&
	       strcmp(only, name_of(a)) != 0) {
		a->at++;
	}
	if (a->at == a->setup->config->ndestinations) {
		return;
	}
	if (a->args->json) {
		dif_json_open(&a->j, NULL, '{');
		dif_json_str(&a->j, "name", name_of(a));
		dif_json_open(&a->j, "findings", '[');
	}
	dif_audit_start(a->setup, a->at, on_finding, on_progress, on_done, a);
}

static void on_repaired(void *data, int code, const struct dif_error *err,
                        const struct dif_order *order, const struct dif_publication *p)
{
	struct auditing *a = data;
	(void)order;
	a->repaired = code;
	if (a->args->json) {
		dif_json_open(&a->j, NULL, '{');
		dif_json_int(&a->j, "repair_exit", code);
		dif_json_str(&a->j, "error", err->cls != DIF_OK ? err->text : NULL);
		dif_report_json(&a->j, p);
		dif_json_close(&a->j, '}');
		return;
	}
	char objects[DIF_DATE_MAX];
	dif_buf_fmt(&a->out, "repair of %s: %s\n", dif_count(objects, a->doubted, "object"),
	            code == DIF_EXIT_OK ? "done"
	            : p != NULL         ? "not everywhere"
	                                : err->text);
	if (p != NULL) {
		dif_report_deliveries(&a->out, p, false);
		dif_report_print(&a->out);
		dif_buf_init(&a->out, DIF_REPORT_MAX);
		if (code != DIF_EXIT_OK && code != DIF_EXIT_NOTHING_NEW) {
			dif_report_failures(p, err);
		}
	}
}

static void repair(struct auditing *a)
{
	static const struct dif_cut_events events = {NULL, on_repaired};
	struct dif_cut_job job = {.setup = a->setup};
	dif_cut_repair(&job, &events, a);
	dif_engine_run(a->setup->engine);
}

static int exit_of(const struct auditing *a)
{
	if (a->doubted > 0 && (a->repaired != DIF_EXIT_OK || !a->edge_bad)) {
		return a->repaired != DIF_EXIT_OK || a->failed == 0 ? a->repaired
		                                                    : DIF_EXIT_PARTIAL;
	}
	if (a->bad > 0) {
		return DIF_EXIT_DIFFERS;
	}
	return a->failed == 0         ? DIF_EXIT_OK
	       : a->failed == a->done ? DIF_EXIT_NONE_REACHED
	                              : DIF_EXIT_PARTIAL;
}

static int run(const struct dif_args *args)
{
	struct dif_error err = {0};
	struct auditing a = {.args = args};
	a.setup = dif_setup_open(
		args->config, args->value[REPAIR] != NULL ? DIF_SETUP_OWN : DIF_SETUP_READ, &err);
	if (a.setup == NULL) {
		return dif_cli_fail(&err);
	}
	dif_progress_init(&a.progress, args->json);
	dif_buf_init(&a.out, DIF_REPORT_MAX);
	dif_json_begin(&a.j, &a.out);
	if (args->json) {
		dif_json_open(&a.j, NULL, '[');
	}
	start_next(&a);
	dif_engine_run(a.setup->engine);
	if (a.doubted > 0) {
		repair(&a);
	}
	if (args->json) {
		dif_json_close(&a.j, ']');
		dif_buf_fmt(&a.out, "\n");
	}
	dif_report_print(&a.out);
	dif_setup_close(a.setup);
	if (a.done == 0) {
		return dif_cli_usage(args, "there is no destination '%s'",
		                     args->value[DESTINATION]);
	}
	return exit_of(&a);
}

const struct dif_verb_row dif_verb_audit = {
	.name = "audit",
	.words = "",
	.what = "compares what the stores give back with the manifest, byte for byte",
	.text = "Reads every object of the live cut from each destination and lists what is\n"
		"missing, differs or is surplus. Exit 11 where something differs.\n\n"
		"With --edge also every URL of it through each public_url, as a reader's\n"
		"program asks for it, and once more with Accept-Encoding: gzip: each finding with\n"
		"its URL, the offset of the first difference, and the feature of the CDN to look\n"
		"for. What is only stale there, 'difusor purge' makes good. With\n"
		"--repair, which needs the state for itself, what is wrong is delivered again\n"
		"and the exit code is that of the repair.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
