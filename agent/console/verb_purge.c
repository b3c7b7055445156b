/* purge - makes CDNs forget, by hand: addresses, globs of the live cut, a folder, a tag, all of it.
 *
 * It takes no lock and writes no state. A purge changes nothing that the agent knows, and repeating
 * one is harmless, so it may go beside a running agent; what the agent itself owes stays owed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "console/cli.h"
#include "console/progress.h"
#include "console/report.h"
#include "flow/live.h"
#include "host/crypto.h"

#define TIMEOUT_MS (10 * 60 * 1000)
#define TIMEOUT_MAX_MS (24 * 60 * 60 * 1000)
#define TICK_MS 200
#define WORDS_MAX 10000u
#define ARENA_MAX (256u << 20)

enum { CDN, ALL, TAG, PREFIX, TIMEOUT };
static const struct dif_cli_option options[] = {
	[CDN] = {"--cdn", '\0', "NAME", "only this one; default every CDN"},
	[ALL] = {"--all", '\0', NULL, "everything that the CDN keeps"},
	[TAG] = {"--tag", '\0', "TAG", "what carries this tag there"},
	[PREFIX] = {"--prefix", '\0', "FOLDER", "all below a folder of the site"},
	[TIMEOUT] = {"--timeout", '\0', "TIME", "wait so long for it; default 10min"},
};

struct purging;

struct place { /* a destination */
	struct purging *owner;
	struct dif_purger *purger;
	const struct dif_destination_config *config;
	struct dif_purger_wait wait;
	struct dif_error err;
	bool waits;
};

struct purging {
	const struct dif_args *args;
	struct dif_setup *setup;
	struct dif_arena arena;
	struct dif_manifest *manifest; /* of the live cut; NULL: it is not needed */
	struct place *places;
	uint32_t nplaces, waiting;
	struct dif_purge_count *counts; /* as they were planned, DIF_CDNS_MAX for each place */
	struct dif_progress progress;
	struct dif_error err;
	uv_timer_t tick;
	int64_t timeout_ms, until;
};

/* --- what is meant --- */

static bool is_glob(const char *word)
{
	return strpbrk(word, "*?") != NULL && strstr(word, "://") == NULL;
}

static bool needs_manifest(const struct purging *u)
{
	uint32_t wide = DIF_HAS(DIF_PURGE_ALL) | DIF_HAS(DIF_PURGE_PREFIXES);
	for (uint32_t i = 0; i < u->args->nwords; i++) {
		if (is_glob(u->args->words[i])) {
			return true;
		}
	}
	for (uint32_t i = 0; i < u->setup->config->ncdns; i++) {
		if (u->args->value[ALL] != NULL &&
		    (dif_instance_caps(u->setup->cdns[i])->purge_scopes & wide) == 0) {
			return true;
		}
	}
	return false;
}

/* Below the site's root; a folder stands for its index. NULL: it is an address of elsewhere. */
static const char *path_of(struct purging *u, const struct place *p, const char *word)
{
	size_t n = strlen(p->config->public_url);
	if (strstr(word, "://") != NULL) {
		if (strncmp(word, p->config->public_url, n) != 0) {
			return NULL;
		}
		struct dif_bytes plain = dif_decode(&u->arena, DIF_PATH, word + n);
		word = plain.p != NULL ? plain.p : word + n;
	}
	word += strspn(word, "/");
	size_t len = strlen(word);
	return len == 0 || word[len - 1] == '/' ? dif_arena_fmt(&u->arena, "%sindex.html", word)
	                                        : word;
}

struct keys {
	struct dif_change_of *all;
	uint32_t n, room;
};

/* An edge may hold a 404 of any of them. */
static bool add_key(struct purging *u, struct keys *k, const char *path)
{
	if (k->n == k->room) {
		uint32_t room = k->room > 0 ? 2 * k->room : 64;
		struct dif_change_of *more = realloc(k->all, room * sizeof *more);
		if (more == NULL) {
			dif_error_set(&u->err, DIF_TRANSIENT, "could not purge: out of memory");
			return false;
		}
		k->all = more;
		k->room = room;
	}
	k->all[k->n++] = (struct dif_change_of){path, DIF_DATA, DIF_CREATED};
	return true;
}

