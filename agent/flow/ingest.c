/* ingest - every byte of a package, once:
 *
 *   1. members by path, without digests       3. the entry page has its base tag
 *   2. on the pool: inflate, size, CRC-32,    4. the manifest is handed over
 *      digests of both forms
 *
 * As many jobs as the pool has threads take members from one list, the large ones first, so that
 * none is left to run alone at the end. A job gives its thread back after BATCH bytes: other work
 * of the pool is never kept waiting for long, and the loop is woken some dozens of times, not once
 * for each of thousands of entries. Nothing is torn down half way: a failure or a cancel is a flag
 * that the jobs look at between members and between pieces of large ones.
 *
 * Members whose packed bytes are those of the previous cut, compared and not assumed, keep its
 * digests: those bytes were inflated and checked when they came first.
 */
#include "flow/ingest.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "flow/inflate.h"
#include "flow/walk.h"
#include "host/crypto.h"

#define BATCH (16u << 20)     /* bytes unpacked: about 50 ms with three digests */
#define PIECE (64u << 10)     /* what is digested at a time stays in the processor's cache */
#define JOBS_MAX 8            /* each may hold two buffers of DIF_WHOLE_MAX */
#define ROUND_UP (256u << 10) /* buffers grow in steps */
#define DEFLATE 8
#define WANTED (DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_MD5) | DIF_HAS(DIF_CRC32C))

struct room {
	uint8_t *p;
	size_t n;
};

/* One job at a time has each of these to itself. */
struct job {
	struct dif_work work;
	struct dif_ingest *owner;
	struct libdeflate_decompressor *tool;
	struct dif_hasher *sha256, *md5; /* md5 NULL: not wanted */
	uint32_t crc32c;
	struct room packed, plain;
};

struct dif_ingest {
	struct dif_engine *engine;
	const struct dif_package *package;
	struct dif_ingest_want want;
	void (*progress)(void *data, uint64_t bytes, uint64_t of);
	void (*done)(void *data, struct dif_manifest *m, const struct dif_error *err);
	void *data;
	struct dif_manifest *manifest;
	uint32_t *order; /* of members, as they are taken */
	atomic_uint next;
	atomic_ullong bytes; /* done */
	atomic_bool stop;    /* a failure, or a cancel */
	atomic_flag failed;  /* whoever sets it writes err */
	bool canceled;
	struct dif_error err;
	uint32_t njobs, running;
	struct job jobs[JOBS_MAX];
};

/* --- digests --- */

static void digest_begin(struct job *j)
{
	dif_hasher_begin(j->sha256);
	if (j->md5 != NULL) {
		dif_hasher_begin(j->md5);
	}
	j->crc32c = 0;
}

static void digest_add(struct job *j, const void *p, size_t n)
{
	bool crc32c = (j->owner->want.digests & DIF_HAS(DIF_CRC32C)) != 0;
	for (const uint8_t *at = p; n > 0;) {
		size_t piece = n < PIECE ? n : PIECE;
		dif_hasher_add(j->sha256, at, piece);
		if (j->md5 != NULL) {
			dif_hasher_add(j->md5, at, piece);
		}
		if (crc32c) {
			j->crc32c = dif_crc32c(j->crc32c, at, piece);
		}
		at += piece;
		n -= piece;
	}
}

static void put_be32(uint8_t to[4], uint32_t v)
{
	for (unsigned i = 0; i < 4; i++) {
		to[i] = (uint8_t)(v >> (24 - 8 * i));
	}
}

static void digest_end(struct job *j, struct dif_form *f)
{
	uint8_t to[DIF_DIGEST_MAX];
	dif_hasher_end(j->sha256, to);
	memcpy(f->sha256, to, sizeof f->sha256);
	f->has = DIF_HAS(DIF_SHA256);
	if (j->md5 != NULL) {
		dif_hasher_end(j->md5, to);
		memcpy(f->md5, to, sizeof f->md5);
		f->has |= DIF_HAS(DIF_MD5);
	}
	if ((j->owner->want.digests & DIF_HAS(DIF_CRC32C)) != 0) {
		put_be32(f->crc32c, j->crc32c);
		f->has |= DIF_HAS(DIF_CRC32C);
	}
}

/* --- one member --- */

static bool grow(struct room *r, size_t n, struct dif_error *err)
{
	if (n <= r->n && r->p != NULL) {
		return true;
	}
	free(r->p);
	r->n = (n / ROUND_UP + 1) * ROUND_UP;
	r->p = malloc(r->n);
	if (r->p == NULL) {
		r->n = 0;
		dif_error_set(err, DIF_TRANSIENT, "could not check package: out of memory");
		return false;
	}
	return true;
}

