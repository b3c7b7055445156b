#include "support.h"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/loader.h"
#include "host/loader_private.h"

static struct dif_loader loader;
static struct dif_error err;

static int set_up(void **state)
{
	(void)state;
	dif_loader_init(&loader);
	dif_error_clear(&err);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	dif_loader_fini(&loader);
	return 0;
}

static char *slurp(const char *name, size_t *n)
{
	const char *folder = getenv("BROKEN_D");
	char path[4096];
	assert_non_null(folder);
	snprintf(path, sizeof path, "%s/%s.so", folder, name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	*n = (size_t)ftell(f);
	rewind(f);
	char *p = malloc(*n);
	assert_non_null(p);
	assert_int_equal(fread(p, 1, *n, f), *n);
	fclose(f);
	return p;
}

/* A copy in the scratch folder, with modes of its own: the build folder's are anyone's guess. */
static const char *copy_as(const char *name, const char *to)
{
	size_t n = 0;
	char *p = slurp(name, &n);
	const char *path = test_path(to);
	unlink(path);
	test_write(path, p, n);
	assert_int_equal(chmod(path, 0644), 0);
	free(p);
	return path;
}

static const struct dif_loaded *load(const char *path)
{
	assert_true(dif_loader_add(&loader, path, &err));
	const struct dif_loaded *last = loader.all;
	while (last->next != NULL) {
		last = last->next;
	}
	assert_string_equal(last->file, path);
	return last;
}

static void check_refused(const char *path, const char *because)
{
	const struct dif_loaded *one = load(path);
	assert_false(one->ok);
	assert_null(one->plugin);
	assert_null(strchr(one->reason, '\n'));
	if (strstr(one->reason, because) == NULL) {
		fail_msg("%s: '%s' does not say '%s'", path, one->reason, because);
	}
}

TEST(a_good_plugin_loads)
{
	UNUSED_STATE;
	const struct dif_loaded *one = load(copy_as("good", "good.so")), *from = NULL;
	if (!one->ok) {
		fail_msg("%s", one->reason);
	}
	assert_int_equal(strlen(one->sha256), 64);
	assert_string_equal(one->plugin->version, "good");
	const struct dif_offer *o = dif_loader_find(&loader, DIF_STORE, "broken", &from);
	assert_non_null(o);
	assert_ptr_equal(from, one);
	assert_null(dif_loader_find(&loader, DIF_CDN, "broken", NULL));
	assert_null(dif_loader_find(&loader, DIF_STORE, "other", NULL));
	assert_string_equal(dif_kind_name(o->kind), "store");
	assert_string_equal(dif_kind_name(0), "unknown");
	assert_string_equal(dif_kind_name(99), "unknown");
}

TEST(the_same_content_is_the_same_library)
{
	UNUSED_STATE;
	const struct dif_loaded *a = load(copy_as("good", "a.so"));
	const struct dif_loaded *b = load(copy_as("good", "b.so"));
	assert_ptr_equal(a->plugin, b->plugin);
	/* another content under the same name is another library */
	const char *path = test_path("a.so");
	char *more = NULL;
	size_t n = 0;
	char *p = slurp("good", &n);
	more = malloc(n + 1);
	memcpy(more, p, n);
	more[n] = 'x';
	test_write(path, more, n + 1);
	free(p);
	free(more);
	const struct dif_loaded *c = load(path);
	assert_true(c->ok);
	assert_ptr_not_equal(c->plugin, a->plugin);
	assert_string_not_equal(c->sha256, a->sha256);
}

TEST(each_fault_is_found)
{
	UNUSED_STATE;
	static const struct {
		const char *name, *because;
	} rows[] = {
		{"two_symbols", "exports 'second_symbol'"},
		{"constructor", "exports 'second_symbol'"}, /* and has not run */
		{"undefined", "'getpid'"},
		{"no_main", "does not export dif_plugin_main"},
		{"rpath", "RPATH"},
		{"runpath", "RUNPATH"},
		{"linked", "libz.so"},
		{"stack", "executable stack"},
		{"magic", "magic"},
		{"abi", "ABI 2.0"},
		{"size", "dif_object"},
		{"no_version", "no version"},
		{"refuses", "cannot work with this program"},
		{"name", "no proper name"},
		{"offer_twice", "twice"},
		{"no_open", "lacks open"},
		{"no_head", "lacks head"},
		{"parts", "lacks some of the verbs for parts"},
		{"no_purge", "lacks purge"},
		{"no_set", "lacks get or set"},
		{"no_renew", "lacks one of acquire, renew, release, read"},
		{"small_table", "table of verbs is too small"},
		{"option_outside", "'text' does not lie inside"},
		{"option_twice", "'text' is there twice"},
		{"option_type", "unknown type 99"},
		{"faults", "fault table"},
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		check_refused(copy_as(rows[i].name, "broken.so"), rows[i].because);
	}
}

TEST(files_that_others_could_have_made_are_refused)
{
	UNUSED_STATE;
	const char *path = copy_as("good", "loose.so");
	assert_int_equal(chmod(path, 0666), 0);
	check_refused(path, "loose.so");
	assert_int_equal(chmod(path, 0664), 0);
	check_refused(path, "loose.so");
	assert_int_equal(chmod(path, 0644), 0);
	const char *other = test_path("link.so");
	assert_int_equal(symlink(path, other), 0);
	check_refused(other, "symbolic link");
	const char *hard = test_path("hard.so");
	assert_int_equal(link(path, hard), 0);
	check_refused(hard, "hard link");
	assert_int_equal(unlink(hard), 0);
	assert_true(load(path)->ok);

	const char *pipe = test_path("pipe.so");
	assert_int_equal(mkfifo(pipe, 0644), 0);
	check_refused(pipe, "regular file");
	const char *empty = test_path("empty.so");
	test_write(empty, "", 0);
	check_refused(empty, "size");
	const char *text = test_path("text.so");
	test_write(text, "#!/bin/sh\n", 10);
	check_refused(text, "no ELF");
}

TEST(folders_that_others_may_write_are_refused)
{
	UNUSED_STATE;
	const char *folder = test_path("open");
	assert_int_equal(mkdir(folder, 0700), 0);
	const char *inside = copy_as("good", "open/good.so");
	assert_int_equal(chmod(folder, 0777), 0);
	check_refused(inside, "open");
	assert_false(dif_loader_add(&loader, folder, &err));
	assert_non_null(strstr(err.text, "open"));
	assert_int_equal(chmod(folder, 0755), 0);
	assert_true(load(inside)->ok);
	const char *aside = test_path("aside");
	assert_int_equal(symlink(folder, aside), 0);
	check_refused(test_path("aside/good.so"), "aside");
}

TEST(a_folder_is_loaded_in_name_order_and_one_bad_file_stops_nothing)
{
	UNUSED_STATE;
	assert_int_equal(mkdir(test_path("folder"), 0755), 0);
	copy_as("good", "folder/z.so");
	copy_as("abi", "folder/m.so");
	copy_as("good", "folder/a.so");
	copy_as("good", "folder/.hidden.so");
	test_write(test_path("folder/README"), "x", 1);
	assert_true(dif_loader_add(&loader, test_path("folder"), &err));
	const struct dif_loaded *one = loader.all;
	static const struct {
		const char *name;
		bool ok;
	} rows[] = {{"a.so", true}, {"m.so", false}, {"z.so", true}};
	for (size_t i = 0; i < 3; i++, one = one->next) {
		assert_non_null(one);
		assert_string_equal(strrchr(one->file, '/') + 1, rows[i].name);
		assert_int_equal(one->ok, rows[i].ok);
	}
	assert_null(one);
	assert_false(dif_loader_add(&loader, test_path("nothing"), &err));
	assert_int_equal(err.exit, DIF_EXIT_PLUGIN);
}

TEST(any_cut_of_a_library_is_refused)
{
	UNUSED_STATE;
	size_t n = 0;
	char *p = slurp("good", &n);
	assert_true(dif_elf_check(p, n, &err));
	/* Behind the last segment lie only section headers, which nobody reads. */
	size_t whole = n;
	for (size_t cut = 0; cut < n; cut += cut < 2048 ? 1 : 61) {
		char *exact = malloc(cut > 0 ? cut : 1);
		memcpy(exact, p, cut);
		if (dif_elf_check(exact, cut, &err) && cut < whole) {
			whole = cut;
		}
		free(exact);
	}
	assert_true(whole > 4096);
	free(p);
}

static Elf64_Phdr *segment(char *p, uint32_t type)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)(void *)p;
	Elf64_Phdr *h = (Elf64_Phdr *)(void *)(p + eh->e_phoff);
	for (uint16_t i = 0; i < eh->e_phnum; i++) {
		if (h[i].p_type == type) {
			return &h[i];
		}
	}
	fail_msg("there is no segment of type %u", type);
	return NULL;
}

