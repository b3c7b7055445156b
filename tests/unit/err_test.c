#include "support.h"

#include "base/err.h"
#include "base/utf8.h"

TEST(setting_starts_afresh)
{
	UNUSED_STATE;
	struct dif_error err;
	dif_error_set(&err, DIF_TRANSIENT, "could not read file '%s': %s", "a", "gone");
	assert_int_equal(err.cls, DIF_TRANSIENT);
	assert_int_equal(err.retry_after, -1);
	assert_string_equal(err.text, "could not read file 'a': gone");
	err.status = 503;
	assert_false(dif_error_exit(&err, DIF_EXIT_DIGEST, DIF_INTEGRITY, "again: %s", err.text));
	assert_int_equal(err.status, 0);
	assert_int_equal(err.exit, DIF_EXIT_DIGEST);
	assert_string_equal(err.text, "again: could not read file 'a': gone");
	dif_error_clear(&err);
	assert_int_equal(err.cls, DIF_OK);
	assert_string_equal(err.text, "");
}

TEST(wrapping_keeps_what_is_known)
{
	UNUSED_STATE;
	struct dif_error err;
	dif_error_set(&err, DIF_AUTH, "denied");
	err.status = 403;
	dif_error_wrap(&err, "could not put object '%s'", "x");
	assert_string_equal(err.text, "could not put object 'x': denied");
	assert_int_equal(err.status, 403);
	assert_int_equal(err.cls, DIF_AUTH);
}

TEST(null_is_taken)
{
	UNUSED_STATE;
	dif_error_clear(NULL);
	dif_error_set(NULL, DIF_AUTH, "x");
	dif_error_wrap(NULL, "x");
	assert_false(dif_error_exit(NULL, 3, DIF_AUTH, "x"));
}

TEST(long_sentences_end_between_characters)
{
	UNUSED_STATE;
	char text[2000];
	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'x', shift);
		for (size_t i = shift; i + 4 < sizeof text; i += 4) {
			memcpy(text + i, "\xf0\x9f\x97\xb3", 5);
		}
		struct dif_error err;
		dif_error_set(&err, DIF_PERMANENT, "%s", text);
		assert_true(strlen(err.text) > sizeof err.text - 6);
		assert_true(dif_utf8_valid(err.text, strlen(err.text)));
		dif_error_wrap(&err, "could not x");
		assert_true(dif_utf8_valid(err.text, strlen(err.text)));
	}
}

TEST(every_class_has_a_name)
{
	UNUSED_STATE;
	for (uint32_t c = 0; c < DIF_CLASSES; c++) {
		assert_non_null(dif_class_name(c));
		assert_string_not_equal(dif_class_name(c), "unknown");
	}
	assert_string_equal(dif_class_name(DIF_CLASSES), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(setting_starts_afresh),
		cmocka_unit_test(wrapping_keeps_what_is_known),
		cmocka_unit_test(null_is_taken),
		cmocka_unit_test(long_sentences_end_between_characters),
		cmocka_unit_test(every_class_has_a_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
