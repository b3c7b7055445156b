#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "flow/state.h"

static uv_loop_t *loop;
static struct dif_engine engine;
static struct dif_error err;
static char *folder;
static bool fresh;

static int setup(void **st)
{
	(void)st;
	char name[64];
	static int n;
	snprintf(name, sizeof name, "state.%d", n++);
	folder = strdup(test_path(name));
	loop = &engine.loop;
	assert_int_equal(uv_loop_init(loop), 0);
	dif_error_clear(&err);
	return 0;
}

static int teardown(void **st)
{
	(void)st;
	uv_run(loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(loop), 0);
	free(folder);
	return 0;
}

static struct dif_state *open_state(enum dif_state_mode mode)
{
	struct dif_state *s = dif_state_open(&engine, folder, mode, &fresh, &err);
	if (s == NULL) {
		fail_msg("%s", err.text);
	}
	return s;
}

static void on_closed(void *data)
{
	*(bool *)data = true;
}

static void close_state(struct dif_state *s)
{
	bool closed = false;
	dif_state_close(s, on_closed, &closed);
	assert_false(closed);
	uv_run(loop, UV_RUN_DEFAULT);
	assert_true(closed);
}

struct flushed {
	int calls;
	struct dif_error err;
};

static void on_flushed(void *data, const struct dif_error *e)
{
	struct flushed *f = data;
	f->calls++;
	f->err = *e;
}

static struct flushed flush(struct dif_state *s)
{
	struct flushed f = {0};
	dif_state_flush(s, on_flushed, &f);
	assert_int_equal(f.calls, 0);
	while (f.calls == 0) {
		uv_run(loop, UV_RUN_ONCE);
	}
	return f;
}

static const char *sha(int n)
{
	static char text[8][65];
	static int at;
	at = (at + 1) % 8;
	snprintf(text[at], sizeof text[at], "%064x", n);
	return text[at];
}

static struct dif_cut cut(int n)
{
	struct dif_cut c = {.order = {.epoch = 1, .number = 1000 + n},
	                    .name = "prep.zip",
	                    .source = "publish",
	                    .profile = "production",
	                    .bytes = 80000000,
	                    .entries = 15000,
	                    .status = DIF_CUT_LIVE,
	                    .seen = 5,
	                    .published = 6};
	snprintf(c.order.sha256, sizeof c.order.sha256, "%s", sha(n));
	return c;
}

static void put_held(struct dif_state *s, const char *destination, const char *key, int64_t number)
{
	struct dif_held h = {.key = key, .tag = "\"t\"", .epoch = 1, .number = number};
	memset(h.sha256, (int)number, sizeof h.sha256);
	h.form = DIF_GZIP;
	h.headers = 0xfedcba98u;
	h.orphan_since = 77;
	assert_true(dif_state_put_held(s, destination, &h));
}

static void count_held(void *data, const struct dif_held *h)
{
	assert_non_null(h->key);
	++*(int *)data;
}

static int held(struct dif_state *s, const char *destination)
{
	int n = 0;
	dif_state_held(s, destination, count_held, &n);
	return n;
}

static bool exists(const char *name)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	bool there = access(path, F_OK) == 0;
	free(path);
	return there;
}

TEST(cuts_are_kept_and_listed_newest_first)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	assert_true(fresh);
	for (int i = 0; i < 3; i++) {
		struct dif_cut c = cut(i);
		assert_true(dif_state_put_cut(s, &c));
	}
	struct dif_cut refused = cut(1);
	refused.status = DIF_CUT_REFUSED;
	refused.reason = "older";
	assert_true(dif_state_put_cut(s, &refused));
	close_state(s);
	s = open_state(DIF_STATE_OWN);
	assert_false(fresh);
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	struct dif_cut c;
	assert_true(dif_state_cut(s, sha(1), &c, &a));
	assert_string_equal(c.order.sha256, sha(1));
	assert_int_equal(c.order.number, 1001);
	assert_int_equal(c.status, DIF_CUT_REFUSED);
	assert_string_equal(c.reason, "older");
	assert_string_equal(c.name, "prep.zip");
	assert_string_equal(c.profile, "production");
	assert_int_equal(c.bytes, 80000000);
	assert_int_equal(c.entries, 15000);
	assert_int_equal(c.seen, 5);
	assert_int_equal(c.published, 6);
	assert_false(dif_state_cut(s, sha(9), &c, &a));
	assert_int_equal(dif_state_highest_number(s, 1), 1002);
	assert_int_equal(dif_state_highest_number(s, 2), 0);
	dif_arena_fini(&a);
	close_state(s);
}

struct order {
	int64_t number[8];
	int n;
};

static void on_cut(void *data, const struct dif_cut *c)
{
	struct order *o = data;
	o->number[o->n++] = c->order.number;
}

