/* The real plug-ins that steer by a vendor's DNS, each before a small service that keeps what it is
 * told: what flow/steering_plan wants is read back as what it wanted, after one change, and what
 * others have put there is still there. */
#include "flow/steering.h"
#include "tests/plugin/support/gcs.h"
#include "tests/plugin/support/kinds.h"
#include "tests/unit/support/rsa_key.h"

#define STATE_MAX 16384

/* What the service keeps, in the words of its API. */
static char state[STATE_MAX];
static char answer_text[2 * STATE_MAX];

static const struct dif_steering_target wishes[][2] = {
	{{"aws", "a.example", 300, false}, {"gcp", "g.example", 100, false}},
	{{"aws", "a.example", 300, false}, {"gcp", "g.example", 0, false}},
	{{"aws", "a.example", 0, false}, {"gcp", "g.example", 7, false}},
	{{"aws", "a.example", 1, false}, {"gcp", "g.example", 5000, false}},
	{{"aws", "a.example", 1, false}, {"gcp", "g.example", 1, true}},
};

static void begin_service(const char *ini,
                          void (*answer)(void *data, const struct script_seen *seen,
                                         struct script_reply *reply),
                          const char *first)
{
	kinds_begin(ini);
	script_answer(s, answer, NULL);
	(void)snprintf(state, sizeof state, "%s", first);
}

static void say(struct script_reply *reply, const char *format, const char *inside)
{
	const char *at = strstr(format, "%s");
	(void)snprintf(answer_text, sizeof answer_text, "%.*s%s%s", (int)(at - format), format,
	               inside, at + 2);
	*reply = (struct script_reply){.status = 200, .body = answer_text};
}

/* Changes made until the wish stands; it fails where that takes more than one. */
static void bring(const struct dif_steering_target *want, uint32_t n, const char *type)
{
	struct dif_arena a;
	uint32_t sets = 0;
	for (;;) {
		struct dif_steering_plan plan = {0};
		struct dif_error err = {0};
		dif_arena_init(&a, 1 << 20, false);
		const struct store_out *out = steer_get(type);
		check_ok(out);
		if (!dif_steering_compare(&a, dif_instance_caps(st->instance), want, n,
		                          out->targets, out->ntargets, &plan, &err)) {
			fail_msg("%s", err.text);
		}
		bool other_ttl = out->ntargets > 0 && out->ttl_s > 0 && out->ttl_s != 60;
		if (!plan.differs && !other_ttl) {
			break;
		}
		assert_int_equal(sets, 0); /* it was set and reads otherwise */
		sets++;
		out = steer_set(type, plan.targets, plan.n, out->tag);
		check_ok(out);
		if (!out->settled) {
			check_ok(steer_state(out->ticket));
			assert_true(st->out.settled);
		}
		dif_arena_fini(&a);
	}
	dif_arena_fini(&a);
}

static void bring_all(const char *type, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		bring(wishes[i], 2, type);
	}
	kinds_end();
}

/* --- Route 53: what a batch upserts goes to the list, what it deletes must stand there --- */

#define NS "https://route53.amazonaws.com/doc/2013-04-01/"
#define SET_END "</ResourceRecordSet>"

static void drop_record(const char *id)
{
	char *at = strstr(state, id);
	if (at == NULL) {
		return;
	}
	while (strncmp(at, "<ResourceRecordSet>", 19) != 0) {
		at--;
	}
	char *end = strstr(at, SET_END) + strlen(SET_END);
	memmove(at, end, strlen(end) + 1);
}

static void apply_change(const char *change)
{
	const char *set = strstr(change, "<ResourceRecordSet>");
	int n = (int)(strstr(set, SET_END) + strlen(SET_END) - set);
	const char *id = strstr(set, "<SetIdentifier>");
	char key[256], record[2048];
	(void)snprintf(key, sizeof key, "%.*s", (int)(strchr(id, '/') - id), id);
	(void)snprintf(record, sizeof record, "%.*s", n, set);
	if (strncmp(change, "<Change><Action>DELETE", 22) == 0) {
		assert_non_null(strstr(state, record)); /* exactly as it stands */
	}
	drop_record(key);
	if (strncmp(change, "<Change><Action>UPSERT", 22) == 0) {
		size_t used = strlen(state);
		(void)snprintf(state + used, sizeof state - used, "%s", record);
	}
}

