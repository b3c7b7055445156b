#include "support.h"

#include <unistd.h>

#include "host/crypto.h"
#include "support/evil.h"
#include "support/verdict.h"

struct outcome {
	struct dif_engine *engine;
	struct dif_manifest *m;
	struct dif_error err;
	unsigned calls;
	uint64_t last;
	struct dif_ingest *cancel; /* at the first progress */
};

static void on_progress(void *data, uint64_t bytes, uint64_t of)
{
	struct outcome *o = data;
	assert_true(bytes >= o->last);
	assert_true(bytes <= of);
	o->last = bytes;
	if (o->cancel != NULL) {
		dif_ingest_cancel(o->cancel);
		o->cancel = NULL;
	}
}

static void on_done(void *data, struct dif_manifest *m, const struct dif_error *err)
{
	struct outcome *o = data;
	o->calls++;
	o->m = m;
	assert_true((m == NULL) == (err != NULL));
	if (err != NULL) {
		o->err = *err;
	}
}

static struct dif_package *package_of(const struct evil_archive *a, const char *name)
{
	size_t n;
	uint8_t *p = evil_build(a, &n);
	char path[320];
	snprintf(path, sizeof path, "%s/%s", test_folder(), name);
	test_write(path, p, n);
	free(p);
	struct dif_error err;
	struct dif_package *k = dif_package_open(path, NULL, &err);
	if (k == NULL) {
		fail_msg("%s", err.text);
	}
	return k;
}

static void ingest(const struct dif_package *p, const struct dif_ingest_want *want,
                   struct outcome *o)
{
	*o = (struct outcome){0};
	dif_error_clear(&o->err);
	o->engine = dif_engine_new(&o->err);
	assert_non_null(o->engine);
	struct dif_ingest *i = dif_ingest_start(o->engine, p, want, on_progress, on_done, o);
	assert_non_null(i);
	assert_int_equal(o->calls, 0); /* never before it returns */
	dif_engine_run(o->engine);
	assert_int_equal(o->calls, 1);
	dif_engine_free(o->engine);
}

static void digest_is(enum dif_digest d, const uint8_t *got, size_t size, const void *p, size_t n)
{
	uint8_t want[DIF_DIGEST_MAX];
	assert_true(dif_hash(d, p, n, want));
	assert_memory_equal(got, want, size);
}

#define FORM_ALL (DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_MD5) | DIF_HAS(DIF_CRC32C))

static void form_is(const struct dif_form *f, uint32_t has, const void *p, size_t n)
{
	assert_int_equal(f->has, has);
	assert_int_equal(f->size, n);
	digest_is(DIF_SHA256, f->sha256, 32, p, n);
	if ((has & DIF_HAS(DIF_MD5)) != 0) {
		digest_is(DIF_MD5, f->md5, 16, p, n);
	}
	if ((has & DIF_HAS(DIF_CRC32C)) != 0) {
		digest_is(DIF_CRC32C, f->crc32c, 4, p, n);
	}
}

/* The gzip form, built here from the package's own bytes. */
static void gzip_is(const struct dif_package *p, const struct dif_member *m, uint32_t has)
{
	size_t n = (size_t)m->packed + DIF_GZIP_HEADER + DIF_GZIP_TRAILER;
	uint8_t *z = malloc(n);
	assert_non_null(z);
	memcpy(z, dif_gzip_header, DIF_GZIP_HEADER);
	assert_int_equal(pread(p->fd, z + DIF_GZIP_HEADER, m->packed, (off_t)m->offset), m->packed);
	dif_gzip_trailer(z + DIF_GZIP_HEADER + m->packed, m->crc, m->size);
	form_is(&m->form[DIF_GZIP], has, z, n);
	free(z);
}

static char *pattern(size_t n)
{
	char *p = malloc(n);
	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		p[i] = (char)(' ' + (i * i / 7 + i) % 90);
	}
	return p;
}

