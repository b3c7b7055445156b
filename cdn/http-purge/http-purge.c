/* http-purge - caches of one's own that take a purge as a request: Varnish, nginx, Traffic Server.
 *
 *   PURGE /p/page.html                  Host: www.prep.example      one address (or BAN, or GET)
 *   GET   /purge/p/page.html            the same                    with a location of nginx
 *   BAN   /p/   x-purge-match: ^/p/     the same                    all below it; everything: ^/
 *   PURGE /     xkey: TAG               the same                    a tag
 *
 * The request goes to the node and names the site as its Host, so that the cache finds the object
 * under the key that readers made. Each node is asked by itself: it knows nothing of the others.
 * An object that was not cached is 404 or 412 with some of them, and as good as purged.
 *
 * Source: Varnish 7.1, nginx 1.22 with ngx_cache_purge 2.3, the users' guides of Varnish and
 * Traffic Server; docs/notes/http-purge.md has what they must be told.
 */
#include <difusor/plugin.h>

#define NODES_MAX 64u
#define FIELDS_MAX 6u
#define SETTLE_MS 100u
#define PROBE_PATH "/.difusor-probe"

static const struct dif_host *host;

struct node {
	const char *base; /* "https://cache1.example:8443" */
};

struct self {
	const char *servers, *method, *location, *site, *match_header, *tag_header, *header;
	uint32_t ban;
	/* made by open */
	struct node nodes[NODES_MAX];
	const char *hosts[NODES_MAX + 1];
	uint32_t nnodes;
	struct dif_field extra; /* name NULL: none */
};

/* What counts as an answer is judged before; elsewhere these two are no answers of a cache. */
static const struct dif_fault faults[] = {
	{.status = 404, .cls = DIF_PERMANENT},
	{.status = 412, .cls = DIF_PERMANENT},
	{.cls = DIF_OK},
};

struct probing {
	uint32_t node;
};

/* Which of the caches it is; what they say themselves is a page for people. */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct self *s = op->self;
	const struct probing *p = op->scratch;
	const struct dif_purge *in = op->in;
	const char *base = s->nodes[in != NULL ? in->node : p->node].base;
	bool is_refusal = r->status == 403 || r->status == 405 || r->status == 501;
	(void)code;
	*what = host->fmt(op, "cache %s%s", base,
	                  is_refusal ? " takes no purge from here; its VCL or location must "
	                               "allow this machine's address"
	                             : "");
}

/* --- a request --- */

struct call {
	const char *method, *url;
	struct dif_field fields[FIELDS_MAX];
	uint32_t nfields;
};

static void add_field(struct call *c, const char *name, const char *value)
{
	if (value != NULL && *value != '\0' && c->nfields < FIELDS_MAX) {
		c->fields[c->nfields++] = (struct dif_field){name, value};
	}
}

static void begin(struct dif_op *op, struct call *c, uint32_t node, const char *method,
                  const char *path)
{
	const struct self *s = op->self;
	*c = (struct call){.method = method};
	c->url = host->fmt(op, "%s%s", s->nodes[node].base, path);
	if (s->extra.name != NULL) {
		add_field(c, s->extra.name, s->extra.value);
	}
}

/* Whose object it is: host and scheme of the address that readers use; a key may hold both. */
static void name_site(struct dif_op *op, struct call *c, const char *url)
{
	const struct self *s = op->self;
	const char *from = url != NULL ? strstr(url, "://") : NULL;
	if (from == NULL) {
		add_field(c, "host", s->site);
		return;
	}
	size_t n = strcspn(from + 3, "/?#");
	add_field(c, "host", host->fmt(op, "%.*s", (int)n, from + 3));
	add_field(c, "x-forwarded-proto", host->fmt(op, "%.*s", (int)(from - url), url));
}

static void send(struct dif_op *op, const struct call *c, dif_step *next)
{
	host->http(op,
	           &(struct dif_http){.method = c->method,
	                              .url = c->url,
	                              .fields = c->fields,
	                              .nfields = c->nfields},
	           next);
}

