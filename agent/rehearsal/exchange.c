/* exchange - see the header. A `*` of a script becomes a byte that no text holds before values are
 * put in, so that a value with a star in it stands for itself. */
#include "rehearsal/exchange.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "host/crypto.h"

#define ANY '\1'
#define FILE_MAX (1u << 20)
#define FILLED_MAX (16u << 20)
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_"

/* --- values --- */

void dif_values_set(struct dif_values *v, const char *name, struct dif_bytes value)
{
	uint32_t i = 0;
	while (i < v->n && strcmp(v->name[i], name) != 0) {
		i++;
	}
	if (i == DIF_VALUES_MAX) {
		return; /* the bound of instance.ini is checked where it is read */
	}
	v->name[i] = name;
	v->value[i] = value;
	v->n = i == v->n ? i + 1 : v->n;
}

void dif_values_text(struct dif_values *v, const char *name, const char *text)
{
	dif_values_set(v, name, (struct dif_bytes){text, strlen(text)});
}

static const struct dif_bytes *value_of(const struct dif_values *v, const char *name, size_t n)
{
	for (uint32_t i = 0; i < v->n; i++) {
		if (strlen(v->name[i]) == n && memcmp(v->name[i], name, n) == 0) {
			return &v->value[i];
		}
	}
	return NULL;
}

const char *dif_values_get(const struct dif_values *v, const char *name)
{
	const struct dif_bytes *b = value_of(v, name, strlen(name));
	return b != NULL ? b->p : NULL;
}

static bool add_value(struct dif_arena *a, struct dif_buf *to, const struct dif_bytes *b,
                      const char *enc, size_t n)
{
	static const struct {
		const char *name;
		enum dif_enc enc;
	} known[] = {{"path", DIF_PATH}, {"query", DIF_QUERY},   {"xml", DIF_XML},
	             {"json", DIF_JSON}, {"base64", DIF_BASE64}, {"hex", DIF_HEX}};
	if (n == 0) {
		dif_buf_add(to, b->p, b->n);
		return true;
	}
	for (size_t i = 0; i < DIF_LEN(known); i++) {
		if (strlen(known[i].name) == n && memcmp(known[i].name, enc, n) == 0) {
			const char *text = dif_encode(a, known[i].enc, b->p, b->n);
			dif_buf_add(to, text, strlen(text));
			return true;
		}
	}
	return false;
}

/* The length of {name} or {name:enc} at p, whose value went into `to`; 0: it is none. */
static size_t take_value(struct dif_arena *a, const char *p, const struct dif_values *v,
                         struct dif_buf *to)
{
	size_t name = strspn(p + 1, NAME_CHARACTERS);
	const char *enc = p + 1 + name;
	size_t n = 0;
	if (name == 0) {
		return 0;
	}
	if (*enc == ':') {
		enc++;
		n = strspn(enc, NAME_CHARACTERS);
	}
	const struct dif_bytes *b = value_of(v, p + 1, name);
	if (enc[n] != '}' || b == NULL || !add_value(a, to, b, enc, n)) {
		return 0;
	}
	return (size_t)(enc + n + 1 - p);
}

/* The length of {each:SEPARATOR|TEMPLATE} at p, whose items went into `to`; 0: it is none. */
static size_t take_each(struct dif_arena *a, const char *p, const struct dif_values *v,
                        struct dif_buf *to)
{
	static const char begin[] = "{each:";
	uint32_t depth = 0;
	size_t n = 0;
	if (strncmp(p, begin, sizeof begin - 1) != 0) {
		return 0;
	}
	do {
		depth += p[n] == '{';
		depth -= p[n] == '}';
		n++;
	} while (depth > 0 && p[n] != '\0');
	const char *from = p + sizeof begin - 1;
	size_t separator = strcspn(from, "|");
	if (depth > 0 || from + separator + 1 >= p + n) {
		return 0;
	}
	const char *template = dif_arena_copy(a, from + separator + 1,
	                                      (size_t)(p + n - 1 - (from + separator + 1)));
	struct dif_values item = *v;
	item.nitems = 0;
	for (uint32_t i = 0; template != NULL && i < v->nitems; i++) {
		for (uint32_t c = 0; c < v->ncolumns; c++) {
			dif_values_text(&item, v->column[c], v->cell[c][i]);
		}
		const char *text = dif_exchange_fill(a, template, &item);
		dif_buf_add(to, from, i > 0 ? separator : 0);
		dif_buf_add(to, text, strlen(text));
	}
	return n;
}

