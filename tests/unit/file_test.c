#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "support.h"

/* --- a world: engine, root, and the answers --- */

struct world {
	struct dif_engine *engine;
	struct dif_file_root *root;
	const char *at, *side;
};

struct answer {
	int calls, status;
	enum dif_class cls;
	char text[768], tag[80], names[65536], meta[4096];
	uint32_t nfiles, more;
	uint64_t size, sunk;
	int64_t modified;
};

static void on_answer(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct answer *a = data;
	size_t n = 0;
	a->calls++;
	a->status = r->status;
	a->cls = err->cls;
	assert_int_equal(r->cls, err->cls);
	assert_int_equal(err->cls == DIF_OK, r->status == 200);
	snprintf(a->text, sizeof a->text, "%s", err->text);
	a->nfiles = r->nfiles;
	a->more = r->more;
	a->sunk = r->sunk;
	a->names[0] = a->meta[0] = a->tag[0] = '\0';
	for (uint32_t i = 0; i < r->nfiles; i++) {
		n += (size_t)snprintf(a->names + n, sizeof a->names - n, "%s ", r->files[i].path);
	}
	if (r->nfiles > 0) {
		const struct dif_file *f = &r->files[r->nfiles - 1];
		snprintf(a->tag, sizeof a->tag, "%s", f->tag);
		a->size = f->size;
		a->modified = f->modified;
		n = 0;
		for (uint32_t i = 0; i < f->nmeta; i++) {
			n += (size_t)snprintf(a->meta + n, sizeof a->meta - n, "%s=%s ",
			                      f->meta[i].name, f->meta[i].value);
		}
	}
}

static void open_at(struct world *w, const char *at, const char *side)
{
	struct dif_error err = {0};
	*w = (struct world){.engine = dif_engine_new(NULL), .at = at, .side = side};
	w->root = dif_file_root_open(at, side, &err);
	if (w->root == NULL) {
		fail_msg("%s", err.text);
	}
}

/* A fresh root for each test. */
static void open_world(struct world *w)
{
	static int n;
	char name[32], side[32];
	snprintf(name, sizeof name, "root%d", ++n);
	snprintf(side, sizeof side, "root%d.difusor", n);
	open_at(w, test_path(name), test_path(side));
}

static void close_world(struct world *w)
{
	dif_engine_run(w->engine);
	dif_file_root_close(w->root);
	dif_engine_free(w->engine);
}

static struct answer ask(struct world *w, struct dif_file_call call)
{
	static struct answer a;
	a = (struct answer){0};
	dif_file_start(w->engine, w->root, &call, on_answer, &a);
	assert_int_equal(a.calls, 0); /* never before start returns */
	while (a.calls == 0) {
		uv_run(&w->engine->loop, UV_RUN_ONCE);
	}
	assert_int_equal(a.calls, 1);
	return a;
}

static struct answer put(struct world *w, const char *path, const char *text, const char *if_tag,
                         bool if_absent)
{
	static const struct dif_field meta[] = {{"order", "7"}, {"sha256", "abc"}};
	struct dif_piece piece = {.bytes = {text, strlen(text)}};
	return ask(w, (struct dif_file_call){.verb = DIF_FILE_PUT,
	                                     .path = path,
	                                     .body = &piece,
	                                     .npieces = 1,
	                                     .meta = meta,
	                                     .nmeta = 2,
	                                     .if_tag = if_tag,
	                                     .if_absent = if_absent});
}

static struct answer stat_of(struct world *w, const char *path)
{
	return ask(w, (struct dif_file_call){.verb = DIF_FILE_STAT, .path = path});
}

static struct answer remove_of(struct world *w, const char *path, const char *if_tag)
{
	return ask(w,
	           (struct dif_file_call){.verb = DIF_FILE_REMOVE, .path = path, .if_tag = if_tag});
}

static struct answer list(struct world *w, const char *prefix, const char *after, uint32_t max)
{
	return ask(w, (struct dif_file_call){.verb = DIF_FILE_LIST,
	                                     .path = "",
	                                     .prefix = prefix,
	                                     .after = after,
	                                     .max = max});
}

