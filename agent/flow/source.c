/* source - one poll after the other.
 *
 *   look ▸ side-car ▸ download ▸ (download again) ▸ same tag? ▸ same side-car? ▸ digest ▸ hand over
 *
 * A poll ends where there is nothing new, where something fails, or with an arrival; then the
 * source waits. What was replaced while it was read, or does not fit its digest, is read again
 * soon, at most five times; after that this version with this side-car is left alone until one of
 * them changes. A download that broke goes on where it was as long as the version is the same.
 *
 * The receiver owns the file from then on, and the source polls on; each arrival has a name of its
 * own. What was settled is remembered in the state. What was handed over and not settled is lost
 * with the process, and read once more.
 *
 * An older package that cannot be read for a reason that stays (no digest, a wrong one) is passed
 * over where newer ones wait.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"
#include "flow/source_private.h"
#include "host/crypto.h"

#define REREADS_MAX 5u
#define REREAD_MS 250 /* times the number of re-reads: whoever replaces a package is done soon */
#define JITTER 0.1    /* of the period, so that many agents do not ask at once */

enum { WAITING, LOOKING, READING_DIGEST, FETCHING, REPEATING, CHECKING, COMPARING, HANDED, STATES };

static const struct dif_sm_state states[STATES] = {
	[WAITING] = {"waiting", DIF_TO(LOOKING)},
	[LOOKING] = {"looking", DIF_TO(WAITING) | DIF_TO(READING_DIGEST) | DIF_TO(FETCHING)},
	[READING_DIGEST] = {"reading_digest", DIF_TO(WAITING) | DIF_TO(FETCHING)},
	[FETCHING] = {"fetching", DIF_TO(WAITING) | DIF_TO(REPEATING) | DIF_TO(CHECKING) |
                                          DIF_TO(COMPARING) | DIF_TO(HANDED)},
	[REPEATING] = {"repeating",
                       DIF_TO(WAITING) | DIF_TO(CHECKING) | DIF_TO(COMPARING) | DIF_TO(HANDED)},
	[CHECKING] = {"checking", DIF_TO(WAITING) | DIF_TO(COMPARING) | DIF_TO(HANDED)},
	[COMPARING] = {"comparing", DIF_TO(WAITING) | DIF_TO(HANDED)},
	[HANDED] = {"handed", DIF_TO(WAITING)},
};

/* --- the ends of a poll --- */

static void on_time(uv_timer_t *t);

static double chance(void)
{
	uint32_t n = 0;
	dif_random(&n, sizeof n);
	return (double)n / 4294967296.0;
}

static void wait_for(struct dif_source *s, int64_t ms)
{
	double jittered = (double)ms * (1 - JITTER + 2 * JITTER * chance());
	dif_sm_move(&s->sm, WAITING);
	uv_timer_start(&s->timer, on_time, (uint64_t)jittered, 0);
}

/* All is well; there is nothing to hand over. */
static void rest(struct dif_source *s)
{
	if (s->error.cls != DIF_OK) {
		dif_log(DIF_LOG_INFO, "source_back", "source=%s", dif_q(s->config->name));
	}
	dif_error_clear(&s->error);
	s->polled = dif_steady_ms();
	s->rereads = 0;
	wait_for(s, s->config->every);
}

/* The same failure is told once. */
static void note(struct dif_source *s, const struct dif_error *err)
{
	struct dif_error e = *err;
	dif_error_wrap(&e, "could not read source '%s'", s->config->name);
	if (strcmp(e.text, s->error.text) != 0) {
		dif_log(DIF_LOG_WARNING, "source", "source=%s class=%s error=%s",
		        dif_q(s->config->name), dif_class_name(e.cls), dif_q(e.text));
	}
	s->error = e;
	if (s->error.exit == 0) {
		s->error.exit = DIF_EXIT_SOURCE;
	}
}

/* True: newer packages wait, so this one is passed over. Never for what failed on this machine, as
 * on a full disk: that says nothing of the package. */
static bool pass_over(struct dif_source *s, const struct dif_error *err)
{
	return s->more && s->now.key != NULL && err->cls != DIF_TRANSIENT &&
	       err->cls != DIF_THROTTLED && err->cls != DIF_AUTH && err->cls != DIF_CANCELED &&
	       err->exit != DIF_EXIT_OTHER &&
	       found_set(&s->passed, s->now.key, s->now.tag, s->now.size, s->now.modified);
}

