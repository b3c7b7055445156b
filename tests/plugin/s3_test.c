/* s3 - the real s3.so in host/op with a scripted server: what goes out to the last byte, what comes
 * of good, odd and hostile replies. Lists and removal: s3_list_test.c. */
#include "tests/plugin/support/s3.h"

/* --- put --- */

static const struct dif_field fence[] = {
	{"epoch", "1"}, {"order", "1700000000000"}, {"sha256", HELLO_SHA}};

static uint32_t use = DIF_SHA256; /* what guards a put */

static const struct store_out *put(const char *key, const char *if_tag, bool if_absent)
{
	static struct store_blob b;
	return store_put(st, &(struct dif_put){
				     .key = key,
				     .blob = store_blob(&b, "hello world", 11),
				     .type = "text/html; charset=utf-8",
				     .cache = "public, max-age=5",
				     .meta = fence,
				     .nmeta = 3,
				     .use = use,
				     .if_tag = if_tag,
				     .if_absent = if_absent,
			     });
}

TEST(put_says_everything_in_one_signed_request)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "PUT",
	                             .url = AT "/d/a%20b%2B%C3%BC%25~.html",
	                             .fields = {"content-type: text/html; charset=utf-8",
	                                        "cache-control: public, max-age=5",
	                                        "if-none-match: *", "x-amz-meta-epoch: 1",
	                                        "x-amz-meta-order: 1700000000000",
	                                        "x-amz-meta-sha256: " HELLO_SHA,
	                                        "x-amz-content-sha256: " HELLO_SHA, "!if-match",
	                                        "!content-encoding", "!content-md5", "!x-amz-acl",
	                                        "!x-amz-security-token"},
	                             .body = "hello world"},
	       &(struct script_reply){.status = 200, .fields = {"etag: " HELLO_TAG}});
	const struct store_out *out = put("d/a b+\xc3\xbc%~.html", NULL, true);
	check_ok(out);
	assert_string_equal(out->object.tag, HELLO_TAG);
	assert_true(out->object.has & DIF_HAS(DIF_MD5));
	assert_string_equal(script_header(s, 0, "if-none-match"), "*");
	check_signature(0);
	end();
}

TEST(put_replaces_exactly_the_tag_that_it_was_given)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.fields = {"if-match: \"1\"", "!if-none-match"}},
	       &(struct script_reply){.status = 200, .fields = {"etag: \"2\""}});
	check_ok(put("a", "\"1\"", false));
	expect(&(struct script_want){.fields = {"if-match: 1"}},
	       &(struct script_reply){.status = 200, .fields = {"etag: \"2\""}});
	check_ok(put("a", "1", false));
	end();
}

static void conflict(int status, const char *body, const char *if_tag)
{
	begin(INI);
	expect(&(struct script_want){.method = "PUT"},
	       &(struct script_reply){.status = status, .body = body});
	const struct store_out *out = put("a", if_tag, if_tag == NULL);
	check_class(out, DIF_CONFLICT);
	assert_int_equal(out->attempts, 1);
	end();
}

TEST(a_lost_condition_is_a_conflict_whatever_the_server_calls_it)
{
	UNUSED_STATE;
	conflict(412, ERROR("PreconditionFailed", "At least one of"), NULL);
	conflict(412, "", "\"1\"");
	conflict(409, ERROR("ConditionalRequestConflict", "racing"), "\"1\"");
	conflict(409, ERROR("OperationAborted", "racing"), "\"1\"");
	conflict(409, ERROR("SomethingNew", "racing"), "\"1\"");
	conflict(404, ERROR("NoSuchKey", "gone"), "\"1\"");
}

TEST(a_condition_that_the_server_does_not_know_is_permanent)
{
	UNUSED_STATE;
	begin(INI);
	/* a 5xx on a write: the host reads the key back first */
	script_any_order(s);
	expect(&(struct script_want){.method = "PUT"},
	       &(struct script_reply){.status = 501,
	                              .body = ERROR("NotImplemented", "A header you provided")});
	expect(&(struct script_want){.method = "HEAD"}, &(struct script_reply){.status = 404});
	const struct store_out *out = put("a", NULL, true);
	check_class(out, DIF_PERMANENT);
	assert_string_equal(out->err.code, "NotImplemented");
	if (script_count(s) == 1) { /* the host saw that nothing was unknown */
		check_class(store_head(st, &(struct dif_get){.key = "a"}), DIF_NOT_FOUND);
	}
	end();
}

