/* file - the route as a file, for a balancer or another program of this machine to read.
 *
 *   json     {"name":"..","type":"..","ttl":30,"targets":[{"name":"..","value":"..","weight":100}]}
 *   ini      [route] name, type, ttl; [target NAME] value, weight
 *   haproxy  one line of "set weight BACKEND/NAME WEIGHT" commands for HAProxy's socket, which
 *            takes a line for each connection; the lines behind it hold the rest
 *
 * The file is replaced as a whole, under the tag that it was read with. Where there is none, the
 * tag is "absent". One file holds one route: a file that is no route of ours is left alone.
 *
 * What makes the program read it is the section's own `after`, which the host runs.
 */
#include <difusor/plugin.h>

#define ABSENT "absent"
#define WEIGHT_MAX 256u /* of HAProxy */
#define TTL_MAX_S 86400u
#define TARGETS_MAX 64u
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:"

struct self {
	const char *path, *format, *backend;
	const char *root, *side, *name; /* of the path: its folder, and the file in it */
};

static const struct dif_host *host;

/* A route as a file tells it. */
struct route {
	const char *name, *type;
	uint32_t ttl_s, n;
	struct dif_target targets[TARGETS_MAX];
};

/* --- writing --- */

static void write_json(struct dif_text *t, const struct dif_route *in, const struct self *s)
{
	(void)s;
	host->add(t, "{\n  \"name\": \"%s\",\n  \"type\": \"%s\",\n  \"ttl\": %u,\n", in->name,
	          in->type, in->ttl_s);
	host->add(t, "  \"targets\": [");
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *to = &in->targets[i];
		host->add(t, "%s\n    {\"name\": \"%s\", \"value\": \"%s\", \"weight\": %u}",
		          i > 0 ? "," : "", to->name, to->value, to->weight);
	}
	host->add(t, "\n  ]\n}\n");
}

static void write_ini(struct dif_text *t, const struct dif_route *in, const struct self *s)
{
	(void)s;
	host->add(t, "[route]\nname = %s\ntype = %s\nttl = %u\n", in->name, in->type, in->ttl_s);
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *to = &in->targets[i];
		host->add(t, "\n[target %s]\nvalue = %s\nweight = %u\n", to->name, to->value,
		          to->weight);
	}
}

static void write_haproxy(struct dif_text *t, const struct dif_route *in, const struct self *s)
{
	for (uint32_t i = 0; i < in->n; i++) {
		host->add(t, "%sset weight %s/%s %u", i > 0 ? "; " : "", s->backend,
		          in->targets[i].name, in->targets[i].weight);
	}
	host->add(t, "\n# route %s %s %u\n", in->name, in->type, in->ttl_s);
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *to = &in->targets[i];
		host->add(t, "# target %s %s %u\n", to->name, to->value, to->weight);
	}
}

/* --- reading --- */

/* Decimal, n characters, up to max. */
static bool number(const char *s, size_t n, uint32_t max, uint32_t *to)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9' || v > max) {
			return false;
		}
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*to = (uint32_t)v;
	return n > 0 && v <= max;
}

static bool number_of(const struct dif_node *n, uint32_t max, uint32_t *to)
{
	const char *s = host->str(n);
	return number(s, strlen(s), max, to);
}

/* The next target of the route; NULL: there are too many. */
static struct dif_target *another(struct route *to)
{
	return to->n < TARGETS_MAX ? &to->targets[to->n++] : NULL;
}

static bool read_target(struct route *to, const char *name, const struct dif_node *n)
{
	struct dif_target *t = another(to);
	if (t == NULL) {
		return false;
	}
	t->name = name;
	t->value = host->str(host->get(n, "value"));
	return number_of(host->get(n, "weight"), UINT32_MAX, &t->weight);
}

static bool read_head(struct route *to, const struct dif_node *n)
{
	to->name = host->str(host->get(n, "name"));
	to->type = host->str(host->get(n, "type"));
	return number_of(host->get(n, "ttl"), UINT32_MAX, &to->ttl_s);
}

