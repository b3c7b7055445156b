/* err - errors as values: a class for the machine, a sentence for the person.
 *
 * Set where found, wrapped on the way up, logged once where handled. Sentence: `could not VERB
 * OBJECT 'NAME': REASON`, lower case, no full stop, no secrets. Outputs are untouched on failure.
 */
#ifndef DIF_BASE_ERR_H
#define DIF_BASE_ERR_H

#include <difusor/plugin.h> /* enum dif_class is part of the plug-in contract */

struct dif_error {
	enum dif_class cls;
	int status; /* HTTP status, 0: none */
	int exit;   /* the exit code this failure asks for (design: the table of exit codes), 0: by
	               class */
	int64_t retry_after; /* milliseconds the peer asked to wait, -1: it did not */
	char code[64];       /* the provider's code, "" if none */
	char text[768];
};

/* Every function below takes err == NULL and then does nothing. Setting an error starts it afresh:
 * status, code and retry_after are filled in afterwards. */
void dif_error_clear(struct dif_error *err);
void dif_error_set(struct dif_error *err, enum dif_class cls, const char *fmt, ...)
	DIF_PRINTF(3, 4);
/* The same, with the exit code it asks for. Returns false, so that a check can end in one line. */
bool dif_error_exit(struct dif_error *err, int exit_code, enum dif_class cls, const char *fmt, ...)
	DIF_PRINTF(4, 5);
/* Puts "could not VERB OBJECT 'NAME'" and ": " before the sentence; fmt ends without the colon. */
void dif_error_wrap(struct dif_error *err, const char *fmt, ...) DIF_PRINTF(2, 3);
const char *dif_class_name(enum dif_class cls); /* "transient"; never NULL */

/* Exit codes of the program (docs/ARCHITECTURE.md, README). */
enum {
	DIF_EXIT_OK = 0,
	DIF_EXIT_OTHER = 1,
	DIF_EXIT_USAGE = 2,
	DIF_EXIT_CONFIG = 3,
	DIF_EXIT_SOURCE = 4,
	DIF_EXIT_DIGEST = 5,
	DIF_EXIT_PACKAGE = 6,
	DIF_EXIT_PARTIAL = 7,
	DIF_EXIT_NONE_REACHED = 8,
	DIF_EXIT_NOTHING_NEW = 9,
	DIF_EXIT_GATE = 10,
	DIF_EXIT_DIFFERS = 11,
	DIF_EXIT_THRESHOLD = 12,
	DIF_EXIT_DRILL = 14,
	DIF_EXIT_PLUGIN = 15,
	DIF_EXIT_GUARD = 16
};

#endif
