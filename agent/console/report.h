/* report - how the console tells of packages and publications: text for people, JSON for programs,
 * lines of progress. One wording for all verbs. */
#ifndef DIF_CONSOLE_REPORT_H
#define DIF_CONSOLE_REPORT_H

#include "flow/cut.h"
#include "host/tree.h"

#define DIF_REPORT_MAX (64u << 20) /* an audit of 100,000 keys with a sentence each */

/* FILE.sha256 beside the file where no digest is given; malloc'ed, NULL: there is none. */
char *dif_report_sidecar(const char *file, const char *given);
/* One line per destination. */
void dif_report_deliveries(struct dif_buf *out, const struct dif_publication *p, bool dry_run);
/* What failed, a sentence for each destination on standard error; where there was no publication
 * (p NULL), or it is none of them, err. */
void dif_report_failures(const struct dif_publication *p, const struct dif_error *err);
void dif_report_json(struct dif_json *j, const struct dif_publication *p);
/* "would purge 12 urls, 1 prefixes, 3 requests", and a line's end. */
void dif_report_purge(struct dif_buf *out, const struct dif_purge_count *c, bool dry_run);
void dif_report_purge_json(struct dif_json *j, const struct dif_purge_count *c);
/* "skew_ms": null where fewer than two destinations show it. */
void dif_report_skew_json(struct dif_json *j, struct dif_state *state, const char *sha256);
void dif_report_order_json(struct dif_json *j, const struct dif_order *order);
/* `freshness`: an array with an object per destination that the cut was put to. */
void dif_report_fresh_json(struct dif_json *j, const struct dif_setup *s, const char *sha256);
/* The same for people, one line each, indented. */
void dif_report_fresh(struct dif_buf *out, const struct dif_setup *s, const char *sha256);
/* What is going on now, for dif_progress_draw. */
void dif_report_progress(struct dif_buf *out, enum dif_cut_step step, uint64_t done, uint64_t of,
                         const struct dif_publication *p);
/* Writes a whole buffer to standard output and releases it. */
void dif_report_print(struct dif_buf *out);

#endif
