/* verdict - what becomes of an archive: refused with a sentence, or every entry read back. */
#ifndef DIF_TESTS_VERDICT_H
#define DIF_TESTS_VERDICT_H

#include "evil.h"
#include "flow/ingest.h"
#include "flow/package.h"

/* Opens the package and inflates every entry in both ways. read may be NULL; it gets each entry.
 * True: accepted; false: err says why not. */
bool verdict_file(const char *path, const struct dif_limits *limits,
                  void (*read)(void *data, const struct dif_entry *e, const uint8_t *p), void *data,
                  struct dif_error *err);
/* The same with bytes, through one file in the test's folder. */
bool verdict_bytes(const void *p, size_t n, const struct dif_limits *limits,
                   void (*read)(void *data, const struct dif_entry *e, const uint8_t *p),
                   void *data, struct dif_error *err);
struct dif_member verdict_member(const struct dif_entry *e);

/* --- short ways to write evil archives, and what was read back --- */

#define PAGE "<!doctype html><html><head><base href=\"/publicacion/\"></head><body></body></html>"
#define TEXT                                                                                     \
	"{\"totalActas\":170182,\"actasContabilizadas\":{\"total\":0,\"porcentaje\":0},\"a\":1," \
	"\"b\":\"seccion seccion seccion seccion seccion seccion seccion seccion\"}"
#define TEXT_N (sizeof(TEXT) - 1)

#define FILES(...)                                        \
	.files = (const struct evil_file[]){__VA_ARGS__}, \
	.nfiles = sizeof((const struct evil_file[]){__VA_ARGS__}) / sizeof(struct evil_file)
#define INDEX                                                                   \
	{                                                                       \
		.name = EVIL("index.html"), .data = EVIL(PAGE), .deflate = true \
	}
#define A(...)                                                          \
	{                                                               \
		.name = EVIL("a.json"), .data = EVIL(TEXT), __VA_ARGS__ \
	}
#define Z(...)                                                                           \
	{                                                                                \
		.name = EVIL("z.json"), .data = EVIL(TEXT), .deflate = true, __VA_ARGS__ \
	}
#define FOLDER(...)                               \
	{                                         \
		.name = EVIL("dir/"), __VA_ARGS__ \
	}
#define DO(...) .patch = {__VA_ARGS__}

/* Compares each entry with what was packed, for read above. */
struct verdict_back {
	const struct evil_file *files;
	size_t n, seen;
};
void verdict_compare(void *back, const struct dif_entry *e, const uint8_t *p);

#endif
