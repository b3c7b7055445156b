/* services - the table that plug-ins get, and what a step may ask for.
 *
 * A request is copied into the attempt's arena as it is asked for, because the plug-in makes it on
 * its stack; op_attempt.c begins it once the step has returned and kept the contract.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/crypto.h"
#include "host/op_private.h"
#include "host/tree.h"

#define REPLY_DEFAULT (1u << 20)
#define REPLY_CEILING (8u << 20)
#define TREE_FACTOR 6u  /* memory of a reply's tree and rows, over that of the reply */
#define FIELDS_MAX 256u /* as host/http takes; S3 keeps 2 KiB of metadata */
#define PIECES_MAX 64u
#define MESSAGE_MAX 65535u /* two bytes tell its length */

/* False: it is not the first ask of the step, or comes after an outcome. */
static bool ask(struct dif_op_host *a, enum dif_ask what, dif_step *next)
{
	a->asks++;
	if (a->asks > 1) {
		dif_attempt_breach(a, "asked for two things in one step");
		return false;
	}
	if (a->outcomes > 0) {
		dif_attempt_breach(a, "asked for something after its outcome");
		return false;
	}
	if (next == NULL) {
		dif_attempt_breach(a, "named no next step");
		return false;
	}
	a->ask = what;
	a->next = next;
	return true;
}

static const struct dif_field *copy_fields(struct dif_op_host *a, const struct dif_field *from,
                                           uint32_t n)
{
	struct dif_field *to = dif_arena_alloc(&a->arena, (n + 1) * sizeof *to);
	for (uint32_t k = 0; to != NULL && k < n; k++) {
		if (from[k].name == NULL || from[k].value == NULL) {
			dif_attempt_breach(a, "gave a field without name or value");
			return to;
		}
		if (strpbrk(from[k].name, "\r\n:") != NULL ||
		    strpbrk(from[k].value, "\r\n") != NULL) {
			dif_attempt_stick(a, DIF_PERMANENT,
			                  "field '%.64s' holds what no header may hold",
			                  from[k].name);
		}
		to[k].name = dif_arena_str(&a->arena, from[k].name);
		to[k].value = dif_arena_str(&a->arena, from[k].value);
	}
	return to;
}

static const struct dif_piece *copy_pieces(struct dif_op_host *a, const struct dif_piece *from,
                                           uint32_t n)
{
	struct dif_piece *to = dif_arena_alloc(&a->arena, (n + 1) * sizeof *to);
	for (uint32_t k = 0; to != NULL && k < n; k++) {
		to[k] = from[k];
		if (from[k].blob == NULL) {
			to[k].bytes.p = dif_arena_copy(&a->arena, from[k].bytes.p, from[k].bytes.n);
		} else if (from[k].offset > from[k].blob->size ||
		           from[k].length > from[k].blob->size - from[k].offset) {
			dif_attempt_breach(a, "asked for bytes beyond the end of a blob");
		}
	}
	return to;
}

static bool is_method(const char *s)
{
	size_t n = s != NULL ? strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;
	return n > 0 && n < 16 && s[n] == '\0';
}

void dif_host_http(struct dif_op *op, const struct dif_http *h, dif_step *next)
{
	struct dif_op_host *a = op->host;
	if (!ask(a, DIF_ASK_HTTP, next)) {
		return;
	}
	if (!is_method(h->method) || h->url == NULL || h->nfields > FIELDS_MAX ||
	    h->npieces > PIECES_MAX) {
		dif_attempt_breach(a, "asked for a malformed request");
		return;
	}
	if ((h->flags & DIF_HTTP_LINK_LOCAL) != 0 && !a->is_login) {
		dif_attempt_breach(a, "asked for a metadata address outside login");
		return;
	}
	uint64_t max = h->reply_max == 0              ? REPLY_DEFAULT
	               : h->reply_max > REPLY_CEILING ? REPLY_CEILING
	                                              : h->reply_max;
	size_t room = (size_t)max * TREE_FACTOR + REPLY_DEFAULT;
	a->arena.max = room > a->arena.max ? room : a->arena.max;
	a->http = (struct dif_http_request){
		.method = dif_arena_str(&a->arena, h->method),
		.url = dif_arena_str(&a->arena, h->url),
		.fields = copy_fields(a, h->fields, h->nfields),
		.nfields = h->nfields,
		.body = copy_pieces(a, h->body, h->npieces),
		.npieces = h->npieces,
		.policy = &a->i->policy,
		.flags = h->flags,
		.timeout_ms = h->timeout_ms,
		.reply_max = max,
		.sink = h->sink,
		.sink_offset = h->sink_offset,
		.sink_tag = dif_arena_str(&a->arena, h->sink_tag),
	};
}

