/* akamai_sign - EdgeGrid signatures against the test data of edgegrid-python, to the last byte. */
#include "tests/plugin/support/bench.h"

#include "cdn/akamai/edgegrid.h"

#define AUTH                                                                   \
	"EG1-HMAC-SHA256 client_token=akab-client-token-xxx-xxxxxxxxxxxxxxxx;" \
	"access_token=akab-access-token-xxx-xxxxxxxxxxxxxxxx;"                 \
	"timestamp=20140321T19:34:21+0000;nonce=nonce-xx-xxxx-xxxx-xxxx-xxxxxxxxxxxx;"

const struct dif_host *host = &bench_host;

static const struct edgegrid example = {
	.client_token = "akab-client-token-xxx-xxxxxxxxxxxxxxxx",
	.client_secret = "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx=",
	.access_token = "akab-access-token-xxx-xxxxxxxxxxxxxxxx",
	.authority = "akaa-baseurl-xxxxxxxxxxx-xxxxxxxxxxxxx.luna.akamaiapis.net",
	.timestamp = "20140321T19:34:21+0000",
	.nonce = "nonce-xx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
};

static void check(const char *method, const char *path, const char *body, const char *signature)
{
	struct bench b;
	bench_init(&b, "20140321T193421Z");
	assert_string_equal(bench_host.date(&b.op, DIF_DATE_AKAMAI, b.now), example.timestamp);
	const char *got = edgegrid_sign(&b.op, &example, method, path,
	                                (struct dif_bytes){body, strlen(body)});
	char want[512];
	(void)snprintf(want, sizeof want, AUTH "signature=%s", signature);
	assert_string_equal(got, want);
	bench_fini(&b);
}

TEST(the_key_is_text)
{
	UNUSED_STATE;
	struct bench b;
	bench_init(&b, "20140321T193421Z");
	assert_string_equal(edgegrid_key(&b.op, &example),
	                    "znsRMDBRqTXGJ7Ojip3/h2FGPu3LuoMYWgv9PKEnE/o=");
	bench_fini(&b);
}

TEST(get_has_no_hash_of_a_body)
{
	UNUSED_STATE;
	check("GET", "/", "", "tL+y4hxyHxgWVD30X3pWnGKHcPzmrIF+LThiAOhMxYU=");
}

TEST(post_hashes_its_body)
{
	UNUSED_STATE;
	check("POST", "/testapi/v1/t3", "datadatadatadatadatadatadatadata",
	      "hXm4iCxtpN22m4cbZb4lVLW5rhX8Ca82vCFqXzSTPe4=");
}

TEST(put_does_not)
{
	UNUSED_STATE;
	check("PUT", "/testapi/v1/t6", "PPPPPPPPPPPPPPPPPPPPPPPPPPPPPPP",
	      "GNBWEYSEWOLtu+7dD52da2C39aX/Jchpon3K/AmBqBU=");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_is_text),
		cmocka_unit_test(get_has_no_hash_of_a_body),
		cmocka_unit_test(post_hashes_its_body),
		cmocka_unit_test(put_does_not),
	};
	return cmocka_run_group_tests_name("plugin/akamai_sign", tests, NULL, NULL);
}
