/* xml - the only door to expat.
 *
 * A DOCTYPE stops the parser at once: with no DTD there are no entities but XML's own five, so no
 * document is larger than it looks and none points outside. Names lose their namespace prefix,
 * attributes are not looked at.
 */
#include <expat.h>
#include <stdlib.h>

#include "host/tree_private.h"

struct reading {
	struct dif_tree_build b;
	XML_Parser parser;
	uint32_t depth; /* open elements; level 0 is the nameless root */
	struct level {
		struct dif_node *node, *last;
		struct dif_buf text; /* kept for the next element of this depth */
	} levels[DIF_TREE_DEPTH + 1];
};

static void stop(struct reading *r, const char *why)
{
	if (r->b.why == NULL) {
		r->b.why = why;
	}
	XML_StopParser(r->parser, XML_FALSE);
}

static void on_open(void *data, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = data;
	(void)attributes;
	if (r->b.why != NULL) {
		return;
	}
	if (r->depth == DIF_TREE_DEPTH) {
		stop(r, "it is nested too deeply");
		return;
	}
	const char *colon = strrchr(name, ':');
	const char *local = colon != NULL ? colon + 1 : name;
	struct level *up = &r->levels[r->depth], *here = up + 1;
	struct dif_node *n = dif_tree_add(&r->b, up->node, &up->last, local, strlen(local));
	if (n == NULL) {
		stop(r, r->b.why);
		return;
	}
	here->node = n;
	here->last = NULL;
	here->text.n = 0;
	r->depth++;
}

static void on_text(void *data, const XML_Char *p, int n)
{
	struct reading *r = data;
	if (r->b.why == NULL && !dif_buf_add(&r->levels[r->depth].text, p, (size_t)n)) {
		stop(r, "out of memory");
	}
}

static void on_close(void *data, const XML_Char *name)
{
	struct reading *r = data;
	(void)name;
	if (r->b.why != NULL) {
		return;
	}
	struct level *here = &r->levels[r->depth--];
	if (!dif_tree_text(&r->b, here->node, here->text.p, here->text.n)) {
		stop(r, r->b.why);
	}
}

static void on_doctype(void *data, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
	(void)name;
	(void)system;
	(void)public;
	(void)internal;
	stop(data, "it has a DOCTYPE, which is not accepted");
}

static void say(const struct reading *r, struct dif_error *err)
{
	if (r->b.why != NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read XML: %s", r->b.why);
		return;
	}
	enum XML_Error code = XML_GetErrorCode(r->parser);
	dif_error_set(err, DIF_TRANSIENT, "could not read XML: %s in line %lu",
	              XML_ErrorString(code), (unsigned long)XML_GetCurrentLineNumber(r->parser));
}

const struct dif_node *dif_xml_parse(struct dif_arena *a, struct dif_bytes in,
                                     struct dif_error *err)
{
	struct dif_node *none = NULL, *root = NULL;
	struct reading *r = in.n <= INT32_MAX ? calloc(1, sizeof *r) : NULL;
	if (r == NULL) {
		goto no_memory;
	}
	r->parser = XML_ParserCreate(NULL);
	r->b.a = a;
	root = dif_tree_add(&r->b, NULL, &none, "", 0);
	if (r->parser == NULL || root == NULL) {
		root = NULL;
		goto no_memory;
	}
	r->levels[0].node = root;
	for (size_t i = 0; i <= DIF_TREE_DEPTH; i++) {
		dif_buf_init(&r->levels[i].text, a->max);
	}
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_open, on_close);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (XML_Parse(r->parser, in.p, (int)in.n, 1) != XML_STATUS_OK) {
		say(r, err);
		root = NULL;
	}
	for (size_t i = 0; i <= DIF_TREE_DEPTH; i++) {
		dif_buf_wipe(&r->levels[i].text); /* an answer to a login is a secret */
	}
	XML_ParserFree(r->parser);
	free(r);
	return root;

no_memory:
	if (r != NULL && r->parser != NULL) {
		XML_ParserFree(r->parser);
	}
	free(r);
	dif_error_set(err, DIF_TRANSIENT, "could not read XML: out of memory");
	return NULL;
}
