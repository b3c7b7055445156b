/* azure - see the header. */
#include "tests/plugin/support/azure.h"

#include "host/crypto.h"

void azure_begin(const char *ini)
{
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

void azure_end(void)
{
	script_free(s);
	store_close(st);
}

void azure_expect(const struct script_want *want, const struct script_reply *reply)
{
	script_expect(s, want, reply);
}

void azure_check_signature(size_t request, const char *format)
{
	char text[4096], want[128];
	uint8_t mac[DIF_DIGEST_MAX];
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	const char *date = script_header(s, request, "x-ms-date");
	assert_non_null(date);
	size_t n = (size_t)(strstr(format, "%s") - format);
	(void)snprintf(text, sizeof text, "%.*s%s%s", (int)n, format, date, format + n + 2);
	assert_true(dif_hmac(DIF_SHA256, dif_decode(&a, DIF_BASE64, KEY),
	                     (struct dif_bytes){text, strlen(text)}, mac));
	(void)snprintf(want, sizeof want, "SharedKey acct:%s", dif_encode(&a, DIF_BASE64, mac, 32));
	assert_string_equal(script_header(s, request, "authorization"), want);
	dif_arena_fini(&a);
}

int azure_without_environment(void **state)
{
	static const char *const names[] = {"AZURE_STORAGE_ACCOUNT",
	                                    "AZURE_STORAGE_KEY",
	                                    "AZURE_STORAGE_CONNECTION_STRING",
	                                    "AZURE_STORAGE_SAS_TOKEN",
	                                    "AZURE_TENANT_ID",
	                                    "AZURE_CLIENT_ID",
	                                    "AZURE_CLIENT_SECRET",
	                                    "AZURE_FEDERATED_TOKEN_FILE",
	                                    "AZURE_AUTHORITY_HOST",
	                                    "IDENTITY_ENDPOINT",
	                                    "IDENTITY_HEADER"};
	(void)state;
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		(void)unsetenv(names[i]);
	}
	return 0;
}
