/* google - a service account's key becomes an access token.
 *
 * The file is read, an assertion signed with its private key (RS256, RFC 7523), and the token
 * server that the file names hands out a token for an hour. The host speaks only to the servers
 * that the instance declared, so that a changed file cannot send the assertion elsewhere.
 */
#include "google/google.h"

#define TOKEN_URI "https://oauth2.googleapis.com/token"
#define ASSERTION_LIFE_S 3600 /* the most that is accepted */
#define TOKEN_LIFE_MAX_S 86400
#define TOKEN_REPLY_MAX 65536

const struct dif_fault google_faults[] = {
	{.code = "invalid_grant", .cls = DIF_AUTH},
	{.code = "invalid_client", .cls = DIF_AUTH},
	{.code = "unauthorized_client", .cls = DIF_AUTH},
	{.code = "internal_failure", .cls = DIF_TRANSIENT},
	{.code = "server_error", .cls = DIF_TRANSIENT},
	{.code = "temporarily_unavailable", .cls = DIF_TRANSIENT},
	{.code = "backendError", .cls = DIF_TRANSIENT},
	{.code = "internalError", .cls = DIF_TRANSIENT},
	{.code = "rateLimitExceeded", .cls = DIF_THROTTLED},
	{.code = "userRateLimitExceeded", .cls = DIF_THROTTLED},
	{.code = "quotaExceeded", .cls = DIF_THROTTLED},
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

/* Two shapes: {"error": {"message", "errors": [{"reason"}]}} of the APIs, {"error",
 * "error_description"} of the token server. A digest that does not match has the reason `invalid`,
 * as many other things: its message tells. */
void google_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *body = host->parse(op, DIF_AS_JSON, r->body);
	const struct dif_node *error = host->get(body, "error");
	const struct dif_node *first = host->next(host->get(error, "errors"), "", NULL);
	const char *reason = host->str(host->get(first, "reason"));
	const char *message = host->str(host->get(error, "message"));
	if (*reason == '\0') {
		reason = host->str(host->get(error, "status"));
	}
	if (*reason == '\0') {
		reason = host->str(error);
	}
	if (*message == '\0') {
		message = host->str(host->get(body, "error_description"));
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

static void on_token(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *body = host->tree(op, r, DIF_AS_JSON, NULL);
	if (body == NULL) {
		return;
	}
	const char *token = host->str(host->get(body, "access_token"));
	if (*token == '\0') {
		host->refuse(op, r, "", "the answer has no access_token");
		return;
	}
	uint64_t life = host->num(op, host->get(body, "expires_in"), TOKEN_LIFE_MAX_S);
	host->done(op, &(struct dif_result){.cred = {.part = {token},
	                                             .expires = host->now(op) + (int64_t)life}});
}

/* header.claims, each base64url without padding. */
static const char *unsigned_jwt(struct dif_op *op, const struct dif_node *account, const char *uri)
{
	const char *id = host->str(host->get(account, "private_key_id"));
	const char *email = host->str(host->get(account, "client_email"));
	long long now = host->now(op);
	const char *header = host->fmt(op, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
	                               host->enc(op, DIF_JSON, id, strlen(id)));
	const char *claims =
		host->fmt(op,
	                  "{\"iss\":\"%s\",\"scope\":\"%s\",\"aud\":\"%s\",\"iat\":%lld,"
	                  "\"exp\":%lld}",
	                  host->enc(op, DIF_JSON, email, strlen(email)), google_of(op)->scope,
	                  host->enc(op, DIF_JSON, uri, strlen(uri)), now, now + ASSERTION_LIFE_S);
	return host->fmt(op, "%s.%s", host->enc(op, DIF_BASE64URL, header, strlen(header)),
	                 host->enc(op, DIF_BASE64URL, claims, strlen(claims)));
}

static void ask_token(struct dif_op *op, const struct dif_node *account)
{
	const char *uri = host->str(host->get(account, "token_uri"));
	const char *key = host->str(host->get(account, "private_key"));
	uri = *uri != '\0' ? uri : TOKEN_URI;
	const char *jwt = unsigned_jwt(op, account, uri);
	struct dif_bytes mark = host->sign(op, "RS256", key, (struct dif_bytes){jwt, strlen(jwt)});
	if (mark.p == NULL || mark.n == 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "could not sign with the private_key of '%s'; create a new key",
		           google_of(op)->credentials);
		return;
	}
	const char *form = host->fmt(op,
	                             "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type"
	                             "%%3Ajwt-bearer&assertion=%s.%s",
	                             jwt, host->enc(op, DIF_BASE64URL, mark.p, mark.n));
	const struct dif_field type = {"content-type", "application/x-www-form-urlencoded"};
	host->http(op,
	           &(struct dif_http){.method = "POST",
	                              .url = uri,
	                              .fields = &type,
	                              .nfields = 1,
	                              .body = &(struct dif_piece){.bytes = {form, strlen(form)}},
	                              .npieces = 1,
	                              .reply_max = TOKEN_REPLY_MAX},
	           on_token);
}

static void on_file(struct dif_op *op, const struct dif_reply *r)
{
	const char *path = google_of(op)->credentials;
	if (r->status == 404) {
		host->fail(op, DIF_PERMANENT, "", "there is no credentials file '%s'", path);
		return;
	}
	const struct dif_node *account = host->tree(op, r, DIF_AS_JSON, NULL);
	if (account == NULL) {
		return;
	}
	const char *type = host->str(host->get(account, "type"));
	if (strcmp(type, "service_account") != 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "could not use credentials '%s': type is '%s', not service_account",
		           path, type);
		return;
	}
	ask_token(op, account);
}

void google_login(struct dif_op *op)
{
	host->read(op, google_of(op)->credentials, on_file);
}
