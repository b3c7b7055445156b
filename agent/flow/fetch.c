/* fetch - ranges side by side, then one read of the file on the pool.
 *
 *   ranges -> ops, one per lane -> check tag and length -> next ranges ... -> SHA-256 -> cb
 *
 * Each range is an op of its own, so the host repeats a broken one from its own start. The first
 * goes alone. Then two go side by side, and four if that was faster by a fifth; where it was not,
 * the width goes back and stays, for then it is the line that is full, or the server that gives
 * each of us a share. What is there before the first gap stays for the next time.
 */
#include "flow/fetch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/parse.h"
#include "host/crypto.h"

#define RANGE (8u << 20) /* what a cut costs at most; ten requests for a package of 80 MB */
#define READ (256u << 10)

#define LANES 4u   /* connections that a source is asked to bear */
#define FASTER 1.2 /* less is chance */

struct lane {
	struct dif_sink sink; /* first: the sink is the lane */
	struct dif_fetch *f;
	struct dif_get in;
	struct dif_op_run *op; /* NULL: free */
	uint64_t at;           /* where the next byte goes */
	bool overrun;
};

struct dif_fetch {
	struct dif_fetch_job job;
	void (*cb)(void *data, const struct dif_fetched *f);
	void *data;
	struct dif_fetched out;
	struct lane lane[LANES];
	uint32_t busy;        /* lanes with an op */
	uint64_t asked;       /* where the next range begins */
	uint64_t gap;         /* begin of the first range that failed; UINT64_MAX: none */
	bool whole_from_here; /* the server has no ranges: anew, once the lanes are free */
	struct dif_work work;
	int fd;
	bool canceled;
	int64_t began;
	uint64_t moved; /* bytes that travelled */

	/* how many side by side */
	uint32_t width, before, ended; /* before: the width that was measured before this one */
	bool settled;
	double rate; /* bytes per second at `before` */
	int64_t since;
	uint64_t moved_then;
};

/* --- the sink --- */

static bool on_begin(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct lane *l = (struct lane *)(void *)sink;
	if (l->in.length == 0 && ftruncate(l->f->fd, (off_t)offset) == -1) {
		dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT, "could not write '%s': %s",
		               l->f->job.path, strerror(errno));
		return false;
	}
	l->at = offset;
	return true;
}

static bool on_write(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct lane *l = (struct lane *)(void *)sink;
	struct dif_fetch *f = l->f;
	uint64_t range_end = l->in.length > 0 ? l->in.offset + l->in.length : UINT64_MAX;
	if (n > range_end - l->at) {
		l->overrun = true;
		dif_error_set(err, DIF_PERMANENT, "the server sends more than the range asked for");
		return false;
	}
	if (l->at > f->job.max || n > f->job.max - l->at) {
		dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
		               "it is larger than %llu bytes; raise max_package if it may be",
		               (unsigned long long)f->job.max);
		return false;
	}
	for (size_t done = 0; done < n;) {
		ssize_t k = pwrite(f->fd, (const char *)p + done, n - done, (off_t)(l->at + done));
		if (k == -1 && errno == EINTR) {
			continue;
		}
		if (k == -1) {
			dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT,
			               "could not write '%s': %s", f->job.path, strerror(errno));
			return false;
		}
		done += (size_t)k;
	}
	l->at += n;
	f->moved += n;
	return true;
}

/* --- the end --- */

static void finish(struct dif_fetch *f)
{
	int64_t took = dif_steady_ms() - f->began;
	f->out.bytes_per_s = took > 0 ? (double)f->moved * 1000 / (double)took : 0;
	if (f->canceled && f->out.err.cls == DIF_OK) {
		dif_error_set(&f->out.err, DIF_CANCELED, "canceled");
	}
	if (f->out.err.cls != DIF_OK) {
		f->out.sha256[0] = '\0';
	}
	close(f->fd);
	f->cb(f->data, &f->out);
	free(f);
}

