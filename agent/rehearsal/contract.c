/* contract - folder, options, order of the suite; see the header. */
#include "rehearsal/contract.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "host/option.h"
#include "rehearsal/contract_private.h"

#define ARENA_MAX (64u << 20)
#define INI_MAX (1u << 20)
#define SEGMENT 200
#define KEY "p/page.html"
#define KEY2 "p/second.html"

const char *const dif_families[DIF_FAMILIES] = {
	[DIF_F_PROBE] = "probe",
	[DIF_F_LOGIN] = "login",
	[DIF_F_LIST] = "list",
	[DIF_F_LIST_LAST] = "list_last",
	[DIF_F_HEAD] = "head",
	[DIF_F_HEAD_ABSENT] = "head_absent",
	[DIF_F_GET] = "get",
	[DIF_F_GET_PART] = "get_part",
	[DIF_F_PUT_CREATED] = "put_created",
	[DIF_F_PUT_REPLACED] = "put_replaced",
	[DIF_F_PUT_LOST] = "put_lost",
	[DIF_F_PUT_THROTTLED] = "put_throttled",
	[DIF_F_PUT_FORBIDDEN] = "put_forbidden",
	[DIF_F_PUT_BROKEN] = "put_broken",
	[DIF_F_REMOVE] = "remove",
	[DIF_F_REMOVE_ABSENT] = "remove_absent",
	[DIF_F_REMOVE_MANY] = "remove_many",
	[DIF_F_PART_BEGIN] = "part_begin",
	[DIF_F_PART_PUT] = "part_put",
	[DIF_F_PART_LAST] = "part_last",
	[DIF_F_PART_ASK] = "part_ask",
	[DIF_F_PART_FINISH] = "part_finish",
	[DIF_F_PART_LOST] = "part_lost",
	[DIF_F_PART_ABORT] = "part_abort",
	[DIF_F_PURGE_URLS] = "purge_urls",
	[DIF_F_PURGE_PREFIXES] = "purge_prefixes",
	[DIF_F_PURGE_TAGS] = "purge_tags",
	[DIF_F_PURGE_ALL] = "purge_all",
	[DIF_F_PURGE_THROTTLED] = "purge_throttled",
	[DIF_F_PURGE_IN_PROGRESS] = "purge_in_progress",
	[DIF_F_PURGE_FORBIDDEN] = "purge_forbidden",
	[DIF_F_PURGE_REFUSED] = "purge_refused",
	[DIF_F_PURGE_BROKEN] = "purge_broken",
	[DIF_F_STATE_PENDING] = "state_pending",
	[DIF_F_STATE_SETTLED] = "state_settled",
	[DIF_F_STATE_FAILED] = "state_failed",
	[DIF_F_GET_ABSENT] = "get_absent",
	[DIF_F_SET] = "set",
	[DIF_F_SET_WITHDRAW] = "set_withdraw",
	[DIF_F_SET_ABSENT] = "set_absent",
	[DIF_F_SET_LOST] = "set_lost",
	[DIF_F_SET_THROTTLED] = "set_throttled",
	[DIF_F_SET_FORBIDDEN] = "set_forbidden",
	[DIF_F_SET_BROKEN] = "set_broken",
	[DIF_F_ACQUIRE] = "acquire",
	[DIF_F_ACQUIRE_HELD] = "acquire_held",
	[DIF_F_ACQUIRE_AGAIN] = "acquire_again",
	[DIF_F_ACQUIRE_BROKEN] = "acquire_broken",
	[DIF_F_RENEW] = "renew",
	[DIF_F_RENEW_GONE] = "renew_gone",
	[DIF_F_RELEASE] = "release",
	[DIF_F_RELEASE_GONE] = "release_gone",
	[DIF_F_READ] = "read",
	[DIF_F_READ_NOBODY] = "read_nobody",
};

void dif_suite_tell(struct dif_suite *s, enum dif_verdict verdict, const char *name,
                    const char *why)
{
	uint32_t *count = verdict == DIF_PASSED   ? &s->counts->passed
	                  : verdict == DIF_FAILED ? &s->counts->failed
	                                          : &s->counts->unproved;
	++*count;
	s->cb(s->data, &(struct dif_contract_case){name, verdict, why});
}

