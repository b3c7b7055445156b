/* drill_kinds - the catalogue of drills: what each one breaks on purpose, who must notice, and what
 * must hold meanwhile. Data only. */
#ifndef DIF_EVIDENCE_DRILL_KINDS_H
#define DIF_EVIDENCE_DRILL_KINDS_H

#include <difusor/plugin.h>

/* What a fault strikes. */
enum dif_drill_strikes {
	DIF_STRIKES_STORE = 1,     /* requests and file calls of the destination's store */
	DIF_STRIKES_PUBLIC = 2,    /* whatever is asked of its public address */
	DIF_STRIKES_CDNS = 4,      /* its CDNs' own interfaces */
	DIF_STRIKES_STEERINGS = 8, /* all steerings */
	DIF_STRIKES_SOURCES = 16   /* all sources */
};
/* Strikes one destination: it has to be named, or is chosen. */
#define DIF_STRIKES_ONE (DIF_STRIKES_STORE | DIF_STRIKES_PUBLIC | DIF_STRIKES_CDNS)

/* By whom the agent notices it. */
enum dif_drill_notice {
	DIF_NOTICED_BY_HEALTH,   /* verdict down, or stale */
	DIF_NOTICED_BY_STORE,    /* its store's failures */
	DIF_NOTICED_BY_PURGE,    /* its purges' failures */
	DIF_NOTICED_BY_STEERING, /* a steering cannot read its record */
	DIF_NOTICED_BY_SOURCE,   /* a poll fails */
	DIF_NOTICED_BY_REFUSAL,  /* a package is refused */
	DIF_NOTICED_BY_STATE,    /* the state cannot be written */
	DIF_NOTICED_BY_CLOCK,    /* the peer's clock is learned again */
	DIF_NOTICED_BY_RESTART   /* another agent is there */
};

struct dif_drill_kind {
	const char *name;
	const char *what;     /* one line */
	const char *shows[2]; /* a sentence for the report: English, Spanish */
	uint32_t strikes;     /* enum dif_drill_strikes */
	uint32_t notice;      /* enum dif_drill_notice */
	bool moves;           /* its readers must be led elsewhere; else the route must stay */
	uint32_t effect;      /* enum dif_inject_effect */
	int status;           /* with DIF_INJECT_STATUS */
	int64_t length_ms;    /* at least, where nobody says */
};

extern const struct dif_drill_kind dif_drill_kinds[];
extern const uint32_t dif_drill_nkinds;
/* NULL: there is none of that name. */
const struct dif_drill_kind *dif_drill_kind(const char *name);

#endif
