/* kinds - see the header. */
#include "tests/plugin/support/kinds.h"

int azure_without_environment(void **state);
int gcs_without_environment(void **state);
int without_environment(void **state);

#define ITEMS_MAX 64
#define TTL 60

void kinds_begin(const char *ini)
{
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

void kinds_end(void)
{
	script_free(s);
	store_close(st);
}

void kinds_expect(const struct script_want *want, const struct script_reply *reply)
{
	script_expect(s, want, reply);
}

/* --- CDN --- */

const struct store_out *cdn_purge(enum dif_purge_scope scope, const char *const *items, uint32_t n)
{
	static char urls[ITEMS_MAX][512];
	const char *all[ITEMS_MAX];
	assert_true(n <= ITEMS_MAX);
	for (uint32_t i = 0; i < n; i++) {
		bool tag = scope == DIF_PURGE_TAGS;
		(void)snprintf(urls[i], sizeof urls[i], "%s%.400s", tag ? "" : "https://" RECORD,
		               items[i]);
		all[i] = urls[i];
	}
	return store_verb(
		st, DIF_PURGE,
		&(struct dif_purge){
			.scope = scope, .n = n, .urls = all, .paths = items, .idem = IDEM});
}

const struct store_out *cdn_state(const char *ticket)
{
	return store_verb(st, DIF_PURGE_STATE, &(struct dif_ticket){.id = ticket});
}

/* --- steering --- */

const struct store_out *steer_get(const char *type)
{
	return store_verb(st, DIF_ROUTE_GET, &(struct dif_route){.name = RECORD, .type = type});
}

const struct store_out *steer_set(const char *type, const struct dif_target *targets, uint32_t n,
                                  const char *tag)
{
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = RECORD,
	                                      .type = type,
	                                      .targets = targets,
	                                      .n = n,
	                                      .ttl_s = TTL,
	                                      .if_tag = tag,
	                                      .idem = IDEM});
}

const struct store_out *steer_state(const char *ticket)
{
	return store_verb(st, DIF_ROUTE_STATE, &(struct dif_ticket){.id = ticket});
}

void check_target(const struct store_out *out, const char *name, const char *value, uint32_t weight)
{
	for (uint32_t i = 0; i < out->ntargets; i++) {
		if (strcmp(out->targets[i].name, name) == 0) {
			assert_string_equal(out->targets[i].value, value);
			assert_int_equal(out->targets[i].weight, weight);
			return;
		}
	}
	fail_msg("no target is called '%s'", name);
}

/* --- Azure --- */

#define FORM                                                              \
	"grant_type=client_credentials&client_id=id&scope=https%3A%2F%2F" \
	"management.azure.com%2F.default&client_secret=a-secret-of-the-tests"
#define TOKEN_REPLY                                                        \
	"{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":" \
	"\"eyJ0.token\"}"

void manager_expect_login(void)
{
	kinds_expect(&(struct script_want){.method = "POST",
	                                   .url = "https://login.microsoftonline.com/tenant/oauth2"
	                                          "/v2.0/token",
	                                   .body = FORM},
	             &(struct script_reply){.status = 200, .body = TOKEN_REPLY});
}

void manager_begin(const char *ini)
{
	kinds_begin(ini);
	manager_expect_login();
}

int kinds_without_environment(void **state)
{
	static const char *const names[] = {"AWS_ENDPOINT_URL_CLOUDFRONT",
	                                    "AWS_ENDPOINT_URL_ROUTE_53", "AZURE_SUBSCRIPTION_ID",
	                                    "GOOGLE_CLOUD_PROJECT"};
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		(void)unsetenv(names[i]);
	}
	int rc = without_environment(state);
	rc = rc == 0 ? azure_without_environment(state) : rc;
	return rc == 0 ? gcs_without_environment(state) : rc;
}
