/* s3 - see the header. */
#include "tests/plugin/support/s3.h"

void begin(const char *ini)
{
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

void end(void)
{
	script_free(s);
	store_close(st);
}

void expect(const struct script_want *want, const struct script_reply *reply)
{
	script_expect(s, want, reply);
}

void check_signature(size_t i)
{
	check_sigv4(script_seen(s, i), "us-east-1", SECRET);
}

/* What the machine's owner set for other programs must not reach the tests. */
int without_environment(void **state)
{
	(void)state;
	static const char *const names[] = {
		"AWS_REGION",
		"AWS_DEFAULT_REGION",
		"AWS_ACCESS_KEY_ID",
		"AWS_SESSION_TOKEN",
		"AWS_SECRET_ACCESS_KEY",
		"AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_S3",
		"AWS_ENDPOINT_URL_STS",
		"AWS_PROFILE",
		"AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_ROLE_ARN",
		"AWS_ROLE_SESSION_NAME",
		"AWS_SHARED_CREDENTIALS_FILE",
		"AWS_CONFIG_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
		"AWS_EC2_METADATA_SERVICE_ENDPOINT",
		"AWS_EC2_METADATA_DISABLED",
		"HOME",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		(void)unsetenv(names[i]);
	}
	return 0;
}
