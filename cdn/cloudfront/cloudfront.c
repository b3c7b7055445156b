/* cloudfront - invalidations of Amazon CloudFront, API 2020-05-31.
 *
 *   purge        POST /2020-05-31/distribution/ID/invalidation; the ticket is the invalidation's id
 *   purge_state  GET the same with that id, until it is Completed
 *
 * The caller's reference is the purge's own: with the same paths it leads to the invalidation that
 * is there already, so a repeat costs nothing. A `*` at the end of a path stands for anything; a
 * tag is an item that begins with `#`. Facts and decisions: docs/notes/cloudfront.md.
 */
#include "aws/login.h"

#define API "/2020-05-31/distribution"
#define XMLNS "http://cloudfront.amazonaws.com/doc/2020-05-31/"

/* The service takes 3000 paths that are under way, and 413 BatchTooLarge for a body beyond a bound
 * that is not told; these stay far below. */
#define PATHS_MAX 1000
#define BODY_MAX (256u << 10)
#define PATH_MAX_LENGTH 4000
#define TAG_MAX_LENGTH 256
#define PATHS_IN_FLIGHT 3000
#define WIDE_IN_FLIGHT 15
#define POLL_MS 10000
#define SETTLE_MS 120000 /* mostly one to two minutes */

/* Constant after open. */
struct cloudfront {
	const char *distribution, *endpoint, *region;
	int64_t paths_worth;
	uint32_t tags;
	struct aws_login login;
	/* made by open */
	struct aws_endpoint at;
	const char *hosts[1 + AWS_LOGIN_HOSTS + 1];
};

#define AT(member) offsetof(struct cloudfront, member)
static const struct dif_option options[] = {
	{.name = "distribution",
         .help = "the distribution's id, such as E2QWRUHAPOMQZL",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         .offset = AT(distribution)},
	{.name = "tags",
         .def = "no",
         .help = "the distribution has a CacheTagConfig, so that objects can be purged by the tags "
                 "that the origin gives them",
         .type = DIF_BOOL,
         .offset = AT(tags)},
	{.name = "paths_worth",
         .def = "30",
         .help = "more changed pages than this are purged as everything, which is charged for as "
                 "one path; the first 1000 paths of a month are free",
         .type = DIF_INT,
         .min = 1,
         .max = PATHS_IN_FLIGHT,
         .offset = AT(paths_worth)},
	{.name = "endpoint",
         .def = "https://cloudfront.amazonaws.com",
         .help = "the service's address; in China another one",
         .type = DIF_URL,
         .max = 1024,
         .env = "AWS_ENDPOINT_URL_CLOUDFRONT",
         .offset = AT(endpoint)},
	{.name = "region",
         .def = "us-east-1",
         .help = "region that requests are signed for; in China cn-northwest-1",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = AT(region)},
	AWS_LOGIN_OPTIONS(struct cloudfront, login),
};

static const struct dif_fault faults[] = {
	AWS_FAULTS,
	{0, "TooManyInvalidationsInProgress", DIF_THROTTLED},
	{0, "NoSuchDistribution", DIF_PERMANENT},
	{0, "InvalidationBatchAlreadyExists", DIF_PERMANENT},
	{0, NULL, DIF_OK}, /* 404 NoSuchInvalidation: not found; 413 BatchTooLarge: permanent */
};

static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct cloudfront *s = op->self;
	(void)aws_explain(op, r, code, what);
	if (*code != NULL && strcmp(*code, "NoSuchDistribution") == 0) {
		*what = host->fmt(op, "there is no distribution '%s' in this account",
		                  s->distribution);
	}
}

/* --- calls --- */

const struct aws_login *aws_login_of(const struct dif_op *op)
{
	const struct cloudfront *s = op->self;
	return &s->login;
}

/* tail: "" or what stands behind the collection of invalidations. */
static struct aws_call call(struct dif_op *op, const char *method, const char *tail)
{
	const struct cloudfront *s = op->self;
	return (struct aws_call){.method = method,
	                         .scheme = s->at.scheme,
	                         .host = s->at.host,
	                         .path = host->fmt(op, "%s" API "/%s/invalidation%s", s->at.path,
	                                           s->distribution, tail)};
}

static void send(struct dif_op *op, struct aws_call *c, dif_step *next)
{
	const struct cloudfront *s = op->self;
	struct aws_signer who = aws_signer(op, s->region, "cloudfront");
	aws_send(op, &who, c, next);
}

static void on_invalidation(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *i = host->tree(op, r, DIF_AS_XML, "Invalidation");
	if (i == NULL) {
		return;
	}
	const char *id = host->str(host->get(i, "Id"));
	const char *status = host->str(host->get(i, "Status"));
	if (*id == '\0' || *status == '\0') {
		host->refuse(op, r, "", "the answer names no invalidation and its status");
		return;
	}
	/* "Completed"; others than AWS write it in capitals */
	bool settled = strcasecmp(status, "Completed") == 0;
	host->done(op, &(struct dif_result){.ticket = settled ? NULL : id,
	                                    .settled = settled,
	                                    .wait_ms = settled ? 0 : POLL_MS});
}

/* --- purge --- */

