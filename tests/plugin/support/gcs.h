/* gcs - what the tests of gcs.so share: its section, a service account's file, replies as the
 * server writes them. */
#ifndef DIF_TESTS_GCS_H
#define DIF_TESTS_GCS_H

#include "tests/plugin/support/checks.h"
#include "tests/plugin/support/running.h"

#define GCS "https://storage.googleapis.com"
#define TOKEN_URI "https://oauth2.googleapis.com/token"
#define AT GCS "/storage/v1/b/bucket-1/o"
#define UP GCS "/upload/storage/v1/b/bucket-1/o"
#define EMAIL "publisher@p.iam.gserviceaccount.com"
#define TOKEN(token)                                           \
	"{\"access_token\":\"" token "\",\"expires_in\":3599," \
	"\"token_type\":\"Bearer\"}"
#define HELLO                                                                            \
	"{\"name\":\"a/b c.json\",\"size\":\"11\",\"crc32c\":\"yZRlqg==\","              \
	"\"md5Hash\":\"XrY7u+Ae7tCTyyK7j1rNww==\",\"generation\":\"1795613558535000\","  \
	"\"updated\":\"1994-11-06T08:49:37.123Z\",\"contentType\":\"application/json\"," \
	"\"cacheControl\":\"no-store\",\"metadata\":{\"order\":\"7\",\"sha256\":\"ab\"}}"
#define ERROR(code, reason, message)                                                          \
	"{\"error\":{\"code\":" code ",\"message\":\"" message "\",\"errors\":[{\"message\":" \
	"\"" message "\",\"domain\":\"global\",\"reason\":\"" reason "\"}]}}"

/* A file of the test's folder that only we may read. Returns its path. */
const char *gcs_file(const char *name, const char *text);
/* The file of a service account; uri NULL: it names no token server. */
const char *gcs_account(const char *name, const char *type, const char *key, const char *uri);
/* path NULL: no option `credentials`. */
void gcs_begin_with(const char *path, const char *more);
/* An instance whose first op logs in, as a service account. */
void gcs_begin(const char *more);
/* The same; whatever is asked after the login, this is the answer. Repeats end soon. */
void gcs_begin_always(const struct script_reply *reply);
void gcs_end(void);
void gcs_expect(const struct script_want *want, const struct script_reply *reply);
void gcs_expect_login(const char *body);
/* Group setup: what Google's tools read from the environment is not there, HOME is empty. */
int gcs_without_environment(void **state);

#endif
