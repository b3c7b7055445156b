/* sigv4 - AWS Signature Version 4: what every AWS plug-in shares. Linked into each of them, hidden.
 *
 * A plug-in fills a struct aws_call with exactly what is to be sent; aws_send adds the date, the
 * payload hash and the authorization, and asks the host for the request. Everything given is
 * signed, so nothing of it can be changed on the way.
 */
#ifndef DIF_PROVIDERS_AWS_SIGV4_H
#define DIF_PROVIDERS_AWS_SIGV4_H

#include <difusor/plugin.h>

/* The table of the agent; dif_plugin_main sets it. */
extern const struct dif_host *host;

#define AWS_FIELDS 40 /* 10 of metadata and about 20 of our own at most */

/* Who signs, and for which service. */
struct aws_signer {
	const char *id, *secret, *token; /* token NULL or "": none */
	const char *region, *service;
};

struct aws_call {
	const char *method;
	const char *scheme, *host; /* host with its port unless that is the scheme's own */
	const char *path;          /* as sent: encoded once, begins with '/' */
	const char *query;         /* encoded and in order of name; NULL: none */
	struct dif_field fields[AWS_FIELDS]; /* names in lower case, any order */
	uint32_t nfields;
	bool overflow; /* aws_field found no room */
	const struct dif_piece *body;
	uint32_t npieces;
	const char *payload; /* hex SHA-256 of the body or UNSIGNED-PAYLOAD; NULL: the hash of the
	                      * bytes of body[0] */
	const struct dif_get *into; /* its sink, offset and tag; NULL: no sink */
	uint64_t reply_max;
};

/* A URL in parts, made by open. */
struct aws_endpoint {
	const char *scheme;
	const char *host; /* with its port unless that is the scheme's own, as it is signed */
	const char *path; /* without a slash at its end */
};

/* Takes the URL of an option apart; url NULL: that of AWS for the service in the region. False: the
 * open has failed. */
bool aws_endpoint(struct dif_opening *o, const char *option, const char *url, const char *service,
                  const char *region, struct aws_endpoint *to);
/* Adds a field; a value that is NULL or "" is left out. */
void aws_field(struct aws_call *c, const char *name, const char *value);
/* A value of a query or a form. */
const char *aws_query(struct dif_op *op, const char *value);
/* Signs with the time of now and sends; sorts the fields. Ends the op where there is no room for a
 * field. */
void aws_send(struct dif_op *op, const struct aws_signer *signer, struct aws_call *c,
              dif_step *next);

#endif
