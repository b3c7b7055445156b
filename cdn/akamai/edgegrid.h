/* edgegrid - the signature that Akamai's APIs want (EG1-HMAC-SHA256).
 *
 *   auth  = EG1-HMAC-SHA256 client_token=..;access_token=..;timestamp=..;nonce=..;
 *   key   = base64(HMAC(client_secret, timestamp))       used as text, not decoded
 *   data  = METHOD \t https \t host \t path?query \t headers \t hash of the body \t auth
 *   value = auth signature=base64(HMAC(key, data))
 *
 * No headers are signed here. The body counts for POST alone, and only so much of it as the client
 * may have (128 KiB); a purge has 50 kB at most.
 *
 * Source: edgegrid-python and its test data; the tests have them to the last byte.
 */
#ifndef DIF_AKAMAI_EDGEGRID_H
#define DIF_AKAMAI_EDGEGRID_H

#include <difusor/plugin.h>

extern const struct dif_host *host;

struct edgegrid {
	const char *client_token, *client_secret, *access_token;
	const char *authority; /* host, with its port where it is not 443 */
	const char *timestamp; /* DIF_DATE_AKAMAI; the server takes 30 s to either side */
	const char *nonce;     /* never twice */
};

/* The key for that timestamp. */
const char *edgegrid_key(struct dif_op *op, const struct edgegrid *e);
/* The value of the field Authorization. */
const char *edgegrid_sign(struct dif_op *op, const struct edgegrid *e, const char *method,
                          const char *path, struct dif_bytes body);

#endif
