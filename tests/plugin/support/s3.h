/* s3 - what the tests of s3.so share: its section, replies as the server writes them. */
#ifndef DIF_TESTS_S3_H
#define DIF_TESTS_S3_H

#include "tests/plugin/support/checks.h"
#include "tests/plugin/support/running.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define INI                                                                               \
	"[store t]\nplugin = s3\nbucket = bucket\naccess_key_id = AKIAIOSFODNN7EXAMPLE\n" \
	"secret_access_key = " SECRET "\n"
#define AT "https://bucket.s3.us-east-1.amazonaws.com"
#define NO_BODY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HELLO_SHA "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
#define HELLO_TAG "\"5eb63bbbe01eeed093cb22bb8f5acdc3\""
#define ERROR(code, message)                                                   \
	"<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>" message \
	"</Message><RequestId>4442587FB7D0A2F9</RequestId></Error>"
#define LIST(inside)                                                           \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>"                           \
	"<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">" \
	"<Name>bucket</Name>" inside "</ListBucketResult>"
#define ROW(key)                                                                               \
	"<Contents><Key>" key "</Key><LastModified>2013-09-17T18:07:53.000Z</LastModified>"    \
	"<ETag>&quot;" key "&quot;</ETag><Size>11</Size><StorageClass>STANDARD</StorageClass>" \
	"</Contents>"
#define MORE(token) "<NextContinuationToken>" token "</NextContinuationToken>"
#define LAST "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"

void begin(const char *ini);
void end(void);
void expect(const struct script_want *want, const struct script_reply *reply);
void check_signature(size_t i); /* of the i-th request */
int without_environment(void **state);

#endif
