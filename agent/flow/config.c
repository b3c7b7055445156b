/* config - read, bind, check.
 *
 *   1. the file                      4. names and shapes of all sections
 *   2. [agent], which names          5. the rows of each section, into one array per kind
 *      the plug-ins' folder          6. what one value says about another
 *   3. its *.ini, in name order
 */
#include "flow/config.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "flow/config_private.h"

#define MEMORY_MAX (64u << 20) /* 257 files of 1 MiB would not fit, nor are they a configuration */
#define FILES_MAX 256
#define GLOBS_MAX 64
#define SYSTEM_PLUGINS "/usr/lib/difusor/plugins.d"

/* --- naming a place --- */

static const struct dif_ini_entry *find(const struct dif_config *c, const char *section,
                                        const char *key)
{
	for (const struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		if (strcmp(e->section, section) == 0 &&
		    (key == NULL || (e->key != NULL && strcmp(e->key, key) == 0))) {
			return e;
		}
	}
	return NULL;
}

bool dif_config_refuse(const struct dif_config *c, const char *section, const char *key,
                       struct dif_error *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	const struct dif_ini_entry *e = key == NULL ? NULL : find(c, section, key);
	uint32_t line = e == NULL ? 0 : e->line;
	if (e == NULL) { /* a section that is checked is there */
		e = find(c, section, NULL);
		line = e->section_line;
	}
	return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT, "%s:%u: %s", e->file, line,
	                      text);
}

/* --- reading --- */

const char *dif_config_default_plugins(void)
{
	static char beside[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", beside, sizeof beside - 1);
	char *slash = NULL;
	if (n > 0) {
		beside[n] = '\0';
		slash = strrchr(beside, '/');
	}
	static const char folder[] = "/plugins.d";
	if (slash == NULL || (size_t)(slash - beside) + sizeof folder > sizeof beside) {
		return SYSTEM_PLUGINS;
	}
	memcpy(slash, folder, sizeof folder);
	return access(beside, F_OK) == 0 ? beside : SYSTEM_PLUGINS;
}

static int is_ini(const struct dirent *e)
{
	size_t n = strlen(e->d_name);
	return e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".ini") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool read_one(struct dif_config *c, const char *name, struct dif_error *err)
{
	char *path = dif_path_join(c->plugins, name);
	if (path == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read '%s': out of memory", name);
		return false;
	}
	bool ok = dif_ini_read(&c->arena, path, &c->entries, err);
	free(path);
	return ok;
}

static bool read_plugins_folder(struct dif_config *c, bool was_named, struct dif_error *err)
{
	int dir = dif_path_open_trusted_dir(c->plugins, err);
	if (dir == -1) {
		bool none = !was_named && access(c->plugins, F_OK) != 0;
		if (none) { /* the plug-ins that are needed will be missed with a better sentence */
			dif_error_clear(err);
		} else {
			dif_error_wrap(err, "could not read plug-ins '%s'", c->plugins);
			if (err != NULL) {
				err->exit = DIF_EXIT_CONFIG;
			}
		}
		return none;
	}
	struct dirent **names = NULL;
	int n = scandirat(dir, ".", &names, is_ini, by_name);
	bool ok = n >= 0 && n <= FILES_MAX;
	if (!ok) {
		dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		               "could not read folder '%s': %s", c->plugins,
		               n < 0 ? strerror(errno) : "it holds over 256 *.ini");
	}
	close(dir);
	for (int i = 0; i < n; i++) {
		ok = ok && read_one(c, names[i]->d_name, err);
		free(names[i]);
	}
	free(names);
	return ok;
}

/* --- binding --- */

static bool bind(struct dif_config *c, const char *kind, const char *section, void *to,
                 struct dif_error *err)
{
	uint32_t n = 0;
	const struct dif_option *rows = dif_config_rows(kind, &n);
	return dif_option_bind(rows, n, c->entries, section, to, &c->arena, err);
}

