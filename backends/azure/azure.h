/* azure - what the files of this plug-in share. */
#ifndef DIF_BACKENDS_AZURE_H
#define DIF_BACKENDS_AZURE_H

#include <difusor/plugin.h>

#include "azure/call.h"

/* The ceiling of the host. A row with metadata is about 1.3 kB, so a page of 1,000 about 1.3 MB. */
#define PAGE_MAX (8u << 20)
#define ROWS_MAX 1000
#define BATCH_MAX 256    /* the vendor's bound */
#define BLOCKS_MAX 10000 /* of 50,000: their list is made in memory, and 4 GB blocks suffice */
#define BLOCKS_PARALLEL 16

/* Constant after open. */
struct azure {
	struct azure_account account;
	const char *container;
	const char *base; /* the path of the container: [/account]/container */
};

/* What a remove knows of its keys so far. */
struct azure_removal {
	uint32_t next;
	bool settled[BATCH_MAX];
};

union azure_scratch {
	struct azure_removal removal;
	struct dif_part part; /* of a put where blocks wait */
};

struct azure_call azure_blob(struct dif_op *op, const char *method, const char *key);
struct azure_call azure_container(struct dif_op *op, const char *method);
/* Class of a code, else of a status. */
enum dif_class azure_class(int32_t status, const char *code);
/* The number that s begins with; UINT64_MAX: none. */
uint64_t azure_decimal(const char *s);
/* Conditions, headers and metadata of a put. */
void azure_describe(struct dif_op *op, struct azure_call *c, const struct dif_put *in);
/* Ends a put or a finish: the blob with its tag. verified: the service has checked the MD5. */
void azure_stored(struct dif_op *op, const struct dif_reply *r, const struct dif_put *in,
                  bool verified);
/* The rest of a put whose name is taken by blocks that wait. */
void azure_put_in_blocks(struct dif_op *op);

dif_verb azure_probe, azure_list, azure_head, azure_get, azure_put, azure_remove;
dif_verb azure_part_begin, azure_part_put, azure_part_finish, azure_part_abort;

#endif
