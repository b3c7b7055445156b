#include "world.h"

#include "flow/blob.h"

#define BUDGET (5u << 20)
#define LARGE (DIF_WHOLE_MAX + 12345)
#define WINDOW (32 * (128u << 10)) /* what a delivery asks for, with 32 requests at once */
#define MIDDLE (WINDOW / 3 + 1)
#define SMALL (BUDGET / 40) /* two of them are what may lie in nobody's hands */
#define TEXTS 8

/* A package of one large and some middle files; content differs per file, so that packing is not
 * everything. */
static char *content(size_t n, char seed)
{
	char *p = malloc(n + 1);
	assert_non_null(p);
	uint32_t x = (uint32_t)seed * 2654435761u + 1;
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (char)('a' + (x >> 28));
	}
	p[n] = '\0';
	return p;
}

struct taker {
	struct world *w;
	struct dif_lease *lease;
	struct dif_body *body;
	struct dif_body_stream *stream;
	bool told, failed, asked, readable, left;
};

static void on_ready(void *data, struct dif_body *body, const struct dif_error *err)
{
	struct taker *t = data;
	assert_false(t->told);
	t->told = true;
	t->body = body;
	t->failed = body == NULL && err->cls == DIF_INTEGRITY;
}

static void on_asked_back(void *data)
{
	struct taker *t = data;
	assert_true(t->told && !t->asked);
	t->asked = true;
}

static void on_left(void *data)
{
	((struct taker *)data)->left = true;
}

static const struct dif_lease_events events = {.ready = on_ready, .asked_back = on_asked_back};

static bool is_told(void *data)
{
	return ((struct taker *)data)->told;
}

static bool is_asked(void *data)
{
	return ((struct taker *)data)->asked;
}

static bool has_left(void *data)
{
	return ((struct taker *)data)->left;
}

static bool is_readable(void *data)
{
	return ((struct taker *)data)->readable;
}

static void want(struct taker *t, struct dif_spool_user *u, const struct cut *c, const char *name,
                 enum dif_form_id form)
{
	const struct dif_member *m = dif_manifest_find(c->manifest, name);
	assert_non_null(m);
	*t = (struct taker){.w = t->w};
	t->lease = dif_spool_want(u, c->package, m, form, &events, t);
	assert_non_null(t->lease);
	assert_false(t->told);
}

static void leave(struct world *w, struct dif_spool_user *u)
{
	struct taker t = {.w = w};
	dif_spool_leave(u, on_left, &t);
	assert_false(t.left);
	world_until(w, has_left, &t);
}

static struct cut *made(struct world *w, char *text[TEXTS])
{
	text[0] = content(LARGE, 1);
	for (int i = 1; i < TEXTS; i++) {
		text[i] = content(i < 5 ? MIDDLE : SMALL, (char)(i + 1));
	}
	const struct file files[] = {
		{"index.html", INDEX("1")}, {"large.csv", text[0]}, {"m1.json", text[1]},
		{"m2.json", text[2]},       {"m3.json", text[3]},   {"m4.json", text[4]},
		{"s1.json", text[5]},       {"s2.json", text[6]},   {"s3.json", text[7]}};
	return world_cut(w, 1, files, DIF_LEN(files));
}

static void drop(struct world *w, struct cut *c, char *text[TEXTS])
{
	for (int i = 0; i < TEXTS; i++) {
		free(text[i]);
	}
	cut_free(c);
	world_free(w);
}

TEST(two_destinations_share_one_buffer)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool),
			      *b = dif_spool_join(w->setup.spool);
	struct taker one = {.w = w}, two = {.w = w};
	want(&one, a, c, "m1.json", DIF_IDENTITY);
	want(&two, b, c, "m1.json", DIF_IDENTITY);
	world_until(w, is_told, &one);
	world_until(w, is_told, &two);
	assert_ptr_equal(one.body->ops->view(one.body), two.body->ops->view(two.body));
	assert_memory_equal(one.body->ops->view(one.body), text[1], MIDDLE);
	assert_int_equal(dif_spool_peak(w->setup.spool), MIDDLE);
	dif_spool_release(one.lease);
	dif_spool_release(two.lease);
	leave(w, a);
	leave(w, b);
	drop(w, c, text);
}

