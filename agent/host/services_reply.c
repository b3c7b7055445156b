/* services_reply - reading replies, and the outcomes that steps make of them. */
#include <stdarg.h>
#include <stdio.h>

#include "base/parse.h"
#include "host/op_private.h"
#include "host/tree.h"

#define ROWS_FIRST 64u
#define TARGETS_FIRST 16u

/* --- readers --- */

const char *dif_fields_get(const struct dif_field *f, uint32_t n, const char *name, uint32_t i)
{
	for (uint32_t k = 0; k < n; k++) {
		if (strcmp(f[k].name, name) == 0 && i-- == 0) {
			return f[k].value;
		}
	}
	return NULL;
}

const char *dif_host_field(const struct dif_reply *r, const char *name, uint32_t i)
{
	return r != NULL ? dif_fields_get(r->fields, r->nfields, name, i) : NULL;
}

const struct dif_node *dif_host_parse(struct dif_op *op, uint32_t format, struct dif_bytes in)
{
	return dif_tree_parse(&op->host->arena, (enum dif_format)format, in, NULL);
}

const struct dif_node *dif_host_tree(struct dif_op *op, const struct dif_reply *r, uint32_t format,
                                     const char *root)
{
	struct dif_error err = {0};
	if (!dif_host_good(op, r)) {
		return NULL;
	}
	const struct dif_node *t =
		dif_tree_parse(&op->host->arena, (enum dif_format)format, r->body, &err);
	if (t == NULL) {
		dif_host_refuse(op, r, "", err.text);
		return NULL;
	}
	if (root == NULL) {
		return t;
	}
	const struct dif_node *top = dif_tree_next(t, root, NULL);
	if (top == NULL) {
		const char *what = dif_arena_fmt(&op->host->arena, "the reply is no '%s'", root);
		dif_host_refuse(op, r, "", what);
	}
	return top;
}

uint64_t dif_host_num(struct dif_op *op, const struct dif_node *n, uint64_t max)
{
	uint64_t v = 0;
	if (!dif_parse_uint(dif_tree_str(n), max, &v)) {
		dif_attempt_stick(
			op->host, DIF_TRANSIENT,
			"the reply has '%.40s' for '%.40s', which is no number up to %llu",
			dif_tree_str(n), n != NULL ? n->name : "a number", (unsigned long long)max);
		return 0;
	}
	return v;
}

static const char *lower(struct dif_op_host *a, const char *s)
{
	char *to = dif_arena_copy(&a->arena, s, strlen(s));
	for (char *c = to; c != NULL && *c != '\0'; c++) {
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c + ('a' - 'A') : *c);
	}
	return to != NULL ? to : "";
}

uint32_t dif_host_metas(struct dif_op *op, const struct dif_reply *r, const char *prefix,
                        const struct dif_field **out)
{
	struct dif_op_host *a = op->host;
	size_t n = strlen(prefix);
	uint32_t found = 0;
	struct dif_field *to = dif_arena_alloc(&a->arena, (r->nfields + 1) * sizeof *to);
	for (uint32_t k = 0; to != NULL && k < r->nfields; k++) {
		if (strncmp(r->fields[k].name, prefix, n) == 0) {
			to[found].name = lower(a, r->fields[k].name + n);
			to[found].value = dif_arena_str(&a->arena, r->fields[k].value);
			found++;
		}
	}
	*out = to;
	return found;
}

uint32_t dif_host_fields_of(struct dif_op *op, const struct dif_node *n,
                            const struct dif_field **out)
{
	struct dif_op_host *a = op->host;
	uint32_t count = 0, found = 0;
	const struct dif_node *first = n != NULL ? n->child : NULL;
	for (const struct dif_node *c = first; c != NULL; c = c->next) {
		count++;
	}
	struct dif_field *to = dif_arena_alloc(&a->arena, (count + 1) * sizeof *to);
	for (const struct dif_node *c = first; to != NULL && c != NULL; c = c->next) {
		to[found].name = lower(a, c->name);
		to[found].value = c->text; /* of the tree, which lives as long */
		found++;
	}
	*out = to;
	return found;
}

/* --- failures --- */

static const struct {
	int32_t status; /* 0: the rest of its hundred */
	int32_t hundred;
	enum dif_class cls;
} by_status[] = {
	{0, 2, DIF_OK},          {304, 3, DIF_CONFLICT},  {0, 3, DIF_PERMANENT},
	{401, 4, DIF_AUTH},      {403, 4, DIF_AUTH},      {404, 4, DIF_NOT_FOUND},
	{410, 4, DIF_NOT_FOUND}, {408, 4, DIF_TRANSIENT}, {425, 4, DIF_TRANSIENT},
	{409, 4, DIF_CONFLICT},  {412, 4, DIF_CONFLICT},  {429, 4, DIF_THROTTLED},
	{0, 4, DIF_PERMANENT},   {501, 5, DIF_PERMANENT}, {505, 5, DIF_PERMANENT},
	{0, 5, DIF_TRANSIENT},
};

