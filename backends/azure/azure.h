/* azure - what the files of this plug-in share. */
#ifndef DIF_BACKENDS_AZURE_H
#define DIF_BACKENDS_AZURE_H

#include <difusor/plugin.h>

#include "azure/shared_key.h"

/* The ceiling of the host. A row with metadata is about 1.3 kB, so a page of 1,000 about 1.3 MB. */
#define PAGE_MAX (8u << 20)
#define ROWS_MAX 1000

/* Constant after open. */
struct azure {
	const char *account, *account_key, *connection_string, *container, *endpoint;
	/* made by open */
	struct azure_signer signer;
	const char *origin, *authority;
	const char *base; /* the path of the container: [/account]/container */
	const char *hosts[2];
};

struct azure_call azure_blob(struct dif_op *op, const char *method, const char *key);
struct azure_call azure_container(struct dif_op *op, const char *method);
void azure_go(struct dif_op *op, struct azure_call *c, dif_step *next);

/* connect.c: from the options to signer, origin and base. False: refused. */
bool azure_connect(struct azure *s, struct dif_opening *o);

dif_verb azure_probe, azure_list, azure_head, azure_get, azure_put, azure_remove;

#endif
