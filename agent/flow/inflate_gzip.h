/* inflate_gzip - a gzip body (RFC 1952) that comes in pieces from elsewhere, out in pieces. The
 * caller bounds what comes out. One thread at a time. */
#ifndef DIF_FLOW_INFLATE_GZIP_H
#define DIF_FLOW_INFLATE_GZIP_H

#include <difusor/plugin.h>

struct dif_gunzip;
struct dif_gunzip *dif_gunzip_new(void);    /* NULL: out of memory */
void dif_gunzip_free(struct dif_gunzip *g); /* accepts NULL */
/* Calls out with what p gives, in order; out returning false stops it. False: it was stopped or the
 * body is damaged; then nothing more may be added. */
bool dif_gunzip_add(struct dif_gunzip *g, const void *p, size_t n,
                    bool (*out)(void *data, const void *p, size_t n), void *data);
/* All that was added is one or more whole members, checksums included. */
bool dif_gunzip_is_whole(const struct dif_gunzip *g);

#endif
