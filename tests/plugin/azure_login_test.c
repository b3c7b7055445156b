/* azure_login - the real azure.so in host/op with a scripted server: every way to be let in, which
 * one counts, and what comes of good, odd and hostile answers. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/plugin/support/azure.h"

#include "base/clock.h"
#include "base/parse.h"

#define TENANT "ab1f708d-50f6-404c-a006-d71b2ac7a606"
#define TOKEN_URL "https://login.microsoftonline.com/" TENANT "/oauth2/v2.0/token"
#define PROBE AT "?comp=list&maxresults=1&restype=container"
#define SECRET "s3cr3t~of+the/app"
#define APP SECTION "account = acct\ntenant_id = " TENANT "\nclient_id = app-1\n"
#define BY_SECRET APP "client_secret = " SECRET "\n"
#define MANAGED SECTION "account = acct\ncredential = managed_identity\n"
#define SAS "sv=2022-11-02&ss=b&srt=co&sp=rcwdl&se=2031-01-01T00%3A00%3A00Z&sig=aBcDeFgHi%3D"
#define TOKEN(token) \
	"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"" token "\"}"
#define FORM                                                                                      \
	"grant_type=client_credentials&client_id=app-1&scope=https%3A%2F%2Fstorage.azure.com%2F." \
	"default&"

static void expect_login(const char *url, const char *form, const struct script_reply *reply)
{
	azure_expect(&(struct script_want){.method = "POST",
	                                   .url = url,
	                                   .fields = {"content-type: "
	                                              "application/x-www-form-urlencoded",
	                                              "!authorization"},
	                                   .body = form},
	             reply);
}

static void expect_token(const char *body)
{
	expect_login(TOKEN_URL, NULL, &(struct script_reply){.status = 200, .body = body});
}

/* The op that the credential is for. */
static void expect_use(const char *url, const char *field)
{
	azure_expect(&(struct script_want){.method = "GET", .url = url, .fields = {field}},
	             &(struct script_reply){.status = 200, .body = LIST("", "")});
}

static const struct store_out *fails(enum dif_class cls, const char *text)
{
	const struct store_out *out = store_probe(st);
	check_class(out, cls);
	check_text(out, text);
	return out;
}

/* --- a shared access signature --- */

TEST(a_signature_goes_along_with_every_request)
{
	UNUSED_STATE;
	azure_begin(SECTION "account = acct\nsas_token = ?" SAS "\n");
	expect_use(PROBE "&" SAS, "!authorization");
	check_ok(store_probe(st));
	azure_expect(
		&(struct script_want){.method = "HEAD", .url = AT "/a%20b?" SAS},
		&(struct script_reply){.status = 404, .fields = {"x-ms-error-code: BlobNotFound"}});
	check_class(store_head(st, &(struct dif_get){.key = "a b"}), DIF_NOT_FOUND);
	azure_end();
}

TEST(a_signature_of_a_connection_string)
{
	UNUSED_STATE;
	azure_begin(SECTION "connection_string = BlobEndpoint=https://b.example/;"
	                    "QueueEndpoint=https://q.example/;SharedAccessSignature=" SAS "\n");
	expect_use("https://b.example/site?comp=list&maxresults=1&restype=container&" SAS,
	           "!authorization");
	check_ok(store_probe(st));
	azure_end();
	azure_begin(SECTION "connection_string = AccountName=acct;SharedAccessSignature=" SAS "\n");
	expect_use(PROBE "&" SAS, "!authorization");
	check_ok(store_probe(st));
	azure_end();
}

TEST(nothing_is_sent_with_a_signature_that_has_ended)
{
	UNUSED_STATE;
	azure_begin(SECTION "account = acct\nsas_token = se=2024-01-02T03%3A04%3A05Z&sig=abc\n");
	fails(DIF_AUTH, "ended on 2024-01-02T03:04:05Z");
	assert_int_equal(script_count(s), 0);
	azure_end();
}

