/* spool_private - what the files of the spool share.
 *
 *   spool.c         tickets, shared buffers, who waits for what
 *   spool_fill.c    buffers filled on the pool, several at a time
 *   spool_slice.c   a large member in slices
 *   spool_stream.c  a large member through a window
 *   spool_source.c  a member in a form, read in order
 */
#ifndef DIF_FLOW_SPOOL_PRIVATE_H
#define DIF_FLOW_SPOOL_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "flow/ingest.h"
#include "flow/spool.h"
#include "host/crypto.h"

#define STREAM_HALF (256u << 10) /* one half is sent while the pool fills the other */
#define STREAM_TICKET (2u * STREAM_HALF)

/* Of the budget, what may lie in nobody's hands until the next destination comes by. */
#define IDLE_PART 16
#define FILLERS_MAX 8

enum filling { FILLING, FILLED, BROKEN };

/* The bytes of a member in a form, or of a slice of it. */
struct buffer {
	struct dif_link link;  /* idle */
	struct dif_link queue; /* to be filled */
	char key[112];         /* package, offset, form */
	struct dif_spool *spool;
	struct dif_body_bytes bytes;
	uint8_t *p;
	uint64_t size;
	enum filling filling;
	bool is_idle, is_slice;
	struct dif_link leases;
	uint32_t nleases, taken;       /* now; so far */
	struct dif_spool_user *worker; /* on whose behalf the pool reads */
	const struct dif_package *package;
	const struct dif_member *member;
	enum dif_form_id form;
	struct dif_slices *slices; /* while the pool reads; NULL: a whole member */
	uint8_t digest[DIF_DIGEST_MAX];
	struct dif_error err;
};

/* One job of the pool. */
struct filler {
	struct dif_work work;
	struct dif_spool *spool;
	struct dif_inflate_kit *kit;
	struct dif_link batch;
	bool is_busy;
};

struct dif_spool {
	struct dif_engine *engine;
	uint64_t budget, used, idled, peak; /* idled: of the used ones, in nobody's hands */
	uint32_t nusers;
	struct dif_link leaving;  /* users on their way out */
	struct dif_map buffers;   /* key -> struct buffer: those that may be shared */
	struct dif_link unfilled; /* buffers that no filler has yet, in order */
	struct dif_link idle;     /* ready, in nobody's hands, oldest first */
	struct dif_link waiting;  /* leases without memory, in order */
	struct dif_link granted;  /* leases with memory and not told yet, in order */
	struct dif_link told;     /* leases that are used, in order */
	struct filler fillers[FILLERS_MAX];
	uint32_t nfillers;
	uv_timer_t soon, tick;
	uint32_t handles;
	bool closing;
};

struct dif_spool_user {
	struct dif_link link;
	struct dif_spool *spool;
	uint64_t held, asked; /* bytes of granted leases; of those, asked back */
	uint64_t sliced;      /* of those held, in slices */
	uint32_t leases, working;
	void (*left)(void *data);
	void *data;
};

struct dif_lease {
	struct dif_link link;    /* waiting, granted or told */
	struct dif_link sharing; /* in the buffer's leases */
	struct dif_spool_user *user;
	const struct dif_package *package;
	const struct dif_member *member;
	enum dif_form_id form;
	const struct dif_lease_events *events;
	void *data;
	struct dif_slices *slices; /* NULL: a whole member */
	struct buffer *buffer;     /* NULL: a stream, or not granted */
	struct dif_body stream;    /* where the member is too large for a buffer */
	uint64_t ticket;
	int64_t since;
	bool granted, told, asked;
};

extern const struct dif_body_ops dif_spool_stream_ops;
void dif_spool_worked(struct dif_spool_user *u); /* one pool job less */
void dif_spool_filled(struct buffer *b);         /* FILLED or BROKEN; on the loop */

/* spool_fill.c */
bool dif_spool_fillers_new(struct dif_spool *s); /* false: out of memory */
void dif_spool_fillers_free(struct dif_spool *s);
void dif_spool_fill(struct dif_spool *s); /* gives what is unfilled to idle fillers */
/* The entry's own deflate bytes from `from` on; false: err. Any thread. */
bool dif_spool_pread(const struct dif_package *p, uint64_t offset, void *to, size_t n,
                     struct dif_error *err);

/* spool_source.c: a member in a form, read in order; one thread at a time. */
struct dif_spool_source {
	const struct dif_package *package;
	const struct dif_member *member;
	enum dif_form_id form;
	struct dif_inflater *inflater; /* identity; NULL: not begun */
	uint64_t at;                   /* gzip: the next byte */
	struct dif_error err;
};
int64_t dif_spool_source_read(struct dif_spool_source *s, uint8_t *to, size_t max); /* 0: the end;
                                                                                      -1: err */
void dif_spool_source_fini(struct dif_spool_source *s);

/* spool_slice.c: by reference, because the pool may still read. */
struct dif_slices *dif_slices_ref(struct dif_slices *s);
void dif_slices_told(struct dif_slices *s); /* the one that was asked for is ready */
/* The next n bytes and their digest, on the pool. False: err. */
bool dif_slices_fill(struct dif_slices *s, uint8_t *to, size_t n, uint8_t *digest,
                     struct dif_error *err);
uint32_t dif_slices_digest(const struct dif_slices *s);
/* spool.c: a lease that waits for its memory. */
struct dif_lease *dif_spool_queue(const struct dif_lease *of);

#endif