/* From now on whatever is inflated again fails. */
static void damage(const struct cut *c, const char *name)
{
	const struct dif_member *m = dif_manifest_find(c->manifest, name);
	char path[64], byte = 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", c->package->fd);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	off_t at = (off_t)(m->offset + m->packed / 2);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte = (char)(byte ^ 0x55);
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static bool is_had(struct taker *t, struct dif_spool_user *u, const struct cut *c, const char *name)
{
	want(t, u, c, name, DIF_IDENTITY);
	world_until(t->w, is_told, t);
	bool had = !t->failed;
	dif_spool_release(t->lease);
	return had;
}

TEST(who_comes_a_moment_later_finds_it_still_there_once)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool),
			      *b = dif_spool_join(w->setup.spool);
	struct taker t = {.w = w};
	assert_true(is_had(&t, a, c, "s1.json"));
	damage(c, "s1.json");
	assert_true(is_had(&t, b, c, "s1.json"));
	assert_false(is_had(&t, a, c, "s1.json")); /* all have had it */
	leave(w, a);
	leave(w, b);
	drop(w, c, text);
}

TEST(a_destination_far_ahead_fills_no_memory)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool),
			      *b = dif_spool_join(w->setup.spool);
	struct taker t = {.w = w};
	static const char *const names[] = {"s1.json", "s2.json", "s3.json", "m1.json"};
	for (size_t i = 0; i < DIF_LEN(names); i++) {
		assert_true(is_had(&t, a, c, names[i]));
		damage(c, names[i]);
	}
	assert_false(is_had(&t, b, c, "s1.json"));
	assert_false(is_had(&t, b, c, "m1.json"));
	assert_true(dif_spool_peak(w->setup.spool) <= MIDDLE + BUDGET / 16);
	leave(w, a);
	leave(w, b);
	drop(w, c, text);
}

TEST(the_budget_is_never_exceeded)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	static const char *const names[] = {"m1.json", "m2.json", "m3.json", "m4.json"};
	struct taker t[4];
	for (int i = 0; i < 4; i++) {
		t[i].w = w;
		want(&t[i], a, c, names[i], DIF_IDENTITY);
	}
	for (int i = 0; i < 3; i++) {
		world_until(w, is_told, &t[i]);
	}
	assert_false(t[3].told); /* 8 MiB do not go into 6 */
	dif_spool_release(t[1].lease);
	world_until(w, is_told, &t[3]);
	assert_memory_equal(t[3].body->ops->view(t[3].body), text[4], MIDDLE);
	assert_true(dif_spool_peak(w->setup.spool) <= BUDGET);
	dif_spool_release(t[0].lease);
	dif_spool_release(t[2].lease);
	dif_spool_release(t[3].lease);
	leave(w, a);
	drop(w, c, text);
}

static void on_more(void *data)
{
	((struct taker *)data)->readable = true;
}

static void read_all(struct taker *t, uint64_t offset, const uint8_t *expected, uint64_t n)
{
	uint8_t piece[10000];
	uint64_t got = 0;
	t->stream = t->body->ops->open(t->body, offset, on_more, t);
	assert_non_null(t->stream);
	for (;;) {
		int64_t some = t->body->ops->read(t->stream, piece, sizeof piece);
		if (some == DIF_BODY_LATER) {
			t->readable = false;
			world_until(t->w, is_readable, t);
			continue;
		}
		assert_true(some >= 0);
		if (some == 0) {
			break;
		}
		assert_true(offset + got + (uint64_t)some <= n);
		assert_memory_equal(piece, expected + offset + got, (size_t)some);
		got += (uint64_t)some;
	}
	assert_int_equal(offset + got, n);
	t->body->ops->close(t->stream);
}

TEST(large_members_are_streamed_from_any_offset)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	struct taker t = {.w = w};
	want(&t, a, c, "large.csv", DIF_IDENTITY);
	world_until(w, is_told, &t);
	assert_int_equal(t.body->size, LARGE);
	assert_null(t.body->ops->view(t.body));
	read_all(&t, 0, (const uint8_t *)text[0], LARGE);
	read_all(&t, 1000001, (const uint8_t *)text[0], LARGE);
	read_all(&t, LARGE, (const uint8_t *)text[0], LARGE);
	assert_true(dif_spool_peak(w->setup.spool) <= 1u << 20);
	/* closed while the pool works for it: leaving waits for that */
	t.stream = t.body->ops->open(t.body, 0, on_more, &t);
	t.body->ops->close(t.stream);
	dif_spool_release(t.lease);
	leave(w, a);
	drop(w, c, text);
}

