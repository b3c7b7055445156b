/* store - what every store plug-in must do against a real server, over TLS.
 *
 * STORE_INI names a file whose first section reaches an empty bucket or container; PLUGINS_D the
 * folder of the plug-ins. tests/cloud/run starts servers and calls this. What a store does not
 * claim in its caps is not asked of it.
 */
#include "tests/cloud/store.h"

#include "flow/probe.h"
#include "host/crypto.h"

#define HELLO "hello world"
#define MANY 1100 /* more than a page, more than one bulk delete */
#define LARGE (12u << 20)

char ini[16384];
const struct dif_caps *caps;

static int setup(void **state)
{
	(void)state;
	const char *path = getenv("STORE_INI");
	assert_non_null(path);
	FILE *f = fopen(path, "re");
	assert_non_null(f);
	size_t n = fread(ini, 1, sizeof ini - 1, f);
	assert_true(n > 0 && n < sizeof ini - 1);
	(void)fclose(f);
	st = store_open(ini, NULL);
	caps = dif_instance_caps(st->instance);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(st);
	return 0;
}

bool can(uint32_t flag)
{
	return (caps->flags & flag) != 0;
}

/* --- one object --- */

const struct dif_field fence[] = {
	{"epoch", "1"},
	{"order", "1700000000000"},
	{"sha256", "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"}};

struct dif_put put_of(const char *key, const struct dif_blob *blob)
{
	return (struct dif_put){.key = key,
	                        .blob = blob,
	                        .type = "text/html; charset=utf-8",
	                        .cache = "public, max-age=5, stale-if-error=86400",
	                        .meta = fence,
	                        .nmeta = 3,
	                        .use = caps->digests[0]};
}

const struct store_out *put(const char *key, const char *text, const char *if_tag, bool if_absent)
{
	static struct store_blob b;
	struct dif_put in = put_of(key, store_blob(&b, text, strlen(text)));
	in.if_tag = if_tag;
	in.if_absent = if_absent;
	return store_put(st, &in);
}

static const char *tag_of(const char *key)
{
	const struct store_out *out = store_head(st, &(struct dif_get){.key = key});
	check_ok(out);
	return out->object.tag;
}

void drop(const char *key)
{
	check_ok(store_remove(st, &(struct dif_remove){.keys = &key, .n = 1}));
}

void check_body(const char *key, const char *want)
{
	const struct store_out *out = store_get(st, &(struct dif_get){.key = key});
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), want);
}

/* Object as of put, head, get or list: what it tells must be what was put. */
static void check_hello(const struct dif_object *o, const char *tag)
{
	uint8_t want[DIF_DIGEST_MAX];
	assert_string_equal(o->tag, tag);
	assert_int_equal(o->size, strlen(HELLO));
	for (enum dif_digest d = DIF_CRC32C; d < DIF_DIGESTS; d++) {
		if ((o->has & DIF_HAS(d)) != 0 && dif_hash(d, HELLO, strlen(HELLO), want)) {
			assert_int_equal(o->digest[d].n, dif_digest_size(d));
			assert_memory_equal(o->digest[d].p, want, o->digest[d].n);
		}
	}
	if (o->meta_known) {
		for (size_t i = 0; i < 3; i++) {
			assert_string_equal(store_meta(o, fence[i].name), fence[i].value);
		}
	}
}

TEST(probe_reaches_the_store)
{
	UNUSED_STATE;
	check_ok(store_probe(st));
}

TEST(a_missing_key_is_an_answer)
{
	UNUSED_STATE;
	check_class(store_head(st, &(struct dif_get){.key = "missing"}), DIF_NOT_FOUND);
	check_class(store_get(st, &(struct dif_get){.key = "missing"}), DIF_NOT_FOUND);
	drop("missing");
}

