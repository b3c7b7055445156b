/* gcs - between the files of the plug-in. */
#ifndef DIF_GCS_H
#define DIF_GCS_H

#include "google/google.h"

#define GCS_PUT_MAX (5ull << 40)
#define GCS_PROPERTIES                                                                         \
	"name,size,crc32c,md5Hash,generation,updated,contentType,contentEncoding,cacheControl" \
	",metadata"
#define GCS_DEFAULT_TYPE "application/octet-stream"

struct gcs {
	struct google_self google;
	const char *bucket, *endpoint, *storage_class;
};

static inline const struct gcs *gcs_of(const struct dif_op *op)
{
	return op->self;
}

/* --- gcs.c --- */

/* before: "" or "/upload". */
const char *gcs_objects(struct dif_op *op, const char *before);
const char *gcs_object(struct dif_op *op, const char *key);
/* Sends with the token and up to GCS_EXTRA fields more. */
#define GCS_EXTRA 3
void gcs_send(struct dif_op *op, struct dif_http *h, const struct dif_field *extra, uint32_t nextra,
              dif_step *next);
/* True: the op has failed because there is no such bucket. A missing object is an answer, a
 * missing bucket is not. */
bool gcs_no_bucket(struct dif_op *op, const struct dif_reply *r);
void gcs_object_of(struct dif_op *op, const struct dif_node *j, struct dif_object *o); /* JSON */
/* The digest in base64, where text is one. */
void gcs_digest_of(struct dif_op *op, const char *text, enum dif_digest digest, size_t size,
                   struct dif_object *o);
/* The object that a reply tells; false: the op has failed. */
bool gcs_resource(struct dif_op *op, const struct dif_reply *r, struct dif_result *res);
void gcs_on_resource(struct dif_op *op, const struct dif_reply *r); /* and ends the op with it */
bool gcs_number(const char *s, uint64_t *out); /* decimal, all of s; false for NULL too */

/* --- gcs_read.c --- */

void gcs_list(struct dif_op *op);
void gcs_probe(struct dif_op *op);
void gcs_head(struct dif_op *op);
void gcs_get(struct dif_op *op);

/* --- gcs_write.c --- */

const char *gcs_properties(struct dif_op *op, const struct dif_put *in); /* as JSON */
const char *gcs_condition(struct dif_op *op, const struct dif_put *in);  /* "&name=value" or "" */
void gcs_put(struct dif_op *op);
void gcs_remove(struct dif_op *op);

/* --- gcs_part.c --- */

#define GCS_PART_ALIGN (256u << 10)
void gcs_part_begin(struct dif_op *op);
void gcs_part_put(struct dif_op *op);
void gcs_part_finish(struct dif_op *op);
void gcs_part_abort(struct dif_op *op);

#endif
