/* config_check - what a section may be called, and what one value says about another. */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "flow/config_private.h"
#include "flow/purge_plan.h"

#define NAME_MAX_BYTES 64
#define HOST_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789.-:[] \t"
#define AFTER_WORDS 64
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

/* --- sections --- */

static bool check_name(const struct dif_config *c, const struct dif_ini_entry *e, const char *name,
                       struct dif_error *err)
{
	size_t n = strlen(name);
	if (n == 0) {
		return dif_config_refuse(c, e->section, NULL, err,
		                         "section [%s] needs a name: [%s NAME]", e->section,
		                         e->section);
	}
	if (n > NAME_MAX_BYTES || strspn(name, NAME_CHARACTERS) != n || *name == '.' ||
	    *name == '-') {
		return dif_config_refuse(c, e->section, NULL, err,
		                         "section [%.100s]: a name has at most 64 letters, digits, "
		                         "dots, dashes and underscores",
		                         e->section);
	}
	return true;
}

bool dif_config_is_single(const char *kind)
{
	return strcmp(kind, "agent") == 0 || strcmp(kind, "health") == 0 ||
	       strcmp(kind, "failover") == 0;
}

static bool check_section(const struct dif_config *c, const struct dif_ini_entry *e,
                          struct dif_error *err)
{
	size_t n = strcspn(e->section, " ");
	const char *name = e->section + n + (e->section[n] == ' ');
	if (dif_config_is_single(e->section)) {
		return strcmp(e->file, c->file) == 0 ||
		       dif_config_refuse(c, e->section, NULL, err, "section [%s] belongs into '%s'",
		                         e->section, c->file);
	}
	char kind[16] = "";
	if (n < sizeof kind) {
		memcpy(kind, e->section, n);
		kind[n] = '\0';
	}
	uint32_t rows = 0;
	if (dif_config_is_single(kind) || dif_config_rows(kind, &rows) == NULL) {
		return dif_config_refuse(c, e->section, NULL, err,
		                         "unknown section [%.100s]; known are [agent], [source "
		                         "NAME], [store NAME], [cdn NAME], [destination NAME], "
		                         "[steering NAME], [lease NAME], [class NAME], [health], "
		                         "[failover]",
		                         e->section);
	}
	return check_name(c, e, name, err);
}

bool dif_config_check_sections(const struct dif_config *c, struct dif_error *err)
{
	const struct dif_ini_entry *last = NULL;
	for (const struct dif_ini_entry *e = c->entries; e != NULL; last = e, e = e->next) {
		/* A file has a section once, so its entries stand together. */
		if (last != NULL && last->file == e->file &&
		    strcmp(last->section, e->section) == 0) {
			continue;
		}
		for (const struct dif_ini_entry *o = c->entries; o != e; o = o->next) {
			if (strcmp(o->section, e->section) == 0) {
				return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
				                      "%s:%u: section [%s] is in %s:%u already",
				                      e->file, e->section_line, e->section, o->file,
				                      o->section_line);
			}
		}
		if (!check_section(c, e, err)) {
			return false;
		}
	}
	return true;
}

/* --- sources --- */

static bool check_order(const struct dif_config *c, const struct dif_source_config *s,
                        struct dif_error *err)
{
	if (strcmp(s->order, "source") == 0) {
		return true;
	}
	if (strncmp(s->order, "name:", 5) == 0) {
		regex_t regex;
		int rc = regcomp(&regex, s->order + 5, REG_EXTENDED);
		char why[128] = "it is empty";
		if (rc == 0) {
			regfree(&regex);
		} else {
			regerror(rc, &regex, why, sizeof why);
		}
		return (rc == 0 && s->order[5] != '\0') ||
		       dif_config_refuse(c, s->section, "order", err,
		                         "could not use the regular expression of 'order': %s",
		                         why);
	}
	const char *pointer = strchr(s->order, '#');
	if (strncmp(s->order, "json:", 5) == 0 && pointer != NULL && pointer > s->order + 5 &&
	    (pointer[1] == '/' || pointer[1] == '\0')) {
		return true;
	}
	return dif_config_refuse(c, s->section, "order", err,
	                         "could not use option 'order': '%.100s' is neither source, "
	                         "name:REGEX nor json:ENTRY#/POINTER",
	                         s->order);
}

