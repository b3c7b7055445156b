/* s3 - the real s3.so in host/op with a scripted server: keys, profiles and roles, and when they
 * are renewed. */
#include "tests/plugin/support/s3_login.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"

#define OLD "AKIDOLDOLDOLD"

static char ini[16384];

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
	aws_open("");
	aws_expect_use("AKIDENV", "token-of-env");
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
	aws_expect_use("AKIAIOSFODNN7EXAMPLE", NULL);
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
	aws_open_files("[site]\naws_access_key_id=AKIDSITE\naws_secret_access_key=s\n", NULL,
	               "aws_profile = site\n");
	aws_expect_use("AKIDSITE", NULL);
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
		aws_open_files(cases[i].credentials, cases[i].config, cases[i].option);
		aws_expect_use(cases[i].id, cases[i].token);
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
	(void)aws_file(".aws/credentials",
	               "[default]\naws_access_key_id = AKIDHOME\naws_secret_access_key = s\n");
	set("HOME", test_folder());
	aws_open("");
	unsetenv("HOME");
	aws_expect_use("AKIDHOME", NULL);
	check_ok(store_probe(st));
	end();
}

TEST(a_key_that_was_changed_is_read_again)
{
	UNUSED_STATE;
	aws_open_files("[default]\naws_access_key_id = " OLD "\naws_secret_access_key = s\n", NULL,
	               "");
	aws_expect_use(OLD, NULL);
	check_ok(store_probe(st));
	(void)aws_file("credentials",
	               "[default]\naws_access_key_id = AKIDNEW\naws_secret_access_key = s\n");
	aws_expect_use_as(OLD, NULL,
	                  &(struct script_reply){.status = 403,
	                                         .body = ERROR("InvalidAccessKeyId", "unknown")});
	aws_expect_use("AKIDNEW", NULL);
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
		aws_open_files(NULL, cases[i].text,
		               "aws_profile = site\nec2_metadata_disabled = yes\n");
		aws_fails(DIF_AUTH, cases[i].part);
	}
}

TEST(a_file_that_others_may_write_is_not_believed)
{
	UNUSED_STATE;
	aws_open_files("[default]\naws_access_key_id = A\naws_secret_access_key = s\n", NULL, "");
	assert_int_equal(chmod(test_path("credentials"), 0622), 0);
	aws_fails(DIF_PERMANENT, "go-w");
}

/* --- roles --- */

TEST(a_role_is_assumed_with_the_keys_that_were_found)
{
	UNUSED_STATE;
	(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\nexternal_id = a b&c\n");
	begin(ini);
	aws_expect_sts(ASSUME("&ExternalId=a%20b%26c"),
	               aws_assumed("AssumeRole", "ASIAROLE", 3600));
	aws_expect_use("ASIAROLE", "token-of-ASIAROLE");
	check_ok(store_probe(st));
	check_sigv4_of(script_seen(s, 0), "us-east-1", "sts", SECRET);
	check_sigv4(script_seen(s, 1), "us-east-1", "secret-of-ASIAROLE");
	end();
}

TEST(a_role_of_a_profile_stands_on_another_profile)
{
	UNUSED_STATE;
	aws_open_files("[base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = base\n",
	               "[profile site]\nrole_arn = " ROLE "\nsource_profile = middle\n"
	               "role_session_name = me\n"
	               "[profile middle]\nrole_arn = arn:m\nsource_profile = base\n"
	               "external_id = e\n",
	               "aws_profile = site\n");
	aws_expect_sts(
		"Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Am&RoleSessionName=difusor"
		"&ExternalId=e",
		aws_assumed("AssumeRole", "ASIAMIDDLE", 3600));
	aws_expect_sts("Action=AssumeRole&Version=2011-06-15&RoleArn=" ROLE_FORM
	               "&RoleSessionName=me",
	               aws_assumed("AssumeRole", "ASIASITE", 3600));
	aws_expect_use("ASIASITE", "token-of-ASIASITE");
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
		aws_fails(DIF_AUTH, "could not log in: AccessDenied: not you");
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
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIAONE", 3600));
	aws_expect_use_as("ASIAONE", "token-of-ASIAONE", &late);
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIATWO", 7200));
	aws_expect_use("ASIAONE", "token-of-ASIAONE");
	check_ok(store_probe(st));
	aws_expect_use("ASIATWO", "token-of-ASIATWO");
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
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIAONE", 3600));
	aws_expect_use_as("ASIAONE", "token-of-ASIAONE", &late);
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIATWO", 7600));
	aws_expect_use("ASIATWO", "token-of-ASIATWO");
	check_ok(store_probe(st));
	end();
}

TEST(a_token_that_the_store_calls_expired_costs_one_login)
{
	UNUSED_STATE;
	(void)snprintf(ini, sizeof ini, INI "role_arn = " ROLE "\n");
	begin(ini);
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIAONE", 3600));
	aws_expect_use_as(
		"ASIAONE", "token-of-ASIAONE",
		&(struct script_reply){.status = 400, .body = ERROR("ExpiredToken", "expired")});
	aws_expect_sts(ASSUME(""), aws_assumed("AssumeRole", "ASIATWO", 3600));
	aws_expect_use("ASIATWO", "token-of-ASIATWO");
	check_ok(store_probe(st));
	end();
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
	};
	return cmocka_run_group_tests_name("s3_login", tests, without_environment, NULL);
}
