/* akamai - Fast Purge (CCU v3), signed as EdgeGrid wants it.
 *
 *   POST /ccu/v3/{invalidate|delete}/{url|tag|cpcode}/{production|staging} {"objects":[...]}
 *   201  {"httpStatus":201,"purgeId":"..","estimatedSeconds":5,...}
 *
 * The API has nothing that could be asked about a purge afterwards, only how long it will take. So
 * the ticket is that moment, "EPOCH PURGEID": purge_state compares it with the clock and asks
 * nobody.
 *
 * Everything of an instance is what its CP codes deliver; without them that scope is not offered.
 * Prefixes are not known to the API.
 *
 * An .edgerc is read at each login, so a rotated client needs no restart; but the host that is
 * spoken to comes from the section, so a changed file cannot send requests elsewhere.
 *
 * Source: techdocs.akamai.com/purge-cache (limits), edgegrid-python.
 */
#include "edgegrid.h"

#define BODY_MAX 50000u /* 413 beyond */
#define BODY_AROUND 14u /* {"objects":[]} */
#define ITEM_AROUND 3u  /* "", */
#define URLS_MAX 5000u
#define TAGS_MAX 500u /* a minute's worth */
#define CODES_MAX 1024
#define URLS_PER_S 200.0 /* 12,000 a minute, 10,000 saved up */
#define CALLS_PER_S 50.0
#define SETTLE_S 5u
#define SETTLE_MAX_S 3600u
#define CLOCK_WINDOW_S 30u
#define FILE_LIFE_S 3600

struct self {
	const char *edgerc, *section;
	const char *client_token, *client_secret, *access_token, *authority;
	const char *action, *network, *cp_codes;
	const char *hosts[2];
};

/* Parts of the credential. */
enum { CLIENT_TOKEN, CLIENT_SECRET, ACCESS_TOKEN, KEYS };

const struct dif_host *host;

static const struct dif_fault faults[] = {
	{.code = "Invalid timestamp", .cls = DIF_AUTH}, /* 400; the host looks at the clock */
	{.code = "unauthorized arl", .cls = DIF_PERMANENT},
	{.code = "unauthorized cpcode", .cls = DIF_PERMANENT},
	{.status = 404, .cls = DIF_PERMANENT},
	{.status = 507, .cls = DIF_THROTTLED}, /* the queue is full; older than 429 */
	{.cls = DIF_OK},
};

/* {"title":"Not authorized","detail":"Signature does not match",...}, as RFC 7807 has it. */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	const char *detail = host->str(host->get(j, "detail"));
	*code = host->str(host->get(j, "title"));
	*what = strcmp(*code, detail) == 0 ? "" : detail;
	if (strcasestr(detail, "invalid timestamp") != NULL) {
		*code = "Invalid timestamp";
	}
}

/* --- login --- */

static const char *const keys[KEYS] = {
	[CLIENT_TOKEN] = "client_token",
	[CLIENT_SECRET] = "client_secret",
	[ACCESS_TOKEN] = "access_token",
};

/* "https://HOST/" and "HOST" are the same in an .edgerc. */
static bool is_our_host(const struct self *s, const char *there)
{
	there += strncmp(there, "https://", 8) == 0 ? 8 : 0;
	size_t n = strcspn(there, "/");
	return n == strlen(s->authority) && strncasecmp(there, s->authority, n) == 0;
}

static void on_edgerc(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	struct dif_result res = {.cred.expires = host->now(op) + FILE_LIFE_S};
	const struct dif_node *file = host->parse(op, DIF_AS_INI, r->body);
	const struct dif_node *section = host->next(file, s->section, NULL);
	if (r->status == 404 || section == NULL) {
		host->fail(op, DIF_AUTH, "", "edgerc '%s' %s; see the options edgerc and section",
		           s->edgerc, r->status == 404 ? "is not there" : "has no such section");
		return;
	}
	for (uint32_t k = 0; k < KEYS; k++) {
		res.cred.part[k] = host->str(host->get(section, keys[k]));
		if (*res.cred.part[k] == '\0') {
			host->fail(op, DIF_AUTH, "", "section [%s] of edgerc '%s' has no %s",
			           s->section, s->edgerc, keys[k]);
			return;
		}
	}
	const char *there = host->str(host->get(section, "host"));
	if (*there != '\0' && !is_our_host(s, there)) {
		host->fail(op, DIF_AUTH, "",
		           "section [%s] of edgerc '%s' is for host '%s'; set host to it, or name "
		           "the right section",
		           s->section, s->edgerc, there);
		return;
	}
	host->done(op, &res);
}

static void login(struct dif_op *op)
{
	const struct self *s = op->self;
	if (s->edgerc != NULL) {
		host->read(op, s->edgerc, on_edgerc);
		return;
	}
	host->done(op, &(struct dif_result){.cred = {.part = {[CLIENT_TOKEN] = s->client_token,
	                                                      [CLIENT_SECRET] = s->client_secret,
	                                                      [ACCESS_TOKEN] = s->access_token},
	                                             .expires = INT64_MAX}});
}

