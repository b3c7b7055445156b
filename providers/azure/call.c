/* call - requests to Azure Storage, and who they come from.
 *
 *   an account's key   Shared Key authorization, below
 *   a signature        goes along in the query as it was made
 *   an identity        Authorization: Bearer and the token
 *
 *   string to sign   method, eleven standard fields (empty lines where absent), the x-ms-*
 *                    fields in order of name, /account/path as sent, the query's parameters decoded
 *   signature        HMAC-SHA256 by the account's key, base64
 *
 * x-ms-date takes the place of Date, whose line stays empty.
 */
#include "azure/call.h"

void azure_field(struct azure_call *c, const char *name, const char *value)
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

void azure_ask(struct azure_call *c, const char *name, const char *value)
{
	if (value == NULL || *value == '\0') {
		return;
	}
	if (c->nquery == DIF_LEN(c->query)) {
		c->overflow = true;
		return;
	}
	c->query[c->nquery++] = (struct dif_field){name, value};
}

/* Insertion sort: at most 40, and mostly in order. */
static void sort(struct azure_call *c)
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

static const char *value_of(const struct azure_call *c, const char *name)
{
	for (uint32_t i = 0; i < c->nfields; i++) {
		if (strcmp(c->fields[i].name, name) == 0) {
			return c->fields[i].value;
		}
	}
	return "";
}

/* Outer blanks go, inner runs become one, as the server sees them. */
static void add_folded(struct dif_text *t, const char *value)
{
	const char *gap = "";
	for (;;) {
		value += strspn(value, " \t");
		size_t n = strcspn(value, " \t");
		if (n == 0) {
			return;
		}
		host->add(t, "%s", gap);
		host->add_bytes(t, value, n);
		gap = " ";
		value += n;
	}
}

static uint64_t length_of(const struct azure_call *c)
{
	return c->blob != NULL ? c->blob->size : c->text.n;
}

static struct dif_bytes string_to_sign(struct dif_op *op, const struct azure_account *a,
                                       const struct azure_call *c)
{
	/* "" is the line of Date */
	static const char *const before[] = {"content-encoding", "content-language"};
	static const char *const after[] = {"content-md5",         "content-type", "",
	                                    "if-modified-since",   "if-match",     "if-none-match",
	                                    "if-unmodified-since", "range"};
	struct dif_text *t = host->text(op);
	host->add(t, "%s\n", c->method);
	for (uint32_t i = 0; i < DIF_LEN(before); i++) {
		host->add(t, "%s\n", value_of(c, before[i]));
	}
	if (length_of(c) > 0) {
		host->add(t, "%llu", (unsigned long long)length_of(c));
	}
	host->add(t, "\n");
	for (uint32_t i = 0; i < DIF_LEN(after); i++) {
		host->add(t, "%s\n", *after[i] != '\0' ? value_of(c, after[i]) : "");
	}
	for (uint32_t i = 0; i < c->nfields; i++) {
		if (strncmp(c->fields[i].name, "x-ms-", 5) == 0) {
			host->add(t, "%s:", c->fields[i].name);
			add_folded(t, c->fields[i].value);
			host->add(t, "\n");
		}
	}
	host->add(t, "/%s%s", a->name, c->path);
	for (uint32_t i = 0; i < c->nquery; i++) {
		host->add(t, "\n%s:%s", c->query[i].name, c->query[i].value);
	}
	return host->end(t);
}

/* Fields in order of name, and who asks. */
static void authorize(struct dif_op *op, struct azure_call *c)
{
	const struct azure_account *a = azure_account_of(op);
	azure_field(c, "x-ms-date", host->date(op, DIF_DATE_HTTP, host->now(op)));
	sort(c);
	if (a->way == AZURE_SAS) {
		return;
	}
	if (a->way != AZURE_ACCOUNT_KEY) {
		azure_field(c, "authorization", host->fmt(op, "Bearer %s", op->cred->part[0]));
		return;
	}
	struct dif_bytes mac = host->hmac(op, DIF_SHA256, a->secret, string_to_sign(op, a, c));
	azure_field(
		c, "authorization",
		host->fmt(op, "SharedKey %s:%s", a->name, host->enc(op, DIF_BASE64, mac.p, mac.n)));
}

/* Path and query as sent. */
static void add_target(struct dif_op *op, struct dif_text *t, const struct azure_call *c)
{
	const struct azure_account *a = azure_account_of(op);
	host->add(t, "%s", c->path);
	for (uint32_t i = 0; i < c->nquery; i++) {
		const char *value = c->query[i].value;
		host->add(t, "%c%s=%s", i > 0 ? '&' : '?', c->query[i].name,
		          host->enc(op, DIF_QUERY, value, strlen(value)));
	}
	if (a->way == AZURE_SAS) {
		host->add(t, "%c%s", c->nquery > 0 ? '&' : '?', op->cred->part[0]);
	}
}

static const char *url_of(struct dif_op *op, const struct azure_call *c)
{
	struct dif_text *t = host->text(op);
	host->add(t, "%s", azure_account_of(op)->origin);
	add_target(op, t, c);
	return host->end(t).p;
}

void azure_inner(struct dif_op *op, struct azure_call *c, struct dif_text *t)
{
	authorize(op, c);
	host->add(t, "%s ", c->method);
	add_target(op, t, c);
	host->add(t, " HTTP/1.1\r\n");
	for (uint32_t i = 0; i < c->nfields; i++) {
		host->add(t, "%s: %s\r\n", c->fields[i].name, c->fields[i].value);
	}
	host->add(t, "content-length: 0\r\n\r\n");
}

void azure_send(struct dif_op *op, struct azure_call *c, dif_step *next)
{
	azure_field(c, "x-ms-version", AZURE_VERSION);
	authorize(op, c);
	if (c->overflow) {
		host->fail(op, DIF_PERMANENT, "", "more than %u header fields", AZURE_FIELDS);
		return;
	}
	struct dif_piece body = {.bytes = c->text, .blob = c->blob};
	body.length = c->blob != NULL ? c->blob->size : 0;
	struct dif_http h = {
		.method = c->method,
		.url = url_of(op, c),
		.fields = c->fields,
		.nfields = c->nfields,
		.body = &body,
		.npieces = c->blob != NULL || c->text.n > 0 ? 1 : 0,
		.reply_max = c->reply_max,
	};
	if (c->into != NULL) {
		h.sink = c->into->sink;
		h.sink_offset = c->into->offset;
		h.sink_tag = c->into->if_tag;
	}
	host->http(op, &h, next);
}