static void fail(struct dif_source *s, const struct dif_error *err)
{
	note(s, err);
	s->rereads = 0;
	wait_for(s, pass_over(s, err) ? 0 : s->config->every);
}

static void drop_part(struct dif_source *s)
{
	unlink(s->part);
	unlink(s->second);
	s->have = 0;
}

/* What was read cannot be believed: again soon, or never again as it is. */
static void read_again(struct dif_source *s, const struct dif_error *err)
{
	note(s, err);
	drop_part(s);
	if (s->rereads++ < REREADS_MAX) {
		wait_for(s, REREAD_MS * (int64_t)s->rereads);
		return;
	}
	s->rereads = 0;
	if (err->cls == DIF_INTEGRITY &&
	    found_set(&s->refused, s->now.key, s->now.tag, s->now.size, s->now.modified)) {
		free(s->refused_digest);
		s->refused_digest = s->digest;
		s->digest = NULL;
	}
	wait_for(s, pass_over(s, err) ? 0 : s->config->every);
}

/* --- hand over --- */

static const char *last_part(const char *key)
{
	const char *slash = strrchr(key, '/');
	return slash != NULL ? slash + 1 : key;
}

static bool write_side(struct dif_source *s, struct dif_error *err)
{
	if (s->digest == NULL) {
		unlink(s->side_file);
		return true;
	}
	size_t n = strlen(s->digest);
	int fd = open(s->side_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	bool ok = fd != -1 && write(fd, s->digest, n) == (ssize_t)n;
	if (!ok) {
		dif_error_exit(err, DIF_EXIT_OTHER, DIF_PERMANENT, "could not write '%s': %s",
		               s->side_file, strerror(errno));
	}
	if (fd != -1) {
		close(fd);
	}
	return ok;
}

static void record(struct dif_source *s)
{
	char scope[SCOPE_MAX], rate[32];
	const char *tls = s->got.tls[0] != '\0' ? s->got.tls : "none";
	dif_log(DIF_LOG_INFO, "download", "source=%s name=%s bytes=%llu bytes_per_s=%.0f tls=%s",
	        dif_q(s->config->name), dif_q(s->now.key), (unsigned long long)s->got.have,
	        s->got.bytes_per_s, tls);
	if (s->setup->state == NULL) {
		return;
	}
	snprintf(scope, sizeof scope, "source:%s", s->config->name);
	snprintf(rate, sizeof rate, "%.0f", s->got.bytes_per_s);
	if (!dif_state_put_fact(s->setup->state, scope, "tls", tls) ||
	    !dif_state_put_fact(s->setup->state, scope, "bytes_per_s", rate)) {
		dif_log(DIF_LOG_WARNING, "source", "source=%s error=%s", dif_q(s->config->name),
		        dif_q("could not record the download: out of memory"));
	}
}

static void take(struct dif_source *s)
{
	if (!found_set(&s->taken, s->now.key, s->now.tag, s->now.size, s->now.modified)) {
		return; /* it is read once more */
	}
	memcpy(s->taken_sha256, s->sha256, sizeof s->taken_sha256);
	found_clear(&s->refused);
	found_clear(&s->passed);
}

static void announce(struct dif_source *s)
{
	char *ticket = source_ticket(s);
	dif_error_clear(&s->error);
	s->polled = dif_steady_ms();
	s->rereads = 0;
	dif_sm_move(&s->sm, HANDED);
	source_tell_arrival(s);
	struct dif_arrival a = {.file = s->file,
	                        .digest = s->digest != NULL ? s->side_file : NULL,
	                        .name = last_part(s->now.key),
	                        .modified_ms = s->now.modified * 1000,
	                        .more = s->more,
	                        .ticket = ticket != NULL ? ticket : "",
	                        .tls = s->got.tls[0] != '\0' ? s->got.tls : NULL,
	                        .bytes_per_s = s->got.bytes_per_s};
	s->arrived(s->data, s, &a);
	free(ticket);
}

/* Names of their own, so that the next one may come while this one is being published. */
static bool name_arrival(struct dif_source *s)
{
	free(s->file);
	free(s->side_file);
	s->file = s->side_file = NULL;
	s->arrivals++;
	if (asprintf(&s->file, "%s/%s-%llu.zip", s->folder, s->config->name,
	             (unsigned long long)s->arrivals) == -1) {
		s->file = NULL;
		return false;
	}
	if (asprintf(&s->side_file, "%s.sha256", s->file) == -1) {
		s->side_file = NULL;
		return false;
	}
	return true;
}

static void hand_over(struct dif_source *s)
{
	struct dif_error err;
	record(s);
	s->have = 0;
	if (strcmp(s->sha256, s->taken_sha256) == 0) {
		drop_part(s);
		take(s);
		rest(s);
		return;
	}
	if (!name_arrival(s)) {
		dif_error_set(&err, DIF_TRANSIENT, "out of memory");
		fail(s, &err);
		return;
	}
	if (!write_side(s, &err)) {
		fail(s, &err);
		return;
	}
	if (rename(s->part, s->file) == -1) {
		dif_error_exit(&err, DIF_EXIT_OTHER, DIF_PERMANENT, "could not rename '%s': %s",
		               s->part, strerror(errno));
		fail(s, &err);
		return;
	}
	announce(s);
}

/* --- judge --- */

static void judge(struct dif_source *s)
{
	struct dif_error err;
	uint8_t wanted[32], is[32];
	char digits[65] = "";
	if (s->digest != NULL) {
		memcpy(digits, s->digest, strnlen(s->digest, 64));
		if (!dif_parse_hex(digits, wanted, 32) || !dif_parse_hex(s->sha256, is, 32) ||
		    memcmp(wanted, is, 32) != 0) {
			dif_error_exit(&err, DIF_EXIT_DIGEST, DIF_INTEGRITY,
			               "SHA-256 of '%s' is %s, its digest says %s", s->now.key,
			               s->sha256, digits);
			read_again(s, &err);
			return;
		}
	}
	hand_over(s);
}

static void on_side_again(struct dif_source *s, const struct dif_error *err)
{
	struct dif_error e;
	if (err != NULL && err->cls != DIF_NOT_FOUND) {
		fail(s, err);
		return;
	}
	const char *text = err == NULL ? dif_buf_str(&s->side) : NULL;
	if ((text == NULL) != (s->digest == NULL) ||
	    (text != NULL && strcmp(text, s->digest) != 0)) {
		dif_error_set(&e, DIF_CONFLICT,
		              "the digest was replaced while the package was read");
		read_again(s, &e);
		return;
	}
	judge(s);
}

static void compare_side(struct dif_source *s)
{
	if (s->side_key == NULL) {
		judge(s);
		return;
	}
	dif_sm_move(&s->sm, COMPARING);
	source_read_side(s, on_side_again);
}

static void on_checked(struct dif_source *s, const struct dif_error *err)
{
	if (err == NULL) {
		compare_side(s);
	} else if (err->cls == DIF_CONFLICT || err->cls == DIF_NOT_FOUND) {
		read_again(s, err);
	} else {
		fail(s, err);
	}
}

static void check(struct dif_source *s)
{
	if (*s->now.tag == '\0') { /* nothing to compare: the digest decides */
		compare_side(s);
		return;
	}
	dif_sm_move(&s->sm, CHECKING);
	source_check(s, on_checked);
}

/* --- download --- */

static void fetch_failed(struct dif_source *s, const struct dif_error *err)
{
	if (err->cls == DIF_CONFLICT) {
		read_again(s, err);
	} else {
		fail(s, err);
	}
}

static void on_second(struct dif_source *s, const struct dif_error *err)
{
	struct dif_error e;
	if (err != NULL) {
		fetch_failed(s, err);
		return;
	}
	unlink(s->second);
	if (strcmp(s->sha256, s->got.sha256) != 0) {
		dif_error_exit(&e, DIF_EXIT_DIGEST, DIF_INTEGRITY,
		               "'%s' was not the same when it was fetched a second time",
		               s->now.key);
		read_again(s, &e);
		return;
	}
	check(s);
}

static void on_first(struct dif_source *s, const struct dif_error *err)
{
	s->whole = s->got.whole;
	s->have = s->got.have;
	if (err != NULL) {
		fetch_failed(s, err);
		return;
	}
	memcpy(s->sha256, s->got.sha256, sizeof s->sha256);
	if (!s->twice) {
		check(s);
		return;
	}
	dif_sm_move(&s->sm, REPEATING);
	source_fetch(s, s->second, 0, on_second);
}

static void fetch(struct dif_source *s)
{
	bool goes_on = s->part_tag != NULL && strcmp(s->part_tag, s->now.tag) == 0;
	if (!goes_on) {
		free(s->part_tag);
		s->part_tag = strdup(s->now.tag);
	}
	dif_sm_move(&s->sm, FETCHING);
	source_fetch(s, s->part, goes_on ? s->have : 0, on_first);
}

/* Of a server that tells no version, size and side-car have to do. Where it tells one they do not
 * count: a side-car that nobody renews must not hide a new package. */
static bool seems_taken(const struct dif_source *s)
{
	return s->taken.key != NULL && *s->now.tag == '\0' && s->now.size == s->taken.size &&
	       s->digest != NULL && strncasecmp(s->digest, s->taken_sha256, 64) == 0;
}

static void on_side(struct dif_source *s, const struct dif_error *err)
{
	struct dif_error e;
	if (err != NULL && err->cls != DIF_NOT_FOUND) {
		fail(s, err);
		return;
	}
	if (err != NULL && s->needs_digest) {
		dif_error_set(&e, DIF_NOT_FOUND, "there is no digest '%s'", s->side_key);
		fail(s, &e);
		return;
	}
	if (err == NULL) {
		s->digest = strdup(dif_buf_str(&s->side));
		if (s->digest == NULL) {
			dif_error_set(&e, DIF_TRANSIENT, "out of memory");
			fail(s, &e);
			return;
		}
	}
	if (found_is(&s->now, &s->refused) && s->digest != NULL && s->refused_digest != NULL &&
	    strcmp(s->digest, s->refused_digest) == 0) {
		wait_for(s, s->config->every); /* what was told of it still holds */
		return;
	}
	if (seems_taken(s)) {
		rest(s);
		return;
	}
	fetch(s);
}

/* --- look --- */

/* `digest` with the package's key for {url}; malloc'ed, NULL: out of memory. */
static char *side_key_of(const struct dif_source *s)
{
	struct dif_buf b;
	dif_buf_init(&b, SIDE_MAX);
	for (const char *p = s->config->digest; *p != '\0';) {
		const char *mark = strstr(p, "{url}");
		size_t plain = mark != NULL ? (size_t)(mark - p) : strlen(p);
		dif_buf_add(&b, p, plain);
		p += plain;
		if (mark != NULL) {
			dif_buf_fmt(&b, "%s", s->now.key);
			p += strlen("{url}");
		}
	}
	if (b.failed) {
		dif_buf_fini(&b);
	}
	return b.p;
}

static void on_looked(struct dif_source *s, const struct dif_error *err)
{
	struct dif_error e;
	if (err != NULL) {
		fail(s, err);
		return;
	}
	if (s->now.key == NULL || found_is(&s->now, &s->taken)) {
		rest(s);
		return;
	}
	source_notice(s);
	free(s->side_key);
	free(s->digest);
	s->side_key = s->digest = NULL;
	if (s->config->digest == NULL) {
		if (found_is(&s->now, &s->refused)) {
			wait_for(s, s->config->every);
			return;
		}
		fetch(s);
		return;
	}
	s->side_key = side_key_of(s);
	if (s->side_key == NULL) {
		dif_error_set(&e, DIF_TRANSIENT, "out of memory");
		fail(s, &e);
		return;
	}
	dif_sm_move(&s->sm, READING_DIGEST);
	source_read_side(s, on_side);
}

static void on_time(uv_timer_t *t)
{
	struct dif_source *s = t->data;
	dif_sm_move(&s->sm, LOOKING);
	source_look(s, on_looked);
}

/* --- open and close --- */

static void release_all(struct dif_source *s)
{
	found_clear(&s->now);
	found_clear(&s->taken);
	found_clear(&s->refused);
	found_clear(&s->passed);
	found_clear(&s->noticed);
	dif_buf_fini(&s->side);
	free(s->refused_digest);
	free(s->digest);
	free(s->side_key);
	free(s->part_tag);
	free(s->cursor);
	free(s->file);
	free(s->part);
	free(s->second);
	free(s->side_file);
	free(s->folder);
	free(s);
}

static char *path_of(const char *folder, const char *name, const char *end)
{
	char *path = NULL;
	if (asprintf(&path, "%s/%s%s", folder, name, end) == -1) {
		return NULL;
	}
	return path;
}

/* What an earlier process left: NAME-N.zip and what lies beside it, NAME.zip.part. Names of other
 * sources may begin alike. */
static bool is_ours(const char *file, const char *name)
{
	size_t n = strlen(name);
	if (strncmp(file, name, n) != 0) {
		return false;
	}
	const char *rest = file + n;
	if (*rest == '-') {
		rest += 1 + strspn(rest + 1, "0123456789");
	}
	return strncmp(rest, ".zip", 4) == 0;
}

static void drop_leftovers(const struct dif_source *s)
{
	DIR *d = opendir(s->folder);
	for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		if (is_ours(e->d_name, s->config->name)) {
			unlinkat(dirfd(d), e->d_name, 0);
		}
	}
	if (d != NULL) {
		closedir(d);
	}
}