static bool wants_gzip(const struct dif_ingest *i, const struct dif_member *m)
{
	return i->want.gzip && m->method == DEFLATE &&
	       m->packed + DIF_GZIP_HEADER + DIF_GZIP_TRAILER < m->size;
}

/* The gzip form around packed bytes that were digested or are read again piece by piece. */
static bool digest_gzip(struct job *j, struct dif_member *m, const uint8_t *packed,
                        struct dif_error *err)
{
	struct dif_form *f = &m->form[DIF_GZIP];
	uint8_t trailer[DIF_GZIP_TRAILER];
	digest_begin(j);
	digest_add(j, dif_gzip_header, sizeof dif_gzip_header);
	if (packed != NULL) {
		digest_add(j, packed, (size_t)m->packed);
	}
	for (uint64_t at = 0; packed == NULL && at < m->packed;) {
		uint64_t left = m->packed - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;
		if (!dif_package_read(j->owner->package->fd, j->packed.p, n, m->offset + at, err)) {
			return false;
		}
		digest_add(j, j->packed.p, n);
		at += n;
	}
	dif_gzip_trailer(trailer, m->crc, m->size);
	digest_add(j, trailer, sizeof trailer);
	digest_end(j, f);
	f->size = m->packed + DIF_GZIP_HEADER + DIF_GZIP_TRAILER;
	return true;
}

static void digest_identity_end(struct job *j, struct dif_member *m)
{
	struct dif_form *f = &m->form[DIF_IDENTITY];
	digest_end(j, f);
	f->size = m->size;
	put_be32(f->crc32, m->crc);
	f->has |= DIF_HAS(DIF_CRC32);
}

static bool ingest_whole(struct job *j, struct dif_member *m, struct dif_error *err)
{
	if (!grow(&j->packed, (size_t)m->packed, err) || !grow(&j->plain, (size_t)m->size, err) ||
	    !dif_package_read(j->owner->package->fd, j->packed.p, (size_t)m->packed, m->offset,
	                      err)) {
		return false;
	}
	uint8_t *plain = m->method == DEFLATE ? j->plain.p : j->packed.p;
	if (!dif_inflate_whole(j->tool, m, j->packed.p, plain, err)) {
		return false;
	}
	digest_begin(j);
	digest_add(j, plain, (size_t)m->size);
	digest_identity_end(j, m);
	return !wants_gzip(j->owner, m) || digest_gzip(j, m, j->packed.p, err);
}

static bool ingest_streaming(struct job *j, struct dif_member *m, struct dif_error *err)
{
	if (!grow(&j->packed, PIECE, err)) {
		return false;
	}
	struct dif_inflater *in = dif_inflater_open(j->owner->package, m, err);
	if (in == NULL) {
		return false;
	}
	int64_t n;
	digest_begin(j);
	while ((n = dif_inflater_read(in, j->packed.p, PIECE, err)) > 0 &&
	       !atomic_load(&j->owner->stop)) {
		digest_add(j, j->packed.p, (size_t)n);
	}
	dif_inflater_close(in);
	if (n != 0) {
		return n > 0; /* stopped: nobody will look at this member */
	}
	digest_identity_end(j, m);
	return !wants_gzip(j->owner, m) || digest_gzip(j, m, NULL, err);
}

static bool same_bytes(struct job *j, const struct dif_member *a, const struct dif_member *b)
{
	const struct dif_ingest *i = j->owner;
	if (!grow(&j->packed, PIECE, NULL) || !grow(&j->plain, PIECE, NULL)) {
		return false;
	}
	for (uint64_t at = 0; at < a->packed;) {
		uint64_t left = a->packed - at;
		size_t n = left < PIECE ? (size_t)left : PIECE;
		if (!dif_package_read(i->package->fd, j->packed.p, n, a->offset + at, NULL) ||
		    !dif_package_read(i->want.before->fd, j->plain.p, n, b->offset + at, NULL) ||
		    memcmp(j->packed.p, j->plain.p, n) != 0) {
			return false;
		}
		at += n;
	}
	return true;
}