static bool read_json(struct dif_op *op, struct dif_bytes text, struct route *to)
{
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, text);
	const struct dif_node *list = host->get(j, "targets"), *n = NULL;
	bool good = list != NULL && read_head(to, j);
	while (good && (n = host->next(list, "", n)) != NULL) {
		good = read_target(to, host->str(host->get(n, "name")), n);
	}
	return good;
}

static bool read_ini(struct dif_op *op, struct dif_bytes text, struct route *to)
{
	const struct dif_node *j = host->parse(op, DIF_AS_INI, text);
	const struct dif_field *sections;
	uint32_t n = host->fields_of(op, j, &sections);
	bool good = read_head(to, host->next(j, "route", NULL));
	for (uint32_t i = 0; good && i < n; i++) {
		const char *name = sections[i].name;
		if (strncmp(name, "target ", 7) == 0) {
			good = read_target(to, name + 7, host->next(j, name, NULL));
		}
	}
	return good;
}

/* Three words behind what a line begins with. */
static bool take_words(struct dif_op *op, const char *line, size_t n, const char *word[2],
                       uint32_t *value)
{
	const char *end = line + n;
	for (uint32_t i = 0; i < 2; i++) {
		const char *blank = memchr(line, ' ', (size_t)(end - line));
		if (blank == NULL || blank == line) {
			return false;
		}
		word[i] = host->fmt(op, "%.*s", (int)(blank - line), line);
		line = blank + 1;
	}
	return number(line, (size_t)(end - line), UINT32_MAX, value);
}

static bool read_haproxy(struct dif_op *op, struct dif_bytes text, struct route *to)
{
	static const char route[] = "# route ", target[] = "# target ";
	const char *word[2];
	for (const char *p = text.p; *p != '\0'; p += strcspn(p, "\n"), p += *p == '\n') {
		size_t n = strcspn(p, "\n"), skip = sizeof route - 1;
		if (strncmp(p, route, skip) == 0) {
			if (!take_words(op, p + skip, n - skip, word, &to->ttl_s)) {
				return false;
			}
			to->name = word[0];
			to->type = word[1];
		}
		skip = sizeof target - 1;
		if (strncmp(p, target, skip) == 0) {
			struct dif_target *t = another(to);
			if (t == NULL || !take_words(op, p + skip, n - skip, word, &t->weight)) {
				return false;
			}
			t->name = word[0];
			t->value = word[1];
		}
	}
	return to->name != NULL;
}

static const struct format {
	const char *name;
	void (*write)(struct dif_text *t, const struct dif_route *in, const struct self *s);
	bool (*read)(struct dif_op *op, struct dif_bytes text, struct route *to);
} formats[] = {
	{"json", write_json, read_json},
	{"ini", write_ini, read_ini},
	{"haproxy", write_haproxy, read_haproxy},
};

static const struct format *format_of(const struct self *s)
{
	const struct format *f = formats;
	while (strcmp(f->name, s->format) != 0) {
		f++; /* one of the choices */
	}
	return f;
}

/* --- get --- */

static void on_got(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	struct route *route = host->alloc(op, sizeof *route);
	if (r->status == 404) {
		host->done(op, &(struct dif_result){.tag = ABSENT});
		return;
	}
	if (!host->good(op, r)) {
		return;
	}
	if (route == NULL || r->nfiles != 1) {
		host->refuse(op, r, "", "the file call tells no file");
		return;
	}
	if (!format_of(s)->read(op, r->body, route) || strcmp(route->name, in->name) != 0 ||
	    strcmp(route->type, in->type) != 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "file '%s' holds another route, or none; move it away, or set path",
		           s->path);
		return;
	}
	for (uint32_t i = 0; i < route->n; i++) {
		host->target(op, &route->targets[i]);
	}
	host->done(op, &(struct dif_result){.tag = r->files[0].tag, .ttl_s = route->ttl_s});
}

static void get(struct dif_op *op)
{
	const struct self *s = op->self;
	host->file(op, &(struct dif_file_call){.verb = DIF_FILE_GET, .path = s->name}, on_got);
}

/* --- set --- */