static bool check_source(const struct dif_config *c, struct dif_source_config *s,
                         struct dif_error *err)
{
	if (s->require == NULL) {
		s->require = s->digest != NULL ? "sha256" : "double-fetch";
	}
	bool wants_digest = strcmp(s->require, "sha256") == 0;
	if (wants_digest != (s->digest != NULL)) {
		return wants_digest
		               ? dif_config_refuse(c, s->section, "require", err,
		                                   "require = sha256 needs digest = ADDRESS, for "
		                                   "example {url}.sha256")
		               : dif_config_refuse(c, s->section, "require", err,
		                                   "with require = %s nothing would read the "
		                                   "digest: take one of the two out",
		                                   s->require);
	}
	return check_order(c, s, err);
}

/* --- destinations --- */

static bool is_prefix_good(const char *p)
{
	if (*p == '/') {
		return false;
	}
	for (const char *at = p; *at != '\0';) {
		size_t n = strcspn(at, "/");
		if (n == 0 || (n == 1 && *at == '.') || (n == 2 && strncmp(at, "..", 2) == 0) ||
		    (n == 8 && strncmp(at, ".difusor", 8) == 0)) {
			return false;
		}
		for (size_t i = 0; i < n; i++) {
			if ((unsigned char)at[i] < ' ' || at[i] == '\\' || at[i] == 0x7f) {
				return false;
			}
		}
		at += n + (at[n] == '/');
	}
	return true;
}

static const char *with_slash(struct dif_config *c, const char *s)
{
	size_t n = strlen(s);
	return n == 0 || s[n - 1] == '/' ? s : dif_arena_fmt(&c->arena, "%s/", s);
}

/* Readers are served over TLS (design rule 10); only a machine's own address may do without. */
static bool is_public_url_safe(const char *url)
{
	static const char *const loopback[] = {"localhost", "127.", "[::1]"};
	if (strncmp(url, "http://", 7) != 0) {
		return true;
	}
	for (size_t i = 0; i < DIF_LEN(loopback); i++) {
		size_t n = strlen(loopback[i]);
		const char *rest = url + 7 + n;
		if (strncmp(url + 7, loopback[i], n) != 0) {
			continue;
		}
		size_t host = strcspn(rest, ":/"); /* of 127.x.y.z */
		if (i == 1 ? strspn(rest, "0123456789.") == host : host == 0) {
			return true;
		}
	}
	return false;
}

