#include "flow/state.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "flow/state_private.h"

#define FOLDER_MODE 0750
#define FILE_MODE 0640

/* --- the lock ---
 *
 * A lock of the open file description: it goes with the process, however that ends, and others can
 * ask for it without taking it. The pid inside is for people. */

static int64_t read_pid(int fd)
{
	char text[32] = "";
	int64_t pid = 0;
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
	return dif_parse_int(text, 1, INT32_MAX, &pid) ? pid : 0;
}

static int take_lock(const char *folder, struct dif_error *err)
{
	int dir = dif_path_open_trusted_dir(folder, err);
	if (dir == -1) {
		return -1;
	}
	int fd = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
	int number = errno;
	close(dir);
	if (fd == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not lock state '%s': %s", folder,
		              strerror(number));
		return -1;
	}
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	if (fcntl(fd, F_OFD_SETLK, &whole) != 0) {
		number = errno;
		int64_t pid = read_pid(fd);
		close(fd);
		if (number == EAGAIN || number == EACCES) {
			dif_error_exit(err, DIF_EXIT_OTHER, DIF_CONFLICT,
			               "could not lock state '%s': process %lld holds it", folder,
			               (long long)pid);
		} else {
			dif_error_set(err, DIF_PERMANENT, "could not lock state '%s': %s", folder,
			              strerror(number));
		}
		return -1;
	}
	char text[32];
	int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		dif_error_set(err, DIF_PERMANENT, "could not lock state '%s': %s", folder,
		              strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

int64_t dif_state_holder(const char *folder)
{
	char *path = dif_path_join(folder, "lock");
	int fd = path == NULL ? -1 : open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	free(path);
	if (fd == -1) {
		return 0;
	}
	struct flock whole = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	bool held = fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
	int64_t pid = held ? read_pid(fd) : 0;
	close(fd);
	return pid;
}

/* --- open and close --- */

static bool open_own(struct dif_state *s, bool *fresh, struct dif_error *err)
{
	if (!dif_path_make_dir(s->folder, FOLDER_MODE, err)) {
		return false;
	}
	s->lock = take_lock(s->folder, err);
	if (s->lock == -1) {
		return false;
	}
	bool bad = false;
	struct dif_error why = {0};
	s->db = dif_state_schema_open(s->file, fresh, &bad, &why);
	if (s->db == NULL && bad) {
		dif_log(DIF_LOG_WARNING, "state", "file=%s set_aside=yes reason=%s", dif_q(s->file),
		        dif_q(why.text));
		if (!dif_state_schema_set_aside(s->file, err)) {
			return false;
		}
		s->db = dif_state_schema_open(s->file, fresh, &bad, &why);
	}
	if (s->db == NULL) {
		if (err != NULL) {
			*err = why;
		}
		return false;
	}
	return true;
}

static void drop(struct dif_state *s)
{
	for (size_t i = 0; i < DIF_SQLS; i++) {
		sqlite3_finalize(s->writes[i]);
	}
	sqlite3_close(s->reader); /* first: the last to close is who cleans the log up */
	sqlite3_close(s->db);
	if (s->lock != -1) {
		close(s->lock);
	}
	free(s->folder);
	free(s->file);
	free(s);
}

struct dif_state *dif_state_open(struct dif_engine *e, const char *folder, enum dif_state_mode mode,
                                 bool *fresh, struct dif_error *err)
{
	struct dif_state *s = calloc(1, sizeof *s);
	if (s == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open state '%s': out of memory",
		              folder);
		return NULL;
	}
	bool created = false;
	s->engine = e;
	s->mode = mode;
	s->lock = -1;
	s->folder = strdup(folder);
	s->file = dif_path_join(folder, "state.db");
	if (s->folder == NULL || s->file == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open state '%s': out of memory",
		              folder);
		goto fail;
	}
	if (mode == DIF_STATE_OWN && !open_own(s, &created, err)) {
		goto fail;
	}
	s->reader = dif_state_schema_read(s->file, err);
	if (s->reader == NULL) {
		goto fail;
	}
	if (!dif_state_write_init(s)) {
		dif_error_set(err, DIF_TRANSIENT, "could not open state '%s': out of memory",
		              folder);
		goto fail;
	}
	*fresh = created;
	return s;

fail:
	drop(s);
	return NULL;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dif_state *s = DIF_ENTRY(h, struct dif_state, timer);
	void (*closed)(void *data) = s->closed;
	void *data = s->closed_data;
	pthread_mutex_destroy(&s->db_lock);
	pthread_mutex_destroy(&s->queue_lock);
	drop(s);
	closed(data);
}

void dif_state_ended(struct dif_state *s)
{
	dif_state_queue_free(s);
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

void dif_state_close(struct dif_state *s, void (*closed)(void *data), void *data)
{
	s->closed = closed;
	s->closed_data = data;
	dif_state_write_end(s);
}

/* --- reading --- */

static void complain(struct dif_state *s)
{
	dif_log(DIF_LOG_ERROR, "state", "file=%s reason=%s", dif_q(s->file),
	        dif_q(sqlite3_errmsg(s->reader)));
}

sqlite3_stmt *dif_state_read(struct dif_state *s, const char *sql)
{
	sqlite3_stmt *q = NULL;
	dif_state_settle(s);
	if (sqlite3_prepare_v2(s->reader, sql, -1, &q, NULL) != SQLITE_OK) {
		complain(s);
		sqlite3_finalize(q);
		return NULL;
	}
	return q;
}

bool dif_state_row(struct dif_state *s, sqlite3_stmt *q)
{
	int rc = sqlite3_step(q);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
		complain(s);
	}
	return rc == SQLITE_ROW;
}

const char *dif_state_text(sqlite3_stmt *q, int column)
{
	const unsigned char *text = sqlite3_column_text(q, column);
	return text == NULL ? "" : (const char *)text;
}
