/* option - options as data: parse, check, bind, print. Help, manual page, example INI and errors
 * come from the same rows.
 *
 * A value comes from the section, else from the first set variable in `env`, else from `def`. Rows
 * that are DIF_TOGETHER come from the section or from the environment, never half from each.
 */
#ifndef DIF_HOST_OPTION_H
#define DIF_HOST_OPTION_H

#include "base/buf.h"
#include "host/ini.h"

/* Binds the entries of `section` (from list) to the members of self. Marks entries used. Strings
 * live in the arena; secrets are resolved, registered and live there too (so make it a wiping one).
 * Errors name file, line, key and what is allowed. */
bool dif_option_bind(const struct dif_option *rows, uint32_t n, struct dif_ini_entry *list,
                     const char *section, void *self, struct dif_arena *a, struct dif_error *err);
/* For people (80 columns), and as an INI with every key commented out. */
void dif_option_print(const struct dif_option *rows, uint32_t n, struct dif_buf *out);
void dif_option_example(const struct dif_option *rows, uint32_t n, struct dif_buf *out);
const char *dif_option_type_name(uint32_t type); /* "duration" */

#endif
