/* trafficmanager - the real trafficmanager.so in host/op with a scripted Resource Manager: the
 * order of changes, whose endpoints are whose, what is refused before anything is changed. */
#include "tests/plugin/support/kinds.h"

#define TM "[steering t]\nplugin = trafficmanager\nprofile = p\n" MANAGER
#define PROFILE MANAGED "/Microsoft.Network/trafficManagerProfiles/p"
#define VERSION "?api-version=2022-04-01"
#define OF(method, ttl, endpoints)                                                               \
	"{\"name\":\"p\",\"properties\":{\"trafficRoutingMethod\":\"" method "\",\"dnsConfig\":" \
	"{\"ttl\":" ttl "},\"endpoints\":[" endpoints "]}}"
#define ENDPOINT(kind, name, status, more)                                                 \
	"{\"name\":\"" name "\",\"type\":\"Microsoft.Network/trafficManagerProfiles/" kind \
	"\",\"properties\":{\"endpointStatus\":\"" status "\"," more "}}"
#define AT(target, weight) "\"target\":\"" target "\",\"weight\":" weight
#define ON(weight) "{\"properties\":{\"endpointStatus\":\"Enabled\",\"weight\":" weight "}}"
#define TWO ENDPOINT("azureEndpoints", "two", "Disabled", AT("b.example", "9"))
#define THREE ENDPOINT("nestedEndpoints", "three", "Enabled", "\"weight\":null")
#define E1 ENDPOINT("ExternalEndpoints", "e/1", "Enabled", AT("a.example", "7"))
#define E2 ENDPOINT("azureEndpoints", "e2", "Disabled", AT("g.example", "9"))
#define E3 ENDPOINT("nestedEndpoints", "n", "Enabled", "\"weight\":3")
#define E4 ENDPOINT("externalEndpoints", "e4", "Enabled", AT("s.example", "4"))
#define E5 ENDPOINT("externalEndpoints", "e5", "Enabled", AT("other", "1"))
#define E6 ENDPOINT("externalEndpoints", "e6", "Disabled", AT("off", "1"))
#define OFF "{\"properties\":{\"endpointStatus\":\"Disabled\"}}"

static void expect_profile(const char *body)
{
	kinds_expect(&(struct script_want){.method = "GET", .url = PROFILE VERSION},
	             &(struct script_reply){.status = 200, .body = body});
}

static void expect_patch(const char *url, const char *body)
{
	kinds_expect(&(struct script_want){.method = "PATCH",
	                                   .url = url,
	                                   .fields = {"authorization: Bearer eyJ0.token",
	                                              "content-type: application/json"},
	                                   .body = body},
	             &(struct script_reply){.status = 200, .body = "{\"properties\":{}}"});
}

static const char mixed[] = OF(
	"Weighted", "30",
	ENDPOINT("externalEndpoints", "one", "Enabled", AT("A.example.", "7")) "," TWO "," THREE);

TEST(endpoints_are_told_by_their_address)
{
	UNUSED_STATE;
	manager_begin(TM);
	expect_profile(mixed);
	const struct store_out *out = steer_get("CNAME");
	check_ok(out);
	assert_int_equal(out->ntargets, 3);
	assert_int_equal(out->ttl_s, 30);
	check_target(out, "A.example", "A.example", 7);
	check_target(out, "b.example", "b.example", 0);
	check_target(out, "three", "three", 1);
	kinds_end();
}

static const char many[] = OF("Weighted", "60", E1 "," E2 "," E3 "," E4 "," E5 "," E6);