TEST(an_object_comes_back_as_it_was_put)
{
	UNUSED_STATE;
	char tag[256];
	const struct store_out *out = put("one/a.html", HELLO, NULL, false);
	check_ok(out);
	assert_true(*out->object.tag != '\0');
	(void)snprintf(tag, sizeof tag, "%s", out->object.tag);

	out = store_head(st, &(struct dif_get){.key = "one/a.html"});
	check_ok(out);
	check_hello(&out->object, tag);
	assert_true(out->object.meta_known);
	assert_true(out->object.modified > 1600000000);
	if (can(DIF_CAP_HEADERS)) {
		assert_string_equal(out->object.type, "text/html; charset=utf-8");
		assert_string_equal(out->object.cache, "public, max-age=5, stale-if-error=86400");
	}
	out = store_get(st, &(struct dif_get){.key = "one/a.html"});
	check_ok(out);
	check_hello(&out->object, tag);
	assert_int_equal(out->total, strlen(HELLO));
	assert_string_equal(dif_buf_str(&out->body), HELLO);

	struct dif_list in = {.prefix = "one/", .max = 10, .want_meta = can(DIF_CAP_LIST_META)};
	out = store_list(st, &in);
	check_ok(out);
	assert_int_equal(out->nrows, 1);
	assert_string_equal(out->rows[0].key, "one/a.html");
	assert_int_equal(out->rows[0].meta_known, can(DIF_CAP_LIST_META));
	check_hello(&out->rows[0], tag);
	drop("one/a.html");
	check_class(store_head(st, &(struct dif_get){.key = "one/a.html"}), DIF_NOT_FOUND);
}

TEST(a_part_of_an_object_and_only_of_that_object)
{
	UNUSED_STATE;
	check_ok(put("part", HELLO, NULL, false));
	const char *tag = tag_of("part");
	struct dif_get in = {.key = "part", .offset = 6, .if_tag = tag};
	const struct store_out *out = store_get(st, &in);
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "world");
	assert_int_equal(out->total, strlen(HELLO));
	in = (struct dif_get){.key = "part", .offset = 3, .length = 4};
	out = store_get(st, &in);
	check_ok(out);
	assert_string_equal(dif_buf_str(&out->body), "lo w");
	in = (struct dif_get){.key = "part", .unless_tag = tag};
	out = store_get(st, &in);
	check_ok(out);
	assert_true(out->not_modified);
	check_ok(put("part", "something else", NULL, false));
	in = (struct dif_get){.key = "part", .offset = 6, .if_tag = tag};
	check_class(store_get(st, &in), DIF_CONFLICT);
	drop("part");
}

char *odd_bytes(size_t n)
{
	char *bytes = malloc(n + 1);
	assert_non_null(bytes);
	for (size_t i = 0; i < n; i++) {
		bytes[i] = (char)((i * 2654435761u) >> 13);
	}
	return bytes;
}

static void check_size(const char *key, size_t n)
{
	static struct store_blob b;
	char *bytes = odd_bytes(n);
	struct dif_put in = put_of(key, store_blob(&b, bytes, n));
	check_ok(store_put(st, &in));
	const struct store_out *out = store_get(st, &(struct dif_get){.key = key});
	check_ok(out);
	assert_int_equal(out->body.n, n);
	if (n > 0) {
		assert_memory_equal(out->body.p, bytes, n);
	}
	free(bytes);
	drop(key);
}

TEST(nothing_and_much)
{
	UNUSED_STATE;
	check_size("empty", 0);
	check_size("large", LARGE);
}

/* The store itself must refuse bytes that do not fit the digest, or the digest guards nothing. */
TEST(other_bytes_are_refused)
{
	UNUSED_STATE;
	static struct store_blob b;
	const char *text = HELLO;
	struct dif_put in = put_of("other", store_blob(&b, text, strlen(text)));
	dif_body_bytes_init(&b.body, "hello WORLD", strlen(text));
	st->deadline_ms = 5000;
	check_class(store_put(st, &in), DIF_INTEGRITY);
	st->deadline_ms = 30000;
	check_class(store_head(st, &(struct dif_get){.key = "other"}), DIF_NOT_FOUND);
}

/* --- conditions --- */

static const char *bare(const char *tag)
{
	static char to[256];
	(void)snprintf(to, sizeof to, "%.*s", (int)strlen(tag) - 2, tag + 1);
	return to;
}

bool keeps_conditions(void)
{
	if (!can(DIF_CAP_COND)) {
		return false;
	}
	const struct store_out *out = put("conditions", "1", NULL, true);
	if (out->err.status == 501) {
		check_class(out, DIF_PERMANENT);
		check_class(store_head(st, &(struct dif_get){.key = "conditions"}), DIF_NOT_FOUND);
		return false;
	}
	check_ok(out);
	drop("conditions");
	return true;
}

struct probing {
	struct dif_error err;
	bool done;
};

