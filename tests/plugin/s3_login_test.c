/* s3 - the real s3.so in host/op with a scripted server: every source of a credential, and what
 * comes of good, odd and hostile answers. */
#include "tests/plugin/support/s3.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"

#define BARE "[store t]\nplugin = s3\nbucket = bucket\n"
#define STS "https://sts.us-east-1.amazonaws.com/"
#define ROLE "arn:aws:iam::123456789012:role/site"
#define ROLE_FORM "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fsite"
#define METADATA "http://169.254.169.254/latest/"
#define METADATA_KEYS METADATA "meta-data/iam/security-credentials/"
#define OLD "AKIDOLDOLDOLD"

static char ini[16384];

/* --- files --- */

static const char *file(const char *name, const char *text)
{
	const char *path = test_path(name);
	test_write(path, text, strlen(text));
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

static void open_with(const char *options)
{
	(void)snprintf(ini, sizeof ini, BARE "%s", options);
	begin(ini);
}

/* An instance that finds these two files; NULL: there is none. */
static void open_with_files(const char *credentials, const char *config, const char *options)
{
	const char *first = credentials != NULL ? file("credentials", credentials) : "/nowhere";
	const char *second = config != NULL ? file("config", config) : "/nowhere";
	(void)snprintf(ini, sizeof ini, BARE "aws_credentials_file = %s\naws_config_file = %s\n%s",
	               first, second, options);
	begin(ini);
}

/* --- the op that a credential is for --- */

static char fields[8][512];
static uint32_t nfields;

static const char *text(const char *format, const char *value)
{
	char *to = fields[nfields++ % 8];
	(void)snprintf(to, sizeof fields[0], "%.64s%.400s", format, value);
	return to;
}

/* A probe signed by id; token NULL: it has none. */
static void expect_use_as(const char *id, const char *token, const struct script_reply *reply)
{
	char who[128];
	(void)snprintf(who, sizeof who, "%s/*", id);
	const char *sent =
		token != NULL ? text("x-amz-security-token: ", token) : "!x-amz-security-token";
	expect(
		&(struct script_want){
			.method = "GET",
			.url = AT "/?*",
			.fields = {text("authorization: AWS4-HMAC-SHA256 Credential=", who), sent}},
		reply);
}

static const struct script_reply listed = {.status = 200, .body = LIST(LAST)};

static void expect_use(const char *id, const char *token)
{
	expect_use_as(id, token, &listed);
}

static void fails(enum dif_class cls, const char *part)
{
	const struct store_out *out = store_probe(st);
	check_class(out, cls);
	check_text(out, part);
	end();
}

/* --- answers --- */

/* In so many seconds from now. */
static const char *in_seconds(int64_t seconds)
{
	static char to[4][DIF_DATE_MAX];
	static uint32_t n;
	return dif_date(to[n++ % 4], DIF_DATE_ISO, dif_wall_ms() / 1000 + seconds);
}

/* kind: AssumeRole, AssumeRoleWithWebIdentity */
static const char *assumed(const char *kind, const char *id, int64_t lives)
{
	static char to[4][2048];
	static uint32_t n;
	char *at = to[n++ % 4];
	(void)snprintf(at, sizeof to[0],
	               "<%sResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><%sResult>"
	               "<AssumedRoleUser><Arn>arn:aws:sts::1:assumed-role/site/difusor</Arn>"
	               "</AssumedRoleUser><Credentials><AccessKeyId>%s</AccessKeyId>"
	               "<SecretAccessKey>secret-of-%s</SecretAccessKey>"
	               "<SessionToken>token-of-%s</SessionToken><Expiration>%s</Expiration>"
	               "</Credentials></%sResult></%sResponse>",
	               kind, kind, id, id, id, in_seconds(lives), kind, kind);
	return at;
}

static const char *given(const char *id, const char *more)
{
	static char to[2048];
	(void)snprintf(to, sizeof to,
	               "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"secret-of-%s\","
	               "\"Token\":\"token-of-%s\",\"Expiration\":\"%s\"%s}",
	               id, id, id, in_seconds(3600), more);
	return to;
}

static void expect_sts(const char *form, const char *body)
{
	expect(&(struct script_want){.method = "POST",
	                             .url = STS,
	                             .fields = {"content-type: application/x-www-form-urlencoded"},
	                             .body = form},
	       &(struct script_reply){.status = 200, .body = body});
}

#define ASSUME(more) \
	"Action=AssumeRole&Version=2011-06-15&RoleArn=" ROLE_FORM "&RoleSessionName=difusor" more

/* --- keys --- */

static void set(const char *name, const char *value)
{
	assert_int_equal(setenv(name, value, 1), 0);
}

static void unset_keys(void)
{
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
}

TEST(keys_of_the_environment)
{
	UNUSED_STATE;
	set("AWS_ACCESS_KEY_ID", "AKIDENV");
	set("AWS_SECRET_ACCESS_KEY", "secret-of-env");
	set("AWS_SESSION_TOKEN", "token-of-env");
	open_with("");
	expect_use("AKIDENV", "token-of-env");
	check_ok(store_probe(st));
	check_sigv4(script_seen(s, 0), "us-east-1", "secret-of-env");
	end();
	unset_keys();
}

TEST(a_token_of_the_environment_is_not_sent_with_a_key_of_the_section)
{
	UNUSED_STATE;
	set("AWS_SESSION_TOKEN", "token-of-env");
	begin(INI);
	expect_use("AKIAIOSFODNN7EXAMPLE", NULL);
	check_ok(store_probe(st));
	check_signature(0);
	end();
	unset_keys();
}

TEST(a_profile_of_the_section_goes_before_keys_of_the_environment)
{
	UNUSED_STATE;
	set("AWS_ACCESS_KEY_ID", "AKIDENV");
	set("AWS_SECRET_ACCESS_KEY", "secret-of-env");
	open_with_files("[site]\naws_access_key_id=AKIDSITE\naws_secret_access_key=s\n", NULL,
	                "aws_profile = site\n");
	expect_use("AKIDSITE", NULL);
	check_ok(store_probe(st));
	end();
	unset_keys();
}

TEST(what_cannot_work_is_refused_when_it_opens)
{
	UNUSED_STATE;
	check_refused(BARE "secret_access_key = b\n", "go together");
	check_refused(BARE "session_token = c\n", "session_token");
	check_refused(BARE "web_identity_token_file = /t\n", "web_identity_role_arn");
	check_refused(BARE "web_identity_role_arn = " ROLE "\n", "AWS_WEB_IDENTITY_TOKEN_FILE");
	check_refused(INI "external_id = x\n", "role_arn");
	check_refused(BARE "container_credentials_path = v2\n", "begin with '/'");
	check_refused(INI "sts_endpoint = https://:1\n", "sts_endpoint");
}

/* --- profiles --- */

TEST(a_profile_is_read_as_amazons_tools_read_it)
{
	UNUSED_STATE;
	static const struct {
		const char *credentials, *config, *option, *id, *token;
	} cases[] = {
		{"[default]\naws_access_key_id = AKIDDEFAULT\naws_secret_access_key = s\n", NULL,
	         "", "AKIDDEFAULT", NULL},
		{"# mine\r\n; too\r\n\r\n[ site ]\r\nAWS_ACCESS_KEY_ID=AKIDSITE\r\n"
	         "aws_secret_access_key=a=b#c\r\naws_session_token=T\r\n[other]\r\n"
	         "aws_access_key_id=AKIDOTHER\r\n",
	         NULL, "aws_profile = site\n", "AKIDSITE", "T"},
		{NULL,
	         "[profile site]\nregion = eu-west-1\ns3 =\n  aws_access_key_id = AKIDNESTED\n"
	         "  signature_version = s3v4\nec2 =\n  signature_version = v4\n"
	         "aws_access_key_id = AKIDCONFIG\naws_secret_access_key = s\n",
	         "aws_profile = site\n", "AKIDCONFIG", NULL},
		{"[site]\naws_access_key_id = AKIDFIRST\naws_secret_access_key = s\n",
	         "[profile site]\naws_access_key_id = AKIDCONFIG\naws_secret_access_key = s\n"
	         "[site]\naws_access_key_id = AKIDBARE\n",
	         "aws_profile = site\n", "AKIDFIRST", NULL},
		{"no section\n[\n[unclosed\n[site]\n=\nx\naws_access_key_id = AKIDODD\n"
	         "aws_secret_access_key = s",
	         NULL, "aws_profile = site\n", "AKIDODD", NULL},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_with_files(cases[i].credentials, cases[i].config, cases[i].option);
		expect_use(cases[i].id, cases[i].token);
		check_ok(store_probe(st));
		end();
	}
}

TEST(a_profile_below_home)
{
	UNUSED_STATE;
	char folder[4096];
	(void)snprintf(folder, sizeof folder, "%s/.aws", test_folder());
	assert_int_equal(mkdir(folder, 0700), 0);
	(void)file(".aws/credentials",
	           "[default]\naws_access_key_id = AKIDHOME\naws_secret_access_key = s\n");
	set("HOME", test_folder());
	open_with("");
	unsetenv("HOME");
	expect_use("AKIDHOME", NULL);
	check_ok(store_probe(st));
	end();
}

TEST(a_key_that_was_changed_is_read_again)
{
	UNUSED_STATE;
	open_with_files("[default]\naws_access_key_id = " OLD "\naws_secret_access_key = s\n", NULL,
	                "");
	expect_use(OLD, NULL);
	check_ok(store_probe(st));
	(void)file("credentials",
	           "[default]\naws_access_key_id = AKIDNEW\naws_secret_access_key = s\n");
	expect_use_as(OLD, NULL,
	              &(struct script_reply){.status = 403,
	                                     .body = ERROR("InvalidAccessKeyId", "unknown")});
	expect_use("AKIDNEW", NULL);
	check_ok(store_probe(st));
	end();
}

TEST(a_profile_that_gives_no_key_says_why)
{
	UNUSED_STATE;
	static const struct {
		const char *text, *part;
	} cases[] = {
		{"[profile site]\ncredential_process = /bin/touch /tmp/ran\n", "is not run"},
		{"[profile site]\nsso_session = me\n", "sso_session"},
		{"[profile site]\nsso_account_id = 1\n", "sso_account_id"},
		{"[profile site]\nrole_arn = r\nsource_profile = b\nmfa_serial = 1\n",
	         "mfa_serial"},
		{"[profile site]\naws_access_key_id = A\n", "only one of"},
		{"[profile other]\nregion = x\n", "no profile 'site'"},
		{"[profile site]\nrole_arn = r\n", "neither source_profile"},
		{"[profile site]\nrole_arn = r\ncredential_source = Environment\n",
	         "EcsContainer or Ec2InstanceMetadata"},
		{"[profile site]\nrole_arn = r\nsource_profile = none\n", "no profile 'none'"},
		{"[profile site]\nrole_arn = r\nsource_profile = site\n", "no keys"},
		{"[profile site]\nrole_arn = r\nsource_profile = b\n"
	         "[profile b]\nrole_arn = r\nsource_profile = site\n",
	         "lead to each other"},
		{"[profile site]\nrole_arn = r\ncredential_source = EcsContainer\n",
	         "container_credentials_url"},
		{"[profile site]\nregion = x\n", "no credential was found"},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		open_with_files(NULL, cases[i].text,
		                "aws_profile = site\nec2_metadata_disabled = yes\n");
		fails(DIF_AUTH, cases[i].part);
	}
}

TEST(a_file_that_others_may_write_is_not_believed)
{
	UNUSED_STATE;
	open_with_files("[default]\naws_access_key_id = A\naws_secret_access_key = s\n", NULL, "");
	assert_int_equal(chmod(test_path("credentials"), 0622), 0);
	fails(DIF_PERMANENT, "go-w");
}

/* --- roles --- */

TEST(a_role_is_assumed_with_the_keys_that_were_found)
{
	UNUSED_STATE;
	(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\nexternal_id = a b&c\n");
	begin(ini);
	expect_sts(ASSUME("&ExternalId=a%20b%26c"), assumed("AssumeRole", "ASIAROLE", 3600));
	expect_use("ASIAROLE", "token-of-ASIAROLE");
	check_ok(store_probe(st));
	check_sigv4_of(script_seen(s, 0), "us-east-1", "sts", SECRET);
	check_sigv4(script_seen(s, 1), "us-east-1", "secret-of-ASIAROLE");
	end();
}

TEST(a_role_of_a_profile_stands_on_another_profile)
{
	UNUSED_STATE;
	open_with_files("[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base\n",
	                "[profile site]\nrole_arn = " ROLE "\nsource_profile = middle\n"
	                "role_session_name = me\n"
	                "[profile middle]\nrole_arn = arn:m\nsource_profile = base\n"
	                "external_id = e\n",
	                "aws_profile = site\n");
	expect_sts("Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Am&RoleSessionName=difusor"
	           "&ExternalId=e",
	           assumed("AssumeRole", "ASIAMIDDLE", 3600));
	expect_sts("Action=AssumeRole&Version=2011-06-15&RoleArn=" ROLE_FORM "&RoleSessionName=me",
	           assumed("AssumeRole", "ASIASITE", 3600));
	expect_use("ASIASITE", "token-of-ASIASITE");
	check_ok(store_probe(st));
	check_sigv4_of(script_seen(s, 0), "us-east-1", "sts", "base");
	check_sigv4_of(script_seen(s, 1), "us-east-1", "sts", "secret-of-ASIAMIDDLE");
	assert_string_equal(script_header(s, 1, "x-amz-security-token"), "token-of-ASIAMIDDLE");
	end();
}

TEST(where_roles_are_asked_of)
{
	UNUSED_STATE;
	static const char *const cases[][2] = {
		{"region = cn-north-1\n", "https://sts.cn-north-1.amazonaws.com.cn/"},
		{"sts_endpoint = https://sts.example:443/\n", "https://sts.example/"},
		{"sts_endpoint = https://h.example:8443/base/\n", "https://h.example:8443/base/"},
	};
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\n%s", cases[i][0]);
		begin(ini);
		expect(&(struct script_want){.method = "POST", .url = cases[i][1]},
		       &(struct script_reply){
			       .status = 403,
			       .body = "<ErrorResponse><Error><Type>Sender</Type>"
				       "<Code>AccessDenied</Code><Message>not you</Message>"
				       "</Error></ErrorResponse>"});
		fails(DIF_AUTH, "could not log in: AccessDenied: not you");
	}
}

/* The peer's date tells that time has passed. */
static void pass(int64_t seconds, struct script_reply *reply, char date[64])
{
	(void)snprintf(date, 64, "date: ");
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000 + seconds);
	*reply = (struct script_reply){
		.status = 403, .fields = {date}, .body = ERROR("RequestTimeTooSkewed", "late")};
}

