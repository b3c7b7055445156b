/* drill_report - one text for both forms: headings, paragraphs and tables, which a form writes in
 * its own way. */
#include "evidence/drill_report.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/path.h"
#include "evidence/drill_kinds.h"
#include "evidence/drill_words.h"

#define REPORT_MAX (4u << 20)
#define TREND_MAX 50 /* earlier drills in it */
#define CELL 512
#define FILE_MODE 0640

struct page {
	struct dif_buf *out;
	bool html;
	enum dif_report_language l;
};

static const char style[] =
	"body{font:11pt/1.45 system-ui,sans-serif;color:#1a1a1a;background:#fff;max-width:54rem;"
	"margin:2rem auto;padding:0 1rem}"
	"h1{font-size:1.6rem;margin:1rem 0 .5rem}h2{font-size:1.1rem;margin:1.6rem 0 .4rem;"
	"border-bottom:1px solid #bbb}"
	".mark{border:3px solid #9c1f2e;color:#9c1f2e;font-weight:700;padding:.5rem .8rem}"
	"table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;"
	"padding:.25rem .6rem .25rem 0;border-bottom:1px solid #ddd;overflow-wrap:anywhere}"
	"th{font-weight:600}td.t{white-space:nowrap;font-variant-numeric:tabular-nums}"
	"td.k{width:38%;color:#444}"
	"footer{margin-top:2rem;font-size:.85rem;color:#444}"
	"@media print{body{margin:0;max-width:none}h2{break-after:avoid}tr{break-inside:avoid}}";

/* --- the two forms --- */

/* What comes from outside: nothing of it is markup. */
static void put(struct page *p, const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char c = (unsigned char)*s;
		if (p->html && strchr("<>&\"", c) != NULL) {
			dif_buf_fmt(p->out, "&#%u;", c);
		} else if (!p->html && strchr("\\`*_[]<>|#", c) != NULL) {
			dif_buf_fmt(p->out, "\\%c", c);
		} else {
			dif_buf_fmt(p->out, "%c", c < ' ' ? ' ' : c);
		}
	}
}

static void heading(struct page *p, int level, const char *text)
{
	if (p->html) {
		dif_buf_fmt(p->out, "<h%d>", level);
		put(p, text);
		dif_buf_fmt(p->out, "</h%d>\n", level);
	} else {
		dif_buf_fmt(p->out, "%s%s ", level > 1 ? "\n" : "", level > 1 ? "##" : "#");
		put(p, text);
		dif_buf_fmt(p->out, "\n\n");
	}
}

static void paragraph(struct page *p, const char *text, const char *class)
{
	if (p->html) {
		dif_buf_fmt(p->out, "<p%s%s>", class != NULL ? " class=" : "",
		            class != NULL ? class : "");
		put(p, text);
		dif_buf_fmt(p->out, "</p>\n");
	} else {
		dif_buf_fmt(p->out, "%s", class != NULL ? "**" : "");
		put(p, text);
		dif_buf_fmt(p->out, "%s\n", class != NULL ? "**" : "");
	}
}

static void cells(struct page *p, const char *const *all, uint32_t n, bool head)
{
	dif_buf_fmt(p->out, p->html ? "<tr>" : "|");
	for (uint32_t i = 0; i < n; i++) {
		if (p->html && head) {
			dif_buf_fmt(p->out, "<th>");
		} else if (p->html) {
			dif_buf_fmt(p->out, n == 2 && i == 0 ? "<td class=k>"
			                    : i == 0         ? "<td class=t>"
			                                     : "<td>");
		} else {
			dif_buf_fmt(p->out, " ");
		}
		put(p, all[i]);
		dif_buf_fmt(p->out, !p->html ? " |" : head ? "</th>" : "</td>");
	}
	dif_buf_fmt(p->out, p->html ? "</tr>\n" : "\n");
}

