#include "world.h"

#include "flow/audit.h"
#include "flow/cut.h"
#include "flow/cut_private.h"

#define BUDGET (8u << 20)

static const struct file first[] = {
	{"index.html", INDEX("1")},
	{"a.json", "{\"a\":1}"},
	{"old.json", "{}"},
	{"meta.json", "{\"cut\":{\"when\":[\"2026-06-07T20:00:00Z\",17]}}"},
};
static const struct file second[] = {
	{"index.html", INDEX("2")},
	{"a.json", "{\"a\":2}"},
	{"meta.json", "{\"cut\":{\"when\":[\"2026-06-07T20:15:00Z\",18]}}"},
};

struct ended {
	struct world *w;
	int exit;
	struct dif_error err;
	struct dif_order order;
	bool published;
	uint64_t puts, removed, puts_of;
};

static void on_ended(void *data, int exit, const struct dif_error *err,
                     const struct dif_order *order, const struct dif_publication *p)
{
	struct ended *e = data;
	e->exit = exit;
	e->err = *err;
	e->order = *order;
	e->published = p != NULL;
	e->puts = e->removed = e->puts_of = 0;
	for (uint32_t i = 0; p != NULL && i < dif_publication_count(p); i++) {
		const struct dif_delivery_counts *c = dif_delivery_counts(dif_publication_at(p, i));
		e->puts += c->puts;
		e->puts_of += c->puts_of;
		e->removed += c->removed;
	}
	e->w->done = true;
}

static const struct dif_cut_events events = {NULL, on_ended};

static struct world *world_with_archive(void)
{
	struct world *w = world_new(BUDGET);
	struct dif_error err = {0};
	char path[600];
	snprintf(path, sizeof path, "%s/archive", w->folder);
	w->setup.archive = dif_archive_open(path, &err);
	assert_non_null(w->setup.archive);
	return w;
}

static void close_world(struct world *w)
{
	dif_archive_close(w->setup.archive);
	world_free(w);
}

static struct ended run(struct world *w, const struct dif_cut_job *job)
{
	struct ended e = {.w = w};
	assert_non_null(dif_cut_start(job, &events, &e));
	world_wait(w);
	return e;
}

static struct ended publish(struct world *w, const char *name, const struct file *files, uint32_t n)
{
	char path[600];
	snprintf(path, sizeof path, "%s/%s", w->folder, name);
	world_write(path, files, n);
	struct dif_cut_job job = {.setup = &w->setup, .file = path, .name = name};
	return run(w, &job);
}

static void status_of(void *data, const struct dif_cut *c)
{
	char *text = data;
	size_t n = strlen(text);
	snprintf(text + n, 256 - n, "%s:%u ", c->name, c->status);
}

static void check_cuts(struct world *w, const char *expected)
{
	char text[256] = "";
	dif_state_cuts(w->setup.state, 100, status_of, text);
	assert_string_equal(text, expected);
}

TEST(a_package_is_archived_published_and_live_everywhere)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	struct ended e = publish(w, "one.zip", first, DIF_LEN(first));
	assert_int_equal(e.exit, 0);
	assert_int_equal(e.puts, 8);
	assert_true(dif_archive_has(w->setup.archive, e.order.sha256));
	check_text(w->store[1], "index.html", first[0].text);
	check_cuts(w, "one.zip:1 ");
	struct ended f = publish(w, "two.zip", second, DIF_LEN(second));
	assert_int_equal(f.exit, 0);
	assert_true(f.order.number > e.order.number);
	assert_int_equal(f.order.epoch, e.order.epoch);
	check_cuts(w, "two.zip:1 one.zip:2 ");
	check_text(w->store[0], "a.json", second[1].text);
	close_world(w);
}

