/* azure_remove - one blob and batches: what goes out, and what comes of whole, partial, cut and
 * hostile answers. */
#include "tests/plugin/support/azure.h"

#define MARK "batchresponse_66925647"
#define TYPE "content-type: multipart/mixed; boundary=" MARK
#define PART(id, reply) \
	"--" MARK "\r\nContent-Type: application/http\r\nContent-ID: " id "\r\n\r\n" reply "\r\n"
#define GONE "HTTP/1.1 202 Accepted\r\nx-ms-request-id: 1\r\nx-ms-version: 2021-12-02\r\n"
#define ERR(status, code)                                                                     \
	"HTTP/1.1 " status "\r\nx-ms-error-code: " code "\r\nx-ms-request-id: 1\r\n"          \
	"Content-Type: application/xml\r\n\r\n\xef\xbb\xbf<?xml version=\"1.0\"?>\n<Error>"   \
	"<Code>" code "</Code><Message>A sentence.\nHTTP/1.1 202 Accepted\nContent-ID: 0\n\n" \
	"</Message></Error>\r\n"
#define END "--" MARK "--\r\n"

static const char *const keys[] = {"d/a b", "d/b", "d/c"};
static const char *const tags[] = {"\"0x1\"", NULL, "\"0x3\""};
static const struct dif_remove three = {.keys = keys, .tags = tags, .n = 3};

static void expect_batch(const char *type, const char *body)
{
	azure_expect(
		&(struct script_want){.method = "POST", .url = AT "?comp=batch&restype=container"},
		&(struct script_reply){.status = 202, .fields = {type}, .body = body});
}

static void expect_delete(const char *url, int status, const char *code)
{
	azure_expect(&(struct script_want){.method = "DELETE", .url = url},
	             &(struct script_reply){.status = status, .fields = {code}});
}

static void check_items(const struct store_out *out, enum dif_class a, enum dif_class b,
                        enum dif_class c)
{
	check_ok(out);
	assert_int_equal(out->nitems, 3);
	assert_int_equal(out->items[0].cls, a);
	assert_int_equal(out->items[1].cls, b);
	assert_int_equal(out->items[2].cls, c);
}

TEST(one_key_takes_only_the_tag_that_it_was_given)
{
	UNUSED_STATE;
	struct dif_remove in = {.keys = keys, .tags = tags, .n = 1};
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "DELETE",
	                                   .url = AT "/d/a%20b",
	                                   .fields = {"if-match: \"0x1\""}},
	             &(struct script_reply){.status = 202});
	const struct store_out *out = store_remove(st, &in);
	check_ok(out);
	assert_int_equal(out->nitems, 1);
	assert_int_equal(out->items[0].cls, DIF_OK);
	expect_delete(NULL, 404, "x-ms-error-code: BlobNotFound");
	check_ok(store_remove(st, &in));
	expect_delete(NULL, 412, "x-ms-error-code: ConditionNotMet");
	check_class(store_remove(st, &in), DIF_CONFLICT);
	expect_delete(NULL, 404, "x-ms-error-code: ContainerNotFound");
	check_class(store_remove(st, &in), DIF_PERMANENT);
	expect_delete(NULL, 409, "x-ms-error-code: SnapshotsPresent");
	out = store_remove(st, &in);
	check_class(out, DIF_PERMANENT);
	check_text(out, "snapshots");
	azure_end();
}

static void check_begins(const char *text, const char *with)
{
	if (strncmp(text, with, strlen(with)) != 0) {
		fail_msg("begins otherwise: %.200s", text);
	}
}

/* What stands behind the fields of the i-th part. */
static const char *part_of(const char *body, uint32_t i)
{
	char head[64];
	(void)snprintf(head, sizeof head, "\r\ncontent-id: %u\r\n\r\n", i);
	const char *at = strstr(body, head);
	assert_non_null(at);
	return at + strlen(head);
}

TEST(a_batch_has_a_signed_request_for_each_key)
{
	UNUSED_STATE;
	azure_begin(INI);
	expect_batch(TYPE, PART("0", GONE) PART("1", GONE) PART("2", GONE) END);
	check_items(store_remove(st, &three), DIF_OK, DIF_OK, DIF_OK);
	const char *body = script_seen(s, 0)->body;
	assert_string_equal(script_header(s, 0, "content-type"),
	                    "multipart/mixed; boundary=difusor-batch");
	check_begins(body, "--difusor-batch\r\ncontent-type: application/http\r\n"
	                   "content-transfer-encoding: binary\r\ncontent-id: 0\r\n\r\n");
	check_begins(part_of(body, 0),
	             "DELETE /site/d/a%20b HTTP/1.1\r\nif-match: \"0x1\"\r\nx-ms-date: ");
	check_begins(part_of(body, 1), "DELETE /site/d/b HTTP/1.1\r\nx-ms-date: ");
	assert_non_null(strstr(part_of(body, 2), "\r\nauthorization: SharedKey acct:"));
	assert_non_null(strstr(part_of(body, 2), "\r\ncontent-length: 0\r\n\r\n--difusor-batch--"));
	assert_null(strstr(body, "x-ms-version"));
	char text[512];
	(void)snprintf(text, sizeof text,
	               "POST\n\n\n%zu\n\nmultipart/mixed; boundary=difusor-batch\n\n\n\n\n\n\n"
	               "x-ms-date:%%s\nx-ms-version:2021-12-02\n/acct/site\ncomp:batch\n"
	               "restype:container",
	               script_seen(s, 0)->body_n);
	azure_check_signature(0, text);
	azure_end();
}

