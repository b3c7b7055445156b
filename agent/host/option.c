/* option - one loop over the rows: find the text of a value, read it by the row's type, put it
 * where the row says. Everything a person sees of an option comes from its row. */
#include "host/option.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "host/secret.h"

#define WIDTH 80
#define ENV_NAME_MAX 128

static const char *const type_names[] = {
	[DIF_STRING] = "text", [DIF_URL] = "URL",           [DIF_FILE_PATH] = "path",
	[DIF_ENUM] = "choice", [DIF_BOOL] = "yes/no",       [DIF_INT] = "number",
	[DIF_SIZE] = "size",   [DIF_DURATION] = "duration",
};

const char *dif_option_type_name(uint32_t type)
{
	return type < DIF_LEN(type_names) ? type_names[type] : "unknown";
}

/* --- what is allowed --- */

static bool is_bounded(const struct dif_option *o)
{
	return o->min != 0 || o->max != 0;
}

static void say_size(struct dif_buf *b, int64_t n)
{
	static const struct {
		int64_t unit;
		const char *name;
	} units[] = {{1LL << 30, "GiB"}, {1LL << 20, "MiB"}, {1LL << 10, "KiB"}};
	for (size_t i = 0; i < DIF_LEN(units); i++) {
		if (n != 0 && n % units[i].unit == 0) {
			dif_buf_fmt(b, "%" PRId64 "%s", n / units[i].unit, units[i].name);
			return;
		}
	}
	dif_buf_fmt(b, "%" PRId64, n);
}

static void say_duration(struct dif_buf *b, int64_t ms)
{
	static const struct {
		int64_t unit;
		const char *name;
	} units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "min"}, {1000, "s"}};
	for (size_t i = 0; i < DIF_LEN(units); i++) {
		if (ms != 0 && ms % units[i].unit == 0) {
			dif_buf_fmt(b, "%" PRId64 "%s", ms / units[i].unit, units[i].name);
			return;
		}
	}
	dif_buf_fmt(b, "%" PRId64 "ms", ms);
}

static void say_range(const struct dif_option *o, struct dif_buf *b,
                      void (*say)(struct dif_buf *b, int64_t n))
{
	if (is_bounded(o)) {
		dif_buf_fmt(b, ", ");
		say(b, o->min);
		dif_buf_fmt(b, " to ");
		say(b, o->max);
	}
}

static void say_number(struct dif_buf *b, int64_t n)
{
	dif_buf_fmt(b, "%" PRId64, n);
}

/* "a duration such as 250ms, 15s, 10min or 24h, 1s to 1h" */
static void allowed(const struct dif_option *o, struct dif_buf *b)
{
	switch ((enum dif_type)o->type) {
	case DIF_STRING:
		dif_buf_fmt(b, "text");
		if (is_bounded(o)) {
			dif_buf_fmt(b, " of %" PRId64 " to %" PRId64 " bytes", o->min, o->max);
		}
		return;
	case DIF_URL:
		dif_buf_fmt(b, "a URL http(s)://host[:port][/path] without user and query");
		return;
	case DIF_FILE_PATH:
		dif_buf_fmt(b, "an absolute path");
		return;
	case DIF_ENUM:
		dif_buf_fmt(b, "one of: %s", o->choices);
		return;
	case DIF_BOOL:
		dif_buf_fmt(b, "yes or no");
		return;
	case DIF_INT:
		dif_buf_fmt(b, "a whole number");
		say_range(o, b, say_number);
		return;
	case DIF_SIZE:
		dif_buf_fmt(b, "a size such as 64KiB or 5GB");
		say_range(o, b, say_size);
		return;
	case DIF_DURATION:
		dif_buf_fmt(b, "a duration such as 250ms, 15s, 10min or 24h");
		say_range(o, b, say_duration);
		return;
	}
}

/* --- reading one value --- */

static bool is_url(const char *s)
{
	const char *host = strncmp(s, "https://", 8) == 0  ? s + 8
	                   : strncmp(s, "http://", 7) == 0 ? s + 7
	                                                   : NULL;
	if (host == NULL || *host == '\0' || *host == '/' || *host == ':') {
		return false;
	}
	for (const char *c = host; *c != '\0'; c++) {
		if (*c <= ' ' || *c == 0x7f || strchr("?#@\\\"<>", *c) != NULL) {
			return false;
		}
	}
	return true;
}

static bool is_choice(const char *choices, const char *s)
{
	size_t n = strlen(s);
	for (const char *at = choices; n > 0 && *at != '\0';) {
		size_t len = strcspn(at, " ");
		if (len == n && memcmp(at, s, n) == 0) {
			return true;
		}
		at += len + strspn(at + len, " ");
	}
	return false;
}

