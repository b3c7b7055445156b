/* services - what plug-ins read, build and are told, from inside a verb; and what open may use. */
#include "support.h"

#include "base/clock.h"
#include "base/parse.h"
#include "unit/support/opkit.h"

static const struct dif_host *const host = &dif_host_services;

/* Each test is the body of a verb, or of its first step. */
static void (*body)(struct dif_op *op, const struct dif_reply *r);

static void on_reply(struct dif_op *op, const struct dif_reply *r)
{
	body(op, r);
	host->done(op, &(struct dif_result){0});
}

static void get(struct dif_op *op)
{
	host->http(op, &(struct dif_http){.method = "GET", .url = "https://b.example/"}, on_reply);
}

static struct dif_store store;
static struct dif_offer offer;

static void run(void (*test)(struct dif_op *, const struct dif_reply *),
                const struct script_reply *reply)
{
	struct seen s = {0};
	body = test;
	store = opkit_store;
	store.get = get;
	offer = (struct dif_offer){.kind = DIF_STORE,
	                           .flags = DIF_OFFER_HTTP,
	                           .name = "services",
	                           .what = "for tests",
	                           .verbs = &store.c};
	struct opkit *k = opkit_new_with(&offer);
	script_expect(k->s, &(struct script_want){.method = "GET"}, reply);
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	if (s.err.cls != DIF_OK) {
		fail_msg("%s", s.err.text);
	}
	opkit_free(k);
}

static void check_text(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	struct dif_text *t = host->text(op);
	assert_string_equal(host->end(t).p, "");
	for (int i = 0; i < 1000; i++) {
		host->add(t, "%04d,", i);
	}
	host->add_bytes(t, "a\0b", 3);
	host->add_bytes(t, "", 0);
	host->add(t, "%s", "");
	struct dif_bytes b = host->end(t);
	assert_int_equal(b.n, 5003);
	assert_memory_equal((const char *)b.p + 4995, "0999,a\0b", 9); /* with its NUL */
	char long_text[600];
	memset(long_text, 'x', sizeof long_text);
	long_text[599] = '\0';
	t = host->text(op);
	host->add(t, "%s", long_text);
	assert_int_equal(host->end(t).n, 599);
	t = host->text(op);
	host->add(t, "%s|%.*s|%s", "a", 598, long_text, "b");
	assert_int_equal(host->end(t).n, 602);
	assert_int_equal(strlen(host->end(t).p), 602);
	assert_string_equal((const char *)host->end(t).p + 599, "x|b");
	assert_string_equal(host->fmt(op, "%s-%d", "a", 7), "a-7");
	assert_string_equal(host->fmt(op, "%s", ""), "");
	assert_string_equal(host->fmt(op, "<%.*s>%s", 2, "abc", "d"), "<ab>d");
	assert_string_equal(host->fmt(op, "<%.*s>", -1, "abc"), "<abc>");
	assert_string_equal(host->fmt(op, "<%.*s>", 0, "abc"), "<>");
	assert_string_equal(host->fmt(op, "%s %3s|%.2s|%%|%c", "a", "b", "cde", 'f'),
	                    "a   b|cd|%|f");
	for (int n = 508; n < 518; n++) { /* short texts are made elsewhere */
		const char *s = host->fmt(op, "%.*s%s", n - 1, long_text, "y");
		assert_int_equal(strlen(s), n);
		assert_int_equal(s[n - 1], 'y');
	}
	assert_string_equal(host->enc(op, DIF_QUERY, "a/b", 3), "a%2Fb");
	assert_string_equal(host->dec(op, DIF_BASE64, "aGk=").p, "hi");
	assert_null(host->dec(op, DIF_BASE64, "a").p);
	const char *zeroed = host->alloc(op, 100);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(zeroed[i], 0);
	}
}

TEST(text_is_built)
{
	UNUSED_STATE;
	run(check_text, &(struct script_reply){.status = 200});
}

