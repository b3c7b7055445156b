/* s3_login - see the header. */
#include "tests/plugin/support/s3_login.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/parse.h"

static char ini[16384];

/* --- files --- */

const char *aws_file(const char *name, const char *text)
{
	const char *path = test_path(name);
	test_write(path, text, strlen(text));
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

void aws_open(const char *options)
{
	(void)snprintf(ini, sizeof ini, BARE "%s", options);
	begin(ini);
}

/* An instance that finds these two files; NULL: there is none. */
void aws_open_files(const char *credentials, const char *config, const char *options)
{
	const char *first = credentials != NULL ? aws_file("credentials", credentials) : "/nowhere";
	const char *second = config != NULL ? aws_file("config", config) : "/nowhere";
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
void aws_expect_use_as(const char *id, const char *token, const struct script_reply *reply)
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

void aws_expect_use(const char *id, const char *token)
{
	aws_expect_use_as(id, token, &listed);
}

void aws_fails(enum dif_class cls, const char *part)
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
const char *aws_assumed(const char *kind, const char *id, int64_t lives)
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

const char *aws_given(const char *id, const char *more)
{
	static char to[2048];
	(void)snprintf(to, sizeof to,
	               "{\"AccessKeyId\":\"%s\",\"SecretAccessKey\":\"secret-of-%s\","
	               "\"Token\":\"token-of-%s\",\"Expiration\":\"%s\"%s}",
	               id, id, id, in_seconds(3600), more);
	return to;
}

void aws_expect_sts(const char *form, const char *body)
{
	expect(&(struct script_want){.method = "POST",
	                             .url = STS,
	                             .fields = {"content-type: application/x-www-form-urlencoded"},
	                             .body = form},
	       &(struct script_reply){.status = 200, .body = body});
}
