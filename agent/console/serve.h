/* serve - a small static server for what the `dir` store wrote: demo, mirrors, tests.
 * libmicrohttpd, driven by the loop through its epoll descriptor.
 *
 * GET and HEAD only. Content-Type and Cache-Control from the metadata, else by extension; an ETag
 * from the entry's SHA-256; NAME.gz siblings only to clients that accept gzip, with Vary; ranges;
 * an unknown path without a dot in its last part answers the nearest index.html upward, else 404.
 * `..`, links and `.difusor` are never served.
 */
#ifndef DIF_CONSOLE_SERVE_H
#define DIF_CONSOLE_SERVE_H

#include "host/engine.h"

struct dif_serve;
/* listen: "127.0.0.1:8080", "[::1]:0"; port 0 is a free one. */
struct dif_serve *dif_serve_open(struct dif_engine *e, const char *folder, const char *listen,
                                 struct dif_error *err);
uint16_t dif_serve_port(const struct dif_serve *s);
void dif_serve_close(struct dif_serve *s); /* its handles close on the loop; then it frees itself */

#endif