void dif_host_exchange(struct dif_op *op, const struct dif_exchange_call *c, dif_step *next)
{
	struct dif_op_host *a = op->host;
	if (!ask(a, DIF_ASK_EXCHANGE, next)) {
		return;
	}
	if (c->peer == NULL || c->send.n == 0 || c->send.n > MESSAGE_MAX || c->match > c->send.n ||
	    c->form < DIF_EXCHANGE_DATAGRAM || c->form > DIF_EXCHANGE_STREAM) {
		dif_attempt_breach(a, "asked for a malformed exchange");
		return;
	}
	a->exchange = *c;
	a->exchange.peer = dif_arena_str(&a->arena, c->peer);
	a->exchange.send.p = dif_arena_copy(&a->arena, c->send.p, c->send.n);
}

void dif_host_file(struct dif_op *op, const struct dif_file_call *c, dif_step *next)
{
	struct dif_op_host *a = op->host;
	if (!ask(a, DIF_ASK_FILE, next)) {
		return;
	}
	if (c->path == NULL || c->npieces > PIECES_MAX || c->nmeta > FIELDS_MAX ||
	    a->i->caps.root == NULL) {
		dif_attempt_breach(a, "asked for a malformed file call");
		return;
	}
	a->file = *c;
	a->file.path = dif_arena_str(&a->arena, c->path);
	a->file.body = copy_pieces(a, c->body, c->npieces);
	a->file.meta = copy_fields(a, c->meta, c->nmeta);
	a->file.if_tag = dif_arena_str(&a->arena, c->if_tag);
	a->file.prefix = dif_arena_str(&a->arena, c->prefix);
	a->file.after = dif_arena_str(&a->arena, c->after);
}

void dif_host_read(struct dif_op *op, const char *path, dif_step *next)
{
	struct dif_op_host *a = op->host;
	if (!ask(a, DIF_ASK_READ, next)) {
		return;
	}
	if (!a->is_login || path == NULL) {
		dif_attempt_breach(a, "asked to read a file outside login");
		return;
	}
	a->path = dif_arena_str(&a->arena, path);
}

void dif_host_pause(struct dif_op *op, uint32_t ms, dif_step *next)
{
	struct dif_op_host *a = op->host;
	if (ask(a, DIF_ASK_PAUSE, next)) {
		a->pause_ms = ms;
	}
}

/* --- crypto, time, log --- */

static const struct dif_bytes no_bytes = {"", 0};

static struct dif_bytes hash(struct dif_op *op, uint32_t digest, struct dif_bytes in)
{
	struct dif_op_host *a = op->host;
	uint8_t out[DIF_DIGEST_MAX];
	if (!dif_hash((enum dif_digest)digest, in.p, in.n, out)) {
		dif_attempt_stick(a, DIF_PERMANENT, "digest %u is not offered", digest);
		return no_bytes;
	}
	size_t n = dif_digest_size((enum dif_digest)digest);
	const void *p = dif_arena_copy(&a->arena, out, n);
	return p != NULL ? (struct dif_bytes){p, n} : no_bytes;
}

static struct dif_bytes hmac(struct dif_op *op, uint32_t digest, struct dif_bytes key,
                             struct dif_bytes in)
{
	struct dif_op_host *a = op->host;
	uint8_t out[DIF_DIGEST_MAX];
	if (!dif_hmac((enum dif_digest)digest, key, in, out)) {
		dif_attempt_stick(a, DIF_PERMANENT, "HMAC with digest %u is not offered", digest);
		return no_bytes;
	}
	size_t n = dif_digest_size((enum dif_digest)digest);
	const void *p = dif_arena_copy(&a->arena, out, n);
	explicit_bzero(out, sizeof out); /* the next key, as often as not */
	return p != NULL ? (struct dif_bytes){p, n} : no_bytes;
}

