/* etcd - the real etcd.so against a real etcd; tests/cloud/etcd starts it.
 *
 * ETCD_INI: keys of a [lease] section that reaches it. ETCD_OPEN: 1 where it has no authentication,
 * and takes members besides. */
#include "tests/plugin/support/checks.h"

#include "base/clock.h"

#define TTL_S 15
#define SHORT_TTL_S 3
#define PATIENCE_MS 30000

static struct store *st;

static void begin(const char *more)
{
	const char *ini = getenv("ETCD_INI");
	char text[4096];
	assert_non_null(ini);
	(void)snprintf(text, sizeof text, "[lease t]\nplugin = etcd\n%s%s", ini, more);
	st = store_open(text, NULL);
}

static void end(void)
{
	store_close(st);
}

static const struct store_out *call(enum dif_verb_id verb, const char *name, const char *owner,
                                    const char *lease, uint32_t ttl_s)
{
	return store_verb(st, verb,
	                  &(struct dif_lease_call){
				  .name = name, .owner = owner, .lease = lease, .ttl_s = ttl_s});
}

static const struct store_out *acquire(const char *name, const char *owner)
{
	return call(DIF_LEASE_ACQUIRE, name, owner, NULL, TTL_S);
}

static const struct store_out *read_lease(const char *name)
{
	return call(DIF_LEASE_READ, name, "", NULL, 0);
}

TEST(it_is_reached)
{
	UNUSED_STATE;
	begin("");
	check_ok(store_probe(st));
	end();
}

TEST(a_lease_goes_from_hand_to_hand_and_its_fence_rises)
{
	UNUSED_STATE;
	begin("");
	assert_null(read_lease("hand")->holder);
	const struct store_out *out = acquire("hand", "one");
	check_ok(out);
	const char *lease = out->lease;
	uint64_t fence = out->fence;
	assert_non_null(lease);
	assert_int_equal(out->ttl_s, TTL_S);
	out = read_lease("hand");
	check_ok(out);
	assert_string_equal(out->holder, "one");
	assert_int_equal(out->fence, fence);
	out = acquire("hand", "two");
	check_ok(out);
	assert_null(out->lease);
	assert_string_equal(out->holder, "one");
	out = call(DIF_LEASE_RENEW, "hand", "one", lease, TTL_S);
	check_ok(out);
	assert_int_equal(out->ttl_s, TTL_S);
	check_ok(call(DIF_LEASE_RELEASE, "hand", "one", lease, 0));
	check_ok(call(DIF_LEASE_RELEASE, "hand", "one", lease, 0));
	check_class(call(DIF_LEASE_RENEW, "hand", "one", lease, TTL_S), DIF_NOT_FOUND);
	assert_null(read_lease("hand")->holder);
	out = acquire("hand", "two");
	check_ok(out);
	assert_non_null(out->lease);
	assert_true(out->fence > fence);
	check_ok(call(DIF_LEASE_RELEASE, "hand", "two", out->lease, 0));
	end();
}

TEST(its_owner_finds_it_again)
{
	UNUSED_STATE;
	begin("");
	const struct store_out *out = acquire("again", "one");
	check_ok(out);
	const char *lease = out->lease;
	uint64_t fence = out->fence;
	out = acquire("again", "one");
	check_ok(out);
	assert_string_equal(out->lease, lease);
	assert_int_equal(out->fence, fence);
	assert_int_equal(out->ttl_s, TTL_S);
	check_ok(call(DIF_LEASE_RELEASE, "again", "one", lease, 0));
	end();
}

TEST(an_owner_that_falls_silent_loses_it)
{
	UNUSED_STATE;
	begin("");
	int64_t asked = dif_steady_ms();
	check_ok(call(DIF_LEASE_ACQUIRE, "silent", "one", NULL, SHORT_TTL_S));
	while (read_lease("silent")->holder != NULL) {
		assert_true(dif_steady_ms() - asked < PATIENCE_MS);
		uv_sleep(20);
	}
	assert_true(dif_steady_ms() - asked >= SHORT_TTL_S * 1000); /* not before its time */
	end();
}

TEST(a_member_that_is_away_is_passed_over)
{
	UNUSED_STATE;
	const char *url = getenv("ETCD_OPEN");
	char more[512];
	if (url == NULL) {
		skip();
	}
	(void)snprintf(more, sizeof more,
	               "[lease t]\nplugin = etcd\npatience = 200ms\n"
	               "endpoints = http://127.0.0.1:1 %s\n",
	               url);
	st = store_open(more, NULL);
	const struct store_out *out = acquire("away", "one");
	check_ok(out);
	assert_int_equal(out->attempts, 1);
	check_ok(call(DIF_LEASE_RELEASE, "away", "one", out->lease, 0));
	end();
}

TEST(a_wrong_password_is_told)
{
	UNUSED_STATE;
	const char *ini = getenv("ETCD_WRONG");
	if (ini == NULL) {
		skip();
	}
	char text[512];
	(void)snprintf(text, sizeof text, "[lease t]\nplugin = etcd\n%s", ini);
	st = store_open(text, NULL);
	st->deadline_ms = 3000;
	const struct store_out *out = read_lease("hand");
	check_class(out, DIF_AUTH);
	check_text(out, "invalid user ID or password");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_reached),
		cmocka_unit_test(a_lease_goes_from_hand_to_hand_and_its_fence_rises),
		cmocka_unit_test(its_owner_finds_it_again),
		cmocka_unit_test(an_owner_that_falls_silent_loses_it),
		cmocka_unit_test(a_member_that_is_away_is_passed_over),
		cmocka_unit_test(a_wrong_password_is_told),
	};
	return cmocka_run_group_tests_name("cloud/etcd", tests, NULL, NULL);
}
