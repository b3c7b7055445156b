/* s3_write - put and remove.
 *
 * A put is one request whose body is signed by its SHA-256, so the store itself refuses bytes that
 * are not the bytes. Removal of several keys is one request too; its answer names every key, and a
 * key that it does not name has failed.
 */
#include "s3.h"

/* --- put --- */

/* If-Match on a key that is gone is answered 404: the condition was lost all the same. */
bool s3_is_lost(struct dif_op *op, const struct dif_reply *r, const struct dif_put *in)
{
	if (r->status != 404 || in->if_tag == NULL || strcmp(s3_code(op, r), "NoSuchKey") != 0) {
		return false;
	}
	host->fail(op, DIF_CONFLICT, "NoSuchKey", "the key is gone");
	return true;
}

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_put *in = op->in;
	if (s3_is_lost(op, r, in) || !host->good(op, r)) {
		return;
	}
	struct dif_result res = {.object = {.key = in->key, .size = in->blob->size}};
	s3_describe(op, r, &res.object);
	if (*res.object.tag == '\0') {
		host->refuse(op, r, "", "the reply tells no ETag");
		return;
	}
	host->done(op, &res);
}

void s3_add_headers(struct dif_op *op, struct aws_call *c, const struct dif_put *in)
{
	const struct s3 *s = op->self;
	aws_field(c, "content-type", in->type);
	aws_field(c, "content-encoding", in->encoding);
	aws_field(c, "cache-control", in->cache);
	aws_field(c, "x-amz-storage-class", s->storage_class);
	aws_field(c, "x-amz-server-side-encryption", s->sse);
	aws_field(c, "x-amz-server-side-encryption-aws-kms-key-id", s->kms_key);
	for (uint32_t i = 0; i < in->nmeta; i++) {
		aws_field(c, host->fmt(op, "x-amz-meta-%s", in->meta[i].name), in->meta[i].value);
	}
}

void s3_add_conditions(struct aws_call *c, const struct dif_put *in)
{
	aws_field(c, "if-match", in->if_tag);
	aws_field(c, "if-none-match", in->if_absent ? "*" : NULL);
}

/* NULL: it is not known, and the op has failed. */
static const char *digest(struct dif_op *op, const struct dif_blob *b, uint32_t id, uint32_t enc)
{
	if ((b->has & DIF_HAS(id)) == 0) {
		host->fail(op, DIF_PERMANENT, "", "the digest that guards the upload is not known");
		return NULL;
	}
	return host->enc(op, enc, b->digest[id].p, b->digest[id].n);
}

bool s3_sign_body(struct dif_op *op, struct aws_call *c, const struct dif_blob *b)
{
	const struct s3 *s = op->self;
	c->payload = s->unsigned_payload ? "UNSIGNED-PAYLOAD" : digest(op, b, DIF_SHA256, DIF_HEX);
	return c->payload != NULL;
}

void s3_put(struct dif_op *op)
{
	const struct s3 *s = op->self;
	const struct dif_put *in = op->in;
	const struct dif_blob *b = in->blob;
	struct dif_piece body = {.blob = b, .length = b->size};
	struct aws_call c = s3_call(op, "PUT", s3_key_path(op, in->key));
	c.body = &body;
	c.npieces = 1;
	s3_add_headers(op, &c, in);
	s3_add_conditions(&c, in);
	const struct s3_checksum *guard = s->guard; /* else besides the signed SHA-256, if any */
	for (const struct s3_checksum *k = s3_checksums; guard == NULL && k->name != NULL; k++) {
		guard = k->digest == in->use && in->use != DIF_SHA256 ? k : NULL;
	}
	const char *value = guard != NULL ? digest(op, b, guard->digest, DIF_BASE64) : NULL;
	if (guard != NULL && value == NULL) {
		return;
	}
	aws_field(&c, guard != NULL ? guard->field : "", value);
	if (s3_sign_body(op, &c, b)) {
		s3_send(op, &c, on_put);
	}
}

/* --- remove --- */

static void on_removed_one(struct dif_op *op, const struct dif_reply *r)
{
	bool gone = r->status == 404 && strcmp(s3_code(op, r), "NoSuchKey") == 0;
	if (gone || host->good(op, r)) {
		host->item(op, &(struct dif_item){.cls = DIF_OK});
		host->done(op, &(struct dif_result){0});
	}
}

/* Answers come in the order of the question, mostly: the search begins behind the last hit. */
static uint32_t index_of(const struct dif_remove *in, const char *key, uint32_t from)
{
	for (uint32_t i = 0; i < in->n; i++) {
		uint32_t at = (from + i) % in->n;
		if (strcmp(in->keys[at], key) == 0) {
			return at;
		}
	}
	return in->n;
}

/* One kind of row of the answer. A key that was not asked for is passed over. */
static void add_items(struct dif_op *op, const struct dif_node *answer, const char *kind)
{
	const struct dif_remove *in = op->in;
	const struct dif_node *row = NULL;
	uint32_t at = 0;
	while ((row = host->next(answer, kind, row)) != NULL) {
		const char *code = host->str(host->get(row, "Code"));
		at = index_of(in, host->str(host->get(row, "Key")), at);
		if (at == in->n) {
			at = 0;
			continue;
		}
		bool gone = strcmp(kind, "Deleted") == 0 || strcmp(code, "NoSuchKey") == 0;
		host->item(op, &(struct dif_item){
				       .index = at,
				       .cls = gone ? DIF_OK : DIF_CLASSES,
				       .code = gone ? NULL : code,
				       .what = gone ? NULL : host->str(host->get(row, "Message")),
			       });
		at = (at + 1) % in->n;
	}
}

static void on_removed(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *answer = host->tree(op, r, DIF_AS_XML, "DeleteResult");
	if (answer == NULL) {
		return;
	}
	add_items(op, answer, "Deleted");
	add_items(op, answer, "Error");
	host->done(op, &(struct dif_result){0});
}

static void remove_many(struct dif_op *op, const struct dif_remove *in)
{
	struct dif_text *t = host->text(op);
	host->add(t, "<Delete xmlns=\"" S3_NAMESPACE "\">");
	for (uint32_t i = 0; i < in->n; i++) {
		host->add(t, "<Object><Key>%s</Key></Object>",
		          host->enc(op, DIF_XML, in->keys[i], strlen(in->keys[i])));
	}
	host->add(t, "</Delete>");
	struct dif_piece body = {.bytes = host->end(t)};
	struct dif_bytes md5 = host->hash(op, DIF_MD5, body.bytes);
	struct aws_call c = s3_call(op, "POST", s3_bucket_path(op));
	c.query = "delete=";
	c.body = &body;
	c.npieces = 1;
	c.reply_max = PAGE_MAX;
	aws_field(&c, "content-md5", host->enc(op, DIF_BASE64, md5.p, md5.n));
	aws_field(&c, "content-type", "application/xml");
	s3_send(op, &c, on_removed);
}

/* One key goes by DELETE, which servers know that have no bulk delete. Tags are not used: AWS takes
 * If-Match there, most others ignore it, so the capability is not declared. */
void s3_remove(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	if (in->n > 1) {
		remove_many(op, in);
		return;
	}
	struct aws_call c = s3_call(op, "DELETE", s3_key_path(op, in->keys[0]));
	s3_send(op, &c, on_removed_one);
}
