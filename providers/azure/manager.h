/* manager - requests to Azure Resource Manager: what the plug-ins of Front Door, Azure DNS and
 * Traffic Manager share. Linked into each of them, hidden.
 *
 * A plug-in has a struct azure_manager in its instance, AZURE_MANAGER_OPTIONS among its options,
 * azure_manager_open in its open and azure_identity_login as its login. It sets `host` and defines
 * azure_manager_of.
 *
 * Source: the specifications of Azure's REST APIs (azure-rest-api-specs), and the Resource
 * Manager's pages on asynchronous operations and on throttling.
 */
#ifndef DIF_PROVIDERS_AZURE_MANAGER_H
#define DIF_PROVIDERS_AZURE_MANAGER_H

#include "azure/identity.h"

/* Constant after open. */
struct azure_manager {
	const char *subscription, *resource_group, *endpoint, *credential;
	struct azure_identity identity;
	/* made by azure_manager_open */
	const char *origin;    /* scheme://host[:port] of the endpoint */
	const char *providers; /* what all resources of the group begin with, ".../providers" */
	const char *hosts[3];  /* for the caps */
};

const struct azure_manager *azure_manager_of(const struct dif_op *op);

/* Rows for a plug-in's options; `m` is the member of `self` that takes them. */
/* clang-format off */
#define AZURE_MANAGER_OPTIONS(self, m) \
	AZURE_OPTION("subscription", DIF_STRING, DIF_NEEDED, 64, "AZURE_SUBSCRIPTION_ID", \
		     offsetof(self, m.subscription), "the subscription's id, a GUID"), \
	AZURE_OPTION("resource_group", DIF_STRING, DIF_NEEDED, 90, NULL, \
		     offsetof(self, m.resource_group), "the resource group's name"), \
	{.name = "endpoint", .def = "https://management.azure.com", .type = DIF_URL, .max = 1024, \
	 .help = "the Resource Manager; in a sovereign cloud another one", \
	 .offset = offsetof(self, m.endpoint)}, \
	{.name = "credential", .def = "auto", .type = DIF_ENUM, \
	 .help = "which credential counts; auto: the only one that is given", \
	 .choices = "auto " AZURE_IDENTITY_WAYS, .offset = offsetof(self, m.credential)}, \
	AZURE_IDENTITY_OPTIONS(self, m.identity)

/* The first rows of a plug-in's faults. What is not found is a resource that the section names;
 * where it is an answer, the plug-in looks at the status first. */
#define AZURE_MANAGER_FAULTS \
	AZURE_IDENTITY_FAULTS, \
	AZURE_FAULT("TooManyRequests", DIF_THROTTLED), \
	AZURE_FAULT("RetryableError", DIF_TRANSIENT), \
	AZURE_FAULT("AnotherOperationInProgress", DIF_TRANSIENT), \
	AZURE_FAULT("SubscriptionNotFound", DIF_PERMANENT), \
	AZURE_FAULT("ResourceGroupNotFound", DIF_PERMANENT), \
	AZURE_FAULT("ResourceNotFound", DIF_PERMANENT), \
	AZURE_FAULT("ParentResourceNotFound", DIF_PERMANENT)
/* clang-format on */

/* False: refused. */
bool azure_manager_open(struct azure_manager *m, struct dif_opening *o);
/* A name that may stand in an address as it is: letters, digits, '-', '_', '.'. False: refused. */
bool azure_manager_name(struct dif_opening *o, const char *option, const char *name);

/* The address of a resource; path: what stands behind ".../providers", with a slash before it and
 * without a query. */
const char *azure_resource(struct dif_op *op, const char *path, const char *api_version);
/* A request with the op's token; body NULL: none, else JSON. condition: NULL, or a field besides.
 */
void azure_manage(struct dif_op *op, const char *method, const char *url, const char *body,
                  const struct dif_field *condition, dif_step *next);

/* A JSON string's inside. */
const char *azure_json(struct dif_op *op, const char *s);

/* --- asynchronous operations --- */

/* Ends a verb whose request was accepted: settled, or a ticket that names where to ask. The
 * address is one of the Resource Manager's, or the reply is refused: the token goes nowhere else.
 */
void azure_accepted(struct dif_op *op, const struct dif_reply *r);
/* A verb: asks about a ticket (struct dif_ticket) of azure_accepted. */
dif_verb azure_accepted_state;

#endif
