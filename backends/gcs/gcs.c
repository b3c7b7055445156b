/* gcs - Google Cloud Storage by its JSON API.
 *
 * The tag is the generation: it never returns, and conditions take it as it is. A put is one
 * request of two parts, the object's properties and the bytes, so that bytes, headers, metadata
 * and CRC-32C are judged and stored together.
 *
 * Three traps:
 *   - A public object without Cache-Control is cached for an hour by Google itself. So every put
 *     says one.
 *   - What is stored as gzip is inflated on the way to a client that does not accept gzip, and
 *     then neither length nor digest fit. So a get accepts gzip. Should the server compress what
 *     is stored as identity, the next attempt accepts nothing but identity.
 *   - One name takes one write a second; the caps say so.
 */
#include "google/google.h"

#define LIST_REPLY_MAX (4 << 20) /* 1000 rows with metadata are below 1.5 MB */
#define KEY_MAX 1024
#define META_MAX 8192
#define PUT_MAX (5ull << 40)
#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"
#define PROPERTIES                                                                             \
	"name,size,crc32c,md5Hash,generation,updated,contentType,contentEncoding,cacheControl" \
	",metadata"
#define DEFAULT_TYPE "application/octet-stream"
#define DEFAULT_CACHE "private, max-age=0"

const struct dif_host *host;

struct self {
	struct google_self google;
	const char *bucket, *endpoint, *storage_class;
	const char *hosts[4];
};

const struct google_self *google_of(const struct dif_op *op)
{
	return &((const struct self *)op->self)->google;
}

static const char *query(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_QUERY, s, strlen(s));
}

static const char *json(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_JSON, s, strlen(s));
}

static const char *objects(struct dif_op *op, const char *before)
{
	const struct self *s = op->self;
	return host->fmt(op, "%s%s/storage/v1/b/%s/o", s->endpoint, before, s->bucket);
}

static const char *object(struct dif_op *op, const char *key)
{
	return host->fmt(op, "%s/%s", objects(op, ""), query(op, key));
}

static void send(struct dif_op *op, struct dif_http *h, const struct dif_field *extra,
                 uint32_t nextra, dif_step *next)
{
	struct dif_field f[3] = {{"authorization", host->fmt(op, "Bearer %s", op->cred->part[0])}};
	h->fields = f;
	h->nfields = 1;
	for (uint32_t i = 0; i < nextra; i++) {
		f[h->nfields++] = extra[i];
	}
	host->http(op, h, next);
}

/* True: the op has failed because there is no such bucket. A missing object is an answer, a
 * missing bucket is not. */
static bool no_bucket(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status != 404) {
		return false;
	}
	host->fail(op, DIF_PERMANENT, "notFound",
	           "bucket '%s' does not exist, or this account may not see it",
	           ((const struct self *)op->self)->bucket);
	return true;
}

/* --- objects --- */

static void digest_of(struct dif_op *op, const struct dif_node *j, const char *name,
                      enum dif_digest digest, size_t size, struct dif_object *o)
{
	struct dif_bytes d = host->dec(op, DIF_BASE64, host->str(host->get(j, name)));
	if (d.p != NULL && d.n == size) {
		o->digest[digest] = d;
		o->has |= DIF_HAS(digest);
	}
}

static const char *told(const struct dif_node *j, const char *name)
{
	const char *s = host->str(host->get(j, name));
	return *s == '\0' ? NULL : s;
}

static void object_of(struct dif_op *op, const struct dif_node *j, struct dif_object *o)
{
	int64_t when = host->undate(host->str(host->get(j, "updated")));
	*o = (struct dif_object){.key = host->str(host->get(j, "name")),
	                         .tag = host->str(host->get(j, "generation")),
	                         .size = host->num(op, host->get(j, "size"), PUT_MAX),
	                         .modified = when > 0 ? when : 0,
	                         .meta_known = 1,
	                         .type = told(j, "contentType"),
	                         .encoding = told(j, "contentEncoding"),
	                         .cache = told(j, "cacheControl")};
	digest_of(op, j, "crc32c", DIF_CRC32C, 4, o);
	digest_of(op, j, "md5Hash", DIF_MD5, 16, o);
	o->nmeta = host->fields_of(op, host->get(j, "metadata"), &o->meta);
}

