/* Packages as a whole: cut, damaged, counted, limited, large; and the digest beside them. */
#include "support.h"

#include "support/evil.h"
#include "support/verdict.h"

TEST(an_archive_cut_anywhere_is_refused)
{
	UNUSED_STATE;
	const struct evil_archive a = {FILES(INDEX, A(.descriptor = 16), Z()), .end64 = true,
	                               .comment = EVIL("corte")};
	size_t n;
	uint8_t *p = evil_build(&a, &n);
	struct dif_error err;
	for (size_t cut = 0; cut < n; cut++) {
		if (verdict_bytes(p, cut, NULL, NULL, NULL, &err)) {
			fail_msg("accepted at %zu of %zu bytes", cut, n);
		}
		assert_int_equal(err.exit, DIF_EXIT_PACKAGE);
	}
	free(p);
}

/* Dates, comments and the like may differ; what a reader gets may not. */
TEST(a_damaged_byte_never_changes_what_is_read)
{
	UNUSED_STATE;
	const struct evil_archive a = {FILES(INDEX, A(.descriptor = 24, .dir64 = EVIL_LONG), Z()),
	                               .end64 = true};
	size_t n;
	uint8_t *p = evil_build(&a, &n);
	static const uint8_t flips[] = {0x01, 0x08, 0x80, 0xff};
	for (size_t i = 0; i < n; i++) {
		for (size_t f = 0; f < sizeof flips; f++) {
			struct verdict_back back = {.files = a.files, .n = a.nfiles};
			struct dif_error err;
			p[i] ^= flips[f];
			if (verdict_bytes(p, n, NULL, verdict_compare, &back, &err)) {
				assert_int_equal(back.seen, a.nfiles);
			}
			p[i] ^= flips[f];
		}
	}
	free(p);
}

TEST(what_is_no_archive_is_refused)
{
	UNUSED_STATE;
	static const char page[] = "<html><body>503 Service Unavailable</body></html>";
	struct dif_error err;
	assert_false(verdict_bytes("", 0, NULL, NULL, NULL, &err));
	assert_non_null(strstr(err.text, "empty"));
	assert_false(verdict_bytes(page, sizeof page - 1, NULL, NULL, NULL, &err));
	assert_non_null(strstr(err.text, "no ZIP archive"));
	assert_false(verdict_file(test_folder(), NULL, NULL, NULL, &err));
	assert_non_null(strstr(err.text, "regular file"));
	assert_int_equal(err.exit, DIF_EXIT_PACKAGE);
	assert_false(verdict_file("/nonexistent/p.zip", NULL, NULL, NULL, &err));
	assert_non_null(strstr(err.text, "could not accept package '/nonexistent/p.zip'"));
}

TEST(a_doubled_body_and_line_ends_made_anew_are_refused)
{
	UNUSED_STATE;
	const struct evil_archive a = {FILES(INDEX, A(), Z())};
	size_t n, to = 0;
	uint8_t *p = evil_build(&a, &n);
	uint8_t *twice = malloc(2 * n);
	assert_non_null(twice);
	memcpy(twice, p, n);
	memcpy(twice + n, p, n);
	struct dif_error err;
	assert_false(verdict_bytes(twice, 2 * n, NULL, NULL, NULL, &err));
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			twice[to++] = '\r';
		}
		twice[to++] = p[i];
	}
	if (to != n) {
		assert_false(verdict_bytes(twice, to, NULL, NULL, NULL, &err));
	}
	free(twice);
	free(p);
}

TEST(every_limit_holds)
{
	UNUSED_STATE;
	const struct evil_archive a = {
		FILES(INDEX, {.name = EVIL("one/two/three.json"), .data = EVIL(TEXT)})};
	size_t n;
	uint8_t *p = evil_build(&a, &n);
	static const struct {
		size_t offset;
		int64_t value;
		const char *says;
	} t[] = {
		{offsetof(struct dif_limits, package), 100, "over the limit of 100"},
		{offsetof(struct dif_limits, entries), 1, "over 1 entries"},
		{offsetof(struct dif_limits, entry), (int64_t)TEXT_N - 1, "limit of one entry"},
		{offsetof(struct dif_limits, total), (int64_t)TEXT_N + 10, "all entries together"},
		{offsetof(struct dif_limits, name), 17, "limit of its length"},
		{offsetof(struct dif_limits, component), 9, "a segment is over the limit"},
		{offsetof(struct dif_limits, segments), 2, "folders in folders"},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct dif_limits l = dif_limits_default;
		struct dif_error err;
		memcpy((char *)&l + t[i].offset, &t[i].value, sizeof t[i].value);
		assert_false(verdict_bytes(p, n, &l, NULL, NULL, &err));
		if (strstr(err.text, t[i].says) == NULL) {
			fail_msg("expected '%s' in: %s", t[i].says, err.text);
		}
		assert_int_equal(err.exit, DIF_EXIT_PACKAGE);
	}
	free(p);
}

