#include "console/report.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "console/cli.h"
#include "flow/freshness.h"

#define BAR 24 /* characters */

char *dif_report_sidecar(const char *file, const char *given)
{
	char *path = NULL;
	if (given != NULL) {
		return strdup(given);
	}
	if (asprintf(&path, "%s.sha256", file) == -1) {
		return NULL;
	}
	if (access(path, F_OK) != 0) {
		free(path);
		return NULL;
	}
	return path;
}

void dif_report_print(struct dif_buf *out)
{
	if (out->failed) {
		fputs("difusor: could not print the report: out of memory\n", stderr);
	}
	fputs(dif_buf_str(out), stdout);
	dif_buf_fini(out);
}

static void plan_line(struct dif_buf *out, const struct dif_delivery *d)
{
	const struct dif_delivery_counts *c = dif_delivery_counts(d);
	char bytes[DIF_DATE_MAX], objects[DIF_DATE_MAX];
	dif_buf_fmt(out,
	            "would put %s (%s), delete %" PRIu64 " now and %" PRIu64
	            " later, leave %" PRIu64 " unchanged and %" PRIu64 " foreign\n",
	            dif_count(objects, c->puts_of, "object"), dif_amount(bytes, c->put_bytes_of),
	            c->removed, c->remove_later, c->skipped, c->foreign);
}

static void done_line(struct dif_buf *out, const struct dif_delivery *d)
{
	const struct dif_delivery_counts *c = dif_delivery_counts(d);
	char bytes[DIF_DATE_MAX];
	dif_buf_fmt(out, "%" PRIu64 " put (%s), %" PRIu64 " unchanged, %" PRIu64 " deleted",
	            c->puts, dif_amount(bytes, c->put_bytes), c->skipped, c->removed);
	if (c->remove_later > 0) {
		dif_buf_fmt(out, ", %" PRIu64 " to delete after the grace time", c->remove_later);
	}
	if (c->foreign > 0) {
		dif_buf_fmt(out, ", %" PRIu64 " foreign left alone", c->foreign);
	}
	if (c->retries > 0) {
		dif_buf_fmt(out, ", %" PRIu64 " repeated", c->retries);
	}
	dif_buf_fmt(out, "\n");
}

void dif_report_purge(struct dif_buf *out, const struct dif_purge_count *c, bool dry_run)
{
	const char *comma = dry_run ? "would purge " : "purged ";
	for (uint32_t i = DIF_PURGE_URLS; i <= DIF_PURGE_ALL; i++) {
		if (c->items[i] > 0 && i == DIF_PURGE_ALL) {
			dif_buf_fmt(out, "%severything", comma);
			comma = ", ";
		} else if (c->items[i] > 0) {
			dif_buf_fmt(out, "%s%u %s", comma, c->items[i], dif_purge_scope_name(i));
			comma = ", ";
		}
	}
	if (c->again > 0) {
		dif_buf_fmt(out, "%s%u once more after the origin timeout", comma, c->again);
	}
	dif_buf_fmt(out, "%s%u requests\n", c->calls > 0 ? ", " : "", c->calls);
}

/* One line per CDN. */
static void purge_lines(struct dif_buf *out, const struct dif_delivery *d, bool dry_run)
{
	const struct dif_purge_count *all = dif_delivery_purges(d);
	for (uint32_t i = 0; i < dif_delivery_to(d)->config->ncdns && all[i].cdn != NULL; i++) {
		dif_buf_fmt(out, "%-16s %-10s cdn %s: ", "", "", all[i].cdn);
		dif_report_purge(out, &all[i], dry_run);
	}
}

void dif_report_deliveries(struct dif_buf *out, const struct dif_publication *p, bool dry_run)
{
	for (uint32_t i = 0; i < dif_publication_count(p); i++) {
		const struct dif_delivery *d = dif_publication_at(p, i);
		const struct dif_error *err = dif_delivery_error(d);
		dif_buf_fmt(out, "%-16s %-10s ", dif_delivery_to(d)->config->name,
		            dry_run ? "dry run" : dif_delivery_state(d));
		if (dry_run && err->cls == DIF_OK) {
			plan_line(out, d);
		} else {
			done_line(out, d);
		}
		purge_lines(out, d, dry_run);
		if (dif_delivery_to(d)->fence == DIF_UNFENCED) {
			dif_buf_fmt(out,
			            "%-16s %-10s this store does not keep conditions on "
			            "writes: only one agent may publish to it\n",
			            "", "warning");
		}
	}
}

