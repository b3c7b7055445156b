/* check - prints the go/no-go list that flow/check makes, and what the configuration gives. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "console/cli.h"
#include "console/report.h"
#include "flow/check.h"

struct checking {
	const struct dif_args *args;
	struct dif_setup *setup;
	struct dif_buf out;
	struct dif_json j;
	uint32_t counts[DIF_VERDICTS];
};

static void on_point(void *data, const struct dif_check_point *p)
{
	static const char *const marks[DIF_VERDICTS] = {"go", "warn", "NO-GO", "-"};
	struct checking *c = data;
	c->counts[p->verdict]++;
	if (c->args->json) {
		dif_json_open(&c->j, NULL, '{');
		dif_json_str(&c->j, "what", p->what);
		dif_json_str(&c->j, "name", p->name);
		dif_json_str(&c->j, "question", p->question);
		dif_json_str(&c->j, "verdict", dif_verdict_name(p->verdict));
		dif_json_str(&c->j, "text", p->text);
		dif_json_close(&c->j, '}');
		return;
	}
	printf("%-6s %-11s %-12s %-13s %s\n", marks[p->verdict], p->what, p->name, p->question,
	       p->text);
	fflush(stdout); /* a question can take 10 s: who waits sees how far it is */
}

static void on_done(void *data)
{
	(void)data; /* the loop is empty now */
}

/* --- what needs no asking --- */

static void tell_configuration(struct checking *c)
{
	const struct dif_config *config = c->setup->config;
	char text[1024], from[DIF_DATE_MAX], to[DIF_DATE_MAX];
	snprintf(text, sizeof text, "profile %s, state %s, %s, %s",
	         config->profile == DIF_REHEARSAL ? "rehearsal" : "production", config->state,
	         dif_count(from, config->nsources, "source"),
	         dif_count(to, config->ndestinations, "destination"));
	on_point(c,
	         &(struct dif_check_point){"agent", config->file, "configuration", DIF_GO, text});
	for (const struct dif_loaded *l = c->setup->loader.all; l != NULL; l = l->next) {
		const char *slash = strrchr(l->file, '/');
		/* one that is needed has ended the check before it began */
		on_point(c,
		         &(struct dif_check_point){"plug-in", slash != NULL ? slash + 1 : l->file,
		                                   "loads", l->ok ? DIF_GO : DIF_WARNING,
		                                   l->ok ? l->plugin->offers[0].what : l->reason});
	}
}

/* The default classes stand behind the configured ones. */
static const struct dif_class_rule *class_at(const struct dif_config *c, uint32_t i)
{
	return i < c->nclasses ? &c->classes[i] : &dif_class_defaults[i - c->nclasses];
}

static void tell_globs(struct dif_buf *to, const struct dif_class_rule *r)
{
	if (r->match[0] == NULL) {
		dif_buf_fmt(to, "names with a digest");
	}
	for (size_t k = 0; r->match[k] != NULL; k++) {
		dif_buf_fmt(to, "%s%s", k > 0 ? " " : "", r->match[k]);
	}
}

struct covered {
	uint64_t entries, bytes;
};

/* What each class has of the live cut. */
static void count_entries(const struct dif_config *config, const struct dif_manifest *m,
                          struct covered *to)
{
	for (uint32_t i = 0; m != NULL && i < m->n; i++) {
		const struct dif_class_rule *r =
			dif_class_of(config->classes, config->nclasses, m->members[i].path);
		uint32_t k = 0;
		while (class_at(config, k) != r) {
			k++;
		}
		to[k].entries++;
		to[k].bytes += m->members[i].size;
	}
}

static void class_json(struct dif_json *j, const struct dif_class_rule *r, const char *globs,
                       const struct covered *in)
{
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", r->name);
	dif_json_str(j, "match", globs);
	dif_json_str(j, "phase", dif_phase_name(r->phase));
	dif_json_str(j, "store_as", r->store_as == DIF_GZIP ? "gzip" : "identity");
	dif_json_str(j, "content_type", r->content_type);
	dif_json_str(j, "cache_control", r->cache_control);
	if (in != NULL) {
		dif_json_int(j, "entries", (int64_t)in->entries);
		dif_json_int(j, "bytes", (int64_t)in->bytes);
	}
	dif_json_close(j, '}');
}

static void class_line(struct dif_buf *out, const struct dif_class_rule *r, const char *globs,
                       const struct covered *in)
{
	char entries[32] = "-", bytes[DIF_DATE_MAX] = "-";
	if (in != NULL) {
		snprintf(entries, sizeof entries, "%" PRIu64, in->entries);
		dif_amount(bytes, in->bytes);
	}
	dif_buf_fmt(out, "%-12s %-20s %7s %9s  %-10s %-9s %-20s %s\n", r->name, globs, entries,
	            bytes, dif_phase_name(r->phase), r->store_as == DIF_GZIP ? "gzip" : "identity",
	            r->content_type != NULL ? r->content_type : "by extension",
	            r->cache_control != NULL ? r->cache_control : "-");
}