bool dif_suite_wrong(struct dif_suite *s, const char *fmt, ...)
{
	if (s->why[0] == '\0') {
		va_list ap;
		va_start(ap, fmt);
		(void)vsnprintf(s->why, sizeof s->why, fmt, ap);
		va_end(ap);
	}
	return false;
}

void dif_suite_object(struct dif_suite *s, const char *key, uint64_t size)
{
	s->size = size;
	dif_values_text(&s->values, "key", key);
	dif_values_text(&s->values, "size",
	                dif_arena_fmt(&s->arena, "%llu", (unsigned long long)size));
	dif_values_set(&s->values, "content",
	               (struct dif_bytes){DIF_CONTENT, size == DIF_BIG ? 0 : size});
}

const char *dif_long_name(struct dif_arena *a, uint32_t n)
{
	char *name = dif_arena_alloc(a, n + 1);
	for (uint32_t i = 0; name != NULL && i < n; i++) {
		bool ends = i % SEGMENT == 1 && i + 1 < n;
		name[i] = i == 0 ? 'p' : ends ? '/' : 'n';
	}
	return name != NULL ? name : "";
}

struct dif_instance *dif_suite_open(struct dif_suite *s, struct dif_error *err)
{
	return dif_instance_open(s->engine, s->offer, s->entries, s->section, err);
}

static void on_closed(void *data)
{
	*(bool *)data = true;
}

void dif_suite_close(struct dif_suite *s, struct dif_instance *i)
{
	bool closed = false;
	dif_instance_close(i, on_closed, &closed);
	while (!closed) {
		(void)uv_run(&s->engine->loop, UV_RUN_ONCE);
	}
}

/* --- the temporary folder --- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* Credentials that are files are read by the rule of trusted files, which a checkout may not keep:
 * what is no script goes into the temporary folder. */
static bool copy_one(struct dif_suite *s, int folder, const char *name, struct dif_error *err)
{
	char *text = NULL;
	size_t n = 0;
	const char *to = dif_arena_fmt(&s->arena, "%s/%s", s->temporary, name);
	int from = openat(folder, name, O_RDONLY | O_CLOEXEC);
	if (from == -1) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "could not read '%s/%s': %m", s->folder, name);
	}
	bool ok = dif_path_read_all(from, INI_MAX, &text, &n, err);
	close(from);
	int fd = ok ? open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
	if (ok && (fd == -1 || write(fd, text, n) != (ssize_t)n)) {
		ok = dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT, "could not write '%s': %m",
		                    to);
	}
	if (fd != -1) {
		close(fd);
	}
	free(text);
	return ok;
}

static bool is_script(const char *name)
{
	const char *dot = strrchr(name, '.');
	return *name == '.' || dot == NULL || strcmp(dot, ".txt") == 0 || strcmp(dot, ".ini") == 0;
}

static bool copy_files(struct dif_suite *s, struct dif_error *err)
{
	DIR *dir = opendir(s->folder);
	bool ok = dir != NULL || dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
	                                        "could not read folder '%s': %m", s->folder);
	for (const struct dirent *e = NULL; ok && (e = readdir(dir)) != NULL;) {
		ok = is_script(e->d_name) || copy_one(s, dirfd(dir), e->d_name, err);
	}
	if (dir != NULL) {
		closedir(dir);
	}
	return ok;
}

/* --- the section --- */

/* Is this the section of an instance of the offer's kind? */
static bool is_ours(const struct dif_suite *s, const char *section)
{
	static const char *const words[][2] = {
		[DIF_STORE] = {"store ", "source "},
		[DIF_CDN] = {"cdn ", NULL},
		[DIF_STEER] = {"steering ", NULL},
		[DIF_LEASE] = {"lease ", NULL},
	};
	const char *const *w = words[s->offer->kind];
	return strncmp(section, w[0], strlen(w[0])) == 0 ||
	       (w[1] != NULL && strncmp(section, w[1], strlen(w[1])) == 0);
}

