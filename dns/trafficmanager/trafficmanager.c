/* trafficmanager - endpoints of a profile of Azure Traffic Manager, API 2022-04-01.
 *
 *   get   GET .../Microsoft.Network/trafficManagerProfiles/PROFILE
 *   set   the same, then PATCH of all that is to change, one behind the other: the TTL, the
 *         endpoints that are to serve, those that are not; so there is always one that does
 *
 * The profile and its endpoints are made by people; here endpoints get weights and are switched on
 * and off. An endpoint is a target's by its address; what is not among the targets is switched off,
 * as weight 0 is.
 *
 * A PATCH takes no condition. The tag is a hash of what was read; set reads again and compares, so
 * a change that falls in between is not seen. Facts and decisions: docs/notes/trafficmanager.md.
 */
#include "azure/manager.h"
#include "route/route.h"

#define API "2022-04-01"
#define ENDPOINTS_MAX 200 /* of a profile */
#define WEIGHT_MAX 1000
#define TTL_MAX 2147483647

const struct dif_host *host;

/* Constant after open. */
struct trafficmanager {
	struct azure_manager manager;
	const char *profile;
	/* made by open */
	const char *path; /* of the profile, below the providers */
};

struct endpoint {
	const char *kind; /* "ExternalEndpoints", as addresses have it */
	const char *name, *target;
	uint32_t weight;                 /* 1 to 1000, whether it is enabled or not */
	bool enabled, listed;            /* listed: among the targets */
	const struct dif_target *wanted; /* NULL: it is right as it is */
};

/* What a set has read, and how far it is; its scratch. */
struct work {
	struct endpoint *all;
	uint32_t n, next;
	uint32_t ttl;
	bool disabling; /* the second round */
};

static const struct dif_option options[] = {
	AZURE_OPTION("profile", DIF_STRING, DIF_NEEDED, 63, NULL,
                     offsetof(struct trafficmanager, profile),
                     "the profile's name; its routing method must be Weighted"),
	AZURE_MANAGER_OPTIONS(struct trafficmanager, manager),
};

static const struct dif_fault faults[] = {
	AZURE_MANAGER_FAULTS,
	{404, NULL, DIF_PERMANENT},
	{0, NULL, DIF_OK},
};

const struct azure_manager *azure_manager_of(const struct dif_op *op)
{
	return &((const struct trafficmanager *)op->self)->manager;
}

static void ask_profile(struct dif_op *op, dif_step *next)
{
	const struct trafficmanager *s = op->self;
	azure_manage(op, "GET", azure_resource(op, s->path, API), NULL, NULL, next);
}

/* --- what stands there --- */

/* Of "Microsoft.Network/trafficManagerProfiles/externalEndpoints"; NULL: a kind of its own. */
static const char *kind_of(const char *type)
{
	static const char *const kinds[] = {"ExternalEndpoints", "AzureEndpoints",
	                                    "NestedEndpoints"};
	const char *slash = strrchr(type, '/');
	for (uint32_t i = 0; i < DIF_LEN(kinds); i++) {
		if (slash != NULL && strcasecmp(slash + 1, kinds[i]) == 0) {
			return kinds[i];
		}
	}
	return NULL;
}

static bool read_endpoint(struct dif_op *op, const struct dif_node *n, struct endpoint *to)
{
	const struct dif_node *p = host->get(n, "properties");
	const struct dif_node *weight = host->get(p, "weight");
	const char *status = host->str(host->get(p, "endpointStatus"));
	*to = (struct endpoint){.kind = kind_of(host->str(host->get(n, "type"))),
	                        .name = host->str(host->get(n, "name")),
	                        .target = host->str(host->get(p, "target")),
	                        .enabled = strcasecmp(status, "Enabled") == 0};
	/* a profile of another method tells none, or null */
	bool told = weight != NULL && strcmp(host->str(weight), "null") != 0;
	to->weight = told ? (uint32_t)host->num(op, weight, WEIGHT_MAX) : 1;
	return *to->name != '\0' && *status != '\0';
}

