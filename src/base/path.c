/* SPDX-License-Identifier: Apache-2.0 */
/* The text of paths. Nothing here looks at the disk, except path_absolute(), which asks for the
 * current directory. */
#include "base/fs.h"
#include <errno.h>
#include <unistd.h>

char *path_join(const char *a, const char *b)
{
	size_t n = strlen(a);
	return str_join(a, n && a[n - 1] == '/' ? "" : "/", b);
}

char *path_join3(const char *a, const char *b, const char *c)
{
	_cleanup_free_ char *front = path_join(a, b);
	return front ? path_join(front, c) : NULL;
}

/* The rules of Go's filepath.Clean: one slash between names, no ".", ".." removes the name before
 * it, "/.." is "/". */
char *path_clean(const char *path)
{
	size_t n = strlen(path);
	char *out = malloc(n + 2);
	if (!out)
		return NULL;
	bool rooted = path[0] == '/';
	size_t len = 0;
	if (rooted)
		out[len++] = '/';
	/* ".." removes nothing in front of it. */
	size_t floor = len;
	for (const char *p = path; *p;) {
		size_t part = strcspn(p, "/");
		bool up = part == 2 && p[0] == '.' && p[1] == '.';
		if (part == 0 || (part == 1 && p[0] == '.')) {
			/* nothing */
		} else if (up && len > floor) {
			len--;
			while (len > floor && out[len] != '/')
				len--;
		} else if (!up || !rooted) {
			if (len > 0 && out[len - 1] != '/')
				out[len++] = '/';
			memcpy(out + len, p, part);
			len += part;
			if (up)
				floor = len;
		}
		p += part;
		while (*p == '/')
			p++;
	}
	if (len == 0)
		out[len++] = '.';
	out[len] = '\0';
	return out;
}

char *path_absolute(const char *path)
{
	if (path[0] == '/')
		return path_clean(path);
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	if (!cwd)
		return NULL;
	_cleanup_free_ char *joined = path_join(cwd, path);
	return joined ? path_clean(joined) : NULL;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

bool path_is_component(const char *name)
{
	return *name && !streq(name, ".") && !streq(name, "..") && !strchr(name, '/');
}