static void on_hash(struct dif_work *w)
{
	struct dif_fetch *f = (struct dif_fetch *)((char *)w - offsetof(struct dif_fetch, work));
	struct dif_hasher *h = dif_hasher_new(DIF_SHA256);
	unsigned char *room = malloc(READ), digest[DIF_DIGEST_MAX];
	uint64_t at = 0;
	if (h == NULL || room == NULL) {
		dif_error_set(&f->out.err, DIF_TRANSIENT, "out of memory");
		goto done;
	}
	dif_hasher_begin(h);
	while (at < f->out.have) {
		ssize_t k = pread(f->fd, room, READ, (off_t)at);
		if (k == -1 && errno == EINTR) {
			continue;
		}
		if (k <= 0) {
			dif_error_set(&f->out.err, DIF_TRANSIENT, "could not read '%s': %s",
			              f->job.path, k == 0 ? "it is too short" : strerror(errno));
			goto done;
		}
		dif_hasher_add(h, room, (size_t)k);
		at += (uint64_t)k;
	}
	dif_hasher_end(h, digest);
	dif_hex(f->out.sha256, digest, 32);
done:
	free(room);
	dif_hasher_free(h);
}

static void on_hashed(struct dif_work *w)
{
	finish((struct dif_fetch *)((char *)w - offsetof(struct dif_fetch, work)));
}

/* --- ranges --- */

static void on_got(void *data, const struct dif_outcome *o);

static bool has_ranges(const struct dif_fetch *f)
{
	return !f->out.whole && f->job.size > 0 && f->job.tag != NULL;
}

static void ask(struct dif_fetch *f, struct lane *l, int64_t left)
{
	uint64_t missing = f->job.size - f->asked;
	l->f = f;
	l->sink = (struct dif_sink){on_begin, on_write};
	l->in = (struct dif_get){.key = f->job.key,
	                         .offset = f->asked,
	                         .if_tag = f->job.tag,
	                         .sink = &l->sink,
	                         .at = f->job.at};
	if (has_ranges(f)) {
		l->in.length = missing < RANGE ? missing : RANGE;
	}
	l->overrun = false;
	l->at = f->asked;
	f->asked = has_ranges(f) ? f->asked + l->in.length : UINT64_MAX;
	f->busy++;
	l->op = dif_op_start(f->job.from, DIF_GET, &l->in, left, on_got, l);
}

static void cancel_all(struct dif_fetch *f)
{
	for (uint32_t i = 0; i < LANES; i++) {
		if (f->lane[i].op != NULL) {
			dif_op_cancel(f->lane[i].op);
		}
	}
}

static bool is_failed(const struct dif_fetch *f)
{
	return f->out.err.cls != DIF_OK || f->canceled || f->whole_from_here;
}

static void go_on(struct dif_fetch *f)
{
	int64_t left = f->job.deadline_ms - (dif_steady_ms() - f->began);
	if (left <= 0 && !is_failed(f)) {
		dif_error_set(&f->out.err, DIF_TRANSIENT, "it took longer than %lld s",
		              (long long)f->job.deadline_ms / 1000);
	}
	uint32_t width = has_ranges(f) ? f->width : 1;
	bool some = has_ranges(f) ? f->asked < f->job.size : f->asked == 0;
	for (uint32_t i = 0; i < LANES && f->busy < width && some && !is_failed(f); i++) {
		if (f->lane[i].op == NULL) {
			ask(f, &f->lane[i], left);
			some = f->asked < f->job.size;
		}
	}
}

/* Every lane is free. */
static void conclude(struct dif_fetch *f)
{
	if (f->whole_from_here && !f->canceled && f->out.err.cls == DIF_OK) {
		f->whole_from_here = false;
		f->out.whole = true;
		f->asked = f->out.have = 0;
		f->gap = UINT64_MAX;
		go_on(f);
		if (f->busy > 0) {
			return;
		}
	}
	if (f->out.err.cls == DIF_OK && !f->canceled) {
		dif_engine_work(f->job.engine, &f->work, on_hash, on_hashed);
		return;
	}
	bool stays = f->out.err.cls == DIF_OK || f->out.err.cls == DIF_TRANSIENT ||
	             f->out.err.cls == DIF_THROTTLED;
	f->out.have = 0; /* what is there may be of another version */
	if (stays && has_ranges(f)) {
		f->out.have = f->gap < f->asked ? f->gap : f->asked;
	}
	finish(f);
}

