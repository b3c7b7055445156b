/* tsig - signatures of DNS messages: a vector to the last byte, and answers that somebody altered.
 * Names and addresses as they travel are tried here, too. */
#include <ctype.h>

#include "tests/plugin/support/bench.h"

#include "base/arena.h"
#include "host/crypto.h"

#include "dns/tsig.h"

#define SECRET "0123456789abcdef0123456789abcdef"
#define NOW 1700000000
#define MUTATIONS 200000

const struct dif_host *host = &bench_host;

static struct bench b;
static struct tsig_key key;

static void begin(const char *algorithm)
{
	bench_init(&b, "20231114T221320Z");
	assert_int_equal(b.now, NOW);
	assert_true(dns_name_of("swp-key.", &key.name));
	assert_true(tsig_algorithm(&key, algorithm));
	key.secret = (struct dif_bytes){SECRET, strlen(SECRET)};
}

static struct dns_name named(const char *text)
{
	struct dns_name n;
	assert_true(dns_name_of(text, &n));
	return n;
}

static void check_hex(const uint8_t *p, size_t n, const char *want)
{
	assert_string_equal(bench_host.enc(&b.op, DIF_HEX, p, n), want);
}

/* --- a vector, which BIND took as it is --- */

TEST(a_signed_update_is_as_in_the_vector)
{
	UNUSED_STATE;
	uint8_t wire[512];
	struct dns_out o = {.p = wire, .max = sizeof wire};
	struct tsig_sent sent;
	begin("hmac-sha256");
	struct dns_name zone = named("example.test"), www = named("WWW.example.test.");
	const struct dif_bytes none = {"", 0}, ip = {"\xc0\x00\x02\x07", 4};
	dns_begin(&o, 0x1234, DNS_UPDATE);
	dns_question(&o, &zone, DNS_SOA);
	dns_record(&o, DNS_PREREQUISITES, &www, DNS_A, DNS_ANY, 0, none);
	dns_record(&o, DNS_UPDATES, &www, DNS_A, DNS_ANY, 0, none);
	dns_record(&o, DNS_UPDATES, &www, DNS_A, DNS_IN, 30, ip);
	check_hex(o.p, o.n,
	          "123428000001000100020000076578616d706c6504746573740000060001"
	          "03777777076578616d706c65047465737400000100ff000000000000"
	          "03777777076578616d706c65047465737400000100ff000000000000"
	          "03777777076578616d706c65047465737400000100010000001e0004c0000207");
	size_t before = o.n;
	tsig_sign(&b.op, &key, &o, NOW, &sent);
	assert_false(o.failed);
	assert_int_equal(o.n, 198);
	assert_int_equal(dns_get16(o.p + DNS_ADDITIONALS), 1);
	check_hex(sent.mac, sent.nmac,
	          "e96d2b449fab8814969adf960b9fc5451e14a45c83260fd3d3ff742d51ec3d72");
	check_hex(o.p + before, o.n - before,
	          "077377702d6b65790000fa00ff00000000003d0b686d61632d7368613235360000006553f100012c"
	          "0020e96d2b449fab8814969adf960b9fc5451e14a45c83260fd3d3ff742d51ec3d72"
	          "123400000000");
	bench_fini(&b);
}

/* --- answers --- */

struct answer {
	uint8_t p[1024];
	size_t n;
	struct tsig_sent sent;
};

