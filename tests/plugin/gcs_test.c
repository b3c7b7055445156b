/* gcs - the real gcs.so in host/op with a scripted server: what goes out, what comes of good, odd
 * and hostile replies. */
#include "tests/plugin/support/gcs.h"

/* --- put --- */

static const struct dif_field meta[] = {{"order", "7"}, {"sha256", "ab"}};

static const struct store_out *put(struct dif_put in)
{
	static struct store_blob blob;
	in.key = "a/b c.json";
	in.blob = store_blob(&blob, "hello world", 11);
	return store_put(st, &in);
}

TEST(a_put_is_one_request_of_properties_and_bytes)
{
	UNUSED_STATE;
	gcs_begin("storage_class = STANDARD\n");
	gcs_expect(
		&(struct script_want){
			.method = "POST",
			.url = UP "?uploadType=multipart&fields=*&ifGenerationMatch=0",
			.fields = {"authorization: Bearer ya29.token-1",
	                           "content-type: multipart/related; boundary=*"},
			.body = "--*\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n"
				"{\"name\":\"a/b c.json\",\"contentType\":\"application/json\","
				"\"contentEncoding\":\"gzip\",\"cacheControl\":\"no-store\","
				"\"storageClass\":\"STANDARD\",\"crc32c\":\"yZRlqg==\","
				"\"metadata\":{\"order\":\"7\",\"sha256\":\"ab\"}}\r\n"
				"--*\r\nContent-Type: application/json\r\n\r\n"
				"hello world\r\n--*--\r\n"},
		&(struct script_reply){.status = 200, .body = HELLO});
	const struct store_out *out = put((struct dif_put){.type = "application/json",
	                                                   .encoding = "gzip",
	                                                   .cache = "no-store",
	                                                   .meta = meta,
	                                                   .nmeta = 2,
	                                                   .use = DIF_CRC32C,
	                                                   .if_absent = 1});
	check_ok(out);
	assert_string_equal(out->object.tag, "1795613558535000");
	assert_memory_equal(out->object.digest[DIF_CRC32C].p, "\xc9\x94\x65\xaa", 4);
	const struct script_seen *seen = script_seen(s, 1);
	const char *boundary = strstr(script_header(s, 1, "content-type"), "boundary=") + 9;
	assert_int_equal(strlen(boundary), 32);
	assert_memory_equal(seen->body + 2, boundary, 32);
	gcs_end();
}

TEST(a_put_always_says_how_long_it_may_be_cached)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.url = UP "?uploadType=multipart&fields=*metadata",
	                                 .body = "*\"cacheControl\":\"private, max-age=0\"*"},
	           &(struct script_reply){.status = 200, .body = HELLO});
	check_ok(put((struct dif_put){0}));
	gcs_end();
}

TEST(a_put_may_be_guarded_by_md5)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.body = "*\"md5Hash\":\"XrY7u+Ae7tCTyyK7j1rNww==\"*"},
	           &(struct script_reply){.status = 200, .body = HELLO});
	check_ok(put((struct dif_put){.use = DIF_MD5}));
	gcs_end();
}

TEST(a_digest_that_does_not_fit_is_integrity)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.method = "POST"},
	           &(struct script_reply){
			   .status = 400,
			   .body = ERROR(
				   "400", "invalid",
				   "Provided CRC32C \\\"A\\\" doesn't match calculated CRC32C")});
	check_class(put((struct dif_put){.use = DIF_CRC32C}), DIF_INTEGRITY);
	gcs_end();
}

TEST(an_answer_without_a_generation_is_no_answer)
{
	UNUSED_STATE;
	static const char *const odd[] = {"{\"name\":\"a\",\"size\":\"1\"}", "[]", "{\"name\":",
	                                  "{\"name\":\"a\",\"generation\":\"1\",\"size\":\"x\"}"};
	for (size_t i = 0; i < DIF_LEN(odd); i++) {
		gcs_begin_always(&(struct script_reply){.status = 200, .body = odd[i]});
		const struct store_out *out = store_head(st, &(struct dif_get){.key = "a"});
		assert_int_not_equal(out->err.cls, DIF_OK);
		gcs_end();
	}
}

/* --- list, head, get --- */

