/* edge - flow/edge against a CDN of ours that can be told to lie. */
#include "flow/edge.h"

#include <stdatomic.h>
#include <zlib.h>

#include "unit/support/peer.h"
#include "unit/support/pki.h"
#include "world.h"

#define FILES 5
#define LARGE (9u << 19) /* beyond what is kept to look at */

enum lie {
	HONEST,
	OLD,          /* the cut before */
	OLD_AT_FIRST, /* for so many requests */
	SCRIPT,       /* in pages */
	BITFLIP,      /* in total.json */
	TAIL,         /* the last byte of large.csv */
	BOMB,         /* a gzip of far more than there is */
	ENDLESS,      /* identity, far more */
	TRUNCATED,    /* gzip, its end is missing */
	BROTLI,
	GZIP_ALWAYS,
	TYPES,
	STATUS404,
	STATUS403,
	STATUS302,
	STATUS503,
	SILENT
};

struct edge_world {
	struct world *w;
	struct peer *peer;
	struct cut *old, *cut;
	struct dif_destination_config to;
	struct dif_manifest *others[1];
	enum lie lie;
	atomic_uint left; /* requests that still get the old cut */
	char url[128];
	bool done;
	struct dif_edge *run;
	uint32_t rounds;
	bool stop_in_round;
};

static char large[2][LARGE + 1]; /* of the old cut, of the new one */

/* what the report said, copied */
static struct {
	struct dif_edge_report r;
	struct dif_edge_finding f[16];
	char path[16][64], feature[16][128];
} got;

static struct {
	struct dif_edge_answer a;
	char text[512], cache[64], location[64], tls[16], cause[64];
	char cut[65];
	uint32_t n;
} one;

/* large.csv of the cuts to come has so many bytes. */
static void make_large(size_t n)
{
	for (int c = 0; c < 2; c++) {
		for (uint32_t i = 0; i < n; i++) {
			large[c][i] = (char)('0' + (i * 2654435761u >> 28) % 10);
		}
		large[c][n / 2] = (char)('a' + c);
		large[c][n] = '\0';
	}
}

/* --- the CDN --- */

static const struct file files[2][FILES] = {
	{{"index.html", INDEX("<p>uno</p>")},
         {"total.json", "{\"corte\": 1, \"relleno\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"},
         {"map.json", "{\"igual\": true}"},
         {"large.csv", NULL},
         {"a b/\xc3\xb1.json", "{\"n\": 1}"}},
	{{"index.html", INDEX("<p>dos</p>")},
         {"total.json", "{\"corte\": 2, \"relleno\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"},
         {"map.json", "{\"igual\": true}"},
         {"large.csv", NULL},
         {"a b/\xc3\xb1.json", "{\"n\": 2}"}},
};

static const char *text_of(int cut, uint32_t i)
{
	return files[cut][i].text != NULL ? files[cut][i].text : large[cut];
}

static char *gzip_of(const char *p, size_t n, size_t *out)
{
	z_stream z = {0};
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY),
	                 Z_OK);
	size_t room = deflateBound(&z, n) + 64;
	char *to = malloc(room);
	z.next_in = (Bytef *)(uintptr_t)p;
	z.avail_in = (unsigned)n;
	z.next_out = (Bytef *)to;
	z.avail_out = (unsigned)room;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	*out = room - z.avail_out;
	deflateEnd(&z);
	return to;
}

static const char *type_of(const char *path)
{
	return strstr(path, ".html") != NULL || path[strlen(path) - 1] == '/'
	               ? "text/html;charset=UTF-8" /* the same in other letters */
	       : strstr(path, ".csv") != NULL ? "text/csv"
	                                      : "application/json; charset=utf-8";
}