TEST(bytes_that_the_store_refuses_are_an_integrity_failure)
{
	UNUSED_STATE;
	static const char *const codes[] = {"BadDigest", "InvalidDigest",
	                                    "XAmzContentSHA256Mismatch"};
	char body[256];
	for (size_t i = 0; i < 3; i++) {
		begin(INI);
		(void)snprintf(body, sizeof body, "<Error><Code>%s</Code></Error>", codes[i]);
		expect(&(struct script_want){.method = "PUT"},
		       &(struct script_reply){.status = 400, .body = body});
		check_class(put("a", NULL, true), DIF_INTEGRITY);
		end();
	}
}

static void answer_without_etag(void *data, const struct script_seen *seen,
                                struct script_reply *reply)
{
	(void)data;
	reply->status = strcmp(seen->method, "PUT") == 0 ? 200 : 404;
}

TEST(a_put_without_etag_is_not_believed)
{
	UNUSED_STATE;
	begin(INI);
	st->deadline_ms = 100;
	script_answer(s, answer_without_etag, NULL);
	assert_int_not_equal(put("a", NULL, true)->err.cls, DIF_OK);
	assert_true(script_count(s) > 0);
	end();
}

static void put_with(const char *options, const char *const fields[SCRIPT_FIELDS])
{
	char ini[2048];
	(void)snprintf(ini, sizeof ini, "%s%s", INI, options);
	begin(ini);
	struct script_want want = {.method = "PUT"};
	memcpy(want.fields, fields, sizeof want.fields);
	expect(&want, &(struct script_reply){.status = 200, .fields = {"etag: " HELLO_TAG}});
	check_ok(put("a", NULL, true));
	check_signature(0);
	end();
}

TEST(options_of_a_put)
{
	UNUSED_STATE;
	put_with("checksum = md5\n",
	         (const char *const[SCRIPT_FIELDS]){"content-md5: XrY7u+Ae7tCTyyK7j1rNww==",
	                                            "x-amz-content-sha256: " HELLO_SHA});
	put_with("checksum = crc32c\n",
	         (const char *const[SCRIPT_FIELDS]){"x-amz-checksum-crc32c: yZRlqg=="});
	put_with("checksum = sha256\n",
	         (const char *const[SCRIPT_FIELDS]){
			 "x-amz-checksum-sha256: uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="});
	put_with("checksum = none\n",
	         (const char *const[SCRIPT_FIELDS]){"x-amz-content-sha256: UNSIGNED-PAYLOAD"});
	put_with("storage_class = STANDARD_IA\nsse = aws:kms\nkms_key = alias/k\n",
	         (const char *const[SCRIPT_FIELDS]){
			 "x-amz-storage-class: STANDARD_IA",
			 "x-amz-server-side-encryption: aws:kms",
			 "x-amz-server-side-encryption-aws-kms-key-id: alias/k"});
	put_with("session_token = TOKEN//of+the=session\n",
	         (const char *const[SCRIPT_FIELDS]){"x-amz-security-token: TOKEN//of+the=session"});
}

TEST(auto_adds_the_digest_that_the_host_asks_for)
{
	UNUSED_STATE;
	static const struct {
		uint32_t use;
		const char *fields[SCRIPT_FIELDS];
	} all[] = {
		{DIF_SHA256, {"!content-md5", "!x-amz-checksum-sha256", "!x-amz-checksum-crc32"}},
		{DIF_CRC32, {"x-amz-checksum-crc32: DUoRhQ==", "!content-md5"}},
		{DIF_CRC32C, {"x-amz-checksum-crc32c: yZRlqg==", "!content-md5"}},
		{DIF_MD5, {"content-md5: XrY7u+Ae7tCTyyK7j1rNww==", "!x-amz-checksum-crc32c"}}};
	for (size_t i = 0; i < DIF_LEN(all); i++) {
		use = all[i].use;
		put_with("", all[i].fields);
	}
	use = DIF_SHA256;
	begin(INI);
	const uint32_t *digests = dif_instance_caps(st->instance)->digests;
	for (size_t i = 0; i < DIF_LEN(all); i++) {
		assert_int_equal(digests[i], all[i].use); /* in the order of their cost */
	}
	assert_int_equal(digests[DIF_LEN(all)], DIF_NO_DIGEST);
	end();
	begin(INI "checksum = md5\n");
	assert_int_equal(dif_instance_caps(st->instance)->digests[0], DIF_MD5);
	assert_int_equal(dif_instance_caps(st->instance)->digests[1], DIF_NO_DIGEST);
	end();
}

