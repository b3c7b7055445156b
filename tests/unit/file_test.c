#include "host/file.h"

#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "unit/support/filekit.h"
#include "unit/support/slow.h"

TEST(put_stat_get_and_list_agree)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	struct answer p = file_put(&w, "a/b/c.json", "hello", NULL, false);
	assert_int_equal(p.status, 200);
	assert_int_equal(p.size, 5);
	struct answer s = file_stat(&w, "a/b/c.json");
	assert_int_equal(s.status, 200);
	assert_string_equal(s.tag, p.tag);
	assert_int_equal(s.size, 5);
	assert_non_null(strstr(s.meta, "order=7 "));
	assert_non_null(strstr(s.meta, "sha256=abc "));
	struct answer l = file_list(&w, "", NULL, 10);
	assert_string_equal(l.names, "a/b/c.json ");
	assert_string_equal(l.tag, p.tag);
	assert_string_equal(l.meta, s.meta);
	assert_int_equal(l.more, 0);
	assert_string_equal(file_get(&w, "a/b/c.json", 0, 0), "hello");
	assert_string_equal(file_get(&w, "a/b/c.json", 1, 3), "ell");
	assert_string_equal(file_get(&w, "a/b/c.json", 5, 0), "");
	assert_null(file_get(&w, "a/b/c.json", 6, 0));
	char value[16] = {0};
	assert_int_equal(getxattr(file_in(w.at, "a/b/c.json"), "user.difusor.order", value, 15), 1);
	assert_string_equal(value, "7");
	assert_int_equal(file_temporaries(&w), 0);
	file_close(&w);
}

static void on_body(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	char *to = data;
	(void)snprintf(to, 256, "%d %u %.*s %.200s", r->status, (unsigned)r->body.n,
	               (int)(r->body.n < 40 ? r->body.n : 40), (const char *)r->body.p, err->text);
}

TEST(without_a_sink_a_small_file_is_the_body)
{
	UNUSED_STATE;
	struct world w;
	char big[(1 << 20) + 2];
	char seen[256] = "";
	memset(big, 'x', sizeof big - 1);
	big[sizeof big - 1] = '\0';
	file_open(&w);
	file_put(&w, "route.json", "hello", NULL, false);
	file_put(&w, "empty", "", NULL, false);
	file_put(&w, "big", big, NULL, false);
	static const struct {
		const char *path, *expect;
	} all[] = {{"route.json", "200 5 hello "},
	           {"empty", "200 0  "},
	           {"absent", "404 0  could not"},
	           {"big", "0 0  could not read file 'big': it has 1048577 bytes"}};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		struct dif_file_call call = {.verb = DIF_FILE_GET, .path = all[i].path};
		seen[0] = '\0';
		dif_file_start(w.engine, w.root, &call, on_body, seen);
		while (seen[0] == '\0') {
			uv_run(&w.engine->loop, UV_RUN_ONCE);
		}
		assert_memory_equal(seen, all[i].expect, strlen(all[i].expect));
	}
	file_close(&w);
}

TEST(a_tag_changes_with_every_write)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	char tags[50][80];
	for (int i = 0; i < 50; i++) {
		/* the same bytes, the same length */
		snprintf(tags[i], 80, "%s", file_put(&w, "k", "same", NULL, false).tag);
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(tags[i], tags[k]);
		}
	}
	assert_string_equal(file_stat(&w, "k").tag, tags[49]);
	/* also by a stranger, into the file */
	test_write(file_in(w.at, "k"), "SAME", 4);
	assert_string_not_equal(file_stat(&w, "k").tag, tags[49]);
	file_close(&w);
}

TEST(conditions_are_kept)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	struct answer first = file_put(&w, "k", "one", NULL, true);
	assert_int_equal(first.status, 200);
	assert_int_equal(file_put(&w, "k", "two", NULL, true).status, 412);
	assert_int_equal(file_put(&w, "new", "two", first.tag, false).status, 412);
	assert_false(file_exists(file_in(w.at, "new")));
	struct answer second = file_put(&w, "k", "two", first.tag, false);
	assert_int_equal(second.status, 200);
	struct answer lost = file_put(&w, "k", "three", first.tag, false);
	assert_int_equal(lost.status, 412);
	assert_int_equal(lost.cls, DIF_CONFLICT);
	assert_string_equal(lost.text,
	                    "could not put file 'k': it is not what the condition names");
	assert_string_equal(file_get(&w, "k", 0, 0), "two");
	assert_int_equal(file_remove(&w, "k", first.tag).status, 412);
	assert_int_equal(file_remove(&w, "k", second.tag).status, 200);
	assert_int_equal(file_remove(&w, "k", NULL).status, 404);
	assert_int_equal(file_stat(&w, "k").status, 404);
	assert_int_equal(file_temporaries(&w), 0);
	file_close(&w);
}

