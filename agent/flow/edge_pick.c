/* edge_pick - which URLs of a cut are asked for. */
#include <stdlib.h>
#include <string.h>

#include "flow/edge_private.h"

#define FRONT_MAX 200 /* entry pages and aggregates of a sample */
#define REST_MIN 5    /* of the rest */
#define REST_MAX 300
#define REST_PART 100 /* one in so many */

struct picking {
	const struct dif_edge_job *job;
	const struct dif_member **all; /* what to choose from, then what was chosen */
	uint32_t n;
	struct edge_target *to;
	uint32_t nto;
};

static const struct dif_class_rule *class_of(const struct dif_edge_job *job,
                                             const struct dif_member *m)
{
	return dif_class_of(job->classes, job->nclasses, m->path);
}

static bool is_front(const struct dif_edge_job *job, const struct dif_member *m)
{
	return class_of(job, m)->phase >= DIF_AGGREGATE;
}

static uint32_t chance(uint32_t below)
{
	uint32_t r = 0;
	dif_random(&r, sizeof r); /* the bias of so few is no matter */
	return r % below;
}

static void swap(const struct dif_member **a, const struct dif_member **b)
{
	const struct dif_member *kept = *a;
	*a = *b;
	*b = kept;
}

/* The first n of these become a choice by chance of all. */
static void draw(const struct dif_member **all, uint32_t of, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		swap(&all[i], &all[i + chance(of - i)]);
	}
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/* Of the front all, by chance where they are too many; of the rest a part. */
static void sample(struct picking *p)
{
	uint32_t front = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		if (is_front(p->job, p->all[i])) {
			swap(&p->all[i], &p->all[front++]);
		}
	}
	uint32_t rest = p->n - front, part = rest / REST_PART;
	uint32_t n = least(front, FRONT_MAX);
	part = least(rest, part < REST_MIN ? REST_MIN : least(part, REST_MAX));
	draw(p->all, front, n);
	draw(p->all + front, rest, part);
	memmove(p->all + n, p->all + front, part * sizeof(const struct dif_member *));
	p->n = n + part;
}

static int by_path(const void *a, const void *b)
{
	const struct dif_member *const *x = a, *const *y = b;
	return strcmp((*x)->path, (*y)->path);
}

/* other: the same entry in the cut before, NULL: it had none. */
static bool differs(const struct dif_member *m, const struct dif_member *other)
{
	if (other == NULL || other->size != m->size) {
		return true;
	}
	const struct dif_form *f = &m->form[DIF_IDENTITY], *g = &other->form[DIF_IDENTITY];
	return (g->has & DIF_HAS(DIF_SHA256)) != 0
	               ? memcmp(f->sha256, g->sha256, sizeof f->sha256) != 0
	               : m->crc != other->crc;
}

static void add(struct picking *p, const struct dif_member *m, bool root)
{
	const struct dif_edge_job *job = p->job;
	const struct dif_class_rule *r = class_of(job, m);
	const char *type = r->content_type != NULL ? r->content_type : dif_class_type(m->path);
	struct edge_target t = {.member = m,
	                        .root = root,
	                        .entry = root || r->phase == DIF_ENTRY,
	                        .type = type,
	                        .telling = job->nothers == 0 ||
	                                   differs(m, dif_manifest_find(job->others[0], m->path))};
	p->to[p->nto++] = t;
	if (job->gzip && dif_class_is_text(type)) {
		t.gzip = true;
		p->to[p->nto++] = t;
	}
}

bool edge_pick(const struct dif_edge_job *job, struct edge_target **all, uint32_t *n)
{
	struct picking p = {.job = job,
	                    .n = job->members != NULL ? job->nmembers : job->manifest->n};
	p.all = calloc((size_t)p.n + 1, sizeof(const struct dif_member *));
	p.to = calloc(2 * (size_t)p.n + 2, sizeof *p.to);
	if (p.all == NULL || p.to == NULL) {
		free(p.all);
		free(p.to);
		return false;
	}
	for (uint32_t i = 0; i < p.n; i++) {
		p.all[i] = job->members != NULL ? job->members[i] : &job->manifest->members[i];
	}
	if (job->pick == DIF_EDGE_SAMPLE) {
		sample(&p);
	}
	qsort(p.all, p.n, sizeof(const struct dif_member *), by_path);
	const struct dif_member *root = dif_manifest_find(job->manifest, "index.html");
	if (root != NULL) {
		add(&p, root, true);
	}
	for (uint32_t i = 0; i < p.n; i++) {
		add(&p, p.all[i], false);
	}
	free(p.all);
	*all = p.to;
	*n = p.nto;
	return true;
}
