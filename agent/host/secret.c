/* secret - each value lies in pages of its own: locked, left out of dumps, zeroed before they go.
 *
 * Redacting goes through a text once. Where a value begins, be it as it is, as quoted in a log line
 * or JSON (\" and \\), or as encoded in a URL (%2F), the bytes it covers are hidden; what covers
 * overlaps becomes one ***. A value that the end of the text or of a quote cuts off is hidden too
 * from its eighth byte on, because sentences and what they quote are cut at their bound. A table of
 * first bytes skips most of the text.
 */
#include "host/secret.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/path.h"

#define SHORTEST 8 /* shorter values would hide ordinary words, and *** must fit in their place */
#define FILE_MAX (64u << 10)

struct secret {
	struct secret *next;
	size_t mapped, n;
	uint32_t refs;
	char value[];
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct secret *all;
static uint32_t begins[256]; /* how many values can begin with this byte */
static _Atomic uint32_t count;
static bool unlocked; /* a page could not be locked; said once */

/* The bytes that a value's first one may show as. */
static void count_first(const struct secret *s, uint32_t by)
{
	unsigned char c = (unsigned char)s->value[0];
	begins[c] += by;
	begins['%'] += c == '%' ? 0 : by;
	begins['\\'] += c == '"' ? by : 0;
}

static struct secret **find(const char *value, size_t n)
{
	struct secret **at = &all;
	while (*at != NULL && ((*at)->n != n || memcmp((*at)->value, value, n) != 0)) {
		at = &(*at)->next;
	}
	return at;
}

static void discard(struct secret *s)
{
	explicit_bzero(s->value, s->n);
	munmap(s, s->mapped); /* unlocks, too */
}

static void filter(char *line, size_t max)
{
	(void)max;
	dif_secret_redact(line);
}

/* NULL: out of memory. */
static struct secret *keep(const char *value, size_t n, bool *locked)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t mapped = (sizeof(struct secret) + n + 1 + page - 1) / page * page;
	struct secret *s =
		mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED) {
		return NULL;
	}
	*locked = mlock(s, mapped) == 0;
	madvise(s, mapped, MADV_DONTDUMP);
	s->mapped = mapped;
	s->n = n;
	s->refs = 1;
	memcpy(s->value, value, n);
	return s;
}

static void add(const char *value, size_t n)
{
	if (n < SHORTEST) {
		return;
	}
	bool locked = true;
	pthread_rwlock_wrlock(&lock);
	struct secret *s = *find(value, n);
	if (s != NULL) {
		s->refs++;
		pthread_rwlock_unlock(&lock);
		return;
	}
	s = keep(value, n, &locked);
	if (s == NULL) {
		abort(); /* going on would let this value be seen */
	}
	s->next = all;
	all = s;
	count_first(s, 1);
	atomic_fetch_add(&count, 1);
	bool tell = !locked && !unlocked;
	unlocked = unlocked || !locked;
	pthread_rwlock_unlock(&lock);
	dif_log_filter(filter);
	if (tell) {
		dif_log(DIF_LOG_WARNING, "secret",
		        "reason=\"could not lock secrets in memory, they may reach swap: raise "
		        "LimitMEMLOCK\"");
	}
}

static void drop(const char *value, size_t n)
{
	pthread_rwlock_wrlock(&lock);
	struct secret **at = find(value, n);
	struct secret *s = *at;
	if (s != NULL && --s->refs == 0) {
		*at = s->next;
		count_first(s, (uint32_t)-1);
		atomic_fetch_sub(&count, 1);
		discard(s);
	}
	pthread_rwlock_unlock(&lock);
}

/* What quotes a key of several lines (PEM) has ends of lines of its own: each is a value. */
static void each(const char *value, void (*act)(const char *value, size_t n))
{
	if (value == NULL) {
		return;
	}
	act(value, strlen(value));
	for (const char *at = value; strpbrk(value, "\r\n") != NULL && *at != '\0';) {
		size_t n = strcspn(at, "\r\n");
		act(at, n);
		at += n + strspn(at + n, "\r\n");
	}
}

void dif_secret_add(const char *value)
{
	each(value, add);
}

void dif_secret_drop(const char *value)
{
	each(value, drop);
}

void dif_secret_fini(void)
{
	pthread_rwlock_wrlock(&lock);
	while (all != NULL) {
		struct secret *s = all;
		all = s->next;
		discard(s);
	}
	memset(begins, 0, sizeof begins);
	atomic_store(&count, 0);
	pthread_rwlock_unlock(&lock);
}

/* How many bytes at the begin of text show this character of a secret; 0: they do not. */
static size_t shown(const char *text, char c, bool encoded)
{
	if (encoded && text[0] == '\\' && (c == '"' || c == '\\')) {
		return text[1] == c ? 2 : 0;
	}
	unsigned char byte = 0;
	if (encoded && text[0] == '%' && text[1] != '\0' && text[2] != '\0' &&
	    dif_parse_hex((char[]){text[1], text[2], '\0'}, &byte, 1) && byte == (unsigned char)c) {
		return 3;
	}
	return text[0] == c ? 1 : 0;
}

/* Where a bounded text may end: itself, or what it quotes ("..." is how dif_q marks its cut). */
static bool is_end(const char *text)
{
	return *text == '\0' || *text == '\'' || *text == '"' || strncmp(text, "...\"", 4) == 0;
}

