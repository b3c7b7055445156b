/* drill_words - the words of a drill's report, in both languages. Nobody but the report includes
 * this. */
#ifndef DIF_EVIDENCE_DRILL_WORDS_H
#define DIF_EVIDENCE_DRILL_WORDS_H

#include "evidence/drill_report.h"

enum drill_word {
	W_TITLE,
	W_MARK,
	W_RESULT,
	W_SHOWS,
	W_DESTINATION,
	W_ALL,
	W_BEGUN,
	W_ENDED,
	W_LENGTH,
	W_STRUCK,
	W_REASON,
	W_FIGURES,
	W_RTO,
	W_RPO,
	W_DETECTION,
	W_INTERVAL,
	W_RECOVERY,
	W_TTL,
	W_UNMOVED,
	W_CRITERIA,
	W_CRITERION,
	W_MEASURED,
	W_BOUND,
	W_VERDICT,
	W_GOOD,
	W_BAD,
	W_TIMELINE,
	W_TIME,
	W_EVENT,
	W_DETAIL,
	W_TREND,
	W_DRILL,
	W_NO_TREND,
	W_EVIDENCE,
	W_PROFILE,
	W_VERSION,
	W_FINGERPRINT,
	W_DIGEST,
	W_CUTS,
	W_HOW,
	WORDS
};

const char *drill_word(enum drill_word w, enum dif_report_language l);
const char *drill_word_of_event(uint32_t id, enum dif_report_language l);
const char *drill_word_of_state(uint32_t state, enum dif_report_language l);
const char *drill_word_of_criterion(uint32_t id, enum dif_report_language l);

#endif
