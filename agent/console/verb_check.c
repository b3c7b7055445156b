/* check - a go/no-go list: configuration, plug-ins, sources and stores, each tried for real.
 *
 * Per store: the cheapest read, then the probe of conditional writes, which also proves that
 * objects may be put and removed (below .difusor/ only). Sequential, so that the list reads in
 * order.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "console/cli.h"
#include "console/report.h"
#include "flow/probe.h"

#define CHECK_DEADLINE_MS 20000 /* of one question: longer is a no-go on the night */

struct checking {
	const struct dif_args *args;
	struct dif_setup *setup;
	struct dif_buf out;
	struct dif_json j;
	uint32_t source, destination; /* where we are */
	uint32_t nogo;
};

static void next(struct checking *c);

static void tell(struct checking *c, const char *what, const char *name, bool go,
                 const char *sentence)
{
	c->nogo += !go;
	if (c->args->json) {
		dif_json_open(&c->j, NULL, '{');
		dif_json_str(&c->j, "what", what);
		dif_json_str(&c->j, "name", name);
		dif_json_bool(&c->j, "go", go);
		dif_json_str(&c->j, "text", sentence);
		dif_json_close(&c->j, '}');
	} else {
		dif_buf_fmt(&c->out, "%-6s %-12s %-16s %s\n", go ? "go" : "NO-GO", what, name,
		            sentence);
	}
}

static void sentence_of(char *to, size_t max, const struct dif_outcome *out)
{
	char took[DIF_DATE_MAX];
	if (out->err.cls != DIF_OK) {
		snprintf(to, max, "%s", out->err.text);
	} else {
		snprintf(to, max, "reachable in %s%s%s", dif_span(took, out->took_ms),
		         out->tls != NULL ? ", " : "", out->tls != NULL ? out->tls : "");
	}
}

static void on_source(void *data, const struct dif_outcome *out)
{
	struct checking *c = data;
	char text[1024];
	sentence_of(text, sizeof text, out);
	tell(c, "source", c->setup->config->sources[c->source].name, out->err.cls == DIF_OK, text);
	c->source++;
	next(c);
}

static void on_writes(void *data, const struct dif_error *err)
{
	struct checking *c = data;
	const struct dif_destination *d = &c->setup->destinations[c->destination];
	if (err->cls != DIF_OK) {
		tell(c, "writes", d->config->name, false, err->text);
	} else if (d->fence == DIF_FENCED) {
		tell(c, "writes", d->config->name, true,
		     "may put and remove; conditional writes are kept");
	} else {
		tell(c, "writes", d->config->name, true,
		     "may put and remove; warning: conditions on writes are not kept, so only one "
		     "agent may publish here");
	}
	c->destination++;
	next(c);
}

static void on_store(void *data, const struct dif_outcome *out)
{
	struct checking *c = data;
	struct dif_destination *d = &c->setup->destinations[c->destination];
	char text[1024];
	sentence_of(text, sizeof text, out);
	tell(c, "destination", d->config->name, out->err.cls == DIF_OK, text);
	if (out->err.cls == DIF_OK) {
		dif_probe_start(d, NULL, on_writes, c);
		return;
	}
	c->destination++;
	next(c);
}

static void next(struct checking *c)
{
	const struct dif_config *config = c->setup->config;
	if (c->source < config->nsources) {
		dif_op_start(c->setup->sources[c->source], DIF_PROBE, NULL, CHECK_DEADLINE_MS,
		             on_source, c);
	} else if (c->destination < config->ndestinations) {
		dif_op_start(c->setup->destinations[c->destination].store, DIF_PROBE, NULL,
		             CHECK_DEADLINE_MS, on_store, c);
	}
}

static void tell_configuration(struct checking *c)
{
	const struct dif_config *config = c->setup->config;
	char text[1024];
	snprintf(text, sizeof text,
	         "profile %s, state %s, %" PRIu32 " sources, %" PRIu32 " destinations",
	         config->profile == DIF_REHEARSAL ? "rehearsal" : "production", config->state,
	         config->nsources, config->ndestinations);
	tell(c, "configuration", config->file, true, text);
	for (const struct dif_loaded *l = c->setup->loader.all; l != NULL; l = l->next) {
		tell(c, "plug-in", l->ok ? l->plugin->offers[0].name : "?", l->ok,
		     l->ok ? l->file : l->reason);
	}
}

static int run(const struct dif_args *args)
{
	struct dif_error err = {0};
	struct checking c = {.args = args};
	c.setup = dif_setup_open(args->config, DIF_SETUP_CONFIG, &err);
	if (c.setup == NULL) {
		return dif_cli_fail(&err);
	}
	dif_buf_init(&c.out, DIF_REPORT_MAX);
	dif_json_begin(&c.j, &c.out);
	if (args->json) {
		dif_json_open(&c.j, NULL, '[');
	}
	tell_configuration(&c);
	next(&c);
	dif_engine_run(c.setup->engine);
	if (args->json) {
		dif_json_close(&c.j, ']');
	} else {
		dif_buf_fmt(&c.out, c.nogo == 0 ? "go" : "NO-GO: %" PRIu32 " of the points above",
		            c.nogo);
	}
	dif_buf_fmt(&c.out, "\n");
	dif_report_print(&c.out);
	dif_setup_close(c.setup);
	return c.nogo == 0 ? DIF_EXIT_OK : DIF_EXIT_NONE_REACHED;
}

const struct dif_verb_row dif_verb_check = {
	.name = "check",
	.words = "",
	.what = "tries configuration, plug-ins, sources and stores: a go/no-go list",
	.text = "Writes and removes one small object below .difusor/ in each store, to prove\n"
		"what it may. Exit 8 where a point is no-go.",
	.run = run,
};
