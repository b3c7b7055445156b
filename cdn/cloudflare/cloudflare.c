/* cloudflare - the purge of a zone at Cloudflare.
 *
 *   POST /client/v4/zones/ZONE/purge_cache
 *        {"files":[...]} | {"tags":[...]} | {"prefixes":[...]} | {"purge_everything":true}
 *
 * One kind in one call. A purge is in effect within seconds of the reply, and there is nothing to
 * ask afterwards: it is settled. A reply of 200 that does not say success is a failure.
 *
 * The account has two budgets. URLs are counted by themselves, hundreds a second. Tags, prefixes
 * and everything are counted in calls: on the free plan five a minute with 25 saved up, which is
 * left to 429 and its Retry-After, because one rate for both would starve the URLs.
 *
 * Source: developers.cloudflare.com/cache/how-to/purge-cache, limits as of 2025; the number of URLs
 * in one call is 30 in older pages, 100 in newer ones, 500 for Enterprise, and so an option.
 */
#include "cloudflare/cloudflare.h"

#define WIDE_MAX 100u      /* tags or prefixes in one call */
#define SEPARATORS_MAX 31u /* of a prefix */
#define SETTLE_MS 2000u
#define WORTH_CALLS 20u /* more calls than these are worth a wider purge: 4 s of the Pro plan */

struct self {
	struct cloudflare_self api;
	const char *zone, *plan;
	int64_t batch;
};

const struct dif_host *host;

const struct cloudflare_self *cloudflare_of(const struct dif_op *op)
{
	return &((const struct self *)op->self)->api;
}

static const struct plan {
	const char *name;
	double purges_per_s, urls_per_s;
} plans[] = {
	{"free", 5, 800},
	{"pro", 5, 1500},
	{"business", 10, 1500},
	{"enterprise", 50, 3000},
};

static const struct dif_fault faults[] = {
	CLOUDFLARE_FAULTS,
	{.status = 404, .cls = DIF_PERMANENT}, /* the zone, not a URL */
	{.cls = DIF_OK},
};

static void on_purged(struct dif_op *op, const struct dif_reply *r)
{
	if (cloudflare_good(op, r) != NULL) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

static void ask(struct dif_op *op, struct dif_bytes body)
{
	const struct self *s = op->self;
	cloudflare_send(op, "POST", host->fmt(op, "/zones/%s/purge_cache", s->zone), body,
	                on_purged);
}

/* A prefix goes without its scheme. NULL: the op has failed. */
static const char *prefix_of(struct dif_op *op, const char *url)
{
	const char *at = strstr(url, "://");
	const char *prefix = at != NULL ? at + 3 : url;
	uint32_t separators = 0;
	for (const char *p = prefix; *p != '\0'; p++) {
		separators += *p == '/';
	}
	if (separators <= SEPARATORS_MAX) {
		return prefix;
	}
	host->fail(op, DIF_PERMANENT, "", "a prefix may have %u slashes at most, '%s' has %u",
	           SEPARATORS_MAX, url, separators);
	return NULL;
}

static void purge(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	struct dif_text *t = host->text(op);
	if (in->scope == DIF_PURGE_ALL) {
		host->add(t, "{\"purge_everything\":true}");
		ask(op, host->end(t));
		return;
	}
	const char *kind = in->scope == DIF_PURGE_URLS   ? "files"
	                   : in->scope == DIF_PURGE_TAGS ? "tags"
	                                                 : "prefixes";
	host->add(t, "{\"%s\":[", kind);
	for (uint32_t i = 0; i < in->n; i++) {
		const char *item = in->urls[i];
		if (in->scope == DIF_PURGE_PREFIXES) {
			item = prefix_of(op, item);
		}
		if (item == NULL) {
			return;
		}
		host->add(t, "%s\"%s\"", i > 0 ? "," : "", cloudflare_json(op, item));
	}
	host->add(t, "]}");
	ask(op, host->end(t));
}

/* A tag that no object has: token, zone and permission are proved, and nothing is forgotten. */
static void probe(struct dif_op *op)
{
	static const char body[] = "{\"tags\":[\"difusor-probe\"]}";
	ask(op, (struct dif_bytes){body, sizeof body - 1});
}

static const struct dif_option options[] = {
	CLOUDFLARE_OPTIONS(struct self, api),
	{.name = "zone",
         .help = "the zone's id, from its overview page",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, zone)},
	{.name = "plan",
         .def = "free",
         .help = "the zone's plan: how much may be purged how fast",
         .type = DIF_ENUM,
         .choices = "free pro business enterprise",
         .offset = offsetof(struct self, plan)},
	{.name = "batch",
         .def = "30",
         .help = "URLs in one call; 100 where the account takes them, 500 with Enterprise",
         .type = DIF_INT,
         .min = 1,
         .max = 500,
         .offset = offsetof(struct self, batch)},
};

static bool open_cloudflare(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	const struct plan *plan = plans;
	if (!cloudflare_open(&s->api, o) || !cloudflare_check_id(s->zone, "zone", o)) {
		return false;
	}
	while (strcmp(plan->name, s->plan) != 0) {
		plan++; /* one of the choices */
	}
	uint32_t batch = (uint32_t)s->batch;
	c->size = sizeof *c;
	c->hosts = s->api.hosts;
	c->purge_scopes = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) |
	                  DIF_HAS(DIF_PURGE_TAGS) | DIF_HAS(DIF_PURGE_ALL);
	c->purge_max = batch;
	c->purge_wide_max = batch < WIDE_MAX ? batch : WIDE_MAX;
	c->purge_worth = batch * WORTH_CALLS;
	c->purges_per_s = plan->purges_per_s;
	c->purge_urls_per_s = plan->urls_per_s;
	c->settle_ms = SETTLE_MS;
	return true;
}

static const struct dif_cdn cdn = {
	.c = {.size = sizeof cdn,
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = cloudflare_explain,
              .open = open_cloudflare,
              .probe = probe},
	.purge = purge,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "cloudflare",
         .what = "a zone at Cloudflare",
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
