/* instance - a configured plug-in, from its section to its last handle.
 *
 * Closing has two steps: first all runs and the login end (the `live` barrier), then the handles of
 * the pools close (the `handles` barrier), then the memory goes.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "host/crypto.h"
#include "host/op_private.h"
#include "host/option.h"

#define ARENA_MAX (4u << 20)
#define WINDOW_MAX 128u
#define WINDOW_FILES 16u /* the pool has few threads; more would only wait in it */
#define LIST_MAX 1000u
#define DELETE_MAX 1000u

const struct dif_option dif_http_options[] = {
	{.name = "ca_file",
         .help = "PEM file of the certificate authorities to trust; without it, the system's",
         .type = DIF_FILE_PATH,
         .offset = offsetof(struct dif_http_settings, ca_file)},
	{.name = "client_cert",
         .help = "PEM file of the certificate to show to a server that asks for one",
         .type = DIF_FILE_PATH,
         .offset = offsetof(struct dif_http_settings, client_cert)},
	{.name = "client_key",
         .help = "PEM file of the private key that belongs to client_cert",
         .type = DIF_FILE_PATH,
         .offset = offsetof(struct dif_http_settings, client_key)},
	{.name = "plain",
         .def = "no",
         .help = "HTTP without TLS, to private addresses; to loopback it is always allowed",
         .type = DIF_BOOL,
         .offset = offsetof(struct dif_http_settings, plain)},
	{.name = "private_network",
         .def = "no",
         .help = "names may lead to private and loopback addresses; an address written out is "
                 "permission enough",
         .type = DIF_BOOL,
         .offset = offsetof(struct dif_http_settings, private_network)},
	{.name = "connections",
         .def = "128",
         .help = "connections at most; how many are used follows from how the server copes",
         .type = DIF_INT,
         .min = 1,
         .max = WINDOW_MAX,
         .offset = offsetof(struct dif_http_settings, connections)},
	{.name = "rate",
         .def = "0",
         .help = "writes per second at most; 0 is what is known of the provider",
         .type = DIF_INT,
         .min = 0,
         .max = 100000,
         .offset = offsetof(struct dif_http_settings, rate)},
	{.name = "timeout",
         .def = "5min",
         .help = "the longest that one request may take; a stalled one ends after 15 s",
         .type = DIF_DURATION,
         .min = 100,
         .max = 3600000,
         .offset = offsetof(struct dif_http_settings, timeout)},
};
const uint32_t dif_http_noptions = DIF_LEN(dif_http_options);

/* --- what open may use --- */

struct opening {
	struct dif_opening pub; /* first: the plug-in hands it back */
	struct dif_arena *arena;
	struct dif_error *err;
	bool is_refused;
};

static struct opening *opening_of(struct dif_opening *o)
{
	return (struct opening *)(void *)o;
}

DIF_PRINTF(2, 3)
static const char *open_fmt(struct dif_opening *o, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	const char *s = dif_arena_vfmt(opening_of(o)->arena, fmt, ap);
	va_end(ap);
	return s;
}

static bool open_url(struct dif_opening *o, const char *url, const char **scheme,
                     const char **authority, const char **path)
{
	struct dif_arena *a = opening_of(o)->arena;
	size_t n = url != NULL ? strcspn(url, ":/?#") : 0;
	if (n == 0 || strncmp(url + n, "://", 3) != 0) {
		return false;
	}
	const char *rest = url + n + 3;
	size_t host = strcspn(rest, "/?#");
	if (host == 0 || rest[0] == ':' || memchr(rest, '@', host) != NULL ||
	    (rest[host] != '\0' && rest[host] != '/')) {
		return false;
	}
	*scheme = dif_arena_copy(a, url, n);
	*authority = dif_arena_copy(a, rest, host);
	*path = dif_arena_str(a, rest + host);
	return !a->failed;
}

static struct dif_bytes open_dec(struct dif_opening *o, uint32_t enc, const char *s)
{
	return dif_decode(opening_of(o)->arena, (enum dif_enc)enc, s);
}

