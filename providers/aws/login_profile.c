/* login_profile - the files of Amazon's tools, ~/.aws/credentials and ~/.aws/config.
 *
 * They are read by a reader of their own: an indented line is part of a nested setting, and nested
 * settings may repeat a name, which an INI reader that guards against mistakes refuses. Both files
 * have a profile under its name, credentials as [name], config as [profile name]; what credentials
 * says goes first. A profile with role_arn leads on to source_profile or credential_source.
 */
#include "aws/login_private.h"

/* --- one value of a file --- */

static const char *skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t')) {
		p++;
	}
	return p;
}

static const char *trim_end(const char *p, const char *end)
{
	while (end > p && (end[-1] == ' ' || end[-1] == '\t')) {
		end--;
	}
	return end;
}

/* Is this line the head of the profile? "default" stands in config with and without "profile". */
static bool is_head(const char *line, const char *end, bool config, const char *name)
{
	const char *close = memchr(line, ']', (size_t)(end - line));
	if (close == NULL) {
		return false;
	}
	const char *p = skip_blanks(line + 1, close);
	close = trim_end(p, close);
	bool bare = !config || strcmp(name, "default") == 0;
	if (config && close - p > 8 && strncmp(p, "profile", 7) == 0 &&
	    (p[7] == ' ' || p[7] == '\t')) {
		p = skip_blanks(p + 7, close);
		bare = true;
	}
	return bare && strlen(name) == (size_t)(close - p) &&
	       memcmp(p, name, (size_t)(close - p)) == 0;
}

/* The value of key in the profile, "" where it has none; key NULL: "" where the profile is there.
 * NULL: not there. */
static const char *find(struct dif_op *op, const char *text, bool config, const char *name,
                        const char *key)
{
	bool inside = false;
	const char *found = NULL, *end = text;
	for (const char *line = text; *line != '\0'; line = end + strspn(end, "\r\n")) {
		end = line + strcspn(line, "\r\n");
		if (*line == '[') {
			inside = is_head(line, end, config, name);
			found = inside && key == NULL ? "" : found;
			continue;
		}
		const char *eq = memchr(line, '=', (size_t)(end - line));
		if (!inside || key == NULL || eq == NULL) {
			continue;
		}
		size_t n = (size_t)(trim_end(line, eq) - line);
		if (n == strlen(key) && strncasecmp(line, key, n) == 0) {
			const char *value = skip_blanks(eq + 1, end);
			found = host->fmt(op, "%.*s", (int)(trim_end(value, end) - value), value);
		}
	}
	return found;
}

/* NULL: the profile does not tell it. */
static const char *lookup(struct dif_op *op, const char *name, const char *key)
{
	const struct aws_login_work *w = op->scratch;
	const char *value = find(op, w->credentials, false, name, key);
	if (value == NULL || (*value == '\0' && key != NULL)) {
		value = find(op, w->config, true, name, key);
	}
	return value != NULL && (*value != '\0' || key == NULL) ? value : NULL;
}

/* --- what a profile says --- */

/* What would have to run a program, or to ask a person. */
static const struct {
	const char *key, *why;
} refused[] = {
	{"credential_process", "takes its credential from a program, which is not run"},
	{"sso_session", "takes its credential from a browser's login, which is not done"},
	{"sso_account_id", "takes its credential from a browser's login, which is not done"},
	{"mfa_serial", "wants a code that a person reads off a device"},
};

/* True: the op has failed. */
static bool refuse(struct dif_op *op, const char *name)
{
	for (size_t i = 0; i < DIF_LEN(refused); i++) {
		if (lookup(op, name, refused[i].key) != NULL) {
			host->fail(op, DIF_AUTH, "",
			           "profile '%s' %s (%s): set access_key_id and secret_access_key, "
			           "or aws_profile to one with keys or a role",
			           name, refused[i].why, refused[i].key);
			return true;
		}
	}
	return false;
}

