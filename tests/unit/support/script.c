/* script - see the header. */
#include "unit/support/script.h"

#include "support.h"

struct expectation {
	struct script_want want;
	struct script_reply reply;
	bool met;
};

struct script {
	struct dif_wire *wire;
	struct expectation *expected;
	size_t nexpected, unlike;
	bool any_order;
	void (*answer)(void *data, const struct script_seen *seen, struct script_reply *reply);
	void *answer_data;
};

static bool is_like(const char *pattern, const char *text)
{
	for (; *pattern != '\0' && *pattern != '*'; pattern++, text++) {
		if (*pattern != *text) {
			return false;
		}
	}
	if (*pattern == '\0') {
		return *text == '\0';
	}
	for (;; text++) {
		if (is_like(pattern + 1, text)) {
			return true;
		}
		if (*text == '\0') {
			return false;
		}
	}
}

/* --- matching --- */

static bool field_fits(const struct script_seen *seen, const char *want)
{
	if (*want == '!') {
		return dif_wire_header(seen, want + 1, strlen(want + 1)) == NULL;
	}
	const char *colon = strchr(want, ':');
	assert_non_null(colon); /* an expectation is "name: value" */
	const char *value = dif_wire_header(seen, want, (size_t)(colon - want));
	return value != NULL && is_like(colon + 1 + strspn(colon + 1, " "), value);
}

static bool is_wanted(const struct script_want *w, const struct script_seen *seen)
{
	return (w->method == NULL || strcmp(w->method, seen->method) == 0) &&
	       (w->url == NULL || is_like(w->url, seen->url));
}

/* What differs, or NULL. */
static const char *difference(const struct script_want *w, const struct script_seen *seen)
{
	for (size_t i = 0; i < SCRIPT_FIELDS && w->fields[i] != NULL; i++) {
		if (!field_fits(seen, w->fields[i])) {
			return w->fields[i];
		}
	}
	return w->body != NULL && !is_like(w->body, seen->body) ? w->body : NULL;
}

static struct expectation *find(struct script *s, const struct script_seen *seen)
{
	for (size_t i = 0; i < s->nexpected; i++) {
		struct expectation *x = &s->expected[i];
		if (x->met) {
			continue;
		}
		if (is_wanted(&x->want, seen)) {
			return x;
		}
		if (!s->any_order) {
			return NULL;
		}
	}
	return NULL;
}

static void complain(struct script *s, const struct script_seen *seen, const char *what)
{
	s->unlike++;
	print_error("script: request %zu, %s %s: %s\n", dif_wire_count(s->wire) - 1, seen->method,
	            seen->url, what);
	for (uint32_t i = 0; i < seen->nfields; i++) {
		print_error("script:   %s: %s\n", seen->fields[i].name, seen->fields[i].value);
	}
}

static void meet(void *data, const struct script_seen *seen, struct script_reply *reply)
{
	struct script *s = data;
	struct expectation *x = find(s, seen);
	if (x != NULL) {
		x->met = true;
		*reply = x->reply;
		const char *unlike = difference(&x->want, seen);
		if (unlike != NULL) {
			complain(s, seen, unlike);
		}
	} else if (s->answer != NULL) {
		s->answer(s->answer_data, seen, reply);
	} else {
		complain(s, seen, "is not expected");
		*reply = (struct script_reply){.cls = DIF_PERMANENT, .text = "unexpected"};
	}
}

struct script *script_new(struct dif_engine *e)
{
	struct script *s = calloc(1, sizeof *s);
	assert_non_null(s);
	s->wire = dif_wire_new(e, SIZE_MAX, meet, s);
	return s;
}

void script_free(struct script *s)
{
	size_t unmet = 0, unlike = s->unlike;
	for (size_t i = 0; i < s->nexpected; i++) {
		if (!s->expected[i].met) {
			unmet++;
			print_error("script: expected, never seen: %s %s\n",
			            s->expected[i].want.method != NULL ? s->expected[i].want.method
			                                               : "any",
			            s->expected[i].want.url != NULL ? s->expected[i].want.url
			                                            : "request");
		}
	}
	bool idle = dif_wire_free(s->wire);
	free(s->expected);
	free(s);
	assert_true(idle);
	assert_int_equal(unmet, 0);
	assert_int_equal(unlike, 0);
}

void script_expect(struct script *s, const struct script_want *want,
                   const struct script_reply *reply)
{
	s->expected = realloc(s->expected, (s->nexpected + 1) * sizeof *s->expected);
	assert_non_null(s->expected);
	s->expected[s->nexpected++] = (struct expectation){.want = *want, .reply = *reply};
}

void script_any_order(struct script *s)
{
	s->any_order = true;
}

void script_answer(struct script *s,
                   void (*answer)(void *data, const struct script_seen *seen,
                                  struct script_reply *reply),
                   void *data)
{
	s->answer = answer;
	s->answer_data = data;
}

void script_release(struct script *s)
{
	dif_wire_release(s->wire);
}

size_t script_count(const struct script *s)
{
	return dif_wire_count(s->wire);
}

const struct script_seen *script_seen(const struct script *s, size_t i)
{
	return dif_wire_at(s->wire, i);
}

const char *script_header(const struct script *s, size_t i, const char *name)
{
	return dif_wire_header(script_seen(s, i), name, strlen(name));
}
