/* route53 - weighted records in a hosted zone of Amazon Route 53, API 2013-04-01.
 *
 *   get        GET /2013-04-01/hostedzone/ZONE/rrset?name=&type=
 *   set        the same, then POST .../rrset/ with one batch, done as a whole or not at all
 *   set_state  GET /2013-04-01/change/ID, until it is INSYNC
 *
 * Each target is a record of its own with the same name and type; its SetIdentifier is
 * OWNER-TARGET. Records with other identifiers are told, as foreign:IDENTIFIER because one of them
 * may be called like a target, and left alone.
 *
 * Route 53 has no conditions. The tag is a hash of what was read; set reads again and compares, so
 * a change that falls between that and the batch is not seen, unless it is to a record that the
 * batch deletes, which must be named exactly as it stands. Facts and decisions:
 * docs/notes/route53.md.
 */
#include "aws/login.h"
#include "route/route.h"

#define API "/2013-04-01"
#define XMLNS "https://route53.amazonaws.com/doc/2013-04-01/"
#define RECORDS_MAX 100 /* of one name and type, the vendor's bound */
#define PAGE_ROWS "200" /* more than that, so that one page has them all */
#define WEIGHT_MAX 255
#define TTL_MAX 2147483647
#define RATE_PER_S 2 /* of the account's 5, which others share */
#define POLL_MS 5000
#define FOREIGN "foreign:"

/* Constant after open. */
struct route53 {
	const char *hosted_zone, *owner, *endpoint, *region;
	struct aws_login login;
	/* made by open */
	struct aws_endpoint at;
	const char *prefix; /* of our identifiers, "difusor-" */
	const char *hosts[1 + AWS_LOGIN_HOSTS + 1];
};

struct record {
	const struct dif_node *node;
	const char *id; /* SetIdentifier, "": a simple record */
	const char *value;
	uint32_t weight, ttl, values; /* values: how many; an alias has one */
	bool weighted, alias, wanted;
};

struct records {
	struct record all[RECORDS_MAX];
	uint32_t n;
	const char *tag;
};

#define AT(member) offsetof(struct route53, member)
static const struct dif_option options[] = {
	{.name = "hosted_zone",
         .help = "the zone's id, such as Z1D633PJN98FT9",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         .offset = AT(hosted_zone)},
	{.name = "owner",
         .def = "difusor",
         .help = "records whose identifier begins with this and '-' are ours; all others are left "
                 "alone",
         .type = DIF_STRING,
         .min = 1,
         .max = 60,
         .offset = AT(owner)},
	{.name = "endpoint",
         .def = "https://route53.amazonaws.com",
         .help = "the service's address; in China another one",
         .type = DIF_URL,
         .max = 1024,
         .env = "AWS_ENDPOINT_URL_ROUTE_53",
         .offset = AT(endpoint)},
	{.name = "region",
         .def = "us-east-1",
         .help = "region that requests are signed for; in China cn-northwest-1",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = AT(region)},
	AWS_LOGIN_OPTIONS(struct route53, login),
};

static const struct dif_fault faults[] = {
	AWS_FAULTS,
	{0, "PriorRequestNotComplete", DIF_THROTTLED},
	{0, "Changed", DIF_CONFLICT}, /* by explain */
	{0, "InvalidChangeBatch", DIF_PERMANENT},
	{0, "NoSuchHostedZone", DIF_PERMANENT},
	{0, NULL, DIF_OK}, /* 404 NoSuchChange: not found */
};

/* A batch that cannot be done has a form of its own, or that of all other errors. One that deletes
 * what does not stand there so was made from what has changed since. */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct route53 *s = op->self;
	(void)aws_explain(op, r, code, what);
	const struct dif_node *batch =
		r->body.n == 0
			? NULL
			: host->get(host->parse(op, DIF_AS_XML, r->body), "InvalidChangeBatch");
	if (batch != NULL) {
		const char *says = host->str(host->get(batch, "Messages.Message"));
		*code = "InvalidChangeBatch";
		*what = *says != '\0' ? says : host->str(host->get(batch, "Message"));
	}
	if (*code == NULL || *what == NULL) {
		return;
	}
	if (strcmp(*code, "InvalidChangeBatch") == 0 && strstr(*what, "Tried to delete") != NULL) {
		*code = "Changed";
	} else if (strcmp(*code, "NoSuchHostedZone") == 0) {
		*what = host->fmt(op, "there is no hosted zone '%s' in this account",
		                  s->hosted_zone);
	}
}

