/* pin - leads all readers to one destination, whatever is said of it. */
#include "console/by_hand.h"

enum { OFF = DIF_BY_HAND_OPTIONS };
static const struct dif_cli_option options[] = {
	DIF_BY_HAND_ROWS,
	[OFF] = {"--off", '\0', NULL, "take the pin off: failover decides again"},
};

static int run(const struct dif_args *args)
{
	return dif_by_hand(args, args->value[OFF] != NULL ? DIF_UNPIN : DIF_PIN);
}

const struct dif_verb_row dif_verb_pin = {
	.name = "pin",
	.words = "DESTINATION",
	.min_words = 1,
	.max_words = 1,
	.what = "leads all readers to one destination, until it is taken off",
	.text = "A pin wins over verdicts, drains and limits: nothing is moved by itself while\n"
		"it stands. It survives a restart, and 'difusor status' shows it.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
