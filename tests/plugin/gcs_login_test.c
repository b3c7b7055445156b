/* gcs - the real gcs.so in host/op with a scripted server: every kind of credentials, where they
 * are found, and what comes of good, odd and hostile answers. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/plugin/support/gcs.h"
#include "tests/unit/support/rsa_key.h"

#include "base/clock.h"
#include "host/crypto.h"

#define METADATA                                                                            \
	"http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token" \
	"?scopes=https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fdevstorage.read_write"
#define STS "https://sts.googleapis.com/v1/token"
#define IMPERSONATE                                                                  \
	"https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/" EMAIL \
	":generateAccessToken"
#define USER                                                       \
	"{\"type\":\"authorized_user\",\"client_id\":\"id.apps\"," \
	"\"client_secret\":\"d-FL95\",\"refresh_token\":\"1//0e/x+y\"}"
#define EXTERNAL(source, more)                                                      \
	"{\"type\":\"external_account\",\"audience\":\"//iam.googleapis.com/p/1\"," \
	"\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\","          \
	"\"token_url\":\"" STS "\",\"credential_source\":{" source "}" more "}"
#define TOKEN_WITHOUT_LIFE "{\"access_token\":\"ya29.token-0\"}"

/* The op that the token is for. */
static void expect_use(const char *token)
{
	gcs_expect(&(struct script_want){.method = "GET",
	                                 .url = AT "?maxResults=1&*",
	                                 .fields = {token}},
	           &(struct script_reply){.status = 200, .body = "{}"});
}

static void expect_form(const char *url, const char *form, int status, const char *body)
{
	gcs_expect(&(struct script_want){.method = "POST",
	                                 .url = url,
	                                 .fields = {"content-type: "
	                                            "application/x-www-form-urlencoded"},
	                                 .body = form},
	           &(struct script_reply){.status = status, .body = body});
}

static const struct store_out *fails(enum dif_class cls, const char *text)
{
	const struct store_out *out = store_probe(st);
	check_class(out, cls);
	check_text(out, text);
	return out;
}

/* --- a service account --- */

static void check_signature(const char *jwt, const char *signature)
{
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	struct dif_bytes mark = dif_decode(&a, DIF_BASE64URL, signature);
	BIO *pem = BIO_new_mem_buf(test_rsa_pkcs8, -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, NULL);
	EVP_MD_CTX *m = EVP_MD_CTX_new();
	assert_non_null(key);
	assert_int_equal(EVP_DigestVerifyInit(m, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(
		EVP_DigestVerify(m, mark.p, mark.n, (const unsigned char *)jwt, strlen(jwt)), 1);
	EVP_MD_CTX_free(m);
	EVP_PKEY_free(key);
	BIO_free(pem);
	dif_arena_fini(&a);
}

/* One of the two JSON parts, as text. */
static const char *part(struct dif_arena *a, const char *encoded)
{
	struct dif_bytes b = dif_decode(a, DIF_BASE64URL, encoded);
	assert_non_null(b.p);
	return dif_arena_fmt(a, "%.*s", (int)b.n, (const char *)b.p);
}

TEST(the_login_signs_an_assertion_that_openssl_verifies)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.method = "GET",
	                                 .fields = {"authorization: Bearer ya29.token-1"}},
	           &(struct script_reply){.status = 200, .body = "{}"});
	check_ok(store_probe(st));
	static const char before[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type"
				     "%3Ajwt-bearer&assertion=";
	const struct script_seen *seen = script_seen(s, 0);
	assert_true(strncmp(seen->body, before, strlen(before)) == 0);
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	char *jwt = strdup(seen->body + strlen(before));
	assert_non_null(jwt);
	char *mark = strrchr(jwt, '.');
	*mark = '\0';
	check_signature(jwt, mark + 1);
	char *claims = strchr(jwt, '.');
	*claims = '\0';
	assert_string_equal(part(&a, jwt), "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"key-1\"}");
	long long iat = 0, exp = 0;
	int n = 0;
	assert_int_equal(sscanf(part(&a, claims + 1),
	                        "{\"iss\":\"" EMAIL
	                        "\",\"scope\":\"https://www.googleapis.com/auth/"
	                        "devstorage.read_write\",\"aud\":\"" TOKEN_URI
	                        "\",\"iat\":%lld,\"exp\":%lld}%n",
	                        &iat, &exp, &n),
	                 2);
	assert_true(n > 0);
	assert_int_equal(exp - iat, 3600);
	assert_in_range(iat, dif_wall_ms() / 1000 - 60, dif_wall_ms() / 1000 + 1);
	free(jwt);
	dif_arena_fini(&a);
	gcs_end();
}

