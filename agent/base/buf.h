/* buf - bytes that grow up to a stated bound. A NUL always follows the content. */
#ifndef DIF_BASE_BUF_H
#define DIF_BASE_BUF_H

#include <difusor/plugin.h>

struct dif_buf {
	char *p; /* NULL while nothing was added */
	size_t n, cap, max;
	bool failed; /* out of memory or over max: sticky, later additions do nothing */
};

void dif_buf_init(struct dif_buf *b, size_t max);
void dif_buf_fini(struct dif_buf *b);
void dif_buf_wipe(struct dif_buf *b); /* fini, zeroing first */
bool dif_buf_add(struct dif_buf *b, const void *p, size_t n);
bool dif_buf_fmt(struct dif_buf *b, const char *fmt, ...) DIF_PRINTF(2, 3);
const char *dif_buf_str(const struct dif_buf *b); /* never NULL */

#endif
