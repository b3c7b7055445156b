/* azure_remove - one blob by DELETE, several by Blob Batch.
 *
 * A batch is a multipart/mixed of requests, each with its own If-Match and its own authorization,
 * and is answered 202 with a reply for each; Content-ID tells whose. A reply that settles its key
 * becomes the key's item. Every key that the batch did not settle, because its reply is missing,
 * cut, or says that it may come back later, is removed by a request of its own: so an account that
 * takes no batches costs round trips, and what is busy or forbidden fails the op as it should.
 */
#include "azure.h"

#define BOUNDARY "difusor-batch" /* the lines of a batch begin with the names of fields */

/* --- one after the other --- */

static void remove_next(struct dif_op *op);

/* True: the key has its item. */
static bool settle(struct dif_op *op, uint32_t i, const struct dif_reply *r)
{
	struct azure_removal *s = op->scratch;
	const char *code = "", *what = "";
	azure_explain(op, r, &code, &what);
	enum dif_class cls = azure_class(r->status, code);
	if (cls == DIF_NOT_FOUND && (*code == '\0' || strcmp(code, "BlobNotFound") == 0)) {
		cls = DIF_OK;
	}
	if (cls != DIF_OK && cls != DIF_CONFLICT && cls != DIF_PERMANENT) {
		return false;
	}
	s->settled[i] = true;
	host->item(op, &(struct dif_item){.index = i, .cls = cls, .code = code, .what = what});
	return true;
}

static void on_removed(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_remove *in = op->in;
	const struct azure_removal *s = op->scratch;
	const char *code = host->field(r, "x-ms-error-code", 0);
	bool gone = r->status == 404 && code != NULL && strcmp(code, "BlobNotFound") == 0;
	if (in->n == 1 && !gone && !host->good(op, r)) {
		return; /* what fails for the only key fails for the op */
	}
	if (settle(op, s->next, r) || host->good(op, r)) {
		remove_next(op);
	}
}

static struct azure_call removal(struct dif_op *op, uint32_t i)
{
	const struct dif_remove *in = op->in;
	struct azure_call c = azure_blob(op, "DELETE", in->keys[i]);
	azure_field(&c, "if-match", in->tags != NULL ? in->tags[i] : NULL);
	return c;
}

static void remove_next(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	struct azure_removal *s = op->scratch;
	while (s->next < in->n && s->settled[s->next]) {
		s->next++;
	}
	if (s->next == in->n) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	struct azure_call c = removal(op, s->next);
	azure_send(op, &c, on_removed);
}

/* --- replies of a batch --- */

struct part {
	uint64_t id; /* UINT64_MAX: not told */
	int32_t status;
	const char *code;
	bool past; /* the fields: what follows is a body */
};

static bool begins(const char *line, size_t n, const char *name)
{
	size_t len = strlen(name);
	return n >= len && strncasecmp(line, name, len) == 0;
}

static void read_line(struct dif_op *op, struct part *p, const char *line, size_t n)
{
	if (p->past) {
		return;
	}
	if (n == 0) {
		p->past =
			p->status != 0; /* the first blank line is that of the part's own fields */
	} else if (p->status == 0 && begins(line, n, "content-id:")) {
		p->id = azure_decimal(host->fmt(op, "%.*s", (int)n, line) + 11 +
		                      strspn(line + 11, " "));
	} else if (p->status == 0 && n > 12 && begins(line, n, "HTTP/1.1 ") && line[12] == ' ') {
		uint64_t status = azure_decimal(line + 9);
		p->status = status < 600 ? (int32_t)status : 0;
	} else if (p->status != 0 && begins(line, n, "x-ms-error-code:")) {
		const char *value = line + 16 + strspn(line + 16, " ");
		p->code = host->fmt(op, "%.*s", (int)(line + n - value), value);
	}
}

static void end_part(struct dif_op *op, const struct part *p)
{
	const struct dif_remove *in = op->in;
	const struct azure_removal *s = op->scratch;
	if (p->status < 200 || p->id >= in->n || s->settled[p->id]) {
		return;
	}
	struct dif_field code = {"x-ms-error-code", p->code};
	struct dif_reply r = {.size = sizeof r,
	                      .status = p->status,
	                      .fields = &code,
	                      .nfields = p->code != NULL ? 1 : 0,
	                      .body = {"", 0}};
	settle(op, (uint32_t)p->id, &r);
}

/* "--" and what the reply says that its parts stand between; NULL: it does not. */
static const char *delimiter(struct dif_op *op, const struct dif_reply *r)
{
	const char *type = host->field(r, "content-type", 0);
	const char *at = type != NULL ? strcasestr(type, "boundary=") : NULL;
	if (at == NULL) {
		return NULL;
	}
	at += strlen("boundary=");
	at += *at == '"';
	size_t n = strcspn(at, "\"; ");
	return n > 0 ? host->fmt(op, "--%.*s", (int)n, at) : NULL;
}

/* A part counts where the next delimiter stands behind it, so that a cut one does not. */
static void read_parts(struct dif_op *op, const struct dif_reply *r, const char *mark)
{
	const struct part none = {.id = UINT64_MAX};
	struct part p = none;
	const char *at = r->body.p, *end = at + r->body.n;
	while (at < end) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		stop = stop != NULL ? stop : end;
		size_t n = (size_t)(stop - at);
		n -= n > 0 && at[n - 1] == '\r';
		if (begins(at, n, mark)) {
			end_part(op, &p);
			p = none;
		} else {
			read_line(op, &p, at, n);
		}
		at = stop < end ? stop + 1 : end;
	}
}

/* No batches for this account or this credential: a signature may permit to delete and yet none of
 * them. A 500 of the service itself has a code; without one it is an emulator that does not know
 * what an account's signature permits. */
static bool is_unfit(const struct dif_reply *r)
{
	return r->cls == DIF_PERMANENT || r->cls == DIF_CONFLICT || r->status == 403 ||
	       (r->status == 500 && host->field(r, "x-ms-error-code", 0) == NULL);
}

static void on_batch(struct dif_op *op, const struct dif_reply *r)
{
	bool unfit = is_unfit(r);
	if (!unfit && !host->good(op, r)) {
		return;
	}
	const char *mark = unfit ? NULL : delimiter(op, r);
	if (mark != NULL) {
		read_parts(op, r, mark);
	}
	remove_next(op);
}

void azure_remove(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	if (in->n == 1) {
		remove_next(op);
		return;
	}
	struct azure_call c = azure_container(op, "POST");
	struct dif_text *t = host->text(op);
	for (uint32_t i = 0; i < in->n; i++) {
		struct azure_call one = removal(op, i);
		host->add(t,
		          "--" BOUNDARY "\r\ncontent-type: application/http\r\n"
		          "content-transfer-encoding: binary\r\ncontent-id: %u\r\n\r\n",
		          i);
		azure_inner(op, &one, t);
	}
	host->add(t, "--" BOUNDARY "--\r\n");
	c.text = host->end(t);
	azure_ask(&c, "comp", "batch");
	azure_ask(&c, "restype", "container");
	azure_field(&c, "content-type", "multipart/mixed; boundary=" BOUNDARY);
	azure_send(op, &c, on_batch);
}
