/* azure_part - large objects in blocks: what goes out, in any order, again, and what comes of lost
 * uploads and conditions. */
#include "tests/plugin/support/azure.h"

#include "host/crypto.h"

#define BLOCKS_MAX 10000

static struct store_blob whole, block;
static struct dif_put put;
static char upload[64], tokens[3][64];

/* The put of the whole, and an upload for it. */
static void begin_upload(const char *if_tag)
{
	static const struct dif_field meta[] = {{"order", "7"}};
	azure_begin(INI);
	put = (struct dif_put){.key = "d/big.zip",
	                       .blob = store_blob(&whole, "hello world", 11),
	                       .type = "application/zip",
	                       .cache = "no-store",
	                       .meta = meta,
	                       .nmeta = 1,
	                       .use = DIF_MD5,
	                       .if_tag = if_tag,
	                       .if_absent = if_tag == NULL};
	const struct store_out *out =
		store_part(st, DIF_PART_BEGIN, &(struct dif_part){.put = &put});
	check_ok(out);
	assert_int_equal(script_count(s), 0);
	(void)snprintf(upload, sizeof upload, "%s", out->upload);
	assert_int_equal(strlen(upload), 18);
}

static const struct store_out *put_block(uint32_t number, const char *text)
{
	return store_part(st, DIF_PART_PUT,
	                  &(struct dif_part){.put = &put,
	                                     .upload = upload,
	                                     .blob = store_blob(&block, text, strlen(text)),
	                                     .number = number});
}

/* The block's id, as it stands in its URL. */
static const char *id_of(uint32_t number)
{
	static char to[128];
	char id[80];
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	(void)snprintf(id, sizeof id, "%s%06u", upload, number);
	const char *base64 = dif_encode(&a, DIF_BASE64, id, strlen(id));
	(void)snprintf(to, sizeof to, "%s", base64);
	assert_int_equal(strlen(to), 32);
	dif_arena_fini(&a);
	return to;
}

static void expect_block(uint32_t number, const char *text, int status, const char *code)
{
	static char url[8][256], error[8][64];
	static uint32_t next;
	next = (next + 1) % 8;
	(void)snprintf(url[next], sizeof url[next], AT "/d/big.zip?blockid=%s&comp=block",
	               id_of(number));
	(void)snprintf(error[next], sizeof error[next], "x-ms-error-code: %s", code);
	azure_expect(&(struct script_want){.method = "PUT",
	                                   .url = url[next],
	                                   .fields = {"content-md5: *", "!x-ms-blob-type",
	                                              "!if-match", "!if-none-match"},
	                                   .body = text},
	             &(struct script_reply){.status = status, .fields = {error[next]}});
}

static void put_and_keep(uint32_t number, const char *text)
{
	expect_block(number, text, 201, "");
	const struct store_out *out = put_block(number, text);
	check_ok(out);
	assert_int_equal(out->accepted, strlen(text));
	assert_string_equal(out->token, id_of(number));
	(void)snprintf(tokens[number - 1], sizeof tokens[0], "%s", out->token);
}

static const struct store_out *finish(void)
{
	static const char *const in_order[] = {tokens[0], tokens[1]};
	return store_part(st, DIF_PART_FINISH,
	                  &(struct dif_part){
				  .put = &put, .upload = upload, .tokens = in_order, .ntokens = 2});
}

TEST(blocks_in_any_order_become_one_blob)
{
	UNUSED_STATE;
	static char list[256];
	begin_upload("\"0x1\"");
	put_and_keep(2, "world");
	put_and_keep(1, "hello ");
	assert_string_not_equal(tokens[0], tokens[1]);
	(void)snprintf(list, sizeof list,
	               "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList><Latest>%s</Latest>"
	               "<Latest>%s</Latest></BlockList>",
	               tokens[0], tokens[1]);
	azure_expect(&(struct script_want){.method = "PUT",
	                                   .url = AT "/d/big.zip?comp=blocklist",
	                                   .fields = {"if-match: \"0x1\"", "!if-none-match",
	                                              "content-md5: *",
	                                              "x-ms-blob-content-md5: " HELLO_MD5,
	                                              "x-ms-blob-content-type: application/zip",
	                                              "x-ms-blob-cache-control: no-store",
	                                              "x-ms-meta-order: 7", "!x-ms-blob-type"},
	                                   .body = list},
	             &(struct script_reply){.status = 201, .fields = {"etag: \"0x2\""}});
	const struct store_out *out = finish();
	check_ok(out);
	assert_string_equal(out->object.tag, "\"0x2\"");
	assert_int_equal(out->object.size, 11);
	assert_int_equal(out->object.has, 0); /* the service has not looked at the whole */
	azure_end();
}