TEST(a_role_is_renewed_while_the_old_key_serves)
{
	UNUSED_STATE;
	char date[64];
	struct script_reply late;
	pass(3000, &late, date); /* 600 s are left, less than 15 minutes */
	(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\n");
	begin(ini);
	script_any_order(s);
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIAONE", 3600));
	expect_use_as("ASIAONE", "token-of-ASIAONE", &late);
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIATWO", 7200));
	expect_use("ASIAONE", "token-of-ASIAONE");
	check_ok(store_probe(st));
	expect_use("ASIATWO", "token-of-ASIATWO");
	check_ok(store_probe(st));
	end();
}

TEST(a_key_that_has_ended_is_not_used)
{
	UNUSED_STATE;
	char date[64];
	struct script_reply late;
	pass(4000, &late, date);
	(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\n");
	begin(ini);
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIAONE", 3600));
	expect_use_as("ASIAONE", "token-of-ASIAONE", &late);
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIATWO", 7600));
	expect_use("ASIATWO", "token-of-ASIATWO");
	check_ok(store_probe(st));
	end();
}

TEST(a_token_that_the_store_calls_expired_costs_one_login)
{
	UNUSED_STATE;
	(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\n");
	begin(ini);
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIAONE", 3600));
	expect_use_as(
		"ASIAONE", "token-of-ASIAONE",
		&(struct script_reply){.status = 400, .body = ERROR("ExpiredToken", "expired")});
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIATWO", 3600));
	expect_use("ASIATWO", "token-of-ASIATWO");
	check_ok(store_probe(st));
	end();
}

/* --- answers that are none --- */

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)seen;
	*reply = (struct script_reply){.status = 200, .body = data};
}

static void check_garbage(const char *options, const char *reply)
{
	open_with(options);
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
		"{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"b\",\"Token\":\"c\","
		"\"Expiration\":\"soon\"}"};
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
	               token != NULL ? file("token", token) : "/nowhere");
	open_with(options);
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
		       .body = assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600)});
	expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	/* the cluster replaces the file now and then */
	(void)file("token", "eyJ.second");
	expect_use_as(
		"ASIAWEB", "token-of-ASIAWEB",
		&(struct script_reply){.status = 400, .body = ERROR("ExpiredToken", "expired")});
	expect_sts(WEB "eyJ.second", assumed("AssumeRoleWithWebIdentity", "ASIANEXT", 3600));
	expect_use("ASIANEXT", "token-of-ASIANEXT");
	check_ok(store_probe(st));
	end();
}

