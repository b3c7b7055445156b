/* s3 - large objects in parts: the real s3.so in host/op with a scripted server. */
#include "tests/plugin/support/s3.h"

#define KEY "a b/large.bin"
#define PATH AT "/a%20b/large.bin"
#define UPLOAD "VXBsb2FkIElE+/="
#define QUERY "uploadId=VXBsb2FkIElE%2B%2F%3D"
#define BEGUN                                                                                \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?><InitiateMultipartUploadResult "          \
	"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Bucket>bucket</Bucket><Key>" KEY \
	"</Key><UploadId>" UPLOAD "</UploadId></InitiateMultipartUploadResult>"
#define FINISHED(tag)                                                                            \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\n   <CompleteMultipartUploadResult "       \
	"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Location>x</Location><Bucket>bucket" \
	"</Bucket><Key>k</Key><ETag>" tag "</ETag></CompleteMultipartUploadResult>"

static const struct dif_field meta[] = {{"order", "7"}, {"sha256", "ab"}};
static struct store_blob whole, part;
static struct dif_put object;
static struct dif_part in;

static void begin_with(const char *options)
{
	static char ini[2048];
	(void)snprintf(ini, sizeof ini, INI "%s", options);
	begin(ini);
	object = (struct dif_put){.key = KEY,
	                          .blob = store_blob(&whole, "hello world", 11),
	                          .type = "text/html",
	                          .encoding = "gzip",
	                          .cache = "no-store",
	                          .meta = meta,
	                          .nmeta = 2};
	in = (struct dif_part){.put = &object};
}

static const struct store_out *run_part(enum dif_verb_id verb)
{
	return store_part(st, verb, &in);
}

static const struct store_out *put_part(uint32_t number, const char *text)
{
	in.upload = UPLOAD;
	in.number = number;
	in.blob = store_blob(&part, text, strlen(text));
	return run_part(DIF_PART_PUT);
}

static const struct store_out *finish(void)
{
	static const char *const tokens[] = {"\"a1\"", "\"b2\""};
	in.upload = UPLOAD;
	in.tokens = tokens;
	in.ntokens = 2;
	return run_part(DIF_PART_FINISH);
}

TEST(the_first_request_says_what_the_object_is)
{
	UNUSED_STATE;
	begin_with("storage_class = STANDARD_IA\nsse = aws:kms\nkms_key = alias/k\n");
	object.if_absent = 1;
	expect(
		&(struct script_want){
			.method = "POST",
			.url = PATH "?uploads=",
			.fields = {"content-type: text/html", "content-encoding: gzip",
	                           "cache-control: no-store", "x-amz-meta-order: 7",
	                           "x-amz-meta-sha256: ab", "x-amz-storage-class: STANDARD_IA",
	                           "x-amz-server-side-encryption: aws:kms",
	                           "x-amz-server-side-encryption-aws-kms-key-id: alias/k",
	                           "x-amz-content-sha256: " NO_BODY, "!if-none-match"},
		},
		&(struct script_reply){.status = 200, .body = BEGUN});
	const struct store_out *out = run_part(DIF_PART_BEGIN);
	check_ok(out);
	assert_string_equal(out->upload, UPLOAD);
	check_signature(0);
	end();
}

TEST(a_part_is_signed_by_its_digest)
{
	UNUSED_STATE;
	begin_with("");
	expect(&(struct script_want){.method = "PUT",
	                             .url = PATH "?partNumber=2&" QUERY,
	                             .fields = {"x-amz-content-sha256: " HELLO_SHA, "!content-type",
	                                        "!x-amz-meta-order"},
	                             .body = "hello world"},
	       &(struct script_reply){.status = 200, .fields = {"etag: \"b2\""}});
	const struct store_out *out = put_part(2, "hello world");
	check_ok(out);
	assert_string_equal(out->token, "\"b2\"");
	assert_int_equal(out->accepted, 11);
	check_signature(0);
	end();
}

TEST(parts_come_in_any_order_and_more_than_once)
{
	UNUSED_STATE;
	static const uint32_t order[] = {10000, 1, 2, 1};
	char url[512], tag[64], want[16];
	for (size_t i = 0; i < 4; i++) {
		begin_with("");
		(void)snprintf(url, sizeof url, "%s?partNumber=%u&%s", PATH, order[i], QUERY);
		(void)snprintf(tag, sizeof tag, "etag: \"%zu\"", i);
		(void)snprintf(want, sizeof want, "\"%zu\"", i);
		expect(&(struct script_want){.method = "PUT", .url = url},
		       &(struct script_reply){.status = 200, .fields = {tag}});
		const struct store_out *out = put_part(order[i], "x");
		check_ok(out);
		assert_string_equal(out->token, want);
		end();
	}
}

TEST(a_part_whose_answer_was_lost_is_sent_again)
{
	UNUSED_STATE;
	begin_with("");
	expect(&(struct script_want){.method = "PUT"},
	       &(struct script_reply){.status = 0, .text = "reset", .sent = true});
	expect(&(struct script_want){.method = "PUT", .body = "hello world"},
	       &(struct script_reply){.status = 200, .fields = {"etag: \"1\""}});
	const struct store_out *out = put_part(1, "hello world");
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	end();
}