static void route53(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	if (strstr(seen->url, "/change/") != NULL) {
		say(reply,
		    "<GetChangeResponse xmlns=\"" NS "\"><ChangeInfo><Id>/change/C1</Id>%s"
		    "</ChangeInfo></GetChangeResponse>",
		    "<Status>INSYNC</Status>");
	} else if (strcmp(seen->method, "GET") == 0) {
		say(reply,
		    "<ListResourceRecordSetsResponse xmlns=\"" NS "\"><ResourceRecordSets>%s"
		    "</ResourceRecordSets><IsTruncated>false</IsTruncated>"
		    "</ListResourceRecordSetsResponse>",
		    state);
	} else {
		for (const char *at = seen->body; (at = strstr(at, "<Change>")) != NULL; at++) {
			apply_change(at);
		}
		say(reply,
		    "<ChangeResourceRecordSetsResponse xmlns=\"" NS "\"><ChangeInfo>%s"
		    "<Status>PENDING</Status></ChangeInfo>"
		    "</ChangeResourceRecordSetsResponse>",
		    "<Id>/change/C1</Id>");
	}
}

TEST(in_route53)
{
	UNUSED_STATE;
#define FOREIGN                                                                      \
	"<ResourceRecordSet><Name>www.prep.example.</Name><Type>CNAME</Type>"        \
	"<SetIdentifier>aws</SetIdentifier><Weight>9</Weight><TTL>900</TTL>"         \
	"<ResourceRecords><ResourceRecord><Value>a.example</Value></ResourceRecord>" \
	"</ResourceRecords></ResourceRecordSet>"
	begin_service("[steering t]\nplugin = route53\nhosted_zone = Z1\naccess_key_id = A\n"
	              "secret_access_key = "
	              "a-secret-of-the-tests\n",
	              route53, FOREIGN);
	bring_all("CNAME", DIF_LEN(wishes));
	assert_non_null(strstr(state, FOREIGN));
	assert_null(strstr(state, "g.example"));
	assert_non_null(strstr(state, "difusor-aws"));
}

/* --- Cloud DNS: the set is what a change adds; what it deletes must be the set --- */

static void clouddns(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	if (strcmp(seen->url, TOKEN_URI) == 0) {
		say(reply, "%s", TOKEN("ya29.token-1"));
	} else if (strstr(seen->url, "/changes/") != NULL) {
		say(reply, "{\"id\":\"17\",\"status\":\"%s\"}", "done");
	} else if (strcmp(seen->method, "GET") == 0) {
		say(reply, "{\"rrsets\":[%s]}", state);
	} else {
		const char *add = strstr(seen->body, "],\"additions\":[");
		char deleted[STATE_MAX + 32];
		(void)snprintf(deleted, sizeof deleted, "{\"deletions\":[%s", state);
		assert_memory_equal(seen->body, deleted, strlen(deleted));
		add += strlen("],\"additions\":[");
		(void)snprintf(state, sizeof state, "%.*s", (int)(strlen(add) - 2), add);
		say(reply, "{\"id\":\"17\",\"status\":\"%s\"}", "pending");
	}
}

static void in_clouddns_with(const char *routing, const char *type, const char *first)
{
	char ini[8192];
	(void)snprintf(ini, sizeof ini,
	               "[steering t]\nplugin = clouddns\nproject = p\nmanaged_zone = z\n"
	               "routing = %s\ntype = %s\ncredentials = %s\n",
	               routing, type,
	               gcs_account("sa.json", "service_account", test_rsa_pkcs8, TOKEN_URI));
	begin_service(ini, clouddns, first);
	bring_all(type, DIF_LEN(wishes));
}

TEST(in_clouddns)
{
	UNUSED_STATE;
	in_clouddns_with("wrr", "CNAME",
	                 "{\"name\":\"www.prep.example.\",\"type\":\"CNAME\",\"ttl\":300,"
	                 "\"routingPolicy\":{\"wrr\":{\"items\":[{\"weight\":4,\"rrdatas\":"
	                 "[\"theirs.example.\"]}]}}}");
	assert_non_null(strstr(state, "{\"weight\":4,\"rrdatas\":[\"theirs.example.\"]}"));
	assert_null(strstr(state, "g.example"));
	in_clouddns_with("plain", "CNAME", "");
	assert_non_null(strstr(state, "\"rrdatas\":[\"a.example.\"]"));
	in_clouddns_with("plain", "A", "");
}

/* --- Azure DNS: the set is what was put --- */

#define AZURE_TOKEN \
	"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"eyJ0.token\"}"

