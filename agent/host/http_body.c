/* http_body - the bytes of a request.
 *
 * A body that lies in memory in one stretch, or is small enough to be joined, goes as POSTFIELDS
 * with the method put over it: up to 64 KiB libcurl sends header and body at once. Everything else
 * is read piece by piece (UPLOAD), with its exact length, and can be rewound: libcurl sends a
 * request again by itself when a kept connection turns out to be closed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "host/http_private.h"

#define JOIN_MAX (64 * 1024) /* libcurl sends no more than this along with the header */

/* The piece's bytes if they are in memory. */
static const char *memory_of(const struct dif_piece *p)
{
	if (p->blob == NULL) {
		return p->bytes.n > 0 ? p->bytes.p : "";
	}
	struct dif_body *body = dif_body_of(p->blob);
	const char *view = body->ops->view(body);
	return view != NULL ? view + p->offset : NULL;
}

static uint64_t length_of(const struct dif_piece *p)
{
	return p->blob != NULL ? p->length : p->bytes.n;
}

void dif_http_body_close(struct reader *r)
{
	if (r->stream != NULL) {
		dif_body_of(r->pieces[r->at].blob)->ops->close(r->stream);
		r->stream = NULL;
	}
	r->waiting = false;
}

static void on_ready(void *data)
{
	struct dif_http_call *call = data;
	call->reader.waiting = false;
	if (!call->reader.paused || call->state != CALL_RUNNING) {
		return;
	}
	if (call->client->in_curl) {
		call->resume = true;
		dif_http_kick(call->client);
	} else {
		dif_http_resume(call);
	}
}

void dif_http_resume(struct dif_http_call *call)
{
	struct dif_http_client *c = call->client;
	call->resume = false;
	call->reader.paused = false;
	c->in_curl = true;
	/* Whatever goes wrong in it ends the transfer, and that is found by draining. */
	(void)curl_easy_pause(call->easy, CURLPAUSE_CONT);
	c->in_curl = false;
}

/* Reads from a piece that is not in memory. */
static int64_t read_stream(struct dif_http_call *call, char *to, size_t max)
{
	struct reader *r = &call->reader;
	const struct dif_piece *p = &r->pieces[r->at];
	struct dif_body *body = dif_body_of(p->blob);
	if (r->waiting) {
		return DIF_BODY_LATER;
	}
	if (r->stream == NULL) {
		r->stream = body->ops->open(body, p->offset + r->done, on_ready, call);
	}
	if (r->stream == NULL) {
		dif_error_set(&call->err, DIF_TRANSIENT,
		              "could not send the body to '%s': out of memory", call->target.shown);
		(void)snprintf(call->err.code, sizeof call->err.code, "local");
		return DIF_BODY_BROKEN;
	}
	int64_t n = body->ops->read(r->stream, to, max);
	if (n == DIF_BODY_LATER) {
		r->waiting = true;
	}
	return n;
}

static int64_t read_piece(struct dif_http_call *call, char *to, size_t max)
{
	struct reader *r = &call->reader;
	const struct dif_piece *p = &r->pieces[r->at];
	uint64_t left = length_of(p) - r->done;
	size_t n = left < max ? (size_t)left : max;
	const char *bytes = memory_of(p);
	if (bytes == NULL) {
		return read_stream(call, to, n);
	}
	memcpy(to, bytes + r->done, n);
	return (int64_t)n;
}

size_t dif_http_on_read(char *to, size_t size, size_t nmemb, void *data)
{
	struct dif_http_call *call = data;
	struct reader *r = &call->reader;
	size_t max = size * nmemb, got = 0;
	while (got < max && r->at < r->npieces) {
		if (r->done == length_of(&r->pieces[r->at])) {
			dif_http_body_close(r);
			r->at++;
			r->done = 0;
			continue;
		}
		int64_t n = read_piece(call, to + got, max - got);
		if (n == DIF_BODY_LATER) {
			r->paused = got == 0;
			return got > 0 ? got : CURL_READFUNC_PAUSE;
		}
		if (n <= 0 && call->err.cls == DIF_OK) {
			dif_error_set(&call->err, DIF_INTEGRITY,
			              "could not send the body to '%s': the content is no longer "
			              "what it was",
			              call->target.shown);
		}
		if (n <= 0) {
			return CURL_READFUNC_ABORT;
		}
		got += (size_t)n;
		r->done += (uint64_t)n;
	}
	return got;
}

int dif_http_on_seek(void *data, curl_off_t offset, int origin)
{
	struct dif_http_call *call = data;
	struct reader *r = &call->reader;
	if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > call->body_size) {
		return CURL_SEEKFUNC_FAIL;
	}
	dif_http_body_close(r);
	r->paused = false;
	r->at = 0;
	r->done = (uint64_t)offset;
	while (r->at < r->npieces && r->done > length_of(&r->pieces[r->at])) {
		r->done -= length_of(&r->pieces[r->at]);
		r->at++;
	}
	return CURL_SEEKFUNC_OK;
}

/* Sums the pieces. */
bool dif_http_body_measure(struct dif_http_call *call, struct dif_error *err)
{
	const struct dif_http_request *q = &call->req;
	uint64_t total = 0;
	for (uint32_t i = 0; i < q->npieces; i++) {
		const struct dif_piece *p = &q->body[i];
		uint64_t size = p->blob != NULL ? dif_body_of(p->blob)->size : 0;
		if ((p->blob != NULL && (p->offset > size || p->length > size - p->offset)) ||
		    length_of(p) > (uint64_t)INT64_MAX - total) {
			dif_error_set(err, DIF_PERMANENT,
			              "could not reach '%s': the body is not inside its content",
			              call->target.shown);
			return false;
		}
		total += length_of(p);
	}
	call->body_size = total;
	call->reader = (struct reader){.pieces = q->body, .npieces = q->npieces};
	return true;
}

/* One stretch of memory that is the whole body, NULL: there is none. */
const char *dif_http_body_whole(struct dif_http_call *call)
{
	const struct dif_http_request *q = &call->req;
	const struct dif_piece *only = NULL;
	uint32_t n = 0;
	for (uint32_t i = 0; i < q->npieces; i++) {
		if (length_of(&q->body[i]) > 0) {
			only = &q->body[i];
			n++;
		}
	}
	if (n <= 1) {
		return only != NULL ? memory_of(only) : "";
	}
	if (call->body_size > JOIN_MAX) {
		return NULL;
	}
	char *to = malloc((size_t)call->body_size);
	size_t at = 0;
	for (uint32_t i = 0; to != NULL && i < q->npieces; i++) {
		const char *p = memory_of(&q->body[i]);
		if (p == NULL) {
			free(to);
			return NULL;
		}
		memcpy(to + at, p, (size_t)length_of(&q->body[i]));
		at += (size_t)length_of(&q->body[i]);
	}
	call->joined = to;
	return to;
}
