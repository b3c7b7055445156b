/* s3 - Amazon S3 and what speaks like it.
 *
 * Reading is in s3_read.c, writing in s3_write.c. Here: options, what open makes of them, and what
 * failures mean. Facts and decisions: docs/notes/s3.md.
 */
#include "s3.h"

static const struct dif_option options[] = {
	{.name = "bucket",
         .help = "the bucket's name",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 3,
         .max = 63,
         .offset = offsetof(struct s3, bucket)},
	{.name = "region",
         .def = "us-east-1",
         .help = "the bucket's region",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .env = "AWS_REGION AWS_DEFAULT_REGION",
         .offset = offsetof(struct s3, region)},
	{.name = "endpoint",
         .help = "another server that speaks S3; without it, that of AWS in the region",
         .type = DIF_URL,
         .max = 1024,
         .env = "AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL",
         .offset = offsetof(struct s3, endpoint)},
	{.name = "path_style",
         .def = "no",
         .help = "the bucket in the path instead of the host name; always so where the endpoint is "
                 "an address or localhost, and under https where the bucket's name has a dot",
         .type = DIF_BOOL,
         .offset = offsetof(struct s3, path_style)},
	{.name = "storage_class",
         .help = "storage class of new objects, such as STANDARD_IA",
         .type = DIF_STRING,
         .min = 1,
         .max = 64,
         .offset = offsetof(struct s3, storage_class)},
	{.name = "sse",
         .help = "server-side encryption of new objects; without it, as the bucket says",
         .type = DIF_ENUM,
         .choices = "AES256 aws:kms aws:kms:dsse",
         .offset = offsetof(struct s3, sse)},
	{.name = "kms_key",
         .help = "the key for sse = aws:kms, as id, ARN or alias",
         .type = DIF_STRING,
         .min = 1,
         .max = 2048,
         .offset = offsetof(struct s3, kms_key)},
	{.name = "checksum",
         .def = "auto",
         .help = "what guards an upload: auto is the signed SHA-256 of the body, md5, sha256 and "
                 "crc32c add a header of their own, none leaves it to TLS",
         .type = DIF_ENUM,
         .choices = "auto none md5 sha256 crc32c",
         .offset = offsetof(struct s3, checksum)},
	AWS_LOGIN_OPTIONS(struct s3, login),
};

/* Code before status: the same status stands for several codes. */
static const struct dif_fault faults[] = {
	{400, "RequestTimeout", DIF_TRANSIENT},
	{400, "IncompleteBody", DIF_TRANSIENT},
	{400, "ExpiredToken", DIF_AUTH},
	{400, "InvalidToken", DIF_AUTH},
	{400, "TokenRefreshRequired", DIF_AUTH},
	{400, "BadDigest", DIF_INTEGRITY},
	{400, "InvalidDigest", DIF_INTEGRITY},
	{400, "XAmzContentSHA256Mismatch", DIF_INTEGRITY},
	{400, "XAmzContentChecksumMismatch", DIF_INTEGRITY},
	{403, "RequestTimeTooSkewed", DIF_AUTH}, /* the host sets its clock by the reply */
	{404, "NoSuchBucket", DIF_PERMANENT},
	AWS_LOGIN_FAULTS,
	{0, "SlowDown", DIF_THROTTLED},
	{0, "Throttling", DIF_THROTTLED},
	{0, "ThrottlingException", DIF_THROTTLED},
	{0, "RequestLimitExceeded", DIF_THROTTLED},
	{0, "TooManyRequests", DIF_THROTTLED},
	{0, "TooManyRequestsException", DIF_THROTTLED},
	{0, "BandwidthLimitExceeded", DIF_THROTTLED},
	{0, "InternalError", DIF_TRANSIENT},
	/* per-key results of a bulk delete come without a status */
	{0, "AccessDenied", DIF_AUTH},
	{0, "NoSuchKey", DIF_NOT_FOUND},
	{0, "PreconditionFailed", DIF_CONFLICT},
	{0, "ConditionalRequestConflict", DIF_CONFLICT},
	{0, "OperationAborted", DIF_CONFLICT},
	{0, NULL, DIF_OK}, /* 409 and 412: conflict; 501, 3xx: permanent */
};

