/* op - large objects in parts: a part is sent again, a finish is looked after like a put. */
#include "support.h"

#include "base/clock.h"
#include "host/secret.h"
#include "unit/support/opkit.h"

#define URL(key) "https://b.example/" key

static const struct dif_host *const host = &dif_host_services;

/* --- a plug-in: POST ?begin, PUT ?UPLOAD&NUMBER, POST ?finish, DELETE ?UPLOAD --- */

static void ask(struct dif_op *op, const char *method, const char *path,
                const struct dif_piece *piece, dif_step *next)
{
	const struct dif_part *in = op->in;
	struct dif_field attempt = {"x-attempt", host->fmt(op, "%u", op->attempt)};
	host->http(op,
	           &(struct dif_http){.method = method,
	                              .url = host->fmt(op, URL("%s?%s"), in->put->key, path),
	                              .fields = &attempt,
	                              .nfields = 1,
	                              .body = piece,
	                              .npieces = piece != NULL},
	           next);
}

static void on_begun(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.upload = host->field(r, "x-upload", 0)});
	}
}

static void begin(struct dif_op *op)
{
	ask(op, "POST", "begin", NULL, on_begun);
}

static void on_part(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_part *in = op->in;
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.token = host->field(r, "etag", 0),
		                                    .accepted = in->blob->size});
	}
}

static void put_part(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	struct dif_piece piece = {.blob = in->blob, .length = in->blob->size};
	ask(op, "PUT", host->fmt(op, "%s&%u", in->upload, in->number), &piece, on_part);
}

static void on_finished(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){.object.tag = host->field(r, "etag", 0)});
	}
}

static void finish(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	struct dif_text *t = host->text(op);
	for (uint32_t k = 0; k < in->ntokens; k++) {
		host->add(t, "%s;", in->tokens[k]);
	}
	ask(op, "POST", "finish", &(struct dif_piece){.bytes = host->end(t)}, on_finished);
}

static void on_aborted(struct dif_op *op, const struct dif_reply *r)
{
	if (host->good(op, r)) {
		host->done(op, &(struct dif_result){0});
	}
}

static void drop(struct dif_op *op)
{
	const struct dif_part *in = op->in;
	ask(op, "DELETE", in->upload, NULL, on_aborted);
}

static struct dif_caps told;

static bool open_instance(void *self, struct dif_opening *o, struct dif_caps *caps)
{
	static const char *const hosts[] = {"b.example", NULL};
	(void)self;
	(void)o;
	*caps = told;
	caps->hosts = hosts;
	return true;
}

static const struct dif_caps in_parts = {.part_min = 1,
                                         .part_max = 1 << 20,
                                         .part_count = 10,
                                         .part_parallel = 2,
                                         .part_digest = DIF_CRC32C};
static struct dif_store store;
static struct dif_offer offer;

static void set_up(const struct dif_caps *caps)
{
	told = *caps;
	store = opkit_store;
	store.c.open = open_instance;
	store.part_begin = begin;
	store.part_put = put_part;
	store.part_finish = finish;
	store.part_abort = drop;
	offer = (struct dif_offer){.kind = DIF_STORE,
	                           .flags = DIF_OFFER_HTTP,
	                           .name = "parts",
	                           .what = "for tests",
	                           .options = opkit_options,
	                           .noptions = opkit_noptions,
	                           .verbs = &store.c};
}

static struct opkit *kit(void)
{
	set_up(&in_parts);
	return opkit_new_with(&offer);
}

/* --- its input --- */

static const char *const tokens[] = {"t1", "t2"};

struct parting {
	struct putting put;
	struct dif_part in;
};

static void parting_init(struct parting *p, const char *if_tag)
{
	putting_init(&p->put, "k", if_tag, if_tag == NULL);
	p->in = (struct dif_part){.put = &p->put.in,
	                          .upload = "up-1",
	                          .blob = &p->put.blob,
	                          .number = 3,
	                          .tokens = tokens,
	                          .ntokens = 2};
}

struct got {
	struct seen seen;
	char upload[32], token[32];
	uint64_t accepted;
};

static void on_got(void *data, const struct dif_outcome *out)
{
	struct got *g = data;
	const char *upload = out->result.upload, *token = out->result.token;
	snprintf(g->upload, sizeof g->upload, "%s", upload != NULL ? upload : "");
	snprintf(g->token, sizeof g->token, "%s", token != NULL ? token : "");
	g->accepted = out->result.accepted;
	on_seen(&g->seen, out);
}

static struct got run(struct opkit *k, enum dif_verb_id verb, const struct dif_part *in)
{
	struct got g = {0};
	dif_op_start(k->i, verb, in, 0, on_got, &g);
	opkit_until(k, &g.seen.calls, 1);
	return g;
}

static void expect(struct opkit *k, const char *method, const char *url,
                   const struct script_reply *reply)
{
	script_expect(k->s, &(struct script_want){.method = method, .url = url}, reply);
}

static const struct script_reply good = {.status = 200, .fields = {"etag: \"new\""}};
static const struct script_reply broken = {.status = 500, .fields = {"retry-after: 0"}};
static const struct script_reply mine = {
	.status = 200,
	.fields = {"etag: \"mine\"", "x-meta-epoch: 0", "x-meta-order: 7", "x-meta-sha256: aa"}};
