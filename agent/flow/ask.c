#include "flow/ask.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "base/path.h"
#include "host/tree.h"

#define TEXT_MAX (64u << 10)
#define OLD_MS 60000
#define FILE_MODE 0600

static int open_inbox(const char *state, struct dif_error *err)
{
	char *path = dif_path_join(state, "inbox");
	int fd = path != NULL ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (fd == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not open inbox '%s/inbox': %s", state,
		              path != NULL ? strerror(errno) : "out of memory");
	}
	free(path);
	return fd;
}

static bool write_text(int dir, const char *name, struct dif_buf *out, struct dif_error *err)
{
	bool ok = !out->failed && dif_path_write_durably(dir, name, out->p, out->n, FILE_MODE, err);
	if (out->failed) {
		dif_error_set(err, DIF_TRANSIENT, "could not write '%s': out of memory", name);
	}
	dif_buf_fini(out);
	return ok;
}

/* NULL: it is not there, or cannot be read. */
static const struct dif_node *read_text(struct dif_arena *a, int dir, const char *name)
{
	char *text = NULL;
	size_t n = 0;
	const struct dif_node *node = NULL;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd != -1 && dif_path_read_all(fd, TEXT_MAX, &text, &n, NULL)) {
		node = dif_json_parse(a, (struct dif_bytes){text, n}, NULL);
	}
	if (fd != -1) {
		close(fd);
	}
	free(text);
	return node;
}

static int64_t number(const struct dif_node *n, const char *key)
{
	int64_t to = 0;
	return dif_parse_int(dif_tree_str(dif_tree_get(n, key)), 0, INT64_MAX, &to) ? to : 0;
}

static void begin(struct dif_json *j, struct dif_buf *out)
{
	dif_buf_init(out, TEXT_MAX);
	dif_json_begin(j, out);
	dif_json_open(j, NULL, '{');
}

bool dif_ask_put(struct dif_arena *a, const char *state, struct dif_ask *ask, struct dif_error *err)
{
	struct dif_buf out;
	struct dif_json j;
	int dir = open_inbox(state, err);
	if (dir == -1) {
		return false;
	}
	int64_t now = dif_wall_ms();
	ask->id = dif_arena_fmt(a, "%013lld-%d", (long long)now, (int)getpid());
	begin(&j, &out);
	dif_json_int(&j, "at", now);
	dif_json_str(&j, "act", ask->act);
	dif_json_str(&j, "name", ask->name);
	dif_json_bool(&j, "dry_run", ask->dry_run);
	dif_json_str(&j, "drill", ask->drill != NULL ? ask->drill : "");
	dif_json_int(&j, "length_ms", ask->length_ms);
	dif_json_int(&j, "rto_ms", ask->rto_ms);
	dif_json_close(&j, '}');
	bool ok = write_text(dir, dif_arena_fmt(a, "%s.ask", ask->id), &out, err);
	close(dir);
	return ok;
}

const struct dif_answer *dif_ask_take(struct dif_arena *a, const char *state, const char *id)
{
	struct dif_answer *answer = dif_arena_alloc(a, sizeof *answer);
	int dir = open_inbox(state, NULL);
	if (dir == -1 || answer == NULL) {
		return NULL;
	}
	const char *name = dif_arena_fmt(a, "%s.answer", id);
	const struct dif_node *n = read_text(a, dir, name);
	if (n != NULL) {
		answer->exit = (int)(number(n, "exit") % 256);
		answer->before = dif_tree_str(dif_tree_get(n, "before"));
		answer->after = dif_tree_str(dif_tree_get(n, "after"));
		answer->text = dif_tree_str(dif_tree_get(n, "text"));
		unlinkat(dir, name, 0);
	}
	close(dir);
	return n != NULL ? answer : NULL;
}

static void remove_file(const char *state, const char *id, const char *end)
{
	char name[NAME_MAX + 1];
	int dir = open_inbox(state, NULL);
	if (dir != -1) {
		snprintf(name, sizeof name, "%s.%s", id, end);
		unlinkat(dir, name, 0);
		close(dir);
	}
}

void dif_ask_withdraw(const char *state, const char *id)
{
	remove_file(state, id, "ask");
}

/* The first by name, which begins with the time. */
static bool find_oldest(int dir, char oldest[NAME_MAX + 1])
{
	int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = again != -1 ? fdopendir(again) : NULL;
	oldest[0] = '\0';
	if (d == NULL) {
		if (again != -1) {
			close(again);
		}
		return false;
	}
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		size_t n = strlen(e->d_name);
		if (n > 4 && e->d_name[0] != '.' && strcmp(e->d_name + n - 4, ".ask") == 0 &&
		    (oldest[0] == '\0' || strcmp(e->d_name, oldest) < 0)) {
			memcpy(oldest, e->d_name, n + 1);
		}
	}
	closedir(d);
	return oldest[0] != '\0';
}

const struct dif_ask *dif_ask_next(struct dif_arena *a, const char *state)
{
	char oldest[NAME_MAX + 1];
	struct dif_ask *ask = dif_arena_alloc(a, sizeof *ask);
	int dir = open_inbox(state, NULL);
	bool found = dir != -1 && ask != NULL && find_oldest(dir, oldest);
	if (found) {
		const struct dif_node *n = read_text(a, dir, oldest);
		ask->id = dif_arena_fmt(a, "%.*s", (int)(strlen(oldest) - 4), oldest);
		ask->act = dif_tree_str(dif_tree_get(n, "act"));
		ask->name = dif_tree_str(dif_tree_get(n, "name"));
		ask->dry_run = strcmp(dif_tree_str(dif_tree_get(n, "dry_run")), "false") != 0;
		ask->drill = dif_tree_str(dif_tree_get(n, "drill"));
		ask->length_ms = number(n, "length_ms");
		ask->rto_ms = number(n, "rto_ms");
		if (dif_wall_ms() - number(n, "at") > OLD_MS) {
			unlinkat(dir, oldest, 0);
			found = false;
		}
	}
	if (dir != -1) {
		close(dir);
	}
	return found ? ask : NULL;
}

bool dif_ask_answer(const char *state, const struct dif_ask *ask, const struct dif_answer *answer,
                    struct dif_error *err)
{
	struct dif_buf out;
	struct dif_json j;
	char name[NAME_MAX + 1];
	int dir = open_inbox(state, err);
	if (dir == -1) {
		return false;
	}
	begin(&j, &out);
	dif_json_int(&j, "exit", answer->exit);
	dif_json_str(&j, "before", answer->before);
	dif_json_str(&j, "after", answer->after);
	dif_json_str(&j, "text", answer->text);
	dif_json_close(&j, '}');
	snprintf(name, sizeof name, "%s.answer", ask->id);
	bool ok = write_text(dir, name, &out, err);
	close(dir);
	remove_file(state, ask->id,
	            "ask"); /* also unanswered: it was done, and is not done twice */
	return ok;
}