TEST(a_signature_without_an_end_is_of_a_policy)
{
	UNUSED_STATE;
	azure_begin(SECTION "account = acct\nsas_token = si=policy&sig=abc\n");
	expect_use(PROBE "&si=policy&sig=abc", "!authorization");
	check_ok(store_probe(st));
	azure_end();
}

TEST(a_refused_signature_says_what_it_needs_and_is_not_seen)
{
	UNUSED_STATE;
	azure_begin(SECTION "account = acct\nsas_token = " SAS "\n");
	for (int i = 0; i < 2; i++) {
		azure_expect(
			&(struct script_want){.url = PROBE "&" SAS},
			&(struct script_reply){.status = 403,
		                               .body = ERROR("AuthorizationPermissionMismatch")});
	}
	fails(DIF_AUTH, "sp=rcwdl");
	for (int i = 0; i < 2; i++) {
		azure_expect(&(struct script_want){.url = PROBE "&" SAS},
		             &(struct script_reply){
				     .status = 403,
				     .body = "<Error><Code>X</Code><Message>not aBcDeFgHi%3D nor "
					     "aBcDeFgHi=</Message></Error>"});
	}
	assert_null(strstr(fails(DIF_AUTH, "***")->err.text, "aBcDeFgHi"));
	azure_end();
}

/* --- an application's secret --- */

TEST(a_secret_becomes_a_token_for_all_that_follows)
{
	UNUSED_STATE;
	azure_begin(BY_SECRET);
	expect_login(TOKEN_URL, FORM "client_secret=s3cr3t~of%2Bthe%2Fapp",
	             &(struct script_reply){.status = 200, .body = TOKEN("eyJ.token-1")});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	azure_expect(&(struct script_want){.method = "HEAD",
	                                   .url = AT "/k",
	                                   .fields = {"authorization: Bearer eyJ.token-1",
	                                              "x-ms-version: 2021-12-02", "x-ms-date: *"}},
	             &(struct script_reply){.status = 404});
	check_class(store_head(st, &(struct dif_get){.key = "k"}), DIF_NOT_FOUND);
	azure_end();
}

TEST(the_secret_goes_to_the_authority_alone)
{
	UNUSED_STATE;
	azure_begin(BY_SECRET "authority = https://login.microsoftonline.us/\n"
	                      "endpoint = https://acct.blob.core.usgovcloudapi.net\n");
	expect_login("https://login.microsoftonline.us/" TENANT "/oauth2/v2.0/token", FORM "*",
	             &(struct script_reply){
			     .status = 302,
			     .fields = {"location: https://evil.example/"},
			     .body = "{\"authorization_uri\":\"https://evil.example/\"}"});
	check_class(store_probe(st), DIF_PERMANENT);
	const char *const *hosts = script_seen(s, 0)->policy->hosts;
	assert_string_equal(hosts[0], "acct.blob.core.usgovcloudapi.net");
	assert_string_equal(hosts[1], "login.microsoftonline.us");
	assert_null(hosts[2]);
	azure_end();
}

TEST(a_challenge_is_answered_with_one_new_token)
{
	UNUSED_STATE;
	static const struct script_reply challenge = {
		.status = 401,
		.fields = {"x-ms-error-code: InvalidAuthenticationInfo",
	                   "www-authenticate: Bearer "
	                   "authorization_uri=https://evil.example/t/oauth2/authorize "
	                   "resource_id=https://storage.azure.com"}};
	azure_begin(BY_SECRET);
	expect_token(TOKEN("eyJ.token-1"));
	azure_expect(&(struct script_want){.fields = {"authorization: Bearer eyJ.token-1"}},
	             &challenge);
	expect_token(TOKEN("eyJ.token-2"));
	expect_use(PROBE, "authorization: Bearer eyJ.token-2");
	check_ok(store_probe(st));

	azure_expect(&(struct script_want){.fields = {"authorization: Bearer eyJ.token-2"}},
	             &challenge);
	expect_token(TOKEN("eyJ.token-3"));
	azure_expect(&(struct script_want){.fields = {"authorization: Bearer eyJ.token-3"}},
	             &challenge);
	check_class(store_probe(st), DIF_AUTH);
	azure_end();
}