TEST(the_assertion_goes_nowhere_but_to_known_hosts)
{
	UNUSED_STATE;
	static const char *const known[] = {"storage.googleapis.com",
	                                    "oauth2.googleapis.com",
	                                    "accounts.google.com",
	                                    "sts.googleapis.com",
	                                    "iamcredentials.googleapis.com",
	                                    "169.254.169.254",
	                                    "sts.example",
	                                    "idp.example:8443",
	                                    NULL};
	gcs_begin_with(gcs_account("far.json", "service_account", test_rsa_pkcs8,
	                           "https://evil.example/token"),
	               "token_hosts =  sts.example idp.example:8443\n");
	/* host/http refuses every host that the policy does not name */
	gcs_expect(&(struct script_want){.url = "https://evil.example/token"},
	           &(struct script_reply){.cls = DIF_PERMANENT, .text = "refused"});
	check_class(store_probe(st), DIF_PERMANENT);
	const char *const *hosts = script_seen(s, 0)->policy->hosts;
	for (size_t i = 0; i < DIF_LEN(known) - 1; i++) {
		assert_non_null(hosts[i]);
		assert_string_equal(hosts[i], known[i]);
	}
	assert_null(hosts[DIF_LEN(known) - 1]);
	gcs_end();
}

TEST(a_refused_assertion_is_auth_and_told)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_account("sa.json", "service_account", test_rsa_pkcs8, NULL), "");
	gcs_expect(
		&(struct script_want){.url = TOKEN_URI},
		&(struct script_reply){
			.status = 400,
			.body = "{\"error\":\"invalid_grant\",\"error_description\":\"account not "
				"found\"}"});
	const struct store_out *out = store_probe(st);
	check_class(out, DIF_AUTH);
	check_text(out, "account not found");
	assert_string_equal(out->err.code, "invalid_grant");
	gcs_end();
}

TEST(an_expired_token_is_renewed_once)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(
		&(struct script_want){.method = "GET",
	                              .fields = {"authorization: Bearer ya29.token-1"}},
		&(struct script_reply){.status = 401,
	                               .body = ERROR("401", "authError", "Invalid Credentials")});
	gcs_expect_login("{\"access_token\":\"ya29.token-2\",\"expires_in\":\"3599\"}");
	gcs_expect(&(struct script_want){.method = "GET",
	                                 .fields = {"authorization: Bearer ya29.token-2"}},
	           &(struct script_reply){.status = 200, .body = "{}"});
	check_ok(store_probe(st));
	gcs_end();
}

TEST(what_is_forbidden_is_asked_once_more_with_a_new_token)
{
	UNUSED_STATE;
	gcs_begin("");
	gcs_expect(&(struct script_want){.fields = {"authorization: Bearer ya29.token-1"}},
	           &(struct script_reply){.status = 403, .body = ERROR("403", "forbidden", "no")});
	gcs_expect_login(TOKEN("ya29.token-2"));
	gcs_expect(&(struct script_want){.fields = {"authorization: Bearer ya29.token-2"}},
	           &(struct script_reply){.status = 403, .body = ERROR("403", "forbidden", "no")});
	check_class(store_probe(st), DIF_AUTH);
	gcs_end();
}