TEST(a_list_tells_digests_and_metadata_and_pages)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(
		&(struct script_want){.method = "GET",
	                              .url = AT "?prefix=a%2F&maxResults=2&fields=*"},
		&(struct script_reply){.status = 200,
	                               .body = "{\"nextPageToken\":\"t/1\",\"items\":[" HELLO
	                                       ",{\"name\":\"a/z\",\"size\":\"0\",\"generation\":"
	                                       "\"3\",\"contentEncoding\":\"gzip\"}]}"});
	const struct store_out *out = store_list(st, &(struct dif_list){.prefix = "a/", .max = 2});
	check_ok(out);
	assert_string_equal(out->cursor, "t/1");
	assert_int_equal(out->nrows, 2);
	const struct dif_object *o = &out->rows[0];
	assert_string_equal(o->key, "a/b c.json");
	assert_string_equal(o->tag, "1795613558535000");
	assert_int_equal(o->size, 11);
	assert_int_equal(o->modified, 784111777);
	assert_true(o->has == (DIF_HAS(DIF_CRC32C) | DIF_HAS(DIF_MD5)));
	assert_true(o->meta_known == 1);
	assert_string_equal(o->type, "application/json");
	assert_string_equal(o->cache, "no-store");
	assert_null(o->encoding);
	assert_int_equal(o->nmeta, 2);
	assert_string_equal(store_meta(o, "sha256"), "ab");
	assert_string_equal(out->rows[1].encoding, "gzip");
	assert_int_equal(out->rows[1].has, 0);
	gcs_expect(&(struct script_want){.url = AT "?prefix=a%2F&maxResults=2&pageToken=t%2F1&*"},
	           &(struct script_reply){.status = 200, .body = "{}"});
	out = store_list(st, &(struct dif_list){.prefix = "a/", .max = 2, .cursor = "t/1"});
	check_ok(out);
	assert_null(out->cursor);
	assert_int_equal(out->nrows, 0);
	gcs_end();
}

/* The page cut after n bytes, or with one of them changed, is no page, whatever else it may be. */
static void check_no_page_of(const char *page, size_t n)
{
	struct script_reply reply = {.status = 200, .body = page, .body_n = n};
	bool judged = false;
	for (int64_t deadline = 25; !judged; deadline *= 2) {
		gcs_begin_always(&reply);
		st->deadline_ms = deadline;
		const struct store_out *out =
			store_list(st, &(struct dif_list){.prefix = "a", .max = 9});
		if (out->err.cls == DIF_OK) {
			fail_msg("taken for a page: %.*s", (int)n, page);
		}
		assert_int_equal(out->nrows, 0);
		assert_true(deadline < 60000);
		judged = out->err.status == 200 || strstr(out->err.text, "no number") != NULL;
		gcs_end();
	}
}

TEST(no_cut_or_garbled_page_is_a_page)
{
	UNUSED_STATE;
	static const char page[] = "{\"nextPageToken\":\"t/1\",\"items\":[" HELLO "," HELLO "]}";
	char garbled[sizeof page];
	for (size_t n = 1; n < sizeof page - 1; n += 17) {
		check_no_page_of(page, n);
	}
	for (size_t n = 0; n < sizeof page - 1; n += 29) {
		memcpy(garbled, page, sizeof page);
		garbled[n] = '\x01'; /* which no JSON may hold */
		check_no_page_of(garbled, sizeof page - 1);
	}
	static const char negative[] =
		"{\"items\":[{\"name\":\"a\",\"size\":\"-1\",\"generation\":\"1\"}]}";
	check_no_page_of(negative, sizeof negative - 1);
}

TEST(a_missing_object_is_an_answer_and_a_missing_bucket_is_not)
{
	UNUSED_STATE;
	static const struct script_reply missing = {.status = 404,
	                                            .body = ERROR("404", "notFound", "none")};
	gcs_begin("");
	for (int i = 0; i < 5; i++) {
		gcs_expect(&(struct script_want){0}, &missing);
	}
	check_class(store_head(st, &(struct dif_get){.key = "a"}), DIF_NOT_FOUND);
	check_class(store_get(st, &(struct dif_get){.key = "a"}), DIF_NOT_FOUND);
	check_class(store_probe(st), DIF_PERMANENT);
	check_class(store_list(st, &(struct dif_list){.prefix = "", .max = 1}), DIF_PERMANENT);
	const struct store_out *out = put((struct dif_put){0});
	check_class(out, DIF_PERMANENT);
	check_text(out, "bucket 'bucket-1' does not exist");
	gcs_end();
}

