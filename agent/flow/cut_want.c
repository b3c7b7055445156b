/* cut_want - what the destinations need a package to be ingested for: gzip forms and digests. */
#include "flow/cut_private.h"
#include "flow/probe.h"

void dif_cut_want(struct dif_setup *s, struct dif_destination **to, uint32_t nto,
                  struct dif_ingest_want *w)
{
	const struct dif_config *c = s->config;
	for (uint32_t i = 0; i < nto; i++) {
		const struct dif_destination_config *d = to[i]->config;
		const struct dif_caps *caps = dif_instance_caps(to[i]->store);
		if (to[i]->fence == DIF_FENCE_UNKNOWN) {
			dif_probe_recall(to[i], s->state);
		}
		w->gzip = w->gzip || d->siblings != NULL ||
		          (d->store_as != NULL && strcmp(d->store_as, "gzip") == 0);
		uint32_t guard = to[i]->guard;
		for (uint32_t k = 0; k < DIF_LEN(caps->digests) && caps->digests[k] != 0; k++) {
			uint32_t id = caps->digests[k];
			bool ours = id == DIF_SHA256 || id == DIF_MD5 || id == DIF_CRC32C;
			if (ours && (guard == DIF_NO_DIGEST || guard == id)) {
				w->digests |= DIF_HAS(id);
				break; /* the cheapest that we make, or the one that counts there */
			}
		}
	}
	for (uint32_t i = 0; i < c->nclasses; i++) {
		w->gzip = w->gzip || c->classes[i].store_as == DIF_GZIP;
	}
}

bool dif_cut_serves(const struct dif_manifest *m, const struct dif_ingest_want *w)
{
	uint32_t digests = w->digests | DIF_HAS(DIF_SHA256);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct dif_form *f = m->members[i].form;
		bool gzip = w->gzip && m->members[i].method == 8;
		if ((f[DIF_IDENTITY].has & digests) != digests ||
		    (gzip && (f[DIF_GZIP].has & digests) != digests)) {
			return false;
		}
	}
	return true;
}
