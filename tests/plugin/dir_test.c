/* dir - the real dir.so in host/op on real files. */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/plugin/support/checks.h"

static struct store *st;
static char *root;

static void begin(const char *name)
{
	char ini[8192];
	root = strdup(test_path(name));
	assert_non_null(root);
	(void)snprintf(ini, sizeof ini, "[store t]\nplugin = dir\nroot = %s\n", root);
	st = store_open(ini, NULL);
}

static void end(void)
{
	store_close(st);
	free(root);
}

static const struct dif_field meta[] = {{"order", "7"}, {"sha256", "ab"}};

static const struct store_out *put(const char *key, const char *text, struct dif_put in)
{
	static struct store_blob blob;
	in.key = key;
	in.blob = store_blob(&blob, text, strlen(text));
	in.meta = meta;
	in.nmeta = 2;
	return store_put(st, &in);
}

/* The tag of a fresh object; valid until the store is closed. */
static const char *put_ok(const char *key, const char *text)
{
	const struct store_out *out = put(key, text, (struct dif_put){.type = "text/plain"});
	check_ok(out);
	return out->object.tag;
}

static void check_file(const char *key, const char *text)
{
	char path[4096], got[256] = "";
	(void)snprintf(path, sizeof path, "%s/%s", root, key);
	FILE *f = fopen(path, "re");
	if (text == NULL) {
		assert_null(f);
		return;
	}
	assert_non_null(f);
	size_t n = fread(got, 1, sizeof got - 1, f);
	(void)fclose(f);
	got[n] = '\0';
	assert_string_equal(got, text);
}

TEST(a_put_is_a_file_that_anybody_can_read)
{
	UNUSED_STATE;
	begin("put");
	check_ok(put("a/b.txt", "hello",
	             (struct dif_put){.type = "text/plain", .cache = "no-store"}));
	check_file("a/b.txt", "hello");
	char path[4096];
	struct stat is;
	(void)snprintf(path, sizeof path, "%s/a/b.txt", root);
	assert_int_equal(stat(path, &is), 0);
	assert_int_equal(is.st_mode & 07777, 0644);
	end();
}

TEST(head_list_and_get_tell_the_same)
{
	UNUSED_STATE;
	begin("same");
	const struct store_out *out = put(
		"a/b.txt", "hello", (struct dif_put){.type = "text/plain", .cache = "no-store"});
	check_ok(out);
	const char *tag = out->object.tag;
	const struct dif_object *o = NULL;
	for (int i = 0; i < 3; i++) {
		out = i == 0   ? store_head(st, &(struct dif_get){.key = "a/b.txt"})
		      : i == 1 ? store_get(st, &(struct dif_get){.key = "a/b.txt"})
		               : store_list(st, &(struct dif_list){.prefix = "", .max = 10});
		check_ok(out);
		assert_int_equal(out->nrows, i == 2 ? 1 : 0);
		o = i == 2 ? &out->rows[0] : &out->object;
		assert_string_equal(o->key, "a/b.txt");
		assert_string_equal(o->tag, tag);
		assert_int_equal(o->size, 5);
		assert_true(o->modified > 0);
		assert_string_equal(o->type, "text/plain");
		assert_string_equal(o->cache, "no-store");
		assert_null(o->encoding);
		assert_int_equal(o->meta_known, 1);
		assert_int_equal(o->nmeta, 2);
		assert_string_equal(store_meta(o, "order"), "7");
		assert_string_equal(store_meta(o, "sha256"), "ab");
	}
	end();
}

TEST(a_range_is_a_range)
{
	UNUSED_STATE;
	begin("range");
	put_ok("a", "hello world");
	const struct store_out *out = store_get(st, &(struct dif_get){.key = "a", .offset = 6});
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "world");
	assert_int_equal(out->total, 11);
	out = store_get(st, &(struct dif_get){.key = "a", .offset = 2, .length = 3});
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "llo");
	assert_int_equal(out->total, 11);
	end();
}

