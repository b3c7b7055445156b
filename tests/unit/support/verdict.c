#include "verdict.h"

#include "support.h"

struct dif_member verdict_member(const struct dif_entry *e)
{
	return (struct dif_member){.path = e->name,
	                           .offset = e->offset,
	                           .packed = e->packed,
	                           .size = e->size,
	                           .crc = e->crc,
	                           .method = e->method};
}

/* Streams the entry in odd steps; the bytes must be those of the whole read. */
static bool stream(const struct dif_package *p, const struct dif_member *m, const uint8_t *whole,
                   struct dif_error *err)
{
	struct dif_inflater *i = dif_inflater_open(p, m, err);
	assert_non_null(i);
	static uint8_t piece[70001];
	uint64_t at = 0;
	int64_t n;
	while ((n = dif_inflater_read(i, piece, sizeof piece, err)) > 0) {
		assert_true(at + (uint64_t)n <= m->size);
		if (whole != NULL) {
			assert_memory_equal(whole + at, piece, (size_t)n);
		}
		at += (uint64_t)n;
	}
	dif_inflater_close(i);
	assert_true(n != 0 || at == m->size);
	return n == 0;
}

bool verdict_file(const char *path, const struct dif_limits *limits,
                  void (*read)(void *data, const struct dif_entry *e, const uint8_t *p), void *data,
                  struct dif_error *err)
{
	dif_error_clear(err);
	struct dif_package *p = dif_package_open(path, limits, err);
	bool good = p != NULL;
	for (uint32_t i = 0; good && i < p->n; i++) {
		struct dif_member m = verdict_member(&p->entries[i]);
		uint8_t *to = malloc(m.size + 1);
		assert_non_null(to);
		good = dif_ingest_inflate(p, &m, to, err);
		struct dif_error other;
		dif_error_clear(&other);
		/* Both ways of inflating have one opinion. */
		bool streamed = stream(p, &m, good ? to : NULL, &other);
		assert_int_equal(streamed, good);
		assert_int_equal(other.exit, err->exit);
		if (good && read != NULL) {
			read(data, &p->entries[i], to);
		}
		free(to);
	}
	dif_package_close(p);
	return good;
}

bool verdict_bytes(const void *p, size_t n, const struct dif_limits *limits,
                   void (*read)(void *data, const struct dif_entry *e, const uint8_t *p),
                   void *data, struct dif_error *err)
{
	char path[320];
	snprintf(path, sizeof path, "%s/verdict.zip", test_folder());
	test_write(path, p, n);
	return verdict_file(path, limits, read, data, err);
}

void verdict_compare(void *data, const struct dif_entry *e, const uint8_t *p)
{
	struct verdict_back *b = data;
	for (size_t i = 0; i < b->n; i++) {
		const struct evil_file *f = &b->files[i];
		if (f->name.n == strlen(e->name) && memcmp(f->name.p, e->name, f->name.n) == 0) {
			assert_int_equal(e->size, f->data.n);
			assert_memory_equal(p, f->data.p == NULL ? "" : f->data.p, f->data.n);
			b->seen++;
			return;
		}
	}
	fail_msg("entry '%s' was never packed", e->name);
}
