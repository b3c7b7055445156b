/* setup_add - a file of the plug-in folder enters a setup that is in use.
 *
 * The whole configuration is read again, of the files in use and the new one, so that every check
 * of a start is made. What the new file brings is then opened beside what runs, and put behind the
 * arrays, which have room: nothing that somebody points to moves. Only a file that is good as a
 * whole leaves anything behind.
 */
#include <stdlib.h>
#include <string.h>

#include "base/path.h"
#include "flow/config_private.h"
#include "flow/setup_private.h"

struct adding {
	struct dif_setup *s;
	struct dif_config *config;
	const char *file; /* as its entries name it */
	struct dif_instance *stores[DIF_CONFIG_ROOM], *cdns[DIF_CONFIG_ROOM];
	/* indexes in config */
	uint32_t store[DIF_CONFIG_ROOM], cdn[DIF_CONFIG_ROOM], destination[DIF_CONFIG_ROOM];
	uint32_t nstores, ncdns, ndestinations;
};

void dif_setup_forget(struct dif_setup_more *m)
{
	while (m != NULL) {
		struct dif_setup_more *next = m->next;
		dif_config_free(m->config);
		free(m);
		m = next;
	}
}

static bool is_of(const struct adding *a, const char *section)
{
	for (const struct dif_ini_entry *e = a->config->entries; e != NULL; e = e->next) {
		if (strcmp(e->section, section) == 0) {
			return strcmp(e->file, a->file) == 0;
		}
	}
	return false;
}

/* What a running agent cannot take in: it has been decided for the cut that is on its way. */
static bool check_kinds(const struct adding *a, struct dif_error *err)
{
	for (const struct dif_ini_entry *e = a->config->entries; e != NULL; e = e->next) {
		bool fits = strncmp(e->section, "store ", 6) == 0 ||
		            strncmp(e->section, "cdn ", 4) == 0 ||
		            strncmp(e->section, "destination ", 12) == 0;
		if (strcmp(e->file, a->file) == 0 && !fits) {
			return dif_config_refuse(a->config, e->section, NULL, err,
			                         "section [%s] is read at the start only: restart "
			                         "the agent",
			                         e->section);
		}
	}
	return true;
}

/* The names of what runs, and of what ran: both stay taken until the end. */
static bool is_taken(const struct adding *a, const char *section)
{
	const struct dif_config *c = a->s->config;
	for (uint32_t i = 0; i < c->nstores; i++) {
		if (strcmp(c->stores[i].section, section) == 0) {
			return true;
		}
	}
	for (uint32_t i = 0; i < c->ncdns; i++) {
		if (strcmp(c->cdns[i].section, section) == 0) {
			return true;
		}
	}
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		if (strcmp(c->destinations[i].section, section) == 0) {
			return true;
		}
	}
	return false;
}

static bool take_section(const struct adding *a, const char *section, uint32_t index, uint32_t *to,
                         uint32_t *n, uint32_t used, struct dif_error *err)
{
	if (!is_of(a, section)) {
		return true;
	}
	if (is_taken(a, section)) {
		return dif_config_refuse(a->config, section, NULL, err,
		                         "the running agent has another [%s]: restart it", section);
	}
	if (used + *n >= DIF_CONFIG_ROOM) {
		return dif_config_refuse(a->config, section, NULL, err,
		                         "there is no room for more while the agent runs: "
		                         "restart it");
	}
	to[(*n)++] = index;
	return true;
}

static bool collect(struct adding *a, struct dif_error *err)
{
	const struct dif_config *c = a->config;
	bool ok = check_kinds(a, err);
	for (uint32_t i = 0; ok && i < c->nstores; i++) {
		ok = take_section(a, c->stores[i].section, i, a->store, &a->nstores,
		                  a->s->added_stores, err);
	}
	for (uint32_t i = 0; ok && i < c->ncdns; i++) {
		ok = take_section(a, c->cdns[i].section, i, a->cdn, &a->ncdns, a->s->added_cdns,
		                  err);
	}
	for (uint32_t i = 0; ok && i < c->ndestinations; i++) {
		ok = take_section(a, c->destinations[i].section, i, a->destination,
		                  &a->ndestinations, a->s->added_destinations, err);
	}
	return ok;
}

