#include "host/tree.h"

#include "host/ini.h"
#include "host/tree_private.h"

#define WHY_MEMORY "out of memory"

struct dif_node *dif_tree_add(struct dif_tree_build *b, struct dif_node *parent,
                              struct dif_node **last, const char *name, size_t name_n)
{
	if (b->nodes >= DIF_TREE_NODES) {
		b->why = "it has too many parts";
		return NULL;
	}
	struct dif_node *n = dif_arena_alloc(b->a, sizeof *n);
	const char *copy = name_n > 0 ? dif_arena_copy(b->a, name, name_n) : "";
	if (n == NULL || copy == NULL) {
		b->why = WHY_MEMORY;
		return NULL;
	}
	b->nodes++;
	n->name = copy;
	n->text = "";
	if (*last != NULL) {
		(*last)->next = n;
	} else if (parent != NULL) {
		parent->child = n;
	}
	*last = n;
	return n;
}

bool dif_tree_text(struct dif_tree_build *b, struct dif_node *n, const char *p, size_t size)
{
	if (size == 0) {
		return true;
	}
	const char *copy = dif_arena_copy(b->a, p, size);
	if (copy == NULL) {
		b->why = WHY_MEMORY;
		return false;
	}
	n->text = copy;
	return true;
}

/* Sections are children, their keys children of theirs. Keys before the first section have the
 * nameless one. */
static const struct dif_node *ini_parse(struct dif_arena *a, struct dif_bytes in,
                                        struct dif_error *err)
{
	struct dif_ini_entry *list = NULL;
	struct dif_tree_build b = {.a = a};
	struct dif_node *none = NULL, *last_section = NULL, *last_key = NULL;
	if (!dif_ini_parse(a, "reply", in, &list, err)) {
		return NULL;
	}
	struct dif_node *root = dif_tree_add(&b, NULL, &none, "", 0), *section = NULL;
	for (const struct dif_ini_entry *e = list; e != NULL && b.why == NULL; e = e->next) {
		if (section == NULL || strcmp(section->name, e->section) != 0) {
			section = dif_tree_add(&b, root, &last_section, e->section,
			                       strlen(e->section));
			last_key = NULL;
		}
		if (section == NULL || e->key == NULL) {
			continue;
		}
		struct dif_node *key = dif_tree_add(&b, section, &last_key, e->key, strlen(e->key));
		if (key != NULL && e->value != NULL) {
			dif_tree_text(&b, key, e->value, strlen(e->value));
		}
	}
	if (b.why != NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read INI: %s", b.why);
		return NULL;
	}
	return root;
}

const struct dif_node *dif_tree_parse(struct dif_arena *a, enum dif_format format,
                                      struct dif_bytes in, struct dif_error *err)
{
	switch (format) {
	case DIF_AS_XML:
		return dif_xml_parse(a, in, err);
	case DIF_AS_JSON:
		return dif_json_parse(a, in, err);
	case DIF_AS_INI:
		return ini_parse(a, in, err);
	}
	dif_error_set(err, DIF_PERMANENT, "could not read a reply: unknown format %d", (int)format);
	return NULL;
}

/* --- reading --- */

static const struct dif_node *named(const struct dif_node *n, const char *name, size_t size)
{
	while (n != NULL && (strncmp(n->name, name, size) != 0 || n->name[size] != '\0')) {
		n = n->next;
	}
	return n;
}

const struct dif_node *dif_tree_get(const struct dif_node *n, const char *path)
{
	if (path == NULL) {
		return NULL;
	}
	for (const char *at = path; n != NULL; at++) {
		size_t size = strcspn(at, ".");
		n = named(n->child, at, size);
		at += size;
		if (*at == '\0') {
			break;
		}
	}
	return n;
}

const struct dif_node *dif_tree_next(const struct dif_node *parent, const char *name,
                                     const struct dif_node *prev)
{
	if (parent == NULL || name == NULL) {
		return NULL;
	}
	return named(prev != NULL ? prev->next : parent->child, name, strlen(name));
}

const char *dif_tree_str(const struct dif_node *n)
{
	return n != NULL ? n->text : "";
}