/* An answer with two addresses, signed over a message of ours by code that is not tsig.c's. */
static void answer(struct answer *a, int64_t at, uint32_t error, struct dif_bytes other)
{
	struct dns_out o = {.p = a->p, .max = sizeof a->p};
	struct dns_name www = named("www.example.test");
	uint8_t data[2048], mac[DIF_DIGEST_MAX];
	struct dns_out d = {.p = data, .max = sizeof data}, rd = {.p = data, .max = sizeof data};
	a->sent = (struct tsig_sent){.id = 0x1234, .nmac = (uint8_t)dif_digest_size(key.digest)};
	memset(a->sent.mac, 0x5a, a->sent.nmac);
	dns_begin(&o, 0x1234, DNS_QUERY);
	a->p[2] |= 0x84;
	dns_question(&o, &www, DNS_A);
	for (int k = 1; k < 3; k++) { /* the name by a pointer to the question's */
		const uint8_t rr[] = {0xc0, 12, 0, 1, 0,   1, 0, 0,
		                      0,    30, 0, 4, 192, 0, 2, (uint8_t)k};
		dns_bytes(&o, rr, sizeof rr);
		dns_count(&o, DNS_ANSWERS);
	}
	dns_u16(&d, a->sent.nmac);
	dns_bytes(&d, a->sent.mac, a->sent.nmac);
	dns_bytes(&d, o.p, o.n);
	dns_name(&d, &key.name);
	dns_u16(&d, 255);
	dns_u32(&d, 0);
	dns_name(&d, &key.algorithm);
	dns_u48(&d, (uint64_t)at);
	dns_u16(&d, 300);
	dns_u16(&d, error);
	dns_u16(&d, (uint32_t)other.n);
	dns_bytes(&d, other.p, (size_t)other.n);
	assert_true(dif_hmac(key.digest, key.secret, (struct dif_bytes){d.p, d.n}, mac));
	dns_name(&rd, &key.algorithm);
	dns_u48(&rd, (uint64_t)at);
	dns_u16(&rd, 300);
	dns_u16(&rd, a->sent.nmac);
	dns_bytes(&rd, mac, a->sent.nmac);
	dns_u16(&rd, 0x1234);
	dns_u16(&rd, error);
	dns_u16(&rd, (uint32_t)other.n);
	dns_bytes(&rd, other.p, (size_t)other.n);
	dns_record(&o, DNS_ADDITIONALS, &key.name, DNS_TSIG, 255, 0,
	           (struct dif_bytes){rd.p, rd.n});
	assert_false(o.failed || d.failed || rd.failed);
	a->n = o.n;
}

static bool is_verified(const struct answer *a, struct tsig_told *told)
{
	return tsig_verify(&b.op, &key, (struct dif_bytes){a->p, a->n}, &a->sent, NOW, told);
}

TEST(an_answer_is_verified_with_every_algorithm)
{
	UNUSED_STATE;
	static const char *const names[] = {"hmac-sha256", "hmac-sha384", "hmac-sha512"};
	for (size_t k = 0; k < 3; k++) {
		struct answer a;
		struct tsig_told told;
		begin(names[k]);
		answer(&a, NOW, 0, (struct dif_bytes){"", 0});
		assert_true(is_verified(&a, &told));
		assert_int_equal(told.error, 0);
		assert_true(told.end < a.n);
		a.sent.mac[0] ^= 1; /* of another question */
		assert_false(is_verified(&a, &told));
		bench_fini(&b);
	}
	assert_false(tsig_algorithm(&key, "hmac-md5"));
}

TEST(the_time_has_a_window)
{
	UNUSED_STATE;
	static const struct {
		int64_t off;
		bool good;
	} cases[] = {{0, true},    {300, true},   {-300, true},
	             {301, false}, {-301, false}, {1ll << 40, false}};
	begin("hmac-sha256");
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		struct answer a;
		struct tsig_told told;
		answer(&a, NOW + cases[k].off, 0, (struct dif_bytes){"", 0});
		assert_int_equal(is_verified(&a, &told), cases[k].good);
		assert_true(told.is_signed);
	}
	bench_fini(&b);
}

TEST(a_server_that_finds_our_clock_off_tells_its_own)
{
	UNUSED_STATE;
	struct answer a;
	struct tsig_told told;
	begin("hmac-sha256");
	answer(&a, NOW, TSIG_BADTIME, (struct dif_bytes){"\x00\x00\x65\x53\xff\x10", 6});
	assert_true(is_verified(&a, &told));
	assert_int_equal(told.error, TSIG_BADTIME);
	assert_int_equal(told.server_time, 0x6553ff10);
	bench_fini(&b);
}

static uint64_t chance = 88172645463325252u;

static uint32_t any(size_t n)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (uint32_t)(chance % n);
}