static void send_body(struct edge_world *e, void *conn, const struct peer_request *r, char *body,
                      size_t n)
{
	bool gzip = e->lie == GZIP_ALWAYS || e->lie == BOMB || e->lie == TRUNCATED ||
	            strcasestr(r->head, "accept-encoding: gzip") != NULL;
	char *packed = NULL;
	if (gzip) {
		packed = gzip_of(body, n, &n);
		n -= e->lie == TRUNCATED ? 5 : 0;
	}
	peer_send(conn,
	          "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nContent-Type: %s\r\nAge: 17\r\n"
	          "X-Cache: Hit from\x01 edge\r\nVia: 1.1 somewhere\r\n%s\r\n",
	          n, e->lie == TYPES ? "text/plain" : type_of(r->path),
	          e->lie == BROTLI ? "Content-Encoding: br\r\n"
	          : gzip           ? "Content-Encoding: gzip\r\n"
	                           : "");
	peer_send_bytes(conn, gzip ? packed : body, n);
	free(packed);
}

static char *lie_about(struct edge_world *e, const char *path, const char *text, size_t *n)
{
	size_t room = *n + (e->lie == BOMB || e->lie == ENDLESS ? 4u << 20 : 1024);
	char *body = calloc(1, room);
	memcpy(body, text, *n);
	if (e->lie == SCRIPT && type_of(path)[5] == 'h') {
		char *at = strstr(body, "</body>");
		static const char more[] = "<script src=\"/cdn-cgi/zaraz/s.js\"></script>";
		memmove(at + strlen(more), at, strlen(at));
		memcpy(at, more, strlen(more));
		*n += strlen(more);
	} else if (e->lie == BITFLIP && strstr(path, "total") != NULL) {
		body[20] ^= 1;
	} else if (e->lie == TAIL && strstr(path, "large") != NULL) {
		body[*n - 1] ^= 1;
	} else if (e->lie == BOMB || e->lie == ENDLESS) {
		*n = room;
	}
	return body;
}

