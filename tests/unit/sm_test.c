#include "support.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sm.h"

enum { IDLE, BUSY, DONE, N };
static const struct dif_sm_state table[N] = {
	[IDLE] = {"idle", DIF_TO(BUSY)},
	[BUSY] = {"busy", DIF_TO(IDLE) | DIF_TO(DONE)},
	[DONE] = {"done", 0},
};

TEST(moves_in_the_table_are_made)
{
	UNUSED_STATE;
	struct dif_sm sm;
	dif_sm_init(&sm, "test", table, N, IDLE);
	assert_string_equal(dif_sm_name(&sm), "idle");
	dif_sm_move(&sm, BUSY);
	dif_sm_move(&sm, IDLE);
	dif_sm_move(&sm, BUSY);
	dif_sm_move(&sm, DONE);
	assert_string_equal(dif_sm_name(&sm), "done");
}

static void expect_abort(uint32_t from, uint32_t to)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit none = {0, 0};
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		struct dif_sm sm;
		dif_sm_init(&sm, "test", table, N, from);
		dif_sm_move(&sm, to);
		_exit(0);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

TEST(a_move_that_is_not_in_the_table_ends_the_program)
{
	UNUSED_STATE;
	expect_abort(IDLE, DONE);
	expect_abort(DONE, IDLE);
	expect_abort(BUSY, BUSY);
	expect_abort(BUSY, N);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moves_in_the_table_are_made),
		cmocka_unit_test(a_move_that_is_not_in_the_table_ends_the_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
