/* cloudcdn - invalidations of Google's Cloud CDN by the Compute API, v1.
 *
 *   purge        POST .../global/urlMaps/MAP/invalidateCache?requestId=UUID, one rule in each
 *   purge_state  GET .../global/operations/NAME, until it is DONE
 *
 * A rule is a path, or a path with `*` behind its last slash, or up to ten tags; so several
 * prefixes are several requests behind each other, and the ticket names all their operations. The
 * request's id is made of the purge's own, so a repeat leads to the operation that is there
 * already. Facts and decisions: docs/notes/cloudcdn.md.
 */
#include "google/google.h"

#define SCOPE "https://www.googleapis.com/auth/compute"
#define RULES_MAX 10           /* of one purge: tags of one rule, or prefixes of as many */
#define RATE_PER_S (500 / 60.) /* of the project */
#define POLL_MS 3000
#define SETTLE_MS 10000
#define OPERATION_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789-"

const struct dif_host *host;

/* Constant after open. */
struct cloudcdn {
	struct google_self google;
	const char *project, *url_map, *host, *endpoint;
	int64_t paths_worth;
	uint32_t tags;
};

/* How far a purge, or a question about it, has come. */
struct progress {
	uint32_t rule;       /* the next to be asked for */
	const char *tickets; /* names of operations, blanks between */
	const char *rest;    /* of the ticket: not asked about yet */
};

union scratch {
	struct google_login login;
	struct progress progress;
};

static const struct dif_option options[] = {
	{.name = "url_map",
         .help = "the load balancer's URL map, by name",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 63,
         .offset = offsetof(struct cloudcdn, url_map)},
	{.name = "host",
         .help = "purge for this host name alone; without: for all that the URL map serves",
         .type = DIF_STRING,
         .min = 1,
         .max = 253,
         .offset = offsetof(struct cloudcdn, host)},
	{.name = "tags",
         .def = "no",
         .help = "the origin gives Cache-Tag, so that objects can be purged by tag",
         .type = DIF_BOOL,
         .offset = offsetof(struct cloudcdn, tags)},
	{.name = "paths_worth",
         .def = "50",
         .help = "more changed pages than this are purged as everything: a page takes a request, "
                 "and the project has 500 of them a minute",
         .type = DIF_INT,
         .min = 1,
         .max = 5000,
         .offset = offsetof(struct cloudcdn, paths_worth)},
	{.name = "endpoint",
         .def = "https://compute.googleapis.com",
         .help = "the server",
         .type = DIF_URL,
         .offset = offsetof(struct cloudcdn, endpoint)},
	GOOGLE_PROJECT_OPTIONS(struct cloudcdn, google, project),
};

const struct google_self *google_of(const struct dif_op *op)
{
	return &((const struct cloudcdn *)op->self)->google;
}

static const char *global(struct dif_op *op, const char *what)
{
	const struct cloudcdn *s = op->self;
	return host->fmt(op, "%s/compute/v1/projects/%s/global/%s", s->endpoint, s->project, what);
}

/* --- operations --- */

/* The operation of a reply; NULL: the op has failed. One that has ended badly is a failure that may
 * pass, and the host purges anew. */
static const struct dif_node *operation(struct dif_op *op, const struct dif_reply *r)
{
	const struct cloudcdn *s = op->self;
	if (r->status == 404) {
		host->fail(op, DIF_PERMANENT, "notFound",
		           "project '%s' has no URL map '%s', or this account may not see it",
		           s->project, s->url_map);
		return NULL;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return NULL;
	}
	const char *name = google_text(j, "name");
	if (*name == '\0' || name[strspn(name, OPERATION_CHARACTERS)] != '\0' ||
	    *google_text(j, "status") == '\0') {
		host->refuse(op, r, "", "the answer is no operation with name and status");
		return NULL;
	}
	const struct dif_node *error = host->next(host->get(j, "error.errors"), "", NULL);
	if (error != NULL || host->get(j, "httpErrorStatusCode") != NULL) {
		host->fail(op, DIF_TRANSIENT, google_text(error, "code"),
		           "the operation has failed: %.200s", google_text(error, "message"));
		return NULL;
	}
	return j;
}

