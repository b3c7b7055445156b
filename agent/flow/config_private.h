/* config_private - what the files of config share: the rows' targets, how errors name a place. */
#ifndef DIF_FLOW_CONFIG_PRIVATE_H
#define DIF_FLOW_CONFIG_PRIVATE_H

#include "flow/config.h"
#include "host/option.h"

/* What the rows of [agent] and [class NAME] fill; the other rows fill the structs of config.h. */
struct dif_config_agent {
	const char *state, *archive, *plugins, *profile;
	int64_t memory;
	struct dif_limits limits;
};
struct dif_config_class {
	const char *match, *phase, *cache_control, *content_type, *store_as;
};

/* Fails with "FILE:LINE: " of the key, else of its section, before the sentence. */
bool dif_config_refuse(const struct dif_config *c, const char *section, const char *key,
                       struct dif_error *err, const char *fmt, ...) DIF_PRINTF(5, 6);

/* Fails because nobody reads this key. */
bool dif_config_refuse_key(const struct dif_config *c, const struct dif_ini_entry *e,
                           struct dif_error *err);

/* config_check.c: names and shapes of sections before anything is bound... */
bool dif_config_check_sections(const struct dif_config *c, struct dif_error *err);
/* ...and what one value says about another afterwards. Brings prefix and public_url into their
 * normal form. */
bool dif_config_check(struct dif_config *c, struct dif_error *err);

#endif