static bool bind_agent(struct dif_config *c, bool *plugins_named, struct dif_error *err)
{
	struct dif_config_agent a = {0};
	if (find(c, "agent", NULL) == NULL) {
		return dif_error_exit(
			err, DIF_EXIT_CONFIG, DIF_PERMANENT,
			"%s: there is no section [agent], which names the state's folder", c->file);
	}
	if (!bind(c, "agent", "agent", &a, err)) {
		return false;
	}
	*plugins_named = a.plugins != NULL;
	c->state = a.state;
	c->archive =
		a.archive != NULL ? a.archive : dif_arena_fmt(&c->arena, "%s/archive", a.state);
	c->plugins = a.plugins != NULL ? a.plugins
	                               : dif_arena_str(&c->arena, dif_config_default_plugins());
	c->profile = strcmp(a.profile, "rehearsal") == 0 ? DIF_REHEARSAL : DIF_PRODUCTION;
	c->memory = a.memory;
	c->limits = a.limits;
	return true;
}

/* The rule's name is a view into section, behind "class ". */
static bool bind_class(struct dif_config *c, const char *section, struct dif_class_rule *to,
                       struct dif_error *err)
{
	struct dif_config_class v = {0};
	if (!bind(c, "class", section, &v, err)) {
		return false;
	}
	const char **globs = dif_arena_alloc(&c->arena, (GLOBS_MAX + 1) * sizeof *globs);
	uint32_t n = 0;
	for (const char *at = v.match + strspn(v.match, " \t"); globs != NULL && *at != '\0'; n++) {
		size_t len = strcspn(at, " \t");
		if (n == GLOBS_MAX) {
			return dif_config_refuse(
				c, section, "match", err,
				"there are over 64 globs; make two classes of them");
		}
		globs[n] = dif_arena_fmt(&c->arena, "%.*s", (int)len, at);
		at += len + strspn(at + len, " \t");
	}
	uint32_t phase = 0;
	while (phase + 1 < DIF_PHASES && strcmp(dif_phase_name(phase), v.phase) != 0) {
		phase++;
	}
	*to = (struct dif_class_rule){.name = section + strlen("class "),
	                              .match = globs,
	                              .cache_control = v.cache_control,
	                              .content_type = v.content_type,
	                              .phase = phase,
	                              .store_as = strcmp(v.store_as, "gzip") == 0 ? DIF_GZIP
	                                                                          : DIF_IDENTITY};
	return true;
}

static bool is_kind(const char *section, const char *kind)
{
	size_t n = strlen(kind);
	return strncmp(section, kind, n) == 0 && section[n] == ' ';
}

/* Every section that stands for a thing of its own. */
static bool bind_section(struct dif_config *c, const char *section, struct dif_error *err)
{
	const char *name = section + strcspn(section, " ");
	name += *name == ' ';
#define BIND(kind, list, count)                                           \
	if (is_kind(section, kind)) {                                     \
		c->list[c->count].name = name;                            \
		c->list[c->count].section = section;                      \
		return bind(c, kind, section, &c->list[c->count++], err); \
	}
	BIND("source", sources, nsources)
	BIND("store", stores, nstores)
	BIND("cdn", cdns, ncdns)
	BIND("steering", steerings, nsteerings)
	BIND("lease", leases, nleases)
	BIND("destination", destinations, ndestinations)
#undef BIND
	return !is_kind(section, "class") ||
	       bind_class(c, section, &c->classes[c->nclasses++], err);
}

static bool bind_all(struct dif_config *c, struct dif_error *err)
{
	uint32_t n = 0; /* sections: enough room for each kind */
	const struct dif_ini_entry *last = NULL;
	for (const struct dif_ini_entry *e = c->entries; e != NULL; last = e, e = e->next) {
		n += last == NULL || strcmp(last->section, e->section) != 0;
	}
	if (!bind(c, "health", "health", &c->health, err) ||
	    !bind(c, "failover", "failover", &c->failover, err)) {
		return false;
	}
	uint32_t more = n + DIF_CONFIG_ROOM;
	c->sources = dif_arena_alloc(&c->arena, n * sizeof *c->sources);
	c->stores = dif_arena_alloc(&c->arena, more * sizeof *c->stores);
	c->cdns = dif_arena_alloc(&c->arena, more * sizeof *c->cdns);
	c->steerings = dif_arena_alloc(&c->arena, n * sizeof *c->steerings);
	c->leases = dif_arena_alloc(&c->arena, n * sizeof *c->leases);
	c->destinations = dif_arena_alloc(&c->arena, more * sizeof *c->destinations);
	c->classes = dif_arena_alloc(&c->arena, n * sizeof *c->classes);
	if (c->arena.failed) {
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
		                      "could not read '%s': out of memory", c->file);
	}
	last = NULL;
	for (const struct dif_ini_entry *e = c->entries; e != NULL; last = e, e = e->next) {
		if (last != NULL && strcmp(last->section, e->section) == 0) {
			continue;
		}
		if (!bind_section(c, e->section, err)) {
			return false;
		}
	}
	return true;
}

