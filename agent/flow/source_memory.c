/* source_memory - what a source remembers beyond the process: the package that was settled last, as
 * one fact of five lines: sha256, size, date, tag, key; and when a package was noticed. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/parse.h"
#include "flow/freshness.h"
#include "flow/source_private.h"

#define TAKEN "taken" /* the fact */
#define FACT_MAX 65536

char *source_ticket(const struct dif_source *s)
{
	char *text = NULL;
	int n = asprintf(&text, "%s\n%llu\n%lld\n%s\n%s", s->sha256,
	                 (unsigned long long)s->now.size, (long long)s->now.modified, s->now.tag,
	                 s->now.key);
	return n == -1 ? NULL : text;
}

void dif_source_settle(struct dif_setup *setup, const char *name, const char *ticket)
{
	char scope[SCOPE_MAX];
	if (setup->state != NULL) {
		snprintf(scope, sizeof scope, "source:%s", name);
		dif_state_put_fact(setup->state, scope, TAKEN,
		                   ticket); /* or it is read once more */
	}
}

void source_recall(struct dif_source *s)
{
	struct dif_arena a;
	char scope[SCOPE_MAX], *part[5], *rest = NULL;
	uint64_t size = 0;
	int64_t modified = 0;
	uint32_t n = 0;
	uint8_t unused[32];
	if (s->setup->state == NULL) {
		return;
	}
	dif_arena_init(&a, FACT_MAX, false);
	snprintf(scope, sizeof scope, "source:%s", s->config->name);
	const char *fact = dif_state_fact(s->setup->state, scope, TAKEN, 0, &a);
	rest = fact != NULL ? dif_arena_copy(&a, fact, strlen(fact)) : NULL;
	while (rest != NULL && n < DIF_LEN(part) - 1) {
		part[n++] = strsep(&rest, "\n");
	}
	part[DIF_LEN(part) - 1] = rest; /* a key may have any character */
	n += rest != NULL;
	if (n == DIF_LEN(part) && dif_parse_hex(part[0], unused, 32) &&
	    dif_parse_uint(part[1], INT64_MAX, &size) &&
	    dif_parse_int(part[2], 0, INT64_MAX, &modified) &&
	    found_set(&s->taken, part[4], part[3], size, modified)) {
		memcpy(s->taken_sha256, part[0], sizeof s->taken_sha256);
	}
	dif_arena_fini(&a);
}

/* A download that fails and is begun anew does not make a package any fresher. */
void source_notice(struct dif_source *s)
{
	if (!found_is(&s->now, &s->noticed)) {
		s->noticed_ms = dif_wall_ms();
		found_clear(&s->noticed);
		(void)found_set(&s->noticed, s->now.key, s->now.tag, s->now.size, s->now.modified);
	}
}

void source_tell_arrival(struct dif_source *s)
{
	if (s->setup->state != NULL) {
		dif_freshness_arrived(s->setup->state, s->sha256, s->noticed_ms, dif_wall_ms());
	}
}
