/* contract_input - what the verbs of CDNs, steering and leases take, what scripts may call it, and
 * whether what came out is that. Values that are made here live as long as the trial. */
#include <stdio.h>

#include "base/parse.h"
#include "rehearsal/contract_private.h"

#define IDEM "0123456789abcdef0123456789abcdef"
#define ITEMS_USUAL 2
#define LONG_ITEM 1024
#define TTL_S 60
#define LEASE_TTL_S 15

static const char *text_of(const char *s)
{
	return s != NULL ? s : "";
}

static const char *value(const struct dif_suite *s, const char *name)
{
	return text_of(dif_values_get(&s->values, name));
}

static void set_number(struct dif_suite *s, const char *name, uint64_t n)
{
	dif_values_text(&s->values, name, dif_arena_fmt(&s->work, "%llu", (unsigned long long)n));
}

/* --- a purge --- */

static const char *long_path(struct dif_suite *s, uint32_t i)
{
	char *path = dif_arena_alloc(&s->work, LONG_ITEM + 1);
	if (path == NULL) {
		return "/";
	}
	const char *name = dif_long_name(&s->work, LONG_ITEM - 8);
	(void)snprintf(path, LONG_ITEM + 1, "/%06u%s", i, name);
	return path;
}

static const char *path_of(struct dif_suite *s, const struct dif_trial *t, uint32_t i)
{
	static const char *const first[][ITEMS_USUAL] = {
		[DIF_PURGE_URLS] = {"/p/page.html", "/p/"},
		[DIF_PURGE_PREFIXES] = {"/p/", "/q/"},
		[DIF_PURGE_TAGS] = {"cut-12", "page_index"},
	};
	const char *ending = t->scope == DIF_PURGE_PREFIXES ? "/" : "";
	if (t->path != NULL) {
		return dif_arena_fmt(&s->work, "%s%s", t->path, ending);
	}
	if (t->is_long) {
		return dif_arena_fmt(&s->work, "%s%s", long_path(s, i), ending);
	}
	if (i < ITEMS_USUAL) {
		return first[t->scope][i];
	}
	return t->scope == DIF_PURGE_TAGS ? dif_arena_fmt(&s->work, "page-%06u", i)
	                                  : dif_arena_fmt(&s->work, "/p/%06u%s", i, ending);
}

static uint32_t bound_of(const struct dif_suite *s, const struct dif_trial *t)
{
	uint32_t most = t->scope == DIF_PURGE_URLS  ? s->caps.purge_max
	                : t->scope == DIF_PURGE_ALL ? 0
	                                            : s->caps.purge_wide_max;
	uint32_t n = t->items > 0 ? t->items : ITEMS_USUAL;
	if (t->scope == DIF_PURGE_ALL) {
		return 0;
	}
	return most > 0 && most < n ? most : n;
}

/* As many of the asked number as caps.purge_bytes leaves room for. */
static uint32_t make_items(struct dif_suite *s, const struct dif_trial *t, const char **urls,
                           const char **paths, uint32_t n)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < n; i++) {
		paths[i] = path_of(s, t, i);
		urls[i] = t->scope == DIF_PURGE_TAGS
		                  ? paths[i]
		                  : dif_arena_fmt(&s->work, "%s%s", value(s, "site"), paths[i]);
		bytes += strlen(urls[i]) + s->caps.purge_item_bytes;
		if (i > 0 && s->caps.purge_bytes > 0 && bytes > s->caps.purge_bytes) {
			return i;
		}
	}
	return n;
}

static void name_items(struct dif_suite *s, const struct dif_purge *in)
{
	static const char *const columns[] = {"url", "path", "tag"};
	const char *const *cells[] = {in->urls, in->paths, in->urls};
	struct dif_values *v = &s->values;
	v->ncolumns = DIF_LEN(columns);
	v->nitems = in->n;
	for (uint32_t c = 0; c < v->ncolumns; c++) {
		v->column[c] = columns[c];
		v->cell[c] = cells[c];
		dif_values_text(v, columns[c], in->n > 0 ? cells[c][0] : "");
	}
	set_number(s, "n", in->n);
	set_number(s, "node", in->node);
	const char *server = dif_arena_fmt(&s->work, "server%u", in->node);
	dif_values_text(v, "server", value(s, server));
}

