/* identity - an identity of Microsoft Entra ID and the access tokens that it gets: a registered
 * application with a secret, a workload with a federated token, a machine with a managed identity.
 *
 * The plug-ins of storage, DNS, Front Door and Traffic Manager share it; they differ in the
 * resource that a token is for. Each plug-in sets `host` and defines azure_identity_of. The
 * credential that azure_identity_login returns has the token as part 0.
 */
#ifndef DIF_PROVIDERS_AZURE_IDENTITY_H
#define DIF_PROVIDERS_AZURE_IDENTITY_H

#include <difusor/plugin.h>

/* The table of the agent; dif_plugin_main sets it. */
extern const struct dif_host *host;

enum azure_way {
	AZURE_ACCOUNT_KEY,
	AZURE_CONNECTION_STRING,
	AZURE_SAS,
	AZURE_CLIENT_SECRET,
	AZURE_WORKLOAD_IDENTITY,
	AZURE_MANAGED_IDENTITY,
	AZURE_WAYS
};

struct azure_identity {
	/* options */
	const char *tenant_id, *client_id, *client_secret, *token_file, *authority;
	const char *endpoint, *header;
	/* made by azure_identity_open */
	enum azure_way way;
	const char *resource; /* that the tokens are for */
	const char *url;      /* where they come from */
	const char *host; /* to be among the caps' hosts; NULL: the machine's metadata service */
};

const struct azure_identity *azure_identity_of(const struct dif_op *op);

#define AZURE_AUTHORITY "https://login.microsoftonline.com"
#define AZURE_IDENTITY_WAYS "client_secret workload_identity managed_identity"

/* A row for a plug-in's options, and those of an identity: `id` is the member of `self` that takes
 * them. What belongs together comes from the section or from the environment. */
/* clang-format off */
#define AZURE_OPTION(key, is, more, most, from, at, says) \
	{.name = key, .help = says, .type = is, .flags = more, .min = 1, .max = most, .env = from, \
	 .offset = at}
#define AZURE_IDENTITY_OPTIONS(self, id) \
	AZURE_OPTION("tenant_id", DIF_STRING, DIF_TOGETHER, 255, "AZURE_TENANT_ID", \
		     offsetof(self, id.tenant_id), \
		     "the directory of an application or workload: a GUID or a domain"), \
	AZURE_OPTION("client_id", DIF_STRING, DIF_TOGETHER, 255, "AZURE_CLIENT_ID", \
		     offsetof(self, id.client_id), \
		     "the application's id; with managed_identity, that of one which the user " \
		     "assigned"), \
	AZURE_OPTION("client_secret", DIF_STRING, DIF_SECRET | DIF_TOGETHER, 1024, \
		     "AZURE_CLIENT_SECRET", offsetof(self, id.client_secret), \
		     "the application's secret"), \
	AZURE_OPTION("federated_token_file", DIF_FILE_PATH, DIF_TOGETHER, 4096, \
		     "AZURE_FEDERATED_TOKEN_FILE", offsetof(self, id.token_file), \
		     "the file in which a cluster keeps the workload's token fresh"), \
	AZURE_OPTION("authority", DIF_URL, 0, 1024, "AZURE_AUTHORITY_HOST", \
		     offsetof(self, id.authority), \
		     "who issues tokens to applications and workloads; without it, " \
		     AZURE_AUTHORITY), \
	AZURE_OPTION("identity_endpoint", DIF_URL, 0, 1024, "IDENTITY_ENDPOINT", \
		     offsetof(self, id.endpoint), \
		     "where App Service and Container Apps hand out tokens of a managed " \
		     "identity; without it, the metadata service of the virtual machine"), \
	AZURE_OPTION("identity_header", DIF_STRING, DIF_SECRET, 1024, "IDENTITY_HEADER", \
		     offsetof(self, id.header), "the word that belongs to identity_endpoint")

/* A row for a plug-in's faults, and those for what token services say. */
#define AZURE_FAULT(code, cls) {0, code, cls}
#define AZURE_IDENTITY_FAULTS \
	AZURE_FAULT("invalid_client", DIF_AUTH), \
	AZURE_FAULT("invalid_grant", DIF_AUTH), \
	AZURE_FAULT("invalid_request", DIF_AUTH), \
	AZURE_FAULT("invalid_resource", DIF_AUTH), \
	AZURE_FAULT("invalid_scope", DIF_AUTH), \
	AZURE_FAULT("unauthorized_client", DIF_AUTH), \
	AZURE_FAULT("server_error", DIF_TRANSIENT), \
	AZURE_FAULT("temporarily_unavailable", DIF_TRANSIENT)
/* clang-format on */

/* The one way in that is given, or that `choice` names ("auto": none). given: the option that each
 * way stands or falls with, NULL where it is not set; two of them are refused, because nobody could
 * say who writes. False: refused. */
bool azure_choose(struct dif_opening *o, const char *choice, const char *const given[AZURE_WAYS],
                  enum azure_way *way);
/* given, as far as an identity knows. */
void azure_identity_given(const struct azure_identity *id, const char *given[AZURE_WAYS]);
/* Makes what login needs for this way. resource: "https://storage.azure.com/" or
 * "https://management.azure.com/". False: refused. */
bool azure_identity_open(struct azure_identity *id, struct dif_opening *o, enum azure_way way,
                         const char *resource);
dif_verb azure_identity_login;

/* A token is renewed this long before it ends, as in the vendor's libraries. */
#define AZURE_RENEW_BEFORE_S 300

/* For explain: error bodies in JSON, of token services and of Azure Resource Manager. */
void azure_explain_json(struct dif_op *op, const struct dif_reply *r, const char **code,
                        const char **what);

#endif
