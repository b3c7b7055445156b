/* zip - writes a ZIP archive front to back.
 *
 * Sizes and checksums are known before an entry is written, so no data descriptors, and no way back
 * is needed: the output may be a pipe. What would need ZIP64 is refused. The bytes depend on the
 * entries and on the version of libdeflate alone.
 */
#include "rehearsal/zip.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/utf8.h"

#define LEVEL 6                  /* what most packers use */
#define SIZE_MAX_ZIP 0xfffffffeu /* 0xffffffff says: look into the ZIP64 record */
#define ENTRIES_MAX 0xfffeu
#define DIRECTORY_MAX ((size_t)64 << 20)
#define NAME_MAX_ZIP 0xffffu

#define LOCAL_SIZE 30u
#define CENTRAL_SIZE 46u
#define END_SIZE 22u

/* 1 June 2026 08:00: day 1, month 6, 46 years after 1980; 8 hours */
#define TIME_FIXED ((uint32_t)(46 << 9 | 6 << 5 | 1) << 16 | 8u << 11)

struct dif_zip {
	int fd;              /* -1: to out */
	struct dif_buf *out; /* the caller's */
	struct dif_buf directory;
	uint64_t at;
	uint32_t entries;
	struct libdeflate_compressor *packer;
	void *packed;
	size_t packed_cap;
};

struct entry {
	const char *name;
	uint32_t name_size, flags, method, time, crc;
	uint64_t packed, size, offset;
};

static void put16(uint8_t **to, uint32_t v)
{
	(*to)[0] = (uint8_t)v;
	(*to)[1] = (uint8_t)(v >> 8);
	*to += 2;
}

static void put32(uint8_t **to, uint64_t v)
{
	put16(to, (uint32_t)v & 0xffff);
	put16(to, (uint32_t)(v >> 16) & 0xffff);
}

/* What local and central header share, from the version needed on. */
static void put_common(uint8_t **to, const struct entry *e)
{
	put16(to, 20);
	put16(to, e->flags);
	put16(to, e->method);
	put32(to, e->time);
	put32(to, e->crc);
	put32(to, e->packed);
	put32(to, e->size);
	put16(to, e->name_size);
	put16(to, 0); /* no extra field */
}

static struct dif_zip *make(int fd, struct dif_buf *out, struct dif_error *err)
{
	struct dif_zip *z = calloc(1, sizeof *z);
	if (z == NULL) {
		goto fail;
	}
	z->fd = fd;
	z->out = out;
	dif_buf_init(&z->directory, DIRECTORY_MAX);
	z->packer = libdeflate_alloc_compressor(LEVEL);
	if (z->packer == NULL) {
		goto fail_alloc;
	}
	return z;

fail_alloc:
	free(z);
fail:
	dif_error_set(err, DIF_TRANSIENT, "could not begin archive: out of memory");
	return NULL;
}

struct dif_zip *dif_zip_new(int fd, struct dif_error *err)
{
	return make(fd, NULL, err);
}

struct dif_zip *dif_zip_to_buf(struct dif_buf *out, struct dif_error *err)
{
	return make(-1, out, err);
}

void dif_zip_free(struct dif_zip *z)
{
	if (z == NULL) {
		return;
	}
	libdeflate_free_compressor(z->packer);
	dif_buf_fini(&z->directory);
	free(z->packed);
	free(z);
}

static bool write_parts(struct dif_zip *z, struct iovec *v, int n, struct dif_error *err)
{
	for (int i = 0; i < n; i++) {
		z->at += v[i].iov_len;
		if (z->out != NULL && !dif_buf_add(z->out, v[i].iov_base, v[i].iov_len)) {
			dif_error_set(err, DIF_PERMANENT,
			              "could not write archive: no memory, or over its bound");
			return false;
		}
	}
	while (z->out == NULL && n > 0) {
		ssize_t done = writev(z->fd, v, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			dif_error_set(err, DIF_TRANSIENT, "could not write archive: %s",
			              strerror(errno));
			return false;
		}
		size_t left = (size_t)done;
		while (n > 0 && left >= v->iov_len) {
			left -= v->iov_len;
			v++;
			n--;
		}
		if (n > 0) {
			v->iov_base = (char *)v->iov_base + left;
			v->iov_len -= left;
		}
	}
	return true;
}

