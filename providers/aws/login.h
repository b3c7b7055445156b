/* login - where the credential of an AWS plug-in comes from. Linked into each of them, hidden.
 *
 * The first of these that is there decides, as in Amazon's own tools:
 *   keys             of the section, or of the environment; never half of each
 *   web identity     a token in a file, for AssumeRoleWithWebIdentity (EKS)
 *   profile          of ~/.aws/credentials and ~/.aws/config, with role_arn and source_profile
 *   container        the address that ECS or EKS gave
 *   instance         metadata of EC2, version 2 only
 * On top of what was found, role_arn is assumed (STS). Files and services are asked anew at each
 * login, so a key that changed is found without a restart.
 *
 * A plug-in puts a struct aws_login into its instance, AWS_LOGIN_OPTIONS into its options,
 * aws_login_open into open, aws_login as its verb and sizeof(struct aws_login_work) as its scratch
 * size; then aws_signer makes the signer of a call.
 */
#ifndef DIF_PROVIDERS_AWS_LOGIN_H
#define DIF_PROVIDERS_AWS_LOGIN_H

#include "aws/sigv4.h"

/* Constant after open. */
struct aws_login {
	const char *id, *secret, *token;
	const char *web_role, *web_token_file;
	const char *profile, *home, *credentials_file, *config_file;
	const char *container_path, *container_url, *container_token, *container_token_file;
	const char *metadata;
	uint32_t no_metadata;
	const char *role, *external_id, *session;
	const char *sts;
	/* made by aws_login_open */
	const char *region;
	struct aws_endpoint sts_at;
};

/* A key, temporary or not. */
struct aws_key {
	const char *id, *secret, *token; /* token "": none */
	int64_t expires;
};

/* One to assume. */
struct aws_role {
	const char *arn, *external_id, *session; /* external_id NULL: none */
};

#define AWS_ROLES 5 /* that lead to each other; more is a circle */

/* Where a login is; its scratch. */
struct aws_login_work {
	struct aws_role role[AWS_ROLES]; /* still to be assumed, the last one first */
	uint32_t nroles;
	const char *credentials, *config; /* text of the files, "" where there is none */
	struct aws_role web;
	const char *web_path, *metadata_token;
};

#define AWS_RENEW_BEFORE_S (15 * 60)
#define AWS_CLOCK_WINDOW_S (15 * 60)
#define AWS_LOGIN_HOSTS 3

/* Appends to hosts, up to AWS_LOGIN_HOSTS of them, who may be asked for a credential, and NULL.
 * region is kept. False: the open has failed. */
bool aws_login_open(struct aws_login *l, struct dif_opening *o, const char *region,
                    const char **hosts);
void aws_login(struct dif_op *op);
/* Each plug-in defines it. */
const struct aws_login *aws_login_of(const struct dif_op *op);
/* With the credential of the op. */
struct aws_signer aws_signer(const struct dif_op *op, const char *region, const char *service);

/* Code and sentence of an error as the services write them, XML or JSON; what is not found stays.
 * Returns the error's node. */
const struct dif_node *aws_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                                   const char **what);

/* The first rows of a kind's faults: what every service of AWS says, and where credentials come
 * from. RequestTimeTooSkewed: the host sets its clock by the reply. Codes without a status come one
 * by one in the results of a batch too. */
#define AWS_FAULT(status, code, cls) \
	{                            \
		status, code, cls    \
	}
#define AWS_FAULTS                                                                                 \
	AWS_FAULT(400, "RequestTimeout", DIF_TRANSIENT), AWS_FAULT(400, "ExpiredToken", DIF_AUTH), \
		AWS_FAULT(400, "ExpiredTokenException", DIF_AUTH),                                 \
		AWS_FAULT(400, "InvalidToken", DIF_AUTH),                                          \
		AWS_FAULT(400, "TokenRefreshRequired", DIF_AUTH),                                  \
		AWS_FAULT(400, "InvalidIdentityToken", DIF_AUTH),                                  \
		AWS_FAULT(400, "RegionDisabledException", DIF_AUTH),                               \
		AWS_FAULT(400, "IDPCommunicationError", DIF_TRANSIENT),                            \
		AWS_FAULT(403, "RequestTimeTooSkewed", DIF_AUTH),                                  \
		AWS_FAULT(0, "AccessDenied", DIF_AUTH), AWS_FAULT(0, "Throttling", DIF_THROTTLED), \
		AWS_FAULT(0, "ThrottlingException", DIF_THROTTLED),                                \
		AWS_FAULT(0, "RequestLimitExceeded", DIF_THROTTLED),                               \
		AWS_FAULT(0, "TooManyRequests", DIF_THROTTLED),                                    \
		AWS_FAULT(0, "TooManyRequestsException", DIF_THROTTLED),                           \
		AWS_FAULT(0, "BandwidthLimitExceeded", DIF_THROTTLED),                             \
		AWS_FAULT(0, "InternalError", DIF_TRANSIENT)

#define AWS_LOGIN_ROW(self, member, name, help, type, flags, most, env)     \
	{                                                                   \
		name, NULL, help, type, flags, (most) > 0, most, NULL, env, \
			offsetof(self, member), 0                           \
	}