TEST(the_same_package_again_is_nothing_new_until_something_is_missing)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	w->store[0]->nlog = w->store[1]->nlog = 0;
	struct ended e = publish(w, "again.zip", first, DIF_LEN(first));
	assert_int_equal(e.exit, 9);
	assert_int_equal(e.err.cls, DIF_OK);
	assert_false(e.published);
	assert_int_equal(w->store[0]->nlog + w->store[1]->nlog, 0);
	world_restart(w);
	assert_int_equal(publish(w, "again.zip", first, DIF_LEN(first)).exit, 9);

	w->classes[0].cache_control = "max-age=6"; /* names total.json only: nothing to write */
	assert_int_equal(publish(w, "again.zip", first, DIF_LEN(first)).exit, 0);
	assert_int_equal(publish(w, "again.zip", first, DIF_LEN(first)).exit, 9);

	struct dif_held lost = *dif_destination_held(&w->destinations[1], "a.json");
	lost.unknown = true;
	mem_drop(w->store[1], "a.json");
	assert_non_null(dif_destination_keep(&w->destinations[1], &lost));
	e = publish(w, "again.zip", first, DIF_LEN(first));
	assert_int_equal(e.exit, 0);
	assert_int_equal(e.puts, 1);
	check_text(w->store[1], "a.json", first[1].text);
	close_world(w);
}

TEST(due_orphans_go_also_where_nothing_is_new)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	w->to[0].grace = w->to[1].grace = 1;
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	assert_int_equal(publish(w, "two.zip", second, DIF_LEN(second)).exit, 0);
	int64_t end = dif_steady_ms() + PATIENCE_MS;
	uint64_t removed = 0;
	while (removed < 2) { /* a millisecond may not have passed yet */
		assert_true(dif_steady_ms() < end);
		struct ended e = publish(w, "two.zip", second, DIF_LEN(second));
		assert_int_equal(e.exit, 9);
		removed += e.removed;
	}
	assert_null(mem_find(w->store[0], "old.json"));
	assert_null(mem_find(w->store[1], "old.json"));
	close_world(w);
}

TEST(an_older_cut_is_archived_and_refused)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	char path[600];
	snprintf(path, sizeof path, "%s/late.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_cut_job job = {.setup = &w->setup, .file = path, .name = "late.zip"};
	job.modified_ms = 1000;
	assert_int_equal(publish(w, "two.zip", second, DIF_LEN(second)).exit, 0);
	struct ended e = run(w, &job);
	assert_int_equal(e.exit, 16);
	assert_non_null(strstr(e.err.text, "two.zip"));
	assert_int_equal(e.order.number, 1000);
	assert_true(dif_archive_has(w->setup.archive, e.order.sha256));
	check_text(w->store[0], "a.json", second[1].text);
	/* once seen, its number stays, also by `publish` */
	job.modified_ms = 0;
	assert_int_equal(run(w, &job).exit, 16);
	check_cuts(w, "two.zip:1 late.zip:0 ");
	close_world(w);
}

TEST(what_is_kept_only_is_delivered_by_a_later_repair_without_reading_it_again)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	char path[600];
	struct ended r = {.w = w};
	struct dif_error err = {0};
	snprintf(path, sizeof path, "%s/two.zip", w->folder);
	world_write(path, second, DIF_LEN(second));
	struct dif_cut_job job = {
		.setup = &w->setup, .file = path, .name = "two.zip", .keep_only = true};
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	struct ended e = run(w, &job);
	assert_int_equal(e.exit, 16);
	assert_false(e.published);
	assert_non_null(strstr(e.err.text, "another agent has the lease"));
	assert_true(dif_archive_has(w->setup.archive, e.order.sha256));
	struct dif_manifest *m = dif_state_manifest(w->setup.state, e.order.sha256, &err);
	assert_non_null(m);
	dif_manifest_unref(m);
	check_text(w->store[0], "a.json", first[1].text);
	check_cuts(w, "two.zip:0 one.zip:1 ");
	struct dif_cut_job repair = {.setup = &w->setup};
	dif_cut_repair(&repair, &events, &r);
	world_wait(w);
	assert_int_equal(r.exit, 0);
	check_text(w->store[0], "a.json", second[1].text);
	check_cuts(w, "two.zip:1 one.zip:2 ");
	close_world(w);
}

