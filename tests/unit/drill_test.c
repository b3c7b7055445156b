/* drill - the catalogue, figures and criteria from a timeline, the record as a file, the report. */
#include "support.h"

#include <sys/stat.h>

#include "evidence/drill_kinds.h"
#include "evidence/drill_report.h"
#include "host/inject.h"

#define REPORT_MAX (1u << 20)

TEST(the_catalogue_is_whole)
{
	UNUSED_STATE;
	for (uint32_t i = 0; i < dif_drill_nkinds; i++) {
		const struct dif_drill_kind *k = &dif_drill_kinds[i];
		assert_ptr_equal(dif_drill_kind(k->name), k);
		assert_null(strchr(k->what, '\n'));
		assert_true(strlen(k->shows[0]) > 0 && strlen(k->shows[1]) > 0);
		assert_true(k->length_ms > 0);
		assert_int_equal(k->effect == DIF_INJECT_STATUS, k->status != 0);
		/* readers are led away from one destination only */
		assert_true(!k->moves || (k->strikes & DIF_STRIKES_PUBLIC) != 0);
		assert_true(k->strikes != 0 || k->notice >= DIF_NOTICED_BY_REFUSAL);
	}
	assert_null(dif_drill_kind("cloud-up"));
	assert_null(dif_drill_kind(""));
}

static struct dif_drill_record *moved(void)
{
	static struct dif_drill_record r;
	r = (struct dif_drill_record){.id = "20260607T200001Z-cloud-down",
	                              .drill = "cloud-down",
	                              .destination = "eu",
	                              .profile = "rehearsal",
	                              .version = "1.2.3",
	                              .fingerprint = "abcd",
	                              .moves = true,
	                              .steered = true,
	                              .begun = 1780862401000,
	                              .ended = 1780862500000,
	                              .length_ms = 90000,
	                              .interval_ms = 5000,
	                              .ttl_ms = 60000,
	                              .detection_bound_ms = 20000,
	                              .rto_bound_ms = 90000,
	                              .struck = 17,
	                              .clean = true};
	dif_drill_note(&r, DIF_DRILL_BEGAN, 0, "%s", "eu");
	dif_drill_note(&r, DIF_DRILL_FAULT_SET, 100, "%s", "");
	dif_drill_note(&r, DIF_DRILL_FIRST_FAILURE, 3100, "%s", "connection refused");
	dif_drill_note(&r, DIF_DRILL_NOTICED, 14100, "%s", "3 looks in a row failed");
	dif_drill_note(&r, DIF_DRILL_ROUTE_DECIDED, 14200, "%s", "us 100 %");
	dif_drill_note(&r, DIF_DRILL_ROUTE_STANDS, 15100, "%s", "eu 0, us 40");
	dif_drill_note(&r, DIF_DRILL_TTL_OVER, 75100, "%s", "");
	dif_drill_note(&r, DIF_DRILL_FAULT_LIFTED, 90100, "%s", "");
	dif_drill_note(&r, DIF_DRILL_WHOLE, 92100, "%s", "");
	dif_drill_note(&r, DIF_DRILL_HEALTHY, 99100, "%s", "");
	return &r;
}

static const struct dif_drill_criterion *criterion(const struct dif_drill_record *r, uint32_t id)
{
	for (uint32_t i = 0; i < r->ncriteria; i++) {
		if (r->criteria[i].id == id) {
			return &r->criteria[i];
		}
	}
	return NULL;
}

TEST(figures_follow_from_the_timeline)
{
	UNUSED_STATE;
	struct dif_drill_record *r = moved();
	dif_drill_judge(r);
	assert_int_equal(r->detection_ms, 14000);
	assert_int_equal(r->rto_ms, 15000 + 60000); /* from the fault, and the TTL */
	assert_int_equal(r->rpo_cuts, 0);
	assert_int_equal(r->recovery_ms, 9000); /* the later of healthy and whole */
	assert_int_equal(r->state, DIF_DRILL_PASSED);
	assert_null(criterion(r, DIF_DRILL_STAYS));
}

TEST(without_a_steering_the_decision_counts_and_no_ttl)
{
	UNUSED_STATE;
	struct dif_drill_record *r = moved();
	r->steered = false;
	dif_drill_judge(r);
	assert_int_equal(r->rto_ms, 14100);
}