static struct dif_bytes sign(struct dif_op *op, const char *alg, const char *pem,
                             struct dif_bytes in)
{
	struct dif_op_host *a = op->host;
	struct dif_error err = {0};
	struct dif_buf sig;
	const void *p = NULL;
	size_t n = 0;
	dif_buf_init(&sig, 4096);
	if (!dif_sign(alg, pem, in, &sig, &err)) {
		dif_attempt_stick(a, err.cls, "%s", err.text);
	} else {
		n = sig.n;
		p = dif_arena_copy(&a->arena, sig.p, n);
	}
	dif_buf_fini(&sig);
	return p != NULL ? (struct dif_bytes){p, n} : no_bytes;
}

static void random_bytes(struct dif_op *op, void *to, size_t n)
{
	if (!dif_random(to, n)) {
		memset(to, 0, n);
		dif_attempt_stick(op->host, DIF_TRANSIENT, "no random bytes could be had");
	}
}

static int64_t now(struct dif_op *op)
{
	return dif_instance_now(op->host->i);
}

static const char *date(struct dif_op *op, uint32_t format, int64_t seconds)
{
	char text[DIF_DATE_MAX];
	return dif_arena_str(&op->host->arena, dif_date(text, (enum dif_date)format, seconds));
}

__attribute__((format(strftime, 2, 0))) static const char *
strftime_utc(struct dif_op *op, const char *pattern, int64_t seconds)
{
	struct dif_op_host *a = op->host;
	/* By a pointer: the pattern is the plug-in's, which no compiler can check here. */
	size_t (*const format)(char *, size_t, const char *, const struct tm *) = strftime;
	char text[1024] = "";
	time_t at = seconds;
	struct tm t;
	/* strftime says 0 both for "too long" and for a pattern that gives nothing */
	if (gmtime_r(&at, &t) == NULL ||
	    (format(text, sizeof text, pattern, &t) == 0 && *pattern != '\0')) {
		dif_attempt_stick(a, DIF_PERMANENT, "the time pattern '%.64s' gives no text",
		                  pattern);
		return "";
	}
	return dif_arena_str(&a->arena, text);
}

DIF_PRINTF(3, 4)
static void log_line(struct dif_op *op, uint32_t level, const char *fmt, ...)
{
	struct dif_op_host *a = op->host;
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	dif_log(level < DIF_LOG_OFF ? (enum dif_log_level)level : DIF_LOG_ERROR, "plugin",
	        "destination=%s plugin=%s verb=%s text=%s", dif_q(a->i->name), a->i->offer->name,
	        a->verb, dif_q(text));
}

const struct dif_host dif_host_services = {
	.size = sizeof(struct dif_host),
	.abi_major = DIF_ABI_MAJOR,
	.abi_minor = DIF_ABI_MINOR,
	.http = dif_host_http,
	.file = dif_host_file,
	.read = dif_host_read,
	.pause = dif_host_pause,
	.done = dif_host_done,
	.fail = dif_host_fail,
	.good = dif_host_good,
	.refuse = dif_host_refuse,
	.object = dif_host_object,
	.item = dif_host_item,
	.alloc = dif_host_alloc,
	.fmt = dif_host_fmt,
	.text = dif_host_text,
	.add = dif_host_add,
	.add_bytes = dif_host_add_bytes,
	.end = dif_host_end,
	.enc = dif_host_enc,
	.dec = dif_host_dec,
	.parse = dif_host_parse,
	.tree = dif_host_tree,
	.get = dif_tree_get,
	.next = dif_tree_next,
	.str = dif_tree_str,
	.num = dif_host_num,
	.field = dif_host_field,
	.metas = dif_host_metas,
	.fields_of = dif_host_fields_of,
	.hash = hash,
	.hmac = hmac,
	.sign = sign,
	.equal = dif_equal,
	.random = random_bytes,
	.now = now,
	.date = date,
	.strftime = strftime_utc,
	.undate = dif_undate,
	.log = log_line,
	.exchange = dif_host_exchange,
	.target = dif_host_target,
	.hide = dif_host_hide,
};
