#include "support.h"

#include "flow/purge_plan.h"

#define URLS DIF_HAS(DIF_PURGE_URLS)
#define PREFIXES DIF_HAS(DIF_PURGE_PREFIXES)
#define TAGS DIF_HAS(DIF_PURGE_TAGS)
#define ALL DIF_HAS(DIF_PURGE_ALL)
#define PUBLIC_URL "https://www.prep.example/prep/"

static struct dif_caps caps;
static struct dif_purge_rules rules;

static void begin(uint32_t scopes)
{
	caps = (struct dif_caps){.size = sizeof caps, .purge_scopes = scopes};
	rules = (struct dif_purge_rules){
		.caps = &caps, .public_url = PUBLIC_URL, .deep_links = DIF_DEEP_NONE};
}

static void check(const struct dif_change_of *keys, uint32_t n, const char *const *expected,
                  uint32_t nexpected)
{
	struct dif_purge_plan p;
	assert_true(dif_purge_plan_init(&p, &rules, keys, n));
	for (uint32_t i = 0; i < p.n && i < nexpected; i++) {
		char line[512];
		snprintf(line, sizeof line, "%s %s%s%s", dif_purge_scope_name(p.items[i].scope),
		         p.items[i].text, (p.items[i].passes & DIF_PASS_NOW) ? "" : " not now",
		         (p.items[i].passes & DIF_PASS_AGAIN) ? " again" : "");
		assert_string_equal(line, expected[i]);
	}
	assert_int_equal(p.n, nexpected);
	dif_purge_plan_fini(&p);
}
#define CHECK(keys, ...)                                                           \
	do {                                                                       \
		const char *const expected[] = {__VA_ARGS__};                      \
		check(keys, DIF_LEN(keys), expected, (uint32_t)DIF_LEN(expected)); \
	} while (0)

static const struct dif_change_of page = {"index.html", DIF_ENTRY, DIF_CHANGED};
static const struct dif_change_of data = {"data/a.json", DIF_DATA, DIF_CHANGED};

TEST(exact_addresses_are_sorted_and_distinct)
{
	UNUSED_STATE;
	begin(URLS | ALL);
	const struct dif_change_of keys[] = {{"z.json", DIF_DATA, DIF_CHANGED},
	                                     data,
	                                     data,
	                                     {"total.json", DIF_AGGREGATE, DIF_CHANGED}};
	CHECK(keys, "urls /prep/data/a.json", "urls /prep/total.json again", "urls /prep/z.json");
}

TEST(an_index_goes_with_and_without_its_name)
{
	UNUSED_STATE;
	begin(URLS);
	const struct dif_change_of keys[] = {page,
	                                     {"a/index.html", DIF_ENTRY, DIF_CHANGED},
	                                     {"b/myindex.html", DIF_ENTRY, DIF_CHANGED}};
	CHECK(keys, "urls /prep/ again", "urls /prep/a/ again", "urls /prep/a/index.html again",
	      "urls /prep/b/myindex.html again", "urls /prep/index.html again");
}

TEST(names_go_as_every_program_spells_them)
{
	UNUSED_STATE;
	begin(URLS);
	const struct dif_change_of keys[] = {
		{"!Ciudad de M\xc3\xa9xico.svg", DIF_DATA, DIF_CHANGED},
		{"a*b@c.json", DIF_DATA, DIF_CHANGED},
		{"50%25?#.csv", DIF_DATA, DIF_CHANGED}};
	CHECK(keys, "urls /prep/!Ciudad%20de%20M%C3%A9xico.svg",
	      "urls /prep/%21Ciudad%20de%20M%C3%A9xico.svg", "urls /prep/50%2525%3F%23.csv",
	      "urls /prep/a%2Ab%40c.json", "urls /prep/a%2Ab@c.json");
}

TEST(assets_of_the_same_content_are_left_alone)
{
	UNUSED_STATE;
	begin(URLS);
	const struct dif_change_of keys[] = {{"app.0123abcd.js", DIF_ASSET, DIF_SAME},
	                                     {"new.0123abcd.js", DIF_ASSET, DIF_CREATED},
	                                     {"old.json", DIF_DATA, DIF_REMOVED},
	                                     {"same.json", DIF_DATA, DIF_SAME}};
	CHECK(keys, "urls /prep/new.0123abcd.js", "urls /prep/old.json", "urls /prep/same.json");
}

TEST(nothing_changed_asks_for_nothing)
{
	UNUSED_STATE;
	begin(URLS | ALL);
	struct dif_purge_plan p;
	assert_true(dif_purge_plan_init(&p, &rules, NULL, 0));
	assert_int_equal(p.n, 0);
	dif_purge_plan_fini(&p);
	const struct dif_change_of keys[] = {{"app.0123abcd.js", DIF_ASSET, DIF_SAME}};
	caps.purge_scopes = ALL;
	check(keys, 1, NULL, 0);
}