static bool parse_section(struct dif_suite *s, const char *file, const char *text,
                          struct dif_error *err)
{
	const char *filled = dif_exchange_fill(&s->arena, text, &s->values);
	if (!dif_ini_parse(&s->arena, file, (struct dif_bytes){filled, strlen(filled)}, &s->entries,
	                   err)) {
		return false;
	}
	uint32_t nvalues = 0;
	for (struct dif_ini_entry *e = s->entries; e != NULL; e = e->next) {
		e->secret_ok = true;
		if (strcmp(e->section, "contract") == 0 && e->key != NULL) {
			nvalues++;
			e->used = true;
			dif_values_text(&s->values, e->key, e->value);
		} else if (s->section == NULL && is_ours(s, e->section)) {
			s->section = e->section;
		}
		e->used = e->used || (e->key != NULL && strcmp(e->key, "plugin") == 0);
	}
	if (s->section == NULL || nvalues > DIF_VALUES_MAX / 2) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "%s: it needs a section of the plug-in's kind ([store NAME], "
		                      "[cdn NAME], [steering NAME], [lease NAME]), and at most %d "
		                      "values in [contract]",
		                      file, DIF_VALUES_MAX / 2);
	}
	return true;
}

static bool read_folder(struct dif_suite *s, struct dif_error *err)
{
	char *text = NULL;
	size_t n = 0;
	const char *path = dif_arena_fmt(&s->arena, "%s/instance.ini", s->folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "could not read '%s': %m", path);
	}
	bool ok = dif_path_read_all(fd, INI_MAX, &text, &n, err);
	close(fd);
	ok = ok && copy_files(s, err) && parse_section(s, path, text, err);
	free(text);
	for (uint32_t f = 0; ok && f < DIF_FAMILIES; f++) {
		ok = dif_script_read(&s->arena, s->folder, dif_families[f], &s->scripts[f], err);
	}
	return ok;
}

static const char *made_up(struct dif_suite *s, const struct dif_option *o)
{
	switch (o->type) {
	case DIF_URL:
		return "https://store.example";
	case DIF_FILE_PATH:
		return dif_arena_fmt(&s->arena, "%s/%s", s->temporary, o->name);
	case DIF_ENUM:
		return dif_arena_fmt(&s->arena, "%.*s", (int)strcspn(o->choices, " "), o->choices);
	case DIF_BOOL:
		return "no";
	case DIF_INT:
		return dif_arena_fmt(&s->arena, "%lld", (long long)o->min);
	case DIF_SIZE:
		return dif_arena_fmt(&s->arena, "%lld",
		                     (long long)(o->min > 65536 ? o->min : 65536));
	case DIF_DURATION:
		return dif_arena_fmt(&s->arena, "%lldms", (long long)(o->min > 0 ? o->min : 1000));
	default:
		break;
	}
	const char *text = strstr(o->name, "url") != NULL ? "https://store.example/x" : "example";
	char *fit = dif_arena_alloc(&s->arena, (size_t)o->min + strlen(text) + 1);
	if (fit == NULL) {
		return text;
	}
	memcpy(fit, text, strlen(text));
	for (size_t i = strlen(text); i < (size_t)o->min; i++) {
		fit[i] = 'x';
	}
	return fit;
}

/* A section of what must be given, where nobody gave one. */
static bool make_section(struct dif_suite *s, struct dif_error *err)
{
	static const char *const words[] = {[DIF_STORE] = "store",
	                                    [DIF_CDN] = "cdn",
	                                    [DIF_STEER] = "steering",
	                                    [DIF_LEASE] = "lease"};
	const char *text = dif_arena_fmt(&s->arena, "[%s probe]\nplugin = %s\n",
	                                 words[s->offer->kind], s->offer->name);
	for (uint32_t i = 0; i < s->offer->noptions; i++) {
		const struct dif_option *o = &s->offer->options[i];
		if ((o->flags & DIF_NEEDED) != 0) {
			text = dif_arena_fmt(&s->arena, "%s%s = %s\n", text, o->name,
			                     made_up(s, o));
		}
	}
	return parse_section(s, "made-up values", text, err);
}

/* --- cases that need no exchange --- */

static void check_options(struct dif_suite *s)
{
	struct dif_buf out;
	struct dif_error err = {0};
	struct dif_ini_entry *list = NULL;
	dif_buf_init(&out, INI_MAX);
	dif_buf_fmt(&out, "[store example]\n");
	dif_option_example(s->offer->options, s->offer->noptions, &out);
	bool ok = dif_ini_parse(&s->arena, "example", (struct dif_bytes){dif_buf_str(&out), out.n},
	                        &list, &err);
	dif_buf_fini(&out);
	dif_suite_tell(s, ok ? DIF_PASSED : DIF_FAILED, "options: their example is a configuration",
	               ok ? "" : err.text);
}

