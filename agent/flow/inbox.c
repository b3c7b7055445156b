#include "flow/inbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "host/ini.h"

#define INI_TEXT_MAX (64u << 10)
#define COPY_CHUNK (8u << 20)
#define YOUNG_S 60 /* a file may be there a moment before its lock, and a package before its job */
#define ANSWER_S 86400  /* whoever waited for it is gone */
#define SWEEP_MAX 10000 /* names in one sweep; what is left goes with the next */

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

static bool copy_all(int to, int from)
{
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, COPY_CHUNK);
		if (n == 0) {
			return fsync(to) == 0;
		}
		if (n < 0 && errno != EINTR) {
			return false;
		}
	}
}

/* hold NULL: the copy is closed, else it stays open and locked. */
static bool copy_in(int dir, const char *from, const char *name, int *hold, struct dif_error *err)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool ok = in != -1 && out != -1 && (hold == NULL || flock(out, LOCK_EX | LOCK_NB) == 0) &&
	          copy_all(out, in);
	if (!ok) {
		dif_error_set(err, DIF_PERMANENT, "could not copy '%s' into the inbox: %s", from,
		              strerror(errno));
		if (out != -1) {
			unlinkat(dir, name, 0);
		}
	}
	if (in != -1) {
		close(in);
	}
	if (ok && hold != NULL) {
		*hold = out;
	} else if (out != -1) {
		close(out);
	}
	return ok;
}

static bool write_file(int dir, struct dif_buf *text, const char *name, struct dif_error *err)
{
	bool ok = !text->failed && dif_path_write_durably(dir, name, text->p, text->n, 0600, err);
	if (text->failed) {
		dif_error_set(err, DIF_TRANSIENT, "could not write '%s': out of memory", name);
	}
	dif_buf_fini(text);
	return ok;
}

/* Values must stay on their line: a file name may hold anything. */
static const char *one_line(struct dif_arena *a, const char *s)
{
	char *copy = dif_arena_copy(a, s, strlen(s));
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == ';' || *c == '"') {
			*c = '_';
		}
	}
	return copy != NULL ? copy : "";
}

bool dif_inbox_put(struct dif_arena *a, const char *state, struct dif_inbox_job *job,
                   struct dif_error *err)
{
	int dir = open_inbox(state, err);
	if (dir == -1) {
		return false;
	}
	job->hold = -1;
	job->id = dif_arena_fmt(a, "%013lld-%d", (long long)dif_wall_ms(), (int)getpid());
	struct dif_buf text;
	dif_buf_init(&text, INI_TEXT_MAX);
	dif_buf_fmt(&text, "[job]\nname = %s\ntimeout = %lldms\n", one_line(a, job->name),
	            (long long)job->timeout_ms);
	bool ok = copy_in(dir, job->file, dif_arena_fmt(a, "%s.zip", job->id), &job->hold, err);
	if (ok && job->digest != NULL) {
		ok = copy_in(dir, job->digest, dif_arena_fmt(a, "%s.sha256", job->id), NULL, err);
	}
	if (ok) {
		ok = write_file(dir, &text, dif_arena_fmt(a, "%s.job", job->id), err);
	} else {
		dif_buf_fini(&text);
	}
	if (!ok) {
		unlinkat(dir, dif_arena_fmt(a, "%s.zip", job->id), 0);
		unlinkat(dir, dif_arena_fmt(a, "%s.sha256", job->id), 0);
		dif_inbox_leave(job);
	}
	close(dir);
	return ok;
}

void dif_inbox_leave(struct dif_inbox_job *job)
{
	if (job->hold != -1) {
		close(job->hold);
		job->hold = -1;
	}
}