TEST(without_a_signature_over_the_bytes_no_digest_is_asked_for)
{
	UNUSED_STATE;
	begin_with("checksum = none\n");
	assert_int_equal(dif_instance_caps(st->instance)->part_digest, DIF_NO_DIGEST);
	expect(&(struct script_want){.method = "PUT",
	                             .fields = {"x-amz-content-sha256: UNSIGNED-PAYLOAD"}},
	       &(struct script_reply){.status = 200, .fields = {"etag: \"1\""}});
	check_ok(put_part(1, "x"));
	end();
}

TEST(the_last_request_names_the_parts_and_the_condition)
{
	UNUSED_STATE;
	begin_with("");
	object.if_tag = "\"old\"";
	expect(
		&(struct script_want){
			.method = "POST",
			.url = PATH "?" QUERY,
			.fields = {"if-match: \"old\"", "content-type: application/xml",
	                           "!cache-control", "!x-amz-meta-order"},
			.body = "<CompleteMultipartUpload "
				"xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
				"<Part><PartNumber>1</PartNumber><ETag>&quot;a1&quot;</ETag></Part>"
				"<Part><PartNumber>2</PartNumber><ETag>&quot;b2&quot;</ETag></Part>"
				"</CompleteMultipartUpload>"},
		&(struct script_reply){.status = 200, .body = FINISHED("&quot;x-2&quot;")});
	const struct store_out *out = finish();
	check_ok(out);
	assert_string_equal(out->object.tag, "\"x-2\"");
	assert_int_equal(out->object.size, 11);
	assert_int_equal(out->object.has, 0); /* it is no MD5 */
	check_signature(0);
	end();
	/* some leave the quotes out here, and nowhere else */
	begin_with("");
	object.if_absent = 1;
	expect(&(struct script_want){.method = "POST", .fields = {"if-none-match: *"}},
	       &(struct script_reply){.status = 200, .body = FINISHED("x-2")});
	out = finish();
	check_ok(out);
	assert_string_equal(out->object.tag, "\"x-2\"");
	end();
}

/* Ceph says only that it is done. MD5 over the digests of "hello" and " world", and how many. */
TEST(a_tag_that_is_not_told_is_made_of_those_of_the_parts)
{
	UNUSED_STATE;
	static const char *const tokens[] = {"\"5d41402abc4b2a76b9719d911017c592\"",
	                                     "\"b7913aa15c43be7d534b4eec6e99e8a0\""};
	begin_with("");
	in.upload = UPLOAD;
	in.tokens = tokens;
	in.ntokens = 2;
	expect(&(struct script_want){.method = "POST"},
	       &(struct script_reply){.status = 200, .body = FINISHED("")});
	const struct store_out *out = run_part(DIF_PART_FINISH);
	check_ok(out);
	assert_string_equal(out->object.tag, "\"a56979024342128ecebc884e3442121b-2\"");
	end();
}

/* What the store thinks better of after it has said 200. */
static void check_late(const char *code, enum dif_class cls)
{
	char body[512];
	begin_with("");
	object.if_absent = 1;
	(void)snprintf(body, sizeof body,
	               "<?xml version=\"1.0\"?>\n \n"
	               "<Error><Code>%s</Code>"
	               "<Message>too late</Message></Error>",
	               code);
	expect(&(struct script_want){.method = "POST"},
	       &(struct script_reply){.status = 200, .body = body});
	if (cls == DIF_CONFLICT) { /* it may have been our own write that is in the way */
		expect(&(struct script_want){.method = "HEAD", .url = PATH},
		       &(struct script_reply){.status = 404});
	}
	const struct store_out *out = finish();
	check_class(out, cls);
	assert_string_equal(out->err.code, code);
	check_text(out, "too late");
	end();
}

TEST(an_error_that_comes_with_200_is_an_error)
{
	UNUSED_STATE;
	check_late("PreconditionFailed", DIF_CONFLICT);
	check_late("ConditionalRequestConflict", DIF_CONFLICT);
	check_late("AccessDenied", DIF_AUTH);
	begin_with("");
	expect(&(struct script_want){.method = "POST"},
	       &(struct script_reply){.status = 200,
	                              .body = ERROR("InternalError", "We encountered an error")});
	/* who knows: the key is looked at, then it is tried again */
	expect(&(struct script_want){.method = "HEAD", .url = PATH},
	       &(struct script_reply){.status = 404});
	expect(&(struct script_want){.method = "POST"},
	       &(struct script_reply){.status = 200, .body = FINISHED("x-2")});
	check_ok(finish());
	end();
}