/* Where a destination has a say in the form. */
static void tell_forms(struct checking *c)
{
	const struct dif_config *config = c->setup->config;
	for (uint32_t i = 0; i < config->ndestinations; i++) {
		const struct dif_destination_config *d = &config->destinations[i];
		if (d->store_as != NULL) {
			dif_buf_fmt(&c->out,
			            "destination %s stores all but entry pages as %s, whatever the "
			            "class\n",
			            d->name, d->store_as);
		}
	}
}

static void tell_classes(struct checking *c)
{
	const struct dif_config *config = c->setup->config;
	struct dif_manifest *m = dif_check_manifest(c->setup);
	uint32_t n = config->nclasses + dif_class_ndefaults;
	struct covered *in = calloc(n, sizeof *in);
	if (in != NULL) {
		count_entries(config, m, in);
	}
	if (c->args->json) {
		dif_json_open(&c->j, "classes", '[');
	} else {
		dif_buf_fmt(&c->out, "\n%-12s %-20s %7s %9s  %-10s %-9s %-20s %s\n", "class",
		            "match", "entries", "bytes", "phase", "store_as", "content-type",
		            "cache-control");
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct dif_class_rule *r = class_at(config, i);
		const struct covered *of = m != NULL && in != NULL ? &in[i] : NULL;
		struct dif_buf globs;
		dif_buf_init(&globs, DIF_REPORT_MAX);
		tell_globs(&globs, r);
		if (c->args->json) {
			class_json(&c->j, r, dif_buf_str(&globs), of);
		} else {
			class_line(&c->out, r, dif_buf_str(&globs), of);
		}
		dif_buf_fini(&globs);
	}
	if (c->args->json) {
		dif_json_close(&c->j, ']');
	} else {
		tell_forms(c);
	}
	free(in);
	dif_manifest_unref(m);
}

static void tell_verdict(struct checking *c)
{
	uint32_t bad = c->counts[DIF_NO_GO];
	if (c->args->json) {
		dif_json_bool(&c->j, "go", bad == 0);
		dif_json_int(&c->j, "warnings", c->counts[DIF_WARNING]);
		dif_json_int(&c->j, "no_go", bad);
		dif_json_close(&c->j, '}');
		dif_buf_fmt(&c->out, "\n");
		return;
	}
	char warnings[DIF_DATE_MAX];
	dif_buf_fmt(&c->out, "\n%s: %" PRIu32 " go, %s, %" PRIu32 " no-go\n",
	            bad == 0 ? "go" : "NO-GO", c->counts[DIF_GO],
	            dif_count(warnings, c->counts[DIF_WARNING], "warning"), bad);
}

static int run(const struct dif_args *args)
{
	static const struct dif_check_events events = {on_point, on_done};
	struct dif_error err = {0};
	struct checking c = {.args = args};
	c.setup = dif_setup_open(args->config, DIF_SETUP_READ, &err);
	if (c.setup == NULL) {
		return dif_cli_fail(&err);
	}
	dif_buf_init(&c.out, DIF_REPORT_MAX);
	dif_json_begin(&c.j, &c.out);
	if (args->json) {
		dif_json_open(&c.j, NULL, '{');
		dif_json_open(&c.j, "points", '[');
	}
	tell_configuration(&c);
	if (!dif_check_start(c.setup, &events, &c, &err)) {
		dif_buf_fini(&c.out);
		dif_setup_close(c.setup);
		return dif_cli_fail(&err);
	}
	dif_engine_run(c.setup->engine);
	if (args->json) {
		dif_json_close(&c.j, ']');
	}
	tell_classes(&c);
	tell_verdict(&c);
	dif_report_print(&c.out);
	dif_setup_close(c.setup);
	return c.counts[DIF_NO_GO] == 0 ? DIF_EXIT_OK : DIF_EXIT_NONE_REACHED;
}

const struct dif_verb_row dif_verb_check = {
	.name = "check",
	.words = "",
	.what = "tries sources, stores, CDNs, steerings, leases, public addresses: go or no-go",
	.text = "Each point is go, a warning or no-go, with its remedy. In each store small\n"
		"objects and one of 4 MiB are put below .difusor/ and removed again, to prove\n"
		"what it may and how fast. A question takes 10 s at most. Exit 8 where a point\n"
		"is no-go.",
	.log = "error", /* the points say it */
	.run = run,
};
