/* bench - see the header. */
#include "tests/plugin/support/bench.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "host/crypto.h"

struct dif_op_host {
	struct dif_arena arena;
	struct bench *bench;
};

struct dif_text {
	struct dif_buf buf;
	struct dif_op_host *host;
};

DIF_PRINTF(2, 3) static const char *fmt(struct dif_op *op, const char *f, ...)
{
	va_list ap;
	va_start(ap, f);
	const char *s = dif_arena_vfmt(&op->host->arena, f, ap);
	va_end(ap);
	return s;
}

static struct dif_text *text(struct dif_op *op)
{
	struct dif_text *t = dif_arena_alloc(&op->host->arena, sizeof *t);
	assert_non_null(t);
	t->host = op->host;
	dif_buf_init(&t->buf, 1 << 20);
	return t;
}

static void add_bytes(struct dif_text *t, const void *p, size_t n)
{
	assert_true(dif_buf_add(&t->buf, p, n));
}

DIF_PRINTF(2, 3) static void add(struct dif_text *t, const char *f, ...)
{
	va_list ap;
	va_start(ap, f);
	const char *s = dif_arena_vfmt(&t->host->arena, f, ap);
	va_end(ap);
	add_bytes(t, s, strlen(s));
}

static struct dif_bytes end(struct dif_text *t)
{
	struct dif_bytes b = {dif_arena_copy(&t->host->arena, dif_buf_str(&t->buf), t->buf.n),
	                      t->buf.n};
	dif_buf_fini(&t->buf);
	return b;
}

static const char *enc(struct dif_op *op, uint32_t e, const void *p, size_t n)
{
	return dif_encode(&op->host->arena, e, p, n);
}

static struct dif_bytes hash(struct dif_op *op, uint32_t d, struct dif_bytes b)
{
	uint8_t to[DIF_DIGEST_MAX];
	assert_true(dif_hash(d, b.p, b.n, to));
	size_t n = dif_digest_size(d);
	return (struct dif_bytes){dif_arena_copy(&op->host->arena, to, n), n};
}

static struct dif_bytes hmac(struct dif_op *op, uint32_t d, struct dif_bytes key,
                             struct dif_bytes b)
{
	uint8_t to[DIF_DIGEST_MAX];
	assert_true(dif_hmac(d, key, b, to));
	size_t n = dif_digest_size(d);
	return (struct dif_bytes){dif_arena_copy(&op->host->arena, to, n), n};
}

static int64_t now(struct dif_op *op)
{
	return op->host->bench->now;
}

static const char *date(struct dif_op *op, uint32_t format, int64_t seconds)
{
	char to[DIF_DATE_MAX];
	return dif_arena_str(&op->host->arena, dif_date(to, format, seconds));
}

static void fail_op(struct dif_op *op, uint32_t cls, const char *code, const char *f, ...)
{
	(void)code;
	(void)f;
	op->host->bench->failed = cls;
}

static void http(struct dif_op *op, const struct dif_http *h, dif_step *next)
{
	struct bench *b = op->host->bench;
	struct dif_field *fields =
		dif_arena_alloc(&op->host->arena, (h->nfields + 1) * sizeof *fields);
	assert_non_null(fields);
	memcpy(fields, h->fields, h->nfields * sizeof *fields);
	(void)next;
	b->method = h->method;
	b->url = h->url;
	b->fields = fields;
	b->nfields = h->nfields;
	b->asked++;
}

const struct dif_host bench_host = {
	.size = sizeof(struct dif_host),
	.abi_major = DIF_ABI_MAJOR,
	.abi_minor = DIF_ABI_MINOR,
	.http = http,
	.fail = fail_op,
	.fmt = fmt,
	.text = text,
	.add = add,
	.add_bytes = add_bytes,
	.end = end,
	.enc = enc,
	.hash = hash,
	.hmac = hmac,
	.now = now,
	.date = date,
	.equal = dif_equal,
};

void bench_init(struct bench *b, const char *at)
{
	*b = (struct bench){.now = dif_undate(at)};
	assert_true(b->now > 0);
	b->op.host = calloc(1, sizeof *b->op.host);
	assert_non_null(b->op.host);
	b->op.host->bench = b;
	dif_arena_init(&b->op.host->arena, 1 << 20, true);
}

void bench_fini(struct bench *b)
{
	dif_arena_fini(&b->op.host->arena);
	free(b->op.host);
}

const char *bench_field(const struct bench *b, const char *name)
{
	for (uint32_t i = 0; i < b->nfields; i++) {
		if (strcmp(b->fields[i].name, name) == 0) {
			return b->fields[i].value;
		}
	}
	return NULL;
}
