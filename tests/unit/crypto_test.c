/* crypto - against published vectors: FIPS 180 and RFC 1321 digests, RFC 3720 CRC-32C, RFC 4231
 * HMAC, RFC 4648 base64, RFC 7515 RS256. */
#include "support.h"

#include "base/parse.h"
#include "host/crypto.h"

static struct dif_bytes bytes(const char *s)
{
	return (struct dif_bytes){s, strlen(s)};
}

static void check_hash(enum dif_digest d, const char *text, const char *hex)
{
	uint8_t got[DIF_DIGEST_MAX];
	char shown[2 * DIF_DIGEST_MAX + 1];
	assert_true(dif_hash(d, text, strlen(text), got));
	dif_hex(shown, got, dif_digest_size(d));
	assert_string_equal(shown, hex);

	struct dif_hasher *h = dif_hasher_new(d);
	assert_non_null(h);
	for (int round = 0; round < 2; round++) {
		dif_hasher_begin(h);
		for (size_t i = 0; i < strlen(text); i++) {
			dif_hasher_add(h, text + i, 1);
		}
		memset(got, 0, sizeof got);
		dif_hasher_end(h, got);
		dif_hex(shown, got, dif_digest_size(d));
		assert_string_equal(shown, hex);
	}
	dif_hasher_free(h);
}

