#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zip.h>

#include "base/parse.h"
#include "host/crypto.h"
#include "rehearsal/simulate.h"

static struct dif_error err;

static struct dif_simulated make(const char *path, uint32_t cut, uint64_t seed, uint32_t scale)
{
	struct dif_simulate s = {.cut = cut, .seed = seed, .scale = scale};
	struct dif_simulated out = {0};
	if (!dif_simulate(&s, path, NULL, NULL, &out, &err)) {
		fail_msg("%s", err.text);
	}
	return out;
}

static char *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	size_t max = 32 << 20;
	char *p = malloc(max);
	assert_non_null(p);
	*n = fread(p, 1, max - 1, f);
	assert_true(*n < max - 1);
	p[*n] = '\0';
	fclose(f);
	return p;
}

static bool same(const char *a, const char *b)
{
	size_t na, nb;
	char *pa = slurp(a, &na), *pb = slurp(b, &nb);
	bool equal = na == nb && memcmp(pa, pb, na) == 0;
	free(pa);
	free(pb);
	return equal;
}

static zip_t *open_zip(const char *path)
{
	zip_t *z = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, NULL);
	assert_non_null(z);
	return z;
}

/* The text of an entry, malloc'ed. */
static char *entry(zip_t *z, const char *name)
{
	zip_stat_t st;
	assert_int_equal(zip_stat(z, name, 0, &st), 0);
	char *p = calloc(1, st.size + 1);
	assert_non_null(p);
	zip_file_t *f = zip_fopen(z, name, 0);
	assert_non_null(f);
	assert_int_equal(zip_fread(f, p, st.size), st.size);
	zip_fclose(f);
	return p;
}

TEST(the_same_wish_gives_the_same_bytes)
{
	UNUSED_STATE;
	make(test_path("a.zip"), 100, 7, DIF_TINY);
	make(test_path("b.zip"), 100, 7, DIF_TINY);
	assert_true(same(test_path("a.zip"), test_path("b.zip")));
	make(test_path("b.zip"), 100, 8, DIF_TINY);
	assert_false(same(test_path("a.zip"), test_path("b.zip")));
	make(test_path("b.zip"), 101, 7, DIF_TINY);
	assert_false(same(test_path("a.zip"), test_path("b.zip")));
}