TEST(a_web_identity_of_the_environment_or_of_a_profile)
{
	UNUSED_STATE;
	const char *path = file("token", "eyJ");
	set("AWS_ROLE_ARN", ROLE);
	set("AWS_WEB_IDENTITY_TOKEN_FILE", path);
	open_with("");
	unsetenv("AWS_ROLE_ARN");
	unsetenv("AWS_WEB_IDENTITY_TOKEN_FILE");
	expect_sts(WEB "eyJ", assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600));
	expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	end();
	char config[4096];
	(void)snprintf(config, sizeof config,
	               "[default]\nrole_arn = " ROLE "\nweb_identity_token_file = %s\n", path);
	open_with_files(NULL, config, "");
	expect_sts(WEB "eyJ", assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600));
	expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	end();
}

TEST(a_web_identity_that_is_refused_or_not_there)
{
	UNUSED_STATE;
	open_web(NULL);
	fails(DIF_AUTH, "no token file '/nowhere'");
	open_web(" \n");
	fails(DIF_AUTH, "is empty");
	open_web("eyJ");
	expect(&(struct script_want){.method = "POST", .url = STS},
	       &(struct script_reply){
		       .status = 400,
		       .body = "<ErrorResponse><Error><Code>ExpiredTokenException</Code>"
			       "<Message>Token expired</Message></Error></ErrorResponse>"});
	fails(DIF_AUTH, "ExpiredTokenException: Token expired");
	open_web("eyJ");
	expect(&(struct script_want){.method = "POST", .url = STS},
	       &(struct script_reply){
		       .status = 400,
		       .body = "<ErrorResponse><Error><Code>IDPCommunicationError</Code>"
			       "<Message>try again</Message></Error></ErrorResponse>"});
	expect_sts(WEB "eyJ", assumed("AssumeRoleWithWebIdentity", "ASIAWEB", 3600));
	expect_use("ASIAWEB", "token-of-ASIAWEB");
	check_ok(store_probe(st));
	end();
}

