/* cloudfront - the real cloudfront.so in host/op with a scripted service: signatures, XML to the
 * last byte, what is refused, what comes of odd replies. */
#include "tests/plugin/support/kinds.h"
#include "tests/plugin/support/s3.h"

#define SERVICE "https://cloudfront.amazonaws.com"
#define PATH "/2020-05-31/distribution/E2QWRUHAPOMQZL/invalidation"
#define CF                                                                              \
	"[cdn t]\nplugin = cloudfront\ndistribution = E2QWRUHAPOMQZL\naccess_key_id = " \
	"AKIAIOSFODNN7EXAMPLE\nsecret_access_key = " SECRET "\n"
#define NS "http://cloudfront.amazonaws.com/doc/2020-05-31/"
#define BATCH(quantity, items)                                              \
	"<InvalidationBatch xmlns=\"" NS "\"><Paths><Quantity>" quantity    \
	"</Quantity><Items>" items "</Items></Paths><CallerReference>" IDEM \
	"</CallerReference></InvalidationBatch>"
#define INVALIDATION(status)                               \
	"<?xml version=\"1.0\"?><Invalidation xmlns=\"" NS \
	"\"><Id>I2J0I21PCUYOIK</Id><Status>" status "</Status></Invalidation>"
#define CF_ERROR(code)                                                          \
	"<ErrorResponse xmlns=\"" NS "\"><Error><Type>Sender</Type><Code>" code \
	"</Code><Message>A sentence.</Message></Error><RequestId>7</RequestId></ErrorResponse>"

static const struct script_reply made = {.status = 201, .body = INVALIDATION("InProgress")};

static const struct store_out *purge_one(const char *path)
{
	return cdn_purge(DIF_PURGE_URLS, &path, 1);
}

TEST(a_purge_is_signed_and_escaped)
{
	UNUSED_STATE;
	static const char *const paths[] = {"/a&b<c>\"'.html?x=1&y", "/se%C3%B1al.html"};
	kinds_begin(CF);
	kinds_expect(
		&(struct script_want){.method = "POST",
	                              .url = SERVICE PATH,
	                              .fields = {"content-type: text/xml", "!x-amz-content-sha256"},
	                              .body = BATCH("2", "<Path>/a&amp;b&lt;c&gt;&quot;&#39;.html"
	                                                 "?x=1&amp;y</Path>"
	                                                 "<Path>/se%C3%B1al.html</Path>")},
		&made);
	const struct store_out *out = cdn_purge(DIF_PURGE_URLS, paths, 2);
	check_ok(out);
	assert_false(out->settled);
	assert_string_equal(out->ticket, "I2J0I21PCUYOIK");
	assert_int_equal(out->wait_ms, 10000);
	check_sigv4_of(script_seen(s, 0), "us-east-1", "cloudfront", SECRET);
	kinds_end();
}

TEST(a_repeat_has_the_same_reference_and_the_same_paths)
{
	UNUSED_STATE;
	kinds_begin(CF);
	for (int i = 0; i < 2; i++) {
		kinds_expect(&(struct script_want){.method = "POST",
		                                   .body = BATCH("1", "<Path>/a.html</Path>")},
		             i == 0 ? &(struct script_reply){.status = 503} : &made);
	}
	const struct store_out *out = purge_one("/a.html");
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	kinds_end();
}

TEST(everything_and_folders_are_wildcards)
{
	UNUSED_STATE;
	const char *folder = "/blog/";
	kinds_begin(CF);
	kinds_expect(&(struct script_want){.body = BATCH("1", "<Path>/*</Path>")}, &made);
	check_ok(cdn_purge(DIF_PURGE_ALL, NULL, 0));
	kinds_expect(&(struct script_want){.body = BATCH("1", "<Path>/blog/*</Path>")}, &made);
	check_ok(cdn_purge(DIF_PURGE_PREFIXES, &folder, 1));
	kinds_end();
}

TEST(tags_are_told_only_where_the_distribution_has_them)
{
	UNUSED_STATE;
	kinds_begin(CF);
	uint32_t scopes = dif_instance_caps(st->instance)->purge_scopes;
	assert_false(scopes & DIF_HAS(DIF_PURGE_TAGS));
	assert_true(scopes & DIF_HAS(DIF_PURGE_PREFIXES));
	kinds_end();
	kinds_begin(CF "tags = yes\npaths_worth = 7\n");
	const struct dif_caps *caps = dif_instance_caps(st->instance);
	assert_true(caps->purge_scopes & DIF_HAS(DIF_PURGE_TAGS));
	assert_int_equal(caps->purge_worth, 7);
	assert_int_equal(caps->purge_wide_in_flight, 15);
	const char *tag = "release:12&more";
	kinds_expect(&(struct script_want){.body = BATCH("1", "<Path>#release:12&amp;more</Path>")},
	             &made);
	check_ok(cdn_purge(DIF_PURGE_TAGS, &tag, 1));
	kinds_end();
}