static const struct {
	enum lie lie;
	const char *reply;
} statuses[] = {
	{STATUS404, "HTTP/1.1 404 No\r\nX-Cache: HIT\r\nContent-Length: 2\r\n\r\nno"},
	{STATUS403, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno"},
	{STATUS302, "HTTP/1.1 302 Go\r\nLocation: https://elsewhere.example/\r\n"
                    "Content-Length: 0\r\n\r\n"},
	{STATUS503, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"},
};

static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r)
{
	struct edge_world *e = peer_data(p);
	const char *path = strstr(r->path, "/site/");
	for (size_t i = 0; i < DIF_LEN(statuses); i++) {
		if (statuses[i].lie == e->lie) {
			peer_send(conn, "%s", statuses[i].reply);
			return PEER_KEEP;
		}
	}
	if (e->lie == SILENT) {
		return PEER_RESET;
	}
	if (path == NULL || strcasestr(r->head, "\ncookie:") != NULL) {
		peer_send(conn, "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
		return PEER_KEEP;
	}
	path += 6;
	path = strcmp(path, "a%20b/%C3%B1.json") == 0 ? "a b/\xc3\xb1.json" : path;
	int cut = e->lie == OLD ? 0 : 1;
	if (e->lie == OLD_AT_FIRST && e->left > 0) {
		e->left--;
		cut = 0;
	}
	for (uint32_t i = 0; i < FILES; i++) {
		if (strcmp(files[cut][i].name, *path == '\0' ? "index.html" : path) == 0) {
			size_t n = strlen(text_of(cut, i));
			char *body = lie_about(e, r->path, text_of(cut, i), &n);
			send_body(e, conn, r, body, n);
			free(body);
			return PEER_KEEP;
		}
	}
	peer_send(conn, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
	return PEER_KEEP;
}

/* --- both ends --- */

static struct edge_world *open_world(const char *tls)
{
	struct edge_world *e = calloc(1, sizeof *e);
	e->w = world_new(64u << 20);
	for (int c = 0; c < 2; c++) {
		struct file all[FILES];
		for (uint32_t i = 0; i < FILES; i++) {
			all[i] = (struct file){files[c][i].name, text_of(c, i)};
		}
		*(c == 0 ? &e->old : &e->cut) = world_cut(e->w, c + 1, all, FILES);
	}
	e->peer = peer_start(reply, e, tls, 0);
	snprintf(e->url, sizeof e->url, "%s://127.0.0.1:%u/site/", tls != NULL ? "https" : "http",
	         peer_port(e->peer));
	e->to = (struct dif_destination_config){.name = "eu",
	                                        .public_url = e->url,
	                                        .ca_file = tls != NULL ? test_path("good-ca.pem")
	                                                               : NULL};
	e->others[0] = e->old->manifest;
	return e;
}

static void close_world(struct edge_world *e)
{
	cut_free(e->old);
	cut_free(e->cut);
	world_free(e->w);
	peer_stop(e->peer);
	free(e);
}

static void wait(struct edge_world *e)
{
	world_until(e->w, world_is_true, &e->done);
	e->done = false;
}

static void on_answered(void *data, const struct dif_edge_answer *a)
{
	struct edge_world *e = data;
	one.a = *a;
	one.n++;
	snprintf(one.text, sizeof one.text, "%s", a->text);
	snprintf(one.cache, sizeof one.cache, "%s", a->cache != NULL ? a->cache : "");
	snprintf(one.location, sizeof one.location, "%s", a->location != NULL ? a->location : "");
	snprintf(one.tls, sizeof one.tls, "%s", a->tls != NULL ? a->tls : "");
	snprintf(one.cause, sizeof one.cause, "%s", a->cause != NULL ? a->cause : "");
	snprintf(one.cut, sizeof one.cut, "%s", a->cut != NULL ? a->cut->sha256 : "");
	e->done = true;
}

static struct dif_edge_ask ask_for(struct edge_world *e, const char *url, const char *path)
{
	return (struct dif_edge_ask){.url = url,
	                             .ca_file = e->to.ca_file,
	                             .member = dif_manifest_find(e->cut->manifest, path),
	                             .order = &e->cut->manifest->order,
	                             .package = e->cut->package,
	                             .others = e->others,
	                             .nothers = 1};
}

static uint32_t get(struct edge_world *e, enum lie lie, const char *path, bool gzip)
{
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	struct dif_edge_ask ask = ask_for(e, dif_edge_url(&a, e->url, path), path);
	assert_non_null(ask.member);
	ask.gzip = gzip;
	memset(&one, 0, sizeof one);
	e->lie = lie;
	assert_non_null(dif_edge_get(e->w->setup.engine, &ask, on_answered, e));
	assert_int_equal(one.n, 0);
	dif_arena_fini(&a);
	wait(e);
	assert_int_equal(one.n, 1);
	return one.a.verdict;
}

static void on_round(void *data, const struct dif_edge_report *r)
{
	struct edge_world *e = data;
	assert_true(r->wrong > 0);
	e->rounds++;
	if (e->stop_in_round) {
		dif_edge_stop(e->run);
	}
}

static void on_done(void *data, const struct dif_edge_report *r)
{
	struct edge_world *e = data;
	got.r = *r;
	for (uint32_t i = 0; i < r->nfindings && i < DIF_LEN(got.f); i++) {
		const struct dif_edge_finding *f = &r->findings[i];
		got.f[i] = *f;
		snprintf(got.path[i], sizeof got.path[i], "%s", f->path);
		snprintf(got.feature[i], sizeof got.feature[i], "%s", f->feature ? f->feature : "");
	}
	e->done = true;
}

static const struct dif_edge_events events = {on_round, on_done};

static struct dif_edge_job job_of(struct edge_world *e)
{
	return (struct dif_edge_job){.engine = e->w->setup.engine,
	                             .destination = &e->to,
	                             .manifest = e->cut->manifest,
	                             .package = e->cut->package,
	                             .classes = e->w->classes,
	                             .nclasses = 1,
	                             .others = e->others,
	                             .nothers = 1,
	                             .pick = DIF_EDGE_ALL,
	                             .gzip = true,
	                             .headers = true};
}

static void begin(struct edge_world *e, enum lie lie, const struct dif_edge_job *job)
{
	memset(&got, 0, sizeof got);
	e->lie = lie;
	e->rounds = 0;
	e->run = dif_edge_start(job, &events, e);
	assert_non_null(e->run);
	assert_false(e->done);
}

static void run(struct edge_world *e, enum lie lie, const struct dif_edge_job *job)
{
	begin(e, lie, job);
	wait(e);
}

/* --- one GET --- */

TEST(what_is_as_it_should_be_is_the_same_in_both_encodings)
{
	UNUSED_STATE;
	make_large(LARGE);
	struct edge_world *e = open_world(NULL);
	assert_int_equal(get(e, HONEST, "total.json", false), DIF_EDGE_SAME);
	assert_int_equal(get(e, HONEST, "total.json", true), DIF_EDGE_SAME);
	assert_non_null(one.a.encoding);
	assert_false(one.a.unasked);
	assert_int_equal(get(e, HONEST, "a b/\xc3\xb1.json", true), DIF_EDGE_SAME);
	assert_int_equal(get(e, HONEST, "large.csv", true), DIF_EDGE_SAME);
	assert_int_equal(one.a.size, LARGE);
	assert_true(one.a.bytes < LARGE);
	assert_int_equal(one.a.age_s, 17);
	assert_string_equal(one.cache, "x-cache: Hit from? edge");
	assert_string_equal(one.text, "");
	assert_int_equal(one.a.offset, -1);
	make_large(1000);
	close_world(e);
}

TEST(the_bytes_of_another_cut_are_stale_or_newer_and_tell_which)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	assert_int_equal(get(e, OLD, "total.json", true), DIF_EDGE_STALE);
	assert_string_equal(one.cut, e->old->manifest->order.sha256);
	assert_int_equal(get(e, OLD, "map.json", true), DIF_EDGE_SAME);
	struct cut *kept = e->cut; /* and now as if the older one were the live one */
	e->cut = e->old;
	e->others[0] = kept->manifest;
	assert_int_equal(get(e, HONEST, "total.json", false), DIF_EDGE_NEWER);
	assert_string_equal(one.cut, kept->manifest->order.sha256);
	e->cut = kept;
	close_world(e);
}

TEST(a_cut_of_which_only_size_and_crc_are_known_is_recognized)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	for (uint32_t i = 0; i < e->old->manifest->n; i++) {
		e->old->manifest->members[i].form[DIF_IDENTITY] = (struct dif_form){0};
	}
	assert_int_equal(get(e, OLD, "total.json", true), DIF_EDGE_STALE);
	assert_int_equal(get(e, BITFLIP, "total.json", true), DIF_EDGE_ALTERED); /* size alone */
	close_world(e);
}

TEST(altered_bytes_are_told_with_offset_and_cause)
{
	UNUSED_STATE;
	make_large(LARGE);
	struct edge_world *e = open_world(NULL);
	assert_int_equal(get(e, BITFLIP, "total.json", true), DIF_EDGE_ALTERED);
	assert_int_equal(one.a.offset, 20);
	assert_int_equal(get(e, SCRIPT, "index.html", false), DIF_EDGE_ALTERED);
	assert_string_equal(one.cause, "script injected");
	assert_string_equal(one.a.feature, "Cloudflare Zaraz");
	assert_non_null(strstr(one.text, "script injected"));
	/* what changed is beyond what is kept: only so much is known */
	assert_int_equal(get(e, TAIL, "large.csv", true), DIF_EDGE_ALTERED);
	assert_int_equal(one.a.offset, 4u << 20);
	make_large(1000);
	close_world(e);
}

TEST(a_body_that_does_not_end_or_unpacks_to_too_much_is_cut_short)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	assert_int_equal(get(e, BOMB, "total.json", true), DIF_EDGE_ALTERED);
	assert_int_equal(one.a.offset, strlen(text_of(1, 1)));
	assert_int_equal(get(e, ENDLESS, "total.json", false), DIF_EDGE_ALTERED);
	assert_int_equal(one.a.status, 200);
	assert_true(one.a.bytes < 2u << 20);
	close_world(e);
}

