/* broken - a plug-in with one fault, chosen by a definition; without any it is good. The loader's
 * test shows that each fault is found. */
#include <difusor/plugin.h>

#ifdef FAULT_UNDEFINED
int getpid(void);
#endif

#ifdef FAULT_CONSTRUCTOR
/* Would end the test if one byte of a refused library ran. */
__attribute__((constructor)) static void run(void)
{
	__builtin_trap();
}
__attribute__((visibility("default"))) int second_symbol(void);
int second_symbol(void)
{
	return 1;
}
#endif

#ifdef FAULT_TWO_SYMBOLS
__attribute__((visibility("default"))) int second_symbol = 1;
#endif

static const struct dif_host *host;

struct self {
	const char *text;
	int64_t number;
	uint32_t yes;
};

static const struct dif_option options[] = {
	{.name = "text",
         .help = "a text",
         .type = DIF_STRING,
#ifdef FAULT_OPTION_OUTSIDE
         .offset = sizeof(struct self) - 4},
#else
         .offset = offsetof(struct self, text)},
#endif
#ifdef FAULT_OPTION_TWICE
	{.name = "text", .help = "again", .type = DIF_STRING},
#endif
#ifdef FAULT_OPTION_TYPE
	{.name = "odd", .help = "of no type", .type = 99},
#endif
	{.name = "number",
         .help = "a number",
         .type = DIF_INT,
         .offset = offsetof(struct self, number)},
	{.name = "yes",
         .help = "yes or no",
         .type = DIF_BOOL,
         .offset = offsetof(struct self, yes)},
};

static const struct dif_fault faults[] = {
	{0, "SlowDown", DIF_THROTTLED},
#ifdef FAULT_FAULTS
	{0, "Odd", 77},
#endif
	{0, NULL, DIF_OK},
};

__attribute__((unused)) static bool open_instance(void *self, struct dif_opening *o,
                                                  struct dif_caps *caps)
{
	(void)self;
	(void)o;
	(void)caps;
	return true;
}

static void verb(struct dif_op *op)
{
#ifdef FAULT_UNDEFINED
	host->fail(op, DIF_PERMANENT, "", "%d", getpid());
#else
	host->done(op, &(struct dif_result){0});
#endif
}

static const struct dif_store store = {
	.c = {.size = sizeof store,
              .self_size = sizeof(struct self),
              .faults = faults,
#ifndef FAULT_NO_OPEN
              .open = open_instance,
#endif
              .probe = verb},
#ifndef FAULT_NO_HEAD
	.head = verb,
#endif
	.get = verb,
#ifdef FAULT_PARTS
	.part_begin = verb,
	.part_put = verb,
	.part_finish = verb,
#endif
};

/* The other kinds, each without one of its verbs. */
#define COMMON(type)                                                                           \
	{                                                                                      \
		.size = sizeof(type), .self_size = sizeof(struct self), .open = open_instance, \
		.probe = verb                                                                  \
	}
#ifdef FAULT_NO_PURGE
static const struct dif_cdn other = {.c = COMMON(struct dif_cdn), .purge_state = verb};
#define OTHER DIF_CDN
#endif
#ifdef FAULT_NO_SET
static const struct dif_steer other = {
	.c = COMMON(struct dif_steer), .get = verb, .set_state = verb};
#define OTHER DIF_STEER
#endif
#ifdef FAULT_NO_RENEW
static const struct dif_leaser other = {
	.c = COMMON(struct dif_leaser), .acquire = verb, .release = verb, .read = verb};
#define OTHER DIF_LEASE
#endif
#ifdef FAULT_SMALL_TABLE /* a table of another kind, which is shorter */
static const struct dif_cdn other = {.c = COMMON(struct dif_cdn), .purge = verb};
#define OTHER DIF_STORE
#endif

static const struct dif_offer offers[] = {
#ifdef OTHER
	{.kind = OTHER, .name = "other", .what = "of another kind", .verbs = &other.c},
#endif
	{.kind = DIF_STORE,
#ifdef FAULT_NAME
         .name = "Not A Name",
#else
         .name = "broken",
#endif
         .what = "a plug-in for a test",
         .options = options,
         .noptions = DIF_LEN(options),
         .verbs = &store.c},
#ifdef FAULT_OFFER_TWICE
	{.kind = DIF_STORE, .name = "broken", .what = "again", .verbs = &store.c},
#endif
};

__attribute__((unused)) static const struct dif_plugin plugin = {
#if defined(FAULT_MAGIC)
	.magic = 0x1234,
	.size = sizeof(struct dif_plugin),
	.abi_major = DIF_ABI_MAJOR,
#elif defined(FAULT_ABI)
	.magic = DIF_ABI_MAGIC,
	.size = sizeof(struct dif_plugin),
	.abi_major = DIF_ABI_MAJOR + 1,
#elif defined(FAULT_SIZE)
	.magic = DIF_ABI_MAGIC,
	.size = sizeof(struct dif_plugin),
	.abi_major = DIF_ABI_MAJOR,
	.offer_size = sizeof(struct dif_offer),
	.option_size = sizeof(struct dif_option),
	.fault_size = sizeof(struct dif_fault),
	.field_size = sizeof(struct dif_field),
	.object_size = sizeof(struct dif_object) - 8,
	.piece_size = sizeof(struct dif_piece),
#else
	DIF_PLUGIN_SIZES,
#endif
#ifndef FAULT_NO_VERSION
	.version = VERSION,
#endif
	.offers = offers,
	.noffers = DIF_LEN(offers),
};

#ifdef FAULT_NO_MAIN
#define MAIN only_inside
const struct dif_plugin *only_inside(const struct dif_host *h);
#else
#define MAIN dif_plugin_main
#endif

const struct dif_plugin *MAIN(const struct dif_host *h)
{
	host = h;
#ifdef FAULT_REFUSES
	return NULL;
#else
	return &plugin;
#endif
}