TEST(conditions_on_reading_take_the_generation)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.url = AT "/a%2Fb?fields=*&ifGenerationNotMatch=17"},
	           &(struct script_reply){.status = 304});
	const struct store_out *out =
		store_head(st, &(struct dif_get){.key = "a/b", .unless_tag = "17"});
	check_ok(out);
	assert_true(out->not_modified);
	gcs_expect(&(struct script_want){.url = AT "/a%2Fb?alt=media&ifGenerationMatch=17"},
	           &(struct script_reply){.status = 412, .body = "no"});
	check_class(store_get(st, &(struct dif_get){.key = "a/b", .if_tag = "17"}), DIF_CONFLICT);
	gcs_end();
}

TEST(a_get_tells_what_is_stored)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.url = AT "/a?alt=media",
	                                 .fields = {"accept-encoding: gzip", "range: bytes=6-10"}},
	           &(struct script_reply){.status = 206,
	                                  .fields = {"x-goog-generation: 17",
	                                             "x-goog-stored-content-encoding: identity",
	                                             "x-goog-stored-content-length: 11",
	                                             "content-range: bytes 6-10/11",
	                                             "content-length: 5", "content-type: text/csv",
	                                             "x-goog-meta-order: 7"},
	                                  .body = "world"});
	const struct store_out *out =
		store_get(st, &(struct dif_get){.key = "a", .offset = 6, .length = 5});
	check_ok(out);
	assert_string_equal(out->object.tag, "17");
	assert_int_equal(out->total, 11);
	assert_string_equal(dif_buf_str(&out->body), "world");
	assert_string_equal(store_meta(&out->object, "order"), "7");
	assert_null(out->object.encoding);
	gcs_end();
}

TEST(a_get_tells_the_digests_of_what_is_stored)
{
	UNUSED_STATE;
	static const struct script_reply replies[] = {
		{.status = 200,
	         .fields = {"x-goog-hash: crc32c=yZRlqg==,md5=XrY7u+Ae7tCTyyK7j1rNww=="},
	         .body = "hello world"},
		{.status = 200,
	         .fields = {"x-goog-hash: crc32c=yZRlqg==",
	                    "x-goog-hash: md5=XrY7u+Ae7tCTyyK7j1rNww=="},
	         .body = "hello world"},
		{.status = 200,
	         .fields = {"x-goog-hash: crc32c=yZRl,md5=?"},
	         .body = "hello world"},
	};
	gcs_begin("");
	for (size_t i = 0; i < DIF_LEN(replies); i++) {
		gcs_expect(&(struct script_want){.method = "GET"}, &replies[i]);
		const struct store_out *out = store_get(st, &(struct dif_get){.key = "a"});
		check_ok(out);
		if (i == 2) {
			assert_int_equal(out->object.has, 0);
			continue;
		}
		assert_true(out->object.has == (DIF_HAS(DIF_CRC32C) | DIF_HAS(DIF_MD5)));
		assert_memory_equal(out->object.digest[DIF_CRC32C].p, "\xc9\x94\x65\xaa", 4);
		assert_memory_equal(out->object.digest[DIF_MD5].p, "\x5e\xb6\x3b\xbb", 4);
	}
	gcs_end();
}

TEST(what_the_server_compressed_is_asked_for_again)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(
		&(struct script_want){.fields = {"accept-encoding: gzip"}},
		&(struct script_reply){.status = 200,
	                               .fields = {"x-goog-generation: 17", "content-encoding: gzip",
	                                          "x-goog-stored-content-encoding: identity"},
	                               .body = "squeezed"});
	gcs_expect(&(struct script_want){.fields = {"accept-encoding: identity"}},
	           &(struct script_reply){.status = 200,
	                                  .fields = {"x-goog-generation: 17",
	                                             "x-goog-stored-content-encoding: identity"},
	                                  .body = "hello"});
	const struct store_out *out = store_get(st, &(struct dif_get){.key = "a"});
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	assert_string_equal(dif_buf_str(&out->body), "hello");
	gcs_end();
}

