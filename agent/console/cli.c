#include "console/cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "host/secret.h"

#define DEFAULT_CONFIG "/etc/difusor/difusor.ini"

const struct dif_verb_row *const dif_cli_verbs[] = {&dif_verb_run,
                                                    &dif_verb_verify,
                                                    &dif_verb_publish,
                                                    &dif_verb_status,
                                                    &dif_verb_check,
                                                    &dif_verb_audit,
                                                    &dif_verb_purge,
                                                    &dif_verb_history,
                                                    &dif_verb_drain,
                                                    &dif_verb_undrain,
                                                    &dif_verb_pin,
                                                    &dif_verb_drill,
                                                    &dif_verb_plugins,
                                                    &dif_verb_options,
                                                    &dif_verb_serve,
                                                    &dif_verb_simulate,
                                                    NULL};

enum { CONFIG, JSON, LOG, HELP };
const struct dif_cli_option dif_cli_common[] = {
	[CONFIG] = {"--config", 'c', "FILE", "the configuration; default " DEFAULT_CONFIG},
	[JSON] = {"--json", '\0', NULL, "JSON on standard output instead of text"},
	[LOG] = {"--log", '\0', "LEVEL",
                 "debug, info, warning, error or off; default warning (run: info, check: error)"},
	[HELP] = {"--help", 'h', NULL, "this help"},
};
const uint32_t dif_cli_ncommon = DIF_LEN(dif_cli_common);

struct parsing {
	struct dif_args *args;
	const char *common[DIF_LEN(dif_cli_common)];
	const char **words;
};

static const struct dif_verb_row *find_verb(const char *name)
{
	for (uint32_t i = 0; dif_cli_verbs[i] != NULL; i++) {
		if (strcmp(dif_cli_verbs[i]->name, name) == 0) {
			return dif_cli_verbs[i];
		}
	}
	return NULL;
}

int dif_cli_usage(const struct dif_args *args, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("difusor: ", stderr);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	if (args->verb != NULL) {
		fprintf(stderr, " (see 'difusor %s --help')\n", args->verb->name);
	} else {
		fputs(" (see 'difusor --help')\n", stderr);
	}
	return DIF_EXIT_USAGE;
}

bool dif_cli_has_no_config(const struct dif_args *args)
{
	return strcmp(args->config, DEFAULT_CONFIG) == 0 && access(DEFAULT_CONFIG, F_OK) != 0;
}

int dif_cli_fail(const struct dif_error *err)
{
	char text[sizeof err->text];
	memcpy(text, err->text, sizeof text);
	dif_secret_redact(text);
	fprintf(stderr, "difusor: %s\n", text);
	return err->exit != 0 ? err->exit : DIF_EXIT_OTHER;
}

/* The row that a word names: --name, --name=value or -x. Its length without the value in *n. */
static const struct dif_cli_option *match(const struct dif_cli_option *rows, uint32_t n,
                                          const char *word, uint32_t *index)
{
	size_t len = strcspn(word, "=");
	for (uint32_t i = 0; i < n; i++) {
		bool is_letter =
			rows[i].letter != '\0' && word[1] == rows[i].letter && word[2] == '\0';
		bool is_name = strlen(rows[i].name) == len && strncmp(rows[i].name, word, len) == 0;
		if (is_letter || is_name) {
			*index = i;
			return &rows[i];
		}
	}
	return NULL;
}

/* Takes one option and its value. Returns how many words it took, 0: usage error printed. */
static int take_option(struct parsing *p, char **word, int left)
{
	const struct dif_verb_row *verb = p->args->verb;
	uint32_t at = 0;
	const char **slot = NULL;
	const struct dif_cli_option *o = match(verb->options, verb->noptions, word[0], &at);
	if (o != NULL) {
		slot = &p->args->value[at];
	} else if ((o = match(dif_cli_common, dif_cli_ncommon, word[0], &at)) != NULL &&
	           !(at == CONFIG && verb->no_config)) {
		slot = &p->common[at];
	} else {
		dif_cli_usage(p->args, "unknown option '%s'", word[0]);
		return 0;
	}
	const char *equals = word[0][1] == '-' ? strchr(word[0], '=') : NULL;
	if (*slot != NULL) {
		dif_cli_usage(p->args, "option %s is given twice", o->name);
		return 0;
	}
	if (o->value == NULL) {
		if (equals != NULL) {
			dif_cli_usage(p->args, "option %s takes no value", o->name);
			return 0;
		}
		*slot = "";
		return 1;
	}
	if (equals == NULL && left < 2) {
		dif_cli_usage(p->args, "option %s needs a value: %s", o->name, o->value);
		return 0;
	}
	*slot = equals != NULL ? equals + 1 : word[1];
	return equals != NULL ? 1 : 2;
}