/* Takes the digests over from the previous cut where all that are wanted are there. */
static bool reuse(struct job *j, struct dif_member *m)
{
	const struct dif_ingest *i = j->owner;
	if (i->want.before == NULL || i->want.known == NULL) {
		return false;
	}
	const struct dif_member *k = dif_manifest_find(i->want.known, m->path);
	uint32_t need = (i->want.digests & WANTED) | DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_CRC32);
	if (k == NULL || k->size != m->size || k->packed != m->packed || k->crc != m->crc ||
	    k->method != m->method || (k->form[DIF_IDENTITY].has & need) != need) {
		return false;
	}
	need &= ~DIF_HAS(DIF_CRC32);
	bool gzip = wants_gzip(i, m);
	if ((gzip && (k->form[DIF_GZIP].has & need) != need) || !same_bytes(j, m, k)) {
		return false;
	}
	m->form[DIF_IDENTITY] = k->form[DIF_IDENTITY];
	if (gzip) {
		m->form[DIF_GZIP] = k->form[DIF_GZIP];
	}
	return true;
}

/* --- the entry page --- */

/* The first DIF_WHOLE_MAX bytes are looked at: the tag stands in the head. */
static bool check_page(struct job *j, const struct dif_member *m, struct dif_error *err)
{
	size_t most = m->size < DIF_WHOLE_MAX ? (size_t)m->size : DIF_WHOLE_MAX, have = 0;
	if (!grow(&j->plain, most, err)) {
		return false;
	}
	struct dif_inflater *in = dif_inflater_open(j->owner->package, m, err);
	if (in == NULL) {
		return false;
	}
	int64_t n = 1;
	while (n > 0 && have < most) {
		n = dif_inflater_read(in, j->plain.p + have, most - have, err);
		have += n > 0 ? (size_t)n : 0;
	}
	dif_inflater_close(in);
	if (n < 0) {
		return false;
	}
	return dif_ingest_has_base((const char *)j->plain.p, have) ||
	       dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
	                      "could not accept package: its index.html has no usable "
	                      "<base href> (outside comments and scripts)");
}

/* --- the jobs --- */

static void fail(struct dif_ingest *i, const struct dif_error *err)
{
	if (!atomic_flag_test_and_set(&i->failed)) {
		i->err = *err;
	}
	atomic_store(&i->stop, true);
}

static bool take(struct job *j, struct dif_member *m, struct dif_error *err)
{
	if (!reuse(j, m) &&
	    !(dif_inflate_fits(m) ? ingest_whole(j, m, err) : ingest_streaming(j, m, err))) {
		return false;
	}
	return strcmp(m->path, "index.html") != 0 || check_page(j, m, err);
}

static void run(struct dif_work *work)
{
	struct job *j = (struct job *)(void *)((char *)work - offsetof(struct job, work));
	struct dif_ingest *i = j->owner;
	for (uint64_t bytes = 0; bytes < BATCH && !atomic_load(&i->stop);) {
		uint32_t at = atomic_fetch_add(&i->next, 1);
		if (at >= i->manifest->n) {
			break;
		}
		struct dif_member *m = &i->manifest->members[i->order[at]];
		struct dif_error err;
		dif_error_clear(&err);
		if (!take(j, m, &err)) {
			fail(i, &err);
			break;
		}
		bytes += m->size + 512; /* an empty entry is work, too */
		atomic_fetch_add(&i->bytes, m->size);
	}
}

static void job_fini(struct job *j)
{
	dif_inflate_tool_free(j->tool);
	dif_hasher_free(j->sha256);
	dif_hasher_free(j->md5);
	free(j->packed.p);
	free(j->plain.p);
}

static void ingest_free(struct dif_ingest *i)
{
	for (uint32_t k = 0; k < i->njobs; k++) {
		job_fini(&i->jobs[k]);
	}
	dif_manifest_unref(i->manifest);
	free(i->order);
	free(i);
}

static void finish(struct dif_ingest *i)
{
	if (i->canceled) {
		dif_error_clear(&i->err);
		dif_error_set(&i->err, DIF_CANCELED, "could not check package: canceled");
	}
	if (i->err.cls == DIF_OK) {
		struct dif_manifest *m = i->manifest;
		i->manifest = NULL;
		i->done(i->data, m, NULL);
	} else {
		i->done(i->data, NULL, &i->err);
	}
	ingest_free(i);
}

static void on_batch(struct dif_work *work)
{
	struct job *j = (struct job *)(void *)((char *)work - offsetof(struct job, work));
	struct dif_ingest *i = j->owner;
	if (!atomic_load(&i->stop)) {
		if (i->progress != NULL) {
			i->progress(i->data, atomic_load(&i->bytes), i->package->total);
		}
		if (atomic_load(&i->next) < i->manifest->n && !atomic_load(&i->stop)) {
			dif_engine_work(i->engine, work, run, on_batch);
			return;
		}
	}
	if (--i->running == 0) {
		finish(i);
	}
}

