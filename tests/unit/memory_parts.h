/* memory_parts - the part verbs of the memory store: uploads whose segments come in any order, and
 * what bad networks and servers do to them. */
#ifndef DIF_TESTS_MEMORY_PARTS_H
#define DIF_TESTS_MEMORY_PARTS_H

#define MEM_SEGMENTS 1024
#define MEM_UPLOADS 8

struct mem_segment {
	uint64_t offset, n;
	uint8_t *p; /* NULL: hollow */
	uint32_t number;
	char token[32];
};

struct mem_upload {
	char id[32], key[128];
	struct mem_segment part[MEM_SEGMENTS];
	uint32_t n;
};

/* What goes wrong, and what is counted. */
struct mem_parts {
	struct mem_upload *upload[MEM_UPLOADS];
	uint32_t ids;
	bool blind;         /* ignores the condition of a finish */
	bool hollow;        /* bytes are zeros, and are not kept */
	uint32_t reversed;  /* parts are answered so many at once, the last first; 0: in order */
	uint32_t all;       /* how many there are, for reversed */
	uint32_t halve;     /* of the next so many parts a beginning is taken */
	uint32_t take_none; /* the next so many parts are answered, and nothing is taken */
	uint32_t refuse;    /* the next so many parts arrive damaged */
	uint32_t forget;    /* the next so many parts find their upload gone */
	enum dif_class fail_part, fail_finish; /* DIF_OK: they go well */
	uint32_t now, most;                    /* parts that are asked for at once */
};

static inline struct mem_upload *mem_upload_find(const struct mem_parts *s, const char *id)
{
	for (uint32_t i = 0; i < MEM_UPLOADS; i++) {
		if (s->upload[i] != NULL && strcmp(s->upload[i]->id, id) == 0) {
			return s->upload[i];
		}
	}
	return NULL;
}

static inline uint32_t mem_uploads(const struct mem_parts *s)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < MEM_UPLOADS; i++) {
		n += s->upload[i] != NULL;
	}
	return n;
}

static inline void mem_upload_drop(struct mem_parts *s, const char *id)
{
	for (uint32_t i = 0; i < MEM_UPLOADS; i++) {
		struct mem_upload *u = s->upload[i];
		if (u == NULL || strcmp(u->id, id) != 0) {
			continue;
		}
		for (uint32_t k = 0; k < u->n; k++) {
			free(u->part[k].p);
		}
		free(u);
		s->upload[i] = NULL;
	}
}

static inline const char *mem_part_begin(struct mem_parts *s, const struct dif_part *in)
{
	assert_null(in->upload);
	for (uint32_t i = 0; i < MEM_UPLOADS; i++) {
		if (s->upload[i] == NULL) {
			struct mem_upload *u = calloc(1, sizeof *u);
			assert_non_null(u);
			snprintf(u->id, sizeof u->id, "upload-%u", ++s->ids);
			snprintf(u->key, sizeof u->key, "%s", in->put->key);
			s->upload[i] = u;
			return u->id;
		}
	}
	fail_msg("more than %d uploads", MEM_UPLOADS);
	return NULL;
}

static inline void mem_check_digest(const struct dif_caps *c, const struct dif_blob *b,
                                    const uint8_t *p)
{
	uint8_t digest[64];
	if (c->part_digest == DIF_NO_DIGEST) {
		return;
	}
	assert_true(b->has & DIF_HAS(c->part_digest));
	assert_true(dif_hash(c->part_digest, p, (size_t)b->size, digest));
	assert_memory_equal(b->digest[c->part_digest].p, digest, b->digest[c->part_digest].n);
}

static inline void mem_check_bounds(const struct dif_caps *c, const struct dif_part *in)
{
	uint64_t end = in->offset + in->blob->size, whole = in->put->blob->size;
	assert_true(in->blob->size > 0 && in->blob->size <= c->part_max && end <= whole);
	assert_true(in->number >= 1 && in->number <= c->part_count);
	assert_true(end == whole || c->part_align == 0 || end % c->part_align == 0);
}

static inline struct mem_segment *mem_segment(struct mem_upload *u, uint64_t offset)
{
	for (uint32_t i = 0; i < u->n; i++) {
		if (u->part[i].offset == offset) {
			free(u->part[i].p);
			return &u->part[i];
		}
	}
	assert_true(u->n < MEM_SEGMENTS);
	return &u->part[u->n++];
}

/* True once for each of a counter. */
static inline bool mem_once(uint32_t *n)
{
	bool is = *n > 0;
	*n -= is;
	return is;
}

static inline enum dif_class mem_part_put(struct mem_parts *s, const struct dif_caps *c,
                                          const struct dif_part *in, struct dif_result *told)
{
	struct mem_upload *u = mem_upload_find(s, in->upload);
	struct dif_body *body = dif_body_of(in->blob);
	const uint8_t *p = body->ops->view(body);
	assert_non_null(p);
	assert_int_equal(body->size, in->blob->size);
	mem_check_bounds(c, in);
	mem_check_digest(c, in->blob, p);
	if (s->fail_part != DIF_OK) {
		return s->fail_part;
	}
	if (mem_once(&s->refuse)) {
		return DIF_INTEGRITY;
	}
	if (mem_once(&s->take_none)) {
		return DIF_OK;
	}
	if (mem_once(&s->forget)) {
		mem_upload_drop(s, in->upload);
		return DIF_NOT_FOUND;
	}
	if (u == NULL) {
		return DIF_NOT_FOUND;
	}
	assert_string_equal(u->key, in->put->key);
	uint64_t n = in->blob->size;
	n = n > 1 && mem_once(&s->halve) ? n / 2 : n;
	struct mem_segment *seg = mem_segment(u, in->offset);
	*seg = (struct mem_segment){.offset = in->offset, .n = n, .number = in->number};
	if (s->hollow) {
		assert_int_equal(p[0] | p[n - 1], 0);
	} else {
		seg->p = malloc((size_t)n);
		assert_non_null(seg->p);
		memcpy(seg->p, p, (size_t)n);
	}
	snprintf(seg->token, sizeof seg->token, "token-%u-%llu", in->number,
	         (unsigned long long)in->offset);
	told->token = seg->token;
	told->accepted = n;
	return DIF_OK;
}

static inline int mem_by_offset(const void *a, const void *b)
{
	const struct mem_segment *x = a, *y = b;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* The object, NULL where it is hollow. Every byte is there, and every part is named in order. */
static inline uint8_t *mem_part_join(struct mem_parts *s, const struct dif_part *in)
{
	struct mem_upload *u = mem_upload_find(s, in->upload);
	uint8_t *all = s->hollow ? NULL : malloc((size_t)in->put->blob->size + 1);
	uint64_t at = 0;
	assert_non_null(u);
	qsort(u->part, u->n, sizeof *u->part, mem_by_offset);
	for (uint32_t i = 0; i < u->n; i++) {
		const struct mem_segment *seg = &u->part[i];
		bool is_last = i + 1 == u->n || u->part[i + 1].number != seg->number;
		assert_int_equal(seg->offset, at);
		assert_true(seg->number >= 1 && seg->number <= in->ntokens);
		if (is_last) {
			assert_string_equal(seg->token, in->tokens[seg->number - 1]);
		}
		if (all != NULL) {
			memcpy(all + at, seg->p, (size_t)seg->n);
		}
		at += seg->n;
	}
	assert_int_equal(at, in->put->blob->size);
	assert_int_equal(u->part[u->n - 1].number, in->ntokens);
	return all;
}

#endif