TEST(removal_takes_empty_folders_but_not_the_root)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	file_put(&w, "a/b/c/x", "1", NULL, false);
	file_put(&w, "a/y", "1", NULL, false);
	assert_int_equal(file_remove(&w, "a/b/c/x", NULL).status, 200);
	assert_false(file_exists(file_in(w.at, "a/b")));
	assert_true(file_exists(file_in(w.at, "a/y")));
	assert_int_equal(file_remove(&w, "a/y", NULL).status, 200);
	assert_false(file_exists(file_in(w.at, "a")));
	file_put(&w, "z", "1", NULL, false);
	assert_int_equal(file_remove(&w, "z", NULL).status, 200);
	assert_true(file_exists(w.at));
	file_close(&w);
}

TEST(paths_stay_below_the_root)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"",    "/",   "/etc/passwd", "..", "../x",           "a/../../x",         "a/..",
		"./a", "a/.", "a//b",        "a/", ".difusor-tmp-1", "a/.difusor-tmp-1/b"};
	struct world w;
	file_open(&w);
	char deep[400] = "x", longest[300];
	for (int i = 0; i < 64; i++) {
		strncat(deep, "/x", sizeof deep - strlen(deep) - 1);
	}
	memset(longest, 'n', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	for (size_t i = 0; i < DIF_LEN(bad) + 2; i++) {
		const char *path = i < DIF_LEN(bad) ? bad[i] : i == DIF_LEN(bad) ? deep : longest;
		struct answer a = file_put(&w, path, "x", NULL, false);
		assert_int_equal(a.status, 0);
		assert_int_equal(a.cls, DIF_PERMANENT);
		assert_int_equal(file_stat(&w, path).cls, DIF_PERMANENT);
		assert_int_equal(file_remove(&w, path, NULL).cls, DIF_PERMANENT);
		assert_null(file_get(&w, path, 0, 0));
	}
	assert_int_equal(file_put(&w, "..a", "x", NULL, false).status, 200);
	assert_int_equal(file_put(&w, "a", "x", NULL, false).status, 200);
	struct answer a = file_put(&w, "a/b", "x", NULL, false);
	assert_int_equal(a.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.text, "no folder"));
	assert_int_equal(file_stat(&w, "a/b").status, 404);
	file_put(&w, "d/e", "x", NULL, false);
	assert_int_equal(file_put(&w, "d", "x", NULL, false).cls, DIF_PERMANENT);
	file_close(&w);
}

TEST(links_and_devices_are_not_followed)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	const char *outside = test_path("outside");
	assert_int_equal(mkdir(outside, 0755), 0);
	test_write(file_in(outside, "secret"), "secret", 6);
	assert_int_equal(symlink(outside, file_in(w.at, "dir")), 0);
	assert_int_equal(symlink(file_in(outside, "secret"), file_in(w.at, "file")), 0);
	assert_int_equal(mkfifo(file_in(w.at, "pipe"), 0644), 0);
	assert_int_equal(file_stat(&w, "dir/secret").status, 404);
	assert_null(file_get(&w, "dir/secret", 0, 0));
	assert_null(file_get(&w, "file", 0, 0));
	assert_int_equal(file_stat(&w, "pipe").status, 404);
	assert_null(file_get(&w, "pipe", 0, 0));
	assert_int_equal(file_put(&w, "dir/new", "x", NULL, false).cls, DIF_PERMANENT);
	assert_int_equal(file_put(&w, "dir/a/b", "x", NULL, false).cls, DIF_PERMANENT);
	assert_false(file_exists(file_in(outside, "new")));
	assert_false(file_exists(file_in(outside, "a")));
	assert_int_equal(file_remove(&w, "dir/secret", NULL).status, 404);
	assert_true(file_exists(file_in(outside, "secret")));
	assert_string_equal(file_list(&w, "", NULL, 10).names, "");
	/* what stands in the way is replaced, never written through */
	assert_int_equal(file_put(&w, "file", "x", NULL, true).status, 412);
	assert_int_equal(file_put(&w, "file", "x", NULL, false).status, 200);
	struct stat st;
	assert_int_equal(stat(file_in(outside, "secret"), &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_string_equal(file_get(&w, "file", 0, 0), "x");
	file_close(&w);
}

TEST(the_marker_lies_in_side)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	assert_int_equal(file_stat(&w, ".difusor/live").status, 404);
	struct answer p = file_put(&w, ".difusor/live", "marker", NULL, true);
	assert_int_equal(p.status, 200);
	assert_int_equal(file_put(&w, "pre/fix/.difusor/live", "other", NULL, true).status, 200);
	assert_true(file_exists(file_in(w.side, ".difusor/live")));
	assert_false(file_exists(file_in(w.at, ".difusor")));
	assert_false(file_exists(file_in(w.at, "pre")));
	assert_string_equal(file_stat(&w, ".difusor/live").tag, p.tag);
	assert_non_null(strstr(file_stat(&w, ".difusor/live").meta, "order=7"));
	assert_string_equal(file_get(&w, ".difusor/live", 0, 0), "marker");
	assert_string_equal(file_list(&w, "", NULL, 10).names, "");
	/* nor one that a stranger put into the root */
	assert_int_equal(mkdir(file_in(w.at, ".difusor"), 0755), 0);
	test_write(file_in(w.at, ".difusor/x"), "x", 1);
	assert_string_equal(file_list(&w, "", NULL, 10).names, "");
	assert_int_equal(file_remove(&w, "pre/fix/.difusor/live", NULL).status, 200);
	assert_false(file_exists(file_in(w.side, "pre")));
	assert_true(file_exists(w.side));
	file_close(&w);
}

