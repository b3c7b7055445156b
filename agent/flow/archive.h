/* archive - every package, byte for byte, under its SHA-256, with its place in time beside it.
 * Nothing is deleted by itself.
 *
 *   archive/ab/abcdef....zip     the package, mode 0440
 *   archive/ab/abcdef....ini     epoch, number, name, source, seen, profile
 */
#ifndef DIF_FLOW_ARCHIVE_H
#define DIF_FLOW_ARCHIVE_H

#include "flow/state.h"

struct dif_archive;
struct dif_archive *dif_archive_open(const char *folder,
                                     struct dif_error *err); /* creates it if its parent exists */
void dif_archive_close(struct dif_archive *a);
/* Copies (or, from the state's own spool on the same file system, renames) a file in, fsync before
 * rename; pool thread. path is malloc'ed. Free space below bytes + 64 MiB is refused beforehand
 * with the remedy. */
bool dif_archive_add(struct dif_archive *a, const char *from, bool move, const struct dif_cut *cut,
                     char **path, struct dif_error *err);
/* Rewrites the note beside a package (number, profile). */
bool dif_archive_note(struct dif_archive *a, const struct dif_cut *cut, struct dif_error *err);
char *dif_archive_path(const struct dif_archive *a,
                       const char *sha256); /* malloc'ed; NULL: out of memory */
bool dif_archive_has(const struct dif_archive *a, const char *sha256);
/* Rebuilds the list of cuts after the state was lost. */
bool dif_archive_scan(struct dif_archive *a, void (*row)(void *data, const struct dif_cut *cut),
                      void *data, struct dif_error *err);

#endif
