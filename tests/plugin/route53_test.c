/* route53 - the real route53.so in host/op with a scripted service: what a batch holds, what is
 * left alone, what is refused before anything is sent. */
#include "tests/plugin/support/kinds.h"
#include "tests/plugin/support/s3.h"

#define SERVICE "https://route53.amazonaws.com/2013-04-01"
#define ZONE SERVICE "/hostedzone/Z1D633PJN98FT9/rrset"
#define R53                                                                          \
	"[steering t]\nplugin = route53\nhosted_zone = /hostedzone/Z1D633PJN98FT9\n" \
	"access_key_id = AKIAIOSFODNN7EXAMPLE\nsecret_access_key = " SECRET "\n"
#define NS "https://route53.amazonaws.com/doc/2013-04-01/"
#define RECORDS(rows, more)                                                                    \
	"<?xml version=\"1.0\"?><ListResourceRecordSetsResponse xmlns=\"" NS                   \
	"\"><ResourceRecordSets>" rows "</ResourceRecordSets>" more "<MaxItems>200</MaxItems>" \
	"</ListResourceRecordSetsResponse>"
#define ALL "<IsTruncated>false</IsTruncated>"
#define VALUE(v) "<ResourceRecord><Value>" v "</Value></ResourceRecord>"
#define WEIGHTED(id, weight, rest)                                                              \
	"<ResourceRecordSet><Name>WWW.prep.example.</Name><Type>CNAME</Type><SetIdentifier>" id \
	"</SetIdentifier><Weight>" weight "</Weight>" rest "</ResourceRecordSet>"
#define PLAIN(ttl, values) "<TTL>" ttl "</TTL><ResourceRecords>" values "</ResourceRecords>"
#define CHECKED "<HealthCheckId>abc-&amp;1</HealthCheckId>"
#define CHANGE(action, id, weight, rest)                                                          \
	"<Change><Action>" action "</Action><ResourceRecordSet><Name>www.prep.example.</Name>"    \
	"<Type>CNAME</Type><SetIdentifier>" id "</SetIdentifier><Weight>" weight "</Weight>" rest \
	"</ResourceRecordSet></Change>"
#define DONE(status)                                                    \
	"<ChangeResourceRecordSetsResponse xmlns=\"" NS                 \
	"\"><ChangeInfo><Id>/change/C2682N5HXP0BZ4</Id><Status>" status \
	"</Status></ChangeInfo></ChangeResourceRecordSetsResponse>"

static const struct dif_target targets[] = {{"aws", "a.example", 3, 0}, {"gcp", "g.example", 0, 0}};
#define STANDING                                                       \
	WEIGHTED("difusor-aws", "3", PLAIN("60", VALUE("A.example."))) \
	WEIGHTED("difusor-gcp", "0", PLAIN("60", VALUE("g.example")))

static void expect_records(const char *body)
{
	kinds_expect(&(struct script_want){.method = "GET",
	                                   .url = ZONE "?maxitems=200&name=www.prep.example&type="
	                                               "CNAME"},
	             &(struct script_reply){.status = 200, .body = body});
}

static void expect_batch(const char *changes, int status, const char *reply)
{
	static char body[4096];
	(void)snprintf(body, sizeof body,
	               "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ChangeResourceRecordSetsRequest "
	               "xmlns=\"" NS "\"><ChangeBatch><Comment>difusor " IDEM
	               "</Comment><Changes>%s</Changes></ChangeBatch>"
	               "</ChangeResourceRecordSetsRequest>",
	               changes);
	kinds_expect(&(struct script_want){.method = "POST",
	                                   .url = ZONE "/",
	                                   .fields = {"content-type: text/xml"},
	                                   .body = body},
	             &(struct script_reply){.status = status, .body = reply});
}

static const struct store_out *set(const char *tag)
{
	return steer_set("CNAME", targets, 2, tag);
}

TEST(records_of_others_are_told_apart)
{
	UNUSED_STATE;
	kinds_begin(R53);
	expect_records(
		RECORDS(STANDING WEIGHTED("aws", "5",
	                                  "<AliasTarget><HostedZoneId>Z2</HostedZoneId><DNSName>"
	                                  "alias.example.</DNSName><EvaluateTargetHealth>false"
	                                  "</EvaluateTargetHealth></AliasTarget>")
	                        WEIGHTED("difusorx", "6", PLAIN("900", VALUE("x.example"))),
	                ALL));
	const struct store_out *out = steer_get("CNAME");
	check_ok(out);
	assert_int_equal(out->ntargets, 4);
	assert_int_equal(out->ttl_s, 60); /* that of ours */
	check_target(out, "aws", "A.example", 3);
	check_target(out, "gcp", "g.example", 0);
	check_target(out, "foreign:aws", "alias.example", 5);
	check_target(out, "foreign:difusorx", "x.example", 6);
	check_sigv4_of(script_seen(s, 0), "us-east-1", "route53", SECRET);
	kinds_end();
}

