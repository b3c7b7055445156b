/* rfc2136 - the real rfc2136.so in host/op before a name server of ours, which has only what a test
 * needs: odd, unsigned and forged answers, a clock that is off, an answer that is too long. A real
 * server is asked by tests/cloud/dns. */
#include "tests/plugin/support/checks.h"

#include "base/clock.h"
#include "host/crypto.h"

#define INI                                                                           \
	"[steering t]\nplugin = rfc2136\nserver = 192.0.2.53\nzone = prep.example\n"  \
	"key_name = upd\nkey_secret = MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\n" \
	"type = A\n"
#define SECRET "0123456789abcdef0123456789abcdef"
#define KEY "\3upd\0"
#define ALGORITHM "\013hmac-sha256\0"

/* What the server does with one message. */
struct turn {
	uint8_t rcode;
	bool is_unsigned, is_truncated, is_garbled, is_other;
	uint16_t error;      /* of the signature */
	int64_t server_time; /* with BADTIME */
	const char *answer;  /* records behind the question, each with the name by a pointer */
	size_t nanswer;
	uint16_t nrecords;
};

static struct {
	struct turn turns[4];
	uint32_t n, done;
	struct {
		uint8_t p[1024];
		size_t n;
		uint32_t form;
		int64_t at; /* as signed */
		char peer[64];
	} seen[8];
	uv_timer_t timer;
	void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err);
	void *data;
} server;

static struct store *st;

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static void put48(uint8_t *p, int64_t v)
{
	put16(p, (uint32_t)(v >> 32) & 0xffff);
	put16(p + 2, (uint32_t)(v >> 16) & 0xffff);
	put16(p + 4, (uint32_t)v & 0xffff);
}

/* Where the signature begins in a message of ours: it has a known length. */
static size_t signature_at(size_t n)
{
	return n - (sizeof KEY - 1 + 10 + sizeof ALGORITHM - 1 + 10 + 32 + 6);
}

static size_t add(uint8_t *to, size_t n, const void *p, size_t more)
{
	memcpy(to + n, p, more);
	return n + more;
}

/* Signs the answer over the question's signature. */
static size_t sign(uint8_t *p, size_t n, const uint8_t *mac, const struct turn *t, int64_t at)
{
	static const uint8_t head[] = {0, 255, 0, 0, 0, 0};
	uint8_t data[2048], times[12], mine[DIF_DIGEST_MAX], other[6];
	size_t k = 0, nother = t->server_time != 0 ? 6 : 0;
	put48(times, at);
	put16(times + 6, 300);
	put48(other, t->server_time);
	put16(times + 8, t->error);
	put16(times + 10, (uint32_t)nother);
	k = add(data, k, "\0\40", 2);
	k = add(data, k, mac, 32);
	k = add(data, k, p, n);
	k = add(data, k, KEY, sizeof KEY - 1);
	k = add(data, k, head, 6);
	k = add(data, k, ALGORITHM, sizeof ALGORITHM - 1);
	k = add(data, k, times, 12);
	k = add(data, k, other, nother);
	assert_true(dif_hmac(DIF_SHA256, (struct dif_bytes){SECRET, 32},
	                     (struct dif_bytes){data, k}, mine));
	mine[0] ^= t->is_garbled;
	n = add(p, n, KEY, sizeof KEY - 1);
	n = add(p, n, "\0\372\0\377\0\0\0\0", 8);
	put16(p + n, (uint32_t)(sizeof ALGORITHM - 1 + 10 + 32 + 6 + nother));
	n = add(p, n + 2, ALGORITHM, sizeof ALGORITHM - 1);
	n = add(p, n, times, 8);
	n = add(p, n, "\0\40", 2);
	n = add(p, n, mine, 32);
	n = add(p, n, p, 2);
	n = add(p, n, times + 8, 4);
	put16(p + 10, 1);
	return add(p, n, other, nother);
}

