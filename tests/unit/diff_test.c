#include "support.h"

#include "flow/destination.h"
#include "flow/diff.h"

static struct dif_manifest *cut(const char *const *paths, uint32_t n, uint8_t seed)
{
	struct dif_manifest *m = dif_manifest_new();
	assert_non_null(m);
	m->members = dif_arena_alloc(&m->arena, (n + 1) * sizeof *m->members);
	m->n = n;
	for (uint32_t i = 0; i < n; i++) {
		struct dif_member *one = &m->members[i];
		one->path = dif_arena_str(&m->arena, paths[i]);
		one->size = 1000;
		one->packed = 100;
		one->method = 8;
		one->form[DIF_IDENTITY] =
			(struct dif_form){.size = 1000, .has = DIF_HAS(DIF_SHA256)};
		one->form[DIF_GZIP] = (struct dif_form){.size = 118, .has = DIF_HAS(DIF_SHA256)};
		memset(one->form[DIF_IDENTITY].sha256, seed, 32);
		memset(one->form[DIF_GZIP].sha256, seed + 1, 32);
	}
	return m;
}

/* In byte order, as ingest gives them. */
static const char *const site[] = {
	"app.0123abcd.js", "data/a.json", "data/b.json", "index.html", "page.html", "total.json",
};
#define SITE DIF_LEN(site)

static const char *const aggregates[] = {"total.json", NULL};
static const struct dif_class_rule classes[] = {
	{.name = "totals",
         .match = aggregates,
         .phase = DIF_AGGREGATE,
         .cache_control = "max-age=5"},
};

static struct dif_wants_from from(const struct dif_manifest *m)
{
	return (struct dif_wants_from){
		.manifest = m, .classes = classes, .nclasses = 1, .prefix = ""};
}

static struct dif_held held_of(const struct dif_want *w)
{
	struct dif_held h = {.key = w->key, .tag = "t", .form = w->form, .headers = w->headers};
	memcpy(h.sha256, w->member->form[DIF_IDENTITY].sha256, 32);
	return h;
}

static void check_puts(const struct dif_plan *p, const char *const *expected, uint32_t n)
{
	assert_int_equal(p->n, n);
	for (uint32_t i = 0; i < n; i++) {
		assert_string_equal(p->puts[i]->key, expected[i]);
	}
}

TEST(new_names_come_first_and_the_root_page_last)
{
	UNUSED_STATE;
	struct dif_manifest *m = cut(site, SITE, 1);
	struct dif_wants_from f = from(m);
	struct dif_wants w;
	struct dif_plan p;
	struct dif_map held;
	dif_map_init(&held);
	assert_true(dif_wants_init(&w, &f));
	/* b.json is there already, with other bytes */
	struct dif_held b = held_of(dif_map_get(&w.by_key, "data/b.json"));
	b.sha256[0] ^= 1;
	assert_true(dif_map_put(&held, b.key, &b));
	assert_true(dif_plan_init(&p, &w, &held, NULL, true));
	const char *const expected[] = {"app.0123abcd.js", "data/a.json", "data/b.json",
	                                "total.json",      "page.html",   "index.html"};
	check_puts(&p, expected, DIF_LEN(expected));
	assert_int_equal(p.first[DIF_PUT_CHANGED], 2);
	assert_int_equal(p.first[DIF_PUT_AGGREGATE], 3);
	assert_int_equal(p.first[DIF_PUT_ENTRY], 4);
	assert_int_equal(p.first[DIF_PUT_PHASES], 6);
	assert_int_equal(p.bytes, 6000);
	dif_plan_fini(&p);
	dif_wants_fini(&w);
	dif_map_fini(&held);
	dif_manifest_unref(m);
}

TEST(what_is_equal_stays_and_what_is_doubtful_is_written_again)
{
	UNUSED_STATE;
	struct dif_manifest *m = cut(site, SITE, 1);
	struct dif_wants_from f = from(m);
	struct dif_wants w;
	struct dif_plan p;
	struct dif_map held;
	struct dif_held rows[SITE];
	dif_map_init(&held);
	assert_true(dif_wants_init(&w, &f));
	for (uint32_t i = 0; i < SITE; i++) {
		rows[i] = held_of(&w.all[i]);
		assert_true(dif_map_put(&held, rows[i].key, &rows[i]));
	}
	assert_true(dif_plan_init(&p, &w, &held, NULL, true));
	assert_int_equal(p.n, 0);
	assert_int_equal(p.skipped, SITE);
	dif_plan_fini(&p);

	rows[0].unknown = true;
	rows[1].form = DIF_GZIP;
	rows[2].headers ^= 1;
	rows[3].tag = "";
	rows[4].headers = 0; /* not told */
	assert_true(dif_plan_init(&p, &w, &held, NULL, true));
	assert_int_equal(p.n, 5);
	dif_plan_fini(&p);
	/* a store that keeps no headers cannot have wrong ones */
	assert_true(dif_plan_init(&p, &w, &held, NULL, false));
	assert_int_equal(p.n, 4);
	dif_plan_fini(&p);
	dif_wants_fini(&w);
	dif_map_fini(&held);
	dif_manifest_unref(m);
}