TEST(the_gzip_form_is_the_package_s_own_deflate_bytes)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	struct taker t = {.w = w};
	const struct dif_member *m = dif_manifest_find(c->manifest, "m1.json");
	want(&t, a, c, "m1.json", DIF_GZIP);
	world_until(w, is_told, &t);
	const uint8_t *p = t.body->ops->view(t.body);
	uint8_t trailer[DIF_GZIP_TRAILER];
	assert_int_equal(t.body->size, m->packed + DIF_GZIP_HEADER + DIF_GZIP_TRAILER);
	assert_memory_equal(p, dif_gzip_header, DIF_GZIP_HEADER);
	dif_gzip_trailer(trailer, m->crc, m->size);
	assert_memory_equal(p + DIF_GZIP_HEADER + m->packed, trailer, sizeof trailer);
	dif_spool_release(t.lease);
	leave(w, a);
	drop(w, c, text);
}

TEST(a_package_that_changed_under_us_is_refused)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	struct taker t = {.w = w}, g = {.w = w};
	damage(c, "m1.json");
	want(&t, a, c, "m1.json", DIF_IDENTITY);
	want(&g, a, c, "m1.json", DIF_GZIP);
	world_until(w, is_told, &t);
	world_until(w, is_told, &g);
	assert_true(t.failed);
	assert_true(g.failed);
	dif_spool_release(t.lease);
	dif_spool_release(g.lease);
	leave(w, a);
	drop(w, c, text);
}

TEST(a_released_want_is_never_told)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	struct taker t = {.w = w};
	want(&t, a, c, "m1.json", DIF_IDENTITY);
	dif_spool_release(t.lease);
	want(&t, a, c, "m2.json", DIF_IDENTITY);
	uv_run(&w->setup.engine->loop, UV_RUN_ONCE); /* the pool may be at work for it */
	bool told = t.told;
	dif_spool_release(t.lease);
	leave(w, a); /* until the pool reads nothing for it any more */
	assert_int_equal(t.told, told);
	drop(w, c, text);
}

TEST(who_holds_more_than_its_share_is_asked_back_and_who_holds_less_never)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *slow = dif_spool_join(w->setup.spool);
	struct dif_spool_user *quick = dif_spool_join(w->setup.spool);
	struct taker held[3], next = {.w = w};
	static const char *const names[] = {"m1.json", "m2.json", "m3.json"};
	for (int i = 0; i < 3; i++) {
		held[i].w = w;
		want(&held[i], slow, c, names[i], DIF_IDENTITY);
		world_until(w, is_told, &held[i]);
	}
	want(&next, quick, c, "m4.json", DIF_IDENTITY);
	world_until(w, is_asked, &held[0]); /* the oldest first, after DIF_LEASE_MS */
	assert_false(next.told);
	dif_spool_release(held[0].lease);
	world_until(w, is_told, &next);
	/* 4 MiB of 6 is still over half; but nobody waits, so nobody is asked */
	struct taker more = {.w = w};
	want(&more, slow, c, "m1.json", DIF_IDENTITY);
	assert_false(next.asked);
	dif_spool_release(more.lease);
	for (int i = 1; i < 3; i++) {
		dif_spool_release(held[i].lease);
	}
	dif_spool_release(next.lease);
	leave(w, slow);
	leave(w, quick);
	assert_true(dif_spool_peak(w->setup.spool) <= BUDGET);
	drop(w, c, text);
}

TEST(a_dead_destination_gives_its_memory_to_the_others)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	w->to[0].barrier = w->to[1].barrier = 0;
	w->store[1]->dead = true;
	struct dif_publication *p = world_start(w, c, 2, false);
	int64_t end = dif_steady_ms() + PATIENCE_MS;
	while (mem_find(w->store[0], "index.html") == NULL) {
		assert_true(dif_steady_ms() < end);
		uv_run(&w->setup.engine->loop, UV_RUN_ONCE);
	}
	check_text(w->store[0], "large.csv", text[0]);
	w->store[1]->dead = false;
	mem_wake(w->store[1]);
	world_wait(w);
	assert_int_equal(dif_publication_exit(p), 0);
	dif_publication_free(p);
	check_text(w->store[1], "large.csv", text[0]);
	check_text(w->store[1], "m4.json", text[4]);
	assert_true(dif_spool_peak(w->setup.spool) <= BUDGET);
	drop(w, c, text);
}

static bool holds_three(void *data)
{
	const struct dif_instance *s = data;
	uint32_t n = 0;
	for (struct dif_link *at = s->queue.next; at != &s->queue; at = at->next) {
		n += mem_is_stuck(DIF_ENTRY(at, struct dif_op_run, link));
	}
	return n == 3;
}

static bool has_index(void *data)
{
	return mem_find(data, "index.html") != NULL;
}

