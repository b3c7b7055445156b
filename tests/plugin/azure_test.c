/* azure - the real azure.so in host/op with a scripted server: what goes out to the last byte, what
 * comes of good, odd, cut and hostile replies. */
#include "tests/plugin/support/azure.h"

/* --- put --- */

static const struct store_out *put(const char *key, const char *if_tag, bool if_absent)
{
	static const struct dif_field meta[] = {{"epoch", "1"}, {"order", "7"}};
	static struct store_blob b;
	return store_put(st, &(struct dif_put){
				     .key = key,
				     .blob = store_blob(&b, "hello world", 11),
				     .type = "text/html; charset=utf-8",
				     .encoding = "gzip",
				     .cache = "public, max-age=5",
				     .meta = meta,
				     .nmeta = 2,
				     .use = DIF_MD5,
				     .if_tag = if_tag,
				     .if_absent = if_absent,
			     });
}

TEST(put_says_everything_in_one_signed_request)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(
		&(struct script_want){
			.method = "PUT",
			.url = AT "/d/a%20b%2B%C3%BC.html",
			.fields = {"content-md5: " HELLO_MD5, "x-ms-blob-content-md5: " HELLO_MD5,
	                           "x-ms-blob-type: BlockBlob", "x-ms-version: 2021-12-02",
	                           "x-ms-meta-order: 7", "!if-match", "!date", "!content-type"},
			.body = "hello world"},
		&(struct script_reply){.status = 201,
	                               .fields = {"etag: \"0x8D1\"", "content-md5: " HELLO_MD5}});
	const struct store_out *out = put("d/a b+\xc3\xbc.html", NULL, true);
	check_ok(out);
	assert_string_equal(out->object.tag, "\"0x8D1\"");
	azure_check_signature(0, "PUT\n\n\n11\n" HELLO_MD5 "\n\n\n\n\n*\n\n\n"
	                         "x-ms-blob-cache-control:public, max-age=5\n"
	                         "x-ms-blob-content-encoding:gzip\n"
	                         "x-ms-blob-content-md5:" HELLO_MD5 "\n"
	                         "x-ms-blob-content-type:text/html; charset=utf-8\n"
	                         "x-ms-blob-type:BlockBlob\nx-ms-date:%s\nx-ms-meta-epoch:1\n"
	                         "x-ms-meta-order:7\nx-ms-version:2021-12-02\n"
	                         "/acct/site/d/a%20b%2B%C3%BC.html");
	azure_end();
}

static void put_fails(int status, const char *code, enum dif_class cls)
{
	char told[128];
	(void)snprintf(told, sizeof told, "x-ms-error-code: %s", code);
	azure_begin(INI);
	azure_expect(
		&(struct script_want){.method = "PUT"},
		&(struct script_reply){.status = status, .fields = {told}, .body = ERROR("X")});
	if (strcmp(code, "BlobAlreadyExists") == 0) { /* or blocks wait, so it is looked at */
		azure_expect(&(struct script_want){.method = "HEAD", .url = AT "/a"},
		             &(struct script_reply){.status = 200});
	}
	const struct store_out *out = put("a", NULL, true);
	check_class(out, cls);
	assert_string_equal(out->err.code, code);
	assert_int_equal(out->attempts, 1);
	azure_end();
}

TEST(a_409_is_a_lost_condition_or_a_state_and_a_412_too)
{
	UNUSED_STATE;
	put_fails(409, "BlobAlreadyExists", DIF_CONFLICT);
	put_fails(412, "ConditionNotMet", DIF_CONFLICT);
	put_fails(409, "BlobImmutableDueToPolicy", DIF_PERMANENT);
	put_fails(409, "AccountIsDisabled", DIF_PERMANENT);
	put_fails(412, "LeaseIdMissing", DIF_PERMANENT);
	put_fails(412, "LeaseIdMismatchWithBlobOperation", DIF_PERMANENT);
	put_fails(409, "SomethingNew", DIF_CONFLICT);
	put_fails(400, "Md5Mismatch", DIF_INTEGRITY);
	put_fails(404, "ContainerNotFound", DIF_PERMANENT);
	put_fails(403, "AuthorizationPermissionMismatch", DIF_AUTH);
	put_fails(413, "RequestBodyTooLarge", DIF_PERMANENT);
}

