/* etcd - a lease in etcd 3.4 or newer, by its JSON gateway.
 *
 *   acquire  range ─▶ somebody else: who it is
 *                 ─▶ we ourselves (an earlier answer was lost): keepalive
 *                 ─▶ nobody: grant ─▶ txn: put where nobody has created the key
 *   renew    keepalive        release  revoke        read  range
 *
 * The key PREFIX NAME holds the owner and hangs on an etcd lease, which takes it away when nobody
 * keeps it alive. The fence is the key's create_revision: it rises over the cluster's life.
 *
 * Members are asked in the order of the section; what one does not answer the next is asked,
 * because each of these requests may be repeated: a grant that nobody uses dies by itself, and a
 * txn that had its effect finds its own owner. Reads are linearizable, so a member that is cut off
 * from the others cannot tell an old holder.
 *
 * Keys and values are base64, 64-bit numbers are strings, and what is zero, false or empty is left
 * out. So absence counts only in a reply that is whole: one with a header.
 *
 * Source: etcd.io/docs/v3.4/dev-guide/api_grpc_gateway; run against 3.4.23 (tests/cloud/etcd).
 */
#include <difusor/plugin.h>

#define MEMBERS_MAX 9u
#define REPLY_MAX 65536u
#define TTL_MAX 86400u
#define TOKEN_LIFE_S 240 /* a simple token lives 300 s */

struct self {
	const char *endpoints, *prefix, *user, *password;
	int64_t patience;
	const char *members[MEMBERS_MAX];
	const char *hosts[MEMBERS_MAX + 1];
	uint32_t nmembers;
};

struct asking {
	const char *path, *body;
	uint32_t member; /* which is asked */
	dif_step *next;
	/* acquire */
	const char *lease;
	uint32_t ttl_s;
	uint64_t fence;
};

static const struct dif_host *host;

/* The codes are gRPC's. */
static const struct dif_fault faults[] = {
	{.code = "4", .cls = DIF_TRANSIENT}, /* the leader did not answer in time */
	{.code = "5", .cls = DIF_NOT_FOUND},
	{.code = "7", .cls = DIF_AUTH},
	{.code = "8", .cls = DIF_THROTTLED},
	{.code = "9", .cls = DIF_PERMANENT},
	{.code = "14", .cls = DIF_TRANSIENT},
	{.code = "16", .cls = DIF_AUTH},
	{.status = 404, .cls = DIF_PERMANENT}, /* no such path: no gateway, or an old one */
	{.cls = DIF_OK},
};

/* {"error":"..","message":"..","code":5}; in a stream {"error":{"grpc_code":5,"message":".."}} */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	const struct dif_node *in = host->get(j, "error.grpc_code");
	*code = host->str(in != NULL ? in : host->get(j, "code"));
	*what = host->str(host->get(j, in != NULL ? "error.message" : "message"));
	if (strstr(*what, "revision of auth store is old") != NULL) {
		*code = "16"; /* users have changed since the token was given */
	}
}

/* --- asking --- */

static void on_member(struct dif_op *op, const struct dif_reply *r);

static void ask_member(struct dif_op *op)
{
	const struct self *s = op->self;
	const struct asking *a = op->scratch;
	const char *token = op->cred->part[0];
	const struct dif_field fields[] = {{"content-type", "application/json"},
	                                   {"authorization", token}};
	struct dif_bytes body = {a->body, strlen(a->body)};
	host->http(
		op,
		&(struct dif_http){.method = "POST",
	                           .url = host->fmt(op, "%s/v3/%s", s->members[a->member], a->path),
	                           .fields = fields,
	                           .nfields = *token != '\0' ? 2 : 1,
	                           .body = &(struct dif_piece){.bytes = body},
	                           .npieces = 1,
	                           .flags = DIF_HTTP_WANT_FAILURE,
	                           .timeout_ms = (uint32_t)s->patience,
	                           .reply_max = REPLY_MAX},
		on_member);
}

static void on_member(struct dif_op *op, const struct dif_reply *r)
{
	const struct self *s = op->self;
	struct asking *a = op->scratch;
	if ((r->status == 0 || r->status >= 500) && a->member + 1 < s->nmembers) {
		a->member++;
		ask_member(op);
		return;
	}
	a->next(op, r);
}