TEST(who_is_to_serve_comes_before_who_is_not)
{
	UNUSED_STATE;
	static const struct dif_target targets[] = {{"aws", "a.example", 0, 0},
	                                            {"gcp", "g.example", 1000, 0},
	                                            {"nested", "n", 5, 0},
	                                            {"same", "s.example", 4, 0}};
	manager_begin(TM);
	expect_profile(many);
	expect_patch(PROFILE "/AzureEndpoints/e2" VERSION, ON("1000"));
	expect_patch(PROFILE "/NestedEndpoints/n" VERSION, ON("5"));
	expect_patch(PROFILE "/ExternalEndpoints/e%2F1" VERSION, OFF);
	expect_patch(PROFILE "/ExternalEndpoints/e5" VERSION, OFF);
	const struct store_out *out = steer_set("CNAME", targets, 4, NULL);
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

#define ONE(ttl, status) \
	OF("Weighted", ttl, ENDPOINT("externalEndpoints", "e", status, AT("a.example", "7")))
static const struct dif_target one = {"aws", "a.example", 7, 0};

TEST(the_profile_gets_the_ttl)
{
	UNUSED_STATE;
	manager_begin(TM);
	expect_profile(ONE("300", "Enabled"));
	expect_patch(PROFILE VERSION, "{\"properties\":{\"dnsConfig\":{\"ttl\":60}}}");
	check_ok(steer_set("CNAME", &one, 1, NULL));
	expect_profile(ONE("60", "Enabled"));
	check_ok(steer_set("CNAME", &one, 1, NULL));
	kinds_end();
}

TEST(a_profile_that_has_changed_is_a_conflict_and_nothing_is_sent)
{
	UNUSED_STATE;
	char tag[64];
	manager_begin(TM);
	expect_profile(ONE("60", "Disabled"));
	(void)snprintf(tag, sizeof tag, "%s", steer_get("CNAME")->tag);
	expect_profile(ONE("30", "Disabled"));
	check_class(steer_set("CNAME", &one, 1, tag), DIF_CONFLICT);
	expect_profile(ONE("60", "Disabled"));
	expect_patch(PROFILE "/ExternalEndpoints/e" VERSION, ON("7"));
	check_ok(steer_set("CNAME", &one, 1, tag));
	kinds_end();
}

static void check_permanent(const char *profile, const struct dif_target *t, const char *text)
{
	manager_begin(TM);
	expect_profile(profile);
	const struct store_out *out = steer_set("CNAME", t, 1, NULL);
	check_class(out, DIF_PERMANENT);
	check_text(out, text);
	kinds_end();
}

TEST(what_cannot_be_is_refused_before_anything_is_changed)
{
	UNUSED_STATE;
	static const struct dif_target other = {"x", "x.example", 1, 0};
	check_permanent(
		ONE("30", "Disabled"), &other,
		"no endpoint with the address 'x.example': add an external endpoint for 'x'");
	check_permanent(OF("Weighted", "30",
	                   ENDPOINT("newEndpoints", "e", "Enabled", AT("a.example", "1"))),
	                &one, "no endpoint");
	check_permanent(OF("Priority", "30", ""), &one,
	                "routes by Priority: set its routing method");
	manager_begin(TM);
	check_class(steer_set("CNAME", &(struct dif_target){"aws", "a.example", 0, 0}, 1, NULL),
	            DIF_PERMANENT);
	assert_int_equal(script_count(s), 1); /* the login */
	expect_profile(OF("Priority", "30", ""));
	check_class(store_probe(st), DIF_PERMANENT);
	kinds_end();
}

TEST(a_set_that_was_cut_is_decided_anew)
{
	UNUSED_STATE;
	char tag[64];
	manager_begin(TM);
	expect_profile(ONE("300", "Disabled"));
	(void)snprintf(tag, sizeof tag, "%s", steer_get("CNAME")->tag);
	expect_profile(ONE("300", "Disabled"));
	expect_patch(PROFILE VERSION, NULL);
	kinds_expect(&(struct script_want){.method = "PATCH"},
	             &(struct script_reply){.status = 503});
	expect_profile(ONE("60", "Disabled"));
	check_class(steer_set("CNAME", &one, 1, tag), DIF_CONFLICT);
	kinds_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(endpoints_are_told_by_their_address),
		cmocka_unit_test(who_is_to_serve_comes_before_who_is_not),
		cmocka_unit_test(the_profile_gets_the_ttl),
		cmocka_unit_test(a_profile_that_has_changed_is_a_conflict_and_nothing_is_sent),
		cmocka_unit_test(what_cannot_be_is_refused_before_anything_is_changed),
		cmocka_unit_test(a_set_that_was_cut_is_decided_anew),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
