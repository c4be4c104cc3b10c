/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the extended attributes of one file (xattrs.h). */
#include "archive/tree/xattrs.h"
#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

/* XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h: the kernel never gives more. */
#define LIST_LIMIT  65536
#define VALUE_LIMIT 65536

void xattr_path(char ret[XATTR_PATH_MAX], int dirfd, const char *name)
{
	if (streq(name, "."))
		snprintf(ret, XATTR_PATH_MAX, "/proc/self/fd/%d/.", dirfd);
	else
		snprintf(ret, XATTR_PATH_MAX, "/proc/self/fd/%d/%s", dirfd, name);
}

void xattr_fd_path(char ret[XATTR_PATH_MAX], int fd)
{
	snprintf(ret, XATTR_PATH_MAX, "/proc/self/fd/%d", fd);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

/* A file by its path, or, where that is NULL, by a descriptor, which spares the kernel the way there. */
struct place {
	const char *path;
	int fd;
};

static ssize_t list(const struct place *at, char *names, size_t size)
{
	return at->path ? llistxattr(at->path, names, size) : flistxattr(at->fd, names, size);
}

static ssize_t get(const struct place *at, const char *name, char *value, size_t size)
{
	return at->path ? lgetxattr(at->path, name, value, size)
	                : fgetxattr(at->fd, name, value, size);
}

/* The list of names; *ret is NULL when there are none. */
static int read_names(const struct place *at, char **ret, size_t *ret_len, const char *shown,
                      cst_error **error)
{
	char small[1024];
	ssize_t n = list(at, small, sizeof(small));
	if (n == 0 || (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))) {
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	if (n < 0 && errno != ERANGE)
		return error_sys(error, errno, "llistxattr %s", shown);
	size_t size = n > 0 ? (size_t)n : LIST_LIMIT;
	_cleanup_free_ char *names = malloc(size);
	if (!names)
		return error_oom(error);
	if (n > 0)
		memcpy(names, small, size);
	else if ((n = list(at, names, size)) < 0)
		return error_sys(error, errno, "llistxattr %s", shown);
	*ret = steal_ptr(&names);
	*ret_len = (size_t)n;
	return 0;
}

/* Adds one; an attribute that went away meanwhile is left out. */
static int read_value(const struct place *at, const char *name, struct xattrs *into,
                      size_t *capacity, const char *shown, cst_error **error)
{
	char small[1024];
	_cleanup_free_ char *large = NULL;
	const char *value = small;
	ssize_t n = get(at, name, small, sizeof(small));
	if (n < 0 && errno == ERANGE) {
		value = large = malloc(VALUE_LIMIT);
		if (!large)
			return error_oom(error);
		n = get(at, name, large, VALUE_LIMIT);
	}
	if (n < 0 && errno == ENODATA)
		return 0;
	if (n < 0)
		return error_sys(error, errno, "lgetxattr %s of %s", name, shown);
	struct tar_xattr *grown = grow_array(into->items, capacity, into->len + 1, sizeof(*grown));
	if (!grown)
		return error_oom(error);
	into->items = grown;
	struct tar_xattr *item = &grown[into->len++];
	item->name = arena_strdup(&into->arena, name);
	item->value = arena_strndup(&into->arena, value, (size_t)n);
	item->len = (size_t)n;
	return into->arena.failed ? error_oom(error) : 0;
}

int xattrs_read(int dirfd, const char *name, bool (*wanted)(const char *name), struct xattrs *ret,
                const char *shown, cst_error **error)
{
	char path[XATTR_PATH_MAX];
	const struct place at = {.path = name ? path : NULL, .fd = dirfd};
	if (name)
		xattr_path(path, dirfd, name);
	_cleanup_free_ char *names = NULL;
	size_t len = 0, capacity = 0;
	int r = read_names(&at, &names, &len, shown, error);
	if (r < 0 || len == 0)
		return r;
	_cleanup_xattrs_ struct xattrs found = {0};
	for (char *p = names; p < names + len; p += strlen(p) + 1)
		if (wanted(p) && (r = read_value(&at, p, &found, &capacity, shown, error)) < 0)
			return r;
	if (found.len > 1)
		qsort(found.items, found.len, sizeof(*found.items), compare);
	*ret = found;
	found = (struct xattrs){0};
	return 0;
}

bool xattrs_equal(const struct xattrs *a, const struct xattrs *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->len; i++) {
		const struct tar_xattr *x = &a->items[i], *y = &b->items[i];
		if (!streq(x->name, y->name) || x->len != y->len ||
		    memcmp(x->value, y->value, x->len) != 0)
			return false;
	}
	return true;
}

void xattrs_free(struct xattrs *xattrs)
{
	free(xattrs->items);
	arena_clear(&xattrs->arena);
	*xattrs = (struct xattrs){0};
}

bool xattr_is_exported(const char *name)
{
	if (has_prefix(name, "user."))
		return !has_prefix(name, "user.overlay.");
	return streq(name, "security.capability") || streq(name, "security.ima");
}

bool xattr_is_opaque(int dirfd, const char *name, bool userns)
{
	char path[XATTR_PATH_MAX], value[2];
	xattr_path(path, dirfd, name);
	const char *key = userns ? "user.overlay.opaque" : "trusted.overlay.opaque";
	return lgetxattr(path, key, value, sizeof(value)) == 1 && value[0] == 'y';
}
