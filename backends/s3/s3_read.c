/* s3_read - list, head and get.
 *
 * A list page is believed only as a whole: its root, every row and what it says about a next page
 * must fit, else the page is refused and nothing of it counts. A row tells neither metadata nor a
 * digest: an ETag is the MD5 only where the object is not encrypted with KMS, which only a HEAD
 * tells.
 */
#include "s3.h"

/* --- list: one page --- */

/* With encoding-type=url keys come as a form would send them; a server that ignores the wish says
 * so by leaving out EncodingType. NULL: it is no key. */
static const char *key_of(struct dif_op *op, const struct dif_node *row, bool encoded)
{
	const char *raw = host->str(host->get(row, "Key"));
	if (!encoded) {
		return *raw != '\0' ? raw : NULL;
	}
	struct dif_bytes b = host->dec(op, DIF_QUERY, raw);
	return b.p != NULL && b.n > 0 && strlen(b.p) == b.n ? b.p : NULL;
}

static bool add_row(struct dif_op *op, const struct dif_node *row, bool encoded)
{
	const struct dif_list *in = op->in;
	struct dif_object o = {
		.key = key_of(op, row, encoded),
		.tag = host->str(host->get(row, "ETag")),
		.modified = host->undate(host->str(host->get(row, "LastModified"))),
	};
	if (o.key == NULL || *o.tag == '\0' ||
	    strncmp(o.key, in->prefix, strlen(in->prefix)) != 0) {
		return false;
	}
	o.size = host->num(op, host->get(row, "Size"), INT64_MAX);
	o.modified = o.modified < 0 ? 0 : o.modified;
	host->object(op, &o);
	return true;
}

static void on_page(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_list *in = op->in;
	const struct dif_node *page = host->tree(op, r, DIF_AS_XML, "ListBucketResult");
	if (page == NULL) {
		return;
	}
	bool encoded = strcmp(host->str(host->get(page, "EncodingType")), "url") == 0;
	const struct dif_node *row = NULL;
	while ((row = host->next(page, "Contents", row)) != NULL) {
		if (!add_row(op, row, encoded)) {
			host->refuse(op, r, "", "a row of the list is none of the asked prefix");
			return;
		}
	}
	const char *more = host->str(host->get(page, "IsTruncated"));
	const char *next = host->str(host->get(page, "NextContinuationToken"));
	if (strcmp(more, "true") != 0 && strcmp(more, "false") != 0) {
		host->refuse(op, r, "", "the list does not tell whether it is the last page");
		return;
	}
	bool last = strcmp(more, "false") == 0;
	if (!last && (*next == '\0' || (in->cursor != NULL && strcmp(next, in->cursor) == 0))) {
		host->refuse(op, r, "", "the list goes on but does not tell where");
		return;
	}
	host->done(op, &(struct dif_result){.cursor = last ? NULL : next});
}

static void ask_page(struct dif_op *op, const char *prefix, const char *cursor, uint32_t max,
                     dif_step *next)
{
	struct aws_call c = s3_call(op, "GET", s3_bucket_path(op));
	const char *from = "";
	if (cursor != NULL) {
		from = host->fmt(op, "continuation-token=%s&", aws_query(op, cursor));
	}
	c.query = host->fmt(op, "%sencoding-type=url&list-type=2&max-keys=%u&prefix=%s", from, max,
	                    aws_query(op, prefix));
	c.reply_max = PAGE_MAX;
	s3_send(op, &c, next);
}