static bool set_log(struct parsing *p)
{
	static const char *const names[] = {"debug", "info", "warning", "error", "off"};
	const char *want = p->common[LOG] != NULL       ? p->common[LOG]
	                   : p->args->verb->log != NULL ? p->args->verb->log
	                                                : "warning";
	for (uint32_t i = 0; i < DIF_LEN(names); i++) {
		if (strcmp(names[i], want) == 0) {
			dif_log_level((enum dif_log_level)i);
			return true;
		}
	}
	dif_cli_usage(p->args, "option --log must be debug, info, warning, error or off, not '%s'",
	              want);
	return false;
}

/* Everything behind the verb. False: a usage error was printed. */
static bool parse(struct parsing *p, int argc, char **argv)
{
	bool only_words = false;
	for (int i = 0; i < argc;) {
		if (!only_words && strcmp(argv[i], "--") == 0) {
			only_words = true;
			i++;
		} else if (!only_words && argv[i][0] == '-' && argv[i][1] != '\0') {
			int took = take_option(p, &argv[i], argc - i);
			if (took == 0) {
				return false;
			}
			i += took;
		} else {
			p->words[p->args->nwords++] = argv[i++];
		}
	}
	return true;
}

static int run_verb(const struct dif_verb_row *verb, int argc, char **argv)
{
	struct dif_args args = {.verb = verb};
	struct parsing p = {.args = &args, .words = calloc((size_t)argc + 1, sizeof *p.words)};
	int code = DIF_EXIT_USAGE;
	if (p.words == NULL) {
		fputs("difusor: out of memory\n", stderr);
		return DIF_EXIT_OTHER;
	}
	args.words = p.words;
	if (!parse(&p, argc, argv) || !set_log(&p)) {
		goto out;
	}
	if (p.common[HELP] != NULL) {
		dif_cli_help(verb);
		code = DIF_EXIT_OK;
		goto out;
	}
	if (args.nwords < verb->min_words) {
		dif_cli_usage(&args, "'%s' needs %s", verb->name, verb->words);
		goto out;
	}
	if (args.nwords > verb->max_words) {
		dif_cli_usage(&args, "'%s' does not take '%s'", verb->name,
		              args.words[verb->max_words]);
		goto out;
	}
	args.config = p.common[CONFIG] != NULL ? p.common[CONFIG] : DEFAULT_CONFIG;
	args.json = p.common[JSON] != NULL;
	code = verb->run(&args);
	if (fflush(stdout) != 0 && code == DIF_EXIT_OK) {
		fprintf(stderr, "difusor: could not write to standard output: %m\n");
		code = DIF_EXIT_OTHER;
	}
out:
	free(p.words);
	return code;
}

int dif_cli_main(int argc, char **argv)
{
	struct dif_args none = {0};
	if (argc < 2) {
		dif_cli_help(NULL);
		return DIF_EXIT_USAGE;
	}
	const char *word = argv[1];
	if (strcmp(word, "--version") == 0) {
		puts("difusor " DIFUSOR_VERSION);
		return DIF_EXIT_OK;
	}
	if (strcmp(word, "help") == 0 && argc > 2 && strcmp(argv[2], "--man") == 0) {
		dif_cli_man();
		return DIF_EXIT_OK;
	}
	bool help = strcmp(word, "help") == 0;
	word = help ? (argc > 2 ? argv[2] : "--help") : word;
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
		dif_cli_help(NULL);
		return DIF_EXIT_OK;
	}
	const struct dif_verb_row *verb = find_verb(word);
	if (verb == NULL) {
		return dif_cli_usage(&none, "there is no verb '%s'", word);
	}
	if (help) {
		dif_cli_help(verb);
		return DIF_EXIT_OK;
	}
	return run_verb(verb, argc - 2, argv + 2);
}
