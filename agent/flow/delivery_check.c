/* delivery_check - what readers get of the cut, once its CDNs say that they have forgotten the
 * older one: a sample of what changed, as it is and gzipped.
 *
 * What is not the cut's is purged again; a purge that a CDN took is not a purge that it has
 * done everywhere. What is other than it shall be when the patience is over fails the delivery:
 * everything is at the store, and readers do not get it. An address that does not answer us tells
 * nothing of readers, and is a warning.
 */
#include <stdlib.h>

#include "base/log.h"
#include "flow/delivery_private.h"

#define PATIENCE_MS 30000 /* beyond what the CDN says that a purge takes */
#define UNREACHED_MAX 3   /* so many without any answer, and nobody is asked any more */
#define CUTS_LOOKED 4     /* for the manifests of older cuts */

static bool is_due(const struct dif_delivery *d)
{
	const struct dif_destination_config *c = d->to->config;
	return c->ncdns > 0 && c->public_url != NULL && !c->is_private && d->state != NULL;
}

/* --- older cuts --- */

struct older {
	char sha256[CUTS_LOOKED][65];
	uint32_t n;
	const char *ours;
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct older *o = data;
	if (o->n < CUTS_LOOKED && c->status != DIF_CUT_REFUSED &&
	    strcmp(c->order.sha256, o->ours) != 0) {
		memcpy(o->sha256[o->n++], c->order.sha256, sizeof o->sha256[0]);
	}
}

/* The state keeps the last few manifests. */
static void find_others(struct dif_delivery *d)
{
	struct older o = {.ours = d->job.manifest->order.sha256};
	struct dif_error ignored = {0};
	dif_state_cuts(d->state, CUTS_LOOKED + 1, on_cut, &o);
	for (uint32_t i = 0; i < o.n && d->check.nothers < DIF_LEN(d->check.others); i++) {
		struct dif_manifest *m = dif_state_manifest(d->state, o.sha256[i], &ignored);
		if (m != NULL) {
			d->check.others[d->check.nothers++] = m;
		}
	}
}

void dif_delivery_check_fini(struct dif_delivery *d)
{
	for (uint32_t i = 0; i < d->check.nothers; i++) {
		dif_manifest_unref(d->check.others[i]);
	}
	d->check.nothers = 0;
}

/* --- the answers --- */

static uint64_t count_bad(const struct dif_edge_report *r)
{
	return r->verdict[DIF_EDGE_STALE] + r->verdict[DIF_EDGE_ALTERED] +
	       r->verdict[DIF_EDGE_MISSING];
}

static bool is_bad(const struct dif_edge_finding *f)
{
	return f->verdict == DIF_EDGE_STALE || f->verdict == DIF_EDGE_ALTERED ||
	       f->verdict == DIF_EDGE_MISSING;
}

static void purge_again(struct dif_delivery *d, const struct dif_edge_finding *f)
{
	const char *path = *f->path == '\0' ? "index.html" : f->path;
	const struct dif_want *w = dif_map_get(
		&d->wants.by_key, dif_arena_fmt(&d->arena, "%s%s", d->to->config->prefix, path));
	if (w != NULL) {
		dif_delivery_owe_again(d, w);
	}
}

static void on_round(void *data, const struct dif_edge_report *r)
{
	struct dif_delivery *d = data;
	if (d->stopping || count_bad(r) == 0) {
		if (count_bad(r) == 0) { /* no other round makes it better */
			dif_edge_stop(d->check.edge);
		}
		return;
	}
	if (d->purge.is_waiting) {
		return; /* the last one is under way; another one would begin it anew */
	}
	for (uint32_t i = 0; i < r->nfindings; i++) {
		if (is_bad(&r->findings[i])) { /* altered: or of a cut that nobody remembers */
			purge_again(d, &r->findings[i]);
		}
	}
	dif_delivery_release_purge(d);
}

