/* sample - a store plug-in, complete: a server that keeps objects by PUT, GET, HEAD and DELETE, and
 * lists them as JSON. Made by tools/new-plugin; change what your provider does otherwise.
 *
 *   PUT    URL/KEY   If-None-Match: * or If-Match: TAG, X-Meta-NAME: VALUE, X-Sha256: HEX
 *   HEAD   URL/KEY   ETag, Content-Length, Content-Type, X-Meta-NAME
 *   GET    URL/KEY   the same, Range
 *   DELETE URL/KEY   If-Match
 *   GET    URL/?prefix=P&after=CURSOR&max=N
 *          {"objects": [{"key", "etag", "size", "modified", "meta": {}}], "next": "CURSOR"}
 *
 * A failure's body is {"error": {"code", "message"}}. Who we are: Authorization: Bearer TOKEN.
 */
#include <difusor/plugin.h>

#define VERSION "0.1.0"
#define FIELDS_MAX 24
#define ROWS_MAX 1000
#define PAGE_MAX (8u << 20) /* the host's ceiling of a reply */

static const struct dif_host *host;

/* Constant after open. */
struct self {
	const char *url, *token;
	const char *base; /* made by open: url without slashes at its end */
	const char *hosts[2];
};

/* --- a request --- */

struct call {
	struct dif_field fields[FIELDS_MAX];
	struct dif_http http;
};

static void field(struct call *c, const char *name, const char *value)
{
	if (value != NULL && *value != '\0' && c->http.nfields < FIELDS_MAX) {
		c->fields[c->http.nfields++] = (struct dif_field){name, value};
	}
}

static const char *enc(struct dif_op *op, enum dif_enc how, const char *s)
{
	return host->enc(op, how, s, strlen(s));
}

static void begin(struct dif_op *op, struct call *c, const char *method, const char *path)
{
	const struct self *s = op->self;
	*c = (struct call){.http = {.method = method}};
	c->http.url = host->fmt(op, "%s/%s", s->base, path);
	if (s->token != NULL) {
		field(c, "authorization", host->fmt(op, "Bearer %s", s->token));
	}
}

/* The one thing that a step asks for; next is called with the reply. */
static void send(struct dif_op *op, struct call *c, dif_step *next)
{
	c->http.fields = c->fields;
	host->http(op, &c->http, next);
}

/* The number that s is; UINT64_MAX: it is none. */
static uint64_t number(const char *s)
{
	uint64_t n = 0;
	if (s == NULL || *s < '0' || *s > '9') {
		return UINT64_MAX;
	}
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (INT64_MAX - 9) / 10) {
			return UINT64_MAX;
		}
		n = n * 10 + (uint64_t)(*s - '0');
	}
	return *s == '\0' ? n : UINT64_MAX;
}

static const char *unless_empty(const char *s)
{
	return s != NULL && *s != '\0' ? s : NULL;
}

/* --- list: one page, believed only as a whole --- */

static bool add_row(struct dif_op *op, const struct dif_node *row)
{
	const struct dif_list *in = op->in;
	int64_t when = host->undate(host->str(host->get(row, "modified")));
	struct dif_object o = {.key = host->str(host->get(row, "key")),
	                       .tag = host->str(host->get(row, "etag")),
	                       .modified = when > 0 ? when : 0,
	                       .meta_known = 1};
	if (*o.key == '\0' || *o.tag == '\0' ||
	    strncmp(o.key, in->prefix, strlen(in->prefix)) != 0) {
		return false;
	}
	o.size = host->num(op, host->get(row, "size"), INT64_MAX);
	o.nmeta = host->fields_of(op, host->get(row, "meta"), &o.meta);
	host->object(op, &o);
	return true;
}

static void on_page(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *page = host->tree(op, r, DIF_AS_JSON, NULL);
	if (page == NULL) {
		return; /* the op has failed: by status, or because it is no JSON */
	}
	const struct dif_node *rows = host->get(page, "objects");
	if (rows == NULL) {
		host->refuse(op, r, "", "the page has no objects");
		return;
	}
	for (const struct dif_node *row = host->next(rows, "", NULL); row != NULL;
	     row = host->next(rows, "", row)) {
		if (!add_row(op, row)) {
			host->refuse(op, r, "", "a row of the page is none of the asked prefix");
			return;
		}
	}
	host->done(op, &(struct dif_result){
			       .cursor = unless_empty(host->str(host->get(page, "next")))});
}

