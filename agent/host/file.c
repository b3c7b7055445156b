/* file - the life of a run.
 *
 *   stat, list   one job on the pool
 *   get          open on the pool, then by turns: read a chunk there, give it to the sink here
 *   put          one job writes what lies in memory; a streamed body by turns as above. Then the
 *                run is ready, and a group commit takes all that are (file_commit.c)
 *   remove       ready at once
 *
 * Blocking calls happen on the pool only, streams and sinks are touched on the loop only. A job
 * that runs is never torn down; cancel sets a flag, and the next step back on the loop ends the
 * run.
 */
#include "host/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "host/file_private.h"

#define BODY_MAX (1u << 20)
#define GROUP_MAX 64 /* its open files and folders stay far below the limit of descriptors */

static struct dif_file_run *run_of(struct dif_work *w)
{
	return DIF_ENTRY(w, struct dif_file_run, work);
}

/* --- the end --- */

static void close_stream(struct dif_file_run *run)
{
	if (run->stream != NULL) {
		dif_body_of(run->pieces[run->piece].blob)->ops->close(run->stream);
		run->stream = NULL;
	}
}

static void finish(struct dif_file_run *run)
{
	if (run->canceled) {
		run->err.cls = DIF_OK;
		dif_file_refuse(run, DIF_CANCELED, "canceled");
	}
	close_stream(run);
	if (run->fd != -1) {
		(void)close(run->fd);
	}
	bool good = run->status == 200;
	struct dif_reply r = {
		.size = sizeof r,
		.status = run->status,
		.cls = (uint32_t)run->err.cls,
		.body = {"", 0},
		.sunk = run->call.sink != NULL ? run->sunk : 0,
		.files = good ? run->files : NULL,
		.nfiles = good ? run->nfiles : 0,
		.more = good && run->more,
	};
	if (good && run->body != NULL) {
		r.body = (struct dif_bytes){run->body, run->sunk};
	}
	run->root->nruns--;
	run->cb(run->data, &r, &run->err);
	free(run->body);
	dif_arena_fini(&run->arena);
	free(run->pieces);
	free(run->views);
	free(run->chunk);
	free(run);
}

static void on_ended(struct dif_work *w)
{
	finish(run_of(w));
}

static void job_drop(struct dif_work *w)
{
	dif_file_put_drop(run_of(w));
}

/* From the loop: has the run failed or been canceled? Then it ends, after its temporary file. */
static bool ended(struct dif_file_run *run)
{
	if (run->err.cls == DIF_OK && !run->canceled) {
		return false;
	}
	run->phase = RUN_WORKING;
	dif_engine_work(run->engine, &run->work, job_drop, on_ended);
	return true;
}

/* --- the group commit --- */

static void job_commit(struct dif_work *w)
{
	dif_file_commit(DIF_ENTRY(w, struct dif_file_root, work));
}

static void commit(struct dif_file_root *r);

static void on_committed(struct dif_work *w)
{
	struct dif_file_root *r = DIF_ENTRY(w, struct dif_file_root, work);
	/* The next group first: a callback may be the last that the root is open for. */
	struct dif_link done;
	dif_list_init(&done);
	while (!dif_list_empty(&r->group)) {
		struct dif_link *l = r->group.next;
		dif_list_remove(l);
		dif_list_add(&done, l);
	}
	r->committing = false;
	commit(r);
	while (!dif_list_empty(&done)) {
		struct dif_file_run *run = DIF_ENTRY(done.next, struct dif_file_run, link);
		dif_list_remove(&run->link);
		finish(run);
	}
}

static void commit(struct dif_file_root *r)
{
	if (r->committing || dif_list_empty(&r->ready)) {
		return;
	}
	for (uint32_t n = 0; n < GROUP_MAX && !dif_list_empty(&r->ready); n++) {
		struct dif_file_run *run = DIF_ENTRY(r->ready.next, struct dif_file_run, link);
		dif_list_remove(&run->link);
		dif_list_add(&r->group, &run->link);
		run->phase = RUN_COMMITTING;
	}
	r->committing = true;
	dif_engine_work(r->engine, &r->work, job_commit, on_committed);
}

static void ready(struct dif_file_run *run)
{
	run->phase = RUN_READY;
	run->root->engine = run->engine;
	dif_list_add(&run->root->ready, &run->link);
	commit(run->root);
}

/* --- put --- */

static void job_finish_put(struct dif_work *w)
{
	dif_file_put_finish(run_of(w));
}