static void expect_taken(const char *code)
{
	static const struct script_reply taken = {.status = 409,
	                                          .fields = {"x-ms-error-code: BlobAlreadyExists"}};
	azure_expect(&(struct script_want){.method = "PUT", .fields = {"if-none-match: *"}},
	             &taken);
	azure_expect(
		&(struct script_want){.method = "HEAD", .url = AT "/a"},
		&(struct script_reply){.status = 404, .fields = {"x-ms-error-code: BlobNotFound"}});
	azure_expect(&(struct script_want){.method = "PUT",
	                                   .url = AT "/a?blockid=*&comp=block",
	                                   .fields = {"content-md5: " HELLO_MD5},
	                                   .body = "hello world"},
	             &(struct script_reply){.status = 201});
	azure_expect(
		&(struct script_want){.method = "PUT",
	                              .url = AT "/a?comp=blocklist",
	                              .fields = {"if-none-match: *",
	                                         "x-ms-blob-content-md5: " HELLO_MD5,
	                                         "x-ms-meta-order: 7"},
	                              .body = "*<BlockList><Latest>*</Latest></BlockList>"},
		&(struct script_reply){.status = *code == '\0' ? 201 : 409,
	                               .fields = {"etag: \"0x2\"", *code == '\0' ? NULL : code}});
}

TEST(blocks_that_were_left_behind_do_not_take_a_name)
{
	UNUSED_STATE;
	azure_begin(INI);
	expect_taken("");
	const struct store_out *out = put("a", NULL, true);
	check_ok(out);
	assert_string_equal(out->object.tag, "\"0x2\"");
	assert_int_equal(out->object.has, DIF_HAS(DIF_MD5));
	/* somebody else was faster */
	expect_taken("x-ms-error-code: BlobAlreadyExists");
	azure_expect(&(struct script_want){.method = "HEAD"},
	             &(struct script_reply){.status = 200,
	                                    .fields = {"etag: \"0x3\"", "content-length: 1"}});
	check_class(put("a", NULL, true), DIF_CONFLICT);
	/* who replaces a blob is not asked whether it is there */
	azure_expect(&(struct script_want){.fields = {"if-match: \"0x1\""}},
	             &(struct script_reply){.status = 409,
	                                    .fields = {"x-ms-error-code: BlobAlreadyExists"}});
	check_class(put("a", "\"0x1\"", false), DIF_CONFLICT);
	azure_end();
}

TEST(an_empty_blob_where_blocks_wait_is_an_empty_list)
{
	UNUSED_STATE;
	static struct store_blob b;
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "PUT", .url = AT "/a"},
	             &(struct script_reply){.status = 409,
	                                    .fields = {"x-ms-error-code: BlobAlreadyExists"}});
	azure_expect(&(struct script_want){.method = "HEAD"},
	             &(struct script_reply){.status = 404});
	azure_expect(&(struct script_want){.url = AT "/a?comp=blocklist",
	                                   .body = "*<BlockList></BlockList>"},
	             &(struct script_reply){.status = 201, .fields = {"etag: \"0x2\""}});
	struct dif_put in = {
		.key = "a", .blob = store_blob(&b, "", 0), .use = DIF_MD5, .if_absent = 1};
	check_ok(store_put(st, &in));
	azure_end();
}

/* --- head and get --- */

