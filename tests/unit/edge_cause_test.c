/* edge_cause - what changed bytes tell of the program that changed them. */
#include "flow/edge_private.h"
#include "support.h"

#define PAGE                                                                                       \
	"<!doctype html>\n<html>\n<head>\n  <base href=\"/\">\n  <script src=\"a.js\"></script>\n" \
	"</head>\n<body>\n  <p>Corte de las 21:00</p>\n  <a href=\"mailto:a@b.mx\">a@b.mx</a>\n"   \
	"</body>\n</html>\n"
#define PAGE_HEAD \
	"<!doctype html>\n<html>\n<head>\n  <base href=\"/\">\n  <script src=\"a.js\"></script>\n"
#define PAGE_TAIL                                                                                \
	"</head>\n<body>\n  <p>Corte de las 21:00</p>\n  <a href=\"mailto:a@b.mx\">a@b.mx</a>\n" \
	"</body>\n</html>\n"
#define JSON "{\n  \"corte\": 7,\n  \"url\": \"http://ine.mx/\"\n}\n"
#define ANY UINT64_MAX

struct row {
	const char *want, *got;
	uint64_t offset;
	const char *cause, *feature; /* part of it, NULL: none */
};

static struct edge_cause find(struct dif_bytes want, struct dif_bytes got, bool whole)
{
	struct edge_cause c;
	edge_find_cause(want, got, whole, &c);
	return c;
}

static struct dif_bytes text(const char *s)
{
	return (struct dif_bytes){s, strlen(s)};
}

TEST(each_kind_of_change_is_told_with_its_offset_and_feature)
{
	UNUSED_STATE;
	static const struct row rows[] = {
		{PAGE,
	         PAGE_HEAD "<script src=\"/cdn-cgi/scripts/7d0fa10a/cloudflare-static/"
	                   "rocket-loader.min.js\"></script>" PAGE_TAIL,
	         strlen(PAGE_HEAD) + 1, "script injected", "Rocket Loader"},
		{PAGE, PAGE_HEAD "<script>NREUM={}</script>" PAGE_TAIL, ANY, "script injected",
	         "New Relic"},
		{PAGE, PAGE_HEAD "<SCRIPT src='//x.example/y.js'></SCRIPT>" PAGE_TAIL, ANY,
	         "script injected", "mPulse"},
		{PAGE,
	         PAGE_HEAD "</head>\n<body>\n  <p>Corte de las 21:00</p>\n  <a href=\"/cdn-cgi/l/"
	                   "email-protection#1\"><span class=\"__cf_email__\"></span></a>\n"
	                   "</body>\n</html>\n",
	         ANY, "e-mail addresses hidden", "Email Address Obfuscation"},
		{PAGE, PAGE "<!-- cached 12:00 -->", strlen(PAGE), "comment added", "page caches"},
		{PAGE, PAGE_HEAD "<b></b>" PAGE_TAIL, ANY, "bytes inserted", "edge functions"},
		{PAGE, PAGE_HEAD, strlen(PAGE_HEAD), "cut off", "purge"},
		{PAGE, "", 0, "cut off", "purge"},
		{PAGE, PAGE_TAIL, ANY, "bytes removed", "edge functions"},
		{PAGE, "\xef\xbb\xbf" PAGE, 0, "byte order mark added", "charset"},
		{"\xef\xbb\xbf" JSON, JSON, 0, "byte order mark removed", "charset"},
		{"a\r\nb\r\n", "a\nb\n", 1, "line endings changed", "text conversion"},
		{JSON, "{\"corte\":7,\"url\":\"http://ine.mx/\"}", 1, "whitespace changed",
	         "Auto Minify"},
		{"a { color: red; } /* rot */\n", "a{color:red}", 1, "minified", "Auto Minify"},
		{"<p class=\"x\"> <!-- y --> z</p>", "<p class=x>z</p>", 9, "minified", NULL},
		{JSON, "{\n  \"corte\": 7,\n  \"url\": \"https://ine.mx/\"\n}\n", ANY,
	         "addresses rewritten", "HTTPS Rewrites"},
		{"M\xe9xico", "M\xc3\xa9xico", 1, "charset changed", "charset"},
		{"M\xc3\xa9xico", "M\xe9xico", 1, "charset changed", "charset"},
		{JSON, PAGE, 0, "the entry page in its place", "index.html"},
		{JSON, "<html><h1>Checking your browser</h1>", 0, "another page in its place",
	         "challenge"},
		{"\x1f\x8b\x08zzz", JSON, 0, "unpacked on the way", "*.gz"},
		{JSON, "\x1f\x8b\x08zzz", 0, "still compressed", "compression"},
		{"\x89PNG\r\nlarge", "RIFF....WEBPsmall", 0, "image recompressed", "Polish"},
		{"\xff\xd8\xff"
	         "abc",
	         "\xff\xd8\xff"
	         "ab",
	         ANY, "image recompressed", "Polish"},
		{JSON, "{\n  \"corte\": 8,\n  \"url\": \"http://ine.mx/\"\n}\n", 13,
	         "bytes changed", NULL},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		const struct row *r = &rows[i];
		struct edge_cause c = find(text(r->want), text(r->got), true);
		if (c.cause == NULL || strcmp(c.cause, r->cause) != 0) {
			fail_msg("row %zu: '%s', and should be '%s'", i,
			         c.cause != NULL ? c.cause : "nothing", r->cause);
		}
		if (r->feature != NULL) {
			assert_non_null(c.feature);
			assert_non_null(strstr(c.feature, r->feature));
		}
		if (r->offset != ANY) {
			assert_int_equal(c.offset, r->offset);
		}
	}
}

