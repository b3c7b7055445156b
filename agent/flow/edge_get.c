/* edge_get - one GET. The body is digested as it comes in both ways it may be read, because the
 * header that tells which is known only at its end: as it is, and gunzipped where it begins like
 * gzip.
 *
 *   request ─▶ bytes ─▶ digests ─▶ judged ─▶ (altered: the entry is inflated too) ─▶ answer
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/list.h"
#include "flow/edge_private.h"
#include "flow/ingest.h"
#include "flow/walk.h"

#define TIMEOUT_MS 10000
#define ARENA_MAX (64u << 10)
#define ROOM (1u << 20) /* more than any cut has, so that what was added is still seen */
#define ERROR_PAGE (64u << 10)

static void free_digest(struct edge_digest *d)
{
	dif_hasher_free(d->hasher);
}

static void answer(struct dif_edge_call *c)
{
	if (c->canceled) {
		c->out.verdict = DIF_EDGE_CANCELED;
	}
	c->answered(c->data, &c->out);
	free_digest(&c->raw);
	free_digest(&c->plain);
	dif_gunzip_free(c->gunzip);
	dif_buf_fini(&c->kept);
	dif_arena_fini(&c->arena);
	free(c);
}

/* --- the body --- */

static bool add(void *data, const void *p, size_t n)
{
	struct dif_edge_call *c = data;
	struct edge_digest *d = &c->plain;
	d->size += n;
	if (d->size > c->most) {
		c->too_long = true;
		return false;
	}
	dif_hasher_add(d->hasher, p, n);
	d->crc = dif_crc32(d->crc, p, n);
	return true;
}

static bool on_begin(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct dif_edge_call *c = DIF_ENTRY(sink, struct dif_edge_call, sink);
	(void)offset;
	(void)err;
	dif_hasher_begin(c->raw.hasher);
	dif_hasher_begin(c->plain.hasher);
	c->raw.size = c->plain.size = 0;
	c->raw.crc = c->plain.crc = 0;
	c->kept.n = 0;
	c->damaged = c->too_long = false;
	dif_gunzip_free(c->gunzip);
	c->gunzip = NULL;
	return true;
}

/* The first two bytes tell, which may come one by one: then `kept` has both. */
static void unpack(struct dif_edge_call *c, const void *p, size_t n)
{
	if (c->raw.size == 1 && n > 0) {
		p = c->kept.p;
		n = c->kept.n;
	}
	if (c->raw.size < 2 && n >= 2 && memcmp(p, dif_gzip_header, 2) == 0) {
		c->gunzip = dif_gunzip_new();
	}
	if (c->gunzip != NULL && !c->damaged && !c->too_long) {
		c->damaged = !dif_gunzip_add(c->gunzip, p, n, add, c) && !c->too_long;
	}
}

static bool on_write(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct dif_edge_call *c = DIF_ENTRY(sink, struct dif_edge_call, sink);
	struct edge_digest *d = &c->raw;
	if (c->kept.n < EDGE_KEEP) {
		size_t room = EDGE_KEEP - c->kept.n;
		dif_buf_add(&c->kept, p, n < room ? n : room);
	}
	unpack(c, p, n);
	d->size += n;
	if (d->size > c->most || (c->too_long && c->gunzip != NULL)) {
		c->too_long = true;
		dif_error_set(err, DIF_PERMANENT, "it is longer than in any cut");
		return false;
	}
	dif_hasher_add(d->hasher, p, n);
	d->crc = dif_crc32(d->crc, p, n);
	return true;
}

/* --- altered --- */

static bool collect(void *data, const void *p, size_t n)
{
	struct dif_buf *b = data;
	size_t room = b->max - b->n;
	dif_buf_add(b, p, n < room ? n : room);
	return n <= room && !b->failed;
}

/* The first EDGE_KEEP bytes of what a reader would see. */
static struct dif_bytes seen(const struct dif_edge_call *c, struct dif_buf *plain)
{
	if (!c->unpacked) {
		return (struct dif_bytes){dif_buf_str(&c->kept), c->kept.n};
	}
	struct dif_gunzip *g = dif_gunzip_new();
	if (g != NULL) {
		(void)dif_gunzip_add(g, c->kept.p, c->kept.n, collect, plain);
	}
	dif_gunzip_free(g);
	return (struct dif_bytes){dif_buf_str(plain), plain->n};
}

/* The first bytes of the member; false: they could not be had. */
static bool expected(const struct dif_edge_call *c, struct dif_buf *to)
{
	struct dif_error err;
	struct dif_inflater *i = dif_inflater_open(c->ask.package, c->ask.member, &err);
	char room[16384];
	int64_t n = i != NULL ? 1 : -1;
	while (n > 0 && to->n < to->max) {
		n = dif_inflater_read(i, room, sizeof room, &err);
		if (n > 0 && !collect(to, room, (size_t)n)) {
			break;
		}
	}
	dif_inflater_close(i);
	return n >= 0 && !to->failed;
}