static const char *got(struct world *w, const char *path, uint64_t offset, uint64_t length)
{
	static struct dif_buf buf;
	struct dif_sink_buf sink;
	dif_buf_fini(&buf);
	dif_buf_init(&buf, 16 << 20);
	dif_sink_buf_init(&sink, &buf);
	struct answer a = ask(w, (struct dif_file_call){.verb = DIF_FILE_GET,
	                                                .path = path,
	                                                .sink = &sink.sink,
	                                                .offset = offset,
	                                                .length = length});
	assert_int_equal(a.sunk, buf.n);
	return a.status == 200 ? dif_buf_str(&buf) : NULL;
}

static const char *in(const char *folder, const char *name)
{
	static char path[8][4096];
	static unsigned n;
	char *to = path[n++ % 8];
	snprintf(to, 4096, "%s/%s", folder, name);
	return to;
}

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static unsigned left_over;

static int count(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	left_over += type == FTW_F && strstr(path, ".difusor-tmp-") != NULL;
	return 0;
}

/* Temporary files below the root and its side. */
static unsigned temporaries(const struct world *w)
{
	left_over = 0;
	nftw(w->at, count, 16, FTW_PHYS);
	nftw(w->side, count, 16, FTW_PHYS);
	return left_over;
}

/* --- a body that keeps its reader waiting --- */

struct slow {
	struct dif_body body;
	struct dif_blob blob;
	uv_loop_t *loop;
	uint64_t breaks_at;
	unsigned opened, closed;
};

struct dif_body_stream {
	struct slow *slow;
	uint64_t at;
	bool later;
	void (*ready)(void *data);
	void *data;
	uv_timer_t timer;
};

static void on_timer(uv_timer_t *t)
{
	struct dif_body_stream *s = t->data;
	s->ready(s->data);
}

static const void *no_view(struct dif_body *b)
{
	(void)b;
	return NULL;
}

static struct dif_body_stream *slow_open(struct dif_body *b, uint64_t offset, void (*ready)(void *),
                                         void *data)
{
	struct dif_body_stream *s = calloc(1, sizeof *s);
	*s = (struct dif_body_stream){
		.slow = (struct slow *)(void *)b, .at = offset, .ready = ready, .data = data};
	uv_timer_init(s->slow->loop, &s->timer);
	s->timer.data = s;
	s->slow->opened++;
	return s;
}

static int64_t slow_read(struct dif_body_stream *s, void *to, size_t max)
{
	s->later = !s->later;
	if (s->later) {
		uv_timer_start(&s->timer, on_timer, 0, 0);
		return DIF_BODY_LATER;
	}
	if (s->slow->breaks_at != 0 && s->at >= s->slow->breaks_at) {
		return DIF_BODY_BROKEN;
	}
	size_t n = max < 100000 ? max : 100000;
	for (size_t i = 0; i < n; i++) {
		((char *)to)[i] = (char)('a' + (s->at + i) % 26);
	}
	s->at += n;
	return (int64_t)n;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void slow_close(struct dif_body_stream *s)
{
	s->slow->closed++;
	uv_close((uv_handle_t *)&s->timer, on_closed);
}

static const struct dif_body_ops slow_ops = {no_view, slow_open, slow_read, slow_close};

static struct dif_piece slow_piece(struct slow *s, struct world *w, uint64_t size)
{
	*s = (struct slow){.body = {&slow_ops, size}, .loop = &w->engine->loop};
	s->blob = (struct dif_blob){.size = size, .host = (uint64_t)(uintptr_t)&s->body};
	return (struct dif_piece){.blob = &s->blob, .length = size};
}

/* --- tests --- */

TEST(put_stat_get_and_list_agree)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	struct answer p = put(&w, "a/b/c.json", "hello", NULL, false);
	assert_int_equal(p.status, 200);
	assert_int_equal(p.size, 5);
	struct answer s = stat_of(&w, "a/b/c.json");
	assert_int_equal(s.status, 200);
	assert_string_equal(s.tag, p.tag);
	assert_int_equal(s.size, 5);
	assert_non_null(strstr(s.meta, "order=7 "));
	assert_non_null(strstr(s.meta, "sha256=abc "));
	struct answer l = list(&w, "", NULL, 10);
	assert_string_equal(l.names, "a/b/c.json ");
	assert_string_equal(l.tag, p.tag);
	assert_string_equal(l.meta, s.meta);
	assert_int_equal(l.more, 0);
	assert_string_equal(got(&w, "a/b/c.json", 0, 0), "hello");
	assert_string_equal(got(&w, "a/b/c.json", 1, 3), "ell");
	assert_string_equal(got(&w, "a/b/c.json", 5, 0), "");
	assert_null(got(&w, "a/b/c.json", 6, 0));
	char value[16] = {0};
	assert_int_equal(getxattr(in(w.at, "a/b/c.json"), "user.difusor.order", value, 15), 1);
	assert_string_equal(value, "7");
	assert_int_equal(temporaries(&w), 0);
	close_world(&w);
}