/* --- calls --- */

const struct aws_login *aws_login_of(const struct dif_op *op)
{
	const struct route53 *s = op->self;
	return &s->login;
}

static struct aws_call call(struct dif_op *op, const char *method, const char *path)
{
	const struct route53 *s = op->self;
	return (struct aws_call){.method = method,
	                         .scheme = s->at.scheme,
	                         .host = s->at.host,
	                         .path = host->fmt(op, "%s" API "%s", s->at.path, path)};
}

static void send(struct dif_op *op, struct aws_call *c, dif_step *next)
{
	const struct route53 *s = op->self;
	struct aws_signer who = aws_signer(op, s->region, "route53");
	aws_send(op, &who, c, next);
}

static void ask_records(struct dif_op *op, dif_step *next)
{
	const struct route53 *s = op->self;
	const struct dif_route *in = op->in;
	struct aws_call c = call(op, "GET", host->fmt(op, "/hostedzone/%s/rrset", s->hosted_zone));
	c.query = host->fmt(op, "maxitems=" PAGE_ROWS "&name=%s&type=%s", aws_query(op, in->name),
	                    aws_query(op, in->type));
	send(op, &c, next);
}

/* --- what stands there --- */

static bool is_ours(const struct dif_op *op, const struct record *r)
{
	const struct route53 *s = op->self;
	return strncmp(r->id, s->prefix, strlen(s->prefix)) == 0;
}

static void read_record(struct dif_op *op, const struct dif_node *n, struct record *to)
{
	const struct dif_node *weight = host->get(n, "Weight"), *ttl = host->get(n, "TTL");
	const struct dif_node *values = host->get(n, "ResourceRecords"), *v = NULL;
	const char *alias = host->str(host->get(n, "AliasTarget.DNSName"));
	*to = (struct record){.node = n,
	                      .id = host->str(host->get(n, "SetIdentifier")),
	                      .value = alias,
	                      .alias = *alias != '\0',
	                      .weighted = weight != NULL};
	to->weight = weight != NULL ? (uint32_t)host->num(op, weight, WEIGHT_MAX) : 1;
	to->ttl = ttl != NULL ? (uint32_t)host->num(op, ttl, TTL_MAX) : 0;
	while ((v = host->next(values, "ResourceRecord", v)) != NULL) {
		to->value = to->values == 0 ? host->str(host->get(v, "Value")) : to->value;
		to->values++;
	}
}

static bool is_asked(const struct dif_op *op, const char *name, const char *type)
{
	const struct dif_route *in = op->in;
	return route_same(name, in->name) && strcmp(type, in->type) == 0;
}

/* Everything that a deletion or a decision depends on. */
static void add_state(struct dif_text *t, const struct record *r)
{
	const struct dif_node *values = host->get(r->node, "ResourceRecords"), *v = NULL;
	host->add(t, "%s\n%u\n%u\n%s\n%s\n", r->id, r->weight, r->ttl, r->alias ? r->value : "",
	          host->str(host->get(r->node, "HealthCheckId")));
	while ((v = host->next(values, "ResourceRecord", v)) != NULL) {
		host->add(t, "%s\n", host->str(host->get(v, "Value")));
	}
}

