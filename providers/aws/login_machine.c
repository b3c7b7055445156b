/* login_machine - the credential that the machine gives: the container's (ECS, EKS) or the
 * instance's (EC2). Both are asked without a proxy, and answer at once or not at all.
 */
#include "aws/login_private.h"

#define CONTAINER_AT "http://169.254.170.2"
#define CONTAINER_TIMEOUT_MS 2000
#define METADATA_TIMEOUT_MS 1000
#define METADATA_TOKEN_LIFE "300" /* seconds; it serves one login */
#define METADATA_KEYS "/latest/meta-data/iam/security-credentials/"
/* Where no metadata answer, most machines are none of EC2, but a busy one may be. */
#define METADATA_TRIES 3

static void ask(struct dif_op *op, const char *method, const char *url, struct dif_field field,
                uint32_t timeout_ms, dif_step *next)
{
	bool plain = strncmp(url, "http:", 5) == 0;
	host->http(op,
	           &(struct dif_http){
			   .method = method,
			   .url = url,
			   .fields = &field,
			   .nfields = field.name != NULL,
			   .flags = DIF_HTTP_WANT_FAILURE |
	                            (plain ? DIF_HTTP_LINK_LOCAL | DIF_HTTP_NO_PROXY : 0u),
			   .timeout_ms = timeout_ms,
			   .reply_max = AWS_LOGIN_REPLY_MAX,
		   },
	           next);
}

/* --- container --- */

static void on_container(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_JSON, NULL);
	if (t != NULL) {
		aws_take(op, r, t, "Token");
	}
}

static void ask_container(struct dif_op *op, const char *token)
{
	const struct aws_login *l = aws_login_of(op);
	const char *url = l->container_path != NULL
	                          ? host->fmt(op, CONTAINER_AT "%s", l->container_path)
	                          : l->container_url;
	struct dif_field field = {token != NULL ? "authorization" : NULL, token};
	ask(op, "GET", url, field, CONTAINER_TIMEOUT_MS, on_container);
}

static void on_container_token(struct dif_op *op, const struct dif_reply *r)
{
	const char *token = aws_file_text(op, r, aws_login_of(op)->container_token_file);
	if (token != NULL) {
		ask_container(op, token);
	}
}

void aws_login_container(struct dif_op *op)
{
	const struct aws_login *l = aws_login_of(op);
	if (l->container_path == NULL && l->container_url == NULL) {
		host->fail(op, DIF_AUTH, "",
		           "nothing says where a container gets its credential: set "
		           "container_credentials_url");
	} else if (l->container_path == NULL && l->container_token_file != NULL) {
		host->read(op, l->container_token_file, on_container_token);
	} else {
		ask_container(op, l->container_token);
	}
}

/* --- instance --- */

/* The end of the chain. */
static void fail_empty(struct dif_op *op, uint32_t cls, const char *why)
{
	host->fail(op, cls, "",
	           "no credential was found: not in the section, the environment, a profile or a "
	           "container, and %s; set access_key_id and secret_access_key, or aws_profile",
	           why);
}

static void ask_metadata(struct dif_op *op, const char *path, dif_step *next)
{
	const struct aws_login_work *w = op->scratch;
	ask(op, "GET", host->fmt(op, "%s%s", aws_login_of(op)->metadata, path),
	    (struct dif_field){"x-aws-ec2-metadata-token", w->metadata_token}, METADATA_TIMEOUT_MS,
	    next);
}

static void on_metadata_key(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_JSON, NULL);
	if (t == NULL) {
		return;
	}
	const char *code = host->str(host->get(t, "Code"));
	if (*code != '\0' && strcmp(code, "Success") != 0) {
		host->fail(op, DIF_AUTH, code,
		           "the instance's metadata refuse a credential: %s: %s", code,
		           host->str(host->get(t, "Message")));
		return;
	}
	aws_take(op, r, t, "Token");
}

static void on_metadata_role(struct dif_op *op, const struct dif_reply *r)
{
	const char *role = r->body.p;
	size_t n = r->status == 200 ? strcspn(role, " \r\n") : 0;
	if (r->status == 404 || (r->status == 200 && n == 0)) {
		fail_empty(op, DIF_AUTH, "no role is attached to the instance");
		return;
	}
	if (host->good(op, r)) {
		const char *name = host->enc(op, DIF_PATH, role, n);
		ask_metadata(op, host->fmt(op, METADATA_KEYS "%s", name), on_metadata_key);
	}
}

static void on_metadata_token(struct dif_op *op, const struct dif_reply *r)
{
	struct aws_login_work *w = op->scratch;
	if (r->status == 0) {
		fail_empty(op, op->attempt + 1 < METADATA_TRIES ? DIF_TRANSIENT : DIF_AUTH,
		           "no instance's metadata answer (from within a container they need a hop "
		           "limit of 2)");
		return;
	}
	if (r->status >= 403 && r->status <= 405) {
		fail_empty(op, DIF_AUTH, "the instance's metadata are switched off");
		return;
	}
	if (host->good(op, r)) {
		w->metadata_token = host->fmt(op, "%s", (const char *)r->body.p);
		ask_metadata(op, METADATA_KEYS, on_metadata_role);
	}
}

void aws_login_metadata(struct dif_op *op)
{
	const struct aws_login *l = aws_login_of(op);
	if (l->no_metadata != 0) {
		fail_empty(op, DIF_AUTH, "ec2_metadata_disabled forbids to ask the instance");
		return;
	}
	ask(op, "PUT", host->fmt(op, "%s/latest/api/token", l->metadata),
	    (struct dif_field){"x-aws-ec2-metadata-token-ttl-seconds", METADATA_TOKEN_LIFE},
	    METADATA_TIMEOUT_MS, on_metadata_token);
}

void aws_login_machine(struct dif_op *op)
{
	const struct aws_login *l = aws_login_of(op);
	if (l->container_path != NULL || l->container_url != NULL) {
		aws_login_container(op);
	} else {
		aws_login_metadata(op);
	}
}
