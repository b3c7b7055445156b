#include "support.h"

#include <sys/stat.h>
#include <unistd.h>

#include "flow/config.h"
#include "host/secret.h"

static struct dif_error err;
static struct dif_config *config;
static char *plugins, *file;

#define HEAD "[agent]\nstate = /var/lib/x\nplugins = %s\n"
#define STORE "[store a]\nplugin = dir\nroot = /srv/a\n"
#define DEST "[destination a]\nstore = a\n"

static void put(const char *path, const char *text)
{
	test_write(path, text, strlen(text));
	assert_int_equal(chmod(path, 0640), 0);
}

static int setup(void **s)
{
	(void)s;
	char name[64];
	static int n;
	snprintf(name, sizeof name, "plugins.%d", n++);
	plugins = strdup(test_path(name));
	file = strdup(test_path("difusor.ini"));
	assert_int_equal(mkdir(plugins, 0755), 0);
	dif_error_clear(&err);
	return 0;
}

static int teardown(void **s)
{
	(void)s;
	dif_config_free(config);
	config = NULL;
	free(plugins);
	free(file);
	return 0;
}

static void write_config(const char *text)
{
	char *all = NULL;
	assert_true(asprintf(&all, HEAD "%s", plugins, text) > 0);
	put(file, all);
	free(all);
}

static struct dif_config *load(const char *text)
{
	write_config(text);
	dif_config_free(config);
	dif_error_clear(&err);
	config = dif_config_load(file, &err);
	if (config == NULL) {
		fail_msg("%s", err.text);
	}
	return config;
}

static void bad(const char *text, const char *sentence)
{
	write_config(text);
	dif_error_clear(&err);
	struct dif_config *c = dif_config_load(file, &err);
	if (c != NULL || strstr(err.text, sentence) == NULL) {
		dif_config_free(c);
		fail_msg("'%s' is not in '%s'", sentence, err.text);
	}
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
}

TEST(a_small_file_is_enough)
{
	UNUSED_STATE;
	struct dif_config *c = load(STORE DEST);
	assert_string_equal(c->state, "/var/lib/x");
	assert_string_equal(c->archive, "/var/lib/x/archive");
	assert_string_equal(c->plugins, plugins);
	assert_int_equal(c->profile, DIF_PRODUCTION);
	assert_int_equal(c->memory, 32 << 20);
	assert_int_equal(c->nstores, 1);
	assert_string_equal(c->stores[0].plugin, "dir");
	assert_int_equal(c->ndestinations, 1);
	struct dif_destination_config *d = &c->destinations[0];
	assert_string_equal(d->name, "a");
	assert_string_equal(d->section, "destination a");
	assert_string_equal(d->store, "a");
	assert_string_equal(d->prefix, "");
	assert_null(d->public_url);
	assert_int_equal(d->grace, 600000);
	assert_int_equal(d->barrier, 30000);
	assert_int_equal(d->adopt, 0);
	assert_null(d->store_as);
	assert_null(d->siblings);
}

TEST(limits_without_configuration_are_those_of_the_package_room)
{
	UNUSED_STATE;
	struct dif_config *c = load(STORE DEST);
	assert_memory_equal(&c->limits, &dif_limits_default, sizeof c->limits);
}