/* --- container --- */

TEST(a_container_of_ecs)
{
	UNUSED_STATE;
	open_with("container_credentials_path = /v2/credentials/7?id=1\n");
	expect(&(struct script_want){.method = "GET",
	                             .url = "http://169.254.170.2/v2/credentials/7?id=1",
	                             .fields = {"!authorization"}},
	       &(struct script_reply){.status = 200, .body = given("ASIAECS", "")});
	expect_use("ASIAECS", "token-of-ASIAECS");
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
	               file("pod", "eyJ.pod\n"));
	open_with(options);
	expect(&(struct script_want){.method = "GET",
	                             .url = "http://169.254.170.23/v1/credentials",
	                             .fields = {"authorization: eyJ.pod"}},
	       &(struct script_reply){.status = 200, .body = given("ASIAEKS", "")});
	expect_use("ASIAEKS", "token-of-ASIAEKS");
	check_ok(store_probe(st));
	end();
	open_with("container_credentials_url = https://keys.example/v1\ncontainer_token = t\n"
	          "role_arn = " ROLE "\n");
	expect(&(struct script_want){.method = "GET",
	                             .url = "https://keys.example/v1",
	                             .fields = {"authorization: t"}},
	       &(struct script_reply){.status = 200, .body = given("ASIAURL", "")});
	expect_sts(ASSUME(""), assumed("AssumeRole", "ASIAROLE", 3600));
	expect_use("ASIAROLE", "token-of-ASIAROLE");
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
		open_with("container_credentials_path = /v2\n");
		expect(&(struct script_want){.method = "GET", .url = "http://169.254.170.2/v2"},
		       &(struct script_reply){
			       .status = cases[i].status,
			       .body = "{\"code\":\"NoIdInRequest\",\"message\":\"no such id\"}"});
		fails(cases[i].cls, "NoIdInRequest: no such id");
	}
	open_with("container_credentials_url = http://169.254.170.23/\n"
	          "container_token_file = /nowhere\n");
	fails(DIF_AUTH, "no token file '/nowhere'");
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
	open_with("");
	expect_metadata_token();
	expect_metadata("GET", METADATA_KEYS, WITH_TOKEN, 200, "site-role\nother\n");
	expect_metadata("GET", METADATA_KEYS "site-role", WITH_TOKEN, 200,
	                given("ASIAEC2", ",\"Code\":\"Success\",\"Type\":\"AWS-HMAC\""));
	expect_use("ASIAEC2", "token-of-ASIAEC2");
	check_ok(store_probe(st));
	for (size_t i = 0; i < 3; i++) {
		uint32_t flags = DIF_HTTP_LINK_LOCAL | DIF_HTTP_NO_PROXY;
		assert_int_equal(script_seen(s, i)->flags & flags, flags);
	}
	end();
}

