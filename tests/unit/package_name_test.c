/* Names, each as the only doubtful thing of an archive. */
#include "support.h"

#include "support/evil.h"
#include "support/verdict.h"

#define UTF8 0x800
#define TEN "0123456789"
#define FIFTY TEN TEN TEN TEN TEN
#define FAR "a/a/a/a/a/a/a/a/a/a/"

struct named {
	struct evil_bytes name;
	uint16_t flags;
	const char *as;   /* published as; NULL: as it stands, or refused */
	const char *says; /* NULL: accepted */
};

static const struct named honest[] = {
	{EVIL("se\xc3\xb1"
              "al.json"),
         UTF8, NULL, NULL},
	{EVIL("se\xc3\xb1"
              "al.json"),
         0, NULL, NULL},
	{EVIL("se\xa4"
              "al.json"),
         0,
         "se\xc3\xb1"
         "al.json",
         NULL},
	{EVIL("\x80\x81\x9e\xe0\xfe\xff.csv"), 0,
         "\xc3\x87\xc3\xbc\xe2\x82\xa7\xce\xb1\xe2\x96\xa0\xc2\xa0.csv", NULL},
	{EVIL("sen\xcc\x83"
              "al.json"),
         UTF8, NULL, NULL},
	{EVIL("\xf0\x9f\x97\xb3.svg"), UTF8, NULL, NULL},
	{EVIL("\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7.svg"), UTF8,
         NULL, NULL},
	{EVIL("\xe2\x9d\xa4\xef\xb8\x8f.svg"), UTF8, NULL, NULL},
	{EVIL("\xe9\x81\xb8\xe6\x8c\x99.json"), UTF8, NULL, NULL},
	{EVIL("\xd8\xa7\xd9\x86\xd8\xaa\xd8\xae\xd8\xa7\xd8\xa8.json"), UTF8, NULL, NULL},
	{EVIL("1\xe2\x81\x84"
              "2.json"),
         UTF8, NULL, NULL},
	{EVIL("roto\xef\xbf\xbd.svg"), UTF8, NULL, NULL},
	{EVIL("data/party/con.json"), 0, NULL, NULL},
	{EVIL("aux"), 0, NULL, NULL},
	{EVIL("nul.txt"), 0, NULL, NULL},
	{EVIL("COM1"), 0, NULL, NULL},
	{EVIL("con espacio en medio.json"), 0, NULL, NULL},
	{EVIL(" delante.json"), 0, NULL, NULL},
	{EVIL("100%.json"), 0, NULL, NULL},
	{EVIL("100%25.json"), 0, NULL, NULL},
	{EVIL("a%20b%41%2520.json"), 0, NULL, NULL},
	{EVIL("%zz%.json"), 0, NULL, NULL},
	{EVIL("icono?.svg"), 0, NULL, NULL},
	{EVIL("a#b.json"), 0, NULL, NULL},
	{EVIL("a*b.json"), 0, NULL, NULL},
	{EVIL("hora 20:05.json"), 0, NULL, NULL},
	{EVIL("a<b>c|d\"e'f.json"), 0, NULL, NULL},
	{EVIL("a&b=c;d+e,f$g~h^i`j{k}l[m].json"), 0, NULL, NULL},
	{EVIL("!Ciudad.svg"), 0, NULL, NULL},
	{EVIL("logo@2x.png"), 0, NULL, NULL},
	{EVIL(".htaccess"), 0, NULL, NULL},
	{EVIL(".well-known/security.txt"), 0, NULL, NULL},
	{EVIL(".difusorio/a"), 0, NULL, NULL},
	{EVIL("a/.difusorio/b.difusor"), 0, NULL, NULL},
	{EVIL("a/x.difusor/.difusor-tmp"), 0, NULL, NULL},
	{EVIL("-rf"), 0, NULL, NULL},
	{EVIL("--help/a"), 0, NULL, NULL},
	{EVIL("..a/b..c/..."
              "d"),
         0, NULL, NULL},
	{EVIL("CON/x"), 0, NULL, NULL},
	{EVIL("sin-extension"), 0, NULL, NULL},
	{EVIL("20240603_2005_PREP.zip"), 0, NULL, NULL},
	{EVIL(FIFTY FIFTY FIFTY FIFTY FIFTY "01234"), 0, NULL, NULL},
	{EVIL(FAR FAR FAR FAR "a"), 0,
         "a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/"
         "a/a/a/a/a/a/a/a/a/a",
         NULL},
	{EVIL(FAR FAR FAR FAR FAR FAR "a/a/a/a"), 0, NULL, NULL},
	{EVIL(FIFTY FIFTY FIFTY FIFTY FIFTY "/" FIFTY FIFTY FIFTY FIFTY FIFTY
                                            "/" FIFTY FIFTY FIFTY FIFTY FIFTY
                                            "/" FIFTY FIFTY TEN TEN TEN TEN "0123456"),
         0, NULL, NULL},
};