static void check_md5(size_t request, const void *p, size_t n)
{
	uint8_t md5[16];
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	assert_true(dif_hash(DIF_MD5, p, n, md5));
	assert_string_equal(script_header(s, request, "content-md5"),
	                    dif_encode(&a, DIF_BASE64, md5, sizeof md5));
	dif_arena_fini(&a);
}

TEST(each_request_is_guarded_by_its_own_md5_and_signed)
{
	UNUSED_STATE;
	char text[1024];
	begin_upload(NULL);
	put_and_keep(1, "hello ");
	check_md5(0, "hello ", 6);
	(void)snprintf(text, sizeof text,
	               "PUT\n\n\n6\n%s\n\n\n\n\n\n\n\nx-ms-date:%%s\nx-ms-version:2021-12-02\n"
	               "/acct/site/d/big.zip\nblockid:%s\ncomp:block",
	               script_header(s, 0, "content-md5"), tokens[0]);
	azure_check_signature(0, text);
	put_and_keep(2, "world");
	azure_expect(&(struct script_want){.method = "PUT", .fields = {"if-none-match: *"}},
	             &(struct script_reply){.status = 201, .fields = {"etag: \"0x2\""}});
	check_ok(finish());
	const struct script_seen *seen = script_seen(s, 2);
	check_md5(2, seen->body, seen->body_n);
	(void)snprintf(text, sizeof text,
	               "PUT\n\n\n%zu\n%s\n\n\n\n\n*\n\n\nx-ms-blob-cache-control:no-store\n"
	               "x-ms-blob-content-md5:" HELLO_MD5 "\n"
	               "x-ms-blob-content-type:application/zip\nx-ms-date:%%s\n"
	               "x-ms-meta-order:7\nx-ms-version:2021-12-02\n"
	               "/acct/site/d/big.zip\ncomp:blocklist",
	               seen->body_n, script_header(s, 2, "content-md5"));
	azure_check_signature(2, text);
	azure_end();
}

TEST(a_block_that_is_sent_again_takes_its_own_place)
{
	UNUSED_STATE;
	begin_upload(NULL);
	expect_block(1, "hello ", 500, "InternalError");
	expect_block(1, "hello ", 201, "");
	const struct store_out *out = put_block(1, "hello ");
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	assert_string_equal(out->token, id_of(1));
	azure_end();
}

TEST(a_block_of_other_bytes_is_no_block)
{
	UNUSED_STATE;
	begin_upload(NULL);
	expect_block(1, "hello ", 400, "Md5Mismatch");
	check_class(put_block(1, "hello "), DIF_INTEGRITY);
	expect_block(1, "hello ", 400, "InvalidBlobOrBlock");
	const struct store_out *out = put_block(1, "hello ");
	check_class(out, DIF_PERMANENT);
	check_text(out, "blocks of another program");
	expect_block(1, "hello ", 412, "LeaseIdMissing");
	out = put_block(1, "hello ");
	check_class(out, DIF_PERMANENT);
	check_text(out, "lease");
	azure_end();
}

static void finish_fails(int status, const char *code, enum dif_class cls)
{
	char told[64];
	(void)snprintf(told, sizeof told, "x-ms-error-code: %s", code);
	begin_upload(NULL);
	put_and_keep(1, "hello ");
	put_and_keep(2, "world");
	azure_expect(&(struct script_want){.url = AT "/d/big.zip?comp=blocklist"},
	             &(struct script_reply){.status = status, .fields = {told}});
	const struct store_out *out = finish();
	check_class(out, cls);
	assert_int_equal(out->attempts, 1);
	azure_end();
}

TEST(a_finish_keeps_the_condition_and_knows_a_lost_upload)
{
	UNUSED_STATE;
	finish_fails(409, "BlobAlreadyExists", DIF_CONFLICT);
	finish_fails(412, "ConditionNotMet", DIF_CONFLICT);
	finish_fails(400, "InvalidBlockList", DIF_NOT_FOUND);
	finish_fails(400, "Md5Mismatch", DIF_INTEGRITY);
	finish_fails(412, "LeaseIdMissing", DIF_PERMANENT);
}