TEST(a_clock_that_is_off_is_corrected_by_the_token_server)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_account("sa.json", "service_account", test_rsa_pkcs8, NULL), "");
	gcs_expect(&(struct script_want){.url = TOKEN_URI},
	           &(struct script_reply){.status = 400,
	                                  .fields = {"date: Wed, 01 Jan 2031 00:00:00 GMT"},
	                                  .body = "{\"error\":\"invalid_grant\"}"});
	gcs_expect_login(TOKEN("ya29.token-1"));
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	const char *claims = strchr(script_seen(s, 1)->body, '.') + 1;
	const char *middle = dif_arena_fmt(&a, "%.*s", (int)strcspn(claims, "."), claims);
	long long iat = 0;
	assert_int_equal(sscanf(strstr(part(&a, middle), "\"iat\":"), "\"iat\":%lld", &iat), 1);
	assert_in_range(iat, 1924991999, 1924992060);
	dif_arena_fini(&a);
	gcs_end();
}

/* --- odd files --- */

TEST(credentials_that_cannot_be_used_are_named)
{
	UNUSED_STATE;
	static const struct {
		const char *text, *why;
	} odd[] = {
		{"{\"type\":", "are no JSON"},
		{"", "are no JSON"},
		{"[]", "type ''"},
		{"{\"type\":\"gdch_service_account\"}", "type 'gdch_service_account' is none of"},
		{"{\"type\":\"service_account\",\"private_key\":\"x\"}", "no client_email"},
		{"{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"b\"}",
	         "no refresh_token"},
		{"{\"type\":\"external_account\",\"audience\":\"a\"}", "no subject_token_type"},
		{EXTERNAL("\"executable\":{\"command\":\"/bin/x\"}", ""), "from a file or a url"},
		{EXTERNAL("\"environment_id\":\"aws1\",\"url\":\"http://169.254.169.254/\"", ""),
	         "from a file or a url"},
		{EXTERNAL("\"file\":\"/nowhere/token\"", ""), "'/nowhere/token'"},
		{"{\"type\":\"impersonated_service_account\","
	         "\"service_account_impersonation_url\":\"" IMPERSONATE "\"}",
	         "no source_credentials.type"},
		{"{\"type\":\"impersonated_service_account\","
	         "\"service_account_impersonation_url\":\"" IMPERSONATE "\",\"source_credentials\":"
	         "{\"type\":\"impersonated_service_account\"}}",
	         "type 'impersonated_service_account' is none of"},
	};
	for (size_t i = 0; i < DIF_LEN(odd); i++) {
		gcs_begin_with(gcs_file("odd.json", odd[i].text), "");
		fails(DIF_PERMANENT, odd[i].why);
		assert_int_equal(script_count(s), 0);
		gcs_end();
	}
	gcs_begin_with(gcs_account("key.json", "service_account", "no key", NULL), "");
	check_class(store_probe(st), DIF_PERMANENT);
	gcs_end();
	gcs_begin_with(test_path("missing.json"), "");
	fails(DIF_PERMANENT, "there is no credentials file");
	gcs_end();
}

TEST(hosts_that_cannot_be_are_refused_at_once)
{
	UNUSED_STATE;
	check_refused("[store t]\nplugin = gcs\nbucket = abc\ntoken_hosts = a b c d e f g h i\n",
	              "token_hosts names more than 8");
	check_refused("[store t]\nplugin = gcs\nbucket = abc\nmetadata_host = a/b\n",
	              "metadata_host 'a/b'");
}

/* --- a user --- */

TEST(a_user_is_a_refresh_token)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_file("user.json", USER), "project = billed-here\n");
	expect_form(TOKEN_URI,
	            "grant_type=refresh_token&client_id=id.apps&client_secret=d-FL95"
	            "&refresh_token=1%2F%2F0e%2Fx%2By",
	            200, TOKEN("ya29.token-1"));
	gcs_expect(&(struct script_want){.fields = {"authorization: Bearer ya29.token-1",
	                                            "x-goog-user-project: billed-here"}},
	           &(struct script_reply){.status = 200, .body = "{}"});
	check_ok(store_probe(st));
	gcs_end();
}