static const struct named hostile[] = {
	{EVIL(""), 0, NULL, "empty"},
	{EVIL("../a"), 0, NULL, "traversal"},
	{EVIL(".."), 0, NULL, "traversal"},
	{EVIL("a/../b"), 0, NULL, "traversal"},
	{EVIL("a/.."), 0, NULL, "traversal"},
	{EVIL("../"), 0, NULL, "traversal"},
	{EVIL("./a"), 0, NULL, "traversal"},
	{EVIL("./index.html"), 0, NULL, "traversal"},
	{EVIL("a/./b"), 0, NULL, "traversal"},
	{EVIL("..."), 0, NULL, "traversal"},
	{EVIL("\xef\xbc\x8e\xef\xbc\x8e/a"), UTF8, NULL, "traversal"},
	{EVIL("\xe2\x80\xa5/a"), UTF8, NULL, "traversal"},
	{EVIL("a//b"), 0, NULL, "empty segment"},
	{EVIL("a//"), 0, NULL, "empty segment"},
	{EVIL("/a"), 0, NULL, "absolute"},
	{EVIL("/"), 0, NULL, "absolute"},
	{EVIL("//host/share"), 0, NULL, "absolute"},
	{EVIL("C:/a"), 0, NULL, "drive"},
	{EVIL("c:a"), 0, NULL, "drive"},
	{EVIL("a\\b"), 0, NULL, "backslash"},
	{EVIL("..\\a"), 0, NULL, "backslash"},
	{EVIL("\\\\host\\share"), 0, NULL, "backslash"},
	{EVIL("%2e%2e/a"), 0, NULL, "percent"},
	{EVIL("%2E./a"), 0, NULL, "percent"},
	{EVIL("a%2fb"), 0, NULL, "percent"},
	{EVIL("a%5Cb"), 0, NULL, "percent"},
	{EVIL("a%00.json"), 0, NULL, "percent"},
	{EVIL("%252e%252e%252fa"), 0, NULL, "percent"},
	{EVIL("%25252e"), 0, NULL, "percent"},
	{EVIL("%%32%65%%32%65/a"), 0, NULL, "percent"},
	{EVIL("%2%65"), 0, NULL, "percent"},
	{EVIL("%c0%ae%c0%ae/a"), 0, NULL, "percent"},
	{EVIL("%e0%80%af"), 0, NULL, "percent"},
	{EVIL("a%ef%bc%8f.b"), 0, NULL, "percent"},
	{EVIL("\xc0\xae\xc0\xae/a"), 0, NULL, "overlong"},
	{EVIL("a\xc0\xaf"
              "b"),
         0, NULL, "overlong"},
	{EVIL("\xe0\x80\xae/a"), 0, NULL, "overlong"},
	{EVIL("\xf0\x80\x80\xae/a"), UTF8, NULL, "overlong"},
	{EVIL("a\xc1\x9c"
              "b"),
         0, NULL, "overlong"},
	{EVIL("..\xef\xbc\x8f"
              "a"),
         UTF8, NULL, "fullwidth"},
	{EVIL("a\xef\xbc\xbc"
              "b"),
         UTF8, NULL, "fullwidth"},
	{EVIL("a\0b"), 0, NULL, "control"},
	{EVIL("\0"), 0, NULL, "control"},
	{EVIL("a\nb"), 0, NULL, "control"},
	{EVIL("a\r\nX-Header: 1"), 0, NULL, "control"},
	{EVIL("a\tb"), 0, NULL, "control"},
	{EVIL("\x1b[31m"), 0, NULL, "control"},
	{EVIL("a\x7f"), 0, NULL, "control"},
	{EVIL("a\xc2\x85"
              "b"),
         UTF8, NULL, "control"},
	{EVIL("se\xa4"
              "al.json"),
         UTF8, NULL, "UTF-8"},
	{EVIL("\xed\xa0\x80.json"), UTF8, NULL, "UTF-8"},
	{EVIL("\xed\xa0\x80.json"), 0, NULL, "libzip"},
	{EVIL("\xf4\x90\x80\x80.json"), UTF8, NULL, "UTF-8"},
	{EVIL("acta\xe2\x80\xaegnp.json"), UTF8, NULL, "bidirectional"},
	{EVIL("a\xe2\x81\xa6"
              "b"),
         UTF8, NULL, "bidirectional"},
	{EVIL("a\xe2\x80\x8f"
              "b"),
         UTF8, NULL, "bidirectional"},
	{EVIL("a\xd8\x9c"
              "b"),
         UTF8, NULL, "bidirectional"},
	{EVIL("a\xe2\x80\x8b"
              "b"),
         UTF8, NULL, "zero-width"},
	{EVIL("a\xe2\x80\x8d"
              "b"),
         UTF8, NULL, "zero-width"},
	{EVIL("\xef\xbb\xbfindex.html"), UTF8, NULL, "zero-width"},
	{EVIL("a\xc2\xad"
              "b"),
         UTF8, NULL, "zero-width"},
	{EVIL("a\xe2\x80\xa8"
              "b"),
         UTF8, NULL, "invisible"},
	{EVIL("a\xf3\xa0\x81\xa1"
              "b"),
         UTF8, NULL, "invisible"},
	{EVIL("a\xef\xbf\xbf"), UTF8, NULL, "noncharacter"},
	{EVIL("a."), 0, NULL, "ends in a dot"},
	{EVIL("a./b"), 0, NULL, "ends in a dot"},
	{EVIL("a "), 0, NULL, "ends in a dot"},
	{EVIL("a /b"), 0, NULL, "ends in a dot"},
	{EVIL("dir /"), 0, NULL, "ends in a dot"},
	{EVIL(FIFTY FIFTY FIFTY FIFTY FIFTY "012345"), 0, NULL, "a segment is over"},
	{EVIL(FIFTY FIFTY FIFTY FIFTY FIFTY "/" FIFTY FIFTY FIFTY FIFTY FIFTY
                                            "/" FIFTY FIFTY FIFTY FIFTY FIFTY
                                            "/" FIFTY FIFTY TEN TEN TEN TEN "01234567"),
         0, NULL, "limit of its length"},
	{EVIL(FAR FAR FAR FAR FAR FAR "a/a/a/a/a"), 0, NULL, "folders in folders"},
	{EVIL(".difusor/live"), 0, NULL, "reserved"},
	{EVIL(".difusor/"), 0, NULL, "reserved"},
	{EVIL(".difusor"), 0, NULL, "reserved"},
	{EVIL(".DIFUSOR/live"), 0, NULL, "reserved"},
	{EVIL(".difusor-tmp-1"), 0, NULL, "reserved"},
	{EVIL("a/.difusor/b"), 0, NULL, "reserved"},
	{EVIL("a/.Difusor"), 0, NULL, "reserved"},
	{EVIL("a/b/.difusor-tmp-1"), 0, NULL, "reserved"},
	{EVIL(".difusor-tmp-/b"), 0, NULL, "reserved"},
	{EVIL(".well-known/acme-challenge/token"), 0, NULL, "acme"},
};