/* The records of the asked name and type; NULL: the op has failed. */
static struct records *take(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *page =
		host->tree(op, r, DIF_AS_XML, "ListResourceRecordSetsResponse");
	if (page == NULL) {
		return NULL;
	}
	const struct dif_node *sets = host->get(page, "ResourceRecordSets"), *n = NULL;
	const char *more = host->str(host->get(page, "IsTruncated"));
	if (sets == NULL || (strcmp(more, "true") != 0 && strcmp(more, "false") != 0)) {
		host->refuse(op, r, "", "the answer is no list of records");
		return NULL;
	}
	struct records *all = host->alloc(op, sizeof *all);
	struct dif_text *state = host->text(op);
	bool too_many = is_asked(op, host->str(host->get(page, "NextRecordName")),
	                         host->str(host->get(page, "NextRecordType")));
	while (all != NULL && (n = host->next(sets, "ResourceRecordSet", n)) != NULL) {
		if (!is_asked(op, host->str(host->get(n, "Name")),
		              host->str(host->get(n, "Type")))) {
			continue; /* the list goes on with what comes behind */
		}
		if (all->n == RECORDS_MAX) {
			too_many = true;
			break;
		}
		read_record(op, n, &all->all[all->n]);
		add_state(state, &all->all[all->n]);
		all->n++;
	}
	if (too_many) {
		host->fail(op, DIF_PERMANENT, "", "there are more than %d records of this name",
		           RECORDS_MAX);
		return NULL;
	}
	if (all != NULL) {
		all->tag = route_tag(op, host->end(state));
	}
	return all;
}

/* A simple record has no name but its value. */
static const char *name_of(struct dif_op *op, const struct record *r, const char *value)
{
	const struct route53 *s = op->self;
	if (is_ours(op, r)) {
		return r->id + strlen(s->prefix);
	}
	return *r->id != '\0' ? host->fmt(op, FOREIGN "%s", r->id) : value;
}

/* The TTL is that of our records, which a set can change. */
static void on_get(struct dif_op *op, const struct dif_reply *r)
{
	struct records *all = take(op, r);
	uint32_t ttl = 0;
	if (all == NULL) {
		return;
	}
	for (uint32_t i = 0; i < all->n; i++) {
		const struct record *one = &all->all[i];
		const char *value = route_bare(op, one->value);
		host->target(op, &(struct dif_target){.name = name_of(op, one, value),
		                                      .value = value,
		                                      .weight = one->weight});
		ttl = is_ours(op, one) && one->ttl > ttl ? one->ttl : ttl;
	}
	host->done(op, &(struct dif_result){.tag = all->tag, .ttl_s = ttl});
}

static void get(struct dif_op *op)
{
	ask_records(op, on_get);
}

/* --- set --- */

static const char *xml(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_XML, s, strlen(s));
}

static void begin_change(struct dif_op *op, struct dif_text *t, const char *action, const char *id,
                         uint32_t weight)
{
	const struct dif_route *in = op->in;
	host->add(t,
	          "<Change><Action>%s</Action><ResourceRecordSet><Name>%s.</Name><Type>%s</Type>"
	          "<SetIdentifier>%s</SetIdentifier><Weight>%u</Weight>",
	          action, xml(op, in->name), xml(op, in->type), xml(op, id), weight);
}

static void end_change(struct dif_op *op, struct dif_text *t, const struct record *old)
{
	const char *check = old != NULL ? host->str(host->get(old->node, "HealthCheckId")) : "";
	if (*check != '\0') {
		host->add(t, "<HealthCheckId>%s</HealthCheckId>", xml(op, check));
	}
	host->add(t, "</ResourceRecordSet></Change>");
}

/* A health check that somebody has given to the record stays. */
static void add_upsert(struct dif_op *op, struct dif_text *t, const char *id,
                       const struct dif_target *to, const struct record *old)
{
	const struct dif_route *in = op->in;
	begin_change(op, t, "UPSERT", id, to->weight);
	host->add(t,
	          "<TTL>%u</TTL><ResourceRecords><ResourceRecord><Value>%s</Value>"
	          "</ResourceRecord></ResourceRecords>",
	          in->ttl_s, xml(op, to->value));
	end_change(op, t, old);
}