TEST(each_criterion_alone_fails_it)
{
	UNUSED_STATE;
	for (uint32_t id = 0; id < DIF_DRILL_CRITERIA; id++) {
		struct dif_drill_record *r = moved();
		switch (id) {
		case DIF_DRILL_DETECTION:
			r->detection_bound_ms = 13999;
			break;
		case DIF_DRILL_RTO:
			r->rto_bound_ms = 74999;
			break;
		case DIF_DRILL_RPO:
			r->behind = 1;
			break;
		case DIF_DRILL_STAYS:
			r->moves = false;
			r->route_changed = true;
			break;
		case DIF_DRILL_OTHERS:
			r->others_bad = true;
			break;
		default:
			r->clean = false;
			break;
		}
		dif_drill_judge(r);
		assert_int_equal(r->state, DIF_DRILL_FAILED);
		for (uint32_t i = 0; i < r->ncriteria; i++) {
			assert_int_equal(r->criteria[i].good, r->criteria[i].id != id);
		}
	}
}

TEST(what_was_never_noticed_or_moved_fails)
{
	UNUSED_STATE;
	struct dif_drill_record *r = moved();
	r->nevents = 3;
	r->behind = -1;
	dif_drill_judge(r);
	assert_int_equal(r->detection_ms, -1);
	assert_int_equal(r->rto_ms, -1);
	assert_int_equal(r->rpo_cuts, -1);
	assert_int_equal(r->state, DIF_DRILL_FAILED);
	assert_false(criterion(r, DIF_DRILL_DETECTION)->good);
	assert_false(criterion(r, DIF_DRILL_RTO)->good);
	assert_false(criterion(r, DIF_DRILL_RPO)->good);
}

TEST(a_stop_stays_a_stop)
{
	UNUSED_STATE;
	struct dif_drill_record *r = moved();
	r->state = DIF_DRILL_WAS_STOPPED;
	dif_drill_judge(r);
	assert_int_equal(r->state, DIF_DRILL_WAS_STOPPED);
}

TEST(events_are_bounded)
{
	UNUSED_STATE;
	struct dif_drill_record *r = moved();
	for (uint32_t i = 0; i < 2 * DIF_DRILL_EVENTS; i++) {
		dif_drill_note(r, DIF_DRILL_VERDICT, i, "%300d", 1);
	}
	assert_int_equal(r->nevents, DIF_DRILL_EVENTS);
}

TEST(a_record_reads_as_it_was_written)
{
	UNUSED_STATE;
	struct dif_buf out;
	static struct dif_drill_record back;
	struct dif_drill_record *r = moved();
	dif_buf_init(&out, REPORT_MAX);
	dif_drill_judge(r);
	assert_true(dif_drill_write(r, &out));
	assert_true(dif_drill_parse((struct dif_bytes){out.p, out.n}, &back, NULL));
	assert_memory_equal(&back, r, sizeof back);
	dif_buf_fini(&out);
}

TEST(what_is_no_record_is_refused)
{
	UNUSED_STATE;
	static const char *const bad[] = {"", "{", "[]", "{}", "{\"state\":\"done\"}", "7"};
	static struct dif_drill_record back;
	struct dif_error err;
	for (size_t i = 0; i < DIF_LEN(bad); i++) {
		err = (struct dif_error){0};
		assert_false(
			dif_drill_parse((struct dif_bytes){bad[i], strlen(bad[i])}, &back, &err));
		assert_int_not_equal(err.cls, DIF_OK);
	}
}

static const char *report(const struct dif_drill_record *r, const struct dif_drill_record *earlier,
                          uint32_t n, bool html, enum dif_report_language l, struct dif_buf *out)
{
	dif_buf_init(out, REPORT_MAX);
	assert_true(dif_drill_report(r, "0123abcd", earlier, n, html, l, out));
	return dif_buf_str(out);
}

#define HAS(text, part) assert_non_null(strstr(text, part))

