/* map - strings to pointers, open addressing. Keys are not copied: they must outlive the map. */
#ifndef DIF_BASE_MAP_H
#define DIF_BASE_MAP_H

#include <difusor/plugin.h>

struct dif_map_slot;
struct dif_map {
	struct dif_map_slot *slots;
	size_t n, cap;
};

void dif_map_init(struct dif_map *m);
void dif_map_fini(struct dif_map *m);
bool dif_map_put(struct dif_map *m, const char *key,
                 void *value); /* replaces key and value; false: out of memory */
void *dif_map_get(const struct dif_map *m, const char *key); /* NULL: not there */
void *dif_map_remove(struct dif_map *m, const char *key);    /* what was there, or NULL */
/* Visits every pair in no order; *at starts at 0. False at the end. The map must not change
 * meanwhile. key and value may be NULL. */
bool dif_map_next(const struct dif_map *m, size_t *at, const char **key, void **value);

#endif
