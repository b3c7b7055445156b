/* azuredns - the real azuredns.so in host/op with a scripted Resource Manager: conditions, names
 * below the zone, what is absent and what is missing. */
#include "tests/plugin/support/kinds.h"

#define DNS "[steering t]\nplugin = azuredns\nzone = Prep.example.\n" MANAGER
#define ZONE MANAGED "/Microsoft.Network/dnsZones/Prep.example"
#define VERSION "?api-version=2018-05-01"
#define AZ_ERROR(code) "{\"error\":{\"code\":\"" code "\",\"message\":\"A sentence.\"}}"
#define SET(properties) \
	"{\"name\":\"www\",\"etag\":\"e-1\",\"properties\":{\"TTL\":60," properties "}}"

static const struct dif_target two[] = {{"a", "192.0.2.7", 1, 0}, {"b", "198.51.100.7", 1, 0}};

static void expect_put(const char *path, const char *condition, const char *body)
{
	kinds_expect(
		&(struct script_want){.method = "PUT",
	                              .url = path,
	                              .fields = {"authorization: Bearer eyJ0.token", condition},
	                              .body = body},
		&(struct script_reply){.status = 200, .body = SET("\"x\":1")});
}

TEST(the_tag_of_what_is_absent_lets_nobody_be_overwritten)
{
	UNUSED_STATE;
	char tag[64];
	manager_begin(DNS);
	kinds_expect(&(struct script_want){.method = "GET", .url = ZONE "/A/www" VERSION},
	             &(struct script_reply){.status = 404, .body = AZ_ERROR("NotFound")});
	const struct store_out *out = steer_get("A");
	check_ok(out);
	assert_int_equal(out->ntargets, 0);
	(void)snprintf(tag, sizeof tag, "%s", out->tag);
	expect_put(ZONE "/A/www" VERSION, "if-none-match: *",
	           "{\"properties\":{\"TTL\":60,\"ARecords\":[{\"ipv4Address\":\"192.0.2.7\"},"
	           "{\"ipv4Address\":\"198.51.100.7\"}]}}");
	out = steer_set("A", two, 2, tag);
	check_ok(out);
	assert_true(out->settled);
	expect_put(ZONE "/A/www" VERSION, "!if-none-match", NULL);
	check_ok(steer_set("A", two, 2, NULL));
	expect_put(ZONE "/A/www" VERSION, "if-match: e-1", NULL);
	check_ok(steer_set("A", two, 2, "e-1"));
	kinds_end();
}

TEST(a_zone_or_group_that_is_missing_is_no_absent_record)
{
	UNUSED_STATE;
	static const char *const bodies[] = {
		AZ_ERROR("ParentResourceNotFound"), AZ_ERROR("ResourceGroupNotFound"),
		AZ_ERROR("SubscriptionNotFound"), AZ_ERROR("ResourceNotFound"), "<html>"};
	for (size_t i = 0; i < DIF_LEN(bodies); i++) {
		manager_begin(DNS);
		kinds_expect(&(struct script_want){.method = "GET"},
		             &(struct script_reply){.status = 404, .body = bodies[i]});
		check_class(steer_get("A"), DIF_PERMANENT);
		kinds_end();
	}
}

static const struct store_out *set_named(const char *name)
{
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = name,
	                                      .type = "AAAA",
	                                      .targets = two,
	                                      .n = 2,
	                                      .ttl_s = 60,
	                                      .idem = IDEM});
}

TEST(a_name_lies_in_the_zone_or_is_refused)
{
	UNUSED_STATE;
	static const char *const outside[] = {"prep.example.org", "xprep.example", "example",
	                                      ".prep.example", ""};
	manager_begin(DNS);
	expect_put(ZONE "/AAAA/@" VERSION, "!if-match", "*\"AAAARecords\":[{\"ipv6Address\":*");
	check_ok(set_named("PREP.example"));
	expect_put(ZONE "/AAAA/a.b%2Fc" VERSION, "!if-match", NULL);
	check_ok(set_named("a.b/c.prep.Example."));
	for (size_t i = 0; i < DIF_LEN(outside); i++) {
		const struct store_out *out = set_named(outside[i]);
		check_class(out, DIF_PERMANENT);
		check_text(out, "is not in zone 'Prep.example'");
	}
	kinds_end();
}

TEST(a_cname_leads_to_the_heaviest)
{
	UNUSED_STATE;
	static const struct dif_target three[] = {
		{"a", "a.example", 1, 0}, {"b", "b\".example.", 9, 0}, {"c", "c.example", 9, 0}};
	manager_begin(DNS);
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 1);
	expect_put(ZONE "/CNAME/www" VERSION, "!if-match",
	           "{\"properties\":{\"TTL\":60,\"CNAMERecord\":{\"cname\":\"b\\\".example\"}}}");
	check_ok(steer_set("CNAME", three, 3, NULL));
	kinds_end();
	manager_begin(DNS "type = A\n");
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 20);
	check_class(steer_set("A", two, 0, NULL), DIF_PERMANENT);
	kinds_end();
}

TEST(all_kinds_of_sets_are_read)
{
	UNUSED_STATE;
	static const struct {
		const char *type, *body, *value;
	} rows[] = {
		{"A", SET("\"ARecords\":[{\"ipv4Address\":\"192.0.2.7\"}]"), "192.0.2.7"},
		{"AAAA", SET("\"AAAARecords\":[{\"ipv6Address\":\"2001:db8::1\"}]"), "2001:db8::1"},
		{"CNAME", SET("\"CNAMERecord\":{\"cname\":\"a.example.\"}"), "a.example"},
		{"A", SET("\"targetResource\":{\"id\":\"/subscriptions/x\"}"), "/subscriptions/x"},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		manager_begin(DNS);
		kinds_expect(&(struct script_want){.method = "GET"},
		             &(struct script_reply){.status = 200, .body = rows[i].body});
		const struct store_out *out = steer_get(rows[i].type);
		check_ok(out);
		assert_string_equal(out->tag, "e-1");
		assert_int_equal(out->ttl_s, 60);
		assert_int_equal(out->ntargets, 1);
		check_target(out, rows[i].value, rows[i].value, 1);
		kinds_end();
	}
}

TEST(an_answer_without_an_etag_is_not_believed)
{
	UNUSED_STATE;
	manager_begin(DNS);
	st->deadline_ms = 900;
	kinds_expect(&(struct script_want){.method = "GET"},
	             &(struct script_reply){.status = 200,
	                                    .fields = {"retry-after: 60"},
	                                    .body = "{\"properties\":{\"TTL\":60}}"});
	check_class(steer_get("A"), DIF_TRANSIENT);
	kinds_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_tag_of_what_is_absent_lets_nobody_be_overwritten),
		cmocka_unit_test(a_zone_or_group_that_is_missing_is_no_absent_record),
		cmocka_unit_test(a_name_lies_in_the_zone_or_is_refused),
		cmocka_unit_test(a_cname_leads_to_the_heaviest),
		cmocka_unit_test(all_kinds_of_sets_are_read),
		cmocka_unit_test(an_answer_without_an_etag_is_not_believed),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
