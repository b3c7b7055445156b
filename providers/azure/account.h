/* account - a storage account: where it is, and the ways to be let in. What plug-ins of Azure
 * Storage share.
 *
 * Each plug-in sets `host` and defines azure_account_of. The credential that azure_account_login
 * returns has as part 0 the account's key in base64, the shared access signature, or a token.
 */
#ifndef DIF_PROVIDERS_AZURE_ACCOUNT_H
#define DIF_PROVIDERS_AZURE_ACCOUNT_H

#include "azure/identity.h"

struct azure_account {
	/* options */
	const char *name, *key, *connection_string, *sas, *endpoint, *credential;
	struct azure_identity identity;
	/* made by azure_account_open */
	enum azure_way way;      /* never AZURE_CONNECTION_STRING: what it says counts */
	struct dif_bytes secret; /* the key, decoded */
	int64_t ends;            /* of a shared access signature; INT64_MAX: not told */
	const char *sig[2];      /* what of it must not be seen: as it is sent, and decoded */
	const char *origin;      /* scheme://host[:port] */
	const char *path;        /* what stands before every container; no slash at its end */
	const char *hosts[3];    /* for the caps */
};

const struct azure_account *azure_account_of(const struct dif_op *op);

/* Rows for a plug-in's options; `a` is the member of `self` that takes them. */
/* clang-format off */
#define AZURE_ACCOUNT_OPTIONS(self, a) \
	AZURE_OPTION("account", DIF_STRING, 0, 24, "AZURE_STORAGE_ACCOUNT", \
		     offsetof(self, a.name), "the storage account's name"), \
	AZURE_OPTION("endpoint", DIF_URL, 0, 1024, NULL, offsetof(self, a.endpoint), \
		     "another address of the account, such as " \
		     "https://127.0.0.1:10000/devstoreaccount1; " \
		     "without it, https://ACCOUNT.blob.core.windows.net"), \
	{.name = "credential", .def = "auto", .type = DIF_ENUM, \
	 .help = "which credential counts; auto: the only one that is given", \
	 .choices = "auto account_key connection_string sas " AZURE_IDENTITY_WAYS, \
	 .offset = offsetof(self, a.credential)}, \
	AZURE_OPTION("account_key", DIF_STRING, DIF_SECRET | DIF_TOGETHER, 512, \
		     "AZURE_STORAGE_KEY", offsetof(self, a.key), \
		     "one of the account's two keys, in base64"), \
	AZURE_OPTION("connection_string", DIF_STRING, DIF_SECRET | DIF_TOGETHER, 4096, \
		     "AZURE_STORAGE_CONNECTION_STRING", offsetof(self, a.connection_string), \
		     "account, endpoint and key or shared access signature in one, as the " \
		     "portal shows it"), \
	AZURE_OPTION("sas_token", DIF_STRING, DIF_SECRET | DIF_TOGETHER, 4096, \
		     "AZURE_STORAGE_SAS_TOKEN", offsetof(self, a.sas), \
		     "a shared access signature that permits to read, create, write, delete " \
		     "and list (sp=rcwdl)"), \
	AZURE_IDENTITY_OPTIONS(self, a.identity)
/* clang-format on */

/* False: refused. */
bool azure_account_open(struct azure_account *a, struct dif_opening *o);
dif_verb azure_account_login;

#endif