static void ask_page(struct dif_op *op, const struct dif_list *in, uint32_t max, dif_step *next)
{
	struct call c;
	const char *after = in->cursor == NULL
	                            ? ""
	                            : host->fmt(op, "&after=%s", enc(op, DIF_QUERY, in->cursor));
	begin(op, &c, "GET",
	      host->fmt(op, "?prefix=%s%s&max=%u", enc(op, DIF_QUERY, in->prefix), after, max));
	c.http.reply_max = PAGE_MAX;
	send(op, &c, next);
}

static void list(struct dif_op *op)
{
	const struct dif_list *in = op->in;
	ask_page(op, in, in->max > 0 && in->max < ROWS_MAX ? in->max : ROWS_MAX, on_page);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->tree(op, r, DIF_AS_JSON, NULL) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	ask_page(op, &(struct dif_list){.prefix = ""}, 1, on_probe);
}

/* --- head and get share their input and their step --- */

static uint64_t size_of(const struct dif_reply *r)
{
	const char *range = host->field(r, "content-range", 0);
	const char *slash = range != NULL ? strchr(range, '/') : NULL;
	if (r->status == 206) {
		return slash != NULL ? number(slash + 1) : UINT64_MAX;
	}
	return number(host->field(r, "content-length", 0));
}

static void on_object(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	struct dif_result res = {.object = {.key = in->key, .meta_known = 1}};
	struct dif_object *o = &res.object;
	if (r->status == 304 && in->unless_tag != NULL) {
		res.not_modified = 1;
		o->tag = in->unless_tag;
		host->done(op, &res);
		return;
	}
	if (!host->good(op, r)) {
		return;
	}
	if (in->sink != NULL && r->body.n > 0) { /* it did not go into the sink */
		host->refuse(op, r, "", "the reply is not the asked part of the object");
		return;
	}
	o->tag = host->field(r, "etag", 0);
	o->size = size_of(r);
	if (unless_empty(o->tag) == NULL || o->size == UINT64_MAX) {
		host->refuse(op, r, "", "the reply tells no ETag or no length");
		return;
	}
	o->type = host->field(r, "content-type", 0);
	o->encoding = host->field(r, "content-encoding", 0);
	o->cache = host->field(r, "cache-control", 0);
	o->nmeta = host->metas(op, r, "x-meta-", &o->meta);
	res.total = o->size;
	host->done(op, &res);
}

static void ask_object(struct dif_op *op, const char *method)
{
	const struct dif_get *in = op->in;
	unsigned long long from = in->offset, to = in->offset + in->length - 1;
	struct call c;
	begin(op, &c, method, enc(op, DIF_PATH, in->key));
	field(&c, "if-match", in->if_tag);
	field(&c, "if-none-match", in->unless_tag);
	if (in->length > 0) {
		field(&c, "range", host->fmt(op, "bytes=%llu-%llu", from, to));
	} else if (in->offset > 0) {
		field(&c, "range", host->fmt(op, "bytes=%llu-", from));
	}
	c.http.sink = in->sink;
	c.http.sink_offset = in->offset;
	c.http.sink_tag = in->if_tag;
	send(op, &c, on_object);
}

static void head(struct dif_op *op)
{
	ask_object(op, "HEAD");
}

static void get(struct dif_op *op)
{
	ask_object(op, "GET");
}

/* --- put: one request, judged by the server as a whole --- */

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_put *in = op->in;
	if (!host->good(op, r)) {
		return;
	}
	const char *tag = host->field(r, "etag", 0);
	if (unless_empty(tag) == NULL) {
		host->refuse(op, r, "", "the reply tells no ETag");
		return;
	}
	host->done(op, &(struct dif_result){
			       .object = {.key = in->key, .tag = tag, .size = in->blob->size}});
}