/* True: the op goes on with the keys of the profile, or has failed. */
static bool take_keys(struct dif_op *op, const char *name)
{
	const char *id = lookup(op, name, "aws_access_key_id");
	const char *secret = lookup(op, name, "aws_secret_access_key");
	const char *token = lookup(op, name, "aws_session_token");
	if (id == NULL && secret == NULL) {
		return false;
	}
	if (id == NULL || secret == NULL) {
		host->fail(op, DIF_AUTH, "",
		           "profile '%s' has only one of aws_access_key_id and "
		           "aws_secret_access_key",
		           name);
		return true;
	}
	aws_found(op, &(struct aws_key){id, secret, token != NULL ? token : "",
	                                host->now(op) + AWS_FILE_LIFE_S});
	return true;
}

/* A role's profile without another profile: who assumes it? */
static void take_source(struct dif_op *op, const char *name)
{
	const char *source = lookup(op, name, "credential_source");
	if (source != NULL && strcmp(source, "EcsContainer") == 0) {
		aws_login_container(op);
	} else if (source != NULL && strcmp(source, "Ec2InstanceMetadata") == 0) {
		aws_login_metadata(op);
	} else {
		host->fail(op, DIF_AUTH, "",
		           "profile '%s' has a role_arn, but neither source_profile nor a "
		           "credential_source that is EcsContainer or Ec2InstanceMetadata",
		           name);
	}
}

/* Follows the role of a profile. The next profile to look at; NULL: the op goes on without. */
static const char *take_role(struct dif_op *op, const char *name, const char *arn)
{
	struct aws_role role = {arn, lookup(op, name, "external_id"),
	                        lookup(op, name, "role_session_name")};
	const char *file = lookup(op, name, "web_identity_token_file");
	const char *source = lookup(op, name, "source_profile");
	if (file != NULL) {
		aws_web_identity(op, &role, file);
		return NULL;
	}
	if (refuse(op, name) || !aws_push(op, role)) {
		return NULL;
	}
	if (source == NULL) {
		take_source(op, name);
		return NULL;
	}
	if (strcmp(source, name) == 0) { /* its own keys are the source */
		if (!take_keys(op, name)) {
			host->fail(op, DIF_AUTH, "", "profile '%s' has no keys to assume its role",
			           name);
		}
		return NULL;
	}
	return source;
}

static void resolve(struct dif_op *op)
{
	const char *name = aws_login_of(op)->profile;
	bool wanted = name != NULL;
	name = wanted ? name : "default";
	while (name != NULL) {
		const char *arn = lookup(op, name, "role_arn");
		if (lookup(op, name, NULL) == NULL && wanted) {
			host->fail(op, DIF_AUTH, "",
			           "there is no profile '%s' in the credentials and config files",
			           name);
			return;
		}
		if (arn != NULL) {
			name = take_role(op, name, arn);
			wanted = true;
			continue;
		}
		if (!take_keys(op, name) && !refuse(op, name)) {
			aws_login_machine(op); /* it may tell a region only */
		}
		return;
	}
}

/* --- the files --- */

/* NULL: nobody says where it would be. */
static const char *path_of(struct dif_op *op, const char *told, const char *name)
{
	const char *home = aws_login_of(op)->home;
	if (told == NULL && home != NULL) {
		told = host->fmt(op, "%s/.aws/%s", home, name);
	}
	return told;
}

/* False: the op has failed. */
static bool keep(struct dif_op *op, const struct dif_reply *r, const char **text)
{
	if (r->status != 404 && !host->good(op, r)) {
		return false;
	}
	*text = r->status == 404 ? "" : host->fmt(op, "%s", (const char *)r->body.p);
	return true;
}

static void on_config(struct dif_op *op, const struct dif_reply *r)
{
	struct aws_login_work *w = op->scratch;
	if (keep(op, r, &w->config)) {
		resolve(op);
	}
}

static void read_config(struct dif_op *op)
{
	const char *path = path_of(op, aws_login_of(op)->config_file, "config");
	if (path != NULL) {
		host->read(op, path, on_config);
	} else {
		resolve(op);
	}
}

static void on_credentials(struct dif_op *op, const struct dif_reply *r)
{
	struct aws_login_work *w = op->scratch;
	if (keep(op, r, &w->credentials)) {
		read_config(op);
	}
}

void aws_login_profile(struct dif_op *op)
{
	struct aws_login_work *w = op->scratch;
	const char *path = path_of(op, aws_login_of(op)->credentials_file, "credentials");
	w->credentials = w->config = "";
	if (path != NULL) {
		host->read(op, path, on_credentials);
	} else {
		read_config(op);
	}
}
