/* setup - opens from the inside out, closes the same way back.
 *
 *   1. configuration                5. state folder, lock, database
 *   2. engine, plug-ins             6. archive; a fresh state is refilled from it
 *   3. stores and sources           7. spool
 *   4. what only an open            8. destinations, with what they hold
 *      instance can tell
 *
 * The first three touch nothing outside but what a plug-in's open creates (the folder of a dir
 * store), so a wrong configuration has no effect. Closing takes a half-open setup, too, so a
 * failure in any step closes what is there.
 */
#include "flow/setup.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "flow/config_private.h"
#include "flow/setup_private.h"
#include "host/secret.h"

#define FOLDER_MODE 0750

/* --- plug-ins --- */

/* Why there is no such plug-in: the file of that name was refused (the last time counts), or there
 * is none. */
static const char *why_not(const struct dif_loader *l, const char *plugin)
{
	const char *why = "there is none of that name";
	for (const struct dif_loaded *p = l->all; p != NULL; p = p->next) {
		const char *slash = strrchr(p->file, '/');
		const char *name = slash == NULL ? p->file : slash + 1;
		size_t n = strlen(plugin);
		if (!p->ok && strncmp(name, plugin, n) == 0 && strcmp(name + n, ".so") == 0) {
			why = p->reason;
		}
	}
	return why;
}

static bool has_row(const struct dif_option *rows, uint32_t n, const char *key)
{
	for (uint32_t i = 0; i < n; i++) {
		if (strcmp(rows[i].name, key) == 0) {
			return true;
		}
	}
	return false;
}

/* Before anything is bound: a key that is spelled wrong is often why another one is missing. */
static bool check_keys(const struct dif_config *c, const char *section, const struct dif_offer *o,
                       struct dif_error *err)
{
	uint32_t n = 0;
	char kind[16] = "";
	snprintf(kind, sizeof kind, "%.*s", (int)strcspn(section, " "), section);
	const struct dif_option *rows = dif_config_rows(kind, &n);
	for (const struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		if (e->key != NULL && strcmp(e->section, section) == 0 &&
		    !has_row(rows, n, e->key) && !has_row(o->options, o->noptions, e->key) &&
		    ((o->flags & DIF_OFFER_HTTP) == 0 ||
		     !has_row(dif_http_options, dif_http_noptions, e->key))) {
			return dif_config_refuse_key(c, e, err);
		}
	}
	return true;
}

struct dif_instance *dif_setup_open_instance(struct dif_setup *s, const struct dif_config *c,
                                             enum dif_kind kind, const char *section,
                                             const char *plugin, struct dif_error *err)
{
	const struct dif_offer *offer = dif_loader_find(&s->loader, kind, plugin, NULL);
	if (offer == NULL) {
		dif_config_refuse(c, section, "plugin", err,
		                  "could not load plug-in '%s' from '%s': %s", plugin, c->plugins,
		                  why_not(&s->loader, plugin));
		if (err != NULL) {
			err->exit = DIF_EXIT_PLUGIN;
		}
		return NULL;
	}
	if (!check_keys(c, section, offer, err)) {
		return NULL;
	}
	struct dif_instance *i = dif_instance_open(s->engine, offer, c->entries, section, err);
	if (i == NULL && err != NULL && err->exit == 0) {
		err->exit = DIF_EXIT_CONFIG;
	}
	return i;
}

/* On failure *to may hold an instance all the same, for whoever closes. */
bool dif_setup_open_store(struct dif_setup *s, const struct dif_config *c,
                          const struct dif_store_config *store, struct dif_instance **to,
                          struct dif_error *err)
{
	*to = dif_setup_open_instance(s, c, DIF_STORE, store->section, store->plugin, err);
	if (*to == NULL) {
		return false;
	}
	return (dif_instance_caps(*to)->flags & DIF_CAP_READ_ONLY) == 0 ||
	       dif_config_refuse(c, store->section, "plugin", err,
	                         "plug-in '%s' only reads: it can be a source, not a store",
	                         store->plugin);
}

static bool open_stores(struct dif_setup *s, struct dif_error *err)
{
	bool ok = true;
	for (uint32_t i = 0; ok && i < s->config->nstores; i++) {
		ok = dif_setup_open_store(s, s->config, &s->config->stores[i], &s->stores[i], err);
	}
	return ok;
}

