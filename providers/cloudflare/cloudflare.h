/* cloudflare - what the plug-ins of Cloudflare's API (v4) share: the token, the envelope of its
 * replies, its error codes.
 *
 * A plug-in has a struct cloudflare_self in its instance, CLOUDFLARE_OPTIONS among its options,
 * CLOUDFLARE_FAULTS in its table, cloudflare_explain, and cloudflare_open in its open. It defines
 * `host` and cloudflare_of.
 *
 * Source: developers.cloudflare.com/api, /fundamentals/api/reference/limits (1,200 requests in five
 * minutes and per user; more are 429). Codes are what the API answers; few are documented.
 */
#ifndef DIF_PROVIDERS_CLOUDFLARE_H
#define DIF_PROVIDERS_CLOUDFLARE_H

#include <difusor/plugin.h>

struct cloudflare_self {
	const char *endpoint, *api_token; /* options */
	const char *hosts[2];             /* cloudflare_open's */
};

#define CLOUDFLARE_ID_MAX 64 /* of zones, records, pools: 32 hex digits today */

/* Rows of an option table; self is the type of the instance, at its struct cloudflare_self. */
#define CLOUDFLARE_OPTIONS(self, at)                                                  \
	{.name = "api_token",                                                         \
	 .help = "an API token of Cloudflare's; see the example for what it must be " \
	         "allowed",                                                           \
	 .type = DIF_STRING,                                                          \
	 .flags = DIF_SECRET | DIF_NEEDED,                                            \
	 .min = 1,                                                                    \
	 .max = 512,                                                                  \
	 .env = "CLOUDFLARE_API_TOKEN",                                               \
	 .offset = offsetof(self, at.api_token)},                                     \
	{                                                                             \
		.name = "endpoint", .def = "https://api.cloudflare.com",              \
		.help = "where the API is, without /client/v4", .type = DIF_URL,      \
		.offset = offsetof(self, at.endpoint)                                 \
	}

/* Codes that say more than the status. 200 comes with errors, too. */
#define CLOUDFLARE_FAULTS                                                                          \
	{.code = "10000", .cls = DIF_AUTH},             /* authentication error, or not allowed */ \
		{.code = "9109", .cls = DIF_AUTH},      /* not allowed for this zone */            \
		{.code = "6003", .cls = DIF_AUTH},      /* malformed token, status 400 */          \
		{.code = "7000", .cls = DIF_PERMANENT}, /* no such route */                        \
		{.code = "7003", .cls = DIF_PERMANENT}, /* no such zone or account */              \
	{                                                                                          \
		.code = "971", .cls = DIF_THROTTLED                                                \
	}

extern const struct dif_host *host;
const struct cloudflare_self *cloudflare_of(const struct dif_op *op);

/* Checks endpoint and token, fills in hosts. False: refused. */
bool cloudflare_open(struct cloudflare_self *c, struct dif_opening *o);
/* Refuses an id that is none; option is its name. */
bool cloudflare_check_id(const char *id, const char *option, struct dif_opening *o);

/* Asks for path below /client/v4. body.n 0: without one. */
void cloudflare_send(struct dif_op *op, const char *method, const char *path, struct dif_bytes body,
                     dif_step *next);
/* The whole envelope of a reply that says success, with status 2xx. NULL: the op has failed. */
const struct dif_node *cloudflare_good(struct dif_op *op, const struct dif_reply *r);

void cloudflare_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                        const char **what);
const char *cloudflare_json(struct dif_op *op, const char *s); /* the inside of a JSON string */

#endif
