#include "support.h"

#include "flow/class.h"

TEST(globs_match_the_last_part_unless_they_have_a_slash)
{
	UNUSED_STATE;
	static const struct {
		const char *glob, *path;
		bool yes;
	} t[] = {
		{"*.json", "a.json", true},
		{"*.json", "deep/er/a.json", true},
		{"*.json", "a.json/b", false},
		{"index.html", "sub/index.html", true},
		{"/index.html", "index.html", true},
		{"/index.html", "sub/index.html", false},
		{"assets/*.json", "assets/a.json", true},
		{"assets/*.json", "assets/b/a.json", false},
		{"assets/**.json", "assets/b/c/a.json", true},
		{"assets/**/a.json", "assets/a.json", true},
		{"assets/**/a.json", "assets/x/y/a.json", true},
		{"assets/**/a.json", "assets/xa.json", false},
		{"**/a.json", "a.json", true},
		{"**/a.json", "x/a.json", true},
		{"**/a.json", "ba.json", false},
		{"**", "x/y/z", true},
		{"a/**", "a/b/c", true},
		{"a/**", "ab/c", false},
		{"a?c", "x/abc", true},
		{"x/?/c", "x/y/c", true},
		{"x/?/c", "x//c", false},
		{"x?c/d", "x/c/d", false},
		{"*a*b*/c*d", "xaybz/ccd", true},
		{"*a*b*/c*d", "xaybz/ccde", false},
		{"**/b/*.x", "a/b/c/b/d.x", true},
		{"**/b/*.x", "a/b/c/d/e.x", false},
		{"*", "anything", true},
		{"", "a", false},
		{"%41*", "%41b", true},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		if (dif_glob(t[i].glob, t[i].path) != t[i].yes) {
			fail_msg("'%s' on '%s'", t[i].glob, t[i].path);
		}
	}
}