TEST(lists_come_in_byte_order_and_pages)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	/* '-' < '/' < '0': a folder sorts by its slash */
	static const char *const names[] = {"a-b",  "a/b", "a/b/", "a/c-d",   "a/c/d",
	                                    "a/c0", "a0",  "b",    "\xc3\xa1"};
	static const char whole[] = "a-b a/b a/c-d a/c/d a/c0 a0 b \xc3\xa1 ";
	for (size_t i = DIF_LEN(names); i-- > 0;) {
		if (names[i][strlen(names[i]) - 1] != '/') {
			assert_int_equal(file_put(&w, names[i], "x", NULL, true).status, 200);
		}
	}
	assert_int_equal(mkdir(file_in(w.at, "empty"), 0755), 0);
	assert_string_equal(file_list(&w, "", NULL, 100).names, whole);
	assert_string_equal(file_list(&w, NULL, NULL, 0).names, whole);
	for (uint32_t max = 1; max <= 9; max++) {
		char all[256] = "", after[65536] = "";
		struct answer a;
		do {
			a = file_list(&w, "", after, max);
			assert_int_equal(a.status, 200);
			assert_true(a.nfiles > 0 && a.nfiles <= max);
			size_t n = strlen(all);
			assert_true(n + strlen(a.names) < sizeof all);
			memcpy(all + n, a.names, strlen(a.names) + 1);
			char *last = strrchr(a.names, ' ');
			*last = '\0';
			last = strrchr(a.names, ' ');
			snprintf(after, sizeof after, "%s", last != NULL ? last + 1 : a.names);
		} while (a.more);
		assert_string_equal(all, whole);
	}
	assert_string_equal(file_list(&w, "a/", NULL, 100).names, "a/b a/c-d a/c/d a/c0 ");
	assert_string_equal(file_list(&w, "a/c", NULL, 100).names, "a/c-d a/c/d a/c0 ");
	assert_string_equal(file_list(&w, "a/c/", "a/c/c", 100).names, "a/c/d ");
	assert_string_equal(file_list(&w, "zzz", NULL, 100).names, "");
	file_close(&w);
}

TEST(streamed_and_joined_bodies_arrive_whole)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	struct slow slow;
	struct dif_piece pieces[] = {{.bytes = {"HEAD", 4}},
	                             slow_piece(&slow, &w.engine->loop, 1000000),
	                             {.bytes = {NULL, 0}},
	                             {.bytes = {"TAIL", 4}}};
	struct dif_file_call c = {
		.verb = DIF_FILE_PUT, .path = "big", .body = pieces, .npieces = 4};
	struct answer a = file_ask(&w, c);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.size, 1000008);
	assert_int_equal(slow.opened, 1);
	assert_int_equal(slow.closed, 1);
	const char *text = file_get(&w, "big", 0, 0);
	assert_memory_equal(text, "HEAD", 4);
	for (size_t i = 0; i < 1000000; i++) {
		assert_int_equal((unsigned char)text[4 + i], slow_byte(i));
	}
	assert_string_equal(text + 1000004, "TAIL");

	slow.breaks_at = 500000;
	c.path = "broken";
	a = file_ask(&w, c);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.cls, DIF_INTEGRITY);
	assert_false(file_exists(file_in(w.at, "broken")));
	assert_int_equal(file_temporaries(&w), 0);
	c.npieces = 0;
	c.path = "empty";
	assert_int_equal(file_ask(&w, c).size, 0);
	assert_string_equal(file_get(&w, "empty", 0, 0), "");
	file_close(&w);
}

