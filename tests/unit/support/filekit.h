/* filekit - file calls on a root, one after the other. */
#ifndef DIF_TESTS_FILEKIT_H
#define DIF_TESTS_FILEKIT_H

#include "host/file.h"
#include "support.h"

struct world {
	struct dif_engine *engine;
	struct dif_file_root *root;
	const char *at, *side;
};

struct answer {
	int calls, status;
	enum dif_class cls;
	char text[768], tag[80], names[65536], meta[4096];
	uint32_t nfiles, more;
	uint64_t size, sunk;
	int64_t modified;
};

void file_open_at(struct world *w, const char *at, const char *side);
void file_open(struct world *w); /* a fresh root */
void file_close(struct world *w);
void file_on_answer(void *data, const struct dif_reply *r, const struct dif_error *err);
struct answer file_ask(struct world *w, struct dif_file_call call);
struct answer file_put(struct world *w, const char *path, const char *text, const char *if_tag,
                       bool if_absent); /* with metadata order=7 sha256=abc */
struct answer file_stat(struct world *w, const char *path);
struct answer file_remove(struct world *w, const char *path, const char *if_tag);
struct answer file_list(struct world *w, const char *prefix, const char *after, uint32_t max);
/* What get gives, NULL: it failed. Valid until the next. */
const char *file_get(struct world *w, const char *path, uint64_t offset, uint64_t length);
const char *file_in(const char *folder, const char *name); /* FOLDER/NAME, for eight more calls */
bool file_exists(const char *path);
unsigned file_temporaries(const struct world *w); /* temporary files below the root and its side */

#endif
