/* loader_descriptor - a plug-in's descriptor, field by field, before anything of it is used.
 *
 * It is not hostile input (its code runs in this process), but it may be of another age or wrong,
 * and a wrong offset would be a wrong write at the first open.
 */
#include <inttypes.h>

#include "host/loader_private.h"

#define OFFERS_MAX 16u
#define OPTIONS_MAX 64u
#define FAULTS_MAX 256u
#define SELF_MAX (1u << 20)
#define SCRATCH_MAX (1u << 16)
#define NAME_MAX_LENGTH 32u

#define REFUSE(err, ...) dif_error_exit(err, DIF_EXIT_PLUGIN, DIF_PERMANENT, __VA_ARGS__)

static bool is_name(const char *s, const char *extra)
{
	size_t n = 0;
	for (; s != NULL && s[n] != '\0'; n++) {
		bool good = (s[n] >= 'a' && s[n] <= 'z') || (s[n] >= '0' && s[n] <= '9') ||
		            strchr(extra, s[n]) != NULL;
		if (!good || n == NAME_MAX_LENGTH) {
			return false;
		}
	}
	return n > 0;
}

static bool check_sizes(const struct dif_plugin *p, struct dif_error *err)
{
	const struct {
		const char *name;
		size_t theirs, ours;
	} sizes[] = {
		{"dif_offer", p->offer_size, sizeof(struct dif_offer)},
		{"dif_option", p->option_size, sizeof(struct dif_option)},
		{"dif_fault", p->fault_size, sizeof(struct dif_fault)},
		{"dif_field", p->field_size, sizeof(struct dif_field)},
		{"dif_object", p->object_size, sizeof(struct dif_object)},
		{"dif_piece", p->piece_size, sizeof(struct dif_piece)},
		{"dif_target", p->target_size, sizeof(struct dif_target)},
	};
	for (size_t i = 0; i < DIF_LEN(sizes); i++) {
		if (sizes[i].theirs != sizes[i].ours) {
			return REFUSE(err,
			              "its struct %s has %zu bytes, here it has %zu: build it "
			              "with this program's plugin.h",
			              sizes[i].name, sizes[i].theirs, sizes[i].ours);
		}
	}
	return true;
}

static size_t member_size(uint32_t type)
{
	switch ((enum dif_type)type) {
	case DIF_STRING:
	case DIF_URL:
	case DIF_FILE_PATH:
	case DIF_ENUM:
		return sizeof(const char *);
	case DIF_BOOL:
		return sizeof(uint32_t);
	case DIF_INT:
	case DIF_SIZE:
	case DIF_DURATION:
		return sizeof(int64_t);
	}
	return 0;
}

static bool check_option(const struct dif_offer *o, uint32_t at, struct dif_error *err)
{
	const struct dif_option *row = &o->options[at];
	if (!is_name(row->name, "_")) {
		return REFUSE(err, "offer '%s': option %" PRIu32 " has no proper name", o->name,
		              at);
	}
	size_t size = member_size(row->type);
	if (size == 0) {
		return REFUSE(err, "offer '%s': option '%s' has the unknown type %" PRIu32, o->name,
		              row->name, row->type);
	}
	if (row->offset > o->verbs->self_size || size > o->verbs->self_size - row->offset ||
	    row->offset % size != 0) {
		return REFUSE(err, "offer '%s': option '%s' does not lie inside the instance",
		              o->name, row->name);
	}
	if (row->help == NULL || (row->type == DIF_ENUM && row->choices == NULL) ||
	    row->min > row->max) {
		return REFUSE(err, "offer '%s': option '%s' lacks its help, choices or bounds",
		              o->name, row->name);
	}
	for (uint32_t i = 0; i < at; i++) {
		if (strcmp(o->options[i].name, row->name) == 0) {
			return REFUSE(err, "offer '%s': option '%s' is there twice", o->name,
			              row->name);
		}
	}
	return true;
}

static bool check_faults(const struct dif_offer *o, struct dif_error *err)
{
	const struct dif_fault *f = o->verbs->faults;
	for (uint32_t i = 0; f != NULL && f[i].cls != DIF_OK; i++) {
		if (i == FAULTS_MAX || f[i].cls >= DIF_CLASSES) {
			return REFUSE(err, "offer '%s': its fault table has no end", o->name);
		}
	}
	return true;
}

static bool has_store_verbs(const struct dif_offer *o, struct dif_error *err)
{
	const struct dif_store *s = (const struct dif_store *)(const void *)o->verbs;
	if (s->head == NULL || s->get == NULL) {
		return REFUSE(err, "offer '%s': it lacks head or get", o->name);
	}
	int parts = (s->part_begin != NULL) + (s->part_put != NULL) + (s->part_finish != NULL) +
	            (s->part_abort != NULL);
	return parts == 0 || parts == 4 ||
	       REFUSE(err, "offer '%s': it lacks some of the verbs for parts", o->name);
}

