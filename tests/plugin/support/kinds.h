/* kinds - what the tests of CDNs and of steering share: their verbs with the usual input, and an
 * identity of Azure's. On the running store and script. */
#ifndef DIF_TESTS_KINDS_H
#define DIF_TESTS_KINDS_H

#include "tests/plugin/support/checks.h"
#include "tests/plugin/support/running.h"

#define IDEM "0123456789abcdef0123456789abcdef"
#define RECORD "www.prep.example"

void kinds_begin(const char *ini);
void kinds_end(void);
void kinds_expect(const struct script_want *want, const struct script_reply *reply);

/* items: paths or tags; for paths, the addresses are those of https://www.prep.example. */
const struct store_out *cdn_purge(enum dif_purge_scope scope, const char *const *items, uint32_t n);
const struct store_out *cdn_state(const char *ticket);

/* TTL 60. */
const struct store_out *steer_get(const char *type);
const struct store_out *steer_set(const char *type, const struct dif_target *targets, uint32_t n,
                                  const char *tag);
const struct store_out *steer_state(const char *ticket);
/* The target of that name came out with this value and weight. */
void check_target(const struct store_out *out, const char *name, const char *value,
                  uint32_t weight);

/* Lines of a section: a subscription, a group and an application with a secret. */
#define MANAGER                                                                            \
	"subscription = 0b1f\nresource_group = prep\ntenant_id = tenant\nclient_id = id\n" \
	"client_secret = a-secret-of-the-tests\n"
#define MANAGED "https://management.azure.com/subscriptions/0b1f/resourceGroups/prep/providers"
void manager_expect_login(void); /* the token is eyJ0.token */
void manager_begin(const char *ini);
/* Group setup: what the machine's owner set for other programs does not reach the tests. */
int kinds_without_environment(void **state);

#endif