/* --- start --- */

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct dif_member *)a)->path, ((const struct dif_member *)b)->path);
}

static bool fill_manifest(struct dif_ingest *i)
{
	const struct dif_package *p = i->package;
	struct dif_manifest *m = i->manifest;
	m->members = dif_arena_alloc(&m->arena, ((size_t)p->n + 1) * sizeof *m->members);
	if (m->members == NULL) {
		return false;
	}
	for (uint32_t k = 0; k < p->n; k++) {
		const struct dif_entry *e = &p->entries[k];
		m->members[k] = (struct dif_member){.path = dif_arena_str(&m->arena, e->name),
		                                    .offset = e->offset,
		                                    .packed = e->packed,
		                                    .size = e->size,
		                                    .crc = e->crc,
		                                    .method = e->method};
	}
	m->n = p->n;
	m->bytes = p->total;
	qsort(m->members, m->n, sizeof *m->members, by_path);
	return !m->arena.failed;
}

/* Large members first, by size; then the others as they lie in the file. */
static int by_work(const void *a, const void *b, void *members)
{
	const struct dif_member *l = (struct dif_member *)members + *(const uint32_t *)a;
	const struct dif_member *r = (struct dif_member *)members + *(const uint32_t *)b;
	uint64_t large_l = dif_inflate_fits(l) ? 0 : l->size;
	uint64_t large_r = dif_inflate_fits(r) ? 0 : r->size;
	if (large_l != large_r) {
		return large_l > large_r ? -1 : 1;
	}
	return (l->offset > r->offset) - (l->offset < r->offset);
}

static bool fill_order(struct dif_ingest *i)
{
	uint32_t n = i->manifest->n;
	i->order = calloc((size_t)n + 1, sizeof *i->order);
	if (i->order == NULL) {
		return false;
	}
	for (uint32_t k = 0; k < n; k++) {
		i->order[k] = k;
	}
	qsort_r(i->order, n, sizeof *i->order, by_work, i->manifest->members);
	return true;
}

static bool job_init(struct dif_ingest *i, struct job *j)
{
	j->owner = i;
	j->tool = dif_inflate_tool();
	j->sha256 = dif_hasher_new(DIF_SHA256);
	bool md5 = (i->want.digests & DIF_HAS(DIF_MD5)) != 0;
	j->md5 = md5 ? dif_hasher_new(DIF_MD5) : NULL;
	return j->tool != NULL && j->sha256 != NULL && (!md5 || j->md5 != NULL);
}

static bool fill_jobs(struct dif_ingest *i)
{
	uint32_t n = uv_available_parallelism();
	n = n < 2 ? 2 : n > JOBS_MAX ? JOBS_MAX : n;
	while (i->njobs < n) {
		if (!job_init(i, &i->jobs[i->njobs++])) {
			return false;
		}
	}
	return true;
}

/* What can be said before a byte is inflated. */
static void check_site(struct dif_ingest *i)
{
	struct dif_error err;
	dif_error_clear(&err);
	if (i->manifest->n == 0) {
		dif_error_exit(&err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
		               "could not accept package: it has no file (empty, or only folders)");
	} else if (dif_manifest_find(i->manifest, "index.html") == NULL) {
		dif_error_exit(&err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
		               "could not accept package: it has no index.html at its root");
	} else {
		return;
	}
	fail(i, &err);
}

struct dif_ingest *dif_ingest_start(
	struct dif_engine *e, const struct dif_package *p, const struct dif_ingest_want *want,
	void (*progress)(void *data, uint64_t bytes, uint64_t of),
	void (*done)(void *data, struct dif_manifest *m, const struct dif_error *err), void *data)
{
	struct dif_ingest *i = calloc(1, sizeof *i);
	if (i == NULL) {
		return NULL;
	}
	i->engine = e;
	i->package = p;
	i->want = *want;
	i->progress = progress;
	i->done = done;
	i->data = data;
	atomic_flag_clear(&i->failed);
	i->manifest = dif_manifest_new();
	if (i->manifest == NULL || !fill_manifest(i) || !fill_order(i) || !fill_jobs(i)) {
		ingest_free(i);
		return NULL;
	}
	check_site(i);
	i->running = i->njobs;
	for (uint32_t k = 0; k < i->njobs; k++) {
		dif_engine_work(e, &i->jobs[k].work, run, on_batch);
	}
	return i;
}

void dif_ingest_cancel(struct dif_ingest *i)
{
	i->canceled = true;
	atomic_store(&i->stop, true);
}
