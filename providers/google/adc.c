/* adc - application default credentials: where a token comes from.
 *
 *   credentials, GOOGLE_APPLICATION_CREDENTIALS       a file that must be there
 *   application_default_credentials.json of gcloud    a file that may be there
 *   the metadata server                               of a machine in Google's cloud
 *
 * What a file says of itself (its `type`) decides how it becomes a token. It is read at each login,
 * so that a key which is replaced needs no restart. The host speaks only to the servers that the
 * instance declared, so that a changed file cannot send a secret elsewhere.
 *
 * Impersonation, of either kind of file that asks for it, takes a second step: the first token
 * buys one of another service account.
 */
#include "google/google.h"

#define TOKEN_URI "https://oauth2.googleapis.com/token"
#define SCOPE_ALL "https://www.googleapis.com/auth/cloud-platform"
#define TOKEN_LIFE_MAX_S 86400
#define METADATA_TRIES 3
#define METADATA_TIMEOUT_MS 3000 /* it is a neighbour, or not there */
#define METADATA_PAUSE_MS 100

const char *google_scope(struct dif_op *op)
{
	return *google_login_of(op)->impersonate != '\0' ? SCOPE_ALL : google_of(op)->scope;
}

void google_ask(struct dif_op *op, const char *url, const char *form, const char *basic)
{
	struct dif_field f[2] = {{"content-type", "application/x-www-form-urlencoded"}};
	if (basic != NULL) {
		f[1] = (struct dif_field){"authorization", host->fmt(op, "Basic %s", basic)};
	}
	host->http(op,
	           &(struct dif_http){.method = "POST",
	                              .url = url,
	                              .fields = f,
	                              .nfields = basic != NULL ? 2 : 1,
	                              .body = &(struct dif_piece){.bytes = {form, strlen(form)}},
	                              .npieces = 1,
	                              .reply_max = GOOGLE_TOKEN_REPLY_MAX},
	           google_on_token);
}

/* --- the token --- */

static void on_impersonated(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *body = host->tree(op, r, DIF_AS_JSON, NULL);
	if (body == NULL) {
		return;
	}
	const char *token = google_text(body, "accessToken");
	int64_t expires = host->undate(google_text(body, "expireTime"));
	if (*token == '\0' || expires <= 0) {
		host->refuse(op, r, "", "the answer has no accessToken and expireTime");
		return;
	}
	host->done(op, &(struct dif_result){.cred = {.part = {token}, .expires = expires}});
}

static const char *delegates(struct dif_op *op)
{
	struct dif_text *t = host->text(op);
	const struct dif_node *list = host->get(google_login_of(op)->file, "delegates");
	const char *before = "";
	for (const struct dif_node *n = host->next(list, "", NULL); n != NULL;
	     n = host->next(list, "", n)) {
		host->add(t, "%s\"%s\"", before, google_json(op, host->str(n)));
		before = ",";
	}
	return host->end(t).p;
}

static void impersonate(struct dif_op *op, const char *token)
{
	const struct google_login *l = google_login_of(op);
	const char *life = google_text(l->file, "service_account_impersonation."
	                                        "token_lifetime_seconds");
	life = *life != '\0' ? life : "3600";
	const char *body =
		host->fmt(op, "{\"delegates\":[%s],\"scope\":[\"%s\"],\"lifetime\":\"%ss\"}",
	                  delegates(op), google_of(op)->scope, google_json(op, life));
	const struct dif_field f[] = {{"authorization", host->fmt(op, "Bearer %s", token)},
	                              {"content-type", "application/json"}};
	host->http(op,
	           &(struct dif_http){.method = "POST",
	                              .url = l->impersonate,
	                              .fields = f,
	                              .nfields = DIF_LEN(f),
	                              .body = &(struct dif_piece){.bytes = {body, strlen(body)}},
	                              .npieces = 1,
	                              .reply_max = GOOGLE_TOKEN_REPLY_MAX},
	           on_impersonated);
}

void google_on_token(struct dif_op *op, const struct dif_reply *r)
{
	const struct dif_node *body = host->tree(op, r, DIF_AS_JSON, NULL);
	if (body == NULL) {
		return;
	}
	const char *token = google_text(body, "access_token");
	if (*token == '\0') {
		host->refuse(op, r, "", "the answer has no access_token");
		return;
	}
	const char *url = google_login_of(op)->impersonate;
	if (url != NULL && *url != '\0') {
		host->hide(op, token);
		impersonate(op, token);
		return;
	}
	uint64_t life = host->num(op, host->get(body, "expires_in"), TOKEN_LIFE_MAX_S);
	host->done(op, &(struct dif_result){.cred = {.part = {token},
	                                             .expires = host->now(op) + (int64_t)life}});
}

/* --- the metadata server --- */

static void ask_metadata(struct dif_op *op);

static void on_paused(struct dif_op *op, const struct dif_reply *r)
{
	(void)r;
	ask_metadata(op);
}