static void on_put_finished(struct dif_work *w)
{
	if (!ended(run_of(w))) {
		ready(run_of(w));
	}
}

static void job_put_whole(struct dif_work *w)
{
	struct dif_file_run *run = run_of(w);
	dif_file_put_begin(run);
	if (run->err.cls == DIF_OK) {
		dif_file_put_finish(run);
	}
}

static void job_begin_put(struct dif_work *w)
{
	dif_file_put_begin(run_of(w));
}

static void job_chunk(struct dif_work *w)
{
	dif_file_put_chunk(run_of(w));
}

static void fill(struct dif_file_run *run);

static void on_chunk(struct dif_work *w)
{
	if (!ended(run_of(w))) {
		fill(run_of(w));
	}
}

static void on_ready(void *data)
{
	struct dif_file_run *run = data;
	if (run->phase == RUN_WAITING && !ended(run)) {
		fill(run);
	}
}

static uint64_t length_of(const struct dif_piece *p)
{
	return p->blob != NULL ? p->length : p->bytes.n;
}

/* Bytes of the piece at hand, at most max of them; DIF_BODY_LATER, or DIF_BODY_BROKEN with the
 * error set. */
static int64_t read_piece(struct dif_file_run *run, char *to, size_t max)
{
	const struct dif_piece *p = &run->pieces[run->piece];
	uint64_t left = length_of(p) - run->done;
	size_t n = left < max ? (size_t)left : max;
	if (run->views[run->piece] != NULL) {
		memcpy(to, run->views[run->piece] + run->done, n);
		return (int64_t)n;
	}
	struct dif_body *body = dif_body_of(p->blob);
	if (run->stream == NULL) {
		run->stream = body->ops->open(body, p->offset + run->done, on_ready, run);
	}
	if (run->stream == NULL) {
		dif_file_fail(run, ENOMEM);
		return DIF_BODY_BROKEN;
	}
	int64_t got = body->ops->read(run->stream, to, n);
	if (got == DIF_BODY_END || got == DIF_BODY_BROKEN) {
		dif_file_refuse(run, DIF_INTEGRITY, "the content is no longer what it was");
		return DIF_BODY_BROKEN;
	}
	return got;
}

/* Fills the chunk from the body and has it written; at the end of the body goes on. */
static void fill(struct dif_file_run *run)
{
	run->phase = RUN_WORKING;
	while (run->nchunk < CHUNK && run->piece < run->call.npieces) {
		if (run->done == length_of(&run->pieces[run->piece])) {
			close_stream(run);
			run->piece++;
			run->done = 0;
			continue;
		}
		int64_t n = read_piece(run, run->chunk + run->nchunk, CHUNK - run->nchunk);
		if (n == DIF_BODY_LATER) {
			run->phase = RUN_WAITING;
			return;
		}
		if (n < 0) {
			(void)ended(run);
			return;
		}
		run->nchunk += (size_t)n;
		run->done += (uint64_t)n;
	}
	if (run->nchunk > 0) {
		dif_engine_work(run->engine, &run->work, job_chunk, on_chunk);
	} else {
		dif_engine_work(run->engine, &run->work, job_finish_put, on_put_finished);
	}
}

static void start_put(struct dif_file_run *run)
{
	struct dif_file_root *r = run->root;
	(void)snprintf(run->tmp_name, sizeof run->tmp_name, TMP_PREFIX "%s-%llx", r->token,
	               (unsigned long long)++r->nth);
	if (run->streamed) {
		dif_engine_work(run->engine, &run->work, job_begin_put, on_chunk);
	} else {
		dif_engine_work(run->engine, &run->work, job_put_whole, on_put_finished);
	}
}

/* --- get --- */

static void read_chunk(struct dif_file_run *run)
{
	size_t want = run->left < CHUNK ? (size_t)run->left : CHUNK;
	ssize_t n;
	run->nchunk = 0;
	if (want == 0) {
		return;
	}
	do {
		n = pread(run->fd, run->chunk, want, (off_t)run->at);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		dif_file_fail(run, errno);
	} else if (n == 0) {
		dif_file_refuse(run, DIF_TRANSIENT, "it became shorter while it was read");
	} else {
		run->nchunk = (size_t)n;
		run->at += (uint64_t)n;
		run->left -= (uint64_t)n;
	}
}

static void job_read(struct dif_work *w)
{
	read_chunk(run_of(w));
}

