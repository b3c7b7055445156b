/* tree_private - how the readers of XML, JSON and INI build one tree, within its bounds. */
#ifndef DIF_HOST_TREE_PRIVATE_H
#define DIF_HOST_TREE_PRIVATE_H

#include "host/tree.h"

#define DIF_TREE_DEPTH 32      /* replies of clouds are below 10 */
#define DIF_TREE_NODES 200000u /* a list page of 1000 rows with metadata has below 20,000 */

struct dif_tree_build {
	struct dif_arena *a;
	uint32_t nodes;
	const char *why; /* what went wrong first, NULL: nothing */
};

/* Appends a child to parent behind *last, which is the parent's last child so far. NULL: b->why is
 * set. */
struct dif_node *dif_tree_add(struct dif_tree_build *b, struct dif_node *parent,
                              struct dif_node **last, const char *name, size_t name_n);
/* Sets a node's text; false: b->why is set. */
bool dif_tree_text(struct dif_tree_build *b, struct dif_node *n, const char *p, size_t size);

#endif