TEST(a_tag_changes_with_every_write)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	char tags[50][80];
	for (int i = 0; i < 50; i++) {
		/* the same bytes, the same length */
		snprintf(tags[i], 80, "%s", put(&w, "k", "same", NULL, false).tag);
		for (int k = 0; k < i; k++) {
			assert_string_not_equal(tags[i], tags[k]);
		}
	}
	assert_string_equal(stat_of(&w, "k").tag, tags[49]);
	/* also by a stranger, into the file */
	test_write(in(w.at, "k"), "SAME", 4);
	assert_string_not_equal(stat_of(&w, "k").tag, tags[49]);
	close_world(&w);
}

TEST(conditions_are_kept)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	struct answer first = put(&w, "k", "one", NULL, true);
	assert_int_equal(first.status, 200);
	assert_int_equal(put(&w, "k", "two", NULL, true).status, 412);
	assert_int_equal(put(&w, "new", "two", first.tag, false).status, 412);
	assert_false(exists(in(w.at, "new")));
	struct answer second = put(&w, "k", "two", first.tag, false);
	assert_int_equal(second.status, 200);
	struct answer lost = put(&w, "k", "three", first.tag, false);
	assert_int_equal(lost.status, 412);
	assert_int_equal(lost.cls, DIF_CONFLICT);
	assert_string_equal(lost.text,
	                    "could not put file 'k': it is not what the condition names");
	assert_string_equal(got(&w, "k", 0, 0), "two");
	assert_int_equal(remove_of(&w, "k", first.tag).status, 412);
	assert_int_equal(remove_of(&w, "k", second.tag).status, 200);
	assert_int_equal(remove_of(&w, "k", NULL).status, 404);
	assert_int_equal(stat_of(&w, "k").status, 404);
	assert_int_equal(temporaries(&w), 0);
	close_world(&w);
}

TEST(removal_takes_empty_folders_but_not_the_root)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	put(&w, "a/b/c/x", "1", NULL, false);
	put(&w, "a/y", "1", NULL, false);
	assert_int_equal(remove_of(&w, "a/b/c/x", NULL).status, 200);
	assert_false(exists(in(w.at, "a/b")));
	assert_true(exists(in(w.at, "a/y")));
	assert_int_equal(remove_of(&w, "a/y", NULL).status, 200);
	assert_false(exists(in(w.at, "a")));
	put(&w, "z", "1", NULL, false);
	assert_int_equal(remove_of(&w, "z", NULL).status, 200);
	assert_true(exists(w.at));
	close_world(&w);
}

