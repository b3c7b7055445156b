/* leader - two agents and one lease, kept by a plug-in that asks nobody. */
#include "support.h"

#include "base/clock.h"
#include "flow/leader.h"
#include "unit/support/opkit.h"

#define TTL_MS 600

static const struct dif_host *const host = &dif_host_services;

/* The place where the lease is kept. */
static struct {
	char holder[128], id[32];
	uint64_t fence;
	int64_t until;
	uint32_t acquires, renewals, releases;
	bool down;
	bool forget; /* the next renewal finds it over */
} kept;

static bool is_down(struct dif_op *op)
{
	if (kept.down) {
		(host->fail)(op, DIF_PERMANENT, "away", "nobody answers");
	}
	return kept.down;
}

static void acquire(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	int64_t now = dif_steady_ms();
	kept.acquires++;
	if (is_down(op)) {
		return;
	}
	if (now >= kept.until) {
		snprintf(kept.holder, sizeof kept.holder, "%s", in->owner);
		snprintf(kept.id, sizeof kept.id, "lease%llu", (unsigned long long)++kept.fence);
		kept.until = now + TTL_MS;
	}
	if (strcmp(kept.holder, in->owner) == 0) {
		host->done(op, &(struct dif_result){.lease = kept.id, .fence = kept.fence});
	} else {
		host->done(op, &(struct dif_result){.holder = kept.holder});
	}
}

static void renew(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	kept.renewals++;
	if (is_down(op)) {
		return;
	}
	if (kept.forget || strcmp(in->lease, kept.id) != 0 || dif_steady_ms() >= kept.until) {
		kept.forget = false;
		kept.until = 0;
		(host->fail)(op, DIF_NOT_FOUND, "over", "it is over");
		return;
	}
	kept.until = dif_steady_ms() + TTL_MS;
	host->done(op, &(struct dif_result){.ttl_s = 1});
}

static void release(struct dif_op *op)
{
	const struct dif_lease_call *in = op->in;
	kept.releases++;
	if (is_down(op)) {
		return;
	}
	if (strcmp(in->lease, kept.id) == 0) {
		kept.until = 0;
	}
	host->done(op, &(struct dif_result){0});
}

static void look(struct dif_op *op)
{
	host->done(op, &(struct dif_result){.holder = kept.holder, .fence = kept.fence});
}

static bool open_it(void *self, struct dif_opening *o, struct dif_caps *c)
{
	(void)self;
	(void)o;
	(void)c;
	return true;
}

static const struct dif_leaser verbs = {
	.c = {.size = sizeof verbs, .open = open_it, .probe = look},
	.acquire = acquire,
	.renew = renew,
	.release = release,
	.read = look,
};
static const struct dif_offer offer = {
	.kind = DIF_LEASE, .name = "kept", .what = "a test's", .verbs = &verbs.c};
static const struct dif_lease_config config = {.name = "l", .section = "lease l", .ttl = TTL_MS};

struct agent {
	struct opkit *k;
	struct dif_leader *l;
	unsigned changes, closed;
	bool active;
	char why[128]; /* of the last loss */
};

static void on_changed(void *data, bool active, const char *why)
{
	struct agent *a = data;
	assert_int_not_equal(a->active, active);
	a->changes++;
	a->active = active;
	if (!active) {
		snprintf(a->why, sizeof a->why, "%s", why);
	}
}

static void on_closed(void *data)
{
	((struct agent *)data)->closed++;
}

static void begin(struct agent *a)
{
	*a = (struct agent){.k = opkit_new_with(&offer)};
	a->l = dif_leader_open(a->k->e, a->k->i, &config, on_changed, a);
	assert_non_null(a->l);
	assert_int_equal(a->changes, 0);
}

static void finish(struct agent *a)
{
	dif_leader_close(a->l, on_closed, a);
	assert_int_equal(a->closed, 0);
	opkit_until(a->k, &a->closed, 1);
	opkit_free(a->k);
}

static int setup(void **s)
{
	(void)s;
	memset(&kept, 0, sizeof kept);
	return 0;
}

