/* clouddns - records of a managed zone of Google's Cloud DNS, API v1.
 *
 *   get        GET .../managedZones/ZONE/rrsets?name=&type=
 *   set        the same, then POST .../changes: the set that was read goes, the new one comes
 *   set_state  GET .../changes/ID, until it is done
 *
 * A change is done as a whole, and the set that it deletes must be named exactly as it stands: so
 * nobody's change in between is lost. The tag is a hash of the set.
 *
 * routing = wrr keeps one item with a weight for each target, routing = plain one set with all
 * values and no weights, of which a CNAME can have one. Facts and decisions:
 * docs/notes/clouddns.md.
 */
#include "google/google.h"
#include "route/route.h"

#define SCOPE "https://www.googleapis.com/auth/ndev.clouddns.readwrite"
#define WEIGHT_MAX 1000
#define TTL_MAX 2147483647
#define TARGETS_MAX 100
#define POLL_MS 3000

const struct dif_host *host;

/* Constant after open. */
struct clouddns {
	struct google_self google;
	const char *project, *managed_zone, *routing, *type, *endpoint;
	/* made by open */
	const char *base; /* the zone's address */
	bool weighted;
};

static const struct dif_option options[] = {
	{.name = "managed_zone",
         .help = "the zone's name in Cloud DNS, which is not its domain",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 63,
         .offset = offsetof(struct clouddns, managed_zone)},
	{.name = "routing",
         .def = "wrr",
         .help = "wrr: a policy with a weight for each target; plain: a set of values that all "
                 "count the same, and a single one for CNAME",
         .type = DIF_ENUM,
         .choices = "wrr plain",
         .offset = offsetof(struct clouddns, routing)},
	ROUTE_TYPE_OPTION(struct clouddns, type),
	{.name = "endpoint",
         .def = "https://dns.googleapis.com",
         .help = "the server",
         .type = DIF_URL,
         .offset = offsetof(struct clouddns, endpoint)},
	GOOGLE_PROJECT_OPTIONS(struct clouddns, google, project),
};

const struct google_self *google_of(const struct dif_op *op)
{
	return &((const struct clouddns *)op->self)->google;
}

/* --- what stands there --- */

/* The one set of the asked name and type. */
struct set_read {
	const char *json; /* as a deletion names it; "": there is none */
	const char *tag;
};

/* True: the zone is not there, and the op has failed. */
static bool is_missing(struct dif_op *op, const struct dif_reply *r)
{
	const struct clouddns *s = op->self;
	if (r->status != 404) {
		return false;
	}
	host->fail(op, DIF_PERMANENT, "notFound",
	           "project '%s' has no managed zone '%s', or this account may not see it",
	           s->project, s->managed_zone);
	return true;
}

static void ask_set(struct dif_op *op, dif_step *next)
{
	const struct clouddns *s = op->self;
	const struct dif_route *in = op->in;
	const char *name = host->fmt(op, "%s.", in->name);
	google_call(op, "GET",
	            host->fmt(op, "%s/rrsets?name=%s&type=%s", s->base, google_query(op, name),
	                      google_query(op, in->type)),
	            NULL, next);
}

/* The set of a reply, NULL where there is none; false: the op has failed. */
static bool set_of(struct dif_op *op, const struct dif_reply *r, const struct dif_node **set)
{
	const struct dif_route *in = op->in;
	const struct dif_node *j = NULL, *n = NULL;
	*set = NULL;
	if (is_missing(op, r) || (j = host->tree(op, r, DIF_AS_JSON, NULL)) == NULL) {
		return false;
	}
	if (host->get(j, "rrsets") == NULL) {
		host->refuse(op, r, "", "the answer is no list of record sets");
		return false;
	}
	while ((n = host->next(host->get(j, "rrsets"), "", n)) != NULL) {
		if (route_same(google_text(n, "name"), in->name) &&
		    strcmp(google_text(n, "type"), in->type) == 0) {
			*set = n;
			return true;
		}
	}
	return true;
}

/* ["A","B"] of a list of texts. */
static void add_texts(struct dif_op *op, struct dif_text *t, const struct dif_node *list)
{
	const struct dif_node *n = NULL;
	const char *before = "";
	host->add(t, "[");
	while ((n = host->next(list, "", n)) != NULL) {
		host->add(t, "%s\"%s\"", before, google_json(op, host->str(n)));
		before = ",";
	}
	host->add(t, "]");
}

/* A weight goes back as it came, which is a number for the reader of JSON. */
static void add_items(struct dif_op *op, struct dif_text *t, const struct dif_node *items)
{
	const struct dif_node *n = NULL;
	const char *before = "";
	host->add(t, ",\"routingPolicy\":{\"wrr\":{\"items\":[");
	while ((n = host->next(items, "", n)) != NULL) {
		const char *weight = google_text(n, "weight");
		host->add(t, "%s{\"weight\":%s,\"rrdatas\":", before,
		          *weight != '\0' ? weight : "0");
		add_texts(op, t, host->get(n, "rrdatas"));
		host->add(t, "}");
		before = ",";
	}
	host->add(t, "]}}");
}