TEST(paths_stay_below_the_root)
{
	UNUSED_STATE;
	static const char *const bad[] = {
		"",    "/",   "/etc/passwd", "..", "../x",           "a/../../x",         "a/..",
		"./a", "a/.", "a//b",        "a/", ".difusor-tmp-1", "a/.difusor-tmp-1/b"};
	struct world w;
	open_world(&w);
	char deep[400] = "x", longest[300];
	for (int i = 0; i < 64; i++) {
		strncat(deep, "/x", sizeof deep - strlen(deep) - 1);
	}
	memset(longest, 'n', sizeof longest - 1);
	longest[sizeof longest - 1] = '\0';
	for (size_t i = 0; i < DIF_LEN(bad) + 2; i++) {
		const char *path = i < DIF_LEN(bad) ? bad[i] : i == DIF_LEN(bad) ? deep : longest;
		struct answer a = put(&w, path, "x", NULL, false);
		assert_int_equal(a.status, 0);
		assert_int_equal(a.cls, DIF_PERMANENT);
		assert_int_equal(stat_of(&w, path).cls, DIF_PERMANENT);
		assert_int_equal(remove_of(&w, path, NULL).cls, DIF_PERMANENT);
		assert_null(got(&w, path, 0, 0));
	}
	assert_int_equal(put(&w, "..a", "x", NULL, false).status, 200);
	assert_int_equal(put(&w, "a", "x", NULL, false).status, 200);
	struct answer a = put(&w, "a/b", "x", NULL, false);
	assert_int_equal(a.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.text, "no folder"));
	assert_int_equal(stat_of(&w, "a/b").status, 404);
	put(&w, "d/e", "x", NULL, false);
	assert_int_equal(put(&w, "d", "x", NULL, false).cls, DIF_PERMANENT);
	close_world(&w);
}

TEST(links_and_devices_are_not_followed)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	const char *outside = test_path("outside");
	assert_int_equal(mkdir(outside, 0755), 0);
	test_write(in(outside, "secret"), "secret", 6);
	assert_int_equal(symlink(outside, in(w.at, "dir")), 0);
	assert_int_equal(symlink(in(outside, "secret"), in(w.at, "file")), 0);
	assert_int_equal(mkfifo(in(w.at, "pipe"), 0644), 0);
	assert_int_equal(stat_of(&w, "dir/secret").status, 404);
	assert_null(got(&w, "dir/secret", 0, 0));
	assert_null(got(&w, "file", 0, 0));
	assert_int_equal(stat_of(&w, "pipe").status, 404);
	assert_null(got(&w, "pipe", 0, 0));
	assert_int_equal(put(&w, "dir/new", "x", NULL, false).cls, DIF_PERMANENT);
	assert_int_equal(put(&w, "dir/a/b", "x", NULL, false).cls, DIF_PERMANENT);
	assert_false(exists(in(outside, "new")));
	assert_false(exists(in(outside, "a")));
	assert_int_equal(remove_of(&w, "dir/secret", NULL).status, 404);
	assert_true(exists(in(outside, "secret")));
	assert_string_equal(list(&w, "", NULL, 10).names, "");
	/* what stands in the way is replaced, never written through */
	assert_int_equal(put(&w, "file", "x", NULL, true).status, 412);
	assert_int_equal(put(&w, "file", "x", NULL, false).status, 200);
	struct stat st;
	assert_int_equal(stat(in(outside, "secret"), &st), 0);
	assert_int_equal(st.st_size, 6);
	assert_string_equal(got(&w, "file", 0, 0), "x");
	close_world(&w);
}

TEST(the_marker_lies_in_side)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	assert_int_equal(stat_of(&w, ".difusor/live").status, 404);
	struct answer p = put(&w, ".difusor/live", "marker", NULL, true);
	assert_int_equal(p.status, 200);
	assert_int_equal(put(&w, "pre/fix/.difusor/live", "other", NULL, true).status, 200);
	assert_true(exists(in(w.side, ".difusor/live")));
	assert_false(exists(in(w.at, ".difusor")));
	assert_false(exists(in(w.at, "pre")));
	assert_string_equal(stat_of(&w, ".difusor/live").tag, p.tag);
	assert_non_null(strstr(stat_of(&w, ".difusor/live").meta, "order=7"));
	assert_string_equal(got(&w, ".difusor/live", 0, 0), "marker");
	assert_string_equal(list(&w, "", NULL, 10).names, "");
	/* nor one that a stranger put into the root */
	assert_int_equal(mkdir(in(w.at, ".difusor"), 0755), 0);
	test_write(in(w.at, ".difusor/x"), "x", 1);
	assert_string_equal(list(&w, "", NULL, 10).names, "");
	assert_int_equal(remove_of(&w, "pre/fix/.difusor/live", NULL).status, 200);
	assert_false(exists(in(w.side, "pre")));
	assert_true(exists(w.side));
	close_world(&w);
}