TEST(a_read_sees_what_was_queued_before_it)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	for (int i = 0; i < 3; i++) {
		struct dif_cut c = cut(i);
		assert_true(dif_state_put_cut(s, &c));
	}
	struct order o = {0};
	dif_state_cuts(s, 2, on_cut, &o);
	assert_int_equal(o.n, 2);
	assert_int_equal(o.number[0], 1002);
	assert_int_equal(o.number[1], 1001);
	close_state(s);
}

static struct dif_manifest *manifest(int n)
{
	struct dif_manifest *m = dif_manifest_new();
	assert_non_null(m);
	m->order.epoch = 1;
	m->order.number = n;
	snprintf(m->order.sha256, sizeof m->order.sha256, "%s", sha(n));
	m->profile = "production";
	return m;
}

TEST(the_last_three_manifests_are_kept)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	for (int i = 0; i < 5; i++) {
		struct dif_manifest *m = manifest(i == 4 ? 1 : i); /* 0 1 2 3 1 */
		assert_true(dif_state_put_manifest(s, m));
		dif_manifest_unref(m);
	}
	assert_null(dif_state_manifest(s, sha(0), &err));
	assert_int_equal(err.cls, DIF_OK);
	for (int i = 1; i < 4; i++) {
		struct dif_manifest *m = dif_state_manifest(s, sha(i), &err);
		assert_non_null(m);
		assert_int_equal(m->order.number, i);
		dif_manifest_unref(m);
	}
	close_state(s);
}

static void on_held(void *data, const struct dif_held *h)
{
	*(int *)data += 1;
	assert_string_equal(h->key, "a/b.js");
	assert_string_equal(h->tag, "\"t\"");
	assert_int_equal(h->epoch, 1);
	assert_int_equal(h->number, 3);
	assert_int_equal(h->sha256[31], 3);
	assert_int_equal(h->form, DIF_GZIP);
	assert_int_equal(h->headers, 0xfedcba98u);
	assert_int_equal(h->orphan_since, 77);
	assert_false(h->unknown);
}

TEST(held_objects_come_back_by_destination)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	put_held(s, "eu", "a/b.js", 2);
	put_held(s, "eu", "a/b.js", 3);
	put_held(s, "us", "c", 4);
	put_held(s, "us", "d", 4);
	int n = 0;
	dif_state_held(s, "eu", on_held, &n);
	assert_int_equal(n, 1);
	assert_true(dif_state_drop_held(s, "us", "c"));
	assert_int_equal(held(s, "us"), 1);
	assert_true(dif_state_drop_held(s, "us", NULL));
	assert_int_equal(held(s, "us"), 0);
	assert_int_equal(held(s, "eu"), 1);
	close_state(s);
}

TEST(fifteen_thousand_held_objects_are_kept)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	for (int i = 0; i < 15000; i++) {
		char key[64];
		snprintf(key, sizeof key, "assets/data/seccion-%06d.json", i);
		put_held(s, "eu", key, i % 100);
	}
	assert_int_equal(flush(s).err.cls, DIF_OK);
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	assert_int_equal(held(s, "eu"), 15000);
	clock_gettime(CLOCK_MONOTONIC, &to);
	print_message("15,000 held objects: %.1f ms\n",
	              (double)(to.tv_sec - from.tv_sec) * 1e3 +
	                      (double)(to.tv_nsec - from.tv_nsec) / 1e6);
	close_state(s);
}

TEST(the_newest_delivery_and_that_of_a_cut)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	struct dif_delivery_record d = {.destination = "eu",
	                                .state = "putting",
	                                .reason = "",
	                                .started = 10,
	                                .puts = 7,
	                                .put_bytes = 1ull << 40,
	                                .removed = 3,
	                                .skipped = 4};
	snprintf(d.sha256, sizeof d.sha256, "%s", sha(1));
	assert_true(dif_state_put_delivery(s, &d));
	snprintf(d.sha256, sizeof d.sha256, "%s", sha(2));
	d.started = 20;
	assert_true(dif_state_put_delivery(s, &d));
	d.state = "done";
	d.ended = 30;
	d.complete = true;
	assert_true(dif_state_put_delivery(s, &d));
	struct dif_delivery_record got;
	assert_true(dif_state_delivery(s, "eu", NULL, &got, &a));
	assert_string_equal(got.sha256, sha(2));
	assert_string_equal(got.state, "done");
	assert_string_equal(got.destination, "eu");
	assert_true(got.complete);
	assert_int_equal(got.ended, 30);
	assert_int_equal(got.put_bytes, 1ull << 40);
	assert_int_equal(got.removed, 3);
	assert_int_equal(got.skipped, 4);
	assert_true(dif_state_delivery(s, "eu", sha(1), &got, &a));
	assert_string_equal(got.state, "putting");
	assert_false(got.complete);
	assert_false(dif_state_delivery(s, "us", NULL, &got, &a));
	dif_arena_fini(&a);
	close_state(s);
}