/* 90 s are left by the server's clock, and tokens are renewed 5 min before they end. */
TEST(a_token_is_renewed_while_it_still_serves)
{
	UNUSED_STATE;
	char date[64] = "date: ";
	azure_begin(BY_SECRET);
	script_any_order(s);
	expect_token(TOKEN("eyJ.token-1"));
	dif_date(date + 6, DIF_DATE_HTTP, dif_wall_ms() / 1000 + 3509);
	azure_expect(&(struct script_want){.method = "GET",
	                                   .fields = {"authorization: Bearer eyJ.token-1"}},
	             &(struct script_reply){.status = 403, .fields = {date}});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	expect_token(TOKEN("eyJ.token-2"));
	check_ok(store_probe(st));
	while (script_count(s) < 4) {
		(void)uv_run(&st->engine->loop, UV_RUN_ONCE);
	}
	expect_use(PROBE, "authorization: Bearer eyJ.token-2");
	check_ok(store_probe(st));
	azure_end();
}

TEST(a_refused_secret_is_told_and_not_seen)
{
	UNUSED_STATE;
	azure_begin(BY_SECRET);
	expect_login(TOKEN_URL, NULL,
	             &(struct script_reply){
			     .status = 401,
			     .body = "{\"error\":\"invalid_client\",\"error_description\":"
				     "\"AADSTS7000215: Invalid client secret " SECRET
				     " provided.\\r\\nTrace ID: 7 Timestamp: 8\","
				     "\"error_codes\":[7000215]}"});
	const struct store_out *out = fails(DIF_AUTH, "AADSTS7000215: Invalid client secret");
	assert_string_equal(out->err.code, "invalid_client");
	assert_null(strstr(out->err.text, "Trace"));
	assert_null(strstr(out->err.text, "s3cr3t"));
	azure_end();
}

TEST(a_token_service_that_is_not_there_is_no_missing_blob)
{
	UNUSED_STATE;
	static const int none[] = {404, 409, 410, 412};
	for (size_t i = 0; i < DIF_LEN(none); i++) {
		azure_begin(BY_SECRET);
		expect_login(TOKEN_URL, NULL, &(struct script_reply){.status = none[i]});
		struct dif_get in = {.key = "k"};
		check_class(store_head(st, &in), DIF_PERMANENT);
		azure_end();
	}
}

TEST(a_busy_token_service_is_waited_out)
{
	UNUSED_STATE;
	azure_begin(BY_SECRET);
	expect_login(TOKEN_URL, NULL,
	             &(struct script_reply){.status = 429, .fields = {"retry-after: 0"}});
	expect_login(TOKEN_URL, NULL,
	             &(struct script_reply){.status = 400,
	                                    .fields = {"retry-after: 0"},
	                                    .body = "{\"error\":\"temporarily_unavailable\"}"});
	expect_token(TOKEN("eyJ.token-1"));
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	azure_end();
}

/* --- odd answers --- */

static void odd(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	assert_string_equal(seen->url, TOKEN_URL); /* nothing is asked with no token */
	*reply = *(const struct script_reply *)data;
}

