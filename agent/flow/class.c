/* class - the rules that are right without configuration, globs and content types.
 *
 * Cache headers of the defaults, and why:
 *   asset  its name holds a digest of its content, so the bytes below a name never change: a year,
 *          immutable.
 *   entry  what a reader comes in by, and what names all the rest: a second keeps a crowd off the
 *          origin, five more hide the refill, and nobody starts from a cut that is long over.
 *   data   (aggregates too)
 *          a name stays and its bytes change several times an hour. Five seconds keep a crowd off
 *          the origin while nobody sees a cut more than seconds late, also where a purge is lost;
 *          stale-while-revalidate hides the refill from readers; stale-if-error lets an edge go on
 *          for a day when every origin is dark.
 *
 * A name that only looks like a digest must not become immutable for a year, so two kinds are data:
 * a run of decimal digits that is a date or longer than 8 (a time, a counter), and, where the
 * extension is one of data, a word of eight capitals (AVANCE-NACIONAL.json).
 */
#include "flow/class.h"

#include <string.h>
#include <strings.h>

#define FOREVER "public, max-age=31536000, immutable"
#define AT_ONCE "public, max-age=1, stale-while-revalidate=5, stale-if-error=86400"
#define SHORTLY "public, max-age=5, stale-while-revalidate=30, stale-if-error=86400"

static const char *const entry_match[] = {"*.html", NULL};
static const char *const asset_match[] = {NULL}; /* by is_hashed: no glob can say it */
static const char *const data_match[] = {"**", NULL};

enum { RULE_ENTRY, RULE_ASSET, RULE_DATA, RULES };

const struct dif_class_rule dif_class_defaults[RULES] = {
	[RULE_ENTRY] = {.name = "entry",
                        .match = entry_match,
                        .cache_control = AT_ONCE,
                        .phase = DIF_ENTRY},
	[RULE_ASSET] = {.name = "asset",
                        .match = asset_match,
                        .cache_control = FOREVER,
                        .phase = DIF_ASSET},
	[RULE_DATA] = {.name = "data",
                       .match = data_match,
                       .cache_control = SHORTLY,
                       .phase = DIF_DATA},
};
const uint32_t dif_class_ndefaults = RULES;

static const struct {
	const char *extension, *type;
	bool data; /* files of this kind change below their name */
} types[] = {
	{"7z", "application/x-7z-compressed", true},
	{"avif", "image/avif", false},
	{"bmp", "image/bmp", false},
	{"css", "text/css; charset=utf-8", false},
	{"csv", "text/csv", true},
	{"doc", "application/msword", true},
	{"docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", true},
	{"eot", "application/vnd.ms-fontobject", false},
	{"geojson", "application/geo+json", true},
	{"gif", "image/gif", false},
	{"gz", "application/gzip", true},
	{"htm", "text/html; charset=utf-8", true},
	{"html", "text/html; charset=utf-8", true},
	{"ico", "image/x-icon", false},
	{"jpeg", "image/jpeg", false},
	{"jpg", "image/jpeg", false},
	{"js", "text/javascript; charset=utf-8", false},
	{"json", "application/json; charset=utf-8", true},
	{"map", "application/json", false},
	{"md", "text/markdown", true},
	{"mjs", "text/javascript; charset=utf-8", false},
	{"mp3", "audio/mpeg", false},
	{"mp4", "video/mp4", false},
	{"ods", "application/vnd.oasis.opendocument.spreadsheet", true},
	{"otf", "font/otf", false},
	{"pbf", "application/x-protobuf", true},
	{"pdf", "application/pdf", true},
	{"png", "image/png", false},
	{"rss", "application/rss+xml", true},
	{"svg", "image/svg+xml; charset=utf-8", false},
	{"tsv", "text/tab-separated-values", true},
	{"ttf", "font/ttf", false},
	{"txt", "text/plain", true},
	{"wasm", "application/wasm", false},
	{"webm", "video/webm", false},
	{"webmanifest", "application/manifest+json", true},
	{"webp", "image/webp", false},
	{"woff", "font/woff", false},
	{"woff2", "font/woff2", false},
	{"xls", "application/vnd.ms-excel", true},
	{"xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", true},
	{"xml", "application/xml", true},
	{"zip", "application/zip", true},
};
#define NTYPES (sizeof types / sizeof types[0])

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

/* The index of the extension in types, NTYPES: none of them. */
static size_t type_of(const char *path)
{
	const char *name = last_part(path);
	const char *dot = strrchr(name, '.');
	for (size_t i = 0; dot != NULL && i < NTYPES; i++) {
		if (strcasecmp(dot + 1, types[i].extension) == 0) {
			return i;
		}
	}
	return NTYPES;
}

const char *dif_class_type(const char *path)
{
	size_t i = type_of(path);
	return i < NTYPES ? types[i].type : "application/octet-stream";
}