static void on_metadata(struct dif_op *op, const struct dif_reply *r)
{
	struct google_login *l = google_login_of(op);
	const char *flavor = host->field(r, "metadata-flavor", 0);
	bool is_google = flavor != NULL && strcmp(flavor, "Google") == 0;
	if (r->status == 0 && ++l->tries < METADATA_TRIES) {
		host->pause(op, METADATA_PAUSE_MS, on_paused);
	} else if (r->status == 0 || !is_google) {
		host->fail(
			op, DIF_PERMANENT, "",
			"there are no credentials: no option credentials, no "
			"GOOGLE_APPLICATION_CREDENTIALS, %s%s, and %s is no metadata server of "
			"Google's; set credentials, or run gcloud auth application-default login",
			l->path != NULL ? "no file " : "no home folder",
			l->path != NULL ? l->path : "", google_of(op)->metadata);
	} else if (r->status == 404) {
		host->fail(op, DIF_PERMANENT, "",
		           "this machine has no service account; give it one, or set credentials");
	} else {
		google_on_token(op, r);
	}
}

static void ask_metadata(struct dif_op *op)
{
	const struct google_self *g = google_of(op);
	const char *url =
		host->fmt(op,
	                  "http://%s/computeMetadata/v1/instance/service-accounts/default/"
	                  "token?scopes=%s",
	                  g->metadata, google_query(op, g->scope));
	const struct dif_field flavor = {"metadata-flavor", "Google"};
	google_login_of(op)->impersonate = "";
	host->http(op,
	           &(struct dif_http){.method = "GET",
	                              .url = url,
	                              .fields = &flavor,
	                              .nfields = 1,
	                              .flags = DIF_HTTP_WANT_FAILURE | DIF_HTTP_NO_PROXY |
	                                       DIF_HTTP_LINK_LOCAL,
	                              .timeout_ms = METADATA_TIMEOUT_MS,
	                              .reply_max = GOOGLE_TOKEN_REPLY_MAX},
	           on_metadata);
}

/* --- the file --- */

static void authorized_user(struct dif_op *op)
{
	const struct dif_node *n = google_login_of(op)->source;
	const char *uri = google_text(n, "token_uri");
	const char *secret = google_text(n, "client_secret");
	const char *token = google_text(n, "refresh_token");
	host->hide(op, secret);
	host->hide(op, token);
	const char *form = host->fmt(op,
	                             "grant_type=refresh_token&client_id=%s&client_secret=%s"
	                             "&refresh_token=%s",
	                             google_query(op, google_text(n, "client_id")),
	                             google_query(op, secret), google_query(op, token));
	google_ask(op, *uri != '\0' ? uri : TOKEN_URI, form, NULL);
}

static void impersonated(struct dif_op *op);

#define NEEDS_MAX 3

static const struct kind {
	const char *type;
	const char *needs[NEEDS_MAX]; /* members that must not be empty */
	void (*begin)(struct dif_op *op);
} kinds[] = {
	{"service_account", {"client_email", "private_key"}, google_service_account},
	{"authorized_user", {"client_id", "client_secret", "refresh_token"}, authorized_user},
	{"external_account",
         {"audience", "subject_token_type", "token_url"},
         google_external_account},
	{"impersonated_service_account",
         {"service_account_impersonation_url", "source_credentials.type"},
         impersonated},
};

/* Begins with what the type of l->source says. */
static void begin(struct dif_op *op)
{
	const struct google_login *l = google_login_of(op);
	const char *type = google_text(l->source, "type");
	const struct kind *k = kinds;
	while (k < kinds + DIF_LEN(kinds) && strcmp(k->type, type) != 0) {
		k++;
	}
	if (k == kinds + DIF_LEN(kinds) || (k->begin == impersonated && l->source != l->file)) {
		host->fail(op, DIF_PERMANENT, "",
		           "could not use credentials '%s': type '%s' is none of service_account, "
		           "authorized_user, external_account and impersonated_service_account",
		           l->path, type);
		return;
	}
	for (size_t i = 0; i < NEEDS_MAX && k->needs[i] != NULL; i++) {
		if (*google_text(l->source, k->needs[i]) == '\0') {
			host->fail(op, DIF_PERMANENT, "",
			           "could not use credentials '%s': they have no %s; create them "
			           "anew",
			           l->path, k->needs[i]);
			return;
		}
	}
	k->begin(op);
}

static void impersonated(struct dif_op *op)
{
	struct google_login *l = google_login_of(op);
	l->source = host->get(l->file, "source_credentials");
	begin(op);
}

static void on_file(struct dif_op *op, const struct dif_reply *r)
{
	struct google_login *l = google_login_of(op);
	if (r->status == 404 && google_of(op)->credentials == NULL) {
		ask_metadata(op);
		return;
	}
	if (r->status == 404) {
		host->fail(op, DIF_PERMANENT, "", "there is no credentials file '%s'", l->path);
		return;
	}
	l->file = l->source = host->parse(op, DIF_AS_JSON, r->body);
	if (l->file == NULL) {
		host->fail(op, DIF_PERMANENT, "",
		           "could not use credentials '%s': they are no JSON", l->path);
		return;
	}
	l->impersonate = google_text(l->file, "service_account_impersonation_url");
	begin(op);
}

void google_login(struct dif_op *op)
{
	const struct google_self *g = google_of(op);
	struct google_login *l = google_login_of(op);
	const char *of_home = g->home == NULL ? NULL : host->fmt(op, "%s/.config/gcloud", g->home);
	const char *folder = g->gcloud != NULL ? g->gcloud : of_home;
	l->path = g->credentials;
	if (l->path == NULL && folder != NULL) {
		l->path = host->fmt(op, "%s/application_default_credentials.json", folder);
	}
	if (l->path != NULL) {
		host->read(op, l->path, on_file);
	} else {
		ask_metadata(op);
	}
}
