/* cloudcdn - the real cloudcdn.so in host/op with a scripted service: rules, ids of requests,
 * several operations of one purge. */
#include "tests/plugin/support/gcs.h"
#include "tests/plugin/support/kinds.h"
#include "tests/unit/support/rsa_key.h"

#define GLOBAL "https://compute.googleapis.com/compute/v1/projects/prep-2027/global/"
#define INVALIDATE GLOBAL "urlMaps/prep-site/invalidateCache?requestId="
#define OPERATION(name, more) "{\"name\":\"" name "\",\"status\":" more "}"

static void cdn_begin(const char *more)
{
	char ini[8192];
	const char *account = gcs_account("sa.json", "service_account", test_rsa_pkcs8, TOKEN_URI);
	(void)snprintf(ini, sizeof ini,
	               "[cdn t]\nplugin = cloudcdn\nproject = prep-2027\nurl_map = prep-site\n"
	               "credentials = %s\n%s",
	               account, more);
	kinds_begin(ini);
	gcs_expect_login(TOKEN("ya29.token-1"));
}

static void expect_rule(const char *body, const char *reply)
{
	kinds_expect(&(struct script_want){.method = "POST",
	                                   .url = INVALIDATE "*",
	                                   .fields = {"authorization: Bearer ya29.token-1",
	                                              "content-type: application/json"},
	                                   .body = body},
	             &(struct script_reply){.status = 200, .body = reply});
}

/* Of a request's address; asserts that it is a UUID of version 4. */
static const char *request_id(size_t i)
{
	static const char form[] = "hhhhhhhh-hhhh-4hhh-ahhh-hhhhhhhhhhhh";
	const char *id = strstr(script_seen(s, i)->url, "requestId=") + 10;
	assert_int_equal(strlen(id), sizeof form - 1);
	for (size_t k = 0; k < sizeof form - 1; k++) {
		if (form[k] == 'h') {
			assert_non_null(strchr("0123456789abcdef", id[k]));
		} else {
			assert_int_equal(id[k], form[k]);
		}
	}
	return id;
}

static const struct store_out *purge_one(const char *path)
{
	return cdn_purge(DIF_PURGE_URLS, &path, 1);
}

TEST(a_rule_is_a_path_without_its_query)
{
	UNUSED_STATE;
	cdn_begin("");
	expect_rule("{\"path\":\"/a\\\"b\\\\c.html\"}", OPERATION("operation-1", "\"RUNNING\""));
	const struct store_out *out = purge_one("/a\"b\\c.html?x=1#y");
	check_ok(out);
	assert_string_equal(out->ticket, "operation-1");
	assert_false(out->settled);
	(void)request_id(1);
	kinds_end();
}

TEST(an_operation_that_is_done_at_once_is_settled)
{
	UNUSED_STATE;
	cdn_begin("host = www.prep.example\nquota_project = pays\n");
	kinds_expect(&(struct script_want){.fields = {"x-goog-user-project: pays"},
	                                   .body = "{\"path\":\"/*\","
	                                           "\"host\":\"www.prep.example\"}"},
	             &(struct script_reply){.status = 200,
	                                    .body = OPERATION("operation-1", "\"DONE\"")});
	const struct store_out *out = cdn_purge(DIF_PURGE_ALL, NULL, 0);
	check_ok(out);
	assert_true(out->settled);
	assert_null(out->ticket);
	kinds_end();
}

TEST(a_repeat_has_the_same_request_id)
{
	UNUSED_STATE;
	char first[64];
	cdn_begin("");
	kinds_expect(&(struct script_want){.method = "POST"},
	             &(struct script_reply){.status = 500});
	expect_rule(NULL, OPERATION("operation-1", "\"PENDING\""));
	check_ok(purge_one("/a"));
	(void)snprintf(first, sizeof first, "%s", request_id(1));
	assert_string_equal(request_id(2), first);
	kinds_end();
}

