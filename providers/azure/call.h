/* call - requests to Azure Storage. Linked into the plug-ins that use it, hidden.
 *
 * A plug-in fills a struct azure_call with exactly what is to be sent; azure_send adds date,
 * version and who asks, and asks the host for the request.
 */
#ifndef DIF_PROVIDERS_AZURE_CALL_H
#define DIF_PROVIDERS_AZURE_CALL_H

#include "azure/account.h"

#define AZURE_VERSION "2021-12-02" /* of the REST API: what the replies look like depends on it */
#define AZURE_FIELDS 40            /* metadata and about 15 of our own at most */
#define AZURE_QUERY 8

struct azure_call {
	const char *method;
	const char *path;                      /* as sent: encoded, begins with '/' */
	struct dif_field query[AZURE_QUERY];   /* in order of name, values not encoded */
	struct dif_field fields[AZURE_FIELDS]; /* names in lower case, any order */
	uint32_t nquery, nfields;
	bool overflow;               /* azure_field or azure_ask found no room */
	const struct dif_blob *blob; /* the body; NULL: text */
	struct dif_bytes text;       /* n 0: none */
	const struct dif_get *into;  /* its sink, offset and tag; NULL: no sink */
	uint64_t reply_max;
};

/* Adds a field, or a parameter of the query; a value that is NULL or "" is left out. */
void azure_field(struct azure_call *c, const char *name, const char *value);
void azure_ask(struct azure_call *c, const char *name, const char *value);
/* Authorizes with the time of now and sends; sorts the fields. Ends the op where there was no room.
 */
void azure_send(struct dif_op *op, struct azure_call *c, dif_step *next);
/* Authorizes it as a part of a batch, without version and body, and adds it as it stands there. */
void azure_inner(struct dif_op *op, struct azure_call *c, struct dif_text *t);

/* For a plug-in's explain: the error bodies of storage and of token services, with the remedy where
 * the service's own sentence has none. */
void azure_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                   const char **what);

#endif
