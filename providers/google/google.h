/* google - what the plug-ins of Google's APIs share: the access token, the faults, the error
 * bodies.
 *
 * Each plug-in defines `host` and google_of. The credential that google_login returns has the
 * access token as part 0.
 */
#ifndef DIF_PROVIDERS_GOOGLE_H
#define DIF_PROVIDERS_GOOGLE_H

#include <difusor/plugin.h>

struct google_self {
	const char *credentials; /* path of a service account's JSON file */
	const char *scope;
};

extern const struct dif_host *host;
const struct google_self *google_of(const struct dif_op *op);

/* Hosts that a service account's file may name as its token server; the instance allows them
 * beside its own. */
#define GOOGLE_TOKEN_HOSTS "oauth2.googleapis.com", "accounts.google.com"

/* A token counts as stale this long before it ends, as in Google's own libraries. */
#define GOOGLE_RENEW_BEFORE_S 225
/* A signed assertion is refused when the clock is off by minutes. */
#define GOOGLE_CLOCK_WINDOW_S 60

extern const struct dif_fault google_faults[];
void google_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what);
void google_login(struct dif_op *op);

#endif
