/* check_kinds - what comes of each kind of entry of the live cut through public_url: one entry of
 * each class and Content-Type is asked for as a plain client does.
 *
 *   types     the Content-Type is that of its class: browsers refuse pages, scripts and style
 *             sheets that come as something else
 *   encoding  which classes come compressed to clients that did not ask for it
 *   content   the bytes are those of the live cut
 */
#include <stdio.h>

#include "flow/check_private.h"

static const char question_types[] = "types";

static bool is_known(const struct subject *s, const struct dif_class_rule *rule, const char *type)
{
	for (uint32_t i = 0; i < s->nkinds; i++) {
		if (s->kinds[i].rule == rule && strcmp(s->kinds[i].type, type) == 0) {
			return true;
		}
	}
	return false;
}

static void find_kinds(struct subject *s)
{
	const struct dif_config *config = s->c->setup->config;
	const struct dif_manifest *m = s->c->manifest;
	for (uint32_t i = 0; i < m->n && s->nkinds < KINDS_MAX; i++) {
		const char *path = m->members[i].path;
		const struct dif_class_rule *rule =
			dif_class_of(config->classes, config->nclasses, path);
		const char *type =
			rule->content_type != NULL ? rule->content_type : dif_class_type(path);
		if (!is_known(s, rule, type)) {
			s->kinds[s->nkinds++] = (struct check_kind){rule, &m->members[i], type};
		}
	}
}

static void tell(struct subject *s)
{
	check_tell(s, question_types,
	           s->wrong_type == NULL ? DIF_GO
	           : s->breaks           ? DIF_NO_GO
	                                 : DIF_WARNING,
	           "%s", s->wrong_type != NULL ? s->wrong_type : "are those of the classes");
	check_tell(s, "encoding", s->unasked != NULL ? DIF_WARNING : DIF_GO, "%s",
	           s->unasked != NULL ? s->unasked
	                              : "nothing comes compressed that was not asked for so");
	check_tell(s, "content", s->differs != NULL ? DIF_WARNING : DIF_GO, "%s",
	           s->differs != NULL ? s->differs
	                              : dif_arena_fmt(&s->arena,
	                                              "an entry of each of %u kinds is that of "
	                                              "the live cut",
	                                              s->nkinds));
}

/* What browsers do not take under another type. */
static bool is_strict(const char *type)
{
	return strncmp(type, "text/html", 9) == 0 || strncmp(type, "text/css", 8) == 0 ||
	       strncmp(type, "text/javascript", 15) == 0;
}

static void judge(struct subject *s, const struct check_kind *k, const struct dif_edge_answer *a)
{
	const char *as = s->d->config->store_as;
	bool ours = as != NULL ? strcmp(as, "gzip") == 0 : k->rule->store_as == DIF_GZIP;
	if (a->unasked && s->unasked == NULL) {
		s->unasked = dif_arena_fmt(
			&s->arena,
			"class %s: '%s' comes in %s to clients that did not ask for it; %s",
			k->rule->name, k->member->path, a->encoding,
			ours ? "store_as = identity is for such clients"
			     : "let the CDN compress only for clients that accept it");
	}
	if (a->verdict == DIF_EDGE_HEADERS) {
		bool breaks = is_strict(k->type);
		if (s->wrong_type == NULL || (breaks && !s->breaks)) {
			s->wrong_type = dif_arena_fmt(&s->arena, "'%s': %s; look for %s",
			                              k->member->path, a->text, a->feature);
		}
		s->breaks = s->breaks || breaks;
	} else if (a->verdict != DIF_EDGE_SAME && s->differs == NULL) {
		s->differs = dif_arena_fmt(
			&s->arena, "'%s' is %s: %s; difusor audit --edge tells of all",
			k->member->path, dif_edge_verdict_name(a->verdict), a->text);
	}
}

static void ask(struct subject *s);

static void on_answered(void *data, const struct dif_edge_answer *a)
{
	struct subject *s = data;
	judge(s, &s->kinds[s->kind++], a);
	if (s->kind < s->nkinds) {
		ask(s);
		return;
	}
	tell(s);
	check_next(s);
}

static void ask(struct subject *s)
{
	const struct check_kind *k = &s->kinds[s->kind];
	const struct dif_edge_ask ask = {
		.url = dif_edge_url(&s->arena, s->d->config->public_url, k->member->path),
		.ca_file = s->policy.ca_file,
		.timeout_ms = QUESTION_MS,
		.member = k->member,
		.type = k->type,
	};
	if (dif_edge_get(s->c->setup->engine, &ask, on_answered, s) == NULL) {
		check_tell(s, question_types, DIF_NOT_CHECKED, "out of memory");
		check_next(s);
	}
}

void check_kinds(struct subject *s)
{
	if (s->c->manifest == NULL || s->c->manifest->n == 0) {
		check_tell(s, question_types, DIF_NOT_CHECKED,
		           "the state of this machine does not know the live cut");
		check_next(s);
		return;
	}
	find_kinds(s);
	ask(s);
}