TEST(a_user_who_has_taken_it_back_is_auth)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_file("user.json", USER), "");
	expect_form(
		TOKEN_URI, NULL, 400,
		"{\"error\":\"invalid_grant\",\"error_description\":\"Token has been expired or "
		"revoked.\"}");
	const struct store_out *out = fails(DIF_AUTH, "expired or revoked");
	assert_null(strstr(out->err.text, "1//0e"));
	gcs_end();
}

/* A proxy that quotes what it was sent. */
TEST(what_was_sent_is_hidden_where_it_comes_back)
{
	UNUSED_STATE;
	static const char *const sent[] = {"GOCSPX-a/secret", "1//0e/x+y-token"};
	gcs_begin_with(gcs_file("user.json",
	                        "{\"type\":\"authorized_user\",\"client_id\":\"id.apps\","
	                        "\"client_secret\":\"GOCSPX-a/secret\","
	                        "\"refresh_token\":\"1//0e/x+y-token\"}"),
	               "");
	expect_form(TOKEN_URI, NULL, 400,
	            "{\"error\":\"invalid_grant\",\"error_description\":\"odd: "
	            "GOCSPX-a/secret and 1%2F%2F0e%2Fx%2By-token\"}");
	const struct store_out *out = fails(DIF_AUTH, "odd: *** and ***");
	for (size_t i = 0; i < DIF_LEN(sent); i++) {
		assert_null(strstr(out->err.text, sent[i]));
	}
	gcs_end();
}

TEST(a_private_key_is_hidden_line_by_line)
{
	UNUSED_STATE;
	char line[80] = "", body[256];
	const char *begin = strchr(test_rsa_pkcs8, '\n') + 1;
	(void)snprintf(line, sizeof line, "%.*s", (int)strcspn(begin, "\n"), begin);
	gcs_begin_with(gcs_account("sa.json", "service_account", test_rsa_pkcs8, NULL), "");
	(void)snprintf(body, sizeof body,
	               "{\"error\":\"invalid_grant\",\"error_description\":\"<%s>\"}", line);
	gcs_expect(&(struct script_want){.url = TOKEN_URI},
	           &(struct script_reply){.status = 400, .body = body});
	const struct store_out *out = fails(DIF_AUTH, "<***>");
	assert_null(strstr(out->err.text, line));
	gcs_end();
}

/* --- somebody else's token --- */

static void expect_exchange(const char *scope, const char *subject, const char *body)
{
	static char form[512];
	(void)snprintf(form, sizeof form,
	               "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Atoken-exchange"
	               "&requested_token_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Atoken-type"
	               "%%3Aaccess_token&audience=%%2F%%2Fiam.googleapis.com%%2Fp%%2F1&scope=https"
	               "%%3A%%2F%%2Fwww.googleapis.com%%2Fauth%%2F%s&subject_token_type=urn"
	               "%%3Aietf%%3Aparams%%3Aoauth%%3Atoken-type%%3Ajwt&subject_token=%s",
	               scope, subject);
	expect_form(STS, form, 200, body);
}

TEST(a_token_of_a_file_is_exchanged)
{
	UNUSED_STATE;
	char text[1024];
	const char *at = gcs_file("subject", "ey.a+b.c\n");
	(void)snprintf(text, sizeof text, EXTERNAL("\"file\":\"%s\"", ""), at);
	gcs_begin_with(gcs_file("external.json", text), "");
	expect_exchange("devstorage.read_write", "ey.a%2Bb.c", TOKEN("ya29.token-1"));
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	gcs_end();
}

