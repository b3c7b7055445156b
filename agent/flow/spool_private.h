/* spool_private - what spool.c, spool_source.c, spool_slice.c and spool_stream.c share. */
#ifndef DIF_FLOW_SPOOL_PRIVATE_H
#define DIF_FLOW_SPOOL_PRIVATE_H

#include "base/list.h"
#include "base/map.h"
#include "flow/ingest.h"
#include "flow/spool.h"

#define STREAM_HALF (256u << 10) /* one half is sent while the pool fills the other */
#define STREAM_TICKET (2u * STREAM_HALF)

struct dif_spool {
	struct dif_engine *engine;
	uint64_t budget, used, peak;
	uint32_t nusers;
	struct dif_link leaving; /* users on their way out */
	struct dif_map buffers;  /* key -> struct buffer: those that may be shared */
	struct dif_link idle;    /* ready, in nobody's hands, oldest first */
	struct dif_link waiting; /* leases without memory, in order */
	struct dif_link granted; /* leases with memory, in order */
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
	struct dif_link link;    /* waiting or granted */
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