static bool open_others(struct dif_setup *s, struct dif_error *err)
{
	const struct dif_config *c = s->config;
	bool ok = true;
#define OPEN(kind, list, count)                                                      \
	for (uint32_t i = 0; ok && i < c->count; i++) {                              \
		s->list[i] = dif_setup_open_instance(s, c, kind, c->list[i].section, \
		                                     c->list[i].plugin, err);        \
		ok = s->list[i] != NULL;                                             \
	}
	OPEN(DIF_STORE, sources, nsources)
	OPEN(DIF_CDN, cdns, ncdns)
	OPEN(DIF_STEER, steerings, nsteerings)
	OPEN(DIF_LEASE, leases, nleases)
#undef OPEN
	return ok;
}

static bool load_plugins(struct dif_setup *s, struct dif_error *err)
{
	if (!dif_loader_add(&s->loader, s->config->plugins, err)) {
		return false;
	}
	for (const struct dif_loaded *p = s->loader.all; p != NULL; p = p->next) {
		if (!p->ok) { /* the others go on; who needs this one is told in open_instance */
			dif_log(DIF_LOG_WARNING, "plugin", "file=%s reason=%s", dif_q(p->file),
			        dif_q(p->reason));
		}
	}
	return true;
}

/* --- what only an open instance can tell --- */

static const struct dif_class_rule *gzip_class(const struct dif_config *c)
{
	for (uint32_t i = 0; i < c->nclasses; i++) {
		if (c->classes[i].store_as == DIF_GZIP) {
			return &c->classes[i];
		}
	}
	return NULL;
}

/* Without headers nobody would tell readers that the bytes are gzip (rule 13 of the design). */
bool dif_setup_check_forms(const struct dif_config *c, const struct dif_destination_config *d,
                           const struct dif_caps *caps, struct dif_error *err)
{
	if ((caps->flags & DIF_CAP_HEADERS) != 0) {
		return d->siblings == NULL ||
		       dif_config_refuse(
			       c, d->section, "siblings", err,
			       "siblings = gzip is for stores that keep no headers, such as "
			       "dir; here store_as = gzip does it");
	}
	if (d->store_as != NULL && strcmp(d->store_as, "gzip") == 0) {
		return dif_config_refuse(
			c, d->section, "store_as", err,
			"store '%s' keeps no headers, so nothing would say that the "
			"bytes are gzip: use siblings = gzip instead",
			d->store);
	}
	const struct dif_class_rule *rule = gzip_class(c);
	if (rule != NULL && d->store_as == NULL) {
		return dif_config_refuse(c, d->section, NULL, err,
		                         "class '%s' says store_as = gzip, and store '%s' keeps no "
		                         "headers that would tell: say store_as = identity here",
		                         rule->name, d->store);
	}
	return true;
}

struct dif_instance *dif_setup_store(const struct dif_setup *s, const char *name)
{
	for (uint32_t k = 0; k < s->config->nstores; k++) {
		if (strcmp(s->config->stores[k].name, name) == 0) {
			return s->stores[k];
		}
	}
	return NULL;
}

/* The place of [cdn NAME]; the configuration has checked that there is one. */
static uint32_t cdn_of(const struct dif_setup *s, const char *name)
{
	uint32_t k = 0;
	while (strcmp(s->config->cdns[k].name, name) != 0) {
		k++;
	}
	return k;
}

void dif_setup_place(struct dif_setup *s, uint32_t i)
{
	struct dif_destination_config *d = &s->config->destinations[i];
	struct dif_instance *store = dif_setup_store(s, d->store);
	dif_destination_init(&s->destinations[i], d, store);
	if (d->ca_file == NULL && dif_destination_is_store(&s->destinations[i])) {
		d->ca_file = dif_instance_policy(store)->ca_file;
	}
	for (uint32_t k = 0; k < d->ncdns; k++) {
		uint32_t at = cdn_of(s, d->cdns[k]);
		s->destinations[i].cdns[k] = s->cdns[at];
		s->destinations[i].cdn_configs[k] = &s->config->cdns[at];
	}
}

void dif_setup_open_purger(struct dif_setup *s, uint32_t i, struct dif_state *state)
{
	struct dif_destination *d = &s->destinations[i];
	if (d->config->ncdns == 0) {
		return;
	}
	d->purger = dif_purger_open(s->engine, state, d->config, d->cdns, d->cdn_configs);
	if (d->purger == NULL) {
		abort(); /* some bytes; without them purges would be lost */
	}
}