TEST(a_lost_condition_is_a_conflict)
{
	UNUSED_STATE;
	static const struct {
		int status;
		const char *code;
	} lost[] = {{412, "PreconditionFailed"},
	            {409, "ConditionalRequestConflict"},
	            {404, "NoSuchKey"}};
	char body[256];
	for (size_t i = 0; i < 3; i++) {
		begin_with("");
		object.if_tag = "\"old\"";
		(void)snprintf(body, sizeof body, "<Error><Code>%s</Code></Error>", lost[i].code);
		expect(&(struct script_want){.method = "POST"},
		       &(struct script_reply){.status = lost[i].status, .body = body});
		check_class(finish(), DIF_CONFLICT);
		end();
	}
}

TEST(an_upload_that_is_gone_is_told_as_such)
{
	UNUSED_STATE;
	const struct script_reply gone = {.status = 404, .body = ERROR("NoSuchUpload", "gone")};
	begin_with("");
	object.if_tag = "\"old\"";
	expect(&(struct script_want){.method = "PUT"}, &gone);
	check_class(put_part(1, "x"), DIF_NOT_FOUND);
	expect(&(struct script_want){.method = "POST"}, &gone);
	check_class(finish(), DIF_NOT_FOUND);
	in.upload = UPLOAD;
	expect(&(struct script_want){.method = "DELETE", .url = PATH "?" QUERY}, &gone);
	check_ok(run_part(DIF_PART_ABORT));
	expect(&(struct script_want){.method = "DELETE", .url = PATH "?" QUERY},
	       &(struct script_reply){.status = 204});
	check_ok(run_part(DIF_PART_ABORT));
	check_signature(3);
	expect(&(struct script_want){.method = "DELETE"},
	       &(struct script_reply){.status = 404, .body = ERROR("NoSuchBucket", "none")});
	check_class(run_part(DIF_PART_ABORT), DIF_PERMANENT);
	end();
}

TEST(bytes_of_a_part_that_the_store_refuses_are_an_integrity_failure)
{
	UNUSED_STATE;
	begin_with("");
	expect(&(struct script_want){.method = "PUT"},
	       &(struct script_reply){.status = 400,
	                              .body = ERROR("XAmzContentSHA256Mismatch", "not these")});
	check_class(put_part(1, "x"), DIF_INTEGRITY);
	end();
}

TEST(parts_that_do_not_fit_are_refused_for_good)
{
	UNUSED_STATE;
	static const char *const codes[] = {"InvalidPart", "InvalidPartOrder", "EntityTooSmall"};
	char body[256];
	for (size_t i = 0; i < 3; i++) {
		begin_with("");
		(void)snprintf(body, sizeof body, "<Error><Code>%s</Code></Error>", codes[i]);
		expect(&(struct script_want){.method = "POST"},
		       &(struct script_reply){.status = 400, .body = body});
		check_class(finish(), DIF_PERMANENT);
		end();
	}
}

/* --- answers that are none --- */

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	*reply = (struct script_reply){.status = strcmp(seen->method, "HEAD") == 0 ? 404 : 200,
	                               .body = data};
}

TEST(garbage_is_not_believed)
{
	UNUSED_STATE;
	static const char *const bodies[] = {
		"",
		"   \n",
		"<html>",
		"<html/>",
		"{}",
		"<InitiateMultipartUploadResult/>",
		"<CompleteMultipartUploadResult/>",
		"<Error/>",
		"<CompleteMultipartUploadResult><ETag></ETag></CompleteMultipartUploadResult>"};
	static const enum dif_verb_id verbs[] = {DIF_PART_BEGIN, DIF_PART_PUT, DIF_PART_FINISH};
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		for (size_t k = 0; k < 3; k++) {
			begin_with("");
			st->deadline_ms = 100;
			script_answer(s, answer, (void *)(uintptr_t)bodies[i]);
			const struct store_out *out = verbs[k] == DIF_PART_BEGIN
			                                      ? run_part(DIF_PART_BEGIN)
			                              : verbs[k] == DIF_PART_PUT ? put_part(1, "x")
			                                                         : finish();
			assert_int_not_equal(out->err.cls, DIF_OK);
			assert_true(script_count(s) > 0);
			end();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_request_says_what_the_object_is),
		cmocka_unit_test(a_part_is_signed_by_its_digest),
		cmocka_unit_test(parts_come_in_any_order_and_more_than_once),
		cmocka_unit_test(a_part_whose_answer_was_lost_is_sent_again),
		cmocka_unit_test(without_a_signature_over_the_bytes_no_digest_is_asked_for),
		cmocka_unit_test(the_last_request_names_the_parts_and_the_condition),
		cmocka_unit_test(a_tag_that_is_not_told_is_made_of_those_of_the_parts),
		cmocka_unit_test(an_error_that_comes_with_200_is_an_error),
		cmocka_unit_test(a_lost_condition_is_a_conflict),
		cmocka_unit_test(an_upload_that_is_gone_is_told_as_such),
		cmocka_unit_test(bytes_of_a_part_that_the_store_refuses_are_an_integrity_failure),
		cmocka_unit_test(parts_that_do_not_fit_are_refused_for_good),
		cmocka_unit_test(garbage_is_not_believed),
	};
	return cmocka_run_group_tests_name("s3_parts", tests, without_environment, NULL);
}