TEST(head_tells_what_a_store_keeps)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "HEAD", .url = AT "/a.json"},
	             &(struct script_reply){
			     .status = 200,
			     .fields = {"etag: \"0x8D1\"", "content-length: 11",
	                                "content-type: application/json", "content-md5: " HELLO_MD5,
	                                "cache-control: no-store", "x-ms-meta-order: 7",
	                                "last-modified: Sun, 06 Nov 1994 08:49:37 GMT"}});
	const struct store_out *out = store_head(st, &(struct dif_get){.key = "a.json"});
	check_ok(out);
	assert_string_equal(out->object.tag, "\"0x8D1\"");
	assert_int_equal(out->object.size, 11);
	assert_int_equal(out->object.modified, 784111777);
	assert_string_equal(out->object.cache, "no-store");
	assert_string_equal(store_meta(&out->object, "order"), "7");
	assert_int_equal(out->object.has, DIF_HAS(DIF_MD5));
	azure_check_signature(0,
	                      "HEAD\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2021-12-02\n"
	                      "/acct/site/a.json");
	azure_expect(
		&(struct script_want){.method = "HEAD"},
		&(struct script_reply){.status = 404, .fields = {"x-ms-error-code: BlobNotFound"}});
	out = store_head(st, &(struct dif_get){.key = "b"});
	check_class(out, DIF_NOT_FOUND);
	assert_string_equal(out->err.code, "BlobNotFound");
	azure_end();
}

TEST(get_of_a_range_asks_for_the_same_object)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "GET",
	                                   .url = AT "/z.zip",
	                                   .fields = {"range: bytes=6-10", "if-match: \"1\""}},
	             &(struct script_reply){.status = 206,
	                                    .fields = {"etag: \"1\"", "content-length: 5",
	                                               "content-range: bytes 6-10/11",
	                                               "content-md5: AAAAAAAAAAAAAAAAAAAAAA=="},
	                                    .body = "world"});
	const struct store_out *out = store_get(
		st, &(struct dif_get){.key = "z.zip", .offset = 6, .length = 5, .if_tag = "\"1\""});
	check_ok(out);
	assert_int_equal(out->total, 11);
	assert_string_equal(dif_buf_str(&out->body), "world");
	assert_int_equal(out->object.has, 0); /* that MD5 is of the range */
	azure_check_signature(0, "GET\n\n\n\n\n\n\n\n\"1\"\n\n\nbytes=6-10\nx-ms-date:%s\n"
	                         "x-ms-version:2021-12-02\n/acct/site/z.zip");
	azure_expect(&(struct script_want){.method = "GET", .fields = {"if-none-match: \"1\""}},
	             &(struct script_reply){.status = 304, .fields = {"etag: \"1\""}});
	out = store_get(st, &(struct dif_get){.key = "z.zip", .unless_tag = "\"1\""});
	check_ok(out);
	assert_true(out->not_modified);
	azure_end();
}

static void give_another(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	(void)seen;
	*reply = (struct script_reply){
		.status = 206,
		.fields = {"etag: \"2\"", "content-length: 5", "content-range: bytes 6-10/11"},
		.body = "world"};
}

TEST(a_part_of_another_blob_is_not_taken)
{
	UNUSED_STATE;
	azure_begin(INI);
	st->deadline_ms = 300;
	script_answer(s, give_another, NULL);
	struct dif_get in = {.key = "z.zip", .offset = 6, .if_tag = "\"1\""};
	const struct store_out *out = store_get(st, &in);
	assert_int_not_equal(out->err.cls, DIF_OK);
	assert_int_equal(out->body.n, 0);
	azure_end();
}

/* --- list --- */