static bool is_done(const struct dif_node *operation_of)
{
	return strcmp(google_text(operation_of, "status"), "DONE") == 0;
}

/* --- purge --- */

/* Text as members of JSON: a path, or tags. NULL: the op has failed. */
static const char *rule(struct dif_op *op, const struct dif_purge *in, uint32_t i)
{
	if (in->scope == DIF_PURGE_ALL) {
		return "\"path\":\"/*\"";
	}
	if (in->scope == DIF_PURGE_TAGS) {
		struct dif_text *t = host->text(op);
		for (uint32_t k = 0; k < in->n; k++) {
			host->add(t, "%s\"%s\"", k == 0 ? "\"cacheTags\":[" : ",",
			          google_json(op, in->paths[k]));
		}
		host->add(t, "]");
		return host->end(t).p;
	}
	/* the cache looks at a path without its query, and takes none here */
	const char *path = host->fmt(op, "%.*s", (int)strcspn(in->paths[i], "?#"), in->paths[i]);
	bool prefix = in->scope == DIF_PURGE_PREFIXES;
	if (*path != '/' || strchr(path, '*') != NULL ||
	    (prefix && path[strlen(path) - 1] != '/')) {
		host->fail(op, DIF_PERMANENT, "",
		           "'%.200s' is no path that could be purged: it must begin with '/' and "
		           "have no '*'%s",
		           in->paths[i], prefix ? ", and end with '/'" : "");
		return NULL;
	}
	return host->fmt(op, "\"path\":\"%s%s\"", google_json(op, path), prefix ? "*" : "");
}

/* An id of this purge and rule in the form of a UUID (version 4), which is all that is taken. */
static const char *request_id(struct dif_op *op, const char *idem, uint32_t i)
{
	const char *text = host->fmt(op, "%s/%u", idem, i);
	struct dif_bytes d = host->hash(op, DIF_SHA256, (struct dif_bytes){text, strlen(text)});
	const char *hex = host->enc(op, DIF_HEX, d.p, d.n);
	if (strlen(hex) < 32) {
		return ""; /* out of memory: the host ends the op when the step returns */
	}
	return host->fmt(op, "%.8s-%.4s-4%.3s-a%.3s-%.12s", hex, hex + 8, hex + 13, hex + 17,
	                 hex + 20);
}

static void on_asked(struct dif_op *op, const struct dif_reply *r);

static void ask_rule(struct dif_op *op)
{
	const struct cloudcdn *s = op->self;
	const struct dif_purge *in = op->in;
	struct progress *p = op->scratch;
	const char *one = rule(op, in, p->rule);
	if (one == NULL) {
		return;
	}
	const char *named = "";
	if (s->host != NULL) {
		named = host->fmt(op, ",\"host\":\"%s\"", google_json(op, s->host));
	}
	const char *url =
		host->fmt(op, "%s?requestId=%s",
	                  global(op, host->fmt(op, "urlMaps/%s/invalidateCache", s->url_map)),
	                  request_id(op, in->idem, p->rule));
	google_call(op, "POST", url, host->fmt(op, "{%s%s}", one, named), on_asked);
}

static void on_asked(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_purge *in = op->in;
	struct progress *p = op->scratch;
	const struct dif_node *j = operation(op, r);
	if (j == NULL) {
		return;
	}
	if (!is_done(j)) {
		const char *name = google_text(j, "name");
		p->tickets = p->tickets == NULL ? host->fmt(op, "%s", name)
		                                : host->fmt(op, "%s %s", p->tickets, name);
	}
	p->rule++;
	bool several = in->scope == DIF_PURGE_URLS || in->scope == DIF_PURGE_PREFIXES;
	if (several && p->rule < in->n) {
		ask_rule(op);
		return;
	}
	bool settled = p->tickets == NULL;
	host->done(op, &(struct dif_result){.ticket = p->tickets,
	                                    .settled = settled,
	                                    .wait_ms = settled ? 0 : POLL_MS});
}