/* By its publisher, wherever that runs: a lock is seen from every container. */
static bool is_held(int dir, const char *zip)
{
	int fd = openat(dir, zip, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	bool held = fd != -1 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (fd != -1) {
		close(fd);
	}
	return held;
}

/* An ID begins with the time of handing over. */
static int64_t time_of(const char *id)
{
	char digits[20];
	int64_t ms = 0;
	size_t n = strcspn(id, "-");
	snprintf(digits, sizeof digits, "%.*s", (int)(n < sizeof digits ? n : 0), id);
	return dif_parse_int(digits, 1, INT64_MAX, &ms) ? ms : 1;
}

static const char *value(const struct dif_ini_entry *list, const char *key)
{
	for (; list != NULL; list = list->next) {
		if (list->key != NULL && strcmp(list->key, key) == 0) {
			return list->value;
		}
	}
	return NULL;
}

static struct dif_ini_entry *read_ini(struct dif_arena *a, int dir, const char *name,
                                      struct dif_error *err)
{
	struct dif_ini_entry *list = NULL;
	char *text = NULL;
	size_t n = 0;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd == -1) {
		dif_error_set(err, errno == ENOENT ? DIF_NOT_FOUND : DIF_PERMANENT,
		              "could not open '%s': %s", name, strerror(errno));
		return NULL;
	}
	if (dif_path_read_all(fd, INI_TEXT_MAX, &text, &n, err)) {
		dif_ini_parse(a, name, (struct dif_bytes){text, n}, &list, err);
	}
	free(text);
	close(fd);
	return list;
}

static bool name_of_job(const char *name, char *oldest, size_t max)
{
	size_t n = strlen(name);
	if (n < 5 || n >= max || strcmp(name + n - 4, ".job") != 0) {
		return false;
	}
	return oldest[0] == '\0' || strcmp(name, oldest) < 0;
}

static bool find_oldest(int dir, char *oldest, size_t max)
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
		if (name_of_job(e->d_name, oldest, max)) {
			memcpy(oldest, e->d_name, strlen(e->d_name) + 1);
		}
	}
	closedir(d);
	return oldest[0] != '\0';
}

const struct dif_inbox_job *dif_inbox_next(struct dif_arena *a, const char *state)
{
	char oldest[NAME_MAX + 1];
	struct dif_error err = {0};
	struct dif_inbox_job *job = dif_arena_alloc(a, sizeof *job);
	int dir = open_inbox(state, NULL);
	if (dir == -1 || job == NULL || !find_oldest(dir, oldest, sizeof oldest)) {
		goto none;
	}
	job->id = dif_arena_fmt(a, "%.*s", (int)(strlen(oldest) - 4), oldest);
	job->file = dif_arena_fmt(a, "%s/inbox/%s.zip", state, job->id);
	const char *digest = dif_arena_fmt(a, "%s/inbox/%s.sha256", state, job->id);
	job->digest = access(digest, F_OK) == 0 ? digest : NULL;
	if (!is_held(dir, dif_arena_fmt(a, "%s.zip", job->id))) {
		job->left_ms = time_of(job->id);
	}
	const struct dif_ini_entry *list = read_ini(a, dir, oldest, &err);
	job->name = value(list, "name");
	const char *timeout = value(list, "timeout");
	if (job->name == NULL || timeout == NULL ||
	    !dif_parse_duration(timeout, 1, INT64_MAX, &job->timeout_ms)) {
		dif_inbox_answer(state, job,
		                 &(struct dif_inbox_result){DIF_EXIT_OTHER,
		                                            "could not read the job in the inbox"},
		                 NULL);
		goto none;
	}
	close(dir);
	return job;
none:
	if (dir != -1) {
		close(dir);
	}
	return NULL;
}

