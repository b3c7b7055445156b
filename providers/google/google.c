/* google - faults and error bodies of Google's APIs, and the hosts that a plug-in may speak to. */
#include "google/google.h"

const struct dif_fault google_faults[] = {
	{.code = "invalid_grant", .cls = DIF_AUTH},
	{.code = "invalid_client", .cls = DIF_AUTH},
	{.code = "invalid_rapt", .cls = DIF_AUTH},
	{.code = "unauthorized_client", .cls = DIF_AUTH},
	{.code = "access_denied", .cls = DIF_AUTH},
	{.code = "internal_failure", .cls = DIF_TRANSIENT},
	{.code = "server_error", .cls = DIF_TRANSIENT},
	{.code = "temporarily_unavailable", .cls = DIF_TRANSIENT},
	{.code = "backendError", .cls = DIF_TRANSIENT},
	{.code = "internalError", .cls = DIF_TRANSIENT},
	{.code = "rateLimitExceeded", .cls = DIF_THROTTLED},
	{.code = "userRateLimitExceeded", .cls = DIF_THROTTLED},
	{.code = "quotaExceeded", .cls = DIF_THROTTLED},
	{.code = "RESOURCE_EXHAUSTED", .cls = DIF_THROTTLED},
	{.code = "digestMismatch", .cls = DIF_INTEGRITY},
	{.code = "conditionNotMet", .cls = DIF_CONFLICT},
	{.status = 401, .cls = DIF_AUTH},
	{.status = 403, .cls = DIF_AUTH},
	{.status = 404, .cls = DIF_NOT_FOUND},
	{.status = 408, .cls = DIF_TRANSIENT},
	{.status = 409, .cls = DIF_CONFLICT},
	{.status = 412, .cls = DIF_CONFLICT},
	{.status = 429, .cls = DIF_THROTTLED},
	{.cls = DIF_OK},
};

const char *google_text(const struct dif_node *n, const char *path)
{
	return host->str(host->get(n, path));
}

const char *google_query(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_QUERY, s, strlen(s));
}

const char *google_json(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_JSON, s, strlen(s));
}

/* Two shapes: {"error": {"message", "status", "errors": [{"reason"}]}} of the APIs, {"error",
 * "error_description"} of the token servers. A digest that does not match has the reason
 * `invalid`, as many other things: its message tells. */
void google_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *body = host->parse(op, DIF_AS_JSON, r->body);
	const struct dif_node *error = host->get(body, "error");
	const struct dif_node *first = host->next(host->get(error, "errors"), "", NULL);
	const char *reason = google_text(first, "reason");
	const char *message = google_text(error, "message");
	if (*reason == '\0') {
		reason = google_text(error, "status");
	}
	if (*reason == '\0') {
		reason = host->str(error);
	}
	if (*message == '\0') {
		message = google_text(body, "error_description");
	}
	if (strstr(message, "match calculated") != NULL) {
		reason = "digestMismatch";
	}
	if (*reason != '\0') {
		*code = reason;
	}
	if (*message != '\0') {
		*what = message;
	}
}

void google_call(struct dif_op *op, const char *method, const char *url, const char *body,
                 dif_step *next)
{
	struct dif_field f[3] = {{"authorization", host->fmt(op, "Bearer %s", op->cred->part[0])}};
	struct dif_piece piece = {0};
	struct dif_http h = {.method = method, .url = url, .fields = f, .nfields = 1};
	if (google_of(op)->project != NULL) {
		f[h.nfields++] = (struct dif_field){"x-goog-user-project", google_of(op)->project};
	}
	if (body != NULL) {
		f[h.nfields++] = (struct dif_field){"content-type", "application/json"};
		piece.bytes = (struct dif_bytes){body, strlen(body)};
		h.body = &piece;
		h.npieces = 1;
	}
	host->http(op, &h, next);
}

/* Ids of old may have a domain before a colon, "example.com:prep". */
bool google_is_project(const char *id)
{
	return id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-.:")] == '\0';
}

const char *google_endpoint(struct dif_opening *o, const char *url, const char **authority)
{
	const char *scheme = NULL, *path = NULL;
	if (!o->url(o, url, &scheme, authority, &path)) {
		o->refuse(o, "endpoint '%s' is not an address; write https://HOST", url);
		return NULL;
	}
	size_t n = strlen(url);
	while (n > 0 && url[n - 1] == '/') {
		n--;
	}
	return o->fmt(o, "%.*s", (int)n, url);
}

bool google_open(struct google_self *g, struct dif_opening *o, const char *authority)
{
	const char *const known[] = {authority,
	                             "oauth2.googleapis.com",
	                             "accounts.google.com",
	                             "sts.googleapis.com",
	                             "iamcredentials.googleapis.com",
	                             g->metadata};
	uint32_t n = DIF_LEN(known);
	memcpy(g->hosts, known, sizeof known);
	for (const char *at = g->token_hosts; at != NULL && *at != '\0';) {
		size_t len = strcspn(at, " ");
		if (len > 0 && n + 1 == DIF_LEN(g->hosts)) {
			o->refuse(o, "token_hosts names more than %d hosts",
			          GOOGLE_TOKEN_HOSTS_MAX);
			return false;
		}
		if (len > 0) {
			g->hosts[n++] = o->fmt(o, "%.*s", (int)len, at);
		}
		at += len + strspn(at + len, " ");
	}
	if (g->metadata[strcspn(g->metadata, "/?#@ ")] != '\0') {
		o->refuse(o, "metadata_host '%s' is not HOST or HOST:PORT", g->metadata);
		return false;
	}
	return true;
}
