#include "base/barrier.h"

#include <assert.h>

void dif_barrier_init(struct dif_barrier *b, void (*gone)(struct dif_barrier *))
{
	*b = (struct dif_barrier){.held = 1, .gone = gone};
}

void dif_hold(struct dif_barrier *b)
{
	assert(b->held > 0 && b->held < UINT32_MAX); /* nobody holds what is gone already */
	b->held++;
}

void dif_release(struct dif_barrier *b)
{
	assert(b->held > 0);
	if (--b->held == 0) {
		b->gone(b); /* may free b */
	}
}