static void on_set(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

/* What may stand in each of the formats as it is. */
static bool is_plain(const char *s)
{
	size_t n = strspn(s, PLAIN);
	return n > 0 && s[n] == '\0';
}

/* False: the op has failed. */
static bool check(struct dif_op *op, const struct dif_route *in)
{
	const char *bad = is_plain(in->name) ? NULL : in->name;
	for (uint32_t i = 0; i < in->n && bad == NULL; i++) {
		const struct dif_target *t = &in->targets[i];
		bad = !is_plain(t->name) ? t->name : !is_plain(t->value) ? t->value : NULL;
	}
	if (bad != NULL) {
		host->fail(op, DIF_PERMANENT, "", "'%.100s' cannot be written as it is", bad);
		return false;
	}
	if (in->n > TARGETS_MAX) {
		host->fail(op, DIF_PERMANENT, "", "it has more than %u targets", TARGETS_MAX);
		return false;
	}
	return true;
}

static void set(struct dif_op *op)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	struct dif_text *t = host->text(op);
	if (!check(op, in)) {
		return;
	}
	format_of(s)->write(t, in, s);
	bool is_absent = in->if_tag != NULL && strcmp(in->if_tag, ABSENT) == 0;
	host->file(op,
	           &(struct dif_file_call){.verb = DIF_FILE_PUT,
	                                   .path = s->name,
	                                   .body = &(struct dif_piece){.bytes = host->end(t)},
	                                   .npieces = 1,
	                                   .if_absent = is_absent,
	                                   .if_tag = is_absent ? NULL : in->if_tag},
	           on_set);
}

/* --- probe, open --- */

static void on_probed(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404 || host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	const struct self *s = op->self;
	host->file(op, &(struct dif_file_call){.verb = DIF_FILE_STAT, .path = s->name}, on_probed);
}

static const struct dif_option options[] = {
	{.name = "path",
         .help = "the file; its folder is created if the parent of that exists",
         .type = DIF_FILE_PATH,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, path)},
	{.name = "format",
         .def = "json",
         .help = "how it is written: json, ini, or commands for HAProxy's socket",
         .type = DIF_ENUM,
         .choices = "json ini haproxy",
         .offset = offsetof(struct self, format)},
	{.name = "backend",
         .def = "site",
         .help = "HAProxy's backend, whose servers are called as our destinations",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = offsetof(struct self, backend)},
	{.name = "side",
         .help = "folder for temporary files, on the same file system; without: .NAME.difusor "
                 "beside the file",
         .type = DIF_FILE_PATH,
         .offset = offsetof(struct self, side)},
};

static bool open_file(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	static const char *const nowhere[] = {NULL};
	const char *slash = strrchr(s->path, '/'); /* the path is absolute */
	if (slash == s->path || slash[1] == '\0' || strcmp(slash, "/.") == 0 ||
	    strcmp(slash, "/..") == 0) {
		o->refuse(o, "path '%s' must be a file in a folder of its own", s->path);
		return false;
	}
	if (!is_plain(s->backend)) {
		o->refuse(o, "backend '%s' is no name", s->backend);
		return false;
	}
	s->name = slash + 1;
	s->root = o->fmt(o, "%.*s", (int)(slash - s->path), s->path);
	if (s->side == NULL) {
		s->side = o->fmt(o, "%s/.%s.difusor", s->root, s->name);
	}
	c->size = sizeof *c;
	c->flags = DIF_CAP_WEIGHTS;
	c->hosts = nowhere;
	c->root = s->root;
	c->side = s->side;
	c->weight_max = WEIGHT_MAX;
	c->ttl_min_s = 1;
	c->ttl_max_s = TTL_MAX_S;
	c->targets_max = TARGETS_MAX;
	return true;
}

static const struct dif_steer steer = {
	.c = {.size = sizeof steer,
              .self_size = sizeof(struct self),
              .open = open_file,
              .probe = probe},
	.get = get,
	.set = set,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .name = "file",
         .what = "a file for a balancer of this machine",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &steer.c},
};

static const struct dif_plugin plugin = {
	DIF_PLUGIN_SIZES,
	.version = DIFUSOR_VERSION,
	.offers = offers,
	.noffers = DIF_LEN(offers),
};

const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR || h->size < sizeof *h) {
		return NULL;
	}
	host = h;
	return &plugin;
}
