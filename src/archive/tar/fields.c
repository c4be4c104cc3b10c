/* SPDX-License-Identifier: Apache-2.0 */
/* Decodes numbers, texts, PAX records and sparse maps of a header (fields.h). */
#include "archive/tar/fields.h"
#include <errno.h>

/* ---- one 512 byte block ---- */

bool tar_block_is_zero(const uint8_t *block)
{
	static const uint8_t zero[TAR_BLOCK];
	return memcmp(block, zero, TAR_BLOCK) == 0;
}

/* Space or NUL, which pad numbers on either side. */
static bool is_padding(uint8_t c)
{
	return c == ' ' || c == '\0';
}

static bool parse_octal(const uint8_t *field, size_t n, int64_t *ret)
{
	uint64_t value = 0;

	while (n > 0 && is_padding(field[0])) {
		field++;
		n--;
	}
	while (n > 0 && is_padding(field[n - 1]))
		n--;
	for (size_t i = 0; i < n && field[i]; i++) {
		if (field[i] < '0' || field[i] > '7' || value >> 60)
			return false;
		value = value << 3 | (uint64_t)(field[i] - '0');
	}
	*ret = (int64_t)value;
	return true;
}

bool tar_parse_number(const uint8_t *field, size_t n, int64_t *ret)
{
	if (n == 0 || !(field[0] & 0x80))
		return parse_octal(field, n, ret);
	/* Base 256, two's complement; bit 0x40 of the first byte is the sign. */
	uint8_t invert = field[0] & 0x40 ? 0xff : 0;
	uint64_t value = 0;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = field[i] ^ invert;
		if (i == 0)
			c &= 0x7f;
		if (value >> 56)
			return false;
		value = value << 8 | c;
	}
	if (value >> 63)
		return false;
	*ret = invert ? (int64_t)~value : (int64_t)value;
	return true;
}

char *tar_parse_text(struct arena *arena, const uint8_t *field, size_t n)
{
	return arena_strndup(arena, (const char *)field, strnlen((const char *)field, n));
}

bool tar_block_checksum_ok(const uint8_t *block)
{
	uint32_t sum = 8 * ' ', negative = 0; /* spaces stand for the checksum */
	int64_t wanted;

	if (!parse_octal(block + 148, 8, &wanted))
		return false;
	for (size_t i = 0; i < TAR_BLOCK; i++) { /* no condition, so that it is done with SIMD */
		sum += block[i];
		negative += block[i] >> 7;
	}
	for (size_t i = 148; i < 156; i++) {
		sum -= block[i];
		negative -= block[i] >> 7;
	}
	return wanted == (int64_t)sum || wanted == (int64_t)sum - 256 * (int64_t)negative;
}

enum tar_format tar_block_format(const uint8_t *block)
{
	if (memcmp(block + 257, "ustar", 6) == 0)
		return memcmp(block + 508, "tar", 4) == 0 ? TAR_STAR : TAR_USTAR;
	return memcmp(block + 257, "ustar  ", 8) == 0 ? TAR_GNU : TAR_V7;
}

/* ---- decimal texts ---- */

bool tar_parse_int(const char *text, int64_t *ret)
{
	const char *digits = text + (*text == '-' || *text == '+');
	char *end;

	if (*digits < '0' || *digits > '9')
		return false;
	errno = 0;
	long long value = strtoll(text, &end, 10);
	if (errno || *end)
		return false;
	*ret = value;
	return true;
}

bool tar_parse_time(const char *text, struct timespec *ret)
{
	const char *dot = strchr(text, '.');
	char seconds_text[32];
	int64_t seconds;
	long nanoseconds = 0;

	size_t n = dot ? (size_t)(dot - text) : strlen(text);
	if (n >= sizeof(seconds_text))
		return false;
	memcpy(seconds_text, text, n);
	seconds_text[n] = '\0';
	if (!tar_parse_int(seconds_text, &seconds))
		return false;
	long unit = 100000000;
	for (const char *p = dot ? dot + 1 : ""; *p;
	     p++, unit /= 10) { /* more than nine digits are cut */
		if (*p < '0' || *p > '9')
			return false;
		nanoseconds += (*p - '0') * unit;
	}
	if (text[0] == '-' && nanoseconds > 0) {
		if (seconds == INT64_MIN)
			return false;
		seconds--;
		nanoseconds = 1000000000 - nanoseconds;
	}
	*ret = (struct timespec){.tv_sec = seconds, .tv_nsec = nanoseconds};
	return true;
}

