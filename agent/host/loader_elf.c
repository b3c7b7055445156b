/* loader_elf - what a plug-in's file may say before it is loaded.
 *
 * What is read is what the dynamic loader will read: the program headers and the dynamic segment,
 * never the section headers, which may be missing or tell another story. It reads by addresses, so
 * the dynamic segment is looked up by its address, and no two segments may lie on one page, where
 * the later one would hide the other. Every relocation's symbol must lie inside the table that was
 * checked, so nothing can be bound behind its back.
 */
#include <elf.h>
#include <inttypes.h>
#include <stdio.h>

#include "host/loader_private.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#error "the loader knows no other machine yet"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define SEGMENTS_MAX 64
#define PAGE 4096u /* the smallest there is */
#define DYNAMIC_MAX 512
#define SYMBOLS_MAX 100000u

struct image {
	const uint8_t *p;
	size_t n;
	Elf64_Phdr loads[SEGMENTS_MAX];
	size_t nloads;
	uint64_t dynamic, dynamic_size; /* in the file */
	/* addresses and sizes that the dynamic segment tells */
	uint64_t symtab, strtab, strsz, hash, gnu_hash, rela, relasz, jmprel, pltrelsz;
	uint64_t nsymbols;
	struct dif_error *err;
};

static bool refuse(struct image *im, const char *why)
{
	dif_error_set(im->err, DIF_PERMANENT, "%s", why);
	return false;
}

/* Copies size bytes of the file; false where they are not all there. */
static bool take(const struct image *im, uint64_t offset, void *to, size_t size)
{
	if (offset > im->n || size > im->n - offset) {
		return false;
	}
	memcpy(to, im->p + offset, size);
	return true;
}

/* The place in the file of size bytes at an address, all of one segment. */
static bool locate(const struct image *im, uint64_t address, uint64_t size, uint64_t *offset)
{
	for (size_t i = 0; i < im->nloads; i++) {
		const Elf64_Phdr *h = &im->loads[i];
		if (address < h->p_vaddr) {
			continue;
		}
		uint64_t into = address - h->p_vaddr;
		if (into <= h->p_filesz && size <= h->p_filesz - into) {
			*offset = h->p_offset + into; /* inside the file: read_segments saw to it */
			return true;
		}
	}
	return false;
}

static bool take_at(const struct image *im, uint64_t address, void *to, size_t size)
{
	uint64_t offset = 0;
	return locate(im, address, size, &offset) && take(im, offset, to, size);
}

static bool check_header(struct image *im, Elf64_Ehdr *eh)
{
	if (!take(im, 0, eh, sizeof *eh) || memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0) {
		return refuse(im, "it is no ELF file");
	}
	if (eh->e_ident[EI_CLASS] != ELFCLASS64 || eh->e_ident[EI_DATA] != ELFDATA2LSB ||
	    eh->e_machine != MACHINE || eh->e_version != EV_CURRENT) {
		return refuse(im, "it was built for another kind of machine");
	}
	if (eh->e_type != ET_DYN) {
		return refuse(im, "it is no shared library");
	}
	if (eh->e_phentsize != sizeof(Elf64_Phdr) || eh->e_phnum == 0 ||
	    eh->e_phnum > SEGMENTS_MAX) {
		return refuse(im, "its program headers are malformed");
	}
	return true;
}

/* The loader maps whole pages, in this order. */
static bool is_apart(const struct image *im, const Elf64_Phdr *h)
{
	const Elf64_Phdr *before = im->nloads > 0 ? &im->loads[im->nloads - 1] : NULL;
	uint64_t end = before != NULL ? before->p_vaddr + before->p_memsz : 0;
	return h->p_vaddr / PAGE >= end / PAGE + (end % PAGE != 0);
}

