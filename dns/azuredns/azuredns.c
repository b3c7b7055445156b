/* azuredns - record sets in a zone of Azure DNS, API 2018-05-01.
 *
 *   get   GET .../Microsoft.Network/dnsZones/ZONE/TYPE/NAME
 *   set   PUT the same, the whole set in one, under If-Match or If-None-Match; done when it answers
 *
 * There are no weights: an A or AAAA record has the addresses of all targets, a CNAME that of one.
 * Names outside of the zone are refused. Facts and decisions: docs/notes/azuredns.md.
 */
#include "azure/manager.h"
#include "route/route.h"

#define API "2018-05-01"
#define RECORDS_MAX 20 /* of one set */
#define TTL_MAX 2147483647
/* The tag of a set that is not there; the service's own are GUIDs. */
#define ABSENT "absent"

const struct dif_host *host;

/* Constant after open. */
struct azuredns {
	struct azure_manager manager;
	const char *zone, *type;
};

static const struct dif_option options[] = {
	AZURE_OPTION("zone", DIF_STRING, DIF_NEEDED, 253, NULL, offsetof(struct azuredns, zone),
                     "the zone's domain, such as prep.example"),
	ROUTE_TYPE_OPTION(struct azuredns, type),
	AZURE_MANAGER_OPTIONS(struct azuredns, manager),
};

static const struct dif_fault faults[] = {
	AZURE_MANAGER_FAULTS,
	{404, NULL, DIF_PERMANENT}, /* of a zone; get looks at that of a set first */
	{0, NULL, DIF_OK},          /* 412 PreconditionFailed: conflict */
};

/* How a set of each type is written. */
static const struct kind {
	const char *type, *list, *value; /* list: of objects with value; for CNAME a single one */
} kinds[] = {
	{"A", "ARecords", "ipv4Address"},
	{"AAAA", "AAAARecords", "ipv6Address"},
	{"CNAME", "CNAMERecord", "cname"},
};

const struct azure_manager *azure_manager_of(const struct dif_op *op)
{
	return &((const struct azuredns *)op->self)->manager;
}

/* --- addresses --- */

static const struct kind *kind_of(struct dif_op *op)
{
	const struct dif_route *in = op->in;
	for (uint32_t i = 0; i < DIF_LEN(kinds); i++) {
		if (strcmp(in->type, kinds[i].type) == 0) {
			return &kinds[i];
		}
	}
	host->fail(op, DIF_PERMANENT, "", "type '%s' is none of A, AAAA and CNAME", in->type);
	return NULL;
}

/* The name below the zone, "@" for the zone itself; NULL: the op has failed. */
static const char *relative(struct dif_op *op)
{
	const struct azuredns *s = op->self;
	const struct dif_route *in = op->in;
	size_t n = route_length(in->name), zone = route_length(s->zone);
	if (route_same(in->name, s->zone)) {
		return "@";
	}
	if (n > zone + 1 && in->name[n - zone - 1] == '.' &&
	    strncasecmp(in->name + n - zone, s->zone, zone) == 0) {
		return host->enc(op, DIF_QUERY, in->name, n - zone - 1);
	}
	host->fail(op, DIF_PERMANENT, "", "'%s' is not in zone '%s': set record or zone", in->name,
	           s->zone);
	return NULL;
}

/* NULL: the op has failed. */
static const char *address(struct dif_op *op)
{
	const struct azuredns *s = op->self;
	const struct kind *kind = kind_of(op);
	const char *name = kind != NULL ? relative(op) : NULL;
	if (name == NULL) {
		return NULL;
	}
	return azure_resource(
		op,
		host->fmt(op, "/Microsoft.Network/dnsZones/%s/%s/%s", s->zone, kind->type, name),
		API);
}

/* --- get --- */

static void tell(struct dif_op *op, const char *text)
{
	const char *value = route_bare(op, text);
	if (*value != '\0') {
		host->target(op, &(struct dif_target){.name = value, .value = value, .weight = 1});
	}
}

/* No such set is an answer; no such zone or group has a code of its own. */
static bool is_absent(struct dif_op *op, const struct dif_reply *r)
{
	static const char *const others[] = {"ResourceNotFound", "ParentResourceNotFound",
	                                     "ResourceGroupNotFound", "SubscriptionNotFound"};
	const char *code = "", *what = "";
	if (r->status != 404) {
		return false;
	}
	azure_explain_json(op, r, &code, &what);
	for (uint32_t i = 0; i < DIF_LEN(others); i++) {
		if (strcmp(code, others[i]) == 0) {
			return false;
		}
	}
	return *code != '\0';
}

