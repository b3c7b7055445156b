/* sample - a CDN plug-in, complete: an API that takes purges as JSON and is asked about them. Made
 * by tools/new-plugin; change what your provider does otherwise.
 *
 *   POST URL/purges      Idempotency-Key: IDEM
 *        {"urls": [...]}, {"prefixes": [...]}, {"tags": [...]} or {"everything": true}
 *        {"id": "ID"}
 *   GET  URL/purges/ID   {"state": "pending", "done" or "failed", "retry_ms": N}
 *
 * A failure's body is {"error": {"code", "message"}}. Who we are: Authorization: Bearer TOKEN.
 */
#include <difusor/plugin.h>

#define VERSION "0.1.0"

static const struct dif_host *host;

/* Constant after open. */
struct self {
	const char *url, *token;
	const char *base; /* made by open: url without slashes at its end */
	const char *hosts[2];
};

/* --- a request --- */

#define FIELDS_MAX 8

struct call {
	struct dif_field fields[FIELDS_MAX];
	struct dif_piece body;
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
	c->http.url = host->fmt(op, "%s%s", s->base, path);
	field(c, "authorization", host->fmt(op, "Bearer %s", s->token));
}

/* The one thing that a step asks for; next is called with the reply. body NULL: none. */
static void send(struct dif_op *op, struct call *c, const char *body, dif_step *next)
{
	if (body != NULL) {
		field(c, "content-type", "application/json");
		c->body.bytes = (struct dif_bytes){body, strlen(body)};
		c->http.body = &c->body;
		c->http.npieces = 1;
	}
	c->http.fields = c->fields;
	host->http(op, &c->http, next);
}

static const char *member(const struct dif_node *j, const char *name)
{
	return host->str(host->get(j, name));
}

/* --- purge: taken at once, asked about later --- */

static void on_taken(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return; /* the op has failed: by status, or because it is no JSON */
	}
	if (*member(j, "id") == '\0') {
		host->refuse(op, r, "", "the reply names no purge");
		return;
	}
	host->done(op, &(struct dif_result){.ticket = member(j, "id")});
}

static const char *body_of(struct dif_op *op, const struct dif_purge *in)
{
	static const char *const names[] = {[DIF_PURGE_URLS] = "urls",
	                                    [DIF_PURGE_PREFIXES] = "prefixes",
	                                    [DIF_PURGE_TAGS] = "tags"};
	if (in->scope == DIF_PURGE_ALL) {
		return "{\"everything\":true}";
	}
	struct dif_text *t = host->text(op);
	host->add(t, "{\"%s\":[", names[in->scope]);
	for (uint32_t i = 0; i < in->n; i++) {
		host->add(t, "%s\"%s\"", i > 0 ? "," : "", enc(op, DIF_JSON, in->urls[i]));
	}
	host->add(t, "]}");
	return host->end(t).p;
}

static void purge(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	struct call c;
	begin(op, &c, "POST", "/purges");
	field(&c, "idempotency-key", in->idem); /* a repeat is no second purge */
	send(op, &c, body_of(op, in), on_taken);
}

static void on_state(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	const char *state = member(j, "state");
	if (strcmp(state, "failed") == 0) {
		host->fail(op, DIF_TRANSIENT, "", "the purge has failed"); /* it is made anew */
	} else if (strcmp(state, "done") == 0) {
		host->done(op, &(struct dif_result){.settled = 1});
	} else if (strcmp(state, "pending") == 0) {
		const struct dif_node *wait = host->get(j, "retry_ms");
		host->done(op,
		           &(struct dif_result){
				   .wait_ms = wait != NULL ? (uint32_t)host->num(op, wait, 600000)
		                                           : 0});
	} else {
		host->refuse(op, r, "", "the reply tells no state of the purge");
	}
}

static void purge_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	struct call c;
	begin(op, &c, "GET", host->fmt(op, "/purges/%s", enc(op, DIF_QUERY, in->id)));
	send(op, &c, NULL, on_state);
}

/* --- what failures mean: code before status; what no row says, the host decides by status --- */

static const struct dif_fault faults[] = {
	{0, "SlowDown", DIF_THROTTLED},
	{429, "TooManyPurges", DIF_THROTTLED},
	{0, NULL, DIF_OK},
};

static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	if (r->body.n > 0) {
		const struct dif_node *e =
			host->get(host->parse(op, DIF_AS_JSON, r->body), "error");
		*code = member(e, "code");
		*what = member(e, "message");
	}
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	struct call c;
	begin(op, &c, "GET", "/");
	send(op, &c, NULL, on_probe);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "url",
         .help = "the address of the API",
         .type = DIF_URL,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, url)},
	{.name = "token",
         .help = "sent as Authorization: Bearer",
         .type = DIF_STRING,
         .flags = DIF_SECRET | DIF_NEEDED,
         .min = 1,
         .max = 4096,
         .env = "SAMPLE_TOKEN",
         .offset = offsetof(struct self, token)},
};

static bool open_instance(void *self, struct dif_opening *o, struct dif_caps *caps)
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
	caps->purge_scopes = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) |
	                     DIF_HAS(DIF_PURGE_TAGS) | DIF_HAS(DIF_PURGE_ALL);
	caps->purge_max = 100;
	caps->purge_wide_max = 10;
	caps->purge_bytes = 65536;
	caps->purge_item_bytes = 16; /* quotes, comma, and its share of what is around them */
	caps->settle_ms = 5000;
	return true;
}

/* --- descriptor --- */

static const struct dif_cdn verbs = {
	.c = {.size = sizeof(struct dif_cdn),
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_instance,
              .probe = probe},
	.purge = purge,
	.purge_state = purge_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "sample",
         .what = "a CDN that takes purges as JSON",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &verbs.c},
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
