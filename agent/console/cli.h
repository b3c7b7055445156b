/* cli - the verbs, their options and help as one table; parses argv and runs a verb. `--help`, the man
 * page and the README's list come from this table (difusor help --man prints the page).
 *
 * A verb prints for people on standard output, or JSON with --json; errors are one sentence on standard
 * error; logs go to standard error.
 */
#ifndef DIF_CONSOLE_CLI_H
#define DIF_CONSOLE_CLI_H

#include "base/err.h"

struct dif_cli_option {
	const char *name;  /* "--config" */
	char letter;       /* 'o' for -o, '\0': none */
	const char *value; /* "FILE", NULL: a flag */
	const char *help;
};

struct dif_args {
	const char *verb;
	const char *config; /* default /etc/difusor/difusor.ini */
	bool json;
	const char *const *words; /* what is no option */
	uint32_t nwords;
	const char *value
		[16]; /* of the verb's options, by index; NULL: not given, "" for a flag that is */
};

struct dif_verb_row {
	const char *name;
	const char *words; /* "FILE.zip", "" */
	uint32_t min_words, max_words;
	const char *what; /* one line */
	const char *text; /* some lines for --help and the man page */
	const struct dif_cli_option *options;
	uint32_t noptions;
	int (*run)(const struct dif_args *args); /* exit code */
};

int dif_cli_main(int argc, char **argv);
/* Prints `difusor: SENTENCE` on standard error; returns the exit code that err asks for. */
int dif_cli_fail(const struct dif_error *err);

/* One per file agent/console/verb_NAME.c */
extern const struct dif_verb_row dif_verb_run, dif_verb_verify, dif_verb_publish, dif_verb_status,
	dif_verb_check, dif_verb_audit, dif_verb_history, dif_verb_plugins, dif_verb_options,
	dif_verb_serve, dif_verb_simulate;

#endif