TEST(a_signature_stands_in_each_part)
{
	UNUSED_STATE;
	azure_begin(SECTION "account = acct\nsas_token = sv=1&sig=abc%3D\n");
	azure_expect(&(struct script_want){.method = "POST",
	                                   .url = AT "?comp=batch&restype=container&sv=1"
	                                             "&sig=abc%3D"},
	             &(struct script_reply){.status = 202,
	                                    .fields = {TYPE},
	                                    .body = PART("0", GONE) PART("1", GONE) PART("2", GONE)
	                                            END});
	check_items(store_remove(st, &three), DIF_OK, DIF_OK, DIF_OK);
	const char *body = script_seen(s, 0)->body;
	assert_non_null(strstr(body, "DELETE /site/d/a%20b?sv=1&sig=abc%3D HTTP/1.1\r\n"));
	assert_null(strstr(body, "authorization"));
	azure_end();
}

TEST(each_key_has_its_own_answer_in_any_order)
{
	UNUSED_STATE;
	azure_begin(INI);
	expect_batch(TYPE, PART("2", ERR("412 Not met", "ConditionNotMet"))
	                           PART("0", ERR("404 None", "BlobNotFound"))
	                                   PART("1", ERR("409 Snapshots", "SnapshotsPresent")) END);
	const struct store_out *out = store_remove(st, &three);
	check_items(out, DIF_OK, DIF_PERMANENT, DIF_CONFLICT);
	assert_string_equal(out->items[1].code, "SnapshotsPresent");
	assert_non_null(strstr(out->items[1].what, "snapshots"));
	azure_end();
}

TEST(what_is_not_settled_is_removed_by_itself)
{
	UNUSED_STATE;
	azure_begin(INI);
	expect_batch(TYPE, PART("0", GONE) PART("1", ERR("503 Busy", "ServerBusy"))
	                           PART("2", ERR("412 Not met", "ConditionNotMet")) END);
	expect_delete(AT "/d/b", 202, "x-ms-request-id: 1");
	check_items(store_remove(st, &three), DIF_OK, DIF_OK, DIF_CONFLICT);
	azure_end();
}

/* Whatever it is that comes instead of an answer, the keys are asked about one by one, and a key
 * counts as gone only because its own answer says so. */
TEST(no_odd_answer_counts)
{
	UNUSED_STATE;
	static const struct {
		const char *type, *body;
	} odd[] = {
		{TYPE, ""},
		{TYPE, END},
		{TYPE,
	         "--" MARK "\r\nContent-Type: application/http\r\n\r\n" ERR("403 No", "X") END},
		{TYPE, PART("3", GONE) PART("4294967296", GONE) PART("-1", GONE) END},
		{TYPE, PART("0", "HTTP/1.1 20") PART("1", "HTTP/1.1 2020 x") PART("2", "") END},
		{TYPE, PART("x", GONE) END},
		{"content-type: multipart/mixed; boundary=\"other\"", PART("0", GONE) END},
		{"content-type: multipart/mixed; boundary=", PART("0", GONE) END},
		{"content-type: application/xml", PART("0", GONE) END},
		{"x-none: 1", PART("0", GONE) END},
	};
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		azure_begin(INI);
		expect_batch(odd[i].type, odd[i].body);
		expect_delete(AT "/d/a%20b", 202, "x-n: 1");
		expect_delete(AT "/d/b", 404, "x-ms-error-code: BlobNotFound");
		expect_delete(AT "/d/c", 412, "x-ms-error-code: ConditionNotMet");
		const struct store_out *out = store_remove(st, &three);
		check_items(out, DIF_OK, DIF_OK, DIF_CONFLICT);
		azure_end();
	}
}

static void answer_single(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	assert_string_equal(seen->method, "DELETE");
	*reply = (struct script_reply){.status = 412,
	                               .fields = {"x-ms-error-code: ConditionNotMet"}};
}

