/* op - the contract of plug-ins: what breaks it is found, named, and has done nothing. */
#include "support.h"

#include <sys/stat.h>

#include "unit/support/opkit.h"

static const struct dif_host *const host = &dif_host_services;
static const struct script_reply fine = {.status = 200, .body = "{\"n\":7}"};

static void ask(struct dif_op *op, dif_step *next)
{
	host->http(op, &(struct dif_http){.method = "PUT", .url = "https://b.example/x"}, next);
}

static void done(struct dif_op *op)
{
	host->done(op, &(struct dif_result){0});
}

static void on_done(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	done(op);
}

static void ask_well(struct dif_op *op)
{
	ask(op, on_done);
}

/* --- breaches --- */

static void nothing(struct dif_op *op)
{
	(void)op;
}

static void two_asks(struct dif_op *op)
{
	ask(op, on_done);
	ask(op, on_done);
}

static void two_kinds_of_asks(struct dif_op *op)
{
	ask(op, on_done);
	host->pause(op, 0, on_done);
}

static void ask_and_done(struct dif_op *op)
{
	ask(op, on_done);
	done(op);
}

static void done_and_ask(struct dif_op *op)
{
	done(op);
	ask(op, on_done);
}

static void two_outcomes(struct dif_op *op)
{
	done(op);
	(host->fail)(op, DIF_PERMANENT, "", "and yet");
}

static void no_next(struct dif_op *op)
{
	ask(op, NULL);
}

static void no_class(struct dif_op *op)
{
	(host->fail)(op, DIF_OK, "", "a failure that is none");
}

static void row_in_get(struct dif_op *op)
{
	host->object(op, &(struct dif_object){.key = "x"});
	done(op);
}

static void item_in_get(struct dif_op *op)
{
	host->item(op, &(struct dif_item){.index = 0});
	done(op);
}

static void read_outside_login(struct dif_op *op)
{
	host->read(op, "/etc/hostname", on_done);
}

static void metadata_outside_login(struct dif_op *op)
{
	host->http(op,
	           &(struct dif_http){.method = "GET",
	                              .url = "http://169.254.169.254/",
	                              .flags = DIF_HTTP_LINK_LOCAL},
	           on_done);
}

static void file_without_root(struct dif_op *op)
{
	host->file(op, &(struct dif_file_call){.verb = DIF_FILE_STAT, .path = "x"}, on_done);
}

static void no_method(struct dif_op *op)
{
	host->http(op, &(struct dif_http){.method = "get /", .url = "https://b.example/"}, on_done);
}

static void beyond_blob(struct dif_op *op)
{
	struct dif_blob blob = {.size = 4};
	struct dif_piece piece = {.blob = &blob, .offset = 2, .length = UINT64_MAX};
	host->http(
		op,
		&(struct dif_http){
			.method = "PUT", .url = "https://b.example/", .body = &piece, .npieces = 1},
		on_done);
}

static void again(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	host->pause(op, 0, again);
}

static void loop(struct dif_op *op)
{
	host->pause(op, 0, again);
}

/* --- failures that stick, and what is allowed --- */

static void too_large(struct dif_op *op)
{
	assert_null(host->alloc(op, (size_t)64 << 20));
	ask(op, on_done);
}

static void line_break(struct dif_op *op)
{
	host->http(op,
	           &(struct dif_http){.method = "GET",
	                              .url = "https://b.example/",
	                              .fields = &(struct dif_field){"x-a", "b\r\nx-evil: 1"},
	                              .nfields = 1},
	           on_done);
}

static void no_digest(struct dif_op *op)
{
	assert_int_equal(host->hash(op, DIF_CRC64NVME, (struct dif_bytes){"x", 1}).n, 0);
	done(op);
}

static void on_no_number(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *t = host->tree(op, r, DIF_AS_JSON, NULL);
	assert_int_equal(host->num(op, host->get(t, "n"), 6), 0);
	done(op);
}

static void no_number(struct dif_op *op)
{
	ask(op, on_no_number);
}

static void on_wrong_root(struct dif_op *op, const struct dif_reply *r)
{
	assert_null(host->tree(op, r, DIF_AS_JSON, "Answer"));
}

static void wrong_root(struct dif_op *op)
{
	ask(op, on_wrong_root);
}

/* A refused reply may still come of a write that was done. */
static void on_refused(struct dif_op *op, const struct dif_reply *r)
{
	host->refuse(op, r, "SlowDown", "an error in a good status");
}

