/* dropin - see the header. */
#include "flow/dropin.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/path.h"
#include "flow/setup_private.h"
#include "host/crypto.h"

#define LOOK_MS 30000
#define SOON_MS 1000 /* between two looks at a file that has changed */
#define FILES_MAX 512
#define INI_MAX (1u << 20)

enum use {
	FRESH, /* not judged yet, or judged before something changed */
	IN_USE,
	REFUSED, /* told; again when it or a library has changed */
	GONE,    /* was in use, its file is away */
	OTHER    /* was in use, and its file says something else now: told */
};

struct file {
	char *name;
	bool is_ini, is_there, settled;
	off_t size;
	ino_t inode;
	struct timespec modified, changed;
	enum use use;
	uint32_t crc;  /* of the content that is in use */
	uint32_t told; /* of the last refusal: one line for one reason */
};

struct dif_dropin {
	struct dif_setup *s;
	struct dif_dropin_events events;
	void *data;
	uv_fs_event_t watch;
	uv_timer_t timer;
	uint32_t handles;
	struct file files[FILES_MAX]; /* in the order in which they were seen */
	uint32_t nfiles;
	bool is_full; /* told */
};

/* --- what a file is --- */

static bool ends_with(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end);
	return n > m && strcmp(s + n - m, end) == 0;
}

static struct file *find(struct dif_dropin *d, const char *name)
{
	for (uint32_t i = 0; i < d->nfiles; i++) {
		if (strcmp(d->files[i].name, name) == 0) {
			return &d->files[i];
		}
	}
	return NULL;
}

static struct file *add(struct dif_dropin *d, const char *name)
{
	if (d->nfiles == FILES_MAX) {
		if (!d->is_full) {
			dif_log(DIF_LOG_WARNING, "dropin", "folder=%s reason=%s",
			        dif_q(d->s->config->plugins),
			        dif_q("over 512 files were seen; the rest waits for a restart"));
			d->is_full = true;
		}
		return NULL;
	}
	struct file *f = &d->files[d->nfiles];
	*f = (struct file){.name = strdup(name), .is_ini = ends_with(name, ".ini")};
	if (f->name == NULL) {
		return NULL; /* the next look tries again */
	}
	d->nfiles++;
	return f;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* True: the file is as it was at the last look. */
static bool is_same(struct file *f, const struct stat *st)
{
	bool same = f->is_there && f->size == st->st_size && f->inode == st->st_ino &&
	            same_time(f->modified, st->st_mtim) && same_time(f->changed, st->st_ctim);
	f->is_there = true;
	f->size = st->st_size;
	f->inode = st->st_ino;
	f->modified = st->st_mtim;
	f->changed = st->st_ctim;
	return same;
}

/* False: it cannot be read now. */
static bool crc_of(const struct dif_dropin *d, const struct file *f, uint32_t *crc)
{
	char *path = dif_path_join(d->s->config->plugins, f->name);
	char *text = NULL;
	size_t n = 0;
	int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) : -1;
	free(path);
	if (fd == -1) {
		return false;
	}
	bool ok = dif_path_read_all(fd, INI_MAX, &text, &n, NULL);
	close(fd);
	*crc = ok ? dif_crc32c(0, text, n) : 0;
	if (ok) {
		explicit_bzero(text, n); /* it may hold a secret */
	}
	free(text);
	return ok;
}

/* --- its destinations --- */

/* Does this file say [destination NAME]? */
static bool is_from(const struct dif_dropin *d, const struct dif_ini_entry *list,
                    const char *section, const struct file *f)
{
	size_t n = strlen(d->s->config->plugins);
	for (const struct dif_ini_entry *e = list; e != NULL; e = e->next) {
		if (strcmp(e->section, section) == 0) {
			const char *slash = strrchr(e->file, '/');
			return slash != NULL && strncmp(e->file, d->s->config->plugins, n) == 0 &&
			       strcmp(slash + 1, f->name) == 0;
		}
	}
	return false;
}

static bool brings(const struct dif_dropin *d, const struct file *f, uint32_t i)
{
	const char *section = d->s->config->destinations[i].section;
	if (is_from(d, d->s->config->entries, section, f)) {
		return true;
	}
	for (const struct dif_setup_more *m = d->s->more; m != NULL; m = m->next) {
		if (is_from(d, m->config->entries, section, f)) {
			return true;
		}
	}
	return false;
}

