/* dns - the real rfc2136.so against a real name server; tests/cloud/dns starts it.
 *
 * DNS_INI: keys of a [steering] section that reaches it, without type. The zone prep.example has
 * www CNAME a.cdn.example, two A 192.0.2.1 and 192.0.2.2, txt TXT, and in big more than fits into a
 * datagram. DNS_BAD_KEY: the same server with another key's name. */
#include "tests/plugin/support/checks.h"

#include "host/op_private.h"

static struct store *st;

static void begin_with(const char *variable, const char *type)
{
	const char *more = getenv(variable);
	char ini[4096];
	assert_non_null(more);
	(void)snprintf(ini, sizeof ini, "[steering t]\nplugin = rfc2136\ntype = %s\n%s", type,
	               more);
	st = store_open(ini, NULL);
}

static void begin(const char *type)
{
	begin_with("DNS_INI", type);
}

static void end(void)
{
	store_close(st);
}

static const struct store_out *get(const char *name, const char *type)
{
	return store_verb(st, DIF_ROUTE_GET, &(struct dif_route){.name = name, .type = type});
}

static const struct store_out *set(const char *name, const char *type, const char *value1,
                                   const char *value2, const char *tag)
{
	const struct dif_target targets[] = {{.name = "one", .value = value1, .weight = 1},
	                                     {.name = "two", .value = value2, .weight = 1}};
	return store_verb(st, DIF_ROUTE_SET,
	                  &(struct dif_route){.name = name,
	                                      .type = type,
	                                      .targets = targets,
	                                      .n = value2 != NULL ? 2 : 1,
	                                      .ttl_s = 30,
	                                      .if_tag = tag});
}

TEST(the_primary_of_the_zone_is_reached)
{
	UNUSED_STATE;
	begin("A");
	check_ok(store_probe(st));
	end();
}

TEST(a_cname_moves_under_its_tag)
{
	UNUSED_STATE;
	begin("CNAME");
	const struct store_out *out = get("www.prep.example", "CNAME");
	check_ok(out);
	assert_int_equal(out->ntargets, 1);
	assert_string_equal(out->targets[0].value, "a.cdn.example");
	assert_int_equal(out->ttl_s, 60);
	const char *tag = out->tag;
	check_ok(set("www.prep.example", "CNAME", "B.cdn.example.", NULL, tag));
	out = get("www.prep.example", "CNAME");
	check_ok(out);
	assert_string_equal(out->targets[0].value, "b.cdn.example");
	assert_int_equal(out->ttl_s, 30);
	check_class(set("www.prep.example", "CNAME", "c.cdn.example", NULL, tag), DIF_CONFLICT);
	check_ok(set("www.prep.example", "CNAME", "a.cdn.example", NULL, NULL));
	end();
}

TEST(addresses_move_under_their_tag)
{
	UNUSED_STATE;
	begin("A");
	const struct store_out *out = get("two.prep.example", "A");
	check_ok(out);
	assert_int_equal(out->ntargets, 2);
	assert_string_equal(out->targets[0].value, "192.0.2.1");
	assert_string_equal(out->targets[1].value, "192.0.2.2");
	const char *tag = out->tag;
	check_ok(set("two.prep.example", "A", "192.0.2.3", NULL, tag));
	check_class(set("two.prep.example", "A", "192.0.2.4", NULL, tag), DIF_CONFLICT);
	check_ok(set("two.prep.example", "A", "192.0.2.2", "192.0.2.1", NULL));
	out = get("two.prep.example", "A");
	check_ok(out);
	assert_string_equal(out->tag, tag);
	end();
}

