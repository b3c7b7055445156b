/* check - flow/check against a small cloud behind a script: what real servers of ours do not do. */
#include "flow/check.h"

#include <string.h>

#include "support.h"
#include "unit/support/opkit.h"

#define POINTS_MAX 64

#define PAGE "<!doctype html><head><base href=\"/\"></head>"
#define SITE "https://www.example/"

/* A store that answers every question with what its fields say. */
struct cloud {
	struct script_reply site, first_rand, rand, deep; /* of public_url; status 0: 404 */
	bool live;                                        /* there is a marker of ours */
	bool open;                                        /* to those without a signature */
	int missing;                                      /* status of a key that is not there */
	const char *date;                                 /* NULL: none */
	char kept[8 << 20];
	size_t nkept;
	char key[512];
	unsigned tag;
	char text[8][64];
};

static struct cloud cloud;
static struct opkit *k;
static struct {
	char question[32], text[512];
	uint32_t verdict;
} points[POINTS_MAX];
static uint32_t npoints;
static bool done;

static bool is_conflict(const struct script_seen *seen)
{
	bool here = strcmp(seen->url, cloud.key) == 0;
	for (uint32_t i = 0; i < seen->nfields; i++) {
		const struct dif_field *f = &seen->fields[i];
		if ((strcmp(f->name, "if-none-match") == 0 && here) ||
		    (strcmp(f->name, "if-match") == 0 &&
		     strcmp(f->value, cloud.text[0] + 6) != 0)) {
			return true;
		}
	}
	return false;
}

/* The site; false: the request is for the store. */
static bool visit(const struct script_seen *seen, struct script_reply *reply)
{
	static const struct script_reply none = {.status = 404};
	if (strncmp(seen->url, SITE, strlen(SITE)) != 0) {
		return false;
	}
	const char *rand = strstr(seen->url, "?rand=");
	const struct script_reply *r = &none;
	if (rand != NULL) {
		r = rand[strlen(rand) - 1] == '1' ? &cloud.first_rand : &cloud.rand;
	} else if (strcmp(seen->url, SITE) == 0) {
		r = &cloud.site;
	} else if (strcmp(seen->url, SITE "a%20b/c") == 0) {
		r = &cloud.deep;
	}
	*reply = r->status != 0 ? *r : none;
	return true;
}

static void put(const struct script_seen *seen, struct script_reply *reply)
{
	reply->status = 412;
	if (is_conflict(seen)) {
		return;
	}
	assert_true(seen->body_n <= sizeof cloud.kept);
	snprintf(cloud.key, sizeof cloud.key, "%s", seen->url);
	memcpy(cloud.kept, seen->body, seen->body_n);
	cloud.nkept = seen->body_n;
	reply->status = 200;
	snprintf(cloud.text[0], sizeof cloud.text[0], "etag: \"%u\"", ++cloud.tag);
	reply->fields[0] = cloud.text[0];
}

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	(void)data;
	*reply = (struct script_reply){.status = 200};
	if (visit(seen, reply)) {
		return;
	}
	if (strstr(seen->url, ".difusor/live") != NULL && cloud.live) {
		reply->body = strcmp(seen->method, "GET") == 0 ? "{}" : NULL;
		return;
	}
	if (strcmp(seen->method, "PUT") == 0) {
		put(seen, reply);
	} else if (strcmp(seen->method, "POST") == 0) {
		reply->body = "{}";
	} else if (strcmp(seen->url, cloud.key) == 0) {
		reply->fields[0] = cloud.text[0];
		snprintf(cloud.text[1], sizeof cloud.text[1], "content-length: %zu", cloud.nkept);
		reply->fields[1] = cloud.text[1];
		reply->body = strcmp(seen->method, "GET") == 0 ? cloud.kept : NULL;
		reply->body_n = reply->body != NULL ? cloud.nkept : 0;
	} else if (cloud.open && strcmp(seen->method, "GET") == 0) {
		reply->body = "the small object, which was put before the one that is kept";
	} else if (strstr(seen->url, ".difusor") != NULL) {
		reply->status = cloud.missing;
	}
	uint32_t n = 0;
	while (reply->fields[n] != NULL) {
		n++;
	}
	reply->fields[n] = cloud.date;
}

static void on_point(void *data, const struct dif_check_point *p)
{
	(void)data;
	assert_true(npoints < POINTS_MAX);
	snprintf(points[npoints].question, sizeof points[0].question, "%s", p->question);
	snprintf(points[npoints].text, sizeof points[0].text, "%s", p->text);
	points[npoints++].verdict = p->verdict;
}

static void on_done(void *data)
{
	(void)data;
	done = true;
}

static struct dif_destination_config one;