static const void *make_purge(struct dif_suite *s, const struct dif_trial *t,
                              struct dif_kind_input *to)
{
	uint32_t n = bound_of(s, t);
	const char **urls = dif_arena_alloc(&s->work, (n + 1) * sizeof *urls);
	const char **paths = dif_arena_alloc(&s->work, (n + 1) * sizeof *paths);
	if (urls == NULL || paths == NULL) {
		n = 0;
	}
	to->purge = (struct dif_purge){.scope = t->scope,
	                               .n = make_items(s, t, urls, paths, n),
	                               .urls = urls,
	                               .paths = paths,
	                               .idem = IDEM,
	                               .node = t->node};
	name_items(s, &to->purge);
	return &to->purge;
}

/* --- a route --- */

static void make_targets(struct dif_suite *s, const struct dif_trial *t, struct dif_kind_input *to)
{
	static const char *const names[][3] = {{"target1", "value1", "weight1"},
	                                       {"target2", "value2", "weight2"}};
	bool weighs = (s->caps.flags & DIF_CAP_WEIGHTS) != 0;
	uint32_t most = s->caps.targets_max;
	uint32_t weights[DIF_TARGETS] = {3, 1};
	for (uint32_t i = 0; i < DIF_TARGETS; i++) {
		uint32_t weight = !weighs                           ? 1
		                  : weights[i] < s->caps.weight_max ? weights[i]
		                                                    : s->caps.weight_max;
		bool gets_nobody = weighs && t->is_withdrawn && i > 0;
		to->targets[i] = (struct dif_target){.name = value(s, names[i][0]),
		                                     .value = value(s, names[i][1]),
		                                     .weight = gets_nobody ? 0 : weight};
		set_number(s, names[i][2], to->targets[i].weight);
	}
	to->route.n = most == 1 || (t->is_withdrawn && !weighs) ? 1 : DIF_TARGETS;
}

static void name_targets(struct dif_suite *s, const struct dif_kind_input *in)
{
	static const char *const columns[] = {"target", "value", "weight"};
	struct dif_values *v = &s->values;
	const char **cells[DIF_LEN(columns)];
	v->ncolumns = DIF_LEN(columns);
	v->nitems = in->route.n;
	for (uint32_t c = 0; c < v->ncolumns; c++) {
		cells[c] = dif_arena_alloc(&s->work, DIF_TARGETS * sizeof **cells);
		v->column[c] = columns[c];
		v->cell[c] = cells[c];
		v->nitems = cells[c] != NULL ? v->nitems : 0;
	}
	for (uint32_t i = 0; i < v->nitems; i++) {
		cells[0][i] = in->targets[i].name;
		cells[1][i] = in->targets[i].value;
		cells[2][i] = dif_arena_fmt(&s->work, "%u", in->targets[i].weight);
	}
	set_number(s, "n", in->route.n);
}

static uint32_t ttl_of(const struct dif_suite *s)
{
	uint32_t ttl = TTL_S < s->caps.ttl_min_s ? s->caps.ttl_min_s : TTL_S;
	return s->caps.ttl_max_s > 0 && ttl > s->caps.ttl_max_s ? s->caps.ttl_max_s : ttl;
}

static const void *make_route(struct dif_suite *s, const struct dif_trial *t,
                              struct dif_kind_input *to)
{
	const char *tag = s->caps.root != NULL ? s->tag : value(s, "tag_set");
	tag = *tag == '\0' && s->caps.root == NULL ? value(s, "tag") : tag;
	to->route = (struct dif_route){
		.name = value(s, "name"), .type = value(s, "type"), .idem = IDEM};
	make_targets(s, t, to);
	name_targets(s, to);
	set_number(s, "ttl", ttl_of(s));
	if (t->verb == DIF_ROUTE_SET) {
		to->route.targets = to->targets;
		to->route.ttl_s = ttl_of(s);
		to->route.if_tag = t->is_absent || *tag == '\0' ? NULL : tag;
	} else {
		to->route.n = 0;
	}
	return &to->route;
}