TEST(list_tells_all_with_tags_in_quotes)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(
		&(struct script_want){.method = "GET",
	                              .url = AT "?comp=list&include=metadata&maxresults=1000"
	                                        "&prefix=d%2F%C3%BC%20&restype=container"},
		&(struct script_reply){.status = 200,
	                               .body = LIST(ROW("d/\xc3\xbc &amp;+%20"), "2!96!x/y=")});
	struct dif_list in = {.prefix = "d/\xc3\xbc ", .max = 1000, .want_meta = 1};
	const struct store_out *out = store_list(st, &in);
	check_ok(out);
	assert_int_equal(out->nrows, 1);
	const struct dif_object *o = &out->rows[0];
	assert_string_equal(o->key, "d/\xc3\xbc &+%20");
	assert_string_equal(o->tag, "\"0x8D1\"");
	assert_int_equal(o->size, 11);
	assert_int_equal(o->modified, 784111777);
	assert_string_equal(o->type, "text/html");
	assert_null(o->encoding);
	assert_string_equal(o->cache, "max-age=5");
	assert_true(o->meta_known);
	assert_string_equal(store_meta(o, "order"), "7");
	assert_int_equal(o->has, DIF_HAS(DIF_MD5));
	assert_string_equal(out->cursor, "2!96!x/y=");
	azure_check_signature(0,
	                      "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:%s\nx-ms-version:2021-12-02\n"
	                      "/acct/site\ncomp:list\ninclude:metadata\nmaxresults:1000\n"
	                      "prefix:d/\xc3\xbc \nrestype:container");
	in = (struct dif_list){.prefix = "", .cursor = "2!96!x/y="};
	azure_expect(&(struct script_want){.url = AT "?comp=list&marker=2%2196%21x%2Fy%3D"
	                                             "&maxresults=1000&restype=container"},
	             &(struct script_reply){.status = 200, .body = LIST("", "")});
	out = store_list(st, &in);
	check_ok(out);
	assert_int_equal(out->nrows, 0);
	assert_null(out->cursor);
	azure_end();
}

TEST(folders_of_a_hierarchical_account_are_no_objects)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(
		&(struct script_want){.method = "GET"},
		&(struct script_reply){
			.status = 200,
			.body = LIST(
				"<Blob><Name>d</Name><Properties><Etag>0x1</Etag>"
				"<ResourceType>directory</ResourceType>"
				"<Content-Length>0</Content-Length></Properties></Blob>" ROW("d/a"),
				"")});
	const struct store_out *out = store_list(st, &(struct dif_list){.prefix = ""});
	check_ok(out);
	assert_int_equal(out->nrows, 1);
	assert_string_equal(out->rows[0].key, "d/a");
	azure_end();
}

/* Every reply here has status 200, and none may count as a page. */
TEST(a_list_that_is_none_is_refused_whole)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"",
		"no xml at all",
		ERROR("InternalError"),
		"<EnumerationResults/>",
		LIST(ROW("elsewhere/a"), ""),
		LIST(ROW("d/a"), "same"),
		LIST("<Blob><Name>d/a</Name></Blob>", ""),
		LIST("<Blob><Properties><Etag>x</Etag></Properties></Blob>", ""),
		LIST("<Blob><Name>d/a</Name><Properties><Etag>x</Etag>"
	             "<Content-Length>many</Content-Length></Properties></Blob>",
	             ""),
		"<!DOCTYPE x [<!ENTITY e \"e\">]><EnumerationResults><Blobs/></EnumerationResults>",
	};
	const struct dif_list in = {.prefix = "d/", .cursor = "same"};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		check_no_page(INI, &in, bad[i], strlen(bad[i]));
	}
}

TEST(a_page_cut_at_any_byte_is_no_page)
{
	UNUSED_STATE;
	const char *whole = LIST(ROW("a"), "");
	const struct dif_list in = {.prefix = ""};
	for (size_t n = 1; n < strlen(whole); n++) {
		check_no_page(INI, &in, whole, n);
	}
}

/* --- failures --- */

TEST(forbidden_is_not_tried_again)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "GET"},
	             &(struct script_reply){.status = 403, .body = ERROR("AuthenticationFailed")});
	const struct store_out *out = store_probe(st);
	check_class(out, DIF_AUTH);
	assert_int_equal(out->attempts, 1);
	assert_string_equal(out->err.code, "AuthenticationFailed");
	check_text(out, "A sentence.");
	assert_null(strstr(out->err.text, "RequestId"));
	azure_end();
}

