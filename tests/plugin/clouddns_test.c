/* clouddns - the real clouddns.so in host/op with a scripted service: deletions as they were read,
 * weights as decimals, what is not touched. */
#include "tests/plugin/support/gcs.h"
#include "tests/plugin/support/kinds.h"
#include "tests/unit/support/rsa_key.h"

#define ZONE "https://dns.googleapis.com/dns/v1/projects/prep-2027/managedZones/prep-example"
#define SET(rest) "{\"name\":\"www.prep.example.\",\"type\":\"CNAME\",\"ttl\":60," rest "}"
#define WRR(items) SET("\"routingPolicy\":{\"wrr\":{\"items\":[" items "]}}")
#define LIST_OF(sets) "{\"kind\":\"x\",\"rrsets\":[" sets "]}"
#define PENDING "{\"id\":\"17\",\"status\":\"pending\"}"

static const struct dif_target targets[] = {{"aws", "a.example", 3, 0}, {"gcp", "g.example", 0, 0}};
#define WANTED                                             \
	WRR("{\"weight\":3,\"rrdatas\":[\"a.example.\"]}," \
	    "{\"weight\":0,\"rrdatas\":[\"g.example.\"]}")

static void dns_begin(const char *more)
{
	char ini[8192];
	const char *account = gcs_account("sa.json", "service_account", test_rsa_pkcs8, TOKEN_URI);
	(void)snprintf(ini, sizeof ini,
	               "[steering t]\nplugin = clouddns\nproject = prep-2027\n"
	               "managed_zone = prep-example\ncredentials = %s\n%s",
	               account, more);
	kinds_begin(ini);
	gcs_expect_login(TOKEN("ya29.token-1"));
}

static void expect_list(const char *sets)
{
	kinds_expect(&(struct script_want){.method = "GET",
	                                   .url = ZONE "/rrsets?name=www.prep.example.&type=*"},
	             &(struct script_reply){.status = 200, .body = sets});
}

static void expect_change(const char *body, const struct script_reply *reply)
{
	kinds_expect(&(struct script_want){.method = "POST", .url = ZONE "/changes", .body = body},
	             reply);
}

static const struct store_out *set(const char *tag)
{
	return steer_set("CNAME", targets, 2, tag);
}

TEST(a_set_is_deleted_exactly_as_it_was_read)
{
	UNUSED_STATE;
	dns_begin("");
	expect_list(LIST_OF(WRR("{\"weight\":0.250,\"rrdatas\":[\"old.example.\",\"x\\\"y.\"],"
	                        "\"signatureRrdatas\":[]},{\"rrdatas\":[\"z.\"]}")));
	expect_change("{\"deletions\":[" WRR(
			      "{\"weight\":0.250,\"rrdatas\":[\"old.example.\",\"x\\\"y.\"]},"
			      "{\"weight\":0,\"rrdatas\":[\"z.\"]}") "],\"additions\":[" WANTED
	                                                             "]}",
	              &(struct script_reply){.status = 200, .body = PENDING});
	const struct store_out *out = set(NULL);
	check_ok(out);
	assert_string_equal(out->ticket, "17");
	assert_int_equal(out->wait_ms, 3000);
	kinds_end();
}

TEST(a_fraction_of_a_weight_is_not_nobody)
{
	UNUSED_STATE;
	dns_begin("");
	expect_list(LIST_OF(WRR("{\"weight\":0.25,\"rrdatas\":[\"a.\"]},"
	                        "{\"weight\":2.0,\"rrdatas\":[\"b.\",\"c.\"]},"
	                        "{\"weight\":0.00,\"rrdatas\":[\"d.\"]},"
	                        "{\"weight\":99999999999999,\"rrdatas\":[\"e.\"]}")));
	const struct store_out *out = steer_get("CNAME");
	check_ok(out);
	assert_int_equal(out->ntargets, 5);
	assert_int_equal(out->ttl_s, 60);
	check_target(out, "a", "a", 1);
	check_target(out, "b", "b", 2);
	check_target(out, "c", "c", 2);
	check_target(out, "d", "d", 0);
	check_target(out, "e", "e", 1000);
	kinds_end();
}