TEST(a_token_that_a_cluster_renews_lies_behind_links)
{
	UNUSED_STATE;
	char text[1024];
	assert_int_equal(mkdir(test_path("volume"), 0755), 0);
	(void)snprintf(text, sizeof text, EXTERNAL("\"file\":\"%s\"", ""),
	               test_path("volume/token"));
	const char *path = gcs_file("external.json", text);
	assert_int_equal(symlink("..data/token", test_path("volume/token")), 0);
	for (int n = 1; n <= 2; n++) {
		char folder[32], file[48], subject[16], form[64];
		(void)snprintf(folder, sizeof folder, "volume/..2026_%d", n);
		(void)snprintf(file, sizeof file, "%s/token", folder);
		(void)snprintf(subject, sizeof subject, "ey.%d", n);
		(void)snprintf(form, sizeof form, "*&subject_token=ey.%d", n);
		assert_int_equal(mkdir(test_path(folder), 0755), 0);
		gcs_file(file, subject);
		(void)unlink(test_path("volume/..data"));
		assert_int_equal(symlink(strchr(folder, '/') + 1, test_path("volume/..data")), 0);
		gcs_begin_with(path, "");
		expect_form(STS, form, 200, TOKEN("ya29.token-1"));
		expect_use("authorization: Bearer ya29.token-1");
		check_ok(store_probe(st));
		gcs_end();
	}
}

TEST(a_token_of_a_file_may_be_json_and_belong_to_a_client)
{
	UNUSED_STATE;
	char text[1024];
	const char *at = gcs_file("subject", "{\"id_token\":\"ey.1\",\"x\":\"y\"}");
	(void)snprintf(text, sizeof text,
	               EXTERNAL("\"file\":\"%s\",\"format\":{\"type\":\"json\","
	                        "\"subject_token_field_name\":\"id_token\"}",
	                        ",\"client_id\":\"me\",\"client_secret\":\"sesame\""),
	               at);
	gcs_begin_with(gcs_file("external.json", text), "");
	gcs_expect(&(struct script_want){.url = STS,
	                                 .fields = {"authorization: Basic bWU6c2VzYW1l"},
	                                 .body = "*&subject_token=ey.1"},
	           &(struct script_reply){.status = 200, .body = TOKEN("ya29.token-1")});
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	gcs_end();
	gcs_file("subject", "{\"other\":\"ey.1\"}");
	gcs_begin_with(test_path("external.json"), "");
	fails(DIF_PERMANENT, "there is no subject token in");
	gcs_end();
}

TEST(a_token_of_a_url_is_exchanged_and_then_impersonates)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_file("external.json",
	                        EXTERNAL("\"url\":\"http://169.254.169.254/metadata/identity?x=1\","
	                                 "\"headers\":{\"Metadata\":\"True\"},\"format\":{\"type\":"
	                                 "\"json\",\"subject_token_field_name\":\"access_token\"}",
	                                 ",\"service_account_impersonation_url\":\"" IMPERSONATE
	                                 "\",\"service_account_impersonation\":"
	                                 "{\"token_lifetime_seconds\":1800}")),
	               "");
	gcs_expect(&(struct script_want){.method = "GET",
	                                 .url = "http://169.254.169.254/metadata/identity?x=1",
	                                 .fields = {"metadata: True", "!authorization"}},
	           &(struct script_reply){.status = 200, .body = "{\"access_token\":\"ey.1\"}"});
	expect_exchange("cloud-platform", "ey.1", TOKEN_WITHOUT_LIFE);
	gcs_expect(&(struct script_want){.method = "POST",
	                                 .url = IMPERSONATE,
	                                 .fields = {"authorization: Bearer ya29.token-0",
	                                            "content-type: application/json"},
	                                 .body = "{\"delegates\":[],\"scope\":[\"https://"
	                                         "www.googleapis.com/auth/devstorage.read_write\"],"
	                                         "\"lifetime\":\"1800s\"}"},
	           &(struct script_reply){.status = 200,
	                                  .body = "{\"accessToken\":\"ya29.token-1\","
	                                          "\"expireTime\":\"2099-01-01T00:00:00Z\"}"});
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	assert_true((script_seen(s, 0)->flags & DIF_HTTP_LINK_LOCAL) != 0);
	assert_true((script_seen(s, 0)->flags & DIF_HTTP_NO_PROXY) != 0);
	assert_int_equal(script_seen(s, 1)->flags, 0);
	gcs_end();
}

