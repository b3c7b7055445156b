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

/* Creates root and side if their parents exist, and removes what a killed run left, unless another
 * process has the root open. Synchronous. Without a side (NULL, or it cannot be had) PUT and REMOVE
 * fail with the reason and all else works: a source needs no more. NULL: err says why. */
struct dif_file_root *dif_file_root_open(const char *root, const char *side, struct dif_error *err);
void dif_file_root_close(struct dif_file_root *r); /* no run may be left; accepts NULL */

/* Runs one call; r's fields and files live until cb returns. cb as in host/http. call is copied;
 * the content that its pieces show, and the sink, must stay until cb. Status 200, 404, 412, 416
 * (GET beyond the end), else 0; err has class and sentence of all but 200. GET takes if_tag too. */
struct dif_file_run *
dif_file_start(struct dif_engine *e, struct dif_file_root *root, const struct dif_file_call *call,
               void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err),
               void *data);
/* cb still comes, with CANCELED; a put that was being committed may have had its effect. */
void dif_file_cancel(struct dif_file_run *run);

#endif