TEST(the_same_set_is_settled_without_a_change)
{
	UNUSED_STATE;
	dns_begin("");
	expect_list(LIST_OF(WANTED));
	const struct store_out *out = set("a tag of before an earlier attempt");
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

TEST(who_was_slower_has_a_conflict)
{
	UNUSED_STATE;
	static const int statuses[] = {404, 409, 412};
	char tag[64];
	dns_begin("");
	expect_list("{\"rrsets\":[]}");
	(void)snprintf(tag, sizeof tag, "%s", steer_get("CNAME")->tag);
	for (size_t i = 0; i < DIF_LEN(statuses); i++) {
		expect_list("{\"rrsets\":[]}");
		expect_change("{\"deletions\":[],\"additions\":[" WANTED "]}",
		              &(struct script_reply){.status = statuses[i],
		                                     .body = ERROR("400", "other", "was faster")});
		check_class(set(tag), DIF_CONFLICT);
	}
	expect_list(LIST_OF(SET("\"rrdatas\":[\"x.\"]")));
	check_class(set(tag), DIF_CONFLICT);
	kinds_end();
}

TEST(a_policy_that_could_not_be_put_back_is_not_touched)
{
	UNUSED_STATE;
	static const char *const odd[] = {
		LIST_OF(SET("\"routingPolicy\":{\"geo\":{\"items\":[]}}")),
		LIST_OF(WRR("{\"weight\":1,\"rrdatas\":[],\"healthCheckedTargets\":{}}")),
		LIST_OF(SET("\"routingPolicy\":{\"healthCheck\":\"h\",\"wrr\":{\"items\":[]}}")),
		LIST_OF(WRR("{\"weight\":\"1,\\\"x\\\":2\",\"rrdatas\":[\"a.\"]}")),
	};
	for (size_t i = 0; i < DIF_LEN(odd); i++) {
		dns_begin("");
		expect_list(odd[i]);
		const struct store_out *out = set(NULL);
		check_class(out, DIF_PERMANENT);
		check_text(out, "delete it, then it is made anew");
		kinds_end();
	}
}

TEST(a_plain_cname_leads_to_the_heaviest)
{
	UNUSED_STATE;
	static const struct dif_target three[] = {
		{"a", "a.example", 1, 0}, {"b", "b.example", 9, 0}, {"c", "c.example", 9, 0}};
	dns_begin("routing = plain\n");
	const struct dif_caps *caps = dif_instance_caps(st->instance);
	assert_int_equal(caps->targets_max, 1);
	assert_false(caps->flags & DIF_CAP_WEIGHTS);
	expect_list("{\"rrsets\":[]}");
	expect_change("{\"deletions\":[],\"additions\":[" SET("\"rrdatas\":[\"b.example.\"]") "]}",
	              &(struct script_reply){.status = 200, .body = PENDING});
	check_ok(steer_set("CNAME", three, 3, NULL));
	kinds_end();
	dns_begin("routing = plain\ntype = AAAA\n");
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 100);
	expect_list("{\"rrsets\":[]}");
	expect_change("*\"type\":\"AAAA\",\"ttl\":60,\"rrdatas\":[\"2001:db8::1\"]*",
	              &(struct script_reply){.status = 200, .body = PENDING});
	check_ok(steer_set("AAAA", &(struct dif_target){"a", "2001:db8::1", 1, 0}, 1, NULL));
	kinds_end();
}

TEST(a_zone_that_is_not_there_is_named)
{
	UNUSED_STATE;
	dns_begin("");
	for (int i = 0; i < 3; i++) {
		kinds_expect(&(struct script_want){.method = "GET"},
		             &(struct script_reply){.status = 404,
		                                    .body = ERROR("404", "notFound", "none")});
	}
	check_class(store_probe(st), DIF_PERMANENT);
	check_class(steer_get("A"), DIF_PERMANENT);
	const struct store_out *out = set(NULL);
	check_class(out, DIF_PERMANENT);
	check_text(out, "has no managed zone 'prep-example'");
	kinds_end();
}

TEST(a_change_is_asked_about_by_its_id)
{
	UNUSED_STATE;
	dns_begin("");
	kinds_expect(&(struct script_want){.method = "GET", .url = ZONE "/changes/17%2F..%3Fx"},
	             &(struct script_reply){.status = 200,
	                                    .body = "{\"id\":\"17\",\"status\":\"done\"}"});
	const struct store_out *out = steer_state("17/..?x");
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_set_is_deleted_exactly_as_it_was_read),
		cmocka_unit_test(a_fraction_of_a_weight_is_not_nobody),
		cmocka_unit_test(the_same_set_is_settled_without_a_change),
		cmocka_unit_test(who_was_slower_has_a_conflict),
		cmocka_unit_test(a_policy_that_could_not_be_put_back_is_not_touched),
		cmocka_unit_test(a_plain_cname_leads_to_the_heaviest),
		cmocka_unit_test(a_zone_that_is_not_there_is_named),
		cmocka_unit_test(a_change_is_asked_about_by_its_id),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
