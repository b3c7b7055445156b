/* simulate_database - the database: a ZIP of three ZIPs of one CSV each, under a name that carries
 * the time of the cut. Stored, not deflated: it is packed already. */
#include <stdio.h>

#include "rehearsal/simulate_private.h"

#define LIT DIF_SIM_LIT

void dif_sim_csv_begin(const struct dif_sim *s, struct dif_buf *csv, uint32_t election)
{
	LIT(csv, "\xef\xbb\xbf"
	         "PROGRAMA DE RESULTADOS ELECTORALES PRELIMINARES - SIMULACRO\r\n");
	dif_sim_str(csv, dif_sim_elections[election].caption);
	LIT(csv, "\r\nCorte: ");
	dif_sim_date(csv, s->minute);
	LIT(csv, " ");
	dif_sim_time(csv, s->minute);
	LIT(csv,
	    "\r\n\r\nCLAVE_CASILLA|ID_ENTIDAD|ENTIDAD|DISTRITO|SECCION|CASILLA|P1|P2|P3|P4|P5|P6|"
	    "P7|P8|P9|P10|NO_REGISTRADAS|NULOS|TOTAL_VOTOS|LISTA_NOMINAL|CONTABILIZADA|"
	    "HORA_CAPTURA\r\n");
}

void dif_sim_csv_row(struct dif_buf *csv, const struct dif_sim_district *d,
                     const struct dif_sim_place *at, const struct dif_sim_station *st)
{
	dif_sim_num(csv, d->state * 1000000 + at->section * 100 + at->of_section);
	LIT(csv, "|");
	dif_sim_num(csv, d->state);
	LIT(csv, "|");
	dif_sim_str(csv, dif_sim_states[d->state - 1]);
	LIT(csv, "|");
	dif_sim_num(csv, d->number);
	LIT(csv, "|");
	dif_sim_num(csv, at->section);
	LIT(csv, "|");
	dif_sim_place_name(csv, at);
	LIT(csv, "|");
	for (uint32_t i = 0; i < DIF_SIM_PARTIES; i++) {
		dif_sim_num(csv, st->votes[i]);
		LIT(csv, "|");
	}
	dif_sim_num(csv, st->write_ins);
	LIT(csv, "|");
	dif_sim_num(csv, st->void_votes);
	LIT(csv, "|");
	dif_sim_num(csv, st->total);
	LIT(csv, "|");
	dif_sim_num(csv, st->listed);
	if (st->captured) {
		LIT(csv, "|1|");
		dif_sim_stamp(csv, st->minute);
		LIT(csv, "\r\n");
	} else {
		LIT(csv, "|0|-\r\n");
	}
}

/* out: NAME.zip with one entry NAME.csv */
static bool pack_csv(const char *name, const struct dif_buf *csv, struct dif_buf *out,
                     struct dif_error *err)
{
	struct dif_zip *z = dif_zip_to_buf(out, err);
	if (z == NULL) {
		return false;
	}
	bool ok = dif_zip_add(z, name, csv->p, csv->n, true, 0, err) && dif_zip_end(z, err);
	dif_zip_free(z);
	return ok;
}

static void name_of(char *to, size_t size, const struct dif_sim *s, const char *tail)
{
	struct dif_buf stamp;
	dif_buf_init(&stamp, 64);
	dif_sim_stamp(&stamp, s->minute);
	snprintf(to, size, "%s_PREP%s", dif_buf_str(&stamp), tail);
	dif_buf_fini(&stamp);
}

bool dif_sim_csv_end(struct dif_sim *s, struct dif_buf *csv, uint32_t election)
{
	char tail[32], name[64];
	if (csv->failed) {
		dif_error_set(s->err, DIF_TRANSIENT, "could not write database: out of memory");
		return false;
	}
	snprintf(tail, sizeof tail, "_%s.csv", dif_sim_elections[election].tag);
	name_of(name, sizeof name, s, tail);
	bool ok = pack_csv(name, csv, &s->inner[election], s->err);
	dif_buf_fini(csv);
	return ok;
}

bool dif_sim_database(struct dif_sim *s)
{
	char tail[32], name[64], path[80];
	struct dif_buf all;
	dif_buf_init(&all, DIF_SIM_TEXT_MAX);
	struct dif_zip *z = dif_zip_to_buf(&all, s->err);
	bool ok = z != NULL;
	for (uint32_t e = 0; ok && e < DIF_SIM_ELECTIONS; e++) {
		snprintf(tail, sizeof tail, "_%s.zip", dif_sim_elections[e].tag);
		name_of(name, sizeof name, s, tail);
		ok = dif_zip_add(z, name, s->inner[e].p, s->inner[e].n, false, 0, s->err);
		dif_buf_fini(&s->inner[e]);
	}
	ok = ok && dif_zip_end(z, s->err);
	dif_zip_free(z);
	if (ok) {
		name_of(name, sizeof name, s, ".zip");
		snprintf(path, sizeof path, "assets/%s", name);
		ok = dif_sim_add(s, path, all.p, all.n, false);
	}
	dif_buf_fini(&all);
	return ok;
}
