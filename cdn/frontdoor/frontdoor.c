/* frontdoor - purges of Azure Front Door (Standard, Premium) and of endpoints of Azure CDN.
 *
 *   purge        POST .../Microsoft.Cdn/profiles/P/afdEndpoints/E/purge, or .../endpoints/E/purge
 *   purge_state  GET what the reply named, until it has succeeded
 *
 * 100 paths in one call. A path counts without its query and whatever its case; a folder is
 * `/folder/` and `*` behind it. Facts and decisions: docs/notes/frontdoor.md.
 */
#include "azure/manager.h"

#define API "2025-04-15"
#define PATHS_MAX 100
#define DOMAINS_MAX 32
#define SETTLE_MS 600000 /* up to ten minutes, says the vendor */

const struct dif_host *host;

/* Constant after open. */
struct frontdoor {
	struct azure_manager manager;
	const char *profile, *endpoint_name, *form, *domains;
	int64_t paths_worth;
	/* made by open */
	const char *path; /* of the endpoint, below the providers */
};

static const struct dif_option options[] = {
	AZURE_OPTION("profile", DIF_STRING, DIF_NEEDED, 260, NULL,
                     offsetof(struct frontdoor, profile), "the profile's name"),
	AZURE_OPTION("endpoint_name", DIF_STRING, DIF_NEEDED, 50, NULL,
                     offsetof(struct frontdoor, endpoint_name),
                     "the endpoint of the profile, by name"),
	{.name = "form",
         .def = "frontdoor",
         .help = "frontdoor: a profile of Front Door Standard or Premium; cdn: one of Azure CDN",
         .type = DIF_ENUM,
         .choices = "frontdoor cdn",
         .offset = offsetof(struct frontdoor, form)},
	AZURE_OPTION("domains", DIF_STRING, 0, 4096, NULL, offsetof(struct frontdoor, domains),
                     "custom domains to purge, blanks between; without: the endpoint's own name "
                     "alone, says the vendor, so name all that readers use"),
	{.name = "paths_worth",
         .def = "300",
         .help = "more changed pages than this are purged as everything; a call takes 100",
         .type = DIF_INT,
         .min = 1,
         .max = 5000,
         .offset = offsetof(struct frontdoor, paths_worth)},
	AZURE_MANAGER_OPTIONS(struct frontdoor, manager),
};

static const struct dif_fault faults[] = {
	AZURE_MANAGER_FAULTS,       {404, NULL, DIF_PERMANENT},
	{409, NULL, DIF_TRANSIENT}, /* the profile is being changed */
	{412, NULL, DIF_TRANSIENT}, {0, NULL, DIF_OK},
};

const struct azure_manager *azure_manager_of(const struct dif_op *op)
{
	return &((const struct frontdoor *)op->self)->manager;
}

static const char *address(struct dif_op *op, const char *tail)
{
	const struct frontdoor *s = op->self;
	return azure_resource(op, host->fmt(op, "%s%s", s->path, tail), API);
}

/* --- purge --- */

/* False: the op has failed. */
static bool add_path(struct dif_op *op, struct dif_text *t, const struct dif_purge *in, uint32_t i)
{
	/* the cache looks at a path without its query, and takes none here */
	const char *path = host->fmt(op, "%.*s", (int)strcspn(in->paths[i], "?#"), in->paths[i]);
	if (*path != '/' || strchr(path, '*') != NULL) {
		host->fail(op, DIF_PERMANENT, "",
		           "'%.200s' is no path that could be purged: it must begin with '/' and "
		           "have no '*'",
		           in->paths[i]);
		return false;
	}
	host->add(t, "%s\"%s%s\"", i > 0 ? "," : "", azure_json(op, path),
	          in->scope == DIF_PURGE_PREFIXES ? "*" : "");
	return true;
}

static void add_domains(struct dif_op *op, struct dif_text *t, const char *domains)
{
	const char *before = ",\"domains\":[";
	for (const char *at = domains; *at != '\0'; at += strspn(at, " ")) {
		size_t n = strcspn(at, " ");
		host->add(t, "%s\"%s\"", before, host->enc(op, DIF_JSON, at, n));
		before = ",";
		at += n;
	}
	host->add(t, "]");
}

static void purge(struct dif_op *op)
{
	const struct frontdoor *s = op->self;
	const struct dif_purge *in = op->in;
	struct dif_text *t = host->text(op);
	host->add(t, "{\"contentPaths\":[");
	if (in->scope == DIF_PURGE_ALL) {
		host->add(t, "\"/*\"");
	}
	for (uint32_t i = 0; in->scope != DIF_PURGE_ALL && i < in->n; i++) {
		if (!add_path(op, t, in, i)) {
			return;
		}
	}
	host->add(t, "]");
	if (s->domains != NULL) {
		add_domains(op, t, s->domains);
	}
	host->add(t, "}");
	azure_manage(op, "POST", address(op, "/purge"), host->end(t).p, NULL, azure_accepted);
}

/* --- probe --- */

static void on_endpoint(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (*host->str(host->get(j, "properties.hostName")) == '\0') {
		host->refuse(op, r, "", "the answer is no endpoint with a host name");
		return;
	}
	host->done(op, &(struct dif_result){0});
}

static void probe(struct dif_op *op)
{
	azure_manage(op, "GET", address(op, ""), NULL, NULL, on_endpoint);
}

/* --- open --- */

static bool open_domains(const struct frontdoor *s, struct dif_opening *o)
{
	uint32_t n = 0;
	if (s->domains == NULL) {
		return true;
	}
	if (strcmp(s->form, "cdn") == 0) {
		o->refuse(o, "domains has no effect with form = cdn, which purges all domains of "
		             "the endpoint");
		return false;
	}
	for (const char *at = s->domains; *at != '\0'; n++) {
		at += strcspn(at, " ");
		at += strspn(at, " ");
	}
	if (n > DOMAINS_MAX) {
		o->refuse(o, "domains names more than %d", DOMAINS_MAX);
		return false;
	}
	return true;
}

static bool open_cdn(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct frontdoor *s = self;
	const char *kind = strcmp(s->form, "cdn") == 0 ? "endpoints" : "afdEndpoints";
	if (!azure_manager_name(o, "profile", s->profile) ||
	    !azure_manager_name(o, "endpoint_name", s->endpoint_name) || !open_domains(s, o) ||
	    !azure_manager_open(&s->manager, o)) {
		return false;
	}
	s->path = o->fmt(o, "/Microsoft.Cdn/profiles/%s/%s/%s", s->profile, kind, s->endpoint_name);
	caps->hosts = s->manager.hosts;
	caps->purge_scopes =
		DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) | DIF_HAS(DIF_PURGE_ALL);
	caps->purge_max = PATHS_MAX;
	caps->purge_wide_max = PATHS_MAX;
	caps->purge_worth = (uint32_t)s->paths_worth;
	caps->settle_ms = SETTLE_MS;
	caps->renew_before_s = AZURE_RENEW_BEFORE_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_cdn cdn = {
	.c = {.size = sizeof(struct dif_cdn),
              .self_size = sizeof(struct frontdoor),
              .faults = faults,
              .explain = azure_explain_json,
              .open = open_cdn,
              .probe = probe,
              .login = azure_identity_login},
	.purge = purge,
	.purge_state = azure_accepted_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "frontdoor",
         .what = "Azure Front Door and Azure CDN",
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
