/* store - what every store plug-in must do against a real server, over TLS.
 *
 * STORE_INI names a file whose first section reaches an empty bucket or container; PLUGINS_D the
 * folder of the plug-ins. tests/cloud/run starts servers and calls this.
 */
#include "tests/plugin/support/store.h"

#define BODY "hello world"

static struct store *st;
static uint32_t flags; /* of the instance's caps */

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = calloc(1, 16384);
	assert_non_null(f);
	assert_non_null(text);
	assert_true(fread(text, 1, 16383, f) > 0);
	(void)fclose(f);
	return text;
}

static int setup(void **state)
{
	(void)state;
	const char *path = getenv("STORE_INI");
	assert_non_null(path);
	char *ini = slurp(path);
	st = store_open(ini, NULL);
	free(ini);
	flags = dif_instance_caps(st->instance)->flags;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(st);
	return 0;
}

static void assert_ok(const struct store_out *out)
{
	if (out->err.cls != DIF_OK) {
		fail_msg("%s: %s", dif_class_name(out->err.cls), out->err.text);
	}
}

static void assert_class(const struct store_out *out, enum dif_class cls)
{
	if (out->err.cls != cls) {
		fail_msg("%s instead of %s: %s", dif_class_name(out->err.cls), dif_class_name(cls),
		         out->err.text);
	}
}

TEST(probe_reaches_the_store)
{
	UNUSED_STATE;
	assert_ok(store_probe(st));
}

TEST(a_missing_key_is_an_answer)
{
	UNUSED_STATE;
	assert_class(store_head(st, &(struct dif_get){.key = "missing"}), DIF_NOT_FOUND);
	assert_class(store_get(st, &(struct dif_get){.key = "missing"}), DIF_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_reaches_the_store),
		cmocka_unit_test(a_missing_key_is_an_answer),
	};
	(void)flags;
	return cmocka_run_group_tests_name("cloud", tests, setup, teardown);
}
