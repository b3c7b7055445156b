/* google - what the plug-ins of Google's APIs share: the way to an access token, the faults, the
 * error bodies.
 *
 * A plug-in has a struct google_self in its instance, GOOGLE_OPTIONS among its options,
 * google_open in its open, google_login as its login, and a scratch of at least
 * sizeof(struct google_login). Where requests name a project, GOOGLE_PROJECT_OPTIONS stand there
 * instead. It defines `host` and google_of. The credential has the access token as part 0.
 */
#ifndef DIF_PROVIDERS_GOOGLE_H
#define DIF_PROVIDERS_GOOGLE_H

#include <difusor/plugin.h>

#define GOOGLE_TOKEN_HOSTS_MAX 8 /* of the option token_hosts */
#define GOOGLE_HOSTS_MAX (GOOGLE_TOKEN_HOSTS_MAX + 7)

struct google_self {
	/* options */
	const char *credentials;   /* path of a JSON file; NULL: the usual places */
	const char *gcloud, *home; /* folders where gcloud leaves one; NULL: none */
	const char *metadata;      /* the metadata server's host */
	const char *token_hosts;   /* NULL: none */
	const char *project;       /* that requests count for; NULL: the account's own */
	/* the plug-in's own */
	const char *scope; /* of the token */
	/* google_open's */
	const char *hosts[GOOGLE_HOSTS_MAX];
};

/* Rows of an option table; self is the type of the instance, at its struct google_self. Who says
 * in the section where credentials are is not overruled by the environment. */
#define GOOGLE_LOGIN_OPTIONS(self, at)                                                      \
	{.name = "credentials",                                                             \
	 .help = "JSON file as Google's tools take it: of a service account, of a "         \
	         "user, of workload identity federation, of impersonation. Without: "       \
	         "gcloud's own file, then the metadata server",                             \
	 .type = DIF_FILE_PATH,                                                             \
	 .flags = DIF_TOGETHER,                                                             \
	 .env = "GOOGLE_APPLICATION_CREDENTIALS",                                           \
	 .offset = offsetof(self, at.credentials)},                                         \
		{.name = "gcloud_config",                                                   \
	         .help = "gcloud's folder; without: .config/gcloud below gcloud_home",      \
	         .type = DIF_FILE_PATH,                                                     \
	         .flags = DIF_TOGETHER,                                                     \
	         .env = "CLOUDSDK_CONFIG",                                                  \
	         .offset = offsetof(self, at.gcloud)},                                      \
		{.name = "gcloud_home",                                                     \
	         .help = "the folder that holds .config/gcloud",                            \
	         .type = DIF_FILE_PATH,                                                     \
	         .flags = DIF_TOGETHER,                                                     \
	         .env = "HOME",                                                             \
	         .offset = offsetof(self, at.home)},                                        \
		{.name = "metadata_host",                                                   \
	         .def = "169.254.169.254",                                                  \
	         .help = "the metadata server's host[:port]",                               \
	         .type = DIF_STRING,                                                        \
	         .min = 1,                                                                  \
	         .max = 255,                                                                \
	         .flags = DIF_TOGETHER,                                                     \
	         .env = "GCE_METADATA_HOST",                                                \
	         .offset = offsetof(self, at.metadata)},                                    \
	{                                                                                   \
		.name = "token_hosts",                                                      \
		.help = "hosts that credentials may name besides Google's, blanks between", \
		.type = DIF_STRING, .offset = offsetof(self, at.token_hosts)                \
	}

#define GOOGLE_OPTIONS(self, at)                                                           \
	GOOGLE_LOGIN_OPTIONS(self, at),                                                    \
	{                                                                                  \
		.name = "project",                                                         \
		.help = "the project that requests count for; without: the account's own", \
		.type = DIF_STRING, .env = "GOOGLE_CLOUD_QUOTA_PROJECT",                   \
		.offset = offsetof(self, at.project)                                       \
	}

/* project_id: the member that takes it. */
#define GOOGLE_PROJECT_OPTIONS(self, at, project_id)                                       \
	GOOGLE_LOGIN_OPTIONS(self, at),                                                    \
		{.name = "project",                                                        \
	         .help = "id of the project that it belongs to",                           \
	         .type = DIF_STRING,                                                       \
	         .flags = DIF_NEEDED,                                                      \
	         .min = 1,                                                                 \
	         .max = 128,                                                               \
	         .env = "GOOGLE_CLOUD_PROJECT",                                            \
	         .offset = offsetof(self, project_id)},                                    \
	{                                                                                  \
		.name = "quota_project",                                                   \
		.help = "the project that requests count for; without: the account's own", \
		.type = DIF_STRING, .env = "GOOGLE_CLOUD_QUOTA_PROJECT",                   \
		.offset = offsetof(self, at.project)                                       \
	}

extern const struct dif_host *host;
const struct google_self *google_of(const struct dif_op *op);

/* A JSON request with the op's token; body NULL: none. */
void google_call(struct dif_op *op, const char *method, const char *url, const char *body,
                 dif_step *next);
/* The id of a project: nothing that would have to be encoded in an address. */
bool google_is_project(const char *id);
/* The endpoint of an option without a slash at its end, and its authority. NULL: refused. */
const char *google_endpoint(struct dif_opening *o, const char *url, const char **authority);

/* Fills in hosts: the API's own and those that may give a token. False: refused. */
bool google_open(struct google_self *g, struct dif_opening *o, const char *authority);

/* A token counts as stale this long before it ends, as in Google's own libraries. */
#define GOOGLE_RENEW_BEFORE_S 225
/* A signed assertion is refused when the clock is off by minutes. */
#define GOOGLE_CLOCK_WINDOW_S 60

/* What a login has found out so far. */
struct google_login {
	const char *path;              /* of the credentials */
	const struct dif_node *file;   /* them, parsed */
	const struct dif_node *source; /* of whom the first token is; file, but for impersonation */
	const char *impersonate;       /* the URL that gives the second, "": none is needed */
	uint32_t tries;                /* of the metadata server */
};
void google_login(struct dif_op *op);

extern const struct dif_fault google_faults[];
void google_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what);

/* --- between the files of this folder --- */

#define GOOGLE_TOKEN_REPLY_MAX 65536

static inline struct google_login *google_login_of(struct dif_op *op)
{
	return op->scratch;
}

/* Each asks for a token of google_login.source, then goes on to google_on_token. */
void google_service_account(struct dif_op *op);
void google_external_account(struct dif_op *op);
/* Posts a form; basic: NULL, or what stands behind "Basic ". */
void google_ask(struct dif_op *op, const char *url, const char *form, const char *basic);
void google_on_token(struct dif_op *op, const struct dif_reply *r);
/* The scope of the first token: for impersonation another one serves. */
const char *google_scope(struct dif_op *op);
const char *google_text(const struct dif_node *n, const char *path); /* "" where it is not */
const char *google_query(struct dif_op *op, const char *s);
const char *google_json(struct dif_op *op, const char *s);

#endif