static void purge(struct dif_op *op)
{
	ask_rule(op);
}

/* --- purge_state --- */

static void ask_operation(struct dif_op *op);

static void on_operation(struct dif_op *op, const struct dif_reply *r)
{
	struct progress *p = op->scratch;
	if (r->status == 404) { /* kept for two weeks; the purge is made anew */
		host->fail(op, DIF_TRANSIENT, "notFound", "the operation is not known any more");
		return;
	}
	const struct dif_node *j = operation(op, r);
	if (j == NULL) {
		return;
	}
	if (!is_done(j)) {
		host->done(op, &(struct dif_result){.wait_ms = POLL_MS});
	} else if (*p->rest == '\0') {
		host->done(op, &(struct dif_result){.settled = 1});
	} else {
		ask_operation(op);
	}
}

static void ask_operation(struct dif_op *op)
{
	struct progress *p = op->scratch;
	size_t n = strcspn(p->rest, " ");
	const char *name = host->enc(op, DIF_QUERY, p->rest, n);
	p->rest += n + (p->rest[n] == ' ');
	google_call(op, "GET", global(op, host->fmt(op, "operations/%s", name)), NULL,
	            on_operation);
}

static void purge_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	struct progress *p = op->scratch;
	p->rest = in->id;
	ask_operation(op);
}

/* --- probe --- */

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	const struct cloudcdn *s = op->self;
	if (r->status == 404) {
		(void)operation(op, r); /* fails it with the sentence for this */
		return;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	if (strcmp(google_text(j, "name"), s->url_map) != 0) {
		host->refuse(op, r, "", "the answer is not the URL map");
		return;
	}
	host->done(op, &(struct dif_result){0});
}

static void probe(struct dif_op *op)
{
	const struct cloudcdn *s = op->self;
	google_call(op, "GET", global(op, host->fmt(op, "urlMaps/%s?fields=name", s->url_map)),
	            NULL, on_probe);
}

/* --- open --- */

static bool open_cdn(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct cloudcdn *s = self;
	const char *authority = NULL;
	if (!google_is_project(s->project)) {
		o->refuse(o, "project '%s' is not the id of a project", s->project);
		return false;
	}
	if (s->url_map[strspn(s->url_map, OPERATION_CHARACTERS)] != '\0') {
		o->refuse(o, "url_map '%s' is not a name: only a-z, 0-9 and '-'", s->url_map);
		return false;
	}
	s->endpoint = google_endpoint(o, s->endpoint, &authority);
	s->google.scope = SCOPE;
	if (s->endpoint == NULL || !google_open(&s->google, o, authority)) {
		return false;
	}
	caps->hosts = s->google.hosts;
	caps->purge_scopes = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) |
	                     DIF_HAS(DIF_PURGE_ALL) | (s->tags ? DIF_HAS(DIF_PURGE_TAGS) : 0u);
	caps->purge_max = 1;
	caps->purge_wide_max = RULES_MAX;
	caps->purge_worth = (uint32_t)s->paths_worth;
	caps->purges_per_s = RATE_PER_S;
	caps->settle_ms = SETTLE_MS;
	caps->renew_before_s = GOOGLE_RENEW_BEFORE_S;
	caps->clock_window_s = GOOGLE_CLOCK_WINDOW_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_cdn cdn = {
	.c = {.size = sizeof(struct dif_cdn),
              .self_size = sizeof(struct cloudcdn),
              .scratch_size = sizeof(union scratch),
              .faults = google_faults,
              .explain = google_explain,
              .open = open_cdn,
              .probe = probe,
              .login = google_login},
	.purge = purge,
	.purge_state = purge_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "cloudcdn",
         .what = "Google Cloud CDN",
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
