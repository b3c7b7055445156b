/* probe - what conditions are worth, also on parts, over the memory store. */
#include "world.h"

#include "flow/probe.h"

static const struct dif_caps in_parts = {.size = sizeof(struct dif_caps),
                                         .flags = DIF_CAP_COND | DIF_CAP_LIST_META,
                                         .put_max = 1u << 20,
                                         .delete_max = 3,
                                         .list_max = 4,
                                         .key_max = 1024,
                                         .meta_max = 2048,
                                         .digests = {DIF_SHA256},
                                         .part_min = 1,
                                         .part_max = 1u << 20,
                                         .part_align = 1024,
                                         .part_count = 100,
                                         .part_parallel = 4,
                                         .part_digest = DIF_CRC32C};

static struct world *w;
static struct dif_instance *store;
static struct dif_destination *d;
static struct dif_error seen;

static void on_probed(void *data, const struct dif_error *err)
{
	(void)data;
	seen = *err;
	w->done = true;
}

static int setup(void **state)
{
	(void)state;
	w = world_new(1u << 20);
	store = w->store[0];
	store->caps = in_parts;
	d = &w->destinations[0];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_free(w);
	return 0;
}

/* Nothing of a probe stays in the store. */
static void probe(enum dif_class cls)
{
	assert_non_null(dif_probe_start(d, w->setup.state, on_probed, NULL));
	world_wait(w);
	assert_int_equal(seen.cls, cls);
	assert_int_equal(store->nobjects, 0);
	assert_int_equal(mem_uploads(&store->parts), 0);
}

/* The same as a later run finds it. */
static void check_recalled(bool bare, bool whole_only)
{
	struct dif_destination later;
	memset(&later, 0, sizeof later);
	dif_destination_init(&later, d->config, store);
	assert_true(dif_probe_recall(&later, w->setup.state));
	assert_int_equal(later.fence, DIF_FENCED);
	assert_int_equal(later.bare_tags, bare);
	assert_int_equal(later.whole_only, whole_only);
	dif_destination_fini(&later);
}

TEST(parts_under_a_condition_are_fenced)
{
	UNUSED_STATE;
	probe(DIF_OK);
	assert_int_equal(d->fence, DIF_FENCED);
	assert_false(d->whole_only);
	check_recalled(false, false);
}

TEST(parts_that_are_joined_whatever_the_condition_leave_whole_puts)
{
	UNUSED_STATE;
	store->parts.blind = true;
	probe(DIF_OK);
	assert_int_equal(d->fence, DIF_FENCED);
	assert_true(d->whole_only);
	check_recalled(false, true);
	store->bare = true;
	probe(DIF_OK);
	assert_true(d->bare_tags && d->whole_only);
	check_recalled(true, true);
}

TEST(parts_that_are_refused_leave_whole_puts)
{
	UNUSED_STATE;
	store->parts.fail_finish = DIF_PERMANENT;
	probe(DIF_OK);
	assert_true(d->whole_only);
	store->parts.fail_finish = DIF_OK;
	store->parts.fail_part = DIF_NOT_FOUND;
	probe(DIF_OK);
	assert_true(d->whole_only);
}

TEST(a_store_that_is_away_leaves_no_verdict)
{
	UNUSED_STATE;
	store->parts.fail_part = DIF_TRANSIENT;
	probe(DIF_TRANSIENT);
	assert_int_equal(d->fence, DIF_FENCE_UNKNOWN);
	assert_false(dif_probe_recall(d, w->setup.state));
}

TEST(an_unfenced_store_is_not_asked_about_parts)
{
	UNUSED_STATE;
	store->blind = true;
	probe(DIF_OK);
	assert_int_equal(d->fence, DIF_UNFENCED);
	for (uint32_t i = 0; i < store->nlog; i++) {
		assert_true(store->log[i].verb < DIF_PART_BEGIN);
	}
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* What is found is what a later run finds, and only where there was a choice is it asked at all. */
static void check_guard(uint32_t careless, uint32_t refused, uint32_t guard)
{
	struct dif_destination later;
	memset(&later, 0, sizeof later);
	memcpy(store->caps.digests, (uint32_t[]){DIF_SHA256, DIF_CRC32, DIF_CRC32C, DIF_MD5, 0},
	       5 * sizeof(uint32_t));
	store->careless = careless;
	store->refused = refused;
	probe(DIF_OK);
	assert_int_equal(d->fence, DIF_FENCED);
	assert_int_equal(d->guard, guard);
	assert_int_equal(d->unguarded, guard == DIF_NO_DIGEST);
	dif_destination_init(&later, d->config, store);
	assert_true(dif_probe_recall(&later, w->setup.state));
	assert_int_equal(later.guard, guard);
	assert_int_equal(later.unguarded, guard == DIF_NO_DIGEST);
	dif_destination_fini(&later);
}

TEST(the_first_digest_that_is_enforced_guards)
{
	UNUSED_STATE;
	uint32_t sha = DIF_HAS(DIF_SHA256), crc = DIF_HAS(DIF_CRC32), crcc = DIF_HAS(DIF_CRC32C);
	check_guard(0, 0, DIF_SHA256);
	check_guard(sha, 0, DIF_CRC32);
	check_guard(sha | crc, 0, DIF_CRC32C);
	check_guard(sha, crc, DIF_CRC32C);
	check_guard(sha | crcc, crc, DIF_MD5);
	check_guard(sha | crc | crcc | DIF_HAS(DIF_MD5), 0, DIF_NO_DIGEST);
	check_guard(sha | crc, crcc | DIF_HAS(DIF_MD5), DIF_NO_DIGEST);
}

TEST(a_store_without_conditions_is_asked_for_its_digest_too)
{
	UNUSED_STATE;
	memcpy(store->caps.digests, (uint32_t[]){DIF_SHA256, DIF_MD5, 0}, 3 * sizeof(uint32_t));
	store->blind = true;
	store->careless = DIF_HAS(DIF_SHA256);
	probe(DIF_OK);
	assert_int_equal(d->fence, DIF_UNFENCED);
	assert_int_equal(d->guard, DIF_MD5);
}

TEST(a_store_that_takes_one_digest_is_not_asked)
{
	UNUSED_STATE;
	store->careless = DIF_HAS(DIF_SHA256);
	probe(DIF_OK);
	assert_int_equal(d->guard, DIF_NO_DIGEST);
	assert_false(d->unguarded);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		T(parts_under_a_condition_are_fenced),
		T(parts_that_are_joined_whatever_the_condition_leave_whole_puts),
		T(parts_that_are_refused_leave_whole_puts),
		T(a_store_that_is_away_leaves_no_verdict),
		T(an_unfenced_store_is_not_asked_about_parts),
		T(the_first_digest_that_is_enforced_guards),
		T(a_store_without_conditions_is_asked_for_its_digest_too),
		T(a_store_that_takes_one_digest_is_not_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