/* An address as a pattern that matches it and nothing else. */
static const char *literal(struct dif_op *op, const char *path)
{
	struct dif_text *t = host->text(op);
	for (const char *p = path; *p != '\0'; p++) {
		host->add(t, strchr("\\^$.|?*+()[]{}", *p) != NULL ? "\\%c" : "%c", *p);
	}
	return host->end(t).p;
}

/* --- purge --- */

/* One address: also good where it was not cached. */
static bool is_gone(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	bool was_absent = r->status == 404 || r->status == 412;
	return (was_absent && strcmp(s->method, "BAN") != 0) || host->good(op, r);
}

static void on_address(struct dif_op *op, const struct dif_reply *r)
{
	if (is_gone(op, r)) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

static void on_wide(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

static void ask_address(struct dif_op *op, uint32_t node, const char *url, const char *path,
                        dif_step *next)
{
	const struct self *s = op->self;
	struct call c;
	begin(op, &c, node, s->method, host->fmt(op, "%s%s", s->location, path));
	name_site(op, &c, url);
	if (strcmp(s->method, "BAN") == 0) { /* with whatever query it was asked for */
		add_field(&c, s->match_header, host->fmt(op, "^%s(\\?.*)?$", literal(op, path)));
	}
	send(op, &c, next);
}

/* url NULL: everything. */
static void ask_ban(struct dif_op *op, uint32_t node, const char *url, const char *path)
{
	const struct self *s = op->self;
	struct call c;
	begin(op, &c, node, "BAN", path);
	name_site(op, &c, url);
	add_field(&c, s->match_header, host->fmt(op, "^%s", literal(op, path)));
	send(op, &c, on_wide);
}

static void ask_tag(struct dif_op *op, uint32_t node, const char *tag)
{
	const struct self *s = op->self;
	struct call c;
	begin(op, &c, node, "PURGE", "/");
	name_site(op, &c, NULL);
	add_field(&c, s->tag_header, tag);
	send(op, &c, on_wide);
}

static void purge(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	switch ((enum dif_purge_scope)in->scope) {
	case DIF_PURGE_URLS:
		ask_address(op, in->node, in->urls[0], in->paths[0], on_address);
		break;
	case DIF_PURGE_PREFIXES:
		ask_ban(op, in->node, in->urls[0], in->paths[0]);
		break;
	case DIF_PURGE_TAGS:
		ask_tag(op, in->node, in->urls[0]);
		break;
	case DIF_PURGE_ALL:
		ask_ban(op, in->node, NULL, "/");
		break;
	}
}

/* --- probe: an address that nobody has, at each node in turn --- */

static void on_probed(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	struct probing *p = op->scratch;
	if (!is_gone(op, r)) {
		return;
	}
	if (++p->node == s->nnodes) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	ask_address(op, p->node, NULL, PROBE_PATH, on_probed);
}

static void probe(struct dif_op *op)
{
	ask_address(op, 0, NULL, PROBE_PATH, on_probed);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "servers",
         .help = "the caches, each HOST[:PORT], or http://HOST[:PORT] with plain = yes; blanks "
                 "between",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 8192,
         .offset = offsetof(struct self, servers)},
	{.name = "method",
         .def = "PURGE",
         .help = "how an address is purged",
         .type = DIF_ENUM,
         .choices = "PURGE BAN GET",
         .offset = offsetof(struct self, method)},
	{.name = "location",
         .def = "",
         .help = "what stands before the path, /purge with a purge location of nginx",
         .type = DIF_STRING,
         .max = 256,
         .offset = offsetof(struct self, location)},
	{.name = "site",
         .help = "the host that readers ask for, where a purge names no address: tags, "
                 "everything, the probe; without it the node's own",
         .type = DIF_STRING,
         .min = 1,
         .max = 253,
         .offset = offsetof(struct self, site)},
	{.name = "ban",
         .def = "no",
         .help = "the caches take BAN with a pattern: prefixes can be purged, with site everything",
         .type = DIF_BOOL,
         .offset = offsetof(struct self, ban)},
	{.name = "match_header",
         .def = "x-purge-match",
         .help = "the header of BAN that holds the pattern of the path",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = offsetof(struct self, match_header)},
	{.name = "tag_header",
         .help = "the header of PURGE / that holds a tag, xkey with Varnish; without it tags "
                 "cannot be purged",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = offsetof(struct self, tag_header)},
	{.name = "header",
         .help = "one more header of each purge, NAME: VALUE; a token that the caches ask for",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 3,
         .max = 4096,
         .offset = offsetof(struct self, header)},
};

static bool is_header_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
	return n > 0 && s[n] == '\0';
}