static void ask_all(void)
{
	static const struct dif_check_events events = {on_point, on_done};
	static struct dif_config config;
	static struct dif_destination d;
	static struct dif_setup setup;
	struct dif_error err;
	npoints = 0;
	done = false;
	k = opkit_new(false);
	script_answer(k->s, answer, NULL);
	config = (struct dif_config){.destinations = &one, .ndestinations = 1};
	dif_destination_init(&d, &one, k->i);
	setup = (struct dif_setup){.config = &config, .engine = k->e, .destinations = &d};
	assert_true(dif_check_start(&setup, &events, NULL, &err));
	while (!done) {
		uv_run(&k->e->loop, UV_RUN_ONCE);
	}
	dif_destination_fini(&d);
	opkit_free(k);
}

static void begin(int missing, const char *date)
{
	memset(&cloud, 0, sizeof cloud);
	cloud.missing = missing;
	cloud.date = date;
	one = (struct dif_destination_config){
		.name = "eins", .section = "destination eins", .store = "t", .prefix = ""};
}

static void check(int missing, const char *date)
{
	begin(missing, date);
	ask_all();
}

static bool was_asked(const char *question)
{
	for (uint32_t i = 0; i < npoints; i++) {
		if (strcmp(points[i].question, question) == 0) {
			return true;
		}
	}
	return false;
}

static uint32_t verdict(const char *question, const char *part)
{
	for (uint32_t i = 0; i < npoints; i++) {
		if (strcmp(points[i].question, question) == 0) {
			if (part != NULL && strstr(points[i].text, part) == NULL) {
				fail_msg("'%s' is not in '%s'", part, points[i].text);
			}
			return points[i].verdict;
		}
	}
	fail_msg("nobody asked about %s", question);
	return DIF_VERDICTS;
}

TEST(a_missing_key_answered_with_403_is_the_list_permission)
{
	UNUSED_STATE;
	check(403, NULL);
	assert_int_equal(verdict("may put", NULL), DIF_GO);
	assert_int_equal(verdict("may get", NULL), DIF_GO);
	assert_int_equal(verdict("missing keys", "the list permission is missing"), DIF_NO_GO);
}

TEST(a_missing_key_answered_with_404_is_a_go)
{
	UNUSED_STATE;
	check(404, NULL);
	assert_int_equal(verdict("missing keys", NULL), DIF_GO);
	assert_int_equal(verdict("clock", "does not say"), DIF_NOT_CHECKED);
	assert_int_equal(verdict("live", "no cut yet"), DIF_GO);
}

