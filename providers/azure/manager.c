/* manager - see the header.
 *
 * An accepted request tells by a header where to ask about it. Azure-AsyncOperation leads to an
 * object with a status; Location leads to the result itself, 202 until it is there. The ticket
 * says which of them it is: "operation URL" or "location URL".
 */
#include "azure/manager.h"

#define OPERATION "operation "
#define LOCATION "location "
#define POLL_MS 10000 /* where the reply does not say Retry-After */
#define POLL_MAX_S 600
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.()"

const struct azure_identity *azure_identity_of(const struct dif_op *op)
{
	return &azure_manager_of(op)->identity;
}

/* --- open --- */

bool azure_manager_name(struct dif_opening *o, const char *option, const char *name)
{
	if (*name != '\0' && name[strspn(name, NAME_CHARACTERS)] == '\0' &&
	    strstr(name, "..") == NULL) {
		return true;
	}
	o->refuse(o, "%s '%s' is not a name: only letters, digits, '-', '_' and '.'", option, name);
	return false;
}

bool azure_manager_open(struct azure_manager *m, struct dif_opening *o)
{
	const char *scheme = NULL, *authority = NULL, *path = NULL;
	const char *given[AZURE_WAYS] = {NULL};
	enum azure_way way = AZURE_CLIENT_SECRET;
	if (!azure_manager_name(o, "subscription", m->subscription) ||
	    !azure_manager_name(o, "resource_group", m->resource_group)) {
		return false;
	}
	if (!o->url(o, m->endpoint, &scheme, &authority, &path)) {
		o->refuse(o, "endpoint '%s' is not an address; write https://HOST", m->endpoint);
		return false;
	}
	m->origin = o->fmt(o, "%s://%s", scheme, authority);
	m->providers = o->fmt(o, "%s/subscriptions/%s/resourceGroups/%s/providers", m->origin,
	                      m->subscription, m->resource_group);
	azure_identity_given(&m->identity, given);
	if (!azure_choose(o, m->credential, given, &way) ||
	    !azure_identity_open(&m->identity, o, way, o->fmt(o, "%s/", m->origin))) {
		return false;
	}
	m->hosts[0] = authority;
	m->hosts[1] = m->identity.host;
	return true;
}

/* --- requests --- */

const char *azure_json(struct dif_op *op, const char *s)
{
	return host->enc(op, DIF_JSON, s, strlen(s));
}

const char *azure_resource(struct dif_op *op, const char *path, const char *api_version)
{
	return host->fmt(op, "%s%s?api-version=%s", azure_manager_of(op)->providers, path,
	                 api_version);
}

void azure_manage(struct dif_op *op, const char *method, const char *url, const char *body,
                  const struct dif_field *condition, dif_step *next)
{
	struct dif_field f[3] = {{"authorization", host->fmt(op, "Bearer %s", op->cred->part[0])}};
	struct dif_piece piece = {0};
	struct dif_http h = {.method = method, .url = url, .fields = f, .nfields = 1};
	if (body != NULL) {
		f[h.nfields++] = (struct dif_field){"content-type", "application/json"};
		piece.bytes = (struct dif_bytes){body, strlen(body)};
		h.body = &piece;
		h.npieces = 1;
	}
	if (condition != NULL) {
		f[h.nfields++] = *condition;
	}
	host->http(op, &h, next);
}

/* --- asynchronous operations --- */

/* Retry-After in seconds; the service writes no dates. */
static uint32_t wait_of(const struct dif_reply *r)
{
	const char *s = host->field(r, "retry-after", 0);
	uint32_t n = 0;
	for (; s != NULL && *s >= '0' && *s <= '9'; s++) {
		n = n > POLL_MAX_S ? n : n * 10 + (uint32_t)(*s - '0');
	}
	if (s == NULL || *s != '\0' || n == 0) {
		return POLL_MS;
	}
	return (n < POLL_MAX_S ? n : POLL_MAX_S) * 1000;
}

static bool is_ours(struct dif_op *op, const char *url)
{
	const char *origin = azure_manager_of(op)->origin;
	size_t n = strlen(origin);
	return strncasecmp(url, origin, n) == 0 && url[n] == '/';
}

void azure_accepted(struct dif_op *op, const struct dif_reply *r)
{
	if (!host->good(op, r)) {
		return;
	}
	if (r->status == 200 || r->status == 204) {
		host->done(op, &(struct dif_result){.settled = 1});
		return;
	}
	const char *operation = host->field(r, "azure-asyncoperation", 0);
	const char *url = operation != NULL ? operation : host->field(r, "location", 0);
	if (url == NULL || !is_ours(op, url)) {
		host->refuse(op, r, "",
		             url == NULL ? "the answer does not say where to ask about it"
		                         : "the answer leads away from the Resource Manager");
		return;
	}
	const char *ticket = host->fmt(op, "%s%s", operation != NULL ? OPERATION : LOCATION, url);
	host->done(op, &(struct dif_result){.ticket = ticket, .wait_ms = wait_of(r)});
}

static void on_operation(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *j = host->tree(op, r, DIF_AS_JSON, NULL);
	if (j == NULL) {
		return;
	}
	const char *status = host->str(host->get(j, "status"));
	if (*status == '\0') {
		host->refuse(op, r, "", "the operation has no status");
	} else if (strcasecmp(status, "Succeeded") == 0) {
		host->done(op, &(struct dif_result){.settled = 1});
	} else if (strcasecmp(status, "Failed") == 0 || strcasecmp(status, "Canceled") == 0) {
		host->fail(op, DIF_TRANSIENT, host->str(host->get(j, "error.code")),
		           "the operation has ended as %.20s: %.200s", status,
		           host->str(host->get(j, "error.message")));
	} else { /* InProgress, Running, Accepted: every service has its own words */
		host->done(op, &(struct dif_result){.wait_ms = wait_of(r)});
	}
}

static void on_location(struct dif_op *op, const struct dif_reply *r)
{
	if (!host->good(op, r)) {
		return;
	}
	bool settled = r->status != 202;
	if (settled && r->body.n > 0 && host->parse(op, DIF_AS_JSON, r->body) == NULL) {
		host->refuse(op, r, "", "the answer is no JSON");
		return;
	}
	host->done(op,
	           &(struct dif_result){.settled = settled, .wait_ms = settled ? 0 : wait_of(r)});
}

void azure_accepted_state(struct dif_op *op)
{
	const struct dif_ticket *in = op->in;
	bool is_operation = strncmp(in->id, OPERATION, sizeof OPERATION - 1) == 0;
	const char *url = strchr(in->id, ' ');
	if (url == NULL || !is_ours(op, url + 1)) {
		host->fail(op, DIF_PERMANENT, "", "the ticket is none of the Resource Manager's");
		return;
	}
	azure_manage(op, "GET", url + 1, NULL, NULL, is_operation ? on_operation : on_location);
}
