/* s3_login - what the tests of credentials of AWS share. */
#ifndef DIF_TESTS_S3_LOGIN_H
#define DIF_TESTS_S3_LOGIN_H

#include "tests/plugin/support/s3.h"

#define BARE "[store t]\nplugin = s3\nbucket = bucket\n"
#define STS "https://sts.us-east-1.amazonaws.com/"
#define ROLE "arn:aws:iam::123456789012:role/site"
#define ROLE_FORM "arn%3Aaws%3Aiam%3A%3A123456789012%3Arole%2Fsite"
#define ASSUME(more) \
	"Action=AssumeRole&Version=2011-06-15&RoleArn=" ROLE_FORM "&RoleSessionName=difusor" more

/* A file of the test's folder that only we may read. Returns its path. */
const char *aws_file(const char *name, const char *text);
/* An instance with no more than a bucket and these options. */
void aws_open(const char *options);
/* The same, and it finds these two files; NULL: there is none. */
void aws_open_files(const char *credentials, const char *config, const char *options);
/* A probe signed by id; token NULL: it has none. */
void aws_expect_use_as(const char *id, const char *token, const struct script_reply *reply);
void aws_expect_use(const char *id, const char *token);
/* The probe fails so, and the instance is closed. */
void aws_fails(enum dif_class cls, const char *part);
/* The answer of STS: id, secret-of-id, token-of-id. kind: AssumeRole, AssumeRoleWithWebIdentity. */
const char *aws_assumed(const char *kind, const char *id, int64_t lives);
/* The same, as containers and instances get it; more: further members. */
const char *aws_given(const char *id, const char *more);
void aws_expect_sts(const char *form, const char *body);

#endif
