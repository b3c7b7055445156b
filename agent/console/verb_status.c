/* status - the live cut and how far each destination is, from the state alone: needs no network and
 * no agent. */
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "console/cli.h"
#include "console/progress.h"
#include "console/report.h"
#include "console/traffic_report.h"
#include "flow/duty.h"

#define WATCH_MS 1000
#define RECENT 200 /* cuts looked through for the live one */

enum { WATCH };
static const struct dif_cli_option options[] = {
	[WATCH] = {"--watch", 'w', NULL, "renew every second until interrupted"},
};

struct looking {
	const struct dif_args *args;
	struct dif_setup *setup;
	struct dif_arena arena;
	struct dif_cut live;
	bool found;
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct looking *l = data;
	if (!l->found && c->status == DIF_CUT_LIVE) {
		l->live = *c;
		l->live.name = dif_arena_str(&l->arena, c->name);
		l->live.source = dif_arena_str(&l->arena, c->source);
		l->found = true;
	}
}

static bool is_whole(const struct looking *l, const struct dif_delivery_record *d)
{
	return l->found && d->complete && strcmp(d->sha256, l->live.order.sha256) == 0;
}

static void json_source(struct looking *l, struct dif_json *j, const struct dif_source_config *c)
{
	char scope[160];
	snprintf(scope, sizeof scope, "source:%s", c->name);
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", c->name);
	dif_json_str(j, "tls", dif_state_fact(l->setup->state, scope, "tls", 0, &l->arena));
	dif_json_str(j, "bytes_per_s",
	             dif_state_fact(l->setup->state, scope, "bytes_per_s", 0, &l->arena));
	dif_json_close(j, '}');
}

static void json_destination(struct looking *l, struct dif_json *j,
                             const struct dif_destination_config *c)
{
	struct dif_delivery_record d = {0};
	bool any = dif_state_delivery(l->setup->state, c->name, NULL, &d, &l->arena);
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", c->name);
	dif_json_str(j, "public_url", c->public_url);
	dif_json_str(j, "cut", any ? d.sha256 : NULL);
	dif_json_str(j, "state", any ? d.state : NULL);
	dif_json_bool(j, "whole", any && is_whole(l, &d));
	dif_json_str(j, "reason", any ? d.reason : NULL);
	dif_json_int(j, "ended_ms", any ? d.ended : 0);
	dif_json_int(j, "shown_ms",
	             any ? dif_publication_shown(l->setup->state, d.sha256, c->name) : 0);
	dif_json_int(j, "purges_owed", dif_purge_owed(l->setup->state, c));
	dif_json_close(j, '}');
}

/* Of two agents; nothing where there is no lease, or none has been asked for yet. */
static bool recall_duty(struct looking *l, struct dif_duty_view *v)
{
	return l->setup->config->nleases > 0 && l->setup->state != NULL &&
	       dif_duty_recall(l->setup->state, &l->arena, v);
}

static void json_lease(struct looking *l, struct dif_json *j)
{
	struct dif_duty_view v;
	if (!recall_duty(l, &v)) {
		dif_json_str(j, "lease", NULL);
		return;
	}
	dif_json_open(j, "lease", '{');
	dif_json_str(j, "name", l->setup->config->leases[0].name);
	dif_json_bool(j, "running", dif_state_holder(l->setup->config->state) != 0);
	dif_json_str(j, "role", dif_role_name(v.role));
	dif_json_int(j, "since_ms", v.since);
	dif_json_str(j, "owner", v.owner);
	dif_json_str(j, "holder", v.holder[0] != '\0' ? v.holder : NULL);
	dif_json_int(j, "fence", v.fence);
	dif_json_str(j, "trouble", v.trouble[0] != '\0' ? v.trouble : NULL);
	dif_json_close(j, '}');
}

static void text_lease(struct looking *l, struct dif_buf *out)
{
	struct dif_duty_view v;
	char span[DIF_DATE_MAX];
	if (!recall_duty(l, &v)) {
		return;
	}
	dif_buf_fmt(out, "%-16s %s for %s", "role", dif_role_name(v.role),
	            dif_span(span, dif_wall_ms() - v.since));
	if (strcmp(v.holder, v.owner) == 0) {
		dif_buf_fmt(out, "; the lease was its own when it asked last, fence %" PRId64,
		            v.fence);
	} else if (v.holder[0] != '\0') {
		dif_buf_fmt(out, "; '%s' has the lease, or had it last", v.holder);
	}
	dif_buf_fmt(out, "\n");
	if (v.trouble[0] != '\0') {
		dif_buf_fmt(out, "%-16s THE LEASE CANNOT BE ASKED FOR: %s\n", "", v.trouble);
	}
	if (dif_state_holder(l->setup->config->state) == 0) {
		dif_buf_fmt(out, "%-16s no agent is running: as it was %s ago\n", "",
		            dif_span(span, dif_wall_ms() - v.kept));
	}
}

