/* duty - what an agent may do, by what is known of the lease. */
#include "support.h"

#include "flow/duty.h"

#define TTL 15000

static const struct dif_lease_config publishes = {
	.name = "l", .section = "lease l", .ttl = TTL, .without = "publish"};
static const struct dif_lease_config waits = {
	.name = "l", .section = "lease l", .ttl = TTL, .without = "wait"};

static void check_duty(const struct dif_duty_input *in, enum dif_role role, bool may_publish,
                       bool may_alone)
{
	struct dif_duty d = dif_duty_decide(in);
	assert_string_equal(dif_role_name(d.role), dif_role_name(role));
	assert_int_equal(d.may_publish, may_publish);
	assert_int_equal(d.may_alone, may_alone);
}

TEST(without_a_lease_in_the_configuration_all_may_be_done)
{
	UNUSED_STATE;
	check_duty(&(struct dif_duty_input){.now = 1000000}, DIF_ROLE_ALONE, true, true);
}

TEST(who_has_it_does_all_and_who_has_not_does_nothing)
{
	UNUSED_STATE;
	check_duty(&(struct dif_duty_input){.lease = &publishes, .is_active = true},
	           DIF_ROLE_ACTIVE, true, true);
	check_duty(&(struct dif_duty_input){.lease = &publishes}, DIF_ROLE_STANDBY, false, false);
	/* the last one has no right left of it while another may have it */
	check_duty(&(struct dif_duty_input){.lease = &publishes, .was_last = true},
	           DIF_ROLE_STANDBY, false, false);
}

TEST(silence_lets_both_publish_and_the_last_one_steer)
{
	UNUSED_STATE;
	struct dif_duty_input in = {
		.lease = &publishes, .answered = 7, .now = 7 + DIF_DUTY_SILENCE * TTL - 1};
	check_duty(&in, DIF_ROLE_STANDBY, false, false);
	in.now++;
	check_duty(&in, DIF_ROLE_WITHOUT, true, false);
	in.was_last = true;
	check_duty(&in, DIF_ROLE_WITHOUT, true, true);
	in.answered = in.now;
	check_duty(&in, DIF_ROLE_STANDBY, false, false);
}

TEST(who_shall_wait_waits)
{
	UNUSED_STATE;
	struct dif_duty_input in = {.lease = &waits, .was_last = true, .now = 1000 * TTL};
	check_duty(&in, DIF_ROLE_STANDBY, false, false);
	in.is_active = true;
	check_duty(&in, DIF_ROLE_ACTIVE, true, true);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_lease_in_the_configuration_all_may_be_done),
		cmocka_unit_test(who_has_it_does_all_and_who_has_not_does_nothing),
		cmocka_unit_test(silence_lets_both_publish_and_the_last_one_steer),
		cmocka_unit_test(who_shall_wait_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