enum dif_class dif_fault_class(const struct dif_fault *faults, int status, const char *code,
                               bool told_to_wait)
{
	for (const struct dif_fault *f = faults; f != NULL && f->cls != DIF_OK; f++) {
		if ((f->status == 0 || f->status == status) &&
		    (f->code == NULL || strcmp(f->code, code) == 0)) {
			return (enum dif_class)f->cls;
		}
	}
	if (status == 503 && told_to_wait) {
		return DIF_THROTTLED; /* without Retry-After it may as well be down */
	}
	for (size_t k = 0; k < DIF_LEN(by_status); k++) {
		if (by_status[k].status == status ||
		    (by_status[k].status == 0 && by_status[k].hundred == status / 100)) {
			return by_status[k].cls;
		}
	}
	return DIF_TRANSIENT;
}

/* "CODE: WHAT (HTTP 503)", with what there is of it. */
static void say(struct dif_error *err, enum dif_class cls, int status, const char *code,
                const char *what)
{
	char http[24] = "";
	if (status != 0) {
		(void)snprintf(http, sizeof http, "HTTP %d", status);
	}
	bool some = *code != '\0' || *what != '\0';
	dif_error_set(err, cls, "%s%s%s%s%s%s", code, *code != '\0' && *what != '\0' ? ": " : "",
	              what, some && *http != '\0' ? " (" : "", http,
	              some && *http != '\0' ? ")" : "");
	err->status = status;
	(void)snprintf(err->code, sizeof err->code, "%.63s", code);
}

static void judge(struct dif_op_host *a, const struct dif_reply *r, const char *code,
                  const char *what, bool is_refused)
{
	const struct dif_kind_common *c = a->i->offer->verbs;
	if (!dif_attempt_outcome(a)) {
		return;
	}
	if (r->status == 0) {
		a->err = a->no_reply != NULL ? *a->no_reply
		                             : (struct dif_error){.cls = DIF_TRANSIENT,
		                                                  .retry_after = -1,
		                                                  .text = "there was no reply"};
		return;
	}
	code = code != NULL ? code : "";
	what = what != NULL ? what : "";
	if (c->explain != NULL && *code == '\0') {
		const char *said = what;
		c->explain(&a->op, r, &code, &said);
		code = code != NULL ? code : "";
		what = *what != '\0' || said == NULL ? what : said;
	}
	bool wait = a->retry_after_ms >= 0;
	enum dif_class cls = dif_fault_class(c->faults, r->status, code, wait);
	if (is_refused && cls == DIF_OK) {
		cls = DIF_TRANSIENT; /* a cut or mangled answer; the next may be whole */
	}
	say(&a->err, cls, r->status, code, what);
	a->err.retry_after = a->retry_after_ms;
}

bool dif_host_good(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status >= 200 && r->status < 300) {
		return true;
	}
	judge(op->host, r, "", "", false);
	return false;
}

void dif_host_refuse(struct dif_op *op, const struct dif_reply *r, const char *code,
                     const char *what)
{
	judge(op->host, r, code, what, true);
}

void dif_host_fail(struct dif_op *op, uint32_t cls, const char *code, const char *fmt, ...)
{
	struct dif_op_host *a = op->host;
	char text[512];
	if (!dif_attempt_outcome(a)) {
		return;
	}
	if (cls == DIF_OK || cls >= DIF_CLASSES) {
		dif_attempt_breach(a, "failed with a class that is none");
		return;
	}
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dif_error_set(&a->err, (enum dif_class)cls, "%s", text);
	(void)snprintf(a->err.code, sizeof a->err.code, "%.63s", code != NULL ? code : "");
	a->err.retry_after = a->retry_after_ms;
}

/* --- results --- */

static void copy_object(struct dif_arena *m, struct dif_object *to, const struct dif_object *from)
{
	*to = *from;
	to->key = dif_arena_str(m, from->key);
	to->tag = dif_arena_str(m, from->tag);
	to->type = dif_arena_str(m, from->type);
	to->encoding = dif_arena_str(m, from->encoding);
	to->cache = dif_arena_str(m, from->cache);
	for (uint32_t k = 0; k < DIF_DIGEST_SLOTS; k++) {
		to->digest[k] = (struct dif_bytes){NULL, 0};
		if ((from->has & DIF_HAS(k)) != 0 && from->digest[k].p != NULL) {
			const void *p = dif_arena_copy(m, from->digest[k].p, from->digest[k].n);
			to->digest[k] = (struct dif_bytes){p, p != NULL ? from->digest[k].n : 0};
		}
		if (to->digest[k].p == NULL) {
			to->has &= ~DIF_HAS(k);
		}
	}
	struct dif_field *meta = NULL;
	if (from->nmeta > 0) {
		meta = dif_arena_alloc(m, from->nmeta * sizeof *meta);
	}
	to->nmeta = meta != NULL ? from->nmeta : 0;
	for (uint32_t k = 0; k < to->nmeta; k++) {
		meta[k].name = dif_arena_str(m, from->meta[k].name);
		meta[k].value = dif_arena_str(m, from->meta[k].value);
	}
	to->meta = meta;
}

