/* setup_private - what opening a setup and adding to one share. */
#ifndef DIF_FLOW_SETUP_PRIVATE_H
#define DIF_FLOW_SETUP_PRIVATE_H

#include "flow/setup.h"

/* The configuration that an addition came from: its text is in use until the end. */
struct dif_setup_more {
	struct dif_config *config;
	struct dif_setup_more *next;
};
void dif_setup_forget(struct dif_setup_more *m); /* all; accepts NULL */

/* Opens the section's plug-in of that kind; NULL: err, which carries the exit. */
struct dif_instance *dif_setup_open_instance(struct dif_setup *s, const struct dif_config *c,
                                             enum dif_kind kind, const char *section,
                                             const char *plugin, struct dif_error *err);
/* Makes destinations[i] of config->destinations[i]: its store and CDNs are open. */
void dif_setup_place(struct dif_setup *s, uint32_t i);
/* Of a destination that has CDNs; state: where it keeps what is owed, NULL: nowhere. */
void dif_setup_open_purger(struct dif_setup *s, uint32_t i, struct dif_state *state);
/* Opens a store of c. On failure *to may hold an instance all the same, for whoever closes. */
bool dif_setup_open_store(struct dif_setup *s, const struct dif_config *c,
                          const struct dif_store_config *store, struct dif_instance **to,
                          struct dif_error *err);
/* The instance of that name in use; NULL: none. */
struct dif_instance *dif_setup_store(const struct dif_setup *s, const char *name);
/* Can a store with these capabilities keep what the destination asks for? */
bool dif_setup_check_forms(const struct dif_config *c, const struct dif_destination_config *d,
                           const struct dif_caps *caps, struct dif_error *err);

#endif