/* From the member that answered last, on to those behind it. */
static void ask(struct dif_op *op, const char *path, const char *body, dif_step *next)
{
	struct asking *a = op->scratch;
	a->path = path;
	a->body = body;
	a->next = next;
	ask_member(op);
}

/* A reply that is whole: with a header, or with the result of a stream. NULL: the op has failed. */
static const struct dif_node *whole(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	const struct dif_node *result = host->get(j, "result");
	const struct dif_node *in = result != NULL ? result : j;
	if (j == NULL || *host->str(host->get(in, "header.revision")) != '\0') {
		return j != NULL ? in : NULL;
	}
	bool is_error = host->get(j, "error") != NULL;
	host->refuse(op, r, "", is_error ? "" : "the reply is none of etcd's");
	return NULL;
}

static const char *base64(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_BASE64, s, strlen(s));
}

static const char *key_of(struct dif_op *op)
{
	const struct self *s = op->self;
	const struct dif_lease_call *in = op->in;
	return base64(op, host->fmt(op, "%s%s", s->prefix, in->name));
}

/* --- who has it --- */

static void range(struct dif_op *op, dif_step *next)
{
	ask(op, "kv/range", host->fmt(op, "{\"key\":\"%s\"}", key_of(op)), next);
}

/* The key in a list of keys, NULL: it is not there. */
static const struct dif_node *first(const struct dif_node *range)
{
	return host->next(host->get(range, "kvs"), "", NULL);
}

/* The holder's name. NULL: the op has failed. */
static const char *holder_of(struct dif_op *op, const struct dif_reply *r,
                             const struct dif_node *kv)
{
	const char *owner = host->dec(op, DIF_BASE64, host->str(host->get(kv, "value"))).p;
	if (owner == NULL || *owner == '\0') {
		host->refuse(op, r, "", "the key holds no owner; it is somebody else's");
		return NULL;
	}
	return owner;
}

static void on_read(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = whole(op, r), *kv = first(j);
	if (j == NULL) {
		return;
	}
	if (kv == NULL) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	const char *holder = holder_of(op, r, kv);
	if (holder != NULL) {
		host->done(op, &(struct dif_result){
				       .holder = holder,
				       .fence = host->num(op, host->get(kv, "create_revision"),
		                                          INT64_MAX)});
	}
}

static void read_(struct dif_op *op)
{
	range(op, on_read);
}

/* --- keeping it alive --- */

/* An etcd lease's id as it told it: it goes into JSON. */
static bool is_id(const char *s)
{
	size_t n = strspn(s, "0123456789");
	return n > 0 && n < 20 && s[n] == '\0';
}

static void keep_alive(struct dif_op *op, const char *lease, dif_step *next)
{
	if (!is_id(lease)) {
		host->fail(op, DIF_NOT_FOUND, "", "'%.32s' is no lease of etcd's", lease);
		return;
	}
	ask(op, "lease/keepalive", host->fmt(op, "{\"ID\":\"%s\"}", lease), next);
}

/* The seconds that a lease has, 0: it is over. False: the op has failed. */
static bool life_of(struct dif_op *op, const struct dif_reply *r, uint32_t *ttl_s)
{
	const struct dif_node *j = whole(op, r);
	if (j == NULL) {
		return false;
	}
	const struct dif_node *ttl = host->get(j, "TTL");
	*ttl_s = ttl != NULL ? (uint32_t)host->num(op, ttl, TTL_MAX) : 0;
	return true;
}

static void on_renewed(struct dif_op *op, const struct dif_reply *r)
{
	uint32_t ttl_s = 0;
	if (!life_of(op, r, &ttl_s)) {
		return;
	}
	if (ttl_s == 0) {
		host->fail(op, DIF_NOT_FOUND, "", "it is over");
		return;
	}
	host->done(op, &(struct dif_result){.ttl_s = ttl_s});
}

static void renew(struct dif_op *op)
{
	keep_alive(op, ((const struct dif_lease_call *)op->in)->lease, on_renewed);
}

/* --- acquire --- */

static void on_kept(struct dif_op *op, const struct dif_reply *r)
{
	const struct asking *a = op->scratch;
	uint32_t ttl_s = 0;
	if (!life_of(op, r, &ttl_s)) {
		return;
	}
	if (ttl_s == 0) {
		host->fail(op, DIF_TRANSIENT, "", "our own lease has ended meanwhile");
		return;
	}
	host->done(op, &(struct dif_result){.lease = a->lease, .fence = a->fence, .ttl_s = ttl_s});
}

