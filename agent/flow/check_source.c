/* check_source - what lies at a source: the package, and its digest where one is asked for. */
#include <stdlib.h>
#include <strings.h>

#include "base/clock.h"
#include "flow/check_private.h"

#define PAGES_MAX 20u /* 20,000 objects within the deadline; a source with more is told */

static bool is_one_address(const struct subject *s)
{
	const struct dif_caps *caps = dif_instance_caps(s->i);
	return (caps->flags & DIF_CAP_READ_ONLY) != 0 && caps->list_max == 1 &&
	       s->source->prefix == NULL;
}

static void tell_package(struct subject *s)
{
	char amount[DIF_DATE_MAX], date[DIF_DATE_MAX];
	if (s->newest == NULL) {
		check_tell(s, "package", DIF_WARNING,
		           "there is none yet; look at the address or prefix if there should be");
		return;
	}
	if (s->newest_size == 0 && s->newest_modified == 0) { /* an index page tells names only */
		check_tell(s, "package", DIF_GO, "'%s' is the newest name", s->newest);
		return;
	}
	check_tell(s, "package", DIF_GO, "'%s', %s, of %s", s->newest,
	           dif_amount(amount, s->newest_size),
	           s->newest_modified > 0 ? dif_date(date, DIF_DATE_ISO, s->newest_modified)
	                                  : "no date");
}

static void keep(struct subject *s, const struct dif_object *o)
{
	s->newest = dif_arena_str(&s->arena, o->key);
	s->newest_size = o->size;
	s->newest_modified = o->modified;
}

/* --- one address --- */

static void on_head(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls == DIF_OK) {
		keep(s, &out->result.object);
		tell_package(s);
	} else if (out->err.cls == DIF_NOT_FOUND) {
		tell_package(s);
	} else {
		check_fail(s, "package", &out->err, NULL);
	}
	check_next(s);
}

/* --- a store --- */

static bool is_package(const struct subject *s, const char *key)
{
	size_t n = strlen(key);
	/* an index page lists what its pattern chose */
	return (dif_instance_caps(s->i)->flags & DIF_CAP_READ_ONLY) != 0 ||
	       (n > 4 && strcasecmp(key + n - 4, ".zip") == 0);
}

static void list(struct subject *s);

static void on_list(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls != DIF_OK) {
		check_fail(s, "package", &out->err,
		           out->err.cls == DIF_AUTH ? dif_arena_fmt(&s->arena, "give it %s",
		                                                    check_right(s, RIGHT_LIST))
		                                    : NULL);
		check_next(s);
		return;
	}
	for (uint32_t i = 0; i < out->nrows; i++) {
		const struct dif_object *o = &out->rows[i];
		if (is_package(s, o->key) &&
		    (s->newest == NULL || o->modified >= s->newest_modified)) {
			keep(s, o);
		}
	}
	s->cursor = dif_arena_str(&s->arena, out->result.cursor);
	if (s->cursor == NULL) {
		tell_package(s);
		check_next(s);
	} else if (++s->pages == PAGES_MAX) {
		check_tell(s, "package", DIF_WARNING,
		           "there are over %u objects; set prefix to the folder of the packages",
		           PAGES_MAX * dif_instance_caps(s->i)->list_max);
		check_next(s);
	} else {
		list(s);
	}
}

static void list(struct subject *s)
{
	s->list = (struct dif_list){.prefix = s->source->prefix != NULL ? s->source->prefix : "",
	                            .cursor = s->cursor,
	                            .max = dif_instance_caps(s->i)->list_max};
	check_op(s, DIF_LIST, &s->list, QUESTION_MS, on_list);
}

static void find_package(struct subject *s)
{
	if (!is_one_address(s)) {
		list(s);
		return;
	}
	s->get = (struct dif_get){.key = "", .at = dif_wall_ms() / 1000};
	check_op(s, DIF_HEAD, &s->get, QUESTION_MS, on_head);
}

/* --- the digest --- */

static void on_digest(void *data, const struct dif_outcome *out)
{
	struct subject *s = data;
	if (out->err.cls == DIF_OK) {
		check_tell(s, "digest", DIF_GO, "is there");
	} else if (out->err.cls == DIF_NOT_FOUND) {
		check_tell(s, "digest", DIF_NO_GO,
		           "there is no '%s'; have it put there, or correct digest in [%s]",
		           s->get.key, s->section);
	} else {
		check_fail(s, "digest", &out->err, NULL);
	}
	check_next(s);
}

static void find_digest(struct subject *s)
{
	const char *digest = s->source->digest;
	if (digest == NULL) {
		bool crc = s->source->require != NULL && strcmp(s->source->require, "crc") == 0;
		check_tell(s, "digest", DIF_WARNING, "none is asked for: %s",
		           crc ? "only the ZIP's own checksums guard a package"
		               : "each package is fetched twice and compared");
		check_next(s);
		return;
	}
	if (s->newest == NULL) {
		check_tell(s, "digest", DIF_NOT_CHECKED, "there is no package yet");
		check_next(s);
		return;
	}
	const char *mark = strstr(digest, "{url}");
	const char *key = mark == NULL ? digest
	                               : dif_arena_fmt(&s->arena, "%.*s%s%s", (int)(mark - digest),
	                                               digest, s->newest, mark + strlen("{url}"));
	s->get = (struct dif_get){.key = key, .at = dif_wall_ms() / 1000};
	check_op(s, DIF_HEAD, &s->get, QUESTION_MS, on_digest);
}

check_ask *const check_source_asks[] = {check_reach, find_package, find_digest, NULL};