TEST(a_glob_of_many_stars_ends_soon)
{
	UNUSED_STATE;
	char path[901];
	memset(path, 'a', 900);
	path[900] = '\0';
	assert_false(dif_glob("**/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path));
	assert_true(dif_glob("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*", path));
}

TEST(defaults_tell_entry_asset_and_data)
{
	UNUSED_STATE;
	static const struct {
		const char *path, *name;
	} t[] = {
		{"index.html", "entry"},
		{"presidencia/index.html", "entry"},
		{"app.4f1c9a2b.html", "entry"},
		{"main.4f1c9a2b.js", "asset"},
		{"main-4F1C9A2B00.css", "asset"},
		{"main.12345678.js", "asset"},
		{"chunk-7QXKJ2AB.js", "asset"},
		{"chunk-ABCDEFGH.js", "asset"},
		{"font.ABCDEFGH.woff2", "asset"},
		{"es-7QXKJ2AB.json", "asset"},
		{"a/b/es.0123456789abcdef.json", "asset"},
		{"chunk-7QXKJ2ABC.js", "data"},
		{"chunk-7QXKJ2A.js", "data"},
		{"4f1c9a2b.js", "data"},
		{"main.4f1c9a2.js", "data"},
		{"main.4f1c9a2b", "data"},
		{"main_4f1c9a2b.js", "data"},
		{"a-4f1c9a2b/data.json", "data"},
		{"corte-20240603.csv", "data"},
		{"corte-03062024.csv", "data"},
		{"corte-202406032005.json", "data"},
		{"corte-1717459200123.json", "data"},
		{"AVANCE-NACIONAL.json", "data"},
		{"assets/avanceNacional.json", "data"},
		{"noextension", "data"},
		{"styles.css", "data"},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		assert_string_equal(dif_class_of(NULL, 0, t[i].path)->name, t[i].name);
	}
	assert_non_null(strstr(dif_class_of(NULL, 0, "m.4f1c9a2b.js")->cache_control, "immutable"));
	assert_null(strstr(dif_class_of(NULL, 0, "corte-20240603.csv")->cache_control, "immut"));
	assert_int_equal(dif_class_of(NULL, 0, "index.html")->phase, DIF_ENTRY);
}

TEST(the_last_default_matches_everything)
{
	UNUSED_STATE;
	const struct dif_class_rule *last = &dif_class_defaults[dif_class_ndefaults - 1];
	assert_true(dif_glob(last->match[0], "any/path at all"));
	assert_string_equal(last->name, "data");
}

TEST(configured_classes_come_first_and_the_first_match_wins)
{
	UNUSED_STATE;
	static const char *const summary[] = {"assets/*Nacional.json", "*.sum", NULL};
	static const char *const json[] = {"*.json", NULL};
	static const struct dif_class_rule rules[] = {
		{.name = "summary", .match = summary, .phase = DIF_AGGREGATE},
		{.name = "json", .match = json, .phase = DIF_DATA, .store_as = DIF_GZIP},
	};
	assert_string_equal(dif_class_of(rules, 2, "assets/avanceNacional.json")->name, "summary");
	assert_string_equal(dif_class_of(rules, 2, "x/y.sum")->name, "summary");
	assert_string_equal(dif_class_of(rules, 2, "assets/entidad/1.json")->name, "json");
	assert_string_equal(dif_class_of(rules, 2, "index.html")->name, "entry");
}

TEST(content_types_are_honest)
{
	UNUSED_STATE;
	assert_string_equal(dif_class_type("a/index.html"), "text/html; charset=utf-8");
	assert_string_equal(dif_class_type("A.JSON"), "application/json; charset=utf-8");
	assert_string_equal(dif_class_type("x.csv"), "text/csv");
	assert_string_equal(dif_class_type("x.txt"), "text/plain");
	assert_string_equal(dif_class_type("x.tar.zip"), "application/zip");
	assert_string_equal(dif_class_type("x.json/none"), "application/octet-stream");
	assert_string_equal(dif_class_type("x"), "application/octet-stream");
	assert_string_equal(dif_class_type("x.woff2"), "font/woff2");
}

TEST(phases_have_names)
{
	UNUSED_STATE;
	assert_string_equal(dif_phase_name(DIF_AGGREGATE), "aggregate");
	assert_string_equal(dif_phase_name(DIF_PHASES), "unknown");
}

/* Names as the packages of 2018 to 2024 had them. */
TEST(the_defaults_suit_a_results_package)
{
	UNUSED_STATE;
	static const char entry[] =
		"public, max-age=1, stale-while-revalidate=5, stale-if-error=86400";
	static const char data[] =
		"public, max-age=5, stale-while-revalidate=30, stale-if-error=86400";
	static const char asset[] = "public, max-age=31536000, immutable";
	static const struct {
		const char *path, *cache, *type;
	} rows[] = {
		{"index.html", entry, "text/html; charset=utf-8"},
		{"main.4f1c0a9be2d35c71.js", asset, "text/javascript; charset=utf-8"},
		{"styles.0b1c2d3e4f5a6b7c.css", asset, "text/css; charset=utf-8"},
		{"assets/presidencia/avanceNacional.json", data, "application/json; charset=utf-8"},
		{"assets/JSON/PRESIDENTE/NACIONAL/Presidente_NACIONAL.json", data,
	         "application/json; charset=utf-8"},
		{"assets/20240603_2005_PREP.zip", data, "application/zip"},
		{"assets/csv/PRES_2024.csv", data, "text/csv"},
		{"assets/img/!Ciudad.svg", data, "image/svg+xml; charset=utf-8"},
		{"assets/fonts/roboto.woff2", data, "font/woff2"},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		const struct dif_class_rule *r = dif_class_of(NULL, 0, rows[i].path);
		assert_string_equal(r->cache_control, rows[i].cache);
		assert_string_equal(dif_class_type(rows[i].path), rows[i].type);
		assert_int_equal(r->store_as, DIF_IDENTITY);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs_match_the_last_part_unless_they_have_a_slash),
		cmocka_unit_test(a_glob_of_many_stars_ends_soon),
		cmocka_unit_test(defaults_tell_entry_asset_and_data),
		cmocka_unit_test(the_last_default_matches_everything),
		cmocka_unit_test(configured_classes_come_first_and_the_first_match_wins),
		cmocka_unit_test(content_types_are_honest),
		cmocka_unit_test(the_defaults_suit_a_results_package),
		cmocka_unit_test(phases_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
