/* store_parts - large objects in parts, against a real server. */
#include "tests/cloud/store.h"

#define HELLO "hello world"

static struct parts {
	struct store_blob whole, part;
	struct dif_put put;
	struct dif_part in;
	const char *tokens[3];
	char *bytes;
	size_t size, n; /* of all parts but the last, of all */
} parts;

static void begin_parts(const char *key, bool if_absent)
{
	uint64_t align = caps->part_align > 0 ? caps->part_align : 1;
	uint64_t size = caps->part_min > 256u << 10 ? caps->part_min : 256u << 10;
	parts.size = (size_t)((size + align - 1) / align * align);
	parts.n = 2 * parts.size + 11;
	parts.bytes = odd_bytes(parts.n);
	parts.put = put_of(key, store_blob(&parts.whole, parts.bytes, parts.n));
	parts.put.if_absent = if_absent;
	parts.in = (struct dif_part){.put = &parts.put};
	const struct store_out *out = store_part(st, DIF_PART_BEGIN, &parts.in);
	check_ok(out);
	assert_true(*out->upload != '\0');
	parts.in.upload = out->upload;
}

/* In as many pieces as the store wants. */
static const struct store_out *put_part(uint32_t i)
{
	struct dif_part in = parts.in;
	uint64_t end = i < 2 ? (i + 1) * parts.size : parts.n;
	in.offset = i * parts.size;
	in.number = i + 1;
	for (;;) {
		size_t left = (size_t)(end - in.offset);
		in.blob = store_blob(&parts.part, parts.bytes + in.offset, left);
		const struct store_out *out = store_part(st, DIF_PART_PUT, &in);
		if (out->err.cls != DIF_OK || out->accepted == left) {
			parts.tokens[i] = out->token;
			return out;
		}
		assert_true(out->accepted > 0 && out->accepted < left);
		in.offset += out->accepted;
	}
}

static const struct store_out *finish_parts(void)
{
	struct dif_part in = parts.in;
	in.tokens = parts.tokens;
	in.ntokens = 3;
	return store_part(st, DIF_PART_FINISH, &in);
}

void parts_make_one_object(void **state_of_test)
{
	UNUSED_STATE;
	if (caps->part_max == 0) {
		skip();
	}
	static const uint32_t in_order[] = {0, 1, 2}, any_order[] = {2, 0, 1, 0};
	bool any = caps->part_parallel > 1; /* then in any order, and one twice */
	begin_parts("parts/a b+c.bin", false);
	for (uint32_t i = 0; i < (any ? 4u : 3u); i++) {
		check_class(store_head(st, &(struct dif_get){.key = parts.put.key}), DIF_NOT_FOUND);
		check_ok(put_part(any ? any_order[i] : in_order[i]));
	}
	const struct store_out *out = finish_parts();
	check_ok(out);
	assert_int_equal(out->attempts, 1); /* its answer was understood */
	char tag[256];
	(void)snprintf(tag, sizeof tag, "%s", out->object.tag);
	out = store_get(st, &(struct dif_get){.key = parts.put.key});
	check_ok(out);
	assert_string_equal(out->object.tag, tag);
	assert_int_equal(out->body.n, parts.n);
	assert_memory_equal(out->body.p, parts.bytes, parts.n);
	assert_string_equal(store_meta(&out->object, fence[1].name), fence[1].value);
	if (can(DIF_CAP_HEADERS)) {
		assert_string_equal(out->object.type, parts.put.type);
	}
	out = store_list(st, &(struct dif_list){.prefix = "parts/", .max = 10});
	check_ok(out);
	assert_int_equal(out->nrows, 1);
	assert_string_equal(out->rows[0].tag, tag);
	drop(parts.put.key);
	free(parts.bytes);
}

void parts_that_are_dropped_leave_nothing(void **state_of_test)
{
	UNUSED_STATE;
	if (caps->part_max == 0) {
		skip();
	}
	begin_parts("parts-dropped", false);
	check_ok(put_part(0));
	for (int i = 0; i < 2; i++) {
		check_ok(store_part(st, DIF_PART_ABORT, &parts.in));
	}
	check_class(store_head(st, &(struct dif_get){.key = parts.put.key}), DIF_NOT_FOUND);
	/* nor do they take the name */
	check_ok(put(parts.put.key, HELLO, NULL, keeps_conditions()));
	check_body(parts.put.key, HELLO);
	drop(parts.put.key);
	free(parts.bytes);
}

void other_bytes_in_a_part_are_refused(void **state_of_test)
{
	UNUSED_STATE;
	if (caps->part_max == 0 || caps->part_digest == 0) {
		skip();
	}
	begin_parts("parts-other", false);
	struct dif_part in = parts.in;
	in.blob = store_blob(&parts.part, parts.bytes, parts.size);
	in.number = 1;
	dif_body_bytes_init(&parts.part.body, parts.bytes + 1, parts.size);
	st->deadline_ms = 5000;
	check_class(store_part(st, DIF_PART_PUT, &in), DIF_INTEGRITY);
	st->deadline_ms = 30000;
	check_ok(store_part(st, DIF_PART_ABORT, &parts.in));
	free(parts.bytes);
}

void a_condition_on_parts_holds(void **state_of_test)
{
	UNUSED_STATE;
	if (caps->part_max == 0 || !keeps_conditions()) {
		skip();
	}
	begin_parts("parts-cond", true);
	check_ok(put_part(0));
	check_ok(put_part(1));
	check_ok(put("parts-cond", HELLO, NULL, false)); /* somebody else */
	const struct store_out *out = put_part(2);
	if (out->err.cls == DIF_OK) {
		out = finish_parts();
	}
	if (strstr(ini, "; parts are joined whatever the condition") != NULL) {
		check_ok(out); /* who says so must be found out when he learns it */
	} else {
		check_class(out, DIF_CONFLICT);
		check_body("parts-cond", HELLO);
	}
	(void)store_part(st, DIF_PART_ABORT, &parts.in);
	drop("parts-cond");
	free(parts.bytes);
}
