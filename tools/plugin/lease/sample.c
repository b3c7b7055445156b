/* sample - a lease plug-in, complete: an API that knows who does the work. Made by
 * tools/new-plugin, to be changed where your provider does otherwise.
 *
 *   POST   URL/leases/NAME         {"owner", "ttl"}: 200 {"lease", "fence", "ttl"}, or 409 with the
 *                                  same and "holder"
 *   PUT    URL/leases/NAME/LEASE   {"ttl"}: 200 {"ttl"}, 404: it is over
 *   DELETE URL/leases/NAME/LEASE   204, or 404: it is over
 *   GET    URL/leases/NAME         {"holder", "fence"}, or 404: nobody
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

/* --- acquire --- */

#define TTL_MAX 86400u

static const char *place(struct dif_op *op, const char *lease)
{
	const struct dif_lease_call *in = op->in;
	const char *name = enc(op, DIF_QUERY, in->name);
	return lease == NULL ? host->fmt(op, "/leases/%s", name)
	                     : host->fmt(op, "/leases/%s/%s", name, enc(op, DIF_QUERY, lease));
}

/* 0: it is none, and the op has failed. */
static uint64_t fence_of(struct dif_op *op, const struct dif_reply *r, const struct dif_node *j)
{
	uint64_t fence = host->num(op, host->get(j, "fence"), INT64_MAX);
	if (fence == 0) {
		host->refuse(op, r, "", "the reply tells no fence");
	}
	return fence;
}

static void on_acquired(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_lease_call *in = op->in;
	const struct dif_node *j = r->status == 409 ? host->parse(op, DIF_AS_JSON, r->body)
	                                            : host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL && r->status != 409) {
		return; /* the op has failed: by status, or because it is no JSON */
	}
	const char *holder = member(j, "holder");
	bool is_held = r->status == 409 && strcmp(holder, in->owner) != 0;
	if ((is_held && *holder == '\0') || (!is_held && *member(j, "lease") == '\0')) {
		host->refuse(op, r, "", "the reply tells neither a lease nor who has it");
		return;
	}
	if (is_held) {
		host->done(op, &(struct dif_result){.holder = holder});
		return;
	}
	uint64_t fence =
		fence_of(op, r, j); /* an earlier reply may have been lost: then it is 409 */
	if (fence > 0) {
		uint32_t ttl = (uint32_t)host->num(op, host->get(j, "ttl"), TTL_MAX);
		host->done(op, &(struct dif_result){
				       .lease = member(j, "lease"), .fence = fence, .ttl_s = ttl});
	}
}

static void acquire(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	struct call c;
	begin(op, &c, "POST", place(op, NULL));
	send(op, &c,
	     host->fmt(op, "{\"owner\":\"%s\",\"ttl\":%u}", enc(op, DIF_JSON, in->owner),
	               in->ttl_s),
	     on_acquired);
}

/* --- renew, release --- */

static void on_renewed(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL); /* 404 is NOT_FOUND */
	if (j == NULL) {
		return;
	}
	uint32_t ttl = (uint32_t)host->num(op, host->get(j, "ttl"), TTL_MAX);
	if (ttl == 0) {
		host->refuse(op, r, "", "the reply does not tell how long the lease lasts");
		return;
	}
	host->done(op, &(struct dif_result){.ttl_s = ttl});
}

static void renew(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	struct call c;
	begin(op, &c, "PUT", place(op, in->lease));
	send(op, &c, host->fmt(op, "{\"ttl\":%u}", in->ttl_s), on_renewed);
}

static void on_released(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404 || host->good(op, r)) { /* what is over is released */
		host->done(op, &(struct dif_result){0});
	}
}

static void release(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	struct call c;
	begin(op, &c, "DELETE", place(op, in->lease));
	send(op, &c, NULL, on_released);
}

/* --- read --- */

static void on_read(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (*member(j, "holder") == '\0') {
		host->refuse(op, r, "", "the reply tells no holder");
		return;
	}
	uint64_t fence = fence_of(op, r, j);
	if (fence > 0) {
		host->done(op, &(struct dif_result){.holder = member(j, "holder"), .fence = fence});
	}
}

static void read_holder(struct dif_op *op)
{
	struct call c;
	begin(op, &c, "GET", place(op, NULL));
	send(op, &c, NULL, on_read);
}

/* --- what failures mean: code before status; what no row says, the host decides by status --- */

static const struct dif_fault faults[] = {
	{0, "SlowDown", DIF_THROTTLED},
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
	return true;
}

/* --- descriptor --- */

static const struct dif_leaser verbs = {
	.c = {.size = sizeof(struct dif_leaser),
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_instance,
              .probe = probe},
	.acquire = acquire,
	.renew = renew,
	.release = release,
	.read = read_holder,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_LEASE,
         .flags = DIF_OFFER_HTTP,
         .name = "sample",
         .what = "an API that knows who does the work",
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