static void judge(struct dif_delivery *d, const struct dif_edge_report *r)
{
	const struct dif_edge_finding *worst = NULL;
	for (uint32_t i = 0; i < r->nfindings; i++) {
		const struct dif_edge_finding *f = &r->findings[i];
		if (is_bad(f) && (worst == NULL || (worst->verdict != DIF_EDGE_ALTERED &&
		                                    f->verdict == DIF_EDGE_ALTERED))) {
			worst = f;
		}
	}
	if (worst != NULL) {
		bool altered = worst->verdict == DIF_EDGE_ALTERED;
		dif_error_set(
			&d->check.err, altered ? DIF_INTEGRITY : DIF_TRANSIENT,
			"could not show the cut at destination '%s': readers get %llu of %llu "
			"addresses otherwise; '%.200s': %.300s",
			d->to->config->name, (unsigned long long)count_bad(r),
			(unsigned long long)r->of, worst->url, worst->text);
	} else if (r->wrong > 0 && r->nfindings > 0) {
		dif_log(DIF_LOG_WARNING, "edge", "destination=%s wrong=%llu of=%llu url=%s what=%s",
		        dif_q(d->to->config->name), (unsigned long long)r->wrong,
		        (unsigned long long)r->of, dif_q(r->findings[0].url),
		        dif_q(r->findings[0].text));
	}
}

static void on_done(void *data, const struct dif_edge_report *r)
{
	struct dif_delivery *d = data;
	d->check.edge = NULL;
	d->check.is_over = true;
	d->check.visible = r->first_visible;
	if (!d->stopping && !d->outrun) {
		judge(d, r);
	}
	dif_delivery_check_fini(d);
	dif_delivery_idle(d);
}

/* --- the step --- */

static int64_t patience_of(const struct dif_delivery *d)
{
	int64_t most = 0, half = dif_delivery_left(d) / 2;
	for (uint32_t i = 0; i < d->to->config->ncdns; i++) {
		int64_t ms = dif_instance_caps(d->to->cdns[i])->settle_ms;
		most = ms > most ? ms : most;
	}
	most += PATIENCE_MS;
	return most < half ? most : half > 0 ? half : 0;
}

static bool start(struct dif_delivery *d)
{
	static const struct dif_edge_events events = {.round = on_round, .done = on_done};
	const struct dif_member **members = calloc((size_t)d->plan.n + 1, sizeof(void *));
	uint32_t n = 0;
	if (members == NULL) {
		return false;
	}
	for (uint32_t i = 0; i < d->plan.n; i++) {
		if (!d->plan.puts[i]->sibling) {
			members[n++] = d->plan.puts[i]->member;
		}
	}
	find_others(d);
	const struct dif_edge_job job = {.engine = d->job.engine,
	                                 .destination = d->to->config,
	                                 .manifest = d->job.manifest,
	                                 .package = d->job.package,
	                                 .classes = d->job.classes,
	                                 .nclasses = d->job.nclasses,
	                                 .others = d->check.others,
	                                 .nothers = d->check.nothers,
	                                 .pick = DIF_EDGE_SAMPLE,
	                                 .members = n > 0 ? members : NULL,
	                                 .nmembers = n,
	                                 .gzip = true,
	                                 .patience_ms = patience_of(d)};
	d->check.edge = dif_edge_start(&job, &events, d);
	free(members);
	return d->check.edge != NULL;
}

void dif_delivery_look_at_check(struct dif_delivery *d)
{
	if (d->check.edge == NULL) {
		return;
	}
	const struct dif_edge_report *r = dif_edge_so_far(d->check.edge);
	bool silent = r->round <= 1 && r->verdict[DIF_EDGE_UNREACHED] >= UNREACHED_MAX &&
	              r->verdict[DIF_EDGE_UNREACHED] == r->checked;
	if (silent || d->stopping || d->outrun) {
		dif_edge_stop(d->check.edge);
	}
}

void dif_delivery_check(struct dif_delivery *d)
{
	if (!d->check.is_over && d->check.edge == NULL && is_due(d)) {
		if (start(d)) {
			dif_delivery_busy(d);
			return;
		}
		dif_delivery_check_fini(d);
		dif_log(DIF_LOG_WARNING, "edge", "destination=%s what=%s",
		        dif_q(d->to->config->name), dif_q("out of memory: not checked"));
	}
	if (d->check.edge != NULL) {
		return;
	}
	if (d->check.err.cls != DIF_OK) {
		dif_delivery_stop(d, FAILED, &d->check.err);
	} else {
		dif_delivery_go(d, REMOVING);
	}
}
