/* kill -9 in the middle of commits: what was acknowledged is there, in order. */
#include "support.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "flow/state.h"

static struct dif_engine engine;
static struct dif_error err;
static const char *folder;
static bool fresh;

static struct dif_state *open_state(void)
{
	struct dif_state *s = dif_state_open(&engine, folder, DIF_STATE_OWN, &fresh, &err);
	if (s == NULL) {
		fail_msg("%s", err.text);
	}
	return s;
}

static void on_closed(void *data)
{
	(void)data;
}

static void close_state(struct dif_state *s)
{
	dif_state_close(s, on_closed, NULL);
	uv_run(&engine.loop, UV_RUN_DEFAULT);
}

struct child {
	struct dif_state *s;
	int out;
	int next, told;
};

static void child_turn(void *data, const struct dif_error *e)
{
	struct child *c = data;
	if (e != NULL && e->cls == DIF_OK) {
		c->told = c->next;
		if (write(c->out, &c->told, sizeof c->told) != sizeof c->told) {
			_exit(1);
		}
	}
	for (int i = 0; i < 37; i++) {
		char key[32];
		snprintf(key, sizeof key, "key-%d", c->next++);
		struct dif_held h = {.key = key, .tag = "t", .epoch = 1, .number = c->next};
		if (!dif_state_put_held(c->s, "eu", &h)) {
			_exit(2);
		}
	}
	dif_state_flush(c->s, child_turn, c);
}

static void be_child(int out)
{
	struct dif_engine e;
	struct dif_error why;
	bool created;
	if (uv_loop_init(&e.loop) != 0) {
		_exit(3);
	}
	struct child c = {.out = out};
	c.s = dif_state_open(&e, folder, DIF_STATE_OWN, &created, &why);
	if (c.s == NULL) {
		_exit(4);
	}
	child_turn(&c, NULL);
	uv_run(&e.loop, UV_RUN_DEFAULT);
	_exit(5);
}

static void key_number(void *data, const struct dif_held *h)
{
	bool *seen = data;
	seen[strtol(h->key + 4, NULL, 10)] = true;
}

/* The child is a process of its own image, so that no thread of the pool is lost in the fork. */
static void kill_after(const char *self, int acknowledged)
{
	int pipes[2];
	assert_int_equal(pipe(pipes), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		dup2(pipes[1], 3);
		execl(self, self, "--child", folder, (char *)NULL);
		_exit(6);
	}
	close(pipes[1]);
	int told = 0;
	for (int i = 0; i < acknowledged; i++) {
		assert_int_equal(read(pipes[0], &told, sizeof told), sizeof told);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	for (int more; read(pipes[0], &more, sizeof more) == sizeof more;) {
		told = more;
	}
	close(pipes[0]);
	struct dif_state *s = open_state();
	static bool seen[1 << 20];
	memset(seen, 0, sizeof seen);
	dif_state_held(s, "eu", key_number, seen);
	int whole = 0;
	while (seen[whole]) {
		whole++;
	}
	assert_true(whole >= told); /* nothing that was acknowledged is lost... */
	for (int i = whole; i < 1 << 20; i++) {
		assert_false(seen[i]); /* ...and nothing came before what was put earlier */
	}
	close_state(s);
}

TEST(a_killed_process_loses_nothing_that_was_acknowledged)
{
	UNUSED_STATE;
	folder = test_path("state");
	assert_int_equal(uv_loop_init(&engine.loop), 0);
	close_state(open_state());
	for (int i = 1; i <= 10; i++) {
		kill_after(program_invocation_name, i);
		assert_false(fresh);
	}
	assert_int_equal(uv_loop_close(&engine.loop), 0);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--child") == 0) {
		folder = argv[2];
		be_child(3);
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_killed_process_loses_nothing_that_was_acknowledged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
