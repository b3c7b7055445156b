/* s3_parts - large objects in parts.
 *
 * The upload's id is the upload, the ETag of a part its token. A part that is sent again replaces
 * itself, so nothing has to be asked before. The headers of the object go with the first request,
 * its conditions with the last.
 *
 * The last request is answered 200 before the store knows how it ends; only the root of the body
 * tells. An upload that is gone is 404, which the caller begins again.
 */
#include "s3.h"

static struct aws_call call(struct dif_op *op, const char *method)
{
	const struct dif_part *in = op->in;
	struct aws_call c = s3_call(op, method, s3_key_path(op, in->put->key));
	if (in->upload != NULL) {
		c.query = host->fmt(op, "uploadId=%s", aws_query(op, in->upload));
	}
	return c;
}

/* --- begin --- */

static void on_begun(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_XML, "InitiateMultipartUploadResult");
	if (t == NULL) {
		return;
	}
	const char *id = host->str(host->get(t, "UploadId"));
	if (*id == '\0') {
		host->refuse(op, r, "", "the reply tells no UploadId");
		return;
	}
	host->done(op, &(struct dif_result){.upload = id});
}

void s3_part_begin(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	struct aws_call c = call(op, "POST");
	c.query = "uploads=";
	s3_add_headers(op, &c, in->put);
	s3_send(op, &c, on_begun);
}

/* --- a part --- */

static void on_part(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_part *in = op->in;
	const char *tag = host->field(r, "etag", 0);
	if (!host->good(op, r)) {
		return;
	}
	if (tag == NULL || *tag == '\0') {
		host->refuse(op, r, "", "the reply tells no ETag");
		return;
	}
	host->done(op, &(struct dif_result){.token = tag, .accepted = in->blob->size});
}

void s3_part_put(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	struct dif_piece body = {.blob = in->blob, .length = in->blob->size};
	struct aws_call c = call(op, "PUT");
	c.query = host->fmt(op, "partNumber=%u&%s", in->number, c.query);
	c.body = &body;
	c.npieces = 1;
	if (s3_sign_body(op, &c, in->blob)) {
		s3_send(op, &c, on_part);
	}
}

/* --- finish --- */

/* The tag that the object has: the MD5 over those of the parts, and how many they are. "": they are
 * no MD5. */
static const char *joined_tag(struct dif_op *op, const struct dif_part *in)
{
	struct dif_text *t = host->text(op);
	for (uint32_t i = 0; i < in->ntokens; i++) {
		struct dif_bytes md5 = s3_tag_md5(op, in->tokens[i]);
		if (md5.p == NULL) {
			return "";
		}
		host->add_bytes(t, md5.p, md5.n);
	}
	struct dif_bytes all = host->hash(op, DIF_MD5, host->end(t));
	return host->fmt(op, "\"%s-%u\"", host->enc(op, DIF_HEX, all.p, all.n), in->ntokens);
}

/* Ceph leaves the tag out here, others its quotes. */
static const char *finished_tag(struct dif_op *op, const struct dif_part *in, const char *tag)
{
	if (*tag == '\0') {
		return joined_tag(op, in);
	}
	return *tag == '"' ? tag : host->fmt(op, "\"%s\"", tag);
}

static void on_finished(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_part *in = op->in;
	if (s3_is_lost(op, r, in->put)) {
		return;
	}
	if (r->status == 200 && *s3_code(op, r) != '\0') {
		host->refuse(op, r, "", "");
		return;
	}
	const struct dif_node *t = host->tree(op, r, DIF_AS_XML, "CompleteMultipartUploadResult");
	if (t == NULL) {
		return;
	}
	const char *tag = finished_tag(op, in, host->str(host->get(t, "ETag")));
	if (*tag == '\0') {
		host->refuse(op, r, "", "the reply tells no ETag");
		return;
	}
	host->done(op, &(struct dif_result){.object = {.key = in->put->key,
	                                               .tag = tag,
	                                               .size = in->put->blob->size}});
}

void s3_part_finish(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	struct dif_text *t = host->text(op);
	host->add(t, "<CompleteMultipartUpload xmlns=\"" S3_NAMESPACE "\">");
	for (uint32_t i = 0; i < in->ntokens; i++) {
		const char *tag = host->enc(op, DIF_XML, in->tokens[i], strlen(in->tokens[i]));
		host->add(t, "<Part><PartNumber>%u</PartNumber><ETag>%s</ETag></Part>", i + 1, tag);
	}
	host->add(t, "</CompleteMultipartUpload>");
	struct dif_piece body = {.bytes = host->end(t)};
	struct aws_call c = call(op, "POST");
	c.body = &body;
	c.npieces = 1;
	aws_field(&c, "content-type", "application/xml");
	s3_add_conditions(&c, in->put);
	s3_send(op, &c, on_finished);
}

/* --- abort --- */

static void on_aborted(struct dif_op *op, const struct dif_reply *r)
{
	bool gone = r->status == 404 && strcmp(s3_code(op, r), "NoSuchUpload") == 0;
	if (gone || host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

void s3_part_abort(struct dif_op *op)
{
	struct aws_call c = call(op, "DELETE");
	s3_send(op, &c, on_aborted);
}
