/* loader - finds, checks and loads plug-in libraries. They are never unloaded.
 *
 * The file is opened once by the rule of base/path.h; what that descriptor holds is checked (ELF of
 * this machine, no RPATH, one exported symbol, undefined symbols from the allow-list), copied into
 * a sealed memfd and loaded from there with RTLD_NOW | RTLD_LOCAL; then the descriptor that it
 * returns is checked field by field. The memfd stays open: glibc matches a repeated /proc/self/fd/N
 * by name and would hand back the first library.
 */
#ifndef DIF_HOST_LOADER_H
#define DIF_HOST_LOADER_H

#include "base/err.h"

struct dif_loaded {
	char *file;      /* path as found */
	char sha256[65]; /* of the file's content */
	bool ok;
	char reason[512];                /* why not, one line */
	const struct dif_plugin *plugin; /* NULL unless ok */
	struct dif_loaded *next;
};

struct dif_loader {
	struct dif_loaded *all; /* in name order within a folder */
};

void dif_loader_init(struct dif_loader *l);
void dif_loader_fini(struct dif_loader *l); /* frees the list; the libraries stay */
/* Loads one file, or every *.so of a folder in name order. A refused file is an entry with ok ==
 * false, not a failure; false: the path itself cannot be read. The same content twice gives the
 * first library again. */
bool dif_loader_add(struct dif_loader *l, const char *path, struct dif_error *err);
/* The offer called name of that kind; NULL: none. *from tells the library. */
const struct dif_offer *dif_loader_find(const struct dif_loader *l, enum dif_kind kind,
                                        const char *name, const struct dif_loaded **from);
const char *dif_kind_name(uint32_t kind); /* "store" */

/* services.c: the table that plug-ins get. */
extern const struct dif_host dif_host_services;

#endif