TEST(every_member_gets_the_digests_of_both_forms)
{
	UNUSED_STATE;
	size_t big = (9u << 20) + 17;
	char *text = pattern(big);
	const struct evil_file f[] = {
		Z(),
		INDEX,
		A(),
		{.name = EVIL("empty")},
		{.name = EVIL("big/deflated.csv"), .data = {text, big}, .deflate = true},
		{.name = EVIL("big/stored.csv"), .data = {text, big}},
		{.name = EVIL("exact.csv"), .data = {text, DIF_WHOLE_MAX}, .deflate = true},
		{.name = EVIL("one-more.csv"), .data = {text, DIF_WHOLE_MAX + 1}, .deflate = true},
	};
	const struct evil_archive a = {.files = f, .nfiles = sizeof f / sizeof f[0]};
	struct dif_package *p = package_of(&a, "all.zip");
	struct outcome o;
	ingest(p, &(struct dif_ingest_want){.digests = FORM_ALL, .gzip = true}, &o);
	assert_non_null(o.m);
	assert_int_equal(o.m->n, a.nfiles);
	assert_int_equal(o.m->bytes, p->total);
	assert_int_equal(o.m->refs, 1);
	for (size_t i = 0; i < a.nfiles; i++) {
		char name[64];
		snprintf(name, sizeof name, "%.*s", (int)f[i].name.n, (const char *)f[i].name.p);
		const struct dif_member *m = dif_manifest_find(o.m, name);
		assert_non_null(m);
		const void *data = f[i].data.p == NULL ? "" : f[i].data.p;
		form_is(&m->form[DIF_IDENTITY], FORM_ALL | DIF_HAS(DIF_CRC32), data, f[i].data.n);
		uint8_t crc[4] = {(uint8_t)(m->crc >> 24), (uint8_t)(m->crc >> 16),
		                  (uint8_t)(m->crc >> 8), (uint8_t)m->crc};
		assert_memory_equal(m->form[DIF_IDENTITY].crc32, crc, 4);
		if (f[i].deflate && m->packed + 18 < m->size) {
			gzip_is(p, m, FORM_ALL);
		} else {
			assert_int_equal(m->form[DIF_GZIP].has, 0);
		}
	}
	assert_true(dif_manifest_find(o.m, "big/deflated.csv")->form[DIF_GZIP].has != 0);
	dif_manifest_unref(o.m);
	dif_package_close(p);
	free(text);
}

TEST(only_what_is_wanted_is_computed)
{
	UNUSED_STATE;
	const struct evil_archive a = {FILES(INDEX, A(), Z())};
	struct dif_package *p = package_of(&a, "few.zip");
	struct outcome o;
	ingest(p, &(struct dif_ingest_want){0}, &o);
	assert_non_null(o.m);
	for (uint32_t i = 0; i < o.m->n; i++) {
		assert_int_equal(o.m->members[i].form[DIF_IDENTITY].has,
		                 DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_CRC32));
		assert_int_equal(o.m->members[i].form[DIF_GZIP].has, 0);
	}
	dif_manifest_unref(o.m);
	ingest(p, &(struct dif_ingest_want){.digests = DIF_HAS(DIF_MD5)}, &o);
	assert_int_equal(o.m->members[0].form[DIF_IDENTITY].has,
	                 DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_CRC32) | DIF_HAS(DIF_MD5));
	dif_manifest_unref(o.m);
	dif_package_close(p);
}

TEST(equal_packed_bytes_keep_their_digests)
{
	UNUSED_STATE;
	/* plumless and buckeroo have one CRC-32: by CRC and size they look the same */
	const struct evil_archive one = {
		FILES(INDEX, Z(), {.name = EVIL("t"), .data = EVIL("plumless")})};
	const struct evil_archive two = {
		FILES(A(), Z(), {.name = EVIL("t"), .data = EVIL("buckeroo")}, INDEX)};
	struct dif_package *before = package_of(&one, "before.zip");
	struct dif_package *now = package_of(&two, "now.zip");
	struct outcome o;
	ingest(before, &(struct dif_ingest_want){.gzip = true}, &o);
	struct dif_manifest *known = o.m;
	assert_non_null(known);
	/* marks that only taking over can carry along */
	for (uint32_t i = 0; i < known->n; i++) {
		known->members[i].form[DIF_IDENTITY].md5[0] = 0xab;
	}
	struct dif_ingest_want want = {.before = before, .known = known};
	ingest(now, &want, &o);
	assert_non_null(o.m);
	assert_int_equal(dif_manifest_find(o.m, "z.json")->form[0].md5[0], 0xab);
	assert_int_equal(dif_manifest_find(o.m, "index.html")->form[0].md5[0], 0xab);
	assert_int_equal(dif_manifest_find(o.m, "a.json")->form[0].md5[0], 0);
	const struct dif_member *twin = dif_manifest_find(o.m, "t");
	assert_int_equal(twin->crc, dif_manifest_find(known, "t")->crc);
	form_is(&twin->form[0], DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_CRC32), "buckeroo", 8);
	assert_int_equal(dif_manifest_find(o.m, "z.json")->form[DIF_GZIP].has, 0);
	assert_int_equal(dif_manifest_find(o.m, "z.json")->offset, now->entries[1].offset);
	dif_manifest_unref(o.m);

	want.gzip = true;
	ingest(now, &want, &o);
	gzip_is(now, dif_manifest_find(o.m, "z.json"), DIF_HAS(DIF_SHA256));
	dif_manifest_unref(o.m);

	want.digests = DIF_HAS(DIF_CRC32C); /* not known: computed anew */
	ingest(now, &want, &o);
	assert_int_equal(dif_manifest_find(o.m, "z.json")->form[0].md5[0], 0);
	assert_true((dif_manifest_find(o.m, "z.json")->form[0].has & DIF_HAS(DIF_CRC32C)) != 0);
	dif_manifest_unref(o.m);
	dif_manifest_unref(known);
	dif_package_close(now);
	dif_package_close(before);
}