TEST(what_no_cut_names_is_an_orphan)
{
	UNUSED_STATE;
	struct dif_manifest *m = cut(site, SITE, 1);
	struct dif_wants_from f = from(m);
	struct dif_wants w;
	struct dif_plan p;
	struct dif_map held, foreign;
	struct dif_held old = {.key = "data/old.json", .tag = "t"};
	dif_map_init(&held);
	dif_map_init(&foreign);
	assert_true(dif_wants_init(&w, &f));
	assert_true(dif_map_put(&held, old.key, &old));
	assert_true(dif_map_put(&foreign, "page.html", "tag"));
	assert_true(dif_map_put(&foreign, "stranger.txt", "tag"));
	assert_true(dif_plan_init(&p, &w, &held, &foreign, true));
	assert_int_equal(p.norphans, 1);
	assert_string_equal(p.orphans[0], "data/old.json");
	assert_int_equal(p.foreign, 1);
	assert_true(((struct dif_want *)dif_map_get(&w.by_key, "page.html"))->foreign);
	dif_plan_fini(&p);
	dif_wants_fini(&w);
	dif_map_fini(&held);
	dif_map_fini(&foreign);
	dif_manifest_unref(m);
}

TEST(pages_stay_identity_where_all_else_is_gzip)
{
	UNUSED_STATE;
	struct dif_manifest *m = cut(site, SITE, 1);
	struct dif_wants_from f = from(m);
	struct dif_wants w;
	f.prefix = "a/b/";
	f.store_as = "gzip";
	m->members[2].method = 0; /* stored: there is no gzip form without compressing */
	assert_true(dif_wants_init(&w, &f));
	const struct dif_want *a = dif_map_get(&w.by_key, "a/b/data/a.json");
	const struct dif_want *b = dif_map_get(&w.by_key, "a/b/data/b.json");
	const struct dif_want *index = dif_map_get(&w.by_key, "a/b/index.html");
	assert_int_equal(a->form, DIF_GZIP);
	assert_string_equal(a->encoding, "gzip");
	assert_int_equal(a->size, 118);
	assert_int_equal(b->form, DIF_IDENTITY);
	assert_int_equal(index->form, DIF_IDENTITY);
	assert_null(index->encoding);
	assert_true(index->root);
	assert_true(a->headers != b->headers);
	dif_wants_fini(&w);
	dif_manifest_unref(m);
}

TEST(siblings_are_put_before_their_entry_unless_the_package_has_the_name)
{
	UNUSED_STATE;
	static const char *const paths[] = {"a.json", "b.json", "b.json.gz", "index.html",
	                                    "picture.png"};
	struct dif_manifest *m = cut(paths, DIF_LEN(paths), 1);
	struct dif_wants_from f = from(m);
	struct dif_wants w;
	struct dif_plan p;
	struct dif_map held;
	dif_map_init(&held);
	f.siblings = true;
	assert_true(dif_wants_init(&w, &f));
	assert_int_equal(w.n, 7);
	const struct dif_want *twin = dif_map_get(&w.by_key, "a.json.gz");
	assert_true(twin->sibling && twin->form == DIF_GZIP && twin->encoding == NULL);
	assert_false(((struct dif_want *)dif_map_get(&w.by_key, "b.json.gz"))->sibling);
	assert_null(dif_map_get(&w.by_key, "picture.png.gz"));
	assert_true(dif_plan_init(&p, &w, &held, NULL, true));
	assert_string_equal(p.puts[p.n - 1]->key, "index.html");
	assert_string_equal(p.puts[p.n - 2]->key, "index.html.gz");
	dif_plan_fini(&p);
	m->members[0].size = DIF_SIBLING_MIN;
	dif_wants_fini(&w);
	assert_true(dif_wants_init(&w, &f));
	assert_null(dif_map_get(&w.by_key, "a.json.gz"));
	dif_wants_fini(&w);
	dif_map_fini(&held);
	dif_manifest_unref(m);
}