static void check_reply(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_field *meta = NULL;
	assert_string_equal(host->field(r, "x-two", 0), "1");
	assert_string_equal(host->field(r, "x-two", 1), "2");
	assert_null(host->field(r, "x-two", 2));
	assert_null(host->field(r, "X-Two", 0));
	assert_null(host->field(NULL, "x-two", 0));
	assert_int_equal(host->metas(op, r, "x-meta-", &meta), 2);
	assert_string_equal(meta[0].name, "order");
	assert_string_equal(meta[0].value, "7");
	assert_string_equal(meta[1].name, "sha256");
	assert_int_equal(host->metas(op, r, "x-none-", &meta), 0);
	const struct dif_node *t = host->tree(op, r, DIF_AS_XML, "Page");
	assert_int_equal(host->num(op, host->get(t, "N"), UINT64_MAX), 18446744073709551615u);
	assert_int_equal(host->fields_of(op, host->get(t, "Metadata"), &meta), 2);
	assert_string_equal(meta[0].name, "order");
	assert_string_equal(meta[1].value, "");
	assert_int_equal(host->fields_of(op, NULL, &meta), 0);
	assert_null(host->parse(op, DIF_AS_JSON, r->body));
	assert_string_equal(host->str(host->next(t, "N", NULL)), "18446744073709551615");
	assert_null(host->get(NULL, "N"));
}

TEST(replies_are_read)
{
	UNUSED_STATE;
	run(check_reply,
	    &(struct script_reply){
		    .status = 200,
		    .fields = {"X-Two: 1", "X-Meta-Order: 7", "x-two: 2", "x-meta-SHA256: aa"},
		    .body = "<Page><N>18446744073709551615</N><Metadata><Order>7</Order>"
			    "<empty/></Metadata></Page>"});
}