/* Without a sink the content is small, and the reply's body. */
static bool begin_content(struct dif_file_run *run)
{
	if (run->call.sink != NULL) {
		return run->call.sink->begin(run->call.sink, run->call.offset, &run->err);
	}
	uint64_t n = run->left + run->nchunk;
	if (n > BODY_MAX) {
		dif_file_refuse(run, DIF_PERMANENT, "it has %llu bytes, over %u",
		                (unsigned long long)n, BODY_MAX);
		return false;
	}
	run->body = malloc((size_t)n + 1);
	if (run->body == NULL) {
		dif_file_fail(run, ENOMEM);
		return false;
	}
	run->body[n] = '\0';
	return true;
}

static bool put_content(struct dif_file_run *run)
{
	if (run->call.sink != NULL) {
		return run->call.sink->write(run->call.sink, run->chunk, run->nchunk, &run->err);
	}
	memcpy(run->body + run->sunk, run->chunk, run->nchunk);
	return true;
}

static void on_read(struct dif_work *w)
{
	struct dif_file_run *run = run_of(w);
	bool good = run->err.cls == DIF_OK && !run->canceled && run->status == 200;
	if (good && !run->begun) {
		run->begun = true;
		good = begin_content(run);
	}
	if (good && run->nchunk > 0) {
		good = put_content(run);
		run->sunk += good ? run->nchunk : 0;
	}
	if (good && run->left > 0) {
		dif_engine_work(run->engine, &run->work, job_read, on_read);
		return;
	}
	if (!good && run->status == 200) {
		run->status = 0;
	}
	finish(run);
}

/* --- what is there --- */

/* Describes the file of the call; 404 where there is none. */
static bool describe(struct dif_file_run *run, int *keep)
{
	const char *leaf;
	struct dif_file *f = dif_arena_alloc(&run->arena, sizeof *f);
	int folder = dif_file_walk(dif_file_base(run), run->call.path, false, NULL, &leaf);
	if (f == NULL || folder == -1) {
		bool absent = errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
		if (f != NULL && absent) {
			dif_file_answer(run, 404);
		} else {
			dif_file_fail(run, f == NULL ? ENOMEM : errno);
		}
		if (folder != -1) {
			(void)close(folder);
		}
		return false;
	}
	bool there = dif_file_describe(run, folder, leaf, run->call.path, f, keep);
	(void)close(folder);
	if (!there) {
		dif_file_answer(run, 404); /* unless a reason is set already */
		return false;
	}
	if (run->call.if_tag != NULL && strcmp(run->call.if_tag, f->tag) != 0) {
		dif_file_answer(run, 412);
		return false;
	}
	run->files = f;
	run->nfiles = 1;
	run->status = 200;
	return true;
}

static void job_stat(struct dif_work *w)
{
	(void)describe(run_of(w), NULL);
}

static void job_get(struct dif_work *w)
{
	struct dif_file_run *run = run_of(w);
	if (!describe(run, &run->fd)) {
		return;
	}
	uint64_t size = run->files->size, offset = run->call.offset;
	if (offset > size) {
		dif_file_refuse(run, DIF_PERMANENT, "it has no byte %llu",
		                (unsigned long long)offset);
		run->status = run->err.status = 416;
		return;
	}
	uint64_t rest = size - offset;
	run->at = offset;
	run->left = run->call.length != 0 && run->call.length < rest ? run->call.length : rest;
	read_chunk(run);
}

static void job_list(struct dif_work *w)
{
	dif_file_list(run_of(w));
}

static void job_nothing(struct dif_work *w)
{
	(void)w;
}

/* --- start --- */

static bool copy_call(struct dif_file_run *run, const struct dif_file_call *call)
{
	struct dif_arena *a = &run->arena;
	struct dif_file_call *c = &run->call;
	*c = *call;
	c->path = dif_arena_str(a, call->path);
	c->if_tag = dif_arena_str(a, call->if_tag);
	c->prefix = dif_arena_str(a, call->prefix);
	c->after = dif_arena_str(a, call->after);
	struct dif_field *meta = dif_arena_alloc(a, (call->nmeta + 1) * sizeof *meta);
	for (uint32_t i = 0; meta != NULL && i < call->nmeta; i++) {
		meta[i].name = dif_arena_str(a, call->meta[i].name);
		meta[i].value = dif_arena_str(a, call->meta[i].value);
	}
	c->meta = meta;
	bool put = call->verb == DIF_FILE_PUT;
	if (put && call->npieces > 0) {
		run->pieces = malloc(call->npieces * sizeof *run->pieces);
		run->views = calloc(call->npieces, sizeof *run->views);
	}
	if (put && call->npieces > 0 && run->pieces != NULL) {
		memcpy(run->pieces, call->body, call->npieces * sizeof *run->pieces);
	}
	c->body = run->pieces;
	return !a->failed && (!put || call->npieces == 0 || (run->pieces && run->views));
}