/* The dynamic loader goes by addresses: what lies at the segment's offset in the file is nothing to
 * it. */
TEST(the_dynamic_segment_is_the_one_that_will_be_used)
{
	UNUSED_STATE;
	size_t n = 0;
	char *good = slurp("good", &n), *p = malloc(2 * n);
	const Elf64_Phdr was = *segment(good, PT_DYNAMIC);
	memcpy(p, good, n);
	memcpy(p + n, good + was.p_offset, was.p_filesz);
	segment(p, PT_DYNAMIC)->p_offset = n;
	Elf64_Dyn *real = (Elf64_Dyn *)(void *)(p + was.p_offset);
	while (real->d_tag != DT_NULL) {
		real++;
	}
	real->d_tag = DT_RUNPATH;
	assert_false(dif_elf_check(p, 2 * n, &err));
	assert_non_null(strstr(err.text, "RUNPATH"));
	free(p);
	free(good);
}

TEST(segments_that_cover_each_other_are_refused)
{
	UNUSED_STATE;
	size_t n = 0;
	char *p = slurp("good", &n);
	Elf64_Phdr *first = segment(p, PT_LOAD), *last = first;
	for (Elf64_Phdr *h = first; h->p_type == PT_LOAD; h++) {
		last = h;
	}
	last->p_vaddr = first->p_vaddr;
	assert_false(dif_elf_check(p, n, &err));
	assert_string_equal(err.text, "its segments overlap");
	free(p);
}

