/* delivery_parts - large objects in parts, over the memory store. */
#define PATIENCE_MS \
	180000 /* five gigabytes of zeros are read on a machine that does other things */
#include "world.h"

#include "flow/delivery_private.h"

#define MIB (1u << 20)
#define BUDGET (8u * MIB)
#define PART (256u << 10)
#define BIG "big.bin"
#define BIG_SIZE (3 * MIB + 12345)
#define BIG_PARTS 13 /* of PART */

/* 4 bits of chance in each byte. */
static char *content(size_t n, uint32_t x)
{
	char *p = malloc(n + 1);
	assert_non_null(p);
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525u + 1013904223u;
		p[i] = (char)('a' + (x >> 28));
	}
	p[n] = '\0';
	return p;
}

static const struct dif_caps in_parts = {.size = sizeof(struct dif_caps),
                                         .flags = DIF_CAP_COND | DIF_CAP_COND_REMOVE |
                                                  DIF_CAP_LIST_META | DIF_CAP_HEADERS |
                                                  DIF_CAP_UNIQUE_TAG,
                                         .put_max = MIB,
                                         .delete_max = 3,
                                         .list_max = 4,
                                         .key_max = 1024,
                                         .meta_max = 2048,
                                         .digests = {DIF_SHA256},
                                         .part_min = 1,
                                         .part_max = PART,
                                         .part_align = 1024,
                                         .part_count = 100,
                                         .part_parallel = 4,
                                         .part_digest = DIF_CRC32C};

struct big {
	struct world *w;
	struct dif_instance *s;
	struct cut *c;
	char *text;
};

/* Known already, so that the probe's own upload is not among what is counted. */
static void know_conditions(struct world *w, const char *verdict)
{
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		char *scope = dif_destination_scope(&w->destinations[i]);
		assert_true(dif_state_put_fact(w->setup.state, scope, "fence", verdict));
		free(scope);
	}
}

/* A cut with one object that is put in parts, the last of them small. */
static struct big big_new(uint64_t budget)
{
	struct big b = {.w = world_new(budget), .text = content(BIG_SIZE, 7)};
	const struct file files[] = {{"index.html", INDEX("1")}, {BIG, b.text}};
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		b.w->store[i]->caps = in_parts;
		b.w->store[i]->parts.all = BIG_PARTS;
	}
	know_conditions(b.w, "fenced");
	b.s = b.w->store[0];
	b.c = world_cut(b.w, 100, files, DIF_LEN(files));
	return b;
}

static void big_free(struct big *b)
{
	cut_free(b->c);
	world_free(b->w);
	free(b->text);
}

/* Publishes; the state is "done" exactly where the error is to be OK. */
static struct dif_error publish(struct big *b)
{
	struct dif_publication *p = world_publish(b->w, b->c, 1);
	struct dif_error err = *dif_delivery_error(dif_publication_at(p, 0));
	assert_int_equal(strcmp(dif_delivery_state(dif_publication_at(p, 0)), "done") == 0,
	                 err.cls == DIF_OK);
	dif_publication_free(p);
	return err;
}

static void check_arrives(struct big *b)
{
	struct dif_error err = publish(b);
	if (err.cls != DIF_OK) {
		fail_msg("%s", err.text);
	}
	check_text(b->s, BIG, b->text);
	assert_int_equal(mem_count(b->s, DIF_PUT, BIG), 0);
	assert_int_equal(mem_uploads(&b->s->parts), 0);
}

static void check_fails(struct big *b, enum dif_class cls, const char *text)
{
	struct dif_error err = publish(b);
	assert_int_equal(err.cls, cls);
	if (strstr(err.text, text) == NULL) {
		fail_msg("'%s' does not say '%s'", err.text, text);
	}
	assert_null(mem_find(b->s, BIG));
	assert_null(mem_find(b->s, "index.html"));
	assert_int_equal(mem_uploads(&b->s->parts), 0);
}

