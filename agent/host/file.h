/* file - confined file calls on the pool, for plug-ins that keep objects as files (rule 13 of the
 * design).
 *
 * Below caps.root, every step of a path by openat with O_NOFOLLOW: no link, no `..`, no device.
 * Metadata are user extended attributes (user.difusor.NAME), set before the rename; where the file
 * system has none, files in side/meta. Temporary files lie in side when it is on the same file
 * system, else as .difusor-tmp-* in the root: removed at start, never listed.
 */
#ifndef DIF_HOST_FILE_H
#define DIF_HOST_FILE_H

#include "host/body.h"
#include "host/engine.h"

struct dif_file_root;
struct dif_file_run;

/* Creates root and side if their parents exist, and removes what a killed run left. Synchronous. */
struct dif_file_root *dif_file_root_open(const char *root, const char *side, struct dif_error *err);
void dif_file_root_close(struct dif_file_root *r);

/* Runs one call; r's fields and files live until cb returns. cb as in host/http. */
struct dif_file_run *
dif_file_start(struct dif_engine *e, struct dif_file_root *root, const struct dif_file_call *call,
               void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err),
               void *data);
void dif_file_cancel(struct dif_file_run *run);

#endif
