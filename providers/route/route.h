/* route - what plug-ins that steer by records of a zone share. A header alone, so that no vendor's
 * folder has it. Each plug-in sets `host`.
 */
#ifndef DIF_PROVIDERS_ROUTE_H
#define DIF_PROVIDERS_ROUTE_H

#include <difusor/plugin.h>

extern const struct dif_host *host;

/* A DNS name's length without a dot at its end. */
static inline size_t route_length(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && name[n - 1] == '.' ? n - 1 : n;
}

/* The same name, whatever case and dot it is written with. */
static inline bool route_same(const char *a, const char *b)
{
	size_t n = route_length(a);
	return n == route_length(b) && strncasecmp(a, b, n) == 0;
}

static inline const char *route_bare(struct dif_op *op, const char *name)
{
	return host->fmt(op, "%.*s", (int)route_length(name), name);
}

/* Names a state where the provider has no tag of its own. */
static inline const char *route_tag(struct dif_op *op, struct dif_bytes state)
{
	struct dif_bytes d = host->hash(op, DIF_SHA256, state);
	return host->enc(op, DIF_HEX, d.p, d.n < 16 ? d.n : 16);
}

/* False: somebody has changed the route since if_tag was told, and the op has failed. */
static inline bool route_unchanged(struct dif_op *op, const char *tag)
{
	const struct dif_route *in = op->in;
	if (in->if_tag == NULL || strcmp(in->if_tag, tag) == 0) {
		return true;
	}
	host->fail(op, DIF_CONFLICT, "", "the route has changed meanwhile");
	return false;
}

/* False: the targets would leave the readers nowhere to go, and the op has failed. The host never
 * asks for that; a mistake of its would take the site off. */
static inline bool route_leads_somewhere(struct dif_op *op)
{
	const struct dif_route *in = op->in;
	for (uint32_t i = 0; i < in->n; i++) {
		if (in->targets[i].weight > 0) {
			return true;
		}
	}
	host->fail(op, DIF_PERMANENT, "", "no target is left with a weight above 0");
	return false;
}

/* --- providers that know no weights --- */

/* A row for the options: the same key as the section's own `type`, which says here how many targets
 * there can be. `type` is the member of `self` that takes it. */
/* clang-format off */
#define ROUTE_TYPE_OPTION(self, type_at) \
	{.name = "type", .def = "CNAME", .type = DIF_ENUM, .choices = "A AAAA CNAME", \
	 .help = "what kind of record leads to the destinations; a CNAME without weights has " \
		 "a single target", \
	 .offset = offsetof(self, type_at)}
/* clang-format on */

static inline uint32_t route_targets_max(const char *type, uint32_t most)
{
	return strcmp(type, "CNAME") == 0 ? 1 : most;
}

/* The one target that a CNAME can lead to: the heaviest, the first of these. NULL: another type. */
static inline const struct dif_target *route_only(const struct dif_op *op)
{
	const struct dif_route *in = op->in;
	const struct dif_target *best = NULL;
	for (uint32_t i = 0; strcmp(in->type, "CNAME") == 0 && i < in->n; i++) {
		if (best == NULL || in->targets[i].weight > best->weight) {
			best = &in->targets[i];
		}
	}
	return best;
}

#endif