/* Length of the text that shows the secret, or at least its first 8 bytes up to such an end. */
static size_t covers(const char *text, const struct secret *s, bool encoded)
{
	size_t at = 0;
	for (size_t i = 0; i < s->n; i++) {
		size_t n = text[at] != '\0' ? shown(text + at, s->value[i], encoded) : 0;
		if (n == 0) {
			return i >= SHORTEST && is_end(text + at) ? at : 0;
		}
		at += n;
	}
	return at;
}

static size_t hidden_from(const char *text)
{
	size_t most = 0;
	if (begins[(unsigned char)*text] == 0) {
		return 0;
	}
	for (const struct secret *s = all; s != NULL; s = s->next) {
		for (int encoded = 0; encoded < 2; encoded++) {
			size_t n = covers(text, s, encoded != 0);
			most = n > most ? n : most;
		}
	}
	return most;
}

void dif_secret_redact(char *text)
{
	if (text == NULL || atomic_load(&count) == 0) {
		return;
	}
	pthread_rwlock_rdlock(&lock);
	char *to = text;
	for (const char *at = text; *at != '\0';) {
		const char *end = at + hidden_from(at);
		if (end == at) {
			*to++ = *at++;
			continue;
		}
		while (at < end) { /* what begins inside and ends behind is hidden with it */
			const char *other = at + hidden_from(at);
			end = other > end ? other : end;
			at++;
		}
		memcpy(to, "***", 3); /* over at least 8 bytes that were looked at */
		to += 3;
	}
	*to = '\0';
	pthread_rwlock_unlock(&lock);
}

/* --- references --- */

static char *from_env(const char *name, struct dif_error *err)
{
	const char *value = getenv(name); /* design: the host resolves env: references */
	if (value == NULL || *value == '\0') {
		dif_error_exit(err, DIF_EXIT_CONFIG, DIF_PERMANENT,
		               "could not read secret 'env:%s': the variable is not set", name);
		return NULL;
	}
	char *copy = strdup(value);
	if (copy == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not read secret 'env:%s': out of memory",
		              name);
	}
	return copy;
}

static char *from_file(const char *scheme, const char *name, const char *path,
                       struct dif_error *err)
{
	char *text = NULL;
	size_t n = 0;
	int fd = dif_path_open_trusted(path, true, err);
	if (fd == -1) {
		goto fail;
	}
	bool ok = dif_path_read_all(fd, FILE_MAX, &text, &n, err);
	close(fd);
	if (!ok) {
		goto fail;
	}
	if (n > 0 && text[n - 1] == '\n') {
		text[--n] = '\0';
	}
	if (n > 0 && text[n - 1] == '\r') {
		text[--n] = '\0';
	}
	if (n == 0 || memchr(text, '\0', n) != NULL) {
		dif_error_set(err, DIF_PERMANENT, "%s",
		              n == 0 ? "it is empty" : "it holds a NUL byte");
		goto fail_text;
	}
	return text;

fail_text:
	explicit_bzero(text, n);
	free(text);
fail:
	dif_error_wrap(err, "could not read secret '%s:%s'", scheme, name);
	if (err != NULL) {
		err->exit = DIF_EXIT_CONFIG;
	}
	return NULL;
}

static char *from_credential(const char *name, struct dif_error *err)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY"); /* set by systemd */
	if (folder == NULL || *folder == '\0') {
		dif_error_exit(
			err, DIF_EXIT_CONFIG, DIF_PERMANENT,
			"could not read secret 'credential:%s': $CREDENTIALS_DIRECTORY is not "
			"set (LoadCredential= in the unit sets it)",
			name);
		return NULL;
	}
	if (*name == '\0' || *name == '.' || strchr(name, '/') != NULL) {
		dif_error_exit(
			err, DIF_EXIT_CONFIG, DIF_PERMANENT,
			"could not read secret 'credential:%s': this is no credential's name",
			name);
		return NULL;
	}
	char *path = dif_path_join(folder, name);
	if (path == NULL) {
		dif_error_set(err, DIF_TRANSIENT,
		              "could not read secret 'credential:%s': out of memory", name);
		return NULL;
	}
	char *value = from_file("credential", name, path, err);
	free(path);
	return value;
}

char *dif_secret_resolve(const char *reference, bool inline_ok, struct dif_error *err)
{
	char *value = NULL;
	if (strncmp(reference, "env:", 4) == 0) {
		value = from_env(reference + 4, err);
	} else if (strncmp(reference, "file:", 5) == 0) {
		value = from_file("file", reference + 5, reference + 5, err);
	} else if (strncmp(reference, "credential:", 11) == 0) {
		value = from_credential(reference + 11, err);
	} else if (!inline_ok) {
		dif_error_exit(
			err, DIF_EXIT_CONFIG, DIF_PERMANENT,
			"a secret may stand only in a file of mode 0640 or tighter: chmod it, or "
			"refer to the secret by env:NAME, file:PATH or credential:NAME");
	} else {
		value = strdup(reference);
		if (value == NULL) {
			dif_error_set(err, DIF_TRANSIENT, "could not read a secret: out of memory");
		}
	}
	if (value != NULL) {
		dif_secret_add(value);
	}
	return value;
}
