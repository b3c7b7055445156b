/* edge - a body that comes byte by byte. */
#include <zlib.h>

#include "flow/edge.h"
#include "unit/support/peer.h"
#include "world.h"

#define TEXT "{\"corte\": 2, \"relleno\": \"aaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}"

static const struct file files[] = {{"index.html", INDEX("dos")}, {"total.json", TEXT}};

struct asking {
	bool done;
	uint32_t verdict;
};

static void on_answered(void *data, const struct dif_edge_answer *a)
{
	*(struct asking *)data = (struct asking){.done = true, .verdict = a->verdict};
}

/* Each byte is a chunk of its own. */
static enum peer_end reply(struct peer *p, void *conn, const struct peer_request *r)
{
	Bytef packed[256];
	z_stream z = {0};
	(void)p;
	(void)r;
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY),
	                 Z_OK);
	z.next_in = (Bytef *)(uintptr_t)TEXT;
	z.avail_in = sizeof TEXT - 1;
	z.next_out = packed;
	z.avail_out = sizeof packed;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"
	                "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < sizeof packed - z.avail_out; i++) {
		peer_send(conn, "1\r\n");
		peer_send_bytes(conn, packed + i, 1);
		peer_send(conn, "\r\n");
	}
	peer_send(conn, "0\r\n\r\n");
	return PEER_KEEP;
}

TEST(a_gzip_header_may_come_byte_by_byte)
{
	UNUSED_STATE;
	char url[64];
	struct asking a = {0};
	struct world *w = world_new(1 << 20);
	struct cut *c = world_cut(w, 1, files, DIF_LEN(files));
	struct peer *p = peer_start(reply, NULL, NULL, 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/total.json", peer_port(p));
	const struct dif_edge_ask ask = {.url = url,
	                                 .gzip = true,
	                                 .member = dif_manifest_find(c->manifest, "total.json"),
	                                 .package = c->package};
	assert_non_null(dif_edge_get(w->setup.engine, &ask, on_answered, &a));
	world_until(w, world_is_true, &a.done);
	assert_int_equal(a.verdict, DIF_EDGE_SAME);
	cut_free(c);
	world_free(w);
	peer_stop(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_gzip_header_may_come_byte_by_byte)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