static void on_turn(uv_timer_t *timer)
{
	const struct turn *t = &server.turns[server.done];
	const uint8_t *asked = server.seen[server.done].p;
	size_t end = signature_at(server.seen[server.done].n), n = 12;
	const uint8_t *sig = asked + end + sizeof KEY - 1 + 10 + sizeof ALGORITHM - 1;
	int64_t at = server.seen[server.done].at;
	uint8_t p[2048] = {0};
	(void)timer;
	server.done++;
	memcpy(p, asked, 4);
	p[2] |= (uint8_t)(0x84 | (t->is_truncated ? 2 : 0) | (t->is_other ? 0x10 : 0));
	p[3] = t->rcode;
	if ((asked[2] & 0x78) == 0) { /* a query: its question comes back */
		put16(p + 4, 1);
		n = add(p, n, asked + 12, end - 12);
		put16(p + 6, t->nrecords);
		n = t->nanswer > 0 ? add(p, n, t->answer, t->nanswer) : n;
	}
	n = t->is_unsigned ? n : sign(p, n, sig + 10, t, at);
	struct dif_reply r = {.size = sizeof r, .status = 200, .body = {p, n}};
	server.cb(server.data, &r, NULL);
}

static struct dif_message_run *
start(void *self, const struct dif_exchange_call *call, const struct dif_http_policy *policy,
      void (*cb)(void *data, const struct dif_reply *r, const struct dif_error *err), void *data)
{
	size_t k = server.done;
	(void)self;
	assert_true(k < server.n);
	assert_true(call->send.n <= sizeof server.seen[k].p && call->send.n > 100);
	assert_string_equal(policy->hosts[0], call->peer);
	assert_int_equal(call->match, 2);
	memcpy(server.seen[k].p, call->send.p, call->send.n);
	(void)snprintf(server.seen[k].peer, sizeof server.seen[k].peer, "%s", call->peer);
	server.seen[k].n = call->send.n;
	server.seen[k].form = call->form;
	const uint8_t *times = server.seen[k].p + signature_at(call->send.n) + sizeof KEY - 1 + 10 +
	                       sizeof ALGORITHM - 1;
	server.seen[k].at =
		(int64_t)get16(times) << 32 | (int64_t)get16(times + 2) << 16 | get16(times + 4);
	server.cb = cb;
	server.data = data;
	assert_int_equal(uv_timer_start(&server.timer, on_turn, 0, 0), 0);
	return NULL;
}

static void begin(const char *more)
{
	char ini[4096];
	(void)snprintf(ini, sizeof ini, INI "%s", more);
	memset(&server, 0, sizeof server);
	st = store_open(ini, NULL);
	st->engine->messenger = (struct dif_messenger){.start = start};
	assert_int_equal(uv_timer_init(&st->engine->loop, &server.timer), 0);
	uv_unref((uv_handle_t *)&server.timer);
}

static void end(void)
{
	assert_int_equal(server.done, server.n);
	uv_close((uv_handle_t *)&server.timer, NULL);
	store_close(st);
}

static void expect(struct turn t)
{
	assert_true(server.n < 4);
	server.turns[server.n++] = t;
}

static void again(void)
{
	server.n = server.done = 0;
}

#define WWW "\xc0\x0c" /* the name of the question */
#define A_RECORD(x) WWW "\0\1\0\1\0\0\0\36\0\4\xc0\0\2" x

static const struct store_out *get(void)
{
	return store_verb(st, DIF_ROUTE_GET,
	                  &(struct dif_route){.name = "www.prep.example", .type = "A"});
}

static const struct store_out *set_to(const char *const *values, uint32_t n, const char *tag)
{
	struct dif_target targets[64];
	assert_true(n <= 64);
	for (uint32_t k = 0; k < n; k++) {
		targets[k] = (struct dif_target){.name = "t", .value = values[k], .weight = 1};
	}
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = "WWW.prep.example.",
	                                      .type = "A",
	                                      .targets = targets,
	                                      .n = n,
	                                      .ttl_s = 30,
	                                      .if_tag = tag});
}

static const struct store_out *set(const char *tag)
{
	return set_to((const char *const[]){"192.0.2.7"}, 1, tag);
}

TEST(records_come_sorted_and_once)
{
	UNUSED_STATE;
	static const char records[] =
		A_RECORD("\7") A_RECORD("\1") A_RECORD("\7") /* and another's */
		"\3xxx" WWW "\0\1\0\1\0\0\0\36\0\4\xc0\0\2\2";
	begin("");
	expect((struct turn){.answer = records, .nanswer = sizeof records - 1, .nrecords = 4});
	const struct store_out *out = get();
	check_ok(out);
	assert_int_equal(out->ntargets, 2);
	assert_string_equal(out->targets[0].value, "192.0.2.1");
	assert_string_equal(out->targets[1].name, "192.0.2.7");
	assert_string_equal(out->tag, "c0000201,c0000207");
	assert_int_equal(out->ttl_s, 30);
	assert_string_equal(server.seen[0].peer, "192.0.2.53:53");
	assert_int_equal(server.seen[0].form, DIF_EXCHANGE_DATAGRAM);
	end();
}

