/* loader - from a path to a table of verbs.
 *
 *   1. open by the rule of base/path.h      4. check the ELF
 *   2. copy into a memfd, seal it           5. dlopen(/proc/self/fd/N, NOW | LOCAL)
 *   3. hash what is sealed                  6. dif_plugin_main, check the descriptor
 *
 * From 2 on nobody can change what is looked at, so what is checked is what is loaded. Up to 5 no
 * byte of the file has run.
 */
#include "host/loader.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/path.h"
#include "host/crypto.h"
#include "host/loader_private.h"

#define LIBRARY_MAX (64 << 20) /* ours are below 1 MiB, with debug information and sanitizers */
#define FOLDER_MAX 256u        /* libraries in one folder */

#ifndef MFD_EXEC
#define MFD_EXEC 0u /* kernels before 6.3: always so */
#endif

/* What this process has loaded, for its whole life: libraries are never closed, nor are their
 * memfds, because glibc takes an equal name /proc/self/fd/N for the same library. */
struct library {
	char sha256[65];
	const struct dif_plugin *plugin;
	struct library *next;
};
static struct library *libraries;

void dif_loader_init(struct dif_loader *l)
{
	l->all = NULL;
}

void dif_loader_fini(struct dif_loader *l)
{
	while (l->all != NULL) {
		struct dif_loaded *one = l->all;
		l->all = one->next;
		free(one->file);
		free(one);
	}
}

const char *dif_kind_name(uint32_t kind)
{
	static const char *const names[] = {[DIF_STORE] = "store",
	                                    [DIF_CDN] = "cdn",
	                                    [DIF_STEER] = "steer",
	                                    [DIF_LEASE] = "lease"};
	return kind >= DIF_STORE && kind < DIF_LEN(names) ? names[kind] : "unknown";
}

/* --- steps 1 and 2 --- */

static int open_library(const char *path, struct dif_error *err)
{
	struct stat st;
	int fd = dif_path_open_trusted(path, false, err);
	if (fd == -1) {
		return -1;
	}
	if (fstat(fd, &st) != 0) {
		dif_error_set(err, DIF_PERMANENT, "could not look at it: %s", strerror(errno));
	} else if (st.st_nlink != 1) {
		/* The other name may lie where others may write. */
		dif_error_set(err, DIF_PERMANENT, "it has another name too (a hard link)");
	} else if (st.st_size <= 0 || st.st_size > LIBRARY_MAX) {
		dif_error_set(err, DIF_PERMANENT, "its size of %lld bytes is out of bounds",
		              (long long)st.st_size);
	} else {
		return fd;
	}
	close(fd);
	return -1;
}

/* Copies at most LIBRARY_MAX bytes, whatever fstat said: the file may grow meanwhile. */
static bool copy(int from, int to, size_t *size)
{
	char part[65536];
	*size = 0;
	for (;;) {
		ssize_t n = read(from, part, sizeof part);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n == 0;
		}
		*size += (size_t)n;
		if (*size > LIBRARY_MAX) {
			errno = EFBIG;
			return false;
		}
		for (ssize_t done = 0; done < n;) {
			ssize_t m = write(to, part + done, (size_t)(n - done));
			if (m < 0 && errno != EINTR) {
				return false;
			}
			done += m > 0 ? m : 0;
		}
	}
}

static int seal(int file, size_t *size, struct dif_error *err)
{
	int seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int fd = memfd_create("plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	if (fd == -1 && errno == EINVAL) { /* an older kernel than the headers */
		fd = memfd_create("plugin", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	}
	if (fd == -1 || !copy(file, fd, size) || fcntl(fd, F_ADD_SEALS, seals) != 0) {
		dif_error_set(err, DIF_TRANSIENT, "could not copy it into sealed memory: %s",
		              strerror(errno));
		if (fd != -1) {
			close(fd);
		}
		return -1;
	}
	return fd;
}

/* --- steps 3 to 6 --- */

static struct library *find_library(const char *sha256)
{
	struct library *lib = libraries;
	while (lib != NULL && strcmp(lib->sha256, sha256) != 0) {
		lib = lib->next;
	}
	return lib;
}

/* Loads and keeps; the descriptor may still be refused by its check, then the library stays loaded
 * and unused, because to unload it would run more of its code. */
static const struct dif_plugin *load(int fd, struct dif_error *err)
{
	char path[64];
	(void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		dif_error_set(err, DIF_PERMANENT, "the dynamic loader refused it: %s", dlerror());
		return NULL;
	}
	const struct dif_plugin *(*start)(const struct dif_host *) = NULL;
	void *symbol = dlsym(handle, "dif_plugin_main");
	memcpy(&start, &symbol, sizeof start);
	if (start == NULL) {
		dif_error_set(err, DIF_PERMANENT, "dif_plugin_main was not found in it");
		return NULL;
	}
	const struct dif_plugin *p = start(&dif_host_services);
	return dif_descriptor_check(p, err) ? p : NULL;
}

/* True: the content may be loaded; its digest is in sha256 in any case. */
static bool check_content(int fd, size_t size, char sha256[65], struct dif_error *err)
{
	uint8_t digest[DIF_DIGEST_MAX];
	void *p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED) {
		dif_error_set(err, DIF_TRANSIENT, "could not map it: %s", strerror(errno));
		return false;
	}
	bool ok = dif_hash(DIF_SHA256, p, size, digest);
	if (ok) {
		dif_hex(sha256, digest, 32);
		ok = dif_elf_check(p, size, err);
	} else {
		dif_error_set(err, DIF_TRANSIENT, "could not digest it: out of memory");
	}
	munmap(p, size);
	return ok;
}

