/* spool_source - a member in a form, in order: its bytes through the inflater, or its own deflate
 * bytes in the frame of gzip. */
#include "flow/spool_private.h"

/* Of a small piece of n bytes, those from `at` on. */
static int64_t copy(uint8_t *to, size_t max, const uint8_t *piece, size_t n, uint64_t at)
{
	size_t left = n - (size_t)at;
	left = left < max ? left : max;
	memcpy(to, piece + at, left);
	return (int64_t)left;
}

static int64_t read_gzip(struct dif_spool_source *s, uint8_t *to, size_t max)
{
	const struct dif_member *m = s->member;
	uint8_t trailer[DIF_GZIP_TRAILER];
	uint64_t data = DIF_GZIP_HEADER + m->packed;
	if (s->at < DIF_GZIP_HEADER) {
		return copy(to, max, dif_gzip_header, DIF_GZIP_HEADER, s->at);
	}
	if (s->at < data) {
		size_t n = data - s->at < max ? (size_t)(data - s->at) : max;
		uint64_t offset = m->offset + s->at - DIF_GZIP_HEADER;
		return dif_spool_pread(s->package, offset, to, n, &s->err) ? (int64_t)n : -1;
	}
	dif_gzip_trailer(trailer, m->crc, m->size);
	return copy(to, max, trailer, DIF_GZIP_TRAILER, s->at - data);
}

int64_t dif_spool_source_read(struct dif_spool_source *s, uint8_t *to, size_t max)
{
	if (s->form == DIF_GZIP) {
		int64_t n = read_gzip(s, to, max);
		s->at += n > 0 ? (uint64_t)n : 0;
		return n;
	}
	if (s->inflater == NULL) {
		s->inflater = dif_inflater_open(s->package, s->member, &s->err);
	}
	return s->inflater == NULL ? -1 : dif_inflater_read(s->inflater, to, max, &s->err);
}

void dif_spool_source_fini(struct dif_spool_source *s)
{
	dif_inflater_close(s->inflater);
	s->inflater = NULL;
}