TEST(everything_can_be_said)
{
	UNUSED_STATE;
	write_config("");
	char *text = NULL;
	assert_true(asprintf(&text,
	                     "archive = /srv/archive\nprofile = rehearsal\nmemory = 128MiB\n"
	                     "max_entries = 5\n"
	                     "[source ine]\nplugin = https\nurl = https://h/x.zip\n"
	                     "digest = {url}.sha256\nevery = 1min\norder = name:[0-9]+\n" STORE
	                     "[destination web]\nstore = a\nprefix = site/x\n"
	                     "public_url = https://h/prep\ngrace = 0s\nbarrier = 5s\nadopt = yes\n"
	                     "siblings = gzip\n"
	                     "[class pages]\nmatch = *.html   sub/**/x.?\nphase = entry\n"
	                     "cache_control = public, max-age=5\n"
	                     "[class csv]\nmatch = *.csv\nphase = aggregate\nstore_as = gzip\n"
	                     "content_type = text/csv\n") > 0);
	struct dif_config *c = load(text);
	free(text);
	assert_string_equal(c->archive, "/srv/archive");
	assert_int_equal(c->profile, DIF_REHEARSAL);
	assert_int_equal(c->memory, 128 << 20);
	assert_int_equal(c->limits.entries, 5);
	assert_string_equal(c->sources[0].name, "ine");
	assert_string_equal(c->sources[0].require, "sha256");
	assert_string_equal(c->sources[0].order, "name:[0-9]+");
	assert_int_equal(c->sources[0].every, 60000);
	assert_string_equal(c->destinations[0].prefix, "site/x/");
	assert_string_equal(c->destinations[0].public_url, "https://h/prep/");
	assert_int_equal(c->destinations[0].adopt, 1);
	assert_string_equal(c->destinations[0].siblings, "gzip");
	assert_int_equal(c->nclasses, 2);
	assert_string_equal(c->classes[0].name, "pages");
	assert_string_equal(c->classes[0].match[0], "*.html");
	assert_string_equal(c->classes[0].match[1], "sub/**/x.?");
	assert_null(c->classes[0].match[2]);
	assert_int_equal(c->classes[0].phase, DIF_ENTRY);
	assert_string_equal(c->classes[0].cache_control, "public, max-age=5");
	assert_int_equal(c->classes[1].phase, DIF_AGGREGATE);
	assert_int_equal(c->classes[1].store_as, DIF_GZIP);
	assert_string_equal(c->classes[1].content_type, "text/csv");
	/* what is left belongs to plug-ins */
	assert_false(dif_config_check_unused(c, &err));
	assert_non_null(strstr(err.text, "difusor.ini:10: unknown key 'url' in [source ine]; "
	                                 "'difusor options https' lists them"));
	for (struct dif_ini_entry *e = c->entries; e != NULL; e = e->next) {
		e->used = true;
	}
	assert_true(dif_config_check_unused(c, &err));
}

TEST(unknown_sections_and_keys_name_file_and_line)
{
	UNUSED_STATE;
	bad(STORE DEST "[storr b]\nplugin = dir\n", "difusor.ini:9: unknown section [storr b]");
	bad(STORE DEST "[agent x]\nstate = /x\n", "unknown section [agent x]");
	bad(STORE DEST "[]\n", "difusor.ini:9:");
	bad("colour = blue\n" STORE DEST, "difusor.ini:4: unknown key 'colour' in [agent]");
	bad(STORE DEST "prefx = a/\n", "difusor.ini:9: unknown key 'prefx' in [destination a]");
	bad(STORE DEST "[class x]\nmatch = *\nfase = data\n", "unknown key 'fase' in [class x]");
}

TEST(cdns_steering_and_lease_are_bound)
{
	UNUSED_STATE;
	write_config(STORE "[cdn x]\nplugin = cloudfront\n[cdn y]\nplugin = fastly\n" DEST
	                   "cdn = x  y\npublic_url = https://www.example/p\nweight = 50\n"
	                   "target = a.example\n"
	                   "[steering main]\nplugin = file\nrecord = www.prep.example\nttl = 1min\n"
	                   "[lease l]\nplugin = etcd\n");
	config = dif_config_load(file, &err);
	assert_non_null(config);
	const struct dif_destination_config *d = &config->destinations[0];
	assert_int_equal(d->ncdns, 2);
	assert_string_equal(d->cdns[0], "x");
	assert_string_equal(d->cdns[1], "y");
	assert_int_equal(d->weight, 50);
	assert_string_equal(d->target, "a.example");
	assert_int_equal(config->ncdns, 2);
	assert_string_equal(config->cdns[1].plugin, "fastly");
	assert_int_equal(config->steerings[0].ttl, 60000);
	assert_string_equal(config->steerings[0].type, "CNAME");
	assert_int_equal(config->leases[0].ttl, 15000);
}

