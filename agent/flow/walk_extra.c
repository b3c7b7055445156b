#include <string.h>

#include "flow/walk.h"

#define ZIP64 0x0001
#define PKWARE_UNIX 0x000d /* may carry the target of a link behind its 12 fixed bytes */
#define STRONG_ENCRYPTION 0x0017
#define ASI_UNIX 0x756e /* carries a mode, and the target of a link */
#define UNICODE_PATH 0x7075
#define AES 0x9901

#define TYPE_MASK 0170000u
#define TYPE_FOLDER 0040000u
#define TYPE_FILE 0100000u

/* What a walk over one extra field finds. */
struct found {
	struct dif_span zip64, path;
};

static const char *take_once(struct dif_span *to, const uint8_t *p, size_t n, const char *why)
{
	if (to->p != NULL) {
		return why;
	}
	*to = (struct dif_span){.p = p, .n = n};
	return NULL;
}

static const char *take(struct found *f, uint16_t id, const uint8_t *p, size_t n)
{
	switch (id) {
	case ZIP64:
		return take_once(&f->zip64, p, n, "it has two ZIP64 fields");
	case UNICODE_PATH:
		return take_once(&f->path, p, n, "it has two Unicode Path fields");
	case STRONG_ENCRYPTION:
	case AES:
		return "it is encrypted";
	case PKWARE_UNIX:
		return n > 12 ? "it is a link or a device" : NULL;
	case ASI_UNIX:
		if (n >= 6) {
			unsigned type = dif_le16(p + 4) & TYPE_MASK;
			if (type != 0 && type != TYPE_FILE && type != TYPE_FOLDER) {
				return "it is a link or a device";
			}
		}
		return NULL;
	default:
		return NULL;
	}
}

/* Fewer than four bytes at the end are padding in the local header, where aligners put it, and only
 * if all zero. */
static bool is_padding(const uint8_t *p, size_t n, bool local)
{
	return local && memcmp(p, "\0\0\0", n) == 0;
}

static const char *scan(struct dif_span extra, bool local, struct found *f)
{
	size_t at = 0;
	while (extra.n - at >= 4) {
		uint16_t id = dif_le16(extra.p + at);
		size_t n = dif_le16(extra.p + at + 2);
		at += 4;
		if (n > extra.n - at) {
			return "its extra field is malformed";
		}
		const char *why = take(f, id, extra.p + at, n);
		if (why != NULL) {
			return why;
		}
		at += n;
	}
	if (at < extra.n && !is_padding(extra.p + at, extra.n - at, local)) {
		return "its extra field is malformed";
	}
	return NULL;
}

static uint64_t read_value(const uint8_t *p, size_t width)
{
	return width == 8 ? dif_le64(p) : dif_le32(p);
}

/* Exactly the values whose short field is at its maximum. */
static bool resolve_needed(struct dif_span z, struct dif_value *values, size_t n)
{
	size_t need = 0;
	for (size_t i = 0; i < n; i++) {
		need += values[i].v == values[i].max ? values[i].width : 0;
	}
	if (need != z.n) {
		return false;
	}
	for (size_t i = 0; i < n; i++) {
		if (values[i].v == values[i].max) {
			values[i].v = read_value(z.p, values[i].width);
			z.p += values[i].width;
		}
	}
	return true;
}

/* Everything from the uncompressed size on; what the short fields say as well must be the same. */
static bool resolve_redundant(struct dif_span z, struct dif_value *values, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (z.n == 0) {
			if (values[i].v == values[i].max) {
				return false;
			}
			continue;
		}
		if (z.n < values[i].width) {
			return false;
		}
		uint64_t v = read_value(z.p, values[i].width);
		if (values[i].v != values[i].max && values[i].v != v) {
			return false;
		}
		values[i].v = v;
		z.p += values[i].width;
		z.n -= values[i].width;
	}
	return z.n == 0;
}

const char *dif_walk_extra(struct dif_span extra, bool local, struct dif_value *values, size_t n,
                           struct dif_span *unicode_path)
{
	struct found f = {0};
	const char *why = scan(extra, local, &f);
	if (why != NULL) {
		return why;
	}
	*unicode_path = f.path;
	/* Without a ZIP64 field nothing may ask for one. */
	struct dif_span z = f.zip64;
	if (!resolve_needed(z, values, n) && !resolve_redundant(z, values, n)) {
		return z.p == NULL ? "its ZIP64 field is missing"
		                   : "its ZIP64 field contradicts the header";
	}
	return NULL;
}

const char *dif_walk_unicode_path(struct dif_span path, struct dif_span raw, const char *name)
{
	if (path.n < 5 || path.p[0] != 1) {
		return "its Unicode Path field is malformed";
	}
	if (dif_le32(path.p + 1) != dif_crc32(0, raw.p, raw.n)) {
		return "its Unicode Path field belongs to another name";
	}
	if (path.n - 5 != strlen(name) || memcmp(path.p + 5, name, path.n - 5) != 0) {
		return "its Unicode Path field says another name than the header";
	}
	return NULL;
}