/* One to four changes: a bit, a byte, a piece that goes, a piece that comes, the end cut. */
static void mutate(struct answer *a)
{
	for (uint32_t k = any(4) + 1; k > 0; k--) {
		uint32_t at = any(a->n), n = any(8) + 1;
		switch (any(5)) {
		case 0:
			a->p[at] ^= (uint8_t)(1u << any(8));
			break;
		case 1:
			a->p[at] = (uint8_t)any(256);
			break;
		case 2:
			if (a->n > at + n + 1) {
				memmove(a->p + at, a->p + at + n, a->n - at - n);
				a->n -= n;
			}
			break;
		case 3:
			if (a->n + n < sizeof a->p) {
				memmove(a->p + at + n, a->p + at, a->n - at);
				a->n += n;
			}
			break;
		default:
			a->n -= any(a->n);
		}
	}
}

/* Are these the same but for the case of letters in the two names of the signature, which begins
 * at end? Then they say the same. */
static bool is_same(const struct answer *x, const struct answer *y, size_t end)
{
	size_t names = end + key.name.n + 10 + key.algorithm.n;
	bool same = x->n == y->n;
	for (size_t k = 0; same && k < x->n; k++) {
		bool in_name = k >= end && k < names;
		same = in_name ? tolower(x->p[k]) == tolower(y->p[k]) : x->p[k] == y->p[k];
	}
	return same;
}

/* Under the sanitizers every byte that is read lies inside the packet, which has its own memory. */
TEST(no_altered_answer_is_verified)
{
	UNUSED_STATE;
	struct answer good, bad;
	struct tsig_told told;
	uint32_t tried = 0, verified = 0;
	begin("hmac-sha256");
	answer(&good, NOW, 0, (struct dif_bytes){"", 0});
	assert_true(is_verified(&good, &told));
	size_t end = told.end;
	bench_fini(&b);
	while (tried < MUTATIONS) {
		begin("hmac-sha256");
		for (int k = 0; k < 500; k++) {
			bad = good;
			mutate(&bad);
			if (is_same(&good, &bad, end)) {
				continue;
			}
			tried++;
			uint8_t *copy = malloc(bad.n > 0 ? bad.n : 1);
			assert_non_null(copy);
			memcpy(copy, bad.p, bad.n);
			verified += tsig_verify(&b.op, &key, (struct dif_bytes){copy, bad.n},
			                        &bad.sent, NOW, &told);
			free(copy);
		}
		bench_fini(&b);
	}
	assert_int_equal(verified, 0);
}

TEST(no_cut_answer_is_verified)
{
	UNUSED_STATE;
	struct answer a;
	struct tsig_told told;
	begin("hmac-sha256");
	answer(&a, NOW, 0, (struct dif_bytes){"", 0});
	for (size_t n = a.n; n-- > 0;) {
		a.n = n;
		assert_false(is_verified(&a, &told));
	}
	bench_fini(&b);
}

/* --- names --- */

static bool take(const char *bytes, size_t n, size_t at, struct dns_name *to, size_t *end)
{
	const struct dns_in in = {(const uint8_t *)bytes, n};
	*end = at;
	return dns_take_name(&in, end, to);
}

TEST(pointers_lead_backwards_only)
{
	UNUSED_STATE;
	static const char head[] = "............"; /* DNS_HEADER bytes */
	struct dns_name name;
	size_t end;
	char m[64];
	memcpy(m, head, 12);
	memcpy(m + 12, "\3www\2PR\0\1a\xc0\x10", 13); /* www.pr, then a and a pointer to pr */
	assert_true(take(m, 25, 12, &name, &end));
	assert_int_equal(end, 20);
	assert_true(take(m, 25, 20, &name, &end));
	assert_int_equal(end, 24);
	begin("hmac-sha256");
	assert_string_equal(dns_name_text(&b.op, &name), "a.pr");
	bench_fini(&b);
	static const char *const odd[] = {"\xc0\x0c",
	                                  "\xc0\x0e\xc0\x0c",
	                                  "\xc0\x05",
	                                  "\xc0",
	                                  "\x40"
	                                  "a",
	                                  "\x80"
	                                  "a",
	                                  "\5abc",
	                                  "\1"};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		size_t n = strlen(odd[k]);
		memcpy(m + 12, odd[k], n);
		assert_false(take(m, 12 + n, 12, &name, &end));
	}
}