static const struct script_reply old = {
	.status = 200,
	.fields = {"etag: \"old\"", "x-meta-epoch: 0", "x-meta-order: 6", "x-meta-sha256: bb"}};

TEST(begin_gives_the_upload_and_put_the_token)
{
	UNUSED_STATE;
	struct opkit *k = kit();
	struct parting p;
	parting_init(&p, "\"old\"");
	expect(k, "POST", URL("k?begin"),
	       &(struct script_reply){.status = 200, .fields = {"x-upload: up-1"}});
	expect(k, "PUT", URL("k?up-1&3"),
	       &(struct script_reply){.status = 200, .fields = {"etag: t3"}});
	script_expect(
		k->s,
		&(struct script_want){.method = "POST", .url = URL("k?finish"), .body = "t1;t2;"},
		&good);
	expect(k, "DELETE", URL("k?up-1"), &(struct script_reply){.status = 204});
	assert_string_equal(run(k, DIF_PART_BEGIN, &p.in).upload, "up-1");
	struct got put = run(k, DIF_PART_PUT, &p.in);
	assert_string_equal(put.token, "t3");
	assert_int_equal(put.accepted, 5);
	assert_string_equal(run(k, DIF_PART_FINISH, &p.in).seen.tag, "\"new\"");
	assert_int_equal(run(k, DIF_PART_ABORT, &p.in).seen.err.cls, DIF_OK);
	opkit_free(k);
}

TEST(a_part_that_may_have_arrived_is_sent_again_and_told_so)
{
	UNUSED_STATE;
	struct opkit *k = kit();
	struct parting p;
	parting_init(&p, NULL);
	script_expect(k->s, &(struct script_want){.method = "PUT", .fields = {"x-attempt: 0"}},
	              &(struct script_reply){.sent = true});
	script_expect(
		k->s,
		&(struct script_want){.method = "PUT", .fields = {"x-attempt: 1"}, .body = "hello"},
		&broken);
	script_expect(k->s, &(struct script_want){.method = "PUT", .fields = {"x-attempt: 2"}},
	              &(struct script_reply){.status = 200, .fields = {"etag: t3"}});
	struct got g = run(k, DIF_PART_PUT, &p.in);
	assert_int_equal(g.seen.err.cls, DIF_OK);
	assert_string_equal(g.token, "t3");
	opkit_free(k);
}

TEST(an_upload_that_is_gone_is_an_outcome)
{
	UNUSED_STATE;
	struct opkit *k = kit();
	struct parting p;
	parting_init(&p, NULL);
	expect(k, "PUT", URL("k?up-1&3"), &(struct script_reply){.status = 404});
	expect(k, "POST", URL("k?finish"), &(struct script_reply){.status = 404});
	struct got g = run(k, DIF_PART_PUT, &p.in);
	assert_int_equal(g.seen.err.cls, DIF_NOT_FOUND);
	assert_string_equal(g.seen.err.text, "could not put a part of object 'k': HTTP 404");
	assert_null(strstr(g.seen.err.text, "up-1"));
	g = run(k, DIF_PART_FINISH, &p.in);
	assert_int_equal(g.seen.err.cls, DIF_NOT_FOUND);
	opkit_free(k);
}

/* After a finish that may have had its effect. */
static struct got finish_and_look(const struct script_reply *head, const struct script_reply *then,
                                  const struct script_reply *last)
{
	struct opkit *k = kit();
	struct parting p;
	parting_init(&p, "\"old\"");
	expect(k, "POST", URL("k?finish"), &broken);
	expect(k, "HEAD", URL("k"), head);
	if (then != NULL) {
		expect(k, "POST", URL("k?finish"), then);
	}
	if (last != NULL) {
		expect(k, "HEAD", URL("k"), last);
	}
	struct got g = run(k, DIF_PART_FINISH, &p.in);
	opkit_free(k);
	return g;
}

TEST(an_unknown_finish_is_read_back_like_a_put)
{
	UNUSED_STATE;
	const struct script_reply gone = {.status = 404};
	const struct script_reply other = {.status = 200, .fields = {"etag: \"other\""}};
	struct got g = finish_and_look(&mine, NULL, NULL);
	assert_int_equal(g.seen.err.cls, DIF_OK);
	assert_string_equal(g.seen.tag, "\"mine\"");
	g = finish_and_look(&old, &good, NULL);
	assert_int_equal(g.seen.err.cls, DIF_OK);
	assert_string_equal(g.seen.tag, "\"new\"");
	g = finish_and_look(&other, NULL, NULL);
	assert_int_equal(g.seen.err.cls, DIF_CONFLICT);
	assert_true(g.seen.unknown);
	/* The first finish was late, and has used the upload up. */
	g = finish_and_look(&old, &gone, &mine);
	assert_int_equal(g.seen.err.cls, DIF_OK);
	assert_string_equal(g.seen.tag, "\"mine\"");
	g = finish_and_look(&old, &gone, &old);
	assert_int_equal(g.seen.err.cls, DIF_NOT_FOUND);
	assert_true(g.seen.unknown);
}

