/* source - flow/source on the real https.so with a small server that lies, and on the real
 * dir.so. */
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "flow/source.h"
#include "host/crypto.h"
#include "tests/plugin/support/checks.h"

#define URL "https://authority.example/prep/latest.zip"
#define RANGE (8u << 20) /* as in flow/fetch */
#define BIG (2 * RANGE + 12345)
#define HUGE_FILE (12 * RANGE)
#define PATIENCE_MS 20000

/* What the server has, and how it misbehaves. */
struct server {
	char *bytes;
	size_t n;
	uint32_t version;
	const char *side; /* text of the side-car, NULL: none */
	bool no_ranges;
	bool bare;           /* tells no version */
	uint32_t replace_at; /* becomes version 2 before this get of the package, 0: never */
	uint32_t cut_at;     /* this get of the package breaks, 0: none */
	uint32_t heads, gets, sides;
	uint64_t sent;
	bool wobbles;       /* each get from the start has other bytes under the same tag */
	char text[64][128]; /* headers stay until the script goes */
	uint32_t ntext;
};

static struct store *st;
static struct script *s;
static struct server server;
static struct dif_config config;
static struct dif_source_config source_config;
static struct dif_setup setup;
static struct dif_source *source;

static uint32_t arrivals;
static char arrived_sha256[65], arrived_name[64], arrived_file[4096];
static int64_t arrived_ms;
static bool arrived_side, keep_back;

/* --- the server --- */

DIF_PRINTF(2, 3) static const char *keep(struct server *v, const char *fmt, ...)
{
	va_list ap;
	char *to = v->text[v->ntext++ % DIF_LEN(v->text)];
	va_start(ap, fmt);
	(void)vsnprintf(to, sizeof v->text[0], fmt, ap);
	va_end(ap);
	return to;
}

static const char *field(const struct script_seen *seen, const char *name)
{
	for (uint32_t i = 0; i < seen->nfields; i++) {
		if (strcmp(seen->fields[i].name, name) == 0) {
			return seen->fields[i].value;
		}
	}
	return NULL;
}

static void fill(struct server *v, uint32_t version)
{
	v->version = version;
	for (size_t i = 0; i < v->n; i++) {
		v->bytes[i] = (char)(i * 7 + i / 251 + version);
	}
}

static void give(struct server *v, const struct script_seen *seen, struct script_reply *reply)
{
	const char *range = field(seen, "range"), *must = field(seen, "if-match");
	unsigned long long from = 0, to = v->n - 1;
	v->gets++;
	if (v->gets == v->replace_at) {
		fill(v, 2);
	}
	if (v->wobbles) {
		v->bytes[0] = (char)v->gets;
	}
	reply->fields[0] = keep(v, "etag: \"v%u\"", v->version);
	if (v->bare) {
		reply->fields[0] = "x-nothing: to tell";
	}
	if (must != NULL && strcmp(must, reply->fields[0] + strlen("etag: ")) != 0) {
		reply->status = 412;
		return;
	}
	reply->status = 200;
	if (range != NULL && !v->no_ranges) {
		reply->status = 206;
		assert_int_equal(sscanf(range, "bytes=%llu-%llu", &from, &to), 2);
		reply->fields[1] = keep(v, "content-range: bytes %llu-%llu/%zu", from, to, v->n);
	}
	reply->fields[2] = keep(v, "content-length: %llu", to - from + 1);
	reply->body = v->bytes + from;
	reply->body_n = to - from + 1;
	reply->cut_sink = v->gets == v->cut_at ? 1000 : 0;
	v->sent += reply->body_n;
}

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	struct server *v = data;
	*reply = (struct script_reply){.status = 404, .body = "none"};
	if (strcmp(seen->url, URL ".sha256") == 0) {
		v->sides++;
		if (v->side != NULL) {
			*reply = (struct script_reply){.status = 200, .body = v->side};
		}
		return;
	}
	assert_string_equal(seen->url, URL);
	if (strcmp(seen->method, "GET") == 0) {
		give(v, seen, reply);
		return;
	}
	v->heads++;
	*reply = (struct script_reply){.status = 200,
	                               .fields = {keep(v, "content-length: %zu", v->n)}};
	if (!v->bare) {
		reply->fields[1] = keep(v, "etag: \"v%u\"", v->version);
		reply->fields[2] = "last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
	}
}

/* The side-car that fits, as sha256sum writes it; malloc'ed once per test. */
static char side_text[128];
static const char *fitting_side(void)
{
	uint8_t digest[DIF_DIGEST_MAX];
	char hex[65];
	assert_true(dif_hash(DIF_SHA256, server.bytes, server.n, digest));
	dif_hex(hex, digest, 32);
	(void)snprintf(side_text, sizeof side_text, "%s  latest.zip\n", hex);
	return side_text;
}