TEST(an_update_says_what_it_replaces)
{
	UNUSED_STATE;
	static const char want[] =
		"\50\0\0\1\0\2\0\2\0\0" /* an update: a zone, two demands, two changes */
		"\4prep\7example\0\0\6\0\1"
		"\3www\4prep\7example\0\0\1\0\1\0\0\0\0\0\4\xc0\0\2\1"
		"\3www\4prep\7example\0\0\1\0\1\0\0\0\0\0\4\xc0\0\2\7"
		"\3www\4prep\7example\0\0\1\0\377\0\0\0\0\0\0"
		"\3www\4prep\7example\0\0\1\0\1\0\0\0\36\0\4\xc0\0\2\7";
	begin("");
	expect((struct turn){0});
	const struct store_out *out = set("c0000201,c0000207");
	check_ok(out);
	assert_true(out->settled);
	size_t n = signature_at(server.seen[0].n);
	server.seen[0].p[11] = 0; /* the signature has been counted since */
	assert_int_equal(n, sizeof want - 1 + 2);
	assert_memory_equal(server.seen[0].p + 2, want, n - 2);
	end();
}

TEST(a_lost_condition_is_a_conflict)
{
	UNUSED_STATE;
	begin("");
	for (uint8_t rcode = 6; rcode <= 8; rcode++) {
		again();
		expect((struct turn){.rcode = rcode});
		check_class(set("absent"), DIF_CONFLICT);
	}
	end();
}

TEST(rcodes_are_believed_when_they_are_signed)
{
	UNUSED_STATE;
	static const enum dif_class classes[] = {
		[1] = DIF_PERMANENT, [4] = DIF_PERMANENT,  [5] = DIF_AUTH,
		[9] = DIF_PERMANENT, [10] = DIF_PERMANENT, [15] = DIF_PERMANENT,
	};
	begin("");
	for (uint8_t rcode = 0; rcode < 16; rcode++) {
		if (rcode >= sizeof classes / sizeof *classes || classes[rcode] == DIF_OK) {
			continue;
		}
		again();
		expect((struct turn){.rcode = rcode});
		check_class(set(NULL), classes[rcode]);
		again();
		expect((struct turn){.rcode = rcode, .is_unsigned = true});
		expect((struct turn){0});
		const struct store_out *out = set(NULL);
		check_ok(out);
		assert_int_equal(out->attempts, 2);
	}
	again();
	expect((struct turn){.rcode = 2});
	expect((struct turn){0});
	check_ok(set(NULL));
	end();
}

TEST(whatever_is_not_our_answer_is_worth_another_try)
{
	UNUSED_STATE;
	static const struct turn odd[] = {
		{.is_unsigned = true},
		{.is_garbled = true},
		{.is_other = true},
		{.is_unsigned = true, .rcode = 9},
		{.is_garbled = true, .rcode = 9, .error = 17},
		{.answer = A_RECORD("\1"), .nanswer = 15, .nrecords = 1},
		{.answer = "\xc0\xff", .nanswer = 2, .nrecords = 1},
	};
	begin("");
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		again();
		expect(odd[k]);
		expect((struct turn){0});
		const struct store_out *out = get();
		check_ok(out);
		assert_int_equal(out->attempts, 2);
		assert_int_equal(out->ntargets, 0);
		assert_string_equal(out->tag, "absent");
		assert_true(memcmp(server.seen[0].p, server.seen[1].p, server.seen[0].n) != 0);
	}
	end();
}

TEST(a_clock_that_is_off_is_followed_once)
{
	UNUSED_STATE;
	int64_t there = dif_wall_ms() / 1000 + 5000;
	const struct turn off = {.rcode = 9, .error = 18, .server_time = there};
	begin("");
	expect(off);
	expect((struct turn){0});
	const struct store_out *out = set(NULL);
	check_ok(out);
	assert_int_equal(out->attempts, 1);
	assert_true(server.seen[1].at >= there && server.seen[1].at < there + 60);
	again();
	expect(off);
	expect(off);
	out = set(NULL);
	check_class(out, DIF_AUTH);
	check_text(out, "set it by NTP");
	again();
	expect((struct turn){.rcode = 9, .error = 18, .server_time = there, .is_garbled = true});
	expect((struct turn){0});
	out = set(NULL);
	check_ok(out);
	assert_true(server.seen[1].at < there - 1000);
	end();
}