static void refused(struct dif_op *op)
{
	ask(op, on_refused);
}

static void on_failure(struct dif_op *op, const struct dif_reply *r)
{
	assert_int_equal(r->status, 0);
	assert_int_equal(r->cls, DIF_TRANSIENT);
	done(op);
}

static void want_failure(struct dif_op *op)
{
	host->http(op,
	           &(struct dif_http){.method = "GET",
	                              .url = "https://b.example/lost",
	                              .flags = DIF_HTTP_WANT_FAILURE},
	           on_failure);
}

static void on_second(struct dif_op *op, const struct dif_reply *r)
{
	const char **kept = op->scratch;
	assert_int_equal(r->status, 200);
	assert_string_equal(*kept, "kept");
	done(op);
}

static void on_first(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	const char **kept = op->scratch;
	assert_string_equal(*kept, "kept");
	host->pause(op, 1, on_second);
}

static void chain(struct dif_op *op)
{
	const char **kept = op->scratch;
	assert_null(*kept);
	*kept = host->fmt(op, "%s", "kept");
	ask(op, on_first);
}

/* --- the plug-in: a get's key names the case --- */

static const struct {
	const char *key;
	dif_verb *verb;
	enum dif_class cls;
	const char *text; /* in the sentence */
	size_t asked;     /* requests that went out */
} cases[] = {
	{"well", ask_well, DIF_OK, NULL, 1},
	{"chain", chain, DIF_OK, NULL, 1},
	{"want-failure", want_failure, DIF_OK, NULL, 1},
	{"nothing", nothing, DIF_PERMANENT, "plug-in 'contract' broke its contract: it neither", 0},
	{"two-asks", two_asks, DIF_PERMANENT, "two things", 0},
	{"two-kinds", two_kinds_of_asks, DIF_PERMANENT, "two things", 0},
	{"ask-and-done", ask_and_done, DIF_PERMANENT, "an outcome although", 0},
	{"done-and-ask", done_and_ask, DIF_PERMANENT, "after its outcome", 0},
	{"two-outcomes", two_outcomes, DIF_PERMANENT, "two outcomes", 0},
	{"no-next", no_next, DIF_PERMANENT, "no next step", 0},
	{"no-class", no_class, DIF_PERMANENT, "class that is none", 0},
	{"row", row_in_get, DIF_PERMANENT, "a row where none", 0},
	{"item", item_in_get, DIF_PERMANENT, "an item where none", 0},
	{"read", read_outside_login, DIF_PERMANENT, "outside login", 0},
	{"metadata", metadata_outside_login, DIF_PERMANENT, "outside login", 0},
	{"file", file_without_root, DIF_PERMANENT, "malformed file call", 0},
	{"method", no_method, DIF_PERMANENT, "malformed request", 0},
	{"beyond", beyond_blob, DIF_PERMANENT, "beyond the end", 0},
	{"loop", loop, DIF_PERMANENT, "too many steps", 0},
	{"large", too_large, DIF_TRANSIENT, "more memory", 0},
	{"break", line_break, DIF_PERMANENT, "no header may hold", 0},
	{"digest", no_digest, DIF_PERMANENT, "not offered", 0},
	{"number", no_number, DIF_TRANSIENT, "no number up to 6", 1},
	{"root", wrong_root, DIF_TRANSIENT, "the reply is no 'Answer'", 1},
	{"refused", refused, DIF_THROTTLED, "SlowDown: an error in a good status", 1},
};

static void get(struct dif_op *op)
{
	const struct dif_get *in = op->in;
	for (size_t k = 0; k < DIF_LEN(cases); k++) {
		if (strcmp(in->key, cases[k].key) == 0) {
			cases[k].verb(op);
			return;
		}
	}
	fail();
}

static struct dif_store store;
static struct dif_offer offer;

static struct opkit *contract(void)
{
	store = opkit_store;
	store.get = get;
	store.list = NULL;
	store.put = ask_well;
	offer = (struct dif_offer){.kind = DIF_STORE,
	                           .flags = DIF_OFFER_HTTP,
	                           .name = "contract",
	                           .what = "for tests",
	                           .verbs = &store.c};
	return opkit_new_with(&offer);
}

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	*reply = fine;
	if (strstr(seen->url, "lost") != NULL) {
		*reply = (struct script_reply){.status = 0};
	}
}