static bool expand(struct purging *u, struct keys *k, const char *glob)
{
	uint32_t before = k->n;
	glob += strspn(glob, "/");
	for (uint32_t i = 0; i < u->manifest->n; i++) {
		const char *path = u->manifest->members[i].path;
		if (dif_glob(glob, path) && !add_key(u, k, path)) {
			return false;
		}
	}
	if (k->n == before) {
		dif_error_set(&u->err, DIF_NOT_FOUND,
		              "could not purge '%s': the live cut has no such entry", glob);
	}
	return k->n > before;
}

static bool find_keys(struct purging *u, const struct place *p, struct keys *k)
{
	bool ok = true;
	for (uint32_t i = 0; ok && i < u->args->nwords; i++) {
		const char *word = u->args->words[i];
		if (is_glob(word)) {
			ok = expand(u, k, word);
			continue;
		}
		const char *path = path_of(u, p, word);
		ok = path == NULL || add_key(u, k, path);
	}
	return ok;
}

/* --- owing it --- */

struct asking {
	struct purging *u;
	struct place *p;
	uint32_t cdn;
	struct dif_purge_count *count;
};

static bool cannot(const struct asking *a, const char *what)
{
	dif_error_set(&a->u->err, DIF_PERMANENT,
	              "could not purge by %s: CDN '%s' has no such purge", what,
	              a->p->config->cdns[a->cdn]);
	return false;
}

static bool may(const struct asking *a, uint32_t scope)
{
	const struct dif_destination *d = NULL;
	for (uint32_t i = 0; i < a->u->setup->config->ndestinations; i++) {
		if (a->u->setup->destinations[i].purger == a->p->purger) {
			d = &a->u->setup->destinations[i];
		}
	}
	return d != NULL &&
	       (dif_instance_caps(d->cdns[a->cdn])->purge_scopes & DIF_HAS(scope)) != 0;
}

static bool owe(const struct asking *a, uint32_t scope, const char *text)
{
	const struct dif_purge_item item = {.scope = scope, .passes = DIF_PASS_NOW, .text = text};
	a->count->items[scope]++;
	if (!dif_purger_owe_item(a->p->purger, a->cdn, &item)) {
		dif_error_set(&a->u->err, DIF_TRANSIENT, "could not purge: out of memory");
		return false;
	}
	return true;
}

static bool owe_keys(const struct asking *a, const struct keys *k);

/* A CDN that knows addresses alone forgets all those of the live cut. */
static bool owe_all(const struct asking *a)
{
	size_t origin = 0;
	if (may(a, DIF_PURGE_ALL)) {
		return owe(a, DIF_PURGE_ALL, "");
	}
	if (may(a, DIF_PURGE_PREFIXES)) { /* all of the site */
		return owe(a, DIF_PURGE_PREFIXES,
		           dif_purge_base(a->p->config->public_url, &origin));
	}
	struct keys all = {0};
	bool ok = expand(a->u, &all, "**") && owe_keys(a, &all);
	free(all.all);
	return ok;
}

static bool owe_prefix(const struct asking *a, const char *folder)
{
	size_t origin = 0;
	struct dif_arena *arena = &a->u->arena;
	folder += strspn(folder, "/");
	size_t n = strlen(folder);
	if (!may(a, DIF_PURGE_PREFIXES)) {
		return cannot(a, "--prefix");
	}
	return owe(a, DIF_PURGE_PREFIXES,
	           dif_arena_fmt(arena, "%s%s%s", dif_purge_base(a->p->config->public_url, &origin),
	                         dif_encode(arena, DIF_PATH, folder, n),
	                         n == 0 || folder[n - 1] == '/' ? "" : "/"));
}

