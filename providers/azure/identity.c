/* identity - access tokens of Microsoft Entra ID.
 *
 *   client_secret       POST AUTHORITY/TENANT/oauth2/v2.0/token with the application's secret
 *   workload_identity   the same with the token of a file, read anew each time
 *   managed_identity    GET from the machine's metadata service (169.254.169.254), or from the
 *                       endpoint that App Service and Container Apps name
 *
 * Nothing that a reply says leads a secret elsewhere: the host asks only where the options point.
 * What a token service does not find is no object that is missing, so 404 and the like never end a
 * login by that class; a metadata service says 404 and 410 while it is being updated.
 */
#include "azure/identity.h"

#define IMDS "http://169.254.169.254/metadata/identity/oauth2/token"
#define LIFE_MAX_S (7 * 86400) /* managed identities get a day */
#define REPLY_MAX 65536
#define TIMEOUT_MS 20000

/* --- which way --- */

static const struct {
	const char *name, *option;
} ways[AZURE_WAYS] = {
	[AZURE_ACCOUNT_KEY] = {"account_key", "account_key"},
	[AZURE_CONNECTION_STRING] = {"connection_string", "connection_string"},
	[AZURE_SAS] = {"sas", "sas_token"},
	[AZURE_CLIENT_SECRET] = {"client_secret", "client_secret"},
	[AZURE_WORKLOAD_IDENTITY] = {"workload_identity", "federated_token_file"},
	[AZURE_MANAGED_IDENTITY] = {"managed_identity", NULL},
};

static bool choose_given(struct dif_opening *o, const char *const given[AZURE_WAYS],
                         enum azure_way *way)
{
	uint32_t found = AZURE_WAYS;
	for (uint32_t i = 0; i < AZURE_WAYS; i++) {
		if (given[i] == NULL) {
			continue;
		}
		if (found != AZURE_WAYS) {
			o->refuse(o,
			          "%s and %s are both given, perhaps one by the environment: keep "
			          "one, or name the one that counts by credential",
			          ways[found].option, ways[i].option);
			return false;
		}
		found = i;
	}
	if (found == AZURE_WAYS) {
		o->refuse(o, "no credential: give the secret or the token file of one, or set "
		             "credential = managed_identity on a machine of Azure's");
		return false;
	}
	*way = found;
	return true;
}

bool azure_choose(struct dif_opening *o, const char *choice, const char *const given[AZURE_WAYS],
                  enum azure_way *way)
{
	for (uint32_t i = 0; i < AZURE_WAYS; i++) {
		if (strcmp(ways[i].name, choice) != 0) {
			continue;
		}
		if (ways[i].option != NULL && given[i] == NULL) {
			o->refuse(o, "credential = %s needs %s", choice, ways[i].option);
			return false;
		}
		*way = i;
		return true;
	}
	return choose_given(o, given, way);
}

void azure_identity_given(const struct azure_identity *id, const char *given[AZURE_WAYS])
{
	given[AZURE_CLIENT_SECRET] = id->client_secret;
	given[AZURE_WORKLOAD_IDENTITY] = id->token_file;
}

static bool is_guid_or_domain(const char *s)
{
	static const char good[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-";
	return strspn(s, good) == strlen(s) && strstr(s, "..") == NULL;
}

static bool open_machine(struct azure_identity *id, struct dif_opening *o)
{
	const char *scheme = NULL, *path = NULL;
	id->url = IMDS;
	if ((id->endpoint == NULL) != (id->header == NULL)) {
		o->refuse(o, "a managed identity takes identity_endpoint and identity_header "
		             "together, or neither (Azure Arc, which gives only one, is not "
		             "known here)");
		return false;
	}
	if (id->endpoint == NULL) {
		return true;
	}
	id->url = id->endpoint;
	if (!o->url(o, id->url, &scheme, &id->host, &path)) {
		o->refuse(o, "identity_endpoint '%s' is not a URL", id->url);
		return false;
	}
	return true;
}

bool azure_identity_open(struct azure_identity *id, struct dif_opening *o, enum azure_way way,
                         const char *resource)
{
	const char *scheme = NULL, *path = NULL;
	id->resource = resource;
	id->way = way;
	if (way == AZURE_MANAGED_IDENTITY) {
		return open_machine(id, o);
	}
	if (id->tenant_id == NULL || id->client_id == NULL) {
		o->refuse(o, "%s needs tenant_id and client_id beside it", ways[way].option);
		return false;
	}
	if (!is_guid_or_domain(id->tenant_id)) {
		o->refuse(o, "tenant_id '%s' is neither a GUID nor a domain", id->tenant_id);
		return false;
	}
	const char *authority = id->authority != NULL ? id->authority : AZURE_AUTHORITY;
	if (!o->url(o, authority, &scheme, &id->host, &path)) {
		o->refuse(o, "authority '%s' is not a URL: write https://host", authority);
		return false;
	}
	id->url = o->fmt(o, "%s://%s/%s/oauth2/v2.0/token", scheme, id->host, id->tenant_id);
	return true;
}

/* --- tokens --- */

static const char *encoded(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_QUERY, s, strlen(s));
}

