/* akamai - the real akamai.so in host/op with a scripted API: what a purge says and who signs it,
 * and a ticket that only the clock can settle. */
#include <unistd.h>

#include "tests/plugin/support/checks.h"

#include "base/clock.h"
#include "host/crypto.h"

#define HOST "akab-host.purge.akamaiapis.net"
#define KEYS                                                                \
	"client_token = akab-client-token\nclient_secret = c2VjcmV0c2Vj=\n" \
	"access_token = akab-access-token\n"
#define SECTION "[cdn t]\nplugin = akamai\nrate = 10000\nhost = " HOST "\n"
#define GOOD                                                                   \
	"{\"httpStatus\":201,\"detail\":\"Request accepted\",\"purgeId\":"     \
	"\"e535071c-26b2-11e7-94d7-276f2f54d938\",\"supportId\":\"17PY1492\"," \
	"\"estimatedSeconds\":5}"

static struct store *st;
static struct script *s;

static void begin(const char *more)
{
	char ini[4096];
	(void)snprintf(ini, sizeof ini, SECTION "%s", more);
	st = store_open(ini, NULL);
	s = script_new(st->engine);
}

static void end(void)
{
	script_free(s);
	store_close(st);
}

static void expect(const char *url, const char *body, int status, const char *reply)
{
	script_expect(s,
	              &(struct script_want){.method = "POST",
	                                    .url = url,
	                                    .fields = {"content-type: application/json"},
	                                    .body = body},
	              &(struct script_reply){.status = status, .body = reply});
}

static const struct store_out *purge(enum dif_purge_scope scope, const char *const *urls,
                                     uint32_t n)
{
	return store_verb(st, DIF_PURGE,
	                  &(struct dif_purge){.scope = scope, .n = n, .urls = urls, .paths = urls});
}

static const struct store_out *purge_one(void)
{
	return purge(DIF_PURGE_URLS, (const char *const[]){"https://www.prep.example/a"}, 1);
}

/* The text between two marks of the authorization field of the last request. */
static const char *part(const char *from, const char *to, char *out, size_t max)
{
	const char *auth = script_header(s, script_count(s) - 1, "authorization");
	assert_non_null(auth);
	const char *p = strstr(auth, from);
	assert_non_null(p);
	p += strlen(from);
	(void)snprintf(out, max, "%.*s", (int)strcspn(p, to), p);
	return out;
}

static void mac64(const char *key, const char *text, char to[64])
{
	uint8_t mac[DIF_DIGEST_MAX];
	struct dif_arena a;
	assert_true(dif_hmac(DIF_SHA256, (struct dif_bytes){key, strlen(key)},
	                     (struct dif_bytes){text, strlen(text)}, mac));
	dif_arena_init(&a, 4096, false);
	(void)snprintf(to, 64, "%s", dif_encode(&a, DIF_BASE64, mac, 32));
	dif_arena_fini(&a);
}

/* Signs the last request again, by its own parts. */
static void check_signature(const char *secret, const char *path)
{
	const struct script_seen *seen = script_seen(s, script_count(s) - 1);
	const char *auth = script_header(s, script_count(s) - 1, "authorization");
	char at[64], nonce[64], sent[64], key[64], hash[64], want[64], data[2048];
	uint8_t sha[DIF_DIGEST_MAX];
	struct dif_arena a;
	part("timestamp=", ";", at, sizeof at);
	part("nonce=", ";", nonce, sizeof nonce);
	part("signature=", ";", sent, sizeof sent);
	assert_int_equal(strlen(nonce), 36);
	int64_t off = dif_undate(at) - dif_wall_ms() / 1000;
	assert_true(off > -60 && off < 60);
	assert_true(dif_hash(DIF_SHA256, seen->body, seen->body_n, sha));
	dif_arena_init(&a, 4096, false);
	(void)snprintf(hash, sizeof hash, "%s", dif_encode(&a, DIF_BASE64, sha, 32));
	dif_arena_fini(&a);
	mac64(secret, at, key);
	(void)snprintf(data, sizeof data, "POST\thttps\t" HOST "\t%s\t\t%s\t%.*s", path, hash,
	               (int)(strstr(auth, "signature=") - auth), auth);
	mac64(key, data, want);
	assert_string_equal(sent, want);
}

