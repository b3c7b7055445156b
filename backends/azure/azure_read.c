/* azure_read - list, head and get.
 *
 * A list page is believed only as a whole: its root and every row must fit, else the page is
 * refused and nothing of it counts. It may be short or empty and still not be the last.
 */
#include "azure.h"

static void add_md5(struct dif_op *op, struct dif_object *o, const char *base64)
{
	if (base64 == NULL || *base64 == '\0') {
		return;
	}
	struct dif_bytes b = host->dec(op, DIF_BASE64, base64);
	if (b.p != NULL && b.n == 16) {
		o->has |= DIF_HAS(DIF_MD5);
		o->digest[DIF_MD5] = b;
	}
}

static int64_t when(const char *date)
{
	int64_t t = date != NULL ? host->undate(date) : 0;
	return t < 0 ? 0 : t;
}

static const char *unless_empty(const char *s)
{
	return *s != '\0' ? s : NULL;
}

/* --- list: one page --- */

/* Tags come bare here and in quotes everywhere else. */
static const char *quoted(struct dif_op *op, const char *tag)
{
	return *tag == '"' ? tag : host->fmt(op, "\"%s\"", tag);
}

static bool add_row(struct dif_op *op, const struct dif_node *row)
{
	const struct dif_list *in = op->in;
	const struct dif_node *p = host->get(row, "Properties");
	const struct dif_node *meta = host->get(row, "Metadata");
	const char *tag = host->str(host->get(p, "Etag"));
	struct dif_object o = {.key = host->str(host->get(row, "Name"))};
	if (*o.key == '\0' || *tag == '\0' || strncmp(o.key, in->prefix, strlen(in->prefix)) != 0) {
		return false;
	}
	if (strcmp(host->str(host->get(p, "ResourceType")), "directory") == 0) {
		return true; /* of a hierarchical account: no object */
	}
	o.tag = quoted(op, tag);
	o.size = host->num(op, host->get(p, "Content-Length"), INT64_MAX);
	o.modified = when(host->str(host->get(p, "Last-Modified")));
	o.type = unless_empty(host->str(host->get(p, "Content-Type")));
	o.encoding = unless_empty(host->str(host->get(p, "Content-Encoding")));
	o.cache = unless_empty(host->str(host->get(p, "Cache-Control")));
	add_md5(op, &o, host->str(host->get(p, "Content-MD5")));
	if (in->want_meta) {
		o.nmeta = host->fields_of(op, meta, &o.meta);
		o.meta_known = 1;
	}
	host->object(op, &o);
	return true;
}

static void on_page(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_list *in = op->in;
	const struct dif_node *page = host->tree(op, r, DIF_AS_XML, "EnumerationResults");
	if (page == NULL) {
		return;
	}
	const struct dif_node *rows = host->get(page, "Blobs");
	const struct dif_node *row = NULL;
	if (rows == NULL) {
		host->refuse(op, r, "", "the list page has no list");
		return;
	}
	while ((row = host->next(rows, "Blob", row)) != NULL) {
		if (!add_row(op, row)) {
			host->refuse(op, r, "", "a row of the list is none of the asked prefix");
			return;
		}
	}
	const char *next = host->str(host->get(page, "NextMarker"));
	if (in->cursor != NULL && strcmp(next, in->cursor) == 0) {
		host->refuse(op, r, "", "the list goes on but does not tell where");
		return;
	}
	host->done(op, &(struct dif_result){.cursor = unless_empty(next)});
}

static void ask_page(struct dif_op *op, const struct dif_list *in, uint32_t max, dif_step *next)
{
	struct azure_call c = azure_container(op, "GET");
	azure_ask(&c, "comp", "list");
	azure_ask(&c, "include", in->want_meta ? "metadata" : NULL);
	azure_ask(&c, "marker", in->cursor);
	azure_ask(&c, "maxresults", host->fmt(op, "%u", max));
	azure_ask(&c, "prefix", in->prefix);
	azure_ask(&c, "restype", "container");
	c.reply_max = PAGE_MAX;
	azure_send(op, &c, next);
}

void azure_list(struct dif_op *op)
{
	const struct dif_list *in = op->in;
	ask_page(op, in, in->max > 0 && in->max < ROWS_MAX ? in->max : ROWS_MAX, on_page);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->tree(op, r, DIF_AS_XML, "EnumerationResults") != NULL) {
		host->done(op, &(struct dif_result){0});
	}
}

void azure_probe(struct dif_op *op)
{
	ask_page(op, &(struct dif_list){.prefix = ""}, 1, on_probe);
}

/* --- head and get --- */

uint64_t azure_decimal(const char *s)
{
	uint64_t n = 0;
	if (s == NULL || *s < '0' || *s > '9') {
		return UINT64_MAX;
	}
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (INT64_MAX - 9) / 10) {
			return UINT64_MAX;
		}
		n = n * 10 + (uint64_t)(*s - '0');
	}
	return n;
}

/* Of the whole blob: "bytes 0-9/443" tells it behind the slash. UINT64_MAX: not told. */
static uint64_t size_of(const struct dif_reply *r)
{
	if (r->status != 206) {
		return azure_decimal(host->field(r, "content-length", 0));
	}
	const char *range = host->field(r, "content-range", 0);
	const char *slash = range != NULL ? strchr(range, '/') : NULL;
	return slash != NULL ? azure_decimal(slash + 1) : UINT64_MAX;
}

static void on_object(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	struct dif_result res = {.object = {.key = in->key}};
	struct dif_object *o = &res.object;
	if (r->status == 304) {
		res.not_modified = 1;
		o->tag = in->unless_tag;
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
	o->tag = host->field(r, "etag", 0);
	o->size = size_of(r);
	if (o->tag == NULL || o->size == UINT64_MAX) {
		host->refuse(op, r, "", "the reply tells no ETag or no length");
		return;
	}
	o->modified = when(host->field(r, "last-modified", 0));
	o->type = host->field(r, "content-type", 0);
	o->encoding = host->field(r, "content-encoding", 0);
	o->cache = host->field(r, "cache-control", 0);
	/* of a range, Content-MD5 would be that of the range */
	add_md5(op, o,
	        host->field(r, r->status == 206 ? "x-ms-blob-content-md5" : "content-md5", 0));
	o->nmeta = host->metas(op, r, "x-ms-meta-", &o->meta);
	o->meta_known = 1;
	res.total = o->size;
	host->done(op, &res);
}

static void ask_object(struct dif_op *op, const char *method)
{
	const struct dif_get *in = op->in;
	struct azure_call c = azure_blob(op, method, in->key);
	azure_field(&c, "if-match", in->if_tag);
	azure_field(&c, "if-none-match", in->unless_tag);
	if (in->length > 0) {
		azure_field(&c, "range",
		            host->fmt(op, "bytes=%llu-%llu", (unsigned long long)in->offset,
		                      (unsigned long long)(in->offset + in->length - 1)));
	} else if (in->offset > 0) {
		azure_field(&c, "range",
		            host->fmt(op, "bytes=%llu-", (unsigned long long)in->offset));
	}
	if (in->sink != NULL) {
		c.into = in;
	}
	azure_send(op, &c, on_object);
}

void azure_head(struct dif_op *op)
{
	ask_object(op, "HEAD");
}

void azure_get(struct dif_op *op)
{
	ask_object(op, "GET");
}
