/* plugins [PATH] - what loads, and why not; with --probe, whether it keeps the contract. */
#include <stdio.h>

#include "base/log.h"

#include "console/cli.h"
#include "console/report.h"
#include "flow/config.h"
#include "rehearsal/contract.h"

enum { PROBE, SCRIPTS };

static void json_one(struct dif_json *j, const struct dif_loaded *l, const struct dif_offer *o)
{
	char abi[32] = "";
	if (l->ok) {
		snprintf(abi, sizeof abi, "%u.%u", l->plugin->abi_major, l->plugin->abi_minor);
	}
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", o != NULL ? o->name : NULL);
	dif_json_str(j, "kind", o != NULL ? dif_kind_name(o->kind) : NULL);
	dif_json_str(j, "version", l->ok ? l->plugin->version : NULL);
	dif_json_str(j, "abi", l->ok ? abi : NULL);
	dif_json_str(j, "file", l->file);
	dif_json_str(j, "sha256", l->sha256);
	dif_json_bool(j, "ok", l->ok);
	dif_json_str(j, "reason", l->ok ? NULL : l->reason);
	dif_json_close(j, '}');
}

static void text_one(struct dif_buf *out, const struct dif_loaded *l, const struct dif_offer *o)
{
	if (!l->ok) {
		dif_buf_fmt(out, "%-12s %-8s %s\n  %s\n", "refused", "", l->file, l->reason);
		return;
	}
	dif_buf_fmt(out, "%-12s %-8s %s, ABI %u.%u  %s\n  %s\n", o->name, dif_kind_name(o->kind),
	            l->plugin->version, l->plugin->abi_major, l->plugin->abi_minor, l->file,
	            o->what);
}

static void print(const struct dif_args *args, const struct dif_loader *loader)
{
	struct dif_buf out;
	struct dif_json j;
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_json_begin(&j, &out);
	if (args->json) {
		dif_json_open(&j, NULL, '[');
	}
	for (const struct dif_loaded *l = loader->all; l != NULL; l = l->next) {
		uint32_t n = l->ok ? l->plugin->noffers : 1;
		for (uint32_t i = 0; i < n; i++) {
			const struct dif_offer *o = l->ok ? &l->plugin->offers[i] : NULL;
			if (args->json) {
				json_one(&j, l, o);
			} else {
				text_one(&out, l, o);
			}
		}
	}
	if (args->json) {
		dif_json_close(&j, ']');
		dif_buf_fmt(&out, "\n");
	} else if (loader->all == NULL) {
		dif_buf_fmt(&out, "no plug-in was found\n");
	}
	dif_report_print(&out);
}

/* --- probe --- */

struct probing {
	struct dif_buf out;
	struct dif_json j;
	bool json;
};

static void on_case(void *data, const struct dif_contract_case *c)
{
	static const char *const verdicts[] = {
		[DIF_PASSED] = "passed", [DIF_FAILED] = "failed", [DIF_UNPROVED] = "not proved"};
	struct probing *p = data;
	if (p->json) {
		dif_json_open(&p->j, NULL, '{');
		dif_json_str(&p->j, "case", c->name);
		dif_json_str(&p->j, "verdict", verdicts[c->verdict]);
		dif_json_str(&p->j, "reason", *c->why != '\0' ? c->why : NULL);
		dif_json_close(&p->j, '}');
	} else { /* as it happens: some cases wait for a second */
		printf("%-10s  %s%s%s\n", verdicts[c->verdict], c->name,
		       *c->why != '\0' ? ": " : "", c->why);
		fflush(stdout);
	}
}

/* False: the suite could not run. */
static bool probe_one(struct probing *p, const struct dif_offer *o, const char *scripts,
                      struct dif_contract_counts *sum, struct dif_error *err)
{
	struct dif_contract_counts n = {0};
	if (p->json) {
		dif_json_open(&p->j, NULL, '{');
		dif_json_str(&p->j, "name", o->name);
		dif_json_open(&p->j, "cases", '[');
	}
	bool ok = dif_contract_run(o, scripts, on_case, p, &n, err);
	if (p->json) {
		dif_json_close(&p->j, ']');
		dif_json_int(&p->j, "passed", n.passed);
		dif_json_int(&p->j, "failed", n.failed);
		dif_json_int(&p->j, "unproved", n.unproved);
		dif_json_close(&p->j, '}');
	} else {
		printf("%s: %u passed, %u failed, %u not proved\n", o->name, n.passed, n.failed,
		       n.unproved);
	}
	sum->passed += n.passed;
	sum->failed += n.failed;
	sum->unproved += n.unproved;
	return ok;
}