/* Where the body lies. Loop thread. */
static bool find_views(struct dif_file_run *run)
{
	for (uint32_t i = 0; i < run->call.npieces; i++) {
		const struct dif_piece *p = &run->pieces[i];
		if (p->blob == NULL) {
			run->views[i] = p->bytes.n > 0 ? p->bytes.p : "";
			continue;
		}
		struct dif_body *body = dif_body_of(p->blob);
		if (p->offset > body->size || p->length > body->size - p->offset) {
			dif_file_refuse(run, DIF_PERMANENT, "the body is not inside its content");
			return false;
		}
		const char *view = body->ops->view(body);
		run->views[i] = view != NULL ? view + p->offset : NULL;
		run->streamed = run->streamed || view == NULL;
	}
	return true;
}

static bool check(struct dif_file_run *run, const struct dif_file_call *call)
{
	bool writes = call->verb == DIF_FILE_PUT || call->verb == DIF_FILE_REMOVE;
	if (call->verb > DIF_FILE_LIST) {
		run->call.verb = DIF_FILE_STAT;
		dif_file_refuse(run, DIF_PERMANENT, "there is no such file call");
		return false;
	}
	if (!copy_call(run, call)) {
		dif_file_fail(run, ENOMEM);
		return false;
	}
	if (call->verb != DIF_FILE_LIST && !dif_file_path_good(call->path)) {
		dif_file_refuse(run, DIF_PERMANENT, "it is no path below the root");
		return false;
	}
	bool in_side = call->verb != DIF_FILE_LIST && dif_file_path_in_side(call->path);
	if (writes && run->root->no_side.cls != DIF_OK) {
		run->err = run->root->no_side;
		return false;
	}
	if (in_side && run->root->side == -1) {
		dif_file_answer(run, 404); /* nothing was ever written there */
		return false;
	}
	if (!dif_file_meta_good(call->meta, call->nmeta)) {
		dif_file_refuse(run, DIF_PERMANENT, "its metadata have a name that cannot be kept");
		return false;
	}
	return call->verb != DIF_FILE_PUT || find_views(run);
}

static void begin(struct dif_file_run *run)
{
	switch (run->call.verb) {
	case DIF_FILE_STAT:
		dif_engine_work(run->engine, &run->work, job_stat, on_ended);
		return;
	case DIF_FILE_GET:
		dif_engine_work(run->engine, &run->work, job_get, on_read);
		return;
	case DIF_FILE_LIST:
		dif_engine_work(run->engine, &run->work, job_list, on_ended);
		return;
	case DIF_FILE_PUT:
		start_put(run);
		return;
	default:
		ready(run);
	}
}

/* As in host/http: a caller that gets no run would wait for ever. */
struct dif_file_run *
dif_file_start(struct dif_engine *e, struct dif_file_root *root, const struct dif_file_call *call,
               void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err),
               void *data)
{
	struct dif_file_run *run = calloc(1, sizeof *run);
	assert(run != NULL);
	run->engine = e;
	run->root = root;
	run->cb = cb;
	run->data = data;
	run->fd = -1;
	run->err.retry_after = -1;
	dif_list_init(&run->link);
	dif_arena_init(&run->arena, ARENA_MAX, false);
	root->nruns++;
	bool good = check(run, call);
	if (good && (call->verb == DIF_FILE_GET || run->streamed)) {
		run->chunk = malloc(CHUNK);
		if (run->chunk == NULL) {
			dif_file_fail(run, ENOMEM);
			good = false;
		}
	}
	if (good) {
		begin(run);
	} else {
		dif_engine_work(e, &run->work, job_nothing, on_ended);
	}
	return run;
}

void dif_file_cancel(struct dif_file_run *run)
{
	run->canceled = true;
	if (run->phase == RUN_WAITING) {
		(void)ended(run);
	} else if (run->phase == RUN_READY) {
		dif_list_remove(&run->link);
		(void)ended(run);
	}
}
