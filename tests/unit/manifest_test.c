#include "support.h"

#include "flow/manifest.h"

#define SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct dif_manifest *sample(uint32_t n)
{
	struct dif_manifest *m = dif_manifest_new();
	assert_non_null(m);
	m->order = (struct dif_order){.epoch = 1, .number = 1780862400000, .sha256 = SHA};
	m->profile = "rehearsal";
	m->members = dif_arena_alloc(&m->arena, (n + 1) * sizeof *m->members);
	assert_non_null(m->members);
	for (uint32_t i = 0; i < n; i++) {
		struct dif_member *e = &m->members[i];
		e->path = dif_arena_fmt(&m->arena,
		                        "assets/100%%/se\xc3\xb1"
		                        "al %05u.json",
		                        i);
		e->offset = 1000ull * i;
		e->packed = 300 + i;
		e->size = 36000 + i;
		e->crc = 0xdeadbeef ^ i;
		e->method = 8;
		struct dif_form *f = &e->form[DIF_IDENTITY];
		f->size = e->size;
		f->has = DIF_HAS(DIF_SHA256) | DIF_HAS(DIF_MD5) | DIF_HAS(DIF_CRC32C);
		memset(f->sha256, (int)(i & 0xff), sizeof f->sha256);
		memset(f->md5, 0x5a, sizeof f->md5);
		memcpy(f->crc32c, "\1\2\3\4", 4);
		if (i % 2 == 1) {
			e->form[DIF_GZIP] = (struct dif_form){
				.size = e->packed + 18, .has = DIF_HAS(DIF_SHA256), .sha256 = {9}};
		}
		m->bytes += e->size;
	}
	m->n = n;
	return m;
}

static void text_of(const struct dif_manifest *m, struct dif_buf *out)
{
	dif_buf_init(out, 64u << 20);
	assert_true(dif_manifest_write(m, out));
}

static struct dif_manifest *parse(const char *p, size_t n, struct dif_error *err)
{
	dif_error_clear(err);
	return dif_manifest_read((struct dif_bytes){.p = p, .n = n}, err);
}

TEST(what_is_written_is_read_back_whole)
{
	UNUSED_STATE;
	struct dif_manifest *m = sample(15000);
	struct dif_buf text;
	text_of(m, &text);
	struct dif_error err;
	struct dif_manifest *back = parse(text.p, text.n, &err);
	assert_non_null(back);
	assert_int_equal(back->n, m->n);
	assert_int_equal(back->bytes, m->bytes);
	assert_string_equal(back->profile, "rehearsal");
	assert_int_equal(dif_order_compare(&back->order, &m->order), 0);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct dif_member *a = &m->members[i], *b = &back->members[i];
		assert_string_equal(a->path, b->path);
		assert_int_equal(a->offset, b->offset);
		assert_int_equal(a->packed, b->packed);
		assert_int_equal(a->size, b->size);
		assert_int_equal(a->crc, b->crc);
		assert_int_equal(a->method, b->method);
		assert_memory_equal(a->form, b->form, sizeof a->form);
	}
	struct dif_buf again;
	text_of(back, &again);
	assert_int_equal(again.n, text.n);
	assert_memory_equal(again.p, text.p, text.n);
	dif_buf_fini(&again);
	dif_buf_fini(&text);
	dif_manifest_unref(back);
	dif_manifest_unref(m);
}

TEST(an_empty_manifest_keeps_its_unset_fields)
{
	UNUSED_STATE;
	struct dif_manifest *m = dif_manifest_new();
	struct dif_buf text;
	text_of(m, &text);
	struct dif_error err;
	struct dif_manifest *back = parse(text.p, text.n, &err);
	assert_non_null(back);
	assert_int_equal(back->n, 0);
	assert_string_equal(back->profile, "");
	assert_string_equal(back->order.sha256, "");
	assert_null(dif_manifest_find(back, "index.html"));
	dif_buf_fini(&text);
	dif_manifest_unref(back);
	dif_manifest_unref(m);
}

TEST(a_text_cut_anywhere_is_refused)
{
	UNUSED_STATE;
	struct dif_manifest *m = sample(3);
	struct dif_buf text;
	text_of(m, &text);
	struct dif_error err;
	for (size_t n = 0; n < text.n; n++) {
		assert_null(parse(text.p, n, &err));
		assert_int_not_equal(err.cls, DIF_OK);
	}
	dif_buf_fini(&text);
	dif_manifest_unref(m);
}