TEST(an_absent_name_is_created_once)
{
	UNUSED_STATE;
	begin("AAAA");
	const struct store_out *out = get("new.prep.example", "AAAA");
	check_ok(out);
	assert_int_equal(out->ntargets, 0);
	const char *tag = out->tag;
	check_ok(set("new.prep.example", "AAAA", "2001:DB8::0:1", "2001:db8::2", tag));
	check_class(set("new.prep.example", "AAAA", "2001:db8::3", NULL, tag), DIF_CONFLICT);
	out = get("new.prep.example", "AAAA");
	check_ok(out);
	assert_int_equal(out->ntargets, 2);
	assert_string_equal(out->targets[0].value, "2001:db8::1");
	check_ok(store_verb(st, DIF_ROUTE_SET,
	                    &(struct dif_route){.name = "new.prep.example",
	                                        .type = "AAAA",
	                                        .ttl_s = 30,
	                                        .if_tag = out->tag}));
	assert_int_equal(get("new.prep.example", "AAAA")->ntargets, 0);
	end();
}

TEST(a_cname_and_addresses_do_not_meet)
{
	UNUSED_STATE;
	begin("A");
	const struct store_out *out = get("www.prep.example", "A");
	check_class(out, DIF_PERMANENT);
	check_text(out, "it is a CNAME to 'a.cdn.example'");
	check_class(set("www.prep.example", "A", "192.0.2.3", NULL, NULL), DIF_CONFLICT);
	out = get("two.prep.example", "CNAME");
	check_class(out, DIF_PERMANENT);
	check_text(out, "it has A records");
	check_class(set("two.prep.example", "CNAME", "a.cdn.example", NULL, NULL), DIF_CONFLICT);
	out = get("txt.prep.example", "CNAME");
	check_ok(out);
	check_class(set("txt.prep.example", "CNAME", "a.cdn.example", NULL, out->tag),
	            DIF_CONFLICT);
	end();
}

TEST(what_is_too_long_for_a_datagram_comes_by_stream)
{
	UNUSED_STATE;
	begin("A");
	const struct store_out *out = get("big.prep.example", "A");
	check_ok(out);
	assert_int_equal(out->ntargets, 60);
	end();
}

TEST(a_name_outside_the_zone_is_not_asked_for)
{
	UNUSED_STATE;
	begin("A");
	check_class(get("www.other.example", "A"), DIF_PERMANENT);
	end();
}

TEST(a_key_that_the_server_does_not_know_is_no_proof_of_anything)
{
	UNUSED_STATE;
	begin_with("DNS_BAD_KEY", "A");
	st->deadline_ms = 1000;
	const struct store_out *out = get("two.prep.example", "A");
	check_class(out, DIF_TRANSIENT);
	check_text(out, "does not know the key");
	end();
}

TEST(a_clock_that_is_off_is_followed)
{
	UNUSED_STATE;
	static const int64_t off[] = {-100000, 100000};
	for (size_t k = 0; k < sizeof off / sizeof *off; k++) {
		begin("A");
		st->instance->clock_offset = off[k]; /* what the plug-in takes for now */
		const struct store_out *out = get("two.prep.example", "A");
		check_ok(out);
		assert_int_equal(out->attempts, 1);
		check_ok(set("two.prep.example", "A", "192.0.2.1", "192.0.2.2", out->tag));
		end();
	}
}

TEST(a_key_without_permission_is_refused)
{
	UNUSED_STATE;
	begin_with("DNS_READ_KEY", "A");
	check_ok(get("two.prep.example", "A"));
	check_class(set("two.prep.example", "A", "192.0.2.3", NULL, NULL), DIF_AUTH);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_primary_of_the_zone_is_reached),
		cmocka_unit_test(a_cname_moves_under_its_tag),
		cmocka_unit_test(addresses_move_under_their_tag),
		cmocka_unit_test(an_absent_name_is_created_once),
		cmocka_unit_test(a_cname_and_addresses_do_not_meet),
		cmocka_unit_test(what_is_too_long_for_a_datagram_comes_by_stream),
		cmocka_unit_test(a_name_outside_the_zone_is_not_asked_for),
		cmocka_unit_test(a_key_that_the_server_does_not_know_is_no_proof_of_anything),
		cmocka_unit_test(a_clock_that_is_off_is_followed),
		cmocka_unit_test(a_key_without_permission_is_refused),
	};
	return cmocka_run_group_tests_name("cloud/dns", tests, NULL, NULL);
}
