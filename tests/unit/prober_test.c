/* prober - what a look sees of a site that shows one cut, another, a mixture, or neither. */
#include "flow/prober.h"

#include <stdatomic.h>

#include "unit/support/peer.h"
#include "world.h"

#define FILES 4
#define CUTS 6

enum site { CURRENT, BEFORE, LATER, HALF, ALTERED, AWAY, GONE };

/* The page is the same in every cut, so it tells nothing; total.json is put last. */
static const char *const files[FILES] = {"index.html", "a.json", "map.json", "total.json"};
static char texts[CUTS][FILES][96];

static struct world *w;
static struct peer *peer;
static struct dif_prober *prober;
static struct cut *cuts[CUTS];
static char url[64], silent[64];
static atomic_int site;

static struct {
	uint32_t seen, n;
	struct dif_order order;
	char text[DIF_HEALTH_TEXT];
	enum dif_sight sight;
	bool told;
} got;

static int cut_shown(const char *path)
{
	switch (atomic_load(&site)) {
	case BEFORE:
		return 1;
	case LATER:
		return 3;
	case HALF: /* all but what is put last */
		return strstr(path, "total.json") != NULL ? 1 : 2;
	default:
		return 2;
	}
}

static enum peer_end answer(struct peer *p, void *conn, const struct peer_request *r)
{
	const char *path = strcmp(r->path, "/") == 0 ? "index.html" : r->path + 1;
	uint32_t i = 0;
	(void)p;
	while (i < FILES && strcmp(files[i], path) != 0) {
		i++;
	}
	if (atomic_load(&site) == AWAY || i == FILES) {
		peer_send(conn, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
		return PEER_KEEP;
	}
	const char *text = texts[cut_shown(path)][i];
	if (atomic_load(&site) == GONE && i > 0) {
		peer_send(conn, "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n");
		return PEER_KEEP;
	}
	bool altered = atomic_load(&site) == ALTERED && i == 3;
	peer_send(conn, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s%s",
	          strlen(text) + altered, text, altered ? " " : "");
	return PEER_KEEP;
}

static void on_looked(void *data, uint32_t index, const struct dif_health_look *look)
{
	(void)data;
	assert_int_equal(index, 0);
	got.seen = look->seen;
	got.order = *look->order;
	snprintf(got.text, sizeof got.text, "%s", look->text);
	got.n++;
	w->done = true;
}

static void on_sight(void *data, enum dif_sight sight)
{
	(void)data;
	got.sight = sight;
	got.told = true;
	w->done = true;
}

static void make_cut(int64_t i)
{
	struct file list[FILES];
	for (uint32_t k = 0; k < FILES; k++) {
		bool same = k == 0 || k == 2;
		snprintf(texts[i][k], sizeof texts[i][k],
		         k == 0 ? INDEX("<p>x</p>") : "{\"n\": %lld}", same ? 0LL : (long long)i);
		list[k] = (struct file){files[k], texts[i][k]};
	}
	cuts[i] = world_cut(w, 100 + i, list, FILES);
	struct dif_cut c = {.order = cuts[i]->manifest->order,
	                    .name = "cut.zip",
	                    .source = "test",
	                    .profile = "production",
	                    .reason = "",
	                    .status = DIF_CUT_LIVE};
	assert_true(dif_state_put_cut(w->setup.state, &c));
	assert_true(dif_state_put_manifest(w->setup.state, cuts[i]->manifest));
}

static void open_prober(void)
{
	static const struct dif_prober_events events = {on_looked, on_sight};
	prober = dif_prober_open(&w->setup, &events, NULL);
	assert_non_null(prober);
}

static int setup(void **state)
{
	(void)state;
	w = world_new(1u << 20);
	peer = peer_start(answer, NULL, NULL, 0);
	snprintf(url, sizeof url, "http://127.0.0.1:%u/", peer_port(peer));
	snprintf(silent, sizeof silent, "http://127.0.0.1:1/");
	w->config.health = (struct dif_health_config){.timeout = 5000};
	w->to[0].public_url = url;
	memset(&got, 0, sizeof got);
	memset(cuts, 0, sizeof cuts);
	for (int64_t i = 0; i < 4; i++) { /* the state keeps the last three */
		make_cut(i);
	}
	atomic_store(&site, CURRENT);
	open_prober();
	dif_prober_want(prober, &cuts[2]->manifest->order);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dif_prober_close(prober);
	for (uint32_t i = 0; i < CUTS; i++) {
		if (cuts[i] != NULL) {
			cut_free(cuts[i]);
		}
	}
	world_free(w);
	peer_stop(peer);
	return 0;
}

static void look(enum site what)
{
	atomic_store(&site, (int)what);
	dif_prober_look(prober, 0);
	world_wait(w);
}

TEST(the_current_cut_is_told_from_the_one_before_and_the_one_after)
{
	UNUSED_STATE;
	assert_true(dif_prober_can(prober, 0));
	assert_false(dif_prober_can(prober, 1)); /* it has no address */
	for (uint32_t i = 0; i < 20; i++) {      /* what is asked for by chance must not matter */
		look(CURRENT);
		assert_int_equal(got.seen, DIF_SEEN_RIGHT);
		assert_int_equal(got.order.number, 102);
		look(BEFORE);
		assert_int_equal(got.seen, DIF_SEEN_RIGHT);
		assert_int_equal(got.order.number, 101);
	}
	dif_prober_want(prober, &cuts[3]->manifest->order);
	look(LATER);
	assert_int_equal(got.order.number, 103);
	look(CURRENT);
	assert_int_equal(got.order.number, 102);
}

TEST(a_cut_of_which_the_last_part_is_missing_is_not_shown)
{
	UNUSED_STATE;
	static const char *const late[] = {"total.json", NULL};
	w->classes[0].match = late; /* an aggregate, as in world.h */
	for (uint32_t i = 0; i < 20; i++) {
		look(HALF);
		assert_int_equal(got.seen, DIF_SEEN_RIGHT);
		assert_int_equal(got.order.number, 101);
	}
}

TEST(wrong_bytes_no_answer_and_no_page_are_told_apart)
{
	UNUSED_STATE;
	look(ALTERED);
	assert_int_equal(got.seen, DIF_SEEN_WRONG);
	assert_true(strlen(got.text) > 0);
	look(AWAY);
	assert_int_equal(got.seen, DIF_SEEN_NOTHING);
	assert_non_null(strstr(got.text, "503"));
	look(GONE);
	assert_int_equal(got.seen, DIF_SEEN_NOTHING);
	w->to[0].public_url = silent;
	look(CURRENT);
	assert_int_equal(got.seen, DIF_SEEN_NOTHING);
	assert_non_null(strstr(got.text, "could not reach"));
}

TEST(what_is_wanted_stays_known_however_many_newer_ones_there_are)
{
	UNUSED_STATE;
	make_cut(4);
	make_cut(5);
	dif_prober_learn(prober, cuts[4]->manifest->order.sha256);
	dif_prober_learn(prober, cuts[5]->manifest->order.sha256);
	assert_non_null(dif_prober_order(prober, cuts[5]->manifest->order.sha256));
	assert_non_null(dif_prober_order(prober, cuts[2]->manifest->order.sha256));
	look(CURRENT);
	assert_int_equal(got.order.number, 102);
	look(LATER); /* its page is that of the wanted one, too: no more than that is certain */
	assert_int_equal(got.seen, DIF_SEEN_RIGHT);
	assert_int_equal(got.order.number, 102);
}

TEST(a_cut_that_is_not_known_is_not_looked_for)
{
	UNUSED_STATE;
	struct dif_order other = {1, 999, "feed"};
	dif_prober_want(prober, &other);
	assert_false(dif_prober_can(prober, 0));
	dif_prober_look(prober, 0);
	dif_prober_learn(prober, "feed");
	assert_null(dif_prober_order(prober, "feed"));
	assert_int_equal(got.n, 0);
}

TEST(one_reference_that_answers_is_enough)
{
	UNUSED_STATE;
	struct dif_health_config *h = &w->config.health;
	dif_prober_ask_references(prober); /* there are none */
	assert_false(got.told);
	atomic_store(&site, AWAY); /* 503 is an answer, too */
	h->reference[0] = silent;
	h->reference[1] = url;
	h->nreferences = 2;
	dif_prober_ask_references(prober);
	world_wait(w);
	assert_int_equal(got.sight, DIF_SIGHT_CLEAR);
	h->reference[1] = silent;
	dif_prober_ask_references(prober);
	dif_prober_ask_references(prober); /* one round at a time */
	world_wait(w);
	assert_int_equal(got.sight, DIF_SIGHT_BLIND);
}

TEST(closing_in_the_middle_of_a_look_tells_nothing)
{
	UNUSED_STATE;
	dif_prober_look(prober, 0);
	dif_prober_close(prober);
	dif_engine_run(w->setup.engine);
	assert_int_equal(got.n, 0);
	open_prober();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(the_current_cut_is_told_from_the_one_before_and_the_one_after),
		T(a_cut_of_which_the_last_part_is_missing_is_not_shown),
		T(wrong_bytes_no_answer_and_no_page_are_told_apart),
		T(what_is_wanted_stays_known_however_many_newer_ones_there_are),
		T(a_cut_that_is_not_known_is_not_looked_for),
		T(one_reference_that_answers_is_enough),
		T(closing_in_the_middle_of_a_look_tells_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