TEST(damage_is_refused_or_harmless_at_every_byte)
{
	UNUSED_STATE;
	struct dif_manifest *m = sample(3);
	struct dif_buf text;
	text_of(m, &text);
	struct dif_error err;
	static const char bytes[] = {'\0', '\n', '\t', ',', '%', 'g', '9', (char)0xff};
	for (size_t i = 0; i < text.n; i++) {
		for (size_t b = 0; b < sizeof bytes; b++) {
			char kept = text.p[i];
			text.p[i] = bytes[b];
			dif_manifest_unref(parse(text.p, text.n, &err));
			text.p[i] = kept;
		}
	}
	dif_buf_fini(&text);
	dif_manifest_unref(m);
}

TEST(hostile_texts_are_refused_with_a_sentence)
{
	UNUSED_STATE;
	static const struct {
		const char *text, *says;
	} t[] = {
		{"", "it is none"},
		{"{}\n", "it is none"},
		{"difusor-manifest 2\norder 0 0 -\n", "version '2' is not known"},
		{"difusor-manifest 1\norder 0 0 xyz\n", "line 2"},
		{"difusor-manifest 1\norder 0 0 -\nprofile -\nmembers 4000000000\n", "line 4"},
		{"difusor-manifest 1\norder 0 0 -\nprofile -\nmembers 0\nend 1\n", "line 5"},
		{"difusor-manifest 1\norder 0 0 -\nprofile -\nmembers 0\nend 0\nmore\n", "line 5"},
		{"difusor-manifest 1\norder 0 0 -\nprofile -\nmembers 2\n"
	         "b\t0\t1\t1\t00000000\t0\t-\t-\na\t0\t1\t1\t00000000\t0\t-\t-\nend 2\n",
	         "line 6"},
		{"difusor-manifest 1\norder 0 0 -\nprofile -\nmembers 1\n"
	         "b\t0\t1\t1\t00000000\t0\t5,sha1=00\t-\nend 1\n",
	         "line 5"},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++) {
		struct dif_error err;
		assert_null(parse(t[i].text, strlen(t[i].text), &err));
		if (strstr(err.text, t[i].says) == NULL) {
			fail_msg("case %zu says: %s", i, err.text);
		}
	}
}

TEST(every_member_is_found_and_nothing_else)
{
	UNUSED_STATE;
	struct dif_manifest *m = sample(500);
	for (uint32_t i = 0; i < m->n; i++) {
		assert_ptr_equal(dif_manifest_find(m, m->members[i].path), &m->members[i]);
	}
	assert_null(dif_manifest_find(m, "assets"));
	assert_null(dif_manifest_find(m, ""));
	assert_null(dif_manifest_find(m, "zzz"));
	dif_manifest_unref(m);
}

TEST(references_keep_it_alive)
{
	UNUSED_STATE;
	struct dif_manifest *m = dif_manifest_ref(sample(1));
	dif_manifest_unref(m);
	assert_int_equal(m->n, 1);
	dif_manifest_unref(m);
	dif_manifest_unref(NULL);
}

TEST(order_is_epoch_then_number_then_digest)
{
	UNUSED_STATE;
	struct dif_order a = {.epoch = 1, .number = 5, .sha256 = "aa"};
	struct dif_order b = {.epoch = 0, .number = 9, .sha256 = "bb"};
	assert_true(dif_order_compare(&a, &b) > 0);
	b.epoch = 1;
	assert_true(dif_order_compare(&a, &b) < 0);
	b.number = 5;
	assert_true(dif_order_compare(&a, &b) < 0);
	assert_true(dif_order_compare(&b, &a) > 0);
	assert_int_equal(dif_order_compare(&a, &a), 0);
}

TEST(the_gzip_trailer_is_little_endian_and_wraps)
{
	UNUSED_STATE;
	uint8_t t[DIF_GZIP_TRAILER];
	dif_gzip_trailer(t, 0x11223344, 0x1aabbccddull);
	assert_memory_equal(t, "\x44\x33\x22\x11\xdd\xcc\xbb\xaa", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_back_whole),
		cmocka_unit_test(an_empty_manifest_keeps_its_unset_fields),
		cmocka_unit_test(a_text_cut_anywhere_is_refused),
		cmocka_unit_test(damage_is_refused_or_harmless_at_every_byte),
		cmocka_unit_test(hostile_texts_are_refused_with_a_sentence),
		cmocka_unit_test(every_member_is_found_and_nothing_else),
		cmocka_unit_test(references_keep_it_alive),
		cmocka_unit_test(order_is_epoch_then_number_then_digest),
		cmocka_unit_test(the_gzip_trailer_is_little_endian_and_wraps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
