/* Archives of the writers that people have. Refusing one of theirs loses a cut, so a writer that is
 * missing fails the test: tools/packages test installs them. */
#include "support.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/verdict.h"

extern char **environ;

#define ALL "index.html assets vacio.txt"
#define PY "python3 -c 'import zipfile, os, sys\n"
#define WALK                                        \
	"for top, dirs, names in os.walk(\".\"):\n" \
	"  for n in names:\n"                       \
	"    p = os.path.join(top, n)[2:]\n"

/* Each runs in the tree with $OUT as the archive. */
static const struct {
	const char *command, *says; /* says NULL: accepted */
} writers[] = {
	{"zip -qr $OUT .", NULL},
	{"zip -qr0 $OUT .", NULL},
	{"zip -qr9X $OUT .", NULL},
	{"zip -qrD $OUT .", NULL},
	{"zip -qr - . | cat > $OUT", NULL},
	{"zip -qr0 - . | cat > $OUT", NULL},
	{"zip -qr -fz $OUT .", NULL},
	{"zip -qr -fd $OUT .", NULL},
	{"zip -qr -UN=UTF8 $OUT .", NULL},
	{"LC_ALL=C.UTF-8 zip -qr $OUT .", NULL},
	{"zip -qr $OUT . && echo corte 7 | zip -qz $OUT", NULL},
	{"zip -qr $OUT index.html && zip -qr $OUT .", NULL},
	{"zip -qr $OUT . && zip -qd $OUT vacio.txt && zip -q $OUT vacio.txt", NULL},
	{"bsdtar -cf $OUT --format=zip " ALL, NULL},
	{"bsdtar -cf $OUT --format=zip --options zip:compression=store " ALL, NULL},
	{"bsdtar -cf $OUT --format=zip --options zip:zip64 " ALL, NULL},
	{"bsdtar -cf $OUT --format=zip --options zip:experimental " ALL, NULL},
	{"LC_ALL=C.UTF-8 bsdtar -cf $OUT --format=zip " ALL, NULL},
	{"python3 -m zipfile -c $OUT " ALL, NULL},
	{PY "z = zipfile.ZipFile(os.environ[\"OUT\"], \"w\", zipfile.ZIP_DEFLATED)\n" WALK
            "    z.write(p)\nz.comment = b\"corte\"\nz.close()'",
         NULL},
	{PY "z = zipfile.ZipFile(sys.stdout.buffer, \"w\", zipfile.ZIP_DEFLATED)\n" WALK
            "    z.write(p)\nz.close()' | cat > $OUT",
         NULL},
	{PY "z = zipfile.ZipFile(sys.stdout.buffer, \"w\")\n" WALK
            "    z.write(p)\nz.close()' | cat > $OUT",
         NULL},
	{PY "z = zipfile.ZipFile(os.environ[\"OUT\"], \"w\", zipfile.ZIP_DEFLATED)\n"
            "z.writestr(\"assets/\", \"\")\n" WALK
            "    f = z.open(p, \"w\", force_zip64=True)\n    f.write(open(p, \"rb\").read())\n"
            "    f.close()\nz.close()'",
         NULL},
	{PY "z = zipfile.ZipFile(sys.stdout.buffer, \"w\", zipfile.ZIP_DEFLATED)\n" WALK
            "    f = z.open(p, \"w\", force_zip64=True)\n    f.write(open(p, \"rb\").read())\n"
            "    f.close()\nz.close()' | cat > $OUT",
         NULL},
	{PY "import shutil\nshutil.make_archive(os.environ[\"OUT\"][:-4], \"zip\", \".\")'", NULL},
	{"cmake -E tar cf $OUT --format=zip " ALL, NULL},
	{"7zz a -tzip -bso0 $OUT " ALL, NULL},
	{"7zz a -tzip -bso0 -mx0 $OUT " ALL, NULL},
	{"7zz a -tzip -bso0 -mx9 -mcu=on $OUT " ALL, NULL},
	{"LC_ALL=C.UTF-8 7zz a -tzip -bso0 -mtc=on $OUT " ALL, NULL},
	{"7zz a -tzip -bso0 -mx1 -so x " ALL " | cat > $OUT", NULL},

	/* Refused on purpose, each for a reason that is in docs/notes/package.md. */
	{"bsdtar -cf - --format=zip " ALL " | cat > $OUT", "trailing"},
	{"bsdtar -cf $OUT --format=zip .", "traversal"},
	{"bsdtar -cf $OUT --format=zip --options zip:compression=store .", "traversal"},
	{"zip -qr $OUT . && cat index.html | zip -q $OUT -", "pipe"},
	/* Info-ZIP forgets the ZIP64 end record here: no reader takes it, its own included. */
	{"zip -qr -fz - . | cat > $OUT", "runs over"},
	{"ln -s index.html liga && zip -qry $OUT . ; rm liga", "link"},
	{"zip -qr -P clave $OUT .", "encrypted"},
	{"7zz a -tzip -bso0 -mm=BZip2 $OUT " ALL, "method"},
	{"7zz a -tzip -bso0 -pclave -mem=AES256 $OUT " ALL, "encrypted"},
	{"zip -qr part.zip . && cat index.html part.zip > $OUT; rm part.zip", "nobody"},
};

