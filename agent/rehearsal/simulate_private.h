/* simulate_private - what the parts of the generator share.
 *
 *   simulate.c           the order of the whole, the file, the side-car
 *   simulate_count.c     geography, the curve of the night, one polling station
 *   simulate_results.c   what changes: details, aggregates, CSV
 *   simulate_database.c  the nested database
 *   simulate_site.c      what never changes: page, bundles, styles, fonts, icons, maps
 *   simulate_page.c      the text of the page that renders the results
 */
#ifndef DIF_REHEARSAL_SIMULATE_PRIVATE_H
#define DIF_REHEARSAL_SIMULATE_PRIVATE_H

#include "rehearsal/simulate.h"
#include "rehearsal/zip.h"

#define DIF_SIM_PARTIES 10u
#define DIF_SIM_ELECTIONS 3u
#define DIF_SIM_CUTS 288u /* 24 hours, one every 5 minutes */
#define DIF_SIM_MINUTES 5u
#define DIF_SIM_STATES 32u
#define DIF_SIM_DISTRICTS 300u

struct dif_sim_election {
	const char *name;    /* in paths: "presidencia" */
	const char *tag;     /* in the database: "PRES" */
	const char *caption; /* for people */
};
extern const struct dif_sim_election dif_sim_elections[DIF_SIM_ELECTIONS];
extern const char *const dif_sim_states[DIF_SIM_STATES]; /* state 1 is the first */

/* What a scale means. */
struct dif_sim_size {
	const uint8_t *districts; /* of each state */
	uint32_t stations;        /* per election */
	uint32_t group;           /* stations that a detail file has at least, but the last */
	uint32_t bundle;          /* bytes of the largest bundle; the others follow it */
	uint32_t chunks, icons, fonts;
	bool maps;
};
extern const struct dif_sim_size dif_sim_sizes[3];

struct dif_sim_district {
	uint32_t state, number; /* from 1 */
	uint32_t station;       /* its first, of all */
	uint32_t stations;
	uint32_t section; /* the number of its first, within the state */
};

struct dif_sim_tally {
	uint64_t votes[DIF_SIM_PARTIES];
	uint64_t void_votes, write_ins, total, listed;
	uint32_t stations, captured;
};

struct dif_sim_station {
	uint32_t votes[DIF_SIM_PARTIES];
	uint32_t void_votes, write_ins, total, listed;
	uint32_t minute; /* of the capture, since the first cut */
	bool captured;   /* at this cut; else all votes are 0 */
	uint64_t record; /* a number for the picture of its record */
};

/* One station on the way through a district. */
struct dif_sim_place {
	uint32_t station;    /* of all */
	uint32_t section;    /* within the state */
	uint32_t of_section; /* 0: the first of its section */
	uint32_t left;       /* stations of the section from this one on */
};

struct dif_sim {
	const struct dif_simulate *want;
	const struct dif_sim_size *size;
	struct dif_sim_district districts[DIF_SIM_DISTRICTS];
	uint32_t ndistricts;
	uint64_t curve[DIF_SIM_CUTS + 1]; /* of 2^32, how much is captured at each cut */
	uint32_t minute;                  /* of this cut */

	struct dif_zip *zip;
	struct dif_buf inner[DIF_SIM_ELECTIONS]; /* the database of each election */
	uint64_t entries, of, unpacked;
	void (*progress)(void *data, uint64_t entries, uint64_t of);
	void *data;
	struct dif_error *err;
};

/* --- simulate.c --- */

/* Adds one entry and counts it. False: err is set. */
bool dif_sim_add(struct dif_sim *s, const char *path, const void *p, size_t n, bool deflate);
/* Adds the text as an entry and empties it; fails where the text did. */
bool dif_sim_add_text(struct dif_sim *s, const char *path, struct dif_buf *text);

/* --- simulate_count.c --- */

uint64_t dif_sim_mix(uint64_t x);         /* a good hash of one number */
uint64_t dif_sim_random(uint64_t *state); /* splitmix64 */
void dif_sim_plan(struct dif_sim *s);     /* districts, curve, minute */
/* The first place of a district, and the one after it; false behind the last. */
void dif_sim_enter(const struct dif_sim_district *d, struct dif_sim_place *at);
bool dif_sim_next(const struct dif_sim_district *d, struct dif_sim_place *at);
/* True where at begins a new detail file. in_group: stations of the file so far. */
bool dif_sim_new_group(const struct dif_sim *s, const struct dif_sim_place *at, uint32_t in_group);
void dif_sim_station(const struct dif_sim *s, uint32_t election, const struct dif_sim_district *d,
                     uint32_t station, struct dif_sim_station *out);
void dif_sim_count(struct dif_sim_tally *t, const struct dif_sim_station *st);
void dif_sim_sum(struct dif_sim_tally *t, const struct dif_sim_tally *part);

/* --- simulate_results.c, simulate_database.c, simulate_site.c --- */

bool dif_sim_results(struct dif_sim *s);
bool dif_sim_site(struct dif_sim *s);
uint64_t dif_sim_results_entries(const struct dif_sim *s);
uint64_t dif_sim_site_entries(const struct dif_sim *s);
bool dif_sim_database(struct dif_sim *s);

/* The CSV of one election, row by row while the results are written. */
void dif_sim_csv_begin(const struct dif_sim *s, struct dif_buf *csv, uint32_t election);
void dif_sim_csv_row(struct dif_buf *csv, const struct dif_sim_district *d,
                     const struct dif_sim_place *at, const struct dif_sim_station *st);
/* Packs it into s->inner and frees it. */
bool dif_sim_csv_end(struct dif_sim *s, struct dif_buf *csv, uint32_t election);

/* --- simulate_text.c: fast, and the same everywhere --- */

#define DIF_SIM_TEXT_MAX ((size_t)64 << 20) /* the longest text, a database CSV, has 25 MB */
#define DIF_SIM_LIT(b, literal) dif_buf_add(b, literal, sizeof(literal) - 1)
void dif_sim_str(struct dif_buf *b, const char *s);
void dif_sim_num(struct dif_buf *b, uint64_t v);
void dif_sim_hex(struct dif_buf *b, uint64_t v);                            /* 16 digits */
void dif_sim_share(struct dif_buf *b, uint64_t part, uint64_t of);          /* percent, 4 places */
void dif_sim_date(struct dif_buf *b, uint32_t minute);                      /* 07 junio 2026 */
void dif_sim_time(struct dif_buf *b, uint32_t minute);                      /* 20:05 */
void dif_sim_stamp(struct dif_buf *b, uint32_t minute);                     /* 20260607_2005 */
void dif_sim_place_name(struct dif_buf *b, const struct dif_sim_place *at); /* B01, C02 */

/* --- simulate_page.c --- */

extern const char dif_sim_page_head[], dif_sim_page_tail[], dif_sim_style[], dif_sim_app[];

#endif
