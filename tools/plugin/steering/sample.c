/* sample - a steering plug-in, complete: an API that keeps the targets of a name as JSON. Made by
 * tools/new-plugin; change what your provider does otherwise.
 *
 *   GET URL/records/NAME/TYPE   ETag, {"ttl": N, "targets": [{"name", "value", "weight"}]}, or 404
 *   PUT URL/records/NAME/TYPE   If-Match: TAG or If-None-Match: *, Idempotency-Key: IDEM, same body
 *       {"change": "ID"}
 *   GET URL/changes/ID          {"state": "pending", "done" or "failed"}
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

/* --- get --- */

#define WEIGHT_MAX 100u

static bool add_target(struct dif_op *op, const struct dif_node *row)
{
	const char *value = member(row, "value"), *name = member(row, "name");
	if (*value == '\0') {
		return false;
	}
	uint64_t weight = host->num(op, host->get(row, "weight"), WEIGHT_MAX);
	host->target(op, &(struct dif_target){.name = *name != '\0' ? name : value,
	                                      .value = value,
	                                      .weight = (uint32_t)weight});
	return true;
}

static void on_record(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404) { /* an answer: nothing stands there */
		host->done(op, &(struct dif_result){0});
		return;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return; /* the op has failed: by status, or because it is no JSON */
	}
	const struct dif_node *rows = host->get(j, "targets");
	const char *tag = host->field(r, "etag", 0);
	if (rows == NULL || tag == NULL) {
		host->refuse(op, r, "", "the reply tells no targets or no ETag");
		return;
	}
	for (const struct dif_node *row = host->next(rows, "", NULL); row != NULL;
	     row = host->next(rows, "", row)) {
		if (!add_target(op, row)) {
			host->refuse(op, r, "", "a target has no value");
			return;
		}
	}
	uint32_t ttl = (uint32_t)host->num(op, host->get(j, "ttl"), UINT32_MAX);
	host->done(op, &(struct dif_result){.tag = tag, .ttl_s = ttl});
}

static const char *place(struct dif_op *op, const struct dif_route *in)
{
	return host->fmt(op, "/records/%s/%s", enc(op, DIF_QUERY, in->name), in->type);
}

static void get(struct dif_op *op)
{
	struct call c;
	begin(op, &c, "GET", place(op, op->in));
	send(op, &c, NULL, on_record);
}

/* --- set: all targets at once, under the condition; asked about later --- */

static void on_set(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (*member(j, "change") == '\0') {
		host->refuse(op, r, "", "the reply names no change");
		return;
	}
	host->done(op, &(struct dif_result){.ticket = member(j, "change")});
}

static void set(struct dif_op *op)
{
	const struct dif_route *in = op->in;
	struct dif_text *t = host->text(op);
	struct call c;
	host->add(t, "{\"ttl\":%u,\"targets\":[", in->ttl_s);
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *to = &in->targets[i];
		host->add(t, "%s{\"name\":\"%s\",\"value\":\"%s\",\"weight\":%u}", i > 0 ? "," : "",
		          enc(op, DIF_JSON, to->name), enc(op, DIF_JSON, to->value), to->weight);
	}
	host->add(t, "]}");
	begin(op, &c, "PUT", place(op, in));
	field(&c, "if-match", in->if_tag);
	field(&c, "if-none-match", in->if_tag == NULL ? "*" : NULL);
	field(&c, "idempotency-key", in->idem);
	send(op, &c, host->end(t).p, on_set);
}

static void on_state(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	const char *state = member(j, "state");
	if (strcmp(state, "failed") == 0) {
		host->fail(op, DIF_TRANSIENT, "", "the change has failed"); /* it is made anew */
	} else if (strcmp(state, "done") == 0 || strcmp(state, "pending") == 0) {
		host->done(op, &(struct dif_result){.settled = *state == 'd'});
	} else {
		host->refuse(op, r, "", "the reply tells no state of the change");
	}
}

static void set_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	struct call c;
	begin(op, &c, "GET", host->fmt(op, "/changes/%s", enc(op, DIF_QUERY, in->id)));
	send(op, &c, NULL, on_state);
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
	caps->flags = DIF_CAP_WEIGHTS;
	caps->weight_max = WEIGHT_MAX;
	caps->ttl_min_s = 5;
	caps->ttl_max_s = 86400;
	caps->targets_max = 100;
	return true;
}

/* --- descriptor --- */

static const struct dif_steer verbs = {
	.c = {.size = sizeof(struct dif_steer),
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_instance,
              .probe = probe},
	.get = get,
	.set = set,
	.set_state = set_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .flags = DIF_OFFER_HTTP,
         .name = "sample",
         .what = "an API that keeps where names lead",
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

/* `log` was the last service of ABI 1.0; target came later. */
const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR ||
	    h->size < offsetof(struct dif_host, target) + sizeof h->target) {
		return NULL;
	}
	host = h;
	return &plugin;
}
