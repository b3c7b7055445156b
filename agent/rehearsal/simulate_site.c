/* simulate_site - what no cut changes, and no seed: the page, bundles with a hash in their names,
 * fonts, icons, maps. Odd names are among them, all legal, seen in the wild or one step beyond. */
#include <stdio.h>

#include "rehearsal/simulate_private.h"

#define LIT DIF_SIM_LIT
#define PATH_MAX_SIM 120
#define SITE 0x7369746575u /* the seed of what no seed changes */
#define PARTY_ICONS DIF_SIM_PARTIES

static const char *const odd_icons[] = {
	"assets/iconos/!Ciudad.svg",        "assets/iconos/logo@2x.svg",
	"assets/iconos/Michoacán.svg",      "assets/iconos/Año electoral (1).svg",
	"assets/iconos/Sección 50% #1.svg",
};

struct site {
	struct dif_sim *sim;
	struct dif_buf text, index;
	char path[PATH_MAX_SIM];
};

/* FNV-1a: the name of a bundle follows its content, as a bundler's does. */
static uint64_t name_hash(const struct dif_buf *b)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (size_t i = 0; i < b->n; i++) {
		h = (h ^ (unsigned char)b->p[i]) * 0x100000001b3u;
	}
	return dif_sim_mix(h);
}

/* Adds the text as STEM.16HEX.EXT; the path stays readable in w->path. */
static bool add_hashed(struct site *w, const char *stem, const char *ext)
{
	snprintf(w->path, sizeof w->path, "%s.%016llx.%s", stem,
	         (unsigned long long)name_hash(&w->text), ext);
	return dif_sim_add_text(w->sim, w->path, &w->text);
}

/* The other style of names: STEM-8 of [A-Z0-9].js */
static bool add_chunk(struct site *w)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	char name[9] = {0};
	uint64_t h = name_hash(&w->text);
	for (size_t i = 0; i < 8; i++, h >>= 5) {
		name[i] = digits[h & 31];
	}
	snprintf(w->path, sizeof w->path, "chunk-%s.js", name);
	return dif_sim_add_text(w->sim, w->path, &w->text);
}

/* Lines that look minified and do nothing, until the text has n bytes. */
static void pad_script(struct dif_buf *b, uint64_t seed, size_t n)
{
	static const char *const words[16] = {
		"entidad", "distrito", "seccion",  "casilla", "actas",  "corte",  "mapa", "votos",
		"partido", "total",    "servicio", "vista",   "estado", "evento", "ruta", "lista",
	};
	while (b->n < n && !b->failed) {
		uint64_t r = dif_sim_random(&seed);
		LIT(b, "function _");
		dif_sim_num(b, r >> 44);
		LIT(b, "(e,t){return e.");
		dif_sim_str(b, words[r & 15]);
		LIT(b, ">");
		dif_sim_num(b, r >> 8 & 1023);
		LIT(b, "?t.");
		dif_sim_str(b, words[r >> 4 & 15]);
		LIT(b, "(e.");
		dif_sim_str(b, words[r >> 18 & 15]);
		LIT(b, "):\"");
		dif_sim_str(b, words[r >> 22 & 15]);
		LIT(b, "-");
		dif_sim_num(b, r >> 26 & 0xffff);
		LIT(b, "\"}\n");
	}
}

static void script_tag(struct dif_buf *index, const char *path)
{
	LIT(index, "<script src=\"");
	dif_sim_str(index, path);
	LIT(index, "\" defer></script>\n");
}