static int probe(const struct dif_args *args, const struct dif_loader *loader)
{
	struct probing p = {.json = args->json};
	struct dif_contract_counts sum = {0};
	struct dif_error err = {0};
	bool ok = true, refused = false;
	dif_log_level(DIF_LOG_OFF); /* what the cases provoke is told as cases */
	dif_buf_init(&p.out, DIF_REPORT_MAX);
	dif_json_begin(&p.j, &p.out);
	if (p.json) {
		dif_json_open(&p.j, NULL, '[');
	}
	for (const struct dif_loaded *l = loader->all; ok && l != NULL; l = l->next) {
		if (!l->ok) {
			fprintf(stderr, "difusor: could not load '%s': %s\n", l->file, l->reason);
			refused = true;
		}
		for (uint32_t i = 0; ok && l->ok && i < l->plugin->noffers; i++) {
			ok = probe_one(&p, &l->plugin->offers[i], args->value[SCRIPTS], &sum, &err);
		}
	}
	if (p.json) {
		dif_json_close(&p.j, ']');
		dif_buf_fmt(&p.out, "\n");
	}
	dif_report_print(&p.out);
	if (!ok) {
		return dif_cli_fail(&err);
	}
	return refused || sum.failed > 0 ? DIF_EXIT_PLUGIN : DIF_EXIT_OK;
}

static bool is_misused(const struct dif_args *args)
{
	if (args->value[SCRIPTS] != NULL && args->value[PROBE] == NULL) {
		dif_cli_usage(args, "--scripts is for --probe");
		return true;
	}
	if (args->value[PROBE] != NULL && args->nwords == 0) {
		dif_cli_usage(args, "--probe needs the FILE.so to probe");
		return true;
	}
	return false;
}

static int run(const struct dif_args *args)
{
	if (is_misused(args)) {
		return DIF_EXIT_USAGE;
	}
	struct dif_loader loader;
	struct dif_error err = {0};
	struct dif_config *config = NULL;
	const char *path = args->nwords > 0 ? args->words[0] : NULL;
	if (path == NULL && dif_cli_has_no_config(args)) {
		path = dif_config_default_plugins(); /* this verb needs no configuration */
	}
	if (path == NULL && (config = dif_config_load(args->config, &err)) == NULL) {
		return dif_cli_fail(&err);
	}
	dif_loader_init(&loader);
	int code = DIF_EXIT_OK;
	if (!dif_loader_add(&loader, path != NULL ? path : config->plugins, &err)) {
		dif_cli_fail(&err);
		code = DIF_EXIT_PLUGIN;
	} else if (args->value[PROBE] != NULL) {
		code = probe(args, &loader);
	} else {
		print(args, &loader);
		for (const struct dif_loaded *l = loader.all; l != NULL; l = l->next) {
			code = l->ok ? code : DIF_EXIT_PLUGIN;
		}
	}
	dif_loader_fini(&loader);
	dif_config_free(config);
	return code;
}

static const struct dif_cli_option options[] = {
	[PROBE] = {"--probe", '\0', NULL,
                   "runs the contract suite on the plug-ins, without any network"},
	[SCRIPTS] = {"--scripts", '\0', "DIR",
                     "for --probe: what the provider is asked and answers (docs/PLUGINS.md)"},
};

const struct dif_verb_row dif_verb_plugins = {
	.name = "plugins",
	.words = "[DIR or FILE.so]",
	.max_words = 1,
	.what = "lists the plug-ins that load, and why the others do not",
	.text = "Without a path, the folder that the configuration names. Exit 15 where one was\n"
		"refused. With --probe, one line per case of the contract, and exit 15 where one\n"
		"failed; without --scripts only what needs no script is proved.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
