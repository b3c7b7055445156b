/* https_list - packages that an index page names, or that a template of times leads to.
 *
 * The page may be HTML, text or JSON: a name is whatever stands between blanks, quotes and angle
 * brackets, leads to the same scheme, host and port, has no query, does not climb, and whose last
 * part fits `pattern`. That reads every listing that servers write, and needs no parser that could
 * be led astray. The ROWS_MAX greatest names count. A row is a mere name, and whoever wants it asks
 * for it; with `newest = modified` the 16 greatest are asked for their dates.
 *
 * A template is tried from now back, step by step, until an address answers.
 */
#include "https.h"

#define ASKED_MAX 16

/* --- an index page --- */

static bool fits(const char *glob, const char *s)
{
	const char *star = NULL, *again = NULL;
	while (*s != '\0') {
		if (*glob == '*') {
			star = ++glob;
			again = s;
		} else if (*glob == '?' || *glob == *s) {
			glob++;
			s++;
		} else if (star != NULL) {
			glob = star;
			s = ++again;
		} else {
			return false;
		}
	}
	while (*glob == '*') {
		glob++;
	}
	return *glob == '\0';
}

static const char *last_part(const char *key)
{
	const char *slash = strrchr(key, '/');
	return slash != NULL ? slash + 1 : key;
}

/* Puts it where it belongs; the smallest goes where there is no room. */
static void insert(struct asking *s, const char *name)
{
	uint32_t from = 0, to = s->nnames;
	while (from < to) {
		uint32_t middle = from + (to - from) / 2;
		int c = strcmp(s->names[middle], name);
		if (c == 0) {
			return;
		}
		if (c < 0) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	if (s->nnames == ROWS_MAX) {
		if (from == 0) {
			return;
		}
		memmove(s->names, s->names + 1, (from - 1) * sizeof *s->names);
		s->names[from - 1] = name;
		return;
	}
	memmove(s->names + from + 1, s->names + from, (s->nnames - from) * sizeof *s->names);
	s->names[from] = name;
	s->nnames++;
}

/* The key that a link stands for: its way from the page's folder, or its whole address. NULL: it is
 * none for us. */
static const char *key_of(struct dif_op *op, const char *link)
{
	const struct asking *s = op->scratch;
	const struct self *self = op->self;
	size_t folder = https_folder_end(s->url);
	bool is_template = strcmp(self->url, s->url) != 0;
	const char *url = link;
	if (strpbrk(link, "?#\\") != NULL || (link[0] == '/' && link[1] == '/')) {
		return NULL;
	}
	if (link[0] == '/') {
		url = host->fmt(op, "%.*s%s", (int)https_authority_end(s->url), s->url, link);
	} else if (strstr(link, "://") == NULL) {
		link += strncmp(link, "./", 2) == 0 ? 2 : 0;
		if (https_climbs(link)) {
			return NULL;
		}
		url = host->fmt(op, "%.*s%s", (int)folder, s->url, link);
	}
	if (!https_is_same_place(s->url, url) || strlen(url) > KEY_MAX) {
		return NULL;
	}
	if (is_template || strncmp(url, s->url, folder) != 0) {
		return url;
	}
	struct dif_bytes key = host->dec(op, DIF_PATH, url + folder);
	return key.p != NULL && strlen(key.p) == key.n && https_is_plain_text(key.p) &&
	                       !https_climbs(key.p)
	               ? key.p
	               : NULL;
}

/* In JSON a slash may stand as \/, in HTML nothing that we take needs a reference. */
static const char *text_of(struct dif_op *op, const char *p, size_t n)
{
	struct dif_text *t = host->text(op);
	if (n > 5 && strncmp(p, "href=", 5) == 0) {
		p += 5;
		n -= 5;
	}
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\\' || i + 1 == n || p[i + 1] != '/') {
			host->add_bytes(t, p + i, 1);
		}
	}
	return host->end(t).p;
}