TEST(a_finish_whose_answer_was_lost_is_read_back)
{
	UNUSED_STATE;
	begin_upload(NULL);
	put_and_keep(1, "hello ");
	put_and_keep(2, "world");
	azure_expect(&(struct script_want){.url = AT "/d/big.zip?comp=blocklist"},
	             &(struct script_reply){.status = 0, .sent = true});
	azure_expect(&(struct script_want){.method = "HEAD", .url = AT "/d/big.zip"},
	             &(struct script_reply){.status = 200,
	                                    .fields = {"etag: \"0x9\"", "content-length: 11",
	                                               "x-ms-meta-order: 7"}});
	const struct store_out *out = finish();
	check_ok(out);
	assert_string_equal(out->object.tag, "\"0x9\"");
	azure_end();
}

TEST(an_answer_without_a_tag_is_no_answer)
{
	UNUSED_STATE;
	begin_upload(NULL);
	put_and_keep(1, "hello ");
	put_and_keep(2, "world");
	azure_expect(&(struct script_want){.url = AT "/d/big.zip?comp=blocklist"},
	             &(struct script_reply){.status = 201});
	azure_expect(
		&(struct script_want){.method = "HEAD"},
		&(struct script_reply){.status = 404, .fields = {"x-ms-error-code: BlobNotFound"}});
	azure_expect(&(struct script_want){.url = AT "/d/big.zip?comp=blocklist"},
	             &(struct script_reply){.status = 201, .fields = {"etag: \"0x2\""}});
	check_ok(finish());
	azure_end();
}

TEST(an_abort_asks_nobody)
{
	UNUSED_STATE;
	begin_upload(NULL);
	check_ok(store_part(st, DIF_PART_ABORT, &(struct dif_part){.put = &put, .upload = upload}));
	assert_int_equal(script_count(s), 0);
	azure_end();
}

TEST(uploads_of_one_name_share_no_block)
{
	UNUSED_STATE;
	char first[64];
	begin_upload(NULL);
	(void)snprintf(first, sizeof first, "%s", upload);
	azure_end();
	begin_upload(NULL);
	assert_string_not_equal(upload, first);
	azure_end();
}

TEST(as_many_blocks_as_the_caps_promise)
{
	UNUSED_STATE;
	static char text[BLOCKS_MAX][33];
	static const char *all[BLOCKS_MAX];
	begin_upload(NULL);
	assert_int_equal(dif_instance_caps(st->instance)->part_count, BLOCKS_MAX);
	for (uint32_t i = 0; i < BLOCKS_MAX; i++) {
		(void)snprintf(text[i], sizeof text[i], "%s", id_of(i + 1));
		all[i] = text[i];
	}
	azure_expect(&(struct script_want){.url = AT "/d/big.zip?comp=blocklist"},
	             &(struct script_reply){.status = 201, .fields = {"etag: \"0x2\""}});
	check_ok(store_part(
		st, DIF_PART_FINISH,
		&(struct dif_part){
			.put = &put, .upload = upload, .tokens = all, .ntokens = BLOCKS_MAX}));
	assert_true(script_seen(s, 0)->body_n > BLOCKS_MAX * 32);
	azure_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_in_any_order_become_one_blob),
		cmocka_unit_test(each_request_is_guarded_by_its_own_md5_and_signed),
		cmocka_unit_test(a_block_that_is_sent_again_takes_its_own_place),
		cmocka_unit_test(a_block_of_other_bytes_is_no_block),
		cmocka_unit_test(a_finish_keeps_the_condition_and_knows_a_lost_upload),
		cmocka_unit_test(a_finish_whose_answer_was_lost_is_read_back),
		cmocka_unit_test(an_answer_without_a_tag_is_no_answer),
		cmocka_unit_test(an_abort_asks_nobody),
		cmocka_unit_test(uploads_of_one_name_share_no_block),
		cmocka_unit_test(as_many_blocks_as_the_caps_promise),
	};
	return cmocka_run_group_tests_name("azure_part", tests, azure_without_environment, NULL);
}