static bool has_store(const struct dif_config *c, const char *name)
{
	for (uint32_t i = 0; i < c->nstores; i++) {
		if (strcmp(c->stores[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool has_cdn(const struct dif_config *c, const char *name)
{
	for (uint32_t i = 0; i < c->ncdns; i++) {
		if (strcmp(c->cdns[i].name, name) == 0) {
			return true;
		}
	}
	return false;
}

/* Splits `cdn` into cdns. */
static bool check_cdns(struct dif_config *c, struct dif_destination_config *d,
                       struct dif_error *err)
{
	const char **names = dif_arena_alloc(&c->arena, DIF_CDNS_MAX * sizeof *names);
	const char *at = d->cdn != NULL ? d->cdn + strspn(d->cdn, " \t") : "";
	for (; names != NULL && *at != '\0'; d->ncdns++) {
		size_t len = strcspn(at, " \t");
		if (d->ncdns == DIF_CDNS_MAX) {
			return dif_config_refuse(c, d->section, "cdn", err,
			                         "could not use option 'cdn': there are over %d",
			                         DIF_CDNS_MAX);
		}
		names[d->ncdns] = dif_arena_fmt(&c->arena, "%.*s", (int)len, at);
		if (!has_cdn(c, names[d->ncdns])) {
			return dif_config_refuse(c, d->section, "cdn", err,
			                         "there is no section [cdn %s]", names[d->ncdns]);
		}
		at += len + strspn(at + len, " \t");
	}
	d->cdns = names;
	return d->ncdns == 0 || d->public_url != NULL ||
	       dif_config_refuse(c, d->section, "cdn", err,
	                         "a CDN forgets addresses: say public_url, where readers find the "
	                         "site through it");
}

/* Hosts, with a port perhaps: what they become part of is an address. */
static bool check_names(const struct dif_config *c, const struct dif_cdn_config *cdn,
                        struct dif_error *err)
{
	const char *bad =
		cdn->names != NULL ? cdn->names + strspn(cdn->names, HOST_CHARACTERS) : "";
	return *bad == '\0' ||
	       dif_config_refuse(
		       c, cdn->section, "names", err,
		       "could not use option 'names': '%.100s' is no list of hosts, such as "
		       "www.prep.example prep.example",
		       cdn->names);
}

static void bind_deep_links(struct dif_cdn_config *cdn)
{
	cdn->deep = strcmp(cdn->deep_links, "none") == 0  ? DIF_DEEP_NONE
	            : strcmp(cdn->deep_links, "all") == 0 ? DIF_DEEP_ALL
	                                                  : DIF_DEEP_PREFIX;
}

static bool check_destination(struct dif_config *c, struct dif_destination_config *d,
                              struct dif_error *err)
{
	if (!has_store(c, d->store)) {
		return dif_config_refuse(c, d->section, "store", err,
		                         "there is no section [store %s]", d->store);
	}
	if (!is_prefix_good(d->prefix)) {
		return dif_config_refuse(
			c, d->section, "prefix", err,
			"could not use option 'prefix': '%.100s' is no folder of "
			"the form a/b/ (no / at its begin, no empty part, no . and "
			"no .., not .difusor)",
			d->prefix);
	}
	d->prefix = with_slash(c, d->prefix);
	if (d->public_url != NULL) {
		if (!is_public_url_safe(d->public_url)) {
			return dif_config_refuse(c, d->section, "public_url", err,
			                         "could not use option 'public_url': readers are "
			                         "served over https; http is for loopback only");
		}
		d->public_url = with_slash(c, d->public_url);
	}
	if (d->deep_link != NULL) {
		d->deep_link += strspn(d->deep_link, "/");
	}
	if (d->siblings != NULL && d->store_as != NULL && strcmp(d->store_as, "gzip") == 0) {
		return dif_config_refuse(c, d->section, "siblings", err,
		                         "siblings = gzip beside store_as = gzip would store the "
		                         "same bytes twice: take one of the two out");
	}
	return check_cdns(c, d, err);
}

static bool do_overlap(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	return strncmp(a, b, na < nb ? na : nb) == 0;
}

/* Each would take what the other put for its own and delete it. */
static bool check_overlap(const struct dif_config *c, struct dif_error *err)
{
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		for (uint32_t j = 0; j < i; j++) {
			const struct dif_destination_config *a = &c->destinations[i],
							    *b = &c->destinations[j];
			if (strcmp(a->store, b->store) == 0 && do_overlap(a->prefix, b->prefix)) {
				return dif_config_refuse(
					c, a->section, "prefix", err,
					"destinations '%s' and '%s' share a part of store '%s' "
					"(prefixes '%s' and '%s'): give each a folder of its own",
					b->name, a->name, a->store, b->prefix, a->prefix);
			}
		}
	}
	return true;
}

/* --- all --- */

static bool check_classes(const struct dif_config *c, struct dif_error *err)
{
	for (uint32_t i = 0; i < c->nclasses; i++) {
		const struct dif_class_rule *r = &c->classes[i];
		if (r->phase == DIF_ENTRY && r->store_as == DIF_GZIP) {
			const char *section = r->name - strlen("class "); /* see bind_class */
			return dif_config_refuse(
				c, section, "store_as", err,
				"entry pages are stored as identity, so that every "
				"client can read them");
		}
	}
	return true;
}

static bool check_limits(const struct dif_config *c, struct dif_error *err)
{
	if (c->limits.entry > c->limits.total) {
		return dif_config_refuse(c, "agent", "max_entry", err,
		                         "max_entry is more than max_total");
	}
	if (c->limits.component > c->limits.name) {
		return dif_config_refuse(c, "agent", "max_component", err,
		                         "max_component is more than max_name");
	}
	return true;
}

static bool check_steering(const struct dif_config *c, struct dif_error *err)
{
	if (c->nleases > 1) {
		return dif_config_refuse(c, c->leases[1].section, NULL, err,
		                         "there is a [lease %s] already: one lease decides who "
		                         "works",
		                         c->leases[0].name);
	}
	bool leads = c->nsteerings == 0;
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		const struct dif_destination_config *d = &c->destinations[i];
		leads = leads || (!d->is_private && (d->target != NULL || d->public_url != NULL));
	}
	return leads || dif_config_refuse(c, c->steerings[0].section, NULL, err,
	                                  "no destination has a target or public_url to lead to");
}

/* --- health and failover --- */

/* Splits text at blanks into to, which has room for max words and a NULL; how many there are. */
static uint32_t split(struct dif_config *c, const char *text, const char **to, uint32_t max)
{
	uint32_t n = 0;
	for (text += strspn(text, " \t"); *text != '\0'; n++) {
		size_t len = strcspn(text, " \t");
		if (n < max) {
			to[n] = dif_arena_fmt(&c->arena, "%.*s", (int)len, text);
		}
		text += len + strspn(text + len, " \t");
	}
	to[n < max ? n : max] = NULL;
	return n;
}

static bool has_section(const struct dif_config *c, const char *section)
{
	for (const struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		if (strcmp(e->section, section) == 0) {
			return true;
		}
	}
	return false;
}

static bool check_health(struct dif_config *c, struct dif_error *err)
{
	struct dif_health_config *h = &c->health;
	const char *words[DIF_REFERENCES_MAX + 1] = {NULL};
	uint32_t n = h->references != NULL ? split(c, h->references, words, DIF_REFERENCES_MAX) : 0;
	if (n > DIF_REFERENCES_MAX) {
		return dif_config_refuse(c, "health", "references", err,
		                         "could not use option 'references': there are over %d",
		                         DIF_REFERENCES_MAX);
	}
	for (uint32_t i = 0; i < n; i++) {
		if ((strncmp(words[i], "https://", 8) != 0 &&
		     strncmp(words[i], "http://", 7) != 0) ||
		    !is_public_url_safe(words[i])) {
			return dif_config_refuse(
				c, "health", "references", err,
				"could not use option 'references': '%.200s' is no "
				"https:// address",
				words[i]);
		}
		h->reference[h->nreferences++] = words[i];
	}
	if (h->rise_time > h->rise_max) {
		return dif_config_refuse(c, "health", NULL, err, "rise_time is more than rise_max");
	}
	if (c->failover.fresh < h->interval * (100 + h->jitter) / 100) {
		const char *section = has_section(c, "failover") ? "failover" : "health";
		return dif_config_refuse(
			c, section, NULL, err,
			"[failover] fresh is less than what lies between two looks "
			"([health] interval and jitter), so nobody could ever enter "
			"the route");
	}
	return c->failover.hold <= c->failover.hold_max ||
	       dif_config_refuse(c, "failover", NULL, err, "hold is more than hold_max");
}

/* Splits `after` into command. */
static bool check_after(struct dif_config *c, struct dif_steering_config *s, struct dif_error *err)
{
	const char **words = dif_arena_alloc(&c->arena, (AFTER_WORDS + 1) * sizeof *words);
	if (s->after == NULL || words == NULL) {
		return true;
	}
	uint32_t n = split(c, s->after, words, AFTER_WORDS);
	if (n == 0 || n > AFTER_WORDS || words[0][0] != '/') {
		return dif_config_refuse(c, s->section, "after", err,
		                         "could not use option 'after': it is a program's absolute "
		                         "path and at most %d words behind it",
		                         AFTER_WORDS - 1);
	}
	s->command = words;
	return true;
}

bool dif_config_check(struct dif_config *c, struct dif_error *err)
{
	if (c->ndestinations == 0) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "%s: there is no [destination NAME] to publish to", c->file);
	}
	for (uint32_t i = 0; i < c->ncdns; i++) {
		bind_deep_links(&c->cdns[i]);
		if (!check_names(c, &c->cdns[i], err)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < c->nsources; i++) {
		if (!check_source(c, &c->sources[i], err)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < c->ndestinations; i++) {
		if (!check_destination(c, &c->destinations[i], err)) {
			return false;
		}
	}
	for (uint32_t i = 0; i < c->nsteerings; i++) {
		if (!check_after(c, &c->steerings[i], err)) {
			return false;
		}
	}
	return check_overlap(c, err) && check_classes(c, err) && check_limits(c, err) &&
	       check_steering(c, err) && check_health(c, err);
}