TEST(what_is_not_worth_it_goes_as_something_wider)
{
	UNUSED_STATE;
	const struct dif_change_of keys[] = {data,
	                                     {"data/b.json", DIF_DATA, DIF_CHANGED},
	                                     {"data/c.json", DIF_DATA, DIF_CHANGED},
	                                     {"more/d.json", DIF_DATA, DIF_CHANGED},
	                                     {"total.json", DIF_AGGREGATE, DIF_CHANGED}};
	begin(URLS | ALL);
	caps.purge_worth = 3;
	CHECK(keys, "urls /prep/total.json not now again", "all ");
	rules.paths_max = 5; /* the configuration's word counts */
	CHECK(keys, "urls /prep/data/a.json", "urls /prep/data/b.json", "urls /prep/data/c.json",
	      "urls /prep/more/d.json", "urls /prep/total.json again");
	rules.paths_max = 3;
	caps.purge_scopes = URLS | PREFIXES | ALL;
	CHECK(keys, "urls /prep/more/d.json", "urls /prep/total.json again",
	      "prefixes /prep/data/");
	caps.purge_scopes = URLS | PREFIXES | TAGS | ALL;
	rules.tag = "prep-site";
	CHECK(keys, "urls /prep/total.json not now again", "tags prep-site");
	caps.purge_scopes = URLS; /* nothing wider there is */
	CHECK(keys, "urls /prep/data/a.json", "urls /prep/data/b.json", "urls /prep/data/c.json",
	      "urls /prep/more/d.json", "urls /prep/total.json again");
}

TEST(a_tag_does_not_stand_for_what_was_not_there)
{
	UNUSED_STATE;
	begin(URLS | TAGS | ALL);
	rules.tag = "site";
	rules.paths_max = 2;
	const struct dif_change_of keys[] = {data,
	                                     {"data/b.json", DIF_DATA, DIF_CHANGED},
	                                     {"data/c.json", DIF_DATA, DIF_CREATED}};
	CHECK(keys, "urls /prep/data/c.json", "tags site");
	const struct dif_change_of many[] = {{"data/a.json", DIF_DATA, DIF_CREATED},
	                                     {"data/b.json", DIF_DATA, DIF_CREATED},
	                                     {"data/c.json", DIF_DATA, DIF_CREATED}};
	CHECK(many, "all ");
	caps.purge_scopes = URLS | TAGS;
	const struct dif_change_of mixed[] = {
		data, many[1], many[2], {"data/d.json", DIF_DATA, DIF_CREATED}};
	CHECK(mixed, "urls /prep/data/b.json", "urls /prep/data/c.json", "urls /prep/data/d.json",
	      "tags site");
}

TEST(too_many_in_the_root_purge_the_root)
{
	UNUSED_STATE;
	begin(URLS | PREFIXES | ALL);
	rules.paths_max = 1;
	const struct dif_change_of keys[] = {
		{"a.json", DIF_DATA, DIF_CHANGED}, {"b.json", DIF_DATA, DIF_CHANGED}, data};
	CHECK(keys, "prefixes /prep/");
}

TEST(deep_links_go_below_a_changed_index_alone)
{
	UNUSED_STATE;
	begin(URLS | PREFIXES | ALL);
	rules.deep_links = DIF_DEEP_PREFIX;
	const struct dif_change_of none[] = {data, {"page.html", DIF_ENTRY, DIF_CHANGED}};
	CHECK(none, "urls /prep/data/a.json", "urls /prep/page.html again");
	const struct dif_change_of sub[] = {data, {"a b/index.html", DIF_ENTRY, DIF_CHANGED}};
	CHECK(sub, "urls /prep/data/a.json", "prefixes /prep/a%20b/ again");
	const struct dif_change_of root[] = {data, page, sub[1]};
	CHECK(root, "prefixes /prep/ again");
	rules.deep_links = DIF_DEEP_ALL;
	CHECK(sub, "all  again");
	caps.purge_scopes = URLS | ALL; /* no prefixes there */
	rules.deep_links = DIF_DEEP_PREFIX;
	CHECK(sub, "all  again");
	rules.tag = "site";
	caps.purge_scopes = URLS | TAGS | ALL;
	CHECK(sub, "tags site again");
	caps.purge_scopes = URLS;
	CHECK(sub, "urls /prep/a%20b/ again", "urls /prep/a%20b/index.html again",
	      "urls /prep/data/a.json");
}

