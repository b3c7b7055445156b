#include "host/engine.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "support.h"

struct job {
	struct dif_work work;
	struct dif_engine *engine;
	pthread_t ran_on;
	unsigned runs, dones, left;
};

static void job_run(struct dif_work *w)
{
	struct job *j = (struct job *)(void *)w;
	j->ran_on = pthread_self();
	j->runs++;
}

static void job_done(struct dif_work *w)
{
	struct job *j = (struct job *)(void *)w;
	j->dones++;
	assert_true(j->runs == j->dones);
	assert_false(pthread_equal(j->ran_on, pthread_self()));
	if (--j->left > 0) {
		dif_engine_work(j->engine, &j->work, job_run, job_done);
	}
}

TEST(work_runs_on_the_pool_and_ends_on_the_loop)
{
	UNUSED_STATE;
	struct dif_error err = {0};
	struct job j = {.engine = dif_engine_new(&err), .left = 3};
	assert_non_null(j.engine);
	dif_engine_work(j.engine, &j.work, job_run, job_done);
	assert_int_equal(j.dones, 0);
	dif_engine_run(j.engine);
	assert_int_equal(j.dones, 3);
	dif_engine_free(j.engine);
}

TEST(engine_that_ran_nothing_is_freed)
{
	UNUSED_STATE;
	struct dif_engine *e = dif_engine_new(NULL);
	assert_non_null(e);
	assert_non_null(e->transport.start);
	dif_engine_run(e);
	dif_engine_free(e);
	dif_engine_free(NULL);
}

TEST(a_peer_that_hangs_up_does_not_end_the_program)
{
	UNUSED_STATE;
	struct dif_engine *e = dif_engine_new(NULL);
	int fd[2];
	assert_int_equal(pipe(fd), 0);
	close(fd[0]);
	assert_int_equal(write(fd[1], "x", 1), -1);
	close(fd[1]);
	dif_engine_free(e);
}

TEST(pool_has_a_size_unless_the_operator_gave_one)
{
	UNUSED_STATE;
	unsetenv("UV_THREADPOOL_SIZE");
	dif_engine_free(dif_engine_new(NULL));
	int n = (int)strtol(getenv("UV_THREADPOOL_SIZE"), NULL, 10);
	assert_in_range(n, 2, 8);
	setenv("UV_THREADPOOL_SIZE", "3", 1);
	dif_engine_free(dif_engine_new(NULL));
	assert_string_equal(getenv("UV_THREADPOOL_SIZE"), "3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_runs_on_the_pool_and_ends_on_the_loop),
		cmocka_unit_test(engine_that_ran_nothing_is_freed),
		cmocka_unit_test(a_peer_that_hangs_up_does_not_end_the_program),
		cmocka_unit_test(pool_has_a_size_unless_the_operator_gave_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