static const struct {
	struct evil_bytes one, two;
	uint16_t flags;   /* of two */
	const char *says; /* NULL: accepted, with a warning */
} pairs[] = {
	{EVIL("a"), EVIL("a"), 0, "twice"},
	{EVIL("d/"), EVIL("d/"), 0, "twice"},
	{EVIL("a"), EVIL("a/"), 0, "twice"},
	{EVIL("a/"), EVIL("a"), 0, "twice"},
	{EVIL("a"), EVIL("a/b"), 0, "folder of"},
	{EVIL("a/b/c"), EVIL("a/b"), 0, "folder of"},
	{EVIL("a"), EVIL("a/b/c/d"), 0, "folder of"},
	{EVIL("\xc3\xb1"), EVIL("n\xcc\x83"), UTF8, "twice"},
	{EVIL("n\xcc\x83/x"), EVIL("\xc3\xb1"), UTF8, "folder of"},
	{EVIL("\xa4"), EVIL("\xc3\xb1"), UTF8, "twice"},
	{EVIL("A.json"), EVIL("a.json"), 0, NULL},
	{EVIL("\xc3\x91.json"), EVIL("\xc3\xb1.json"), UTF8, NULL},
	{EVIL("Stra\xc3\x9f"
              "e"),
         EVIL("strasse"), UTF8, NULL},
};