static bool add_bundles(struct site *w)
{
	struct dif_buf *b = &w->text;
	size_t largest = w->sim->size->bundle;
	dif_sim_str(b, dif_sim_style);
	if (!add_hashed(w, "styles", "css")) {
		return false;
	}
	dif_sim_str(&w->index, dif_sim_page_head);
	LIT(&w->index, "<link rel=\"stylesheet\" href=\"");
	dif_sim_str(&w->index, w->path);
	LIT(&w->index, "\">\n");
	dif_sim_str(&w->index, dif_sim_page_tail);

	LIT(b, "window.prep = {version: '2026.1'};\n");
	if (!add_hashed(w, "runtime", "js")) {
		return false;
	}
	script_tag(&w->index, w->path);
	LIT(b, "(function(){\n");
	pad_script(b, SITE, largest / 20);
	LIT(b, "})();\n");
	if (!add_hashed(w, "polyfills", "js")) {
		return false;
	}
	script_tag(&w->index, w->path);
	dif_sim_str(b, dif_sim_app);
	LIT(b, "(function(){\n");
	pad_script(b, SITE + 1, largest / 4);
	LIT(b, "})();\n");
	if (!add_hashed(w, "main", "js")) {
		return false;
	}
	script_tag(&w->index, w->path);
	LIT(&w->index, "</body>\n</html>\n");
	bool ok = true;
	for (uint32_t i = 0; ok && i < w->sim->size->chunks; i++) {
		/* the first is the largest, the others between a thirtieth and a third */
		pad_script(b, SITE + 2 + i, i == 0 ? largest : largest * (1 + i % 10) / 30);
		ok = add_chunk(w);
	}
	return ok;
}

static bool add_pages(struct site *w)
{
	struct dif_buf *b = &w->text;
	if (!dif_sim_add_text(w->sim, "index.html", &w->index)) {
		return false;
	}
	LIT(b, "<!doctype html>\n<html lang=\"es-MX\">\n<head><meta charset=\"utf-8\">\n"
	       "<title>Centro de ayuda - SIMULACRO</title>\n<base href=\"/\"></head>\n<body>\n"
	       "<h1>SIMULACRO: centro de ayuda</h1>\n<p><a href=\"./\">Resultados</a></p>\n"
	       "</body>\n</html>\n");
	if (!dif_sim_add_text(w->sim, "centro-ayuda.html", b)) {
		return false;
	}
	LIT(b, "{\"name\":\"PREP 2026 (SIMULACRO)\",\"short_name\":\"PREP\",\"start_url\":\".\","
	       "\"display\":\"browser\"}\n");
	if (!dif_sim_add_text(w->sim, "manifest.webmanifest", b)) {
		return false;
	}
	LIT(b, "User-agent: *\nDisallow: /\n");
	if (!dif_sim_add_text(w->sim, "robots.txt", b)) {
		return false;
	}
	LIT(b, "Licencias de terceros: ninguna. Todo en este paquete es ficticio.\n");
	return dif_sim_add_text(w->sim, "3rdpartylicenses.txt", b);
}

/* 16 by 16 points, 32 bits each, one colour. */
static bool add_favicon(struct site *w)
{
	static const uint8_t head[62] = {
		0,  0, 1,  0, 1,  0, 16, 16, 0,  0, 1, 0, 32, 0, 0x68, 4,
		0,  0, 22, 0, 0,  0,                                      /* ICO */
		40, 0, 0,  0, 16, 0, 0,  0,  32, 0, 0, 0, 1,  0, 32,   0, /* BMP */
	};
	static const uint8_t mask[64] = {0};
	dif_buf_add(&w->text, head, sizeof head);
	for (int i = 0; i < 256; i++) {
		dif_buf_add(&w->text, "\x5a\x1c\x8a\xff", 4);
	}
	dif_buf_add(&w->text, mask, sizeof mask);
	return dif_sim_add_text(w->sim, "favicon.ico", &w->text);
}

static bool add_fonts(struct site *w)
{
	uint64_t seed = SITE << 8;
	bool ok = true;
	for (uint32_t i = 0; ok && i < w->sim->size->fonts; i++) {
		LIT(&w->text, "wOF2");
		size_t n = 20000 + 4000 * (size_t)i;
		while (w->text.n < n && !w->text.failed) {
			uint64_t v = dif_sim_random(&seed);
			dif_buf_add(&w->text, &v, sizeof v);
		}
		char stem[48];
		snprintf(stem, sizeof stem, "assets/fuentes/prep-%u", i);
		ok = add_hashed(w, stem, "woff2");
	}
	return ok;
}

static void draw_icon(struct dif_buf *b, uint64_t seed)
{
	LIT(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 999 999\">");
	for (uint64_t i = 0, n = 4 + seed % 24; i < n; i++) {
		uint64_t r = dif_sim_random(&seed);
		LIT(b, "<path d=\"M");
		dif_sim_num(b, r % 1000);
		LIT(b, " ");
		dif_sim_num(b, (r >> 10) % 1000);
		LIT(b, "h");
		dif_sim_num(b, (r >> 20) % 300);
		LIT(b, "v");
		dif_sim_num(b, (r >> 30) % 300);
		LIT(b, "z\" fill=\"hsl(");
		dif_sim_num(b, (r >> 40) % 360);
		LIT(b, " 60% 45%)\"/>");
	}
	LIT(b, "</svg>\n");
}

