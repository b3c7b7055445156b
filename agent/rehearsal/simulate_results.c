/* simulate_results - what a night of counting changes.
 *
 * One way through every station of an election writes all of it: the group of sections that it
 * belongs to (the detail file), then its district, its state, the country, and the rows of two
 * CSVs. A detail file carries no time of the cut, so it changes only when one of its stations was
 * captured. All above it carries the time, so it changes at every cut.
 */
#include <stdio.h>

#include "rehearsal/simulate_private.h"

#define PATH_MAX_SIM 120
#define LIT DIF_SIM_LIT

/* The texts that grow side by side on the way. */
struct pass {
	struct dif_sim *sim;
	uint32_t election;
	const char *name;
	struct dif_buf group, district, state, states, districts, download, database;
	struct dif_sim_tally of_section, of_district, of_state, of_country;
};

static void begin(struct pass *p, struct dif_sim *s, uint32_t election)
{
	*p = (struct pass){
		.sim = s, .election = election, .name = dif_sim_elections[election].name};
	struct dif_buf *const texts[] = {&p->group,     &p->district, &p->state,   &p->states,
	                                 &p->districts, &p->download, &p->database};
	for (size_t i = 0; i < DIF_LEN(texts); i++) {
		dif_buf_init(texts[i], DIF_SIM_TEXT_MAX);
	}
	dif_sim_csv_begin(s, &p->database, election);
}

static void end(struct pass *p)
{
	struct dif_buf *const texts[] = {&p->group,     &p->district, &p->state,   &p->states,
	                                 &p->districts, &p->download, &p->database};
	for (size_t i = 0; i < DIF_LEN(texts); i++) {
		dif_buf_fini(texts[i]);
	}
}

/* "name":123 */
static void pair(struct dif_buf *b, const char *name, uint64_t v)
{
	LIT(b, "\"");
	dif_sim_str(b, name);
	LIT(b, "\":");
	dif_sim_num(b, v);
}

static void share(struct dif_buf *b, const char *name, uint64_t part, uint64_t of)
{
	LIT(b, "\"");
	dif_sim_str(b, name);
	LIT(b, "\":\"");
	dif_sim_share(b, part, of);
	LIT(b, "\"");
}

/* The head of everything that changes at every cut. */
static void open_aggregate(const struct pass *p, struct dif_buf *b)
{
	LIT(b, "{\"simulacro\":true,\"eleccion\":\"");
	dif_sim_str(b, dif_sim_elections[p->election].caption);
	LIT(b, "\",\"ultimoCorte\":{\"fecha\":\"");
	dif_sim_date(b, p->sim->minute);
	LIT(b, "\",\"hora\":\"");
	dif_sim_time(b, p->sim->minute);
	LIT(b, "\"},\"horaCorte\":\"");
	dif_sim_time(b, p->sim->minute);
	LIT(b, "\"");
}

static void votes(struct dif_buf *b, const struct dif_sim_tally *t)
{
	LIT(b, ",\"votos\":[");
	for (uint32_t i = 0; i < DIF_SIM_PARTIES; i++) {
		if (i > 0) {
			LIT(b, ",");
		}
		LIT(b, "{");
		pair(b, "partido", i + 1);
		LIT(b, ",");
		pair(b, "votos", t->votes[i]);
		LIT(b, ",");
		share(b, "porcentaje", t->votes[i], t->total);
		LIT(b, "}");
	}
	LIT(b, "]");
}

static void totals(struct dif_buf *b, const struct dif_sim_tally *t)
{
	pair(b, "totalActas", t->stations);
	LIT(b, ",\"actasContabilizadas\":{");
	pair(b, "total", t->captured);
	LIT(b, ",");
	share(b, "porcentaje", t->captured, t->stations);
	LIT(b, "},");
	pair(b, "listaNominal", t->listed);
	LIT(b, ",");
	pair(b, "total", t->total);
	LIT(b, ",");
	share(b, "participacion", t->total, t->listed);
	LIT(b, ",");
	pair(b, "noRegistradas", t->write_ins);
	LIT(b, ",");
	pair(b, "nulos", t->void_votes);
	votes(b, t);
}

static void place_of(struct dif_buf *b, const struct dif_sim_district *d)
{
	pair(b, "entidad", d->state);
	LIT(b, ",\"nombre\":\"");
	dif_sim_str(b, dif_sim_states[d->state - 1]);
	LIT(b, "\"");
}

