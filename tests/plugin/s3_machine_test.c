/* s3 - the real s3.so in host/op with a scripted server: the credential of a web identity, a
 * container or an instance, and answers that are none. */
#include "tests/plugin/support/s3_login.h"

#include <sys/stat.h>
#include <unistd.h>

#define METADATA "http://169.254.169.254/latest/"
#define METADATA_KEYS METADATA "meta-data/iam/security-credentials/"

static void set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

/* --- answers that are none --- */

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)seen;
	*reply = (struct script_reply){.status = 200, .body = data};
}

static void check_garbage(const char *options, const char *reply)
{
	aws_open(options);
	st->deadline_ms = 300;
	script_answer(s, answer, (void *)(uintptr_t)reply);
	const struct store_out *out = store_probe(st);
	check_class(out, DIF_TRANSIENT);
	for (size_t i = 0; i < script_count(s); i++) {
		assert_null(strstr(script_seen(s, i)->url, "bucket")); /* nothing was signed */
	}
	end();
}

TEST(garbage_is_no_credential)
{
	UNUSED_STATE;
	static const char role[] = "access_key_id = a\nsecret_access_key = b\nrole_arn = r\n";
	static const char container[] = "container_credentials_path = /v2\n";
	static const char *const xml[] = {
		"",
		"<html>",
		"<html/>",
		"<AssumeRoleResponse/>",
		"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId>"
		"<SecretAccessKey>b</SecretAccessKey></Credentials></AssumeRoleResult>"
		"</AssumeRoleResponse>",
		"<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>a</AccessKeyId>"
		"<SecretAccessKey>b</SecretAccessKey><SessionToken>c</SessionToken>"
		"<Expiration>soon</Expiration></Credentials></AssumeRoleResult>"
		"</AssumeRoleResponse>"};
	static const char *const json[] = {
		"",
		"<html/>",
		"[]",
		"{}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\"}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":{},\"Token\":\"c\"}",
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Expiration\":\"soon\"}"};
	for (size_t i = 0; i < sizeof xml / sizeof *xml; i++) {
		check_garbage(role, xml[i]);
	}
	for (size_t i = 0; i < sizeof json / sizeof *json; i++) {
		check_garbage(container, json[i]);
	}
}

/* --- web identity --- */

#define WEB                                                                      \
	"Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=" ROLE_FORM \
	"&RoleSessionName=difusor&WebIdentityToken="

static void open_web(const char *token)
{
	char options[4096];
	(void)snprintf(options, sizeof options,
	               "web_identity_role_arn = " ROLE "\nweb_identity_token_file = %s\n",
	               token != NULL ? aws_file("token", token) : "/nowhere");
	aws_open(options);
}

TEST(a_web_identity_is_shown_unsigned)
{
	UNUSED_STATE;
	open_web("eyJ.a+b/c=.d\n");
	expect(&(struct script_want){.method = "POST",
	                             .url = STS,
	                             .fields = {"!authorization"},
	                             .body = WEB "eyJ.a%2Bb%2Fc%3D.d"},
	       &(struct script_reply){
		       .status = 200,
		       .body = aws_assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600)});
	aws_expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	/* the cluster replaces the file now and then */
	(void)aws_file("token", "eyJ.second");
	aws_expect_use_as(
		"ASIAWEB", "token-of-ASIAWEB",
		&(struct script_reply){.status = 400, .body = ERROR("ExpiredToken", "expired")});
	aws_expect_sts(WEB "eyJ.second",
	               aws_assumed("AssumeRoleWithWebIdentity", "ASIANEXT", 3600));
	aws_expect_use("ASIANEXT", "token-of-ASIANEXT");
	check_ok(store_probe(st));
	end();
}

/* Kubernetes replaces tokens by turning a link. */
TEST(a_token_that_kubernetes_projects)
{
	UNUSED_STATE;
	char options[4096];
	assert_int_equal(mkdir(test_path("first"), 0755), 0);
	(void)aws_file("first/token", "eyJ.linked");
	assert_int_equal(symlink("first", test_path("..data")), 0);
	assert_int_equal(symlink("..data/token", test_path("linked")), 0);
	(void)snprintf(options, sizeof options,
	               "web_identity_role_arn = " ROLE "\nweb_identity_token_file = %s\n",
	               test_path("linked"));
	aws_open(options);
	aws_expect_sts(WEB "eyJ.linked", aws_assumed("AssumeRoleWithWebIdentity", "ASIAK8S", 3600));
	aws_expect_use("ASIAK8S", "token-of-ASIAK8S");
	check_ok(store_probe(st));
	end();
}