static bool add_icons(struct site *w)
{
	bool ok = true;
	for (uint32_t i = 0; ok && i < DIF_LEN(odd_icons); i++) {
		draw_icon(&w->text, i);
		ok = dif_sim_add_text(w->sim, odd_icons[i], &w->text);
	}
	for (uint32_t i = 0; ok && i < PARTY_ICONS; i++) {
		draw_icon(&w->text, 100 + i);
		snprintf(w->path, sizeof w->path, "assets/partidos/%u.svg", i + 1);
		ok = dif_sim_add_text(w->sim, w->path, &w->text);
	}
	for (uint32_t i = 0; ok && i < w->sim->size->icons; i++) {
		draw_icon(&w->text, 200 + i);
		snprintf(w->path, sizeof w->path, "assets/iconos/icono-%u.svg", i + 1);
		ok = dif_sim_add_text(w->sim, w->path, &w->text);
	}
	return ok;
}

/* Borders as TopoJSON has them: a point, then small steps. */
static void draw_map(struct dif_buf *b, uint64_t seed, size_t n)
{
	LIT(b, "{\"type\":\"Topology\",\"transform\":{\"scale\":[0.0036,0.0022],\"translate\":"
	       "[-118.4,14.5]},\"arcs\":[");
	for (bool first = true; b->n < n && !b->failed; first = false) {
		uint64_t r = dif_sim_random(&seed);
		dif_sim_str(b, first ? "[[" : ",\n[[");
		dif_sim_num(b, r % 10000);
		LIT(b, ",");
		dif_sim_num(b, (r >> 20) % 10000);
		LIT(b, "]");
		for (int i = 0; i < 60; i++) {
			r = dif_sim_random(&seed);
			dif_sim_str(b, r & 1 ? ",[-" : ",[");
			dif_sim_num(b, r >> 8 & 31);
			dif_sim_str(b, r & 2 ? ",-" : ",");
			dif_sim_num(b, r >> 16 & 31);
			LIT(b, "]");
		}
		LIT(b, "]");
	}
	LIT(b, "]}\n");
}

static bool add_maps(struct site *w)
{
	size_t large = w->sim->size->bundle / 15;
	bool ok = true;
	for (uint32_t e = 0; ok && e < DIF_SIM_ELECTIONS; e++) {
		const char *name = dif_sim_elections[e].name;
		draw_map(&w->text, SITE + e, large);
		snprintf(w->path, sizeof w->path, "assets/%s/mapas/nacional/nacional.json", name);
		ok = dif_sim_add_text(w->sim, w->path, &w->text);
		for (uint32_t i = 1; ok && w->sim->size->maps && i <= DIF_SIM_STATES; i++) {
			draw_map(&w->text, SITE + e * 100 + i, large / 2);
			snprintf(w->path, sizeof w->path, "assets/%s/mapas/entidad/%u.json", name,
			         i);
			ok = dif_sim_add_text(w->sim, w->path, &w->text);
		}
	}
	return ok;
}

bool dif_sim_site(struct dif_sim *s)
{
	struct site w = {.sim = s};
	dif_buf_init(&w.text, DIF_SIM_TEXT_MAX);
	dif_buf_init(&w.index, DIF_SIM_TEXT_MAX);
	bool ok = add_bundles(&w) && add_pages(&w) && add_favicon(&w) && add_fonts(&w) &&
	          add_icons(&w) && add_maps(&w);
	dif_buf_fini(&w.text);
	dif_buf_fini(&w.index);
	return ok;
}

uint64_t dif_sim_site_entries(const struct dif_sim *s)
{
	uint64_t fixed = 4 + 5 + 1; /* bundles, pages, favicon */
	return fixed + s->size->chunks + s->size->fonts + DIF_LEN(odd_icons) + PARTY_ICONS +
	       s->size->icons + DIF_SIM_ELECTIONS * (s->size->maps ? 1 + DIF_SIM_STATES : 1);
}
