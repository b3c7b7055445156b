/* tree - what a reply says, whatever it was written in. One type for XML (expat, no entities, no
 * DTD), JSON (jansson) and INI.
 *
 * Bounded: depth 32, 200,000 nodes, text as long as the arena allows. Attributes of XML and
 * namespaces are dropped; text of an element is the concatenation of its own character data,
 * trimmed of nothing.
 */
#ifndef DIF_HOST_TREE_H
#define DIF_HOST_TREE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct dif_node {
	const char *name; /* element, member or key; "" for array items */
	const char *text; /* "" if none; JSON numbers as written, true, false, null */
	struct dif_node *child, *next;
};

/* The result has one nameless root whose children are the document's root element, members, or
 * sections. */
const struct dif_node *dif_tree_parse(struct dif_arena *a, enum dif_format format,
                                      struct dif_bytes in, struct dif_error *err);
const struct dif_node *dif_tree_get(const struct dif_node *n, const char *path);
const struct dif_node *dif_tree_next(const struct dif_node *parent, const char *name,
                                     const struct dif_node *prev);
const char *dif_tree_str(const struct dif_node *n);

/* xml.c and json.c: the doors to expat and jansson. */
const struct dif_node *dif_xml_parse(struct dif_arena *a, struct dif_bytes in,
                                     struct dif_error *err);
const struct dif_node *dif_json_parse(struct dif_arena *a, struct dif_bytes in,
                                      struct dif_error *err);

/* Writing JSON, for --json and the marker: calls in document order, commas are put by the writer.
 * key NULL inside arrays. */
struct dif_json {
	struct dif_buf *out; /* the caller's */
	uint32_t depth;
	uint64_t some; /* bit per depth: a member was written */
};
void dif_json_begin(struct dif_json *j, struct dif_buf *out);
void dif_json_open(struct dif_json *j, const char *key, char bracket);     /* '{' or '[' */
void dif_json_close(struct dif_json *j, char bracket);                     /* '}' or ']' */
void dif_json_str(struct dif_json *j, const char *key, const char *value); /* NULL: null */
void dif_json_int(struct dif_json *j, const char *key, int64_t value);
void dif_json_num(struct dif_json *j, const char *key, double value);
void dif_json_bool(struct dif_json *j, const char *key, bool value);

#endif