TEST(a_clock_far_from_ours_is_a_no_go)
{
	UNUSED_STATE;
	check(404, "date: Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(verdict("clock", "NTP"), DIF_NO_GO);
}

/* --- public_url --- */

static const struct script_reply page = {
	.status = 200, .fields = {"content-type: text/html"}, .body = PAGE};

static void with_site(void)
{
	begin(404, NULL);
	cloud.live = true;
	cloud.site = cloud.first_rand = cloud.rand = cloud.deep = page;
	one.public_url = SITE;
}

TEST(a_site_that_nobody_has_named_more_of_is_a_go_with_warnings)
{
	UNUSED_STATE;
	with_site();
	ask_all();
	assert_int_equal(verdict("public_url", "200 with <base"), DIF_GO);
	assert_int_equal(verdict("embed", NULL), DIF_GO);
	assert_int_equal(verdict("deep link", "deep_link is not set"), DIF_NOT_CHECKED);
	assert_int_equal(verdict("types", NULL), DIF_NOT_CHECKED);
	assert_int_equal(verdict("?rand=", "not proved"), DIF_NOT_CHECKED);
	assert_int_equal(verdict("cdn", NULL), DIF_NOT_CHECKED);
	assert_int_equal(
		verdict("ddos", "layers 3 and 4; name it in [destination eins] as ddos_l34"),
		DIF_WARNING);
}

TEST(what_the_authority_would_refuse_is_a_no_go)
{
	UNUSED_STATE;
	static const struct {
		struct script_reply reply;
		const char *says;
	} rows[] = {
		{{.status = 302, .fields = {"location: https://b.example/"}}, "sends readers to"},
		{{.status = 503}, "answers 503"},
		{{.status = 200, .body = "<html>"}, "no <base"},
		{{.status = 200, .fields = {"content-encoding: gzip"}, .body = PAGE},
	         "nobody asked for"},
		{{.status = 200, .body = "<!-- <base href=x> -->"}, "no <base"},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		with_site();
		cloud.site = rows[i].reply;
		ask_all();
		assert_int_equal(verdict("public_url", rows[i].says), DIF_NO_GO);
		assert_int_equal(verdict("ddos", NULL), DIF_WARNING); /* told all the same */
	}
}

TEST(headers_that_stop_embedding_are_told)
{
	UNUSED_STATE;
	static const struct {
		const char *header;
		uint32_t verdict;
	} rows[] = {
		{"x-frame-options: DENY", DIF_WARNING},
		{"x-frame-options: SAMEORIGIN", DIF_WARNING},
		{"content-security-policy: default-src 'self'; frame-ancestors 'none'; a b",
	         DIF_WARNING},
		{"content-security-policy: frame-ancestors 'self'", DIF_WARNING},
		{"content-security-policy: frame-ancestors *", DIF_GO},
		{"content-security-policy: frame-ancestors https://ine.mx", DIF_GO},
		{"content-security-policy: default-src 'self' https:", DIF_GO},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		with_site();
		cloud.site.fields[1] = rows[i].header;
		ask_all();
		assert_int_equal(verdict("embed", NULL), rows[i].verdict);
	}
	with_site(); /* the newer header is the one that counts */
	cloud.site.fields[1] = "x-frame-options: DENY";
	cloud.site.fields[2] = "content-security-policy: frame-ancestors *";
	ask_all();
	assert_int_equal(verdict("embed", NULL), DIF_GO);
}

TEST(a_deep_link_answers_with_the_entry_page)
{
	UNUSED_STATE;
	with_site();
	one.deep_link = "a b/c";
	ask_all();
	assert_int_equal(verdict("deep link", "200 with the entry page"), DIF_GO);
	with_site();
	one.deep_link = "a b/c";
	cloud.deep = (struct script_reply){.status = 404, .body = PAGE};
	ask_all();
	assert_int_equal(verdict("deep link", "answers 404"), DIF_NO_GO);
	with_site();
	one.deep_link = "a b/c";
	cloud.deep.body = "{}";
	ask_all();
	assert_int_equal(verdict("deep link", "not with the entry page"), DIF_NO_GO);
}

TEST(a_query_string_that_reaches_the_store_is_told)
{
	UNUSED_STATE;
	static const struct {
		const char *first, *second;
		uint32_t verdict;
	} rows[] = {
		{"x-cache: Miss from cloudfront", "x-cache: Hit from cloudfront", DIF_GO},
		{"cf-cache-status: HIT", "cf-cache-status: HIT", DIF_GO},
		{"age: 3", "age: 3", DIF_GO},
		{"x-cache: MISS", "x-cache: MISS", DIF_WARNING},
		{"cf-cache-status: DYNAMIC", "cf-cache-status: DYNAMIC", DIF_WARNING},
		{"age: 0", "age: 0", DIF_NOT_CHECKED},
		{"x-other: 1", "x-other: 1", DIF_NOT_CHECKED},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		with_site();
		cloud.first_rand.fields[1] = rows[i].first;
		cloud.rand.fields[1] = rows[i].second;
		ask_all();
		assert_int_equal(verdict("?rand=", NULL), rows[i].verdict);
	}
	with_site();
	cloud.rand = (struct script_reply){.status = 403};
	ask_all();
	assert_int_equal(verdict("?rand=", "answers 403"), DIF_NO_GO);
}

TEST(a_cdn_and_its_protection_are_told_by_name)
{
	UNUSED_STATE;
	with_site();
	one.ddos_l34 = "Shield";
	one.ddos_l7 = "WAF";
	cloud.site.fields[1] = "x-amz-request-id: 1";
	cloud.site.fields[2] = "x-amz-cf-id: 2";
	ask_all();
	assert_int_equal(verdict("cdn", "CloudFront (x-amz-cf-id) answers"), DIF_GO);
	assert_int_equal(verdict("ddos", "layers 3 and 4: Shield"), DIF_GO);
	with_site();
	cloud.site.fields[1] = "x-amz-request-id: 1";
	ask_all();
	assert_int_equal(verdict("cdn", "S3 (x-amz-request-id) itself"), DIF_WARNING);
	with_site();
	one.public_url = "https://b.example/"; /* the store's own */
	ask_all();
	assert_int_equal(verdict("cdn", "is the store itself"), DIF_WARNING);
}

TEST(a_private_destination_must_refuse_readers)
{
	UNUSED_STATE;
	static const struct {
		int status;
		uint32_t verdict;
	} rows[] = {{403, DIF_GO}, {404, DIF_GO}, {200, DIF_NO_GO}, {302, DIF_NO_GO}};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		with_site();
		one.is_private = 1;
		cloud.open = true;
		cloud.site = (struct script_reply){.status = rows[i].status, .body = PAGE};
		ask_all();
		assert_int_equal(verdict("public_url", NULL), rows[i].verdict);
		assert_false(was_asked("embed"));
		assert_false(was_asked("ddos"));
		assert_int_equal(verdict("public get", "is private"), DIF_NO_GO);
	}
	with_site();
	cloud.open = true;
	ask_all();
	assert_int_equal(verdict("public get", "past what public_url names"), DIF_WARNING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_key_answered_with_403_is_the_list_permission),
		cmocka_unit_test(a_missing_key_answered_with_404_is_a_go),
		cmocka_unit_test(a_clock_far_from_ours_is_a_no_go),
		cmocka_unit_test(a_site_that_nobody_has_named_more_of_is_a_go_with_warnings),
		cmocka_unit_test(what_the_authority_would_refuse_is_a_no_go),
		cmocka_unit_test(headers_that_stop_embedding_are_told),
		cmocka_unit_test(a_deep_link_answers_with_the_entry_page),
		cmocka_unit_test(a_query_string_that_reaches_the_store_is_told),
		cmocka_unit_test(a_cdn_and_its_protection_are_told_by_name),
		cmocka_unit_test(a_private_destination_must_refuse_readers),
	};
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
