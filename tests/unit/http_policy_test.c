#include "base/clock.h"
#include "host/http.h"

#include <openssl/ssl.h>

#include "unit/support/httpkit.h"
#include "unit/support/pki.h"

/* --- tests: TLS --- */

TEST(tls_is_verified)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, "good", 0);
	struct dif_piece piece = {.bytes = {"x", 1}};
	struct dif_http_request q = {.method = "PUT", .body = &piece, .npieces = 1};
	struct answer a = http_ask(&w, "/k", q);
	assert_echo(&a, "PUT /k", 1, 'x');
	assert_string_equal(a.tls, "TLSv1.3");
	int64_t left = a.cert_ends - dif_wall_ms() / 1000; /* of the day that test_pki gives it */
	assert_true(left > 80000 && left <= 86400);
	a = http_ask(&w, "/k", q); /* on a kept connection, too */
	assert_string_equal(a.tls, "TLSv1.3");
	assert_true(a.cert_ends != 0);
	assert_int_equal(peer_connections(w.peer), 1);

	/* neither another authority, nor the system's, nor a missing file; the kept connection of
	 * the first policy does not help them */
	const char *others[] = {test_path("other-ca.pem"), NULL, test_path("missing.pem")};
	for (size_t i = 0; i < DIF_LEN(others); i++) {
		struct dif_http_policy p = w.policy;
		p.ca_file = others[i];
		q.policy = &p;
		a = http_ask(&w, "/k", q);
		assert_int_equal(a.status, 0);
		assert_int_equal(a.err.cls, DIF_PERMANENT);
		assert_string_equal(a.err.code, "tls");
		assert_false(a.sent);
	}
	http_close(&w);
}

/* Caches are asked by their own address for another host's object. */
TEST(a_host_field_replaces_the_host_and_the_certificate_is_the_addresses)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, "good", 0);
	struct dif_field field = {"host", "www.prep.example"};
	struct answer a = http_ask(
		&w, "/echo",
		(struct dif_http_request){.method = "PURGE", .fields = &field, .nfields = 1});
	assert_echo(&a, "PURGE /echo", 0, 0);
	assert_non_null(strstr(a.body, "Host: www.prep.example\r\n"));
	assert_null(strstr(a.body, w.host));
	http_close(&w);
}

TEST(the_name_in_the_certificate_counts)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, "good", 0);
	snprintf(w.host, sizeof w.host, "localhost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "https://%s", w.host);
	struct answer a = http_ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.status, 200);
	snprintf(w.host, sizeof w.host, "x.localhost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "https://%s", w.host);
	w.policy.private_network = true;
	a = http_ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_string_equal(a.err.code, "tls");
	http_close(&w);
}

TEST(tls_below_1_2_is_refused)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, "good", TLS1_2_VERSION);
	struct answer a = http_ask(&w, "/echo", (struct dif_http_request){0});
	assert_string_equal(a.tls, "TLSv1.2");
	http_close(&w);
	http_open(&w, "good", TLS1_1_VERSION);
	a = http_ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_string_equal(a.err.code, "tls");
	http_close(&w);
}

/* --- tests: policy --- */

