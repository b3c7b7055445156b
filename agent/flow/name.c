#include "flow/name.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utf8proc.h>

#include "base/utf8.h"

#define NAME_MAX_EVER 1024 /* S3, GCS and Azure take no longer key, whatever the limits say */
#define DECODE_ROUNDS 8    /* of percent-encoding: nobody decodes so often */
#define KEYS_MAX ((size_t)96 << 20) /* for comparing names: the directory's bound, several times */

#define REFUSE(err, ...) dif_error_exit(err, DIF_EXIT_PACKAGE, DIF_PERMANENT, __VA_ARGS__)

/* The upper half of code page 437, which is what a name without the UTF-8 mark is by the format's
 * own rule. */
static const uint16_t cp437[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8,
	0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2,
	0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1,
	0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd,
	0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561, 0x2562,
	0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514, 0x2534,
	0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560,
	0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b,
	0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393,
	0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6,
	0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248, 0x00b0,
	0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

struct range {
	uint32_t first, last;
};

/* Characters that are not seen or that turn the text around them, so that two names look alike. */
static const struct range unseen[] = {
	{0x00ad, 0x00ad}, {0x034f, 0x034f}, {0x061c, 0x061c}, {0x115f, 0x1160},   {0x17b4, 0x17b5},
	{0x180b, 0x180f}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},   {0x3164, 0x3164},
	{0xfeff, 0xfeff}, {0xffa0, 0xffa0}, {0xfff9, 0xfffb}, {0xe0000, 0xe0fff},
};

/* Characters that compatibility mappings turn into a separator. */
static const struct range separators[] = {{0xff0f, 0xff0f}, {0xff3c, 0xff3c}};

/* '.', '/', '\' and NUL in forms that a careless decoder accepts: longer than UTF-8 allows. */
static const struct {
	uint8_t n, bytes[4];
} overlong[] = {
	{2, {0xc0, 0xae}},
	{2, {0xc0, 0xaf}},
	{2, {0xc1, 0x9c}},
	{2, {0xc0, 0x80}},
	{3, {0xe0, 0x80, 0xae}},
	{3, {0xe0, 0x80, 0xaf}},
	{3, {0xe0, 0x81, 0x9c}},
	{3, {0xe0, 0x80, 0x80}},
	{4, {0xf0, 0x80, 0x80, 0xae}},
	{4, {0xf0, 0x80, 0x80, 0xaf}},
	{4, {0xf0, 0x80, 0x81, 0x9c}},
	{4, {0xf0, 0x80, 0x80, 0x80}},
};

static bool in_ranges(const struct range *r, size_t n, uint32_t cp)
{
	for (size_t i = 0; i < n; i++) {
		if (cp >= r[i].first && cp <= r[i].last) {
			return true;
		}
	}
	return false;
}
#define IN(table, cp) in_ranges(table, sizeof(table) / sizeof(table)[0], cp)

static bool is_control(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0);
}

/* U+FFFE, U+FFFF and their kin: no XML list reply can hold them. */
static bool is_noncharacter(uint32_t cp)
{
	return (cp & 0xfffe) == 0xfffe || (cp >= 0xfdd0 && cp <= 0xfdef);
}

static bool is_picture(uint32_t cp)
{
	return utf8proc_get_property((utf8proc_int32_t)cp)->boundclass ==
	               UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC ||
	       cp == 0xfe0f || (cp >= 0x1f3fb && cp <= 0x1f3ff);
}

const char *dif_name_show(struct dif_shown *to, const void *raw, size_t n)
{
	const char *p = raw;
	size_t at = 0, room = sizeof to->s - 8;
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = dif_utf8_next(p + i, n - i, &cp);
		bool plain = len > 0 && !is_control(cp) && !IN(unseen, cp) && cp != '\'';
		if (at + (plain ? len : 1) > room) {
			memcpy(to->s + at, "...", 3);
			at += 3;
			break;
		}
		if (plain) {
			memcpy(to->s + at, p + i, len);
			at += len;
		} else {
			to->s[at++] = '?';
		}
		i += len > 0 ? len : 1;
	}
	to->s[at] = '\0';
	return to->s;
}