static void many(size_t n, bool end64, const char *says)
{
	struct evil_file *f = calloc(n, sizeof *f);
	char(*names)[24] = calloc(n, sizeof *names);
	assert_non_null(f);
	assert_non_null(names);
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof names[i], "f%zu", i);
		f[i].name = (struct evil_bytes){names[i], strlen(names[i])};
		f[i].data = f[i].name;
	}
	const struct evil_archive a = {.files = f, .nfiles = n, .end64 = end64};
	size_t bytes;
	uint8_t *p = evil_build(&a, &bytes);
	struct dif_error err;
	char path[320];
	snprintf(path, sizeof path, "%s/many.zip", test_folder());
	test_write(path, p, bytes);
	struct dif_package *package = dif_package_open(path, NULL, &err);
	if (says == NULL) {
		if (package == NULL) {
			fail_msg("%zu members: %s", n, err.text);
		}
		assert_int_equal(package->n, n);
	} else {
		assert_null(package);
		assert_non_null(strstr(err.text, says));
	}
	dif_package_close(package);
	free(p);
	free(names);
	free(f);
}

TEST(members_around_65535_are_counted_right)
{
	UNUSED_STATE;
	many(65534, false, NULL);
	many(65535, false, NULL); /* the count is at its maximum, and true */
	many(65535, true, NULL);
	many(65536, true, NULL);
	many(65537, false, "counted"); /* a writer that lets the count wrap */
}

TEST(compression_of_900_to_1_is_no_bomb)
{
	UNUSED_STATE;
	size_t n = 9u << 20, bytes; /* more than one call inflates */
	char *zeros = calloc(1, n);
	assert_non_null(zeros);
	const struct evil_file f[] = {
		INDEX, {.name = EVIL("zeros.csv"), .data = {zeros, n}, .deflate = true}};
	const struct evil_archive a = {.files = f, .nfiles = 2};
	uint8_t *p = evil_build(&a, &bytes);
	struct verdict_back back = {.files = f, .n = 2};
	struct dif_error err;
	assert_true(n / bytes > 900);
	assert_true(verdict_bytes(p, bytes, NULL, verdict_compare, &back, &err));
	assert_int_equal(back.seen, 2);
	free(p);
	free(zeros);
}

TEST(a_large_entry_that_lies_is_noticed_while_it_streams)
{
	UNUSED_STATE;
	size_t n = 5u << 20;
	char *text = malloc(n);
	assert_non_null(text);
	for (size_t i = 0; i < n; i++) {
		text[i] = (char)('0' + i * i % 77);
	}
	static const struct {
		struct evil_patch patch[2];
		struct evil_bytes tail;
		const char *says;
		int exit;
	} t[] = {
		{{{EVIL_LOCAL, 1, 22, 4, 1, true}, {EVIL_DIR, 1, 24, 4, 1, true}},
	         {0},
	         "smaller",
	         6},
		{{{EVIL_LOCAL, 1, 22, 4, UINT32_MAX, true}, {EVIL_DIR, 1, 24, 4, UINT32_MAX, true}},
	         {0},
	         "larger",
	         6},
		{{{EVIL_LOCAL, 1, 14, 4, 1, true}, {EVIL_DIR, 1, 16, 4, 1, true}},
	         {0},
	         "CRC-32",
	         5},
		{{{0}}, EVIL("x"), "trailing", 6},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		const struct evil_file f[] = {INDEX,
		                              {.name = EVIL("big.csv"),
		                               .data = {text, n},
		                               .deflate = true,
		                               .tail = t[i].tail}};
		struct evil_archive a = {.files = f, .nfiles = 2};
		memcpy(a.patch, t[i].patch, sizeof t[i].patch);
		size_t bytes;
		uint8_t *p = evil_build(&a, &bytes);
		struct dif_error err;
		assert_false(verdict_bytes(p, bytes, NULL, NULL, NULL, &err));
		assert_non_null(strstr(err.text, t[i].says));
		assert_int_equal(err.exit, t[i].exit);
		free(p);
	}
	free(text);
}

