/* cloudflare-dns - the records of a name in a zone at Cloudflare.
 *
 *   get  GET  /zones/ZONE/dns_records?name=..
 *   set  the same, then what differs in one batch: POST /zones/ZONE/dns_records/batch
 *        {"deletes":[..],"patches":[..],"posts":[..]}, which is one transaction
 *
 * Ours are the records whose comment is the owner, or begins with it and a blank; behind it stands
 * the destination's name. Others are told and never touched: one that would have to go fails the
 * set. A record of ours that becomes another is patched, so that the name never leads nowhere.
 *
 * There are no conditions. The tag is a digest of all records of the name; set reads before it
 * writes, and changes by id: a record that is gone meanwhile (81044), or one that is there already
 * (81053 to 81058), fails the whole batch.
 *
 * No weights: several A or AAAA records are equal, a CNAME is one. A proxied record has no TTL of
 * its own; resolvers keep it for 300 s, and readers do not notice a change of it, because it is the
 * proxy that follows.
 *
 * Source: developers.cloudflare.com/api/resources/dns/subresources/records.
 */
#include "cloudflare/cloudflare.h"

#define RECORDS_MAX 100u /* of a page */
#define TARGETS_MAX 32u
#define AUTOMATIC_TTL_S 1u
#define PROXIED_TTL_S 300u
#define TTL_MAX_S 86400u
#define ABSENT "absent"

struct self {
	struct cloudflare_self api;
	const char *zone, *owner, *type;
	uint32_t proxied;
	int64_t least_ttl;
};

struct record {
	const char *id, *type, *content, *comment, *ttl;
	bool is_proxied, is_ours, is_settled; /* settled: it stays, or its change is in the batch */
};

struct records {
	struct record all[RECORDS_MAX];
	uint32_t n;
};

const struct dif_host *host;

const struct cloudflare_self *cloudflare_of(const struct dif_op *op)
{
	return &((const struct self *)op->self)->api;
}

static const struct dif_fault faults[] = {
	CLOUDFLARE_FAULTS,
	{.code = "81044", .cls = DIF_CONFLICT}, /* the record is gone */
	{.code = "81053", .cls = DIF_CONFLICT}, /* A, AAAA or CNAME is there already */
	{.code = "81054", .cls = DIF_CONFLICT}, /* CNAME is there already */
	{.code = "81057", .cls = DIF_CONFLICT}, /* the same record is there already */
	{.code = "81058", .cls = DIF_CONFLICT},
	{.status = 404, .cls = DIF_PERMANENT},
	{.cls = DIF_OK},
};

/* --- reading --- */

static bool is_true(const struct dif_node *n)
{
	return strcmp(host->str(n), "true") == 0;
}

/* The target's name in a comment of ours; "" where it has none, NULL: it is not ours. */
static const char *name_in(const struct self *s, const char *comment)
{
	size_t n = strlen(s->owner);
	if (strncmp(comment, s->owner, n) != 0 || (comment[n] != '\0' && comment[n] != ' ')) {
		return NULL;
	}
	return comment + n + (comment[n] == ' ');
}

static bool leads_somewhere(const char *type)
{
	return strcmp(type, "A") == 0 || strcmp(type, "AAAA") == 0 || strcmp(type, "CNAME") == 0;
}

static void put_in_order(struct records *to)
{
	for (uint32_t i = 1; i < to->n; i++) {
		struct record r = to->all[i];
		uint32_t k = i;
		for (; k > 0 && strcmp(to->all[k - 1].id, r.id) > 0; k--) {
			to->all[k] = to->all[k - 1];
		}
		to->all[k] = r;
	}
}

