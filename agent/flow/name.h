/* name - what a name inside a package may be, for the package's own rooms (package, walk).
 *
 * A name becomes a key in several clouds, a path of a URL and a file below a root; what any of them
 * could read as another name, or cannot store, is refused. The rules: docs/notes/package.md.
 */
#ifndef DIF_FLOW_NAME_H
#define DIF_FLOW_NAME_H

#include "base/arena.h"
#include "flow/package.h"

struct dif_name {
	const char *s; /* as published: UTF-8; a folder keeps its slash */
	bool folder;
	bool cp437; /* it was decoded from code page 437 */
};

/* Decodes and judges one name; out's text lies in arena, whatever the name was. marked: the header
 * says that it is UTF-8. Refusals carry exit 6. */
bool dif_name_take(struct dif_arena *arena, const uint8_t *raw, size_t n, bool marked,
                   const struct dif_limits *limits, struct dif_name *out, struct dif_error *err);

/* Refuses two names that are one (equal after NFC, or a file that is another's folder). Each pair
 * that differs in case only is told to twins. Exit 6. */
bool dif_names_distinct(const char *const *names, uint32_t n,
                        void (*twins)(void *data, const char *a, const char *b), void *data,
                        struct dif_error *err);

/* A hostile name made fit for a sentence: at most 80 bytes, what is not plain text becomes `?`. */
struct dif_shown {
	char s[88];
};
const char *dif_name_show(struct dif_shown *to, const void *raw, size_t n);

#endif