static bool has_overlong(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] < 0xc0) {
			continue;
		}
		for (size_t k = 0; k < sizeof overlong / sizeof overlong[0]; k++) {
			size_t len = overlong[k].n;
			if (n - i >= len && memcmp(p + i, overlong[k].bytes, len) == 0) {
				return true;
			}
		}
	}
	return false;
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool has_separator(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = dif_utf8_next((const char *)p + i, n - i, &cp);
		if (len > 0 && IN(separators, cp)) {
			return true;
		}
		i += len > 0 ? len : 1;
	}
	return false;
}

/* One round of percent-decoding in place; *n shrinks. False: it uncovers a dot, a separator or a
 * NUL. */
static bool decode_once(uint8_t *p, size_t *n)
{
	size_t to = 0;
	for (size_t i = 0; i < *n; i++) {
		int high = p[i] == '%' && *n - i > 2 ? hex_digit(p[i + 1]) : -1;
		int low = high >= 0 ? hex_digit(p[i + 2]) : -1;
		if (low < 0) {
			p[to++] = p[i];
			continue;
		}
		uint8_t byte = (uint8_t)(high * 16 + low);
		if (byte == '.' || byte == '/' || byte == '\\' || byte == 0) {
			return false;
		}
		p[to++] = byte;
		i += 2;
	}
	*n = to;
	return !has_overlong(p, to) && !has_separator(p, to);
}

/* Whether percent-decoding, once or again and again, makes another path of it. */
static bool hides_path(const char *s, size_t n)
{
	uint8_t p[NAME_MAX_EVER];
	assert(n <= sizeof p);
	memcpy(p, s, n);
	for (int round = 0; round < DECODE_ROUNDS && memchr(p, '%', n) != NULL; round++) {
		size_t before = n;
		if (!decode_once(p, &n)) {
			return true;
		}
		if (n == before) {
			return false;
		}
	}
	return false;
}

/* Only characters that stand for dots: `..` in another dress. */
static bool is_dots(const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = dif_utf8_next(s + i, n - i, &cp);
		if (cp != '.' && cp != 0xff0e && cp != 0x2024 && cp != 0x2025 && cp != 0xfe52) {
			return false;
		}
		i += len;
	}
	return true;
}

/* Why one part of the path is refused, NULL: it is not. */
static const char *judge_segment(const char *s, size_t n, const struct dif_limits *limits)
{
	if (n == 0) {
		return "it has an empty segment";
	}
	if ((n == 1 && s[0] == '.') || (n == 2 && s[0] == '.' && s[1] == '.')) {
		return "it has a dot segment (traversal)";
	}
	if (is_dots(s, n)) {
		return "it has a segment of characters that stand for dots (traversal)";
	}
	/* In any folder: a destination's prefix may make its root of it. */
	if (n == 8 && strncasecmp(s, ".difusor", n) == 0) {
		return "'.difusor/' is reserved";
	}
	if (n >= 13 && strncasecmp(s, ".difusor-tmp-", 13) == 0) {
		return "'.difusor-tmp-' is reserved";
	}
	if (s[n - 1] == '.' || s[n - 1] == ' ') {
		return "a segment ends in a dot or a space";
	}
	if ((int64_t)n > limits->component) {
		return "a segment is over the limit of its length";
	}
	return NULL;
}

static const char *judge_characters(const char *s, size_t n)
{
	uint32_t before = 0;
	for (size_t i = 0; i < n;) {
		uint32_t cp = 0;
		size_t len = dif_utf8_next(s + i, n - i, &cp);
		assert(len > 0); /* it was decoded, or checked, before */
		if (is_control(cp)) {
			return "it has a control character";
		}
		if (cp == '\\') {
			return "it has a backslash";
		}
		if (IN(separators, cp)) {
			return "it has a fullwidth separator";
		}
		/* Zero-width joiners build emoji out of emoji, and there they show. */
		if (IN(unseen, cp) && !(cp == 0x200d && is_picture(before))) {
			return "it has a bidirectional, zero-width or other invisible character";
		}
		if (is_noncharacter(cp)) {
			return "it has a noncharacter";
		}
		before = cp;
		i += len;
	}
	return NULL;
}