TEST(lists_come_in_byte_order_and_pages)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	/* '-' < '/' < '0': a folder sorts by its slash */
	static const char *const names[] = {"a-b",  "a/b", "a/b/", "a/c-d",   "a/c/d",
	                                    "a/c0", "a0",  "b",    "\xc3\xa1"};
	static const char whole[] = "a-b a/b a/c-d a/c/d a/c0 a0 b \xc3\xa1 ";
	for (size_t i = DIF_LEN(names); i-- > 0;) {
		if (names[i][strlen(names[i]) - 1] != '/') {
			assert_int_equal(put(&w, names[i], "x", NULL, true).status, 200);
		}
	}
	assert_int_equal(mkdir(in(w.at, "empty"), 0755), 0);
	assert_string_equal(list(&w, "", NULL, 100).names, whole);
	assert_string_equal(list(&w, NULL, NULL, 0).names, whole);
	for (uint32_t max = 1; max <= 9; max++) {
		char all[256] = "", after[65536] = "";
		struct answer a;
		do {
			a = list(&w, "", after, max);
			assert_int_equal(a.status, 200);
			assert_true(a.nfiles > 0 && a.nfiles <= max);
			strncat(all, a.names, sizeof all - strlen(all) - 1);
			char *last = strrchr(a.names, ' ');
			*last = '\0';
			last = strrchr(a.names, ' ');
			snprintf(after, sizeof after, "%s", last != NULL ? last + 1 : a.names);
		} while (a.more);
		assert_string_equal(all, whole);
	}
	assert_string_equal(list(&w, "a/", NULL, 100).names, "a/b a/c-d a/c/d a/c0 ");
	assert_string_equal(list(&w, "a/c", NULL, 100).names, "a/c-d a/c/d a/c0 ");
	assert_string_equal(list(&w, "a/c/", "a/c/c", 100).names, "a/c/d ");
	assert_string_equal(list(&w, "zzz", NULL, 100).names, "");
	close_world(&w);
}

TEST(streamed_and_joined_bodies_arrive_whole)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	struct slow slow;
	struct dif_piece pieces[] = {{.bytes = {"HEAD", 4}},
	                             slow_piece(&slow, &w, 1000000),
	                             {.bytes = {NULL, 0}},
	                             {.bytes = {"TAIL", 4}}};
	struct dif_file_call c = {
		.verb = DIF_FILE_PUT, .path = "big", .body = pieces, .npieces = 4};
	struct answer a = ask(&w, c);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.size, 1000008);
	assert_int_equal(slow.opened, 1);
	assert_int_equal(slow.closed, 1);
	const char *text = got(&w, "big", 0, 0);
	assert_int_equal(strlen(text), 1000008);
	assert_memory_equal(text, "HEADabc", 7);
	for (size_t i = 0; i < 1000000; i++) {
		assert_int_equal(text[4 + i], 'a' + i % 26);
	}
	assert_string_equal(text + 1000004, "TAIL");

	slow.breaks_at = 500000;
	c.path = "broken";
	a = ask(&w, c);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.cls, DIF_INTEGRITY);
	assert_false(exists(in(w.at, "broken")));
	assert_int_equal(temporaries(&w), 0);
	c.npieces = 0;
	c.path = "empty";
	assert_int_equal(ask(&w, c).size, 0);
	assert_string_equal(got(&w, "empty", 0, 0), "");
	close_world(&w);
}