/* As many ranges as go side by side have ended: was this width worth it? */
static void measure(struct dif_fetch *f)
{
	int64_t now = dif_steady_ms();
	if (f->settled || ++f->ended < f->width) {
		return;
	}
	int64_t took = now - f->since;
	double rate = (double)(f->moved - f->moved_then) * 1000 / (double)(took > 0 ? took : 1);
	if (f->width > 1 && rate < f->rate * FASTER) {
		f->width = f->before;
		f->settled = true;
	} else {
		f->rate = rate;
		f->before = f->width;
		f->settled = f->width == LANES;
		f->width = f->settled ? LANES : f->width * 2;
	}
	f->ended = 0;
	f->since = now;
	f->moved_then = f->moved;
}

/* Sees whether what came is what was asked for. */
static void judge(struct dif_fetch *f, const struct lane *l, const struct dif_outcome *o,
                  struct dif_error *err)
{
	const char *tag = o->result.object.tag;
	if (f->job.tag != NULL && tag != NULL && strcmp(f->job.tag, tag) != 0) {
		dif_error_set(err, DIF_CONFLICT, "it has been replaced meanwhile");
	} else if (l->in.length > 0 && l->at != l->in.offset + l->in.length) {
		dif_error_set(err, DIF_TRANSIENT, "a range came too short");
	} else if (f->job.size > 0 && l->at > f->job.size) {
		dif_error_set(err, DIF_CONFLICT, "it is longer than was told");
	} else if (l->in.length == 0 && f->job.size > 0 && l->at < f->job.size) {
		dif_error_set(err, DIF_TRANSIENT, "it ended after %llu of %llu bytes",
		              (unsigned long long)l->at, (unsigned long long)f->job.size);
	}
}

static void on_got(void *data, const struct dif_outcome *o)
{
	struct lane *l = data;
	struct dif_fetch *f = l->f;
	struct dif_error err = o->err;
	l->op = NULL;
	f->busy--;
	if (o->tls != NULL || f->out.tls[0] == '\0') {
		snprintf(f->out.tls, sizeof f->out.tls, "%s", o->tls != NULL ? o->tls : "");
	}
	if (err.cls == DIF_OK) {
		judge(f, l, o, &err);
	}
	if (l->in.length > 0 && (l->overrun || strcmp(err.code, "NoRange") == 0)) {
		f->whole_from_here = true;
		cancel_all(f);
	} else if (err.cls != DIF_OK) {
		f->gap = l->in.offset < f->gap ? l->in.offset : f->gap;
		if (!is_failed(f)) { /* what follows it was canceled by us */
			f->out.err = err;
			cancel_all(f);
		}
	} else {
		f->out.have = f->busy == 0 && l->in.length == 0 ? l->at : f->job.size;
		measure(f);
		go_on(f);
	}
	if (f->busy == 0) {
		conclude(f);
	}
}

struct dif_fetch *dif_fetch_start(const struct dif_fetch_job *job,
                                  void (*cb)(void *data, const struct dif_fetched *f), void *data,
                                  struct dif_error *err)
{
	assert(job->deadline_ms > 0);
	struct stat st;
	struct dif_fetch *f = calloc(1, sizeof *f);
	if (f == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return NULL;
	}
	*f = (struct dif_fetch){
		.job = *job, .cb = cb, .data = data, .gap = UINT64_MAX, .width = 1, .before = 1};
	if (job->tag != NULL && *job->tag == '\0') {
		f->job.tag = NULL;
	}
	f->fd = open(job->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (f->fd == -1 || fstat(f->fd, &st) == -1) {
		dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT, "could not write '%s': %s",
		               job->path, strerror(errno));
		goto fail;
	}
	if (f->job.tag != NULL && job->resume < job->size && (uint64_t)st.st_size >= job->resume) {
		f->out.have = job->resume;
	}
	f->out.whole = job->whole;
	f->asked = job->whole ? 0 : f->out.have;
	if (ftruncate(f->fd, (off_t)f->asked) == -1) { /* of another version, or behind a gap */
		dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT, "could not write '%s': %s",
		               job->path, strerror(errno));
		goto fail;
	}
	f->began = f->since = dif_steady_ms();
	go_on(f);
	return f;

fail:
	if (f->fd != -1) {
		close(f->fd);
	}
	free(f);
	return NULL;
}

void dif_fetch_cancel(struct dif_fetch *f)
{
	f->canceled = true;
	cancel_all(f);
}