/* --- keys that nobody reads --- */

/* The plug-in that a section's keys belong to; NULL: they are all ours. */
static const char *command_for(const struct dif_config *c, const struct dif_ini_entry *e)
{
#define FIND(list, count)                                          \
	for (uint32_t i = 0; i < c->count; i++) {                  \
		if (strcmp(c->list[i].section, e->section) == 0) { \
			return c->list[i].plugin;                  \
		}                                                  \
	}
	FIND(stores, nstores)
	FIND(sources, nsources)
	FIND(cdns, ncdns)
	FIND(steerings, nsteerings)
	FIND(leases, nleases)
#undef FIND
	return NULL;
}

bool dif_config_refuse_key(const struct dif_config *c, const struct dif_ini_entry *e,
                           struct dif_error *err)
{
	const char *plugin = command_for(c, e);
	return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
	                      "%s:%u: unknown key '%.100s' in [%s]%s%s%s", e->file, e->line, e->key,
	                      e->section, plugin == NULL ? "" : "; 'difusor options ",
	                      plugin == NULL ? "" : plugin, plugin == NULL ? "" : "' lists them");
}

bool dif_config_check_unused(const struct dif_config *c, struct dif_error *err)
{
	for (const struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		if (e->key != NULL && !e->used) {
			return dif_config_refuse_key(c, e, err);
		}
	}
	return true;
}

/* The same for the sections that only we read, before any plug-in is there. */
static bool check_ours(const struct dif_config *c, struct dif_error *err)
{
	for (const struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		if (e->key != NULL && !e->used && command_for(c, e) == NULL) {
			return dif_config_refuse_key(c, e, err);
		}
	}
	return true;
}

static bool read_some(struct dif_config *c, const char *const *names, uint32_t n,
                      struct dif_error *err)
{
	bool ok = true;
	for (uint32_t i = 0; ok && i < n; i++) {
		ok = read_one(c, names[i], err);
	}
	return ok;
}

struct dif_config *dif_config_load(const char *file, struct dif_error *err)
{
	return dif_config_load_some(file, NULL, 0, err);
}

struct dif_config *dif_config_load_some(const char *file, const char *const *names, uint32_t n,
                                        struct dif_error *err)
{
	struct dif_config *c = calloc(1, sizeof *c);
	if (c == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read '%s': out of memory", file);
		return NULL;
	}
	dif_arena_init(&c->arena, MEMORY_MAX, true);
	c->file = dif_arena_str(&c->arena, file);
	bool plugins_named = false;
	if (!dif_ini_read(&c->arena, file, &c->entries, err) ||
	    !bind_agent(c, &plugins_named, err) ||
	    !(names == NULL ? read_plugins_folder(c, plugins_named, err)
	                    : read_some(c, names, n, err)) ||
	    !dif_config_check_sections(c, err) || !bind_all(c, err) || !check_ours(c, err) ||
	    !dif_config_check(c, err)) {
		goto fail;
	}
	if (c->arena.failed) {
		dif_error_set(err, DIF_TRANSIENT, "could not read '%s': out of memory", file);
		goto fail;
	}
	return c;

fail:
	dif_config_free(c);
	return NULL;
}

void dif_config_free(struct dif_config *c)
{
	if (c != NULL) {
		dif_arena_fini(&c->arena);
		free(c);
	}
}