TEST(a_batch_makes_what_is_missing_and_deletes_what_is_ours_and_not_wanted)
{
	UNUSED_STATE;
	static const struct dif_target with_others[] = {
		{"aws", "a.example", 3, 0}, {"gcp", "g&.example", 0, 0}, {"foreign:x", "x", 9, 0}};
	kinds_begin(R53);
	expect_records(RECORDS(
		WEIGHTED("difusor-aws", "1", PLAIN("60", VALUE("a.example")) CHECKED)
			WEIGHTED("difusor-old", "7", PLAIN("30", VALUE("o1") VALUE("o2")) CHECKED)
				WEIGHTED("difusor-alias", "8",
	                                 "<AliasTarget><HostedZoneId>Z2</HostedZoneId><DNSName>"
	                                 "alias.example.</DNSName><EvaluateTargetHealth>false"
	                                 "</EvaluateTargetHealth></AliasTarget>")
					WEIGHTED("x", "9", PLAIN("900", VALUE("x"))),
		ALL));
	expect_batch(
		CHANGE("UPSERT", "difusor-aws", "3", PLAIN("60", VALUE("a.example")) CHECKED)
			CHANGE("UPSERT", "difusor-gcp", "0", PLAIN("60", VALUE("g&amp;.example")))
				CHANGE("DELETE", "difusor-old", "7",
	                               PLAIN("30", VALUE("o1") VALUE("o2")) CHECKED)
					CHANGE("DELETE", "difusor-alias", "8",
	                                       "<AliasTarget><HostedZoneId>Z2</HostedZoneId>"
	                                       "<DNSName>alias.example.</DNSName>"
	                                       "<EvaluateTargetHealth>false"
	                                       "</EvaluateTargetHealth></AliasTarget>"),
		200, DONE("PENDING"));
	const struct store_out *out = steer_set("CNAME", with_others, 3, NULL);
	check_ok(out);
	assert_false(out->settled);
	assert_string_equal(out->ticket, "/change/C2682N5HXP0BZ4");
	assert_int_equal(out->wait_ms, 5000);
	check_sigv4_of(script_seen(s, 1), "us-east-1", "route53", SECRET);
	kinds_end();
}

