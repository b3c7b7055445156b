/* ini - configuration files, with a place for every value. The only door to inih, through our own
 * line reader (as packaged inih cuts lines at 200 bytes without a word). Lines are at most 16 KiB,
 * files 1 MiB; NUL, duplicates within a section and a section twice in one file are errors. `;` and
 * `#` begin a comment at the start of a line, ` ;` ends a value. */
#ifndef DIF_HOST_INI_H
#define DIF_HOST_INI_H

#include "base/arena.h"
#include "base/err.h"

struct dif_ini_entry {
	const char *section; /* "store aws", as written between the brackets, inner blanks folded */
	const char *key, *value;
	const char *file;
	uint32_t line, section_line; /* of the key, of its section's header */
	bool secret_ok;              /* the file is 0640 or tighter: inline secrets are allowed */
	bool used;                   /* for whoever reads: unknown keys are those never used */
	struct dif_ini_entry *next;
};

/* Appends the entries of one file, in order, to *list (NULL at first); memory is the arena's. An
 * empty section gives one entry with key NULL. The file must be trusted (base/path.h). */
bool dif_ini_read(struct dif_arena *a, const char *path, struct dif_ini_entry **list,
                  struct dif_error *err);
/* The same from memory; file is the name that errors show. Used by tests, and by plug-ins' parse of
 * INI credentials. */
bool dif_ini_parse(struct dif_arena *a, const char *file, struct dif_bytes text,
                   struct dif_ini_entry **list, struct dif_error *err);

#endif