/* --- asking --- */

static const char *nonce(struct dif_op *op)
{
	uint8_t b[16];
	host->random(op, b, sizeof b);
	const char *h = host->enc(op, DIF_HEX, b, sizeof b);
	return host->fmt(op, "%.8s-%.4s-%.4s-%.4s-%.12s", h, h + 8, h + 12, h + 16, h + 20);
}

static void post(struct dif_op *op, const char *kind, struct dif_bytes body, dif_step *next)
{
	const struct self *s = op->self;
	const struct edgegrid e = {
		.client_token = op->cred->part[CLIENT_TOKEN],
		.client_secret = op->cred->part[CLIENT_SECRET],
		.access_token = op->cred->part[ACCESS_TOKEN],
		.authority = s->authority,
		.timestamp = host->date(op, DIF_DATE_AKAMAI, host->now(op)),
		.nonce = nonce(op),
	};
	const char *path = host->fmt(op, "/ccu/v3/%s/%s/%s", s->action, kind, s->network);
	const struct dif_field fields[] = {
		{"authorization", edgegrid_sign(op, &e, "POST", path, body)},
		{"content-type", "application/json"},
	};
	host->http(op,
	           &(struct dif_http){.method = "POST",
	                              .url = host->fmt(op, "https://%s%s", s->authority, path),
	                              .fields = fields,
	                              .nfields = DIF_LEN(fields),
	                              .body = &(struct dif_piece){.bytes = body},
	                              .npieces = 1},
	           next);
}

/* Decimal, all of s, up to max. */
static bool number(const char *s, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;
	const char *p = s;
	for (; *p >= '0' && *p <= '9' && n <= max; p++) {
		n = n * 10 + (uint64_t)(*p - '0');
	}
	*out = n;
	return p > s && *p == '\0' && n <= max;
}

/* The purge that a reply tells. NULL: the op has failed. */
static const char *purge_of(struct dif_op *op, const struct dif_reply *r, uint64_t *seconds)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return NULL;
	}
	const char *id = host->str(host->get(j, "purgeId"));
	if (*id == '\0' || strcspn(id, " ") != strlen(id)) {
		host->refuse(op, r, "", "the reply names no purge");
		return NULL;
	}
	if (!number(host->str(host->get(j, "estimatedSeconds")), SETTLE_MAX_S, seconds)) {
		*seconds = SETTLE_S; /* it is done all the same */
	}
	return id;
}

static void on_purged(struct dif_op *op, const struct dif_reply *r)
{
	uint64_t seconds = 0;
	const char *id = purge_of(op, r, &seconds);
	if (id == NULL) {
		return;
	}
	long long due = host->now(op) + (int64_t)seconds;
	host->done(op, &(struct dif_result){.ticket = host->fmt(op, "%lld %s", due, id),
	                                    .wait_ms = (uint32_t)seconds * 1000});
}

static void purge_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	uint64_t due = 0;
	if (!number(host->fmt(op, "%.*s", (int)strcspn(in->id, " "), in->id), INT64_MAX / 10,
	            &due)) {
		host->fail(op, DIF_PERMANENT, "", "the ticket '%.64s' is none of ours", in->id);
		return;
	}
	int64_t left = (int64_t)due - host->now(op);
	if (left <= 0) {
		host->done(op, &(struct dif_result){.settled = 1});
		return;
	}
	left = left < SETTLE_MAX_S ? left : SETTLE_MAX_S; /* the clock has been set meanwhile */
	host->done(op, &(struct dif_result){.wait_ms = (uint32_t)left * 1000});
}

/* The CP codes of the option as items of a list. */
static void add_codes(struct dif_text *t, const char *codes)
{
	for (const char *p = codes; *p != '\0';) {
		size_t n = strcspn(p, " ");
		host->add(t, "%s%.*s", p > codes ? "," : "", (int)n, p);
		p += n + strspn(p + n, " ");
	}
}

static void purge(struct dif_op *op)
{
	const struct dif_purge *in = op->in;
	const struct self *s = op->self;
	struct dif_text *t = host->text(op);
	host->add(t, "{\"objects\":[");
	if (in->scope == DIF_PURGE_ALL) {
		add_codes(t, s->cp_codes);
	}
	for (uint32_t i = 0; in->scope != DIF_PURGE_ALL && i < in->n; i++) {
		const char *item = in->urls[i];
		host->add(t, "%s\"%s\"", i > 0 ? "," : "",
		          host->enc(op, DIF_JSON, item, strlen(item)));
	}
	host->add(t, "]}");
	struct dif_bytes body = host->end(t);
	if (body.n > BODY_MAX) {
		host->fail(op, DIF_PERMANENT, "",
		           "a purge may have %u bytes at most, this has %llu", BODY_MAX,
		           (unsigned long long)body.n);
		return;
	}
	post(op,
	     in->scope == DIF_PURGE_ALL    ? "cpcode"
	     : in->scope == DIF_PURGE_TAGS ? "tag"
	                                   : "url",
	     body, on_purged);
}