TEST(a_rehearsal_never_reaches_production)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	const struct file files[] = {{"SIMULACRO.json", "{}"}, {"index.html", INDEX("1")}};
	struct ended e = publish(w, "sim.zip", files, 2);
	assert_int_equal(e.exit, 16);
	assert_int_equal(w->store[0]->nlog, 0);
	check_cuts(w, "sim.zip:3 ");
	w->config.profile = DIF_REHEARSAL;
	assert_int_equal(publish(w, "sim.zip", files, 2).exit, 0);
	check_cuts(w, "sim.zip:1 ");
	close_world(w);
}

TEST(a_package_without_a_site_is_refused_and_remembered)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	const struct file files[] = {{"page.html", "<p>"}};
	struct ended e = publish(w, "bad.zip", files, 1);
	assert_int_equal(e.exit, 6);
	assert_int_equal(w->store[0]->nlog, 0);
	check_cuts(w, "bad.zip:3 ");
	close_world(w);
}

TEST(a_wrong_side_car_is_exit_5_also_for_what_is_live)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	char path[600], digest[620];
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	snprintf(digest, sizeof digest, "%s.sha256", path);
	struct dif_cut_job job = {.setup = &w->setup, .file = path, .digest = digest};
	test_write(digest, "00000000000000000000000000000000000000000000000000000000000000ff\n",
	           65);
	assert_int_equal(run(w, &job).exit, 5);
	char sha[80];
	struct dif_error err = {0};
	struct dif_package *p = dif_package_open(path, NULL, &err);
	snprintf(sha, sizeof sha, "%s  one.zip\n", p->sha256);
	dif_package_close(p);
	test_write(digest, sha, strlen(sha));
	assert_int_equal(run(w, &job).exit, 9);
	close_world(w);
}

TEST(a_dry_run_leaves_no_trace)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	char path[600];
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_cut_job job = {
		.setup = &w->setup, .file = path, .name = "one.zip", .dry_run = true};
	struct ended e = run(w, &job);
	assert_int_equal(e.exit, 0);
	assert_int_equal(e.puts, 0);
	assert_int_equal(e.puts_of, 8);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, NULL), 0);
	assert_false(dif_archive_has(w->setup.archive, e.order.sha256));
	check_cuts(w, "");
	struct dif_state *state = w->setup.state; /* as without any state yet */
	struct dif_archive *archive = w->setup.archive;
	struct dif_spool *spool = w->setup.spool;
	w->setup.state = NULL;
	w->setup.archive = NULL;
	w->setup.spool = NULL;
	e = run(w, &job);
	assert_int_equal(e.exit, 0);
	assert_int_equal(e.puts_of, 8);
	w->setup.state = state;
	w->setup.archive = archive;
	w->setup.spool = spool;
	close_world(w);
}

TEST(a_destination_that_missed_a_cut_is_repaired_alone)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	const uint32_t only = 0, other = 1;
	char path[600];
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_cut_job job = {.setup = &w->setup, .file = path, .only = &only, .nonly = 1};
	assert_int_equal(run(w, &job).exit, 0);
	assert_int_equal(w->store[1]->nobjects, 0);
	struct dif_cut_job again = {.setup = &w->setup, .only = &other, .nonly = 1};
	struct ended e = {.w = w};
	assert_non_null(dif_cut_repair(&again, &events, &e));
	world_wait(w);
	assert_int_equal(e.exit, 0);
	assert_int_equal(e.puts, 4);
	check_text(w->store[1], "index.html", first[0].text);
	assert_non_null(dif_cut_repair(&again, &events, &e));
	world_wait(w);
	assert_int_equal(e.exit, 9);
	close_world(w);
}

TEST(a_repair_without_any_cut_has_nothing_to_do)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	struct dif_cut_job job = {.setup = &w->setup};
	struct ended e = {.w = w};
	assert_non_null(dif_cut_repair(&job, &events, &e));
	assert_false(w->done);
	world_wait(w);
	assert_int_equal(e.exit, 9);
	close_world(w);
}