static void print_json(struct looking *l, struct dif_buf *out)
{
	const struct dif_config *config = l->setup->config;
	struct dif_json j;
	dif_json_begin(&j, out);
	dif_json_open(&j, NULL, '{');
	dif_json_str(&j, "profile", config->profile == DIF_REHEARSAL ? "rehearsal" : "production");
	if (l->found) {
		dif_report_order_json(&j, &l->live.order);
		dif_json_str(&j, "name", l->live.name);
		dif_json_int(&j, "age_ms", dif_wall_ms() - l->live.seen);
		dif_report_fresh_json(&j, l->setup, l->live.order.sha256);
		dif_report_skew_json(&j, l->setup->state, l->live.order.sha256);
	}
	dif_json_open(&j, "sources", '[');
	for (uint32_t i = 0; l->setup->state != NULL && i < config->nsources; i++) {
		json_source(l, &j, &config->sources[i]);
	}
	dif_json_close(&j, ']');
	dif_json_open(&j, "destinations", '[');
	for (uint32_t i = 0; l->setup->state != NULL && i < config->ndestinations; i++) {
		json_destination(l, &j, &config->destinations[i]);
	}
	dif_json_close(&j, ']');
	json_lease(l, &j);
	dif_traffic_report_json(&j, l->setup);
	dif_json_close(&j, '}');
	dif_buf_fmt(out, "\n");
}

static void text_destination(struct looking *l, struct dif_buf *out,
                             const struct dif_destination_config *c)
{
	struct dif_delivery_record d = {0};
	char ago[DIF_DATE_MAX];
	if (!dif_state_delivery(l->setup->state, c->name, NULL, &d, &l->arena)) {
		dif_buf_fmt(out, "%-16s never delivered to\n", c->name);
		return;
	}
	int64_t at = d.ended != 0 ? d.ended : d.started;
	dif_buf_fmt(out, "%-16s %-9s cut %.12s, %s %s ago%s%s%s%s\n", c->name,
	            is_whole(l, &d) ? "whole" : "BEHIND", d.sha256, d.state,
	            dif_span(ago, dif_wall_ms() - at), d.reason != NULL && *d.reason ? ": " : "",
	            d.reason != NULL ? d.reason : "", c->public_url != NULL ? "  " : "",
	            c->public_url != NULL ? c->public_url : "");
	uint32_t owed = dif_purge_owed(l->setup->state, c);
	if (owed > 0) {
		dif_buf_fmt(out, "%-16s %u purges owed: its CDNs may still give the older cut\n",
		            "", owed);
	}
}

static void print_text(struct looking *l, struct dif_buf *out)
{
	const struct dif_config *config = l->setup->config;
	char age[DIF_DATE_MAX], bytes[DIF_DATE_MAX];
	if (!l->found) {
		dif_buf_fmt(out, "nothing was published yet\n");
	} else {
		dif_buf_fmt(out, "%-16s %.12s  %s, %s from %s, %s ago%s\n", "live cut",
		            l->live.order.sha256, l->live.name, dif_amount(bytes, l->live.bytes),
		            l->live.source, dif_span(age, dif_wall_ms() - l->live.seen),
		            config->profile == DIF_REHEARSAL ? "  (SIMULACRO)" : "");
	}
	int64_t skew = l->found ? dif_publication_skew(l->setup->state, l->live.order.sha256) : -1;
	if (skew >= 0) {
		dif_buf_fmt(out, "%-16s %s between its first and its last destination\n", "skew",
		            dif_span(age, skew));
	}
	text_lease(l, out);
	/* a first cut that failed everywhere is not live, and its reasons are what is asked for */
	for (uint32_t i = 0; l->setup->state != NULL && i < config->ndestinations; i++) {
		text_destination(l, out, &config->destinations[i]);
	}
	dif_traffic_report_text(out, l->setup);
}

static void look(struct looking *l)
{
	struct dif_buf out;
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_arena_reset(&l->arena);
	l->found = false;
	if (l->setup->state != NULL) {
		dif_state_cuts(l->setup->state, RECENT, on_cut, l);
	}
	if (l->args->json) {
		print_json(l, &out);
	} else {
		print_text(l, &out);
	}
	dif_report_print(&out);
	fflush(stdout);
}

static void on_tick(uv_timer_t *t)
{
	struct looking *l = t->data;
	if (!l->args->json) {
		fputs("\033[H\033[2J", stdout); /* home, clear */
	}
	look(l);
}

static int run(const struct dif_args *args)
{
	struct dif_error err = {0};
	struct looking l = {.args = args};
	uv_timer_t tick = {.data = &l};
	l.setup = dif_setup_open(args->config, DIF_SETUP_READ, &err);
	if (l.setup == NULL) {
		return dif_cli_fail(&err);
	}
	dif_arena_init(&l.arena, 4u << 20, false);
	if (args->value[WATCH] != NULL) { /* until interrupted */
		uv_timer_init(&l.setup->engine->loop, &tick);
		uv_timer_start(&tick, on_tick, 0, WATCH_MS);
		dif_engine_run(l.setup->engine);
	} else {
		look(&l);
	}
	dif_arena_fini(&l.arena);
	dif_setup_close(l.setup);
	return DIF_EXIT_OK;
}

const struct dif_verb_row dif_verb_status = {
	.name = "status",
	.words = "",
	.what = "the live cut, its age, and how far each destination is",
	.text = "From the state alone: it needs neither an agent nor the network. What each line\n"
		"means on the night, and what to do then, is in docs/PRODUCTION.md.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