/* Somebody has it; perhaps it is ourselves, by a request whose answer was lost. Its life counts
 * from now only once it has been kept alive. */
static void judge_holder(struct dif_op *op, const struct dif_reply *r, const struct dif_node *kv)
{
	const struct dif_lease_call *in = op->in;
	struct asking *a = op->scratch;
	const char *holder = holder_of(op, r, kv);
	if (holder == NULL) {
		return;
	}
	a->fence = host->num(op, host->get(kv, "create_revision"), INT64_MAX);
	a->lease = host->str(host->get(kv, "lease"));
	if (strcmp(holder, in->owner) == 0 && is_id(a->lease)) {
		keep_alive(op, a->lease, on_kept);
	} else {
		host->done(op, &(struct dif_result){.holder = holder, .fence = a->fence});
	}
}

static void on_txn(struct dif_op *op, const struct dif_reply *r)
{
	const struct asking *a = op->scratch;
	const struct dif_node *j = whole(op, r);
	if (j == NULL) {
		return;
	}
	if (strcmp(host->str(host->get(j, "succeeded")), "true") == 0) {
		host->done(op, &(struct dif_result){
				       .lease = a->lease,
				       .fence = host->num(op, host->get(j, "header.revision"),
		                                          INT64_MAX),
				       .ttl_s = a->ttl_s});
		return;
	}
	const struct dif_node *response = host->next(host->get(j, "responses"), "", NULL);
	const struct dif_node *kv = first(host->get(response, "response_range"));
	if (kv == NULL) {
		host->refuse(op, r, "", "the reply does not tell who has the key");
		return;
	}
	judge_holder(op, r, kv);
}

static void on_granted(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_lease_call *in = op->in;
	struct asking *a = op->scratch;
	const struct dif_node *j = whole(op, r);
	if (j == NULL) {
		return;
	}
	a->lease = host->str(host->get(j, "ID"));
	a->ttl_s = (uint32_t)host->num(op, host->get(j, "TTL"), TTL_MAX);
	if (!is_id(a->lease)) {
		host->refuse(op, r, "", "the reply names no lease");
		return;
	}
	const char *key = key_of(op);
	ask(op, "kv/txn",
	    host->fmt(op,
	              "{\"compare\":[{\"key\":\"%s\",\"target\":\"CREATE\","
	              "\"create_revision\":\"0\",\"result\":\"EQUAL\"}],"
	              "\"success\":[{\"request_put\":{\"key\":\"%s\",\"value\":\"%s\","
	              "\"lease\":\"%s\"}}],"
	              "\"failure\":[{\"request_range\":{\"key\":\"%s\"}}]}",
	              key, key, base64(op, in->owner), a->lease, key),
	    on_txn);
}

static void on_looked(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_lease_call *in = op->in;
	const struct dif_node *j = whole(op, r), *kv = first(j);
	if (j == NULL) {
		return;
	}
	if (kv != NULL) {
		judge_holder(op, r, kv);
		return;
	}
	ask(op, "lease/grant", host->fmt(op, "{\"TTL\":\"%u\"}", in->ttl_s), on_granted);
}

static void acquire(struct dif_op *op)
{
	range(op, on_looked);
}

/* --- release, probe, login --- */