TEST(cancel_calls_back_once_and_leaves_nothing)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	for (unsigned turns = 0; turns < 40; turns++) {
		struct answer a = {0};
		struct slow slow;
		struct dif_piece piece = slow_piece(&slow, &w.engine->loop, 3000000);
		struct dif_file_call c = {
			.verb = DIF_FILE_PUT, .path = "k", .body = &piece, .npieces = 1};
		struct dif_file_run *run = dif_file_start(w.engine, w.root, &c, file_on_answer, &a);
		for (unsigned i = 0; i < turns && a.calls == 0; i++) {
			uv_run(&w.engine->loop, UV_RUN_ONCE);
		}
		if (a.calls == 0) {
			dif_file_cancel(run);
			assert_int_equal(a.calls, 0);
		}
		dif_engine_run(w.engine);
		assert_int_equal(a.calls, 1);
		assert_true(a.cls == DIF_CANCELED || a.status == 200);
		assert_int_equal(slow.opened, slow.closed);
		assert_int_equal(file_temporaries(&w), 0);
	}
	file_close(&w);
}

struct many {
	unsigned calls, good;
};

static void on_many(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct many *m = data;
	(void)err;
	m->calls++;
	m->good += r->status == 200;
}

TEST(many_puts_share_their_commits)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	struct many all = {0}, one = {0};
	struct dif_piece piece = {.bytes = {"text", 4}};
	for (int i = 0; i < 300; i++) {
		char path[64];
		snprintf(path, sizeof path, "d%d/e%d/f%d", i % 7, i % 3, i);
		struct dif_file_call c = {
			.verb = DIF_FILE_PUT, .path = path, .body = &piece, .npieces = 1};
		dif_file_start(w.engine, w.root, &c, on_many, &all);
		c.path = "contended";
		c.if_absent = 1;
		dif_file_start(w.engine, w.root, &c, on_many, &one);
	}
	dif_engine_run(w.engine);
	assert_int_equal(all.calls, 300);
	assert_int_equal(all.good, 300);
	assert_int_equal(one.calls, 300);
	assert_int_equal(one.good, 1);
	assert_int_equal(file_list(&w, "", NULL, 1000).nfiles, 301);
	assert_int_equal(file_temporaries(&w), 0);
	for (int i = 0; i < 300; i++) {
		char path[64];
		snprintf(path, sizeof path, "d%d/e%d/f%d", i % 7, i % 3, i);
		struct dif_file_call c = {.verb = DIF_FILE_REMOVE, .path = path};
		dif_file_start(w.engine, w.root, &c, on_many, &all);
	}
	dif_engine_run(w.engine);
	assert_int_equal(all.good, 600);
	assert_string_equal(file_list(&w, "", NULL, 1000).names, "contended ");
	assert_false(file_exists(file_in(w.at, "d0")));
	file_close(&w);
}

/* Two agents on one folder: each replaces what it has read, again and again. */
struct agent {
	struct world *w;
	struct dif_file_root *root;
	unsigned wins, tries;
	char tag[80];
	struct dif_piece piece;
};

static void agent_read(struct agent *a);

static void on_agent_put(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct agent *a = data;
	(void)err;
	assert_true(r->status == 200 || r->status == 412);
	a->wins += r->status == 200;
	if (++a->tries < 200) {
		agent_read(a);
	}
}

static void on_agent_read(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct agent *a = data;
	(void)err;
	assert_int_equal(r->status, 200);
	/* The length is the number of writes so far. */
	static const char zeros[1000];
	a->piece = (struct dif_piece){.bytes = {zeros, r->files[0].size + 1}};
	snprintf(a->tag, sizeof a->tag, "%s", r->files[0].tag);
	struct dif_file_call c = {.verb = DIF_FILE_PUT,
	                          .path = "k",
	                          .body = &a->piece,
	                          .npieces = 1,
	                          .if_tag = a->tag};
	dif_file_start(a->w->engine, a->root, &c, on_agent_put, a);
}