static const struct {
	struct evil_archive a;
	const char *says;
	int exit;
} refusals[] = {
	{{.nfiles = 0}, "no file", 6},
	{{FILES(FOLDER())}, "no file", 6},
	{{FILES(A())}, "no index.html", 6},
	{{FILES({.name = EVIL("x/index.html"), .data = EVIL(PAGE)})}, "no index.html", 6},
	{{FILES({.name = EVIL("index.html"), .data = EVIL("<html>")})}, "<base href>", 6},
	{{FILES({.name = EVIL("index.html")})}, "<base href>", 6},
	{{FILES({.name = EVIL("index.html"), .data = EVIL("<!--" PAGE "-->")})}, "<base href>", 6},
	{{FILES(INDEX, A()), DO({EVIL_LOCAL, 1, 14, 4, 1, true}, {EVIL_DIR, 1, 16, 4, 1, true})},
         "CRC-32",
         5},
	{{FILES(INDEX, A()), DO({EVIL_DATA, 0, 9, 1, 1, true})}, "index.html", 0},
	{{FILES(INDEX, Z(.tail = EVIL("x")))}, "trailing", 6},
	{{FILES(INDEX, Z()), DO({EVIL_LOCAL, 1, 22, 4, 7, false}, {EVIL_DIR, 1, 24, 4, 7, false})},
         "larger",
         6},
};

TEST(refusals_carry_their_exit_code)
{
	UNUSED_STATE;
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct dif_package *p = package_of(&refusals[i].a, "refused.zip");
		struct outcome o;
		ingest(p, &(struct dif_ingest_want){.digests = FORM_ALL}, &o);
		assert_null(o.m);
		if (strstr(o.err.text, refusals[i].says) == NULL) {
			fail_msg("expected '%s' in: %s", refusals[i].says, o.err.text);
		}
		if (refusals[i].exit != 0) {
			assert_int_equal(o.err.exit, refusals[i].exit);
		}
		dif_package_close(p);
	}
}

TEST(cancel_ends_it_once)
{
	UNUSED_STATE;
	enum { N = 40 };
	size_t n = 3u << 20;
	char *text = pattern(n);
	struct evil_file f[N] = {INDEX};
	char names[N][16];
	for (int i = 1; i < N; i++) {
		snprintf(names[i], sizeof names[i], "f%d", i);
		f[i] = (struct evil_file){.name = {names[i], strlen(names[i])}, .data = {text, n}};
	}
	const struct evil_archive a = {.files = f, .nfiles = N};
	struct dif_package *p = package_of(&a, "cancel.zip");
	for (int late = 0; late < 2; late++) {
		struct outcome o = {0};
		dif_error_clear(&o.err);
		o.engine = dif_engine_new(&o.err);
		assert_non_null(o.engine);
		struct dif_ingest *i = dif_ingest_start(o.engine, p, &(struct dif_ingest_want){0},
		                                        on_progress, on_done, &o);
		assert_non_null(i);
		if (late == 1) {
			o.cancel = i;
		} else {
			dif_ingest_cancel(i);
		}
		dif_engine_run(o.engine);
		assert_int_equal(o.calls, 1);
		assert_null(o.m);
		assert_int_equal(o.err.cls, DIF_CANCELED);
		dif_engine_free(o.engine);
	}
	dif_package_close(p);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_gets_the_digests_of_both_forms),
		cmocka_unit_test(only_what_is_wanted_is_computed),
		cmocka_unit_test(equal_packed_bytes_keep_their_digests),
		cmocka_unit_test(refusals_carry_their_exit_code),
		cmocka_unit_test(cancel_ends_it_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
