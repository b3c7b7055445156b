/* fastly - the purge of a service at Fastly.
 *
 *   POST /purge/HOST/PATH           one address
 *   POST /service/ID/purge          surrogate keys, up to 256 in the field Surrogate-Key
 *   POST /service/ID/purge_all      everything
 *
 * Fastly-Soft-Purge: 1 marks as stale instead of removing; purge_all does not know it. A purge is
 * in effect everywhere within a second of the reply, and there is nothing to ask afterwards.
 *
 * What is too much is 429, and Fastly-RateLimit-Reset tells when there will be more: the op waits
 * for that, at most a minute, before it ends as throttled and the host slows down.
 *
 * Source: developer.fastly.com/reference/api/purging and /reference/api (rate limiting).
 */
#include <difusor/plugin.h>

#define KEYS_MAX 256u
#define KEYS_BYTES_MAX 8000u /* of the field; the whole head has its bound at every server */
#define WAIT_MAX_S 60
#define SETTLE_MS 500u
#define WORTH_URLS 1000u /* each is a request */

struct self {
	const char *endpoint, *service, *api_token;
	uint32_t soft;
	const char *hosts[2];
};

static const struct dif_host *host;

static const struct dif_fault faults[] = {
	{.status = 404, .cls = DIF_PERMANENT}, /* the service, not an address */
	{.cls = DIF_OK},
};

/* {"msg":"Record not found","detail":"Cannot load service"} */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	const char *msg = host->str(host->get(j, "msg"));
	const char *detail = host->str(host->get(j, "detail"));
	(void)code;
	*what = *detail == '\0' ? msg : host->fmt(op, "%s: %s", msg, detail);
}

/* --- what comes back --- */

/* Seconds until there is more, by a reply of 429; 0: it does not tell. */
static uint32_t reset_in(struct dif_op *op, const struct dif_reply *r)
{
	const char *s = host->field(r, "fastly-ratelimit-reset", 0);
	int64_t at = s != NULL ? host->undate(s) : -1; /* seconds since 1970 */
	int64_t left = at > 0 ? at - host->now(op) : 0;
	return left <= 0 ? 0 : left < WAIT_MAX_S ? (uint32_t)left : WAIT_MAX_S;
}

static void on_waited(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	host->fail(op, DIF_THROTTLED, "429", "the purges of this hour are used up");
}

/* True: the op has failed, or waits. */
static bool is_bad(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 429 && host->field(r, "retry-after", 0) == NULL) {
		uint32_t wait_s = reset_in(op, r);
		if (wait_s > 0) {
			host->pause(op, wait_s * 1000, on_waited);
			return true;
		}
	}
	return !host->good(op, r);
}

static void on_purged(struct dif_op *op, const struct dif_reply *r)
{
	if (is_bad(op, r)) {
		return;
	}
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	if (strcmp(host->str(host->get(j, "status")), "ok") != 0) {
		host->refuse(op, r, "", "the reply does not say that it is purged");
		return;
	}
	host->done(op, &(struct dif_result){.settled = 1});
}

/* {"KEY":"108-...",...}: a key without an id has not been purged. */
static void on_keys(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_purge *in = op->in;
	if (is_bad(op, r)) {
		return;
	}
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	for (uint32_t i = 0; i < in->n; i++) {
		if (*host->str(host->next(j, in->urls[i], NULL)) == '\0') {
			host->refuse(
				op, r, "",
				host->fmt(op, "the reply does not name key '%.100s'", in->urls[i]));
			return;
		}
	}
	host->done(op, &(struct dif_result){.settled = 1});
}

/* --- what is asked --- */

/* keys: the value of Surrogate-Key, or NULL. */
static void post(struct dif_op *op, const char *path, const char *keys, dif_step *next)
{
	const struct self *s = op->self;
	struct dif_field f[4] = {{"fastly-key", s->api_token}, {"accept", "application/json"}};
	uint32_t n = 2;
	if (s->soft != 0) {
		f[n++] = (struct dif_field){"fastly-soft-purge", "1"};
	}
	if (keys != NULL) {
		f[n++] = (struct dif_field){"surrogate-key", keys};
	}
	host->http(op,
	           &(struct dif_http){.method = "POST",
	                              .url = host->fmt(op, "%s%s", s->endpoint, path),
	                              .fields = f,
	                              .nfields = n},
	           next);
}