TEST(only_permitted_places_are_asked)
{
	UNUSED_STATE;
	static const struct {
		const char *url, *host;
		bool plain, private_network;
		uint32_t flags;
		const char *why;
	} rows[] = {
		{"https://a.example/", "b.example", false, false, 0, "not one of the hosts"},
		{"https://a.example:444/", "a.example", false, false, 0, "not one of the hosts"},
		{"https://a.example/", "a.example:444", false, false, 0, "not one of the hosts"},
		{"https://a.example.evil/", "a.example", false, false, 0, "not one of the hosts"},
		{"https://evil@a.example/", "a.example", false, false, 0, "not of the form"},
		{"https://a.example/ x", "a.example", false, false, 0, "not of the form"},
		{"https://a.example/\r\nX: y", "a.example", false, false, 0, "not of the form"},
		{"https://a.example/#f", "a.example", false, false, 0, "not of the form"},
		{"https://a.ex\xc3\xa1mple/", "a.example", false, false, 0, "not of the form"},
		{"ftp://a.example/", "a.example", false, false, 0, "not of the form"},
		{"file:///etc/passwd", "a.example", false, false, 0, "not of the form"},
		{"a.example/", "a.example", false, false, 0, "not of the form"},
		{"", "a.example", false, false, 0, "not of the form"},
		{"http://8.8.8.8/", "8.8.8.8", true, true, 0, "plain HTTP is not for public"},
		{"http://10.0.0.1/", "10.0.0.1", false, false, 0, "plain = yes"},
		{"http://[fd00::1]/", "[fd00::1]", false, true, 0, "plain = yes"},
		{"http://169.254.169.254/", "169.254.169.254", true, true, 0, "only a login"},
		{"http://[fd00:ec2::254]/", "[fd00:ec2::254]", true, true, 0, "only a login"},
		{"https://[::ffff:169.254.169.254]/", "[::ffff:a9fe:a9fe]", true, true, 0,
	         "not one"},
		{"https://0.0.0.0/", "0.0.0.0", true, true, 0, "no host can have it"},
		{"https://[::]/", "::", true, true, 0, "no host can have it"},
		{"https://224.0.0.1/", "224.0.0.1", true, true, 0, "no host can have it"},
		{"http://127.0.0.1/", "10.0.0.1", true, true, DIF_HTTP_LINK_LOCAL,
	         "not one of the"},
	};
	struct world w;
	http_open(&w, NULL, 0);
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		const char *hosts[] = {rows[i].host, NULL};
		struct dif_http_policy p = {.hosts = hosts,
		                            .plain = rows[i].plain,
		                            .private_network = rows[i].private_network};
		snprintf(w.url, sizeof w.url, "%s", rows[i].url);
		struct answer a = http_ask(
			&w, "", (struct dif_http_request){.policy = &p, .flags = rows[i].flags});
		assert_int_equal(a.status, 0);
		assert_int_equal(a.err.cls, DIF_PERMANENT);
		if (strstr(a.err.text, rows[i].why) == NULL) {
			fail_msg("%s: %s", rows[i].url, a.err.text);
		}
		assert_false(a.sent);
	}
	assert_int_equal(peer_connections(w.peer), 0);
	http_close(&w);
}

TEST(a_name_that_resolves_inwards_needs_permission)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	snprintf(w.host, sizeof w.host, "cloud.localhost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "http://%s", w.host);
	struct dif_http_policy inside = w.policy;
	inside.private_network = true;
	struct answer a = http_ask(&w, "/echo", (struct dif_http_request){.policy = &w.policy});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "is a loopback address: private_network = yes"));
	a = http_ask(&w, "/echo", (struct dif_http_request){.policy = &inside});
	assert_int_equal(a.status, 200);
	/* also over the connection that the other section was allowed to make */
	a = http_ask(&w, "/echo", (struct dif_http_request){.policy = &w.policy});
	assert_int_equal(a.status, 0);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_false(a.sent);
	assert_int_equal(peer_requests(w.peer), 1);
	http_close(&w);
}

TEST(localhost_in_the_list_is_permission_enough)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	snprintf(w.host, sizeof w.host, "LocalHost:%u", peer_port(w.peer));
	snprintf(w.url, sizeof w.url, "http://localhost:%u", peer_port(w.peer));
	struct answer a = http_ask(&w, "/echo", (struct dif_http_request){0});
	assert_int_equal(a.status, 200);
	http_close(&w);
}

