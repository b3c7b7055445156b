/* drill_report - what an authority reads of a drill: Markdown or HTML (one file, no scripts, fit to
 * be printed), in English or Spanish, marked SIMULACRO. Synchronous, small; any thread.
 */
#ifndef DIF_EVIDENCE_DRILL_REPORT_H
#define DIF_EVIDENCE_DRILL_REPORT_H

#include "evidence/drill_record.h"

enum dif_report_language { DIF_REPORT_EN, DIF_REPORT_ES };

/* earlier: ended drills of the same name, the oldest first; may be NULL with n 0. digest: of the
 * record's file. False: out of memory. */
bool dif_drill_report(const struct dif_drill_record *r, const char *digest,
                      const struct dif_drill_record *earlier, uint32_t n, bool html,
                      enum dif_report_language language, struct dif_buf *out);
/* The same of the record ID in that state. */
bool dif_drill_report_of(const char *state, const char *id, bool html,
                         enum dif_report_language language, struct dif_buf *out,
                         struct dif_error *err);
/* Puts report.en.html, report.es.html, report.en.md and report.es.md beside the record. */
bool dif_drill_report_save(const char *state, const char *id, struct dif_error *err);

#endif