void dif_host_done(struct dif_op *op, const struct dif_result *res)
{
	struct dif_op_host *a = op->host;
	struct dif_result in = {0};
	if (!dif_attempt_outcome(a)) {
		return;
	}
	memcpy(&in, res, res->size != 0 && res->size < sizeof in ? res->size : sizeof in);
	a->result = (struct dif_result){
		.size = sizeof a->result,
		.not_modified = in.not_modified,
		.cursor = dif_arena_str(&a->arena, in.cursor),
		.total = in.total,
		.cred.expires = in.cred.expires,
		.upload = dif_arena_str(&a->arena, in.upload),
		.token = dif_arena_str(&a->arena, in.token),
		.accepted = in.accepted,
		.ticket = dif_arena_str(&a->arena, in.ticket),
		.settled = in.settled,
		.wait_ms = in.wait_ms,
		.tag = dif_arena_str(&a->arena, in.tag),
		.lease = dif_arena_str(&a->arena, in.lease),
		.holder = dif_arena_str(&a->arena, in.holder),
		.fence = in.fence,
		.ttl_s = in.ttl_s,
	};
	copy_object(&a->arena, &a->result.object, &in.object);
	for (uint32_t k = 0; k < DIF_CRED_PARTS; k++) {
		a->result.cred.part[k] = dif_arena_str(&a->arena, in.cred.part[k]);
	}
	dif_error_clear(&a->err);
}

void dif_host_object(struct dif_op *op, const struct dif_object *o)
{
	struct dif_op_host *a = op->host;
	if (!a->is_list || a->outcomes > 0 || o->key == NULL) {
		dif_attempt_breach(a, "gave a row where none belongs");
		return;
	}
	if (a->nrows == a->rows_cap) {
		uint32_t cap = a->rows_cap > 0 ? a->rows_cap * 2 : ROWS_FIRST;
		struct dif_object *rows = dif_arena_alloc(&a->arena, cap * sizeof *rows);
		if (rows == NULL) {
			return; /* the arena remembers */
		}
		if (a->nrows > 0) {
			memcpy(rows, a->rows, a->nrows * sizeof *rows);
		}
		a->rows = rows;
		a->rows_cap = cap;
	}
	copy_object(&a->arena, &a->rows[a->nrows++], o);
}

/* A copy of what a peer says about a key. It goes where an error's text goes, which hides it. */
static const char *told(struct dif_op_host *a, const char *s)
{
	char *copy = dif_arena_copy(&a->arena, s, strlen(s));
	if (copy == NULL) {
		return "";
	}
	dif_attempt_hide(copy);
	return copy;
}

/* A key that the server answers twice keeps the worse answer; one that nobody asked about is
 * nothing to us. */
void dif_host_item(struct dif_op *op, const struct dif_item *it)
{
	struct dif_op_host *a = op->host;
	const char *code = it->code != NULL ? it->code : "";
	if (!a->is_remove || a->outcomes > 0 || it->cls > DIF_CLASSES) {
		dif_attempt_breach(a, "gave an item where none belongs");
		return;
	}
	if (it->index >= a->nitems) {
		return;
	}
	struct dif_item *to = &a->items[it->index];
	if (to->code != NULL && to->cls != DIF_OK) {
		return;
	}
	to->cls = it->cls;
	if (it->cls == DIF_CLASSES) {
		/* without a status it is an answer about a key, and no answer is known for it */
		to->cls = dif_fault_class(a->i->offer->verbs->faults, 0, code, false);
	}
	to->code = told(a, code);
	to->what = told(a, it->what != NULL ? it->what : "");
}

void dif_host_target(struct dif_op *op, const struct dif_target *t)
{
	struct dif_op_host *a = op->host;
	if (!a->is_route || a->outcomes > 0 || t->name == NULL || t->value == NULL) {
		dif_attempt_breach(a, "gave a target where none belongs");
		return;
	}
	if (a->ntargets == a->targets_cap) {
		uint32_t cap = a->targets_cap > 0 ? a->targets_cap * 2 : TARGETS_FIRST;
		struct dif_target *to = dif_arena_alloc(&a->arena, cap * sizeof *to);
		if (to == NULL) {
			return; /* the arena remembers */
		}
		if (a->ntargets > 0) {
			memcpy(to, a->targets, a->ntargets * sizeof *to);
		}
		a->targets = to;
		a->targets_cap = cap;
	}
	a->targets[a->ntargets++] = (struct dif_target){
		.name = dif_arena_str(&a->arena, t->name),
		.value = dif_arena_str(&a->arena, t->value),
		.weight = t->weight,
	};
}