/* --- head and get --- */

static void give(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)seen;
	*reply = *(const struct script_reply *)data;
}

TEST(head_tells_what_a_store_keeps)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "HEAD",
	                             .url = AT "/a.json",
	                             .fields = {"x-amz-content-sha256: " NO_BODY, "!range"}},
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: " HELLO_TAG, "content-length: 11",
	                                         "content-type: application/json",
	                                         "content-encoding: gzip",
	                                         "cache-control: no-store", "x-amz-meta-order: 7",
	                                         "x-amz-meta-sha256: ab",
	                                         "last-modified: Sun, 06 Nov 1994 08:49:37 GMT",
	                                         "x-amz-checksum-crc32c: yZRlqg=="}});
	const struct store_out *out = store_head(st, &(struct dif_get){.key = "a.json"});
	check_ok(out);
	assert_string_equal(out->object.tag, HELLO_TAG);
	assert_int_equal(out->object.size, 11);
	assert_int_equal(out->object.modified, 784111777);
	assert_string_equal(out->object.type, "application/json");
	assert_string_equal(out->object.encoding, "gzip");
	assert_string_equal(out->object.cache, "no-store");
	assert_int_equal(out->object.nmeta, 2);
	assert_string_equal(store_meta(&out->object, "order"), "7");
	assert_true(out->object.has == (DIF_HAS(DIF_MD5) | DIF_HAS(DIF_CRC32C)));
	assert_memory_equal(out->object.digest[DIF_CRC32C].p, "\xc9\x94\x65\xaa", 4);
	check_signature(0);
	end();
}

TEST(what_is_no_digest_of_the_bytes_is_not_told_as_one)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "HEAD"},
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: " HELLO_TAG, "content-length: 11",
	                                         "x-amz-server-side-encryption: aws:kms"}});
	assert_int_equal(store_head(st, &(struct dif_get){.key = "a"})->object.has, 0);
	expect(&(struct script_want){.method = "HEAD"},
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"5eb63bbbe01eeed093cb22bb8f5acdc3-2\"",
	                                         "content-length: 11",
	                                         "x-amz-checksum-crc32c: yZRlqg==-2"}});
	assert_int_equal(store_head(st, &(struct dif_get){.key = "a"})->object.has, 0);
	expect(&(struct script_want){.method = "HEAD"},
	       &(struct script_reply){.status = 200,
	                              .fields = {"etag: \"x\"", "content-length: 11",
	                                         "x-amz-checksum-type: COMPOSITE",
	                                         "x-amz-checksum-crc32c: yZRlqg=="}});
	assert_int_equal(store_head(st, &(struct dif_get){.key = "a"})->object.has, 0);
	end();
}

TEST(get_of_a_range_asks_for_the_same_object)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "GET",
	                             .url = AT "/z.zip",
	                             .fields = {"range: bytes=6-", "if-match: \"1\""}},
	       &(struct script_reply){.status = 206,
	                              .fields = {"etag: \"1\"", "content-length: 5",
	                                         "content-range: bytes 6-10/11"},
	                              .body = "world"});
	const struct store_out *out =
		store_get(st, &(struct dif_get){.key = "z.zip", .offset = 6, .if_tag = "\"1\""});
	check_ok(out);
	assert_int_equal(out->total, 11);
	assert_int_equal(out->object.size, 11);
	assert_string_equal(dif_buf_str(&out->body), "world");
	expect(&(struct script_want){.method = "GET", .fields = {"range: bytes=0-4"}},
	       &(struct script_reply){.status = 206,
	                              .fields = {"etag: \"1\"", "content-length: 5",
	                                         "content-range: bytes 0-4/11"},
	                              .body = "hello"});
	out = store_get(st, &(struct dif_get){.key = "z.zip", .length = 5});
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "hello");
	check_signature(0);
	check_signature(1);
	end();
}