void dif_setup_resume_purges(struct dif_setup *s)
{
	for (uint32_t i = 0; i < s->config->ndestinations; i++) {
		struct dif_destination *d = &s->destinations[i];
		if (d->purger != NULL && d->gone) {
			dif_purger_rest(d->purger);
		} else if (d->purger != NULL && !d->busy) {
			dif_purger_resume(d->purger);
		}
	}
}

void dif_setup_rest_purges(struct dif_setup *s)
{
	for (uint32_t i = 0; i < s->config->ndestinations; i++) {
		if (s->destinations[i].purger != NULL) {
			dif_purger_rest(s->destinations[i].purger);
		}
	}
}

/* What only tags can name needs one. */
static bool check_cdns(const struct dif_setup *s, struct dif_error *err)
{
	for (uint32_t i = 0; i < s->config->ncdns; i++) {
		const struct dif_cdn_config *c = &s->config->cdns[i];
		if (dif_instance_caps(s->cdns[i])->purge_scopes == DIF_HAS(DIF_PURGE_TAGS) &&
		    c->tag == NULL) {
			return dif_config_refuse(s->config, c->section, NULL, err,
			                         "plug-in '%s' purges by tag alone: say tag, which "
			                         "all objects of the site carry there",
			                         c->plugin);
		}
	}
	return true;
}

static bool place_destinations(struct dif_setup *s, struct dif_error *err)
{
	for (uint32_t i = 0; i < s->config->ndestinations; i++) {
		const struct dif_destination_config *d = &s->config->destinations[i];
		dif_setup_place(s, i);
		if (!dif_setup_check_forms(s->config, d,
		                           dif_instance_caps(s->destinations[i].store), err)) {
			return false;
		}
	}
	return true;
}

/* --- state, archive, spool --- */

static bool make_folders(const struct dif_config *c, struct dif_error *err)
{
	static const char *const below[] = {"incoming", "inbox"};
	bool ok = dif_path_make_dir(c->state, FOLDER_MODE, err);
	for (size_t i = 0; ok && i < DIF_LEN(below); i++) {
		char *path = dif_path_join(c->state, below[i]);
		if (path == NULL) {
			return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
			                      "could not open state '%s': out of memory", c->state);
		}
		ok = dif_path_make_dir(path, FOLDER_MODE, err);
		free(path);
	}
	if (!ok && err != NULL) {
		err->exit = DIF_EXIT_CONFIG;
	}
	return ok;
}

static void refill(void *data, const struct dif_cut *cut)
{
	(void)dif_state_put_cut(data, cut); /* a state that takes none fails the next flush */
}

static bool open_own(struct dif_setup *s, struct dif_error *err)
{
	const struct dif_config *c = s->config;
	if (!make_folders(c, err)) {
		return false;
	}
	s->state = dif_state_open(s->engine, c->state, DIF_STATE_OWN, &s->fresh, err);
	if (s->state == NULL) {
		return false;
	}
	s->archive = dif_archive_open(c->archive, err);
	if (s->archive == NULL) {
		return false;
	}
	if (s->fresh && !dif_archive_scan(s->archive, refill, s->state, err)) {
		return false;
	}
	s->spool = dif_spool_new(s->engine, (uint64_t)c->memory);
	if (s->spool == NULL) {
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
		                      "could not make room for uploads: out of memory");
	}
	return true;
}

static bool open_read(struct dif_setup *s, struct dif_error *err)
{
	const struct dif_config *c = s->config;
	struct dif_error why = {0};
	bool unused = false;
	s->state = dif_state_open(s->engine, c->state, DIF_STATE_READ, &unused, &why);
	if (s->state == NULL && why.cls != DIF_NOT_FOUND) {
		if (err != NULL) {
			*err = why;
		}
		return false;
	}
	if (access(c->archive, F_OK) == 0) {
		s->archive = dif_archive_open(c->archive, err);
		return s->archive != NULL;
	}
	return true;
}

/* --- all --- */