TEST(each_scope_has_its_own_address_and_is_signed)
{
	UNUSED_STATE;
	const char *const urls[] = {"https://www.prep.example/a.html",
	                            "https://www.prep.example/%C3%A1/"};
	const char *const tags[] = {"cut-12", "page"};
	begin(KEYS "cp_codes = 12345  678\n");
	expect("https://" HOST "/ccu/v3/invalidate/url/production",
	       "{\"objects\":[\"https://www.prep.example/a.html\","
	       "\"https://www.prep.example/%C3%A1/\"]}",
	       201, GOOD);
	const struct store_out *out = purge(DIF_PURGE_URLS, urls, 2);
	check_ok(out);
	assert_false(out->settled);
	assert_non_null(out->ticket);
	assert_int_equal(out->wait_ms, 5000);
	check_signature("c2VjcmV0c2Vj=", "/ccu/v3/invalidate/url/production");
	expect("https://" HOST "/ccu/v3/invalidate/tag/production",
	       "{\"objects\":[\"cut-12\",\"page\"]}", 201, GOOD);
	check_ok(purge(DIF_PURGE_TAGS, tags, 2));
	check_signature("c2VjcmV0c2Vj=", "/ccu/v3/invalidate/tag/production");
	expect("https://" HOST "/ccu/v3/invalidate/cpcode/production", "{\"objects\":[12345,678]}",
	       201, GOOD);
	check_ok(purge(DIF_PURGE_ALL, NULL, 0));
	end();
	begin(KEYS "action = delete\nnetwork = staging\n");
	expect("https://" HOST "/ccu/v3/delete/url/staging", NULL, 201, GOOD);
	check_ok(purge_one());
	assert_int_equal(dif_instance_caps(st->instance)->purge_scopes & DIF_HAS(DIF_PURGE_ALL), 0);
	end();
}

static const struct store_out *state(int64_t from_now)
{
	static char id[64];
	(void)snprintf(id, sizeof id, "%lld e535071c",
	               (long long)(dif_wall_ms() / 1000 + from_now));
	return store_verb(st, DIF_PURGE_STATE, &(struct dif_ticket){.id = id});
}

TEST(a_purge_is_settled_when_its_time_has_come)
{
	UNUSED_STATE;
	begin(KEYS);
	const struct store_out *out = state(100);
	check_ok(out);
	assert_false(out->settled);
	assert_in_range(out->wait_ms, 98000, 100000);
	out = state(0);
	check_ok(out);
	assert_true(out->settled);
	out = state(1000000); /* nobody waits for days because a clock was set */
	check_ok(out);
	assert_int_equal(out->wait_ms, 3600000);
	static const char *const odd[] = {"", "x", "99999999999999999999 a", "-1 a"};
	for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
		check_class(store_verb(st, DIF_PURGE_STATE, &(struct dif_ticket){.id = odd[k]}),
		            DIF_PERMANENT);
	}
	assert_int_equal(script_count(s), 0);
	end();
}

TEST(a_reply_without_a_time_is_done_all_the_same)
{
	UNUSED_STATE;
	begin(KEYS);
	expect(NULL, NULL, 201, "{\"purgeId\":\"a\"}");
	const struct store_out *out = purge_one();
	check_ok(out);
	assert_int_equal(out->wait_ms, 5000);
	expect(NULL, NULL, 201, "{\"purgeId\":\"a\",\"estimatedSeconds\":99999}");
	out = purge_one();
	check_ok(out);
	assert_int_equal(out->wait_ms, 5000);
	end();
}