static bool is_at_the_entry_page(void *data)
{
	struct dif_instance *s = data;
	for (struct dif_link *l = s->queue.next; l != &s->queue; l = l->next) {
		const struct dif_op_run *r = DIF_ENTRY(l, struct dif_op_run, link);
		if (r->verb == DIF_PUT && strcmp(mem_put_of(r)->key, "index.html") == 0) {
			return true;
		}
	}
	return false;
}

TEST(a_repair_that_ends_after_a_newer_cut_does_not_take_its_place)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	const uint32_t eu = 0, us = 1;
	char path[600];
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_cut_job one = {
		.setup = &w->setup, .file = path, .name = "one.zip", .only = &eu, .nonly = 1};
	assert_int_equal(run(w, &one).exit, 0);

	w->store[us]->stuck = "index.html"; /* past the barrier nothing newer ends it */
	struct dif_cut_job alone = {.setup = &w->setup, .only = &us, .nonly = 1};
	struct ended repaired = {.w = w};
	assert_non_null(dif_cut_repair(&alone, &events, &repaired));
	world_until(w, is_at_the_entry_page, w->store[us]);
	snprintf(path, sizeof path, "%s/two.zip", w->folder);
	world_write(path, second, DIF_LEN(second));
	struct dif_cut_job two = {
		.setup = &w->setup, .file = path, .name = "two.zip", .only = &eu, .nonly = 1};
	assert_int_equal(run(w, &two).exit, 0);
	check_cuts(w, "two.zip:1 one.zip:2 ");
	w->store[us]->stuck = NULL;
	mem_wake(w->store[us]);
	world_wait(w);
	assert_int_equal(repaired.exit, 0);
	check_text(w->store[us], "index.html", first[0].text);
	check_cuts(w, "two.zip:1 one.zip:2 ");

	struct dif_cut_job all = {.setup = &w->setup};
	struct ended e = {.w = w};
	assert_non_null(dif_cut_repair(&all, &events, &e));
	world_wait(w);
	assert_int_equal(e.exit, 0);
	check_text(w->store[eu], "index.html", second[0].text);
	check_text(w->store[us], "index.html", second[0].text);
	close_world(w);
}

static char *archived(struct world *w, const struct dif_order *order)
{
	char *path = dif_archive_path(w->setup.archive, order->sha256);
	assert_non_null(path);
	return path;
}

TEST(an_archived_cut_that_proves_unfit_does_not_stand_before_the_live_one)
{
	UNUSED_STATE;
	static const struct file siteless[] = {{"a.json", "{}"}};
	struct world *w = world_with_archive();
	const uint32_t eu = 0;
	char path[600];
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_cut_job one = {
		.setup = &w->setup, .file = path, .name = "one.zip", .only = &eu, .nonly = 1};
	assert_int_equal(run(w, &one).exit, 0);
	snprintf(path, sizeof path, "%s/bad.zip", w->folder);
	world_write(path, siteless, DIF_LEN(siteless));
	struct dif_cut_job bad = {
		.setup = &w->setup, .file = path, .name = "bad.zip", .archive_only = true};
	assert_int_equal(run(w, &bad).exit, 16);
	check_cuts(w, "bad.zip:0 one.zip:1 ");

	struct dif_cut_job all = {.setup = &w->setup};
	struct ended e = {.w = w};
	assert_non_null(dif_cut_repair(&all, &events, &e));
	world_wait(w);
	assert_int_equal(e.exit, 6);
	check_cuts(w, "bad.zip:3 one.zip:1 ");
	assert_non_null(dif_cut_repair(&all, &events, &e));
	world_wait(w);
	assert_int_equal(e.exit, 0);
	check_text(w->store[1], "index.html", first[0].text);
	close_world(w);
}