/* --- a station, in its detail file --- */

static void votes_of_station(struct dif_buf *b, const struct dif_sim_station *st)
{
	LIT(b, "\"votos\":[");
	for (uint32_t i = 0; i < DIF_SIM_PARTIES; i++) {
		if (i > 0) {
			LIT(b, ",");
		}
		LIT(b, "{");
		pair(b, "partido", i + 1);
		LIT(b, ",\"siglas\":\"PF-");
		dif_sim_num(b, i + 1);
		LIT(b, "\",");
		pair(b, "votos", st->votes[i]);
		LIT(b, "}");
	}
	LIT(b, "],");
	pair(b, "noRegistradas", st->write_ins);
	LIT(b, ",");
	pair(b, "nulos", st->void_votes);
	LIT(b, ",");
	pair(b, "total", st->total);
}

static void station(struct dif_buf *b, const struct dif_sim_district *d,
                    const struct dif_sim_place *at, const struct dif_sim_station *st)
{
	LIT(b, "{");
	pair(b, "seccion", at->section);
	LIT(b, ",\"casilla\":\"");
	dif_sim_place_name(b, at);
	LIT(b, "\",\"tipoCasilla\":");
	dif_sim_str(b, at->of_section == 0 ? "\"Básica\"," : "\"Contigua\",");
	LIT(b, "\"ubicacion\":\"Domicilio ficticio\",\"incidencia\":null,");
	pair(b, "listaNominal", st->listed);
	if (!st->captured) {
		LIT(b, ",\"estatus\":\"Por procesar\",\"horaCaptura\":null,\"imagenActa\":null,");
		votes_of_station(b, st);
		LIT(b, ",\"participacion\":\"0.0000\"}");
		return;
	}
	LIT(b, ",\"estatus\":\"Contabilizada\",\"horaCaptura\":{\"fecha\":\"");
	dif_sim_date(b, st->minute);
	LIT(b, "\",\"hora\":\"");
	dif_sim_time(b, st->minute);
	/* A host that can never answer: pictures of records are not part of a package. */
	LIT(b, "\"},\"imagenActa\":\"https://actas.simulacro.invalid/");
	dif_sim_num(b, d->state);
	LIT(b, "/");
	dif_sim_num(b, d->number);
	LIT(b, "/");
	dif_sim_hex(b, st->record);
	LIT(b, ".jpg\",");
	votes_of_station(b, st);
	LIT(b, ",");
	share(b, "participacion", st->total, st->listed);
	LIT(b, "}");
}

static bool add_group(struct pass *p, const struct dif_sim_district *d, uint32_t number)
{
	char path[PATH_MAX_SIM];
	LIT(&p->group, "]}\n");
	snprintf(path, sizeof path, "assets/%s/entidad/%u/distrito/%u/secciones/%u.json", p->name,
	         d->state, d->number, number);
	return dif_sim_add_text(p->sim, path, &p->group);
}

static void open_group(struct pass *p, const struct dif_sim_district *d, uint32_t number)
{
	LIT(&p->group, "{\"simulacro\":true,");
	place_of(&p->group, d);
	LIT(&p->group, ",");
	pair(&p->group, "distrito", d->number);
	LIT(&p->group, ",");
	pair(&p->group, "grupo", number);
	LIT(&p->group, ",\"actas\":[\n");
}

/* --- sections, districts, states, the country --- */

static void add_section(struct pass *p, uint32_t section, uint32_t group)
{
	struct dif_buf *b = &p->district;
	const struct dif_sim_tally *t = &p->of_section;
	if (p->of_district.stations > 0) {
		LIT(b, ",\n");
	}
	LIT(b, "{");
	pair(b, "seccion", section);
	LIT(b, ",");
	pair(b, "grupo", group);
	LIT(b, ",");
	pair(b, "totalActas", t->stations);
	LIT(b, ",");
	pair(b, "actasContabilizadas", t->captured);
	LIT(b, ",");
	pair(b, "listaNominal", t->listed);
	LIT(b, ",");
	pair(b, "noRegistradas", t->write_ins);
	LIT(b, ",");
	pair(b, "nulos", t->void_votes);
	LIT(b, ",");
	pair(b, "total", t->total);
	LIT(b, ",");
	share(b, "participacion", t->total, t->listed);
	LIT(b, ",\"votos\":[");
	for (uint32_t i = 0; i < DIF_SIM_PARTIES; i++) {
		if (i > 0) {
			LIT(b, ",");
		}
		LIT(b, "{");
		pair(b, "partido", i + 1);
		LIT(b, ",");
		pair(b, "votos", t->votes[i]);
		LIT(b, "}");
	}
	LIT(b, "]}");
	dif_sim_sum(&p->of_district, t);
	p->of_section = (struct dif_sim_tally){0};
}