TEST(puts_that_gave_their_memory_back_are_made_good)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	w->to[0].barrier = w->to[1].barrier = 0;
	/* One hangs with the whole budget in its hands before the other begins. */
	w->store[0]->stuck = "m";
	w->store[1]->dead = true;
	struct dif_publication *p = world_start(w, c, 2, false);
	world_until(w, holds_three, w->store[0]);
	w->store[1]->dead = false;
	mem_wake(w->store[1]);
	world_until(w, has_index, w->store[1]);
	uint32_t canceled = 0;
	for (uint32_t i = 0; i < w->store[0]->nlog; i++) {
		canceled += w->store[0]->log[i].cls == DIF_CANCELED;
	}
	assert_true(canceled > 0);
	assert_null(mem_find(w->store[0], "m1.json"));
	w->store[0]->stuck = NULL;
	mem_wake(w->store[0]);
	world_wait(w);
	assert_int_equal(dif_publication_exit(p), 0);
	dif_publication_free(p);
	for (int i = 1; i < 5; i++) {
		char name[32];
		snprintf(name, sizeof name, "m%d.json", i);
		check_text(w->store[0], name, text[i]);
		check_text(w->store[1], name, text[i]);
	}
	check_text(w->store[0], "index.html", INDEX("1"));
	assert_true(dif_spool_peak(w->setup.spool) <= BUDGET);
	drop(w, c, text);
}

TEST(a_delivery_asks_for_no_more_bytes_than_its_requests_can_need)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(64 << 20);
	struct cut *c = made(w, text);
	w->store[0]->stuck = "m";
	struct dif_publication *p = world_start(w, c, 1, false);
	world_until(w, holds_three, w->store[0]);
	assert_true(dif_spool_peak(w->setup.spool) <= WINDOW + MIDDLE);
	assert_true(w->store[0]->full > 0); /* more requests would get more */
	w->store[0]->stuck = NULL;
	mem_wake(w->store[0]);
	world_wait(w);
	assert_int_equal(dif_publication_exit(p), 0);
	dif_publication_free(p);
	assert_true(dif_spool_peak(w->setup.spool) <= WINDOW + MIDDLE);
	check_text(w->store[0], "m4.json", text[4]);
	drop(w, c, text);
}

/* --- slices --- */

static const struct dif_lease_events slice_events = {.ready = on_ready};

static void want_slice(struct taker *t, struct dif_slices *s)
{
	*t = (struct taker){.w = t->w};
	t->lease = dif_spool_slice(s, &slice_events, t);
	assert_non_null(t->lease);
}

/* All slices of a member; false where one of them failed, which must be the last. */
static bool read_slices(struct world *w, struct dif_spool_user *u, const struct cut *c,
                        enum dif_form_id form, uint64_t size, uint32_t digest, uint8_t *to)
{
	const struct dif_member *m = dif_manifest_find(c->manifest, "large.csv");
	struct dif_slices *s = dif_spool_slices(u, c->package, m, form, size, digest);
	uint64_t total = m->form[form].size, at = 0;
	bool good = true;
	while (at < total && good) {
		struct taker t = {.w = w};
		uint8_t sum[DIF_DIGEST_MAX];
		uint64_t n = total - at < size ? total - at : size;
		want_slice(&t, s);
		world_until(w, is_told, &t);
		if (t.body != NULL) {
			assert_int_equal(t.body->size, n);
			memcpy(to + at, t.body->ops->view(t.body), (size_t)n);
			struct dif_bytes told = dif_spool_slice_digest(t.lease);
			assert_int_equal(told.n, dif_digest_size(digest));
			assert_true(dif_blob_hash(digest, to + at, (size_t)n, sum));
			assert_memory_equal(told.p, sum, told.n);
		} else {
			assert_true(t.failed && at + n == total);
			good = false;
		}
		at += n;
		dif_spool_release(t.lease);
	}
	dif_slices_free(s);
	return good;
}

TEST(slices_are_the_member_in_order_each_with_its_digest)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	const struct dif_member *m = dif_manifest_find(c->manifest, "large.csv");
	uint8_t *to = malloc(LARGE), sum[DIF_DIGEST_MAX];
	assert_non_null(to);
	assert_true(read_slices(w, a, c, DIF_IDENTITY, 1000001, DIF_CRC32, to));
	assert_memory_equal(to, text[0], LARGE);
	assert_true(read_slices(w, a, c, DIF_IDENTITY, LARGE, DIF_MD5, to));
	/* The frame of gzip is cut anywhere. */
	uint64_t n = m->form[DIF_GZIP].size;
	const uint64_t sizes[] = {700000, n - 4, n - DIF_GZIP_TRAILER};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_true(read_slices(w, a, c, DIF_GZIP, sizes[i], DIF_CRC32C, to));
		assert_true(dif_hash(DIF_SHA256, to, (size_t)n, sum));
		assert_memory_equal(sum, m->form[DIF_GZIP].sha256, 32);
	}
	assert_true(dif_spool_peak(w->setup.spool) <= BUDGET);
	free(to);
	leave(w, a);
	drop(w, c, text);
}