void s3_list(struct dif_op *op)
{
	const struct dif_list *in = op->in;
	uint32_t max = in->max > 0 && in->max < KEYS_MAX ? in->max : KEYS_MAX;
	ask_page(op, in->prefix, in->cursor, max, on_page);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->tree(op, r, DIF_AS_XML, "ListBucketResult") != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

/* A list, because without the right to list a missing key reads as 403, and no list means no
 * repair. */
void s3_probe(struct dif_op *op)
{
	ask_page(op, "", NULL, 1, on_probe);
}

/* --- head and get --- */

/* The number that s begins with; UINT64_MAX: none. */
static uint64_t decimal(const char *s)
{
	uint64_t n = s != NULL && *s >= '0' && *s <= '9' ? 0 : UINT64_MAX;
	for (; n <= (INT64_MAX - 9) / 10 && *s >= '0' && *s <= '9'; s++) {
		n = n * 10 + (uint64_t)(*s - '0');
	}
	return n != UINT64_MAX && *s >= '0' && *s <= '9' ? UINT64_MAX : n;
}

/* Of the whole object: "bytes 0-9/443" tells it behind the slash. UINT64_MAX: not told. */
static uint64_t size_of(const struct dif_reply *r)
{
	if (r->status != 206) {
		return decimal(host->field(r, "content-length", 0));
	}
	const char *range = host->field(r, "content-range", 0);
	const char *slash = range != NULL ? strchr(range, '/') : NULL;
	return slash != NULL ? decimal(slash + 1) : UINT64_MAX;
}

static void add_digest(struct dif_object *o, uint32_t digest, struct dif_bytes b, uint64_t size)
{
	if (b.p != NULL && b.n == size) {
		o->has |= DIF_HAS(digest);
		o->digest[digest] = b;
	}
}

struct dif_bytes s3_tag_md5(struct dif_op *op, const char *tag)
{
	return strlen(tag) == 34 ? host->dec(op, DIF_HEX, host->fmt(op, "%.32s", tag + 1))
	                         : (struct dif_bytes){NULL, 0};
}

/* An ETag of 32 hex digits is the MD5, unless a key of KMS or of the customer is in play. */
static void add_tag_digest(struct dif_op *op, const struct dif_reply *r, struct dif_object *o)
{
	const char *sse = host->field(r, "x-amz-server-side-encryption", 0);
	bool own_key = host->field(r, "x-amz-server-side-encryption-customer-algorithm", 0) != NULL;
	if (!own_key && (sse == NULL || strcmp(sse, "AES256") == 0)) {
		add_digest(o, DIF_MD5, s3_tag_md5(op, o->tag), 16);
	}
}

void s3_describe(struct dif_op *op, const struct dif_reply *r, struct dif_object *o)
{
	o->tag = host->field(r, "etag", 0);
	o->tag = o->tag != NULL ? o->tag : "";
	add_tag_digest(op, r, o);
	const char *type = host->field(r, "x-amz-checksum-type", 0);
	if (type != NULL && strcmp(type, "FULL_OBJECT") != 0) {
		return; /* of the parts, not of the bytes */
	}
	for (const struct s3_checksum *c = s3_checksums; c->name != NULL; c++) {
		const char *value = host->field(r, c->field, 0);
		if (value != NULL && c->digest != DIF_MD5) {
			add_digest(o, c->digest, host->dec(op, DIF_BASE64, value), c->size);
		}
	}
}

static void on_object(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	struct dif_result res = {.object = {.key = in->key}};
	if (r->status == 304) {
		res.not_modified = 1;
		res.object.tag = in->unless_tag;
		host->done(op, &res);
		return;
	}
	if (!host->good(op, r)) {
		return;
	}
	if (in->sink != NULL && r->body.n > 0) { /* it did not go into the sink */
		host->refuse(op, r, "", "the reply is not the asked part of the asked object");
		return;
	}
	struct dif_object *o = &res.object;
	s3_describe(op, r, o);
	o->size = size_of(r);
	if (*o->tag == '\0' || o->size == UINT64_MAX) {
		host->refuse(op, r, "", "the reply tells no ETag or no length");
		return;
	}
	const char *modified = host->field(r, "last-modified", 0);
	o->modified = modified != NULL ? host->undate(modified) : 0;
	o->modified = o->modified < 0 ? 0 : o->modified;
	o->type = host->field(r, "content-type", 0);
	o->encoding = host->field(r, "content-encoding", 0);
	o->cache = host->field(r, "cache-control", 0);
	o->nmeta = host->metas(op, r, "x-amz-meta-", &o->meta);
	o->meta_known = 1;
	res.total = o->size;
	host->done(op, &res);
}

static void ask_object(struct dif_op *op, const char *method)
{
	const struct s3 *s = op->self;
	const struct dif_get *in = op->in;
	struct aws_call c = s3_call(op, method, s3_key_path(op, in->key));
	aws_field(&c, "if-match", in->if_tag);
	aws_field(&c, "if-none-match", in->unless_tag);
	if (in->length > 0 || in->offset > 0) {
		unsigned long long from = in->offset, last = in->offset + in->length - 1;
		const char *to = in->length > 0 ? host->fmt(op, "%llu", last) : "";
		aws_field(&c, "range", host->fmt(op, "bytes=%llu-%s", from, to));
	}
	if (s->guard != NULL && s->guard->digest != DIF_MD5) {
		aws_field(&c, "x-amz-checksum-mode", "ENABLED");
	}
	if (in->sink != NULL) {
		c.into = in;
	}
	s3_send(op, &c, on_object);
}

void s3_head(struct dif_op *op)
{
	ask_object(op, "HEAD");
}

void s3_get(struct dif_op *op)
{
	ask_object(op, "GET");
}
