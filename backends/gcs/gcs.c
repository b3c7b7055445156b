/* gcs - Google Cloud Storage by its JSON API.
 *
 *   gcs.c        the instance, and what the others share
 *   gcs_read.c   list, probe, head, get
 *   gcs_write.c  put, remove
 *   gcs_part.c   large objects by a resumable session
 *
 * The tag is the generation: it never returns, and conditions take it as it is. One name takes one
 * write a second, a bucket a thousand at the start; the caps say both.
 */
#include "gcs.h"

#define KEY_MAX 1024
#define META_MAX 8192
#define PART_MAX (64u << 20)
#define SCOPE "https://www.googleapis.com/auth/devstorage.read_write"

const struct dif_host *host;

const struct google_self *google_of(const struct dif_op *op)
{
	return &gcs_of(op)->google;
}

const char *gcs_objects(struct dif_op *op, const char *before)
{
	return host->fmt(op, "%s%s/storage/v1/b/%s/o", gcs_of(op)->endpoint, before,
	                 gcs_of(op)->bucket);
}

const char *gcs_object(struct dif_op *op, const char *key)
{
	return host->fmt(op, "%s/%s", gcs_objects(op, ""), google_query(op, key));
}

void gcs_send(struct dif_op *op, struct dif_http *h, const struct dif_field *extra, uint32_t nextra,
              dif_step *next)
{
	struct dif_field f[GCS_EXTRA + 2] = {
		{"authorization", host->fmt(op, "Bearer %s", op->cred->part[0])}};
	h->fields = f;
	h->nfields = 1;
	if (google_of(op)->project != NULL) {
		f[h->nfields++] = (struct dif_field){"x-goog-user-project", google_of(op)->project};
	}
	for (uint32_t i = 0; i < nextra; i++) {
		f[h->nfields++] = extra[i];
	}
	host->http(op, h, next);
}

bool gcs_no_bucket(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status != 404) {
		return false;
	}
	host->fail(op, DIF_PERMANENT, "notFound",
	           "bucket '%s' does not exist, or this account may not see it",
	           gcs_of(op)->bucket);
	return true;
}

bool gcs_number(const char *s, uint64_t *out)
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
	if (*s != '\0') {
		return false;
	}
	*out = n;
	return true;
}

/* --- objects --- */

void gcs_digest_of(struct dif_op *op, const char *text, enum dif_digest digest, size_t size,
                   struct dif_object *o)
{
	struct dif_bytes d = host->dec(op, DIF_BASE64, text);
	if (d.p != NULL && d.n == size) {
		o->digest[digest] = d;
		o->has |= DIF_HAS(digest);
	}
}

static const char *told(const struct dif_node *j, const char *name)
{
	const char *s = google_text(j, name);
	return *s == '\0' ? NULL : s;
}

void gcs_object_of(struct dif_op *op, const struct dif_node *j, struct dif_object *o)
{
	int64_t when = host->undate(google_text(j, "updated"));
	*o = (struct dif_object){.key = google_text(j, "name"),
	                         .tag = google_text(j, "generation"),
	                         .size = host->num(op, host->get(j, "size"), GCS_PUT_MAX),
	                         .modified = when > 0 ? when : 0,
	                         .meta_known = 1,
	                         .type = told(j, "contentType"),
	                         .encoding = told(j, "contentEncoding"),
	                         .cache = told(j, "cacheControl")};
	gcs_digest_of(op, google_text(j, "crc32c"), DIF_CRC32C, 4, o);
	gcs_digest_of(op, google_text(j, "md5Hash"), DIF_MD5, 16, o);
	o->nmeta = host->fields_of(op, host->get(j, "metadata"), &o->meta);
}

bool gcs_resource(struct dif_op *op, const struct dif_reply *r, struct dif_result *res)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return false;
	}
	gcs_object_of(op, j, &res->object);
	if (*res->object.tag == '\0' || *res->object.key == '\0') {
		host->refuse(op, r, "", "the answer names no object and generation");
		return false;
	}
	return true;
}

void gcs_on_resource(struct dif_op *op, const struct dif_reply *r)
{
	struct dif_result res = {0};
	if (gcs_resource(op, r, &res)) {
		host->done(op, &res);
	}
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "bucket",
         .help = "the bucket's name",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 3,
         .max = 222,
         .offset = offsetof(struct gcs, bucket)},
	GOOGLE_OPTIONS(struct gcs, google),
	{.name = "endpoint",
         .def = "https://storage.googleapis.com",
         .help = "the server",
         .type = DIF_URL,
         .offset = offsetof(struct gcs, endpoint)},
	{.name = "storage_class",
         .help = "class of what we store; without: the bucket's own",
         .type = DIF_ENUM,
         .choices = "STANDARD NEARLINE COLDLINE ARCHIVE",
         .offset = offsetof(struct gcs, storage_class)},
};

static bool open_gcs(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct gcs *s = instance;
	const char *authority = NULL;
	if (s->bucket[strspn(s->bucket, "abcdefghijklmnopqrstuvwxyz0123456789._-")] != '\0') {
		o->refuse(o, "bucket '%s' cannot be a name: only a-z, 0-9, '.', '_' and '-'",
		          s->bucket);
		return false;
	}
	s->endpoint = google_endpoint(o, s->endpoint, &authority);
	s->google.scope = SCOPE;
	if (s->endpoint == NULL || !google_open(&s->google, o, authority)) {
		return false;
	}
	*c = (struct dif_caps){.size = sizeof *c,
	                       .flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE | DIF_CAP_LIST_META |
	                                DIF_CAP_UNIQUE_TAG | DIF_CAP_HEADERS,
	                       .hosts = s->google.hosts,
	                       .put_max = GCS_PUT_MAX,
	                       .delete_max = 1,
	                       .list_max = 1000,
	                       .key_max = KEY_MAX,
	                       .meta_max = META_MAX,
	                       .digests = {DIF_CRC32C, DIF_MD5},
	                       .part_min = GCS_PART_ALIGN,
	                       .part_max = PART_MAX,
	                       .part_align = GCS_PART_ALIGN,
	                       .part_count = (uint32_t)(GCS_PUT_MAX / PART_MAX),
	                       .part_parallel = 1,
	                       .writes_per_s = 1000,
	                       .key_writes_per_s = 1,
	                       .renew_before_s = GOOGLE_RENEW_BEFORE_S,
	                       .clock_window_s = GOOGLE_CLOCK_WINDOW_S};
	return true;
}

static const struct dif_store store = {
	.c = {.size = sizeof store,
              .self_size = sizeof(struct gcs),
              .scratch_size = sizeof(struct google_login),
              .faults = google_faults,
              .explain = google_explain,
              .open = open_gcs,
              .probe = gcs_probe,
              .login = google_login},
	.list = gcs_list,
	.head = gcs_head,
	.get = gcs_get,
	.put = gcs_put,
	.remove = gcs_remove,
	.part_begin = gcs_part_begin,
	.part_put = gcs_part_put,
	.part_finish = gcs_part_finish,
	.part_abort = gcs_part_abort,
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