static void set_gone(struct dif_dropin *d, const struct file *f, bool gone)
{
	for (uint32_t i = 0; i < d->s->config->ndestinations; i++) {
		struct dif_destination *to = &d->s->destinations[i];
		if (to->leaving == gone || !brings(d, f, i)) {
			continue;
		}
		to->leaving = gone;
		dif_log(DIF_LOG_INFO, "dropin", "destination=%s file=%s state=%s",
		        dif_q(to->config->name), dif_q(f->name), gone ? "gone" : "back");
		(gone ? d->events.gone : d->events.back)(d->data, i);
	}
}

/* --- judging --- */

static void refuse(struct file *f, enum use use, const char *why)
{
	uint32_t crc = dif_crc32c(0, why, strlen(why));
	f->use = use;
	if (f->told != crc) {
		f->told = crc;
		dif_log(DIF_LOG_WARNING, "dropin", "file=%s state=refused reason=%s",
		        dif_q(f->name), dif_q(why));
	}
}

static void load_library(struct dif_dropin *d, struct file *f)
{
	struct dif_error err = {0};
	const struct dif_loaded *last = NULL;
	char *path = dif_path_join(d->s->config->plugins, f->name);
	if (path == NULL || !dif_loader_add(&d->s->loader, path, &err)) {
		refuse(f, REFUSED, path != NULL ? err.text : "out of memory");
	}
	for (const struct dif_loaded *l = d->s->loader.all; l != NULL; l = l->next) {
		last = path != NULL && strcmp(l->file, path) == 0 ? l : last;
	}
	if (last != NULL && !last->ok) {
		refuse(f, REFUSED, last->reason);
	}
	free(path);
}

static void take_in(struct dif_dropin *d, struct file *f)
{
	const char *names[FILES_MAX];
	uint32_t n = 0, before = d->s->config->ndestinations, crc = 0;
	struct dif_error err = {0};
	for (uint32_t i = 0; i < d->nfiles; i++) {
		const struct file *o = &d->files[i];
		if (o != f && o->is_ini && o->is_there && o->use == IN_USE) {
			names[n++] = o->name;
		}
	}
	names[n++] = f->name;
	if (!crc_of(d, f, &crc)) {
		refuse(f, REFUSED, "it cannot be read");
		return;
	}
	if (!dif_setup_add(d->s, names, n, &err)) {
		refuse(f, REFUSED, err.text);
		return;
	}
	f->use = IN_USE;
	f->crc = crc;
	uint32_t added = d->s->config->ndestinations - before;
	for (uint32_t i = 0; i < added; i++) {
		dif_log(DIF_LOG_INFO, "dropin", "destination=%s file=%s state=added",
		        dif_q(d->s->config->destinations[before + i].name), dif_q(f->name));
	}
	if (added > 0) {
		d->events.added(d->data, before, added);
	}
}

/* A file of what is or was in use. */
static void compare(struct dif_dropin *d, struct file *f)
{
	uint32_t crc = 0;
	if (crc_of(d, f, &crc) && crc == f->crc) {
		f->use = IN_USE;
		set_gone(d, f, false);
	} else if (f->use != OTHER) {
		refuse(f, OTHER, "it differs from what the running agent read: restart it");
	}
}

static void judge(struct dif_dropin *d, struct file *f)
{
	switch (f->use) {
	case FRESH:
	case REFUSED:
		take_in(d, f);
		break;
	case IN_USE:
	case GONE:
	case OTHER:
		compare(d, f);
		break;
	}
}

/* --- looking --- */