static uint32_t count(const struct big *b, enum dif_verb_id verb)
{
	return mem_count(b->s, verb, BIG);
}

TEST(parts_arrive_in_any_order_and_the_object_is_read_back)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->parts.reversed = 3;
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_BEGIN), 1);
	assert_int_equal(count(&b, DIF_PART_PUT), BIG_PARTS);
	assert_int_equal(count(&b, DIF_PART_FINISH), 1);
	assert_int_equal(count(&b, DIF_PART_ABORT), 0);
	assert_int_equal(count(&b, DIF_GET), 1);
	assert_in_range(b.s->parts.most, 3, 4);
	uint32_t before = 0, backwards = 0;
	for (uint32_t i = 0; i < b.s->nlog; i++) {
		if (b.s->log[i].verb == DIF_PART_PUT) {
			backwards += b.s->log[i].number < before;
			before = b.s->log[i].number;
		}
	}
	assert_true(backwards >= 4);
	/* The finish is a put: condition, metadata, before the entry page. */
	int finish = mem_logged(b.s, DIF_PART_FINISH, BIG);
	assert_true(b.s->log[finish].if_absent);
	assert_true(finish < mem_logged(b.s, DIF_PUT, "index.html"));
	const struct mem_object *o = mem_find(b.s, BIG);
	assert_string_equal(o->value[1], "100");
	assert_int_equal(strlen(o->value[2]), 64);
	assert_true(o->type[0] != '\0');
	big_free(&b);
}

TEST(one_at_a_time_where_the_store_takes_them_in_order)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->caps.part_parallel = 1;
	b.s->caps.part_digest = DIF_NO_DIGEST;
	check_arrives(&b);
	assert_int_equal(b.s->parts.most, 1);
	uint32_t next = 1;
	for (uint32_t i = 0; i < b.s->nlog; i++) {
		if (b.s->log[i].verb == DIF_PART_PUT) {
			assert_int_equal(b.s->log[i].number, next++);
		}
	}
	big_free(&b);
}

TEST(the_size_of_a_part_keeps_every_bound)
{
	UNUSED_STATE;
	static const struct {
		uint64_t min, max, align;
		uint32_t count, parts;
	} rows[] = {
		{1, PART, 100000, 100, 16},     /* 200,000 */
		{1, 4 * MIB, 0, 4, 1},          /* aims at more than there is */
		{700000, 700000, 1, 5, 5},      /* exactly so many */
		{1, BIG_SIZE / 2 + 1, 0, 2, 2}, /* few and large */
		{1000, 3 * MIB, 3 * MIB, 2, 2}, /* the last one is small */
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct big b = big_new(BUDGET);
		b.s->caps.part_min = rows[i].min;
		b.s->caps.part_max = rows[i].max;
		b.s->caps.part_align = rows[i].align;
		b.s->caps.part_count = rows[i].count;
		b.s->caps.part_digest = DIF_MD5;
		check_arrives(&b);
		assert_int_equal(count(&b, DIF_PART_PUT), rows[i].parts);
		big_free(&b);
	}
}

TEST(the_gzip_form_goes_in_parts_too)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.w->to[0].store_as = "gzip";
	b.s->caps.part_digest = DIF_CRC32C;
	struct dif_error err = publish(&b);
	assert_int_equal(err.cls, DIF_OK);
	const struct dif_form *f = &dif_manifest_find(b.c->manifest, BIG)->form[DIF_GZIP];
	const struct mem_object *o = mem_find(b.s, BIG);
	uint8_t digest[DIF_DIGEST_MAX];
	assert_true(f->size > MIB);
	assert_int_equal(o->n, f->size);
	assert_true(dif_hash(DIF_SHA256, o->p, o->n, digest));
	assert_memory_equal(digest, f->sha256, 32);
	assert_string_equal(o->encoding, "gzip");
	assert_true(count(&b, DIF_PART_PUT) > 4);
	big_free(&b);
}

