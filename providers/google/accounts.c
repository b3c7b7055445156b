/* accounts - the two kinds of credentials that take more than a form.
 *
 *   service_account    an assertion, signed with the account's private key (RS256, RFC 7523)
 *   external_account   somebody else's token, from a file or a URL, is exchanged for one of
 *                      Google's (RFC 8693)
 */
#include "google/google.h"

#define TOKEN_URI "https://oauth2.googleapis.com/token"
#define ASSERTION_LIFE_S 3600 /* the most that is accepted */
#define HEADERS_MAX 8         /* that may hold a secret; one or two are usual */

/* --- service_account --- */

/* header.claims, each base64url without padding. */
static const char *unsigned_jwt(struct dif_op *op, const struct dif_node *account, const char *uri)
{
	long long now = host->now(op);
	const char *header = host->fmt(op, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"%s\"}",
	                               google_json(op, google_text(account, "private_key_id")));
	const char *claims =
		host->fmt(op,
	                  "{\"iss\":\"%s\",\"scope\":\"%s\",\"aud\":\"%s\",\"iat\":%lld,"
	                  "\"exp\":%lld}",
	                  google_json(op, google_text(account, "client_email")), google_scope(op),
	                  google_json(op, uri), now, now + ASSERTION_LIFE_S);
	return host->fmt(op, "%s.%s", host->enc(op, DIF_BASE64URL, header, strlen(header)),
	                 host->enc(op, DIF_BASE64URL, claims, strlen(claims)));
}

void google_service_account(struct dif_op *op)
{
	const struct google_login *l = google_login_of(op);
	const char *uri = google_text(l->source, "token_uri");
	uri = *uri != '\0' ? uri : TOKEN_URI;
	const char *jwt = unsigned_jwt(op, l->source, uri);
	const char *key = google_text(l->source, "private_key");
	host->hide(op, key);
	struct dif_bytes mark = host->sign(op, "RS256", key, (struct dif_bytes){jwt, strlen(jwt)});
	if (mark.p == NULL || mark.n == 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "could not sign with the private_key of '%s'; create a new key",
		           l->path);
		return;
	}
	const char *sealed = host->enc(op, DIF_BASE64URL, mark.p, mark.n);
	host->hide(op, sealed);
	const char *form = host->fmt(op,
	                             "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type"
	                             "%%3Ajwt-bearer&assertion=%s.%s",
	                             jwt, sealed);
	google_ask(op, uri, form, NULL);
}

/* --- external_account --- */

static void exchange(struct dif_op *op, const char *subject)
{
	const struct dif_node *n = google_login_of(op)->source;
	const char *id = google_text(n, "client_id"), *basic = NULL;
	if (*id != '\0') {
		const char *secret = google_text(n, "client_secret");
		const char *pair = host->fmt(op, "%s:%s", id, secret);
		basic = host->enc(op, DIF_BASE64, pair, strlen(pair));
		host->hide(op, secret);
		host->hide(op, basic);
	}
	host->hide(op, subject);
	const char *form = host->fmt(
		op,
		"grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Atoken-exchange"
		"&requested_token_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Atoken-type"
		"%%3Aaccess_token&audience=%s&scope=%s&subject_token_type=%s&subject_token=%s",
		google_query(op, google_text(n, "audience")), google_query(op, google_scope(op)),
		google_query(op, google_text(n, "subject_token_type")), google_query(op, subject));
	google_ask(op, google_text(n, "token_url"), form, basic);
}

/* The token in a reply: the text itself, or a member of JSON where `format` says so. */
static const char *subject_of(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *format =
		host->get(google_login_of(op)->source, "credential_source.format");
	if (strcmp(google_text(format, "type"), "json") == 0) {
		const struct dif_node *body = host->parse(op, DIF_AS_JSON, r->body);
		const char *name = google_text(format, "subject_token_field_name");
		return host->str(host->next(body, name, NULL));
	}
	const char *text = r->body.p;
	size_t n = (size_t)r->body.n;
	while (n > 0 && text[n - 1] <= ' ') { /* a line's end is no part of it */
		n--;
	}
	return host->fmt(op, "%.*s", (int)n, text);
}

static void on_subject(struct dif_op *op, const struct dif_reply *r, const char *where)
{
	const char *subject = subject_of(op, r);
	if (*subject == '\0') {
		host->fail(op, DIF_PERMANENT, "", "there is no subject token in '%s'", where);
		return;
	}
	exchange(op, subject);
}

static void on_subject_file(struct dif_op *op, const struct dif_reply *r)
{
	const char *path = google_text(google_login_of(op)->source, "credential_source.file");
	if (r->status == 404) {
		host->fail(op, DIF_PERMANENT, "", "there is no file '%s' with a subject token",
		           path);
		return;
	}
	on_subject(op, r, path);
}

static void on_subject_url(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		on_subject(op, r,
		           google_text(google_login_of(op)->source, "credential_source.url"));
	}
}

void google_external_account(struct dif_op *op)
{
	const struct google_login *l = google_login_of(op);
	const struct dif_node *source = host->get(l->source, "credential_source");
	const char *file = google_text(source, "file"), *url = google_text(source, "url");
	if (*file != '\0') {
		host->read(op, file, on_subject_file);
		return;
	}
	/* environment_id has a url too, of which another protocol is spoken */
	if (*url == '\0' || *google_text(source, "environment_id") != '\0') {
		host->fail(
			op, DIF_PERMANENT, "",
			"could not use credentials '%s': a subject token is taken from a file or "
			"a url, and from nothing else",
			l->path);
		return;
	}
	bool is_plain = strncmp(url, "http://", 7) == 0; /* a neighbour, no proxy knows it */
	struct dif_http h = {.method = "GET",
	                     .url = url,
	                     .flags = DIF_HTTP_LINK_LOCAL | (is_plain ? DIF_HTTP_NO_PROXY : 0),
	                     .reply_max = GOOGLE_TOKEN_REPLY_MAX};
	h.nfields = host->fields_of(op, host->get(source, "headers"), &h.fields);
	for (uint32_t i = 0; i < h.nfields && i < HEADERS_MAX; i++) {
		host->hide(op, h.fields[i].value);
	}
	host->http(op, &h, on_subject_url);
}