TEST(cancel_calls_back_once_and_leaves_nothing)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	for (unsigned turns = 0; turns < 40; turns++) {
		struct answer a = {0};
		struct slow slow;
		struct dif_piece piece = slow_piece(&slow, &w, 3000000);
		struct dif_file_call c = {
			.verb = DIF_FILE_PUT, .path = "k", .body = &piece, .npieces = 1};
		struct dif_file_run *run = dif_file_start(w.engine, w.root, &c, on_answer, &a);
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
		assert_int_equal(temporaries(&w), 0);
	}
	close_world(&w);
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
	open_world(&w);
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
	assert_int_equal(list(&w, "", NULL, 1000).nfiles, 301);
	assert_int_equal(temporaries(&w), 0);
	for (int i = 0; i < 300; i++) {
		char path[64];
		snprintf(path, sizeof path, "d%d/e%d/f%d", i % 7, i % 3, i);
		struct dif_file_call c = {.verb = DIF_FILE_REMOVE, .path = path};
		dif_file_start(w.engine, w.root, &c, on_many, &all);
	}
	dif_engine_run(w.engine);
	assert_int_equal(all.good, 600);
	assert_string_equal(list(&w, "", NULL, 1000).names, "contended ");
	assert_false(exists(in(w.at, "d0")));
	close_world(&w);
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
	open_world(&w);
	struct dif_file_root *other = dif_file_root_open(w.at, w.side, NULL);
	assert_non_null(other);
	put(&w, "k", "", NULL, true);
	struct agent a = {.w = &w, .root = w.root}, b = {.w = &w, .root = other};
	agent_read(&a);
	agent_read(&b);
	dif_engine_run(w.engine);
	assert_int_equal(a.tries + b.tries, 400);
	assert_true(a.wins > 0 && b.wins > 0);
	assert_int_equal(stat_of(&w, "k").size, a.wins + b.wins);
	dif_file_root_close(other);
	close_world(&w);
}

TEST(what_a_killed_run_left_goes_when_nobody_else_is_there)
{
	UNUSED_STATE;
	struct world w;
	open_world(&w);
	const char *left[] = {in(w.at, ".difusor-tmp-77-1"), in(w.side, "tmp/.difusor-tmp-77-2")};
	put(&w, "k", "x", NULL, false);
	test_write(left[0], "x", 1);
	test_write(left[1], "x", 1);
	assert_string_equal(list(&w, "", NULL, 10).names, "k ");
	struct dif_file_root *other = dif_file_root_open(w.at, w.side, NULL);
	assert_true(exists(left[0]) && exists(left[1])); /* they may be the first one's */
	dif_file_root_close(other);
	const char *at = w.at, *side = w.side;
	close_world(&w);
	open_at(&w, at, side);
	assert_false(exists(left[0]) || exists(left[1]));
	assert_string_equal(got(&w, "k", 0, 0), "x");
	close_world(&w);
}

TEST(a_root_without_side_can_be_read)
{
	UNUSED_STATE;
	struct world w;
	const char *at = test_path("readonly");
	mkdir(at, 0755);
	test_write(in(at, "latest.zip"), "zip", 3);
	open_at(&w, at, NULL);
	assert_string_equal(got(&w, "latest.zip", 0, 0), "zip");
	assert_int_equal(put(&w, "k", "x", NULL, false).cls, DIF_PERMANENT);
	assert_int_equal(remove_of(&w, "latest.zip", NULL).cls, DIF_PERMANENT);
	assert_int_equal(stat_of(&w, ".difusor/live").status, 404);
	assert_string_equal(list(&w, "", NULL, 10).names, "latest.zip ");
	close_world(&w);
	struct dif_error err = {0};
	assert_null(dif_file_root_open(test_path("no/such"), NULL, &err));
	assert_int_not_equal(err.cls, DIF_OK);
}

TEST(a_side_inside_the_root_is_not_listed)
{
	UNUSED_STATE;
	struct world w;
	open_at(&w, test_path("outer"), test_path("outer/side"));
	put(&w, "k", "x", NULL, false);
	put(&w, ".difusor/live", "x", NULL, false);
	assert_string_equal(list(&w, "", NULL, 10).names, "k ");
	close_world(&w);
}