DIF_PRINTF(2, 3)
static void open_refuse(struct dif_opening *o, const char *fmt, ...)
{
	struct opening *s = opening_of(o);
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!s->is_refused) {
		s->is_refused = true;
		dif_error_exit(s->err, DIF_EXIT_CONFIG, DIF_PERMANENT, "%s", text);
	}
}

/* --- open --- */

static bool bind_options(struct dif_instance *i, struct dif_ini_entry *list, const char *section,
                         struct dif_error *err)
{
	const struct dif_offer *o = i->offer;
	if (!dif_option_bind(o->options, o->noptions, list, section, i->self, &i->arena, err)) {
		return false;
	}
	return (o->flags & DIF_OFFER_HTTP) == 0 ||
	       dif_option_bind(dif_http_options, dif_http_noptions, list, section, &i->settings,
	                       &i->arena, err);
}

/* A store takes parts where it has the verbs and says how large. */
static bool check_parts(const struct dif_instance *i, struct dif_error *err)
{
	const struct dif_store *s = (const struct dif_store *)(const void *)i->offer->verbs;
	const struct dif_caps *c = &i->caps;
	uint8_t digest[DIF_DIGEST_MAX];
	if (c->part_max == 0) {
		return true;
	}
	if (i->offer->kind == DIF_STORE && s->part_begin != NULL && c->part_count > 0 &&
	    c->part_parallel > 0 && c->part_min <= c->part_max && c->part_align <= c->part_max &&
	    (c->part_digest == DIF_NO_DIGEST || c->part_digest == DIF_CRC32 ||
	     dif_hash(c->part_digest, "", 0, digest))) {
		return true;
	}
	return dif_error_exit(err, DIF_EXIT_PLUGIN, DIF_PERMANENT,
	                      "plug-in '%s' tells malformed bounds of parts", i->offer->name);
}

static bool call_open(struct dif_instance *i, struct dif_error *err)
{
	struct opening o = {.pub = {.size = sizeof o.pub,
	                            .fmt = open_fmt,
	                            .url = open_url,
	                            .dec = open_dec,
	                            .refuse = open_refuse,
	                            .name = i->name},
	                    .arena = &i->arena,
	                    .err = err};
	i->caps.size = sizeof i->caps;
	bool ok = i->offer->verbs->open(i->self, &o.pub, &i->caps);
	if (ok && !o.is_refused && !i->arena.failed) {
		return check_parts(i, err);
	}
	if (i->arena.failed) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
	} else if (!o.is_refused) {
		dif_error_exit(err, DIF_EXIT_PLUGIN, DIF_PERMANENT,
		               "plug-in '%s' refused it without a word", i->offer->name);
	}
	return false;
}

static uint32_t bounded(uint32_t told, uint32_t most)
{
	return told == 0 || told > most ? most : told;
}

static void settle_caps(struct dif_instance *i)
{
	static const char *const nobody[] = {NULL};
	struct dif_caps *c = &i->caps;
	c->size = sizeof *c;
	c->hosts = c->hosts != NULL ? c->hosts : nobody;
	c->put_max = c->put_max != 0 ? c->put_max : UINT64_MAX;
	c->list_max = bounded(c->list_max, LIST_MAX);
	c->delete_max = bounded(c->delete_max, DELETE_MAX);
	c->digests[DIF_LEN(c->digests) - 1] = DIF_NO_DIGEST; /* the list ends */
	if (i->offer->kind == DIF_CDN) {
		c->writes_per_s = c->purges_per_s; /* its only writes */
	}
	if (i->settings.rate > 0) {
		c->writes_per_s = (double)i->settings.rate;
	}
	i->policy = (struct dif_http_policy){
		.hosts = c->hosts,
		.ca_file = i->settings.ca_file,
		.client_cert = i->settings.client_cert,
		.client_key = i->settings.client_key,
		.plain = i->settings.plain != 0,
		.private_network = i->settings.private_network != 0,
		.timeout_ms = (uint32_t)i->settings.timeout,
	};
}

static bool init_key_times(struct dif_instance *i)
{
	if (i->caps.key_writes_per_s > 0) {
		i->key_times = dif_arena_alloc(&i->arena, DIF_KEY_TIMES * sizeof *i->key_times);
		return i->key_times != NULL;
	}
	return true;
}