/* The endpoints of a profile, how many in *n; NULL: the op has failed. */
static struct endpoint *endpoints(struct dif_op *op, const struct dif_reply *r,
                                  const struct dif_node *profile, uint32_t *n)
{
	const struct dif_node *list = host->get(profile, "properties.endpoints"), *e = NULL;
	if (list == NULL) {
		host->refuse(op, r, "", "the answer is no profile with its endpoints");
		return NULL;
	}
	struct endpoint *all = host->alloc(op, ENDPOINTS_MAX * sizeof *all);
	for (*n = 0; all != NULL && (e = host->next(list, "", e)) != NULL; (*n)++) {
		if (*n == ENDPOINTS_MAX) {
			host->fail(op, DIF_PERMANENT, "", "the profile has more than %d endpoints",
			           ENDPOINTS_MAX);
			return NULL;
		}
		if (!read_endpoint(op, e, &all[*n])) {
			host->refuse(op, r, "", "an endpoint has no name and status");
			return NULL;
		}
	}
	return all;
}

static uint32_t ttl_of(struct dif_op *op, const struct dif_node *profile)
{
	return (uint32_t)host->num(op, host->get(profile, "properties.dnsConfig.ttl"), TTL_MAX);
}

static const char *tag_of(struct dif_op *op, const struct endpoint *all, uint32_t n, uint32_t ttl)
{
	struct dif_text *t = host->text(op);
	host->add(t, "%u\n", ttl);
	for (uint32_t i = 0; i < n; i++) {
		host->add(t, "%s\n%s\n%u\n%d\n", all[i].name, all[i].target, all[i].weight,
		          all[i].enabled);
	}
	return route_tag(op, host->end(t));
}

/* The profile of a reply; NULL: the op has failed. */
static const struct dif_node *profile_of(struct dif_op *op, const struct dif_reply *r)
{
	const struct trafficmanager *s = op->self;
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return NULL;
	}
	const char *method = host->str(host->get(j, "properties.trafficRoutingMethod"));
	if (*method == '\0') {
		host->refuse(op, r, "", "the answer is no profile with its routing method");
		return NULL;
	}
	if (strcasecmp(method, "Weighted") != 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "profile '%s' routes by %.40s: set its routing method to Weighted",
		           s->profile, method);
		return NULL;
	}
	return j;
}

static void on_get(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = profile_of(op, r);
	uint32_t n = 0;
	const struct endpoint *all = j != NULL ? endpoints(op, r, j, &n) : NULL;
	if (all == NULL) {
		return;
	}
	for (uint32_t i = 0; i < n; i++) {
		/* Without a name: who compares goes by the address, as set does. */
		const char *value = route_bare(op, all[i].target);
		value = *value != '\0' ? value : all[i].name;
		host->target(op,
		             &(struct dif_target){.name = value,
		                                  .value = value,
		                                  .weight = all[i].enabled ? all[i].weight : 0});
	}
	uint32_t ttl = ttl_of(op, j);
	host->done(op, &(struct dif_result){.tag = tag_of(op, all, n, ttl), .ttl_s = ttl});
}

static void get(struct dif_op *op)
{
	ask_profile(op, on_get);
}

/* --- set --- */

/* A nested endpoint has no address of its own, and goes by its name. */
static struct endpoint *find(struct work *w, const struct dif_target *t)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct endpoint *e = &w->all[i];
		if (route_same(*e->target != '\0' ? e->target : e->name, t->value)) {
			return e;
		}
	}
	return NULL;
}

/* Marks what has to change; what is not among the targets is to serve nobody. False: the op has
 * failed, and nothing was changed. */
static bool plan(struct dif_op *op, struct work *w)
{
	static const struct dif_target nobody = {0};
	const struct trafficmanager *s = op->self;
	const struct dif_route *in = op->in;
	for (uint32_t i = 0; i < in->n; i++) {
		const struct dif_target *t = &in->targets[i];
		struct endpoint *e = find(w, t);
		if (e == NULL || e->kind == NULL) {
			host->fail(op, DIF_PERMANENT, "",
			           "profile '%s' has no endpoint with the address '%s': add an "
			           "external endpoint for '%s'",
			           s->profile, t->value, t->name);
			return false;
		}
		e->listed = true;
		if (e->enabled != (t->weight > 0) || (t->weight > 0 && e->weight != t->weight)) {
			e->wanted = t;
		}
	}
	for (uint32_t i = 0; i < w->n; i++) {
		struct endpoint *e = &w->all[i];
		if (!e->listed && e->enabled && e->kind != NULL) {
			e->wanted = &nobody;
		}
	}
	return true;
}