TEST(a_refusal_of_the_exchange_is_told)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_file("external.json", EXTERNAL("\"url\":\"https://idp.example/\"", "")),
	               "token_hosts = idp.example\n");
	gcs_expect(&(struct script_want){.url = "https://idp.example/"},
	           &(struct script_reply){.status = 200, .body = "ey.1"});
	expect_form(STS, NULL, 400,
	            "{\"error\":\"invalid_grant\",\"error_description\":\"ID Token is stale\"}");
	fails(DIF_AUTH, "ID Token is stale");
	gcs_end();
	gcs_begin_with(test_path("external.json"), "token_hosts = idp.example\n");
	gcs_expect(&(struct script_want){.url = "https://idp.example/"},
	           &(struct script_reply){.status = 404});
	check_class(store_probe(st), DIF_PERMANENT); /* and not an object that is missing */
	gcs_end();
}

/* --- impersonation of a user's --- */

TEST(a_user_may_impersonate_through_others)
{
	UNUSED_STATE;
	gcs_begin_with(gcs_file("impersonated.json",
	                        "{\"type\":\"impersonated_service_account\",\"delegates\":"
	                        "[\"d/1\",\"d/2\"],\"service_account_impersonation_url\":"
	                        "\"" IMPERSONATE "\",\"source_credentials\":" USER "}"),
	               "");
	expect_form(TOKEN_URI, "grant_type=refresh_token&*", 200, TOKEN_WITHOUT_LIFE);
	gcs_expect(&(struct script_want){.url = IMPERSONATE,
	                                 .body = "{\"delegates\":[\"d/1\",\"d/2\"],*"
	                                         "\"lifetime\":\"3600s\"}"},
	           &(struct script_reply){.status = 200,
	                                  .body = "{\"accessToken\":\"ya29.token-1\","
	                                          "\"expireTime\":\"2099-01-01T00:00:00Z\"}"});
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	gcs_end();
	gcs_begin_with(test_path("impersonated.json"), "");
	expect_form(TOKEN_URI, NULL, 200, TOKEN_WITHOUT_LIFE);
	gcs_expect(
		&(struct script_want){.url = IMPERSONATE},
		&(struct script_reply){.status = 403,
	                               .body = "{\"error\":{\"code\":403,\"message\":\"Permission "
	                                       "iam.serviceAccounts.getAccessToken denied\","
	                                       "\"status\":\"PERMISSION_DENIED\"}}"});
	const struct store_out *out = fails(DIF_AUTH, "getAccessToken denied");
	assert_string_equal(out->err.code, "PERMISSION_DENIED");
	gcs_end();
}

/* --- where they are found --- */

static void expect_metadata(int status, const char *flavor, const char *body)
{
	gcs_expect(&(struct script_want){.method = "GET",
	                                 .url = METADATA,
	                                 .fields = {"metadata-flavor: Google", "!authorization"}},
	           &(struct script_reply){.status = status, .fields = {flavor}, .body = body});
}

static void make_folders(void)
{
	assert_true(mkdir(test_path(".config"), 0700) == 0 || errno == EEXIST);
	assert_true(mkdir(test_path(".config/gcloud"), 0700) == 0 || errno == EEXIST);
}