TEST(the_first_gets_it_and_keeps_it)
{
	UNUSED_STATE;
	struct agent a;
	begin(&a);
	opkit_until(a.k, &a.changes, 1);
	assert_true(dif_leader_is_active(a.l));
	assert_int_equal(dif_leader_fence(a.l), 1);
	assert_string_equal(dif_leader_holder(a.l), dif_leader_owner(a.l));
	opkit_until(a.k, &kept.renewals, 3);
	assert_int_equal(a.changes, 1);
	assert_true(dif_leader_is_active(a.l));
	finish(&a);
	assert_int_equal(kept.releases, 1);
	assert_int_equal(kept.until, 0);
}

TEST(the_second_waits_and_takes_over_when_it_is_given_back)
{
	UNUSED_STATE;
	struct agent a, b;
	begin(&a);
	opkit_until(a.k, &a.changes, 1);
	begin(&b);
	opkit_until(b.k, &kept.acquires, 3);
	assert_false(dif_leader_is_active(b.l));
	assert_string_equal(dif_leader_holder(b.l), dif_leader_owner(a.l));
	finish(&a);
	opkit_until(b.k, &b.changes, 1);
	assert_true(dif_leader_is_active(b.l));
	assert_int_equal(dif_leader_fence(b.l), 2);
	finish(&b);
}

TEST(one_that_is_killed_is_followed_when_its_time_is_over)
{
	UNUSED_STATE;
	struct agent b;
	/* who was killed gives nothing back */
	snprintf(kept.holder, sizeof kept.holder, "killed");
	kept.fence = 7;
	kept.until = dif_steady_ms() + TTL_MS;
	begin(&b);
	opkit_until(b.k, &b.changes, 1);
	assert_true(dif_steady_ms() >= kept.until - TTL_MS);
	assert_int_equal(dif_leader_fence(b.l), 8);
	finish(&b);
}

TEST(who_cannot_ask_stops_before_the_lease_is_over)
{
	UNUSED_STATE;
	struct agent a;
	begin(&a);
	opkit_until(a.k, &kept.renewals, 1);
	kept.down = true;
	opkit_until(a.k, &a.changes, 2);
	assert_true(dif_steady_ms() < kept.until);
	assert_false(dif_leader_is_active(a.l));
	assert_string_equal(a.why, "the lease could not be renewed in time");
	assert_int_equal(dif_leader_trouble(a.l)->cls, DIF_PERMANENT);
	int64_t answered = dif_leader_answered(a.l);
	opkit_until(a.k, &kept.acquires, kept.acquires + 2);
	assert_int_equal(dif_leader_answered(a.l), answered);
	kept.down = false;
	opkit_until(a.k, &a.changes, 3);
	assert_true(dif_leader_is_active(a.l));
	assert_true(dif_leader_answered(a.l) > answered);
	finish(&a);
}

TEST(what_is_over_is_asked_for_again)
{
	UNUSED_STATE;
	struct agent a;
	begin(&a);
	opkit_until(a.k, &a.changes, 1);
	kept.forget = true;
	opkit_until(a.k, &a.changes, 2);
	assert_string_equal(a.why, "the lease is over");
	opkit_until(a.k, &a.changes, 3);
	assert_int_equal(dif_leader_fence(a.l), 2);
	finish(&a);
}

TEST(an_end_at_once_leaves_nothing_behind)
{
	UNUSED_STATE;
	struct agent a;
	begin(&a);
	finish(&a);
	assert_true(kept.until <= dif_steady_ms());
	kept.down = true;
	begin(&a);
	opkit_until(a.k, &kept.acquires, kept.acquires + 1);
	finish(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup(name, setup)
		T(the_first_gets_it_and_keeps_it),
		T(the_second_waits_and_takes_over_when_it_is_given_back),
		T(one_that_is_killed_is_followed_when_its_time_is_over),
		T(who_cannot_ask_stops_before_the_lease_is_over),
		T(what_is_over_is_asked_for_again),
		T(an_end_at_once_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
