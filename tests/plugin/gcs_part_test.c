/* gcs - the real gcs.so in host/op with a scripted server: a large object by a resumable session,
 * and what comes of lost, short, odd and late answers. */
#include "tests/plugin/support/gcs.h"

#define SESSION UP "?uploadType=resumable&upload_id=ADPycdv"
#define KIB256 ((size_t)256 << 10)
#define WHOLE (2 * KIB256 + 11)
#define OBJECT                                                                           \
	"{\"name\":\"big.csv\",\"size\":\"524299\",\"generation\":\"1795613558535000\"," \
	"\"updated\":\"1994-11-06T08:49:37Z\"}"

static char bytes[WHOLE];
static struct store_blob whole, piece;
static struct dif_put put = {.key = "big.csv", .type = "text/csv", .use = DIF_CRC32C};
static struct dif_part in;

static void begin(const char *more)
{
	memset(bytes, 'x', sizeof bytes);
	gcs_begin(more);
	put.blob = store_blob(&whole, bytes, sizeof bytes);
	put.if_tag = NULL;
	put.if_absent = 0;
	in = (struct dif_part){.put = &put, .upload = SESSION};
}

/* The n-th of three parts. */
static const struct store_out *put_part(uint32_t n)
{
	size_t from = (n - 1) * KIB256;
	size_t size = n < 3 ? KIB256 : WHOLE - from;
	in.number = n;
	in.offset = from;
	in.blob = store_blob(&piece, bytes + from, size);
	return store_part(st, DIF_PART_PUT, &in);
}

static void expect_part(const char *range, const struct script_reply *reply)
{
	static char header[8][64];
	static size_t at;
	char *h = header[at++ % 8];
	(void)snprintf(h, sizeof header[0], "content-range: bytes %s/524299", range);
	gcs_expect(&(struct script_want){.method = "PUT",
	                                 .url = SESSION,
	                                 .fields = {h, "!authorization"},
	                                 .body = range[0] == '*' ? "" : NULL},
	           reply);
}

static const struct script_reply none = {.status = 308};
static const struct script_reply one = {.status = 308, .fields = {"range: bytes=0-262143"}};
static const struct script_reply two = {.status = 308, .fields = {"range: bytes=0-524287"}};
static const struct script_reply lost = {.sent = true};
static const struct script_reply done = {.status = 200, .body = OBJECT};

/* The first op logs in. */
static void log_in(void)
{
	gcs_expect(&(struct script_want){.method = "GET"},
	           &(struct script_reply){.status = 200, .body = "{}"});
	check_ok(store_probe(st));
}

static void check_accepted(const struct store_out *out, uint64_t n, uint32_t attempts)
{
	check_ok(out);
	assert_int_equal(out->accepted, n);
	assert_int_equal(out->attempts, attempts);
}

/* --- begin --- */

TEST(a_session_begins_with_properties_and_a_condition)
{
	UNUSED_STATE;
	static const struct dif_field meta[] = {{"order", "7"}};
	begin("");
	put.meta = meta;
	put.nmeta = 1;
	put.if_absent = 1;
	gcs_expect(
		&(struct script_want){
			.method = "POST",
			.url = UP "?uploadType=resumable&fields=*&ifGenerationMatch=0",
			.fields = {"authorization: Bearer ya29.token-1",
	                           "content-type: application/json; charset=UTF-8",
	                           "x-upload-content-type: text/csv",
	                           "x-upload-content-length: 524299"},
			.body = "{\"name\":\"big.csv\",\"contentType\":\"text/csv\","
				"\"cacheControl\":\"private, max-age=0\",\"crc32c\":\"*==\","
				"\"metadata\":{\"order\":\"7\"}}"},
		&(struct script_reply){.status = 200, .fields = {"location: " SESSION}});
	const struct store_out *out = store_part(st, DIF_PART_BEGIN, &in);
	check_ok(out);
	assert_string_equal(out->upload, SESSION);
	put.meta = NULL;
	put.nmeta = 0;
	gcs_end();
}

TEST(a_session_elsewhere_is_none)
{
	UNUSED_STATE;
	static const char *const places[] = {
		"location: https://evil.example/upload",
		("location: " GCS ".evil.example/upload"),
		"location: http://storage.googleapis.com/upload",
		("location: " GCS),
		"x: y",
	};
	for (size_t i = 0; i < DIF_LEN(places); i++) {
		gcs_begin_always(&(struct script_reply){.status = 200, .fields = {places[i]}});
		put.blob = store_blob(&whole, bytes, sizeof bytes);
		in = (struct dif_part){.put = &put};
		const struct store_out *out = store_part(st, DIF_PART_BEGIN, &in);
		assert_int_not_equal(out->err.cls, DIF_OK);
		assert_null(strstr(out->err.text, "evil"));
		for (size_t k = 0; k < script_count(s); k++) {
			assert_string_equal(script_seen(s, k)->method, "POST");
		}
		gcs_end();
	}
}

