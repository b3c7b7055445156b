/* account - from the options to an account, its address and the way in.
 *
 * Account and key come from their options or from a connection string, never half from each: with
 * both given, perhaps one by the environment, nobody could say which account is written to.
 *
 * A shared access signature is a query string that goes along with every request as it is. It
 * tells when it ends, so nothing is sent with one that has ended.
 */
#include "azure/account.h"

#define STORAGE "https://storage.azure.com/"
/* The account of every emulator; the key is public. */
#define EMULATOR_ACCOUNT "devstoreaccount1"
#define EMULATOR_KEY \
	"Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define EMULATOR_URL "http://127.0.0.1:10000/" EMULATOR_ACCOUNT
#define WARN_S (7 * 86400) /* a signature that ends within so many seconds is worth a word */

/* --- connection strings --- */

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

/* The portal leaves AccountName out beside a SharedAccessSignature, and names the endpoint. */
static bool is_whole(struct dif_opening *o, const struct parts *p)
{
	if ((p->key == NULL) == (p->sas == NULL)) {
		o->refuse(o, "connection_string: it needs either AccountKey or "
		             "SharedAccessSignature");
		return false;
	}
	if (p->account == NULL && (p->key != NULL || p->blob == NULL)) {
		o->refuse(o, "connection_string: it needs AccountName%s",
		          p->sas != NULL ? " or BlobEndpoint" : "");
		return false;
	}
	return true;
}

static bool read_connection(struct azure_account *a, struct dif_opening *o, const char **url)
{
	struct parts p = {0};
	if (!parse(o, a->connection_string, &p)) {
		return false;
	}
	if (p.emulator != NULL && strcmp(p.emulator, "true") == 0) {
		p = (struct parts){
			.account = EMULATOR_ACCOUNT, .key = EMULATOR_KEY, .blob = EMULATOR_URL};
	}
	if (!is_whole(o, &p)) {
		return false;
	}
	if (a->name != NULL && p.account != NULL && strcmp(a->name, p.account) != 0) {
		o->refuse(o, "connection_string is of account '%s', and account is '%s': keep one",
		          p.account, a->name);
		return false;
	}
	a->name = p.account != NULL ? p.account : a->name;
	a->key = p.key;
	a->sas = p.sas;
	a->way = p.key != NULL ? AZURE_ACCOUNT_KEY : AZURE_SAS;
	*url = p.blob;
	if (*url == NULL) {
		*url = o->fmt(o, "%s://%s.blob.%s", p.protocol != NULL ? p.protocol : "https",
		              p.account, p.suffix != NULL ? p.suffix : "core.windows.net");
	}
	return true;
}

/* --- shared access signatures --- */

/* The value of a parameter as it stands in the query; *n its length. NULL: not there. */
static const char *parameter(const char *query, const char *name, size_t *n)
{
	size_t len = strlen(name);
	for (const char *at = query; *at != '\0'; at += strspn(at, "&")) {
		size_t all = strcspn(at, "&");
		if (all > len && at[len] == '=' && memcmp(at, name, len) == 0) {
			*n = all - len - 1;
			return at + len + 1;
		}
		at += all;
	}
	return NULL;
}

static bool is_query(const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s <= ' ' || *s > '~' || strchr("#\"<>\\^`{|}", *s) != NULL) {
			return false;
		}
	}
	return true;
}

static bool open_sas(struct azure_account *a, struct dif_opening *o)
{
	size_t n = 0;
	a->sas += *a->sas == '?';
	const char *sig = parameter(a->sas, "sig", &n);
	if (sig == NULL || n == 0 || !is_query(a->sas)) {
		o->refuse(o, "sas_token is not a shared access signature: it must be the query "
		             "string as it was made, sv=...&sig=...");
		return false;
	}
	a->sig[0] = o->fmt(o, "%.*s", (int)n, sig);
	struct dif_bytes plain = o->dec(o, DIF_QUERY, a->sig[0]);
	a->sig[1] = plain.p != NULL ? o->fmt(o, "%.*s", (int)plain.n, (const char *)plain.p) : "";
	a->ends = INT64_MAX;
	const char *se = parameter(a->sas, "se", &n);
	if (se == NULL) {
		return true; /* a stored access policy tells */
	}
	struct dif_bytes at = o->dec(o, DIF_QUERY, o->fmt(o, "%.*s", (int)n, se));
	int64_t ends =
		at.p != NULL ? host->undate(o->fmt(o, "%.*s", (int)at.n, (const char *)at.p)) : -1;
	a->ends = ends > 0 ? ends : INT64_MAX;
	return true;
}

