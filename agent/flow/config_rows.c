/* config_rows - every key of our own sections, with its default, bounds and help. What a plug-in's
 * section takes besides comes from the plug-in. */
#include "flow/config_private.h"

#define KIB (1LL << 10)
#define MIB (1LL << 20)
#define GIB (1LL << 30)
#define SECOND 1000LL
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define AT(member) .offset = offsetof(struct dif_config_agent, member)
static const struct dif_option agent_rows[] = {
	{.name = "state",
         .type = DIF_FILE_PATH,
         .flags = DIF_NEEDED,
         AT(state),
         .help = "Folder for what the agent remembers. It is created if its parent exists."},
	{.name = "archive",
         .type = DIF_FILE_PATH,
         AT(archive),
         .help = "Folder where every package is kept. STATE/archive unless said. Nothing in it is "
                 "deleted."},
	{.name = "plugins",
         .type = DIF_FILE_PATH,
         AT(plugins),
         .help = "Folder of plug-ins (*.so) and their configuration (*.ini, read in name order). "
                 "plugins.d beside the program unless said, else /usr/lib/difusor/plugins.d."},
	{.name = "profile",
         .def = "production",
         .type = DIF_ENUM,
         .choices = "production rehearsal",
         AT(profile),
         .help = "What is published here. Under production a rehearsal package is refused."},
	{.name = "memory",
         .def = "32MiB",
         .type = DIF_SIZE,
         .min = 16 * MIB,
         .max = 16 * GIB,
         AT(memory),
         .help = "Memory for the bodies of uploads, for all destinations together."},
	{.name = "max_package",
         .def = "512MiB",
         .type = DIF_SIZE,
         .min = KIB,
         .max = 64 * GIB,
         AT(limits.package),
         .help = "Largest package."},
	{.name = "max_entries",
         .def = "100000",
         .type = DIF_INT,
         .min = 1,
         .max = 5000000,
         AT(limits.entries),
         .help = "Most entries in a package."},
	{.name = "max_entry",
         .def = "512MiB",
         .type = DIF_SIZE,
         .min = KIB,
         .max = 64 * GIB,
         AT(limits.entry),
         .help = "Largest entry, unpacked."},
	{.name = "max_total",
         .def = "2GiB",
         .type = DIF_SIZE,
         .min = KIB,
         .max = 256 * GIB,
         AT(limits.total),
         .help = "All entries of a package together, unpacked."},
	{.name = "max_name",
         .def = "900",
         .type = DIF_INT,
         .min = 16,
         .max = 1024,
         AT(limits.name),
         .help = "Longest name of an entry with its folders, in bytes. Stores take 1024 with the "
                 "prefix."},
	{.name = "max_component",
         .def = "255",
         .type = DIF_INT,
         .min = 16,
         .max = 255,
         AT(limits.component),
         .help = "Longest single part of a name, in bytes."},
	{.name = "max_segments",
         .def = "64",
         .type = DIF_INT,
         .min = 1,
         .max = 256,
         AT(limits.segments),
         .help = "Most parts of a name, which is how deep folders go."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_source_config, member)
static const struct dif_option source_rows[] = {
	{.name = "plugin",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         AT(plugin),
         .help = "The store plug-in that reads the source: https, dir, s3, gcs, azure."},
	{.name = "digest",
         .type = DIF_STRING,
         .min = 1,
         .max = 2048,
         AT(digest),
         .help = "Where the digest of a package is; {url} stands for the package's own address. "
                 "Example: {url}.sha256"},
	{.name = "require",
         .type = DIF_ENUM,
         .choices = "sha256 crc double-fetch",
         AT(require),
         .help = "What a package must bring to be accepted: the right digest; nothing but its own "
                 "checksums; or the same bytes when it is fetched a second time. Unless said: "
                 "sha256 where there is a digest, else double-fetch."},
	{.name = "order",
         .def = "source",
         .type = DIF_STRING,
         .min = 1,
         .max = 512,
         AT(order),
         .help = "What tells which package is newer: source (Last-Modified, else first seen), "
                 "name:REGEX (the number it finds in the name), json:ENTRY#POINTER (a number in an "
                 "entry)."},
	{.name = "prefix",
         .type = DIF_STRING,
         .max = 512,
         AT(prefix),
         .help = "Of a store with many objects: the newest object below it is the package."},
	{.name = "every",
         .def = "15s",
         .type = DIF_DURATION,
         .min = SECOND,
         .max = HOUR,
         AT(every),
         .help = "How often the source is asked."},
	{.name = "deadline",
         .def = "10min",
         .type = DIF_DURATION,
         .min = SECOND,
         .max = DAY,
         AT(timeout),
         .help = "How long one download may take before it is started anew."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_store_config, member)
static const struct dif_option store_rows[] = {
	{.name = "plugin",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         AT(plugin),
         .help = "The plug-in that speaks to the store: dir, s3, gcs, azure. Its own options: "
                 "difusor options PLUGIN."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_cdn_config, member)
static const struct dif_option cdn_rows[] = {
	{.name = "plugin",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         AT(plugin),
         .help = "The plug-in that speaks to the CDN. Its own options: difusor options PLUGIN."},
	{.name = "paths_max",
         .def = "0",
         .type = DIF_INT,
         .max = 1000000,
         AT(paths_max),
         .help = "A cut that changes more addresses than this is purged by tag, folder or as a "
                 "whole. 0: what is cheaper at this CDN, as its plug-in knows it."},
	{.name = "tag",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         AT(tag),
         .help = "A tag that all objects of the site carry there, for purges that name no "
                 "addresses."},
	{.name = "names",
         .type = DIF_STRING,
         .min = 1,
         .max = 1024,
         AT(names),
         .help = "Other names under which readers ask this CDN for the site, such as the record of "
                 "[steering], with blanks between them. A CDN that keeps a copy for each name is "
                 "purged of each; one that purges by path needs none."},
	{.name = "deep_links",
         .def = "prefix",
         .type = DIF_ENUM,
         .choices = "none prefix all",
         AT(deep_links),
         .help = "When an index.html changes: whether what a CDN may have kept of it under other "
                 "addresses goes, too, as where a single-page site answers all of them. prefix: "
                 "all below it; all: everything; none: it goes when its time is over."},
	{.name = "settle",
         .def = "15min",
         .type = DIF_DURATION,
         .min = SECOND,
         .max = DAY,
         AT(settle),
         .help = "A purge that the CDN took and has not finished after this time is made anew."},
	{.name = "origin_timeout",
         .def = "10s",
         .type = DIF_DURATION,
         .max = HOUR,
         AT(origin_timeout),
         .help = "How long the CDN may still be reading the old object from the store. Entry "
                 "pages and aggregates are purged once more after this time; 0s: at once."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_steering_config, member)
static const struct dif_option steering_rows[] = {
	{.name = "plugin",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         AT(plugin),
         .help = "The plug-in that sets the route. Its own options: difusor options PLUGIN."},
	{.name = "record",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 253,
         AT(record),
         .help = "The name that readers ask for, such as www.prep.example."},
	{.name = "type",
         .def = "CNAME",
         .type = DIF_ENUM,
         .choices = "A AAAA CNAME",
         AT(type),
         .help = "What kind of record leads to the destinations."},
	{.name = "ttl",
         .def = "30s",
         .type = DIF_DURATION,
         .min = SECOND,
         .max = HOUR,
         AT(ttl),
         .help = "How long resolvers may keep an answer. Readers follow a change after this "
                 "time."},
	{.name = "after",
         .type = DIF_STRING,
         .min = 2,
         .max = 4096,
         AT(after),
         .help = "Program to run when a changed route stands there and was read back: its absolute "
                 "path and words, with blanks between them. No shell reads it."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_health_config, member)
static const struct dif_option health_rows[] = {
	{.name = "interval",
         .def = "5s",
         .type = DIF_DURATION,
         .min = 100,
         .max = 10 * MINUTE,
         AT(interval),
         .help = "How often each destination is looked at as a reader sees it."},
	{.name = "jitter",
         .def = "20",
         .type = DIF_INT,
         .max = 50,
         AT(jitter),
         .help = "Percent by which the time between two looks is made longer or shorter by "
                 "chance."},
	{.name = "fast",
         .def = "1s",
         .type = DIF_DURATION,
         .min = 50,
         .max = 10 * MINUTE,
         AT(fast),
         .help = "The same while a destination is in doubt."},
	{.name = "timeout",
         .def = "3s",
         .type = DIF_DURATION,
         .min = 50,
         .max = MINUTE,
         AT(timeout),
         .help = "How long one look may take before it counts as failed."},
	{.name = "fall",
         .def = "3",
         .type = DIF_INT,
         .min = 1,
         .max = 100,
         AT(fall),
         .help = "Failed looks in a row after which a destination is down."},
	{.name = "fall_time",
         .def = "12s",
         .type = DIF_DURATION,
         .max = 10 * MINUTE,
         AT(fall_time),
         .help = "How long they must have gone on at least."},
	{.name = "rise",
         .def = "6",
         .type = DIF_INT,
         .min = 1,
         .max = 100,
         AT(rise),
         .help = "Good looks in a row, the last of them at the current cut, after which it is "
                 "healthy again."},
	{.name = "rise_time",
         .def = "60s",
         .type = DIF_DURATION,
         .max = HOUR,
         AT(rise_time),
         .help = "How long they must have gone on at least. Doubles with each further fall within "
                 "an hour."},
	{.name = "rise_max",
         .def = "30min",
         .type = DIF_DURATION,
         .max = DAY,
         AT(rise_max),
         .help = "The most that rise_time doubles to."},
	{.name = "stale",
         .def = "60s",
         .type = DIF_DURATION,
         .max = HOUR,
         AT(stale),
         .help = "How long a destination may show an older cut than another one does before it "
                 "counts as stale; longer by what its CDNs take to forget."},
	{.name = "shaky",
         .def = "50",
         .type = DIF_INT,
         .min = 1,
         .max = 100,
         AT(shaky),
         .help = "Percent of failed looks among the last 20 from which on a destination is down, "
                 "though never so many in a row; half of it makes it degraded."},
	{.name = "references",
         .type = DIF_STRING,
         .min = 1,
         .max = 4096,
         AT(references),
         .help = "Two addresses of others (https), with a blank between them, that answer when our "
                 "own network is well. Where none of them answers, nothing is moved."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_failover_config, member)
static const struct dif_option failover_rows[] = {
	{.name = "minimum",
         .def = "1",
         .type = DIF_INT,
         .min = 1,
         .max = 100,
         AT(minimum),
         .help = "A destination leaves the route only where at least so many good ones stay in "
                 "it."},
	{.name = "panic",
         .def = "50",
         .type = DIF_INT,
         .min = 1,
         .max = 100,
         AT(panic),
         .help = "Percent of the destinations in the route, two at least, that look down at once "
                 "when it must be our own fault: nothing is moved, unless the references answer."},
	{.name = "hold",
         .def = "300s",
         .type = DIF_DURATION,
         .max = DAY,
         AT(hold),
         .help = "How long after a move nothing returns. Doubles with each further move within an "
                 "hour."},
	{.name = "hold_max",
         .def = "1800s",
         .type = DIF_DURATION,
         .max = DAY,
         AT(hold_max),
         .help = "The most that hold doubles to."},
	{.name = "moves",
         .def = "4",
         .type = DIF_INT,
         .min = 1,
         .max = 60,
         AT(moves),
         .help = "Moves within an hour, after which the route stays as it is and a warning is "
                 "given."},
	{.name = "fresh",
         .def = "60s",
         .type = DIF_DURATION,
         .min = 100,
         .max = HOUR,
         AT(fresh),
         .help = "Readers are sent only where the last good look is no older than this."},
	{.name = "failback",
         .def = "yes",
         .type = DIF_BOOL,
         AT(failback),
         .help = "Whether what was taken out returns by itself. no: difusor undrain brings it "
                 "back."},
	{.name = "failback_time",
         .def = "900s",
         .type = DIF_DURATION,
         .max = DAY,
         AT(failback_time),
         .help = "How long it must have been healthy before."},
	{.name = "step",
         .def = "25",
         .type = DIF_INT,
         .min = 1,
         .max = 100,
         AT(step),
         .help = "Percent of its weight that a destination returns with, and that is added each "
                 "time."},
	{.name = "step_time",
         .def = "60s",
         .type = DIF_DURATION,
         .max = HOUR,
         AT(step_time),
         .help = "How long each step of a return takes."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_lease_config, member)
static const struct dif_option lease_rows[] = {
	{.name = "plugin",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         AT(plugin),
         .help = "The plug-in that keeps the lease between two agents: etcd. Its own options: "
                 "difusor options PLUGIN."},
	{.name = "ttl",
         .def = "15s",
         .type = DIF_DURATION,
         .min = 3 * SECOND,
         .max = 300 * SECOND,
         AT(ttl),
         .help = "How long the lease holds when its agent falls silent."},
	{.name = "without",
         .def = "publish",
         .type = DIF_ENUM,
         .choices = "publish wait",
         AT(without),
         .help = "What an agent does that could not ask for three times ttl: publish all the "
                 "same, as the other may, too, or wait. Who had it last goes on steering."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_destination_config, member)
static const struct dif_option destination_rows[] = {
	{.name = "store",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 64,
         AT(store),
         .help = "The [store NAME] that the site is put into."},
	{.name = "cdn",
         .type = DIF_STRING,
         .min = 1,
         .max = 1024,
         AT(cdn),
         .help = "The [cdn NAME] before the store, or several with blanks between them."},
	{.name = "prefix",
         .def = "",
         .type = DIF_STRING,
         .max = 512,
         AT(prefix),
         .help = "Folder of the store that is ours; empty: all of it."},
	{.name = "public_url",
         .type = DIF_URL,
         AT(public_url),
         .help = "Where readers find the site. Checked by difusor check."},
	{.name = "target",
         .type = DIF_STRING,
         .min = 1,
         .max = 253,
         AT(target),
         .help = "Host name or address that the route leads to for this destination. Unless said: "
                 "the host of public_url."},
	{.name = "weight",
         .def = "100",
         .type = DIF_INT,
         .max = 1000,
         AT(weight),
         .help = "Its share of the readers, beside those of the others. 0: a spare, used when no "
                 "other is healthy."},
	{.name = "private",
         .def = "no",
         .type = DIF_BOOL,
         AT(is_private),
         .help = "yes: readers must not get in (public_url has to answer 403 or 404), and no route "
                 "leads here."},
	{.name = "ca_file",
         .type = DIF_FILE_PATH,
         AT(ca_file),
         .help = "PEM file of the authorities to trust for public_url. Unless said: the store's "
                 "where public_url is the store itself, else the system's."},
	{.name = "deep_link",
         .type = DIF_STRING,
         .min = 1,
         .max = 1024,
         AT(deep_link),
         .help = "A path below public_url that is no entry and has to answer 200 with the entry "
                 "page, such as presidencia/nacional/entidad/14. Checked by difusor check."},
	{.name = "ddos_l34",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         AT(ddos_l34),
         .help = "What protects public_url at layers 3 and 4, in words: AWS Shield Standard. "
                 "difusor check warns where nothing is named."},
	{.name = "ddos_l7",
         .type = DIF_STRING,
         .min = 1,
         .max = 256,
         AT(ddos_l7),
         .help = "What protects public_url at layer 7, in words: AWS WAF, rate rule of 2,000 in 5 "
                 "min. difusor check warns where nothing is named."},
	{.name = "grace",
         .def = "10min",
         .type = DIF_DURATION,
         .max = 7 * DAY,
         AT(grace),
         .help = "How long an object that the site names no more stays before it is deleted."},
	{.name = "barrier",
         .def = "30s",
         .type = DIF_DURATION,
         .max = HOUR,
         AT(barrier),
         .help = "How long a destination that is ready waits for the others before it shows the "
                 "new pages."},
	{.name = "adopt",
         .def = "no",
         .type = DIF_BOOL,
         AT(adopt),
         .help = "Whether objects that are not ours may be replaced where the site has the same "
                 "names."},
	{.name = "store_as",
         .type = DIF_ENUM,
         .choices = "identity gzip",
         AT(store_as),
         .help = "How all but entry pages are stored. Unless said, the class decides."},
	{.name = "siblings",
         .type = DIF_ENUM,
         .choices = "gzip",
         AT(siblings),
         .help = "Puts NAME.gz beside each compressible object, for web servers that look for it. "
                 "For the dir store."},
};
#undef AT

#define AT(member) .offset = offsetof(struct dif_config_class, member)
static const struct dif_option class_rows[] = {
	{.name = "match",
         .type = DIF_STRING,
         .flags = DIF_NEEDED,
         .min = 1,
         .max = 4096,
         AT(match),
         .help = "Globs with blanks between them. * and ? stay inside a folder, ** crosses them; a "
                 "glob without / is compared with the last part of a name."},
	{.name = "phase",
         .def = "data",
         .type = DIF_ENUM,
         .choices = "asset data aggregate entry",
         AT(phase),
         .help = "When it is published: assets and data first, then aggregates, entry pages last."},
	{.name = "cache_control",
         .type = DIF_STRING,
         .min = 1,
         .max = 512,
         AT(cache_control),
         .help = "The Cache-Control header."},
	{.name = "content_type",
         .type = DIF_STRING,
         .min = 3,
         .max = 128,
         AT(content_type),
         .help = "The Content-Type header. Unless said, by the name's extension."},
	{.name = "store_as",
         .def = "identity",
         .type = DIF_ENUM,
         .choices = "identity gzip",
         AT(store_as),
         .help = "gzip: stored compressed, with Content-Encoding. Some stores then send it so even "
                 "to clients that did not ask for it."},
};
#undef AT

static const struct {
	const char *kind;
	const struct dif_option *rows;
	uint32_t n;
} kinds[] = {
	{"agent", agent_rows, DIF_LEN(agent_rows)},
	{"source", source_rows, DIF_LEN(source_rows)},
	{"store", store_rows, DIF_LEN(store_rows)},
	{"cdn", cdn_rows, DIF_LEN(cdn_rows)},
	{"destination", destination_rows, DIF_LEN(destination_rows)},
	{"class", class_rows, DIF_LEN(class_rows)},
	{"steering", steering_rows, DIF_LEN(steering_rows)},
	{"health", health_rows, DIF_LEN(health_rows)},
	{"failover", failover_rows, DIF_LEN(failover_rows)},
	{"lease", lease_rows, DIF_LEN(lease_rows)},
};

const char *dif_config_kind(uint32_t i)
{
	return i < DIF_LEN(kinds) ? kinds[i].kind : NULL;
}

const struct dif_option *dif_config_rows(const char *kind, uint32_t *n)
{
	for (size_t i = 0; i < DIF_LEN(kinds); i++) {
		if (strcmp(kinds[i].kind, kind) == 0) {
			*n = kinds[i].n;
			return kinds[i].rows;
		}
	}
	*n = 0;
	return NULL;
}