/* The addresses and aliases of the name, by id. NULL: the op has failed. */
static struct records *read_records(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	const struct dif_node *j = cloudflare_good(op, r), *list = host->get(j, "result");
	struct records *to = host->alloc(op, sizeof *to);
	if (j == NULL) {
		return NULL;
	}
	if (to == NULL || list == NULL || host->get(j, "result_info.total_count") == NULL) {
		host->refuse(op, r, "", "the reply holds no list of records");
		return NULL;
	}
	uint32_t told = 0;
	for (const struct dif_node *n = NULL; (n = host->next(list, "", n)) != NULL; told++) {
		const char *comment = host->str(host->get(n, "comment"));
		const struct record record = {
			.id = host->str(host->get(n, "id")),
			.type = host->str(host->get(n, "type")),
			.content = host->str(host->get(n, "content")),
			.comment = comment,
			.ttl = host->str(host->get(n, "ttl")),
			.is_proxied = is_true(host->get(n, "proxied")),
			.is_ours = name_in(s, comment) != NULL,
		};
		if (strcasecmp(host->str(host->get(n, "name")), in->name) == 0 &&
		    leads_somewhere(record.type) && *record.id != '\0' && to->n < RECORDS_MAX) {
			to->all[to->n++] = record;
		}
	}
	if (host->num(op, host->get(j, "result_info.total_count"), UINT32_MAX) != told) {
		host->fail(op, DIF_PERMANENT, "", "the name has more than %u records", RECORDS_MAX);
		return NULL;
	}
	put_in_order(to);
	return to;
}

static void ask_for_records(struct dif_op *op, dif_step *next)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	cloudflare_send(op, "GET",
	                host->fmt(op, "/zones/%s/dns_records?name=%s&per_page=%u", s->zone,
	                          host->enc(op, DIF_QUERY, in->name, strlen(in->name)),
	                          RECORDS_MAX),
	                (struct dif_bytes){"", 0}, next);
}

/* A digest of all that stands there. */
static const char *tag_of(struct dif_op *op, const struct records *from)
{
	struct dif_text *t = host->text(op);
	for (uint32_t i = 0; i < from->n; i++) {
		const struct record *r = &from->all[i];
		host->add(t, "%s|%s|%s|%s|%d|%s\n", r->id, r->type, r->content, r->ttl,
		          r->is_proxied, r->comment);
	}
	struct dif_bytes h = host->hash(op, DIF_SHA256, host->end(t));
	return from->n > 0 ? host->enc(op, DIF_HEX, h.p, h.n) : ABSENT;
}

/* --- get --- */

/* How long resolvers keep the record. */
static uint32_t ttl_told(const struct record *r)
{
	uint32_t ttl_s = 0;
	for (const char *p = r->ttl; *p >= '0' && *p <= '9' && ttl_s < TTL_MAX_S; p++) {
		ttl_s = ttl_s * 10 + (uint32_t)(*p - '0');
	}
	return r->is_proxied || ttl_s == AUTOMATIC_TTL_S ? PROXIED_TTL_S : ttl_s;
}

static void on_got(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	const struct records *there = read_records(op, r);
	uint32_t ttl_s = 0;
	for (uint32_t i = 0; there != NULL && i < there->n; i++) {
		const struct record *one = &there->all[i];
		const char *name = one->is_ours ? name_in(s, one->comment) : "";
		if (strcmp(one->type, in->type) != 0) {
			continue;
		}
		host->target(op, &(struct dif_target){.name = *name != '\0' ? name : one->content,
		                                      .value = one->content,
		                                      .weight = 1});
		ttl_s = ttl_told(one);
	}
	if (there != NULL) {
		host->done(op, &(struct dif_result){.tag = tag_of(op, there), .ttl_s = ttl_s});
	}
}

static void get(struct dif_op *op)
{
	ask_for_records(op, on_got);
}

/* --- set --- */

static const char *comment_of(struct dif_op *op, const struct dif_target *t)
{
	const struct self *s = op->self;
	return strcasecmp(t->name, t->value) == 0 ? s->owner
	                                          : host->fmt(op, "%s %s", s->owner, t->name);
}

static const char *ttl_of(struct dif_op *op)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	return host->fmt(op, "%u", s->proxied != 0 ? AUTOMATIC_TTL_S : in->ttl_s);
}