static struct dif_edge_call *call_of(struct dif_work *w)
{
	return (struct dif_edge_call *)(void *)((char *)w - offsetof(struct dif_edge_call, work));
}

static void on_look(struct dif_work *w)
{
	struct dif_edge_call *c = call_of(w);
	struct dif_buf want, plain;
	dif_buf_init(&want, EDGE_KEEP);
	dif_buf_init(&plain, EDGE_KEEP);
	c->cause.offset = UINT64_MAX;
	if (expected(c, &want)) {
		struct dif_bytes got = seen(c, &plain);
		bool whole = want.n == c->ask.member->size && !c->too_long && got.n == c->out.size;
		edge_find_cause((struct dif_bytes){dif_buf_str(&want), want.n}, got, whole,
		                &c->cause);
	}
	dif_buf_fini(&want);
	dif_buf_fini(&plain);
}

static void on_looked(struct dif_work *w)
{
	struct dif_edge_call *c = call_of(w);
	if (c->cause.offset != UINT64_MAX) {
		edge_tell_cause(c);
	}
	answer(c);
}

/* --- one GET --- */

static void on_response(void *data, const struct dif_http_response *r)
{
	struct dif_edge_call *c = data;
	c->http = NULL;
	c->out.ms = dif_steady_ms() - c->began;
	dif_hasher_end(c->raw.hasher, c->raw.sha256);
	dif_hasher_end(c->plain.hasher, c->plain.sha256);
	if (edge_judge(c, r) && c->ask.package != NULL && !c->canceled) {
		dif_engine_work(c->engine, &c->work, on_look, on_looked);
	} else {
		answer(c);
	}
}

static uint64_t most_of(const struct dif_edge_ask *ask)
{
	uint64_t most = ask->member != NULL ? ask->member->size : 0;
	for (uint32_t i = 0; ask->member != NULL && i < ask->nothers; i++) {
		const struct dif_member *m = dif_manifest_find(ask->others[i], ask->member->path);
		most = m != NULL && m->size > most ? m->size : most;
	}
	return most + ROOM;
}

static bool is_complete(struct dif_edge_call *c)
{
	c->raw.hasher = dif_hasher_new(DIF_SHA256);
	c->plain.hasher = dif_hasher_new(DIF_SHA256);
	if (c->raw.hasher == NULL || c->plain.hasher == NULL || c->arena.failed) {
		return false;
	}
	dif_hasher_begin(c->raw.hasher); /* a body of nothing need not begin */
	dif_hasher_begin(c->plain.hasher);
	return true;
}

struct dif_edge_call *dif_edge_get(struct dif_engine *e, const struct dif_edge_ask *ask,
                                   void (*answered)(void *data, const struct dif_edge_answer *a),
                                   void *data)
{
	struct dif_edge_call *c = calloc(1, sizeof *c);
	if (c == NULL) {
		return NULL;
	}
	dif_arena_init(&c->arena, ARENA_MAX, false);
	dif_buf_init(&c->kept, EDGE_KEEP);
	c->engine = e;
	c->ask = *ask;
	c->ask.url = dif_arena_str(&c->arena, ask->url);
	c->answered = answered;
	c->data = data;
	c->most = most_of(ask);
	c->sink = (struct dif_sink){on_begin, on_write};
	c->field = (struct dif_field){"Accept-Encoding", "gzip"};
	const char *host = strstr(c->ask.url, "://");
	host = host != NULL ? host + 3 : c->ask.url;
	c->hosts[0] = dif_arena_fmt(&c->arena, "%.*s", (int)strcspn(host, "/?#"), host);
	/* private addresses are the operator's own words, as in flow/check */
	c->policy = (struct dif_http_policy){.hosts = c->hosts,
	                                     .ca_file = dif_arena_str(&c->arena, ask->ca_file),
	                                     .private_network = true};
	if (!is_complete(c)) {
		free_digest(&c->raw);
		free_digest(&c->plain);
		dif_arena_fini(&c->arena);
		free(c);
		return NULL;
	}
	const struct dif_http_request req = {
		.method = "GET",
		.url = c->ask.url,
		.fields = &c->field,
		.nfields = ask->gzip ? 1 : 0,
		.policy = &c->policy,
		.timeout_ms = ask->timeout_ms != 0 ? ask->timeout_ms : TIMEOUT_MS,
		.reply_max = ERROR_PAGE,
		.sink = &c->sink,
	};
	c->began = dif_steady_ms();
	c->http = e->transport.start(e->transport.self, &req, on_response, c);
	return c;
}

void dif_edge_cancel(struct dif_edge_call *c)
{
	c->canceled = true;
	if (c->http != NULL) {
		c->engine->transport.cancel(c->engine->transport.self, c->http);
	}
}

const char *dif_edge_url(struct dif_arena *a, const char *public_url, const char *path)
{
	return dif_arena_fmt(a, "%s%s", public_url, dif_encode(a, DIF_PATH, path, strlen(path)));
}
