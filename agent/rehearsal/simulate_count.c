/* simulate_count - a night of counting that never happened.
 *
 * Whole numbers only, so that every machine gets the same ones. The geography is the same for every
 * seed: paths do not depend on it. A station has one random moment; it is captured in the first cut
 * whose share of the curve lies above it. So cut N+1 is cut N and a few stations more.
 */
#include "rehearsal/simulate_private.h"

/* Districts of the states: as in the federal elections since 2023. */
static const uint8_t districts_full[DIF_SIM_STATES] = {
	3, 9, 2,  2,  8,  2, 13, 9, 22, 4, 15, 8, 7, 20, 40, 11,
	5, 3, 14, 10, 16, 6, 4,  7, 7,  7, 6,  8, 3, 19, 6,  4,
};
static const uint8_t districts_tenth[DIF_SIM_STATES] = {
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
};
/* Two states, so that an aggregate sums something. */
static const uint8_t districts_tiny[DIF_SIM_STATES] = {[8] = 1, [13] = 1};

const struct dif_sim_size dif_sim_sizes[3] = {
	[DIF_TINY] = {.districts = districts_tiny,
                      .stations = 24,
                      .group = 8,
                      .bundle = 60000,
                      .chunks = 1,
                      .icons = 0,
                      .fonts = 1,
                      .maps = false},
	[DIF_TENTH] = {.districts = districts_tenth,
                       .stations = 15000,
                       .group = 42,
                       .bundle = 600000,
                       .chunks = 4,
                       .icons = 20,
                       .fonts = 4,
                       .maps = true},
	[DIF_FULL] = {.districts = districts_full,
                      .stations = 170182,
                      .group = 39,
                      .bundle = 3000000,
                      .chunks = 16,
                      .icons = 120,
                      .fonts = 10,
                      .maps = true},
};

const struct dif_sim_election dif_sim_elections[DIF_SIM_ELECTIONS] = {
	{"presidencia", "PRES", "Presidencia"},
	{"senadurias", "SEN", "Senadurías"},
	{"diputaciones", "DIP_FED", "Diputaciones federales"},
};

const char *const dif_sim_states[DIF_SIM_STATES] = {
	"Aguascalientes", "Baja California", "Baja California Sur",
	"Campeche",       "Coahuila",        "Colima",
	"Chiapas",        "Chihuahua",       "Ciudad de México",
	"Durango",        "Guanajuato",      "Guerrero",
	"Hidalgo",        "Jalisco",         "México",
	"Michoacán",      "Morelos",         "Nayarit",
	"Nuevo León",     "Oaxaca",          "Puebla",
	"Querétaro",      "Quintana Roo",    "San Luis Potosí",
	"Sinaloa",        "Sonora",          "Tabasco",
	"Tamaulipas",     "Tlaxcala",        "Veracruz",
	"Yucatán",        "Zacatecas",
};

#define GEOGRAPHY 0x70726570u /* the seed of what no seed changes */

uint64_t dif_sim_mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

uint64_t dif_sim_random(uint64_t *state)
{
	uint64_t v = dif_sim_mix(*state);
	*state += 0x9e3779b97f4a7c15u;
	return v;
}

/* The logistic curve, step by step: slow first, half after some 60 cuts, nine tenths after 100. */
static void plan_curve(uint64_t curve[DIF_SIM_CUTS + 1])
{
	const uint64_t one = (uint64_t)1 << 32;
	uint64_t raw[DIF_SIM_CUTS + 1];
	raw[0] = one / 30;
	for (uint32_t c = 0; c < DIF_SIM_CUTS; c++) {
		uint64_t rest = one - raw[c];
		raw[c + 1] = raw[c] + (raw[c] >> 8) * (rest >> 8) / 17 / (one >> 16);
	}
	for (uint32_t c = 0; c <= DIF_SIM_CUTS; c++) {
		/* Begins at nothing, ends at everything. */
		curve[c] = ((raw[c] - raw[0]) << 24) / ((raw[DIF_SIM_CUTS] - raw[0]) >> 8);
	}
	curve[DIF_SIM_CUTS] = one;
}

static uint32_t section_size(uint32_t state, uint32_t section)
{
	static const uint8_t sizes[10] = {1, 1, 2, 2, 2, 3, 3, 3, 4, 4};
	return sizes[dif_sim_mix(GEOGRAPHY ^ (uint64_t)state << 32 ^ section) % 10];
}

static uint32_t weight(uint32_t state, uint32_t district)
{
	return 85 + (uint32_t)(dif_sim_mix(GEOGRAPHY + state * 100 + district) % 31);
}

/* How many sections a district has: its stations decide. */
static uint32_t sections_of(const struct dif_sim_district *d)
{
	struct dif_sim_place at;
	uint32_t n = 0;
	dif_sim_enter(d, &at);
	do {
		n += at.of_section == 0;
	} while (dif_sim_next(d, &at));
	return n;
}