static void check_crypto(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	char hex[65];
	struct dif_bytes d = host->hash(op, DIF_SHA256, (struct dif_bytes){"abc", 3});
	assert_int_equal(d.n, 32);
	dif_hex(hex, d.p, d.n);
	assert_string_equal(hex,
	                    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	d = host->hmac(op, DIF_SHA256, (struct dif_bytes){"Jefe", 4},
	               (struct dif_bytes){"what do ya want for nothing?", 28});
	dif_hex(hex, d.p, d.n);
	assert_string_equal(hex,
	                    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	assert_true(host->equal(d, d));
	uint8_t a[16] = {0}, b[16] = {0};
	host->random(op, a, sizeof a);
	host->random(op, b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

TEST(digests_and_macs_are_made)
{
	UNUSED_STATE;
	run(check_crypto, &(struct script_reply){.status = 200});
}

static void check_time(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	int64_t at = 784111777, now = host->now(op), here = dif_wall_ms() / 1000;
	static const char *const texts[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "19941106T084937Z",
	                                    "1994-11-06T08:49:37Z", "19941106T08:49:37+0000",
	                                    "784111777"};
	for (uint32_t f = DIF_DATE_HTTP; f <= DIF_DATE_EPOCH; f++) {
		assert_string_equal(host->date(op, f, at), texts[f]);
		assert_int_equal(host->undate(texts[f]), at);
	}
	assert_int_equal(host->undate("yesterday"), -1);
	assert_true(now >= here - 2 && now <= here);
	assert_string_equal(host->strftime(op, "%Y/%m/%d-%H%M", at), "1994/11/06-0849");
	assert_string_equal(host->strftime(op, "", at), "");
}

TEST(times_are_told)
{
	UNUSED_STATE;
	run(check_time, &(struct script_reply){.status = 200});
}

/* --- open --- */

static struct dif_error err;
static struct dif_engine *engine;
static bool (*opens)(void *self, struct dif_opening *o, struct dif_caps *caps);

struct self {
	const char *bucket;
	int64_t size;
};

static const struct dif_option options[] = {
	{.name = "bucket",
         .help = "a name",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .offset = offsetof(struct self, bucket)},
	{.name = "size",
         .def = "1MiB",
         .help = "a size",
         .type = DIF_SIZE,
         .offset = offsetof(struct self, size)},
};

static struct dif_instance *open_with(struct dif_arena *a, const char *ini)
{
	struct dif_ini_entry *list = NULL;
	dif_error_clear(&err);
	if (!dif_ini_parse(a, "x.ini", (struct dif_bytes){ini, strlen(ini)}, &list, &err)) {
		fail_msg("%s", err.text);
	}
	store = opkit_store;
	store.c.self_size = sizeof(struct self);
	store.c.open = opens;
	offer = (struct dif_offer){.kind = DIF_STORE,
	                           .flags = DIF_OFFER_HTTP,
	                           .name = "services",
	                           .what = "for tests",
	                           .options = options,
	                           .noptions = DIF_LEN(options),
	                           .verbs = &store.c};
	struct dif_instance *i = dif_instance_open(engine, &offer, list, "store eu", &err);
	for (const struct dif_ini_entry *e = list; i != NULL && e != NULL; e = e->next) {
		bool is_ours = strcmp(e->section, "store eu") == 0 && e->key != NULL &&
		               strcmp(e->key, "plugin") != 0;
		assert_int_equal(e->used, is_ours);
	}
	return i;
}

static bool open_well(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	struct self *s = self;
	const char *scheme = NULL, *authority = NULL, *path = NULL;
	assert_string_equal(o->name, "eu");
	assert_string_equal(s->bucket, "b");
	assert_int_equal(s->size, 1 << 20);
	assert_true(o->url(o, "https://h.example:8443/a/b", &scheme, &authority, &path));
	assert_string_equal(scheme, "https");
	assert_string_equal(authority, "h.example:8443");
	assert_string_equal(path, "/a/b");
	assert_true(o->url(o, "http://[::1]", &scheme, &authority, &path));
	assert_string_equal(authority, "[::1]");
	assert_string_equal(path, "");
	static const char *const bad[] = {
		"",    "h.example",    "https:/h",    "https://",    "https:///a",
		"//h", "https://u@h/", "https://h?q", "https://:80/"};
	for (size_t k = 0; k < DIF_LEN(bad); k++) {
		assert_false(o->url(o, bad[k], &scheme, &authority, &path));
	}
	assert_string_equal(o->fmt(o, "%s.%s", s->bucket, "x"), "b.x");
	assert_string_equal(o->dec(o, DIF_HEX, "6869").p, "hi");
	caps->writes_per_s = 1000;
	return true;
}

static bool open_refused(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	(void)self;
	(void)caps;
	o->refuse(o, "endpoint '%s' is no URL, write it with its scheme", "x");
	return false;
}

static bool open_silent(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	(void)self;
	(void)o;
	(void)caps;
	return false;
}

TEST(an_instance_opens_from_its_section)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, true);
	engine = dif_engine_new(&err);
	opens = open_well;
	struct dif_instance *i = open_with(&a, "[store other]\nbucket = o\n[store eu]\nplugin = x\n"
	                                       "bucket = b\nconnections = 7\nrate = 20\n"
	                                       "timeout = 2s\nplain = yes\n");
	if (i == NULL) {
		fail_msg("%s", err.text);
	}
	assert_string_equal(dif_instance_name(i), "eu");
	assert_ptr_equal(dif_instance_offer(i), &offer);
	const struct dif_caps *c = dif_instance_caps(i);
	assert_int_equal((int)c->writes_per_s, 20);
	assert_int_equal(c->list_max, 1000);
	assert_int_equal(c->put_max, UINT64_MAX);
	assert_null(c->hosts[0]); /* none named: none may be spoken to */
	assert_int_equal(dif_instance_pressure(i)->window_max, 7);
	dif_instance_close(i, NULL, NULL);
	dif_engine_run(engine);
	dif_engine_free(engine);
	dif_arena_fini(&a);
}

static void check_open_fails(const char *ini, const char *because)
{
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, true);
	assert_null(open_with(&a, ini));
	if (strstr(err.text, because) == NULL) {
		fail_msg("'%s' does not say '%s'", err.text, because);
	}
	assert_int_equal(err.cls, DIF_PERMANENT);
	dif_arena_fini(&a);
}

TEST(what_cannot_open_says_where_and_why)
{
	UNUSED_STATE;
	engine = dif_engine_new(&err);
	opens = open_well;
	check_open_fails("[store eu]\nplugin = x\n", "bucket");
	check_open_fails("[store eu]\nbucket = b\nconnections = 0\n", "x.ini:3");
	check_open_fails("[store eu]\nbucket = b\nca_file = relative.pem\n", "ca_file");
	opens = open_refused;
	check_open_fails("\n[store eu]\nbucket = b\n", "[store eu]: endpoint 'x' is no URL");
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
	assert_non_null(strstr(err.text, "x.ini:"));
	opens = open_silent;
	check_open_fails("[store eu]\nbucket = b\n", "without a word");
	dif_engine_free(engine);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_built),
		cmocka_unit_test(replies_are_read),
		cmocka_unit_test(digests_and_macs_are_made),
		cmocka_unit_test(times_are_told),
		cmocka_unit_test(an_instance_opens_from_its_section),
		cmocka_unit_test(what_cannot_open_says_where_and_why),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