static void patch_next(struct dif_op *op);

static void on_patched(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (host->get(j, "properties") == NULL) {
		host->refuse(op, r, "", "the answer is neither endpoint nor profile");
		return;
	}
	patch_next(op);
}

static void patch(struct dif_op *op, const struct endpoint *e)
{
	const struct trafficmanager *s = op->self;
	const char *name = host->enc(op, DIF_QUERY, e->name, strlen(e->name));
	const char *path = host->fmt(op, "%s/%s/%s", s->path, e->kind, name);
	const char *body = "{\"properties\":{\"endpointStatus\":\"Disabled\"}}";
	if (e->wanted->weight > 0) {
		body = host->fmt(op,
		                 "{\"properties\":{\"endpointStatus\":\"Enabled\",\"weight\":%u}}",
		                 e->wanted->weight);
	}
	azure_manage(op, "PATCH", azure_resource(op, path, API), body, NULL, on_patched);
}

/* One more change, or the end. */
static void patch_next(struct dif_op *op)
{
	struct work *w = op->scratch;
	for (;;) {
		if (w->next == w->n && w->disabling) {
			break;
		}
		if (w->next == w->n) {
			w->disabling = true;
			w->next = 0;
			continue;
		}
		const struct endpoint *e = &w->all[w->next++];
		if (e->wanted != NULL && (e->wanted->weight == 0) == w->disabling) {
			patch(op, e);
			return;
		}
	}
	host->done(op, &(struct dif_result){.settled = 1});
}

static void patch_ttl(struct dif_op *op)
{
	const struct trafficmanager *s = op->self;
	const struct dif_route *in = op->in;
	azure_manage(op, "PATCH", azure_resource(op, s->path, API),
	             host->fmt(op, "{\"properties\":{\"dnsConfig\":{\"ttl\":%u}}}", in->ttl_s),
	             NULL, on_patched);
}

static void on_current(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_route *in = op->in;
	struct work *w = op->scratch;
	const struct dif_node *j = profile_of(op, r);
	w->all = j != NULL ? endpoints(op, r, j, &w->n) : NULL;
	if (w->all == NULL) {
		return;
	}
	w->ttl = ttl_of(op, j);
	if (!route_unchanged(op, tag_of(op, w->all, w->n, w->ttl)) || !plan(op, w)) {
		return;
	}
	if (w->ttl != in->ttl_s) {
		patch_ttl(op);
	} else {
		patch_next(op);
	}
}

static void set(struct dif_op *op)
{
	if (route_leads_somewhere(op)) {
		ask_profile(op, on_current);
	}
}

/* --- probe --- */

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (profile_of(op, r) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	ask_profile(op, on_probe);
}

/* --- open --- */

static bool open_steering(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct trafficmanager *s = self;
	if (!azure_manager_name(o, "profile", s->profile) || !azure_manager_open(&s->manager, o)) {
		return false;
	}
	s->path = o->fmt(o, "/Microsoft.Network/trafficManagerProfiles/%s", s->profile);
	caps->hosts = s->manager.hosts;
	caps->flags = DIF_CAP_WEIGHTS;
	caps->weight_max = WEIGHT_MAX;
	caps->ttl_max_s = TTL_MAX;
	caps->targets_max = ENDPOINTS_MAX;
	caps->renew_before_s = AZURE_RENEW_BEFORE_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_steer steer = {
	.c = {.size = sizeof(struct dif_steer),
              .self_size = sizeof(struct trafficmanager),
              .scratch_size = sizeof(struct work),
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
         .name = "trafficmanager",
         .what = "Azure Traffic Manager",
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