static bool below(const char *s, size_t n, const char *folder)
{
	size_t len = strlen(folder);
	return n >= len && strncasecmp(s, folder, len) == 0 && (n == len || s[len] == '/');
}

static const char *judge_place(const char *s, size_t n)
{
	if (s[0] == '/') {
		return "it is absolute";
	}
	if (n >= 2 && s[1] == ':' && ((s[0] | 0x20) >= 'a' && (s[0] | 0x20) <= 'z')) {
		return "it begins with a drive";
	}
	if (below(s, n, ".well-known/acme-challenge")) {
		return "it lies where certificates are proved (acme-challenge)";
	}
	return NULL;
}

/* s has no trailing slash any more. */
static const char *judge(const char *s, size_t n, const struct dif_limits *limits)
{
	if (n == 0) {
		return "it is empty";
	}
	if ((int64_t)n > limits->name || n > NAME_MAX_EVER) {
		return "it is over the limit of its length";
	}
	const char *why = judge_characters(s, n);
	if (why == NULL) {
		why = judge_place(s, n);
	}
	if (why == NULL && hides_path(s, n)) {
		why = "it hides a dot or a separator by percent-encoding";
	}
	int64_t segments = 0;
	for (size_t from = 0; why == NULL && from <= n; segments++) {
		const char *slash = memchr(s + from, '/', n - from);
		size_t to = slash != NULL ? (size_t)(slash - s) : n;
		why = judge_segment(s + from, to - from, limits);
		from = to + 1;
	}
	if (why == NULL && segments > limits->segments) {
		why = "it is over the limit of folders in folders";
	}
	return why;
}

static char *decode_cp437(struct dif_arena *arena, const uint8_t *raw, size_t n)
{
	char *s = dif_arena_alloc(arena, 3 * n + 1);
	size_t at = 0;
	for (size_t i = 0; s != NULL && i < n; i++) {
		uint32_t cp = raw[i] < 0x80 ? raw[i] : cp437[raw[i] - 0x80];
		at += (size_t)utf8proc_encode_char((utf8proc_int32_t)cp,
		                                   (utf8proc_uint8_t *)s + at);
	}
	return s;
}

bool dif_name_take(struct dif_arena *arena, const uint8_t *raw, size_t n, bool marked,
                   const struct dif_limits *limits, struct dif_name *out, struct dif_error *err)
{
	struct dif_shown shown;
	const char *why = NULL;
	bool utf8 = dif_utf8_valid((const char *)raw, n);
	if (memchr(raw, '\0', n) != NULL) {
		why = "it has a control character (NUL)";
	} else if (n > NAME_MAX_EVER + 1) { /* one for a folder's slash */
		why = "it is over the limit of its length";
	} else if (has_overlong(raw, n)) {
		why = "it has an overlong dot or separator";
	} else if (marked && !utf8) {
		why = "it is marked as UTF-8 and is not";
	}
	if (why != NULL) {
		return REFUSE(err, "name '%s': %s", dif_name_show(&shown, raw, n), why);
	}
	char *s = utf8 ? dif_arena_copy(arena, raw, n) : decode_cp437(arena, raw, n);
	if (s == NULL) {
		return REFUSE(err, "its names are over the limit of memory");
	}
	size_t length = strlen(s);
	bool folder = length > 1 && s[length - 1] == '/';
	why = judge(s, length - folder, limits);
	if (why != NULL) {
		return REFUSE(err, "name '%s': %s", dif_name_show(&shown, s, length), why);
	}
	*out = (struct dif_name){.s = s, .folder = folder, .cp437 = !utf8};
	return true;
}

/* A name as it is compared: without a folder's slash, in NFC, and folded in case. */
struct key {
	const char *nfc, *fold, *name;
};

/* Whether every byte is below one. */
static bool all_below(const char *s, unsigned char one)
{
	while (*s != '\0' && (unsigned char)*s < one) {
		s++;
	}
	return *s == '\0';
}

