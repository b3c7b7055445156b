/* shared_key - against vectors computed from the published rules with the emulator's key. */
#include "tests/plugin/support/bench.h"

#include "azure/shared_key.h"
#include "host/crypto.h"

#define NOW "20150626T233912Z"
#define EMULATOR_KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

static struct bench b;
static struct dif_arena arena;

static void send(struct azure_call *c)
{
	host = &bench_host;
	bench_init(&b, NOW);
	struct azure_signer signer = {"devstoreaccount1",
	                              dif_decode(&arena, DIF_BASE64, EMULATOR_KEY)};
	azure_send(&b.op, &signer, c, NULL);
}

static void check(const char *signature)
{
	char want[128];
	(void)snprintf(want, sizeof want, "SharedKey devstoreaccount1:%s", signature);
	assert_string_equal(bench_field(&b, "authorization"), want);
	assert_string_equal(bench_field(&b, "x-ms-date"), "Fri, 26 Jun 2015 23:39:12 GMT");
	assert_string_equal(bench_field(&b, "x-ms-version"), "2021-12-02");
	bench_fini(&b);
}

static void send_put(const char *path)
{
	struct dif_blob blob = {.size = 11};
	struct azure_call c = {.method = "PUT", .origin = "http://h", .path = path, .blob = &blob};
	azure_field(&c, "content-md5", "XrY7u+Ae7tCTyyK7j1rNww==");
	azure_field(&c, "content-type", "text/plain; charset=UTF-8");
	azure_field(&c, "x-ms-blob-type", "BlockBlob");
	azure_field(&c, "x-ms-blob-cache-control", "public, max-age=60");
	send(&c);
}

TEST(put_of_a_blob)
{
	UNUSED_STATE;
	send_put("/site/a%20b.html");
	assert_string_equal(b.url, "http://h/site/a%20b.html");
	check("BXXhNnF35GQcit5600Dyxb1vkztXqnX7Y3tHErvn8r0=");
}

TEST(put_where_the_path_names_the_account)
{
	UNUSED_STATE;
	send_put("/devstoreaccount1/site/a%20b.html");
	check("1941gv+LOr/7nthYy1NARPOWoQe7q8q+ZNXCDTlC/ig=");
}

TEST(list_of_blobs)
{
	UNUSED_STATE;
	struct azure_call c = {.method = "GET", .origin = "http://h", .path = "/site"};
	azure_ask(&c, "comp", "list");
	azure_ask(&c, "maxresults", "2");
	azure_ask(&c, "prefix", "a b/");
	azure_ask(&c, "restype", "container");
	azure_ask(&c, "timeout", NULL);
	send(&c);
	assert_string_equal(
		b.url, "http://h/site?comp=list&maxresults=2&prefix=a%20b%2F&restype=container");
	check("o1jQKwqIuZp8bPwNzDKP6jcMVUiVWMLe+dHjiGPh2Rg=");
}

TEST(more_fields_than_fit_end_the_op)
{
	UNUSED_STATE;
	struct azure_call c = {.method = "GET", .origin = "http://h", .path = "/c"};
	for (int i = 0; i < AZURE_FIELDS + 1; i++) {
		azure_field(&c, "x-ms-meta-a", "1");
	}
	send(&c);
	assert_int_equal(b.asked, 0);
	assert_int_equal(b.failed, DIF_PERMANENT);
	bench_fini(&b);
}

static int setup(void **state)
{
	(void)state;
	dif_arena_init(&arena, 1 << 16, true);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dif_arena_fini(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_of_a_blob),
		cmocka_unit_test(put_where_the_path_names_the_account),
		cmocka_unit_test(list_of_blobs),
		cmocka_unit_test(more_fields_than_fit_end_the_op),
	};
	return cmocka_run_group_tests_name("shared_key", tests, setup, teardown);
}