TEST(nothing_to_change_is_settled_without_a_batch)
{
	UNUSED_STATE;
	kinds_begin(R53);
	expect_records(RECORDS(STANDING, ALL));
	const struct store_out *out = set("a tag of before an earlier attempt");
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

TEST(a_route_that_has_changed_is_a_conflict_and_nothing_is_sent)
{
	UNUSED_STATE;
	char tag[64];
	kinds_begin(R53);
	expect_records(RECORDS("", ALL));
	(void)snprintf(tag, sizeof tag, "%s", steer_get("CNAME")->tag);
	expect_records(RECORDS(WEIGHTED("x", "9", PLAIN("900", VALUE("x"))), ALL));
	check_class(set(tag), DIF_CONFLICT);
	expect_records(RECORDS("", ALL));
	expect_batch(CHANGE("UPSERT", "difusor-aws", "3", PLAIN("60", VALUE("a.example")))
	                     CHANGE("UPSERT", "difusor-gcp", "0", PLAIN("60", VALUE("g.example"))),
	             200, DONE("INSYNC"));
	const struct store_out *out = set(tag);
	check_ok(out);
	assert_true(out->settled);
	kinds_end();
}

TEST(a_deletion_that_does_not_fit_any_more_is_a_conflict)
{
	UNUSED_STATE;
	static const char *const bodies[] = {
		"<InvalidChangeBatch xmlns=\"" NS "\"><Messages><Message>Tried to delete resource "
		"record set [name='x'] but it was not found</Message></Messages>"
		"</InvalidChangeBatch>",
		"<ErrorResponse xmlns=\"" NS "\"><Error><Type>Sender</Type><Code>InvalidChangeBatch"
		"</Code><Message>[Tried to delete resource record set [name='x'] but the values "
		"provided do not match the current values]</Message></Error></ErrorResponse>",
		"<InvalidChangeBatch xmlns=\"" NS "\"><Messages><Message>RRSet of type CNAME with "
		"DNS name www.prep.example. is not permitted</Message></Messages>"
		"</InvalidChangeBatch>",
	};
	for (size_t i = 0; i < DIF_LEN(bodies); i++) {
		kinds_begin(R53);
		expect_records(RECORDS("", ALL));
		kinds_expect(&(struct script_want){.method = "POST"},
		             &(struct script_reply){.status = 400, .body = bodies[i]});
		const struct store_out *out = set(NULL);
		check_class(out, i < 2 ? DIF_CONFLICT : DIF_PERMANENT);
		check_text(out, i < 2 ? "Tried to delete" : "is not permitted");
		kinds_end();
	}
}

TEST(a_repeat_after_an_unknown_outcome_finds_what_it_did)
{
	UNUSED_STATE;
	char tag[64];
	kinds_begin(R53);
	expect_records(RECORDS("", ALL));
	(void)snprintf(tag, sizeof tag, "%s", steer_get("CNAME")->tag);
	expect_records(RECORDS("", ALL));
	kinds_expect(&(struct script_want){.method = "POST"},
	             &(struct script_reply){.status = 503});
	expect_records(RECORDS(STANDING, ALL));
	const struct store_out *out = set(tag);
	check_ok(out);
	assert_int_equal(out->attempts, 2);
	kinds_end();
}

TEST(a_record_without_a_weight_is_refused_with_the_remedy)
{
	UNUSED_STATE;
	static const char simple[] =
		RECORDS("<ResourceRecordSet><Name>www.prep.example.</Name><Type>CNAME</Type>" PLAIN(
				"300", VALUE("old.example")) "</ResourceRecordSet>",
	                ALL);
	kinds_begin(R53);
	expect_records(simple);
	const struct store_out *out = steer_get("CNAME");
	check_ok(out);
	check_target(out, "old.example", "old.example", 1);
	expect_records(simple);
	out = set(NULL);
	check_class(out, DIF_PERMANENT);
	check_text(out, "delete it, or make it a weighted one with the identifier 'difusor-aws'");
	kinds_end();
}

TEST(a_page_that_is_none_or_not_all_is_not_believed)
{
	UNUSED_STATE;
	static const struct {
		const char *body;
		enum dif_class cls;
	} rows[] = {
		{RECORDS("", "<IsTruncated>true</IsTruncated><NextRecordName>www.prep.example."
	                     "</NextRecordName><NextRecordType>CNAME</NextRecordType>"),
	         DIF_PERMANENT},
		{RECORDS("", "<IsTruncated>true</IsTruncated><NextRecordName>xxx.prep.example."
	                     "</NextRecordName><NextRecordType>CNAME</NextRecordType>"),
	         DIF_OK},
		{RECORDS("", ""), DIF_TRANSIENT},
		{"<ListResourceRecordSetsResponse/>", DIF_TRANSIENT},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		kinds_begin(R53);
		st->deadline_ms = 900;
		kinds_expect(&(struct script_want){.method = "GET"},
		             &(struct script_reply){.status = 200,
		                                    .fields = {"retry-after: 60"},
		                                    .body = rows[i].body});
		check_class(steer_get("CNAME"), rows[i].cls);
		kinds_end();
	}
}

TEST(a_route_to_nobody_is_not_sent)
{
	UNUSED_STATE;
	kinds_begin(R53);
	check_class(steer_set("CNAME", &targets[1], 1, NULL), DIF_PERMANENT);
	check_class(steer_set("CNAME", NULL, 0, NULL), DIF_PERMANENT);
	assert_int_equal(script_count(s), 0);
	kinds_end();
}

TEST(options_that_cannot_work_are_refused)
{
	UNUSED_STATE;
	check_refused("[steering t]\nplugin = route53\nhosted_zone = prep.example\n",
	              "hosted_zone 'prep.example' is not an id");
	check_refused("[steering t]\nplugin = route53\nhosted_zone = /hostedzone/\n",
	              "is not an id");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_of_others_are_told_apart),
		cmocka_unit_test(
			a_batch_makes_what_is_missing_and_deletes_what_is_ours_and_not_wanted),
		cmocka_unit_test(nothing_to_change_is_settled_without_a_batch),
		cmocka_unit_test(a_route_that_has_changed_is_a_conflict_and_nothing_is_sent),
		cmocka_unit_test(a_deletion_that_does_not_fit_any_more_is_a_conflict),
		cmocka_unit_test(a_repeat_after_an_unknown_outcome_finds_what_it_did),
		cmocka_unit_test(a_record_without_a_weight_is_refused_with_the_remedy),
		cmocka_unit_test(a_page_that_is_none_or_not_all_is_not_believed),
		cmocka_unit_test(a_route_to_nobody_is_not_sent),
		cmocka_unit_test(options_that_cannot_work_are_refused),
	};
	return cmocka_run_group_tests(tests, kinds_without_environment, NULL);
}
