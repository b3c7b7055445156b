/* drain - takes a destination out of the route by hand, for as long as it takes. */
#include "console/by_hand.h"

static const struct dif_cli_option options[] = {DIF_BY_HAND_ROWS};

static int run(const struct dif_args *args)
{
	return dif_by_hand(args, DIF_DRAIN);
}

const struct dif_verb_row dif_verb_drain = {
	.name = "drain",
	.words = "DESTINATION",
	.min_words = 1,
	.max_words = 1,
	.what = "leads readers away from a destination",
	.text = "It goes on receiving every cut. The last one that serves the newest cut stays\n"
		"in the route until another one can take over. 'difusor undrain' brings it\n"
		"back. What would happen is shown first.",
	.options = options,
	.noptions = DIF_LEN(options),
	.run = run,
};