static void login_by_sas(struct dif_op *op)
{
	const struct azure_account *a = azure_account_of(op);
	int64_t now = host->now(op);
	if (a->ends <= now) {
		host->fail(op, DIF_AUTH, "",
		           "the shared access signature ended on %s: make a new one",
		           host->date(op, DIF_DATE_ISO, a->ends));
		return;
	}
	if (a->ends - now < WARN_S) {
		host->log(op, 2, "the shared access signature ends on %s",
		          host->date(op, DIF_DATE_ISO, a->ends));
	}
	host->done(op, &(struct dif_result){.cred = {.part = {a->sas, a->sig[0], a->sig[1]},
	                                             .expires = a->ends}});
}

/* --- open and login --- */

static bool open_key(struct azure_account *a, struct dif_opening *o)
{
	if (a->name == NULL) {
		o->refuse(o, "account_key needs account beside it");
		return false;
	}
	a->secret = o->dec(o, DIF_BASE64, a->key);
	if (a->secret.p == NULL || a->secret.n == 0) {
		o->refuse(o, "the key of account '%s' is not base64", a->name);
		return false;
	}
	return true;
}

static bool open_way(struct azure_account *a, struct dif_opening *o, const char **url)
{
	const char *given[AZURE_WAYS] = {[AZURE_ACCOUNT_KEY] = a->key,
	                                 [AZURE_CONNECTION_STRING] = a->connection_string,
	                                 [AZURE_SAS] = a->sas};
	azure_identity_given(&a->identity, given);
	if (!azure_choose(o, a->credential, given, &a->way) ||
	    (a->way == AZURE_CONNECTION_STRING && !read_connection(a, o, url))) {
		return false;
	}
	switch (a->way) {
	case AZURE_ACCOUNT_KEY:
		return open_key(a, o);
	case AZURE_SAS:
		return open_sas(a, o);
	default:
		return azure_identity_open(&a->identity, o, a->way, STORAGE);
	}
}

static bool locate(struct azure_account *a, struct dif_opening *o, const char *url)
{
	const char *scheme = NULL, *path = NULL;
	if (!o->url(o, url, &scheme, &a->hosts[0], &path)) {
		o->refuse(o, "endpoint '%s' is not a URL: write https://host", url);
		return false;
	}
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	a->origin = o->fmt(o, "%s://%s", scheme, a->hosts[0]);
	a->path = o->fmt(o, "%.*s", (int)n, path);
	a->hosts[1] = a->identity.host; /* NULL: no other */
	return true;
}

bool azure_account_open(struct azure_account *a, struct dif_opening *o)
{
	const char *url = NULL;
	if (!open_way(a, o, &url)) {
		return false;
	}
	if (a->endpoint != NULL) {
		url = a->endpoint;
	}
	if (url == NULL && a->name == NULL) {
		o->refuse(o, "which account? Set account, or endpoint");
		return false;
	}
	if (url == NULL) {
		url = o->fmt(o, "https://%s.blob.core.windows.net", a->name);
	}
	return locate(a, o, url);
}

void azure_account_login(struct dif_op *op)
{
	const struct azure_account *a = azure_account_of(op);
	switch (a->way) {
	case AZURE_ACCOUNT_KEY: /* the host keeps a credential's parts from being seen */
		host->done(op,
		           &(struct dif_result){.cred = {.part = {a->key}, .expires = INT64_MAX}});
		return;
	case AZURE_SAS:
		login_by_sas(op);
		return;
	default:
		azure_identity_login(op);
	}
}

const struct azure_identity *azure_identity_of(const struct dif_op *op)
{
	return &azure_account_of(op)->identity;
}