static void on_resource(struct dif_op *op, const struct dif_reply *r)
{
	struct dif_result res = {0};
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	object_of(op, j, &res.object);
	if (*res.object.tag == '\0' || *res.object.key == '\0') {
		host->refuse(op, r, "", "the answer names no object and generation");
		return;
	}
	host->done(op, &res);
}

/* --- list --- */

static void on_list(struct dif_op *op, const struct dif_reply *r)
{
	if (no_bucket(op, r)) {
		return;
	}
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	const struct dif_node *items = host->get(j, "items");
	for (const struct dif_node *n = host->next(items, "", NULL); n != NULL;
	     n = host->next(items, "", n)) {
		struct dif_object o;
		object_of(op, n, &o);
		host->object(op, &o);
	}
	host->done(op, &(struct dif_result){.cursor = told(j, "nextPageToken")});
}

static void list(struct dif_op *op)
{
	const struct dif_list *in = op->in;
	const char *page =
		in->cursor == NULL ? "" : host->fmt(op, "&pageToken=%s", query(op, in->cursor));
	const char *url =
		host->fmt(op, "%s?prefix=%s&maxResults=%u%s&fields=nextPageToken,items(%s)",
	                  objects(op, ""), query(op, in->prefix), in->max, page, PROPERTIES);
	send(op, &(struct dif_http){.method = "GET", .url = url, .reply_max = LIST_REPLY_MAX}, NULL,
	     0, on_list);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (!no_bucket(op, r) && host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	const char *url =
		host->fmt(op, "%s?maxResults=1&fields=nextPageToken,items(name)", objects(op, ""));
	send(op, &(struct dif_http){.method = "GET", .url = url}, NULL, 0, on_probe);
}

/* --- head and get --- */

static const char *conditions(struct dif_op *op, const struct dif_get *in)
{
	return host->fmt(op, "%s%s%s%s", in->if_tag == NULL ? "" : "&ifGenerationMatch=",
	                 in->if_tag == NULL ? "" : query(op, in->if_tag),
	                 in->unless_tag == NULL ? "" : "&ifGenerationNotMatch=",
	                 in->unless_tag == NULL ? "" : query(op, in->unless_tag));
}

/* True: the op is done, because the object still is what the caller knows. */
static bool unchanged(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	if (r->status != 304 || in->unless_tag == NULL) {
		return false;
	}
	host->done(op, &(struct dif_result){.not_modified = 1,
	                                    .object = {.key = in->key, .tag = in->unless_tag}});
	return true;
}

static void on_head(struct dif_op *op, const struct dif_reply *r)
{
	if (!unchanged(op, r)) {
		on_resource(op, r);
	}
}

static void head(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	const char *url = host->fmt(op, "%s?fields=%s%s", object(op, in->key), PROPERTIES,
	                            conditions(op, in));
	send(op, &(struct dif_http){.method = "GET", .url = url}, NULL, 0, on_head);
}

static bool number(const char *s, uint64_t *out)
{
	uint64_t n = 0;
	if (s == NULL || *s < '0' || *s > '9') {
		return false;
	}
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (UINT64_MAX - 9) / 10) {
			return false;
		}
		n = n * 10 + (uint64_t)(*s - '0');
	}
	*out = n;
	return *s == '\0';
}

static bool is_gzip(const char *encoding)
{
	return encoding != NULL && strcmp(encoding, "gzip") == 0;
}