static const char *mapped(struct dif_arena *a, const char *s, utf8proc_option_t options)
{
	utf8proc_uint8_t *to = NULL;
	utf8proc_ssize_t n = utf8proc_map((const utf8proc_uint8_t *)s, 0, &to,
	                                  UTF8PROC_NULLTERM | UTF8PROC_STABLE | options);
	const char *copy = n >= 0 ? dif_arena_copy(a, to, (size_t)n) : NULL;
	free(to);
	return copy;
}

static const char *lower(struct dif_arena *a, const char *s)
{
	if (strpbrk(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL) {
		return s;
	}
	char *copy = dif_arena_copy(a, s, strlen(s));
	for (char *c = copy; c != NULL && *c != '\0'; c++) {
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
	}
	return copy;
}

/* Most names are their own keys: nothing is copied for them. Below U+0300, which begins with byte
 * 0xcc, everything is in NFC already. */
static bool make_key(struct dif_arena *a, const char *name, struct key *key)
{
	size_t n = strlen(name);
	const char *bare = name[n - 1] == '/' ? dif_arena_copy(a, name, n - 1) : name;
	if (bare == NULL) {
		return false;
	}
	key->name = name;
	key->nfc = all_below(bare, 0xcc) ? bare : mapped(a, bare, UTF8PROC_COMPOSE);
	key->fold = all_below(bare, 0x80) ? lower(a, bare)
	                                  : mapped(a, bare, UTF8PROC_COMPOSE | UTF8PROC_CASEFOLD);
	return key->nfc != NULL && key->fold != NULL;
}

/* Byte order with '/' before everything else: what lies in a folder follows it at once. */
static int compare_paths(const char *a, const char *b)
{
	while (*a == *b && *a != '\0') {
		a++;
		b++;
	}
	int left = *a == '/' ? 1 : (unsigned char)*a, right = *b == '/' ? 1 : (unsigned char)*b;
	return left - right;
}

static int by_nfc(const void *a, const void *b)
{
	return compare_paths(((const struct key *)a)->nfc, ((const struct key *)b)->nfc);
}

static int by_fold(const void *a, const void *b)
{
	const struct key *l = a, *r = b;
	int order = strcmp(l->fold, r->fold);
	return order != 0 ? order : strcmp(l->nfc, r->nfc);
}

static bool check_pair(const struct key *a, const struct key *b, struct dif_error *err)
{
	struct dif_shown one, two;
	size_t n = strlen(a->nfc);
	if (strncmp(a->nfc, b->nfc, n) != 0 || (b->nfc[n] != '\0' && b->nfc[n] != '/')) {
		return true;
	}
	bool folder = a->name[strlen(a->name) - 1] == '/';
	if (b->nfc[n] == '/' && folder) {
		return true;
	}
	return REFUSE(err,
	              b->nfc[n] == '/' ? "name '%s' is a file and the folder of '%s'"
	                               : "name '%s' is there twice (duplicate of '%s')",
	              dif_name_show(&one, a->name, strlen(a->name)),
	              dif_name_show(&two, b->name, strlen(b->name)));
}

bool dif_names_distinct(const char *const *names, uint32_t n,
                        void (*twins)(void *data, const char *a, const char *b), void *data,
                        struct dif_error *err)
{
	bool good = true;
	struct dif_arena arena;
	dif_arena_init(&arena, KEYS_MAX, false);
	struct key *keys = calloc((size_t)n + 1, sizeof *keys);
	for (uint32_t i = 0; good && i < n; i++) {
		good = keys != NULL && make_key(&arena, names[i], &keys[i]);
	}
	if (!good || keys == NULL) {
		good = REFUSE(err, "its names are over the limit of memory");
		goto out;
	}
	qsort(keys, n, sizeof *keys, by_nfc);
	for (uint32_t i = 1; good && i < n; i++) {
		good = check_pair(&keys[i - 1], &keys[i], err);
	}
	if (good) {
		qsort(keys, n, sizeof *keys, by_fold);
	}
	for (uint32_t i = 1; good && i < n; i++) {
		if (strcmp(keys[i - 1].fold, keys[i].fold) == 0) {
			twins(data, keys[i - 1].name, keys[i].name);
		}
	}
out:
	free(keys);
	dif_arena_fini(&arena);
	return good;
}
