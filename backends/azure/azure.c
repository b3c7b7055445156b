/* azure - Azure Blob Storage.
 *
 * Reading is in azure_read.c, writing in azure_write.c, large objects in azure_part.c, removing in
 * azure_remove.c; who is let in and how requests are authorized in providers/azure. Here: the
 * options, and what failures mean. Facts and decisions: docs/notes/azure.md.
 */
#include "azure.h"

const struct dif_host *host;

static const struct dif_option options[] = {
	{.name = "container",
         .help = "the container's name; $web is that of a static website",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 3,
         .max = 63,
         .offset = offsetof(struct azure, container)},
	AZURE_ACCOUNT_OPTIONS(struct azure, account),
};

/* By code alone: 409 stands for a lost condition, a state that passes, and one that stays, and the
 * replies in a batch tell no more than their code. */
static const struct dif_fault faults[] = {
	{0, "ServerBusy", DIF_THROTTLED},
	{0, "OperationTimedOut", DIF_THROTTLED}, /* above the account's rate, says the vendor */
	{0, "InternalError", DIF_TRANSIENT},
	{0, "AuthenticationFailed", DIF_AUTH},
	{0, "InvalidAuthenticationInfo", DIF_AUTH},
	{0, "Md5Mismatch", DIF_INTEGRITY},
	{0, "InvalidMd5", DIF_INTEGRITY},
	{0, "ContainerNotFound", DIF_PERMANENT},
	{0, "ContainerBeingDeleted", DIF_TRANSIENT},
	{0, "PendingCopyOperation", DIF_TRANSIENT},
	{0, "ContainerDisabled", DIF_PERMANENT},
	{0, "AccountIsDisabled", DIF_PERMANENT},
	{0, "SnapshotsPresent", DIF_PERMANENT},
	{0, "BlobImmutableDueToPolicy", DIF_PERMANENT},
	{0, "BlobArchived", DIF_PERMANENT},
	{0, "BlobBeingRehydrated", DIF_PERMANENT},
	{0, "InvalidBlobType", DIF_PERMANENT},
	{0, "ResourceTypeMismatch", DIF_PERMANENT},
	{0, "PathConflict", DIF_PERMANENT},
	{0, "FeatureVersionMismatch", DIF_PERMANENT},
	{0, "BlockCountExceedsLimit", DIF_PERMANENT},
	/* somebody holds a lease: no condition of ours was lost */
	{0, "LeaseAlreadyPresent", DIF_PERMANENT},
	{0, "LeaseIdMissing", DIF_PERMANENT},
	{0, "LeaseIdMismatchWithBlobOperation", DIF_PERMANENT},
	/* another commit or a put has taken the blocks away, or their week has passed */
	{0, "InvalidBlockList", DIF_NOT_FOUND},
	AZURE_IDENTITY_FAULTS,
	{0, NULL, DIF_OK}, /* the other 409 and 412, such as BlobAlreadyExists: conflict */
};

enum dif_class azure_class(int32_t status, const char *code)
{
	for (const struct dif_fault *f = faults; f->cls != DIF_OK; f++) {
		if (strcmp(f->code, code) == 0) {
			return f->cls;
		}
	}
	switch (status) {
	case 401:
	case 403:
		return DIF_AUTH;
	case 404:
		return DIF_NOT_FOUND;
	case 409:
	case 412:
		return DIF_CONFLICT;
	case 429:
	case 503:
		return DIF_THROTTLED;
	default:
		return status / 100 == 2 ? DIF_OK : status >= 500 ? DIF_TRANSIENT : DIF_PERMANENT;
	}
}

/* Names that would need an encoding in the path are none of a container, but for the '$' of $web.
 */
static bool is_container(const char *name)
{
	name += *name == '$';
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static bool open_store(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct azure *s = self;
	if (!is_container(s->container)) {
		o->refuse(o, "container '%s' is not the name of a container", s->container);
		return false;
	}
	if (!azure_account_open(&s->account, o)) {
		return false;
	}
	bool dollar = *s->container == '$';
	s->base = o->fmt(o, "%s/%s%s", s->account.path, dollar ? "%24" : "", s->container + dollar);
	caps->hosts = s->account.hosts;
	caps->flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE | DIF_CAP_LIST_META | DIF_CAP_UNIQUE_TAG |
	              DIF_CAP_HEADERS;
	caps->put_max = 5000ull << 20;
	caps->delete_max = BATCH_MAX;
	caps->list_max = ROWS_MAX;
	caps->key_max = 1024;
	caps->meta_max = 8192;
	caps->digests[0] = DIF_MD5;
	caps->renew_before_s = AZURE_RENEW_BEFORE_S;
	caps->clock_window_s = 15 * 60;
	caps->part_min = 1;
	caps->part_max = 4000ull << 20;
	caps->part_align = 1;
	caps->part_count = BLOCKS_MAX;
	caps->part_parallel = BLOCKS_PARALLEL;
	caps->part_digest = DIF_MD5;
	return true;
}

/* --- calls --- */

struct azure_call azure_container(struct dif_op *op, const char *method)
{
	const struct azure *s = op->self;
	return (struct azure_call){.method = method, .path = s->base};
}

struct azure_call azure_blob(struct dif_op *op, const char *method, const char *key)
{
	struct azure_call c = azure_container(op, method);
	c.path = host->fmt(op, "%s/%s", c.path, host->enc(op, DIF_PATH, key, strlen(key)));
	return c;
}

const struct azure_account *azure_account_of(const struct dif_op *op)
{
	return &((const struct azure *)op->self)->account;
}

/* --- descriptor --- */

static const struct dif_store store = {
	.c = {.size = sizeof(struct dif_store),
              .self_size = sizeof(struct azure),
              .scratch_size = sizeof(union azure_scratch),
              .faults = faults,
              .explain = azure_explain,
              .open = open_store,
              .probe = azure_probe,
              .login = azure_account_login},
	.list = azure_list,
	.head = azure_head,
	.get = azure_get,
	.put = azure_put,
	.remove = azure_remove,
	.part_begin = azure_part_begin,
	.part_put = azure_part_put,
	.part_finish = azure_part_finish,
	.part_abort = azure_part_abort,
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