bool dif_inbox_answer(const char *state, const struct dif_inbox_job *job,
                      const struct dif_inbox_result *result, struct dif_error *err)
{
	int dir = open_inbox(state, err);
	if (dir == -1) {
		return false;
	}
	struct dif_arena a;
	dif_arena_init(&a, INI_TEXT_MAX, false);
	bool ok = true;
	if (job->left_ms == 0) {
		struct dif_buf text;
		dif_buf_init(&text, INI_TEXT_MAX);
		dif_buf_fmt(&text, "[result]\nexit = %d\ntext = %s\n", result->exit,
		            one_line(&a, result->text));
		ok = write_file(dir, &text, dif_arena_fmt(&a, "%s.result", job->id), err);
	}
	if (ok) { /* the job goes last: a lost answer would leave somebody waiting */
		unlinkat(dir, dif_arena_fmt(&a, "%s.job", job->id), 0);
		unlinkat(dir, dif_arena_fmt(&a, "%s.zip", job->id), 0);
		unlinkat(dir, dif_arena_fmt(&a, "%s.sha256", job->id), 0);
	}
	dif_arena_fini(&a);
	close(dir);
	return ok;
}

static bool has_job(int dir, const char *id, size_t n)
{
	char name[NAME_MAX + 1];
	snprintf(name, sizeof name, "%.*s.job", (int)n, id);
	return faccessat(dir, name, F_OK, 0) == 0;
}

static bool is_waste(int dir, const char *name)
{
	struct stat st;
	char zip[NAME_MAX + 1];
	int64_t now = dif_wall_ms() / 1000;
	const char *dot = strrchr(name, '.');
	if (dot == NULL || dot == name || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    !S_ISREG(st.st_mode)) {
		return false;
	}
	bool answer = strcmp(dot, ".result") == 0 || name[0] == '.'; /* or one half written */
	if (answer || strcmp(dot, ".job") == 0) {
		return answer && now - st.st_mtime > ANSWER_S;
	}
	snprintf(zip, sizeof zip, "%.*s.zip", (int)(dot - name), name);
	return now - st.st_mtime > YOUNG_S && !has_job(dir, name, (size_t)(dot - name)) &&
	       !is_held(dir, zip);
}

void dif_inbox_sweep(const char *state)
{
	int dir = open_inbox(state, NULL);
	int again = dir != -1 ? openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	DIR *d = again != -1 ? fdopendir(again) : NULL;
	const struct dirent *e = NULL;
	for (uint32_t i = 0; d != NULL && i < SWEEP_MAX && (e = readdir(d)) != NULL; i++) {
		if (is_waste(dir, e->d_name) && unlinkat(dir, e->d_name, 0) == 0) {
			dif_log(DIF_LOG_INFO, "inbox", "swept=%s", dif_q(e->d_name));
		}
	}
	if (d != NULL) {
		closedir(d);
	} else if (again != -1) {
		close(again);
	}
	if (dir != -1) {
		close(dir);
	}
}

void dif_inbox_withdraw(const char *state, const char *id)
{
	static const char *const ends[] = {"job", "zip", "sha256"};
	char name[NAME_MAX + 1];
	int dir = open_inbox(state, NULL);
	for (size_t i = 0; dir != -1 && i < DIF_LEN(ends); i++) {
		snprintf(name, sizeof name, "%s.%s", id, ends[i]);
		unlinkat(dir, name, 0);
	}
	if (dir != -1) {
		close(dir);
	}
}

const struct dif_inbox_result *dif_inbox_take(struct dif_arena *a, const char *state,
                                              const char *id)
{
	struct dif_inbox_result *result = dif_arena_alloc(a, sizeof *result);
	struct dif_error err = {0};
	int64_t code = DIF_EXIT_OTHER;
	int dir = open_inbox(state, NULL);
	if (dir == -1 || result == NULL) {
		return NULL;
	}
	const char *name = dif_arena_fmt(a, "%s.result", id);
	const struct dif_ini_entry *list = read_ini(a, dir, name, &err);
	if (list != NULL) {
		const char *exit_text = value(list, "exit");
		if (exit_text != NULL) {
			dif_parse_int(exit_text, 0, 255, &code);
		}
		result->exit = (int)code;
		result->text = value(list, "text") != NULL ? value(list, "text") : "";
		unlinkat(dir, name, 0);
	}
	close(dir);
	return list != NULL ? result : NULL;
}