void dif_sim_plan(struct dif_sim *s)
{
	uint64_t sum = 0, so_far = 0;
	for (uint32_t e = 1; e <= DIF_SIM_STATES; e++) {
		for (uint32_t d = 1; d <= s->size->districts[e - 1]; d++) {
			sum += weight(e, d);
		}
	}
	s->ndistricts = 0;
	for (uint32_t e = 1; e <= DIF_SIM_STATES; e++) {
		uint32_t section = 1;
		for (uint32_t d = 1; d <= s->size->districts[e - 1]; d++) {
			uint64_t from = so_far * s->size->stations / sum;
			so_far += weight(e, d);
			uint64_t to = so_far * s->size->stations / sum;
			struct dif_sim_district *district = &s->districts[s->ndistricts++];
			*district = (struct dif_sim_district){
				.state = e,
				.number = d,
				.station = (uint32_t)from,
				.stations = (uint32_t)(to - from),
				.section = section,
			};
			section += sections_of(district);
		}
	}
	plan_curve(s->curve);
	s->minute = s->want->cut * DIF_SIM_MINUTES;
}

static void open_section(const struct dif_sim_district *d, struct dif_sim_place *at)
{
	uint32_t rest = d->station + d->stations - at->station;
	uint32_t size = section_size(d->state, at->section);
	at->of_section = 0;
	at->left = size < rest ? size : rest;
}

void dif_sim_enter(const struct dif_sim_district *d, struct dif_sim_place *at)
{
	at->station = d->station;
	at->section = d->section;
	open_section(d, at);
}

bool dif_sim_next(const struct dif_sim_district *d, struct dif_sim_place *at)
{
	at->station++;
	if (at->station >= d->station + d->stations) {
		return false;
	}
	if (at->left > 1) {
		at->left--;
		at->of_section++;
	} else {
		at->section++;
		open_section(d, at);
	}
	return true;
}

bool dif_sim_new_group(const struct dif_sim *s, const struct dif_sim_place *at, uint32_t in_group)
{
	return at->of_section == 0 && in_group >= s->size->group;
}

/* The first cut that has the station. */
static uint32_t cut_of(const struct dif_sim *s, uint64_t moment)
{
	uint32_t low = 1, high = DIF_SIM_CUTS;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		if (moment < s->curve[middle]) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

void dif_sim_station(const struct dif_sim *s, uint32_t election, const struct dif_sim_district *d,
                     uint32_t station, struct dif_sim_station *out)
{
	/* Strength of the parties: some nationwide, some by district, some by chance. */
	static const uint8_t strength[DIF_SIM_PARTIES] = {60, 44, 36, 22, 12, 10, 8, 5, 3, 2};
	uint64_t key = dif_sim_mix(s->want->seed ^ (uint64_t)(election + 1) << 40);
	uint64_t state = dif_sim_mix(key ^ station);
	uint64_t moment = dif_sim_random(&state) >> 32, r = dif_sim_random(&state);
	*out = (struct dif_sim_station){.record = dif_sim_random(&state)};
	out->listed = 380 + (uint32_t)(r & 0xffff) % 371;
	uint32_t cut = cut_of(s, moment);
	if (cut > s->want->cut) {
		return;
	}
	out->captured = true;
	out->minute = cut * DIF_SIM_MINUTES - 1 - (uint32_t)(r >> 56) % DIF_SIM_MINUTES;
	out->total = out->listed * (45 + (uint32_t)(r >> 16 & 0xffff) % 31) / 100;
	out->void_votes = out->total * ((uint32_t)(r >> 32) % 40) / 1000;
	out->write_ins = (r >> 40 & 7) == 0;
	uint64_t lean = dif_sim_mix(key ^ (uint64_t)d->state << 8 ^ d->number);
	uint64_t dice = dif_sim_random(&state), weights[DIF_SIM_PARTIES], sum = 0;
	for (uint32_t p = 0; p < DIF_SIM_PARTIES; p++) {
		uint64_t local = 64 + (lean >> (p * 6) & 63);
		weights[p] = strength[p] * local * (64 + (dice >> (p * 6) & 63));
		sum += weights[p];
	}
	uint32_t valid = out->total - out->void_votes - out->write_ins, given = 0;
	for (uint32_t p = 1; p < DIF_SIM_PARTIES; p++) {
		out->votes[p] = (uint32_t)(valid * weights[p] / sum);
		given += out->votes[p];
	}
	out->votes[0] = valid - given; /* what rounding left over, too: the sum is exact */
}

void dif_sim_count(struct dif_sim_tally *t, const struct dif_sim_station *st)
{
	for (uint32_t p = 0; p < DIF_SIM_PARTIES; p++) {
		t->votes[p] += st->votes[p];
	}
	t->void_votes += st->void_votes;
	t->write_ins += st->write_ins;
	t->total += st->total;
	t->listed += st->listed;
	t->stations++;
	t->captured += st->captured;
}

void dif_sim_sum(struct dif_sim_tally *t, const struct dif_sim_tally *part)
{
	for (uint32_t p = 0; p < DIF_SIM_PARTIES; p++) {
		t->votes[p] += part->votes[p];
	}
	t->void_votes += part->void_votes;
	t->write_ins += part->write_ins;
	t->total += part->total;
	t->listed += part->listed;
	t->stations += part->stations;
	t->captured += part->captured;
}
