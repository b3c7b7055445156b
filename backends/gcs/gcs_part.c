/* gcs_part - large objects by a resumable session.
 *
 *   part_begin    POST with the object's properties and its condition; Location is the session
 *   part_put      PUT with Content-Range; 308 tells in Range what is kept, which may be less
 *   part_finish   the last part has finished the object already: its token is the generation
 *   part_abort    DELETE
 *
 * The session's address is a capability: whoever has it may write the object. So it goes without
 * the token, only to the endpoint that it came from, and into no sentence. Parts go in order. After
 * an attempt that broke, the session is asked (an empty PUT of any range) before anything is sent
 * again: the last part may have done its work, and another part may have arrived in pieces.
 */
#include "gcs.h"

#define CANCELED 499

/* --- begin --- */

static void on_begun(struct dif_op *op, const struct dif_reply *r)
{
	if (gcs_no_bucket(op, r) || !host->good(op, r)) {
		return;
	}
	const char *session = host->field(r, "location", 0);
	const char *endpoint = gcs_of(op)->endpoint;
	size_t n = strlen(endpoint);
	if (session == NULL || strncmp(session, endpoint, n) != 0 || session[n] != '/') {
		host->refuse(op, r, "", "the answer names no session at this endpoint");
		return;
	}
	host->done(op, &(struct dif_result){.upload = session});
}

void gcs_part_begin(struct dif_op *op)
{
	const struct dif_put *in = ((const struct dif_part *)op->in)->put;
	const char *props = gcs_properties(op, in);
	const char *url =
		host->fmt(op, "%s?uploadType=resumable&fields=%s%s", gcs_objects(op, "/upload"),
	                  GCS_PROPERTIES, gcs_condition(op, in));
	const struct dif_field f[GCS_EXTRA] = {
		{"content-type", "application/json; charset=UTF-8"},
		{"x-upload-content-type", in->type != NULL ? in->type : GCS_DEFAULT_TYPE},
		{"x-upload-content-length",
	         host->fmt(op, "%llu", (unsigned long long)in->blob->size)}};
	gcs_send(op,
	         &(struct dif_http){.method = "POST",
	                            .url = url,
	                            .body = &(struct dif_piece){.bytes = {props, strlen(props)}},
	                            .npieces = 1},
	         f, DIF_LEN(f), on_begun);
}

/* --- what a session tells --- */

/* body: NULL: a question. */
static void ask(struct dif_op *op, const char *range, const struct dif_piece *body, dif_step *next)
{
	const struct dif_part *in = op->in;
	const struct dif_field f = {
		"content-range",
		host->fmt(op, "bytes %s/%llu", range, (unsigned long long)in->put->blob->size)};
	host->http(op,
	           &(struct dif_http){.method = "PUT",
	                              .url = in->upload,
	                              .fields = &f,
	                              .nfields = 1,
	                              .body = body,
	                              .npieces = body != NULL ? 1 : 0},
	           next);
}

/* True: the op has failed because the session has ended, and with it what it had. */
static bool is_gone(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status != 404 && r->status != 410) {
		return false;
	}
	host->fail(op, DIF_NOT_FOUND, "sessionGone", "the upload session has ended");
	return true;
}

/* How many bytes of the object are kept, by a 308. */
static bool kept(const struct dif_reply *r, uint64_t *n)
{
	static const char from_start[] = "bytes=0-";
	const char *range = host->field(r, "range", 0);
	uint64_t last = 0;
	*n = 0;
	if (range == NULL) {
		return true;
	}
	if (strncmp(range, from_start, strlen(from_start)) != 0 ||
	    !gcs_number(range + strlen(from_start), &last) || last >= GCS_PUT_MAX) {
		return false;
	}
	*n = last + 1;
	return true;
}

/* --- put --- */

/* The reply says that the object is whole. */
static void finish_put(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_part *in = op->in;
	struct dif_result res = {0};
	if (!gcs_resource(op, r, &res)) {
		return;
	}
	if (in->offset + in->blob->size != in->put->blob->size ||
	    res.object.size != in->put->blob->size) {
		host->fail(op, DIF_INTEGRITY, "", "the server has an object of %llu bytes already",
		           (unsigned long long)res.object.size);
		return;
	}
	host->done(op, &(struct dif_result){.token = res.object.tag, .accepted = in->blob->size});
}

/* What a 308 says of this part; false: the op has its outcome. */
static bool arrived(struct dif_op *op, const struct dif_reply *r, uint64_t *n)
{
	const struct dif_part *in = op->in;
	uint64_t have = 0;
	if (!kept(r, &have) || have > in->offset + in->blob->size) {
		host->fail(op, DIF_TRANSIENT, "", "the server keeps bytes that were not sent");
		return false;
	}
	if (have < in->offset) {
		host->fail(op, DIF_NOT_FOUND, "sessionGone",
		           "the upload session has lost what it had kept");
		return false;
	}
	*n = have - in->offset;
	return true;
}

static void send_part(struct dif_op *op);

static void on_reply(struct dif_op *op, const struct dif_reply *r, bool is_question)
{
	uint64_t n = 0;
	if (is_gone(op, r)) {
		return;
	}
	if (r->status != 308) {
		finish_put(op, r);
		return;
	}
	if (!arrived(op, r, &n)) {
		return;
	}
	if (n > 0) {
		host->done(op, &(struct dif_result){.accepted = n});
	} else if (is_question) {
		send_part(op);
	} else {
		host->fail(op, DIF_TRANSIENT, "", "the server has kept nothing of the part");
	}
}

static void on_part(struct dif_op *op, const struct dif_reply *r)
{
	on_reply(op, r, false);
}

static void on_asked(struct dif_op *op, const struct dif_reply *r)
{
	on_reply(op, r, true);
}

static void send_part(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	unsigned long long from = in->offset, to = in->offset + in->blob->size;
	const char *range = to > from ? host->fmt(op, "%llu-%llu", from, to - 1) : "*";
	ask(op, range, &(struct dif_piece){.blob = in->blob, .length = in->blob->size}, on_part);
}

void gcs_part_put(struct dif_op *op)
{
	if (op->attempt > 0) {
		ask(op, "*", NULL, on_asked);
	} else {
		send_part(op);
	}
}

/* --- finish and abort --- */

static void on_finished(struct dif_op *op, const struct dif_reply *r)
{
	if (is_gone(op, r)) {
		return;
	}
	if (r->status == 308) {
		host->fail(op, DIF_NOT_FOUND, "sessionGone",
		           "the upload session has not all that it had told");
	} else {
		gcs_on_resource(op, r);
	}
}

void gcs_part_finish(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	const char *tag = in->ntokens > 0 ? in->tokens[in->ntokens - 1] : NULL;
	if (tag != NULL && *tag != '\0') {
		host->done(op, &(struct dif_result){.object = {.key = in->put->key,
		                                               .tag = tag,
		                                               .size = in->put->blob->size}});
	} else {
		/* the last reply told of bytes, not of an object */
		ask(op, "*", NULL, on_finished);
	}
}

static void on_aborted(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == CANCELED || r->status == 404 || r->status == 410 || host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

void gcs_part_abort(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	host->http(op, &(struct dif_http){.method = "DELETE", .url = in->upload}, on_aborted);
}