TEST(unzip_accepts_it)
{
	UNUSED_STATE;
	const char *path = test_path("t.zip");
	struct dif_simulated out = make(path, 100, 7, DIF_TENTH);
	assert_in_range(out.entries, 1400, 1600);
	assert_in_range(out.unpacked, 40000000, 60000000);
	assert_in_range(out.bytes, 6000000, 9000000);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(out.bytes, st.st_size);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execlp("unzip", "unzip", "-tqq", path, (char *)NULL);
		_exit(127);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* What the next cut did to an entry: decided by its name. */
static bool is_detail(const char *name)
{
	return strstr(name, "/secciones/") != NULL;
}

static bool is_aggregate(const char *name)
{
	return strcmp(name, "SIMULACRO.json") == 0 || strstr(name, "descargas/") != NULL ||
	       strstr(name, "/distrito/") != NULL || strstr(name, "avance") != NULL ||
	       strstr(name, "Nacional.json") != NULL ||
	       (strstr(name, "/entidad/") != NULL && strstr(name, "/mapas/") == NULL);
}

struct counts {
	int details, details_changed, aggregates, rest, gone;
};

static struct counts compare(const char *before, const char *after)
{
	struct counts c = {0};
	zip_t *a = open_zip(before), *b = open_zip(after);
	assert_int_equal(zip_get_num_entries(a, 0), zip_get_num_entries(b, 0));
	for (zip_int64_t i = 0; i < zip_get_num_entries(a, 0); i++) {
		zip_stat_t old, new;
		assert_int_equal(zip_stat_index(a, (zip_uint64_t)i, 0, &old), 0);
		if (zip_stat(b, old.name, 0, &new) != 0) {
			assert_non_null(strstr(old.name, "_PREP.zip"));
			c.gone++;
			continue;
		}
		bool changed = old.crc != new.crc || old.size != new.size;
		if (is_detail(old.name)) {
			c.details++;
			c.details_changed += changed;
		} else if (is_aggregate(old.name)) {
			c.aggregates++;
			if (!changed) {
				fail_msg("aggregate '%s' did not change", old.name);
			}
		} else {
			c.rest++;
			if (changed) {
				fail_msg("'%s' must never change", old.name);
			}
		}
	}
	zip_discard(a);
	zip_discard(b);
	return c;
}

TEST(the_next_cut_changes_what_counting_changes)
{
	UNUSED_STATE;
	make(test_path("100.zip"), 100, 7, DIF_TENTH);
	make(test_path("101.zip"), 101, 7, DIF_TENTH);
	struct counts c = compare(test_path("100.zip"), test_path("101.zip"));
	assert_int_equal(c.gone, 1);
	assert_true(c.details > 900 && c.aggregates > 250 && c.rest > 100);
	/* Few groups have a station that was captured within five minutes. */
	assert_in_range(c.details_changed, c.details / 20, c.details / 4);
	/* Every change comes from a station that was captured: the end has none left. */
	make(test_path("287.zip"), 287, 7, DIF_TINY);
	make(test_path("288.zip"), 288, 7, DIF_TINY);
	assert_int_equal(compare(test_path("287.zip"), test_path("288.zip")).details_changed, 0);
}

static int64_t number_behind(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	assert_non_null(at);
	return strtoll(at + strlen(key), NULL, 10);
}

static int64_t captured(uint32_t cut)
{
	const char *path = test_path("s.zip");
	make(path, cut, 7, DIF_TINY);
	zip_t *z = open_zip(path);
	char *text = entry(z, "assets/presidencia/avanceNacional.json");
	int64_t n = number_behind(text, "\"actasContabilizadas\":{\"total\":");
	assert_int_equal(number_behind(text, "\"totalActas\":"), 24);
	free(text);
	zip_discard(z);
	return n;
}

TEST(the_night_begins_at_nothing_and_ends_complete)
{
	UNUSED_STATE;
	assert_int_equal(captured(0), 0);
	int64_t before = 0;
	for (uint32_t cut = 0; cut <= 288; cut += 24) {
		int64_t n = captured(cut);
		assert_true(n >= before);
		before = n;
	}
	assert_int_equal(before, 24);
	assert_in_range(captured(60), 6, 20);
}

TEST(the_known_shape_is_there)
{
	UNUSED_STATE;
	const char *path = test_path("shape.zip");
	struct dif_simulated out = make(path, 100, 7, DIF_TINY);
	assert_in_range(out.entries, 50, 75);
	assert_true(out.unpacked < 1000000);
	zip_t *z = open_zip(path);
	static const char *const names[] = {
		"index.html",
		"SIMULACRO.json",
		"assets/iconos/!Ciudad.svg",
		"assets/iconos/logo@2x.svg",
		"assets/iconos/Michoac\xc3\xa1n.svg",
		"assets/presidencia/presidenciaNacional.json",
		"assets/presidencia/entidad/14.json",
		"assets/diputaciones/mapas/nacional/nacional.json",
		"assets/20260608_0420_PREP.zip",
	};
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		if (zip_name_locate(z, names[i], 0) < 0) {
			fail_msg("'%s' is not there", names[i]);
		}
	}
	char *index = entry(z, "index.html");
	assert_non_null(strstr(index, "<base href=\"/\">"));
	assert_non_null(strstr(index, "SIMULACRO"));
	/* The page names bundles that exist. */
	char *at = strstr(index, "src=\"main."), name[64];
	assert_non_null(at);
	assert_int_equal(sscanf(at, "src=\"%63[^\"]", name), 1);
	assert_true(zip_name_locate(z, name, 0) >= 0);
	free(index);
	char *text = entry(z, "assets/senadurias/avanceNacional.json");
	assert_non_null(
		strstr(text, "\"ultimoCorte\":{\"fecha\":\"08 junio 2026\",\"hora\":\"04:20\"}"));
	free(text);
	zip_discard(z);
}

/* A ZIP of three ZIPs of one CSV. */
TEST(the_database_is_nested)
{
	UNUSED_STATE;
	make(test_path("n.zip"), 0, 7, DIF_TINY);
	const char *inside = "assets/20260607_2000_PREP.zip";
	static const char *const levels[] = {"20260607_2000_PREP_SEN.zip",
	                                     "20260607_2000_PREP_SEN.csv"};
	zip_t *z = open_zip(test_path("n.zip"));
	for (size_t i = 0; i < 2; i++) {
		zip_stat_t st;
		assert_int_equal(zip_stat(z, inside, 0, &st), 0);
		char *p = entry(z, inside);
		zip_discard(z);
		test_write(test_path(levels[i]), p, st.size);
		free(p);
		z = open_zip(test_path(levels[i]));
		inside = levels[i];
	}
	char *csv = entry(z, inside);
	assert_memory_equal(csv, "\xef\xbb\xbf", 3);
	assert_non_null(strstr(csv, "Corte: 07 junio 2026 20:00\r\n"));
	free(csv);
	zip_discard(z);
}