TEST(a_clock_that_is_off_is_set_by_the_reply)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "GET"},
	             &(struct script_reply){.status = 403,
	                                    .fields = {"date: Sun, 06 Nov 1994 08:49:37 GMT",
	                                               "x-ms-error-code: AuthenticationFailed"}});
	azure_expect(&(struct script_want){.method = "GET",
	                                   .fields = {"x-ms-date: Sun, 06 Nov 1994 08:49:*"}},
	             &(struct script_reply){.status = 200, .body = LIST("", "")});
	check_ok(store_probe(st));
	azure_end();
}

/* --- addresses and options --- */

static void addressed(const char *ini, const char *url)
{
	azure_begin(ini);
	azure_expect(&(struct script_want){.method = "HEAD", .url = url},
	             &(struct script_reply){.status = 404});
	check_class(store_head(st, &(struct dif_get){.key = "k"}), DIF_NOT_FOUND);
	azure_end();
}

#define STRING(s) "[store t]\nplugin = azure\ncontainer = $web\nconnection_string = " s "\n"

TEST(where_a_container_lives)
{
	UNUSED_STATE;
	addressed(INI, AT "/k");
	addressed(INI "endpoint = https://127.0.0.1:10000/acct/\n",
	          "https://127.0.0.1:10000/acct/site/k");
	addressed(STRING("AccountName=a1b;AccountKey=" KEY),
	          "https://a1b.blob.core.windows.net/%24web/k");
	addressed(STRING("DefaultEndpointsProtocol=https;AccountName=a1b;AccountKey=" KEY
	                 ";EndpointSuffix=core.chinacloudapi.cn"),
	          "https://a1b.blob.core.chinacloudapi.cn/%24web/k");
	addressed(STRING("AccountName=a1b;BlobEndpoint=https://b.example/a1b;AccountKey=" KEY
	                 ";QueueEndpoint=https://q.example/a1b;"),
	          "https://b.example/a1b/%24web/k");
	addressed(STRING("UseDevelopmentStorage=true"),
	          "http://127.0.0.1:10000/devstoreaccount1/%24web/k");
}

TEST(what_cannot_work_is_refused_when_it_opens)
{
	UNUSED_STATE;
	check_refused("[store t]\nplugin = azure\ncontainer = site\n", "no credential");
	check_refused(INI "connection_string = AccountName=x;AccountKey=" KEY "\n", "keep one");
	check_refused(STRING("AccountName"), "'='");
	check_refused(STRING("AccountName=x"), "AccountKey");
	check_refused("[store t]\nplugin = azure\ncontainer = site\naccount = acct\n"
	              "account_key = not base64\n",
	              "base64");
	check_refused("[store t]\nplugin = azure\ncontainer = Site/x\naccount = acct\n"
	              "account_key = " KEY "\n",
	              "container");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_says_everything_in_one_signed_request),
		cmocka_unit_test(a_409_is_a_lost_condition_or_a_state_and_a_412_too),
		cmocka_unit_test(blocks_that_were_left_behind_do_not_take_a_name),
		cmocka_unit_test(an_empty_blob_where_blocks_wait_is_an_empty_list),
		cmocka_unit_test(head_tells_what_a_store_keeps),
		cmocka_unit_test(get_of_a_range_asks_for_the_same_object),
		cmocka_unit_test(a_part_of_another_blob_is_not_taken),
		cmocka_unit_test(list_tells_all_with_tags_in_quotes),
		cmocka_unit_test(folders_of_a_hierarchical_account_are_no_objects),
		cmocka_unit_test(a_list_that_is_none_is_refused_whole),
		cmocka_unit_test(a_page_cut_at_any_byte_is_no_page),
		cmocka_unit_test(forbidden_is_not_tried_again),
		cmocka_unit_test(a_clock_that_is_off_is_set_by_the_reply),
		cmocka_unit_test(where_a_container_lives),
		cmocka_unit_test(what_cannot_work_is_refused_when_it_opens),
	};
	return cmocka_run_group_tests_name("azure", tests, azure_without_environment, NULL);
}
