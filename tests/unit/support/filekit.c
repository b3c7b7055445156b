#include "unit/support/filekit.h"

#include <ftw.h>
#include <sys/stat.h>

void file_on_answer(void *data, const struct dif_reply *r, const struct dif_error *err)
{
	struct answer *a = data;
	size_t n = 0;
	a->calls++;
	a->status = r->status;
	a->cls = err->cls;
	assert_int_equal(r->cls, err->cls);
	assert_int_equal(err->cls == DIF_OK, r->status == 200);
	snprintf(a->text, sizeof a->text, "%s", err->text);
	a->nfiles = r->nfiles;
	a->more = r->more;
	a->sunk = r->sunk;
	a->names[0] = a->meta[0] = a->tag[0] = '\0';
	for (uint32_t i = 0; i < r->nfiles; i++) {
		n += (size_t)snprintf(a->names + n, sizeof a->names - n, "%s ", r->files[i].path);
	}
	if (r->nfiles > 0) {
		const struct dif_file *f = &r->files[r->nfiles - 1];
		snprintf(a->tag, sizeof a->tag, "%s", f->tag);
		a->size = f->size;
		a->modified = f->modified;
		n = 0;
		for (uint32_t i = 0; i < f->nmeta; i++) {
			n += (size_t)snprintf(a->meta + n, sizeof a->meta - n, "%s=%s ",
			                      f->meta[i].name, f->meta[i].value);
		}
	}
}

void file_open_at(struct world *w, const char *at, const char *side)
{
	struct dif_error err = {0};
	*w = (struct world){.engine = dif_engine_new(NULL), .at = at, .side = side};
	w->root = dif_file_root_open(at, side, &err);
	if (w->root == NULL) {
		fail_msg("%s", err.text);
	}
}

void file_open(struct world *w)
{
	static int n;
	char name[32], side[32];
	snprintf(name, sizeof name, "root%d", ++n);
	snprintf(side, sizeof side, "root%d.difusor", n);
	file_open_at(w, test_path(name), test_path(side));
}

void file_close(struct world *w)
{
	dif_engine_run(w->engine);
	dif_file_root_close(w->root);
	dif_engine_free(w->engine);
}

struct answer file_ask(struct world *w, struct dif_file_call call)
{
	static struct answer a;
	a = (struct answer){0};
	dif_file_start(w->engine, w->root, &call, file_on_answer, &a);
	assert_int_equal(a.calls, 0); /* never before start returns */
	while (a.calls == 0) {
		uv_run(&w->engine->loop, UV_RUN_ONCE);
	}
	assert_int_equal(a.calls, 1);
	return a;
}

struct answer file_put(struct world *w, const char *path, const char *text, const char *if_tag,
                       bool if_absent)
{
	static const struct dif_field meta[] = {{"order", "7"}, {"sha256", "abc"}};
	struct dif_piece piece = {.bytes = {text, strlen(text)}};
	return file_ask(w, (struct dif_file_call){.verb = DIF_FILE_PUT,
	                                          .path = path,
	                                          .body = &piece,
	                                          .npieces = 1,
	                                          .meta = meta,
	                                          .nmeta = 2,
	                                          .if_tag = if_tag,
	                                          .if_absent = if_absent});
}

struct answer file_stat(struct world *w, const char *path)
{
	return file_ask(w, (struct dif_file_call){.verb = DIF_FILE_STAT, .path = path});
}

struct answer file_remove(struct world *w, const char *path, const char *if_tag)
{
	return file_ask(
		w, (struct dif_file_call){.verb = DIF_FILE_REMOVE, .path = path, .if_tag = if_tag});
}

struct answer file_list(struct world *w, const char *prefix, const char *after, uint32_t max)
{
	return file_ask(w, (struct dif_file_call){.verb = DIF_FILE_LIST,
	                                          .path = "",
	                                          .prefix = prefix,
	                                          .after = after,
	                                          .max = max});
}

const char *file_get(struct world *w, const char *path, uint64_t offset, uint64_t length)
{
	static struct dif_buf buf;
	struct dif_sink_buf sink;
	dif_buf_fini(&buf);
	dif_buf_init(&buf, 16 << 20);
	dif_sink_buf_init(&sink, &buf);
	struct answer a = file_ask(w, (struct dif_file_call){.verb = DIF_FILE_GET,
	                                                     .path = path,
	                                                     .sink = &sink.sink,
	                                                     .offset = offset,
	                                                     .length = length});
	assert_int_equal(a.sunk, buf.n);
	return a.status == 200 ? dif_buf_str(&buf) : NULL;
}

const char *file_in(const char *folder, const char *name)
{
	static char path[8][4096];
	static unsigned n;
	char *to = path[n++ % 8];
	snprintf(to, 4096, "%s/%s", folder, name);
	return to;
}

bool file_exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static unsigned left_over;

static int count(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)at;
	left_over += type == FTW_F && strstr(path, ".difusor-tmp-") != NULL;
	return 0;
}

unsigned file_temporaries(const struct world *w)
{
	left_over = 0;
	nftw(w->at, count, 16, FTW_PHYS);
	nftw(w->side, count, 16, FTW_PHYS);
	return left_over;
}