void dif_report_failures(const struct dif_publication *p, const struct dif_error *err)
{
	uint32_t told = 0;
	fflush(stdout); /* the table is read first */
	for (uint32_t i = 0; p != NULL && i < dif_publication_count(p); i++) {
		const struct dif_error *e = dif_delivery_error(dif_publication_at(p, i));
		if (e->cls != DIF_OK) {
			dif_cli_fail(e);
			told++;
		}
	}
	if (told == 0 && err->cls != DIF_OK) {
		dif_cli_fail(err);
	}
}

void dif_report_order_json(struct dif_json *j, const struct dif_order *order)
{
	dif_json_open(j, "cut", '{');
	dif_json_int(j, "epoch", order->epoch);
	dif_json_int(j, "number", order->number);
	dif_json_str(j, "sha256", order->sha256);
	dif_json_close(j, '}');
}

void dif_report_skew_json(struct dif_json *j, struct dif_state *state, const char *sha256)
{
	int64_t skew = dif_publication_skew(state, sha256);
	if (skew >= 0) {
		dif_json_int(j, "skew_ms", skew);
	} else {
		dif_json_str(j, "skew_ms", NULL);
	}
}

void dif_report_purge_json(struct dif_json *j, const struct dif_purge_count *c)
{
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "cdn", c->cdn);
	for (uint32_t i = DIF_PURGE_URLS; i <= DIF_PURGE_ALL; i++) {
		dif_json_int(j, dif_purge_scope_name(i), c->items[i]);
	}
	dif_json_int(j, "again", c->again);
	dif_json_int(j, "requests", c->calls);
	dif_json_close(j, '}');
}

static void purges_json(struct dif_json *j, const struct dif_delivery *d)
{
	const struct dif_purge_count *all = dif_delivery_purges(d);
	dif_json_open(j, "purges", '[');
	for (uint32_t i = 0; i < dif_delivery_to(d)->config->ncdns && all[i].cdn != NULL; i++) {
		dif_report_purge_json(j, &all[i]);
	}
	dif_json_close(j, ']');
}

void dif_report_json(struct dif_json *j, const struct dif_publication *p)
{
	dif_json_open(j, "destinations", '[');
	for (uint32_t i = 0; p != NULL && i < dif_publication_count(p); i++) {
		const struct dif_delivery *d = dif_publication_at(p, i);
		const struct dif_delivery_counts *c = dif_delivery_counts(d);
		const struct dif_error *err = dif_delivery_error(d);
		dif_json_open(j, NULL, '{');
		dif_json_str(j, "name", dif_delivery_to(d)->config->name);
		dif_json_str(j, "state", dif_delivery_state(d));
		dif_json_bool(j, "fenced", dif_delivery_to(d)->fence != DIF_UNFENCED);
		dif_json_int(j, "puts", (int64_t)c->puts);
		dif_json_int(j, "put_bytes", (int64_t)c->put_bytes);
		dif_json_int(j, "puts_planned", (int64_t)c->puts_of);
		dif_json_int(j, "put_bytes_planned", (int64_t)c->put_bytes_of);
		dif_json_int(j, "unchanged", (int64_t)c->skipped);
		dif_json_int(j, "deleted", (int64_t)c->removed);
		dif_json_int(j, "delete_later", (int64_t)c->remove_later);
		dif_json_int(j, "foreign", (int64_t)c->foreign);
		dif_json_int(j, "retries", (int64_t)c->retries);
		purges_json(j, d);
		dif_json_int(j, "shown_ms", dif_delivery_shown(d));
		dif_json_str(j, "error", err->cls != DIF_OK ? err->text : NULL);
		dif_json_close(j, '}');
	}
	dif_json_close(j, ']');
}