static void azuredns(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	if (strstr(seen->url, "login.microsoftonline.com") != NULL) {
		say(reply, "%s", AZURE_TOKEN);
	} else if (strcmp(seen->method, "GET") == 0 && *state == '\0') {
		say(reply, "{\"error\":{\"code\":\"%s\",\"message\":\"none\"}}", "NotFound");
		reply->status = 404;
	} else {
		if (strcmp(seen->method, "PUT") == 0) {
			(void)snprintf(state, sizeof state, "%s", seen->body + 1);
		}
		say(reply, "{\"etag\":\"e\",%s", state);
	}
}

TEST(in_azuredns)
{
	UNUSED_STATE;
	begin_service("[steering t]\nplugin = azuredns\nzone = prep.example\n" MANAGER, azuredns,
	              "");
	bring_all("CNAME", DIF_LEN(wishes));
	assert_non_null(strstr(state, "{\"cname\":\"a.example\"}"));
	begin_service("[steering t]\nplugin = azuredns\nzone = prep.example\ntype = A\n" MANAGER,
	              azuredns,
	              "\"properties\":{\"TTL\":300,\"ARecords\":[{\"ipv4Address\":\"theirs\"}]}}");
	bring_all("A", DIF_LEN(wishes));
	assert_non_null(strstr(state, "{\"ipv4Address\":\"theirs\"}"));
	assert_null(strstr(state, "g.example"));
}

/* --- Traffic Manager: a TTL and three endpoints, the last of which is somebody else's --- */

static struct {
	const char *target;
	unsigned weight;
	bool enabled;
} endpoints[] = {{"a.example", 1, false}, {"g.example", 1, false}, {"theirs.example", 9, true}};
static unsigned ttl = 300;

static void patch(const char *url, const char *body)
{
	const char *number = strpbrk(body, "0123456789");
	const char *name = strstr(url, "/ExternalEndpoints/e");
	if (name == NULL) {
		ttl = (unsigned)strtoul(number, NULL, 10);
		return;
	}
	size_t i = (size_t)(name[strlen("/ExternalEndpoints/e")] - '0');
	assert_true(i < DIF_LEN(endpoints));
	endpoints[i].enabled = strstr(body, "Enabled") != NULL;
	endpoints[i].weight =
		number != NULL ? (unsigned)strtoul(number, NULL, 10) : endpoints[i].weight;
	bool any = false;
	for (i = 0; i < DIF_LEN(endpoints) - 1; i++) {
		any = any || endpoints[i].enabled;
	}
	assert_true(any); /* at no moment is there none of ours */
}

static void trafficmanager(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	char list[2048] = "";
	(void)data;
	if (strstr(seen->url, "login.microsoftonline.com") != NULL) {
		say(reply, "%s", AZURE_TOKEN);
		return;
	}
	if (strcmp(seen->method, "PATCH") == 0) {
		patch(seen->url, seen->body);
		say(reply, "{\"properties\":{%s}}", "");
		return;
	}
	for (size_t i = 0; i < DIF_LEN(endpoints); i++) {
		size_t used = strlen(list);
		(void)snprintf(list + used, sizeof list - used,
		               "%s{\"name\":\"e%zu\",\"type\":\"x/externalEndpoints\","
		               "\"properties\":{\"endpointStatus\":\"%s\",\"target\":\"%s\","
		               "\"weight\":%u}}",
		               i > 0 ? "," : "", i, endpoints[i].enabled ? "Enabled" : "Disabled",
		               endpoints[i].target, endpoints[i].weight);
	}
	char rest[128];
	(void)snprintf(rest, sizeof rest, "],\"dnsConfig\":{\"ttl\":%u}}}", ttl);
	say(reply, "{\"properties\":{\"trafficRoutingMethod\":\"Weighted\",\"endpoints\":[%s",
	    list);
	size_t used = strlen(answer_text);
	(void)snprintf(answer_text + used, sizeof answer_text - used, "%s", rest);
}

/* Not the last wish: an endpoint stays in the profile, be it disabled, until people take it out. */
TEST(in_trafficmanager)
{
	UNUSED_STATE;
	begin_service("[steering t]\nplugin = trafficmanager\nprofile = p\n" MANAGER,
	              trafficmanager, "");
	bring_all("CNAME", DIF_LEN(wishes) - 1);
	assert_int_equal(ttl, 60);
	assert_int_equal(endpoints[1].weight, 1000); /* 5000, scaled */
	assert_true(endpoints[2].enabled);
	assert_int_equal(endpoints[2].weight, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_route53),
		cmocka_unit_test(in_clouddns),
		cmocka_unit_test(in_azuredns),
		cmocka_unit_test(in_trafficmanager),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