TEST(several_folders_are_several_requests_and_one_ticket)
{
	UNUSED_STATE;
	static const char *const folders[] = {"/a/", "/b/", "/c/"};
	cdn_begin("");
	expect_rule("{\"path\":\"/a/*\"}", OPERATION("operation-1", "\"PENDING\""));
	expect_rule("{\"path\":\"/b/*\"}", OPERATION("operation-2", "\"DONE\""));
	expect_rule("{\"path\":\"/c/*\"}", OPERATION("operation-3", "\"PENDING\""));
	const struct store_out *out = cdn_purge(DIF_PURGE_PREFIXES, folders, 3);
	check_ok(out);
	assert_string_equal(out->ticket, "operation-1 operation-3");
	assert_string_not_equal(request_id(1), request_id(3));
	kinds_expect(&(struct script_want){.method = "GET", .url = GLOBAL "operations/operation-1"},
	             &(struct script_reply){.status = 200,
	                                    .body = OPERATION("operation-1", "\"DONE\"")});
	kinds_expect(&(struct script_want){.method = "GET", .url = GLOBAL "operations/operation-3"},
	             &(struct script_reply){.status = 200,
	                                    .body = OPERATION("operation-3", "\"RUNNING\"")});
	out = cdn_state("operation-1 operation-3");
	check_ok(out);
	assert_false(out->settled);
	assert_int_equal(out->wait_ms, 3000);
	for (int i = 0; i < 2; i++) {
		kinds_expect(&(struct script_want){.method = "GET"},
		             &(struct script_reply){.status = 200,
		                                    .body = OPERATION("operation-1", "\"DONE\"")});
	}
	out = cdn_state("operation-1 operation-3");
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

TEST(tags_are_one_rule)
{
	UNUSED_STATE;
	static const char *const tags[] = {"cut-12", "a\"b"};
	cdn_begin("tags = yes\n");
	assert_int_equal(dif_instance_caps(st->instance)->purge_wide_max, 10);
	expect_rule("{\"cacheTags\":[\"cut-12\",\"a\\\"b\"]}",
	            OPERATION("operation-1", "\"PENDING\""));
	check_ok(cdn_purge(DIF_PURGE_TAGS, tags, 2));
	kinds_end();
}

TEST(what_is_no_path_is_not_sent)
{
	UNUSED_STATE;
	static const char *const paths[] = {"", "a", "?x", "/a*", "/*/b"};
	cdn_begin("");
	for (size_t i = 0; i < DIF_LEN(paths); i++) {
		check_class(purge_one(paths[i]), DIF_PERMANENT);
	}
	const char *folder = "/a/x?y/"; /* it would not end with a slash */
	check_class(cdn_purge(DIF_PURGE_PREFIXES, &folder, 1), DIF_PERMANENT);
	assert_int_equal(script_count(s), 1); /* the login */
	kinds_end();
}

TEST(operations_that_fail_or_are_forgotten_pass)
{
	UNUSED_STATE;
	static const struct {
		int status;
		const char *body, *text;
	} rows[] = {
		{200,
	         OPERATION("operation-1", "\"DONE\",\"httpErrorStatusCode\":503,\"error\":"
	                                  "{\"errors\":[{\"code\":\"BACKEND\",\"message\":"
	                                  "\"it broke\"}]}"),
	         "it broke"},
		{200, OPERATION("operation-1", "\"DONE\",\"httpErrorStatusCode\":400"),
	         "has failed"},
		{404, ERROR("404", "notFound", "gone"), "not known any more"},
		{200, OPERATION("../../other", "\"DONE\""), "no operation with name and status"},
		{200, OPERATION("operation-1", "\"\""), "no operation with name and status"},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		cdn_begin("");
		st->deadline_ms = 900;
		kinds_expect(&(struct script_want){.method = "GET"},
		             &(struct script_reply){.status = rows[i].status,
		                                    .fields = {"retry-after: 60"},
		                                    .body = rows[i].body});
		const struct store_out *out = cdn_state("operation-1");
		check_class(out, DIF_TRANSIENT);
		check_text(out, rows[i].text);
		kinds_end();
	}
}

TEST(a_url_map_that_is_not_there_is_named)
{
	UNUSED_STATE;
	cdn_begin("");
	for (int i = 0; i < 2; i++) {
		kinds_expect(&(struct script_want){0},
		             &(struct script_reply){.status = 404,
		                                    .body = ERROR("404", "notFound", "none")});
	}
	const struct store_out *out = purge_one("/a");
	check_class(out, DIF_PERMANENT);
	check_text(out, "project 'prep-2027' has no URL map 'prep-site'");
	check_class(store_probe(st), DIF_PERMANENT);
	kinds_end();
}

TEST(options_that_cannot_work_are_refused)
{
	UNUSED_STATE;
	check_refused("[cdn t]\nplugin = cloudcdn\nproject = a/b\nurl_map = m\n", "project 'a/b'");
	check_refused("[cdn t]\nplugin = cloudcdn\nproject = p\nurl_map = A/b\n", "url_map 'A/b'");
	check_refused("[cdn t]\nplugin = cloudcdn\nurl_map = m\n", "project");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_is_a_path_without_its_query),
		cmocka_unit_test(an_operation_that_is_done_at_once_is_settled),
		cmocka_unit_test(a_repeat_has_the_same_request_id),
		cmocka_unit_test(several_folders_are_several_requests_and_one_ticket),
		cmocka_unit_test(tags_are_one_rule),
		cmocka_unit_test(what_is_no_path_is_not_sent),
		cmocka_unit_test(operations_that_fail_or_are_forgotten_pass),
		cmocka_unit_test(a_url_map_that_is_not_there_is_named),
		cmocka_unit_test(options_that_cannot_work_are_refused),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