static bool owe_keys(const struct asking *a, const struct keys *k)
{
	struct dif_purge_plan plan;
	bool ok = true;
	if (k->n == 0) {
		return true;
	}
	if (!dif_purger_plan(a->p->purger, a->cdn, k->all, k->n, &plan)) {
		dif_error_set(&a->u->err, DIF_TRANSIENT, "could not purge: out of memory");
		return false;
	}
	for (uint32_t i = 0; ok && i < plan.n; i++) {
		ok = owe(a, plan.items[i].scope, plan.items[i].text);
	}
	dif_purge_plan_fini(&plan);
	return ok;
}

static bool owe_on(const struct asking *a, const struct keys *k)
{
	const char *const *value = a->u->args->value;
	if (value[TAG] != NULL && !may(a, DIF_PURGE_TAGS)) {
		return cannot(a, "--tag");
	}
	return (value[ALL] == NULL || owe_all(a)) &&
	       (value[TAG] == NULL || owe(a, DIF_PURGE_TAGS, value[TAG])) &&
	       (value[PREFIX] == NULL || owe_prefix(a, value[PREFIX])) && owe_keys(a, k);
}

static bool owe_place(struct purging *u, uint32_t at)
{
	struct place *p = &u->places[at];
	const char *only = u->args->value[CDN];
	struct keys k = {0};
	bool ok = find_keys(u, p, &k);
	for (uint32_t i = 0; ok && i < p->config->ncdns; i++) {
		struct asking a = {u, p, i, &u->counts[at * DIF_CDNS_MAX + i]};
		if (only == NULL || strcmp(only, p->config->cdns[i]) == 0) {
			a.count->cdn = p->config->cdns[i];
			ok = owe_on(&a, &k);
		}
	}
	free(k.all);
	return ok;
}

/* --- waiting for it --- */

static void end(struct purging *u)
{
	for (uint32_t i = 0; i < u->nplaces; i++) {
		if (u->places[i].waits) {
			u->places[i].waits = false;
			dif_purger_leave(u->places[i].purger, &u->places[i].wait);
		}
	}
	if (!uv_is_closing((uv_handle_t *)&u->tick)) {
		uv_close((uv_handle_t *)&u->tick, NULL);
	}
}

static void on_done(void *data, const struct dif_error *err)
{
	struct place *p = data;
	p->waits = false;
	p->err = *err;
	if (--p->owner->waiting == 0) {
		end(p->owner);
	}
}

static void on_tick(uv_timer_t *t)
{
	struct purging *u = t->data;
	struct dif_buf text;
	dif_buf_init(&text, 64u << 10);
	for (uint32_t i = 0; i < u->nplaces; i++) {
		struct dif_purger_counts c = dif_purger_counts(u->places[i].purger);
		dif_buf_fmt(&text, "%-16s %" PRIu64 " purged, %u to go\n",
		            u->places[i].config->name, c.settled, c.open);
	}
	dif_progress_draw(&u->progress, false, dif_buf_str(&text));
	dif_buf_fini(&text);
	if (dif_steady_ms() >= u->until && u->waiting > 0) {
		end(u);
	}
}

/* False: none of the addresses is one of these destinations; "purged" would be no answer. */
static bool is_any_meant(struct purging *u)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < u->nplaces * DIF_CDNS_MAX; i++) {
		for (uint32_t k = 0; k <= DIF_PURGE_ALL; k++) {
			n += u->counts[i].items[k];
		}
	}
	if (n == 0) {
		dif_error_set(&u->err, DIF_NOT_FOUND,
		              "could not purge '%s': it is no address below the public_url of a "
		              "destination that has a CDN",
		              u->args->nwords > 0 ? u->args->words[0] : "");
	}
	return n > 0;
}