TEST(facts_have_an_age)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	struct dif_arena a;
	dif_arena_init(&a, 1 << 16, false);
	assert_null(dif_state_fact(s, "d", "fence", INT64_MAX, &a));
	assert_true(dif_state_put_fact(s, "d", "fence", "yes"));
	assert_string_equal(dif_state_fact(s, "d", "fence", 60000, &a), "yes");
	assert_string_equal(dif_state_fact(s, "d", "fence", 0, &a), "yes");
	assert_null(dif_state_fact(s, "d", "fence", -1, &a));
	assert_true(dif_state_put_fact(s, "d", "fence", NULL));
	assert_null(dif_state_fact(s, "d", "fence", INT64_MAX, &a));
	dif_arena_fini(&a);
	close_state(s);
}

TEST(writes_are_committed_without_a_flush)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	put_held(s, "eu", "k", 1);
	uv_run(loop, UV_RUN_DEFAULT); /* ends when nothing is queued: the loop is empty */
	struct dif_state *reader = open_state(DIF_STATE_READ);
	assert_int_equal(held(reader, "eu"), 1);
	assert_false(fresh);
	close_state(reader);
	close_state(s);
}

TEST(flushes_answer_in_order_and_once)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	struct flushed f[3] = {0};
	for (int i = 0; i < 3; i++) {
		put_held(s, "eu", sha(i), 1);
		dif_state_flush(s, on_flushed, &f[i]);
	}
	uv_run(loop, UV_RUN_DEFAULT);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(f[i].calls, 1);
		assert_int_equal(f[i].err.cls, DIF_OK);
	}
	close_state(s);
}

static void close_from_flush(void *data, const struct dif_error *e)
{
	(void)e;
	static bool closed;
	dif_state_close(data, on_closed, &closed);
}

TEST(a_flush_may_close_the_state)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	put_held(s, "eu", "k", 1);
	dif_state_flush(s, close_from_flush, s);
	uv_run(loop, UV_RUN_DEFAULT);
	s = open_state(DIF_STATE_OWN);
	assert_int_equal(held(s, "eu"), 1);
	close_state(s);
}

TEST(closing_commits_what_is_queued)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	for (int i = 0; i < 450; i++) {
		put_held(s, "eu", sha(i), 1);
	}
	close_state(s);
	s = open_state(DIF_STATE_READ);
	assert_int_equal(held(s, "eu"), 450);
	close_state(s);
}

TEST(the_queue_is_bounded)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	for (int i = 0; i < 45000; i++) { /* the loop does not turn, so no worker result is seen */
		put_held(s, "eu", sha(i), 1);
	}
	struct dif_state *reader = open_state(DIF_STATE_READ);
	/* At most one full queue waits while another is being committed. */
	assert_true(held(reader, "eu") >= 45000 - 2 * 20000);
	close_state(reader);
	close_state(s);
}

TEST(a_read_only_state_takes_no_writes)
{
	UNUSED_STATE;
	close_state(open_state(DIF_STATE_OWN));
	struct dif_state *s = open_state(DIF_STATE_READ);
	struct dif_cut c = cut(1);
	assert_false(dif_state_put_cut(s, &c));
	close_state(s);
}

TEST(reading_where_there_is_no_state_is_not_found)
{
	UNUSED_STATE;
	assert_null(dif_state_open(&engine, folder, DIF_STATE_READ, &fresh, &err));
	assert_int_equal(err.cls, DIF_NOT_FOUND);
	assert_false(exists(""));
}

/* --- the lock --- */

TEST(a_second_owner_is_refused_with_the_pid_of_the_first)
{
	UNUSED_STATE;
	assert_int_equal(dif_state_holder(folder), 0);
	struct dif_state *s = open_state(DIF_STATE_OWN);
	assert_int_equal(dif_state_holder(folder), getpid());
	assert_null(dif_state_open(&engine, folder, DIF_STATE_OWN, &fresh, &err));
	char pid[32];
	snprintf(pid, sizeof pid, "process %d", (int)getpid());
	assert_non_null(strstr(err.text, pid));
	assert_int_equal(err.exit, DIF_EXIT_OTHER);
	close_state(s);
	assert_int_equal(dif_state_holder(folder), 0);
	close_state(open_state(DIF_STATE_OWN));
}

/* --- damage --- */

static char *path_of(const char *name)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", folder, name) > 0);
	return path;
}