static bool is_text_good(const struct dif_option *o, const char *s)
{
	int64_t n = (int64_t)strlen(s);
	switch ((enum dif_type)o->type) {
	case DIF_URL:
		return is_url(s);
	case DIF_FILE_PATH:
		return *s == '/';
	case DIF_ENUM:
		return is_choice(o->choices, s);
	default:
		return (n > 0 || (o->flags & DIF_NEEDED) == 0) &&
		       (!is_bounded(o) || (n >= o->min && n <= o->max));
	}
}

static bool read_number(const struct dif_option *o, const char *s, int64_t *out)
{
	bool bounded = is_bounded(o);
	int64_t max = bounded ? o->max : INT64_MAX;
	if (o->type == DIF_INT) {
		return dif_parse_int(s, bounded ? o->min : INT64_MIN, max, out);
	}
	int64_t min = bounded ? o->min : 0;
	return o->type == DIF_SIZE ? dif_parse_size(s, min, max, out)
	                           : dif_parse_duration(s, min, max, out);
}

/* Puts what s says to the row's member; false: s is not what the row allows. */
static bool put(const struct dif_option *o, const char *s, void *self, struct dif_arena *a)
{
	char *member = (char *)self + o->offset;
	if (o->type == DIF_BOOL) {
		uint32_t yes = 0;
		if (!dif_parse_bool(s, &yes)) {
			return false;
		}
		memcpy(member, &yes, sizeof yes);
		return true;
	}
	if (o->type == DIF_INT || o->type == DIF_SIZE || o->type == DIF_DURATION) {
		int64_t number = 0;
		if (!read_number(o, s, &number)) {
			return false;
		}
		memcpy(member, &number, sizeof number);
		return true;
	}
	if (!is_text_good(o, s)) {
		return false;
	}
	const char *copy = dif_arena_str(a, s);
	memcpy(member, &copy, sizeof copy);
	return true;
}

/* --- finding it --- */

static struct dif_ini_entry *find(struct dif_ini_entry *list, const char *section, const char *key)
{
	for (struct dif_ini_entry *e = list; e != NULL; e = e->next) {
		if (strcmp(e->section, section) == 0 &&
		    (key == NULL || (e->key != NULL && strcmp(e->key, key) == 0))) {
			return e;
		}
	}
	return NULL;
}

/* The first variable of the row that is set and not empty. */
static const char *from_env(const struct dif_option *o, char name[ENV_NAME_MAX])
{
	for (const char *at = o->env; at != NULL && *at != '\0';) {
		size_t n = strcspn(at, " ");
		size_t kept = n < ENV_NAME_MAX ? n : ENV_NAME_MAX - 1;
		memcpy(name, at, kept);
		name[kept] = '\0';
		const char *value = getenv(name); /* plugin.h: the host consults the environment */
		if (value != NULL && *value != '\0') {
			return value;
		}
		at += n + strspn(at + n, " ");
	}
	return NULL;
}

static void refuse(const struct dif_option *o, const char *where, const char *shown,
                   struct dif_error *err)
{
	struct dif_buf what;
	dif_buf_init(&what, 512);
	allowed(o, &what);
	if ((o->flags & DIF_SECRET) != 0) {
		dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		               "%scould not use option '%s': its value is not %s", where, o->name,
		               dif_buf_str(&what));
	} else {
		dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		               "%scould not use option '%s': '%.100s' is not %s", where, o->name,
		               shown, dif_buf_str(&what));
	}
	dif_buf_fini(&what);
}

/* Of a header, "Name: value" or "Name: Scheme token", the peer sees what follows the name, and may
 * say it, or its last word. */
static void hide_parts(const char *value)
{
	const char *colon = strchr(value, ':'), *blank = strrchr(value, ' ');
	if (colon != NULL) {
		dif_secret_add(colon + 1 + strspn(colon + 1, " "));
	}
	if (blank != NULL) {
		dif_secret_add(blank + 1);
	}
}

static bool put_secret(const struct dif_option *o, const struct dif_ini_entry *e, void *self,
                       struct dif_arena *a, struct dif_error *err)
{
	char *value = dif_secret_resolve(e->value, e->secret_ok, err);
	if (value == NULL) {
		dif_error_wrap(err, "%s:%u: could not use option '%s'", e->file, e->line, o->name);
		return false;
	}
	hide_parts(value);
	bool ok = put(o, value, self, a);
	explicit_bzero(value, strlen(value));
	free(value);
	if (!ok) {
		refuse(o, dif_arena_fmt(a, "%s:%u: ", e->file, e->line), "", err);
	}
	return ok;
}