TEST(an_answer_that_is_cut_is_asked_for_by_stream)
{
	UNUSED_STATE;
	begin("");
	expect((struct turn){.is_truncated = true, .is_unsigned = true});
	expect((struct turn){.answer = A_RECORD("\1"), .nanswer = 16, .nrecords = 1});
	const struct store_out *out = get();
	check_ok(out);
	assert_int_equal(out->attempts, 1);
	assert_int_equal(out->ntargets, 1);
	assert_int_equal(server.seen[0].form, DIF_EXCHANGE_DATAGRAM);
	assert_int_equal(server.seen[1].form, DIF_EXCHANGE_STREAM);
	end();
}

TEST(an_update_that_is_long_goes_by_stream)
{
	UNUSED_STATE;
	static const char *const values[] = {
		"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4",  "192.0.2.5",  "192.0.2.6",
		"192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10", "192.0.2.11", "192.0.2.12",
	};
	begin("");
	expect((struct turn){0});
	check_ok(set_to(values, 12, NULL));
	assert_int_equal(server.seen[0].form, DIF_EXCHANGE_STREAM);
	end();
}

TEST(what_cannot_be_set_is_not_sent)
{
	UNUSED_STATE;
	static const char *const tags[] = {"", "c00002", "c0000201,", ",", "zz", "C0000201x"};
	begin("");
	for (size_t k = 0; k < sizeof tags / sizeof *tags; k++) {
		check_class(set(tags[k]), DIF_PERMANENT);
	}
	check_class(set_to((const char *const[]){"a.cdn.example"}, 1, NULL), DIF_PERMANENT);
	static const char *many[33];
	for (size_t k = 0; k < 33; k++) {
		many[k] = "192.0.2.1";
	}
	check_class(set_to(many, 33, NULL), DIF_PERMANENT);
	const struct dif_target two[] = {{.name = "a", .value = "a.example", .weight = 1},
	                                 {.name = "b", .value = "b.example", .weight = 1}};
	check_class(store_verb(st, DIF_ROUTE_SET,
	                       &(struct dif_route){.name = "www.prep.example",
	                                           .type = "CNAME",
	                                           .targets = two,
	                                           .n = 2}),
	            DIF_PERMANENT);
	end();
}

TEST(the_type_tells_how_many_targets)
{
	UNUSED_STATE;
	begin("");
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 32);
	end();
	st = store_open("[steering t]\nplugin = rfc2136\nserver = [2001:db8::53]\n"
	                "zone = prep.example\nkey_name = upd\nkey_secret = MDEyMzQ1\n",
	                NULL);
	assert_int_equal(dif_instance_caps(st->instance)->targets_max, 1);
	assert_string_equal(dif_instance_caps(st->instance)->hosts[0], "[2001:db8::53]:53");
	store_close(st);
}

#define WITH(server, zone, secret)                                                             \
	"[steering t]\nplugin = rfc2136\nserver = " server "\nzone = " zone "\nkey_name = k\n" \
	"key_secret = " secret "\n"

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused(WITH("ns/x", "a.example", "MDEyMzQ1"), "must be HOST");
	check_refused(WITH("[::1", "a.example", "MDEyMzQ1"), "must be HOST");
	check_refused(WITH("ns", "a..example", "MDEyMzQ1"), "is no name");
	check_refused(WITH("ns", "a.example", "MDEy!zQ1"), "no base64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_sorted_and_once),
		cmocka_unit_test(an_update_says_what_it_replaces),
		cmocka_unit_test(a_lost_condition_is_a_conflict),
		cmocka_unit_test(rcodes_are_believed_when_they_are_signed),
		cmocka_unit_test(whatever_is_not_our_answer_is_worth_another_try),
		cmocka_unit_test(a_clock_that_is_off_is_followed_once),
		cmocka_unit_test(an_answer_that_is_cut_is_asked_for_by_stream),
		cmocka_unit_test(an_update_that_is_long_goes_by_stream),
		cmocka_unit_test(what_cannot_be_set_is_not_sent),
		cmocka_unit_test(the_type_tells_how_many_targets),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/rfc2136", tests, NULL, NULL);
}