TEST(a_reply_that_names_no_purge_is_none)
{
	UNUSED_STATE;
	static const char *const replies[] = {"", "{}", "{\"purgeId\":\"\"}",
	                                      "{\"purgeId\":\"a b\"}", "<html>"};
	begin(KEYS);
	for (size_t k = 0; k < sizeof replies / sizeof *replies; k++) {
		expect(NULL, NULL, 201, replies[k]);
		expect(NULL, NULL, 201, GOOD);
		const struct store_out *out = purge_one();
		check_ok(out);
		assert_int_equal(out->attempts, 2);
	}
	end();
}

TEST(failures_by_status_and_title)
{
	UNUSED_STATE;
	static const struct {
		int status;
		const char *body;
		enum dif_class cls;
		const char *text;
	} cases[] = {
		{401,
	         "{\"title\":\"Not authorized\",\"status\":401,\"detail\":\"Signature does not "
	         "match\"}",
	         DIF_AUTH, "Not authorized: Signature does not match (HTTP 401)"},
		{400, "{\"title\":\"Bad request\",\"detail\":\"Invalid timestamp\"}", DIF_AUTH,
	         "Invalid timestamp"},
		{403, "{\"title\":\"unauthorized arl\",\"detail\":\"unauthorized arl\"}",
	         DIF_PERMANENT, "unauthorized arl (HTTP 403)"},
		{413, "", DIF_PERMANENT, "413"},
		{404, "", DIF_PERMANENT, "404"},
	};
	begin(KEYS);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		expect(NULL, NULL, cases[k].status, cases[k].body);
		const struct store_out *out = purge_one();
		check_class(out, cases[k].cls);
		check_text(out, cases[k].text);
	}
	script_expect(s, &(struct script_want){.method = "POST"},
	              &(struct script_reply){.status = 507, .fields = {"retry-after: 0"}});
	script_expect(s, &(struct script_want){.method = "POST"},
	              &(struct script_reply){.status = 429, .fields = {"retry-after: 0"}});
	expect(NULL, NULL, 201, GOOD);
	check_ok(purge_one());
	end();
}

TEST(a_clock_that_is_off_is_followed)
{
	UNUSED_STATE;
	char date[DIF_DATE_MAX], field[64], at[64];
	int64_t ahead = dif_wall_ms() / 1000 + 7200;
	(void)snprintf(field, sizeof field, "date: %s", dif_date(date, DIF_DATE_HTTP, ahead));
	begin(KEYS);
	script_expect(s, &(struct script_want){.method = "POST"},
	              &(struct script_reply){.status = 400,
	                                     .fields = {field},
	                                     .body = "{\"detail\":\"Invalid timestamp\"}"});
	expect(NULL, NULL, 201, GOOD);
	check_ok(purge_one());
	int64_t off = dif_undate(part("timestamp=", ";", at, sizeof at)) - ahead;
	assert_true(off > -60 && off < 60);
	end();
}

TEST(the_body_keeps_below_its_bound)
{
	UNUSED_STATE;
	static char url[1000 + 1];
	static const char *urls[50];
	memset(url, 'u', sizeof url - 1);
	for (size_t k = 0; k < 50; k++) {
		urls[k] = url;
	}
	begin(KEYS);
	const struct dif_caps *c = dif_instance_caps(st->instance);
	uint32_t fit = c->purge_bytes / (1000 + c->purge_item_bytes);
	assert_int_equal(fit, 49);
	expect(NULL, NULL, 201, GOOD);
	check_ok(purge(DIF_PURGE_URLS, urls, fit));
	assert_true(script_seen(s, 0)->body_total <= 50000);
	check_class(purge(DIF_PURGE_URLS, urls, fit + 1), DIF_PERMANENT);
	end();
}

/* --- .edgerc --- */