static const char *tag_of(const struct dif_reply *r, const struct dif_node *j)
{
	const char *tag = host->str(host->get(j, "etag"));
	const char *field = host->field(r, "etag", 0);
	return *tag == '\0' && field != NULL ? field : tag;
}

static void on_get(struct dif_op *op, const struct dif_reply *r)
{
	const struct kind *kind = kind_of(op);
	if (kind == NULL) {
		return;
	}
	if (is_absent(op, r)) {
		host->done(op, &(struct dif_result){.tag = ABSENT});
		return;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL), *n = NULL;
	if (j == NULL) {
		return;
	}
	const struct dif_node *p = host->get(j, "properties");
	const char *tag = tag_of(r, j);
	if (p == NULL || *tag == '\0') {
		host->refuse(op, r, "", "the answer is no record set with its etag");
		return;
	}
	const struct dif_node *list = host->get(p, kind->list);
	while ((n = host->next(list, "", n)) != NULL) {
		tell(op, host->str(host->get(n, kind->value)));
	}
	tell(op, host->str(host->get(list, kind->value)));
	tell(op, host->str(host->get(p, "targetResource.id"))); /* an alias of a resource */
	host->done(op, &(struct dif_result){
			       .tag = tag,
			       .ttl_s = (uint32_t)host->num(op, host->get(p, "TTL"), TTL_MAX)});
}

static void get(struct dif_op *op)
{
	const char *url = address(op);
	if (url != NULL) {
		azure_manage(op, "GET", url, NULL, NULL, on_get);
	}
}

/* --- set --- */

static const char *body_of(struct dif_op *op, const struct kind *kind)
{
	const struct dif_route *in = op->in;
	const struct dif_target *only = route_only(op);
	struct dif_text *t = host->text(op);
	const char *before = "";
	host->add(t, "{\"properties\":{\"TTL\":%u,\"%s\":", in->ttl_s, kind->list);
	if (only != NULL) {
		host->add(t, "{\"%s\":\"%s\"}}}", kind->value,
		          azure_json(op, route_bare(op, only->value)));
		return host->end(t).p;
	}
	host->add(t, "[");
	for (uint32_t i = 0; i < in->n; i++) {
		if (in->targets[i].weight > 0) {
			host->add(t, "%s{\"%s\":\"%s\"}", before, kind->value,
			          azure_json(op, in->targets[i].value));
			before = ",";
		}
	}
	host->add(t, "]}}");
	return host->end(t).p;
}

static void on_set(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	const char *tag = tag_of(r, j);
	if (*tag == '\0') {
		host->refuse(op, r, "", "the answer is no record set with its etag");
		return;
	}
	host->done(op, &(struct dif_result){.settled = 1, .tag = tag});
}

static void set(struct dif_op *op)
{
	const struct dif_route *in = op->in;
	const char *url = route_leads_somewhere(op) ? address(op) : NULL;
	if (url == NULL) {
		return;
	}
	struct dif_field condition = {"if-match", in->if_tag};
	if (in->if_tag != NULL && strcmp(in->if_tag, ABSENT) == 0) {
		condition = (struct dif_field){"if-none-match", "*"};
	}
	azure_manage(op, "PUT", url, body_of(op, kind_of(op)),
	             in->if_tag != NULL ? &condition : NULL, on_set);
}

/* --- probe --- */

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (host->get(j, "properties") == NULL) {
		host->refuse(op, r, "", "the answer is no zone");
		return;
	}
	host->done(op, &(struct dif_result){0});
}

static void probe(struct dif_op *op)
{
	const struct azuredns *s = op->self;
	const char *path = host->fmt(op, "/Microsoft.Network/dnsZones/%s", s->zone);
	azure_manage(op, "GET", azure_resource(op, path, API), NULL, NULL, on_probe);
}

/* --- open --- */

static bool open_steering(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct azuredns *s = self;
	s->zone = o->fmt(o, "%.*s", (int)route_length(s->zone), s->zone);
	if (!azure_manager_name(o, "zone", s->zone) || !azure_manager_open(&s->manager, o)) {
		return false;
	}
	caps->hosts = s->manager.hosts;
	caps->ttl_min_s = 1;
	caps->ttl_max_s = TTL_MAX;
	caps->targets_max = route_targets_max(s->type, RECORDS_MAX);
	caps->renew_before_s = AZURE_RENEW_BEFORE_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_steer steer = {
	.c = {.size = sizeof(struct dif_steer),
              .self_size = sizeof(struct azuredns),
              .faults = faults,
              .explain = azure_explain_json,
              .open = open_steering,
              .probe = probe,
              .login = azure_identity_login},
	.get = get,
	.set = set,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .flags = DIF_OFFER_HTTP,
         .name = "azuredns",
         .what = "Azure DNS",
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