TEST(a_web_identity_of_the_environment_or_of_a_profile)
{
	UNUSED_STATE;
	const char *path = aws_file("token", "eyJ");
	set("AWS_ROLE_ARN", ROLE);
	set("AWS_WEB_IDENTITY_TOKEN_FILE", path);
	aws_open("");
	unsetenv("AWS_ROLE_ARN");
	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	aws_expect_sts(WEB "eyJ", aws_assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600));
	aws_expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	end();
	char config[4096];
	(void)snprintf(config, sizeof config,
	               "[default]\nrole_arn = " ROLE "\nweb_identity_token_file = %s\n", path);
	aws_open_files(NULL, config, "");
	aws_expect_sts(WEB "eyJ", aws_assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600));
	aws_expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	end();
}

TEST(a_web_identity_that_is_refused_or_not_there)
{
	UNUSED_STATE;
	open_web(NULL);
	aws_fails(DIF_AUTH, "no token file '/nowhere'");
	open_web(" \n");
	aws_fails(DIF_AUTH, "is empty");
	open_web("eyJ");
	expect(&(struct script_want){.method = "POST", .url = STS},
	       &(struct script_reply){
		       .status = 400,
		       .body = "<ErrorResponse><Error><Code>ExpiredTokenException</Code>"
			       "<Message>Token expired</Message></Error></ErrorResponse>"});
	aws_fails(DIF_AUTH, "ExpiredTokenException: Token expired");
	open_web("eyJ");
	expect(&(struct script_want){.method = "POST", .url = STS},
	       &(struct script_reply){
		       .status = 400,
		       .body = "<ErrorResponse><Error><Code>IDPCommunicationError</Code>"
			       "<Message>try again</Message></Error></ErrorResponse>"});
	aws_expect_sts(WEB "eyJ", aws_assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600));
	aws_expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	end();
}

/* --- container --- */

TEST(a_container_of_ecs)
{
	UNUSED_STATE;
	aws_open("container_credentials_path = /v2/credentials/7?id=1\n");
	expect(&(struct script_want){.method = "GET",
	                             .url = "http://169.254.170.2/v2/credentials/7?id=1",
	                             .fields = {"!authorization"}},
	       &(struct script_reply){.status = 200, .body = aws_given("ASIAECS", "")});
	aws_expect_use("ASIAECS", "token-of-ASIAECS");
	check_ok(store_probe(st));
	assert_true((script_seen(s, 0)->flags & DIF_HTTP_LINK_LOCAL) != 0);
	assert_int_equal(script_seen(s, 1)->flags & DIF_HTTP_LINK_LOCAL, 0);
	end();
}

TEST(a_container_of_eks_shows_the_token_of_a_file)
{
	UNUSED_STATE;
	char options[4096];
	(void)snprintf(options, sizeof options,
	               "container_credentials_url = http://169.254.170.23/v1/credentials\n"
	               "container_token_file = %s\ncontainer_token = not-this-one\n",
	               aws_file("pod", "eyJ.pod\n"));
	aws_open(options);
	expect(&(struct script_want){.method = "GET",
	                             .url = "http://169.254.170.23/v1/credentials",
	                             .fields = {"authorization: eyJ.pod"}},
	       &(struct script_reply){.status = 200, .body = aws_given("ASIAEKS", "")});
	aws_expect_use("ASIAEKS", "token-of-ASIAEKS");
	check_ok(store_probe(st));
	end();
	aws_open("container_credentials_url = https://keys.example/v1\ncontainer_token = t\n"
	         "role_arn = " ROLE "\n");
	expect(&(struct script_want){.method = "GET",
	                             .url = "https://keys.example/v1",
	                             .fields = {"authorization: t"}},
	       &(struct script_reply){.status = 200, .body = aws_given("ASIAURL", "")});
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIAROLE", 3600));
	aws_expect_use("ASIAROLE", "token-of-ASIAROLE");
	check_ok(store_probe(st));
	assert_int_equal(script_seen(s, 0)->flags & DIF_HTTP_LINK_LOCAL, 0);
	assert_string_equal(script_header(s, 1, "x-amz-security-token"), "token-of-ASIAURL");
	end();
}