/* One line of a list: a district in that of its state and of the country, a state in the latter. */
static void add_line(struct dif_buf *b, const struct dif_sim_district *d, bool district,
                     const struct dif_sim_tally *t)
{
	LIT(b, "{");
	place_of(b, d);
	LIT(b, ",");
	if (district) {
		pair(b, "distrito", d->number);
		LIT(b, ",");
	}
	totals(b, t);
	LIT(b, "}");
}

static void comma_unless_empty(struct dif_buf *b)
{
	if (b->n > 0) {
		LIT(b, ",\n");
	}
}

static bool add_district(struct pass *p, const struct dif_sim_district *d)
{
	char path[PATH_MAX_SIM];
	LIT(&p->district, "],");
	totals(&p->district, &p->of_district);
	LIT(&p->district, "}\n");
	snprintf(path, sizeof path, "assets/%s/entidad/%u/distrito/%u.json", p->name, d->state,
	         d->number);
	comma_unless_empty(&p->state);
	add_line(&p->state, d, true, &p->of_district);
	comma_unless_empty(&p->districts);
	add_line(&p->districts, d, true, &p->of_district);
	dif_sim_sum(&p->of_state, &p->of_district);
	p->of_district = (struct dif_sim_tally){0};
	return dif_sim_add_text(p->sim, path, &p->district);
}

static void add_list(struct dif_buf *to, const char *name, const struct dif_buf *lines)
{
	LIT(to, ",\"");
	dif_sim_str(to, name);
	LIT(to, "\":[\n");
	dif_buf_add(to, lines->p, lines->n);
	LIT(to, "]");
}

static bool add_state(struct pass *p, const struct dif_sim_district *d)
{
	char path[PATH_MAX_SIM];
	struct dif_buf *b = &p->group; /* free between two districts */
	open_aggregate(p, b);
	LIT(b, ",");
	place_of(b, d);
	LIT(b, ",");
	totals(b, &p->of_state);
	add_list(b, "distritos", &p->state);
	LIT(b, "}\n");
	snprintf(path, sizeof path, "assets/%s/entidad/%u.json", p->name, d->state);
	comma_unless_empty(&p->states);
	add_line(&p->states, d, false, &p->of_state);
	dif_sim_sum(&p->of_country, &p->of_state);
	p->of_state = (struct dif_sim_tally){0};
	p->state.n = 0;
	if (!dif_sim_add_text(p->sim, path, b)) {
		return false;
	}
	snprintf(path, sizeof path, "assets/descargas/%s_%u.csv", p->name, d->state);
	return dif_sim_add_text(p->sim, path, &p->download);
}

static bool add_country(struct pass *p)
{
	char path[PATH_MAX_SIM];
	struct dif_buf *b = &p->group;
	open_aggregate(p, b);
	LIT(b, ",");
	totals(b, &p->of_country);
	LIT(b, "}\n");
	snprintf(path, sizeof path, "assets/%s/avanceNacional.json", p->name);
	if (!dif_sim_add_text(p->sim, path, b)) {
		return false;
	}
	open_aggregate(p, b);
	LIT(b, ",");
	totals(b, &p->of_country);
	add_list(b, "entidades", &p->states);
	add_list(b, "distritos", &p->districts);
	LIT(b, "}\n");
	snprintf(path, sizeof path, "assets/%s/%sNacional.json", p->name, p->name);
	return dif_sim_add_text(p->sim, path, b);
}

/* --- downloads: a CSV for each state, UTF-8 with byte order mark and several head lines --- */

