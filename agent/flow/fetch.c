/* fetch - one range after the other, then one read of the file on the pool.
 *
 *   next range -> op -> check tag and length -> next range ... -> SHA-256 -> cb
 *
 * Each range is an op of its own, so the host repeats a broken one from its own start. The sink
 * writes where the range belongs; what an attempt left behind a range's start is cut off when the
 * next begins.
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

struct dif_fetch {
	struct dif_sink sink; /* first: the sink is the fetch */
	struct dif_fetch_job job;
	void (*cb)(void *data, const struct dif_fetched *f);
	void *data;
	struct dif_fetched out;
	struct dif_get in;
	struct dif_op_run *op; /* NULL: none, the pool is at work */
	struct dif_work work;
	int fd;
	uint64_t at; /* where the next byte goes */
	bool overrun, canceled;
	int64_t began;
	uint64_t moved; /* bytes that travelled */
};

/* --- the sink --- */

static bool on_begin(struct dif_sink *sink, uint64_t offset, struct dif_error *err)
{
	struct dif_fetch *f = (struct dif_fetch *)sink;
	if (ftruncate(f->fd, (off_t)offset) == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not write '%s': %s", f->job.path,
		              strerror(errno));
		return false;
	}
	f->at = offset;
	return true;
}

static bool on_write(struct dif_sink *sink, const void *p, size_t n, struct dif_error *err)
{
	struct dif_fetch *f = (struct dif_fetch *)sink;
	uint64_t range_end = f->in.length > 0 ? f->in.offset + f->in.length : UINT64_MAX;
	if (n > range_end - f->at) {
		f->overrun = true;
		dif_error_set(err, DIF_PERMANENT, "the server sends more than the range asked for");
		return false;
	}
	if (f->at > f->job.max || n > f->job.max - f->at) {
		dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT,
		               "it is larger than %llu bytes; raise max_package if it may be",
		               (unsigned long long)f->job.max);
		return false;
	}
	for (size_t done = 0; done < n;) {
		ssize_t k = pwrite(f->fd, (const char *)p + done, n - done, (off_t)(f->at + done));
		if (k == -1 && errno == EINTR) {
			continue;
		}
		if (k == -1) {
			dif_error_set(err, DIF_PERMANENT, "could not write '%s': %s", f->job.path,
			              strerror(errno));
			return false;
		}
		done += (size_t)k;
	}
	f->at += n;
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

static void next(struct dif_fetch *f)
{
	int64_t left = f->job.deadline_ms - (dif_steady_ms() - f->began);
	bool ranges = !f->out.whole && f->job.size > 0 && f->job.tag != NULL;
	if (left <= 0) {
		dif_error_set(&f->out.err, DIF_TRANSIENT, "it took longer than %lld s",
		              (long long)f->job.deadline_ms / 1000);
		left = 1;
	}
	if (f->out.err.cls != DIF_OK || f->canceled) {
		finish(f);
		return;
	}
	uint64_t missing = f->job.size - f->out.have;
	f->in = (struct dif_get){.key = f->job.key,
	                         .offset = f->out.have,
	                         .if_tag = f->job.tag,
	                         .sink = &f->sink,
	                         .at = f->job.at};
	if (ranges) {
		f->in.length = missing < RANGE ? missing : RANGE;
	}
	f->overrun = false;
	f->at = f->out.have;
	f->op = dif_op_start(f->job.from, DIF_GET, &f->in, left, on_got, f);
}

/* Sees whether what came is what was asked for. */
static void judge(struct dif_fetch *f, const struct dif_outcome *o)
{
	const char *tag = o->result.object.tag;
	if (f->job.tag != NULL && tag != NULL && strcmp(f->job.tag, tag) != 0) {
		dif_error_set(&f->out.err, DIF_CONFLICT, "it has been replaced meanwhile");
	} else if (f->in.length > 0 && f->at != f->in.offset + f->in.length) {
		dif_error_set(&f->out.err, DIF_TRANSIENT, "a range came too short");
	} else if (f->job.size > 0 && f->at > f->job.size) {
		dif_error_set(&f->out.err, DIF_CONFLICT, "it is longer than was told");
	} else if (f->in.length == 0 && f->job.size > 0 && f->at < f->job.size) {
		dif_error_set(&f->out.err, DIF_TRANSIENT, "it ended after %llu of %llu bytes",
		              (unsigned long long)f->at, (unsigned long long)f->job.size);
	}
}

static void on_got(void *data, const struct dif_outcome *o)
{
	struct dif_fetch *f = data;
	f->op = NULL;
	snprintf(f->out.tls, sizeof f->out.tls, "%s", o->tls != NULL ? o->tls : "");
	if (f->in.length > 0 && (f->overrun || strcmp(o->err.code, "NoRange") == 0)) {
		f->out.whole = true;
		f->out.have = 0;
		next(f);
		return;
	}
	f->out.err = o->err;
	if (o->err.cls == DIF_OK) {
		judge(f, o);
	}
	if (f->out.err.cls == DIF_OK) {
		f->out.have = f->at;
		if (f->in.length > 0 && f->out.have < f->job.size) {
			next(f);
		} else {
			dif_engine_work(f->job.engine, &f->work, on_hash, on_hashed);
		}
		return;
	}
	if (f->out.err.cls != DIF_TRANSIENT && f->out.err.cls != DIF_THROTTLED) {
		f->out.have = 0; /* what is there may be of another version */
	}
	finish(f);
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
	*f = (struct dif_fetch){.sink = {on_begin, on_write}, .job = *job, .cb = cb, .data = data};
	if (job->tag != NULL && *job->tag == '\0') {
		f->job.tag = NULL;
	}
	f->fd = open(job->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (f->fd == -1 || fstat(f->fd, &st) == -1) {
		dif_error_set(err, DIF_PERMANENT, "could not write '%s': %s", job->path,
		              strerror(errno));
		goto fail;
	}
	if (f->job.tag != NULL && job->resume < job->size && (uint64_t)st.st_size >= job->resume) {
		f->out.have = job->resume;
	}
	f->out.whole = job->whole;
	f->out.have = job->whole ? 0 : f->out.have;
	f->began = dif_steady_ms();
	next(f);
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
	if (f->op != NULL) {
		dif_op_cancel(f->op);
	}
}