/* A policy of another kind cannot be put back as it was, so it is not touched. */
static bool is_known(const struct dif_node *set)
{
	const struct dif_node *policy = host->get(set, "routingPolicy"), *n = NULL;
	if (policy == NULL) {
		return true;
	}
	while ((n = host->next(host->get(policy, "wrr.items"), "", n)) != NULL) {
		const char *weight = google_text(n, "weight");
		if (host->get(n, "healthCheckedTargets") != NULL ||
		    weight[strspn(weight, "0123456789.eE+-")] != '\0') {
			return false;
		}
	}
	return host->get(policy, "wrr.items") != NULL && host->get(policy, "healthCheck") == NULL;
}

static const char *as_json(struct dif_op *op, const struct dif_node *set)
{
	const struct dif_node *items = host->get(set, "routingPolicy.wrr.items");
	struct dif_text *t = host->text(op);
	host->add(t, "{\"name\":\"%s\",\"type\":\"%s\",\"ttl\":%llu",
	          google_json(op, google_text(set, "name")),
	          google_json(op, google_text(set, "type")),
	          (unsigned long long)host->num(op, host->get(set, "ttl"), TTL_MAX));
	if (items != NULL) {
		add_items(op, t, items);
	} else {
		host->add(t, ",\"rrdatas\":");
		add_texts(op, t, host->get(set, "rrdatas"));
	}
	host->add(t, "}");
	return host->end(t).p;
}

static struct set_read read_set(struct dif_op *op, const struct dif_node *set)
{
	struct set_read now = {.json = set != NULL ? as_json(op, set) : ""};
	now.tag = route_tag(op, (struct dif_bytes){now.json, strlen(now.json)});
	return now;
}

/* "2.5": a fraction counts as the next whole number, so that none becomes nobody. */
static uint32_t weight_of(const char *text)
{
	uint32_t n = 0;
	for (; *text >= '0' && *text <= '9' && n <= WEIGHT_MAX; text++) {
		n = n * 10 + (uint32_t)(*text - '0');
	}
	n += *text == '.' && text[1 + strspn(text + 1, "0")] != '\0';
	return n < WEIGHT_MAX ? n : WEIGHT_MAX;
}

/* --- get --- */

static void tell(struct dif_op *op, const struct dif_node *texts, uint32_t weight)
{
	const struct dif_node *n = NULL;
	while ((n = host->next(texts, "", n)) != NULL) {
		const char *value = route_bare(op, host->str(n));
		host->target(op,
		             &(struct dif_target){.name = value, .value = value, .weight = weight});
	}
}

static void on_get(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *set = NULL, *n = NULL;
	if (!set_of(op, r, &set)) {
		return;
	}
	while ((n = host->next(host->get(set, "routingPolicy.wrr.items"), "", n)) != NULL) {
		tell(op, host->get(n, "rrdatas"), weight_of(google_text(n, "weight")));
	}
	tell(op, host->get(set, "rrdatas"), 1);
	uint64_t ttl = set != NULL ? host->num(op, host->get(set, "ttl"), TTL_MAX) : 0;
	host->done(op, &(struct dif_result){.tag = read_set(op, set).tag, .ttl_s = (uint32_t)ttl});
}

static void get(struct dif_op *op)
{
	ask_set(op, on_get);
}

/* --- set --- */

/* A host name is absolute only with a dot behind it. */
static const char *value_of(struct dif_op *op, const struct dif_target *to)
{
	const struct dif_route *in = op->in;
	bool is_name = strcmp(in->type, "CNAME") == 0;
	return google_json(op,
	                   host->fmt(op, "%s%s", route_bare(op, to->value), is_name ? "." : ""));
}

/* The set that is wanted. */
static const char *wanted(struct dif_op *op)
{
	const struct clouddns *s = op->self;
	const struct dif_route *in = op->in;
	const struct dif_target *only = route_only(op);
	struct dif_text *t = host->text(op);
	const char *before = "";
	host->add(t, "{\"name\":\"%s.\",\"type\":\"%s\",\"ttl\":%u,%s", google_json(op, in->name),
	          google_json(op, in->type), in->ttl_s,
	          s->weighted ? "\"routingPolicy\":{\"wrr\":{\"items\":[" : "\"rrdatas\":[");
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *to = &in->targets[i];
		if (s->weighted) {
			host->add(t, "%s{\"weight\":%u,\"rrdatas\":[\"%s\"]}", before, to->weight,
			          value_of(op, to));
		} else if (to == only || (only == NULL && to->weight > 0)) {
			host->add(t, "%s\"%s\"", before, value_of(op, to));
		} else {
			continue;
		}
		before = ",";
	}
	host->add(t, s->weighted ? "]}}}" : "]}");
	return host->end(t).p;
}