TEST(a_damaged_part_is_sent_again)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->caps.part_parallel = 1;
	b.s->parts.refuse = 2;
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_PUT), BIG_PARTS + 2);
	big_free(&b);
	b = big_new(BUDGET);
	b.s->caps.part_parallel = 1;
	b.s->parts.refuse = 100;
	/* Three times a part, and three times the object. */
	check_fails(&b, DIF_INTEGRITY, "object 'big.bin' of destination 'eu'");
	assert_int_equal(count(&b, DIF_PART_BEGIN), 3);
	assert_int_equal(count(&b, DIF_PART_PUT), 9);
	assert_int_equal(count(&b, DIF_PART_ABORT), 3);
	big_free(&b);
}

TEST(what_a_store_has_of_a_part_is_not_sent_again)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->caps.part_align = 0;
	b.s->parts.halve = 5; /* the memory store checks digest, order and every byte */
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_PUT), BIG_PARTS + 5);
	big_free(&b);
	b = big_new(BUDGET);
	b.s->caps.part_parallel = 1;
	b.s->parts.take_none = 4;
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_PUT), BIG_PARTS + 4);
	big_free(&b);
	b = big_new(BUDGET);
	b.s->parts.take_none = 1000;
	check_fails(&b, DIF_TRANSIENT, "takes nothing of a part");
	big_free(&b);
}

TEST(an_upload_that_is_gone_begins_again)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->parts.forget = 2;
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_BEGIN), 3);
	assert_int_equal(count(&b, DIF_HEAD), 3); /* each time, and before the finish */
	big_free(&b);
	b = big_new(BUDGET);
	b.s->parts.forget = 1000;
	check_fails(&b, DIF_CONFLICT, "its upload is lost");
	big_free(&b);
}

TEST(a_failure_drops_the_parts)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->parts.fail_part = DIF_PERMANENT;
	check_fails(&b, DIF_PERMANENT, "could not put object 'big.bin'");
	assert_int_equal(count(&b, DIF_PART_ABORT), 1);
	b.s->parts.fail_part = DIF_OK;
	b.s->parts.fail_finish = DIF_TRANSIENT;
	check_fails(&b, DIF_TRANSIENT, "could not put object 'big.bin'");
	assert_int_equal(count(&b, DIF_PART_ABORT), 2);
	b.s->parts.fail_finish = DIF_OK;
	check_arrives(&b);
	big_free(&b);
}

/* --- the condition of the finish --- */

static bool has_begun(void *data)
{
	const struct mem_parts *s = data;
	return s->most > 0;
}

/* Another agent writes the key at the last moment. */
static void intrude(struct dif_instance *s, const struct dif_put *in)
{
	const char **order = s->data;
	if (strcmp(in->key, BIG) == 0 && *order != NULL) {
		struct mem_object *o = mem_set(s, BIG, "theirs", 6);
		if (**order != '\0') {
			mem_meta(o, "epoch", "1");
			mem_meta(o, "order", *order);
			mem_meta(
				o, "sha256",
				"00000000000000000000000000000000000000000000000000000000000000ff");
		}
		*order = NULL;
	}
}

TEST(a_lost_condition_is_judged_like_that_of_a_put)
{
	UNUSED_STATE;
	const char *order = "99";
	struct big b = big_new(BUDGET);
	b.s->before_put = intrude;
	b.s->data = &order;
	check_arrives(&b); /* earlier than ours: written over, on that tag */
	assert_int_equal(count(&b, DIF_PART_BEGIN), 2);
	assert_int_equal(count(&b, DIF_PART_ABORT), 1);
	big_free(&b);
	static const char *const stays[] = {"101", ""}; /* later; not ours */
	for (size_t i = 0; i < 2; i++) {
		order = stays[i];
		b = big_new(BUDGET);
		b.s->before_put = intrude;
		b.s->data = &order;
		assert_int_equal(publish(&b).cls, DIF_CONFLICT);
		check_text(b.s, BIG, "theirs");
		assert_int_equal(count(&b, DIF_PART_ABORT), 1);
		big_free(&b);
	}
}