static bool open_instances(struct adding *a, struct dif_error *err)
{
	for (uint32_t i = 0; i < a->nstores; i++) {
		const struct dif_store_config *store = &a->config->stores[a->store[i]];
		if (!dif_setup_open_store(a->s, a->config, store, &a->stores[i], err)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < a->ncdns; i++) {
		const struct dif_cdn_config *cdn = &a->config->cdns[a->cdn[i]];
		a->cdns[i] = dif_setup_open_instance(a->s, a->config, DIF_CDN, cdn->section,
		                                     cdn->plugin, err);
		if (a->cdns[i] == NULL) {
			return false;
		}
	}
	for (struct dif_ini_entry *e = a->config->entries; e != NULL; e = e->next) {
		e->used = e->used || strcmp(e->file, a->file) != 0; /* were read at the start */
	}
	return dif_config_check_unused(a->config, err);
}

static struct dif_instance *store_of(const struct adding *a, const char *name)
{
	for (uint32_t i = 0; i < a->nstores; i++) {
		if (strcmp(a->config->stores[a->store[i]].name, name) == 0) {
			return a->stores[i];
		}
	}
	return dif_setup_store(a->s, name);
}

static bool has_cdn(const struct adding *a, const char *name)
{
	const struct dif_config *c = a->s->config;
	for (uint32_t i = 0; i < a->ncdns; i++) {
		if (strcmp(a->config->cdns[a->cdn[i]].name, name) == 0) {
			return true;
		}
	}
	for (uint32_t i = 0; i < c->ncdns; i++) {
		if (strcmp(c->cdns[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool check_destinations(struct adding *a, struct dif_error *err)
{
	for (uint32_t i = 0; i < a->ndestinations; i++) {
		const struct dif_destination_config *d =
			&a->config->destinations[a->destination[i]];
		struct dif_instance *store = store_of(a, d->store);
		if (store == NULL) { /* in a file that was edited since the start */
			return dif_config_refuse(a->config, d->section, "store", err,
			                         "the running agent has no [store %s]: restart it",
			                         d->store);
		}
		for (uint32_t k = 0; k < d->ncdns; k++) {
			if (!has_cdn(a, d->cdns[k])) {
				return dif_config_refuse(
					a->config, d->section, "cdn", err,
					"the running agent has no [cdn %s]: restart it",
					d->cdns[k]);
			}
		}
		if (!dif_setup_check_forms(a->config, d, dif_instance_caps(store), err)) {
			return false;
		}
	}
	return true;
}

/* Nothing can fail any more. */
static void put_in(struct adding *a, struct dif_setup_more *more)
{
	struct dif_setup *s = a->s;
	for (uint32_t i = 0; i < a->nstores; i++) {
		s->config->stores[s->config->nstores] = a->config->stores[a->store[i]];
		s->stores[s->config->nstores++] = a->stores[i];
		s->added_stores++;
	}
	for (uint32_t i = 0; i < a->ncdns; i++) {
		s->config->cdns[s->config->ncdns] = a->config->cdns[a->cdn[i]];
		s->cdns[s->config->ncdns++] = a->cdns[i];
		s->added_cdns++;
	}
	for (uint32_t i = 0; i < a->ndestinations; i++) {
		uint32_t at = s->config->ndestinations;
		struct dif_destination_config *d = &s->config->destinations[at];
		*d = a->config->destinations[a->destination[i]];
		dif_setup_place(s, at);
		dif_setup_open_purger(s, at, s->state);
		dif_destination_load(&s->destinations[at], s->state);
		s->config->ndestinations++;
		s->added_destinations++;
	}
	more->config = a->config;
	more->next = s->more;
	s->more = more;
}

bool dif_setup_add(struct dif_setup *s, const char *const *names, uint32_t n, struct dif_error *err)
{
	struct adding *a = calloc(1, sizeof *a);
	struct dif_setup_more *more = calloc(1, sizeof *more);
	char *file = dif_path_join(s->config->plugins, names[n - 1]);
	bool ok = false;
	if (a == NULL || more == NULL || file == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read '%s': out of memory",
		              names[n - 1]);
		goto out;
	}
	a->s = s;
	a->file = file;
	a->config = dif_config_load_some(s->config->file, names, n, err);
	if (a->config == NULL) {
		goto out;
	}
	ok = collect(a, err) && open_instances(a, err) && check_destinations(a, err);
	if (ok) {
		put_in(a, more);
		more = NULL;
		goto out;
	}
	for (uint32_t i = 0; i < a->nstores; i++) {
		if (a->stores[i] != NULL) {
			dif_instance_close(a->stores[i], NULL, NULL);
		}
	}
	for (uint32_t i = 0; i < a->ncdns; i++) {
		if (a->cdns[i] != NULL) {
			dif_instance_close(a->cdns[i], NULL, NULL);
		}
	}
	dif_config_free(a->config);
out:
	free(file);
	free(more);
	free(a);
	return ok;
}
