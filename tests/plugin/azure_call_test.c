/* azure_call - Shared Key against vectors computed from the published rules with the emulator's
 * key; a shared access signature and a token as they go out. */
#include "tests/plugin/support/bench.h"

#include "azure/call.h"
#include "host/crypto.h"

#define NOW "20150626T233912Z"
#define EMULATOR_KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

const struct dif_host *host = &bench_host;

static struct bench b;
static struct dif_arena arena;
static struct azure_account account;
static struct dif_cred cred;

const struct azure_account *azure_account_of(const struct dif_op *op)
{
	(void)op;
	return &account;
}

static void send_as(enum azure_way way, const char *secret, struct azure_call *c)
{
	bench_init(&b, NOW);
	cred = (struct dif_cred){.part = {secret}};
	b.op.cred = &cred;
	account = (struct azure_account){.name = "devstoreaccount1",
	                                 .way = way,
	                                 .secret = dif_decode(&arena, DIF_BASE64, EMULATOR_KEY),
	                                 .origin = "http://h"};
	azure_send(&b.op, c, NULL);
}

static void send(struct azure_call *c)
{
	send_as(AZURE_ACCOUNT_KEY, EMULATOR_KEY, c);
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
	struct azure_call c = {.method = "PUT", .path = path, .blob = &blob};
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
	struct azure_call c = {.method = "GET", .path = "/site"};
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

static struct azure_call head(void)
{
	return (struct azure_call){.method = "HEAD", .path = "/c/a%20b"};
}

TEST(a_signature_goes_along_as_it_was_made)
{
	UNUSED_STATE;
	struct azure_call c = head();
	send_as(AZURE_SAS, "sv=2022-11-02&sig=a%2Bb%3D", &c);
	assert_string_equal(b.url, "http://h/c/a%20b?sv=2022-11-02&sig=a%2Bb%3D");
	assert_null(bench_field(&b, "authorization"));
	assert_string_equal(bench_field(&b, "x-ms-version"), "2021-12-02");
	bench_fini(&b);
	c = head();
	azure_ask(&c, "prefix", "a/");
	send_as(AZURE_SAS, "sig=1", &c);
	assert_string_equal(b.url, "http://h/c/a%20b?prefix=a%2F&sig=1");
	bench_fini(&b);
}

TEST(a_token_goes_along_as_bearer)
{
	UNUSED_STATE;
	struct azure_call c = head();
	send_as(AZURE_WORKLOAD_IDENTITY, "eyJ.token", &c);
	assert_string_equal(b.url, "http://h/c/a%20b");
	assert_string_equal(bench_field(&b, "authorization"), "Bearer eyJ.token");
	assert_non_null(bench_field(&b, "x-ms-date"));
	bench_fini(&b);
}

/* It has its own date and signature, but no version. The signature was computed from the string to
 * sign with another program. */
TEST(a_part_of_a_batch)
{
	UNUSED_STATE;
	struct azure_call c = {.method = "DELETE", .path = "/site/a%20b.html"};
	azure_field(&c, "if-match", "\"0x1\"");
	bench_init(&b, NOW);
	account = (struct azure_account){.name = "devstoreaccount1",
	                                 .way = AZURE_ACCOUNT_KEY,
	                                 .secret = dif_decode(&arena, DIF_BASE64, EMULATOR_KEY)};
	struct dif_text *t = host->text(&b.op);
	azure_inner(&b.op, &c, t);
	assert_string_equal((const char *)host->end(t).p,
	                    "DELETE /site/a%20b.html HTTP/1.1\r\nif-match: \"0x1\"\r\n"
	                    "x-ms-date: Fri, 26 Jun 2015 23:39:12 GMT\r\n"
	                    "authorization: SharedKey devstoreaccount1:"
	                    "yMiBWVoRicpGB2wr/nwnQba6ZP4HGb6aQ96f088HJ7o="
	                    "\r\ncontent-length: 0\r\n\r\n");
	bench_fini(&b);
}

TEST(more_fields_than_fit_end_the_op)
{
	UNUSED_STATE;
	struct azure_call c = {.method = "GET", .path = "/c"};
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
		cmocka_unit_test(a_signature_goes_along_as_it_was_made),
		cmocka_unit_test(a_token_goes_along_as_bearer),
		cmocka_unit_test(a_part_of_a_batch),
		cmocka_unit_test(more_fields_than_fit_end_the_op),
	};
	return cmocka_run_group_tests_name("azure_call", tests, setup, teardown);
}