const char *dif_exchange_fill(struct dif_arena *a, const char *text, const struct dif_values *v)
{
	struct dif_buf out;
	dif_buf_init(&out, FILLED_MAX);
	for (const char *p = text; *p != '\0';) {
		size_t plain = strcspn(p, "{");
		dif_buf_add(&out, p, plain);
		p += plain;
		if (*p == '{') {
			size_t n = take_each(a, p, v, &out);
			n = n > 0 ? n : take_value(a, p, v, &out);
			if (n == 0) {
				dif_buf_add(&out, p, 1);
			}
			p += n != 0 ? n : 1;
		}
	}
	const char *s = dif_arena_copy(a, dif_buf_str(&out), out.n);
	dif_buf_fini(&out);
	return s != NULL ? s : "";
}

/* --- reading --- */

struct reading {
	struct dif_arena *a;
	const char *file;
	uint32_t line;
	struct dif_script *to;
	struct dif_exchange *x; /* NULL before the first request */
	uint32_t nfields, nreply;
	bool replied;
	struct dif_error *err;
};

static bool refuse(struct reading *r, const char *what)
{
	return dif_error_exit(r->err, DIF_EXIT_CONFIG, DIF_PERMANENT, "%s:%u: %s", r->file, r->line,
	                      what);
}

/* A pattern: `*` stands for anything, `\*` for itself. */
static const char *pattern(struct dif_arena *a, const char *text)
{
	char *to = dif_arena_copy(a, text, strlen(text));
	char *w = to;
	for (const char *p = to; p != NULL && *p != '\0'; p++) {
		bool is_escaped = p[0] == '\\' && p[1] == '*';
		p += is_escaped;
		*w++ = *p == '*' && !is_escaped ? ANY : *p;
	}
	if (to != NULL) {
		*w = '\0';
	}
	return to != NULL ? to : "";
}

static const char *joined(struct dif_arena *a, const char *before, const char *line)
{
	return before == NULL || *before == '\0' ? dif_arena_str(a, line)
	                                         : dif_arena_fmt(a, "%s\n%s", before, line);
}

static bool begin_exchange(struct reading *r, const char *text)
{
	size_t n = strcspn(text, " ");
	if (text[n] != ' ' || n == 0) {
		return refuse(r, "a request begins with '> METHOD ADDRESS'");
	}
	if (r->to->n == DIF_EXCHANGES_MAX) {
		return refuse(r, "there are over 8 exchanges in this file");
	}
	r->x = &r->to->exchanges[r->to->n++];
	*r->x = (struct dif_exchange){.method = dif_arena_fmt(r->a, "%.*s", (int)n, text),
	                              .url = pattern(r->a, text + n + 1),
	                              .content = ""};
	r->nfields = r->nreply = 0;
	r->replied = false;
	return true;
}

static bool add_field(struct reading *r, const char **to, uint32_t *n, const char *text)
{
	if (*n + 1 >= DIF_WIRE_FIELDS) {
		return refuse(r, "there are over 23 headers");
	}
	if (*text != '!' && strchr(text, ':') == NULL) {
		return refuse(r, "a header is written 'name: value'");
	}
	to[(*n)++] = text;
	return true;
}

static bool take_request(struct reading *r, const char *line)
{
	if (line[1] == '|') {
		if (r->x == NULL || r->replied) {
			return refuse(r, "a body stands between a request and its reply");
		}
		const char *text = pattern(r->a, line + 2 + (line[2] == ' '));
		r->x->body = r->x->body == NULL ? text : joined(r->a, r->x->body, text);
		return true;
	}
	const char *text = line + 1 + strspn(line + 1, " ");
	if (r->x == NULL || r->replied) {
		return begin_exchange(r, text);
	}
	return add_field(r, r->x->fields, &r->nfields, pattern(r->a, text));
}

static bool take_reply(struct reading *r, const char *line)
{
	const char *text = line + 1 + strspn(line + 1, " ");
	int64_t status = 0;
	if (r->x == NULL) {
		return refuse(r, "there is no request that this would answer");
	}
	if (r->replied) {
		return add_field(r, r->x->reply, &r->nreply, dif_arena_str(r->a, text));
	}
	if (!dif_parse_int(text, 100, 599, &status)) {
		return refuse(r, "a reply begins with '< STATUS'");
	}
	r->replied = true;
	r->x->status = (int)status;
	return true;
}

static bool take_line(struct reading *r, const char *line)
{
	switch (*line) {
	case '>':
		return take_request(r, line);
	case '<':
		return take_reply(r, line);
	case '|':
		if (r->x == NULL || !r->replied) {
			return refuse(r, "a reply's body comes behind '< STATUS'");
		}
		r->x->content = joined(r->a, r->x->content, line + 1 + (line[1] == ' '));
		return true;
	case '#':
	case '\0':
		return true;
	default:
		return refuse(r, "a line begins with '>', '<', '|' or '#'");
	}
}