static bool allocate(struct dif_setup *s, struct dif_error *err)
{
	const struct dif_config *c = s->config;
	/* one more: calloc may give NULL for none */
	s->stores = calloc(c->nstores + DIF_CONFIG_ROOM, sizeof(struct dif_instance *));
	s->sources = calloc(c->nsources + 1, sizeof(struct dif_instance *));
	s->cdns = calloc(c->ncdns + DIF_CONFIG_ROOM, sizeof(struct dif_instance *));
	s->steerings = calloc(c->nsteerings + 1, sizeof(struct dif_instance *));
	s->leases = calloc(c->nleases + 1, sizeof(struct dif_instance *));
	s->destinations = calloc(c->ndestinations + DIF_CONFIG_ROOM, sizeof *s->destinations);
	if (s->stores == NULL || s->sources == NULL || s->cdns == NULL || s->steerings == NULL ||
	    s->leases == NULL || s->destinations == NULL) {
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
		                      "could not open '%s': out of memory", c->file);
	}
	return true;
}

static bool open_all(struct dif_setup *s, const char *file, enum dif_setup_mode mode,
                     struct dif_error *err)
{
	s->config = dif_config_load(file, err);
	if (s->config == NULL) {
		return false;
	}
	s->engine = dif_engine_new(err);
	if (s->engine == NULL || !allocate(s, err) || !load_plugins(s, err) ||
	    !open_stores(s, err) || !open_others(s, err) ||
	    !dif_config_check_unused(s->config, err) || !check_cdns(s, err) ||
	    !place_destinations(s, err)) {
		return false;
	}
	if (!(mode == DIF_SETUP_OWN ? open_own(s, err) : open_read(s, err))) {
		return false;
	}
	for (uint32_t i = 0; i < s->config->ndestinations; i++) {
		dif_setup_open_purger(s, i, mode == DIF_SETUP_OWN ? s->state : NULL);
	}
	return true;
}

struct dif_setup *dif_setup_open(const char *config_file, enum dif_setup_mode mode,
                                 struct dif_error *err)
{
	struct dif_setup *s = calloc(1, sizeof *s);
	if (s == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open '%s': out of memory",
		              config_file);
		return NULL;
	}
	dif_loader_init(&s->loader);
	if (!open_all(s, config_file, mode, err)) {
		dif_setup_close(s);
		return NULL;
	}
	return s;
}

static void on_closed(void *data)
{
	--*(uint32_t *)data;
}

static void close_instances(struct dif_instance **all, uint32_t n, uint32_t *pending)
{
	for (uint32_t i = 0; all != NULL && i < n; i++) {
		if (all[i] != NULL) {
			++*pending;
			dif_instance_close(all[i], on_closed, pending);
		}
	}
}

/* What closes on the loop, and the loop. */
static void close_engine(struct dif_setup *s)
{
	uint32_t pending = 0;
	for (uint32_t i = 0; s->destinations != NULL && i < s->config->ndestinations; i++) {
		if (s->destinations[i].purger != NULL) {
			pending++;
			dif_purger_close(s->destinations[i].purger, on_closed, &pending);
		}
	}
	close_instances(s->sources, s->config->nsources, &pending);
	close_instances(s->stores, s->config->nstores, &pending);
	close_instances(s->cdns, s->config->ncdns, &pending);
	close_instances(s->steerings, s->config->nsteerings, &pending);
	close_instances(s->leases, s->config->nleases, &pending);
	if (s->state != NULL) {
		pending++;
		dif_state_close(s->state, on_closed, &pending);
	}
	while (pending > 0) {
		uv_run(&s->engine->loop, UV_RUN_ONCE);
	}
	dif_engine_free(s->engine);
}

void dif_setup_close(struct dif_setup *s)
{
	if (s == NULL) {
		return;
	}
	if (s->spool != NULL) {
		dif_spool_free(s->spool);
	}
	if (s->engine != NULL) {
		close_engine(s);
	}
	for (uint32_t i = 0; s->destinations != NULL && i < s->config->ndestinations; i++) {
		dif_destination_fini(&s->destinations[i]);
	}
	dif_archive_close(s->archive);
	dif_loader_fini(&s->loader);
	free(s->destinations);
	free(s->sources);
	free(s->cdns);
	free(s->steerings);
	free(s->leases);
	free(s->stores);
	dif_config_free(s->config);
	dif_setup_forget(s->more);
	dif_secret_fini();
	free(s);
}