static const char *tree;

static void put(const char *name, const void *p, size_t n)
{
	char path[400];
	snprintf(path, sizeof path, "%s/%s", tree, name);
	test_write(path, p, n);
}

static void plant(void)
{
	char path[400];
	tree = test_path("tree");
	assert_int_equal(mkdir(tree, 0755), 0);
	snprintf(path, sizeof path, "%s/assets", tree);
	assert_int_equal(mkdir(path, 0755), 0);
	snprintf(path, sizeof path, "%s/assets/entidad", tree);
	assert_int_equal(mkdir(path, 02775), 0);
	size_t n = 5u << 20;
	char *big = malloc(n);
	assert_non_null(big);
	for (size_t i = 0; i < n; i++) {
		big[i] = (char)(' ' + (i * i / 5 + i / 3) % 90);
	}
	put("index.html", PAGE, sizeof(PAGE) - 1);
	put("vacio.txt", "", 0);
	put("assets/avance.json", TEXT, TEXT_N);
	put("assets/se\xc3\xb1"
	    "al @2x.svg",
	    "<svg/>", 6);
	put("assets/entidad/1.csv", big, 70000);
	put("assets/entidad/grande.csv", big, n);
	free(big);
}

static int run(const char *command)
{
	char script[2400];
	snprintf(script, sizeof script, "cd '%s' && { %s\n}", tree, command);
	char *argv[] = {"sh", "-c", script, NULL};
	pid_t pid;
	int status = -1;
	assert_int_equal(posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

/* Each entry against its file in the tree. */
static void on_entry(void *data, const struct dif_entry *e, const uint8_t *p)
{
	unsigned *count = data;
	char path[1400];
	snprintf(path, sizeof path, "%s/%s", tree, e->name);
	int fd = open(path, O_RDONLY);
	if (fd == -1) {
		fail_msg("entry '%s' was never in the tree", e->name);
	}
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, e->size);
	char *want = malloc(e->size + 1);
	assert_non_null(want);
	assert_int_equal(read(fd, want, e->size), e->size);
	assert_memory_equal(p, want, e->size);
	free(want);
	close(fd);
	(*count)++;
}

TEST(archives_of_common_writers_are_read_back_to_the_byte)
{
	UNUSED_STATE;
	plant();
	const char *out = test_path("written.zip");
	assert_int_equal(setenv("OUT", out, 1), 0);
	unsigned wrong = 0;
	for (size_t i = 0; i < sizeof writers / sizeof writers[0]; i++) {
		unlink(out);
		unsigned count = 0;
		struct dif_error err;
		int status = run(writers[i].command);
		bool good = status == 0 && verdict_file(out, NULL, on_entry, &count, &err);
		const char *says = writers[i].says;
		if (status != 0) {
			print_error("%s: the writer failed or is missing\n", writers[i].command);
			wrong++;
		} else if (good != (says == NULL) || (good && count != 6)) {
			print_error("%s: %s\n", writers[i].command, good ? "accepted" : err.text);
			wrong++;
		} else if (!good && strstr(err.text, says) == NULL) {
			print_error("%s: not '%s': %s\n", writers[i].command, says, err.text);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(archives_of_common_writers_are_read_back_to_the_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