TEST(no_odd_answer_is_a_token)
{
	UNUSED_STATE;
	static struct script_reply answers[] = {
		{.status = 200, .body = ""},
		{.status = 200, .body = "<html>"},
		{.status = 200, .body = "[]"},
		{.status = 200, .body = "{\"token_type\":\"Bearer\",\"expires_in\":3599}"},
		{.status = 200, .body = "{\"expires_in\":3599,\"access_token\":\"a\"}"},
		{.status = 200,
	         .body = "{\"token_type\":\"mac\",\"expires_in\":3599,\"access_token\":\"a\"}"},
		{.status = 200, .body = "{\"token_type\":\"Bearer\",\"access_token\":\"a\"}"},
		{.status = 200,
	         .body = "{\"token_type\":\"Bearer\",\"expires_in\":\"soon\","
	                 "\"access_token\":\"a\"}"},
		{.status = 200,
	         .body = "{\"token_type\":\"Bearer\",\"expires_in\":99999999,"
	                 "\"access_token\":\"a\"}"},
		{.status = 200,
	         .body = "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":7}x"},
		{.status = 500, .body = "x"},
		{.status = 302, .fields = {"location: https://evil.example/"}},
	};
	for (size_t i = 0; i < DIF_LEN(answers); i++) {
		azure_begin(BY_SECRET);
		st->deadline_ms = 200;
		script_answer(s, odd, &answers[i]);
		assert_int_not_equal(store_probe(st)->err.cls, DIF_OK);
		azure_end();
	}
}

TEST(an_answer_cut_at_any_byte_is_no_token)
{
	UNUSED_STATE;
	static const char whole[] = TOKEN("eyJ.token-1");
	char cut[sizeof whole];
	for (size_t n = 0; n < strlen(whole); n++) {
		struct script_reply reply = {.status = 200, .body = cut};
		(void)snprintf(cut, sizeof cut, "%.*s", (int)n, whole);
		azure_begin(BY_SECRET);
		st->deadline_ms = 20;
		script_answer(s, odd, &reply);
		assert_int_not_equal(store_probe(st)->err.cls, DIF_OK);
		azure_end();
	}
}

TEST(a_token_that_no_header_can_hold_is_not_sent)
{
	UNUSED_STATE;
	azure_begin(BY_SECRET);
	expect_token(TOKEN("a\\r\\nx-ms-meta-a: 1"));
	check_class(store_probe(st), DIF_PERMANENT);
	azure_end();
}

/* --- a workload's federated token --- */

#define ASSERTION                                                                           \
	FORM "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A" \
	     "jwt-bearer&client_assertion="

/* Behind a link, as clusters keep it. */
static void keep(const char *token)
{
	const char *path = test_path("federated-1");
	test_write(path, token, strlen(token));
	assert_int_equal(chmod(path, 0600), 0);
	(void)unlink(test_path("federated"));
	assert_int_equal(symlink("federated-1", test_path("federated")), 0);
}

static void begin_workload(void)
{
	char ini[4096];
	(void)snprintf(ini, sizeof ini, APP "federated_token_file = %s\n", test_path("federated"));
	azure_begin(ini);
}

TEST(the_file_of_a_workload_is_read_anew_for_each_token)
{
	UNUSED_STATE;
	keep("eyJ.of-the.cluster\n");
	begin_workload();
	expect_login(TOKEN_URL, ASSERTION "eyJ.of-the.cluster",
	             &(struct script_reply){.status = 200, .body = TOKEN("eyJ.token-1")});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	keep("eyJ.a-newer.one");
	azure_expect(&(struct script_want){.fields = {"authorization: Bearer eyJ.token-1"}},
	             &(struct script_reply){.status = 401});
	expect_login(TOKEN_URL, ASSERTION "eyJ.a-newer.one",
	             &(struct script_reply){.status = 200, .body = TOKEN("eyJ.token-2")});
	expect_use(PROBE, "authorization: Bearer eyJ.token-2");
	check_ok(store_probe(st));
	azure_end();
}

TEST(a_workload_without_a_token_says_so)
{
	UNUSED_STATE;
	(void)unlink(test_path("federated"));
	begin_workload();
	fails(DIF_PERMANENT, "service account");
	azure_end();
	keep("\n");
	begin_workload();
	fails(DIF_PERMANENT, "no token in federated_token_file");
	azure_end();
	keep("eyJ.of-the.cluster");
	begin_workload();
	expect_login(TOKEN_URL, ASSERTION "eyJ.of-the.cluster",
	             &(struct script_reply){
			     .status = 400,
			     .body = "{\"error\":\"invalid_request\",\"error_description\":"
				     "\"AADSTS700211: No matching federated identity record found "
				     "for eyJ.of-the.cluster\"}"});
	const char *text = fails(DIF_AUTH, "AADSTS700211")->err.text;
	assert_null(strstr(text, "Trace"));
	assert_null(strstr(text, "of-the.cluster")); /* the token that it was sent */
	azure_end();
}