/* --- input --- */

const void *dif_kind_input(struct dif_suite *s, const struct dif_trial *t,
                           struct dif_kind_input *to)
{
	dif_values_text(&s->values, "idem", IDEM);
	switch (t->verb) {
	case DIF_PURGE:
		return make_purge(s, t, to);
	case DIF_ROUTE_GET:
	case DIF_ROUTE_SET:
		return make_route(s, t, to);
	case DIF_PURGE_STATE:
	case DIF_ROUTE_STATE:
		to->ticket = (struct dif_ticket){.id = value(s, "ticket")};
		return &to->ticket;
	case DIF_LEASE_ACQUIRE:
	case DIF_LEASE_RENEW:
	case DIF_LEASE_RELEASE:
	case DIF_LEASE_READ:
		set_number(s, "ttl", LEASE_TTL_S);
		to->lease = (struct dif_lease_call){.name = value(s, "name"),
		                                    .owner = value(s, "owner"),
		                                    .lease = value(s, "lease"),
		                                    .ttl_s = LEASE_TTL_S};
		return &to->lease;
	default:
		return NULL;
	}
}

/* --- what came out --- */

static bool same(struct dif_suite *s, const char *what, const char *got, const char *want)
{
	return strcmp(text_of(got), text_of(want)) == 0 ||
	       dif_suite_wrong(s, "the %s is '%.200s', not '%.200s'", what, text_of(got),
	                       text_of(want));
}

static bool is_told(const char *s)
{
	return *text_of(s) != '\0';
}

/* A star before what is wanted stands for anything: a time that nobody knows beforehand. */
static void same_ticket(struct dif_suite *s, const char *got, const char *want)
{
	size_t n = strlen(got), tail = strlen(want);
	if (*want == '*' && n >= tail - 1) {
		got += n - (tail - 1);
		want++;
	}
	same(s, "ticket", got, want);
}

/* After what asked for something: settled, or a ticket for what can be asked about. */
static void judge_begun(struct dif_suite *s, const struct dif_outcome *out, bool has_state)
{
	const struct dif_result *r = &out->result;
	if (r->settled != 0 && is_told(r->ticket)) {
		dif_suite_wrong(s, "it is settled and has a ticket: one of both");
	} else if (r->settled == 0 && !is_told(r->ticket)) {
		dif_suite_wrong(s, "it is neither settled nor has it a ticket");
	} else if (r->settled == 0 && !has_state) {
		dif_suite_wrong(s, "it has a ticket, but no verb that asks about it");
	} else if (r->settled == 0) {
		same_ticket(s, r->ticket, value(s, "ticket"));
	}
}

static void judge_state(struct dif_suite *s, const struct dif_trial *t,
                        const struct dif_outcome *out)
{
	bool settled = out->result.settled != 0;
	if (settled == t->is_pending) {
		dif_suite_wrong(s, settled ? "it is told to be settled, and is not"
		                           : "it is settled, and that is not told");
	}
}

static const struct dif_target *find(const struct dif_outcome *out, const char *wanted)
{
	for (uint32_t i = 0; i < out->ntargets; i++) {
		if (strcmp(text_of(out->targets[i].value), wanted) == 0) {
			return &out->targets[i];
		}
	}
	return NULL;
}

static void judge_target(struct dif_suite *s, const struct dif_target *want,
                         const struct dif_outcome *out)
{
	const struct dif_target *got = find(out, want->value);
	bool weighs = (s->caps.flags & DIF_CAP_WEIGHTS) != 0;
	if (got == NULL) {
		dif_suite_wrong(s, "target '%s' did not come out", want->value);
	} else if (strcmp(got->name, want->name) != 0 && strcmp(got->name, got->value) != 0) {
		dif_suite_wrong(s, "target '%s' is called '%s', not '%s'", want->value, got->name,
		                want->name);
	} else if (weighs && got->weight != want->weight) {
		dif_suite_wrong(s, "the weight of '%s' is %u, not %u", want->value, got->weight,
		                want->weight);
	} else if (!weighs && got->weight == 0) {
		dif_suite_wrong(s, "'%s' has weight 0: nobody would be sent there", want->value);
	}
}

