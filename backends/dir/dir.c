/* dir - objects as files below a root: a mirror on this machine, or one that another program
 * serves.
 *
 * The host's file calls do the care: no link is followed, nothing leaves the root, a write is
 * compared, written aside, given its metadata, synced and renamed. This file only translates.
 *
 * A file has no headers. What a server should send travels as metadata: `type` and `cache`, beside
 * what the caller stores. Content-Encoding has no such place, because any server may hand the file
 * out: a put that needs it is refused.
 */
#include <difusor/plugin.h>

#define DELETE_MAX 100 /* one after the other: enough to hide the queue, short enough to cancel */
#define KEY_MAX 1024
#define META_MAX 2048 /* ext4 keeps the attributes of one file in a block of 4 KiB */

#define META_TYPE "type"
#define META_CACHE "cache"

static const struct dif_host *host;

struct self {
	const char *root, *side;
};

struct removing {
	uint32_t next;
};

static bool is_header(const struct dif_field *f)
{
	return strcmp(f->name, META_TYPE) == 0 || strcmp(f->name, META_CACHE) == 0;
}

/* False where memory is short. */
static bool object_of(struct dif_op *op, const struct dif_file *f, struct dif_object *o)
{
	*o = (struct dif_object){.key = f->path,
	                         .tag = f->tag,
	                         .size = f->size,
	                         .modified = f->modified,
	                         .meta_known = 1};
	struct dif_field *meta = host->alloc(op, (f->nmeta + 1) * sizeof *meta);
	if (meta == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < f->nmeta; i++) {
		if (!is_header(&f->meta[i])) {
			meta[o->nmeta++] = f->meta[i];
		} else if (strcmp(f->meta[i].name, META_TYPE) == 0) {
			o->type = f->meta[i].value;
		} else {
			o->cache = f->meta[i].value;
		}
	}
	o->meta = meta;
	return true;
}

static void no_memory(struct dif_op *op)
{
	host->fail(op, DIF_TRANSIENT, "", "out of memory");
}

/* --- list --- */

static void on_list(struct dif_op *op, const struct dif_reply *r)
{
	if (!host->good(op, r)) {
		return;
	}
	for (uint32_t i = 0; i < r->nfiles; i++) {
		struct dif_object o;
		if (!object_of(op, &r->files[i], &o)) {
			no_memory(op);
			return;
		}
		host->object(op, &o);
	}
	const char *cursor = NULL;
	if (r->more && r->nfiles > 0) {
		cursor = host->fmt(op, "%s", r->files[r->nfiles - 1].path);
	}
	host->done(op, &(struct dif_result){.cursor = cursor});
}

static void list(struct dif_op *op)
{
	const struct dif_list *in = op->in;
	host->file(op,
	           &(struct dif_file_call){.verb = DIF_FILE_LIST,
	                                   .path = "",
	                                   .prefix = in->prefix,
	                                   .after = in->cursor,
	                                   .max = in->max},
	           on_list);
}