/* --- a machine's managed identity --- */

#define IMDS                                                                           \
	"http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01" \
	"&resource=https%3A%2F%2Fstorage.azure.com%2F"
#define IMDS_TOKEN                                                                        \
	"{\"access_token\":\"eyJ.token-1\",\"client_id\":\"c\",\"expires_in\":\"86399\"," \
	"\"expires_on\":\"1924992000\",\"token_type\":\"Bearer\"}"

static void expect_machine(const char *url, const char *field, const struct script_reply *reply)
{
	azure_expect(&(struct script_want){.method = "GET",
	                                   .url = url,
	                                   .fields = {field, "!authorization"}},
	             reply);
}

TEST(a_virtual_machine_asks_its_metadata_service)
{
	UNUSED_STATE;
	azure_begin(MANAGED);
	expect_machine(IMDS, "metadata: true",
	               &(struct script_reply){.status = 200, .body = IMDS_TOKEN});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	assert_int_equal(script_seen(s, 0)->flags, DIF_HTTP_LINK_LOCAL | DIF_HTTP_NO_PROXY);
	assert_int_equal(script_seen(s, 1)->flags, 0);
	azure_end();
	azure_begin(MANAGED "client_id = of-the/user\n");
	expect_machine(IMDS "&client_id=of-the%2Fuser", "metadata: true",
	               &(struct script_reply){.status = 200, .body = IMDS_TOKEN});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	azure_end();
}

TEST(a_metadata_service_that_is_being_updated_is_waited_out)
{
	UNUSED_STATE;
	static const int passing[] = {404, 410, 429, 500};
	azure_begin(MANAGED);
	for (size_t i = 0; i < DIF_LEN(passing); i++) {
		expect_machine(
			IMDS, "metadata: true",
			&(struct script_reply){.status = passing[i], .fields = {"retry-after: 0"}});
	}
	expect_machine(IMDS, "metadata: true",
	               &(struct script_reply){.status = 200, .body = IMDS_TOKEN});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	azure_end();
}

TEST(a_machine_without_an_identity_is_told)
{
	UNUSED_STATE;
	azure_begin(MANAGED);
	expect_machine(
		IMDS, "metadata: true",
		&(struct script_reply){.status = 400,
	                               .body = "{\"error\":\"invalid_request\","
	                                       "\"error_description\":\"Identity not found\"}"});
	fails(DIF_AUTH, "Identity not found");
	azure_end();
}

#define APP_SERVICE                                              \
	"identity_endpoint = http://127.0.0.1:41741/msi/token\n" \
	"identity_header = 853b9a84-5bfa-4b22\n"

/* It tells only when a token ends. */
TEST(an_app_service_asks_its_own_endpoint)
{
	UNUSED_STATE;
	static char body[256];
	azure_begin(MANAGED APP_SERVICE);
	(void)snprintf(body, sizeof body,
	               "{\"access_token\":\"eyJ.token-1\",\"expires_on\":\"%lld\","
	               "\"resource\":\"r\",\"token_type\":\"Bearer\"}",
	               (long long)(dif_wall_ms() / 1000 + 3600));
	expect_machine("http://127.0.0.1:41741/msi/token?api-version=2019-08-01"
	               "&resource=https%3A%2F%2Fstorage.azure.com%2F",
	               "x-identity-header: 853b9a84-5bfa-4b22",
	               &(struct script_reply){.status = 200, .body = body});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	assert_string_equal(script_seen(s, 0)->policy->hosts[1], "127.0.0.1:41741");
	azure_end();
}