static bool add_node(struct self *s, struct dif_opening *o, const char *text)
{
	const char *scheme, *authority, *path;
	const char *url = strstr(text, "://") != NULL ? text : o->fmt(o, "https://%s", text);
	if (!o->url(o, url, &scheme, &authority, &path) ||
	    (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0) ||
	    (*path != '\0' && strcmp(path, "/") != 0)) {
		o->refuse(o, "servers: '%s' is no cache; write HOST:PORT or http://HOST:PORT",
		          text);
		return false;
	}
	if (s->nnodes == NODES_MAX) {
		o->refuse(o, "servers names over %u caches; use a second [cdn] section", NODES_MAX);
		return false;
	}
	s->nodes[s->nnodes].base = o->fmt(o, "%s://%s", scheme, authority);
	s->hosts[s->nnodes++] = authority;
	return true;
}

static bool add_nodes(struct self *s, struct dif_opening *o)
{
	static const char between[] = " ,\t";
	const char *p = s->servers + strspn(s->servers, between);
	while (*p != '\0') {
		size_t n = strcspn(p, between);
		if (!add_node(s, o, o->fmt(o, "%.*s", (int)n, p))) {
			return false;
		}
		p += n;
		p += strspn(p, between);
	}
	if (s->nnodes == 0) {
		o->refuse(o, "servers names no cache; write HOST:PORT");
	}
	return s->nnodes > 0;
}

static bool take_header(struct self *s, struct dif_opening *o)
{
	if (s->header == NULL) {
		return true;
	}
	size_t n = strcspn(s->header, ":");
	s->extra.name = o->fmt(o, "%.*s", (int)n, s->header);
	const char *value = s->header + n + (s->header[n] == ':');
	s->extra.value = value + strspn(value, " ");
	if (!is_header_name(s->extra.name) || *s->extra.value == '\0') {
		o->refuse(o, "header is not of the form NAME: VALUE");
		return false;
	}
	return true;
}

static bool check(const struct self *s, struct dif_opening *o)
{
	if (!is_header_name(s->match_header) ||
	    (s->tag_header != NULL && !is_header_name(s->tag_header))) {
		o->refuse(o, "match_header or tag_header is no name of a header");
		return false;
	}
	size_t n = strlen(s->location);
	if (n > 0 && (s->location[0] != '/' || s->location[n - 1] == '/')) {
		o->refuse(o, "location '%s' must begin with a slash and not end with one",
		          s->location);
		return false;
	}
	return true;
}

static bool open_http_purge(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	if (!check(s, o) || !add_nodes(s, o) || !take_header(s, o)) {
		return false;
	}
	c->size = sizeof *c;
	c->hosts = s->hosts;
	c->purge_scopes = DIF_HAS(DIF_PURGE_URLS);
	if (s->ban != 0 || strcmp(s->method, "BAN") == 0) {
		c->purge_scopes |= DIF_HAS(DIF_PURGE_PREFIXES);
		/* without its host nobody could tell whose everything */
		c->purge_scopes |= s->site != NULL ? DIF_HAS(DIF_PURGE_ALL) : 0;
	}
	if (s->tag_header != NULL) {
		c->purge_scopes |= DIF_HAS(DIF_PURGE_TAGS);
	}
	c->purge_max = 1;
	c->purge_wide_max = 1;
	c->nodes = s->nnodes;
	c->settle_ms = SETTLE_MS;
	return true;
}

static const struct dif_cdn cdn = {
	.c = {.size = sizeof cdn,
              .self_size = sizeof(struct self),
              .scratch_size = sizeof(struct probing),
              .faults = faults,
              .explain = explain,
              .open = open_http_purge,
              .probe = probe},
	.purge = purge,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "http-purge",
         .what = "caches that take a purge as a request: Varnish, nginx, Traffic Server",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &cdn.c},
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
