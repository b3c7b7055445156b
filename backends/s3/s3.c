/* s3 - Amazon S3 and what speaks like it.
 *
 * Reading is in s3_read.c, writing in s3_write.c. Here: options, what open makes of them, and what
 * failures mean. Facts and decisions: docs/notes/s3.md.
 */
#include "s3.h"

#define AT(member) offsetof(struct s3, member)
static const struct dif_option options[] = {
	{"bucket", NULL, "the bucket's name", DIF_STRING, DIF_NEEDED, 3, 63, NULL, NULL, AT(bucket),
         0},
	{"region", "us-east-1", "the bucket's region", DIF_STRING, 0, 1, 64, NULL,
         "AWS_REGION AWS_DEFAULT_REGION", AT(region), 0},
	{"endpoint", NULL, "another server that speaks S3; without it, that of AWS in the region",
         DIF_URL, 0, 0, 1024, NULL, "AWS_ENDPOINT_URL_S3 AWS_ENDPOINT_URL", AT(endpoint), 0},
	{"path_style", "no",
         "the bucket in the path instead of the host name; always so where the endpoint is an "
         "address or localhost, and under https where the bucket's name has a dot",
         DIF_BOOL, 0, 0, 0, NULL, NULL, AT(path_style), 0},
	{"storage_class", NULL, "storage class of new objects, such as STANDARD_IA", DIF_STRING, 0,
         1, 64, NULL, NULL, AT(storage_class), 0},
	{"sse", NULL, "server-side encryption of new objects; without it, as the bucket says",
         DIF_ENUM, 0, 0, 0, "AES256 aws:kms aws:kms:dsse", NULL, AT(sse), 0},
	{"kms_key", NULL, "the key for sse = aws:kms, as id, ARN or alias", DIF_STRING, 0, 1, 2048,
         NULL, NULL, AT(kms_key), 0},
	{"checksum", "auto",
         "what guards an upload: auto is the signed SHA-256 of the body, or what else the server "
         "enforces; md5, sha256 and crc32c add a header of their own, none leaves it to TLS",
         DIF_ENUM, 0, 0, 0, "auto none md5 sha256 crc32c", NULL, AT(checksum), 0},
	AWS_LOGIN_OPTIONS(struct s3, login),
};

/* Code before status: the same status stands for several codes. */
static const struct dif_fault faults[] = {
	AWS_FAULTS,
	{400, "IncompleteBody", DIF_TRANSIENT},
	{400, "BadDigest", DIF_INTEGRITY},
	{400, "InvalidDigest", DIF_INTEGRITY},
	{400, "XAmzContentSHA256Mismatch", DIF_INTEGRITY},
	{400, "XAmzContentChecksumMismatch", DIF_INTEGRITY},
	{404, "NoSuchBucket", DIF_PERMANENT},
	{0, "SlowDown", DIF_THROTTLED},
	/* results of a bulk delete and of the end of an upload come without a status */
	{0, "NoSuchKey", DIF_NOT_FOUND},
	{0, "NoSuchUpload", DIF_NOT_FOUND},
	{0, "PreconditionFailed", DIF_CONFLICT},
	{0, "ConditionalRequestConflict", DIF_CONFLICT},
	{0, "OperationAborted", DIF_CONFLICT},
	{0, NULL, DIF_OK}, /* 409 and 412: conflict; 501, 3xx: permanent */
};

/* 301, 307 and 400 AuthorizationHeaderMalformed mean that the bucket lives elsewhere; a HEAD tells
 * it only by a header. */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct s3 *s = op->self;
	const struct dif_node *e = aws_explain(op, r, code, what);
	const char *endpoint = host->str(host->get(e, "Endpoint"));
	const char *region = host->field(r, "x-amz-bucket-region", 0);
	if (region == NULL || *region == '\0') {
		region = host->str(host->get(e, "Region"));
	}
	bool moved = r->status == 301 || r->status == 307;
	if ((moved || r->status == 400) && *region != '\0' && strcmp(region, s->region) != 0) {
		*what = host->fmt(op, "bucket '%s' is in region '%.64s', not '%s': set region",
		                  s->bucket, region, s->region);
	} else if (moved && *endpoint != '\0') {
		*what = host->fmt(op, "bucket '%s' must be addressed as '%.255s': set endpoint",
		                  s->bucket, endpoint);
	} else if (moved) {
		*what = host->fmt(op, "bucket '%s' is somewhere else: set region and endpoint",
		                  s->bucket);
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
	struct aws_endpoint e;
	if (!aws_endpoint(o, "endpoint", s->endpoint, "s3", s->region, &e)) {
		return false;
	}
	bool dotted = strchr(s->bucket, '.') != NULL && strcmp(e.scheme, "https") == 0;
	bool in_path = s->path_style || dotted || is_local(e.host);
	s->scheme = e.scheme;
	s->authority = in_path ? e.host : o->fmt(o, "%s.%s", s->bucket, e.host);
	s->base = in_path ? o->fmt(o, "%s/%s", e.path, s->bucket) : e.path;
	s->hosts[0] = s->authority;
	return true;
}

static bool open_checksum(struct s3 *s, struct dif_opening *o, struct dif_caps *caps)
{
	static const uint32_t by_cost[] = {DIF_SHA256, DIF_CRC32, DIF_CRC32C, DIF_MD5};
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
	memcpy(caps->digests, by_cost, strcmp(s->checksum, "auto") == 0 ? sizeof by_cost : 0);
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

const char *s3_code(struct dif_op *op, const struct dif_reply *r)
{
	return host->str(host->get(host->parse(op, DIF_AS_XML, r->body), "Error.Code"));
}

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