bool dif_class_is_text(const char *type)
{
	static const char *const kinds[] = {
		"text/",           "application/json",          "application/javascript",
		"application/xml", "application/manifest+json", "application/geo+json",
		"image/svg+xml"};
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (strncmp(type, kinds[i], strlen(kinds[i])) == 0) {
			return true;
		}
	}
	return false;
}

static unsigned number(const char *digits, size_t n)
{
	unsigned value = 0;
	for (size_t i = 0; i < n; i++) {
		value = value * 10 + (unsigned)(digits[i] - '0');
	}
	return value;
}

/* Eight digits that read as a day of the last or this century, either way round. */
static bool is_date(const char *s)
{
	unsigned year = number(s, 4), month = number(s + 4, 2), day = number(s + 6, 2);
	if (year < 1900 || year > 2199) {
		day = number(s, 2);
		month = number(s + 2, 2);
		year = number(s + 4, 4);
	}
	return year >= 1900 && year <= 2199 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* A name with a digest of its content: PART, '.' or '-', digest, '.', extension. */
static bool is_hashed(const char *path)
{
	const char *name = last_part(path);
	const char *dot = strrchr(name, '.');
	if (dot == NULL) {
		return false;
	}
	const char *at = dot;
	while (at > name && at[-1] != '.' && at[-1] != '-') {
		at--;
	}
	if (at == name) {
		return false;
	}
	size_t n = (size_t)(dot - at);
	if (n < 8) {
		return false;
	}
	size_t decimal = strspn(at, "0123456789");
	size_t capital = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
	size_t hex = strspn(at, "0123456789abcdefABCDEF");
	if (decimal == n) {
		return n == 8 && !is_date(at);
	}
	if (hex == n) {
		return true;
	}
	if (n != 8 || capital != n) {
		return false;
	}
	size_t kind = type_of(path);
	bool word = strcspn(at, "0123456789") >= n;
	return !word || (kind < NTYPES && !types[kind].data);
}

/* A pattern that can be taken up again where it failed: after its last star. */
struct again {
	const char *glob, *text; /* glob NULL: there was no star */
	bool folders; /* only whole folders may be skipped: the star was a double one and a slash */
};

static bool retry(struct again *a, bool crosses, const char **glob, const char **text)
{
	if (a->glob == NULL || *a->text == '\0' || (!crosses && *a->text == '/')) {
		return false;
	}
	if (a->folders) {
		const char *slash = strchr(a->text, '/');
		if (slash == NULL) {
			return false;
		}
		a->text = slash;
	}
	a->text++;
	*glob = a->glob;
	*text = a->text;
	return true;
}

/* Only the last star of each kind needs to be remembered: what an earlier one took, the later one
 * could take as well. So the cost is bounded by text times text, not by the number of stars. */
static bool match(const char *glob, const char *text)
{
	struct again one = {0}, two = {0};
	const char *start = glob;
	for (;;) {
		if (glob[0] == '*' && glob[1] == '*') {
			bool folders = glob[2] == '/' && (glob == start || glob[-1] == '/');
			glob += folders ? 3 : 2;
			two = (struct again){.glob = glob, .text = text, .folders = folders};
			one.glob = NULL;
			continue;
		}
		if (*glob == '*') {
			one = (struct again){.glob = ++glob, .text = text};
			continue;
		}
		if (*glob == '\0' && *text == '\0') {
			return true;
		}
		if (*text != '\0' && (*glob == *text || (*glob == '?' && *text != '/'))) {
			glob++;
			text++;
			continue;
		}
		if (!retry(&one, false, &glob, &text)) {
			one.glob = NULL;
			if (!retry(&two, true, &glob, &text)) {
				return false;
			}
		}
	}
}

bool dif_glob(const char *glob, const char *path)
{
	if (*glob == '/') {
		return match(glob + 1, path);
	}
	return match(glob, strchr(glob, '/') != NULL ? path : last_part(path));
}

static bool matches(const struct dif_class_rule *r, const char *path)
{
	for (size_t i = 0; r->match[i] != NULL; i++) {
		if (dif_glob(r->match[i], path)) {
			return true;
		}
	}
	return false;
}

const struct dif_class_rule *dif_class_of(const struct dif_class_rule *classes, uint32_t n,
                                          const char *path)
{
	for (uint32_t i = 0; i < n; i++) {
		if (matches(&classes[i], path)) {
			return &classes[i];
		}
	}
	if (matches(&dif_class_defaults[RULE_ENTRY], path)) {
		return &dif_class_defaults[RULE_ENTRY];
	}
	return &dif_class_defaults[is_hashed(path) ? RULE_ASSET : RULE_DATA];
}

const char *dif_phase_name(uint32_t phase)
{
	static const char *const names[DIF_PHASES] = {
		[DIF_ASSET] = "asset",
		[DIF_DATA] = "data",
		[DIF_AGGREGATE] = "aggregate",
		[DIF_ENTRY] = "entry",
	};
	return phase < DIF_PHASES ? names[phase] : "unknown";
}
