/* loader_private - the two checks of a plug-in: its file before it is loaded, its descriptor after.
 */
#ifndef DIF_HOST_LOADER_PRIVATE_H
#define DIF_HOST_LOADER_PRIVATE_H

#include "base/err.h"

/* Checks the content of a library before any of it runs: ELF64 of this machine, no RPATH, nothing
 * linked but libc, dif_plugin_main exported and nothing else, undefined symbols from the
 * allow-list. Every offset is taken as hostile. False: err says which rule. */
bool dif_elf_check(const void *p, size_t n, struct dif_error *err);

/* Checks a descriptor field by field. False: err says which. */
bool dif_descriptor_check(const struct dif_plugin *p, struct dif_error *err);

#endif
