/* options PLUGIN - what may be written into a section, from the same rows that check it. */
#include <stdio.h>

#include "console/cli.h"
#include "console/report.h"
#include "flow/config.h"
#include "host/op.h"
#include "host/option.h"

enum { EXAMPLE };
static const struct dif_cli_option options[] = {
	[EXAMPLE] = {"--example", '\0', NULL, "as an INI section with every key commented out"},
};

struct rows {
	const struct dif_option *rows;
	uint32_t n;
};

static void json_rows(struct dif_json *j, struct rows r)
{
	for (uint32_t i = 0; i < r.n; i++) {
		const struct dif_option *o = &r.rows[i];
		dif_json_open(j, NULL, '{');
		dif_json_str(j, "name", o->name);
		dif_json_str(j, "type", dif_option_type_name(o->type));
		dif_json_str(j, "default", o->def);
		dif_json_str(j, "choices", o->choices);
		dif_json_str(j, "environment", o->env);
		dif_json_bool(j, "needed", (o->flags & DIF_NEEDED) != 0);
		dif_json_bool(j, "secret", (o->flags & DIF_SECRET) != 0);
		dif_json_str(j, "help", o->help);
		dif_json_close(j, '}');
	}
}

static void print(const struct dif_args *args, const char *head, const struct rows *all, uint32_t n)
{
	struct dif_buf out;
	struct dif_json j;
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_json_begin(&j, &out);
	if (args->json) {
		dif_json_open(&j, NULL, '[');
	} else {
		dif_buf_fmt(&out, "%s\n", head);
	}
	for (uint32_t i = 0; i < n; i++) {
		if (i > 0 && !args->json && args->value[EXAMPLE] != NULL) {
			dif_buf_fmt(&out, "\n");
		}
		if (args->json) {
			json_rows(&j, all[i]);
		} else if (args->value[EXAMPLE] != NULL) {
			dif_option_example(all[i].rows, all[i].n, &out);
		} else {
			dif_option_print(all[i].rows, all[i].n, &out);
		}
	}
	if (args->json) {
		dif_json_close(&j, ']');
		dif_buf_fmt(&out, "\n");
	}
	dif_report_print(&out);
}

/* [agent], [source NAME] and so on. */
static bool print_section(const struct dif_args *args)
{
	struct rows r = {.n = 0};
	char head[128];
	r.rows = dif_config_rows(args->words[0], &r.n);
	if (r.rows == NULL) {
		return false;
	}
	snprintf(head, sizeof head, "[%s%s]", args->words[0],
	         dif_config_is_single(args->words[0]) ? "" : " NAME");
	print(args, head, &r, 1);
	return true;
}

static void print_offer(const struct dif_args *args, const struct dif_offer *o)
{
	char head[512];
	struct rows all[2] = {{o->options, o->noptions}, {NULL, 0}};
	uint32_t n = 1;
	if ((o->flags & DIF_OFFER_HTTP) != 0) {
		all[n++] = (struct rows){dif_http_options, dif_http_noptions};
	}
	if (args->value[EXAMPLE] != NULL) {
		const char *section = o->kind == DIF_STEER ? "steering" : dif_kind_name(o->kind);
		snprintf(head, sizeof head,
		         "; Besides these the section takes what 'difusor options %s' tells.\n"
		         "[%s NAME]\nplugin = %s",
		         section, section, o->name);
	} else {
		snprintf(head, sizeof head, "%s (%s): %s", o->name, dif_kind_name(o->kind),
		         o->what);
	}
	print(args, head, all, n);
}

static const struct dif_offer *find(const struct dif_loader *l, const char *name, bool any)
{
	for (const struct dif_loaded *f = l->all; f != NULL; f = f->next) {
		for (uint32_t i = 0; f->ok && i < f->plugin->noffers; i++) {
			if (any || strcmp(f->plugin->offers[i].name, name) == 0) {
				return &f->plugin->offers[i];
			}
		}
	}
	return NULL;
}

static int fail(const struct dif_loader *l, const char *name)
{
	for (const struct dif_loaded *f = l->all; f != NULL; f = f->next) {
		if (!f->ok) {
			fprintf(stderr, "difusor: plug-in '%s' was refused: %s\n", f->file,
			        f->reason);
		}
	}
	fprintf(stderr,
	        "difusor: could not find plug-in '%s': name one of 'difusor plugins', or its "
	        "file\n",
	        name);
	return DIF_EXIT_PLUGIN;
}

static int run(const struct dif_args *args)
{
	struct dif_loader loader;
	struct dif_error err = {0};
	struct dif_config *config = NULL;
	const char *name = args->words[0];
	bool is_path = strchr(name, '/') != NULL;
	if (!is_path && print_section(args)) {
		return DIF_EXIT_OK;
	}
	const char *folder = dif_config_default_plugins(); /* where there is no configuration */
	if (!is_path && !dif_cli_has_no_config(args)) {
		config = dif_config_load(args->config, &err);
		if (config == NULL) {
			return dif_cli_fail(&err);
		}
		folder = config->plugins;
	}
	dif_loader_init(&loader);
	int code = DIF_EXIT_OK;
	if (!dif_loader_add(&loader, is_path ? name : folder, &err)) {
		dif_cli_fail(&err);
		code = DIF_EXIT_PLUGIN;
		goto out;
	}
	const struct dif_offer *o = find(&loader, name, is_path);
	if (o == NULL) {
		code = fail(&loader, name);
	} else {
		print_offer(args, o);
	}
out:
	dif_loader_fini(&loader);
	dif_config_free(config);
	return code;
}

const struct dif_verb_row dif_verb_options = {
	.name = "options",
	.words = "PLUGIN",
	.min_words = 1,
	.max_words = 1,
	.what = "prints the options of a plug-in, or of a section",
	.text = "PLUGIN is a name from 'difusor plugins', the file of one, or agent, source,\n"
		"store, cdn, destination, class, steering, health, failover or lease for the\n"
		"sections of the configuration. A section of a plug-in takes both: what the\n"
		"plug-in has, and what every section of its kind has.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