static void on_probe(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

static void probe(struct dif_op *op)
{
	host->file(
		op,
		&(struct dif_file_call){.verb = DIF_FILE_LIST, .path = "", .prefix = "", .max = 1},
		on_probe);
}

/* --- head and get --- */

static bool differs(const char *wanted, const char *tag)
{
	return wanted != NULL && strcmp(wanted, tag) != 0;
}

/* A condition on reading is decided here, by what was read: after a lost one the caller drops the
 * bytes. */
static void on_object(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	struct dif_result res = {0};
	if (!host->good(op, r)) {
		return;
	}
	if (r->nfiles != 1) {
		host->refuse(op, r, "", "the file call gave no file");
		return;
	}
	if (!object_of(op, &r->files[0], &res.object)) {
		no_memory(op);
		return;
	}
	if (differs(in->if_tag, res.object.tag)) {
		host->fail(op, DIF_CONFLICT, "", "the file has changed");
		return;
	}
	res.object.key = in->key;
	res.not_modified = in->unless_tag != NULL && !differs(in->unless_tag, res.object.tag);
	res.total = res.object.size;
	host->done(op, &res);
}

static void head(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	host->file(op, &(struct dif_file_call){.verb = DIF_FILE_STAT, .path = in->key}, on_object);
}

static void read_it(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	host->file(op,
	           &(struct dif_file_call){.verb = DIF_FILE_GET,
	                                   .path = in->key,
	                                   .sink = in->sink,
	                                   .offset = in->offset,
	                                   .length = in->length,
	                                   .if_tag = in->if_tag},
	           on_object);
}

static void on_compared(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_get *in = op->in;
	if (!host->good(op, r)) {
		return;
	}
	if (r->nfiles == 1 && differs(in->unless_tag, r->files[0].tag)) {
		read_it(op);
		return;
	}
	on_object(op, r);
}

static void get(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	if (in->unless_tag == NULL) {
		read_it(op);
		return;
	}
	host->file(op, &(struct dif_file_call){.verb = DIF_FILE_STAT, .path = in->key},
	           on_compared);
}

/* --- put --- */

static void on_put(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_put *in = op->in;
	if (!host->good(op, r)) {
		return;
	}
	if (r->nfiles != 1) {
		host->refuse(op, r, "", "the file call gave no tag");
		return;
	}
	host->done(op, &(struct dif_result){.object = {.key = in->key,
	                                               .tag = r->files[0].tag,
	                                               .size = in->blob->size}});
}

/* What to store beside the bytes; NULL: the op has failed. */
static struct dif_field *meta_of(struct dif_op *op, const struct dif_put *in, uint32_t *n)
{
	struct dif_field *meta = host->alloc(op, (in->nmeta + 2) * sizeof *meta);
	if (meta == NULL) {
		no_memory(op);
		return NULL;
	}
	for (uint32_t i = 0; i < in->nmeta; i++) {
		if (is_header(&in->meta[i])) {
			host->fail(op, DIF_PERMANENT, "", "metadata cannot be named '%s' here",
			           in->meta[i].name);
			return NULL;
		}
		meta[(*n)++] = in->meta[i];
	}
	if (in->type != NULL) {
		meta[(*n)++] = (struct dif_field){META_TYPE, in->type};
	}
	if (in->cache != NULL) {
		meta[(*n)++] = (struct dif_field){META_CACHE, in->cache};
	}
	return meta;
}

static void put(struct dif_op *op)
{
	const struct dif_put *in = op->in;
	uint32_t nmeta = 0;
	if (in->encoding != NULL && *in->encoding != '\0') {
		host->fail(op, DIF_PERMANENT, "",
		           "a folder cannot keep content encoding '%s'; set store_as = identity",
		           in->encoding);
		return;
	}
	const struct dif_field *meta = meta_of(op, in, &nmeta);
	if (meta == NULL) {
		return;
	}
	host->file(op,
	           &(struct dif_file_call){
			   .verb = DIF_FILE_PUT,
			   .path = in->key,
			   .body = &(struct dif_piece){.blob = in->blob, .length = in->blob->size},
			   .npieces = 1,
			   .meta = meta,
			   .nmeta = nmeta,
			   .if_tag = in->if_tag,
			   .if_absent = in->if_absent},
	           on_put);
}

/* --- remove --- */

static void remove_next(struct dif_op *op);

static void on_removed(struct dif_op *op, const struct dif_reply *r)
{
	struct removing *s = op->scratch;
	struct dif_item item = {.index = s->next, .cls = DIF_OK};
	if (r->status == 412) {
		item.cls = DIF_CONFLICT;
		item.what = "the file has changed";
	} else if (r->status != 404 && !host->good(op, r)) {
		return;
	}
	host->item(op, &item);
	s->next++;
	remove_next(op);
}

static void remove_next(struct dif_op *op)
{
	const struct dif_remove *in = op->in;
	const struct removing *s = op->scratch;
	if (s->next == in->n) {
		host->done(op, &(struct dif_result){0});
		return;
	}
	host->file(op,
	           &(struct dif_file_call){.verb = DIF_FILE_REMOVE,
	                                   .path = in->keys[s->next],
	                                   .if_tag = in->tags ? in->tags[s->next] : NULL},
	           on_removed);
}

/* --- open --- */

static const struct dif_option options[] = {
	{.name = "root",
         .help = "the folder; it is created if its parent exists",
         .type = DIF_FILE_PATH,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, root)},
	{.name = "side",
         .help = "folder for the marker, temporary files and, where the file system has none, the "
                 "attributes; without: the root's name with .difusor behind it",
         .type = DIF_FILE_PATH,
         .offset = offsetof(struct self, side)},
};

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* The path without slashes at its end; NULL: there is nothing else. */
static const char *trimmed(struct dif_opening *o, const char *path)
{
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	return n == 0 ? NULL : o->fmt(o, "%.*s", (int)n, path);
}

static bool open_dir(void *instance, struct dif_opening *o, struct dif_caps *c)
{
	struct self *s = instance;
	s->root = trimmed(o, s->root);
	if (s->root == NULL) {
		o->refuse(o, "root cannot be the whole file system; name a folder of its own");
		return false;
	}
	s->side = s->side == NULL ? o->fmt(o, "%s.difusor", s->root) : trimmed(o, s->side);
	if (s->side == NULL || is_below(s->side, s->root) || is_below(s->root, s->side)) {
		o->refuse(o, "side must be a folder beside root '%s', not around or inside it",
		          s->root);
		return false;
	}
	static const char *const nowhere[] = {NULL};
	c->size = sizeof *c;
	c->flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE | DIF_CAP_LIST_META | DIF_CAP_UNIQUE_TAG;
	c->hosts = nowhere;
	c->put_max = INT64_MAX;
	c->delete_max = DELETE_MAX;
	c->list_max = 1000;
	c->key_max = KEY_MAX;
	c->meta_max = META_MAX;
	c->root = s->root;
	c->side = s->side;
	return true;
}

static const struct dif_fault faults[] = {{.cls = DIF_OK}};

static const struct dif_store store = {
	.c = {.size = sizeof store,
              .self_size = sizeof(struct self),
              .scratch_size = sizeof(struct removing),
              .faults = faults,
              .open = open_dir,
              .probe = probe},
	.list = list,
	.head = head,
	.get = get,
	.put = put,
	.remove = remove_next,
};

static const struct dif_offer offers[] = {
	{.kind = DIF_STORE,
         .name = "dir",
         .what = "a folder of this machine",
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

const struct dif_plugin *dif_plugin_main(const struct dif_host *h)
{
	if (h->abi_major != DIF_ABI_MAJOR || h->size < sizeof *h) {
		return NULL;
	}
	host = h;
	return &plugin;
}