/* As radosgw does it: what came meanwhile is seen all the same. */
TEST(a_store_that_ignores_the_condition_of_a_finish_is_looked_at_before)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->parts.blind = true;
	b.s->stuck = BIG;
	struct dif_publication *p = world_start(b.w, b.c, 1, false);
	world_until(b.w, has_begun, &b.s->parts);
	struct mem_object *o = mem_set(b.s, BIG, "theirs", 6);
	mem_meta(o, "epoch", "1");
	mem_meta(o, "order", "101");
	mem_meta(o, "sha256", "00000000000000000000000000000000000000000000000000000000000000ff");
	b.s->stuck = NULL;
	mem_wake(b.s);
	world_wait(b.w);
	dif_publication_free(p);
	check_text(b.s, BIG, "theirs");
	assert_int_equal(count(&b, DIF_PART_FINISH), 0);
	assert_int_equal(count(&b, DIF_PART_ABORT), 1);
	/* Ours of an older cut is replaced, on its tag. */
	mem_drop(b.s, BIG);
	mem_set(b.s, BIG, "old", 3);
	o = mem_find(b.s, BIG);
	mem_meta(o, "epoch", "1");
	mem_meta(o, "order", "99");
	mem_meta(o, "sha256", "00000000000000000000000000000000000000000000000000000000000000ff");
	world_restart(b.w);
	check_arrives(&b);
	big_free(&b);
}

static void lose_finish(struct dif_instance *s, const struct dif_put *in)
{
	s->lose_answers = strcmp(in->key, BIG) == 0;
}

TEST(a_finish_whose_answer_was_lost_counts_as_arrived)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->before_put = lose_finish;
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_BEGIN), 1);
	assert_int_equal(count(&b, DIF_PART_FINISH), 1);
	big_free(&b);
}

TEST(what_the_store_joined_otherwise_is_put_again)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->break_puts = 1;
	b.s->break_key = BIG;
	check_arrives(&b);
	assert_int_equal(count(&b, DIF_PART_BEGIN), 2);
	assert_int_equal(count(&b, DIF_GET), 2);
	big_free(&b);
}

/* --- stops --- */

static void check_stop(void (*stop)(struct dif_publication *p), const char *state)
{
	struct big b = big_new(BUDGET);
	b.s->stuck = BIG;
	struct dif_publication *p = world_start(b.w, b.c, 1, false);
	world_until(b.w, has_begun, &b.s->parts);
	stop(p);
	world_wait(b.w);
	assert_string_equal(dif_delivery_state(dif_publication_at(p, 0)), state);
	dif_publication_free(p);
	assert_int_equal(count(&b, DIF_PART_ABORT), 1);
	assert_int_equal(mem_uploads(&b.s->parts), 0);
	assert_null(mem_find(b.s, BIG));
	b.s->stuck = NULL;
	check_arrives(&b);
	big_free(&b);
}

TEST(a_stop_drops_the_parts)
{
	UNUSED_STATE;
	check_stop(dif_publication_supersede, "superseded");
	check_stop(dif_publication_cancel, "superseded");
}

TEST(a_deadline_drops_the_parts)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->stuck = BIG;
	b.w->timeout_ms = 700;
	check_fails(&b, DIF_TRANSIENT, "time is up");
	assert_int_equal(count(&b, DIF_PART_ABORT), 1);
	big_free(&b);
}

/* --- bounds --- */

