/* world - an agent's inside over two stores in memory: engine, state, spool, two destinations, and
 * packages made on the spot. */
#ifndef DIF_TESTS_WORLD_H
#define DIF_TESTS_WORLD_H

#include "memory_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/ingest.h"
#include "flow/publication.h"
#include "flow/setup.h"
#include "rehearsal/zip.h"

#define DESTINATIONS 2
#ifndef PATIENCE_MS
#define PATIENCE_MS 60000 /* a test that waits longer is stuck */
#endif
#define INDEX(text) \
	"<!doctype html><html><head><base href=\"/\"></head><body>" text "</body></html>"

struct file {
	const char *name, *text; /* text NULL: not in this cut */
};

struct cut {
	struct dif_package *package;
	struct dif_manifest *manifest;
	char path[512];
};

struct world {
	struct dif_setup setup;
	struct dif_config config;
	struct dif_destination_config to[DESTINATIONS];
	struct dif_destination destinations[DESTINATIONS];
	struct dif_instance *store[DESTINATIONS];
	struct dif_class_rule classes[1];
	char folder[512];
	int64_t timeout_ms; /* of a publication; 0: PATIENCE_MS */
	bool done;
};

static const char *const world_totals[] = {"total.json", NULL};

static inline void world_until(struct world *w, bool (*is)(void *), void *data)
{
	int64_t end = dif_steady_ms() + PATIENCE_MS;
	while (!is(data)) {
		assert_true(dif_steady_ms() < end);
		uv_run(&w->setup.engine->loop, UV_RUN_ONCE);
	}
}

static inline bool world_is_true(void *data)
{
	return *(bool *)data;
}

static inline void world_wait(struct world *w)
{
	world_until(w, world_is_true, &w->done);
	w->done = false;
}

static inline void world_set_done(void *data)
{
	((struct world *)data)->done = true;
}

static inline void world_open_state(struct world *w)
{
	struct dif_error err = {0};
	w->setup.state =
		dif_state_open(w->setup.engine, w->folder, DIF_STATE_OWN, &w->setup.fresh, &err);
	assert_non_null(w->setup.state);
}

static inline void world_open_destinations(struct world *w)
{
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		dif_destination_init(&w->destinations[i], &w->to[i], w->store[i]);
	}
}

static inline struct world *world_new(uint64_t budget)
{
	static uint32_t turn;
	static const char *const names[] = {"eu", "us"};
	struct world *w = calloc(1, sizeof *w);
	struct dif_error err = {0};
	assert_non_null(w);
	dif_log_level(DIF_LOG_OFF);
	snprintf(w->folder, sizeof w->folder, "%s/%u", test_folder(), turn++);
	assert_int_equal(mkdir(w->folder, 0700), 0);
	w->setup.engine = dif_engine_new(&err);
	assert_non_null(w->setup.engine);
	w->setup.config = &w->config;
	w->setup.destinations = w->destinations;
	w->setup.spool = dif_spool_new(w->setup.engine, budget);
	assert_non_null(w->setup.spool);
	w->classes[0] = (struct dif_class_rule){.name = "totals",
	                                        .match = world_totals,
	                                        .phase = DIF_AGGREGATE,
	                                        .cache_control = "max-age=5"};
	w->config.classes = w->classes;
	w->config.nclasses = 1;
	w->config.limits = dif_limits_default;
	w->config.profile = DIF_PRODUCTION;
	w->config.destinations = w->to;
	w->config.ndestinations = DESTINATIONS;
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		w->store[i] = calloc(1, sizeof *w->store[i]);
		assert_non_null(w->store[i]);
		mem_open(w->store[i], w->setup.engine, names[i]);
		w->to[i] = (struct dif_destination_config){
			.name = names[i], .prefix = "", .grace = 600000, .barrier = 30000};
	}
	world_open_state(w);
	world_open_destinations(w);
	return w;
}

static inline void world_close_state(struct world *w)
{
	dif_state_close(w->setup.state, world_set_done, w);
	world_wait(w);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		dif_destination_fini(&w->destinations[i]);
	}
}

/* As a new process would find it. */
static inline void world_restart(struct world *w)
{
	world_close_state(w);
	world_open_state(w);
	world_open_destinations(w);
}

static inline void world_free(struct world *w)
{
	world_close_state(w);
	dif_spool_free(w->setup.spool);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		mem_close(w->store[i]);
	}
	dif_engine_run(w->setup.engine);
	dif_engine_free(w->setup.engine);
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		free(w->store[i]);
	}
	free(w);
}