TEST(entries_come_in_the_order_of_their_data)
{
	UNUSED_STATE;
	const struct evil_archive a = {FILES(INDEX, A(), FOLDER(), Z()), .reversed = true};
	size_t n;
	uint8_t *p = evil_build(&a, &n);
	const char *path = test_path("order.zip");
	test_write(path, p, n);
	free(p);
	struct dif_error err;
	struct dif_package *k = dif_package_open(path, NULL, &err);
	assert_non_null(k);
	assert_int_equal(k->n, 3);
	assert_string_equal(k->entries[0].name, "index.html");
	assert_string_equal(k->entries[1].name, "a.json");
	assert_string_equal(k->entries[2].name, "z.json");
	assert_int_equal(k->total, sizeof(PAGE) - 1 + 2 * TEXT_N);
	assert_int_equal(k->bytes, n);
	assert_false(k->rehearsal);
	assert_ptr_equal(dif_package_find(k, "a.json"), &k->entries[1]);
	assert_null(dif_package_find(k, "dir/"));
	assert_null(k->warnings[0]);
	dif_package_close(k);
}

TEST(simulacro_at_the_root_is_a_rehearsal)
{
	UNUSED_STATE;
	static const struct {
		struct evil_bytes name;
		bool yes;
	} t[] = {{EVIL("SIMULACRO.json"), true},
	         {EVIL("a/SIMULACRO.json"), false},
	         {EVIL("simulacro.json"), false}};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		const struct evil_file f[] = {INDEX, {.name = t[i].name, .data = EVIL("{}")}};
		const struct evil_archive a = {.files = f, .nfiles = 2};
		size_t n;
		uint8_t *p = evil_build(&a, &n);
		const char *path = test_path("rehearsal.zip");
		test_write(path, p, n);
		free(p);
		struct dif_package *k = dif_package_open(path, NULL, NULL);
		assert_non_null(k);
		assert_int_equal(k->rehearsal, t[i].yes);
		dif_package_close(k);
	}
}

TEST(side_car_digests_are_read_as_sha256sum_writes_them)
{
	UNUSED_STATE;
	const struct evil_archive a = {FILES(INDEX)};
	size_t n;
	uint8_t *p = evil_build(&a, &n);
	const char *path = test_path("digest.zip"), *side = test_path("digest.zip.sha256");
	test_write(path, p, n);
	free(p);
	struct dif_error err;
	struct dif_package *k = dif_package_open(path, NULL, &err);
	assert_non_null(k);
	char other[65], upper[65];
	for (int i = 0; i < 65; i++) {
		other[i] = k->sha256[i];
		upper[i] = (char)(k->sha256[i] >= 'a' ? k->sha256[i] - 32 : k->sha256[i]);
	}
	other[63] = other[63] == '0' ? '1' : '0';
	struct {
		const char *before, *hex, *behind;
		bool good;
	} t[] = {
		{"", k->sha256, "", true},
		{"", k->sha256, "\n", true},
		{"", k->sha256, "  digest.zip\n", true},
		{"", k->sha256, " *digest.zip\n", true},
		{"", k->sha256, "  digest.zip\r\n", true},
		{"", upper, "  digest.zip\n", true},
		{"\\", k->sha256, "  dig\\nest.zip\n", true},
		{"", other, "  digest.zip\n", false},
		{"", k->sha256, "0\n", false},
		{"", k->sha256 + 1, "\n", false},
		{"", k->sha256, " digest.zip\n", false},
		{"", k->sha256, "  a\nmore\n", false},
		{"SHA256 (digest.zip) = ", k->sha256, "\n", false},
		{"", "", "", false},
		{"<html>", "", "404", false},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		char text[256];
		snprintf(text, sizeof text, "%s%s%s", t[i].before, t[i].hex, t[i].behind);
		test_write(side, text, strlen(text));
		dif_error_clear(&err);
		if (dif_package_check_digest(k, side, &err) != t[i].good) {
			fail_msg("case %zu: %s", i, err.text);
		}
		assert_int_equal(err.exit, t[i].good ? 0 : DIF_EXIT_DIGEST);
	}
	assert_false(dif_package_check_digest(k, "/nonexistent", &err));
	assert_int_equal(err.exit, DIF_EXIT_OTHER);
	assert_non_null(strstr(err.text, "'/nonexistent': No such file"));
	assert_false(dif_package_check_digest(k, "/", &err));
	assert_int_equal(err.exit, DIF_EXIT_OTHER);
	dif_package_close(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_archive_cut_anywhere_is_refused),
		cmocka_unit_test(a_damaged_byte_never_changes_what_is_read),
		cmocka_unit_test(what_is_no_archive_is_refused),
		cmocka_unit_test(a_doubled_body_and_line_ends_made_anew_are_refused),
		cmocka_unit_test(every_limit_holds),
		cmocka_unit_test(members_around_65535_are_counted_right),
		cmocka_unit_test(compression_of_900_to_1_is_no_bomb),
		cmocka_unit_test(a_large_entry_that_lies_is_noticed_while_it_streams),
		cmocka_unit_test(entries_come_in_the_order_of_their_data),
		cmocka_unit_test(simulacro_at_the_root_is_a_rehearsal),
		cmocka_unit_test(side_car_digests_are_read_as_sha256sum_writes_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
