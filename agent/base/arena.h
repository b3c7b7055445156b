/* arena - memory released all at once. Not thread-safe; one owner. */
#ifndef DIF_BASE_ARENA_H
#define DIF_BASE_ARENA_H

#include <stdarg.h>

#include <difusor/plugin.h>

struct dif_arena_block;
struct dif_arena {
	struct dif_arena_block *blocks;
	size_t used, max; /* bytes handed out, and how many at most */
	bool wipe;        /* zero the blocks before they go */
	bool failed;      /* an allocation failed: sticky until reset */
};

void dif_arena_init(struct dif_arena *a, size_t max, bool wipe);
void dif_arena_fini(struct dif_arena *a);
void dif_arena_reset(struct dif_arena *a); /* keeps one block for the next round */
void *dif_arena_alloc(struct dif_arena *a,
                      size_t n); /* zeroed, aligned for anything; NULL: failed is set */
void *dif_arena_copy(struct dif_arena *a, const void *p, size_t n); /* a NUL follows the copy */
const char *dif_arena_str(struct dif_arena *a, const char *s); /* NULL stays NULL; "" on failure */
const char *dif_arena_fmt(struct dif_arena *a, const char *fmt, ...)
	DIF_PRINTF(2, 3); /* "" on failure */
const char *dif_arena_vfmt(struct dif_arena *a, const char *fmt, va_list ap) DIF_PRINTF(2, 0);

#endif