static void damage(off_t at, const char *bytes)
{
	char *path = path_of("state.db");
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, strlen(bytes), at), strlen(bytes));
	close(fd);
	free(path);
}

static void is_set_aside(const char *name)
{
	struct dif_state *s = open_state(DIF_STATE_OWN);
	assert_true(fresh);
	assert_true(exists(name));
	assert_int_equal(held(s, "eu"), 0);
	put_held(s, "eu", "k", 1);
	close_state(s);
	s = open_state(DIF_STATE_OWN);
	assert_false(fresh);
	assert_int_equal(held(s, "eu"), 1);
	close_state(s);
}

TEST(a_damaged_database_is_set_aside)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	for (int i = 0; i < 2000; i++) {
		put_held(s, "eu", sha(i), 1);
	}
	close_state(s);
	damage(0, "this is no database at all......");
	is_set_aside("state.db.bad-1");
	damage(4096 + 100, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	damage(8192, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	is_set_aside("state.db.bad-2");
	char *path = path_of("state.db");
	test_write(path, "short", 5);
	free(path);
	is_set_aside("state.db.bad-3");
}

TEST(another_version_is_set_aside)
{
	UNUSED_STATE;
	close_state(open_state(DIF_STATE_OWN));
	damage(60, "\x7f"); /* user_version, big-endian, in the header */
	assert_null(dif_state_open(&engine, folder, DIF_STATE_READ, &fresh, &err));
	assert_non_null(strstr(err.text, "version"));
	is_set_aside("state.db.bad-1");
}

TEST(an_empty_file_becomes_a_database)
{
	UNUSED_STATE;
	assert_int_equal(mkdir(folder, 0750), 0);
	char *path = path_of("state.db");
	test_write(path, "", 0);
	free(path);
	close_state(open_state(DIF_STATE_OWN));
	assert_true(fresh);
}

TEST(others_may_not_read_the_database)
{
	UNUSED_STATE;
	mode_t mask = umask(022);
	struct dif_state *s = open_state(DIF_STATE_OWN);
	static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm"};
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		struct stat st;
		char *path = path_of(names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, 0640);
		free(path);
	}
	close_state(s);
	umask(mask);
}

/* --- a full disk --- */

TEST(a_write_that_fails_stays_queued_and_is_made_good)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	put_held(s, "eu", "first", 1);
	assert_int_equal(flush(s).err.cls, DIF_OK);
	struct rlimit old, small;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = (struct rlimit){.rlim_cur = 4096, .rlim_max = old.rlim_max};
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	for (int i = 0; i < 100; i++) {
		put_held(s, "eu", sha(i), 1);
	}
	struct flushed f = flush(s);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(f.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(f.err.text, "could not write state"));
	assert_int_equal(flush(s).err.cls, DIF_OK);
	assert_int_equal(held(s, "eu"), 101);
	close_state(s);
}

TEST(a_database_that_may_not_grow_is_as_a_full_disk)
{
	UNUSED_STATE;
	struct dif_state *s = open_state(DIF_STATE_OWN);
	char *large = malloc((1u << 20) + 1);
	assert_non_null(large);
	memset(large, 'x', 1u << 20);
	large[1u << 20] = '\0';
	put_held(s, "eu", "first", 1);
	assert_int_equal(flush(s).err.cls, DIF_OK);
	dif_state_full(s, true);
	assert_true(dif_state_put_fact(s, "drill", "padding", large));
	struct flushed f = flush(s);
	assert_int_equal(f.err.cls, DIF_TRANSIENT);
	assert_non_null(strstr(f.err.text, "full"));
	dif_state_full(s, false);
	assert_int_equal(flush(s).err.cls, DIF_OK);
	assert_int_equal(held(s, "eu"), 1);
	free(large);
	close_state(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(cuts_are_kept_and_listed_newest_first),
		T(a_read_sees_what_was_queued_before_it),
		T(the_last_three_manifests_are_kept),
		T(held_objects_come_back_by_destination),
		T(fifteen_thousand_held_objects_are_kept),
		T(the_newest_delivery_and_that_of_a_cut),
		T(facts_have_an_age),
		T(writes_are_committed_without_a_flush),
		T(flushes_answer_in_order_and_once),
		T(a_flush_may_close_the_state),
		T(closing_commits_what_is_queued),
		T(the_queue_is_bounded),
		T(a_read_only_state_takes_no_writes),
		T(reading_where_there_is_no_state_is_not_found),
		T(a_second_owner_is_refused_with_the_pid_of_the_first),
		T(a_damaged_database_is_set_aside),
		T(another_version_is_set_aside),
		T(an_empty_file_becomes_a_database),
		T(others_may_not_read_the_database),
		T(a_write_that_fails_stays_queued_and_is_made_good),
		T(a_database_that_may_not_grow_is_as_a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
