#include "edgegrid.h"

static const char *mac(struct dif_op *op, const char *key, const char *data)
{
	struct dif_bytes m = host->hmac(op, DIF_SHA256, (struct dif_bytes){key, strlen(key)},
	                                (struct dif_bytes){data, strlen(data)});
	return host->enc(op, DIF_BASE64, m.p, m.n);
}

const char *edgegrid_key(struct dif_op *op, const struct edgegrid *e)
{
	return mac(op, e->client_secret, e->timestamp);
}

const char *edgegrid_sign(struct dif_op *op, const struct edgegrid *e, const char *method,
                          const char *path, struct dif_bytes body)
{
	const char *hash = "";
	if (body.n > 0 && strcmp(method, "POST") == 0) {
		struct dif_bytes h = host->hash(op, DIF_SHA256, body);
		hash = host->enc(op, DIF_BASE64, h.p, h.n);
	}
	const char *auth = host->fmt(
		op, "EG1-HMAC-SHA256 client_token=%s;access_token=%s;timestamp=%s;nonce=%s;",
		e->client_token, e->access_token, e->timestamp, e->nonce);
	const char *data = host->fmt(op, "%s\thttps\t%s\t%s\t\t%s\t%s", method, e->authority, path,
	                             hash, auth);
	return host->fmt(op, "%ssignature=%s", auth, mac(op, edgegrid_key(op, e), data));
}