static void put(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	const struct dif_bytes *sha256 = &in->blob->digest[DIF_SHA256];
	const struct dif_piece body = {.blob = in->blob, .length = in->blob->size};
	struct call c;
	if ((in->blob->has & DIF_HAS(DIF_SHA256)) == 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "the SHA-256 that guards the upload is not known");
		return;
	}
	begin(op, &c, "PUT", enc(op, DIF_PATH, in->key));
	field(&c, "if-match", in->if_tag);
	field(&c, "if-none-match", in->if_absent ? "*" : NULL);
	field(&c, "content-type", in->type);
	field(&c, "content-encoding", in->encoding);
	field(&c, "cache-control", in->cache);
	field(&c, "x-sha256", host->enc(op, DIF_HEX, sha256->p, sha256->n));
	for (uint32_t i = 0; i < in->nmeta; i++) {
		field(&c, host->fmt(op, "x-meta-%s", in->meta[i].name), in->meta[i].value);
	}
	c.http.body = &body;
	c.http.npieces = 1;
	send(op, &c, on_put);
}

/* --- remove: one key (caps.delete_max) --- */

static void on_removed(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404 || host->good(op, r)) { /* what is not there is gone */
		host->item(op, &(struct dif_item){.cls = DIF_OK});
		host->done(op, &(struct dif_result){0});
	}
}

static void remove_one(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	struct call c;
	begin(op, &c, "DELETE", enc(op, DIF_PATH, in->keys[0]));
	field(&c, "if-match", in->tags != NULL ? in->tags[0] : NULL);
	send(op, &c, on_removed);
}

/* --- what failures mean: code before status; what no row says, the host decides by status --- */

static const struct dif_fault faults[] = {
	{400, "BadDigest", DIF_INTEGRITY},
	{0, "SlowDown", DIF_THROTTLED},
	{0, NULL, DIF_OK},
};

static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	if (r->body.n > 0) {
		const struct dif_node *e =
			host->get(host->parse(op, DIF_AS_JSON, r->body), "error");
		*code = host->str(host->get(e, "code"));
		*what = host->str(host->get(e, "message"));
	}
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "url",
         .help = "the address below which the objects lie",
         .type = DIF_URL,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, url)},
	{.name = "token",
         .help = "sent as Authorization: Bearer",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 1,
         .max = 4096,
         .env = "SAMPLE_TOKEN",
         .offset = offsetof(struct self, token)},
};

static bool open_store(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct self *s = self;
	const char *scheme, *authority, *path;
	if (!o->url(o, s->url, &scheme, &authority, &path)) {
		o->refuse(o, "url '%s' is not an address: write https://HOST/PATH", s->url);
		return false;
	}
	size_t n = strlen(s->url);
	while (n > 0 && s->url[n - 1] == '/') {
		n--;
	}
	s->base = o->fmt(o, "%.*s", (int)n, s->url);
	s->hosts[0] = authority;
	caps->hosts = s->hosts; /* nothing else may be spoken to */
	caps->flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE | DIF_CAP_LIST_META | DIF_CAP_HEADERS;
	caps->put_max = 5ull << 30;
	caps->delete_max = 1;
	caps->list_max = ROWS_MAX;
	caps->key_max = 1024;
	caps->meta_max = 2048;
	caps->digests[0] = DIF_SHA256;
	return true;
}

/* --- descriptor --- */

static const struct dif_store store = {
	.c = {.size = sizeof(struct dif_store),
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_store,
              .probe = probe},
	.list = list,
	.head = head,
	.get = get,
	.put = put,
	.remove = remove_one,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STORE,
         .flags = DIF_OFFER_HTTP,
         .name = "sample",
         .what = "a server that keeps objects by PUT, GET and DELETE",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &store.c},
};

static const struct dif_plugin plugin = {
	DIF_PLUGIN_SIZES,
	.version = VERSION,
	.offers = offers,
	.noffers = DIF_LEN(offers),
};

/* `log` was the last service of ABI 1.0, and nothing later is used. */
const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR ||
	    h->size < offsetof(struct dif_host, log) + sizeof h->log) {
		return NULL;
	}
	host = h;
	return &plugin;
}
