/* checks - what tests of stores ask of an outcome and of a request. */
#ifndef DIF_TESTS_CHECKS_H
#define DIF_TESTS_CHECKS_H

#include "tests/plugin/support/store.h"
#include "tests/unit/support/script.h"

void check_ok(const struct store_out *out);
void check_class(const struct store_out *out, enum dif_class cls);
void check_text(const struct store_out *out, const char *part); /* of the sentence */
/* Lists with a server that answers every request with 200 and these bytes. It must not succeed, nor
 * leave a row. */
void check_no_page(const char *ini, const struct dif_list *in, const char *reply, size_t n);
/* Opening must fail with a sentence that holds part. */
void check_refused(const char *ini, const char *part);
/* Signs the request again, from what went out, with code that is not the plug-in's; and asserts
 * that nothing went out unsigned. */
void check_sigv4(const struct script_seen *seen, const char *region, const char *secret);
/* The same for another service than s3, which signs the body without a field for its digest. */
void check_sigv4_of(const struct script_seen *seen, const char *region, const char *service,
                    const char *secret);

#endif