static void on_got(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	if (unchanged(op, r) || !host->good(op, r)) {
		return;
	}
	const char *stored = host->field(r, "x-goog-stored-content-encoding", 0);
	if (stored != NULL && is_gzip(stored) != is_gzip(host->field(r, "content-encoding", 0))) {
		host->fail(op, DIF_TRANSIENT, "transcoded", "the server changed the encoding");
		return;
	}
	if (in->sink != NULL && r->body.n > 0) { /* it did not go into the sink */
		host->refuse(op, r, "", "the reply is not the asked part of the object");
		return;
	}
	const char *generation = host->field(r, "x-goog-generation", 0);
	const char *range = host->field(r, "content-range", 0);
	const char *slash = range == NULL ? NULL : strchr(range, '/');
	struct dif_result res = {.object = {.key = in->key,
	                                    .tag = generation != NULL ? generation : in->if_tag,
	                                    .type = host->field(r, "content-type", 0),
	                                    .cache = host->field(r, "cache-control", 0)},
	                         .total = in->offset + r->sunk};
	if (r->status == 206 && slash != NULL) {
		number(slash + 1, &res.total);
	}
	if (stored != NULL && strcmp(stored, "identity") != 0) {
		res.object.encoding = stored;
	}
	res.object.size = res.total;
	res.object.nmeta = host->metas(op, r, "x-goog-meta-", &res.object.meta);
	res.object.meta_known = 1;
	host->done(op, &res);
}

static void get(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	unsigned long long from = in->offset, to = in->offset + in->length - 1;
	struct dif_field f[2] = {{"accept-encoding", op->attempt % 2 == 0 ? "gzip" : "identity"}};
	uint32_t n = 1;
	if (in->length > 0) {
		f[n++] = (struct dif_field){"range", host->fmt(op, "bytes=%llu-%llu", from, to)};
	} else if (in->offset > 0) {
		f[n++] = (struct dif_field){"range", host->fmt(op, "bytes=%llu-", from)};
	}
	const char *url = host->fmt(op, "%s?alt=media%s", object(op, in->key), conditions(op, in));
	send(op,
	     &(struct dif_http){
		     .method = "GET", .url = url, .sink = in->sink, .sink_offset = in->offset},
	     f, n, on_got);
}

/* --- put --- */

static void member(struct dif_op *op, struct dif_text *t, const char *name, const char *value)
{
	if (value != NULL) {
		host->add(t, ",\"%s\":\"%s\"", name, json(op, value));
	}
}

/* The object's properties as JSON. */
static const char *properties(struct dif_op *op, const struct dif_put *in)
{
	const struct self *s = op->self;
	struct dif_text *t = host->text(op);
	host->add(t, "{\"name\":\"%s\"", json(op, in->key));
	member(op, t, "contentType", in->type != NULL ? in->type : DEFAULT_TYPE);
	member(op, t, "contentEncoding", in->encoding);
	member(op, t, "cacheControl", in->cache != NULL ? in->cache : DEFAULT_CACHE);
	member(op, t, "storageClass", s->storage_class);
	if (in->use == DIF_CRC32C || in->use == DIF_MD5) {
		const struct dif_bytes *d = &in->blob->digest[in->use];
		member(op, t, in->use == DIF_CRC32C ? "crc32c" : "md5Hash",
		       host->enc(op, DIF_BASE64, d->p, d->n));
	}
	host->add(t, ",\"metadata\":{");
	for (uint32_t i = 0; i < in->nmeta; i++) {
		host->add(t, "%s\"%s\":\"%s\"", i > 0 ? "," : "", json(op, in->meta[i].name),
		          json(op, in->meta[i].value));
	}
	host->add(t, "}}");
	return host->end(t).p;
}

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	if (!no_bucket(op, r)) {
		on_resource(op, r);
	}
}

static void put(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	uint8_t nonce
		[16]; /* content may be anything, so the boundary is one that nobody can guess */
	host->random(op, nonce, sizeof nonce);
	const char *boundary = host->enc(op, DIF_HEX, nonce, sizeof nonce);
	const char *before = host->fmt(op,
	                               "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n"
	                               "\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n",
	                               boundary, properties(op, in), boundary,
	                               in->type != NULL ? in->type : DEFAULT_TYPE);
	const char *after = host->fmt(op, "\r\n--%s--\r\n", boundary);
	const struct dif_piece body[] = {{.bytes = {before, strlen(before)}},
	                                 {.blob = in->blob, .length = in->blob->size},
	                                 {.bytes = {after, strlen(after)}}};
	const char *condition = in->if_absent ? "&ifGenerationMatch=0" : "";
	if (in->if_tag != NULL) {
		condition = host->fmt(op, "&ifGenerationMatch=%s", query(op, in->if_tag));
	}
	const char *url = host->fmt(op, "%s?uploadType=multipart&fields=%s%s",
	                            objects(op, "/upload"), PROPERTIES, condition);
	const struct dif_field type = {"content-type",
	                               host->fmt(op, "multipart/related; boundary=%s", boundary)};
	send(op,
	     &(struct dif_http){
		     .method = "POST", .url = url, .body = body, .npieces = DIF_LEN(body)},
	     &type, 1, on_put);
}