/* heads NULL: a list of names and values. */
static void table(struct page *p, const char *const *heads, uint32_t n)
{
	static const char *const none[] = {"", ""};
	dif_buf_fmt(p->out, "%s", p->html ? "<table>\n" : "");
	if (heads != NULL || !p->html) { /* Markdown has no table without heads */
		cells(p, heads != NULL ? heads : none, n, true);
	}
	for (uint32_t i = 0; !p->html && i < n; i++) {
		dif_buf_fmt(p->out, "%s---|", i == 0 ? "|" : "");
	}
	dif_buf_fmt(p->out, p->html ? "" : "\n");
}

static void end_table(struct page *p)
{
	dif_buf_fmt(p->out, "%s", p->html ? "</table>\n" : "");
}

static void row(struct page *p, enum drill_word name, const char *value)
{
	const char *const both[] = {drill_word(name, p->l), value};
	cells(p, both, 2, false);
}

/* --- values --- */

static const char *seconds(char to[CELL], int64_t ms)
{
	(void)snprintf(to, CELL, ms < 0 ? "—" : "%.1f s", (double)ms / 1000);
	return to;
}

static const char *moment(char to[CELL], int64_t ms)
{
	char date[DIF_DATE_MAX];
	(void)snprintf(to, CELL, "%s", ms > 0 ? dif_date(date, DIF_DATE_ISO, ms / 1000) : "—");
	return to;
}

static const char *cuts(const struct page *p, char to[CELL], int64_t n)
{
	if (n < 0) {
		return "—";
	}
	(void)snprintf(to, CELL, "%lld %s", (long long)n, drill_word(W_CUTS, p->l));
	return to;
}

/* --- sections --- */

static void head(struct page *p, const struct dif_drill_record *r)
{
	const struct dif_drill_kind *k = dif_drill_kind(r->drill);
	char text[CELL];
	paragraph(p, drill_word(W_MARK, p->l), "mark");
	(void)snprintf(text, sizeof text, "%s: %s", drill_word(W_TITLE, p->l), r->drill);
	dif_buf_fmt(p->out, "%s", p->html ? "" : "\n");
	heading(p, 1, text);
	table(p, NULL, 2);
	row(p, W_RESULT, drill_word_of_state(r->state, p->l));
	if (r->reason[0] != '\0') {
		row(p, W_REASON, r->reason);
	}
	if (k != NULL) {
		row(p, W_SHOWS, k->shows[p->l]);
	}
	row(p, W_DESTINATION, r->destination[0] != '\0' ? r->destination : drill_word(W_ALL, p->l));
	row(p, W_BEGUN, moment(text, r->begun));
	row(p, W_ENDED, moment(text, r->ended));
	int64_t set = dif_drill_at(r, DIF_DRILL_FAULT_SET);
	int64_t lifted = dif_drill_at(r, DIF_DRILL_FAULT_LIFTED);
	row(p, W_LENGTH, seconds(text, set >= 0 && lifted >= set ? lifted - set : -1));
	(void)snprintf(text, sizeof text, "%llu", (unsigned long long)r->struck);
	row(p, W_STRUCK, text);
	end_table(p);
}

static void figures(struct page *p, const struct dif_drill_record *r)
{
	char text[CELL];
	heading(p, 2, drill_word(W_FIGURES, p->l));
	table(p, NULL, 2);
	row(p, W_RTO, seconds(text, r->rto_ms));
	if (r->moves) {
		row(p, W_TTL, seconds(text, r->steered ? r->ttl_ms : 0));
	} else {
		row(p, W_RESULT, drill_word(W_UNMOVED, p->l));
	}
	row(p, W_RPO, cuts(p, text, r->rpo_cuts));
	row(p, W_DETECTION, seconds(text, r->detection_ms));
	row(p, W_INTERVAL, seconds(text, r->interval_ms > 0 ? r->interval_ms : -1));
	row(p, W_RECOVERY, seconds(text, r->recovery_ms));
	end_table(p);
}

static const char *amount(const struct page *p, const struct dif_drill_criterion *c, int64_t v,
                          char to[CELL])
{
	return c->id == DIF_DRILL_RPO ? cuts(p, to, v) : seconds(to, v);
}