TEST(encodings_that_cannot_be_read_are_altered_and_unasked_ones_are_told)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	assert_int_equal(get(e, TRUNCATED, "total.json", true), DIF_EDGE_ALTERED);
	assert_string_equal(one.cause, "damaged encoding");
	assert_int_equal(get(e, BROTLI, "total.json", false), DIF_EDGE_ALTERED);
	assert_string_equal(one.cause, "encoding nobody asked for");
	assert_int_equal(get(e, GZIP_ALWAYS, "total.json", false), DIF_EDGE_SAME);
	assert_true(one.a.unasked);
	close_world(e);
}

TEST(every_status_has_its_verdict)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	assert_int_equal(get(e, STATUS404, "total.json", false), DIF_EDGE_MISSING);
	assert_string_equal(one.cache, "x-cache: HIT");
	assert_int_equal(get(e, STATUS403, "total.json", false), DIF_EDGE_REFUSED);
	assert_int_equal(get(e, STATUS302, "total.json", false), DIF_EDGE_REDIRECT);
	assert_string_equal(one.location, "https://elsewhere.example/");
	assert_int_equal(get(e, STATUS503, "total.json", false), DIF_EDGE_STATUS);
	assert_int_equal(one.a.status, 503);
	assert_int_equal(get(e, SILENT, "total.json", false), DIF_EDGE_UNREACHED);
	assert_true(one.text[0] != '\0');
	close_world(e);
}