static void start(struct purging *u)
{
	bool ok = true;
	for (uint32_t i = 0; ok && i < u->nplaces; i++) {
		ok = owe_place(u, i);
	}
	if (!ok || !is_any_meant(u)) {
		end(u);
		return;
	}
	for (uint32_t i = 0; i < u->nplaces; i++) {
		struct place *p = &u->places[i];
		p->wait = (struct dif_purger_wait){.done = on_done, .data = p};
		p->waits = true;
		u->waiting++;
		dif_purger_release(p->purger);
		dif_purger_wait(p->purger, &p->wait);
	}
}

static void on_live(void *data, const struct dif_live *live, const struct dif_error *err)
{
	struct purging *u = data;
	u->manifest = live->manifest;
	dif_package_close(live->package);
	if (u->manifest == NULL) {
		u->err = *err;
		end(u);
	} else {
		start(u);
	}
}

/* --- the report --- */

static uint32_t owed(const struct place *p)
{
	return dif_purger_counts(p->purger).owed;
}

static int code_of(const struct purging *u)
{
	uint32_t left = 0;
	uint64_t settled = 0;
	if (u->err.cls != DIF_OK) {
		return dif_cli_fail(&u->err);
	}
	for (uint32_t i = 0; i < u->nplaces; i++) {
		left += owed(&u->places[i]);
		settled += dif_purger_counts(u->places[i].purger).settled;
	}
	return left == 0 ? DIF_EXIT_OK : settled > 0 ? DIF_EXIT_PARTIAL : DIF_EXIT_NONE_REACHED;
}

static const char *why(const struct place *p)
{
	const struct dif_error *err = p->err.cls != DIF_OK ? &p->err : dif_purger_error(p->purger);
	return owed(p) == 0         ? NULL
	       : err->cls != DIF_OK ? err->text
	                            : "time is up, and the CDN has not finished";
}

static void print_text(const struct purging *u)
{
	struct dif_buf out;
	dif_buf_init(&out, DIF_REPORT_MAX);
	for (uint32_t i = 0; i < u->nplaces; i++) {
		const struct place *p = &u->places[i];
		dif_buf_fmt(&out, "%-16s %" PRIu64 " purged, %u not%s%s\n", p->config->name,
		            dif_purger_counts(p->purger).settled, owed(p),
		            why(p) != NULL ? ": " : "", why(p) != NULL ? why(p) : "");
	}
	dif_report_print(&out);
}

static void json_place(const struct purging *u, struct dif_json *j, uint32_t at)
{
	const struct place *p = &u->places[at];
	dif_json_open(j, NULL, '{');
	dif_json_str(j, "name", p->config->name);
	dif_json_int(j, "settled", (int64_t)dif_purger_counts(p->purger).settled);
	dif_json_int(j, "unsettled", owed(p));
	dif_json_str(j, "error", why(p));
	dif_json_open(j, "purges", '[');
	for (uint32_t i = 0; i < p->config->ncdns; i++) {
		if (u->counts[at * DIF_CDNS_MAX + i].cdn != NULL) {
			dif_report_purge_json(j, &u->counts[at * DIF_CDNS_MAX + i]);
		}
	}
	dif_json_close(j, ']');
	dif_json_close(j, '}');
}

static void print_json(const struct purging *u, int code)
{
	struct dif_buf out;
	struct dif_json j;
	dif_buf_init(&out, DIF_REPORT_MAX);
	dif_json_begin(&j, &out);
	dif_json_open(&j, NULL, '{');
	dif_json_int(&j, "exit", code);
	dif_json_str(&j, "error", u->err.cls != DIF_OK ? u->err.text : NULL);
	dif_json_open(&j, "destinations", '[');
	for (uint32_t i = 0; i < u->nplaces; i++) {
		json_place(u, &j, i);
	}
	dif_json_close(&j, ']');
	dif_json_close(&j, '}');
	dif_buf_fmt(&out, "\n");
	dif_report_print(&out);
}

/* --- the verb --- */

