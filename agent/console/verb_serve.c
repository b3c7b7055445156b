/* serve DIR - a small static server for what the `dir` store wrote. Runs until SIGINT or SIGTERM.
 *  */
#include <stdio.h>

#include "console/cli.h"
#include "console/serve.h"

enum { LISTEN };
static const struct dif_cli_option options[] = {
	[LISTEN] = {"--listen", '\0', "ADDR:PORT", "default 127.0.0.1:8080; port 0 is a free one"},
};

struct serving {
	struct dif_serve *serve;
	uv_signal_t stop[2];
};

static void on_stop(uv_signal_t *signal, int number)
{
	struct serving *s = signal->data;
	(void)number;
	dif_serve_close(s->serve);
	for (uint32_t i = 0; i < DIF_LEN(s->stop); i++) {
		uv_close((uv_handle_t *)&s->stop[i], NULL);
	}
}

static void listen_for_stop(struct dif_engine *e, struct serving *s)
{
	static const int numbers[DIF_LEN(s->stop)] = {SIGINT, SIGTERM};
	for (uint32_t i = 0; i < DIF_LEN(s->stop); i++) {
		uv_signal_init(&e->loop, &s->stop[i]);
		s->stop[i].data = s;
		uv_signal_start(&s->stop[i], on_stop, numbers[i]);
	}
}

static int run(const struct dif_args *args)
{
	struct dif_error err = {0};
	struct serving s = {0};
	const char *at = args->value[LISTEN] != NULL ? args->value[LISTEN] : "127.0.0.1:8080";
	struct dif_engine *e = dif_engine_new(&err);
	if (e == NULL) {
		return dif_cli_fail(&err);
	}
	s.serve = dif_serve_open(e, args->words[0], at, &err);
	if (s.serve == NULL) {
		dif_engine_free(e);
		return dif_cli_fail(&err);
	}
	const char *colon = strrchr(at, ':');
	int host = colon != NULL ? (int)(colon - at) : (int)strlen(at);
	if (args->json) {
		printf("{\"url\":\"http://%.*s:%u/\"}\n", host, at, dif_serve_port(s.serve));
	} else {
		printf("serving %s at http://%.*s:%u/\n", args->words[0], host, at,
		       dif_serve_port(s.serve));
	}
	fflush(stdout);
	listen_for_stop(e, &s);
	dif_engine_run(e);
	dif_engine_free(e);
	return DIF_EXIT_OK;
}

const struct dif_verb_row dif_verb_serve = {
	.name = "serve",
	.words = "DIR",
	.min_words = 1,
	.max_words = 1,
	.what = "a small static server for what the dir store wrote",
	.text = "For demonstrations, mirrors and tests: headers from the metadata, .gz siblings\n"
		"to clients that accept them, and the nearest index.html upward for deep links.",
	.options = options,
	.noptions = DIF_LEN(options),
	.no_config = true,
	.run = run,
};