TEST(a_condition_is_lost_at_the_begin_or_at_the_end)
{
	UNUSED_STATE;
	static const struct script_reply not_met = {.status = 412,
	                                            .body = ERROR("412", "conditionNotMet", "no")};
	begin("");
	put.if_tag = "17";
	gcs_expect(&(struct script_want){.url = UP "?*&ifGenerationMatch=17"}, &not_met);
	check_class(store_part(st, DIF_PART_BEGIN, &in), DIF_CONFLICT);
	expect_part("524288-524298", &not_met);
	check_class(put_part(3), DIF_CONFLICT);
	gcs_end();
}

TEST(a_missing_bucket_is_told_at_the_begin)
{
	UNUSED_STATE;
	begin("");
	gcs_expect(&(struct script_want){.method = "POST"},
	           &(struct script_reply){.status = 404, .body = ERROR("404", "notFound", "no")});
	const struct store_out *out = store_part(st, DIF_PART_BEGIN, &in);
	check_class(out, DIF_PERMANENT);
	check_text(out, "bucket 'bucket-1' does not exist");
	gcs_end();
}

/* --- the parts --- */

TEST(parts_go_in_order_and_the_last_one_finishes)
{
	UNUSED_STATE;
	begin("");
	log_in();
	expect_part("0-262143", &one);
	check_accepted(put_part(1), KIB256, 1);
	expect_part("262144-524287", &two);
	check_accepted(put_part(2), KIB256, 1);
	expect_part("524288-524298", &done);
	const struct store_out *out = put_part(3);
	check_accepted(out, 11, 1);
	assert_string_equal(out->token, "1795613558535000");
	const char *tokens[] = {"", "", "1795613558535000"};
	in.tokens = tokens;
	in.ntokens = 3;
	size_t asked = script_count(s);
	out = store_part(st, DIF_PART_FINISH, &in);
	check_ok(out);
	assert_string_equal(out->object.tag, "1795613558535000");
	assert_int_equal(out->object.size, WHOLE);
	assert_int_equal(script_count(s), asked);
	gcs_end();
}

TEST(less_than_was_sent_is_told)
{
	UNUSED_STATE;
	begin("");
	log_in();
	in.offset = 0;
	in.number = 1;
	in.blob = store_blob(&piece, bytes, 2 * KIB256);
	expect_part("0-524287", &one);
	check_accepted(store_part(st, DIF_PART_PUT, &in), KIB256, 1);
	gcs_end();
}

TEST(a_lost_answer_is_asked_for_before_anything_is_sent_again)
{
	UNUSED_STATE;
	begin("");
	log_in();
	/* all of it has arrived */
	expect_part("262144-524287", &lost);
	expect_part("*", &two);
	check_accepted(put_part(2), KIB256, 2);
	/* a piece of it has */
	in.number = 1;
	in.offset = 0;
	in.blob = store_blob(&piece, bytes, 2 * KIB256);
	expect_part("0-524287", &lost);
	expect_part("*", &one);
	check_accepted(store_part(st, DIF_PART_PUT, &in), KIB256, 2);
	/* nothing has */
	expect_part("0-262143", &lost);
	expect_part("*", &none);
	expect_part("0-262143", &one);
	check_accepted(put_part(1), KIB256, 2);
	gcs_end();
}

TEST(a_lost_answer_to_the_last_part_is_the_object)
{
	UNUSED_STATE;
	begin("");
	log_in();
	expect_part("524288-524298", &lost);
	expect_part("*", &done);
	const struct store_out *out = put_part(3);
	check_accepted(out, 11, 2);
	assert_string_equal(out->token, "1795613558535000");
	gcs_end();
}

TEST(a_finish_without_a_token_asks_the_session)
{
	UNUSED_STATE;
	static const struct script_reply all = {.status = 308, .fields = {"range: bytes=0-524298"}};
	begin("");
	log_in();
	expect_part("524288-524298", &lost);
	expect_part("*", &all);
	const struct store_out *out = put_part(3);
	check_accepted(out, 11, 2);
	assert_true(out->token == NULL || *out->token == '\0');
	const char *tokens[] = {"", "", ""};
	in.tokens = tokens;
	in.ntokens = 3;
	expect_part("*", &done);
	out = store_part(st, DIF_PART_FINISH, &in);
	check_ok(out);
	assert_string_equal(out->object.tag, "1795613558535000");
	gcs_end();
}

/* --- trouble --- */

TEST(a_session_that_has_ended_is_not_found)
{
	UNUSED_STATE;
	static const int statuses[] = {404, 410};
	begin("");
	log_in();
	for (size_t i = 0; i < DIF_LEN(statuses); i++) {
		struct script_reply gone = {.status = statuses[i], .body = "gone"};
		expect_part("262144-524287", &gone);
		const struct store_out *out = put_part(2);
		check_class(out, DIF_NOT_FOUND);
		assert_int_equal(out->attempts, 1);
		assert_string_equal(out->err.code, "sessionGone");
		expect_part("262144-524287", &lost);
		expect_part("*", &gone);
		check_class(put_part(2), DIF_NOT_FOUND);
		in.ntokens = 0;
		expect_part("*", &gone);
		check_class(store_part(st, DIF_PART_FINISH, &in), DIF_NOT_FOUND);
	}
	/* it is there, but has lost what it had */
	expect_part("262144-524287", &none);
	check_class(put_part(2), DIF_NOT_FOUND);
	expect_part("*", &two);
	check_class(store_part(st, DIF_PART_FINISH, &in), DIF_NOT_FOUND);
	gcs_end();
}

