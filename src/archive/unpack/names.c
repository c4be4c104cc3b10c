/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaning names as Go does, and the sets. */
#include "archive/unpack/names.h"

/* Drops the last component that was written; false if there is none. */
static bool drop_component(const char *start, char **end)
{
	if (*end == start)
		return false;
	char *p = *end;
	while (p > start && p[-1] != '/')
		p--;
	*end = p > start ? p - 1 : p;
	return true;
}

void unpack_clean_name(const char *name, char *ret, uint32_t *form)
{
	bool absolute = name[0] == '/';
	uint32_t above = 0;
	char *end = ret;

	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");
		if (n == 2 && p[0] == '.' && p[1] == '.') {
			if (!drop_component(ret, &end) && !absolute)
				above++;
		} else if (n > 0 && !(n == 1 && p[0] == '.')) {
			if (end > ret)
				*end++ = '/';
			memmove(end, p, n);
			end += n;
		}
		p += n;
		p += *p == '/';
	}
	*end = '\0';
	*form = absolute ? UINT32_MAX : above;
}

const char *unpack_base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}
