#include "support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "flow/inbox.h"

static struct dif_arena arena;
static const char *state;

static int setup(void **s)
{
	static uint32_t turn;
	char path[600];
	(void)s;
	dif_log_level(DIF_LOG_OFF);
	dif_arena_init(&arena, 1u << 20, false);
	state = dif_arena_fmt(&arena, "%s/%u", test_folder(), turn++);
	assert_int_equal(mkdir(state, 0700), 0);
	snprintf(path, sizeof path, "%s/inbox", state);
	assert_int_equal(mkdir(path, 0700), 0);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	dif_arena_fini(&arena);
	return 0;
}

static const char *in(const char *name)
{
	return dif_arena_fmt(&arena, "%s/inbox/%s", state, name);
}

static const char *with(const struct dif_inbox_job *job, const char *end)
{
	return in(dif_arena_fmt(&arena, "%s.%s", job->id, end));
}

static bool is_there(const char *path)
{
	return access(path, F_OK) == 0;
}

static void make_older(const char *path, int64_t seconds)
{
	struct timespec then = {.tv_sec = dif_wall_ms() / 1000 - seconds};
	const struct timespec times[2] = {then, then};
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void put(struct dif_inbox_job *job)
{
	struct dif_error err = {0};
	const char *zip = dif_arena_fmt(&arena, "%s/a.zip", state);
	const char *digest = dif_arena_fmt(&arena, "%s/a.zip.sha256", state);
	test_write(zip, "zip", 3);
	test_write(digest, "digest", 6);
	*job = (struct dif_inbox_job){
		.file = zip, .digest = digest, .name = "a.zip", .timeout_ms = 5000};
	assert_true(dif_inbox_put(&arena, state, job, &err));
}

TEST(a_job_is_done_and_answered)
{
	UNUSED_STATE;
	struct dif_inbox_job mine;
	struct dif_error err = {0};
	assert_null(dif_inbox_next(&arena, state));
	put(&mine);
	const struct dif_inbox_job *job = dif_inbox_next(&arena, state);
	assert_non_null(job);
	assert_string_equal(job->name, "a.zip");
	assert_int_equal(job->timeout_ms, 5000);
	assert_non_null(job->digest);
	assert_int_equal(job->left_ms, 0);
	assert_null(dif_inbox_take(&arena, state, mine.id));
	assert_true(dif_inbox_answer(state, job, &(struct dif_inbox_result){7, "some"}, &err));
	assert_false(is_there(with(&mine, "zip")));
	const struct dif_inbox_result *result = dif_inbox_take(&arena, state, mine.id);
	assert_non_null(result);
	assert_int_equal(result->exit, 7);
	assert_string_equal(result->text, "some");
	assert_false(is_there(with(&mine, "result")));
	dif_inbox_leave(&mine);
}

TEST(a_job_whose_publisher_is_gone_keeps_its_time_and_is_not_answered)
{
	UNUSED_STATE;
	struct dif_inbox_job mine;
	struct dif_error err = {0};
	int64_t before = dif_wall_ms();
	put(&mine);
	dif_inbox_leave(&mine);
	const struct dif_inbox_job *job = dif_inbox_next(&arena, state);
	assert_non_null(job);
	assert_true(job->left_ms >= before && job->left_ms <= dif_wall_ms());
	assert_true(dif_inbox_answer(state, job, &(struct dif_inbox_result){0, ""}, &err));
	assert_false(is_there(with(&mine, "result")));
	assert_false(is_there(with(&mine, "job")));
	assert_false(is_there(with(&mine, "zip")));
}

TEST(what_never_became_a_job_is_swept)
{
	UNUSED_STATE;
	struct dif_inbox_job mine;
	put(&mine);
	unlink(with(&mine, "job"));
	make_older(with(&mine, "zip"), 3600);
	make_older(with(&mine, "sha256"), 3600);
	dif_inbox_sweep(state); /* still being put in */
	assert_true(is_there(with(&mine, "zip")));
	assert_true(is_there(with(&mine, "sha256")));
	dif_inbox_leave(&mine);
	dif_inbox_sweep(state);
	assert_false(is_there(with(&mine, "zip")));
	assert_false(is_there(with(&mine, "sha256")));
}

TEST(what_is_young_or_a_job_stays)
{
	UNUSED_STATE;
	struct dif_inbox_job mine;
	put(&mine);
	dif_inbox_leave(&mine);
	make_older(with(&mine, "zip"), 999999);
	make_older(with(&mine, "job"), 999999);
	test_write(in("0000000000001-1.zip"), "zip", 3);
	dif_inbox_sweep(state);
	assert_true(is_there(with(&mine, "zip")));
	assert_true(is_there(with(&mine, "job")));
	assert_true(is_there(in("0000000000001-1.zip")));
}

TEST(an_answer_that_nobody_takes_is_swept_after_a_day)
{
	UNUSED_STATE;
	const char *old = in("0000000000001-1.result"), *half = in(".0000000000001-1.job.new");
	const char *young = in("0000000000002-1.result");
	test_write(old, "x", 1);
	test_write(half, "x", 1);
	test_write(young, "x", 1);
	make_older(old, 86400 + 60);
	make_older(half, 86400 + 60);
	make_older(young, 86400 - 60);
	dif_inbox_sweep(state);
	assert_false(is_there(old));
	assert_false(is_there(half));
	assert_true(is_there(young));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_job_is_done_and_answered),
		T(a_job_whose_publisher_is_gone_keeps_its_time_and_is_not_answered),
		T(what_never_became_a_job_is_swept),
		T(what_is_young_or_a_job_stays),
		T(an_answer_that_nobody_takes_is_swept_after_a_day),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
