/* gcs_read - list, probe, head and get.
 *
 * What is stored as gzip is inflated on the way to a client that does not accept gzip, and then
 * neither length nor digest fit. So a get accepts gzip. Should the server compress what is stored
 * as identity, the next attempt accepts nothing but identity.
 */
#include "gcs.h"

#define LIST_REPLY_MAX (4 << 20) /* 1000 rows with metadata are below 1.5 MB */

/* --- list --- */

static void on_list(struct dif_op *op, const struct dif_reply *r)
{
	if (gcs_no_bucket(op, r)) {
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
		gcs_object_of(op, n, &o);
		host->object(op, &o);
	}
	const char *page = google_text(j, "nextPageToken");
	host->done(op, &(struct dif_result){.cursor = *page == '\0' ? NULL : page});
}

void gcs_list(struct dif_op *op)
{
	const struct dif_list *in = op->in;
	const char *page = in->cursor == NULL
	                           ? ""
	                           : host->fmt(op, "&pageToken=%s", google_query(op, in->cursor));
	const char *url = host->fmt(
		op, "%s?prefix=%s&maxResults=%u%s&fields=nextPageToken,items(%s)",
		gcs_objects(op, ""), google_query(op, in->prefix), in->max, page, GCS_PROPERTIES);
	gcs_send(op, &(struct dif_http){.method = "GET", .url = url, .reply_max = LIST_REPLY_MAX},
	         NULL, 0, on_list);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (!gcs_no_bucket(op, r) && host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

void gcs_probe(struct dif_op *op)
{
	const char *url = host->fmt(op, "%s?maxResults=1&fields=nextPageToken,items(name)",
	                            gcs_objects(op, ""));
	gcs_send(op, &(struct dif_http){.method = "GET", .url = url}, NULL, 0, on_probe);
}

/* --- head and get --- */

static const char *conditions(struct dif_op *op, const struct dif_get *in)
{
	return host->fmt(op, "%s%s%s%s", in->if_tag == NULL ? "" : "&ifGenerationMatch=",
	                 in->if_tag == NULL ? "" : google_query(op, in->if_tag),
	                 in->unless_tag == NULL ? "" : "&ifGenerationNotMatch=",
	                 in->unless_tag == NULL ? "" : google_query(op, in->unless_tag));
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
		gcs_on_resource(op, r);
	}
}

void gcs_head(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	const char *url = host->fmt(op, "%s?fields=%s%s", gcs_object(op, in->key), GCS_PROPERTIES,
	                            conditions(op, in));
	gcs_send(op, &(struct dif_http){.method = "GET", .url = url}, NULL, 0, on_head);
}

static bool is_gzip(const char *encoding)
{
	return encoding != NULL && strcmp(encoding, "gzip") == 0;
}

/* "crc32c=B64,md5=B64", in one header or two: of the bytes as they are stored. */
static void hashes_of(struct dif_op *op, const struct dif_reply *r, struct dif_object *o)
{
	static const struct {
		const char *name;
		enum dif_digest digest;
		size_t size;
	} known[] = {{"crc32c=", DIF_CRC32C, 4}, {"md5=", DIF_MD5, 16}};
	const char *value;
	for (uint32_t i = 0; (value = host->field(r, "x-goog-hash", i)) != NULL; i++) {
		for (size_t k = 0; k < DIF_LEN(known); k++) {
			const char *at = strstr(value, known[k].name);
			size_t n = strlen(known[k].name);
			if (at != NULL) {
				const char *text =
					host->fmt(op, "%.*s", (int)strcspn(at + n, ", "), at + n);
				gcs_digest_of(op, text, known[k].digest, known[k].size, o);
			}
		}
	}
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
		gcs_number(slash + 1, &res.total);
	}
	if (stored != NULL && strcmp(stored, "identity") != 0) {
		res.object.encoding = stored;
	}
	res.object.size = res.total;
	hashes_of(op, r, &res.object);
	res.object.nmeta = host->metas(op, r, "x-goog-meta-", &res.object.meta);
	res.object.meta_known = 1;
	host->done(op, &res);
}

void gcs_get(struct dif_op *op)
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
	const char *url =
		host->fmt(op, "%s?alt=media%s", gcs_object(op, in->key), conditions(op, in));
	gcs_send(op,
	         &(struct dif_http){
			 .method = "GET", .url = url, .sink = in->sink, .sink_offset = in->offset},
	         f, n, on_got);
}