/* --- remove --- */

static const struct store_out *remove_it(const char *tag)
{
	static const char *keys[1], *tags[1];
	keys[0] = "a/b";
	tags[0] = tag;
	return store_remove(st, &(struct dif_remove){.keys = keys, .tags = tags, .n = 1});
}

TEST(removing_what_is_gone_is_done_and_what_changed_is_a_conflict)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(
		&(struct script_want){.method = "DELETE", .url = AT "/a%2Fb?ifGenerationMatch=17"},
		&(struct script_reply){.status = 204});
	gcs_expect(&(struct script_want){.method = "DELETE", .url = AT "/a%2Fb"},
	           &(struct script_reply){.status = 404, .body = ERROR("404", "notFound", "none")});
	gcs_expect(
		&(struct script_want){.method = "DELETE", .url = AT "/a%2Fb?ifGenerationMatch=18"},
		&(struct script_reply){.status = 412,
	                               .body = ERROR("412", "conditionNotMet", "no")});
	static const struct {
		const char *tag;
		enum dif_class cls;
	} cases[] = {{"17", DIF_OK}, {NULL, DIF_OK}, {"18", DIF_CONFLICT}};
	for (size_t i = 0; i < DIF_LEN(cases); i++) {
		const struct store_out *out = remove_it(cases[i].tag);
		check_ok(out);
		assert_int_equal(out->nitems, 1);
		assert_int_equal(out->items[0].cls, cases[i].cls);
	}
	gcs_end();
}

/* --- faults --- */

TEST(reasons_decide_the_class)
{
	UNUSED_STATE;
	static const struct {
		int status;
		const char *body;
		enum dif_class cls;
	} cases[] = {
		{403, ERROR("403", "forbidden", "no"), DIF_AUTH},
		{403, ERROR("403", "userRateLimitExceeded", "slow"), DIF_THROTTLED},
		{429, ERROR("429", "rateLimitExceeded", "slow"), DIF_THROTTLED},
		{503, ERROR("503", "backendError", "try"), DIF_TRANSIENT},
		{408, "", DIF_TRANSIENT},
		{400, ERROR("400", "invalid", "odd"), DIF_PERMANENT},
		{500, "<html>", DIF_TRANSIENT},
	};
	for (size_t i = 0; i < DIF_LEN(cases); i++) {
		gcs_begin_always(
			&(struct script_reply){.status = cases[i].status, .body = cases[i].body});
		check_class(store_probe(st), cases[i].cls);
		gcs_end();
	}
}

TEST(a_bucket_that_cannot_be_is_refused_at_once)
{
	UNUSED_STATE;
	check_refused("[store t]\nplugin = gcs\nbucket = a/../b\ncredentials = /x\n",
	              "bucket 'a/../b'");
	check_refused("[store t]\nplugin = gcs\nbucket = abc\ncredentials = /x\n"
	              "endpoint = ftp://x\n",
	              "endpoint");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_put_is_one_request_of_properties_and_bytes),
		cmocka_unit_test(a_put_always_says_how_long_it_may_be_cached),
		cmocka_unit_test(a_put_may_be_guarded_by_md5),
		cmocka_unit_test(a_digest_that_does_not_fit_is_integrity),
		cmocka_unit_test(an_answer_without_a_generation_is_no_answer),
		cmocka_unit_test(a_list_tells_digests_and_metadata_and_pages),
		cmocka_unit_test(no_cut_or_garbled_page_is_a_page),
		cmocka_unit_test(a_missing_object_is_an_answer_and_a_missing_bucket_is_not),
		cmocka_unit_test(conditions_on_reading_take_the_generation),
		cmocka_unit_test(a_get_tells_what_is_stored),
		cmocka_unit_test(a_get_tells_the_digests_of_what_is_stored),
		cmocka_unit_test(what_the_server_compressed_is_asked_for_again),
		cmocka_unit_test(removing_what_is_gone_is_done_and_what_changed_is_a_conflict),
		cmocka_unit_test(reasons_decide_the_class),
		cmocka_unit_test(a_bucket_that_cannot_be_is_refused_at_once),
	};
	return cmocka_run_group_tests_name("plugin/gcs", tests, gcs_without_environment, NULL);
}
