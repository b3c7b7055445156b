/* check - flow/check against a small cloud behind a script: what real servers of ours do not do. */
#include "flow/check.h"

#include <string.h>

#include "support.h"
#include "unit/support/opkit.h"

#define POINTS_MAX 64

/* A store that answers every question with what its fields say. */
struct cloud {
	int missing;      /* status of a key that is not there */
	const char *date; /* NULL: none */
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

static void check(int missing, const char *date)
{
	static const struct dif_check_events events = {on_point, on_done};
	static struct dif_destination_config one = {
		.name = "eins", .section = "destination eins", .store = "t", .prefix = ""};
	static struct dif_config config;
	static struct dif_destination d;
	static struct dif_setup setup;
	struct dif_error err;
	memset(&cloud, 0, sizeof cloud);
	cloud.missing = missing;
	cloud.date = date;
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_key_answered_with_403_is_the_list_permission),
		cmocka_unit_test(a_missing_key_answered_with_404_is_a_go),
		cmocka_unit_test(a_clock_far_from_ours_is_a_no_go),
	};
	return cmocka_run_group_tests_name("check", tests, NULL, NULL);
}
