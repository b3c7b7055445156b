/* history - what was published, newest first. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/parse.h"
#include "console/cli.h"
#include "console/report.h"

#define SHOWN 50
#define SHOWN_MAX 100000

enum { LAST };
static const struct dif_cli_option options[] = {
	[LAST] = {"--last", 'n', "N", "how many cuts; default 50"},
};

static const char *const statuses[] = {[DIF_CUT_ARCHIVED] = "archived",
                                       [DIF_CUT_LIVE] = "live",
                                       [DIF_CUT_SUPERSEDED] = "superseded",
                                       [DIF_CUT_REFUSED] = "refused"};

struct printing {
	bool json;
	const struct dif_setup *setup;
	struct dif_buf out;
	struct dif_json j;
	uint32_t n;
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct printing *p = data;
	char when[DIF_DATE_MAX], bytes[DIF_DATE_MAX], entries[DIF_DATE_MAX];
	p->n++;
	if (!p->json) {
		dif_buf_fmt(&p->out, "%s  %-10s %.12s  %9s  %14s  %s%s%s%s\n",
		            dif_date(when, DIF_DATE_ISO, c->seen / 1000), statuses[c->status],
		            c->order.sha256, dif_amount(bytes, c->bytes),
		            dif_count(entries, c->entries, "entry"), c->name,
		            c->reason != NULL && *c->reason ? " (" : "",
		            c->reason != NULL ? c->reason : "",
		            c->reason != NULL && *c->reason ? ")" : "");
		dif_report_fresh(&p->out, p->setup, c->order.sha256);
		return;
	}
	dif_json_open(&p->j, NULL, '{');
	dif_report_order_json(&p->j, &c->order);
	dif_json_str(&p->j, "status", statuses[c->status]);
	dif_json_str(&p->j, "name", c->name);
	dif_json_str(&p->j, "source", c->source);
	dif_json_str(&p->j, "profile", c->profile);
	dif_json_str(&p->j, "reason", c->reason);
	dif_json_int(&p->j, "bytes", (int64_t)c->bytes);
	dif_json_int(&p->j, "entries", c->entries);
	dif_json_int(&p->j, "seen_ms", c->seen);
	dif_json_int(&p->j, "published_ms", c->published);
	dif_report_fresh_json(&p->j, p->setup, c->order.sha256);
	dif_report_skew_json(&p->j, p->setup->state, c->order.sha256);
	dif_json_close(&p->j, '}');
}

static int run(const struct dif_args *args)
{
	struct dif_error err = {0};
	struct printing p = {.json = args->json};
	uint64_t last = SHOWN;
	if (args->value[LAST] != NULL &&
	    (!dif_parse_uint(args->value[LAST], SHOWN_MAX, &last) || last == 0)) {
		return dif_cli_usage(args, "option --last must be 1 to %d, not '%s'", SHOWN_MAX,
		                     args->value[LAST]);
	}
	struct dif_setup *s = dif_setup_open(args->config, DIF_SETUP_READ, &err);
	if (s == NULL) {
		return dif_cli_fail(&err);
	}
	p.setup = s;
	dif_buf_init(&p.out, DIF_REPORT_MAX);
	dif_json_begin(&p.j, &p.out);
	if (p.json) {
		dif_json_open(&p.j, NULL, '[');
	}
	if (s->state != NULL) {
		dif_state_cuts(s->state, (uint32_t)last, on_cut, &p);
	}
	if (p.json) {
		dif_json_close(&p.j, ']');
		dif_buf_fmt(&p.out, "\n");
	} else if (p.n == 0) {
		dif_buf_fmt(&p.out, "nothing was published yet\n");
	}
	dif_report_print(&p.out);
	dif_setup_close(s);
	return DIF_EXIT_OK;
}

const struct dif_verb_row dif_verb_history = {
	.name = "history",
	.words = "",
	.what = "lists what was published, newest first",
	.text = "Below each cut, per destination: how long it took from the source's notice to\n"
		"the readers, and of that the download, our own work, and the CDN.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
