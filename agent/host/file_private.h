/* file_private - what the files of host/file share. Nobody else includes this.
 *
 *   file.c         the life of a run, the loop's side of reading and writing
 *   file_root.c    a root: its folders, locks, what a killed run left
 *   file_path.c    paths, walking without links, tags, failures as errors
 *   file_meta.c    metadata: extended attributes, or files in side/meta
 *   file_commit.c  writing aside, and the group commit
 *   file_list.c    one page of names in byte order
 */
#ifndef DIF_HOST_FILE_PRIVATE_H
#define DIF_HOST_FILE_PRIVATE_H

#include <sys/stat.h>

#include "base/arena.h"
#include "base/list.h"
#include "host/file.h"

#define PATH_BYTES_MAX 4096 /* PATH_MAX of Linux; S3 keys end at 1,024 */
#define DEPTH_MAX 64
#define CHUNK (256 * 1024)          /* read or written at once */
#define ARENA_MAX (64 << 20)        /* a page of names, metadata and the folder they come from */
#define META_PREFIX "user.difusor." /* of extended attributes */
#define META_MAX 64                 /* attributes of one file */
#define META_BYTES_MAX (64 * 1024)  /* Linux's own bound on one value, and on the list of names */
#define TMP_PREFIX ".difusor-tmp-"
#define SIDE_PART ".difusor" /* a path with this component lies in side */
#define TAG_MAX 64

struct dif_file_root {
	const char *path, *side_path; /* for sentences */
	int root, side;               /* folders; side is -1 where it cannot be had */
	int tmp, side_tmp;        /* where temporary files lie, for files of the root and of side */
	int meta;                 /* side/meta; -1: both have extended attributes */
	bool aside, side_aside;   /* metadata lie in side/meta, for files of the root and of side */
	int lock;                 /* side/.lock: one commit at a time, of all processes */
	int open;                 /* side/.open: held shared while the root is open */
	struct dif_error no_side; /* why nothing can be written */
	struct stat side_stat;
	uint32_t nruns;
	char token[20]; /* in temporary names: other agents have others */
	uint64_t nth;

	/* The group commit; loop thread. */
	struct dif_work work;
	struct dif_engine *engine;
	struct dif_link ready, group;
	bool committing;
};

enum run_phase {
	RUN_WORKING,   /* on the pool */
	RUN_WAITING,   /* for a body's stream */
	RUN_READY,     /* for its group */
	RUN_COMMITTING /* with its group; too late to cancel */
};

struct dif_file_run {
	struct dif_work work;
	struct dif_link link; /* in the root's ready or group */
	struct dif_engine *engine;
	struct dif_file_root *root;
	struct dif_file_call call; /* with copies of all but content */
	struct dif_arena arena;
	void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err);
	void *data;
	enum run_phase phase;
	bool canceled;

	/* put */
	struct dif_piece *pieces;
	const char **views; /* of each piece; NULL: it is streamed */
	bool streamed;
	uint32_t piece;
	uint64_t done; /* bytes of that piece */
	struct dif_body_stream *stream;
	int fd; /* the temporary file, or what get reads */
	char tmp_name[64];
	struct stat st;

	/* get */
	uint64_t at, left, sunk;
	bool begun;
	char *body; /* NULL: there is a sink */

	char *chunk;
	size_t nchunk;

	/* the outcome */
	struct dif_error err;
	int status;
	struct dif_file *files;
	uint32_t nfiles;
	bool more;
};

/* Folders to sync once a group has been renamed. */
struct touched {
	struct {
		dev_t dev;
		ino_t ino;
		int fd;
	} * v;
	size_t n, cap;
};

/* file_path.c */
bool dif_file_path_good(const char *path);
bool dif_file_path_in_side(const char *path);
/* The folder that holds path, and its last part in *leaf. create: makes what is missing and notes
 * it in touched. -1: errno. */
int dif_file_walk(int base, const char *path, bool create, struct touched *touched,
                  const char **leaf);
bool dif_file_touch(struct touched *t, int folder); /* takes a copy of the descriptor */
void dif_file_tag(char to[TAG_MAX], const struct stat *st);
/* The run has failed by errno. */
void dif_file_fail(struct dif_file_run *run, int error);
/* The run has failed; the sentence follows "could not VERB 'PATH': ". */
void dif_file_refuse(struct dif_file_run *run, enum dif_class cls, const char *fmt, ...)
	DIF_PRINTF(3, 4);
/* An answer in HTTP's words: 404 or 412. */
void dif_file_answer(struct dif_file_run *run, int status);
int dif_file_base(const struct dif_file_run *run); /* root or side, by the run's path */
int dif_file_tmp(const struct dif_file_run *run);  /* on the same file system */

/* file_meta.c */
bool dif_file_meta_good(const struct dif_field *meta, uint32_t n);
/* Before the rename. False: errno. */
bool dif_file_meta_write(struct dif_file_root *r, int fd, const char *path, const char *tag,
                         const struct dif_field *meta, uint32_t n);
/* Into the arena; what cannot be read is left out. fd -1: nothing is known. */
void dif_file_meta_read(struct dif_file_root *r, int fd, const char *path, const char *tag,
                        struct dif_arena *a, struct dif_field **meta, uint32_t *n);
/* After a file with this tag is gone. */
void dif_file_meta_drop(struct dif_file_root *r, const char *path, const char *tag);
/* Removes what belongs to no file any more. */
void dif_file_meta_clean(struct dif_file_root *r);
bool dif_file_has_attributes(int fd);

/* file_commit.c; pool, except where it says loop */
void dif_file_put_begin(struct dif_file_run *run); /* early answer, temporary file */
void dif_file_put_chunk(struct dif_file_run *run);
void dif_file_put_finish(struct dif_file_run *run); /* metadata, time, write-out begun */
void dif_file_put_drop(struct dif_file_run *run);   /* removes the temporary file, if any */
void dif_file_commit(struct dif_file_root *r);      /* the group */

/* file_list.c; pool */
/* What the file call answers about one file. False: it is not there, no regular file, or the
 * run has failed. keep: its descriptor, or NULL. */
bool dif_file_describe(struct dif_file_run *run, int folder, const char *leaf, const char *path,
                       struct dif_file *to, int *keep);
void dif_file_list(struct dif_file_run *run);

#endif