static void fails_after_token(const char *url, int status, const char *body, const char *part)
{
	open_with("");
	expect_metadata_token();
	if (strcmp(url, METADATA_KEYS) != 0) {
		expect_metadata("GET", METADATA_KEYS, WITH_TOKEN, 200, "role");
	}
	expect_metadata("GET", url, WITH_TOKEN, status, body);
	fails(DIF_AUTH, part);
}

TEST(an_instance_that_gives_nothing)
{
	UNUSED_STATE;
	for (int status = 403; status <= 405; status++) {
		open_with("");
		expect_metadata("PUT", METADATA "api/token", "!authorization", status, "");
		fails(DIF_AUTH, "switched off");
	}
	fails_after_token(METADATA_KEYS, 404, "", "no role is attached");
	fails_after_token(METADATA_KEYS, 200, "\n", "no role is attached");
	fails_after_token(METADATA_KEYS "role", 200,
	                  "{\"Code\":\"AssumeRoleUnauthorizedAccess\",\"Message\":\"EC2 cannot\"}",
	                  "AssumeRoleUnauthorizedAccess: EC2 cannot");
	set("AWS_EC2_METADATA_DISABLED", "true");
	open_with("");
	unsetenv("AWS_EC2_METADATA_DISABLED");
	fails(DIF_AUTH, "set access_key_id and secret_access_key");
}