/* xorshift: the same mutations in every run. */
static uint32_t next_number(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

TEST(no_mutation_of_a_library_is_read_beyond_its_end)
{
	UNUSED_STATE;
	size_t n = 0;
	uint32_t state = 2463534242u;
	unsigned refused = 0;
	char *p = slurp("good", &n), *copy = malloc(n);
	for (unsigned i = 0; i < 20000; i++) {
		memcpy(copy, p, n);
		for (unsigned k = 0; k < 1 + i % 3; k++) {
			/* headers and tables are at the front; the rest is code */
			size_t at = next_number(&state) % (i % 2 == 0 ? 1024 : n);
			copy[at] = (char)next_number(&state);
		}
		refused += !dif_elf_check(copy, n, &err);
	}
	assert_true(refused > 1000);
	free(copy);
	free(p);
}

#define ONE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ONE(a_good_plugin_loads),
		ONE(the_same_content_is_the_same_library),
		ONE(each_fault_is_found),
		ONE(files_that_others_could_have_made_are_refused),
		ONE(folders_that_others_may_write_are_refused),
		ONE(a_folder_is_loaded_in_name_order_and_one_bad_file_stops_nothing),
		ONE(any_cut_of_a_library_is_refused),
		ONE(the_dynamic_segment_is_the_one_that_will_be_used),
		ONE(segments_that_cover_each_other_are_refused),
		ONE(no_mutation_of_a_library_is_read_beyond_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