static bool uses(const struct dif_destination_config *d, const char *cdn)
{
	for (uint32_t i = 0; i < d->ncdns; i++) {
		if (cdn == NULL || strcmp(d->cdns[i], cdn) == 0) {
			return true;
		}
	}
	return false;
}

static bool find_places(struct purging *u)
{
	const struct dif_config *c = u->setup->config;
	const char *cdn = u->args->value[CDN];
	u->places = calloc(c->ndestinations + 1, sizeof *u->places);
	u->counts = calloc((size_t)c->ndestinations * DIF_CDNS_MAX + 1, sizeof *u->counts);
	if (u->places == NULL || u->counts == NULL) {
		dif_error_set(&u->err, DIF_TRANSIENT, "could not purge: out of memory");
		return false;
	}
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		if (uses(&c->destinations[i], cdn)) {
			u->places[u->nplaces++] =
				(struct place){.owner = u,
			                       .purger = u->setup->destinations[i].purger,
			                       .config = &c->destinations[i]};
		}
	}
	if (u->nplaces == 0) {
		dif_error_exit(&u->err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		               "could not purge with '%s': no destination has %s%s%s",
		               u->args->config, cdn != NULL ? "the CDN '" : "a CDN",
		               cdn != NULL ? cdn : "", cdn != NULL ? "'" : "");
	}
	return u->nplaces > 0;
}

static int purge(struct purging *u)
{
	if (!find_places(u)) {
		return dif_cli_fail(&u->err);
	}
	dif_progress_init(&u->progress, u->args->json);
	uv_timer_init(&u->setup->engine->loop, &u->tick);
	u->tick.data = u;
	u->until = dif_steady_ms() + u->timeout_ms;
	uv_timer_start(&u->tick, on_tick, TICK_MS, TICK_MS);
	if (needs_manifest(u)) {
		(void)dif_live_start(u->setup, 0, false, on_live, u);
	} else {
		start(u);
	}
	dif_engine_run(u->setup->engine);
	dif_progress_clear(&u->progress);
	int code = code_of(u);
	if (u->args->json) {
		print_json(u, code);
	} else if (u->err.cls == DIF_OK) {
		print_text(u);
	}
	return code;
}

static int run(const struct dif_args *args)
{
	struct dif_error err = {0};
	struct purging u = {.args = args, .timeout_ms = TIMEOUT_MS};
	const char *const *value = args->value;
	if (args->nwords == 0 && value[ALL] == NULL && value[TAG] == NULL &&
	    value[PREFIX] == NULL) {
		return dif_cli_usage(args, "say what: a path, a glob, --prefix, --tag or --all");
	}
	if (value[TIMEOUT] != NULL &&
	    !dif_parse_duration(value[TIMEOUT], 1000, TIMEOUT_MAX_MS, &u.timeout_ms)) {
		return dif_cli_usage(
			args,
			"option --timeout must be a time such as 30s or 10min, 1s to 24h, not '%s'",
			value[TIMEOUT]);
	}
	u.setup = dif_setup_open(args->config, DIF_SETUP_READ, &err);
	if (u.setup == NULL) {
		return dif_cli_fail(&err);
	}
	dif_arena_init(&u.arena, ARENA_MAX, false);
	int code = purge(&u);
	dif_setup_close(u.setup);
	dif_manifest_unref(u.manifest);
	dif_arena_fini(&u.arena);
	free(u.places);
	free(u.counts);
	return code;
}

const struct dif_verb_row dif_verb_purge = {
	.name = "purge",
	.words = "[PATH or GLOB...]",
	.max_words = WORDS_MAX,
	.what = "makes the CDNs forget what they keep, by hand, and waits until they have",
	.text = "A path is below the site's root, 'data/a.json', or a whole address; a folder\n"
		"with / at its end stands for its index.html. A glob is of the live cut's\n"
		"entries. No lock is needed, so it works beside a running agent: a purge changes\n"
		"nothing that the agent knows. What the agent owes by itself it goes on to purge.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
