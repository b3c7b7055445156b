/* traffic - the readers' traffic at work: looks at every destination, judges, decides, steers,
 * remembers, and does what people ask for.
 *
 *   prober ─look─▶ health ─verdict─▶ failover ─route─▶ every [steering], each by itself
 *      ▲ deliveries ─────┘              ▲ pins, drains (flow/ask), what is dropped in or taken away
 *
 * A destination without public_url is judged by its deliveries alone. What is known lies in the
 * state (flow/traffic_view). Loop thread.
 */
#ifndef DIF_FLOW_TRAFFIC_H
#define DIF_FLOW_TRAFFIC_H

#include "flow/ask.h"
#include "flow/setup.h"
#include "flow/traffic_view.h"

struct dif_traffic;

struct dif_traffic_events {
	/* A destination that was taken away has no readers any more, as far as that can be known:
	 * out of the route, the steerings stand, their TTL is over. Also from dif_traffic_gone. */
	void (*left)(void *data, uint32_t index);
	/* A question about a drill (ask->drill is set): who gets it answers it. */
	void (*asked)(void *data, const struct dif_ask *ask);
};

/* setup is open with DIF_SETUP_OWN. NULL: out of memory. */
struct dif_traffic *dif_traffic_open(struct dif_setup *s, bool leads,
                                     const struct dif_traffic_events *events, void *data);
/* Whether it may set the route. While it may not, it looks and judges on, decides nothing, and
 * follows what stands in the record; when it may, it begins with the route that it reads there and
 * judges anew, because a cut that it did not know yet looked like a fault. */
void dif_traffic_lead(struct dif_traffic *t, bool leads);
/* A cut that another agent publishes is in the state with its manifest: looks know it. */
void dif_traffic_kept(struct dif_traffic *t, const char *sha256);
void dif_traffic_added(struct dif_traffic *t, uint32_t first, uint32_t n);
/* Its configuration was taken away: it is drained first, and `left` tells when that is done. The
 * last one that readers have stays, and so do its deliveries. */
void dif_traffic_gone(struct dif_traffic *t, uint32_t index);
void dif_traffic_back(struct dif_traffic *t, uint32_t index);
/* What is known now; valid and changing until closed. */
const struct dif_traffic_view *dif_traffic_now(const struct dif_traffic *t);
bool dif_traffic_leads(const struct dif_traffic *t); /* else another agent does the work */
const struct dif_health *dif_traffic_health(const struct dif_traffic *t, uint32_t index);
const struct dif_steering_status *dif_traffic_steering(const struct dif_traffic *t, uint32_t index);
/* The newest cut that should be shown; sha256 "": nothing is published. */
const struct dif_order *dif_traffic_wanted(const struct dif_traffic *t);
/* Every steering reads its record again, and puts right what is not as wanted. */
void dif_traffic_steer(struct dif_traffic *t);
/* No event after this; what runs is ended, and frees itself on the loop. Accepts NULL. */
void dif_traffic_close(struct dif_traffic *t);

#endif