TEST(a_part_of_another_object_is_not_taken)
{
	UNUSED_STATE;
	static const struct script_reply bad[] = {
		{.status = 206,
	         .fields = {"etag: \"2\"", "content-length: 5", "content-range: bytes 6-10/11"},
	         .body = "world"},
		{.status = 206,
	         .fields = {"etag: \"1\"", "content-length: 5", "content-range: bytes 0-4/11"},
	         .body = "hello"},
		{.status = 206, .fields = {"etag: \"1\"", "content-length: 5"}, .body = "world"},
		{.status = 200,
	         .fields = {"etag: \"1\"", "content-length: 11"},
	         .body = "hello world"},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		begin(INI);
		st->deadline_ms = 300;
		script_answer(s, give, (void *)(uintptr_t)&bad[i]);
		struct dif_get in = {.key = "z.zip", .offset = 6, .if_tag = "\"1\""};
		const struct store_out *out = store_get(st, &in);
		assert_int_not_equal(out->err.cls, DIF_OK);
		assert_int_equal(out->body.n, 0);
		end();
	}
}

TEST(not_modified_is_an_answer)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "GET", .fields = {"if-none-match: \"1\""}},
	       &(struct script_reply){.status = 304, .fields = {"etag: \"1\""}});
	const struct store_out *out =
		store_get(st, &(struct dif_get){.key = "a", .unless_tag = "\"1\""});
	check_ok(out);
	assert_true(out->not_modified);
	end();
}

TEST(a_missing_key_and_a_missing_bucket_differ)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "GET"},
	       &(struct script_reply){.status = 404, .body = ERROR("NoSuchKey", "none")});
	check_class(store_get(st, &(struct dif_get){.key = "a"}), DIF_NOT_FOUND);
	expect(&(struct script_want){.method = "GET"},
	       &(struct script_reply){.status = 404, .body = ERROR("NoSuchBucket", "none")});
	check_class(store_get(st, &(struct dif_get){.key = "a"}), DIF_PERMANENT);
	expect(&(struct script_want){.method = "HEAD"}, &(struct script_reply){.status = 404});
	check_class(store_head(st, &(struct dif_get){.key = "a"}), DIF_NOT_FOUND);
	end();
}

/* --- failures --- */

TEST(a_wrong_region_is_told_with_its_remedy)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "HEAD"},
	       &(struct script_reply){.status = 301, .fields = {"x-amz-bucket-region: eu-west-1"}});
	const struct store_out *out = store_head(st, &(struct dif_get){.key = "a"});
	check_class(out, DIF_PERMANENT);
	check_text(out, "is in region 'eu-west-1', not 'us-east-1': set region");
	expect(&(struct script_want){.method = "GET"},
	       &(struct script_reply){.status = 400,
	                              .body = "<Error><Code>AuthorizationHeaderMalformed</Code>"
	                                      "<Message>the region is wrong</Message>"
	                                      "<Region>eu-central-1</Region></Error>"});
	out = store_list(st, &(struct dif_list){.prefix = ""});
	check_class(out, DIF_PERMANENT);
	check_text(out, "'eu-central-1'");
	expect(&(struct script_want){.method = "GET"},
	       &(struct script_reply){
		       .status = 301,
		       .body = "<Error><Code>PermanentRedirect</Code><Message>use</Message>"
			       "<Endpoint>bucket.s3-eu.example</Endpoint></Error>"});
	out = store_list(st, &(struct dif_list){.prefix = ""});
	check_class(out, DIF_PERMANENT);
	check_text(out, "bucket.s3-eu.example");
	end();
}

TEST(forbidden_is_not_tried_again)
{
	UNUSED_STATE;
	static const char *const codes[] = {"AccessDenied", "InvalidAccessKeyId",
	                                    "SignatureDoesNotMatch"};
	char body[256];
	for (size_t i = 0; i < 3; i++) {
		begin(INI);
		(void)snprintf(body, sizeof body,
		               "<Error><Code>%s</Code><Message>no</Message></Error>", codes[i]);
		expect(&(struct script_want){.method = "GET"},
		       &(struct script_reply){.status = 403, .body = body});
		const struct store_out *out = store_probe(st);
		check_class(out, DIF_AUTH);
		assert_int_equal(out->attempts, 1);
		assert_string_equal(out->err.code, codes[i]);
		end();
	}
}

