/* setup - what every verb that touches the clouds stands on, opened from one configuration and
 * closed in order: engine, plug-ins, stores, CDNs, destinations, state, archive, spool. One per
 * process, on the loop thread. */
#ifndef DIF_FLOW_SETUP_H
#define DIF_FLOW_SETUP_H

#include "flow/archive.h"
#include "flow/config.h"
#include "flow/destination.h"
#include "flow/spool.h"
#include "flow/state.h"

enum dif_setup_mode {
	/* configuration, plug-ins and instances; the state, read-only, and the archive, where there
	 * are some: check, audit, status, history, dry runs */
	DIF_SETUP_READ,
	/* the state with its lock, the archive, the spool: run, publish */
	DIF_SETUP_OWN
};

struct dif_setup {
	struct dif_config *config;
	struct dif_engine *engine;
	struct dif_loader loader;
	struct dif_destination *destinations; /* config->ndestinations, and room likewise */
	struct dif_instance **sources;        /* config->nsources, by index */
	struct dif_instance **stores;         /* config->nstores, and room as in flow/config */
	struct dif_instance **cdns;           /* config->ncdns, and room likewise */
	struct dif_instance **steerings;      /* config->nsteerings */
	struct dif_instance **leases;         /* config->nleases: one or none */
	struct dif_state *state;              /* NULL: READ, and there is none */
	struct dif_archive *archive;          /* NULL: READ, and there is none */
	struct dif_spool *spool;              /* NULL unless OWN */
	bool fresh;                           /* the state was created or set aside just now */
	struct dif_setup_more *more;          /* configurations of what was added */
	uint32_t added_stores, added_cdns, added_destinations;
};

/* Opens everything or nothing. Errors carry exit 3 (configuration), 15 (a plug-in that the
 * configuration needs is missing or refused) or 1 (the state is held: the sentence names the
 * pid). A fresh state is refilled with the cuts of the archive. */
struct dif_setup *dif_setup_open(const char *config_file, enum dif_setup_mode mode,
                                 struct dif_error *err);
/* Adds to a setup in use what the last of these files of the plug-in folder brings: stores and
 * CDNs, of plug-ins that the loader has, and destinations, each at the end of its list. The other
 * files are those in use, so that names and prefixes are checked against them. Nothing that is
 * there moves or changes, and it adds all of the file or nothing. */
bool dif_setup_add(struct dif_setup *s, const char *const *names, uint32_t n,
                   struct dif_error *err);
/* Purges that are owed, since the start or since a delivery that ended before its CDNs had done
 * them; one that is under way sees to its own. Cheap, for every tick. */
void dif_setup_resume_purges(struct dif_setup *s);
void dif_setup_rest_purges(struct dif_setup *s); /* what is owed stays so */
/* Commits what is queued, closes all instances, runs the loop dry, frees. Nothing may be running on
 * it any more. Accepts NULL. */
void dif_setup_close(struct dif_setup *s);

#endif