/* The paths, and nothing at them. */
static bool make_paths(struct dif_source *s, struct dif_error *err)
{
	s->folder = dif_path_join(s->setup->config->state, "incoming");
	if (s->folder == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	if (!dif_path_make_dir(s->folder, 0750, err)) {
		return false;
	}
	s->part = path_of(s->folder, s->config->name, ".zip.part");
	s->second = path_of(s->folder, s->config->name, ".zip.again");
	if (s->part == NULL || s->second == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "out of memory");
		return false;
	}
	drop_leftovers(s);
	return true;
}

static bool settle(struct dif_source *s, struct dif_error *err)
{
	const char *require = s->config->require;
	const struct dif_caps *caps = dif_instance_caps(s->instance);
	if (require == NULL) {
		require = s->config->digest != NULL ? "sha256" : "double-fetch";
	}
	s->needs_digest = strcmp(require, "sha256") == 0;
	s->twice = strcmp(require, "double-fetch") == 0;
	s->by_plugin = (caps->flags & DIF_CAP_READ_ONLY) != 0;
	s->one_address = s->by_plugin && caps->list_max == 1 && s->config->prefix == NULL;
	if (s->needs_digest && s->config->digest == NULL) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "require = sha256 needs a digest; add digest = {url}.sha256");
	}
	if (strchr(s->config->name, '/') != NULL) {
		return dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		                      "the name cannot have a slash");
	}
	return true;
}