TEST(pressure_is_waited_for_and_the_session_asked)
{
	UNUSED_STATE;
	static const int statuses[] = {429, 500, 502, 503, 504, 408};
	begin("");
	log_in();
	for (size_t i = 0; i < DIF_LEN(statuses); i++) {
		expect_part("0-262143", &(struct script_reply){.status = statuses[i],
		                                               .fields = {"retry-after: 0"}});
		expect_part("*", &none);
		expect_part("0-262143", &one);
		check_accepted(put_part(1), KIB256, 2);
	}
	gcs_end();
}

TEST(a_digest_that_does_not_fit_is_integrity)
{
	UNUSED_STATE;
	begin("");
	log_in();
	expect_part("524288-524298",
	            &(struct script_reply){.status = 400,
	                                   .body = ERROR("400", "invalid",
	                                                 "Provided CRC32C \\\"A\\\" doesn't match "
	                                                 "calculated CRC32C")});
	check_class(put_part(3), DIF_INTEGRITY);
	gcs_end();
}

TEST(an_object_of_another_size_is_not_ours)
{
	UNUSED_STATE;
	static const struct script_reply other = {
		.status = 200,
		.body = "{\"name\":\"big.csv\",\"size\":\"524298\",\"generation\":\"17\"}"};
	begin("");
	log_in();
	expect_part("524288-524298", &other);
	check_class(put_part(3), DIF_INTEGRITY);
	gcs_end();
}

TEST(no_odd_answer_is_progress)
{
	UNUSED_STATE;
	static const struct script_reply odd[] = {
		{.status = 308, .fields = {"range: bytes=0-524287"}}, /* more than was sent */
		{.status = 308, .fields = {"range: bytes=1-262143"}},
		{.status = 308, .fields = {"range: 0-262143"}},
		{.status = 308, .fields = {"range: bytes=0-99999999999999999999"}},
		{.status = 308, .fields = {"range: bytes=0-x"}},
		{.status = 308},
		{.status = 200, .body = ""},
		{.status = 200, .body = "{\"name\":\"big.csv\",\"gener"},
		{.status = 200, .body = "{\"name\":\"big.csv\",\"size\":\"524299\"}"},
		{.status = 200, .body = OBJECT}, /* after a third of it */
		{.status = 301, .fields = {"location: https://evil.example/"}},
	};
	for (size_t i = 0; i < DIF_LEN(odd); i++) {
		gcs_begin_always(&odd[i]);
		put.blob = store_blob(&whole, bytes, sizeof bytes);
		in = (struct dif_part){.put = &put, .upload = SESSION};
		const struct store_out *out = put_part(1);
		assert_int_not_equal(out->err.cls, DIF_OK);
		assert_null(strstr(out->err.text, "ADPycdv"));
		gcs_end();
	}
}

TEST(an_abort_ends_the_session_or_finds_none)
{
	UNUSED_STATE;
	static const int statuses[] = {499, 204, 404, 410};
	begin("");
	log_in();
	for (size_t i = 0; i < DIF_LEN(statuses); i++) {
		gcs_expect(&(struct script_want){.method = "DELETE",
		                                 .url = SESSION,
		                                 .fields = {"!authorization"}},
		           &(struct script_reply){.status = statuses[i]});
		check_ok(store_part(st, DIF_PART_ABORT, &in));
	}
	gcs_expect(&(struct script_want){.method = "DELETE", .url = SESSION},
	           &(struct script_reply){.status = 400});
	check_class(store_part(st, DIF_PART_ABORT, &in), DIF_PERMANENT);
	gcs_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_begins_with_properties_and_a_condition),
		cmocka_unit_test(a_session_elsewhere_is_none),
		cmocka_unit_test(a_condition_is_lost_at_the_begin_or_at_the_end),
		cmocka_unit_test(a_missing_bucket_is_told_at_the_begin),
		cmocka_unit_test(parts_go_in_order_and_the_last_one_finishes),
		cmocka_unit_test(less_than_was_sent_is_told),
		cmocka_unit_test(a_lost_answer_is_asked_for_before_anything_is_sent_again),
		cmocka_unit_test(a_lost_answer_to_the_last_part_is_the_object),
		cmocka_unit_test(a_finish_without_a_token_asks_the_session),
		cmocka_unit_test(a_session_that_has_ended_is_not_found),
		cmocka_unit_test(pressure_is_waited_for_and_the_session_asked),
		cmocka_unit_test(a_digest_that_does_not_fit_is_integrity),
		cmocka_unit_test(an_object_of_another_size_is_not_ours),
		cmocka_unit_test(no_odd_answer_is_progress),
		cmocka_unit_test(an_abort_ends_the_session_or_finds_none),
	};
	return cmocka_run_group_tests_name("plugin/gcs_part", tests, gcs_without_environment, NULL);
}