TEST(a_cdn_without_addresses_has_both_passes_wide)
{
	UNUSED_STATE;
	begin(ALL);
	const struct dif_change_of early[] = {page};
	CHECK(early, "all  again");
	const struct dif_change_of late[] = {data};
	CHECK(late, "all ");
}

TEST(the_second_pass_is_wide_only_where_its_addresses_are_not_worth_it)
{
	UNUSED_STATE;
	begin(URLS | ALL);
	rules.paths_max = 1;
	const struct dif_change_of keys[] = {{"a.json", DIF_AGGREGATE, DIF_CHANGED},
	                                     {"b.json", DIF_AGGREGATE, DIF_CHANGED}};
	CHECK(keys, "all  again");
}

/* --- batches --- */

TEST(a_purge_keeps_count_and_bytes)
{
	UNUSED_STATE;
	begin(URLS | PREFIXES);
	struct dif_purge_item list[10];
	const struct dif_purge_item *items[10];
	for (uint32_t i = 0; i < 10; i++) {
		list[i] = (struct dif_purge_item){.scope = DIF_PURGE_URLS, .text = "/1234567"};
		items[i] = &list[i];
	}
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 10);
	caps.purge_max = 7;
	caps.purge_wide_max = 2;
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 7);
	caps.purge_in_flight = 6;
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 6);
	caps.purge_bytes = 100; /* 20 of each, and 5 around it */
	caps.purge_item_bytes = 5;
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 4);
	caps.purge_bytes = 3; /* one that is too long alone is the CDN's to refuse */
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 1);
	caps.purge_bytes = 0;
	for (uint32_t i = 0; i < 10; i++) {
		list[i].scope = DIF_PURGE_PREFIXES;
	}
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 2);
	caps.purge_wide_in_flight = 1;
	assert_int_equal(dif_purge_fits(&caps, 12, items, 10), 1);
}

TEST(public_urls_have_a_base)
{
	UNUSED_STATE;
	size_t origin = 0;
	assert_string_equal(dif_purge_base(PUBLIC_URL, &origin), "/prep/");
	assert_int_equal(origin, strlen("https://www.prep.example"));
	assert_string_equal(dif_purge_base("http://127.0.0.1:80/", &origin), "/");
	assert_int_equal(origin, strlen("http://127.0.0.1:80"));
}

/* --- properties --- */

static uint64_t seed = 88172645463325252u;

static uint32_t chance(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)((seed >> 11) % below);
}

static char names[200][64];
static struct dif_change_of keys_of_round[200];

static uint32_t random_keys(void)
{
	static const char *const folders[] = {"", "data/", "assets/", "a/b/", "a b/", "x@y/"};
	uint32_t n = chance(200);
	for (uint32_t i = 0; i < n; i++) {
		bool index = chance(12) == 0;
		snprintf(names[i], sizeof names[i], "%s%s", folders[chance(DIF_LEN(folders))],
		         index ? "index.html" : "");
		if (!index) {
			size_t at = strlen(names[i]);
			snprintf(names[i] + at, sizeof names[i] - at, "%s%u.json",
			         chance(9) == 0 ? "!" : "", chance(300));
		}
		keys_of_round[i] =
			(struct dif_change_of){names[i], index ? DIF_ENTRY : chance(3), chance(4)};
	}
	return n;
}

static bool covers(const struct dif_purge_plan *p, const struct dif_purge_item *url, uint32_t pass)
{
	for (uint32_t i = 0; i < p->n; i++) {
		if ((p->items[i].passes & pass) != 0 && dif_purge_covers(&p->items[i], url)) {
			return true;
		}
	}
	return false;
}

static void check_coverage(const struct dif_purge_plan *p, uint32_t n)
{
	struct dif_arena a;
	dif_arena_init(&a, 8 << 20, false);
	for (uint32_t i = 0; i < n; i++) {
		const struct dif_change_of *k = &keys_of_round[i];
		const char *text[DIF_SPELLINGS];
		uint32_t m = dif_purge_spell(&a, "/prep/", k->path, text);
		for (uint32_t s = 0; s < m; s++) {
			struct dif_purge_item url = {.scope = DIF_PURGE_URLS,
			                             .text = text[s],
			                             .created = k->change == DIF_CREATED};
			if (k->change == DIF_SAME && k->phase == DIF_ASSET) {
				continue;
			}
			/* a 404 that no tag names, of a CDN that takes no addresses */
			if (url.created && (caps.purge_scopes & ~TAGS) == 0) {
				continue;
			}
			assert_true(covers(p, &url, DIF_PASS_NOW));
			if (k->phase == DIF_ENTRY || k->phase == DIF_AGGREGATE) {
				assert_true(covers(p, &url, DIF_PASS_AGAIN));
			}
		}
	}
	dif_arena_fini(&a);
}