static void examine(struct dif_loaded *one, struct dif_error *err)
{
	size_t size = 0;
	struct library *lib = NULL;
	int file = open_library(one->file, err);
	if (file == -1) {
		return;
	}
	int fd = seal(file, &size, err);
	close(file);
	if (fd == -1) {
		return;
	}
	if (!check_content(fd, size, one->sha256, err)) {
		goto drop;
	}
	lib = find_library(one->sha256);
	if (lib != NULL) {
		close(fd);
		one->plugin = lib->plugin;
		return;
	}
	lib = calloc(1, sizeof *lib);
	if (lib == NULL) {
		dif_error_set(err, DIF_TRANSIENT, "could not load it: out of memory");
		goto drop;
	}
	one->plugin = load(fd, err);
	if (one->plugin == NULL) {
		free(lib);
		return; /* fd stays open: the library may be loaded under its name */
	}
	memcpy(lib->sha256, one->sha256, sizeof lib->sha256);
	lib->plugin = one->plugin;
	lib->next = libraries;
	libraries = lib;
	return;

drop:
	close(fd);
}

/* A sentence may hold anything the file said: one line is all it may be. */
static void one_line(char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s < ' ' || *s == 0x7f) {
			*s = ' ';
		}
	}
}

static bool add_file(struct dif_loaded ***end, const char *path, struct dif_error *err)
{
	struct dif_error why = {0};
	struct dif_loaded *one = calloc(1, sizeof *one);
	char *file = strdup(path);
	if (one == NULL || file == NULL) {
		free(one);
		free(file);
		dif_error_set(err, DIF_TRANSIENT, "could not load plug-in '%s': out of memory",
		              path);
		return false;
	}
	one->file = file;
	dif_error_clear(&why);
	examine(one, &why);
	one->ok = one->plugin != NULL;
	if (!one->ok) {
		(void)snprintf(one->reason, sizeof one->reason, "%.500s", why.text);
		one_line(one->reason);
	}
	**end = one;
	*end = &one->next;
	return true;
}

/* --- folders --- */

static int is_library(const struct dirent *d)
{
	size_t n = strlen(d->d_name);
	return d->d_name[0] != '.' && n > 3 && strcmp(d->d_name + n - 3, ".so") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool add_folder(struct dif_loaded ***end, const char *path, struct dif_error *err)
{
	struct dirent **names = NULL;
	bool ok = true;
	int dir = dif_path_open_trusted_dir(path, err);
	if (dir == -1) {
		return false;
	}
	int n = scandirat(dir, ".", &names, is_library, by_bytes);
	close(dir);
	if (n < 0 || n > (int)FOLDER_MAX) {
		dif_error_set(err, DIF_PERMANENT, "could not read folder '%s': %s", path,
		              n < 0 ? strerror(errno) : "it holds too many libraries");
		ok = false;
	}
	for (int i = 0; i < n; i++) {
		char *full = ok ? dif_path_join(path, names[i]->d_name) : NULL;
		if (ok && full == NULL) {
			dif_error_set(err, DIF_TRANSIENT,
			              "could not read folder '%s': out of memory", path);
			ok = false;
		}
		ok = ok && add_file(end, full, err);
		free(full);
		free(names[i]);
	}
	free(names);
	return ok;
}

bool dif_loader_add(struct dif_loader *l, const char *path, struct dif_error *err)
{
	struct stat st;
	struct dif_loaded **end = &l->all;
	while (*end != NULL) {
		end = &(*end)->next;
	}
	/* Only to tell a folder from a file; trust is decided on what is opened. */
	if (lstat(path, &st) != 0) {
		return dif_error_exit(err, DIF_EXIT_PLUGIN, DIF_PERMANENT,
		                      "could not read plug-ins '%s': %s", path, strerror(errno));
	}
	if (S_ISDIR(st.st_mode)) {
		return add_folder(&end, path, err);
	}
	return add_file(&end, path, err);
}

const struct dif_offer *dif_loader_find(const struct dif_loader *l, enum dif_kind kind,
                                        const char *name, const struct dif_loaded **from)
{
	for (const struct dif_loaded *one = l->all; one != NULL; one = one->next) {
		for (uint32_t i = 0; one->ok && i < one->plugin->noffers; i++) {
			const struct dif_offer *o = &one->plugin->offers[i];
			if (o->kind == (uint32_t)kind && strcmp(o->name, name) == 0) {
				if (from != NULL) {
					*from = one;
				}
				return o;
			}
		}
	}
	return NULL;
}