TEST(a_name_has_255_bytes_at_most)
{
	UNUSED_STATE;
	char m[512], text[512] = "";
	struct dns_name name;
	size_t end;
	memset(m, 'a', sizeof m);
	for (size_t k = 0; k < 4; k++) {
		m[12 + 64 * k] = 63;
	}
	m[12 + 64 * 3] = 61; /* 3 * 64 + 62 + 1 = 255 */
	m[12 + 64 * 3 + 62] = 0;
	assert_true(take(m, sizeof m, 12, &name, &end));
	assert_int_equal(name.n, 255);
	m[12 + 64 * 3] = 62;
	m[12 + 64 * 3 + 62] = 'a';
	m[12 + 64 * 3 + 63] = 0;
	assert_false(take(m, sizeof m, 12, &name, &end));
	memset(text, 'a', 63);
	assert_true(dns_name_of(text, &name));
	memset(text, 'a', 64);
	assert_false(dns_name_of(text, &name));
	static const char *const odd[] = {"", ".", "a..b", ".a", "a b", "a/b", "\xc3\xa1"};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		assert_false(dns_name_of(odd[k], &name));
	}
}

TEST(a_name_knows_its_zone)
{
	UNUSED_STATE;
	struct dns_name zone = named("prep.example"), in = named("www.PREP.example."),
			out = named("wwwprep.example"), other = named("www.prep.example.org");
	assert_true(dns_name_within(&zone, &zone));
	assert_true(dns_name_within(&in, &zone));
	assert_false(dns_name_within(&out, &zone));
	assert_false(dns_name_within(&other, &zone));
}

/* --- addresses --- */

TEST(addresses_of_version_6)
{
	UNUSED_STATE;
	static const struct {
		const char *text, *canonical; /* NULL: it is none */
	} cases[] = {
		{"::", "::"},
		{"::1", "::1"},
		{"1::", "1::"},
		{"2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
		{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
		{"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
		{"::ffff:192.0.2.7", "::ffff:c000:207"},
		{"", NULL},
		{":", NULL},
		{":::", NULL},
		{"1:2", NULL},
		{"1::2::3", NULL},
		{"1:2:3:4:5:6:7:8:9", NULL},
		{"::1:2:3:4:5:6:7:8", NULL},
		{"12345::", NULL},
		{"1:2:3:4:5:6:7:", NULL},
		{":1:2:3:4:5:6:7", NULL},
		{"::192.0.2", NULL},
		{"::g", NULL},
		{"fe80::1%eth0", NULL},
	};
	begin("hmac-sha256");
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		uint8_t a[16];
		if (dns_ipv6_of(cases[k].text, a) != (cases[k].canonical != NULL)) {
			fail_msg("'%s'", cases[k].text);
		}
		if (cases[k].canonical != NULL) {
			assert_string_equal(dns_ipv6_text(&b.op, a), cases[k].canonical);
		}
	}
	bench_fini(&b);
}

TEST(addresses_of_version_4)
{
	UNUSED_STATE;
	static const char *const odd[] = {"",          "1.2.3",     "1.2.3.4.",
	                                  "1.2.3.4.5", "256.1.1.1", "1.2.3.0004",
	                                  "a.b.c.d",   "1..2.3",    " 1.2.3.4"};
	uint8_t a[4];
	assert_true(dns_ipv4_of("192.0.2.255", a));
	assert_memory_equal(a, "\xc0\x00\x02\xff", 4);
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		assert_false(dns_ipv4_of(odd[k], a));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_signed_update_is_as_in_the_vector),
		cmocka_unit_test(an_answer_is_verified_with_every_algorithm),
		cmocka_unit_test(the_time_has_a_window),
		cmocka_unit_test(a_server_that_finds_our_clock_off_tells_its_own),
		cmocka_unit_test(no_altered_answer_is_verified),
		cmocka_unit_test(no_cut_answer_is_verified),
		cmocka_unit_test(pointers_lead_backwards_only),
		cmocka_unit_test(a_name_has_255_bytes_at_most),
		cmocka_unit_test(a_name_knows_its_zone),
		cmocka_unit_test(addresses_of_version_6),
		cmocka_unit_test(addresses_of_version_4),
	};
	return cmocka_run_group_tests_name("plugin/tsig", tests, NULL, NULL);
}