static bool bind(const struct dif_option *o, struct dif_ini_entry *e, bool ask_env,
                 const char *where, void *self, struct dif_arena *a, struct dif_error *err)
{
	if (e != NULL) {
		e->used = true;
		if ((o->flags & DIF_SECRET) != 0 && *e->value != '\0') {
			return put_secret(o, e, self, a, err);
		}
		if (!put(o, e->value, self, a)) {
			refuse(o, dif_arena_fmt(a, "%s:%u: ", e->file, e->line), e->value, err);
			return false;
		}
		return true;
	}
	char name[ENV_NAME_MAX];
	const char *value = ask_env ? from_env(o, name) : NULL;
	if (value != NULL) {
		if ((o->flags & DIF_SECRET) != 0) {
			dif_secret_add(value);
			hide_parts(value);
		}
		if (!put(o, value, self, a)) {
			refuse(o, dif_arena_fmt(a, "%senvironment variable %s: ", where, name),
			       value, err);
			return false;
		}
		return true;
	}
	if (o->def != NULL) {
		if (!put(o, o->def, self, a)) { /* a mistake in a plug-in's row */
			refuse(o, dif_arena_fmt(a, "%sdefault: ", where), o->def, err);
			return false;
		}
		return true;
	}
	if ((o->flags & DIF_NEEDED) != 0) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "%soption '%s' is missing (%s)", where, o->name,
		                      o->help == NULL ? "" : o->help);
	}
	return true;
}

/* The section gives one of the rows that belong together. */
static bool gives_one(const struct dif_option *rows, uint32_t n, struct dif_ini_entry *list,
                      const char *section)
{
	for (uint32_t i = 0; i < n; i++) {
		if ((rows[i].flags & DIF_TOGETHER) != 0 &&
		    find(list, section, rows[i].name) != NULL) {
			return true;
		}
	}
	return false;
}

bool dif_option_bind(const struct dif_option *rows, uint32_t n, struct dif_ini_entry *list,
                     const char *section, void *self, struct dif_arena *a, struct dif_error *err)
{
	const struct dif_ini_entry *head = find(list, section, NULL);
	const char *where = head == NULL ? dif_arena_fmt(a, "[%s]: ", section)
	                                 : dif_arena_fmt(a, "%s:%u: [%s]: ", head->file,
	                                                 head->section_line, section);
	bool given = gives_one(rows, n, list, section);
	for (uint32_t i = 0; i < n; i++) {
		bool ask_env = !given || (rows[i].flags & DIF_TOGETHER) == 0;
		struct dif_ini_entry *e = find(list, section, rows[i].name);
		if (!bind(&rows[i], e, ask_env, where, self, a, err)) {
			return false;
		}
	}
	if (a->failed) {
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
		                      "could not read section '%s': out of memory", section);
	}
	return true;
}

/* --- for people --- */

/* Words of text, filled to WIDTH, each line behind lead. */
static void fill(struct dif_buf *out, const char *lead, const char *text)
{
	size_t indent = strlen(lead), column = 0;
	for (const char *at = text + strspn(text, " "); *at != '\0';) {
		size_t n = strcspn(at, " ");
		if (column > 0 && column + 1 + n > WIDTH) {
			dif_buf_fmt(out, "\n");
			column = 0;
		}
		dif_buf_fmt(out, "%s%.*s", column == 0 ? lead : " ", (int)n, at);
		column = (column == 0 ? indent : column + 1) + n;
		at += n + strspn(at + n, " ");
	}
	if (column > 0) {
		dif_buf_fmt(out, "\n");
	}
}

/* "one of: a b; default a; else from A_VARIABLE" */
static void facts(const struct dif_option *o, struct dif_buf *b)
{
	allowed(o, b);
	if ((o->flags & DIF_SECRET) != 0) {
		dif_buf_fmt(b, "; secret, so better env:NAME, file:PATH or credential:NAME");
	}
	if ((o->flags & DIF_NEEDED) != 0) {
		dif_buf_fmt(b, "; needed");
	} else if (o->def != NULL && *o->def != '\0') {
		dif_buf_fmt(b, "; default %s", o->def);
	}
	if (o->env != NULL && *o->env != '\0') {
		bool together = (o->flags & DIF_TOGETHER) != 0;
		dif_buf_fmt(b, "; else%s from %s",
		            together ? ", where the section gives none of its set," : "", o->env);
	}
}

static void describe(const struct dif_option *o, const char *lead, struct dif_buf *out)
{
	struct dif_buf b;
	dif_buf_init(&b, 2048);
	facts(o, &b);
	fill(out, lead, o->help == NULL ? "" : o->help);
	fill(out, lead, dif_buf_str(&b));
	out->failed = out->failed || b.failed;
	dif_buf_fini(&b);
}

void dif_option_print(const struct dif_option *rows, uint32_t n, struct dif_buf *out)
{
	for (uint32_t i = 0; i < n; i++) {
		dif_buf_fmt(out, "  %s (%s)\n", rows[i].name, dif_option_type_name(rows[i].type));
		describe(&rows[i], "      ", out);
	}
}

void dif_option_example(const struct dif_option *rows, uint32_t n, struct dif_buf *out)
{
	for (uint32_t i = 0; i < n; i++) {
		describe(&rows[i], "; ", out);
		const char *def = rows[i].def == NULL ? "" : rows[i].def;
		dif_buf_fmt(out, ";%s =%s%s\n%s", rows[i].name, *def == '\0' ? "" : " ", def,
		            i + 1 < n ? "\n" : "");
	}
}
