/* checks - see the header. */
#include "tests/plugin/support/checks.h"

#include "base/parse.h"
#include "host/crypto.h"

void check_ok(const struct store_out *out)
{
	if (out->err.cls != DIF_OK) {
		fail_msg("%s: %s", dif_class_name(out->err.cls), out->err.text);
	}
}

void check_class(const struct store_out *out, enum dif_class cls)
{
	if (out->err.cls != cls) {
		fail_msg("%s instead of %s: %s", dif_class_name(out->err.cls), dif_class_name(cls),
		         out->err.text);
	}
}

void check_text(const struct store_out *out, const char *part)
{
	if (strstr(out->err.text, part) == NULL) {
		fail_msg("'%s' is not in '%s'", part, out->err.text);
	}
}

static void answer(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	const struct dif_bytes *b = data;
	(void)seen;
	reply->status = 200;
	reply->body = b->p;
	reply->body_n = b->n;
}

/* A repeat has no better answer, so the deadline is short; doubled until it was long enough for a
 * reply to be judged. */
void check_no_page(const char *ini, const struct dif_list *in, const char *reply, size_t n)
{
	struct dif_bytes b = {reply, n};
	bool judged = false;
	for (int64_t deadline = 20; !judged; deadline *= 2) {
		struct store *st = store_open(ini, NULL);
		struct script *s = script_new(st->engine);
		assert_true(deadline < 60000);
		st->deadline_ms = deadline;
		script_answer(s, answer, &b);
		const struct store_out *out = store_list(st, in);
		if (out->err.cls == DIF_OK) {
			fail_msg("taken for a page: %.*s", (int)n, reply);
		}
		assert_int_equal(out->nrows, 0);
		judged = out->err.status == 200 || strstr(out->err.text, "no number") != NULL;
		script_free(s);
		store_close(st);
	}
}

void check_refused(const char *ini, const char *part)
{
	struct dif_error err;
	assert_null(store_open(ini, &err));
	if (strstr(err.text, part) == NULL) {
		fail_msg("'%s' is not in '%s'", part, err.text);
	}
}

/* --- the signature of a request as it went out, made again by other code --- */

static void hmac(uint8_t key[32], const char *text)
{
	uint8_t to[DIF_DIGEST_MAX];
	assert_true(dif_hmac(DIF_SHA256, (struct dif_bytes){key, 32},
	                     (struct dif_bytes){text, strlen(text)}, to));
	memcpy(key, to, 32);
}

/* The value of a header in `seen`, "host" from its URL. */
static const char *value_of(const struct script_seen *seen, const char *name, size_t n)
{
	static char authority[256];
	for (uint32_t i = 0; i < seen->nfields; i++) {
		if (strlen(seen->fields[i].name) == n &&
		    memcmp(seen->fields[i].name, name, n) == 0) {
			return seen->fields[i].value;
		}
	}
	assert_true(n == 4 && memcmp(name, "host", 4) == 0);
	const char *from = strstr(seen->url, "://") + 3;
	(void)snprintf(authority, sizeof authority, "%.*s", (int)strcspn(from, "/"), from);
	return authority;
}

static void canonical(const struct script_seen *seen, const char *names, const char *payload,
                      char *to, size_t max)
{
	const char *path = strchr(strstr(seen->url, "://") + 3, '/');
	size_t n = strcspn(path, "?");
	(void)snprintf(to, max, "%s\n%.*s\n%s\n", seen->method, (int)n, path,
	               path[n] == '?' ? path + n + 1 : "");
	for (const char *at = names; *at != '\0';
	     at += strcspn(at, ";") + (at[strcspn(at, ";")] == ';')) {
		size_t len = strcspn(at, ";");
		size_t used = strlen(to);
		(void)snprintf(to + used, max - used, "%.*s:%s\n", (int)len, at,
		               value_of(seen, at, len));
	}
	size_t used = strlen(to);
	(void)snprintf(to + used, max - used, "\n%s\n%s", names, payload);
}

static void check_signed(const struct script_seen *seen, const char *region, const char *service,
                         const char *secret, const char *payload)
{
	static char text[65536];
	char names[1024], got[65], want[65], day[9], to_sign[512], first[256];
	uint8_t digest[DIF_DIGEST_MAX], key[32] = {0};
	const char *auth = value_of(seen, "authorization", 13);
	const char *stamp = value_of(seen, "x-amz-date", 10);
	assert_int_equal(sscanf(strstr(auth, "SignedHeaders="),
	                        "SignedHeaders=%1023[^,], Signature=%64s", names, got),
	                 2);
	canonical(seen, names, payload, text, sizeof text);
	assert_true(dif_hash(DIF_SHA256, text, strlen(text), digest));
	dif_hex(want, digest, 32);
	(void)snprintf(day, sizeof day, "%.8s", stamp);
	(void)snprintf(to_sign, sizeof to_sign, "AWS4-HMAC-SHA256\n%s\n%s/%s/%s/aws4_request\n%s",
	               stamp, day, region, service, want);
	(void)snprintf(first, sizeof first, "AWS4%s", secret);
	assert_true(dif_hmac(DIF_SHA256, (struct dif_bytes){first, strlen(first)},
	                     (struct dif_bytes){day, 8}, digest));
	memcpy(key, digest, 32);
	hmac(key, region);
	hmac(key, service);
	hmac(key, "aws4_request");
	hmac(key, to_sign);
	dif_hex(want, key, 32);
	assert_string_equal(got, want);
	/* nothing that went out is left out, but the signature itself */
	for (uint32_t f = 0; f < seen->nfields; f++) {
		const char *name = seen->fields[f].name;
		assert_true(strcmp(name, "authorization") == 0 || strstr(names, name) != NULL);
	}
}

void check_sigv4(const struct script_seen *seen, const char *region, const char *secret)
{
	check_signed(seen, region, "s3", secret, value_of(seen, "x-amz-content-sha256", 20));
}

void check_sigv4_of(const struct script_seen *seen, const char *region, const char *service,
                    const char *secret)
{
	uint8_t digest[DIF_DIGEST_MAX];
	char payload[65];
	assert_true(dif_hash(DIF_SHA256, seen->body, seen->body_n, digest));
	dif_hex(payload, digest, 32);
	check_signed(seen, region, service, secret, payload);
}