/* ---- sparse maps ---- */

bool tar_pairs_add(struct tar_pairs *pairs, int64_t offset, int64_t length)
{
	if (offset < 0 || length < 0 || offset > INT64_MAX - length)
		return false;
	void *grown =
	        grow_array(pairs->items, &pairs->capacity, pairs->len + 1, sizeof(*pairs->items));
	if (!grown)
		return false;
	pairs->items = grown;
	pairs->items[pairs->len++] = (struct tar_sparse){(uint64_t)offset, (uint64_t)length};
	return true;
}

bool tar_pairs_valid(const struct tar_pairs *pairs, uint64_t size, uint64_t *data)
{
	uint64_t position = 0, sum = 0;

	for (size_t i = 0; i < pairs->len; i++) {
		const struct tar_sparse *piece = &pairs->items[i];
		if (piece->offset < position || piece->offset + piece->size > size)
			return false;
		position = piece->offset + piece->size;
		sum += piece->size;
	}
	*data = sum;
	return true;
}

/* A number up to `end` or a comma; moves *p behind it. */
static bool list_number(const char **p, int64_t *ret)
{
	char text[32];
	size_t n = strcspn(*p, ",");

	if (n >= sizeof(text))
		return false;
	memcpy(text, *p, n);
	text[n] = '\0';
	*p += n;
	return tar_parse_int(text, ret);
}

bool tar_parse_sparse_list(const char *text, int64_t count, struct tar_pairs *pairs)
{
	const char *p = text;

	pairs->len = 0;
	for (int64_t i = 0; i < count; i++) {
		int64_t offset, length;
		if (!list_number(&p, &offset) || *p++ != ',')
			return false;
		if (!list_number(&p, &length) || !tar_pairs_add(pairs, offset, length))
			return false;
		if (i + 1 < count && *p++ != ',')
			return false;
	}
	return *p == '\0';
}

/* ---- PAX records ---- */

void tar_pax_reset(struct tar_pax *pax)
{
	struct tar_pax fresh = {
	        .sparse_list = pax->sparse_list,
	        .xattrs = pax->xattrs,
	        .xattrs_capacity = pax->xattrs_capacity,
	};

	strbuf_reset(&fresh.sparse_list);
	*pax = fresh;
}

void tar_pax_free(struct tar_pax *pax)
{
	strbuf_free(&pax->sparse_list);
	free(pax->xattrs);
	*pax = (struct tar_pax){0};
}

struct known_key {
	char key[24];
	size_t offset; /* of a const char * in struct tar_pax */
	bool text;     /* NUL forbidden in the value */
};
#define KEY(name, member, is_text)                              \
	{                                                       \
		name, offsetof(struct tar_pax, member), is_text \
	}
static const struct known_key known_keys[] = {
        KEY("path", path, true),
        KEY("linkpath", linkpath, true),
        KEY("uname", uname, true),
        KEY("gname", gname, true),
        KEY("uid", uid, false),
        KEY("gid", gid, false),
        KEY("size", size, false),
        KEY("atime", atime, false),
        KEY("mtime", mtime, false),
        KEY("ctime", ctime, false),
        KEY("GNU.sparse.name", sparse_name, true),
        KEY("GNU.sparse.major", sparse_major, false),
        KEY("GNU.sparse.minor", sparse_minor, false),
        KEY("GNU.sparse.size", sparse_size, false),
        KEY("GNU.sparse.realsize", sparse_realsize, false),
        KEY("GNU.sparse.numblocks", sparse_blocks, false),
        KEY("GNU.sparse.map", sparse_map, false),
};