static void judge_route(struct dif_suite *s, const struct dif_trial *t,
                        const struct dif_outcome *out)
{
	struct dif_kind_input in = {0};
	make_targets(s, t, &in);
	uint32_t want = t->is_absent ? 0 : in.route.n;
	if (out->ntargets != want) {
		dif_suite_wrong(s, "%u targets came out, not %u", out->ntargets, want);
	}
	for (uint32_t i = 0; i < want; i++) {
		judge_target(s, &in.targets[i], out);
	}
	if (want > 0 && out->result.ttl_s != 0 && out->result.ttl_s != ttl_of(s)) {
		dif_suite_wrong(s, "the TTL is %u s, not %u s", out->result.ttl_s, ttl_of(s));
	}
	if (s->caps.root != NULL) { /* only the file knows it */
		(void)snprintf(s->tag, sizeof s->tag, "%s", text_of(out->result.tag));
	} else if (want > 0) {
		same(s, "tag", out->result.tag, value(s, "tag"));
	}
}

static void judge_fence(struct dif_suite *s, const struct dif_outcome *out)
{
	const char *want = value(s, "fence");
	char got[24];
	(void)snprintf(got, sizeof got, "%llu", (unsigned long long)out->result.fence);
	if (out->result.fence == 0) {
		dif_suite_wrong(s, "there is no fence");
	}
	same(s, "fence", got, want);
}

static void judge_acquired(struct dif_suite *s, const struct dif_trial *t,
                           const struct dif_outcome *out)
{
	if (t->is_held) {
		if (out->result.lease != NULL) {
			dif_suite_wrong(s, "it has the lease '%.100s', which somebody else holds",
			                out->result.lease);
		}
		same(s, "holder", out->result.holder, value(s, "other"));
		return;
	}
	same(s, "lease", out->result.lease, value(s, "lease"));
	judge_fence(s, out);
}

static void judge_read(struct dif_suite *s, const struct dif_trial *t,
                       const struct dif_outcome *out)
{
	if (t->is_absent) {
		if (out->result.holder != NULL) {
			dif_suite_wrong(s, "'%.100s' is told to hold it, and nobody does",
			                out->result.holder);
		}
		return;
	}
	same(s, "holder", out->result.holder, value(s, "other"));
	judge_fence(s, out);
}

void dif_kind_judge(struct dif_suite *s, const struct dif_trial *t, const struct dif_outcome *out)
{
	const struct dif_cdn *cdn = (const struct dif_cdn *)(const void *)s->offer->verbs;
	const struct dif_steer *steer = (const struct dif_steer *)(const void *)s->offer->verbs;
	switch (t->verb) {
	case DIF_PURGE:
		judge_begun(s, out, cdn->purge_state != NULL);
		break;
	case DIF_ROUTE_SET:
		judge_begun(s, out, steer->set_state != NULL);
		break;
	case DIF_PURGE_STATE:
	case DIF_ROUTE_STATE:
		judge_state(s, t, out);
		break;
	case DIF_ROUTE_GET:
		judge_route(s, t, out);
		break;
	case DIF_LEASE_ACQUIRE:
		judge_acquired(s, t, out);
		break;
	case DIF_LEASE_RENEW:
		if (out->result.ttl_s == 0 || out->result.ttl_s > LEASE_TTL_S) {
			dif_suite_wrong(s, "it is told to last %u s, not %u s", out->result.ttl_s,
			                LEASE_TTL_S);
		}
		break;
	case DIF_LEASE_READ:
		judge_read(s, t, out);
		break;
	default:
		break;
	}
}