/* --- the source --- */

static void sha256_of(const char *path, char *hex)
{
	uint8_t digest[DIF_DIGEST_MAX];
	char *bytes = malloc(HUGE_FILE);
	FILE *f = fopen(path, "re");
	assert_non_null(bytes);
	assert_non_null(f);
	size_t n = fread(bytes, 1, HUGE_FILE, f);
	(void)fclose(f);
	assert_true(dif_hash(DIF_SHA256, bytes, n, digest));
	dif_hex(hex, digest, 32);
	free(bytes);
}

static void on_arrived(void *data, struct dif_source *from, const struct dif_arrival *a)
{
	char side[65] = "";
	assert_ptr_equal(data, &server);
	arrivals++;
	sha256_of(a->file, arrived_sha256);
	(void)snprintf(arrived_name, sizeof arrived_name, "%s", a->name);
	(void)snprintf(arrived_file, sizeof arrived_file, "%s", a->file);
	arrived_ms = a->modified_ms;
	arrived_side = a->digest != NULL;
	if (arrived_side) {
		FILE *f = fopen(a->digest, "re");
		assert_non_null(f);
		assert_int_equal(fread(side, 1, 64, f), 64);
		(void)fclose(f);
		assert_string_equal(side, arrived_sha256);
	}
	if (!keep_back) {
		dif_source_go(from);
	}
}

static void open_source(const char *require, const char *digest)
{
	static char state[4096];
	struct dif_error err;
	(void)snprintf(state, sizeof state, "%s", test_folder());
	source_config.name = "ine";
	source_config.require = require;
	source_config.digest = digest;
	source_config.every = 20;
	source_config.timeout = 60000;
	config = (struct dif_config){.state = state,
	                             .limits.package = 512 << 20,
	                             .sources = &source_config,
	                             .nsources = 1};
	setup = (struct dif_setup){
		.config = &config, .engine = st->engine, .sources = &st->instance};
	source = dif_source_open(&setup, 0, on_arrived, &server, &err);
	if (source == NULL) {
		fail_msg("%s", err.text);
	}
}

static void reset(void)
{
	arrivals = 0;
	arrived_sha256[0] = arrived_name[0] = '\0';
	keep_back = false;
	source_config = (struct dif_source_config){0};
}

static void begin(size_t n)
{
	reset();
	server = (struct server){.n = n, .bytes = malloc(n)};
	assert_non_null(server.bytes);
	fill(&server, 1);
	st = store_open("[source ine]\nplugin = https\nurl = " URL "\n", NULL);
	s = script_new(st->engine);
	script_answer(s, answer, &server);
}

static void on_closed(void *data)
{
	*(bool *)data = true;
}

static void close_source(void)
{
	bool closed = false;
	dif_source_close(source, on_closed, &closed);
	assert_false(closed);
	while (!closed) {
		assert_true(uv_run(&st->engine->loop, UV_RUN_ONCE) != 0 || closed);
	}
}

static void end(void)
{
	close_source();
	script_free(s);
	store_close(st);
	free(server.bytes);
}

#define WAIT_FOR(condition)                                                        \
	do {                                                                       \
		int64_t until = dif_steady_ms() + PATIENCE_MS;                     \
		while (!(condition)) {                                             \
			if (dif_steady_ms() > until) {                             \
				fail_msg("waited in vain for: %s; %s", #condition, \
				         dif_source_error(source)->text);          \
			}                                                          \
			uv_run(&st->engine->loop, UV_RUN_ONCE);                    \
		}                                                                  \
	} while (0)

/* --- tests --- */

TEST(a_package_arrives_whole_with_its_digest)
{
	UNUSED_STATE;
	begin(BIG);
	server.side = fitting_side();
	open_source("sha256", "{url}.sha256");
	WAIT_FOR(arrivals == 1);
	assert_memory_equal(arrived_sha256, server.side, 64);
	assert_string_equal(arrived_name, "latest.zip");
	assert_true(arrived_side);
	assert_true(arrived_ms == 784111777000);
	assert_int_equal(dif_source_error(source)->cls, DIF_OK);
	assert_int_equal(server.gets, 3);
	assert_int_equal(server.sides, 2);
	assert_true(server.sent == BIG);
	end();
}

TEST(what_was_taken_does_not_arrive_again)
{
	UNUSED_STATE;
	begin(1000);
	open_source("crc", NULL);
	WAIT_FOR(server.heads >= 6);
	assert_int_equal(arrivals, 1);
	assert_int_equal(server.gets, 1);
	fill(&server, 2);
	WAIT_FOR(arrivals == 2);
	end();
}