TEST(a_header_cannot_smuggle_another)
{
	UNUSED_STATE;
	static const struct dif_field bad[] = {
		{"X-A", "b\r\nX-C: d"}, {"X A", "b"}, {"X:A", "b"}, {"", "b"}, {"X-A", "b\x7f"}};
	struct world w;
	http_open(&w, NULL, 0);
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		struct answer a = http_ask(
			&w, "/echo", (struct dif_http_request){.fields = &bad[i], .nfields = 1});
		assert_int_equal(a.err.cls, DIF_PERMANENT);
	}
	struct answer a = http_ask(&w, "/echo", (struct dif_http_request){.method = "GET X"});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	const struct dif_field ours[] = {{"Content-Length", "7"}, {"X-A", "caf\xc3\xa9"}};
	a = http_ask(&w, "/echo", (struct dif_http_request){.fields = ours, .nfields = 2});
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "X-A: caf\xc3\xa9\r\n"));
	assert_null(strstr(a.body, "Content-Length"));
	http_close(&w);
}

TEST(a_piece_outside_its_content_is_refused)
{
	UNUSED_STATE;
	struct world w;
	http_open(&w, NULL, 0);
	struct dif_body_bytes body;
	dif_body_bytes_init(&body, "0123456789", 10);
	struct dif_blob blob = {.size = 10, .host = (uint64_t)(uintptr_t)&body.body};
	struct dif_piece piece = {.blob = &blob, .offset = 5, .length = 6};
	struct answer a = http_ask(
		&w, "/k", (struct dif_http_request){.method = "PUT", .body = &piece, .npieces = 1});
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	http_close(&w);
}

TEST(a_proxy_is_used_for_names_outside_no_proxy)
{
	UNUSED_STATE;
	static const struct {
		const char *host, *no_proxy;
		uint32_t flags;
		bool through;
	} rows[] = {
		{"cloud.invalid", "", 0, true},
		{"cloud.invalid", "other.invalid, .loud.invalid", 0, true},
		{"cloud.invalid", "x,invalid", 0, false},
		{"cloud.invalid", "CLOUD.invalid", 0, false},
		{"cloud.invalid", "*", 0, false},
		{"cloud.invalid", "", DIF_HTTP_NO_PROXY, false},
		{"cloud.invalid", "", DIF_HTTP_LINK_LOCAL, false},
		{"127.0.0.1:9", "", 0, false},
		{"localhost:9", "", 0, false},
	};
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		struct world w, proxy;
		http_open(&proxy, NULL, 0);
		setenv("https_proxy", proxy.url, 1);
		setenv("no_proxy", rows[i].no_proxy, 1);
		http_open(&w, NULL, 0);
		unsetenv("https_proxy");
		unsetenv("no_proxy");
		snprintf(w.host, sizeof w.host, "%s", rows[i].host);
		snprintf(w.url, sizeof w.url, "https://%s", rows[i].host);
		struct answer a =
			http_ask(&w, "/busy", (struct dif_http_request){.flags = rows[i].flags});
		assert_int_equal(a.status, 0); /* this proxy tunnels nothing */
		assert_int_equal(a.err.cls, DIF_TRANSIENT);
		assert_int_equal(peer_requests(proxy.peer), rows[i].through);
		http_close(&w);
		http_close(&proxy);
	}
}

static int make_certificates(void **state)
{
	(void)state;
	test_pki("good");
	test_pki("other");
	return 0;
}

int main(void)
{
	/* An operator's proxy is not part of these tests. */
	unsetenv("https_proxy");
	unsetenv("HTTPS_PROXY");
	unsetenv("all_proxy");
	unsetenv("ALL_PROXY");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tls_is_verified),
		cmocka_unit_test(
			a_host_field_replaces_the_host_and_the_certificate_is_the_addresses),
		cmocka_unit_test(the_name_in_the_certificate_counts),
		cmocka_unit_test(tls_below_1_2_is_refused),
		cmocka_unit_test(only_permitted_places_are_asked),
		cmocka_unit_test(a_name_that_resolves_inwards_needs_permission),
		cmocka_unit_test(localhost_in_the_list_is_permission_enough),
		cmocka_unit_test(a_header_cannot_smuggle_another),
		cmocka_unit_test(a_proxy_is_used_for_names_outside_no_proxy),
		cmocka_unit_test(a_piece_outside_its_content_is_refused),
	};
	return cmocka_run_group_tests(tests, make_certificates, NULL);
}