TEST(conditions_on_reading)
{
	UNUSED_STATE;
	begin("reading");
	const char *tag = put_ok("a", "hello");
	const struct store_out *out =
		store_get(st, &(struct dif_get){.key = "a", .unless_tag = tag});
	check_ok(out);
	assert_true(out->not_modified);
	assert_int_equal(out->body.n, 0);
	out = store_head(st, &(struct dif_get){.key = "a", .unless_tag = tag});
	check_ok(out);
	assert_true(out->not_modified);
	const char *other = put_ok("a", "hallo");
	assert_string_not_equal(tag, other);
	out = store_get(st, &(struct dif_get){.key = "a", .unless_tag = tag});
	check_ok(out);
	assert_false(out->not_modified);
	assert_string_equal(dif_buf_str(&out->body), "hallo");
	check_class(store_get(st, &(struct dif_get){.key = "a", .if_tag = tag}), DIF_CONFLICT);
	check_class(store_head(st, &(struct dif_get){.key = "a", .if_tag = tag}), DIF_CONFLICT);
	check_ok(store_get(st, &(struct dif_get){.key = "a", .if_tag = other}));
	end();
}

TEST(conditions_on_writing)
{
	UNUSED_STATE;
	begin("writing");
	const char *tag = put_ok("a", "one");
	check_class(put("a", "two", (struct dif_put){.if_absent = 1}), DIF_CONFLICT);
	check_file("a", "one");
	const struct store_out *out = put("a", "two", (struct dif_put){.if_tag = tag});
	check_ok(out);
	check_class(put("a", "three", (struct dif_put){.if_tag = tag}), DIF_CONFLICT);
	check_file("a", "two");
	check_class(put("b", "new", (struct dif_put){.if_tag = tag}), DIF_CONFLICT);
	check_file("b", NULL);
	check_ok(put("b", "new", (struct dif_put){.if_absent = 1}));
	end();
}

TEST(a_tag_never_returns)
{
	UNUSED_STATE;
	begin("unique");
	const char *tags[20];
	for (size_t i = 0; i < DIF_LEN(tags); i++) {
		tags[i] = put_ok("a", "always the same");
		for (size_t k = 0; k < i; k++) {
			assert_string_not_equal(tags[i], tags[k]);
		}
	}
	end();
}

TEST(a_content_encoding_is_refused)
{
	UNUSED_STATE;
	begin("encoding");
	const struct store_out *out = put("a", "squeezed", (struct dif_put){.encoding = "gzip"});
	check_class(out, DIF_PERMANENT);
	check_text(out, "store_as = identity");
	check_file("a", NULL);
	end();
}

TEST(lists_page_in_byte_order)
{
	UNUSED_STATE;
	static const char *const keys[] = {"a-b", "a.txt", "a/b", "a/c", "b", "\xc3\xb1"};
	begin("pages");
	for (size_t i = DIF_LEN(keys); i > 0; i--) {
		put_ok(keys[i - 1], "x");
	}
	const char *cursor = NULL;
	size_t seen = 0, pages = 0;
	do {
		const struct store_out *out = store_list(
			st, &(struct dif_list){.prefix = "", .max = 2, .cursor = cursor});
		check_ok(out);
		for (uint32_t i = 0; i < out->nrows; i++) {
			assert_true(seen < DIF_LEN(keys));
			assert_string_equal(out->rows[i].key, keys[seen++]);
		}
		cursor = out->cursor;
		assert_true(++pages < 10);
	} while (cursor != NULL);
	assert_int_equal(seen, DIF_LEN(keys));
	const struct store_out *out = store_list(st, &(struct dif_list){.prefix = "a/", .max = 10});
	check_ok(out);
	assert_int_equal(out->nrows, 2);
	out = store_list(st, &(struct dif_list){.prefix = "none/", .max = 10});
	check_ok(out);
	assert_int_equal(out->nrows, 0);
	end();
}