/* Rows of an offer's options; self has a struct aws_login as its member l. */
#define AWS_LOGIN_OPTIONS(self, l)                                                                 \
	AWS_LOGIN_ROW(self, l.id, "access_key_id", "who signs", DIF_STRING, DIF_TOGETHER, 128,     \
	              "AWS_ACCESS_KEY_ID"),                                                        \
		AWS_LOGIN_ROW(self, l.secret, "secret_access_key",                                 \
	                      "the secret that belongs to access_key_id", DIF_STRING,              \
	                      DIF_SECRET | DIF_TOGETHER, 256, "AWS_SECRET_ACCESS_KEY"),            \
		AWS_LOGIN_ROW(self, l.token, "session_token",                                      \
	                      "the token of a temporary access_key_id", DIF_STRING,                \
	                      DIF_SECRET | DIF_TOGETHER, 16384, "AWS_SESSION_TOKEN"),              \
		AWS_LOGIN_ROW(self, l.profile, "aws_profile",                                      \
	                      "profile of the credentials and config files; without it, "          \
	                      "default",                                                           \
	                      DIF_STRING, DIF_TOGETHER, 256, "AWS_PROFILE"),                       \
		AWS_LOGIN_ROW(self, l.web_token_file, "web_identity_token_file",                   \
	                      "file whose token web_identity_role_arn is assumed with",            \
	                      DIF_FILE_PATH, DIF_TOGETHER, 0, "AWS_WEB_IDENTITY_TOKEN_FILE"),      \
		AWS_LOGIN_ROW(self, l.web_role, "web_identity_role_arn",                           \
	                      "role that web_identity_token_file is for", DIF_STRING,              \
	                      DIF_TOGETHER, 2048, "AWS_ROLE_ARN"),                                 \
		AWS_LOGIN_ROW(self, l.role, "role_arn",                                            \
	                      "role to assume with the credential that was found", DIF_STRING, 0,  \
	                      2048, NULL),                                                         \
		AWS_LOGIN_ROW(self, l.external_id, "external_id",                                  \
	                      "what the owner of role_arn demands to be told", DIF_STRING, 0,      \
	                      1224, NULL),                                                         \
		AWS_LOGIN_ROW(self, l.session, "role_session_name",                                \
	                      "name of a session of a role, in the logs of AWS; without it, "      \
	                      "difusor",                                                           \
	                      DIF_STRING, 0, 64, "AWS_ROLE_SESSION_NAME"),                         \
		AWS_LOGIN_ROW(self, l.sts, "sts_endpoint",                                         \
	                      "server that roles are asked of; without it, that of AWS in "        \
	                      "the region",                                                        \
	                      DIF_URL, 0, 0, "AWS_ENDPOINT_URL_STS AWS_ENDPOINT_URL"),             \
		AWS_LOGIN_ROW(self, l.home, "aws_home", "folder that holds .aws", DIF_FILE_PATH,   \
	                      0, 0, "HOME"),                                                       \
		AWS_LOGIN_ROW(self, l.credentials_file, "aws_credentials_file",                    \
	                      "instead of .aws/credentials in aws_home", DIF_FILE_PATH, 0, 0,      \
	                      "AWS_SHARED_CREDENTIALS_FILE"),                                      \
		AWS_LOGIN_ROW(self, l.config_file, "aws_config_file",                              \
	                      "instead of .aws/config in aws_home", DIF_FILE_PATH, 0, 0,           \
	                      "AWS_CONFIG_FILE"),                                                  \
		AWS_LOGIN_ROW(self, l.container_path, "container_credentials_path",                \
	                      "path at 169.254.170.2 where ECS gives credentials", DIF_STRING, 0,  \
	                      1024, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),                     \
		AWS_LOGIN_ROW(self, l.container_url, "container_credentials_url",                  \
	                      "where a container gets its credentials", DIF_URL, 0, 0,             \
	                      "AWS_CONTAINER_CREDENTIALS_FULL_URI"),                               \
		AWS_LOGIN_ROW(self, l.container_token, "container_token",                          \
	                      "what to show to container_credentials_url", DIF_STRING, DIF_SECRET, \
	                      16384, "AWS_CONTAINER_AUTHORIZATION_TOKEN"),                         \
		AWS_LOGIN_ROW(self, l.container_token_file, "container_token_file",                \
	                      "file that holds container_token", DIF_FILE_PATH, 0, 0,              \
	                      "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),                           \
		AWS_LOGIN_ROW(self, l.metadata, "ec2_metadata_endpoint",                           \
	                      "metadata of EC2; without it, http://169.254.169.254", DIF_URL, 0,   \
	                      0, "AWS_EC2_METADATA_SERVICE_ENDPOINT"),                             \
		AWS_LOGIN_ROW(self, l.no_metadata, "ec2_metadata_disabled",                        \
	                      "do not ask EC2 for a credential", DIF_BOOL, 0, 0,                   \
	                      "AWS_EC2_METADATA_DISABLED")

#endif
