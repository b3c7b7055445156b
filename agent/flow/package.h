/* package - the ZIP as received, judged as hostile input before anything believes it.
 *
 * Our own strict walk claims every byte exactly once; then libzip, opened without its own
 * consistency check, must list the same. The only door to libzip. What is refused and what is
 * deliberately accepted: docs/notes/package.md.
 */
#ifndef DIF_FLOW_PACKAGE_H
#define DIF_FLOW_PACKAGE_H

#include "base/arena.h"
#include "base/err.h"

struct dif_limits {
	int64_t package, entries, entry, total; /* bytes, count, bytes, bytes */
	int64_t name, component, segments;      /* bytes, bytes, count */
};
extern const struct dif_limits
	dif_limits_default; /* 512 MiB, 100,000, 512 MiB, 2 GiB, 900, 255, 64 */

/* One file of a package; folders are not listed. */
struct dif_entry {
	const char *name; /* as published: UTF-8 */
	uint64_t offset;  /* of its data in the file */
	uint64_t packed, size;
	uint32_t crc;
	uint32_t method; /* 0 stored, 8 deflate */
};

struct dif_package {
	int fd; /* the verified file; read by pread from any thread */
	char sha256[65];
	uint64_t bytes;
	struct dif_entry *entries; /* in the order of the data in the file */
	uint32_t n;
	uint64_t total; /* bytes unpacked */
	bool rehearsal; /* SIMULACRO.json at its root */
	struct dif_arena arena;
	const char *const *warnings; /* NULL-terminated; never NULL */
};

/* Synchronous, any thread: reads the whole file once (SHA-256) and walks it. Limits NULL: the
 * defaults. Refusals carry exit 6. */
struct dif_package *dif_package_open(const char *path, const struct dif_limits *limits,
                                     struct dif_error *err);
void dif_package_close(struct dif_package *p); /* accepts NULL */
const struct dif_entry *dif_package_find(const struct dif_package *p,
                                         const char *name); /* linear; NULL: not there */

/* Side-car digests: "HEX  NAME" as sha256sum writes them, or HEX alone. False with exit 5 where it
 * differs or is malformed, exit 1 where it cannot be read. */
bool dif_package_check_digest(const struct dif_package *p, const char *sidecar_path,
                              struct dif_error *err);

#endif