static void on_probed(void *data, const struct dif_error *err)
{
	struct probing *p = data;
	p->err = *err;
	p->done = true;
}

/* A put of the key that exists, one bit of the digest that guards it turned. */
static bool is_enforced(uint32_t digest)
{
	struct store_blob b;
	struct dif_put in = put_of("guarded", store_blob(&b, HELLO, strlen(HELLO)));
	in.use = digest;
	b.digest[digest][0] ^= 1;
	return store_put(st, &in)->err.cls != DIF_OK;
}

TEST(the_probe_finds_the_cheapest_digest_that_is_enforced)
{
	UNUSED_STATE;
	const struct dif_destination_config config = {.name = "cloud", .prefix = ""};
	struct dif_destination d = {0};
	struct probing p = {0};
	if (caps->digests[1] == DIF_NO_DIGEST) {
		skip(); /* there is nothing to choose */
	}
	dif_destination_init(&d, &config, st->instance);
	assert_non_null(dif_probe_start(&d, NULL, on_probed, &p));
	while (!p.done) {
		uv_run(&st->engine->loop, UV_RUN_ONCE);
	}
	assert_string_equal(p.err.text, "");
	check_ok(put("guarded", HELLO, NULL, false));
	uint32_t first = DIF_NO_DIGEST;
	for (size_t i = 0; i < DIF_LEN(caps->digests) && caps->digests[i] != 0; i++) {
		bool enforced = is_enforced(caps->digests[i]);
		print_message("%s: %s\n", dif_digest_name(caps->digests[i]),
		              enforced ? "enforced" : "ignored");
		first = enforced && first == DIF_NO_DIGEST ? caps->digests[i] : first;
	}
	assert_int_not_equal(first, DIF_NO_DIGEST);
	assert_int_equal(d.guard, first);
	assert_false(d.unguarded);
	drop("guarded");
	dif_destination_fini(&d);
}

TEST(conditions_hold)
{
	UNUSED_STATE;
	if (!keeps_conditions()) {
		skip();
	}
	char first[256], second[256];
	const struct store_out *out = put("cond", "1", NULL, true);
	check_ok(out);
	(void)snprintf(first, sizeof first, "%s", out->object.tag);
	check_class(put("cond", "2", NULL, true), DIF_CONFLICT);
	check_body("cond", "1");

	/* the tag as it is, or without its quotes: the host finds out which (flow/probe) */
	bool quoted = true;
	out = put("cond", "2", first, false);
	if (out->err.cls == DIF_CONFLICT && first[0] == '"') {
		quoted = false;
		out = put("cond", "2", bare(first), false);
	}
	check_ok(out);
	(void)snprintf(second, sizeof second, "%s", out->object.tag);
	assert_string_not_equal(first, second);
	check_class(put("cond", "3", quoted ? first : bare(first), false), DIF_CONFLICT);
	check_body("cond", "2");

	if (can(DIF_CAP_UNIQUE_TAG)) {
		out = put("cond", "2", second, false);
		check_ok(out);
		assert_string_not_equal(out->object.tag, second);
	}
	drop("cond");
	check_class(put("cond", "3", quoted ? first : bare(first), false), DIF_CONFLICT);
}

TEST(a_tag_on_remove_holds)
{
	UNUSED_STATE;
	if (!can(DIF_CAP_COND_REMOVE)) {
		skip();
	}
	const char *key = "gone";
	check_ok(put(key, "1", NULL, true));
	const char *old = tag_of(key);
	check_ok(put(key, "2", old, false));
	struct dif_remove in = {.keys = &key, .tags = &old, .n = 1};
	const struct store_out *out = store_remove(st, &in);
	assert_true(out->err.cls == DIF_CONFLICT ||
	            (out->nitems == 1 && out->items[0].cls == DIF_CONFLICT));
	check_body(key, "2");
	const char *now = tag_of(key);
	in.tags = &now;
	check_ok(store_remove(st, &in));
	check_class(store_head(st, &(struct dif_get){.key = key}), DIF_NOT_FOUND);
}

/* --- names --- */

static const char *const odd[] = {
	"odd/a b.html",
	"odd/a%20b.html",
	"odd/a+b.html",
	"odd/a&b=c;d,e.html",
	"odd/\xc3\xb1u\xc3\xba-\xe2\x82\xac.json",
	"odd/\xf0\x9f\x97\xb3.json",
	"odd/quote'\"`.js",
	"odd/(x)[y]{z}<w>!@$^~.css",
	"odd/question?hash#.html",
	"odd/UPPER/lower",
	"odd/.hidden",
	"odd/a=b|c*.html",
	".difusor/live",
};

