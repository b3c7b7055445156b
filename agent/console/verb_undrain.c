/* undrain - lets a destination come back into the route: one that was drained, or one that failover
 * took out. */
#include "console/by_hand.h"

static const struct dif_cli_option options[] = {DIF_BY_HAND_ROWS};

static int run(const struct dif_args *args)
{
	return dif_by_hand(args, DIF_UNDRAIN);
}

const struct dif_verb_row dif_verb_undrain = {
	.name = "undrain",
	.words = "DESTINATION",
	.min_words = 1,
	.max_words = 1,
	.what = "lets a destination have readers again",
	.text = "It enters the route step by step, as soon as it is healthy and shows the\n"
		"newest cut; it need not wait for a hold or for failback.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
