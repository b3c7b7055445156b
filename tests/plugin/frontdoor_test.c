/* frontdoor - the real frontdoor.so in host/op with a scripted Resource Manager: bodies, where the
 * token may go, the pace of questions. */
#include "tests/plugin/support/kinds.h"

#define FD "[cdn t]\nplugin = frontdoor\nprofile = p\nendpoint_name = www\n" MANAGER
#define ENDPOINT MANAGED "/Microsoft.Cdn/profiles/p/afdEndpoints/www"
#define STATUS "https://management.azure.com/subscriptions/0b1f/operationresults/9f?v=1"

#define MANY "a b c d e f g h i j k "

static const struct store_out *purge_one(const char *path)
{
	return cdn_purge(DIF_PURGE_URLS, &path, 1);
}

static void expect_purge(const char *body, const struct script_reply *reply)
{
	kinds_expect(&(struct script_want){.method = "POST",
	                                   .url = ENDPOINT "/purge?api-version=2025-04-15",
	                                   .fields = {"authorization: Bearer eyJ0.token",
	                                              "content-type: application/json"},
	                                   .body = body},
	             reply);
}

TEST(a_purge_names_paths_and_domains)
{
	UNUSED_STATE;
	static const char *const paths[] = {"/a\"b\\c.html?x=1", "/se%C3%B1al.html"};
	manager_begin(FD "domains = www.prep.example *.prep.example\n");
	expect_purge("{\"contentPaths\":[\"/a\\\"b\\\\c.html\",\"/se%C3%B1al.html\"],"
	             "\"domains\":[\"www.prep.example\",\"*.prep.example\"]}",
	             &(struct script_reply){.status = 200});
	const struct store_out *out = cdn_purge(DIF_PURGE_URLS, paths, 2);
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

TEST(what_is_no_path_is_not_sent)
{
	UNUSED_STATE;
	static const char *const paths[] = {"", "a", "/a*", "/*/b"};
	manager_begin(FD);
	for (size_t i = 0; i < DIF_LEN(paths); i++) {
		check_class(purge_one(paths[i]), DIF_PERMANENT);
	}
	assert_int_equal(script_count(s), 1); /* the login */
	kinds_end();
}

static void check_pace(const char *field, uint32_t wait_ms)
{
	manager_begin(FD);
	expect_purge("{\"contentPaths\":[\"/a\"]}",
	             &(struct script_reply){.status = 202,
	                                    .fields = {"azure-asyncoperation: " STATUS, field}});
	const struct store_out *out = purge_one("/a");
	check_ok(out);
	assert_string_equal(out->ticket, "operation " STATUS);
	assert_int_equal(out->wait_ms, wait_ms);
	kinds_end();
}

TEST(retry_after_is_the_pace_within_bounds)
{
	UNUSED_STATE;
	check_pace("retry-after: 15", 15000);
	check_pace("retry-after: 99999999999999999999", 600000);
	check_pace("retry-after: Sun, 06 Nov 1994 08:49:37 GMT", 10000);
	check_pace("retry-after: 0", 10000);
	check_pace("x-other: 1", 10000);
}

TEST(an_answer_that_leads_elsewhere_is_refused)
{
	UNUSED_STATE;
	static const char *const fields[] = {
		"azure-asyncoperation: https://evil.example/status",
		"azure-asyncoperation: https://management.azure.com.evil.example/status",
		"azure-asyncoperation: http://management.azure.com/status",
		"location: https://management.azure.com@evil.example/status",
		"x-other: 1",
	};
	for (size_t i = 0; i < DIF_LEN(fields); i++) {
		manager_begin(FD);
		st->deadline_ms = 900;
		expect_purge(NULL,
		             &(struct script_reply){.status = 202,
		                                    .fields = {"retry-after: 60", fields[i]}});
		check_class(purge_one("/a"), DIF_TRANSIENT);
		kinds_end();
	}
}

TEST(a_ticket_that_is_not_ours_gets_no_token)
{
	UNUSED_STATE;
	static const char *const tickets[] = {"", "operation", "operation https://evil.example/",
	                                      STATUS, "location https://management.azure.com.x/"};
	manager_begin(FD);
	for (size_t i = 0; i < DIF_LEN(tickets); i++) {
		check_class(cdn_state(tickets[i]), DIF_PERMANENT);
	}
	assert_int_equal(script_count(s), 1); /* the login */
	kinds_end();
}

static const struct store_out *state_of(const char *kind, const struct script_reply *reply)
{
	char ticket[256];
	manager_begin(FD);
	st->deadline_ms = 900;
	kinds_expect(&(struct script_want){.method = "GET",
	                                   .url = STATUS,
	                                   .fields = {"authorization: Bearer eyJ0.token"}},
	             reply);
	(void)snprintf(ticket, sizeof ticket, "%s " STATUS, kind);
	return cdn_state(ticket);
}

static void check_state(const char *kind, int status, const char *body, bool settled)
{
	const struct store_out *out =
		state_of(kind, &(struct script_reply){.status = status, .body = body});
	check_ok(out);
	assert_int_equal(out->settled, settled);
	assert_true(settled || out->wait_ms == 10000);
	kinds_end();
}

TEST(an_operation_tells_by_its_status_and_a_location_by_its_answer)
{
	UNUSED_STATE;
	check_state("operation", 200, "{\"status\":\"Succeeded\"}", true);
	check_state("operation", 200, "{\"status\":\"InProgress\"}", false);
	check_state("operation", 202, "{\"status\":\"Running\"}", false);
	check_state("location", 202, "", false);
	check_state("location", 200, "", true);
	check_state("location", 204, "", true);
	check_state("location", 200, "{\"name\":\"www\"}", true);
}

static void check_unsettled(const char *kind, int status, const char *body, const char *text)
{
	const struct store_out *out = state_of(
		kind, &(struct script_reply){
			      .status = status, .fields = {"retry-after: 60"}, .body = body});
	check_class(out, DIF_TRANSIENT);
	check_text(out, text);
	kinds_end();
}

TEST(what_has_failed_or_means_nothing_is_not_settled)
{
	UNUSED_STATE;
	check_unsettled(
		"operation", 200,
		"{\"status\":\"Failed\",\"error\":{\"code\":\"X\",\"message\":\"it broke\"}}",
		"it broke");
	check_unsettled("operation", 200, "{\"status\":\"Canceled\"}", "Canceled");
	check_unsettled("operation", 200, "", "");
	check_unsettled("operation", 200, "{}", "no status");
	check_unsettled("location", 200, "<html>", "no JSON");
}

TEST(a_profile_that_is_being_changed_is_asked_again)
{
	UNUSED_STATE;
	manager_begin(FD);
	expect_purge(NULL, &(struct script_reply){.status = 409});
	expect_purge(NULL, &(struct script_reply){.status = 200});
	check_ok(purge_one("/a"));
	kinds_end();
}

TEST(an_endpoint_that_is_not_there_is_permanent)
{
	UNUSED_STATE;
	manager_begin(FD);
	for (int i = 0; i < 2; i++) {
		kinds_expect(&(struct script_want){0},
		             &(struct script_reply){
				     .status = 404,
				     .body = "{\"error\":{\"code\":\"ResourceNotFound\","
					     "\"message\":\"The Resource was not found.\"}}"});
	}
	check_class(purge_one("/a"), DIF_PERMANENT);
	const struct store_out *out = store_probe(st);
	check_class(out, DIF_PERMANENT);
	check_text(out, "ResourceNotFound");
	kinds_end();
}

TEST(a_sovereign_cloud_has_tokens_of_its_own)
{
	UNUSED_STATE;
	kinds_begin(FD "endpoint = https://management.usgovcloudapi.net/\n"
	               "authority = https://login.microsoftonline.us\n");
	kinds_expect(
		&(struct script_want){.url = "https://login.microsoftonline.us/tenant/*",
	                              .body = "*&scope=https%3A%2F%2Fmanagement."
	                                      "usgovcloudapi.net%2F.default&*"},
		&(struct script_reply){.status = 200,
	                               .body = "{\"token_type\":\"Bearer\",\"expires_in\":9999,"
	                                       "\"access_token\":\"t\"}"});
	kinds_expect(&(struct script_want){.url = "https://management.usgovcloudapi.net/"
	                                          "subscriptions/0b1f/resourceGroups/prep/*"},
	             &(struct script_reply){.status = 200});
	check_ok(purge_one("/a"));
	kinds_end();
}

TEST(options_that_cannot_work_are_refused)
{
	UNUSED_STATE;
	check_refused(FD "form = cdn\ndomains = a.example\n", "domains has no effect");
	check_refused(FD "domains = " MANY MANY MANY "a\n", "names more than 32");
	check_refused("[cdn t]\nplugin = frontdoor\nprofile = p/q\nendpoint_name = www\n" MANAGER,
	              "profile 'p/q'");
	check_refused("[cdn t]\nplugin = frontdoor\nprofile = p\nendpoint_name = ..\n" MANAGER,
	              "endpoint_name '..'");
	check_refused("[cdn t]\nplugin = frontdoor\nprofile = p\nendpoint_name = w\n"
	              "subscription = s\nresource_group = g\n",
	              "no credential");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_purge_names_paths_and_domains),
		cmocka_unit_test(what_is_no_path_is_not_sent),
		cmocka_unit_test(retry_after_is_the_pace_within_bounds),
		cmocka_unit_test(an_answer_that_leads_elsewhere_is_refused),
		cmocka_unit_test(a_ticket_that_is_not_ours_gets_no_token),
		cmocka_unit_test(an_operation_tells_by_its_status_and_a_location_by_its_answer),
		cmocka_unit_test(what_has_failed_or_means_nothing_is_not_settled),
		cmocka_unit_test(a_profile_that_is_being_changed_is_asked_again),
		cmocka_unit_test(an_endpoint_that_is_not_there_is_permanent),
		cmocka_unit_test(a_sovereign_cloud_has_tokens_of_its_own),
		cmocka_unit_test(options_that_cannot_work_are_refused),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