static struct dif_destination_config config = {.name = "eu", .prefix = ""};

TEST(held_rows_are_replaced_and_forgotten)
{
	UNUSED_STATE;
	struct dif_destination d;
	char key[] = "a", tag[] = "1";
	dif_destination_init(&d, &config, NULL);
	assert_non_null(dif_destination_keep(&d, &(struct dif_held){.key = key, .tag = tag}));
	key[0] = tag[0] = 'x'; /* they were copied */
	const struct dif_held *h = dif_destination_held(&d, "a");
	assert_string_equal(h->tag, "1");
	struct dif_held next = *h; /* its strings die with the row */
	next.unknown = true;
	assert_non_null(dif_destination_keep(&d, &next));
	assert_true(dif_destination_held(&d, "a")->unknown);
	assert_int_equal(d.held.n, 1);
	dif_destination_forget(&d, "a");
	assert_null(dif_destination_held(&d, "a"));
	dif_destination_fini(&d);
}

TEST(only_what_carries_our_metadata_is_ours)
{
	UNUSED_STATE;
	char sha[65];
	memset(sha, 'a', 64);
	sha[64] = '\0';
	struct dif_field meta[] = {{"epoch", "1"}, {"order", "1780000000000"}, {"sha256", sha}};
	struct dif_object o = {.key = "k", .tag = "t", .meta = meta, .nmeta = 3};
	struct dif_held h;
	assert_true(dif_destination_read(&o, &h));
	assert_int_equal(h.number, 1780000000000);
	assert_int_equal(h.sha256[31], 0xaa);
	assert_int_equal(h.headers, 0);
	assert_int_equal(h.form, DIF_IDENTITY);
	o.type = "text/css";
	o.encoding = "gzip";
	assert_true(dif_destination_read(&o, &h));
	assert_int_equal(h.form, DIF_GZIP);
	assert_int_equal(h.headers, dif_headers_crc("text/css", "gzip", NULL));
	o.nmeta = 2;
	assert_false(dif_destination_read(&o, &h));
	o.nmeta = 3;
	meta[1].value = "-5";
	assert_false(dif_destination_read(&o, &h));
	meta[1].value = "1780000000000";
	sha[0] = 'g';
	assert_false(dif_destination_read(&o, &h));
}

TEST(tags_lose_their_quotes_only_where_the_probe_said_so)
{
	UNUSED_STATE;
	struct dif_destination d;
	struct dif_arena a;
	dif_arena_init(&a, 4096, false);
	dif_destination_init(&d, &config, NULL);
	assert_string_equal(dif_destination_tag(&d, &a, "\"abc\""), "\"abc\"");
	d.bare_tags = true;
	assert_string_equal(dif_destination_tag(&d, &a, "\"abc\""), "abc");
	assert_string_equal(dif_destination_tag(&d, &a, "17"), "17");
	assert_string_equal(dif_destination_tag(&d, &a, "\""), "\"");
	assert_null(dif_destination_tag(&d, &a, NULL));
	dif_destination_fini(&d);
	dif_arena_fini(&a);
}

TEST(a_changed_class_changes_the_fingerprint)
{
	UNUSED_STATE;
	struct dif_destination d;
	char one[17], two[17];
	struct dif_class_rule rule = classes[0];
	dif_destination_init(&d, &config, NULL);
	dif_destination_fingerprint(&d, &rule, 1, one);
	dif_destination_fingerprint(&d, &rule, 1, two);
	assert_string_equal(one, two);
	rule.cache_control = "max-age=6";
	dif_destination_fingerprint(&d, &rule, 1, two);
	assert_string_not_equal(one, two);
	dif_destination_fini(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(new_names_come_first_and_the_root_page_last),
		cmocka_unit_test(what_is_equal_stays_and_what_is_doubtful_is_written_again),
		cmocka_unit_test(what_no_cut_names_is_an_orphan),
		cmocka_unit_test(pages_stay_identity_where_all_else_is_gzip),
		cmocka_unit_test(
			siblings_are_put_before_their_entry_unless_the_package_has_the_name),
		cmocka_unit_test(held_rows_are_replaced_and_forgotten),
		cmocka_unit_test(only_what_carries_our_metadata_is_ours),
		cmocka_unit_test(tags_lose_their_quotes_only_where_the_probe_said_so),
		cmocka_unit_test(a_changed_class_changes_the_fingerprint),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