static inline void world_write(const char *path, const struct file *files, uint32_t n)
{
	struct dif_error err = {0};
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	struct dif_zip *z = dif_zip_new(fd, &err);
	assert_non_null(z);
	for (uint32_t i = 0; i < n; i++) {
		if (files[i].text != NULL) {
			assert_true(dif_zip_add(z, files[i].name, files[i].text,
			                        strlen(files[i].text), true, 0, &err));
		}
	}
	assert_true(dif_zip_end(z, &err));
	dif_zip_free(z);
	close(fd);
}

struct world_ingest {
	struct world *w;
	struct dif_manifest *m;
};

static inline void world_on_ingested(void *data, struct dif_manifest *m,
                                     const struct dif_error *err)
{
	struct world_ingest *i = data;
	if (m == NULL) {
		print_message("%s\n", err->text);
	}
	i->m = m;
	i->w->done = true;
}

static inline struct cut *world_open_cut(struct world *w, const char *path, int64_t number)
{
	struct dif_error err = {0};
	struct world_ingest in = {.w = w};
	struct dif_ingest_want want = {.digests = DIF_HAS(DIF_CRC32C), .gzip = true};
	struct cut *c = calloc(1, sizeof *c);
	assert_non_null(c);
	c->package = dif_package_open(path, NULL, &err);
	if (c->package == NULL) {
		print_message("%s\n", err.text);
	}
	assert_non_null(c->package);
	dif_ingest_start(w->setup.engine, c->package, &want, NULL, world_on_ingested, &in);
	world_wait(w);
	assert_non_null(in.m);
	c->manifest = in.m;
	c->manifest->profile = "production";
	c->manifest->order = (struct dif_order){.epoch = 1, .number = number};
	memcpy(c->manifest->order.sha256, c->package->sha256, 65);
	return c;
}

static inline struct cut *world_cut(struct world *w, int64_t number, const struct file *files,
                                    uint32_t n)
{
	char path[600];
	snprintf(path, sizeof path, "%s/cut-%lld.zip", w->folder, (long long)number);
	world_write(path, files, n);
	return world_open_cut(w, path, number);
}

static inline void cut_free(struct cut *c)
{
	dif_manifest_unref(c->manifest);
	dif_package_close(c->package);
	free(c);
}

static inline void world_on_published(void *data, struct dif_publication *p)
{
	(void)p;
	((struct world *)data)->done = true;
}

static inline struct dif_publication *world_start(struct world *w, struct cut *c, uint32_t n,
                                                  bool dry_run)
{
	static struct dif_destination *all[DESTINATIONS];
	for (uint32_t i = 0; i < DESTINATIONS; i++) {
		all[i] = &w->destinations[i];
	}
	struct dif_publication_job job = {.engine = w->setup.engine,
	                                  .state = w->setup.state,
	                                  .spool = w->setup.spool,
	                                  .config = &w->config,
	                                  .package = c->package,
	                                  .manifest = c->manifest,
	                                  .destinations = all,
	                                  .ndestinations = n,
	                                  .dry_run = dry_run,
	                                  .timeout_ms = w->timeout_ms ? w->timeout_ms : PATIENCE_MS,
	                                  .unreachable_ms = 1000,
	                                  .linger_ms = 1000};
	if (!dry_run) {
		assert_true(dif_state_put_manifest(w->setup.state, c->manifest));
	}
	struct dif_publication *p = dif_publication_start(&job, world_on_published, w);
	assert_non_null(p);
	return p;
}

/* Publishes to the first n destinations; the publication is the caller's to free. */
static inline struct dif_publication *world_publish(struct world *w, struct cut *c, uint32_t n)
{
	struct dif_publication *p = world_start(w, c, n, false);
	world_wait(w);
	return p;
}

static inline int world_exit(struct world *w, struct cut *c, uint32_t n)
{
	struct dif_publication *p = world_publish(w, c, n);
	int code = dif_publication_exit(p);
	dif_publication_free(p);
	return code;
}

static inline void check_text(const struct dif_instance *s, const char *key, const char *text)
{
	const struct mem_object *o = mem_find(s, key);
	if (o == NULL) {
		fail_msg("object '%s' is missing", key);
		return;
	}
	assert_int_equal(o->n, strlen(text));
	assert_memory_equal(o->p, text, o->n);
}

#endif