static void criteria(struct page *p, const struct dif_drill_record *r)
{
	const char *const heads[] = {drill_word(W_CRITERION, p->l), drill_word(W_MEASURED, p->l),
	                             drill_word(W_BOUND, p->l), drill_word(W_VERDICT, p->l)};
	char measured[CELL], bound[CELL];
	heading(p, 2, drill_word(W_CRITERIA, p->l));
	table(p, heads, DIF_LEN(heads));
	for (uint32_t i = 0; i < r->ncriteria; i++) {
		const struct dif_drill_criterion *c = &r->criteria[i];
		const char *const all[] = {
			drill_word_of_criterion(c->id, p->l), amount(p, c, c->measured, measured),
			amount(p, c, c->bound, bound), drill_word(c->good ? W_GOOD : W_BAD, p->l)};
		cells(p, all, DIF_LEN(all), false);
	}
	end_table(p);
}

static void timeline(struct page *p, const struct dif_drill_record *r)
{
	const char *const heads[] = {drill_word(W_TIME, p->l), drill_word(W_EVENT, p->l),
	                             drill_word(W_DETAIL, p->l)};
	int64_t set = dif_drill_at(r, DIF_DRILL_FAULT_SET);
	heading(p, 2, drill_word(W_TIMELINE, p->l));
	table(p, heads, DIF_LEN(heads));
	for (uint32_t i = 0; i < r->nevents; i++) {
		const struct dif_drill_event *e = &r->events[i];
		char at[CELL];
		(void)snprintf(at, sizeof at, "%+.3f s",
		               (double)(e->ms - (set >= 0 ? set : 0)) / 1000);
		const char *const all[] = {at, drill_word_of_event(e->id, p->l), e->text};
		cells(p, all, DIF_LEN(all), false);
	}
	end_table(p);
}

static void trend_row(struct page *p, const struct dif_drill_record *r)
{
	char at[CELL], rto[CELL], rpo[CELL], detection[CELL];
	const char *const all[] = {moment(at, r->begun),
	                           r->destination,
	                           seconds(rto, r->rto_ms),
	                           cuts(p, rpo, r->rpo_cuts),
	                           seconds(detection, r->detection_ms),
	                           drill_word_of_state(r->state, p->l)};
	cells(p, all, DIF_LEN(all), false);
}

static void trend(struct page *p, const struct dif_drill_record *r,
                  const struct dif_drill_record *earlier, uint32_t n)
{
	const char *const heads[] = {
		drill_word(W_BEGUN, p->l),     drill_word(W_DESTINATION, p->l), "RTO", "RPO",
		drill_word(W_DETECTION, p->l), drill_word(W_RESULT, p->l)};
	heading(p, 2, drill_word(W_TREND, p->l));
	if (n == 0) {
		paragraph(p, drill_word(W_NO_TREND, p->l), NULL);
		return;
	}
	table(p, heads, DIF_LEN(heads));
	for (uint32_t i = 0; i < n; i++) {
		trend_row(p, &earlier[i]);
	}
	trend_row(p, r);
	end_table(p);
}

static void evidence(struct page *p, const struct dif_drill_record *r, const char *digest)
{
	heading(p, 2, drill_word(W_EVIDENCE, p->l));
	table(p, NULL, 2);
	row(p, W_DRILL, r->id);
	row(p, W_PROFILE, r->profile);
	row(p, W_VERSION, r->version);
	row(p, W_FINGERPRINT, r->fingerprint);
	row(p, W_DIGEST, digest);
	end_table(p);
	dif_buf_fmt(p->out, "\n");
	paragraph(p, drill_word(W_HOW, p->l), NULL);
}