static void write_edgerc(const char *path, const char *secret, const char *host)
{
	char text[1024];
	(void)snprintf(text, sizeof text,
	               "[default]\nclient_secret = other=\n\n[ccu]\nhost = %s\n"
	               "client_secret = %s\naccess_token = akab-access\n"
	               "client_token = akab-client\nmax-body = 131072\n",
	               host, secret);
	test_write(path, text, strlen(text));
}

TEST(an_edgerc_is_read_at_each_login)
{
	UNUSED_STATE;
	const char *path = test_path("edgerc");
	char more[4096];
	write_edgerc(path, "first=", "https://" HOST "/");
	(void)snprintf(more, sizeof more, "edgerc = %s\nsection = ccu\n", path);
	begin(more);
	expect(NULL, NULL, 201, GOOD);
	check_ok(purge_one());
	check_signature("first=", "/ccu/v3/invalidate/url/production");
	write_edgerc(path, "second=", HOST);
	expect(NULL, NULL, 401, "{}");
	expect(NULL, NULL, 201, GOOD);
	check_ok(purge_one());
	check_signature("second=", "/ccu/v3/invalidate/url/production");
	write_edgerc(path, "third=", "evil.example");
	expect(NULL, NULL, 401, "{}");
	const struct store_out *out = purge_one();
	check_class(out, DIF_AUTH);
	check_text(out, "is for host 'evil.example'");
	end();
}

TEST(an_edgerc_that_is_of_no_use_says_why)
{
	UNUSED_STATE;
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"[other]\nhost = " HOST "\n", "no such section"},
		{"[default]\nclient_token = a\nclient_secret = b\n", "has no access_token"},
		{"no ini at all\n", "no such section"},
		{NULL, "is not there"},
	};
	const char *path = test_path("edgerc2");
	char more[4096];
	(void)snprintf(more, sizeof more, "edgerc = %s\n", path);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		if (cases[k].text != NULL) {
			test_write(path, cases[k].text, strlen(cases[k].text));
		} else {
			assert_int_equal(unlink(path), 0);
		}
		begin(more);
		const struct store_out *out = purge_one();
		check_class(out, DIF_AUTH);
		check_text(out, cases[k].why);
		end();
	}
}

TEST(the_probe_forgets_nothing)
{
	UNUSED_STATE;
	begin(KEYS);
	expect("https://" HOST "/ccu/v3/invalidate/tag/production",
	       "{\"objects\":[\"difusor-probe\"]}", 201, GOOD);
	check_ok(store_probe(st));
	end();
}

TEST(what_cannot_work_is_refused)
{
	UNUSED_STATE;
	check_refused(SECTION, "give edgerc, or");
	check_refused(SECTION "client_token = a\n", "give edgerc, or");
	check_refused(SECTION KEYS "edgerc = /x\n", "give edgerc, or");
	check_refused(SECTION KEYS "cp_codes = 1,2\n", "numbers with blanks");
	check_refused("[cdn t]\nplugin = akamai\nhost = https://x/\n" KEYS, "without https://");
	check_refused(SECTION "client_token = a;b\nclient_secret = c\naccess_token = d\n",
	              "holds what none has");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_scope_has_its_own_address_and_is_signed),
		cmocka_unit_test(a_purge_is_settled_when_its_time_has_come),
		cmocka_unit_test(a_reply_without_a_time_is_done_all_the_same),
		cmocka_unit_test(a_reply_that_names_no_purge_is_none),
		cmocka_unit_test(failures_by_status_and_title),
		cmocka_unit_test(a_clock_that_is_off_is_followed),
		cmocka_unit_test(the_body_keeps_below_its_bound),
		cmocka_unit_test(an_edgerc_is_read_at_each_login),
		cmocka_unit_test(an_edgerc_that_is_of_no_use_says_why),
		cmocka_unit_test(the_probe_forgets_nothing),
		cmocka_unit_test(what_cannot_work_is_refused),
	};
	return cmocka_run_group_tests_name("plugin/akamai", tests, NULL, NULL);
}