/* Notes what the folder holds. due: files that have settled since. True: one has yet to settle. */
static bool look(struct dif_dropin *d, bool *library_settled, bool due[FILES_MAX])
{
	bool seen[FILES_MAX] = {false};
	bool moving = false;
	DIR *dir = opendir(d->s->config->plugins);
	for (const struct dirent *e = NULL; dir != NULL && (e = readdir(dir)) != NULL;) {
		struct stat st;
		if (e->d_name[0] == '.' ||
		    !(ends_with(e->d_name, ".ini") || ends_with(e->d_name, ".so")) ||
		    fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
			continue;
		}
		struct file *f = find(d, e->d_name);
		f = f != NULL ? f : add(d, e->d_name);
		if (f == NULL) {
			continue;
		}
		seen[f - d->files] = true;
		bool same = is_same(f, &st);
		due[f - d->files] = same && !f->settled;
		*library_settled = *library_settled || (same && !f->settled && !f->is_ini);
		f->settled = same;
		moving = moving || !same;
	}
	if (dir == NULL) {
		return false; /* an unmounted folder takes nothing away */
	}
	closedir(dir);
	for (uint32_t i = 0; i < d->nfiles; i++) {
		struct file *f = &d->files[i];
		if (seen[i] || !f->is_there) {
			continue;
		}
		f->is_there = f->settled = false;
		if (f->is_ini && (f->use == IN_USE || f->use == OTHER)) {
			f->use = GONE;
			set_gone(d, f, true);
		}
	}
	return moving;
}

static void on_timer(uv_timer_t *timer)
{
	struct dif_dropin *d = timer->data;
	bool due[FILES_MAX] = {false};
	bool library_settled = false;
	bool moving = look(d, &library_settled, due);
	for (uint32_t i = 0; i < d->nfiles; i++) { /* before what needs them */
		if (due[i] && !d->files[i].is_ini) {
			load_library(d, &d->files[i]);
		}
	}
	for (uint32_t i = 0; i < d->nfiles; i++) {
		struct file *f = &d->files[i];
		if (f->is_ini && f->settled && (due[i] || (library_settled && f->use == REFUSED))) {
			if (moving && f->use == FRESH) {
				f->settled = false; /* its library may be on the way */
			} else {
				judge(d, f);
			}
		}
	}
	uv_timer_start(&d->timer, on_timer, moving ? SOON_MS : LOOK_MS, 0);
}

static void on_change(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct dif_dropin *d = watch->data;
	(void)name;
	(void)events;
	(void)status;
	if (uv_timer_get_due_in(&d->timer) > SOON_MS) { /* else a busy writer would put it off */
		uv_timer_start(&d->timer, on_timer, SOON_MS, 0);
	}
}

/* --- begin and end --- */

/* What the configuration has read is in use; what came since is looked at soon. */
static void note_first(struct dif_dropin *d)
{
	bool due[FILES_MAX], library_settled = false;
	(void)look(d, &library_settled, due);
	for (uint32_t i = 0; i < d->nfiles; i++) {
		struct file *f = &d->files[i];
		f->settled = true;
		for (const struct dif_ini_entry *e = d->s->config->entries; e != NULL;
		     e = e->next) {
			if (f->is_ini && f->use == FRESH &&
			    is_from(d, d->s->config->entries, e->section, f)) {
				f->use = IN_USE;
				f->settled = crc_of(d, f, &f->crc);
			}
		}
		f->settled = f->settled && (f->use == IN_USE || !f->is_ini);
	}
}

struct dif_dropin *dif_dropin_open(struct dif_setup *s, const struct dif_dropin_events *events,
                                   void *data)
{
	struct dif_dropin *d = calloc(1, sizeof *d);
	if (d == NULL) {
		return NULL;
	}
	d->s = s;
	d->events = *events;
	d->data = data;
	d->handles = 2;
	int rc = uv_timer_init(&s->engine->loop, &d->timer);
	assert(rc == 0); /* these only fill in the structs */
	rc = uv_fs_event_init(&s->engine->loop, &d->watch);
	assert(rc == 0);
	d->timer.data = d->watch.data = d;
	rc = uv_fs_event_start(&d->watch, on_change, s->config->plugins, 0);
	if (rc != 0) {
		dif_log(DIF_LOG_INFO, "dropin", "folder=%s reason=%s", dif_q(s->config->plugins),
		        dif_q("it cannot be watched; it is looked through every 30 s"));
	}
	note_first(d);
	uv_timer_start(&d->timer, on_timer, SOON_MS, 0);
	return d;
}

static void on_closed(uv_handle_t *h)
{
	struct dif_dropin *d = h->data;
	if (--d->handles > 0) {
		return;
	}
	for (uint32_t i = 0; i < d->nfiles; i++) {
		free(d->files[i].name);
	}
	free(d);
}

void dif_dropin_close(struct dif_dropin *d)
{
	uv_close((uv_handle_t *)&d->watch, on_closed);
	uv_close((uv_handle_t *)&d->timer, on_closed);
}