/* 301, 307 and 400 AuthorizationHeaderMalformed mean that the bucket lives elsewhere; a HEAD tells
 * it only by a header. */
static const char *elsewhere(struct dif_op *op, const struct dif_reply *r, const struct dif_node *e)
{
	const struct s3 *s = op->self;
	const char *region = host->field(r, "x-amz-bucket-region", 0);
	if (region == NULL || *region == '\0') {
		region = host->str(host->get(e, "Region"));
	}
	const char *endpoint = host->str(host->get(e, "Endpoint"));
	if (r->status != 301 && r->status != 307 && r->status != 400) {
		return NULL;
	}
	if (*region != '\0' && strcmp(region, s->region) != 0) {
		return host->fmt(op, "bucket '%s' is in region '%.64s', not '%s': set region",
		                 s->bucket, region, s->region);
	}
	if (r->status != 400 && *endpoint != '\0') {
		return host->fmt(op, "bucket '%s' must be addressed as '%.255s': set endpoint",
		                 s->bucket, endpoint);
	}
	return NULL;
}

static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *e = aws_explain(op, r, code, what);
	const char *hint = elsewhere(op, r, e);
	if (hint != NULL) {
		*what = hint;
	}
}

const struct s3_checksum s3_checksums[] = {
	{"md5", "content-md5", DIF_MD5, 16},
	{"sha256", "x-amz-checksum-sha256", DIF_SHA256, 32},
	{"crc32c", "x-amz-checksum-crc32c", DIF_CRC32C, 4},
	{"crc32", "x-amz-checksum-crc32", DIF_CRC32, 4},
	{"crc64nvme", "x-amz-checksum-crc64nvme", DIF_CRC64NVME, 8},
	{NULL, NULL, DIF_NO_DIGEST, 0},
};

/* --- open --- */

/* No bucket has a name below an address, a machine of the LAN (its name may end in a digit too), or
 * localhost. */
static bool is_local(const char *authority)
{
	size_t n = *authority == '[' ? 0 : strcspn(authority, ":");
	return n == 0 || (authority[n - 1] >= '0' && authority[n - 1] <= '9') ||
	       (n == 9 && memcmp(authority, "localhost", n) == 0);
}

static bool open_address(struct s3 *s, struct dif_opening *o)
{
	const char *authority = NULL, *path = NULL;
	const char *url = s->endpoint;
	if (url == NULL) {
		bool china = strncmp(s->region, "cn-", 3) == 0;
		url = o->fmt(o, "https://s3.%s.amazonaws.com%s", s->region, china ? ".cn" : "");
	}
	if (!o->url(o, url, &s->scheme, &authority, &path)) {
		o->refuse(o, "endpoint '%s' is not a URL: write https://host", url);
		return false;
	}
	authority = aws_host(o, s->scheme, authority);
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	bool dotted = strchr(s->bucket, '.') != NULL && strcmp(s->scheme, "https") == 0;
	if (s->path_style || dotted || is_local(authority)) {
		s->authority = authority;
		s->base = o->fmt(o, "%.*s/%s", (int)n, path, s->bucket);
	} else {
		s->authority = o->fmt(o, "%s.%s", s->bucket, authority);
		s->base = o->fmt(o, "%.*s", (int)n, path);
	}
	s->hosts[0] = s->authority;
	return true;
}