static void bar(struct dif_buf *out, uint64_t done, uint64_t of)
{
	uint32_t full = of > 0 ? (uint32_t)((double)done * BAR / (double)of) : 0;
	for (uint32_t i = 0; i < BAR; i++) {
		dif_buf_fmt(out, "%s", i < full ? "#" : ".");
	}
}

void dif_report_progress(struct dif_buf *out, enum dif_cut_step step, uint64_t done, uint64_t of,
                         const struct dif_publication *p)
{
	static const char *const names[] = {
		[DIF_CUT_CHECKING] = "checking",
		[DIF_CUT_INGESTING] = "ingesting",
		[DIF_CUT_ARCHIVING] = "archiving",
		[DIF_CUT_PUBLISHING] = "publishing",
	};
	char a[DIF_DATE_MAX], b[DIF_DATE_MAX];
	if (step != DIF_CUT_PUBLISHING || p == NULL) {
		dif_buf_fmt(out, "%-16s ", names[step]);
		bar(out, done, of);
		dif_buf_fmt(out, " %s of %s\n", dif_amount(a, done), dif_amount(b, of));
		return;
	}
	for (uint32_t i = 0; i < dif_publication_count(p); i++) {
		const struct dif_delivery *d = dif_publication_at(p, i);
		const struct dif_delivery_counts *c = dif_delivery_counts(d);
		dif_buf_fmt(out, "%-16s ", dif_delivery_to(d)->config->name);
		bar(out, c->put_bytes, c->put_bytes_of);
		dif_buf_fmt(out, " %" PRIu64 "/%" PRIu64 " objects, %s of %s, %s\n", c->puts,
		            c->puts_of, dif_amount(a, c->put_bytes), dif_amount(b, c->put_bytes_of),
		            dif_delivery_state(d));
	}
}

/* --- freshness --- */

static void json_span(struct dif_json *j, const char *key, int64_t ms)
{
	if (ms >= 0) { /* else an end of it is not known */
		dif_json_int(j, key, ms);
	}
}

void dif_report_fresh_json(struct dif_json *j, const struct dif_setup *s, const char *sha256)
{
	dif_json_open(j, "freshness", '[');
	for (uint32_t i = 0; s->state != NULL && i < s->config->ndestinations; i++) {
		const char *name = s->config->destinations[i].name;
		struct dif_freshness f;
		struct dif_freshness_spans t;
		if (!dif_freshness_get(s->state, name, sha256, &f)) {
			continue;
		}
		dif_freshness_spans(&f, &t);
		dif_json_open(j, NULL, '{');
		dif_json_str(j, "destination", name);
		dif_json_int(j, "noticed_ms", f.noticed);
		dif_json_int(j, "arrived_ms", f.arrived);
		dif_json_int(j, "put_ms", f.put);
		dif_json_int(j, "visible_ms", f.visible);
		json_span(j, "source_span_ms", t.source);
		json_span(j, "us_span_ms", t.us);
		json_span(j, "cdn_span_ms", t.cdn);
		json_span(j, "whole_span_ms", t.whole);
		dif_json_close(j, '}');
	}
	dif_json_close(j, ']');
}

static const char *span_or_none(char to[DIF_DATE_MAX], int64_t ms)
{
	return ms >= 0 ? dif_span(to, ms) : "-";
}

void dif_report_fresh(struct dif_buf *out, const struct dif_setup *s, const char *sha256)
{
	for (uint32_t i = 0; s->state != NULL && i < s->config->ndestinations; i++) {
		const char *name = s->config->destinations[i].name;
		char whole[DIF_DATE_MAX], source[DIF_DATE_MAX], us[DIF_DATE_MAX], cdn[DIF_DATE_MAX];
		struct dif_freshness f;
		struct dif_freshness_spans t;
		if (!dif_freshness_get(s->state, name, sha256, &f)) {
			continue;
		}
		dif_freshness_spans(&f, &t);
		dif_buf_fmt(out, "    %-16s %s: source %s, us %s, CDN %s\n", name,
		            f.visible > 0 ? dif_span(whole, t.whole > 0 ? t.whole : 0)
		                          : "not known when readers had it",
		            span_or_none(source, t.source), span_or_none(us, t.us),
		            span_or_none(cdn, t.cdn));
	}
}