TEST(a_clock_that_is_off_is_set_by_the_reply)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "GET"},
	       &(struct script_reply){
		       .status = 403,
		       .fields = {"date: Sun, 06 Nov 1994 08:49:37 GMT"},
		       .body = ERROR("RequestTimeTooSkewed", "The difference is too large")});
	expect(&(struct script_want){.method = "GET", .fields = {"x-amz-date: 19941106T0849*"}},
	       &(struct script_reply){.status = 200, .body = LIST(LAST)});
	check_ok(store_probe(st));
	check_signature(1);
	end();
}

/* --- addresses and options --- */

static void addressed(const char *options, const char *url)
{
	char ini[2048];
	(void)snprintf(ini, sizeof ini, "%s%s", INI, options);
	begin(ini);
	expect(&(struct script_want){.method = "HEAD", .url = url},
	       &(struct script_reply){.status = 404});
	check_class(store_head(st, &(struct dif_get){.key = "k"}), DIF_NOT_FOUND);
	end();
}

TEST(where_a_bucket_lives)
{
	UNUSED_STATE;
	addressed("", AT "/k");
	addressed("path_style = yes\n", "https://s3.us-east-1.amazonaws.com/bucket/k");
	addressed("region = cn-north-1\n", "https://bucket.s3.cn-north-1.amazonaws.com.cn/k");
	addressed("endpoint = https://s3.example\n", "https://bucket.s3.example/k");
	addressed("endpoint = https://s3.example:443/\n", "https://bucket.s3.example/k");
	addressed("endpoint = https://s3.example:8443/base/\npath_style = yes\n",
	          "https://s3.example:8443/base/bucket/k");
	addressed("endpoint = https://s3.example/base\n", "https://bucket.s3.example/base/k");
	addressed("endpoint = https://127.0.0.1:9000\n", "https://127.0.0.1:9000/bucket/k");
	addressed("endpoint = http://localhost\n", "http://localhost/bucket/k");
	addressed("endpoint = http://[::1]:9000\n", "http://[::1]:9000/bucket/k");
}

TEST(what_cannot_work_is_refused_when_it_opens)
{
	UNUSED_STATE;
	check_refused("[store t]\nplugin = s3\nbucket = bucket\naccess_key_id = a\n",
	              "go together");
	check_refused(INI "kms_key = k\n", "sse = aws:kms");
	check_refused(INI "checksum = none\nendpoint = http://127.0.0.1:9\n", "https");
	check_refused(INI "checksum = md4\n", "checksum");
	check_refused("[store t]\nplugin = s3\nbucket = a/b\naccess_key_id = a\n"
	              "secret_access_key = b\n",
	              "bucket");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_says_everything_in_one_signed_request),
		cmocka_unit_test(put_replaces_exactly_the_tag_that_it_was_given),
		cmocka_unit_test(a_lost_condition_is_a_conflict_whatever_the_server_calls_it),
		cmocka_unit_test(a_condition_that_the_server_does_not_know_is_permanent),
		cmocka_unit_test(bytes_that_the_store_refuses_are_an_integrity_failure),
		cmocka_unit_test(a_put_without_etag_is_not_believed),
		cmocka_unit_test(options_of_a_put),
		cmocka_unit_test(auto_adds_the_digest_that_the_host_asks_for),
		cmocka_unit_test(head_tells_what_a_store_keeps),
		cmocka_unit_test(what_is_no_digest_of_the_bytes_is_not_told_as_one),
		cmocka_unit_test(get_of_a_range_asks_for_the_same_object),
		cmocka_unit_test(a_part_of_another_object_is_not_taken),
		cmocka_unit_test(not_modified_is_an_answer),
		cmocka_unit_test(a_missing_key_and_a_missing_bucket_differ),
		cmocka_unit_test(a_wrong_region_is_told_with_its_remedy),
		cmocka_unit_test(forbidden_is_not_tried_again),
		cmocka_unit_test(a_clock_that_is_off_is_set_by_the_reply),
		cmocka_unit_test(where_a_bucket_lives),
		cmocka_unit_test(what_cannot_work_is_refused_when_it_opens),
	};
	return cmocka_run_group_tests_name("s3", tests, without_environment, NULL);
}