TEST(without_a_member_only_the_status_counts)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_ask ask = {.url = e->url};
	memset(&one, 0, sizeof one);
	assert_non_null(dif_edge_get(e->w->setup.engine, &ask, on_answered, e));
	wait(e);
	assert_int_equal(one.a.verdict, DIF_EDGE_SAME);
	assert_true(one.a.size > 0);
	close_world(e);
}

TEST(tls_version_and_certificate_are_told)
{
	UNUSED_STATE;
	test_pki("good");
	struct edge_world *e = open_world("good");
	assert_int_equal(get(e, HONEST, "index.html", true), DIF_EDGE_SAME);
	assert_string_equal(one.tls, "TLSv1.3");
	assert_true(one.a.cert_ends > dif_wall_ms() / 1000);
	e->to.ca_file = NULL; /* the system's do not know it */
	assert_int_equal(get(e, HONEST, "index.html", true), DIF_EDGE_UNREACHED);
	close_world(e);
}

TEST(a_canceled_get_answers_once)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_ask ask = ask_for(e, e->url, "index.html");
	memset(&one, 0, sizeof one);
	struct dif_edge_call *c = dif_edge_get(e->w->setup.engine, &ask, on_answered, e);
	dif_edge_cancel(c);
	wait(e);
	assert_int_equal(one.n, 1);
	assert_int_equal(one.a.verdict, DIF_EDGE_CANCELED);
	close_world(e);
}

/* --- a destination --- */

TEST(a_whole_site_is_right_in_every_form)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	run(e, HONEST, &job);
	assert_int_equal(got.r.err.cls, DIF_OK);
	assert_int_equal(got.r.of, 2 * (FILES + 1)); /* public_url itself too; all of it is text */
	assert_int_equal(got.r.checked, got.r.of);
	assert_int_equal(got.r.verdict[DIF_EDGE_SAME], got.r.of);
	assert_int_equal(got.r.wrong, 0);
	assert_true(got.r.first_visible > 0 && got.r.all_visible >= got.r.first_visible);
	close_world(e);
}

