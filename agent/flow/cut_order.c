#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/parse.h"
#include "flow/cut_private.h"
#include "host/tree.h"

#define DIGITS_MAX 18          /* what an int64_t surely holds */
#define JSON_ARENA (64u << 20) /* of a document of DIF_WHOLE_MAX bytes */
#define TOKEN_MAX 256

bool dif_cut_number_of_text(const char *text, int64_t *number)
{
	char digits[DIGITS_MAX + 1];
	size_t n = 0;
	if (dif_parse_int(text, 0, INT64_MAX, number)) {
		return true;
	}
	int64_t date = dif_undate(text);
	if (date > 0) {
		*number = date * 1000;
		return true;
	}
	for (const char *c = text; *c != '\0'; c++) {
		if (*c < '0' || *c > '9') {
			continue;
		}
		if (n == DIGITS_MAX) {
			return false;
		}
		digits[n++] = *c;
	}
	digits[n] = '\0';
	return n > 0 && dif_parse_int(digits, 0, INT64_MAX, number);
}

bool dif_cut_number_of_name(const char *regex, const char *name, int64_t *number,
                            struct dif_error *err)
{
	regex_t re;
	regmatch_t match[2];
	int status = regcomp(&re, regex, REG_EXTENDED);
	if (status != 0) {
		char why[128];
		regerror(status, &re, why, sizeof why);
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "could not read order 'name:%s': %s", regex, why);
	}
	bool found = regexec(&re, name, 2, match, 0) == 0;
	regfree(&re);
	const regmatch_t *m = found && match[1].rm_so >= 0 ? &match[1] : &match[0];
	char *text = found ? strndup(name + m->rm_so, (size_t)(m->rm_eo - m->rm_so)) : NULL;
	bool good = text != NULL && dif_cut_number_of_text(text, number);
	free(text);
	return good || dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
	                              "could not order package '%s': its name gives no number by "
	                              "'name:%s'",
	                              name, regex);
}

/* One token of a pointer, unescaped; returns what follows it, NULL: too long. */
static const char *token(const char *at, char to[TOKEN_MAX])
{
	size_t n = 0;
	for (; *at != '\0' && *at != '/'; at++) {
		char c = *at;
		if (c == '~' && (at[1] == '0' || at[1] == '1')) {
			c = *++at == '0' ? '~' : '/';
		}
		if (n == TOKEN_MAX - 1) {
			return NULL;
		}
		to[n++] = c;
	}
	to[n] = '\0';
	return at;
}

static const struct dif_node *member_of(const struct dif_node *n, const char *name)
{
	uint64_t index = 0;
	bool array = n->child != NULL && n->child->name[0] == '\0';
	if (array && !dif_parse_uint(name, UINT32_MAX, &index)) {
		return NULL;
	}
	for (const struct dif_node *c = n->child; c != NULL; c = c->next) {
		if (array ? index-- == 0 : strcmp(c->name, name) == 0) {
			return c;
		}
	}
	return NULL;
}

static const char *find(const struct dif_node *root, const char *pointer)
{
	char name[TOKEN_MAX];
	const struct dif_node *n = root;
	const char *at = pointer;
	while (n != NULL && *at == '/') {
		at = token(at + 1, name);
		if (at == NULL) {
			return NULL;
		}
		n = member_of(n, name);
	}
	return n != NULL && *at == '\0' ? n->text : NULL;
}

static bool read_number(const struct dif_package *p, const struct dif_entry *e, const char *pointer,
                        int64_t *number, struct dif_error *err)
{
	struct dif_arena a;
	struct dif_member m = {.path = e->name,
	                       .offset = e->offset,
	                       .packed = e->packed,
	                       .size = e->size,
	                       .crc = e->crc,
	                       .method = e->method};
	char *text = malloc((size_t)e->size + 1);
	if (text == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read entry '%s': out of memory",
		              e->name);
		return false;
	}
	dif_arena_init(&a, JSON_ARENA, false);
	const struct dif_node *root = NULL;
	bool good = dif_ingest_inflate(p, &m, text, err);
	if (good) {
		root = dif_tree_parse(&a, DIF_AS_JSON, (struct dif_bytes){text, e->size}, err);
		good = root != NULL;
	}
	if (good) {
		const char *value = find(root, pointer);
		good = value != NULL && dif_cut_number_of_text(value, number);
		if (!good) {
			dif_error_set(err, DIF_PERMANENT, "nothing at '%s' that gives a number",
			              pointer);
		}
	}
	dif_arena_fini(&a);
	free(text);
	return good;
}

bool dif_cut_number_of_json(const char *rule, const struct dif_package *p, int64_t *number,
                            struct dif_error *err)
{
	const char *hash = strchr(rule, '#');
	char *name = hash ? strndup(rule, (size_t)(hash - rule)) : NULL;
	const struct dif_entry *e = name ? dif_package_find(p, name) : NULL;
	struct dif_error why = {0};
	bool good = false;
	if (hash == NULL) {
		dif_error_set(&why, DIF_PERMANENT, "it has no '#' between entry and pointer");
	} else if (e == NULL) {
		dif_error_set(&why, DIF_PERMANENT, "the package has no entry '%s'",
		              name ? name : rule);
	} else if (e->size > DIF_WHOLE_MAX) {
		dif_error_set(&why, DIF_PERMANENT, "entry '%s' is over 4 MiB", name);
	} else {
		good = read_number(p, e, hash + 1, number, &why);
	}
	free(name);
	return good || dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
	                              "could not order package '%.12s' by 'json:%s': %s", p->sha256,
	                              rule, why.text);
}