/* True: path is a mounted file system of that kind. */
static bool mounted(const char *path, const char *kind, const char *options)
{
	mkdir(path, 0755);
	if (mount("none", path, kind, 0, options) == 0) {
		return true;
	}
	print_message("no %s here (%s): this test did not run\n", kind, strerror(errno));
	return false;
}

TEST(a_full_disk_fails_the_call_and_keeps_the_old_file)
{
	UNUSED_STATE;
	const char *at = test_path("full");
	if (!mounted(at, "tmpfs", "size=256k")) {
		skip();
	}
	struct world w;
	open_at(&w, in(at, "root"), in(at, "side"));
	assert_int_equal(put(&w, "k", "old", NULL, true).status, 200);
	char *big = malloc(400001);
	memset(big, 'x', 400000);
	big[400000] = '\0';
	struct answer a = put(&w, "k", big, NULL, false);
	assert_int_equal(a.status, 0);
	assert_int_equal(a.cls, DIF_TRANSIENT);
	assert_string_equal(a.text, "could not put file 'k': No space left on device");
	assert_string_equal(got(&w, "k", 0, 0), "old");
	assert_int_equal(temporaries(&w), 0);
	big[100000] = '\0'; /* what the failed one held is free again */
	assert_int_equal(put(&w, "k", big, NULL, false).status, 200);
	free(big);
	close_world(&w);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

TEST(metadata_live_aside_where_attributes_do_not)
{
	UNUSED_STATE;
	const char *at = test_path("ram");
	if (!mounted(at, "ramfs", NULL)) {
		skip();
	}
	struct world w;
	open_at(&w, in(at, "root"), in(at, "side"));
	struct answer p = put(&w, "a/k", "one", NULL, true);
	assert_int_equal(p.status, 200);
	assert_non_null(strstr(stat_of(&w, "a/k").meta, "order=7 sha256=abc "));
	assert_string_equal(list(&w, "", NULL, 10).meta, "order=7 sha256=abc ");
	assert_int_equal(put(&w, "a/k", "two", p.tag, false).status, 200);
	assert_int_equal(put(&w, "a/k", "three", p.tag, false).status, 412);
	assert_non_null(strstr(stat_of(&w, "a/k").meta, "order=7"));
	test_write(in(at, "root/a/k"), "stranger", 8); /* is not what was told of it */
	assert_string_equal(stat_of(&w, "a/k").meta, "");
	assert_int_equal(put(&w, "b", "x", NULL, true).status, 200);
	test_write(in(at, "side/meta/left"), "x", 1);
	char side[256], root[256];
	snprintf(root, sizeof root, "%s", in(at, "root"));
	snprintf(side, sizeof side, "%s", in(at, "side"));
	close_world(&w);
	open_at(&w, root, side);
	assert_false(exists(in(side, "meta/left")));
	assert_non_null(strstr(stat_of(&w, "b").meta, "order=7"));
	close_world(&w);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

TEST(side_may_lie_on_another_file_system)
{
	UNUSED_STATE;
	const char *at = test_path("apart");
	if (!mounted(at, "tmpfs", "size=1m")) {
		skip();
	}
	struct world w;
	open_at(&w, test_path("apart-root"), in(at, "side"));
	assert_int_equal(put(&w, "k", "x", NULL, true).status, 200);
	struct answer a = put(&w, ".difusor/live", "m", NULL, true);
	assert_int_equal(a.status, 200);
	assert_string_equal(got(&w, ".difusor/live", 0, 0), "m");
	assert_int_equal(temporaries(&w), 0);
	close_world(&w);
	assert_int_equal(umount2(at, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_stat_get_and_list_agree),
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
		cmocka_unit_test(a_full_disk_fails_the_call_and_keeps_the_old_file),
		cmocka_unit_test(metadata_live_aside_where_attributes_do_not),
		cmocka_unit_test(side_may_lie_on_another_file_system),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