TEST(what_the_archive_lost_is_told_and_comes_back_with_the_package)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	struct ended one = publish(w, "one.zip", first, DIF_LEN(first));
	struct ended two = publish(w, "two.zip", second, DIF_LEN(second));
	char *of_one = archived(w, &one.order), *of_two = archived(w, &two.order);
	struct stat before, after;
	assert_int_equal(stat(of_one, &before), 0);
	assert_int_equal(truncate(of_one, 10), 0);
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 16);
	assert_int_equal(stat(of_one, &after), 0);
	assert_int_equal(after.st_size, before.st_size);

	assert_int_equal(unlink(of_two), 0);
	assert_int_equal(link(of_one, of_two), 0);
	struct dif_cut_job all = {.setup = &w->setup};
	struct ended e = {.w = w};
	assert_non_null(dif_cut_repair(&all, &events, &e));
	world_wait(w);
	assert_int_equal(e.exit, 1);
	assert_false(e.published);
	assert_string_equal(e.order.sha256, two.order.sha256);
	assert_non_null(strstr(e.err.text, "publish that package again"));
	free(of_one);
	free(of_two);
	close_world(w);
}

TEST(a_canceled_cut_ends)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	char path[600];
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_cut_job job = {.setup = &w->setup, .file = path};
	struct ended e = {.w = w};
	struct dif_cut_run *r = dif_cut_start(&job, &events, &e);
	dif_cut_cancel(r);
	world_wait(w);
	assert_int_equal(e.exit, 1);
	assert_int_equal(mem_count(w->store[0], DIF_PUT, NULL), 0);
	close_world(w);
}

TEST(numbers_come_from_names_and_json)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	struct dif_error err = {0};
	int64_t n = 0;
	assert_true(
		dif_cut_number_of_name("([0-9]{8}_[0-9]{4})", "PREP_20240603_2005.zip", &n, &err));
	assert_int_equal(n, 202406032005);
	assert_true(dif_cut_number_of_name("[0-9]+", "cut-17.zip", &n, &err));
	assert_int_equal(n, 17);
	assert_false(dif_cut_number_of_name("([0-9]+)$", "cut.zip", &n, &err));
	assert_int_equal(err.exit, 6);
	assert_false(dif_cut_number_of_name("(", "cut.zip", &n, &err));
	assert_int_equal(err.exit, 3);

	char path[600];
	snprintf(path, sizeof path, "%s/one.zip", w->folder);
	world_write(path, first, DIF_LEN(first));
	struct dif_package *p = dif_package_open(path, NULL, &err);
	assert_non_null(p);
	assert_true(dif_cut_number_of_json("meta.json#/cut/when/1", p, &n, &err));
	assert_int_equal(n, 17);
	assert_true(dif_cut_number_of_json("meta.json#/cut/when/0", p, &n, &err));
	assert_int_equal(n, 1780862400000);
	assert_false(dif_cut_number_of_json("meta.json#/cut/when/2", p, &n, &err));
	assert_false(dif_cut_number_of_json("meta.json#/cut/who", p, &n, &err));
	assert_false(dif_cut_number_of_json("none.json#/cut", p, &n, &err));
	assert_int_equal(err.exit, 6);
	dif_package_close(p);
	struct dif_cut_job job = {.setup = &w->setup, .file = path, .name = "one.zip"};
	job.order = "json:meta.json#/cut/when/1";
	struct ended e = run(w, &job);
	assert_int_equal(e.exit, 0);
	assert_int_equal(e.order.number, 17);
	close_world(w);
}

/* --- audit --- */

struct audited {
	struct world *w;
	uint32_t found[DIF_STALE + 1];
	struct dif_audit_counts counts;
	struct dif_error err;
};

static void on_finding(void *data, const struct dif_finding *f)
{
	((struct audited *)data)->found[f->what]++;
}

static void on_audited(void *data, const struct dif_audit_counts *counts,
                       const struct dif_error *err)
{
	struct audited *a = data;
	a->counts = *counts;
	a->err = *err;
	a->w->done = true;
}

static struct audited audit(struct world *w)
{
	struct audited a = {.w = w};
	dif_audit_start(&w->setup, 0, on_finding, NULL, on_audited, &a);
	world_wait(w);
	return a;
}