static void purge_keys(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	const struct self *s = op->self;
	struct dif_text *t = host->text(op);
	for (uint32_t i = 0; i < in->n; i++) {
		const char *key = in->urls[i];
		if (*key == '\0' || strpbrk(key, " \t,") != NULL) {
			host->fail(op, DIF_PERMANENT, "", "'%s' cannot be a surrogate key", key);
			return;
		}
		host->add(t, "%s%s", i > 0 ? " " : "", key);
	}
	post(op, host->fmt(op, "/service/%s/purge", s->service), host->end(t).p, on_keys);
}

/* One address: caps.purge_max is 1. It goes without its scheme. */
static void purge_url(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	const char *at = strstr(in->urls[0], "://");
	post(op, host->fmt(op, "/purge/%s", at != NULL ? at + 3 : in->urls[0]), NULL, on_purged);
}

static void purge(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	const struct self *s = op->self;
	if (in->scope == DIF_PURGE_ALL) {
		post(op, host->fmt(op, "/service/%s/purge_all", s->service), NULL, on_purged);
	} else if (in->scope == DIF_PURGE_TAGS) {
		purge_keys(op);
	} else {
		purge_url(op);
	}
}

/* A key that no object has: token, service and permission are proved, and nothing is forgotten. */
static void probe(struct dif_op *op)
{
	const struct self *s = op->self;
	post(op, host->fmt(op, "/service/%s/purge/difusor-probe", s->service), NULL, on_purged);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "service",
         .help = "the service's id",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         .offset = offsetof(struct self, service)},
	{.name = "api_token",
         .help = "an API token that may purge the service (purge_select, purge_all)",
         .type = DIF_STRING,
         .flags = DIF_SECRET | DIF_NEEDED,
         .min = 1,
         .max = 256,
         .env = "FASTLY_API_TOKEN FASTLY_API_KEY",
         .offset = offsetof(struct self, api_token)},
	{.name = "soft",
         .def = "no",
         .help = "yes: mark as stale, so that stale-while-revalidate serves once more what was",
         .type = DIF_BOOL,
         .offset = offsetof(struct self, soft)},
	{.name = "endpoint",
         .def = "https://api.fastly.com",
         .help = "where the API is",
         .type = DIF_URL,
         .offset = offsetof(struct self, endpoint)},
};

static bool is_made_of(const char *s, const char *characters)
{
	return strspn(s, characters) == strlen(s);
}

static bool open_fastly(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	struct self *s = instance;
	const char *scheme, *authority, *path;
	if (!o->url(o, s->endpoint, &scheme, &authority, &path) ||
	    (*path != '\0' && strcmp(path, "/") != 0)) {
		o->refuse(o, "endpoint '%s' must be https://HOST", s->endpoint);
		return false;
	}
	if (!is_made_of(s->service, letters) || !is_made_of(s->api_token, letters)) {
		o->refuse(o, "service or api_token has characters that none has; copy them anew");
		return false;
	}
	s->endpoint = o->fmt(o, "%s://%s", scheme, authority);
	s->hosts[0] = authority;
	c->size = sizeof *c;
	c->hosts = s->hosts;
	c->purge_scopes =
		DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_TAGS) | DIF_HAS(DIF_PURGE_ALL);
	c->purge_max = 1;
	c->purge_wide_max = KEYS_MAX;
	c->purge_bytes = KEYS_BYTES_MAX;
	c->purge_item_bytes = 1;
	c->purge_worth = WORTH_URLS;
	c->settle_ms = SETTLE_MS;
	return true;
}

static const struct dif_cdn cdn = {
	.c = {.size = sizeof cdn,
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_fastly,
              .probe = probe},
	.purge = purge,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "fastly",
         .what = "a service at Fastly",
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
