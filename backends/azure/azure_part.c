/* azure_part - large objects in blocks.
 *
 *   part_begin    no request: an upload is a random prefix that its blocks' ids share, so that two
 *                 uploads of one name do not take each other's blocks for their own
 *   part_put      Put Block; sent again it takes its own place, so nothing has to be looked up
 *   part_finish   Put Block List, with everything a put says, and its conditions
 *   part_abort    no request: nobody sees blocks that were not committed, and the service drops
 *                 them after a week, or when the name is written otherwise
 *
 * All ids that wait at one name must be of the same length, whoever has put them.
 */
#include "azure.h"

#define UPLOAD_BYTES 9 /* 18 hex digits; with 6 of the number an id is 24 bytes, 32 in base64 */

static const char *new_upload(struct dif_op *op)
{
	unsigned char bytes[UPLOAD_BYTES];
	host->random(op, bytes, sizeof bytes);
	return host->enc(op, DIF_HEX, bytes, sizeof bytes);
}

void azure_part_begin(struct dif_op *op)
{
	host->done(op, &(struct dif_result){.upload = new_upload(op)});
}

static const char *block_id(struct dif_op *op, const struct dif_part *in)
{
	const char *id = host->fmt(op, "%s%06u", in->upload, in->number);
	return host->enc(op, DIF_BASE64, id, strlen(id));
}

static void on_block(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_part *in = op->in;
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.token = block_id(op, in),
		                                    .accepted = in->blob->size});
	}
}

static void send_block(struct dif_op *op, const struct dif_part *in, dif_step *next)
{
	struct azure_call c = azure_blob(op, "PUT", in->put->key);
	struct dif_bytes d = in->blob->digest[DIF_MD5];
	if ((in->blob->has & DIF_HAS(DIF_MD5)) == 0) {
		host->fail(op, DIF_PERMANENT, "", "the MD5 that guards the block is not known");
		return;
	}
	c.blob = in->blob;
	azure_ask(&c, "blockid", block_id(op, in));
	azure_ask(&c, "comp", "block");
	azure_field(&c, "content-md5", host->enc(op, DIF_BASE64, d.p, d.n));
	azure_send(op, &c, next);
}

void azure_part_put(struct dif_op *op)
{
	send_block(op, op->in, on_block);
}

/* The service checked each block but computes nothing of the whole, so no digest is reported. */
static void on_list(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_part *in = op->in;
	azure_stored(op, r, in->put, false);
}

static void send_list(struct dif_op *op, const struct dif_part *in, dif_step *next)
{
	struct azure_call c = azure_blob(op, "PUT", in->put->key);
	struct dif_text *t = host->text(op);
	host->add(t, "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>");
	for (uint32_t i = 0; i < in->ntokens; i++) {
		host->add(t, "<Latest>%s</Latest>", in->tokens[i]);
	}
	host->add(t, "</BlockList>");
	c.text = host->end(t);
	struct dif_bytes md5 = host->hash(op, DIF_MD5, c.text);
	azure_ask(&c, "comp", "blocklist");
	azure_field(&c, "content-md5", host->enc(op, DIF_BASE64, md5.p, md5.n));
	azure_describe(op, &c, in->put);
	azure_send(op, &c, next);
}

void azure_part_finish(struct dif_op *op)
{
	send_list(op, op->in, on_list);
}

void azure_part_abort(struct dif_op *op)
{
	host->done(op, &(struct dif_result){0});
}

/* --- a put where blocks wait --- */

static void on_only_list(struct dif_op *op, const struct dif_reply *r)
{
	azure_stored(op, r, op->in, true); /* the only block is the whole */
}

static void on_only_block(struct dif_op *op, const struct dif_reply *r)
{
	struct dif_part *p = op->scratch;
	if (host->good(op, r)) {
		const char *token = block_id(op, p);
		p->tokens = &token;
		p->ntokens = 1;
		send_list(op, p, on_only_list);
	}
}

/* An empty block is none; an empty list makes an empty blob. */
void azure_put_in_blocks(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	struct dif_part *p = op->scratch;
	*p = (struct dif_part){.put = in, .blob = in->blob, .upload = new_upload(op), .number = 1};
	if (in->blob->size > 0) {
		send_block(op, p, on_only_block);
	} else {
		send_list(op, p, on_only_list);
	}
}
