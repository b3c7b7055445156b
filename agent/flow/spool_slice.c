/* spool_slice - a member read once, in order, into buffers of equal size.
 *
 * One slice is read at a time; those before it may still be on their way. The digest of the whole
 * runs along, so that the last slice is given out only if all of them were what was verified.
 */
#include <assert.h>
#include <stdlib.h>

#include "flow/blob.h"
#include "flow/spool_private.h"
#include "host/crypto.h"

struct dif_slices {
	uint32_t refs;
	uint32_t digest; /* of each slice */
	struct dif_spool_user *user;
	uint64_t size;          /* of a slice */
	uint64_t total, wanted; /* of the form; of it, asked for */
	bool is_asked;          /* one is on its way */
	struct dif_hasher *all; /* the pool's while it reads, as those that follow */
	uint64_t read;
	struct dif_spool_source source;
};

struct dif_slices *dif_spool_slices(struct dif_spool_user *u, const struct dif_package *p,
                                    const struct dif_member *m, enum dif_form_id form,
                                    uint64_t size, uint32_t digest)
{
	struct dif_slices *s = calloc(1, sizeof *s);
	assert(size > 0 && m->form[form].has != 0);
	if (s == NULL || (s->all = dif_hasher_new(DIF_SHA256)) == NULL) {
		free(s);
		return NULL;
	}
	dif_hasher_begin(s->all);
	s->refs = 1;
	s->digest = digest;
	s->user = u;
	s->size = size;
	s->total = m->form[form].size;
	s->source = (struct dif_spool_source){.package = p, .member = m, .form = form};
	return s;
}

struct dif_slices *dif_slices_ref(struct dif_slices *s)
{
	s->refs++;
	return s;
}

void dif_slices_free(struct dif_slices *s)
{
	if (s != NULL && --s->refs == 0) {
		dif_spool_source_fini(&s->source);
		dif_hasher_free(s->all);
		free(s);
	}
}

struct dif_lease *dif_spool_slice(struct dif_slices *s, const struct dif_lease_events *events,
                                  void *data)
{
	uint64_t left = s->total - s->wanted;
	assert(left > 0 && !s->is_asked && events->asked_back == NULL);
	struct dif_lease l = {.user = s->user,
	                      .package = s->source.package,
	                      .member = s->source.member,
	                      .form = s->source.form,
	                      .slices = s,
	                      .ticket = left < s->size ? left : s->size,
	                      .events = events,
	                      .data = data};
	struct dif_lease *waits = dif_spool_queue(&l);
	if (waits != NULL) {
		s->wanted += l.ticket;
		s->is_asked = true;
	}
	return waits;
}

void dif_slices_told(struct dif_slices *s)
{
	s->is_asked = false;
}

uint32_t dif_slices_digest(const struct dif_slices *s)
{
	return s->digest;
}

/* --- on the pool --- */

static bool fail(struct dif_error *err, const struct dif_slices *s, enum dif_class cls,
                 const char *why)
{
	dif_error_set(err, cls, "could not read entry '%s': %s", s->source.member->path, why);
	return false;
}

/* The source says itself whether it ends well, where it is asked for more. */
static bool is_whole(struct dif_slices *s, struct dif_error *err)
{
	const struct dif_member *m = s->source.member;
	uint8_t digest[DIF_DIGEST_MAX], more;
	int64_t n = dif_spool_source_read(&s->source, &more, 1);
	if (n < 0) {
		*err = s->source.err;
		return false;
	}
	dif_hasher_end(s->all, digest);
	if (n > 0 || memcmp(digest, m->form[s->source.form].sha256, 32) != 0) {
		return fail(err, s, DIF_INTEGRITY, "it is not what was verified");
	}
	return true;
}

static bool make_digest(const struct dif_slices *s, const uint8_t *p, size_t n, uint8_t *digest,
                        struct dif_error *err)
{
	return s->digest == DIF_NO_DIGEST || dif_blob_hash(s->digest, p, n, digest) ||
	       fail(err, s, DIF_TRANSIENT, "out of memory");
}

bool dif_slices_fill(struct dif_slices *s, uint8_t *to, size_t n, uint8_t *digest,
                     struct dif_error *err)
{
	size_t have = 0;
	while (have < n) {
		int64_t got = dif_spool_source_read(&s->source, to + have, n - have);
		if (got < 0) {
			*err = s->source.err;
			return false;
		}
		if (got == 0) {
			return fail(err, s, DIF_INTEGRITY, "it is cut off");
		}
		have += (size_t)got;
	}
	dif_hasher_add(s->all, to, n);
	s->read += n;
	return make_digest(s, to, n, digest, err) && (s->read < s->total || is_whole(s, err));
}