static bool open_checksum(struct s3 *s, struct dif_opening *o, struct dif_caps *caps)
{
	s->unsigned_payload = strcmp(s->checksum, "none") == 0;
	if (s->unsigned_payload && strcmp(s->scheme, "https") != 0) {
		o->refuse(o, "checksum = none leaves the bytes to TLS: it needs https");
		return false;
	}
	for (const struct s3_checksum *c = s3_checksums; c->name != NULL; c++) {
		if (strcmp(s->checksum, c->name) == 0) {
			s->guard = c;
		}
	}
	caps->digests[0] = s->guard != NULL ? s->guard->digest : DIF_SHA256;
	return true;
}

/* Names that would need an encoding in the path or host are none of a bucket. */
static bool is_bucket(const char *name)
{
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_") ==
	               strlen(name) &&
	       *name != '.';
}

static bool open_store(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct s3 *s = self;
	if (!is_bucket(s->bucket)) {
		o->refuse(o, "bucket '%s' is not the name of a bucket", s->bucket);
		return false;
	}
	if (s->kms_key != NULL && (s->sse == NULL || strcmp(s->sse, "AES256") == 0)) {
		o->refuse(o, "kms_key has no effect without sse = aws:kms");
		return false;
	}
	if (!open_address(s, o) || !open_checksum(s, o, caps) ||
	    !aws_login_open(&s->login, o, s->region, s->hosts + 1)) {
		return false;
	}
	caps->hosts = s->hosts;
	caps->flags = DIF_CAP_COND | DIF_CAP_HEADERS;
	caps->put_max = 5ull << 30;
	caps->delete_max = KEYS_MAX;
	caps->list_max = KEYS_MAX;
	caps->part_min = 5ull << 20;
	caps->part_max = 5ull << 30;
	caps->part_align = 1;
	caps->part_count = 10000;
	caps->part_parallel = PARTS_AT_ONCE;
	caps->part_digest = s->unsigned_payload ? DIF_NO_DIGEST : DIF_SHA256;
	caps->key_max = 1024;
	caps->meta_max = 2048;
	caps->renew_before_s = AWS_RENEW_BEFORE_S;
	caps->clock_window_s = AWS_CLOCK_WINDOW_S;
	return true;
}

/* --- calls --- */

const struct aws_login *aws_login_of(const struct dif_op *op)
{
	const struct s3 *s = op->self;
	return &s->login;
}

const char *s3_key_path(struct dif_op *op, const char *key)
{
	const struct s3 *s = op->self;
	return host->fmt(op, "%s/%s", s->base, host->enc(op, DIF_PATH, key, strlen(key)));
}

const char *s3_bucket_path(struct dif_op *op)
{
	const struct s3 *s = op->self;
	return *s->base != '\0' ? s->base : "/";
}

struct aws_call s3_call(struct dif_op *op, const char *method, const char *path)
{
	const struct s3 *s = op->self;
	return (struct aws_call){
		.method = method, .scheme = s->scheme, .host = s->authority, .path = path};
}

void s3_send(struct dif_op *op, struct aws_call *c, dif_step *next)
{
	const struct s3 *s = op->self;
	struct aws_signer who = aws_signer(op, s->region, "s3");
	aws_send(op, &who, c, next);
}

/* --- descriptor --- */

static const struct dif_store store = {
	.c = {.size = sizeof(struct dif_store),
              .self_size = sizeof(struct s3),
              .scratch_size = sizeof(struct aws_login_work),
              .faults = faults,
              .explain = explain,
              .open = open_store,
              .probe = s3_probe,
              .login = aws_login},
	.list = s3_list,
	.head = s3_head,
	.get = s3_get,
	.put = s3_put,
	.remove = s3_remove,
	.part_begin = s3_part_begin,
	.part_put = s3_part_put,
	.part_finish = s3_part_finish,
	.part_abort = s3_part_abort,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STORE,
         .flags = DIF_OFFER_HTTP,
         .name = "s3",
         .what = "Amazon S3 and servers that speak like it",
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

/* `log` was the last service of ABI 1.0, and nothing later is used. */
const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR ||
	    h->size < offsetof(struct dif_host, log) + sizeof h->log) {
		return NULL;
	}
	host = h;
	return &plugin;
}
