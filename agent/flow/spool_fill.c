/* spool_fill - buffers filled on the pool, several at a time.
 *
 * As many jobs as the pool has threads, each with what it needs to inflate kept from buffer to
 * buffer. A job takes what is unfilled, in order, up to BATCH bytes: thousands of small members
 * cost the loop some hundreds of wake-ups, and the first of a batch waits for no more than a
 * fraction of a millisecond's work.
 */
#include <errno.h>
#include <unistd.h>

#include "flow/spool_private.h"

#define BATCH (128u << 10)

/* --- on the pool --- */

bool dif_spool_pread(const struct dif_package *p, uint64_t offset, void *to, size_t n,
                     struct dif_error *err)
{
	uint8_t *at = to;
	while (n > 0) {
		ssize_t got = pread(p->fd, at, n, (off_t)offset);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			dif_error_set(err, DIF_INTEGRITY, "could not read package '%.12s': %s",
			              p->sha256, got < 0 ? strerror(errno) : "it is cut off");
			return false;
		}
		at += got;
		offset += (uint64_t)got;
		n -= (size_t)got;
	}
	return true;
}

static bool fill_gzip(struct buffer *b)
{
	const struct dif_member *m = b->member;
	uint8_t digest[DIF_DIGEST_MAX];
	memcpy(b->p, dif_gzip_header, DIF_GZIP_HEADER);
	if (!dif_spool_pread(b->package, m->offset, b->p + DIF_GZIP_HEADER, (size_t)m->packed,
	                     &b->err)) {
		return false;
	}
	dif_gzip_trailer(b->p + DIF_GZIP_HEADER + m->packed, m->crc, m->size);
	/* No inflate, so no CRC: the digest of the form says whether these are the bytes. */
	if (!dif_hash(DIF_SHA256, b->p, (size_t)b->size, digest) ||
	    memcmp(digest, m->form[DIF_GZIP].sha256, 32) != 0) {
		dif_error_set(&b->err, DIF_INTEGRITY,
		              "could not read entry '%s': it is not what was verified", m->path);
		return false;
	}
	return true;
}

static bool fill(struct filler *f, struct buffer *b)
{
	if (b->slices != NULL) {
		return dif_slices_fill(b->slices, b->p, (size_t)b->size, b->digest, &b->err);
	}
	return b->form == DIF_GZIP
	               ? fill_gzip(b)
	               : dif_inflate_kit_use(f->kit, b->package, b->member, b->p, &b->err);
}

static void on_fill(struct dif_work *w)
{
	struct filler *f = DIF_ENTRY(w, struct filler, work);
	for (struct dif_link *at = f->batch.next; at != &f->batch; at = at->next) {
		struct buffer *b = DIF_ENTRY(at, struct buffer, queue);
		if (!fill(f, b) && b->err.cls == DIF_OK) {
			dif_error_set(&b->err, DIF_INTEGRITY, "could not inflate entry '%s'",
			              b->member->path);
		}
	}
}

/* --- on the loop --- */

static void on_filled(struct dif_work *w)
{
	struct filler *f = DIF_ENTRY(w, struct filler, work);
	f->is_busy = false;
	while (!dif_list_empty(&f->batch)) {
		struct buffer *b = DIF_ENTRY(f->batch.next, struct buffer, queue);
		dif_list_remove(&b->queue);
		b->filling = b->err.cls == DIF_OK ? FILLED : BROKEN;
		dif_spool_filled(b);
	}
	dif_spool_fill(f->spool);
}

static void take_batch(struct filler *f)
{
	struct dif_spool *s = f->spool;
	for (uint64_t bytes = 0; bytes < BATCH && !dif_list_empty(&s->unfilled);) {
		struct buffer *b = DIF_ENTRY(s->unfilled.next, struct buffer, queue);
		dif_list_remove(&b->queue);
		dif_list_add(&f->batch, &b->queue);
		bytes += b->size;
	}
}

void dif_spool_fill(struct dif_spool *s)
{
	for (uint32_t i = 0; i < s->nfillers && !dif_list_empty(&s->unfilled); i++) {
		struct filler *f = &s->fillers[i];
		if (!f->is_busy) {
			f->is_busy = true;
			take_batch(f);
			dif_engine_work(s->engine, &f->work, on_fill, on_filled);
		}
	}
}

bool dif_spool_fillers_new(struct dif_spool *s)
{
	uint32_t n = uv_available_parallelism();
	n = n < 2 ? 2 : n > FILLERS_MAX ? FILLERS_MAX : n;
	for (; s->nfillers < n; s->nfillers++) {
		struct filler *f = &s->fillers[s->nfillers];
		f->spool = s;
		f->kit = dif_inflate_kit_new();
		dif_list_init(&f->batch);
		if (f->kit == NULL) {
			dif_spool_fillers_free(s);
			return false;
		}
	}
	return true;
}

void dif_spool_fillers_free(struct dif_spool *s)
{
	for (uint32_t i = 0; i < s->nfillers; i++) {
		dif_inflate_kit_free(s->fillers[i].kit);
	}
	s->nfillers = 0;
}
