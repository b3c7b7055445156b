/* connect - from the options to an account, its key and its address.
 *
 * Account and key come from their options or from a connection string, never half from each: with
 * both given, perhaps one by the environment, nobody could say which account is written to.
 */
#include "azure.h"

/* The account of every emulator; the key is public. */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define EMULATOR_URL "http://127.0.0.1:10000/" EMULATOR_ACCOUNT

/* What a connection string can say. NULL: it does not. */
struct parts {
	const char *protocol, *account, *key, *suffix, *blob, *sas, *emulator;
};

static const char **part_of(struct parts *p, const char *name, size_t n)
{
	const struct {
		const char *name;
		const char **value;
	} known[] = {
		{"DefaultEndpointsProtocol", &p->protocol},
		{"AccountName", &p->account},
		{"AccountKey", &p->key},
		{"EndpointSuffix", &p->suffix},
		{"BlobEndpoint", &p->blob},
		{"SharedAccessSignature", &p->sas},
		{"UseDevelopmentStorage", &p->emulator},
	};
	for (uint32_t i = 0; i < DIF_LEN(known); i++) {
		if (strlen(known[i].name) == n && memcmp(known[i].name, name, n) == 0) {
			return known[i].value;
		}
	}
	return NULL;
}

/* NAME=value;NAME=value: the first '=' divides, because keys end in it. What we do not know, such
 * as the endpoints of queues, is passed over. */
static bool parse(struct dif_opening *o, const char *s, struct parts *p)
{
	while (*s != '\0') {
		size_t n = strcspn(s, ";");
		size_t name = strcspn(s, "=;");
		if (n > 0 && name == n) {
			o->refuse(o, "connection_string: a part without '='");
			return false;
		}
		const char **value = part_of(p, s, name);
		if (value != NULL) {
			*value = o->fmt(o, "%.*s", (int)(n - name - 1), s + name + 1);
		}
		s += n + (s[n] == ';');
	}
	return true;
}

static bool read_connection(struct azure *s, struct dif_opening *o, const char **url)
{
	struct parts p = {0};
	if (!parse(o, s->connection_string, &p)) {
		return false;
	}
	if (p.emulator != NULL && strcmp(p.emulator, "true") == 0) {
		p = (struct parts){
			.account = EMULATOR_ACCOUNT, .key = EMULATOR_KEY, .blob = EMULATOR_URL};
	}
	if (p.account == NULL || p.key == NULL) {
		o->refuse(o, "connection_string: it needs AccountName and AccountKey%s",
		          p.sas != NULL ? ", a SharedAccessSignature is not enough" : "");
		return false;
	}
	s->account = p.account;
	s->account_key = p.key;
	*url = p.blob;
	if (*url == NULL && (p.suffix != NULL || p.protocol != NULL)) {
		*url = o->fmt(o, "%s://%s.blob.%s", p.protocol != NULL ? p.protocol : "https",
		              p.account, p.suffix != NULL ? p.suffix : "core.windows.net");
	}
	return true;
}

static bool read_account(struct azure *s, struct dif_opening *o, const char **url)
{
	if (s->connection_string != NULL && s->account_key != NULL) {
		o->refuse(o, "connection_string and account_key are both given, perhaps one by the "
		             "environment: keep one");
		return false;
	}
	if (s->connection_string != NULL) {
		return read_connection(s, o, url);
	}
	if (s->account == NULL || s->account_key == NULL) {
		o->refuse(o, "no credential: set account and account_key, or connection_string");
		return false;
	}
	return true;
}

/* Names that would need an encoding in the path are none of a container, but for the '$' of $web.
 */
static bool is_container(const char *name)
{
	name += *name == '$';
	return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(name);
}

static bool locate(struct azure *s, struct dif_opening *o, const char *url)
{
	const char *scheme = NULL, *path = NULL;
	if (!o->url(o, url, &scheme, &s->authority, &path)) {
		o->refuse(o, "endpoint '%s' is not a URL: write https://host", url);
		return false;
	}
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	bool dollar = *s->container == '$';
	s->origin = o->fmt(o, "%s://%s", scheme, s->authority);
	s->base = o->fmt(o, "%.*s/%s%s", (int)n, path, dollar ? "%24" : "", s->container + dollar);
	return true;
}

bool azure_connect(struct azure *s, struct dif_opening *o)
{
	const char *url = NULL;
	if (!is_container(s->container)) {
		o->refuse(o, "container '%s' is not the name of a container", s->container);
		return false;
	}
	if (!read_account(s, o, &url)) {
		return false;
	}
	s->signer.account = s->account;
	s->signer.key = o->dec(o, DIF_BASE64, s->account_key);
	if (s->signer.key.p == NULL || s->signer.key.n == 0) {
		o->refuse(o, "the key of account '%s' is not base64", s->account);
		return false;
	}
	if (s->endpoint != NULL) {
		url = s->endpoint;
	}
	if (url == NULL) {
		url = o->fmt(o, "https://%s.blob.core.windows.net", s->account);
	}
	return locate(s, o, url);
}