static bool has_other_verbs(const struct dif_offer *o, struct dif_error *err)
{
	const struct dif_cdn *c = (const struct dif_cdn *)(const void *)o->verbs;
	const struct dif_steer *s = (const struct dif_steer *)(const void *)o->verbs;
	const struct dif_leaser *l = (const struct dif_leaser *)(const void *)o->verbs;
	if (o->kind == DIF_CDN && c->purge == NULL) {
		return REFUSE(err, "offer '%s': it lacks purge", o->name);
	}
	if (o->kind == DIF_STEER && (s->get == NULL || s->set == NULL)) {
		return REFUSE(err, "offer '%s': it lacks get or set", o->name);
	}
	return o->kind != DIF_LEASE ||
	       (l->acquire != NULL && l->renew != NULL && l->release != NULL && l->read != NULL) ||
	       REFUSE(err, "offer '%s': it lacks one of acquire, renew, release, read", o->name);
}

static bool check_verbs(const struct dif_offer *o, struct dif_error *err)
{
	static const size_t least[] = {
		[DIF_STORE] = sizeof(struct dif_store),
		[DIF_CDN] = sizeof(struct dif_cdn),
		[DIF_STEER] = sizeof(struct dif_steer),
		[DIF_LEASE] = sizeof(struct dif_leaser),
	};
	const struct dif_kind_common *c = o->verbs;
	if (c == NULL || c->size < least[o->kind]) {
		return REFUSE(err, "offer '%s': its table of verbs is too small", o->name);
	}
	if (c->self_size > SELF_MAX || c->scratch_size > SCRATCH_MAX) {
		return REFUSE(err, "offer '%s': it asks for too much memory", o->name);
	}
	if (c->open == NULL || c->probe == NULL) {
		return REFUSE(err, "offer '%s': it lacks open or probe", o->name);
	}
	return o->kind == DIF_STORE ? has_store_verbs(o, err) : has_other_verbs(o, err);
}

static bool check_offer(const struct dif_plugin *p, uint32_t at, struct dif_error *err)
{
	const struct dif_offer *o = &p->offers[at];
	if (!is_name(o->name, "-")) {
		return REFUSE(err, "offer %" PRIu32 " has no proper name", at);
	}
	if (o->kind < DIF_STORE || o->kind > DIF_LEASE || o->what == NULL) {
		return REFUSE(err, "offer '%s': its kind is unknown or it is not described",
		              o->name);
	}
	for (uint32_t i = 0; i < at; i++) {
		if (p->offers[i].kind == o->kind && strcmp(p->offers[i].name, o->name) == 0) {
			return REFUSE(err, "offer '%s' is there twice", o->name);
		}
	}
	if (!check_verbs(o, err) || !check_faults(o, err)) {
		return false;
	}
	if (o->noptions > OPTIONS_MAX || (o->noptions > 0 && o->options == NULL)) {
		return REFUSE(err, "offer '%s': its table of options is malformed", o->name);
	}
	for (uint32_t i = 0; i < o->noptions; i++) {
		if (!check_option(o, i, err)) {
			return false;
		}
	}
	return true;
}

bool dif_descriptor_check(const struct dif_plugin *p, struct dif_error *err)
{
	if (p == NULL) {
		return REFUSE(err, "it says it cannot work with this program (ABI %u.%u)",
		              DIF_ABI_MAJOR, DIF_ABI_MINOR);
	}
	if (p->magic != DIF_ABI_MAGIC) {
		return REFUSE(err, "its descriptor is none (magic 0x%08" PRIx32 ")", p->magic);
	}
	if (p->abi_major != DIF_ABI_MAJOR) {
		return REFUSE(err,
		              "it speaks ABI %" PRIu32 ".%" PRIu32
		              ", this program %u.%u: rebuild it",
		              p->abi_major, p->abi_minor, DIF_ABI_MAJOR, DIF_ABI_MINOR);
	}
	if (p->size < sizeof *p) {
		return REFUSE(err, "its descriptor is cut off");
	}
	if (!check_sizes(p, err)) {
		return false;
	}
	if (p->version == NULL || p->offers == NULL || p->noffers == 0 || p->noffers > OFFERS_MAX) {
		return REFUSE(err, "its descriptor has no version or no offers");
	}
	for (uint32_t i = 0; i < p->noffers; i++) {
		if (!check_offer(p, i, err)) {
			return false;
		}
	}
	return true;
}