TEST(the_same_bytes_under_a_new_tag_are_not_new)
{
	UNUSED_STATE;
	begin(1000);
	open_source("crc", NULL);
	WAIT_FOR(arrivals == 1);
	server.version = 2;
	WAIT_FOR(server.gets == 2);
	uint32_t heads = server.heads;
	WAIT_FOR(server.heads >= heads + 3);
	assert_int_equal(arrivals, 1);
	assert_int_equal(server.gets, 2);
	end();
}

TEST(of_a_server_without_versions_the_digest_tells_what_is_new)
{
	UNUSED_STATE;
	begin(BIG);
	server.bare = true;
	server.side = fitting_side();
	open_source("sha256", "{url}.sha256");
	WAIT_FOR(arrivals == 1);
	uint32_t sides = server.sides;
	WAIT_FOR(server.sides >= sides + 3);
	assert_int_equal(server.gets, 1); /* whole, so that it is one version */
	fill(&server, 2);
	server.side = fitting_side();
	WAIT_FOR(arrivals == 2);
	assert_memory_equal(arrived_sha256, server.side, 64);
	end();
}

TEST(a_cut_costs_one_range)
{
	UNUSED_STATE;
	begin(BIG);
	server.side = fitting_side();
	server.cut_at = 2;
	open_source("sha256", "{url}.sha256");
	WAIT_FOR(arrivals == 1);
	assert_memory_equal(arrived_sha256, server.side, 64);
	assert_int_equal(server.gets, 4);
	assert_true(server.sent == BIG + RANGE);
	end();
}

TEST(ranges_side_by_side_bring_every_byte)
{
	UNUSED_STATE;
	begin(11 * RANGE + 17);
	server.side = fitting_side();
	server.cut_at = 5; /* one of them breaks on the way */
	open_source("sha256", "{url}.sha256");
	WAIT_FOR(arrivals == 1);
	assert_int_equal(dif_source_error(source)->cls, DIF_OK);
	assert_int_equal(server.gets, 13);
	end();
}

TEST(what_an_earlier_version_left_behind_its_end_is_cut_off)
{
	UNUSED_STATE;
	char path[4200];
	begin(1000);
	server.side = fitting_side();
	open_source("sha256", "{url}.sha256");
	(void)snprintf(path, sizeof path, "%s/incoming/ine.zip.part", config.state);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(fputc('x', f), 'x');
	}
	(void)fclose(f);
	WAIT_FOR(arrivals == 1);
	assert_memory_equal(arrived_sha256, server.side, 64);
	assert_int_equal(server.gets, 1); /* not by a second try */
	end();
}

TEST(a_package_replaced_in_mid_read_is_read_again)
{
	UNUSED_STATE;
	begin(BIG);
	server.replace_at = 2;
	open_source("crc", NULL);
	WAIT_FOR(arrivals == 1);
	assert_int_equal(server.version, 2);
	assert_memory_equal(arrived_sha256, fitting_side(), 64);
	end();
}

TEST(a_wrong_digest_is_read_again_five_times_and_then_left_alone)
{
	UNUSED_STATE;
	begin(1000);
	server.side = "0000000000000000000000000000000000000000000000000000000000000000  x\n";
	open_source("sha256", "{url}.sha256");
	WAIT_FOR(server.gets == 6);
	uint32_t sides = server.sides;
	WAIT_FOR(server.sides >= sides + 4);
	assert_int_equal(server.gets, 6);
	assert_int_equal(arrivals, 0);
	assert_int_equal(dif_source_error(source)->cls, DIF_INTEGRITY);
	assert_int_equal(dif_source_error(source)->exit, DIF_EXIT_DIGEST);
	server.side = fitting_side(); /* put right */
	WAIT_FOR(arrivals == 1);
	assert_int_equal(dif_source_error(source)->cls, DIF_OK);
	end();
}

TEST(without_the_digest_that_is_required_nothing_is_read)
{
	UNUSED_STATE;
	begin(1000);
	open_source("sha256", "{url}.sha256");
	WAIT_FOR(server.sides >= 3);
	assert_int_equal(server.gets, 0);
	assert_non_null(strstr(dif_source_error(source)->text, "latest.zip.sha256"));
	assert_int_equal(dif_source_error(source)->exit, DIF_EXIT_SOURCE);
	server.side = fitting_side();
	WAIT_FOR(arrivals == 1);
	end();
}

TEST(a_digest_that_is_there_counts_even_where_none_is_required)
{
	UNUSED_STATE;
	begin(1000);
	server.side = "0000000000000000000000000000000000000000000000000000000000000000\n";
	open_source("crc", "{url}.sha256");
	WAIT_FOR(server.gets >= 2);
	assert_int_equal(arrivals, 0);
	server.side = NULL;
	WAIT_FOR(arrivals == 1);
	assert_false(arrived_side);
	end();
}