/* Printable ASCII without a comma, as the origin's header has it; `#` would begin another tag. */
static bool is_tag(const char *tag)
{
	size_t n = strlen(tag);
	for (const char *c = tag; *c != '\0'; c++) {
		if (*c < '!' || *c > '~' || *c == ',') {
			return false;
		}
	}
	return n > 0 && n <= TAG_MAX_LENGTH;
}

/* One item of the list, "" where there is none that could be meant; then the op has failed. */
static const char *item(struct dif_op *op, const struct dif_purge *in, uint32_t i)
{
	const char *path = in->paths[i];
	if (in->scope == DIF_PURGE_TAGS) {
		if (is_tag(path)) {
			return host->fmt(op, "#%s", path);
		}
		host->fail(op, DIF_PERMANENT, "",
		           "a tag is 1 to %d characters of printable ASCII without commas and "
		           "blanks",
		           TAG_MAX_LENGTH);
		return "";
	}
	if (*path != '/' || strlen(path) >= PATH_MAX_LENGTH) {
		host->fail(op, DIF_PERMANENT, "",
		           "a path begins with '/' and has at most %d characters", PATH_MAX_LENGTH);
		return "";
	}
	return in->scope == DIF_PURGE_PREFIXES ? host->fmt(op, "%s*", path) : path;
}

/* The batch as XML; .p NULL: the op has failed. */
static struct dif_bytes batch(struct dif_op *op, const struct dif_purge *in)
{
	bool all = in->scope == DIF_PURGE_ALL;
	struct dif_text *t = host->text(op);
	host->add(t, "<InvalidationBatch xmlns=\"" XMLNS "\"><Paths><Quantity>%u</Quantity><Items>",
	          all ? 1 : in->n);
	if (all) {
		host->add(t, "<Path>/*</Path>");
	}
	for (uint32_t i = 0; !all && i < in->n; i++) {
		const char *one = item(op, in, i);
		if (*one == '\0') {
			return (struct dif_bytes){NULL, 0};
		}
		host->add(t, "<Path>%s</Path>", host->enc(op, DIF_XML, one, strlen(one)));
	}
	host->add(t,
	          "</Items></Paths><CallerReference>%s</CallerReference>"
	          "</InvalidationBatch>",
	          host->enc(op, DIF_XML, in->idem, strlen(in->idem)));
	return host->end(t);
}

static void purge(struct dif_op *op)
{
	struct dif_piece body = {.bytes = batch(op, op->in)};
	if (body.bytes.p == NULL) {
		return;
	}
	struct aws_call c = call(op, "POST", "");
	c.body = &body;
	c.npieces = 1;
	aws_field(&c, "content-type", "text/xml");
	send(op, &c, on_invalidation);
}

static void purge_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	const char *id = host->enc(op, DIF_QUERY, in->id, strlen(in->id));
	struct aws_call c = call(op, "GET", host->fmt(op, "/%s", id));
	send(op, &c, on_invalidation);
}

/* --- probe --- */

static void on_list(struct dif_op *op, const struct dif_reply *r)
{
	if (host->tree(op, r, DIF_AS_XML, "InvalidationList") != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	struct aws_call c = call(op, "GET", "");
	c.query = "MaxItems=1";
	send(op, &c, on_list);
}

/* --- open --- */

static bool open_cdn(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct cloudfront *s = self;
	static const char good[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	if (strspn(s->distribution, good) != strlen(s->distribution)) {
		o->refuse(o, "distribution '%s' is not an id, which has only A-Z and 0-9",
		          s->distribution);
		return false;
	}
	if (!aws_endpoint(o, "endpoint", s->endpoint, "cloudfront", s->region, &s->at)) {
		return false;
	}
	s->hosts[0] = s->at.host;
	if (!aws_login_open(&s->login, o, s->region, s->hosts + 1)) {
		return false;
	}
	caps->hosts = s->hosts;
	caps->purge_scopes = DIF_HAS(DIF_PURGE_URLS) | DIF_HAS(DIF_PURGE_PREFIXES) |
	                     DIF_HAS(DIF_PURGE_ALL) | (s->tags ? DIF_HAS(DIF_PURGE_TAGS) : 0u);
	caps->purge_max = PATHS_MAX;
	caps->purge_wide_max = WIDE_IN_FLIGHT;
	caps->purge_bytes = BODY_MAX;
	caps->purge_item_bytes = sizeof "<Path></Path>*";
	caps->purge_in_flight = PATHS_IN_FLIGHT;
	caps->purge_wide_in_flight = WIDE_IN_FLIGHT;
	caps->purge_worth = (uint32_t)s->paths_worth;
	caps->settle_ms = SETTLE_MS;
	caps->renew_before_s = AWS_RENEW_BEFORE_S;
	caps->clock_window_s = AWS_CLOCK_WINDOW_S;
	return true;
}

/* --- descriptor --- */

static const struct dif_cdn cdn = {
	.c = {.size = sizeof(struct dif_cdn),
              .self_size = sizeof(struct cloudfront),
              .scratch_size = sizeof(struct aws_login_work),
              .faults = faults,
              .explain = explain,
              .open = open_cdn,
              .probe = probe,
              .login = aws_login},
	.purge = purge,
	.purge_state = purge_state,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_CDN,
         .flags = DIF_OFFER_HTTP,
         .name = "cloudfront",
         .what = "Amazon CloudFront",
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
