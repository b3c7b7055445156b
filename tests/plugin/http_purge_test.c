/* http-purge - the real http-purge.so in host/op with scripted caches: what a node is asked, and
 * that a pattern matches what was meant and nothing else. */
#include <regex.h>

#include "tests/plugin/support/checks.h"

#define INI "[cdn t]\nplugin = http-purge\n"

static struct store *st;
static struct script *s;

static void begin(const char *ini)
{
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

static void end(void)
{
	script_free(s);
	store_close(st);
}

static void expect(const char *method, const char *url, const char *field, int status)
{
	script_expect(s, &(struct script_want){.method = method, .url = url, .fields = {field}},
	              &(struct script_reply){.status = status});
}

static const struct store_out *purge(enum dif_purge_scope scope, const char *url, const char *path,
                                     uint32_t node)
{
	return store_verb(st, DIF_PURGE,
	                  &(struct dif_purge){.scope = scope,
	                                      .n = url != NULL ? 1 : 0,
	                                      .urls = &url,
	                                      .paths = &path,
	                                      .idem = "00112233445566778899aabbccddeeff",
	                                      .node = node});
}

TEST(each_node_is_asked_for_the_readers_host)
{
	UNUSED_STATE;
	begin(INI "servers = a.example, https://b.example:8443/ https://[2001:db8::1]:443\n");
	assert_int_equal(dif_instance_caps(st->instance)->nodes, 3);
	expect("PURGE", "https://a.example/x?y=1", "host: www.prep.example:8080", 200);
	check_ok(purge(DIF_PURGE_URLS, "https://www.prep.example:8080/x?y=1", "/x?y=1", 0));
	expect("PURGE", "https://b.example:8443/", "host: www.prep.example", 404);
	check_ok(purge(DIF_PURGE_URLS, "http://www.prep.example/", "/", 1));
	assert_true(st->out.settled);
	expect("PURGE", "https://[2001:db8::1]:443/", "x-forwarded-proto: http", 412);
	check_ok(purge(DIF_PURGE_URLS, "http://www.prep.example/", "/", 2));
	end();
}

/* The pattern that a BAN of the path carried. */
static const char *pattern_of(enum dif_purge_scope scope, const char *path)
{
	const char *url = dif_arena_fmt(&st->arena, "https://www.prep.example%s", path);
	script_expect(s, &(struct script_want){.method = "BAN"},
	              &(struct script_reply){.status = 200});
	check_ok(purge(scope, url, path, 0));
	const char *pattern = script_header(s, script_count(s) - 1, "x-purge-match");
	assert_non_null(pattern);
	return pattern;
}

static bool matches(const char *pattern, const char *path)
{
	regex_t re;
	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	bool is_match = regexec(&re, path, 0, NULL, 0) == 0;
	regfree(&re);
	return is_match;
}

TEST(a_pattern_matches_its_path_and_nothing_else)
{
	UNUSED_STATE;
	static const char odd[] = "/a.b+c*(d)[e]{f}^$|\\/x";
	begin(INI "servers = a.example\nmethod = BAN\n");
	const char *one = pattern_of(DIF_PURGE_URLS, odd);
	assert_true(matches(one, odd));
	assert_true(matches(one, "/a.b+c*(d)[e]{f}^$|\\/x?rand=1"));
	assert_false(matches(one, "/a.b+c*(d)[e]{f}^$|\\/xy"));
	assert_false(matches(one, "/q/a.b+c*(d)[e]{f}^$|\\/x"));
	assert_string_equal(pattern_of(DIF_PURGE_URLS, "/p/page.html"), "^/p/page\\.html(\\?.*)?$");
	const char *below = pattern_of(DIF_PURGE_PREFIXES, "/a.b/");
	assert_true(matches(below, "/a.b/c/d?e"));
	assert_false(matches(below, "/aXb/c"));
	assert_false(matches(below, "/x/a.b/c"));
	end();
}

TEST(a_cache_that_knows_no_ban_has_purged_nothing)
{
	UNUSED_STATE;
	begin(INI "servers = a.example\nmethod = BAN\n");
	expect("BAN", "https://a.example/x", NULL, 404);
	check_class(purge(DIF_PURGE_URLS, "https://www.prep.example/x", "/x", 0), DIF_PERMANENT);
	expect("BAN", "https://a.example/x/", NULL, 412);
	check_class(purge(DIF_PURGE_PREFIXES, "https://www.prep.example/x/", "/x/", 0),
	            DIF_PERMANENT);
	end();
}

static uint32_t scopes_with(const char *more)
{
	char ini[512];
	(void)snprintf(ini, sizeof ini, INI "servers = a.example\n%s", more);
	begin(ini);
	uint32_t scopes = dif_instance_caps(st->instance)->purge_scopes;
	end();
	return scopes;
}

TEST(what_can_be_purged_follows_from_the_options)
{
	UNUSED_STATE;
	uint32_t urls = DIF_HAS(DIF_PURGE_URLS), prefixes = DIF_HAS(DIF_PURGE_PREFIXES);
	assert_int_equal(scopes_with(""), urls);
	assert_int_equal(scopes_with("site = www.prep.example\n"), urls);
	assert_int_equal(scopes_with("tag_header = xkey\n"), urls | DIF_HAS(DIF_PURGE_TAGS));
	assert_int_equal(scopes_with("ban = yes\n"), urls | prefixes);
	assert_int_equal(scopes_with("method = BAN\nsite = www.prep.example\n"),
	                 urls | prefixes | DIF_HAS(DIF_PURGE_ALL));
}

TEST(the_probe_names_the_node_that_does_not_purge)
{
	UNUSED_STATE;
	begin(INI "servers = a.example b.example\nsite = www.prep.example\n");
	expect("PURGE", "https://a.example/.difusor-probe", "host: www.prep.example", 200);
	expect("PURGE", "https://b.example/.difusor-probe", "host: www.prep.example", 405);
	const struct store_out *out = store_probe(st);
	check_class(out, DIF_PERMANENT);
	check_text(out, "https://b.example");
	end();
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused(INI "servers = ,\n", "names no cache");
	check_refused(INI "servers = ftp://a.example\n", "is no cache");
	check_refused(INI "servers = https://a.example/purge\n", "is no cache");
	check_refused(INI "servers = a.example\nlocation = purge\n", "must begin with a slash");
	check_refused(INI "servers = a.example\nlocation = /purge/\n", "must begin with a slash");
	check_refused(INI "servers = a.example\nheader = token\n", "NAME: VALUE");
	check_refused(INI "servers = a.example\ntag_header = x key\n", "no name of a header");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_node_is_asked_for_the_readers_host),
		cmocka_unit_test(a_pattern_matches_its_path_and_nothing_else),
		cmocka_unit_test(a_cache_that_knows_no_ban_has_purged_nothing),
		cmocka_unit_test(what_can_be_purged_follows_from_the_options),
		cmocka_unit_test(the_probe_names_the_node_that_does_not_purge),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/http_purge", tests, NULL, NULL);
}
