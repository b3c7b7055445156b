/* class - which headers, which phase, which form: by glob, first match wins. Pure. */
#ifndef DIF_FLOW_CLASS_H
#define DIF_FLOW_CLASS_H

#include "base/err.h"

enum dif_phase { DIF_ASSET, DIF_DATA, DIF_AGGREGATE, DIF_ENTRY, DIF_PHASES };
enum dif_form_id { DIF_IDENTITY, DIF_GZIP, DIF_FORMS };

struct dif_class_rule {
	const char *name;
	const char *const *match; /* globs, NULL-terminated: `*` and `?` match any byte but '/'
	                           * where the glob has a '/', else the last part of the path is
	                           * matched; `**` crosses folders; a leading '/' means the root */
	const char *cache_control, *content_type; /* NULL: none; by extension */
	uint32_t phase;                           /* enum dif_phase */
	uint32_t store_as;                        /* enum dif_form_id */
};

/* The classes that are right without configuration, appended behind the configured ones; the last
 * one matches everything. */
extern const struct dif_class_rule dif_class_defaults[];
extern const uint32_t dif_class_ndefaults;

/* classes: configured ones, then the defaults are asked. Never NULL. */
const struct dif_class_rule *dif_class_of(const struct dif_class_rule *classes, uint32_t n,
                                          const char *path);
/* The honest Content-Type by extension; text types carry charset=utf-8 only where the content is
 * declared so by its kind (html, css, js, json, svg); csv and txt carry none, because their charset
 * differs from year to year. */
const char *dif_class_type(const char *path);
/* Whether content of this type gets smaller by compression: text, JSON, JavaScript, XML, SVG. */
bool dif_class_is_text(const char *type);
bool dif_glob(const char *glob, const char *path);
const char *dif_phase_name(uint32_t phase);

#endif
