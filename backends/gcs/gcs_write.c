/* gcs_write - put and remove.
 *
 * A put is one request of two parts, the object's properties and the bytes, so that bytes, headers,
 * metadata and CRC-32C are judged and stored together.
 *
 * A public object without Cache-Control is cached for an hour by Google itself. So every put says
 * one.
 */
#include "gcs.h"

#define DEFAULT_CACHE "private, max-age=0"

/* --- put --- */

static void member(struct dif_op *op, struct dif_text *t, const char *name, const char *value)
{
	if (value != NULL) {
		host->add(t, ",\"%s\":\"%s\"", name, google_json(op, value));
	}
}

const char *gcs_properties(struct dif_op *op, const struct dif_put *in)
{
	const struct gcs *s = gcs_of(op);
	struct dif_text *t = host->text(op);
	host->add(t, "{\"name\":\"%s\"", google_json(op, in->key));
	member(op, t, "contentType", in->type != NULL ? in->type : GCS_DEFAULT_TYPE);
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
		host->add(t, "%s\"%s\":\"%s\"", i > 0 ? "," : "", google_json(op, in->meta[i].name),
		          google_json(op, in->meta[i].value));
	}
	host->add(t, "}}");
	return host->end(t).p;
}

const char *gcs_condition(struct dif_op *op, const struct dif_put *in)
{
	if (in->if_tag != NULL) {
		return host->fmt(op, "&ifGenerationMatch=%s", google_query(op, in->if_tag));
	}
	return in->if_absent != 0 ? "&ifGenerationMatch=0" : "";
}

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	if (!gcs_no_bucket(op, r)) {
		gcs_on_resource(op, r);
	}
}

void gcs_put(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	uint8_t nonce
		[16]; /* content may be anything, so the boundary is one that nobody can guess */
	host->random(op, nonce, sizeof nonce);
	const char *boundary = host->enc(op, DIF_HEX, nonce, sizeof nonce);
	const char *before = host->fmt(op,
	                               "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n"
	                               "\r\n%s\r\n--%s\r\nContent-Type: %s\r\n\r\n",
	                               boundary, gcs_properties(op, in), boundary,
	                               in->type != NULL ? in->type : GCS_DEFAULT_TYPE);
	const char *after = host->fmt(op, "\r\n--%s--\r\n", boundary);
	const struct dif_piece body[] = {{.bytes = {before, strlen(before)}},
	                                 {.blob = in->blob, .length = in->blob->size},
	                                 {.bytes = {after, strlen(after)}}};
	const char *url =
		host->fmt(op, "%s?uploadType=multipart&fields=%s%s", gcs_objects(op, "/upload"),
	                  GCS_PROPERTIES, gcs_condition(op, in));
	const struct dif_field type = {"content-type",
	                               host->fmt(op, "multipart/related; boundary=%s", boundary)};
	gcs_send(op,
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

void gcs_remove(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	const char *tag = in->tags == NULL ? NULL : in->tags[0];
	const char *url = gcs_object(op, in->keys[0]);
	if (tag != NULL) {
		url = host->fmt(op, "%s?ifGenerationMatch=%s", url, google_query(op, tag));
	}
	gcs_send(op, &(struct dif_http){.method = "DELETE", .url = url}, NULL, 0, on_removed);
}