/* A laptop without keys must be told so, and a busy instance must not be given up at once. */
TEST(metadata_that_do_not_answer_are_asked_three_times)
{
	UNUSED_STATE;
	open_with("ec2_metadata_endpoint = http://[fd00:ec2::254]/\n");
	for (int i = 0; i < 3; i++) {
		expect(&(struct script_want){.method = "PUT",
		                             .url = "http://[fd00:ec2::254]/latest/api/token"},
		       &(struct script_reply){.status = 0, .text = "no route to host"});
	}
	fails(DIF_AUTH, "no credential was found");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_of_the_environment),
		cmocka_unit_test(a_token_of_the_environment_is_not_sent_with_a_key_of_the_section),
		cmocka_unit_test(a_profile_of_the_section_goes_before_keys_of_the_environment),
		cmocka_unit_test(what_cannot_work_is_refused_when_it_opens),
		cmocka_unit_test(a_profile_is_read_as_amazons_tools_read_it),
		cmocka_unit_test(a_profile_below_home),
		cmocka_unit_test(a_key_that_was_changed_is_read_again),
		cmocka_unit_test(a_profile_that_gives_no_key_says_why),
		cmocka_unit_test(a_file_that_others_may_write_is_not_believed),
		cmocka_unit_test(a_role_is_assumed_with_the_keys_that_were_found),
		cmocka_unit_test(a_role_of_a_profile_stands_on_another_profile),
		cmocka_unit_test(where_roles_are_asked_of),
		cmocka_unit_test(a_role_is_renewed_while_the_old_key_serves),
		cmocka_unit_test(a_key_that_has_ended_is_not_used),
		cmocka_unit_test(a_token_that_the_store_calls_expired_costs_one_login),
		cmocka_unit_test(garbage_is_no_credential),
		cmocka_unit_test(a_web_identity_is_shown_unsigned),
		cmocka_unit_test(a_web_identity_of_the_environment_or_of_a_profile),
		cmocka_unit_test(a_web_identity_that_is_refused_or_not_there),
		cmocka_unit_test(a_container_of_ecs),
		cmocka_unit_test(a_container_of_eks_shows_the_token_of_a_file),
		cmocka_unit_test(a_container_that_gives_nothing),
		cmocka_unit_test(an_instance_of_ec2),
		cmocka_unit_test(an_instance_that_gives_nothing),
		cmocka_unit_test(metadata_that_do_not_answer_are_asked_three_times),
	};
	return cmocka_run_group_tests_name("s3_login", tests, without_environment, NULL);
}
