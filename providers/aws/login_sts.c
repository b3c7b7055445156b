/* login_sts - roles: AssumeRole with a key that was found, AssumeRoleWithWebIdentity with a token
 * that somebody else has signed. */
#include "aws/login_private.h"

#define FORM "application/x-www-form-urlencoded"
#define VERSION "Version=2011-06-15"
#define TIMEOUT_MS 20000 /* of a login of 60 s that may take two roles */

static void on_assumed(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_XML, "AssumeRoleResponse");
	if (t != NULL) {
		aws_take(op, r, host->get(t, "AssumeRoleResult.Credentials"), "SessionToken");
	}
}

void aws_assume(struct dif_op *op, const struct aws_key *with, const struct aws_role *role)
{
	const struct aws_login *l = aws_login_of(op);
	struct aws_signer who = {with->id, with->secret, with->token, l->region, "sts"};
	struct dif_text *t = host->text(op);
	host->add(t, "Action=AssumeRole&" VERSION "&RoleArn=%s&RoleSessionName=%s",
	          aws_query(op, role->arn), aws_query(op, role->session));
	if (role->external_id != NULL) {
		host->add(t, "&ExternalId=%s", aws_query(op, role->external_id));
	}
	struct dif_piece body = {.bytes = host->end(t)};
	struct aws_call c = {.method = "POST",
	                     .scheme = l->sts_at.scheme,
	                     .host = l->sts_at.host,
	                     .path = host->fmt(op, "%s/", l->sts_at.path),
	                     .body = &body,
	                     .npieces = 1,
	                     .reply_max = AWS_LOGIN_REPLY_MAX};
	aws_field(&c, "content-type", FORM);
	aws_send(op, &who, &c, on_assumed);
}

/* --- web identity --- */

static void on_web_assumed(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t =
		host->tree(op, r, DIF_AS_XML, "AssumeRoleWithWebIdentityResponse");
	if (t != NULL) {
		aws_take(op, r, host->get(t, "AssumeRoleWithWebIdentityResult.Credentials"),
		         "SessionToken");
	}
}

/* Not signed: the token is the proof. */
static void on_web_token(struct dif_op *op, const struct dif_reply *r)
{
	const struct aws_login *l = aws_login_of(op);
	const struct aws_login_work *w = op->scratch;
	const char *token = aws_file_text(op, r, w->web_path);
	if (token == NULL) {
		return;
	}
	const char *form = host->fmt(op,
	                             "Action=AssumeRoleWithWebIdentity&" VERSION
	                             "&RoleArn=%s&RoleSessionName=%s&WebIdentityToken=%s",
	                             aws_query(op, w->web.arn), aws_query(op, w->web.session),
	                             aws_query(op, token));
	const struct dif_field type = {"content-type", FORM};
	host->http(op,
	           &(struct dif_http){
			   .method = "POST",
			   .url = host->fmt(op, "%s://%s%s/", l->sts_at.scheme, l->sts_at.host,
	                                    l->sts_at.path),
			   .fields = &type,
			   .nfields = 1,
			   .body = &(struct dif_piece){.bytes = {form, strlen(form)}},
			   .npieces = 1,
			   .timeout_ms = TIMEOUT_MS,
			   .reply_max = AWS_LOGIN_REPLY_MAX,
		   },
	           on_web_assumed);
}

void aws_web_identity(struct dif_op *op, const struct aws_role *role, const char *path)
{
	struct aws_login_work *w = op->scratch;
	w->web = *role;
	if (w->web.session == NULL) {
		w->web.session = aws_login_of(op)->session;
	}
	w->web_path = path;
	host->read(op, path, on_web_token);
}