TEST(a_finish_may_name_many_parts)
{
	UNUSED_STATE;
	enum { MANY = 10000 };
	static const char *many[MANY];
	static char token[128];
	struct opkit *k = kit();
	struct parting p;
	parting_init(&p, NULL);
	memset(token, 'x', sizeof token - 1);
	for (uint32_t n = 0; n < MANY; n++) {
		many[n] = token;
	}
	p.in.tokens = many;
	p.in.ntokens = MANY;
	expect(k, "POST", URL("k?finish"), &good);
	struct got g = run(k, DIF_PART_FINISH, &p.in);
	assert_int_equal(g.seen.err.cls, DIF_OK);
	assert_int_equal(script_seen(k->s, 0)->body_n, MANY * sizeof token);
	opkit_free(k);
}

/* --- what open tells --- */

static void check_refused(struct dif_caps caps, bool has_verbs)
{
	struct dif_error err = {0};
	struct dif_engine *e = dif_engine_new(&err);
	set_up(&caps);
	if (!has_verbs) {
		store.part_begin = NULL;
	}
	assert_null(dif_instance_open(e, &offer, NULL, "store eu", &err));
	assert_non_null(strstr(err.text, "malformed bounds of parts"));
	assert_int_equal(err.exit, DIF_EXIT_PLUGIN);
	dif_engine_free(e);
}

TEST(bounds_of_parts_that_cannot_be_kept_are_refused)
{
	UNUSED_STATE;
	struct dif_caps caps = in_parts;
	check_refused(in_parts, false);
	caps.part_min = caps.part_max + 1;
	check_refused(caps, true);
	caps = in_parts;
	caps.part_count = 0;
	check_refused(caps, true);
	caps = in_parts;
	caps.part_parallel = 0;
	check_refused(caps, true);
	caps = in_parts;
	caps.part_align = caps.part_max + 1;
	check_refused(caps, true);
	caps = in_parts;
	caps.part_digest = DIF_CRC64NVME;
	check_refused(caps, true);
}

/* --- a key is written only so often --- */

TEST(a_key_waits_for_its_next_write_and_nothing_else_does)
{
	UNUSED_STATE;
	struct dif_caps caps = in_parts;
	struct putting p[3];
	struct seen s[3] = {0};
	caps.key_writes_per_s = 10;
	set_up(&caps);
	struct opkit *k = opkit_new_with(&offer);
	putting_init(&p[0], "k", NULL, false);
	putting_init(&p[1], "k", NULL, false);
	putting_init(&p[2], "other", NULL, false);
	expect(k, "PUT", URL("k"), &good);
	expect(k, "PUT", URL("other"), &good);
	expect(k, "PUT", URL("k"), &good);
	dif_op_start(k->i, DIF_PUT, &p[0].in, 0, on_seen, &s[0]);
	opkit_until(k, &s[0].calls, 1);
	int64_t written = dif_steady_ms();
	dif_op_start(k->i, DIF_PUT, &p[1].in, 0, on_seen, &s[1]);
	dif_op_start(k->i, DIF_PUT, &p[2].in, 0, on_seen, &s[2]);
	opkit_until(k, &s[1].calls, 1);
	assert_int_equal(s[2].calls, 1);
	assert_true(dif_steady_ms() - written >= 99);
	/* One that waits for its key can be canceled. */
	struct dif_op_run *r = dif_op_start(k->i, DIF_PUT, &p[1].in, 0, on_seen, &s[1]);
	opkit_turn(k);
	dif_op_cancel(r);
	opkit_until(k, &s[1].calls, 2);
	assert_int_equal(s[1].err.cls, DIF_CANCELED);
	opkit_free(k);
}

TEST(a_refused_write_is_no_write)
{
	UNUSED_STATE;
	struct dif_caps caps = in_parts;
	struct putting p;
	struct seen s = {0};
	caps.key_writes_per_s = 0.001;
	set_up(&caps);
	struct opkit *k = opkit_new_with(&offer);
	putting_init(&p, "k", NULL, true);
	expect(k, "PUT", URL("k"), &(struct script_reply){.status = 412});
	expect(k, "PUT", URL("k"), &good);
	for (unsigned n = 1; n <= 2; n++) {
		dif_op_start(k->i, DIF_PUT, &p.in, 0, on_seen, &s);
		opkit_until(k, &s.calls, n);
	}
	assert_int_equal(s.err.cls, DIF_OK);
	opkit_free(k);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(begin_gives_the_upload_and_put_the_token),
		cmocka_unit_test(a_part_that_may_have_arrived_is_sent_again_and_told_so),
		cmocka_unit_test(an_upload_that_is_gone_is_an_outcome),
		cmocka_unit_test(an_unknown_finish_is_read_back_like_a_put),
		cmocka_unit_test(a_finish_may_name_many_parts),
		cmocka_unit_test(bounds_of_parts_that_cannot_be_kept_are_refused),
		cmocka_unit_test(a_key_waits_for_its_next_write_and_nothing_else_does),
		cmocka_unit_test(a_refused_write_is_no_write),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