static void expect(const struct evil_archive *a, const char *says, size_t i)
{
	size_t n;
	uint8_t *p = evil_build(a, &n);
	struct dif_error err;
	bool good = verdict_bytes(p, n, NULL, NULL, NULL, &err);
	free(p);
	if (good != (says == NULL)) {
		fail_msg("name %zu: %s", i, good ? "accepted" : err.text);
	}
	if (says != NULL && strstr(err.text, says) == NULL) {
		fail_msg("name %zu: expected '%s' in: %s", i, says, err.text);
	}
	if (says != NULL) {
		assert_int_equal(err.exit, DIF_EXIT_PACKAGE);
		/* what a hostile name says never reaches a terminal raw */
		for (const char *c = err.text; *c != '\0'; c++) {
			assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
		}
	}
}

static void on_named(void *data, const struct dif_entry *e, const uint8_t *p)
{
	const struct named *n = data;
	const char *as = n->as != NULL ? n->as : n->name.p;
	if (strcmp(e->name, "index.html") != 0) {
		assert_string_equal(e->name, as);
		assert_int_equal(e->size, 4);
		assert_memory_equal(p, "data", 4);
	}
}

TEST(honest_names_are_published_as_they_are)
{
	UNUSED_STATE;
	for (size_t i = 0; i < sizeof honest / sizeof honest[0]; i++) {
		const struct evil_file f[] = {
			INDEX,
			{.name = honest[i].name, .data = EVIL("data"), .flags = honest[i].flags}};
		const struct evil_archive a = {.files = f, .nfiles = 2};
		size_t n;
		uint8_t *p = evil_build(&a, &n);
		struct named one = honest[i];
		struct dif_error err;
		if (!verdict_bytes(p, n, NULL, on_named, &one, &err)) {
			fail_msg("name %zu: %s", i, err.text);
		}
		free(p);
	}
}

TEST(hostile_names_are_refused_with_their_reason)
{
	UNUSED_STATE;
	for (size_t i = 0; i < sizeof hostile / sizeof hostile[0]; i++) {
		const struct evil_file f[] = {INDEX,
		                              {.name = hostile[i].name, .flags = hostile[i].flags}};
		expect(&(struct evil_archive){.files = f, .nfiles = 2}, hostile[i].says, i);
	}
}

TEST(two_names_that_are_one_are_refused)
{
	UNUSED_STATE;
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		const struct evil_file f[] = {INDEX,
		                              {.name = pairs[i].one},
		                              {.name = pairs[i].two, .flags = pairs[i].flags}};
		expect(&(struct evil_archive){.files = f, .nfiles = 3}, pairs[i].says, i);
	}
}

TEST(what_is_odd_is_told)
{
	UNUSED_STATE;
	enum { N = 60 };
	struct evil_file f[N] = {INDEX,
	                         {.name = EVIL("se\xa4"
	                                       "al")}};
	char names[N][16];
	for (int i = 2; i < N; i++) {
		snprintf(names[i], sizeof names[i], "%c%d", i % 2 == 0 ? 'a' : 'A', i / 2);
		f[i].name = (struct evil_bytes){names[i], strlen(names[i])};
	}
	const struct evil_archive a = {.files = f, .nfiles = N};
	size_t n;
	uint8_t *p = evil_build(&a, &n);
	const char *path = test_path("odd.zip");
	test_write(path, p, n);
	free(p);
	struct dif_error err;
	struct dif_package *k = dif_package_open(path, NULL, &err);
	assert_non_null(k);
	assert_non_null(strstr(k->warnings[0], "code page 437"));
	assert_non_null(strstr(k->warnings[1], "differ in case only"));
	size_t count = 0;
	while (k->warnings[count] != NULL) {
		count++;
	}
	assert_int_equal(count, 16);
	assert_non_null(strstr(k->warnings[15], "15 further"));
	dif_package_close(k);
}

/* Every byte of code page 437, against the second opinion of libzip that opening asks. */
TEST(every_letter_of_code_page_437_is_read_alike)
{
	UNUSED_STATE;
	for (unsigned c = 0x80; c < 0x100; c++) {
		char name[] = {'x', (char)c, '.', 'j', '\0'};
		const struct evil_file f[] = {INDEX, {.name = {name, 4}}};
		expect(&(struct evil_archive){.files = f, .nfiles = 2}, NULL, c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(honest_names_are_published_as_they_are),
		cmocka_unit_test(hostile_names_are_refused_with_their_reason),
		cmocka_unit_test(two_names_that_are_one_are_refused),
		cmocka_unit_test(what_is_odd_is_told),
		cmocka_unit_test(every_letter_of_code_page_437_is_read_alike),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