static void on_probed(struct dif_op *op, const struct dif_reply *r)
{
	uint64_t seconds = 0;
	if (purge_of(op, r, &seconds) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

/* A tag that no object has: the client and its permission are proved, and nothing is forgotten. */
static void probe(struct dif_op *op)
{
	static const char body[] = "{\"objects\":[\"difusor-probe\"]}";
	post(op, "tag", (struct dif_bytes){body, sizeof body - 1}, on_probed);
}

/* --- open --- */

#define KEY(member, told)                                                                         \
	{                                                                                         \
		.name = #member, .help = told, .type = DIF_STRING, .flags = DIF_SECRET, .min = 1, \
		.max = 256, .offset = offsetof(struct self, member)                               \
	}

static const struct dif_option options[] = {
	{.name = "host",
         .help = "the API client's host, akab-....purge.akamaiapis.net",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 253,
         .offset = offsetof(struct self, authority)},
	{.name = "edgerc",
         .help = "the API client's file, as Akamai's tools take it; instead of the three below",
         .type = DIF_FILE_PATH,
         .offset = offsetof(struct self, edgerc)},
	{.name = "section",
         .def = "default",
         .help = "section of edgerc",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = offsetof(struct self, section)},
	KEY(client_token, "client_token of the API client"),
	KEY(client_secret, "client_secret of the API client"),
	KEY(access_token, "access_token of the API client"),
	{.name = "action",
         .def = "invalidate",
         .help = "invalidate: the store is asked whether it has changed; delete: it is fetched "
                 "anew",
         .type = DIF_ENUM,
         .choices = "invalidate delete",
         .offset = offsetof(struct self, action)},
	{.name = "network",
         .def = "production",
         .help = "which network forgets",
         .type = DIF_ENUM,
         .choices = "production staging",
         .offset = offsetof(struct self, network)},
	{.name = "cp_codes",
         .help = "numbers of the CP codes that are this site, blanks between; without them "
                 "everything cannot be purged at once",
         .type = DIF_STRING,
         .min = 1,
         .max = CODES_MAX,
         .offset = offsetof(struct self, cp_codes)},
};

static bool is_plain(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s > '~' || *s == ';') {
			return false;
		}
	}
	return true;
}

static bool check(const struct self *s, struct dif_opening *o)
{
	bool all = s->client_token != NULL && s->client_secret != NULL && s->access_token != NULL;
	bool none = s->client_token == NULL && s->client_secret == NULL && s->access_token == NULL;
	if (s->edgerc != NULL ? !none : !all) {
		o->refuse(o, "give edgerc, or client_token, client_secret and access_token");
		return false;
	}
	if (all && !(is_plain(s->client_token) && is_plain(s->access_token))) {
		o->refuse(o, "client_token or access_token holds what none has; copy them anew");
		return false;
	}
	if (strspn(s->authority, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	                         ".-:[]") != strlen(s->authority)) {
		o->refuse(o, "host '%s' is no host name; write it without https://", s->authority);
		return false;
	}
	const char *codes = s->cp_codes != NULL ? s->cp_codes : "1";
	if (strspn(codes, "0123456789 ") != strlen(codes) || *codes == ' ' ||
	    codes[strlen(codes) - 1] == ' ') {
		o->refuse(o, "cp_codes '%s' must be numbers with blanks between", codes);
		return false;
	}
	return true;
}

static bool open_akamai(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	if (!check(s, o)) {
		return false;
	}
	s->hosts[0] = s->authority;
	c->size = sizeof *c;
	c->hosts = s->hosts;
	c->clock_window_s = CLOCK_WINDOW_S;
	c->purge_scopes = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_TAGS);
	if (s->cp_codes != NULL) {
		c->purge_scopes |= DIF_HAS(DIF_PURGE_ALL);
	}
	c->purge_max = URLS_MAX;
	c->purge_wide_max = TAGS_MAX;
	c->purge_bytes = BODY_MAX - BODY_AROUND;
	c->purge_item_bytes = ITEM_AROUND;
	c->purge_worth = URLS_MAX;
	c->purges_per_s = CALLS_PER_S;
	c->purge_urls_per_s = URLS_PER_S;
	c->settle_ms = SETTLE_S * 1000;
	return true;
}

static const struct dif_cdn cdn = {
	.c = {.size = sizeof cdn,
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = explain,
              .open = open_akamai,
              .probe = probe,
              .login = login},
	.purge = purge,
	.purge_state = purge_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "akamai",
         .what = "Akamai's Fast Purge",
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
