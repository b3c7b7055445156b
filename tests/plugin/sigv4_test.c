/* sigv4 - against the vectors of the AWS documentation (S3, "Authenticating requests"), of the
 * aws-c-auth suite, and of a request that the Go SDK of AWS signed. */
#include "tests/plugin/support/bench.h"

#include "aws/sigv4.h"

#define EXAMPLE_HOST "examplebucket.s3.amazonaws.com"
#define SCOPE "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"

static const struct aws_signer example = {
	.id = "AKIAIOSFODNN7EXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "s3",
};
/* of the aws-c-auth suite: mind the '+' */
static const struct aws_signer suite = {
	.id = "AKIDEXAMPLE",
	.secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	.region = "us-east-1",
	.service = "service",
};

static struct bench b;

static void send(const char *now, const struct aws_signer *signer, struct aws_call *c)
{
	host = &bench_host;
	bench_init(&b, now);
	c->scheme = "https";
	aws_send(&b.op, signer, c, NULL);
}

static void check(const char *names, const char *signature)
{
	char want[1024];
	const char *got = bench_field(&b, "authorization");
	assert_non_null(got);
	(void)snprintf(want, sizeof want, "SignedHeaders=%s, Signature=%s", names, signature);
	const char *tail = strstr(got, "SignedHeaders=");
	assert_non_null(tail);
	assert_string_equal(tail, want);
	bench_fini(&b);
}