/* What a record is to be, without id and name. */
static const char *wanted(struct dif_op *op, const struct dif_target *t)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	return host->fmt(op,
	                 "\"type\":\"%s\",\"content\":\"%s\",\"ttl\":%s,\"proxied\":%s,"
	                 "\"comment\":\"%s\"",
	                 in->type, cloudflare_json(op, t->value), ttl_of(op),
	                 s->proxied != 0 ? "true" : "false",
	                 cloudflare_json(op, comment_of(op, t)));
}

/* The record that holds the target, or one of ours that may become it; NULL: neither. */
static struct record *place_for(struct records *there, const struct dif_route *in,
                                const struct dif_target *t)
{
	struct record *may = NULL;
	for (uint32_t i = 0; i < there->n; i++) {
		struct record *r = &there->all[i];
		if (r->is_settled || strcmp(r->type, in->type) != 0) {
			continue;
		}
		if (strcasecmp(r->content, t->value) == 0) {
			return r;
		}
	}
	for (uint32_t i = 0; i < there->n && may == NULL; i++) {
		struct record *r = &there->all[i];
		bool is_wanted = false; /* by another target */
		for (uint32_t k = 0; k < in->n && !is_wanted; k++) {
			is_wanted = strcasecmp(r->content, in->targets[k].value) == 0;
		}
		if (r->is_ours && !r->is_settled && !is_wanted && strcmp(r->type, in->type) == 0) {
			may = r;
		}
	}
	return may;
}

struct batch {
	struct dif_text *deletes, *patches, *posts;
	uint32_t ndeletes, npatches, nposts;
};

/* Puts what one target needs into the batch. */
static void add_target(struct dif_op *op, struct records *there, const struct dif_target *t,
                       struct batch *b)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	struct record *r = place_for(there, in, t);
	if (r == NULL) {
		host->add(b->posts, "%s{\"name\":\"%s\",%s}", b->nposts++ > 0 ? "," : "",
		          cloudflare_json(op, in->name), wanted(op, t));
		return;
	}
	r->is_settled = true;
	bool is_right = strcasecmp(r->content, t->value) == 0 &&
	                r->is_proxied == (s->proxied != 0) && strcmp(r->ttl, ttl_of(op)) == 0 &&
	                strcmp(r->comment, comment_of(op, t)) == 0;
	if (r->is_ours && !is_right) {
		host->add(b->patches, "%s{\"id\":\"%s\",%s}", b->npatches++ > 0 ? "," : "",
		          cloudflare_json(op, r->id), wanted(op, t));
	}
}

/* What is left goes. False: it is not ours, and the op has failed. */
static bool add_deletes(struct dif_op *op, const struct records *there, struct batch *b)
{
	const struct self *s = op->self;
	for (uint32_t i = 0; i < there->n; i++) {
		const struct record *r = &there->all[i];
		if (!r->is_settled && !r->is_ours) {
			host->fail(op, DIF_PERMANENT, "",
			           "its %s record '%s' is not ours to remove; give it the comment "
			           "'%s', or remove it",
			           r->type, r->content, s->owner);
			return false;
		}
		if (!r->is_settled) {
			host->add(b->deletes, "%s{\"id\":\"%s\"}", b->ndeletes++ > 0 ? "," : "",
			          cloudflare_json(op, r->id));
		}
	}
	return true;
}

static void on_set(struct dif_op *op, const struct dif_reply *r)
{
	if (cloudflare_good(op, r) != NULL) {
		host->done(op, &(struct dif_result){.settled = 1});
	}
}