TEST(what_the_service_would_not_take_is_not_sent)
{
	UNUSED_STATE;
	static char longest[5000], long_tag[258];
	memset(longest, '/', sizeof longest - 1);
	memset(long_tag, 't', sizeof long_tag - 1);
	const char *const tags[] = {"", "a,b", "a b", "\xc3\xb1", long_tag};
	const char *const paths[] = {"", "a.html", longest};
	kinds_begin(CF "tags = yes\n");
	for (size_t i = 0; i < DIF_LEN(tags); i++) {
		check_class(cdn_purge(DIF_PURGE_TAGS, &tags[i], 1), DIF_PERMANENT);
	}
	for (size_t i = 0; i < DIF_LEN(paths); i++) {
		check_class(purge_one(paths[i]), DIF_PERMANENT);
	}
	assert_int_equal(script_count(s), 0);
	kinds_end();
}

TEST(completion_is_read_in_any_case)
{
	UNUSED_STATE;
	static const char *const done[] = {INVALIDATION("Completed"), INVALIDATION("COMPLETED")};
	for (size_t i = 0; i < DIF_LEN(done); i++) {
		kinds_begin(CF);
		kinds_expect(&(struct script_want){.method = "GET",
		                                   .url = SERVICE PATH "/I2J0I21PCUYOIK"},
		             &(struct script_reply){.status = 200, .body = done[i]});
		const struct store_out *out = cdn_state("I2J0I21PCUYOIK");
		check_ok(out);
		assert_true(out->settled);
		check_sigv4_of(script_seen(s, 0), "us-east-1", "cloudfront", SECRET);
		kinds_end();
	}
}

TEST(a_ticket_stays_one_part_of_the_path)
{
	UNUSED_STATE;
	kinds_begin(CF);
	kinds_expect(&(struct script_want){.method = "GET", .url = SERVICE PATH "/..%2Fother%3Fx"},
	             &(struct script_reply){.status = 404, .body = CF_ERROR("NoSuchInvalidation")});
	check_class(cdn_state("../other?x"), DIF_NOT_FOUND);
	kinds_end();
}

TEST(failures_have_a_class_and_a_sentence)
{
	UNUSED_STATE;
	static const struct {
		int status;
		const char *body, *text;
		enum dif_class cls;
	} rows[] = {
		{404, CF_ERROR("NoSuchDistribution"), "no distribution 'E2QWRUHAPOMQZL'",
	         DIF_PERMANENT},
		{400, CF_ERROR("InvalidationBatchAlreadyExists"), "A sentence", DIF_PERMANENT},
		{413, CF_ERROR("BatchTooLarge"), "BatchTooLarge", DIF_PERMANENT},
		{400, CF_ERROR("TooManyInvalidationsInProgress"), "TooMany", DIF_THROTTLED},
		{200, "<Invalidation><Id>I1</Id></Invalidation>", "no invalidation and its status",
	         DIF_TRANSIENT},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		kinds_begin(CF);
		st->deadline_ms = 900; /* a repeat would come later */
		kinds_expect(&(struct script_want){.method = "POST"},
		             &(struct script_reply){.status = rows[i].status,
		                                    .fields = {"retry-after: 60"},
		                                    .body = rows[i].body});
		const struct store_out *out = purge_one("/a.html");
		check_class(out, rows[i].cls);
		check_text(out, rows[i].text);
		kinds_end();
	}
}

TEST(options_that_cannot_work_are_refused)
{
	UNUSED_STATE;
	check_refused("[cdn t]\nplugin = cloudfront\ndistribution = d1.cloudfront.net\n",
	              "is not an id");
	check_refused("[cdn t]\nplugin = cloudfront\ndistribution = E1\naccess_key_id = A\n",
	              "go together");
}

TEST(china_is_another_address_and_region)
{
	UNUSED_STATE;
	kinds_begin(CF "endpoint = https://cloudfront.cn-northwest-1.amazonaws.com.cn\n"
	               "region = cn-northwest-1\n");
	kinds_expect(&(struct script_want){.url = "https://cloudfront.cn-northwest-1.amazonaws."
	                                          "com.cn" PATH},
	             &made);
	check_ok(purge_one("/a.html"));
	check_sigv4_of(script_seen(s, 0), "cn-northwest-1", "cloudfront", SECRET);
	kinds_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_purge_is_signed_and_escaped),
		cmocka_unit_test(a_repeat_has_the_same_reference_and_the_same_paths),
		cmocka_unit_test(everything_and_folders_are_wildcards),
		cmocka_unit_test(tags_are_told_only_where_the_distribution_has_them),
		cmocka_unit_test(what_the_service_would_not_take_is_not_sent),
		cmocka_unit_test(completion_is_read_in_any_case),
		cmocka_unit_test(a_ticket_stays_one_part_of_the_path),
		cmocka_unit_test(failures_have_a_class_and_a_sentence),
		cmocka_unit_test(options_that_cannot_work_are_refused),
		cmocka_unit_test(china_is_another_address_and_region),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
