/* s3_list - the real s3.so in host/op with a scripted server: pages, good, cut and hostile;
 * removal of one key and of many. */
#include "tests/plugin/support/s3.h"

#include "base/parse.h"
#include "host/crypto.h"

/* --- list --- */

TEST(list_turns_pages_and_decodes_keys)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "GET",
	                             .url = AT "/?encoding-type=url&list-type=2&max-keys=1000"
	                                       "&prefix=d%2Fx%20%C3%BC",
	                             .fields = {"x-amz-content-sha256: " NO_BODY}},
	       &(struct script_reply){
		       .status = 200,
		       .body = LIST("<EncodingType>url</EncodingType>" ROW("d/x+%C3%BC%2Bplus") ROW(
			       "d%2Fx%20%C3%BC") "<IsTruncated>true</IsTruncated>" MORE("1/x=="))});
	const struct store_out *out =
		store_list(st, &(struct dif_list){.prefix = "d/x \xc3\xbc", .max = 1000});
	check_ok(out);
	assert_int_equal(out->nrows, 2);
	assert_string_equal(out->rows[0].key, "d/x \xc3\xbc+plus");
	assert_string_equal(out->rows[0].tag, "\"d/x+%C3%BC%2Bplus\"");
	assert_int_equal(out->rows[0].size, 11);
	assert_int_equal(out->rows[0].modified, 1379441273);
	assert_false(out->rows[0].meta_known);
	assert_string_equal(out->rows[1].key, "d/x \xc3\xbc");
	assert_string_equal(out->cursor, "1/x==");
	expect(&(struct script_want){.url = AT "/?continuation-token=1%2Fx%3D%3D"
	                                       "&encoding-type=url&list-type=2&max-keys=1000"
	                                       "&prefix=d%2Fx%20%C3%BC"},
	       &(struct script_reply){.status = 200, .body = LIST(LAST)});
	out = store_list(
		st, &(struct dif_list){.prefix = "d/x \xc3\xbc", .cursor = "1/x==", .max = 1000});
	check_ok(out);
	assert_int_equal(out->nrows, 0);
	assert_null(out->cursor);
	check_signature(0);
	check_signature(1);
	end();
}

TEST(keys_are_taken_as_they_are_where_the_server_encodes_none)
{
	UNUSED_STATE;
	begin(INI);
	expect(&(struct script_want){.method = "GET"},
	       &(struct script_reply){
		       .status = 200,
		       .body = LIST("<IsTruncated>false</IsTruncated>" ROW("a+b%20c"))});
	const struct store_out *out = store_list(st, &(struct dif_list){.prefix = ""});
	check_ok(out);
	assert_string_equal(out->rows[0].key, "a+b%20c");
	end();
}

/* Every reply here has status 200, and none may count as a page. */
TEST(a_list_that_is_none_is_refused_whole)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"",
		"no xml at all",
		"{\"kind\": \"json\"}",
		ERROR("InternalError", "We encountered an internal error"),
		"<ListBucketResult/>",
		LIST(ROW("d/a")),
		LIST("<IsTruncated>true</IsTruncated>" ROW("d/a")),
		LIST("<IsTruncated>maybe</IsTruncated>"),
		LIST(LAST ROW("elsewhere/a")),
		LIST(LAST ROW("d/%zz")),
		LIST(LAST ROW("d/%00")),
		LIST(LAST "<Contents><Key>d/a</Key><Size>1</Size></Contents>"),
		LIST(LAST "<Contents><ETag>x</ETag><Size>1</Size></Contents>"),
		LIST(LAST "<Contents><Key>d/a</Key><ETag>x</ETag><Size>-1</Size></Contents>"),
		LIST(LAST "<Contents><Key>d/a</Key><ETag>x</ETag></Contents>"),
		LIST("<IsTruncated>true</IsTruncated>"
	             "<NextContinuationToken>same</NextContinuationToken>"),
		"<!DOCTYPE x [<!ENTITY e \"e\">]>" LIST(LAST),
	};
	const struct dif_list in = {.prefix = "d/", .cursor = "same"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		check_no_page(INI, &in, bad[i], strlen(bad[i]));
	}
}