static void on_read(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	const struct dif_route *in = op->in;
	struct records *there = read_records(op, r);
	struct batch b = {host->text(op), host->text(op), host->text(op), 0, 0, 0};
	if (there == NULL) {
		return;
	}
	if (in->if_tag != NULL && strcmp(in->if_tag, tag_of(op, there)) != 0) {
		host->fail(op, DIF_CONFLICT, "", "the records have changed meanwhile");
		return;
	}
	for (uint32_t i = 0; i < in->n; i++) {
		add_target(op, there, &in->targets[i], &b);
	}
	if (!add_deletes(op, there, &b)) {
		return;
	}
	if (b.ndeletes + b.npatches + b.nposts == 0) {
		host->done(op, &(struct dif_result){.settled = 1});
		return;
	}
	const char *body =
		host->fmt(op, "{\"deletes\":[%s],\"patches\":[%s],\"posts\":[%s]}",
	                  (const char *)host->end(b.deletes).p,
	                  (const char *)host->end(b.patches).p, (const char *)host->end(b.posts).p);
	cloudflare_send(op, "POST", host->fmt(op, "/zones/%s/dns_records/batch", s->zone),
	                (struct dif_bytes){body, strlen(body)}, on_set);
}

static void set(struct dif_op *op)
{
	const struct dif_route *in = op->in;
	uint32_t max = strcmp(in->type, "CNAME") == 0 ? 1 : TARGETS_MAX;
	if (!leads_somewhere(in->type) || in->n > max) {
		host->fail(op, DIF_PERMANENT, "", "%u %s records cannot be set, %u at most", in->n,
		           in->type, max);
		return;
	}
	ask_for_records(op, on_read);
}

/* --- probe, open --- */

static void on_probed(struct dif_op *op, const struct dif_reply *r)
{
	if (cloudflare_good(op, r) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	const struct self *s = op->self;
	cloudflare_send(op, "GET", host->fmt(op, "/zones/%s/dns_records?per_page=5", s->zone),
	                (struct dif_bytes){"", 0}, on_probed);
}

static const struct dif_option options[] = {
	CLOUDFLARE_OPTIONS(struct self, api),
	{.name = "zone",
         .help = "the zone's id, from its overview page",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, zone)},
	{.name = "owner",
         .def = "difusor",
         .help = "the comment that marks records as ours; others are never touched",
         .type = DIF_STRING,
         .min = 1,
         .max = 40,
         .offset = offsetof(struct self, owner)},
	{.name = "proxied",
         .def = "no",
         .help = "yes: readers go through Cloudflare; no: the record itself is what they get",
         .type = DIF_BOOL,
         .offset = offsetof(struct self, proxied)},
	{.name = "least_ttl",
         .def = "60s",
         .help = "the shortest TTL that the zone's plan takes; 30s with Enterprise",
         .type = DIF_DURATION,
         .min = 1000,
         .max = 3600000,
         .offset = offsetof(struct self, least_ttl)},
	{.name = "type",
         .def = "CNAME",
         .help = "the section's own: a CNAME leads to one target, A and AAAA to several",
         .type = DIF_ENUM,
         .choices = "A AAAA CNAME",
         .offset = offsetof(struct self, type)},
};

static bool open_dns(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	if (!cloudflare_open(&s->api, o) || !cloudflare_check_id(s->zone, "zone", o)) {
		return false;
	}
	if (strchr(s->owner, ' ') != NULL) {
		o->refuse(o, "owner '%s' must be one word", s->owner);
		return false;
	}
	c->size = sizeof *c;
	c->hosts = s->api.hosts;
	c->targets_max = strcmp(s->type, "CNAME") == 0 ? 1 : TARGETS_MAX;
	c->ttl_min_s = s->proxied != 0 ? PROXIED_TTL_S : (uint32_t)(s->least_ttl / 1000);
	c->ttl_max_s = s->proxied != 0 ? PROXIED_TTL_S : TTL_MAX_S;
	return true;
}

static const struct dif_steer steer = {
	.c = {.size = sizeof steer,
              .self_size = sizeof(struct self),
              .faults = faults,
              .explain = cloudflare_explain,
              .open = open_dns,
              .probe = probe},
	.get = get,
	.set = set,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .flags = DIF_OFFER_HTTP,
         .name = "cloudflare-dns",
         .what = "records at Cloudflare",
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