static void check_case(size_t n)
{
	struct opkit *k = contract();
	struct seen s = {0};
	struct dif_get in = {.key = cases[n].key};
	script_answer(k->s, answer, NULL);
	dif_op_start(k->i, DIF_GET, &in, cases[n].cls == DIF_OK ? 10000 : 400, on_seen, &s);
	opkit_until(k, &s.calls, 1);
	if (s.err.cls != cases[n].cls) {
		fail_msg("%s: %s: %s", in.key, dif_class_name(s.err.cls), s.err.text);
	}
	if (cases[n].text != NULL && strstr(s.err.text, cases[n].text) == NULL) {
		fail_msg("%s: '%s' does not say '%s'", in.key, s.err.text, cases[n].text);
	}
	if (cases[n].asked == 0) {
		assert_int_equal(script_count(k->s), 0);
		/* our own faults are not the peer's */
		assert_int_equal(dif_instance_pressure(k->i)->failures_in_a_row, 0);
	}
	assert_true(script_count(k->s) >= cases[n].asked);
	opkit_free(k);
}

TEST(each_breach_is_named_and_has_done_nothing)
{
	UNUSED_STATE;
	for (size_t n = 0; n < DIF_LEN(cases); n++) {
		check_case(n);
	}
}

TEST(a_verb_that_is_not_there_is_an_outcome)
{
	UNUSED_STATE;
	struct opkit *k = contract();
	struct seen s = {0};
	struct dif_list in = {.prefix = ""};
	dif_op_start(k->i, DIF_LIST, &in, 0, on_seen, &s);
	assert_int_equal(s.calls, 0);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(s.err.text, "'contract' cannot list"));
	opkit_free(k);
}

TEST(an_outcome_at_once_still_comes_later)
{
	UNUSED_STATE;
	struct opkit *k = contract();
	struct seen s = {0};
	struct putting p;
	putting_init(&p, "k", NULL, true);
	store.put = done;
	dif_op_start(k->i, DIF_PUT, &p.in, 0, on_seen, &s);
	assert_int_equal(s.calls, 0);
	opkit_until(k, &s.calls, 1);
	assert_int_equal(s.err.cls, DIF_OK);
	opkit_free(k);
}

/* --- login may do what others may not --- */

static void on_file(struct dif_op *op, const struct dif_reply *r)
{
	if (r->status == 404) {
		host->done(op,
		           &(struct dif_result){.cred = {.part = {"none"}, .expires = INT64_MAX}});
		return;
	}
	host->done(op, &(struct dif_result){.cred = {.part = {r->body.p}, .expires = INT64_MAX}});
}

static const char *secret_path;

static void login(struct dif_op *op)
{
	host->read(op, secret_path, on_file);
}

static void on_get(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	host->done(op, &(struct dif_result){.object.tag = host->fmt(op, "%s", op->cred->part[0])});
}

static void get_pause(struct dif_op *op)
{
	host->pause(op, 0, on_get);
}

static void check_read(const char *path, enum dif_class cls, const char *tag)
{
	store = opkit_store;
	store.get = get_pause;
	store.c.login = login;
	secret_path = path;
	offer = (struct dif_offer){
		.kind = DIF_STORE, .name = "reader", .what = "for tests", .verbs = &store.c};
	struct opkit *k = opkit_new_with(&offer);
	struct seen s = {0};
	opkit_get(k, "k", &s);
	opkit_until(k, &s.calls, 1);
	if (s.err.cls != cls) {
		fail_msg("%s: %s", dif_class_name(s.err.cls), s.err.text);
	}
	assert_string_equal(s.tag, tag);
	opkit_free(k);
}

TEST(login_reads_small_trusted_files)
{
	UNUSED_STATE;
	const char *path = test_path("secret");
	test_write(path, "s3cr3t-token", 12);
	assert_int_equal(chmod(path, 0600), 0);
	check_read(path, DIF_OK, "s3cr3t-token");
	check_read(test_path("absent"), DIF_OK, "none");
	assert_int_equal(chmod(path, 0666), 0);
	check_read(path, DIF_PERMANENT, "");
	static char big[70000];
	const char *large = test_path("large");
	test_write(large, big, sizeof big);
	assert_int_equal(chmod(large, 0600), 0);
	check_read(large, DIF_PERMANENT, "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_breach_is_named_and_has_done_nothing),
		cmocka_unit_test(a_verb_that_is_not_there_is_an_outcome),
		cmocka_unit_test(an_outcome_at_once_still_comes_later),
		cmocka_unit_test(login_reads_small_trusted_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