/* Every value as it stands, or the service refuses the batch. */
static void add_delete(struct dif_op *op, struct dif_text *t, const struct record *old)
{
	const struct dif_node *alias = host->get(old->node, "AliasTarget"), *v = NULL;
	begin_change(op, t, "DELETE", old->id, old->weight);
	if (old->alias) {
		host->add(t,
		          "<AliasTarget><HostedZoneId>%s</HostedZoneId><DNSName>%s</DNSName>"
		          "<EvaluateTargetHealth>%s</EvaluateTargetHealth></AliasTarget>",
		          xml(op, host->str(host->get(alias, "HostedZoneId"))),
		          xml(op, host->str(host->get(alias, "DNSName"))),
		          xml(op, host->str(host->get(alias, "EvaluateTargetHealth"))));
	} else {
		host->add(t, "<TTL>%u</TTL><ResourceRecords>", old->ttl);
		while ((v = host->next(host->get(old->node, "ResourceRecords"), "ResourceRecord",
		                       v)) != NULL) {
			host->add(t, "<ResourceRecord><Value>%s</Value></ResourceRecord>",
			          xml(op, host->str(host->get(v, "Value"))));
		}
		host->add(t, "</ResourceRecords>");
	}
	end_change(op, t, old);
}

static struct record *find(struct records *all, const char *id)
{
	for (uint32_t i = 0; i < all->n; i++) {
		if (strcmp(all->all[i].id, id) == 0) {
			return &all->all[i];
		}
	}
	return NULL;
}

/* The changes as XML; how many in *n. Foreign targets come back as they were told. */
static struct dif_bytes changes(struct dif_op *op, struct records *all, uint32_t *n)
{
	const struct route53 *s = op->self;
	const struct dif_route *in = op->in;
	struct dif_text *t = host->text(op);
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *to = &in->targets[i];
		if (strncmp(to->name, FOREIGN, sizeof FOREIGN - 1) == 0) {
			continue;
		}
		const char *id = host->fmt(op, "%s%s", s->prefix, to->name);
		struct record *old = find(all, id);
		if (old != NULL) {
			old->wanted = true;
		}
		if (old == NULL || old->alias || old->values != 1 || old->weight != to->weight ||
		    old->ttl != in->ttl_s || !route_same(old->value, to->value)) {
			add_upsert(op, t, id, to, old);
			(*n)++;
		}
	}
	for (uint32_t i = 0; i < all->n; i++) {
		if (is_ours(op, &all->all[i]) && !all->all[i].wanted) {
			add_delete(op, t, &all->all[i]);
			(*n)++;
		}
	}
	return host->end(t);
}

static void on_change(struct dif_op *op, const struct dif_reply *r, const char *root)
{
	const struct dif_node *x = host->tree(op, r, DIF_AS_XML, root);
	if (x == NULL) {
		return;
	}
	const char *id = host->str(host->get(x, "ChangeInfo.Id"));
	const char *status = host->str(host->get(x, "ChangeInfo.Status"));
	if (*id == '\0' || *status == '\0') {
		host->refuse(op, r, "", "the answer names no change and its status");
		return;
	}
	bool settled = strcmp(status, "INSYNC") == 0;
	host->done(op, &(struct dif_result){.ticket = settled ? NULL : id,
	                                    .settled = settled,
	                                    .wait_ms = settled ? 0 : POLL_MS});
}

static void on_changed(struct dif_op *op, const struct dif_reply *r)
{
	on_change(op, r, "ChangeResourceRecordSetsResponse");
}

/* False: the op has failed. Route 53 keeps no weighted records beside one without a weight. */
static bool may_stand_beside(struct dif_op *op, const struct records *all)
{
	const struct route53 *s = op->self;
	const struct dif_route *in = op->in;
	for (uint32_t i = 0; i < all->n; i++) {
		if (!all->all[i].weighted) {
			host->fail(op, DIF_PERMANENT, "",
			           "a %s record without a weight stands at '%s': delete it, or "
			           "make it a weighted one with the identifier '%s%s'",
			           in->type, in->name, s->prefix, in->targets[0].name);
			return false;
		}
	}
	return true;
}

