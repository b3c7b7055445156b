/* zip - writes a ZIP archive of stored and deflated entries, front to back, without a clock: the
 * same entries give the same bytes. Times are fixed unless given. */
#ifndef DIF_REHEARSAL_ZIP_H
#define DIF_REHEARSAL_ZIP_H

#include "base/buf.h"
#include "base/err.h"

struct dif_zip;
/* Writes to fd from its current position; the caller closes fd. NULL: out of memory. */
struct dif_zip *dif_zip_new(int fd, struct dif_error *err);
/* dos_time: date and time as in a ZIP header, 0: 1 June 2026 08:00. deflate false: stored. */
bool dif_zip_add(struct dif_zip *z, const char *name, const void *p, size_t n, bool deflate,
                 uint32_t dos_time, struct dif_error *err);
/* Writes the directory and the end record. */
bool dif_zip_end(struct dif_zip *z, struct dif_error *err);
void dif_zip_free(struct dif_zip *z); /* accepts NULL */
/* The same into memory: for a ZIP inside a ZIP. */
struct dif_zip *dif_zip_to_buf(struct dif_buf *out, struct dif_error *err);

#endif
