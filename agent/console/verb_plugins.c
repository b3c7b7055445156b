/* plugins [PATH] - what loads, and why not. */
#include <stdio.h>

#include "console/cli.h"
#include "console/report.h"
#include "flow/config.h"

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

static int run(const struct dif_args *args)
{
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

const struct dif_verb_row dif_verb_plugins = {
	.name = "plugins",
	.words = "[DIR or FILE.so]",
	.max_words = 1,
	.what = "lists the plug-ins that load, and why the others do not",
	.text = "Without a path, the folder that the configuration names. Exit 15 where one was\n"
		"refused.",
	.run = run,
};
