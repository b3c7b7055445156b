/* store - what the files of cloud_store share. */
#ifndef DIF_TESTS_CLOUD_STORE_H
#define DIF_TESTS_CLOUD_STORE_H

#include "tests/plugin/support/checks.h"
#include "tests/plugin/support/running.h"

extern char ini[16384]; /* of STORE_INI */
extern const struct dif_caps *caps;
extern const struct dif_field fence[]; /* the metadata of every put */

bool can(uint32_t flag);
/* Some servers know no conditions and say so; then nothing is written, and flow/probe calls them
 * unfenced. */
bool keeps_conditions(void);
struct dif_put put_of(const char *key, const struct dif_blob *blob);
const struct store_out *put(const char *key, const char *text, const char *if_tag, bool if_absent);
void drop(const char *key);
void check_body(const char *key, const char *want);
/* Bytes without a pattern that a store could take for something; free() is the caller's. */
char *odd_bytes(size_t n);

/* store_parts.c */
void parts_make_one_object(void **state_of_test);
void parts_that_are_dropped_leave_nothing(void **state_of_test);
void other_bytes_in_a_part_are_refused(void **state_of_test);
void a_condition_on_parts_holds(void **state_of_test);

#endif