static void on_gone(struct dif_barrier *b)
{
	struct dif_source *s = (struct dif_source *)((char *)b - offsetof(struct dif_source, open));
	void (*closed)(void *) = s->closed;
	void *data = s->closed_data;
	release_all(s);
	closed(data);
}

struct dif_source *dif_source_open(struct dif_setup *setup, uint32_t index,
                                   void (*arrived)(void *data, struct dif_source *,
                                                   const struct dif_arrival *),
                                   void *data, struct dif_error *err)
{
	assert(index < setup->config->nsources);
	struct dif_source *s = calloc(1, sizeof *s);
	if (s == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not open a source: out of memory");
		return NULL;
	}
	s->setup = setup;
	s->config = &setup->config->sources[index];
	s->instance = setup->sources[index];
	s->arrived = arrived;
	s->data = data;
	dif_error_clear(&s->error);
	dif_buf_init(&s->side, SIDE_MAX);
	dif_sm_init(&s->sm, "source", states, STATES, WAITING);
	if (!settle(s, err) || !make_paths(s, err) ||
	    uv_timer_init(&setup->engine->loop, &s->timer) != 0) {
		dif_error_wrap(err, "could not open source '%s'", s->config->name);
		release_all(s);
		return NULL;
	}
	source_recall(s);
	s->timer.data = s;
	dif_barrier_init(&s->open, on_gone);
	dif_hold(&s->open); /* the timer's */
	uv_timer_start(&s->timer, on_time, 0, 0);
	return s;
}

void dif_source_go(struct dif_source *s)
{
	assert(s->sm.state == HANDED);
	take(s);
	if (!s->closing) {
		wait_for(s, s->more ? 0 : s->config->every);
	}
}

const struct dif_source_config *dif_source_config(const struct dif_source *s)
{
	return s->config;
}

const struct dif_error *dif_source_error(const struct dif_source *s)
{
	return &s->error;
}

int64_t dif_source_polled(const struct dif_source *s)
{
	return s->polled;
}

static void on_timer_closed(uv_handle_t *h)
{
	struct dif_source *s = h->data;
	dif_release(&s->open);
}

void dif_source_close(struct dif_source *s, void (*closed)(void *data), void *data)
{
	assert(!s->closing);
	s->closing = true;
	s->closed = closed;
	s->closed_data = data;
	uv_close((uv_handle_t *)&s->timer, on_timer_closed);
	if (s->op != NULL) {
		dif_op_cancel(s->op);
	}
	if (s->fetch != NULL) {
		dif_fetch_cancel(s->fetch);
	}
	dif_release(&s->open);
}
