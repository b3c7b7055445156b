/* help and the man page, both from the tables of cli.h and of the configuration, so that they
 * cannot disagree. */
#include <stdio.h>

#include "console/cli.h"
#include "flow/config.h"

struct exit_row {
	int code;
	const char *what;
};

static const struct exit_row exits[] = {
	{DIF_EXIT_OK, "done and verified"},
	{DIF_EXIT_OTHER, "other error"},
	{DIF_EXIT_USAGE, "usage"},
	{DIF_EXIT_CONFIG, "configuration"},
	{DIF_EXIT_SOURCE, "source unreachable or TLS refused"},
	{DIF_EXIT_DIGEST, "digest, signature or CRC mismatch"},
	{DIF_EXIT_PACKAGE, "unsafe or unreadable package, over a limit, or no site"},
	{DIF_EXIT_PARTIAL, "partial: some destinations not reached, or their CDNs not purged"},
	{DIF_EXIT_NONE_REACHED,
         "no destination reached (last good still served); a no-go of check"},
	{DIF_EXIT_NOTHING_NEW, "nothing new"},
	{DIF_EXIT_DIFFERS, "content differs from the manifest"},
	{DIF_EXIT_DRILL, "a drill did not meet its criteria, or was stopped"},
	{DIF_EXIT_PLUGIN, "plug-in missing or refused"},
	{DIF_EXIT_GUARD,
         "refused by a guard (older cut, rehearsal in production, foreign objects, a drill that "
         "could cost readers)"},
};

static void print_option(const struct dif_cli_option *o)
{
	char left[64];
	int n = o->letter != '\0' ? snprintf(left, sizeof left, "-%c, %s", o->letter, o->name)
	                          : snprintf(left, sizeof left, "%s", o->name);
	if (o->value != NULL && n > 0 && (size_t)n < sizeof left) {
		snprintf(left + n, sizeof left - (size_t)n, " %s", o->value);
	}
	printf("  %-24s %s\n", left, o->help);
}

static void print_common(const struct dif_verb_row *verb)
{
	for (uint32_t i = 0; i < dif_cli_ncommon; i++) {
		bool is_config = dif_cli_common[i].letter == 'c';
		if (!is_config || verb == NULL || !verb->no_config) {
			print_option(&dif_cli_common[i]);
		}
	}
}

static void help_verb(const struct dif_verb_row *v)
{
	printf("difusor %s%s%s - %s\n", v->name, *v->words ? " " : "", v->words, v->what);
	if (*v->text != '\0') {
		printf("\n%s\n", v->text);
	}
	puts("\nOptions:");
	for (uint32_t i = 0; i < v->noptions; i++) {
		print_option(&v->options[i]);
	}
	print_common(v);
}

void dif_cli_help(const struct dif_verb_row *verb)
{
	if (verb != NULL) {
		help_verb(verb);
		return;
	}
	puts("difusor - publishes a results package on several clouds at once\n\n"
	     "Usage: difusor VERB [options]\n\nVerbs:");
	for (uint32_t i = 0; dif_cli_verbs[i] != NULL; i++) {
		printf("  %-10s %s\n", dif_cli_verbs[i]->name, dif_cli_verbs[i]->what);
	}
	puts("\nOptions of every verb:");
	print_common(NULL);
	puts("\nExit codes:");
	for (uint32_t i = 0; i < DIF_LEN(exits); i++) {
		printf("  %2d  %s\n", exits[i].code, exits[i].what);
	}
	puts("\n'difusor VERB --help' tells more of a verb, 'difusor options PLUGIN' of a "
	     "plug-in;\n'difusor help --man' prints the manual page, 'difusor --version' the "
	     "version.");
}

/* roff: a leading dot or apostrophe and every backslash and hyphen need care. */
static void roff(const char *s)
{
	bool start = true;
	for (; *s != '\0'; s++) {
		if (start && (*s == '.' || *s == '\'')) {
			fputs("\\&", stdout);
		}
		start = *s == '\n';
		if (*s == '\\') {
			fputs("\\e", stdout);
		} else if (*s == '-') {
			fputs("\\-", stdout);
		} else {
			putchar(*s);
		}
	}
}

static void man_option(const struct dif_cli_option *o)
{
	fputs(".TP\n.B ", stdout);
	if (o->letter != '\0') {
		printf("\\-%c, ", o->letter);
	}
	roff(o->name);
	if (o->value != NULL) {
		printf(" \\fI%s\\fR", o->value);
	}
	putchar('\n');
	roff(o->help);
	putchar('\n');
}

static void man_verb(const struct dif_verb_row *v)
{
	printf(".SS %s", v->name);
	if (*v->words != '\0') {
		printf(" ");
		roff(v->words);
	}
	putchar('\n');
	roff(v->what);
	fputs(".\n", stdout);
	if (*v->text != '\0') {
		fputs(".PP\n", stdout);
		roff(v->text);
		putchar('\n');
	}
	for (uint32_t i = 0; i < v->noptions; i++) {
		man_option(&v->options[i]);
	}
}

static void man_section(const char *kind)
{
	uint32_t n = 0;
	const struct dif_option *rows = dif_config_rows(kind, &n);
	printf(".SS [%s%s]\n", kind, dif_config_is_single(kind) ? "" : " NAME");
	for (uint32_t i = 0; i < n; i++) {
		fputs(".TP\n.B ", stdout);
		roff(rows[i].name);
		putchar('\n');
		roff(rows[i].help);
		if ((rows[i].flags & DIF_NEEDED) != 0) {
			fputs(" Needed.", stdout);
		} else if (rows[i].def != NULL && *rows[i].def != '\0') {
			fputs(" Default: ", stdout);
			roff(rows[i].def);
			putchar('.');
		}
		putchar('\n');
	}
}

static void man_configuration(void)
{
	puts(".SH CONFIGURATION");
	roff("One INI file (--config), and every *.ini in the folder that 'plugins' of [agent] "
	     "names. A section of a plug-in takes that plug-in's options besides: 'difusor "
	     "options PLUGIN'. A value that is a secret may be env:NAME, file:PATH or "
	     "credential:NAME.\n");
	for (uint32_t i = 0; dif_config_kind(i) != NULL; i++) {
		man_section(dif_config_kind(i));
	}
}

void dif_cli_man(void)
{
	puts(".TH DIFUSOR 1 \"\" \"difusor " DIFUSOR_VERSION "\" \"User commands\"\n.SH NAME\n"
	     "difusor \\- publishes a results package on several clouds at once\n.SH SYNOPSIS\n"
	     ".B difusor\n\\fIVERB\\fR [options]\n.SH VERBS");
	for (uint32_t i = 0; dif_cli_verbs[i] != NULL; i++) {
		man_verb(dif_cli_verbs[i]);
	}
	puts(".SH OPTIONS OF EVERY VERB");
	for (uint32_t i = 0; i < dif_cli_ncommon; i++) {
		man_option(&dif_cli_common[i]);
	}
	man_configuration();
	puts(".SH EXIT STATUS");
	for (uint32_t i = 0; i < DIF_LEN(exits); i++) {
		printf(".TP\n.B %d\n", exits[i].code);
		roff(exits[i].what);
		putchar('\n');
	}
}