TEST(names_are_what_they_are)
{
	UNUSED_STATE;
	uint32_t n = sizeof odd / sizeof *odd;
	for (uint32_t i = 0; i < n; i++) {
		check_ok(put(odd[i], odd[i], NULL, false));
	}
	const struct store_out *out =
		store_list(st, &(struct dif_list){.prefix = "odd/", .max = 1000});
	check_ok(out);
	assert_int_equal(out->nrows, n - 1);
	for (uint32_t i = 0; i + 1 < n; i++) {
		uint32_t k = 0;
		while (k < out->nrows && strcmp(out->rows[k].key, odd[i]) != 0) {
			k++;
		}
		if (k == out->nrows) {
			fail_msg("not listed: %s", odd[i]);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		check_body(odd[i], odd[i]);
	}
	for (uint32_t i = 0; i < n; i += caps->delete_max) {
		uint32_t some = n - i < caps->delete_max ? n - i : caps->delete_max;
		out = store_remove(st, &(struct dif_remove){.keys = odd + i, .n = some});
		check_ok(out);
		for (uint32_t k = 0; k < some; k++) {
			assert_int_equal(out->items[k].cls, DIF_OK);
		}
	}
	for (uint32_t i = 0; i < n; i++) {
		check_class(store_head(st, &(struct dif_get){.key = odd[i]}), DIF_NOT_FOUND);
	}
}

/* --- many --- */

static struct many {
	char key[MANY][32];
	const char *keys[MANY];
	struct dif_put put[MANY];
	struct dif_remove remove[MANY];
	struct store_blob blob;
	uint32_t left, bad;
	char why[768];
} many;

static void on_one(void *data, const struct dif_outcome *out)
{
	(void)data;
	many.left--;
	bool ok = out->err.cls == DIF_OK;
	for (uint32_t i = 0; i < out->nitems; i++) {
		ok = ok && out->items[i].cls == DIF_OK;
	}
	if (!ok) {
		many.bad++;
		(void)snprintf(many.why, sizeof many.why, "%s", out->err.text);
	}
}

static void wait_for_all(void)
{
	while (many.left > 0) {
		(void)uv_run(&st->engine->loop, UV_RUN_ONCE);
	}
	if (many.bad > 0) {
		fail_msg("%u of %d failed: %s", many.bad, MANY, many.why);
	}
}

static void put_all(void)
{
	const struct dif_blob *blob = store_blob(&many.blob, HELLO, strlen(HELLO));
	many.left = MANY;
	for (uint32_t i = 0; i < MANY; i++) {
		(void)snprintf(many.key[i], sizeof many.key[i], "many/%04u.json", i);
		many.keys[i] = many.key[i];
		many.put[i] = put_of(many.key[i], blob);
		dif_op_start(st->instance, DIF_PUT, &many.put[i], 120000, on_one, NULL);
	}
	wait_for_all();
}

static void remove_all(void)
{
	uint32_t ops = 0;
	many.left = (MANY + caps->delete_max - 1) / caps->delete_max;
	for (uint32_t i = 0; i < MANY; i += caps->delete_max, ops++) {
		uint32_t n = MANY - i < caps->delete_max ? MANY - i : caps->delete_max;
		many.remove[ops] = (struct dif_remove){.keys = many.keys + i, .n = n};
		dif_op_start(st->instance, DIF_REMOVE, &many.remove[ops], 120000, on_one, NULL);
	}
	wait_for_all();
}

TEST(pages_hold_every_key_once)
{
	UNUSED_STATE;
	char cursor[4096] = "";
	uint32_t seen = 0, pages = 0;
	put_all();
	do {
		const struct store_out *out =
			store_list(st, &(struct dif_list){.prefix = "many/",
		                                          .cursor = pages > 0 ? cursor : NULL,
		                                          .max = caps->list_max,
		                                          .want_meta = can(DIF_CAP_LIST_META)});
		check_ok(out);
		for (uint32_t i = 0; i < out->nrows; i++, seen++) {
			assert_true(seen < MANY);
			assert_string_equal(out->rows[i].key, many.key[seen]);
			assert_int_equal(out->rows[i].size, strlen(HELLO));
		}
		(void)snprintf(cursor, sizeof cursor, "%s", out->cursor ? out->cursor : "");
		pages++;
	} while (*cursor != '\0');
	assert_int_equal(seen, MANY);
	assert_true(pages >= 2);
	remove_all();
	const struct store_out *out =
		store_list(st, &(struct dif_list){.prefix = "many/", .max = 1000});
	check_ok(out);
	assert_int_equal(out->nrows, 0);
}

/* --- trust --- */

/* The configuration with the line of that key changed by one letter, or left out. False: it has no
 * such line. */
static bool changed(const char *key, bool leave_out, char *to, size_t max)
{
	char begin[64];
	(void)snprintf(begin, sizeof begin, "\n%s = ", key);
	const char *at = strstr(ini, begin);
	if (at == NULL) {
		return false;
	}
	const char *rest = leave_out ? at + strcspn(at + 1, "\n") + 1 : at;
	(void)snprintf(to, max, "%.*s%s", (int)(at - ini), ini, rest);
	if (!leave_out) {
		char *letter = to + (at - ini) + strlen(begin);
		*letter = *letter == 'a' ? 'b' : 'a';
	}
	return true;
}

/* The configuration with a file of credentials whose key the server does not know, which lies
 * beside that of one it knows. False: it has no such file. */
static bool strange(char *to, size_t max)
{
	static const char *const files[][2] = {{"/account.json\n", "/stranger.json\n"},
	                                       {"/federated.jwt\n", "/stranger.jwt\n"}};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		const char *at = strstr(ini, files[i][0]);
		if (at != NULL) {
			(void)snprintf(to, max, "%.*s%s%s", (int)(at - ini), ini, files[i][1],
			               at + strlen(files[i][0]));
			return true;
		}
	}
	return false;
}