TEST(findings_come_in_the_order_of_the_manifest)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	job.findings_max = 4;
	run(e, OLD, &job);
	assert_int_equal(got.r.verdict[DIF_EDGE_STALE], 2 * FILES); /* map.json is in both */
	assert_int_equal(got.r.wrong, 2 * FILES);
	assert_int_equal(got.r.nfindings, 4);
	assert_string_equal(got.path[0], "");
	assert_string_equal(got.path[1], "");
	assert_false(got.f[0].gzip);
	assert_true(got.f[1].gzip);
	assert_string_equal(got.path[2], "a b/\xc3\xb1.json");
	assert_string_equal(got.f[0].cut, e->old->manifest->order.sha256);
	assert_int_equal(got.r.all_visible, 0);
	assert_int_equal(got.r.first_visible, 0); /* map.json, which is right, tells nothing */
	close_world(e);
}

TEST(tampering_is_found_by_url_and_offset)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	run(e, BITFLIP, &job);
	assert_int_equal(got.r.wrong, 2);
	assert_string_equal(got.path[0], "total.json");
	assert_int_equal(got.f[0].offset, 20);
	run(e, SCRIPT, &job);
	assert_int_equal(got.r.wrong, 4); /* public_url and index.html, in both forms */
	assert_string_equal(got.feature[0], "Cloudflare Zaraz");
	run(e, TYPES, &job);
	assert_int_equal(got.r.verdict[DIF_EDGE_HEADERS], got.r.of);
	job.headers = false;
	run(e, TYPES, &job);
	assert_int_equal(got.r.wrong, 0);
	run(e, GZIP_ALWAYS, &job);
	assert_int_equal(got.r.wrong, 0);
	assert_int_equal(got.r.unasked, got.r.of / 2);
	close_world(e);
}

TEST(what_is_stale_is_asked_again_until_it_is_right)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	job.patience_ms = PATIENCE_MS;
	e->left = 15; /* more than one round has */
	run(e, OLD_AT_FIRST, &job);
	assert_int_equal(got.r.wrong, 0);
	assert_true(got.r.round >= 2);
	assert_int_equal(e->rounds, got.r.round - 1);
	assert_int_equal(got.r.verdict[DIF_EDGE_SAME], got.r.of);
	assert_int_equal(got.r.checked, got.r.of);
	assert_true(got.r.asked > got.r.of);
	assert_true(got.r.all_visible > 0);
	close_world(e);
}

TEST(after_its_patience_it_tells_what_is_still_wrong)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	job.patience_ms = 300; /* for a second round */
	run(e, OLD, &job);
	assert_true(got.r.wrong > 0);
	assert_true(got.r.nfindings > 0);
	close_world(e);
}

TEST(where_nobody_answers_it_does_not_ask_for_every_url)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	const struct dif_member *many[64];
	for (uint32_t i = 0; i < DIF_LEN(many); i++) {
		many[i] = &e->cut->manifest->members[i % FILES];
	}
	job.members = many;
	job.nmembers = DIF_LEN(many);
	run(e, SILENT, &job);
	assert_true(got.r.asked < 64);
	assert_int_equal(got.r.verdict[DIF_EDGE_UNREACHED], got.r.of);
	assert_true(got.r.checked < got.r.of);
	close_world(e);
}

