/* bunny - the purge of a pull zone at bunny.net.
 *
 *   POST /purge?url=URL&async=false&exactPath=true    one address
 *   POST /purge?url=URL*&async=false                  all below it
 *   POST /pullzone/ZONE/purgeCache                    everything, or {"CacheTag":"TAG"}
 *
 * One item in one call, and without `async` the reply comes when it is done: every purge is
 * settled. Without `exactPath` an address that ends with '/' would be a prefix.
 *
 * The account has two budgets. Addresses: 120 saved up, 5 a second; prefixes: 20 saved up, one in
 * 2 s, which is left to 429, because one rate for both would starve the addresses.
 *
 * Source: docs.bunny.net, reference of purge and pull zones, purge limits as of 2025.
 */
#include <difusor/plugin.h>

#define URLS_PER_S 5.0
#define WORTH 100u /* changed addresses; behind them the budget is used up */
#define SETTLE_MS 3000u

static const struct dif_host *host;

struct self {
	const char *endpoint, *zone, *api_key;
	const char *base; /* made by open: endpoint without slashes at its end */
	const char *hosts[2];
};

static const struct dif_fault faults[] = {
	{.status = 404, .cls = DIF_PERMANENT}, /* the zone, or an address of no zone of ours */
	{.cls = DIF_OK},
};

/* {"ErrorKey":"pullzone.not_found","Field":"PullZone","Message":"The requested Pull Zone was not
 * found"} */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	*code = host->str(host->get(j, "ErrorKey"));
	*what = host->str(host->get(j, "Message"));
}

static void ask(struct dif_op *op, const char *method, const char *path, struct dif_bytes body,
                dif_step *next)
{
	const struct self *s = op->self;
	const struct dif_field fields[] = {
		{"accesskey", s->api_key},
		{"accept", "application/json"},
		{"content-type", "application/json"},
	};
	host->http(op,
	           &(struct dif_http){.method = method,
	                              .url = host->fmt(op, "%s%s", s->base, path),
	                              .fields = fields,
	                              .nfields = body.n > 0 ? 3 : 2,
	                              .body = &(struct dif_piece){.bytes = body},
	                              .npieces = body.n > 0 ? 1 : 0},
	           next);
}

static const char *encoded(struct dif_op *op, enum dif_enc how, const char *s)
{
	return host->enc(op, how, s, strlen(s));
}

static void on_purged(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

static void purge_address(struct dif_op *op, const char *url)
{
	const char *path = host->fmt(op, "/purge?url=%s&async=false&exactPath=true",
	                             encoded(op, DIF_QUERY, url));
	ask(op, "POST", path, (struct dif_bytes){"", 0}, on_purged);
}

static void purge_prefix(struct dif_op *op, const char *url)
{
	const char *path = host->fmt(op, "/purge?url=%s&async=false",
	                             encoded(op, DIF_QUERY, host->fmt(op, "%s*", url)));
	ask(op, "POST", path, (struct dif_bytes){"", 0}, on_purged);
}

/* tag NULL: everything. */
static void purge_zone(struct dif_op *op, const char *tag)
{
	const struct self *s = op->self;
	const char *body =
		tag != NULL ? host->fmt(op, "{\"CacheTag\":\"%s\"}", encoded(op, DIF_JSON, tag))
			    : "";
	ask(op, "POST", host->fmt(op, "/pullzone/%s/purgeCache", s->zone),
	    (struct dif_bytes){body, strlen(body)}, on_purged);
}

static void purge(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	switch ((enum dif_purge_scope)in->scope) {
	case DIF_PURGE_URLS:
		purge_address(op, in->urls[0]);
		break;
	case DIF_PURGE_PREFIXES:
		purge_prefix(op, in->urls[0]);
		break;
	case DIF_PURGE_TAGS:
		purge_zone(op, in->urls[0]);
		break;
	case DIF_PURGE_ALL:
		purge_zone(op, NULL);
		break;
	}
}

static void on_zone(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (strcmp(host->str(host->get(j, "Id")), s->zone) != 0) {
		host->refuse(op, r, "", "the reply is about another pull zone, or about none");
		return;
	}
	host->done(op, &(struct dif_result){0});
}

static void probe(struct dif_op *op)
{
	const struct self *s = op->self;
	ask(op, "GET", host->fmt(op, "/pullzone/%s", s->zone), (struct dif_bytes){"", 0}, on_zone);
}

static const struct dif_option options[] = {
	{.name = "zone",
         .help = "the pull zone's number, from the address of its page",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 20,
         .offset = offsetof(struct self, zone)},
	{.name = "api_key",
         .help = "the account's API key",
         .type = DIF_STRING,
         .flags = DIF_NEEDED | DIF_SECRET,
         .min = 1,
         .max = 256,
         .env = "BUNNY_API_KEY",
         .offset = offsetof(struct self, api_key)},
	{.name = "endpoint",
         .def = "https://api.bunny.net",
         .help = "another address of the API",
         .type = DIF_URL,
         .offset = offsetof(struct self, endpoint)},
};

static bool open_bunny(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	const char *scheme, *authority, *path;
	if (!o->url(o, s->endpoint, &scheme, &authority, &path)) {
		o->refuse(o, "endpoint '%s' is not an address; write https://HOST", s->endpoint);
		return false;
	}
	if (s->zone[strspn(s->zone, "0123456789")] != '\0') {
		o->refuse(
			o,
			"zone '%s' is no number; it stands in the address of the pull zone's page",
			s->zone);
		return false;
	}
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	s->base = o->fmt(o, "%s://%s%.*s", scheme, authority, (int)n, path);
	s->hosts[0] = authority;
	c->size = sizeof *c;
	c->hosts = s->hosts;
	c->purge_scopes = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) |
	                  DIF_HAS(DIF_PURGE_TAGS) | DIF_HAS(DIF_PURGE_ALL);
	c->purge_max = 1;
	c->purge_wide_max = 1;
	c->purge_worth = WORTH;
	c->purges_per_s = URLS_PER_S;
	c->purge_urls_per_s = URLS_PER_S;
	c->settle_ms = SETTLE_MS;
	return true;
}

static const struct dif_cdn cdn = {
	.c = {.size = sizeof cdn,
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_bunny,
              .probe = probe},
	.purge = purge,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "bunny",
         .what = "a pull zone at bunny.net",
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