TEST(the_first_place_that_has_any_decides)
{
	UNUSED_STATE;
	static const char adc[] = ".config/gcloud/application_default_credentials.json";
	make_folders();
	const char *of_home = gcs_file(adc, USER);
	gcs_begin_with(NULL, "");
	expect_form(TOKEN_URI, "grant_type=refresh_token&*", 200, TOKEN("ya29.token-1"));
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	gcs_end();

	assert_int_equal(setenv("CLOUDSDK_CONFIG", test_path("elsewhere"), 1), 0);
	gcs_begin_with(NULL, "");
	expect_metadata(200, "metadata-flavor: Google", TOKEN("ya29.token-2"));
	expect_use("authorization: Bearer ya29.token-2");
	check_ok(store_probe(st));
	assert_true((script_seen(s, 0)->flags & DIF_HTTP_LINK_LOCAL) != 0);
	assert_true((script_seen(s, 0)->flags & DIF_HTTP_NO_PROXY) != 0);
	gcs_end();

	const char *sa = gcs_account("sa.json", "service_account", test_rsa_pkcs8, NULL);
	assert_int_equal(setenv("GOOGLE_APPLICATION_CREDENTIALS", sa, 1), 0);
	gcs_begin_with(NULL, "");
	expect_form(TOKEN_URI, "grant_type=*jwt-bearer&*", 200, TOKEN("ya29.token-3"));
	expect_use("authorization: Bearer ya29.token-3");
	check_ok(store_probe(st));
	gcs_end();

	gcs_begin_with(of_home, "");
	expect_form(TOKEN_URI, "grant_type=refresh_token&*", 200, TOKEN("ya29.token-4"));
	expect_use("authorization: Bearer ya29.token-4");
	check_ok(store_probe(st));
	gcs_end();

	/* who names the metadata server means it, whatever the environment has */
	gcs_begin_with(NULL, "metadata_host = 169.254.169.254\n");
	expect_metadata(200, "metadata-flavor: Google", TOKEN("ya29.token-5"));
	expect_use("authorization: Bearer ya29.token-5");
	check_ok(store_probe(st));
	gcs_end();
	(void)gcs_without_environment(NULL);
	assert_int_equal(unlink(of_home), 0);
}

TEST(a_metadata_server_of_ones_own)
{
	UNUSED_STATE;
	gcs_begin_with(NULL, "metadata_host = 127.0.0.1:8080\n");
	gcs_expect(&(struct script_want){.url = "http://127.0.0.1:8080/computeMetadata/v1/*"},
	           &(struct script_reply){.status = 200,
	                                  .fields = {"metadata-flavor: Google"},
	                                  .body = TOKEN("ya29.token-1")});
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	gcs_end();
}

TEST(no_credentials_at_all_say_where_they_were_sought)
{
	UNUSED_STATE;
	gcs_begin_with(NULL, "");
	for (int i = 0; i < 3; i++) {
		expect_metadata(0, NULL, NULL);
	}
	const struct store_out *out = fails(DIF_PERMANENT, "run gcloud auth");
	check_text(out, "application_default_credentials.json");
	gcs_end();
	gcs_begin_with(NULL, "");
	expect_metadata(0, NULL, NULL);
	expect_metadata(200, "metadata-flavor: Google", TOKEN("ya29.token-1"));
	expect_use("authorization: Bearer ya29.token-1");
	check_ok(store_probe(st));
	gcs_end();
	gcs_begin_with(NULL, "");
	expect_metadata(404, "metadata-flavor: Google", "not found");
	fails(DIF_PERMANENT, "no service account");
	gcs_end();
}

TEST(somebody_else_at_the_metadata_address_gives_no_token)
{
	UNUSED_STATE;
	gcs_begin_with(NULL, "");
	expect_metadata(200, "server: portal", TOKEN("ya29.evil"));
	fails(DIF_PERMANENT, "no metadata server of Google's");
	gcs_end();
}

/* --- answers --- */

/* text: not NULL where the first token is good, and the answer is that to the second. */
static void odd(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	bool is_first = strcmp(seen->url, TOKEN_URI) == 0;
	assert_true(is_first || strcmp(seen->url, IMPERSONATE) == 0);
	*reply = *(struct script_reply *)data;
	if (is_first && reply->text != NULL) {
		*reply = (struct script_reply){.status = 200, .body = TOKEN_WITHOUT_LIFE};
	}
}