TEST(a_report_tells_it_in_both_languages)
{
	UNUSED_STATE;
	struct dif_buf out;
	struct dif_drill_record *r = moved();
	dif_drill_judge(r);
	const char *en = report(r, NULL, 0, false, DIF_REPORT_EN, &out);
	HAS(en, "SIMULACRO");
	HAS(en, "# Drill: cloud-down\n");
	HAS(en, "| Result | PASSED |");
	HAS(en, "| RTO: readers served again after | 75.0 s |");
	HAS(en, "| RPO: cuts lost to readers | 0 cuts |");
	HAS(en, "| Configured interval | 5.0 s |");
	HAS(en, "| noticed in time | 14.0 s | 20.0 s | met |");
	HAS(en, "| +15.000 s | route applied and read back | eu 0, us 40 |");
	HAS(en, "| -0.100 s | drill begins | eu |");
	HAS(en, "This is the first drill of its kind.");
	HAS(en, "0123abcd");
	dif_buf_fini(&out);
	const char *es = report(r, NULL, 0, false, DIF_REPORT_ES, &out);
	HAS(es, "# Simulacro: cloud-down\n");
	HAS(es, "| Resultado | APROBADO |");
	HAS(es, "falla retirada");
	HAS(es, "ruta aplicada y leída de vuelta");
	dif_buf_fini(&out);
}

TEST(a_report_shows_the_trend)
{
	UNUSED_STATE;
	struct dif_buf out;
	static struct dif_drill_record earlier[2];
	struct dif_drill_record *r = moved();
	dif_drill_judge(r);
	earlier[0] = earlier[1] = *r;
	earlier[0].begun -= 86400000;
	earlier[0].rto_ms = 99000;
	earlier[0].state = DIF_DRILL_FAILED;
	const char *en = report(r, earlier, 2, false, DIF_REPORT_EN, &out);
	HAS(en, "| eu | 99.0 s | 0 cuts | 14.0 s | FAILED |");
	assert_null(strstr(en, "first drill"));
	dif_buf_fini(&out);
}

TEST(what_a_peer_said_is_no_markup)
{
	UNUSED_STATE;
	struct dif_buf out;
	struct dif_drill_record *r = moved();
	dif_drill_note(r, DIF_DRILL_VERDICT, 1, "%s", "<script>alert(1)</script> | [x](y) & \"");
	dif_drill_judge(r);
	const char *html = report(r, NULL, 0, true, DIF_REPORT_EN, &out);
	HAS(html, "<html lang=en>");
	HAS(html, "&#60;script&#62;");
	assert_null(strstr(html, "<script"));
	dif_buf_fini(&out);
	const char *md = report(r, NULL, 0, false, DIF_REPORT_EN, &out);
	HAS(md, "\\<script\\>");
	HAS(md, "\\| \\[x\\](y)");
	dif_buf_fini(&out);
}

TEST(records_and_reports_lie_in_the_state)
{
	UNUSED_STATE;
	const char *state = test_folder();
	char path[256], digest[65];
	uint32_t n = 0;
	struct stat st;
	struct dif_arena a;
	struct dif_error err = {0};
	static struct dif_drill_record back;
	struct dif_drill_record *r = moved();
	dif_arena_init(&a, 1u << 20, false);
	(void)dif_drill_ids(&a, state, &n);
	assert_int_equal(n, 0);
	dif_drill_judge(r);
	assert_true(dif_drill_save(state, r, &err));
	assert_true(dif_drill_report_save(state, r->id, &err));
	snprintf(path, sizeof path, "%s/drills/%s/report.es.html", state, r->id);
	assert_int_equal(stat(path, &st), 0);
	const char *const *ids = dif_drill_ids(&a, state, &n);
	assert_int_equal(n, 1);
	assert_string_equal(ids[0], r->id);
	assert_true(dif_drill_load(state, ids[0], &back, digest, &err));
	assert_int_equal(strlen(digest), 64);
	assert_false(dif_drill_load(state, "../..", &back, NULL, &err));
	assert_int_equal(err.cls, DIF_NOT_FOUND);
	assert_false(dif_drill_load(state, "", &back, NULL, &err));
	dif_arena_fini(&a);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_catalogue_is_whole),
		cmocka_unit_test(figures_follow_from_the_timeline),
		cmocka_unit_test(without_a_steering_the_decision_counts_and_no_ttl),
		cmocka_unit_test(each_criterion_alone_fails_it),
		cmocka_unit_test(what_was_never_noticed_or_moved_fails),
		cmocka_unit_test(a_stop_stays_a_stop),
		cmocka_unit_test(events_are_bounded),
		cmocka_unit_test(a_record_reads_as_it_was_written),
		cmocka_unit_test(what_is_no_record_is_refused),
		cmocka_unit_test(a_report_tells_it_in_both_languages),
		cmocka_unit_test(a_report_shows_the_trend),
		cmocka_unit_test(what_a_peer_said_is_no_markup),
		cmocka_unit_test(records_and_reports_lie_in_the_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