TEST(health_and_failover_are_bound_and_checked)
{
	UNUSED_STATE;
	struct dif_config *c = load(STORE DEST);
	assert_int_equal(c->health.interval, 5000);
	assert_int_equal(c->health.fall_time, 12000);
	assert_int_equal(c->health.nreferences, 0);
	assert_int_equal(c->failover.hold, 300000);
	assert_int_equal(c->failover.moves, 4);
	assert_int_equal(c->failover.failback, 1);
	c = load(STORE DEST "prefix = a/\n[health]\ninterval = 2s\nreferences = https://a.example/ "
	                    "https://b.example/x\n[failover]\nfailback = no\nminimum = 2\n"
	                    "[steering s]\nplugin = x\nrecord = www.example\n"
	                    "after = /bin/true --fast  now\n"
	                    "[destination b]\nstore = a\nprefix = b/\ntarget = b.example\n");
	assert_int_equal(c->health.interval, 2000);
	assert_int_equal(c->health.nreferences, 2);
	assert_string_equal(c->health.reference[1], "https://b.example/x");
	assert_int_equal(c->failover.failback, 0);
	assert_int_equal(c->failover.minimum, 2);
	assert_string_equal(c->steerings[0].command[0], "/bin/true");
	assert_string_equal(c->steerings[0].command[2], "now");
	assert_null(c->steerings[0].command[3]);
	bad(STORE DEST "[health]\nreferences = http://a.example/\n", "is no https:// address");
	bad(STORE DEST "[health]\nreferences = ftp://a.example/\n", "is no https:// address");
	bad(STORE DEST "[health]\nrise_time = 2h\n", "0ms to 1h");
	bad(STORE DEST "[health]\nrise_time = 50min\n", "rise_time is more than rise_max");
	bad(STORE DEST "[failover]\nhold = 1h\n", "hold is more than hold_max");
	bad(STORE DEST "[failover]\nfresh = 5500ms\n", "fresh is less than what lies between");
	bad(STORE DEST "[health]\ninterval = 2min\n", "fresh is less than what lies between");
	bad(STORE DEST "[steering s]\nplugin = x\nrecord = w\nafter = true\n",
	    "it is a program's absolute path");
	bad(STORE DEST "[health x]\nrise = 3\n", "unknown section [health x]");
}

TEST(what_readers_are_led_to_is_checked)
{
	UNUSED_STATE;
	bad(STORE DEST "cdn = x\n", "there is no section [cdn x]");
	bad(STORE "[cdn x]\nplugin = fastly\n" DEST "cdn = x\n", "say public_url");
	bad(STORE DEST "weight = -1\n", "weight");
	bad(STORE "[cdn x]\nplugin = fastly\nnames = https://www.example/\n" DEST
	          "cdn = x\npublic_url = https://www.example/\n",
	    "is no list of hosts");
	bad(STORE DEST "[steering s]\nplugin = file\nrecord = www.example\n",
	    "no destination has a target or public_url");
	bad(STORE DEST "[lease a]\nplugin = etcd\n[lease b]\nplugin = etcd\n",
	    "there is a [lease a] already");
	bad(STORE DEST "[cdn x]\nplugin = \n", "difusor.ini:10: could not use option 'plugin'");
	bad(STORE DEST "[source s]\nplugin = dir\nrequire = signature\n",
	    "'signature' is not one of: sha256 crc double-fetch");
}

TEST(what_is_missing_is_named)
{
	UNUSED_STATE;
	bad("", "there is no [destination NAME]");
	bad("[store a]\nroot = /x\n" DEST, "option 'plugin' is missing");
	bad(STORE "[destination a]\n", "option 'store' is missing");
	bad(STORE "[destination a]\nstore = b\n", "difusor.ini:8: there is no section [store b]");
	bad(STORE DEST "[class x]\nphase = data\n", "option 'match' is missing");
	put(file, STORE DEST);
	assert_null(dif_config_load(file, &err));
	assert_non_null(strstr(err.text, "there is no section [agent]"));
	put(file, "[agent]\nprofile = production\n" STORE DEST);
	assert_null(dif_config_load(file, &err));
	assert_non_null(strstr(err.text, "difusor.ini:1: [agent]: option 'state' is missing"));
	assert_null(dif_config_load("/no/such/file.ini", &err));
	assert_int_equal(err.exit, DIF_EXIT_CONFIG);
	assert_non_null(strstr(err.text, "/no/such/file.ini"));
}