static bool add_xattr(struct tar_pax *pax, const char *name, const char *value, size_t n,
                      struct arena *arena)
{
	void *grown = grow_array(pax->xattrs, &pax->xattrs_capacity, pax->n_xattrs + 1,
	                         sizeof(*pax->xattrs));
	char *copied_name = arena_strdup(arena, name),
	     *copied_value = arena_strndup(arena, value, n);

	if (grown)
		pax->xattrs = grown;
	if (!grown || !copied_name || !copied_value) {
		arena->failed = true;
		return false;
	}
	pax->xattrs[pax->n_xattrs++] = (struct tar_xattr){copied_name, copied_value, n};
	return true;
}

/* Version 0.0 has its map in pairs of records, strictly in turn. */
static bool add_sparse_record(struct tar_pax *pax, bool is_offset, const char *value, size_t n)
{
	if (is_offset != (pax->sparse_records % 2 == 0) || memchr(value, ',', n))
		return false;
	if (pax->sparse_records++ > 0)
		strbuf_addc(&pax->sparse_list, ',');
	strbuf_add(&pax->sparse_list, value, n);
	return !pax->sparse_list.failed;
}

static bool add_record(struct tar_pax *pax, const char *key, const char *value, size_t n,
                       struct arena *arena)
{
	static const char xattr_prefix[] = "SCHILY.xattr.";

	if (has_prefix(key, xattr_prefix))
		return add_xattr(pax, key + sizeof(xattr_prefix) - 1, value, n, arena);
	if (streq(key, "GNU.sparse.offset") || streq(key, "GNU.sparse.numbytes"))
		return add_sparse_record(pax, streq(key, "GNU.sparse.offset"), value, n);
	for (size_t i = 0; i < ARRAY_SIZE(known_keys); i++) {
		if (!streq(key, known_keys[i].key))
			continue;
		bool has_nul = n > 0 && memchr(value, '\0', n);
		if (has_nul && known_keys[i].text)
			return false;
		/* An empty value leaves what the header says, also after an earlier record of the
		 * key. A NUL in a number makes it no number. */
		const char **member = (const char **)((char *)pax + known_keys[i].offset);
		*member = n == 0 ? NULL : has_nul ? "?" : arena_strndup(arena, value, n);
		return n == 0 || *member;
	}
	return true; /* LIBARCHIVE.xattr.*, hdrcharset, comment, ...: ignored */
}

/* "LENGTH KEY=VALUE\n"; LENGTH counts all of it. Moves *p behind the record. */
static bool parse_record(struct tar_pax *pax, const char **p, const char *end, struct arena *arena)
{
	const char *space = memchr(*p, ' ', (size_t)(end - *p));
	char digits[24];
	int64_t length;

	size_t n = space ? (size_t)(space - *p) : sizeof(digits);
	if (n >= sizeof(digits))
		return false;
	memcpy(digits, *p, n);
	digits[n] = '\0';
	if (strlen(digits) != n || !tar_parse_int(digits, &length))
		return false;
	if (length < 5 || length > end - *p || length <= (int64_t)n + 1)
		return false;
	const char *key = space + 1, *last = *p + length - 1;
	const char *equals = last > key ? memchr(key, '=', (size_t)(last - key)) : NULL;
	if (*last != '\n' || !equals || equals == key || memchr(key, '\0', (size_t)(equals - key)))
		return false;
	char *key_text = arena_strndup(arena, key, (size_t)(equals - key));
	*p = last + 1;
	return key_text &&
	       add_record(pax, key_text, equals + 1, (size_t)(last - equals - 1), arena);
}

bool tar_pax_parse(struct tar_pax *pax, const char *data, size_t n, struct arena *arena)
{
	const char *p = data, *end = data + n;

	tar_pax_reset(pax);
	while (p < end)
		if (!parse_record(pax, &p, end, arena))
			return false;
	if (pax->sparse_records > 0) {
		pax->sparse_map = arena_strdup(arena, strbuf_str(&pax->sparse_list));
		return pax->sparse_map;
	}
	return true;
}