TEST(an_app_service_says_why_not)
{
	UNUSED_STATE;
	azure_begin(MANAGED APP_SERVICE);
	azure_expect(
		&(struct script_want){.method = "GET"},
		&(struct script_reply){.status = 400,
	                               .body = "{\"statusCode\":400,\"message\":\"No User Assigned "
	                                       "identity\"}"});
	fails(DIF_PERMANENT, "No User Assigned identity");
	azure_end();
}

/* --- which one counts --- */

TEST(two_credentials_are_refused)
{
	UNUSED_STATE;
	check_refused(INI "sas_token = sig=a\n", "account_key and sas_token are both given");
	check_refused(INI "client_secret = x\n", "account_key and client_secret are both given");
	check_refused(BY_SECRET "federated_token_file = /x\n",
	              "client_secret and federated_token_file are both given");
	check_refused(SECTION "connection_string = AccountName=x;AccountKey=" KEY
	                      ";SharedAccessSignature=sig=a\n",
	              "either AccountKey or SharedAccessSignature");
	check_refused(SECTION "account = acct\nconnection_string = AccountName=x;AccountKey=" KEY
	                      "\n",
	              "account 'x', and account is 'acct': keep one");
}

TEST(the_option_says_which_of_two_counts)
{
	UNUSED_STATE;
	azure_begin(INI "sas_token = sig=a\ncredential = sas\n");
	expect_use(PROBE "&sig=a", "!authorization");
	check_ok(store_probe(st));
	azure_end();
	azure_begin(INI "sas_token = sig=a\ncredential = account_key\n");
	expect_use(PROBE, "authorization: SharedKey acct:*");
	check_ok(store_probe(st));
	azure_end();
}

TEST(the_environment_counts_where_the_section_gives_nothing)
{
	UNUSED_STATE;
	(void)setenv("AZURE_STORAGE_ACCOUNT", "acct", 1);
	(void)setenv("AZURE_STORAGE_KEY", KEY, 1);
	azure_begin(SECTION);
	expect_use(PROBE, "authorization: SharedKey acct:*");
	check_ok(store_probe(st));
	azure_end();
	azure_begin(SECTION "sas_token = sig=a\n");
	expect_use(PROBE "&sig=a", "!authorization");
	check_ok(store_probe(st));
	azure_end();
	(void)setenv("AZURE_CLIENT_SECRET", "x", 1);
	check_refused(SECTION, "perhaps one by the environment");
	assert_int_equal(azure_without_environment(NULL), 0);
}

/* As a cluster's webhook sets it. */
TEST(a_workload_is_told_all_by_its_environment)
{
	UNUSED_STATE;
	keep("eyJ.of-the.cluster");
	(void)setenv("AZURE_TENANT_ID", TENANT, 1);
	(void)setenv("AZURE_CLIENT_ID", "app-1", 1);
	(void)setenv("AZURE_FEDERATED_TOKEN_FILE", test_path("federated"), 1);
	(void)setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com/", 1);
	azure_begin(SECTION "account = acct\n");
	expect_login(TOKEN_URL, ASSERTION "eyJ.of-the.cluster",
	             &(struct script_reply){.status = 200, .body = TOKEN("eyJ.token-1")});
	expect_use(PROBE, "authorization: Bearer eyJ.token-1");
	check_ok(store_probe(st));
	azure_end();
	assert_int_equal(azure_without_environment(NULL), 0);
}