TEST(a_container_that_gives_nothing)
{
	UNUSED_STATE;
	static const struct {
		int status;
		enum dif_class cls;
	} cases[] = {{404, DIF_PERMANENT}, {403, DIF_AUTH}, {400, DIF_PERMANENT}};
	for (size_t i = 0; i < 3; i++) {
		aws_open("container_credentials_path = /v2\n");
		expect(&(struct script_want){.method = "GET", .url = "http://169.254.170.2/v2"},
		       &(struct script_reply){
			       .status = cases[i].status,
			       .body = "{\"code\":\"NoIdInRequest\",\"message\":\"no such id\"}"});
		aws_fails(cases[i].cls, "NoIdInRequest: no such id");
	}
	aws_open("container_credentials_url = http://169.254.170.23/\n"
	         "container_token_file = /nowhere\n");
	aws_fails(DIF_AUTH, "no token file '/nowhere'");
}

/* --- instance --- */

static void expect_metadata(const char *method, const char *url, const char *field, int status,
                            const char *body)
{
	expect(&(struct script_want){.method = method, .url = url, .fields = {field}},
	       &(struct script_reply){.status = status, .body = body});
}

static void expect_metadata_token(void)
{
	expect_metadata("PUT", METADATA "api/token", "x-aws-ec2-metadata-token-ttl-seconds: *", 200,
	                "AQAEAtoken==");
}

#define WITH_TOKEN "x-aws-ec2-metadata-token: AQAEAtoken=="

TEST(an_instance_of_ec2)
{
	UNUSED_STATE;
	aws_open("");
	expect_metadata_token();
	expect_metadata("GET", METADATA_KEYS, WITH_TOKEN, 200, "site-role\nother\n");
	expect_metadata("GET", METADATA_KEYS "site-role", WITH_TOKEN, 200,
	                aws_given("ASIAEC2", ",\"Code\":\"Success\",\"Type\":\"AWS-HMAC\""));
	aws_expect_use("ASIAEC2", "token-of-ASIAEC2");
	check_ok(store_probe(st));
	for (size_t i = 0; i < 3; i++) {
		uint32_t flags = DIF_HTTP_LINK_LOCAL | DIF_HTTP_NO_PROXY;
		assert_int_equal(script_seen(s, i)->flags & flags, flags);
	}
	end();
}

static void fails_after_token(const char *url, int status, const char *body, const char *part)
{
	aws_open("");
	expect_metadata_token();
	if (strcmp(url, METADATA_KEYS) != 0) {
		expect_metadata("GET", METADATA_KEYS, WITH_TOKEN, 200, "role");
	}
	expect_metadata("GET", url, WITH_TOKEN, status, body);
	aws_fails(DIF_AUTH, part);
}

TEST(an_instance_that_gives_nothing)
{
	UNUSED_STATE;
	for (int status = 403; status <= 405; status++) {
		aws_open("");
		expect_metadata("PUT", METADATA "api/token", "!authorization", status, "");
		aws_fails(DIF_AUTH, "switched off");
	}
	fails_after_token(METADATA_KEYS, 404, "", "no role is attached");
	fails_after_token(METADATA_KEYS, 200, "\n", "no role is attached");
	fails_after_token(METADATA_KEYS "role", 200,
	                  "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"EC2 cannot\"}",
	                  "AssumeRoleUnauthorizedAccess: EC2 cannot");
	set("AWS_EC2_METADATA_DISABLED", "true");
	aws_open("");
	unsetenv("AWS_EC2_METADATA_DISABLED");
	aws_fails(DIF_AUTH, "set access_key_id and secret_access_key");
}

/* A laptop without keys must be told so, and a busy instance must not be given up at once. */
TEST(metadata_that_do_not_answer_are_asked_three_times)
{
	UNUSED_STATE;
	aws_open("ec2_metadata_endpoint = http://[fd00:ec2::254]/\n");
	for (int i = 0; i < 3; i++) {
		expect(&(struct script_want){.method = "PUT",
		                             .url = "http://[fd00:ec2::254]/latest/api/token"},
		       &(struct script_reply){.status = 0, .text = "no route to host"});
	}
	aws_fails(DIF_AUTH, "no credential was found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(garbage_is_no_credential),
		cmocka_unit_test(a_web_identity_is_shown_unsigned),
		cmocka_unit_test(a_token_that_kubernetes_projects),
		cmocka_unit_test(a_web_identity_of_the_environment_or_of_a_profile),
		cmocka_unit_test(a_web_identity_that_is_refused_or_not_there),
		cmocka_unit_test(a_container_of_ecs),
		cmocka_unit_test(a_container_of_eks_shows_the_token_of_a_file),
		cmocka_unit_test(a_container_that_gives_nothing),
		cmocka_unit_test(an_instance_of_ec2),
		cmocka_unit_test(an_instance_that_gives_nothing),
		cmocka_unit_test(metadata_that_do_not_answer_are_asked_three_times),
	};
	return cmocka_run_group_tests_name("s3_machine", tests, without_environment, NULL);
}
