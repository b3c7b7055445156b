/* login - the chain itself; its parts are in login_*.c. */
#include "aws/login_private.h"

static const char *or_default(const char *s, const char *instead)
{
	return s != NULL && *s != '\0' ? s : instead;
}

/* --- open --- */

static bool open_pairs(const struct aws_login *l, struct dif_opening *o)
{
	if ((l->id == NULL) != (l->secret == NULL)) {
		o->refuse(o, "access_key_id and secret_access_key go together: set both or none, "
		             "here or as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
		return false;
	}
	if (l->token != NULL && l->id == NULL) {
		o->refuse(o, "session_token (AWS_SESSION_TOKEN) is part of a temporary key: set "
		             "access_key_id and secret_access_key too");
		return false;
	}
	if ((l->web_role == NULL) != (l->web_token_file == NULL)) {
		o->refuse(o,
		          "web_identity_role_arn and web_identity_token_file go together: set both "
		          "or none, here or as AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE");
		return false;
	}
	if (l->external_id != NULL && l->role == NULL) {
		o->refuse(o, "external_id has no effect without role_arn");
		return false;
	}
	if (l->container_path != NULL && *l->container_path != '/') {
		o->refuse(o, "container_credentials_path '%s' does not begin with '/'",
		          l->container_path);
		return false;
	}
	return true;
}

bool aws_login_open(struct aws_login *l, struct dif_opening *o, const char *region,
                    const char **hosts)
{
	struct aws_endpoint e;
	if (!open_pairs(l, o)) {
		return false;
	}
	l->region = region;
	l->session = or_default(l->session, "difusor");
	if (l->container_url != NULL) {
		if (!aws_endpoint(o, "container_credentials_url", l->container_url, "", "", &e)) {
			return false;
		}
		*hosts++ = e.host;
	}
	l->metadata = or_default(l->metadata, "http://169.254.169.254");
	if (!aws_endpoint(o, "ec2_metadata_endpoint", l->metadata, "", "", &e) ||
	    !aws_endpoint(o, "sts_endpoint", l->sts, "sts", region, &l->sts_at)) {
		return false;
	}
	l->metadata = o->fmt(o, "%s://%s%s", e.scheme, e.host, e.path);
	*hosts++ = e.host;
	*hosts++ = l->sts_at.host;
	*hosts = NULL;
	return true;
}

/* --- the chain --- */

bool aws_push(struct dif_op *op, struct aws_role role)
{
	struct aws_login_work *w = op->scratch;
	if (w->nroles == AWS_ROLES) {
		host->fail(op, DIF_AUTH, "", "more than %u roles lead to each other", AWS_ROLES);
		return false;
	}
	role.session = or_default(role.session, aws_login_of(op)->session);
	w->role[w->nroles++] = role;
	return true;
}

void aws_found(struct dif_op *op, const struct aws_key *k)
{
	struct aws_login_work *w = op->scratch;
	if (w->nroles > 0) {
		w->nroles--;
		aws_assume(op, k, &w->role[w->nroles]);
		return;
	}
	host->done(op, &(struct dif_result){.cred = {.part = {k->id, k->secret, k->token},
	                                             .expires = k->expires}});
}

void aws_take(struct dif_op *op, const struct dif_reply *r, const struct dif_node *node,
              const char *token)
{
	const char *until = host->str(host->get(node, "Expiration"));
	struct aws_key k = {
		.id = host->str(host->get(node, "AccessKeyId")),
		.secret = host->str(host->get(node, "SecretAccessKey")),
		.token = host->str(host->get(node, token)),
		.expires = *until != '\0' ? host->undate(until) : host->now(op) + AWS_FILE_LIFE_S,
	};
	if (*k.id == '\0' || *k.secret == '\0' || *k.token == '\0' || k.expires < 0) {
		host->refuse(op, r, "", "the reply holds no whole credential");
		return;
	}
	aws_found(op, &k);
}

const char *aws_file_text(struct dif_op *op, const struct dif_reply *r, const char *path)
{
	if (r->status == 404) {
		host->fail(op, DIF_AUTH, "", "there is no token file '%s'", path);
		return NULL;
	}
	if (!host->good(op, r)) {
		return NULL;
	}
	const char *text = r->body.p;
	size_t n = strlen(text);
	while (n > 0 && strchr(" \t\r\n", text[n - 1]) != NULL) {
		n--;
	}
	if (n == 0) {
		host->fail(op, DIF_AUTH, "", "the token file '%s' is empty", path);
		return NULL;
	}
	return host->fmt(op, "%.*s", (int)n, text);
}

void aws_login(struct dif_op *op)
{
	const struct aws_login *l = aws_login_of(op);
	if (l->role != NULL) {
		(void)aws_push(op, (struct aws_role){l->role, l->external_id, NULL});
	}
	if (l->id != NULL) {
		aws_found(op,
		          &(struct aws_key){l->id, l->secret, or_default(l->token, ""), INT64_MAX});
	} else if (l->web_token_file != NULL) {
		aws_web_identity(op, &(struct aws_role){l->web_role, NULL, l->session},
		                 l->web_token_file);
	} else {
		aws_login_profile(op);
	}
}

struct aws_signer aws_signer(const struct dif_op *op, const char *region, const char *service)
{
	const char *const *part = op->cred->part;
	return (struct aws_signer){part[0], part[1], part[2], region, service};
}

/* --- what failures mean --- */

/* S3 writes <Error>, the others <ErrorResponse><Error>, where credentials come from
 * {"code", "message"} or {"Code", "Message"}. */
const struct dif_node *aws_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                                   const char **what)
{
	static const char *const names[][2] = {{"Code", "Message"}, {"code", "message"}};
	const struct dif_node *e = NULL;
	if (r->body.n > 0 && *(const char *)r->body.p == '{') {
		e = host->parse(op, DIF_AS_JSON, r->body);
	} else if (r->body.n > 0) {
		const struct dif_node *x = host->parse(op, DIF_AS_XML, r->body);
		e = host->get(x, "Error");
		e = e != NULL ? e : host->get(x, "ErrorResponse.Error");
	}
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		const char *c = host->str(host->get(e, names[i][0]));
		const char *m = host->str(host->get(e, names[i][1]));
		*code = *c != '\0' ? c : *code;
		*what = *m != '\0' ? m : *what;
	}
	return e;
}