TEST(values_out_of_range_are_refused)
{
	UNUSED_STATE;
	bad("memory = 1MiB\n" STORE DEST, "difusor.ini:4: could not use option 'memory'");
	bad("profile = test\n" STORE DEST, "'test' is not one of: production rehearsal");
	bad("max_entry = 2GiB\nmax_total = 1GiB\n" STORE DEST, "max_entry is more than max_total");
	bad("max_component = 200\nmax_name = 100\n" STORE DEST, "is more than max_name");
	bad(STORE DEST "grace = 10\n", "is not a duration");
	bad(STORE DEST "store_as = brotli\n", "is not one of: identity gzip");
}

TEST(names_are_plain)
{
	UNUSED_STATE;
	bad(STORE DEST "[store]\nplugin = dir\n", "section [store] needs a name: [store NAME]");
	bad(STORE DEST "[store a b]\nplugin = dir\n", "a name has at most 64");
	bad(STORE DEST "[store ../x]\nplugin = dir\n", "a name has at most 64");
	bad(STORE DEST "[store \xc3\xb1]\nplugin = dir\n", "a name has at most 64");
}

TEST(prefixes_have_one_form)
{
	UNUSED_STATE;
	static const char *const wrong[] = {"/",        "/a",           "a//b", ".",
	                                    "..",       "a/../b",       "./a",  "a/.",
	                                    ".difusor", "a/.difusor/b", "a\\b"};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		char text[256];
		snprintf(text, sizeof text, STORE DEST "prefix = %s\n", wrong[i]);
		bad(text, "difusor.ini:9: could not use option 'prefix'");
	}
	assert_string_equal(load(STORE DEST "prefix = a/b\n")->destinations[0].prefix, "a/b/");
	assert_string_equal(load(STORE DEST "prefix = a/b/\n")->destinations[0].prefix, "a/b/");
	assert_string_equal(load(STORE DEST "prefix = ; none\n")->destinations[0].prefix, "");
}

TEST(public_urls_are_https_or_loopback)
{
	UNUSED_STATE;
	bad(STORE DEST "public_url = http://h.example/\n", "https");
	bad(STORE DEST "public_url = http://127.evil.example/\n", "https");
	bad(STORE DEST "public_url = http://localhost.example/\n", "https");
	bad(STORE DEST "public_url = https://h.example/?x=1\n", "is not a URL");
	assert_string_equal(
		load(STORE DEST "public_url = http://127.0.0.1:8080\n")->destinations[0].public_url,
		"http://127.0.0.1:8080/");
	load(STORE DEST "public_url = http://localhost/x\n");
	load(STORE DEST "public_url = http://[::1]:8080/\n");
}

TEST(destinations_do_not_share_keys)
{
	UNUSED_STATE;
	bad(STORE DEST "[destination b]\nstore = a\n", "destinations 'a' and 'b' share a part");
	bad(STORE DEST "prefix = x\n[destination b]\nstore = a\nprefix = x/y\n", "share a part");
	bad(STORE DEST "prefix = x\n[destination b]\nstore = a\n", "share a part");
	load(STORE DEST "prefix = x\n[destination b]\nstore = a\nprefix = xy\n");
	load(STORE DEST "[store b]\nplugin = dir\n[destination b]\nstore = b\n");
}

TEST(values_that_contradict_each_other_are_refused)
{
	UNUSED_STATE;
	bad(STORE DEST "store_as = gzip\nsiblings = gzip\n",
	    "difusor.ini:10: siblings = gzip beside");
	bad(STORE DEST "[class x]\nmatch = *.html\nphase = entry\nstore_as = gzip\n",
	    "difusor.ini:12: entry pages are stored as identity");
	bad(STORE DEST "[source s]\nplugin = https\nrequire = sha256\n", "needs digest = ADDRESS");
	bad(STORE DEST "[source s]\nplugin = https\ndigest = {url}.s\nrequire = crc\n",
	    "nothing would read the digest");
	bad(STORE DEST "[source s]\nplugin = https\norder = name:[\n", "regular expression");
	bad(STORE DEST "[source s]\nplugin = https\norder = json:x\n",
	    "could not use option 'order'");
	bad(STORE DEST "[source s]\nplugin = https\norder = newest\n",
	    "could not use option 'order'");
	struct dif_config *c =
		load(STORE DEST "[source s]\nplugin = https\norder = json:a.json#/n\n");
	assert_string_equal(c->sources[0].require, "double-fetch");
	assert_string_equal(c->sources[0].order, "json:a.json#/n");
}