TEST(a_mark_that_the_entry_has_itself_proves_nothing)
{
	UNUSED_STATE;
	static const char want[] = "<script>NREUM</script><p>1</p>";
	static const char got[] = "<script>NREUM</script><p>2</p>";
	struct edge_cause c = find(text(want), text(got), true);
	assert_string_equal(c.cause, "bytes changed");
	assert_int_equal(c.offset, 25);
}

TEST(of_parts_only_what_they_show_is_told)
{
	UNUSED_STATE;
	struct edge_cause c = find(text("abc"), text("abc"), false);
	assert_int_equal(c.offset, 3);
	assert_null(c.cause);
	c = find(text("abcd"), text("abxd"), false);
	assert_int_equal(c.offset, 2);
	assert_null(c.cause);
}

/* No input of a peer may lead outside the buffers: asan watches. */
TEST(all_short_inputs_are_looked_at_without_harm)
{
	UNUSED_STATE;
	static const char *const bits[] = {
		"",       "/",        "/*",   "<!",           "<!--",     "http://", "\r",
		"RIFF",   "RIFF....", "\xef", "\xef\xbb\xbf", "\xff\xd8", "\x1f",    "....ftyp",
		"<!--[i", "<html",    "*/"};
	for (size_t i = 0; i < DIF_LEN(bits); i++) {
		for (size_t k = 0; k < DIF_LEN(bits); k++) {
			/* exactly as long as it is, so that a byte too far is seen */
			struct dif_bytes x = text(bits[i]), y = text(bits[k]);
			char *a = malloc(x.n > 0 ? x.n : 1), *b = malloc(y.n > 0 ? y.n : 1);
			memcpy(a, bits[i], x.n);
			memcpy(b, bits[k], y.n);
			x.p = a;
			y.p = b;
			struct edge_cause c = find(x, y, true);
			assert_true(c.offset <= x.n && c.offset <= y.n);
			(void)find(y, x, false);
			free(a);
			free(b);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_change_is_told_with_its_offset_and_feature),
		cmocka_unit_test(a_mark_that_the_entry_has_itself_proves_nothing),
		cmocka_unit_test(of_parts_only_what_they_show_is_told),
		cmocka_unit_test(all_short_inputs_are_looked_at_without_harm),
	};
	return cmocka_run_group_tests_name("edge_cause", tests, NULL, NULL);
}