TEST(get_of_a_range)
{
	UNUSED_STATE;
	struct aws_call c = {.method = "GET", .host = EXAMPLE_HOST, .path = "/test.txt"};
	aws_field(&c, "range", "bytes=0-9");
	send("20130524T000000Z", &example, &c);
	assert_string_equal(b.method, "GET");
	assert_string_equal(b.url, "https://" EXAMPLE_HOST "/test.txt");
	assert_string_equal(bench_field(&b, "x-amz-date"), "20130524T000000Z");
	assert_non_null(strstr(bench_field(&b, "authorization"), SCOPE));
	assert_null(bench_field(&b, "host")); /* the HTTP layer's own */
	assert_int_equal(b.nfields, 4);
	check("host;range;x-amz-content-sha256;x-amz-date",
	      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

TEST(put_of_an_object)
{
	UNUSED_STATE;
	struct dif_piece body = {.bytes = {"Welcome to Amazon S3.", 21}};
	struct aws_call c = {.method = "PUT",
	                     .host = EXAMPLE_HOST,
	                     .path = "/test%24file.text",
	                     .body = &body,
	                     .npieces = 1};
	aws_field(&c, "x-amz-storage-class", "REDUCED_REDUNDANCY");
	aws_field(&c, "date", "Fri, 24 May 2013 00:00:00 GMT");
	send("20130524T000000Z", &example, &c);
	check("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

TEST(list_of_objects)
{
	UNUSED_STATE;
	struct aws_call c = {
		.method = "GET", .host = EXAMPLE_HOST, .path = "/", .query = "max-keys=2&prefix=J"};
	send("20130524T000000Z", &example, &c);
	assert_string_equal(b.url, "https://" EXAMPLE_HOST "/?max-keys=2&prefix=J");
	check("host;x-amz-content-sha256;x-amz-date",
	      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

TEST(a_parameter_without_value)
{
	UNUSED_STATE;
	struct aws_call c = {
		.method = "GET", .host = EXAMPLE_HOST, .path = "/", .query = "lifecycle="};
	send("20130524T000000Z", &example, &c);
	check("host;x-amz-content-sha256;x-amz-date",
	      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

TEST(a_service_other_than_s3_has_no_payload_field)
{
	UNUSED_STATE;
	struct aws_call c = {.method = "GET", .host = "example.amazonaws.com", .path = "/"};
	send("20150830T123600Z", &suite, &c);
	assert_null(bench_field(&b, "x-amz-content-sha256"));
	check("host;x-amz-date",
	      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
}

TEST(a_session_token_is_signed)
{
	UNUSED_STATE;
	struct aws_signer with = suite;
	with.token = "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267";
	struct aws_call c = {.method = "GET", .host = "example.amazonaws.com", .path = "/"};
	send("20150830T123600Z", &with, &c);
	check("host;x-amz-date;x-amz-security-token",
	      "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8");
}

/* post-sts-header-before of the suite. */
TEST(a_token_of_sts_is_signed)
{
	UNUSED_STATE;
	struct aws_signer with = suite;
	with.token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBu"
		     "FqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUp"
		     "p2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q"
		     "6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4"
		     "rvx3iSIlTJabIQwj2ICCR/oLxBA==";
	struct aws_call c = {.method = "POST", .host = "example.amazonaws.com", .path = "/"};
	send("20150830T123600Z", &with, &c);
	check("host;x-amz-date;x-amz-security-token",
	      "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
}

/* post-x-www-form-urlencoded of the suite: the shape of a request to STS. */
TEST(a_form_is_signed_by_its_digest)
{
	UNUSED_STATE;
	struct dif_piece body = {.bytes = {"Param1=value1", 13}};
	struct aws_call c = {.method = "POST",
	                     .host = "example.amazonaws.com",
	                     .path = "/",
	                     .body = &body,
	                     .npieces = 1};
	aws_field(&c, "content-type", "application/x-www-form-urlencoded");
	send("20150830T123600Z", &suite, &c);
	check("content-type;host;x-amz-date",
	      "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
}

TEST(a_path_beyond_ascii)
{
	UNUSED_STATE;
	struct aws_call c = {
		.method = "GET", .host = "example.amazonaws.com", .path = "/%E1%88%B4"};
	send("20150830T123600Z", &suite, &c);
	check("host;x-amz-date",
	      "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85");
}

TEST(a_put_as_the_go_sdk_signed_it)
{
	UNUSED_STATE;
	struct aws_call c = {.method = "PUT",
	                     .host = "127.0.0.1:10000",
	                     .path = "/site/d/a%20b%2Bc.html",
	                     .payload = "UNSIGNED-PAYLOAD"};
	aws_field(&c, "content-length", "11");
	aws_field(&c, "content-md5", "XrY7u+Ae7tCTyyK7j1rNww==");
	aws_field(&c, "content-type", "text/html; charset=utf-8");
	aws_field(&c, "x-amz-acl", "private");
	aws_field(&c, "x-amz-meta-mtime", "1795420569.673571447");
	send("20261123T075839Z", &example, &c);
	check("content-length;content-md5;content-type;host;x-amz-acl;x-amz-content-sha256;"
	      "x-amz-date;x-amz-meta-mtime",
	      "f8aead349da509a4a516983185a3637ae2028117feb24a986f062266e2e488f8");
}

TEST(a_conditional_put_with_checksum_and_token)
{
	UNUSED_STATE;
	struct aws_signer with = example;
	with.region = "eu-west-1";
	with.token = "TOKEN";
	struct aws_call c = {.method = "PUT",
	                     .host = "bkt.s3.eu-west-1.amazonaws.com",
	                     .path = "/a%20b/%C3%BC~%2B.html",
	                     .payload = "UNSIGNED-PAYLOAD"};
	aws_field(&c, "x-amz-checksum-crc32", "DUoRhQ==");
	aws_field(&c, "if-none-match", "*");
	aws_field(&c, "content-type", "text/html; charset=utf-8");
	aws_field(&c, "cache-control", "max-age=60");
	send("20130524T000000Z", &with, &c);
	check("cache-control;content-type;host;if-none-match;x-amz-checksum-crc32;"
	      "x-amz-content-sha256;x-amz-date;x-amz-security-token",
	      "8233c985dff5a4294aaeb8bf175d990d9cddf6b781db1a1bd0b94a2513608b0b");
}

TEST(blanks_in_values_are_folded_for_the_signature_only)
{
	UNUSED_STATE;
	char first[256];
	struct aws_call c = {.method = "GET", .host = "h", .path = "/"};
	aws_field(&c, "cache-control", "public, max-age=60");
	send("20130524T000000Z", &example, &c);
	(void)snprintf(first, sizeof first, "%s",
	               strstr(bench_field(&b, "authorization"), "Signature="));
	bench_fini(&b);
	struct aws_call d = {.method = "GET", .host = "h", .path = "/"};
	aws_field(&d, "cache-control", "  public,   max-age=60 ");
	send("20130524T000000Z", &example, &d);
	assert_string_equal(strstr(bench_field(&b, "authorization"), "Signature="), first);
	assert_string_equal(bench_field(&b, "cache-control"), "  public,   max-age=60 ");
	bench_fini(&b);
}

TEST(more_fields_than_fit_end_the_op)
{
	UNUSED_STATE;
	struct aws_call c = {.method = "GET", .host = "h", .path = "/"};
	for (int i = 0; i < AWS_FIELDS + 1; i++) {
		aws_field(&c, "x-amz-meta-a", "1");
	}
	send("20130524T000000Z", &example, &c);
	assert_int_equal(b.asked, 0);
	assert_int_equal(b.failed, DIF_PERMANENT);
	bench_fini(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(get_of_a_range),
		cmocka_unit_test(put_of_an_object),
		cmocka_unit_test(list_of_objects),
		cmocka_unit_test(a_parameter_without_value),
		cmocka_unit_test(a_service_other_than_s3_has_no_payload_field),
		cmocka_unit_test(a_session_token_is_signed),
		cmocka_unit_test(a_token_of_sts_is_signed),
		cmocka_unit_test(a_form_is_signed_by_its_digest),
		cmocka_unit_test(a_path_beyond_ascii),
		cmocka_unit_test(a_put_as_the_go_sdk_signed_it),
		cmocka_unit_test(a_conditional_put_with_checksum_and_token),
		cmocka_unit_test(blanks_in_values_are_folded_for_the_signature_only),
		cmocka_unit_test(more_fields_than_fit_end_the_op),
	};
	return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