static void open_download(struct pass *p, const struct dif_sim_district *d)
{
	struct dif_buf *b = &p->download;
	LIT(b, "\xef\xbb\xbf"
	       "SIMULACRO: datos ficticios\r\n");
	dif_sim_str(b, dif_sim_elections[p->election].caption);
	LIT(b, "\r\n");
	dif_sim_str(b, dif_sim_states[d->state - 1]);
	LIT(b, "\r\nCorte: ");
	dif_sim_date(b, p->sim->minute);
	LIT(b, " ");
	dif_sim_time(b, p->sim->minute);
	LIT(b,
	    "\r\n\r\nDISTRITO,SECCION,CASILLA,LISTA_NOMINAL,CONTABILIZADA,P1,P2,P3,P4,P5,P6,P7,P8,"
	    "P9,P10,NO_REGISTRADAS,NULOS,TOTAL\r\n");
}

static void add_download_row(struct dif_buf *b, const struct dif_sim_district *d,
                             const struct dif_sim_place *at, const struct dif_sim_station *st)
{
	dif_sim_num(b, d->number);
	LIT(b, ",");
	dif_sim_num(b, at->section);
	LIT(b, ",");
	dif_sim_place_name(b, at);
	LIT(b, ",");
	dif_sim_num(b, st->listed);
	dif_sim_str(b, st->captured ? ",S," : ",N,");
	for (uint32_t i = 0; i < DIF_SIM_PARTIES; i++) {
		dif_sim_num(b, st->votes[i]);
		LIT(b, ",");
	}
	dif_sim_num(b, st->write_ins);
	LIT(b, ",");
	dif_sim_num(b, st->void_votes);
	LIT(b, ",");
	dif_sim_num(b, st->total);
	LIT(b, "\r\n");
}

/* --- the way --- */

static bool walk_district(struct pass *p, const struct dif_sim_district *d)
{
	struct dif_sim_place at;
	uint32_t group = 1, in_group = 0;
	open_aggregate(p, &p->district);
	LIT(&p->district, ",");
	place_of(&p->district, d);
	LIT(&p->district, ",");
	pair(&p->district, "distrito", d->number);
	LIT(&p->district, ",\"secciones\":[\n");
	open_group(p, d, group);
	bool more = true;
	for (dif_sim_enter(d, &at); more;) {
		struct dif_sim_station st;
		dif_sim_station(p->sim, p->election, d, at.station, &st);
		if (in_group > 0) {
			LIT(&p->group, ",\n");
		}
		station(&p->group, d, &at, &st);
		add_download_row(&p->download, d, &at, &st);
		dif_sim_csv_row(&p->database, d, &at, &st);
		dif_sim_count(&p->of_section, &st);
		in_group++;
		if (at.left == 1) {
			add_section(p, at.section, group);
		}
		more = dif_sim_next(d, &at);
		if (more && dif_sim_new_group(p->sim, &at, in_group)) {
			if (!add_group(p, d, group++)) {
				return false;
			}
			open_group(p, d, group);
			in_group = 0;
		}
	}
	return add_group(p, d, group) && add_district(p, d);
}

static bool walk(struct pass *p)
{
	const struct dif_sim *s = p->sim;
	for (uint32_t i = 0; i < s->ndistricts; i++) {
		const struct dif_sim_district *d = &s->districts[i];
		if (d->number == 1) {
			open_download(p, d);
		}
		if (!walk_district(p, d)) {
			return false;
		}
		bool last = i + 1 == s->ndistricts || s->districts[i + 1].state != d->state;
		if (last && !add_state(p, d)) {
			return false;
		}
	}
	return add_country(p) && dif_sim_csv_end(p->sim, &p->database, p->election);
}

bool dif_sim_results(struct dif_sim *s)
{
	bool ok = true;
	for (uint32_t e = 0; ok && e < DIF_SIM_ELECTIONS; e++) {
		struct pass p;
		begin(&p, s, e);
		ok = walk(&p);
		end(&p);
	}
	return ok;
}

uint64_t dif_sim_results_entries(const struct dif_sim *s)
{
	uint64_t n = 2; /* of the country */
	for (uint32_t i = 0; i < s->ndistricts; i++) {
		const struct dif_sim_district *d = &s->districts[i];
		struct dif_sim_place at;
		uint32_t in_group = 0;
		n += d->number == 1 ? 2 : 0; /* a state, and its download */
		n += 2;                      /* the district, and its first group */
		dif_sim_enter(d, &at);
		do {
			if (dif_sim_new_group(s, &at, in_group)) {
				in_group = 0;
				n++;
			}
			in_group++;
		} while (dif_sim_next(d, &at));
	}
	return n * DIF_SIM_ELECTIONS;
}