/* expires_in of all, but expires_on alone from App Service; numbers or texts. */
static int64_t end_of(struct dif_op *op, const struct dif_node *body)
{
	const struct dif_node *in = host->get(body, "expires_in");
	int64_t now = host->now(op);
	if (in != NULL) {
		return now + (int64_t)host->num(op, in, LIFE_MAX_S);
	}
	return (int64_t)host->num(op, host->get(body, "expires_on"), (uint64_t)now + LIFE_MAX_S);
}

/* False: the op has failed. */
static bool is_answered(struct dif_op *op, const struct dif_reply *r)
{
	if (r->cls == DIF_NOT_FOUND || r->cls == DIF_CONFLICT) {
		bool passes = azure_identity_of(op)->way == AZURE_MANAGED_IDENTITY;
		host->fail(op, passes ? DIF_TRANSIENT : DIF_PERMANENT, "",
		           "the token service has no answer there (HTTP %d)", r->status);
		return false;
	}
	return host->good(op, r);
}

static void on_token(struct dif_op *op, const struct dif_reply *r)
{
	if (!is_answered(op, r)) {
		return;
	}
	const struct dif_node *body = host->tree(op, r, DIF_AS_JSON, NULL);
	if (body == NULL) {
		return;
	}
	const char *token = host->str(host->get(body, "access_token"));
	if (*token == '\0' || strcasecmp(host->str(host->get(body, "token_type")), "bearer") != 0) {
		host->refuse(op, r, "", "the answer has no access_token of type Bearer");
		return;
	}
	host->done(op,
	           &(struct dif_result){.cred = {.part = {token}, .expires = end_of(op, body)}});
}

static void post(struct dif_op *op, const char *name, const char *proof)
{
	const struct azure_identity *id = azure_identity_of(op);
	const struct dif_field type = {"content-type", "application/x-www-form-urlencoded"};
	const char *form = host->fmt(
		op, "grant_type=client_credentials&client_id=%s&scope=%s&%s=%s",
		encoded(op, id->client_id), encoded(op, host->fmt(op, "%s.default", id->resource)),
		name, encoded(op, proof));
	host->http(op,
	           &(struct dif_http){.method = "POST",
	                              .url = id->url,
	                              .fields = &type,
	                              .nfields = 1,
	                              .body = &(struct dif_piece){.bytes = {form, strlen(form)}},
	                              .npieces = 1,
	                              .timeout_ms = TIMEOUT_MS,
	                              .reply_max = REPLY_MAX},
	           on_token);
}

static void on_file(struct dif_op *op, const struct dif_reply *r)
{
	const struct azure_identity *id = azure_identity_of(op);
	const char *text = r->body.p;
	size_t n = r->status == 200 ? strcspn(text, " \t\r\n") : 0;
	if (n == 0) {
		host->fail(op, DIF_PERMANENT, "",
		           "there is no token in federated_token_file '%s': is the workload's "
		           "service account bound to an identity?",
		           id->token_file);
		return;
	}
	post(op,
	     "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3A"
	     "jwt-bearer&client_assertion",
	     host->fmt(op, "%.*s", (int)n, text));
}

static void ask_machine(struct dif_op *op)
{
	const struct azure_identity *id = azure_identity_of(op);
	struct dif_field field = {"metadata", "true"};
	const char *version = "2018-02-01";
	if (id->header != NULL) {
		field = (struct dif_field){"x-identity-header", id->header};
		version = "2019-08-01";
	}
	const char *url =
		host->fmt(op, "%s?api-version=%s&resource=%s%s%s", id->url, version,
	                  encoded(op, id->resource), id->client_id != NULL ? "&client_id=" : "",
	                  id->client_id != NULL ? encoded(op, id->client_id) : "");
	host->http(op,
	           &(struct dif_http){.method = "GET",
	                              .url = url,
	                              .fields = &field,
	                              .nfields = 1,
	                              .flags = DIF_HTTP_LINK_LOCAL | DIF_HTTP_NO_PROXY,
	                              .timeout_ms = TIMEOUT_MS,
	                              .reply_max = REPLY_MAX},
	           on_token);
}

void azure_identity_login(struct dif_op *op)
{
	const struct azure_identity *id = azure_identity_of(op);
	switch (id->way) {
	case AZURE_MANAGED_IDENTITY:
		ask_machine(op);
		return;
	case AZURE_WORKLOAD_IDENTITY:
		host->read(op, id->token_file, on_file);
		return;
	default:
		post(op, "client_secret", id->client_secret);
	}
}

/* --- what is said of failures --- */

/* {"error": "CODE", "error_description"} of token services, whose sentence ends where trace id and
 * time begin; {"error": {"code", "message"}} of the Resource Manager; {"message"} of App Service.
 */
void azure_explain_json(struct dif_op *op, const struct dif_reply *r, const char **code,
                        const char **what)
{
	const struct dif_node *body = host->parse(op, DIF_AS_JSON, r->body);
	const struct dif_node *error = host->get(body, "error");
	const char *name = host->str(host->get(error, "code"));
	const char *says = host->str(host->get(error, "message"));
	name = *name != '\0' ? name : host->str(error);
	says = *says != '\0' ? says : host->str(host->get(body, "error_description"));
	says = *says != '\0' ? says : host->str(host->get(body, "message"));
	if (*name != '\0') {
		*code = name;
	}
	if (*says != '\0') {
		*what = host->fmt(op, "%.*s", (int)strcspn(says, "\r\n"), says);
	}
}
