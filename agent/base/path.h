/* path - files that may be trusted, and files that must survive.
 *
 * Trust is decided on open descriptors, never by name (a check by path can be raced): every folder
 * from / down is opened with O_NOFOLLOW and fstat'ed; root or this user owns it, and group and
 * others may not write (a sticky folder of root is fine).
 */
#ifndef DIF_BASE_PATH_H
#define DIF_BASE_PATH_H

#include <sys/types.h>

#include "base/err.h"

/* Opens a regular file, no symlink, by the rule above, for reading. secret: also refuses mode bits
 * beyond 0640 (style: the sentence names file, mode and remedy). Returns the descriptor
 * (O_CLOEXEC), or -1 with err set. */
int dif_path_open_trusted(const char *path, bool secret, struct dif_error *err);
/* The same for a folder; the descriptor is good for openat and fdopendir. */
int dif_path_open_trusted_dir(const char *path, struct dif_error *err);
/* The path without links, for dif_path_open_trusted: clusters keep tokens that are renewed behind
 * links. A link counts where root or this user owns it, and all folders before it are trusted by
 * the rule above. malloc'ed. NULL: err. */
char *dif_path_follow(const char *path, struct dif_error *err);
/* Reads a whole descriptor, at most max bytes; *out is malloc'ed with a NUL behind, owned by the
 * caller. */
bool dif_path_read_all(int fd, size_t max, char **out, size_t *n, struct dif_error *err);
/* Creates a folder if its parent exists; true if it is there afterwards. */
bool dif_path_make_dir(const char *path, mode_t mode, struct dif_error *err);
/* Writes a file so that it survives power loss: temporary name beside it, fsync, rename, fsync of
 * the folder. */
bool dif_path_write_durably(int dirfd, const char *name, const void *p, size_t n, mode_t mode,
                            struct dif_error *err);
/* a/b, one slash between; malloc'ed. NULL: out of memory. */
char *dif_path_join(const char *a, const char *b);

#endif
