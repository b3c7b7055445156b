/* explain - what Azure Storage says of failures. */
#include "azure/call.h"

/* What to do about it, where the service's own sentence does not tell. */
static const struct {
	const char *code, *what;
} remedies[] = {
	{"LeaseIdMissing", "somebody holds a lease on the blob: break it, or let it end"},
	{"LeaseAlreadyPresent", "somebody holds a lease on the blob: break it, or let it end"},
	{"SnapshotsPresent", "the blob has snapshots: delete them first"},
	{"BlobImmutableDueToPolicy", "a policy of the container keeps the blob as it is"},
	{"ContainerNotFound", "there is no such container: create it"},
	{"AuthorizationPermissionMismatch",
         "the credential does not permit it: a shared access signature needs sp=rcwdl, an identity "
         "the role Storage Blob Data Contributor"},
	{"UnauthorizedBlobOverwrite",
         "the shared access signature permits to create but not to write: it needs sp=rcwdl"},
	{"KeyBasedAuthenticationNotPermitted",
         "the account takes no account keys: use an identity, such as client_id and client_secret"},
	{"InvalidBlobOrBlock",
         "blocks of another program wait at this name and must be committed or dropped first"},
};

/* The header tells the code, to a HEAD too. The sentence ends where request id and time begin.
 * Token services speak JSON. */
void azure_explain(struct dif_op *op, const struct dif_reply *r, const char **code,
                   const char **what)
{
	const char *body = r->body.n > 0 ? r->body.p : "";
	const char *told = host->field(r, "x-ms-error-code", 0);
	if (*body == '{') {
		azure_explain_json(op, r, code, what);
	} else if (*body != '\0') {
		const struct dif_node *e = host->get(host->parse(op, DIF_AS_XML, r->body), "Error");
		const char *message = host->str(host->get(e, "Message"));
		*code = e != NULL ? host->str(host->get(e, "Code")) : *code;
		*what = e != NULL ? host->fmt(op, "%.*s", (int)strcspn(message, "\r\n"), message)
		                  : *what;
	}
	*code = told != NULL ? told : *code;
	for (uint32_t i = 0; *code != NULL && i < DIF_LEN(remedies); i++) {
		if (strcmp(*code, remedies[i].code) == 0) {
			*what = remedies[i].what;
		}
	}
}
