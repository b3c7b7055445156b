/* run - the agent, in the foreground. */
#include "app.h"
#include "console/cli.h"

static int run(const struct dif_args *args)
{
	return dif_app_run(args->config);
}

const struct dif_verb_row dif_verb_run = {
	.name = "run",
	.words = "",
	.what = "the agent, in the foreground: polls the sources and publishes what is new",
	.text = "Ends on SIGTERM or SIGINT after what is in flight. While it runs, 'difusor "
                "publish' hands "
		"its file\nto it.",
	.run = run,
};