static void on_change(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	const char *id = google_text(j, "id"), *status = google_text(j, "status");
	if (*id == '\0' || *status == '\0') {
		host->refuse(op, r, "", "the answer names no change and its status");
		return;
	}
	bool settled = strcmp(status, "done") == 0;
	host->done(op, &(struct dif_result){.ticket = settled ? NULL : id,
	                                    .settled = settled,
	                                    .wait_ms = settled ? 0 : POLL_MS});
}

/* 409, 412, and 404 for a set that is gone: somebody was faster. */
static void on_changed(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404) {
		host->fail(op, DIF_CONFLICT, "notFound", "the route has changed meanwhile");
		return;
	}
	on_change(op, r);
}

static void on_current(struct dif_op *op, const struct dif_reply *r)
{
	const struct clouddns *s = op->self;
	const struct dif_route *in = op->in;
	const struct dif_node *set = NULL;
	if (!set_of(op, r, &set)) {
		return;
	}
	if (!is_known(set)) {
		host->fail(op, DIF_PERMANENT, "",
		           "the policy at '%s' is no plain set and no wrr without health checks: "
		           "delete it, then it is made anew",
		           in->name);
		return;
	}
	struct set_read now = read_set(op, set);
	const char *want = wanted(op);
	if (strcmp(now.json, want) == 0) { /* perhaps by an earlier attempt */
		host->done(op, &(struct dif_result){.settled = 1});
		return;
	}
	if (!route_unchanged(op, now.tag)) {
		return;
	}
	google_call(op, "POST", host->fmt(op, "%s/changes", s->base),
	            host->fmt(op, "{\"deletions\":[%s],\"additions\":[%s]}", now.json, want),
	            on_changed);
}

static void set(struct dif_op *op)
{
	if (route_leads_somewhere(op)) {
		ask_set(op, on_current);
	}
}

static void set_state(struct dif_op *op)
{
	const struct clouddns *s = op->self;
	const struct dif_ticket *in = op->in;
	google_call(op, "GET", host->fmt(op, "%s/changes/%s", s->base, google_query(op, in->id)),
	            NULL, on_change);
}

/* --- probe --- */

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (is_missing(op, r)) {
		return;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (*google_text(j, "dnsName") == '\0') {
		host->refuse(op, r, "", "the answer is no managed zone");
		return;
	}
	host->done(op, &(struct dif_result){0});
}

static void probe(struct dif_op *op)
{
	const struct clouddns *s = op->self;
	google_call(op, "GET", s->base, NULL, on_probe);
}

/* --- open --- */

static bool open_steering(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct clouddns *s = self;
	const char *authority = NULL;
	if (!google_is_project(s->project)) {
		o->refuse(o, "project '%s' is not the id of a project", s->project);
		return false;
	}
	if (s->managed_zone[strspn(s->managed_zone, "abcdefghijklmnopqrstuvwxyz0123456789-")] !=
	    '\0') {
		o->refuse(o, "managed_zone '%s' is not a name: only a-z, 0-9 and '-'",
		          s->managed_zone);
		return false;
	}
	s->endpoint = google_endpoint(o, s->endpoint, &authority);
	s->google.scope = SCOPE;
	if (s->endpoint == NULL || !google_open(&s->google, o, authority)) {
		return false;
	}
	s->base = o->fmt(o, "%s/dns/v1/projects/%s/managedZones/%s", s->endpoint, s->project,
	                 s->managed_zone);
	s->weighted = strcmp(s->routing, "wrr") == 0;
	caps->hosts = s->google.hosts;
	caps->flags = s->weighted ? DIF_CAP_WEIGHTS : 0u;
	caps->weight_max = s->weighted ? WEIGHT_MAX : 0;
	caps->ttl_min_s = 1;
	caps->ttl_max_s = TTL_MAX;
	caps->targets_max = s->weighted ? TARGETS_MAX : route_targets_max(s->type, TARGETS_MAX);
	caps->renew_before_s = GOOGLE_RENEW_BEFORE_S;
	caps->clock_window_s = GOOGLE_CLOCK_WINDOW_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_steer steer = {
	.c = {.size = sizeof(struct dif_steer),
              .self_size = sizeof(struct clouddns),
              .scratch_size = sizeof(struct google_login),
              .faults = google_faults,
              .explain = google_explain,
              .open = open_steering,
              .probe = probe,
              .login = google_login},
	.get = get,
	.set = set,
	.set_state = set_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STEER,
         .flags = DIF_OFFER_HTTP,
         .name = "clouddns",
         .what = "Google Cloud DNS",
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