bool dif_drill_report(const struct dif_drill_record *r, const char *digest,
                      const struct dif_drill_record *earlier, uint32_t n, bool html,
                      enum dif_report_language language, struct dif_buf *out)
{
	struct page p = {out, html, language};
	if (html) {
		dif_buf_fmt(
			out,
			"<!doctype html>\n<html lang=%s>\n<head><meta charset=utf-8>\n"
			"<meta name=viewport content=\"width=device-width\">\n<title>SIMULACRO ",
			language == DIF_REPORT_ES ? "es" : "en");
		put(&p, r->id);
		dif_buf_fmt(out, "</title>\n<style>%s</style></head>\n<body>\n", style);
	}
	head(&p, r);
	figures(&p, r);
	criteria(&p, r);
	timeline(&p, r);
	trend(&p, r, earlier, n);
	evidence(&p, r, digest);
	if (html) {
		dif_buf_fmt(out, "</body>\n</html>\n");
	}
	return !out->failed;
}

/* --- from and to files --- */

/* Those of the same name that began before it. */
static struct dif_drill_record *load_earlier(const char *state, const struct dif_drill_record *r,
                                             uint32_t *n)
{
	struct dif_arena a;
	struct dif_error err = {0};
	uint32_t nids = 0;
	struct dif_drill_record *all = calloc(TREND_MAX, sizeof *all);
	*n = 0;
	dif_arena_init(&a, 16u << 20, false);
	const char *const *ids = all != NULL ? dif_drill_ids(&a, state, &nids) : NULL;
	uint32_t first = nids, same = 0;
	for (; first > 0 && same < TREND_MAX; first--) {
		size_t len = strlen(ids[first - 1]), own = strlen(r->drill);
		same += len > own && strcmp(ids[first - 1] + len - own, r->drill) == 0;
	}
	for (uint32_t i = first; i < nids && *n < TREND_MAX; i++) {
		struct dif_drill_record *to = &all[*n];
		if (strcmp(ids[i], r->id) < 0 && dif_drill_load(state, ids[i], to, NULL, &err) &&
		    strcmp(to->drill, r->drill) == 0 && to->state != DIF_DRILL_RUNNING) {
			(*n)++;
		}
	}
	dif_arena_fini(&a);
	return all;
}

bool dif_drill_report_of(const char *state, const char *id, bool html,
                         enum dif_report_language language, struct dif_buf *out,
                         struct dif_error *err)
{
	char digest[65];
	uint32_t n = 0;
	bool good = false;
	struct dif_drill_record *r = calloc(1, sizeof *r);
	if (r == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not report: out of memory");
	} else if (dif_drill_load(state, id, r, digest, err)) {
		struct dif_drill_record *earlier = load_earlier(state, r, &n);
		good = dif_drill_report(r, digest, earlier, n, html, language, out);
		free(earlier);
		if (!good) {
			dif_error_set(err, DIF_TRANSIENT, "could not report: out of memory");
		}
	}
	free(r);
	return good;
}

bool dif_drill_report_save(const char *state, const char *id, struct dif_error *err)
{
	static const struct {
		const char *name;
		bool html;
		enum dif_report_language language;
	} all[] = {{"report.en.html", true, DIF_REPORT_EN},
	           {"report.es.html", true, DIF_REPORT_ES},
	           {"report.en.md", false, DIF_REPORT_EN},
	           {"report.es.md", false, DIF_REPORT_ES}};
	char *drills = dif_path_join(state, "drills");
	char *folder = drills != NULL ? dif_path_join(drills, id) : NULL;
	int dir =
		folder != NULL ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	bool good = dir != -1;
	if (!good) {
		dif_error_set(err, DIF_PERMANENT, "could not open the folder of drill '%s'", id);
	}
	for (size_t i = 0; good && i < DIF_LEN(all); i++) {
		struct dif_buf out;
		dif_buf_init(&out, REPORT_MAX);
		good = dif_drill_report_of(state, id, all[i].html, all[i].language, &out, err) &&
		       dif_path_write_durably(dir, all[i].name, out.p, out.n, FILE_MODE, err);
		dif_buf_fini(&out);
	}
	if (dir != -1) {
		close(dir);
	}
	free(folder);
	free(drills);
	return good;
}
