/* cli - the verbs, their options and help as one table; parses argv and runs a verb. `--help`, the
 * man page and the README's list come from this table (`difusor help --man` prints the page).
 *
 * A verb prints for people on standard output, or JSON with --json; errors are one sentence on
 * standard error, and so are logs.
 */
#ifndef DIF_CONSOLE_CLI_H
#define DIF_CONSOLE_CLI_H

#include "base/err.h"

struct dif_cli_option {
	const char *name;  /* "--output" */
	char letter;       /* 'o' for -o, '\0': none */
	const char *value; /* "FILE", NULL: a flag */
	const char *help;
};

#define DIF_CLI_OPTIONS 10 /* of one verb, at most */

struct dif_args {
	const struct dif_verb_row *verb;
	const char *config;       /* --config, default /etc/difusor/difusor.ini */
	bool json;                /* --json */
	const char *const *words; /* what is no option */
	uint32_t nwords;
	/* Of the verb's options, by index: NULL: not given, "" for a flag that is. */
	const char *value[DIF_CLI_OPTIONS];
};

struct dif_verb_row {
	const char *name;
	const char *words; /* "FILE.zip", "" */
	uint32_t min_words, max_words;
	const char *what; /* one line */
	const char *text; /* some lines for --help and the man page, "" if none */
	const struct dif_cli_option *options;
	uint32_t noptions;
	bool no_config;                          /* takes no --config */
	const char *log;                         /* default of --log; NULL: warning */
	int (*run)(const struct dif_args *args); /* exit code */
};

/* Every verb, in the order of the help; ends with a row without a name. */
extern const struct dif_verb_row *const dif_cli_verbs[];
/* The options that every verb takes. */
extern const struct dif_cli_option dif_cli_common[];
extern const uint32_t dif_cli_ncommon;

int dif_cli_main(int argc, char **argv);
/* Prints `difusor: SENTENCE` on standard error; returns the exit code that err asks for, by class
 * where it asks for none. */
int dif_cli_fail(const struct dif_error *err);
/* No --config was given and there is none in the usual place: for verbs that need none. */
bool dif_cli_has_no_config(const struct dif_args *args);
/* A usage error: the sentence and where help is. Returns DIF_EXIT_USAGE. */
int dif_cli_usage(const struct dif_args *args, const char *fmt, ...) DIF_PRINTF(2, 3);
/* Prints the help of one verb (NULL: of all) or the man page. */
void dif_cli_help(const struct dif_verb_row *verb);
void dif_cli_man(void);

/* One per file agent/console/verb_NAME.c; run is agent/app.c. */
extern const struct dif_verb_row dif_verb_run, dif_verb_verify, dif_verb_publish, dif_verb_status,
	dif_verb_check, dif_verb_audit, dif_verb_purge, dif_verb_history, dif_verb_drain,
	dif_verb_undrain, dif_verb_pin, dif_verb_drill, dif_verb_plugins, dif_verb_options,
	dif_verb_serve, dif_verb_simulate;

#endif
