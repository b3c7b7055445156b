/* azure - Azure Blob Storage.
 *
 * Reading is in azure_read.c, writing in azure_write.c, what the options mean in connect.c. Here:
 * the options, and what failures mean. Facts and decisions: docs/notes/azure.md.
 */
#include "azure.h"

static const struct dif_option options[] = {
	{.name = "container",
         .help = "the container's name; $web is that of a static website",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 3,
         .max = 63,
         .offset = offsetof(struct azure, container)},
	{.name = "account",
         .help = "the storage account's name",
         .type = DIF_STRING,
         .min = 3,
         .max = 24,
         .env = "AZURE_STORAGE_ACCOUNT",
         .offset = offsetof(struct azure, account)},
	{.name = "account_key",
         .help = "one of the account's two keys, in base64",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 1,
         .max = 512,
         .env = "AZURE_STORAGE_KEY",
         .offset = offsetof(struct azure, account_key)},
	{.name = "connection_string",
         .help = "account, key and endpoint in one, as the portal shows it; instead of account and "
                 "account_key",
         .type = DIF_STRING,
         .flags = DIF_SECRET,
         .min = 1,
         .max = 4096,
         .env = "AZURE_STORAGE_CONNECTION_STRING",
         .offset = offsetof(struct azure, connection_string)},
	{.name = "endpoint",
         .help = "another address of the account, such as "
                 "https://127.0.0.1:10000/devstoreaccount1; "
                 "without it, https://ACCOUNT.blob.core.windows.net",
         .type = DIF_URL,
         .max = 1024,
         .offset = offsetof(struct azure, endpoint)},
};

/* Code before status: 409 stands for a lost condition, a state that passes, and one that stays. */
static const struct dif_fault faults[] = {
	{0, "ServerBusy", DIF_THROTTLED},
	{0, "OperationTimedOut", DIF_THROTTLED}, /* above the account's rate, says the vendor */
	{0, "InternalError", DIF_TRANSIENT},
	{0, "AuthenticationFailed", DIF_AUTH},
	{400, "InvalidAuthenticationInfo", DIF_AUTH},
	{400, "Md5Mismatch", DIF_INTEGRITY},
	{400, "InvalidMd5", DIF_INTEGRITY},
	{404, "ContainerNotFound", DIF_PERMANENT},
	{409, "ContainerBeingDeleted", DIF_TRANSIENT},
	{409, "PendingCopyOperation", DIF_TRANSIENT},
	{409, "ContainerDisabled", DIF_PERMANENT},
	{409, "AccountIsDisabled", DIF_PERMANENT},
	{409, "SnapshotsPresent", DIF_PERMANENT},
	{409, "BlobImmutableDueToPolicy", DIF_PERMANENT},
	{409, "BlobArchived", DIF_PERMANENT},
	{409, "InvalidBlobType", DIF_PERMANENT},
	{409, "ResourceTypeMismatch", DIF_PERMANENT},
	{409, "PathConflict", DIF_PERMANENT},
	{409, "FeatureVersionMismatch", DIF_PERMANENT},
	/* somebody holds a lease: no condition of ours was lost */
	{409, "LeaseAlreadyPresent", DIF_PERMANENT},
	{412, "LeaseIdMissing", DIF_PERMANENT},
	{0, NULL, DIF_OK}, /* the other 409 and 412, such as BlobAlreadyExists: conflict */
};

/* The header tells the code, to a HEAD too. The sentence ends where request id and time begin. */
static void explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                    const char **what)
{
	const struct dif_node *e = NULL;
	if (r->body.n > 0) {
		e = host->get(host->parse(op, DIF_AS_XML, r->body), "Error");
	}
	if (e != NULL) {
		const char *message = host->str(host->get(e, "Message"));
		*code = host->str(host->get(e, "Code"));
		*what = host->fmt(op, "%.*s", (int)strcspn(message, "\r\n"), message);
	}
	const char *told = host->field(r, "x-ms-error-code", 0);
	if (told != NULL) {
		*code = told;
	}
	if (*code != NULL && strcmp(*code, "LeaseIdMissing") == 0) {
		*what = "somebody holds a lease on the blob: break it";
	}
	if (*code != NULL && strcmp(*code, "SnapshotsPresent") == 0) {
		*what = "the blob has snapshots: delete them first";
	}
}

static bool open_store(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct azure *s = self;
	if (!azure_connect(s, o)) {
		return false;
	}
	s->hosts[0] = s->authority;
	caps->hosts = s->hosts;
	caps->flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE | DIF_CAP_LIST_META | DIF_CAP_UNIQUE_TAG |
	              DIF_CAP_HEADERS;
	caps->put_max = 5000ull << 20;
	caps->delete_max = 1;
	caps->list_max = ROWS_MAX;
	caps->key_max = 1024;
	caps->meta_max = 8192;
	caps->digests[0] = DIF_MD5;
	caps->clock_window_s = 15 * 60;
	return true;
}

/* --- calls --- */

struct azure_call azure_container(struct dif_op *op, const char *method)
{
	const struct azure *s = op->self;
	return (struct azure_call){.method = method, .origin = s->origin, .path = s->base};
}

struct azure_call azure_blob(struct dif_op *op, const char *method, const char *key)
{
	struct azure_call c = azure_container(op, method);
	c.path = host->fmt(op, "%s/%s", c.path, host->enc(op, DIF_PATH, key, strlen(key)));
	return c;
}

void azure_go(struct dif_op *op, struct azure_call *c, dif_step *next)
{
	const struct azure *s = op->self;
	azure_send(op, &s->signer, c, next);
}

/* --- descriptor --- */

static const struct dif_store store = {
	.c = {.size = sizeof(struct dif_store),
              .self_size = sizeof(struct azure),
              .faults = faults,
              .explain = explain,
              .open = open_store,
              .probe = azure_probe},
	.list = azure_list,
	.head = azure_head,
	.get = azure_get,
	.put = azure_put,
	.remove = azure_remove,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STORE,
         .flags = DIF_OFFER_HTTP,
         .name = "azure",
         .what = "Azure Blob Storage",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &store.c},
};

static const struct dif_plugin plugin = {
	DIF_PLUGIN_SIZES,
	.version = DIFUSOR_VERSION,
	.offers = offers,
	.noffers = DIF_LEN(offers),
};

/* `log` was the last service of ABI 1.0, and nothing later is used. */
const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR ||
	    h->size < offsetof(struct dif_host, log) + sizeof h->log) {
		return NULL;
	}
	host = h;
	return &plugin;
}