static bool is_named(const char *text, uint32_t n)
{
	struct dif_arena a;
	bool named = false;
	dif_arena_init(&a, 8 << 20, false);
	for (uint32_t i = 0; i < n && !named; i++) {
		const char *of[DIF_SPELLINGS];
		uint32_t m = dif_purge_spell(&a, "/prep/", keys_of_round[i].path, of);
		for (uint32_t s = 0; s < m; s++) {
			named = named || strcmp(of[s], text) == 0;
		}
	}
	dif_arena_fini(&a);
	return named;
}

static void check_items(const struct dif_purge_plan *p, uint32_t n)
{
	for (uint32_t i = 0; i < p->n; i++) {
		const struct dif_purge_item *item = &p->items[i];
		assert_true((caps.purge_scopes & DIF_HAS(item->scope)) != 0);
		assert_null(strchr(item->text, '*'));
		assert_true(item->passes != 0);
		if (i > 0) {
			bool same = p->items[i - 1].scope == item->scope;
			assert_true(p->items[i - 1].scope <= item->scope);
			assert_true(!same || strcmp(p->items[i - 1].text, item->text) < 0);
		}
		if (item->scope == DIF_PURGE_URLS) { /* nothing foreign */
			assert_true(is_named(item->text, n));
		} else if (item->scope == DIF_PURGE_PREFIXES) { /* nothing outside of the site */
			assert_int_equal(strncmp(item->text, "/prep/", 6), 0);
			assert_int_equal(item->text[strlen(item->text) - 1], '/');
		}
	}
}

static void check_batches(const struct dif_purge_plan *p)
{
	const struct dif_purge_item *items[900];
	for (uint32_t i = 0, fit = 0; i < p->n; i += fit) {
		uint32_t same = 0;
		uint64_t bytes = 0;
		while (i + same < p->n && p->items[i + same].scope == p->items[i].scope) {
			items[same] = &p->items[i + same];
			same++;
		}
		fit = dif_purge_fits(&caps, 24, items, same);
		bool urls = p->items[i].scope == DIF_PURGE_URLS;
		uint32_t most = urls ? caps.purge_max : caps.purge_wide_max;
		assert_true(fit >= 1 && fit <= same);
		assert_true(most == 0 || fit <= most);
		for (uint32_t k = 0; k < fit; k++) {
			bytes += 24 + strlen(items[k]->text) + caps.purge_item_bytes;
		}
		assert_true(fit == 1 || caps.purge_bytes == 0 ||
		            bytes <= caps.purge_bytes + 24 * fit);
	}
}

TEST(whatever_changes_is_covered_and_nothing_else_named)
{
	UNUSED_STATE;
	static const uint32_t maxima[] = {0, 1, 3, 30, 100, 3000};
	for (uint32_t round = 0; round < 2000; round++) {
		begin(1 + chance(15));
		caps.purge_scopes = (1 + chance(15)) << 1;
		caps.purge_max = maxima[chance(6)];
		caps.purge_wide_max = maxima[chance(6)];
		caps.purge_worth = maxima[chance(6)];
		caps.purge_bytes = chance(2) * (500 + chance(5000));
		caps.purge_item_bytes = chance(20);
		rules.paths_max = maxima[chance(6)];
		rules.deep_links = chance(3);
		bool tag_only = caps.purge_scopes == TAGS;
		rules.tag = tag_only || chance(2) == 0 ? "site" : NULL;
		uint32_t n = random_keys();
		struct dif_purge_plan p;
		assert_true(dif_purge_plan_init(&p, &rules, keys_of_round, n));
		check_coverage(&p, n);
		check_items(&p, n);
		check_batches(&p);
		dif_purge_plan_fini(&p);
	}
}

int main(void)
{
#define T(name) cmocka_unit_test(name)
	const struct CMUnitTest tests[] = {
		T(exact_addresses_are_sorted_and_distinct),
		T(an_index_goes_with_and_without_its_name),
		T(names_go_as_every_program_spells_them),
		T(assets_of_the_same_content_are_left_alone),
		T(nothing_changed_asks_for_nothing),
		T(what_is_not_worth_it_goes_as_something_wider),
		T(a_tag_does_not_stand_for_what_was_not_there),
		T(too_many_in_the_root_purge_the_root),
		T(deep_links_go_below_a_changed_index_alone),
		T(a_cdn_without_addresses_has_both_passes_wide),
		T(the_second_pass_is_wide_only_where_its_addresses_are_not_worth_it),
		T(a_purge_keeps_count_and_bytes),
		T(public_urls_have_a_base),
		T(whatever_changes_is_covered_and_nothing_else_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