static void on_current(struct dif_op *op, const struct dif_reply *r)
{
	const struct route53 *s = op->self;
	const struct dif_route *in = op->in;
	struct records *all = take(op, r);
	uint32_t n = 0;
	if (all == NULL || !may_stand_beside(op, all)) {
		return;
	}
	struct dif_bytes list = changes(op, all, &n);
	if (n == 0) { /* perhaps by an earlier attempt */
		host->done(op, &(struct dif_result){.settled = 1});
		return;
	}
	if (!route_unchanged(op, all->tag)) {
		return;
	}
	const char *batch = host->fmt(
		op,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?><ChangeResourceRecordSetsRequest "
		"xmlns=\"" XMLNS "\"><ChangeBatch><Comment>%s %s</Comment><Changes>%s</Changes>"
		"</ChangeBatch></ChangeResourceRecordSetsRequest>",
		xml(op, s->owner), xml(op, in->idem), (const char *)list.p);
	struct dif_piece body = {.bytes = {batch, strlen(batch)}};
	struct aws_call c =
		call(op, "POST", host->fmt(op, "/hostedzone/%s/rrset/", s->hosted_zone));
	c.body = &body;
	c.npieces = 1;
	aws_field(&c, "content-type", "text/xml");
	send(op, &c, on_changed);
}

static void set(struct dif_op *op)
{
	if (route_leads_somewhere(op)) {
		ask_records(op, on_current);
	}
}

/* --- set_state --- */

static void on_state(struct dif_op *op, const struct dif_reply *r)
{
	on_change(op, r, "GetChangeResponse");
}

static void set_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	const char *slash = strrchr(in->id, '/'); /* "/change/C2682N5HXP0BZ4" */
	const char *id = slash != NULL ? slash + 1 : in->id;
	struct aws_call c = call(op, "GET", host->fmt(op, "/change/%s", aws_query(op, id)));
	send(op, &c, on_state);
}

/* --- probe --- */

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->tree(op, r, DIF_AS_XML, "ListResourceRecordSetsResponse") != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	const struct route53 *s = op->self;
	struct aws_call c = call(op, "GET", host->fmt(op, "/hostedzone/%s/rrset", s->hosted_zone));
	c.query = "maxitems=1";
	send(op, &c, on_probe);
}

/* --- open --- */

static bool open_steering(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct route53 *s = self;
	const char *slash = strrchr(s->hosted_zone, '/'); /* "/hostedzone/Z1D633PJN98FT9" */
	s->hosted_zone = slash != NULL ? slash + 1 : s->hosted_zone;
	if (*s->hosted_zone == '\0' ||
	    s->hosted_zone[strspn(s->hosted_zone, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")] !=
	            '\0') {
		o->refuse(o, "hosted_zone '%s' is not an id, which has only A-Z and 0-9",
		          s->hosted_zone);
		return false;
	}
	if (!aws_endpoint(o, "endpoint", s->endpoint, "route53", s->region, &s->at)) {
		return false;
	}
	s->hosts[0] = s->at.host;
	s->prefix = o->fmt(o, "%s-", s->owner);
	if (!aws_login_open(&s->login, o, s->region, s->hosts + 1)) {
		return false;
	}
	caps->hosts = s->hosts;
	caps->flags = DIF_CAP_WEIGHTS;
	caps->weight_max = WEIGHT_MAX;
	caps->ttl_min_s = 1;
	caps->ttl_max_s = TTL_MAX;
	caps->targets_max = RECORDS_MAX;
	caps->writes_per_s = RATE_PER_S;
	caps->renew_before_s = AWS_RENEW_BEFORE_S;
	caps->clock_window_s = AWS_CLOCK_WINDOW_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_steer steer = {
	.c = {.size = sizeof(struct dif_steer),
              .self_size = sizeof(struct route53),
              .scratch_size = sizeof(struct aws_login_work),
              .faults = faults,
              .explain = explain,
              .open = open_steering,
              .probe = probe,
              .login = aws_login},
	.get = get,
	.set = set,
	.set_state = set_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .flags = DIF_OFFER_HTTP,
         .name = "route53",
         .what = "Amazon Route 53",
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