static void init_loop(struct dif_instance *i);
static void on_live_gone(struct dif_barrier *b);
static void on_handles_gone(struct dif_barrier *b);

static struct dif_instance *allocate(struct dif_engine *e, const struct dif_offer *offer,
                                     const char *section)
{
	struct dif_instance *i = calloc(1, sizeof *i);
	if (i == NULL) {
		return NULL;
	}
	const char *blank = strchr(section, ' ');
	i->e = e;
	i->offer = offer;
	dif_arena_init(&i->arena, ARENA_MAX, true);
	i->name = dif_arena_str(&i->arena, blank != NULL ? blank + 1 : section);
	i->self = dif_arena_alloc(&i->arena, offer->verbs->self_size + 1);
	if (i->arena.failed) {
		dif_arena_fini(&i->arena);
		free(i);
		return NULL;
	}
	return i;
}

struct dif_instance *dif_instance_open(struct dif_engine *e, const struct dif_offer *offer,
                                       struct dif_ini_entry *list, const char *section,
                                       struct dif_error *err)
{
	struct dif_instance *i = allocate(e, offer, section);
	if (i == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open [%s]: out of memory", section);
		return NULL;
	}
	if (!bind_options(i, list, section, err)) {
		goto fail;
	}
	if (!call_open(i, err)) {
		const struct dif_ini_entry *at = list;
		while (at != NULL && strcmp(at->section, section) != 0) {
			at = at->next;
		}
		if (at != NULL) {
			dif_error_wrap(err, "%s:%u: [%s]", at->file, at->line, section);
		} else {
			dif_error_wrap(err, "[%s]", section);
		}
		goto fail;
	}
	settle_caps(i);
	if (!init_key_times(i)) {
		dif_error_set(err, DIF_TRANSIENT, "could not open [%s]: out of memory", section);
		goto fail;
	}
	init_loop(i);
	return i;

fail:
	dif_arena_fini(&i->arena);
	free(i);
	return NULL;
}

static void init_loop(struct dif_instance *i)
{
	bool is_http = (i->offer->flags & DIF_OFFER_HTTP) != 0;
	uint32_t most = is_http ? (uint32_t)i->settings.connections : WINDOW_FILES;
	dif_pressure_init(&i->pressure, most, i->caps.writes_per_s, dif_steady_ms());
	if (!dif_random(&i->chance, sizeof i->chance)) {
		i->chance = (uint64_t)dif_steady_ms(); /* jitter need not be a secret */
	}
	dif_list_init(&i->queue);
	dif_list_init(&i->finished);
	dif_list_init(&i->runs);
	dif_list_init(&i->spare_runs);
	dif_list_init(&i->spare_attempts);
	/* These only fill in the structs. */
	int rc = uv_idle_init(&i->e->loop, &i->kick) | uv_timer_init(&i->e->loop, &i->wake) |
	         uv_timer_init(&i->e->loop, &i->login.timer);
	assert(rc == 0);
	i->kick.data = i->wake.data = i->login.timer.data = i;
	/* They serve ops that wait, and those have a timer of their own: a back-off that nobody
	 * waits for must not keep the program from its end. */
	uv_unref((uv_handle_t *)&i->wake);
	uv_unref((uv_handle_t *)&i->login.timer);
	dif_barrier_init(&i->live, on_live_gone);
	dif_barrier_init(&i->handles, on_handles_gone);
	for (int k = 0; k < 3; k++) {
		dif_hold(&i->handles);
	}
}

/* --- close --- */

static void on_handles_gone(struct dif_barrier *b)
{
	struct dif_instance *i = DIF_ENTRY(b, struct dif_instance, handles);
	void (*closed)(void *) = i->closed;
	void *data = i->closed_data;
	if (i->root != NULL) {
		dif_file_root_close(i->root);
	}
	dif_credential_release(i->login.current);
	dif_arena_fini(&i->arena);
	free(i);
	if (closed != NULL) {
		closed(data);
	}
}

static void on_handle_closed(uv_handle_t *h)
{
	struct dif_instance *i = h->data;
	dif_release(&i->handles);
}

