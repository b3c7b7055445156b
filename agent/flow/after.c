#include "flow/after.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/barrier.h"
#include "base/list.h"
#include "base/log.h"

#define LIMIT_MS 30000 /* a reload of a proxy takes a second */
#define GRACE_MS 5000  /* from SIGTERM to SIGKILL */
#define VALUE_MAX 1024

struct dif_after {
	struct dif_barrier barrier;
	struct dif_engine *engine;
	const char *name;
	const char *const *command;
	uv_process_t process;
	uv_timer_t timer;
	bool running, again, closing, late;
	char record[VALUE_MAX], route[VALUE_MAX];
};

static void start(struct dif_after *a);

static void on_gone(struct dif_barrier *b)
{
	free(DIF_ENTRY(b, struct dif_after, barrier));
}

static void on_process_closed(uv_handle_t *h)
{
	struct dif_after *a = h->data;
	a->running = false;
	if (a->again && !a->closing) {
		start(a);
	}
	dif_release(&a->barrier);
}

static void on_ended(uv_process_t *p, int64_t status, int signal)
{
	struct dif_after *a = p->data;
	bool good = status == 0 && signal == 0;
	uv_timer_stop(&a->timer);
	dif_log(good ? DIF_LOG_INFO : DIF_LOG_WARNING, "after",
	        "steering=%s program=%s exit=%lld signal=%d%s", dif_q(a->name),
	        dif_q(a->command[0]), (long long)status, signal,
	        a->late ? " reason=\"it did not end within 30 s\"" : "");
	uv_close((uv_handle_t *)p, on_process_closed);
}

/* The whole session, so that what it started ends with it. */
static void on_late(uv_timer_t *t)
{
	struct dif_after *a = t->data;
	uv_kill(-a->process.pid, a->late ? SIGKILL : SIGTERM);
	a->late = true;
	uv_timer_start(t, on_late, GRACE_MS, 0);
}

static void start(struct dif_after *a)
{
	char record[VALUE_MAX + 32], route[VALUE_MAX + 32], steering[128];
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin", lang[] = "LANG=C.UTF-8";
	snprintf(record, sizeof record, "DIFUSOR_RECORD=%s", a->record);
	snprintf(route, sizeof route, "DIFUSOR_ROUTE=%s", a->route);
	snprintf(steering, sizeof steering, "DIFUSOR_STEERING=%s", a->name);
	char *environment[] = {path, lang, steering, record, route, NULL};
	uv_process_options_t o = {.exit_cb = on_ended,
	                          .file = a->command[0],
	                          .args = (char **)(uintptr_t)a->command, /* only read */
	                          .env = environment,
	                          .cwd = "/",
	                          .flags = UV_PROCESS_DETACHED};
	a->again = a->late = false;
	a->running = true;
	dif_hold(&a->barrier);
	a->process.data = a;
	int rc = uv_spawn(&a->engine->loop, &a->process, &o);
	if (rc != 0) {
		dif_log(DIF_LOG_WARNING, "after", "steering=%s program=%s reason=%s",
		        dif_q(a->name), dif_q(a->command[0]), dif_q(uv_strerror(rc)));
		uv_close((uv_handle_t *)&a->process, on_process_closed);
		return;
	}
	uv_timer_start(&a->timer, on_late, LIMIT_MS, 0);
}

struct dif_after *dif_after_open(struct dif_engine *e, const char *name, const char *const *command)
{
	struct dif_after *a = calloc(1, sizeof *a);
	if (a == NULL) {
		return NULL;
	}
	dif_barrier_init(&a->barrier, on_gone);
	a->engine = e;
	a->name = name;
	a->command = command;
	uv_timer_init(&e->loop, &a->timer);
	a->timer.data = a;
	return a;
}

void dif_after_run(struct dif_after *a, const char *record, const char *route)
{
	snprintf(a->record, sizeof a->record, "%s", record);
	snprintf(a->route, sizeof a->route, "%s", route);
	a->again = true;
	if (!a->running) {
		start(a);
	}
}

static void on_timer_closed(uv_handle_t *h)
{
	dif_release(&((struct dif_after *)h->data)->barrier);
}

void dif_after_close(struct dif_after *a)
{
	if (a == NULL) {
		return;
	}
	a->closing = true;
	if (a->running && uv_is_active((uv_handle_t *)&a->process)) {
		uv_kill(-a->process.pid, SIGKILL);
	}
	uv_close((uv_handle_t *)&a->timer, on_timer_closed);
}
