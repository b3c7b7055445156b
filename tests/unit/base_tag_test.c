#include "support.h"

#include "flow/ingest.h"

#define HTML(s) (s), sizeof(s) - 1

static const struct {
	const char *html;
	size_t n;
	bool yes;
} pages[] = {
	{HTML("<base href=\"/\">"), true},
	{HTML("<!doctype html><html lang=es><head><meta charset=utf-8><base href='/x/'></head>"),
         true},
	{HTML("<HTML><HEAD><BASE HREF=\"/\"></HEAD></HTML>"), true},
	{HTML("\xef\xbb\xbf<!doctype html><base href=/>"), true},
	{HTML("<base\n\ttarget=_blank\n\thref = \"/\" />"), true},
	{HTML("<base/href=\"/\"/>"), true},
	{HTML("<base target=_blank><base href=/>"), true},
	{HTML("<script>var a = '<!-- </scr' + 'ipt>';</script><base href=/>"), true},
	{HTML("<script src=a.js></script ><style>a{}</style><title>x</title><base href=/>"), true},
	{HTML("<!----><base href=/>"), true},
	{HTML("<!--><base href=/>"), true},
	{HTML("<!---><base href=/>"), true},
	{HTML("<!-- a -- b --!><base href=/>"), true},
	{HTML("<!-- <base href=/a> --><base href=/b>"), true},
	{HTML("<?xml version=\"1.0\"?><base href=/>"), true},
	{HTML("<meta content=\"a > b\"><base href=/>"), true},
	{HTML("<p>1 < 2 <base href=/>"), true},
	{HTML("</base><base href=/>"), true},
	{HTML("<base href=\"\">"), true},
	{HTML("<p>a\xf1o en latin-1</p><base href=/>"), true},
	{HTML(""), false},
	{HTML("<html><head></head></html>"), false},
	{HTML("<base>"), false},
	{HTML("<base href>"), false},
	{HTML("<base href=>"), false},
	{HTML("<base target=\"_blank\">"), false},
	{HTML("<base data-href=\"/\">"), false},
	{HTML("<base hreflang=\"es\">"), false},
	{HTML("<basefont href=\"/\">"), false},
	{HTML("<xbase href=\"/\">"), false},
	{HTML("< base href=\"/\">"), false},
	{HTML("</base href=\"/\">"), false},
	{HTML("&lt;base href=\"/\"&gt;"), false},
	{HTML("<!-- <base href=\"/\"> -->"), false},
	{HTML("<!-- never closed <base href=\"/\">"), false},
	{HTML("<!-- -> <base href=\"/\"> -->"), false},
	{HTML("<!doctype <base href=/"), false},
	{HTML("<script>document.write('<base href=\"/\">')</script>"), false},
	{HTML("<SCRIPT>'<base href=\"/\">'</Script>"), false},
	{HTML("<script>'</scripts>'; '<base href=\"/\">'</script>"), false},
	{HTML("<script>never closed <base href=\"/\">"), false},
	{HTML("<style>/* <base href=\"/\"> */</style>"), false},
	{HTML("<title><base href=\"/\"></title>"), false},
	{HTML("<textarea><base href=\"/\"></textarea>"), false},
	{HTML("<noscript><base href=\"/\"></noscript>"), false},
	{HTML("<template><base href=\"/\"></template>"), false},
	{HTML("<meta content=\"<base href='/'>\">"), false},
	{HTML("<meta content='<base href=/>'>"), false},
	{HTML("<base href=\"/\""), false},
	{HTML("<base href=\"/"), false},
	{HTML("<base href=\"/>never closed"), false},
	{HTML("\xff\xfe<\0b\0a\0s\0e\0 \0h\0r\0e\0f\0=\0/\0>\0"), false},
	{HTML("\xfe\xff\0<\0b\0a\0s\0e\0 \0h\0r\0e\0f\0=\0/\0>"), false},
	{HTML("<base href=/>\0"), false},
};

TEST(a_base_tag_counts_where_a_browser_would_see_it)
{
	UNUSED_STATE;
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
		if (dif_ingest_has_base(pages[i].html, pages[i].n) != pages[i].yes) {
			fail_msg("%s", pages[i].html);
		}
	}
}

TEST(a_page_cut_anywhere_is_read_within_its_bytes)
{
	UNUSED_STATE;
	for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
		for (size_t n = 0; n < pages[i].n; n++) {
			char *exact = malloc(n + 1); /* a byte beyond is the sanitizer's to find */
			assert_non_null(exact);
			memcpy(exact + 1, pages[i].html, n);
			(void)dif_ingest_has_base(exact + 1, n);
			free(exact);
		}
	}
}

TEST(a_base_tag_late_in_a_long_head_is_found)
{
	UNUSED_STATE;
	size_t n = 3u << 20;
	char *page = malloc(n);
	assert_non_null(page);
	memset(page, ' ', n);
	memcpy(page + n - 13, "<base href=/>", 13);
	assert_true(dif_ingest_has_base(page, n));
	memset(page, '<', n - 13);
	assert_false(dif_ingest_has_base(page, n - 13));
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_base_tag_counts_where_a_browser_would_see_it),
		cmocka_unit_test(a_page_cut_anywhere_is_read_within_its_bytes),
		cmocka_unit_test(a_base_tag_late_in_a_long_head_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