/* --- remove --- */

static void on_removed(struct dif_op *op, const struct dif_reply *r)
{
	struct dif_item item = {.index = 0, .cls = DIF_OK};
	if (r->status == 412) {
		item = (struct dif_item){.cls = DIF_CONFLICT,
		                         .code = "conditionNotMet",
		                         .what = "the object has changed"};
	} else if (r->status != 404 && !host->good(op, r)) {
		return;
	}
	host->item(op, &item);
	host->done(op, &(struct dif_result){0});
}

static void remove_one(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	const char *tag = in->tags == NULL ? NULL : in->tags[0];
	const char *url = object(op, in->keys[0]);
	if (tag != NULL) {
		url = host->fmt(op, "%s?ifGenerationMatch=%s", url, query(op, tag));
	}
	send(op, &(struct dif_http){.method = "DELETE", .url = url}, NULL, 0, on_removed);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "bucket",
         .help = "the bucket's name",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 3,
         .max = 222,
         .offset = offsetof(struct self, bucket)},
	{.name = "credentials",
         .help = "JSON file of a service account, only readable by us",
         .type = DIF_FILE_PATH,
         .flags = DIF_NEEDED,
         .env = "GOOGLE_APPLICATION_CREDENTIALS",
         .offset = offsetof(struct self, google.credentials)},
	{.name = "endpoint",
         .def = "https://storage.googleapis.com",
         .help = "the server",
         .type = DIF_URL,
         .offset = offsetof(struct self, endpoint)},
	{.name = "storage_class",
         .help = "class of what we store; without: the bucket's own",
         .type = DIF_ENUM,
         .choices = "STANDARD NEARLINE COLDLINE ARCHIVE",
         .offset = offsetof(struct self, storage_class)},
};

static bool open_gcs(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	const char *scheme, *authority, *path;
	if (s->bucket[strspn(s->bucket, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') {
		o->refuse(o, "bucket '%s' cannot be a name: only a-z, 0-9, '.', '_' and '-'",
		          s->bucket);
		return false;
	}
	if (!o->url(o, s->endpoint, &scheme, &authority, &path)) {
		o->refuse(o, "endpoint '%s' is not an address; write https://HOST", s->endpoint);
		return false;
	}
	size_t n = strlen(s->endpoint);
	while (n > 0 && s->endpoint[n - 1] == '/') {
		n--;
	}
	s->endpoint = o->fmt(o, "%.*s", (int)n, s->endpoint);
	s->google.scope = SCOPE;
	const char *const hosts[] = {authority, GOOGLE_TOKEN_HOSTS};
	memcpy(s->hosts, hosts, sizeof hosts);
	*c = (struct dif_caps){.size = sizeof *c,
	                       .flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE | DIF_CAP_LIST_META |
	                                DIF_CAP_UNIQUE_TAG | DIF_CAP_HEADERS,
	                       .hosts = s->hosts,
	                       .put_max = PUT_MAX,
	                       .delete_max = 1,
	                       .list_max = 1000,
	                       .key_max = KEY_MAX,
	                       .meta_max = META_MAX,
	                       .digests = {DIF_CRC32C},
	                       .writes_per_s = 1000,
	                       .key_writes_per_s = 1,
	                       .renew_before_s = GOOGLE_RENEW_BEFORE_S,
	                       .clock_window_s = GOOGLE_CLOCK_WINDOW_S};
	return true;
}

static const struct dif_store store = {
	.c = {.size = sizeof store,
              .self_size = sizeof(struct self),
              .faults = google_faults,
              .explain = google_explain,
              .open = open_gcs,
              .probe = probe,
              .login = google_login},
	.list = list,
	.head = head,
	.get = get,
	.put = put,
	.remove = remove_one,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STORE,
         .flags = DIF_OFFER_HTTP,
         .name = "gcs",
         .what = "Google Cloud Storage",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &store.c},
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
