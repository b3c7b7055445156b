/* sigv4 - AWS Signature Version 4.
 *
 *   canonical request  method, path, query, fields in order of name, their names, payload hash
 *   string to sign     algorithm, time, scope (day/region/service), SHA-256 of the above
 *   key                HMAC chain from the secret over day, region, service
 *
 * The key is derived anew for each request: four HMACs of 30 bytes, about 4 us, against state that
 * would have to be kept, wiped and dated.
 */
#include "aws/sigv4.h"

const struct dif_host *host;

bool aws_endpoint(struct dif_opening *o, const char *option, const char *url, const char *service,
                  const char *region, struct aws_endpoint *to)
{
	bool china = strncmp(region, "cn-", 3) == 0;
	if (url == NULL) {
		url = o->fmt(o, "https://%s.%s.amazonaws.com%s", service, region,
		             china ? ".cn" : "");
	}
	if (!o->url(o, url, &to->scheme, &to->host, &to->path)) {
		o->refuse(o, "%s '%s' is not a URL: write https://host", option, url);
		return false;
	}
	const char *port = strcmp(to->scheme, "https") == 0 ? ":443" : ":80";
	size_t n = strlen(to->host), m = strlen(port);
	if (n > m && strcmp(to->host + n - m, port) == 0) {
		to->host = o->fmt(o, "%.*s", (int)(n - m), to->host);
	}
	n = strlen(to->path);
	while (n > 0 && to->path[n - 1] == '/') {
		n--;
	}
	to->path = o->fmt(o, "%.*s", (int)n, to->path);
	return true;
}

void aws_field(struct aws_call *c, const char *name, const char *value)
{
	if (value == NULL || *value == '\0') {
		return;
	}
	if (c->nfields == DIF_LEN(c->fields)) {
		c->overflow = true;
		return;
	}
	c->fields[c->nfields++] = (struct dif_field){name, value};
}

const char *aws_query(struct dif_op *op, const char *value)
{
	return host->enc(op, DIF_QUERY, value, strlen(value));
}

/* Insertion sort: at most 40, and mostly in order. */
static void sort(struct aws_call *c)
{
	for (uint32_t i = 1; i < c->nfields; i++) {
		struct dif_field f = c->fields[i];
		uint32_t j = i;
		for (; j > 0 && strcmp(c->fields[j - 1].name, f.name) > 0; j--) {
			c->fields[j] = c->fields[j - 1];
		}
		c->fields[j] = f;
	}
}

static struct dif_bytes bytes(const char *s)
{
	return (struct dif_bytes){s, strlen(s)};
}

static const char *hex_sha256(struct dif_op *op, struct dif_bytes b)
{
	struct dif_bytes d = host->hash(op, DIF_SHA256, b);
	return host->enc(op, DIF_HEX, d.p, d.n);
}

/* Outer blanks go, inner runs become one, as the server sees them. */
static void add_folded(struct dif_text *t, const char *value)
{
	const char *gap = "";
	for (;;) {
		value += strspn(value, " ");
		size_t n = strcspn(value, " ");
		if (n == 0) {
			return;
		}
		host->add(t, "%s", gap);
		host->add_bytes(t, value, n);
		gap = " ";
		value += n;
	}
}

static const char *signed_names(struct dif_op *op, const struct aws_call *c)
{
	struct dif_text *t = host->text(op);
	for (uint32_t i = 0; i < c->nfields; i++) {
		host->add(t, "%s%s", i > 0 ? ";" : "", c->fields[i].name);
	}
	return host->end(t).p;
}

static struct dif_bytes signing_key(struct dif_op *op, const struct aws_signer *s,
                                    const char *stamp)
{
	struct dif_bytes k = bytes(host->fmt(op, "AWS4%s", s->secret));
	k = host->hmac(op, DIF_SHA256, k, (struct dif_bytes){stamp, 8});
	k = host->hmac(op, DIF_SHA256, k, bytes(s->region));
	k = host->hmac(op, DIF_SHA256, k, bytes(s->service));
	return host->hmac(op, DIF_SHA256, k, bytes("aws4_request"));
}

static const char *signature(struct dif_op *op, const struct aws_signer *s,
                             const struct aws_call *c, const char *stamp, const char *scope,
                             const char *names)
{
	struct dif_text *t = host->text(op);
	host->add(t, "%s\n%s\n%s\n", c->method, c->path, c->query != NULL ? c->query : "");
	for (uint32_t i = 0; i < c->nfields; i++) {
		host->add(t, "%s:", c->fields[i].name);
		add_folded(t, c->fields[i].value);
		host->add(t, "\n");
	}
	host->add(t, "\n%s\n%s", names, c->payload);
	const char *canonical = hex_sha256(op, host->end(t));
	const char *to_sign =
		host->fmt(op, "AWS4-HMAC-SHA256\n%s\n%s\n%s", stamp, scope, canonical);
	struct dif_bytes mac =
		host->hmac(op, DIF_SHA256, signing_key(op, s, stamp), bytes(to_sign));
	return host->enc(op, DIF_HEX, mac.p, mac.n);
}

/* `host` is signed but not handed over: the HTTP layer sends it, as the URL says. */
static void authorize(struct dif_op *op, const struct aws_signer *s, struct aws_call *c)
{
	const char *stamp = host->date(op, DIF_DATE_ISO_BASIC, host->now(op));
	if (strlen(stamp) < 8) {
		return; /* out of memory: the host ends the op when the step returns */
	}
	const char *scope = host->fmt(op, "%.8s/%s/%s/aws4_request", stamp, s->region, s->service);
	aws_field(c, "host", c->host);
	aws_field(c, "x-amz-date", stamp);
	aws_field(c, "x-amz-security-token", s->token);
	if (strcmp(s->service, "s3") == 0) {
		aws_field(c, "x-amz-content-sha256", c->payload);
	}
	sort(c);
	const char *names = signed_names(op, c);
	const char *proof = signature(op, s, c, stamp, scope, names);
	for (uint32_t i = 0; i < c->nfields; i++) {
		if (strcmp(c->fields[i].name, "host") == 0) {
			c->fields[i] = (struct dif_field){
				"authorization",
				host->fmt(op,
			                  "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, "
			                  "Signature=%s",
			                  s->id, scope, names, proof)};
		}
	}
}

void aws_send(struct dif_op *op, const struct aws_signer *signer, struct aws_call *c,
              dif_step *next)
{
	if (c->payload == NULL) {
		struct dif_bytes whole =
			c->npieces > 0 ? c->body[0].bytes : (struct dif_bytes){"", 0};
		c->payload = hex_sha256(op, whole);
	}
	authorize(op, signer, c);
	if (c->overflow) {
		host->fail(op, DIF_PERMANENT, "", "more than %u header fields", AWS_FIELDS);
		return;
	}
	struct dif_http h = {
		.method = c->method,
		.url = host->fmt(op, "%s://%s%s%s%s", c->scheme, c->host, c->path,
	                         c->query != NULL ? "?" : "", c->query != NULL ? c->query : ""),
		.fields = c->fields,
		.nfields = c->nfields,
		.body = c->body,
		.npieces = c->npieces,
		.reply_max = c->reply_max,
	};
	if (c->into != NULL) {
		h.sink = c->into->sink;
		h.sink_offset = c->into->offset;
		h.sink_tag = c->into->if_tag;
	}
	host->http(op, &h, next);
}