static bool read_segments(struct image *im, const Elf64_Ehdr *eh)
{
	uint64_t address = 0;
	for (uint16_t i = 0; i < eh->e_phnum; i++) {
		Elf64_Phdr h;
		uint64_t at = eh->e_phoff + (uint64_t)i * sizeof h;
		if (eh->e_phoff > im->n || !take(im, at, &h, sizeof h)) {
			return refuse(im, "its program headers are cut off");
		}
		bool inside = h.p_offset <= im->n && h.p_filesz <= im->n - h.p_offset &&
		              h.p_vaddr <= UINT64_MAX - h.p_memsz && h.p_filesz <= h.p_memsz;
		if (h.p_type == PT_LOAD) {
			if (!inside) {
				return refuse(im, "it is cut off");
			}
			if (!is_apart(im, &h)) {
				return refuse(im, "its segments overlap");
			}
			im->loads[im->nloads++] = h;
		} else if (h.p_type == PT_DYNAMIC) {
			if (!inside || im->dynamic_size != 0) {
				return refuse(im, "its dynamic segment is malformed");
			}
			address = h.p_vaddr;
			im->dynamic_size = h.p_filesz;
		} else if (h.p_type == PT_GNU_STACK && (h.p_flags & PF_X) != 0) {
			return refuse(im, "it asks for an executable stack");
		}
	}
	return (im->dynamic_size != 0 && locate(im, address, im->dynamic_size, &im->dynamic)) ||
	       refuse(im, "it has no dynamic segment");
}

/* --- the dynamic segment --- */

static bool note_entry(struct image *im, const Elf64_Dyn *d)
{
	static const struct {
		int64_t tag;
		size_t offset;
	} kept[] = {
		{DT_SYMTAB, offsetof(struct image, symtab)},
		{DT_STRTAB, offsetof(struct image, strtab)},
		{DT_STRSZ, offsetof(struct image, strsz)},
		{DT_HASH, offsetof(struct image, hash)},
		{DT_GNU_HASH, offsetof(struct image, gnu_hash)},
		{DT_RELA, offsetof(struct image, rela)},
		{DT_RELASZ, offsetof(struct image, relasz)},
		{DT_JMPREL, offsetof(struct image, jmprel)},
		{DT_PLTRELSZ, offsetof(struct image, pltrelsz)},
	};
	static const struct {
		int64_t tag;
		const char *why;
	} refused[] = {
		{DT_RPATH, "it has an RPATH"},
		{DT_RUNPATH, "it has a RUNPATH"},
		{DT_AUDIT, "it asks for an auditor"},
		{DT_DEPAUDIT, "it asks for an auditor"},
		{DT_FILTER, "it is a filter for another library"},
		{DT_AUXILIARY, "it is a filter for another library"},
		{DT_TEXTREL, "it needs its code to be written to (link it with -fPIC)"},
		{DT_REL, "its relocations are of an unknown kind"},
	};
	for (size_t i = 0; i < DIF_LEN(refused); i++) {
		if (d->d_tag == refused[i].tag) {
			return refuse(im, refused[i].why);
		}
	}
	if (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL) != 0) {
		return refuse(im, "it needs its code to be written to (link it with -fPIC)");
	}
	if ((d->d_tag == DT_SYMENT && d->d_un.d_val != sizeof(Elf64_Sym)) ||
	    (d->d_tag == DT_RELAENT && d->d_un.d_val != sizeof(Elf64_Rela)) ||
	    (d->d_tag == DT_PLTREL && d->d_un.d_val != DT_RELA)) {
		return refuse(im, "its tables are of an unknown kind");
	}
	for (size_t i = 0; i < DIF_LEN(kept); i++) {
		if (d->d_tag == kept[i].tag) {
			memcpy((char *)im + kept[i].offset, &d->d_un.d_val, sizeof d->d_un.d_val);
		}
	}
	return true;
}

/* Calls back for each entry up to the end mark. */
static bool each_dynamic(struct image *im, bool (*entry)(struct image *, const Elf64_Dyn *))
{
	for (uint64_t i = 0; i < DYNAMIC_MAX && (i + 1) * sizeof(Elf64_Dyn) <= im->dynamic_size;
	     i++) {
		Elf64_Dyn d;
		if (!take(im, im->dynamic + i * sizeof d, &d, sizeof d)) {
			break;
		}
		if (d.d_tag == DT_NULL) {
			return true;
		}
		if (!entry(im, &d)) {
			return false;
		}
	}
	return refuse(im, "its dynamic segment has no end");
}