TEST(the_sums_agree_from_station_to_country)
{
	UNUSED_STATE;
	make(test_path("sum.zip"), 100, 9, DIF_TINY);
	zip_t *z = open_zip(test_path("sum.zip"));
	int64_t sum = 0;
	for (zip_int64_t i = 0; i < zip_get_num_entries(z, 0); i++) {
		const char *name = zip_get_name(z, (zip_uint64_t)i, 0);
		if (strncmp(name, "assets/senadurias/", 18) != 0 || !is_detail(name)) {
			continue;
		}
		char *text = entry(z, name);
		for (char *at = text; (at = strstr(at, "\"total\":")) != NULL; at++) {
			sum += number_behind(at, "\"total\":");
		}
		free(text);
	}
	char *text = entry(z, "assets/senadurias/avanceNacional.json");
	assert_true(sum > 1000);
	assert_int_equal(number_behind(strstr(text, "listaNominal"), "\"total\":"), sum);
	free(text);
	zip_discard(z);
}

TEST(the_sidecar_is_what_sha256sum_writes)
{
	UNUSED_STATE;
	struct dif_simulate s = {.cut = 3, .seed = 1, .scale = DIF_TINY, .sidecar = true};
	struct dif_simulated out;
	const char *path = test_path("side.zip");
	assert_true(dif_simulate(&s, path, NULL, NULL, &out, &err));
	size_t n, m;
	char *bytes = slurp(path, &n), *line = slurp(test_path("side.zip.sha256"), &m);
	uint8_t sum[DIF_DIGEST_MAX];
	char hex[65], want[100];
	assert_true(dif_hash(DIF_SHA256, bytes, n, sum));
	dif_hex(hex, sum, 32);
	snprintf(want, sizeof want, "%s  side.zip\n", hex);
	assert_string_equal(line, want);
	free(bytes);
	free(line);
}

static uint64_t last, most;

static void on_progress(void *data, uint64_t entries, uint64_t of)
{
	assert_ptr_equal(data, &last);
	assert_true(entries > last && entries <= of);
	last = entries;
	most = of;
}

TEST(progress_knows_the_end_from_the_start)
{
	UNUSED_STATE;
	struct dif_simulate s = {.cut = 50, .seed = 1, .scale = DIF_TENTH};
	struct dif_simulated out;
	assert_true(dif_simulate(&s, test_path("p.zip"), on_progress, &last, &out, &err));
	assert_int_equal(last, out.entries);
	assert_int_equal(most, out.entries);
}

TEST(a_failure_leaves_nothing_behind)
{
	UNUSED_STATE;
	struct dif_simulate s = {.cut = 289, .seed = 1, .scale = DIF_TINY, .sidecar = true};
	struct dif_simulated out = {.entries = 4711};
	assert_false(dif_simulate(&s, test_path("x.zip"), NULL, NULL, &out, &err));
	assert_int_equal(err.exit, DIF_EXIT_USAGE);
	s.cut = 1;
	assert_false(dif_simulate(&s, test_path("no/such/x.zip"), NULL, NULL, &out, &err));
	assert_false(dif_simulate(&s, test_path(""), NULL, NULL, &out, &err));
	assert_int_equal(out.entries, 4711);
	/* A folder in the way is found out last, by the rename. */
	assert_int_equal(mkdir(test_path("d"), 0755), 0);
	assert_int_equal(mkdir(test_path("d/x.zip"), 0755), 0);
	assert_false(dif_simulate(&s, test_path("d/x.zip"), NULL, NULL, &out, &err));
	DIR *d = opendir(test_path("d"));
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d)) != NULL;) {
		assert_true(e->d_name[0] == '.' ? e->d_name[1] == '.' || e->d_name[1] == '\0'
		                                : strcmp(e->d_name, "x.zip") == 0);
	}
	closedir(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_wish_gives_the_same_bytes),
		cmocka_unit_test(unzip_accepts_it),
		cmocka_unit_test(the_next_cut_changes_what_counting_changes),
		cmocka_unit_test(the_night_begins_at_nothing_and_ends_complete),
		cmocka_unit_test(the_known_shape_is_there),
		cmocka_unit_test(the_database_is_nested),
		cmocka_unit_test(the_sums_agree_from_station_to_country),
		cmocka_unit_test(the_sidecar_is_what_sha256sum_writes),
		cmocka_unit_test(progress_knows_the_end_from_the_start),
		cmocka_unit_test(a_failure_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
