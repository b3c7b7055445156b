#include "cloudflare/cloudflare.h"

#define API "/client/v4"

bool cloudflare_check_id(const char *id, const char *option, struct dif_opening *o)
{
	size_t n = strspn(id, "0123456789abcdefABCDEF-");
	if (n > 0 && n <= CLOUDFLARE_ID_MAX && id[n] == '\0') {
		return true;
	}
	o->refuse(o, "%s '%.64s' is no id; copy it from the dashboard, it is 32 hex digits", option,
	          id);
	return false;
}

bool cloudflare_open(struct cloudflare_self *c, struct dif_opening *o)
{
	const char *scheme, *authority, *path;
	if (!o->url(o, c->endpoint, &scheme, &authority, &path)) {
		o->refuse(o, "endpoint '%s' is not an address; write https://HOST", c->endpoint);
		return false;
	}
	for (const char *p = c->api_token; *p != '\0'; p++) {
		if (*p <= ' ' || *p > '~') {
			o->refuse(o, "api_token holds a blank or what is no letter; copy it anew");
			return false;
		}
	}
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	c->endpoint = o->fmt(o, "%s://%s%.*s", scheme, authority, (int)n, path);
	c->hosts[0] = authority;
	return true;
}

const char *cloudflare_json(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_JSON, s, strlen(s));
}

void cloudflare_send(struct dif_op *op, const char *method, const char *path, struct dif_bytes body,
                     dif_step *next)
{
	const struct cloudflare_self *c = cloudflare_of(op);
	const struct dif_field fields[] = {
		{"authorization", host->fmt(op, "Bearer %s", c->api_token)},
		{"content-type", "application/json"},
	};
	host->http(op,
	           &(struct dif_http){.method = method,
	                              .url = host->fmt(op, "%s" API "%s", c->endpoint, path),
	                              .fields = fields,
	                              .nfields = body.n > 0 ? 2 : 1,
	                              .body = &(struct dif_piece){.bytes = body},
	                              .npieces = body.n > 0 ? 1 : 0},
	           next);
}

/* {"success":false,"errors":[{"code":6003,"message":"Invalid request headers",
 *   "error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}]} */
void cloudflare_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                        const char **what)
{
	const struct dif_node *j = host->parse(op, DIF_AS_JSON, r->body);
	const struct dif_node *first = host->next(host->get(j, "errors"), "", NULL);
	const struct dif_node *deeper = host->next(host->get(first, "error_chain"), "", NULL);
	const char *message = host->str(host->get(first, "message"));
	const char *more = host->str(host->get(deeper, "message"));
	if (first != NULL) {
		*code = host->str(host->get(first, "code"));
		*what = *more == '\0' ? message : host->fmt(op, "%s: %s", message, more);
	}
}

const struct dif_node *cloudflare_good(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL || strcmp(host->str(host->get(j, "success")), "true") == 0) {
		return j;
	}
	bool is_told = host->next(host->get(j, "errors"), "", NULL) != NULL;
	host->refuse(op, r, "", is_told ? "" : "the reply does not say that it succeeded");
	return NULL;
}