TEST(a_batch_of_removals_answers_for_every_key)
{
	UNUSED_STATE;
	begin("removals");
	const char *tag = put_ok("a/one", "1");
	put_ok("a/two", "2");
	put_ok("b/three", "3");
	const char *const keys[] = {"a/one", "a/two", "missing", "b/three"};
	const char *const tags[] = {tag, tag, NULL, NULL};
	const struct store_out *out =
		store_remove(st, &(struct dif_remove){.keys = keys, .tags = tags, .n = 4});
	check_ok(out);
	assert_int_equal(out->nitems, 4);
	assert_int_equal(out->items[0].cls, DIF_OK);
	assert_int_equal(out->items[1].cls, DIF_CONFLICT);
	assert_int_equal(out->items[2].cls, DIF_OK);
	assert_int_equal(out->items[3].cls, DIF_OK);
	check_file("a/one", NULL);
	check_file("a/two", "2");
	check_file("b/three", NULL);
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/b", root);
	assert_int_equal(access(path, F_OK), -1); /* left empty by us */
	assert_int_equal(access(root, F_OK), 0);
	end();
}

TEST(the_marker_lies_beside_the_root)
{
	UNUSED_STATE;
	begin("marked");
	check_ok(put(".difusor/live", "marker", (struct dif_put){.if_absent = 1}));
	check_file(".difusor/live", NULL);
	const struct store_out *out = store_get(st, &(struct dif_get){.key = ".difusor/live"});
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "marker");
	out = store_list(st, &(struct dif_list){.prefix = "", .max = 10});
	check_ok(out);
	assert_int_equal(out->nrows, 0);
	end();
}

TEST(what_is_not_there_is_an_answer)
{
	UNUSED_STATE;
	begin("missing");
	check_ok(store_probe(st));
	check_class(store_head(st, &(struct dif_get){.key = "a"}), DIF_NOT_FOUND);
	check_class(store_get(st, &(struct dif_get){.key = "a/b"}), DIF_NOT_FOUND);
	put_ok("f/x", "1");
	check_class(store_head(st, &(struct dif_get){.key = "f"}), DIF_NOT_FOUND);
	end();
}

TEST(nothing_leaves_the_root)
{
	UNUSED_STATE;
	static const char *const bad[] = {"../x", "a/../../x", "/etc/passwd", "a//b", "", "a/./b"};
	begin("confined");
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		assert_int_not_equal(put(bad[i], "x", (struct dif_put){0})->err.cls, DIF_OK);
		assert_int_not_equal(store_get(st, &(struct dif_get){.key = bad[i]})->err.cls,
		                     DIF_OK);
	}
	char path[4096];
	(void)snprintf(path, sizeof path, "%s/link", root);
	assert_int_equal(symlink("/etc", path), 0);
	assert_int_not_equal(store_get(st, &(struct dif_get){.key = "link/passwd"})->err.cls,
	                     DIF_OK);
	assert_int_not_equal(put("link/x", "x", (struct dif_put){0})->err.cls, DIF_OK);
	end();
}

TEST(a_root_must_be_a_folder_of_its_own)
{
	UNUSED_STATE;
	check_refused("[store t]\nplugin = dir\nroot = /\n", "whole file system");
	check_refused("[store t]\nplugin = dir\nroot = /srv/a\nside = /srv/a/b\n", "beside root");
	check_refused("[store t]\nplugin = dir\nroot = /srv/a/\nside = /srv\n", "beside root");
	check_refused("[store t]\nplugin = dir\n", "root");
}

int main(void)
{
	umask(022);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_put_is_a_file_that_anybody_can_read),
		cmocka_unit_test(head_list_and_get_tell_the_same),
		cmocka_unit_test(a_range_is_a_range),
		cmocka_unit_test(conditions_on_reading),
		cmocka_unit_test(conditions_on_writing),
		cmocka_unit_test(a_tag_never_returns),
		cmocka_unit_test(a_content_encoding_is_refused),
		cmocka_unit_test(lists_page_in_byte_order),
		cmocka_unit_test(a_batch_of_removals_answers_for_every_key),
		cmocka_unit_test(the_marker_lies_beside_the_root),
		cmocka_unit_test(what_is_not_there_is_an_answer),
		cmocka_unit_test(nothing_leaves_the_root),
		cmocka_unit_test(a_root_must_be_a_folder_of_its_own),
	};
	return cmocka_run_group_tests_name("plugin/dir", tests, NULL, NULL);
}
