/* azure_write - put.
 *
 * A put is one Put Blob. The MD5 goes twice: Content-MD5 lets the service refuse other bytes, and
 * x-ms-blob-content-md5 is what lists and heads tell from then on. A put replaces every header and
 * all metadata, so each request carries them all.
 *
 * Blocks that an upload has left behind can make a name count as taken, although no blob is there:
 * only a block list gets past them. So a name that is said to be taken is looked at.
 */
#include "azure.h"

#define EXISTS "BlobAlreadyExists"

void azure_stored(struct dif_op *op, const struct dif_reply *r, const struct dif_put *in,
                  bool verified)
{
	if (!host->good(op, r)) {
		return;
	}
	struct dif_result res = {.object = {.key = in->key,
	                                    .tag = host->field(r, "etag", 0),
	                                    .size = in->blob->size,
	                                    .has = verified ? DIF_HAS(DIF_MD5) : 0}};
	res.object.digest[DIF_MD5] = in->blob->digest[DIF_MD5];
	if (res.object.tag == NULL) {
		host->refuse(op, r, "", "the reply tells no ETag");
		return;
	}
	host->done(op, &res);
}

static void on_taken(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404) {
		azure_put_in_blocks(op);
	} else if (host->good(op, r)) {
		host->fail(op, DIF_CONFLICT, EXISTS, "the blob exists already");
	}
}

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_put *in = op->in;
	const char *code = host->field(r, "x-ms-error-code", 0);
	if (r->status == 409 && in->if_absent && code != NULL && strcmp(code, EXISTS) == 0) {
		struct azure_call c = azure_blob(op, "HEAD", in->key);
		azure_send(op, &c, on_taken);
		return;
	}
	azure_stored(op, r, in, true); /* the service has verified the MD5, or it were refused */
}

void azure_describe(struct dif_op *op, struct azure_call *c, const struct dif_put *in)
{
	struct dif_bytes d = in->blob->digest[DIF_MD5];
	bool known = (in->blob->has & DIF_HAS(DIF_MD5)) != 0;
	azure_field(c, "if-match", in->if_tag);
	azure_field(c, "if-none-match", in->if_absent ? "*" : NULL);
	azure_field(c, "x-ms-blob-cache-control", in->cache);
	azure_field(c, "x-ms-blob-content-encoding", in->encoding);
	azure_field(c, "x-ms-blob-content-md5", known ? host->enc(op, DIF_BASE64, d.p, d.n) : NULL);
	azure_field(c, "x-ms-blob-content-type", in->type);
	for (uint32_t i = 0; i < in->nmeta; i++) {
		azure_field(c, host->fmt(op, "x-ms-meta-%s", in->meta[i].name), in->meta[i].value);
	}
}

void azure_put(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	struct azure_call c = azure_blob(op, "PUT", in->key);
	if ((in->blob->has & DIF_HAS(DIF_MD5)) == 0) {
		host->fail(op, DIF_PERMANENT, "", "the MD5 that guards the upload is not known");
		return;
	}
	struct dif_bytes d = in->blob->digest[DIF_MD5];
	c.blob = in->blob;
	azure_field(&c, "content-md5", host->enc(op, DIF_BASE64, d.p, d.n));
	azure_field(&c, "x-ms-blob-type", "BlockBlob");
	azure_describe(op, &c, in);
	azure_send(op, &c, on_put);
}
