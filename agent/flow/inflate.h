/* inflate - what flow/ingest uses of flow/inflate besides the public inflaters. */
#ifndef DIF_FLOW_INFLATE_H
#define DIF_FLOW_INFLATE_H

#include "flow/ingest.h"

struct libdeflate_decompressor;
struct libdeflate_decompressor *dif_inflate_tool(void); /* one thread at a time; NULL: no memory */
void dif_inflate_tool_free(struct libdeflate_decompressor *tool); /* accepts NULL */

/* Whether an entry is inflated in one call: both its sizes are at most DIF_WHOLE_MAX. */
bool dif_inflate_fits(const struct dif_member *m);
/* packed has m->packed bytes, to has room for m->size. All checks. A stored entry may be its own
 * packed bytes: to == packed. */
bool dif_inflate_whole(struct libdeflate_decompressor *tool, const struct dif_member *m,
                       const void *packed, void *to, struct dif_error *err);

#endif