static void on_attempt_closed(uv_handle_t *h)
{
	struct dif_op_host *a = h->data;
	struct dif_instance *i = a->i;
	dif_arena_fini(&a->arena);
	free(a);
	dif_release(&i->handles);
}

static void on_live_gone(struct dif_barrier *b)
{
	struct dif_instance *i = DIF_ENTRY(b, struct dif_instance, live);
	while (!dif_list_empty(&i->spare_runs)) {
		struct dif_link *l = i->spare_runs.next;
		dif_list_remove(l);
		dif_run_free(DIF_ENTRY(l, struct dif_op_run, link));
	}
	while (!dif_list_empty(&i->spare_attempts)) {
		struct dif_link *l = i->spare_attempts.next;
		dif_list_remove(l);
		uv_close((uv_handle_t *)&DIF_ENTRY(l, struct dif_op_host, spare)->timer,
		         on_attempt_closed);
	}
	uv_close((uv_handle_t *)&i->kick, on_handle_closed);
	uv_close((uv_handle_t *)&i->wake, on_handle_closed);
	uv_close((uv_handle_t *)&i->login.timer, on_handle_closed);
	dif_release(&i->handles);
}

void dif_instance_close(struct dif_instance *i, void (*closed)(void *data), void *data)
{
	assert(!i->is_closing);
	i->is_closing = true;
	i->closed = closed;
	i->closed_data = data;
	uv_timer_stop(&i->wake);
	for (struct dif_link *l = i->runs.next; l != &i->runs; l = l->next) {
		dif_op_cancel(DIF_ENTRY(l, struct dif_op_run, live)); /* calls back later */
	}
	dif_login_close(i);
	dif_release(&i->live);
}

/* --- what is told of it --- */

const char *dif_instance_name(const struct dif_instance *i)
{
	return i->name;
}

const struct dif_offer *dif_instance_offer(const struct dif_instance *i)
{
	return i->offer;
}

const struct dif_caps *dif_instance_caps(const struct dif_instance *i)
{
	return &i->caps;
}

const struct dif_http_policy *dif_instance_policy(const struct dif_instance *i)
{
	return &i->policy;
}

const struct dif_pressure *dif_instance_pressure(const struct dif_instance *i)
{
	return &i->pressure;
}

void dif_instance_limit(struct dif_instance *i, uint32_t connections)
{
	uint32_t before = i->pressure.share;
	i->pressure.share = bounded(connections, i->pressure.window_max);
	if (i->pressure.share > before && !i->is_closing) {
		dif_run_kick(i);
	}
}

void dif_instance_full(struct dif_instance *i)
{
	dif_pressure_full(&i->pressure);
}

const struct dif_error *dif_instance_trouble(const struct dif_instance *i)
{
	bool cannot_log_in = i->login.current == NULL && i->login.failures > 0;
	return cannot_log_in ? &i->login.err : &i->trouble;
}

int64_t dif_instance_down_since(const struct dif_instance *i)
{
	return i->down_since != 0 ? i->down_since : dif_login_down_since(i);
}

void dif_instance_note_breaker(struct dif_instance *i, int64_t now)
{
	bool is_down = i->pressure.breaker != DIF_CLOSED;
	if (is_down == (i->down_since != 0)) {
		return;
	}
	i->down_since = is_down ? now : 0;
	dif_log(DIF_LOG_WARNING, "breaker", "destination=%s state=%s", dif_q(i->name),
	        is_down ? "open" : "closed");
}

int64_t dif_instance_now(const struct dif_instance *i)
{
	return dif_wall_ms() / 1000 + i->clock_offset;
}

int64_t dif_instance_clock(const struct dif_instance *i)
{
	return i->clock_offset;
}

void dif_instance_set_clock(struct dif_instance *i, int64_t seconds)
{
	i->clock_offset = seconds;
}

double dif_instance_chance(struct dif_instance *i)
{
	/* splitmix64: jitter, so any even spread will do */
	uint64_t z = (i->chance += 0x9e3779b97f4a7c15u);
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	z ^= z >> 31;
	return (double)(z >> 11) * 0x1.0p-53;
}