TEST(what_no_store_takes_is_told)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	b.s->caps.part_max = 0;
	check_fails(&b, DIF_PERMANENT,
	            "it has 3158073 bytes, more than the 1048576 that the store takes at once, and "
	            "it takes no parts");
	b.s->caps.part_max = PART;
	b.s->caps.part_count = 3;
	check_fails(&b, DIF_PERMANENT, "or in parts");
	b.s->caps.part_max = b.s->caps.part_min = BUDGET + 1;
	b.s->caps.part_align = 0;
	check_fails(&b, DIF_PERMANENT, "raise memory");
	/* What one put takes goes in one, where parts cannot be. */
	b.s->caps.put_max = BIG_SIZE;
	assert_int_equal(publish(&b).cls, DIF_OK);
	assert_int_equal(mem_count(b.s, DIF_PUT, BIG), 1);
	check_text(b.s, BIG, b.text);
	big_free(&b);
}

/* flow/probe found that the store joins parts whatever the condition says. */
TEST(where_parts_are_not_fenced_only_what_must_goes_in_parts)
{
	UNUSED_STATE;
	struct big b = big_new(BUDGET);
	struct dif_delivery *d = calloc(1, sizeof *d);
	assert_non_null(d);
	b.s->caps.put_max = 5ull << 30;
	b.s->caps.part_count = 100000;
	d->to = &b.w->destinations[0];
	d->job.spool = b.w->setup.spool;
	assert_true(dif_upload_is_due(d, 65 * MIB));
	b.w->destinations[0].whole_only = true;
	assert_false(dif_upload_is_due(d, 65 * MIB));
	assert_true(dif_upload_is_due(d, (5ull << 30) + 1));
	free(d);
	big_free(&b);
}

/* Two destinations, three large objects and many small ones, and memory for five parts. */
TEST(the_budget_is_never_exceeded)
{
	UNUSED_STATE;
	enum { LARGE = 3, SMALL = 40 };
	static char names[SMALL][16];
	struct file files[SMALL + LARGE + 1] = {{"index.html", INDEX("1")}};
	char *text[LARGE], *small = content(100000, 3);
	struct world *w = world_new(5 * PART);
	uint32_t n = 1;
	for (uint32_t i = 0; i < LARGE; i++) {
		static const char *const large[] = {"a.bin", "b.bin", "c.bin"};
		text[i] = content(2 * MIB + i, i);
		files[n++] = (struct file){large[i], text[i]};
	}
	for (uint32_t i = 0; i < SMALL; i++) {
		snprintf(names[i], sizeof names[i], "s%u.json", i);
		files[n++] = (struct file){names[i], small};
	}
	struct cut *c = world_cut(w, 100, files, n);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		w->store[i]->caps = in_parts;
		w->store[i]->caps.part_parallel = 8;
	}
	assert_int_equal(world_exit(w, c, DESTINATIONS), 0);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		for (uint32_t k = 0; k < n; k++) {
			check_text(w->store[i], files[k].name, files[k].text);
		}
	}
	assert_in_range(dif_spool_peak(w->setup.spool), PART, 5 * PART);
	cut_free(c);
	world_free(w);
	for (uint32_t i = 0; i < LARGE; i++) {
		free(text[i]);
	}
	free(small);
}

TEST(a_stuck_upload_leaves_the_others_their_share)
{
	UNUSED_STATE;
	struct big b = big_new(4 * PART);
	b.s->stuck = BIG;
	struct dif_publication *p = world_start(b.w, b.c, 2, false);
	world_until(b.w, has_begun, &b.s->parts);
	while (mem_find(b.w->store[1], BIG) == NULL) {
		uv_run(&b.w->setup.engine->loop, UV_RUN_ONCE);
	}
	assert_int_equal(b.s->parts.most, 2); /* half of the budget */
	b.s->stuck = NULL;
	mem_wake(b.s);
	world_wait(b.w);
	assert_int_equal(dif_publication_exit(p), 0);
	dif_publication_free(p);
	big_free(&b);
}