bool dif_script_parse(struct dif_arena *a, const char *file, const char *text,
                      struct dif_script *to, struct dif_error *err)
{
	struct reading r = {.a = a, .file = file, .to = to, .err = err};
	bool ok = true;
	to->n = 0;
	for (const char *p = text; ok && *p != '\0';) {
		size_t n = strcspn(p, "\n");
		r.line++;
		ok = take_line(&r, dif_arena_fmt(a, "%.*s", (int)n, p));
		p += n + (p[n] == '\n');
		if (ok && r.x != NULL && *p == '\0' && !r.replied) {
			ok = refuse(&r, "the last request has no reply");
		}
	}
	if (ok && a->failed) {
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
		                      "could not read '%s': out of memory", file);
	}
	return ok;
}

bool dif_script_read(struct dif_arena *a, const char *folder, const char *name,
                     struct dif_script *to, struct dif_error *err)
{
	const char *path = dif_arena_fmt(a, "%s/%s.txt", folder, name);
	char *text = NULL;
	size_t n = 0;
	to->name = name;
	to->n = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		return access(path, F_OK) != 0 ||
		       dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "could not read '%s': %m", path);
	}
	bool ok = dif_path_read_all(fd, FILE_MAX, &text, &n, err);
	close(fd);
	ok = ok && dif_script_parse(a, path, text, to, err);
	free(text);
	return ok;
}

/* --- matching --- */

/* With ANY as the one wildcard; a star that does not lead on is taken back once per byte. */
static bool is_like(const char *want, const char *text)
{
	const char *star = NULL, *from = NULL;
	while (*text != '\0') {
		if (*want == ANY) {
			star = want++;
			from = text;
		} else if (*want == *text) {
			want++;
			text++;
		} else if (star != NULL) {
			want = star + 1;
			text = ++from;
		} else {
			return false;
		}
	}
	while (*want == ANY) {
		want++;
	}
	return *want == '\0';
}

bool dif_exchange_is(struct dif_arena *a, const struct dif_exchange *x, const struct dif_values *v,
                     const struct dif_wire_seen *seen)
{
	return strcmp(x->method, seen->method) == 0 &&
	       is_like(dif_exchange_fill(a, x->url, v), seen->url);
}

static const char *readable(struct dif_arena *a, const char *want)
{
	char *s = dif_arena_copy(a, want, strlen(want));
	for (char *p = s; p != NULL && *p != '\0'; p++) {
		*p = *p == ANY ? '*' : *p;
	}
	return s != NULL ? s : "";
}

static const char *field_differs(struct dif_arena *a, const char *want,
                                 const struct dif_wire_seen *seen)
{
	if (*want == '!') {
		const char *have = dif_wire_header(seen, want + 1, strlen(want + 1));
		return have == NULL ? NULL
		                    : dif_arena_fmt(a, "header '%s: %s' must not be there",
		                                    want + 1, have);
	}
	size_t n = strcspn(want, ":");
	const char *have = dif_wire_header(seen, want, n);
	const char *value = want + n + (want[n] == ':');
	value += strspn(value, " ");
	if (have == NULL) {
		return dif_arena_fmt(a, "header '%s' is missing", readable(a, want));
	}
	return is_like(value, have) ? NULL
	                            : dif_arena_fmt(a, "header '%.*s' is '%s', not '%s'", (int)n,
	                                            want, have, readable(a, value));
}

const char *dif_exchange_differs(struct dif_arena *a, const struct dif_exchange *x,
                                 const struct dif_values *v, const struct dif_wire_seen *seen)
{
	for (size_t i = 0; i < DIF_WIRE_FIELDS && x->fields[i] != NULL; i++) {
		const char *what = field_differs(a, dif_exchange_fill(a, x->fields[i], v), seen);
		if (what != NULL) {
			return what;
		}
	}
	if (x->body != NULL) {
		const char *body = dif_exchange_fill(a, x->body, v);
		if (!is_like(body, seen->body)) {
			return dif_arena_fmt(a, "the body is '%.200s', not '%.200s'", seen->body,
			                     readable(a, body));
		}
	}
	return NULL;
}

void dif_exchange_reply(struct dif_arena *a, const struct dif_exchange *x,
                        const struct dif_values *v, struct dif_wire_reply *reply)
{
	*reply = (struct dif_wire_reply){.status = x->status,
	                                 .body = dif_exchange_fill(a, x->content, v)};
	for (size_t i = 0; i < DIF_WIRE_FIELDS && x->reply[i] != NULL; i++) {
		reply->fields[i] = dif_exchange_fill(a, x->reply[i], v);
	}
}