/* A key of the section that nobody read; NULL: none. */
static const struct dif_ini_entry *unread(const struct dif_suite *s)
{
	const struct dif_ini_entry *e = s->entries;
	while (e != NULL && (e->key == NULL || e->used || strcmp(e->section, s->section) != 0)) {
		e = e->next;
	}
	return e;
}

static void check_store_caps(struct dif_suite *s)
{
	const struct dif_caps *c = &s->caps;
	const struct dif_store *v = (const struct dif_store *)(const void *)s->offer->verbs;
	bool read_only = (c->flags & DIF_CAP_READ_ONLY) != 0;
	if (v->list == NULL || v->head == NULL || v->get == NULL || v->c.probe == NULL) {
		dif_suite_wrong(s, "probe, list, head or get is missing");
	}
	if (!read_only && (v->put == NULL || v->remove == NULL)) {
		dif_suite_wrong(s, "put or remove is missing, and it is not DIF_CAP_READ_ONLY");
	}
	for (size_t i = 0; i < DIF_LEN(c->digests) && c->digests[i] != DIF_NO_DIGEST; i++) {
		if (c->digests[i] >= DIF_DIGESTS) {
			dif_suite_wrong(s, "caps.digests holds %u, which is none", c->digests[i]);
		}
	}
}

static void check_caps(struct dif_suite *s)
{
	const struct dif_caps *c = &s->caps;
	s->why[0] = '\0';
	if ((s->offer->flags & DIF_OFFER_HTTP) != 0 && c->hosts[0] == NULL) {
		dif_suite_wrong(s, "caps.hosts is empty: nothing may be spoken to");
	}
	if (s->offer->kind == DIF_STORE) {
		check_store_caps(s);
	} else {
		dif_kinds_caps(s);
	}
	if (c->root != NULL && c->side == NULL) {
		dif_suite_wrong(s, "caps.root has no caps.side beside it");
	}
	const struct dif_ini_entry *e = unread(s);
	if (e != NULL) {
		dif_suite_wrong(s, "%s:%u: there is no option '%s'", e->file, e->line, e->key);
	}
	dif_suite_tell(s, s->why[0] == '\0' ? DIF_PASSED : DIF_FAILED,
	               "open: capabilities and verbs fit each other", s->why);
}

static void run_verbs(struct dif_suite *s)
{
	static const struct {
		void (*files)(struct dif_suite *), (*any_reply)(struct dif_suite *),
			(*scripted)(struct dif_suite *);
	} parts[] = {
		{dif_contract_files, dif_contract_any_reply, dif_contract_scripted},
		{dif_kinds_files, dif_kinds_any_reply, dif_kinds_scripted},
	};
	bool is_other = s->offer->kind != DIF_STORE;
	if (s->caps.root != NULL) {
		parts[is_other].files(s);
		return;
	}
	parts[is_other].any_reply(s);
	if (s->folder != NULL) {
		parts[is_other].scripted(s);
	} else {
		dif_suite_tell(s, DIF_UNPROVED, "exchanges",
		               "without scripts nobody knows what the provider expects; "
		               "give --scripts DIR");
	}
}

/* The instance that tells the capabilities stays open: they are its own. */
static void run_all(struct dif_suite *s)
{
	struct dif_error err = {0};
	check_options(s);
	struct dif_instance *i = dif_suite_open(s, &err);
	if (i == NULL) {
		bool given = s->folder != NULL; /* made-up values may well be wrong */
		dif_suite_tell(s, given ? DIF_FAILED : DIF_UNPROVED, "open", err.text);
		return;
	}
	s->caps = *dif_instance_caps(i);
	s->body_max = s->body_max > 0 ? s->body_max : s->caps.purge_bytes;
	dif_suite_tell(s, DIF_PASSED, "open", "");
	check_caps(s);
	run_verbs(s);
	dif_suite_close(s, i);
}

/* --- begin and end --- */

