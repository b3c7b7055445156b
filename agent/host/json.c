/* json - the only door to jansson, for reading.
 *
 * Numbers must come out as they were written: an object's generation has 16 digits and more, and a
 * double would change it. jansson knows no such numbers, so a first pass puts each one in quotes
 * (having checked that it is one), and holds the bound on depth besides. jansson then judges the
 * whole document.
 */
#include <jansson.h>

#include "host/tree_private.h"

/* --- the first pass --- */

struct quoting {
	const char *p, *end;
	struct dif_buf out;
	uint32_t depth;
	const char *why;
};

static bool is_digit(const char *p, const char *end)
{
	return p < end && *p >= '0' && *p <= '9';
}

static const char *digits(const char *p, const char *end)
{
	while (is_digit(p, end)) {
		p++;
	}
	return p;
}

/* The end of the number at p, NULL: it is none (RFC 8259, section 6). */
static const char *number(const char *p, const char *end)
{
	if (p < end && *p == '-') {
		p++;
	}
	if (!is_digit(p, end)) {
		return NULL;
	}
	p = *p == '0' ? p + 1 : digits(p, end);
	if (p < end && *p == '.') {
		if (!is_digit(p + 1, end)) {
			return NULL;
		}
		p = digits(p + 1, end);
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		p++;
		if (p < end && (*p == '+' || *p == '-')) {
			p++;
		}
		if (!is_digit(p, end)) {
			return NULL;
		}
		p = digits(p, end);
	}
	return p;
}

static void quote_number(struct quoting *q)
{
	const char *end = number(q->p, q->end);
	if (end == NULL) {
		q->why = "a number is malformed";
		return;
	}
	const char *behind = end;
	while (behind < q->end && strchr(" \t\r\n", *behind) != NULL && *behind != '\0') {
		behind++;
	}
	/* In quotes it would pass for a member's name, or glued to what follows. */
	if (behind < q->end && strchr(",]}", *behind) == NULL) {
		q->why = "a number is malformed";
		return;
	}
	dif_buf_add(&q->out, "\"", 1);
	dif_buf_add(&q->out, q->p, (size_t)(end - q->p));
	dif_buf_add(&q->out, "\"", 1);
	q->p = end;
}

static void copy_string(struct quoting *q)
{
	const char *at = q->p + 1;
	while (at < q->end && *at != '"') {
		at += *at == '\\' ? 2 : 1;
	}
	if (at >= q->end) {
		q->why = "a string has no end";
		return;
	}
	dif_buf_add(&q->out, q->p, (size_t)(at + 1 - q->p));
	q->p = at + 1;
}

static void copy_other(struct quoting *q)
{
	const char *at = q->p;
	while (at < q->end && *at != '"' && *at != '-' && !is_digit(at, q->end)) {
		if (*at == '[' || *at == '{') {
			q->depth++;
		} else if ((*at == ']' || *at == '}') && q->depth > 0) {
			q->depth--;
		}
		if (q->depth > DIF_TREE_DEPTH) {
			q->why = "it is nested too deeply";
			return;
		}
		at++;
	}
	dif_buf_add(&q->out, q->p, (size_t)(at - q->p));
	q->p = at;
}

static const char *quote_numbers(struct quoting *q)
{
	while (q->p < q->end && q->why == NULL) {
		if (*q->p == '"') {
			copy_string(q);
		} else if (*q->p == '-' || is_digit(q->p, q->end)) {
			quote_number(q);
		} else {
			copy_other(q);
		}
	}
	return q->why != NULL ? q->why : q->out.failed ? "out of memory" : NULL;
}

/* --- the tree --- */

static void fill(struct dif_tree_build *b, struct dif_node *to, const json_t *from);

static void add(struct dif_tree_build *b, struct dif_node *parent, struct dif_node **last,
                const char *name, const json_t *value)
{
	struct dif_node *n = dif_tree_add(b, parent, last, name, strlen(name));
	if (n != NULL) {
		fill(b, n, value);
	}
}

/* Recurses at most DIF_TREE_DEPTH deep: the first pass has seen to that. */
static void fill(struct dif_tree_build *b, struct dif_node *to, const json_t *from)
{
	struct dif_node *last = NULL;
	switch (json_typeof(from)) {
	case JSON_OBJECT:
		for (void *at = json_object_iter((json_t *)(uintptr_t)from);
		     at != NULL && b->why == NULL;
		     at = json_object_iter_next((json_t *)(uintptr_t)from, at)) {
			add(b, to, &last, json_object_iter_key(at), json_object_iter_value(at));
		}
		break;
	case JSON_ARRAY:
		for (size_t i = 0; i < json_array_size(from) && b->why == NULL; i++) {
			add(b, to, &last, "", json_array_get(from, i));
		}
		break;
	case JSON_STRING:
		dif_tree_text(b, to, json_string_value(from), json_string_length(from));
		break;
	case JSON_TRUE:
		to->text = "true";
		break;
	case JSON_FALSE:
		to->text = "false";
		break;
	case JSON_NULL:
		to->text = "null";
		break;
	case JSON_INTEGER:
	case JSON_REAL: /* all numbers are strings by now */
		b->why = "a number is malformed";
		break;
	}
}

const struct dif_node *dif_json_parse(struct dif_arena *a, struct dif_bytes in,
                                      struct dif_error *err)
{
	struct quoting q = {.p = in.p, .end = (const char *)in.p + in.n};
	struct dif_tree_build b = {.a = a};
	struct dif_node *none = NULL, *root = NULL;
	json_error_t said = {.text = ""};
	json_t *doc = NULL;
	dif_buf_init(&q.out, in.n <= SIZE_MAX / 4 ? in.n * 3 + 1 : 0);
	b.why = quote_numbers(&q);
	if (b.why == NULL) {
		doc = json_loadb(dif_buf_str(&q.out), q.out.n, JSON_REJECT_DUPLICATES, &said);
		b.why = doc == NULL ? said.text : NULL;
	}
	if (doc != NULL) {
		root = dif_tree_add(&b, NULL, &none, "", 0);
		if (root != NULL) {
			fill(&b, root, doc);
		}
	}
	if (b.why != NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read JSON: %s", b.why);
		root = NULL;
	}
	json_decref(doc);
	dif_buf_wipe(&q.out); /* an answer to a login is a secret */
	return root;
}