TEST(a_page_cut_at_any_byte_is_no_page)
{
	UNUSED_STATE;
	const char *whole = LIST(LAST ROW("a") ROW("b"));
	const struct dif_list in = {.prefix = ""};
	for (size_t n = 1; n < strlen(whole); n++) {
		check_no_page(INI, &in, whole, n);
	}
}

/* --- remove --- */

TEST(one_key_goes_by_delete)
{
	UNUSED_STATE;
	const char *key = "d/a b";
	begin(INI);
	expect(&(struct script_want){.method = "DELETE", .url = AT "/d/a%20b"},
	       &(struct script_reply){.status = 204});
	const struct store_out *out = store_remove(st, &(struct dif_remove){.keys = &key, .n = 1});
	check_ok(out);
	assert_int_equal(out->nitems, 1);
	assert_int_equal(out->items[0].cls, DIF_OK);
	check_signature(0);
	expect(&(struct script_want){.method = "DELETE"},
	       &(struct script_reply){.status = 404, .body = ERROR("NoSuchKey", "")});
	check_ok(store_remove(st, &(struct dif_remove){.keys = &key, .n = 1}));
	end();
}

TEST(many_keys_go_at_once_and_each_has_its_answer)
{
	UNUSED_STATE;
	const char *const keys[] = {"a&b<c>", "d\"e'", "f", "g", "h"};
	const char *body = "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
			   "<Object><Key>a&amp;b&lt;c&gt;</Key></Object>"
			   "<Object><Key>d*e*</Key></Object><Object><Key>f</Key></Object>"
			   "<Object><Key>g</Key></Object><Object><Key>h</Key></Object></Delete>";
	begin(INI);
	expect(&(struct script_want){.method = "POST",
	                             .url = AT "/?delete=",
	                             .fields = {"content-type: application/xml",
	                                        "content-md5: *=="},
	                             .body = body},
	       &(struct script_reply){.status = 200,
	                              .body = "<DeleteResult><Deleted><Key>f</Key></Deleted>"
	                                      "<Deleted><Key>a&amp;b&lt;c&gt;</Key></Deleted>"
	                                      "<Error><Key>d&quot;e'</Key><Code>AccessDenied</Code>"
	                                      "<Message>Access Denied</Message></Error>"
	                                      "<Deleted><Key>never asked for</Key></Deleted>"
	                                      "<Error><Key>g</Key><Code>NoSuchKey</Code></Error>"
	                                      "</DeleteResult>"});
	const struct store_out *out = store_remove(st, &(struct dif_remove){.keys = keys, .n = 5});
	check_ok(out);
	assert_int_equal(out->nitems, 5);
	assert_int_equal(out->items[0].cls, DIF_OK);
	assert_int_equal(out->items[1].cls, DIF_AUTH);
	assert_string_equal(out->items[1].code, "AccessDenied");
	assert_int_equal(out->items[2].cls, DIF_OK);
	assert_int_equal(out->items[3].cls, DIF_OK);
	assert_int_not_equal(out->items[4].cls, DIF_OK); /* no answer is no success */
	check_signature(0);

	/* Content-MD5 and the payload hash are those of the body */
	const struct script_seen *seen = script_seen(s, 0);
	uint8_t digest[DIF_DIGEST_MAX];
	char want[65];
	struct dif_arena a;
	dif_arena_init(&a, 1024, false);
	assert_true(dif_hash(DIF_MD5, seen->body, seen->body_n, digest));
	assert_string_equal(script_header(s, 0, "content-md5"),
	                    dif_encode(&a, DIF_BASE64, digest, 16));
	assert_true(dif_hash(DIF_SHA256, seen->body, seen->body_n, digest));
	dif_hex(want, digest, 32);
	assert_string_equal(script_header(s, 0, "x-amz-content-sha256"), want);
	dif_arena_fini(&a);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(list_turns_pages_and_decodes_keys),
		cmocka_unit_test(keys_are_taken_as_they_are_where_the_server_encodes_none),
		cmocka_unit_test(a_list_that_is_none_is_refused_whole),
		cmocka_unit_test(a_page_cut_at_any_byte_is_no_page),
		cmocka_unit_test(one_key_goes_by_delete),
		cmocka_unit_test(many_keys_go_at_once_and_each_has_its_answer),
	};
	return cmocka_run_group_tests_name("s3_list", tests, without_environment, NULL);
}