TEST(an_answer_cut_at_any_byte_settles_whole_parts_only)
{
	UNUSED_STATE;
	static const char whole[] = PART("0", GONE) PART("1", GONE) PART("2", GONE) END;
	static char cut[sizeof whole];
	size_t one = strlen(PART("0", GONE));
	for (size_t n = 0; n < strlen(whole); n += n % 7 + 1) {
		memcpy(cut, whole, n);
		cut[n] = '\0';
		azure_begin(INI);
		expect_batch(TYPE, cut);
		script_answer(s, answer_single, NULL);
		const struct store_out *out = store_remove(st, &three);
		check_ok(out);
		for (size_t i = 0; i < 3; i++) {
			/* gone only if the delimiter behind it is whole */
			bool gone = n >= one * (i + 1) + strlen("--" MARK);
			assert_int_equal(out->items[i].cls, gone ? DIF_OK : DIF_CONFLICT);
		}
		azure_end();
	}
}

TEST(an_account_without_batches_is_asked_key_by_key)
{
	UNUSED_STATE;
	static const int none[] = {400, 403, 405, 409, 500, 501};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
		azure_begin(INI);
		azure_expect(&(struct script_want){.method = "POST"},
		             &(struct script_reply){.status = none[i]});
		expect_delete(AT "/d/a%20b", 202, "x-n: 1");
		expect_delete(AT "/d/b", 202, "x-n: 1");
		expect_delete(AT "/d/c", 409, "x-ms-error-code: BlobImmutableDueToPolicy");
		check_items(store_remove(st, &three), DIF_OK, DIF_OK, DIF_PERMANENT);
		azure_end();
	}
}

/* What is forbidden in a batch is forbidden by itself too, and only that counts. */
TEST(what_is_forbidden_fails_the_op)
{
	UNUSED_STATE;
	azure_begin(INI);
	expect_batch(TYPE, PART("0", ERR("403 No", "AuthenticationFailed")) PART("1", GONE)
	                           PART("2", GONE) END);
	expect_delete(AT "/d/a%20b", 403, "x-ms-error-code: AuthenticationFailed");
	check_class(store_remove(st, &three), DIF_AUTH);
	azure_end();
}

TEST(what_passes_fails_the_op_and_is_repeated)
{
	UNUSED_STATE;
	azure_begin(INI);
	azure_expect(&(struct script_want){.method = "POST"},
	             &(struct script_reply){.status = 429, .fields = {"retry-after: 0"}});
	expect_batch(TYPE, PART("0", GONE) PART("1", GONE) PART("2", GONE) END);
	const struct store_out *out = store_remove(st, &three);
	check_items(out, DIF_OK, DIF_OK, DIF_OK);
	assert_int_equal(out->attempts, 2);
	azure_end();
}

TEST(a_batch_of_the_longest_names_fits)
{
	UNUSED_STATE;
	static char name[256][901];
	static const char *all[256];
	static char body[1 << 16];
	size_t n = 0;
	azure_begin(INI);
	assert_int_equal(dif_instance_caps(st->instance)->delete_max, 256);
	for (unsigned i = 0; i < 256; i++) {
		for (size_t k = 0; k < 898; k += 2) {
			memcpy(name[i] + k, "\xc3\xbc", 2);
		}
		(void)snprintf(name[i] + 896, 5, "%u", i);
		all[i] = name[i];
		n += (size_t)snprintf(body + n, sizeof body - n, PART("%u", GONE), i);
	}
	(void)snprintf(body + n, sizeof body - n, END);
	expect_batch(TYPE, body);
	const struct store_out *out = store_remove(st, &(struct dif_remove){.keys = all, .n = 256});
	check_ok(out);
	assert_int_equal(out->nitems, 256);
	assert_int_equal(out->items[255].cls, DIF_OK);
	assert_true(script_seen(s, 0)->body_n > 256 * 2700);
	assert_true(script_seen(s, 0)->body_n < 4u << 20); /* the vendor's bound */
	azure_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_key_takes_only_the_tag_that_it_was_given),
		cmocka_unit_test(a_batch_has_a_signed_request_for_each_key),
		cmocka_unit_test(a_signature_stands_in_each_part),
		cmocka_unit_test(each_key_has_its_own_answer_in_any_order),
		cmocka_unit_test(what_is_not_settled_is_removed_by_itself),
		cmocka_unit_test(no_odd_answer_counts),
		cmocka_unit_test(an_answer_cut_at_any_byte_settles_whole_parts_only),
		cmocka_unit_test(an_account_without_batches_is_asked_key_by_key),
		cmocka_unit_test(what_is_forbidden_fails_the_op),
		cmocka_unit_test(what_passes_fails_the_op_and_is_repeated),
		cmocka_unit_test(a_batch_of_the_longest_names_fits),
	};
	return cmocka_run_group_tests_name("azure_remove", tests, azure_without_environment, NULL);
}
