/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the ids in a passwd or group file, which may be anything: it comes out of an image. */
#include "idmap/intervals.h"

#define NOBODY 65534

/* Finds the field with this number in a line, and how long it is. NULL: the line has fewer. */
static const char *field(const char *line, const char *end, unsigned number, size_t *len)
{
	const char *at = line;
	for (; number; number--) {
		at = memchr(at, ':', (size_t)(end - at));
		if (!at)
			return NULL;
		at++;
	}
	const char *colon = memchr(at, ':', (size_t)(end - at));
	*len = (size_t)((colon ? colon : end) - at);
	return at;
}

static bool parse_id(const char *text, size_t len, uint32_t *ret)
{
	uint64_t value = 0;
	size_t i = len && *text == '+';
	if (i == len)
		return false;
	for (; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (uint64_t)(text[i] - '0');
		if (value >= UINT32_MAX)
			return false;
	}
	*ret = (uint32_t)value;
	return true;
}

static bool is_name(const char *text, size_t len, const char *name)
{
	return len == strlen(name) && memcmp(text, name, len) == 0;
}

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Looks at one line; *ret is the largest id so far if `any`. */
static void look_at(const char *line, const char *end, bool group, uint32_t *ret, bool *any)
{
	while (line < end && is_blank(*line))
		line++;
	while (line < end && is_blank(end[-1]))
		end--;
	size_t len;
	const char *name = field(line, end, 0, &len);
	if ((group && line < end && *line == '#') || is_name(name, len, "nobody") ||
	    is_name(name, len, "nogroup"))
		return;
	for (unsigned number = 2; number <= (group ? 2 : 3); number++) {
		const char *text = field(line, end, number, &len);
		uint32_t id;
		if (text && parse_id(text, len, &id) && id != NOBODY && (!*any || id > *ret)) {
			*ret = id;
			*any = true;
		}
	}
}

bool passwd_largest_id(const char *text, size_t len, bool group, uint32_t *ret)
{
	const char *end = text + len;
	bool any = false;
	for (const char *line = text; line < end;) {
		const char *stop = memchr(line, '\n', (size_t)(end - line));
		stop = stop ? stop : end;
		look_at(line, stop, group, ret, &any);
		line = stop + 1;
	}
	return any;
}