static void on_released(struct dif_op *op, const struct dif_reply *r)
{
	const char *code = "", *what = "";
	if (r->status == 404) {
		explain(op, r, &code, &what);
	}
	if (strcmp(code, "5") == 0 || whole(op, r) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

static void release(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	if (!is_id(in->lease)) {
		host->done(op, &(struct dif_result){0}); /* none that could be held */
		return;
	}
	ask(op, "lease/revoke", host->fmt(op, "{\"ID\":\"%s\"}", in->lease), on_released);
}

static void on_probed(struct dif_op *op, const struct dif_reply *r)
{
	if (whole(op, r) != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

/* A linearizable read: the member answers, has a leader, and we may read. */
static void probe(struct dif_op *op)
{
	const struct self *s = op->self;
	ask(op, "kv/range",
	    host->fmt(op, "{\"key\":\"%s\",\"keys_only\":true}",
	              base64(op, host->fmt(op, "%sprobe", s->prefix))),
	    on_probed);
}

static void on_token(struct dif_op *op, const struct dif_reply *r)
{
	const char *code = "", *what = "";
	if (r->status == 412 || r->status == 400) {
		explain(op, r, &code, &what);
	}
	if (strcmp(code, "9") == 0) {
		host->log(op, 2, "user is of no use: %s", what);
		host->done(op, &(struct dif_result){.cred.expires = host->now(op) + TOKEN_LIFE_S});
		return;
	}
	if (strcmp(code, "3") == 0) { /* wrong user or password */
		host->fail(op, DIF_AUTH, code, "%s", what);
		return;
	}
	const struct dif_node *j = whole(op, r);
	const char *token = host->str(host->get(j, "token"));
	if (j == NULL) {
		return;
	}
	if (*token == '\0') {
		host->refuse(op, r, "", "the reply has no token");
		return;
	}
	host->done(op, &(struct dif_result){
			       .cred = {.part = {token}, .expires = host->now(op) + TOKEN_LIFE_S}});
}

static void login(struct dif_op *op)
{
	const struct self *s = op->self;
	if (s->user == NULL) {
		host->done(op, &(struct dif_result){.cred.expires = INT64_MAX});
		return;
	}
	ask(op, "auth/authenticate",
	    host->fmt(op, "{\"name\":\"%s\",\"password\":\"%s\"}",
	              host->enc(op, DIF_JSON, s->user, strlen(s->user)),
	              host->enc(op, DIF_JSON, s->password, strlen(s->password))),
	    on_token);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "endpoints",
         .help = "addresses of the members, https://HOST:2379, blanks between; asked in this order",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 8,
         .max = 2048,
         .offset = offsetof(struct self, endpoints)},
	{.name = "prefix",
         .def = "/difusor/",
         .help = "what all our keys begin with",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         .offset = offsetof(struct self, prefix)},
	{.name = "user",
         .help = "user name, where etcd has authentication",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         .offset = offsetof(struct self, user)},
	{.name = "password",
         .help = "password of user",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 1,
         .max = 1024,
         .offset = offsetof(struct self, password)},
	{.name = "patience",
         .def = "2s",
         .help = "how long a member is given before the next is asked",
         .type = DIF_DURATION,
         .min = 100,
         .max = 60000,
         .offset = offsetof(struct self, patience)},
};

static bool add_member(struct self *s, struct dif_opening *o, const char *url)
{
	const char *scheme, *authority, *path;
	if (s->nmembers == MEMBERS_MAX) {
		o->refuse(o, "endpoints names more than %u members", MEMBERS_MAX);
		return false;
	}
	if (!o->url(o, url, &scheme, &authority, &path) ||
	    (*path != '\0' && strcmp(path, "/") != 0) ||
	    (strcmp(scheme, "https") != 0 && strcmp(scheme, "http") != 0)) {
		o->refuse(o, "endpoints: '%s' must be https://HOST:PORT", url);
		return false;
	}
	s->members[s->nmembers] = o->fmt(o, "%s://%s", scheme, authority);
	s->hosts[s->nmembers++] = authority;
	return true;
}

static bool open_etcd(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	if ((s->user == NULL) != (s->password == NULL)) {
		o->refuse(o, "user and password go together; give both or none");
		return false;
	}
	for (const char *p = s->endpoints; *p != '\0';) {
		size_t n = strcspn(p, " ");
		if (n > 0 && !add_member(s, o, o->fmt(o, "%.*s", (int)n, p))) {
			return false;
		}
		p += n + strspn(p + n, " ");
	}
	if (s->nmembers == 0) {
		o->refuse(o, "endpoints names no member");
		return false;
	}
	c->size = sizeof *c;
	c->hosts = s->hosts;
	c->renew_before_s = TOKEN_LIFE_S / 4;
	return true;
}

static const struct dif_leaser lease = {
	.c = {.size = sizeof lease,
              .self_size = sizeof(struct self),
              .scratch_size = sizeof(struct asking),
              .faults = faults,
              .explain = explain,
              .open = open_etcd,
              .probe = probe,
              .login = login},
	.acquire = acquire,
	.renew = renew,
	.release = release,
	.read = read_,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_LEASE,
         .flags = DIF_OFFER_HTTP,
         .name = "etcd",
         .what = "etcd 3.4 or newer",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &lease.c},
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
