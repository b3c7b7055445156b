/* gcs - see the header. */
#include "tests/plugin/support/gcs.h"

#include <sys/stat.h>

#include "base/parse.h"
#include "host/crypto.h"
#include "tests/unit/support/rsa_key.h"

const char *gcs_file(const char *name, const char *text)
{
	const char *path = test_path(name);
	test_write(path, text, strlen(text));
	assert_int_equal(chmod(path, 0600), 0);
	return path;
}

const char *gcs_account(const char *name, const char *type, const char *key, const char *uri)
{
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, false);
	const char *text = dif_arena_fmt(
		&a,
		"{\"type\":\"%s\",\"private_key_id\":\"key-1\",\"private_key\":\"%s\","
		"\"client_email\":\"" EMAIL "\"%s%s%s}",
		type, dif_encode(&a, DIF_JSON, key, strlen(key)),
		uri != NULL ? ",\"token_uri\":\"" : "", uri != NULL ? uri : "",
		uri != NULL ? "\"" : "");
	const char *path = gcs_file(name, text);
	dif_arena_fini(&a);
	return path;
}

void gcs_begin_with(const char *path, const char *more)
{
	char ini[8192];
	(void)snprintf(ini, sizeof ini, "[store t]\nplugin = gcs\nbucket = bucket-1\n%s%s\n%s",
	               path != NULL ? "credentials = " : "", path != NULL ? path : "", more);
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

void gcs_expect(const struct script_want *want, const struct script_reply *reply)
{
	script_expect(s, want, reply);
}

void gcs_expect_login(const char *body)
{
	gcs_expect(&(struct script_want){.method = "POST",
	                                 .url = TOKEN_URI,
	                                 .fields = {"content-type: "
	                                            "application/x-www-form-urlencoded",
	                                            "!authorization"}},
	           &(struct script_reply){.status = 200, .body = body});
}

void gcs_begin(const char *more)
{
	gcs_begin_with(gcs_account("sa.json", "service_account", test_rsa_pkcs8, TOKEN_URI), more);
	gcs_expect_login(TOKEN("ya29.token-1"));
}

static void always(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	bool login = strcmp(seen->url, TOKEN_URI) == 0;
	*reply = login ? (struct script_reply){.status = 200, .body = TOKEN("ya29.token-2")}
	               : *(struct script_reply *)data;
}

void gcs_begin_always(const struct script_reply *reply)
{
	static struct script_reply kept;
	kept = *reply;
	gcs_begin("");
	script_answer(s, always, &kept);
	st->deadline_ms = 700;
}

void gcs_end(void)
{
	script_free(s);
	store_close(st);
}

int gcs_without_environment(void **state)
{
	static const char *const names[] = {"GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG",
	                                    "GCE_METADATA_HOST", "GOOGLE_CLOUD_QUOTA_PROJECT"};
	(void)state;
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		unsetenv(names[i]);
	}
	return setenv("HOME", test_folder(), 1);
}