static void agent_read(struct agent *a)
{
	struct dif_file_call c = {.verb = DIF_FILE_STAT, .path = "k"};
	dif_file_start(a->w->engine, a->root, &c, on_agent_read, a);
}

TEST(no_write_is_lost_between_two_that_share_a_root)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	struct dif_file_root *other = dif_file_root_open(w.at, w.side, NULL);
	assert_non_null(other);
	file_put(&w, "k", "", NULL, true);
	struct agent a = {.w = &w, .root = w.root}, b = {.w = &w, .root = other};
	agent_read(&a);
	agent_read(&b);
	dif_engine_run(w.engine);
	assert_int_equal(a.tries + b.tries, 400);
	assert_true(a.wins > 0 && b.wins > 0);
	assert_int_equal(file_stat(&w, "k").size, a.wins + b.wins);
	dif_file_root_close(other);
	file_close(&w);
}

TEST(what_a_killed_run_left_goes_when_nobody_else_is_there)
{
	UNUSED_STATE;
	struct world w;
	file_open(&w);
	const char *left[] = {file_in(w.at, ".difusor-tmp-77-1"),
	                      file_in(w.side, "tmp/.difusor-tmp-77-2")};
	file_put(&w, "k", "x", NULL, false);
	test_write(left[0], "x", 1);
	test_write(left[1], "x", 1);
	assert_string_equal(file_list(&w, "", NULL, 10).names, "k ");
	struct dif_file_root *other = dif_file_root_open(w.at, w.side, NULL);
	assert_true(file_exists(left[0]) && file_exists(left[1])); /* they may be the first one's */
	dif_file_root_close(other);
	const char *at = w.at, *side = w.side;
	file_close(&w);
	file_open_at(&w, at, side);
	assert_false(file_exists(left[0]) || file_exists(left[1]));
	assert_string_equal(file_get(&w, "k", 0, 0), "x");
	file_close(&w);
}

TEST(a_root_without_side_can_be_read)
{
	UNUSED_STATE;
	struct world w;
	const char *at = test_path("readonly");
	mkdir(at, 0755);
	test_write(file_in(at, "latest.zip"), "zip", 3);
	file_open_at(&w, at, NULL);
	assert_string_equal(file_get(&w, "latest.zip", 0, 0), "zip");
	assert_int_equal(file_put(&w, "k", "x", NULL, false).cls, DIF_PERMANENT);
	assert_int_equal(file_remove(&w, "latest.zip", NULL).cls, DIF_PERMANENT);
	assert_int_equal(file_stat(&w, ".difusor/live").status, 404);
	assert_string_equal(file_list(&w, "", NULL, 10).names, "latest.zip ");
	file_close(&w);
	struct dif_error err = {0};
	assert_null(dif_file_root_open(test_path("no/such"), NULL, &err));
	assert_int_not_equal(err.cls, DIF_OK);
}

TEST(a_side_inside_the_root_is_not_listed)
{
	UNUSED_STATE;
	struct world w;
	file_open_at(&w, test_path("outer"), test_path("outer/side"));
	file_put(&w, "k", "x", NULL, false);
	file_put(&w, ".difusor/live", "x", NULL, false);
	assert_string_equal(file_list(&w, "", NULL, 10).names, "k ");
	file_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_stat_get_and_list_agree),
		cmocka_unit_test(without_a_sink_a_small_file_is_the_body),
		cmocka_unit_test(a_tag_changes_with_every_write),
		cmocka_unit_test(conditions_are_kept),
		cmocka_unit_test(removal_takes_empty_folders_but_not_the_root),
		cmocka_unit_test(paths_stay_below_the_root),
		cmocka_unit_test(links_and_devices_are_not_followed),
		cmocka_unit_test(the_marker_lies_in_side),
		cmocka_unit_test(lists_come_in_byte_order_and_pages),
		cmocka_unit_test(streamed_and_joined_bodies_arrive_whole),
		cmocka_unit_test(cancel_calls_back_once_and_leaves_nothing),
		cmocka_unit_test(many_puts_share_their_commits),
		cmocka_unit_test(no_write_is_lost_between_two_that_share_a_root),
		cmocka_unit_test(what_a_killed_run_left_goes_when_nobody_else_is_there),
		cmocka_unit_test(a_root_without_side_can_be_read),
		cmocka_unit_test(a_side_inside_the_root_is_not_listed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