TEST(digests_match_their_standards)
{
	UNUSED_STATE;
	check_hash(DIF_MD5, "", "d41d8cd98f00b204e9800998ecf8427e");
	check_hash(DIF_MD5, "message digest", "f96b697d7cb7938d525a2f31aaf161d0");
	check_hash(DIF_SHA1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
	check_hash(DIF_SHA256, "abc",
	           "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check_hash(DIF_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	           "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	check_hash(DIF_SHA384, "abc",
	           "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
	           "8086072ba1e7cc2358baeca134c825a7");
	check_hash(DIF_SHA512, "abc",
	           "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	           "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
	check_hash(DIF_CRC32C, "123456789", "e3069283");
	check_hash(DIF_CRC32C, "hello world", "c99465aa");
	check_hash(DIF_CRC32C, "", "00000000");
}

TEST(crc32c_matches_rfc_3720)
{
	UNUSED_STATE;
	uint8_t block[32];
	memset(block, 0, sizeof block);
	assert_int_equal(dif_crc32c(0, block, sizeof block), 0x8a9136aau);
	memset(block, 0xff, sizeof block);
	assert_int_equal(dif_crc32c(0, block, sizeof block), 0x62a8ab43u);
	for (uint8_t i = 0; i < sizeof block; i++) {
		block[i] = i;
	}
	assert_int_equal(dif_crc32c(0, block, sizeof block), 0x46dd794eu);
}

TEST(crc32c_by_table_is_crc32c_by_instruction)
{
	UNUSED_STATE;
	uint8_t block[300];
	for (size_t i = 0; i < sizeof block; i++) {
		block[i] = (uint8_t)(i * 37 + 11);
	}
	assert_int_equal(dif_crc32c_portable(0, "123456789", 9), 0xe3069283u);
	for (size_t from = 0; from < 9; from++) {
		for (size_t n = 0; n + from <= sizeof block; n++) {
			uint32_t whole = dif_crc32c(0, block + from, n);
			assert_int_equal(dif_crc32c_portable(0, block + from, n), whole);
			uint32_t half = dif_crc32c(0, block + from, n / 2);
			half = dif_crc32c(half, block + from + n / 2, n - n / 2);
			assert_int_equal(half, whole);
		}
	}
}

TEST(digests_that_are_not_offered_are_refused)
{
	UNUSED_STATE;
	uint8_t to[DIF_DIGEST_MAX];
	assert_false(dif_hash(DIF_CRC32, "x", 1, to));
	assert_false(dif_hash(DIF_NO_DIGEST, "x", 1, to));
	assert_false(dif_hash((enum dif_digest)99, "x", 1, to));
	assert_null(dif_hasher_new(DIF_CRC64NVME));
	assert_int_equal(dif_digest_size((enum dif_digest)99), 0);
	assert_string_equal(dif_digest_name(DIF_SHA256), "sha256");
}

static void check_hmac(enum dif_digest d, struct dif_bytes key, const char *msg, const char *hex)
{
	uint8_t got[DIF_DIGEST_MAX];
	char shown[2 * DIF_DIGEST_MAX + 1];
	assert_true(dif_hmac(d, key, bytes(msg), got));
	dif_hex(shown, got, dif_digest_size(d));
	assert_string_equal(shown, hex);
}

TEST(hmac_matches_rfc_4231)
{
	UNUSED_STATE;
	uint8_t key[131];
	memset(key, 0x0b, 20);
	check_hmac(DIF_SHA256, (struct dif_bytes){key, 20}, "Hi There",
	           "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	check_hmac(DIF_SHA256, bytes("Jefe"), "what do ya want for nothing?",
	           "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	check_hmac(DIF_SHA512, bytes("Jefe"), "what do ya want for nothing?",
	           "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
	           "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737");
	memset(key, 0xaa, sizeof key);
	check_hmac(DIF_SHA256, (struct dif_bytes){key, sizeof key},
	           "Test Using Larger Than Block-Size Key - Hash Key First",
	           "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	/* RFC 2202, and a key of no bytes */
	check_hmac(DIF_SHA1, bytes("Jefe"), "what do ya want for nothing?",
	           "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
	check_hmac(DIF_SHA256, (struct dif_bytes){NULL, 0}, "",
	           "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
	uint8_t to[DIF_DIGEST_MAX];
	assert_false(dif_hmac(DIF_CRC32C, bytes("k"), bytes("m"), to));
}

/* A throwaway 2048 bit key, made for this test, as PKCS#8 and as PKCS#1; and what
 * `openssl dgst -sha256 -sign` says of the message. RSASSA-PKCS1-v1_5 is deterministic. */
#include "unit/support/rsa_key.h"

static void check_sign(const char *pem)
{
	struct dif_buf sig;
	struct dif_error err = {0};
	char shown[2 * 256 + 1];
	dif_buf_init(&sig, 1024);
	assert_true(dif_sign("RS256", pem, bytes("header.claims"), &sig, &err));
	assert_int_equal(sig.n, 256);
	dif_hex(shown, sig.p, sig.n);
	assert_string_equal(shown, test_rsa_signature);
	dif_buf_fini(&sig);
}

TEST(rs256_signs_as_openssl_does)
{
	UNUSED_STATE;
	check_sign(test_rsa_pkcs8);
	check_sign(test_rsa_pkcs1);
}

TEST(keys_that_are_none_are_refused_with_a_sentence)
{
	UNUSED_STATE;
	struct dif_buf sig;
	struct dif_error err = {0};
	dif_buf_init(&sig, 1024);
	assert_false(dif_sign("ES256", test_rsa_pkcs8, bytes("m"), &sig, &err));
	assert_int_equal(err.cls, DIF_PERMANENT);
	assert_non_null(strstr(err.text, "ES256"));
	dif_error_clear(&err);
	assert_false(dif_sign("RS256", "-----BEGIN PRIVATE KEY-----\nnonsense\n", bytes("m"), &sig,
	                      &err));
	assert_int_equal(err.cls, DIF_PERMANENT);
	assert_null(strstr(err.text, "nonsense"));
	dif_error_clear(&err);
	/* a good key of another kind: Ed25519, RFC 8410 */
	assert_false(dif_sign("RS256",
	                      "-----BEGIN PRIVATE KEY-----\n"
	                      "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
	                      "-----END PRIVATE KEY-----\n",
	                      bytes("m"), &sig, &err));
	assert_non_null(strstr(err.text, "RSA"));
	assert_int_equal(sig.n, 0);
	dif_buf_fini(&sig);
}

TEST(equal_compares_bytes_and_lengths)
{
	UNUSED_STATE;
	assert_true(dif_equal(bytes("same"), bytes("same")));
	assert_false(dif_equal(bytes("same"), bytes("sama")));
	assert_false(dif_equal(bytes("same"), bytes("sam")));
	assert_true(dif_equal((struct dif_bytes){0}, (struct dif_bytes){0}));
}

TEST(random_bytes_differ)
{
	UNUSED_STATE;
	uint8_t a[32] = {0}, b[32] = {0};
	assert_true(dif_random(a, sizeof a));
	assert_true(dif_random(b, sizeof b));
	assert_memory_not_equal(a, b, sizeof a);
}

/* --- encodings --- */

static void check_both_ways(struct dif_arena *a, enum dif_enc enc, const char *plain,
                            const char *coded)
{
	assert_string_equal(dif_encode(a, enc, plain, strlen(plain)), coded);
	struct dif_bytes back = dif_decode(a, enc, coded);
	assert_non_null(back.p);
	assert_int_equal(back.n, strlen(plain));
	assert_memory_equal(back.p, plain, back.n);
}

TEST(base64_matches_rfc_4648)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, false);
	static const char *const rows[][3] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"},
		{"fooba", "Zm9vYmE=", "Zm9vYmE"},
		{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
		{"\xfb\xff\xfe", "+//+", "-__-"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		check_both_ways(&a, DIF_BASE64, rows[i][0], rows[i][1]);
		check_both_ways(&a, DIF_BASE64URL, rows[i][0], rows[i][2]);
	}
	dif_arena_fini(&a);
}

TEST(malformed_text_is_never_guessed)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, false);
	static const char *const base64[] = {"Zg",   "Zg=",  "Zg===", "Z===", "====", "=",
	                                     "Zh==", "Zm9=", "Z g=",  "Zg=a", "-__-", "Zm9v\n"};
	for (size_t i = 0; i < sizeof base64 / sizeof *base64; i++) {
		assert_null(dif_decode(&a, DIF_BASE64, base64[i]).p);
	}
	assert_null(dif_decode(&a, DIF_BASE64URL, "Zg==").p);
	assert_null(dif_decode(&a, DIF_BASE64URL, "+//+").p);
	assert_null(dif_decode(&a, DIF_BASE64URL, "Z").p);
	assert_null(dif_decode(&a, DIF_HEX, "abc").p);
	assert_null(dif_decode(&a, DIF_HEX, "zz").p);
	assert_null(dif_decode(&a, DIF_PATH, "%").p);
	assert_null(dif_decode(&a, DIF_PATH, "%4").p);
	assert_null(dif_decode(&a, DIF_QUERY, "a%zz").p);
	assert_null(dif_decode(&a, DIF_XML, "&amp;").p);
	assert_null(dif_decode(&a, DIF_JSON, "x").p);
	assert_null(dif_decode(&a, DIF_HEX, NULL).p);
	dif_arena_fini(&a);
}

TEST(hex_and_percent_go_both_ways)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, false);
	check_both_ways(&a, DIF_HEX, "\x01\xab\xff", "01abff");
	check_both_ways(&a, DIF_HEX, "", "");
	check_both_ways(&a, DIF_PATH, "a/b c+~%.json", "a/b%20c%2B~%25.json");
	check_both_ways(&a, DIF_QUERY, "a/b c+\xc3\xb1", "a%2Fb%20c%2B%C3%B1");
	struct dif_bytes plus = dif_decode(&a, DIF_QUERY, "a+b%2b");
	assert_string_equal(plus.p, "a b+");
	assert_string_equal(dif_decode(&a, DIF_PATH, "a+b").p, "a+b");
	dif_arena_fini(&a);
}

TEST(every_byte_survives_every_encoding_that_goes_both_ways)
{
	UNUSED_STATE;
	struct dif_arena a;
	uint8_t all[256];
	for (size_t i = 0; i < sizeof all; i++) {
		all[i] = (uint8_t)i;
	}
	dif_arena_init(&a, 1 << 20, false);
	for (enum dif_enc enc = DIF_HEX; enc <= DIF_QUERY; enc++) {
		struct dif_bytes back = dif_decode(&a, enc, dif_encode(&a, enc, all, sizeof all));
		assert_int_equal(back.n, sizeof all);
		assert_memory_equal(back.p, all, sizeof all);
	}
	dif_arena_fini(&a);
}

TEST(markup_is_escaped)
{
	UNUSED_STATE;
	struct dif_arena a;
	dif_arena_init(&a, 1 << 20, false);
	const char *in = "<a b=\"c\">'&\n\x01";
	assert_string_equal(dif_encode(&a, DIF_XML, in, strlen(in)),
	                    "&lt;a b=&quot;c&quot;&gt;&#39;&amp;&#10;&#1;");
	in = "a\"\\\b\f\n\r\t\x01/\xc3\xb1";
	assert_string_equal(dif_encode(&a, DIF_JSON, in, strlen(in)),
	                    "a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\xc3\xb1");
	dif_arena_fini(&a);
}

TEST(an_encoding_that_does_not_fit_is_empty_and_sticks)
{
	UNUSED_STATE;
	struct dif_arena a;
	char big[512];
	memset(big, '&', sizeof big);
	dif_arena_init(&a, 256, false);
	for (enum dif_enc enc = DIF_HEX; enc <= DIF_JSON; enc++) {
		dif_arena_reset(&a);
		assert_string_equal(dif_encode(&a, enc, big, sizeof big), "");
		assert_true(a.failed);
	}
	dif_arena_reset(&a);
	assert_string_equal(dif_encode(&a, (enum dif_enc)99, "x", 1), "");
	assert_true(a.failed);
	dif_arena_fini(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_match_their_standards),
		cmocka_unit_test(crc32c_matches_rfc_3720),
		cmocka_unit_test(crc32c_by_table_is_crc32c_by_instruction),
		cmocka_unit_test(digests_that_are_not_offered_are_refused),
		cmocka_unit_test(hmac_matches_rfc_4231),
		cmocka_unit_test(rs256_signs_as_openssl_does),
		cmocka_unit_test(keys_that_are_none_are_refused_with_a_sentence),
		cmocka_unit_test(equal_compares_bytes_and_lengths),
		cmocka_unit_test(random_bytes_differ),
		cmocka_unit_test(base64_matches_rfc_4648),
		cmocka_unit_test(malformed_text_is_never_guessed),
		cmocka_unit_test(hex_and_percent_go_both_ways),
		cmocka_unit_test(every_byte_survives_every_encoding_that_goes_both_ways),
		cmocka_unit_test(markup_is_escaped),
		cmocka_unit_test(an_encoding_that_does_not_fit_is_empty_and_sticks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
