/* ingest - one pass over a package's bytes on the pool: inflate, size, CRC-32, all digests that are
 * needed, site rules.
 *
 * The only door to libdeflate (entries up to 4 MiB) and zlib (streaming, larger ones). Memory: two
 * buffers of at most 4 MiB per job, at most eight jobs.
 */
#ifndef DIF_FLOW_INGEST_H
#define DIF_FLOW_INGEST_H

#include "flow/manifest.h"
#include "flow/package.h"
#include "host/engine.h"

#define DIF_WHOLE_MAX (4u << 20) /* entries up to this are inflated in one call */

struct dif_ingest_want {
	uint32_t digests; /* DIF_HAS bits besides SHA-256 (always): MD5, CRC32C */
	bool gzip;        /* also the digests of the gzip form of deflated entries */
	const struct dif_package *before; /* previous cut, with */
	const struct dif_manifest *known; /* its manifest: entries with the same compressed bytes
	                                     keep their digests. NULL: none */
};

struct dif_ingest;
/* progress is called on the loop now and then; done once with the manifest (its order and profile
 * still unset; one reference, the callee's) or NULL and the refusal (exit 5 for CRC, 6 else). The
 * package must stay until then. NULL: out of memory, and done does not come. */
struct dif_ingest *dif_ingest_start(
	struct dif_engine *e, const struct dif_package *p, const struct dif_ingest_want *want,
	void (*progress)(void *data, uint64_t bytes, uint64_t of),
	void (*done)(void *data, struct dif_manifest *m, const struct dif_error *err), void *data);
void dif_ingest_cancel(struct dif_ingest *i); /* done still comes */

/* Inflates one entry whole into to (e->size bytes) and checks its CRC; any thread. */
bool dif_ingest_inflate(const struct dif_package *p, const struct dif_member *m, void *to,
                        struct dif_error *err);
/* The same with what it needs kept from entry to entry, for one thread at a time. */
struct dif_inflate_kit;
struct dif_inflate_kit *dif_inflate_kit_new(void);      /* NULL: out of memory */
void dif_inflate_kit_free(struct dif_inflate_kit *kit); /* accepts NULL */
bool dif_inflate_kit_use(struct dif_inflate_kit *kit, const struct dif_package *p,
                         const struct dif_member *m, void *to, struct dif_error *err);

/* Streaming inflate with CRC check at the end, one thread at a time; for entries of any size. */
struct dif_inflater;
struct dif_inflater *dif_inflater_open(const struct dif_package *p, const struct dif_member *m,
                                       struct dif_error *err);
/* 1..max bytes; 0: the end, and size and CRC were right; -1: err. */
int64_t dif_inflater_read(struct dif_inflater *i, void *to, size_t max, struct dif_error *err);
void dif_inflater_close(struct dif_inflater *i); /* accepts NULL */

/* What passes where the base tag is asked for: a `<base` with a href, outside comments and scripts,
 * not in UTF-16 (docs/notes/package.md). */
bool dif_ingest_has_base(const char *html, size_t n);

#endif
