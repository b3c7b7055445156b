/* s3 - what the files of this plug-in share. */
#ifndef DIF_BACKENDS_S3_H
#define DIF_BACKENDS_S3_H

#include <difusor/plugin.h>

#include "aws/login.h"

/* The ceiling of the host. A page of 1,000 rows is about 0.4 MB; with keys of 1,024 bytes, every
 * one written as %XX, 3.5 MB. */
#define PAGE_MAX (8u << 20)
#define KEYS_MAX 1000 /* rows of a page, keys of one bulk delete */

#define PARTS_AT_ONCE 8 /* of one object; some servers hold a lock for each */
#define S3_NAMESPACE "http://s3.amazonaws.com/doc/2006-03-01/"

/* A digest that goes up, and comes back, in a header of its own. */
struct s3_checksum {
	const char *name, *field;
	uint32_t digest, size;
};

/* Constant after open. */
struct s3 {
	const char *bucket, *region, *endpoint, *storage_class, *sse, *kms_key, *checksum;
	uint32_t path_style;
	struct aws_login login;
	/* made by open */
	const char *scheme, *authority;
	const char *base; /* what stands before "/key" in a path */
	const char *hosts[1 + AWS_LOGIN_HOSTS + 1];
	const struct s3_checksum *guard; /* besides the signed payload hash; NULL: nothing */
	uint32_t unsigned_payload;
};

extern const struct s3_checksum s3_checksums[]; /* ends with a row without name */

struct aws_call s3_call(struct dif_op *op, const char *method, const char *path);
const char *s3_key_path(struct dif_op *op, const char *key);
const char *s3_bucket_path(struct dif_op *op);
void s3_send(struct dif_op *op, struct aws_call *c, dif_step *next);
/* Of an error as S3 writes it, "": none. */
const char *s3_code(struct dif_op *op, const struct dif_reply *r);
/* What a put says of its object, but its conditions, which stand beside. */
void s3_add_headers(struct dif_op *op, struct aws_call *c, const struct dif_put *in);
void s3_add_conditions(struct aws_call *c, const struct dif_put *in);
/* The payload hash of a body. False: its digest is not known, and the op has failed. */
bool s3_sign_body(struct dif_op *op, struct aws_call *c, const struct dif_blob *b);
/* True: the condition was lost to a key that is gone, and the op has failed. */
bool s3_is_lost(struct dif_op *op, const struct dif_reply *r, const struct dif_put *in);
/* The MD5 that a tag may be; .p NULL: it is none. */
struct dif_bytes s3_tag_md5(struct dif_op *op, const char *tag);
/* Tag, type, digests and the like from the header of a reply. */
void s3_describe(struct dif_op *op, const struct dif_reply *r, struct dif_object *o);

dif_verb s3_probe, s3_list, s3_head, s3_get, s3_put, s3_remove;
dif_verb s3_part_begin, s3_part_put, s3_part_finish, s3_part_abort;

#endif