/* A name in the string table, NULL: it is not wholly inside. */
static const char *string(const struct image *im, uint64_t at)
{
	uint64_t offset = 0;
	if (at >= im->strsz || !locate(im, im->strtab, im->strsz, &offset)) {
		return NULL;
	}
	const char *s = (const char *)im->p + offset + at;
	return memchr(s, '\0', im->strsz - at) != NULL ? s : NULL;
}

static bool has_prefix(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

static bool check_needed(struct image *im, const Elf64_Dyn *d)
{
	static const char *const allowed[] = {"libc.so.6", "ld-linux-x86-64.so.2",
	                                      "ld-linux-aarch64.so.1", "libgcc_s.so.1"};
	if (d->d_tag != DT_NEEDED) {
		return true;
	}
	const char *name = string(im, d->d_un.d_val);
	if (name == NULL) {
		return refuse(im, "the name of a library that it needs is malformed");
	}
	for (size_t i = 0; i < DIF_LEN(allowed); i++) {
		if (strcmp(name, allowed[i]) == 0) {
			return true;
		}
	}
	if (SANITIZED && (has_prefix(name, "libasan.so.") || has_prefix(name, "libubsan.so."))) {
		return true;
	}
	dif_error_set(im->err, DIF_PERMANENT,
	              "it is linked with '%.64s'; a plug-in links nothing but libc", name);
	return false;
}

/* --- symbols --- */

/* The highest symbol that a GNU hash table names, plus one: those before it are the undefined. */
static bool count_by_gnu_hash(struct image *im)
{
	uint32_t head[4]; /* buckets, first symbol, bloom words, shift */
	if (!take_at(im, im->gnu_hash, head, sizeof head) || head[0] > SYMBOLS_MAX ||
	    head[1] > SYMBOLS_MAX || head[2] > SYMBOLS_MAX) {
		return false;
	}
	uint64_t buckets = im->gnu_hash + sizeof head + (uint64_t)head[2] * 8;
	uint64_t chains = buckets + (uint64_t)head[0] * 4;
	uint32_t last = 0;
	for (uint32_t i = 0; i < head[0]; i++) {
		uint32_t first = 0;
		if (!take_at(im, buckets + (uint64_t)i * 4, &first, sizeof first)) {
			return false;
		}
		last = first > last ? first : last;
	}
	if (last == 0) {
		im->nsymbols = head[1];
		return true;
	}
	for (uint32_t hash = 0; last >= head[1] && last < SYMBOLS_MAX; last++) {
		if (!take_at(im, chains + (uint64_t)(last - head[1]) * 4, &hash, sizeof hash)) {
			return false;
		}
		if ((hash & 1) != 0) { /* the end of the last chain */
			im->nsymbols = (uint64_t)last + 1;
			return true;
		}
	}
	return false;
}

static bool count_symbols(struct image *im)
{
	uint32_t head[2]; /* buckets, chains: one for each symbol */
	if (im->gnu_hash != 0) {
		if (count_by_gnu_hash(im)) {
			return true;
		}
	} else if (im->hash != 0 && take_at(im, im->hash, head, sizeof head) &&
	           head[1] <= SYMBOLS_MAX) {
		im->nsymbols = head[1];
		return true;
	}
	return refuse(im, "its symbol table is malformed");
}

/* What a compiler makes of plain C under the hardening flags, and memory and string functions that
 * neither allocate nor keep a state. docs/PLUGINS.md repeats the list. */
static bool is_allowed(const char *name)
{
	static const char *const allowed[] = {
		"memcpy",
		"memmove",
		"memset",
		"memcmp",
		"memchr",
		"memrchr",
		"memmem",
		"mempcpy",
		"rawmemchr",
		"bcmp",
		"explicit_bzero",
		"strlen",
		"strnlen",
		"strcmp",
		"strncmp",
		"strcasecmp",
		"strncasecmp",
		"strchr",
		"strrchr",
		"strchrnul",
		"strstr",
		"strcasestr",
		"strspn",
		"strcspn",
		"strpbrk",
		"__memcpy_chk",
		"__memmove_chk",
		"__memset_chk",
		"__mempcpy_chk",
		"__explicit_bzero_chk",
		"__stack_chk_fail",
		"__cxa_finalize",
		"__gmon_start__",
		"_ITM_deregisterTMCloneTable",
		"_ITM_registerTMCloneTable",
	};
	for (size_t i = 0; i < DIF_LEN(allowed); i++) {
		if (strcmp(name, allowed[i]) == 0) {
			return true;
		}
	}
	return SANITIZED && (has_prefix(name, "__asan_") || has_prefix(name, "__ubsan_"));
}

static bool is_main(const char *name, const Elf64_Sym *s)
{
	return strcmp(name, "dif_plugin_main") == 0 && ELF64_ST_TYPE(s->st_info) == STT_FUNC &&
	       s->st_shndx != SHN_ABS;
}

static bool check_symbol(struct image *im, const Elf64_Sym *s, uint32_t *mains)
{
	const char *name = string(im, s->st_name);
	uint8_t visibility = ELF64_ST_VISIBILITY(s->st_other);
	if (name == NULL) {
		return refuse(im, "the name of a symbol is malformed");
	}
	if (s->st_shndx == SHN_UNDEF) {
		if (*name == '\0' || is_allowed(name)) {
			return true;
		}
		dif_error_set(im->err, DIF_PERMANENT,
		              "it uses '%.128s', which is not on the list of functions that a "
		              "plug-in may use (docs/PLUGINS.md)",
		              name);
		return false;
	}
	if (ELF64_ST_BIND(s->st_info) == STB_LOCAL || visibility == STV_HIDDEN ||
	    visibility == STV_INTERNAL) {
		return true;
	}
	if (is_main(name, s)) {
		(*mains)++;
		return true;
	}
	dif_error_set(im->err, DIF_PERMANENT,
	              "it exports '%.128s'; the one exported symbol is dif_plugin_main (link it "
	              "with plugin.map)",
	              name);
	return false;
}

static bool check_symbols(struct image *im)
{
	uint32_t mains = 0;
	for (uint64_t i = 0; i < im->nsymbols; i++) {
		Elf64_Sym s;
		if (!take_at(im, im->symtab + i * sizeof s, &s, sizeof s)) {
			return refuse(im, "its symbol table is cut off");
		}
		if (!check_symbol(im, &s, &mains)) {
			return false;
		}
	}
	return mains == 1 || refuse(im, "it does not export dif_plugin_main: it is no plug-in");
}

static bool check_relocations(struct image *im, uint64_t address, uint64_t size)
{
	for (uint64_t i = 0; i < size / sizeof(Elf64_Rela); i++) {
		Elf64_Rela r;
		if (!take_at(im, address + i * sizeof r, &r, sizeof r)) {
			return refuse(im, "its relocations are cut off");
		}
		if (ELF64_R_SYM(r.r_info) >= im->nsymbols && ELF64_R_SYM(r.r_info) != 0) {
			return refuse(im, "a relocation names a symbol that is not there");
		}
	}
	return true;
}

bool dif_elf_check(const void *p, size_t n, struct dif_error *err)
{
	Elf64_Ehdr eh;
	struct image im = {.p = p, .n = n, .err = err};
	return check_header(&im, &eh) && read_segments(&im, &eh) && each_dynamic(&im, note_entry) &&
	       each_dynamic(&im, check_needed) && count_symbols(&im) && check_symbols(&im) &&
	       check_relocations(&im, im.rela, im.relasz) &&
	       check_relocations(&im, im.jmprel, im.pltrelsz);
}