TEST(a_server_without_ranges_is_read_whole)
{
	UNUSED_STATE;
	begin(BIG);
	server.no_ranges = true;
	open_source("crc", NULL);
	WAIT_FOR(arrivals == 1);
	assert_memory_equal(arrived_sha256, fitting_side(), 64);
	assert_int_equal(server.gets, 2);
	fill(&server, 2);
	WAIT_FOR(arrivals == 2);
	assert_int_equal(server.gets, 3); /* it is remembered */
	end();
}

TEST(a_double_fetch_compares_the_bytes)
{
	UNUSED_STATE;
	begin(1000);
	server.wobbles = true;
	open_source("double-fetch", NULL);
	WAIT_FOR(server.gets >= 4);
	assert_int_equal(arrivals, 0);
	assert_int_equal(dif_source_error(source)->exit, DIF_EXIT_DIGEST);
	server.wobbles = false;
	WAIT_FOR(arrivals == 1);
	end();
}

TEST(a_package_over_the_limit_is_refused)
{
	UNUSED_STATE;
	begin(100000);
	open_source("crc", NULL);
	config.limits.package = 99999;
	WAIT_FOR(dif_source_error(source)->cls != DIF_OK);
	assert_non_null(strstr(dif_source_error(source)->text, "larger than 99999 bytes"));
	assert_int_equal(arrivals, 0);
	end();
}

TEST(closing_in_mid_read_ends_it)
{
	UNUSED_STATE;
	begin(BIG);
	open_source("crc", NULL);
	WAIT_FOR(server.gets >= 2);
	end();
	assert_int_equal(arrivals, 0);
}

TEST(sha256_without_a_digest_is_a_mistake_in_the_configuration)
{
	UNUSED_STATE;
	struct dif_error err;
	begin(10);
	open_source("crc", NULL);
	source_config.require = "sha256";
	assert_null(dif_source_open(&setup, 0, on_arrived, &server, &err));
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
	assert_non_null(strstr(err.text, "{url}.sha256"));
	end();
}

TEST(the_newest_zip_below_the_prefix_is_the_package)
{
	UNUSED_STATE;
	static const char *const names[] = {"in/a.zip", "in/b.ZIP", "in/c.zip.part", "z.zip",
	                                    "in/.d.zip"};
	char ini[8192], path[4096], *root = strdup(test_path("incoming-folder"));
	reset();
	assert_non_null(root);
	(void)snprintf(ini, sizeof ini, "[source ine]\nplugin = dir\nroot = %s\n", root);
	st = store_open(ini, NULL);
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		static struct store_blob blob;
		check_ok(store_put(st, &(struct dif_put){.key = names[i],
		                                         .blob = store_blob(&blob, names[i],
		                                                            strlen(names[i]))}));
	}
	source_config.prefix = "in/";
	open_source("double-fetch", NULL);
	WAIT_FOR(arrivals == 1);
	/* of the same second the greater name wins */
	assert_true(strcmp(arrived_name, "b.ZIP") == 0 || strcmp(arrived_name, "a.zip") == 0);
	struct store_blob blob;
	check_ok(store_put(
		st, &(struct dif_put){.key = "in/b.ZIP", .blob = store_blob(&blob, "newer", 5)}));
	WAIT_FOR(arrivals >= 2 && strcmp(arrived_name, "b.ZIP") == 0);
	(void)snprintf(path, sizeof path, "%s/in/a.zip", root);
	assert_int_equal(access(path, F_OK), 0); /* a source takes nothing away */
	close_source();
	store_close(st);
	free(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_package_arrives_whole_with_its_digest),
		cmocka_unit_test(what_was_taken_does_not_arrive_again),
		cmocka_unit_test(the_same_bytes_under_a_new_tag_are_not_new),
		cmocka_unit_test(of_a_server_without_versions_the_digest_tells_what_is_new),
		cmocka_unit_test(a_cut_costs_one_range),
		cmocka_unit_test(ranges_side_by_side_bring_every_byte),
		cmocka_unit_test(what_an_earlier_version_left_behind_its_end_is_cut_off),
		cmocka_unit_test(a_package_replaced_in_mid_read_is_read_again),
		cmocka_unit_test(a_wrong_digest_is_read_again_five_times_and_then_left_alone),
		cmocka_unit_test(without_the_digest_that_is_required_nothing_is_read),
		cmocka_unit_test(a_digest_that_is_there_counts_even_where_none_is_required),
		cmocka_unit_test(a_server_without_ranges_is_read_whole),
		cmocka_unit_test(a_double_fetch_compares_the_bytes),
		cmocka_unit_test(a_package_over_the_limit_is_refused),
		cmocka_unit_test(closing_in_mid_read_ends_it),
		cmocka_unit_test(sha256_without_a_digest_is_a_mistake_in_the_configuration),
		cmocka_unit_test(the_newest_zip_below_the_prefix_is_the_package),
	};
	return cmocka_run_group_tests_name("plugin/source", tests, NULL, NULL);
}