static void put_plugin_ini(const char *name, const char *text)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", plugins, name) > 0);
	put(path, text);
	free(path);
}

TEST(the_plugins_folder_is_read_in_name_order)
{
	UNUSED_STATE;
	put_plugin_ini("20.ini", "[class second]\nmatch = *\n");
	put_plugin_ini("10.ini", "[class first]\nmatch = *\n[store b]\nplugin = dir\n");
	put_plugin_ini("x.ini.example", "[nonsense]\n");
	put_plugin_ini(".hidden.ini", "[nonsense]\n");
	struct dif_config *c = load(STORE DEST "[class main]\nmatch = *\n");
	assert_int_equal(c->nclasses, 3);
	assert_string_equal(c->classes[0].name, "main");
	assert_string_equal(c->classes[1].name, "first");
	assert_string_equal(c->classes[2].name, "second");
	assert_int_equal(c->nstores, 2);
}

TEST(a_section_is_in_one_file_only)
{
	UNUSED_STATE;
	put_plugin_ini("a.ini", "[store a]\nplugin = dir\n");
	bad(STORE DEST, "a.ini:1: section [store a] is in ");
	put_plugin_ini("a.ini", "[agent]\nprofile = rehearsal\n");
	bad(STORE DEST, "section [agent] is in ");
}

TEST(folders_and_files_that_others_may_write_are_refused)
{
	UNUSED_STATE;
	put_plugin_ini("a.ini", "[class x]\nmatch = *\n");
	char *path = NULL;
	assert_true(asprintf(&path, "%s/a.ini", plugins) > 0);
	assert_int_equal(chmod(path, 0666), 0);
	bad(STORE DEST, "a.ini");
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(plugins, 0777), 0);
	bad(STORE DEST, plugins);
	assert_int_equal(chmod(plugins, 0755), 0);
	load(STORE DEST);
	assert_int_equal(chmod(file, 0666), 0);
	assert_null(dif_config_load(file, &err));
	assert_int_equal(chmod(file, 0640), 0);
	free(path);
}

TEST(a_plugins_folder_that_is_named_must_be_there)
{
	UNUSED_STATE;
	assert_int_equal(rmdir(plugins), 0);
	bad(STORE DEST, plugins);
	put(file, "[agent]\nstate = /var/lib/x\n" STORE DEST);
	config = dif_config_load(file, &err);
	assert_non_null(config);
	assert_string_equal(config->plugins, dif_config_default_plugins());
}

TEST(rows_exist_for_every_kind_and_their_defaults_hold)
{
	UNUSED_STATE;
	static const char *const kinds[] = {"agent",    "source", "store", "cdn",    "destination",
	                                    "steering", "lease",  "class", "health", "failover"};
	uint32_t n = 1;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const struct dif_option *rows = dif_config_rows(kinds[i], &n);
		assert_non_null(rows);
		assert_true(n > 0);
		for (uint32_t k = 0; k < n; k++) {
			assert_non_null(rows[k].help);
		}
	}
	assert_null(dif_config_rows("cdns", &n));
	assert_int_equal(n, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		T(a_small_file_is_enough),
		T(limits_without_configuration_are_those_of_the_package_room),
		T(everything_can_be_said),
		T(unknown_sections_and_keys_name_file_and_line),
		T(cdns_steering_and_lease_are_bound),
		T(health_and_failover_are_bound_and_checked),
		T(what_readers_are_led_to_is_checked),
		T(what_is_missing_is_named),
		T(values_out_of_range_are_refused),
		T(names_are_plain),
		T(prefixes_have_one_form),
		T(public_urls_are_https_or_loopback),
		T(destinations_do_not_share_keys),
		T(values_that_contradict_each_other_are_refused),
		T(the_plugins_folder_is_read_in_name_order),
		T(a_section_is_in_one_file_only),
		T(folders_and_files_that_others_may_write_are_refused),
		T(a_plugins_folder_that_is_named_must_be_there),
		T(rows_exist_for_every_kind_and_their_defaults_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