/* Five gigabytes of zeros, stored, in a file with a hole. */
static void make_huge(struct cut *c, uint64_t size)
{
	static const uint8_t sha256[32] = {0x7f, 0x06, 0xc6, 0x23, 0x52, 0xae, 0xbd, 0x81,
	                                   0x25, 0xb2, 0xa1, 0x84, 0x1e, 0x2b, 0x9e, 0x1f,
	                                   0xfc, 0xbe, 0xd6, 0x02, 0xf3, 0x81, 0xc3, 0xdc,
	                                   0xb3, 0x20, 0x02, 0x00, 0xe3, 0x83, 0xd1, 0xd5};
	char name[64];
	struct dif_member *m = NULL;
	struct stat st;
	snprintf(name, sizeof name, "/proc/self/fd/%d", c->package->fd);
	assert_int_equal(stat(name, &st), 0);
	assert_int_equal(truncate(name, st.st_size + (off_t)size), 0);
	for (uint32_t i = 0; i < c->manifest->n; i++) {
		if (strcmp(c->manifest->members[i].path, BIG) == 0) {
			m = &c->manifest->members[i];
		}
	}
	assert_non_null(m);
	m->offset = (uint64_t)st.st_size;
	m->size = m->packed = m->form[DIF_IDENTITY].size = size;
	m->method = 0;
	m->crc = 0x193838c3;
	m->form[DIF_GZIP].has = 0;
	m->form[DIF_IDENTITY].has = DIF_HAS(DIF_SHA256);
	memcpy(m->form[DIF_IDENTITY].sha256, sha256, sizeof sha256);
}

TEST(five_gigabytes_take_no_more_memory_than_the_budget)
{
	UNUSED_STATE;
	const uint64_t size = 5ull << 30;
	struct big b = big_new(32 * MIB);
	make_huge(b.c, size);
	b.s->parts.hollow = true;
	b.w->timeout_ms = PATIENCE_MS;
	b.s->caps.put_max = INT64_MAX; /* as one put it would not be tried again */
	b.s->caps.part_min = 5 * MIB;
	b.s->caps.part_max = 5ull << 30;
	b.s->caps.part_count = 10000;
	b.s->caps.part_digest = DIF_NO_DIGEST;
	struct dif_error err = publish(&b);
	if (err.cls != DIF_OK) {
		fail_msg("%s", err.text);
	}
	assert_int_equal(mem_find(b.s, BIG)->n, size);
	assert_int_equal(count(&b, DIF_PART_PUT), size / (8 * MIB));
	assert_int_equal(count(&b, DIF_GET), 1);
	assert_in_range(dif_spool_peak(b.w->setup.spool), 8 * MIB, 32 * MIB);
	big_free(&b);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_arrive_in_any_order_and_the_object_is_read_back),
		cmocka_unit_test(one_at_a_time_where_the_store_takes_them_in_order),
		cmocka_unit_test(the_size_of_a_part_keeps_every_bound),
		cmocka_unit_test(the_gzip_form_goes_in_parts_too),
		cmocka_unit_test(a_damaged_part_is_sent_again),
		cmocka_unit_test(what_a_store_has_of_a_part_is_not_sent_again),
		cmocka_unit_test(an_upload_that_is_gone_begins_again),
		cmocka_unit_test(a_failure_drops_the_parts),
		cmocka_unit_test(a_lost_condition_is_judged_like_that_of_a_put),
		cmocka_unit_test(
			a_store_that_ignores_the_condition_of_a_finish_is_looked_at_before),
		cmocka_unit_test(a_finish_whose_answer_was_lost_counts_as_arrived),
		cmocka_unit_test(what_the_store_joined_otherwise_is_put_again),
		cmocka_unit_test(a_stop_drops_the_parts),
		cmocka_unit_test(a_deadline_drops_the_parts),
		cmocka_unit_test(what_no_store_takes_is_told),
		cmocka_unit_test(the_budget_is_never_exceeded),
		cmocka_unit_test(a_stuck_upload_leaves_the_others_their_share),
		cmocka_unit_test(where_parts_are_not_fenced_only_what_must_goes_in_parts),
		cmocka_unit_test(five_gigabytes_take_no_more_memory_than_the_budget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
