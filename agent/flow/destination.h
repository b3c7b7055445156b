/* destination - a cloud as the reader sees it, at work: its store's instance, what we know it
 * holds, its marker, its probe result. */
#ifndef DIF_FLOW_DESTINATION_H
#define DIF_FLOW_DESTINATION_H

#include "base/map.h"
#include "flow/config.h"
#include "flow/state.h"
#include "host/op.h"

enum dif_fence { DIF_FENCE_UNKNOWN, DIF_FENCED, DIF_UNFENCED };

struct dif_destination {
	const struct dif_destination_config *config;
	struct dif_instance *store;
	struct dif_map
		held; /* key -> struct dif_held, memory of the destination; loaded from the state */
	bool known; /* held was loaded or listed: a key that is not in it does not exist, as far as
	               we know */
	uint32_t fence; /* enum dif_fence */
	bool bare_tags; /* conditions take the tag without its quotes (radosgw) */
	bool busy;      /* a delivery is running: only one at a time */
};

/* The key of the marker below the prefix, and what it says. */
#define DIF_MARKER ".difusor/live"

#endif
