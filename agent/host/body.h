/* body - what the host knows of content: how to get at the bytes of a blob. The flow implements it
 * (flow/spool).
 *
 * A dif_blob's `host` member holds a `struct dif_body *`. While an op runs, the body it was given
 * stays.
 */
#ifndef DIF_HOST_BODY_H
#define DIF_HOST_BODY_H

#include "base/buf.h"
#include "base/err.h"

struct dif_body;
struct dif_body_stream;

/* What read returns besides a count. */
enum { DIF_BODY_END = 0, DIF_BODY_LATER = -1, DIF_BODY_BROKEN = -2 };

struct dif_body_ops {
	/* The whole content if it is in memory, else NULL. Valid as long as the body is. */
	const void *(*view)(struct dif_body *);
	/* Reads in order from offset on. read gives 1..max bytes, END, LATER (then ready is called
	 * once, on the loop, never from inside read), or BROKEN (the content is not what it was: an
	 * INTEGRITY failure). Loop thread only. */
	struct dif_body_stream *(*open)(struct dif_body *, uint64_t offset,
	                                void (*ready)(void *data), void *data);
	int64_t (*read)(struct dif_body_stream *, void *to, size_t max);
	void (*close)(struct dif_body_stream *); /* no ready after this */
};

struct dif_body {
	const struct dif_body_ops *ops;
	uint64_t size;
};

static inline struct dif_body *dif_body_of(const struct dif_blob *b)
{
	return (struct dif_body *)(uintptr_t)b->host;
}

/* Bytes in memory as a body; the bytes stay the caller's and must outlive it. */
struct dif_body_bytes {
	struct dif_body body;
	const void *p;
};
void dif_body_bytes_init(struct dif_body_bytes *b, const void *p, uint64_t n);

/* A sink: where the bytes of a get go. begin is called once per attempt before the first byte (also
 * for an empty object); write in order, on the loop. Either may return false, which fails the op as
 * PERMANENT with the sentence in err. */
struct dif_sink {
	bool (*begin)(struct dif_sink *, uint64_t offset, struct dif_error *err);
	bool (*write)(struct dif_sink *, const void *p, size_t n, struct dif_error *err);
};

/* Collects into memory. */
struct dif_sink_buf {
	struct dif_sink sink;
	struct dif_buf *buf; /* the caller's; emptied by begin, bounded by its own max */
};
void dif_sink_buf_init(struct dif_sink_buf *s, struct dif_buf *buf);

#endif