TEST(it_can_be_stopped_at_any_time_and_is_done_once)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_edge_job job = job_of(e);
	job.patience_ms = PATIENCE_MS;
	begin(e, OLD, &job);
	dif_edge_stop(e->run); /* before the first request */
	wait(e);
	assert_int_equal(got.r.err.cls, DIF_CANCELED);
	assert_int_equal(got.r.asked, 0);
	begin(e, OLD, &job);
	while (dif_edge_so_far(e->run)->asked == 0) { /* in the middle of a round */
		uv_run(&e->w->setup.engine->loop, UV_RUN_ONCE);
	}
	dif_edge_stop(e->run);
	wait(e);
	assert_int_equal(got.r.err.cls, DIF_CANCELED);
	begin(e, OLD, &job);
	while (e->rounds == 0) { /* in the pause after one */
		uv_run(&e->w->setup.engine->loop, UV_RUN_ONCE);
	}
	dif_edge_stop(e->run);
	wait(e);
	assert_int_equal(got.r.err.cls, DIF_CANCELED);
	e->stop_in_round = true;
	run(e, OLD, &job);
	assert_int_equal(got.r.err.cls, DIF_CANCELED);
	assert_int_equal(e->rounds, 1);
	close_world(e);
}

TEST(a_sample_has_all_of_the_front_and_five_of_the_rest_at_least)
{
	UNUSED_STATE;
	struct edge_world *e = open_world(NULL);
	struct dif_manifest *m = dif_manifest_new();
	enum { DETAILS = 2000, FRONT = 3 };
	m->members = dif_arena_alloc(&m->arena, (DETAILS + FRONT) * sizeof *m->members);
	for (uint32_t i = 0; i < DETAILS; i++) {
		m->members[m->n++].path = dif_arena_fmt(&m->arena, "d/%04u.json", i);
	}
	m->members[m->n++].path = "index.html";
	m->members[m->n++].path = "otra.html";
	m->members[m->n++].path = "total.json";
	struct dif_edge_job job = job_of(e);
	job.manifest = m;
	job.pick = DIF_EDGE_SAMPLE;
	job.gzip = false;
	run(e, STATUS404, &job);
	assert_int_equal(got.r.of, 1 + FRONT + DETAILS / 100);
	assert_int_equal(got.r.verdict[DIF_EDGE_MISSING], got.r.of);
	const struct dif_member *few[6];
	for (uint32_t i = 0; i < DIF_LEN(few); i++) {
		few[i] = &m->members[i];
	}
	job.members = few;
	job.nmembers = DIF_LEN(few);
	run(e, STATUS404, &job);
	assert_int_equal(got.r.of, 1 + 5);
	job.nmembers = 0; /* nothing changed: public_url alone */
	run(e, STATUS404, &job);
	assert_int_equal(got.r.of, 1);
	dif_manifest_unref(m);
	close_world(e);
}

int main(void)
{
	make_large(1000);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_as_it_should_be_is_the_same_in_both_encodings),
		cmocka_unit_test(the_bytes_of_another_cut_are_stale_or_newer_and_tell_which),
		cmocka_unit_test(a_cut_of_which_only_size_and_crc_are_known_is_recognized),
		cmocka_unit_test(altered_bytes_are_told_with_offset_and_cause),
		cmocka_unit_test(a_body_that_does_not_end_or_unpacks_to_too_much_is_cut_short),
		cmocka_unit_test(
			encodings_that_cannot_be_read_are_altered_and_unasked_ones_are_told),
		cmocka_unit_test(every_status_has_its_verdict),
		cmocka_unit_test(without_a_member_only_the_status_counts),
		cmocka_unit_test(tls_version_and_certificate_are_told),
		cmocka_unit_test(a_canceled_get_answers_once),
		cmocka_unit_test(a_whole_site_is_right_in_every_form),
		cmocka_unit_test(findings_come_in_the_order_of_the_manifest),
		cmocka_unit_test(tampering_is_found_by_url_and_offset),
		cmocka_unit_test(what_is_stale_is_asked_again_until_it_is_right),
		cmocka_unit_test(after_its_patience_it_tells_what_is_still_wrong),
		cmocka_unit_test(where_nobody_answers_it_does_not_ask_for_every_url),
		cmocka_unit_test(it_can_be_stopped_at_any_time_and_is_done_once),
		cmocka_unit_test(a_sample_has_all_of_the_front_and_five_of_the_rest_at_least),
	};
	return cmocka_run_group_tests_name("edge", tests, NULL, NULL);
}