static const struct store_out *probe_of(const char *text, struct store **other)
{
	*other = store_open(text, NULL);
	(*other)->deadline_ms = 5000;
	return store_probe(*other);
}

TEST(a_wrong_secret_is_refused)
{
	UNUSED_STATE;
	char text[sizeof ini];
	struct store *other;
	static const char *const secrets[] = {"secret_access_key", "account_key", "sas_token",
	                                      "client_secret", "identity_header"};
	bool is_wrong = strange(text, sizeof text);
	for (size_t i = 0; !is_wrong && i < sizeof secrets / sizeof *secrets; i++) {
		is_wrong = changed(secrets[i], false, text, sizeof text);
	}
	if (!is_wrong) {
		skip();
	}
	check_class(probe_of(text, &other), DIF_AUTH);
	store_close(other);
}

TEST(a_server_of_an_unknown_authority_is_refused)
{
	UNUSED_STATE;
	char text[sizeof ini];
	struct store *other;
	if (!changed("ca_file", true, text, sizeof text)) {
		skip();
	}
	const struct store_out *out = probe_of(text, &other);
	assert_int_not_equal(out->err.cls, DIF_OK);
	check_text(out, "certificate");
	store_close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(probe_reaches_the_store),
		cmocka_unit_test(a_missing_key_is_an_answer),
		cmocka_unit_test(an_object_comes_back_as_it_was_put),
		cmocka_unit_test(a_part_of_an_object_and_only_of_that_object),
		cmocka_unit_test(nothing_and_much),
		cmocka_unit_test(other_bytes_are_refused),
		cmocka_unit_test(the_probe_finds_the_cheapest_digest_that_is_enforced),
		cmocka_unit_test(conditions_hold),
		cmocka_unit_test(a_tag_on_remove_holds),
		cmocka_unit_test(parts_make_one_object),
		cmocka_unit_test(parts_that_are_dropped_leave_nothing),
		cmocka_unit_test(other_bytes_in_a_part_are_refused),
		cmocka_unit_test(a_condition_on_parts_holds),
		cmocka_unit_test(names_are_what_they_are),
		cmocka_unit_test(pages_hold_every_key_once),
		cmocka_unit_test(a_wrong_secret_is_refused),
		cmocka_unit_test(a_server_of_an_unknown_authority_is_refused),
	};
	cmocka_set_test_filter(getenv("STORE_TESTS")); /* NULL: all */
	return cmocka_run_group_tests_name("cloud", tests, setup, teardown);
}