/* What scripts may name from the beginning, by kind. */
static const struct {
	enum dif_kind kind;
	const char *name, *value;
} known[] = {
	{DIF_STORE, "key2", KEY2},
	{DIF_STORE, "prefix", "p/"},
	{DIF_STORE, "cursor", "next-page"},
	{DIF_STORE, "max", "1000"},
	{DIF_STORE, "tag", "\"t-1\""},
	{DIF_STORE, "tag_new", "\"t-2\""},
	{DIF_STORE, "http_date", "Sun, 06 Nov 1994 08:49:37 GMT"},
	{DIF_STORE, "iso_date", "1994-11-06T08:49:37Z"},
	{DIF_CDN, "site", "https://www.prep.example"},
	{DIF_CDN, "ticket", "ticket-1"},
	{DIF_STEER, "name", "www.prep.example"},
	{DIF_STEER, "type", "CNAME"},
	{DIF_STEER, "tag", "\"t-1\""},
	{DIF_STEER, "ticket", "ticket-1"},
	{DIF_STEER, "target1", "eins"},
	{DIF_STEER, "value1", "a.cdn.example.net"},
	{DIF_STEER, "target2", "zwei"},
	{DIF_STEER, "value2", "b.cdn.example.net"},
	{DIF_LEASE, "name", "prep.publisher"},
	{DIF_LEASE, "owner", "agent-1.0123456789abcdef"},
	{DIF_LEASE, "other", "agent-2.fedcba9876543210"},
	{DIF_LEASE, "lease", "7587850915234"},
	{DIF_LEASE, "fence", "42"},
};

static void set_values(struct dif_suite *s)
{
	for (size_t i = 0; i < DIF_LEN(known); i++) {
		if (known[i].kind == s->offer->kind) {
			dif_values_text(&s->values, known[i].name, known[i].value);
		}
	}
	dif_values_text(&s->values, "work", s->temporary);
	if (s->folder != NULL) {
		dif_values_text(&s->values, "folder", s->folder);
	}
	if (s->offer->kind == DIF_STORE) {
		dif_suite_object(s, KEY, strlen(DIF_CONTENT));
	}
}

/* What follows from the values that the folder has replaced. */
static bool complete_values(struct dif_suite *s, struct dif_error *err)
{
	const char *bound = dif_values_get(&s->values, "body_max");
	const char *site = dif_values_get(&s->values, "site");
	uint64_t n = 0;
	if (s->offer->kind == DIF_STORE) {
		dif_suite_object(s, dif_values_get(&s->values, "key"), strlen(DIF_CONTENT));
	}
	if (site != NULL) {
		const char *host = strstr(site, "://");
		dif_values_text(&s->values, "host", host != NULL ? host + 3 : site);
	}
	if (bound != NULL && !dif_parse_uint(bound, UINT64_MAX, &n)) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "%s/instance.ini: body_max '%s' is no number of bytes",
		                      s->folder, bound);
	}
	s->body_max = n;
	return true;
}

bool dif_contract_run(const struct dif_offer *offer, const char *scripts, dif_contract_cb *cb,
                      void *data, struct dif_contract_counts *counts, struct dif_error *err)
{
	char temporary[] = "/tmp/difusor-probe-XXXXXX";
	struct dif_suite *s = calloc(1, sizeof *s);
	if (s == NULL || mkdtemp(temporary) == NULL) {
		free(s);
		return dif_error_exit(err, DIF_EXIT_OTHER, DIF_TRANSIENT,
		                      "could not make a temporary folder in /tmp: %m");
	}
	*s = (struct dif_suite){.offer = offer,
	                        .folder = scripts,
	                        .temporary = temporary,
	                        .cb = cb,
	                        .data = data,
	                        .counts = counts};
	dif_arena_init(&s->arena, ARENA_MAX, true);
	dif_arena_init(&s->work, ARENA_MAX, true);
	set_values(s);
	s->engine = dif_engine_new(err);
	bool ok =
		s->engine != NULL && (scripts != NULL ? read_folder(s, err) : make_section(s, err));
	ok = ok && complete_values(s, err);
	if (ok) {
		run_all(s);
	}
	dif_engine_free(s->engine);
	dif_arena_fini(&s->work);
	dif_arena_fini(&s->arena);
	free(s);
	(void)nftw(temporary, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return ok;
}
