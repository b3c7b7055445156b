/* contract_files - stores that ask file calls, on a temporary folder: what one case leaves, the
 * next one finds. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/path.h"
#include "rehearsal/contract_private.h"

#define NONE DIF_F_NONE

static const struct {
	const char *name;
	struct dif_trial trial;
} rows[] = {
	{"probe", {.verb = DIF_PROBE}},
	{"head: absent", {.verb = DIF_HEAD, .cls = DIF_NOT_FOUND}},
	{"remove: absent", {.verb = DIF_REMOVE}},
	{"put: created", {.verb = DIF_PUT}},
	{"list: the last page", {.verb = DIF_LIST, .is_last = true}},
	{"head: found", {.verb = DIF_HEAD}},
	{"get", {.verb = DIF_GET}},
	{"get: from the middle", {.verb = DIF_GET, .is_part = true}},
	{"put: created, but it is there", {.verb = DIF_PUT, .cls = DIF_CONFLICT}},
	{"put: replaced", {.verb = DIF_PUT, .replaces = true}},
	{"head: the replaced one", {.verb = DIF_HEAD}},
	{"remove", {.verb = DIF_REMOVE}},
	{"put: precondition lost", {.verb = DIF_PUT, .replaces = true, .cls = DIF_CONFLICT}},
	{"head: it stayed away", {.verb = DIF_HEAD, .cls = DIF_NOT_FOUND}},
};

static void run(struct dif_suite *s, const struct dif_trial *row)
{
	struct dif_trial t = *row;
	for (uint32_t i = 0; i < DIF_STEPS_MAX; i++) {
		t.steps[i] = NONE;
	}
	t.readback = NONE;
	dif_trial_run(s, &t);
}

static void run_round(struct dif_suite *s, const char *name)
{
	static const struct dif_trial round[] = {
		{.verb = DIF_PUT}, {.verb = DIF_HEAD},   {.verb = DIF_LIST, .is_last = true},
		{.verb = DIF_GET}, {.verb = DIF_REMOVE}, {.verb = DIF_HEAD, .cls = DIF_NOT_FOUND},
	};
	s->why[0] = '\0';
	for (size_t i = 0; i < DIF_LEN(round) && s->why[0] == '\0'; i++) {
		run(s, &round[i]);
	}
	dif_suite_tell(s, s->why[0] == '\0' ? DIF_PASSED : DIF_FAILED, name, s->why);
}

/* A file of 5 GB that takes no room: only head and list see it. */
static void run_big(struct dif_suite *s, const char *usual)
{
	const char *path = dif_arena_fmt(&s->arena, "%s/p/big.bin", s->caps.root);
	(void)dif_path_make_dir(dif_arena_fmt(&s->arena, "%s/p", s->caps.root), 0700, NULL);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool made = fd != -1 && ftruncate(fd, (off_t)DIF_BIG) == 0;
	if (fd != -1) {
		close(fd);
	}
	if (!made) {
		dif_suite_tell(s, DIF_UNPROVED, "size: 5 GB", "the file system takes no such file");
		return;
	}
	s->why[0] = '\0';
	dif_suite_object(s, "p/big.bin", DIF_BIG);
	run(s, &(struct dif_trial){.verb = DIF_HEAD, .is_bare = true});
	run(s, &(struct dif_trial){.verb = DIF_LIST, .is_last = true, .is_bare = true});
	dif_suite_tell(s, s->why[0] == '\0' ? DIF_PASSED : DIF_FAILED, "size: 5 GB", s->why);
	unlink(path);
	dif_suite_object(s, usual, strlen(DIF_CONTENT));
}

void dif_contract_files(struct dif_suite *s)
{
	char name[96];
	const char *usual = dif_values_get(&s->values, "key");
	uint32_t longest = s->caps.key_max == 0 || s->caps.key_max > 1024 ? 1024 : s->caps.key_max;
	for (size_t i = 0; i < DIF_LEN(rows); i++) {
		s->why[0] = '\0';
		run(s, &rows[i].trial);
		dif_suite_tell(s, s->why[0] == '\0' ? DIF_PASSED : DIF_FAILED, rows[i].name,
		               s->why);
	}
	for (const struct dif_odd_name *o = dif_odd_names; o->name != NULL; o++) {
		dif_suite_object(s, o->name, strlen(DIF_CONTENT));
		(void)snprintf(name, sizeof name, "name: %s", o->what);
		run_round(s, name);
	}
	dif_suite_object(s, dif_long_name(&s->arena, longest), strlen(DIF_CONTENT));
	(void)snprintf(name, sizeof name, "name: %u bytes", longest);
	run_round(s, name);
	dif_suite_object(s, usual, 0);
	run_round(s, "size: 0 bytes");
	run_big(s, usual);
}
