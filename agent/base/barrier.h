/* barrier - one per owner: hold once for yourself, once per handle after its init, once per child
 * and op. At zero the owner is gone: `gone` is called once, and may free what holds the barrier. */
#ifndef DIF_BASE_BARRIER_H
#define DIF_BASE_BARRIER_H

#include <difusor/plugin.h>

struct dif_barrier {
	uint32_t held;
	void (*gone)(struct dif_barrier *);
};

void dif_barrier_init(struct dif_barrier *b, void (*gone)(struct dif_barrier *)); /* held once */
void dif_hold(struct dif_barrier *b);
void dif_release(struct dif_barrier *b);

#endif