TEST(half_a_credential_is_refused)
{
	UNUSED_STATE;
	check_refused(SECTION "account = acct\n", "no credential");
	check_refused(SECTION "account_key = " KEY "\n", "account_key needs account");
	check_refused(SECTION "sas_token = sig=a\n", "which account?");
	check_refused(SECTION "account = acct\nclient_secret = x\n",
	              "client_secret needs tenant_id and client_id");
	check_refused(SECTION "account = acct\nfederated_token_file = /x\n",
	              "federated_token_file needs tenant_id and client_id");
	check_refused(SECTION "account = acct\ncredential = workload_identity\n",
	              "needs federated_token_file");
	check_refused(INI "credential = sas\n", "credential = sas needs sas_token");
	check_refused(MANAGED "identity_endpoint = http://127.0.0.1:1/t\n", "Azure Arc");
	check_refused(MANAGED "identity_header = x\n", "identity_endpoint and identity_header");
	check_refused(SECTION "connection_string = AccountName=x\n", "either AccountKey");
	check_refused(SECTION "connection_string = SharedAccessSignature=sig=a\n",
	              "AccountName or BlobEndpoint");
}

TEST(what_is_no_credential_is_refused)
{
	UNUSED_STATE;
	static const char *const no_sas[] = {
		"sv=1&se=2", "sig=",    "asig=x",
		"sig=a b",   "sig=a#b", "https://acct.blob.core.windows.net/?sv=1"};
	static const char *const no_tenant[] = {"a/b", "a?b", "..", "a%2fb"};
	char ini[512];
	for (size_t i = 0; i < DIF_LEN(no_sas); i++) {
		(void)snprintf(ini, sizeof ini, SECTION "account = acct\nsas_token = %s\n",
		               no_sas[i]);
		check_refused(ini, "not a shared access signature");
	}
	for (size_t i = 0; i < DIF_LEN(no_tenant); i++) {
		(void)snprintf(ini, sizeof ini,
		               SECTION "account = acct\nclient_id = a\nclient_secret = x\n"
		                       "tenant_id = %s\n",
		               no_tenant[i]);
		check_refused(ini, "neither a GUID nor a domain");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signature_goes_along_with_every_request),
		cmocka_unit_test(a_signature_of_a_connection_string),
		cmocka_unit_test(nothing_is_sent_with_a_signature_that_has_ended),
		cmocka_unit_test(a_signature_without_an_end_is_of_a_policy),
		cmocka_unit_test(a_refused_signature_says_what_it_needs_and_is_not_seen),
		cmocka_unit_test(a_secret_becomes_a_token_for_all_that_follows),
		cmocka_unit_test(the_secret_goes_to_the_authority_alone),
		cmocka_unit_test(a_challenge_is_answered_with_one_new_token),
		cmocka_unit_test(a_token_is_renewed_while_it_still_serves),
		cmocka_unit_test(a_refused_secret_is_told_and_not_seen),
		cmocka_unit_test(a_token_service_that_is_not_there_is_no_missing_blob),
		cmocka_unit_test(a_busy_token_service_is_waited_out),
		cmocka_unit_test(no_odd_answer_is_a_token),
		cmocka_unit_test(an_answer_cut_at_any_byte_is_no_token),
		cmocka_unit_test(a_token_that_no_header_can_hold_is_not_sent),
		cmocka_unit_test(the_file_of_a_workload_is_read_anew_for_each_token),
		cmocka_unit_test(a_workload_without_a_token_says_so),
		cmocka_unit_test(a_virtual_machine_asks_its_metadata_service),
		cmocka_unit_test(a_metadata_service_that_is_being_updated_is_waited_out),
		cmocka_unit_test(a_machine_without_an_identity_is_told),
		cmocka_unit_test(an_app_service_asks_its_own_endpoint),
		cmocka_unit_test(an_app_service_says_why_not),
		cmocka_unit_test(two_credentials_are_refused),
		cmocka_unit_test(the_option_says_which_of_two_counts),
		cmocka_unit_test(the_environment_counts_where_the_section_gives_nothing),
		cmocka_unit_test(a_workload_is_told_all_by_its_environment),
		cmocka_unit_test(half_a_credential_is_refused),
		cmocka_unit_test(what_is_no_credential_is_refused),
	};
	return cmocka_run_group_tests_name("azure_login", tests, azure_without_environment, NULL);
}