TEST(the_last_slice_fails_where_the_whole_is_not_what_was_verified)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	uint8_t *to = malloc(LARGE);
	assert_non_null(to);
	for (uint32_t i = 0; i < c->manifest->n; i++) {
		struct dif_member *m = &c->manifest->members[i];
		m->form[DIF_IDENTITY].sha256[0] ^= 1;
		m->form[DIF_GZIP].sha256[31] ^= 1;
	}
	assert_false(read_slices(w, a, c, DIF_IDENTITY, 1 << 20, DIF_SHA256, to));
	assert_false(read_slices(w, a, c, DIF_GZIP, 1 << 20, DIF_SHA256, to));
	free(to);
	leave(w, a);
	drop(w, c, text);
}

TEST(a_released_slice_is_never_told)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool);
	const struct dif_member *m = dif_manifest_find(c->manifest, "large.csv");
	struct dif_slices *s = dif_spool_slices(a, c->package, m, DIF_IDENTITY, 1 << 20, DIF_MD5);
	struct taker t = {.w = w};
	want_slice(&t, s);
	uv_run(&w->setup.engine->loop, UV_RUN_ONCE); /* the pool may be at work for it */
	bool told = t.told;
	dif_spool_release(t.lease);
	dif_slices_free(s);
	leave(w, a);
	assert_int_equal(t.told, told);
	drop(w, c, text);
}

/* One user has memory for two of its three, though nobody else has any. */
TEST(slices_take_no_more_than_the_share_of_their_user)
{
	UNUSED_STATE;
	char *text[TEXTS];
	struct world *w = world_new(BUDGET);
	struct cut *c = made(w, text);
	struct dif_spool_user *a = dif_spool_join(w->setup.spool),
			      *b = dif_spool_join(w->setup.spool);
	const struct dif_member *m = dif_manifest_find(c->manifest, "large.csv");
	const uint64_t size = BUDGET / 5;
	struct dif_slices *s = dif_spool_slices(a, c->package, m, DIF_IDENTITY, size, DIF_MD5);
	struct taker t[3] = {{.w = w}, {.w = w}, {.w = w}}, other = {.w = w};
	for (int i = 0; i < 2; i++) {
		want_slice(&t[i], s);
		world_until(w, is_told, &t[i]);
	}
	want_slice(&t[2], s);
	want(&other, b, c, "m1.json", DIF_IDENTITY); /* is not held up by it */
	world_until(w, is_told, &other);
	assert_false(t[2].told);
	dif_spool_release(t[0].lease);
	world_until(w, is_told, &t[2]);
	dif_spool_release(t[1].lease);
	dif_spool_release(t[2].lease);
	dif_spool_release(other.lease);
	dif_slices_free(s);
	leave(w, a);
	leave(w, b);
	drop(w, c, text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_destinations_share_one_buffer),
		cmocka_unit_test(who_comes_a_moment_later_finds_it_still_there_once),
		cmocka_unit_test(a_destination_far_ahead_fills_no_memory),
		cmocka_unit_test(the_budget_is_never_exceeded),
		cmocka_unit_test(large_members_are_streamed_from_any_offset),
		cmocka_unit_test(the_gzip_form_is_the_package_s_own_deflate_bytes),
		cmocka_unit_test(a_package_that_changed_under_us_is_refused),
		cmocka_unit_test(a_released_want_is_never_told),
		cmocka_unit_test(
			who_holds_more_than_its_share_is_asked_back_and_who_holds_less_never),
		cmocka_unit_test(a_dead_destination_gives_its_memory_to_the_others),
		cmocka_unit_test(puts_that_gave_their_memory_back_are_made_good),
		cmocka_unit_test(a_delivery_asks_for_no_more_bytes_than_its_requests_can_need),
		cmocka_unit_test(slices_are_the_member_in_order_each_with_its_digest),
		cmocka_unit_test(the_last_slice_fails_where_the_whole_is_not_what_was_verified),
		cmocka_unit_test(a_released_slice_is_never_told),
		cmocka_unit_test(slices_take_no_more_than_the_share_of_their_user),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