TEST(no_odd_answer_is_a_token)
{
	UNUSED_STATE;
	static struct script_reply answers[] = {
		{.status = 200, .body = ""},
		{.status = 200, .body = "<html>"},
		{.status = 200, .body = "{\"access_token\":\"ya29.tok"},
		{.status = 200, .body = "{\"access_token\":7,\"expires_in\":\"soon\"}"},
		{.status = 200, .body = TOKEN_WITHOUT_LIFE},
		{.status = 200, .body = "{\"access_token\":\"a\",\"expires_in\":99999999999}"},
		{.status = 200, .body = "{\"expires_in\":3599}"},
		{.status = 200, .body = "[]"},
		{.status = 500, .body = "x"},
		{.status = 429, .body = "x"},
		{.status = 503, .fields = {"retry-after: 1"}, .body = "x"},
		{.status = 302, .fields = {"location: https://evil.example/"}},
		{.status = 200, .body = "{\"accessToken\":\"a\"}", .text = "second"},
		{.status = 200,
	         .body = "{\"accessToken\":\"a\",\"expireTime\":\"then\"}",
	         .text = "second"},
		{.status = 200, .body = "{\"accessT", .text = "second"},
	};
	const char *user = gcs_file("user.json", USER);
	const char *other =
		gcs_file("impersonated.json", "{\"type\":\"impersonated_service_account\","
	                                      "\"service_account_impersonation_url\":\"" IMPERSONATE
	                                      "\",\"source_credentials\":" USER "}");
	for (size_t i = 0; i < DIF_LEN(answers); i++) {
		gcs_begin_with(answers[i].text != NULL ? other : user, "");
		st->deadline_ms = 200;
		script_answer(s, odd, &answers[i]);
		assert_int_not_equal(store_probe(st)->err.cls, DIF_OK);
		gcs_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_login_signs_an_assertion_that_openssl_verifies),
		cmocka_unit_test(the_assertion_goes_nowhere_but_to_known_hosts),
		cmocka_unit_test(a_refused_assertion_is_auth_and_told),
		cmocka_unit_test(an_expired_token_is_renewed_once),
		cmocka_unit_test(what_is_forbidden_is_asked_once_more_with_a_new_token),
		cmocka_unit_test(a_clock_that_is_off_is_corrected_by_the_token_server),
		cmocka_unit_test(credentials_that_cannot_be_used_are_named),
		cmocka_unit_test(hosts_that_cannot_be_are_refused_at_once),
		cmocka_unit_test(a_user_is_a_refresh_token),
		cmocka_unit_test(a_user_who_has_taken_it_back_is_auth),
		cmocka_unit_test(what_was_sent_is_hidden_where_it_comes_back),
		cmocka_unit_test(a_private_key_is_hidden_line_by_line),
		cmocka_unit_test(a_token_of_a_file_is_exchanged),
		cmocka_unit_test(a_token_that_a_cluster_renews_lies_behind_links),
		cmocka_unit_test(a_token_of_a_file_may_be_json_and_belong_to_a_client),
		cmocka_unit_test(a_token_of_a_url_is_exchanged_and_then_impersonates),
		cmocka_unit_test(a_refusal_of_the_exchange_is_told),
		cmocka_unit_test(a_user_may_impersonate_through_others),
		cmocka_unit_test(the_first_place_that_has_any_decides),
		cmocka_unit_test(a_metadata_server_of_ones_own),
		cmocka_unit_test(no_credentials_at_all_say_where_they_were_sought),
		cmocka_unit_test(somebody_else_at_the_metadata_address_gives_no_token),
		cmocka_unit_test(no_odd_answer_is_a_token),
	};
	return cmocka_run_group_tests_name("plugin/gcs_login", tests, gcs_without_environment,
	                                   NULL);
}