TEST(an_audit_finds_what_is_wrong_and_nothing_else)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	assert_int_equal(audit(w).err.cls, DIF_NOT_FOUND);
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	assert_int_equal(publish(w, "two.zip", second, DIF_LEN(second)).exit, 0);
	mem_set(w->store[0], "stranger.txt", "s", 1);
	struct audited a = audit(w);
	assert_int_equal(a.err.cls, DIF_OK);
	assert_int_equal(a.counts.objects, 3);
	assert_int_equal(a.counts.findings, 0);
	assert_int_equal(a.counts.foreign, 1);
	assert_int_equal(a.counts.due_later, 1); /* old.json has its grace */

	struct mem_object *o = mem_find(w->store[0], "a.json");
	o->p[0] ^= 1;
	mem_drop(w->store[0], "index.html");
	snprintf(mem_find(w->store[0], "meta.json")->type, 64, "text/plain");
	o = mem_set(w->store[0], "surplus.json", "{}", 2);
	mem_meta(o, "epoch", "1");
	mem_meta(o, "order", "5");
	mem_meta(o, "sha256", "00000000000000000000000000000000000000000000000000000000000000ff");
	a = audit(w);
	assert_int_equal(a.found[DIF_DIFFERS], 1);
	assert_int_equal(a.found[DIF_MISSING], 1);
	assert_int_equal(a.found[DIF_WRONG_HEADERS], 1);
	assert_int_equal(a.found[DIF_SURPLUS], 1);
	assert_int_equal(a.found[DIF_STALE], 0);
	assert_int_equal(a.counts.findings, 4);
	close_world(w);
}

TEST(an_audit_without_a_state_asks_the_marker_and_the_archive)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	struct dif_state *state = w->setup.state;
	w->setup.state = NULL;
	w->store[0]->caps.flags &= ~(uint32_t)DIF_CAP_LIST_META;
	struct audited a = audit(w);
	assert_int_equal(a.err.cls, DIF_OK);
	assert_int_equal(a.counts.objects, 4);
	assert_int_equal(a.counts.findings, 0);
	w->setup.state = state;
	mem_drop(w->store[0], ".difusor/live");
	a = audit(w);
	assert_int_equal(a.found[DIF_STALE], 1);
	close_world(w);
}

TEST(an_audit_of_a_listing_without_end_ends)
{
	UNUSED_STATE;
	struct world *w = world_with_archive();
	assert_int_equal(publish(w, "one.zip", first, DIF_LEN(first)).exit, 0);
	w->store[0]->circles = true;
	struct audited a = audit(w);
	assert_int_equal(a.err.cls, DIF_PERMANENT);
	assert_non_null(strstr(a.err.text, "circles"));
	assert_int_equal(a.counts.objects, 4); /* they were read before */
	close_world(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_package_is_archived_published_and_live_everywhere),
		cmocka_unit_test(the_same_package_again_is_nothing_new_until_something_is_missing),
		cmocka_unit_test(due_orphans_go_also_where_nothing_is_new),
		cmocka_unit_test(an_older_cut_is_archived_and_refused),
		cmocka_unit_test(
			what_is_kept_only_is_delivered_by_a_later_repair_without_reading_it_again),
		cmocka_unit_test(a_rehearsal_never_reaches_production),
		cmocka_unit_test(a_package_without_a_site_is_refused_and_remembered),
		cmocka_unit_test(a_wrong_side_car_is_exit_5_also_for_what_is_live),
		cmocka_unit_test(a_dry_run_leaves_no_trace),
		cmocka_unit_test(a_destination_that_missed_a_cut_is_repaired_alone),
		cmocka_unit_test(a_repair_without_any_cut_has_nothing_to_do),
		cmocka_unit_test(a_repair_that_ends_after_a_newer_cut_does_not_take_its_place),
		cmocka_unit_test(
			an_archived_cut_that_proves_unfit_does_not_stand_before_the_live_one),
		cmocka_unit_test(what_the_archive_lost_is_told_and_comes_back_with_the_package),
		cmocka_unit_test(a_canceled_cut_ends),
		cmocka_unit_test(numbers_come_from_names_and_json),
		cmocka_unit_test(an_audit_finds_what_is_wrong_and_nothing_else),
		cmocka_unit_test(an_audit_without_a_state_asks_the_marker_and_the_archive),
		cmocka_unit_test(an_audit_of_a_listing_without_end_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