static void take(struct dif_op *op, const char *p, size_t n)
{
	const struct self *self = op->self;
	if (n == 0 || n > KEY_MAX) {
		return;
	}
	/* most of a page is no name: this is asked before anything is copied */
	const char *tail = p + n;
	while (tail > p && tail[-1] != '/') {
		tail--;
	}
	if (tail == p + n) {
		return;
	}
	const char *key = key_of(op, text_of(op, p, n));
	if (key != NULL && fits(self->pattern, last_part(key))) {
		insert(op->scratch, key);
	}
}

static void read_page(struct dif_op *op, const char *p, size_t n)
{
	static const char ends[] = " \t\r\n\"'<>,";
	for (size_t i = 0, from = 0; i <= n; i++) {
		if (i == n || strchr(ends, p[i]) != NULL) { /* a NUL ends a name, too */
			take(op, p + from, i - from);
			from = i + 1;
		}
	}
}

static void ask_name(struct dif_op *op);

static void next_name(struct dif_op *op)
{
	struct asking *s = op->scratch;
	s->at++;
	ask_name(op);
}

static void on_name(struct dif_op *op, const struct dif_object *o)
{
	host->object(op, o);
	next_name(op);
}

static void ask_name(struct dif_op *op)
{
	struct asking *s = op->scratch;
	if (s->at == s->nnames) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	s->key = s->names[s->at];
	size_t folder = https_folder_end(s->url);
	s->url = strstr(s->key, "://") != NULL
	                 ? s->key
	                 : host->fmt(op, "%.*s%s", (int)folder, s->url,
	                             host->enc(op, DIF_PATH, s->key, strlen(s->key)));
	s->hops = 0;
	https_ask(op);
}

static void on_page(struct dif_op *op, const struct dif_reply *r)
{
	struct asking *s = op->scratch;
	const struct self *self = op->self;
	s->names = host->alloc(op, ROWS_MAX * sizeof *s->names);
	if (s->names == NULL) {
		host->fail(op, DIF_TRANSIENT, "", "out of memory");
		return;
	}
	read_page(op, r->body.p, (size_t)r->body.n);
	if (strcmp(self->newest, "modified") == 0) {
		s->page = NULL;
		s->then = on_name;
		s->absent = next_name; /* gone meanwhile */
		s->at = s->nnames > ASKED_MAX ? s->nnames - ASKED_MAX : 0;
		ask_name(op);
		return;
	}
	for (uint32_t i = 0; i < s->nnames; i++) {
		host->object(op, &(struct dif_object){.key = s->names[i], .tag = ""});
	}
	host->done(op, &(struct dif_result){0});
}

void https_list_page(struct dif_op *op)
{
	struct asking *s = op->scratch;
	s->page = on_page;
	if (https_begin(op)) {
		https_ask(op);
	}
}

/* --- a template --- */

static void try_time(struct dif_op *op);

static void on_there(struct dif_op *op, const struct dif_object *o)
{
	host->object(op, o);
	host->done(op, &(struct dif_result){0});
}

static void on_absent(struct dif_op *op)
{
	const struct self *self = op->self;
	struct asking *s = op->scratch;
	s->time -= self->step / 1000;
	if (s->time < s->until) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	try_time(op);
}

static void try_time(struct dif_op *op)
{
	const struct self *self = op->self;
	struct asking *s = op->scratch;
	s->url = s->key = https_expanded(op, self->url, s->time);
	s->hops = 0;
	https_ask(op);
}

void https_list_times(struct dif_op *op)
{
	const struct self *self = op->self;
	struct asking *s = op->scratch;
	int64_t now = host->now(op), local = now + self->utc_offset * 60;
	s->probe.key = "";
	s->in = &s->probe;
	s->then = on_there;
	s->absent = on_absent;
	s->time = now - local % (self->step / 1000);
	s->until = now - self->look_back / 1000;
	try_time(op);
}