/* Deflates into z->packed. Returns the length, 0 where stored is no longer. SIZE_MAX: no memory. */
static size_t pack(struct dif_zip *z, const void *p, size_t n)
{
	if (z->packed_cap < n) {
		void *room = malloc(n);
		if (room == NULL) {
			return SIZE_MAX;
		}
		free(z->packed);
		z->packed = room;
		z->packed_cap = n;
	}
	/* Room for less than n: what does not shrink does not fit, and is stored. */
	return n > 1 ? libdeflate_deflate_compress(z->packer, p, n, z->packed, n - 1) : 0;
}

static bool is_plain(const char *name)
{
	for (; *name != '\0'; name++) {
		if ((unsigned char)*name >= 0x80) {
			return false;
		}
	}
	return true;
}

static bool fits(const struct dif_zip *z, const char *name, size_t n, struct dif_error *err)
{
	size_t length = strlen(name);
	const char *why = NULL;
	if (length == 0 || length > NAME_MAX_ZIP) {
		why = "bad length of the name";
	} else if (!dif_utf8_valid(name, length)) {
		why = "the name is no UTF-8";
	} else if (z->entries >= ENTRIES_MAX) {
		why = "more entries than a ZIP without ZIP64 can have";
	} else if (n > SIZE_MAX_ZIP || z->at + LOCAL_SIZE + length + n > SIZE_MAX_ZIP) {
		why = "larger than a ZIP without ZIP64 can be";
	}
	if (why != NULL) {
		dif_error_set(err, DIF_PERMANENT, "could not add entry '%s': %s", name, why);
	}
	return why == NULL;
}

static bool add_to_directory(struct dif_zip *z, const struct entry *e)
{
	uint8_t head[CENTRAL_SIZE], *to = head;
	put32(&to, 0x02014b50);
	put16(&to, 3 << 8 | 20); /* made on Unix, so that the mode below counts */
	put_common(&to, e);
	put16(&to, 0);              /* comment */
	put16(&to, 0);              /* disk */
	put16(&to, 0);              /* internal attributes */
	put32(&to, 0100644u << 16); /* a regular file for everybody to read */
	put32(&to, e->offset);
	return dif_buf_add(&z->directory, head, sizeof head) &&
	       dif_buf_add(&z->directory, e->name, e->name_size);
}

bool dif_zip_add(struct dif_zip *z, const char *name, const void *p, size_t n, bool deflate,
                 uint32_t dos_time, struct dif_error *err)
{
	if (!fits(z, name, n, err)) {
		return false;
	}
	size_t packed = deflate ? pack(z, p, n) : 0;
	struct entry e = {
		.name = name,
		.name_size = (uint32_t)strlen(name),
		.flags = is_plain(name) ? 0 : 1u << 11, /* the name is UTF-8 */
		.method = packed > 0 ? 8 : 0,
		.time = dos_time != 0 ? dos_time : TIME_FIXED,
		.crc = libdeflate_crc32(0, p, n),
		.packed = packed > 0 ? packed : n,
		.size = n,
		.offset = z->at,
	};
	if (packed == SIZE_MAX || !add_to_directory(z, &e)) {
		dif_error_set(err, DIF_TRANSIENT, "could not add entry '%s': out of memory", name);
		return false;
	}
	uint8_t head[LOCAL_SIZE], *to = head;
	put32(&to, 0x04034b50);
	put_common(&to, &e);
	struct iovec v[] = {
		{head, sizeof head},
		{(void *)(uintptr_t)name, e.name_size},
		{packed > 0 ? z->packed : (void *)(uintptr_t)p, (size_t)e.packed},
	};
	if (!write_parts(z, v, (int)DIF_LEN(v), err)) {
		dif_error_wrap(err, "could not add entry '%s'", name);
		return false;
	}
	z->entries++;
	return true;
}

bool dif_zip_end(struct dif_zip *z, struct dif_error *err)
{
	if (z->at + z->directory.n > SIZE_MAX_ZIP) {
		dif_error_set(err, DIF_PERMANENT,
		              "could not end archive: larger than a ZIP without ZIP64 can be");
		return false;
	}
	uint8_t end[END_SIZE], *to = end;
	put32(&to, 0x06054b50);
	put16(&to, 0); /* this disk, and the one of the directory */
	put16(&to, 0);
	put16(&to, z->entries);
	put16(&to, z->entries);
	put32(&to, z->directory.n);
	put32(&to, z->at);
	put16(&to, 0); /* comment */
	struct iovec v[] = {
		{z->directory.p, z->directory.n},
		{end, sizeof end},
	};
	return write_parts(z, v, (int)DIF_LEN(v), err);
}
